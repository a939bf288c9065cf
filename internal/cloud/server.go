package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/blob"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/ingest"
	"latchkey.dev/latchkey/internal/cloud/live"
	"latchkey.dev/latchkey/internal/cloud/policy"
	"latchkey.dev/latchkey/internal/cloud/sequencer"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/web"
)

// Server is one running cloud. Close it.
type Server struct {
	cfg     Config
	log     *slog.Logger
	origin  string // from PublicURL; empty: what the caller addressed
	handler http.Handler

	catalog    *catalog.DB
	store      blob.Store
	ingest     *ingest.Engine
	relay      *live.Relay
	ledger     *sequencer.Sequencer
	homes      *households
	seals      *seals
	sessions   *sessions
	logins     *logins
	tickets    *tickets
	policies   *policy.Policies
	deskLogins *deskLogins
	deskHolds  *deskHolds
	told       told
	settling   sync.Mutex // of requests of authorities
	mail       *mailboxes
	hubs       *hubs
	viewers    liveCount
	limits     *limiter
	metrics    *metrics
	web        *webApp
	manifest   []byte // of the web app's files
	buffers    bufferPool

	ctx     context.Context // ends when the server shuts down; sockets end with it
	stop    context.CancelFunc
	sockets sync.WaitGroup
	closers []io.Closer // what New opened, in order
	closing sync.Once
	closed  error
}

// closeWait bounds the closing of reels at shutdown.
const closeWait = 20 * time.Second

// New opens (or makes) the data directory, brings the catalog's schema up to
// date, and takes over the reels that were open when the last process ended.
// A directory that another server uses is latchkey.ErrConflict.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	origin, err := parseOrigin(cfg.PublicURL)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, origin: origin, relay: live.New(), mail: newMailboxes(cfg.Limits.MailBoxes), tickets: newTickets(), deskLogins: newDeskLogins(), deskHolds: newDeskHolds(), told: told{at: map[string]time.Time{}}, limits: newLimiter(cfg.Limits, cfg.BehindProxy)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if err := s.open(); err != nil {
		s.stop()
		return nil, fmt.Errorf("cloud: open: %w", errors.Join(err, s.closeAll()))
	}
	s.homes = newHouseholds(s.catalog)
	s.seals = newSeals(s.catalog)
	s.sessions = newSessions(s.catalog, s.homes)
	s.hubs = newHubs()
	s.metrics = newMetrics(s)
	s.handler = s.routes()
	return s, nil
}

// open opens everything on disk. What it opened is in closers, even on an error.
func (s *Server) open() error {
	if err := durable.MkdirAll(s.cfg.FS, s.cfg.DataDir, 0o700); err != nil {
		return err
	}
	if err := s.lock(); err != nil {
		return err
	}
	if err := s.openLog(); err != nil {
		return err
	}
	var err error
	if s.web, err = newWebApp(s.cfg.Web); err != nil {
		return err
	}
	if s.catalog, err = catalog.Open(s.ctx, filepath.Join(s.cfg.DataDir, catalogFile)); err != nil {
		return err
	}
	s.closers = append(s.closers, s.catalog)
	if err := s.openLedger(); err != nil {
		return err
	}
	if err := s.openRelease(s.ctx); err != nil {
		return err
	}
	if err := s.openDesk(s.ctx); err != nil {
		return err
	}
	secret, err := s.catalog.Secret(s.ctx, "unknown names")
	if err != nil {
		return err
	}
	s.logins = newLogins(s.catalog, secret)
	files, err := blob.OpenFiles(s.cfg.FS, filepath.Join(s.cfg.DataDir, blobsDir))
	if err != nil {
		return err
	}
	s.store = files
	s.closers = append(s.closers, files)
	s.ingest, err = ingest.Open(s.ctx, ingest.Config{
		FS: s.cfg.FS, Dir: filepath.Join(s.cfg.DataDir, openDir), Store: s.store, Catalog: s.catalog, Logger: s.log,
		Slots: s.cfg.Reels.Slots, Bytes: s.cfg.Reels.Bytes, Idle: s.cfg.Reels.Idle, Commit: s.cfg.Reels.Commit,
	})
	return err
}

