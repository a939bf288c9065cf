// Package uplinktest is a cloud for tests of the hub's side: it speaks the
// uplink, sign-in, chain and mailbox as docs/spec/wire.md has them, verifies
// every note, part and order of messages, and keeps a list of what was wrong.
// It can be cut off, made slow, made to refuse.
package uplinktest

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
	"latchkey.dev/latchkey/part"
)

// Stream names the parts of one (epoch, track).
type Stream struct {
	Epoch latchkey.EpochID
	Track latchkey.TrackID
}

// Message is one arrived message, for checks of order.
type Message struct {
	Kind        byte
	Stream      Stream // of parts
	First, Last uint32
	Conn        int // 1, 2, … in order of connecting
	At          time.Time
}

// Epoch is an announced epoch.
type Epoch struct {
	Raw  *latchkeyv1.UplinkEpoch
	Note chain.EpochNote
	Hash latchkey.Hash
}

// Cloud is a fake cloud for one household.
type Cloud struct {
	URL string
	Log *PublicLog
	t   testing.TB
	srv *httptest.Server
	ln  *gate

	// DurableEvery makes parts durable that many parts after they came (0 =
	// at once with STORED); END makes its stream durable.
	DurableEvery int
	// Trust leaves out all checks and keeps nothing: a cloud to measure hubs with.
	Trust bool
	// Refuse, when set, answers a message of parts with an error instead.
	Refuse func(Message) latchkeyv1.UplinkErrorCode
	// Damage, when set, says which messages of parts lose a bit on their way.
	Damage func(kind byte) bool

	// OnAnchor, when set, is asked before an anchor is taken: an error refuses it,
	// lose takes it and answers that the server is away.
	OnAnchor func() (lose bool, err error)

	mu         sync.Mutex
	notes      [][]byte
	state      chain.State
	nonces     map[string]bool
	tokens     map[string]latchkey.Kid
	boxes      map[string][]byte
	epochs     map[latchkey.EpochID]Epoch
	parts      map[Stream]map[uint32][]byte
	durable    map[Stream]map[uint32]bool
	heads      map[latchkey.EpochID]chain.Heads
	messages   []Message
	violations []string
	conns      int
	live       *conn
	watched    []latchkey.TrackID
	results    map[uint64]chan latchkeyv1.CommandResult
	openings   map[uint64]chan *latchkeyv1.UplinkReleased
	health     []*latchkeyv1.UplinkHealth
	lastID     uint64
	doubled    int
}

// New starts a cloud; it is closed, and its complaints are reported, at the
// end of the test.
func New(t testing.TB) *Cloud {
	t.Helper()
	c := &Cloud{
		Log: newPublicLog(t), t: t, nonces: map[string]bool{}, tokens: map[string]latchkey.Kid{}, boxes: map[string][]byte{},
		epochs: map[latchkey.EpochID]Epoch{}, parts: map[Stream]map[uint32][]byte{}, durable: map[Stream]map[uint32]bool{},
		heads: map[latchkey.EpochID]chain.Heads{}, results: map[uint64]chan latchkeyv1.CommandResult{}, openings: map[uint64]chan *latchkeyv1.UplinkReleased{},
	}
	mux := http.NewServeMux()
	mux.Handle(latchkeyv1connect.NewAccountServiceHandler(accounts{Cloud: c}))
	mux.Handle(latchkeyv1connect.NewChainServiceHandler(chains{Cloud: c}))
	mux.Handle(latchkeyv1connect.NewPairingServiceHandler(mailbox{Cloud: c}))
	mux.HandleFunc("GET /v1/uplink", c.uplink)
	mux.Handle("GET /log/", c.Log)
	c.srv = httptest.NewUnstartedServer(mux)
	c.ln = &gate{Listener: c.srv.Listener, open: map[net.Conn]bool{}}
	c.srv.Listener = c.ln
	c.srv.Start()
	c.URL = c.srv.URL
	t.Cleanup(func() {
		c.ln.cut()
		c.srv.Close()
		for _, v := range c.Violations() {
			t.Errorf("the hub broke the wire contract: %s", v)
		}
	})
	return c
}

// gate is a listener whose connections can all be cut, and that can refuse.
type gate struct {
	net.Listener
	mu   sync.Mutex
	open map[net.Conn]bool
	down bool
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		nc, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g.mu.Lock()
		down := g.down
		if !down {
			g.open[nc] = true
		}
		g.mu.Unlock()
		if !down {
			return nc, nil
		}
		nc.Close()
	}
}

