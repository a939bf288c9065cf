package cloud_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
	"latchkey.dev/latchkey/part"
)

// roleVar makes the test binary play a server in a process of its own, so
// that its CPU time can be told from the client's.
const roleVar = "LATCHKEY_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "plain":
		playServer(newPlain)
	case "cloud":
		playServer(func(dir string) (http.Handler, func() error) { return newCloud(dir, cloud.ReelConfig{}) })
	case "small":
		playServer(func(dir string) (http.Handler, func() error) {
			return newCloud(dir, cloud.ReelConfig{Slots: 5, Commit: 5 * time.Millisecond})
		})
	default:
		os.Exit(m.Run())
	}
}

// playServer serves until standard input ends, then prints its CPU seconds
// since the first line it reads.
func playServer(make func(dir string) (http.Handler, func() error)) {
	handler, closeAll := make(os.Args[len(os.Args)-1])
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { _ = http.Serve(ln, handler) }()
	fmt.Println(ln.Addr().String())
	in := bufio.NewReader(os.Stdin)
	_, _ = in.ReadString('\n')
	before := cpuSeconds()
	_, _ = io.Copy(io.Discard, in)
	if err := closeAll(); err != nil {
		panic(err)
	}
	_ = json.NewEncoder(os.Stdout).Encode(cpuSeconds() - before)
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func newCloud(dir string, reels cloud.ReelConfig) (http.Handler, func() error) {
	s, err := cloud.New(cloud.Config{DataDir: dir, Limits: plenty, Reels: reels})
	if err != nil {
		panic(err)
	}
	return s.Handler(), s.Close
}

// plain is the yardstick: an HTTP server that appends bodies to a file, with
// the reels' policy: fsync within 250 ms, a new file every 8 MiB, which is
// fsynced, renamed, and its directory fsynced.
type plain struct {
	dir   string
	mu    sync.Mutex
	f     *os.File
	size  int64
	n     int
	dirty bool
	stop  chan struct{}
	done  sync.WaitGroup
}

func newPlain(dir string) (http.Handler, func() error) {
	p := &plain{dir: dir, stop: make(chan struct{})}
	p.done.Go(func() {
		for {
			select {
			case <-p.stop:
				return
			case <-time.After(250 * time.Millisecond):
			}
			p.mu.Lock()
			if p.dirty {
				_ = p.f.Sync()
				p.dirty = false
			}
			p.mu.Unlock()
		}
	})
	return p, func() error {
		close(p.stop)
		p.done.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.finish()
	}
}

func (p *plain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.f == nil {
		f, err := os.Create(filepath.Join(p.dir, "open"))
		if err != nil {
			panic(err)
		}
		p.f, p.size = f, 0
	}
	n, err := io.Copy(p.f, r.Body)
	if err != nil {
		panic(err)
	}
	p.dirty = true
	if p.size += n; p.size >= 8<<20 {
		if err := p.finish(); err != nil {
			panic(err)
		}
	}
}

func (p *plain) finish() error {
	if p.f == nil {
		return nil
	}
	if err := p.f.Sync(); err != nil {
		return err
	}
	if err := p.f.Close(); err != nil {
		return err
	}
	p.f, p.dirty = nil, false
	p.n++
	if err := os.Rename(filepath.Join(p.dir, "open"), filepath.Join(p.dir, fmt.Sprint(p.n))); err != nil {
		return err
	}
	d, err := os.Open(p.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// child is a server in its own process.
type child struct {
	addr string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

func startChild(t *testing.T, role, dir string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Stderr = os.Stderr
	c := &child{cmd: cmd, in: must[io.WriteCloser](t)(cmd.StdinPipe())}
	c.out = bufio.NewReader(must[io.ReadCloser](t)(cmd.StdoutPipe()))
	try(t, cmd.Start())
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	line := must[string](t)(c.out.ReadString('\n'))
	c.addr = line[:len(line)-1]
	return c
}

// begin starts the measurement; end ends the server and returns its CPU seconds.
func (c *child) begin(t *testing.T) { _, err := io.WriteString(c.in, "go\n"); try(t, err) }

func (c *child) end(t *testing.T) (cpu float64) {
	t.Helper()
	try(t, c.in.Close())
	try(t, json.NewDecoder(c.out).Decode(&cpu))
	try(t, c.cmd.Wait())
	return cpu
}

const (
	ratioMessages = 192 // of about 1 MiB
	ratioRounds   = 5
	ratioPart     = 20 << 10
)

// TestRatio measures ingest (MB per CPU-second) against the plain server, in
// turns. It prints and asserts nothing about time: one round as a rehearsal,
// the median of several with LATCHKEY_BENCH=1.
func TestRatio(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for some seconds")
	}
	rounds := 1
	if os.Getenv("LATCHKEY_BENCH") != "" {
		rounds = ratioRounds
	}
	var ratios []float64
	for round := range rounds {
		messages, h, e := ratioLoad(t, uint64(round))
		mb := 0.0
		for _, m := range messages {
			mb += float64(len(m)) / 1e6
		}
		c, p := mb/runCloud(t, messages, h, e), mb/runPlain(t, messages)
		t.Logf("round %d: plain server %.0f MB per CPU-second, ingest %.0f, ratio %.2f", round, p, c, c/p)
		ratios = append(ratios, c/p)
	}
	slices.Sort(ratios)
	ratio := ratios[len(ratios)/2]
	t.Logf("ratio %.2f (target 0.6)", ratio)
}

func ratioLoad(t *testing.T, seed uint64) ([][]byte, *house, *hometest.Epoch) {
	t.Helper()
	h := &house{Home: must[*hometest.Home](t)(hometest.New(1000 + seed))}
	h.hub, _ = must2[*hometest.Hub](t)(h.AddHub())
	h.tracks, _ = must2[[]latchkey.TrackID](t)(h.AddCamera(1))
	e := h.epoch(t, time.Now())
	var messages [][]byte
	slot, n := uint32(0), 0
	for range ratioMessages {
		var m []byte
		for len(m) < 1<<20-ratioPart-300 {
			m = append(m, e.Part(h.tracks[0], slot, 0, ratioPart)...)
			if n++; n%25 == 0 {
				slot++
			}
		}
		messages = append(messages, m)
	}
	return messages, h, e
}

func must2[T any](t *testing.T) func(T, []byte, error) (T, []byte) {
	return func(v T, b []byte, err error) (T, []byte) {
		t.Helper()
		try(t, err)
		return v, b
	}
}

func runPlain(t *testing.T, messages [][]byte) float64 {
	t.Helper()
	dir := t.TempDir()
	defer os.RemoveAll(dir) // so that both servers write into memory the kernel has had before
	c := startChild(t, "plain", dir)
	c.begin(t)
	for _, m := range messages {
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+c.addr+"/", bytes.NewReader(m)))
		res := must[*http.Response](t)(http.DefaultClient.Do(req))
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	return c.end(t)
}

func runCloud(t *testing.T, messages [][]byte, h *house, e *hometest.Epoch) float64 {
	t.Helper()
	dir := t.TempDir()
	defer os.RemoveAll(dir)
	c := startChild(t, "cloud", dir)
	h.url = "http://" + c.addr
	h.enter(t)
	u := h.dial(t)
	u.announce(t, e)
	c.begin(t)
	for _, m := range messages {
		try(t, u.raw(0x02, m))
	}
	parts := must[[]part.Part](t)(part.ParseAll(messages[len(messages)-1]))
	last := parts[len(parts)-1].Header
	u.wait(t, "stored receipt", func() bool { return u.receipted(last.Track, last.Seq, storedLevel) })
	return c.end(t)
}

// enter puts a household that was founded offline onto its server.
func (h *house) enter(t *testing.T) {
	t.Helper()
	h.found(t)
	for _, note := range h.Chain[1:] {
		h.append(t, note)
	}
}
