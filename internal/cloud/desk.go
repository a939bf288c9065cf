package cloud

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/ingest"
	"latchkey.dev/latchkey/internal/cloud/policy"
	"latchkey.dev/latchkey/part"
)

const (
	maxDesk     = 1000 // open tickets in one answer
	entrySize   = 2*latchkey.IDSize + 4
	maxAccess   = 64 // entries of one access: about nine hours
	releaseWait = 20 * time.Second
)

func (d *deskService) ListDesk(ctx context.Context, _ *connect.Request[v1.ListDeskRequest]) (*connect.Response[v1.ListTicketsResponse], error) {
	who := shiftOf(ctx)
	if err := d.s.decide(ctx, who, policy.ListTickets, nil, false); err != nil {
		return nil, d.s.answer(ctx, err)
	}
	all, err := d.s.catalog.OpenTickets(ctx, maxDesk)
	if err != nil {
		return nil, d.s.answer(ctx, err)
	}
	slices.SortStableFunc(all, func(a, b catalog.Ticket) int {
		switch mine := a.Agent == who.Kid; {
		case mine == (b.Agent == who.Kid):
			return 0
		case mine:
			return -1
		}
		return 1
	})
	res := &v1.ListTicketsResponse{}
	for _, one := range all {
		row, err := d.s.ticketRow(ctx, one)
		if err != nil {
			return nil, d.s.answer(ctx, err)
		}
		res.Tickets = append(res.Tickets, row)
	}
	return connect.NewResponse(res), nil
}

// decide asks the policy about a ticket. One that does not exist is answered, and
// counted, like one that is closed.
func (d *deskService) decide(ctx context.Context, action policy.Action, n uint64) (catalog.Ticket, error) {
	t, err := d.s.ticket(ctx, n)
	if errors.Is(err, latchkey.ErrNotFound) {
		t, err = catalog.Ticket{N: n}, nil
	}
	if err == nil {
		err = d.s.decide(ctx, shiftOf(ctx), action, &t, false)
	}
	return t, err
}

func (d *deskService) TakeTicket(ctx context.Context, req *connect.Request[v1.TakeTicketRequest]) (*connect.Response[v1.TakeTicketResponse], error) {
	who := shiftOf(ctx)
	t, err := d.decide(ctx, policy.TakeTicket, req.Msg.GetTicket())
	if err == nil && t.Agent != who.Kid {
		// Before he has it, so that nobody has had it without the household knowing.
		err = d.s.tell(ctx, t.Household, who.XKid, "ticket-taken", strconv.FormatUint(t.N, 10))
		if err == nil {
			err = d.s.catalog.AssignTicket(ctx, t.N, t.Agent, who.Kid, time.Now())
		}
	}
	if err != nil {
		return nil, d.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.TakeTicketResponse{}), nil
}

// tell writes into a household's chain what somebody of staff did.
func (s *Server) tell(ctx context.Context, h latchkey.HouseholdID, staff latchkey.Kid, action, object string) error {
	_, err := s.state(ctx, h, func(head chain.Head, _ chain.State) (chain.Statement, error) {
		return chain.Notice{Head: head, Staff: staff, Action: action, Object: object}, nil
	})
	return err
}

// state appends a statement of the operator to a household's chain.
func (s *Server) state(ctx context.Context, h latchkey.HouseholdID, make func(chain.Head, chain.State) (chain.Statement, error)) (chain.Note, error) {
	signer, err := s.ledger.Operator()
	if err != nil {
		return chain.Note{}, err
	}
	for range 8 {
		state, err := s.homes.state(ctx, h)
		if err != nil {
			return chain.Note{}, err
		}
		head := chain.Head{Household: h, Seq: state.Seq + 1, Prev: state.Hash, Time: max(time.Now().Unix(), state.Time), By: chain.KidOf(signer.Public()), Salt: newSalt()}
		st, err := make(head, state)
		if err != nil {
			return chain.Note{}, err
		}
		text, err := st.Text()
		if err != nil {
			return chain.Note{}, err
		}
		n, err := chain.ParseNote(chain.SignNote(text, signer))
		if err != nil {
			return chain.Note{}, err
		}
		_, after, err := s.homes.append(ctx, h, n, catalog.Change{Household: h, Note: n.Raw})
		if errors.Is(err, latchkey.ErrConflict) {
			continue // somebody else was first
		}
		if err != nil {
			return chain.Note{}, err
		}
		s.ledger.Kick()
		s.hubs.notify(h, after.Seq)
		s.log.InfoContext(ctx, "statement of the operator", "household", h, "seq", after.Seq, "type", n.Type)
		return n, nil
	}
	return chain.Note{}, fmt.Errorf("cloud: statement: %w: the chain moves too fast", latchkey.ErrConflict)
}

