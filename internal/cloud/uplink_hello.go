package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/ingest"
)

// maxHeld bounds the ranges of a hello and of its answer.
const maxHeld = 1 << 16

// bootSize is that of the number that a hub draws at each start.
const bootSize = 16

// greeting reads the first message, which is a hello.
func (u *uplink) greeting() (*v1.UplinkHello, error) {
	u.ws.SetReadLimit(maxUplinkMessage)
	u.ws.SetPongHandler(func(string) error { return u.hear() })
	if err := u.hear(); err != nil {
		return nil, err
	}
	buf := u.s.buffers.get()
	defer u.s.buffers.put(buf)
	msg, _, err := readMessage(u.ws, buf)
	if err != nil {
		return nil, err
	}
	if msg[0] != msgHello || len(msg) > maxControl {
		return nil, fmt.Errorf("cloud: uplink: %w: message %#02x before hello", latchkey.ErrInvalid, msg[0])
	}
	hello := &v1.UplinkHello{}
	if err := decode(msg[1:], hello); err != nil {
		return nil, err
	}
	if n := len(hello.GetBoot()); n != 0 && n != bootSize {
		return nil, fmt.Errorf("cloud: uplink: %w: a boot id of %d bytes", latchkey.ErrInvalid, n)
	}
	return hello, u.hear()
}

// enter makes this the only uplink of its hub. A second one that is alive at
// the same time is another machine with the same identity, whatever boot id it
// shows: it is refused, and the owners on both sides are told.
func (u *uplink) enter(boot []byte) error {
	u.boot = boot
	other, err := u.s.hubs.enter(u.ctx, u)
	if err != nil || other == nil {
		return err
	}
	now, ctx := time.Now(), context.WithoutCancel(u.ctx)
	for _, hub := range []ingest.Hub{u.hub, other.hub} {
		if err := u.s.catalog.SawHubTwice(ctx, hub.Household, hub.Kid, now); err != nil {
			u.s.log.Warn("a second hub of one identity was not remembered", "err", err)
		}
	}
	u.s.log.WarnContext(ctx, "a second machine has a hub's identity", "household", u.hub.Household, "hub", u.hub.Kid,
		"same_household", u.hub == other.hub, "same_start", len(boot) > 0 && bytes.Equal(boot, other.boot))
	err = fmt.Errorf("cloud: uplink: %w: this hub is connected already", latchkey.ErrConflict)
	newest, nerr := u.newest(ctx)
	if nerr != nil {
		u.s.log.Warn("the second machine of a hub gets no proof", "err", nerr)
	}
	// The note convicts the second; the first is told, so that it makes one.
	const code = v1.UplinkErrorCode_UPLINK_ERROR_CODE_DUPLICATE_HUB
	u.send(msgError, &v1.UplinkError{Code: code, Text: err.Error(), Newest: newest})
	other.send(msgError, &v1.UplinkError{Code: code, Text: "another machine tried to connect as this hub"})
	return err
}

// newest is the newest epoch note of this hub; nil when there is none.
func (u *uplink) newest(ctx context.Context) ([]byte, error) {
	e, err := u.s.catalog.NewestEpoch(ctx, u.hub.Household, u.hub.Kid)
	if k, _ := kindOf(err); err != nil && errors.Is(k.err, latchkey.ErrNotFound) {
		return nil, nil
	}
	return e.Note, err
}

// have answers which of the held parts are here already.
func (u *uplink) have(m *v1.UplinkHello) error {
	if len(m.GetHeld()) > maxHeld {
		return fmt.Errorf("cloud: uplink: %w: %d ranges held", latchkey.ErrInvalid, len(m.GetHeld()))
	}
	newest, err := u.newest(u.ctx)
	if err != nil {
		return err
	}
	have := &v1.UplinkHave{Newest: newest}
	for _, r := range m.GetHeld() {
		if len(have.Have) >= maxHeld {
			break // what the answer has no room for counts as absent, and is sent again
		}
		if len(r.GetEpoch()) != latchkey.IDSize || len(r.GetTrack()) != latchkey.IDSize || r.GetFirstSeq() > r.GetLastSeq() {
			return fmt.Errorf("cloud: uplink: %w: a held range", latchkey.ErrInvalid)
		}
		held, err := u.s.ingest.Have(u.ctx, u.hub, latchkey.EpochID(r.GetEpoch()), latchkey.TrackID(r.GetTrack()), r.GetFirstSeq(), r.GetLastSeq())
		if err != nil {
			return err
		}
		for _, h := range held[:min(len(held), maxHeld-len(have.Have))] {
			have.Have = append(have.Have, &v1.HaveRange{
				Epoch: r.GetEpoch(), Track: r.GetTrack(), FirstSeq: h.First, LastSeq: h.Last, Level: levelOf(h.Level),
			})
		}
	}
	u.send(msgHave, have)
	u.source.Watched(u.watched)
	return nil
}
