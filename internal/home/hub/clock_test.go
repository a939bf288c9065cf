package hub

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/part"
)

// hands is a clock that tests move.
type hands struct {
	wall time.Time
	mono time.Duration
}

func (h *hands) read() (time.Time, time.Duration) { return h.wall, h.mono }

// pass lets both clocks run; set moves the wall clock only.
func (h *hands) pass(d time.Duration) { h.wall, h.mono = h.wall.Add(d), h.mono+d }
func (h *hands) set(d time.Duration)  { h.wall = h.wall.Add(d) }

func TestClock(t *testing.T) {
	h := &hands{wall: time.Unix(1_800_000_000, 0)}
	c := clockFrom(h.read)
	h.pass(time.Minute)
	if _, step, _ := c.look(); step != 0 {
		t.Errorf("running is no step: %v", step)
	}
	h.set(1500 * time.Millisecond)
	if _, step, _ := c.look(); step != 0 {
		t.Errorf("a correction by 1.5 s is no step: %v", step)
	}
	at := h.wall
	h.pass(time.Second)
	h.set(time.Hour)
	if _, step, before := c.look(); step != time.Hour || !before.Equal(at) {
		t.Errorf("an hour forward: %v since %v", step, before)
	}
	top := c.now()
	h.set(-time.Hour)
	if now := c.now(); !now.Equal(top) {
		t.Errorf("now ran back from %v to %v", top, now)
	}
	if _, step, _ := c.look(); step != -time.Hour {
		t.Errorf("an hour back: %v", step)
	}
	c.reset()
	if now := c.now(); !now.Equal(h.wall) {
		t.Errorf("after reset now is %v, want the system's %v", now, h.wall)
	}
}

// offline is a paired hub with one camera, not connected to anything, whose
// loop the test turns by hand.
func offline(t *testing.T) (*house, cam, *keeper, *hands) {
	t.Helper()
	return newHouse(t).offlineWith(t)
}

// offlineWith is offline in a house that the test has prepared.
func (w *house) offlineWith(t *testing.T) (*house, cam, *keeper, *hands) {
	t.Helper()
	r := w.start()
	c := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff)
	w.add(c)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if err := durable.Remove(durable.Disk{}, filepath.Join(w.cfg.DataDir, "alive")); err != nil {
		t.Fatal(err)
	}
	w.cfg.Pace.EpochSpacing, w.cfg.Pace.Settle = 0, 0
	w.cfg.Pace.State = time.Minute
	h, err := New(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := h.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.spool.Close() })
	hd := &hands{wall: time.Now().Round(0).Add(time.Minute)}
	a.clock = clockFrom(hd.read)
	a.ctx = t.Context()
	k := &keeper{agent: a, beat: map[string]time.Time{}}
	a.demand(whyBoot)
	a.put(c.id, c.cfg, nil)
	return w, c, k, hd
}

// metaParts returns the meta parts in the spool by epoch.
func metaParts(t *testing.T, k *keeper, c cam) map[latchkey.EpochID][]part.Part {
	t.Helper()
	out := map[latchkey.EpochID][]part.Part{}
	k.spool.Rewind()
	for {
		b, ok, err := k.spool.Next(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return out
		}
		for rest := b.Bytes; len(rest) > 0; {
			var p part.Part
			if p, rest, err = part.Next(rest); err != nil {
				t.Fatal(err)
			}
			if p.Header.Track != c.tracks[latchkey.KindMeta] {
				t.Fatalf("%v: the camera is off", p.Header)
			}
			out[p.Header.Epoch] = append(out[p.Header.Epoch], p)
		}
	}
}

// TestClockWalk is T9: whatever the clock does, slot and seq never go back
// within an epoch, links hold, and epochs follow one another.
func TestClockWalk(t *testing.T) {
	_, c, k, hd := offline(t)
	rng := rand.New(rand.NewPCG(7, 7))
	for range 400 {
		hd.pass(time.Duration(rng.IntN(3000)) * time.Millisecond)
		switch rng.IntN(10) {
		case 0:
			hd.set(-time.Duration(rng.IntN(7200)) * time.Second)
		case 1:
			hd.set(time.Duration(rng.IntN(7200)) * time.Second)
		case 2:
			hd.set(time.Duration(rng.IntN(4000)-2000) * time.Millisecond)
		case 3:
			if rng.IntN(20) == 0 {
				hd.set(40 * time.Hour) // past all slots
			}
		}
		if err := k.step(); err != nil {
			t.Fatal(err)
		}
		k.recorders()[0].tell()
	}
	k.swap(nil, "")
	epochs := metaParts(t, k, c)
	if len(epochs) < 20 {
		t.Fatalf("only %d epochs: the clock did not step", len(epochs))
	}
	keys := map[latchkey.Hash]bool{}
	for id, run := range epochs {
		for _, p := range run {
			onceOnly(t, keys, p)
		}
		e := k.book.find(id)
		if e == nil {
			t.Fatalf("parts of epoch %v, which has no note", id)
		}
		if _, err := part.VerifyRun(e.note.Signer, &e.hash, run); err != nil {
			t.Errorf("epoch %d: %v", e.note.N, err)
		}
	}
}

