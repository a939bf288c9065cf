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
