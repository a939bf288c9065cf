package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/ingest"
	"latchkey.dev/latchkey/internal/cloud/live"
	"latchkey.dev/latchkey/part"
)

// reelView is a reel, closed or open, with its index.
type reelView struct {
	catalog.Reel
	parts []catalog.PartAt
	open  *ingest.View // nil: closed
	slots live.Slots   // what is to be seen of its epoch
}

// cursor points at one part of a track.
type cursor struct {
	view  *reelView
	index int
}

func closedView(r catalog.Reel) (*reelView, error) {
	parts, err := catalog.ParseIndex(r.Parts)
	if err == nil && len(parts) != int(r.LastSeq-r.FirstSeq)+1 {
		err = fmt.Errorf("cloud: index of %s: %w: %d parts", r.Name(), latchkey.ErrVerify, len(parts))
	}
	return &reelView{Reel: r, parts: parts}, err
}

func openView(v ingest.View) *reelView { return &reelView{Reel: v.Reel, parts: v.Parts, open: &v} }

// readView reads bytes of a reel.
func (s *Server) readView(ctx context.Context, v *reelView, off, n int64) (io.ReadCloser, error) {
	if v.open != nil {
		return s.ingest.Read(ctx, *v.open, off, n)
	}
	return s.store.Get(ctx, v.Name(), off, n)
}

// nearest returns, of the open reels of the track that ok accepts, the best by
// better. Open reels must be asked for before the catalog: see OpenReels.
func (g *sight) nearest(ok func(ingest.View) bool, better func(a, b catalog.Position) bool) *reelView {
	var best *ingest.View
	for _, v := range g.s.ingest.OpenReels(g.household, g.track) {
		if ok(v) && (best == nil || better(v.First(), best.First())) {
			best = &v
		}
	}
	if best == nil {
		return nil
	}
	return openView(*best)
}

func earlier(a, b catalog.Position) bool { return a.Before(b) }
func later(a, b catalog.Position) bool   { return b.Before(a) }

// closer picks between an open and a closed candidate, either may be nil. Of
// the same reel seen twice the closed one is taken.
func closer(open *reelView, rows []catalog.Reel, better func(a, b catalog.Position) bool) (*reelView, error) {
	if len(rows) == 0 {
		return open, nil
	}
	if open != nil && better(open.First(), rows[0].First()) {
		return open, nil
	}
	return closedView(rows[0])
}

// viewAfter is the reel to be seen that follows v in the order of the track, or nil.
func (g *sight) viewAfter(ctx context.Context, v *reelView) (*reelView, error) {
	return g.viewFrom(ctx, after(v))
}

// after is the position right behind a reel.
func after(v *reelView) catalog.Position {
	p := v.First()
	if v.LastSeq == math.MaxUint32 {
		return catalog.Position{Start: p.Start, N: p.N + 1}
	}
	p.Seq = v.LastSeq + 1
	return p
}

// viewFrom is the first reel to be seen at or after a position, or nil. It goes
// past an epoch that is not there for the member in one step.
func (g *sight) viewFrom(ctx context.Context, from catalog.Position) (*reelView, error) {
	for {
		open := g.nearest(func(v ingest.View) bool { return !v.First().Before(from) }, earlier)
		rows, err := g.s.catalog.ReelsAfter(ctx, g.household, g.track, from, 1)
		if err != nil {
			return nil, err
		}
		v, err := closer(open, rows, earlier)
		if err != nil || v == nil {
			return nil, err
		}
		if shown, err := g.show(ctx, v); err != nil || shown {
			return v, err
		}
		if from = after(v); len(v.slots) == 0 {
			from = catalog.Position{Start: v.Start, N: v.N + 1}
		}
	}
}

// viewBefore is the last reel to be seen that begins before a position, or nil.
func (g *sight) viewBefore(ctx context.Context, from catalog.Position) (*reelView, error) {
	for {
		open := g.nearest(func(v ingest.View) bool { return v.First().Before(from) }, later)
		rows, err := g.s.catalog.ReelsBefore(ctx, g.household, g.track, from, 1)
		if err != nil {
			return nil, err
		}
		v, err := closer(open, rows, later)
		if err != nil || v == nil {
			return nil, err
		}
		if shown, err := g.show(ctx, v); err != nil || shown {
			return v, err
		}
		if from = v.First(); len(v.slots) == 0 {
			from.Seq = 0
		}
	}
}

