package hub

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/spool"
	"latchkey.dev/latchkey/internal/home/uplink"
	"latchkey.dev/latchkey/ledger"
)

// Why a new epoch is made.
const (
	whyBoot   = "boot"
	whyAge    = "age"
	whyRoster = "roster, tracks or hub changed"
	whyOver   = "clock set back, or slots used up"
	whyDouble = "another machine uses this identity"
)

// plan is what an epoch is made for: who may read it and what it records.
// Another plan is another epoch.
type plan string

// headsSoon is how long after an epoch or a stream began its first heads note
// is signed: viewers need one before they can call what they see complete.
const headsSoon = 3 * time.Second

// keeper is the state of the loop.
type keeper struct {
	*agent
	deadline time.Time // of the epoch: its age, ± jitter
	early    time.Time // a heads note before its time; zero for none
	changed  time.Time // when a change was seen first
	retry    time.Time // no attempt before
	backoff  time.Duration
	beat     map[string]time.Time
	told     string // the trouble that members were told of last
}

// keep looks after clock, epoch, heads and records until ctx ends or the hub
// is removed.
func (a *agent) keep(ctx context.Context) error {
	k := &keeper{agent: a, beat: map[string]time.Time{}}
	k.delayFirst()
	a.demand(whyBoot)
	tick := time.NewTicker(a.cfg.Pace.Tick)
	defer tick.Stop()
	for {
		if err := k.step(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-a.nudge:
		case <-k.settled():
		case <-a.heads:
			k.sendHeads()
		}
	}
}

// settled fires when a change has had time to be followed by others.
func (k *keeper) settled() <-chan time.Time {
	at := k.retry
	if !k.changed.IsZero() {
		if s := k.changed.Add(k.cfg.Pace.Settle); s.After(at) {
			at = s
		}
	} else if k.reasonNow() == "" {
		return nil
	}
	return time.After(max(time.Until(at), time.Millisecond))
}

// delayFirst keeps the least spacing of epochs across restarts. A hub that
// keeps dying young waits longer.
func (k *keeper) delayFirst() {
	note, ok := k.book.newest()
	if !ok {
		return
	}
	spacing := k.cfg.Pace.EpochSpacing
	lived := time.Duration(k.before.At-note.Start*1000) * time.Millisecond
	if lived < spacing {
		k.before.Quick++
	} else {
		k.before.Quick = 0
	}
	spacing <<= min(max(k.before.Quick-3, 0), 3)
	if since := k.started.Sub(time.Unix(note.Start, 0)); since >= 0 && since < spacing {
		k.retry = time.Now().Add(spacing - since)
	}
}

// step does whatever is due.
func (k *keeper) step() error {
	if state := k.roster.state(); state.Household == k.roster.household {
		if _, ok := state.Hubs[k.Kid()]; !ok {
			return ErrRemoved
		}
	}
	if k.doubled() {
		return ErrDoubled
	}
	wall := k.watchClock()
	now := k.clock.now()
	k.watchEpoch(wall)
	k.renewIfDue()
	k.noteLost()
	k.calm()
	k.tellTrouble()
	k.tellBacklog()
	for _, r := range k.recorders() {
		if r.tick(now, k.cfg.Pace.State) {
			k.early = time.Now()
		}
	}
	if k.headsDue() {
		k.sendHeads()
	}
	if k.due("alive", k.cfg.Pace.Alive) {
		k.saveLife(now)
	}
	return nil
}

// tellTrouble writes states when a trouble has come or gone, not more often
// than once a tick: a nearly full disk says yes and no by turns.
func (k *keeper) tellTrouble() {
	text := k.troubleText()
	if text == k.told || !k.due("trouble", k.cfg.Pace.Tick) {
		return
	}
	k.told = text
	for _, r := range k.recorders() {
		r.tell()
	}
}

// tellBacklog writes states when a backlog has begun, as on a line too slow for
// live, and when the last of it has gone: until then holes are not losses.
func (k *keeper) tellBacklog() {
	behind := false
	if k.linked.Load() == uplink.Connected {
		_, _, behind = k.spool.Backlog()
	}
	if behind != k.behind.Load() && k.due("backlog", k.cfg.Pace.Tick) {
		k.tellBehind(behind)
	}
}

// due reports whether every has passed since it last said so.
func (k *keeper) due(what string, every time.Duration) bool {
	if time.Since(k.beat[what]) < every {
		return false
	}
	k.beat[what] = time.Now()
	return true
}

// headsDue reports whether a heads note is due, by the clock or early; either
// way the next one comes a full Pace.Heads later.
func (k *keeper) headsDue() bool {
	if !k.early.IsZero() && !time.Now().Before(k.early) {
		delete(k.beat, "heads")
	}
	if !k.due("heads", k.cfg.Pace.Heads) {
		return false
	}
	k.early = time.Time{}
	return true
}

// watchClock returns the system's wall time and tells of steps forward; a step
// back ends the epoch (watchEpoch).
func (k *keeper) watchClock() time.Time {
	wall, step, before := k.clock.look()
	if step == 0 {
		return wall
	}
	k.log.Warn("clock was set", "by", step)
	if step > 0 {
		for _, r := range k.recorders() {
			r.lose(before, before.Add(step), whyClock)
		}
	}
	return wall
}

