package insider

import (
	"crypto/sha256"
	"encoding/binary"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// The key derivation of the protocol (2.1), written again from its page: the
// drill must not share a mistake with the rooms it examines.

const (
	keySize = 32
	block   = 64
	prfRoom = 192
)

type key = [keySize]byte

// prf computes KDF(k, label, context) for one candidate k after the other. The
// padded blocks are made once per candidate, not once per test.
type prf struct {
	inner [block + prfRoom]byte
	outer [block + sha256.Size]byte
}

// set makes k the candidate. k has 32 bytes.
func (p *prf) set(k []byte) {
	for i := range block {
		p.inner[i], p.outer[i] = 0x36, 0x5c
	}
	for i, b := range k[:keySize] {
		p.inner[i] ^= b
		p.outer[i] ^= b
	}
}

// kdf returns KDF(candidate, label, a ‖ b).
func (p *prf) kdf(label string, a, b []byte) key {
	m := append(p.inner[:block], "latchkey/v1 "...)
	m = append(m, label...)
	m = append(m, 0)
	m = append(append(m, a...), b...)
	m = append(m, 1)
	sum := sha256.Sum256(m)
	copy(p.outer[block:], sum[:])
	return sha256.Sum256(p.outer[:])
}

// child returns a tree node's left (0) or right (1) child.
func (p *prf) child(bit byte) key {
	b := [1]byte{bit}
	return p.kdf("tree", b[:], nil)
}

// bound is the part of a header that key and commitment are bound to.
const bound = 64

// slotOf names one second of one track in one epoch.
type slotOf struct {
	epoch latchkey.EpochID
	track latchkey.TrackID
	slot  uint32
}

// partCommit is what is public about the leaf of one slot: the beginning of a
// part's header, and the commitment in it.
type partCommit struct {
	slotOf
	head   [bound]byte
	commit latchkey.Hash
}

func commitOf(p part.Part) partCommit {
	return partCommit{
		slotOf: slotOf{epoch: p.Header.Epoch, track: p.Header.Track, slot: p.Header.Slot},
		head:   [bound]byte(p.Raw[:bound]), commit: p.Header.Commit,
	}
}

// opensLeaf reports whether the candidate is the leaf behind c.
func (p *prf) opensLeaf(c *partCommit) bool {
	return p.kdf("part commit", c.head[:], nil) == c.commit
}

// rootCommit is a root commitment of an epoch note.
type rootCommit struct {
	epoch  latchkey.EpochID
	track  latchkey.TrackID
	commit latchkey.Hash
}

// opensRoot reports whether the candidate is the root behind c.
func (p *prf) opensRoot(c *rootCommit) bool {
	return p.kdf("root commit", c.epoch[:], c.track[:]) == c.commit
}

func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
