package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/durable/durabletest"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/lan"
	"latchkey.dev/latchkey/internal/home/uplink/uplinktest"
)

// person is somebody else of the household.
type person struct {
	sign     *keys.Signing
	box      *keys.Sealing
	recovery *keys.Signing
}

func newPerson() person {
	return person{sign: keys.NewSigning(), box: keys.NewSealing(), recovery: keys.NewSigning()}
}

// admit adds p to the chain, or restates him.
func (w *house) admit(p person, role chain.Role, tracks ...latchkey.TrackID) {
	w.t.Helper()
	w.append(chain.AddMember{
		Head: w.head(), Ed: p.sign.Public(), X: p.box.Public(), Recovery: p.recovery.Public(),
		Role: role, AllTracks: tracks == nil, Tracks: tracks,
	})
}

// signed is a statement that nobody has published.
func (w *house) signed(s chain.Statement, by chain.Signer) []byte {
	w.t.Helper()
	text, err := s.Text()
	if err != nil {
		w.t.Fatal(err)
	}
	return chain.SignNote(text, by)
}

// publish appends a note that was signed before.
func (w *house) publish(note []byte) {
	w.t.Helper()
	var err error
	w.notes = append(w.notes, note)
	if w.state, err = chain.Replay(w.notes, time.Now().Unix()); err != nil {
		w.t.Fatal(err)
	}
	w.cloud.SetChain(w.notes)
}

// lanAddress waits until the hub says where it listens.
func (w *house) lanAddress(c cam) string {
	w.t.Helper()
	var addr string
	w.wait("an address in the state", func() bool {
		states, _, _ := w.docs(c)
		if len(states) == 0 || len(states[len(states)-1].Hub.LAN) == 0 {
			return false
		}
		addr = states[len(states)-1].Hub.LAN[0]
		return true
	})
	return addr
}

// sealedTo reports whether the epoch has a capsule for the box.
func sealedTo(e uplinktest.Epoch, box *keys.Sealing) bool {
	for _, s := range e.Raw.GetSeals() {
		if kid := box.Kid(); bytes.Equal(s.GetKid(), kid[:]) {
			return true
		}
	}
	return false
}

