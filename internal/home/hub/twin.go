package hub

import (
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// ErrDoubled is what a hub ends with when another machine has used its
// identity: it runs on a copy of a hub's folder, or on an old state of one. It
// cannot go on, now or later: two epochs with one number, or one that nothing
// follows, are a lie to every reader. It wraps latchkey.ErrConflict.
var ErrDoubled = fmt.Errorf("hub: %w: another machine uses this hub's identity", latchkey.ErrConflict)

// Sources of trouble that a second machine makes.
const (
	troubleDouble = "another machine"
	troubleAway   = "sent away"
)

// twinQuiet is how long after the last word of a second machine members are
// told of it, and how often an epoch is made because of one.
const twinQuiet = time.Hour

// twin is what the hub knows of a second machine with its identity. Guarded by
// agent.mu.
type twin struct {
	seen   time.Time // it was sent away last
	answer time.Time // an epoch was made because of it
	proven bool      // we are the ones who have to stop
}

// Newest implements uplink.Handler. The note carries our signature, so no
// server can make it up: if it is not one of ours, somebody else has our key.
// What does not carry it proves nothing, and is no reason to stop.
func (a *agent) Newest(raw []byte) error {
	n, err := chain.ParseNote(raw)
	if err == nil {
		err = n.Verify(a.identity.Signing.Public())
	}
	var note chain.EpochNote
	if err == nil {
		note, err = chain.ParseEpochNote(n)
	}
	if err != nil || note.Hub != a.Kid() || note.Household != a.roster.household {
		a.log.Warn("the cloud shows an epoch note in this hub's name that it has not signed", "err", err)
		return nil
	}
	if a.book.made(note.N, n.Hash()) {
		return nil
	}
	a.log.Error("another machine uses this hub's identity: the cloud has an epoch of it that this hub did not make",
		"n", note.N, "epoch", note.Epoch, "begun", time.Unix(note.Start, 0).UTC())
	// Not saved, the next start records until it hears so again.
	if err := a.store.change(func(s *settings) { s.Doubled = true }); err != nil {
		a.log.Error("not noted for the next start", "err", err)
	}
	a.mu.Lock()
	a.twin.proven = true
	a.mu.Unlock()
	a.wake()
	return ErrDoubled
}

// Doubled implements uplink.Handler. The word of the cloud alone stops nobody:
// whoever is sent away records into his spool and says so; whoever stays begins
// an epoch, whose note proves to the other that he is the second.
func (a *agent) Doubled(connected bool) {
	if !connected {
		a.setTrouble(troubleAway, "The cloud says that another machine is connected with this hub's identity, and takes nothing from this one. Stop one of the two.")
		return
	}
	a.setTrouble(troubleDouble, "Another machine tried to connect with this hub's identity and was sent away. "+
		"Find the copy of this hub's folder and run `latchkey hub reset` there.")
	a.mu.Lock()
	a.twin.seen = time.Now()
	answer := time.Since(a.twin.answer) >= twinQuiet
	if answer {
		a.twin.answer = time.Now()
	}
	a.mu.Unlock()
	if answer {
		a.demand(whyDouble)
	}
}

// doubled reports whether we have to stop.
func (a *agent) doubled() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.twin.proven
}

// calm forgets a second machine that has not come again.
func (a *agent) calm() {
	a.mu.Lock()
	over := !a.twin.seen.IsZero() && time.Since(a.twin.seen) >= twinQuiet
	if over {
		a.twin.seen = time.Time{}
	}
	a.mu.Unlock()
	if over {
		a.setTrouble(troubleDouble, "")
	}
}
