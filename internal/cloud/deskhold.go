package cloud

import (
	"context"
	"sync"
	"time"

	"latchkey.dev/latchkey"
)

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
