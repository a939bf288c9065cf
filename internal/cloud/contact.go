package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	v1connect "latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// Limits of trusted contacts (docs/design/0004).
const (
	contactWait    = 7 * 24 * time.Hour  // from the first claim note to the first share
	claimLife      = 30 * 24 * time.Hour // then it is over
	maxOpenClaims  = 3                   // of one member at a time
	claimSkew      = 10 * time.Minute    // of a claim note's time
	maxShare       = 4 << 10             // bytes of a letter with a share
	contactWrap    = 3                   // kind of LKW1
	sharesToReturn = 2
)

// contactService implements latchkey.v1.ContactService.
type contactService struct {
	v1connect.UnimplementedContactServiceHandler
	s *Server
}

// contacts returns a household's state and those of its sets that still stand.
// A set dies with the keys of its owner or of a contact: what rests on it is
// deleted here, when anybody looks, and after every statement that removes.
func (s *Server) contacts(ctx context.Context, h latchkey.HouseholdID) (chain.State, []catalog.ContactSet, error) {
	state, err := s.homes.state(ctx, h)
	if err != nil {
		return state, nil, err
	}
	if err := s.catalog.ExpireClaims(ctx, h, time.Now().Add(-claimLife)); err != nil {
		return state, nil, err
	}
	sets, err := s.catalog.ContactSets(ctx, h)
	if err != nil {
		return state, nil, err
	}
	for i := range sets {
		if _, ok := state.Members[sets[i].Owner]; !ok {
			if err := s.dropOwner(ctx, state, sets[i]); err != nil {
				return state, nil, err
			}
			sets[i].Dead = true
		}
		if !sets[i].Dead && !contactsThere(state, sets[i]) {
			if err := s.catalog.KillContacts(ctx, h, sets[i].Owner); err != nil {
				return state, nil, err
			}
			sets[i].Dead = true
			s.log.InfoContext(ctx, "trusted contacts end: one of them has gone", "household", h, "owner", sets[i].Owner)
		}
	}
	return state, sets, nil
}

// dropOwner deletes the set of a member who has gone, or has new keys. If those
// are the keys of a claim, the claim is done.
func (s *Server) dropOwner(ctx context.Context, state chain.State, set catalog.ContactSet) error {
	claims, err := s.catalog.Claims(ctx, set.Household, time.Now().Add(-claimLife))
	if err != nil {
		return err
	}
	for _, c := range claims {
		if _, back := state.Members[c.Claimed]; back && c.Member == set.Owner && c.State == catalog.ClaimOpen {
			if err := s.catalog.DoneClaim(ctx, c.Household, c.ID); err != nil {
				return err
			}
		}
	}
	return s.catalog.DropContacts(ctx, set.Household, set.Owner, catalog.ClaimEnded)
}

func contactsThere(state chain.State, set catalog.ContactSet) bool {
	for _, l := range set.Letters {
		if _, ok := state.Members[l.Contact]; !ok {
			return false
		}
	}
	return true
}

// setOf finds the set of an owner among sets.
func setOf(sets []catalog.ContactSet, owner latchkey.Kid) (catalog.ContactSet, bool) {
	for _, s := range sets {
		if s.Owner == owner {
			return s, true
		}
	}
	return catalog.ContactSet{}, false
}

func (c *contactService) SetContacts(ctx context.Context, req *connect.Request[v1.SetContactsRequest]) (*connect.Response[v1.SetContactsResponse], error) {
	session := sessionOf(ctx)
	state, _, err := c.s.contacts(ctx, session.Household)
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	set, err := parseContacts(req.Msg, state, session)
	if err == nil {
		err = c.s.stepUp(ctx, session, purposeWraps(), req.Msg.GetStepUp())
	}
	if err == nil {
		err = c.s.catalog.PutContacts(ctx, set)
	}
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	c.s.log.InfoContext(ctx, "trusted contacts chosen", "household", session.Household, "owner", session.Kid)
	return connect.NewResponse(&v1.SetContactsResponse{}), nil
}

// parseContacts checks the form of a set: three other members, and to each a
// letter that is sealed to him.
func parseContacts(m *v1.SetContactsRequest, state chain.State, session catalog.Session) (catalog.ContactSet, error) {
	set := catalog.ContactSet{Household: session.Household, Owner: session.Kid, Wrap: m.GetWrap(), Created: time.Now()}
	bad := func(why string) (catalog.ContactSet, error) {
		return set, fmt.Errorf("cloud: set contacts: %w: %s", latchkey.ErrInvalid, why)
	}
	if len(m.GetSet()) != len(set.Set) || len(m.GetLetters()) != chain.Shares {
		return bad("want a set id of 16 bytes and three letters")
	}
	set.Set = [latchkey.IDSize]byte(m.GetSet())
	if w := set.Wrap; len(w) != wrapSize || string(w[:len(wrapMagic)]) != wrapMagic || w[wrapKindAt] != contactWrap {
		return bad("want a wrap of kind 3")
	}
	for _, l := range m.GetLetters() {
		if len(l.GetKid()) != latchkey.IDSize {
			return bad("a kid of another length")
		}
		kid := latchkey.Kid(l.GetKid())
		member, ok := state.Members[kid]
		if !ok || kid == session.Kid || set.HasContact(kid) {
			return bad("want three other members, each once")
		}
		if err := checkSealed(letterMagic, l.GetBody(), maxShare, chain.KidOf(member.X)); err != nil {
			return set, fmt.Errorf("cloud: set contacts: %w", err)
		}
		set.Letters = append(set.Letters, catalog.ContactLetter{Contact: kid, Letter: l.GetBody()})
	}
	return set, nil
}

