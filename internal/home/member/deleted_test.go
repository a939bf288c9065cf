package member

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// C29: a gap that retain or erase covers is "deleted"; any other, and what of a
// gap lies beyond them, is an alarm.
func TestC29DeletedOrAlarm(t *testing.T) {
	// Of one epoch, parts of seconds 100 to 149 are missing; it is second 3600.
	const now = 3600
	hole := span(100, 150)
	policy := func(at int, seconds uint64) chain.State {
		return chain.State{Time: clock.Unix() + int64(at), RetainAll: seconds}
	}
	own := func(s chain.State, track latchkey.TrackID, seconds uint64) chain.State {
		s.Retain = map[latchkey.TrackID]uint64{track: seconds}
		return s
	}
	erased := func(track latchkey.TrackID, from, until int) chain.State {
		return chain.State{Time: clock.Unix(), Erased: []chain.Erasure{{Track: track, From: at(from).Unix(), Until: at(until).Unix()}}}
	}
	alarm := func(s Span) Gap { return Gap{Span: s, Why: "missing", Alarm: true} }
	deleted := func(s Span) Gap { return Gap{Span: s, Why: "deleted"} }
	other := latchkey.TrackID{8}
	for name, c := range map[string]struct {
		chain []chain.State
		want  []Gap
	}{
		"no policy":                            {[]chain.State{policy(0, 0)}, []Gap{alarm(hole)}},
		"older than the policy":                {[]chain.State{policy(0, now-150)}, []Gap{deleted(hole)}},
		"younger than the policy":              {[]chain.State{policy(0, now-100)}, []Gap{alarm(hole)}},
		"the policy falls into it":             {[]chain.State{policy(0, now-120)}, []Gap{deleted(span(100, 120)), alarm(span(120, 150))}},
		"a policy of its own, shorter":         {[]chain.State{own(policy(0, 1<<20), testTrack, 60)}, []Gap{deleted(hole)}},
		"a policy of its own, longer":          {[]chain.State{own(policy(0, 60), testTrack, 1<<20)}, []Gap{alarm(hole)}},
		"a policy of another track":            {[]chain.State{own(policy(0, 0), other, 60)}, []Gap{alarm(hole)}},
		"deleted under a policy of before":     {[]chain.State{policy(0, 60), policy(1000, 1<<20)}, []Gap{deleted(hole)}},
		"a policy of before it was filmed":     {[]chain.State{policy(0, 60), policy(90, 1<<20)}, []Gap{alarm(hole)}},
		"a policy that is only just there":     {[]chain.State{policy(0, 1<<20), policy(now-1, 60)}, []Gap{deleted(hole)}},
		"a policy beyond all numbers":          {[]chain.State{policy(0, 1<<53-1)}, []Gap{alarm(hole)}},
		"erased":                               {[]chain.State{erased(testTrack, 100, 150)}, []Gap{deleted(hole)}},
		"erased, of another track":             {[]chain.State{erased(other, 100, 150)}, []Gap{alarm(hole)}},
		"erased, one second less at each side": {[]chain.State{erased(testTrack, 101, 149)}, []Gap{alarm(span(100, 101)), deleted(span(101, 149)), alarm(span(149, 150))}},
		"erased elsewhere":                     {[]chain.State{erased(testTrack, 150, 200)}, []Gap{alarm(hole)}},
	} {
		t.Run(name, func(t *testing.T) {
			e := testEpoch(0, 0)
			s := survey{
				track: testTrack, span: span(50, 300), now: at(now), epochs: []*epoch{e},
				ends:      []ending{{known: true, seq: 25*299 + 24, when: at(300)}},
				stretches: []stretch{run(e, 0, 99), run(e, 150, 299)},
			}
			s.deleted = deletedSpans(c.chain, testTrack, s.now)
			got := s.gaps(meta{})
			if diff := cmp.Diff(c.want, got, cmp.Comparer(time.Time.Equal)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
