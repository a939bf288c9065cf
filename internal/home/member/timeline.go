package member

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
)

const (
	// Footage is indexed by slots of one second, and an epoch begins at a full
	// second: holes up to this length are the grid, not a loss.
	grid = 2 * time.Second
	// freshness is the age up to which nothing is said about the newest
	// footage (protocol 2.6).
	freshness = 90 * time.Second
	// edge is how far live footage may trail now before it counts as a hole.
	edge = 10 * time.Second
	// recordEvery is how often a hub repeats state and lasting gaps.
	recordEvery = time.Minute
	// ordinarySpool is how old a hub's oldest part gets while all is well: a
	// reel is open for up to 60 s, or 90 s without parts.
	ordinarySpool = 100 * time.Second
	epochSpan     = 37 * time.Hour // longer than any epoch: 2^17 slots
)

// Reasons that this client itself finds; the others are the hub's.
const (
	whyMissing     = "missing"
	whyRecords     = "records-missing"
	whyNotComplete = "not-complete"
	whyUnexplained = "unexplained"
	whyBacklog     = "backlog"
	whyNotShared   = "not-shared"
)

// Timeline tells what is there of a camera in the span. The cloud's index is
// only believed where the hub's own notes bear it out: what a note says exists
// and the index lacks, what no sealed record explains, and what no heads note
// vouches for yet, each is a gap.
func (c *Client) Timeline(ctx context.Context, camera string, span Span) (Timeline, error) {
	cam, err := c.find(ctx, camera)
	if err != nil {
		return Timeline{}, err
	}
	video, ok := cam.Track(latchkey.KindVideo)
	if !ok {
		return Timeline{}, fmt.Errorf("member: timeline: %w: camera %q has no picture", latchkey.ErrNotFound, camera)
	}
	s, err := c.survey(ctx, video.ID, span)
	if err != nil {
		return Timeline{}, err
	}
	if s.stretches, err = c.segments(ctx, video.ID, s.wide); err != nil {
		return Timeline{}, err
	}
	m, err := c.explanations(ctx, &cam, s)
	if err != nil {
		return Timeline{}, err
	}
	tl := Timeline{Camera: cam, Ranges: s.ranges(), Gaps: s.gaps(m), Events: eventsIn(m, cam, span)}
	tl.CompleteUntil = s.completeUntil(tl.Gaps)
	return tl, nil
}

// explanations reads what the hub recorded about gaps and events around the
// span; for a gap that is still open there it looks at what the hub said when
// it came back.
func (c *Client) explanations(ctx context.Context, cam *Camera, s *survey) (meta, error) {
	m, err := c.readMeta(ctx, *cam, Span{s.span.From.Add(-recordEvery - edge), s.span.To.Add(2*recordEvery + edge)}, s)
	if err != nil {
		return m, err
	}
	if slices.ContainsFunc(s.gaps(m), func(g Gap) bool { return g.Alarm }) {
		back, ok, err := c.firstAfter(ctx, *cam, s.span.To)
		if err != nil {
			return m, err
		}
		if ok {
			later, err := c.readMeta(ctx, *cam, Span{back, back.Add(3 * recordEvery)}, s)
			if err != nil {
				return m, err
			}
			m.gaps = append(m.gaps, later.gaps...)
		}
	}
	cam.take(m.state)
	return m, nil
}

// readMeta opens the camera's meta track over a span. Holes in it are noted in
// s (which may be nil): a dropped record must not pass for silence.
func (c *Client) readMeta(ctx context.Context, cam Camera, span Span, s *survey) (meta, error) {
	track, ok := cam.Track(latchkey.KindMeta)
	if !ok {
		return meta{}, nil
	}
	var m meta
	r := c.newReader(track.ID)
	err := r.read(ctx, query{from: span.From, to: span.To}, func(o opened) error {
		recs, err := metaRecords(cam.ID, o.records)
		if err != nil {
			return fmt.Errorf("member: read meta: %w", err)
		}
		m.add(recs)
		return nil
	})
	if err != nil {
		return meta{}, err
	}
	if s != nil {
		for _, h := range without(holesBetween(r.got), c.private(r)...) {
			s.lost = append(s.lost, Gap{Span: h, Why: whyRecords, Alarm: true})
		}
	}
	return m, nil
}

