package member

import (
	"fmt"

	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// Card is a person's public key as he gives it to other households
// (spec/keys, "Links to a person").
type Card = keys.Card

// ParseCard reads a card; else latchkey.ErrInvalid.
func ParseCard(text string) (Card, error) {
	c, err := keys.ParseCard(text)
	if err != nil {
		return c, fmt.Errorf("member: %w", err)
	}
	return c, nil
}

// Card is this member's own: new keys have another.
func (c *Client) Card() Card {
	s := c.sealing()
	return Card{X: s[0].Public()}
}
