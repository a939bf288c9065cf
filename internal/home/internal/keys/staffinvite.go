package keys

import (
	"bytes"
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"strings"

	"latchkey.dev/latchkey"
)

const staffInviteHead = "LKI1."

// StaffInvite is the secret of an invitation to work for an operator: who has it
// is whom the staff root has invited. It opens nothing.
type StaffInvite struct {
	guard
	secret Secret
}

// NewStaffInvite draws the secret of a new invitation.
func NewStaffInvite() *StaffInvite { return &StaffInvite{secret: NewSecret()} }

// ParseStaffInvite reads "LKI1." ‖ base64url(secret) in its one form. The error
// does not quote it.
func ParseStaffInvite(text string) (*StaffInvite, error) {
	body, ok := strings.CutPrefix(text, staffInviteHead)
	raw, err := base64.RawURLEncoding.DecodeString(body)
	defer clear(raw)
	if !ok || err != nil || len(raw) != SecretSize || base64.RawURLEncoding.EncodeToString(raw) != body {
		return nil, fmt.Errorf("keys: parse invitation: %w: want %s and 43 characters of base64url", latchkey.ErrInvalid, staffInviteHead)
	}
	s, err := SecretFrom(raw)
	return &StaffInvite{secret: s}, err
}

// Reveal returns the text of the invitation: this is the secret.
func (i *StaffInvite) Reveal() string {
	return staffInviteHead + base64.RawURLEncoding.EncodeToString(i.secret.bytes()[:])
}

// MAC says to the staff root that an applicant's note was written by whoever has
// the invitation.
func (i *StaffInvite) MAC(text latchkey.Hash) []byte {
	return bytes.Clone(i.secret.Derive("staff invite", text[:]).bytes()[:])
}

// CheckMAC is latchkey.ErrVerify unless mac is that of the text.
func (i *StaffInvite) CheckMAC(text latchkey.Hash, mac []byte) error {
	if !hmac.Equal(i.MAC(text), mac) {
		return fmt.Errorf("keys: check invitation: %w: the applicant was not invited with it", latchkey.ErrVerify)
	}
	return nil
}

// Erase overwrites the secret.
func (i *StaffInvite) Erase() { i.secret.Erase() }
