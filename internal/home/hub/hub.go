// Package hub is the home agent: it pairs with a household, follows its
// chain, records its cameras into sealed parts and hands them to the cloud.
// It composes camera, pack, seal, spool and uplink and hides their order:
// nothing is sealed before its epoch note is durable, nothing leaves before
// it is sealed. cmd/latchkey and tests import it; it never writes a plaintext
// frame, a content key or a camera password to disk in clear.
package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/lan"
	"latchkey.dev/latchkey/internal/home/spool"
	"latchkey.dev/latchkey/internal/home/uplink"
)

// Config says where a hub lives and whom it serves.
type Config struct {
	DataDir string // hub.key, config, chain, log, epochs/, spool/, alive
	Home    string // LATCHKEY_HOME: holds machine.key, which is never in DataDir
	// Server is the origin of the cloud, such as http://127.0.0.1:8440;
	// remembered after pairing, and learnt by it on the home network.
	Server string
	// PairCode is the code of `latchkey hub invite`, with or without "LK1:".
	// Needed on first start only; used up by it. Another code later is refused.
	PairCode string
	Name     string // shown to members; the host name when empty
	Version  string // shown to members

	// LAN is where the hub listens on the home network, for removals that no
	// server carries, such as 0.0.0.0:0; empty or lan.Off: nowhere, and it does
	// not look there for an admin either.
	LAN string

	SpoolLimit int64        // bytes of sealed parts kept for an absent cloud; 0 = 20 GiB
	FS         durable.FS   // nil = the real one
	HTTP       *http.Client // nil = a client with time-outs
	Log        *slog.Logger // nil = silent

	Pace Pace // zero = DefaultPace
	// Open makes the source of a camera stream; nil = camera.RTSP. For tests.
	Open func(camera.Config) camera.Source
	// Announce and Browse are how machines on the home network find one another;
	// nil = mDNS. For tests.
	Announce func(ctx context.Context, service, instance string, port uint16)
	Browse   func(ctx context.Context, service string, found func(instance, addr string))
}

// Pace holds the times of a hub, so that tests can scale them.
type Pace struct {
	EpochSpacing time.Duration // least time between two epochs (protocol 2.6)
	EpochLife    time.Duration // a new epoch after this, ± EpochJitter
	EpochJitter  time.Duration
	Settle       time.Duration // changes of roster and cameras within this share one epoch
	Heads        time.Duration // between heads notes
	State        time.Duration // between state records, and records of a gap that lasts
	Alive        time.Duration // between notes of the last known time
	Poll         time.Duration // between looks at the chain, and at the public log, without a notice
	Proof        time.Duration // the first time between looks at the log for a proof that is missing
	Anchor       time.Duration // between anchors in the chain, at most; and 1/24 of it at least (protocol 2.6)
	Health       time.Duration // between reports for a ticket
	Patience     time.Duration // how long a proof may be missing before members are told
	Tick         time.Duration // between looks at clock, epoch and events; at most 1 s
	PreRoll      time.Duration // kept before an event; what the leaf retention of 5 s still allows is used
	Uplink       uplink.Pace
}

// DefaultPace is used where Config.Pace is zero.
func DefaultPace() Pace {
	return Pace{
		EpochSpacing: 10 * time.Second, EpochLife: 24 * time.Hour, EpochJitter: 30 * time.Minute,
		Settle: 300 * time.Millisecond, Heads: 60 * time.Second, State: 60 * time.Second,
		Alive: 10 * time.Second, Poll: 10 * time.Minute, Proof: 2 * time.Second, Anchor: 24 * time.Hour,
		Health: 15 * time.Second, Patience: 2 * time.Minute, Tick: time.Second, PreRoll: 5 * time.Second,
		Uplink: uplink.DefaultPace(),
	}
}

// Hub is one home agent.
type Hub struct {
	cfg      Config
	identity keys.Identity
	machine  keys.MachineKey
	store    *store
	boot     [16]byte // of this start
	paired   chan struct{}
}

