package chain

import (
	"fmt"

	"latchkey.dev/latchkey"
)

// Heard is a hub's receipt for removals that it was handed on the home network:
// it has them on its disk, or its chain has them. An addition to the protocol:
// spec/wire, "On the home network".
type Heard struct {
	Household latchkey.HouseholdID
	By        latchkey.Kid  // of the hub's Ed25519 key, which signs
	Removals  latchkey.Hash // of the request's body
	Time      int64         // unix seconds, by the hub's clock
}

// Text encodes the note.
func (h Heard) Text() ([]byte, error) {
	w := newWriter(TypeHeard)
	w.line("household", latchkey.B64(h.Household[:]))
	w.line("by", latchkey.B64(h.By[:]))
	w.line("removals", latchkey.B64(h.Removals[:]))
	w.line("time", w.time("time", h.Time))
	return w.done(TypeHeard)
}

// ParseHeard reads the values of a receipt. It does not verify the signature.
func ParseHeard(n Note) (Heard, error) {
	r, err := readerFor(n, TypeHeard)
	if err != nil {
		return Heard{}, err
	}
	h := Heard{
		Household: r.id("household", r.next("household")),
		By:        r.id("by", r.next("by")),
		Removals:  r.hash("removals", r.next("removals")),
		Time:      r.time("time", r.next("time")),
	}
	if r.err != nil {
		return Heard{}, fmt.Errorf("chain: parse heard: %w", r.err)
	}
	return h, nil
}

// OpenHeard reads a receipt and checks it against s: of this household, signed
// by one of its hubs. A receipt of another is latchkey.ErrRefused, a signature
// that does not hold latchkey.ErrVerify.
func OpenHeard(n Note, s State) (Heard, error) {
	h, err := ParseHeard(n)
	if err != nil {
		return Heard{}, err
	}
	hub, ok := s.Hubs[h.By]
	if !ok || h.Household != s.Household {
		return Heard{}, fmt.Errorf("chain: open heard: %w: not by a hub of this household", latchkey.ErrRefused)
	}
	if err := n.Verify(hub.Ed); err != nil {
		return Heard{}, fmt.Errorf("chain: open heard: %w", err)
	}
	return h, nil
}