func (d *deskService) ReadTicket(ctx context.Context, req *connect.Request[v1.GetTicketRequest]) (*connect.Response[v1.GetTicketResponse], error) {
	res, err := d.read(ctx, req.Msg.GetTicket())
	if err != nil {
		return nil, d.s.answer(ctx, err)
	}
	return connect.NewResponse(res), nil
}

func (d *deskService) read(ctx context.Context, n uint64) (*v1.GetTicketResponse, error) {
	who := shiftOf(ctx)
	t, err := d.decide(ctx, policy.ReadTicket, n)
	if err != nil {
		return nil, err
	}
	if err := d.s.decide(ctx, who, policy.SeeHealth, &t, false); err != nil {
		return nil, err
	}
	state, err := d.s.homes.state(ctx, t.Household)
	if err != nil {
		return nil, err
	}
	res := &v1.GetTicketResponse{}
	if res.Ticket, err = d.s.ticketRow(ctx, t); err != nil {
		return nil, err
	}
	res.Ticket.Household = t.Household[:]
	if res.Letters, err = d.s.catalog.TicketLetters(ctx, n, []latchkey.Kid{who.XKid}); err != nil {
		return nil, err
	}
	if res.Health, err = d.s.catalog.Health(ctx, n); err != nil {
		return nil, err
	}
	for kid, m := range state.Members {
		res.Readers = append(res.Readers, &v1.Reader{Kid: kid[:], X: m.X, Ed: m.Ed})
	}
	slices.SortFunc(res.Readers, func(a, b *v1.Reader) int { return strings.Compare(string(a.Kid), string(b.Kid)) })
	return res, nil
}

func (d *deskService) Reply(ctx context.Context, req *connect.Request[v1.PutMessageRequest]) (*connect.Response[v1.PutMessageResponse], error) {
	t, err := d.decide(ctx, policy.Reply, req.Msg.GetTicket())
	if err == nil {
		err = d.s.putMessage(ctx, t, req.Msg.GetLetters())
	}
	if err != nil {
		return nil, d.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.PutMessageResponse{}), nil
}

func (d *deskService) ListGranted(ctx context.Context, req *connect.Request[v1.ListGrantedRequest]) (*connect.Response[v1.ListGrantedResponse], error) {
	res, err := d.granted(ctx, req.Msg.GetTicket())
	if err != nil {
		return nil, d.s.answer(ctx, err)
	}
	return connect.NewResponse(res), nil
}

func (d *deskService) granted(ctx context.Context, n uint64) (*v1.ListGrantedResponse, error) {
	who := shiftOf(ctx)
	t, err := d.decide(ctx, policy.ListGrants, n)
	if err != nil {
		return nil, err
	}
	ids, err := d.s.catalog.TicketGrants(ctx, n)
	if err != nil {
		return nil, err
	}
	state, err := d.s.homes.state(ctx, t.Household)
	if err != nil {
		return nil, err
	}
	ids = slices.DeleteFunc(ids, func(id latchkey.GrantID) bool { return !grantedTo(state, id, who) })
	slices.SortFunc(ids, func(a, b latchkey.GrantID) int { return int(state.Grants[a].Seq) - int(state.Grants[b].Seq) })
	res := &v1.ListGrantedResponse{}
	for _, id := range ids {
		note, err := d.s.statement(ctx, t.Household, state.Grants[id].Seq)
		if err != nil {
			return nil, err
		}
		res.Notes = append(res.Notes, note)
	}
	return res, nil
}

// grantedTo reports whether a grant is to this person of staff and in force.
func grantedTo(state chain.State, id latchkey.GrantID, who shift) bool {
	g, ok := state.Grants[id]
	return ok && g.Kind == chain.GrantStaff && g.To == who.XKid && inForce(g, time.Now())
}

// asked is one grant that somebody of staff asks for.
type asked struct {
	who    shift
	ticket catalog.Ticket
	id     latchkey.GrantID
	grant  chain.Grant
}

