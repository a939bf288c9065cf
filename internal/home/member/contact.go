package member

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// nameContacts is where the vault notes the own set of trusted contacts: the
// set id and the three kids in hex, so that a server cannot show another.
const nameContacts = "contacts"

// Contacts are the three members who can bring this person back, two of them
// together.
type Contacts struct {
	People []Person
	Since  time.Time
	// Broken says why they cannot, and that the person has to choose again;
	// empty while they can.
	Broken string
}

// Why a set is of no use any more.
const (
	contactsGone     = "One of them has left or has new keys."
	contactsRekeyed  = "Your keys have changed since they were chosen."
	contactsReplaced = "The server shows other people than were chosen."
)

// SetContacts chooses three other members as trusted contacts, in place of
// those chosen before. Anybody who is no other member is latchkey.ErrRefused.
func (c *Client) SetContacts(ctx context.Context, contacts [chain.Shares]latchkey.Kid) error {
	state, err := c.refresh(ctx)
	if err != nil {
		return err
	}
	for i, kid := range contacts {
		_, there := state.Members[kid]
		twice := i > 0 && contacts[0] == kid || i > 1 && contacts[1] == kid
		if !there || kid == c.kid() || twice {
			return fmt.Errorf("member: set contacts: %w: want three other members of the household", latchkey.ErrRefused)
		}
	}
	for _, kid := range contacts {
		if err := c.awaitCovered(ctx, c.past().keysSince(kid), "the keys of "+named(c.nameOf(kid), kid), coverPatience); err != nil {
			return err
		}
	}
	set := newSetID()
	req, err := c.sealContacts(state, set, contacts)
	if err != nil {
		return fmt.Errorf("member: set contacts: %w", err)
	}
	// The vault first: a set that it does not know is never shown as good.
	if err := c.changeNames(ctx, func(names map[string]string) { names[nameContacts] = contactsNote(set, contacts[:]) }); err != nil {
		return err
	}
	_, err = call(ctx, c, "set contacts", c.api.contact.SetContacts, req)
	return err
}

func newSetID() (id [latchkey.IDSize]byte) {
	_, _ = rand.Read(id[:])
	return id
}

func contactsNote(set [latchkey.IDSize]byte, contacts []latchkey.Kid) string {
	words := []string{latchkey.Kid(set).String()}
	for _, k := range contacts {
		words = append(words, k.String())
	}
	return strings.Join(words, " ")
}

// sealContacts draws a contact secret, wraps the vault key under it, and seals
// a share of it to each contact. The secret is gone when it returns.
func (c *Client) sealContacts(state chain.State, set [latchkey.IDSize]byte, contacts [chain.Shares]latchkey.Kid) (*latchkeyv1.SetContactsRequest, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	secret := keys.NewSecret()
	defer secret.Erase()
	req := &latchkeyv1.SetContactsRequest{Set: set[:], Wrap: keys.SealContactWrap(secret, set, c.vk)}
	for i, point := range keys.Split(secret) {
		kid := contacts[i]
		letter, err := keys.SealShare(c.vault.Signing, point, keys.ShareFor{
			Household: state.Household, Set: set, To: kid, X: state.Members[kid].X, Time: time.Now().Unix(),
		})
		if err != nil {
			return nil, err
		}
		req.Letters = append(req.Letters, &latchkeyv1.Letter{Kid: kid[:], Body: letter})
	}
	return req, nil
}

// RemoveContacts gives trusted contacts up: their shares open nothing then.
func (c *Client) RemoveContacts(ctx context.Context) error {
	if _, err := call(ctx, c, "remove contacts", c.api.contact.RemoveContacts, &latchkeyv1.RemoveContactsRequest{}); err != nil {
		return err
	}
	return c.changeNames(ctx, func(names map[string]string) { delete(names, nameContacts) })
}

