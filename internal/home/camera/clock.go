package camera

import (
	"fmt"
	"time"
)

const (
	// backLimit is the step back after which the epoch ends (protocol 2.6).
	backLimit = 2 * time.Second
	// slewShare bounds how fast the mapping of a track follows its target: 2 %
	// of the camera's time, too little to be seen or heard.
	slewShare = 50
	// saneLag is the largest difference between the delays of two tracks that
	// sender reports may claim; more is a camera that makes up its NTP times.
	saneLag = time.Second
	// window is how long a least delay counts; it must hold a few packets
	// without queueing, and be short enough to follow drift.
	window = 5 * time.Second
	// jumpLimit is the difference between camera time and arrival that means
	// a restarted RTP clock, not a delay.
	jumpLimit = 10 * time.Second
)

// rtpClock unwraps 32-bit RTP timestamps into a duration from the first one.
type rtpClock struct {
	rate    int64
	ticks   int64
	last    uint32
	arrived time.Duration
	started bool
}

// pts returns the presentation time of a timestamp that arrived at the given
// time since the start of the run. Where the camera restarts its clock, time
// goes on by what passed between the arrivals.
func (c *rtpClock) pts(ts uint32, arrived time.Duration) time.Duration {
	if !c.started {
		c.started, c.last, c.arrived = true, ts, arrived
		return 0
	}
	d := int64(int32(ts - c.last))
	passed := arrived - c.arrived
	if off := ticksToDuration(d, c.rate) - passed; off > jumpLimit || off < -jumpLimit {
		d = int64(passed) / 1000 * c.rate / 1_000_000
	}
	c.last, c.arrived = ts, arrived
	c.ticks += d
	return ticksToDuration(c.ticks, c.rate)
}

// ticksToDuration converts without overflow and rounds to the nearest
// nanosecond, so that the way back gives the same ticks.
func ticksToDuration(ticks, rate int64) time.Duration {
	sec, rest := ticks/rate, ticks%rate
	half := rate / 2
	if rest < 0 {
		half = -half
	}
	return time.Duration(sec)*time.Second + time.Duration((rest*int64(time.Second)+half)/rate)
}

// leastOf keeps the least value of the last one to two windows.
type leastOf struct {
	began     time.Duration
	now, past time.Duration
	full      bool // past is valid
	started   bool
}

func (l *leastOf) add(at, v time.Duration) {
	switch {
	case !l.started:
		l.started, l.began, l.now = true, at, v
	case at-l.began > window:
		l.began, l.past, l.full, l.now = at, l.now, true, v
	default:
		l.now = min(l.now, v)
	}
}

func (l *leastOf) get() time.Duration {
	if l.full {
		return min(l.past, l.now)
	}
	return l.now
}

// timebase maps the clocks of a camera's tracks to hub time. A track's offset
// is its least delay (arrival − PTS): packets are only ever late. Where sender
// reports relate the tracks to each other, a track whose packets are later
// than the others' by encoding is moved back by the difference, so that lips
// and sound agree; the camera's own idea of absolute time is never used.
type timebase struct {
	anchor time.Time     // with monotonic reading
	zero   time.Time     // the same moment, wall only
	drift  time.Duration // how far this machine's clock was set since
	ahead  time.Duration // the most it ever was
	tracks map[MediaKind]*trackClock
}

type trackClock struct {
	delay   leastOf // arrival − PTS
	lag     leastOf // arrival − the camera's NTP time
	offset  time.Duration
	set     bool
	lastPTS time.Duration
	lastOut time.Time
}

func newTimebase(now time.Time) *timebase {
	return &timebase{anchor: now, zero: now.Round(0), tracks: map[MediaKind]*trackClock{}}
}

// arrival turns the current time into time since the start of the run, free of
// clock steps; those move what wall returns. A step back beyond backLimit is
// ErrClockStep.
func (b *timebase) arrival(now time.Time) (time.Duration, error) {
	return b.arrived(now.Sub(b.anchor), now.Round(0).Sub(b.zero))
}

func (b *timebase) arrived(mono, wall time.Duration) (time.Duration, error) {
	b.drift = wall - mono
	b.ahead = max(b.ahead, b.drift)
	if back := b.ahead - b.drift; back > backLimit {
		return mono, fmt.Errorf("%w by %v", ErrClockStep, back.Round(time.Millisecond))
	}
	return mono, nil
}

func (b *timebase) track(kind MediaKind) *trackClock {
	t := b.tracks[kind]
	if t == nil {
		t = &trackClock{}
		b.tracks[kind] = t
	}
	return t
}

// observe learns from one unit; ntp is the camera's time of it, zero when no
// sender report came yet.
func (b *timebase) observe(kind MediaKind, pts, arrived time.Duration, ntp time.Time) {
	t := b.track(kind)
	t.delay.add(arrived, arrived-pts)
	if !ntp.IsZero() {
		t.lag.add(arrived, arrived-ntp.Sub(b.zero))
	}
}

// target is the offset that kind should have by what is known now.
func (b *timebase) target(kind MediaKind) time.Duration {
	t := b.track(kind)
	off := t.delay.get()
	if !t.lag.started {
		return off
	}
	least := t.lag.get()
	for _, other := range b.tracks {
		if other.lag.started {
			least = min(least, other.lag.get())
		}
	}
	if late := t.lag.get() - least; late <= saneLag {
		off -= late
	}
	return off
}

// wall returns the hub time of a unit's DTS and never goes back within a track.
func (b *timebase) wall(kind MediaKind, pts, dts time.Duration) time.Time {
	t := b.track(kind)
	want := b.target(kind)
	if !t.set {
		t.set, t.offset = true, want
	} else {
		most := max(pts-t.lastPTS, 0) / slewShare
		t.offset += min(max(want-t.offset, -most), most)
	}
	t.lastPTS = max(t.lastPTS, pts)
	out := b.zero.Add(t.offset + dts + b.drift)
	if out.Before(t.lastOut) {
		out = t.lastOut
	}
	t.lastOut = out
	return out
}
