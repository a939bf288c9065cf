package hub

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/pack"
	"latchkey.dev/latchkey/part"
)

// shelf keeps what was sealed, and when.
type shelf struct {
	pictures []int // of each part; 0 for one without a fragment
	at       []time.Time
}

func (s *shelf) Put([]byte) { s.at = append(s.at, time.Now()) }

// counting is a sealer that counts the pictures of each part.
type counting struct {
	framer
	shelf *shelf
	t     *testing.T
}

func (c *counting) Seal(id latchkey.TrackID, slot uint32, flags part.Flags, recs ...part.Record) ([]byte, error) {
	n := 0
	for _, r := range recs {
		if r.Type == part.RecordFragment {
			samples, err := pack.ParseFragment(r.Data)
			if err != nil {
				c.t.Error(err)
			}
			n += len(samples)
		}
	}
	c.shelf.pictures = append(c.shelf.pictures, n)
	return c.framer.Seal(id, slot, flags, recs...)
}

// gathering is an open track in an epoch that begins now, inside a bubble.
func gathering(t *testing.T) (*track, *shelf) {
	t.Helper()
	s := &shelf{}
	tr := &track{kind: latchkey.KindVideo, out: s, open: true, preRoll: 5 * time.Second}
	if _, err := tr.turn(newCounting(t, s), time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.setFormat(camera.Format{
		Codec: camera.H264, SPS: sps1080, PPS: []byte{0x68, 0xee, 0x3c, 0x80}, ClockRate: 90_000, FPS: 25,
	}); err != nil {
		t.Fatal(err)
	}
	return tr, s
}

func newCounting(t *testing.T, s *shelf) *epoch {
	start := time.Now().Truncate(time.Second)
	return &epoch{sealer: &counting{framer{start: start, seq: map[latchkey.TrackID]uint32{}}, s, t}, start: start}
}

// show sends n pictures, 40 ms apart, the first a key frame.
func show(t *testing.T, tr *track, n int) (all sealed) {
	t.Helper()
	for i := range n {
		if i > 0 {
			time.Sleep(40 * time.Millisecond)
		}
		s, err := tr.push(camera.Unit{Kind: latchkey.KindVideo, Key: i == 0, NALUs: [][]byte{{0x65, byte(i)}}, Wall: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if all.none() {
			all.first = s.first
		}
		all.last = s.last
	}
	return all
}

func wantParts(t *testing.T, s *shelf, pictures ...int) {
	t.Helper()
	if !slices.Equal(s.pictures, pictures) {
		t.Fatalf("parts of %v pictures, want %v", s.pictures, pictures)
	}
}

// TestLastPicturesAreSealed: a camera that falls silent takes nothing along.
func TestLastPicturesAreSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, s := gathering(t)
		var told []sealed
		tr.reportTo(func(s sealed, err error) {
			if err != nil {
				t.Error(err)
			}
			told = append(told, s)
		})
		began := time.Now()
		show(t, tr, 8)
		time.Sleep(time.Second)
		synctest.Wait()
		wantParts(t, s, 5, 3)
		if wait := s.at[1].Sub(began.Add(200 * time.Millisecond)); wait > 250*time.Millisecond {
			t.Errorf("the last pictures were sealed %v after the first of them came", wait)
		}
		if len(told) != 1 || told[0].first.Sub(began).Round(time.Millisecond) != 200*time.Millisecond || told[0].last.Sub(began).Round(time.Millisecond) != 280*time.Millisecond {
			t.Errorf("told of %v", told)
		}
	})
}

// TestSlowPicturesDoNotWait: where one picture comes in 200 ms each is a part,
// and no timer has anything to do.
func TestSlowPicturesDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, s := gathering(t)
		for i := range 10 {
			if _, err := tr.push(camera.Unit{Kind: latchkey.KindVideo, Key: i == 0, NALUs: [][]byte{{0x65}}, Wall: time.Now()}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
		}
		// The first two are judged by the format's 25 a second.
		if n := len(s.pictures); n != 10 {
			t.Errorf("%d parts of ten pictures: %v", n, s.pictures)
		}
	})
}

// TestFirstViewerIsServedAtOnce: what is gathered goes out when he comes, then
// every picture by itself; when he has left, pictures are gathered again.
func TestFirstViewerIsServedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, s := gathering(t)
		show(t, tr, 3)
		wantParts(t, s)
		came := time.Now()
		tr.watch(true)
		wantParts(t, s, 3)
		if !s.at[0].Equal(came) {
			t.Errorf("sealed %v after he came", s.at[0].Sub(came))
		}
		tr.watch(true) // said again: nothing happens
		time.Sleep(40 * time.Millisecond)
		show(t, tr, 4)
		wantParts(t, s, 3, 1, 1, 1, 1)
		tr.watch(false)
		time.Sleep(40 * time.Millisecond)
		show(t, tr, 5)
		wantParts(t, s, 3, 1, 1, 1, 1, 5)
	})
}

// TestWatchedOverAnEpoch: an epoch ends what is gathered, and a watched track
// stays watched.
func TestWatchedOverAnEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, s := gathering(t)
		show(t, tr, 2)
		if done, err := tr.turn(newCounting(t, s), time.Now()); err != nil || done.none() {
			t.Fatalf("turn sealed %v, %v", done, err)
		}
		wantParts(t, s, 2, 0) // END
		tr.watch(true)
		if _, err := tr.turn(nil, time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.turn(newCounting(t, s), time.Now()); err != nil {
			t.Fatal(err)
		}
		show(t, tr, 2)
		wantParts(t, s, 2, 0, 1, 1)
	})
}

