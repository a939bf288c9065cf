package keys

import (
	"latchkey.dev/latchkey"
)

const commandMagic = "LKX1"

// SealCommand seals a signed command note to a hub's X-Wing key:
// "LKX1" ‖ kid(16) ‖ enc(1120) ‖ ct (protocol 2.13). The server carries it
// and learns its length only.
func SealCommand(household latchkey.HouseholdID, hubX, note []byte) ([]byte, error) {
	return seal(commandMagic, hubX, commandInfo(household), note)
}

// OpenCommand returns the signed note inside an LKX1 object made for this key
// and household. Everything in the note is still to be checked: signer, role,
// time, nonce. Another recipient or household is latchkey.ErrVerify.
func (s *Sealing) OpenCommand(household latchkey.HouseholdID, sealed []byte) ([]byte, error) {
	return s.open(commandMagic, commandInfo(household), sealed)
}

// CommandKid reads which X-Wing key an LKX1 object is sealed to (latchkey.ErrInvalid).
func CommandKid(sealed []byte) (latchkey.Kid, error) { return sealedKid(commandMagic, sealed) }

func commandInfo(household latchkey.HouseholdID) []byte {
	return append([]byte("latchkey/v1 command\x00"), household[:]...)
}
