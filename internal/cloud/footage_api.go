package cloud

import (
	"context"
	"fmt"
	"slices"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/ingest"
	"latchkey.dev/latchkey/internal/cloud/live"
)

// footageService implements latchkey.v1.FootageService.
type footageService struct{ s *Server }

// Bounds of one answer.
const (
	maxReels     = 5000 // a little over three days of one track
	reelPage     = 500  // of one query
	maxEpochs    = 100
	maxAskEpochs = 100
)

func (f *footageService) Timeline(ctx context.Context, req *connect.Request[v1.TimelineRequest]) (*connect.Response[v1.TimelineResponse], error) {
	session, m := sessionOf(ctx), req.Msg
	if len(m.GetTrack()) != latchkey.IDSize || !saneRange(m.GetFrom(), m.GetTo()) {
		return nil, f.s.answer(ctx, fmt.Errorf("cloud: timeline: %w: want a track and a range of unix seconds", latchkey.ErrInvalid))
	}
	g, err := f.s.sightOf(ctx, session, latchkey.TrackID(m.GetTrack()))
	if err != nil {
		return nil, f.s.answer(ctx, err)
	}
	rows, more, err := g.stretches(ctx, m.GetFrom(), m.GetTo())
	if err != nil {
		return nil, f.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.TimelineResponse{Segments: segments(rows), More: more}), nil
}

func saneRange(from, to int64) bool { return from >= 0 && from < to && to <= maxUnix }

// stretch is a reel, or what is to be seen of it.
type stretch struct {
	catalog.Reel
	open bool
}

// stretches returns what is to be seen of the reels that overlap [from, to), in
// order; more: only the first of them.
func (g *sight) stretches(ctx context.Context, from, to int64) (out []stretch, more bool, err error) {
	open := g.s.ingest.OpenReels(g.household, g.track) // before the catalog: see OpenReels
	closed := map[catalog.Position]bool{}
	var epoch latchkey.EpochID
	var slots live.Slots
	ask := 1 // one reel tells whose epoch comes next
	for at := (catalog.Position{}); len(out) < maxReels; {
		rows, err := g.s.catalog.ReelsBetween(ctx, g.household, g.track, from, to, at, ask)
		if err != nil {
			return nil, false, err
		}
		if len(rows) == 0 {
			out, err = g.withOpen(ctx, out, open, closed, from, to)
			return out, false, err
		}
		ask = reelPage
		for _, r := range rows {
			if r.Epoch != epoch {
				if slots, err = g.of(ctx, r.Epoch, r.Start); err != nil {
					return nil, false, err
				}
				epoch = r.Epoch
			}
			if len(slots) == 0 { // an epoch that is not there for the member costs one step
				at, ask = catalog.Position{Start: r.Start, N: r.N + 1}, 1
				break
			}
			closed[r.First()] = true
			view := &reelView{Reel: r, slots: slots}
			if out, err = g.cutOut(ctx, out, view); err != nil {
				return nil, false, err
			}
			at = after(view)
		}
	}
	return out, true, nil
}

// cutOut adds what is to be seen of a reel.
func (g *sight) cutOut(ctx context.Context, out []stretch, v *reelView) ([]stretch, error) {
	switch {
	case !v.slots.Meet(v.FirstSlot, v.LastSlot):
		return out, nil
	case v.slots.Cover(v.FirstSlot, v.LastSlot):
		return append(out, stretch{v.Reel, v.open != nil}), nil
	case v.parts == nil:
		r, err := g.s.catalog.ReelAt(ctx, v.Epoch, v.Track, v.FirstSeq)
		if err != nil {
			return out, err
		}
		whole, err := closedView(r)
		if err != nil {
			return out, err
		}
		v.parts = whole.parts
	}
	joins := false
	for i, p := range v.parts {
		if !v.slots.Has(p.Slot) {
			joins = false
			continue
		}
		seq := v.FirstSeq + uint32(i)
		if !joins {
			one := v.Reel
			one.FirstSeq, one.FirstSlot, one.Bytes = seq, p.Slot, 0
			out = append(out, stretch{Reel: one})
		}
		last := &out[len(out)-1]
		last.LastSeq, last.LastSlot, last.open = seq, p.Slot, v.open != nil && i == len(v.parts)-1
		last.Bytes += int64(p.Size)
		joins = true
	}
	return out, nil
}

// withOpen adds the open reels that overlap [from, to) and are not rows yet.
func (g *sight) withOpen(ctx context.Context, out []stretch, open []ingest.View, closed map[catalog.Position]bool, from, to int64) ([]stretch, error) {
	for _, v := range open {
		if closed[v.First()] || v.Start+int64(v.FirstSlot) >= to || v.Start+int64(v.LastSlot) < from {
			continue
		}
		view := openView(v)
		shown, err := g.show(ctx, view)
		if err == nil && shown {
			out, err = g.cutOut(ctx, out, view)
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b stretch) int {
		switch {
		case a.First().Before(b.First()):
			return -1
		case b.First().Before(a.First()):
			return 1
		}
		return 0
	})
	return out, nil
}

// segments joins reels whose parts follow each other without a pause.
func segments(rows []stretch) []*v1.Segment {
	var out []*v1.Segment
	for i, r := range rows {
		if n := len(out); n > 0 && rows[i-1].Epoch == r.Epoch && rows[i-1].LastSeq+1 == r.FirstSeq && r.FirstSlot <= rows[i-1].LastSlot+ingest.MaxPause {
			s := out[n-1]
			s.LastSeq, s.LastSlot, s.Open = r.LastSeq, r.LastSlot, r.open
			s.Bytes += uint64(r.Bytes)
			continue
		}
		out = append(out, &v1.Segment{
			Epoch: r.Epoch[:], FirstSeq: r.FirstSeq, LastSeq: r.LastSeq, FirstSlot: r.FirstSlot, LastSlot: r.LastSlot,
			Start: r.Start, Bytes: uint64(r.Bytes), Open: r.open,
		})
	}
	return out
}