func (c *contactService) RemoveContacts(ctx context.Context, _ *connect.Request[v1.RemoveContactsRequest]) (*connect.Response[v1.RemoveContactsResponse], error) {
	session := sessionOf(ctx)
	if err := c.s.catalog.DropContacts(ctx, session.Household, session.Kid, catalog.ClaimEnded); err != nil {
		return nil, c.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.RemoveContactsResponse{}), nil
}

func (c *contactService) GetContacts(ctx context.Context, _ *connect.Request[v1.GetContactsRequest]) (*connect.Response[v1.GetContactsResponse], error) {
	session := sessionOf(ctx)
	_, sets, err := c.s.contacts(ctx, session.Household)
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	set, ok := setOf(sets, session.Kid)
	if !ok {
		return nil, c.s.answer(ctx, fmt.Errorf("cloud: get contacts: %w", latchkey.ErrNotFound))
	}
	res := &v1.GetContactsResponse{Set: set.Set[:], CreatedMs: set.Created.UnixMilli(), Dead: set.Dead}
	for _, l := range set.Letters {
		res.Contacts = append(res.Contacts, l.Contact[:])
	}
	return connect.NewResponse(res), nil
}

func (c *contactService) ListEntrusted(ctx context.Context, _ *connect.Request[v1.ListEntrustedRequest]) (*connect.Response[v1.ListEntrustedResponse], error) {
	session := sessionOf(ctx)
	_, sets, err := c.s.contacts(ctx, session.Household)
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	res := &v1.ListEntrustedResponse{}
	for _, set := range sets {
		for _, l := range set.Letters {
			if l.Contact == session.Kid && !set.Dead {
				res.Entrusted = append(res.Entrusted, &v1.Entrusted{Owner: set.Owner[:], Set: set.Set[:], Letter: l.Letter, CreatedMs: set.Created.UnixMilli()})
			}
		}
	}
	return connect.NewResponse(res), nil
}

func (c *contactService) PutClaim(ctx context.Context, req *connect.Request[v1.PutClaimRequest]) (*connect.Response[v1.PutClaimResponse], error) {
	id, err := c.putClaim(ctx, sessionOf(ctx), req.Msg.GetNote())
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.PutClaimResponse{Claim: id[:]}), nil
}

func (c *contactService) putClaim(ctx context.Context, session catalog.Session, raw []byte) (id chain.ClaimID, err error) {
	note, claim, err := parseClaim(raw)
	if err != nil {
		return id, err
	}
	now := time.Now()
	if claim.By != session.Kid || now.Sub(time.Unix(claim.Time, 0)).Abs() > claimSkew {
		return id, fmt.Errorf("cloud: claim: %w: a contact signs his own, now", latchkey.ErrRefused)
	}
	state, _, err := c.s.contacts(ctx, session.Household)
	if err != nil {
		return id, err
	}
	if err := state.CheckClaim(note, claim); err != nil {
		return id, err
	}
	row := catalog.Claim{Household: session.Household, ID: claim.ID(), Member: claim.Member, Set: claim.Set, Claimed: chain.KidOf(claim.Ed)}
	err = c.s.catalog.PutClaim(ctx, row, catalog.ClaimNote{Contact: session.Kid, Note: note.Raw}, maxOpenClaims, now)
	if errors.Is(err, latchkey.ErrRefused) {
		err = fmt.Errorf("cloud: claim: %w: not a contact of theirs (any more), or this claim is over", latchkey.ErrRefused)
	}
	if err == nil {
		c.s.log.InfoContext(ctx, "claim", "household", session.Household, "claim", row.ID, "member", row.Member, "contact", session.Kid)
	}
	return row.ID, err
}

func parseClaim(raw []byte) (chain.Note, chain.Claim, error) {
	note, err := chain.ParseNote(raw)
	if err != nil {
		return note, chain.Claim{}, err
	}
	claim, err := chain.ParseClaim(note)
	return note, claim, err
}

