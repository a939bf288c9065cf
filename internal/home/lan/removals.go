package lan

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"

	"latchkey.dev/latchkey"
)

// Bounds of one POST of removals.
const (
	MaxRemovals     = 16
	MaxRemovalBytes = 64 << 10
)

// PackNotes writes notes one after the other, each after its length: uint32,
// big-endian. It is the body of a POST of removals.
func PackNotes(notes [][]byte) []byte {
	var b []byte
	for _, n := range notes {
		b = binary.BigEndian.AppendUint32(b, uint32(len(n)))
		b = append(b, n...)
	}
	return b
}

// ParseNotes reads what PackNotes wrote, at least one note and at most max,
// none of them empty. The notes alias b. What they say is not looked at.
func ParseNotes(b []byte, max int) ([][]byte, error) {
	var notes [][]byte
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, fmt.Errorf("lan: parse notes: %w: ends inside a length", latchkey.ErrInvalid)
		}
		n := binary.BigEndian.Uint32(b)
		b = b[4:]
		if n == 0 || uint64(n) > uint64(len(b)) {
			return nil, fmt.Errorf("lan: parse notes: %w: a note of %d bytes in %d", latchkey.ErrInvalid, n, len(b))
		}
		if len(notes) == max {
			return nil, fmt.Errorf("lan: parse notes: %w: more than %d", latchkey.ErrInvalid, max)
		}
		notes = append(notes, b[:n:n])
		b = b[n:]
	}
	if len(notes) == 0 {
		return nil, fmt.Errorf("lan: parse notes: %w: none", latchkey.ErrInvalid)
	}
	return notes, nil
}

// MaxReceipt bounds a hub's receipt for removals, in bytes.
const MaxReceipt = 1 << 10

// Remove hands signed removals to the hub that listens at addr, and returns
// what it says to them: its receipt, a signed note of type heard over the hash
// of PackNotes(notes), which is not checked here. Then the hub has them on its
// disk and goes by them. latchkey.ErrRefused means that it does not believe one
// of them; latchkey.ErrUnavailable, that nobody answered.
func Remove(ctx context.Context, addr string, notes ...[]byte) (receipt []byte, err error) {
	status, receipt, err := Post(ctx, addr, RemovalPath, PackNotes(notes), MaxReceipt)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusOK:
		return receipt, nil
	case status == http.StatusForbidden:
		return nil, fmt.Errorf("lan: remove: %w by the hub at %s", latchkey.ErrRefused, addr)
	case status == http.StatusBadRequest:
		return nil, fmt.Errorf("lan: remove: %w: the hub at %s does not read it", latchkey.ErrInvalid, addr)
	case status == http.StatusTooManyRequests:
		return nil, fmt.Errorf("lan: remove: %w requests to the hub at %s", latchkey.ErrTooMany, addr)
	}
	return nil, fmt.Errorf("lan: remove: %w: status %d of %s", latchkey.ErrUnavailable, status, addr)
}
