package cloud

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/policy"
)

// The patterns that are looked for in what staff ask (docs/design/0009,
// "Misuse"), over misuseSpan.
const (
	foundRefusals = "refusals"  // of any kind
	foundNoTicket = "no-ticket" // asked for what is in no ticket of theirs
	foundVolume   = "volume"    // households looked into
	foundHours    = "hours"     // tickets looked into at night, of each hour, by the server's clock
	foundCrowd    = "crowd"     // agents who looked into one household
	foundTakes    = "takes"     // tickets taken from others
	foundLinked   = "linked"    // tickets of one household that one agent looked into
	misuseSpan    = 24 * time.Hour
	maxDecisions  = 100_000
	// tellEvery bounds how often a household is told of refusals by one person.
	tellEvery = time.Hour
)

// MisuseLimits are how often is too often within a day. Zero fields take the
// defaults.
type MisuseLimits struct {
	Refusals int // default 40
	NoTicket int // default 10
	Volume   int // households; default 60
	Hours    int // tickets looked into between 22 and 6 o'clock UTC, of each hour; default 100
	Takes    int // tickets taken; default 60
	Crowd    int // agents in one household; default 4; found, and nobody is suspended for it
	Linked   int // tickets of one household with one agent; default 3; like Crowd
}

func (m MisuseLimits) withDefaults() MisuseLimits {
	for _, f := range []struct {
		at    *int
		value int
	}{{&m.Refusals, 40}, {&m.NoTicket, 10}, {&m.Volume, 60}, {&m.Hours, 100}, {&m.Takes, 60}, {&m.Crowd, 4}, {&m.Linked, 3}} {
		if *f.at == 0 {
			*f.at = f.value
		}
	}
	return m
}

// told is when a household was last told of refusals by one person.
type told struct {
	mu sync.Mutex
	at map[string]time.Time
}

// finding is one pattern of one person.
type finding struct {
	kid          latchkey.Kid
	id, kind     string
	count, limit int
}

// findings counts decisions. It depends on nothing else, so that an auditor can
// count them again.
func (m MisuseLimits) findings(all []catalog.Decision) []finding {
	type person struct {
		finding
		refusals, noTicket, takes int
		night                     map[[2]uint64]bool                       // ticket and hour
		homes                     map[latchkey.HouseholdID]map[uint64]bool // and their tickets
	}
	people, crowd := map[latchkey.Kid]*person{}, map[latchkey.HouseholdID]map[latchkey.Kid]bool{}
	for _, d := range all {
		p := people[d.Kid]
		if p == nil {
			p = &person{finding: finding{kid: d.Kid, id: d.ID}, homes: map[latchkey.HouseholdID]map[uint64]bool{}, night: map[[2]uint64]bool{}}
			people[d.Kid] = p
		}
		if !d.Allowed {
			p.refusals++
			if strings.Contains(d.Rules, "ticket") {
				p.noTicket++
			}
			continue
		}
		if d.Action == string(policy.TakeTicket) {
			p.takes++
		}
		if !looksInside(d.Action) {
			continue
		}
		if p.homes[d.Household] == nil {
			p.homes[d.Household] = map[uint64]bool{}
		}
		p.homes[d.Household][d.Ticket] = true
		if h := d.At.UTC().Hour(); h >= 22 || h < 6 {
			p.night[[2]uint64{d.Ticket, uint64(h)}] = true
		}
		if crowd[d.Household] == nil {
			crowd[d.Household] = map[latchkey.Kid]bool{}
		}
		crowd[d.Household][d.Kid] = true
	}
	var out []finding
	add := func(f finding, kind string, count, limit int) {
		if f.kind, f.count, f.limit = kind, count, limit; count > limit {
			out = append(out, f)
		}
	}
	for _, p := range people {
		add(p.finding, foundRefusals, p.refusals, m.Refusals)
		add(p.finding, foundNoTicket, p.noTicket, m.NoTicket)
		add(p.finding, foundVolume, len(p.homes), m.Volume)
		add(p.finding, foundTakes, p.takes, m.Takes)
		add(p.finding, foundHours, len(p.night), m.Hours)
		most, linked := 0, 0
		for h, tickets := range p.homes {
			most, linked = max(most, len(crowd[h])), max(linked, len(tickets))
		}
		add(p.finding, foundCrowd, most, m.Crowd)
		add(p.finding, foundLinked, linked, m.Linked)
	}
	slices.SortFunc(out, func(a, b finding) int { return strings.Compare(a.id+a.kind, b.id+b.kind) })
	return out
}

// looksInside reports whether an action shows something of a household.
func looksInside(action string) bool {
	return slices.Contains([]policy.Action{policy.ReadTicket, policy.SeeHealth, policy.ListGrants, policy.OpenGrant, policy.Access, policy.Release, policy.Watch}, policy.Action(action))
}

