package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/part"
)

// Bounds of one footage answer, in bytes, and how long sending it may take.
const (
	defaultMax  = 4 << 20
	highestMax  = 16 << 20
	footageWait = 5 * time.Minute
)

// footageQuery is GET /v1/footage/{track}?… (spec/wire, "Footage").
type footageQuery struct {
	track  latchkey.TrackID
	byTime bool
	from   float64 // unix seconds, with byTime
	epoch  latchkey.EpochID
	seq    uint32
	to     int64 // unix seconds, exclusive by slot; no end: maxUnix
	max    int64
	rap    bool
}

// parseFootage is strict: unknown, repeated or contradicting parameters are ErrInvalid.
func parseFootage(track, rawQuery string) (footageQuery, error) {
	bad := func(what string) (footageQuery, error) {
		return footageQuery{}, fmt.Errorf("cloud: footage: %w: %s", latchkey.ErrInvalid, what)
	}
	id, err := latchkey.ParseTrackID(track)
	if err != nil {
		return footageQuery{}, fmt.Errorf("cloud: footage: %w", err)
	}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return bad("query")
	}
	q := footageQuery{track: id, to: maxUnix, max: defaultMax}
	for name, v := range values {
		if len(v) != 1 {
			return bad(name + " is repeated")
		}
		if err := q.set(name, v[0]); err != nil {
			return bad(name + ": " + err.Error())
		}
	}
	if q.byTime == values.Has("epoch") || values.Has("epoch") != values.Has("seq") {
		return bad("want either from, or epoch and seq")
	}
	return q, nil
}

func (q *footageQuery) set(name, v string) (err error) {
	switch name {
	case "from":
		q.byTime = true
		q.from, err = parseSeconds(v)
	case "to":
		var to float64
		to, err = parseSeconds(v)
		// A slot that begins before a fractional end belongs to the range.
		if q.to = int64(to); float64(q.to) < to {
			q.to++
		}
	case "epoch":
		q.epoch, err = latchkey.ParseEpochID(v)
	case "seq":
		var n uint64
		n, err = strconv.ParseUint(v, 10, 32)
		q.seq = uint32(n)
	case "max":
		q.max, err = strconv.ParseInt(v, 10, 64)
		if err == nil && (q.max < 1 || q.max > highestMax) {
			err = fmt.Errorf("want 1 to %d", highestMax)
		}
	case "rap":
		if v != "1" {
			err = errors.New("want 1")
		}
		q.rap = true
	default:
		err = errors.New("unknown")
	}
	return err
}

// parseSeconds reads unix seconds: digits with an optional decimal fraction.
func parseSeconds(v string) (float64, error) {
	if v == "" || len(v) > 32 || strings.Trim(v, "0123456789.") != "" {
		return 0, errors.New("want unix seconds")
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil || f > maxUnix {
		return 0, errors.New("want unix seconds")
	}
	return f, nil
}

// serveFootage runs GET /v1/footage/{track}.
func (s *Server) serveFootage(w http.ResponseWriter, r *http.Request) {
	q, err := parseFootage(r.PathValue("track"), r.URL.RawQuery)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	session := sessionOf(r.Context())
	ctx, release, err := s.sessions.hold(r.Context(), session, false)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	defer release()
	g, err := s.sightOf(ctx, session, q.track)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.answerFootage(ctx, w, r, g, q)
}

// answerFootage sends what is to be seen until ctx ends.
func (s *Server) answerFootage(ctx context.Context, w http.ResponseWriter, r *http.Request, g *sight, q footageQuery) {
	cut, err := s.cut(ctx, g, q)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(cut.bytes, 10))
	if cut.more {
		h.Set("Latchkey-Next", fmt.Sprintf("%s:%d", cut.next.Epoch, cut.next.seq))
	}
	rc := http.NewResponseController(w)
	unhurried(rc)
	_ = rc.SetWriteDeadline(time.Now().Add(footageWait))                           // not every writer has deadlines
	defer context.AfterFunc(ctx, func() { _ = rc.SetWriteDeadline(time.Now()) })() // who is signed out gets no more of it
	n, err := s.send(ctx, w, cut)
	s.metrics.footage.Add(float64(n))
	if ctx.Err() != nil {
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		s.log.ErrorContext(ctx, "sending footage failed", "track", q.track, "err", err)
		// The headers are out: an answer that is cut short says so by its length.
		panic(http.ErrAbortHandler)
	}
}

// cut is what one request gets: byte ranges of reels, in order.
type cut struct {
	pieces []piece
	bytes  int64
	more   bool
	next   partRef // the first part that did not fit
}

type piece struct {
	reel   *reelView
	off, n int64
}

// partRef names a part by its epoch and number.
type partRef struct {
	catalog.Reel
	seq uint32
}

// add appends the part p of v, joining neighbours.
func (c *cut) add(v *reelView, p catalog.PartAt) {
	c.bytes += int64(p.Size)
	if n := len(c.pieces); n > 0 && c.pieces[n-1].reel == v && c.pieces[n-1].off+c.pieces[n-1].n == p.Offset {
		c.pieces[n-1].n += int64(p.Size)
		return
	}
	c.pieces = append(c.pieces, piece{reel: v, off: p.Offset, n: int64(p.Size)})
}

// cut collects the parts that answer q, of those that are to be seen.
func (s *Server) cut(ctx context.Context, g *sight, q footageQuery) (*cut, error) {
	at, err := g.begin(ctx, q)
	if err != nil {
		return nil, err
	}
	c := &cut{}
	for at != nil {
		for i := at.index; i < len(at.view.parts); i++ {
			p := at.view.parts[i]
			if at.view.Start+int64(p.Slot) >= q.to {
				return c, nil
			}
			if q.rap && p.Flags&part.RAP == 0 || !at.view.slots.Has(p.Slot) {
				continue
			}
			if c.bytes > 0 && c.bytes+int64(p.Size) > q.max {
				c.more, c.next = true, partRef{at.view.Reel, at.view.FirstSeq + uint32(i)}
				return c, nil
			}
			c.add(at.view, p)
		}
		next, err := g.viewAfter(ctx, at.view)
		if err != nil {
			return nil, err
		}
		if next == nil {
			return c, nil
		}
		at = &cursor{view: next}
	}
	return c, nil
}

// begin finds where the answer starts; nil when there is nothing.
func (g *sight) begin(ctx context.Context, q footageQuery) (*cursor, error) {
	if q.byTime {
		return g.seek(ctx, q.from)
	}
	v, err := g.viewHolding(ctx, q.epoch, q.seq)
	if err != nil {
		return nil, err
	}
	return &cursor{view: v, index: int(q.seq - v.FirstSeq)}, nil
}

// send writes the bytes of a cut.
func (s *Server) send(ctx context.Context, w io.Writer, c *cut) (int64, error) {
	var sent int64
	for _, p := range c.pieces {
		r, err := s.readView(ctx, p.reel, p.off, p.n)
		if err != nil {
			return sent, err
		}
		n, err := io.Copy(w, r)
		sent += n
		if err = errors.Join(err, r.Close()); err != nil {
			return sent, err
		}
		if n != p.n {
			return sent, fmt.Errorf("cloud: footage: %s: %d of %d bytes", p.reel.Name(), n, p.n)
		}
	}
	return sent, nil
}
