package member

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

const (
	pairingLife = 15 * time.Minute // protocol 2.10
	mailWait    = 25               // seconds a poll of the mailbox waits at most
)

// Invitation is one hub's way into the household: a code that dies after 15
// minutes, the first answer, or ten offers that were made without it.
type Invitation struct {
	client *Client
	code   keys.Code
	name   string
	born   time.Time
	door   *doorstep // on the home network; nil: none
}

// InviteHub makes a pairing code for a new hub, which will be called name.
// Only an admin may; others get latchkey.ErrRefused at once.
func (c *Client) InviteHub(ctx context.Context, name string) (*Invitation, error) {
	state, err := c.sync(ctx)
	if err != nil {
		return nil, err
	}
	if state.Members[c.kid()].Role != chain.RoleAdmin {
		return nil, fmt.Errorf("member: invite hub: %w: only an admin may add a hub", latchkey.ErrRefused)
	}
	return &Invitation{client: c, code: keys.NewCode(), name: name, born: time.Now()}, nil
}

// Code is what a person types on the hub; QR is the same for a camera.
func (i *Invitation) Code() string { return i.code.Reveal() }

// QR is the content of the QR code.
func (i *Invitation) QR() string { return i.code.RevealQR() }

// Wait takes the hub's offer, checks that it was made with this code, signs the
// hub into the chain and answers. step is told how far it is.
func (i *Invitation) Wait(ctx context.Context, step func(string)) (HubName, error) {
	defer i.code.Erase()
	ctx, cancel := context.WithDeadline(ctx, i.born.Add(pairingLife))
	defer cancel()
	defer i.door.open(ctx, i)()
	offer, home, err := i.first(ctx, step)
	if errors.Is(err, context.DeadlineExceeded) {
		return HubName{}, fmt.Errorf("member: invite hub: %w: no hub used the code within 15 minutes", latchkey.ErrUnavailable)
	}
	if err != nil {
		return HubName{}, err
	}
	step("A hub has answered; its keys were made with this code.")
	if offer.Role != keys.RoleHub {
		return HubName{}, fmt.Errorf("member: invite hub: %w: a person answered a hub's invitation", latchkey.ErrRefused)
	}
	if err := i.door.chosen(offer); err != nil {
		return HubName{}, err
	}
	state, err := i.admit(ctx, offer)
	if err != nil {
		return HubName{}, err
	}
	step("It is signed into the household.")
	return i.answer(ctx, offer, state, home)
}

// offer polls the mailbox until an offer is there that was made with the code.
// Ten that were not end it.
func (i *Invitation) offer(ctx context.Context, step func(string)) (keys.Offer, error) {
	for wrong := 0; wrong < wrongOffers; {
		mail, err := i.client.nextOffer(ctx, i.code, wrong, mailWait)
		switch {
		case errors.Is(err, latchkey.ErrNotFound):
			continue
		case errors.Is(err, latchkey.ErrUnavailable):
			if err := pause(ctx, time.Second); err != nil {
				return keys.Offer{}, err
			}
			continue
		case err != nil:
			return keys.Offer{}, err
		}
		offer, err := i.code.OpenOffer(mail)
		if err == nil {
			return offer, nil
		}
		wrong++
		step("Somebody who does not have the code has answered; that counts for nothing.")
	}
	return keys.Offer{}, fmt.Errorf("member: invite hub: %w: ten answers were made without the code; it is dead", latchkey.ErrRefused)
}

// admit appends the hub statement, and returns the household after it. A hub
// whose pairing was cut off offers the keys that the chain has already: it is
// shown where, and not signed twice.
func (i *Invitation) admit(ctx context.Context, offer keys.Offer) (chain.State, error) {
	state, err := i.client.sync(ctx)
	if err != nil {
		return chain.State{}, err
	}
	if h, there := state.Hubs[chain.KidOf(offer.Ed)]; there {
		if !bytes.Equal(h.X, offer.X) {
			return chain.State{}, fmt.Errorf("member: invite hub: %w: the household has this hub with another sealing key", latchkey.ErrRefused)
		}
		return i.client.past().states[h.Seq], nil
	}
	return i.client.append(ctx, "add hub", func(h chain.Head, _ chain.State) (chain.Statement, error) {
		return chain.AddHub{Head: h, Ed: offer.Ed, X: offer.X}, nil
	})
}

// answer tells the hub where the chain has its keys, and names it in the
// directory. home: it came over the home network, and fetches its answer there.
func (i *Invitation) answer(ctx context.Context, offer keys.Offer, state chain.State, home bool) (HubName, error) {
	c := i.client
	joined := HubName{Kid: chain.KidOf(offer.Ed), Name: i.name}
	mail, err := i.code.SealAnswer(offer, keys.Answer{Household: state.Household, Seq: state.Seq, Hash: state.Hash})
	if err != nil {
		return joined, fmt.Errorf("member: invite hub: %w", err)
	}
	if err := i.door.hand(offer, mail, c.Server()); err != nil {
		return joined, fmt.Errorf("member: invite hub: %w", err)
	}
	box := i.code.Rendezvous()
	_, err = call(ctx, c, "answer the hub", c.api.pairing.PutMail, &latchkeyv1.PutMailRequest{
		Rendezvous: box[:], Slot: latchkeyv1.MailSlot_MAIL_SLOT_ANSWER, Body: mail,
	})
	if home {
		i.door.linger(ctx)
	}
	if err != nil && !home {
		return joined, err
	}
	return joined, c.changeDirectory(ctx, func(n *chain.Names) { n.Hubs[joined.Kid] = i.name })
}

// pause waits for d or until ctx ends, and returns ctx's error then.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
