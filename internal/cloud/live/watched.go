package live

import (
	"bytes"
	"slices"
	"time"

	"latchkey.dev/latchkey"
)

// linger is how long a track counts as watched after its last viewer has left:
// a page that is loaded anew, or a viewer between two cameras, switches nothing.
const linger = 10 * time.Second

// watched is a track of a household that somebody watches, or did a moment ago.
type watched struct {
	viewers int
	left    time.Time // when the last one did
	timer   *time.Timer
}

// Watched calls tell with the tracks of the source's household that somebody
// watches, all of them in order: now and at every change, until Close. tell
// must not block.
func (s *Source) Watched(tell func([]latchkey.TrackID)) {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	home := s.r.homes[s.household]
	if s.closed || home == nil {
		return
	}
	home.told[s] = tell
	tell(home.watchedTracks())
}

// came counts a viewer of a track in.
func (r *Relay) came(h latchkey.HouseholdID, id latchkey.TrackID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	home := r.homeOf(h)
	w := home.watched[id]
	if w == nil {
		w = &watched{}
		home.watched[id] = w
		home.tellWatched()
	}
	w.viewers++
}

// left counts a viewer of a track out.
func (r *Relay) left(h latchkey.HouseholdID, id latchkey.TrackID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	home := r.homeOf(h)
	w := home.watched[id]
	if w == nil {
		return
	}
	if w.viewers--; w.viewers > 0 {
		return
	}
	w.left = time.Now()
	if w.timer == nil {
		w.timer = time.AfterFunc(linger, func() { r.forget(home, id, w) })
		return
	}
	w.timer.Reset(linger)
}

// forget drops a track that nobody has watched for long enough; a timer that was
// set anew while it ran out finds that it is not.
func (r *Relay) forget(home *home, id latchkey.TrackID, w *watched) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if home.watched[id] != w || w.viewers > 0 || time.Since(w.left) < linger {
		return
	}
	delete(home.watched, id)
	home.tellWatched()
}

// tellWatched tells the household's hubs. Callers hold the relay's mu.
func (h *home) tellWatched() {
	if len(h.told) == 0 {
		return
	}
	tracks := h.watchedTracks()
	for _, tell := range h.told {
		tell(tracks)
	}
}

func (h *home) watchedTracks() []latchkey.TrackID {
	tracks := make([]latchkey.TrackID, 0, len(h.watched))
	for id := range h.watched {
		tracks = append(tracks, id)
	}
	slices.SortFunc(tracks, func(a, b latchkey.TrackID) int { return bytes.Compare(a[:], b[:]) })
	return tracks
}
