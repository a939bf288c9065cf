package keys

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"latchkey.dev/latchkey"
)

// SecretSize is the length of every symmetric secret and of every seed, in bytes.
const SecretSize = 32

// redacted stands wherever somebody tries to print a secret.
const redacted = "[secret]"

// errMarshal is what every attempt to serialise a secret gets.
var errMarshal = errors.New("keys: a secret cannot be marshalled")

// guard is embedded in every secret type of this package: whatever prints,
// logs or marshals the outer type meets these methods. The bytes themselves sit
// behind two pointers, because fmt walks unexported fields of enclosing structs
// without calling methods; it prints a pointer as an address, but for some verbs
// follows one, and never two.
type guard struct{}

// String returns a fixed word, never the secret.
func (guard) String() string { return redacted }

// GoString returns a fixed word, never the secret.
func (guard) GoString() string { return redacted }

// Format prints a fixed word for every verb.
func (guard) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue logs a fixed word.
func (guard) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON always fails.
func (guard) MarshalJSON() ([]byte, error) { return nil, errMarshal }

// MarshalText always fails.
func (guard) MarshalText() ([]byte, error) { return nil, errMarshal }

// MarshalBinary always fails.
func (guard) MarshalBinary() ([]byte, error) { return nil, errMarshal }

// GobEncode always fails.
func (guard) GobEncode() ([]byte, error) { return nil, errMarshal }

var (
	_ fmt.Formatter  = guard{}
	_ json.Marshaler = guard{}
	_ slog.LogValuer = guard{}
)

// Secret is 32 secret bytes. The zero Secret holds nothing: IsZero reports it,
// and every verb on it panics, because a key of zeros must never seal anything.
// Copies share the bytes, so Erase on one erases all.
type Secret struct {
	guard
	p **[SecretSize]byte
}

// blank is a secret of zeros, to be filled.
func blank() Secret {
	b := new([SecretSize]byte)
	return Secret{p: &b}
}

func (s Secret) bytes() *[SecretSize]byte { return *s.p }

// NewSecret draws a secret from the operating system's CSPRNG.
func NewSecret() Secret {
	s := blank()
	_, _ = rand.Read(s.bytes()[:]) // crypto/rand.Read never fails: it ends the process instead
	return s
}

// SecretFrom copies exactly 32 bytes into a Secret. The caller erases b.
func SecretFrom(b []byte) (Secret, error) {
	if len(b) != SecretSize {
		return Secret{}, fmt.Errorf("keys: read secret: %w: want %d bytes, got %d", latchkey.ErrInvalid, SecretSize, len(b))
	}
	s := blank()
	copy(s.bytes()[:], b)
	return s, nil
}

// IsZero reports whether s holds no secret at all.
func (s Secret) IsZero() bool { return s.p == nil }

// Equal compares in constant time. Two empty secrets are not equal to anything.
func (s Secret) Equal(o Secret) bool {
	return s.p != nil && o.p != nil && subtle.ConstantTimeCompare(s.bytes()[:], o.bytes()[:]) == 1
}

// Erase overwrites the bytes, in this and every copy.
func (s Secret) Erase() {
	if s.p != nil {
		clear(s.bytes()[:])
	}
}

// Derive returns KDF(s, label, context) as a new secret (protocol 2.1).
func (s Secret) Derive(label string, context ...[]byte) Secret {
	out := blank()
	kdfLong(out.bytes(), s.bytes(), label, context)
	return out
}

// Commitment returns H(secret), which names a secret without giving it away:
// the `ktag` line of a genesis statement (protocol 2.7).
func (s Secret) Commitment() latchkey.Hash { return hashOf(s.bytes()[:]) }
