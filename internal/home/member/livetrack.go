package member

import (
	"context"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/part"
)

// liveTrack follows one track of a live socket: it knows what came, what the
// server said it left out, and how far the hub's notes vouch for the rest.
type liveTrack struct {
	watch    *watch
	id       latchkey.TrackID
	kind     latchkey.TrackKind
	follower *seal.Follower
	epoch    *epoch // of the newest part; nil before the first
	seq      uint32 // of the newest part
	fresh    bool   // a part beyond the former connection's came on this one
	skip     liveOp // announced and not yet met
	wantRAP  bool   // something was left out: wait for a random-access part
	since    time.Time
	closed   latchkey.EpochID // the newest epoch that was not for this member
}

// take verifies one part and returns its media; nil when there is nothing to
// show: a repeat after reconnecting, the end of an epoch, or frames that no
// player could decode.
func (t *liveTrack) take(ctx context.Context, p part.Part) (*Media, error) {
	h := p.Header
	e, err := t.watch.client.book.epoch(ctx, h.Epoch)
	if err != nil {
		return nil, err
	}
	if t.repeats(e, h) {
		return nil, nil
	}
	if !slotIn(t.watch.client.book.opener.Covered(h.Epoch, t.id), h.Slot) {
		t.notShared(h.Epoch)
		return nil, nil
	}
	if t.follower == nil {
		t.follower = t.watch.client.book.opener.Follow(t.id)
		t.wantRAP = true
	}
	opened, gaps, err := t.follower.OpenRun([]part.Part{p})
	if err != nil {
		return nil, err
	}
	for _, gap := range gaps {
		t.missed(gap)
	}
	if t.epoch == nil {
		t.begin(e.at(h.Slot))
	}
	t.epoch, t.seq, t.fresh = e, h.Seq, true
	return t.media(e, opened[0]), nil
}

// notShared says once an epoch that its footage is not for this member: it
// began before the hub heard of him, or of what he may see.
func (t *liveTrack) notShared(e latchkey.EpochID) {
	if t.closed != e {
		t.watch.notice("not-shared", "The %s of now is not shared with you; it may be from the hub's next epoch on.", t.kind)
	}
	t.closed = e
}

// begin takes the time of the very first part. Nothing vouches for more than it
// yet: a server that plays yesterday's footage as live is stale at once, not
// only after 90 s.
func (t *liveTrack) begin(at time.Time) {
	if at.Before(t.since) {
		t.since = at
	}
}

// repeats reports whether a part was passed on an earlier connection: the burst
// with which a server starts may overlap what we have. Once something newer has
// come on this connection, a repeat is a replay and the follower refuses it.
func (t *liveTrack) repeats(e *epoch, h part.Header) bool {
	if t.epoch == nil || t.fresh {
		return false
	}
	if e == t.epoch {
		return h.Seq <= t.seq
	}
	return e.note.Hub == t.epoch.note.Hub && e.note.N < t.epoch.note.N
}

// media picks what a player needs.
func (t *liveTrack) media(e *epoch, o seal.Opened) *Media {
	h := o.Part.Header
	init, fragment := opened{epoch: e, Header: h, records: o.Records}.media()
	if h.Flags&part.RAP != 0 {
		t.wantRAP = false
	}
	if fragment == nil || t.wantRAP {
		return nil
	}
	return &Media{Kind: t.kind, Init: init, Fragment: fragment, At: e.at(h.Slot)}
}

// skipped notes what the server says it leaves out because we are slow.
func (t *liveTrack) skipped(op liveOp) {
	t.skip = op
	t.watch.notice("skipped", "Skipped %d parts of the %s: this reader was too slow.", op.To-min(op.From, op.To), t.kind)
}

// missed judges parts that did not come: those the server announced are a
// skip, those of a broken line nobody's fault, and all others are said to be
// missing. An end that the hub itself could not note (it lost power) is none.
func (t *liveTrack) missed(gap seal.Gap) {
	t.wantRAP = true
	announced := t.skip.Epoch == gap.Epoch.String() && t.skip.From <= gap.From && gap.To <= t.skip.To
	if announced || !t.fresh || gap.To == 0 {
		return
	}
	t.watch.notice("missing", "%d parts of the %s are missing: the server left them out without a word.", gap.To-gap.From, t.kind)
}

// vouched is the newest time for which the hub itself says how far the track
// has come, provided that we have come that far.
func (t *liveTrack) vouched() time.Time {
	if t.epoch == nil {
		return t.since
	}
	b := t.watch.client.book
	if h := b.headsOf(t.epoch); h != nil {
		for _, head := range h.Heads {
			if head.Track == t.id && head.Seq > t.seq {
				return t.since
			}
		}
		t.since = later(t.since, time.Unix(h.Time, 0))
	}
	return t.since
}
