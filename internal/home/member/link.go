package member

import (
	"context"
	"fmt"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// linkPath is the page that opens links.
const linkPath = "/s"

// purposeLink and purposeShare are what grants of links and to members are for.
const (
	purposeLink  = "link"
	purposeShare = "share"
)

// Bounds of a link unless more is asked for aloud (docs/design/0006).
const (
	LinkFootage = 24 * time.Hour
	LinkServed  = 7 * 24 * time.Hour
)

// ShareRequest says what a link gives.
type ShareRequest struct {
	Camera string
	Span   Span          // of footage; widened to whole seconds
	For    time.Duration // how long it is served; zero: LinkServed
	Sound  bool
	Note   string // for whoever opens it; may be empty
	Zone   string // IANA time zone to show times in; may be empty
	Long   bool   // more footage than LinkFootage, or longer than LinkServed, is meant
	To     *Card  // whose link it is to be; nil: that of whoever has it
}

// Share is a link that was handed over.
type Share struct {
	Grant latchkey.GrantID
	Link  string // the secret is in it
	Span  Span
	Until time.Time
}

// ShareLink makes a link to footage that this member holds. step is told how
// far it is. The link is returned once what it opens is at the server, which is
// after its grant was proven to stand in the public log; while the log is away
// it is ErrLogWaits, and ReleaseGrants goes on.
func (c *Client) ShareLink(ctx context.Context, req ShareRequest, step func(GrantStep)) (Share, error) {
	fail := func(err error) (Share, error) { return Share{}, fmt.Errorf("member: share: %w", err) }
	if req.For == 0 {
		req.For = LinkServed
	}
	if footage := req.Span.To.Sub(req.Span.From); !req.Long && (footage > LinkFootage || req.For > LinkServed) || req.For < 0 {
		return fail(fmt.Errorf("%w: a link is for at most %v of footage and %v unless you ask for more", latchkey.ErrInvalid, LinkFootage, LinkServed))
	}
	g, err := c.newGrant(ctx, []string{req.Camera}, req.Span, req.Sound, true)
	if err != nil {
		return fail(err)
	}
	g.Purpose, g.Until, g.Kind = purposeLink, time.Now().Add(req.For).Unix(), chain.GrantLink
	link := keys.NewLink()
	if req.To != nil {
		link = keys.NewPersonLink()
		g.Kind, g.Purpose = chain.GrantContact, purposeShare
	}
	defer link.Erase()
	if g.To, g.Key = link.Kid(), link.Sealing().Public(); req.To != nil {
		g.To, g.Key = chain.KidOf(req.To.X), req.To.X
	}
	if g.Hubs, err = c.hubsOf(ctx, g.Tracks); err != nil {
		return fail(err)
	}
	p, err := c.sealPending(g, g.Key)
	if err != nil {
		return fail(err)
	}
	p.Link = link.Reveal()
	if p.Words, err = c.linkWords(ctx, link, req); err != nil {
		return fail(err)
	}
	if err := c.keepPending(p); err != nil {
		return fail(err)
	}
	if err := c.issue(ctx, p, c.logWait, step); err != nil {
		return fail(err)
	}
	return Share{Grant: g.Grant, Link: c.linkURL(p.Link), Span: linesSpan(g.Tracks), Until: time.Unix(g.Until, 0)}, nil
}

// linkWords is what whoever opens the link is told, sealed to it.
func (c *Client) linkWords(ctx context.Context, link *keys.Link, req ShareRequest) ([]byte, error) {
	cam, err := c.find(ctx, req.Camera)
	if err != nil {
		return nil, err
	}
	policy, err := c.pinnedPolicy(ctx)
	if err != nil {
		return nil, err
	}
	from := c.nameOf(c.kid())
	if from == "" {
		from = c.name(nameMe)
	}
	return link.SealWords(keys.LinkWords{
		From: from, Camera: cam.Name, Note: req.Note, Zone: req.Zone, Policy: chain.TextHash([]byte(policy.String())),
	})
}

// newGrant begins a grant of the picture, and the sound if it is wanted, of
// cameras; link: of the one large picture only. It loads the epochs of the time.
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
	if from < 0 || from >= until || until > time.Now().Unix()+1 {
		return g, fmt.Errorf("%w: only footage that is recorded can be given: the time must lie in the past", latchkey.ErrInvalid)
	}
	for _, name := range cameras {
		cam, err := c.find(ctx, name)
		if err != nil {
			return g, err
		}
		for _, t := range cam.Tracks {
			wanted := t.Kind == latchkey.KindVideo || t.Kind == latchkey.KindAudio && sound || t.Kind == latchkey.KindVideoSub && !link
			if wanted && me.MaySee(t.ID) {
				g.Tracks = append(g.Tracks, chain.TrackRange{Track: t.ID, From: from, Until: until})
			}
		}
	}
	if len(g.Tracks) == 0 {
		return g, fmt.Errorf("%w: there is no picture that you may see", latchkey.ErrNotFound)
	}
	whole := Span{time.Unix(from, 0), time.Unix(until, 0)}
	if _, err = c.book.list(ctx, whole); err != nil {
		return g, err
	}
	return g, c.recordedAny(ctx, g.Tracks, whole)
}

