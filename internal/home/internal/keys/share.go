package keys

import (
	"crypto/ed25519"
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// ShareFor says for whom a share is made.
type ShareFor struct {
	Household latchkey.HouseholdID
	Set       [latchkey.IDSize]byte
	To        latchkey.Kid // the contact's Ed25519 key
	X         []byte       // his X-Wing key
	Time      int64        // unix seconds
}

// SealShare signs a point as its owner's share note and seals it to a contact,
// as a letter.
func SealShare(owner *Signing, p Point, to ShareFor) ([]byte, error) {
	note := chain.Share{
		Household: to.Household, By: owner.Kid(), To: to.To, Set: to.Set, X: p.X, Share: *p.y.bytes(), Time: to.Time,
	}
	text, err := note.Text()
	if err != nil {
		return nil, fmt.Errorf("keys: seal share: %w", err)
	}
	defer clear(text)
	signed := chain.SignNote(text, owner)
	defer clear(signed)
	return SealLetter(to.Household, to.X, signed)
}

// Share is an opened share note. It is believed only after Verify.
type Share struct {
	guard
	// The public part.
	Household latchkey.HouseholdID
	By, To    latchkey.Kid
	Set       [latchkey.IDSize]byte
	Time      int64

	point Point
	note  **chain.Note
}

// OpenShare opens a letter with whichever of a member's keys it is sealed to,
// and reads the share note in it. Anything else is latchkey.ErrVerify or
// latchkey.ErrInvalid.
func OpenShare(boxes []*Sealing, household latchkey.HouseholdID, letter []byte) (Share, error) {
	plain, err := OpenLetter(boxes, household, letter)
	if err != nil {
		return Share{}, fmt.Errorf("keys: open share: %w", err)
	}
	n, err := chain.ParseNote(plain)
	if err != nil {
		return Share{}, shareError()
	}
	v, err := chain.ParseShare(n)
	if err != nil {
		return Share{}, shareError()
	}
	y, err := SecretFrom(v.Share[:])
	if err != nil {
		return Share{}, err
	}
	if v.Household != household {
		return Share{}, fmt.Errorf("keys: open share: %w: it is of another household", latchkey.ErrVerify)
	}
	note := &n
	return Share{
		Household: v.Household, By: v.By, To: v.To, Set: v.Set, Time: v.Time, point: Point{X: v.X, y: y}, note: &note,
	}, nil
}

// shareError quotes nothing: a parser's own words could quote the share.
func shareError() error {
	return fmt.Errorf("keys: open share: %w: there is no share in this letter", latchkey.ErrInvalid)
}

// Verify checks that the owner of the set signed the share.
func (s Share) Verify(owner ed25519.PublicKey) error {
	if chain.KidOf(owner) != s.By {
		return fmt.Errorf("keys: verify share: %w: it is another member's", latchkey.ErrVerify)
	}
	return (**s.note).Verify(owner)
}

// Point is the share itself, for Combine.
func (s Share) Point() Point { return s.point }

// SealTo seals the owner's note, as it was signed, to another X-Wing key: that
// of who is helped.
func (s Share) SealTo(x []byte) ([]byte, error) {
	return SealLetter(s.Household, x, (**s.note).Raw)
}

// Erase overwrites the share.
func (s Share) Erase() {
	s.point.y.Erase()
	if s.note != nil {
		clear((**s.note).Raw)
	}
}

// ClaimDigits are what a contact compares with whoever he helps: 24 decimal
// digits over all three new keys. They can be shown before anything was signed.
func ClaimDigits(ed, x, recovery []byte) string {
	msg := append([]byte("latchkey/v1 claim digits\x00"), ed...)
	return digitsOf(append(append(msg, x...), recovery...))
}
