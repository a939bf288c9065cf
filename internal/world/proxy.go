package world

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/part"
)

// Types of uplink messages (docs/spec/wire.md, "Uplink").
const (
	MsgLive    = 0x01
	MsgBacklog = 0x02
	msgEpoch   = 0x03
	MsgHello   = 0x05
	msgReceipt = 0x81
	msgHave    = 0x82
	msgError   = 0x86
)

// Proxy stands before the cloud and writes down what hub and cloud tell each
// other on the uplink. It changes nothing.
type Proxy struct {
	t   *testing.T
	url string

	mu       sync.Mutex
	conns    int
	messages []Message
	sent     map[PartID]latchkey.Hash
	starts   map[latchkey.EpochID]int64
	stored   []promise
	refusals []*v1.UplinkError
}

// Message is one message of the hub.
type Message struct {
	Conn  int // 1 is the first connection
	Type  byte
	Size  int
	First PartID // of a message of parts
	At    int64  // unix seconds: when the first part's slot began
}

// promise is a receipt or a line of have: the cloud says it has these parts.
type promise struct {
	first, last PartID
	hash        []byte // of last; nil: have tells none
}

func newProxy(t *testing.T, to string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, sent: map[PartID]latchkey.Hash{}, starts: map[latchkey.EpochID]int64{}}
	rp := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to})
	rp.FlushInterval = -1
	rp.Transport = &http.Transport{DisableKeepAlives: true} // to a cloud that may be killed and started again
	rp.ErrorLog = log.New(io.Discard, "", 0)
	rp.ModifyResponse = p.tap
	// A cloud that is not there answers nothing.
	rp.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		// Read as a whole: an answer that comes before the proxy has seen the end
		// of the question would be cut off.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		rp.ServeHTTP(rw, r)
	}))
	s.Config.ErrorLog = rp.ErrorLog
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	p.url = s.URL
	return p
}

// tap reads along on a new uplink.
func (p *Proxy) tap(r *http.Response) error {
	if r.StatusCode != http.StatusSwitchingProtocols || r.Request.URL.Path != "/v1/uplink" {
		return nil
	}
	p.mu.Lock()
	p.conns++
	conn := p.conns
	p.mu.Unlock()
	r.Body = &tapped{
		ReadWriteCloser: r.Body.(io.ReadWriteCloser),
		down:            frames{on: p.fromCloud},
		up:              frames{on: func(b []byte) { p.fromHub(conn, b) }},
	}
	return nil
}

type tapped struct {
	io.ReadWriteCloser
	down, up frames
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(b)
	c.down.take(b[:n]) // before the hub sees it
	return n, err
}

func (c *tapped) Write(b []byte) (int, error) {
	c.up.take(b) // before the cloud can answer it
	return c.ReadWriteCloser.Write(b)
}

// frames cuts one direction of a WebSocket (RFC 6455, no extensions) into messages.
type frames struct {
	buf, msg []byte
	on       func([]byte)
}

func (f *frames) take(b []byte) {
	f.buf = append(f.buf, b...)
	for f.frame() {
	}
}

// frame takes one whole frame off buf.
func (f *frames) frame() bool {
	if len(f.buf) < 2 {
		return false
	}
	fin, control, masked := f.buf[0]&0x80 != 0, f.buf[0]&0x08 != 0, f.buf[1]&0x80 != 0
	n, at := uint64(f.buf[1]&0x7f), 2
	if ext := map[uint64]int{126: 2, 127: 8}[n]; ext > 0 {
		at += ext
		if len(f.buf) < at {
			return false
		}
		n = 0
		for _, b := range f.buf[2:at] {
			n = n<<8 | uint64(b)
		}
	}
	var mask [4]byte
	if masked {
		if len(f.buf) < at+4 {
			return false
		}
		copy(mask[:], f.buf[at:])
		at += 4
	}
	if uint64(len(f.buf)-at) < n {
		return false
	}
	body := bytes.Clone(f.buf[at : at+int(n)])
	for i := range body {
		body[i] ^= mask[i%4]
	}
	f.buf = f.buf[at+int(n):]
	if control {
		return true
	}
	f.msg = append(f.msg, body...)
	if fin {
		f.on(f.msg)
		f.msg = nil
	}
	return true
}

func (p *Proxy) fromHub(conn int, b []byte) {
	if len(b) == 0 {
		p.t.Error("the hub sent an empty message")
		return
	}
	m := Message{Conn: conn, Type: b[0], Size: len(b) - 1}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch b[0] {
	case MsgLive:
		p.parts(&m, b[1:])
	case MsgBacklog:
		p.parts(&m, p.checked(b[1:]))
	case msgEpoch:
		p.epoch(b[1:])
	}
	p.messages = append(p.messages, m)
}

