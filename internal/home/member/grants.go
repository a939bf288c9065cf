package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/part"
)

// purposeHistory is what a new member's grant of the past is for.
const purposeHistory = "history"

// forever is the end of service of a grant that has none: the last second that
// every reader can write as a date.
const forever = 253402300799

// takeGrants opens the grants to this member that the chain has and this
// process has not opened. One whose capsule is not at the server yet is asked
// for again the next time, as is one whose proof cannot be checked now; another
// capsule than the chain names, or one that is not proven to stand in the public
// log, is latchkey.ErrVerify.
func (b *book) takeGrants(ctx context.Context) error {
	for id, g := range b.client.past().head().Grants {
		b.mu.Lock()
		done := b.granted[id]
		b.mu.Unlock()
		if done || !b.client.grantee(g) {
			continue
		}
		res, err := call(ctx, b.client, "get grant", b.client.api.chain.GetCapsule, &latchkeyv1.GetCapsuleRequest{Grant: id[:]})
		if errors.Is(err, latchkey.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := b.client.checkProof(ctx, g.Seq, res.Proof); err != nil {
			if errors.Is(err, latchkey.ErrVerify) || errors.Is(err, latchkey.ErrInvalid) {
				return fmt.Errorf("member: get grant: %w", err)
			}
			b.client.log.Warn("a grant stays shut: its place in the public log cannot be checked now", "grant", id, "err", err)
			continue
		}
		stray, err := b.opener.AddGrant(id, g, res.Capsule, b.client.sealing())
		if err != nil {
			return fmt.Errorf("member: get grant: %w", err)
		}
		if stray > 0 {
			b.client.log.Warn("a grant holds keys beyond its lines; they were discarded", "grant", id, "entries", stray)
		}
		b.mu.Lock()
		b.granted[id] = true
		b.mu.Unlock()
	}
	return nil
}

// grantee reports whether a grant of footage is to this member and stands.
func (c *Client) grantee(g chain.Grant) bool {
	return g.Kind == chain.GrantMember && !g.Revoked && g.Capsule != latchkey.Hash{} &&
		slices.ContainsFunc(c.sealing(), func(s *keys.Sealing) bool { return s.Kid() == g.To })
}

// shared are the times of an epoch for which this member has keys of a track.
func (b *book) shared(e *epoch, track latchkey.TrackID) []Span {
	var out []Span
	for _, s := range b.opener.Covered(e.note.Epoch, track) {
		out = append(out, Span{e.at(s.From), e.at(s.Until)})
	}
	return out
}

// History is how far back a new member may look.
type History struct {
	All  bool
	Days int // without All; 0: not at all
}

// since is where the footage of a history begins, in unix seconds.
func (h History) since(now time.Time) int64 {
	if h.All {
		return 0
	}
	return now.Add(-time.Duration(h.Days) * 24 * time.Hour).Unix()
}

// historyGrant makes the grant of what this member holds of the past, of the
// tracks that a new one may see, and its capsule; nil when there is nothing. It
// goes on to the end of the running epochs: what comes after is sealed to him.
func (c *Client) historyGrant(ctx context.Context, to chain.Member, h History, state chain.State) (*pendingGrant, error) {
	now := time.Now()
	from := h.since(now)
	until := now.Unix() + part.Slots
	if _, err := c.book.list(ctx, Span{time.Unix(from, 0), time.Unix(until, 0)}); err != nil {
		return nil, err
	}
	g := chain.AddGrant{
		Grant: latchkey.GrantID(newSalt()), To: chain.KidOf(to.X), Kind: chain.GrantMember, Purpose: purposeHistory, Until: forever,
	}
	for _, t := range state.Tracks() {
		if to.MaySee(t.ID) {
			g.Tracks = append(g.Tracks, chain.TrackRange{Track: t.ID, From: from, Until: until})
		}
	}
	if len(g.Tracks) == 0 {
		return nil, nil
	}
	p, err := c.sealPending(g, to.X)
	if errors.Is(err, errNothingHeld) {
		return nil, nil
	}
	return p, err
}

// errNothingHeld is a grant of footage that this member has no keys of.
var errNothingHeld = fmt.Errorf("%w: there is no footage of that time that you hold the keys of", latchkey.ErrNotFound)

// sealPending makes the capsule of a grant out of what this member holds.
func (c *Client) sealPending(g chain.AddGrant, x []byte) (*pendingGrant, error) {
	capsule, n, err := c.book.opener.SealGrant(seal.GrantParams{ID: g.Grant, To: x, Ranges: g.Tracks})
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, errNothingHeld
	}
	g.Capsule = chain.TextHash(capsule)
	return &pendingGrant{Grant: g, Capsule: capsule, Made: time.Now().Unix()}, nil
}
