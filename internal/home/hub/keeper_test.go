package hub

import (
	"testing"
	"testing/synctest"
	"time"
)

// The first heads note after a new epoch or stream comes soon; the ones after
// it a full interval later.
func TestHeadsComeEarlyOnceThenOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{
			agent: &agent{Hub: &Hub{cfg: Config{Pace: Pace{Heads: time.Minute}}}},
			beat:  map[string]time.Time{},
		}
		start := time.Now()
		var got []time.Duration
		for range 140 { // a look every second
			if time.Since(start) == 20*time.Second {
				k.early = time.Now().Add(headsSoon) // a new epoch
			}
			if k.headsDue() {
				got = append(got, time.Since(start))
			}
			time.Sleep(time.Second)
		}
		want := []time.Duration{0, 20*time.Second + headsSoon, 80*time.Second + headsSoon}
		if len(got) != len(want) {
			t.Fatalf("heads at %v, want %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("heads at %v, want %v", got, want)
			}
		}
	})
}
