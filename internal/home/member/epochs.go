package member

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/internal/seal"
)

// epoch is one verified epoch note and the newest verified heads of it.
type epoch struct {
	note  chain.EpochNote
	hash  latchkey.Hash // H(text) of the note
	heads *chain.Heads  // newest by its counter; nil: none yet. Guarded by book.mu
	// leftOut: the chain prescribes this member at the epoch's place, and the hub
	// has not sealed to him.
	leftOut bool
}

// at is the time at which a slot begins.
func (e *epoch) at(slot uint32) time.Time {
	return time.Unix(e.note.Start+int64(slot), 0).UTC()
}

// declares reports whether the epoch has a tree for the track.
func (e *epoch) declares(track latchkey.TrackID) bool {
	return slices.ContainsFunc(e.note.Tracks, func(t chain.TrackCommit) bool { return t.Track == track })
}

// lastOf is what the note says about the end of a track before this epoch.
func (e *epoch) lastOf(track latchkey.TrackID) (chain.LastHead, bool) {
	i := slices.IndexFunc(e.note.Last, func(l chain.LastHead) bool { return l.Track == track })
	if i < 0 {
		return chain.LastHead{}, false
	}
	return e.note.Last[i], true
}

// book holds the epochs that verified, and opens parts with them. Safe for
// concurrent use.
type book struct {
	client *Client

	opener *seal.Opener // has its own lock

	mu     sync.Mutex // guards all below
	epochs map[latchkey.EpochID]*epoch
	byN    map[hubCount]*epoch
	// granted are grants whose capsule was opened.
	granted map[latchkey.GrantID]bool
}

// hubCount is an epoch's place among the epochs of its hub.
type hubCount struct {
	hub latchkey.Kid
	n   uint64
}

func newBook(c *Client) *book {
	return &book{
		client: c, opener: seal.NewOpener(c.vault.Household),
		epochs: map[latchkey.EpochID]*epoch{}, byN: map[hubCount]*epoch{}, granted: map[latchkey.GrantID]bool{},
	}
}

