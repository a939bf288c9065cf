package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/part"
)

// track is one (epoch, track): which parts are there, and the reels that grow.
type track struct {
	e     *Engine
	epoch *Epoch
	id    latchkey.TrackID

	mu    sync.Mutex
	spans []*span // sorted, disjoint
	used  time.Time
	gone  bool // evicted: look it up again
	// doomed are the first numbers of reels that a failed fsync has emptied
	// and whose files are still to be removed: their names are taken.
	doomed map[uint32]bool
}

// span is a range of parts: in an open reel, or durable (reel nil). Durable
// neighbours are merged.
type span struct {
	first, last uint32
	prev, hash  latchkey.Hash // Prev of first, hash of last
	reel        *reel
}

// trackOf returns the locked state of a track, from the catalog if need be.
func (e *Engine) trackOf(ctx context.Context, ep *Epoch, id latchkey.TrackID) (*track, error) {
	for {
		e.mu.Lock()
		t := e.tracks[id][ep.ID]
		e.mu.Unlock()
		if t == nil {
			fresh, err := e.loadTrack(ctx, ep, id)
			if err != nil {
				return nil, err
			}
			t = e.adopt(fresh)
		}
		t.mu.Lock()
		if !t.gone {
			t.used = time.Now()
			return t, nil
		}
		t.mu.Unlock()
	}
}

// adopt puts a loaded track into the table, unless somebody was faster.
func (e *Engine) adopt(fresh *track) *track {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.tracks[fresh.id]
	if m == nil {
		m = map[latchkey.EpochID]*track{}
		e.tracks[fresh.id] = m
	}
	if m[fresh.epoch.ID] == nil {
		m[fresh.epoch.ID] = fresh
	}
	return m[fresh.epoch.ID]
}

func (e *Engine) loadTrack(ctx context.Context, ep *Epoch, id latchkey.TrackID) (*track, error) {
	rows, err := e.cfg.Catalog.Spans(ctx, ep.ID, id)
	if err != nil {
		return nil, err
	}
	t := &track{e: e, epoch: ep, id: id, used: time.Now()}
	for _, r := range rows {
		t.spans = append(t.spans, &span{first: r.First, last: r.Last, prev: r.FirstPrev, hash: r.LastHash})
	}
	t.merge()
	return t, nil
}

// evictAfter is how long an idle track stays in memory.
const evictAfter = 10 * time.Minute

// evict forgets tracks without open reels that nobody used for a while.
func (e *Engine) evict(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, m := range e.tracks {
		for ep, t := range m {
			if !t.mu.TryLock() {
				continue // in use
			}
			if now.Sub(t.used) > evictAfter && !t.hasOpen() {
				t.gone = true
				delete(m, ep)
			}
			t.mu.Unlock()
		}
		if len(m) == 0 {
			delete(e.tracks, id)
		}
	}
}

func (t *track) hasOpen() bool {
	return len(t.doomed) > 0 || slices.ContainsFunc(t.spans, func(s *span) bool { return s.reel != nil })
}

// Store takes the parts of a checked run. Parts that are there already with
// the same bytes are receipted again. At return the new ones are written, not
// yet safe: receipts follow through the hub's Sink. The error is a *Refusal
// for the first part that was not taken (those before it were), or internal.
func (e *Engine) Store(ctx context.Context, run Run) error {
	if e.isClosed() {
		return errClosed
	}
	t, err := e.trackOf(ctx, run.Epoch, run.Track)
	if err != nil {
		return err
	}
	defer t.mu.Unlock()
	for i := 0; i < len(run.Parts); {
		at, found := t.find(run.seq(i))
		if found {
			s := t.spans[at]
			j := i + int(min(uint32(len(run.Parts)-i-1), s.last-run.seq(i))) + 1
			err = t.duplicate(ctx, s, run, i, j)
			i = j
		} else {
			i, err = t.extend(at, run, i)
		}
		if err != nil {
			e.stats.count(err)
			return err
		}
	}
	return nil
}

// find returns the span that holds seq, or where one would be inserted.
func (t *track) find(seq uint32) (int, bool) {
	return slices.BinarySearchFunc(t.spans, seq, func(s *span, seq uint32) int {
		switch {
		case s.last < seq:
			return -1
		case s.first > seq:
			return 1
		}
		return 0
	})
}

// duplicate answers for parts [i, j), all of which s holds already: a receipt
// if they are the same bytes, ErrConflict if not.
func (t *track) duplicate(ctx context.Context, s *span, run Run, i, j int) error {
	t.e.stats.Duplicates.Add(int64(j - i))
	if s.reel == nil {
		if err := t.sameAsStored(ctx, run, i, j); err != nil {
			return err
		}
		t.e.sinkOf(t.epoch.Hub).Receipt(run.receipt(i, j, Durable))
		return nil
	}
	f, err := os.Open(s.reel.path)
	if err != nil {
		return err
	}
	at := s.reel.parts[run.seq(i)-s.first:][:j-i]
	err = run.same(i, at, io.NewSectionReader(f, at[0].Offset, math.MaxInt64))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if n := s.reel.told - int(run.seq(i)-s.first); n > 0 {
		t.e.sinkOf(t.epoch.Hub).Receipt(run.receipt(i, i+min(n, j-i), Stored))
	}
	return nil // the others get their receipt with their group
}

