package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/ingest"
	"latchkey.dev/latchkey/internal/cloud/live"
	"latchkey.dev/latchkey/part"
)

// Message types of the uplink: the first byte (spec/wire, "Uplink").
const (
	msgLive          = 0x01
	msgBacklog       = 0x02
	msgEpoch         = 0x03
	msgHeads         = 0x04
	msgHello         = 0x05
	msgCommandResult = 0x06
	msgReleased      = 0x07
	msgHealth        = 0x08
	msgReceipt       = 0x81
	msgHave          = 0x82
	msgEpochReceipt  = 0x83
	msgCommand       = 0x84
	msgChainNotice   = 0x85
	msgError         = 0x86
	msgWatched       = 0x87
	msgOpening       = 0x88
)

// Limits and times of one uplink.
const (
	maxUplinkMessage = 1 + 4 + part.HeaderSize + part.MaxCT + part.SigSize
	maxControl       = 4 << 20 // an epoch note with its capsules
	usualMessage     = 1<<20 + 64<<10
	storeQueue       = 4       // messages between socket and disk; then the socket waits
	maxOutgoing      = 1 << 14 // messages that a hub does not read
	uplinkPing       = 20 * time.Second
	uplinkSilence    = time.Minute
	uplinkWrite      = 20 * time.Second
	seenEvery        = time.Minute
)

// uplink is one hub's connection. Three goroutines: one reads, checks and
// relays; one stores, so that a slow disk holds up neither relay nor reading
// until the queue is full; one writes.
type uplink struct {
	s      *Server
	hub    ingest.Hub
	ws     *websocket.Conn
	boot   []byte // drawn by the hub at its start; may be empty
	source *live.Source
	ctx    context.Context
	cancel context.CancelFunc
	gone   chan struct{} // closed when everything of this uplink has ended
	heard  atomic.Int64  // unix nanoseconds of the last read
	toDisk chan stored

	mu       sync.Mutex
	out      [][]byte
	wake     chan struct{} // capacity 1
	commands map[uint64]chan v1.CommandResult
	openings map[uint64]chan *v1.UplinkReleased
	nextID   uint64
}

type stored struct {
	run ingest.Run
	buf *[]byte
}

// serveUplink runs GET /v1/uplink.
func (s *Server) serveUplink(w http.ResponseWriter, r *http.Request) {
	session := sessionOf(r.Context())
	up := websocket.Upgrader{ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10, CheckOrigin: func(*http.Request) bool { return true }} // guard has checked it
	s.sockets.Add(1)
	defer s.sockets.Done()
	ctx, release, err := s.sessions.hold(s.ctx, session, true)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	defer release()
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	u := &uplink{
		s: s, hub: ingest.Hub{Household: session.Household, Kid: session.Kid}, ws: ws,
		gone: make(chan struct{}), toDisk: make(chan stored, storeQueue), wake: make(chan struct{}, 1),
		commands: map[uint64]chan v1.CommandResult{}, openings: map[uint64]chan *v1.UplinkReleased{},
	}
	u.ctx, u.cancel = context.WithCancel(ctx)
	defer close(u.gone)
	if err := u.serve(); err != nil && u.ctx.Err() == nil {
		s.log.InfoContext(ctx, "uplink ended", "household", u.hub.Household, "hub", u.hub.Kid, "err", err)
	}
}

// serve runs the connection until either side ends it.
func (u *uplink) serve() error {
	wrote := make(chan struct{})
	go func() { defer close(wrote); u.writeLoop() }()
	defer func() {
		u.cancel()
		<-wrote
	}()
	hello, err := u.greeting()
	if err != nil {
		return err
	}
	if err := u.enter(hello.GetBoot()); err != nil {
		return err // the writer sends it before it closes
	}
	defer u.s.hubs.leave(u)
	u.source = u.s.relay.Source(u.hub.Household)
	defer u.source.Close()
	defer u.s.ingest.Attach(u.hub, u)()
	disk := make(chan struct{})
	go func() { defer close(disk); u.storeLoop() }()
	defer func() {
		close(u.toDisk)
		<-disk
		u.saw()
	}()
	u.saw()
	if err := u.have(hello); err != nil {
		return err
	}
	return u.readLoop()
}

// saw remembers that the hub is there.
func (u *uplink) saw() {
	if err := u.s.catalog.SawHub(context.WithoutCancel(u.ctx), u.hub.Household, u.hub.Kid, time.Now()); err != nil {
		u.s.log.Warn("presence of a hub was not stored", "err", err)
	}
}

// bufferPool holds the buffers that messages are read into. The one used last
// is used next, while the processor's cache still has it; sync.Pool would
// spread them.
type bufferPool struct {
	mu   sync.Mutex
	free []*[]byte
}

