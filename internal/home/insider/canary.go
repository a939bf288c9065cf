package insider

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"unicode/utf16"
)

// minCanary is the shortest canary: a shorter one would be found by chance.
const minCanary = 6

// disguise is one form in which a canary may stand in raw bytes. Compressed and
// nested forms are met after decoding.
type disguise struct {
	canary int // which one; the report must not repeat the word
	form   string
	bytes  string
}

func disguises(canaries []string) []disguise {
	var out []disguise
	for i, word := range canaries {
		add := func(form, b string) { out = append(out, disguise{canary: i, form: form, bytes: b}) }
		add("plain", word)
		add("hex", hex.EncodeToString([]byte(word)))
		add("hex", strings.ToUpper(hex.EncodeToString([]byte(word))))
		add("UTF-16", wide(word, 0, 1))
		add("UTF-16", wide(word, 1, 0))
		for shift := range 3 {
			std := inBase64(base64.StdEncoding, word, shift)
			add("base64", std)
			if url := inBase64(base64.URLEncoding, word, shift); url != std {
				add("base64", url)
			}
		}
	}
	return out
}

// inBase64 returns the characters that a word always leaves in base64 when it
// begins shift bytes after a group of three: those at its ends depend on what
// stands beside it.
func inBase64(enc *base64.Encoding, word string, shift int) string {
	padded := strings.Repeat("\x00", shift) + word
	s := enc.EncodeToString([]byte(padded))
	first := (8*shift + 5) / 6
	return s[first : 8*len(padded)/6]
}

// wide returns UTF-16 with the low byte of each unit at lo and the high at hi.
func wide(word string, lo, hi int) string {
	units := utf16.Encode([]rune(word))
	b := make([]byte, 2*len(units))
	for i, u := range units {
		b[2*i+lo], b[2*i+hi] = byte(u), byte(u>>8)
	}
	return string(b)
}
