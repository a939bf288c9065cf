package keys

import (
	"crypto/hpke"
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// Sizes of the sealing key and its ciphertexts, in bytes (protocol 2.1).
const (
	SealPublicSize = 1216 // ML-KEM-768 encapsulation key ‖ X25519 public key
	EncSize        = 1120 // ML-KEM-768 ciphertext ‖ X25519 public key
	hpkeTag        = 16
	sealedHead     = 4 + latchkey.IDSize // magic ‖ kid
)

// Sealing is an X-Wing (MLKEM768-X25519) key made from a raw 32-byte seed.
// Safe for concurrent use.
type Sealing struct {
	guard
	raw  Secret
	priv *hpke.PrivateKey
	pub  []byte
}

// NewSealing draws a sealing key.
func NewSealing() *Sealing {
	s, err := SealingFromSeed(NewSecret())
	if err != nil { // a fresh 32-byte seed is always a key
		panic(err)
	}
	return s
}

// SealingFromSeed imports a raw X-Wing seed, without any key derivation in
// front. It keeps a reference to seed.
func SealingFromSeed(seed Secret) (*Sealing, error) {
	priv, err := hpke.MLKEM768X25519().NewPrivateKey(seed.bytes()[:])
	if err != nil {
		return nil, fmt.Errorf("keys: import sealing seed: %w: %v", latchkey.ErrInvalid, err)
	}
	return &Sealing{raw: seed, priv: &priv, pub: priv.PublicKey().Bytes()}, nil
}

// Public returns the raw 1216-byte public key. The caller must not change it.
func (s *Sealing) Public() []byte { return s.pub }

// Kid names the public key.
func (s *Sealing) Kid() latchkey.Kid { return chain.KidOf(s.pub) }

// OpenHPKE opens enc(1120) ‖ ct made for this key with the same info. It fails
// with latchkey.ErrVerify.
func (s *Sealing) OpenHPKE(info, sealed []byte) ([]byte, error) {
	if len(sealed) < EncSize+hpkeTag {
		return nil, fmt.Errorf("keys: open HPKE: %w: %d bytes are too short", latchkey.ErrInvalid, len(sealed))
	}
	plain, err := hpke.Open(*s.priv, hpke.HKDFSHA256(), hpke.AES256GCM(), info, sealed)
	if err != nil {
		return nil, fmt.Errorf("keys: open HPKE: %w: not sealed to this key for this purpose", latchkey.ErrVerify)
	}
	return plain, nil
}

// SealHPKE seals plaintext to a raw X-Wing public key: enc(1120) ‖ ct (RFC 9180
// base mode, empty AAD). It fails with latchkey.ErrInvalid if pub is no key.
func SealHPKE(pub, info, plaintext []byte) ([]byte, error) {
	pk, err := hpke.MLKEM768X25519().NewPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("keys: seal HPKE: %w: not an X-Wing public key: %v", latchkey.ErrInvalid, err)
	}
	sealed, err := hpke.Seal(pk, hpke.HKDFSHA256(), hpke.AES256GCM(), info, plaintext)
	if err != nil {
		return nil, fmt.Errorf("keys: seal HPKE: %w", err)
	}
	return sealed, nil
}

// Seal makes magic(4) ‖ kid(16) ‖ enc(1120) ‖ ct, the shape of every sealed
// object of the protocol (LKC1, LKX1). info is completed with the kid.
func seal(magic string, pub, info, plaintext []byte) ([]byte, error) {
	kid := chain.KidOf(pub)
	sealed, err := SealHPKE(pub, append(info[:len(info):len(info)], kid[:]...), plaintext)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, sealedHead+len(sealed)), magic...)
	return append(append(out, kid[:]...), sealed...), nil
}

func (s *Sealing) open(magic string, info, sealed []byte) ([]byte, error) {
	kid, err := sealedKid(magic, sealed)
	if err != nil {
		return nil, err
	}
	if kid != s.Kid() {
		return nil, fmt.Errorf("keys: open %s: %w: sealed to key %v, not to %v", magic, latchkey.ErrVerify, kid, s.Kid())
	}
	return s.OpenHPKE(append(info[:len(info):len(info)], kid[:]...), sealed[sealedHead:])
}

func sealedKid(magic string, b []byte) (kid latchkey.Kid, err error) {
	if len(b) < sealedHead+EncSize+hpkeTag || string(b[:4]) != magic {
		return kid, fmt.Errorf("keys: parse %s: %w: bad magic or length", magic, latchkey.ErrInvalid)
	}
	copy(kid[:], b[4:])
	return kid, nil
}
