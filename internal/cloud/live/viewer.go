package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"latchkey.dev/latchkey"
)

// Limits of one socket.
const (
	maxWatched = 128
	maxMessage = 1024 // of a viewer
	writeWait  = 10 * time.Second
	readWait   = 75 * time.Second // without a word from the viewer, pongs included
	pingEvery  = 25 * time.Second

	maxTold      = 256
	maxTextQueue = 1024
)

// Access says who a viewer is and what he may watch.
type Access struct {
	Household latchkey.HouseholdID
	// May reports whether the track is the viewer's to see. It is asked at each
	// watch and at each Review.
	May func(context.Context, latchkey.TrackID) bool
	// See tells which slots of an epoch of a track he may see. It is asked once
	// for each epoch that a watched track comes to, and after each Review. Nil:
	// all slots of all epochs.
	See func(context.Context, latchkey.TrackID, latchkey.EpochID) Slots
}

// viewer is one socket with any number of tracks.
type viewer struct {
	r      *Relay
	access Access
	ws     *websocket.Conn
	wake   chan struct{} // capacity 1

	mu    sync.Mutex // taken before a track's mutex when both are needed; never the other way round
	subs  map[latchkey.TrackID]*sub
	order []*sub // of subs, as watched
	line  line
	told  map[latchkey.EpochID]bool
	// reviews counts Reviews: what was asked before one does not count after it.
	reviews int

	textMu  sync.Mutex // a leaf: taken under any other lock
	texts   []*shared
	tooMany bool
	carried map[latchkey.EpochID]bool // epochs whose heads this viewer hears
}

// request is a message of a viewer.
type request struct {
	Op    string `json:"op"`
	Track string `json:"track"`
	Epoch string `json:"epoch"`
	Seq   uint32 `json:"seq"`
}

// Serve runs one viewer's socket until it ends, ctx ends, or the viewer breaks
// the protocol. It closes ws. The error is nil when the viewer left.
func (r *Relay) Serve(ctx context.Context, ws *websocket.Conn, access Access) error {
	v := &viewer{
		r: r, access: access, ws: ws, wake: make(chan struct{}, 1),
		subs: map[latchkey.TrackID]*sub{}, told: map[latchkey.EpochID]bool{}, carried: map[latchkey.EpochID]bool{},
	}
	v.join()
	defer v.leave()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wrote := make(chan error, 1)
	go func() {
		defer cancel()
		wrote <- v.writeLoop(ctx)
		_ = ws.Close() // ends readLoop; its error would say nothing new
	}()
	err := v.readLoop(ctx)
	cancel()
	return errors.Join(err, <-wrote)
}

func (v *viewer) join() {
	r := v.r
	r.mu.Lock()
	defer r.mu.Unlock()
	home := r.homeOf(v.access.Household)
	home.viewers[v] = true
	r.stats.Viewers.Add(1)
	v.tell(textFrame(hubMessage{Op: "hub", Online: home.hubs > 0}))
}

func (v *viewer) leave() {
	v.mu.Lock()
	for id := range v.subs {
		v.unwatch(id)
	}
	v.mu.Unlock()
	r := v.r
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.homeOf(v.access.Household).viewers, v)
	r.stats.Viewers.Add(-1)
	r.tidy(v.access.Household)
}

func (v *viewer) wakeUp() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// tell queues a text frame. A viewer that lets a thousand of them pile up is gone.
func (v *viewer) tell(f *shared) {
	v.textMu.Lock()
	if len(v.texts) < maxTextQueue {
		v.texts = append(v.texts, f)
	} else {
		v.tooMany = true
	}
	v.textMu.Unlock()
	v.wakeUp()
}

// tellOfEpoch queues f if this socket carries parts of the epoch. It is called
// under the relay's lock, so it must not wait for mu: the writer holds that
// only while it gathers, never while it writes.
func (v *viewer) tellOfEpoch(epoch latchkey.EpochID, f *shared) {
	v.textMu.Lock()
	carries := v.carried[epoch]
	v.textMu.Unlock()
	if carries {
		v.tell(f)
	}
}

// readLoop takes requests. nil when the viewer closed or went silent.
func (v *viewer) readLoop(ctx context.Context) error {
	v.ws.SetReadLimit(maxMessage)
	alive := func() error { return v.ws.SetReadDeadline(time.Now().Add(readWait)) }
	v.ws.SetPongHandler(func(string) error { return alive() })
	for {
		if err := alive(); err != nil {
			return nil //nolint:nilerr // the viewer has gone
		}
		kind, b, err := v.ws.ReadMessage()
		if err != nil {
			return nil //nolint:nilerr // the viewer has gone
		}
		req, err := parseRequest(kind, b)
		if err != nil {
			return err
		}
		if err := v.serve(ctx, req); err != nil {
			return err
		}
	}
}

func parseRequest(kind int, b []byte) (request, error) {
	var req request
	if kind != websocket.TextMessage {
		return req, fmt.Errorf("live: request: %w: not text", latchkey.ErrInvalid)
	}
	if err := json.Unmarshal(b, &req); err != nil {
		return req, fmt.Errorf("live: request: %w: %v", latchkey.ErrInvalid, err)
	}
	return req, nil
}

func (v *viewer) serve(ctx context.Context, req request) error {
	id, err := latchkey.ParseTrackID(req.Track)
	if err != nil {
		return fmt.Errorf("live: %s: %w", req.Op, err)
	}
	switch req.Op {
	case "watch":
		v.watch(ctx, id)
	case "unwatch":
		v.mu.Lock()
		v.unwatch(id)
		v.mu.Unlock()
	case "ack":
		epoch, err := latchkey.ParseEpochID(req.Epoch)
		if err != nil {
			return fmt.Errorf("live: ack: %w", err)
		}
		v.ack(id, epoch, req.Seq)
	default:
		return fmt.Errorf("live: request: %w: unknown op", latchkey.ErrInvalid)
	}
	return nil
}

