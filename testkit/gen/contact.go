package main

import (
	"fmt"
	"math/big"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

// gfMul multiplies polynomials over GF(2) as integers and reduces them by
// long division: slow, and nothing like the code that the vectors test.
func gfMul(a, b uint8) uint8 {
	product, modulus := new(big.Int), big.NewInt(0x11b)
	for i := range 8 {
		if b>>i&1 == 1 {
			product.Xor(product, new(big.Int).Lsh(big.NewInt(int64(a)), uint(i)))
		}
	}
	for product.BitLen() >= modulus.BitLen() {
		product.Xor(product, new(big.Int).Lsh(modulus, uint(product.BitLen()-modulus.BitLen())))
	}
	return uint8(product.Uint64())
}

// gfInverse tries every value.
func gfInverse(a uint8) uint8 {
	for b := 1; b < 256; b++ {
		if gfMul(a, uint8(b)) == 1 {
			return uint8(b)
		}
	}
	return 0
}

func contactVectors(h household) testkit.Contact {
	v := testkit.Contact{
		Doc: testkit.Doc{
			About: "Trusted contacts: arithmetic of GF(2^8), a secret split two of three, the wrap under it (LKW1 of kind 3), the share and claim notes.",
			Fields: map[string]string{
				"products":    "a·b = p modulo x^8+x^4+x^3+x+1; inverse is that of a, 0 for 0",
				"secret":      "the contact secret CS",
				"slope":       "the random bytes a of the split",
				"points":      "y = secret ⊕ slope·x, byte by byte; any two give secret",
				"set":         "set id; the wrap's credential is H(set)",
				"wrap":        "vk wrapped under secret",
				"seed":        "Ed25519 seed of the owner of the set, who signs share_notes",
				"share_notes": "one for each point, in order, to three contacts",
				"claim_note":  "signed by the contact `by` for `member`",
				"claim_id":    "H('latchkey/v1 claim' ‖ 0x00 ‖ household ‖ member ‖ set ‖ ed ‖ x ‖ recovery)[0:16]",
				"digits":      "H('latchkey/v1 claim digits' ‖ 0x00 ‖ ed ‖ x ‖ recovery)[0:10] as an integer modulo 10^24",
				"reject":      "signed notes that no parser may accept",
			},
		},
		Secret: draw("contact secret", 32), Slope: draw("contact slope", 32), Seed: h.second.seed, Set: draw("contact set", 16),
		VK: draw("vk", 32), Household: h.id, By: h.founder.kid(), Member: h.second.kid(),
	}
	for _, a := range []uint8{0, 1, 2, 3, 0x53, 0x80, 0xca, 0xff} {
		for _, b := range []uint8{0, 1, 2, 3, 0x1b, 0x53, 0xca, 0xff} {
			v.Products = append(v.Products, testkit.ProductVector{A: a, B: b, P: gfMul(a, b), Inverse: gfInverse(a)})
		}
	}
	head := cat([]byte("LKW1\x03"), hash(v.Set), draw("wrap salt 3", 16))
	v.Wrap = cat(head, aead(kdf(v.Secret, "wrap", head), head, v.VK))
	contacts := []edKey{h.founder, h.viewer, newEd(draw("seed third contact", 32))}
	for i, to := range contacts {
		x := uint8(i + 1)
		y := make([]byte, 32)
		for j := range y {
			y[j] = v.Secret[j] ^ gfMul(v.Slope[j], x)
		}
		v.Points = append(v.Points, testkit.PointVector{X: x, Y: y})
		v.ShareNotes = append(v.ShareNotes, h.second.note(textOf("share", shareLines(h, v, to, x, y)...)))
	}
	newEdKey, newXKey, newRec := newEd(draw("seed helped", 32)), newX(draw("seed helped x", 32)), newEd(draw("seed helped recovery", 32))
	lines := []string{"household " + b64(v.Household), "by " + b64(v.By), "member " + b64(v.Member), "set " + b64(v.Set),
		"ed " + b64(newEdKey.pub), "x " + b64(newXKey.pub), "recovery " + b64(newRec.pub), fmt.Sprintf("time %d", now-20)}
	v.ClaimNote = h.founder.note(textOf("claim", lines...))
	v.ClaimID = hash([]byte("latchkey/v1 claim\x00"), v.Household, v.Member, v.Set, newEdKey.pub, newXKey.pub, newRec.pub)[:16]
	digits := new(big.Int).SetBytes(hash([]byte("latchkey/v1 claim digits\x00"), newEdKey.pub, newXKey.pub, newRec.pub)[:10])
	v.Digits = fmt.Sprintf("%024d", digits.Mod(digits, new(big.Int).Exp(big.NewInt(10), big.NewInt(24), nil)))
	v.Rejects = badContactNotes(h, shareLines(h, v, h.founder, 1, v.Points[0].Y), lines)
	return v
}

func shareLines(h household, v testkit.Contact, to edKey, x uint8, y []byte) []string {
	return []string{"household " + b64(v.Household), "by " + b64(h.second.kid()), "to " + b64(to.kid()), "set " + b64(v.Set),
		fmt.Sprintf("x %d", x), "share " + b64(y), fmt.Sprintf("time %d", now-30)}
}

func badContactNotes(h household, share, claim []string) []testkit.RejectedNote {
	edit := func(noteType string, lines []string, i int, line string) string {
		c := append([]string(nil), lines...)
		if line == "" {
			return textOf(noteType, append(c[:i], c[i+1:]...)...)
		}
		c[i] = line
		return textOf(noteType, c...)
	}
	return badNotes(h.second, map[string]string{
		"share: x 0":                       edit("share", share, 4, "x 0"),
		"share: x 4":                       edit("share", share, 4, "x 4"),
		"share: x 257":                     edit("share", share, 4, "x 257"),
		"share: x 01":                      edit("share", share, 4, "x 01"),
		"share: no x":                      edit("share", share, 4, ""),
		"share: 31 bytes":                  edit("share", share, 5, "share "+b64(draw("short share", 31))),
		"share: set of 32 bytes":           edit("share", share, 3, "set "+b64(draw("long set", 32))),
		"share: a line more":               textOf("share", append(append([]string(nil), share...), "use all")...),
		"share: to before by":              textOf("share", share[0], share[2], share[1], share[3], share[4], share[5], share[6]),
		"claim: for himself":               edit("claim", claim, 2, strings.Replace(claim[1], "by ", "member ", 1)),
		"claim: recovery key is ed":        edit("claim", claim, 6, strings.Replace(claim[4], "ed ", "recovery ", 1)),
		"claim: no recovery key":           edit("claim", claim, 6, ""),
		"claim: x of 32 bytes":             edit("claim", claim, 5, "x "+b64(draw("short x", 32))),
		"claim: no set":                    edit("claim", claim, 3, ""),
		"claim: time with a leading zero":  edit("claim", claim, 7, "time 01790000000"),
		"claim: a second member":           textOf("claim", append(append([]string(nil), claim[:3]...), claim[2:]...)...),
		"claim: lines of a share":          textOf("claim", share...),
		"share: time that is not a number": edit("share", share, 6, "time soon"),
	})
}
