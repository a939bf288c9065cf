package hub

import (
	"errors"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
)

// copied is a second machine: the hub's folder and machine key, copied.
func (w *house) copied() Config {
	w.t.Helper()
	cfg := w.cfg
	cfg.DataDir = copyDir(w.t, w.cfg.DataDir)
	return cfg
}

// launchOf starts a hub that has been paired already.
func (w *house) launchOf(cfg Config) *running {
	w.t.Helper()
	h, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return launch(w.t, h)
}

// ends waits for the hub's own end and returns what it ended with.
func (r *running) ends() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(20 * time.Second):
		r.t.Fatal("the hub goes on")
		return nil
	}
}

// TestIRT25TwoMachinesAtOnce: a copy of a running hub is sent away by the
// cloud, convicted by the first hub's next epoch, and stays stopped; the first
// one goes on and tells the household.
func TestIRT25TwoMachinesAtOnce(t *testing.T) {
	w := newHouse(t)
	first := w.start()
	c := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff) // a camera with a trouble of its own would tell of that
	w.add(c)
	w.wait("an epoch", func() bool { return len(w.cloud.Epochs()) == 1 })
	cfg := w.copied()
	if err := w.launchOf(cfg).ends(); !errors.Is(err, ErrDoubled) || !errors.Is(err, latchkey.ErrConflict) {
		t.Fatalf("the copy ended with %v", err)
	}
	if err := w.launchOf(cfg).ends(); !errors.Is(err, ErrDoubled) {
		t.Errorf("and when started again with %v", err)
	}
	w.wait("a state that tells of it", func() bool {
		states, _, _ := w.docs(c)
		return strings.Contains(states[len(states)-1].Error, "Another machine tried to connect")
	})
	if err := first.end(); err != nil {
		t.Errorf("the first one ended with %v", err)
	}
	if n := len(w.cloud.Epochs()); n != 2 {
		t.Errorf("%d epochs, want the first and the one that convicted the copy", n)
	}
	if err := w.start().end(); err != nil {
		t.Errorf("and the first one does not start again: %v", err)
	}
}

// TestIRT25TakingTurns: of two machines that are never on at once, the one
// whose epochs the cloud does not have is found by its first connection, before
// it has sent anything.
func TestIRT25TakingTurns(t *testing.T) {
	w := newHouse(t)
	h := w.start()
	w.add(w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeContinuous))
	w.wait("an epoch", func() bool { return len(w.cloud.Epochs()) == 1 })
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	second, third := w.copied(), w.copied()
	turn := func(cfg Config, epochs int) {
		t.Helper()
		r := w.launchOf(cfg)
		w.wait("its epoch", func() bool { return len(w.cloud.Epochs()) == epochs })
		if err := r.end(); err != nil {
			t.Fatal(err)
		}
	}
	turn(w.cfg, 2)
	if err := w.launchOf(second).ends(); !errors.Is(err, ErrDoubled) {
		t.Fatalf("the copy ended with %v", err)
	}
	if n := len(w.cloud.Epochs()); n != 2 {
		t.Fatalf("%d epochs: the copy has sent its own", n)
	}
	turn(w.cfg, 3)
	third.Server = "http://127.0.0.1:1"
	r := w.launchOf(third)
	time.Sleep(500 * time.Millisecond) // an epoch of its own, without the cloud
	if err := r.end(); err != nil {
		t.Fatalf("without the cloud the copy ended with %v", err)
	}
	third.Server = w.cfg.Server
	if err := w.launchOf(third).ends(); !errors.Is(err, ErrDoubled) {
		t.Fatalf("the copy with an epoch of its own ended with %v", err)
	}
}

// TestNewestIsHeldAgainstOurs: what the cloud shows as our newest note stops us
// only if we have signed it and not made it.
func TestNewestIsHeldAgainstOurs(t *testing.T) {
	w := newHouse(t)
	h := w.start()
	w.add(w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeContinuous))
	w.wait("an epoch", func() bool { return len(w.cloud.Epochs()) == 1 })
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	again, err := New(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := again.open()
	if err != nil {
		t.Fatal(err)
	}
	defer a.spool.Close()
	own := w.cloud.Epochs()[0].Raw.GetNote()
	forged := append([]byte(nil), own...)
	forged[len(forged)-10] ^= 1
	for name, note := range map[string][]byte{"our own": own, "forged": forged, "nothing": nil, "another type": w.notes[0]} {
		if err := a.Newest(note); err != nil || a.doubled() {
			t.Errorf("%s: %v", name, err)
		}
	}
	a.book.entries = nil
	if err := a.Newest(own); !errors.Is(err, ErrDoubled) || !a.doubled() {
		t.Errorf("one that is not on our disk: %v", err)
	}
}

// TestIRT64SwitchedOff: a camera that is switched off is off in the hub, not in
// a page. No command that a server or an old client can send makes a part of
// its picture, also not of what was seen just before.
func TestIRT64SwitchedOff(t *testing.T) {
	for _, mode := range []string{modeContinuous, modeEvents} {
		t.Run(mode, func(t *testing.T) {
			w := newHouse(t)
			sim := simulate(t)
			h := w.start()
			c := w.camera("Porch", sim.URL("porch"), "", mode)
			w.add(c)
			w.wait("the camera", func() bool {
				s, _, _ := w.docs(c)
				return len(s) > 0 && (s[len(s)-1].Status == statusRecording || s[len(s)-1].Status == statusWaiting) && len(s[len(s)-1].Tracks) > 0
			})
			off := c.cfg
			off.Mode = modeOff
			if r := w.command("camera", off); r != done {
				t.Fatal(r)
			}
			video := c.tracks[latchkey.KindVideo]
			w.wait("the state off", func() bool { s, _, _ := w.docs(c); return s[len(s)-1].Status == statusOff })
			n := w.count(video)
			w.command("event-start", map[string]any{"camera": c.id.String(), "label": "manual", "seconds": 1})
			w.command("epoch", map[string]any{})
			time.Sleep(2 * time.Second) // what is made all the same would show
			if err := h.end(); err != nil {
				t.Fatal(err)
			}
			for _, o := range w.open(video)[n:] {
				if len(o.Records) > 0 {
					t.Fatalf("part %v holds a picture of a camera that is off", o.Part.Header)
				}
			}
			if states, _, _ := w.docs(c); states[len(states)-1].Status != string(statusOff) || states[len(states)-1].Error != "" {
				t.Errorf("last state %+v", states[len(states)-1])
			}
		})
	}
}
