package member

import (
	"cmp"
	"context"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// survey holds footage of one track against what the hub's notes say must
// exist. Its arithmetic is pure; now is fixed when it is made.
type survey struct {
	track     latchkey.TrackID
	span      Span // what was asked
	wide      Span // span widened to whole epochs, so that every hole has two ends
	now       time.Time
	epochs    []*epoch    // verified, those that declare the track, oldest first
	ends      []ending    // of each of epochs
	vouched   time.Time   // newest time for which a note of the hub speaks
	missed    []time.Time // beginnings of epochs whose predecessor the server does not show
	stretches []stretch   // in order
	lost      []Gap       // found on the way: holes in the meta track
	// private is time for which this member has no keys: nobody gave him any.
	private []Gap
	deleted []Span // that the chain orders to be gone: no alarm
}

// ending is how far the hub itself says an epoch has come.
type ending struct {
	known bool
	seq   uint32    // of the last part known to exist
	when  time.Time // by then it existed
	hash  latchkey.Hash
	// next is when the following epoch begins; zero for the newest.
	next time.Time
}

// survey loads the epochs around span and what their notes vouch for.
func (c *Client) survey(ctx context.Context, track latchkey.TrackID, span Span) (*survey, error) {
	// The epoch that the span begins in started up to a day and a half before
	// it; the note after the span's last epoch says how that one ended.
	all, err := c.book.list(ctx, Span{span.From.Add(-epochSpan), span.To.Add(epochSpan)})
	if err != nil {
		return nil, err
	}
	s := &survey{track: track, span: span, wide: span, now: time.Now()}
	s.deleted = deletedSpans(c.past().states, track, s.now)
	rights := c.rightsTo(track)
	for i, e := range all {
		if !e.declares(track) {
			continue
		}
		s.vouched = later(s.vouched, c.book.vouched(e))
		end := c.book.ending(e, track)
		if !end.next.IsZero() && !end.next.After(span.From) || !e.at(0).Before(span.To) {
			continue
		}
		if i > 0 && all[i-1].note.Hub == e.note.Hub && e.note.N > all[i-1].note.N+1 && rights.always(all[i-1].note.ChainSeq, e.note.ChainSeq) {
			s.missed = append(s.missed, e.at(0))
		}
		s.epochs, s.ends = append(s.epochs, e), append(s.ends, end)
		s.private = append(s.private, c.book.private(e, end, track)...)
		if e.at(0).Before(s.wide.From) {
			s.wide.From = e.at(0)
		}
		s.wide.To = later(s.wide.To, end.when)
	}
	for _, out := range append(rights.without(s.wide), rights.settling(s.epochs, s.wide, s.now)...) {
		// Where a grant, or an epoch that began early, gave him keys, they count.
		for _, rest := range without([]Span{out}, c.sharedSpans(s.epochs, track)...) {
			s.private = append(s.private, Gap{Span: rest, Why: whyNotShared})
		}
	}
	return s, nil
}

// private is the time of an epoch for which this member has no keys of a track.
// It is an alarm only if the chain prescribes that he should.
func (b *book) private(e *epoch, end ending, track latchkey.TrackID) []Gap {
	until := end.next
	if until.IsZero() {
		until = e.at(part.Slots)
	}
	var out []Gap
	for _, s := range without([]Span{{e.at(0), until}}, b.shared(e, track)...) {
		out = append(out, Gap{Span: s, Why: whyNotShared, Alarm: e.leftOut})
	}
	return out
}

// sharedSpans are the times of all these epochs for which this member has keys.
func (c *Client) sharedSpans(epochs []*epoch, track latchkey.TrackID) []Span {
	var out []Span
	for _, e := range epochs {
		out = append(out, c.book.shared(e, track)...)
	}
	return out
}

// vouched is the newest time for which a hub's note of this epoch speaks: its
// heads, or its beginning while it is too young for heads.
func (b *book) vouched(e *epoch) time.Time {
	if h := b.headsOf(e); h != nil {
		return later(e.at(0), time.Unix(h.Time, 0).UTC())
	}
	return e.at(0)
}

// completeUntil is how far nothing is missing, by the hub's own notes.
func (s *survey) completeUntil(gaps []Gap) time.Time {
	until := s.vouched
	for _, g := range gaps {
		if (g.Alarm || g.Why == whyBacklog || g.Why == whyNotComplete) && g.From.Before(until) {
			until = g.From
		}
	}
	return until
}

// ending computes how far e is known to go: from the following epoch's note,
// and from the newest heads of e itself.
func (b *book) ending(e *epoch, track latchkey.TrackID) ending {
	var end ending
	if next := b.next(e); next != nil {
		end.next = next.at(0)
		if l, ok := next.lastOf(track); ok && l.Epoch == e.note.Epoch {
			end.known, end.seq, end.hash, end.when = true, l.Seq, l.Hash, next.at(0)
		}
	}
	if h := b.headsOf(e); h != nil {
		for _, head := range h.Heads {
			if head.Track == track && (!end.known || head.Seq > end.seq) {
				end.known, end.seq, end.hash, end.when = true, head.Seq, head.Hash, time.Unix(h.Time, 0).UTC()
			}
		}
	}
	return end
}

// ranges are the covered spans inside the asked one, joined over the grid.
func (s *survey) ranges() []Span {
	var out []Span
	for _, st := range s.stretches {
		r := clip(Span{st.from(), st.until()}, s.span)
		if !r.From.Before(r.To) {
			continue
		}
		if n := len(out); n > 0 && r.From.Sub(out[n-1].To) <= grid && !s.holeAt(out[n-1].To, r.From) {
			if r.To.After(out[n-1].To) {
				out[n-1].To = r.To
			}
			continue
		}
		out = append(out, r)
	}
	return without(out, spansOf(s.private)...)
}

func spansOf(gaps []Gap) []Span {
	out := make([]Span, len(gaps))
	for i, g := range gaps {
		out[i] = g.Span
	}
	return out
}

// holes are the spans in which parts are known to be missing.
func (s *survey) holes() []Span {
	out := holesBetween(s.stretches)
	for i, e := range s.epochs {
		out = append(out, s.holesIn(e, s.ends[i])...)
	}
	for _, begin := range s.missed {
		out = append(out, Span{s.lastBefore(begin), begin})
	}
	slices.SortFunc(out, func(a, b Span) int { return a.From.Compare(b.From) })
	return out
}

// lastBefore is the end of the footage before t, or the begin of the asked span.
func (s *survey) lastBefore(t time.Time) time.Time {
	end := s.span.From
	for _, st := range s.stretches {
		if u := st.until(); !u.After(t) {
			end = later(end, u)
		}
	}
	return end
}

// holesBetween finds parts missing between stretches of the same epoch.
func holesBetween(list []stretch) []Span {
	var out []Span
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		if a.epoch == b.epoch && b.first > a.last+1 {
			hole := Span{a.until(), b.from()}
			if !hole.From.Before(hole.To) { // within one second
				hole = Span{a.epoch.at(a.lastSlot), a.until()}
			}
			out = append(out, hole)
		}
	}
	return out
}

