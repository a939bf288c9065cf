package chain

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"latchkey.dev/latchkey"
)

// Limits of a note, in bytes (spec/formats, "Notes").
const (
	MaxText    = 60_000 // the signed text
	MaxNote    = 65_536 // text and signature lines
	maxSigs    = 16
	textPrefix = "latchkey/v1 "
)

const (
	kidPrefix  = "latchkey/v1 key\x00"
	sigMark    = "— "
	algEd25519 = 0x01
	keyHashLen = 4
	signerName = "lk."
)

// Signer signs with one Ed25519 key that never leaves it. Sign must be safe
// for concurrent use and cannot fail.
type Signer interface {
	Public() ed25519.PublicKey
	Sign(message []byte) []byte
}

// KidOf is the short name of a raw public key, Ed25519 or X-Wing.
func KidOf(rawPublic []byte) latchkey.Kid {
	h := sha256.Sum256(append([]byte(kidPrefix), rawPublic...))
	return latchkey.Kid(h[:latchkey.IDSize])
}

// TextHash identifies a statement or note: signatures are not part of it.
func TextHash(text []byte) latchkey.Hash { return sha256.Sum256(text) }

// SignNote returns text as a signed note with one signature line. text comes
// from one of the Text methods.
func SignNote(text []byte, s Signer) []byte {
	pub := s.Public()
	name := signerNameOf(pub)
	sig := append(keyHash(name, pub), s.Sign(text)...)
	raw := bytes.Clone(text)
	raw = append(raw, '\n')
	return append(raw, sigMark+name+" "+latchkey.B64(sig)+"\n"...)
}

// signerNameOf is the name on a signature line: lk. and the hex kid.
func signerNameOf(pub ed25519.PublicKey) string { return signerName + KidOf(pub).String() }

// keyHash is C2SP signed-note's key ID: four bytes that spare a reader most
// signatures of other keys.
func keyHash(name string, pub ed25519.PublicKey) []byte {
	h := sha256.Sum256(append([]byte(name+"\n"), append([]byte{algEd25519}, pub...)...))
	return h[:keyHashLen:keyHashLen]
}

// Note is a parsed signed note. Raw and Text alias the bytes it was parsed
// from. A Note is well formed; whether it is signed by whom it says, only
// Verify or Apply tells.
type Note struct {
	Raw  []byte
	Text []byte // signed bytes, with the final newline
	Type string // "genesis", "epoch", …

	lines []line
	sigs  []sigLine
}

type line struct{ key, value string }

// sigLine is one signature line; sig still has its four bytes of key hash.
type sigLine struct {
	name string
	sig  []byte
}

// ParseNote reads a signed note strictly: the container, the type line, and the
// lines of that type in their fixed order. Values are checked by the parser of
// the type. Malformed bytes and unknown types are latchkey.ErrInvalid.
func ParseNote(raw []byte) (Note, error) {
	n, err := parseContainer(raw)
	if err != nil {
		return Note{}, fmt.Errorf("chain: parse note: %w", err)
	}
	if err := n.parseText(); err != nil {
		return Note{}, fmt.Errorf("chain: parse note: %w", err)
	}
	return n, nil
}

// parseContainer splits text and signature lines, as C2SP signed-note says.
func parseContainer(raw []byte) (Note, error) {
	if len(raw) > MaxNote {
		return Note{}, invalid("%d bytes, at most %d", len(raw), MaxNote)
	}
	at := bytes.LastIndex(raw, []byte("\n\n"))
	if at < 0 {
		return Note{}, invalid("no signature block")
	}
	n := Note{Raw: raw, Text: raw[: at+1 : at+1]}
	block := string(raw[at+2:])
	if block == "" || !strings.HasSuffix(block, "\n") {
		return Note{}, invalid("signature block does not end in a newline")
	}
	for _, l := range strings.Split(strings.TrimSuffix(block, "\n"), "\n") {
		s, err := parseSigLine(l)
		if err != nil {
			return Note{}, err
		}
		for _, other := range n.sigs {
			if other.name == s.name && bytes.Equal(other.sig[:keyHashLen], s.sig[:keyHashLen]) {
				return Note{}, invalid("two signatures by %s", s.name)
			}
		}
		n.sigs = append(n.sigs, s)
	}
	if len(n.sigs) > maxSigs {
		return Note{}, invalid("%d signatures, at most %d", len(n.sigs), maxSigs)
	}
	return n, nil
}

// parseSigLine reads "— name base64(key hash ‖ signature)".
func parseSigLine(l string) (sigLine, error) {
	rest, ok := strings.CutPrefix(l, sigMark)
	if !ok {
		return sigLine{}, invalid("signature line without its mark")
	}
	name, b64, ok := strings.Cut(rest, " ")
	if !ok || !isName(name) {
		return sigLine{}, invalid("signature line without a name")
	}
	sig, err := decodeB64(b64)
	if err != nil {
		return sigLine{}, err
	}
	if len(sig) <= keyHashLen {
		return sigLine{}, invalid("signature of %d bytes", len(sig))
	}
	return sigLine{name: name, sig: sig}, nil
}

