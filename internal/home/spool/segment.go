package spool

import (
	"fmt"
	"os"
	"sort"

	"latchkey.dev/latchkey/part"
)

// state of one part in the spool. Bits.
type state uint8

const (
	sent   state = 1 << iota // handed to the connection of now
	stored                   // the cloud has fsynced it
	gone                     // durable in the cloud, or given up: not ours any more
)

// ref places one part. 12 bytes, because a full spool holds a million of them.
type ref struct {
	off, size uint32 // bytes in the file, or the index in raws; size includes header and signature
	state     state
}

// stream is the consecutive parts of one (epoch, track) in one segment:
// refs[i] is seq first+i. A hole in seq starts another stream.
type stream struct {
	key    Key
	first  uint32
	refs   []ref
	unsent int // every ref before it is sent, stored or gone
}

// segment is one file of concatenated parts, all tracks interleaved in the
// order they were sealed; or, without a path, parts that wait in RAM.
type segment struct {
	path    string
	raws    [][]byte // of a RAM segment; as they came, never copied
	streams []*stream
	byKey   map[Key]*stream // the newest stream of each key
	size    int64           // bytes of parts, gone ones included
	held    int             // parts not gone
	heldLen int64           // their bytes
}

func newSegment(path string) *segment {
	return &segment{path: path, byKey: map[Key]*stream{}}
}

// hold takes a part into a RAM segment.
func (g *segment) hold(raw []byte, h part.Header, st state) {
	g.place(uint32(len(g.raws)), h, st)
	g.raws = append(g.raws, raw)
}

// add indexes a part that lies at the end of the segment's file.
func (g *segment) add(h part.Header, st state) { g.place(uint32(g.size), h, st) }

func (g *segment) place(off uint32, h part.Header, st state) {
	key := Key{Epoch: h.Epoch, Track: h.Track}
	s := g.byKey[key]
	if s == nil || h.Seq != s.first+uint32(len(s.refs)) {
		s = &stream{key: key, first: h.Seq}
		g.streams = append(g.streams, s)
		g.byKey[key] = s
	}
	s.refs = append(s.refs, ref{off: off, size: uint32(h.Size()), state: st})
	g.size += int64(h.Size())
	if st&gone == 0 {
		g.held++
		g.heldLen += int64(h.Size())
	}
}

// has reports whether the segment's index knows this part.
func (g *segment) has(key Key, seq uint32) bool {
	for _, s := range g.streams {
		if s.key == key && seq >= s.first && seq-s.first < uint32(len(s.refs)) {
			return true
		}
	}
	return false
}

// each calls fn for the refs of r that the segment holds.
func (g *segment) each(r Range, fn func(*stream, int)) {
	for _, s := range g.streams {
		if s.key != r.Key || r.Last < s.first {
			continue
		}
		from, to := 0, len(s.refs)
		if r.First > s.first {
			from = int(min(r.First-s.first, uint32(len(s.refs))))
		}
		if r.Last-s.first < uint32(len(s.refs)) {
			to = int(r.Last-s.first) + 1
		}
		for i := from; i < to; i++ {
			fn(s, i)
		}
	}
}

// mark sets and clears state bits of the parts of r, keeps the counts, and
// returns how many parts of r the segment has.
func (g *segment) mark(r Range, set, clear state) (n uint32) {
	g.each(r, func(s *stream, i int) {
		n++
		f := &s.refs[i]
		was := f.state
		f.state = was&^clear | set
		if f.state&(sent|stored|gone) == 0 {
			s.unsent = min(s.unsent, i)
		}
		if f.state&gone != 0 && was&gone == 0 {
			g.held--
			g.heldLen -= int64(f.size)
		}
	})
	return n
}

// next returns the stream with the oldest part that is still to be sent.
func (g *segment) next() *stream {
	var best *stream
	for _, s := range g.streams {
		for s.unsent < len(s.refs) && s.refs[s.unsent].state != 0 {
			s.unsent++
		}
		if s.unsent < len(s.refs) && (best == nil || s.refs[s.unsent].off < best.refs[best.unsent].off) {
			best = s
		}
	}
	return best
}

// read returns the bytes of each ref, up to the first that cannot be read: of
// that one the error speaks.
func (g *segment) read(refs ...ref) (raws [][]byte, err error) {
	if g.path == "" {
		for _, f := range refs {
			raws = append(raws, g.raws[f.off][:f.size])
		}
		return raws, nil
	}
	file, err := os.Open(g.path)
	if err != nil {
		return nil, fmt.Errorf("spool: open segment: %w", err)
	}
	defer file.Close() // opened for reading: nothing can be lost
	for _, f := range refs {
		raw := make([]byte, f.size)
		if _, err := file.ReadAt(raw, int64(f.off)); err != nil {
			return raws, fmt.Errorf("spool: read segment: %w", err)
		}
		raws = append(raws, raw)
	}
	return raws, nil
}

// ranges lists the held parts without any of the bits in not, in (epoch,
// track, seq) order of appearance.
func (g *segment) ranges(not state) []Range {
	var out []Range
	for _, s := range g.streams {
		for i, f := range s.refs {
			if f.state&(gone|not) != 0 {
				continue
			}
			seq := s.first + uint32(i)
			if n := len(out); n > 0 && out[n-1].Key == s.key && out[n-1].Last+1 == seq {
				out[n-1].Last = seq
				continue
			}
			out = append(out, Range{Key: s.key, First: seq, Last: seq})
		}
	}
	return out
}

// headerAt reads the header of one part, for its slot.
func (g *segment) headerAt(f ref) (part.Header, error) {
	raws, err := g.read(ref{off: f.off, size: part.HeaderSize})
	if err != nil {
		return part.Header{}, err
	}
	return part.ParseHeader(raws[0])
}

// merge joins ranges of one key that touch, over all segments, oldest first.
func merge(in []Range) []Range {
	sort.SliceStable(in, func(i, j int) bool {
		if c := in[i].Key.compare(in[j].Key); c != 0 {
			return c < 0
		}
		return in[i].First < in[j].First
	})
	var out []Range
	for _, r := range in {
		if n := len(out); n > 0 && out[n-1].Key == r.Key && r.First <= out[n-1].Last+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}
