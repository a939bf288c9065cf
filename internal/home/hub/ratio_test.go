package hub

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/spool"
	"latchkey.dev/latchkey/internal/home/uplink"
	"latchkey.dev/latchkey/internal/home/uplink/uplinktest"
	"latchkey.dev/latchkey/part"
)

// framer is a hub without sealing: the same parts, in clear, unsigned.
type framer struct {
	id    latchkey.EpochID
	start time.Time
	seq   map[latchkey.TrackID]uint32
}

func (f *framer) Slot(at time.Time) (uint32, error) {
	return uint32(at.Sub(f.start) / time.Second), nil
}

func (f *framer) Seal(track latchkey.TrackID, slot uint32, flags part.Flags, recs ...part.Record) ([]byte, error) {
	padded, err := part.PaddedLen(latchkey.KindVideo, part.RecordsLen(recs...))
	if err != nil {
		return nil, err
	}
	h := part.Header{Flags: flags, Slot: slot, Seq: f.seq[track], CTLen: uint32(padded + part.TagSize), Epoch: f.id, Track: track}
	f.seq[track]++
	raw := h.AppendTo(make([]byte, 0, h.Size()))
	if raw, err = part.AppendRecords(raw, padded, recs...); err != nil {
		return nil, err
	}
	return append(raw, make([]byte, part.TagSize+part.SigSize)...), nil
}

// sink is the hub's pipeline from the camera to the spool, for one camera.
type sink struct {
	track *track
	b     testing.TB
}

func (s sink) Format(_ camera.MediaKind, f camera.Format) {
	if _, err := s.track.setFormat(f); err != nil {
		s.b.Error(err)
	}
}

func (s sink) Unit(u camera.Unit) {
	if _, err := s.track.push(u); err != nil {
		s.b.Error(err)
	}
}

// putter is an outlet: a spool, or an uplink with one.
type putter func(raw []byte) ([]spool.Lost, error)

func (put putter) Put(raw []byte) {
	if _, err := put(raw); err != nil {
		panic(err) // a test with a full disk measures nothing
	}
}

// kindOf is what is measured: a hub that seals or only frames its parts, and
// whether somebody watches all of its cameras.
type kindOf struct{ sealed, watched bool }

// pipeline makes that many tracks in one epoch that end in the spool or, with
// the address of a cloud, there.
func pipeline(b testing.TB, cameras int, kind kindOf, cloud string) []sink {
	b.Helper()
	sp, err := spool.Open(spool.Config{Dir: b.TempDir(), Check: nil})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { sp.Close() })
	sign, founder := keys.NewSigning(), keys.NewSigning()
	var notes [][]byte
	var state chain.State
	add := func(s chain.Statement) {
		text, err := s.Text()
		if err == nil {
			notes = append(notes, chain.SignNote(text, founder))
			state, err = chain.Replay(notes, time.Now().Unix())
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	head := func() chain.Head {
		h := chain.Head{Household: state.Household, Prev: state.Hash, Time: time.Now().Unix(), By: founder.Kid()}
		if len(notes) > 0 {
			h.Seq = state.Seq + 1
		}
		return h
	}
	add(chain.Genesis{Head: head(), Ed: founder.Public(), X: keys.NewSealing().Public(), Recovery: keys.NewSigning().Public()})
	add(chain.AddHub{Head: head(), Ed: sign.Public(), X: keys.NewSealing().Public()})
	cam := chain.AddCamera{Head: head(), Camera: latchkey.CameraID(random16())}
	var tracks []seal.Track
	for range cameras {
		id := latchkey.TrackID(random16())
		cam.Tracks = append(cam.Tracks, chain.TrackDecl{ID: id, Kind: latchkey.KindVideo})
		tracks = append(tracks, seal.Track{ID: id, Kind: latchkey.KindVideo})
	}
	add(cam)
	now := time.Now().Truncate(time.Second)
	e, _, err := seal.NewEpoch(seal.EpochParams{Household: state.Household, Hub: sign, Start: now, Chain: state, Tracks: tracks})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(e.Close)
	put := putter(sp.Append)
	if cloud != "" {
		put = send(b, cloud, state.Household, sign, sp)
	}
	var sinks []sink
	for _, tr := range tracks {
		ep := &epoch{sealer: e, start: now}
		if !kind.sealed {
			ep.sealer = &framer{id: e.ID(), start: now, seq: map[latchkey.TrackID]uint32{}}
		}
		t := &track{id: tr.ID, kind: tr.Kind, out: put, open: true, watched: kind.watched}
		if _, err := t.turn(ep, now); err != nil {
			b.Fatal(err)
		}
		sinks = append(sinks, sink{t, b})
	}
	return sinks
}

// send connects an uplink for the length of the test.
func send(b testing.TB, cloud string, id latchkey.HouseholdID, sign chain.Signer, sp *spool.Spool) putter {
	b.Helper()
	session, err := uplink.NewSession(cloud, id, sign, http.DefaultClient)
	if err != nil {
		b.Fatal(err)
	}
	linked := make(handler, 1)
	up := uplink.New(uplink.Config{Session: session, Spool: sp, Epochs: noBook{}, Handler: linked, HTTP: http.DefaultClient})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = up.Run(ctx) }() // returns nil, by contract
	b.Cleanup(func() { cancel(); <-done })
	select {
	case <-linked:
	case <-time.After(10 * time.Second):
		b.Fatal("no connection")
	}
	return up.Put
}

