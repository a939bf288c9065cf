package world

import (
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
)

// studio is an RTSP server that an ffmpeg publishes to: a camera whose packets
// are made by other people's code. It takes one publisher.
type studio struct {
	server *gortsplib.Server
	stream *gortsplib.ServerStream // set before live is closed
	live   chan struct{}
}

// Publish plays a file with ffmpeg, copied and in a loop, and returns its RTSP
// address.
func Publish(t *testing.T, file string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &studio{live: make(chan struct{})}
	s.server = &gortsplib.Server{
		Handler: s, RTSPAddress: l.Addr().String(), WriteQueueSize: 4096,
		Listen: func(string, string) (net.Listener, error) { return l, nil },
	}
	if err := s.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.server.Close)
	url := "rtsp://" + l.Addr().String() + "/studio"
	cmd := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-i", file, "-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp", url)
	log := &lockedBuffer{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // says that it was killed
	})
	select {
	case <-s.live:
	case <-time.After(30 * time.Second):
		t.Fatalf("ffmpeg does not publish %s: %s", file, log.String())
	}
	return url
}

func ok() *base.Response { return &base.Response{StatusCode: base.StatusOK} } // the server writes headers into it

// OnAnnounce takes the description of what is published.
func (s *studio) OnAnnounce(c *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	if s.stream != nil {
		return &base.Response{StatusCode: base.StatusBadRequest}, nil
	}
	s.stream = &gortsplib.ServerStream{Server: s.server, Desc: c.Description}
	return ok(), s.stream.Initialize()
}

// OnRecord passes packets on as they are.
func (s *studio) OnRecord(c *gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	c.Session.OnPacketRTPAny(func(m *description.Media, _ format.Format, p *rtp.Packet) {
		_ = s.stream.WritePacketRTP(m, p) // fails only when the server closes
	})
	close(s.live)
	return ok(), nil
}

// OnSetup serves publisher and readers.
func (s *studio) OnSetup(c *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if c.Session.State() == gortsplib.ServerSessionStatePreRecord {
		return ok(), nil, nil
	}
	return ok(), s.watch(), nil
}

// OnDescribe serves readers.
func (s *studio) OnDescribe(*gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return ok(), s.watch(), nil
}

// OnPlay serves readers.
func (s *studio) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) { return ok(), nil }

func (s *studio) watch() *gortsplib.ServerStream {
	<-s.live
	return s.stream
}
