package spool

import (
	"bytes"
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// Batch is consecutive parts of one stream, ready to be sent.
type Batch struct {
	Range
	Bytes []byte
}

// Rewind forgets what earlier connections were told, at the start of a new
// one: everything held is to be sent again unless `have` says otherwise.
func (s *Spool) Rewind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.all() {
		for _, st := range g.streams {
			for i := range st.refs {
				st.refs[i].state &= gone
			}
			st.unsent = 0
		}
	}
	wake(s.more)
}

// More yields after parts were appended or given back by Unsent: the moment
// to ask Next again. For one reader.
func (s *Spool) More() <-chan struct{} { return s.more }

// Next returns the oldest parts still to be sent: a run of one stream, at most
// limit bytes unless its first part alone is larger, and marks them sent. ok is
// false when there are none. Every byte is checked: the cloud takes the hash of
// a backlog part from the header after it. Where the disk has spoilt what comes
// next, that is given up and err is a *Damage, of which the caller must make an
// event; Batch is empty then.
func (s *Spool) Next(limit int) (b Batch, ok bool, err error) {
	r, raws, err := s.fetch(limit)
	if r == (Range{}) {
		return Batch{}, false, nil
	}
	good := 0
	if len(raws) > 0 {
		good, err = s.sealed(r, raws)
	}
	if good == 0 {
		return Batch{}, true, s.giveUp(r, err)
	}
	b = Batch{Range: r, Bytes: bytes.Join(raws[:good], nil)}
	b.Last = r.First + uint32(good) - 1
	if b.Last < r.Last {
		// What follows is offered again, and then looked at by itself.
		s.mark(Range{r.Key, b.Last + 1, r.Last}, 0, sent)
	}
	return b, true, nil
}

// fetch reads the oldest parts still to be sent and marks them sent. raws are
// those that could be read, up to the first that could not: err says why.
func (s *Spool) fetch(limit int) (r Range, raws [][]byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.all() {
		st := g.next()
		if st == nil {
			continue
		}
		refs := st.take(limit)
		first := st.first + uint32(st.unsent)
		r = Range{Key: st.key, First: first, Last: first + uint32(len(refs)) - 1}
		raws, err = g.read(refs...)
		g.mark(r, sent, 0)
		return r, raws, err
	}
	return Range{}, nil, nil
}

// Backlog names the oldest and the newest part that Next would return, with
// their slots; ok is false when there is none, or its file cannot be read.
func (s *Spool) Backlog() (oldest, newest Lost, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all()
	var first, last *Lost
	for i := 0; i < len(all) && first == nil; i++ {
		if st := all[i].next(); st != nil {
			first = all[i].lostAt(st, st.unsent)
		}
	}
	if first == nil {
		return Lost{}, Lost{}, false
	}
	for i := len(all) - 1; i >= 0 && last == nil; i-- {
		last = all[i].newestUnsent()
	}
	if last == nil {
		return Lost{}, Lost{}, false
	}
	return *first, *last, true
}

// newestUnsent names the part to be sent that lies last in the segment.
func (g *segment) newestUnsent() *Lost {
	var best *stream
	at := 0
	for _, st := range g.streams {
		for i := len(st.refs) - 1; i >= st.unsent; i-- {
			if st.refs[i].state != 0 {
				continue
			}
			if best == nil || st.refs[i].off > best.refs[at].off {
				best, at = st, i
			}
			break
		}
	}
	if best == nil {
		return nil
	}
	return g.lostAt(best, at)
}

// lostAt names one part with its slot; nil when its header cannot be read.
func (g *segment) lostAt(st *stream, i int) *Lost {
	h, err := g.headerAt(st.refs[i])
	if err != nil {
		return nil
	}
	seq := st.first + uint32(i)
	return &Lost{Range: Range{Key: st.key, First: seq, Last: seq}, FirstSlot: h.Slot, LastSlot: h.Slot}
}

// take returns the refs from the first unsent one on that fit into limit.
func (st *stream) take(limit int) []ref {
	size, end := 0, st.unsent
	for end < len(st.refs) && st.refs[end].state == 0 {
		if size += int(st.refs[end].size); size > limit && end > st.unsent {
			break
		}
		end++
	}
	return st.refs[st.unsent:end]
}

// Unsent offers parts again: the connection did not carry them after all.
func (s *Spool) Unsent(r Range) {
	s.mark(r, 0, sent)
	wake(s.more)
}

// Stored notes that the cloud has fsynced these parts: they are kept, not sent
// again on this connection, and not counted as lost if they must be dropped.
func (s *Spool) Stored(r Range) { s.mark(r, stored, 0) }

// Ack forgets parts that the cloud holds durably. hash, if not nil, is the
// receipt's part hash of r.Last; one that is not ours is latchkey.ErrVerify
// and nothing is forgotten. A segment whose last part goes is removed.
func (s *Spool) Ack(r Range, hash *latchkey.Hash) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hash != nil {
		if err := s.checkHash(r, *hash); err != nil {
			return err
		}
	}
	for _, g := range s.all() {
		g.mark(r, gone, 0)
	}
	s.prune()
	return nil
}

// Drop gives parts up that the cloud will never take (it calls them invalid).
func (s *Spool) Drop(r Range) []Lost {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lost []Lost
	for _, g := range s.all() {
		for _, l := range g.lost() {
			if l.Key == r.Key && l.First <= r.Last && r.First <= l.Last {
				l.First, l.Last = max(l.First, r.First), min(l.Last, r.Last)
				lost = append(lost, l)
			}
		}
		g.mark(r, gone, 0)
	}
	s.prune()
	return lost
}

// checkHash compares a receipt with our own bytes. A part that is no longer
// held cannot be compared, and needs not be.
func (s *Spool) checkHash(r Range, want latchkey.Hash) error {
	for _, g := range s.all() {
		var found *ref
		g.each(Range{r.Key, r.Last, r.Last}, func(st *stream, i int) { found = &st.refs[i] })
		if found == nil || found.state&gone != 0 {
			continue
		}
		raws, err := g.read(*found)
		if err != nil {
			return err
		}
		p, err := part.Parse(raws[0])
		if err != nil {
			return fmt.Errorf("spool: check receipt: %w", err)
		}
		if p.Hash() != want {
			return fmt.Errorf("spool: receipt for %v: %w: it speaks of other bytes", p.Header, latchkey.ErrVerify)
		}
	}
	return nil
}

// Held lists what the spool has, merged per stream.
func (s *Spool) Held() []Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Range
	for _, g := range s.all() {
		out = append(out, g.ranges(0)...)
	}
	return merge(out)
}

// Epochs lists the epochs of all parts whose bytes are still there, also of
// those that are done: until their segment goes, a restart finds them again,
// so what is needed to check them must stay as long.
func (s *Spool) Epochs() map[latchkey.EpochID]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[latchkey.EpochID]bool{}
	for _, g := range s.all() {
		for _, st := range g.streams {
			out[st.key.Epoch] = true
		}
	}
	return out
}

func (s *Spool) mark(r Range, set, clear state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.markAll(r, set, clear)
}

// markAll looks from the newest segment back and stops when all parts of r are
// found: what is marked most often is what has just been appended.
func (s *Spool) markAll(r Range, set, clear state) {
	all, left := s.all(), int64(r.Last-r.First)+1
	for i := len(all) - 1; i >= 0 && left > 0; i-- {
		left -= int64(all[i].mark(r, set, clear))
	}
}
