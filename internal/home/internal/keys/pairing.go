package keys

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math/big"

	"latchkey.dev/latchkey"
)

// Role says who joins.
type Role byte

// The two roles of protocol 2.10.
const (
	RoleHub    Role = 1
	RoleMember Role = 2
)

// Sizes of the pairing messages without and with their MAC, in bytes.
const (
	offerMagic   = "LKO1"
	answerMagic  = "LKA1"
	offerSize    = 4 + 1 + ed25519.PublicKeySize + SealPublicSize + ed25519.PublicKeySize + 16
	answerSize   = 4 + latchkey.IDSize + 8 + latchkey.HashSize
	macSize      = SecretSize
	safetyDigits = 24
	safetyBytes  = 10
)

// Offer is what a joiner sends: his public keys.
type Offer struct {
	Role     Role
	Ed       ed25519.PublicKey // 32 bytes
	X        []byte            // 1216 bytes
	Recovery ed25519.PublicKey // 32 bytes for a member, nil for a hub
	Nonce    [16]byte
}

// Answer is what the admin sends back: where the chain has the joiner's keys.
type Answer struct {
	Household latchkey.HouseholdID
	Seq       uint64        // of the statement that adds the joiner
	Hash      latchkey.Hash // H(text) of that statement
}

// NewOffer makes an offer with a fresh nonce. recovery is nil for a hub.
func NewOffer(role Role, sign *Signing, box *Sealing, recovery ed25519.PublicKey) Offer {
	o := Offer{Role: role, Ed: sign.Public(), X: box.Public(), Recovery: recovery}
	_, _ = rand.Read(o.Nonce[:])
	return o
}

// Marshal returns the 1301 bytes of the offer, without MAC. It fails with
// latchkey.ErrInvalid if a key has the wrong length for the role.
func (o Offer) Marshal() ([]byte, error) {
	recovery := o.Recovery
	if o.Role == RoleHub && recovery == nil {
		recovery = make([]byte, ed25519.PublicKeySize)
	}
	b := append(make([]byte, 0, offerSize+macSize), offerMagic...)
	b = append(b, byte(o.Role))
	b = append(append(append(b, o.Ed...), o.X...), recovery...)
	b = append(b, o.Nonce[:]...)
	if len(o.Ed) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("keys: marshal offer: %w: an Ed25519 key has 32 bytes", latchkey.ErrInvalid)
	}
	if _, err := ParseOffer(b); err != nil {
		return nil, err
	}
	return b, nil
}

// ParseOffer reads exactly one offer without MAC; strict (latchkey.ErrInvalid).
func ParseOffer(b []byte) (Offer, error) {
	bad := func(why string) (Offer, error) {
		return Offer{}, fmt.Errorf("keys: parse offer: %w: %s", latchkey.ErrInvalid, why)
	}
	if len(b) != offerSize || string(b[:4]) != offerMagic {
		return bad("bad magic or length")
	}
	o := Offer{Role: Role(b[4])}
	rest := b[5:]
	take := func(n int) []byte {
		v := append([]byte(nil), rest[:n]...)
		rest = rest[n:]
		return v
	}
	o.Ed, o.X, o.Recovery = take(ed25519.PublicKeySize), take(SealPublicSize), take(ed25519.PublicKeySize)
	copy(o.Nonce[:], rest)
	zero := [ed25519.PublicKeySize]byte(o.Recovery) == [ed25519.PublicKeySize]byte{}
	switch {
	case o.Role == RoleHub && zero:
		o.Recovery = nil
	case o.Role == RoleMember && !zero:
	default:
		return bad("role and recovery key do not fit")
	}
	return o, nil
}

// Marshal returns the 60 bytes of the answer, without MAC.
func (a Answer) Marshal() []byte {
	b := append(make([]byte, 0, answerSize+macSize), answerMagic...)
	b = append(b, a.Household[:]...)
	b = binary.BigEndian.AppendUint64(b, a.Seq)
	return append(b, a.Hash[:]...)
}

