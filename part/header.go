// Package part is the sealed part seen from outside: its header, the strict
// parser, the verification of runs, and the arithmetic of slots and padding.
//
// It names no cipher and does no I/O, so the untrusted side may import it:
// what Header holds is the list of what a server learns about footage. Sealing
// and opening live with the keys, elsewhere. Format: docs/spec/formats.md.
package part

import (
	"encoding/binary"
	"fmt"

	"latchkey.dev/latchkey"
)

// Sizes in bytes, and the tree that slots belong to (spec/formats, "Parts").
const (
	HeaderSize = 128
	SigSize    = 64
	TagSize    = 16       // AEAD tag, counted in CTLen
	MinCT      = 21       // one empty record and the tag
	MaxCT      = 16 << 20 // 16 MiB
	Depth      = 17       // levels of a track's key tree below its root
	Slots      = 1 << Depth
)

const (
	magic      = "LK1"
	offFlags   = 3
	offSlot    = 4
	offSeq     = 8
	offCTLen   = 12
	offEpoch   = 16
	offTrack   = 32
	offSalt    = 48
	offPrev    = 64
	offCommit  = 96
	knownFlags = RAP | END
)

// Flags of a part.
type Flags uint8

const (
	// RAP marks a random-access part: decodable without earlier parts.
	RAP Flags = 1
	// END marks the last part of its epoch and track.
	END Flags = 2
)

// Header is everything about a part that is not sealed.
type Header struct {
	Flags  Flags
	Slot   uint32 // seconds since the epoch's start, below Slots
	Seq    uint32 // 0, 1, 2, … per (epoch, track)
	CTLen  uint32 // MinCT … MaxCT, tag included
	Epoch  latchkey.EpochID
	Track  latchkey.TrackID
	Salt   [16]byte
	Prev   latchkey.Hash // part hash of Seq−1; for Seq 0, H(text) of the epoch note
	Commit latchkey.Hash // key commitment of the leaf that sealed it
}

// ParseHeader reads the first HeaderSize bytes of b and ignores the rest. It
// refuses with latchkey.ErrInvalid what no sealer may write: another magic,
// unknown flags, a slot past the tree, a ciphertext length out of bounds.
func ParseHeader(b []byte) (Header, error) {
	var h Header
	if len(b) < HeaderSize {
		return h, fmt.Errorf("part: parse header: %w: %d bytes, want %d", latchkey.ErrInvalid, len(b), HeaderSize)
	}
	if string(b[:offFlags]) != magic {
		return h, fmt.Errorf("part: parse header: %w: magic is not %s", latchkey.ErrInvalid, magic)
	}
	h = Header{
		Flags:  Flags(b[offFlags]),
		Slot:   binary.BigEndian.Uint32(b[offSlot:]),
		Seq:    binary.BigEndian.Uint32(b[offSeq:]),
		CTLen:  binary.BigEndian.Uint32(b[offCTLen:]),
		Epoch:  latchkey.EpochID(b[offEpoch:offTrack]),
		Track:  latchkey.TrackID(b[offTrack:offSalt]),
		Salt:   [16]byte(b[offSalt:offPrev]),
		Prev:   latchkey.Hash(b[offPrev:offCommit]),
		Commit: latchkey.Hash(b[offCommit:HeaderSize]),
	}
	if err := h.check(); err != nil {
		return Header{}, err
	}
	return h, nil
}

func (h Header) check() error {
	switch {
	case h.Flags&^knownFlags != 0:
		return fmt.Errorf("part: parse header: %w: unknown flags %#02x", latchkey.ErrInvalid, uint8(h.Flags))
	case h.Slot >= Slots:
		return fmt.Errorf("part: parse header: %w: slot %d of %d", latchkey.ErrInvalid, h.Slot, Slots)
	case h.CTLen < MinCT || h.CTLen > MaxCT:
		return fmt.Errorf("part: parse header: %w: ciphertext of %d bytes", latchkey.ErrInvalid, h.CTLen)
	}
	return nil
}

// AppendTo appends the HeaderSize bytes of h to b. The fields are written as
// they are: a header that ParseHeader would refuse is the caller's mistake.
func (h Header) AppendTo(b []byte) []byte {
	b = append(b, magic...)
	b = append(b, byte(h.Flags))
	b = binary.BigEndian.AppendUint32(b, h.Slot)
	b = binary.BigEndian.AppendUint32(b, h.Seq)
	b = binary.BigEndian.AppendUint32(b, h.CTLen)
	b = append(b, h.Epoch[:]...)
	b = append(b, h.Track[:]...)
	b = append(b, h.Salt[:]...)
	b = append(b, h.Prev[:]...)
	return append(b, h.Commit[:]...)
}

// Size is the length of the whole part: header, ciphertext and signature.
func (h Header) Size() int { return HeaderSize + int(h.CTLen) + SigSize }