// watchEpoch erases old leaves and notices when the epoch cannot go on.
func (k *keeper) watchEpoch(wall time.Time) {
	k.change.Lock()
	e, planned := k.epoch, k.planned
	k.change.Unlock()
	if e != nil {
		if err := e.Forget(wall); errors.Is(err, seal.ErrOver) {
			k.demand(whyOver)
		}
		if !wall.Before(k.deadline) {
			k.demand(whyAge)
		}
	}
	want, _ := k.plan(k.roster.state(), k.startOf(e))
	switch {
	case want == planned:
		k.changed = time.Time{}
	case k.changed.IsZero():
		k.changed = time.Now()
	case time.Since(k.changed) >= k.cfg.Pace.Settle:
		k.demand(whyRoster)
	}
}

// demand asks for a new epoch.
func (a *agent) demand(why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	urgent := why == whyOver || why == whyRoster
	if a.reason != "" && (a.urgent || !urgent) {
		return // known already: to wake the keeper again would make it spin until the spacing is over
	}
	if a.reason == "" {
		a.reason = why
	}
	a.urgent = a.urgent || urgent
	a.wake()
}

func (a *agent) reasonNow() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reason
}

// renewIfDue makes the epoch that is wanted, not sooner than the spacing allows.
func (k *keeper) renewIfDue() {
	why := k.reasonNow()
	if why == "" || time.Now().Before(k.retry) {
		return
	}
	err := k.renew(why)
	if err == nil {
		k.setTrouble("epoch", "")
		return
	}
	k.backoff = min(max(2*k.backoff, time.Second), time.Minute)
	k.retry = time.Now().Add(k.backoff)
	k.setTrouble("epoch", "The hub cannot start recording: "+diskTrouble(err))
	k.mu.Lock()
	urgent := k.urgent
	k.mu.Unlock()
	if urgent {
		// The old epoch's readers are not those of now: better a gap.
		k.swap(nil, "")
	}
}

// renew makes an epoch, makes its note durable, and only then moves the tracks
// into it (protocol 2.6).
func (k *keeper) renew(why string) error {
	state := k.roster.state()
	k.clock.reset()
	now := k.clock.now()
	want, tracks := k.plan(state, now)
	if len(tracks) == 0 {
		k.swap(nil, want) // nothing to record: no epoch
		k.satisfied()
		return nil
	}
	n, prev := k.book.next()
	e, ann, err := seal.NewEpoch(seal.EpochParams{
		Household: k.roster.household, Hub: k.identity.Signing, N: n, Prev: prev, Start: now,
		ClockSynced: clockSynced() && !now.Before(k.before.time()), Chain: state, ProofTime: k.public.known().Until, Tracks: tracks, Last: k.lastHeads(),
	})
	if err != nil {
		return err
	}
	if err := k.book.add(ann); err != nil {
		e.Close()
		return err
	}
	k.log.Info("epoch", "id", e.ID(), "n", n, "why", why, "tracks", len(tracks), "readers", len(ann.Seals))
	k.up.Announce(e.ID())
	k.swap(e, want)
	k.satisfied()
	k.early = time.Now().Add(headsSoon)
	k.saveLife(now)
	return nil
}

// satisfied starts the spacing and the age of the epoch that was made.
func (k *keeper) satisfied() {
	k.mu.Lock()
	k.reason, k.urgent = "", false
	k.mu.Unlock()
	k.changed, k.backoff = time.Time{}, 0
	p := k.cfg.Pace
	k.retry = time.Now().Add(p.EpochSpacing)
	jitter := time.Duration((2*rand.Float64() - 1) * float64(p.EpochJitter))
	k.deadline = k.clock.now().Add(p.EpochLife + jitter)
	if k.epochNow() == nil {
		k.retry = time.Time{} // none was made: the first camera need not wait
	}
}

func (k *keeper) epochNow() *seal.Epoch {
	k.change.Lock()
	defer k.change.Unlock()
	return k.epoch
}

// lastHeads are the final heads of the epoch before, or what the run before
// last noted of its.
func (k *keeper) lastHeads() []chain.LastHead {
	if e := k.epochNow(); e != nil {
		return e.Last()
	}
	return k.before.heads()
}

// startOf is when an epoch began; without one, now.
func (k *keeper) startOf(e *seal.Epoch) time.Time {
	if e == nil {
		return k.clock.now()
	}
	return e.Start()
}

