package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/internal/seal"
)

// Bounds of what staff can be let see.
const (
	// StaffServed is how long a grant to staff is served where nothing is said.
	StaffServed = 2 * time.Hour
	// staffMost is the longest.
	staffMost = 7 * 24 * time.Hour
	// StaffLive is how far into the future staff can be let look.
	StaffLive = 15 * time.Minute
)

// StaffRequest says what somebody of the operator's staff may see. It takes two
// keys: his, and for every eight and a half minutes the hub's, which gives it only
// once the household's chain says so.
type StaffRequest struct {
	Cameras []string
	Staff   string // id
	Ticket  uint64 // 0: the one open ticket that this person has
	Span    Span   // of footage; at most StaffLive into the future
	For     time.Duration
	Sound   bool
}

// GiveStaff grants footage to one person of staff, for one ticket. Log, then
// release, as every grant; and the keys in it are covered by a mask that is sealed
// to the hub (protocol 2.8, "Two-key grants").
func (c *Client) GiveStaff(ctx context.Context, req StaffRequest, step func(GrantStep)) (GrantInfo, error) {
	fail := func(err error) (GrantInfo, error) { return GrantInfo{}, fmt.Errorf("member: grant: %w", err) }
	if req.For == 0 {
		req.For = StaffServed
	}
	switch {
	case req.For < 0 || req.For > staffMost:
		return fail(fmt.Errorf("%w: staff are served for seven days at most", latchkey.ErrInvalid))
	case time.Until(req.Span.To) > StaffLive+time.Second:
		return fail(fmt.Errorf("%w: staff can be let look %v ahead at most", latchkey.ErrInvalid, StaffLive))
	}
	g, err := c.newGrant(ctx, req.Cameras, req.Span, req.Sound, true)
	if err != nil {
		return fail(err)
	}
	t, err := c.ticketFor(ctx, req)
	if err != nil {
		return fail(err)
	}
	staff, err := c.agentOf(ctx, t)
	if err != nil {
		return fail(err)
	}
	if staff.ID != req.Staff {
		return fail(fmt.Errorf("%w: ticket %d is not with %s now, but with %s", latchkey.ErrRefused, t, req.Staff, staff.ID))
	}
	g.Kind, g.Purpose, g.To, g.Key, g.Until = chain.GrantStaff, purposeOf(t), chain.KidOf(staff.X), staff.X, time.Now().Add(req.For).Unix()
	// An epoch that runs began up to a day and a half ago.
	if _, err := c.book.list(ctx, Span{linesSpan(g.Tracks).From.Add(-epochSpan), time.Now().Add(time.Second)}); err != nil {
		return fail(err)
	}
	p, err := c.sealTwoKeys(ctx, g, staff.X)
	if err != nil {
		return fail(err)
	}
	if err := c.keepPending(p); err != nil {
		return fail(err)
	}
	if err := c.issue(ctx, p, c.logWait, step); err != nil {
		return fail(err)
	}
	a := about{Grant: g.Grant.String(), Camera: req.Cameras[0], Video: g.Tracks[0].Track.String()}
	words := fmt.Sprintf("You may see %s, %s – %s.", req.Cameras[0], req.Span.From.UTC().Format(time.RFC3339), req.Span.To.UTC().Format(time.RFC3339))
	if err := c.writeTo(ctx, t, words, a, &staff); err != nil {
		return fail(err)
	}
	return c.grantInfo(ctx, g.Grant)
}

// ticketFor is the ticket that a grant is for.
func (c *Client) ticketFor(ctx context.Context, req StaffRequest) (uint64, error) {
	if req.Ticket != 0 {
		return req.Ticket, nil
	}
	all, err := c.Tickets(ctx)
	if err != nil {
		return 0, err
	}
	all = slices.DeleteFunc(all, func(t Ticket) bool { return t.State != "open" || t.Agent != req.Staff })
	switch len(all) {
	case 1:
		return all[0].N, nil
	case 0:
		return 0, fmt.Errorf("%w: %s has no open ticket of yours; nobody of staff is let see anything without one", latchkey.ErrRefused, req.Staff)
	}
	return 0, fmt.Errorf("%w: %s has %d open tickets of yours; say which", latchkey.ErrInvalid, req.Staff, len(all))
}

