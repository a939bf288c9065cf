package cloud

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// households keeps the states that the stored chains amount to. The server
// applies the rules so that it does not store what every client would refuse;
// clients trust none of it.
type households struct {
	db *catalog.DB

	mu  sync.Mutex
	all map[latchkey.HouseholdID]*household
}

type household struct {
	mu    sync.Mutex
	state chain.State
}

func newHouseholds(db *catalog.DB) *households {
	return &households{db: db, all: map[latchkey.HouseholdID]*household{}}
}

// maxHouseholds bounds the states in memory.
const maxHouseholds = 10_000

// anyTime replays a stored chain: its times were checked when it was accepted,
// and a server clock that was set back since must not shut a household out.
const anyTime = math.MaxInt64

// maxStatements is how many notes one read of a chain returns.
const maxStatements = 500

func (h *households) entry(id latchkey.HouseholdID) *household {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.all[id]
	if e == nil {
		if len(h.all) >= maxHouseholds {
			clear(h.all) // an entry that is in use is simply loaded again; the catalog decides
		}
		e = &household{}
		h.all[id] = e
	}
	return e
}

// state returns a household's state now, or ErrNotFound.
func (h *households) state(ctx context.Context, id latchkey.HouseholdID) (chain.State, error) {
	e := h.entry(id)
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.load(ctx, h.db, id)
}

// load brings e up to what the catalog has, if it has nothing yet. Callers
// hold e.mu.
func (e *household) load(ctx context.Context, db *catalog.DB, id latchkey.HouseholdID) (chain.State, error) {
	if e.state.Members != nil {
		return e.state, nil
	}
	state := chain.State{}
	for from := uint64(0); ; {
		notes, err := db.Statements(ctx, id, from, maxStatements)
		if err != nil {
			return chain.State{}, err
		}
		if len(notes) == 0 && from == 0 {
			return chain.State{}, fmt.Errorf("cloud: household: %w", latchkey.ErrNotFound)
		}
		if state, err = chain.Extend(state, notes, anyTime); err != nil {
			return chain.State{}, fmt.Errorf("cloud: replay the chain of %v: %v", id, err)
		}
		from += uint64(len(notes))
		if len(notes) < maxStatements {
			break
		}
	}
	e.state = state
	return state, nil
}

// append checks a statement against the chain and stores it with what changes
// along: a compare and swap on seq. It returns the states before and after.
func (h *households) append(ctx context.Context, id latchkey.HouseholdID, n chain.Note, c catalog.Change) (before, after chain.State, err error) {
	e := h.entry(id)
	e.mu.Lock()
	defer e.mu.Unlock()
	if before, err = e.load(ctx, h.db, id); err != nil {
		return before, after, err
	}
	now := time.Now()
	if after, err = chain.Apply(before, n, now.Unix()); err != nil {
		return before, after, err
	}
	c.Seq, c.Text, c.At = after.Seq, n.Hash(), now
	c.Gone, c.New = removed(before, after), added(before, after)
	if m := c.Moved; m != nil {
		moved := func(k latchkey.Kid) bool { return k == m.From || k == m.To }
		c.Gone, c.New = slices.DeleteFunc(c.Gone, moved), slices.DeleteFunc(c.New, moved)
	}
	if err = h.db.AppendStatement(ctx, c); err != nil {
		e.state = chain.State{} // whatever the reason, read it again
		return before, after, err
	}
	e.state = after
	h.settle(id, e)
	return before, after, nil
}

// added lists the members of after that before does not have.
func added(before, after chain.State) []latchkey.Kid {
	var out []latchkey.Kid
	for k := range after.Members {
		if _, ok := before.Members[k]; !ok {
			out = append(out, k)
		}
	}
	return out
}

// settle makes sure that nobody goes on with a state from before e's newest
// statement: if the table was cleared meanwhile, another entry of this
// household may have been loaded just before that statement was stored.
func (h *households) settle(id latchkey.HouseholdID, e *household) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all[id] != e {
		delete(h.all, id)
	}
}

// removed lists the members and hubs of before that after does not have.
func removed(before, after chain.State) []latchkey.Kid {
	var out []latchkey.Kid
	for k := range before.Members {
		if _, ok := after.Members[k]; !ok {
			out = append(out, k)
		}
	}
	for k := range before.Hubs {
		if _, ok := after.Hubs[k]; !ok {
			out = append(out, k)
		}
	}
	return out
}
