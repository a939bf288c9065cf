// Package lan is what hubs and their household's machines say to one another
// on the home network: a small listener that takes one kind of POST, the
// client of it, and mDNS to be found by. It hides sockets, limits and
// multicast. hub and member import it; it carries signed notes and MACed
// messages and sees no key and no plaintext. Bytes: docs/spec/wire.md, "On the
// home network".
package lan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"latchkey.dev/latchkey"
)

// Paths of the two listeners: a hub's, and that of an admin who waits for one.
const (
	RemovalPath = "/v1/removals"
	PairPath    = "/v1/pair"
)

// Off is the address that means no listener.
const Off = "off"

// Bounds of a listener. Whoever is on the home network reaches it without
// credentials: it holds little, waits shortly and says nothing.
const (
	maxConns     = 32
	connsEach    = 4 // of one address
	maxAddresses = 1024
	headerWait   = 5 * time.Second
	bodyWait     = 10 * time.Second
	maxHeaders   = 4 << 10
)

// Handler answers one POST with a status, and with a body where the status is
// 200. It is called by several goroutines at once.
type Handler func(ctx context.Context, body []byte) (status int, answer []byte)

// Config of a listener.
type Config struct {
	Listener net.Listener // closed by Serve
	Path     string       // everything else is 404
	MaxBody  int64        // bytes; more is 400
	Wait     time.Duration
	Handler  Handler // has Wait to answer
	Log      *slog.Logger
}

// Serve answers until ctx ends, then waits for what is under way. It returns
// nil then; an error means that the listener broke.
func Serve(ctx context.Context, cfg Config) error {
	s := &server{cfg: cfg, all: rate.NewLimiter(20, 40), each: map[netip.Addr]*rate.Limiter{}}
	h := &http.Server{
		Handler: s, ReadHeaderTimeout: headerWait, ReadTimeout: bodyWait, WriteTimeout: bodyWait + cfg.Wait,
		MaxHeaderBytes: maxHeaders, ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	h.SetKeepAlivesEnabled(false)
	ended := make(chan struct{})
	var closing sync.WaitGroup
	closing.Go(func() {
		select {
		case <-ctx.Done():
		case <-ended:
		}
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if h.Shutdown(last) != nil {
			_ = h.Close() // who is still talking has had his second
		}
	})
	err := h.Serve(&gate{Listener: cfg.Listener, open: map[netip.Addr]int{}})
	close(ended)
	closing.Wait()
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil //nolint:nilerr // ended by its owner
	}
	return fmt.Errorf("lan: serve: %w", err)
}

type server struct {
	cfg Config
	all *rate.Limiter

	mu   sync.Mutex
	each map[netip.Addr]*rate.Limiter
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Date"] = nil // a clock tells machines apart
	status, answer := s.answer(w, r)
	if status == http.StatusOK {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	w.WriteHeader(status)
	_, _ = w.Write(answer) // the caller has gone
}

func (s *server) answer(w http.ResponseWriter, r *http.Request) (int, []byte) {
	switch {
	case r.URL.Path != s.cfg.Path:
		return http.StatusNotFound, nil
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, nil
	case !s.allow(r.RemoteAddr):
		return http.StatusTooManyRequests, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.cfg.MaxBody))
	if err != nil {
		return http.StatusBadRequest, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Wait)
	defer cancel()
	return s.cfg.Handler(ctx, body)
}

// allow counts a request of an address, and of all.
func (s *server) allow(remote string) bool {
	from := addrOf(remote)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.each) >= maxAddresses {
		clear(s.each) // what all together may do still bounds them
	}
	if s.each[from] == nil {
		s.each[from] = rate.NewLimiter(2, 10)
	}
	return s.each[from].Allow() && s.all.Allow()
}

func addrOf(remote string) netip.Addr {
	ap, _ := netip.ParseAddrPort(remote) // what is no address counts as one
	return ap.Addr().Unmap().WithZone("")
}

// gate closes connections beyond the bounds as soon as they come.
type gate struct {
	net.Listener
	mu   sync.Mutex
	open map[netip.Addr]int
	n    int
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := addrOf(c.RemoteAddr().String())
		g.mu.Lock()
		full := g.n >= maxConns || g.open[from] >= connsEach
		if !full {
			g.n++
			g.open[from]++
		}
		g.mu.Unlock()
		if !full {
			return &gated{Conn: c, leave: sync.OnceFunc(func() { g.leave(from) })}, nil
		}
		_ = c.Close() // turned away
	}
}

func (g *gate) leave(from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n--
	if g.open[from]--; g.open[from] == 0 {
		delete(g.open, from)
	}
}

type gated struct {
	net.Conn
	leave func()
}

func (c *gated) Close() error {
	c.leave()
	return c.Conn.Close()
}

// Post sends body to path of the listener at addr ("192.168.1.5:40123"),
// straight, through no proxy and to no other address. The answer is at most
// max bytes. A machine that does not answer is latchkey.ErrUnavailable.
func Post(ctx context.Context, addr, path string, body []byte, max int64) (status int, answer []byte, err error) {
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return 0, nil, fmt.Errorf("lan: post: %w: %q is not an address and port", latchkey.ErrInvalid, addr)
	}
	t := &http.Transport{
		DialContext:       (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeaders,
	}
	defer t.CloseIdleConnections()
	client := http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("lan: post: %w: %w", latchkey.ErrInvalid, err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("lan: post: %w: %w", latchkey.ErrUnavailable, err)
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(io.LimitReader(res.Body, max+1)); err != nil {
		return 0, nil, fmt.Errorf("lan: post: %w: %w", latchkey.ErrUnavailable, err)
	}
	if int64(len(answer)) > max {
		return 0, nil, fmt.Errorf("lan: post: %w: an answer of more than %d bytes", latchkey.ErrTooMany, max)
	}
	return res.StatusCode, answer, nil
}
