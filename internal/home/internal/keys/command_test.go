package keys

import (
	"bytes"
	"errors"
	"testing"

	"latchkey.dev/latchkey"
)

func TestCommand(t *testing.T) {
	hub, household, note := NewSealing(), latchkey.HouseholdID{5}, []byte("latchkey/v1 command\n…")
	sealed, err := SealCommand(household, hub.Public(), note)
	if err != nil {
		t.Fatal(err)
	}
	got, err := hub.OpenCommand(household, sealed)
	if err != nil || !bytes.Equal(got, note) {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := hub.OpenCommand(latchkey.HouseholdID{6}, sealed); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("another household: %v", err)
	}
	if _, err := NewSealing().OpenCommand(household, sealed); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("another hub: %v", err)
	}
	for i := 0; i < len(sealed); i += 5 {
		bad := bytes.Clone(sealed)
		bad[i] ^= 0x40
		if _, err := hub.OpenCommand(household, bad); err == nil {
			t.Fatalf("opens with byte %d changed", i)
		}
	}
	if _, err := SealCommand(household, hub.Public()[:1215], note); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("short key: %v", err)
	}
}

func FuzzCommandOpen(f *testing.F) {
	hub, household := NewSealing(), latchkey.HouseholdID{5}
	sealed, err := SealCommand(household, hub.Public(), []byte("note"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:len(sealed)-17])
	f.Fuzz(func(t *testing.T, b []byte) {
		if note, err := hub.OpenCommand(household, b); err == nil && !bytes.Equal(b, sealed) {
			t.Fatalf("other bytes open to %q", note)
		}
		kid, err := CommandKid(b)
		if err == nil && !bytes.Equal(kid[:], b[4:20]) {
			t.Fatal("kid is read from elsewhere")
		}
	})
}
