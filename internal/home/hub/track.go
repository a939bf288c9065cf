package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/pack"
	"latchkey.dev/latchkey/part"
)

// leafSlots is how far back a part can still be sealed: leaves are erased at
// most 5 s after their slot (protocol 2.5, rule 4).
const leafSlots = 4

// outlet is where sealed parts go: spool, then live.
type outlet interface {
	// Put takes a sealed part. It never fails for the caller: trouble of the
	// disk is the outlet's to report.
	Put(raw []byte)
}

// sealer makes parts of one epoch: a seal.Epoch, or in the measurement of what
// sealing costs, something that only frames them. Seal's errors are those of
// seal.Epoch: ErrOver, ErrLate.
type sealer interface {
	Slot(at time.Time) (uint32, error)
	Seal(track latchkey.TrackID, slot uint32, flags part.Flags, recs ...part.Record) ([]byte, error)
}

// epoch is a sealer and when it began.
type epoch struct {
	sealer
	start time.Time
}

// track seals what one track records, epoch after epoch. Parts leave in the
// order in which they were sealed. Safe for concurrent use.
type track struct {
	id      latchkey.TrackID
	kind    latchkey.TrackKind
	out     outlet
	preRoll time.Duration

	telling sync.Mutex // see told; taken before mu
	mu      sync.Mutex
	told    func(sealed, error) // of what was sealed by time or by a viewer's coming
	watched bool                // somebody watches: each picture is a part
	due     time.Time           // what is gathered is sealed then, at the latest
	timer   *time.Timer         // runs out then
	epoch   *epoch              // nil: nothing can be sealed now
	packer  *pack.Packer
	format  camera.Format
	began   bool   // a part was sealed in this epoch
	slot    uint32 // of the newest one
	open    bool   // fragments are sealed; else they wait in ring
	needRAP bool   // after a pause video starts again at a random-access point
	ring    []pack.Fragment
	bytes   int64 // sealed since the last rate
	rated   time.Time
	total   int64         // bytes rated
	spent   time.Duration // in which they came
	kbps    int
}

// setFormat tells the track what the next units are.
func (t *track) setFormat(f camera.Format) (sealed, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.format = f
	if t.packer == nil {
		return sealed{}, nil
	}
	rest, err := t.packer.Format(f)
	s, rerr := t.record(rest)
	return s, errors.Join(err, rerr)
}

// push packs one unit and seals what is complete with it.
func (t *track) push(u camera.Unit) (sealed, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.packer == nil {
		return sealed{}, nil // no epoch yet: the gap says so
	}
	waited := t.packer.Waiting()
	frags, err := t.packer.Push(u)
	if err != nil {
		return sealed{}, fmt.Errorf("hub: pack %s: %w", t.kind, err)
	}
	if t.packer.Waiting() && (!waited || len(frags) > 0) {
		t.wait()
	}
	return t.record(frags)
}

func (t *track) record(frags []pack.Fragment) (s sealed, err error) {
	for _, f := range frags {
		if !t.open {
			t.keep(f)
			continue
		}
		if t.needRAP && !f.RAP {
			clear(f.Data)
			continue
		}
		serr := t.sealFragment(f)
		if serr == nil {
			s.add(f)
		}
		err = errors.Join(err, serr)
		t.needRAP = t.needRAP && serr != nil
	}
	return s, err
}

// forget wipes fragments that were sealed or are let go: the garbage collector
// may take minutes to use their memory again, and what was recorded must not
// lie in it for longer than the keys do.
func forget(frags []pack.Fragment) {
	for _, f := range frags {
		clear(f.Data)
	}
}

// sealFragment seals and wipes a fragment.
func (t *track) sealFragment(f pack.Fragment) error {
	defer clear(f.Data)
	recs := make([]part.Record, 0, 2)
	var flags part.Flags
	if f.RAP {
		flags = part.RAP
		recs = append(recs, part.Record{Type: part.RecordInit, Data: f.Init})
	}
	return t.seal(f.Slot, flags, append(recs, part.Record{Type: part.RecordFragment, Data: f.Data})...)
}

// seal makes one part and hands it on. Callers hold mu, which keeps parts in order.
func (t *track) seal(slot uint32, flags part.Flags, recs ...part.Record) error {
	if t.epoch == nil {
		return fmt.Errorf("hub: seal %s: %w", t.kind, seal.ErrOver)
	}
	raw, err := t.epoch.Seal(t.id, slot, flags, recs...)
	if err != nil {
		return err
	}
	t.began, t.slot = true, max(t.slot, slot)
	t.bytes += int64(len(raw))
	t.out.Put(raw)
	return nil
}