// parseText splits the signed text into its type and lines and holds them
// against the layout of the type.
func (n *Note) parseText() error {
	if len(n.Text) > MaxText {
		return invalid("text of %d bytes, at most %d", len(n.Text), MaxText)
	}
	rows := strings.Split(strings.TrimSuffix(string(n.Text), "\n"), "\n")
	noteType, ok := strings.CutPrefix(rows[0], textPrefix)
	if !ok {
		return invalid("text does not begin with %q", strings.TrimSpace(textPrefix))
	}
	layout, ok := layoutOf(noteType)
	if !ok {
		return invalid("unknown type %q", noteType)
	}
	n.Type = noteType
	for _, row := range rows[1:] {
		key, value, ok := strings.Cut(row, " ")
		if !ok || !isKey(key) || !isValue(value) {
			return invalid("%s: line %q", noteType, row)
		}
		n.lines = append(n.lines, line{key, value})
	}
	return checkLayout(n.Type, layout, n.lines)
}

// Encode writes the note from its parsed parts. It gives Raw, byte for byte:
// a note has one form.
func (n Note) Encode() []byte {
	out := append(bytes.Clone(n.Text), '\n')
	for _, s := range n.sigs {
		out = append(out, sigMark+s.name+" "+latchkey.B64(s.sig)+"\n"...)
	}
	return out
}

// Hash is H(text), which identifies the note.
func (n Note) Hash() latchkey.Hash { return TextHash(n.Text) }

// Verify checks the signature line of pub over the received text. A missing
// line or a wrong signature is latchkey.ErrVerify; lines of other keys or
// algorithms are ignored.
func (n Note) Verify(pub ed25519.PublicKey) error {
	if len(pub) != ed25519.PublicKeySize {
		return fmt.Errorf("chain: verify %s: %w", n.Type, invalid("key of %d bytes", len(pub)))
	}
	name := signerNameOf(pub)
	hash := keyHash(name, pub)
	for _, s := range n.sigs {
		if s.name != name || !bytes.Equal(s.sig[:keyHashLen], hash) {
			continue
		}
		sig := s.sig[keyHashLen:]
		if smallOrder(pub) || len(sig) != ed25519.SignatureSize || smallOrder(sig[:ed25519.PublicKeySize]) || !ed25519.Verify(pub, n.Text, sig) {
			return fmt.Errorf("chain: verify %s: %w: signature by %s", n.Type, latchkey.ErrVerify, name)
		}
		return nil
	}
	return fmt.Errorf("chain: verify %s: %w: not signed by %s", n.Type, latchkey.ErrVerify, name)
}

// smallOrderY are the y coordinates of the Ed25519 points of small order, in
// every encoding of 255 bits.
const smallOrderY = "0000000000000000000000000000000000000000000000000000000000000000" +
	"0100000000000000000000000000000000000000000000000000000000000000" +
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05" +
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a" +
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f" +
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f" +
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"

// smallOrder reports whether 32 bytes encode a point of small order. As a key,
// anybody can sign for one; as part of a signature, implementations differ in
// whether they take it, and a chain must not split on that.
func smallOrder(point []byte) bool {
	y := bytes.Clone(point)
	y[len(y)-1] &= 0x7f // the sign of x
	for at := 0; at < len(smallOrderY); at += 2 * len(y) {
		if smallOrderY[at:at+2*len(y)] == hex.EncodeToString(y) {
			return true
		}
	}
	return false
}

// VKey is the C2SP verifier key string of an Ed25519 key under a name:
// name+hash+base64(0x01 ‖ key).
func VKey(name string, pub ed25519.PublicKey) string {
	return name + "+" + hex.EncodeToString(keyHash(name, pub)) + "+" + latchkey.B64(append([]byte{algEd25519}, pub...))
}

// ParseVKey reads a verifier key string, strictly.
func ParseVKey(vkey string) (name string, pub ed25519.PublicKey, err error) {
	name, rest, _ := strings.Cut(vkey, "+")
	hash, b64, ok := strings.Cut(rest, "+")
	if !ok || !isName(name) {
		return "", nil, fmt.Errorf("chain: parse vkey: %w", invalid("not name+hash+key"))
	}
	key, err := decodeB64(b64)
	if err != nil {
		return "", nil, fmt.Errorf("chain: parse vkey: %w", err)
	}
	if len(key) != 1+ed25519.PublicKeySize || key[0] != algEd25519 || hash != hex.EncodeToString(keyHash(name, key[1:])) {
		return "", nil, fmt.Errorf("chain: parse vkey: %w", invalid("not an Ed25519 key with its hash"))
	}
	return name, key[1:], nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", latchkey.ErrInvalid, fmt.Sprintf(format, args...))
}

// decodeB64 reads canonical padded base64. Go's decoder skips newlines and
// tolerates stray bits, so the result is encoded again and compared.
func decodeB64(s string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || latchkey.B64(b) != s {
		return nil, invalid("not canonical base64")
	}
	return b, nil
}

// isKey reports whether s is 1*(a-z).
func isKey(s string) bool {
	for _, c := range []byte(s) {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return s != ""
}

// isValue reports whether s may be a value: UTF-8 without control characters
// or outer spaces, not empty.
func isValue(s string) bool {
	return s != "" && s[0] != ' ' && s[len(s)-1] != ' ' && isText(s)
}

// isText reports whether s is UTF-8 without control characters.
func isText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < 0x20 || (r >= 0x7f && r < 0xa0) {
			return false
		}
	}
	return true
}

// isName reports whether s can name a signer: 1 to 255 visible ASCII
// characters without a plus sign (C2SP allows more of Unicode; we do not need it).
func isName(s string) bool { return isToken(s) && !strings.Contains(s, "+") }

// isToken reports whether s is 1 to 255 visible ASCII characters.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= 0x20 || c >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= 255
}
