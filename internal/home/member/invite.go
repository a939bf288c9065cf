package member

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

const (
	joinFragment = "#join="
	wrongOffers  = 10 // kill a code (protocol 2.10)
	digitsLength = 24
	// finishLife is how long an admin can go on with somebody whom he has signed
	// in: what he still owes him, or the answer once more for a guest whose
	// machine died before he had it.
	finishLife = 24 * time.Hour
)

// NewMember is what an admin decides about somebody he invites.
type NewMember struct {
	Name    string // what the directory will call him; may be empty
	Role    string // admin, member or viewer; empty: member
	Rights  RightsByName
	History History
}

// PersonInvitation is what the admin hands over: the link, or the code and the
// server's address.
type PersonInvitation struct {
	Code string // 32 characters in groups
	Link string // <origin>/#join=<32 characters>: the fragment stays in the browser
	Ends time.Time
}

// pendingInvite is an invitation that is under way on this machine. Each field
// is on disk before the step that needs it.
type pendingInvite struct {
	Code   string     `json:"code"`
	Born   int64      `json:"born"` // unix seconds
	Name   string     `json:"name"`
	Role   chain.Role `json:"role"`
	Rights Rights     `json:"rights"`
	Past   History    `json:"past"`
	Wrong  int        `json:"wrong"`           // offers whose MAC was not made with the code
	Offer  []byte     `json:"offer,omitempty"` // the first one that was
	// Grant gives the past, with its capsule; set once it was made.
	Grant    *chain.AddGrant `json:"grant,omitempty"`
	Capsule  []byte          `json:"capsule,omitempty"`
	Answered bool            `json:"answered,omitempty"`
	Given    bool            `json:"given,omitempty"`
	Signed   bool            `json:"signed,omitempty"`
	Done     bool            `json:"done,omitempty"`
}

func (p *pendingInvite) ends() time.Time { return time.Unix(p.Born, 0).Add(pairingLife) }

// over reports whether nothing can come of the invitation any more.
func (p *pendingInvite) over(now time.Time) bool {
	if p.Signed {
		return now.After(time.Unix(p.Born, 0).Add(finishLife))
	}
	return now.After(p.ends())
}

// InviteMember makes an invitation and remembers it, sealed, on this machine:
// ConfirmMember goes on with it, in this or another process, for 15 minutes.
// Only an admin may invite.
func (c *Client) InviteMember(ctx context.Context, n NewMember) (PersonInvitation, error) {
	if _, err := c.asAdmin(ctx, "invite"); err != nil {
		return PersonInvitation{}, err
	}
	p := pendingInvite{Born: time.Now().Unix(), Name: n.Name, Past: n.History}
	if n.Name != "" {
		if err := checkName(n.Name); err != nil {
			return PersonInvitation{}, fmt.Errorf("member: invite: %w", err)
		}
	}
	var err error
	if p.Role, err = parseRole(n.Role); err != nil {
		return PersonInvitation{}, fmt.Errorf("member: invite: %w", err)
	}
	if p.Rights, err = c.resolve(ctx, n.Rights); err != nil {
		return PersonInvitation{}, err
	}
	code := keys.NewCode()
	defer code.Erase()
	p.Code = code.Reveal()
	open, err := c.openInvites()
	if err != nil {
		return PersonInvitation{}, err
	}
	if err := c.store.saveSealed(invitesFile, append(open, &p)); err != nil {
		return PersonInvitation{}, err
	}
	return PersonInvitation{Code: p.Code, Link: c.Server() + "/" + joinFragment + strings.ReplaceAll(p.Code, "-", ""), Ends: p.ends()}, nil
}

// openInvites loads the invitations of which something can still come.
func (c *Client) openInvites() ([]*pendingInvite, error) {
	var all, open []*pendingInvite
	if _, err := c.store.loadSealed(invitesFile, &all); err != nil {
		return nil, err
	}
	for _, p := range all {
		if !p.over(time.Now()) {
			open = append(open, p)
		}
	}
	return open, nil
}

