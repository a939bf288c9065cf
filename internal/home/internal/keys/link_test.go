package keys

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/testkit"
)

func TestSharedLink(t *testing.T) {
	b, err := os.ReadFile(testkit.Shared(t, "vectors", "protocol-v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Link struct {
			Secret, Fragment, Kid string
			MAC                   string `json:"mac_for_sha256_abc"`
		} `json:"link"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	l, err := ParseLink(v.Link.Fragment)
	if err != nil {
		t.Fatal(err)
	}
	kid := l.Kid()
	equalHex(t, "secret", l.secret.bytes()[:], v.Link.Secret)
	equalHex(t, "kid", kid[:], v.Link.Kid)
	equalHex(t, "mac", l.MAC(hashOf([]byte("abc"))), v.Link.MAC)
	if l.Reveal() != v.Link.Fragment {
		t.Error("another fragment")
	}
}

func TestLinkVectors(t *testing.T) {
	var v testkit.Link
	testkit.Load(t, "link", &v)
	l, err := ParseLink(v.Fragment)
	if err != nil {
		t.Fatal(err)
	}
	kid := l.Kid()
	same(t, "secret", l.secret.bytes()[:], v.Secret)
	same(t, "kid", kid[:], v.Kid)
	same(t, "x", l.Sealing().Public(), v.X)
	same(t, "mac", l.MAC(hashOf([]byte(v.Text))), v.MAC)
	if err := l.CheckMAC(hashOf([]byte(v.Text)), v.MAC); err != nil {
		t.Error(err)
	}
	person, err := ParseLink(v.Person)
	if err != nil || !person.ToPerson() || l.ToPerson() || person.Kid() != l.Kid() || person.Reveal() != v.Person {
		t.Errorf("a link to a person: %v", err)
	}
	card, err := ParseCard(v.Card)
	if err != nil || card.Digits() != v.Digits {
		t.Errorf("card: %v", err)
	}
	same(t, "card", card.X, v.X)
	for _, w := range v.Words {
		got, err := l.OpenWords(w.Sealed)
		want := LinkWords{w.From, w.Camera, w.Note, w.Zone, latchkey.Hash(w.Policy)}
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", w.JSON, got, err)
		}
		plain, err := want.marshal()
		if err != nil || string(plain) != w.JSON {
			t.Errorf("%q: marshals to %s, %v", w.JSON, plain, err)
		}
		head := append([]byte(nil), w.Sealed[:wordsHead]...)
		same(t, "words", l.sealWords(head, plain), w.Sealed)
	}
	for _, r := range v.Rejects {
		if w, err := l.OpenWords(r.Sealed); !errors.Is(err, latchkey.ErrInvalid) && !errors.Is(err, latchkey.ErrVerify) {
			t.Errorf("%s: %+v, %v", r.Name, w, err)
		}
	}
	for _, r := range v.Fragments {
		if _, err := ParseLink(r.Fragment); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %v", r.Name, err)
		}
	}
}

func TestLinkIsBound(t *testing.T) {
	l, other := NewLink(), NewLink()
	words := LinkWords{From: "Ann", Camera: "porch", Note: "look", Zone: "UTC", Policy: latchkey.Hash{1}}
	sealed, err := l.SealWords(words)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseLink(l.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.OpenWords(sealed); err != nil || got != words {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := other.OpenWords(sealed); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("another link opens the words: %v", err)
	}
	text := latchkey.Hash{7}
	for name, err := range map[string]error{
		"another link's": other.CheckMAC(text, l.MAC(text)), "of another text": l.CheckMAC(latchkey.Hash{8}, l.MAC(text)), "none": l.CheckMAC(text, nil),
	} {
		if !errors.Is(err, latchkey.ErrVerify) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, w := range map[string]LinkWords{
		"too long": {Note: strings.Repeat("a", maxWords)}, "a line end": {Note: "a\nb"}, "no UTF-8": {From: "\xff"}, "a separator": {Camera: "\u2029"},
	} {
		if _, err := l.SealWords(w); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzLinkFragment(f *testing.F) {
	f.Add("#LK1.gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8")
	f.Add("#LKP1.gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8")
	f.Add("#LK1.")
	f.Fuzz(func(t *testing.T, s string) {
		if l, err := ParseLink(s); err == nil && l.Reveal() != s {
			t.Fatal("two fragments for one link")
		}
	})
}

func FuzzCard(f *testing.F) {
	f.Add(Card{X: make([]byte, SealPublicSize)}.String())
	f.Add("LKCARD1.")
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseCard(s); err == nil && (c.String() != s || len(c.X) != SealPublicSize) {
			t.Fatal("two texts for one card")
		}
	})
}

func FuzzLinkWords(f *testing.F) {
	f.Add([]byte(`{"from":"Ann","camera":"porch","note":"","zone":"UTC","policy":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := parseWords(b)
		if err != nil {
			return
		}
		if again, err := w.marshal(); err != nil || string(again) != string(b) {
			t.Fatalf("words marshal to %q, %v", again, err)
		}
	})
}