// maxPooled bounds the memory that waits for the next message.
const maxPooled = 32

func (b *bufferPool) get() *[]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.free); n > 0 {
		buf := b.free[n-1]
		b.free = b.free[:n-1]
		return buf
	}
	buf := make([]byte, usualMessage)
	return &buf
}

func (b *bufferPool) put(buf *[]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free) < maxPooled && cap(*buf) <= 2*usualMessage {
		*buf = (*buf)[:cap(*buf)]
		b.free = append(b.free, buf)
	}
}

// readLoop takes messages until the connection ends: a blocked read returns
// when the writer closes the socket.
func (u *uplink) readLoop() error {
	for u.ctx.Err() == nil {
		if err := u.hear(); err != nil {
			return err
		}
		buf := u.s.buffers.get()
		msg, scan, err := readMessage(u.ws, buf)
		if err != nil {
			return err
		}
		if err := u.hear(); err != nil {
			return err
		}
		kept, err := u.take(msg, buf, scan)
		if !kept {
			u.s.buffers.put(buf)
		}
		if err != nil {
			return err
		}
	}
	return u.ctx.Err()
}

// hear notes a sign of life.
func (u *uplink) hear() error {
	now := time.Now()
	u.heard.Store(now.UnixNano())
	if u.ctx.Err() != nil {
		return u.ctx.Err()
	}
	return u.ws.SetReadDeadline(now.Add(uplinkSilence))
}

// readMessage reads one binary message into buf, which grows if it must. Parts
// go through a scan as they come; scan is nil for other messages.
func readMessage(ws *websocket.Conn, buf *[]byte) (msg []byte, scan *ingest.Scan, err error) {
	kind, r, err := ws.NextReader()
	if err != nil {
		return nil, nil, err
	}
	if kind != websocket.BinaryMessage {
		return nil, nil, fmt.Errorf("cloud: uplink: %w: a text message", latchkey.ErrInvalid)
	}
	b, n := *buf, 0
	for {
		if n == len(b) {
			b = append(b, make([]byte, len(b))...)
		}
		m, err := r.Read(b[n:])
		n += m
		if n > 0 && isParts(b[0]) {
			if scan == nil {
				scan = ingest.NewScan(b[0] == msgBacklog)
			}
			scan.Feed(b[1:n])
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, err
		}
	}
	*buf = b
	if n == 0 {
		return nil, nil, fmt.Errorf("cloud: uplink: %w: an empty message", latchkey.ErrInvalid)
	}
	return b[:n], scan, nil
}

func isParts(kind byte) bool { return kind == msgLive || kind == msgBacklog }

// take handles one message. kept: buf belongs to the store loop now.
func (u *uplink) take(msg []byte, buf *[]byte, scan *ingest.Scan) (kept bool, err error) {
	body := msg[1:]
	if !isParts(msg[0]) && len(body) > maxControl {
		return false, fmt.Errorf("cloud: uplink: %w: message %#02x of %d bytes", latchkey.ErrInvalid, msg[0], len(body))
	}
	switch msg[0] {
	case msgLive, msgBacklog:
		return u.parts(body, buf, scan, msg[0] == msgLive)
	case msgEpoch:
		return false, u.epoch(body)
	case msgHeads:
		return false, u.heads(body)
	case msgHello:
		return false, fmt.Errorf("cloud: uplink: %w: a second hello", latchkey.ErrInvalid)
	case msgCommandResult:
		return false, u.result(body)
	case msgReleased:
		return false, u.released(body)
	case msgHealth:
		return false, u.health(body)
	}
	return false, fmt.Errorf("cloud: uplink: %w: message type %#02x", latchkey.ErrInvalid, msg[0])
}

// parts checks a run, relays it if it is live, and hands it to the store
// loop. What is refused is reported and ends nothing, but a message that was
// damaged on its way ends the connection: the hub comes back and sends again.
func (u *uplink) parts(body []byte, buf *[]byte, scan *ingest.Scan, isLive bool) (kept bool, err error) {
	run, err := u.s.ingest.Check(u.ctx, u.hub, body, scan)
	if err != nil {
		if told := u.report(err); told != nil || !errors.Is(err, ingest.ErrDamaged) {
			return false, told
		}
		return false, err
	}
	if isLive {
		for _, p := range run.Parts {
			u.source.Publish(p.Header, p.Raw)
		}
	}
	select {
	case u.toDisk <- stored{run, buf}:
		return true, nil
	case <-u.ctx.Done():
		return false, u.ctx.Err()
	}
}

