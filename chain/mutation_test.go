package chain_test

import (
	"bytes"
	"strings"

	"latchkey.dev/latchkey"
)

// words that sit on a border of some rule.
func words() []string {
	zero, one := make([]byte, 32), append([]byte{1}, make([]byte, 31)...)
	return []string{
		"0", "00", "1", "-1", "+1", "4294967295", "4294967296", "9007199254740991", "9007199254740992", "9007199254740993", "18446744073709551616", "1e3", "0x10", " ", "  ",
		"\r", "\n", "\n\n", "\t", "\x00", "\x7f", "\u0085", "\u00a0", "\u2028", "\ufeff", "\xff", "\xed\xa0\x80", "é", "🦊", "*", "none", "yes", "no", "synced", "unsynced",
		"admin", "member", "viewer", "staff", "video", "audio", "=", "==", "+", "/", "—", "— ", "lk.", "latchkey/v1 ", "a:b", "annotate:x", latchkey.B64(zero), latchkey.B64(one), latchkey.B64(zero[:16]),
		`{"household":"","people":{},"hubs":{}}`, latchkey.B64([]byte(`{"household":"","people":{},"hubs":{}}`)), latchkey.B64([]byte(`{"household":"\u0061","people":{},"hubs":{}}`)),
	}
}

// mutated changes a few things: bytes, words, whole lines.
func mutated(d dice, raw []byte) []byte {
	out := bytes.Clone(raw)
	for range 1 + d.roll(3, "changes") {
		if len(out) == 0 {
			return out
		}
		at := d.roll(len(out), "at")
		switch d.roll(8, "change") {
		case 0:
			out[at] ^= 1 << d.roll(8, "bit")
		case 1:
			out = append(out[:at], out[at+1:]...)
		case 2:
			out = append(out[:at:at], append([]byte(anyOf(d, "word", words())), out[at:]...)...)
		case 3:
			out = out[:at]
		default:
			out = lineMutated(d, out)
		}
	}
	return out
}

func lineMutated(d dice, raw []byte) []byte {
	lines := strings.SplitAfter(string(raw), "\n")
	at, other := d.roll(len(lines), "line"), d.roll(len(lines), "other line")
	switch d.roll(6, "change of lines") {
	case 0:
		lines[at], lines[other] = lines[other], lines[at]
	case 1:
		lines = append(lines[:at], lines[at+1:]...)
	case 2:
		lines = append(lines[:at:at], append([]string{lines[other]}, lines[at:]...)...)
	case 3: // the value of another line
		key, _, _ := strings.Cut(lines[at], " ")
		_, value, _ := strings.Cut(lines[other], " ")
		lines[at] = key + " " + value
	case 4: // a word of the value
		fields := strings.Split(lines[at], " ")
		fields[d.roll(len(fields), "field")] = anyOf(d, "word", words())
		lines[at] = strings.Join(fields, " ")
		if !strings.HasSuffix(lines[at], "\n") {
			lines[at] += "\n"
		}
	case 5: // a known key
		_, value, _ := strings.Cut(lines[at], " ")
		lines[at] = anyOf(d, "key", []string{"kid", "track", "hub", "standing", "capsule", "release", "mask", "key", "terms", "seq", "x"}) + " " + value
	}
	return []byte(strings.Join(lines, ""))
}
