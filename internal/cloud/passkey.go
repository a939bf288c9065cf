package cloud

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"latchkey.dev/latchkey"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// passkeyService implements latchkey.v1.PasskeyService.
type passkeyService struct{ s *Server }

// issue turns a ceremony's options into JSON and keeps the rest under a ticket.
func (s *Server) issue(t ticket, options any, data *webauthn.SessionData) (id []byte, text string, err error) {
	b, err := json.Marshal(options)
	if err != nil {
		return nil, "", fmt.Errorf("cloud: passkey: options: %w", err)
	}
	t.data = *data
	id, err = s.tickets.put(t)
	return id, string(b), err
}

func (p *passkeyService) BeginPasskey(ctx context.Context, _ *connect.Request[v1.BeginPasskeyRequest]) (*connect.Response[v1.BeginPasskeyResponse], error) {
	session := sessionOf(ctx)
	t := ticket{use: useRegister, session: session.TokenHash, origin: originFrom(ctx)}
	party, err := partyOf(t.origin)
	if err != nil {
		return nil, p.s.answer(ctx, err)
	}
	who, err := p.s.ownerOf(ctx, session.Household, session.Kid)
	if errors.Is(err, latchkey.ErrNotFound) {
		err = fmt.Errorf("cloud: begin passkey: %w: there is no vault yet that it could open", latchkey.ErrRefused)
	}
	if err != nil {
		return nil, p.s.answer(ctx, err)
	}
	var had []protocol.CredentialDescriptor
	for _, c := range who.WebAuthnCredentials() {
		had = append(had, c.Descriptor())
	}
	options, data, err := party.BeginRegistration(who, webauthn.WithExclusions(had))
	if err != nil {
		return nil, p.s.answer(ctx, fmt.Errorf("cloud: begin passkey: %w", err))
	}
	id, text, err := p.s.issue(t, options.Response, data)
	if err != nil {
		return nil, p.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.BeginPasskeyResponse{Ticket: id, OptionsJson: text}), nil
}

func (p *passkeyService) AddPasskey(ctx context.Context, req *connect.Request[v1.AddPasskeyRequest]) (*connect.Response[v1.AddPasskeyResponse], error) {
	if err := p.add(ctx, sessionOf(ctx), req.Msg); err != nil {
		return nil, p.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.AddPasskeyResponse{}), nil
}

func (p *passkeyService) add(ctx context.Context, session catalog.Session, m *v1.AddPasskeyRequest) error {
	if err := checkCredential(m.GetCredentialJson()); err != nil {
		return err
	}
	key, err := p.register(ctx, session, m)
	if err != nil {
		return err
	}
	if err := checkWrap(m.GetWrap()); err != nil {
		return err
	}
	if of, ok := catalog.PasskeyOfWrap(m.GetWrap()); !ok || of != sha256.Sum256(key.ID) {
		return fmt.Errorf("cloud: add passkey: %w: the wrap is not this passkey's", latchkey.ErrInvalid)
	}
	state, err := p.s.homes.state(ctx, session.Household)
	if err != nil {
		return err
	}
	key.Label = m.GetLabel()
	if err := checkSealed(letterMagic, key.Label, maxLabel, state.Members[session.Kid].Kids()...); err != nil {
		return fmt.Errorf("cloud: add passkey: label: %w", err)
	}
	if err := p.s.stepUp(ctx, session, purposeWraps(), m.GetStepUp()); err != nil {
		return err
	}
	if err := p.s.catalog.AddPasskey(ctx, session.Household, session.Kid, key, m.GetWrap()); err != nil {
		return err
	}
	p.s.log.InfoContext(ctx, "passkey added", "household", session.Household, "kid", session.Kid)
	return nil
}

