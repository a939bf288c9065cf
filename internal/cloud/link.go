package cloud

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// linkService implements latchkey.v1.LinkService (spec/wire, "Links").
type linkService struct{ s *Server }

// Forms of a link's share object (spec/keys, "Links").
const (
	wordsMagic    = "LKT1"
	wordsHead     = 20
	maxWords      = 4 << 10
	macSize       = 32
	maxLinkEpochs = 1000
)

func (l *linkService) PutLink(ctx context.Context, req *connect.Request[v1.PutLinkRequest]) (*connect.Response[v1.PutLinkResponse], error) {
	m, session := req.Msg, sessionOf(ctx)
	id, g, err := l.s.mayPut(ctx, session, m.GetGrant(), m.GetCapsule(), m.GetProof())
	words := m.GetWords()
	switch {
	case err != nil:
	case g.Kind != chain.GrantLink && g.Kind != chain.GrantContact:
		err = fmt.Errorf("cloud: put link: %w: the grant is to a %s", latchkey.ErrInvalid, g.Kind)
	case len(m.GetKid()) != latchkey.IDSize || g.Kind == chain.GrantLink && latchkey.Kid(m.GetKid()) != g.To:
		err = fmt.Errorf("cloud: put link: %w: not the kid of the link", latchkey.ErrInvalid)
	case len(m.GetMac()) != macSize:
		err = fmt.Errorf("cloud: put link: %w: a MAC of %d bytes", latchkey.ErrInvalid, len(m.GetMac()))
	case len(words) < wordsHead+sealedTagSize || len(words) > maxWords || string(words[:len(wordsMagic)]) != wordsMagic:
		err = fmt.Errorf("cloud: put link: %w: want an %s object of at most %d bytes", latchkey.ErrInvalid, wordsMagic, maxWords)
	}
	if err == nil {
		err = l.s.catalog.PutLink(ctx, catalog.Link{Kid: latchkey.Kid(m.GetKid()), Household: session.Household, Grant: id, MAC: m.GetMac(), Words: words},
			catalog.GrantCapsule{Capsule: m.GetCapsule(), Proof: m.GetProof()})
	}
	if err != nil {
		return nil, l.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.PutLinkResponse{}), nil
}

func (l *linkService) ListLinks(ctx context.Context, _ *connect.Request[v1.ListLinksRequest]) (*connect.Response[v1.ListLinksResponse], error) {
	session := sessionOf(ctx)
	state, err := l.s.homes.state(ctx, session.Household)
	if err != nil {
		return nil, l.s.answer(ctx, err)
	}
	all, err := l.s.catalog.Links(ctx, session.Household)
	if err != nil {
		return nil, l.s.answer(ctx, err)
	}
	admin, now := state.Members[session.Kid].Role == chain.RoleAdmin, time.Now()
	res := &v1.ListLinksResponse{}
	for _, one := range all {
		g := state.Grants[one.Grant]
		if !inForce(g, now) || !admin && g.By != session.Kid {
			continue
		}
		views := &v1.LinkViews{Grant: one.Grant[:], Views: one.Views}
		if !one.LastView.IsZero() {
			views.LastViewMs = one.LastView.UnixMilli()
		}
		res.Links = append(res.Links, views)
	}
	return connect.NewResponse(res), nil
}

// linked finds a link that is served, with its grant, or latchkey.ErrNotFound.
func (s *Server) linked(ctx context.Context, kid latchkey.Kid) (catalog.Link, chain.Grant, error) {
	l, err := s.catalog.Link(ctx, kid)
	if err != nil {
		return l, chain.Grant{}, fmt.Errorf("cloud: link: %w", err)
	}
	state, err := s.homes.state(ctx, l.Household)
	if err != nil {
		return l, chain.Grant{}, err
	}
	g, ok := state.Grants[l.Grant]
	if !ok || !inForce(g, time.Now()) {
		return l, g, fmt.Errorf("cloud: link: %w", latchkey.ErrNotFound)
	}
	return l, g, nil
}