// noBook announces whatever is asked for: the measuring cloud does not look.
type noBook struct{}

func (noBook) Pending() []latchkey.EpochID { return nil }
func (noBook) Load(latchkey.EpochID) (*latchkeyv1.UplinkEpoch, error) {
	return &latchkeyv1.UplinkEpoch{}, nil
}
func (noBook) Durable(latchkey.EpochID) {}

// handler tells when the uplink is connected.
type handler chan uplink.State

func (handler) Command(context.Context, []byte) latchkeyv1.CommandResult { return refused }
func (handler) ChainGrew(uint64)                                         {}
func (handler) Watched([]latchkey.TrackID)                               {}
func (handler) Lost([]spool.Lost)                                        {}
func (handler) Newest([]byte) error                                      { return nil }
func (handler) Doubled(bool)                                             {}
func (handler) Opening(context.Context, *latchkeyv1.UplinkOpening) (latchkeyv1.OpeningResult, []byte) {
	return latchkeyv1.OpeningResult_OPENING_RESULT_REFUSED, nil
}
func (handler) Farewell([][]byte) {}
func (h handler) State(s uplink.State) {
	select {
	case h <- s:
	default:
	}
}

// BenchmarkPipeline measures pack, seal and spool without the camera: one
// operation is one second of 1080p25 at 4 Mbit/s.
func BenchmarkPipeline(b *testing.B) {
	for name, kind := range map[string]kindOf{"sealed": {sealed: true}, "plain": {}, "sealed, watched": {true, true}, "plain, watched": {watched: true}} {
		b.Run(name, func(b *testing.B) {
			s := pipeline(b, 1, kind, "")[0]
			s.Format(latchkey.KindVideo, camera.Format{
				Codec: camera.H264, MIME: "avc1.640028", SPS: sps1080, PPS: []byte{0x68, 0xee, 0x3c, 0x80}, Width: 1920, Height: 1080, ClockRate: 90_000,
			})
			start := time.Now().Round(0)
			key, delta := append([]byte{0x65}, make([]byte, 80_000)...), append([]byte{0x41}, make([]byte, 17_500)...)
			b.SetBytes(80_000 + 24*17_500)
			n := 0
			for b.Loop() {
				for i := range 25 {
					at := time.Duration(n*25+i) * 40 * time.Millisecond
					u := camera.Unit{Kind: latchkey.KindVideo, NALUs: [][]byte{delta}, PTS: at, DTS: at, Wall: start.Add(at)}
					if i == 0 {
						u.NALUs, u.Key = [][]byte{key}, true
					}
					s.Unit(u)
				}
				n++
			}
		})
	}
}

// sps1080 is the sequence parameter set of a 1920×1080 High-profile stream.
var sps1080 = []byte{
	0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xc8, 0x3c, 0x60, 0xc6, 0x58,
}

