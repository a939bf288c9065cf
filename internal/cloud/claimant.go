package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// claimant checks a `login` note signed by the new key of a claim, and returns
// the claim with what its notes name. It makes no session. An unknown claim, and
// a wrong signature, look like any sign-in that fails.
func (c *contactService) claimant(ctx context.Context, raw []byte) (catalog.Claim, chain.Claim, error) {
	note, err := chain.ParseNote(raw)
	if err != nil {
		return catalog.Claim{}, chain.Claim{}, err
	}
	login, err := chain.ParseLogin(note)
	if err != nil {
		return catalog.Claim{}, chain.Claim{}, err
	}
	if err := c.s.logins.take(login, time.Now()); err != nil {
		return catalog.Claim{}, chain.Claim{}, err
	}
	wrong := fmt.Errorf("cloud: claim: %w: no claim names this key, or a wrong signature", latchkey.ErrUnauthenticated)
	if _, _, err := c.s.contacts(ctx, login.Household); errors.Is(err, latchkey.ErrNotFound) {
		return catalog.Claim{}, chain.Claim{}, wrong
	} else if err != nil {
		return catalog.Claim{}, chain.Claim{}, err
	}
	row, err := c.s.catalog.ClaimOf(ctx, login.Household, login.By)
	if errors.Is(err, latchkey.ErrNotFound) {
		return row, chain.Claim{}, wrong
	}
	if err != nil {
		return row, chain.Claim{}, err
	}
	_, named, err := parseClaim(row.Notes[0].Note)
	if err != nil {
		return row, named, err
	}
	if note.Verify(named.Ed) != nil {
		return row, named, wrong
	}
	return row, named, nil
}

// ripe reports whether a claim may return its member: it is open, the wait is
// over, and two contacts have given their shares.
func (c *contactService) ripe(claim catalog.Claim) bool {
	return claim.State == catalog.ClaimOpen && !time.Now().Before(c.waitOver(claim)) && claim.Shares() >= sharesToReturn
}

func (c *contactService) PollClaim(ctx context.Context, req *connect.Request[v1.PollClaimRequest]) (*connect.Response[v1.PollClaimResponse], error) {
	claim, named, err := c.claimant(ctx, req.Msg.GetLogin())
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	res := &v1.PollClaimResponse{Claim: c.info(claim)}
	if c.ripe(claim) {
		err = c.hand(ctx, claim, named, req.Msg.GetFromSeq(), res)
	}
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	return connect.NewResponse(res), nil
}

// hand fills in what a claimant needs to return.
func (c *contactService) hand(ctx context.Context, claim catalog.Claim, named chain.Claim, from uint64, res *v1.PollClaimResponse) error {
	_, sets, err := c.s.contacts(ctx, claim.Household)
	if err != nil {
		return err
	}
	set, ok := setOf(sets, named.Member)
	if !ok || set.Dead || set.Set != named.Set {
		return fmt.Errorf("cloud: poll claim: %w: the contacts have changed", latchkey.ErrRefused)
	}
	vault, err := c.s.catalog.GetVault(ctx, claim.Household, named.Member)
	if err != nil {
		return err
	}
	if from > 1<<62 {
		return fmt.Errorf("cloud: poll claim: %w: seq %d", latchkey.ErrInvalid, from)
	}
	if res.Chain, err = c.s.catalog.Statements(ctx, claim.Household, from, maxStatements); err != nil {
		return err
	}
	res.Wrap, res.Vault, res.Version = set.Wrap, vault.Vault, vault.Version
	for _, n := range claim.Notes {
		if len(n.Share) > 0 {
			res.Shares = append(res.Shares, n.Share)
		}
	}
	return nil
}

// rekeyOf checks that a statement is the rekey that a claim stands for: by the
// lost key, of exactly the three claimed keys.
func rekeyOf(note chain.Note, named chain.Claim) error {
	st, err := chain.ParseStatement(note)
	if err != nil {
		return err
	}
	r, ok := st.(chain.Rekey)
	if !ok || r.Kid != named.Member || r.By != named.Member ||
		!bytes.Equal(r.Ed, named.Ed) || !bytes.Equal(r.X, named.X) || !bytes.Equal(r.Recovery, named.Recovery) {
		return fmt.Errorf("cloud: finish claim: %w: not a rekey of the claimed keys", latchkey.ErrRefused)
	}
	return nil
}
