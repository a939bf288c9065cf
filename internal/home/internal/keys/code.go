package keys

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"

	"latchkey.dev/latchkey"
)

const (
	codeRandom   = 18 // bytes of entropy: 144 bits
	codeCheck    = 2
	codeDigits   = 32
	codeGroup    = 4
	crockford    = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	qrPrefix     = "LK1:"
	usePairing   = "pairing"
	useRecovery  = "recovery"
	codeBitsEach = 5
)

// Code is what a person types or scans: 144 random bits with 16 check bits
// (protocol 2.10). The same shape serves pairing and recovery; a code is used
// for one of them only.
type Code struct {
	guard
	r **[codeRandom]byte
}

func codeOf(b [codeRandom]byte) Code {
	p := &b
	return Code{r: &p}
}

func (c Code) bytes() *[codeRandom]byte { return *c.r }

// NewCode draws a code.
func NewCode() Code {
	c := codeOf([codeRandom]byte{})
	_, _ = rand.Read(c.bytes()[:])
	return c
}

// ParseCode reads a typed or scanned code: 32 Crockford digits, in any case,
// with O for 0, I and L for 1, spaces and dashes anywhere, optionally after the
// QR prefix "LK1:". It fails with latchkey.ErrInvalid, saying what is wrong
// without repeating the code.
func ParseCode(s string) (Code, error) {
	digits, err := codeDigitsOf(strings.TrimPrefix(strings.TrimSpace(s), qrPrefix))
	if err != nil {
		return Code{}, err
	}
	raw := unpackDigits(digits)
	defer clear(raw[:])
	c := codeOf([codeRandom]byte(raw[:]))
	check := c.check()
	if subtle.ConstantTimeCompare(check[:], raw[codeRandom:]) != 1 {
		c.Erase()
		return Code{}, fmt.Errorf("keys: parse code: %w: the check digits do not match: mistyped?", latchkey.ErrInvalid)
	}
	return c, nil
}

// codeDigitsOf maps the 32 characters of a code to values below 32.
func codeDigitsOf(s string) ([codeDigits]byte, error) {
	var digits [codeDigits]byte
	n := 0
	for _, r := range strings.ToUpper(s) {
		switch r {
		case ' ', '-':
			continue
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		v := strings.IndexRune(crockford, r)
		if v < 0 {
			return digits, fmt.Errorf("keys: parse code: %w: a character is not used in codes", latchkey.ErrInvalid)
		}
		if n == codeDigits {
			return digits, fmt.Errorf("keys: parse code: %w: longer than %d characters", latchkey.ErrInvalid, codeDigits)
		}
		digits[n] = byte(v)
		n++
	}
	if n != codeDigits {
		return digits, fmt.Errorf("keys: parse code: %w: %d characters instead of %d", latchkey.ErrInvalid, n, codeDigits)
	}
	return digits, nil
}

// unpackDigits joins 32 five-bit digits to 20 bytes, most significant first.
func unpackDigits(digits [codeDigits]byte) [codeRandom + codeCheck]byte {
	var out [codeRandom + codeCheck]byte
	acc, bits, at := uint(0), 0, 0
	for _, d := range digits {
		acc = acc<<codeBitsEach | uint(d)
		bits += codeBitsEach
		if bits >= 8 {
			bits -= 8
			out[at] = byte(acc >> bits)
			at++
		}
	}
	return out
}

// Reveal returns the code as people see it, "XXXX-XXXX-…" in eight groups. It
// is the only way to read a code: whoever calls it shows it to its owner, once.
func (c Code) Reveal() string {
	check := c.check()
	raw := append(append(make([]byte, 0, codeRandom+codeCheck), c.bytes()[:]...), check[:]...)
	var out strings.Builder
	acc, bits := uint(0), 0
	for i, b := range raw {
		acc = acc<<8 | uint(b)
		bits += 8
		for bits >= codeBitsEach {
			bits -= codeBitsEach
			out.WriteByte(crockford[acc>>bits&31])
			if n := (8*i + 8 - bits) / codeBitsEach; n%codeGroup == 0 && n < codeDigits {
				out.WriteByte('-')
			}
		}
	}
	clear(raw)
	return out.String()
}

// RevealQR returns what a QR code of this code holds: "LK1:" and 32 characters.
func (c Code) RevealQR() string { return qrPrefix + strings.ReplaceAll(c.Reveal(), "-", "") }

// IsZero reports whether c holds no code.
func (c Code) IsZero() bool { return c.r == nil }

// Equal compares in constant time; used when a person types a code back.
func (c Code) Equal(o Code) bool {
	return c.r != nil && o.r != nil && subtle.ConstantTimeCompare(c.bytes()[:], o.bytes()[:]) == 1
}

// Erase overwrites the code, in this and every copy.
func (c Code) Erase() {
	if c.r != nil {
		clear(c.bytes()[:])
	}
}

func (c Code) check() [codeCheck]byte {
	h := hashOf(append([]byte("latchkey/v1 code\x00"), c.bytes()[:]...))
	return [codeCheck]byte(h[:codeCheck])
}

// secret is HMAC-SHA-256("latchkey/v1 " ‖ use, r).
func (c Code) secret(use string) Secret {
	m := hmac.New(sha256.New, []byte(domain+use))
	m.Write(c.bytes()[:])
	s := blank()
	m.Sum(s.bytes()[:0])
	return s
}

// PairingSecret is the secret S that joiner and admin share.
func (c Code) PairingSecret() Secret { return c.secret(usePairing) }

// RecoverySecret is the secret of the recovery wrap.
func (c Code) RecoverySecret() Secret { return c.secret(useRecovery) }

// RecoverySign is the Ed25519 key whose public half stands in the roster.
func (c Code) RecoverySign() *Signing {
	seed := c.RecoverySecret().Derive("recovery sign")
	defer seed.Erase()
	return SigningFromSeed(seed)
}

// RecoveryID finds the account of a typed recovery code; it is public to the server.
func (c Code) RecoveryID() [latchkey.IDSize]byte {
	return [latchkey.IDSize]byte(c.RecoverySecret().Derive("recovery id").bytes()[:])
}

// Rendezvous is the mailbox, or mDNS name, where the two sides of a pairing
// meet; it is public to the server.
func (c Code) Rendezvous() [latchkey.IDSize]byte {
	return [latchkey.IDSize]byte(c.PairingSecret().Derive("rendezvous").bytes()[:])
}
