package chain

import (
	"bytes"
	"cmp"
	"slices"

	"latchkey.dev/latchkey"
)

// epochSlots is how long an epoch can be at most, in seconds (part.Slots).
const epochSlots = 1 << 17

// Limits of standing grants (spec/chain, "Standing grants"): every epoch is
// sealed to all of them, and a member who may share must not be able to make
// that impossible.
const (
	// maxStanding is how many may run at the time of a statement.
	maxStanding = 64
	// maxStandingLines is how many track lines one of them may have.
	maxStandingLines = 16
)

// Recipient is a key that an epoch is sealed to: roots of the declared tracks
// that a member may see, and nodes for stretches of others by standing grants.
// A capsule holds those of them that the epoch has; a member who may see all
// tracks is a recipient even while no camera is declared.
type Recipient struct {
	Kid    latchkey.Kid // of X
	X      []byte
	Tracks []latchkey.TrackID // sorted
	// Windows are stretches of tracks that are not in Tracks, within the longest
	// that the epoch can last; sorted by track and time, apart from one another.
	Windows []TrackRange
}

// Recipients computes who an epoch that is made at this state and begins at
// start (unix seconds) is sealed to, sorted by kid: members by their rights, and
// the grantees of standing grants that are active then. Anyone who has the chain
// gets the same answer; a hub that seals to others is caught by every member.
func (s State) Recipients(start int64) []Recipient {
	all := map[latchkey.Kid]Recipient{}
	declared := s.Tracks()
	for _, m := range s.Members {
		if !m.AllTracks && len(m.Tracks) == 0 {
			continue
		}
		r := Recipient{Kid: KidOf(m.X), X: bytes.Clone(m.X)}
		for _, t := range declared {
			if m.MaySee(t.ID) {
				r.Tracks = append(r.Tracks, t.ID)
			}
		}
		all[r.Kid] = r
	}
	for _, g := range s.Grants {
		x := s.standingKey(g)
		windows := g.windows(start)
		if x == nil || len(windows) == 0 {
			continue
		}
		r, ok := all[KidOf(x)]
		if !ok {
			r = Recipient{Kid: KidOf(x), X: bytes.Clone(x)}
		}
		r.Windows = append(r.Windows, windows...)
		all[r.Kid] = r
	}
	out := make([]Recipient, 0, len(all))
	for _, r := range all {
		r.Windows = r.joined()
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Recipient) int { return bytes.Compare(a.Kid[:], b.Kid[:]) })
	return out
}

// standingKey is the key that a standing grant has epochs sealed to; nil when
// there is none. A member's follows his rekeys: what a lost phone had opens
// nothing new.
func (s State) standingKey(g Grant) []byte {
	switch {
	case !g.Standing || g.Revoked:
		return nil
	case g.Kind != GrantMember:
		return g.Key
	}
	party, ok := s.HolderOf(g.To)
	if !ok {
		return nil
	}
	return s.Members[party].X
}

// windows are the stretches of a standing grant in an epoch that begins at
// start, within the longest that it can last; none when its service is over.
func (g Grant) windows(start int64) []TrackRange {
	if g.Until <= start {
		return nil
	}
	var out []TrackRange
	for _, r := range g.Tracks {
		r.From, r.Until = max(r.From, start), min(r.Until, start+epochSlots)
		if r.From < r.Until {
			out = append(out, r)
		}
	}
	return out
}

// joined are the windows in order, those that touch made one, without those of
// tracks that are seen anyhow.
func (r Recipient) joined() []TrackRange {
	slices.SortFunc(r.Windows, func(a, b TrackRange) int {
		return cmp.Or(bytes.Compare(a.Track[:], b.Track[:]), cmp.Compare(a.From, b.From))
	})
	var out []TrackRange
	for _, w := range r.Windows {
		if slices.Contains(r.Tracks, w.Track) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Track == w.Track && w.From <= out[n-1].Until {
			out[n-1].Until = max(out[n-1].Until, w.Until)
			continue
		}
		out = append(out, w)
	}
	return out
}

// checkStanding checks what a grant that reaches into the future demands. A
// link's key is known to whoever has the link, and what a hub seals itself
// carries no mask: neither links nor staff can stand.
func (s State) checkStanding(st AddGrant) error {
	switch st.Kind {
	case GrantMember, GrantContact, GrantProject:
	default:
		return refused("a grant to a %s cannot be standing", st.Kind)
	}
	switch {
	case st.Release != (latchkey.Kid{}):
		return refused("a standing grant has no hub to release it")
	case len(st.Tracks) > maxStandingLines:
		return refused("more than %d stretches in a standing grant", maxStandingLines)
	case s.standing(st.Time) >= maxStanding:
		return refused("%d standing grants run already", maxStanding)
	case st.Kind == GrantMember:
		return nil
	case len(st.Key) == 0:
		return refused("a standing grant has to name the %s's key", st.Kind)
	case s.rosterKey(st.Key):
		return refused("the key of the %s is in the roster", st.Kind)
	}
	return nil
}

// standing is how many standing grants run at a time.
func (s State) standing(at int64) int {
	n := 0
	for _, g := range s.Grants {
		if g.Standing && !g.Revoked && at < g.Until {
			n++
		}
	}
	return n
}

// standsFor reports whether the key is that of somebody outside the household
// whom epochs are sealed to.
func (s State) standsFor(kid latchkey.Kid) bool {
	for _, g := range s.Grants {
		if g.Standing && !g.Revoked && g.Kind != GrantMember && g.To == kid {
			return true
		}
	}
	return false
}
