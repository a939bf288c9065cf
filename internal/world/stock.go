package world

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// PartID names a part.
type PartID struct {
	Epoch latchkey.EpochID
	Track latchkey.TrackID
	Seq   uint32
}

// Stock is what files of concatenated parts hold: how often each part is
// there, and the hash of its bytes.
type Stock struct {
	Count map[PartID]int
	Hash  map[PartID]latchkey.Hash
	Torn  int // files that end in the middle of a part
}

// NewStock returns an empty stock.
func NewStock() Stock {
	return Stock{Count: map[PartID]int{}, Hash: map[PartID]latchkey.Hash{}}
}

// Holds reports whether every part of want is in s.
func (s Stock) Holds(want Stock) bool {
	for id := range want.Hash {
		if _, ok := s.Hash[id]; !ok {
			return false
		}
	}
	return true
}

// TakeStock reads every file below dir with the strict parser. Files may grow
// or go while it reads: what is torn or gone is counted, not an error.
func TakeStock(t *testing.T, dir string) Stock {
	t.Helper()
	return takeStock(t, dir, false)
}

// TakeStockAfterCut reads files that grew when the power was cut: each counts
// up to its first byte that is no part, whatever is behind.
func TakeStockAfterCut(t *testing.T, dir string) Stock {
	t.Helper()
	return takeStock(t, dir, true)
}

func takeStock(t *testing.T, dir string, cut bool) Stock {
	t.Helper()
	s := NewStock()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return s.add(path, b, cut)
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Stock) add(path string, b []byte, cut bool) error {
	for len(b) > 0 {
		p, rest, err := part.Next(b)
		if errors.Is(err, io.ErrUnexpectedEOF) || (err != nil && cut) {
			s.Torn++
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		id, h := PartID{p.Header.Epoch, p.Header.Track, p.Header.Seq}, p.Hash()
		if was, ok := s.Hash[id]; ok && was != h {
			return fmt.Errorf("%s: part %v has two different contents", path, id)
		}
		s.Count[id]++
		s.Hash[id] = h
		b = rest
	}
	return nil
}

// Merge adds what other has; a part with other bytes is an error.
func (s *Stock) Merge(t *testing.T, other Stock) {
	t.Helper()
	for id, h := range other.Hash {
		if was, ok := s.Hash[id]; ok && was != h {
			t.Fatalf("part %v was sealed twice with different bytes", id)
		}
		s.Hash[id] = h
		s.Count[id] += other.Count[id]
	}
}

// MustHold checks that every part of want is in s exactly once, with the same bytes.
func (s Stock) MustHold(t *testing.T, want Stock) {
	t.Helper()
	if len(want.Hash) == 0 {
		t.Fatal("no parts to look for: the test saw nothing")
	}
	missing, other, twice := 0, 0, 0
	for id, h := range want.Hash {
		got, ok := s.Hash[id]
		switch {
		case !ok:
			missing++
			if missing <= 5 {
				t.Errorf("part %v is not stored", id)
			}
		case got != h:
			other++
		}
	}
	for id, n := range s.Count {
		if n != 1 {
			twice++
			if twice <= 5 {
				t.Errorf("part %v is stored %d times", id, n)
			}
		}
	}
	if missing+other+twice > 0 {
		t.Errorf("of %d parts %d are missing, %d have other bytes; %d are stored more than once", len(want.Hash), missing, other, twice)
	}
}

// Whole checks that every (epoch, track) of s is 0, 1, 2, … without a hole.
func (s Stock) Whole(t *testing.T) {
	t.Helper()
	type key struct {
		e latchkey.EpochID
		t latchkey.TrackID
	}
	top, n := map[key]uint32{}, map[key]uint32{}
	for id := range s.Hash {
		k := key{id.Epoch, id.Track}
		top[k] = max(top[k], id.Seq)
		n[k]++
	}
	for k, last := range top {
		if n[k] != last+1 {
			t.Errorf("epoch %v track %v: %d parts up to number %d", k.e, k.t, n[k], last)
		}
	}
}