// watchMisuse looks at what one decision makes of the picture: who goes too far
// is suspended, and a household learns of a refused look into it.
func (s *Server) watchMisuse(ctx context.Context, who shift, d catalog.Decision) {
	ctx = context.WithoutCancel(ctx)
	// Who may do nothing at all has not tried to look into this one.
	out := strings.Contains(d.Rules, "suspended") || strings.Contains(d.Rules, "training")
	if !d.Allowed && !out && d.Household != (latchkey.HouseholdID{}) && looksInside(d.Action) {
		s.tellRefusal(ctx, who, d)
	}
	found, err := s.misuse(ctx, d.At)
	if err != nil {
		s.log.ErrorContext(ctx, "what staff asked could not be counted", "err", err)
		return
	}
	for _, f := range found {
		if f.kid != who.Kid || f.kind == foundCrowd || f.kind == foundLinked {
			continue
		}
		s.log.WarnContext(ctx, "staff suspended", "id", f.id, "found", f.kind, "count", f.count, "limit", f.limit)
		if err := s.catalog.Suspend(ctx, catalog.Suspension{Kid: f.kid, ID: f.id, Kind: f.kind, At: d.At}); err != nil {
			s.log.ErrorContext(ctx, "staff could not be suspended", "id", f.id, "err", err)
		}
	}
}

// misuse is what stands out in the day before now. What somebody did before he was
// reinstated has been looked at.
func (s *Server) misuse(ctx context.Context, now time.Time) ([]finding, error) {
	suspended, err := s.catalog.Suspensions(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.catalog.Decisions(ctx, now.Add(-misuseSpan), maxDecisions)
	all = slices.DeleteFunc(all, func(d catalog.Decision) bool {
		return slices.ContainsFunc(suspended, func(x catalog.Suspension) bool { return x.Kid == d.Kid && !d.At.After(x.Lifted) })
	})
	return s.cfg.Misuse.findings(all), err
}

// tellRefusal puts a refused look into the household's chain, of one person at
// most once an hour.
func (s *Server) tellRefusal(ctx context.Context, who shift, d catalog.Decision) {
	s.told.mu.Lock()
	key := string(who.Kid[:]) + string(d.Household[:])
	recent := time.Since(s.told.at[key]) < tellEvery
	if !recent {
		if len(s.told.at) > maxAddresses {
			clear(s.told.at)
		}
		s.told.at[key] = d.At
	}
	s.told.mu.Unlock()
	if recent {
		return
	}
	if err := s.tell(ctx, d.Household, who.XKid, "refused", d.Action); err != nil {
		s.log.ErrorContext(ctx, "a refused look was not written into the household's chain", "household", d.Household, "err", err)
		s.told.mu.Lock()
		delete(s.told.at, key) // the next one may be
		s.told.mu.Unlock()
	}
}

func (d *deskService) Audit(ctx context.Context, req *connect.Request[v1.AuditRequest]) (*connect.Response[v1.AuditResponse], error) {
	res, err := d.audit(ctx, req.Msg.GetSinceMs())
	if err != nil {
		return nil, d.s.answer(ctx, err)
	}
	return connect.NewResponse(res), nil
}

func (d *deskService) audit(ctx context.Context, since int64) (*v1.AuditResponse, error) {
	if err := d.s.decide(ctx, shiftOf(ctx), policy.Audit, nil, false); err != nil {
		return nil, err
	}
	if since < 0 {
		return nil, fmt.Errorf("cloud: audit: %w: a time before 1970", latchkey.ErrInvalid)
	}
	all, err := d.s.catalog.Decisions(ctx, time.UnixMilli(since), 5000)
	if err != nil {
		return nil, err
	}
	res := &v1.AuditResponse{Decisions: decisionRows(all)}
	found, err := d.s.misuse(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		res.Findings = append(res.Findings, &v1.Finding{Staff: f.id, Kind: f.kind, Count: uint32(f.count), Limit: uint32(f.limit)})
	}
	suspended, err := d.s.catalog.Suspensions(ctx)
	for _, one := range suspended {
		if one.Lifted.IsZero() {
			res.Suspended = append(res.Suspended, one.ID)
		}
	}
	return res, err
}

func (d *deskService) Reinstate(ctx context.Context, req *connect.Request[v1.ReinstateRequest]) (*connect.Response[v1.ReinstateResponse], error) {
	who := shiftOf(ctx)
	err := d.s.decide(ctx, who, policy.Reinstate, nil, false)
	if err == nil {
		err = d.s.catalog.Reinstate(ctx, req.Msg.GetStaff(), time.Now())
	}
	if err != nil {
		return nil, d.s.answer(ctx, err)
	}
	d.s.log.WarnContext(ctx, "staff reinstated", "id", req.Msg.GetStaff(), "by", who.ID)
	return connect.NewResponse(&v1.ReinstateResponse{}), nil
}

func decisionRows(all []catalog.Decision) []*v1.DeskDecision {
	out := make([]*v1.DeskDecision, len(all))
	for i, one := range all {
		out[i] = &v1.DeskDecision{
			AtMs: one.At.UnixMilli(), Staff: one.ID, Role: one.Role, Action: one.Action, Ticket: one.Ticket, Allowed: one.Allowed, Rules: one.Rules,
		}
	}
	return out
}
