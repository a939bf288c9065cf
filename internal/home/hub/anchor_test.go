package hub

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/uplink/uplinktest"
)

// anchors are those in the fake cloud's chain, and how often each names an epoch.
func (w *house) anchors() (list []chain.Anchor, named map[latchkey.Hash]int) {
	w.t.Helper()
	named = map[latchkey.Hash]int{}
	for _, raw := range w.cloud.Chain() {
		n, err := chain.ParseNote(raw)
		if err != nil {
			w.t.Fatal(err)
		}
		st, err := chain.ParseStatement(n)
		if err != nil {
			w.t.Fatal(err)
		}
		if a, ok := st.(chain.Anchor); ok {
			list = append(list, a)
			for _, e := range a.Epochs {
				named[e]++
			}
		}
	}
	return list, named
}

// allAnchored reports whether an anchor names each epoch but the newest, and at
// least n; one that is named twice ends the test.
func (w *house) allAnchored(n int) bool {
	w.t.Helper()
	epochs := w.cloud.Epochs()
	_, named := w.anchors()
	for hash, times := range named {
		if times > 1 {
			w.t.Fatalf("the epoch note %v is anchored %d times", hash, times)
		}
	}
	if len(epochs) <= n {
		return false
	}
	return !slices.ContainsFunc(epochs[:len(epochs)-1], func(e uplinktest.Epoch) bool { return named[e.Hash] == 0 })
}

// hurried is a pace with which epochs and anchors come several times a second.
func (w *house) hurried() {
	w.cfg.Pace.EpochLife, w.cfg.Pace.EpochJitter, w.cfg.Pace.EpochSpacing = 400*time.Millisecond, 0, 0
	w.cfg.Pace.Anchor = 2400 * time.Millisecond
}

// TestAnchors: every epoch that has ended is anchored, once, also where somebody
// else is faster, the answer is lost, or the server is away; the log may be down.
func TestAnchors(t *testing.T) {
	w := newHouse(t)
	w.hurried()
	var calls atomic.Int32
	w.cloud.OnAnchor = func() (lose bool, err error) {
		switch calls.Add(1) {
		case 1: // somebody else was faster
			notes := w.cloud.Chain()
			state, err := chain.Replay(notes, time.Now().Unix())
			if err != nil {
				t.Error(err)
			}
			raw := w.signed(chain.Retain{Head: chain.Head{
				Household: state.Household, Seq: state.Seq + 1, Prev: state.Hash, Time: time.Now().Unix(), By: w.sign.Kid(), Salt: random16(),
			}, AllTracks: true, Seconds: 86400}, w.sign)
			w.cloud.SetChain(append(notes[:len(notes):len(notes)], raw))
		case 3:
			return true, nil
		case 4:
			return false, connect.NewError(connect.CodePermissionDenied, errors.New("not today"))
		}
		return false, nil
	}
	r := w.start()
	porch := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff)
	w.add(porch)
	w.wait("epochs are anchored", func() bool { return calls.Load() > 5 && w.allAnchored(6) })
	list, _ := w.anchors()
	if newest := list[len(list)-1]; newest.By != w.hub || len(newest.Heads) == 0 {
		t.Errorf("the newest anchor is %+v", newest)
	}
	w.cloud.Log.SetDown(true)
	before := len(list)
	w.wait("anchors while the log is down", func() bool { list, _ := w.anchors(); return len(list) > before+2 })
	w.cloud.SetDown(true)
	time.Sleep(time.Second) // epochs go on meanwhile
	w.cloud.SetDown(false)
	n := len(w.cloud.Epochs())
	w.wait("what ended meanwhile is anchored", func() bool { return w.allAnchored(n + 2) })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
}

// TestAnchorsAcrossKill: a hub that is killed forgets no epoch and anchors none
// twice.
func TestAnchorsAcrossKill(t *testing.T) {
	w := newHouse(t)
	w.hurried()
	r := w.start()
	w.add(w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff))
	w.wait("an epoch", func() bool { return len(w.cloud.Epochs()) > 0 })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		before := len(w.cloud.Epochs())
		cmd := w.child()
		w.wait("epochs of this run", func() bool { return len(w.cloud.Epochs()) > before+i })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // says "killed"
	}
	before := len(w.cloud.Epochs())
	w.start()
	w.wait("every epoch is anchored", func() bool { return w.allAnchored(before) })
}

// TestAnchorsOfAQuietHouse: also where no epoch ends there is an anchor a day, of
// how far the tracks have come; and where nothing was ever recorded there is none.
func TestAnchorsOfAQuietHouse(t *testing.T) {
	w := newHouse(t)
	w.cfg.Pace.Anchor = 1200 * time.Millisecond
	w.start()
	time.Sleep(2 * time.Second)
	if list, _ := w.anchors(); len(list) > 0 {
		t.Fatalf("a hub without a camera has anchored: %+v", list[0])
	}
	porch := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff)
	w.add(porch)
	w.wait("two anchors of one epoch", func() bool { list, _ := w.anchors(); return len(list) >= 2 })
	list, named := w.anchors()
	if len(w.cloud.Epochs()) != 1 || len(named) != 0 || len(list[1].Heads) != 1 || list[1].Heads[0].Track != porch.tracks[latchkey.KindMeta] {
		t.Errorf("%d epochs, %+v", len(w.cloud.Epochs()), list)
	}
}

// TestAnchorNamesWhatHasEnded runs the loop by hand: an epoch is not named while
// anything can be sealed in it, whatever is on the disk already.
func TestAnchorNamesWhatHasEnded(t *testing.T) {
	w := newHouse(t)
	r := w.start()
	w.add(w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff))
	w.wait("an epoch", func() bool { return len(w.cloud.Epochs()) == 1 })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	w.cfg.Pace.EpochSpacing = 0
	h, err := New(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := h.open()
	if err != nil {
		t.Fatal(err)
	}
	defer a.spool.Close()
	a.ctx = t.Context()
	none := func(latchkey.Hash) bool { return false }
	if epochs, heads := a.toAnchor(none); len(epochs) != 1 || len(heads) != 1 {
		t.Fatalf("after a start: %d epochs, %d heads; want those of the run before", len(epochs), len(heads))
	}
	for _, c := range a.store.cfg().Cameras {
		id, err := c.check()
		if err != nil {
			t.Fatal(err)
		}
		a.put(id, c, nil)
	}
	k := &keeper{agent: a, beat: map[string]time.Time{}}
	for want := 1; want <= 3; want++ {
		a.demand(whyBoot)
		if err := k.step(); err != nil {
			t.Fatal(err)
		}
		if epochs, _ := a.toAnchor(none); len(epochs) != want || slices.Contains(epochs, a.epoch.NoteHash()) {
			t.Fatalf("%d epochs are named, want %d, and not the running one", len(epochs), want)
		}
	}
	if epochs, _ := a.toAnchor(func(latchkey.Hash) bool { return true }); len(epochs) != 0 {
		t.Errorf("%d epochs are named again", len(epochs))
	}
}
