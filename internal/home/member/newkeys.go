package member

import (
	"context"
	"errors"
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// NewCode makes a new recovery code. confirm shows it to its owner; an error
// ends NewCode, and nothing has changed. Then one statement and the vault with
// its new wrap replace the old code in one step: at every moment exactly one
// code that its owner has seen opens everything.
func (c *Client) NewCode(ctx context.Context, confirm func(code string) error) error {
	if _, err := c.refresh(ctx); err != nil {
		return err
	}
	code := keys.NewCode()
	defer code.Erase()
	if err := confirm(code.Reveal()); err != nil {
		return fmt.Errorf("member: new recovery code: it was not confirmed: %w", err)
	}
	public := code.RecoverySign().Public()
	for range appendTries {
		state, err := c.sync(ctx)
		if err != nil {
			return err
		}
		if string(state.Members[c.kid()].Recovery) == string(public) {
			return c.checkCode(ctx, code)
		}
		err = c.putCode(ctx, state, code)
		if err != nil && !errors.Is(err, latchkey.ErrConflict) && !errors.Is(err, latchkey.ErrUnavailable) {
			return err
		}
		// Whether it was taken, the chain tells: an answer can get lost.
	}
	return fmt.Errorf("member: new recovery code: %w: others kept changing the household", latchkey.ErrConflict)
}

// putCode sends the rekey of the recovery key, with the vault that fits it. The
// wraps of passkeys stay as they are: the vault key is the same.
func (c *Client) putCode(ctx context.Context, state chain.State, code keys.Code) error {
	stored, err := c.pullVault(ctx)
	if err != nil {
		return err
	}
	sealed, err := c.editVault(stored.version+1, func(v *keys.Vault) { v.Used = false })
	if err != nil {
		return fmt.Errorf("member: new recovery code: %w", err)
	}
	wraps := [][]byte{keys.SealWrap(code.RecoverySecret(), nil, c.vk)}
	for _, w := range stored.wraps {
		if wrap, err := keys.ParseWrap(w); err == nil && wrap.Kind == keys.WrapPasskey {
			wraps = append(wraps, w)
		}
	}
	raw, _, err := c.sign(state, func(h chain.Head, _ chain.State) (chain.Statement, error) {
		return chain.Rekey{Head: h, Kid: c.kid(), Recovery: code.RecoverySign().Public()}, nil
	})
	if err != nil {
		return fmt.Errorf("member: new recovery code: %w", err)
	}
	id := code.RecoveryID()
	_, err = call(ctx, c, "new recovery code", c.api.chain.AppendStatement, &latchkeyv1.AppendStatementRequest{
		Note:  raw,
		Vault: &latchkeyv1.PutVaultRequest{Vault: sealed, ExpectedVersion: stored.version, Wraps: wraps, RecoveryId: id[:]},
	})
	return err
}

// checkCode makes sure that the server keeps what the new code opens.
func (c *Client) checkCode(ctx context.Context, code keys.Code) error {
	stored, err := c.pullVault(ctx)
	if err != nil {
		return err
	}
	for _, w := range stored.wraps {
		if vk, err := keys.OpenWrap(code.RecoverySecret(), w); err == nil && vk.Equal(c.vk) {
			return nil
		}
	}
	return fmt.Errorf("member: new recovery code: %w: the server took the code and does not keep what it opens", latchkey.ErrVerify)
}

// ErrKeysUnderWay is what calls with the old keys are told after NewKeys broke
// off behind the point of no return: call it again.
var ErrKeysUnderWay = errors.New("new keys are under way on this machine, and have to be finished first")

// newKeys is the file of a replacement of keys that is under way, under the
// machine key. It is written before the statement leaves: from the moment that
// the chain has it, the old keys are good for nothing but old footage.
type newKeys struct {
	Kid        string `json:"kid"`   // hex, of the new signing key
	Vault      []byte `json:"vault"` // LKV1 with the new keys
	VaultKey   []byte `json:"vault_key"`
	Recovery   string `json:"recovery"`
	Confirmed  bool   `json:"confirmed"`
	Wrap       []byte `json:"wrap"`
	RecoveryID []byte `json:"recovery_id"`
}

// NewKeys replaces all keys of this person, because a device with the old ones
// is in wrong hands: signing key, sealing key, vault key and recovery code. Old
// sealing keys are kept to open old footage. All other devices and all passkeys
// end. confirm shows the new recovery code. Called again after a crash, it goes
// on. It returns the client of the new keys; c is closed then.
func (c *Client) NewKeys(ctx context.Context, confirm func(code string) error) (*Client, error) {
	r := &replacement{old: c}
	there, err := c.store.loadSealed(newKeysFile, &r.doc)
	if err != nil {
		return nil, err
	}
	if !there {
		if _, err := c.refresh(ctx); err != nil {
			return nil, err
		}
		if err := r.draw(); err != nil {
			return nil, fmt.Errorf("member: new keys: %w", err)
		}
	}
	if !r.doc.Confirmed {
		if err := confirm(r.doc.Recovery); err != nil {
			return nil, fmt.Errorf("member: new keys: the recovery code was not confirmed: %w", err)
		}
		r.doc.Confirmed = true
	}
	if err := c.store.saveSealed(newKeysFile, r.doc); err != nil {
		return nil, err
	}
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("member: new keys: %w", err)
	}
	next, err := r.send(ctx)
	if err != nil {
		return nil, err
	}
	c.Close()
	return next, r.tell(ctx, next)
}

