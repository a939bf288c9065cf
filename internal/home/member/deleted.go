package member

import (
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// whyDeleted is the reason of a gap that the chain itself orders.
const whyDeleted = "deleted"

// deletedSpans are the times of a track for which the chain says that footage
// may be gone by now (protocol 2.14): what `erase` statements name, and what was
// older than the policy of any time since. states is the chain, oldest first.
func deletedSpans(states []chain.State, track latchkey.TrackID, now time.Time) []Span {
	var out []Span
	var before time.Time
	for i, s := range states {
		seconds, own := s.Retain[track]
		if !own {
			seconds = s.RetainAll
		}
		// The policy held until the next statement; nothing it asked for later counts.
		until := now
		if i+1 < len(states) {
			until = time.Unix(states[i+1].Time, 0)
		}
		if seconds > 0 && seconds <= maxRetain {
			before = later(before, until.Add(-time.Duration(seconds)*time.Second))
		}
	}
	if !before.IsZero() {
		out = append(out, Span{time.Unix(0, 0), before})
	}
	if len(states) == 0 {
		return out
	}
	return append(out, erasedSpans(states[len(states)-1], track)...)
}

// erasedSpans are those that admins have ordered to be deleted.
func erasedSpans(state chain.State, track latchkey.TrackID) (out []Span) {
	for _, e := range state.Erased {
		if e.Track == track {
			out = append(out, Span{time.Unix(e.From, 0), time.Unix(e.Until, 0)})
		}
	}
	return out
}

// maxRetain is the longest policy that is told from none, in seconds: a century.
const maxRetain = 100 * 366 * 86400

// takeDeleted takes out of open what the chain orders to be deleted, adds that to
// out, and returns the rest. It comes before every other reason: that footage
// may be gone is signed by an admin.
func (s *survey) takeDeleted(open []Span, out *[]Gap) []Span {
	for _, d := range s.deleted {
		for _, o := range open {
			if in := clip(d, o); in.From.Before(in.To) {
				*out = append(*out, Gap{Span: in, Why: whyDeleted})
			}
		}
		open = without(slices.Clone(open), d)
	}
	return open
}
