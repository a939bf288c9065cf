package member

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// GrantState says whether a grant opens anything.
type GrantState string

// The states of a grant.
const (
	GrantWaiting GrantState = "waiting" // its statement waits for the public log, or to be sent; nothing was handed over
	GrantActive  GrantState = "active"
	GrantRevoked GrantState = "revoked"
	GrantOver    GrantState = "over" // its time of service has passed
)

// GrantInfo is one grant of the household.
type GrantInfo struct {
	ID       latchkey.GrantID
	Kind     chain.GrantKind
	State    GrantState
	Purpose  string
	By, To   string // names; empty when not known, or of a link
	Mine     bool   // given by this member
	Cameras  []string
	Sound    bool
	Standing bool      // what of the span is still to come is sealed to him as it is recorded
	Span     Span      // of footage
	Given    time.Time // when the statement was signed
	Until    time.Time // end of service; zero: none
	Seq      uint64    // of its statement; zero while there is none
	Views    uint32    // of a link, by the server's count
	LastView time.Time // zero: never
}

// Grants lists the household's grants, newest last: those in the chain, and
// those that this machine has not been able to write yet.
func (c *Client) Grants(ctx context.Context) ([]GrantInfo, error) {
	fail := func(err error) ([]GrantInfo, error) { return nil, fmt.Errorf("member: grants: %w", err) }
	state, err := c.refresh(ctx)
	if err != nil {
		return fail(err)
	}
	cams, err := c.roster(ctx)
	if err != nil {
		return fail(err)
	}
	views, err := c.views(ctx)
	if err != nil {
		return fail(err)
	}
	pending, err := c.pendingGrants()
	if err != nil {
		return fail(err)
	}
	var out []GrantInfo
	for id, g := range state.Grants {
		info := c.describe(state, cams, id, g)
		if v := views[id]; v != nil {
			info.Views = v.Views
			if v.LastViewMs > 0 {
				info.LastView = time.UnixMilli(v.LastViewMs).UTC()
			}
		}
		out = append(out, info)
	}
	for _, p := range pending {
		i := slices.IndexFunc(out, func(g GrantInfo) bool { return g.ID == p.Grant.Grant })
		switch {
		case p.Handed:
		case i < 0:
			info := c.describe(state, cams, p.Grant.Grant, chain.Grant{
				By: c.kid(), To: p.Grant.To, Kind: p.Grant.Kind, Tracks: p.Grant.Tracks, Until: p.Grant.Until, Standing: p.Grant.Standing,
			})
			info.State, info.Purpose, info.Given = GrantWaiting, p.Grant.Purpose, time.Unix(p.Made, 0).UTC()
			out = append(out, info)
		case out[i].State == GrantActive:
			out[i].State = GrantWaiting
		}
	}
	slices.SortFunc(out, func(a, b GrantInfo) int {
		return cmp.Or(cmp.Compare(a.Seq-1, b.Seq-1), cmp.Compare(a.ID.String(), b.ID.String())) // zero last
	})
	return out, nil
}

func (c *Client) grantInfo(ctx context.Context, id latchkey.GrantID) (GrantInfo, error) {
	all, err := c.Grants(ctx)
	if err != nil {
		return GrantInfo{}, err
	}
	i := slices.IndexFunc(all, func(g GrantInfo) bool { return g.ID == id })
	if i < 0 {
		return GrantInfo{}, fmt.Errorf("member: grant %v: %w", id, latchkey.ErrNotFound)
	}
	return all[i], nil
}

// describe puts a grant into names.
func (c *Client) describe(state chain.State, cams []Camera, id latchkey.GrantID, g chain.Grant) GrantInfo {
	info := GrantInfo{
		ID: id, Kind: g.Kind, State: GrantActive, Span: linesSpan(g.Tracks), Standing: g.Standing, Seq: g.Seq,
		By: c.personName(g.By, state.Members[g.By]), Mine: g.By == c.kid(),
	}
	if party, ok := state.HolderOf(g.To); ok && g.Kind == chain.GrantMember {
		info.To = c.personName(party, state.Members[party])
	}
	if st, ok := c.past().grantAt(g.Seq); ok && g.Seq > 0 {
		info.Purpose, info.Given = st.Purpose, time.Unix(st.Time, 0).UTC()
	}
	if g.Until != forever {
		info.Until = time.Unix(g.Until, 0).UTC()
	}
	for _, cam := range cams {
		for _, t := range cam.Tracks {
			if !slices.ContainsFunc(g.Tracks, func(l chain.TrackRange) bool { return l.Track == t.ID }) {
				continue
			}
			info.Sound = info.Sound || t.Kind == latchkey.KindAudio
			if name := cmp.Or(cam.Name, cam.ID.String()); !slices.Contains(info.Cameras, name) {
				info.Cameras = append(info.Cameras, name)
			}
		}
	}
	switch {
	case g.Revoked:
		info.State = GrantRevoked
	case time.Now().Unix() >= g.Until:
		info.State = GrantOver
	}
	return info
}

// grantAt is the grant statement seq.
func (h history) grantAt(seq uint64) (chain.AddGrant, bool) {
	if seq >= uint64(len(h.notes)) {
		return chain.AddGrant{}, false
	}
	n, err := chain.ParseNote(h.notes[seq])
	if err != nil {
		return chain.AddGrant{}, false
	}
	st, err := chain.ParseStatement(n)
	if err != nil {
		return chain.AddGrant{}, false
	}
	g, ok := st.(chain.AddGrant)
	return g, ok
}

// RevokeGrant ends a grant, named by its id or the beginning of it. Only its
// issuer and admins can. One that was not written yet is dropped.
func (c *Client) RevokeGrant(ctx context.Context, name string) (GrantInfo, error) {
	g, err := c.findGrant(ctx, name)
	if err != nil {
		return GrantInfo{}, err
	}
	_, err = c.append(ctx, "revoke", func(h chain.Head, s chain.State) (chain.Statement, error) {
		if had, there := s.Grants[g.ID]; !there || had.Revoked {
			return nil, errGone
		}
		return chain.Revoke{Head: h, Grant: g.ID}, nil
	})
	if err != nil && !errors.Is(err, errGone) {
		return GrantInfo{}, err
	}
	if err := c.store.drop(pendingPrefix + g.ID.String()); err != nil {
		return GrantInfo{}, err
	}
	g.State = GrantRevoked
	return g, nil
}

// findGrant resolves an id or its beginning, of at least four digits.
func (c *Client) findGrant(ctx context.Context, name string) (GrantInfo, error) {
	all, err := c.Grants(ctx)
	if err != nil {
		return GrantInfo{}, err
	}
	var found []GrantInfo
	for _, g := range all {
		if len(name) >= 4 && strings.HasPrefix(g.ID.String(), strings.ToLower(name)) {
			found = append(found, g)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return GrantInfo{}, fmt.Errorf("member: no grant begins with %q: %w", name, latchkey.ErrNotFound)
	}
	return GrantInfo{}, fmt.Errorf("member: %w: %d grants begin with %q; write more of the id", latchkey.ErrInvalid, len(found), name)
}
