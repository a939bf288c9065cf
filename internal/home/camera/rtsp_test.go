package camera_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	latchkey "latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// footage returns a real file, or skips (fails in CI) where it is not at hand.
func footage(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("LATCHKEY_SHARED")
	if dir == "" {
		dir = "../../../../shared"
	}
	path := filepath.Join(dir, "footage", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("footage is missing: %v", err)
		}
		t.Skipf("footage is missing: %v", err)
	}
	return path
}

// start runs a simulated camera with one path, "cam", of short passes.
func start(t testing.TB, cfg camera.SimConfig) *camera.Simulator {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	cfg.Streams = []camera.SimStream{{Path: "cam", File: footage(t, "face-demographics-walking.mp4")}}
	s, err := camera.StartSimulator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// counter counts units and holds the sink's contract.
type counter struct {
	mu      sync.Mutex
	n       int
	formats int
	last    map[camera.MediaKind]camera.Unit
	broken  error
	at      int // closes reached when n comes to it
	reached chan struct{}
}

func newCounter(at int) *counter {
	return &counter{last: map[camera.MediaKind]camera.Unit{}, at: at, reached: make(chan struct{})}
}

func (c *counter) Format(camera.MediaKind, camera.Format) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.formats++
}

func (c *counter) Unit(u camera.Unit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	prev, ok := c.last[u.Kind]
	switch {
	case c.formats == 0:
		c.broken = errors.New("a unit came before the format")
	case ok && u.Wall.Before(prev.Wall):
		c.broken = fmt.Errorf("wall %v after %v", u.Wall, prev.Wall)
	case !ok && !u.Key:
		c.broken = errors.New("the first unit is no key frame")
	}
	c.last[u.Kind] = u
	if c.n++; c.n == c.at {
		close(c.reached)
	}
}

func (c *counter) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

func run(t testing.TB, cfg camera.Config, sink camera.Sink) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return camera.RTSP(cfg).Run(ctx, sink)
}

func TestPasswords(t *testing.T) {
	s := start(t, camera.SimConfig{User: "admin", Password: "right horse"})
	defer s.Close()
	for _, c := range []struct {
		name, user string
		pass       camera.Password
	}{{"wrong", "admin", "wrong"}, {"unknown user", "root", "right horse"}, {"none", "", ""}} {
		t.Run(c.name, func(t *testing.T) {
			before := s.Conns()
			err := run(t, camera.Config{URL: s.URL("cam"), User: c.user, Password: c.pass}, newCounter(-1))
			if !errors.Is(err, camera.ErrWrongPassword) || !errors.Is(err, latchkey.ErrRefused) {
				t.Fatalf("%v, want wrong password", err)
			}
			if got := s.Conns() - before; got != 1 {
				t.Fatalf("%d connections for one run", got)
			}
			if c.pass != "" && strings.Contains(err.Error(), string(c.pass)) {
				t.Fatalf("the error tells the password: %v", err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := newCounter(5)
	done := make(chan error)
	go func() {
		done <- camera.RTSP(camera.Config{URL: s.URL("cam"), User: "admin", Password: "right horse"}).Run(ctx, c)
	}()
	wait(t, c.reached)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := c.err(); err != nil {
		t.Fatal(err)
	}
}

func TestPasswordDoesNotPrint(t *testing.T) {
	var b strings.Builder
	cfg := camera.Config{URL: "rtsp://x", User: "u", Password: "canary"}
	fmt.Fprintf(&b, "%v %+v %#v %s %q", cfg, cfg, cfg, cfg.Password, cfg.Password)
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "password", cfg.Password, "cfg", cfg)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "password", cfg.Password)
	if strings.Contains(b.String(), "canary") {
		t.Fatalf("printed: %s", b.String())
	}
	err := run(t, camera.Config{URL: "rtsp://u:canary@"}, newCounter(-1))
	if err == nil || strings.Contains(err.Error(), "canary") || !errors.Is(err, latchkey.ErrInvalid) {
		t.Fatalf("a bad address: %v", err)
	}
}

func TestWrongAddresses(t *testing.T) {
	s := start(t, camera.SimConfig{})
	defer s.Close()
	if err := run(t, camera.Config{URL: s.URL("nothing-here")}, newCounter(-1)); !errors.Is(err, camera.ErrNoMedia) {
		t.Errorf("unknown path: %v", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := run(t, camera.Config{URL: "rtsp://" + ln.Addr().String() + "/cam"}, newCounter(-1)); !errors.Is(err, camera.ErrUnreachable) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestTransports(t *testing.T) {
	for _, c := range []struct {
		name string
		sim  camera.SimConfig
		tr   camera.Transport
	}{
		{"auto", camera.SimConfig{}, ""},
		{"auto, camera without TCP", camera.SimConfig{UDPOnly: true}, ""},
		{"udp", camera.SimConfig{}, camera.TransportUDP},
		{"udp, camera without UDP", camera.SimConfig{TCPOnly: true}, camera.TransportUDP},
		{"tcp", camera.SimConfig{}, camera.TransportTCP},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, c.sim)
			defer s.Close()
			ctx, cancel := context.WithCancel(t.Context())
			n := newCounter(20)
			done := make(chan error)
			go func() { done <- camera.RTSP(camera.Config{URL: s.URL("cam"), Transport: c.tr}).Run(ctx, n) }()
			wait(t, n.reached)
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if err := n.err(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestCameraVanishesAndReturns at the same address.
func TestCameraVanishesAndReturns(t *testing.T) {
	s := start(t, camera.SimConfig{})
	addr := strings.TrimSuffix(strings.TrimPrefix(s.URL("cam"), "rtsp://"), "/cam")
	var mu sync.Mutex
	var seen []camera.State
	offline, again := make(chan struct{}), make(chan struct{})
	c := newCounter(5)
	sup := &camera.Supervisor{Sink: c, OnStatus: func(st camera.Status) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, st.State)
		switch {
		case st.State == camera.StateOffline && len(seen) == 3:
			close(offline)
		case st.State == camera.StateStreaming && len(seen) == 4:
			close(again)
		}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- sup.Run(ctx, camera.Config{URL: s.URL("cam")}) }()
	wait(t, c.reached)
	s.Close()
	wait(t, offline)
	s = start(t, camera.SimConfig{Listen: addr})
	wait(t, again)
	cancel()
	<-done
	s.Close()
	want := []camera.State{camera.StateConnecting, camera.StateStreaming, camera.StateOffline, camera.StateStreaming}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Fatalf("reported %v, want %v", seen, want)
	}
	if err := c.err(); err != nil {
		t.Fatal(err)
	}
}

func TestSimulatorRefusesBadFiles(t *testing.T) {
	for name, st := range map[string]camera.SimStream{
		"not an mp4": {Path: "a", Data: []byte("hello, household")},
		"empty":      {Path: "a", Data: []byte{}},
		"no file":    {Path: "a", File: filepath.Join(t.TempDir(), "nothing.mp4")},
	} {
		if s, err := camera.StartSimulator(camera.SimConfig{Listen: "127.0.0.1:0", Streams: []camera.SimStream{st}}); err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

func wait(t testing.TB, c chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		t.Fatal("it did not happen within 30 s")
	}
}
