package member

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/ledger"
)

// TimeBound is one side of when footage was recorded. It does not rest on the
// hub's clock, but on the order in which the hub signs (spec/evidence, "Time").
type TimeBound struct {
	At    time.Time
	Entry int64 // of the public log: the set, or the anchor
	// Not before: the log was of Size entries when the hub named it. Not after: the
	// anchor is Statement of the household's chain.
	Size      int64
	Statement uint64
}

// provenStatement is a statement of the chain with the proof that it stands in the
// public log.
type provenStatement struct {
	what      chain.Statement
	entry     int64
	witnessed time.Time // zero: nobody vouches for a time
}

// boundSlack is how far the hub's clock may be off before its times and the
// bounds contradict each other, in seconds: as far as those of statements may be.
const boundSlack = 600 * time.Second

// bounds finds what bounds the time of the footage from both sides, and holds the
// hub's own times against it. A bound that is missing is no problem.
func (c *evidenceCheck) bounds(context.Context) error {
	if c.parts == nil {
		return nil // there is no footage that could be read
	}
	b := &boundCheck{evidenceCheck: c, first: map[latchkey.Kid]*epoch{}, before: map[latchkey.EpochID]*epoch{}}
	b.sort()
	for _, look := range []func() error{b.stray, b.proofsUsed, b.notBefore, b.notAfter, b.agree} {
		if err := look(); err != nil {
			c.report.Problems = append(c.report.Problems, fmt.Sprintf("the time: %v", err))
		}
	}
	return nil
}

// boundCheck is the search for bounds.
type boundCheck struct {
	*evidenceCheck
	used   []*epoch                    // of which the file has a part
	first  map[latchkey.Kid]*epoch     // of each hub
	before map[latchkey.EpochID]*epoch // the epoch before a first one, which the file has too, by its id
}

// sort finds the first epoch of each hub, and the ones before those.
func (b *boundCheck) sort() {
	for _, r := range b.parts {
		for _, s := range r.got {
			if !slices.Contains(b.used, s.epoch) {
				b.used = append(b.used, s.epoch)
			}
		}
	}
	for _, e := range b.used {
		if first := b.first[e.note.Hub]; first == nil || e.note.N < first.note.N {
			b.first[e.note.Hub] = e
		}
	}
	for id, e := range b.epochs {
		first := b.first[e.note.Hub]
		if first != nil && e.hash == first.note.Prev && !slices.Contains(b.used, e) {
			b.before[id] = e
		}
	}
}

// stray: an epoch without a part is the one before a hub's first.
func (b *boundCheck) stray() error {
	for id, e := range b.epochs {
		if b.before[id] == nil && !slices.Contains(b.used, e) {
			return fmt.Errorf("%w: the note of epoch %v, of which the file has no part and which is not the one before", latchkey.ErrVerify, id)
		}
	}
	return nil
}

// proofsUsed: a proof is of the enrolment of a hub that recorded, or of an anchor
// of an epoch of the file.
func (b *boundCheck) proofsUsed() error {
	for seq, p := range b.proofs {
		switch st := p.what.(type) {
		case chain.AddHub:
			if b.first[chain.KidOf(st.Ed)] != nil {
				continue
			}
		case chain.Anchor:
			if slices.ContainsFunc(b.used, func(e *epoch) bool { return anchors(st, e) }) {
				continue
			}
		}
		return fmt.Errorf("%w: the proof of statement %d is of nothing that has to do with this footage", latchkey.ErrVerify, seq)
	}
	return nil
}

// anchors reports whether an anchor says that an epoch had ended.
func anchors(a chain.Anchor, e *epoch) bool {
	return a.By == e.note.Hub && slices.Contains(a.Epochs, e.hash)
}

// notBefore takes the earliest of the hubs' bounds, if all of them have one.
func (b *boundCheck) notBefore() error {
	found := map[latchkey.Kid]TimeBound{}
	err := b.file.each(evSets, func(name string, raw []byte) error {
		if b.policy == nil {
			return nil
		}
		e := b.beforeOf(name)
		if e == nil || e.heads == nil {
			return fmt.Errorf("%w: the file %s%s is of no epoch before the footage, or the heads of that epoch are missing", latchkey.ErrVerify, evSets, name)
		}
		bound, err := b.setOf(e, raw)
		if err != nil {
			return fmt.Errorf("not before: %w", err)
		}
		found[e.note.Hub] = bound
		return nil
	})
	if err != nil || len(found) == 0 || len(found) < len(b.first) {
		return err
	}
	earliest := TimeBound{}
	for _, t := range found {
		if earliest.At.IsZero() || t.At.Before(earliest.At) {
			earliest = t
		}
	}
	b.report.After = &earliest
	return nil
}

func (b *boundCheck) beforeOf(name string) *epoch {
	id, err := latchkey.ParseEpochID(name)
	if err != nil {
		return nil
	}
	return b.before[id]
}

// setOf checks that a set stands in the log that the heads of e name.
func (b *boundCheck) setOf(e *epoch, raw []byte) (TimeBound, error) {
	proof, err := ledger.ParseProof(raw)
	if err != nil {
		return TimeBound{}, err
	}
	set, err := proof.CheckNamedSet(b.policy, int64(e.heads.LogSize), e.heads.LogRoot)
	if err != nil {
		return TimeBound{}, err
	}
	return TimeBound{At: set.Time.UTC(), Entry: proof.Index, Size: int64(e.heads.LogSize)}, nil
}

// notAfter takes the latest of the epochs' bounds, if all of them have one.
func (b *boundCheck) notAfter() error {
	var latest *TimeBound
	for _, e := range b.used {
		bound := b.anchorOf(e)
		if bound == nil {
			return nil
		}
		if latest == nil || bound.At.After(latest.At) {
			latest = bound
		}
	}
	b.report.Before = latest
	return nil
}

// anchorOf is the earliest proof that e had ended; nil: none that witnesses vouch
// for.
func (b *boundCheck) anchorOf(e *epoch) *TimeBound {
	var best *TimeBound
	for seq, p := range b.proofs {
		a, ok := p.what.(chain.Anchor)
		if !ok || !anchors(a, e) || p.witnessed.IsZero() {
			continue
		}
		if best == nil || cmp.Or(p.witnessed.Compare(best.At), cmp.Compare(seq, best.Statement)) < 0 {
			best = &TimeBound{At: p.witnessed.UTC(), Entry: p.entry, Statement: seq}
		}
	}
	return best
}

// agree holds the times that the hub gave its parts against the bounds. What does
// not fit bounds nothing.
func (b *boundCheck) agree() error {
	r := &b.report
	var wrong []string
	if r.After != nil && r.After.At.After(r.Span.From.Add(boundSlack)) {
		wrong = append(wrong, fmt.Sprintf("the hub's clock says %s, and it was recorded after %s", r.Span.From.Format(time.RFC3339), r.After.At.Format(time.RFC3339)))
	}
	if r.Before != nil && r.Before.At.Before(r.Span.To.Add(-boundSlack)) {
		wrong = append(wrong, fmt.Sprintf("the hub's clock says %s, and it was recorded before %s", r.Span.To.Format(time.RFC3339), r.Before.At.Format(time.RFC3339)))
	}
	if r.After != nil && r.Before != nil && r.After.At.After(r.Before.At.Add(boundSlack)) {
		wrong = append(wrong, "it cannot have been recorded after the one time and before the other")
	}
	if wrong == nil {
		return nil
	}
	r.After, r.Before = nil, nil
	return fmt.Errorf("%w: %s", latchkey.ErrVerify, strings.Join(wrong, "; "))
}
