package uplink

import (
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/spool"
	"latchkey.dev/latchkey/part"
)

// The live queue is shed to the backlog when it holds more than this many
// bytes, or a part older than this: a watcher gains nothing from parts that
// late.
const (
	maxQueued = 8 << 20
	maxAge    = 2 * time.Second
)

// queue holds what waits for the writer: control messages first, live parts
// after. It is empty and deaf while there is no connection.
type queue struct {
	spool *spool.Spool
	wake  chan struct{}

	mu     sync.Mutex
	open   bool
	ctl    []message
	parts  []queued
	bytes  int
	hungry map[spool.Key]bool // shed streams: live again from their next random-access part
}

type queued struct {
	spool.Range
	raw []byte
	at  time.Time
}

type message struct {
	kind  byte
	body  []byte
	epoch latchkey.EpochID // of an announcement
}

func newQueue(s *spool.Spool) *queue {
	return &queue{spool: s, wake: make(chan struct{}, 1)}
}

// reset opens the queue for a new connection, or closes it. Live parts that
// were not taken go back to the backlog.
func (q *queue) reset(open bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shed()
	q.open, q.ctl, q.hungry = open, nil, map[spool.Key]bool{}
}

// wants reports whether a part would go live now.
func (q *queue) wants(h part.Header) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.open && (h.Flags&part.RAP != 0 || !q.hungry[spool.Key{Epoch: h.Epoch, Track: h.Track}])
}

// live queues a part that the spool has as sent. When things have changed
// since wants, it is given to the backlog after all.
func (q *queue) live(h part.Header, raw []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := spool.Key{Epoch: h.Epoch, Track: h.Track}
	r := spool.Range{Key: key, First: h.Seq, Last: h.Seq}
	if len(q.parts) > 0 && (q.bytes > maxQueued || time.Since(q.parts[0].at) > maxAge) {
		q.shed()
	}
	if !q.open || (q.hungry[key] && h.Flags&part.RAP == 0) {
		q.spool.Unsent(r)
		return
	}
	delete(q.hungry, key)
	q.parts = append(q.parts, queued{Range: r, raw: raw, at: time.Now()})
	q.bytes += len(raw)
	q.signal()
}

// shed gives the whole live queue to the backlog.
func (q *queue) shed() {
	for _, p := range q.parts {
		q.spool.Unsent(p.Range)
		if q.hungry != nil {
			q.hungry[p.Key] = true
		}
	}
	q.parts, q.bytes = nil, 0
}

func (q *queue) control(kind byte, body []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open {
		q.ctl = append(q.ctl, message{kind: kind, body: body})
		q.signal()
	}
}

func (q *queue) announce(epoch latchkey.EpochID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open {
		q.ctl = append(q.ctl, message{kind: typeEpoch, epoch: epoch})
		q.signal()
	}
}

// next returns the next control message, or else the next live parts: the
// oldest one and those right behind it of the same stream, up to limit bytes.
func (q *queue) next(limit int) (ctl *message, live []queued) {
	q.mu.Lock()
	defer q.mu.Unlock()
	// A heads note speaks of parts before it, so live goes first; but an
	// announcement, a result or an old heads note must not starve.
	if len(q.ctl) > 0 && (q.ctl[0].kind != typeHeads || len(q.parts) == 0) {
		m := q.ctl[0]
		q.ctl = q.ctl[1:]
		return &m, nil
	}
	size := 0
	for i, p := range q.parts {
		if i > 0 && (p.Key != q.parts[0].Key || p.First != q.parts[i-1].Last+1 || size+len(p.raw) > limit) {
			break
		}
		size += len(p.raw)
		live = q.parts[:i+1]
	}
	q.parts = q.parts[len(live):]
	q.bytes -= size
	return nil, live
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ctl) == 0 && len(q.parts) == 0
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