func (u *uplink) storeLoop() {
	for one := range u.toDisk {
		// Not u.ctx: what was taken from the socket is stored, whatever becomes of it.
		if err := u.report(u.s.ingest.Store(context.WithoutCancel(u.ctx), one.run)); err != nil {
			u.s.log.Error("storing parts failed", "hub", u.hub.Kid, "err", err)
			u.cancel() // the hub offers its spool again
		}
		u.s.buffers.put(one.buf)
	}
}

// report tells the hub of a refusal. Other errors come back.
func (u *uplink) report(err error) error {
	var refusal *ingest.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	code := v1.UplinkErrorCode_UPLINK_ERROR_CODE_INVALID
	switch {
	case errors.Is(err, latchkey.ErrConflict):
		code = v1.UplinkErrorCode_UPLINK_ERROR_CODE_CONFLICT
	case errors.Is(err, latchkey.ErrNotFound):
		code = v1.UplinkErrorCode_UPLINK_ERROR_CODE_UNKNOWN_EPOCH
	case errors.Is(err, latchkey.ErrFull):
		code = v1.UplinkErrorCode_UPLINK_ERROR_CODE_FULL
		u.s.log.Error("the disk is full: parts are refused until there is space", "err", err)
	case !errors.Is(err, latchkey.ErrInvalid) && !errors.Is(err, latchkey.ErrVerify):
		return err
	}
	u.refuse(code, refusal)
	return nil
}

func (u *uplink) refuse(code v1.UplinkErrorCode, r *ingest.Refusal) {
	u.send(msgError, &v1.UplinkError{Code: code, Epoch: r.Epoch[:], Track: r.Track[:], Seq: r.Seq, Text: r.Err.Error()})
}

// Receipt implements ingest.Sink.
func (u *uplink) Receipt(r ingest.Receipt) {
	u.send(msgReceipt, &v1.Receipt{
		Epoch: r.Epoch[:], Track: r.Track[:], FirstSeq: r.First, LastSeq: r.Last, Hash: r.Hash[:], Level: levelOf(r.Level),
	})
}

// Lost implements ingest.Sink: the hub reconnects and offers what it holds.
func (u *uplink) Lost(err error) {
	u.s.log.Error("parts without a receipt were lost; the hub sends them again", "hub", u.hub.Kid, "err", err)
	u.cancel()
}

func levelOf(l ingest.Level) v1.ReceiptLevel {
	if l == ingest.Durable {
		return v1.ReceiptLevel_RECEIPT_LEVEL_DURABLE
	}
	return v1.ReceiptLevel_RECEIPT_LEVEL_STORED
}

// send queues a message; it never blocks. A hub that lets thousands pile up
// does not read and is cut off.
func (u *uplink) send(kind byte, m proto.Message) {
	b, err := proto.MarshalOptions{}.MarshalAppend([]byte{kind}, m)
	if err != nil {
		u.s.log.Error("encoding a message failed", "err", err)
		u.cancel()
		return
	}
	u.mu.Lock()
	u.out = append(u.out, b)
	full := len(u.out) > maxOutgoing
	u.mu.Unlock()
	if full {
		u.cancel()
	}
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

func (u *uplink) writeLoop() {
	defer func() { _ = u.ws.Close() }() // its error would say nothing new
	ping, seen := time.NewTicker(uplinkPing), time.NewTicker(seenEvery)
	defer ping.Stop()
	defer seen.Stop()
	for {
		select {
		case <-u.ctx.Done():
			u.flush()
			text := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
			_ = u.ws.WriteControl(websocket.CloseMessage, text, time.Now().Add(time.Second)) // politeness only
			return
		case <-u.wake:
			if u.flush() != nil {
				u.cancel()
			}
		case <-ping.C:
			if u.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(uplinkWrite)) != nil {
				u.cancel()
			}
		case <-seen.C:
			u.saw()
		}
	}
}

// flush writes what is queued.
func (u *uplink) flush() error {
	u.mu.Lock()
	out := u.out
	u.out = nil
	u.mu.Unlock()
	for _, b := range out {
		if err := u.ws.SetWriteDeadline(time.Now().Add(uplinkWrite)); err != nil {
			return err
		}
		if err := u.ws.WriteMessage(websocket.BinaryMessage, b); err != nil {
			return err
		}
	}
	return nil
}

// close ends a connection that nobody answers on, without a goodbye.
func (u *uplink) close() {
	u.cancel()
	_ = u.ws.Close() // its error would say nothing new
}

// alive pings the hub and reports whether anything is heard within wait.
func (u *uplink) alive(ctx context.Context, wait time.Duration) bool {
	asked := time.Now().UnixNano()
	if u.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(wait)) != nil {
		return false
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if u.heard.Load() > asked {
				return true
			}
		case <-u.gone:
			return false
		case <-deadline.C:
			return false
		case <-ctx.Done():
			return true // nobody asks any more
		}
	}
}