// Names inside DataDir (docs/design/0001, "Directories").
const (
	catalogFile = "catalog.db"
	blobsDir    = "blobs"
	openDir     = "open"
	logDir      = "log"
)

// lock makes this process the only server of the directory.
func (s *Server) lock() error {
	held, err := durable.Lock(s.cfg.DataDir)
	if err == nil {
		s.closers = append(s.closers, held)
	}
	return err
}

func (s *Server) openLog() error {
	s.log = s.cfg.Logger
	if s.cfg.LogFile == "" {
		return nil
	}
	f, err := os.OpenFile(s.cfg.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, f)
	s.log = slog.New(slog.NewMultiHandler(s.cfg.Logger.Handler(), slog.NewJSONHandler(f, nil)))
	return nil
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.FS == nil {
		c.FS = durable.Disk{}
	}
	if c.Web == nil {
		c.Web = web.Dist()
	}
	if c.ContactWait == 0 {
		c.ContactWait = contactWait
	}
	c.Limits = c.Limits.withDefaults()
	c.Misuse = c.Misuse.withDefaults()
	c.Log = c.Log.withDefaults(c.PublicURL)
	c.Reels = c.Reels.withDefaults()
	return c
}

// parseOrigin checks PublicURL and returns it as a browser writes an origin.
func parseOrigin(public string) (string, error) {
	if public == "" {
		return "", nil
	}
	u, err := url.Parse(public)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("cloud: public URL %q: %w: write an origin like https://latchkey.example", public, latchkey.ErrInvalid)
	}
	return strings.ToLower(u.Scheme + "://" + u.Host), nil
}

// Handler serves everything public: API, uplink, live, footage, the web app.
func (s *Server) Handler() http.Handler { return s.handler }

// maxConns bounds the connections of the public listener.
const maxConns = 16384

// Run serves on ln (and metrics on MetricsListen) until ctx ends; then it
// tells the sockets, finishes requests, and returns nil. It closes ln. Close
// the server afterwards: that closes the reels.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	public := s.httpServer(s.handler)
	servers := []*http.Server{public}
	failed := make(chan error, 2)
	if s.cfg.MetricsListen != "" {
		mln, err := net.Listen("tcp", s.cfg.MetricsListen)
		if err != nil {
			return errors.Join(fmt.Errorf("cloud: run: metrics: %w", err), ln.Close())
		}
		m := s.httpServer(s.metrics.handler())
		servers = append(servers, m)
		go func() { failed <- m.Serve(mln) }()
	}
	go func() { failed <- public.Serve(netutil.LimitListener(ln, maxConns)) }()
	tidied := make(chan struct{})
	go func() { defer close(tidied); s.tidyLoop(ctx) }()
	s.log.Info("serving", "address", ln.Addr().String())
	var err error
	select {
	case <-ctx.Done():
	case <-s.ctx.Done():
	case err = <-failed:
	}
	s.stop()
	quiet, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, h := range servers {
		if herr := h.Shutdown(quiet); herr != nil {
			_ = h.Close() // whoever is still there after five seconds is cut off
		}
	}
	<-tidied
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cloud: run: %w", err)
	}
	return nil
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// tidyLoop drops what has run out, once a minute.
func (s *Server) tidyLoop(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ctx.Done():
			return
		case now := <-tick.C:
			s.limits.tidy(now)
			s.mail.tidy(now)
			s.logins.tidy(now)
			s.tickets.tidy(now)
			if err := s.tellGagged(ctx, now); err != nil {
				s.log.Warn("telling a household what was handed over failed", "err", err)
			}
			if err := s.sessions.tidy(ctx, now); err != nil {
				s.log.Warn("ending idle sessions failed", "err", err)
			}
		}
	}
}

// Close ends all sockets, closes the open reels and the catalog. Safe to call
// twice. What could not be closed in time is taken over by the next New.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.stop()
		s.sockets.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), closeWait)
		defer cancel()
		s.closed = errors.Join(s.ingest.Close(ctx), s.closeAll())
	})
	return s.closed
}

func (s *Server) closeAll() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i].Close())
	}
	s.closers = nil
	return errors.Join(errs...)
}
