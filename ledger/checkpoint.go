package ledger

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"latchkey.dev/latchkey"
)

// ErrNotWitnessed is a checkpoint that fewer witnesses vouch for than the policy
// wants: of a log that is new, or of an operator who hides it from them. It is
// latchkey.ErrVerify.
var ErrNotWitnessed = fmt.Errorf("%w: fewer witnesses vouch for the log than the policy wants", latchkey.ErrVerify)

// Checkpoint is a log of one size, vouched for as its policy demands.
type Checkpoint struct {
	Origin string
	Size   int64 // entries
	Root   latchkey.Hash
	// Witnessed is the newest time at which a whole quorum had vouched for it; the
	// zero time under a policy without witnesses.
	Witnessed time.Time
	Raw       []byte // the signed note
}

// Checkpoint reads a signed checkpoint and holds it against the policy: the
// log's signature, its name, and the cosignatures of a quorum.
func (p *Policy) Checkpoint(raw []byte) (Checkpoint, error) {
	verifiers := []note.Verifier{p.Log.verifier}
	for _, w := range p.Witnesses {
		verifiers = append(verifiers, w.verifier)
	}
	n, err := openNote("checkpoint", raw, verifiers)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != p.Origin() {
		return Checkpoint{}, broken("checkpoint", "it is of the log %q, not of %q", c.Origin, p.Origin())
	}
	c.Raw = raw
	if !signedBy(n, p.Log.verifier) {
		return Checkpoint{}, broken("checkpoint", "the log has not signed it")
	}
	signed := map[int]time.Time{}
	for i, w := range p.Witnesses {
		if s, ok := signatureBy(n, w.verifier); ok {
			at, err := cosignature.CoSigV1Timestamp(s)
			if err != nil || at.Unix() < 0 || at.Unix() > maxNumber {
				return Checkpoint{}, broken("checkpoint", "the cosignature of %s has no time", w.Name)
			}
			signed[i] = at
		}
	}
	at, ok := p.witnessedAt(signed)
	if !ok {
		return Checkpoint{}, fmt.Errorf("ledger: checkpoint: %w: %d of %d witnesses", ErrNotWitnessed, len(signed), len(p.Witnesses))
	}
	c.Witnessed = at
	return c, nil
}

// ParseCheckpoint reads the text of a checkpoint whose signatures somebody
// else has checked: origin, size, root, and lines that are passed over.
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[0] == "" || lines[len(lines)-1] != "" {
		return Checkpoint{}, invalid("checkpoint", "want a name, a size and a root, each on a line")
	}
	c := Checkpoint{Origin: lines[0]}
	size, ok := number(lines[1])
	if !ok {
		return Checkpoint{}, invalid("checkpoint", "size %q", lines[1])
	}
	c.Size = size
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != len(c.Root) || latchkey.B64(root) != lines[2] {
		return Checkpoint{}, invalid("checkpoint", "root %q", lines[2])
	}
	c.Root = latchkey.Hash(root)
	for _, l := range lines[3 : len(lines)-1] {
		if l == "" {
			return Checkpoint{}, invalid("checkpoint", "an empty line in its text")
		}
	}
	return c, nil
}

func (c Checkpoint) tree() tlog.Tree { return tlog.Tree{N: c.Size, Hash: tlog.Hash(c.Root)} }

// MaxNote bounds a note with its signatures, in bytes.
const MaxNote = 1 << 16

// openNote opens a note that at least one of the verifiers has signed. A
// signature by one of them that does not hold spoils all of it.
func openNote(what string, raw []byte, verifiers []note.Verifier) (*note.Note, error) {
	if len(raw) > MaxNote {
		return nil, invalid(what, "%d bytes, at most %d", len(raw), MaxNote)
	}
	n, err := note.Open(raw, note.VerifierList(verifiers...))
	if err != nil {
		return nil, broken(what, "%v", err)
	}
	return n, nil
}

func signatureBy(n *note.Note, v note.Verifier) (note.Signature, bool) {
	for _, s := range n.Sigs {
		if s.Name == v.Name() && s.Hash == v.KeyHash() {
			return s, true
		}
	}
	return note.Signature{}, false
}

func signedBy(n *note.Note, v note.Verifier) bool {
	_, ok := signatureBy(n, v)
	return ok
}
