package ledger

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"latchkey.dev/latchkey"
)

// MaxEntry is the largest entry of a log in bytes (C2SP tlog-tiles).
const MaxEntry = 65535

// TagSize is the length of a tag, and of the key that it is made with, in bytes.
const TagSize = 32

// A Tag names one statement of one household to those who know the
// household's log tag key, and nothing to anybody else.
type Tag [TagSize]byte

// String returns the tag as 64 lower-case hex digits.
func (t Tag) String() string { return hex.EncodeToString(t[:]) }

// bit is the bit of the tag that a set of depth d is split on.
func (t Tag) bit(d int) byte { return t[d/8] >> (7 - d%8) & 1 }

// TagOf is the tag of the statement seq: KDF(K_tag, "log tag", seq).
func TagOf(key *[TagSize]byte, seq uint64) Tag {
	m := hmac.New(sha256.New, key[:])
	m.Write([]byte("latchkey/v1 log tag\x00"))
	m.Write(binary.BigEndian.AppendUint64(nil, seq))
	m.Write([]byte{1})
	return Tag(m.Sum(nil))
}

// The first byte of an entry.
const (
	kindHousehold = 0x00
	kindPublic    = 0x01
)

const (
	householdLen = 1 + TagSize + latchkey.HashSize
	notePrefix   = "latchkey/v1 "
)

// Entry is one entry of the log: a household's leaf, or a public note.
type Entry struct {
	Tag   Tag           // household leaf: which statement
	Value latchkey.Hash // household leaf: H of its text
	Note  []byte        // public statement, a signed note; nil in a household leaf
}

// Encode returns the bytes of the entry in the log.
func (e Entry) Encode() []byte {
	if e.Note != nil {
		return append([]byte{kindPublic}, e.Note...)
	}
	b := append(make([]byte, 0, householdLen), kindHousehold)
	return append(append(b, e.Tag[:]...), e.Value[:]...)
}

// ParseEntry reads an entry strictly. Note aliases b. Whether a note is signed
// by whom it should be is for its reader.
func ParseEntry(b []byte) (Entry, error) {
	switch {
	case len(b) > MaxEntry:
		return Entry{}, invalid("entry", "%d bytes, at most %d", len(b), MaxEntry)
	case len(b) == householdLen && b[0] == kindHousehold:
		return Entry{Tag: Tag(b[1:]), Value: latchkey.Hash(b[1+TagSize:])}, nil
	case len(b) > 0 && b[0] == kindPublic && bytes.HasPrefix(b[1:], []byte(notePrefix)) && bytes.Contains(b, []byte("\n\n— ")) && b[len(b)-1] == '\n':
		return Entry{Note: b[1:]}, nil
	}
	return Entry{}, invalid("entry", "neither a household's leaf nor a public note")
}

// maxNumber is the largest number in a text of the log, one that every reader
// has exactly.
const maxNumber = 1<<53 - 1

// number reads a decimal in its one form.
func number(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && n <= maxNumber && strconv.FormatInt(n, 10) == s
}

func invalid(what, format string, args ...any) error {
	return fmt.Errorf("ledger: %s: %w: %s", what, latchkey.ErrInvalid, fmt.Sprintf(format, args...))
}

func broken(what, format string, args ...any) error {
	return fmt.Errorf("ledger: %s: %w: %s", what, latchkey.ErrVerify, fmt.Sprintf(format, args...))
}