// TestRatio prints what sealing costs a whole hub: CPU-seconds per
// camera-minute from RTSP to spool and uplink, sealed ÷ in clear, in one run
// (target 1.15): of a hub that nobody watches, and of one whose every camera is
// watched. Cameras and cloud run in other processes. It asserts nothing.
//
//	LATCHKEY_BENCH=1 go test ./internal/home/hub -run '^TestRatio$' -v -count=1
func TestRatio(t *testing.T) {
	if os.Getenv("LATCHKEY_BENCH") == "" {
		t.Skip("a measurement of four minutes: set LATCHKEY_BENCH=1")
	}
	const cameras, rounds, each = 6, 3, 15 * time.Second
	urls, cloud := cameraProcess(t, cameras), cloudProcess(t)
	cost := map[kindOf]time.Duration{}
	kinds := []kindOf{{}, {sealed: true}, {watched: true}, {true, true}}
	for range rounds {
		for _, kind := range kinds {
			cost[kind] += measure(t, urls, cloud, kind, each)
		}
	}
	minutes := cameras * rounds * each.Minutes()
	for _, kind := range kinds {
		t.Logf("watched %-5v sealed %-5v  %.3f CPU-seconds per camera-minute", kind.watched, kind.sealed, cost[kind].Seconds()/minutes)
	}
	ratio := func(watched bool) float64 {
		return cost[kindOf{true, watched}].Seconds() / cost[kindOf{false, watched}].Seconds()
	}
	t.Logf("ratio %.3f (target 1.15)", ratio(false))
	t.Logf("watched, ratio %.3f", ratio(true))
}

// measure records all cameras for d and returns the CPU time it took.
func measure(t *testing.T, urls []string, cloud string, kind kindOf, d time.Duration) time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	sinks := pipeline(t, len(urls), kind, cloud)
	done := make(chan error, len(urls))
	for i, url := range urls {
		src := camera.RTSP(camera.Config{URL: url, Video: latchkey.KindVideo})
		go func() { done <- src.Run(ctx, sinks[i]) }()
	}
	time.Sleep(3 * time.Second) // until all of them stream
	before := cpu(t)
	time.Sleep(d)
	used := cpu(t) - before
	cancel()
	for range urls {
		<-done
	}
	for i, s := range sinks {
		if s.track.slot < uint32(d/time.Second) {
			t.Fatalf("camera %d delivered %d s only", i, s.track.slot)
		}
	}
	return used
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const simEnv = "LATCHKEY_TEST_CAMERAS"

// cameraProcess serves n cameras of 1080p25 at 4 Mbit/s from another process.
func cameraProcess(t *testing.T, n int) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "1080p.mp4")
	ffmpeg := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1920x1080:rate=25,noise=alls=20:allf=t",
		"-t", "12", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "4M", "-minrate", "4M", "-maxrate", "4M", "-bufsize", "4M",
		"-g", "25", "-bf", "0", "-pix_fmt", "yuv420p", file)
	if out, err := ffmpeg.CombinedOutput(); err != nil {
		t.Skipf("no ffmpeg to draw a picture with: %v %s", err, out)
	}
	spec, err := json.Marshal(simSpec{File: file, Cameras: n})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(process(t, simEnv+"="+string(spec)))
}

// process runs this test binary with one more variable in its environment and
// returns the first line of its output.
func process(t *testing.T, env string, args ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) // it ends no other way
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

const cloudEnv = "LATCHKEY_TEST_CLOUD"

// cloudProcess is a cloud that only takes and receipts.
func cloudProcess(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(process(t, cloudEnv+"=1", "-test.run", "^TestMeasuringCloud$"))
}

// TestMeasuringCloud is the main function of the cloud process.
func TestMeasuringCloud(t *testing.T) {
	if os.Getenv(cloudEnv) == "" {
		t.Skip("only as a process of TestRatio")
	}
	c := uplinktest.New(t)
	c.Trust = true
	fmt.Fprintln(os.Stdout, c.URL)
	select {} // until killed
}

type simSpec struct {
	File    string
	Cameras int
}

// simulateCameras is the main function of the camera process.
func simulateCameras(spec string) error {
	var s simSpec
	if err := json.Unmarshal([]byte(spec), &s); err != nil {
		return err
	}
	cfg := camera.SimConfig{Listen: "127.0.0.1:0"}
	for i := range s.Cameras {
		cfg.Streams = append(cfg.Streams, camera.SimStream{Path: fmt.Sprintf("cam%d", i), File: s.File})
	}
	sim, err := camera.StartSimulator(cfg)
	if err != nil {
		return err
	}
	var urls []string
	for i := range s.Cameras {
		urls = append(urls, sim.URL(fmt.Sprintf("cam%d", i)))
	}
	fmt.Fprintln(os.Stdout, strings.Join(urls, " "))
	return sim.Wait()
}
