package uplinktest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/part"
)

// conn is one uplink connection.
type conn struct {
	c     *Cloud
	n     int
	write sync.Mutex
	ws    *websocket.Conn
	said  bool // hello came
	had   bool // have was sent
	known map[latchkey.EpochID]bool
	boot  string
}

func (c *Cloud) uplink(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	c.mu.Lock()
	_, ok := c.tokens[token]
	c.conns++
	k := &conn{c: c, n: c.conns, known: map[latchkey.EpochID]bool{}}
	c.mu.Unlock()
	if !ok {
		http.Error(w, "no session", http.StatusUnauthorized)
		return
	}
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	k.ws = ws
	defer func() {
		c.mu.Lock()
		if c.live == k {
			c.live = nil
		}
		c.mu.Unlock()
	}()
	for {
		kind, b, err := ws.ReadMessage()
		if err != nil {
			return
		}
		if kind != websocket.BinaryMessage || len(b) == 0 {
			c.note("not a binary message with a type")
			return
		}
		err = k.take(b[0], b[1:])
		if err == errDamaged || err == errDoubled {
			return
		}
		if err != nil {
			c.note("connection %d: message %#x: %v", k.n, b[0], err)
			return
		}
	}
}

func (c *Cloud) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violate(format, args...)
}

func (k *conn) send(kind byte, m proto.Message) {
	b, err := proto.Marshal(m)
	if err != nil {
		k.c.t.Error(err)
		return
	}
	k.write.Lock()
	defer k.write.Unlock()
	_ = k.ws.WriteMessage(websocket.BinaryMessage, append([]byte{kind}, b...)) // a cut connection is part of the game
}

// take checks and answers one message of the hub.
func (k *conn) take(kind byte, body []byte) error {
	if !k.had && kind != 0x05 {
		return fmt.Errorf("before have was answered")
	}
	if k.c.Trust && kind != 0x05 {
		return k.trust(kind, body)
	}
	k.c.mu.Lock()
	k.c.messages = append(k.c.messages, Message{Kind: kind, Conn: k.n, At: time.Now()})
	at := len(k.c.messages) - 1
	k.c.mu.Unlock()
	switch kind {
	case 0x05:
		return k.hello(body)
	case 0x03:
		return k.epoch(body)
	case 0x01, 0x02:
		return k.parts(kind, body, at)
	case 0x04:
		return k.heads(body)
	case 0x06:
		return k.result(body)
	case 0x07:
		return k.released(body)
	case 0x08:
		return k.health(body)
	}
	return fmt.Errorf("no such message")
}

func (k *conn) hello(body []byte) error {
	m := &latchkeyv1.UplinkHello{}
	if err := proto.Unmarshal(body, m); err != nil {
		return err
	}
	if k.said {
		return fmt.Errorf("second hello")
	}
	k.said = true
	if len(m.GetBoot()) != 16 {
		return fmt.Errorf("boot id of %d bytes", len(m.GetBoot()))
	}
	k.boot = string(m.GetBoot())
	have := &latchkeyv1.UplinkHave{}
	k.c.mu.Lock()
	have.Newest = k.c.newest()
	if first := k.c.live; first != nil && first.boot != k.boot {
		k.c.doubled++
		k.c.mu.Unlock()
		twice := &latchkeyv1.UplinkError{Code: latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_DUPLICATE_HUB, Text: "two machines"}
		first.send(0x86, twice)
		twice.Newest = have.Newest
		k.send(0x86, twice)
		return errDoubled
	}
	for _, r := range m.GetHeld() {
		var s Stream
		copy(s.Epoch[:], r.GetEpoch())
		copy(s.Track[:], r.GetTrack())
		if r.GetLastSeq() < r.GetFirstSeq() {
			k.c.violate("hello: range %d–%d", r.GetFirstSeq(), r.GetLastSeq())
		}
		for seq := r.GetFirstSeq(); seq <= r.GetLastSeq(); seq++ {
			if _, ok := k.c.parts[s][seq]; !ok {
				continue
			}
			level := latchkeyv1.ReceiptLevel_RECEIPT_LEVEL_STORED
			if k.c.durable[s][seq] {
				level = latchkeyv1.ReceiptLevel_RECEIPT_LEVEL_DURABLE
			}
			have.Have = append(have.Have, &latchkeyv1.HaveRange{Epoch: s.Epoch[:], Track: s.Track[:], FirstSeq: seq, LastSeq: seq, Level: level})
		}
	}
	k.c.mu.Unlock()
	// A hub that does not wait for the answer would be caught here.
	time.Sleep(20 * time.Millisecond)
	k.send(0x82, have)
	k.had = true
	k.c.mu.Lock()
	k.c.live = k
	watched := k.c.watched
	k.c.mu.Unlock()
	k.watch(watched)
	return nil
}