// ask finds the grant and asks the policy. A refusal is kept, as every decision is.
func (d *deskService) ask(ctx context.Context, action policy.Action, ticket uint64, grant []byte) (asked, error) {
	a := asked{who: shiftOf(ctx)}
	if len(grant) != latchkey.IDSize {
		return a, fmt.Errorf("cloud: desk: %w: a grant of %d bytes", latchkey.ErrInvalid, len(grant))
	}
	a.id = latchkey.GrantID(grant)
	var err error
	if a.ticket, err = d.s.ticket(ctx, ticket); errors.Is(err, latchkey.ErrNotFound) {
		_, err = d.decide(ctx, action, ticket)
	}
	if err != nil {
		return a, err
	}
	state, err := d.s.homes.state(ctx, a.ticket.Household)
	if err != nil {
		return a, err
	}
	ids, err := d.s.catalog.TicketGrants(ctx, ticket)
	if err != nil {
		return a, err
	}
	a.grant = state.Grants[a.id]
	return a, d.s.decide(ctx, a.who, action, &a.ticket, slices.Contains(ids, a.id) && grantedTo(state, a.id, a.who))
}

func (d *deskService) OpenGranted(ctx context.Context, req *connect.Request[v1.OpenGrantedRequest]) (*connect.Response[v1.OpenGrantedResponse], error) {
	res, err := d.open(ctx, req.Msg)
	if err != nil {
		return nil, d.s.answer(ctx, err)
	}
	return connect.NewResponse(res), nil
}

func (d *deskService) open(ctx context.Context, m *v1.OpenGrantedRequest) (*v1.OpenGrantedResponse, error) {
	a, err := d.ask(ctx, policy.OpenGrant, m.GetTicket(), m.GetGrant())
	if err != nil {
		return nil, err
	}
	state, err := d.s.homes.state(ctx, a.ticket.Household)
	if err != nil {
		return nil, err
	}
	c, err := d.s.catalog.GrantCapsule(ctx, a.ticket.Household, a.id)
	if err != nil {
		return nil, err
	}
	res := &v1.OpenGrantedResponse{Proof: c.Proof, Capsule: c.Capsule, Operator: state.Operator}
	if res.Note, err = d.s.statement(ctx, a.ticket.Household, a.grant.Seq); err != nil {
		return nil, err
	}
	res.Epochs, err = (&linkService{d.s}).epochs(ctx, a.ticket.Household, a.grant)
	return res, err
}

func (d *deskService) Access(ctx context.Context, req *connect.Request[v1.AccessRequest]) (*connect.Response[v1.AccessResponse], error) {
	res, err := d.access(ctx, req.Msg)
	if err != nil {
		return nil, d.s.answer(ctx, err)
	}
	return connect.NewResponse(res), nil
}

func (d *deskService) access(ctx context.Context, m *v1.AccessRequest) (*v1.AccessResponse, error) {
	a, err := d.ask(ctx, policy.Access, m.GetTicket(), m.GetGrant())
	if err != nil {
		return nil, err
	}
	entries, err := parseEntries(m.GetEntries())
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if err := d.s.entryGranted(ctx, a, e); err != nil {
			return nil, err
		}
	}
	before, err := d.s.accessesOf(ctx, a.ticket.Household, a.id, a.grant.Seq)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(before, func(x accessed) bool { return slices.Equal(x.Entries, entries) })
	if i < 0 {
		n, err := d.s.state(ctx, a.ticket.Household, func(h chain.Head, _ chain.State) (chain.Statement, error) {
			return chain.Access{Head: h, Grant: a.id, Staff: a.who.XKid, Entries: entries}, nil
		})
		if err != nil {
			return nil, err
		}
		return &v1.AccessResponse{Note: n.Raw}, nil
	}
	res := &v1.AccessResponse{Note: before[i].raw}
	proof, err := d.s.prove(ctx, a.ticket.Household, before[i].Seq)
	if errors.Is(err, latchkey.ErrNotFound) {
		return res, nil
	}
	res.Proof = proof
	return res, err
}

// prove is the proof of a statement's leaf, or latchkey.ErrNotFound while the
// log does not have it.
func (s *Server) prove(ctx context.Context, h latchkey.HouseholdID, seq uint64) ([]byte, error) {
	row, err := s.catalog.Household(ctx, h)
	if err != nil {
		return nil, err
	}
	proof, err := s.ledger.Prove(ctx, h, &row.LogTagKey, seq)
	if err != nil {
		return nil, err
	}
	return proof.Encode(), nil
}

