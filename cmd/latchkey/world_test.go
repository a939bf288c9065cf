package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/home/hub"
	"latchkey.dev/latchkey/internal/home/member"
)

// quick are a hub's times, scaled so that a story of minutes fits a test.
func quick() hub.Pace {
	p := hub.DefaultPace()
	p.EpochSpacing, p.Heads, p.State, p.Proof = 500*time.Millisecond, time.Second, 2*time.Second, 100*time.Millisecond
	return p
}

// startDemo runs the demo's parts in this process: cloud, hub, two simulated
// cameras and a household, over loopback.
func startDemo(t *testing.T) *demo {
	t.Helper()
	dir := t.TempDir()
	d := newDemo(t, filepath.Join(dir, "data"), filepath.Join(dir, "keys"))
	t.Cleanup(d.stop)
	if err := d.start(t.Context()); err != nil {
		t.Fatalf("start demo: %v", err)
	}
	return d
}

func newDemo(t testing.TB, data, home string) *demo {
	a := &app{ctx: t.Context(), stdio: stdio{out: t.Output(), err: t.Output(), env: func(key string) string {
		if key == "LATCHKEY_HOME" {
			return home
		}
		return os.Getenv(key)
	}}}
	return &demo{
		app: a, cmd: &demoCmd{Listen: "127.0.0.1:0", Data: data}, log: a.logger(slog.LevelWarn), failed: make(chan error, 4),
		pace: quick(), proofs: 100 * time.Millisecond, limits: cloud.Limits{SignInsPerMinute: 1000, SignInBurst: 1000, CallsPerSecond: 1000, CallBurst: 10000},
	}
}

// startNeighbour is another household with its own hub and cameras on the same cloud.
func startNeighbour(t *testing.T, of *demo) *demo {
	t.Helper()
	dir := t.TempDir()
	d := newDemo(t, filepath.Join(dir, "data"), filepath.Join(dir, "keys"))
	d.server = of.server
	t.Cleanup(d.stop)
	for _, step := range []func(context.Context) error{d.folders, d.openHousehold, d.startCameras, d.startHub, d.addCameras} {
		if err := step(t.Context()); err != nil {
			t.Fatalf("start neighbour: %v", err)
		}
	}
	return d
}

// eventually polls until ok returns true; a test that waits for ever is cut
// off by its deadline, with what it waited for.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// knows waits until a member reads the names of cameras: hubs seal to who is new
// once the public log has proven him.
func knows(t testing.TB, c *member.Client, cameras ...string) {
	t.Helper()
	eventually(t, "the new member knows the cameras", func() bool {
		list, err := c.Cameras(t.Context())
		if err != nil {
			t.Fatalf("cameras: %v", err)
		}
		for _, name := range cameras {
			if !slices.ContainsFunc(list, func(l member.Camera) bool { return l.Name == name }) {
				return false
			}
		}
		return true
	})
}

// recorded waits until at least d of a camera is stored and vouched for, and
// returns that span.
func recorded(t testing.TB, c *member.Client, camera string, d time.Duration) member.Span {
	t.Helper()
	begin := time.Now().Add(-time.Minute)
	var span member.Span
	eventually(t, camera+" is recorded for "+d.String(), func() bool {
		tl, err := c.Timeline(t.Context(), camera, member.Span{From: begin, To: time.Now()})
		if err != nil {
			t.Fatalf("timeline: %v", err)
		}
		if len(tl.Ranges) == 0 {
			return false
		}
		span = tl.Ranges[len(tl.Ranges)-1]
		if tl.CompleteUntil.Before(span.To) {
			span.To = tl.CompleteUntil
		}
		return span.To.Sub(span.From) >= d
	})
	return span
}
