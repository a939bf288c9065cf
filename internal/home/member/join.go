package member

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// Joining is what a guest says, and what he is asked and told on the way.
type Joining struct {
	Server string // origin of the cloud
	Code   string // from the invitation
	Person string // what he calls himself; stays in his vault
	// Confirm shows the recovery code to its owner. Nothing leaves this machine
	// before it has returned nil; an error ends Join. After a crash before that
	// it is called again, with the same code.
	Confirm func(code string) error
	// Digits tells the 24 digits that he reads out to who invited him.
	Digits func(digits string)
}

// joining is the file of a joining that is under way, under the machine key.
// Each field is on disk before the step that needs it, so that Join, called
// again with the same code, goes on where it was.
type joining struct {
	Server     string `json:"server"`
	Code       string `json:"code"` // of the invitation
	Person     string `json:"person"`
	Keys       []byte `json:"keys"`      // LKV1 of no household yet, under VaultKey
	VaultKey   []byte `json:"vault_key"` // VK under the machine key
	Recovery   string `json:"recovery"`  // the recovery code
	Confirmed  bool   `json:"confirmed"` // its owner has seen it
	Offer      []byte `json:"offer"`
	Wrap       []byte `json:"wrap"` // LKW1 by the recovery code
	RecoveryID []byte `json:"recovery_id"`
	Device     []byte `json:"device"`           // under the machine key
	Answer     []byte `json:"answer,omitempty"` // LKA1, of whoever has the code
	First      []byte `json:"first,omitempty"`  // the first vault: LKV1, version 1
}

// Join makes this machine the first device of a person who was invited: keys
// and recovery code, an offer, the admin's answer, the chain with his own keys
// in it, the first vault. Killed at any step and called again with the same
// code, it goes on: there is no half member, and no household without a way in.
func Join(ctx context.Context, opts Options, j Joining) (*Client, error) {
	if there, err := exists(opts.Home); err != nil || there {
		return nil, cmp.Or(err, fmt.Errorf("member: join: %s holds a member already: %w", opts.Home, latchkey.ErrConflict))
	}
	code, err := keys.ParseCode(j.Code)
	if err != nil {
		return nil, fmt.Errorf("member: join: %w", err)
	}
	defer code.Erase()
	a, err := newAPI(j.Server, opts.HTTP)
	if err != nil {
		return nil, err
	}
	s, err := openStore(opts)
	if err != nil {
		return nil, err
	}
	g := &guest{Joining: j, opts: opts, store: s, api: a, code: code}
	if err := g.begin(); err != nil {
		return nil, err
	}
	if err := g.confirm(); err != nil {
		return nil, err
	}
	if err := g.meet(ctx); err != nil {
		return nil, err
	}
	return g.enter(ctx)
}

// guest is one call of Join.
type guest struct {
	Joining
	opts  Options
	store *store
	api   *api
	code  keys.Code
	doc   joining
	vault *keys.Vault
	vk    keys.Secret
	offer keys.Offer
}

func (g *guest) save() error { return g.store.saveSealed(joiningFile, g.doc) }

// begin takes up a joining with this code, or makes new keys and writes them
// down. One with another code that was answered may be in its household's chain
// already: it is not thrown away.
func (g *guest) begin() error {
	there, err := g.store.loadSealed(joiningFile, &g.doc)
	if err != nil {
		return err
	}
	same := there && g.doc.Code == g.code.Reveal() && g.doc.Server == g.api.origin
	if there && !same && g.doc.Answer != nil {
		return fmt.Errorf("member: join: %w: another joining is under way here and was answered; finish it with its own link", latchkey.ErrConflict)
	}
	if !same {
		if err := g.draw(); err != nil {
			return fmt.Errorf("member: join: %w", err)
		}
		return g.save()
	}
	if g.vk, err = g.store.machine.OpenSecret(vaultKeyPurpose, g.doc.VaultKey); err != nil {
		return fmt.Errorf("member: join: %w", err)
	}
	if g.vault, _, err = keys.OpenVault(g.vk, g.doc.Keys); err != nil {
		return fmt.Errorf("member: join: %w", err)
	}
	if g.offer, err = keys.ParseOffer(g.doc.Offer); err != nil {
		return fmt.Errorf("member: join: %w", err)
	}
	return nil
}

