package uplink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/spool"
)

// writeLoop sends epoch notes, then whatever is most urgent: control, live,
// backlog. It returns nil when ctx has ended and the queue is sent.
func (c *conn) writeLoop(ctx context.Context, failed <-chan error) error {
	for _, e := range c.cfg.Epochs.Pending() {
		if err := c.ensureEpoch(e); err != nil {
			return err
		}
	}
	ping := time.NewTicker(c.cfg.Pace.Ping)
	defer ping.Stop()
	// Looks again by itself: a pause of flow ends by time.
	look := time.NewTicker(250 * time.Millisecond)
	defer look.Stop()
	done, drain := ctx.Done(), (<-chan time.Time)(nil)
	for {
		busy, err := c.writeOne(ctx)
		if err != nil {
			return err
		}
		if ctx.Err() != nil && c.queue.empty() {
			return nil
		}
		if busy {
			select {
			case err := <-failed:
				return err
			case <-drain:
				return nil
			default:
				continue
			}
		}
		select {
		case err := <-failed:
			return err
		case <-done:
			done, drain = nil, time.After(c.cfg.Pace.Drain)
		case <-drain:
			return nil
		case <-c.queue.wake:
		case <-c.cfg.Spool.More():
		case <-c.wake:
		case <-look.C:
		case <-ping.C:
			if err := c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.cfg.Pace.Write)); err != nil {
				return fmt.Errorf("%w: %w", latchkey.ErrUnavailable, err)
			}
		}
	}
}

// writeOne sends one message, the most urgent one; false when there is none.
func (c *conn) writeOne(ctx context.Context) (bool, error) {
	ctl, live := c.queue.next(maxMessage)
	switch {
	case ctl != nil && ctl.kind == typeEpoch:
		return true, c.ensureEpoch(ctl.epoch)
	case ctl != nil:
		return true, c.send(ctl.kind, ctl.body)
	case live != nil:
		return true, c.sendLive(live)
	case ctx.Err() != nil:
		return false, nil //nolint:nilerr // the backlog is for the next start
	}
	return c.sendBacklog()
}

func (c *conn) sendLive(live []queued) error {
	if err := c.ensureEpoch(live[0].Epoch); err != nil {
		return c.orphan(live[0].Range, err)
	}
	body := live[0].raw
	if len(live) > 1 {
		c.flow.live(spool.Range{Key: live[0].Key, First: live[0].First, Last: live[len(live)-1].Last})
		body = nil
		for _, p := range live {
			body = append(body, p.raw...)
		}
	}
	return c.send(typeLive, body)
}

func (c *conn) sendBacklog() (bool, error) {
	room := c.flow.room(time.Now())
	if room == 0 {
		return false, nil
	}
	b, ok, err := c.cfg.Spool.Next(room)
	if !ok {
		return false, nil
	}
	var damage *spool.Damage
	if errors.As(err, &damage) {
		c.cfg.Log.Error("the disk has spoilt a part: it is given up", "err", err)
		c.cfg.Handler.Lost([]spool.Lost{damage.Lost})
		return true, nil
	}
	if err != nil {
		return true, err
	}
	if err := c.ensureEpoch(b.Epoch); err != nil {
		return true, c.orphan(b.Range, err)
	}
	c.flow.add(b.Range, len(b.Bytes), time.Now())
	sum := crc32.Checksum(b.Bytes, crc32.MakeTable(crc32.Castagnoli))
	return true, c.send(typeBacklog, binary.BigEndian.AppendUint32(nil, sum), b.Bytes)
}

// orphan gives up parts whose epoch note is gone: nobody could open them.
func (c *conn) orphan(r spool.Range, err error) error {
	if !errors.Is(err, latchkey.ErrNotFound) {
		return err
	}
	c.cfg.Log.Error("parts without epoch note given up", "epoch", r.Epoch, "track", r.Track, "first", r.First, "last", r.Last)
	c.cfg.Handler.Lost(c.cfg.Spool.Drop(r))
	return nil
}

// ensureEpoch sends the note of an epoch once on this connection.
func (c *conn) ensureEpoch(e latchkey.EpochID) error {
	c.sentMu.Lock()
	known := c.known[e]
	c.known[e] = true
	c.sentMu.Unlock()
	if known {
		return nil
	}
	m, err := c.cfg.Epochs.Load(e)
	if err != nil {
		return err
	}
	return c.sendProto(typeEpoch, m)
}

// readLoop takes what the cloud says until the connection ends.
func (c *conn) readLoop(ctx context.Context, commands *sync.WaitGroup) error {
	c.ws.SetPongHandler(func(string) error { c.alive(); return nil })
	for {
		kind, body, err := c.read()
		if err == nil {
			err = c.take(ctx, commands, kind, body)
		}
		if err != nil {
			return err
		}
	}
}

func (c *conn) take(ctx context.Context, commands *sync.WaitGroup, kind byte, body []byte) error {
	switch kind {
	case typeReceipt:
		return c.takeReceipt(body)
	case typeEpochReceipt:
		return c.takeEpochReceipt(body)
	case typeCommand:
		return c.takeCommand(ctx, commands, body)
	case typeOpening:
		return c.takeOpening(ctx, commands, body)
	case typeChain:
		m := &latchkeyv1.ChainNotice{}
		if err := unmarshal(body, m); err != nil {
			return err
		}
		c.cfg.Handler.ChainGrew(m.GetHeadSeq())
		return nil
	case typeWatched:
		return c.takeWatched(body)
	case typeError:
		return c.takeError(body)
	}
	return fmt.Errorf("uplink: %w: message type %#x", latchkey.ErrInvalid, kind)
}

