package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/durable/durabletest"
	"latchkey.dev/latchkey/internal/home/lan"
	"latchkey.dev/latchkey/internal/home/spool"
	"latchkey.dev/latchkey/part"
)

// TestCrashPointsOfEpochStart is T11: the machine is turned off at every call
// of the start of a hub with an epoch, and of the epoch after it, which a
// removal begins. Whatever the medium then holds, no part is on it, and none has
// reached the cloud, whose epoch note and capsules are not durable; and the next
// start goes on from there.
func TestCrashPointsOfEpochStart(t *testing.T) {
	w := newHouse(t)
	bob := newPerson()
	w.admit(bob, chain.RoleViewer)
	r := w.start()
	c := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeContinuous)
	w.add(c)
	w.wait("a first epoch", func() bool { return len(w.cloud.Epochs()) == 1 })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	home := w.cfg.DataDir
	w.cfg.Pace.EpochSpacing, w.cfg.Pace.Settle = 0, 0
	removal := w.signed(chain.Unmember{Head: w.head(), Kid: bob.sign.Kid()}, w.sign)
	crashed, most := 0, 0
	for n := 1; n <= 80; n++ {
		data := copyDir(t, home)
		disk, err := durabletest.New(data)
		if err != nil {
			t.Fatal(err)
		}
		disk.CrashAt(n)
		cfg := w.cfg
		cfg.DataDir, cfg.FS, cfg.Server = data, disk, "http://127.0.0.1:1" // no cloud: only the disk counts
		if h, err := New(cfg); err == nil {
			turn(t, h, removal)
		}
		if disk.Ops() >= n {
			crashed++
		}
		most = max(most, disk.Ops())
		for seed := range uint64(4) {
			if made := checkDisk(t, n, w, imageOf(t, disk, seed)); disk.Ops() < n && made != 3 {
				t.Fatalf("without a crash %d epochs were made, want those of two starts and of the removal", made)
			}
		}
	}
	if crashed < 40 || crashed == 80 {
		t.Fatalf("%d crash points of %d calls were met", crashed, most)
	}
}

// turn runs the hub's loop by hand until it has an epoch and parts in it, and
// then, after the removal, another one.
func turn(t *testing.T, h *Hub, removal []byte) {
	t.Helper()
	a, err := h.open()
	if err != nil {
		return // the disk said no: nothing was started
	}
	a.ctx = t.Context()
	for _, c := range a.store.cfg().Cameras {
		c.Mode = modeOff
		id, err := c.check()
		if err != nil {
			t.Fatal(err)
		}
		a.put(id, c, nil)
	}
	k := &keeper{agent: a, beat: map[string]time.Time{}}
	a.demand(whyBoot)
	for i := range 7 {
		if i == 3 {
			a.takeRemovals(t.Context(), lan.PackNotes([][]byte{removal}))
		}
		if err := k.step(); err != nil {
			t.Fatal(err)
		}
		k.recorders()[0].tell()
		_ = a.spool.Sync() // fails after the crash, as it should
	}
	_ = a.spool.Close()
}

