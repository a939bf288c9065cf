package camera

import (
	"slices"
	"time"
)

// maxReorder bounds the pictures a stream may hold back (H.264 and H.265: 16).
const maxReorder = 16

// reorder computes decode times from presentation times that come in decode
// order: with a reorder depth of n, a picture is decoded when the picture n
// places before the newest in presentation order is shown. That needs no slice
// headers, so a lost packet cannot derail it. With depth 0, DTS is PTS.
type reorder struct {
	depth int
	frame time.Duration // the stated frame time, 0 when not stated
	seen  []time.Duration
	past  []time.Duration
	last  time.Duration
	began bool
}

// setFormat takes what the stream says about itself (max_num_reorder, rate). A
// depth learnt from the pictures is never lowered.
func (r *reorder) setFormat(depth int, fps float64) {
	r.depth = max(r.depth, min(depth, maxReorder))
	r.frame = 0
	if fps > 0 {
		r.frame = time.Duration(float64(time.Second) / fps)
	}
}

// learn takes the next picture in decode order into account, before its dts is
// asked for; many streams do not state their depth, so it is measured: the
// number of pictures decoded before one and shown after it.
func (r *reorder) learn(pts time.Duration) {
	after := 0
	for _, p := range r.seen {
		if p > pts {
			after++
		}
	}
	r.depth = max(r.depth, after)
	r.seen = append(r.seen, pts)
	if len(r.seen) > maxReorder {
		r.seen = r.seen[1:]
	}
}

// dts returns the decode time of the next picture. It never decreases, and is
// at most its presentation time unless the depth was learnt too late.
func (r *reorder) dts(pts time.Duration) time.Duration {
	if !r.began {
		r.began = true
		frame := r.frameTime()
		for i := r.depth; i > 0; i-- {
			r.past = append(r.past, pts-time.Duration(i)*frame)
		}
		r.last = pts - time.Duration(r.depth+1)*frame
	}
	at, _ := slices.BinarySearch(r.past, pts)
	r.past = slices.Insert(r.past, at, pts)
	if len(r.past) > maxReorder+1 {
		r.past = r.past[1:]
	}
	next := r.past[max(len(r.past)-1-r.depth, 0)]
	if next <= r.last {
		next = r.last + time.Microsecond
	}
	r.last = next
	return next
}

// frameTime is the stated frame time, else the smallest distance seen so far.
func (r *reorder) frameTime() time.Duration {
	if r.frame > 0 {
		return r.frame
	}
	frame := time.Duration(0)
	sorted := slices.Sorted(slices.Values(r.seen))
	for i := 1; i < len(sorted); i++ {
		if d := sorted[i] - sorted[i-1]; d > 0 && (frame == 0 || d < frame) {
			frame = d
		}
	}
	if frame == 0 {
		frame = 40 * time.Millisecond
	}
	return frame
}
