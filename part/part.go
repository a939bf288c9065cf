package part

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"latchkey.dev/latchkey"
)

// sigPrefix separates signatures of parts from those of notes.
const sigPrefix = "latchkey/v1 part\x00"

// Part is one sealed part. Raw aliases the bytes it was parsed from and is
// never rewritten: relay, storage and export carry the same bytes.
type Part struct {
	Header Header
	Raw    []byte
}

// Parse reads b as exactly one part. A short or long b is latchkey.ErrInvalid.
// It checks form only: neither signature nor ciphertext.
func Parse(b []byte) (Part, error) {
	p, rest, err := Next(b)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return Part{}, fmt.Errorf("part: parse: %w: %d bytes are not a whole part", latchkey.ErrInvalid, len(b))
	case err != nil:
		return Part{}, err
	case len(rest) != 0:
		return Part{}, fmt.Errorf("part: parse: %w: %d trailing bytes", latchkey.ErrInvalid, len(rest))
	}
	return p, nil
}

// Next reads the first part of a concatenation and returns the bytes after it.
// An empty b is io.EOF; a b that ends inside the part is io.ErrUnexpectedEOF
// (both bare, so that a reader of a growing file can tell a torn tail from
// damage); a malformed header is latchkey.ErrInvalid.
func Next(b []byte) (Part, []byte, error) {
	if len(b) == 0 {
		return Part{}, nil, io.EOF
	}
	if len(b) < HeaderSize {
		return Part{}, nil, io.ErrUnexpectedEOF
	}
	h, err := ParseHeader(b)
	if err != nil {
		return Part{}, nil, err
	}
	n := h.Size()
	if len(b) < n {
		return Part{}, nil, io.ErrUnexpectedEOF
	}
	return Part{Header: h, Raw: b[:n:n]}, b[n:], nil
}

// ParseAll reads b as a concatenation of whole parts, in order. Anything else,
// a torn tail included, is latchkey.ErrInvalid. No bytes are no parts.
func ParseAll(b []byte) ([]Part, error) {
	var parts []Part
	for len(b) > 0 {
		p, rest, err := Next(b)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("part: parse part %d: %w: it is torn", len(parts), latchkey.ErrInvalid)
		}
		if err != nil {
			return nil, err
		}
		parts, b = append(parts, p), rest
	}
	return parts, nil
}

// CT is the ciphertext with its tag.
func (p Part) CT() []byte { return p.Raw[HeaderSize : len(p.Raw)-SigSize] }

// Sig is the Ed25519 signature over SigMessage(p.Hash()).
func (p Part) Sig() []byte { return p.Raw[len(p.Raw)-SigSize:] }

// Hash is the part hash H(header ‖ ct). It is computed at every call: keep it.
func (p Part) Hash() latchkey.Hash { return sha256.Sum256(p.Raw[:len(p.Raw)-SigSize]) }

// SigMessage is what an epoch's signer signs for the part with hash ph.
func SigMessage(ph latchkey.Hash) []byte {
	return append([]byte(sigPrefix), ph[:]...)
}

// VerifySig checks the signature of this one part; failure is
// latchkey.ErrVerify. It hashes the whole part.
func (p Part) VerifySig(signer ed25519.PublicKey) error {
	return p.verifySig(signer, p.Hash())
}

func (p Part) verifySig(signer ed25519.PublicKey, ph latchkey.Hash) error {
	if len(signer) != ed25519.PublicKeySize {
		return fmt.Errorf("part: verify %v: %w: signer key of %d bytes", p.Header, latchkey.ErrInvalid, len(signer))
	}
	if !ed25519.Verify(signer, SigMessage(ph), p.Sig()) {
		return fmt.Errorf("part: verify %v: %w: signature", p.Header, latchkey.ErrVerify)
	}
	return nil
}

// String names the part in errors and logs: epoch/track/seq.
func (h Header) String() string { return fmt.Sprintf("%v/%v/%d", h.Epoch, h.Track, h.Seq) }
