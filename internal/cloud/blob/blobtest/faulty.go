package blobtest

import (
	"context"
	"fmt"
	"io"
	"sync"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/blob"
)

// Outcome is what becomes of a Put.
type Outcome int

// A failing Put either had no effect, or had all of it although it reported
// an error: a store across a network does both.
const (
	Pass Outcome = iota
	FailForgotten
	FailKept
)

// Faulty is a store whose Puts fail when Decide says so. It hides a wrapped
// Adopter, so callers go the way of a remote store.
type Faulty struct {
	blob.Store

	mu     sync.Mutex
	decide func(name string) Outcome
}

// NewFaulty wraps a store. decide is called for every Put, one at a time.
func NewFaulty(s blob.Store, decide func(name string) Outcome) *Faulty {
	return &Faulty{Store: s, decide: decide}
}

// Put implements blob.Store, or fails with latchkey.ErrUnavailable.
func (f *Faulty) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	f.mu.Lock()
	out := f.decide(name)
	f.mu.Unlock()
	failed := fmt.Errorf("blobtest: put %s: %w on purpose", name, latchkey.ErrUnavailable)
	if out == FailForgotten {
		return failed
	}
	if err := f.Store.Put(ctx, name, r, size); err != nil || out == Pass {
		return err
	}
	return failed
}