// keep writes the invitations down, with those that another process has made
// meanwhile.
func (a *admission) keep() error {
	all := slices.Clone(a.open)
	now, err := a.client.openInvites()
	if err != nil {
		return err
	}
	for _, p := range now {
		if !slices.Contains(a.known, p.Code) {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return a.client.store.drop(invitesFile)
	}
	return a.client.store.saveSealed(invitesFile, all)
}

// ParseInvitation reads a link, or a bare code: then server is empty.
func ParseInvitation(s string) (server, code string) {
	s = strings.TrimSpace(s)
	if at := strings.Index(s, joinFragment); at >= 0 {
		return strings.TrimSuffix(s[:at], "/"), s[at+len(joinFragment):]
	}
	return "", s
}

// ConfirmMember signs in the person who reads out these 24 digits. It waits for
// somebody to use an open invitation, compares, appends the statement, answers,
// gives the past, and tells everybody his name. Digits that are not those of
// whoever answered are latchkey.ErrVerify: a slip, or somebody else has the
// link. What an earlier call has done is not done again.
func (c *Client) ConfirmMember(ctx context.Context, typed, name string, step func(string)) (Person, error) {
	digits := strings.Join(strings.FieldsFunc(typed, func(r rune) bool { return r == ' ' || r == '-' }), "")
	if len(digits) != digitsLength || strings.Trim(digits, "0123456789") != "" {
		return Person{}, fmt.Errorf("member: confirm: %w: want the %d digits that the guest reads out", latchkey.ErrInvalid, digitsLength)
	}
	if name != "" {
		if err := checkName(name); err != nil {
			return Person{}, fmt.Errorf("member: confirm: %w", err)
		}
	}
	if _, err := c.asAdmin(ctx, "confirm"); err != nil {
		return Person{}, err
	}
	a := &admission{client: c, step: step}
	var err error
	if a.open, err = c.openInvites(); err != nil {
		return Person{}, err
	}
	for _, p := range a.open {
		a.known = append(a.known, p.Code)
	}
	if err := a.find(ctx, digits); err != nil {
		return Person{}, err
	}
	if name != "" {
		a.invite.Name = name
	}
	return a.finish(ctx)
}

// admission is one call of ConfirmMember.
type admission struct {
	client *Client
	step   func(string)
	open   []*pendingInvite
	known  []string       // the codes of those that were there at first
	invite *pendingInvite // the one that the digits belong to
	code   keys.Code
	offer  keys.Offer
}

// find waits for the offer that has these digits.
func (a *admission) find(ctx context.Context, digits string) error {
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("member: confirm: %w", err)
		}
		open := 0
		for _, p := range a.open {
			if p.Offer == nil {
				if err := a.look(ctx, p); err != nil {
					return err
				}
			}
			if !p.Done {
				open++
			}
			found, err := a.matches(p, digits)
			if found || err != nil {
				return err
			}
		}
		if open == 0 {
			return fmt.Errorf("member: confirm: no invitation is open on this machine: %w", latchkey.ErrNotFound)
		}
		if a.waiting() == 0 {
			return fmt.Errorf("member: confirm: %w: whoever answered has other digits", latchkey.ErrVerify)
		}
		if err := a.dropDead(); err != nil {
			return err
		}
	}
}

