package cloud

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/ledger"
)

// Limits of what members leave for one another, in bytes.
const (
	maxCapsule = 4 << 20
	maxLetter  = 64 << 10
	maxLetters = 64
)

// grantOf finds a grant of the caller's household, with the caller.
func (s *Server) grantOf(ctx context.Context, session catalog.Session, id []byte) (latchkey.GrantID, chain.Grant, chain.Member, error) {
	if len(id) != latchkey.IDSize {
		return latchkey.GrantID{}, chain.Grant{}, chain.Member{}, fmt.Errorf("cloud: grant: %w: an id of %d bytes", latchkey.ErrInvalid, len(id))
	}
	state, err := s.homes.state(ctx, session.Household)
	if err != nil {
		return latchkey.GrantID{}, chain.Grant{}, chain.Member{}, err
	}
	g, ok := state.Grants[latchkey.GrantID(id)]
	if !ok {
		err = fmt.Errorf("cloud: grant: %w", latchkey.ErrNotFound)
	}
	return latchkey.GrantID(id), g, state.Members[session.Kid], err
}

// inForce: a grant is served until it is revoked or its time has passed.
func inForce(g chain.Grant, now time.Time) bool { return !g.Revoked && now.Unix() < g.Until }

// mayPut checks that the caller may release the capsule of a grant, that it is
// the one that the grant names, and that the grant stands in the public log.
func (s *Server) mayPut(ctx context.Context, session catalog.Session, grant, capsule, proof []byte) (latchkey.GrantID, chain.Grant, error) {
	id, g, member, err := s.grantOf(ctx, session, grant)
	mayPut := member.Role == chain.RoleAdmin || member.Role != chain.RoleViewer && g.By == session.Kid
	switch {
	case err != nil:
	case !mayPut:
		err = fmt.Errorf("cloud: put capsule: %w: it is neither your grant nor are you an admin", latchkey.ErrRefused)
	case !inForce(g, time.Now()):
		err = fmt.Errorf("cloud: put capsule: %w: the grant has ended", latchkey.ErrRefused)
	case chain.TextHash(capsule) != g.Capsule:
		err = fmt.Errorf("cloud: put capsule: %w: it is not the one that the grant names", latchkey.ErrVerify)
	default:
		err = checkSealed(capsuleMagic, capsule, maxCapsule, g.To)
	}
	if err == nil {
		err = s.checkProof(ctx, session.Household, g.Seq, proof)
	}
	return id, g, err
}

// checkProof checks that a statement is proven to stand in this server's log:
// a courtesy to those whose grantees would refuse it later.
func (s *Server) checkProof(ctx context.Context, id latchkey.HouseholdID, seq uint64, raw []byte) error {
	if len(raw) == 0 {
		return fmt.Errorf("cloud: proof: %w: a capsule is taken only with the proof that its grant stands in the public log", latchkey.ErrInvalid)
	}
	h, err := s.catalog.Household(ctx, id)
	if err != nil {
		return err
	}
	note, err := s.statement(ctx, id, seq)
	if err != nil {
		return err
	}
	return proves(s.ledger.Policy(), h, seq, note, raw)
}

// proves checks that raw proves a statement's leaf, and names its tag.
func proves(policy *ledger.Policy, h catalog.Household, seq uint64, note, raw []byte) error {
	proof, err := ledger.ParseProof(raw)
	if err != nil {
		return fmt.Errorf("cloud: proof: %w", err)
	}
	n, err := chain.ParseNote(note)
	if err != nil {
		return fmt.Errorf("cloud: proof: %w", err)
	}
	leaf := ledger.Entry{Tag: ledger.TagOf(&h.LogTagKey, seq), Value: n.Hash()}
	if !bytes.Equal(proof.Extra, leaf.Tag[:]) {
		return fmt.Errorf("cloud: proof: %w: it is of another statement", latchkey.ErrVerify)
	}
	if _, err := proof.Check(policy, leaf.Encode()); err != nil {
		return fmt.Errorf("cloud: proof: %w", err)
	}
	return nil
}

// statement returns one statement of a household.
func (s *Server) statement(ctx context.Context, h latchkey.HouseholdID, seq uint64) ([]byte, error) {
	notes, err := s.catalog.Statements(ctx, h, seq, 1)
	if err == nil && len(notes) == 0 {
		err = fmt.Errorf("cloud: statement %d: %w", seq, latchkey.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return notes[0], nil
}

func (c *chainService) PutCapsule(ctx context.Context, req *connect.Request[v1.PutCapsuleRequest]) (*connect.Response[v1.PutCapsuleResponse], error) {
	m, session := req.Msg, sessionOf(ctx)
	id, g, err := c.s.mayPut(ctx, session, m.GetGrant(), m.GetCapsule(), m.GetProof())
	stored := catalog.GrantCapsule{Capsule: m.GetCapsule(), Proof: m.GetProof()}
	switch {
	case err != nil:
	case g.Release != latchkey.Kid{}:
		stored.Mask = m.GetMask()
		err = c.s.putTwoKeys(ctx, session, id, g, stored)
	default:
		err = c.s.catalog.PutGrantCapsule(ctx, session.Household, id, stored)
	}
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.PutCapsuleResponse{}), nil
}

func (c *chainService) GetCapsule(ctx context.Context, req *connect.Request[v1.GetCapsuleRequest]) (*connect.Response[v1.GetCapsuleResponse], error) {
	id, g, member, err := c.s.grantOf(ctx, sessionOf(ctx), req.Msg.GetGrant())
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	mine := g.By == sessionOf(ctx).Kid
	if g.Kind == chain.GrantMember && inForce(g, time.Now()) {
		for _, k := range member.Kids() {
			mine = mine || k == g.To
		}
	}
	if !mine {
		return nil, c.s.answer(ctx, fmt.Errorf("cloud: grant: %w", latchkey.ErrNotFound))
	}
	stored, err := c.s.catalog.GrantCapsule(ctx, sessionOf(ctx).Household, id)
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.GetCapsuleResponse{Capsule: stored.Capsule, Proof: stored.Proof}), nil
}

