package keys

import (
	"bytes"
	"errors"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/testkit"
)

func TestVectorLetter(t *testing.T) {
	var v testkit.Letter
	testkit.Load(t, "letter", &v)
	box, household := sealing(t, v.XSeed), latchkey.HouseholdID(v.Household)
	got, err := box.OpenLetter(household, v.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "letter", got, []byte(v.Text))
	kid, err := LetterKid(v.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "kid", kid[:], v.Kid)
	if len(v.Unsealed) == 0 {
		t.Fatal("no vectors")
	}
	for _, r := range v.Unsealed {
		if _, err := box.OpenLetter(household, r.Bytes); err == nil {
			t.Errorf("%s: opens", r.Name)
		}
	}
}

func TestLetterIsBound(t *testing.T) {
	box, household := NewSealing(), latchkey.HouseholdID{5}
	sealed, err := SealLetter(household, box.Public(), []byte("Ann's phone"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenLetter([]*Sealing{NewSealing(), box}, household, sealed); err != nil || string(got) != "Ann's phone" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := OpenLetter([]*Sealing{NewSealing()}, household, sealed); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("without its key: %v", err)
	}
	if _, err := box.OpenLetter(latchkey.HouseholdID{6}, sealed); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("another household: %v", err)
	}
	for i := 0; i < len(sealed); i += 5 {
		bad := bytes.Clone(sealed)
		bad[i] ^= 0x40
		if _, err := box.OpenLetter(household, bad); err == nil {
			t.Fatalf("opens with byte %d changed", i)
		}
	}
	// One magic more or less must not turn one object into another.
	for _, magic := range []string{CapsuleMagic, commandMagic} {
		other := append([]byte(magic), sealed[4:]...)
		if _, err := box.OpenCommand(household, other); err == nil {
			t.Error("a letter opens as a command")
		}
		if _, err := box.OpenCapsule(household, [latchkey.IDSize]byte{}, other); err == nil {
			t.Error("a letter opens as a capsule")
		}
	}
}

func FuzzLetterOpen(f *testing.F) {
	box, household := NewSealing(), latchkey.HouseholdID{5}
	sealed, err := SealLetter(household, box.Public(), []byte("label"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:len(sealed)-17])
	f.Fuzz(func(t *testing.T, b []byte) {
		if plain, err := OpenLetter([]*Sealing{box}, household, b); err == nil && !bytes.Equal(b, sealed) {
			t.Fatalf("other bytes open to %q", plain)
		}
		kid, err := LetterKid(b)
		if err == nil && !bytes.Equal(kid[:], b[4:20]) {
			t.Fatal("kid is read from elsewhere")
		}
	})
}
