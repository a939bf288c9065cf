// Package spool is the hub's queue of sealed parts on disk: it keeps each part
// until the cloud holds it durably. It hides segment files, group fsync, the
// index and what is done when the disk is full. The hub appends to it and the
// uplink empties it; it sees ciphertext only.
//
// Layout: DIR/<16 hex digits>.seg, counting up; each a concatenation of raw
// parts of up to SegmentSize bytes, all tracks interleaved in the order they
// were sealed. Nothing else is on disk: the index is rebuilt at opening by the
// strict parser, which also finds a torn tail. Parts that the cloud has but
// whose segment is not wholly done are announced again after a restart; the
// cloud's `have` settles them.
package spool

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/part"
)

// Sizes and times of a spool.
const (
	SegmentSize  = 8 << 20                // a segment is closed once it has this many bytes
	SyncInterval = 250 * time.Millisecond // group commit; a power cut loses at most this much
	DefaultLimit = 20 << 30               // bytes on disk
	DefaultRAM   = 64 << 20               // bytes that wait in RAM while the disk is full
)

// Key names a stream of parts.
type Key struct {
	Epoch latchkey.EpochID
	Track latchkey.TrackID
}

func (k Key) compare(o Key) int {
	if c := bytes.Compare(k.Epoch[:], o.Epoch[:]); c != 0 {
		return c
	}
	return bytes.Compare(k.Track[:], o.Track[:])
}

// Range is the parts First…Last (inclusive) of one stream.
type Range struct {
	Key
	First, Last uint32
}

// Lost is a range of parts that the spool had to give up before the cloud had
// stored them, with the slots of its first and last part.
type Lost struct {
	Range
	FirstSlot, LastSlot uint32
	DiskFull            bool // the disk took nothing and RAM ran out
	Damaged             bool // the disk does not give back what it was given; with neither, the limit was met
}

// Stats is a momentary view, for `hub status`.
type Stats struct {
	Parts  int   // held
	Bytes  int64 // of held parts
	Disk   int64 // bytes of segment files
	Limit  int64 // bytes allowed on disk
	RAM    int64 // bytes that wait in RAM because the disk does not take them
	Oldest *Lost // the oldest held part, nil when the spool is empty
	Err    error // why the disk does not take parts now; nil when it does
	Torn   int64 // bytes cut off at opening
}

// Config of a spool. Dir must be the spool's own.
type Config struct {
	Dir   string
	Limit int64      // bytes on disk; 0 = DefaultLimit
	RAM   int64      // bytes in RAM while the disk is full; 0 = DefaultRAM
	FS    durable.FS // nil = the real one
	// Check verifies one part's signature: of each in the newest segment at
	// opening, since a power cut can leave the right length with wrong bytes,
	// and of what Next reads back. An error that wraps latchkey.ErrNotFound
	// means that there is nothing to check it with. nil = none is checked, and
	// Next puts a part that does not link to the one after it at the end of a
	// run, where the cloud looks at it.
	Check func(part.Part) error
	// Last names tracks that are given up last, however old: small ones that
	// tell what became of the others. It is called under the spool's lock.
	// nil = none.
	Last func(latchkey.TrackID) bool
}

// Spool is safe for concurrent use.
type Spool struct {
	cfg Config

	mu       sync.Mutex
	segs     []*segment // on disk, oldest first; the last one is written to while cur is open
	cur      *durable.Append
	ram      *segment // what the disk did not take, newer than everything in segs
	number   uint64   // of the newest segment file
	written  uint64   // parts written to files in all
	unsynced [][]byte // raw parts of the newest segment since its last good fsync
	err      error    // last trouble with the disk
	retryAt  time.Time
	torn     int64
	closed   bool

	more  chan struct{} // a part was added or may be sent again
	dirty chan struct{} // there is something to fsync
	done  chan struct{} // closed by Close
	idle  sync.WaitGroup
}

