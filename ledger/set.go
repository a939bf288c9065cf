package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sort"

	"latchkey.dev/latchkey"
)

// Bytes before what a hash of the set is of.
const (
	hashElement = 0x02
	hashSplit   = 0x03
)

// bucket is how many elements, on average, lie below the hashes that a Set
// keeps: a proof hashes about two of them anew.
const bucket = 16

// Element is one tag of the set with the hash of its statement.
type Element struct {
	Tag   Tag
	Value latchkey.Hash
}

func (e Element) hash() latchkey.Hash {
	var b [1 + TagSize + latchkey.HashSize]byte
	b[0] = hashElement
	copy(b[1:], e.Tag[:])
	copy(b[1+TagSize:], e.Value[:])
	return sha256.Sum256(b[:])
}

func split(left, right latchkey.Hash) latchkey.Hash {
	var b [1 + 2*latchkey.HashSize]byte
	b[0] = hashSplit
	copy(b[1:], left[:])
	copy(b[1+latchkey.HashSize:], right[:])
	return sha256.Sum256(b[:])
}

// A Set is the authenticated set of all tags up to one size of the log. It does
// not change. It takes 64 bytes an element, and about four more for the hashes
// of its upper part.
type Set struct {
	elements []Element // sorted by tag
	kept     [][]latchkey.Hash
}

// NewSet makes the set of these elements, in any order. Two with one tag are
// latchkey.ErrInvalid: which of them counts is decided before (the first in the
// log), and that there are two is proof of misbehaviour.
func NewSet(elements []Element) (*Set, error) {
	s := &Set{elements: slices.Clone(elements)}
	slices.SortFunc(s.elements, func(a, b Element) int { return bytes.Compare(a.Tag[:], b.Tag[:]) })
	for i := 1; i < len(s.elements); i++ {
		if s.elements[i].Tag == s.elements[i-1].Tag {
			return nil, invalid("set", "two elements with tag %v", s.elements[i].Tag)
		}
	}
	s.keep()
	return s, nil
}

// keep computes the upper hashes: kept[d][i] is that of the elements whose tags
// begin with the d bits of i.
func (s *Set) keep() {
	depth := 0
	for len(s.elements)>>depth > bucket {
		depth++
	}
	for d := 0; d <= depth; d++ {
		s.kept = append(s.kept, make([]latchkey.Hash, 1<<d))
	}
	s.fill(span{0, len(s.elements)}, 0, 0)
}

// span is a range of elements.
type span struct{ from, to int }

func (s *Set) fill(at span, d, i int) latchkey.Hash {
	last := len(s.kept) - 1
	var h latchkey.Hash
	if n := at.to - at.from; n <= 1 || d == last {
		h = s.compute(at, d)
	} else {
		left, right := s.halves(at, d)
		h = split(s.fill(left, d+1, 2*i), s.fill(right, d+1, 2*i+1))
	}
	s.kept[d][i] = h
	return h
}

// compute is the hash of the elements at, which agree on their first d bits.
func (s *Set) compute(at span, d int) latchkey.Hash {
	switch at.to - at.from {
	case 0:
		return latchkey.Hash{}
	case 1:
		return s.elements[at.from].hash()
	}
	left, right := s.halves(at, d)
	return split(s.compute(left, d+1), s.compute(right, d+1))
}

func (s *Set) halves(at span, d int) (left, right span) {
	n := sort.Search(at.to-at.from, func(i int) bool { return s.elements[at.from+i].Tag.bit(d) == 1 })
	return span{at.from, at.from + n}, span{at.from + n, at.to}
}

// Len is the number of tags.
func (s *Set) Len() int { return len(s.elements) }

// Root is the hash of the whole set.
func (s *Set) Root() latchkey.Hash { return s.kept[0][0] }

