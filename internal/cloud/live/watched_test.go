package live

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey.dev/latchkey"
)

// listen collects what a hub of the household is told is watched.
func listen(s *Source) func() [][]latchkey.TrackID {
	var mu sync.Mutex
	var heard [][]latchkey.TrackID
	s.Watched(func(ids []latchkey.TrackID) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, ids)
	})
	return func() [][]latchkey.TrackID {
		mu.Lock()
		defer mu.Unlock()
		out := heard
		heard = nil
		return out
	}
}

func wantHeard(t *testing.T, heard [][]latchkey.TrackID, want ...[]latchkey.TrackID) {
	t.Helper()
	if !slices.EqualFunc(heard, want, slices.Equal) {
		t.Fatalf("the hub heard %v, want %v", heard, want)
	}
}

func tracks(ns ...uint32) []latchkey.TrackID {
	out := []latchkey.TrackID{}
	for _, n := range ns {
		out = append(out, trackID(n))
	}
	return out
}

// TestWatched: the hub hears of the first viewer at once, of the last one's
// leaving ten seconds later, and of nothing in between.
func TestWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New()
		hub, other := r.Source(home1), r.Source(home2)
		heard, elsewhere := listen(hub), listen(other)
		wantHeard(t, heard(), tracks())
		r.came(home1, trackID(2))
		wantHeard(t, heard(), tracks(2))
		r.came(home1, trackID(1))
		wantHeard(t, heard(), tracks(1, 2))
		r.came(home1, trackID(1))
		r.left(home1, trackID(1))
		r.left(home1, trackID(2))
		time.Sleep(linger - time.Second)
		r.came(home1, trackID(2)) // back in time
		r.left(home1, trackID(2))
		time.Sleep(linger - time.Second)
		wantHeard(t, heard())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantHeard(t, heard(), tracks(1))
		late := listen(r.Source(home1)) // a second hub
		wantHeard(t, late(), tracks(1))
		r.left(home1, trackID(1))
		time.Sleep(linger + time.Second)
		synctest.Wait()
		wantHeard(t, heard(), tracks())
		wantHeard(t, late(), tracks())
		hub.Close()
		r.came(home1, trackID(7))
		wantHeard(t, heard())
		wantHeard(t, late(), tracks(7))
		wantHeard(t, elsewhere(), tracks())
	})
}

// TestWatchedByViewers: it is the viewers' sockets that count, and only what
// they may see.
func TestWatchedByViewers(t *testing.T) {
	r := New()
	url := serve(t, r)
	hub := r.Source(home1)
	defer hub.Close()
	heard := make(chan []latchkey.TrackID, 10)
	hub.Watched(func(ids []latchkey.TrackID) { heard <- ids })
	wantHeard(t, [][]latchkey.TrackID{<-heard}, tracks())
	ws := dial(t, url, trackID(99), trackID(5), trackID(5))
	wantHeard(t, [][]latchkey.TrackID{<-heard}, tracks(5))
	dial(t, url, trackID(5), trackID(6))
	wantHeard(t, [][]latchkey.TrackID{<-heard}, tracks(5, 6))
	if err := ws.WriteJSON(request{Op: "unwatch", Track: trackID(5).String()}); err != nil {
		t.Fatal(err)
	}
	if err := ws.WriteJSON(request{Op: "unwatch", Track: trackID(5).String()}); err != nil {
		t.Fatal(err)
	}
	ws.Close()
	for r.Viewers(home1) != 1 {
		time.Sleep(time.Millisecond)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.homes[home1].watched[trackID(5)]; w == nil || w.viewers != 1 {
		t.Errorf("one viewer of track 5 is left, the relay counts %+v", w)
	}
}