// maskSize is the length of an LKM1 object.
const maskSize = sealedHead + sealedTagSize + 32

// putTwoKeys stores a two-key grant: with the mask that it names, sealed to the hub
// that is to release it, and, to staff, for an open ticket of this household that
// the grantee has.
func (s *Server) putTwoKeys(ctx context.Context, session catalog.Session, id latchkey.GrantID, g chain.Grant, stored catalog.GrantCapsule) error {
	state, err := s.homes.state(ctx, session.Household)
	if err != nil {
		return err
	}
	if chain.TextHash(stored.Mask) != g.Mask {
		return fmt.Errorf("cloud: put capsule: %w: the mask is not the one that the grant names", latchkey.ErrVerify)
	}
	if err := checkSealed(maskMagic, stored.Mask, maskSize, chain.KidOf(state.Hubs[g.Release].X)); err != nil {
		return fmt.Errorf("cloud: put capsule: %w", err)
	}
	if g.Kind != chain.GrantStaff {
		return s.catalog.PutGrantCapsule(ctx, session.Household, id, stored)
	}
	t, err := s.ticketOfGrant(ctx, session.Household, g)
	if err != nil {
		return err
	}
	return s.catalog.PutTicketGrant(ctx, t.N, session.Household, id, stored)
}

// ticketOfGrant finds the ticket that the purpose of a grant to staff names.
func (s *Server) ticketOfGrant(ctx context.Context, h latchkey.HouseholdID, g chain.Grant) (catalog.Ticket, error) {
	raw, err := s.statement(ctx, h, g.Seq)
	if err != nil {
		return catalog.Ticket{}, err
	}
	n, err := chain.ParseNote(raw)
	if err != nil {
		return catalog.Ticket{}, err
	}
	st, err := chain.ParseStatement(n)
	if err != nil {
		return catalog.Ticket{}, err
	}
	given, _ := st.(chain.AddGrant)
	number, ok := strings.CutPrefix(given.Purpose, "support:")
	ticket, perr := strconv.ParseUint(number, 10, 63)
	if !ok || perr != nil {
		return catalog.Ticket{}, fmt.Errorf("cloud: put capsule: %w: the purpose of a grant to staff is support: and a ticket", latchkey.ErrRefused)
	}
	t, err := s.ticket(ctx, ticket)
	if err != nil {
		return t, err
	}
	who, err := s.staffNow(ctx, t.Agent, time.Now())
	if err != nil || t.Household != h || t.State != catalog.TicketOpen || who.XKid != g.To {
		return t, fmt.Errorf("cloud: put capsule: %w: ticket %d is not open, not yours, or another's of staff", latchkey.ErrRefused, ticket)
	}
	return t, nil
}

func (c *chainService) PutDirectory(ctx context.Context, req *connect.Request[v1.PutDirectoryRequest]) (*connect.Response[v1.PutDirectoryResponse], error) {
	session, m := sessionOf(ctx), req.Msg
	letters, err := c.letters(ctx, session, m)
	if err == nil {
		err = c.s.catalog.PutDirectory(ctx, session.Household, m.GetExpectedN(), m.GetN(), letters)
	}
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.PutDirectoryResponse{}), nil
}

// letters checks a new directory: an admin's, one letter to a member.
func (c *chainService) letters(ctx context.Context, session catalog.Session, m *v1.PutDirectoryRequest) ([]catalog.Letter, error) {
	state, err := c.s.homes.state(ctx, session.Household)
	if err != nil {
		return nil, err
	}
	if state.Members[session.Kid].Role != chain.RoleAdmin {
		return nil, fmt.Errorf("cloud: put directory: %w: only an admin may", latchkey.ErrRefused)
	}
	if m.GetN() <= m.GetExpectedN() || m.GetN() > 1<<53 || len(m.GetLetters()) > maxLetters {
		return nil, fmt.Errorf("cloud: put directory: %w: want a counter above the stored one, and at most %d letters", latchkey.ErrInvalid, maxLetters)
	}
	var out []catalog.Letter
	seen := map[latchkey.Kid]bool{}
	for _, l := range m.GetLetters() {
		if len(l.GetKid()) != latchkey.IDSize {
			return nil, fmt.Errorf("cloud: put directory: %w: a kid of %d bytes", latchkey.ErrInvalid, len(l.GetKid()))
		}
		kid := latchkey.Kid(l.GetKid())
		to, ok := state.Members[kid]
		if !ok || seen[kid] {
			return nil, fmt.Errorf("cloud: put directory: %w: a letter to nobody, or a second one", latchkey.ErrInvalid)
		}
		seen[kid] = true
		if err := checkSealed(letterMagic, l.GetBody(), maxLetter, to.Kids()...); err != nil {
			return nil, fmt.Errorf("cloud: put directory: %w", err)
		}
		out = append(out, catalog.Letter{Kid: kid, Body: l.GetBody()})
	}
	return out, nil
}

func (c *chainService) GetDirectory(ctx context.Context, _ *connect.Request[v1.GetDirectoryRequest]) (*connect.Response[v1.GetDirectoryResponse], error) {
	session := sessionOf(ctx)
	n, letter, err := c.s.catalog.Directory(ctx, session.Household, session.Kid)
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.GetDirectoryResponse{N: n, Letter: letter}), nil
}
