package cloud

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// Limits of passkeys and of the touches that are being waited for.
const (
	ticketLife    = 5 * time.Minute
	maxTickets    = 20_000
	maxCredential = 32 << 10 // JSON of one answer
	maxNesting    = 32
)

// use is what a ticket was given out for.
type use int

const (
	useRegister use = iota + 1
	useSignIn
	useStepUp
)

// ticket is one WebAuthn ceremony that has begun. It is only in memory: a
// restart costs one more touch.
type ticket struct {
	use     use
	session latchkey.Hash // of the session that asked; zero to sign in
	purpose latchkey.Hash // of a step-up
	origin  string
	data    webauthn.SessionData
	expires time.Time
}

// tickets hands out and takes back ceremonies, each once.
type tickets struct {
	mu  sync.Mutex
	all map[[16]byte]ticket
}

func newTickets() *tickets { return &tickets{all: map[[16]byte]ticket{}} }

func (t *tickets) put(one ticket) ([]byte, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("cloud: ticket: %w", err)
	}
	one.expires = time.Now().Add(ticketLife)
	t.mu.Lock()
	defer t.mu.Unlock()
	// As with challenges: a full table shuts nobody out, one of them goes.
	for other := range t.all {
		if len(t.all) < maxTickets {
			break
		}
		delete(t.all, other)
	}
	t.all[id] = one
	return id[:], nil
}

// take uses up a ticket; not ok: it is unknown, used, too old, or was given out
// for something else or somebody else.
func (t *tickets) take(id []byte, want use, session latchkey.Hash) (ticket, bool) {
	if len(id) != 16 {
		return ticket{}, false
	}
	t.mu.Lock()
	one, ok := t.all[[16]byte(id)]
	delete(t.all, [16]byte(id))
	t.mu.Unlock()
	return one, ok && one.use == want && one.session == session && time.Now().Before(one.expires)
}

func (t *tickets) tidy(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, one := range t.all {
		if now.After(one.expires) {
			delete(t.all, id)
		}
	}
}

