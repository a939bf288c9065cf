package camera

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// The waits between attempts.
const (
	firstWait    = time.Second
	longestWait  = time.Minute
	passwordWait = 5 * time.Minute
	// goodRun is how long pictures must have come for a run to count as a
	// success that resets the wait; a camera that dies after each second
	// must not be dialled every second.
	goodRun = 10 * time.Second
)

// State is what a supervised camera is doing.
type State string

// The states; their strings are those of the meta track's `state` record.
const (
	StateConnecting State = "connecting"
	StateStreaming  State = "recording" // units arrive
	StateOffline    State = "offline"   // unreachable, silent or broken off
	StateRefused    State = "refused"   // wrong password
	StateFailed     State = "error"     // reachable, but nothing to record
)

// Status is one change of state.
type Status struct {
	State State
	// Err is nil while connecting (at first) and streaming, else why.
	Err error
	// Since is when this state began.
	Since time.Time
	// Retry is the wait before the next attempt; 0 while connected.
	Retry time.Duration
}

// Supervisor keeps one stream running: it runs the source, and after each end
// waits 1 s, doubling up to 60 s with jitter; after a wrong password it waits
// 5 min. A run that delivered pictures for a while resets the wait. A clock
// step costs no wait at all.
type Supervisor struct {
	// Sink takes the units of every run. Required.
	Sink Sink
	// OnStatus is told of each change, one call at a time; may be nil. The
	// same failure is reported once, not at every attempt.
	OnStatus func(Status)
	// Open makes the source of a config; RTSP when nil.
	Open func(Config) Source

	mu      sync.Mutex
	cfg     Config
	changed chan struct{} // closed and replaced by Update
	last    Status
}

// Run supervises until ctx ends; it returns ctx's error. It may be called once.
func (s *Supervisor) Run(ctx context.Context, cfg Config) error {
	s.mu.Lock()
	if s.changed == nil { // else Update came first, and its config is newer
		s.cfg, s.changed = cfg, make(chan struct{})
	}
	s.mu.Unlock()
	for ctx.Err() == nil {
		s.runConfig(ctx)
	}
	return ctx.Err()
}

// Update replaces the config; a running connection is closed and the new one
// tried at once, whatever the back-off.
func (s *Supervisor) Update(cfg Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg = cfg
	if s.changed != nil {
		close(s.changed)
	}
	s.changed = make(chan struct{})
}

// runConfig supervises with one config, until it is replaced or ctx ends.
func (s *Supervisor) runConfig(parent context.Context) {
	s.mu.Lock()
	cfg, changed := s.cfg, s.changed
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	go func() {
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	}()
	open := s.Open
	if open == nil {
		open = RTSP
	}
	s.report(Status{State: StateConnecting})
	wait := firstWait
	for {
		tap := &tapSink{Sink: s.Sink, first: func() { s.report(Status{State: StateStreaming}) }}
		err := open(cfg).Run(ctx, tap)
		if ctx.Err() != nil {
			return
		}
		if tap.lasted() >= goodRun {
			wait = firstWait
		}
		pause := jitter(wait)
		switch {
		case errors.Is(err, ErrClockStep):
			continue
		case errors.Is(err, ErrWrongPassword):
			pause = passwordWait
		default:
			wait = min(2*wait, longestWait)
		}
		s.report(Status{State: stateOf(err), Err: err, Retry: pause})
		if !sleep(ctx, pause) {
			return
		}
	}
}

func stateOf(err error) State {
	switch {
	case errors.Is(err, ErrWrongPassword):
		return StateRefused
	case errors.Is(err, ErrUnreachable), errors.Is(err, ErrTimeout), err == nil:
		return StateOffline
	}
	return StateFailed
}

// report passes a status on, unless it says what the last one said.
func (s *Supervisor) report(st Status) {
	if st.State == s.last.State && errors.Is(st.Err, kindOf(s.last.Err)) {
		return
	}
	st.Since = time.Now()
	s.last = st
	if s.OnStatus != nil {
		s.OnStatus(st)
	}
}

// kindOf returns the error of this package that err wraps, else err.
func kindOf(err error) error {
	for _, kind := range []error{ErrWrongPassword, ErrUnreachable, ErrNoMedia, ErrTimeout, ErrClockStep} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return err
}

// jitter spreads a wait over 75 to 125 %, so that the cameras of a home that
// lost its power do not all come back in step.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// tapSink tells when a run begins to deliver pictures and for how long.
type tapSink struct {
	Sink
	first func()

	began, last time.Time
}

// Unit implements Sink.
func (t *tapSink) Unit(u Unit) {
	now := time.Now()
	if t.began.IsZero() && u.Kind != KindAudio {
		t.began = now
		t.first()
	}
	t.last = now
	t.Sink.Unit(u)
}

func (t *tapSink) lasted() time.Duration {
	if t.began.IsZero() {
		return 0
	}
	return t.last.Sub(t.began)
}