// replacement is one call of NewKeys.
type replacement struct {
	old   *Client
	doc   newKeys
	vault *keys.Vault
	vk    keys.Secret
}

// draw makes the new keys beside the old ones.
func (r *replacement) draw() error {
	c := r.old
	code, vk := keys.NewCode(), keys.NewSecret()
	defer code.Erase()
	c.mu.Lock()
	v := c.copyVault()
	c.mu.Unlock()
	v.Signing, v.Used = keys.NewSigning(), false
	v.Sealing = append([]*keys.Sealing{keys.NewSealing()}, v.Sealing...)
	sealed, err := v.Seal(vk, 0)
	if err != nil {
		return err
	}
	wrapped, err := c.store.machine.SealSecret(vaultKeyPurpose, vk)
	if err != nil {
		return err
	}
	id := code.RecoveryID()
	r.doc = newKeys{
		Kid: v.Signing.Kid().String(), Vault: sealed, VaultKey: wrapped, Recovery: code.Reveal(),
		Wrap: keys.SealWrap(code.RecoverySecret(), nil, vk), RecoveryID: id[:],
	}
	return c.store.saveSealed(newKeysFile, r.doc)
}

func (r *replacement) open() (err error) {
	if r.vk, err = r.old.store.machine.OpenSecret(vaultKeyPurpose, r.doc.VaultKey); err != nil {
		return err
	}
	r.vault, _, err = keys.OpenVault(r.vk, r.doc.Vault)
	return err
}

// send has the server sequence the new keys, unless an earlier try has, and
// returns the client that has them.
func (r *replacement) send(ctx context.Context) (*Client, error) {
	next, err := r.enter(ctx)
	if err == nil || !errors.Is(err, latchkey.ErrUnauthenticated) {
		return next, err
	}
	for range appendTries {
		state, err := r.old.sync(ctx)
		if err != nil {
			return nil, err
		}
		sendErr := r.put(ctx, state)
		if sendErr != nil && !errors.Is(sendErr, latchkey.ErrConflict) && !errors.Is(sendErr, latchkey.ErrUnavailable) {
			return nil, sendErr
		}
		next, err := r.enter(ctx)
		if err == nil || !errors.Is(err, latchkey.ErrUnauthenticated) {
			return next, err
		}
		if sendErr == nil {
			return nil, fmt.Errorf("member: new keys: %w: the server took the statement and does not know the keys", latchkey.ErrVerify)
		}
	}
	return nil, fmt.Errorf("member: new keys: %w: others kept changing the household", latchkey.ErrConflict)
}

