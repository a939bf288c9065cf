// Package ingest takes sealed parts from hubs and owns the order in which
// they become safe: open reel → fsync → STORED receipt → blob → catalog row →
// DURABLE receipt → the open file goes. It sees headers, hashes and
// signatures. Live parts it hashes as they come; of backlog it hashes the last
// part of a message and takes the hashes of the others from the headers that
// link to them: the chain, not the cloud, vouches for those bytes.
//
// Only the cloud may import it. Start-up after a crash runs the same code as
// every closing of a reel: open files are read back, a torn tail is dropped,
// and they are closed.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/blob"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/durable"
)

// Config wires an Engine. All fields are required but Logger.
type Config struct {
	FS      durable.FS
	Dir     string // of the open reels
	Store   blob.Store
	Catalog *catalog.DB
	Logger  *slog.Logger

	Slots  uint32        // a reel spans at most this many slots
	Bytes  int64         // and has at most this many bytes, unless one part is larger
	Idle   time.Duration // a reel without a new part this long is closed
	Commit time.Duration // longest wait of a part for its group's fsync
}

// Hub names the sender of parts.
type Hub struct {
	Household latchkey.HouseholdID
	Kid       latchkey.Kid
}

// Level says how safe parts are.
type Level int

// Stored parts survive a power cut of this node; Durable ones are in the blob
// store and the catalog, and the hub may forget them.
const (
	Stored Level = iota + 1
	Durable
)

// Receipt covers parts First…Last; Hash is the part hash of Last.
type Receipt struct {
	Epoch       latchkey.EpochID
	Track       latchkey.TrackID
	First, Last uint32
	Hash        latchkey.Hash
	Level       Level
}

// Sink hears of a hub's parts while it is connected. Neither method may block.
type Sink interface {
	// Receipt reports progress; the same parts may be reported more than once.
	Receipt(Receipt)
	// Lost says that parts which were accepted, but have no receipt yet, are
	// gone (a failed fsync): the hub has to offer its spool again.
	Lost(error)
}

// Engine takes parts. Close it. All methods are safe for concurrent use.
type Engine struct {
	cfg   Config
	stats Stats

	mu     sync.Mutex
	tracks map[latchkey.TrackID]map[latchkey.EpochID]*track
	epochs map[latchkey.EpochID]*Epoch
	sinks  map[Hub]Sink

	workMu sync.Mutex // guards dirty, sealed and stopping
	dirty  map[*reel]bool
	sealed []*reel
	closed bool

	wakeCommit, wakeClose chan struct{} // capacity 1
	stop                  chan struct{}
	done                  sync.WaitGroup
}

// Stats counts since the start.
type Stats struct {
	Parts, Bytes, Duplicates, Conflicts, Refused atomic.Int64
	Reels, Commits, OpenReels, CloseFailures     atomic.Int64
}

// Open makes cfg.Dir if need be and takes over the reels that a crash left
// open in it.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := durable.MkdirAll(cfg.FS, cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("ingest: open: %w", err)
	}
	e := &Engine{
		cfg:        cfg,
		tracks:     map[latchkey.TrackID]map[latchkey.EpochID]*track{},
		epochs:     map[latchkey.EpochID]*Epoch{},
		sinks:      map[Hub]Sink{},
		dirty:      map[*reel]bool{},
		wakeCommit: make(chan struct{}, 1),
		wakeClose:  make(chan struct{}, 1),
		stop:       make(chan struct{}),
	}
	if err := e.recover(ctx); err != nil {
		return nil, fmt.Errorf("ingest: recover: %w", err)
	}
	e.done.Go(e.commitLoop)
	e.done.Go(e.closeLoop)
	return e, nil
}

// Stats returns the live counters.
func (e *Engine) Stats() *Stats { return &e.stats }

// Attach makes sink hear of hub's parts until detach is called.
func (e *Engine) Attach(hub Hub, sink Sink) (detach func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sinks[hub] = sink
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.sinks[hub] == sink {
			delete(e.sinks, hub)
		}
	}
}

func (e *Engine) sinkOf(hub Hub) Sink {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.sinks[hub]; s != nil {
		return s
	}
	return nowhere{}
}

type nowhere struct{}

func (nowhere) Receipt(Receipt) {}
func (nowhere) Lost(error)      {}

// Close closes every open reel and makes it durable. What cannot be closed by
// the end of ctx stays open on disk, fsynced where that was possible, for the
// next Open; the error says so. Store must not be called any more.
func (e *Engine) Close(ctx context.Context) error {
	e.workMu.Lock()
	if e.closed {
		e.workMu.Unlock()
		return nil
	}
	e.closed = true
	e.workMu.Unlock()
	for _, t := range e.allTracks() {
		t.sealAll()
	}
	close(e.stop)
	e.done.Wait()
	return e.drain(ctx)
}

// drain closes what is left after the loops have ended.
func (e *Engine) drain(ctx context.Context) error {
	for {
		left := e.closeSealed(ctx)
		if left == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("ingest: close: %w", left)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// errClosed is what Store returns after Close.
var errClosed = fmt.Errorf("ingest: %w: shutting down", latchkey.ErrUnavailable)

func (e *Engine) isClosed() bool {
	e.workMu.Lock()
	defer e.workMu.Unlock()
	return e.closed
}

func (e *Engine) allTracks() []*track {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []*track
	for _, m := range e.tracks {
		for _, t := range m {
			all = append(all, t)
		}
	}
	return all
}

// Refusal is why a part was not taken: Err wraps ErrConflict, ErrVerify,
// ErrInvalid, ErrNotFound (unknown epoch) or ErrFull.
type Refusal struct {
	Epoch latchkey.EpochID
	Track latchkey.TrackID
	Seq   uint32
	Err   error
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("ingest: part %v/%v/%d: %v", r.Epoch, r.Track, r.Seq, r.Err)
}

// Unwrap gives the kind.
func (r *Refusal) Unwrap() error { return r.Err }

// count adds a refusal to the statistics.
func (s *Stats) count(err error) {
	switch {
	case err == nil:
	case errors.Is(err, latchkey.ErrConflict):
		s.Conflicts.Add(1)
	default:
		s.Refused.Add(1)
	}
}
