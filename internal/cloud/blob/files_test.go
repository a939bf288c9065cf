package blob_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/blob"
	"latchkey.dev/latchkey/internal/cloud/blob/blobtest"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/durable/durabletest"
)

func open(t *testing.T, fsys durable.FS, dir string) *blob.Files {
	t.Helper()
	s, err := blob.OpenFiles(fsys, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestFiles(t *testing.T) { blobtest.Run(t, open(t, durable.Disk{}, t.TempDir())) }

func TestFaultyPasses(t *testing.T) {
	blobtest.Run(t, blobtest.NewFaulty(open(t, durable.Disk{}, t.TempDir()), func(string) blobtest.Outcome { return blobtest.Pass }))
}

// TestNoWayOut: links planted in the directory lead nowhere.
func TestNoWayOut(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if r, err := open(t, durable.Disk{}, dir).Get(t.Context(), "link", 0, 6); err == nil {
		r.Close()
		t.Fatal("a link led out of the store")
	}
}

// TestPowerCut cuts the power at every system call of a Put and of an Adopt:
// what was reported done is there, and nothing is ever there in part.
func TestPowerCut(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 4000)
	for _, how := range []string{"put", "adopt"} {
		for n := 1; ; n++ {
			root, image := t.TempDir(), t.TempDir()
			from := filepath.Join(root, "from")
			if err := os.WriteFile(from, want, 0o600); err != nil {
				t.Fatal(err)
			}
			fsys, err := durabletest.New(root)
			if err != nil {
				t.Fatal(err)
			}
			fsys.CrashAt(n)
			s, err := blob.OpenFiles(fsys, filepath.Join(root, "blobs"))
			if err == nil {
				if how == "put" {
					err = s.Put(t.Context(), "e/t/00000001", bytes.NewReader(want), int64(len(want)))
				} else {
					err = s.Adopt(t.Context(), "e/t/00000001", from)
				}
				s.Close()
			}
			if ierr := fsys.Image(image, rand.New(rand.NewPCG(uint64(n), 1))); ierr != nil {
				t.Fatal(ierr)
			}
			got, gerr := os.ReadFile(filepath.Join(image, "blobs", "e", "t", "00000001"))
			if err == nil && gerr != nil {
				t.Fatalf("%s, crash at %d: reported done and gone", how, n)
			}
			if gerr == nil && !bytes.Equal(got, want) {
				t.Fatalf("%s, crash at %d: %d of %d bytes", how, n, len(got), len(want))
			}
			if err == nil {
				if n < 5 {
					t.Fatalf("%s took %d system calls", how, n)
				}
				break
			}
		}
	}
}

// TestAdoptAgain: a second Adopt, as after a crash, and one over other content.
func TestAdoptAgain(t *testing.T) {
	dir := t.TempDir()
	s := open(t, durable.Disk{}, filepath.Join(dir, "blobs"))
	for i, content := range []string{"first", "first", "second"} {
		from := filepath.Join(dir, content)
		if err := os.WriteFile(from, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.Adopt(t.Context(), "a/b", from); err != nil {
			t.Fatalf("adopt %d: %v", i, err)
		}
		r, err := s.Get(t.Context(), "a/b", 0, int64(len(content)))
		if err != nil {
			t.Fatalf("after adopt %d: %v", i, err)
		}
		r.Close()
	}
}

// TestFull: a full disk is ErrFull, leaves the old content, and heals.
func TestFull(t *testing.T) {
	root := t.TempDir()
	fsys, err := durabletest.New(root)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, fsys, filepath.Join(root, "blobs"))
	big := bytes.Repeat([]byte{1}, 100_000)
	if err := s.Put(t.Context(), "a", bytes.NewReader(big[:10]), 10); err != nil {
		t.Fatal(err)
	}
	fsys.SetSpace(1000)
	if err := s.Put(t.Context(), "a", bytes.NewReader(big), int64(len(big))); !errors.Is(err, latchkey.ErrFull) {
		t.Fatalf("got %v", err)
	}
	if _, err := s.Get(t.Context(), "a", 0, 10); err != nil {
		t.Fatal(err)
	}
	fsys.SetSpace(-1)
	if err := s.Put(t.Context(), "a", bytes.NewReader(big), int64(len(big))); err != nil {
		t.Fatal(err)
	}
}
