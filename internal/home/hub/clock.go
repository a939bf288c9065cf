package hub

import (
	"sync"
	"time"
)

// maxStep is how far the wall clock may move against the monotonic one before
// it counts as set (protocol 2.6).
const maxStep = 2 * time.Second

// clock is the hub's wall clock: the system's, but never running backwards
// between two resets, so that slots do not either.
type clock struct {
	// read returns the system's wall time, without a monotonic reading, and
	// the monotonic time since some start. It is a seam because no test can
	// set the wall clock.
	read func() (wall time.Time, mono time.Duration)

	mu   sync.Mutex
	last time.Time     // newest wall time handed out
	wall time.Time     // wall reading at the last look
	mono time.Duration // monotonic reading at the last look
}

func newClock() *clock {
	start := time.Now()
	return clockFrom(func() (time.Time, time.Duration) {
		n := time.Now()
		return n.Round(0), n.Sub(start)
	})
}

func clockFrom(read func() (time.Time, time.Duration)) *clock {
	c := &clock{read: read}
	c.wall, c.mono = read()
	c.last = c.wall
	return c
}

// now returns the wall time without a monotonic reading.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if wall, _ := c.read(); wall.After(c.last) {
		c.last = wall
	}
	return c.last
}

// look compares wall and monotonic clock since the last look. It returns the
// system's wall time as it is; by how much it was set, 0 for not at all; and
// when that was at the earliest, on the old wall clock.
func (c *clock) look() (wall time.Time, step time.Duration, before time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, mono := c.read()
	step = wall.Sub(c.wall) - (mono - c.mono)
	before = c.wall
	c.wall, c.mono = wall, mono
	if step.Abs() <= maxStep {
		step = 0
	}
	return wall, step, before
}

// reset lets the clock start again at the system's time, with a new epoch.
func (c *clock) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, _ = c.read()
}
