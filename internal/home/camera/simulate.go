package camera

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"

	latchkey "latchkey.dev/latchkey"
)

// simQueue is the server's queue of packets per reader: a key frame of a large
// picture is hundreds of packets at once and overflows the library's default.
const simQueue = 8192

// SimStream is one path of a simulated camera.
type SimStream struct {
	// Path is the RTSP path without a leading slash, such as "porch" or "porch/sub".
	Path string
	// File is an mp4 on disk (H.264 or H.265, with AAC or Opus); Data, when not
	// nil, is used instead.
	File string
	Data []byte
	// NoAudio leaves the sound of the file out.
	NoAudio bool
	// InBandParams sends the parameter sets before every key frame, as most
	// cameras do; without it they are in the SDP only, and the NAL units sent
	// are exactly those of the file.
	InBandParams bool
}

// SimConfig describes a simulated RTSP camera.
type SimConfig struct {
	// Listen is host:port; port 0 picks a free one (Simulator.URL tells).
	Listen string
	// Streams are the paths served, each looping on its own.
	Streams []SimStream
	// User and Password, when User is not empty, are demanded by digest and
	// basic authentication.
	User     string
	Password Password
	// StartAt is when the first frame of the first pass is due; a time in the
	// past starts in the middle of a pass. Zero means now. Frame i of pass k
	// is sent at StartAt + k·(length of the video) + DTS of i, so that a test
	// knows what is shown when.
	StartAt time.Time
	// TCPOnly refuses UDP; UDPOnly refuses TCP.
	TCPOnly, UDPOnly bool
	Logger           *slog.Logger
}

// Simulator is a running simulated camera.
type Simulator struct {
	cfg     SimConfig
	server  *gortsplib.Server
	addr    net.Addr
	streams map[string]*gortsplib.ServerStream
	ready   chan struct{} // closed when streams is complete
	stop    context.CancelFunc
	players sync.WaitGroup
	conns   atomic.Int64
	refused atomic.Int64
}

// StartSimulator opens the listeners and begins to play.
func StartSimulator(cfg SimConfig) (*Simulator, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.StartAt.IsZero() {
		cfg.StartAt = time.Now()
	}
	files := make(map[string][]*simTrack, len(cfg.Streams))
	for _, st := range cfg.Streams {
		path := strings.Trim(st.Path, "/")
		if files[path] != nil {
			return nil, fmt.Errorf("camera: simulate: %w: two streams at path %q", latchkey.ErrInvalid, path)
		}
		tracks, err := loadFile(st)
		if err != nil {
			return nil, err
		}
		files[path] = tracks
	}
	s := &Simulator{cfg: cfg, streams: map[string]*gortsplib.ServerStream{}, ready: make(chan struct{})}
	if err := s.listen(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	for path, tracks := range files {
		if err := s.serve(ctx, path, tracks); err != nil {
			s.Close()
			return nil, err
		}
	}
	close(s.ready)
	return s, nil
}

// listen starts the RTSP server on the configured port and a free pair of UDP
// ports of the same host.
func (s *Simulator) listen() error {
	ln, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("camera: simulate: %w: %w", latchkey.ErrUnavailable, err)
	}
	s.addr = ln.Addr()
	s.server = &gortsplib.Server{
		Handler:        s,
		RTSPAddress:    ln.Addr().String(),
		WriteQueueSize: simQueue,
		Listen:         func(string, string) (net.Listener, error) { return ln, nil },
	}
	if !s.cfg.TCPOnly {
		host, _, _ := net.SplitHostPort(s.cfg.Listen)
		pair, err := listenPair(host)
		if err != nil {
			return errors.Join(err, ln.Close())
		}
		s.server.UDPRTPAddress = pair[0].LocalAddr().String()
		s.server.UDPRTCPAddress = pair[1].LocalAddr().String()
		next := 0
		s.server.ListenPacket = func(string, string) (net.PacketConn, error) {
			next++
			return pair[next-1], nil
		}
	}
	if err := s.server.Start(); err != nil {
		return errors.Join(fmt.Errorf("camera: simulate: %w", err), ln.Close())
	}
	return nil
}

// listenPair finds an even UDP port whose successor is free too (RTP, RTCP).
func listenPair(host string) ([2]net.PacketConn, error) {
	for range 200 {
		rtp, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
		if err != nil {
			return [2]net.PacketConn{}, fmt.Errorf("camera: simulate: %w", err)
		}
		port := rtp.LocalAddr().(*net.UDPAddr).Port
		if port%2 == 0 {
			rtcp, err := net.ListenPacket("udp", net.JoinHostPort(host, fmt.Sprint(port+1)))
			if err == nil {
				return [2]net.PacketConn{rtp, rtcp}, nil
			}
		}
		rtp.Close()
	}
	return [2]net.PacketConn{}, fmt.Errorf("camera: simulate: %w: no free pair of UDP ports", latchkey.ErrUnavailable)
}