// keep holds a fragment for the pre-roll. What could not be sealed any more,
// or not be shown for want of a random-access point, is let go.
func (t *track) keep(f pack.Fragment) {
	t.ring = append(t.ring, f)
	drop := 0
	for i, g := range t.ring {
		late := g.Slot+leafSlots < f.Slot
		old := g.RAP && f.Start.Sub(g.Start) >= t.preRoll // a later start still covers the pre-roll
		if late {
			drop = i + 1
		} else if old {
			drop = i
		}
	}
	for drop < len(t.ring) && !t.ring[drop].RAP {
		drop++
	}
	forget(t.ring[:drop])
	n := copy(t.ring, t.ring[drop:])
	clear(t.ring[n:])
	t.ring = t.ring[:n]
}

// setOpen starts or stops recording. Starting seals the pre-roll; stopping seals
// what is gathered, and nothing where nothing was recorded.
func (t *track) setOpen(open bool) (s sealed, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open && open {
		return s, nil
	}
	var rest []pack.Fragment
	if t.packer != nil {
		rest = t.packer.Flush()
	}
	if !open {
		if t.open {
			s, err = t.record(rest)
		}
		forget(t.ring) // a camera that is switched off leaves no pictures in memory
		t.open, t.ring = false, nil
		return s, err
	}
	for _, f := range rest {
		t.keep(f)
	}
	ring := t.ring
	defer forget(ring)
	t.open, t.ring = true, nil
	// With a pre-roll the pictures go on behind it; without one video waits
	// for its next random-access point.
	t.needRAP = len(ring) == 0 && t.kind != latchkey.KindAudio
	for _, f := range ring {
		if t.needRAP && !f.RAP {
			continue
		}
		err := t.sealFragment(f)
		if errors.Is(err, seal.ErrLate) {
			t.needRAP = true
			continue
		}
		if err != nil {
			return s, err
		}
		t.needRAP = false
		s.add(f)
	}
	return s, nil
}

// write seals one JSON document on a meta track.
func (t *track) write(now time.Time, doc any) error {
	b, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("hub: write meta: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.epoch == nil {
		return fmt.Errorf("hub: write meta: %w", seal.ErrOver)
	}
	slot, err := t.epoch.Slot(now)
	if err != nil {
		return err
	}
	return t.seal(max(slot, t.slot), part.RAP, part.Record{Type: part.RecordEvent, Data: b})
}

// turn ends the epoch of now with an END part (empty: it carries padding only),
// if anything was recorded in it, and goes on in the next one, nil for none. now
// is the hub's clock in the old epoch.
func (t *track) turn(next *epoch, now time.Time) (sealed, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var rest []pack.Fragment
	switch {
	case t.packer != nil && next != nil:
		rest = t.packer.NextEpoch(next.start)
	case t.packer != nil:
		rest = t.packer.Flush()
	}
	s, err := t.end(rest, now)
	t.epoch, t.began, t.slot, t.ring = next, false, 0, nil
	if next == nil || t.kind == latchkey.KindMeta || t.packer != nil {
		return s, err
	}
	t.packer = pack.NewPacker(t.kind, next.start)
	t.packer.Gather(!t.watched)
	if t.format.Codec != "" {
		_, ferr := t.packer.Format(t.format) // a fresh packer gathers nothing yet
		err = errors.Join(err, ferr)
	}
	return s, err
}

func (t *track) end(rest []pack.Fragment, now time.Time) (sealed, error) {
	if t.epoch == nil {
		return sealed{}, nil
	}
	done, err := t.record(rest)
	if !t.began {
		return done, err // nothing to end
	}
	slot := t.slot
	if s, serr := t.epoch.Slot(now); serr == nil {
		slot = max(slot, s)
	}
	flags := part.END
	if t.kind == latchkey.KindMeta {
		flags |= part.RAP
	}
	return done, errors.Join(err, t.seal(slot, flags))
}

// rate returns the mean bit rate since the last rating, renewed at most every
// 5 s, and the format of the track.
func (t *track) rate(now time.Time) (kbps int, f camera.Format) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if since := now.Sub(t.rated); since >= 5*time.Second {
		if !t.rated.IsZero() {
			t.total, t.spent = t.total+t.bytes, t.spent+since
			t.kbps = int(float64(t.bytes) * 8 / 1000 / since.Seconds())
		}
		t.bytes, t.rated = 0, now
	}
	return t.kbps, t.format
}

// mean is the mean bit rate since the track began, which tells nothing of the last
// minutes, and the format.
func (t *track) mean(now time.Time) (kbps int, f camera.Format) {
	_, f = t.rate(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.spent > 0 {
		kbps = int(float64(t.total) * 8 / 1000 / t.spent.Seconds())
	}
	return kbps, f
}
