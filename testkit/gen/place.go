package main

import (
	"strings"

	"latchkey.dev/latchkey/testkit"
)

// placeVectors are what an admin's machine answers on the home network beside
// the answer: where the household's server is.
func placeVectors(h household) testkit.Place {
	raw := draw("code three", 18)
	secret := secretOf(raw, "pairing")
	offer := cat([]byte("LKO1"), []byte{1}, h.hub.pub, h.hubX.pub, make([]byte, 32), draw("place nonce", 16))
	v := testkit.Place{
		Doc: testkit.Doc{
			About: "Pairing on the home network: the server's origin, for a joiner that was not told it.",
			Fields: map[string]string{
				"code, offer": "both sides have them",
				"mail":        "LKP1 ‖ origin ‖ MAC; MAC = KDF(pairing secret, 'pair server', H(offer) ‖ H(LKP1 ‖ origin))",
				"reject":      "mails that must be refused with this code and offer",
			},
		},
		Code: codeOf(cat(raw, checkOf(raw))), Offer: offer,
	}
	mail := func(label string, place []byte) []byte {
		return cat(place, kdf(secret, label, hash(offer), hash(place)))
	}
	place := func(origin string) []byte { return cat([]byte("LKP1"), []byte(origin)) }
	for _, origin := range []string{"https://latchkey.example", "http://192.168.1.5:8440", "http://[fd00::5]:8440"} {
		v.Places = append(v.Places, testkit.PlaceVector{Origin: origin, Mail: mail("pair server", place(origin))})
	}
	good := v.Places[0].Mail
	other := cat([]byte("LKO1"), []byte{1}, h.hub.pub, h.hubX.pub, make([]byte, 32), draw("another place nonce", 16))
	v.Rejects = []testkit.PlaceReject{
		{Name: "a bit of the origin", Mail: flip(good, 6, 1)},
		{Name: "a bit of the MAC", Mail: flip(good, len(good)-1, 1)},
		{Name: "without MAC", Mail: place("https://latchkey.example")},
		{Name: "MAC of an answer", Mail: mail("pair answer", place("https://latchkey.example"))},
		{Name: "for another offer", Mail: cat(place("https://latchkey.example"), kdf(secret, "pair server", hash(other), hash(place("https://latchkey.example"))))},
		{Name: "another magic", Mail: mail("pair server", cat([]byte("LKP2"), []byte("https://latchkey.example")))},
		{Name: "no origin", Mail: mail("pair server", place(""))},
		{Name: "a space in the origin", Mail: mail("pair server", place("https://latchkey .example"))},
		{Name: "a trailing newline", Mail: mail("pair server", place("https://latchkey.example\n"))},
		{Name: "an origin of 256 bytes", Mail: mail("pair server", place("https://"+strings.Repeat("a", 248)))},
	}
	return v
}
