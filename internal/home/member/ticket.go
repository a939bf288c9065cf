package member

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/ledger"
)

// TicketTopics are what a ticket may be about before anybody may read its words.
var TicketTopics = [...]string{"offline", "clock", "line", "password", "codec", "footage", "other"}

// healthTime is how long hubs report for a ticket unless it is closed before.
const healthTime = 7 * 24 * time.Hour

// Ticket is one conversation with the operator's support.
type Ticket struct {
	N        uint64
	Topic    string
	State    string // open or closed
	Agent    string // id of staff; empty: nobody has it now
	Opened   time.Time
	Updated  time.Time
	Messages int
}

// Letter is one message of a ticket, opened and verified.
type Letter struct {
	By    string // name of a member, or id of staff; empty when not known
	Staff bool   // written by staff
	Mine  bool
	At    time.Time // by the writer's clock
	Words string
	about about
}

// about is what a message says to programs.
type about struct {
	V      int      `json:"v"`
	Grant  string   `json:"grant,omitempty"`  // hex
	Camera string   `json:"camera,omitempty"` // its name, which the household tells here
	Video  string   `json:"video,omitempty"`  // hex, of its picture's track
	Ask    string   `json:"ask,omitempty"`    // footage: support asks for some
	Health *consent `json:"health,omitempty"`
}

// consent is what a household says of the reports of its hubs.
type consent struct {
	On bool   `json:"on"`
	To string `json:"to"` // id of staff
}

// ErrNoStaff is a server on which nobody of support is there now.
var ErrNoStaff = fmt.Errorf("%w: nobody of support is there now", latchkey.ErrUnavailable)

// TicketRequest opens a ticket.
type TicketRequest struct {
	Topic string
	Words string
	// Health lets the person who gets the ticket see how hubs and cameras are: bit
	// rates, errors, clocks; never names, pictures or events.
	Health bool
}

// OpenTicket opens a ticket with the operator's support. The server names who has
// it; what is written is sealed to that person, once the public log has proven
// that he is staff, and to the members of the household.
func (c *Client) OpenTicket(ctx context.Context, req TicketRequest) (Ticket, error) {
	fail := func(err error) (Ticket, error) { return Ticket{}, fmt.Errorf("member: open ticket: %w", err) }
	if _, err := c.refresh(ctx); err != nil {
		return fail(err)
	}
	res, err := call(ctx, c, "open ticket", c.api.ticket.OpenTicket, &latchkeyv1.OpenTicketRequest{Topic: req.Topic})
	if errors.Is(err, latchkey.ErrUnavailable) {
		return fail(ErrNoStaff)
	}
	if err != nil {
		return fail(err)
	}
	agent, err := c.provenStaff(ctx, res.Agent)
	if err == nil {
		says := about{}
		if req.Health {
			says.Health = &consent{On: true, To: agent.ID}
		}
		err = c.writeTo(ctx, res.Ticket, req.Words, says, &agent)
	}
	if err != nil { // a ticket without a word helps nobody
		_, closed := call(context.WithoutCancel(ctx), c, "close ticket", c.api.ticket.CloseTicket, &latchkeyv1.CloseTicketRequest{Ticket: res.Ticket})
		return fail(errors.Join(err, closed))
	}
	if req.Health {
		if err := c.letSeeHealth(ctx, res.Ticket, agent); err != nil {
			return fail(err)
		}
	}
	t, _, err := c.Ticket(ctx, res.Ticket)
	return t, err
}

// provenStaff holds a staff note against the pinned policy: signed by its staff
// root, in the public log, for now, and for support (claim C14).
func (c *Client) provenStaff(ctx context.Context, e *latchkeyv1.StaffEntry) (ledger.Staff, error) {
	if e == nil {
		return ledger.Staff{}, ErrNoStaff
	}
	policy, err := c.pinnedPolicy(ctx)
	if err != nil {
		return ledger.Staff{}, err
	}
	s, err := provenStaff(policy, e)
	if err == nil && s.Role != ledger.RoleSupport {
		err = fmt.Errorf("%w: the server names somebody in the role %s as support", latchkey.ErrVerify, s.Role)
	}
	if err == nil && time.Since(time.Unix(s.Trained, 0)) > trainingLife {
		err = fmt.Errorf("%w: the server names somebody as support who was not trained within a year", latchkey.ErrVerify)
	}
	return s, err
}

// trainingLife is how long a training counts.
const trainingLife = 365 * 24 * time.Hour

func provenStaff(policy *ledger.Policy, e *latchkeyv1.StaffEntry) (ledger.Staff, error) {
	if len(e.GetProof()) == 0 {
		return ledger.Staff{}, fmt.Errorf("%w: who is to help is not in the public log yet; try again in a few seconds", latchkey.ErrUnavailable)
	}
	proof, err := ledger.ParseProof(e.GetProof())
	if err != nil {
		return ledger.Staff{}, fmt.Errorf("%w: %w", latchkey.ErrVerify, err)
	}
	s, err := policy.ProvenStaff(e.GetNote(), proof, time.Now())
	if err != nil && !errors.Is(err, latchkey.ErrVerify) {
		err = fmt.Errorf("%w: %w", latchkey.ErrVerify, err)
	}
	return s, err
}