func (l *linkService) OpenLink(ctx context.Context, req *connect.Request[v1.OpenLinkRequest]) (*connect.Response[v1.OpenLinkResponse], error) {
	res, err := l.open(ctx, req.Msg.GetKid())
	if err != nil {
		return nil, l.s.answer(ctx, err)
	}
	return connect.NewResponse(res), nil
}

func (l *linkService) open(ctx context.Context, raw []byte) (*v1.OpenLinkResponse, error) {
	if len(raw) != latchkey.IDSize {
		return nil, fmt.Errorf("cloud: open link: %w: a kid of %d bytes", latchkey.ErrInvalid, len(raw))
	}
	kid := latchkey.Kid(raw)
	link, g, err := l.s.linked(ctx, kid)
	if err != nil {
		return nil, err
	}
	note, err := l.s.statement(ctx, link.Household, g.Seq)
	if err != nil {
		return nil, err
	}
	c, err := l.s.catalog.GrantCapsule(ctx, link.Household, link.Grant)
	if err != nil {
		return nil, err
	}
	res := &v1.OpenLinkResponse{Note: note, Proof: c.Proof, Capsule: c.Capsule, Mac: link.MAC, Words: link.Words}
	if res.Epochs, err = l.epochs(ctx, link.Household, g); err != nil {
		return nil, err
	}
	return res, l.s.catalog.CountView(ctx, kid, time.Now())
}

// epochs are those that the lines of a grant meet, without whom they are sealed
// to; of very many the oldest.
func (l *linkService) epochs(ctx context.Context, h latchkey.HouseholdID, g chain.Grant) ([]*v1.LinkEpoch, error) {
	q := catalog.EpochQuery{Household: h, From: g.Tracks[0].From, To: g.Tracks[0].Until, Limit: maxEpochs}
	for _, r := range g.Tracks {
		q.From, q.To = min(q.From, r.From), max(q.To, r.Until)
	}
	var out []*v1.LinkEpoch
	for len(out) < maxLinkEpochs {
		page, err := l.s.catalog.Epochs(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			meets, err := l.s.meets(ctx, e, g.Tracks)
			if err != nil {
				return nil, err
			}
			if meets {
				out = append(out, &v1.LinkEpoch{Note: e.Note, Heads: e.Heads})
			}
		}
		if len(page) < q.Limit {
			break
		}
		q.After = page[len(page)-1]
	}
	return out, nil
}

// meets reports whether an epoch may have footage of one of the ranges.
func (s *Server) meets(ctx context.Context, e catalog.Epoch, ranges []chain.TrackRange) (bool, error) {
	note, err := s.ingest.Epoch(ctx, e.ID)
	if err != nil {
		return false, err
	}
	end := max(e.Until, s.ingest.LastSlotEnd(e.ID), e.Start+1)
	return slices.ContainsFunc(ranges, func(r chain.TrackRange) bool {
		return note.Tracks[r.Track] && r.From < end && e.Start < r.Until
	}), nil
}

// linkSight is what a link shows of one track: the lines of its grant, whoever
// the epochs are sealed to.
func (s *Server) linkSight(ctx context.Context, kid string, track latchkey.TrackID) (*sight, error) {
	id, err := latchkey.ParseKid(kid)
	if err != nil {
		return nil, fmt.Errorf("cloud: link: %w", err)
	}
	link, g, err := s.linked(ctx, id)
	if err != nil {
		return nil, err
	}
	spans := spansOf(g.Tracks, track)
	if len(spans) == 0 {
		return nil, fmt.Errorf("cloud: link: %w", latchkey.ErrNotFound)
	}
	return &sight{s: s, household: link.Household, track: track, granted: joinSpans(spans)}, nil
}

// serveLink runs GET /v1/links/{kid}/{track}.
func (s *Server) serveLink(w http.ResponseWriter, r *http.Request) {
	q, err := parseFootage(r.PathValue("track"), r.URL.RawQuery)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	g, err := s.linkSight(r.Context(), r.PathValue("kid"), q.track)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.answerFootage(r.Context(), w, r, g, q)
}
