package member

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// Keys of the vault's names that are no identifiers.
const (
	nameHousehold = "household"
	nameMe        = "me"
)

// name looks up a display name: "household", "me", or a hex identifier.
func (c *Client) name(key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.vault.Names[key]
}

// refresh brings chain, vault and directory up to date.
func (c *Client) refresh(ctx context.Context) (chain.State, error) {
	state, err := c.sync(ctx)
	if err != nil {
		return state, err
	}
	if _, err := c.pullVault(ctx); err != nil {
		return state, err
	}
	_, err = c.pullDirectory(ctx, state)
	return state, err
}

// storedVault is what the server keeps beside the vault.
type storedVault struct {
	version uint32
	wraps   [][]byte
}

// pullVault fetches the vault, which another device of the same person may
// have changed. An older one than this machine has seen is a rollback:
// latchkey.ErrVerify.
func (c *Client) pullVault(ctx context.Context) (storedVault, error) {
	res, err := call(ctx, c, "get vault", c.api.account.GetVault, &latchkeyv1.GetVaultRequest{})
	if err != nil {
		return storedVault{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	had, err := keys.ParseVaultHead(c.rec.Vault)
	if err != nil {
		return storedVault{}, fmt.Errorf("member: get vault: %s: %w", memberFile, err)
	}
	if string(res.Vault) == string(c.rec.Vault) {
		return storedVault{had.Version, res.Wraps}, nil
	}
	vault, info, err := keys.OpenVault(c.vk, res.Vault)
	switch {
	case err != nil:
		return storedVault{}, fmt.Errorf("member: get vault: %w", err)
	case info.Version <= had.Version:
		return storedVault{}, fmt.Errorf("member: get vault: %w: version %d was shown after version %d", latchkey.ErrVerify, info.Version, had.Version)
	case vault.Household != c.vault.Household || info.Member != c.kid():
		return storedVault{}, fmt.Errorf("member: get vault: %w: it is another member's", latchkey.ErrVerify)
	}
	c.vault, c.rec.Vault = vault, res.Vault
	return storedVault{info.Version, res.Wraps}, c.store.save(c.rec)
}

// changeNames edits the display names in the vault.
func (c *Client) changeNames(ctx context.Context, edit func(names map[string]string)) error {
	return c.changeVault(ctx, func(v *keys.Vault) { edit(v.Names) })
}

// changeVault edits the vault and stores it, starting over when another device
// was first.
func (c *Client) changeVault(ctx context.Context, edit func(*keys.Vault)) error {
	for range appendTries {
		stored, err := c.pullVault(ctx)
		if err != nil {
			return err
		}
		sealed, err := c.editVault(stored.version+1, edit)
		if err != nil {
			return fmt.Errorf("member: put vault: %w", err)
		}
		_, err = call(ctx, c, "put vault", c.api.account.PutVault,
			&latchkeyv1.PutVaultRequest{Vault: sealed, ExpectedVersion: stored.version})
		if errors.Is(err, latchkey.ErrConflict) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = c.pullVault(ctx)
		return err
	}
	return fmt.Errorf("member: put vault: %w: another device kept changing it", latchkey.ErrConflict)
}

// editVault seals a changed copy of the vault; the client's own stays as it is
// until the server has taken the new one.
func (c *Client) editVault(version uint32, edit func(*keys.Vault)) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := c.copyVault()
	edit(changed)
	return changed.Seal(c.vk, version)
}

// copyVault is the vault with the newest statement noted; its names may be
// changed. The caller holds mu.
func (c *Client) copyVault() *keys.Vault {
	v := *c.vault
	v.Names = maps.Clone(c.vault.Names)
	if v.Names == nil {
		v.Names = map[string]string{}
	}
	if head := c.history.head(); head.Seq > v.Seq {
		v.Seq, v.Hash = head.Seq, head.Hash
	}
	return &v
}
