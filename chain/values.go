package chain

import (
	"crypto/ed25519"
	"slices"
	"strconv"
	"strings"

	"latchkey.dev/latchkey"
)

// maxNumber keeps every number exact in a JavaScript number too.
const maxNumber = 1<<53 - 1

// XSize is the length of an X-Wing public key in bytes.
const XSize = 1216

const (
	trackAll = "*"
	notSet   = "none"
	synced   = "synced"
	unsynced = "unsynced"
	yes      = "yes"
	no       = "no"
	maxArgs  = 16 << 10
	maxOp    = 32
	// maxPurpose is the longest token of a grant's purpose, in bytes.
	maxPurpose      = 64
	purposeAnnotate = "annotate"
	trackWord       = 24 // characters of a track id in base64
)

// reader takes values off a note's lines in order. The first thing wrong is
// kept in err and makes everything after it return zero values.
type reader struct {
	lines []line
	err   error
}

func (r *reader) fail(key, why string) {
	if r.err == nil {
		r.err = invalid("%s: %s", key, why)
	}
}

// next takes one line with this key; the layout has made sure it is there.
func (r *reader) next(key string) string {
	if len(r.lines) == 0 || r.lines[0].key != key {
		r.fail(key, "line is missing")
		return ""
	}
	v := r.lines[0].value
	r.lines = r.lines[1:]
	return v
}

// has reports whether the next line has this key.
func (r *reader) has(key string) bool {
	return r.err == nil && len(r.lines) > 0 && r.lines[0].key == key
}

// fields takes one line and splits it at single spaces into exactly n words.
func (r *reader) fields(key string, n int) []string {
	words := strings.Split(r.next(key), " ")
	if len(words) != n {
		r.fail(key, "wrong number of words")
		return make([]string, n)
	}
	return words
}

func (r *reader) bytes(key, value string, size int) []byte {
	if r.err != nil {
		return make([]byte, size)
	}
	b, err := decodeB64(value)
	if err != nil || len(b) != size {
		r.fail(key, "want "+strconv.Itoa(size)+" bytes in canonical base64")
		return make([]byte, size)
	}
	return b
}

func (r *reader) id(key, value string) [latchkey.IDSize]byte {
	return [latchkey.IDSize]byte(r.bytes(key, value, latchkey.IDSize))
}

func (r *reader) hash(key, value string) latchkey.Hash {
	return latchkey.Hash(r.bytes(key, value, latchkey.HashSize))
}

// optionalHash reads a line that may be missing: the zero hash then, which no
// line may say.
func (r *reader) optionalHash(key string) latchkey.Hash {
	if !r.has(key) {
		return latchkey.Hash{}
	}
	h := r.hash(key, r.next(key))
	if h == (latchkey.Hash{}) {
		r.fail(key, "zero")
	}
	return h
}

// ed reads an Ed25519 key for which not just anybody can sign.
func (r *reader) ed(key string) []byte {
	b := r.bytes(key, r.next(key), ed25519.PublicKeySize)
	if smallOrder(b) {
		r.fail(key, "a point of small order")
	}
	return b
}

func (r *reader) x(key string) []byte { return r.bytes(key, r.next(key), XSize) }

// number reads decimal digits without leading zeros, at most maxNumber.
func (r *reader) number(key, value string) uint64 {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n > maxNumber || strconv.FormatUint(n, 10) != value {
		r.fail(key, "not a number in decimal without leading zeros")
		return 0
	}
	return n
}

func (r *reader) uint32(key, value string) uint32 {
	n := r.number(key, value)
	if n > 1<<32-1 {
		r.fail(key, "number past 32 bits")
	}
	return uint32(n)
}

func (r *reader) time(key, value string) int64 { return int64(r.number(key, value)) }

// choice reads one of two words and reports whether it was the first.
func (r *reader) choice(key, first, second string) bool {
	v := r.next(key)
	if v != first && v != second {
		r.fail(key, "want "+first+" or "+second)
	}
	return v == first
}

// writer builds a text. The first thing wrong is kept in err.
type writer struct {
	b   strings.Builder
	err error
}

func newWriter(noteType string) *writer {
	w := &writer{}
	w.b.WriteString(textPrefix + noteType + "\n")
	return w
}

func (w *writer) fail(key, why string) {
	if w.err == nil {
		w.err = invalid("%s: %s", key, why)
	}
}

func (w *writer) line(key string, words ...string) {
	w.b.WriteString(key + " " + strings.Join(words, " ") + "\n")
}

// lines writes the repeated lines of one key, sorted by bytes. Two equal ones
// are a mistake of the caller.
func (w *writer) lines(key string, values []string) {
	slices.Sort(values)
	if len(slices.Compact(slices.Clone(values))) != len(values) {
		w.fail(key, "two equal lines")
	}
	for _, v := range values {
		w.line(key, v)
	}
}

// sized writes bytes that must have one length.
func (w *writer) sized(key string, b []byte, size int) {
	if len(b) != size {
		w.fail(key, "want "+strconv.Itoa(size)+" bytes, got "+strconv.Itoa(len(b)))
	}
	w.line(key, latchkey.B64(b))
}

// optionalHash writes a line unless h is zero.
func (w *writer) optionalHash(key string, h latchkey.Hash) {
	if h != (latchkey.Hash{}) {
		w.line(key, latchkey.B64(h[:]))
	}
}

func (w *writer) ed(key string, b []byte) {
	w.sized(key, b, ed25519.PublicKeySize)
	if w.err == nil && smallOrder(b) {
		w.fail(key, "a point of small order")
	}
}

func (w *writer) x(key string, b []byte) { w.sized(key, b, XSize) }

func (w *writer) number(key string, n uint64) string {
	if n > maxNumber {
		w.fail(key, "number past 2^53−1")
	}
	return strconv.FormatUint(n, 10)
}

func (w *writer) time(key string, t int64) string {
	if t < 0 {
		w.fail(key, "time before 1970")
	}
	return w.number(key, uint64(t))
}

func (w *writer) text() ([]byte, error) {
	if w.err == nil && w.b.Len() > MaxText {
		w.fail("text", "longer than "+strconv.Itoa(MaxText)+" bytes")
	}
	if w.err != nil {
		return nil, w.err
	}
	return []byte(w.b.String()), nil
}

func u32(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func word(is bool, first, second string) string {
	if is {
		return first
	}
	return second
}
