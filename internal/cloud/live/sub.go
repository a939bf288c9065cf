package live

import (
	"time"

	"latchkey.dev/latchkey"
)

// sub is one viewer's reading of one track. The viewer's mutex guards it.
type sub struct {
	t      *track
	line   *line
	next   uint64    // number of the next part to send
	joined time.Time // parts that arrived earlier belong to the burst at the start

	sentAny bool
	epoch   latchkey.EpochID // of the last part sent or left out
	seq     uint32           // its seq + 1

	// waiting: nothing is sent until a random-access part. skipped says that
	// parts from (skipEpoch, skipFrom) on are being left out.
	waiting, skipped bool
	skipEpoch        latchkey.EpochID
	skipFrom         uint32

	// sight says what the viewer may see of the epochs that were asked about;
	// nil: everything. asked: he waits for the answer about ask.
	sight map[latchkey.EpochID]Slots
	asked bool
	ask   latchkey.EpochID

	flight []inFlight
	bytes  int // in flight
	probes int // random-access parts sent on trust since the last acknowledgement
}

type inFlight struct {
	epoch   latchkey.EpochID
	seq     uint32
	size    int
	arrived time.Time // effective: see sub.arrival
	sent    time.Time
}

// newSub starts at the newest random-access part, or waits for one. On a slow
// line what came before counts with its true age: there is no time to catch up.
func newSub(t *track, l *line, now time.Time) *sub {
	s := &sub{t: t, line: l}
	if !l.slow {
		s.joined = now
	}
	if t.hasRAP {
		s.next = t.rap
	} else {
		s.next, s.waiting = t.end(), true
	}
	return s
}

// arrival is when p came; what came before the viewer counts from his joining.
func (s *sub) arrival(p *shared) time.Time {
	if p.at.Before(s.joined) {
		return s.joined
	}
	return p.at
}

// take appends the frames that may be sent now. Callers hold the viewer's and
// the track's mutex.
func (s *sub) take(dst []*shared, now time.Time) []*shared {
	for {
		if s.waiting && !s.resume(now, &dst) {
			return dst
		}
		if s.next < s.t.base {
			s.leaveOut()
			continue
		}
		if s.next >= s.t.end() {
			return dst
		}
		p := s.t.at(s.next)
		may, known := s.sees(p)
		if !known {
			return dst
		}
		if !may {
			s.leaveUnseen()
			continue
		}
		if p.jump && !p.rap && s.sentAny || now.Sub(s.arrival(p)) > maxAge {
			s.leaveOut()
			continue
		}
		if !s.fits(p, now) {
			return dst
		}
		dst = append(dst, p)
		s.sent(p, now)
	}
}

// leaveOut begins to skip at the next part.
func (s *sub) leaveOut() {
	s.waiting = true
	if s.sentAny && !s.skipped {
		s.skipped, s.skipEpoch, s.skipFrom = true, s.epoch, s.seq
	}
}

// resume ends waiting at the newest random-access part if that is fresh and
// not sent before, and says what was left out.
func (s *sub) resume(now time.Time, dst *[]*shared) bool {
	t := s.t
	if !t.hasRAP || t.rap < s.next || now.Sub(s.arrival(t.at(t.rap))) > maxAge {
		return false
	}
	p := t.at(t.rap)
	if may, _ := s.sees(p); !may || !s.fits(p, now) {
		return false
	}
	s.next, s.waiting = t.rap, false
	if s.skipped {
		*dst = append(*dst, s.skips(p)...)
		s.skipped = false
	}
	return true
}

// skips are the messages about what was left out before p.
func (s *sub) skips(p *shared) []*shared {
	var out []*shared
	say := func(epoch latchkey.EpochID, from, to uint32) {
		if from < to {
			out = append(out, textFrame(skipMessage{Op: "skip", Track: s.t.id.String(), Epoch: epoch.String(), From: from, To: to}))
		}
	}
	if s.skipEpoch == p.epoch {
		say(p.epoch, s.skipFrom, p.seq)
		return out
	}
	say(s.skipEpoch, s.skipFrom, s.t.endOf(s.skipEpoch))
	say(p.epoch, 0, p.seq)
	return out
}

func (s *sub) sent(p *shared, now time.Time) {
	if len(s.flight) > 0 && now.Sub(s.flight[len(s.flight)-1].sent) > probe {
		s.probes++
	}
	s.next++
	s.sentAny, s.epoch, s.seq = true, p.epoch, p.seq+1
	s.flight = append(s.flight, inFlight{p.epoch, p.seq, len(p.frame), s.arrival(p), now})
	s.bytes += len(p.frame)
	s.line.sent(len(p.frame), now)
}

// fits reports whether p may go out now: the window by arrival time, and for a
// slow reader the predicted age of p when it gets there, behind all that is on
// the line before it.
func (s *sub) fits(p *shared, now time.Time) bool {
	age := now.Sub(s.arrival(p))
	load := s.line.load(now) + len(p.frame)
	if len(s.flight) == 0 {
		alone := load == len(p.frame)
		return !s.line.slow || age+s.line.takes(load) <= maxLag || alone && age <= maxAge/4
	}
	if p.rap && s.probes < maxProbes && now.Sub(s.flight[len(s.flight)-1].sent) > probe {
		return true // a viewer that acknowledges only when a part comes would wait for us, and we for him
	}
	if s.arrival(p).Sub(s.flight[0].arrived) > maxFlight {
		return false
	}
	if !s.line.known {
		return load <= firstLoad && now.Sub(s.flight[0].sent) <= maxFlight
	}
	if late := now.Sub(s.flight[0].sent) > slowAfter; s.line.slow || late {
		return now.Sub(s.line.last) <= stallFor && age+s.line.takes(load) <= maxLag
	}
	return load <= firstLoad || age+s.line.takes(load) <= maxLag
}

// ack takes the viewer's word that it has everything up to (epoch, seq).
func (s *sub) ack(epoch latchkey.EpochID, seq uint32, now time.Time) {
	n := 0
	for i, f := range s.flight {
		if f.epoch == epoch && f.seq <= seq {
			n = i + 1
		}
	}
	if n == 0 {
		return
	}
	bytes := 0
	for _, f := range s.flight[:n] {
		bytes += f.size
	}
	s.line.acked(bytes, s.flight[n-1].sent, now)
	s.bytes -= bytes
	s.probes = 0
	s.flight = append(s.flight[:0], s.flight[n:]...)
}

// end takes the reading off its line. What it had in flight is still on it.
func (s *sub) end(now time.Time) {
	s.line.leave(s.bytes, now)
	s.flight, s.bytes = nil, 0
}
