package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/spool"
)

// Types of uplink messages, their first byte (docs/spec/wire.md, "Uplink").
const (
	typeLive     = 0x01
	typeBacklog  = 0x02
	typeEpoch    = 0x03
	typeHeads    = 0x04
	typeHello    = 0x05
	typeResult   = 0x06
	typeReleased = 0x07
	typeHealth   = 0x08

	typeReceipt      = 0x81
	typeHave         = 0x82
	typeEpochReceipt = 0x83
	typeCommand      = 0x84
	typeChain        = 0x85
	typeError        = 0x86
	typeWatched      = 0x87
	typeOpening      = 0x88
)

// DialTimeout bounds the wait for a TCP connection: a network that swallows
// packets must not hold up the next attempt when it is back.
const DialTimeout = 5 * time.Second

const (
	sendBuffer  = 512 << 10 // kernel's; what is in it delays live parts
	readLimit   = 4 << 20
	maxCommands = 4 // carried out at once
)

// conn is one connection. Only its writer goroutine writes messages.
type conn struct {
	*Uplink
	ws     *websocket.Conn
	flow   *flow
	wake   chan struct{} // flow has room again
	slots  chan struct{} // commands under way
	sentMu sync.Mutex
	known  map[latchkey.EpochID]bool // announced on this connection
	buf    []byte
}

// connect signs in, dials and serves one connection until it ends.
func (u *Uplink) connect(ctx context.Context) error {
	var ws *websocket.Conn
	err := u.cfg.Session.Do(ctx, func(token string) (err error) {
		ws, err = u.dial(ctx, token)
		return err
	})
	if err != nil {
		return err
	}
	c := &conn{
		Uplink: u, ws: ws, flow: newFlow(), wake: make(chan struct{}, 1),
		slots: make(chan struct{}, maxCommands), known: map[latchkey.EpochID]bool{},
	}
	defer ws.Close() // the close handshake, if any, has been done
	if err := c.hello(); err != nil {
		return fmt.Errorf("uplink: hello: %w", err)
	}
	u.cfg.Log.Info("uplink connected", "server", u.cfg.Session.Server())
	return c.serve(ctx)
}

func (u *Uplink) dial(ctx context.Context, token string) (*websocket.Conn, error) {
	d := websocket.Dialer{HandshakeTimeout: 10 * time.Second, NetDialContext: dialTCP, WriteBufferSize: 64 << 10}
	if t, ok := u.cfg.HTTP.Transport.(*http.Transport); ok {
		d.Proxy = t.Proxy
		if t.TLSClientConfig != nil {
			d.TLSClientConfig = t.TLSClientConfig.Clone()
			d.TLSClientConfig.NextProtos = nil // the transport puts h2 there, which carries no WebSocket
		}
	}
	addr := "ws" + strings.TrimPrefix(u.cfg.Session.Server(), "http") + "/v1/uplink"
	ws, res, err := d.DialContext(ctx, addr, http.Header{"Authorization": {"Bearer " + token}})
	if err == nil {
		ws.SetReadLimit(readLimit)
		return ws, nil
	}
	if res != nil {
		return nil, fmt.Errorf("uplink: connect: %w: the server answered %s", kindOfStatus(res.StatusCode), res.Status)
	}
	return nil, fmt.Errorf("uplink: connect: %w: %w", latchkey.ErrUnavailable, err)
}

// dialTCP bounds the kernel's send buffer: live parts wait behind what is in it.
func dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := (&net.Dialer{Timeout: DialTimeout}).DialContext(ctx, network, addr)
	if tcp, ok := nc.(*net.TCPConn); ok && err == nil {
		err = tcp.SetWriteBuffer(sendBuffer)
	}
	return nc, err
}

// hello says what the hub holds and learns what the cloud has of it.
func (c *conn) hello() error {
	c.cfg.Spool.Rewind()
	hello := &latchkeyv1.UplinkHello{Version: c.cfg.Version, Boot: c.cfg.Boot[:]}
	for _, r := range c.cfg.Spool.Held() {
		hello.Held = append(hello.Held, &latchkeyv1.SpoolRange{
			Epoch: r.Epoch[:], Track: r.Track[:], FirstSeq: r.First, LastSeq: r.Last,
		})
	}
	if err := c.sendProto(typeHello, hello); err != nil {
		return err
	}
	c.alive()
	kind, body, err := c.read()
	if err != nil {
		return err
	}
	if kind == typeError {
		return c.refusal(body)
	}
	have := &latchkeyv1.UplinkHave{}
	if kind != typeHave {
		return fmt.Errorf("%w: message %#x instead of have", latchkey.ErrInvalid, kind)
	}
	if err := proto.Unmarshal(body, have); err != nil {
		return fmt.Errorf("%w: have: %w", latchkey.ErrInvalid, err)
	}
	if err := c.newest(have.GetNewest()); err != nil {
		return err
	}
	for _, h := range have.GetHave() {
		if err := c.settle(h.GetEpoch(), h.GetTrack(), h.GetFirstSeq(), h.GetLastSeq(), h.GetLevel(), nil); err != nil {
			return err
		}
	}
	return nil
}