// Contacts shows the own trusted contacts; no People when none are chosen.
func (c *Client) Contacts(ctx context.Context) (Contacts, error) {
	state, err := c.refresh(ctx)
	if err != nil {
		return Contacts{}, err
	}
	noted := c.name(nameContacts)
	res, err := call(ctx, c, "get contacts", c.api.contact.GetContacts, &latchkeyv1.GetContactsRequest{})
	if errors.Is(err, latchkey.ErrNotFound) {
		if noted == "" {
			return Contacts{}, nil
		}
		out := Contacts{Broken: contactsRekeyed}
		for _, word := range strings.Fields(noted)[1:] {
			if kid, err := latchkey.ParseKid(word); err == nil {
				out.People = append(out.People, c.person(state, kid))
			}
		}
		return out, nil
	}
	if err != nil {
		return Contacts{}, err
	}
	return c.readContacts(state, res, noted)
}

// readContacts holds what the server says of the own set against the vault.
func (c *Client) readContacts(state chain.State, res *latchkeyv1.GetContactsResponse, noted string) (Contacts, error) {
	out := Contacts{Since: millis(res.CreatedMs)}
	words := strings.Fields(noted)
	said := map[string]bool{}
	for _, raw := range res.Contacts {
		if len(raw) != latchkey.IDSize {
			return out, fmt.Errorf("member: get contacts: %w: a kid of %d bytes", latchkey.ErrInvalid, len(raw))
		}
		kid := latchkey.Kid(raw)
		said[kid.String()] = true
		out.People = append(out.People, c.person(state, kid))
	}
	same := len(words) == 1+chain.Shares && len(res.Set) == latchkey.IDSize && words[0] == latchkey.Kid(res.Set).String() && len(said) == chain.Shares
	for _, w := range words[min(1, len(words)):] {
		same = same && said[w]
	}
	switch {
	case res.Dead:
		out.Broken = contactsGone
	case !same:
		out.Broken = contactsReplaced
	}
	return out, nil
}

// person describes a member of the roster, or one who was there once.
func (c *Client) person(state chain.State, kid latchkey.Kid) Person {
	m := state.Members[kid]
	return Person{Kid: kid, Name: c.personName(kid, m), Role: string(m.Role), Me: kid == c.kid()}
}

// Entrusted lists the members who have chosen this person as a trusted contact.
// A share that does not open, or that its owner has not signed, is
// latchkey.ErrVerify.
func (c *Client) Entrusted(ctx context.Context) ([]Person, error) {
	state, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	shares, err := c.shares(ctx, state)
	if err != nil {
		return nil, err
	}
	var out []Person
	for owner, s := range shares {
		s.Erase()
		out = append(out, c.person(state, owner))
	}
	return sortedPeople(out), nil
}

// shares opens and checks the shares that this person keeps for others.
func (c *Client) shares(ctx context.Context, state chain.State) (map[latchkey.Kid]keys.Share, error) {
	res, err := call(ctx, c, "list shares", c.api.contact.ListEntrusted, &latchkeyv1.ListEntrustedRequest{})
	if err != nil {
		return nil, err
	}
	out := map[latchkey.Kid]keys.Share{}
	for _, e := range res.Entrusted {
		s, err := keys.OpenShare(c.sealing(), state.Household, e.Letter)
		if err != nil {
			return nil, fmt.Errorf("member: list shares: %w", err)
		}
		owner, ok := state.Members[s.By]
		switch {
		case !ok:
			continue // he has left, or has new keys: the share opens nothing
		case s.To != c.kid() || string(e.Owner) != string(s.By[:]) || string(e.Set) != string(s.Set[:]):
			return nil, fmt.Errorf("member: list shares: %w: the share is another than the server says", latchkey.ErrVerify)
		}
		if err := s.Verify(owner.Ed); err != nil {
			return nil, fmt.Errorf("member: list shares: %w", err)
		}
		out[s.By] = s
	}
	return out, nil
}

// Find resolves names or kids of members; nobody of that name is
// latchkey.ErrNotFound.
func (c *Client) Find(ctx context.Context, names ...string) ([]Person, error) {
	state, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	var out []Person
	for _, name := range names {
		p, err := c.findPerson(state, name)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}
