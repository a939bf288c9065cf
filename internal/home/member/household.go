package member

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/ledger"
)

// errNoMember is what Open says of a folder without a member.
var errNoMember = fmt.Errorf("no member here: %w", fs.ErrNotExist)

// NewHousehold is what a founder decides.
type NewHousehold struct {
	Server string // origin of the cloud
	Name   string // the household's; stays in the vault
	Person string // the founder's; stays in the vault
	// Confirm shows the recovery code to its owner. Nothing leaves this
	// machine before it has returned nil; an error ends Create.
	Confirm func(code string) error
}

// Create founds a household: keys, recovery code, vault and its recovery wrap,
// then the genesis statement. A folder that holds a member already is
// latchkey.ErrConflict.
func Create(ctx context.Context, opts Options, n NewHousehold) (*Client, error) {
	if there, err := exists(opts.Home); err != nil || there {
		return nil, cmp.Or(err, fmt.Errorf("member: create household: %s holds one already: %w", opts.Home, latchkey.ErrConflict))
	}
	a, err := newAPI(n.Server, opts.HTTP)
	if err != nil {
		return nil, err
	}
	s, err := openStore(opts)
	if err != nil {
		return nil, err
	}
	f := newFounding(n, opts.Device)
	defer f.code.Erase()
	if err := f.pinLog(ctx, a); err != nil {
		return nil, fmt.Errorf("member: create household: %w", err)
	}
	req, rec, err := f.prepare(s, a.origin)
	if err != nil {
		return nil, err
	}
	if err := n.Confirm(f.code.Reveal()); err != nil {
		return nil, fmt.Errorf("member: create household: the recovery code was not confirmed: %w", err)
	}
	res, err := invoke(ctx, "create household", "", a.account.CreateHousehold, req)
	if err != nil {
		return nil, err
	}
	if string(res.Household) != string(f.vault.Household[:]) {
		return nil, fmt.Errorf("member: create household: %w: the server names another household", latchkey.ErrVerify)
	}
	c, err := newClient(s, opts, rec, f.vault, f.vk)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.enrolled(res.DeviceSecret); err != nil {
		return nil, err
	}
	return c, c.keepSession(res.Token)
}

// founding is what Create makes before anything is sent.
type founding struct {
	NewHousehold
	code   keys.Code
	vault  *keys.Vault
	vk     keys.Secret
	device device
	label  string
	log    *ledger.Policy
}

func newFounding(n NewHousehold, label string) *founding {
	f := &founding{NewHousehold: n, code: keys.NewCode(), vault: keys.NewVault(), vk: keys.NewSecret(), device: newDevice(), label: label}
	f.vault.KTag = keys.NewSecret()
	f.vault.Names[nameHousehold] = n.Name
	f.vault.Names[nameMe] = n.Person
	return f
}

// pinLog asks which public log the server writes and who watches it. From here on
// that is what the household holds the server to: its keys go into genesis, all
// of it into the vault.
func (f *founding) pinLog(ctx context.Context, a *api) (err error) {
	if f.vault.Policy, err = a.log().Policy(ctx); err != nil {
		return err
	}
	f.log, err = ledger.ParsePolicy(f.vault.Policy)
	return err
}

