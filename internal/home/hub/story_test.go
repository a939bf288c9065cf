package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/durable/durabletest"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/camera/scenes"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/pack"
	"latchkey.dev/latchkey/part"
)

func TestEventsModeWithPreRoll(t *testing.T) {
	w := newHouse(t)
	sim := simulate(t)
	h := w.start()
	c := w.camera("Porch", sim.URL("porch"), sim.URL("porch/sub"), modeEvents)
	w.add(c)
	w.wait("the sub stream", func() bool { return w.count(c.tracks[latchkey.KindVideoSub]) > 12 })
	if n := w.count(c.tracks[latchkey.KindVideo]); n != 0 {
		t.Fatalf("%d pictures without an event", n)
	}
	began := time.Now()
	if r := w.command("event-start", map[string]any{"camera": c.id.String(), "label": "manual", "seconds": 1}); r != done {
		t.Fatal(r)
	}
	w.wait("the event's end", func() bool { _, _, ev := w.docs(c); return len(ev) == 2 })
	time.Sleep(300 * time.Millisecond) // what is recorded after the end would show
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	states, gaps, events := w.docs(c)
	if events[0].To != 0 || events[1].ID != events[0].ID || events[1].To-events[1].From != 1000 || events[1].Label != "manual" {
		t.Errorf("events %+v", events)
	}
	video := w.open(c.tracks[latchkey.KindVideo])
	checkMedia(t, latchkey.KindVideo, video)
	first, last := span(t, video)
	if pre := began.Sub(first); pre < 500*time.Millisecond || pre > 6*time.Second {
		t.Errorf("the footage begins %v before the event", pre)
	}
	if after := last.Sub(began); after > 2*time.Second {
		t.Errorf("the footage goes on until %v after the event's start", after)
	}
	if !slices.ContainsFunc(gaps, func(g gapRecord) bool { return g.Why == whyNotRecording }) {
		t.Errorf("no gap says that nothing was recorded: %+v", gaps)
	}
	if !slices.ContainsFunc(states, func(s stateRecord) bool { return s.Status == statusWaiting }) {
		t.Error("no state says waiting")
	}
}

// span returns the capture times of the first and the last sample.
func span(t *testing.T, parts []seal.Opened) (first, last time.Time) {
	t.Helper()
	var info pack.Info
	for _, o := range parts {
		for _, r := range o.Records {
			var err error
			switch r.Type {
			case part.RecordInit:
				if info, err = pack.ParseInit(r.Data); err != nil {
					t.Fatal(err)
				}
			case part.RecordFragment:
				samples, err := pack.ParseFragment(r.Data)
				if err != nil {
					t.Fatal(err)
				}
				last = pack.TimeOf(samples[len(samples)-1].Decode, info.Timescale)
				if first.IsZero() {
					first = pack.TimeOf(samples[0].Decode, info.Timescale)
				}
			}
		}
	}
	return first, last
}

func TestCameraVanishesAndComesBack(t *testing.T) {
	w := newHouse(t)
	cfg := camera.SimConfig{Listen: "127.0.0.1:0", Streams: []camera.SimStream{{Path: "porch", Data: scenes.Porch()}}}
	sim, err := camera.StartSimulator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	url := sim.URL("porch")
	h := w.start()
	c := w.camera("Porch", url, "", modeContinuous)
	w.add(c)
	w.wait("pictures", func() bool { return w.count(c.tracks[latchkey.KindVideo]) > 10 })
	sim.Close()
	w.wait("the state offline", func() bool { s, _, _ := w.docs(c); return s[len(s)-1].Status == "offline" })
	cfg.Listen = url[len("rtsp://") : len(url)-len("/porch")]
	if sim, err = camera.StartSimulator(cfg); err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	n := w.count(c.tracks[latchkey.KindVideo])
	w.wait("pictures again", func() bool { return w.count(c.tracks[latchkey.KindVideo]) > n+10 })
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	states, gaps, _ := w.docs(c)
	if len(gaps) == 0 || gaps[len(gaps)-1].Why != whyOffline {
		t.Fatalf("gaps %+v", gaps)
	}
	if s := states[len(states)-1]; s.Status != statusRecording || s.Error != "" {
		t.Errorf("last state %+v", s)
	}
	checkMedia(t, latchkey.KindVideo, w.open(c.tracks[latchkey.KindVideo]))
}

