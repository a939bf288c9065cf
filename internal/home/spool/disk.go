package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/part"
)

const (
	suffix     = ".seg"
	retryAfter = time.Second // between attempts at a disk that said no
)

// load rebuilds the index from the files. Duplicates (a part whose fsync
// failed was written again to the next segment) count once, at their last
// place: the earlier copy is the doubtful one.
func (s *Spool) load() error {
	names, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return err
	}
	var numbers []uint64
	for _, e := range names {
		base, ok := strings.CutSuffix(e.Name(), suffix)
		n, err := strconv.ParseUint(base, 16, 64)
		if !ok || err != nil || len(base) != 16 {
			continue // not ours; ReadDir sorts, so numbers ascend
		}
		numbers = append(numbers, n)
	}
	for i, n := range numbers {
		if err := s.loadSegment(n, i == len(numbers)-1); err != nil {
			return err
		}
	}
	if len(numbers) > 0 {
		s.number = numbers[len(numbers)-1]
	}
	return nil
}

// loadSegment indexes one file and cuts off what does not parse. Segments but
// the newest were synced when they were closed, so their headers will do.
func (s *Spool) loadSegment(n uint64, newest bool) error {
	path := s.segmentPath(n)
	g := newSegment(path)
	size, err := s.index(g, newest)
	if err != nil {
		return err
	}
	if newest || size > g.size {
		// Synced even when whole: after a kill its bytes may be in the page cache only.
		if err := s.cut(path, g.size); err != nil {
			return err
		}
		s.torn += size - g.size
	}
	if g.held == 0 {
		return durable.Remove(s.cfg.FS, path)
	}
	s.segs = append(s.segs, g)
	return nil
}

// index reads the segment's parts up to the first that is not one and returns
// the size of the file. Of the newest segment it reads and checks every byte.
func (s *Spool) index(g *segment, newest bool) (int64, error) {
	f, err := os.Open(g.path)
	if err != nil {
		return 0, err
	}
	defer f.Close() // opened for reading: nothing can be lost
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	head := make([]byte, part.HeaderSize)
	for g.size < st.Size() {
		if _, err := f.ReadAt(head, g.size); err != nil {
			break
		}
		h, err := part.ParseHeader(head)
		if err != nil || g.size+int64(h.Size()) > st.Size() || newest && !s.sound(f, g.size, h) {
			break
		}
		s.supersede(h)
		g.add(h, 0)
	}
	return st.Size(), nil
}

func (s *Spool) sound(f io.ReaderAt, at int64, h part.Header) bool {
	raw := make([]byte, h.Size())
	if _, err := f.ReadAt(raw, at); err != nil {
		return false
	}
	p, err := part.Parse(raw)
	return err == nil && (s.cfg.Check == nil || s.cfg.Check(p) == nil)
}

// supersede drops an earlier copy of a part. A part whose fsync failed goes to
// the next segment, so a copy can only be near.
func (s *Spool) supersede(h part.Header) {
	key := Key{Epoch: h.Epoch, Track: h.Track}
	for _, g := range s.segs[max(0, len(s.segs)-4):] {
		if g.has(key, h.Seq) {
			g.mark(Range{Key: key, First: h.Seq, Last: h.Seq}, gone, 0)
		}
	}
}

