package camera

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
)

// settleTime is how long the first units of a run are held: cameras send what
// they have buffered in one burst, and only after it can arrival times tell
// capture times.
const settleTime = 250 * time.Millisecond

// maxLoose bounds the NAL units kept while their picture is still to come.
const maxLoose = 64

// receiver turns the packets of all tracks of one run into units. Packets of
// different tracks may come from different goroutines (UDP).
type receiver struct {
	sink Sink
	log  *slog.Logger

	mu      sync.Mutex
	base    *timebase
	held    []heldUnit
	heldAt  time.Duration
	holding bool
	settled bool
	broken  error
	fail    chan error // takes the one error that breaks the run

	lastVideo atomic.Int64 // when the last video packet came, ns since the start of the run
}

// heldUnit is a unit or a format waiting for the start to settle.
type heldUnit struct {
	unit   Unit
	order  *reorder
	format *Format
}

func newReceiver(sink Sink, log *slog.Logger, now time.Time) *receiver {
	return &receiver{sink: sink, log: log, base: newTimebase(now), fail: make(chan error, 1)}
}

// silence returns the time since the last video packet (or the start).
func (r *receiver) silence() time.Duration {
	return time.Since(r.base.anchor) - time.Duration(r.lastVideo.Load())
}

// arrive stamps a packet; false means that the run is over.
func (r *receiver) arrive() (time.Duration, bool) {
	at, err := r.base.arrival(time.Now())
	if err != nil && r.broken == nil {
		r.broken = err
		r.fail <- err
	}
	return at, r.broken == nil
}

func (r *receiver) format(kind MediaKind, f Format) {
	if r.settled {
		r.sink.Format(kind, f)
		return
	}
	r.held = append(r.held, heldUnit{unit: Unit{Kind: kind}, format: &f})
}

// unit takes a unit in decode order, without its DTS, that arrived at the given
// time; order is nil where DTS is PTS.
func (r *receiver) unit(u Unit, order *reorder, at time.Duration, ntp time.Time) {
	r.base.observe(u.Kind, u.PTS, at, ntp)
	if order != nil {
		order.learn(u.PTS)
	}
	if r.settled {
		r.deliver(u, order)
		return
	}
	if !r.holding {
		r.holding, r.heldAt = true, at
	}
	r.held = append(r.held, heldUnit{unit: u, order: order})
	if at-r.heldAt < settleTime {
		return
	}
	r.settled = true
	for _, h := range r.held {
		if h.format != nil {
			r.sink.Format(h.unit.Kind, *h.format)
			continue
		}
		r.deliver(h.unit, h.order)
	}
	r.held = nil
}

// deliver completes the times of a unit.
func (r *receiver) deliver(u Unit, order *reorder) {
	u.DTS = u.PTS
	if order != nil {
		u.DTS = order.dts(u.PTS)
	}
	u.Wall = r.base.wall(u.Kind, u.PTS, u.DTS)
	r.sink.Unit(u)
}

// videoTrack assembles the access units of one video track.
type videoTrack struct {
	r      *receiver
	kind   MediaKind
	params videoParams
	clock  rtpClock
	order  reorder
	// decode is the RTP depacketizer; errMore and errEarly are its two errors
	// that mean nothing is wrong.
	decode           func(*rtp.Packet) ([][]byte, error)
	errMore, errFrag error
	ntp              func(*rtp.Packet) (time.Time, bool)

	auTS      uint32 // timestamp of the access unit being assembled
	assembled bool
	loose     [][]byte // NAL units that came without a picture
	running   bool     // a key frame was delivered
	announced bool
	changed   bool
	warned    bool
}