// firstAfter is the time of the first meta record after t that the index knows.
func (c *Client) firstAfter(ctx context.Context, cam Camera, t time.Time) (time.Time, bool, error) {
	track, ok := cam.Track(latchkey.KindMeta)
	if !ok {
		return time.Time{}, false, nil
	}
	list, err := c.segments(ctx, track.ID, Span{t, time.Now().Add(time.Second)})
	if err != nil || len(list) == 0 {
		return time.Time{}, false, err
	}
	first := list[0].from()
	if first.Before(t) {
		first = t
	}
	return first, true, nil
}

// segments asks the index for the runs of a track in a span, in order.
func (c *Client) segments(ctx context.Context, track latchkey.TrackID, span Span) ([]stretch, error) {
	req := &latchkeyv1.TimelineRequest{Track: track[:], From: span.From.Unix(), To: ceil(span.To)}
	var out []stretch
	for {
		res, err := call(ctx, c, "timeline", c.api.footage.Timeline, req)
		if err != nil {
			return nil, err
		}
		for _, seg := range res.Segments {
			s, err := c.claimed(ctx, seg)
			if err != nil {
				return nil, fmt.Errorf("member: timeline: %w", err)
			}
			out = append(out, s)
		}
		if !res.More || len(res.Segments) == 0 {
			break
		}
		next := out[len(out)-1].until().Unix()
		if next <= req.From {
			return nil, fmt.Errorf("member: timeline: %w: the server goes round in circles", latchkey.ErrInvalid)
		}
		req.From = next
	}
	slices.SortFunc(out, func(a, b stretch) int {
		return cmp.Or(a.from().Compare(b.from()), cmp.Compare(a.first, b.first))
	})
	return out, nil
}

// claimed reads one segment; its epoch must verify, its numbers are only claims.
func (c *Client) claimed(ctx context.Context, seg *latchkeyv1.Segment) (stretch, error) {
	if len(seg.Epoch) != latchkey.IDSize || seg.LastSeq < seg.FirstSeq || seg.LastSlot < seg.FirstSlot {
		return stretch{}, fmt.Errorf("%w: a segment is malformed", latchkey.ErrInvalid)
	}
	e, err := c.book.epoch(ctx, latchkey.EpochID(seg.Epoch))
	if err != nil {
		return stretch{}, err
	}
	return stretch{epoch: e, first: seg.FirstSeq, last: seg.LastSeq, firstSlot: seg.FirstSlot, lastSlot: seg.LastSlot}, nil
}

// eventsIn picks the events of a span, in order.
func eventsIn(m meta, cam Camera, span Span) []Event {
	var out []Event
	for _, e := range m.events {
		ev := Event{
			ID: e.ID, Camera: cam.ID, Name: cam.Name, Label: e.Label, Source: e.Source,
			Span: Span{From: millis(e.From), To: millis(e.To)},
		}
		if ev.From.Before(span.To) && (ev.To.IsZero() || ev.To.After(span.From)) {
			out = append(out, ev)
		}
	}
	slices.SortFunc(out, func(a, b Event) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID)) })
	return out
}

// EventFilter says which events are wanted; empty fields match all.
type EventFilter struct {
	Camera string
	Label  string
	Span   Span
}

// Events lists events in order of their beginning.
func (c *Client) Events(ctx context.Context, f EventFilter) ([]Event, error) {
	cams, err := c.roster(ctx)
	if err != nil {
		return nil, err
	}
	if f.Camera != "" {
		cam, err := c.find(ctx, f.Camera)
		if err != nil {
			return nil, err
		}
		cams = []Camera{cam}
	}
	var out []Event
	for _, cam := range cams {
		m, err := c.readMeta(ctx, cam, Span{f.Span.From.Add(-recordEvery), f.Span.To.Add(recordEvery)}, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, eventsIn(m, cam, f.Span)...)
	}
	out = slices.DeleteFunc(out, func(e Event) bool { return f.Label != "" && e.Label != f.Label })
	slices.SortFunc(out, func(a, b Event) int { return a.From.Compare(b.From) })
	return out, nil
}

// ceil is the first full second at or after t.
func ceil(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}
