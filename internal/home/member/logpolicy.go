package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/publiclog"
	"latchkey.dev/latchkey/ledger"
)

// ledgerFile is a publiclog.Pin.
const ledgerFile = "log.json"

// ErrOtherPolicy is a server that names other watchers, or another log key, than
// those that were pinned.
var ErrOtherPolicy = fmt.Errorf("%w: the server names other watchers of the public log than those that were pinned", latchkey.ErrVerify)

func (c *Client) loadPin() (publiclog.Pin, error) {
	var pin publiclog.Pin
	b, err := os.ReadFile(filepath.Join(c.store.dir, ledgerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return pin, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &pin)
	}
	if err != nil {
		return pin, fmt.Errorf("read %s: %w", ledgerFile, err)
	}
	return pin, nil
}

func (c *Client) savePin(pin publiclog.Pin) error {
	b, err := json.Marshal(pin)
	if err != nil {
		return err
	}
	return durable.WriteFile(c.store.disk, filepath.Join(c.store.dir, ledgerFile), b, 0o600)
}

// firstPolicy is the policy that the server names, if its operator and its log
// are those of genesis; of a household that was founded without, whatever they are.
func (c *Client) firstPolicy(ctx context.Context, state chain.State) (string, error) {
	text, err := c.api.log().Policy(ctx)
	if err != nil {
		return "", err
	}
	if _, err := publiclog.Parse(text, state); err != nil {
		return "", err
	}
	return text, nil
}

// policyOf is the policy of the vault. Who has none there yet takes the server's
// into it. Another one of the server is told: it is whom the policy checks; with
// accept it is taken, if operator and log are still those of genesis.
func (c *Client) policyOf(ctx context.Context, accept bool) (*ledger.Policy, publiclog.Pin, error) {
	pin, err := c.loadPin()
	if err != nil {
		return nil, pin, err
	}
	state := c.past().head()
	named, err := c.firstPolicy(ctx, state)
	if err != nil {
		return nil, pin, err
	}
	pinned := c.vaultPolicy()
	if pinned == "" {
		pinned = pin.Policy // of a machine that looked before the vault had one
	}
	if pinned == "" || accept {
		pinned = named
	}
	if pinned != named {
		return nil, pin, ErrOtherPolicy
	}
	if c.vaultPolicy() != pinned {
		if err := c.changeVault(ctx, func(v *keys.Vault) { v.Policy = pinned }); err != nil {
			return nil, pin, err
		}
	}
	policy, err := publiclog.Parse(pinned, state)
	if err != nil {
		return nil, pin, err
	}
	return policy, pin, nil
}

// tellPolicy has the hubs take a policy that was accepted, if the member may command
// them. One that is away is told when somebody accepts it again.
func (c *Client) tellPolicy(ctx context.Context, p *ledger.Policy) error {
	state := c.past().head()
	if state.Members[c.kid()].Role != chain.RoleAdmin {
		return nil
	}
	return c.tellHubs(ctx, state, "policy", map[string]any{"policy": p.String()})
}

// LogPolicy is the policy of the public log that was pinned when the household was
// founded; empty: none is.
func (c *Client) LogPolicy() string { return c.vaultPolicy() }

func (c *Client) vaultPolicy() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.vault.Policy
}

func (c *Client) logTagKey() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.vault.LogTagKey()
}

// LogState says what the public log says of the household's chain. What cannot be
// (a fork, a log that stands still, a statement that was kept back) is in it; the
// error is of a log that cannot be asked.
func (c *Client) LogState(ctx context.Context) (publiclog.State, error) {
	s, err := c.logState(ctx)
	if publiclog.Broken(err) {
		s.Broken, err = fmt.Errorf("%w: %w", latchkey.ErrVerify, err), nil
	}
	if err != nil {
		return s, fmt.Errorf("member: public log: %w", err)
	}
	return s, nil
}

func (c *Client) logState(ctx context.Context) (s publiclog.State, err error) {
	if _, err := c.refresh(ctx); err != nil {
		return s, err
	}
	l, err := c.ledgerCheck(ctx)
	if err != nil {
		return s, err
	}
	take := func(done *ledger.Complete) {
		if done != nil {
			s.Until, s.Seq = done.At, done.Seq
		}
	}
	before, err := l.pinned.Proven(l.h.notes)
	if err != nil {
		return s, err
	}
	take(before)
	checkpoint, err := l.checkpoint(ctx)
	if err != nil {
		return s, err
	}
	done, err := l.completeness(ctx)
	if err != nil {
		return s, err
	}
	take(done)
	return s, publiclog.Frozen(l.policy, checkpoint, time.Now())
}
