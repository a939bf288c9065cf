package hub

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/durable/durabletest"
	"latchkey.dev/latchkey/internal/home/insider"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/lan"
)

// lived is a hub that has recorded for household A, has an early removal, and
// footage that the cloud does not have. traces are what would tell of A.
func lived(t *testing.T) (a *house, traces [][]byte, words []string) {
	t.Helper()
	a = newHouse(t)
	a.cfg.LAN = "127.0.0.1:0"
	bob := newPerson()
	a.admit(bob, chain.RoleMember)
	r := a.start()
	c := a.camera("CANARY-Porch-of-A", "rtsp://127.0.0.1:1/CANARY-path-of-A", "", modeOff)
	c.cfg.User, c.cfg.Password = "CANARY-user-of-A", "CANARY-password-of-A"
	a.add(c)
	a.wait("an epoch", func() bool { return len(a.cloud.Epochs()) == 1 })
	if _, err := lan.Remove(t.Context(), a.lanAddress(c), a.signed(chain.Unmember{Head: a.head(), Kid: bob.sign.Kid()}, a.sign)); err != nil {
		t.Fatal(err)
	}
	a.wait("the epoch without Bob", func() bool { return len(a.cloud.Epochs()) == 2 })
	a.cloud.SetDown(true)
	a.wait("footage that waits", func() bool {
		segs, err := filepath.Glob(filepath.Join(a.cfg.DataDir, "spool", "*.seg"))
		return err == nil && len(segs) > 0
	})
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	ann, bobs, kid := a.sign.Kid(), bob.sign.Kid(), a.hub
	box, bobBox := a.box.Kid(), bob.box.Kid()
	traces = [][]byte{a.state.Household[:], a.state.Hash[:], ann[:], bobs[:], kid[:], box[:], bobBox[:], c.id[:], a.hubX[:32]}
	for _, id := range c.tracks {
		traces = append(traces, bytes.Clone(id[:]))
	}
	for _, e := range a.cloud.Epochs() {
		traces = append(traces, bytes.Clone(e.Note.Epoch[:]), bytes.Clone(e.Hash[:]), bytes.Clone(e.Note.Signer))
	}
	return a, traces, []string{c.cfg.Name, c.cfg.URL, c.cfg.User, "CANARY-password-of-A", a.cloud.URL}
}

