// Package live relays parts from hubs to viewers as they come: one framed,
// shared buffer per part, no disk, and no waiting for a slow viewer. A viewer
// that cannot keep up is taken to the next random-access part and told what
// was left out, so that nobody watches the past while believing it is now.
//
// Only the cloud may import it. It sees headers and sealed bytes. Wire:
// docs/spec/wire.md, "Live".
package live

import (
	"sync"
	"sync/atomic"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// The windows of the relay (docs/design/0001, "Live").
const (
	maxFlight = time.Second             // parts in flight unacknowledged span at most this, by arrival
	maxAge    = time.Second             // a part that is older when its turn comes is skipped
	maxLag    = 1500 * time.Millisecond // predicted age at the viewer; above it a part waits
	slowAfter = 400 * time.Millisecond  // an acknowledgement later than this means a slow reader
	slowFor   = 2 * time.Second         // and so long after it
	stallFor  = 350 * time.Millisecond  // a slow reader silent this long gets nothing more
	probe     = 3 * time.Second         // after such a silence one random-access part goes out on trust
	maxProbes = 3                       // but no more than these without an answer
	firstLoad = 240 << 10               // bytes in flight that need no measured speed
	keepFor   = 2 * time.Second         // parts older than the newest random-access part are kept this long
	ringBytes = 32 << 20                // per track
)

// Relay connects hubs and viewers of all households. The zero value is not
// usable; make it with New. Safe for concurrent use.
type Relay struct {
	stats Stats

	mu     sync.Mutex
	homes  map[latchkey.HouseholdID]*home
	tracks map[key]*track
}

// Stats counts since the start.
type Stats struct {
	Parts, Frames, Bytes, Writes, Skips, Viewers atomic.Int64
}

type key struct {
	household latchkey.HouseholdID
	track     latchkey.TrackID
}

// home is what a household's viewers share.
type home struct {
	viewers map[*viewer]bool
	heads   map[latchkey.EpochID]*shared // newest heads note of each epoch, as a text frame
	hubs    int                          // connected
	watched map[latchkey.TrackID]*watched
	told    map[*Source]func([]latchkey.TrackID) // hubs that want to know what is watched
}

// New makes an empty relay.
func New() *Relay {
	return &Relay{homes: map[latchkey.HouseholdID]*home{}, tracks: map[key]*track{}}
}

// Stats returns the live counters.
func (r *Relay) Stats() *Stats { return &r.stats }

// homeOf returns the entry of h, made if need be. Callers hold mu.
func (r *Relay) homeOf(h latchkey.HouseholdID) *home {
	if r.homes[h] == nil {
		r.homes[h] = &home{
			viewers: map[*viewer]bool{}, heads: map[latchkey.EpochID]*shared{},
			watched: map[latchkey.TrackID]*watched{}, told: map[*Source]func([]latchkey.TrackID){},
		}
	}
	return r.homes[h]
}

// Source is one hub's connection. Its methods may be called from one
// goroutine at a time.
type Source struct {
	r         *Relay
	household latchkey.HouseholdID
	tracks    map[latchkey.TrackID]*track
	closed    bool
}

// Source announces a connected hub. Close it when the connection ends.
func (r *Relay) Source(h latchkey.HouseholdID) *Source {
	r.mu.Lock()
	defer r.mu.Unlock()
	home := r.homeOf(h)
	home.hubs++
	if home.hubs == 1 {
		home.tellAll(textFrame(hubMessage{Op: "hub", Online: true}))
	}
	return &Source{r: r, household: h, tracks: map[latchkey.TrackID]*track{}}
}

// Publish relays one part. raw is copied once; every viewer shares the copy.
// A part that does not come after the newest of its track and epoch is not
// live and is left to the recordings.
func (s *Source) Publish(h part.Header, raw []byte) {
	t := s.tracks[h.Track]
	if t == nil {
		t = s.r.track(s.household, h.Track)
		s.tracks[h.Track] = t
	}
	if t.publish(h, raw, time.Now()) {
		s.r.stats.Parts.Add(1)
	}
}

// Heads relays a heads note to those who watch its epoch, now or later.
func (s *Source) Heads(epoch latchkey.EpochID, note []byte) {
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	home := r.homeOf(s.household)
	if len(home.heads) > 64 {
		clear(home.heads) // long-gone epochs; the live ones come again within a minute
	}
	f := textFrame(headsMessage{Op: "heads", Epoch: epoch.String(), Note: latchkey.B64(note)})
	home.heads[epoch] = f
	for v := range home.viewers {
		v.tellOfEpoch(epoch, f)
	}
}

// Close says that the hub is gone: its tracks have no source now.
func (s *Source) Close() {
	if s.closed {
		return
	}
	s.closed = true
	for _, t := range s.tracks {
		t.idle()
	}
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	home := r.homeOf(s.household)
	delete(home.told, s)
	home.hubs--
	if home.hubs == 0 {
		home.tellAll(textFrame(hubMessage{Op: "hub", Online: false}))
	}
	r.tidy(s.household)
}

// tidy forgets a household that nobody uses and tracks that nobody publishes
// or watches. Callers hold mu.
func (r *Relay) tidy(h latchkey.HouseholdID) {
	home := r.homes[h]
	if home == nil || home.hubs > 0 || len(home.viewers) > 0 {
		return
	}
	delete(r.homes, h)
	for k := range r.tracks {
		if k.household == h {
			delete(r.tracks, k)
		}
	}
}

func (r *Relay) track(h latchkey.HouseholdID, id latchkey.TrackID) *track {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := key{h, id}
	if r.tracks[k] == nil {
		r.tracks[k] = &track{id: id, watchers: map[*viewer]bool{}}
	}
	return r.tracks[k]
}

// Viewers returns how many sockets a household has.
func (r *Relay) Viewers(h latchkey.HouseholdID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.homes[h] == nil {
		return 0
	}
	return len(r.homes[h].viewers)
}

func (h *home) tellAll(f *shared) {
	for v := range h.viewers {
		v.tell(f)
	}
}

// carry makes v hear of an epoch's heads from now on and returns the newest.
func (r *Relay) carry(v *viewer, epoch latchkey.EpochID) *shared {
	r.mu.Lock()
	defer r.mu.Unlock()
	v.textMu.Lock()
	defer v.textMu.Unlock()
	if len(v.carried) >= maxTold {
		clear(v.carried)
	}
	v.carried[epoch] = true
	return r.homeOf(v.access.Household).heads[epoch]
}