// TestPreRollHoldsWhatIsGathered: the pictures of the last moments before an
// event are in it, and those of its last moments too; a camera that is switched
// off keeps none.
func TestPreRollHoldsWhatIsGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, s := gathering(t)
		tr.open = false
		show(t, tr, 7)
		done, err := tr.setOpen(true)
		if err != nil {
			t.Fatal(err)
		}
		wantParts(t, s, 5, 2)
		if d := done.last.Sub(done.first).Round(time.Millisecond); d != 240*time.Millisecond {
			t.Errorf("the pre-roll has %v", d)
		}
		time.Sleep(40 * time.Millisecond)
		show(t, tr, 3)
		if done, err := tr.setOpen(false); err != nil || done.none() {
			t.Fatalf("the end of the event sealed %v, %v", done, err)
		}
		wantParts(t, s, 5, 2, 3)
		time.Sleep(40 * time.Millisecond)
		show(t, tr, 3)
		if _, err := tr.setOpen(false); err != nil || tr.packer.Waiting() || len(tr.ring) > 0 {
			t.Errorf("pictures wait in a camera that is switched off (%v)", err)
		}
		wantParts(t, s, 5, 2, 3)
	})
}

// TestGapAfterTheLastPicture: the pictures that were gathered when the camera
// vanished are told of before the gap begins, so that they do not end it.
func TestGapAfterTheLastPicture(t *testing.T) {
	_, c, k, _ := offline(t)
	r := k.recorder(c.id)
	tr := r.media[latchkey.KindVideo]
	k.renewIfDue()
	if k.epochNow() == nil {
		t.Fatal("no epoch")
	}
	tr.reportTo(func(s sealed, err error) { r.took(latchkey.KindVideo, s, err) })
	if _, err := tr.setOpen(true); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.setFormat(camera.Format{
		Codec: camera.H264, SPS: sps1080, PPS: []byte{0x68, 0xee, 0x3c, 0x80}, ClockRate: 90_000, FPS: 25,
	}); err != nil {
		t.Fatal(err)
	}
	at := k.clock.now()
	// On a busy machine a gathered part may go before the next picture comes.
	var last time.Time
	for i := 0; i < 3 || i < 100 && !tr.packer.Waiting(); i++ {
		last = at.Add(time.Duration(i) * 40 * time.Millisecond)
		r.Unit(camera.Unit{Kind: latchkey.KindVideo, Key: i == 0, NALUs: [][]byte{{0x65, 1}}, Wall: last})
	}
	if !tr.packer.Waiting() {
		t.Fatal("nothing is gathered: this test would prove nothing")
	}
	r.mainStatus(camera.Status{State: camera.StateOffline, Since: last.Add(time.Second)})
	if tr.packer.Waiting() {
		t.Error("pictures of a camera that is gone still wait")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gap == nil || r.gap.why != whyOffline || r.gap.from.Sub(last).Round(time.Millisecond) != 0 {
		t.Errorf("the gap is %+v, want from the last picture on", r.gap)
	}
}

// TestViewerOfAHub: of a running hub's tracks the one that is watched has one
// picture a part from then on, and the others are gathered.
func TestViewerOfAHub(t *testing.T) {
	w := newHouse(t)
	sim := simulate(t)
	h := w.start()
	c := w.camera("Porch", sim.URL("porch"), sim.URL("porch/sub"), modeContinuous)
	w.add(c)
	video, sub := c.tracks[latchkey.KindVideo], c.tracks[latchkey.KindVideoSub]
	w.wait("pictures", func() bool { return w.count(video) > 5 && w.count(sub) > 5 })
	w.cloud.Watch(video)
	switched := w.count(video) + 2 // one may be on its way, one is what was gathered
	w.wait("pictures for the viewer", func() bool { return w.count(video) > switched+30 })
	w.cloud.Watch()
	w.wait("pictures without a viewer", func() bool { return w.count(video) > switched+50 })
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	single, gathered := pictureCounts(t, w.open(video)), pictureCounts(t, w.open(sub))
	if slices.Max(single[:switched-2]) < 3 || slices.Max(single[switched:switched+30]) != 1 || slices.Max(single[switched+30:]) < 3 {
		t.Errorf("pictures a part, watched from %d on: %v", switched, single)
	}
	if mean := float64(sum(gathered)) / float64(len(gathered)); mean < 2.5 {
		t.Errorf("a track that nobody watches has %.1f pictures a part", mean)
	}
}

// pictureCounts counts the pictures of each part but END.
func pictureCounts(t *testing.T, parts []seal.Opened) (counts []int) {
	t.Helper()
	for _, o := range parts {
		for _, r := range o.Records {
			if r.Type != part.RecordFragment {
				continue
			}
			samples, err := pack.ParseFragment(r.Data)
			if err != nil {
				t.Fatal(err)
			}
			counts = append(counts, len(samples))
		}
	}
	return counts
}

func sum(of []int) (n int) {
	for _, v := range of {
		n += v
	}
	return n
}