// epoch returns a verified epoch, asking the server for those that are new. One
// that the server has no note of cannot be the household's: latchkey.ErrVerify.
func (b *book) epoch(ctx context.Context, id latchkey.EpochID) (*epoch, error) {
	b.mu.Lock()
	e := b.epochs[id]
	b.mu.Unlock()
	if e != nil {
		return e, nil
	}
	if err := b.takeGrants(ctx); err != nil {
		return nil, err
	}
	res, err := call(ctx, b.client, "get epoch", b.client.api.footage.GetEpochs, &latchkeyv1.GetEpochsRequest{Epochs: [][]byte{id[:]}})
	if err != nil && !errors.Is(err, latchkey.ErrNotFound) {
		return nil, err
	}
	if res != nil {
		if err := b.load(ctx, res.Epochs); err != nil {
			return nil, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.epochs[id]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("member: get epoch: %w: the server has footage of epoch %v and not its note", latchkey.ErrVerify, id)
}

// list loads the epochs that overlap the span, hub by hub in the order of
// their counters.
func (b *book) list(ctx context.Context, span Span) ([]*epoch, error) {
	if err := b.takeGrants(ctx); err != nil {
		return nil, err
	}
	req := &latchkeyv1.ListEpochsRequest{From: span.From.Unix(), To: span.To.Unix() + 1}
	var out []*epoch
	for {
		res, err := call(ctx, b.client, "list epochs", b.client.api.footage.ListEpochs, req)
		if err != nil {
			return nil, err
		}
		if err := b.load(ctx, res.Epochs); err != nil {
			return nil, err
		}
		before := len(out)
		for _, info := range res.Epochs {
			if e := b.known(info); e != nil && !slices.Contains(out, e) {
				out = append(out, e)
			}
		}
		if !res.More || len(res.Epochs) == 0 {
			break
		}
		if len(out) == before {
			return nil, fmt.Errorf("member: list epochs: %w: the server goes round in circles", latchkey.ErrInvalid)
		}
		last := out[len(out)-1].note.Epoch
		req.After = last[:]
	}
	slices.SortFunc(out, func(x, y *epoch) int {
		return cmp.Or(cmp.Compare(x.note.Hub.String(), y.note.Hub.String()), cmp.Compare(x.note.N, y.note.N))
	})
	return out, nil
}

// known finds the loaded epoch of an info.
func (b *book) known(info *latchkeyv1.EpochInfo) *epoch {
	n, err := chain.ParseNote(info.Note)
	if err != nil {
		return nil
	}
	note, err := chain.ParseEpochNote(n)
	if err != nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.epochs[note.Epoch]
}

// load verifies what the server says about epochs and keeps it.
func (b *book) load(ctx context.Context, infos []*latchkeyv1.EpochInfo) error {
	for _, info := range infos {
		if err := b.add(ctx, info); err != nil {
			return fmt.Errorf("member: load epoch: %w", err)
		}
	}
	return nil
}

// add verifies one epoch note against the chain position it names, and its
// capsule, and takes its heads. An epoch known already only brings new heads.
func (b *book) add(ctx context.Context, info *latchkeyv1.EpochInfo) error {
	n, err := chain.ParseNote(info.Note)
	if err != nil {
		return fmt.Errorf("%w: %w", latchkey.ErrVerify, err)
	}
	note, err := chain.ParseEpochNote(n)
	if err != nil {
		return fmt.Errorf("%w: %w", latchkey.ErrVerify, err)
	}
	state, err := b.position(ctx, note)
	if err != nil {
		return err
	}
	if err := b.client.past().admits(note); err != nil {
		return err
	}
	// No hub is believed before the log has proven it.
	if err := b.client.awaitCovered(ctx, state.Hubs[note.Hub].Seq, "the hub that recorded this", coverPatience); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.epochs[note.Epoch]
	switch {
	case e == nil:
		if e, err = b.admit(n, note, state, info); err != nil {
			return err
		}
	case e.hash != n.Hash():
		return fmt.Errorf("%w: two notes for epoch %v", latchkey.ErrVerify, note.Epoch)
	}
	if len(info.Heads) == 0 {
		return nil
	}
	return b.takeHeads(e, info.Heads)
}

// position is the household at the place in the chain that the note names. The
// server may show an epoch that rests on statements newer than our last sync.
func (b *book) position(ctx context.Context, note chain.EpochNote) (chain.State, error) {
	past := b.client.past()
	if note.ChainSeq >= uint64(len(past.states)) {
		if _, err := b.client.sync(ctx); err != nil {
			return chain.State{}, err
		}
		past = b.client.past()
	}
	return past.at(note.ChainSeq, note.ChainHash)
}

// admit checks a new epoch's place among its hub's epochs and opens its
// capsule; the caller holds mu.
func (b *book) admit(n chain.Note, note chain.EpochNote, state chain.State, info *latchkeyv1.EpochInfo) (*epoch, error) {
	e := &epoch{note: note, hash: n.Hash()}
	at := hubCount{note.Hub, note.N}
	if other := b.byN[at]; other != nil {
		return nil, fmt.Errorf("%w: hub %v has two epochs number %d", latchkey.ErrVerify, note.Hub, note.N)
	}
	if before := b.byN[hubCount{note.Hub, note.N - 1}]; note.N > 0 && before != nil && before.hash != note.Prev {
		return nil, fmt.Errorf("%w: epoch %v does not follow the epoch before it", latchkey.ErrVerify, note.Epoch)
	}
	if after := b.byN[hubCount{note.Hub, note.N + 1}]; after != nil && after.note.Prev != e.hash {
		return nil, fmt.Errorf("%w: epoch %v is not the one that the next epoch follows", latchkey.ErrVerify, note.Epoch)
	}
	seals, err := sealLines(info.Seals)
	if err != nil {
		return nil, err
	}
	material := seal.EpochMaterial{Note: info.Note, Seals: seals, Capsule: info.Capsule, Chain: state}
	admission, err := b.opener.AddEpoch(material, b.client.sealing())
	if err != nil {
		return nil, err
	}
	if admission.Stray > 0 {
		b.client.log.Warn("a capsule holds keys that nobody had the right to give; they were discarded", "epoch", note.Epoch, "entries", admission.Stray)
	}
	e.leftOut = !admission.Shared && slices.ContainsFunc(b.client.sealing(), func(s *keys.Sealing) bool {
		return slices.Contains(admission.LeftOut, s.Kid())
	})
	if e.leftOut {
		b.client.log.Warn("a hub has not sealed an epoch to this member, whom the chain prescribes", "epoch", note.Epoch)
	}
	b.epochs[note.Epoch], b.byN[at] = e, e
	return e, nil
}

// takeHeads verifies a heads note and keeps it for its epoch when it is newer
// than what is known; the caller holds mu.
func (b *book) takeHeads(e *epoch, raw []byte) error {
	h, err := b.opener.CheckHeads(raw)
	if err != nil && !errors.Is(err, latchkey.ErrNotFound) {
		return err
	}
	if err != nil || h.Epoch != e.note.Epoch {
		return fmt.Errorf("%w: the heads belong to another epoch", latchkey.ErrVerify)
	}
	if e.heads == nil || h.N > e.heads.N {
		h = notAhead(h, time.Now())
		e.heads = &h
	}
	return nil
}

// notAhead takes a heads note of a hub whose clock is ahead as one of now:
// nobody vouches for what is still to come, and a cut tail must show in time.
func notAhead(h chain.Heads, now time.Time) chain.Heads {
	h.Time = min(h.Time, now.Unix())
	return h
}

// newHeads verifies a heads note that came over the live socket.
func (b *book) newHeads(e *epoch, raw []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.takeHeads(e, raw)
}

// headsOf is the newest verified heads note of e, nil when there is none.
func (b *book) headsOf(e *epoch) *chain.Heads {
	b.mu.Lock()
	defer b.mu.Unlock()
	return e.heads
}

// next is the epoch of the same hub that follows e, nil when it is not loaded.
func (b *book) next(e *epoch) *epoch {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byN[hubCount{e.note.Hub, e.note.N + 1}]
}

// sealLines reads the seal lines as the API carries them.
func sealLines(in []*latchkeyv1.SealLine) ([]chain.SealLine, error) {
	out := make([]chain.SealLine, len(in))
	for i, l := range in {
		if len(l.Kid) != latchkey.IDSize || len(l.Hash) != latchkey.HashSize {
			return nil, fmt.Errorf("%w: a seal line is malformed", latchkey.ErrVerify)
		}
		out[i] = chain.SealLine{Kid: latchkey.Kid(l.Kid), Hash: latchkey.Hash(l.Hash)}
	}
	return out, nil
}