// partyOf makes the WebAuthn side of this server as callers under origin see
// it. Browsers make passkeys for names over TLS, and for localhost.
func partyOf(origin string) (*webauthn.WebAuthn, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" {
		return nil, because(reasonNoPasskeys, fmt.Errorf("cloud: passkey: %w: this server is not set up for that name; see --public-url", latchkey.ErrRefused))
	}
	name := u.Hostname()
	if _, err := netip.ParseAddr(name); err == nil {
		return nil, because(reasonNoPasskeys, fmt.Errorf("cloud: passkey: %w: passkeys need a name, and %s is an address; use localhost, or a name with https", latchkey.ErrRefused, name))
	}
	if u.Scheme != "https" && name != "localhost" && !strings.HasSuffix(name, ".localhost") {
		return nil, because(reasonNoPasskeys, fmt.Errorf("cloud: passkey: %w: passkeys need https", latchkey.ErrRefused))
	}
	resident := true
	return webauthn.New(&webauthn.Config{
		RPID: name, RPDisplayName: "Latchkey", RPOrigins: []string{origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: &resident, ResidentKey: protocol.ResidentKeyRequirementRequired, UserVerification: protocol.VerificationRequired,
		},
		// The page asks for prf, so that its input is in one place.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
}

// owner is a member as the library wants him. His name never gets here.
type owner struct {
	household latchkey.HouseholdID
	kid       latchkey.Kid
	handle    []byte
	passkeys  []catalog.Passkey
}

func (o *owner) WebAuthnID() []byte          { return o.handle }
func (o *owner) WebAuthnName() string        { return "" }
func (o *owner) WebAuthnDisplayName() string { return "" }

func (o *owner) WebAuthnCredentials() []webauthn.Credential {
	out := make([]webauthn.Credential, len(o.passkeys))
	for i, p := range o.passkeys {
		out[i] = webauthn.Credential{
			ID: p.ID, PublicKey: p.PublicKey, Flags: webauthn.CredentialFlags{BackupEligible: p.Synced},
			Authenticator: webauthn.Authenticator{SignCount: p.SignCount},
		}
	}
	return out
}

// ownerOf loads a member's side of WebAuthn.
func (s *Server) ownerOf(ctx context.Context, h latchkey.HouseholdID, kid latchkey.Kid) (*owner, error) {
	handle, err := s.catalog.UserHandle(ctx, h, kid)
	if err != nil {
		return nil, err
	}
	passkeys, err := s.catalog.Passkeys(ctx, h, kid)
	return &owner{h, kid, handle, passkeys}, err
}

// errPasskey is all that a caller hears of an answer that does not hold: the
// library's words would quote it.
var errPasskey = fmt.Errorf("cloud: passkey: %w: the answer does not hold", latchkey.ErrVerify)

// assert checks the answer to a ticket and uses up its count. find tells whose
// it is when the ticket does not.
func (s *Server) assert(ctx context.Context, t ticket, answer string, find func(handle []byte) (*owner, error)) (*owner, error) {
	if err := checkCredential(answer); err != nil {
		return nil, err
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes([]byte(answer))
	if err != nil {
		return nil, errPasskey
	}
	party, err := partyOf(t.origin)
	if err != nil {
		return nil, err
	}
	who, err := find(parsed.Response.UserHandle)
	if err != nil {
		return nil, err
	}
	var got *webauthn.Credential
	if t.use == useSignIn {
		got, err = party.ValidateDiscoverableLogin(func(_, _ []byte) (webauthn.User, error) { return who, nil }, t.data, parsed)
	} else {
		got, err = party.ValidateLogin(who, t.data, parsed)
	}
	if err != nil {
		return nil, errPasskey
	}
	if got.Authenticator.CloneWarning {
		s.log.WarnContext(ctx, "a passkey counts backwards", "household", who.household, "kid", who.kid)
		return nil, fmt.Errorf("cloud: passkey: %w: it counts backwards, as a copy would; remove it and make a new one", latchkey.ErrRefused)
	}
	return who, s.used(ctx, who, got)
}

// used stores a passkey's new count; of two answers with one count, one counts.
func (s *Server) used(ctx context.Context, who *owner, got *webauthn.Credential) error {
	for _, p := range who.passkeys {
		if string(p.ID) == string(got.ID) {
			err := s.catalog.UsedPasskey(ctx, p.ID, p.SignCount, got.Authenticator.SignCount, time.Now())
			if errors.Is(err, latchkey.ErrConflict) {
				return errPasskey
			}
			return err
		}
	}
	return errPasskey
}

// checkCredential refuses an answer that brings along what a passkey derives
// secrets from: the vault hangs on it, and it is nobody's here (claim C17). It
// must not be logged either, so no error quotes it.
func checkCredential(answer string) error {
	if len(answer) > maxCredential {
		return fmt.Errorf("cloud: passkey: %w: an answer of %d bytes", latchkey.ErrInvalid, len(answer))
	}
	dec := json.NewDecoder(strings.NewReader(answer))
	secret, err := bringsSecret(dec, false, 0)
	if err == nil {
		_, err = dec.Token()
		if errors.Is(err, io.EOF) {
			err = nil
		} else {
			err = errPasskey
		}
	}
	switch {
	case secret:
		return fmt.Errorf("cloud: passkey: %w: the answer has results of prf in it; the page has to delete them before it sends anything", latchkey.ErrInvalid)
	case err != nil:
		return fmt.Errorf("cloud: passkey: %w: the answer is not one JSON object", latchkey.ErrInvalid)
	}
	return nil
}

// bringsSecret reads one JSON value and looks for a member "results" below one
// "prf", in any case of letters, as encoding/json would match them, and for the
// older name of the same thing.
func bringsSecret(dec *json.Decoder, inPRF bool, depth int) (bool, error) {
	t, err := dec.Token()
	if err != nil || depth > maxNesting {
		return false, errPasskey
	}
	open, ok := t.(json.Delim)
	if !ok {
		return false, nil
	}
	for dec.More() {
		below := inPRF
		if open == '{' {
			name, err := dec.Token()
			if err != nil {
				return false, errPasskey
			}
			key, _ := name.(string)
			if inPRF && strings.EqualFold(key, "results") || strings.EqualFold(key, "hmacGetSecret") {
				return true, nil
			}
			below = inPRF || strings.EqualFold(key, "prf")
		}
		if secret, err := bringsSecret(dec, below, depth+1); secret || err != nil {
			return secret, err
		}
	}
	_, err = dec.Token() // the closing one
	return false, err
}