// ParseAnswer reads exactly one answer without MAC; strict (latchkey.ErrInvalid).
func ParseAnswer(b []byte) (Answer, error) {
	if len(b) != answerSize || string(b[:4]) != answerMagic {
		return Answer{}, fmt.Errorf("keys: parse answer: %w: bad magic or length", latchkey.ErrInvalid)
	}
	a := Answer{Seq: binary.BigEndian.Uint64(b[20:])}
	copy(a.Household[:], b[4:])
	copy(a.Hash[:], b[28:])
	return a, nil
}

// SealOffer returns offer ‖ MAC (1333 bytes), the body of the offer mail.
func (c Code) SealOffer(o Offer) ([]byte, error) {
	b, err := o.Marshal()
	if err != nil {
		return nil, err
	}
	return append(b, c.PairingSecret().Derive("pair offer", b).bytes()[:]...), nil
}

// OpenOffer checks the MAC of offer ‖ MAC and reads the offer. A wrong MAC is
// latchkey.ErrVerify: callers count those and give up after ten.
func (c Code) OpenOffer(b []byte) (Offer, error) {
	if len(b) != offerSize+macSize {
		return Offer{}, fmt.Errorf("keys: open offer: %w: %d bytes", latchkey.ErrInvalid, len(b))
	}
	if !hmac.Equal(c.PairingSecret().Derive("pair offer", b[:offerSize]).bytes()[:], b[offerSize:]) {
		return Offer{}, fmt.Errorf("keys: open offer: %w: made with another code", latchkey.ErrVerify)
	}
	return ParseOffer(b[:offerSize])
}

// SealAnswer returns answer ‖ MAC (92 bytes); the MAC binds it to the offer.
func (c Code) SealAnswer(o Offer, a Answer) ([]byte, error) {
	b := a.Marshal()
	mac, err := c.answerMAC(o, b)
	if err != nil {
		return nil, err
	}
	return append(b, mac.bytes()[:]...), nil
}

// OpenAnswer checks answer ‖ MAC against the offer this side sent. A wrong MAC
// is latchkey.ErrVerify.
func (c Code) OpenAnswer(o Offer, b []byte) (Answer, error) {
	if len(b) != answerSize+macSize {
		return Answer{}, fmt.Errorf("keys: open answer: %w: %d bytes", latchkey.ErrInvalid, len(b))
	}
	mac, err := c.answerMAC(o, b[:answerSize])
	if err != nil {
		return Answer{}, err
	}
	if !hmac.Equal(mac.bytes()[:], b[answerSize:]) {
		return Answer{}, fmt.Errorf("keys: open answer: %w: made with another code or for another offer", latchkey.ErrVerify)
	}
	return ParseAnswer(b[:answerSize])
}

func (c Code) answerMAC(o Offer, answer []byte) (Secret, error) {
	offer, err := o.Marshal()
	if err != nil {
		return Secret{}, err
	}
	ho, ha := hashOf(offer), hashOf(answer)
	return c.PairingSecret().Derive("pair answer", ho[:], ha[:]), nil
}

// SafetyCode names a person's keys in a household for somebody who compares
// them out of band: 24 decimal digits over household and both public keys.
func SafetyCode(household latchkey.HouseholdID, ed ed25519.PublicKey, x []byte) string {
	msg := append([]byte("latchkey/v1 safety\x00"), household[:]...)
	return digitsOf(append(append(msg, ed...), x...))
}

// Digits are what two people compare before one signs the other in: 24 decimal
// digits over the whole offer, so that whoever has seen the code can put none
// of his own keys into it. The joiner knows them before he knows the household.
func (o Offer) Digits() (string, error) {
	b, err := o.Marshal()
	if err != nil {
		return "", err
	}
	return digitsOf(append([]byte("latchkey/v1 offer\x00"), b...)), nil
}

func digitsOf(msg []byte) string {
	h := hashOf(msg)
	n := new(big.Int).SetBytes(h[:safetyBytes])
	n.Mod(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(safetyDigits), nil))
	return fmt.Sprintf("%0*d", safetyDigits, n)
}
