package pack_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	latchkey "latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/pack"
)

// videoFormat is a real parameter set of a 320×240 H.264 Baseline stream.
func videoFormat() camera.Format {
	return camera.Format{
		Codec: camera.H264, ClockRate: 90000,
		SPS: []byte{0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0xfa, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x42, 0xa4, 0x80},
		PPS: []byte{0x68, 0xcb, 0x8c, 0xb2},
	}
}

func picture(at time.Time, key bool) camera.Unit {
	typ := byte(0x41)
	if key {
		typ = 0x65
	}
	return camera.Unit{Kind: latchkey.KindVideo, NALUs: [][]byte{{typ, 1, 2, 3}}, Wall: at, Key: key}
}

func newVideo(t testing.TB, epoch time.Time, fps float64) *pack.Packer {
	t.Helper()
	p := pack.NewPacker(latchkey.KindVideo, epoch)
	f := videoFormat()
	f.FPS = fps
	if _, err := p.Format(f); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTimelineUnderJitter: whatever the camera's clock does, samples are back
// to back, never go back, and stay near the time of capture.
func TestTimelineUnderJitter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		epoch := time.Unix(1_700_000_000, rapid.Int64Range(0, 999_999_999).Draw(rt, "epoch"))
		frame := time.Duration(rapid.IntRange(8, 500).Draw(rt, "frame ms")) * time.Millisecond
		p := newVideo(t, epoch, 0)
		at := epoch.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(rt, "start")))
		wall := at
		var fs []pack.Fragment
		for i := range 200 {
			jitter := time.Duration(rapid.Int64Range(-30, 30).Draw(rt, "jitter")) * frame / 100
			if now := at.Add(jitter); now.After(wall) {
				wall = now
			}
			out, err := p.Push(picture(wall, i%20 == 0))
			if err != nil {
				rt.Fatal(err)
			}
			f := out[0]
			if off := f.Start.Sub(wall); i > 30 && (off > frame || off < -frame) {
				rt.Fatalf("picture %d is %v off its capture with frames of %v", i, off, frame)
			}
			if i > 30 && f.Discontinuity {
				rt.Fatalf("picture %d: jitter became a discontinuity", i)
			}
			if want := uint32(max(f.Start.Sub(epoch), 0) / time.Second); f.Slot != want {
				rt.Fatalf("picture %d at %v is in slot %d, want %d", i, f.Start.Sub(epoch), f.Slot, want)
			}
			fs = append(fs, f)
			at = at.Add(frame)
		}
		contiguous(rt, fs)
	})
}

// contiguous checks tfdt against durations.
func contiguous(t rapid.TB, fs []pack.Fragment) {
	var end int64
	for i, f := range fs {
		s, err := pack.ParseFragment(f.Data)
		if err != nil {
			t.Fatal(err)
		}
		if f.Discontinuity && s[0].Decode < end || !f.Discontinuity && s[0].Decode != end {
			t.Fatalf("fragment %d begins at %d, the last ended at %d", i, s[0].Decode, end)
		}
		last := s[len(s)-1]
		end = last.Decode + int64(last.Duration)
	}
}

// TestTimelineWalks lets the clock run wild: pauses, bursts, steps forward,
// and a wall time that stands still (what a source makes of a step back).
func TestTimelineWalks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		epoch := time.Unix(1_700_000_000, 0)
		p := newVideo(t, epoch, 25)
		at := epoch
		var fs []pack.Fragment
		var slot uint32
		for i, kind := range rapid.SliceOfN(rapid.IntRange(0, 9), 50, 150).Draw(rt, "walk") {
			switch kind {
			case 0:
				at = at.Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(rt, "pause")))
			case 1: // stands still
			case 2:
				at = at.Add(time.Millisecond)
			default:
				at = at.Add(40 * time.Millisecond)
			}
			out, err := p.Push(picture(at, i == 0))
			if err != nil {
				rt.Fatal(err)
			}
			if out[0].Slot < slot {
				rt.Fatalf("slot %d after %d", out[0].Slot, slot)
			}
			if late := at.Sub(out[0].Start); late > 500*time.Millisecond {
				rt.Fatalf("picture %d is placed %v before its capture", i, late)
			}
			slot = out[0].Slot
			fs = append(fs, out[0])
		}
		contiguous(rt, fs)
	})
}