// plan computes which tracks are to be sealed in an epoch that begins at start,
// and for whom. That a standing grant's time comes or goes while an epoch runs
// makes no other plan: the epoch was sealed with that in mind.
func (a *agent) plan(state chain.State, start time.Time) (plan, []seal.Track) {
	var tracks []seal.Track
	for _, r := range a.recorders() {
		for kind, s := range r.cfg.Tracks {
			id, err := latchkey.ParseTrackID(s)
			if err != nil {
				continue // opCamera checked it
			}
			if cam, decl, ok := state.Track(id); ok && cam == r.id && decl.Kind == kind {
				tracks = append(tracks, seal.Track{ID: id, Kind: kind})
			}
		}
	}
	slices.SortFunc(tracks, func(x, y seal.Track) int { return strings.Compare(x.ID.String(), y.ID.String()) })
	if len(tracks) == 0 {
		return "", nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "removal %d\n", a.roster.lastRemoval())
	for _, r := range state.Recipients(start.Unix()) {
		fmt.Fprintf(&b, "%s", r.Kid)
		for _, t := range tracks {
			if slices.Contains(r.Tracks, t.ID) {
				b.WriteString("+" + hex.EncodeToString(t.ID[:4]))
			}
		}
		for _, w := range r.Windows {
			if slices.ContainsFunc(tracks, func(t seal.Track) bool { return t.ID == w.Track }) {
				fmt.Fprintf(&b, "+%s:%d:%d", w.Track, w.From, w.Until)
			}
		}
		b.WriteByte('\n')
	}
	for _, t := range tracks {
		fmt.Fprintf(&b, "%s %s\n", t.ID, t.Kind)
	}
	for _, id := range a.endedReaches() {
		fmt.Fprintf(&b, "ended %s\n", id)
	}
	return plan(b.String()), tracks
}

// swap moves every camera into the epoch and closes the old one: END parts,
// final heads, keys erased.
func (k *keeper) swap(next *seal.Epoch, made plan) {
	k.change.Lock()
	defer k.change.Unlock()
	old, seen := k.epoch, k.public.seen()
	_, tracks := k.agent.plan(k.roster.state(), k.clock.now())
	in := map[latchkey.TrackID]bool{}
	for _, t := range tracks {
		in[t.ID] = true
	}
	now := k.clock.now()
	var to *epoch
	if next != nil {
		to = &epoch{sealer: next, start: next.Start()}
	}
	for _, r := range k.recorders() {
		r.turn(to, now, func(id latchkey.TrackID) bool { return in[id] })
	}
	k.epoch, k.planned = next, made
	if old != nil {
		k.headsOf(old, seen) // what the log was before the next epoch had a part
		old.Close()
		keepHeads(k.lastOf, old.Last())
		k.book.end(old.ID())
		signal(k.ended)
	}
}

// sendHeads signs how far each track has come.
func (k *keeper) sendHeads() {
	k.change.Lock()
	defer k.change.Unlock()
	if k.epoch != nil {
		k.headsOf(k.epoch, k.public.seen())
	}
}

func (a *agent) headsOf(e *seal.Epoch, seen ledger.Checkpoint) {
	note, err := e.Heads(seal.HeadsParams{
		Time: a.clock.now(), Chain: a.roster.state(), ProofTime: a.public.known().Until, LogSize: uint64(seen.Size), LogRoot: seen.Root,
	})
	if err != nil {
		a.log.Error("heads not signed", "err", err)
		return
	}
	a.up.Heads(note)
}

// noteLost makes gap records of footage that had to be dropped.
func (k *keeper) noteLost() {
	k.mu.Lock()
	lost := k.lost
	k.lost = nil
	k.mu.Unlock()
	state := k.roster.state()
	for _, l := range lost {
		k.log.Error("footage lost", "epoch", l.Epoch, "track", l.Track, "first", l.First, "last", l.Last, "disk_full", l.DiskFull, "damaged", l.Damaged)
		cam, _, known := state.Track(l.Track)
		r := k.recorder(cam)
		from, to, ok := k.span(l)
		if !known || r == nil || !ok {
			continue // the camera is gone: no track to write on
		}
		r.lose(from, to, lostWhy(l))
	}
}

func lostWhy(l spool.Lost) string {
	switch {
	case l.DiskFull:
		return whyDiskFull
	case l.Damaged:
		return whyDiskError
	}
	return whySpoolFull
}

// saveLife notes time and heads for the next start. Without it the next start
// only knows less exactly since when the hub was off.
func (k *keeper) saveLife(now time.Time) {
	l := life{At: ms(now), Quick: k.before.Quick, Last: k.before.Last}
	if e := k.epochNow(); e != nil {
		l.Last = toLast(e.Last())
	}
	for _, r := range k.recorders() {
		if since := r.untold(); !since.IsZero() {
			if l.Untold == nil {
				l.Untold = map[string]int64{}
			}
			l.Untold[r.id.String()] = ms(since)
		}
	}
	if err := k.store.writeLife(l); err != nil {
		k.log.Warn("last known time not saved", "err", err)
	}
}

// finish ends recording: streams stopped, every track closed with END, last
// heads queued, spool synced.
func (a *agent) finish() error {
	k := &keeper{agent: a, beat: map[string]time.Time{}}
	for _, r := range a.recorders() {
		r.stop()
	}
	now := a.clock.now()
	for _, r := range a.recorders() {
		r.finish(now)
	}
	k.noteLost()
	last := a.before.Last
	if e := k.epochNow(); e != nil {
		k.swap(nil, "")
		last = toLast(e.Last())
	}
	l := life{At: ms(a.clock.now()), Quick: a.before.Quick, Last: last}
	return errors.Join(a.spool.Sync(), a.store.writeLife(l))
}
