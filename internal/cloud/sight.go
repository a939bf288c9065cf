package cloud

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/live"
	"latchkey.dev/latchkey/part"
)

// seals remembers whom epochs are sealed to, which never changes.
type seals struct {
	db *catalog.DB

	mu  sync.Mutex
	all map[latchkey.EpochID][]latchkey.Kid
}

// maxSeals bounds the epochs in memory.
const maxSeals = 4096

func newSeals(db *catalog.DB) *seals {
	return &seals{db: db, all: map[latchkey.EpochID][]latchkey.Kid{}}
}

// sealed reports whether an epoch is sealed to one of kids.
func (s *seals) sealed(ctx context.Context, epoch latchkey.EpochID, kids []latchkey.Kid) (bool, error) {
	s.mu.Lock()
	to, ok := s.all[epoch]
	s.mu.Unlock()
	if !ok {
		lines, err := s.db.SealLines(ctx, epoch)
		if err != nil {
			return false, err
		}
		for _, l := range lines {
			to = append(to, l.Kid)
		}
		s.keep(epoch, to)
	}
	return slices.ContainsFunc(to, func(k latchkey.Kid) bool { return slices.Contains(kids, k) }), nil
}

// keep remembers an epoch that is stored. One without a capsule might also not
// be stored yet.
func (s *seals) keep(epoch latchkey.EpochID, to []latchkey.Kid) {
	if len(to) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxSeals {
		clear(s.all)
	}
	s.all[epoch] = to
}

// span is a stretch of footage time, half open, in unix seconds.
type span struct{ from, until int64 }

// sight is what a member may see of one track now (spec/wire, "Rights"): of
// the epochs that are sealed to him all, of others what he was granted. The
// rest is not there for him.
type sight struct {
	s         *Server
	household latchkey.HouseholdID
	track     latchkey.TrackID
	kids      []latchkey.Kid // of his sealing keys, present and past
	roots     bool           // it is his by right: epochs sealed to him are so as a whole
	granted   []span         // of this track, apart and ascending
}

// sightOf is ErrNotFound unless the member's household has declared the track
// and the chain lets him see it.
func (s *Server) sightOf(ctx context.Context, session catalog.Session, track latchkey.TrackID) (*sight, error) {
	state, err := s.homes.state(ctx, session.Household)
	if err != nil {
		return nil, err
	}
	member, ok := state.Members[session.Kid]
	if _, _, declared := state.Track(track); !ok || !declared || !sees(state, member, track, time.Now()) {
		return nil, fmt.Errorf("cloud: track: %w", latchkey.ErrNotFound)
	}
	return &sight{
		s: s, household: session.Household, track: track, kids: member.Kids(), roots: member.MaySee(track),
		granted: grantedSpans(state, member, track, time.Now()),
	}, nil
}

// grantedSpans are the stretches of a track that are granted to a member.
func grantedSpans(state chain.State, m chain.Member, track latchkey.TrackID, now time.Time) []span {
	var all []span
	for _, id := range state.GrantsTo(m) {
		g := state.Grants[id]
		if !inForce(g, now) {
			continue
		}
		all = append(all, spansOf(g.Tracks, track)...)
	}
	return joinSpans(all)
}

func spansOf(ranges []chain.TrackRange, track latchkey.TrackID) (out []span) {
	for _, r := range ranges {
		if r.Track == track {
			out = append(out, span{r.From, r.Until})
		}
	}
	return out
}

// joinSpans sorts spans and joins those that touch.
func joinSpans(all []span) []span {
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var out []span
	for _, one := range all {
		if n := len(out); n > 0 && one.from <= out[n-1].until {
			out[n-1].until = max(out[n-1].until, one.until)
			continue
		}
		out = append(out, one)
	}
	return out
}

// of returns the slots of an epoch that are to be seen; none: as if there were
// no such epoch.
func (g *sight) of(ctx context.Context, epoch latchkey.EpochID, start int64) (live.Slots, error) {
	whole, err := g.s.seals.sealed(ctx, epoch, g.kids)
	if err != nil {
		return nil, err
	}
	if whole && g.roots {
		return live.AllSlots(), nil
	}
	var out live.Slots
	for _, one := range g.granted {
		from, to := max(0, one.from-start), min(part.Slots, one.until-start)
		if from < to {
			out = append(out, live.Range{From: uint32(from), To: uint32(to)})
		}
	}
	return out, nil
}

// show sets what is to be seen of a reel, and reports whether that is anything.
func (g *sight) show(ctx context.Context, v *reelView) (bool, error) {
	var err error
	v.slots, err = g.of(ctx, v.Epoch, v.Start)
	return v.slots.Meet(v.FirstSlot, v.LastSlot), err
}

// epochSeen reports whether an epoch is there for the member: it is sealed to
// him, or footage of it was granted to him, of a track that it has and that he
// may see.
func (s *Server) epochSeen(ctx context.Context, state chain.State, m chain.Member, e catalog.Epoch) (bool, error) {
	sealed, err := s.seals.sealed(ctx, e.ID, m.Kids())
	if err != nil || sealed {
		return sealed, err
	}
	grants := state.GrantsTo(m)
	if len(grants) == 0 {
		return false, nil
	}
	now := time.Now()
	var visible []chain.TrackRange
	for _, id := range grants {
		if g := state.Grants[id]; inForce(g, now) {
			visible = append(visible, slices.DeleteFunc(slices.Clone(g.Tracks), func(r chain.TrackRange) bool { return !sees(state, m, r.Track, now) })...)
		}
	}
	return s.meets(ctx, e, visible)
}
