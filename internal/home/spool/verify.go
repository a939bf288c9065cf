package spool

import (
	"errors"
	"fmt"
	"io/fs"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// Damage is parts that were given up because the disk does not give back what
// was sealed.
type Damage struct {
	Lost
	Err error
}

func (d *Damage) Error() string {
	return fmt.Sprintf("spool: part %v/%v/%d: %v", d.Epoch, d.Track, d.First, d.Err)
}

// Unwrap gives the cause.
func (d *Damage) Unwrap() error { return d.Err }

// sealed returns how many parts at the start of raws, which should be those of
// r, are as they were sealed. When that is none, the error says what is wrong
// with the first. One pass of SHA-256 and one signature decide in the usual
// case: each part against the prev of the next, the last by its signature.
func (s *Spool) sealed(r Range, raws [][]byte) (good int, err error) {
	run := make([]part.Part, 0, len(raws))
	for i, raw := range raws {
		p, err := part.Parse(raw)
		if h := p.Header; err == nil && (h.Epoch != r.Epoch || h.Track != r.Track || h.Seq != r.First+uint32(i)) {
			err = fmt.Errorf("%w: another part is in its place", latchkey.ErrVerify)
		}
		if err != nil && i == 0 {
			return 0, err
		}
		if err != nil {
			break
		}
		run = append(run, p)
	}
	linked := unbroken(run)
	if linked == len(run) && s.check(run[linked-1]) == nil {
		return linked, nil
	}
	// Where a link is broken, either side may be the spoilt one.
	for i, p := range run[:min(linked+1, len(run))] {
		if err := s.check(p); err != nil {
			return i, err
		}
	}
	return linked, nil
}

// unbroken returns the length of the longest piece at the start of run in
// which each part's hash is what the next one says.
func unbroken(run []part.Part) int {
	for i := 1; i < len(run); i++ {
		if run[i-1].Hash() != run[i].Header.Prev {
			return i
		}
	}
	return len(run)
}

func (s *Spool) check(p part.Part) error {
	if s.cfg.Check == nil {
		return nil
	}
	err := s.cfg.Check(p)
	if errors.Is(err, latchkey.ErrNotFound) {
		return nil // its epoch's note is gone: the uplink gives up all of that epoch
	}
	return err
}

// giveUp forgets the first part of r, or all of it if the whole file is gone,
// and offers the rest again.
func (s *Spool) giveUp(r Range, why error) *Damage {
	s.mu.Lock()
	defer s.mu.Unlock()
	bad := Range{r.Key, r.First, r.First}
	if errors.Is(why, fs.ErrNotExist) {
		bad.Last = r.Last
	}
	d := &Damage{Lost: Lost{Range: bad, Damaged: true}, Err: why}
	for _, g := range s.all() {
		if g.has(bad.Key, bad.First) {
			d.FirstSlot, d.LastSlot = g.slotsOf(bad)
		}
	}
	s.markAll(r, 0, sent)
	s.markAll(bad, gone, 0)
	s.prune()
	return d
}

// slotsOf tells from when to when the parts of r were, though what the file
// says of them cannot be believed: their own word counts if it lies between
// the words of the parts before and after, which are taken otherwise.
func (g *segment) slotsOf(r Range) (first, last uint32) {
	low, high := uint32(0), uint32(part.Slots-1)
	before, hasBefore := g.slotOf(r.Key, r.First-1)
	after, hasAfter := g.slotOf(r.Key, r.Last+1)
	if hasBefore {
		low = before
	}
	if hasAfter {
		high = after
	}
	first, okFirst := g.slotOf(r.Key, r.First)
	last, okLast := g.slotOf(r.Key, r.Last)
	switch {
	case okFirst && okLast && low <= first && first <= last && last <= high:
		return first, last
	case !hasAfter:
		return low, low
	case !hasBefore:
		return high, high
	}
	return low, high
}

// slotOf reads the slot of a part; ok is false if there is no such part.
func (g *segment) slotOf(key Key, seq uint32) (slot uint32, ok bool) {
	g.each(Range{key, seq, seq}, func(st *stream, i int) {
		h, err := g.headerAt(st.refs[i])
		if err == nil && h.Epoch == key.Epoch && h.Track == key.Track && h.Seq == seq {
			slot, ok = h.Slot, true
		}
	})
	return slot, ok
}