// prepare signs genesis and seals the vault under VK, VK under the code and
// under the machine key.
func (f *founding) prepare(s *store, origin string) (*latchkeyv1.CreateHouseholdRequest, record, error) {
	genesis, err := f.genesis()
	if err != nil {
		return nil, record{}, fmt.Errorf("member: create household: %w", err)
	}
	note, err := chain.ParseNote(genesis)
	if err != nil {
		return nil, record{}, fmt.Errorf("member: create household: %w", err)
	}
	hash := note.Hash()
	f.vault.Household = latchkey.HouseholdID(hash[:latchkey.IDSize])
	f.vault.Seq, f.vault.Hash = 0, hash
	sealed, err := f.vault.Seal(f.vk, 1)
	if err != nil {
		return nil, record{}, fmt.Errorf("member: create household: %w", err)
	}
	wrappedHere, err := s.machine.SealSecret(vaultKeyPurpose, f.vk)
	if err != nil {
		return nil, record{}, fmt.Errorf("member: create household: %w", err)
	}
	name, err := label(f.vault.Household, f.vault.Sealing[0], f.label)
	if err != nil {
		return nil, record{}, err
	}
	device, err := f.device.seal(s.machine)
	if err != nil {
		return nil, record{}, err
	}
	id := f.code.RecoveryID()
	req := &latchkeyv1.CreateHouseholdRequest{
		Genesis: genesis, Vault: sealed, RecoveryId: id[:],
		Wraps:  [][]byte{keys.SealWrap(f.code.RecoverySecret(), nil, f.vk)},
		Device: f.device.message(name), LogTagKey: f.vault.LogTagKey(),
	}
	rec := record{
		Server: origin, Household: f.vault.Household.String(), Kid: f.vault.Signing.Kid().String(),
		Vault: sealed, VaultKey: wrappedHere, Hash: hash.String(), Device: device,
	}
	return req, rec, nil
}

func (f *founding) genesis() ([]byte, error) {
	g := chain.Genesis{
		Head: chain.Head{Time: time.Now().Unix(), By: f.vault.Signing.Kid(), Salt: newSalt()},
		Ed:   f.vault.Signing.Public(), X: f.vault.Sealing[0].Public(), Recovery: f.code.RecoverySign().Public(),
		KTag: f.vault.KTag.Commitment(), Operator: f.log.Operator.VKey, Log: f.log.Origin(),
	}
	text, err := g.Text()
	if err != nil {
		return nil, err
	}
	return chain.SignNote(text, f.vault.Signing), nil
}

// Recovery is what somebody has who comes back with nothing else.
type Recovery struct {
	Server string // origin of the cloud
	Code   string // as it was typed
	// Keep leaves the code as it is. Else the vault notes that it was used, and
	// whoever recovers makes a new one with NewCode.
	Keep bool
}

// ErrVaultLost is what Recover says when the code is right and the server has
// lost, damaged or exchanged what it opens. The recovery key could sign new keys
// into the chain, and Recover does not let it: without a vault nothing tells
// whose chain it is that the server shows (design 0002).
var ErrVaultLost = fmt.Errorf("%w: the code is right, and the server does not have what it opens", latchkey.ErrVerify)

// Recover brings a member back on this machine from the recovery code alone.
// A mistyped code is latchkey.ErrInvalid, one that fits nothing
// latchkey.ErrNotFound or latchkey.ErrUnauthenticated; ErrVaultLost.
func Recover(ctx context.Context, opts Options, r Recovery) (*Client, error) {
	if there, err := exists(opts.Home); err != nil || there {
		return nil, cmp.Or(err, fmt.Errorf("member: recover: %s holds a member already: %w", opts.Home, latchkey.ErrConflict))
	}
	code, err := keys.ParseCode(r.Code)
	if err != nil {
		return nil, fmt.Errorf("member: recover: %w", err)
	}
	defer code.Erase()
	a, err := newAPI(r.Server, opts.HTTP)
	if err != nil {
		return nil, err
	}
	d, id := newDevice(), code.RecoveryID()
	in, err := a.signIn(ctx, &latchkeyv1.ChallengeRequest{Who: &latchkeyv1.ChallengeRequest_RecoveryId{RecoveryId: id[:]}},
		latchkey.HouseholdID{}, code.RecoverySign(), d.message(nil))
	switch {
	case errors.Is(err, latchkey.ErrNotFound), errors.Is(err, latchkey.ErrUnauthenticated), errors.Is(err, latchkey.ErrRefused):
		return nil, fmt.Errorf("member: recover: this code opens nothing on this server: %w", err)
	case err != nil:
		return nil, fmt.Errorf("member: recover: %w", err)
	}
	d.secret = in.secret
	got, err := invoke(ctx, "get vault", in.token, a.account.GetVault, &latchkeyv1.GetVaultRequest{})
	if errors.Is(err, latchkey.ErrNotFound) {
		return nil, fmt.Errorf("member: recover: %w", ErrVaultLost)
	}
	if err != nil {
		return nil, err
	}
	vk, vault, err := openWithCode(code, got)
	if err != nil {
		return nil, fmt.Errorf("member: recover: %w: %w", ErrVaultLost, err)
	}
	c, err := settle(ctx, opts, a.origin, d, got.Vault, vk, vault)
	if err != nil || r.Keep {
		return c, err
	}
	return c, c.changeVault(ctx, func(v *keys.Vault) { v.Used = true })
}