// holesIn finds a missing beginning or end of one epoch.
func (s *survey) holesIn(e *epoch, end ending) []Span {
	if !end.known {
		return nil
	}
	i := slices.IndexFunc(s.stretches, func(st stretch) bool { return st.epoch == e })
	if i < 0 {
		return []Span{{e.at(0), later(end.when, e.at(1))}}
	}
	var out []Span
	first, last := s.stretches[i], s.stretches[i]
	for _, st := range s.stretches[i:] {
		if st.epoch == e {
			last = st
		}
	}
	if first.first > 0 {
		out = append(out, Span{e.at(0), first.from()})
	}
	if last.last < end.seq {
		out = append(out, Span{last.until(), later(end.when, last.until().Add(time.Second))})
	}
	return out
}

func (s *survey) holeAt(from, to time.Time) bool {
	return slices.ContainsFunc(s.holes(), func(h Span) bool {
		return h.From.Before(to.Add(time.Nanosecond)) && h.To.After(from.Add(-time.Nanosecond))
	})
}

// gaps are the holes and the uncovered times of the asked span, with reasons.
// A hole is a proven loss however short it is. Time without parts is only a gap
// beyond the grid, and most often the hub has recorded why.
func (s *survey) gaps(m meta) []Gap {
	out := make([]Gap, 0, len(s.lost))
	for _, g := range s.lost {
		if s.onItsWay(g.Span, m.state) {
			g = Gap{Span: g.Span, Why: whyBacklog}
		}
		out = append(out, g)
	}
	open := s.takeDeleted(s.uncovered(), &out)
	for _, hole := range s.holes() {
		if hole = clip(hole, s.span); !hole.From.Before(hole.To) {
			continue
		}
		open = without(open, hole)
		for _, rest := range s.explain(s.notShared(s.takeDeleted([]Span{hole}, &out), &out), m.gaps, explainsLoss, &out) {
			out = append(out, s.reason(Gap{Span: rest, Why: whyMissing, Alarm: true}, m.state))
		}
	}
	for _, rest := range s.explain(s.notShared(open, &out), m.gaps, explainsSilence, &out) {
		if rest.To.Sub(rest.From) > grid {
			out = append(out, s.reason(Gap{Span: rest, Why: whyUnexplained, Alarm: !s.cutShort(rest)}, m.state))
		}
	}
	slices.SortFunc(out, func(a, b Gap) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	return joinGaps(out)
}

// explainsSilence: any reason will do where no part was ever sealed.
func explainsSilence(string) bool { return true }

// explainsLoss: parts that were sealed and are not there were given up by the
// hub for want of space or because its disk had spoilt them, or went down with
// it in a power cut.
func explainsLoss(why string) bool {
	return why == "spool-full" || why == "disk-full" || why == "disk-error" || why == "hub-off"
}

// notShared takes out of open the time for which this member has no keys, adds
// that to out, and returns the rest. A second of it may be the grid.
func (s *survey) notShared(open []Span, out *[]Gap) []Span {
	for _, p := range s.private {
		for _, o := range open {
			if in := clip(p.Span, o); in.To.Sub(in.From) >= time.Second {
				*out = append(*out, Gap{Span: in, Why: p.Why, Alarm: p.Alarm})
			}
		}
		open = without(open, p.Span)
	}
	return open
}

// cutShort reports whether a silence ends where what this member sees ends, and
// is so short that the hub's word about it may have come after that.
func (s *survey) cutShort(silence Span) bool {
	return silence.To.Sub(silence.From) <= recordEvery+edge && slices.ContainsFunc(s.private, func(p Gap) bool {
		return p.From.Sub(silence.To).Abs() <= grid
	})
}

// explain takes out of open what the hub's records of a fitting kind cover, adds
// that to out, and returns the rest.
func (s *survey) explain(open []Span, records []metaRecord, fits func(string) bool, out *[]Gap) []Span {
	for _, g := range records {
		if !fits(g.Why) {
			continue
		}
		why := Span{millis(g.From).Add(-grid), millis(g.To).Add(grid)}
		for _, o := range open {
			// Less than a slot is the grid again: the next frame was just late.
			if in := clip(why, o); in.To.Sub(in.From) >= time.Second {
				*out = append(*out, Gap{Span: in, Why: g.Why})
			}
		}
		open = without(open, why)
	}
	return open
}

// without cuts spans out of others.
func without(list []Span, cuts ...Span) []Span {
	for _, cut := range cuts {
		var out []Span
		for _, s := range list {
			in := clip(cut, s)
			if !in.From.Before(in.To) {
				out = append(out, s)
				continue
			}
			for _, piece := range []Span{{s.From, in.From}, {in.To, s.To}} {
				if piece.From.Before(piece.To) {
					out = append(out, piece)
				}
			}
		}
		list = out
	}
	return list
}

// reason tells what is known about a gap that no record explains. The newest
// seconds may only be late; nothing new for a while is said, and becomes an
// alarm when it lasts.
func (s *survey) reason(g Gap, state metaRecord) Gap {
	switch {
	case s.onItsWay(g.Span, state):
		return Gap{Span: g.Span, Why: whyBacklog}
	case g.Why == whyMissing && s.now.Sub(g.From) > edge:
		return g
	case s.now.Sub(g.To) < edge:
		return Gap{Span: g.Span, Why: whyNotComplete, Alarm: s.now.Sub(g.From) > freshness}
	}
	return g
}

// onItsWay reports whether the hub says, in a recent record, that it still has
// to send footage of that time, or that it holds it. It always holds the last
// minute, until the cloud has closed its reels: only older parts that it merely
// holds are a backlog, and a loss in the last minute is not excused by them.
func (s *survey) onItsWay(gap Span, state metaRecord) bool {
	said, hub := millis(state.At), state.Hub
	if s.now.Sub(said) >= 2*recordEvery {
		return false
	}
	from, to, oldest := time.Unix(hub.BacklogFrom, 0), time.Unix(hub.BacklogTo, 0), time.Unix(hub.SpoolOldest, 0)
	unsent := hub.BacklogFrom > 0 && gap.From.Before(to.Add(grid)) && gap.To.After(from.Add(-grid))
	return unsent || hub.SpoolOldest > 0 && said.Sub(oldest) > ordinarySpool && gap.To.After(oldest)
}

// uncovered is the asked span without the ranges; the live edge is not a hole.
func (s *survey) uncovered() []Span {
	end := s.span.To
	if end.After(s.now) {
		end = s.now
	}
	at := s.span.From
	var out []Span
	for _, r := range s.ranges() {
		if r.From.Sub(at) > grid {
			out = append(out, Span{at, r.From})
		}
		at = later(at, r.To)
	}
	slack := grid
	if s.now.Sub(end) < edge {
		slack = edge
	}
	if end.Sub(at) > slack {
		out = append(out, Span{at, end})
	}
	return s.sinceFirst(out)
}

// sinceFirst drops time before the track's first footage: a camera that did
// not exist yet has no gap.
func (s *survey) sinceFirst(list []Span) []Span {
	if len(s.epochs) == 0 {
		return list
	}
	birth := s.epochs[0]
	if _, known := birth.lastOf(s.track); known {
		return list
	}
	var out []Span
	for _, g := range list {
		g.From = later(g.From, birth.at(0))
		if g.To.Sub(g.From) > grid {
			out = append(out, g)
		}
	}
	return out
}

// joinGaps joins neighbours with the same reason.
func joinGaps(list []Gap) []Gap {
	var out []Gap
	for _, g := range list {
		if n := len(out); n > 0 && out[n-1].Why == g.Why && g.From.Sub(out[n-1].To) <= grid {
			out[n-1].To = later(out[n-1].To, g.To)
			continue
		}
		out = append(out, g)
	}
	return out
}

func clip(s, to Span) Span {
	if s.From.Before(to.From) {
		s.From = to.From
	}
	if s.To.After(to.To) {
		s.To = to.To
	}
	return s
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
