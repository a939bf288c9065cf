package member

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// returning is what a claimant has verified before he takes his place back.
type returning struct {
	history history
	claim   chain.Claim
	old     *keys.Vault
	version uint32
}

// Finish takes the member's place back: it verifies the chain, the contacts'
// claims and shares, opens the old vault, and puts the new keys into the chain
// with a new vault, in one call. Before the state is ready it is
// latchkey.ErrUnavailable.
func (b *Comeback) Finish(ctx context.Context) (*Client, error) {
	for range appendTries {
		res, err := b.poll(ctx, 0)
		if errors.Is(err, latchkey.ErrUnauthenticated) {
			return nil, fmt.Errorf("member: come back: %w: no contact has confirmed yet", latchkey.ErrUnavailable)
		}
		if err != nil {
			return nil, err
		}
		switch st := b.stateOf(res); st.Step {
		case "ready":
			if err = b.rekey(ctx, res); errors.Is(err, latchkey.ErrConflict) {
				continue // somebody changed the household, or it was done and the answer got lost
			} else if err != nil {
				return nil, err
			}
			return b.enter(ctx)
		case "done":
			return b.enter(ctx)
		case "stopped", "ended":
			return nil, fmt.Errorf("member: come back: %w: this claim is %s; begin again with a new link", latchkey.ErrRefused, st.Step)
		default:
			return nil, fmt.Errorf("member: come back: %w: not yet", latchkey.ErrUnavailable)
		}
	}
	return nil, fmt.Errorf("member: come back: %w: others kept changing the household", latchkey.ErrConflict)
}

// rekey is the one step after which the new keys are the member's.
func (b *Comeback) rekey(ctx context.Context, res *latchkeyv1.PollClaimResponse) error {
	r, err := b.verify(ctx, res)
	if err != nil {
		return fmt.Errorf("member: come back: %w", err)
	}
	defer r.old.Signing.Erase()
	note, after, err := r.sign(b.offer)
	if err != nil {
		return fmt.Errorf("member: come back: %w", err)
	}
	vault := b.newVault(r, after)
	sealed, err := vault.Seal(b.vk, r.version+1)
	if err != nil {
		return fmt.Errorf("member: come back: %w", err)
	}
	login, err := b.login(ctx)
	if err != nil {
		return err
	}
	id := b.recovery.RecoveryID()
	_, err = invoke(ctx, "come back", "", b.api.contact.FinishClaim, &latchkeyv1.FinishClaimRequest{
		Login: login, Note: note, Vault: &latchkeyv1.PutVaultRequest{
			Vault: sealed, ExpectedVersion: r.version, RecoveryId: id[:],
			Wraps: [][]byte{keys.SealWrap(b.recovery.RecoverySecret(), nil, b.vk)},
		},
	})
	return err
}

// verify checks everything that the server has handed out before any of it is
// used, and opens the old vault.
func (b *Comeback) verify(ctx context.Context, res *latchkeyv1.PollClaimResponse) (r returning, err error) {
	if r.history, err = b.chain(ctx, res.Chain); err != nil {
		return r, err
	}
	head := r.history.head()
	if r.claim, err = b.claimed(head, res.GetClaim()); err != nil {
		return r, err
	}
	vk, err := b.combine(head, r.claim, res)
	if err != nil {
		return r, err
	}
	defer vk.Erase()
	var info keys.VaultInfo
	if r.old, info, err = keys.OpenVault(vk, res.Vault); err != nil {
		return r, err
	}
	r.version = info.Version
	if r.old.Household != head.Household || info.Member != r.claim.Member {
		return r, fmt.Errorf("%w: the vault is another member's", latchkey.ErrVerify)
	}
	if _, err := r.history.at(r.old.Seq, r.old.Hash); err != nil {
		return r, fmt.Errorf("the chain does not extend the one noted in the vault: %w", err)
	}
	return r, nil
}

// chain fetches and verifies the household's statements against the pin of the
// contact's answer.
func (b *Comeback) chain(ctx context.Context, notes [][]byte) (h history, err error) {
	for len(notes) > 0 {
		if h, err = h.extend(notes, time.Now().Unix()); err != nil {
			return h, err
		}
		res, err := b.poll(ctx, uint64(len(h.states)))
		if err != nil {
			return h, err
		}
		notes = res.Chain
	}
	answer, err := b.answer()
	if err != nil {
		return h, err
	}
	if h.head().Household != answer.Household {
		return h, fmt.Errorf("%w: the server shows the chain of another household", latchkey.ErrVerify)
	}
	_, err = h.at(answer.Seq, answer.Hash)
	return h, err
}