// letSeeHealth has every hub report to the one who has a ticket.
func (c *Client) letSeeHealth(ctx context.Context, n uint64, to ledger.Staff) error {
	state := c.past().head()
	args := map[string]any{"ticket": n, "to": base64.StdEncoding.EncodeToString(to.X), "until": time.Now().Add(healthTime - time.Hour).Unix()}
	return c.tellHubs(ctx, state, "health", args)
}

// tellHubs sends one command to every hub. One that is away does not hold up the
// others, and is no error: what is asked for is about now.
func (c *Client) tellHubs(ctx context.Context, state chain.State, op string, args any) error {
	var errs []error
	for kid := range state.Hubs {
		if err := c.send(ctx, state, kid, op, args); err != nil && !errors.Is(err, latchkey.ErrUnavailable) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// writeTo writes a message into a ticket: to all proven members and, if there is one, to
// the agent.
func (c *Client) writeTo(ctx context.Context, n uint64, words string, a about, agent *ledger.Staff) error {
	state := c.past().head()
	m := chain.Message{Household: state.Household, Ticket: n, By: c.kid(), Time: time.Now().Unix(), Nonce: newSalt(), Words: words}
	note, err := signMessage(m, a, c.vault.Signing)
	if err != nil {
		return err
	}
	var readers [][]byte
	for kid, member := range state.Members {
		// Add late: nothing is sealed to keys that the log has not proven.
		if kid == c.kid() || state.Log == "" || c.past().keysSince(kid) <= c.covered() {
			readers = append(readers, member.X)
		}
	}
	if agent != nil {
		readers = append(readers, agent.X)
	}
	letters, err := sealLetters(state.Household, note, readers)
	if err != nil {
		return err
	}
	_, err = call(ctx, c, "write message", c.api.ticket.PutMessage, &latchkeyv1.PutMessageRequest{Ticket: n, Letters: letters})
	return err
}

func signMessage(m chain.Message, a about, key chain.Signer) ([]byte, error) {
	if a != (about{}) {
		a.V = 1
		doc, err := json.Marshal(a)
		if err != nil {
			return nil, err
		}
		m.About = doc
	}
	text, err := m.Text()
	if err != nil {
		return nil, err
	}
	return chain.SignNote(text, key), nil
}

// sealLetters seals one note to each reader.
func sealLetters(h latchkey.HouseholdID, note []byte, readers [][]byte) ([]*latchkeyv1.Letter, error) {
	var out []*latchkeyv1.Letter
	for _, x := range readers {
		sealed, err := keys.SealLetter(h, x, note)
		if err != nil {
			return nil, err
		}
		kid := chain.KidOf(x)
		out = append(out, &latchkeyv1.Letter{Kid: kid[:], Body: sealed})
	}
	return out, nil
}

// Tickets lists the household's tickets, the newest first.
func (c *Client) Tickets(ctx context.Context) ([]Ticket, error) {
	res, err := call(ctx, c, "list tickets", c.api.ticket.ListTickets, &latchkeyv1.ListTicketsRequest{})
	if err != nil {
		return nil, err
	}
	return ticketsOf(res.Tickets), nil
}

func ticketsOf(list []*latchkeyv1.Ticket) []Ticket {
	out := make([]Ticket, len(list))
	for i, t := range list {
		out[i] = ticketOf(t)
	}
	return out
}

func ticketOf(t *latchkeyv1.Ticket) Ticket {
	return Ticket{
		N: t.GetTicket(), Topic: t.GetTopic(), State: t.GetState(), Agent: t.GetAgent(), Messages: int(t.GetMessages()),
		Opened: time.UnixMilli(t.GetOpenedMs()).UTC(), Updated: time.UnixMilli(t.GetUpdatedMs()).UTC(),
	}
}

// Ticket reads one ticket and its messages. A letter that does not open, or whose
// signature does not hold, is left out and counted in the log: anybody can write
// one.
func (c *Client) Ticket(ctx context.Context, n uint64) (Ticket, []Letter, error) {
	state, err := c.refresh(ctx)
	if err != nil {
		return Ticket{}, nil, err
	}
	res, err := call(ctx, c, "read ticket", c.api.ticket.GetTicket, &latchkeyv1.GetTicketRequest{Ticket: n})
	if err != nil {
		return Ticket{}, nil, err
	}
	var letters []Letter
	agent, agentErr := c.provenStaff(ctx, res.Agent)
	for _, sealed := range res.Letters {
		l, err := c.openLetter(state, n, sealed, agent, agentErr == nil)
		if err != nil {
			c.log.Warn("a message of a ticket was left out", "ticket", n, "err", err)
			continue
		}
		letters = append(letters, l)
	}
	return ticketOf(res.Ticket), letters, nil
}

func (c *Client) openLetter(state chain.State, n uint64, sealed []byte, agent ledger.Staff, proven bool) (Letter, error) {
	raw, err := keys.OpenLetter(c.sealing(), state.Household, sealed)
	if err != nil {
		return Letter{}, err
	}
	note, m, err := readMessage(raw, state.Household, n)
	if err != nil {
		return Letter{}, err
	}
	l := Letter{At: time.Unix(m.Time, 0).UTC(), Words: m.Words, about: aboutOf(m)}
	if member, ok := state.Members[m.By]; ok {
		l.By, l.Mine = c.personName(m.By, member), m.By == c.kid()
		return l, note.Verify(member.Ed)
	}
	if !proven || chain.KidOf(agent.Ed) != m.By {
		return Letter{}, fmt.Errorf("%w: written by nobody who has the ticket", latchkey.ErrVerify)
	}
	l.By, l.Staff = agent.ID, true
	return l, note.Verify(agent.Ed)
}

// readMessage reads a message note of a ticket; its signature is for the caller.
func readMessage(raw []byte, h latchkey.HouseholdID, n uint64) (chain.Note, chain.Message, error) {
	note, err := chain.ParseNote(raw)
	if err != nil {
		return note, chain.Message{}, err
	}
	m, err := chain.ParseMessage(note)
	if err == nil && (m.Household != h || m.Ticket != n) {
		err = fmt.Errorf("%w: it belongs to another ticket", latchkey.ErrVerify)
	}
	return note, m, err
}

func aboutOf(m chain.Message) about {
	var a about
	if m.About == nil || json.Unmarshal(m.About, &a) != nil || a.V != 1 {
		return about{}
	}
	return a
}

// ReplyTicket writes into an open ticket.
func (c *Client) ReplyTicket(ctx context.Context, n uint64, words string) error {
	if _, err := c.refresh(ctx); err != nil {
		return err
	}
	agent, err := c.agentOf(ctx, n)
	if err != nil && !errors.Is(err, ErrNoStaff) {
		return fmt.Errorf("member: reply: %w", err)
	}
	to := &agent
	if err != nil {
		to = nil
	}
	return c.writeTo(ctx, n, words, about{}, to)
}

// TicketHealth lets whoever has a ticket now see how hubs and cameras are, as
// OpenTicket does, or ends it; the conversation says so.
func (c *Client) TicketHealth(ctx context.Context, n uint64, on bool) error {
	fail := func(err error) error { return fmt.Errorf("member: health for a ticket: %w", err) }
	state, err := c.refresh(ctx)
	if err != nil {
		return fail(err)
	}
	words := "My hubs report to you how they are, until this ticket is closed."
	if !on { // whoever has it
		words = "My hubs do not report to you any more."
		if err := c.tellHubs(ctx, state, "health-end", map[string]any{"ticket": n}); err != nil {
			return fail(err)
		}
	}
	agent, err := c.agentOf(ctx, n)
	if errors.Is(err, ErrNoStaff) && !on {
		return nil
	}
	if err == nil && on {
		err = c.letSeeHealth(ctx, n, agent)
	}
	if err == nil {
		err = c.writeTo(ctx, n, words, about{Health: &consent{On: on, To: agent.ID}}, &agent)
	}
	if err != nil {
		return fail(err)
	}
	return nil
}

// agentOf is who has a ticket, proven to be staff.
func (c *Client) agentOf(ctx context.Context, n uint64) (ledger.Staff, error) {
	res, err := call(ctx, c, "read ticket", c.api.ticket.GetTicket, &latchkeyv1.GetTicketRequest{Ticket: n})
	if err != nil {
		return ledger.Staff{}, err
	}
	return c.provenStaff(ctx, res.Agent)
}

// CloseTicket ends a ticket, the reports of hubs for it, and what was granted for
// it.
func (c *Client) CloseTicket(ctx context.Context, n uint64) error {
	state, err := c.refresh(ctx)
	if err != nil {
		return err
	}
	// What was let see first: a ticket that is closed ends nothing by itself.
	var errs []error
	for id, g := range state.Grants {
		st, ok := c.past().grantAt(g.Seq)
		if ok && g.Kind == chain.GrantStaff && !g.Revoked && st.Purpose == purposeOf(n) && time.Now().Unix() < g.Until {
			_, err := c.RevokeGrant(ctx, id.String())
			errs = append(errs, err)
		}
	}
	errs = append(errs, c.tellHubs(ctx, state, "health-end", map[string]any{"ticket": n}))
	_, err = call(ctx, c, "close ticket", c.api.ticket.CloseTicket, &latchkeyv1.CloseTicketRequest{Ticket: n})
	errs = append(errs, err)
	return errors.Join(errs...)
}

// purposeOf is the purpose of grants for a ticket.
func purposeOf(n uint64) string { return fmt.Sprintf("support:%d", n) }