// refusal turns an error message that answers hello into an error.
func (c *conn) refusal(body []byte) error {
	e := &latchkeyv1.UplinkError{}
	if err := proto.Unmarshal(body, e); err != nil {
		return fmt.Errorf("%w: error message: %w", latchkey.ErrInvalid, err)
	}
	kind := latchkey.ErrUnavailable
	if e.GetCode() == latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_DUPLICATE_HUB {
		kind = latchkey.ErrConflict
		c.cfg.Handler.Doubled(false)
		if err := c.newest(e.GetNewest()); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %s: %q", kind, e.GetCode(), e.GetText())
}

// newest has the hub look at the note that the cloud has as its newest.
func (c *conn) newest(note []byte) error {
	if len(note) == 0 {
		return nil
	}
	return c.cfg.Handler.Newest(note)
}

// serve runs reader and writer until one fails or ctx ends and all is sent.
func (c *conn) serve(ctx context.Context) error {
	c.queue.reset(true)
	defer c.queue.reset(false)
	c.cfg.Handler.State(Connected) // after reset: what the hub now writes goes live
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var commands sync.WaitGroup
	defer commands.Wait()
	defer cancel()
	failed, read := make(chan error, 1), make(chan struct{})
	go func() { defer close(read); failed <- c.readLoop(inner, &commands) }()
	// Whatever the reader was told last, nobody watches over a line that is gone.
	defer func() { <-read; c.cfg.Handler.Watched(nil) }()
	err := c.writeLoop(ctx, failed)
	if ctx.Err() != nil && err == nil {
		deadline := time.Now().Add(time.Second)
		_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), deadline)
		_ = c.ws.SetReadDeadline(deadline) // politeness only: everything is in the spool
		return nil
	}
	c.ws.Close()
	return err
}

// alive extends the read deadline; any message or pong does.
func (c *conn) alive() {
	_ = c.ws.SetReadDeadline(time.Now().Add(3 * c.cfg.Pace.Ping)) // fails only on a closed connection, which read reports
}

func (c *conn) read() (byte, []byte, error) {
	kind, b, err := c.ws.ReadMessage()
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %w", latchkey.ErrUnavailable, err)
	}
	c.alive()
	if kind != websocket.BinaryMessage || len(b) == 0 {
		return 0, nil, fmt.Errorf("%w: not a binary message with a type", latchkey.ErrInvalid)
	}
	return b[0], b[1:], nil
}

// send writes one message: its type, then the pieces of its body.
func (c *conn) send(kind byte, body ...[]byte) error {
	c.buf = append(c.buf[:0], kind)
	for _, b := range body {
		c.buf = append(c.buf, b...)
	}
	if err := c.ws.SetWriteDeadline(time.Now().Add(c.cfg.Pace.Write)); err != nil {
		return err
	}
	if err := c.ws.WriteMessage(websocket.BinaryMessage, c.buf); err != nil {
		return fmt.Errorf("%w: %w", latchkey.ErrUnavailable, err)
	}
	return nil
}

func (c *conn) sendProto(kind byte, m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return c.send(kind, b)
}

// settle applies a receipt or a line of have to the spool.
func (c *conn) settle(epoch, track []byte, first, last uint32, level latchkeyv1.ReceiptLevel, hash *latchkey.Hash) error {
	var r spool.Range
	if len(epoch) != latchkey.IDSize || len(track) != latchkey.IDSize || last < first {
		return fmt.Errorf("%w: receipt", latchkey.ErrInvalid)
	}
	copy(r.Epoch[:], epoch)
	copy(r.Track[:], track)
	r.First, r.Last = first, last
	c.flow.receipt(r, time.Now())
	switch level {
	case latchkeyv1.ReceiptLevel_RECEIPT_LEVEL_STORED:
		c.cfg.Spool.Stored(r)
		return nil
	case latchkeyv1.ReceiptLevel_RECEIPT_LEVEL_DURABLE:
		err := c.cfg.Spool.Ack(r, hash)
		if errors.Is(err, latchkey.ErrVerify) {
			// Somebody's bytes are not ours: keep them, say so, go on.
			c.cfg.Log.Error("receipt refused", "err", err)
			return nil
		}
		return err
	}
	return fmt.Errorf("%w: receipt level %d", latchkey.ErrInvalid, level)
}
