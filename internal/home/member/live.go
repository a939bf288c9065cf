package member

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

const (
	ackEvery    = 150 * time.Millisecond // the server wants one at least every 250 ms
	readTimeout = 30 * time.Second       // the server pings more often
	maxFrame    = part.HeaderSize + part.MaxCT + part.SigSize
	retryFirst  = 300 * time.Millisecond
	retryMost   = 5 * time.Second
)

// LiveRequest says what to watch.
type LiveRequest struct {
	Camera string
	Kind   latchkey.TrackKind // empty: video
	Audio  bool               // the sound too, as its own pieces
	// Notice is told what a viewer must know: skipped, missing, stale,
	// complete again, no source, connection lost. May be nil.
	Notice func(Notice)
}

// Notice is something a viewer must know.
type Notice struct {
	Kind string // skipped, missing, stale, fresh, idle, hub-offline, hub-online, reconnecting, not-shared
	Text string // one plain sentence
}

// Media is one opened live part.
type Media struct {
	Kind     latchkey.TrackKind
	Init     []byte // nil unless it can be decoded without earlier ones
	Fragment []byte // moof ‖ mdat
	At       time.Time
}

// Live watches a camera until ctx ends or something does not verify
// (latchkey.ErrVerify). It connects again by itself when the line breaks. emit
// gets every part in order, verified; while it runs nothing else is read, and a
// server sends a slow reader on to the next random-access part.
func (c *Client) Live(ctx context.Context, req LiveRequest, emit func(Media) error) error {
	cam, err := c.find(ctx, req.Camera)
	if err != nil {
		return err
	}
	w, err := c.newWatch(cam, req, emit)
	if err != nil {
		return err
	}
	wait := retryFirst
	for {
		before := w.passed
		err := w.once(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, latchkey.ErrUnavailable):
			return err
		case w.passed > before:
			wait = retryFirst
		}
		w.notice("reconnecting", "The line broke; connecting again.")
		if err := pause(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, retryMost)
	}
}

// watch is one viewer over all its connections.
type watch struct {
	client *Client
	req    LiveRequest
	emit   func(Media) error
	tracks map[latchkey.TrackID]*liveTrack
	passed int  // parts emitted
	away   bool // the hub, says the cloud

	mu     sync.Mutex // guards writes to conn, and all below
	conn   *websocket.Conn
	acks   map[latchkey.TrackID]liveOp
	oldest time.Time // up to here the hub vouches for every watched track
	stale  bool

	telling sync.Mutex // one notice at a time
}

// liveOp is one text message of the live socket, in either direction.
type liveOp struct {
	Op     string `json:"op"`
	Track  string `json:"track,omitempty"`
	Epoch  string `json:"epoch,omitempty"`
	Seq    uint32 `json:"seq"`
	Note   []byte `json:"note,omitempty"`
	From   uint32 `json:"from,omitempty"`
	To     uint32 `json:"to,omitempty"`
	Online bool   `json:"online,omitempty"`
	Why    string `json:"why,omitempty"`
}

func (c *Client) newWatch(cam Camera, req LiveRequest, emit func(Media) error) (*watch, error) {
	if req.Kind == "" {
		req.Kind = latchkey.KindVideo
	}
	w := &watch{
		client: c, req: req, emit: emit, oldest: time.Now(),
		tracks: map[latchkey.TrackID]*liveTrack{}, acks: map[latchkey.TrackID]liveOp{},
	}
	kinds := []latchkey.TrackKind{req.Kind}
	if req.Audio {
		kinds = append(kinds, latchkey.KindAudio)
	}
	for _, kind := range kinds {
		t, ok := cam.Track(kind)
		if !ok {
			return nil, fmt.Errorf("member: live: camera %q has no %s: %w", cam.Name, kind, latchkey.ErrNotFound)
		}
		w.tracks[t.ID] = &liveTrack{watch: w, id: t.ID, kind: kind, since: time.Now()}
	}
	return w, nil
}

func (w *watch) notice(kind, format string, args ...any) {
	w.telling.Lock()
	defer w.telling.Unlock()
	if w.req.Notice != nil {
		w.req.Notice(Notice{Kind: kind, Text: fmt.Sprintf(format, args...)})
	}
}

// once is one connection: it returns when the line breaks
// (latchkey.ErrUnavailable) or something is wrong.
func (w *watch) once(ctx context.Context) error {
	conn, err := w.dial(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.conn = conn
	w.mu.Unlock()
	over, stopped := make(chan struct{}), make(chan struct{})
	go func() { defer close(stopped); w.tend(ctx, conn, over) }()
	defer func() { close(over); conn.Close(); <-stopped }()
	for id, t := range w.tracks {
		t.fresh = false
		if err := w.send(liveOp{Op: "watch", Track: id.String()}); err != nil {
			return err
		}
	}
	for {
		kind, msg, err := conn.ReadMessage()
		if err != nil {
			return fmt.Errorf("member: live: %w: %v", latchkey.ErrUnavailable, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
			return fmt.Errorf("member: live: %w: %v", latchkey.ErrUnavailable, err)
		}
		if kind == websocket.BinaryMessage {
			err = w.part(ctx, msg)
		} else {
			err = w.text(ctx, msg)
		}
		if err != nil {
			return err
		}
		w.note()
	}
}

// dial opens the socket in the member's session.
func (w *watch) dial(ctx context.Context) (*websocket.Conn, error) {
	target := "ws" + strings.TrimPrefix(w.client.api.origin, "http") + "/v1/live"
	stale := ""
	for {
		token, err := w.client.session(ctx, stale)
		if err != nil {
			return nil, w.client.obey(err)
		}
		dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second, Proxy: http.ProxyFromEnvironment, ReadBufferSize: 64 << 10}
		conn, res, err := dialer.DialContext(ctx, target, http.Header{"Authorization": {"Bearer " + token}})
		if err == nil {
			return conn, prepare(conn)
		}
		if res == nil {
			return nil, fmt.Errorf("member: live: %w: %v", latchkey.ErrUnavailable, err)
		}
		err = httpError("live", res)
		if res.StatusCode != http.StatusUnauthorized || stale != "" || errors.Is(err, ErrDeviceEnded) {
			return nil, w.client.obey(err)
		}
		stale = token
	}
}

// prepare bounds what the server may send and how long it may be silent. Its
// pings count as a sign of life: a camera that is off sends nothing.
func prepare(conn *websocket.Conn) error {
	conn.SetReadLimit(maxFrame)
	pong := conn.PingHandler()
	conn.SetPingHandler(func(data string) error {
		if err := conn.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
			return err
		}
		return pong(data)
	})
	return conn.SetReadDeadline(time.Now().Add(readTimeout))
}

