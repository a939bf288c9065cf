package keys

import (
	"crypto/rand"
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// Point is one share of a secret that was split two of three: alone it says
// nothing of the secret, any two give it back (spec/keys, "Trusted contacts").
type Point struct {
	guard
	X byte // 1 to chain.Shares
	y Secret
}

// Split shares a secret two of three: y(x) = s ⊕ a·x, byte by byte over GF(2^8),
// with fresh random a, at x = 1, 2, 3.
func Split(s Secret) [chain.Shares]Point {
	a := NewSecret()
	defer a.Erase()
	return splitAlong(s, a)
}

func splitAlong(s, a Secret) (points [chain.Shares]Point) {
	for i := range points {
		p := Point{X: byte(i + 1), y: blank()}
		for j := range p.y.bytes() {
			p.y.bytes()[j] = s.bytes()[j] ^ gfMul(a.bytes()[j], p.X)
		}
		points[i] = p
	}
	return points
}

// Combine gives the secret back from two different points of it. Points of two
// different secrets give a third, which opens nothing.
func Combine(p, q Point) (Secret, error) {
	if p.X < 1 || p.X > chain.Shares || q.X < 1 || q.X > chain.Shares || p.X == q.X {
		return Secret{}, fmt.Errorf("keys: combine shares: %w: want two different shares", latchkey.ErrInvalid)
	}
	// Lagrange at 0; in this field minus is plus.
	scale := gfInverse(p.X ^ q.X)
	s := blank()
	for j := range s.bytes() {
		s.bytes()[j] = gfMul(scale, gfMul(p.y.bytes()[j], q.X)^gfMul(q.y.bytes()[j], p.X))
	}
	return s, nil
}

// gfMul is a·b modulo x^8+x^4+x^3+x+1, without a branch or a table: its time
// and its memory accesses do not depend on a secret.
func gfMul(a, b byte) byte {
	var p byte
	for range 8 {
		p ^= a & -(b & 1)
		a = a<<1 ^ 0x1b&-(a>>7)
		b >>= 1
	}
	return p
}

// gfInverse is a^254: the inverse of a, and 0 for 0.
func gfInverse(a byte) byte {
	inverse := byte(1)
	for range 254 {
		inverse = gfMul(inverse, a)
	}
	return inverse
}

// SealContactWrap wraps the vault key vk under a contact secret, for the set of
// contacts that it was split for: LKW1 of kind 3.
func SealContactWrap(secret Secret, set [latchkey.IDSize]byte, vk Secret) []byte {
	w := Wrap{Kind: WrapContact, Credential: hashOf(set[:])}
	_, _ = rand.Read(w.Salt[:])
	return sealUnder(secret, "wrap", w.head(), vk.bytes()[:])
}

// OpenContactWrap returns the vault key inside the wrap of this set. A wrap of
// another set or kind, or another secret, is latchkey.ErrVerify.
func OpenContactWrap(secret Secret, set [latchkey.IDSize]byte, b []byte) (Secret, error) {
	w, err := ParseWrap(b)
	if err != nil {
		return Secret{}, err
	}
	if w.Kind != WrapContact || w.Credential != hashOf(set[:]) {
		return Secret{}, fmt.Errorf("keys: open contact wrap: %w: it is of another set", latchkey.ErrVerify)
	}
	return OpenWrap(secret, b)
}
