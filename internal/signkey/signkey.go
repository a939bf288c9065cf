// Package signkey keeps one C2SP signed-note key in a file: an operator's, a
// witness's, an auditor's. Such a key vouches, and opens nothing; it never comes
// into a log line or an error.
package signkey

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
)

// Key is a signing key: the private and the verifier key in their text forms.
type Key struct{ Private, VKey string }

// Open reads the key at path, or draws one under this name (mode 0600).
func Open(fsys durable.FS, path, name string) (Key, error) {
	k, err := Read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if k.Private, k.VKey, err = note.GenerateKey(rand.Reader, name); err != nil {
		return Key{}, fmt.Errorf("signkey: draw: %w", err)
	}
	if _, err := note.NewSigner(k.Private); err != nil { // drawing takes every name
		return Key{}, fmt.Errorf("signkey: %w: %q is no name of a key: no spaces, no +, not empty", latchkey.ErrInvalid, name)
	}
	return k, durable.WriteFile(fsys, path, []byte(k.Private+"\n"+k.VKey+"\n"), 0o600)
}

// Read reads the key at path: two lines that belong together. A file that is not
// there is fs.ErrNotExist.
func Read(path string) (Key, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("signkey: %w", err)
	}
	var k Key
	k.Private, k.VKey, _ = strings.Cut(strings.TrimSuffix(string(b), "\n"), "\n")
	signer, serr := note.NewSigner(k.Private)
	verifier, verr := note.NewVerifier(k.VKey)
	if serr != nil || verr != nil || verifier.Name() != signer.Name() || verifier.KeyHash() != signer.KeyHash() {
		return Key{}, fmt.Errorf("signkey: %w: %s is no key file: restore it from a backup", latchkey.ErrInvalid, path)
	}
	return k, nil
}

// Signer signs notes with the key.
func (k Key) Signer() (note.Signer, error) { return note.NewSigner(k.Private) }

// Raw is the same key for statements of chains, which are signed under its kid
// and not under its name.
type Raw struct{ priv ed25519.PrivateKey }

// Ed25519 returns the raw key.
func (k Key) Ed25519() (Raw, error) {
	// PRIVATE+KEY+<name>+<hash>+<base64 of type and seed> (golang.org/x/mod/sumdb/note)
	fields := strings.SplitN(k.Private, "+", 5)
	if len(fields) != 5 {
		return Raw{}, fmt.Errorf("signkey: %w: no key", latchkey.ErrInvalid)
	}
	b, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil || len(b) != 1+ed25519.SeedSize || b[0] != 1 {
		return Raw{}, fmt.Errorf("signkey: %w: no Ed25519 key", latchkey.ErrInvalid)
	}
	return Raw{ed25519.NewKeyFromSeed(b[1:])}, nil
}

// Public returns the raw public key.
func (r Raw) Public() ed25519.PublicKey { return r.priv.Public().(ed25519.PublicKey) }

// Sign returns the signature of message.
func (r Raw) Sign(message []byte) []byte { return ed25519.Sign(r.priv, message) }

// String returns a fixed word, never the key.
func (Raw) String() string { return "[secret]" }

// GoString returns a fixed word, never the key.
func (Raw) GoString() string { return "[secret]" }