// packet takes one RTP packet.
func (v *videoTrack) packet(pkt *rtp.Packet) {
	v.r.mu.Lock()
	defer v.r.mu.Unlock()
	at, ok := v.r.arrive()
	if !ok {
		return
	}
	v.r.lastVideo.Store(int64(at))
	if !v.assembled {
		v.auTS, v.assembled = pkt.Timestamp, true
	}
	au, err := v.decode(pkt)
	if err != nil {
		if !errors.Is(err, v.errMore) && !errors.Is(err, v.errFrag) {
			v.r.log.Debug("camera: video packet dropped", "kind", v.kind, "err", err)
		}
		return
	}
	// The depacketizer ends a unit at the marker, or at a new timestamp where
	// the camera sets no marker; then pkt already belongs to the next unit.
	ts := v.auTS
	v.auTS, v.assembled = pkt.Timestamp, ts != pkt.Timestamp
	ntp, _ := v.ntp(&rtp.Packet{Header: rtp.Header{Timestamp: ts, PayloadType: pkt.PayloadType}})
	v.accessUnit(au, ts, at, ntp)
}

func (v *videoTrack) accessUnit(au [][]byte, ts uint32, at time.Duration, ntp time.Time) {
	au = dropEmpty(au)
	picture, key := false, false
	for _, n := range au {
		if isPicture(v.params.codec, n) {
			picture = true
			key = key || isKey(v.params.codec, n)
		}
	}
	if !picture {
		// Some cameras send parameter sets as a unit of their own: they go in
		// front of the picture they belong to.
		if len(v.loose)+len(au) <= maxLoose {
			v.loose = append(v.loose, au...)
		}
		return
	}
	if v.loose != nil {
		au, v.loose = append(v.loose, au...), nil
	}
	v.changed = v.params.absorb(au) || v.changed
	pts := v.clock.pts(ts, at)
	if !v.ready(key) {
		return
	}
	v.r.unit(Unit{Kind: v.kind, NALUs: au, PTS: pts, Key: key}, &v.order, at, ntp)
}

// ready reports whether units can be delivered, and announces the format at
// the key frame that it is true from.
func (v *videoTrack) ready(key bool) bool {
	if key && !v.params.ok && !v.warned {
		v.warned = true
		v.r.log.Warn("camera: key frame without usable parameter sets", "kind", v.kind)
	}
	if !v.params.ok || !v.running && !key {
		return false
	}
	if key && (v.changed || !v.announced) {
		v.order.setFormat(v.params.reorder, v.params.parsed.FPS)
		v.r.format(v.kind, v.params.parsed)
		v.announced, v.changed = true, false
	}
	v.running = true
	return true
}

func dropEmpty(au [][]byte) [][]byte {
	out := au[:0]
	for _, n := range au {
		if len(n) > 1 {
			out = append(out, n)
		}
	}
	return out
}

// audioTrack turns the packets of an audio track into frames.
type audioTrack struct {
	r       *receiver
	form    Format
	clock   rtpClock
	decode  func(*rtp.Packet) ([][]byte, error)
	errMore error
	// frameTicks is the length of the i-th frame before another in one packet.
	frameTicks func(frame []byte) int64
	ntp        func(*rtp.Packet) (time.Time, bool)
	announced  bool
	lastPTS    time.Duration
}

func (a *audioTrack) packet(pkt *rtp.Packet) {
	a.r.mu.Lock()
	defer a.r.mu.Unlock()
	at, ok := a.r.arrive()
	if !ok {
		return
	}
	frames, err := a.decode(pkt)
	if err != nil {
		if !errors.Is(err, a.errMore) {
			a.r.log.Debug("camera: audio packet dropped", "err", err)
		}
		return
	}
	pts := a.clock.pts(pkt.Timestamp, at)
	ntp, _ := a.ntp(pkt)
	if !a.announced {
		a.announced = true
		a.lastPTS = pts
		a.r.format(KindAudio, a.form)
	}
	for _, f := range frames {
		if len(f) == 0 {
			continue
		}
		a.lastPTS = max(a.lastPTS, pts)
		a.r.unit(Unit{Kind: KindAudio, Frame: f, PTS: a.lastPTS, Key: true}, nil, at, ntp)
		step := ticksToDuration(a.frameTicks(f), a.clock.rate)
		pts += step
		if !ntp.IsZero() {
			ntp = ntp.Add(step)
		}
	}
}