// Prove proves whether the tag is in the set.
func (s *Set) Prove(tag Tag) SetProof {
	var p SetProof
	at, prefix := span{0, len(s.elements)}, 0
	for d := 0; at.to-at.from > 1; d++ {
		left, right := s.halves(at, d)
		mine, other := left, right
		bit := int(tag.bit(d))
		if bit == 1 {
			mine, other = right, left
		}
		p.Siblings = append(p.Siblings, s.at(other, d+1, prefix<<1|(1-bit)))
		at, prefix = mine, prefix<<1|bit
	}
	if at.to > at.from {
		leaf := s.elements[at.from] // a copy: the set does not change with its proofs
		p.Leaf = &leaf
	}
	return p
}

// at is the hash of the elements of, which begin with the d bits of i. Below a
// branch that ended in one element nothing was kept.
func (s *Set) at(of span, d, i int) latchkey.Hash {
	if d < len(s.kept) && of.to-of.from > 1 {
		return s.kept[d][i]
	}
	return s.compute(of, d)
}

// SetProof proves that a tag is in a set, or is not: the hashes beside its path
// from the root down, and what the path ends in.
type SetProof struct {
	Siblings []latchkey.Hash // at most 256
	Leaf     *Element        // nil: it ends in nothing
}

// maxDepth is the number of bits in a tag.
const maxDepth = 8 * TagSize

// Check holds the proof against the root of a set. Present means that the tag
// is in it, with this value.
func (p SetProof) Check(root latchkey.Hash, tag Tag) (value latchkey.Hash, present bool, err error) {
	if len(p.Siblings) > maxDepth {
		return latchkey.Hash{}, false, invalid("set proof", "%d siblings, at most %d", len(p.Siblings), maxDepth)
	}
	h := latchkey.Hash{}
	if p.Leaf != nil {
		for d := range p.Siblings {
			if p.Leaf.Tag.bit(d) != tag.bit(d) {
				return latchkey.Hash{}, false, broken("set proof", "it ends in another branch")
			}
		}
		h = p.Leaf.hash()
	}
	for d := len(p.Siblings) - 1; d >= 0; d-- {
		if tag.bit(d) == 1 {
			h = split(p.Siblings[d], h)
		} else {
			h = split(h, p.Siblings[d])
		}
	}
	if h != root {
		return latchkey.Hash{}, false, broken("set proof", "it leads to another set")
	}
	if p.Leaf == nil || p.Leaf.Tag != tag {
		return latchkey.Hash{}, false, nil
	}
	return p.Leaf.Value, true, nil
}

// Encode returns n(2) ‖ n × 32 bytes ‖ 00, or ‖ 01 ‖ tag(32) ‖ value(32).
func (p SetProof) Encode() []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(p.Siblings)))
	for _, s := range p.Siblings {
		b = append(b, s[:]...)
	}
	if p.Leaf == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	return append(append(b, p.Leaf.Tag[:]...), p.Leaf.Value[:]...)
}

// ParseSetProof reads the form of Encode strictly.
func ParseSetProof(b []byte) (SetProof, error) {
	if len(b) < 3 {
		return SetProof{}, invalid("set proof", "%d bytes", len(b))
	}
	n := int(binary.BigEndian.Uint16(b))
	rest := b[2:]
	if n > maxDepth || len(rest) < n*latchkey.HashSize+1 {
		return SetProof{}, invalid("set proof", "%d siblings in %d bytes", n, len(b))
	}
	var p SetProof
	for range n {
		p.Siblings = append(p.Siblings, latchkey.Hash(rest))
		rest = rest[latchkey.HashSize:]
	}
	kind, leaf := rest[0], rest[1:]
	switch {
	case kind == 0 && len(leaf) == 0:
	case kind == 1 && len(leaf) == TagSize+latchkey.HashSize:
		p.Leaf = &Element{Tag: Tag(leaf), Value: latchkey.Hash(leaf[TagSize:])}
	default:
		return SetProof{}, invalid("set proof", "what it ends in has kind %d and %d bytes", kind, len(leaf))
	}
	return p, nil
}