// send writes one text message; safe beside tend.
func (w *watch) send(op liveOp) error {
	b, err := json.Marshal(op)
	if err != nil {
		return fmt.Errorf("member: live: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.conn.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return fmt.Errorf("member: live: %w: %v", latchkey.ErrUnavailable, err)
	}
	if err := w.conn.WriteMessage(websocket.TextMessage, b); err != nil {
		return fmt.Errorf("member: live: %w: %v", latchkey.ErrUnavailable, err)
	}
	return nil
}

// tend tells the server how far this reader is, says so when the footage gets
// stale, and closes the socket when ctx ends, so that the reading loop wakes up.
func (w *watch) tend(ctx context.Context, conn *websocket.Conn, over <-chan struct{}) {
	tick := time.NewTicker(ackEvery)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-ctx.Done():
			conn.Close()
			return
		case <-tick.C:
		}
		w.judge(time.Now())
		for _, ack := range w.takeAcks() {
			if w.send(ack) != nil {
				return // the reading loop meets the same broken line
			}
		}
	}
}

func (w *watch) takeAcks() map[latchkey.TrackID]liveOp {
	w.mu.Lock()
	defer w.mu.Unlock()
	acks := w.acks
	w.acks = map[latchkey.TrackID]liveOp{}
	return acks
}

func (w *watch) acked(h part.Header) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acks[h.Track] = liveOp{Op: "ack", Track: h.Track.String(), Epoch: h.Epoch.String(), Seq: h.Seq}
}

// part takes one binary message: exactly one part of a watched track.
func (w *watch) part(ctx context.Context, msg []byte) error {
	p, err := part.Parse(msg)
	if err != nil {
		return fmt.Errorf("member: live: %w: %w", latchkey.ErrVerify, err)
	}
	t, ok := w.tracks[p.Header.Track]
	if !ok {
		return fmt.Errorf("member: live: %w: a part of a track that was not asked for", latchkey.ErrVerify)
	}
	media, err := t.take(ctx, p)
	if err != nil {
		return fmt.Errorf("member: live: %w", err)
	}
	w.acked(p.Header)
	if media == nil {
		return nil
	}
	w.passed++
	return w.emit(*media)
}

// text takes one text message.
func (w *watch) text(ctx context.Context, msg []byte) error {
	var op liveOp
	if err := json.Unmarshal(msg, &op); err != nil {
		return fmt.Errorf("member: live: %w: the server's message is no JSON", latchkey.ErrInvalid)
	}
	switch op.Op {
	case "heads":
		return w.heads(ctx, op)
	case "skip":
		for _, t := range w.tracks {
			if t.id.String() == op.Track {
				t.skipped(op)
			}
		}
	case "idle":
		w.notice("idle", "No picture comes from the hub now.")
	case "hub":
		w.presence(op.Online)
	case "error":
		return fmt.Errorf("member: live: %w: the server says: %s", latchkey.ErrRefused, op.Why)
	}
	return nil // other messages are of a later version
}

// presence tells of a hub that goes and comes; that it is there is no news.
func (w *watch) presence(online bool) {
	switch {
	case !online && !w.away:
		w.notice("hub-offline", "The hub is not connected; the picture goes on when it is back.")
	case online && w.away:
		w.notice("hub-online", "The hub is connected again.")
	}
	w.away = !online
}

func (w *watch) heads(ctx context.Context, op liveOp) error {
	id, err := latchkey.ParseEpochID(op.Epoch)
	if err != nil {
		return fmt.Errorf("member: live: heads: %w", err)
	}
	e, err := w.client.book.epoch(ctx, id)
	if err != nil {
		return err
	}
	if err := w.client.book.newHeads(e, op.Note); err != nil {
		return fmt.Errorf("member: live: %w", err)
	}
	return nil
}

// note remembers up to which time the hub vouches for everything watched.
func (w *watch) note() {
	oldest := time.Now()
	for _, t := range w.tracks {
		if v := t.vouched(); v.Before(oldest) {
			oldest = v
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.oldest = oldest
}

// judge says so when the hub's word about completeness gets too old, and when
// it is fresh again.
func (w *watch) judge(now time.Time) {
	w.mu.Lock()
	oldest := w.oldest
	stale := now.Sub(oldest) > freshness
	changed := stale != w.stale
	w.stale = stale
	w.mu.Unlock()
	switch {
	case changed && stale:
		w.notice("stale", "Not complete since %s: the hub's word about later footage has not come.", oldest.UTC().Format(time.RFC3339))
	case changed:
		w.notice("fresh", "Complete and verified again.")
	}
}