// TestRemovalPastTheServer is C7 against a server that never carries the
// removal: the home network does, the next epoch is not sealed to the removed
// and neither is any after a restart; he commands nothing any more. When the
// chain has it at last, nothing is left of it beside the chain.
func TestRemovalPastTheServer(t *testing.T) {
	w := newHouse(t)
	w.cfg.LAN = "127.0.0.1:0"
	bob := newPerson()
	w.admit(bob, chain.RoleMember)
	r := w.start()
	c := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff)
	w.add(c)
	w.wait("an epoch", func() bool { return len(w.cloud.Epochs()) == 1 })
	addr := w.lanAddress(c)
	removal := w.signed(chain.Unmember{Head: w.head(), Kid: bob.sign.Kid()}, w.sign)
	for range 2 { // the second time it is known
		if _, err := lan.Remove(t.Context(), addr, removal); err != nil {
			t.Fatal(err)
		}
	}
	w.wait("the next epoch", func() bool { return len(w.cloud.Epochs()) == 2 })
	if got := w.bobCommands(bob, c); got != refused {
		t.Errorf("the removed starts an event: %v", got)
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	r = w.start()
	w.wait("an epoch after the restart", func() bool { return len(w.cloud.Epochs()) == 3 })
	for i, want := range []bool{true, false, false} {
		e := w.cloud.Epochs()[i]
		if sealedTo(e, bob.box) != want || !sealedTo(e, w.box) || e.Note.ChainHash != w.state.Hash {
			t.Errorf("epoch %d is sealed to %d, to the removed: %v", i, len(e.Raw.GetSeals()), sealedTo(e, bob.box))
		}
	}
	w.publish(removal)
	file := filepath.Join(w.cfg.DataDir, earlyFile)
	w.wait("that the chain settles it", func() bool { b, err := os.ReadFile(file); return err == nil && len(b) == 0 })
	if _, err := lan.Remove(t.Context(), addr, removal); err != nil {
		t.Errorf("the removal that the chain has: %v", err)
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
}

func (w *house) bobCommands(bob person, c cam) latchkeyv1.CommandResult {
	w.t.Helper()
	args, err := json.Marshal(map[string]any{"camera": c.id.String(), "label": "manual", "seconds": 1})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.cloud.Command(w.sealed(chain.Command{
		Household: w.state.Household, Hub: w.hub, By: bob.sign.Kid(), Time: time.Now().Unix(), Nonce: random16(), Op: "event-start", Args: args,
	}, bob.sign))
}

// TestRemovalWithinTenSeconds runs the hub's loop in a bubble of time: however
// long after an epoch's beginning the removal comes, ten seconds later nothing
// is sealed to the removed.
func TestRemovalWithinTenSeconds(t *testing.T) {
	w := newHouse(t)
	bob := newPerson()
	w.admit(bob, chain.RoleViewer)
	r := w.start()
	c := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff)
	w.add(c)
	w.wait("an epoch", func() bool { return len(w.cloud.Epochs()) == 1 })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	removal := w.signed(chain.Unmember{Head: w.head(), Kid: bob.sign.Kid()}, w.sign)
	home := w.cfg.DataDir
	for _, after := range []time.Duration{0, time.Second, 5 * time.Second, 9900 * time.Millisecond, 10 * time.Second, 12 * time.Second, 3 * time.Hour} {
		cfg := w.cfg
		cfg.DataDir, cfg.Pace = copyDir(t, home), DefaultPace()
		synctest.Test(t, func(t *testing.T) {
			h, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			a, err := h.open()
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			a.ctx = ctx
			a.put(c.id, c.cfg, nil)
			ended := make(chan error, 1)
			go func() { ended <- a.keep(ctx) }()
			first := waitEpoch(t, a, 0)
			time.Sleep(after)
			if status, _ := a.takeRemovals(ctx, lan.PackNotes([][]byte{removal})); status != http.StatusOK {
				t.Fatalf("status %d", status)
			}
			at := time.Now()
			second := waitEpoch(t, a, first)
			if took := time.Since(at); took > 10*time.Second {
				t.Errorf("%v after an epoch began: the next came after %v", after, took)
			}
			if m, err := a.book.entries[len(a.book.entries)-1].read(); err != nil || len(m.GetSeals()) != 1 {
				t.Errorf("epoch %d is sealed to %d (%v)", second, len(m.GetSeals()), err)
			}
			stop()
			if err := errors.Join(<-ended, a.finish(), a.spool.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// waitEpoch waits for an epoch with a counter above n and returns it.
func waitEpoch(t *testing.T, a *agent, n uint64) uint64 {
	t.Helper()
	for range 300_000 {
		if note, ok := a.book.newest(); ok && note.N > n {
			return note.N
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("no epoch")
	return 0
}

// TestRemovalsAreHeldAgainstTheChain: what is not signed by somebody who may
// remove, for this household and this moment, takes nobody away.
func TestRemovalsAreHeldAgainstTheChain(t *testing.T) {
	w := newHouse(t)
	bob, eve := newPerson(), newPerson()
	w.admit(bob, chain.RoleMember)
	old := w.signed(chain.Unmember{Head: w.head(), Kid: bob.sign.Kid()}, w.sign)
	other := w.signed(chain.Unmember{Head: w.head(), Kid: bob.sign.Kid()}, w.sign) // of the same place, never published
	w.publish(old)
	bob = newPerson()
	w.admit(bob, chain.RoleMember)
	_, _, k, _ := w.offlineWith(t)
	unmember := func(change func(*chain.Unmember)) chain.Unmember {
		s := chain.Unmember{Head: w.head(), Kid: bob.sign.Kid()}
		if change != nil {
			change(&s)
		}
		return s
	}
	asBob := unmember(func(s *chain.Unmember) { s.By, s.Kid = bob.sign.Kid(), w.sign.Kid() })
	foreign := unmember(func(s *chain.Unmember) { s.Household[0] ^= 1 })
	past := unmember(func(s *chain.Unmember) { s.Seq = w.state.Seq })
	valid := w.signed(unmember(nil), w.sign)
	forged := bytes.Clone(valid)
	forged[len(forged)-8] ^= 1
	pack := func(notes ...[]byte) []byte { return lan.PackNotes(notes) }
	var many [][]byte
	for range lan.MaxRemovals + 1 {
		many = append(many, valid)
	}
	for _, tc := range []struct {
		name   string
		body   []byte
		status int
	}{
		{"nothing", nil, 400},
		{"no notes", []byte("hello there, hub"), 400},
		{"a statement that adds", pack(w.notes[1]), 400},
		{"a removal, and a statement that adds", pack(valid, w.notes[1]), 400},
		{"seventeen", pack(many...), 400},
		{"forged", pack(forged), 403},
		{"signed by another than it says", pack(w.signed(unmember(nil), eve.sign)), 403},
		{"by a stranger", pack(w.signed(unmember(func(s *chain.Unmember) { s.By = eve.sign.Kid() }), eve.sign)), 403},
		{"by a member who is no admin", pack(w.signed(asBob, bob.sign)), 403},
		{"of another household", pack(w.signed(foreign, w.sign)), 403},
		{"of a place that the chain has passed", pack(w.signed(past, w.sign)), 403},
		{"an old one, of a place where another stands", pack(other), 403},
		{"an old one, that the chain has", pack(old), 200},
	} {
		if status, answer := k.takeRemovals(t.Context(), tc.body); status != tc.status || (status == 200) != (answer != nil) {
			t.Errorf("%s: status %d %q, want %d", tc.name, status, answer, tc.status)
		}
		if _, in := k.roster.state().Members[bob.sign.Kid()]; !in {
			t.Fatalf("%s: has removed him", tc.name)
		}
	}
	status, answer := k.takeRemovals(t.Context(), pack(valid))
	if status != 200 {
		t.Fatalf("the valid one: status %d", status)
	}
	receipt, err := chain.ParseNote(answer)
	if err != nil {
		t.Fatal(err)
	}
	if heard, err := chain.OpenHeard(receipt, w.state); err != nil || heard.By != w.hub || heard.Removals != chain.TextHash(pack(valid)) {
		t.Errorf("the receipt: %+v, %v", heard, err)
	}
	if _, in := k.roster.state().Members[bob.sign.Kid()]; in {
		t.Error("the valid one has not removed him")
	}
}

// TestAdmittedAgain: a removal that the hub holds shuts nobody out whom the
// chain admits at a later place.
func TestAdmittedAgain(t *testing.T) {
	w := newHouse(t)
	bob := newPerson()
	w.admit(bob, chain.RoleMember)
	_, _, k, _ := w.offlineWith(t)
	removal := w.signed(chain.Unmember{Head: w.head(), Kid: bob.sign.Kid()}, w.sign)
	if err := k.roster.remove(removal); err != nil {
		t.Fatal(err)
	}
	w.publish(removal)
	w.admit(bob, chain.RoleMember)
	if _, err := k.roster.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, in := k.roster.state().Members[bob.sign.Kid()]; in {
		t.Error("he is back before the log proves it")
	}
	if err := k.lookAtLog(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, in := k.roster.state().Members[bob.sign.Kid()]; !in {
		t.Error("he is still removed")
	}
	if err := k.roster.remove(removal); err != nil { // the chain has it
		t.Fatal(err)
	}
	if _, in := k.roster.state().Members[bob.sign.Kid()]; !in {
		t.Error("the old removal, once more, has removed him")
	}
}

// TestHubRemovedPastTheServer: a hub that hears on the home network that it is
// removed stops, says so, and has forgotten its cameras' passwords. It stays
// stopped.
func TestHubRemovedPastTheServer(t *testing.T) {
	w := newHouse(t)
	w.cfg.LAN = "127.0.0.1:0"
	r := w.start()
	c := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff)
	c.cfg.User, c.cfg.Password = "admin", "hunter2-hunter2"
	w.add(c)
	addr := w.lanAddress(c)
	if _, err := lan.Remove(t.Context(), addr, w.signed(chain.Unhub{Head: w.head(), Kid: w.hub}, w.sign)); err != nil {
		t.Fatal(err)
	}
	if err := r.ends(); !errors.Is(err, ErrRemoved) || !errors.Is(err, latchkey.ErrRefused) {
		t.Fatalf("it ended with %v", err)
	}
	h, err := New(w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := marshalSettings(h.store.cfg())
	if err != nil || strings.Contains(string(plain), "hunter2") || len(h.store.cfg().Cameras) != 0 {
		t.Errorf("it remembers %d cameras (%v)", len(h.store.cfg().Cameras), err)
	}
	n := len(w.cloud.Epochs())
	if err := h.Run(t.Context()); !errors.Is(err, ErrRemoved) {
		t.Errorf("started again it ended with %v", err)
	}
	if len(w.cloud.Epochs()) != n {
		t.Error("started again it made an epoch")
	}
}

// TestCrashPointsOfRemoval turns the machine off at every call of taking a
// removal. Whoever was told that the hub has it can rely on that.
func TestCrashPointsOfRemoval(t *testing.T) {
	w := newHouse(t)
	bob := newPerson()
	w.admit(bob, chain.RoleMember)
	w.offlineWith(t)
	removal := w.signed(chain.Unmember{Head: w.head(), Kid: bob.sign.Kid()}, w.sign)
	home := w.cfg.DataDir
	told, untold := 0, 0
	for n := 1; n < 20; n++ {
		cfg := w.cfg
		cfg.DataDir = copyDir(t, home)
		disk, err := durabletest.New(cfg.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		cfg.FS = disk
		h, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		a, err := h.open()
		if err != nil {
			t.Fatal(err)
		}
		disk.CrashAt(disk.Ops() + n)
		status, _ := a.takeRemovals(t.Context(), lan.PackNotes([][]byte{removal}))
		_ = a.spool.Close()
		for seed := range uint64(4) {
			cfg.DataDir, cfg.FS = imageOf(t, disk, seed), nil
			h, err := New(cfg)
			if err != nil {
				t.Fatalf("crash point %d: the next start: %v", n, err)
			}
			r, err := openRoster(h.store, a.roster.session, cfg.HTTP, w.state.Household, anyStatement)
			if err != nil {
				t.Fatalf("crash point %d: the next start: %v", n, err)
			}
			_, in := r.state().Members[bob.sign.Kid()]
			if status == 200 && in {
				t.Fatalf("crash point %d: it was told taken, and is forgotten", n)
			}
		}
		if status == 200 {
			told++
		} else {
			untold++
		}
	}
	if told == 0 || untold < 3 {
		t.Fatalf("%d told, %d not: the crash points miss it", told, untold)
	}
}