func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for nc := range g.open {
		nc.Close()
	}
	clear(g.open)
}

// SetDown makes the cloud unreachable, cutting what is open, or reachable again.
func (c *Cloud) SetDown(down bool) {
	c.ln.mu.Lock()
	c.ln.down = down
	c.ln.mu.Unlock()
	if down {
		c.ln.cut()
	}
}

// Cut breaks all connections.
func (c *Cloud) Cut() { c.ln.cut() }

// SetChain publishes the household's chain; a connected hub gets a notice.
func (c *Cloud) SetChain(notes [][]byte) {
	c.t.Helper()
	s, err := chain.Replay(notes, time.Now().Unix())
	if err != nil {
		c.t.Fatalf("fake cloud: chain: %v", err)
	}
	c.Log.take(notes)
	c.mu.Lock()
	c.notes, c.state = notes, s
	live := c.live
	c.mu.Unlock()
	if live != nil {
		live.send(0x85, &latchkeyv1.ChainNotice{HeadSeq: s.Seq})
	}
}

// Chain returns the household's chain.
func (c *Cloud) Chain() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.notes
}

// Watch says that these tracks are watched, now and on later connections.
func (c *Cloud) Watch(tracks ...latchkey.TrackID) {
	c.mu.Lock()
	c.watched = tracks
	live := c.live
	c.mu.Unlock()
	if live != nil {
		live.watch(tracks)
	}
}

// Violations lists what the hub did that it must not.
func (c *Cloud) Violations() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.violations)
}

func (c *Cloud) violate(format string, args ...any) {
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
}

// Parts returns the stored parts of a stream, by seq.
func (c *Cloud) Parts(s Stream) map[uint32][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[uint32][]byte{}
	for k, v := range c.parts[s] {
		out[k] = v
	}
	return out
}

// Run returns the parts of a stream in order; it fails the test at a hole.
func (c *Cloud) Run(s Stream) []part.Part {
	c.t.Helper()
	all := c.Parts(s)
	run := make([]part.Part, len(all))
	for i := range run {
		raw, ok := all[uint32(i)]
		if !ok {
			c.t.Fatalf("fake cloud: %v/%v: part %d of %d is missing", s.Epoch, s.Track, i, len(all))
		}
		p, err := part.Parse(raw)
		if err != nil {
			c.t.Fatal(err)
		}
		run[i] = p
	}
	return run
}

// Streams lists what has parts.
func (c *Cloud) Streams() []Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Stream
	for s := range c.parts {
		out = append(out, s)
	}
	return out
}

// Epochs returns the announced epochs by their counter.
func (c *Cloud) Epochs() []Epoch {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Epoch
	for _, e := range c.epochs {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Epoch) int { return int(a.Note.N) - int(b.Note.N) })
	return out
}

// newest returns the note with the highest counter; nil when there is none.
func (c *Cloud) newest() []byte {
	var at Epoch
	for _, e := range c.epochs {
		if at.Raw == nil || e.Note.N > at.Note.N {
			at = e
		}
	}
	return at.Raw.GetNote()
}

// Doubled returns how often a second machine was sent away.
func (c *Cloud) Doubled() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doubled
}

// Heads returns the newest heads of an epoch.
func (c *Cloud) Heads(e latchkey.EpochID) (chain.Heads, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.heads[e]
	return h, ok
}

// Messages returns what arrived, in order.
func (c *Cloud) Messages() []Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.messages)
}

// Connected reports whether a hub is connected.
func (c *Cloud) Connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live != nil
}

// Wait polls until ok holds; the test fails when it does not within 30 s.
func (c *Cloud) Wait(what string, ok func() bool) {
	c.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	c.t.Fatalf("waited in vain: %s", what)
}

// Command sends a sealed command and waits for the hub's answer.
func (c *Cloud) Command(sealed []byte) latchkeyv1.CommandResult {
	c.t.Helper()
	c.Wait("a connected hub", c.Connected)
	c.mu.Lock()
	c.lastID++
	id, live := c.lastID, c.live
	answer := make(chan latchkeyv1.CommandResult, 1)
	c.results[id] = answer
	c.mu.Unlock()
	live.send(0x84, &latchkeyv1.UplinkCommand{Id: id, Sealed: sealed})
	select {
	case r := <-answer:
		return r
	case <-time.After(30 * time.Second):
		c.t.Fatal("no answer to a command")
		return 0
	}
}

