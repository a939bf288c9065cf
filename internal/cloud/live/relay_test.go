package live

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// viewersVar makes the test binary play this many viewers in a process of
// their own, so that their CPU time is not the relay's.
const viewersVar = "LATCHKEY_TEST_VIEWERS"

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv(viewersVar)); err == nil {
		playViewers(os.Args[len(os.Args)-1], n)
		return
	}
	os.Exit(m.Run())
}

var (
	home1 = latchkey.HouseholdID{1}
	home2 = latchkey.HouseholdID{2}
)

// serve runs a relay on a listener; viewers are of household 1 and may see all
// tracks but number 99.
func serve(t *testing.T, r *Relay) (url string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var sockets sync.WaitGroup
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		sockets.Add(1)
		defer sockets.Done()
		up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
		ws, err := up.Upgrade(w, req, nil)
		if err != nil {
			return
		}
		may := func(_ context.Context, id latchkey.TrackID) bool { return id != trackID(99) }
		_ = r.Serve(ctx, ws, Access{Household: home1, May: may})
	}))
	t.Cleanup(func() {
		cancel()
		ts.Close()
		sockets.Wait()
	})
	return "ws" + strings.TrimPrefix(ts.URL, "http")
}

func trackID(n uint32) (id latchkey.TrackID) {
	binary.BigEndian.PutUint32(id[:], n)
	return id
}

// seal makes bytes with the form of a part; the relay reads only the header.
func seal(track latchkey.TrackID, epoch latchkey.EpochID, seq uint32, rap bool, size int) (part.Header, []byte) {
	h := part.Header{Epoch: epoch, Track: track, Seq: seq, CTLen: uint32(size - part.HeaderSize - part.SigSize)}
	if rap {
		h.Flags = part.RAP
	}
	raw := h.AppendTo(make([]byte, 0, size))
	return h, raw[:size]
}

func dial(t *testing.T, url string, tracks ...latchkey.TrackID) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.Close() })
	for _, id := range tracks {
		if err := ws.WriteJSON(request{Op: "watch", Track: id.String()}); err != nil {
			t.Fatal(err)
		}
	}
	return ws
}

// said is one message of the server.
type said struct {
	part  part.Part
	op    string
	track string
	epoch string
	raw   map[string]any
}

