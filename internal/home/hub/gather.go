package hub

import (
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/pack"
)

// sealed is the footage that a call has sealed: when its first and its last
// sample were captured. Zero: none.
type sealed struct{ first, last time.Time }

func (s sealed) none() bool { return s.first.IsZero() }

func (s *sealed) add(f pack.Fragment) {
	if s.none() {
		s.first = f.Start
	}
	s.last = f.Last
}

// wait makes sure that what begins to be gathered now is sealed in time, also
// when the camera sends nothing more. Callers hold mu.
func (t *track) wait() {
	t.due = time.Now().Add(pack.GatherLimit)
	if t.timer == nil {
		t.timer = time.AfterFunc(pack.GatherLimit, t.late)
		return
	}
	t.timer.Reset(pack.GatherLimit)
}

// late seals what has been gathered for long enough. A timer that was set anew
// while it ran out finds nothing due.
func (t *track) late() {
	t.tell(func() []pack.Fragment {
		if time.Now().Before(t.due) {
			return nil
		}
		return t.packer.Flush()
	})
}

// watch says whether somebody watches. Who comes first is sent at once what is
// gathered, and then picture by picture.
func (t *track) watch(on bool) {
	t.tell(func() []pack.Fragment {
		if t.watched == on {
			return nil
		}
		t.watched = on
		return t.packer.Gather(!on)
	})
}

// settle seals what is gathered: the camera is gone.
func (t *track) settle() { t.tell(func() []pack.Fragment { return t.packer.Flush() }) }

// tell records the fragments that ready returns and reports it. When it has
// returned, so has every other such report: what happens next on the caller's
// side comes after them.
func (t *track) tell(ready func() []pack.Fragment) {
	t.telling.Lock()
	defer t.telling.Unlock()
	t.mu.Lock()
	if t.packer == nil {
		t.mu.Unlock()
		return
	}
	s, err := t.record(ready())
	told := t.told
	t.mu.Unlock()
	if told != nil && (err != nil || !s.none()) {
		told(s, err)
	}
}

// reportTo says who hears of what is sealed later than it came.
func (t *track) reportTo(told func(sealed, error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told = told
}

// Watched implements uplink.Handler: the cloud's wish for latency. Calls come
// one after the other.
func (a *agent) Watched(ids []latchkey.TrackID) {
	watched := make(map[latchkey.TrackID]bool, len(ids))
	for _, id := range ids {
		watched[id] = true
	}
	a.mu.Lock()
	a.watched = watched
	tracks := make([]*track, 0, len(a.tracks))
	for _, t := range a.tracks {
		tracks = append(tracks, t)
	}
	a.mu.Unlock()
	for _, t := range tracks {
		t.watch(watched[t.id])
	}
}
