package cloud

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// Sizes of what a client says of its device.
const (
	deviceSecret = 32
	maxLabel     = 2 << 10
)

// claim is what a client says of the device it signs in from.
type claim struct {
	id     catalog.DeviceID
	label  []byte
	secret []byte // empty: it has none yet
}

// parseDevice checks the form of a device of the member. The label may be
// empty: who signs in by a passkey or a code has no keys to seal it to yet.
func parseDevice(d *v1.Device, owner chain.Member) (claim, error) {
	c := claim{label: d.GetLabel(), secret: d.GetSecret()}
	if len(d.GetId()) != len(c.id) || len(c.secret) != 0 && len(c.secret) != deviceSecret {
		return c, fmt.Errorf("cloud: device: %w: want an id of %d bytes, and a secret of none or %d", latchkey.ErrInvalid, len(c.id), deviceSecret)
	}
	c.id = catalog.DeviceID(d.GetId())
	if len(c.label) == 0 {
		return c, nil
	}
	if err := checkSealed(letterMagic, c.label, maxLabel, owner.Kids()...); err != nil {
		return c, fmt.Errorf("cloud: device: label: %w", err)
	}
	return c, nil
}

// entry is a session that begins: its token, and the secret of a device that
// was enrolled for it.
type entry struct {
	token  string
	secret []byte
	start  catalog.Enrolment
}

// newEntry draws token and secret of a member's session on a device.
func newEntry(h latchkey.HouseholdID, kid latchkey.Kid, c claim, by string, browser bool) (entry, error) {
	token, err := newToken()
	if err != nil {
		return entry{}, err
	}
	secret := make([]byte, deviceSecret)
	if _, err := rand.Read(secret); err != nil {
		return entry{}, fmt.Errorf("cloud: enrol device: %w", err)
	}
	now := time.Now()
	return entry{token: token, secret: secret, start: catalog.Enrolment{
		Device: catalog.Device{ID: c.id, Label: c.label, Secret: sha256.Sum256(secret), By: by, Browser: browser, Created: now, Seen: now},
		Session: catalog.Session{
			TokenHash: hashToken(token), Household: h, Kid: kid, Kind: catalog.Member, Device: c.id, Browser: browser, Seen: now,
		},
		First: by == catalog.ByJoining,
	}}, nil
}

// enter signs a member in from a device that is enrolled, or enrols it if by
// allows that: what proves more than the member's own key does so always, his
// own key (ByJoining) only for his first device.
func (s *Server) enter(ctx context.Context, h latchkey.HouseholdID, kid latchkey.Kid, c claim, by string, browser bool) (entry, error) {
	e, err := newEntry(h, kid, c, by, browser)
	if err != nil {
		return e, err
	}
	if len(c.secret) > 0 {
		err = s.catalog.SignIn(ctx, e.start.Session, sha256.Sum256(c.secret), c.label)
		if err == nil {
			e.secret = nil
			return e, nil
		}
		known := errors.Is(err, catalog.ErrEnded) || errors.Is(err, latchkey.ErrNotFound)
		if !known || by == catalog.ByJoining {
			return e, unenrolled(err)
		}
	}
	if err := s.catalog.Enrol(ctx, e.start); err != nil {
		return e, unenrolled(err)
	}
	s.sessions.endDevices(h, kid, func(d catalog.DeviceID) bool { return d == c.id }) // those of an earlier device of this id
	s.log.InfoContext(ctx, "device enrolled", "household", h, "kid", kid, "by", by)
	return e, nil
}

// unenrolled is what a client is told whose device may not sign in.
func unenrolled(err error) error {
	switch {
	case errors.Is(err, catalog.ErrEnded):
		return because(reasonDeviceEnded, fmt.Errorf("cloud: login: %w: this device was signed out", latchkey.ErrUnauthenticated))
	case errors.Is(err, latchkey.ErrNotFound):
		return because(reasonDeviceUnknown, fmt.Errorf("cloud: login: %w: this device is not enrolled; use a passkey or the recovery code", latchkey.ErrUnauthenticated))
	}
	return err
}

func (a *accountService) ListDevices(ctx context.Context, _ *connect.Request[v1.ListDevicesRequest]) (*connect.Response[v1.ListDevicesResponse], error) {
	session := sessionOf(ctx)
	devices, err := a.s.catalog.Devices(ctx, session.Household, session.Kid)
	if err != nil {
		return nil, a.s.answer(ctx, err)
	}
	online := a.s.sessions.online(session.Household, session.Kid)
	res := &v1.ListDevicesResponse{}
	for _, d := range devices {
		info := &v1.DeviceInfo{
			Id: d.ID[:], Label: d.Label, CreatedMs: d.Created.UnixMilli(), SeenMs: d.Seen.UnixMilli(), EnrolledBy: d.By,
			Current: d.ID == session.Device, Online: online[d.ID],
		}
		if info.Online {
			info.SeenMs = time.Now().UnixMilli()
		}
		res.Devices = append(res.Devices, info)
	}
	return connect.NewResponse(res), nil
}

func (a *accountService) EndDevice(ctx context.Context, req *connect.Request[v1.EndDeviceRequest]) (*connect.Response[v1.EndDeviceResponse], error) {
	session, id := sessionOf(ctx), req.Msg.GetId()
	if len(id) != len(catalog.DeviceID{}) {
		return nil, a.s.answer(ctx, fmt.Errorf("cloud: end device: %w: an id of %d bytes", latchkey.ErrInvalid, len(id)))
	}
	one := catalog.DeviceID(id)
	if err := a.s.catalog.EndDevice(ctx, session.Household, session.Kid, one, time.Now()); err != nil {
		return nil, a.s.answer(ctx, err)
	}
	a.s.sessions.endDevices(session.Household, session.Kid, func(d catalog.DeviceID) bool { return d == one })
	a.s.log.InfoContext(ctx, "device ended", "household", session.Household, "kid", session.Kid)
	res := connect.NewResponse(&v1.EndDeviceResponse{})
	if one == session.Device {
		a.setCookie(ctx, res.Header(), "")
	}
	return res, nil
}

func (a *accountService) EndOtherDevices(ctx context.Context, _ *connect.Request[v1.EndOtherDevicesRequest]) (*connect.Response[v1.EndOtherDevicesResponse], error) {
	session := sessionOf(ctx)
	n, err := a.s.catalog.EndOtherDevices(ctx, session.Household, session.Kid, session.Device, time.Now())
	if err != nil {
		return nil, a.s.answer(ctx, err)
	}
	a.s.sessions.endDevices(session.Household, session.Kid, func(d catalog.DeviceID) bool { return d != session.Device })
	a.s.log.InfoContext(ctx, "other devices ended", "household", session.Household, "kid", session.Kid, "devices", n)
	return connect.NewResponse(&v1.EndOtherDevicesResponse{Ended: uint32(n)}), nil
}