// parseEntries reads names of capsule entries, sorted and distinct.
func parseEntries(raw [][]byte) ([]chain.Entry, error) {
	if len(raw) == 0 || len(raw) > maxAccess {
		return nil, fmt.Errorf("cloud: access: %w: %d entries, want 1 to %d", latchkey.ErrInvalid, len(raw), maxAccess)
	}
	out := make([]chain.Entry, len(raw))
	for i, b := range raw {
		if len(b) != entrySize || i > 0 && string(raw[i-1]) >= string(b) {
			return nil, fmt.Errorf("cloud: access: %w: entries have %d bytes, are sorted and distinct", latchkey.ErrInvalid, entrySize)
		}
		place := binary.BigEndian.Uint32(b[2*latchkey.IDSize:])
		out[i] = chain.Entry{Epoch: latchkey.EpochID(b[:16]), Track: latchkey.TrackID(b[16:32]), Level: uint8(place >> 24), Index: place & 0xffffff}
		if out[i].Level < chain.ReleasedLevel || out[i].Level > part.Depth || out[i].Index>>out[i].Level != 0 {
			return nil, fmt.Errorf("cloud: access: %w: no node of a two-key grant", latchkey.ErrInvalid)
		}
	}
	return out, nil
}

// spanOf is the footage time of an entry, or latchkey.ErrNotFound for an epoch of
// another household.
func (s *Server) spanOf(ctx context.Context, h latchkey.HouseholdID, e chain.Entry) (span, error) {
	epoch, err := s.ingest.Epoch(ctx, e.Epoch)
	if err == nil && epoch.Hub.Household != h {
		err = fmt.Errorf("cloud: access: epoch: %w", latchkey.ErrNotFound)
	}
	if err != nil {
		return span{}, err
	}
	from, until := part.Node{Level: e.Level, Index: e.Index}.Range()
	return span{epoch.Start + int64(from), epoch.Start + int64(until)}, nil
}

// entryGranted checks that an entry lies within the lines of the grant.
func (s *Server) entryGranted(ctx context.Context, a asked, e chain.Entry) error {
	at, err := s.spanOf(ctx, a.ticket.Household, e)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(a.grant.Tracks, func(r chain.TrackRange) bool { return r.Track == e.Track && r.From <= at.from && at.until <= r.Until }) {
		return fmt.Errorf("cloud: access: %w: an entry that was not granted", latchkey.ErrRefused)
	}
	return nil
}

// accessed is an access statement of the chain.
type accessed struct {
	chain.Access
	raw  []byte
	hash latchkey.Hash
}

// accessesOf reads the accesses to a grant out of the chain, from the grant on.
func (s *Server) accessesOf(ctx context.Context, h latchkey.HouseholdID, grant latchkey.GrantID, from uint64) ([]accessed, error) {
	var out []accessed
	err := s.eachOf(ctx, h, from, chain.TypeAccess, func(n chain.Note, st chain.Statement) {
		if a, ok := st.(chain.Access); ok && a.Grant == grant {
			slices.SortFunc(a.Entries, compareEntries)
			out = append(out, accessed{a, n.Raw, n.Hash()})
		}
	})
	return out, err
}

// eachOf runs use for the statements of one type in a household's chain, from one on.
func (s *Server) eachOf(ctx context.Context, h latchkey.HouseholdID, from uint64, kind string, use func(chain.Note, chain.Statement)) error {
	for {
		notes, err := s.catalog.Statements(ctx, h, from, maxStatements)
		if err != nil {
			return err
		}
		for _, raw := range notes {
			n, err := chain.ParseNote(raw)
			if err != nil {
				return err
			}
			if n.Type != kind {
				continue
			}
			st, err := chain.ParseStatement(n)
			if err != nil {
				return err
			}
			use(n, st)
		}
		if len(notes) < maxStatements {
			return nil
		}
		from += uint64(len(notes))
	}
}

// compareEntries is the order of their names in a capsule.
func compareEntries(a, b chain.Entry) int {
	x, y := nameOf(a), nameOf(b)
	return strings.Compare(string(x[:]), string(y[:]))
}

func nameOf(e chain.Entry) (b [entrySize]byte) {
	copy(b[:], e.Epoch[:])
	copy(b[16:], e.Track[:])
	binary.BigEndian.PutUint32(b[32:], uint32(e.Level)<<24|e.Index)
	return b
}

func (d *deskService) Release(ctx context.Context, req *connect.Request[v1.ReleaseRequest]) (*connect.Response[v1.ReleaseResponse], error) {
	released, err := d.release(ctx, req.Msg)
	if err != nil {
		return nil, d.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.ReleaseResponse{Released: released}), nil
}