// sameAsStored compares parts [i, j) with what the blob store has.
func (t *track) sameAsStored(ctx context.Context, run Run, i, j int) error {
	for i < j {
		r, err := t.e.cfg.Catalog.ReelAt(ctx, t.epoch.ID, t.id, run.seq(i))
		if err != nil {
			return err
		}
		index, err := catalog.ParseIndex(r.Parts)
		if err != nil {
			return err
		}
		n := min(j-i, int(r.LastSeq-run.seq(i))+1)
		at := index[run.seq(i)-r.FirstSeq:][:n]
		end := at[n-1].Offset + int64(at[n-1].Size)
		object, err := t.e.cfg.Store.Get(ctx, r.Name(), at[0].Offset, end-at[0].Offset)
		if err != nil {
			return err
		}
		if err := errors.Join(run.same(i, at, object), object.Close()); err != nil {
			return err
		}
		i += n
	}
	return nil
}

// same compares the parts from i on with the stored ones at at, whose bytes
// stored yields. It compares all of them: the hash of a part of backlog is only
// what its hub says.
func (r Run) same(i int, at []catalog.PartAt, stored io.Reader) error {
	for k, p := range at {
		was := make([]byte, p.Size)
		if _, err := io.ReadFull(stored, was); err != nil {
			return err
		}
		if !bytes.Equal(was, r.Parts[i+k].Raw) {
			return r.refuse(i+k, fmt.Errorf("%w: other bytes are stored under this number", latchkey.ErrConflict))
		}
	}
	return nil
}

// extend takes new parts from i on, up to the next span, into the reel before
// them or a new one. It returns the first index it has not dealt with.
func (t *track) extend(at int, run Run, i int) (int, error) {
	j := len(run.Parts)
	if at < len(t.spans) {
		j = min(j, i+int(t.spans[at].first-run.seq(i)))
	}
	if err := t.checkLinks(at, run, i, j); err != nil {
		return i, err
	}
	for i < j {
		k, err := t.grow(at, run, i, j)
		if err != nil {
			return i, run.refuse(i, err)
		}
		t.e.stats.Parts.Add(int64(k - i))
		t.e.stats.Bytes.Add(int64(len(run.bytes(i, k))))
		i = k
		at, _ = t.find(run.seq(k - 1))
		at++
	}
	return j, nil
}

// grow writes as many of the parts [i, j) as one reel takes: the open one
// that ends right before them, else a new one. at is where their span belongs.
func (t *track) grow(at int, run Run, i, j int) (int, error) {
	s := t.growing(at, run.seq(i))
	if s != nil && s.reel.room(run, i, j) == i {
		t.seal(s.reel)
		s = nil
	}
	fresh := s == nil
	if fresh {
		r, err := t.begin(run.Parts[i])
		if err != nil {
			return i, err
		}
		s = &span{first: r.first, prev: r.prev, reel: r}
	}
	k := s.reel.room(run, i, j)
	if err := s.reel.append(run, i, k); err != nil {
		if fresh {
			s.reel.discard()
		}
		return i, err
	}
	s.last, s.hash = s.reel.lastSeq(), run.Hashes[k-1]
	if fresh {
		t.spans = slices.Insert(t.spans, at, s)
	}
	t.e.markDirty(s.reel)
	if s.reel.ended() {
		t.seal(s.reel)
	}
	return k, nil
}

// checkLinks holds the ends of new parts [i, j) against their stored neighbours.
func (t *track) checkLinks(at int, run Run, i, j int) error {
	if at > 0 && t.spans[at-1].last+1 == run.seq(i) && t.spans[at-1].hash != run.Parts[i].Header.Prev {
		return run.refuse(i, fmt.Errorf("%w: it does not follow the stored part before it", latchkey.ErrConflict))
	}
	if at < len(t.spans) && run.seq(j-1)+1 == t.spans[at].first && t.spans[at].prev != run.Hashes[j-1] {
		return run.refuse(j-1, fmt.Errorf("%w: the stored part after it does not follow", latchkey.ErrConflict))
	}
	return nil
}

// growing returns the span of the open reel whose next part is seq, or nil.
func (t *track) growing(at int, seq uint32) *span {
	if at == 0 {
		return nil
	}
	s := t.spans[at-1]
	if s.reel == nil || s.reel.sealed || s.last+1 != seq {
		return nil
	}
	return s
}

// maxGrowing bounds the reels of one track that grow at a time: one live run
// and a few of backlog. A hub that jumps about gets small reels.
const maxGrowing = 8

// begin makes a new reel for p, closing the longest idle one if there are many.
func (t *track) begin(p part.Part) (*reel, error) {
	if t.e.isClosed() {
		return nil, errClosed
	}
	if t.doomed[p.Header.Seq] {
		return nil, fmt.Errorf("%w: a failed write is being cleaned up", latchkey.ErrFull)
	}
	var oldest *reel
	growing := 0
	for _, s := range t.spans {
		if s.reel != nil && !s.reel.sealed {
			growing++
			if oldest == nil || s.reel.last.Before(oldest.last) {
				oldest = s.reel
			}
		}
	}
	if growing >= maxGrowing {
		t.seal(oldest)
	}
	return t.newReel(p)
}

// seal ends a reel and queues it to be closed.
func (t *track) seal(r *reel) {
	if r.sealed {
		return
	}
	r.sealed = true
	t.e.queueClose(r)
}

// sealAll ends every reel of the track.
func (t *track) sealAll() { t.sealIf(func(*reel) bool { return true }) }

func (t *track) sealIf(due func(*reel) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.spans {
		if s.reel != nil && due(s.reel) {
			t.seal(s.reel)
		}
	}
}

// merge joins durable neighbours.
func (t *track) merge() {
	out := t.spans[:0]
	for _, s := range t.spans {
		if n := len(out); n > 0 && s.reel == nil && out[n-1].reel == nil && out[n-1].last+1 == s.first {
			out[n-1].last, out[n-1].hash = s.last, s.hash
			continue
		}
		out = append(out, s)
	}
	clear(t.spans[len(out):])
	t.spans = out
}
