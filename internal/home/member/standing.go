package member

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// purposeStanding is what a standing grant is for, where nothing else is said.
const purposeStanding = "shared"

// Standing says what of the future somebody is to see.
type Standing struct {
	To     latchkey.Kid // the member's Ed25519 key
	Tracks []latchkey.TrackID
	Span   Span      // of the footage: whole seconds
	Until  time.Time // when the operator stops serving it; zero: never
}

// GrantStanding gives a member stretches of what is still to be recorded: from
// the statement on, hubs seal every epoch that the span reaches into to him. It
// carries no capsule, so nothing waits for the log here; hubs do. Revoke ends
// it, at the latest with the epoch that runs.
//
// Somebody who is no member is latchkey.ErrNotFound; a span that is over, or no
// track, is latchkey.ErrInvalid.
func (c *Client) GrantStanding(ctx context.Context, s Standing) (latchkey.GrantID, error) {
	id := latchkey.GrantID(newSalt())
	switch {
	case len(s.Tracks) == 0:
		return id, fmt.Errorf("member: standing grant: %w: it names no track", latchkey.ErrInvalid)
	case !s.Span.To.After(s.Span.From) || !s.Span.To.After(time.Now()):
		return id, fmt.Errorf("member: standing grant: %w: its time is over", latchkey.ErrInvalid)
	}
	until := int64(forever)
	if !s.Until.IsZero() {
		until = s.Until.Unix()
	}
	_, err := c.append(ctx, "standing grant", func(h chain.Head, state chain.State) (chain.Statement, error) {
		if _, given := state.Grants[id]; given {
			return nil, errGone
		}
		to, ok := state.Members[s.To]
		if !ok {
			return nil, fmt.Errorf("%w: no member %v", latchkey.ErrNotFound, s.To)
		}
		g := chain.AddGrant{
			Head: h, Grant: id, To: chain.KidOf(to.X), Kind: chain.GrantMember, Purpose: purposeStanding, Until: until, Standing: true,
		}
		for _, t := range s.Tracks {
			g.Tracks = append(g.Tracks, chain.TrackRange{Track: t, From: s.Span.From.Unix(), Until: s.Span.To.Unix()})
		}
		return g, nil
	})
	if errors.Is(err, errGone) {
		err = nil // an answer was lost: it stands already
	}
	return id, err
}
