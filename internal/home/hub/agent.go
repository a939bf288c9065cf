package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/lan"
	"latchkey.dev/latchkey/internal/home/spool"
	"latchkey.dev/latchkey/internal/home/uplink"
)

// agent is a running, paired hub. Its loop (keeper.go) owns the clock and the
// epochs; cameras and the uplink have goroutines of their own.
type agent struct {
	*Hub
	log     *slog.Logger
	roster  *roster
	public  *logBook
	book    *epochBook
	spool   *spool.Spool
	up      *uplink.Uplink
	clock   *clock
	guard   *guard
	started time.Time
	before  life         // of the run before this one
	linked  atomic.Value // uplink.State
	onLAN   net.Addr     // where removals are taken; nil: nowhere. Set before anything runs.
	behind  atomic.Bool  // members were told of a backlog last

	nudge chan struct{} // look again: roster, cameras, lost parts
	grown chan struct{} // the server says the chain has grown
	prove chan struct{} // the chain has grown: the public log is asked for a proof
	heads chan struct{} // a heads note is due now
	ended chan struct{} // an epoch has ended: an anchor may be due
	asked chan struct{} // a report of health is due now

	// change serialises what moves tracks between epochs: placing and removing
	// cameras, renewing the epoch, the end. Taken before mu and recorders' locks.
	change  sync.Mutex
	ctx     context.Context // of the recorders
	epoch   *seal.Epoch     // guarded by change
	planned plan            // what epoch was made for
	// lastOf are the final parts of each track before epoch.
	lastOf map[latchkey.TrackID]chain.HeadOf

	mu      sync.Mutex
	cameras map[latchkey.CameraID]*recorder
	tracks  map[latchkey.TrackID]*track
	watched map[latchkey.TrackID]bool
	lost    []spool.Lost
	reason  string            // a new epoch is wanted, and why
	urgent  bool              // the old epoch must not go on without it
	trouble map[string]string // source → sentence for members
	// reaching are grants of which keys were released that reach into the future:
	// when one ends, so does the epoch.
	reaching map[latchkey.GrantID]bool
	refusals int // openings refused
	twin     twin
}

func newAgent(h *Hub, session *uplink.Session, r *roster, log *logBook, book *epochBook, sp *spool.Spool) (*agent, error) {
	a := &agent{
		Hub: h, log: h.cfg.Log, roster: r, public: log, book: book, spool: sp, clock: newClock(), before: h.store.readLife(),
		nudge: make(chan struct{}, 1), grown: make(chan struct{}, 1), prove: make(chan struct{}, 1), heads: make(chan struct{}, 1),
		ended: make(chan struct{}, 1), asked: make(chan struct{}, 1), lastOf: map[latchkey.TrackID]chain.HeadOf{},
		cameras: map[latchkey.CameraID]*recorder{}, tracks: map[latchkey.TrackID]*track{}, trouble: map[string]string{}, reaching: map[latchkey.GrantID]bool{},
	}
	keepHeads(a.lastOf, a.before.heads())
	book.anchored = func() func(latchkey.Hash) bool {
		_, has := r.anchors(h.Kid())
		return has
	}
	a.linked.Store(uplink.Waiting)
	a.started = a.clock.now()
	a.guard = newGuard(r.household, h.Kid(), a.started, a.before.At != 0)
	a.up = uplink.New(uplink.Config{
		Session: session, Spool: sp, Epochs: book, Handler: a, Version: h.cfg.Version, Boot: h.boot,
		HTTP: h.cfg.HTTP, Log: h.cfg.Log, Pace: h.cfg.Pace.Uplink,
	})
	return a, nil
}

// run records until ctx ends or the household removes the hub.
func (a *agent) run(ctx context.Context) error {
	ln, err := a.openLAN()
	if err != nil {
		return err
	}
	if ln != nil {
		a.onLAN = ln.Addr()
	}
	upCtx, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	var up sync.WaitGroup
	up.Go(func() { _ = a.up.Run(upCtx) }) // returns nil, by contract
	defer up.Wait()
	defer hangUp() // after the END parts and last heads are queued
	a.ctx = ctx
	up.Go(func() { a.follow(upCtx) })
	up.Go(func() { a.followLog(upCtx) })
	up.Go(func() { a.followAnchors(upCtx) })
	up.Go(func() { a.followHealth(upCtx) })
	if ln != nil {
		up.Go(func() { a.listen(upCtx, ln) })
	}
	for _, c := range a.store.cfg().Cameras {
		id, err := c.check()
		if err != nil {
			a.log.Error("camera in config ignored", "err", err)
			continue
		}
		a.put(id, c, a.offGap(id))
	}
	err = a.keep(ctx)
	if errors.Is(err, ErrRemoved) {
		err = errors.Join(err, a.forget())
	}
	return errors.Join(err, a.finish())
}

