package main

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

// linkVectors are a link from its secret to its words.
func linkVectors() testkit.Link {
	secret := draw("link secret", 32)
	x := newX(kdf(secret, "link seed"))
	text := "latchkey/v1 grant\nthe text of any note\n"
	v := testkit.Link{
		Doc: testkit.Doc{
			About: "A link: the fragment, the key that its capsule is sealed to, the MAC over the grant, and the words to whoever opens it.",
			Fields: map[string]string{
				"fragment":         "#LK1. ‖ base64url without padding of the secret; reject_fragments must be refused",
				"person_fragment":  "#LKP1. ‖ base64url without padding of the secret: the same secret as a link to a person",
				"card":             "LKCARD1. ‖ base64url without padding of x; card_digits: the first 10 bytes of H('latchkey/v1 card' ‖ 00 ‖ x) as an integer mod 10^24, 24 digits",
				"x, kid":           "X-Wing public key of the seed KDF(secret, 'link seed', ''), and its kid",
				"mac":              "KDF(secret, 'link auth', H(text))",
				"words.json":       "their one form, made of the fields beside it; policy in b64",
				"words.sealed":     "LKT1 ‖ salt ‖ AEAD(KDF(secret, 'link words', salt), aad = the first 20 bytes, json)",
				"reject":           "objects that must be refused with this secret",
				"reject_fragments": "fragments that must be refused",
			},
		},
		Secret: secret, Fragment: fragmentOf(secret), Kid: x.kid(), X: x.pub, Text: text, MAC: kdf(secret, "link auth", hash([]byte(text))),
	}
	v.Person = "#LKP1." + v.Fragment[len("#LK1."):]
	v.Card = "LKCARD1." + base64.RawURLEncoding.EncodeToString(x.pub)
	n := new(big.Int).SetBytes(hash(cat([]byte("latchkey/v1 card\x00"), x.pub))[:10])
	v.Digits = fmt.Sprintf("%024d", n.Mod(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(24), nil)))
	policy := hash([]byte("a policy"))
	for _, w := range []testkit.LinkWordsVector{
		{From: "Ann", Camera: "Front door", Note: "The parcel of this morning", Zone: "Europe/Berlin"},
		{Zone: "UTC"},
		{From: `Anna "Änne" O’Neil`, Camera: `C:\porch`, Note: "<b>&amp;</b> /slash/ 猫 🐈", Zone: ""},
	} {
		w.Policy = policy
		w.JSON = wordsOf(w.From, w.Camera, w.Note, w.Zone, b64(policy))
		w.Sealed = sealWords(secret, "LKT1", draw("link salt "+w.From, 16), w.JSON)
		v.Words = append(v.Words, w)
	}
	v.Fragments = badFragments(secret, v.Fragment)
	v.Rejects = badWords(secret, v.Words[0], b64(policy))
	return v
}

func fragmentOf(secret []byte) string { return "#LK1." + base64.RawURLEncoding.EncodeToString(secret) }

// wordsOf writes the JSON by hand; only quotes and backslashes need escapes here.
func wordsOf(from, camera, note, zone, policy string) string {
	esc := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	return `{"from":"` + esc.Replace(from) + `","camera":"` + esc.Replace(camera) + `","note":"` + esc.Replace(note) +
		`","zone":"` + esc.Replace(zone) + `","policy":"` + policy + `"}`
}

func sealWords(secret []byte, magic string, salt []byte, json string) []byte {
	head := cat([]byte(magic), salt)
	return cat(head, aead(kdf(secret, "link words", salt), head, []byte(json)))
}

func badFragments(secret []byte, good string) []testkit.FragmentReject {
	return []testkit.FragmentReject{
		{Name: "empty", Fragment: ""},
		{Name: "no secret", Fragment: "#LK1."},
		{Name: "without the mark", Fragment: good[1:]},
		{Name: "lower case, to a person", Fragment: "#lkp1." + good[5:]},
		{Name: "a character less, to a person", Fragment: "#LKP1." + good[5:len(good)-1]},
		{Name: "lower case", Fragment: "#lk1." + good[5:]},
		{Name: "another version", Fragment: "#LK2." + good[5:]},
		{Name: "a character less", Fragment: good[:len(good)-1]},
		{Name: "a character more", Fragment: good + "A"},
		{Name: "padding", Fragment: good + "="},
		{Name: "bits after the secret", Fragment: good[:len(good)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(int(secret[31]&15)<<2)|1])},
		{Name: "the other alphabet", Fragment: "#LK1." + strings.Repeat("/", 42) + "w"},
		{Name: "a space before", Fragment: " " + good},
		{Name: "a line end inside", Fragment: good[:20] + "\n" + good[20:]},
		{Name: "a line end after", Fragment: good + "\n"},
		{Name: "31 bytes", Fragment: fragmentOf(secret[:31])},
		{Name: "33 bytes", Fragment: fragmentOf(cat(secret, secret[:1]))},
	}
}

