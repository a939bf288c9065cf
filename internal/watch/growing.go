package watch

import (
	"crypto/sha256"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/ledger"
)

// growing is a set (spec/log, "The set") that elements are added to: its root
// after each costs what the new ones change, so that a log with many sets is
// audited in one pass.
type growing struct {
	root *branch
	n    int
}

// branch is a place in the tree. With one element below, it is that element.
type branch struct {
	one  *ledger.Element
	side [2]*branch
	hash latchkey.Hash
	good bool // hash is that of what is below
}

// add adds an element whose tag is new.
func (g *growing) add(e ledger.Element) {
	g.n++
	g.root = g.root.with(&e, 0)
}

func (b *branch) with(e *ledger.Element, depth int) *branch {
	if b == nil {
		return &branch{one: e}
	}
	b.good = false
	if was := b.one; was != nil {
		b.one = nil
		at := bit(was.Tag, depth)
		b.side[at] = b.side[at].with(was, depth+1)
	}
	at := bit(e.Tag, depth)
	b.side[at] = b.side[at].with(e, depth+1)
	return b
}

func bit(t ledger.Tag, depth int) byte { return t[depth/8] >> (7 - depth%8) & 1 }

// sum is the hash of the set now.
func (g *growing) sum() latchkey.Hash { return g.root.sum() }

func (b *branch) sum() latchkey.Hash {
	switch {
	case b == nil:
		return latchkey.Hash{}
	case b.good:
	case b.one != nil:
		b.hash = sha256.Sum256(append(append([]byte{2}, b.one.Tag[:]...), b.one.Value[:]...))
	default:
		left, right := b.side[0].sum(), b.side[1].sum()
		b.hash = sha256.Sum256(append(append([]byte{3}, left[:]...), right[:]...))
	}
	b.good = true
	return b.hash
}
