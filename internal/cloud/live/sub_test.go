package live

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// link is a simulated viewer behind a line of limited speed: what is sent
// arrives in order at rate bytes per second, and is acknowledged every 250 ms,
// each track for itself.
type link struct {
	rate    float64
	queue   []sentTo
	partly  float64 // bytes of queue[0] that have arrived
	arrived []sentTo
	unacked map[*sub]*shared
	lastAck time.Time
}

// sentTo is a frame and whom it was sent to.
type sentTo struct {
	*shared
	s *sub
}

func (l *link) send(s *sub, frames []*shared) {
	for _, f := range frames {
		l.queue = append(l.queue, sentTo{f, s})
	}
}

// run lets d pass on the line.
func (l *link) run(now time.Time, d time.Duration) {
	l.partly += l.rate * d.Seconds()
	for len(l.queue) > 0 && l.partly >= float64(len(l.queue[0].frame)) {
		p := l.queue[0]
		l.partly -= float64(len(p.frame))
		l.queue = l.queue[1:]
		l.arrived = append(l.arrived, p)
		if p.frame[0] == frameBinary {
			l.unacked[p.s] = p.shared
		}
	}
	if len(l.queue) == 0 {
		l.partly = 0
	}
	if now.Sub(l.lastAck) >= 250*time.Millisecond {
		for s, p := range l.unacked {
			s.ack(p.epoch, p.seq, now)
			l.lastAck = now
		}
		clear(l.unacked)
	}
}

// Stream of the simulation, where a test does not say otherwise: 25 parts a
// second, a random-access part every two seconds ten times as large, 500,000
// bytes a second together.
const (
	simFPS   = 25
	simGOP   = 50
	simRate  = 500_000
	simSmall = simRate/simFPS*simGOP/(simGOP+9) - 200
)

func simSize(seq uint32) int {
	if seq%simGOP == 0 {
		return simSmall * 10
	}
	return simSmall
}

type sim struct {
	t     *track
	s     *sub
	link  *link
	line  *line
	size  func(seq uint32) int // bytes of a part
	now   time.Time
	seq   uint32
	epoch latchkey.EpochID
	skips []skipMessage
	seen  int // of link.arrived
}

func newSim(rate float64) *sim {
	m := &sim{
		t:    &track{id: latchkey.TrackID{1}, watchers: map[*viewer]bool{}},
		link: &link{rate: rate, unacked: map[*sub]*shared{}}, line: &line{}, size: simSize, now: time.Unix(1_000_000, 0), epoch: latchkey.EpochID{2},
	}
	return m
}

func (m *sim) publish() {
	h := part.Header{Epoch: m.epoch, Track: m.t.id, Seq: m.seq}
	if m.seq%simGOP == 0 {
		h.Flags = part.RAP
	}
	m.t.publish(h, make([]byte, m.size(m.seq)), m.now)
	m.seq++
}

// run plays d in steps of 10 ms and returns the largest age of a part at its
// arrival, beginning from after. Those beside it are on the same line.
func (m *sim) run(t *testing.T, d, after time.Duration, beside ...*sim) (worst time.Duration) {
	t.Helper()
	begin := m.now
	all := append([]*sim{m}, beside...)
	for step := 0; m.now.Sub(begin) < d; step++ {
		for _, o := range all {
			o.now = m.now
			if step%(100/simFPS) == 0 {
				o.publish()
			}
			if o.s != nil {
				m.link.send(o.s, o.s.take(nil, o.now))
			}
		}
		m.link.run(m.now, 10*time.Millisecond)
		for _, o := range all {
			if age := o.look(t); m.now.Sub(begin) >= after {
				worst = max(worst, age)
			}
		}
		m.now = m.now.Add(10 * time.Millisecond)
	}
	return worst
}

// look takes in what has come and returns the largest age of a part.
func (m *sim) look(t *testing.T) (worst time.Duration) {
	t.Helper()
	for ; m.seen < len(m.link.arrived); m.seen++ {
		p := m.link.arrived[m.seen]
		switch {
		case p.s.t != m.t:
		case p.frame[0] == frameText:
			m.says(t, p.shared)
		default:
			worst = max(worst, m.now.Sub(p.s.arrival(p.shared)))
		}
	}
	return worst
}

func (m *sim) says(t *testing.T, f *shared) {
	t.Helper()
	var s skipMessage
	if err := json.Unmarshal(f.frame[payloadAt(f.frame):], &s); err != nil {
		t.Fatal(err)
	}
	if s.Op == "skip" {
		m.skips = append(m.skips, s)
	}
}

