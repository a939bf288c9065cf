package member

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/publiclog"
	"latchkey.dev/latchkey/ledger"
)

// Add late (protocol 2.7, 2.11): whoever or whatever the chain adds counts on this
// machine once a proof of completeness covers the statement. Nothing is sealed to
// keys before, and no hub is believed. Removals are in the chain's head and count
// at once. Grants wait by themselves (awaitProof).

const (
	coverPatience = 45 * time.Second // what one call waits; normal are seconds
	coverPause    = 300 * time.Millisecond
)

// ErrNotProven is an addition to the household that the public log has not proven
// yet. Nothing was handed to it; that passes by itself, unless the log is away.
var ErrNotProven = fmt.Errorf("%w: the public log has not proven", latchkey.ErrUnavailable)

// covered is the newest statement whose additions count: at first what this
// person's own devices, or who let him in, had vouched for when this machine got
// its keys, and then what the log has proven.
func (c *Client) covered() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rec.Covered
}

// cover lets additions count up to where a proof goes. It is on disk before
// anything rests on it.
func (c *Client) cover(done *ledger.Complete) error {
	if done == nil || time.Since(done.At) > publiclog.StaleAfter {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if done.Seq <= c.rec.Covered {
		return nil
	}
	rec := c.rec
	rec.Covered = done.Seq
	if err := c.store.save(rec); err != nil {
		return err
	}
	c.rec = rec
	return nil
}

// awaitCovered waits until the additions up to statement seq count, for patience,
// which tests shorten; what says which. Longer than that is ErrNotProven, a log
// that lies latchkey.ErrVerify.
func (c *Client) awaitCovered(ctx context.Context, seq uint64, what string, patience time.Duration) error {
	told := patience == 0 || c.waits == nil
	for until := time.Now().Add(min(patience, c.logWait)); seq > c.covered() && c.past().head().Log != ""; {
		switch err := c.lookForCover(ctx); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil, errors.Is(err, ledger.ErrNotWitnessed):
		case errors.Is(err, latchkey.ErrVerify), errors.Is(err, latchkey.ErrRefused), errors.Is(err, latchkey.ErrUnauthenticated):
			return fmt.Errorf("member: prove %s: %w", what, err)
		default:
			c.log.Info("the public log cannot be read", "err", err)
		}
		if seq <= c.covered() {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("member: %w %s yet", ErrNotProven, what)
		}
		if !told {
			c.waits(what)
			told = true
		}
		if err := pause(ctx, coverPause); err != nil {
			return err
		}
	}
	return nil
}

// lookForCover takes the newest proof of completeness.
func (c *Client) lookForCover(ctx context.Context) error {
	l, err := c.ledgerCheck(ctx)
	if err != nil {
		return err
	}
	checkpoint, err := l.checkpoint(ctx)
	if err != nil {
		return err
	}
	if err := publiclog.Frozen(l.policy, checkpoint, time.Now()); err != nil {
		return err
	}
	done, err := l.completeness(ctx)
	if err != nil {
		return err
	}
	return c.cover(done)
}

// awaitPeople waits until the keys of all members count: what is written for them
// is sealed to them.
func (c *Client) awaitPeople(ctx context.Context, state chain.State) error {
	return c.awaitCovered(ctx, c.newestKeys(state), "the newest keys of a member", coverPatience)
}

// newestKeys is the statement of the newest sealing key of all other members.
func (c *Client) newestKeys(state chain.State) uint64 {
	newest, past := uint64(0), c.past()
	for kid := range state.Members {
		if kid != c.kid() {
			newest = max(newest, past.keysSince(kid))
		}
	}
	return newest
}

// keysSince is the statement since which a member has had the sealing key that he
// has at the head.
func (h history) keysSince(kid latchkey.Kid) uint64 {
	x := string(h.head().Members[kid].X)
	seq := len(h.states) - 1
	for seq > 0 && string(h.states[seq-1].Members[kid].X) == x {
		seq--
	}
	return uint64(max(seq, 0))
}

// lateFile has the names that wait for the directory, by kid. It is there from the
// moment somebody was let in whose keys were not proven until he and all others
// have the directory.
const lateFile = "names"

// nameLater keeps a name, which may be empty, until the directory can be handed
// out; until then this person alone sees it.
func (c *Client) nameLater(ctx context.Context, kid latchkey.Kid, name string) error {
	late := map[string]string{}
	if _, err := c.store.loadSealed(lateFile, &late); err != nil {
		return err
	}
	late[kid.String()] = name
	if err := c.store.saveSealed(lateFile, late); err != nil || name == "" {
		return err
	}
	return c.changeNames(ctx, func(names map[string]string) { names[kid.String()] = name })
}

// nameNow hands the directory to all, with the names that waited, if all keys are
// proven by now; it does not wait.
func (c *Client) nameNow(ctx context.Context) error {
	late := map[string]string{}
	if there, err := c.store.loadSealed(lateFile, &late); err != nil || !there {
		return err
	}
	state, err := c.refresh(ctx)
	if err == nil {
		err = c.awaitCovered(ctx, c.newestKeys(state), "the newest keys of a member", 0)
	}
	if err == nil {
		err = c.changeDirectory(ctx, func(n *chain.Names) {
			for kid := range state.Members {
				n.People[kid] = cmp.Or(n.People[kid], late[kid.String()]) // who has a name by now keeps it
			}
		})
	}
	switch {
	case errors.Is(err, latchkey.ErrUnavailable):
		return nil // the log is away still
	case err != nil && !errors.Is(err, latchkey.ErrRefused): // no admin any more
		return err
	}
	return c.store.drop(lateFile)
}
