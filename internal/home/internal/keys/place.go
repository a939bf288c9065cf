package keys

import (
	"crypto/hmac"
	"fmt"

	"latchkey.dev/latchkey"
)

const (
	placeMagic = "LKP1"
	maxOrigin  = 255
	// MaxPlace is the most that a place with its MAC takes, in bytes.
	MaxPlace = len(placeMagic) + maxOrigin + macSize
	// AnswerMail and OfferMail are the sizes of answer and offer with their MACs.
	AnswerMail = answerSize + macSize
	OfferMail  = offerSize + macSize
)

// SealPlace returns place ‖ MAC: the origin of the household's server, for a
// joiner that was not told it. The MAC binds it to his offer. Only the form is
// checked that any origin has: 1 to 255 visible ASCII characters.
func (c Code) SealPlace(o Offer, origin string) ([]byte, error) {
	if !isVisible(origin) {
		return nil, fmt.Errorf("keys: seal place: %w: the origin is not visible ASCII", latchkey.ErrInvalid)
	}
	b := append([]byte(placeMagic), origin...)
	mac, err := c.placeMAC(o, b)
	if err != nil {
		return nil, err
	}
	return append(b, mac.bytes()[:]...), nil
}

// OpenPlace checks place ‖ MAC against the offer this side sent, and returns
// the origin. A wrong MAC is latchkey.ErrVerify.
func (c Code) OpenPlace(o Offer, b []byte) (string, error) {
	if len(b) <= len(placeMagic)+macSize || len(b) > MaxPlace {
		return "", fmt.Errorf("keys: open place: %w: %d bytes", latchkey.ErrInvalid, len(b))
	}
	place, mac := b[:len(b)-macSize], b[len(b)-macSize:]
	want, err := c.placeMAC(o, place)
	if err != nil {
		return "", err
	}
	if !hmac.Equal(want.bytes()[:], mac) {
		return "", fmt.Errorf("keys: open place: %w: made with another code or for another offer", latchkey.ErrVerify)
	}
	return ParsePlace(place)
}

// ParsePlace reads a place without MAC; strict (latchkey.ErrInvalid).
func ParsePlace(b []byte) (string, error) {
	if len(b) < len(placeMagic) || string(b[:len(placeMagic)]) != placeMagic || !isVisible(string(b[len(placeMagic):])) {
		return "", fmt.Errorf("keys: parse place: %w: bad magic or origin", latchkey.ErrInvalid)
	}
	return string(b[len(placeMagic):]), nil
}

func (c Code) placeMAC(o Offer, place []byte) (Secret, error) {
	offer, err := o.Marshal()
	if err != nil {
		return Secret{}, err
	}
	ho, hp := hashOf(offer), hashOf(place)
	return c.PairingSecret().Derive("pair server", ho[:], hp[:]), nil
}

func isVisible(s string) bool {
	for _, b := range []byte(s) {
		if b <= 0x20 || b >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= maxOrigin
}
