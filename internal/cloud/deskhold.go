package cloud

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/policy"
)

// signEvery is how often whoever looks at granted footage hears that he still may.
const signEvery = 500 * time.Millisecond

// deskHolds are the answers with footage to staff that are under way: what ends
// a grant ends them.
type deskHolds struct {
	mu  sync.Mutex
	all map[*deskHold]bool
}

type deskHold struct {
	household latchkey.HouseholdID
	grant     latchkey.GrantID
	end       context.CancelFunc
}

func newDeskHolds() *deskHolds { return &deskHolds{all: map[*deskHold]bool{}} }

// hold returns a context that ends with the grant. Call release. The caller looks
// at the grant after it, so that none ends unseen in between.
func (d *deskHolds) hold(ctx context.Context, h latchkey.HouseholdID, g latchkey.GrantID, until time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithDeadline(ctx, until)
	one := &deskHold{h, g, cancel}
	d.mu.Lock()
	d.all[one] = true
	d.mu.Unlock()
	return ctx, func() {
		cancel()
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.all, one)
	}
}

// review ends what a household's grants do not allow any more.
func (d *deskHolds) review(h latchkey.HouseholdID, inForce func(latchkey.GrantID) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for one := range d.all {
		if one.household == h && !inForce(one.grant) {
			one.end()
		}
	}
}

// serveHold runs GET /v1/desk/{ticket}/{grant}/hold: a line now and then for as
// long as the grant is in force, and its ticket open and the caller's. A page that
// shows footage drops it when the lines end. It is one question to the policy,
// however long it lasts.
func (s *Server) serveHold(w http.ResponseWriter, r *http.Request) {
	id, err := latchkey.ParseGrantID(r.PathValue("grant"))
	n, numErr := strconv.ParseUint(r.PathValue("ticket"), 10, 64)
	if err != nil || numErr != nil {
		s.refuse(w, r, fmt.Errorf("cloud: hold: %w: no ticket or grant", latchkey.ErrInvalid))
		return
	}
	ctx, release := s.holdGranted(r.Context(), r.PathValue("ticket"), id) // before it is looked at
	defer release()
	a, err := (&deskService{s}).ask(r.Context(), policy.Watch, n, id[:])
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rc := http.NewResponseController(w)
	unhurried(rc)
	tick := time.NewTicker(signEvery)
	defer tick.Stop()
	for s.stillHis(ctx, r, a) {
		_ = rc.SetWriteDeadline(time.Now().Add(10 * signEvery)) // not every writer has deadlines
		if _, err := w.Write([]byte("\n")); err != nil || rc.Flush() != nil {
			return // the caller has gone
		}
		select {
		case <-ctx.Done():
			return
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// stillHis reports whether somebody of staff still has a shift and the ticket.
func (s *Server) stillHis(ctx context.Context, r *http.Request, a asked) bool {
	t, err := s.ticket(ctx, a.ticket.N)
	if err != nil || t.State != catalog.TicketOpen || t.Agent != a.who.Kid {
		return false
	}
	if suspended, err := s.suspended(ctx, a.who.Staff); err != nil || suspended {
		return false
	}
	_, err = s.onShift(r)
	return err == nil
}