// forget lets go of the cameras of a household that has removed the hub: it
// has no business with their passwords any more. Their footage stays where it is
// until the hub is reset.
func (a *agent) forget() error {
	a.log.Error("the household has removed this hub: it records no more and has forgotten its cameras")
	return a.store.change(func(s *settings) { s.Removed, s.Cameras = true, nil })
}

// offGap is the gap of the camera that this start ends.
func (a *agent) offGap(id latchkey.CameraID) *gap {
	if a.before.At == 0 {
		return a.newGap()
	}
	return &gap{from: a.before.off(id), why: whyHubOff, written: a.clock.now()}
}

// newGap is the time until a camera with new settings sends its first picture.
func (a *agent) newGap() *gap { return &gap{from: a.clock.now(), why: whyChanged} }

// follow keeps the copy of the chain fresh.
func (a *agent) follow(ctx context.Context) {
	poll := time.NewTicker(a.cfg.Pace.Poll)
	defer poll.Stop()
	for {
		grew, err := a.roster.refresh(ctx)
		if err != nil && ctx.Err() == nil {
			a.log.Info("chain not refreshed", "err", err)
			var f *uplink.Farewell
			if errors.As(err, &f) {
				a.Farewell(f.Notes)
			}
		}
		if grew {
			a.wake()
			signal(a.prove)
		}
		select {
		case <-ctx.Done():
			return
		case <-a.grown:
		case <-poll.C:
		}
	}
}

// place starts a camera, or starts it anew with other settings.
func (a *agent) place(id latchkey.CameraID, c cameraCfg) {
	first := a.take(id)
	a.put(id, c, first)
	a.wake()
}

// take stops a camera, if it runs, and returns the gap that begins with that;
// of a camera not known before it begins now.
func (a *agent) take(id latchkey.CameraID) *gap {
	a.change.Lock()
	defer a.change.Unlock()
	old := a.recorder(id)
	if old == nil {
		return a.newGap()
	}
	old.stop()
	old.mu.Lock()
	defer old.mu.Unlock()
	if old.gap != nil {
		old.closeGap(a.clock.now())
	}
	from := cmp.Or(old.lastSeen, a.clock.now())
	return &gap{from: from, why: whyChanged}
}

// put makes a recorder on the camera's tracks and starts it.
func (a *agent) put(id latchkey.CameraID, c cameraCfg, first *gap) {
	a.change.Lock()
	defer a.change.Unlock()
	r := &recorder{a: a, id: id, cfg: c, log: a.log.With("camera", id), media: map[latchkey.TrackKind]*track{}}
	for kind, s := range c.Tracks {
		tid, err := latchkey.ParseTrackID(s)
		if err != nil {
			continue // opCamera checked it
		}
		t := a.track(tid, kind)
		if kind == latchkey.KindMeta {
			r.meta = t
		} else {
			r.media[kind] = t
		}
	}
	a.mu.Lock()
	a.cameras[id] = r
	a.mu.Unlock()
	r.start(a.ctx, first)
}

// track finds the track by its id: it outlives changes of its camera's
// settings, because its sequence of parts goes on.
func (a *agent) track(id latchkey.TrackID, kind latchkey.TrackKind) *track {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tracks[id]
	if t == nil {
		t = &track{id: id, kind: kind, out: a, preRoll: a.cfg.Pace.PreRoll, watched: a.watched[id]}
		a.tracks[id] = t
	}
	return t
}

// remove stops a camera for good. Its tracks are closed at once; the next
// epoch does not have them.
func (a *agent) remove(id latchkey.CameraID) {
	a.change.Lock()
	defer a.change.Unlock()
	r := a.recorder(id)
	if r == nil {
		return
	}
	r.stop()
	now := a.clock.now()
	r.finish(now)
	r.retire()
	r.turn(nil, now, func(latchkey.TrackID) bool { return false })
	a.mu.Lock()
	delete(a.cameras, id)
	for kind := range r.cfg.Tracks {
		if t, err := latchkey.ParseTrackID(r.cfg.Tracks[kind]); err == nil {
			delete(a.tracks, t)
		}
	}
	a.mu.Unlock()
	a.wake()
}

func (a *agent) recorder(id latchkey.CameraID) *recorder {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cameras[id]
}

