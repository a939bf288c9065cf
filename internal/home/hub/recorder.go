package hub

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/pack"
)

// maxPending bounds the records that wait for an epoch.
const maxPending = 256

// rateAfter is when a new stream's bit rate can be told.
const rateAfter = 6 * time.Second

// recorder records one camera: its streams, its gaps, its events.
type recorder struct {
	a     *agent
	id    latchkey.CameraID
	cfg   cameraCfg
	log   *slog.Logger
	meta  *track
	media map[latchkey.TrackKind]*track

	cancel  context.CancelFunc
	running sync.WaitGroup
	lost    atomic.Uint64 // packets of both streams, since this recorder began

	mu       sync.Mutex
	main     camera.Status
	sub      camera.Status
	lastSeen time.Time // newest recorded picture
	gap      *gap
	events   []event
	pending  []any // records that found no epoch
	stated   time.Time
	fresh    time.Time // since when pictures come; zero once a state told their bit rate
}

type gap struct {
	from    time.Time
	why     string
	written time.Time // when it was last noted while it lasts; zero for not yet
	told    time.Time // up to here a sealed record tells of it; zero for none
}

// noteAfter is when a gap that lasts is noted for the first time.
const noteAfter = 5 * time.Second

// due reports whether the gap is to be noted again, every that often.
func (g *gap) due(now time.Time, every time.Duration) bool {
	if g.written.IsZero() {
		return now.Sub(g.from) >= min(every, noteAfter)
	}
	return now.Sub(g.written) >= every
}

type event struct {
	eventRecord
	until time.Time
}

// start runs the camera's streams. first is the gap before the first picture.
func (r *recorder) start(ctx context.Context, first *gap) {
	ctx, cancel := context.WithCancel(ctx)
	if !r.began(cancel, first) {
		return
	}
	for kind, t := range r.media {
		t.reportTo(func(s sealed, err error) { r.took(kind, s, err) })
		if r.cfg.Mode == modeContinuous || kind == latchkey.KindVideoSub {
			_, _ = t.setOpen(true) // nothing waits in the ring yet
		}
	}
	r.stream(ctx, camera.Config{
		URL: r.cfg.URL, User: r.cfg.User, Password: r.cfg.Password, Video: latchkey.KindVideo,
		Audio: r.cfg.Audio && r.media[latchkey.KindAudio] != nil, Logger: r.log,
	}, r.mainStatus)
	if r.cfg.SubURL != "" && r.media[latchkey.KindVideoSub] != nil {
		r.stream(ctx, camera.Config{
			URL: r.cfg.SubURL, User: r.cfg.User, Password: r.cfg.Password, Video: latchkey.KindVideoSub, Logger: r.log,
		}, r.subStatus)
	}
}

// began notes the beginning, and reports whether there is anything to stream:
// the keeper looks at every recorder already.
func (r *recorder) began(cancel context.CancelFunc, first *gap) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel, r.gap = cancel, first
	if r.cfg.Mode == modeOff {
		r.openGap(r.a.clock.now(), whySwitchedOff)
		return false
	}
	r.main = camera.Status{State: camera.StateConnecting}
	return true
}

func (r *recorder) stream(ctx context.Context, cfg camera.Config, on func(camera.Status)) {
	cfg.Lost = func(n uint64) { r.lost.Add(n) }
	sup := &camera.Supervisor{Sink: r, OnStatus: on, Open: r.a.cfg.Open}
	r.running.Go(func() {
		_ = sup.Run(ctx, cfg) // ends only with ctx; every failure came through on
	})
}

// stop ends the streams and waits for them. Nothing is pushed after it.
func (r *recorder) stop() {
	r.cancel()
	r.running.Wait()
	for kind, t := range r.media {
		s, err := t.setOpen(false)
		r.took(kind, s, err)
	}
}

// Format implements camera.Sink.
func (r *recorder) Format(kind camera.MediaKind, f camera.Format) {
	t := r.media[kind]
	if t == nil {
		return
	}
	s, err := t.setFormat(f)
	if err != nil {
		r.log.Warn("format refused", "kind", kind, "err", err)
	}
	r.took(kind, s, nil)
	r.tell()
}

// Unit implements camera.Sink.
func (r *recorder) Unit(u camera.Unit) {
	t := r.media[u.Kind]
	if t == nil {
		return
	}
	s, err := t.push(u)
	r.took(u.Kind, s, err)
}

// took notes what a track has sealed, or why it could not.
func (r *recorder) took(kind latchkey.TrackKind, s sealed, err error) {
	switch {
	case errors.Is(err, seal.ErrOver):
		r.a.demand(whyOver)
	case err != nil:
		r.log.Debug("not recorded", "kind", kind, "err", err)
	}
	if kind == latchkey.KindVideo && !s.none() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.recorded(s)
	}
}

