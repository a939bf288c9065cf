package cloud

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// FinishClaim is AppendStatement for somebody without a session: what entitles
// him is the claim, and the lost key that signs the rekey.
func (c *contactService) FinishClaim(ctx context.Context, req *connect.Request[v1.FinishClaimRequest]) (*connect.Response[v1.FinishClaimResponse], error) {
	claim, named, err := c.claimant(ctx, req.Msg.GetLogin())
	if err == nil && !c.ripe(claim) {
		err = fmt.Errorf("cloud: finish claim: %w: not yet, or not any more", latchkey.ErrRefused)
	}
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	after, err := c.finish(ctx, claim, named, req.Msg)
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.FinishClaimResponse{Seq: after.Seq}), nil
}

func (c *contactService) finish(ctx context.Context, claim catalog.Claim, named chain.Claim, m *v1.FinishClaimRequest) (chain.State, error) {
	note, err := chain.ParseNote(m.GetNote())
	if err != nil {
		return chain.State{}, err
	}
	if err := rekeyOf(note, named); err != nil {
		return chain.State{}, err
	}
	v, err := parsePut(m.GetVault(), claim.Household, claim.Claimed)
	if err != nil {
		return chain.State{}, err
	}
	if m.GetVault().GetExpectedVersion() == 0 || len(v.Wraps) != 1 || v.RecoveryID == [16]byte{} {
		return chain.State{}, fmt.Errorf("cloud: finish claim: %w: want the next vault with one wrap, by a new code, and its id", latchkey.ErrInvalid)
	}
	before, after, err := c.s.homes.append(ctx, claim.Household, note, catalog.Change{
		Household: claim.Household, Note: note.Raw, Moved: &catalog.Move{From: named.Member, To: claim.Claimed},
		Vault: &v, Expected: m.GetVault().GetExpectedVersion(),
	})
	if err != nil {
		if errors.Is(err, latchkey.ErrVerify) {
			err = fmt.Errorf("%w: %w", latchkey.ErrRefused, err)
		}
		return after, err
	}
	c.s.ledger.Kick()
	c.s.sessions.endOf(claim.Household, removed(before, after))
	c.s.hubs.notify(claim.Household, after.Seq)
	c.s.settleContacts(ctx, claim.Household, note.Type)
	c.s.log.InfoContext(ctx, "claim done", "household", claim.Household, "claim", claim.ID, "member", named.Member, "kid", claim.Claimed)
	return after, nil
}

// settleContacts deletes what a statement has taken the ground from. If it
// fails, the next look at the contacts does it.
func (s *Server) settleContacts(ctx context.Context, h latchkey.HouseholdID, noteType string) {
	if noteType != chain.TypeUnmember && noteType != chain.TypeRekey {
		return
	}
	if _, _, err := s.contacts(ctx, h); err != nil {
		s.log.WarnContext(ctx, "settling trusted contacts failed", "household", h, "err", err)
	}
}
