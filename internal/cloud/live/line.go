package live

import "time"

// line is what all tracks of one viewer's socket share: the bytes on their way
// to him, and how fast he takes them, from his acknowledgements. The viewer's
// mutex guards it.
type line struct {
	known bool
	slow  bool       // an acknowledgement came late, not long ago
	late  time.Time  // the newest one that did
	rates [2]float64 // bytes per second, the two newest samples
	last  time.Time  // of the newest acknowledgement

	bytes    int       // in flight, of the tracks that are watched
	pending  int       // bytes acknowledged in the sample that is being taken
	sampleAt time.Time // its begin

	gone   int // bytes of ended tracks that may still be on the line
	goneAt time.Time
}

// minSample is the shortest time a rate is measured over.
const minSample = 300 * time.Millisecond

// load is what is on the line before anything sent now.
func (l *line) load(now time.Time) int {
	if now.Sub(l.goneAt) > maxLag {
		l.gone = 0 // nobody acknowledges it any more
	}
	return l.bytes + l.gone
}

func (l *line) sent(n int, now time.Time) {
	if l.bytes == 0 {
		// Nothing was in flight for a while: that time says nothing.
		l.sampleAt, l.pending = now, 0
	}
	l.bytes += n
}

// leave takes n bytes in flight to the ones that nobody will acknowledge.
func (l *line) leave(n int, now time.Time) {
	l.bytes -= n
	l.gone, l.goneAt = l.load(now)-l.bytes+n, now
}

// acked takes the word that n bytes have come, the newest of them sent at lastSent.
func (l *line) acked(n int, lastSent, now time.Time) {
	l.bytes -= n
	if now.Sub(lastSent) > slowAfter {
		l.late = now
	}
	l.slow = now.Sub(l.late) <= slowFor
	l.known = true
	l.pending += n
	l.last = now
	if lastSent.After(l.goneAt) {
		l.gone = 0 // it was on the line before
	}
	if d := now.Sub(l.sampleAt); d >= minSample {
		l.rates[1], l.rates[0] = l.rates[0], float64(l.pending)/d.Seconds()
		l.pending, l.sampleAt = 0, now
	}
}

// takes predicts how long n bytes need. Acknowledgements come in lumps, as
// large as a random-access part: of two samples a slow reader's worse one
// counts, else the better.
func (l *line) takes(n int) time.Duration {
	rate := max(l.rates[0], l.rates[1])
	if l.slow && l.rates[1] > 0 {
		rate = min(l.rates[0], l.rates[1])
	}
	if rate == 0 {
		return 0 // nothing measured yet
	}
	return time.Duration(float64(n) / rate * float64(time.Second))
}
