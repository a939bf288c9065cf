package cloud

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	v1connect "latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// accountService implements latchkey.v1.AccountService.
type accountService struct {
	v1connect.UnimplementedAccountServiceHandler
	s *Server
}

func (a *accountService) CreateHousehold(ctx context.Context, req *connect.Request[v1.CreateHouseholdRequest]) (*connect.Response[v1.CreateHouseholdResponse], error) {
	m := req.Msg
	note, state, err := parseGenesis(m.GetGenesis())
	if err != nil {
		return nil, a.s.answer(ctx, err)
	}
	founder := founderOf(state)
	vault, err := parseVault(m.GetVault(), m.GetWraps(), m.GetRecoveryId(), founder)
	if err == nil {
		err = checkWraps(m.GetWraps())
	}
	if err == nil && len(m.GetRecoveryId()) == 0 {
		err = fmt.Errorf("cloud: create household: %w: no recovery id", latchkey.ErrInvalid)
	}
	if key := m.GetLogTagKey(); err == nil && (len(key) != 32 || sha256.Sum256(key) != state.KTag) {
		err = fmt.Errorf("cloud: create household: %w: genesis names another log tag key", latchkey.ErrInvalid)
	}
	var device claim
	if err == nil {
		device, err = parseDevice(m.GetDevice(), state.Members[founder])
	}
	if err != nil {
		return nil, a.s.answer(ctx, err)
	}
	vault.Household = state.Household
	e, err := newEntry(state.Household, founder, device, catalog.ByFounding, m.GetCookie())
	if err != nil {
		return nil, a.s.answer(ctx, err)
	}
	// A genesis that is known already is a conflict and signs nobody in: its
	// bytes prove nothing about who sends them.
	f := catalog.Founding{Genesis: note.Raw, Text: note.Hash(), LogTagKey: [32]byte(m.GetLogTagKey()), Vault: vault, First: &e.start}
	if err := a.s.catalog.CreateHousehold(ctx, f, time.Now()); err != nil {
		return nil, a.s.answer(ctx, err)
	}
	a.s.ledger.Kick()
	a.s.log.InfoContext(ctx, "household created", "household", state.Household)
	res := connect.NewResponse(&v1.CreateHouseholdResponse{Household: state.Household[:], Token: e.token, DeviceSecret: e.secret})
	if m.GetCookie() {
		res.Msg.Token = ""
		a.setCookie(ctx, res.Header(), e.token)
	}
	return res, nil
}

func parseGenesis(raw []byte) (chain.Note, chain.State, error) {
	note, err := chain.ParseNote(raw)
	if err != nil {
		return note, chain.State{}, err
	}
	if note.Type != chain.TypeGenesis {
		return note, chain.State{}, fmt.Errorf("cloud: create household: %w: a %s is no genesis", latchkey.ErrInvalid, note.Type)
	}
	state, err := chain.Apply(chain.State{}, note, time.Now().Unix())
	return note, state, err
}

// founderOf is the only member of a household that was just founded.
func founderOf(s chain.State) latchkey.Kid {
	for k := range s.Members {
		return k
	}
	return latchkey.Kid{}
}

func (a *accountService) Challenge(ctx context.Context, req *connect.Request[v1.ChallengeRequest]) (*connect.Response[v1.ChallengeResponse], error) {
	server := originFrom(ctx)
	if server == "" {
		return nil, a.s.answer(ctx, fmt.Errorf("cloud: challenge: %w: this server is not set up for that name; see --public-url", latchkey.ErrRefused))
	}
	household, err := a.challenged(ctx, req.Msg)
	if err != nil {
		return nil, a.s.answer(ctx, err)
	}
	nonce, err := a.s.logins.challenge(household, server)
	if err != nil {
		return nil, a.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.ChallengeResponse{Nonce: nonce[:], Household: household[:], Server: server}), nil
}

// challenged is the household that the login note has to name.
func (a *accountService) challenged(ctx context.Context, m *v1.ChallengeRequest) (latchkey.HouseholdID, error) {
	bad := fmt.Errorf("cloud: challenge: %w: want a kid with a household, or a recovery id, of %d bytes each", latchkey.ErrInvalid, latchkey.IDSize)
	if id := m.GetRecoveryId(); len(id) != 0 {
		if len(id) != latchkey.IDSize {
			return latchkey.HouseholdID{}, bad
		}
		return a.s.logins.householdOf(ctx, [16]byte(id))
	}
	if len(m.GetKid()) != latchkey.IDSize || len(m.GetHousehold()) != latchkey.IDSize {
		return latchkey.HouseholdID{}, bad
	}
	return latchkey.HouseholdID(m.GetHousehold()), nil
}