// Opening sends a request to release entries and waits for the hub's answer.
func (c *Cloud) Opening(m *latchkeyv1.UplinkOpening) *latchkeyv1.UplinkReleased {
	c.t.Helper()
	c.Wait("a connected hub", c.Connected)
	c.mu.Lock()
	c.lastID++
	m.Id = c.lastID
	live, answer := c.live, make(chan *latchkeyv1.UplinkReleased, 1)
	c.openings[m.Id] = answer
	c.mu.Unlock()
	live.send(0x88, m)
	select {
	case r := <-answer:
		return r
	case <-time.After(30 * time.Second):
		c.t.Fatal("no answer to an opening")
		return nil
	}
}

// Health are the reports that came.
func (c *Cloud) Health() []*latchkeyv1.UplinkHealth {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.health)
}

// addEpoch checks an announcement against the chain.
func (c *Cloud) addEpoch(m *latchkeyv1.UplinkEpoch) error {
	n, err := chain.ParseNote(m.GetNote())
	if err != nil {
		return err
	}
	note, err := chain.ParseEpochNote(n)
	if err != nil {
		return err
	}
	hub, ok := c.state.Hubs[note.Hub]
	if !ok {
		return fmt.Errorf("epoch note of a stranger")
	}
	if err := n.Verify(hub.Ed); err != nil {
		return err
	}
	var lines []chain.SealLine
	for i, s := range m.GetSeals() {
		var l chain.SealLine
		copy(l.Kid[:], s.GetKid())
		copy(l.Hash[:], s.GetHash())
		if i >= len(m.GetCapsules()) || chain.TextHash(m.GetCapsules()[i].GetCapsule()) != l.Hash {
			return fmt.Errorf("seal line %d has no capsule", i)
		}
		lines = append(lines, l)
	}
	if chain.Seals(lines) != note.Seals {
		return fmt.Errorf("seal lines are not those of the note")
	}
	if old, ok := c.epochs[note.Epoch]; ok && !bytes.Equal(old.Raw.GetNote(), m.GetNote()) {
		return fmt.Errorf("two notes for epoch %v", note.Epoch)
	}
	for _, e := range c.epochs {
		if e.Note.N == note.N && e.Note.Epoch != note.Epoch {
			return fmt.Errorf("two epochs with counter %d", note.N)
		}
		if e.Note.N+1 == note.N && e.Hash != note.Prev {
			return fmt.Errorf("epoch %d does not link to the one before", note.N)
		}
	}
	c.epochs[note.Epoch] = Epoch{Raw: m, Note: note, Hash: n.Hash()}
	return nil
}

// addParts checks a message of parts as ingest does.
func (c *Cloud) addParts(body []byte) (run []part.Part, err error) {
	for rest := body; len(rest) > 0; {
		var p part.Part
		if p, rest, err = part.Next(rest); err != nil {
			return nil, err
		}
		run = append(run, p)
	}
	if len(run) == 0 {
		return nil, fmt.Errorf("no parts")
	}
	if len(run) > 1 && len(body) > 1<<20 {
		return nil, fmt.Errorf("%d parts in %d bytes", len(run), len(body))
	}
	h := run[0].Header
	e, ok := c.epochs[h.Epoch]
	if !ok {
		return nil, fmt.Errorf("part before its epoch note")
	}
	if !slices.ContainsFunc(e.Note.Tracks, func(t chain.TrackCommit) bool { return t.Track == h.Track }) {
		return nil, fmt.Errorf("track not in the epoch note")
	}
	s := Stream{h.Epoch, h.Track}
	prev := c.prevOf(s, h.Seq, e)
	if _, err := part.VerifyRun(ed25519.PublicKey(e.Note.Signer), prev, run); err != nil {
		return nil, err
	}
	if c.parts[s] == nil {
		c.parts[s], c.durable[s] = map[uint32][]byte{}, map[uint32]bool{}
	}
	for _, p := range run {
		if old, ok := c.parts[s][p.Header.Seq]; ok && !bytes.Equal(old, p.Raw) {
			return nil, fmt.Errorf("%v: other bytes for the same id", p.Header)
		}
		c.parts[s][p.Header.Seq] = bytes.Clone(p.Raw)
	}
	return run, nil
}

func (c *Cloud) prevOf(s Stream, seq uint32, e Epoch) *latchkey.Hash {
	if seq == 0 {
		return &e.Hash
	}
	raw, ok := c.parts[s][seq-1]
	if !ok {
		return nil
	}
	p, err := part.Parse(raw)
	if err != nil {
		return nil
	}
	h := p.Hash()
	return &h
}
