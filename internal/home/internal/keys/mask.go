package keys

import (
	"latchkey.dev/latchkey"
)

const (
	// MaskMagic begins a sealed mask: "LKM1" ‖ kid(16) ‖ enc(1120) ‖ ct.
	MaskMagic = "LKM1"
	// ReleasedMagic begins what a hub answers: "LKR1" ‖ kid(16) ‖ enc(1120) ‖ ct.
	ReleasedMagic = "LKR1"
)

// Mask is the second key of a two-key grant (protocol 2.8): every key of its
// capsule is covered with a part of it. The hub has it, sealed, and gives those
// parts away one by one.
type Mask struct {
	guard
	secret Secret
}

// NewMask draws the mask of a new grant.
func NewMask() *Mask { return &Mask{secret: NewSecret()} }

// Cover exchanges key with key XOR KDF(M, "release", name), in place; a second
// time it is what it was. name is that of an entry: 36 bytes.
func (m *Mask) Cover(key *[SecretSize]byte, name []byte) {
	part := m.secret.Derive("release", name)
	defer part.Erase()
	for i, b := range part.bytes() {
		key[i] ^= b
	}
}

// Seal seals the mask to a hub's X-Wing key, for one grant.
func (m *Mask) Seal(household latchkey.HouseholdID, grant latchkey.GrantID, hub []byte) ([]byte, error) {
	return seal(MaskMagic, hub, releaseInfo(household, grant), m.secret.bytes()[:])
}

// Erase overwrites the mask.
func (m *Mask) Erase() { m.secret.Erase() }

// OpenMask opens an LKM1 object sealed to this key for that grant; anything else
// is latchkey.ErrVerify. The caller has checked before that the grant names its
// hash.
func (s *Sealing) OpenMask(household latchkey.HouseholdID, grant latchkey.GrantID, sealed []byte) (*Mask, error) {
	plain, err := s.open(MaskMagic, releaseInfo(household, grant), sealed)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	secret, err := SecretFrom(plain)
	if err != nil {
		return nil, err
	}
	return &Mask{secret: secret}, nil
}

// SealReleased seals what a hub releases to the grantee's X-Wing key.
func SealReleased(household latchkey.HouseholdID, grant latchkey.GrantID, to, plain []byte) ([]byte, error) {
	return seal(ReleasedMagic, to, releaseInfo(household, grant), plain)
}

// OpenReleased opens an LKR1 object made for this key and grant; anything else
// is latchkey.ErrVerify. The caller erases the result.
func (s *Sealing) OpenReleased(household latchkey.HouseholdID, grant latchkey.GrantID, sealed []byte) ([]byte, error) {
	return s.open(ReleasedMagic, releaseInfo(household, grant), sealed)
}

func releaseInfo(household latchkey.HouseholdID, grant latchkey.GrantID) []byte {
	info := append([]byte("latchkey/v1 release\x00"), household[:]...)
	return append(info, grant[:]...)
}
