package cloud

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/ingest"
)

// hubs knows which hubs are connected: one uplink per hub identity, whichever
// household it is in.
type hubs struct {
	mu  sync.Mutex
	all map[latchkey.Kid]*uplink
}

func newHubs() *hubs { return &hubs{all: map[latchkey.Kid]*uplink{}} }

// probeWait is how long an older connection of the same hub has to show that
// it is alive before a newer one takes its place.
const probeWait = 3 * time.Second

// enter makes u the uplink of its hub. If another one is alive it returns that
// one: two machines with one identity must not take turns unseen. A dead one
// (the hub lost its network and came back) is closed and replaced.
func (h *hubs) enter(ctx context.Context, u *uplink) (other *uplink, err error) {
	for {
		h.mu.Lock()
		old := h.all[u.hub.Kid]
		if old == nil {
			h.all[u.hub.Kid] = u
			h.mu.Unlock()
			return nil, nil
		}
		h.mu.Unlock()
		if old.alive(ctx, probeWait) {
			return old, ctx.Err()
		}
		old.close()
		select {
		case <-old.gone:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (h *hubs) leave(u *uplink) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all[u.hub.Kid] == u {
		delete(h.all, u.hub.Kid)
	}
}

func (h *hubs) of(hub ingest.Hub) *uplink {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u := h.all[hub.Kid]; u != nil && u.hub == hub {
		return u
	}
	return nil
}

// notify tells a household's hubs that the chain has grown.
func (h *hubs) notify(household latchkey.HouseholdID, seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, u := range h.all {
		if u.hub.Household == household {
			u.send(msgChainNotice, &v1.ChainNotice{HeadSeq: seq})
		}
	}
}

func (h *hubs) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all)
}

// hubService implements latchkey.v1.HubService.
type hubService struct{ s *Server }

// ListHubs tells a viewer which hubs are there and whether they are connected,
// which is what he needs to understand a picture that stands still; the others
// also when.
func (h *hubService) ListHubs(ctx context.Context, _ *connect.Request[v1.ListHubsRequest]) (*connect.Response[v1.ListHubsResponse], error) {
	session := sessionOf(ctx)
	state, err := h.s.homes.state(ctx, session.Household)
	if err != nil {
		return nil, h.s.answer(ctx, err)
	}
	seen, err := h.s.catalog.HubsSeen(ctx, session.Household)
	if err != nil {
		return nil, h.s.answer(ctx, err)
	}
	res := &v1.ListHubsResponse{}
	for kid := range state.Hubs {
		p := &v1.HubPresence{Kid: kid[:], Online: h.s.hubs.of(ingest.Hub{Household: session.Household, Kid: kid}) != nil}
		if state.Members[session.Kid].Role != chain.RoleViewer {
			p.LastSeenMs, p.DoubledMs = seen[kid].Seen, seen[kid].Doubled
			if p.Online {
				p.LastSeenMs = time.Now().UnixMilli()
			}
		}
		res.Hubs = append(res.Hubs, p)
	}
	slices.SortFunc(res.Hubs, func(a, b *v1.HubPresence) int { return slices.Compare(a.Kid, b.Kid) })
	return connect.NewResponse(res), nil
}

// commandWait is how long a hub has to answer a command.
const commandWait = 20 * time.Second

func (h *hubService) SendCommand(ctx context.Context, req *connect.Request[v1.SendCommandRequest]) (*connect.Response[v1.SendCommandResponse], error) {
	session, m := sessionOf(ctx), req.Msg
	if len(m.GetHub()) != latchkey.IDSize || len(m.GetSealed()) == 0 {
		return nil, h.s.answer(ctx, fmt.Errorf("cloud: command: %w: want the kid of a hub and a sealed command", latchkey.ErrInvalid))
	}
	hub := ingest.Hub{Household: session.Household, Kid: latchkey.Kid(m.GetHub())}
	state, err := h.s.homes.state(ctx, session.Household)
	if err != nil {
		return nil, h.s.answer(ctx, err)
	}
	if _, ok := state.Hubs[hub.Kid]; !ok {
		return nil, h.s.answer(ctx, fmt.Errorf("cloud: command: hub: %w", latchkey.ErrNotFound))
	}
	u := h.s.hubs.of(hub)
	if u == nil {
		return nil, h.s.answer(ctx, fmt.Errorf("cloud: command: %w: the hub is not connected", latchkey.ErrUnavailable))
	}
	ctx, cancel := context.WithTimeout(ctx, commandWait)
	defer cancel()
	result, err := u.command(ctx, m.GetSealed())
	if err != nil {
		return nil, h.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.SendCommandResponse{Result: result}), nil
}
