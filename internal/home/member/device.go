package member

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

const (
	deviceID     = 16
	deviceSecret = 32
)

// device is what this machine signs in as: an id that it drew, and the secret
// that it got when it was enrolled. A copied vault has neither.
type device struct {
	id     [deviceID]byte
	secret []byte // empty until it is enrolled
}

func newDevice() device {
	var d device
	_, _ = rand.Read(d.id[:]) // crypto/rand.Read never fails: it ends the process instead
	return d
}

// seal keeps a device under the machine key.
func (d device) seal(m keys.MachineKey) ([]byte, error) {
	b, err := m.SealLocal(devicePurpose, append(d.id[:], d.secret...))
	if err != nil {
		return nil, fmt.Errorf("member: keep device: %w", err)
	}
	return b, nil
}

// openDevice reads what seal wrote; nothing is a new device.
func openDevice(m keys.MachineKey, b []byte) (device, error) {
	if len(b) == 0 {
		return newDevice(), nil
	}
	plain, err := m.OpenLocal(devicePurpose, b)
	if err != nil || len(plain) != deviceID && len(plain) != deviceID+deviceSecret {
		return device{}, fmt.Errorf("member: open: %s: %w: the device does not open", memberFile, errors.Join(latchkey.ErrInvalid, err))
	}
	return device{id: [deviceID]byte(plain), secret: plain[deviceID:]}, nil
}

// message is what the server is told; label may be nil.
func (d device) message(label []byte) *latchkeyv1.Device {
	return &latchkeyv1.Device{Id: d.id[:], Secret: d.secret, Label: label}
}

// label seals what this machine calls itself to its owner.
func label(household latchkey.HouseholdID, owner *keys.Sealing, text string) ([]byte, error) {
	text = tidyLabel(text)
	if text == "" {
		return nil, nil
	}
	b, err := keys.SealLetter(household, owner.Public(), []byte(text))
	if err != nil {
		return nil, fmt.Errorf("member: label device: %w", err)
	}
	return b, nil
}

// tidyLabel makes one line of at most MaxLabel bytes out of any text: labels
// come from machines and servers.
func tidyLabel(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text))
	for len(text) > keys.MaxLabel {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

// Device is one of this person's machines or browsers, as the server tells it.
type Device struct {
	ID      string // hex
	Label   string // what it calls itself; empty when it has said nothing
	Created time.Time
	Seen    time.Time // to about a minute
	How     string    // founding, recovery, passkey, joining, rekey
	Current bool      // this one
	Online  bool
}

// Devices lists this person's own devices, the newest use first. The list is
// the server's word. What can be held against it is: it must have this device,
// and none that this machine has signed out, else latchkey.ErrVerify.
func (c *Client) Devices(ctx context.Context) ([]Device, error) {
	res, err := call(ctx, c, "list devices", c.api.account.ListDevices, &latchkeyv1.ListDevicesRequest{})
	if err != nil {
		return nil, err
	}
	var out []Device
	for _, d := range res.Devices {
		out = append(out, c.deviceOf(d))
	}
	return out, c.checkDevices(out)
}

func (c *Client) deviceOf(d *latchkeyv1.DeviceInfo) Device {
	out := Device{
		ID: hex.EncodeToString(d.Id), Created: millis(d.CreatedMs), Seen: millis(d.SeenMs), How: tidyLabel(d.EnrolledBy),
		Current: d.Current, Online: d.Online,
	}
	if plain, err := keys.OpenLetter(c.sealing(), c.ID(), d.Label); err == nil {
		out.Label = tidyLabel(string(plain))
	}
	return out
}

func (c *Client) checkDevices(list []Device) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	own := hex.EncodeToString(c.device.id[:])
	here := false
	for _, d := range list {
		here = here || d.ID == own
		if d.Current != (d.ID == own) {
			return fmt.Errorf("member: list devices: %w: the server takes another device for this one", latchkey.ErrVerify)
		}
		if slices.Contains(c.rec.Ended, d.ID) {
			return fmt.Errorf("member: list devices: %w: device %s was signed out from here, and the server shows it: an old list, or it was not ended", latchkey.ErrVerify, d.ID)
		}
	}
	if !here {
		return fmt.Errorf("member: list devices: %w: this device is not in the server's list: an old one", latchkey.ErrVerify)
	}
	return nil
}

