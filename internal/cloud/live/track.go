package live

import (
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// track is the ring of one track: everything since the newest random-access
// part, and a little more for readers that are behind. Parts are counted from
// 0; ring[i] is part number base+i.
type track struct {
	id latchkey.TrackID

	mu       sync.Mutex
	ring     []*shared
	base     uint64
	size     int
	rap      uint64 // number of the newest random-access part
	hasRAP   bool
	epoch    latchkey.EpochID // of the newest part
	next     uint32           // its seq + 1
	ends     []end            // where earlier epochs ended
	source   bool
	watchers map[*viewer]bool
}

// end is the first seq of an epoch that was never published.
type end struct {
	epoch latchkey.EpochID
	seq   uint32
}

// publish appends a part and wakes the watchers. False: not a new part.
func (t *track) publish(h part.Header, raw []byte, now time.Time) bool {
	p := partFrame(h, raw, now)
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.next > 0 || len(t.ring) > 0
	switch {
	case known && h.Epoch == t.epoch && h.Seq < t.next, t.ended(h.Epoch):
		return false
	case known && h.Epoch == t.epoch && h.Seq > t.next:
		p.jump = true
	case known && h.Epoch != t.epoch:
		t.ends = append(t.ends, end{t.epoch, t.next})
		if len(t.ends) > 8 {
			t.ends = t.ends[1:]
		}
		p.jump = true
	}
	t.source, t.epoch, t.next = true, h.Epoch, h.Seq+1
	t.ring = append(t.ring, p)
	t.size += len(p.frame)
	if p.rap {
		t.rap, t.hasRAP = t.end()-1, true
	}
	t.trim(now)
	for v := range t.watchers {
		v.wakeUp()
	}
	return true
}

// ended reports whether another epoch has followed this one.
func (t *track) ended(epoch latchkey.EpochID) bool {
	for _, e := range t.ends {
		if e.epoch == epoch {
			return true
		}
	}
	return false
}

// end is the number that the next part will have.
func (t *track) end() uint64 { return t.base + uint64(len(t.ring)) }

func (t *track) at(n uint64) *shared { return t.ring[n-t.base] }

// trim drops what no viewer can still be sent.
func (t *track) trim(now time.Time) {
	drop := 0
	for drop < len(t.ring)-1 {
		old := t.hasRAP && t.base+uint64(drop) < t.rap && now.Sub(t.ring[drop].at) > keepFor
		if !old && t.size <= ringBytes {
			break
		}
		t.size -= len(t.ring[drop].frame)
		t.ring[drop] = nil
		drop++
	}
	if drop == 0 {
		return
	}
	t.base += uint64(drop)
	t.ring = t.ring[drop:] // append moves it to a fresh array now and then
	t.hasRAP = t.hasRAP && t.rap >= t.base
}

// endOf returns the first seq of epoch that was not published.
func (t *track) endOf(epoch latchkey.EpochID) uint32 {
	for _, e := range t.ends {
		if e.epoch == epoch {
			return e.seq
		}
	}
	return t.next
}

// idle says that the source is gone. What is in the ring is no longer live.
func (t *track) idle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.source, t.hasRAP = false, false
	t.base, t.ring, t.size = t.end(), nil, 0
	f := textFrame(trackMessage{Op: "idle", Track: t.id.String()})
	for v := range t.watchers {
		v.tell(f)
	}
}
