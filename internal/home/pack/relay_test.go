package pack_test

import (
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
)

// relay is an RTSP server that takes one publisher and serves it to readers:
// between an ffmpeg that plays a camera and the source under test.
type relay struct {
	server *gortsplib.Server
	addr   string

	mu     sync.Mutex
	stream *gortsplib.ServerStream
	up     chan struct{}
	once   sync.Once
}

func startRelay(t testing.TB) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: ln.Addr().String(), up: make(chan struct{})}
	r.server = &gortsplib.Server{
		Handler: r, RTSPAddress: r.addr, WriteQueueSize: 4096,
		Listen: func(string, string) (net.Listener, error) { return ln, nil },
	}
	if err := r.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.server.Close)
	return r
}

func (r *relay) url() string { return "rtsp://" + r.addr + "/cam" }

// publish runs ffmpeg with the given input and codec arguments, and waits until
// it sends.
func (r *relay) publish(t testing.TB, args ...string) {
	t.Helper()
	needTool(t, "ffmpeg")
	args = append([]string{"-v", "error", "-nostdin"}, args...)
	args = append(args, "-f", "rtsp", "-rtsp_transport", "tcp", r.url())
	cmd := exec.Command("ffmpeg", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	select {
	case <-r.up:
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		cmd.Wait()
		t.Fatalf("ffmpeg did not publish: %s", stderr.String())
	}
}

func (r *relay) OnAnnounce(ctx *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stream = &gortsplib.ServerStream{Server: r.server, Desc: ctx.Description}
	return &base.Response{StatusCode: base.StatusOK}, r.stream.Initialize()
}

func (r *relay) OnDescribe(*gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return &base.Response{StatusCode: base.StatusOK}, r.current(), nil
}

func (r *relay) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if ctx.Session.State() == gortsplib.ServerSessionStatePreRecord {
		return &base.Response{StatusCode: base.StatusOK}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, r.current(), nil
}

func (r *relay) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func (r *relay) OnRecord(ctx *gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	stream := r.current()
	ctx.Session.OnPacketRTPAny(func(m *description.Media, _ format.Format, p *rtp.Packet) {
		_ = stream.WritePacketRTP(m, p) // fails only when the server closes
	})
	r.once.Do(func() { close(r.up) })
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func (r *relay) current() *gortsplib.ServerStream {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stream
}
