package durable_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/durable/durabletest"
)

// TestDestroy: the name is gone, and another name of the same bytes shows that
// they were overwritten first.
func TestDestroy(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "hub.key"), filepath.Join(dir, "other")
	secret := bytes.Repeat([]byte("secret"), 40_000)
	if err := durable.WriteFile(durable.Disk{}, path, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.Link(durable.Disk{}, path, other); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is gone already
		if err := durable.Destroy(durable.Disk{}, path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the name is there: %v", err)
	}
	if b, err := os.ReadFile(other); err != nil || len(b) != len(secret) || bytes.Contains(b, []byte("secretsecret")) {
		t.Errorf("%d bytes (%v), not overwritten", len(b), err)
	}
}

// TestDestroySurvivesPowerCuts: once it has returned nil, no power cut brings
// the bytes or the name back.
func TestDestroySurvivesPowerCuts(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hub.key")
	if err := durable.WriteFile(durable.Disk{}, path, []byte("secretsecret"), 0o600); err != nil {
		t.Fatal(err)
	}
	disk, err := durabletest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := durable.Destroy(disk, path); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(8) {
		image := t.TempDir()
		if err := disk.Image(image, rand.New(rand.NewPCG(seed, 1))); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(image, "hub.key")); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("seed %d: it is back (%v)", seed, err)
		}
	}
}

// TestDestroyAFullDisk: what cannot be overwritten is removed, and said.
func TestDestroyAFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hub.key")
	if err := durable.WriteFile(durable.Disk{}, path, []byte("secretsecret"), 0o600); err != nil {
		t.Fatal(err)
	}
	disk, err := durabletest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	disk.SetSpace(0)
	if err := durable.Destroy(disk, path); err == nil {
		t.Error("it says that it was overwritten")
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the name is there: %v", err)
	}
}
