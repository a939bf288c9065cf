package hub

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/publiclog"
	"latchkey.dev/latchkey/internal/home/uplink/uplinktest"
)

// readers are whom the newest epoch is sealed to.
func (w *house) readers() []latchkey.Kid {
	var newest uplinktest.Epoch
	for _, newest = range w.cloud.Epochs() { // the newest is the last
	}
	var out []latchkey.Kid
	for _, s := range newest.Raw.GetSeals() {
		out = append(out, latchkey.Kid(s.GetKid()))
	}
	return out
}

func (w *house) sealedTo(p person) bool { return slices.Contains(w.readers(), p.box.Kid()) }

// tells reports whether the hub's newest state record has this in its error.
func (w *house) tells(c cam, words string) bool {
	states, _, _ := w.docs(c)
	return len(states) > 0 && strings.Contains(states[len(states)-1].Error, words)
}

// TestAddLateRemoveEarly: nobody comes into an epoch before the public log proves
// him; whoever goes, goes at once. A hub that is killed between knows it again
// (protocol 2.7; claim C7).
func TestAddLateRemoveEarly(t *testing.T) {
	w := newHouse(t)
	bob, cem := newPerson(), newPerson()
	w.admit(bob, chain.RoleMember)
	w.start()
	porch := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff)
	w.add(porch)
	w.wait("an epoch for Bob", func() bool { return w.sealedTo(bob) })

	w.cloud.Log.SetDown(true)
	w.admit(cem, chain.RoleMember)
	garage := w.camera("Garage", "rtsp://127.0.0.1:1/none", "", modeOff)
	w.add(garage) // taken, and not recorded yet
	w.wait("the hub says that additions wait", func() bool { return w.tells(porch, "Recording goes on for whom it was") })
	w.publish(w.signed(chain.Unmember{Head: w.head(), Kid: bob.sign.Kid()}, w.sign))
	w.wait("an epoch without Bob", func() bool { return !w.sealedTo(bob) })
	if w.sealedTo(cem) {
		t.Error("an epoch is sealed to an addition that nothing proves")
	}
	if n := w.count(garage.tracks[latchkey.KindMeta]); n > 0 {
		t.Errorf("%d parts of a camera that nothing proves", n)
	}
	w.cloud.Log.SetDown(false)
	w.wait("an epoch for Cem", func() bool { return w.sealedTo(cem) && !w.sealedTo(bob) })
	w.wait("the new camera", func() bool { return w.count(garage.tracks[latchkey.KindMeta]) > 0 })
	w.wait("the hub is content again", func() bool { return !w.tells(porch, "Recording goes on for whom it was") })
	w.wait("heads with proof and checkpoint", func() bool {
		var e uplinktest.Epoch
		for _, e = range w.cloud.Epochs() {
		}
		heads, _ := w.cloud.Heads(e.Note.Epoch)
		return heads.ProofTime > 0 && heads.LogSize > 0 && heads.LogRoot != latchkey.Hash{} && heads.ChainSeq == w.state.Seq
	})
}

// TestAddLateAcrossKill: what waits for a proof waits after kill -9 too, and what
// was proven stays so without the log.
func TestAddLateAcrossKill(t *testing.T) {
	w := newHouse(t)
	bob, cem := newPerson(), newPerson()
	r := w.start()
	porch := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff)
	w.add(porch)
	w.admit(bob, chain.RoleMember)
	w.wait("an epoch for Bob", func() bool { return w.sealedTo(bob) })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	w.cloud.Log.SetDown(true)
	w.admit(cem, chain.RoleMember)
	for i := range 3 {
		before := len(w.cloud.Epochs())
		cmd := w.child()
		w.wait("an epoch of this run", func() bool { return len(w.cloud.Epochs()) > before })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // says "killed"
		if !w.sealedTo(bob) || w.sealedTo(cem) {
			t.Fatalf("start %d: sealed to Bob: %v, to Cem, whom nothing proves: %v", i, w.sealedTo(bob), w.sealedTo(cem))
		}
	}
	w.cloud.Log.SetDown(false)
	w.start()
	w.wait("an epoch for Cem", func() bool { return w.sealedTo(cem) })
}

// TestLogLies is C12 and a part of C24 for the hub: a log that forks, stands
// still or has a statement that the server does not show is found out; members
// are told, and no addition counts until it is honest again.
func TestLogLies(t *testing.T) {
	for name, lie := range map[string]struct {
		tell  func(w *house)
		words string
	}{
		"fork":   {func(w *house) { w.cloud.Log.Fork() }, "does not begin with"},
		"hidden": {func(w *house) { w.cloud.Log.Slip() }, "keeps statements back"},
		"frozen": {func(w *house) { w.cloud.Log.Freeze(time.Now().Add(-25 * time.Hour)) }, "stands still"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newHouse(t)
			w.cfg.Pace.Poll = 100 * time.Millisecond
			bob := newPerson()
			w.start()
			porch := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff)
			w.add(porch)
			w.wait("a first epoch", func() bool { return len(w.readers()) == 1 })
			lie.tell(w)
			if name != "hidden" { // Bob would come after what is hidden
				w.admit(bob, chain.RoleMember)
			}
			w.wait("members are told", func() bool { return w.tells(porch, "cannot be right") && w.tells(porch, lie.words) })
			if w.sealedTo(bob) {
				t.Error("an addition counts on the word of a log that lies")
			}
			if name != "frozen" {
				return
			}
			w.cloud.Log.Freeze(time.Time{})
			w.wait("it goes on when the log does", func() bool { return w.sealedTo(bob) && !w.tells(porch, "cannot be right") })
		})
	}
}

