package ledger

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"latchkey.dev/latchkey"
)

// setScan bounds how many entries are searched for a set note, in bundles: a log
// publishes one seconds after a statement, and every hour.
const setScan = 16

// NamedSet proves that a set note stands in a log that somebody else has named
// by size and root, as a hub does in its heads: the newest one of the last 4,096
// entries. The proof's checkpoint is the text of that log's, which nobody has
// signed; its extra data is the entry. Without a set note it is
// latchkey.ErrNotFound; a root that is not this log's is latchkey.ErrVerify.
func (l *Log) NamedSet(ctx context.Context, size int64, root latchkey.Hash) (Proof, error) {
	named := Checkpoint{Origin: l.policy.Origin(), Size: size, Root: root, Raw: namedText(l.policy, size, root)}
	for n, end := (size-1)/tileWidth, setScan; size > 0 && n >= 0 && end > 0; n, end = n-1, end-1 {
		entries, err := l.bundle(ctx, named, n)
		if err != nil {
			return Proof{}, err
		}
		for i := len(entries) - 1; i >= 0; i-- {
			if _, err := l.policy.setOf(entries[i]); err != nil || len(entries[i]) > maxExtra {
				continue
			}
			p, err := l.Prove(ctx, named, n*tileWidth+int64(i))
			p.Extra = entries[i]
			return p, err
		}
	}
	return Proof{}, fmt.Errorf("ledger: set: %w: none in the newest entries of a log of %d", latchkey.ErrNotFound, size)
}

// CheckNamedSet checks a proof as NamedSet makes them: that the set note in its
// extra data, signed by the operator, stands in the log of that size and root.
// Whoever named that log did so after the set was made. What does not hold is
// latchkey.ErrVerify.
func (p Proof) CheckNamedSet(policy *Policy, size int64, root latchkey.Hash) (SetNote, error) {
	if !bytes.Equal(p.Checkpoint, namedText(policy, size, root)) {
		return SetNote{}, broken("set", "the proof is of another log than the one that is named, of %d entries", size)
	}
	if p.Index >= size {
		return SetNote{}, broken("set", "entry %d of a log of %d", p.Index, size)
	}
	hashes := make(tlog.RecordProof, len(p.Hashes))
	for i, h := range p.Hashes {
		hashes[i] = tlog.Hash(h)
	}
	if err := tlog.CheckRecord(hashes, size, tlog.Hash(root), p.Index, tlog.RecordHash(p.Extra)); err != nil {
		return SetNote{}, broken("set", "it is not in the log at %d", p.Index)
	}
	return policy.setOf(p.Extra)
}

// namedText is the text of a checkpoint.
func namedText(policy *Policy, size int64, root latchkey.Hash) []byte {
	return fmt.Appendf(nil, "%s\n%d\n%s\n", policy.Origin(), size, latchkey.B64(root[:]))
}

// setOf reads an entry of the log that is a set note of the operator's.
func (p *Policy) setOf(entry []byte) (SetNote, error) {
	e, err := ParseEntry(entry)
	if err != nil {
		return SetNote{}, err
	}
	if !strings.HasPrefix(string(e.Note), setType) {
		return SetNote{}, broken("set", "the entry is no set note")
	}
	n, err := openNote("set note", e.Note, []note.Verifier{p.Operator.verifier})
	if err != nil {
		return SetNote{}, err
	}
	s, err := ParseSetNote(n.Text)
	if err != nil {
		return SetNote{}, err
	}
	if s.Origin != p.Origin() {
		return SetNote{}, broken("set note", "it is of the log %q, not of %q", s.Origin, p.Origin())
	}
	return s, nil
}