// put sends the rekey with the vault of the new keys.
func (r *replacement) put(ctx context.Context, state chain.State) error {
	c := r.old
	stored, err := c.pullVault(ctx)
	if err != nil {
		return err
	}
	code, err := keys.ParseCode(r.doc.Recovery)
	if err != nil {
		return fmt.Errorf("member: new keys: %w", err)
	}
	defer code.Erase()
	c.mu.Lock()
	v := c.copyVault() // names may have changed since the keys were made
	c.mu.Unlock()
	v.Signing, v.Sealing, v.Used = r.vault.Signing, r.vault.Sealing, false
	sealed, err := v.Seal(r.vk, stored.version+1)
	if err != nil {
		return fmt.Errorf("member: new keys: %w", err)
	}
	raw, _, err := c.sign(state, func(h chain.Head, _ chain.State) (chain.Statement, error) {
		return chain.Rekey{
			Head: h, Kid: c.kid(), Ed: v.Signing.Public(), X: v.Sealing[0].Public(), Recovery: code.RecoverySign().Public(),
		}, nil
	})
	if err != nil {
		return fmt.Errorf("member: new keys: %w", err)
	}
	_, err = call(ctx, c, "new keys", c.api.chain.AppendStatement, &latchkeyv1.AppendStatementRequest{
		Note: raw,
		Vault: &latchkeyv1.PutVaultRequest{
			Vault: sealed, ExpectedVersion: stored.version, Wraps: [][]byte{r.doc.Wrap}, RecoveryId: r.doc.RecoveryID,
		},
	})
	return err
}

// enter signs in with the new keys and makes them this machine's, if the chain
// has them. latchkey.ErrUnauthenticated: it has not.
func (r *replacement) enter(ctx context.Context) (*Client, error) {
	c := r.old
	c.mu.Lock()
	rec := c.rec
	c.mu.Unlock()
	rec.Kid, rec.Vault, rec.VaultKey, rec.Session, rec.Generation = r.doc.Kid, r.doc.Vault, r.doc.VaultKey, nil, rec.Generation+1
	next, err := newClient(c.store, Options{HTTP: c.api.http, Log: c.log, Device: c.label, ContactWait: c.contactWait, Browse: c.browse}, rec, r.vault, r.vk)
	if err != nil {
		return nil, err
	}
	next.mu.Lock()
	next.token, err = next.signIn(ctx)
	next.mu.Unlock()
	if err != nil {
		return nil, err
	}
	h, err := next.fetchChain(ctx)
	if err == nil {
		err = next.check(h)
	}
	if err != nil {
		return nil, fmt.Errorf("member: new keys: %w", err)
	}
	if _, err := next.adoptVault(ctx); err != nil {
		return nil, err
	}
	if err := next.keepAll(); err != nil {
		return nil, err
	}
	if err := next.adopt(h); err != nil {
		return nil, fmt.Errorf("member: new keys: %w", err)
	}
	return next, c.store.drop(newKeysFile)
}

// adoptVault takes the first vault under a new vault key, without writing
// anything.
func (c *Client) adoptVault(ctx context.Context) (uint32, error) {
	res, err := call(ctx, c, "get vault", c.api.account.GetVault, &latchkeyv1.GetVaultRequest{})
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	vault, info, err := keys.OpenVault(c.vk, res.Vault)
	if err != nil {
		return 0, fmt.Errorf("member: get vault: %w", err)
	}
	if vault.Household != c.vault.Household || info.Member != c.kid() {
		return 0, fmt.Errorf("member: get vault: %w: it is another member's", latchkey.ErrVerify)
	}
	c.vault, c.rec.Vault = vault, res.Vault
	return info.Version, nil
}

// tell writes the name under the new kid into the directory; only an admin can,
// and for others their former kids still lead to it.
func (r *replacement) tell(ctx context.Context, next *Client) error {
	if next.past().head().Members[next.kid()].Role != chain.RoleAdmin {
		return nil
	}
	return next.changeDirectory(ctx, func(*chain.Names) {})
}