func payloadAt(frame []byte) int {
	switch frame[1] {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

// complete checks that parts and skips together are every number, once and in
// order, and that after each skip comes a random-access part.
func (m *sim) complete(t *testing.T) (parts int) {
	t.Helper()
	var next uint32
	started, skipped := false, false
	for _, p := range m.link.arrived {
		if p.s.t != m.t {
			continue
		}
		if p.frame[0] == frameText {
			var s skipMessage
			if err := json.Unmarshal(p.frame[payloadAt(p.frame):], &s); err != nil {
				t.Fatal(err)
			}
			if s.From != next || s.To <= s.From {
				t.Fatalf("skip [%d,%d) after part %d", s.From, s.To, next)
			}
			next, skipped = s.To, true
			continue
		}
		if !started {
			next, started, skipped = p.seq, true, true
		}
		if p.seq != next {
			t.Fatalf("part %d came, want %d", p.seq, next)
		}
		if skipped && !p.rap {
			t.Fatalf("part %d after a skip is no random-access part", p.seq)
		}
		next, skipped = next+1, false
		parts++
	}
	return parts
}

// TestSlowViewer is the promise of the relay: whatever the speed of the line,
// nothing arrives more than two seconds old, all that is left out is said, and
// each piece begins with a random-access part.
func TestSlowViewer(t *testing.T) {
	for _, speed := range []float64{4, 1.5, 1.05, 0.9, 0.75, 0.5, 0.35, 0.25} {
		t.Run(fmt.Sprint(speed), func(t *testing.T) {
			m := newSim(simRate * speed)
			m.run(t, 1500*time.Millisecond, 0) // nobody watches yet
			m.s = newSub(m.t, m.line, m.now)
			worst := m.run(t, 60*time.Second, 0)
			parts := m.complete(t)
			if worst > 2*time.Second {
				t.Errorf("a part arrived %v old", worst)
			}
			if speed > 1.1 && len(m.skips) > 0 || speed > 1 && len(m.skips) > 1 {
				t.Errorf("a line that is fast enough lost parts: %v", m.skips)
			}
			if speed < 1 && len(m.skips) == 0 {
				t.Error("a line that is too slow was not told of what was left out")
			}
			// At a quarter of the stream there is time for little but the random-access parts.
			least := int(min(speed, 1) * 60 * simFPS / 3)
			if speed < 0.3 {
				least = 60 * simFPS / simGOP
			}
			if parts < least {
				t.Errorf("%d parts arrived, want at least %d", parts, least)
			}
		})
	}
}

// quietPorch is a small picture in which something goes by now and then, as a
// camera with a variable bit rate sends it: 8 kB/s when nothing happens, 28
// when something does, by turns for 12 seconds.
func quietPorch(phase uint32) func(seq uint32) int {
	return func(seq uint32) int {
		busy := (seq+phase)/(12*simFPS)%2 == 1
		switch {
		case seq%simGOP == 0:
			return 10_000
		case busy:
			return 900
		}
		return 350
	}
}

// TestSlowViewerOfAQuietCamera is the same promise where a whole scene fits in
// what a fast line has under way, and the stream is at times slower than the
// line, at times faster.
func TestSlowViewerOfAQuietCamera(t *testing.T) {
	for _, rate := range []float64{200_000, 40_000, 30_000, 25_000, 20_000, 15_000, 12_000, 10_000} {
		for phase := uint32(0); phase < 24*simFPS; phase += 2 * simFPS {
			t.Run(fmt.Sprintf("%v from %d", rate, phase/simFPS), func(t *testing.T) {
				m := newSim(simRate)
				m.size = quietPorch(phase)
				m.run(t, 1500*time.Millisecond, 0)
				m.s = newSub(m.t, m.line, m.now)
				m.run(t, 10*time.Second, 0)
				m.link.rate = rate
				worst := m.run(t, 60*time.Second, 0)
				parts := m.complete(t)
				if worst > 2*time.Second {
					t.Errorf("a part arrived %v old", worst)
				}
				if least := int(60 * min(rate, 18_000) / 18_000 * simFPS / 3); rate > 15_000 && parts < least {
					t.Errorf("%d parts arrived, want at least %d", parts, least)
				}
			})
		}
	}
}

// TestTracksShareALine: a viewer whose line is too slow for the picture goes
// over to the small one, with the sound beside it. What is still on the line
// counts against what comes next: nothing arrives more than two seconds old.
func TestTracksShareALine(t *testing.T) {
	for phase := uint32(0); phase < 24*simFPS; phase += 2 * simFPS {
		for after := 8 * time.Second; after < 10*time.Second; after += 330 * time.Millisecond {
			main := newSim(simRate)
			main.size = quietPorch(phase)
			small, sound := newSim(0), newSim(0)
			for i, o := range []*sim{small, sound} {
				o.t.id[1] = byte(i + 1)
				o.link, o.line = main.link, main.line
			}
			small.size = func(seq uint32) int { return quietPorch(phase)(seq) * 6 / 10 }
			sound.size = func(uint32) int { return 100 }
			main.s, sound.s = newSub(main.t, main.line, main.now), newSub(sound.t, main.line, main.now)
			main.run(t, 5*time.Second, 0, small, sound)
			main.link.rate = 20_000
			worst := main.run(t, after, 0, small, sound)
			main.s.end(main.now)
			main.s, small.s = nil, newSub(small.t, main.line, main.now)
			worst = max(worst, main.run(t, 30*time.Second, 0, small, sound))
			small.complete(t)
			if worst > 2*time.Second {
				t.Errorf("from %d, over after %v: a part arrived %v old", phase/simFPS, after, worst)
			}
		}
	}
}

// TestLineGetsSlow: a line that was fast must not build up a lag when it slows.
func TestLineGetsSlow(t *testing.T) {
	m := newSim(simRate * 10)
	m.s = newSub(m.t, m.line, m.now)
	m.run(t, 20*time.Second, 0)
	for _, speed := range []float64{0.5, 0.3} {
		m.link.rate = simRate * speed
		if worst := m.run(t, 20*time.Second, 0); worst > 2*time.Second {
			t.Errorf("at %v of the stream a part arrived %v old", speed, worst)
		}
		m.link.rate = simRate * 10
		m.run(t, 10*time.Second, 0)
	}
	skips := len(m.skips)
	if skips == 0 {
		t.Error("nothing was left out")
	}
	if worst := m.run(t, 20*time.Second, 0); worst > time.Second/2 || len(m.skips) != skips {
		t.Errorf("the line is fast again: parts are %v old, %d skips more", worst, len(m.skips)-skips)
	}
	m.complete(t)
}

// TestSilentViewer: one that never acknowledges gets a second, then nearly nothing.
func TestSilentViewer(t *testing.T) {
	m := newSim(simRate * 10)
	m.s = newSub(m.t, m.line, m.now)
	sent := 0
	for range 1000 {
		m.publish()
		sent += len(m.s.take(nil, m.now))
		m.now = m.now.Add(40 * time.Millisecond)
	}
	if sent == 0 || sent > simFPS+2+maxProbes {
		t.Errorf("%d parts went out unacknowledged", sent)
	}
}

// TestJoin: a new viewer gets everything since the newest random-access part.
func TestJoin(t *testing.T) {
	m := newSim(0)
	for range 3*simGOP + 20 {
		m.publish()
		m.now = m.now.Add(40 * time.Millisecond)
	}
	s := newSub(m.t, m.line, m.now)
	got := s.take(nil, m.now)
	if !got[0].rap || got[0].seq != 3*simGOP {
		t.Fatalf("%d parts, the first is %d", len(got), got[0].seq)
	}
	first := 0
	for _, p := range got {
		first += len(p.frame)
	}
	if first > firstLoad || first < firstLoad/2 {
		t.Errorf("%d bytes go out before anything is known of the line", first)
	}
	m.now = m.now.Add(50 * time.Millisecond)
	s.ack(m.epoch, got[len(got)-1].seq, m.now)
	if got = append(got, s.take(nil, m.now)...); len(got) != 20 {
		t.Errorf("%d parts came in all, want 20", len(got))
	}
}

// TestNewEpoch: skips across an epoch name both.
func TestNewEpoch(t *testing.T) {
	m := newSim(0)
	m.publish()
	m.s = newSub(m.t, m.line, m.now)
	m.s.take(nil, m.now)
	for range 9 {
		m.publish()
	}
	m.now = m.now.Add(5 * time.Second)
	m.s.ack(m.epoch, 0, m.now)
	old := m.epoch
	m.epoch, m.seq = latchkey.EpochID{3}, 0
	m.publish()
	got := m.s.take(nil, m.now)
	if len(got) != 2 || got[1].epoch != m.epoch || got[1].seq != 0 {
		t.Fatalf("%d messages", len(got))
	}
	m.says(t, got[0])
	want := skipMessage{Op: "skip", Track: m.t.id.String(), Epoch: old.String(), From: 1, To: 10}
	if len(m.skips) != 1 || m.skips[0] != want {
		t.Fatalf("skips %+v, want %+v", m.skips, want)
	}
}

// TestRing: old numbers, gaps and the bounds of memory.
func TestRing(t *testing.T) {
	m := newSim(0)
	for range 20 * simGOP {
		m.publish()
		m.now = m.now.Add(40 * time.Millisecond)
	}
	if n := len(m.t.ring); n > 3*simGOP {
		t.Errorf("%d parts are kept", n)
	}
	if m.t.publish(part.Header{Epoch: m.epoch, Seq: 5}, []byte{1}, m.now) {
		t.Error("an old part was relayed")
	}
	m.s = newSub(m.t, m.line, m.now)
	m.s.take(nil, m.now)
	m.s.ack(m.epoch, m.seq-1, m.now)
	m.s.take(nil, m.now)
	m.s.ack(m.epoch, m.seq-1, m.now)
	from := m.seq
	m.seq += 10 // these never came
	m.publish()
	if got := m.s.take(nil, m.now); len(got) != 0 {
		t.Errorf("%d messages after a gap, before a random-access part", len(got))
	}
	for m.seq%simGOP != 1 {
		m.publish()
	}
	got := m.s.take(nil, m.now)
	if len(got) != 2 || !got[1].rap {
		t.Fatalf("%d messages after the gap", len(got))
	}
	m.says(t, got[0])
	if m.skips[0].From != from || m.skips[0].To != m.seq-1 {
		t.Errorf("skip %+v", m.skips[0])
	}
}
