package member

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// chainOf makes states a minute apart, from clock on; each has what tracks give
// the member, who changes his key with the last one.
func chainOf(tracks ...[]latchkey.TrackID) ([]chain.State, []latchkey.Kid) {
	before, now, founder := latchkey.Kid{1}, latchkey.Kid{2}, latchkey.Kid{3}
	var states []chain.State
	for i, list := range tracks {
		s := chain.State{Seq: uint64(i), Time: at(60 * i).Unix(), Members: map[latchkey.Kid]chain.Member{founder: {AllTracks: true}}}
		if list != nil {
			kid := before
			if i == len(tracks)-1 {
				kid = now
			}
			s.Members[kid] = chain.Member{Tracks: list}
		}
		states = append(states, s)
	}
	return states, []latchkey.Kid{now, before}
}

func TestRightsOverTime(t *testing.T) {
	mine, other := []latchkey.TrackID{testTrack}, []latchkey.TrackID{{8}}
	states, kids := chainOf(nil, nil, mine, mine, other, []latchkey.TrackID{}, mine)
	r := rightsIn(states, kids, testTrack)
	want := []Span{span(-600, 120), {at(240 - 60), at(360)}}
	if diff := cmp.Diff(want, r.without(span(-600, 900))); diff != "" {
		t.Errorf("time without rights:\n%s", diff)
	}
	for _, tt := range []struct {
		from, to uint64
		always   bool
	}{{2, 4, true}, {1, 2, false}, {4, 6, false}, {6, 6, true}} {
		if got := r.always(tt.from, tt.to); got != tt.always {
			t.Errorf("a recipient from %d to %d: %v", tt.from, tt.to, got)
		}
	}
	founder := rightsIn(states, []latchkey.Kid{{3}}, testTrack)
	if got := founder.without(span(0, 900)); len(got) != 0 || !founder.always(0, 6) {
		t.Errorf("the founder has no rights at %v", got)
	}
}

// TestSettling: from the statement to the hub's next epoch nothing is for the
// new member; a server that hides more than an epoch can last is not excused.
func TestSettling(t *testing.T) {
	states, kids := chainOf(nil, nil, []latchkey.TrackID{testTrack})
	r := rightsIn(states, kids, testTrack)
	made := func(seq uint64, start int) *epoch {
		e := testEpoch(seq, start)
		e.note.ChainSeq = seq
		return e
	}
	all := []*epoch{made(1, 60), made(2, 150), made(2, 400)}
	if diff := cmp.Diff([]Span{span(120, 150)}, r.settling(all, span(0, 900), at(900))); diff != "" {
		t.Errorf("settling:\n%s", diff)
	}
	if diff := cmp.Diff([]Span{span(120, 900)}, r.settling(all[:1], span(0, 900), at(900))); diff != "" {
		t.Errorf("before any epoch:\n%s", diff)
	}
	late := at(120).Add(epochSpan + time.Hour)
	if got := r.settling(all[:1], Span{at(0), late}, late); got != nil {
		t.Errorf("days without an epoch are excused: %v", got)
	}
}

// TestStandingOverTime: a standing grant counts from its statement until it is
// revoked or its line ends, and the hub's next epoch brings it.
func TestStandingOverTime(t *testing.T) {
	states, kids := chainOf([]latchkey.TrackID{{8}}, []latchkey.TrackID{{8}}, []latchkey.TrackID{{8}}, []latchkey.TrackID{{8}})
	g := chain.Grant{Kind: chain.GrantMember, Standing: true, Until: at(9000).Unix(), Tracks: []chain.TrackRange{{Track: testTrack, From: at(90).Unix(), Until: at(400).Unix()}}}
	for i := range states {
		for kid, m := range states[i].Members {
			if kid != (latchkey.Kid{3}) {
				m.X = []byte("x")
				g.To = chain.KidOf(m.X)
				states[i].Members[kid] = m
			}
		}
	}
	states[1].Grants = map[latchkey.GrantID]chain.Grant{{1}: g}
	states[2].Grants = states[1].Grants
	revoked := g
	revoked.Revoked = true
	states[3].Grants = map[latchkey.GrantID]chain.Grant{{1}: revoked}
	r := rightsIn(states, kids, testTrack)
	if diff := cmp.Diff([]Span{span(0, 90), {at(180 - 60), at(900)}}, r.without(span(0, 900))); diff != "" {
		t.Errorf("with a revocation:\n%s", diff)
	}
	made := testEpoch(1, 100)
	made.note.ChainSeq = 1
	if diff := cmp.Diff([]Span{span(90, 100)}, r.settling([]*epoch{made}, span(0, 900), at(900))); diff != "" {
		t.Errorf("settling:\n%s", diff)
	}
	states[3].Grants = states[1].Grants
	r = rightsIn(states, kids, testTrack)
	if diff := cmp.Diff([]Span{span(0, 90), span(400, 900)}, r.without(span(0, 900))); diff != "" {
		t.Errorf("to its end:\n%s", diff)
	}
	for i := range states {
		g.Until = at(30).Unix()
		states[i].Grants = map[latchkey.GrantID]chain.Grant{{1}: g}
	}
	if got := rightsIn(states[1:], kids, testTrack).without(span(0, 900)); len(got) != 1 {
		t.Errorf("when its service is over: %v", got)
	}
}
