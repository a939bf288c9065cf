package cloud

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/ledger"
)

// ticketService implements latchkey.v1.TicketService, for members.
type ticketService struct{ s *Server }

const (
	maxOpenTickets = 8   // of one household
	maxMessages    = 500 // of one ticket
	maxTicketBody  = 32 << 10
	maxReaders     = 64
)

// topics are what a ticket may be about before anybody may read its words.
func topics() []string {
	return []string{"offline", "clock", "line", "password", "codec", "footage", "other"}
}

func (t *ticketService) OpenTicket(ctx context.Context, req *connect.Request[v1.OpenTicketRequest]) (*connect.Response[v1.OpenTicketResponse], error) {
	res, err := t.open(ctx, req.Msg)
	if err != nil {
		return nil, t.s.answer(ctx, err)
	}
	return connect.NewResponse(res), nil
}

// open gives the ticket to whoever of support has the fewest, so that the
// household knows at once to whom it writes.
func (t *ticketService) open(ctx context.Context, m *v1.OpenTicketRequest) (*v1.OpenTicketResponse, error) {
	session, now := sessionOf(ctx), time.Now()
	if !slices.Contains(topics(), m.GetTopic()) {
		return nil, fmt.Errorf("cloud: open ticket: %w: no such topic", latchkey.ErrInvalid)
	}
	agent, err := t.s.leastBusy(ctx, now)
	if err != nil {
		return nil, err
	}
	entry, err := t.s.staffEntry(ctx, agent)
	if err != nil {
		return nil, err
	}
	n, err := t.s.catalog.OpenTicket(ctx, catalog.Ticket{Household: session.Household, OpenedBy: session.Kid, Topic: m.GetTopic(), Agent: agent.Kid, Opened: now}, maxOpenTickets)
	if err != nil {
		return nil, err
	}
	t.s.log.InfoContext(ctx, "ticket opened", "ticket", n, "agent", agent.ID)
	return &v1.OpenTicketResponse{Ticket: n, Agent: entry}, nil
}

// leastBusy is somebody of support whose note stands in the log.
func (s *Server) leastBusy(ctx context.Context, now time.Time) (catalog.Staff, error) {
	staff, err := s.catalog.StaffNow(ctx, now)
	if err != nil {
		return catalog.Staff{}, err
	}
	suspended, err := s.catalog.Suspensions(ctx)
	if err != nil {
		return catalog.Staff{}, err
	}
	open, err := s.catalog.OpenTickets(ctx, maxDesk)
	if err != nil {
		return catalog.Staff{}, err
	}
	busy := map[latchkey.Kid]int{}
	for _, t := range open {
		busy[t.Agent]++
	}
	best := catalog.Staff{}
	for _, one := range staff {
		out := slices.ContainsFunc(suspended, func(x catalog.Suspension) bool { return x.Holds(one.Kid, one.ID) })
		note, err := s.ledger.Policy().Staff(one.Note)
		if err != nil || now.Sub(time.Unix(note.Trained, 0)) >= trainingLife {
			continue // he may not read it
		}
		if one.Role != ledger.RoleSupport || out || best.ID != "" && busy[one.Kid] >= busy[best.Kid] {
			continue
		}
		if _, err := s.ledger.Announced(ctx, one.Note); err == nil {
			best = one
		}
	}
	if best.ID == "" {
		return best, fmt.Errorf("cloud: open ticket: %w: nobody of support is there now", latchkey.ErrUnavailable)
	}
	return best, nil
}

func (t *ticketService) ListTickets(ctx context.Context, _ *connect.Request[v1.ListTicketsRequest]) (*connect.Response[v1.ListTicketsResponse], error) {
	all, err := t.s.catalog.Tickets(ctx, sessionOf(ctx).Household)
	if err != nil {
		return nil, t.s.answer(ctx, err)
	}
	res := &v1.ListTicketsResponse{}
	for _, one := range all {
		row, err := t.s.ticketRow(ctx, one)
		if err != nil {
			return nil, t.s.answer(ctx, err)
		}
		res.Tickets = append(res.Tickets, row)
	}
	return connect.NewResponse(res), nil
}

func (s *Server) ticketRow(ctx context.Context, t catalog.Ticket) (*v1.Ticket, error) {
	row := &v1.Ticket{
		Ticket: t.N, Topic: t.Topic, State: t.State, OpenedMs: t.Opened.UnixMilli(), UpdatedMs: t.Updated.UnixMilli(), Messages: t.Messages,
	}
	if t.Agent == (latchkey.Kid{}) {
		return row, nil
	}
	who, err := s.staffNow(ctx, t.Agent, time.Now())
	switch {
	case err == nil:
		row.Agent = who.ID
	case !errors.Is(err, latchkey.ErrNotFound) && !errors.Is(err, latchkey.ErrVerify):
		return nil, err
	}
	return row, nil
}