// claimed checks that two members have signed a claim for exactly our keys.
func (b *Comeback) claimed(state chain.State, info *latchkeyv1.ClaimInfo) (first chain.Claim, err error) {
	by := map[latchkey.Kid]bool{}
	for _, raw := range info.GetNotes() {
		n, err := chain.ParseNote(raw)
		if err != nil {
			return first, err
		}
		claim, err := chain.ParseClaim(n)
		if err != nil {
			return first, err
		}
		if err := state.CheckClaim(n, claim); err != nil {
			return first, err
		}
		ours := string(claim.Ed) == string(b.offer.Ed) && string(claim.X) == string(b.offer.X) && string(claim.Recovery) == string(b.offer.Recovery)
		if !ours || len(by) > 0 && claim.ID() != first.ID() {
			return first, fmt.Errorf("%w: the server shows a claim for other keys", latchkey.ErrVerify)
		}
		first, by[claim.By] = claim, true
	}
	if len(by) < 2 {
		return first, fmt.Errorf("%w: fewer than two contacts have confirmed", latchkey.ErrVerify)
	}
	return first, nil
}

// combine opens two shares, which the member himself once signed, and the wrap
// of his vault key under the secret that they give.
func (b *Comeback) combine(state chain.State, claim chain.Claim, res *latchkeyv1.PollClaimResponse) (keys.Secret, error) {
	lost := state.Members[claim.Member]
	var points []keys.Point
	for _, letter := range res.Shares {
		s, err := keys.OpenShare(b.vault.Sealing, claim.Household, letter)
		if err != nil {
			return keys.Secret{}, err
		}
		defer s.Erase()
		if s.By != claim.Member || s.Set != claim.Set {
			return keys.Secret{}, fmt.Errorf("%w: a share of another set", latchkey.ErrVerify)
		}
		if err := s.Verify(ed25519.PublicKey(lost.Ed)); err != nil {
			return keys.Secret{}, err
		}
		points = append(points, s.Point())
	}
	if len(points) < 2 {
		return keys.Secret{}, fmt.Errorf("%w: fewer than two shares", latchkey.ErrVerify)
	}
	secret, err := keys.Combine(points[0], points[1])
	if err != nil {
		return keys.Secret{}, err
	}
	defer secret.Erase()
	return keys.OpenContactWrap(secret, claim.Set, res.Wrap)
}

// sign makes the rekey: the lost key puts the new ones in its place.
func (r returning) sign(offer keys.Offer) ([]byte, chain.State, error) {
	head, now := r.history.head(), time.Now().Unix()
	text, err := chain.Rekey{
		Head: chain.Head{Household: head.Household, Seq: head.Seq + 1, Prev: head.Hash, Time: now, By: r.claim.Member, Salt: newSalt()},
		Kid:  r.claim.Member, Ed: offer.Ed, X: offer.X, Recovery: offer.Recovery,
	}.Text()
	if err != nil {
		return nil, head, err
	}
	raw := chain.SignNote(text, r.old.Signing)
	n, err := chain.ParseNote(raw)
	if err != nil {
		return nil, head, err
	}
	after, err := chain.Apply(head, n, now)
	return raw, after, err
}

// newVault has the new keys first; the old sealing keys stay, for what was
// sealed to them. The set of contacts was under the old vault key and is gone.
func (b *Comeback) newVault(r returning, after chain.State) *keys.Vault {
	vault := &keys.Vault{
		Signing: b.vault.Signing, Sealing: append([]*keys.Sealing{b.vault.Sealing[0]}, r.old.Sealing...),
		KTag: r.old.KTag, Household: after.Household, Seq: after.Seq, Hash: after.Hash, Names: map[string]string{},
		Policy: r.old.Policy,
	}
	for k, v := range r.old.Names {
		vault.Names[k] = v
	}
	return vault
}

// enter signs the member in with his new keys and keeps him on this machine.
func (b *Comeback) enter(ctx context.Context) (*Client, error) {
	answer, err := b.answer()
	if err != nil {
		return nil, fmt.Errorf("member: come back: %w", err)
	}
	d, err := openDevice(b.s.machine, b.doc.Device)
	if err != nil {
		return nil, err
	}
	in, err := b.signIn(ctx, answer.Household, d)
	if err != nil {
		return nil, err
	}
	d.secret = in.secret
	got, err := invoke(ctx, "get vault", in.token, b.api.account.GetVault, &latchkeyv1.GetVaultRequest{})
	if err != nil {
		return nil, err
	}
	vault, _, err := keys.OpenVault(b.vk, got.Vault)
	if err != nil {
		return nil, fmt.Errorf("member: come back: %w", err)
	}
	c, err := settle(ctx, b.opts, b.api.origin, d, got.Vault, b.vk, vault)
	if err != nil {
		return nil, err
	}
	return c, b.Abandon()
}

// signIn enrols this machine by the new key, which may do so once; after a
// crash just then, by the recovery key, which always may.
func (b *Comeback) signIn(ctx context.Context, household latchkey.HouseholdID, d device) (signedIn, error) {
	kid := b.vault.Signing.Kid()
	who := &latchkeyv1.ChallengeRequest{Who: &latchkeyv1.ChallengeRequest_Kid{Kid: kid[:]}, Household: household[:]}
	in, err := b.api.signIn(ctx, who, household, b.vault.Signing, d.message(nil))
	if !errors.Is(err, latchkey.ErrUnauthenticated) {
		return in, err
	}
	return b.api.signIn(ctx, who, household, b.recovery.RecoverySign(), d.message(nil))
}