// sealTwoKeys makes the capsule of a two-key grant and its mask.
func (c *Client) sealTwoKeys(ctx context.Context, g chain.AddGrant, x []byte) (*pendingGrant, error) {
	hub, err := c.releaser(ctx, g.Tracks)
	if err != nil {
		return nil, err
	}
	if g.Hubs, err = c.hubsOf(ctx, g.Tracks); err != nil {
		return nil, err
	}
	mask := keys.NewMask()
	defer mask.Erase()
	capsule, n, err := c.book.opener.SealMasked(seal.GrantParams{ID: g.Grant, To: x, Ranges: g.Tracks}, mask)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errNothingHeld
	}
	state := c.past().head()
	sealed, err := mask.Seal(state.Household, g.Grant, state.Hubs[hub].X)
	if err != nil {
		return nil, err
	}
	g.Capsule, g.Release, g.Mask = chain.TextHash(capsule), hub, chain.TextHash(sealed)
	return &pendingGrant{Grant: g, Capsule: capsule, Mask: sealed, Made: time.Now().Unix()}, nil
}

// releaser is the hub that recorded all of the lines: it is the one that gives the
// second key.
func (c *Client) releaser(ctx context.Context, lines []chain.TrackRange) (latchkey.Kid, error) {
	state := c.past().head()
	epochs, err := c.book.list(ctx, linesSpan(lines))
	if err != nil {
		return latchkey.Kid{}, err
	}
	var hub latchkey.Kid
	for _, e := range epochs {
		if !slices.ContainsFunc(lines, func(l chain.TrackRange) bool { return len(c.book.opener.Covered(e.note.Epoch, l.Track)) > 0 }) {
			continue
		}
		if _, there := state.Hubs[e.note.Hub]; !there {
			return hub, fmt.Errorf("%w: a hub that is not in the household any more has recorded this; nobody could give the second key", latchkey.ErrRefused)
		}
		if hub != (latchkey.Kid{}) && hub != e.note.Hub {
			return hub, fmt.Errorf("%w: two hubs have recorded this; give the cameras of one", latchkey.ErrInvalid)
		}
		hub = e.note.Hub
	}
	if hub == (latchkey.Kid{}) {
		return hub, errNothingHeld
	}
	return hub, nil
}

// Opening is what staff had opened of a grant: said before it could happen.
type Opening struct {
	Grant  latchkey.GrantID
	Seq    uint64 // of the access statement
	At     time.Time
	Camera string
	Spans  []Span // of footage; more than the grant's own where an entry reaches over its edge
}

// Openings lists what staff opened of this household, the newest last.
func (c *Client) Openings(ctx context.Context) ([]Opening, error) {
	state, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	cams, err := c.roster(ctx)
	if err != nil {
		return nil, err
	}
	var out []Opening
	for seq, raw := range c.past().notes {
		n, err := chain.ParseNote(raw)
		if err != nil {
			return nil, err
		}
		if n.Type != chain.TypeAccess {
			continue
		}
		st, err := chain.ParseStatement(n)
		if err != nil {
			return nil, err
		}
		a, ok := st.(chain.Access)
		if !ok {
			continue
		}
		o := Opening{Grant: a.Grant, Seq: uint64(seq), At: time.Unix(a.Time, 0).UTC()}
		g := state.Grants[a.Grant]
		if o.Spans, err = c.openedSpans(ctx, g, a.Entries); err != nil {
			return nil, err
		}
		for _, cam := range cams {
			if slices.ContainsFunc(cam.Tracks, func(t Track) bool { return t.ID == a.Entries[0].Track }) {
				o.Camera = cam.Name
			}
		}
		out = append(out, o)
	}
	return out, nil
}

// openedSpans are the times of entries, within the lines of their grant.
func (c *Client) openedSpans(ctx context.Context, g chain.Grant, entries []chain.Entry) ([]Span, error) {
	var out []Span
	for _, e := range entries {
		epoch, err := c.book.epoch(ctx, e.Epoch)
		if errors.Is(err, latchkey.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		width := uint32(1) << (17 - e.Level)
		from, to := epoch.at(e.Index*width), epoch.at((e.Index+1)*width)
		for _, l := range g.Tracks {
			if l.Track == e.Track {
				from, to = notBefore(from, time.Unix(l.From, 0)), notAfter(to, time.Unix(l.Until, 0))
			}
		}
		if from.Before(to) {
			out = append(out, Span{from, to})
		}
	}
	return joinSpans(out), nil
}

func notBefore(a, b time.Time) time.Time {
	if a.Before(b) {
		return b.UTC()
	}
	return a.UTC()
}

func notAfter(a, b time.Time) time.Time {
	if b.Before(a) {
		return b.UTC()
	}
	return a.UTC()
}
