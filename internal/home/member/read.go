package member

import (
	"context"
	"fmt"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/part"
)

// maxPause is how many slots may lie between two parts of one stretch, as of
// the index's segments: a longer pause is time without footage.
const maxPause = 3

// stretch is a run of consecutive parts of one epoch without a pause, as a
// reader got them or as the server's index claims them.
type stretch struct {
	epoch       *epoch
	first, last uint32 // seq
	firstSlot   uint32
	lastSlot    uint32
	hash        latchkey.Hash // of the last part; zero when only claimed
	ended       bool          // the last part says END
}

// from and until are the footage times the stretch spans, half open, to the second.
func (s stretch) from() time.Time  { return s.epoch.at(s.firstSlot) }
func (s stretch) until() time.Time { return s.epoch.at(s.lastSlot + 1) }

// reader lets through what verifies, in the order the hub sealed it. A part
// that is older than one before it, is there twice, comes from elsewhere or
// does not link to its predecessor ends the reading with latchkey.ErrVerify; a
// part that is missing shows as a hole between two stretches.
type reader struct {
	source
	track    latchkey.TrackID
	follower *seal.Follower
	got      []stretch
	parts    int
	bytes    int64
}

// source is where footage comes from, and what it is held against: a member's
// server and chain, or a link.
type source struct {
	opener *seal.Opener
	fetch  func(ctx context.Context, q query) ([]part.Part, *place, error) // parsed, not verified
	epoch  func(ctx context.Context, id latchkey.EpochID) (*epoch, error)  // verified
}

// newReader starts reading a track, from wherever its first part is.
func (c *Client) newReader(track latchkey.TrackID) *reader {
	return newReader(source{c.book.opener, c.fetch, c.book.epoch}, track)
}

func newReader(s source, track latchkey.TrackID) *reader {
	return &reader{source: s, track: track, follower: s.opener.Follow(track)}
}

// read walks the track from q on and hands every opened part to visit.
func (r *reader) read(ctx context.Context, q query, visit func(opened) error) error {
	q.track = r.track
	for {
		parts, next, err := r.fetch(ctx, q)
		if err != nil {
			return err
		}
		if err := r.take(ctx, parts, visit); err != nil {
			return err
		}
		if next == nil {
			return nil
		}
		if q.at != nil && *q.at == *next || len(parts) == 0 {
			return fmt.Errorf("member: read footage: %w: the server goes round in circles", latchkey.ErrInvalid)
		}
		q.at = next
	}
}

// opened is one verified part with its content.
type opened struct {
	epoch *epoch
	part.Header
	records []part.Record
	raw     []byte // as it was sealed
	hash    latchkey.Hash
}

// at is the footage time of the part, to the second.
func (o opened) at() time.Time { return o.epoch.at(o.Slot) }

// media picks the init and fragment records.
func (o opened) media() (init, fragment []byte) {
	for _, r := range o.records {
		switch r.Type {
		case recordInit:
			init = r.Data
		case recordFragment:
			fragment = r.Data
		}
	}
	return init, fragment
}

// take verifies, opens and visits parts that came together.
func (r *reader) take(ctx context.Context, parts []part.Part, visit func(opened) error) error {
	for len(parts) > 0 {
		n := runLength(parts)
		e, err := r.epoch(ctx, parts[0].Header.Epoch)
		if err != nil {
			return err
		}
		if n = r.sharedLength(e, parts[:n]); n < 0 {
			parts = parts[-n:]
			continue
		}
		recs, err := r.accept(e, parts[:n])
		if err != nil {
			return fmt.Errorf("member: read footage: %w", err)
		}
		for i, p := range parts[:n] {
			if err := visit(opened{epoch: e, Header: p.Header, records: recs[i].Records, raw: p.Raw, hash: recs[i].Hash}); err != nil {
				return err
			}
		}
		parts = parts[n:]
	}
	return nil
}

// runLength is how many parts at the front form one consecutive run.
func runLength(parts []part.Part) int {
	n := 1
	for n < len(parts) && parts[n].Header.Epoch == parts[0].Header.Epoch && parts[n].Header.Seq == parts[n-1].Header.Seq+1 {
		n++
	}
	return n
}

// sharedLength is how many parts at the front of a run this member has keys
// for or, negative, how many he has none for: a grant may begin or end anywhere.
func (r *reader) sharedLength(e *epoch, run []part.Part) int {
	covered := r.opener.Covered(e.note.Epoch, r.track)
	first := slotIn(covered, run[0].Header.Slot)
	n := 1
	for n < len(run) && slotIn(covered, run[n].Header.Slot) == first {
		n++
	}
	if !first {
		return -n
	}
	return n
}

func slotIn(covered []seal.Slots, slot uint32) bool {
	return slices.ContainsFunc(covered, func(s seal.Slots) bool { return s.From <= slot && slot < s.Until })
}

// accept opens a run and notes where it stands. What the follower refuses (a
// part twice, an older one, one that does not link to its predecessor) ends it.
func (r *reader) accept(e *epoch, run []part.Part) ([]seal.Opened, error) {
	first := run[0].Header
	if first.Track != r.track {
		return nil, fmt.Errorf("%w: a part of another track", latchkey.ErrVerify)
	}
	var before *stretch
	if len(r.got) > 0 {
		before = &r.got[len(r.got)-1]
	}
	if before != nil && e.note.Start < before.epoch.note.Start {
		return nil, fmt.Errorf("%w: footage of an older epoch after that of a newer one: replayed or out of order", latchkey.ErrVerify)
	}
	recs, gaps, err := r.follower.OpenRun(run)
	if err != nil {
		return nil, err
	}
	r.count(run)
	follows := before != nil && before.epoch == e && len(gaps) == 0
	for _, o := range recs {
		r.extend(e, o, follows)
		follows = true
	}
	return recs, nil
}

// note notes a part that another reader has opened, in its order.
func (r *reader) note(o opened) {
	n := len(r.got)
	follows := n > 0 && r.got[n-1].epoch == o.epoch && r.got[n-1].last+1 == o.Seq
	r.extend(o.epoch, seal.Opened{Part: part.Part{Header: o.Header}, Hash: o.hash}, follows)
}

// extend notes an opened part; follows says that its predecessor was the one
// before it.
func (r *reader) extend(e *epoch, o seal.Opened, follows bool) {
	h := o.Part.Header
	if n := len(r.got); !follows || h.Slot-r.got[n-1].lastSlot > maxPause {
		r.got = append(r.got, stretch{epoch: e, first: h.Seq, firstSlot: h.Slot})
	}
	s := &r.got[len(r.got)-1]
	s.last, s.lastSlot, s.hash, s.ended = h.Seq, h.Slot, o.Hash, h.Flags&part.END != 0
}

func (r *reader) count(run []part.Part) {
	r.parts += len(run)
	for _, p := range run {
		r.bytes += int64(len(p.Raw))
	}
}

// private is the time of the epochs that r read for which this member has no keys.
func (c *Client) private(r *reader) []Span {
	var out []Span
	var last *epoch
	for _, st := range r.got {
		if st.epoch != last {
			last = st.epoch
			out = append(out, spansOf(c.book.private(st.epoch, ending{}, r.track))...)
		}
	}
	return out
}