// draw makes keys, recovery code and offer.
func (g *guest) draw() error {
	recovery := keys.NewCode()
	defer recovery.Erase()
	g.vault, g.vk = keys.NewVault(), keys.NewSecret()
	sealed, err := g.vault.Seal(g.vk, 0)
	if err != nil {
		return err
	}
	wrapped, err := g.store.machine.SealSecret(vaultKeyPurpose, g.vk)
	if err != nil {
		return err
	}
	device, err := newDevice().seal(g.store.machine)
	if err != nil {
		return err
	}
	id, public := recovery.RecoveryID(), recovery.RecoverySign().Public()
	g.offer = keys.NewOffer(keys.RoleMember, g.vault.Signing, g.vault.Sealing[0], public)
	offer, err := g.offer.Marshal()
	if err != nil {
		return err
	}
	g.doc = joining{
		Server: g.api.origin, Code: g.code.Reveal(), Person: g.Person, Keys: sealed, VaultKey: wrapped,
		Recovery: recovery.Reveal(), Offer: offer, Wrap: keys.SealWrap(recovery.RecoverySecret(), nil, g.vk),
		RecoveryID: id[:], Device: device,
	}
	return nil
}

// confirm shows the recovery code, until its owner has said that he has it.
func (g *guest) confirm() error {
	if g.doc.Confirmed {
		return nil
	}
	if err := g.Confirm(g.doc.Recovery); err != nil {
		return fmt.Errorf("member: join: the recovery code was not confirmed: %w", err)
	}
	g.doc.Confirmed = true
	return g.save()
}

