package part

import (
	"fmt"
	"math/bits"

	"latchkey.dev/latchkey"
)

// Node is a position in a track's tree of slots (spec/formats, "Trees"):
// level 0 is the root, level Depth are the leaves, Index is below 1<<Level.
type Node struct {
	Level uint8
	Index uint32
}

// Valid reports whether n is a position of the tree.
func (n Node) Valid() bool { return n.Level <= Depth && n.Index < 1<<n.Level }

// Range returns the slots [from, until) that n covers. n must be Valid.
func (n Node) Range() (from, until uint32) {
	shift := Depth - uint32(n.Level)
	return n.Index << shift, (n.Index + 1) << shift
}

// Contains reports whether slot lies under n.
func (n Node) Contains(slot uint32) bool {
	from, until := n.Range()
	return from <= slot && slot < until
}

// Cover returns the unique smallest set of nodes that covers exactly the slots
// [from, until), left to right; at most 2·(Depth−1) nodes. An empty range or
// one that leaves the tree is latchkey.ErrInvalid.
func Cover(from, until uint32) ([]Node, error) {
	if from >= until || until > Slots {
		return nil, fmt.Errorf("part: cover [%d,%d): %w: not a range of slots", from, until, latchkey.ErrInvalid)
	}
	var nodes []Node
	for a := from; a < until; {
		// The widest node that starts at a and ends by until.
		width := bits.Len32(until-a) - 1
		if a != 0 {
			width = min(width, bits.TrailingZeros32(a))
		}
		nodes = append(nodes, Node{Level: uint8(Depth - width), Index: a >> width})
		a += 1 << width
	}
	return nodes, nil
}