// recorders returns the cameras in a fixed order.
func (a *agent) recorders() []*recorder {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]*recorder, 0, len(a.cameras))
	for _, r := range a.cameras {
		out = append(out, r)
	}
	slices.SortFunc(out, func(x, y *recorder) int { return strings.Compare(x.id.String(), y.id.String()) })
	return out
}

// Put implements outlet: spool first, then live, so that what a viewer has
// seen is not lost when the hub is killed.
func (a *agent) Put(raw []byte) {
	lost, err := a.up.Put(raw)
	if err != nil {
		a.setTrouble("spool", diskTrouble(err))
	} else {
		a.setTrouble("spool", "")
	}
	if len(lost) > 0 {
		a.Lost(lost)
	}
}

func diskTrouble(err error) string {
	if errors.Is(err, latchkey.ErrFull) {
		return "The hub's disk is full. Free space on it; recording goes on in memory for a short while."
	}
	return "The hub cannot write to its disk: " + err.Error()
}

// setTrouble notes what members should know; an empty text settles it.
func (a *agent) setTrouble(source, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trouble[source] == text {
		return
	}
	if text != "" {
		a.log.Error("trouble", "of", source, "text", text)
	}
	a.trouble[source] = text
	a.wake()
}

func (a *agent) troubleText() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, source := range []string{"epoch", "spool", troubleDouble, troubleLog, troubleAway, troubleLAN, troubleRelease, "command"} {
		if text := a.trouble[source]; text != "" {
			return text
		}
	}
	return ""
}

// Lost implements uplink.Handler: footage that nobody will see. The keeper
// makes gap records of it.
func (a *agent) Lost(lost []spool.Lost) {
	a.mu.Lock()
	a.lost = append(a.lost, lost...)
	a.mu.Unlock()
	a.wake()
}

// ChainGrew implements uplink.Handler.
func (a *agent) ChainGrew(uint64) { signal(a.grown) }

// State implements uplink.Handler.
func (a *agent) State(s uplink.State) {
	a.linked.Store(s)
	if s == uplink.Connected {
		a.setTrouble(troubleAway, "")
		if _, _, ok := a.backlog(); ok {
			a.tellBehind(true) // here, before the first of it is sent
		}
		signal(a.grown) // a notice may have been missed
		signal(a.heads) // watchers want a fresh one
	}
}

// status is the hub's part of a state record.
func (a *agent) status() hubRecord {
	st := a.spool.Stats()
	rec := hubRecord{
		Name: cmp.Or(a.cfg.Name, "hub"), Version: a.cfg.Version, Started: a.started.Unix(),
		SpoolParts: st.Parts, SpoolBytes: st.Bytes, SpoolLimit: st.Limit,
		Uplink: string(a.linked.Load().(uplink.State)), Clock: "unsynced", LAN: []string{},
	}
	if clockSynced() {
		rec.Clock = "synced"
	}
	if a.onLAN != nil {
		rec.LAN = lan.Addresses(a.onLAN)
	}
	if known := a.public.known(); !known.Until.IsZero() {
		rec.LogUntil = known.Until.Unix()
	}
	if st.Oldest != nil {
		if from, _, ok := a.span(*st.Oldest); ok {
			rec.SpoolOldest = from.Unix()
		}
	}
	if from, to, ok := a.backlog(); ok {
		rec.BacklogFrom, rec.BacklogTo = from.Unix(), to.Unix()
	}
	return rec
}

// tellBehind writes states with what has yet to be sent, or that all has been.
func (a *agent) tellBehind(behind bool) {
	a.behind.Store(behind)
	for _, r := range a.recorders() {
		r.tell()
	}
}

// backlog is the time that the footage spans which the cloud has not been sent
// yet and will be.
func (a *agent) backlog() (from, to time.Time, ok bool) {
	oldest, newest, ok := a.spool.Backlog()
	if !ok {
		return from, to, false
	}
	from, _, known := a.span(oldest)
	_, to, also := a.span(newest)
	return from, to, known && also
}

// span translates slots of an epoch into times.
func (a *agent) span(l spool.Lost) (from, to time.Time, ok bool) {
	start, ok := a.book.start(l.Epoch)
	return time.Unix(start+int64(l.FirstSlot), 0), time.Unix(start+int64(l.LastSlot)+1, 0), ok
}

func (a *agent) wake() { signal(a.nudge) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// ErrRemoved is what a hub ends with that its household has removed. It wraps
// latchkey.ErrRefused.
var ErrRemoved = fmt.Errorf("hub: %w: the household has removed this hub", latchkey.ErrRefused)
