package member

import (
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// clockSlack is how far the clocks of a hub and of whoever signs may be apart
// before a gap at the edge of a right is an alarm.
const clockSlack = time.Minute

// rights is what the chain let this member see of one track, statement by
// statement. A server shows a member no epoch that is not sealed to him, and
// nothing but the chain says which those are.
type rights struct {
	at        []time.Time // of each statement
	sees      [][]Span    // stretches of footage that he may see after it: all by right, some by standing grants
	recipient []bool      // epochs made after it are sealed to him, whenever they begin
}

// allTime is what a right reaches over.
func allTime() Span { return Span{time.Unix(0, 0).UTC(), time.Unix(forever, 0).UTC()} }

// rightsTo reads the verified chain for one track.
func (c *Client) rightsTo(track latchkey.TrackID) rights {
	past, me := c.past(), c.kid()
	return rightsIn(past.states, append([]latchkey.Kid{me}, past.head().Members[me].PastEd...), track)
}

// rightsIn finds a member under any of his kids in each state.
func rightsIn(states []chain.State, kids []latchkey.Kid, track latchkey.TrackID) rights {
	r := rights{sees: make([][]Span, len(states)), recipient: make([]bool, len(states))}
	for i, s := range states {
		at := time.Unix(s.Time, 0).UTC()
		r.at = append(r.at, at)
		for _, kid := range kids {
			m, there := s.Members[kid]
			switch {
			case !there:
				continue
			case m.MaySee(track):
				r.sees[i] = []Span{allTime()}
			default:
				r.sees[i] = standingTo(s, m, track, at)
			}
			r.recipient[i] = m.AllTracks || len(m.Tracks) > 0
		}
	}
	return r
}

// always reports whether every epoch made between two places of the chain is
// sealed to this member: then a server that does not show one hides it.
func (r rights) always(from, to uint64) bool {
	for i := from; i <= to && i < uint64(len(r.recipient)); i++ {
		if !r.recipient[i] {
			return false
		}
	}
	return true
}

// without is the part of a span in which the chain did not let him see.
func (r rights) without(span Span) []Span {
	out := []Span{span}
	for i, at := range r.at {
		while := Span{at, span.To}
		var lost []Span // with the next statement
		if i+1 < len(r.at) {
			while.To = r.at[i+1]
			lost = without(r.sees[i], r.sees[i+1]...)
		}
		for _, s := range r.sees[i] {
			s = clip(s, while)
			if containsAt(lost, s.To) {
				s.To = s.To.Add(-clockSlack)
			}
			if s.From.Before(s.To) {
				out = without(out, s)
			}
		}
	}
	return out
}

// containsAt reports whether one of the spans goes on at t.
func containsAt(list []Span, t time.Time) bool {
	return slices.ContainsFunc(list, func(s Span) bool { return !t.Before(s.From) && t.Before(s.To) })
}

// settling is the time from each moment at which he came to see the track to
// the first epoch that was made after it: until then a hub goes on with one
// that is not sealed to him. A hub that cannot be reached may take as long as
// an epoch lasts, and no longer.
func (r rights) settling(epochs []*epoch, within Span, now time.Time) []Span {
	var out []Span
	for i, at := range r.at {
		if i == 0 || !at.After(within.From.Add(-epochSpan)) {
			continue
		}
		until := now
		for _, e := range epochs {
			if e.note.ChainSeq >= uint64(i) && e.at(0).Before(until) {
				until = e.at(0)
			}
		}
		if until.Sub(at) > epochSpan {
			continue
		}
		for _, s := range without(r.sees[i], r.sees[i-1]...) {
			if s = clip(s, Span{at, until}); s.From.Before(s.To) {
				out = append(out, s)
			}
		}
	}
	return out
}