func (s *Spool) cut(path string, size int64) error {
	f, err := durable.OpenAppend(s.cfg.FS, path, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

func (s *Spool) segmentPath(n uint64) string {
	return filepath.Join(s.cfg.Dir, fmt.Sprintf("%016x%s", n, suffix))
}

// write appends p to the newest segment, opening one if need be. After a
// restart that is always a fresh file: an old one is never appended to.
func (s *Spool) write(p part.Part, st state) error {
	if s.cur != nil && s.segs[len(s.segs)-1].size+int64(len(p.Raw)) > SegmentSize {
		if err := s.roll(); err != nil {
			return s.trouble(err)
		}
	}
	if s.cur == nil {
		if err := s.openSegment(); err != nil {
			return s.trouble(err)
		}
	}
	if _, err := s.cur.Write(p.Raw); err != nil {
		return s.trouble(err)
	}
	s.segs[len(s.segs)-1].add(p.Header, st)
	s.unsynced = append(s.unsynced, p.Raw)
	s.written++
	wake(s.dirty)
	return nil
}

func (s *Spool) openSegment() error {
	path := s.segmentPath(s.number + 1)
	f, err := durable.OpenAppend(s.cfg.FS, path, 0o600)
	if err != nil {
		return err
	}
	s.number++
	s.cur = f
	s.segs = append(s.segs, newSegment(path))
	return nil
}

// roll ends the newest segment: synced, closed, never written again.
func (s *Spool) roll() error {
	if err := s.syncLocked(); err != nil {
		return err
	}
	return s.closeCurrent()
}

func (s *Spool) closeCurrent() error {
	if s.cur == nil {
		return nil
	}
	err := s.cur.Close()
	s.cur = nil
	s.prune()
	return err
}

// trouble notes that the disk said no; the next attempt is made later.
func (s *Spool) trouble(err error) error {
	s.err = err
	s.retryAt = time.Now().Add(retryAfter)
	return err
}

// settleRAM moves what waits in RAM to disk, oldest first. It returns the
// trouble while the disk is not to be tried or still says no.
func (s *Spool) settleRAM() error {
	if s.ram.size == 0 {
		return nil
	}
	if s.err != nil && time.Now().Before(s.retryAt) {
		wake(s.dirty)
		return s.err
	}
	old := s.ram
	s.ram = newSegment("")
	var failed error
	for _, raw := range old.raws {
		p, err := part.Parse(raw)
		if err != nil {
			return fmt.Errorf("spool: settle: %w", err) // these bytes were parsed on their way in
		}
		st := old.stateOf(p.Header)
		if st&gone != 0 {
			continue
		}
		if failed == nil {
			failed = s.write(p, st)
		}
		if failed != nil {
			s.ram.hold(raw, p.Header, st)
		}
	}
	if failed == nil {
		s.err = nil
	} else {
		wake(s.dirty)
	}
	return failed
}

func (g *segment) stateOf(h part.Header) state {
	var st state
	g.each(Range{Key{h.Epoch, h.Track}, h.Seq, h.Seq}, func(s *stream, i int) { st = s.refs[i].state })
	return st
}

// syncLocked fsyncs the newest segment. When that fails, nothing since its
// last good fsync may be believed: those parts go (back) to RAM, to be written
// to another file, and the index forgets their old place.
func (s *Spool) syncLocked() error {
	if s.cur == nil || len(s.unsynced) == 0 {
		return nil
	}
	err := s.cur.Sync()
	if err == nil {
		s.unsynced = nil
		if s.ram.size == 0 {
			s.err = nil
		}
		return nil
	}
	s.demote()
	return s.trouble(err)
}

func (s *Spool) demote() {
	g := s.segs[len(s.segs)-1]
	ram := newSegment("")
	for _, raw := range s.unsynced {
		p, err := part.Parse(raw)
		if err != nil {
			continue // it was parsed on its way in
		}
		key := Key{p.Header.Epoch, p.Header.Track}
		st := g.stateOf(p.Header)
		g.mark(Range{key, p.Header.Seq, p.Header.Seq}, gone, 0)
		if st&gone == 0 {
			ram.hold(raw, p.Header, st)
		}
	}
	ram.join(s.ram)
	s.ram, s.unsynced = ram, nil
	s.err = errors.Join(s.err, s.closeCurrent())
}

// join appends the parts of o.
func (g *segment) join(o *segment) {
	for _, raw := range o.raws {
		p, err := part.Parse(raw)
		if err != nil {
			return // these bytes were parsed on their way in
		}
		g.hold(raw, p.Header, o.stateOf(p.Header))
	}
}

// commitLoop is the group commit. One fsync covers all parts of an interval.
func (s *Spool) commitLoop() {
	for {
		select {
		case <-s.done:
			return
		case <-s.dirty:
		}
		select {
		case <-s.done:
			return
		case <-time.After(SyncInterval):
		}
		s.commit()
	}
}

// commit runs the slow fsync without the lock, so that Append and the uplink
// go on meanwhile.
func (s *Spool) commit() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	_ = s.settleRAM() // kept in s.err, and shown by Stats
	cur, upTo := s.cur, s.written
	n := len(s.unsynced)
	s.mu.Unlock()
	if cur == nil || n == 0 {
		return
	}
	err := cur.Sync()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cur != cur {
		return // rolled meanwhile, which synced it
	}
	if err != nil {
		s.demote()
		s.err = errors.Join(s.trouble(err), s.err)
		wake(s.dirty)
		return
	}
	// What was written since upTo is at the end, and still unsynced.
	s.unsynced = s.unsynced[max(0, len(s.unsynced)-int(s.written-upTo)):]
	if s.ram.size == 0 {
		s.err = nil
	}
}

// enforce keeps the limits: whole segments of disk, and RAM, oldest first.
func (s *Spool) enforce() []Lost {
	var lost []Lost
	var disk int64
	for _, g := range s.segs {
		disk += g.size
	}
	for disk > s.cfg.Limit && len(s.segs) > 0 && !(len(s.segs) == 1 && s.cur != nil) {
		g := s.segs[0]
		s.rescue(g)
		lost = append(lost, g.lost()...)
		disk -= g.size
		s.segs = s.segs[1:]
		s.removeFile(g)
	}
	if s.ram.heldLen > s.cfg.RAM {
		lost = append(lost, s.shedRAM()...)
	} else if s.ram.size > 2*s.ram.heldLen+1<<20 {
		s.keepRAM(func([]byte, part.Header, state) bool { return true })
	}
	return lost
}

// rescue takes parts that are given up last out of a segment that goes. They
// are written again, to the newest one, with the next part. Where they are most
// of the segment that would never end.
func (s *Spool) rescue(g *segment) {
	var last []Range
	var size int64
	for _, r := range g.ranges(0) {
		if s.cfg.Last(r.Track) {
			last = append(last, r)
			g.each(r, func(st *stream, i int) { size += int64(st.refs[i].size) })
		}
	}
	if size > g.size/2 {
		return
	}
	for _, r := range last {
		for seq := r.First; seq <= r.Last; seq++ {
			var f ref
			one := Range{r.Key, seq, seq}
			g.each(one, func(st *stream, i int) { f = st.refs[i] })
			raws, err := g.read(f)
			if err != nil {
				continue // the file is damaged: it counts as lost
			}
			p, err := part.Parse(raws[0])
			if err != nil {
				continue
			}
			g.mark(one, gone, 0)
			s.ram.hold(raws[0], p.Header, f.state)
		}
	}
}

// shedRAM gives up the older half of what waits in RAM: first what is not to
// be given up last, then, if that alone is too much, anything.
func (s *Spool) shedRAM() []Lost {
	dropped := newSegment("")
	excess := s.ram.heldLen - s.cfg.RAM/2
	shed := func(spared func(latchkey.TrackID) bool) {
		s.keepRAM(func(raw []byte, h part.Header, st state) bool {
			if excess <= 0 || spared(h.Track) {
				return true
			}
			excess -= int64(h.Size())
			dropped.hold(raw, h, st)
			return false
		})
	}
	shed(s.cfg.Last)
	if excess > 0 {
		shed(func(latchkey.TrackID) bool { return false })
	}
	lost := dropped.lost()
	for i := range lost {
		lost[i].DiskFull = true
	}
	return lost
}

// keepRAM rebuilds the RAM segment from its held parts that keep lets through.
func (s *Spool) keepRAM(keep func([]byte, part.Header, state) bool) {
	old := s.ram
	s.ram = newSegment("")
	for _, raw := range old.raws {
		p, err := part.Parse(raw)
		if err != nil {
			return // these bytes were parsed on their way in
		}
		if st := old.stateOf(p.Header); st&gone == 0 && keep(raw, p.Header, st) {
			s.ram.hold(raw, p.Header, st)
		}
	}
}

// lost describes the parts of a segment that only the hub still had.
func (g *segment) lost() []Lost {
	var out []Lost
	for _, r := range g.ranges(stored) {
		l := Lost{Range: r}
		g.each(r, func(s *stream, i int) {
			if seq := s.first + uint32(i); seq != r.First && seq != r.Last {
				return
			}
			h, err := g.headerAt(s.refs[i])
			if err != nil {
				return // the file is damaged: the seq range must do
			}
			if h.Seq == r.First {
				l.FirstSlot = h.Slot
			}
			l.LastSlot = h.Slot
		})
		out = append(out, l)
	}
	return out
}

// prune removes the files of segments that are wholly done.
func (s *Spool) prune() {
	keep := s.segs[:0]
	for i, g := range s.segs {
		if g.held == 0 && !(i == len(s.segs)-1 && s.cur != nil) {
			s.removeFile(g)
			continue
		}
		keep = append(keep, g)
	}
	clear(s.segs[len(keep):])
	s.segs = keep
	if s.ram.held == 0 && s.ram.size > 0 {
		s.ram = newSegment("")
	}
}

// removeFile needs no directory sync: a file that a power cut brings back is
// announced to the cloud again and settled by `have`.
func (s *Spool) removeFile(g *segment) {
	if err := s.cfg.FS.Remove(g.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.err = fmt.Errorf("spool: remove segment: %w", err)
	}
}
