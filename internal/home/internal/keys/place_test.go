package keys

import (
	"errors"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/testkit"
)

func TestPlaceVectors(t *testing.T) {
	var v testkit.Place
	testkit.Load(t, "place", &v)
	code, err := ParseCode(v.Code)
	if err != nil {
		t.Fatal(err)
	}
	offer, err := ParseOffer(v.Offer)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range v.Places {
		b, err := code.SealPlace(offer, p.Origin)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "mail of "+p.Origin, b, p.Mail)
		if got, err := code.OpenPlace(offer, p.Mail); err != nil || got != p.Origin {
			t.Errorf("%s: opens to %q, %v", p.Origin, got, err)
		}
	}
	for _, r := range v.Rejects {
		if _, err := code.OpenPlace(offer, r.Mail); err == nil {
			t.Errorf("%s: taken", r.Name)
		}
	}
}

func TestPlaceIsBound(t *testing.T) {
	code := NewCode()
	offer, other := NewOffer(RoleHub, NewSigning(), NewSealing(), nil), NewOffer(RoleHub, NewSigning(), NewSealing(), nil)
	b, err := code.SealPlace(offer, "https://latchkey.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := code.OpenPlace(other, b); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("for another offer: %v", err)
	}
	if _, err := NewCode().OpenPlace(offer, b); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("with another code: %v", err)
	}
	for i := range b {
		bad := append([]byte(nil), b...)
		bad[i] ^= 0x10
		if _, err := code.OpenPlace(offer, bad); err == nil {
			t.Fatalf("byte %d changed: taken", i)
		}
	}
	for _, origin := range []string{"", "with space", "line\n", "ä", strings.Repeat("x", 256)} {
		if _, err := code.SealPlace(offer, origin); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

func FuzzPlace(f *testing.F) {
	f.Add([]byte("LKP1https://latchkey.example"))
	f.Add([]byte("LKP1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if origin, err := ParsePlace(b); err == nil && placeMagic+origin != string(b) {
			t.Fatal("place encodes to other bytes")
		}
	})
}
