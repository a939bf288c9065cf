package seal

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

const (
	entryName = 2*latchkey.IDSize + 4 // epoch ‖ track ‖ level ‖ index: orders entries
	entrySize = entryName + keySize
)

// entry is one node in a capsule (protocol 2.8).
type entry struct {
	epoch latchkey.EpochID
	track latchkey.TrackID
	node  part.Node
	key   key
}

func (e *entry) name() (b [entryName]byte) {
	copy(b[:], e.epoch[:])
	copy(b[16:], e.track[:])
	binary.BigEndian.PutUint32(b[32:], uint32(e.node.Level)<<24|e.node.Index)
	return b
}

// marshalCapsule returns n(2) ‖ n × 68 bytes of entries that are already in
// order. The caller erases the result.
func marshalCapsule(entries []entry) ([]byte, error) {
	if len(entries) > 1<<16-1 {
		return nil, fmt.Errorf("seal: marshal capsule: %w: %d entries", latchkey.ErrInvalid, len(entries))
	}
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(entries)*entrySize), uint16(len(entries)))
	for i := range entries {
		name := entries[i].name()
		b = append(append(b, name[:]...), entries[i].key[:]...)
	}
	return b, nil
}

// parseCapsule reads the plaintext of a capsule; strict: exact length, valid
// nodes, strictly ascending.
func parseCapsule(b []byte) ([]entry, error) {
	if len(b) < 2 || len(b) != 2+int(binary.BigEndian.Uint16(b))*entrySize {
		return nil, fmt.Errorf("seal: parse capsule: %w: bad length", latchkey.ErrInvalid)
	}
	entries := make([]entry, (len(b)-2)/entrySize)
	for i := range entries {
		raw := b[2+i*entrySize:][:entrySize]
		if i > 0 && bytes.Compare(raw[:entryName], b[2+(i-1)*entrySize:][:entryName]) <= 0 {
			return nil, fmt.Errorf("seal: parse capsule: %w: entries are not in strict order", latchkey.ErrInvalid)
		}
		e := &entries[i]
		copy(e.epoch[:], raw)
		copy(e.track[:], raw[16:])
		place := binary.BigEndian.Uint32(raw[32:])
		e.node = part.Node{Level: uint8(place >> 24), Index: place & 0xffffff}
		if !e.node.Valid() {
			return nil, fmt.Errorf("seal: parse capsule: %w: no such node: level %d index %d", latchkey.ErrInvalid, e.node.Level, e.node.Index)
		}
		copy(e.key[:], raw[entryName:])
	}
	return entries, nil
}