// Open reads the segments in cfg.Dir (made if missing), cuts off a torn tail
// and starts the group commit. A part that was in the spool at a crash and
// whose Append had returned is there again; after a power cut those of the
// last SyncInterval may be missing.
func Open(cfg Config) (*Spool, error) {
	if cfg.Limit == 0 {
		cfg.Limit = DefaultLimit
	}
	if cfg.RAM == 0 {
		cfg.RAM = DefaultRAM
	}
	if cfg.FS == nil {
		cfg.FS = durable.Disk{}
	}
	if cfg.Last == nil {
		cfg.Last = func(latchkey.TrackID) bool { return false }
	}
	s := &Spool{
		cfg: cfg, ram: newSegment(""),
		more: make(chan struct{}, 1), dirty: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if err := durable.MkdirAll(cfg.FS, cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: open: %w", err)
	}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("spool: open: %w", err)
	}
	s.idle.Go(s.commitLoop)
	return s, nil
}

// Append takes one raw sealed part. At return of nil the part survives a kill;
// within SyncInterval it survives a power cut. An error that wraps
// latchkey.ErrFull (or another trouble of the disk) means that the part waits
// in RAM and goes to disk by itself when there is space; the part is in the
// spool all the same, and can be sent. The spool keeps raw: it must not change.
//
// lost lists what had to be dropped to stay within the limits, oldest first:
// the caller must make an event of it.
func (s *Spool) Append(raw []byte) (lost []Lost, err error) { return s.append(raw, 0) }

// AppendSent is Append for a part that goes out by another way right after
// (live), so that Next does not offer it in between; Unsent offers it again.
func (s *Spool) AppendSent(raw []byte) (lost []Lost, err error) { return s.append(raw, sent) }

func (s *Spool) append(raw []byte, st state) (lost []Lost, err error) {
	p, err := part.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("spool: append: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("spool: append %v: %w: the spool is closed", p.Header, latchkey.ErrUnavailable)
	}
	err = s.settleRAM()
	if err == nil {
		err = s.write(p, st)
	}
	if err != nil {
		s.ram.hold(raw, p.Header, st)
		err = fmt.Errorf("spool: append %v: %w", p.Header, err)
	}
	if st == 0 {
		wake(s.more)
	}
	return s.enforce(), err
}

// Stats returns a momentary view.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Limit: s.cfg.Limit, RAM: s.ram.heldLen, Err: s.err, Torn: s.torn}
	for _, g := range s.all() {
		st.Parts += g.held
		st.Bytes += g.heldLen
		if g != s.ram {
			st.Disk += g.size
		}
		if st.Oldest == nil && g.held > 0 {
			st.Oldest = g.oldest()
		}
	}
	return st
}

// oldest names the first held part, with its slot if it can be read.
func (g *segment) oldest() *Lost {
	var first ref
	var out *Lost
	for _, s := range g.streams {
		for i, f := range s.refs {
			if f.state&gone != 0 {
				continue
			}
			if seq := s.first + uint32(i); out == nil || f.off < first.off {
				first, out = f, &Lost{Range: Range{Key: s.key, First: seq, Last: seq}}
			}
			break
		}
	}
	if h, err := g.headerAt(first); out != nil && err == nil {
		out.FirstSlot, out.LastSlot = h.Slot, h.Slot
	}
	return out
}

// Sync makes everything appended so far durable now. It asks the disk, however
// lately that said no.
func (s *Spool) Sync() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retryAt = time.Time{}
	return errors.Join(s.settleRAM(), s.syncLocked())
}

// Close syncs and closes the spool. Parts that the disk would not take are
// lost then, and the error says so.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.retryAt = time.Time{}
	err := errors.Join(s.settleRAM(), s.syncLocked(), s.closeCurrent())
	s.mu.Unlock()
	close(s.done)
	s.idle.Wait()
	return err
}

// all returns the segments oldest first, RAM last.
func (s *Spool) all() []*segment {
	return append(s.segs[:len(s.segs):len(s.segs)], s.ram)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
