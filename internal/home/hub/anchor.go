package hub

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/uplink"
)

const (
	// anchorsADay bounds how often epochs that have ended bring an anchor: every
	// Pace.Anchor, and after each of this many parts of it in which one ended.
	anchorsADay = 24
	// What one anchor names at most; a statement has 60,000 bytes.
	anchorEpochs = 500
	anchorHeads  = 250
	// anchorTries bounds the races for one place in the chain.
	anchorTries = 8
)

// anchorSeen is what the chain has of this hub's anchors. It is the only record
// of them: a hub that was killed, or got no answer, looks there.
type anchorSeen struct {
	read   int // statements looked at
	last   int64
	epochs map[latchkey.Hash]bool
}

// anchors returns when this hub last anchored, in unix seconds, else when it came
// into the household, and whether an epoch note was anchored.
func (r *roster) anchors(hub latchkey.Kid) (last int64, has func(latchkey.Hash) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.anchored
	if s.epochs == nil {
		s.epochs = map[latchkey.Hash]bool{}
	}
	for ; s.read < len(r.raw); s.read++ {
		n, err := chain.ParseNote(r.raw[s.read])
		if err != nil || n.Type != chain.TypeAnchor && n.Type != chain.TypeHub {
			continue
		}
		st, err := chain.ParseStatement(n)
		if err != nil {
			continue // Apply took it: cannot be
		}
		switch st := st.(type) {
		case chain.AddHub:
			if chain.KidOf(st.Ed) == hub {
				s.last = st.Time
			}
		case chain.Anchor:
			if st.By != hub {
				continue
			}
			s.last = st.Time
			for _, e := range st.Epochs {
				s.epochs[e] = true
			}
		}
	}
	known := maps.Clone(s.epochs)
	return s.last, func(h latchkey.Hash) bool { return known[h] }
}

// followAnchors puts an anchor into the chain whenever one is due, until ctx
// ends. Recording never waits for it.
func (a *agent) followAnchors(ctx context.Context) {
	var backoff time.Duration
	for {
		wait, err := a.anchorIfDue(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			backoff = min(max(2*backoff, a.cfg.Pace.Proof), a.cfg.Pace.Poll)
			wait = backoff
			a.log.Warn("no anchor in the chain yet", "err", err, "again_in", wait)
		} else {
			backoff = 0
		}
		more := a.ended
		if err != nil {
			more = nil // an epoch that ends does not cut the back-off short
		}
		select {
		case <-ctx.Done():
			return
		case <-more:
		case <-time.After(wait):
		}
	}
}

// anchorIfDue appends an anchor if it is time for one, and returns when to look
// again.
func (a *agent) anchorIfDue(ctx context.Context) (time.Duration, error) {
	if wait := a.anchorDue(time.Now()); wait > 0 {
		return wait, nil
	}
	for range anchorTries {
		if _, err := a.roster.refresh(ctx); err != nil {
			return 0, err
		}
		if wait := a.anchorDue(time.Now()); wait > 0 {
			return wait, nil // it was the answer that was lost, not the anchor
		}
		err := a.appendAnchor(ctx)
		switch {
		case err == nil:
			_, err = a.roster.refresh(ctx)
			signal(a.prove)
			return a.anchorGap(), err
		case !errors.Is(err, latchkey.ErrConflict):
			return 0, err
		}
	}
	return 0, fmt.Errorf("hub: anchor: %w: others were faster %d times", latchkey.ErrConflict, anchorTries)
}

// anchorGap is the least time between two anchors.
func (a *agent) anchorGap() time.Duration { return a.cfg.Pace.Anchor / anchorsADay }

// anchorDue is how long to wait before the next anchor; 0: it is due.
func (a *agent) anchorDue(now time.Time) time.Duration {
	last, has := a.roster.anchors(a.Kid())
	since := max(now.Sub(time.Unix(last, 0)), 0)
	epochs, heads := a.toAnchor(has)
	switch {
	case len(epochs) > 0 && since >= a.anchorGap():
		return 0
	case len(epochs) > 0:
		return a.anchorGap() - since
	case len(heads) == 0:
		return a.anchorGap()
	case since >= a.cfg.Pace.Anchor:
		return 0
	}
	return a.cfg.Pace.Anchor - since
}

// toAnchor is what an anchor would name now: the epochs that have ended and that
// no anchor has, the oldest first, and the newest part of each track.
func (a *agent) toAnchor(has func(latchkey.Hash) bool) (epochs []latchkey.Hash, heads []chain.HeadOf) {
	a.change.Lock()
	defer a.change.Unlock()
	newest := maps.Clone(a.lastOf)
	if a.epoch != nil {
		keepHeads(newest, a.epoch.Last())
	}
	for _, h := range newest {
		heads = append(heads, h)
	}
	slices.SortFunc(heads, func(x, y chain.HeadOf) int { return bytes.Compare(x.Track[:], y.Track[:]) })
	epochs = slices.DeleteFunc(a.book.over(), has)
	return epochs[:min(len(epochs), anchorEpochs)], heads[:min(len(heads), anchorHeads)]
}

func keepHeads(into map[latchkey.TrackID]chain.HeadOf, last []chain.LastHead) {
	for _, l := range last {
		into[l.Track] = chain.HeadOf{Track: l.Track, Seq: l.Seq, Hash: l.Hash}
	}
}

// appendAnchor signs an anchor behind the chain that we hold and hands it in. It
// was refused if it is an error, unless that is latchkey.ErrUnavailable: then
// only the chain tells.
func (a *agent) appendAnchor(ctx context.Context) error {
	_, has := a.roster.anchors(a.Kid())
	state := a.roster.verified()
	st := chain.Anchor{Head: chain.Head{
		Household: state.Household, Seq: state.Seq + 1, Prev: state.Hash, Time: time.Now().Unix(), By: a.Kid(),
	}}
	_, _ = rand.Read(st.Salt[:]) // never fails
	st.Epochs, st.Heads = a.toAnchor(has)
	text, err := st.Text()
	if err != nil {
		return fmt.Errorf("hub: anchor: %w", err)
	}
	raw := chain.SignNote(text, a.identity.Signing)
	n, err := chain.ParseNote(raw)
	if err == nil {
		_, err = chain.Apply(state, n, anyTime)
	}
	if err != nil {
		return fmt.Errorf("hub: anchor: %w", err)
	}
	if err := a.roster.append(ctx, raw); err != nil {
		return fmt.Errorf("hub: anchor: %w", err)
	}
	a.log.Info("anchored", "statement", st.Seq, "epochs", len(st.Epochs), "heads", len(st.Heads))
	return nil
}

// append hands a statement of ours to the server.
func (r *roster) append(ctx context.Context, raw []byte) error {
	return r.session.Do(ctx, func(token string) error {
		req := connect.NewRequest(&latchkeyv1.AppendStatementRequest{Note: raw})
		req.Header().Set("Authorization", "Bearer "+token)
		_, err := r.client.AppendStatement(ctx, req)
		return uplink.Kind(err)
	})
}
