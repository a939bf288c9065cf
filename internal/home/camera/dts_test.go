package camera

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// decodeOrder returns the presentation times of n pictures in decode order,
// with groups of b B-frames; pyramid decodes the middle one first.
func decodeOrder(n, b int, pyramid bool, frame time.Duration) (pts []time.Duration) {
	at := func(i int) time.Duration { return time.Duration(i) * frame }
	pts = append(pts, 0)
	for i := 0; len(pts) < n; i += b + 1 {
		pts = append(pts, at(i+b+1))
		inner := make([]int, b)
		for j := range inner {
			inner[j] = i + 1 + j
		}
		if pyramid && b > 2 {
			mid := inner[b/2]
			inner = append([]int{mid}, slices.DeleteFunc(inner, func(x int) bool { return x == mid })...)
		}
		for _, j := range inner {
			pts = append(pts, at(j))
		}
	}
	return pts
}

func TestReorder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := rapid.IntRange(0, 7).Draw(rt, "b")
		pyramid := rapid.Bool().Draw(rt, "pyramid")
		stated := rapid.IntRange(0, 2).Draw(rt, "stated depth")
		held := rapid.IntRange(b+2, b+6).Draw(rt, "held at the start")
		lossy := rapid.Bool().Draw(rt, "lossy")
		const frame = 40 * time.Millisecond
		pts := decodeOrder(200, b, pyramid, frame)
		var r reorder
		r.setFormat(stated, 25)
		for _, p := range pts[:held] {
			r.learn(p)
		}
		last := time.Duration(-1 << 62)
		for i, p := range pts {
			if i >= held {
				r.learn(p)
			}
			if lossy && i > held && i%13 == 0 {
				continue
			}
			d := r.dts(p)
			if d > p || d <= last {
				rt.Fatalf("picture %d: DTS %v after %v, PTS %v", i, d, last, p)
			}
			if b == 0 && stated == 0 && d != p {
				rt.Fatalf("picture %d: DTS %v, PTS %v without B-frames", i, d, p)
			}
			last = d
		}
	})
}

// TestReorderLearntLate: a stream that begins without B-frames and states no
// depth may be wrong for a moment, never for long.
func TestReorderLearntLate(t *testing.T) {
	const frame = 40 * time.Millisecond
	var r reorder
	r.setFormat(0, 25)
	pts := decodeOrder(20, 0, false, frame)
	for _, p := range decodeOrder(60, 2, false, frame) {
		pts = append(pts, p+20*frame)
	}
	wrong, last := 0, time.Duration(-1)
	for _, p := range pts {
		r.learn(p)
		d := r.dts(p)
		if d < last {
			t.Fatalf("DTS %v after %v", d, last)
		}
		if last = d; d > p {
			wrong++
		}
	}
	if wrong > 3 {
		t.Fatalf("%d pictures are decoded after they are shown", wrong)
	}
}