// meet leaves the offer in the box and waits for the answer.
func (g *guest) meet(ctx context.Context) error {
	if g.doc.Answer != nil {
		return nil
	}
	digits, err := g.offer.Digits()
	if err != nil {
		return fmt.Errorf("member: join: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, pairingLife, errUnanswered)
	defer cancel()
	if err := g.leaveOffer(ctx); err != nil {
		return err
	}
	g.Digits(digits)
	answer, err := g.awaitAnswer(ctx)
	if err != nil {
		return err
	}
	g.doc.Answer = answer.Marshal()
	return g.save()
}

// errUnanswered is a code that nobody answered in time.
var errUnanswered = fmt.Errorf("%w: nobody answered within 15 minutes; ask for a new invitation", latchkey.ErrUnavailable)

// leaveOffer puts the offer into the box of the code. The same one again is no
// conflict.
func (g *guest) leaveOffer(ctx context.Context) error {
	mail, err := g.code.SealOffer(g.offer)
	if err != nil {
		return fmt.Errorf("member: join: %w", err)
	}
	box := g.code.Rendezvous()
	_, err = invoke(ctx, "join", "", g.api.pairing.PutMail, &latchkeyv1.PutMailRequest{
		Rendezvous: box[:], Slot: latchkeyv1.MailSlot_MAIL_SLOT_OFFER, Body: mail,
	})
	if errors.Is(err, latchkey.ErrConflict) || errors.Is(err, latchkey.ErrTooMany) {
		return fmt.Errorf("member: join: %w: others have filled the box of this invitation; ask for a new one: %w", latchkey.ErrRefused, err)
	}
	return err
}

// awaitAnswer polls the box, through outages of the server.
func (g *guest) awaitAnswer(ctx context.Context) (keys.Answer, error) {
	box := g.code.Rendezvous()
	for {
		res, err := invoke(ctx, "wait for the answer", "", g.api.pairing.GetMail, &latchkeyv1.GetMailRequest{
			Rendezvous: box[:], Slot: latchkeyv1.MailSlot_MAIL_SLOT_ANSWER, WaitSeconds: mailWait,
		})
		switch {
		case err == nil:
			answer, err := g.code.OpenAnswer(g.offer, res.Body)
			if err != nil {
				return answer, fmt.Errorf("member: join: %w", err)
			}
			return answer, nil
		case ctx.Err() != nil:
			return keys.Answer{}, fmt.Errorf("member: join: %w", context.Cause(ctx))
		case errors.Is(err, latchkey.ErrUnavailable), errors.Is(err, latchkey.ErrTooMany):
			if err := pause(ctx, time.Second); err != nil {
				return keys.Answer{}, fmt.Errorf("member: join: %w", context.Cause(ctx))
			}
		case !errors.Is(err, latchkey.ErrNotFound):
			return keys.Answer{}, err
		}
	}
}

// enter signs in, checks the chain, stores the first vault, and only then makes
// this machine the member's.
func (g *guest) enter(ctx context.Context) (*Client, error) {
	answer, err := keys.ParseAnswer(g.doc.Answer)
	if err != nil {
		return nil, fmt.Errorf("member: join: %w", err)
	}
	g.vault.Household = answer.Household
	g.vault.Seq, g.vault.Hash = answer.Seq, answer.Hash
	g.vault.Names[nameMe] = g.doc.Person
	c, err := g.client(ctx)
	if err != nil {
		return nil, err
	}
	h, err := c.fetchChain(ctx)
	if err == nil {
		err = g.checkChain(c, h, answer)
	}
	if err == nil {
		err = g.takeLogTagKey(ctx, c, h.head())
	}
	if err == nil {
		g.vault.Policy, err = c.firstPolicy(ctx, h.head())
	}
	if err != nil {
		return nil, fmt.Errorf("member: join: %w", err)
	}
	if err := g.storeVault(ctx, c, h.head()); err != nil {
		return nil, err
	}
	if err := c.keepAll(); err != nil {
		return nil, err
	}
	if err := c.adopt(h); err != nil {
		return nil, fmt.Errorf("member: join: %w", err)
	}
	// A crash before this line leaves a file beside a member: the member counts.
	if err := g.store.drop(joiningFile); err != nil {
		return c, err
	}
	_, err = c.pullDirectory(ctx, h.head()) // it may come a moment later
	return c, err
}

// client is the member's, signed in and with nothing on disk yet but the device.
func (g *guest) client(ctx context.Context) (*Client, error) {
	rec := record{
		Server: g.api.origin, Household: g.vault.Household.String(), Kid: g.vault.Signing.Kid().String(),
		Vault: g.doc.Keys, VaultKey: g.doc.VaultKey, Seq: g.vault.Seq, Hash: g.vault.Hash.String(), Covered: g.vault.Seq, Device: g.doc.Device,
	}
	c, err := newClient(g.store, g.opts, rec, g.vault, g.vk)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token, err = c.signIn(ctx)
	if errors.Is(err, errDeviceUnknown) {
		// The enrolment of an earlier try went through and its answer was lost:
		// the recovery key enrols this device again.
		err = g.recover(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("member: join: %w", err)
	}
	g.doc.Device = c.rec.Device
	return c, g.save()
}

// recover signs in with the recovery key; the caller holds c.mu.
func (g *guest) recover(ctx context.Context, c *Client) error {
	code, err := keys.ParseCode(g.doc.Recovery)
	if err != nil {
		return err
	}
	defer code.Erase()
	kid := c.kid()
	name, err := label(c.vault.Household, c.vault.Sealing[0], c.label)
	if err != nil {
		return err
	}
	c.token, err = c.enter(ctx, &latchkeyv1.ChallengeRequest{
		Who: &latchkeyv1.ChallengeRequest_Kid{Kid: kid[:]}, Household: c.vault.Household[:],
	}, code.RecoverySign(), name)
	return err
}

// checkChain checks what the answer says: this household, that statement, and
// in it, and still now, exactly the keys that were offered.
func (g *guest) checkChain(c *Client, h history, a keys.Answer) error {
	if err := c.check(h); err != nil {
		return err
	}
	if _, err := h.at(a.Seq, a.Hash); err != nil {
		return err
	}
	n, err := chain.ParseNote(h.notes[a.Seq])
	if err != nil {
		return err
	}
	st, err := chain.ParseStatement(n)
	if err != nil {
		return err
	}
	add, ok := st.(chain.AddMember)
	me := h.head().Members[c.kid()]
	if !ok || !bytes.Equal(add.Ed, g.offer.Ed) || !bytes.Equal(add.X, g.offer.X) || !bytes.Equal(add.Recovery, g.offer.Recovery) ||
		!bytes.Equal(me.Recovery, g.offer.Recovery) {
		return fmt.Errorf("%w: the household's chain does not have the keys that were offered", latchkey.ErrVerify)
	}
	return nil
}

// takeLogTagKey takes from the server the key that finds the household in the
// public log, if it is the one that genesis names.
func (g *guest) takeLogTagKey(ctx context.Context, c *Client, head chain.State) error {
	res, err := call(ctx, c, "get log tag key", c.api.chain.GetLogTagKey, &latchkeyv1.GetLogTagKeyRequest{})
	if err != nil {
		return err
	}
	key, err := keys.SecretFrom(res.Key)
	if err != nil || key.Commitment() != head.KTag {
		return fmt.Errorf("%w: the server hands out another log tag key than the household's", latchkey.ErrVerify)
	}
	g.vault.KTag = key
	return nil
}

// storeVault stores the first vault. It is sealed once and written down, so
// that a try whose answer was lost can be told from somebody else's vault.
func (g *guest) storeVault(ctx context.Context, c *Client, head chain.State) error {
	if g.doc.First == nil {
		g.vault.Seq, g.vault.Hash = head.Seq, head.Hash
		sealed, err := g.vault.Seal(g.vk, 1)
		if err != nil {
			return fmt.Errorf("member: join: %w", err)
		}
		g.doc.First = sealed
		if err := g.save(); err != nil {
			return err
		}
	}
	_, err := call(ctx, c, "store the first vault", c.api.account.PutVault, &latchkeyv1.PutVaultRequest{
		Vault: g.doc.First, Wraps: [][]byte{g.doc.Wrap}, RecoveryId: g.doc.RecoveryID,
	})
	if errors.Is(err, latchkey.ErrConflict) {
		got, getErr := call(ctx, c, "get vault", c.api.account.GetVault, &latchkeyv1.GetVaultRequest{})
		if getErr != nil {
			return errors.Join(err, getErr)
		}
		if bytes.Equal(got.Vault, g.doc.First) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Vault = g.doc.First
	return nil
}