// checked takes the checksum off the parts of a backlog message.
func (p *Proxy) checked(b []byte) []byte {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != crc32.Checksum(b[4:], crc32.MakeTable(crc32.Castagnoli)) {
		p.t.Error("the hub sent backlog whose checksum does not fit")
		return nil
	}
	return b[4:]
}

func (p *Proxy) parts(m *Message, b []byte) {
	for i := 0; len(b) > 0; i++ {
		one, rest, err := part.Next(b)
		if err != nil {
			p.t.Errorf("the hub sent what is no part: %v", err)
			return
		}
		h := one.Header
		id := PartID{h.Epoch, h.Track, h.Seq}
		if i == 0 {
			m.First, m.At = id, p.starts[h.Epoch]+int64(h.Slot)
			if p.starts[h.Epoch] == 0 {
				p.t.Errorf("part %v was sent before its epoch note", id)
			}
		}
		ph := one.Hash()
		if was, ok := p.sent[id]; ok && was != ph {
			p.t.Errorf("part %v was sent with two contents", id)
		}
		p.sent[id] = ph
		b = rest
	}
}

func (p *Proxy) epoch(b []byte) {
	m := &v1.UplinkEpoch{}
	if err := proto.Unmarshal(b, m); err != nil {
		p.t.Errorf("the hub sent what is no epoch: %v", err)
		return
	}
	note, err := epochNote(m)
	if err != nil {
		p.t.Errorf("the hub sent an epoch that does not parse: %v", err)
		return
	}
	p.starts[note.Epoch] = note.Start
}

func epochNote(m *v1.UplinkEpoch) (chain.EpochNote, error) {
	n, err := chain.ParseNote(m.GetNote())
	if err != nil {
		return chain.EpochNote{}, err
	}
	return chain.ParseEpochNote(n)
}

func (p *Proxy) fromCloud(b []byte) {
	if len(b) == 0 {
		p.t.Error("the cloud sent an empty message")
		return
	}
	var err error
	p.mu.Lock()
	defer p.mu.Unlock()
	switch b[0] {
	case msgReceipt:
		r := &v1.Receipt{}
		err = proto.Unmarshal(b[1:], r)
		p.promised(r.GetEpoch(), r.GetTrack(), r.GetFirstSeq(), r.GetLastSeq(), r.GetHash())
	case msgHave:
		h := &v1.UplinkHave{}
		err = proto.Unmarshal(b[1:], h)
		for _, r := range h.GetHave() {
			p.promised(r.GetEpoch(), r.GetTrack(), r.GetFirstSeq(), r.GetLastSeq(), nil)
		}
	case msgError:
		e := &v1.UplinkError{}
		err = proto.Unmarshal(b[1:], e)
		p.refusals = append(p.refusals, e)
	}
	if err != nil {
		p.t.Errorf("the cloud sent a message %#x that does not parse: %v", b[0], err)
	}
}

// promised notes a receipt, or a line of have, which comes without a hash.
func (p *Proxy) promised(epoch, track []byte, first, last uint32, hash []byte) {
	if len(epoch) != latchkey.IDSize || len(track) != latchkey.IDSize || (hash != nil && len(hash) != len(latchkey.Hash{})) {
		p.t.Error("the cloud sent a receipt with wrong lengths")
		return
	}
	e, t := latchkey.EpochID(epoch), latchkey.TrackID(track)
	p.stored = append(p.stored, promise{PartID{e, t, first}, PartID{e, t, last}, hash})
}

// Promised returns every part that the cloud has said to hold safely so far,
// with the hash of the bytes that the hub sent.
func (p *Proxy) Promised() Stock {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := NewStock()
	for _, r := range p.stored {
		for id := r.first; id.Seq <= r.last.Seq; id.Seq++ {
			h, ok := p.sent[id]
			if !ok {
				p.t.Errorf("a receipt for part %v, which was never sent", id)
				continue
			}
			s.Hash[id] = h
		}
		if sent := p.sent[r.last]; r.hash != nil && !bytes.Equal(r.hash, sent[:]) {
			p.t.Errorf("the receipt up to part %v speaks of other bytes", r.last)
		}
	}
	return s
}

// Sent returns every part the hub has sent so far.
func (p *Proxy) Sent() Stock {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := NewStock()
	for id, h := range p.sent {
		s.Hash[id] = h
	}
	return s
}

// Conns is how many uplinks were opened so far.
func (p *Proxy) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns
}

// Messages returns what the hub sent on its newest connection, in order.
func (p *Proxy) Messages() []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Message
	for _, m := range p.messages {
		if m.Conn == p.conns {
			out = append(out, m)
		}
	}
	return out
}

// Refusals counts the errors of a kind that the cloud reported.
func (p *Proxy) Refusals(code v1.UplinkErrorCode) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, e := range p.refusals {
		if e.GetCode() == code {
			n++
		}
	}
	return n
}
