package member

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// helpFragment begins the fragment of a help link; what is in a fragment stays
// in the browser.
const helpFragment = "#help="

// maxOffers is how many offers a mailbox takes.
const maxOffers = 10

// Help is a contact's side of bringing a member back: a link to hand over, the
// digits to compare, and the first signature.
type Help struct {
	client *Client
	member Person
	set    [latchkey.IDSize]byte
	code   keys.Code
	born   time.Time
	offer  keys.Offer
}

// HelpBack begins to help a member who has lost everything. Only whom the
// member has chosen as a trusted contact can; others get latchkey.ErrRefused.
func (c *Client) HelpBack(ctx context.Context, member latchkey.Kid) (*Help, error) {
	state, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	shares, err := c.shares(ctx, state)
	if err != nil {
		return nil, err
	}
	share, ok := shares[member]
	for _, s := range shares {
		s.Erase()
	}
	if !ok {
		return nil, fmt.Errorf("member: help: %w: %s has not chosen you as a trusted contact", latchkey.ErrRefused, nameOr(c.person(state, member), "this member"))
	}
	return &Help{client: c, member: c.person(state, member), set: share.Set, code: keys.NewCode(), born: time.Now()}, nil
}

// Member is who is helped.
func (h *Help) Member() Person { return h.member }

// Code is the pairing code alone; Link is what a browser opens.
func (h *Help) Code() string { return h.code.Reveal() }

// Link is <origin>/#help=<32 characters>.
func (h *Help) Link() string {
	return h.client.Server() + "/" + helpFragment + strings.TrimPrefix(h.code.RevealQR(), "LK1:")
}

// Wait takes the offer of whoever has the link, tells him the household, and
// returns the 24 digits that both see now. Nothing is signed yet.
func (h *Help) Wait(ctx context.Context) (digits string, err error) {
	ctx, cancel := context.WithDeadline(ctx, h.born.Add(pairingLife))
	defer cancel()
	err = h.takeOffer(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return "", fmt.Errorf("member: help: %w: nobody used the link within 15 minutes", latchkey.ErrUnavailable)
	}
	if err != nil {
		return "", err
	}
	c := h.client
	state, err := c.sync(ctx)
	if err != nil {
		return "", err
	}
	mail, err := h.code.SealAnswer(h.offer, keys.Answer{Household: state.Household, Seq: state.Seq, Hash: state.Hash})
	if err != nil {
		return "", fmt.Errorf("member: help: %w", err)
	}
	box := h.code.Rendezvous()
	if _, err = call(ctx, c, "answer", c.api.pairing.PutMail, &latchkeyv1.PutMailRequest{
		Rendezvous: box[:], Slot: latchkeyv1.MailSlot_MAIL_SLOT_ANSWER, Body: mail,
	}); err != nil {
		return "", err
	}
	return keys.ClaimDigits(h.offer.Ed, h.offer.X, h.offer.Recovery), nil
}

// takeOffer takes the first offer whose MAC is right.
func (h *Help) takeOffer(ctx context.Context) error {
	box := h.code.Rendezvous()
	for index := uint32(0); index < maxOffers; {
		res, err := call(ctx, h.client, "wait for the link to be used", h.client.api.pairing.GetMail, &latchkeyv1.GetMailRequest{
			Rendezvous: box[:], Slot: latchkeyv1.MailSlot_MAIL_SLOT_OFFER, WaitSeconds: mailWait, Index: index,
		})
		switch {
		case err == nil:
			offer, err := h.code.OpenOffer(res.Body)
			if err == nil && offer.Role == keys.RoleMember {
				h.offer = offer
				return nil
			}
			index++ // left by somebody who knows the mailbox and not the code
		case errors.Is(err, latchkey.ErrNotFound):
		case errors.Is(err, latchkey.ErrUnavailable):
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return fmt.Errorf("member: help: %w: others keep answering this link; make a new one", latchkey.ErrRefused)
}

// Confirm signs the claim after the digits were compared: the wait begins.
// Other digits are latchkey.ErrVerify. It returns the claim's id.
func (h *Help) Confirm(ctx context.Context, digits string) (chain.ClaimID, error) {
	defer h.code.Erase()
	if h.offer.Ed == nil || !sameDigits(digits, keys.ClaimDigits(h.offer.Ed, h.offer.X, h.offer.Recovery)) {
		return chain.ClaimID{}, fmt.Errorf("member: help: %w: those are not the digits that were shown", latchkey.ErrVerify)
	}
	claim := chain.Claim{
		Household: h.client.ID(), Member: h.member.Kid, Set: h.set, Ed: h.offer.Ed, X: h.offer.X, Recovery: h.offer.Recovery,
	}
	if err := h.client.signClaim(ctx, claim); err != nil {
		return chain.ClaimID{}, err
	}
	_, err := h.client.Claims(ctx) // notes when this person first saw it
	return claim.ID(), err
}
