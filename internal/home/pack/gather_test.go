package pack_test

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	latchkey "latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/pack"
)

// twins pack the same units, one picture by picture, one gathering.
type twins struct {
	t          rapid.TB
	one, many  *pack.Packer
	epochs     int
	single     []pack.Fragment
	gathered   []pack.Fragment
	slots, all []uint32 // epochs of the fragments in single and gathered
}

func newTwins(t rapid.TB, epoch time.Time, f camera.Format) *twins {
	w := &twins{t: t, one: pack.NewPacker(latchkey.KindVideo, epoch), many: pack.NewPacker(latchkey.KindVideo, epoch)}
	w.many.Gather(true)
	w.format(f)
	return w
}

func (w *twins) take(single, gathered []pack.Fragment, err error) {
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range single {
		w.single, w.slots = append(w.single, f), append(w.slots, uint32(w.epochs))
	}
	for _, f := range gathered {
		w.gathered, w.all = append(w.gathered, f), append(w.all, uint32(w.epochs))
	}
}

func (w *twins) format(f camera.Format) {
	a, err := w.one.Format(f)
	w.take(a, nil, err)
	b, err := w.many.Format(f)
	w.take(nil, b, err)
}

func (w *twins) push(u camera.Unit) {
	a, err := w.one.Push(u)
	w.take(a, nil, err)
	b, err := w.many.Push(u)
	w.take(nil, b, err)
}

func (w *twins) turn(epoch time.Time) {
	w.take(w.one.NextEpoch(epoch), w.many.NextEpoch(epoch), nil)
	w.epochs++
}

func (w *twins) flush() { w.take(w.one.Flush(), w.many.Flush(), nil) }

// check: gathering changes where fragments begin and nothing else, and never
// crosses a second, an epoch, a random-access picture or a pause.
func (w *twins) check() {
	at := 0
	for i, g := range w.gathered {
		samples, err := pack.ParseFragment(g.Data)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(samples) > 8 || g.Last.Sub(g.Start) >= pack.GatherLimit {
			w.t.Fatalf("fragment %d has %d pictures in %v", i, len(samples), g.Last.Sub(g.Start))
		}
		for k, s := range samples {
			f := w.single[at]
			want, err := pack.ParseFragment(f.Data)
			if err != nil {
				w.t.Fatal(err)
			}
			if one := want[0]; s.Decode != one.Decode || s.Duration != one.Duration || s.Offset != one.Offset || s.Sync != one.Sync || !bytes.Equal(s.Data, one.Data) {
				w.t.Fatalf("picture %d differs when it is gathered", at)
			}
			if f.Slot != g.Slot || w.slots[at] != w.all[i] {
				w.t.Fatalf("picture %d of slot %d is in a fragment of slot %d", at, f.Slot, g.Slot)
			}
			if k > 0 && (f.RAP || f.Discontinuity) {
				w.t.Fatalf("picture %d (RAP %v, discontinuity %v) does not begin its fragment", at, f.RAP, f.Discontinuity)
			}
			if k == 0 && (f.RAP != g.RAP || f.Discontinuity != g.Discontinuity || !f.Start.Equal(g.Start) || !bytes.Equal(f.Init, g.Init)) {
				w.t.Fatalf("fragment %d is not like its first picture", i)
			}
			at++
		}
	}
	if at != len(w.single) {
		w.t.Fatalf("%d pictures of %d came out", at, len(w.single))
	}
}

// TestGatheringObeysBorders lets cameras do what they like: any rate, jitter,
// key frames, pauses, new formats, new epochs, B-frames.
func TestGatheringObeysBorders(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		at := time.Unix(1_700_000_000, rapid.Int64Range(0, 999_999_999).Draw(rt, "start"))
		w := newTwins(rt, at.Truncate(time.Second), videoFormat())
		frame := time.Duration(rapid.IntRange(5, 400).Draw(rt, "frame ms")) * time.Millisecond
		reorder := rapid.Bool().Draw(rt, "B-frames")
		for i, kind := range rapid.SliceOfN(rapid.IntRange(0, 39), 20, 200).Draw(rt, "walk") {
			switch kind {
			case 0:
				at = at.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(rt, "pause")))
			case 1:
				w.flush()
			case 2:
				w.turn(at)
			case 3:
				w.format(videoFormat())
			case 4: // held clock
			default:
				at = at.Add(frame + time.Duration(rapid.Int64Range(-20, 20).Draw(rt, "jitter"))*frame/100)
			}
			u := picture(at, i == 0 || kind == 3 || kind > 36)
			u.NALUs[0] = append(u.NALUs[0], byte(i), byte(i>>8))
			if reorder {
				u.PTS = time.Duration(i%3) * frame
			}
			w.push(u)
		}
		w.flush()
		w.check()
	})
}

// TestGatheringFills: steady cameras get fragments of 200 ms, or of 8 pictures.
func TestGatheringFills(t *testing.T) {
	for fps, want := range map[int]int{1: 1, 4: 1, 5: 1, 10: 2, 25: 5, 30: 6, 60: 8, 100: 8} {
		epoch := time.Unix(1_700_000_000, 0)
		p := newVideo(t, epoch, float64(fps))
		p.Gather(true)
		var fs []pack.Fragment
		for i := range 2 * fps {
			out, err := p.Push(picture(epoch.Add(time.Duration(i)*time.Second/time.Duration(fps)), i == 0))
			if err != nil {
				t.Fatal(err)
			}
			fs = append(fs, out...)
		}
		if p.Waiting() {
			t.Errorf("%d a second: pictures wait behind the end of their second", fps)
		}
		samples, err := pack.ParseFragment(fs[0].Data)
		if err != nil || len(samples) != want {
			t.Errorf("%d a second: the first fragment has %d pictures, want %d", fps, len(samples), want)
		}
		if n := 2 * ((fps + want - 1) / want); len(fs) != n {
			t.Errorf("%d a second: %d fragments in two seconds, want %d", fps, len(fs), n)
		}
		checkFragments(t, fs, true)
	}
}

// TestGatherEnds: whoever turns gathering off has every picture so far.
func TestGatherEnds(t *testing.T) {
	epoch := time.Unix(1_700_000_000, 0)
	p := newVideo(t, epoch, 25)
	p.Gather(true)
	for i := range 3 {
		if out, err := p.Push(picture(epoch.Add(time.Duration(i)*40*time.Millisecond), i == 0)); err != nil || len(out) != 0 {
			t.Fatalf("picture %d: %d fragments, %v", i, len(out), err)
		}
	}
	fs := p.Gather(false)
	if len(fs) != 1 || p.Waiting() {
		t.Fatalf("%d fragments, more waiting: %v", len(fs), p.Waiting())
	}
	if samples, err := pack.ParseFragment(fs[0].Data); err != nil || len(samples) != 3 {
		t.Fatalf("%d pictures, %v", len(samples), err)
	}
	out, err := p.Push(picture(epoch.Add(120*time.Millisecond), false))
	if err != nil || len(out) != 1 {
		t.Fatalf("after it: %d fragments, %v", len(out), err)
	}
	checkFragments(t, append(fs, out...), true)
}
