package durable_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/durable/durabletest"
)

func faulty(t *testing.T) (*durabletest.FS, string) {
	t.Helper()
	dir := t.TempDir()
	fs, err := durabletest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	return fs, dir
}

func image(t *testing.T, fs *durabletest.FS, seed uint64) string {
	t.Helper()
	dir := t.TempDir()
	if err := fs.Image(dir, rand.New(rand.NewPCG(seed, 0))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestWriteFileIsOldOrNew replaces a file and turns the machine off after every
// single call: the medium has the old bytes or the new ones, and the new ones
// as soon as WriteFile has returned nil.
func TestWriteFileIsOldOrNew(t *testing.T) {
	old, now := bytes.Repeat([]byte("old"), 1000), bytes.Repeat([]byte("new!"), 3000)
	for n := 1; ; n++ {
		fs, dir := faulty(t)
		path := filepath.Join(dir, "file")
		if err := durable.WriteFile(fs, path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		before := fs.Ops()
		fs.CrashAt(before + n)
		err := durable.WriteFile(fs, path, now, 0o600)
		for seed := range uint64(10) {
			got, rerr := os.ReadFile(filepath.Join(image(t, fs, seed), "file"))
			if rerr != nil {
				t.Fatal(rerr)
			}
			if err == nil && !bytes.Equal(got, now) {
				t.Fatalf("crash point %d: returned nil, but the file is not the new one", n)
			}
			if !bytes.Equal(got, old) && !bytes.Equal(got, now) {
				t.Fatalf("crash point %d: %d bytes, neither old nor new", n, len(got))
			}
		}
		if err == nil {
			if n < 6 {
				t.Fatalf("only %d calls: is it synced at all?", n-1)
			}
			return
		}
		if !errors.Is(err, durabletest.ErrCrashed) {
			t.Fatalf("crash point %d: %v", n, err)
		}
	}
}

func TestFailuresOfWriteFile(t *testing.T) {
	for _, out := range []durabletest.Outcome{durabletest.FailForgotten, durabletest.FailKept, durabletest.Full} {
		for _, kind := range []durabletest.Kind{durabletest.Create, durabletest.Write, durabletest.Sync, durabletest.Rename, durabletest.SyncDir} {
			t.Run(fmt.Sprint(kind, out), func(t *testing.T) {
				fs, dir := faulty(t)
				path := filepath.Join(dir, "file")
				if err := durable.WriteFile(fs, path, []byte("old"), 0o600); err != nil {
					t.Fatal(err)
				}
				hit := false
				fs.SetHook(func(op durabletest.Op) durabletest.Outcome {
					if op.Kind == kind && !hit {
						hit = true
						return out
					}
					return durabletest.Pass
				})
				err := durable.WriteFile(fs, path, []byte("new"), 0o600)
				if err == nil || !hit {
					t.Fatalf("err %v, hit %v", err, hit)
				}
				if full := out == durabletest.Full; errors.Is(err, latchkey.ErrFull) != full {
					t.Errorf("%v: ErrFull is %v", err, !full)
				}
				if got, err := os.ReadFile(path); err != nil || (string(got) != "old" && string(got) != "new") {
					t.Errorf("file holds %q, %v", got, err)
				}
				if err := durable.WriteFile(fs, path, []byte("again"), 0o600); err != nil {
					t.Fatalf("after the fault: %v", err)
				}
				if got, _ := os.ReadFile(filepath.Join(image(t, fs, 1), "file")); string(got) != "again" {
					t.Errorf("after the fault the medium has %q", got)
				}
			})
		}
	}
}

func TestAppendSurvivesPowerCut(t *testing.T) {
	fs, dir := faulty(t)
	path := filepath.Join(dir, "log")
	a, err := durable.OpenAppend(fs, path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	synced, all := "", ""
	for i := range 20 {
		line := fmt.Sprintf("line %d\n", i)
		if _, err := a.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		all += line
		if i%7 == 0 {
			if err := a.Sync(); err != nil {
				t.Fatal(err)
			}
			synced = all
		}
		got, err := os.ReadFile(filepath.Join(image(t, fs, uint64(i)), "log"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(got), synced) || !strings.HasPrefix(all, string(got)) {
			t.Fatalf("after line %d the medium has %q", i, got)
		}
	}
}

func TestAppendCutsOffWhatDidNotFit(t *testing.T) {
	fs, dir := faulty(t)
	a, err := durable.OpenAppend(fs, filepath.Join(dir, "log"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	fs.SetSpace(10)
	if _, err := a.Write([]byte("eight ..")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("too much")); !errors.Is(err, latchkey.ErrFull) {
		t.Fatalf("got %v", err)
	}
	fs.SetSpace(-1)
	if _, err := a.Write([]byte("fits")); err != nil {
		t.Fatalf("after space came back: %v", err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "log")); string(got) != "eight ..fits" {
		t.Errorf("file holds %q", got)
	}
}

func TestAppendIsPoisonedByAFailedSync(t *testing.T) {
	for _, out := range []durabletest.Outcome{durabletest.FailForgotten, durabletest.FailKept} {
		fs, dir := faulty(t)
		a, err := durable.OpenAppend(fs, filepath.Join(dir, "log"), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if _, err := a.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		fs.SetHook(func(op durabletest.Op) durabletest.Outcome { return out })
		if a.Sync() == nil {
			t.Fatal("a failed fsync was not told")
		}
		fs.SetHook(nil)
		// A second fsync would report success over dropped pages.
		if a.Sync() == nil {
			t.Error("Sync after a failed fsync said that all is well")
		}
		if _, err := a.Write([]byte("y")); err == nil {
			t.Error("Write after a failed fsync was taken")
		}
	}
}

func TestGroupCommit(t *testing.T) {
	fs, dir := faulty(t)
	a, err := durable.OpenAppend(fs, filepath.Join(dir, "log"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	const writers = 50
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	ready.Add(writers)
	for range writers {
		done.Go(func() {
			if _, err := a.Write([]byte("0123456789")); err != nil {
				t.Error(err)
			}
			ready.Done()
			<-gate
			if err := a.Sync(); err != nil {
				t.Error(err)
			}
		})
	}
	ready.Wait()
	before := fs.Ops()
	close(gate)
	done.Wait()
	if n := fs.Ops() - before; n != 1 {
		t.Errorf("%d fsyncs for %d callers whose bytes were all written, want 1", n, writers)
	}
}

func TestMkdirAllAndRemoveAreDurable(t *testing.T) {
	fs, dir := faulty(t)
	deep := filepath.Join(dir, "a", "b", "c")
	if err := durable.MkdirAll(fs, deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.MkdirAll(fs, deep, 0o700); err != nil {
		t.Fatalf("again: %v", err)
	}
	path := filepath.Join(deep, "file")
	if err := durable.WriteFile(fs, path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	in := filepath.Join("a", "b", "c", "file")
	if _, err := os.Stat(filepath.Join(image(t, fs, 1), in)); err != nil {
		t.Error(err)
	}
	if err := durable.Remove(fs, path); err != nil {
		t.Fatal(err)
	}
	if err := durable.Remove(fs, path); err != nil {
		t.Fatalf("again: %v", err)
	}
	if _, err := os.Stat(filepath.Join(image(t, fs, 1), in)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed file after a power cut: %v", err)
	}
	if err := durable.MkdirAll(fs, filepath.Join(path, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// TestUnsyncedNamesVanish is the model's own test: without the syncs that
// durable makes, a power cut does take the file.
func TestUnsyncedNamesVanish(t *testing.T) {
	fs, dir := faulty(t)
	f, err := fs.OpenFile(filepath.Join(dir, "file"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(image(t, fs, 1), "file")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a name that was never synced survived: %v", err)
	}
}

func TestRealDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "file")
	if err := durable.MkdirAll(durable.Disk{}, filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if n, err := durable.WriteFrom(durable.Disk{}, path, strings.NewReader("hello"), 0o640); err != nil || n != 5 {
		t.Fatal(n, err)
	}
	a, err := durable.OpenAppend(durable.Disk{}, path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte(" world")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Sync(), a.Truncate(7), a.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "hello w" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := a.Write([]byte("x")); err == nil {
		t.Error("a closed file takes bytes")
	}
}
