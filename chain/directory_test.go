package chain_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

func directoryOf(h *house, by person, names chain.Names) chain.Directory {
	return chain.Directory{Household: h.s.Household, By: by.kid(), N: 3, Time: testNow, Names: names}
}

func (h *house) directory(by, signer person, d chain.Directory) chain.Note {
	h.t.Helper()
	d.By = by.kid()
	text, err := d.Text()
	if err != nil {
		h.t.Fatal(err)
	}
	return mustParse(h.t, chain.SignNote(text, signer.ed))
}

func TestOpenDirectory(t *testing.T) {
	h := newHouse(t)
	ann, bob := newPerson("ann"), newPerson("bob")
	h.do(ann, bob.as(chain.RoleMember, false))
	d := directoryOf(h, ann, chain.Names{
		Household: `Lindenstraße "9" \ Süd`, People: map[latchkey.Kid]string{ann.kid(): "Ann", bob.kid(): "Bob 🦊\u2028"}, Hubs: map[latchkey.Kid]string{{1}: ""},
	})
	got, err := chain.OpenDirectory(h.directory(ann, ann, d), h.s)
	if err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("got %+v, %v", got, err)
	}
	foreign := d
	foreign.Household[0] ^= 1
	for name, c := range map[string]struct {
		n    chain.Note
		want error
	}{
		"signed by a member":   {h.directory(bob, bob, d), latchkey.ErrRefused},
		"signed by a stranger": {h.directory(newPerson("carl"), newPerson("carl"), d), latchkey.ErrRefused},
		"forged":               {h.directory(ann, bob, d), latchkey.ErrVerify},
		"another household":    {h.directory(ann, ann, foreign), latchkey.ErrConflict},
		"no directory":         {h.sign(ann, 1, idle), latchkey.ErrInvalid},
	} {
		if _, err := chain.OpenDirectory(c.n, h.s); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func TestDirectoryTextRefuses(t *testing.T) {
	h, ann := newHouse(t), newPerson("ann")
	many := map[latchkey.Kid]string{}
	for i := range 150 {
		many[latchkey.Kid{byte(i)}] = strings.Repeat("x", 200)
	}
	for name, names := range map[string]chain.Names{
		"201 bytes":         {Household: strings.Repeat("x", 201)},
		"control character": {People: map[latchkey.Kid]string{{}: "a\nb"}},
		"not UTF-8":         {Hubs: map[latchkey.Kid]string{{}: "\xff"}},
		"more than 32 KiB":  {People: many},
	} {
		if _, err := directoryOf(h, ann, names).Text(); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// T3 for names of any characters.
func TestDirectoryRoundTrip(t *testing.T) {
	h, ann := newHouse(t), newPerson("ann")
	name := rapid.StringMatching(`[^\x00-\x1f\x7f-\x{9f}]{0,40}`)
	kids := rapid.Custom(func(t *rapid.T) latchkey.Kid { return latchkey.Kid{rapid.Byte().Draw(t, "kid")} })
	rapid.Check(t, func(t *rapid.T) {
		d := directoryOf(h, ann, chain.Names{Household: name.Draw(t, "household"), People: rapid.MapOfN(kids, name, 0, 5).Draw(t, "people"), Hubs: rapid.MapOfN(kids, name, 0, 2).Draw(t, "hubs")})
		text, err := d.Text()
		if err != nil {
			t.Fatal(err)
		}
		n, err := chain.ParseNote(chain.SignNote(text, ann.ed))
		if err != nil {
			t.Fatal(err)
		}
		got, err := chain.ParseDirectory(n)
		if err != nil || !reflect.DeepEqual(got, d) {
			t.Fatalf("got %+v, %v", got, err)
		}
		if again, err := got.Text(); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("encodes again to %s, %v", again, err)
		}
	})
}
