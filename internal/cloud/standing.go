package cloud

import (
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// sees reports whether a track is there for a member at all: by his rights, or
// by a standing grant, which reaches beyond them.
func sees(state chain.State, m chain.Member, track latchkey.TrackID, now time.Time) bool {
	if m.MaySee(track) {
		return true
	}
	for _, id := range state.GrantsTo(m) {
		g := state.Grants[id]
		if !g.Standing || !inForce(g, now) {
			continue
		}
		for _, r := range g.Tracks {
			if r.Track == track {
				return true
			}
		}
	}
	return false
}
