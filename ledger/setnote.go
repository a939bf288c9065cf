package ledger

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
)

// SetNote is the public statement that a log of some size holds this set. The
// operator signs it, auditors who have recomputed it add their lines.
type SetNote struct {
	Origin string
	Size   int64 // entries folded
	Count  int64 // tags
	Root   latchkey.Hash
	Time   time.Time // whole seconds
}

const setType = notePrefix + "set\n"

// Text returns what is signed.
func (s SetNote) Text() string {
	return fmt.Sprintf("%sorigin %s\nsize %d\ncount %d\nroot %s\ntime %d\n", setType, s.Origin, s.Size, s.Count, latchkey.B64(s.Root[:]), s.Time.Unix())
}

// ParseSetNote reads the text of a set note strictly: it is what Text returns.
func ParseSetNote(text string) (SetNote, error) {
	rest, ok := strings.CutPrefix(text, setType)
	lines := strings.Split(rest, "\n")
	if !ok || len(lines) != 6 {
		return SetNote{}, invalid("set note", "want its type and five lines")
	}
	var values [5]string
	for i, key := range []string{"origin ", "size ", "count ", "root ", "time "} {
		if values[i], ok = strings.CutPrefix(lines[i], key); !ok {
			return SetNote{}, invalid("set note", "line %q, want %q", lines[i], key)
		}
	}
	size, sized := number(values[1])
	count, counted := number(values[2])
	unix, timed := number(values[4])
	s := SetNote{Origin: values[0], Size: size, Count: count, Time: time.Unix(unix, 0)}
	root, _ := base64.StdEncoding.DecodeString(values[3])
	copy(s.Root[:], root)
	if s.Origin == "" || !sized || !counted || !timed || s.Text() != text {
		return SetNote{}, invalid("set note", "a value is not in its one form")
	}
	return s, nil
}

// Set reads a signed set note and holds it against the policy: signed by the
// operator, of this log, and vouched for by one auditor if there are any.
func (p *Policy) Set(raw []byte) (SetNote, error) {
	verifiers := []note.Verifier{p.Operator.verifier}
	for _, a := range p.Auditors {
		verifiers = append(verifiers, a.verifier)
	}
	n, err := openNote("set note", raw, verifiers)
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
	if !signedBy(n, p.Operator.verifier) {
		return SetNote{}, broken("set note", "the operator has not signed it")
	}
	for _, a := range p.Auditors {
		if signedBy(n, a.verifier) {
			return s, nil
		}
	}
	if len(p.Auditors) > 0 {
		return SetNote{}, broken("set note", "no auditor vouches for it")
	}
	return s, nil
}

// SetEntry is the log's entry for a set note: the note as the operator alone had
// signed it. Auditors' lines come after.
func (p *Policy) SetEntry(raw []byte) ([]byte, error) {
	n, err := openNote("set note", raw, []note.Verifier{p.Operator.verifier})
	if err != nil {
		return nil, err
	}
	s, ok := signatureBy(n, p.Operator.verifier)
	if !ok {
		return nil, broken("set note", "the operator has not signed it")
	}
	return Entry{Note: []byte(n.Text + "\n— " + s.Name + " " + s.Base64 + "\n")}.Encode(), nil
}

// MergeSet joins the signatures of two notes of one set that the policy knows.
// Notes of different sets are latchkey.ErrConflict.
func (p *Policy) MergeSet(a, b []byte) ([]byte, error) {
	verifiers := []note.Verifier{p.Operator.verifier}
	for _, auditor := range p.Auditors {
		verifiers = append(verifiers, auditor.verifier)
	}
	first, err := openNote("set note", a, verifiers)
	if err != nil {
		return nil, err
	}
	second, err := openNote("set note", b, verifiers)
	if err != nil {
		return nil, err
	}
	if first.Text != second.Text {
		return nil, fmt.Errorf("ledger: set note: %w: two sets", latchkey.ErrConflict)
	}
	merged := &note.Note{Text: first.Text, Sigs: first.Sigs}
	for _, s := range second.Sigs {
		if !slices.ContainsFunc(merged.Sigs, func(o note.Signature) bool { return o.Name == s.Name && o.Hash == s.Hash }) {
			merged.Sigs = append(merged.Sigs, s)
		}
	}
	return note.Sign(merged)
}
