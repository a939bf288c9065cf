package seal

import (
	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

// treeKeys is how many keys one tree needs in locked memory: the current leaf
// and at most one right sibling per level.
const treeKeys = 1 + part.Depth

// child sets out to child(node, bit) (protocol 2.4). out may alias node.
func child(out, node *key, bit uint32) {
	b := [1]byte{byte(bit)}
	keys.KDF(out, node, "tree", b[:])
}

// rootCommit is the public commitment to a root in the epoch note.
func rootCommit(root *key, epoch latchkey.EpochID, track latchkey.TrackID) (c latchkey.Hash) {
	keys.KDF((*key)(&c), root, "root commit", epoch[:], track[:])
	return c
}

// descend sets out to the leaf of slot below node n with key k. out may alias k.
func descend(out, k *key, n part.Node, slot uint32) {
	*out = *k
	for level := int(n.Level) + 1; level <= part.Depth; level++ {
		child(out, out, bitOf(slot, level))
	}
}

// descendTo sets out to the key of node to, which lies under n with key k.
func descendTo(out, k *key, n, to part.Node) {
	*out = *k
	for level := int(n.Level) + 1; level <= int(to.Level); level++ {
		child(out, out, to.Index>>(int(to.Level)-level)&1)
	}
}

// bitOf is the branch that the path to slot takes into level (1 … Depth).
func bitOf(slot uint32, level int) uint32 { return slot >> (part.Depth - level) & 1 }

// tree is the sealer's side of one track's tree: the leaf of the current slot
// and the frontier, that is the right siblings along its path. From it every
// later leaf follows and no earlier one: moving on erases (protocol 2.6). Not
// safe for concurrent use.
type tree struct {
	slot  uint32
	leaf  *key
	right [part.Depth + 1]*key // right[l], l ≥ 1: zero when the path turns right into level l
}

// newTree moves root into the frontier of slot 0 and erases it. The tree uses
// treeKeys keys of mem from index first.
func newTree(mem *locked, first int, root *key) *tree {
	t := &tree{leaf: mem.at(first)}
	for l := 1; l <= part.Depth; l++ {
		t.right[l] = mem.at(first + l)
	}
	t.expand(root, 0, 0)
	clear(root[:])
	return t
}

// expand replaces the node k on the given level above slot by the leaf of slot
// and the right siblings on the way.
func (t *tree) expand(k *key, level int, slot uint32) {
	*t.leaf = *k
	for l := level + 1; l <= part.Depth; l++ {
		if bitOf(slot, l) == 1 {
			clear(t.right[l][:])
			child(t.leaf, t.leaf, 1)
			continue
		}
		child(t.right[l], t.leaf, 1)
		child(t.leaf, t.leaf, 0)
	}
	t.slot = slot
}

// advance moves on to a later slot and erases every node that covers only
// slots before it. Moving to the current slot or back does nothing.
func (t *tree) advance(slot uint32) {
	if slot <= t.slot {
		return
	}
	level := 1
	for bitOf(slot, level) == bitOf(t.slot, level) {
		level++
	}
	// The paths part here: slot turns right, so right[level] is its ancestor,
	// and what lies deeper belongs to the past.
	k := *t.right[level]
	clear(t.right[level][:])
	t.expand(&k, level, slot)
	clear(k[:])
}

// erase forgets everything.
func (t *tree) erase() {
	clear(t.leaf[:])
	for _, k := range t.right[1:] {
		clear(k[:])
	}
}
