package member

import (
	"errors"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// TestRemovedHubBeginsNothing: a thief with a removed hub and the help of the
// server cannot slip in new footage by naming a place in the chain at which the
// hub was still in the household (claims C7, C10; IRT-61).
func TestRemovedHubBeginsNothing(t *testing.T) {
	hub := latchkey.Kid{1}
	in := map[latchkey.Kid]chain.Hub{hub: {}}
	h := history{states: []chain.State{
		{Seq: 0, Time: 1000}, {Seq: 1, Time: 2000, Hubs: in}, {Seq: 2, Time: 3000, Hubs: in}, {Seq: 3, Time: 9000}, {Seq: 4, Time: 20000, Hubs: in},
	}}
	for _, tt := range []struct {
		name       string
		seq        uint64
		start      int64
		acceptable bool
	}{
		{"while it was there", 1, 2500, true},
		{"before a later statement", 1, 8999, true},
		{"clocks apart", 2, 9000 + removalSlack, true},
		{"after its removal", 2, 9001 + removalSlack, false},
		{"long after, at its first place", 1, 19000, false},
		{"after it came back, under the old place", 2, 30000, false},
		{"after it came back", 4, 30000, true},
	} {
		err := h.admits(chain.EpochNote{Hub: hub, ChainSeq: tt.seq, Start: tt.start})
		if tt.acceptable && err != nil || !tt.acceptable && !errors.Is(err, latchkey.ErrVerify) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestYesterdayIsNotLive: footage of the past that a server plays as live is
// stale from its first part on (claim C9).
func TestYesterdayIsNotLive(t *testing.T) {
	var told []string
	e := testEpoch(0, 0)
	w := &watch{client: &Client{book: &book{}}, req: LiveRequest{Notice: func(n Notice) { told = append(told, n.Kind) }}, oldest: at(86400)}
	lt := &liveTrack{watch: w, id: testTrack, since: at(86400)}
	w.tracks = map[latchkey.TrackID]*liveTrack{testTrack: lt}
	lt.begin(e.at(30))
	lt.epoch = e
	w.note()
	w.judge(at(86401))
	if len(told) != 1 || told[0] != "stale" {
		t.Errorf("told %v of footage that is a day old", told)
	}
	lt = &liveTrack{watch: w, id: testTrack, since: at(40)}
	lt.begin(e.at(41))
	if !lt.since.Equal(at(40)) {
		t.Errorf("vouched until %v before any heads", lt.since)
	}
}

// TestHeadsOfTomorrow: a hub whose clock is ahead vouches for no time to come.
func TestHeadsOfTomorrow(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	if h := notAhead(chain.Heads{Time: now.Unix() + 86400}, now); h.Time != now.Unix() {
		t.Errorf("vouched until %d", h.Time)
	}
	if h := notAhead(chain.Heads{Time: now.Unix() - 70}, now); h.Time != now.Unix()-70 {
		t.Errorf("old heads became %d", h.Time)
	}
}
