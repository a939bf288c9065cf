package ledger

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"latchkey.dev/latchkey"
)

// count fills a log up with the entries "entry 0", "entry 1", … as the reader in
// TypeScript is tested on.
func (l *testLog) count(size int) Checkpoint {
	l.t.Helper()
	for len(l.entries) < size {
		l.add(fmt.Appendf(nil, "entry %d", len(l.entries)))
	}
	return l.publish()
}

// TestLevels reads a log that needs three levels of tiles.
func TestLevels(t *testing.T) {
	l := newTestLog(t)
	log := NewLog(l.policy, l.fetch)
	var at []Checkpoint
	for _, x := range []struct {
		size int
		root string
	}{
		{7, "98c97f0ba3175cd08b031dd084b9dc4e649b64d1a28e6ea694646503173ab587"},
		{256, "da6596d95369f5fef322ab8e4e0da3b0b50236aa9c8a3b1d246f7411c9e2e32e"},
		{300, "ca393d0296bec5e0b8dcab983bd1fb7d1461f512e7267cb89631ad26fd66d848"},
		{66_000, "08a059156898bcf96821e737c4bda8f212d036a84b6b8e2a89b4e0660c6ac9a2"},
	} {
		c := l.count(x.size)
		if got := c.Root.String(); got != x.root {
			t.Fatalf("%d entries have root %s", x.size, got)
		}
		at = append(at, c)
	}
	now := at[len(at)-1]
	for i, before := range at {
		for _, c := range at[i:] {
			if err := log.Extends(t.Context(), before, c); err != nil {
				t.Errorf("%d to %d: %v", before.Size, c.Size, err)
			}
		}
	}
	for _, i := range []int64{0, 255, 256, 65_535, 65_536, 65_999} {
		p, err := log.Prove(t.Context(), now, i)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Check(l.policy, l.entries[i]); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
}

// Entries are read from the whole bundle where its part has gone, and only as
// many as the checkpoint has.
func TestPartsHaveGone(t *testing.T) {
	l := newTestLog(t)
	log := NewLog(l.policy, l.fetch)
	before := l.count(7)
	l.count(300)
	for _, level := range []int{-1, 0} {
		delete(l.files, TilePath(tlog.Tile{H: tileHeight, L: level, N: 0, W: 7}))
	}
	var got [][]byte
	for e, err := range log.Entries(t.Context(), before, 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if !slices.EqualFunc(got, l.entries[:7], bytes.Equal) {
		t.Errorf("%d entries", len(got))
	}
}

// TestEntriesInPlace changes a bundle in ways that leave it well formed.
func TestEntriesInPlace(t *testing.T) {
	l := newTestLog(t)
	log := NewLog(l.policy, l.fetch)
	c := l.count(3)
	path := TilePath(tlog.Tile{H: tileHeight, L: -1, N: 0, W: 3})
	good := l.files[path]
	one := len(good) / 3
	a, b, d := good[:one], good[one:2*one], good[2*one:]
	for what, bundle := range map[string][]byte{"another order": slices.Concat(b, a, d), "one is missing": slices.Concat(a, b), "one twice": slices.Concat(a, a, d), "nothing": nil} {
		l.files[path] = bundle
		for _, err := range log.Entries(t.Context(), c, 0) {
			if !errors.Is(err, latchkey.ErrVerify) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// A proof is the caller's own: what he does to it, the set does not see.
func TestProofsAreCopies(t *testing.T) {
	s, err := NewSet([]Element{{Tag: Tag{1}, Value: latchkey.Hash{1}}, {Tag: Tag{200}, Value: latchkey.Hash{2}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p := s.Prove(Tag{1})
		value, present, err := p.Check(s.Root(), Tag{1})
		if err != nil || !present || value != (latchkey.Hash{1}) {
			t.Fatalf("%v %v %v", value, present, err)
		}
		p.Leaf.Value[0]++
		p.Siblings[0][0]++
	}
}

// The deepest set there is: two tags that differ in their last bit.
func TestDeepest(t *testing.T) {
	near := Tag{31: 1}
	s, err := NewSet([]Element{{Tag: Tag{}, Value: latchkey.Hash{1}}, {Tag: near, Value: latchkey.Hash{2}}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParseSetProof(s.Prove(near).Encode())
	if err != nil || len(p.Siblings) != maxDepth {
		t.Fatalf("%d siblings, %v", len(p.Siblings), err)
	}
	if value, present, err := p.Check(s.Root(), near); err != nil || !present || value != (latchkey.Hash{2}) {
		t.Errorf("%v %v %v", value, present, err)
	}
	far := Tag{0: 0x80}
	if _, present, err := s.Prove(far).Check(s.Root(), far); err != nil || present {
		t.Errorf("%s: %v %v", hex.EncodeToString(far[:]), present, err)
	}
}