// matches compares in constant time, and takes the invitation if they are the
// same.
func (a *admission) matches(p *pendingInvite, digits string) (bool, error) {
	if p.Offer == nil {
		return false, nil
	}
	offer, err := keys.ParseOffer(p.Offer)
	if err != nil {
		return false, fmt.Errorf("member: confirm: %w", err)
	}
	own, err := offer.Digits()
	if err != nil {
		return false, fmt.Errorf("member: confirm: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(own), []byte(digits)) != 1 {
		return false, nil
	}
	a.invite, a.offer = p, offer
	a.code, err = keys.ParseCode(p.Code)
	return true, err
}

// look takes the next offers out of an invitation's box: the first one that was
// made with the code counts, ten that were not end it.
func (a *admission) look(ctx context.Context, p *pendingInvite) error {
	code, err := keys.ParseCode(p.Code)
	if err != nil {
		return fmt.Errorf("member: confirm: %w", err)
	}
	defer code.Erase()
	ctx, cancel := context.WithDeadline(ctx, p.ends())
	defer cancel()
	mail, err := a.client.nextOffer(ctx, code, p.Wrong, a.patience())
	switch {
	case errors.Is(err, latchkey.ErrNotFound), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.Is(err, latchkey.ErrUnavailable):
		return pause(ctx, time.Second)
	case err != nil:
		return err
	}
	offer, err := code.OpenOffer(mail)
	if err != nil || offer.Role != keys.RoleMember {
		p.Wrong++
		a.step("Somebody who does not have the code has answered; that counts for nothing.")
		return a.keep()
	}
	if p.Offer, err = offer.Marshal(); err != nil {
		return fmt.Errorf("member: confirm: %w", err)
	}
	a.step("Somebody has answered with the code.")
	return a.keep()
}

// waiting is how many invitations nobody has answered yet.
func (a *admission) waiting() (n int) {
	for _, p := range a.open {
		if p.Offer == nil {
			n++
		}
	}
	return n
}

// patience is how long one look waits: all open invitations get their turn.
func (a *admission) patience() uint32 { return uint32(mailWait / max(1, min(mailWait, a.waiting()))) }

// dropDead forgets invitations that ended meanwhile, and says so of the last.
func (a *admission) dropDead() error {
	var open []*pendingInvite
	var why error
	for _, p := range a.open {
		switch {
		case p.Wrong >= wrongOffers:
			why = fmt.Errorf("member: confirm: %w: ten answers were made without the code; the invitation is dead", latchkey.ErrRefused)
		case p.over(time.Now()):
			why = fmt.Errorf("member: confirm: %w: nobody has used the invitation within 15 minutes", latchkey.ErrUnavailable)
		default:
			open = append(open, p)
		}
	}
	if len(open) == len(a.open) {
		return nil
	}
	a.open = open
	if err := a.keep(); err != nil {
		return err
	}
	if len(open) > 0 {
		return nil
	}
	return why
}

// nextOffer asks for one offer in the box of a code.
func (c *Client) nextOffer(ctx context.Context, code keys.Code, index int, wait uint32) ([]byte, error) {
	box := code.Rendezvous()
	res, err := call(ctx, c, "wait for an answer", c.api.pairing.GetMail, &latchkeyv1.GetMailRequest{
		Rendezvous: box[:], Slot: latchkeyv1.MailSlot_MAIL_SLOT_OFFER, WaitSeconds: wait, Index: uint32(index),
	})
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// finish does what is still to be done for somebody whose digits are right.
func (a *admission) finish(ctx context.Context) (Person, error) {
	defer a.code.Erase()
	state, err := a.admit(ctx)
	if err != nil {
		return Person{}, err
	}
	kid := chain.KidOf(a.offer.Ed)
	if err := a.answer(ctx, state, state.Members[kid]); err != nil {
		return Person{}, err
	}
	if a.invite.Done {
		return a.client.findPerson(state, kid.String())
	}
	historyErr := a.give(ctx, state, state.Members[kid])
	if historyErr != nil && !errors.Is(historyErr, latchkey.ErrTooMany) && !errors.Is(historyErr, ErrLogWaits) {
		return Person{}, historyErr
	}
	// Every member gets a letter, the new one too, whether he has a name or not.
	err = a.client.changeDirectory(ctx, func(n *chain.Names) {
		if a.invite.Name != "" {
			n.People[kid] = a.invite.Name
		}
	})
	switch {
	case errors.Is(err, ErrNotProven):
		err = a.client.nameLater(ctx, kid, a.invite.Name)
		a.step("The public log has not proven the new keys yet: until then others do not see the name.")
	case err == nil:
		a.step("Everybody knows the name.")
	}
	if err != nil {
		return Person{}, err
	}
	if err := a.close(); err != nil {
		return Person{}, err
	}
	p, err := a.client.findPerson(a.client.past().head(), kid.String())
	return p, errors.Join(err, historyErr)
}

// close notes that all is done. The invitation stays for a day: the guest's
// machine may have died before it had the answer.
func (a *admission) close() error {
	a.invite.Done = true
	return a.keep()
}

// admit appends the `member` statement, if the chain does not have it yet.
func (a *admission) admit(ctx context.Context) (chain.State, error) {
	c, kid := a.client, chain.KidOf(a.offer.Ed)
	a.invite.Signed = true
	if err := a.keep(); err != nil {
		return chain.State{}, err
	}
	_, err := c.append(ctx, "admit", func(h chain.Head, s chain.State) (chain.Statement, error) {
		if _, there := s.Members[kid]; there {
			return nil, errGone
		}
		tracks, err := a.invite.Rights.tracks(s)
		return chain.AddMember{
			Head: h, Ed: a.offer.Ed, X: a.offer.X, Recovery: a.offer.Recovery,
			Role: a.invite.Role, Share: mayShare(a.invite.Role), AllTracks: a.invite.Rights.All, Tracks: tracks,
		}, err
	})
	if err != nil && !errors.Is(err, errGone) {
		return chain.State{}, err
	}
	state := c.past().head()
	if m, ok := state.Members[kid]; !ok || string(m.X) != string(a.offer.X) || string(m.Recovery) != string(a.offer.Recovery) {
		return state, fmt.Errorf("member: confirm: %w: the household has other keys for this person", latchkey.ErrVerify)
	}
	a.step("Signed into the household.")
	return state, nil
}

// answer tells the guest where the chain has his keys.
func (a *admission) answer(ctx context.Context, state chain.State, m chain.Member) error {
	if a.invite.Answered && !a.invite.Done {
		return nil
	}
	c := a.client
	at := c.past().states[m.Seq]
	mail, err := a.code.SealAnswer(a.offer, keys.Answer{Household: state.Household, Seq: at.Seq, Hash: at.Hash})
	if err != nil {
		return fmt.Errorf("member: confirm: %w", err)
	}
	box := a.code.Rendezvous()
	_, err = call(ctx, c, "answer the guest", c.api.pairing.PutMail, &latchkeyv1.PutMailRequest{
		Rendezvous: box[:], Slot: latchkeyv1.MailSlot_MAIL_SLOT_ANSWER, Body: mail,
	})
	if errors.Is(err, latchkey.ErrConflict) {
		// Ours, from an earlier try; or somebody's who knows the box: then the
		// guest will not believe it, and has to be invited again.
		a.step("An answer is in the box already.")
		err = nil
	}
	if err != nil {
		return err
	}
	a.invite.Answered = true
	return a.keep()
}

// give grants the past that was promised. It waits for the public log like any
// grant; while that is away the guest is a member all the same, and the past
// follows with a later command.
func (a *admission) give(ctx context.Context, state chain.State, m chain.Member) error {
	p := a.invite
	if p.Given || !p.Past.All && p.Past.Days <= 0 {
		return nil
	}
	c := a.client
	if p.Grant == nil {
		g, err := c.historyGrant(ctx, m, p.Past, state)
		if err != nil {
			return err
		}
		if g != nil {
			p.Grant, p.Capsule = &g.Grant, g.Capsule
		}
		if err := a.keep(); err != nil {
			return err
		}
	}
	if p.Grant == nil {
		p.Given = true
		return a.keep()
	}
	pending := &pendingGrant{Grant: *p.Grant, Capsule: p.Capsule, Made: time.Now().Unix()}
	if err := c.keepPending(pending); err != nil {
		return err
	}
	err := c.issue(ctx, pending, c.logWait, func(s GrantStep) {
		switch s {
		case StepWritten:
			a.step("The past is granted; its keys leave this machine when the public log has it.")
		case StepLogAway:
			a.step("The public log cannot be read now; waiting for it …")
		case StepReleased:
			a.step("The past is shared.")
		}
	})
	if err != nil && !errors.Is(err, ErrLogWaits) {
		return err
	}
	p.Given, p.Grant, p.Capsule = true, nil, nil
	return errors.Join(err, a.keep())
}