func (f *footageService) ListEpochs(ctx context.Context, req *connect.Request[v1.ListEpochsRequest]) (*connect.Response[v1.ListEpochsResponse], error) {
	m := req.Msg
	if n := len(m.GetHub()); !saneRange(m.GetFrom(), m.GetTo()) || n != 0 && n != latchkey.IDSize {
		return nil, f.s.answer(ctx, fmt.Errorf("cloud: list epochs: %w: want a range of unix seconds", latchkey.ErrInvalid))
	}
	q := catalog.EpochQuery{Household: sessionOf(ctx).Household, From: m.GetFrom(), To: m.GetTo(), Limit: maxEpochs + 1}
	copy(q.Hub[:], m.GetHub())
	if len(m.GetAfter()) > 0 {
		var err error
		if q.After, err = f.epochOf(ctx, m.GetAfter()); err != nil {
			return nil, f.s.answer(ctx, fmt.Errorf("cloud: list epochs: %w", err))
		}
	}
	epochs, err := f.seen(ctx, q)
	if err != nil {
		return nil, f.s.answer(ctx, err)
	}
	more := len(epochs) > maxEpochs
	return f.infos(ctx, epochs[:min(len(epochs), maxEpochs)], more)
}

// caller is the member whose session it is, in his household as it is now.
func (f *footageService) caller(ctx context.Context) (chain.State, chain.Member, error) {
	session := sessionOf(ctx)
	state, err := f.s.homes.state(ctx, session.Household)
	return state, state.Members[session.Kid], err
}

// seen runs q for the caller: other epochs are not there for him, and do not
// count.
func (f *footageService) seen(ctx context.Context, q catalog.EpochQuery) ([]catalog.Epoch, error) {
	state, member, err := f.caller(ctx)
	if err != nil {
		return nil, err
	}
	var out []catalog.Epoch
	for len(out) < q.Limit {
		page, err := f.s.catalog.Epochs(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			seen, err := f.s.epochSeen(ctx, state, member, e)
			if err != nil {
				return nil, err
			}
			if seen {
				out = append(out, e)
			}
		}
		if len(page) < q.Limit {
			break
		}
		q.After = page[len(page)-1]
	}
	return out[:min(len(out), q.Limit)], nil
}

func (f *footageService) GetEpochs(ctx context.Context, req *connect.Request[v1.GetEpochsRequest]) (*connect.Response[v1.ListEpochsResponse], error) {
	ids := req.Msg.GetEpochs()
	if len(ids) > maxAskEpochs {
		return nil, f.s.answer(ctx, fmt.Errorf("cloud: get epochs: %w: %d at once, at most %d", latchkey.ErrInvalid, len(ids), maxAskEpochs))
	}
	state, member, err := f.caller(ctx)
	if err != nil {
		return nil, f.s.answer(ctx, err)
	}
	var epochs []catalog.Epoch
	for _, id := range ids {
		e, err := f.epochOf(ctx, id)
		if err == nil {
			var seen bool
			if seen, err = f.s.epochSeen(ctx, state, member, e); err == nil && !seen {
				err = latchkey.ErrNotFound
			}
		}
		if err != nil {
			return nil, f.s.answer(ctx, fmt.Errorf("cloud: get epochs: %w", err))
		}
		epochs = append(epochs, e)
	}
	return f.infos(ctx, epochs, false)
}

// epochOf finds an epoch of the caller's household.
func (f *footageService) epochOf(ctx context.Context, id []byte) (catalog.Epoch, error) {
	if len(id) != latchkey.IDSize {
		return catalog.Epoch{}, fmt.Errorf("%w: an id of %d bytes", latchkey.ErrInvalid, len(id))
	}
	e, err := f.s.catalog.Epoch(ctx, latchkey.EpochID(id))
	if err == nil && e.Household != sessionOf(ctx).Household {
		err = latchkey.ErrNotFound
	}
	return e, err
}

// infos adds to each epoch its seal lines and the caller's own capsule.
func (f *footageService) infos(ctx context.Context, epochs []catalog.Epoch, more bool) (*connect.Response[v1.ListEpochsResponse], error) {
	_, member, err := f.caller(ctx)
	if err != nil {
		return nil, f.s.answer(ctx, err)
	}
	own := member.Kids()
	res := &v1.ListEpochsResponse{More: more}
	for _, e := range epochs {
		lines, err := f.s.catalog.SealLines(ctx, e.ID)
		if err != nil {
			return nil, f.s.answer(ctx, err)
		}
		info := &v1.EpochInfo{Note: e.Note, Heads: e.Heads, ReceivedMs: e.Received.UnixMilli()}
		for _, l := range lines {
			info.Seals = append(info.Seals, &v1.SealLine{Kid: l.Kid[:], Hash: l.Hash[:]})
			if !slices.Contains(own, l.Kid) {
				continue
			}
			if info.Capsule, err = f.s.catalog.Capsule(ctx, e.ID, l.Kid); err != nil {
				return nil, f.s.answer(ctx, err)
			}
		}
		res.Epochs = append(res.Epochs, info)
	}
	return connect.NewResponse(res), nil
}
