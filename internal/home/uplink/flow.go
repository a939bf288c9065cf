package uplink

import (
	"sync"
	"time"

	"latchkey.dev/latchkey/internal/home/spool"
)

// The backlog may have this much on its way. Small, so that a live part never
// waits behind more than about half a second of line; grown while receipts
// come back soon.
const (
	minWindow   = 128 << 10
	firstWindow = 512 << 10
	maxWindow   = 32 << 20
	soon        = 700 * time.Millisecond // includes the cloud's group commit of 250 ms
	late        = 1500 * time.Millisecond
	maxMessage  = 1 << 20
)

// flow counts backlog on its way and adapts the window to the line: receipts
// that come late mean that parts queue somewhere, and live ones behind them. It
// also knows which live parts went in one message: they are refused as one.
type flow struct {
	mu     sync.Mutex
	window int
	out    int
	sent   []flight
	paused time.Time
	single int // so many messages to come carry one part each
}

type flight struct {
	spool.Range
	bytes int // 0: live, which counts for nothing here
	at    time.Time
}

func newFlow() *flow { return &flow{window: firstWindow} }

// room returns how many bytes the next backlog message may have; 0 = wait.
func (f *flow) room(now time.Time) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Before(f.paused) || f.out >= f.window {
		return 0
	}
	if f.single > 0 {
		return 1
	}
	return min(maxMessage, max(f.window/4, 64<<10))
}

// suspect makes the parts of r, to be sent again, travel one by one: one of
// them was refused, and the cloud cannot always tell which.
func (f *flow) suspect(r spool.Range) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.single += int(r.Last-r.First) + 1
}

func (f *flow) add(r spool.Range, bytes int, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, flight{Range: r, bytes: bytes, at: now})
	f.out += bytes
	f.single = max(f.single-1, 0)
}

// live notes a message of live parts.
func (f *flow) live(r spool.Range) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, flight{Range: r})
}

// receipt takes off what r covers.
func (f *flow) receipt(r spool.Range, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	keep := f.sent[:0]
	for _, s := range f.sent {
		if s.Key == r.Key && r.First <= s.First && s.First <= r.Last {
			s.First = r.Last + 1 // a message's parts are receipted front to back
		}
		if s.First <= s.Last {
			keep = append(keep, s)
			continue
		}
		f.out -= s.bytes
		if s.bytes > 0 {
			f.adapt(now.Sub(s.at))
		}
	}
	f.sent = keep
}

func (f *flow) adapt(took time.Duration) {
	switch {
	case took < soon:
		f.window = min(f.window+f.window/4, maxWindow)
	case took > late:
		f.window = max(f.window/2, minWindow)
	}
}

// refuse takes the message with part (key, seq) off and returns its range.
func (f *flow) refuse(key spool.Key, seq uint32) (spool.Range, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, s := range f.sent {
		if s.Key == key && s.First <= seq && seq <= s.Last {
			f.sent = append(f.sent[:i:i], f.sent[i+1:]...)
			f.out -= s.bytes
			return s.Range, true
		}
	}
	return spool.Range{}, false
}

func (f *flow) pause(until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paused = until
}