func (k *conn) watch(tracks []latchkey.TrackID) {
	m := &latchkeyv1.UplinkWatched{}
	for _, t := range tracks {
		m.Tracks = append(m.Tracks, t[:])
	}
	k.send(0x87, m)
}

func (k *conn) epoch(body []byte) error {
	m := &latchkeyv1.UplinkEpoch{}
	if err := proto.Unmarshal(body, m); err != nil {
		return err
	}
	k.c.mu.Lock()
	err := k.c.addEpoch(m)
	k.c.mu.Unlock()
	if err != nil {
		return err
	}
	n, _ := chain.ParseNote(m.GetNote())
	note, _ := chain.ParseEpochNote(n)
	k.known[note.Epoch] = true
	k.send(0x83, &latchkeyv1.EpochReceipt{Epoch: note.Epoch[:]})
	return nil
}

func (k *conn) parts(kind byte, body []byte, at int) error {
	damaged := k.c.Damage != nil && k.c.Damage(kind)
	if damaged {
		body[len(body)/2] ^= 1
	}
	body, err := unsum(kind, body)
	if err != nil && damaged {
		k.send(0x86, &latchkeyv1.UplinkError{Code: latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_INVALID, Text: "damaged by the test"})
		return errDamaged
	}
	if err != nil {
		return err
	}
	h, err := part.ParseHeader(body)
	if err != nil {
		return err
	}
	if !k.known[h.Epoch] {
		return fmt.Errorf("%v: part before its epoch note on this connection", h)
	}
	msg := Message{Kind: kind, Stream: Stream{h.Epoch, h.Track}, First: h.Seq, Last: h.Seq, Conn: k.n, At: time.Now()}
	if k.c.Refuse != nil {
		if code := k.c.Refuse(msg); code != 0 {
			k.send(0x86, &latchkeyv1.UplinkError{Code: code, Epoch: h.Epoch[:], Track: h.Track[:], Seq: h.Seq, Text: "refused by the test"})
			return nil
		}
	}
	k.c.mu.Lock()
	run, err := k.c.addParts(body)
	if err == nil {
		msg.Last = run[len(run)-1].Header.Seq
		k.c.messages[at] = msg
	}
	k.c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%v: %w", h, err)
	}
	k.receipts(msg, run[len(run)-1])
	return nil
}

// errDamaged and errDoubled end a connection without blaming the hub.
var (
	errDamaged = errors.New("damaged by the test")
	errDoubled = errors.New("another machine with this identity is connected")
)

// unsum returns the parts of a message; backlog has their CRC-32C before them.
func unsum(kind byte, body []byte) ([]byte, error) {
	if kind != 0x02 {
		return body, nil
	}
	if len(body) < 4 || binary.BigEndian.Uint32(body) != crc32.Checksum(body[4:], crc32.MakeTable(crc32.Castagnoli)) {
		return nil, fmt.Errorf("wrong checksum")
	}
	return body[4:], nil
}

