package chain_test

import (
	"errors"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// TestOpenHeard: a receipt for removals counts only from a hub of the household.
func TestOpenHeard(t *testing.T) {
	h := newHouse(t)
	ann, attic, cellar := newPerson("ann"), newPerson("attic"), newPerson("cellar")
	h.do(ann, func(head chain.Head) chain.Statement {
		return chain.AddHub{Head: head, Ed: attic.ed.Public(), X: attic.x}
	})
	note := func(by, signer person, change func(*chain.Heard)) chain.Note {
		t.Helper()
		d := chain.Heard{Household: h.s.Household, By: by.kid(), Removals: chain.TextHash([]byte("removals")), Time: testNow}
		change(&d)
		text, err := d.Text()
		if err != nil {
			t.Fatal(err)
		}
		return mustParse(t, chain.SignNote(text, signer.ed))
	}
	as := func(*chain.Heard) {}
	got, err := chain.OpenHeard(note(attic, attic, as), h.s)
	if want := (chain.Heard{Household: h.s.Household, By: attic.kid(), Removals: chain.TextHash([]byte("removals")), Time: testNow}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		n    chain.Note
		want error
	}{
		"signed by a member":       {note(ann, ann, as), latchkey.ErrRefused},
		"signed by a stranger":     {note(cellar, cellar, as), latchkey.ErrRefused},
		"forged":                   {note(attic, cellar, as), latchkey.ErrVerify},
		"of another household":     {note(attic, attic, func(d *chain.Heard) { d.Household[0] ^= 1 }), latchkey.ErrRefused},
		"a note of something else": {h.sign(ann, 1, idle), latchkey.ErrInvalid},
	} {
		if _, err := chain.OpenHeard(c.n, h.s); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}