// traced lists the files below the folders that hold one of the traces, as
// bytes, hex or base64.
func traced(t *testing.T, traces [][]byte, dirs ...string) (files []string) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			for _, id := range traces {
				for _, form := range [][]byte{id, []byte(hex.EncodeToString(id)), []byte(base64.StdEncoding.EncodeToString(id))} {
					if bytes.Contains(b, form) || bytes.Contains([]byte(path), form) {
						files = append(files, path)
						return err
					}
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestIRT62SoldHub: a hub that was reset and is paired by B brings nothing of A
// along: no member, no right, no camera, no note, no footage. Whoever has its
// disk finds nothing of A, and whoever has its keys too finds no camera of A.
func TestIRT62SoldHub(t *testing.T) {
	a, traces, words := lived(t)
	dir, home := a.cfg.DataDir, a.cfg.Home
	if found := traced(t, traces, dir); len(found) < 5 {
		t.Fatalf("the search finds A in %v only: it would find nothing afterwards either", found)
	}
	r, err := Reset(durable.Disk{}, dir, home)
	if err != nil || len(r.Strange) > 0 || r.MachineKey == "" || r.Bytes == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, d := range []string{dir, home} {
		if left, err := os.ReadDir(d); err != nil || len(left) > 0 {
			t.Errorf("%s holds %v (%v)", d, left, err)
		}
	}
	b := newHouse(t)
	b.cfg.DataDir, b.cfg.Home = dir, home
	h := b.start()
	c := b.camera("Porch of B", "rtsp://127.0.0.1:1/none", "", modeOff)
	b.add(c)
	b.wait("an epoch", func() bool { return len(b.cloud.Epochs()) == 1 })
	b.wait("records", func() bool { s, _, _ := b.docs(c); return len(s) > 0 })
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	e := b.cloud.Epochs()[0]
	if e.Note.N != 0 || e.Note.Prev != (latchkey.Hash{}) || len(e.Note.Last) > 0 || len(e.Raw.GetSeals()) != 1 || !sealedTo(e, b.box) {
		t.Errorf("the first epoch for B: %+v sealed to %d", e.Note, len(e.Raw.GetSeals()))
	}
	if h.Kid() == a.hub {
		t.Error("it has its old identity")
	}
	if found := traced(t, traces, dir, home); len(found) > 0 {
		t.Errorf("of A there is something in %v", found)
	}
	plain, err := marshalSettings(h.store.cfg())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range words {
		if bytes.Contains(plain, []byte(w)) {
			t.Errorf("its configuration holds %q", w)
		}
	}
	report, err := insider.Scan(t.Context(), insider.Config{DataDirs: []string{dir}, Canaries: words})
	if err != nil || len(report.Findings) > 0 || len(report.Unread) > 0 || report.Files == 0 {
		t.Errorf("the insider: %d files, %+v, unread %v, %v", report.Files, report.Findings, report.Unread, err)
	}
}

// TestIRT62RemovedNotReset: a hub that A has removed and nobody has reset is let
// in by A's server no more, and joins B only when it has been reset.
func TestIRT62RemovedNotReset(t *testing.T) {
	a, traces, _ := lived(t)
	a.cloud.SetDown(false)
	a.append(chain.Unhub{Head: a.head(), Kid: a.hub})
	b := newHouse(t)
	b.cfg.DataDir, b.cfg.Home = a.cfg.DataDir, a.cfg.Home
	joins := func() error {
		cfg := b.cfg
		cfg.PairCode = keys.NewCode().Reveal()
		return b.launchOf(cfg).ends()
	}
	if err := joins(); !errors.Is(err, ErrOccupied) {
		t.Fatalf("with what it holds of A it ended with %v", err)
	}
	n := len(a.cloud.Epochs())
	if err := a.launchOf(a.cfg).ends(); !errors.Is(err, ErrRemoved) {
		t.Fatalf("at A it ended with %v", err)
	}
	if len(a.cloud.Epochs()) != n {
		t.Error("A's server took an epoch of it")
	}
	if err := joins(); !errors.Is(err, ErrOccupied) {
		t.Fatalf("removed, it ended with %v", err)
	}
	if _, err := Reset(durable.Disk{}, b.cfg.DataDir, b.cfg.Home); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.add(b.camera("Porch of B", "rtsp://127.0.0.1:1/none", "", modeOff))
	b.wait("an epoch", func() bool { return len(b.cloud.Epochs()) == 1 })
	if found := traced(t, traces, b.cfg.DataDir); len(found) > 0 {
		t.Errorf("of A there is something in %v", found)
	}
}

// TestResetIsResumed turns the machine off at every call of a reset. What is
// left runs for nobody, and goes at the next one.
func TestResetIsResumed(t *testing.T) {
	a, traces, _ := lived(t)
	root := t.TempDir()
	for name, from := range map[string]string{"hub": a.cfg.DataDir, "home": a.cfg.Home} {
		if err := os.CopyFS(filepath.Join(root, name), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	b := newHouse(t)
	for n := 1; ; n++ {
		at := copyDir(t, root)
		disk, err := durabletest.New(at)
		if err != nil {
			t.Fatal(err)
		}
		disk.CrashAt(n)
		_, rerr := Reset(disk, filepath.Join(at, "hub"), filepath.Join(at, "home"))
		crashed := disk.Ops() >= n
		if crashed == (rerr == nil) {
			t.Fatalf("call %d: crashed %v, %v", n, crashed, rerr)
		}
		image := imageOf(t, disk, uint64(n))
		cfg := b.cfg
		cfg.DataDir, cfg.Home = filepath.Join(image, "hub"), filepath.Join(image, "home")
		cfg.Server = "http://127.0.0.1:1"
		cfg.PairCode = keys.NewCode().Reveal()
		_, gone := os.Stat(filepath.Join(cfg.DataDir, "config"))
		left := traced(t, traces, cfg.DataDir)
		if h, err := New(cfg); err == nil && gone != nil && len(left) > 0 {
			if err := h.Run(t.Context()); !errors.Is(err, ErrOccupied) {
				t.Errorf("call %d: a code is taken beside %v: %v", n, left, err)
			}
		}
		if _, err := Reset(durable.Disk{}, cfg.DataDir, cfg.Home); err != nil && !errors.Is(err, latchkey.ErrNotFound) {
			t.Errorf("call %d: the next reset: %v", n, err)
		}
		if found := traced(t, traces, cfg.DataDir); len(found) > 0 {
			t.Errorf("call %d: of A there is something in %v", n, found)
		}
		if !crashed {
			if n < 20 {
				t.Errorf("only %d calls", n)
			}
			return
		}
	}
}

func TestResetIsCareful(t *testing.T) {
	if _, err := Reset(durable.Disk{}, t.TempDir(), t.TempDir()); !errors.Is(err, latchkey.ErrNotFound) {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := Reset(durable.Disk{}, filepath.Join(t.TempDir(), "none"), t.TempDir()); !errors.Is(err, latchkey.ErrNotFound) {
		t.Errorf("no folder: %v", err)
	}
	w := newHouse(t)
	r := w.start()
	if _, err := Reset(durable.Disk{}, w.cfg.DataDir, w.cfg.Home); !errors.Is(err, latchkey.ErrConflict) {
		t.Errorf("a running hub: %v", err)
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	mine, vault := filepath.Join(w.cfg.DataDir, "photos.zip"), filepath.Join(w.cfg.Home, "member.json")
	for _, path := range []string{mine, vault} {
		if err := os.WriteFile(path, []byte("not the hub's"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	left, err := Reset(durable.Disk{}, w.cfg.DataDir, w.cfg.Home)
	if err != nil || !slices.Equal(left.Strange, []string{mine}) || left.MachineKey != "" {
		t.Errorf("%+v, %v", left, err)
	}
	for _, path := range []string{mine, vault, filepath.Join(w.cfg.Home, machineFile)} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if files, err := os.ReadDir(w.cfg.DataDir); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}