func read(t *testing.T, ws *websocket.Conn) said {
	t.Helper()
	if err := ws.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	kind, b, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	var s said
	if kind == websocket.BinaryMessage {
		if s.part, err = part.Parse(b); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if err := json.Unmarshal(b, &s.raw); err != nil {
		t.Fatal(err)
	}
	s.op, _ = s.raw["op"].(string)
	s.track, _ = s.raw["track"].(string)
	s.epoch, _ = s.raw["epoch"].(string)
	return s
}

func wantOp(t *testing.T, ws *websocket.Conn, op string) said {
	t.Helper()
	s := read(t, ws)
	if s.op != op {
		t.Fatalf("got %q %v, want %q", s.op, s.raw, op)
	}
	return s
}

// TestConversation walks through everything a socket says.
func TestConversation(t *testing.T) {
	r := New()
	url := serve(t, r)
	ws := dial(t, url, trackID(1), trackID(99))
	if s := wantOp(t, ws, "hub"); s.raw["online"] != false {
		t.Errorf("hub: %v", s.raw)
	}
	wantOp(t, ws, "idle")
	if s := wantOp(t, ws, "error"); s.track != trackID(99).String() {
		t.Errorf("error: %v", s.raw)
	}
	other := r.Source(home2)
	src := r.Source(home1)
	if s := wantOp(t, ws, "hub"); s.raw["online"] != true {
		t.Errorf("hub: %v", s.raw)
	}
	epoch := latchkey.EpochID{7}
	src.Heads(epoch, []byte("early heads"))
	h, raw := seal(trackID(1), epoch, 0, true, 400)
	other.Publish(h, bytes.Repeat([]byte{9}, 400)) // another household's track of the same number
	src.Publish(h, raw)
	if s := wantOp(t, ws, "epoch"); s.epoch != epoch.String() {
		t.Errorf("epoch: %v", s.raw)
	}
	if s := wantOp(t, ws, "heads"); s.raw["note"] != latchkey.B64([]byte("early heads")) {
		t.Errorf("heads: %v", s.raw)
	}
	if s := read(t, ws); !bytes.Equal(s.part.Raw, raw) {
		t.Fatalf("part: %v %v", s.op, s.part.Header)
	}
	src.Heads(epoch, []byte("later heads"))
	wantOp(t, ws, "heads")
	src.Close()
	if s := wantOp(t, ws, "idle"); s.track != trackID(1).String() {
		t.Errorf("idle: %v", s.raw)
	}
	if s := wantOp(t, ws, "hub"); s.raw["online"] != false {
		t.Errorf("hub: %v", s.raw)
	}
	other.Close()
}

// TestManyTracks: several tracks on one socket, each complete and in order.
func TestManyTracks(t *testing.T) {
	r := New()
	url := serve(t, r)
	src := r.Source(home1)
	defer src.Close()
	const tracks, parts = 9, 40
	epoch := latchkey.EpochID{7}
	publish := func(seq uint32) {
		for n := range uint32(tracks) {
			h, raw := seal(trackID(n), epoch, seq, seq%10 == 0, 300)
			src.Publish(h, raw)
		}
	}
	publish(0)
	var ids []latchkey.TrackID
	for n := range uint32(tracks) {
		ids = append(ids, trackID(n))
	}
	ws := dial(t, url, ids...)
	go func() {
		for seq := uint32(1); seq < parts; seq++ {
			publish(seq)
			time.Sleep(time.Millisecond)
		}
	}()
	next := map[latchkey.TrackID]uint32{}
	for got := 0; got < tracks*parts; {
		s := read(t, ws)
		if s.part.Raw == nil {
			continue
		}
		h := s.part.Header
		if h.Seq != next[h.Track] {
			t.Fatalf("track %v: part %d, want %d", h.Track, h.Seq, next[h.Track])
		}
		next[h.Track]++
		got++
		if err := ws.WriteJSON(request{Op: "ack", Track: h.Track.String(), Epoch: h.Epoch.String(), Seq: h.Seq}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestThrottledSocket is TestSlowViewer with a real socket: a reader at half
// the speed of the stream. Its lag is counted in parts that were published
// when one arrived, that is in media time.
func TestThrottledSocket(t *testing.T) {
	if testing.Short() {
		t.Skip("plays ten seconds")
	}
	r := New()
	url := serve(t, r)
	src := r.Source(home1)
	defer src.Close()
	epoch, id := latchkey.EpochID{7}, trackID(1)
	var mu sync.Mutex
	newest := uint32(0)
	stop := make(chan struct{})
	var playing sync.WaitGroup
	playing.Go(func() {
		tick := time.NewTicker(time.Second / simFPS)
		defer tick.Stop()
		for seq := uint32(0); ; seq++ {
			size := simSmall
			if seq%25 == 0 {
				size *= 10
			}
			h, raw := seal(id, epoch, seq, seq%25 == 0, size)
			src.Publish(h, raw)
			mu.Lock()
			newest = seq
			mu.Unlock()
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	defer playing.Wait()
	defer close(stop)
	d := websocket.Dialer{NetDial: func(network, addr string) (net.Conn, error) {
		c, err := net.Dial(network, addr)
		if err != nil {
			return nil, err
		}
		return &throttled{Conn: c, rate: simRate / 2}, c.(*net.TCPConn).SetReadBuffer(32 << 10)
	}, ReadBufferSize: 8 << 10}
	ws, _, err := d.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if err := ws.WriteJSON(request{Op: "watch", Track: id.String()}); err != nil {
		t.Fatal(err)
	}
	skips, worst, parts := 0, uint32(0), 0
	received := make(chan uint32, 1000)
	go acknowledge(ws, id, epoch, received)
	defer close(received)
	for begin := time.Now(); time.Since(begin) < 10*time.Second; {
		s := read(t, ws)
		if s.op == "skip" {
			skips++
		}
		if s.part.Raw == nil {
			continue
		}
		parts++
		mu.Lock()
		worst = max(worst, newest-s.part.Header.Seq)
		mu.Unlock()
		received <- s.part.Header.Seq
	}
	t.Logf("%d parts, %d skips, worst lag %.2f s of media time", parts, skips, float64(worst)/simFPS)
	if worst > 2*simFPS {
		t.Errorf("lag of %.2f s", float64(worst)/simFPS)
	}
	if skips == 0 || parts < 20 {
		t.Errorf("%d skips, %d parts", skips, parts)
	}
}

// acknowledge says every 100 ms what has been received, as our players do.
func acknowledge(ws *websocket.Conn, id latchkey.TrackID, epoch latchkey.EpochID, received <-chan uint32) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for seq, known := uint32(0), false; ; {
		select {
		case n, open := <-received:
			if !open {
				return
			}
			seq, known = n, true
		case <-tick.C:
			if known {
				_ = ws.WriteJSON(request{Op: "ack", Track: id.String(), Epoch: epoch.String(), Seq: seq}) // read fails too
			}
		}
	}
}

// throttled is a connection read at most rate bytes a second.
type throttled struct {
	net.Conn
	rate int
}

func (c *throttled) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), 8<<10)])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(c.rate))
	return n, err
}

