package member

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// standingTo are the stretches of a track that standing grants which are served
// at now give a member, joined and in order.
func standingTo(state chain.State, m chain.Member, track latchkey.TrackID, now time.Time) []Span {
	var out []Span
	for _, id := range state.GrantsTo(m) {
		g := state.Grants[id]
		if !g.Standing || now.Unix() >= g.Until {
			continue
		}
		for _, l := range g.Tracks {
			if l.Track == track {
				out = append(out, Span{time.Unix(l.From, 0).UTC(), time.Unix(l.Until, 0).UTC()})
			}
		}
	}
	return joinSpans(out)
}

// joinSpans sorts spans and joins those that touch.
func joinSpans(list []Span) []Span {
	slices.SortFunc(list, func(a, b Span) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	var out []Span
	for _, s := range list {
		if n := len(out); n > 0 && !s.From.After(out[n-1].To) {
			out[n-1].To = later(out[n-1].To, s.To)
			continue
		}
		out = append(out, s)
	}
	return out
}

// visible fills in the tracks of a camera that are there for a member: those of
// his rights, and those that standing grants give him stretches of.
func (cam *Camera) visible(declared []chain.TrackDecl, state chain.State, m chain.Member, now time.Time) {
	right := false
	for _, kind := range kindOrder {
		for _, t := range declared {
			if t.Kind != kind {
				continue
			}
			granted := standingTo(state, m, t.ID, now)
			if m.MaySee(t.ID) {
				right = true
			} else if len(granted) == 0 {
				continue
			}
			cam.Granted = append(cam.Granted, granted...)
			cam.Tracks = append(cam.Tracks, Track{ID: t.ID, Kind: t.Kind})
		}
	}
	if cam.Granted = joinSpans(cam.Granted); right {
		cam.Granted = nil
	}
}

// granted fills in what the hub last said of a camera within the stretches that
// were given: near the end of the newest that has begun, else from its beginning.
func (c *Client) granted(ctx context.Context, cam *Camera) error {
	now := time.Now()
	for _, s := range slices.Backward(cam.Granted) {
		if s.From.After(now) {
			continue
		}
		end := s.To
		if end.After(now) {
			end = now
		}
		for _, from := range []time.Time{end.Add(-2*recordEvery - edge), s.From} {
			m, err := c.readMeta(ctx, *cam, Span{later(from, s.From), end}, nil)
			if err != nil && !errors.Is(err, latchkey.ErrNotFound) { // the hub had not begun with it
				return err
			}
			if m.state.Type != "" {
				cam.take(m.state)
				return nil
			}
		}
	}
	return nil
}