func badWords(secret []byte, good testkit.LinkWordsVector, policy string) []testkit.LinkWordsRejects {
	seal := func(json string) []byte { return sealWords(secret, "LKT1", draw("link salt "+json, 16), json) }
	in := func(s string) []byte { return seal(wordsOf("Ann", "Front door", s, "UTC", policy)) }
	return []testkit.LinkWordsRejects{
		{Name: "a bit of the magic", Sealed: flip(good.Sealed, 3, 1)},
		{Name: "a bit of the salt", Sealed: flip(good.Sealed, 4, 1)},
		{Name: "a bit of the words", Sealed: flip(good.Sealed, 20, 1)},
		{Name: "a bit of the tag", Sealed: flip(good.Sealed, len(good.Sealed)-1, 1)},
		{Name: "a byte more", Sealed: cat(good.Sealed, []byte{0})},
		{Name: "the head alone", Sealed: good.Sealed[:20]},
		{Name: "nothing", Sealed: hexBytes{}},
		{Name: "another link's", Sealed: sealWords(draw("another link", 32), "LKT1", draw("salt", 16), good.JSON)},
		{Name: "another magic", Sealed: sealWords(secret, "LKT2", draw("salt two", 16), good.JSON)},
		{Name: "no JSON", Sealed: seal("Ann")},
		{Name: "an empty object", Sealed: seal("{}")},
		{Name: "null", Sealed: seal("null")},
		{Name: "a space", Sealed: seal(strings.Replace(good.JSON, ",", ", ", 1))},
		{Name: "a line end after", Sealed: seal(good.JSON + "\n")},
		{Name: "another order", Sealed: seal(`{"camera":"","from":"","note":"","zone":"","policy":"` + policy + `"}`)},
		{Name: "a key more", Sealed: seal(strings.TrimSuffix(good.JSON, "}") + `,"x":""}`)},
		{Name: "a key less", Sealed: seal(`{"from":"","camera":"","note":"","policy":"` + policy + `"}`)},
		{Name: "a key twice", Sealed: seal(`{"from":"Ben",` + good.JSON[1:])},
		{Name: "a key in upper case", Sealed: seal(strings.Replace(good.JSON, `"from"`, `"From"`, 1))},
		{Name: "a number", Sealed: seal(`{"from":1,"camera":"","note":"","zone":"","policy":"` + policy + `"}`)},
		{Name: "a short policy", Sealed: seal(wordsOf("", "", "", "", b64(make([]byte, 31))))},
		{Name: "a policy in hex", Sealed: seal(wordsOf("", "", "", "", strings.Repeat("00", 32)))},
		{Name: "a policy without padding", Sealed: seal(wordsOf("", "", "", "", strings.TrimSuffix(policy, "=")))},
		{Name: "an escaped slash", Sealed: seal(strings.Replace(good.JSON, "Ann", `A\/nn`, 1))},
		{Name: "a needless escape", Sealed: seal(strings.Replace(good.JSON, "Ann", `\u0041nn`, 1))},
		{Name: "a line end inside", Sealed: seal(strings.Replace(good.JSON, "Ann", `A\nnn`, 1))},
		{Name: "a raw control character", Sealed: in("a\tb")},
		{Name: "delete", Sealed: in("a\x7fb")},
		{Name: "a C1 control character", Sealed: in("a\u0085b")},
		{Name: "a line separator", Sealed: in("a\u2028b")},
		{Name: "half a pair", Sealed: seal(strings.Replace(good.JSON, "Ann", `\ud83d`, 1))},
		{Name: "no UTF-8", Sealed: in("a\xffb")},
		{Name: "a mark of byte order", Sealed: seal("\ufeff" + good.JSON)},
		{Name: "more than 4,096 bytes", Sealed: in(strings.Repeat("a", 4096))},
	}
}
