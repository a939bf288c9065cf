package part

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"latchkey.dev/latchkey"
)

// Record types of a part's plaintext (spec/formats, "Records"). A reader skips
// types that it does not know.
const (
	RecordPadding   byte = 0 // not a record: the rest is zero
	RecordFragment  byte = 1 // fMP4 media fragment
	RecordInit      byte = 2 // fMP4 initialisation segment
	RecordImage     byte = 3 // AVIF, WebP or JPEG
	RecordEvent     byte = 4 // UTF-8 JSON
	RecordEmbedding byte = 5
	RecordLabel     byte = 6 // UTF-8 text
)

const (
	recordHead = 5   // type and length
	minPadded  = 256 // smallest plaintext of media tracks
	maxInner   = MaxCT - TagSize
)

// Record is one typed piece of a part's plaintext.
type Record struct {
	Type byte
	Data []byte
}

// RecordsLen is the length of recs before padding.
func RecordsLen(recs ...Record) int {
	n := 0
	for _, r := range recs {
		n += recordHead + len(r.Data)
	}
	return n
}

// AppendRecords appends recs to dst, padded with zeros to padded bytes in all
// (see PaddedLen). Padding is not a record, and what does not fit is
// latchkey.ErrInvalid; dst is then returned as it was.
func AppendRecords(dst []byte, padded int, recs ...Record) ([]byte, error) {
	if n := RecordsLen(recs...); n > padded || padded > maxInner {
		return dst, fmt.Errorf("part: append records: %w: %d bytes of records padded to %d", latchkey.ErrInvalid, n, padded)
	}
	for _, r := range recs {
		if r.Type == RecordPadding {
			return dst, fmt.Errorf("part: append records: %w: type 0 is padding", latchkey.ErrInvalid)
		}
	}
	end := len(dst) + padded
	for _, r := range recs {
		dst = append(dst, r.Type)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(r.Data)))
		dst = append(dst, r.Data...)
	}
	return append(dst, make([]byte, end-len(dst))...), nil
}

// ParseRecords reads a whole plaintext. Data aliases inner. Records of unknown
// type are returned too. A length beyond inner, or anything but zeros after
// the last record, is latchkey.ErrInvalid.
func ParseRecords(inner []byte) ([]Record, error) {
	var recs []Record
	for rest := inner; len(rest) > 0; {
		if rest[0] == RecordPadding {
			if err := allZero(rest); err != nil {
				return nil, err
			}
			break
		}
		if len(rest) < recordHead {
			return nil, fmt.Errorf("part: parse records: %w: record %d is cut", latchkey.ErrInvalid, len(recs))
		}
		n := binary.BigEndian.Uint32(rest[1:])
		if uint64(n) > uint64(len(rest)-recordHead) {
			return nil, fmt.Errorf("part: parse records: %w: record %d of %d bytes leaves the part", latchkey.ErrInvalid, len(recs), n)
		}
		end := recordHead + int(n)
		recs = append(recs, Record{Type: rest[0], Data: rest[recordHead:end:end]})
		rest = rest[end:]
	}
	return recs, nil
}

func allZero(b []byte) error {
	for _, c := range b {
		if c != 0 {
			return fmt.Errorf("part: parse records: %w: padding is not zero", latchkey.ErrInvalid)
		}
	}
	return nil
}

// Padme rounds n up so that at most about log₂ log₂ n bits of it remain
// visible; the price is at most 12 %. n must not be negative.
func Padme(n int) int {
	if n < 2 {
		return n
	}
	e := bits.Len(uint(n)) - 1
	s := bits.Len(uint(e))
	low := 1<<(e-s) - 1
	return (n + low) &^ low
}

// metaBuckets are the only lengths a part of a meta track may have, so that
// its size says next to nothing about what was written.
func metaBuckets() [5]int { return [5]int{1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10} }

// PaddedLen returns the plaintext length to which n bytes of records are
// padded on a track of this kind. More than fits in a part of that kind is
// latchkey.ErrInvalid.
func PaddedLen(kind latchkey.TrackKind, n int) (int, error) {
	if n < 0 || !kind.Valid() {
		return 0, fmt.Errorf("part: pad: %w: %d bytes on a %q track", latchkey.ErrInvalid, n, kind)
	}
	if kind == latchkey.KindMeta {
		for _, bucket := range metaBuckets() {
			if n <= bucket {
				return bucket, nil
			}
		}
		return 0, fmt.Errorf("part: pad: %w: %d bytes on a meta track", latchkey.ErrInvalid, n)
	}
	padded := max(minPadded, Padme(n))
	if padded > maxInner {
		return 0, fmt.Errorf("part: pad: %w: %d bytes do not fit in a part", latchkey.ErrInvalid, n)
	}
	return padded, nil
}
