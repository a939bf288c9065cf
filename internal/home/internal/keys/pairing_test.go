package keys

import (
	"bytes"
	"errors"
	"testing"

	"latchkey.dev/latchkey"
)

func TestPairing(t *testing.T) {
	code := NewCode()
	sign, box := NewSigning(), NewSealing()
	for name, offer := range map[string]Offer{
		"hub":    NewOffer(RoleHub, sign, box, nil),
		"member": NewOffer(RoleMember, sign, box, NewCode().RecoverySign().Public()),
	} {
		t.Run(name, func(t *testing.T) {
			mail, err := code.SealOffer(offer)
			if err != nil {
				t.Fatal(err)
			}
			got, err := code.OpenOffer(mail)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Ed, sign.Public()) || !bytes.Equal(got.X, box.Public()) || got.Nonce != offer.Nonce || !bytes.Equal(got.Recovery, offer.Recovery) {
				t.Error("the offer changed on its way")
			}
			want := Answer{Household: latchkey.HouseholdID{1}, Seq: 7, Hash: latchkey.Hash{2}}
			answer, err := code.SealAnswer(got, want)
			if err != nil {
				t.Fatal(err)
			}
			if a, err := code.OpenAnswer(offer, answer); err != nil || a != want {
				t.Errorf("the answer reads %v, %v", a, err)
			}
			pairingRefusals(t, code, offer, mail, answer)
		})
	}
}

// pairingRefusals checks that changed bytes and other codes are refused.
func pairingRefusals(t *testing.T, code Code, offer Offer, mail, answer []byte) {
	t.Helper()
	if _, err := NewCode().OpenOffer(mail); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("another code opens the offer: %v", err)
	}
	if _, err := NewCode().OpenAnswer(offer, answer); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("another code opens the answer: %v", err)
	}
	other := offer
	other.Nonce[0] ^= 1
	if _, err := code.OpenAnswer(other, answer); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("the answer to another offer is taken: %v", err)
	}
	for i := range mail {
		bad := append([]byte(nil), mail...)
		bad[i] ^= 0x10
		if _, err := code.OpenOffer(bad); err == nil {
			t.Fatalf("offer with byte %d changed is taken", i)
		}
	}
	for i := range answer {
		bad := append([]byte(nil), answer...)
		bad[i] ^= 0x10
		if _, err := code.OpenAnswer(offer, bad); err == nil {
			t.Fatalf("answer with byte %d changed is taken", i)
		}
	}
}

func TestOfferRoles(t *testing.T) {
	sign, box := NewSigning(), NewSealing()
	recovery := NewSigning().Public()
	for name, o := range map[string]Offer{
		"hub with recovery":       NewOffer(RoleHub, sign, box, recovery),
		"member without recovery": NewOffer(RoleMember, sign, box, nil),
		"role 0":                  NewOffer(0, sign, box, nil),
		"role 3":                  NewOffer(3, sign, box, recovery),
		"short ed":                {Role: RoleHub, Ed: sign.Public()[:31], X: append([]byte{1}, box.Public()...)},
	} {
		if _, err := NewCode().SealOffer(o); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSafetyCode(t *testing.T) {
	sign, box := NewSigning(), NewSealing()
	a := SafetyCode(latchkey.HouseholdID{1}, sign.Public(), box.Public())
	if len(a) != 24 {
		t.Errorf("%q has not 24 digits", a)
	}
	if a == SafetyCode(latchkey.HouseholdID{2}, sign.Public(), box.Public()) ||
		a == SafetyCode(latchkey.HouseholdID{1}, NewSigning().Public(), box.Public()) {
		t.Error("another household or key has the same code")
	}
}

func FuzzOffer(f *testing.F) {
	sign, box := NewSigning(), NewSealing()
	for _, o := range []Offer{NewOffer(RoleHub, sign, box, nil), NewOffer(RoleMember, sign, box, sign.Public())} {
		b, err := o.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ParseOffer(b)
		if err != nil {
			return
		}
		if again, err := o.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("offer encodes to other bytes: %v", err)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(Answer{Seq: 3}.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := ParseAnswer(b); err == nil && !bytes.Equal(a.Marshal(), b) {
			t.Fatal("answer encodes to other bytes")
		}
	})
}
