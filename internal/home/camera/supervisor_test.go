package camera

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	latchkey "latchkey.dev/latchkey"
)

// scripted is a source whose runs end as told.
type scripted struct {
	mu   sync.Mutex
	runs []time.Time
	cfgs []Config
	next func(n int, ctx context.Context, sink Sink) error
}

func (s *scripted) open(cfg Config) Source { return scriptedRun{s, cfg} }

type scriptedRun struct {
	s   *scripted
	cfg Config
}

func (r scriptedRun) Run(ctx context.Context, sink Sink) error {
	r.s.mu.Lock()
	n := len(r.s.runs)
	r.s.runs = append(r.s.runs, time.Now())
	r.s.cfgs = append(r.s.cfgs, r.cfg)
	r.s.mu.Unlock()
	return r.s.next(n, ctx, sink)
}

type noSink struct{}

func (noSink) Format(MediaKind, Format) {}
func (noSink) Unit(Unit)                {}

// supervise runs a supervisor for a time and returns what it reported.
func supervise(t *testing.T, src *scripted, d time.Duration, during func(*Supervisor)) (seen []Status) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &Supervisor{Sink: noSink{}, Open: src.open, OnStatus: func(st Status) { seen = append(seen, st) }}
	done := make(chan error)
	go func() { done <- s.Run(ctx, Config{URL: "rtsp://first"}) }()
	if during != nil {
		during(s)
	}
	time.Sleep(d)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	return seen
}

func states(seen []Status) (out []State) {
	for _, s := range seen {
		out = append(out, s.State)
	}
	return out
}

func TestBackOffDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &scripted{next: func(int, context.Context, Sink) error {
			return fmt.Errorf("camera: describe: %w", ErrUnreachable)
		}}
		seen := supervise(t, src, 10*time.Minute, nil)
		want := time.Second
		for i := 1; i < len(src.runs); i++ {
			got := src.runs[i].Sub(src.runs[i-1])
			if got < want*3/4 || got > want*5/4 {
				t.Fatalf("wait %d was %v, want %v ± 25 %%", i, got, want)
			}
			want = min(2*want, time.Minute)
		}
		if len(src.runs) < 12 {
			t.Fatalf("only %d attempts in ten minutes", len(src.runs))
		}
		if got := states(seen); !slices.Equal(got, []State{StateConnecting, StateOffline}) {
			t.Fatalf("reported %v", got)
		}
	})
}

func TestWrongPasswordDoesNotHammer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &scripted{next: func(int, context.Context, Sink) error {
			return fmt.Errorf("camera: describe: %w", ErrWrongPassword)
		}}
		seen := supervise(t, src, 14*time.Minute, nil)
		if len(src.runs) != 3 {
			t.Fatalf("%d attempts in 14 minutes, want 3", len(src.runs))
		}
		if got := states(seen); !slices.Equal(got, []State{StateConnecting, StateRefused}) {
			t.Fatalf("reported %v", got)
		}
		if !errors.Is(seen[1].Err, latchkey.ErrRefused) {
			t.Fatalf("reported %v", seen[1].Err)
		}
	})
}

func TestNewConfigStartsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &scripted{next: func(n int, ctx context.Context, sink Sink) error {
			if n == 0 {
				return ErrWrongPassword
			}
			sink.Unit(Unit{Kind: latchkey.KindVideo})
			<-ctx.Done()
			return ctx.Err()
		}}
		seen := supervise(t, src, time.Minute, func(s *Supervisor) {
			time.Sleep(10 * time.Second)
			s.Update(Config{URL: "rtsp://second"})
		})
		if len(src.runs) != 2 || src.runs[1].Sub(src.runs[0]) != 10*time.Second || src.cfgs[1].URL != "rtsp://second" {
			t.Fatalf("runs %v with %v", src.runs, src.cfgs)
		}
		if got := states(seen); !slices.Equal(got, []State{StateConnecting, StateRefused, StateConnecting, StateStreaming}) {
			t.Fatalf("reported %v", got)
		}
	})
}

func TestGoodRunResetsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended []time.Time
		src := &scripted{}
		src.next = func(n int, ctx context.Context, sink Sink) error {
			defer func() { ended = append(ended, time.Now()) }()
			if n < 5 {
				return ErrUnreachable
			}
			for range 20 { // twenty seconds of pictures
				sink.Unit(Unit{Kind: latchkey.KindVideo})
				time.Sleep(time.Second)
			}
			if n == 5 {
				return ErrTimeout
			}
			<-ctx.Done()
			return ctx.Err()
		}
		seen := supervise(t, src, 3*time.Minute, nil)
		if wait := src.runs[6].Sub(ended[5]); wait > 1250*time.Millisecond {
			t.Fatalf("waited %v after a good run", wait)
		}
		want := []State{StateConnecting, StateOffline, StateStreaming, StateOffline, StateStreaming}
		if got := states(seen); !slices.Equal(got, want) {
			t.Fatalf("reported %v, want %v", got, want)
		}
	})
}

func TestClockStepCostsNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &scripted{next: func(n int, ctx context.Context, sink Sink) error {
			sink.Unit(Unit{Kind: latchkey.KindVideo})
			if n == 0 {
				return ErrClockStep
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		seen := supervise(t, src, time.Minute, nil)
		if len(src.runs) != 2 || !src.runs[1].Equal(src.runs[0]) {
			t.Fatalf("runs at %v", src.runs)
		}
		if got := states(seen); !slices.Equal(got, []State{StateConnecting, StateStreaming}) {
			t.Fatalf("reported %v", got)
		}
	})
}
