package catalog

import (
	"encoding/binary"
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// PartAt is what the compact index knows of one part: what its header says in
// the clear, and where its bytes are in the reel.
type PartAt struct {
	Offset int64
	Size   int // of the whole part
	Slot   uint32
	Flags  part.Flags
}

const (
	indexVersion = 1
	flagBits     = 2
)

// AppendIndex encodes the parts of a reel: a version byte, the first slot,
// then for each part uvarint(ciphertext length) and uvarint(slot step ‖ flags).
// parts must be a reel's: contiguous from offset 0, slots that never decrease.
func AppendIndex(dst []byte, parts []PartAt) []byte {
	dst = append(dst, indexVersion)
	var slot uint32
	if len(parts) > 0 {
		slot = parts[0].Slot
	}
	dst = binary.AppendUvarint(dst, uint64(slot))
	for _, p := range parts {
		dst = binary.AppendUvarint(dst, uint64(p.Size-part.HeaderSize-part.SigSize))
		dst = binary.AppendUvarint(dst, uint64(p.Slot-slot)<<flagBits|uint64(p.Flags))
		slot = p.Slot
	}
	return dst
}

// ParseIndex is the strict inverse: whatever parses encodes to the same bytes.
// Anything else is latchkey.ErrInvalid.
func ParseIndex(b []byte) ([]PartAt, error) {
	if len(b) == 0 || b[0] != indexVersion {
		return nil, fmt.Errorf("catalog: parse index: %w: unknown version", latchkey.ErrInvalid)
	}
	slot, b, err := uvarint(b[1:], part.Slots-1)
	if err != nil {
		return nil, err
	}
	parts := make([]PartAt, 0, len(b)/4)
	var offset int64
	for first := true; len(b) > 0; first = false {
		var ct, step uint64
		if ct, b, err = uvarint(b, part.MaxCT); err != nil {
			return nil, err
		}
		if step, b, err = uvarint(b, part.Slots<<flagBits|3); err != nil {
			return nil, err
		}
		slot += step >> flagBits
		if ct < part.MinCT || slot >= part.Slots || first && step>>flagBits != 0 {
			return nil, fmt.Errorf("catalog: parse index: %w: part %d", latchkey.ErrInvalid, len(parts))
		}
		size := part.HeaderSize + int(ct) + part.SigSize
		parts = append(parts, PartAt{Offset: offset, Size: size, Slot: uint32(slot), Flags: part.Flags(step & (1<<flagBits - 1))})
		offset += int64(size)
	}
	if len(parts) == 0 && slot != 0 {
		return nil, fmt.Errorf("catalog: parse index: %w: a slot without a part", latchkey.ErrInvalid)
	}
	return parts, nil
}

// uvarint reads a varint of the shortest form, at most limit.
func uvarint(b []byte, limit uint64) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || v > limit || n > 1 && b[n-1] == 0 {
		return 0, nil, fmt.Errorf("catalog: parse index: %w: number", latchkey.ErrInvalid)
	}
	return v, b[n:], nil
}