func imageOf(t *testing.T, disk *durabletest.FS, seed uint64) string {
	t.Helper()
	dir := t.TempDir()
	if err := disk.Image(dir, rand.New(rand.NewPCG(seed, 11))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// checkDisk returns how many epochs are on the disk.
func checkDisk(t *testing.T, n int, w *house, data string) int {
	t.Helper()
	cfg := w.cfg
	cfg.DataDir = data
	h, err := New(cfg)
	if err != nil {
		t.Fatalf("crash point %d: the next start: %v", n, err)
	}
	book, err := openEpochs(h.store, h.identity.Signing.Public())
	if err != nil {
		t.Fatalf("crash point %d: epochs: %v", n, err)
	}
	// Without book.check the spool would keep what nobody can open.
	sp, err := spool.Open(spool.Config{Dir: filepath.Join(data, "spool"), Check: func(part.Part) error { return nil }})
	if err != nil {
		t.Fatalf("crash point %d: spool: %v", n, err)
	}
	defer sp.Close()
	for {
		b, ok, err := sp.Next(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return len(book.entries)
		}
		e := book.find(b.Epoch)
		if e == nil {
			t.Fatalf("crash point %d: parts of epoch %v are on disk, its note is not", n, b.Epoch)
		}
		if m, err := e.read(); err != nil || len(m.GetCapsules()) == 0 { // that they are the note's, openEpochs has checked
			t.Fatalf("crash point %d: epoch %v has no capsules on disk (%v)", n, b.Epoch, err)
		}
	}
}

func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

const childEnv = "LATCHKEY_TEST_HUB"

// TestMain lets the test binary be a hub that can be killed, or a process that
// is many cameras.
func TestMain(m *testing.M) {
	if spec := os.Getenv(simEnv); spec != "" {
		fmt.Fprintln(os.Stderr, simulateCameras(spec))
		os.Exit(1)
	}
	spec := os.Getenv(childEnv)
	if spec == "" {
		os.Exit(m.Run())
	}
	var c childConfig
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		panic(err)
	}
	h, err := New(Config{DataDir: c.DataDir, Home: c.Home, Server: c.Server, Pace: c.Pace})
	if err == nil {
		err = h.Run(context.Background())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

type childConfig struct {
	DataDir, Home, Server string
	Pace                  Pace
}

// child runs the hub in a process of its own.
func (w *house) child() *exec.Cmd {
	w.t.Helper()
	spec, err := json.Marshal(childConfig{w.cfg.DataDir, w.cfg.Home, w.cfg.Server, w.cfg.Pace})
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(spec))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	return cmd
}

// TestKilledAgainAndAgain kills the hub -9 at random moments while it records,
// sometimes with the line cut too. After healing, what was sealed is stored
// once, in unbroken chains, and every time the hub was dead is told as a gap.
func TestKilledAgainAndAgain(t *testing.T) {
	kills := 12
	if testing.Short() {
		kills = 3
	}
	w := newHouse(t)
	sim := simulate(t)
	r := w.start()
	c := w.camera("Porch", sim.URL("porch"), sim.URL("porch/sub"), modeContinuous)
	w.add(c)
	w.wait("a first epoch", func() bool { return len(w.cloud.Epochs()) == 1 })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(uint64(os.Getpid()), 0))
	for i := range kills {
		cmd := w.child()
		if i%3 == 1 {
			w.cloud.SetDown(true)
		}
		time.Sleep(time.Duration(200+rng.IntN(2500)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // says "killed"
		w.cloud.SetDown(false)
	}
	n := w.count(c.tracks[latchkey.KindVideo])
	r = w.start()
	w.wait("pictures", func() bool { return w.count(c.tracks[latchkey.KindVideo]) > n+10 })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	keys := map[latchkey.Hash]bool{}
	for kind, id := range c.tracks {
		opened := w.open(id) // fails at a hole, a broken link, a wrong signature
		if len(opened) == 0 {
			t.Errorf("%s: nothing", kind)
		}
		for _, o := range opened {
			onceOnly(t, keys, o.Part)
		}
	}
	for i, e := range w.cloud.Epochs() {
		if e.Note.N != uint64(i) {
			t.Fatalf("epoch %d is missing", i)
		}
	}
	if files, err := filepath.Glob(filepath.Join(w.cfg.DataDir, "spool", "*.seg")); err != nil || len(files) > 1 {
		t.Errorf("%d segments are left in the spool (%v)", len(files), err)
	}
	_, gaps, _ := w.docs(c)
	off := 0
	for _, g := range gaps {
		if g.Why == whyHubOff {
			off++
		}
	}
	if off == 0 {
		t.Errorf("no gap says that the hub was off: %+v", gaps)
	}
}

// onceOnly is claim C20 as far as it shows outside: commitment and AEAD key of
// a part come from the same leaf and header, so two equal keys would show as
// two equal commitments.
func onceOnly(t *testing.T, seen map[latchkey.Hash]bool, p part.Part) {
	t.Helper()
	if seen[p.Header.Commit] {
		t.Errorf("part %v: its key was used before", p.Header)
	}
	seen[p.Header.Commit] = true
}
