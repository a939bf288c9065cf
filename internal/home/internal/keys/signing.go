package keys

import (
	"crypto/ed25519"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// Signing is an Ed25519 signing key. It implements chain.Signer. Safe for
// concurrent use.
type Signing struct {
	guard
	priv **ed25519.PrivateKey
	pub  ed25519.PublicKey
}

var _ chain.Signer = (*Signing)(nil)

// NewSigning draws a signing key.
func NewSigning() *Signing {
	seed := NewSecret()
	defer seed.Erase()
	return SigningFromSeed(seed)
}

// SigningFromSeed makes the key whose RFC 8032 seed is seed. The caller may
// erase seed afterwards.
func SigningFromSeed(seed Secret) *Signing {
	priv := ed25519.NewKeyFromSeed(seed.bytes()[:])
	p := &priv
	return &Signing{priv: &p, pub: ed25519.PublicKey(append([]byte(nil), priv[SecretSize:]...))}
}

// Public returns the raw 32-byte public key. The caller must not change it.
func (s *Signing) Public() ed25519.PublicKey { return s.pub }

// Kid names the public key.
func (s *Signing) Kid() latchkey.Kid { return chain.KidOf(s.pub) }

// Sign returns the 64-byte Ed25519 signature of message. Callers sign only
// notes and part messages, which carry their own domain prefix (protocol 2.1).
func (s *Signing) Sign(message []byte) []byte { return ed25519.Sign(**s.priv, message) }

// Erase overwrites the private half; Sign must not be called afterwards.
func (s *Signing) Erase() { clear(**s.priv) }

func (s *Signing) seed() []byte { return (**s.priv)[:SecretSize] }
