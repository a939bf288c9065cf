package chain_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/testkit"
)

// seedNotes adds every note of the vectors, good and bad.
func seedNotes(f *testing.F) testkit.Statements {
	var statements testkit.Statements
	testkit.Load(f, "statements", &statements)
	for _, s := range statements.Chain {
		f.Add([]byte(s.Note))
	}
	for _, r := range statements.Reject {
		f.Add([]byte(r.Note))
	}
	f.Add([]byte(statements.Grant.Note))
	var notes testkit.Notes
	testkit.Load(f, "notes", &notes)
	f.Add([]byte(notes.Extra))
	for _, r := range notes.Rejects {
		f.Add([]byte(r.Bytes))
	}
	var epoch testkit.Epoch
	testkit.Load(f, "epoch", &epoch)
	var heads testkit.Heads
	testkit.Load(f, "heads", &heads)
	var login testkit.Login
	testkit.Load(f, "login", &login)
	var command testkit.Command
	testkit.Load(f, "command", &command)
	var contact testkit.Contact
	testkit.Load(f, "contact", &contact)
	f.Add([]byte(contact.ShareNotes[0].Note))
	f.Add([]byte(contact.ClaimNote.Note))
	if text, err := (chain.Heard{Time: 1}).Text(); err == nil {
		f.Add(chain.SignNote(text, newSigner(make([]byte, 32))))
	}
	var desk testkit.Desk
	testkit.Load(f, "desk", &desk)
	for _, s := range desk.Chain {
		f.Add([]byte(s.Note))
	}
	for _, r := range desk.Reject {
		f.Add([]byte(r.Note))
	}
	var directory testkit.Directory
	testkit.Load(f, "directory", &directory)
	for _, list := range [][]testkit.RejectedNote{epoch.Rejects, heads.Rejects, login.Rejects, command.Rejects, directory.Rejects, directory.Refused, contact.Rejects, desk.RejectOpening, desk.RejectDesk, desk.RejectLetters} {
		for _, r := range list {
			f.Add([]byte(r.Note))
		}
	}
	for _, n := range []testkit.NoteVector{epoch.Note, epoch.First, heads.Note, login.Note, command.Note, directory.Note, desk.Opening, desk.Desk, desk.Applicant, desk.Message, desk.Health} {
		f.Add([]byte(n.Note))
	}
	return statements
}

// encode parses the values of a note and writes its text again; false if the
// note has no values that this version reads.
func encode(n chain.Note) ([]byte, error, bool) {
	switch n.Type {
	case chain.TypeEpoch:
		v, err := chain.ParseEpochNote(n)
		return textOf(v, err)
	case chain.TypeHeads:
		v, err := chain.ParseHeads(n)
		return textOf(v, err)
	case chain.TypeLogin:
		v, err := chain.ParseLogin(n)
		return textOf(v, err)
	case chain.TypeCommand:
		v, err := chain.ParseCommand(n)
		return textOf(v, err)
	case chain.TypeShare:
		v, err := chain.ParseShare(n)
		return textOf(v, err)
	case chain.TypeClaim:
		v, err := chain.ParseClaim(n)
		return textOf(v, err)
	case chain.TypeHeard:
		v, err := chain.ParseHeard(n)
		return textOf(v, err)
	case chain.TypeDirectory:
		v, err := chain.ParseDirectory(n)
		return textOf(v, err)
	case chain.TypeOpening:
		v, err := chain.ParseOpening(n)
		return textOf(v, err)
	case chain.TypeDesk:
		v, err := chain.ParseDesk(n)
		return textOf(v, err)
	case chain.TypeApplicant:
		v, err := chain.ParseApplicant(n)
		return textOf(v, err)
	case chain.TypeMessage:
		v, err := chain.ParseMessage(n)
		return textOf(v, err)
	case chain.TypeHealth:
		v, err := chain.ParseHealth(n)
		return textOf(v, err)
	}
	v, err := chain.ParseStatement(n)
	return textOf(v, err)
}

func textOf(v interface{ Text() ([]byte, error) }, err error) ([]byte, error, bool) {
	if err != nil {
		return nil, nil, false
	}
	text, err := v.Text()
	return text, err, true
}

// FuzzNote: what parses has its bytes back, container and text.
func FuzzNote(f *testing.F) {
	seedNotes(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := chain.ParseNote(raw)
		if err != nil {
			return
		}
		if again := n.Encode(); !bytes.Equal(again, raw) {
			t.Fatalf("%q encodes to %q", raw, again)
		}
		if text, err, ok := encode(n); ok && (err != nil || !bytes.Equal(text, n.Text)) {
			t.Fatalf("text %q encodes to %q, %v", n.Text, text, err)
		}
	})
}

// FuzzApply: a note is refused without a trace, or moves the chain by one.
func FuzzApply(f *testing.F) {
	v := seedNotes(f)
	states := statesOf(f, v)
	dumps := make([]string, len(states))
	for i, s := range states {
		dumps[i] = dump(s)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, err := chain.ParseNote(raw)
		if err != nil {
			return
		}
		st, err := chain.ParseStatement(n)
		if err != nil {
			return
		}
		for i, s := range states {
			next, err := chain.Apply(s, n, v.Now)
			if err == nil && i > 0 && (next.Seq != s.Seq+1 || next.Household != s.Household) {
				t.Fatalf("%q moves the chain from %d to %d", raw, s.Seq, next.Seq)
			}
			if st.Common().Seq != s.Seq+1 && i > 0 {
				continue // refused before anything of s was looked at
			}
			if diff := cmp.Diff(dumps[i], dump(s)); diff != "" {
				t.Fatalf("%q changed the state before:\n%s", raw, diff)
			}
		}
	})
}

// FuzzOverlay: what an overlay takes reads back, and takes away only.
func FuzzOverlay(f *testing.F) {
	var v testkit.Overlay
	testkit.Load(f, "overlay", &v)
	for _, c := range v.Cases {
		for _, step := range c.Steps {
			f.Add([]byte(step.Apply + step.Early))
		}
	}
	s := replayStrings(f, v.Chain, v.Now)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if o, err := chain.ParseOverlay([][]byte{raw}); err == nil && !bytes.Equal(o.Notes()[0], raw) {
			t.Fatalf("%q reads back as %q", raw, o.Notes())
		}
		n, err := chain.ParseNote(raw)
		if err != nil {
			return
		}
		o, err := chain.Overlay{}.Add(s, n, v.Now)
		if err != nil {
			return
		}
		if _, err := chain.ParseOverlay(o.Notes()); err != nil || len(s.Under(o).Members) > len(s.Members) {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}

func FuzzVKey(f *testing.F) {
	var v testkit.Statements
	testkit.Load(f, "statements", &v)
	f.Add(v.Grant.VKey)
	f.Add("latchkey.example+00000000+AAAA")
	f.Add("a+b")
	f.Fuzz(func(t *testing.T, s string) {
		name, pub, err := chain.ParseVKey(s)
		if err != nil {
			return
		}
		if again := chain.VKey(name, pub); again != s {
			t.Fatalf("%q encodes to %q", s, again)
		}
	})
}