// ofHousehold finds a ticket of the caller's household.
func (t *ticketService) ofHousehold(ctx context.Context, n uint64) (catalog.Ticket, error) {
	found, err := t.s.ticket(ctx, n)
	if err == nil && found.Household != sessionOf(ctx).Household {
		err = fmt.Errorf("cloud: ticket: %w", latchkey.ErrNotFound)
	}
	return found, err
}

func (s *Server) ticket(ctx context.Context, n uint64) (catalog.Ticket, error) {
	if n > 1<<53 {
		return catalog.Ticket{}, fmt.Errorf("cloud: ticket: %w", latchkey.ErrNotFound)
	}
	return s.catalog.Ticket(ctx, n)
}

func (t *ticketService) GetTicket(ctx context.Context, req *connect.Request[v1.GetTicketRequest]) (*connect.Response[v1.GetTicketResponse], error) {
	res, err := t.get(ctx, req.Msg.GetTicket())
	if err != nil {
		return nil, t.s.answer(ctx, err)
	}
	return connect.NewResponse(res), nil
}

func (t *ticketService) get(ctx context.Context, n uint64) (*v1.GetTicketResponse, error) {
	found, err := t.ofHousehold(ctx, n)
	if err != nil {
		return nil, err
	}
	state, err := t.s.homes.state(ctx, found.Household)
	if err != nil {
		return nil, err
	}
	res := &v1.GetTicketResponse{}
	if res.Ticket, err = t.s.ticketRow(ctx, found); err != nil {
		return nil, err
	}
	if res.Letters, err = t.s.catalog.TicketLetters(ctx, n, state.Members[sessionOf(ctx).Kid].Kids()); err != nil {
		return nil, err
	}
	who, err := t.s.staffNow(ctx, found.Agent, time.Now())
	if errors.Is(err, latchkey.ErrNotFound) || errors.Is(err, latchkey.ErrVerify) {
		return res, nil
	}
	if err == nil {
		res.Agent, err = t.s.staffEntry(ctx, who.Staff)
	}
	return res, err
}

func (t *ticketService) PutMessage(ctx context.Context, req *connect.Request[v1.PutMessageRequest]) (*connect.Response[v1.PutMessageResponse], error) {
	found, err := t.ofHousehold(ctx, req.Msg.GetTicket())
	if err == nil {
		err = t.s.putMessage(ctx, found, req.Msg.GetLetters())
	}
	if err != nil {
		return nil, t.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.PutMessageResponse{}), nil
}

// putMessage stores letters to members of the ticket's household and to its agent.
func (s *Server) putMessage(ctx context.Context, t catalog.Ticket, list []*v1.Letter) error {
	state, err := s.homes.state(ctx, t.Household)
	if err != nil {
		return err
	}
	readers := map[latchkey.Kid]bool{}
	for _, m := range state.Members {
		readers[chain.KidOf(m.X)] = true
	}
	who, err := s.staffNow(ctx, t.Agent, time.Now())
	switch {
	case err == nil:
		readers[who.XKid] = true
	case !errors.Is(err, latchkey.ErrNotFound) && !errors.Is(err, latchkey.ErrVerify):
		return err
	}
	if len(list) == 0 || len(list) > maxReaders {
		return fmt.Errorf("cloud: message: %w: %d letters", latchkey.ErrInvalid, len(list))
	}
	var letters []catalog.Letter
	for _, l := range list {
		if len(l.GetKid()) != latchkey.IDSize || !readers[latchkey.Kid(l.GetKid())] {
			return fmt.Errorf("cloud: message: %w: a letter to nobody of this ticket, or a second one", latchkey.ErrInvalid)
		}
		kid := latchkey.Kid(l.GetKid())
		readers[kid] = false
		if err := checkSealed(letterMagic, l.GetBody(), maxTicketBody, kid); err != nil {
			return fmt.Errorf("cloud: message: %w", err)
		}
		letters = append(letters, catalog.Letter{Kid: kid, Body: l.GetBody()})
	}
	return s.catalog.PutMessage(ctx, t.N, letters, time.Now(), maxMessages)
}

func (t *ticketService) CloseTicket(ctx context.Context, req *connect.Request[v1.CloseTicketRequest]) (*connect.Response[v1.CloseTicketResponse], error) {
	found, err := t.ofHousehold(ctx, req.Msg.GetTicket())
	if err == nil {
		err = t.s.catalog.CloseTicket(ctx, found.N, time.Now())
	}
	if err != nil {
		return nil, t.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.CloseTicketResponse{}), nil
}
