package cloud

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/policy"
	"latchkey.dev/latchkey/ledger"
)

// A shift is a session of staff. It has nothing to do with the sessions of
// households: other tables, other tokens, other routes.
const (
	shiftLife    = 10 * time.Hour
	shiftIdle    = 30 * time.Minute
	shiftTouch   = time.Minute
	trainingLife = 365 * 24 * time.Hour
	// strengthKey is a sign-in by the signature of the staff note's own key.
	strengthKey = "key"
)

// shift is who asks, on a route for staff.
type shift struct {
	catalog.Staff
	trained int64 // unix seconds
	hash    latchkey.Hash
	country string
}

type shiftKey struct{}

// shiftOf is the shift that guard has checked.
func shiftOf(ctx context.Context) shift {
	s, ok := ctx.Value(shiftKey{}).(shift)
	if !ok {
		panic("cloud: a handler asks for a shift on a route for others")
	}
	return s
}

// onShift finds the caller's shift. The staff note is looked at anew each time:
// one that is not renewed ends it.
func (s *Server) onShift(r *http.Request) (shift, error) {
	ctx, now := r.Context(), time.Now()
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || len(token) != base64.RawURLEncoding.EncodedLen(tokenSize) {
		return shift{}, latchkey.ErrUnauthenticated
	}
	hash := hashToken(token)
	found, err := s.catalog.Shift(ctx, hash)
	if err == nil && (now.Sub(found.Began) > shiftLife || now.Sub(found.Seen) > shiftIdle) {
		err = latchkey.ErrNotFound
	}
	if err != nil {
		return shift{}, gone(err)
	}
	who, err := s.staffNow(ctx, found.Kid, now)
	if err != nil {
		return shift{}, gone(err)
	}
	who.hash = hash
	if s.cfg.BehindProxy {
		who.country = strings.ToLower(r.Header.Get(countryHeader))
	}
	if now.Sub(found.Seen) > shiftTouch {
		err = s.catalog.TouchShift(ctx, hash, now)
	}
	return who, err
}

// countryHeader is where a proxy in front says from which country a call comes.
const countryHeader = "Latchkey-Country"

// staffNow is who has this Ed25519 key and is staff, or latchkey.ErrNotFound.
func (s *Server) staffNow(ctx context.Context, kid latchkey.Kid, now time.Time) (shift, error) {
	row, err := s.catalog.StaffOf(ctx, kid, now)
	if err != nil {
		return shift{}, err
	}
	note, err := s.ledger.Policy().Staff(row.Note) // a row that was changed is nobody's
	if err == nil && (!note.At(now) || note.ID != row.ID || note.Role != row.Role || chain.KidOf(note.Ed) != kid || chain.KidOf(note.X) != row.XKid) {
		err = fmt.Errorf("cloud: staff: %w", latchkey.ErrNotFound)
	}
	return shift{Staff: row, trained: note.Trained}, err
}

// deskLogins are the challenges of the desk; like logins, in memory.
type deskLogins struct {
	mu   sync.Mutex
	open map[[16]byte]deskChallenge
}

type deskChallenge struct {
	server  string
	expires time.Time
}

func newDeskLogins() *deskLogins { return &deskLogins{open: map[[16]byte]deskChallenge{}} }

func (l *deskLogins) challenge(server string) (nonce [16]byte) {
	_, _ = rand.Read(nonce[:]) // never fails (crypto/rand)
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, c := range l.open {
		if len(l.open) < maxChallenges && time.Now().Before(c.expires) {
			break
		}
		delete(l.open, n)
	}
	l.open[nonce] = deskChallenge{server, time.Now().Add(challengeLife)}
	return nonce
}