func (c *conn) takeReceipt(body []byte) error {
	m := &latchkeyv1.Receipt{}
	if err := unmarshal(body, m); err != nil {
		return err
	}
	var hash latchkey.Hash
	if copy(hash[:], m.GetHash()) != len(hash) {
		return fmt.Errorf("uplink: %w: receipt without a hash", latchkey.ErrInvalid)
	}
	err := c.settle(m.GetEpoch(), m.GetTrack(), m.GetFirstSeq(), m.GetLastSeq(), m.GetLevel(), &hash)
	c.signal()
	return err
}

func (c *conn) takeWatched(body []byte) error {
	m := &latchkeyv1.UplinkWatched{}
	if err := unmarshal(body, m); err != nil {
		return err
	}
	tracks := make([]latchkey.TrackID, len(m.GetTracks()))
	for i, b := range m.GetTracks() {
		if len(b) != len(tracks[i]) {
			return fmt.Errorf("uplink: %w: watched track of %d bytes", latchkey.ErrInvalid, len(b))
		}
		copy(tracks[i][:], b)
	}
	c.cfg.Handler.Watched(tracks)
	return nil
}

func (c *conn) takeEpochReceipt(body []byte) error {
	m := &latchkeyv1.EpochReceipt{}
	if err := unmarshal(body, m); err != nil {
		return err
	}
	var e latchkey.EpochID
	if copy(e[:], m.GetEpoch()) != len(e) {
		return fmt.Errorf("uplink: %w: epoch receipt", latchkey.ErrInvalid)
	}
	c.cfg.Epochs.Durable(e)
	return nil
}

// takeCommand carries the command out beside the connection's own work. More
// than a few at once are not carried out: the cloud, not a person, does that.
func (c *conn) takeCommand(ctx context.Context, commands *sync.WaitGroup, body []byte) error {
	m := &latchkeyv1.UplinkCommand{}
	if err := unmarshal(body, m); err != nil {
		return err
	}
	select {
	case c.slots <- struct{}{}:
	default:
		return c.result(m.GetId(), latchkeyv1.CommandResult_COMMAND_RESULT_FAILED)
	}
	commands.Go(func() {
		defer func() { <-c.slots }()
		// A result that cannot be encoded cannot be sent: the enum has no such value.
		_ = c.result(m.GetId(), c.cfg.Handler.Command(ctx, m.GetSealed()))
	})
	return nil
}

// takeOpening has a request judged beside the connection's own work; more than a
// few at once are not.
func (c *conn) takeOpening(ctx context.Context, commands *sync.WaitGroup, body []byte) error {
	m := &latchkeyv1.UplinkOpening{}
	if err := unmarshal(body, m); err != nil {
		return err
	}
	answer := func(r latchkeyv1.OpeningResult, released []byte) {
		b, err := proto.Marshal(&latchkeyv1.UplinkReleased{Id: m.GetId(), Result: r, Released: released})
		if err == nil { // it has no text that could be no UTF-8
			c.queue.control(typeReleased, b)
		}
	}
	select {
	case c.slots <- struct{}{}:
	default:
		answer(latchkeyv1.OpeningResult_OPENING_RESULT_FAILED, nil)
		return nil
	}
	commands.Go(func() {
		defer func() { <-c.slots }()
		answer(c.cfg.Handler.Opening(ctx, m))
	})
	return nil
}

func (c *conn) result(id uint64, r latchkeyv1.CommandResult) error {
	b, err := proto.Marshal(&latchkeyv1.UplinkCommandResult{Id: id, Result: r})
	if err != nil {
		return err
	}
	c.queue.control(typeResult, b)
	return nil
}

// takeError acts on what the cloud would not take. One bad part must not stop
// the others.
func (c *conn) takeError(body []byte) error {
	m := &latchkeyv1.UplinkError{}
	if err := unmarshal(body, m); err != nil {
		return err
	}
	var key spool.Key
	copy(key.Epoch[:], m.GetEpoch())
	copy(key.Track[:], m.GetTrack())
	seq := m.GetSeq()
	c.cfg.Log.Warn("cloud refused", "code", m.GetCode(), "epoch", key.Epoch, "track", key.Track, "seq", seq, "text", m.GetText())
	msg, known := c.flow.refuse(key, seq)
	if !known {
		msg = spool.Range{Key: key, First: seq, Last: seq}
	}
	switch m.GetCode() {
	case latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_DUPLICATE_HUB:
		c.cfg.Handler.Doubled(true)
	case latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_CONFLICT, latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_INVALID:
		if msg.First < msg.Last {
			c.flow.suspect(msg)
			c.cfg.Spool.Unsent(msg)
			break
		}
		c.cfg.Handler.Lost(c.cfg.Spool.Drop(msg))
	case latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_UNKNOWN_EPOCH:
		c.sentMu.Lock()
		delete(c.known, key.Epoch)
		c.sentMu.Unlock()
		c.cfg.Spool.Unsent(msg)
	case latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_FULL:
		c.flow.pause(time.Now().Add(c.cfg.Pace.FullPause))
		c.cfg.Spool.Unsent(msg)
	default:
		return c.refusal(body)
	}
	c.signal()
	return nil
}

func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func unmarshal(b []byte, m proto.Message) error {
	if err := proto.Unmarshal(b, m); err != nil {
		return fmt.Errorf("uplink: %w: %s: %w", latchkey.ErrInvalid, m.ProtoReflect().Descriptor().Name(), err)
	}
	return nil
}