// release carries an opening to the hub, with all that the hub needs to judge it.
func (d *deskService) release(ctx context.Context, m *v1.ReleaseRequest) ([]byte, error) {
	a, err := d.ask(ctx, policy.Release, m.GetTicket(), m.GetGrant())
	if err != nil {
		return nil, err
	}
	n, err := chain.ParseNote(m.GetNote())
	if err != nil {
		return nil, err
	}
	opening, err := chain.ParseOpening(n)
	if err != nil {
		return nil, err
	}
	all, err := d.s.accessesOf(ctx, a.ticket.Household, a.id, a.grant.Seq)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(x accessed) bool { return x.hash == opening.Access })
	if i < 0 {
		return nil, fmt.Errorf("cloud: release: %w: no access statement names these entries", latchkey.ErrRefused)
	}
	proof, err := d.s.prove(ctx, a.ticket.Household, all[i].Seq)
	if err != nil {
		return nil, err
	}
	staff, err := d.s.ledger.Announced(ctx, a.who.Note)
	if err != nil {
		return nil, err
	}
	c, err := d.s.catalog.GrantCapsule(ctx, a.ticket.Household, a.id)
	if err != nil {
		return nil, err
	}
	u := d.s.hubs.of(ingest.Hub{Household: a.ticket.Household, Kid: a.grant.Release})
	if u == nil {
		return nil, fmt.Errorf("cloud: release: %w: the hub is not connected; without it nothing can be opened", latchkey.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, releaseWait)
	defer cancel()
	return u.opening(ctx, &v1.UplinkOpening{Note: n.Raw, Staff: a.who.Note, StaffProof: staff.Encode(), Mask: c.Mask, Seq: all[i].Seq, Proof: proof})
}

// serveGranted runs GET /v1/desk/{ticket}/{grant}/{track}: what of a grant an
// access statement in the log names, and nothing else.
func (s *Server) serveGranted(w http.ResponseWriter, r *http.Request) {
	ctx, release := r.Context(), func() {}
	defer func() { release() }()
	if id, err := latchkey.ParseGrantID(r.PathValue("grant")); err == nil {
		// Before it is looked at: a revocation in between ends it.
		ctx, release = s.holdGranted(ctx, r.PathValue("ticket"), id)
	}
	g, q, err := s.grantedSight(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.answerFootage(ctx, w, r, g, q)
}

// holdGranted ends ctx when the grant ends.
func (s *Server) holdGranted(ctx context.Context, ticket string, id latchkey.GrantID) (context.Context, context.CancelFunc) {
	n, err := strconv.ParseUint(ticket, 10, 64)
	if err != nil {
		return ctx, func() {}
	}
	t, err := s.ticket(ctx, n)
	if err != nil {
		return ctx, func() {}
	}
	state, err := s.homes.state(ctx, t.Household)
	if err != nil {
		return ctx, func() {}
	}
	return s.deskHolds.hold(ctx, t.Household, id, time.Unix(state.Grants[id].Until, 0))
}

func (s *Server) grantedSight(r *http.Request) (*sight, footageQuery, error) {
	ctx := r.Context()
	q, err := parseFootage(r.PathValue("track"), r.URL.RawQuery)
	if err != nil {
		return nil, q, err
	}
	n, err := strconv.ParseUint(r.PathValue("ticket"), 10, 64)
	if err != nil {
		return nil, q, fmt.Errorf("cloud: desk: %w: no ticket", latchkey.ErrInvalid)
	}
	id, err := latchkey.ParseGrantID(r.PathValue("grant"))
	if err != nil {
		return nil, q, fmt.Errorf("cloud: desk: %w", err)
	}
	a, err := (&deskService{s}).ask(ctx, policy.Watch, n, id[:])
	if err != nil {
		return nil, q, err
	}
	all, err := s.accessesOf(ctx, a.ticket.Household, id, a.grant.Seq)
	if err != nil {
		return nil, q, err
	}
	var spans []span
	for _, x := range all {
		if _, err := s.prove(ctx, a.ticket.Household, x.Seq); errors.Is(err, latchkey.ErrNotFound) {
			continue
		} else if err != nil {
			return nil, q, err
		}
		for _, e := range x.Entries {
			at, err := s.spanOf(ctx, a.ticket.Household, e)
			if err == nil && e.Track == q.track && s.entryGranted(ctx, a, e) == nil {
				spans = append(spans, at)
			}
		}
	}
	if len(spans) == 0 {
		return nil, q, fmt.Errorf("cloud: desk: %w", latchkey.ErrNotFound)
	}
	return &sight{s: s, household: a.ticket.Household, track: q.track, granted: joinSpans(spans)}, q, nil
}

func newSalt() (salt [16]byte) {
	_, _ = rand.Read(salt[:]) // never fails (crypto/rand)
	return salt
}
