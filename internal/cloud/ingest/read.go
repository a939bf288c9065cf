package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/blob"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// View is an open reel as it was at one moment: Reel has no Digest and no
// encoded index, Parts is the decoded one.
type View struct {
	catalog.Reel
	Parts []catalog.PartAt
	path  string
}

// OpenReels returns the reels of a track that are not in the catalog yet. To
// see all of a track, call it before asking the catalog: a reel that closes in
// between is then in both, never in neither.
func (e *Engine) OpenReels(h latchkey.HouseholdID, id latchkey.TrackID) []View {
	e.mu.Lock()
	var tracks []*track
	for _, t := range e.tracks[id] {
		if t.epoch.Hub.Household == h {
			tracks = append(tracks, t)
		}
	}
	e.mu.Unlock()
	var views []View
	for _, t := range tracks {
		views = append(views, t.views()...)
	}
	return views
}

func (t *track) views() []View {
	t.mu.Lock()
	defer t.mu.Unlock()
	var views []View
	for _, s := range t.spans {
		r := s.reel
		if r == nil || len(r.parts) == 0 {
			continue
		}
		n := len(r.parts)
		views = append(views, View{
			Reel: catalog.Reel{
				Household: t.epoch.Hub.Household, Epoch: t.epoch.ID, Track: t.id, Start: t.epoch.Start, N: t.epoch.N,
				FirstSeq: r.first, LastSeq: r.lastSeq(), FirstSlot: r.parts[0].Slot, LastSlot: r.parts[n-1].Slot,
				Bytes: r.size, FirstPrev: r.prev, LastHash: r.hashes[n-1],
			},
			Parts: r.parts[:n:n], path: r.path, // parts only grows: this slice does not change
		})
	}
	return views
}

// Read reads n bytes of an open reel from offset off. If the reel was closed
// meanwhile, the same bytes come from the store.
func (e *Engine) Read(ctx context.Context, v View, off, n int64) (io.ReadCloser, error) {
	f, err := os.Open(v.path)
	if errors.Is(err, fs.ErrNotExist) {
		return e.cfg.Store.Get(ctx, v.Name(), off, n)
	}
	if err != nil {
		return nil, fmt.Errorf("ingest: read %s: %w", v.Name(), err)
	}
	r, err := blob.Range(f, off, n)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ingest: read %s: %w", v.Name(), err), f.Close())
	}
	return r, nil
}

// Held is a range of parts that the cloud has.
type Held struct {
	First, Last uint32
	Level       Level
}

// Have returns which of the parts first…last of a hub's epoch and track the
// cloud holds, and how safely. What has no receipt yet is left out. An epoch
// that is not the hub's has nothing.
func (e *Engine) Have(ctx context.Context, hub Hub, epoch latchkey.EpochID, id latchkey.TrackID, first, last uint32) ([]Held, error) {
	ep, err := e.Epoch(ctx, epoch)
	if errors.Is(err, latchkey.ErrNotFound) || err == nil && (ep.Hub != hub || !ep.Tracks[id]) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := e.trackOf(ctx, ep, id)
	if err != nil {
		return nil, err
	}
	defer t.mu.Unlock()
	var held []Held
	for _, s := range t.spans {
		h := Held{First: max(first, s.first), Last: min(last, s.last), Level: Durable}
		if s.reel != nil {
			if s.reel.told == 0 {
				continue
			}
			h.Level, h.Last = Stored, min(h.Last, s.first+uint32(s.reel.told)-1)
		}
		if h.First <= h.Last {
			held = append(held, h)
		}
	}
	return held, nil
}

// LastSlotEnd returns the wall time (unix seconds) up to which open reels of
// an epoch reach; 0 when there is none.
func (e *Engine) LastSlotEnd(epoch latchkey.EpochID) int64 {
	var end int64
	for _, t := range e.allTracks() {
		if t.epoch.ID != epoch {
			continue
		}
		for _, v := range t.views() {
			end = max(end, v.Start+int64(v.LastSlot)+1)
		}
	}
	return end
}