// viewHolding is the reel with the part seq of an epoch, or ErrNotFound: if
// there is none in this household, or none to be seen.
func (g *sight) viewHolding(ctx context.Context, e latchkey.EpochID, seq uint32) (*reelView, error) {
	v := g.nearest(func(v ingest.View) bool { return v.Epoch == e && v.FirstSeq <= seq && seq <= v.LastSeq }, later)
	if v == nil {
		r, err := g.s.catalog.ReelAt(ctx, e, g.track, seq)
		if err == nil && r.Household != g.household {
			err = fmt.Errorf("cloud: footage: %w", latchkey.ErrNotFound)
		}
		if err == nil {
			v, err = closedView(r)
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := g.show(ctx, v); err != nil {
		return nil, err
	}
	if !v.slots.Has(v.parts[seq-v.FirstSeq].Slot) {
		return nil, fmt.Errorf("cloud: footage: %w", latchkey.ErrNotFound)
	}
	return v, nil
}

// lastBegun is the newest reel to be seen whose first slot begins at or before
// the unix second at, or nil.
func (g *sight) lastBegun(ctx context.Context, at int64) (*reelView, error) {
	v := g.nearest(func(v ingest.View) bool { return v.Start+int64(v.FirstSlot) <= at }, later)
	r, err := g.s.catalog.LastReelBegun(ctx, g.household, g.track, at)
	if err != nil && !errors.Is(err, latchkey.ErrNotFound) {
		return nil, err
	}
	if err == nil {
		if v, err = closer(v, []catalog.Reel{r}, later); err != nil {
			return nil, err
		}
	}
	if v == nil {
		return nil, nil
	}
	if shown, err := g.show(ctx, v); err != nil || shown {
		return v, err
	}
	from := v.First()
	if len(v.slots) == 0 {
		from.Seq = 0
	}
	return g.viewBefore(ctx, from)
}

// maxBack bounds the search for a random-access part, in reels.
const maxBack = 120

// seek finds the last random-access part to be seen at or before the wall time
// from, or the first part after it if there is none; nil if there is neither.
func (g *sight) seek(ctx context.Context, from float64) (*cursor, error) {
	view, err := g.lastBegun(ctx, int64(from))
	for n := 0; view != nil && err == nil && n < maxBack; n++ {
		if i := lastRAP(view, from); i >= 0 {
			return &cursor{view: view, index: i}, nil
		}
		view, err = g.viewBefore(ctx, view.First())
	}
	if err != nil {
		return nil, err
	}
	return g.firstAfter(ctx, from)
}

// lastRAP returns the index of the last random-access part of v that is at or
// before the wall time from; -1 if there is none. The header knows whole
// seconds only. Inside the second of from, a part's place among the parts of
// its slot says about when it was: parts come at an even pace, and one too
// many is decoded rather than one too few.
func lastRAP(v *reelView, from float64) int {
	slot := int64(math.Floor(from)) - v.Start
	for i := len(v.parts) - 1; i >= 0; i-- {
		p := v.parts[i]
		if p.Flags&part.RAP == 0 || int64(p.Slot) > slot || !v.slots.Has(p.Slot) {
			continue
		}
		if int64(p.Slot) < slot || placeInSlot(v.parts, i) <= from-math.Floor(from) {
			return i
		}
	}
	return -1
}

// placeInSlot estimates the latest time of part i within its slot, 0 to 1.
func placeInSlot(parts []catalog.PartAt, i int) float64 {
	first, last := i, i
	for first > 0 && parts[first-1].Slot == parts[i].Slot {
		first--
	}
	for last+1 < len(parts) && parts[last+1].Slot == parts[i].Slot {
		last++
	}
	return float64(i-first+1) / float64(last-first+1)
}

// firstAfter is the first part whose slot is not before the second of from.
func (g *sight) firstAfter(ctx context.Context, from float64) (*cursor, error) {
	at := int64(math.Floor(from))
	view, err := g.lastBegun(ctx, at)
	if err != nil {
		return nil, err
	}
	if view == nil {
		view, err = g.viewFrom(ctx, catalog.Position{})
	}
	for view != nil && err == nil {
		for i, p := range view.parts {
			if view.Start+int64(p.Slot) >= at && view.slots.Has(p.Slot) {
				return &cursor{view: view, index: i}, nil
			}
		}
		view, err = g.viewAfter(ctx, view)
	}
	return nil, err
}