// take uses up a nonce and checks that the note answers it.
func (l *deskLogins) take(note chain.Desk, now time.Time) error {
	l.mu.Lock()
	c, ok := l.open[note.Nonce]
	delete(l.open, note.Nonce)
	l.mu.Unlock()
	switch skew := now.Sub(time.Unix(note.Time, 0)).Abs(); {
	case !ok || now.After(c.expires) || note.Server != c.server:
		return fmt.Errorf("cloud: shift: %w: the challenge is unknown, used or too old", latchkey.ErrUnauthenticated)
	case skew > challengeLife:
		return because(reasonClock, fmt.Errorf("cloud: shift: %w: the clocks are %s apart", latchkey.ErrUnauthenticated, skew.Round(time.Second)))
	}
	return nil
}

// deskService implements latchkey.v1.DeskService.
type deskService struct{ s *Server }

func (d *deskService) BeginShift(ctx context.Context, _ *connect.Request[v1.BeginShiftRequest]) (*connect.Response[v1.BeginShiftResponse], error) {
	server := originFrom(ctx)
	if server == "" {
		return nil, d.s.answer(ctx, fmt.Errorf("cloud: shift: %w: this server is not set up for that name; see --public-url", latchkey.ErrRefused))
	}
	nonce := d.s.deskLogins.challenge(server)
	return connect.NewResponse(&v1.BeginShiftResponse{Nonce: nonce[:], Server: server}), nil
}

func (d *deskService) StartShift(ctx context.Context, req *connect.Request[v1.StartShiftRequest]) (*connect.Response[v1.StartShiftResponse], error) {
	res, err := d.start(ctx, req.Msg)
	if err != nil {
		d.s.metrics.logins.WithLabelValues("refused").Inc()
		return nil, d.s.answer(ctx, err)
	}
	return connect.NewResponse(res), nil
}

func (d *deskService) start(ctx context.Context, m *v1.StartShiftRequest) (*v1.StartShiftResponse, error) {
	n, err := chain.ParseNote(m.GetNote())
	if err != nil {
		return nil, err
	}
	note, err := chain.ParseDesk(n)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if err := d.s.deskLogins.take(note, now); err != nil {
		return nil, err
	}
	wrong := fmt.Errorf("cloud: shift: %w: no such key among the staff of now, or a wrong signature", latchkey.ErrUnauthenticated)
	who, err := d.s.staffNow(ctx, note.By, now)
	if errors.Is(err, latchkey.ErrNotFound) || errors.Is(err, latchkey.ErrVerify) {
		return nil, wrong
	}
	if err != nil {
		return nil, err
	}
	staff, err := d.s.ledger.Policy().Staff(who.Note)
	if err != nil || n.Verify(staff.Ed) != nil {
		return nil, wrong
	}
	var raw [tokenSize]byte
	_, _ = rand.Read(raw[:]) // never fails (crypto/rand)
	token := base64.RawURLEncoding.EncodeToString(raw[:])
	err = d.s.catalog.PutShift(ctx, catalog.Shift{TokenHash: hashToken(token), Kid: who.Kid, Began: now, Seen: now}, now.Add(-shiftIdle))
	d.s.log.InfoContext(ctx, "shift began", "id", who.ID, "role", who.Role)
	return &v1.StartShiftResponse{Token: token, Staff: who.Note}, err
}

func (d *deskService) EndShift(ctx context.Context, _ *connect.Request[v1.EndShiftRequest]) (*connect.Response[v1.EndShiftResponse], error) {
	if err := d.s.catalog.EndShift(ctx, shiftOf(ctx).hash); err != nil {
		return nil, d.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.EndShiftResponse{}), nil
}

// decide asks the policy, keeps what it said, and turns a no into
// latchkey.ErrRefused with the words of the rules. t is nil without a ticket.
func (s *Server) decide(ctx context.Context, who shift, action policy.Action, t *catalog.Ticket, granted bool) error {
	return s.decideAs(ctx, who, action, t, granted, false)
}