func (c *contactService) ListClaims(ctx context.Context, _ *connect.Request[v1.ListClaimsRequest]) (*connect.Response[v1.ListClaimsResponse], error) {
	session := sessionOf(ctx)
	if _, _, err := c.s.contacts(ctx, session.Household); err != nil {
		return nil, c.s.answer(ctx, err)
	}
	claims, err := c.s.catalog.Claims(ctx, session.Household, time.Now().Add(-claimLife))
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	res := &v1.ListClaimsResponse{}
	for _, claim := range claims {
		res.Claims = append(res.Claims, c.info(claim))
	}
	return connect.NewResponse(res), nil
}

func (c *contactService) info(claim catalog.Claim) *v1.ClaimInfo {
	states := map[catalog.ClaimState]v1.ClaimState{
		catalog.ClaimOpen: v1.ClaimState_CLAIM_STATE_OPEN, catalog.ClaimStopped: v1.ClaimState_CLAIM_STATE_STOPPED,
		catalog.ClaimEnded: v1.ClaimState_CLAIM_STATE_ENDED, catalog.ClaimDone: v1.ClaimState_CLAIM_STATE_DONE,
	}
	info := &v1.ClaimInfo{
		Claim: claim.ID[:], Member: claim.Member[:], State: states[claim.State], FirstMs: claim.First.UnixMilli(),
		UntilMs: c.waitOver(claim).UnixMilli(),
	}
	if claim.State == catalog.ClaimStopped {
		info.StoppedBy = claim.StoppedBy[:]
	}
	for _, n := range claim.Notes {
		info.Notes = append(info.Notes, n.Note)
		if len(n.Share) > 0 {
			info.Released = append(info.Released, n.Contact[:])
		}
	}
	return info
}

func (c *contactService) waitOver(claim catalog.Claim) time.Time {
	return claim.First.Add(c.s.cfg.ContactWait)
}

func (c *contactService) StopClaim(ctx context.Context, req *connect.Request[v1.StopClaimRequest]) (*connect.Response[v1.StopClaimResponse], error) {
	session := sessionOf(ctx)
	claim, state, err := c.claim(ctx, session, req.Msg.GetClaim())
	if err == nil && session.Kid != claim.Member && state.Members[session.Kid].Role != chain.RoleAdmin {
		err = fmt.Errorf("cloud: stop claim: %w: an admin can, or whom it is about", latchkey.ErrRefused)
	}
	if err == nil {
		err = c.s.catalog.StopClaim(ctx, session.Household, claim.ID, session.Kid)
	}
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	c.s.log.InfoContext(ctx, "claim stopped", "household", session.Household, "claim", claim.ID, "by", session.Kid)
	return connect.NewResponse(&v1.StopClaimResponse{}), nil
}

func (c *contactService) claim(ctx context.Context, session catalog.Session, id []byte) (catalog.Claim, chain.State, error) {
	if len(id) != latchkey.IDSize {
		return catalog.Claim{}, chain.State{}, fmt.Errorf("cloud: claim: %w: an id of %d bytes", latchkey.ErrInvalid, len(id))
	}
	state, _, err := c.s.contacts(ctx, session.Household)
	if err != nil {
		return catalog.Claim{}, state, err
	}
	claim, err := c.s.catalog.Claim(ctx, session.Household, chain.ClaimID(id))
	return claim, state, err
}

func (c *contactService) PutShare(ctx context.Context, req *connect.Request[v1.PutShareRequest]) (*connect.Response[v1.PutShareResponse], error) {
	session := sessionOf(ctx)
	claim, _, err := c.claim(ctx, session, req.Msg.GetClaim())
	if err == nil {
		err = c.putShare(ctx, session, claim, req.Msg.GetLetter())
	}
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	c.s.log.InfoContext(ctx, "share given", "household", session.Household, "claim", claim.ID, "contact", session.Kid)
	return connect.NewResponse(&v1.PutShareResponse{}), nil
}

func (c *contactService) putShare(ctx context.Context, session catalog.Session, claim catalog.Claim, letter []byte) error {
	now := time.Now()
	if claim.State == catalog.ClaimOpen && now.Before(c.waitOver(claim)) {
		return fmt.Errorf("cloud: put share: %w: the wait is not over", latchkey.ErrRefused)
	}
	_, named, err := parseClaim(claim.Notes[0].Note)
	if err != nil {
		return err
	}
	if err := checkSealed(letterMagic, letter, maxShare, chain.KidOf(named.X)); err != nil {
		return fmt.Errorf("cloud: put share: %w", err)
	}
	err = c.s.catalog.PutShare(ctx, session.Household, claim.ID, session.Kid, letter, now.Add(-c.s.cfg.ContactWait))
	if errors.Is(err, latchkey.ErrConflict) {
		return fmt.Errorf("cloud: put share: %w: the claim is over, or this contact has not signed it", latchkey.ErrRefused)
	}
	return err
}