func (s *Simulator) serve(ctx context.Context, path string, tracks []*simTrack) error {
	desc := &description.Session{Title: "latchkey simulated camera"}
	for _, t := range tracks {
		desc.Medias = append(desc.Medias, t.media)
	}
	stream := &gortsplib.ServerStream{Server: s.server, Desc: desc}
	if err := stream.Initialize(); err != nil {
		return fmt.Errorf("camera: simulate: open stream: %w", err)
	}
	s.streams[path] = stream
	s.players.Add(1)
	go func() {
		defer s.players.Done()
		if err := s.play(ctx, stream, tracks); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Error("camera: simulate: stopped", "path", path, "err", err)
		}
	}()
	return nil
}

// play sends the samples of all tracks in order of their decode times, in real
// time, until ctx ends. None is left out when the machine is slow: what a test
// compares is the exact sequence.
func (s *Simulator) play(ctx context.Context, stream *gortsplib.ServerStream, tracks []*simTrack) error {
	if late := time.Since(s.cfg.StartAt); late > 100*time.Millisecond {
		for _, t := range tracks {
			t.skipTo(late)
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := tracks[0]
		for _, t := range tracks[1:] {
			if t.due() < next.due() {
				next = t
			}
		}
		timer.Reset(time.Until(s.cfg.StartAt.Add(next.due())))
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		pkts, pts, err := next.packets()
		if err != nil {
			return err
		}
		for _, p := range pkts {
			if err := stream.WritePacketRTPWithNTP(next.media, p, s.cfg.StartAt.Add(pts)); err != nil {
				return fmt.Errorf("camera: simulate: send: %w", err)
			}
		}
	}
}

// URL returns the rtsp:// address of a path, without credentials.
func (s *Simulator) URL(path string) string {
	return "rtsp://" + s.addr.String() + "/" + strings.Trim(path, "/")
}

// StartedAt returns when the first pass began (SimConfig.StartAt).
func (s *Simulator) StartedAt() time.Time { return s.cfg.StartAt }

// Conns returns how many TCP connections were ever opened to the simulator.
func (s *Simulator) Conns() int64 { return s.conns.Load() }

// Refused returns how many requests with wrong credentials it answered.
func (s *Simulator) Refused() int64 { return s.refused.Load() }

// Wait returns when the simulator was closed or its server failed.
func (s *Simulator) Wait() error { return s.server.Wait() }

// Close ends all connections and waits for the simulator's goroutines.
func (s *Simulator) Close() {
	s.stop()
	s.players.Wait()
	for _, st := range s.streams {
		st.Close()
	}
	s.server.Close()
}

// Simulate serves until ctx ends.
func Simulate(ctx context.Context, cfg SimConfig) error {
	s, err := StartSimulator(cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	failed := make(chan error, 1)
	go func() { failed <- s.Wait() }()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-failed:
		return fmt.Errorf("camera: simulate: %w", err)
	}
}

// OnConnOpen counts; part of the RTSP library's handler.
func (s *Simulator) OnConnOpen(*gortsplib.ServerHandlerOnConnOpenCtx) { s.conns.Add(1) }

// OnDescribe answers DESCRIBE; part of the RTSP library's handler.
func (s *Simulator) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return s.answer(ctx.Conn, ctx.Request, ctx.Path)
}

// OnSetup answers SETUP; part of the RTSP library's handler.
func (s *Simulator) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if s.cfg.UDPOnly && ctx.Transport.Protocol == gortsplib.ProtocolTCP {
		return &base.Response{StatusCode: base.StatusUnsupportedTransport}, nil, nil
	}
	return s.answer(ctx.Conn, ctx.Request, ctx.Path)
}

// OnPlay answers PLAY; part of the RTSP library's handler.
func (s *Simulator) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func (s *Simulator) answer(c *gortsplib.ServerConn, req *base.Request, path string) (*base.Response, *gortsplib.ServerStream, error) {
	<-s.ready
	if s.cfg.User != "" && !c.VerifyCredentials(req, s.cfg.User, string(s.cfg.Password)) {
		if len(req.Header["Authorization"]) > 0 {
			s.refused.Add(1)
		}
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	st := s.streams[strings.Trim(path, "/")]
	if st == nil {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, st, nil
}
