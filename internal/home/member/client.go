package member

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/lan"
)

// Options say where a person's keys are and how servers are reached.
type Options struct {
	Home string       // folder of member.json and machine.key (LATCHKEY_HOME)
	HTTP *http.Client // nil: http.DefaultClient
	Log  *slog.Logger // nil: silent; never gets names, keys or footage
	// ContactWait is how long a share is kept after a claim was first seen
	// (docs/design/0004). Zero: 7 days. Only tests shorten it.
	ContactWait time.Duration
	// LogWait is how long a grant waits for the public log before the call gives
	// up and leaves the rest to a later one. Zero: a minute.
	LogWait time.Duration
	// Waits is told when a call begins to wait until the public log has proven
	// something, and what. Nil: nobody is.
	Waits func(what string)
	// Device is what this machine calls itself in the person's list of devices.
	Device string
	Disk   durable.FS // nil: the real one; reading goes to package os in any case
	// Browse is how hubs on the home network are found; nil: mDNS.
	Browse func(ctx context.Context, service string, found func(instance, addr string))
}

func (o Options) log() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

// Client is one member of one household on one machine. It is safe for
// concurrent use. Close it.
type Client struct {
	store *store
	api   *api
	log   *slog.Logger
	label string // what this machine calls itself

	contactWait time.Duration // zero: the one of docs/design/0004
	logWait     time.Duration
	waits       func(what string)
	browse      func(ctx context.Context, service string, found func(instance, addr string))

	mu    sync.Mutex // guards all below
	rec   record
	vault *keys.Vault
	vk    keys.Secret
	token string
	// device is what this machine signs in as.
	device device
	// history is the verified chain as far as this machine has seen it.
	history history
	// directory has the names of people and hubs.
	directory directory
	// removals were sent, and the server's chain does not have them yet.
	removals chain.Overlay

	book *book // verified epochs; has its own lock
}

// Open takes the member that lives in opts.Home. A folder without one is
// fs.ErrNotExist. It does no network I/O.
func Open(opts Options) (*Client, error) {
	there, err := exists(opts.Home)
	if err != nil {
		return nil, fmt.Errorf("member: open: %w", err)
	}
	if !there {
		return nil, fmt.Errorf("member: open %s: %w", opts.Home, errNoMember)
	}
	s, err := openStore(opts)
	if err != nil {
		return nil, err
	}
	rec, err := s.load()
	if err != nil {
		return nil, err
	}
	vk, err := s.machine.OpenSecret(vaultKeyPurpose, rec.VaultKey)
	if err != nil {
		return nil, fmt.Errorf("member: open: %s does not belong to this folder's machine.key: %w", memberFile, err)
	}
	vault, _, err := keys.OpenVault(vk, rec.Vault)
	if err != nil {
		return nil, fmt.Errorf("member: open: %w", err)
	}
	if err := s.drop(joiningFile); err != nil { // of a Join that ended just before this
		return nil, err
	}
	return newClient(s, opts, rec, vault, vk)
}

// newClient builds a client from its opened parts.
func newClient(s *store, opts Options, rec record, vault *keys.Vault, vk keys.Secret) (*Client, error) {
	a, err := newAPI(rec.Server, opts.HTTP)
	if err != nil {
		return nil, err
	}
	c := &Client{store: s, api: a, log: opts.log(), label: opts.Device, contactWait: opts.ContactWait, logWait: cmp.Or(opts.LogWait, proofPatience), waits: opts.Waits, browse: opts.Browse, rec: rec, vault: vault, vk: vk}
	if c.browse == nil {
		c.browse = func(ctx context.Context, service string, found func(instance, addr string)) {
			lan.Browse(ctx, service, found, c.log)
		}
	}
	if c.device, err = openDevice(s.machine, rec.Device); err != nil {
		return nil, err
	}
	if rec.Session != nil {
		// A session that does not open is only a session less.
		if token, err := s.machine.OpenLocal(sessionPurpose, rec.Session); err == nil {
			c.token = string(token)
		}
	}
	if h := s.loadChain(vault.Household); len(h.states) > 0 {
		// A file that has less than what is pinned is an old copy; one that
		// differs is not ours. The server's chain is held against the pins.
		if c.pinned(h) == nil {
			c.history = h
		}
	}
	if err := c.loadDirectory(); err != nil {
		return nil, err
	}
	if c.removals, err = chain.ParseOverlay(rec.Removals); err != nil {
		return nil, fmt.Errorf("member: open: %s: %w", memberFile, err)
	}
	c.book = newBook(c)
	return c, nil
}

// Close forgets the keys in memory; nothing of the client works afterwards.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vk.Erase()
	c.vault.Signing.Erase()
}

// ID is the household's.
func (c *Client) ID() latchkey.HouseholdID { return c.vault.Household }