// EndDevice signs out a device of this person, named by its id, the beginning of
// it, or its label. Ending this one forgets the keys here.
func (c *Client) EndDevice(ctx context.Context, name string) (Device, error) {
	list, err := c.Devices(ctx)
	if err != nil {
		return Device{}, err
	}
	d, err := pickDevice(list, name)
	if err != nil {
		return d, err
	}
	id, err := hex.DecodeString(d.ID)
	if err != nil {
		return d, fmt.Errorf("member: end device: %w", err)
	}
	if _, err := call(ctx, c, "end device", c.api.account.EndDevice, &latchkeyv1.EndDeviceRequest{Id: id}); err != nil {
		return d, err
	}
	if d.Current {
		return d, c.forget()
	}
	if err := c.ended(d.ID); err != nil {
		return d, err
	}
	_, err = c.Devices(ctx)
	return d, err
}

func pickDevice(list []Device, name string) (Device, error) {
	var found []Device
	for _, d := range list {
		if d.ID == name {
			return d, nil
		}
		if name != "" && (len(name) >= 4 && strings.HasPrefix(d.ID, strings.ToLower(name)) || strings.EqualFold(d.Label, name)) {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Device{}, fmt.Errorf("member: end device: no device is called %q: %w", name, latchkey.ErrNotFound)
	}
	return Device{}, fmt.Errorf("member: end device: %w: %d devices are called %q; give the id of one", latchkey.ErrInvalid, len(found), name)
}

// EndOtherDevices signs out all devices of this person but this one.
func (c *Client) EndOtherDevices(ctx context.Context) (int, error) {
	list, err := c.Devices(ctx)
	if err != nil {
		return 0, err
	}
	res, err := call(ctx, c, "end other devices", c.api.account.EndOtherDevices, &latchkeyv1.EndOtherDevicesRequest{})
	if err != nil {
		return 0, err
	}
	for _, d := range list {
		if d.Current {
			continue
		}
		if err := c.ended(d.ID); err != nil {
			return 0, err
		}
	}
	_, err = c.Devices(ctx)
	return int(res.Ended), err
}

// ended remembers that a device was signed out from here.
func (c *Client) ended(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.rec.Ended, id) {
		return nil
	}
	c.rec.Ended = append(c.rec.Ended, id)
	return c.store.save(c.rec)
}

// forget removes this person's keys from this machine.
func (c *Client) forget() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = ""
	if err := c.store.forget(); err != nil {
		return fmt.Errorf("member: forget keys: %w", err)
	}
	return nil
}

// Reasons that a server gives for an answer, in the header Latchkey-Reason.
const (
	reasonHeader  = "Latchkey-Reason"
	reasonEnded   = "device-ended"
	reasonUnknown = "device-unknown"
)

// ErrDeviceEnded is what a device is told that was signed out: another device
// of this person did it, or new keys did. The keys here are gone then.
var ErrDeviceEnded = fmt.Errorf("%w: this device was signed out by another one of yours, and its keys are gone from here", latchkey.ErrUnauthenticated)

// errDeviceUnknown is a sign-in from a device that was never enrolled.
var errDeviceUnknown = fmt.Errorf("%w: the server does not know this device", latchkey.ErrUnauthenticated)

// reasoned turns the reason a server gives into one of our errors; nil: none of them.
func reasoned(reason string) error {
	switch reason {
	case reasonEnded:
		return ErrDeviceEnded
	case reasonUnknown:
		return errDeviceUnknown
	}
	return nil
}

// obey forgets the keys when err says that this device was signed out.
func (c *Client) obey(err error) error {
	if errors.Is(err, ErrDeviceEnded) {
		return errors.Join(err, c.forget())
	}
	return err
}