func (a *accountService) Login(ctx context.Context, req *connect.Request[v1.LoginRequest]) (*connect.Response[v1.LoginResponse], error) {
	who, e, err := a.login(ctx, req.Msg)
	if err != nil {
		a.s.metrics.logins.WithLabelValues("refused").Inc()
		return nil, a.s.answer(ctx, err)
	}
	a.s.metrics.logins.WithLabelValues(string(who.kind)).Inc()
	a.s.log.InfoContext(ctx, "signed in", "household", who.household, "kid", who.kid, "kind", who.kind, "recovery", who.recovery)
	res := connect.NewResponse(&v1.LoginResponse{Token: e.token, Household: who.household[:], Kid: who.kid[:], DeviceSecret: e.secret})
	if req.Msg.GetCookie() {
		res.Msg.Token = ""
		a.setCookie(ctx, res.Header(), e.token)
	}
	return res, nil
}

// login checks a signed answer to a challenge and starts a session.
func (a *accountService) login(ctx context.Context, m *v1.LoginRequest) (who signer, e entry, err error) {
	note, err := chain.ParseNote(m.GetNote())
	if err != nil {
		return who, e, err
	}
	login, err := chain.ParseLogin(note)
	if err != nil {
		return who, e, err
	}
	if err = a.s.logins.take(login, time.Now()); err != nil {
		return who, e, err
	}
	if who, err = a.s.logins.verify(ctx, a.s.homes, note, login); err != nil {
		return who, e, a.endedBefore(ctx, login, m.GetDevice(), a.s.removedBefore(ctx, note, login, err))
	}
	if who.kind == catalog.Hub {
		if m.GetDevice() != nil || m.GetCookie() {
			return who, e, fmt.Errorf("cloud: login: %w: a hub has no device and no cookie", latchkey.ErrInvalid)
		}
		e.token, err = a.s.sessions.createHub(ctx, who.household, who.kid)
		return who, e, err
	}
	device, err := parseDevice(m.GetDevice(), who.member)
	if err != nil {
		return who, e, err
	}
	by := catalog.ByJoining
	if who.recovery {
		by = catalog.ByRecovery
	}
	e, err = a.s.enter(ctx, who.household, who.kid, device, by, m.GetCookie())
	return who, e, err
}

// endedBefore tells the device of a member whose key was replaced that it has
// ended: it has that key no longer in the chain, and its secret to show for it.
func (a *accountService) endedBefore(ctx context.Context, login chain.Login, d *v1.Device, err error) error {
	c, bad := parseDevice(&v1.Device{Id: d.GetId(), Secret: d.GetSecret()}, chain.Member{})
	if bad != nil || len(c.secret) == 0 {
		return err
	}
	ended := a.s.catalog.CheckDevice(ctx, login.Household, login.By, c.id, sha256.Sum256(c.secret))
	if errors.Is(ended, catalog.ErrEnded) {
		return unenrolled(ended)
	}
	return err
}

func (a *accountService) setCookie(ctx context.Context, h interface{ Add(key, value string) }, token string) {
	h.Add("Set-Cookie", cookieOf(token, secureFrom(ctx)).String())
}

func (a *accountService) Logout(ctx context.Context, _ *connect.Request[v1.LogoutRequest]) (*connect.Response[v1.LogoutResponse], error) {
	if err := a.s.sessions.end(ctx, sessionOf(ctx)); err != nil {
		return nil, a.s.answer(ctx, err)
	}
	res := connect.NewResponse(&v1.LogoutResponse{})
	a.setCookie(ctx, res.Header(), "")
	return res, nil
}

func (a *accountService) WhoAmI(ctx context.Context, _ *connect.Request[v1.WhoAmIRequest]) (*connect.Response[v1.WhoAmIResponse], error) {
	s := sessionOf(ctx)
	return connect.NewResponse(&v1.WhoAmIResponse{
		Household: s.Household[:], Kid: s.Kid[:], Kind: string(s.Kind), Server: originFrom(ctx),
	}), nil
}
