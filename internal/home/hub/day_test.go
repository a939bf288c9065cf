package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	ossignal "os/signal"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
)

const dayEnv = "LATCHKEY_TEST_DAY"

// daySpec is a hub whose camera has been recording for hours.
type daySpec struct {
	Data, Home, Server, Pair string
	// Full and Sparse are byte streams of one minute each, with access unit
	// delimiters. Every tenth minute is a full one.
	Full, Sparse       string
	FullFPS, SparseFPS int
	Minutes            int
}

// TestDay is the main function of a hub that has a past: for measurements
// that need a day of footage, which nobody can wait for. Everything but the
// clock and the camera is the real hub: it pairs, takes commands, seals, spools
// and sends. Its clock begins Minutes ago and runs as fast as the parts are
// taken; when it has reached now, the camera says nothing more and the test
// prints a line. It runs until it is interrupted.
func TestDay(t *testing.T) {
	raw := os.Getenv(dayEnv)
	if raw == "" {
		t.Skip("only as a process of a measurement")
	}
	var spec daySpec
	if err := json.Unmarshal([]byte(raw), &spec); err != nil {
		t.Fatal(err)
	}
	ctx, stop := ossignal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	d := &day{spec: spec, wall: time.Now().Add(-time.Duration(spec.Minutes) * time.Minute).Truncate(time.Minute)}
	d.full, d.sparse = loadMinute(t, spec.Full, spec.FullFPS), loadMinute(t, spec.Sparse, spec.SparseFPS)
	h, err := New(Config{
		DataDir: spec.Data, Home: spec.Home, Server: spec.Server, PairCode: spec.Pair, Name: "day", Version: "test",
		Open: func(camera.Config) camera.Source { return d }, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.cfg.Pace.Tick = 20 * time.Millisecond // leaves are erased in the clock's time
	if err := h.pair(ctx); err != nil {
		t.Fatal(err)
	}
	if d.a, err = h.open(); err != nil {
		t.Fatal(err)
	}
	d.a.clock = clockFrom(d.read)
	d.a.started = d.a.clock.now()
	fmt.Println("paired")
	if err := d.a.run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := d.a.spool.Close(); err != nil {
		t.Fatal(err)
	}
}

// day is the camera and the clock.
type day struct {
	spec         daySpec
	full, sparse minute
	a            *agent

	mu   sync.Mutex
	wall time.Time
}

// minute is a clip that starts with a key frame.
type minute struct {
	format camera.Format
	units  []camera.Unit // Wall is unset, PTS from 0
}

// read is the clock: behind the real one until the camera has caught up.
func (d *day) read() (time.Time, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wall, time.Duration(d.wall.UnixNano())
}

func (d *day) pass(to time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wall = to
}

// Run implements camera.Source.
func (d *day) Run(ctx context.Context, sink camera.Sink) error {
	d.await(ctx, d.recording)
	begin, _ := d.read()
	n := 0
	for at := begin; ctx.Err() == nil && at.Before(time.Now().Add(-time.Minute)); at = at.Add(time.Minute) {
		d.play(ctx, sink, at, begin)
		n++
	}
	// What is still held is in the cloud's open reel, or about to be.
	d.await(ctx, func() bool { return d.a.spool.Stats().Bytes < 16<<20 })
	fmt.Printf("recorded %d minutes from %d\n", n, begin.UnixMilli())
	for ctx.Err() == nil {
		d.pass(time.Now())
		time.Sleep(100 * time.Millisecond)
	}
	return ctx.Err()
}

// play delivers one minute of footage that begins at at.
func (d *day) play(ctx context.Context, sink camera.Sink, at, begin time.Time) {
	m := d.sparse
	if at.Minute()%10 == 0 {
		m = d.full
	}
	sink.Format(latchkey.KindVideo, m.format)
	d.await(ctx, func() bool { return d.a.spool.Stats().Bytes < 512<<20 })
	for _, u := range m.units {
		u.Wall = at.Add(u.PTS)
		u.PTS += at.Sub(begin)
		u.DTS = u.PTS
		d.pass(u.Wall)
		sink.Unit(u)
	}
}

// recording reports whether there is an epoch to record into.
func (d *day) recording() bool {
	d.a.change.Lock()
	defer d.a.change.Unlock()
	return d.a.epoch != nil
}

func (d *day) await(ctx context.Context, ok func() bool) {
	for ctx.Err() == nil && !ok() {
		time.Sleep(5 * time.Millisecond)
	}
}

// loadMinute reads a byte stream of constant frame rate.
func loadMinute(t *testing.T, file string, fps int) minute {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m := minute{format: camera.Format{Codec: camera.H264, FPS: float64(fps), Width: 1280, Height: 720, ClockRate: 90_000}}
	for _, au := range bytes.Split(b, []byte{0, 0, 0, 1, 9}) { // access unit delimiters
		if len(au) < 2 {
			continue
		}
		at := time.Duration(len(m.units)) * time.Second / time.Duration(fps)
		u := camera.Unit{Kind: latchkey.KindVideo, PTS: at, DTS: at}
		for _, nal := range bytes.Split(au[1:], []byte{0, 0, 1}) {
			nal = bytes.TrimRight(nal, "\x00") // of the longer start code
			if len(nal) == 0 {
				continue
			}
			switch nal[0] & 31 {
			case 7:
				m.format.SPS, m.format.MIME = nal, fmt.Sprintf("avc1.%02x%02x%02x", nal[1], nal[2], nal[3])
			case 8:
				m.format.PPS = nal
			case 5:
				u.Key = true
			}
			u.NALUs = append(u.NALUs, nal)
		}
		m.units = append(m.units, u)
	}
	if len(m.units) != 60*fps || !m.units[0].Key {
		t.Fatalf("%s: %d pictures, want %d from a key frame on", file, len(m.units), 60*fps)
	}
	return m
}