// receipts answers STORED, and DURABLE as DurableEvery says.
func (k *conn) receipts(msg Message, last part.Part) {
	hash := last.Hash()
	r := &latchkeyv1.Receipt{
		Epoch: msg.Stream.Epoch[:], Track: msg.Stream.Track[:], FirstSeq: msg.First, LastSeq: msg.Last, Hash: hash[:],
		Level: latchkeyv1.ReceiptLevel_RECEIPT_LEVEL_STORED,
	}
	k.send(0x81, r)
	end := last.Header.Flags&part.END != 0
	every := uint32(k.c.DurableEvery)
	if crossed := every == 0 || (msg.Last+1)/every > msg.First/every; !end && !crossed {
		return
	}
	for _, d := range k.c.makeDurable(msg.Stream, msg.Last) {
		k.send(0x81, d)
	}
}

// makeDurable makes what is stored up to last durable and returns the receipts.
func (c *Cloud) makeDurable(s Stream, last uint32) []*latchkeyv1.Receipt {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*latchkeyv1.Receipt
	for seq := uint32(0); seq <= last; seq++ {
		raw, ok := c.parts[s][seq]
		if !ok || c.durable[s][seq] {
			continue
		}
		c.durable[s][seq] = true
		p, err := part.Parse(raw)
		if err != nil {
			continue
		}
		hash := p.Hash()
		if n := len(out); n > 0 && out[n-1].LastSeq+1 == seq {
			out[n-1].LastSeq, out[n-1].Hash = seq, hash[:]
			continue
		}
		out = append(out, &latchkeyv1.Receipt{
			Epoch: s.Epoch[:], Track: s.Track[:], FirstSeq: seq, LastSeq: seq, Hash: hash[:],
			Level: latchkeyv1.ReceiptLevel_RECEIPT_LEVEL_DURABLE,
		})
	}
	return out
}

func (k *conn) heads(body []byte) error {
	n, err := chain.ParseNote(body)
	if err != nil {
		return err
	}
	h, err := chain.ParseHeads(n)
	if err != nil {
		return err
	}
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	e, ok := k.c.epochs[h.Epoch]
	if !ok {
		return fmt.Errorf("heads of an unknown epoch")
	}
	if err := n.Verify(e.Note.Signer); err != nil {
		return err
	}
	if old, ok := k.c.heads[h.Epoch]; ok && h.N <= old.N {
		return fmt.Errorf("heads %d after %d", h.N, old.N)
	}
	k.c.heads[h.Epoch] = h
	return nil
}

func (k *conn) result(body []byte) error {
	m := &latchkeyv1.UplinkCommandResult{}
	if err := proto.Unmarshal(body, m); err != nil {
		return err
	}
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	ch := k.c.results[m.GetId()]
	if ch == nil {
		return fmt.Errorf("result of a command that was not sent, or twice")
	}
	delete(k.c.results, m.GetId())
	ch <- m.GetResult()
	return nil
}

// trust receipts parts at both levels, unseen.
func (k *conn) trust(kind byte, body []byte) error {
	if kind != 0x01 && kind != 0x02 {
		return nil
	}
	body, err := unsum(kind, body)
	if err != nil {
		return err
	}
	first, _, err := part.Next(body)
	last := first
	for rest := body; len(rest) > 0 && err == nil; {
		last, rest, err = part.Next(rest)
	}
	if err != nil {
		return err
	}
	h, hash := first.Header, last.Hash()
	for _, level := range []latchkeyv1.ReceiptLevel{1, 2} {
		k.send(0x81, &latchkeyv1.Receipt{
			Epoch: h.Epoch[:], Track: h.Track[:], FirstSeq: h.Seq, LastSeq: last.Header.Seq, Hash: hash[:], Level: level,
		})
	}
	return nil
}

func (k *conn) released(body []byte) error {
	m := &latchkeyv1.UplinkReleased{}
	if err := proto.Unmarshal(body, m); err != nil {
		return err
	}
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	ch := k.c.openings[m.GetId()]
	if ch == nil {
		return fmt.Errorf("answer to an opening that was not sent, or twice")
	}
	delete(k.c.openings, m.GetId())
	ch <- m
	return nil
}

func (k *conn) health(body []byte) error {
	m := &latchkeyv1.UplinkHealth{}
	if err := proto.Unmarshal(body, m); err != nil {
		return err
	}
	k.c.mu.Lock()
	defer k.c.mu.Unlock()
	k.c.health = append(k.c.health, m)
	return nil
}
