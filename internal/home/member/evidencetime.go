package member

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/ledger"
)

// used are the epochs of which there are parts, by their ids.
func (e *evidenceExport) used() []*epoch {
	var out []*epoch
	for _, r := range e.readers() {
		for _, s := range r.got {
			if !slices.Contains(out, s.epoch) {
				out = append(out, s.epoch)
			}
		}
	}
	sortEpochs(out)
	return out
}

func sortEpochs(list []*epoch) {
	slices.SortFunc(list, func(a, b *epoch) int { return slices.Compare(a.note.Epoch[:], b.note.Epoch[:]) })
}

// before finds, of each hub, the epoch before its first one here: what its last
// heads say of the public log was so before the footage. One that the server has
// no more, or does not show to this member, is left out.
func (e *evidenceExport) before(ctx context.Context, used []*epoch) ([]*epoch, error) {
	first := map[latchkey.Kid]*epoch{}
	for _, u := range used {
		if f := first[u.note.Hub]; f == nil || u.note.N < f.note.N {
			first[u.note.Hub] = u
		}
	}
	var out []*epoch
	for _, f := range first {
		if len(f.note.Last) == 0 {
			continue
		}
		id := f.note.Last[0].Epoch
		res, err := call(ctx, e.c, "get epoch", e.c.api.footage.GetEpochs, &latchkeyv1.GetEpochsRequest{Epochs: [][]byte{id[:]}})
		if errors.Is(err, latchkey.ErrNotFound) {
			continue
		}
		if err == nil {
			err = e.c.book.load(ctx, res.Epochs)
		}
		if err != nil {
			return nil, err
		}
		if b, err := e.c.book.epoch(ctx, id); err == nil && b.hash == f.note.Prev {
			out = append(out, b)
		}
	}
	return out, nil
}

// seqProof is the proof of one statement.
type seqProof struct {
	seq uint64
	raw []byte
}

// proves reports whether the file wants the proof of a statement: of a hub that
// recorded, or of an anchor of an epoch that is in it.
func (e *evidenceExport) proves(st chain.Statement, used []*epoch) bool {
	switch st := st.(type) {
	case chain.AddHub:
		return slices.ContainsFunc(used, func(u *epoch) bool { return u.note.Hub == chain.KidOf(st.Ed) })
	case chain.Anchor:
		return slices.ContainsFunc(used, func(u *epoch) bool { return anchors(st, u) })
	}
	return false
}

// proofs are those that can be had now; none while the log is away.
func (e *evidenceExport) proofs(ctx context.Context) ([]seqProof, error) {
	var out []seqProof
	used, anchored := e.used(), []chain.Anchor{}
	for seq, raw := range e.c.past().notes {
		n, err := chain.ParseNote(raw)
		if err != nil {
			return nil, err
		}
		st, err := chain.ParseStatement(n)
		if err != nil {
			return nil, err
		}
		if !e.proves(st, used) {
			continue
		}
		proof, err := e.c.proofOf(ctx, uint64(seq), func(GrantStep) {})
		switch {
		case errors.Is(err, errNotLogged):
			continue // it was written just now
		case err != nil:
			return nil, e.without(ctx, "proof of the public log", err)
		}
		out = append(out, seqProof{uint64(seq), proof})
		if a, ok := st.(chain.Anchor); ok {
			anchored = append(anchored, a)
		}
	}
	policy, err := e.c.pinnedPolicy(ctx)
	e.report.Early = err == nil && policy.Witnessed() && slices.ContainsFunc(used, func(u *epoch) bool {
		return !slices.ContainsFunc(anchored, func(a chain.Anchor) bool { return anchors(a, u) })
	})
	return out, nil
}

// without tells a log that is away, without which a file is made, from one that
// lies: that one is an error.
func (e *evidenceExport) without(ctx context.Context, what string, err error) error {
	if errors.Is(err, latchkey.ErrVerify) && !errors.Is(err, ledger.ErrNotWitnessed) || ctx.Err() != nil {
		return err
	}
	e.c.log.Warn("the file has no "+what, "err", err)
	return nil
}

// writeSets writes, of each epoch before the footage, that a set stands in the log
// which the heads of that epoch name.
func (e *evidenceExport) writeSets(ctx context.Context, w *evidenceWriter) error {
	log, err := e.c.ledgerCheck(ctx)
	if err != nil {
		return e.without(ctx, "lower bound of its time", err)
	}
	for _, b := range e.earlier {
		heads, ok := e.heads[b.note.Epoch]
		if !ok || heads.LogSize == 0 {
			continue
		}
		proof, err := log.log.NamedSet(ctx, int64(heads.LogSize), heads.LogRoot)
		if errors.Is(err, latchkey.ErrNotFound) {
			continue
		}
		if err != nil {
			return e.without(ctx, "lower bound of its time", err)
		}
		if _, err := proof.CheckNamedSet(log.policy, int64(heads.LogSize), heads.LogRoot); err != nil {
			return fmt.Errorf("set of epoch %v: %w", b.note.Epoch, err)
		}
		if err := w.bytes(evSets+b.note.Epoch.String(), proof.Encode()); err != nil {
			return err
		}
	}
	return nil
}
