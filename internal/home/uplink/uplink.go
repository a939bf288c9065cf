// Package uplink is the hub's one connection to the cloud: live parts first,
// the backlog of the spool in between, receipts and commands back. It hides
// sign-in, reconnecting, the wire format and flow control. The hub composes
// it; it sees ciphertext, signed notes and its own bearer token, never a key
// or a plaintext. Wire format: docs/spec/wire.md, "Uplink".
package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/spool"
	"latchkey.dev/latchkey/part"
)

// Epochs is where the uplink finds epoch notes. Implementations are safe for
// concurrent use.
type Epochs interface {
	// Pending lists the epochs that the cloud is not known to hold durably,
	// and those with parts in the spool, oldest first.
	Pending() []latchkey.EpochID
	// Load returns note, seal lines and capsules of an epoch, as they were
	// fsynced before its first part; latchkey.ErrNotFound when there is none.
	Load(latchkey.EpochID) (*latchkeyv1.UplinkEpoch, error)
	// Durable is told that the cloud holds the note durably.
	Durable(latchkey.EpochID)
}

// Handler is what the hub does with what the cloud says. Calls come from the
// connection's goroutines and must return soon, except Command.
type Handler interface {
	// Command carries out a sealed command; it may take its time.
	Command(ctx context.Context, sealed []byte) latchkeyv1.CommandResult
	// Opening judges a request to release entries of a two-key grant, and returns
	// what is released.
	Opening(ctx context.Context, m *latchkeyv1.UplinkOpening) (latchkeyv1.OpeningResult, []byte)
	// ChainGrew is told of a new head of the household's chain.
	ChainGrew(head uint64)
	// Lost is told of parts that the cloud will never take.
	Lost([]spool.Lost)
	// Watched is told which tracks of the household somebody watches now, all
	// of them: at every change while there is a connection, none when it ends.
	Watched([]latchkey.TrackID)
	// State is told when the connection comes and goes.
	State(State)
	// Newest is told which epoch note the cloud has as the hub's newest, before
	// anything is sent. An error ends the connection.
	Newest(note []byte) error
	// Farewell is told of the statements with which the cloud refuses to sign the
	// hub in: it was removed, if they are what they seem.
	Farewell(notes [][]byte)
	// Doubled is told that two machines connect with this identity. connected
	// says which one we are: the one that stays, or the one that is sent away.
	Doubled(connected bool)
}

// State of the connection.
type State string

// The states, as the meta track spells them.
const (
	Connected State = "connected"
	Waiting   State = "waiting" // not connected, trying
)

// Config of an uplink. All fields but HTTP, Log and Pace are required.
type Config struct {
	Session *Session
	Spool   *spool.Spool
	Epochs  Epochs
	Handler Handler
	Version string
	Boot    [16]byte     // drawn at this start of the hub
	HTTP    *http.Client // its transport's proxy and TLS settings are used for the socket too
	Log     *slog.Logger
	Pace    Pace // zero = DefaultPace
}

// Pace holds the times of an uplink, so that tests can scale them.
type Pace struct {
	FirstRetry, MaxRetry time.Duration // back-off, doubled; the wait is half of it to all of it
	Patience             time.Duration // of an outage: after it LongRetry is the most
	LongRetry            time.Duration // also where asking again soon would not help
	Settled              time.Duration // a connection that lived this long resets the back-off
	Ping                 time.Duration // keep-alive; three missed ones end the connection
	Write                time.Duration // one message must be in the socket within this
	Drain                time.Duration // what waits at the end may still be sent within this
	FullPause            time.Duration // after the cloud said that its disk is full
}

// DefaultPace is used where Config.Pace is zero.
func DefaultPace() Pace {
	return Pace{
		FirstRetry: 200 * time.Millisecond, MaxRetry: 5 * time.Second, Patience: 10 * time.Minute, LongRetry: 30 * time.Second, Settled: 10 * time.Second,
		Ping: 15 * time.Second, Write: 20 * time.Second, Drain: 3 * time.Second, FullPause: 5 * time.Second,
	}
}

// Uplink is safe for concurrent use. Put waits for the disk only, Heads for nothing.
type Uplink struct {
	cfg   Config
	queue *queue
}

// New returns an uplink; Run connects it.
func New(cfg Config) *Uplink {
	if cfg.Pace == (Pace{}) {
		cfg.Pace = DefaultPace()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.HTTP == nil {
		cfg.HTTP = http.DefaultClient
	}
	return &Uplink{cfg: cfg, queue: newQueue(cfg.Spool)}
}

// Put takes a sealed part: into the spool, then, while connected, out before
// any backlog. While not connected, or when the line is too slow for live, it
// goes with the backlog. raw must not change. lost and err are those of
// spool.Append; on an err that wraps latchkey.ErrInvalid nothing was taken.
func (u *Uplink) Put(raw []byte) (lost []spool.Lost, err error) {
	h, err := part.ParseHeader(raw)
	if err != nil {
		return nil, fmt.Errorf("uplink: put: %w", err)
	}
	if !u.queue.wants(h) {
		return u.cfg.Spool.Append(raw)
	}
	if lost, err = u.cfg.Spool.AppendSent(raw); !errors.Is(err, latchkey.ErrInvalid) {
		u.queue.live(h, raw)
	}
	return lost, err
}

// Heads sends a heads note; without a connection it is dropped, since the
// next one says more.
func (u *Uplink) Heads(note []byte) { u.queue.control(typeHeads, note) }

// Health sends a report for a ticket, if there is a connection now.
func (u *Uplink) Health(ticket uint64, letter []byte) {
	b, err := proto.Marshal(&latchkeyv1.UplinkHealth{Ticket: ticket, Letter: letter})
	if err != nil { // it has no text that could be no UTF-8
		panic(err)
	}
	u.queue.control(typeHealth, b)
}

// Announce sends the note of an epoch that was stored just now, so that
// watchers have it before the first part.
func (u *Uplink) Announce(epoch latchkey.EpochID) { u.queue.announce(epoch) }

// Run keeps the connection until ctx ends; what is queued by then is still
// sent if the line takes it within Pace.Drain. It returns nil.
func (u *Uplink) Run(ctx context.Context) error {
	p := u.cfg.Pace
	wait, since := p.FirstRetry, time.Now()
	for ctx.Err() == nil {
		began := time.Now()
		err := u.connect(ctx)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > p.Settled {
			wait, since = p.FirstRetry, time.Now()
		}
		var f *Farewell
		if errors.As(err, &f) {
			u.cfg.Handler.Farewell(f.Notes)
		}
		switch {
		case errors.Is(err, latchkey.ErrRefused):
			wait = p.LongRetry
		case errors.Is(err, latchkey.ErrConflict):
			wait = max(wait, p.LongRetry/10) // most likely our own connection of before, half open
		}
		u.cfg.Log.Info("uplink down", "err", err, "retry", wait)
		u.cfg.Handler.State(Waiting)
		sleep(ctx, time.Duration(float64(wait)*(0.5+rand.Float64()/2)))
		wait = min(2*wait, u.most(time.Since(since)))
	}
	return nil //nolint:nilerr // told to stop: why the last connection ended matters no more
}

// most is the longest wait in an outage that has lasted so long: as long as it
// may still be a restart the hub is back soon after its server.
func (u *Uplink) most(outage time.Duration) time.Duration {
	if outage > u.cfg.Pace.Patience {
		return max(u.cfg.Pace.LongRetry, u.cfg.Pace.MaxRetry)
	}
	return u.cfg.Pace.MaxRetry
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
