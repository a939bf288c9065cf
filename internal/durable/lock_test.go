package durable_test

import (
	"errors"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
)

func TestLockHasOneHolder(t *testing.T) {
	dir := t.TempDir()
	first, err := durable.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := durable.Lock(dir); !errors.Is(err, latchkey.ErrConflict) {
		t.Errorf("second holder: %v, want a conflict", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := durable.Lock(dir) // the file that stayed behind does not matter
	if err != nil {
		t.Fatalf("after the first let go: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestLockOfNoDirectory(t *testing.T) {
	if _, err := durable.Lock(t.TempDir() + "/none"); err == nil {
		t.Error("locked a directory that is not there")
	}
}