// notYours does not tell a track that is not there from one that is not his.
const notYours = "There is no such track, or it is not yours to see."

// watch begins a track, if it is the viewer's to see.
func (v *viewer) watch(ctx context.Context, id latchkey.TrackID) {
	for {
		v.mu.Lock()
		reviews := v.reviews
		v.mu.Unlock()
		if !v.access.May(ctx, id) {
			v.tell(textFrame(trackMessage{Op: "error", Track: id.String(), Why: notYours}))
			return
		}
		if v.subscribe(id, reviews) {
			return
		}
	}
}

// subscribe begins a track; false: rights were reviewed since, ask again.
func (v *viewer) subscribe(id latchkey.TrackID, reviews int) bool {
	t := v.r.track(v.access.Household, id)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.reviews != reviews {
		return false
	}
	if v.subs[id] != nil {
		return true
	}
	if len(v.subs) >= maxWatched {
		v.tell(textFrame(trackMessage{Op: "error", Track: id.String(), Why: "Too many tracks on one connection."}))
		return true
	}
	t.mu.Lock()
	s := newSub(t, &v.line, time.Now())
	t.watchers[v] = true
	source := t.source
	t.mu.Unlock()
	s.limit(v.access)
	v.subs[id] = s
	v.order = append(v.order, s)
	v.r.came(v.access.Household, id) // after t.watchers has v: what the hub now sends at once is for him
	if !source {
		v.tell(textFrame(trackMessage{Op: "idle", Track: id.String()}))
	}
	v.wakeUp()
	return true
}

// unwatch ends a track. Callers hold mu.
func (v *viewer) unwatch(id latchkey.TrackID) {
	s := v.subs[id]
	if s == nil {
		return
	}
	delete(v.subs, id)
	s.end(time.Now())
	for i, o := range v.order {
		if o == s {
			v.order = append(v.order[:i], v.order[i+1:]...)
			break
		}
	}
	s.t.mu.Lock()
	delete(s.t.watchers, v)
	s.t.mu.Unlock()
	v.r.left(v.access.Household, id)
}

func (v *viewer) ack(id latchkey.TrackID, epoch latchkey.EpochID, seq uint32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.subs[id]; s != nil {
		s.ack(epoch, seq, time.Now())
		v.wakeUp()
	}
}

// writeLoop sends what there is in as few system calls as it can: whatever
// has gathered since the last write goes out in one.
func (v *viewer) writeLoop(ctx context.Context) error {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	conn := v.ws.NetConn()
	var batch []*shared
	for {
		var err error
		if batch, err = v.gather(batch[:0], time.Now()); err != nil {
			return err
		}
		if len(batch) > 0 {
			if err := v.write(conn, batch); err != nil {
				return nil // the viewer is gone, or does not read any more
			}
		}
		if v.learn(ctx) || len(batch) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			text := websocket.FormatCloseMessage(websocket.CloseGoingAway, "")
			_ = v.ws.WriteControl(websocket.CloseMessage, text, time.Now().Add(time.Second)) // politeness only
			return nil
		case <-v.wake:
		case <-ping.C:
			if err := v.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)); err != nil {
				return nil
			}
		}
	}
}

// write sends frames with one vectored write. A frame never mixes with a
// control frame of gorilla's: net.Conn writes are atomic, frame by frame or
// all together.
func (v *viewer) write(conn net.Conn, batch []*shared) error {
	if err := conn.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	v.r.stats.Writes.Add(1)
	v.r.stats.Frames.Add(int64(len(batch)))
	if len(batch) == 1 {
		n, err := conn.Write(batch[0].frame)
		v.r.stats.Bytes.Add(int64(n))
		return err
	}
	bufs := make(net.Buffers, len(batch))
	for i, f := range batch {
		bufs[i] = f.frame
	}
	n, err := bufs.WriteTo(conn)
	v.r.stats.Bytes.Add(n)
	return err
}

// gather collects the frames to send now: texts first, then each track's.
func (v *viewer) gather(dst []*shared, now time.Time) ([]*shared, error) {
	v.textMu.Lock()
	dst = append(dst, v.texts...)
	v.texts = v.texts[:0]
	tooMany := v.tooMany
	v.textMu.Unlock()
	if tooMany {
		return nil, fmt.Errorf("live: %w: messages unread", latchkey.ErrTooMany)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.order {
		from := len(dst)
		wasSkipped := s.skipped
		s.t.mu.Lock()
		dst = s.take(dst, now)
		s.t.mu.Unlock()
		if wasSkipped && !s.skipped {
			v.r.stats.Skips.Add(1)
		}
		dst = v.announce(dst, from)
	}
	return dst, nil
}

// announce puts the epoch and heads messages before the first part of an epoch
// that this socket has not carried yet, in dst from index from on.
func (v *viewer) announce(dst []*shared, from int) []*shared {
	for i := from; i < len(dst); i++ {
		p := dst[i]
		if p.at.IsZero() || v.told[p.epoch] {
			continue
		}
		if len(v.told) >= maxTold {
			clear(v.told)
		}
		v.told[p.epoch] = true
		before := []*shared{textFrame(epochMessage{Op: "epoch", Epoch: p.epoch.String()})}
		if f := v.r.carry(v, p.epoch); f != nil {
			before = append(before, f)
		}
		dst = append(dst[:i], append(before, dst[i:]...)...)
		i += len(before)
	}
	return dst
}
