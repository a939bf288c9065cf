package member

import (
	"errors"
	"slices"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// TestReach: what becomes of a grant, by whose the cameras are and when it is.
func TestReach(t *testing.T) {
	mine, other := latchkey.TrackID{1}, latchkey.TrackID{2}
	to := chain.Member{Tracks: []latchkey.TrackID{mine}}
	now := at(100)
	for name, c := range map[string]struct {
		tracks   []latchkey.TrackID
		span     Span
		err      error
		standing bool
		left     []latchkey.TrackID
		until    int
	}{
		"the past of his":             {[]latchkey.TrackID{mine}, span(0, 50), nil, false, []latchkey.TrackID{mine}, 50},
		"the past of both":            {[]latchkey.TrackID{mine, other}, span(0, 50), nil, false, []latchkey.TrackID{mine}, 50},
		"the past of another":         {[]latchkey.TrackID{other}, span(0, 50), latchkey.ErrRefused, false, nil, 0},
		"past and future of his":      {[]latchkey.TrackID{mine}, span(0, 500), nil, false, []latchkey.TrackID{mine}, 100},
		"the future of his":           {[]latchkey.TrackID{mine}, span(100, 500), latchkey.ErrInvalid, false, nil, 0},
		"the future of another":       {[]latchkey.TrackID{other}, span(200, 500), nil, true, []latchkey.TrackID{other}, 500},
		"past and future of both":     {[]latchkey.TrackID{mine, other}, span(0, 500), nil, true, []latchkey.TrackID{mine, other}, 500},
		"more cameras than one takes": {slices.Repeat([]latchkey.TrackID{other}, 17), span(0, 500), latchkey.ErrTooMany, false, nil, 0},
	} {
		var g chain.AddGrant
		for _, id := range c.tracks {
			g.Tracks = append(g.Tracks, chain.TrackRange{Track: id, From: c.span.From.Unix(), Until: c.span.To.Unix()})
		}
		err := reach(&g, to, "Bob", now)
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		var left []latchkey.TrackID
		for _, l := range g.Tracks {
			left = append(left, l.Track)
			if l.Until != at(c.until).Unix() {
				t.Errorf("%s: until %s", name, time.Unix(l.Until, 0).UTC())
			}
		}
		if g.Standing != c.standing || !slices.Equal(left, c.left) {
			t.Errorf("%s: standing %v, tracks %v", name, g.Standing, left)
		}
	}
}

func TestServedUntil(t *testing.T) {
	g := chain.AddGrant{Tracks: []chain.TrackRange{{From: at(0).Unix(), Until: at(500).Unix()}}}
	standing := g
	standing.Standing = true
	for name, c := range map[string]struct {
		g      chain.AddGrant
		served time.Duration
		want   int64
	}{
		"the past without end":    {g, 0, forever},
		"the past for a minute":   {g, time.Minute, at(160).Unix()},
		"to come, by itself":      {standing, 0, at(500).Add(standingServed).Unix()},
		"to come, for an hour":    {standing, time.Hour, at(3700).Unix()},
		"to come, ends too early": {standing, time.Minute, 0},
		"ended":                   {g, -time.Second, 0},
	} {
		got, err := servedUntil(c.g, c.served, at(100))
		if got != c.want || (err != nil) != (c.want == 0) || err != nil && !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %d, want %d, %v", name, got, c.want, err)
		}
	}
}