func TestWrongPassword(t *testing.T) {
	w := newHouse(t)
	sim, err := camera.StartSimulator(camera.SimConfig{
		Listen: "127.0.0.1:0", User: "admin", Password: "right", Streams: []camera.SimStream{{Path: "porch", Data: scenes.Porch()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	w.start()
	c := w.camera("Porch", sim.URL("porch"), "", modeContinuous)
	c.cfg.User, c.cfg.Password = "admin", "wrong"
	w.add(c)
	w.wait("the state refused", func() bool {
		s, _, _ := w.docs(c)
		return len(s) > 0 && s[len(s)-1].Status == "refused" && s[len(s)-1].Error == sentence(camera.ErrWrongPassword)
	})
	c.cfg.Password = "right"
	w.add(c)
	w.wait("pictures", func() bool { return w.count(c.tracks[latchkey.KindVideo]) > 10 })
	_, gaps, _ := w.docs(c)
	if !slices.ContainsFunc(gaps, func(g gapRecord) bool { return g.Why == whyPassword }) {
		t.Errorf("gaps %+v", gaps)
	}
}

// TestRemovedMemberGetsNoLaterEpoch: the removal starts an epoch, and that one
// is not sealed to the removed.
func TestRemovedMemberGetsNoLaterEpoch(t *testing.T) {
	w := newHouse(t)
	sign, box := keys.NewSigning(), keys.NewSealing()
	w.append(chain.AddMember{
		Head: w.head(), Ed: sign.Public(), X: box.Public(), Recovery: keys.NewSigning().Public(), Role: chain.RoleViewer, AllTracks: true,
	})
	w.start()
	c := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeContinuous)
	w.add(c)
	w.wait("the first epoch", func() bool { return len(w.cloud.Epochs()) == 1 })
	w.append(chain.Unmember{Head: w.head(), Kid: sign.Kid()})
	w.wait("the second epoch", func() bool { return len(w.cloud.Epochs()) == 2 })
	for i, want := range []int{2, 1} {
		e := w.cloud.Epochs()[i]
		if got := len(e.Raw.GetSeals()); got != want {
			t.Errorf("epoch %d is sealed to %d, want %d", e.Note.N, got, want)
		}
	}
	first := w.cloud.Epochs()[0]
	w.wait("the END of the first epoch", func() bool {
		run := w.cloud.Run(stream(first.Note.Epoch, c.tracks[latchkey.KindMeta]))
		return run[len(run)-1].Header.Flags&part.END != 0
	})
}

func TestRemovedHubEnds(t *testing.T) {
	w := newHouse(t)
	h := w.start()
	w.add(w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeContinuous))
	// After it, so that no note of the hub is on its way when it becomes a stranger.
	w.wait("first epoch", func() bool { return len(w.cloud.Epochs()) > 0 })
	w.append(chain.Unhub{Head: w.head(), Kid: w.hub})
	select {
	case err := <-h.done:
		h.done <- err
		if !errors.Is(err, latchkey.ErrRefused) {
			t.Errorf("Run returned %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the hub goes on")
	}
}

// TestRemovedHubIsToldWhy: a server that ends the session together with the
// removal, or whose hub was off then, says why it refuses the hub. A refusal
// without a statement that proves itself ends nothing.
func TestRemovedHubIsToldWhy(t *testing.T) {
	w := newHouse(t)
	h := w.start()
	w.add(w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff))
	w.wait("first epoch", func() bool { return len(w.cloud.Epochs()) > 0 })
	w.cloud.SetDown(true)
	notes := w.notes
	w.cloud.SetChain(notes[:1]) // a chain in which the hub never was
	w.cloud.ForgetSessions()
	w.cloud.SetDown(false)
	time.Sleep(500 * time.Millisecond)
	select {
	case err := <-h.done:
		t.Fatalf("it ended on the server's word: %v", err)
	default:
	}
	w.cloud.SetDown(true)
	w.cloud.SetChain(notes)
	w.append(chain.Unhub{Head: w.head(), Kid: w.hub})
	w.cloud.ForgetSessions()
	w.cloud.SetDown(false)
	if err := h.ends(); !errors.Is(err, ErrRemoved) {
		t.Errorf("it ended with %v", err)
	}
}

// TestRemovedCameraSaysSo: the last word about a camera that is removed is not
// that it records.
func TestRemovedCameraSaysSo(t *testing.T) {
	w := newHouse(t)
	h := w.start()
	c := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeContinuous)
	w.add(c)
	w.wait("first epoch", func() bool { return len(w.cloud.Epochs()) > 0 })
	if got := w.command("camera-remove", map[string]any{"camera": c.id.String()}); got != done {
		t.Fatalf("remove camera: %v", got)
	}
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	states, _, _ := w.docs(c)
	if len(states) == 0 || states[len(states)-1].Status != statusOff {
		t.Errorf("states %+v", states)
	}
}

func TestWrongCode(t *testing.T) {
	w := newHouse(t)
	for name, code := range map[string]string{"none": "", "mistyped": "AAAA-AAAA"} {
		cfg := w.cfg
		cfg.PairCode = code
		h, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Run(t.Context()); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPairingSurvivesARestart stops the hub between offer and answer.
func TestPairingSurvivesARestart(t *testing.T) {
	w := newHouse(t)
	code := keys.NewCode()
	box := code.Rendezvous()
	w.cfg.PairCode = code.Reveal()
	run := func() *running {
		h, err := New(w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		return launch(t, h)
	}
	r := run()
	var mail []byte
	w.wait("an offer", func() bool { mail = w.cloud.Mailed(box[:], 1); return mail != nil })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	offer, err := code.OpenOffer(mail)
	if err != nil {
		t.Fatal(err)
	}
	w.append(chain.AddHub{Head: w.head(), Ed: offer.Ed, X: offer.X})
	answer, err := code.SealAnswer(offer, keys.Answer{Household: w.state.Household, Seq: w.state.Seq, Hash: w.state.Hash})
	if err != nil {
		t.Fatal(err)
	}
	r = run()
	if err := w.cloud.Mail(box[:], 2, answer); err != nil {
		t.Fatal(err)
	}
	select {
	case <-r.Paired():
	case <-time.After(20 * time.Second):
		t.Fatal("not paired")
	}
}

// TestLyingAnswer: an answer that names another household than the one whose
// chain the server has is not believed.
func TestLyingAnswer(t *testing.T) {
	for name, lie := range map[string]func(*keys.Answer){
		"household": func(a *keys.Answer) { a.Household[0] ^= 1 },
		"statement": func(a *keys.Answer) { a.Hash[0] ^= 1 },
		"position":  func(a *keys.Answer) { a.Seq += 5 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newHouse(t)
			code := keys.NewCode()
			box := code.Rendezvous()
			w.cfg.PairCode = code.Reveal()
			h, err := New(w.cfg)
			if err != nil {
				t.Fatal(err)
			}
			r := launch(t, h)
			var mail []byte
			w.wait("an offer", func() bool { mail = w.cloud.Mailed(box[:], 1); return mail != nil })
			offer, err := code.OpenOffer(mail)
			if err != nil {
				t.Fatal(err)
			}
			w.append(chain.AddHub{Head: w.head(), Ed: offer.Ed, X: offer.X})
			a := keys.Answer{Household: w.state.Household, Seq: w.state.Seq, Hash: w.state.Hash}
			lie(&a)
			answer, err := code.SealAnswer(offer, a)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.cloud.Mail(box[:], 2, answer); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-r.done:
				r.done <- err
				if err == nil {
					t.Error("believed")
				}
			case <-r.Paired():
				t.Error("paired with a lie")
			case <-time.After(20 * time.Second):
				t.Fatal("no end")
			}
		})
	}
}

// TestServerGone records while the server is away: live is first when it is
// back, the backlog follows in order, and everything is there in the end.
func TestServerGone(t *testing.T) {
	w := newHouse(t)
	sim := simulate(t)
	h := w.start()
	c := w.camera("Porch", sim.URL("porch"), sim.URL("porch/sub"), modeContinuous)
	w.add(c)
	video := c.tracks[latchkey.KindVideo]
	w.wait("pictures", func() bool { return w.count(video) > 10 })
	w.cloud.SetDown(true)
	time.Sleep(4 * time.Second)
	before := len(w.cloud.Messages())
	w.cloud.SetDown(false)
	n := w.count(video)
	w.wait("the backlog", func() bool { return w.count(video) > n+20 })
	w.wait("a state without backlog", func() bool {
		if !w.whole(c.tracks[latchkey.KindMeta]) {
			return false // what is live comes before what was missed
		}
		s, _, _ := w.docs(c)
		return s[len(s)-1].Hub.BacklogFrom == 0
	})
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	next := map[string]uint32{}
	backlog, live := 0, 0
	for _, m := range w.cloud.Messages()[before:] {
		switch m.Kind {
		case 0x01:
			live++
		case 0x02:
			backlog++
			id := fmt.Sprint(m.Stream)
			if m.First < next[id] {
				t.Errorf("backlog went back from %d to %d", next[id], m.First)
			}
			next[id] = m.Last + 1
		}
	}
	if backlog == 0 || live == 0 {
		t.Errorf("%d backlog, %d live messages", backlog, live)
	}
	for _, id := range c.tracks {
		w.open(id) // every part is there, linked and signed
	}
	states, _, _ := w.docs(c)
	gone := func(s stateRecord) bool { return s.Hub.BacklogFrom == 0 }
	told := slices.IndexFunc(states, func(s stateRecord) bool {
		return !gone(s) && s.Hub.Uplink == "connected" && s.Hub.BacklogTo-s.Hub.BacklogFrom >= 3
	})
	if told < 0 || !slices.ContainsFunc(states[told:], gone) {
		t.Error("no state says that a backlog is on its way, or none that it has gone")
	}
}

// TestDiskFull fills the hub's disk while it records, and makes room again.
func TestDiskFull(t *testing.T) {
	w := newHouse(t)
	disk, err := durabletest.New(w.cfg.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	w.cfg.FS = disk
	sim := simulate(t)
	h := w.start()
	c := w.camera("Porch", sim.URL("porch"), "", modeContinuous)
	w.add(c)
	video := c.tracks[latchkey.KindVideo]
	w.wait("pictures", func() bool { return w.count(video) > 10 })
	disk.SetSpace(0)
	w.wait("a state that says so", func() bool {
		s, _, _ := w.docs(c)
		return s[len(s)-1].Error == diskTrouble(latchkey.ErrFull)
	})
	n := w.count(video)
	w.wait("pictures all the same", func() bool { return w.count(video) > n+6 })
	disk.SetSpace(-1)
	w.wait("a state without trouble", func() bool { s, _, _ := w.docs(c); return s[len(s)-1].Error == "" })
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	w.open(video)
	if e := w.cloud.Epochs(); len(e) != 1 {
		t.Errorf("%d epochs", len(e))
	}
}

// TestRosterOnDiskIsFinal: a server that shows a shorter or another chain after
// a restart changes nothing.
func TestRosterOnDiskIsFinal(t *testing.T) {
	w := newHouse(t)
	r := w.start()
	c := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeContinuous)
	w.add(c)
	w.wait("an epoch", func() bool { return len(w.cloud.Epochs()) == 1 })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	w.cloud.SetChain(w.notes[:2]) // without the camera
	w.start()
	w.wait("an epoch with the camera", func() bool { return len(w.cloud.Epochs()) == 2 })
	if n := w.cloud.Epochs()[1].Note; len(n.Tracks) != 4 || n.ChainSeq != w.state.Seq {
		t.Errorf("epoch note at chain position %d with %d tracks", n.ChainSeq, len(n.Tracks))
	}
}

func TestGapOfARestart(t *testing.T) {
	w := newHouse(t)
	sim := simulate(t)
	r := w.start()
	c := w.camera("Porch", sim.URL("porch"), "", modeContinuous)
	w.add(c)
	video := c.tracks[latchkey.KindVideo]
	w.wait("pictures", func() bool { return w.count(video) > 10 })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	off := time.Now()
	time.Sleep(1200 * time.Millisecond)
	n := w.count(video)
	w.start()
	w.wait("pictures again", func() bool { return w.count(video) > n+10 })
	_, gaps, _ := w.docs(c)
	gaps = afterBirth(gaps)
	if len(gaps) == 0 {
		t.Fatal("no gap")
	}
	last := gaps[len(gaps)-1] // a gap that lasts is noted again and again
	if slices.ContainsFunc(gaps, func(g gapRecord) bool { return g.Why != whyHubOff || g.From != last.From }) {
		t.Fatalf("gaps %+v", gaps)
	}
	if d := off.UnixMilli() - last.From; d < -500 || d > 2000 {
		t.Errorf("the gap begins %d ms before the hub ended", d)
	}
	if last.To-last.From < 1000 {
		t.Errorf("gap %+v is too short", last)
	}
}

// TestSettingsDoNotPrint: passwords do not get into logs by way of structs.
func TestSettingsDoNotPrint(t *testing.T) {
	c := cameraCfg{Name: "Porch", Password: "hunter2"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, settings{Cameras: []cameraCfg{c}}); containsString([]byte(s), "hunter2") {
			t.Errorf("%s prints the password: %s", verb, s)
		}
	}
	b, err := marshalSettings(settings{Cameras: []cameraCfg{c}})
	if err != nil {
		t.Fatal(err)
	}
	var back settings
	if err := json.Unmarshal(b, &back); err != nil || back.Cameras[0].Password != "hunter2" {
		t.Errorf("the password does not survive the config file: %v", err)
	}
}
