package pack

import (
	"slices"
	"time"
)

// pauseLimit is the longest time without a sample that is bridged; beyond it
// the timeline jumps ahead (a discontinuity).
const pauseLimit = 500 * time.Millisecond

// timeline places samples so that each begins where the one before ended, in
// ticks since the Unix epoch. A sample goes out before the next one is there,
// so its duration is a forecast; what the forecast missed is made up for by
// the following durations. Players drop frames when durations are understated
// against tfdt and stall at holes, and neither can happen here.
type timeline struct {
	rate    int64 // ticks a second
	next    int64 // where the next sample begins
	started bool

	// Video: the forecast is the mean of the middle half of the last distances,
	// so that neither a lost picture nor alternating jitter bends it.
	last    int64 // capture tick of the last sample
	fresh   bool  // the next distance is a pause between two streams, not one of this
	deltas  [8]int64
	seen    int
	nominal int64

	// Audio: a sample's length is known; only the drift between the camera's
	// crystal and the hub's clock has to be followed.
	drift   int64 // smoothed lateness, 16ths of a tick
	chasing bool
}

// ticks converts a time to ticks since the Unix epoch, to the nearest.
func ticks(t time.Time, rate int64) int64 {
	ns := int64(t.Nanosecond())
	return t.Unix()*rate + (ns*rate+int64(time.Second)/2)/int64(time.Second)
}

// setRate begins or changes the timescale; time does not go back by rounding.
func (t *timeline) setRate(rate int64) {
	if t.rate == rate {
		return
	}
	if t.started {
		whole, rest := t.next/t.rate, t.next%t.rate
		t.next = whole*rate + (rest*rate+t.rate-1)/t.rate
	}
	t.rate, t.seen, t.drift, t.chasing = rate, 0, 0, false
}

// setFPS gives the forecast for the time before it can be measured. Where the
// stream does not state its rate the guess is short: being late is made up for
// at once, being ahead is not.
func (t *timeline) setFPS(fps float64) {
	t.nominal = t.rate / 60
	if fps > 0 {
		t.nominal = max(int64(float64(t.rate)/fps+0.5), 1)
	}
	t.seen, t.fresh = 0, true
}

// begin returns where a sample captured at tick at starts, and whether that is
// a jump ahead. late is how far capture is ahead of the timeline then.
func (t *timeline) begin(at int64) (start, late int64, jump bool) {
	late = at - t.next
	if !t.started || late > t.rate*int64(pauseLimit)/int64(time.Second) {
		t.started = true
		t.next = max(at, t.next)
		t.drift, t.chasing = 0, false
		return t.next, at - t.next, true
	}
	return t.next, late, false
}

// video places one picture captured (decode time) at tick at.
func (t *timeline) video(at int64) (start int64, duration uint32, jump bool) {
	t.learn(at)
	start, late, jump := t.begin(at)
	correction := late / 4
	switch {
	case late > t.nominal:
		correction = late // pictures are missing: an overlong sample is harmless
	case correction < -t.nominal/4:
		correction = -t.nominal / 4
	}
	d := max(t.nominal+correction, 1)
	t.next = start + d
	return start, uint32(d), jump
}

// learn takes the distance to the last picture into the forecast.
func (t *timeline) learn(at int64) {
	delta, fresh := at-t.last, t.fresh
	t.last, t.fresh = at, false
	// Shorter distances come from a held clock, longer ones from pauses.
	if !t.started || fresh || delta < t.rate/250 || delta > 10*t.rate {
		return
	}
	t.deltas[t.seen%len(t.deltas)] = delta
	t.seen++
	n := min(t.seen, len(t.deltas))
	sorted := t.deltas
	slices.Sort(sorted[:n])
	middle := sorted[n/4 : n-n/4]
	var sum int64
	for _, d := range middle {
		sum += d
	}
	t.nominal = sum / int64(len(middle))
}

// audio places n ticks of sound captured at tick at.
func (t *timeline) audio(at, n int64) (start int64, duration uint32, jump bool) {
	start, late, jump := t.begin(at)
	t.drift += late - t.drift/16
	mean := t.drift / 16
	correction := int64(0)
	switch {
	case late > t.rate*60/1000:
		// Frames were lost: one overlong sample bridges them.
		correction, t.drift = late, 0
	case mean > t.rate*20/1000 || mean < -t.rate*20/1000:
		t.chasing = true
	case mean < t.rate*2/1000 && mean > -t.rate*2/1000:
		t.chasing = false
	}
	if t.chasing && correction == 0 {
		correction = min(max(mean/16, -n/200), n/200) // half a percent
	}
	d := max(n+correction, 1)
	t.next = start + d
	return start, uint32(d), jump
}