// recordedAny refuses to give a time of which, by the server's index, nothing was
// recorded: it would be a promise of nothing.
func (c *Client) recordedAny(ctx context.Context, lines []chain.TrackRange, span Span) error {
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

// hubsOf names the hubs whose epochs the lines touch, for somebody who has no
// chain: their keys as the chain had them when they filmed.
func (c *Client) hubsOf(ctx context.Context, lines []chain.TrackRange) ([]string, error) {
	span := linesSpan(lines)
	epochs, err := c.book.list(ctx, span)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range epochs {
		if !slices.ContainsFunc(lines, func(l chain.TrackRange) bool { return len(c.book.opener.Covered(e.note.Epoch, l.Track)) > 0 }) {
			continue
		}
		state, err := c.past().at(e.note.ChainSeq, e.note.ChainHash)
		if err != nil {
			return nil, err
		}
		hub := chain.VKey("lk."+e.note.Hub.String(), state.Hubs[e.note.Hub].Ed)
		if !slices.Contains(out, hub) {
			out = append(out, hub)
		}
	}
	if len(out) == 0 {
		return nil, errNothingHeld
	}
	return out, nil
}

// GiveRequest says what a member is given of the past.
type GiveRequest struct {
	Cameras []string
	To      string // the member's name or kid
	Span    Span
	For     time.Duration // how long it is served; zero: without end
	Sound   bool
}

// Give grants footage that this member holds to another member of the household.
// It is handed over like a link.
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
	to := state.Members[person.Kid]
	g.Tracks = slices.DeleteFunc(g.Tracks, func(l chain.TrackRange) bool { return !to.MaySee(l.Track) })
	switch {
	case person.Me:
		return fail(fmt.Errorf("%w: that is you", latchkey.ErrInvalid))
	case len(g.Tracks) == 0:
		return fail(fmt.Errorf("%w: %s may not see this camera at all; an admin can change that", latchkey.ErrRefused, person.Name))
	case req.For < 0:
		return fail(fmt.Errorf("%w: it would have ended already", latchkey.ErrInvalid))
	}
	g.Kind, g.Purpose, g.To, g.Until = chain.GrantMember, purposeShare, chain.KidOf(to.X), int64(forever)
	if req.For > 0 {
		g.Until = time.Now().Add(req.For).Unix()
	}
	p, err := c.sealPending(g, to.X)
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

// views asks how often each link was opened: the server's count.
func (c *Client) views(ctx context.Context) (map[latchkey.GrantID]*latchkeyv1.LinkViews, error) {
	res, err := call(ctx, c, "list links", c.api.link.ListLinks, &latchkeyv1.ListLinksRequest{})
	if err != nil {
		return nil, err
	}
	out := map[latchkey.GrantID]*latchkeyv1.LinkViews{}
	for _, l := range res.Links {
		if len(l.Grant) == latchkey.IDSize {
			out[latchkey.GrantID(l.Grant)] = l
		}
	}
	return out, nil
}