// TestBadRequests ends sockets that break the protocol, and only those.
func TestBadRequests(t *testing.T) {
	r := New()
	url := serve(t, r)
	for _, bad := range []string{`{`, `{"op":"dance","track":"` + trackID(1).String() + `"}`, `{"op":"watch","track":"zz"}`,
		`{"op":"ack","track":"` + trackID(1).String() + `","epoch":""}`, strings.Repeat(" ", maxMessage+1)} {
		ws := dial(t, url)
		if err := ws.WriteMessage(websocket.TextMessage, []byte(bad)); err != nil {
			t.Fatal(err)
		}
		for {
			if _, _, err := ws.ReadMessage(); err != nil {
				break
			}
		}
	}
	wantOp(t, dial(t, url), "hub")
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"op":"watch","track":"00000000000000000000000000000000"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parseRequest(websocket.TextMessage, b); err != nil && !errors.Is(err, latchkey.ErrInvalid) {
			t.Fatal(err)
		}
	})
}

func cpuSeconds(t *testing.T) float64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// TestFanout prints the relay's CPU-seconds per viewer-minute of a stream of
// 4 Mbit/s, 25 parts a second; docs/performance.md keeps the numbers. It asserts
// nothing about time: other work on the machine moves it.
func TestFanout(t *testing.T) {
	if testing.Short() {
		t.Skip("plays for some seconds")
	}
	for _, viewers := range []int{50, 200} {
		cost := fanout(t, viewers, 6*time.Second)
		t.Logf("%d viewers: %.3f CPU-seconds per viewer-minute (target 0.05)", viewers, cost)
	}
}

func fanout(t *testing.T, viewers int, d time.Duration) float64 {
	t.Helper()
	r := New()
	url := serve(t, r)
	src := r.Source(home1)
	defer src.Close()
	cmd := exec.Command(os.Args[0], url)
	cmd.Env = append(os.Environ(), viewersVar+"="+strconv.Itoa(viewers))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = cmd.Wait()
	}()
	epoch, seq := latchkey.EpochID{7}, uint32(0)
	publish := func() {
		h, raw := seal(trackID(1), epoch, seq, seq%50 == 0, simRate/simFPS)
		src.Publish(h, raw)
		seq++
	}
	for r.Stats().Viewers.Load() < int64(viewers) {
		time.Sleep(20 * time.Millisecond)
	}
	tick := time.NewTicker(time.Second / simFPS)
	defer tick.Stop()
	for range simFPS {
		publish()
		<-tick.C
	}
	before, sent := cpuSeconds(t), r.Stats().Bytes.Load()
	begin := time.Now()
	for time.Since(begin) < d {
		publish()
		<-tick.C
	}
	cost := cpuSeconds(t) - before
	media := float64(r.Stats().Bytes.Load()-sent) / simRate / 60 // viewer-minutes that really went out
	t.Logf("%d viewers: %.1f of %.1f viewer-minutes sent, %d skips, %.2f frames a write", viewers, media,
		time.Since(begin).Minutes()*float64(viewers), r.Stats().Skips.Load(), float64(r.Stats().Frames.Load())/float64(r.Stats().Writes.Load()))
	return cost / media
}

// playViewers watches track 1 with n sockets until standard input ends. They
// read as a browser does: every byte, with an acknowledgement each 100 ms.
func playViewers(url string, n int) {
	for range n {
		go func() {
			ws, _, err := websocket.DefaultDialer.Dial(url, nil)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return
			}
			if err := ws.WriteJSON(request{Op: "watch", Track: trackID(1).String()}); err != nil {
				return
			}
			head := make([]byte, part.HeaderSize)
			last := time.Now()
			for {
				kind, m, err := ws.NextReader()
				if err != nil {
					return
				}
				if kind == websocket.BinaryMessage {
					if _, err := io.ReadFull(m, head); err != nil {
						return
					}
				}
				_, _ = io.Copy(io.Discard, m)
				if h, err := part.ParseHeader(head); err == nil && time.Since(last) > 100*time.Millisecond {
					last = time.Now()
					_ = ws.WriteJSON(request{Op: "ack", Track: h.Track.String(), Epoch: h.Epoch.String(), Seq: h.Seq})
				}
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}
