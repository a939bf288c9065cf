package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

const (
	// purposeShare is what footage for a member is given for.
	purposeShare = "share"
	// standingServed is how long footage that was given as it was recorded is
	// served after its last second, where nothing else is said. Standing grants
	// are counted as long as they are served (spec/chain), so they end.
	standingServed = 30 * 24 * time.Hour
	// maxStandingLines is how many stretches the chain takes in one of them.
	maxStandingLines = 16
)

// newGrant begins a grant of cameras: the picture, and the sound if it is
// wanted; link: of the one large picture only. A member gets beside it what the
// hub says of these times: names, events, why there is a gap.
func (c *Client) newGrant(ctx context.Context, cameras []string, span Span, sound, link bool) (chain.AddGrant, error) {
	g := chain.AddGrant{Grant: latchkey.GrantID(newSalt())}
	state, err := c.refresh(ctx)
	if err != nil {
		return g, err
	}
	me := state.Members[c.kid()]
	if me.Role != chain.RoleAdmin && !me.Share {
		return g, fmt.Errorf("%w: you may look at footage and not share it; an admin can", latchkey.ErrRefused)
	}
	from, until := span.From.Unix(), ceil(span.To)
	if from < 0 || from >= until {
		return g, fmt.Errorf("%w: the time has no length", latchkey.ErrInvalid)
	}
	for _, name := range cameras {
		cam, err := c.find(ctx, name)
		if err != nil {
			return g, err
		}
		for _, t := range cam.Tracks {
			if me.MaySee(t.ID) && wanted(t.Kind, sound, link) {
				g.Tracks = append(g.Tracks, chain.TrackRange{Track: t.ID, From: from, Until: until})
			}
		}
	}
	if len(g.Tracks) == 0 {
		return g, fmt.Errorf("%w: there is no picture that you may see", latchkey.ErrNotFound)
	}
	return g, nil
}

// wanted reports whether a track of this kind goes with a camera that is given.
func wanted(kind latchkey.TrackKind, sound, link bool) bool {
	switch kind {
	case latchkey.KindVideo:
		return true
	case latchkey.KindAudio:
		return sound
	case latchkey.KindVideoSub, latchkey.KindMeta:
		return !link
	}
	return false
}

// recorded loads the epochs of a grant of the past. It refuses a time that is not
// over, and one of which, by the server's index, nothing was recorded: that would
// be a promise of nothing.
func (c *Client) recorded(ctx context.Context, lines []chain.TrackRange) error {
	span := linesSpan(lines)
	if span.To.Unix() > time.Now().Unix()+1 {
		return fmt.Errorf("%w: only footage that is recorded can be given so: the time must lie in the past", latchkey.ErrInvalid)
	}
	if _, err := c.book.list(ctx, span); err != nil {
		return err
	}
	for _, l := range lines {
		list, err := c.segments(ctx, l.Track, span)
		if err != nil || len(list) > 0 {
			return err
		}
	}
	return errNothingHeld
}

// linesSpan is the time that lines of a grant cover together.
func linesSpan(lines []chain.TrackRange) Span {
	from, until := lines[0].From, lines[0].Until
	for _, l := range lines {
		from, until = min(from, l.From), max(until, l.Until)
	}
	return Span{time.Unix(from, 0).UTC(), time.Unix(until, 0).UTC()}
}

// GiveRequest says what a member is given.
type GiveRequest struct {
	Cameras []string
	To      string // the member's name or kid
	// Span is of the footage, widened to whole seconds. What of it is still to be
	// recorded is sealed to him as it comes, also of cameras that are not his by
	// right; what is recorded is handed over, of cameras that are.
	Span  Span
	For   time.Duration // how long it is served; zero: without end, or 30 days after the last second of what is to come
	Sound bool
}

