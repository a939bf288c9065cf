package member

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
)

// Hubs shows every hub of the household: its own sealed words about cameras
// and spool, the time of its newest heads note, and the cloud's word on whether
// it is connected.
func (c *Client) Hubs(ctx context.Context) ([]HubStatus, error) {
	cams, err := c.Cameras(ctx)
	if err != nil {
		return nil, err
	}
	presence, err := call(ctx, c, "list hubs", c.api.hubs.ListHubs, &latchkeyv1.ListHubsRequest{})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	epochs, err := c.book.list(ctx, Span{now.Add(-epochSpan), now})
	if err != nil {
		return nil, err
	}
	var out []HubStatus
	for kid := range c.past().head().Hubs {
		h := HubStatus{Kid: kid, Name: c.nameOf(kid)}
		for _, p := range presence.Hubs {
			if string(p.Kid) == string(kid[:]) {
				h.Online, h.LastSeen, h.Doubled = p.Online, millis(p.LastSeenMs), millis(p.DoubledMs)
			}
		}
		for _, e := range epochs {
			if heads := c.book.headsOf(e); e.note.Hub == kid && heads != nil {
				h.Heads = later(h.Heads, time.Unix(heads.Time, 0).UTC())
			}
		}
		h.take(cams)
		if err := c.keepLan(kid, h.Report.LAN); err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b HubStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kid.String(), b.Kid.String()))
	})
	return out, nil
}

// take adds the hub's cameras, and what it says of itself in the newest record.
func (h *HubStatus) take(cams []Camera) {
	var newest time.Time
	for _, cam := range cams {
		if cam.hub != h.Kid {
			continue
		}
		h.Cameras = append(h.Cameras, cam)
		if cam.Seen.After(newest) {
			newest, h.Report = cam.Seen, cam.Hub
		}
	}
	h.Name = cmp.Or(h.Name, h.Report.Name)
}

// hubNamed resolves a hub by name or kid; an empty name means the only hub.
func (c *Client) hubNamed(state chain.State, name string) (latchkey.Kid, error) {
	var found []latchkey.Kid
	for kid := range state.Hubs {
		if name == "" || name == kid.String() || strings.EqualFold(name, c.nameOf(kid)) {
			found = append(found, kid)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return latchkey.Kid{}, fmt.Errorf("member: %w: there are %d such hubs; say which", latchkey.ErrInvalid, len(found))
	case len(state.Hubs) == 0:
		return latchkey.Kid{}, fmt.Errorf("member: the household has no hub yet: %w", latchkey.ErrNotFound)
	}
	return latchkey.Kid{}, fmt.Errorf("member: no hub is called %q: %w", name, latchkey.ErrNotFound)
}

// AwaitOnline waits until the cloud says that the hub is connected: a command
// sent before that has nobody to go to.
func (c *Client) AwaitOnline(ctx context.Context, hub latchkey.Kid) error {
	for {
		res, err := call(ctx, c, "list hubs", c.api.hubs.ListHubs, &latchkeyv1.ListHubsRequest{})
		if err != nil {
			return err
		}
		for _, p := range res.Hubs {
			if p.Online && string(p.Kid) == string(hub[:]) {
				return nil
			}
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("member: the hub does not connect: %w", err)
		}
	}
}
