package camera

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	latchkey "latchkey.dev/latchkey"
)

func TestRTPClock(t *testing.T) {
	c := rtpClock{rate: 90000}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	start := uint32(0xFFFF_F000) // wraps soon
	for i, step := range []struct {
		ts      uint32
		arrived time.Duration
		want    time.Duration
	}{
		{start, ms(5), 0},
		{start + 3600, ms(45), ms(40)},
		{start + 10800, ms(120), ms(120)}, // over the wrap
		{start + 7200, ms(121), ms(80)},   // a B-frame
		{start + 14400, ms(165), ms(160)},
		{50_000_000, ms(205), ms(200)}, // the camera restarted its clock: arrival counts
		{50_000_000 + 3600, ms(245), ms(240)},
	} {
		if got := c.pts(step.ts, step.arrived); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
}

func TestTicksRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rate := rapid.SampledFrom([]int64{8000, 16000, 44100, 48000, 90000}).Draw(rt, "rate")
		n := rapid.Int64Range(-1<<45, 1<<45).Draw(rt, "ticks")
		d := ticksToDuration(n, rate)
		sec, rest := d/time.Second, d%time.Second
		back := int64(sec)*rate + (int64(rest)*rate+sign(int64(rest))*int64(time.Second)/2)/int64(time.Second)
		if back != n {
			rt.Fatalf("%d ticks at %d are %v, and back %d", n, rate, d, back)
		}
	})
}

func sign(v int64) int64 {
	if v < 0 {
		return -1
	}
	return 1
}

// TestTimebase: packets late by any delay, clocks that drift and step; hub time
// never goes back and stays close to capture.
func TestTimebase(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		zero := time.Unix(1_700_000_000, 0)
		b := newTimebase(zero)
		upTo := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }
		ppm := rng.Int64N(200) - 100
		least := upTo(100 * time.Millisecond)
		step := upTo(3600*time.Second) - 1900*time.Millisecond
		if seed%2 == 0 {
			step = upTo(1900*time.Millisecond) - 1900*time.Millisecond // back
		}
		last := time.Time{}
		for i := range 3000 {
			capture := time.Duration(i) * 40 * time.Millisecond
			pts := capture + capture*time.Duration(ppm)/1_000_000
			delay := least
			if i%10 != 0 {
				delay += upTo(300 * time.Millisecond)
			}
			clock := time.Duration(0)
			if i >= 1500 {
				clock = step
			}
			mono, err := b.arrived(capture+delay, capture+delay+clock)
			if err != nil {
				t.Fatal(err)
			}
			b.observe(latchkey.KindVideo, pts, mono, time.Time{})
			got := b.wall(latchkey.KindVideo, pts, pts)
			if got.Before(last) {
				t.Fatalf("seed %d, picture %d: %v after %v", seed, i, got, last)
			}
			last = got
			off := got.Sub(zero.Add(capture + clock))
			held := i >= 1500 && i < 1560 // time stands still after a step back
			if i > 200 && !held && (off < -20*time.Millisecond || off > least+20*time.Millisecond) {
				t.Fatalf("seed %d, picture %d is %v off its capture, least delay %v", seed, i, off, least)
			}
		}
	}
}

func TestClockStepBackEndsTheRun(t *testing.T) {
	b := newTimebase(time.Unix(1_700_000_000, 0))
	if _, err := b.arrived(time.Second, time.Second-1900*time.Millisecond); err != nil {
		t.Fatalf("1.9 s back: %v", err)
	}
	if _, err := b.arrived(2*time.Second, 2*time.Second-2100*time.Millisecond); !errors.Is(err, ErrClockStep) {
		t.Fatalf("2.1 s back: %v", err)
	}
}

// TestSenderReportsAlignTracks: video that arrives 150 ms later than the sound
// of the same moment is moved to it.
func TestSenderReportsAlignTracks(t *testing.T) {
	zero := time.Unix(1_700_000_000, 0)
	camera := time.Unix(1_000_000, 0) // its clock is decades off
	b := newTimebase(zero)
	var video, sound time.Time
	for i := range 500 {
		at := time.Duration(i) * 20 * time.Millisecond
		b.observe(latchkey.KindAudio, at, at+10*time.Millisecond, camera.Add(at))
		b.observe(latchkey.KindVideo, at, at+160*time.Millisecond, camera.Add(at))
		sound = b.wall(latchkey.KindAudio, at, at)
		video = b.wall(latchkey.KindVideo, at, at)
	}
	if d := video.Sub(sound); d > time.Millisecond || d < -time.Millisecond {
		t.Fatalf("picture and sound of one moment are %v apart", d)
	}
}