// Give grants footage to another member of the household, in one statement: the
// past by a capsule, which is handed over like a link, and what is to come by
// standing grant, which hubs carry out once the public log proves it.
func (c *Client) Give(ctx context.Context, req GiveRequest, step func(GrantStep)) (GrantInfo, error) {
	fail := func(err error) (GrantInfo, error) { return GrantInfo{}, fmt.Errorf("member: grant: %w", err) }
	g, err := c.newGrant(ctx, req.Cameras, req.Span, req.Sound, false)
	if err != nil {
		return fail(err)
	}
	state := c.past().head()
	person, err := c.findPerson(state, req.To)
	if err != nil {
		return fail(err)
	}
	if person.Me {
		return fail(fmt.Errorf("%w: that is you", latchkey.ErrInvalid))
	}
	to := state.Members[person.Kid]
	if err := reach(&g, to, person.Name, time.Now()); err != nil {
		return fail(err)
	}
	if g.Until, err = servedUntil(g, req.For, time.Now()); err != nil {
		return fail(err)
	}
	g.Kind, g.Purpose, g.To = chain.GrantMember, purposeShare, chain.KidOf(to.X)
	p, err := c.prepare(ctx, g, to.X)
	if err != nil {
		return fail(err)
	}
	if err := c.keepPending(p); err != nil {
		return fail(err)
	}
	if err := c.issue(ctx, p, c.logWait, step); err != nil {
		return fail(err)
	}
	return c.grantInfo(ctx, g.Grant)
}

// reach decides whether a grant stands: it does when it reaches into the future
// of a track that is not the member's by right. What is his by right he is given
// of the past only, and of the past he is given nothing else.
func reach(g *chain.AddGrant, to chain.Member, name string, now time.Time) error {
	mine := func(l chain.TrackRange) bool { return to.MaySee(l.Track) }
	future := linesSpan(g.Tracks).To.Unix() > now.Unix()+1
	switch all := !slices.ContainsFunc(g.Tracks, func(l chain.TrackRange) bool { return !mine(l) }); {
	case future && all && g.Tracks[0].From >= now.Unix():
		return fmt.Errorf("%w: %s sees this anyway", latchkey.ErrInvalid, name)
	case future && all:
		for i := range g.Tracks {
			g.Tracks[i].Until = min(g.Tracks[i].Until, now.Unix())
		}
		return nil
	case future && len(g.Tracks) > maxStandingLines:
		return fmt.Errorf("%w: these are too many cameras for one grant; give %d at a time", latchkey.ErrTooMany, maxStandingLines/4)
	case future:
		g.Standing = true
		return nil
	}
	g.Tracks = slices.DeleteFunc(g.Tracks, func(l chain.TrackRange) bool { return !mine(l) })
	if len(g.Tracks) == 0 {
		return fmt.Errorf("%w: %s may not see this camera at all; an admin can change that, or give a time that reaches into the future", latchkey.ErrRefused, name)
	}
	return nil
}

// servedUntil is the end of service of a grant to a member, in unix seconds.
func servedUntil(g chain.AddGrant, served time.Duration, now time.Time) (int64, error) {
	end := linesSpan(g.Tracks).To
	until := now.Add(served).Unix()
	switch {
	case served < 0:
		return 0, fmt.Errorf("%w: it would have ended already", latchkey.ErrInvalid)
	case served == 0 && g.Standing:
		return end.Add(standingServed).Unix(), nil
	case served == 0:
		return forever, nil
	case g.Standing && until < end.Unix():
		return 0, fmt.Errorf("%w: it would be served until %s, and its footage goes on until %s", latchkey.ErrInvalid,
			time.Unix(until, 0).UTC().Format(time.RFC3339), end.Format(time.RFC3339))
	}
	return until, nil
}

// prepare makes what is handed over: of a standing grant the keys of what was
// recorded, and of the rest of the epochs that run, so that he has no gap until
// hubs have heard of it. One of which nothing is held yet has no capsule.
func (c *Client) prepare(ctx context.Context, g chain.AddGrant, x []byte) (*pendingGrant, error) {
	if !g.Standing {
		if err := c.recorded(ctx, g.Tracks); err != nil {
			return nil, err
		}
		return c.sealPending(g, x)
	}
	// An epoch that runs began up to a day and a half ago.
	if _, err := c.book.list(ctx, Span{linesSpan(g.Tracks).From.Add(-epochSpan), time.Now().Add(time.Second)}); err != nil {
		return nil, err
	}
	p, err := c.sealPending(g, x)
	if errors.Is(err, errNothingHeld) {
		return &pendingGrant{Grant: g, Made: time.Now().Unix()}, nil
	}
	return p, err
}