// TestEpochLife runs a day and a half by hand: a new epoch after 24 h ± 30 min.
func TestEpochLife(t *testing.T) {
	_, _, k, hd := offline(t)
	var starts []chain.EpochNote
	for range 40 * 60 {
		hd.pass(time.Minute)
		if err := k.step(); err != nil {
			t.Fatal(err)
		}
		if n, ok := k.book.newest(); ok && (len(starts) == 0 || starts[len(starts)-1].Epoch != n.Epoch) {
			starts = append(starts, n)
		}
	}
	if len(starts) != 2 {
		t.Fatalf("%d epochs in 40 h", len(starts))
	}
	life := time.Duration(starts[1].Start-starts[0].Start) * time.Second
	if life < 23*time.Hour+30*time.Minute || life > 24*time.Hour+31*time.Minute {
		t.Errorf("the first epoch lived %v", life)
	}
	if starts[1].N != starts[0].N+1 || len(starts[1].Last) == 0 {
		t.Errorf("the second note: %+v", starts[1])
	}
}

// TestStepForwardIsAGap and a step back is a new epoch.
func TestClockSteps(t *testing.T) {
	w, c, k, hd := offline(t)
	step := func(n int) {
		for range n {
			hd.pass(time.Second)
			if err := k.step(); err != nil {
				t.Fatal(err)
			}
		}
	}
	step(10)
	first, _ := k.book.newest()
	hd.set(time.Hour)
	step(3)
	if n, _ := k.book.newest(); n.Epoch != first.Epoch {
		t.Error("a step forward within the epoch's slots needs no new epoch")
	}
	hd.set(-30 * time.Minute)
	step(3)
	second, _ := k.book.newest()
	if second.Epoch == first.Epoch {
		t.Fatal("a step back needs a new epoch")
	}
	k.swap(nil, "")
	var gaps []gapRecord
	for _, run := range metaParts(t, k, c) {
		e := k.book.find(run[0].Header.Epoch)
		for _, o := range openFrom(t, w, e, run) {
			for _, r := range o.Records {
				if g := decodeAs[gapRecord](t, r.Data); g.Type == "gap" && g.Why == whyClock {
					gaps = append(gaps, g)
				}
			}
		}
	}
	if len(gaps) != 1 || gaps[0].To-gaps[0].From != time.Hour.Milliseconds() {
		t.Errorf("gaps %+v, want one of an hour", gaps)
	}
}

// openFrom opens parts with the capsule in an epoch file.
func openFrom(t *testing.T, w *house, e *epochEntry, run []part.Part) []seal.Opened {
	t.Helper()
	m, err := e.read()
	if err != nil {
		t.Fatal(err)
	}
	o := w.openerOf(m, e.note)
	opened, err := o.OpenRun(run)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func TestFirstFilesAreSealed(t *testing.T) {
	w, c, _, _ := offline(t)
	for _, name := range []string{"hub.key", "config"} {
		b, err := os.ReadFile(filepath.Join(w.cfg.DataDir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{c.cfg.Name, c.cfg.URL, "rtsp"} {
			if len(b) == 0 || containsString(b, secret) {
				t.Errorf("%s holds %q in clear", name, secret)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(w.cfg.DataDir, "machine.key")); err == nil {
		t.Error("the machine key lies in the data folder")
	}
}

// TestDemandWakesOnce: a demand that is known already does not wake the
// keeper, who would otherwise spin until the spacing of epochs is over.
func TestDemandWakesOnce(t *testing.T) {
	a := &agent{nudge: make(chan struct{}, 1)}
	woken := func() bool {
		select {
		case <-a.nudge:
			return true
		default:
			return false
		}
	}
	for _, step := range []struct {
		why  string
		want bool
	}{{whyAge, true}, {whyAge, false}, {whyRoster, true}, {whyRoster, false}, {whyOver, false}, {whyAge, false}} {
		a.demand(step.why)
		if got := woken(); got != step.want {
			t.Errorf("demand(%q) woke the keeper: %v, want %v", step.why, got, step.want)
		}
	}
	if a.reasonNow() != whyAge || !a.urgent {
		t.Errorf("reason %q, urgent %v", a.reasonNow(), a.urgent)
	}
}
