package keys

import (
	"latchkey.dev/latchkey"
)

// CapsuleMagic begins every sealed capsule (protocol 2.8).
const CapsuleMagic = "LKC1"

// SealCapsule seals a capsule's plaintext to an X-Wing public key:
// "LKC1" ‖ kid(16) ‖ enc(1120) ‖ ct. scope is the epoch id of a hub-made
// capsule, the grant id of a member-made one.
func SealCapsule(household latchkey.HouseholdID, scope [latchkey.IDSize]byte, pub, plain []byte) ([]byte, error) {
	return seal(CapsuleMagic, pub, capsuleInfo(household, scope), plain)
}

// OpenCapsule opens an LKC1 object sealed to this key for household and scope;
// anything else is latchkey.ErrVerify. The caller has checked before that the
// hash of the capsule is listed by a signed note, and erases the result.
func (s *Sealing) OpenCapsule(household latchkey.HouseholdID, scope [latchkey.IDSize]byte, sealed []byte) ([]byte, error) {
	return s.open(CapsuleMagic, capsuleInfo(household, scope), sealed)
}

// CapsuleKid reads which X-Wing key an LKC1 object is sealed to (latchkey.ErrInvalid).
func CapsuleKid(sealed []byte) (latchkey.Kid, error) { return sealedKid(CapsuleMagic, sealed) }

func capsuleInfo(household latchkey.HouseholdID, scope [latchkey.IDSize]byte) []byte {
	info := append([]byte("latchkey/v1 capsule\x00"), household[:]...)
	return append(info, scope[:]...)
}
