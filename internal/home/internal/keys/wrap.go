package keys

import (
	"crypto/rand"
	"fmt"

	"latchkey.dev/latchkey"
)

// WrapKind says which secret opens a wrap.
type WrapKind byte

// The kinds of protocol 2.10.
const (
	WrapPasskey  WrapKind = 1
	WrapRecovery WrapKind = 2
	WrapContact  WrapKind = 3 // under the secret of a set of trusted contacts
)

const (
	wrapMagic = "LKW1"
	wrapHead  = 4 + 1 + 32 + 16
	// WrapSize is the length of every wrap, in bytes.
	WrapSize = wrapHead + SecretSize + aeadTag
)

// Wrap is the public part of a wrapped vault key.
type Wrap struct {
	Kind       WrapKind
	Credential latchkey.Hash // H(credential id) of a passkey, H(set id) of contacts, zeros for recovery
	Salt       [16]byte
	sealed     [SecretSize + aeadTag]byte
}

// ParseWrap reads exactly one LKW1 object; strict (latchkey.ErrInvalid).
func ParseWrap(b []byte) (Wrap, error) {
	if len(b) != WrapSize || string(b[:4]) != wrapMagic {
		return Wrap{}, fmt.Errorf("keys: parse wrap: %w: bad magic or length", latchkey.ErrInvalid)
	}
	w := Wrap{Kind: WrapKind(b[4])}
	copy(w.Credential[:], b[5:])
	copy(w.Salt[:], b[37:])
	copy(w.sealed[:], b[wrapHead:])
	recovery := w.Credential == latchkey.Hash{}
	if w.Kind != WrapPasskey && w.Kind != WrapRecovery && w.Kind != WrapContact || recovery != (w.Kind == WrapRecovery) {
		return Wrap{}, fmt.Errorf("keys: parse wrap: %w: kind and credential do not fit", latchkey.ErrInvalid)
	}
	return w, nil
}

// Marshal returns the 101 bytes that ParseWrap reads.
func (w Wrap) Marshal() []byte { return append(w.head(), w.sealed[:]...) }

func (w Wrap) head() []byte {
	b := append(make([]byte, 0, WrapSize), wrapMagic...)
	b = append(b, byte(w.Kind))
	return append(append(b, w.Credential[:]...), w.Salt[:]...)
}

// SealWrap wraps the vault key vk under the recovery secret of a code
// (credential nil) or the PRF secret of a passkey (its credential id). Result: 101 bytes.
func SealWrap(secret Secret, credential []byte, vk Secret) []byte {
	w := Wrap{Kind: WrapRecovery}
	if credential != nil {
		w.Kind, w.Credential = WrapPasskey, hashOf(credential)
	}
	_, _ = rand.Read(w.Salt[:])
	return sealUnder(secret, "wrap", w.head(), vk.bytes()[:])
}

// OpenWrap returns the vault key inside one LKW1 object. Another secret is
// latchkey.ErrVerify.
func OpenWrap(secret Secret, b []byte) (Secret, error) {
	if _, err := ParseWrap(b); err != nil {
		return Secret{}, err
	}
	plain, err := openUnder(secret, "wrap", wrapHead, b)
	if err != nil {
		return Secret{}, err
	}
	defer clear(plain)
	return SecretFrom(plain)
}