// recorded notes that the picture is in the footage again. Callers hold mu.
func (r *recorder) recorded(s sealed) {
	r.lastSeen = s.last
	if r.gap != nil {
		r.closeGap(s.first)
		r.stateLocked()
	}
}

// settle seals what is left of a stream that has ended, before anything is said
// of what comes after it.
func (r *recorder) settle(st camera.Status, kinds ...latchkey.TrackKind) {
	if st.State == camera.StateStreaming {
		return
	}
	for _, kind := range kinds {
		if t := r.media[kind]; t != nil {
			t.settle()
		}
	}
}

func (r *recorder) mainStatus(st camera.Status) {
	r.settle(st, latchkey.KindVideo, latchkey.KindAudio)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.main = st
	r.log.Info("camera", "state", st.State, "err", st.Err)
	switch st.State {
	case camera.StateStreaming:
		r.fresh = r.a.clock.now()
		if r.cfg.Mode == modeEvents && len(r.events) == 0 {
			r.openGap(r.a.clock.now(), whyNotRecording)
		}
	case camera.StateConnecting:
	default:
		from := st.Since
		if !r.lastSeen.IsZero() && r.lastSeen.Before(from) && r.gap == nil {
			from = r.lastSeen
		}
		r.openGap(from, gapWhy(st))
	}
	r.stateLocked()
}

func (r *recorder) subStatus(st camera.Status) {
	r.settle(st, latchkey.KindVideoSub)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sub = st
	r.log.Info("camera sub stream", "state", st.State, "err", st.Err)
	r.stateLocked()
}

// openGap begins a gap, or ends the one of another reason where the new one
// begins. Callers hold mu (or own r alone).
func (r *recorder) openGap(from time.Time, why string) {
	if r.gap != nil {
		if r.gap.why == why {
			return
		}
		r.closeGap(from)
	}
	r.gap = &gap{from: from, why: why}
}

func (r *recorder) closeGap(to time.Time) {
	r.noteGap(to)
	r.gap = nil
}

func (r *recorder) noteGap(to time.Time) {
	if !to.After(r.gap.from) {
		return
	}
	r.gap.written = to
	if r.emit(r.gapOf(r.gap.from, to, r.gap.why)) {
		r.gap.told = to
	}
}

// untold is since when there is a gap that no sealed record tells of; zero for
// none. A kill now would lose it, so the next start is told (life).
func (r *recorder) untold() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var since time.Time
	earlier := func(t time.Time) {
		if since.IsZero() || t.Before(since) {
			since = t
		}
	}
	if r.gap != nil && r.gap.told.IsZero() {
		earlier(r.gap.from)
	} else if r.gap != nil {
		earlier(r.gap.told)
	}
	for _, doc := range r.pending {
		if g, ok := doc.(gapRecord); ok {
			earlier(time.UnixMilli(g.From))
		}
	}
	return since
}

func (r *recorder) gapOf(from, to time.Time, why string) gapRecord {
	return gapRecord{V: 1, Type: "gap", Camera: r.id.String(), From: ms(from), To: ms(to), Why: why}
}

// lose notes a gap of footage that had been sealed and had to be dropped.
func (r *recorder) lose(from, to time.Time, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.emit(r.gapOf(from, to, why))
}