// New checks the configuration, and makes identity and directory on the first
// start. It does no network I/O.
func New(cfg Config) (*Hub, error) {
	cfg.fill()
	if err := durable.MkdirAll(cfg.FS, cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	machine, err := keys.LoadMachineKey(filepath.Join(cfg.Home, machineFile))
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	st := &store{dir: cfg.DataDir, fs: cfg.FS, machine: machine}
	identity, err := st.identity()
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	if err := st.load(); err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	h := &Hub{cfg: cfg, identity: identity, machine: machine, store: st, paired: make(chan struct{})}
	_, _ = rand.Read(h.boot[:]) // never fails
	if st.cfg().paired() {
		close(h.paired)
	}
	return h, nil
}

func (c *Config) fill() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.FS == nil {
		c.FS = durable.Disk{}
	}
	if c.HTTP == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.ResponseHeaderTimeout = 40 * time.Second // the mailbox holds a question for 25 s
		t.DialContext = (&net.Dialer{Timeout: uplink.DialTimeout, KeepAlive: 30 * time.Second}).DialContext
		c.HTTP = &http.Client{Transport: t, Timeout: 60 * time.Second}
	}
	if c.Pace == (Pace{}) {
		c.Pace = DefaultPace()
	}
	if c.Open == nil {
		c.Open = camera.RTSP
	}
	if c.Browse == nil {
		c.Browse = func(ctx context.Context, service string, found func(instance, addr string)) {
			lan.Browse(ctx, service, found, c.Log)
		}
	}
	if c.LAN == lan.Off {
		c.LAN = ""
	}
	if c.Name == "" {
		c.Name, _ = os.Hostname() // an empty name is shown as "hub"
	}
}

// Paired is closed once the hub belongs to a household (at once when it did
// on an earlier start).
func (h *Hub) Paired() <-chan struct{} { return h.paired }

// Kid names the hub in its household's chain.
func (h *Hub) Kid() latchkey.Kid { return h.identity.Signing.Kid() }

// Run pairs if need be, then records until ctx ends. It returns nil after a
// graceful end: every track closed with an END part, the spool synced. Errors
// wrap latchkey.ErrInvalid (wrong code, foreign data directory),
// latchkey.ErrConflict (another hub runs on DataDir; ErrDoubled: elsewhere with
// a copy of it) or latchkey.ErrRefused (the household has removed this hub).
func (h *Hub) Run(ctx context.Context) (err error) {
	held, err := durable.Lock(h.cfg.DataDir)
	if err != nil {
		return fmt.Errorf("hub: start: %w", err)
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	return h.run(ctx)
}

// run is Run, with DataDir to itself.
func (h *Hub) run(ctx context.Context) error {
	if err := h.mayPair(); err != nil {
		return fmt.Errorf("hub: pair: %w", err)
	}
	if !h.store.cfg().paired() {
		if err := h.pair(ctx); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // ended by its owner while it waited
			}
			return fmt.Errorf("hub: pair: %w", err)
		}
		close(h.paired)
	}
	switch conf := h.store.cfg(); {
	case conf.Removed:
		return ErrRemoved
	case conf.Doubled:
		return ErrDoubled
	}
	a, err := h.open()
	if err != nil {
		return fmt.Errorf("hub: start: %w", err)
	}
	err = a.run(ctx)
	if cerr := a.spool.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("hub: %w", cerr))
	}
	return err
}

// open reads what earlier runs left and wires the rooms together. Start-up
// after a crash is this same code.
func (h *Hub) open() (*agent, error) {
	conf := h.store.cfg()
	if h.cfg.Server != "" {
		conf.Server = h.cfg.Server
	}
	session, err := uplink.NewSession(conf.Server, conf.household(), h.identity.Signing, h.cfg.HTTP)
	if err != nil {
		return nil, err
	}
	r, log, err := h.openChain(session, conf.household())
	if err != nil {
		return nil, err
	}
	epochs, err := openEpochs(h.store, h.identity.Signing.Public())
	if err != nil {
		return nil, err
	}
	sp, err := spool.Open(spool.Config{
		Dir: filepath.Join(h.cfg.DataDir, "spool"), Limit: h.cfg.SpoolLimit, FS: h.cfg.FS, Check: epochs.check, Last: r.isMeta,
	})
	if err != nil {
		return nil, err
	}
	epochs.held, epochs.kept = sp.Held, sp.Epochs
	return newAgent(h, session, r, log, epochs, sp)
}
