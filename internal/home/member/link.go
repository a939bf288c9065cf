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

// purposeLink is what grants of links are for.
const purposeLink = "link"

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
	if err := c.recorded(ctx, g.Tracks); err != nil {
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
