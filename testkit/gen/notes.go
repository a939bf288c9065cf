package main

import (
	"fmt"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

// noteVectors is the signed-note container on a small `login` text.
func noteVectors() testkit.Notes {
	key := newEd(draw("seed note", 32))
	lines := []string{"household " + b64(draw("note household", 16)), "by " + b64(key.kid()),
		"server https://latchkey.example", "nonce " + b64(draw("note nonce", 16)), "time 1790000000"}
	text := textOf("login", lines...)
	other := newEd(draw("seed note other", 32))
	foreign := "— latchkey.dev/mldsa44 " + b64(cat([]byte{1, 2, 3, 4}, draw("a private signature", 40))) + "\n"
	return testkit.Notes{
		Doc: testkit.Doc{
			About: "The container of all statements and notes: C2SP signed note, and the strict text of protocol 2.2.",
			Fields: map[string]string{
				"seed":            "Ed25519 seed of the signer",
				"valid":           "must parse and verify under valid.signer; hash is H(text); vkey is the signer's C2SP verifier key",
				"extra_signature": "the valid note with two signature lines before the known one, of another key and of an unknown algorithm: must parse and verify",
				"forged":          "must parse, and must not verify under valid.signer",
				"reject":          "bytes that ParseNote, or the parser of the type, must refuse",
			},
		},
		Seed: key.seed, Valid: key.note(text),
		Extra:   text + "\n" + other.sigLine(text) + foreign + key.sigLine(text),
		Forged:  forgedNotes(key, other, text),
		Rejects: append(badContainers(key, text), badTexts(key, lines)...),
	}
}

func forgedNotes(key, other edKey, text string) []testkit.Forged {
	sig := key.sigLine(text)
	wrongID := "— " + key.name() + " " + b64(cat([]byte{0, 0, 0, 0}, draw("no signature", 64))) + "\n"
	wrongName := "— " + other.name() + strings.TrimPrefix(sig, "— "+key.name())
	short := "— " + key.name() + " " + b64(cat(key.keyID(key.name()), draw("no signature", 63))) + "\n"
	zero := "— " + key.name() + " " + b64(cat(key.keyID(key.name()), make([]byte, 64))) + "\n"
	return []testkit.Forged{
		{Name: "signed by another key", Note: other.sign(text)},
		{Name: "text changed", Note: strings.Replace(key.sign(text), "time 1790000000", "time 1790000001", 1)},
		{Name: "wrong key hash", Note: text + "\n" + wrongID},
		{Name: "right signature under another name", Note: text + "\n" + wrongName},
		{Name: "signature of 63 bytes", Note: text + "\n" + short},
		{Name: "signature of zeros", Note: text + "\n" + zero},
		{Name: "signature that holds and whose R is of small order", Note: text + "\n" + key.neutralSigLine(text)},
	}
}

// badContainers break the frame around a right text.
func badContainers(key edKey, text string) []testkit.Reject {
	good := key.sign(text)
	sig := key.sigLine(text)
	many := strings.Builder{}
	for i := range 17 {
		many.WriteString(newEd(draw(fmt.Sprintf("seed many %d", i), 32)).sigLine(text))
	}
	raw := map[string]string{
		"empty":                                "",
		"no signature block":                   text,
		"empty signature block":                text + "\n",
		"missing final newline":                strings.TrimSuffix(good, "\n"),
		"no blank line before the signature":   text + sig,
		"two blank lines before the signature": text + "\n\n" + sig,
		"blank line after the signature":       good + "\n",
		"signature line with a hyphen":         text + "\n" + strings.Replace(sig, "—", "-", 1),
		"signature line without a name":        text + "\n— " + strings.SplitN(sig, " ", 3)[2],
		"signature line with a plus name":      text + "\n" + strings.Replace(sig, "lk.", "lk+", 1),
		"signature line with two spaces":       text + "\n" + strings.Replace(sig, "— ", "—  ", 1),
		"signature line with trailing space":   text + "\n" + strings.Replace(sig, "\n", " \n", 1),
		"signature line with CR":               text + "\n" + strings.Replace(sig, "\n", "\r\n", 1),
		"signature not canonical base64":       text + "\n" + strings.Replace(sig, "=\n", "\n", 1),
		"signature of key hash only":           text + "\n— " + key.name() + " " + b64(key.keyID(key.name())) + "\n",
		"two signatures of one key":            good + sig,
		"17 signatures":                        text + "\n" + many.String(),
		"longer than 65536 bytes":              good + "— big " + b64(make([]byte, 50_000)) + "\n",
		"text only newline":                    "\n\n" + sig,
	}
	return rejectsOf(raw)
}

// badTexts are signed and have a text that is not in the one form.
func badTexts(key edKey, lines []string) []testkit.Reject {
	edit := func(i int, line string) string {
		c := append([]string(nil), lines...)
		c[i] = line
		return key.sign(textOf("login", c...))
	}
	without := append(append([]string(nil), lines[:3]...), lines[4])
	swapped := append([]string(nil), lines...)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	nonCanonical := strings.TrimSuffix(lines[0], "==") // the last character carries four unused bits
	last := nonCanonical[len(nonCanonical)-1]
	raw := map[string]string{
		"CR in a line":                    edit(4, "time 1790000000\r"),
		"trailing space":                  edit(4, "time 1790000000 "),
		"two spaces after the key":        edit(4, "time  1790000000"),
		"tab":                             edit(4, "time\t1790000000"),
		"empty value":                     edit(4, "time "),
		"key only":                        edit(4, "time"),
		"empty line":                      edit(4, ""),
		"upper case key":                  edit(4, "Time 1790000000"),
		"leading zero number":             edit(4, "time 01790000000"),
		"signed number":                   edit(4, "time +1790000000"),
		"negative number":                 edit(4, "time -1790000000"),
		"number with a point":             edit(4, "time 1790000000.0"),
		"number past 2^53-1":              edit(4, "time 9007199254740992"),
		"number past 64 bits":             edit(4, "time 18446744073709551616"),
		"repeated single key":             key.sign(textOf("login", append(append([]string(nil), lines...), lines[4])...)),
		"wrong key order":                 key.sign(textOf("login", swapped...)),
		"missing key":                     key.sign(textOf("login", without...)),
		"unknown key":                     key.sign(textOf("login", append(append([]string(nil), lines...), "zone 7")...)),
		"unknown type":                    key.sign(textOf("logout", lines...)),
		"type of another version":         key.sign(strings.Replace(textOf("login", lines...), "/v1", "/v2", 1)),
		"space after the type":            key.sign(textOf("login ", lines...)),
		"no type":                         key.sign(strings.Join(lines, "\n") + "\n"),
		"non-canonical base64":            edit(0, nonCanonical[:len(nonCanonical)-1]+nextB64(last)+"=="),
		"base64 without padding":          edit(0, nonCanonical),
		"base64url":                       edit(3, "nonce "+strings.NewReplacer("+", "-", "/", "_").Replace(b64([]byte("\xfb\xff\xfe0123456789abc")))),
		"base64 of 15 bytes":              edit(0, "household "+b64(draw("short", 15))),
		"base64 of 17 bytes":              edit(0, "household "+b64(draw("long", 17))),
		"invalid UTF-8":                   edit(2, "server https://\xff\xfe"),
		"control character":               edit(2, "server https://a\x7f"),
		"C1 control character":            edit(2, "server https://a\u0085"),
		"server with a path":              edit(2, "server https://latchkey.example/"),
		"server in upper case":            edit(2, "server https://Latchkey.example"),
		"server of another scheme":        edit(2, "server ftp://latchkey.example"),
		"text longer than 60000 bytes":    key.sign(textOf("command", "args "+strings.Repeat("A", 60_000))),
		"nonce with a space before":       edit(3, "nonce  "+b64(draw("note nonce", 16))),
		"byte order mark before the text": key.sign("\ufeff" + textOf("login", lines...)),
	}
	return rejectsOf(raw)
}

// nextB64 sets an unused bit of the last base64 character.
func nextB64(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	return string(alphabet[strings.IndexByte(alphabet, c)+1])
}

// rejectsOf sorts by name, so that the file does not change from run to run.
func rejectsOf(raw map[string]string) []testkit.Reject {
	var names []string
	for n := range raw {
		names = append(names, n)
	}
	out := make([]testkit.Reject, 0, len(names))
	for _, n := range sorted(names...) {
		out = append(out, testkit.Reject{Name: n, Bytes: []byte(raw[n])})
	}
	return out
}

// badNotes signs each text and names it.
func badNotes(key edKey, texts map[string]string) []testkit.RejectedNote {
	var names []string
	for n := range texts {
		names = append(names, n)
	}
	out := make([]testkit.RejectedNote, 0, len(names))
	for _, n := range sorted(names...) {
		out = append(out, testkit.RejectedNote{Name: n, Note: key.sign(texts[n])})
	}
	return out
}
