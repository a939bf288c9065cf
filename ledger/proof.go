package ledger

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"latchkey.dev/latchkey"
)

// Proof is a C2SP tlog-proof: that an entry stands in the log of a checkpoint.
type Proof struct {
	Extra      []byte // what a verifier needs besides, for instance the tag; may be empty
	Index      int64
	Hashes     []latchkey.Hash
	Checkpoint []byte // signed note
}

const (
	proofHead = "c2sp.org/tlog-proof@v1"
	maxExtra  = 1 << 12
	maxHashes = 63
)

// Encode returns the text form of c2sp.org/tlog-proof.
func (p Proof) Encode() []byte {
	var b bytes.Buffer
	b.WriteString(proofHead + "\n")
	if len(p.Extra) > 0 {
		fmt.Fprintf(&b, "extra %s\n", latchkey.B64(p.Extra))
	}
	fmt.Fprintf(&b, "index %d\n", p.Index)
	for _, h := range p.Hashes {
		b.WriteString(latchkey.B64(h[:]) + "\n")
	}
	b.WriteByte('\n')
	b.Write(p.Checkpoint)
	return b.Bytes()
}

// ParseProof reads the form of Encode strictly. The checkpoint is not read yet.
func ParseProof(b []byte) (Proof, error) {
	head, checkpoint, ok := strings.Cut(string(b), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(b) > 2*MaxNote || len(lines) < 2 || lines[0] != proofHead {
		return Proof{}, invalid("proof", "it does not begin with %s, index and hashes", proofHead)
	}
	p := Proof{Checkpoint: []byte(checkpoint)}
	lines = lines[1:]
	if extra, ok := strings.CutPrefix(lines[0], "extra "); ok {
		p.Extra, _ = base64.StdEncoding.DecodeString(extra)
		lines = lines[1:]
	}
	if len(lines) == 0 {
		return Proof{}, invalid("proof", "no index")
	}
	if p.Index, ok = number(strings.TrimPrefix(lines[0], "index ")); !ok {
		return Proof{}, invalid("proof", "no index")
	}
	for _, l := range lines[1:] {
		h, _ := base64.StdEncoding.DecodeString(l)
		if len(h) != latchkey.HashSize {
			return Proof{}, invalid("proof", "%q is no hash", l)
		}
		p.Hashes = append(p.Hashes, latchkey.Hash(h))
	}
	if len(p.Extra) > maxExtra || len(p.Hashes) > maxHashes || !bytes.Equal(p.Encode(), b) {
		return Proof{}, invalid("proof", "a value is too large, or not in its one form")
	}
	return p, nil
}

// Check holds the proof against the policy: the entry stands in a log that is
// vouched for.
func (p Proof) Check(policy *Policy, entry []byte) (Checkpoint, error) {
	c, err := policy.Checkpoint(p.Checkpoint)
	if err != nil {
		return Checkpoint{}, err
	}
	hashes := make(tlog.RecordProof, len(p.Hashes))
	for i, h := range p.Hashes {
		hashes[i] = tlog.Hash(h)
	}
	if p.Index >= c.Size {
		return Checkpoint{}, broken("proof", "entry %d of a log of %d", p.Index, c.Size)
	}
	if err := tlog.CheckRecord(hashes, c.Size, tlog.Hash(c.Root), p.Index, tlog.RecordHash(entry)); err != nil {
		return Checkpoint{}, broken("proof", "the entry is not in the log at %d", p.Index)
	}
	return c, nil
}
