package camera

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"

	latchkey "latchkey.dev/latchkey"
)

// silentLimit is how long a camera may send no picture.
const silentLimit = 10 * time.Second

// Transport chooses how RTP travels.
type Transport string

// The transports. A recording must not lose packets and a LAN adds no delay
// worth naming, so auto asks for TCP and falls back to UDP where the camera
// refuses TCP; udp falls back to TCP where no packet arrives.
const (
	TransportAuto Transport = "auto"
	TransportTCP  Transport = "tcp"
	TransportUDP  Transport = "udp"
)

// Config says how to reach one stream of one camera.
type Config struct {
	// URL is rtsp:// or rtsps://; credentials in it are used when User is empty.
	URL string
	// User and Password answer basic or digest authentication.
	User     string
	Password Password
	// Transport is auto when empty.
	Transport Transport
	// Video is the kind given to the video units: KindVideo when empty,
	// KindVideoSub for a camera's second stream.
	Video MediaKind
	// Audio asks for the sound as well, where the camera has any.
	Audio bool
	// Lost is told of packets that did not come; nobody when nil.
	Lost func(n uint64)
	// Logger takes what is not fatal; nothing when nil.
	Logger *slog.Logger
}

// Password is a camera's password. It does not print; a conversion to string
// reads it.
type Password string

// String hides the password.
func (Password) String() string { return "(hidden)" }

// GoString hides the password.
func (Password) GoString() string { return "(hidden)" }

// LogValue hides the password from structured logs.
func (Password) LogValue() slog.Value { return slog.StringValue("(hidden)") }

// RTSP returns the source of one RTSP stream. It does not connect yet.
func RTSP(cfg Config) Source {
	if cfg.Video == "" {
		cfg.Video = latchkey.KindVideo
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &rtspSource{cfg: cfg}
}

type rtspSource struct{ cfg Config }

// Run implements Source.
func (s *rtspSource) Run(ctx context.Context, sink Sink) error {
	u, err := s.url()
	if err != nil {
		return err
	}
	tcp, udp := gortsplib.ProtocolTCP, gortsplib.ProtocolUDP
	switch s.cfg.Transport {
	case TransportTCP:
		return s.session(ctx, sink, u, &tcp)
	case TransportUDP:
		return s.session(ctx, sink, u, nil) // the library's automatism: UDP, else TCP
	}
	err = s.session(ctx, sink, u, &tcp)
	if refusesTCP(err) && ctx.Err() == nil {
		s.cfg.Logger.Info("camera: no TCP transport, using UDP")
		return s.session(ctx, sink, u, &udp)
	}
	return err
}

func (s *rtspSource) url() (*base.URL, error) {
	u, err := base.ParseURL(s.cfg.URL)
	if err != nil || u.Host == "" {
		// The parser's own error quotes the URL, which may hold a password.
		return nil, fmt.Errorf("camera: %w: the address is not an rtsp:// or rtsps:// URL", latchkey.ErrInvalid)
	}
	if s.cfg.User != "" {
		u.User = url.UserPassword(s.cfg.User, string(s.cfg.Password))
	}
	return u, nil
}

// session is one connection from its beginning to its end.
func (s *rtspSource) session(ctx context.Context, sink Sink, u *base.URL, proto *gortsplib.Protocol) error {
	log := s.cfg.Logger
	c := &gortsplib.Client{
		Scheme: u.Scheme, Host: u.Host, Protocol: proto,
		ReadTimeout: silentLimit, UserAgent: "latchkey",
		OnTransportSwitch: func(err error) { log.Info("camera: transport changed", "why", err) },
		OnPacketsLost: func(n uint64) {
			log.Warn("camera: packets lost", "n", n)
			if s.cfg.Lost != nil {
				s.cfg.Lost(n)
			}
		},
		OnDecodeError: func(err error) { log.Debug("camera: packet refused", "err", err) },
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("camera: start client: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, c.Close)()

	r := newReceiver(sink, log, time.Now())
	if err := s.open(c, r, u); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return watch(ctx, c, r)
}

// open goes from DESCRIBE to PLAY.
func (s *rtspSource) open(c *gortsplib.Client, r *receiver, u *base.URL) error {
	desc, _, err := c.Describe(u)
	if err != nil {
		return classify("describe", err)
	}
	video, audio := s.choose(desc)
	if video == nil {
		return fmt.Errorf("camera: describe: %w", ErrNoMedia)
	}
	if err := s.setupVideo(c, r, desc, video); err != nil {
		return err
	}
	if audio != nil {
		if err := s.setupAudio(c, r, desc, audio); err != nil {
			return err
		}
	}
	if _, err := c.Play(nil); err != nil {
		return classify("play", err)
	}
	return nil
}

// watch waits for the end of a playing session.
func watch(ctx context.Context, c *gortsplib.Client, r *receiver) error {
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return classify("play", err)
		case err := <-r.fail:
			return fmt.Errorf("camera: play: %w", err)
		case <-tick.C:
			if r.silence() > silentLimit {
				return fmt.Errorf("camera: play: %w", ErrTimeout)
			}
		}
	}
}

// track is a media and the format of it that was chosen.
type track struct {
	media *description.Media
	forma format.Format
}

// choose takes the first H.264 or H.265 format, and the best sound.
func (s *rtspSource) choose(desc *description.Session) (video, audio *track) {
	rank := 0
	for _, m := range desc.Medias {
		if m.IsBackChannel {
			continue
		}
		for _, f := range m.Formats {
			switch f := f.(type) {
			case *format.H264, *format.H265:
				if video == nil {
					video = &track{m, f}
				}
			default:
				if n := audioRank(f); s.cfg.Audio && n > rank {
					audio, rank = &track{m, f}, n
				}
			}
		}
	}
	return video, audio
}

// classify gives a library error its kind. What it adds holds no credentials:
// the library's errors name hosts and status codes only.
func classify(verb string, err error) error {
	kind := ErrUnreachable
	var status liberrors.ErrClientBadStatusCode
	var auth liberrors.ErrClientAuthSetup
	var tcp liberrors.ErrClientTCPTimeout
	var udp liberrors.ErrClientUDPTimeout
	switch {
	case errors.As(err, &status):
		switch status.Code {
		case base.StatusUnauthorized, base.StatusForbidden:
			kind = ErrWrongPassword
		case base.StatusNotFound, base.StatusUnsupportedMediaType, base.StatusNotAcceptable:
			kind = ErrNoMedia
		}
	case errors.As(err, &auth):
		kind = ErrWrongPassword
	case errors.As(err, &tcp), errors.As(err, &udp):
		kind = ErrTimeout
	}
	return fmt.Errorf("camera: %s: %w (%w)", verb, kind, err)
}

// refusesTCP reports whether a camera can only do UDP.
func refusesTCP(err error) bool {
	var status liberrors.ErrClientBadStatusCode
	var udp liberrors.ErrClientServerRequestedUDP
	return errors.As(err, &status) && status.Code == base.StatusUnsupportedTransport || errors.As(err, &udp)
}