// begin starts an event that lasts for d; in events mode the pre-roll and what
// follows is recorded.
func (r *recorder) begin(label, source string, d time.Duration) error {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return fmt.Errorf("hub: begin event: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.a.clock.now()
	e := event{until: now.Add(d), eventRecord: eventRecord{
		V: 1, Type: "event", ID: hex.EncodeToString(id[:]), Camera: r.id.String(), From: ms(now), Label: label, Source: source,
	}}
	r.events = append(r.events, e)
	r.emit(e.eventRecord)
	if r.cfg.Mode != modeEvents {
		return nil
	}
	var errs error
	for kind, t := range r.media {
		s, err := t.setOpen(true)
		errs = errors.Join(errs, err)
		if kind == latchkey.KindVideo && !s.none() && r.gap != nil && r.gap.why == whyNotRecording {
			r.closeGap(s.first)
		}
	}
	r.stateLocked()
	return errs
}

// tick ends events that are over, notes gaps that last and states that are
// due. It reports whether a new stream has run long enough to be vouched for.
func (r *recorder) tick(now time.Time, every time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endEvents(now)
	if r.gap != nil && r.gap.due(now, every) {
		r.noteGap(now.Add(-pack.GatherLimit)) // a picture that ends it may be gathered already
	}
	rated := !r.fresh.IsZero() && now.Sub(r.fresh) >= rateAfter
	if rated {
		r.fresh = time.Time{}
	}
	if rated || now.Sub(r.stated) >= every || now.Before(r.stated) {
		r.stateLocked()
	}
	return rated
}

func (r *recorder) endEvents(now time.Time) {
	keep := r.events[:0]
	for _, e := range r.events {
		if now.Before(e.until) {
			keep = append(keep, e)
			continue
		}
		e.To = max(ms(e.until), e.From)
		r.emit(e.eventRecord)
	}
	ended := len(keep) < len(r.events)
	r.events = keep
	if !ended || len(keep) > 0 || r.cfg.Mode != modeEvents {
		return
	}
	for kind, t := range r.media {
		if kind == latchkey.KindVideoSub {
			continue
		}
		s, err := t.setOpen(false)
		if err != nil {
			r.log.Debug("not recorded", "kind", kind, "err", err)
		}
		if kind == latchkey.KindVideo && !s.none() {
			r.lastSeen = s.last
		}
	}
	if r.main.State == camera.StateStreaming {
		r.openGap(now, whyNotRecording)
	}
	r.stateLocked()
}

// finish writes what is open, at the graceful end of the hub.
func (r *recorder) finish(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endEvents(now.Add(24 * time.Hour))
	if r.gap != nil {
		r.closeGap(now)
	}
}

// retire writes the last state of a camera that is removed: off. Without it
// members would go by the state before for two minutes.
func (r *recorder) retire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg.Mode = modeOff
	r.stateLocked()
}

// turn moves the camera's tracks into the next epoch. The meta track goes
// first, so that its first record, the state, is there before any picture.
func (r *recorder) turn(next *epoch, now time.Time, has func(latchkey.TrackID) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	move := func(t *track) {
		to := next
		if !has(t.id) {
			to = nil
		}
		s, err := t.turn(to, now)
		if err != nil {
			r.log.Warn("track not closed cleanly", "kind", t.kind, "err", err)
		}
		if t.kind == latchkey.KindVideo && !s.none() {
			r.recorded(s)
		}
	}
	move(r.meta)
	if next != nil && has(r.meta.id) {
		r.stateLocked()
		old := r.pending
		r.pending = nil
		for _, doc := range old {
			r.emit(doc)
		}
	}
	for _, t := range r.media {
		move(t)
	}
}

// emit seals a record on the meta track and reports whether it did. Without an
// epoch the record waits for the next one. Callers hold mu.
func (r *recorder) emit(doc any) bool {
	err := r.meta.write(r.a.clock.now(), doc)
	if err != nil && len(r.pending) < maxPending {
		r.pending = append(r.pending, doc)
	}
	return err == nil
}

// tell writes the state now.
func (r *recorder) tell() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stateLocked()
}

// stateLocked writes a state record. A state that finds no epoch is dropped:
// the next epoch begins with one.
func (r *recorder) stateLocked() {
	now := r.a.clock.now()
	st := stateRecord{
		V: 1, Type: "state", At: ms(now), Camera: r.id.String(), Name: r.cfg.Name, Mode: r.cfg.Mode,
		Status: r.status(), Error: r.trouble(), Tracks: []trackRecord{}, Hub: r.a.status(),
	}
	for _, kind := range []latchkey.TrackKind{latchkey.KindVideo, latchkey.KindVideoSub, latchkey.KindAudio} {
		t := r.media[kind]
		if t == nil {
			continue
		}
		kbps, f := t.rate(now)
		if f.Codec == "" {
			continue // nothing was heard of it yet
		}
		st.Tracks = append(st.Tracks, trackRecord{
			Track: t.id.String(), Kind: string(kind), Codec: f.MIME, Width: f.Width, Height: f.Height, FPS: f.FPS, Kbps: kbps,
		})
	}
	if err := r.meta.write(now, st); err == nil {
		r.stated = now
	}
}

func (r *recorder) status() string {
	switch {
	case r.cfg.Mode == modeOff:
		return statusOff
	case r.main.State == "":
		return statusConnecting
	case r.main.State == camera.StateStreaming && r.cfg.Mode == modeEvents && len(r.events) == 0:
		return statusWaiting
	}
	return string(r.main.State)
}

func (r *recorder) trouble() string {
	if s := sentence(r.main.Err); s != "" {
		return s
	}
	if s := sentence(r.sub.Err); s != "" {
		return "Sub stream: " + s
	}
	return r.a.troubleText()
}