// openWithCode finds the wrap that the code opens, and opens the vault with it.
func openWithCode(code keys.Code, got *latchkeyv1.GetVaultResponse) (keys.Secret, *keys.Vault, error) {
	err := fmt.Errorf("%w: the server has no recovery wrap", latchkey.ErrVerify)
	for _, w := range got.Wraps {
		wrap, parseErr := keys.ParseWrap(w)
		if parseErr != nil || wrap.Kind != keys.WrapRecovery {
			continue
		}
		var vk keys.Secret
		if vk, err = keys.OpenWrap(code.RecoverySecret(), w); err != nil {
			continue
		}
		vault, _, err := keys.OpenVault(vk, got.Vault)
		return vk, vault, err
	}
	return keys.Secret{}, nil, err
}

// settle stores a recovered member after the chain has confirmed its keys:
// the roster, not the vault, is authoritative (protocol 2.10). It signs in
// again, with the member's own key: only now the device can say its name.
func settle(ctx context.Context, opts Options, origin string, d device, sealed []byte, vk keys.Secret, vault *keys.Vault) (*Client, error) {
	s, err := openStore(opts)
	if err != nil {
		return nil, err
	}
	wrapped, err := s.machine.SealSecret(vaultKeyPurpose, vk)
	if err != nil {
		return nil, fmt.Errorf("member: recover: %w", err)
	}
	device, err := d.seal(s.machine)
	if err != nil {
		return nil, err
	}
	rec := record{
		Server: origin, Household: vault.Household.String(), Kid: vault.Signing.Kid().String(),
		Vault: sealed, VaultKey: wrapped, Seq: vault.Seq, Hash: vault.Hash.String(), Covered: vault.Seq, Device: device,
	}
	c, err := newClient(s, opts, rec, vault, vk)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.token, err = c.signIn(ctx)
	c.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("member: recover: %w", err)
	}
	h, err := c.fetchChain(ctx)
	if err == nil {
		err = c.check(h)
	}
	if err != nil {
		return nil, fmt.Errorf("member: recover: %w", err)
	}
	if err := c.keepAll(); err != nil {
		return nil, err
	}
	if err := c.adopt(h); err != nil {
		return nil, fmt.Errorf("member: recover: %w", err)
	}
	_, err = c.pullDirectory(ctx, h.head())
	return c, err
}

// keepAll writes the record of a member who has just come to this machine.
func (c *Client) keepAll() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keepSession(c.token)
}

// Household shows the verified roster with the directory's names.
func (c *Client) Household(ctx context.Context) (Household, error) {
	state, err := c.refresh(ctx)
	if err != nil {
		return Household{}, err
	}
	h := Household{
		ID: c.ID(), Name: c.Name(), Server: c.Server(), ChainSeq: state.Seq, ChainHash: state.Hash,
		Members: c.people(state), CodeUsed: c.codeUsed(),
	}
	for _, p := range h.Members {
		if p.Me {
			h.Me = p
		}
	}
	for kid := range state.Hubs {
		h.Hubs = append(h.Hubs, HubName{Kid: kid, Name: c.nameOf(kid)})
	}
	slices.SortFunc(h.Hubs, func(a, b HubName) int { return cmp.Compare(a.Kid.String(), b.Kid.String()) })
	h.Cameras, err = c.Cameras(ctx)
	return h, err
}

// codeUsed reports whether the vault says that its recovery code was used.
func (c *Client) codeUsed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.vault.Used
}
