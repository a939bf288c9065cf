package keys

import (
	"encoding/base64"
	"fmt"
	"strings"

	"latchkey.dev/latchkey"
)

const cardHead = "LKCARD1."

// Card is the public key of a person in the form in which he gives it to other
// households (spec/keys, "Links to a person").
type Card struct{ X []byte } // X-Wing public key, SealPublicSize bytes

// ParseCard reads a card in its one form; else latchkey.ErrInvalid.
func ParseCard(text string) (Card, error) {
	body, ok := strings.CutPrefix(text, cardHead)
	x, err := base64.RawURLEncoding.DecodeString(body)
	c := Card{X: x}
	if !ok || err != nil || len(x) != SealPublicSize || c.String() != text {
		return Card{}, fmt.Errorf("keys: parse card: %w: want %s and 1,622 characters of base64url", latchkey.ErrInvalid, cardHead)
	}
	return c, nil
}

// String is the one form of a card.
func (c Card) String() string { return cardHead + base64.RawURLEncoding.EncodeToString(c.X) }

// Digits are 24 digits by which two people compare a card by voice.
func (c Card) Digits() string {
	return digitsOf(append([]byte("latchkey/v1 card\x00"), c.X...))
}
