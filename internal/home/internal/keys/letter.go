package keys

import (
	"fmt"

	"latchkey.dev/latchkey"
)

const (
	letterMagic = "LKS1"
	// MaxLabel is the length of a device's or passkey's label, in bytes of UTF-8.
	MaxLabel = 120
)

// SealLetter seals something to a member's X-Wing key, for him alone to read:
// "LKS1" ‖ kid(16) ‖ enc(1120) ‖ ct (spec/keys, "Letters"). It says nothing of
// who wrote it: whoever needs to know puts a signed note inside.
func SealLetter(household latchkey.HouseholdID, pub, plain []byte) ([]byte, error) {
	return seal(letterMagic, pub, letterInfo(household), plain)
}

// OpenLetter opens an LKS1 object made for this key and household; anything
// else is latchkey.ErrVerify.
func (s *Sealing) OpenLetter(household latchkey.HouseholdID, sealed []byte) ([]byte, error) {
	return s.open(letterMagic, letterInfo(household), sealed)
}

// OpenLetter opens an LKS1 object with whichever of a member's keys it was
// sealed to: the current one, or one from before a rekey.
func OpenLetter(boxes []*Sealing, household latchkey.HouseholdID, sealed []byte) ([]byte, error) {
	kid, err := LetterKid(sealed)
	if err != nil {
		return nil, err
	}
	for _, box := range boxes {
		if box.Kid() == kid {
			return box.OpenLetter(household, sealed)
		}
	}
	return nil, fmt.Errorf("keys: open letter: %w: sealed to %v, a key that is not here", latchkey.ErrVerify, kid)
}

// LetterKid reads which X-Wing key an LKS1 object is sealed to (latchkey.ErrInvalid).
func LetterKid(sealed []byte) (latchkey.Kid, error) { return sealedKid(letterMagic, sealed) }

func letterInfo(household latchkey.HouseholdID) []byte {
	return append([]byte("latchkey/v1 letter\x00"), household[:]...)
}