// register checks the answer to a registration.
func (p *passkeyService) register(ctx context.Context, session catalog.Session, m *v1.AddPasskeyRequest) (catalog.Passkey, error) {
	t, ok := p.s.tickets.take(m.GetTicket(), useRegister, session.TokenHash)
	if !ok {
		return catalog.Passkey{}, fmt.Errorf("cloud: add passkey: %w: the ticket is unknown, used or too old", latchkey.ErrRefused)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes([]byte(m.GetCredentialJson()))
	if err != nil {
		return catalog.Passkey{}, errPasskey
	}
	party, err := partyOf(t.origin)
	if err != nil {
		return catalog.Passkey{}, err
	}
	who, err := p.s.ownerOf(ctx, session.Household, session.Kid)
	if err != nil {
		return catalog.Passkey{}, err
	}
	got, err := party.CreateCredential(who, t.data, parsed)
	if err != nil {
		return catalog.Passkey{}, errPasskey
	}
	now := time.Now()
	return catalog.Passkey{
		ID: got.ID, PublicKey: got.PublicKey, SignCount: got.Authenticator.SignCount, Synced: got.Flags.BackupEligible,
		Created: now, Used: now,
	}, nil
}

func (p *passkeyService) ListPasskeys(ctx context.Context, _ *connect.Request[v1.ListPasskeysRequest]) (*connect.Response[v1.ListPasskeysResponse], error) {
	session := sessionOf(ctx)
	all, err := p.s.catalog.Passkeys(ctx, session.Household, session.Kid)
	if err != nil {
		return nil, p.s.answer(ctx, err)
	}
	res := &v1.ListPasskeysResponse{}
	for _, k := range all {
		res.Passkeys = append(res.Passkeys, &v1.Passkey{
			CredentialId: k.ID, Label: k.Label, CreatedMs: k.Created.UnixMilli(), UsedMs: k.Used.UnixMilli(),
		})
	}
	return connect.NewResponse(res), nil
}

// purposePasskey is what the touch is for that the removal of a passkey needs.
func purposePasskey(credential []byte) latchkey.Hash {
	return sha256.Sum256(append([]byte("passkey"), credential...))
}

func (p *passkeyService) RemovePasskey(ctx context.Context, req *connect.Request[v1.RemovePasskeyRequest]) (*connect.Response[v1.RemovePasskeyResponse], error) {
	session, id := sessionOf(ctx), req.Msg.GetCredentialId()
	all, err := p.s.catalog.Passkeys(ctx, session.Household, session.Kid)
	if err == nil && !hasPasskey(all, id) {
		err = fmt.Errorf("cloud: remove passkey: %w", latchkey.ErrNotFound)
	}
	if err == nil {
		err = p.s.stepUp(ctx, session, purposePasskey(id), req.Msg.GetStepUp())
	}
	if err == nil {
		err = p.s.catalog.RemovePasskey(ctx, session.Household, session.Kid, id)
	}
	if err != nil {
		return nil, p.s.answer(ctx, err)
	}
	p.s.log.InfoContext(ctx, "passkey removed", "household", session.Household, "kid", session.Kid)
	return connect.NewResponse(&v1.RemovePasskeyResponse{}), nil
}

func hasPasskey(all []catalog.Passkey, id []byte) bool {
	for _, k := range all {
		if bytes.Equal(k.ID, id) {
			return true
		}
	}
	return false
}

func (p *passkeyService) BeginSignIn(ctx context.Context, _ *connect.Request[v1.BeginSignInRequest]) (*connect.Response[v1.BeginSignInResponse], error) {
	t := ticket{use: useSignIn, origin: originFrom(ctx)}
	party, err := partyOf(t.origin)
	if err != nil {
		return nil, p.s.answer(ctx, err)
	}
	options, data, err := party.BeginDiscoverableLogin()
	if err != nil {
		return nil, p.s.answer(ctx, fmt.Errorf("cloud: begin sign-in: %w", err))
	}
	id, text, err := p.s.issue(t, options.Response, data)
	if err != nil {
		return nil, p.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.BeginSignInResponse{Ticket: id, OptionsJson: text}), nil
}

func (p *passkeyService) FinishSignIn(ctx context.Context, req *connect.Request[v1.FinishSignInRequest]) (*connect.Response[v1.FinishSignInResponse], error) {
	who, e, err := p.signIn(ctx, req.Msg)
	var v catalog.Vault
	if err == nil {
		v, err = p.s.catalog.GetVault(ctx, who.household, who.kid)
	}
	if err != nil {
		p.s.metrics.logins.WithLabelValues("refused").Inc()
		return nil, p.s.answer(ctx, err)
	}
	p.s.metrics.logins.WithLabelValues(string(catalog.Member)).Inc()
	p.s.log.InfoContext(ctx, "signed in", "household", who.household, "kid", who.kid, "kind", catalog.Member, "passkey", true)
	res := connect.NewResponse(&v1.FinishSignInResponse{
		Token: e.token, Household: who.household[:], Kid: who.kid[:], Vault: v.Vault, Wraps: v.Wraps, Version: v.Version, DeviceSecret: e.secret,
	})
	if req.Msg.GetCookie() {
		res.Msg.Token = ""
		res.Header().Add("Set-Cookie", cookieOf(e.token, secureFrom(ctx)).String())
	}
	return res, nil
}

// signIn checks an assertion and signs its owner in from his device. Unknown
// passkey, unknown member and wrong signature look alike.
func (p *passkeyService) signIn(ctx context.Context, m *v1.FinishSignInRequest) (who *owner, e entry, err error) {
	wrong := fmt.Errorf("cloud: sign in: %w: no such passkey here, or its answer does not hold", latchkey.ErrUnauthenticated)
	if len(m.GetTicket()) != latchkey.IDSize {
		return nil, e, fmt.Errorf("cloud: sign in: %w: a ticket of %d bytes", latchkey.ErrInvalid, len(m.GetTicket()))
	}
	t, ok := p.s.tickets.take(m.GetTicket(), useSignIn, latchkey.Hash{})
	if !ok {
		return nil, e, fmt.Errorf("cloud: sign in: %w: the ticket is unknown, used or too old", latchkey.ErrUnauthenticated)
	}
	who, err = p.s.assert(ctx, t, m.GetAssertionJson(), func(handle []byte) (*owner, error) {
		h, kid, err := p.s.catalog.MemberOfHandle(ctx, handle)
		if err != nil {
			return nil, err
		}
		return p.s.ownerOf(ctx, h, kid)
	})
	if errors.Is(err, latchkey.ErrVerify) || errors.Is(err, latchkey.ErrNotFound) {
		return nil, e, wrong
	}
	if err != nil {
		return nil, e, err
	}
	state, err := p.s.homes.state(ctx, who.household)
	if err != nil {
		return nil, e, err
	}
	member, ok := state.Members[who.kid]
	if !ok {
		return nil, e, wrong
	}
	device, err := parseDevice(m.GetDevice(), member)
	if err != nil {
		return nil, e, err
	}
	e, err = p.s.enter(ctx, who.household, who.kid, device, catalog.ByPasskey, m.GetCookie())
	return who, e, err
}