func TestPauseIsADiscontinuity(t *testing.T) {
	epoch := time.Unix(1_700_000_000, 0)
	p := newVideo(t, epoch, 25)
	var got []bool
	at := epoch
	for i, gap := range []time.Duration{0, 40, 40, 400, 40, 40, 40, 700, 40} {
		at = at.Add(gap * time.Millisecond)
		out, err := p.Push(picture(at, i == 0))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, out[0].Discontinuity)
		if i == 7 && !out[0].Start.Equal(at.UTC()) {
			t.Errorf("after the pause the timeline is at %v, capture at %v", out[0].Start, at)
		}
	}
	if want := "[true false false false false false false true false]"; fmt.Sprint(got) != want {
		t.Fatalf("discontinuities %v, want %v", got, want)
	}
}

func TestSlowCameraHasNoDiscontinuities(t *testing.T) {
	epoch := time.Unix(1_700_000_000, 0)
	p := newVideo(t, epoch, 1)
	for i := range 30 {
		out, err := p.Push(picture(epoch.Add(time.Duration(i)*time.Second), true))
		if err != nil {
			t.Fatal(err)
		}
		if out[0].Discontinuity != (i == 0) || out[0].Slot != uint32(i) {
			t.Fatalf("picture %d of one a second: slot %d, discontinuity %v", i, out[0].Slot, out[0].Discontinuity)
		}
	}
}

func TestNextEpochGoesOn(t *testing.T) {
	epoch := time.Unix(1_700_000_000, 0)
	p := newVideo(t, epoch, 25)
	var fs []pack.Fragment
	for i := range 100 {
		at := epoch.Add(time.Duration(i) * 40 * time.Millisecond)
		if i == 50 {
			p.NextEpoch(at)
		}
		out, err := p.Push(picture(at, i%25 == 0))
		if err != nil {
			t.Fatal(err)
		}
		fs = append(fs, out...)
	}
	contiguous(t, fs)
	if fs[49].Slot != 1 || fs[50].Slot != 0 || fs[99].Slot != 1 {
		t.Fatalf("slots %d, %d, %d around the new epoch, want 1, 0, 1", fs[49].Slot, fs[50].Slot, fs[99].Slot)
	}
}

// TestAudioDrift: a camera whose crystal is off by up to 200 ppm is followed.
func TestAudioDrift(t *testing.T) {
	for _, ppm := range []int64{-200, -50, 0, 50, 200} {
		epoch := time.Unix(1_700_000_000, 0)
		p := pack.NewPacker(latchkey.KindAudio, epoch)
		if _, err := p.Format(camera.Format{Codec: camera.AAC, AAC: []byte{0x11, 0x88}, ClockRate: 48000, Channels: 1}); err != nil {
			t.Fatal(err)
		}
		capture := func(frame int64) time.Time {
			since := time.Duration(frame * 1024 * int64(time.Second) / 48000)
			return epoch.Add(since + since*time.Duration(ppm)/1_000_000)
		}
		var fs []pack.Fragment
		done := int64(0)               // frames in fragments
		for i := range int64(20_000) { // seven minutes
			out, err := p.Push(camera.Unit{Kind: latchkey.KindAudio, Frame: []byte{1, 2, 3}, Wall: capture(i), Key: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range out {
				if off := f.Start.Sub(capture(done)); off > 25*time.Millisecond || off < -25*time.Millisecond {
					t.Fatalf("frame %d: sound is %v off the clock at %d ppm", done, off, ppm)
				}
				samples, err := pack.ParseFragment(f.Data)
				if err != nil {
					t.Fatal(err)
				}
				done += int64(len(samples))
			}
			fs = append(fs, out...)
		}
		contiguous(t, fs)
		checkFragments(t, fs, false)
	}
}

// TestPauseBetweenStreams: a camera that was away for a while comes back with
// its format. The pause is no distance of pictures: what follows stays near the
// time of capture.
func TestPauseBetweenStreams(t *testing.T) {
	for _, pause := range []time.Duration{600 * time.Millisecond, 2 * time.Second, 9 * time.Second, time.Minute} {
		for _, fps := range []float64{0, 25} {
			epoch := time.Unix(1_700_000_000, 0)
			p := newVideo(t, epoch, fps)
			at := epoch
			for i := range 200 {
				if i == 100 {
					at = at.Add(pause)
					f := videoFormat()
					f.FPS = fps
					if _, err := p.Format(f); err != nil {
						t.Fatal(err)
					}
				}
				out, err := p.Push(picture(at, i%20 == 0))
				if err != nil {
					t.Fatal(err)
				}
				if off := out[0].Start.Sub(at); i > 0 && (off > 40*time.Millisecond || off < -40*time.Millisecond) {
					t.Fatalf("pause %v, %v fps: picture %d is %v off its capture", pause, fps, i, off)
				}
				at = at.Add(40 * time.Millisecond)
			}
		}
	}
}
