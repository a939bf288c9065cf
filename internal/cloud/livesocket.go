package cloud

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/live"
)

// liveCount bounds the live sockets of each household.
type liveCount struct {
	mu  sync.Mutex
	all map[latchkey.HouseholdID]int
}

// enter counts a socket in, up to most.
func (c *liveCount) enter(h latchkey.HouseholdID, most int) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all[h] >= most {
		return nil, fmt.Errorf("cloud: live: %w sockets in this household", latchkey.ErrTooMany)
	}
	if c.all == nil {
		c.all = map[latchkey.HouseholdID]int{}
	}
	c.all[h]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.all[h]--; c.all[h] == 0 {
			delete(c.all, h)
		}
	}, nil
}

// serveLive runs GET /v1/live.
func (s *Server) serveLive(w http.ResponseWriter, r *http.Request) {
	session := sessionOf(r.Context())
	leave, err := s.viewers.enter(session.Household, s.cfg.Limits.LiveSockets)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	defer leave()
	s.sockets.Add(1)
	defer s.sockets.Done()
	ctx, release, err := s.sessions.hold(s.ctx, session, true)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	defer release()
	up := websocket.Upgrader{ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10, CheckOrigin: func(*http.Request) bool { return true }} // guard has checked it
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	err = s.relay.Serve(ctx, ws, live.Access{
		Household: session.Household,
		May: func(ctx context.Context, t latchkey.TrackID) bool {
			_, err := s.sightOf(ctx, session, t)
			return err == nil
		},
		See: func(ctx context.Context, t latchkey.TrackID, e latchkey.EpochID) live.Slots {
			return s.liveSlots(ctx, session, t, e)
		},
	})
	if err != nil {
		s.log.DebugContext(ctx, "live socket ended", "household", session.Household, "err", err)
	}
	if err := s.sessions.saw(ctx, session); err != nil {
		s.log.WarnContext(ctx, "the use of a device was not stored", "err", err)
	}
}

// liveSlots are the slots of an epoch that the owner of a live socket may see.
// It asks the disk only after a restart: an epoch is announced before its parts.
func (s *Server) liveSlots(ctx context.Context, session catalog.Session, t latchkey.TrackID, e latchkey.EpochID) live.Slots {
	g, err := s.sightOf(ctx, session, t)
	if err != nil {
		return nil
	}
	note, err := s.ingest.Epoch(ctx, e)
	var slots live.Slots
	if err == nil {
		slots, err = g.of(ctx, e, note.Start)
	}
	if err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "a viewer's rights could not be read", "epoch", e, "err", err)
	}
	return slots
}