// TestOlderProof: an older checkpoint is refused, an older proof moves nothing
// (claim C24), and an old one lets nothing new count.
func TestOlderProof(t *testing.T) {
	w := newHouse(t)
	_, _, k, _ := w.offlineWith(t)
	if err := k.lookAtLog(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	old := k.public.now()
	bob := newPerson()
	w.admit(bob, chain.RoleMember)
	if _, err := k.roster.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A day and an hour later the proof is too old to let anything count.
	if err := k.lookAtLog(t.Context(), time.Now().Add(25*time.Hour)); !publiclog.Broken(err) {
		t.Errorf("a witness who stands still: %v", err)
	}
	if _, in := k.roster.state().Members[bob.sign.Kid()]; in {
		t.Error("an addition counts on an old proof")
	}
	if err := k.lookAtLog(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, in := k.roster.state().Members[bob.sign.Kid()]; !in {
		t.Error("a proven addition does not count")
	}
	until := k.public.known()
	if until.Seq != w.state.Seq || until.Until.IsZero() {
		t.Errorf("known: %+v", until)
	}
	// An older proof, honest once, proves less: what counts goes on to count.
	w.cloud.Log.Hold(true)
	w.admit(newPerson(), chain.RoleMember)
	if _, err := k.roster.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := k.lookAtLog(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if k.roster.waiting() != 1 {
		t.Errorf("%d statements wait, want 1", k.roster.waiting())
	}
	w.cloud.Log.Fork()
	err := k.lookAtLog(t.Context(), time.Now())
	if !errors.Is(err, latchkey.ErrVerify) || len(old.Pin.Checkpoint) == 0 {
		t.Errorf("another log: %v", err)
	}
}

// TestPairingPinsTheLog: a server whose log or operator is another than genesis
// names pairs no hub, and leaves nothing behind.
func TestPairingPinsTheLog(t *testing.T) {
	w := newHouse(t)
	w.cloud.Log.Rename()
	cfg := w.cfg
	cfg.PairCode = w.pairing().Reveal()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Run(t.Context()); !errors.Is(err, publiclog.ErrOtherLog) {
		t.Fatalf("paired by a server with another log: %v", err)
	}
	if _, err := os.Stat(h.store.path("chain")); err == nil {
		t.Error("its chain is still here")
	}
}

// TestLogTrouble: what members are told, and when.
func TestLogTrouble(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	fresh := publiclog.State{Until: now.Add(-time.Hour)}
	for name, tc := range map[string]struct {
		state   publiclog.State
		waiting uint64
		missing bool
		want    string
	}{
		"well":                      {state: fresh},
		"an addition is on its way": {state: fresh, waiting: 1},
		"an addition waits":         {state: fresh, waiting: 1, missing: true, want: "does not prove the household's newest"},
		"the log is away":           {state: fresh, missing: true},
		"for a day":                 {state: publiclog.State{Until: now.Add(-25 * time.Hour)}, missing: true, want: "not verified against the public log since 2026-"},
		"never":                     {missing: true, want: "was not verified"},
		"broken":                    {state: publiclog.State{Until: now, Broken: publiclog.ErrFrozen}, want: "cannot be right"},
	} {
		if got := logTrouble(tc.state, tc.waiting, tc.missing, now); (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestFolderFromBefore: a hub whose folder knows nothing of the log goes on with
// everything that counted, and pins the log that genesis names.
func TestFolderFromBefore(t *testing.T) {
	w := newHouse(t)
	bob, cem := newPerson(), newPerson()
	w.admit(bob, chain.RoleMember)
	r := w.start()
	porch := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff)
	w.add(porch)
	w.wait("an epoch for Bob", func() bool { return w.sealedTo(bob) })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(r.store.path(logFile)); err != nil {
		t.Fatal(err)
	}
	w.cloud.Log.SetDown(true)
	before := len(w.cloud.Epochs())
	w.start()
	w.wait("an epoch of this run", func() bool { return len(w.cloud.Epochs()) > before })
	if !w.sealedTo(bob) {
		t.Error("what counted counts no more")
	}
	w.admit(cem, chain.RoleMember)
	w.wait("members are told", func() bool { return w.tells(porch, "does not prove") })
	if w.sealedTo(cem) {
		t.Error("an addition counts without a log")
	}
	w.cloud.Log.SetDown(false)
	w.wait("an epoch for Cem", func() bool { return w.sealedTo(cem) })
}