// decideAs is decide; alone says that who asks has entered himself what is to be
// decided.
func (s *Server) decideAs(ctx context.Context, who shift, action policy.Action, t *catalog.Ticket, granted, alone bool) error {
	now := time.Now()
	suspended, err := s.suspended(ctx, who.Staff)
	if err != nil {
		return err
	}
	q := policy.Request{
		Staff: who.ID, Role: who.Role, Action: action, Granted: granted, Strength: strengthKey, Country: who.country, Now: now.Unix(), Suspended: suspended, Alone: alone,
		Trained: now.Sub(time.Unix(who.trained, 0)) < trainingLife,
	}
	kept := catalog.Decision{At: now, ID: who.ID, Kid: who.Kid, Role: who.Role, Action: string(action)}
	if t != nil {
		q.Ticket, q.Open, q.Assigned = t.N, t.State == catalog.TicketOpen, t.Agent == who.Kid
		kept.Ticket, kept.Household = t.N, t.Household
	}
	d := s.policies.Decide(q)
	kept.Allowed, kept.Rules = d.Allowed, d.Names()
	if err := s.catalog.PutDecision(ctx, kept); err != nil {
		return err
	}
	s.watchMisuse(ctx, who, kept)
	if d.Allowed {
		return nil
	}
	words := "nothing permits it"
	for i, r := range d.Rules {
		if i == 0 {
			words = ""
		}
		words += " " + r.Words
	}
	return fmt.Errorf("cloud: desk: %s: %w: %s", action, latchkey.ErrRefused, strings.TrimSpace(words))
}

func (s *Server) suspended(ctx context.Context, who catalog.Staff) (bool, error) {
	all, err := s.catalog.Suspensions(ctx)
	return slices.ContainsFunc(all, func(x catalog.Suspension) bool { return x.Holds(who.Kid, who.ID) }), err
}

func (d *deskService) Explain(ctx context.Context, req *connect.Request[v1.ExplainRequest]) (*connect.Response[v1.ExplainResponse], error) {
	if err := d.s.decide(ctx, shiftOf(ctx), policy.Explain, nil, false); err != nil {
		return nil, d.s.answer(ctx, err)
	}
	m := req.Msg
	got := d.s.policies.Decide(policy.Request{
		Staff: "somebody", Role: m.GetRole(), Action: policy.Action(m.GetAction()), Ticket: 1, Open: m.GetOpen(), Assigned: m.GetAssigned(),
		Granted: m.GetGranted(), Trained: m.GetTrained(), Strength: m.GetStrength(), Now: time.Now().Unix(),
	})
	res := &v1.ExplainResponse{Allowed: got.Allowed, Version: d.s.policies.Hash().String()}
	for _, r := range got.Rules {
		res.Rules = append(res.Rules, &v1.Rule{Name: r.Name, Words: r.Words})
	}
	return connect.NewResponse(res), nil
}

const (
	mineSpan = 7 * 24 * time.Hour
	maxMine  = 500
)

// ListMine tells the caller what he has asked and why it was answered so.
func (d *deskService) ListMine(ctx context.Context, _ *connect.Request[v1.ListMineRequest]) (*connect.Response[v1.ListMineResponse], error) {
	who := shiftOf(ctx)
	err := d.s.decide(ctx, who, policy.Explain, nil, false)
	var all []catalog.Decision
	if err == nil {
		all, err = d.s.catalog.DecisionsOf(ctx, who.Kid, time.Now().Add(-mineSpan), maxMine)
	}
	if err != nil {
		return nil, d.s.answer(ctx, err)
	}
	res := &v1.ListMineResponse{Decisions: decisionRows(all), Version: d.s.policies.Hash().String()}
	for _, r := range d.s.policies.Rules() {
		res.Rules = append(res.Rules, &v1.Rule{Name: r.Name, Words: r.Words})
	}
	return connect.NewResponse(res), nil
}

// openDesk reads the desk's rules and, where there can be staff, puts their hash
// into the public log, once for each version.
func (s *Server) openDesk(ctx context.Context) error {
	var err error
	if s.policies, err = policy.Builtin(); err != nil || len(s.ledger.Policy().StaffRoots) == 0 {
		return err
	}
	return s.ledger.AnnounceNotice(ctx, ledger.Notice{What: "desk-policy", Hash: s.policies.Hash()})
}