// Server is the origin this client talks to.
func (c *Client) Server() string { return c.api.origin }

// Name is the household's name.
func (c *Client) Name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return cmp.Or(c.directory.names.Household, c.vault.Names[nameHousehold])
}

// kid names this member.
func (c *Client) kid() latchkey.Kid { return c.vault.Signing.Kid() }

// sealing are the member's X-Wing keys, the current one first.
func (c *Client) sealing() []*keys.Sealing {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.vault.Sealing
}

// session returns a token, other than stale, signing in if need be. Concurrent
// callers share one sign-in.
func (c *Client) session(ctx context.Context, stale string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && c.token != stale {
		return c.token, nil
	}
	token, err := c.signIn(ctx)
	if err != nil {
		return "", err
	}
	return token, c.keepSession(token)
}

// signIn signs this member in as this machine's device; the caller holds mu.
func (c *Client) signIn(ctx context.Context) (string, error) {
	kid := c.kid()
	name, err := label(c.vault.Household, c.vault.Sealing[0], c.label)
	if err != nil {
		return "", err
	}
	return c.enter(ctx, &latchkeyv1.ChallengeRequest{
		Who: &latchkeyv1.ChallengeRequest_Kid{Kid: kid[:]}, Household: c.vault.Household[:],
	}, c.vault.Signing, name)
}

// enter answers a challenge with key and keeps the secret of a device that was
// enrolled by it; the caller holds mu.
func (c *Client) enter(ctx context.Context, req *latchkeyv1.ChallengeRequest, key *keys.Signing, name []byte) (string, error) {
	in, err := c.api.signIn(ctx, req, c.vault.Household, key, c.device.message(name))
	if err != nil {
		return "", err
	}
	return in.token, c.enrolled(in.secret)
}

// enrolled keeps the secret that an enrolment has given; the caller holds mu.
func (c *Client) enrolled(secret []byte) error {
	if len(secret) == 0 {
		return nil
	}
	if len(secret) != deviceSecret {
		return fmt.Errorf("member: sign in: %w: a device secret of %d bytes", latchkey.ErrInvalid, len(secret))
	}
	d := device{id: c.device.id, secret: secret}
	sealed, err := d.seal(c.store.machine)
	if err != nil {
		return err
	}
	c.device, c.rec.Device = d, sealed
	return nil
}

// keepSession remembers token, and the device, for the next process; the caller
// holds mu.
func (c *Client) keepSession(token string) error {
	sealed, err := c.store.machine.SealLocal(sessionPurpose, []byte(token))
	if err != nil {
		return fmt.Errorf("member: keep session: %w", err)
	}
	c.token, c.rec.Session = token, sealed
	return c.store.save(c.rec)
}

// signedIn is what a server gives for a login note.
type signedIn struct {
	token     string
	household latchkey.HouseholdID
	secret    []byte // of a device that was enrolled just now
}

// signIn answers a challenge with a login note signed by key. household is zero
// when only the server knows it (recovery).
func (a *api) signIn(ctx context.Context, req *latchkeyv1.ChallengeRequest, household latchkey.HouseholdID, key *keys.Signing, d *latchkeyv1.Device) (signedIn, error) {
	ch, err := a.challenge(ctx, req)
	if err != nil {
		return signedIn{}, err
	}
	if household == (latchkey.HouseholdID{}) {
		if len(ch.Household) != latchkey.IDSize {
			return signedIn{}, fmt.Errorf("member: sign in: %w: the server names no household", latchkey.ErrInvalid)
		}
		household = latchkey.HouseholdID(ch.Household)
	}
	login := chain.Login{
		Household: household, By: key.Kid(), Server: a.origin, Nonce: [16]byte(ch.Nonce), Time: time.Now().Unix(),
	}
	text, err := login.Text()
	if err != nil {
		return signedIn{}, fmt.Errorf("member: sign in: %w", err)
	}
	res, err := invoke(ctx, "sign in", "", a.account.Login, &latchkeyv1.LoginRequest{Note: chain.SignNote(text, key), Device: d})
	if err != nil {
		return signedIn{}, err
	}
	if res.Token == "" {
		return signedIn{}, fmt.Errorf("member: sign in: %w: the server gave no session", latchkey.ErrInvalid)
	}
	return signedIn{token: res.Token, household: household, secret: res.DeviceSecret}, nil
}

// newSalt draws the salt of a statement.
func newSalt() (salt [16]byte) {
	_, _ = rand.Read(salt[:]) // crypto/rand.Read never fails: it ends the process instead
	return salt
}

// parseHash reads 64 hex digits.
func parseHash(s string) (h latchkey.Hash, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != latchkey.HashSize {
		return h, errors.Join(latchkey.ErrInvalid, err)
	}
	return latchkey.Hash(b), nil
}
