package uplink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/spool"
	"latchkey.dev/latchkey/internal/home/uplink/uplinktest"
	"latchkey.dev/latchkey/part"
)

// rig is a hub's uplink without a hub: forged parts, a real spool, a fake cloud.
type rig struct {
	*uplinktest.Forge
	t     *testing.T
	cloud *uplinktest.Cloud
	dir   string // the spool's
	spool *spool.Spool
	up    *Uplink
	stop  func()

	mu      sync.Mutex
	epochs  map[latchkey.EpochID]*uplinktest.ForgedEpoch
	order   []latchkey.EpochID
	lost    []spool.Lost
	heads   []uint64
	states  []State
	watched [][]latchkey.TrackID
	answer  latchkeyv1.CommandResult
}

func newRig(t *testing.T, tracks int) *rig {
	t.Helper()
	r := &rig{
		Forge: uplinktest.NewForge(t, tracks), t: t, cloud: uplinktest.New(t),
		epochs: map[latchkey.EpochID]*uplinktest.ForgedEpoch{}, answer: latchkeyv1.CommandResult_COMMAND_RESULT_DONE,
	}
	r.cloud.SetChain(r.Notes)
	var err error
	r.dir = t.TempDir()
	if r.spool, err = spool.Open(spool.Config{Dir: r.dir, Check: r.check}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.spool.Close() })
	return r
}

// check is the spool's Config.Check, as a hub has it.
func (r *rig) check(p part.Part) error {
	r.mu.Lock()
	e := r.epochs[p.Header.Epoch]
	r.mu.Unlock()
	if e == nil {
		return fmt.Errorf("test: %w", latchkey.ErrNotFound)
	}
	return p.VerifySig(e.Signer())
}

// run starts the uplink; it is stopped at the end of the test.
func (r *rig) run() {
	r.t.Helper()
	session, err := NewSession(r.cloud.URL, r.State.Household, r.Hub, http.DefaultClient)
	if err != nil {
		r.t.Fatal(err)
	}
	pace := DefaultPace()
	pace.FirstRetry, pace.MaxRetry, pace.FullPause = 10*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond
	r.up = New(Config{Session: session, Spool: r.spool, Epochs: (*book)(r), Handler: (*hands)(r), Pace: pace})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.up.Run(ctx); err != nil {
			r.t.Errorf("Run: %v", err)
		}
	}()
	r.stop = sync.OnceFunc(func() { cancel(); <-done })
	r.t.Cleanup(r.stop)
}

func (r *rig) newEpoch() *uplinktest.ForgedEpoch {
	e := r.Epoch()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epochs[e.ID] = e
	r.order = append(r.order, e.ID)
	return e
}

// seal makes a part as the hub does: spool, then live.
func (r *rig) seal(e *uplinktest.ForgedEpoch, track, size int) {
	r.t.Helper()
	raw := e.Part(r.Tracks[track], 0, 1, size)
	put := r.spool.Append
	if r.up != nil {
		put = r.up.Put
	}
	if _, err := put(raw); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) stored(e *uplinktest.ForgedEpoch, track int) int {
	return len(r.cloud.Parts(uplinktest.Stream{Epoch: e.ID, Track: r.Tracks[track]}))
}

// connected reports whether what the hub writes now goes live: the cloud's own
// view is a moment earlier.
func (r *rig) connected() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.states) > 0 && r.states[len(r.states)-1] == Connected && r.cloud.Connected()
}

// waitLost waits for reports of loss: they are made after the spool has let go.
func (r *rig) waitLost(count int) {
	r.t.Helper()
	r.wait("reports of loss", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.lost) >= count
	})
}

func (r *rig) wait(what string, ok func() bool) {
	r.t.Helper()
	r.cloud.Wait(what, ok)
}

// book implements Epochs.
type book rig

func (b *book) Pending() []latchkey.EpochID {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.order)
}

func (b *book) Load(id latchkey.EpochID) (*latchkeyv1.UplinkEpoch, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.epochs[id]
	if e == nil {
		return nil, fmt.Errorf("test: %w", latchkey.ErrNotFound)
	}
	return e.Message, nil
}

func (b *book) Durable(latchkey.EpochID) {}

// hands implements Handler.
type hands rig

func (h *hands) Command(_ context.Context, sealed []byte) latchkeyv1.CommandResult {
	if string(sealed) == "slow" {
		time.Sleep(200 * time.Millisecond)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.answer
}

func (h *hands) ChainGrew(head uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heads = append(h.heads, head)
}

func (h *hands) Lost(l []spool.Lost) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost = append(h.lost, l...)
}

func (h *hands) Watched(tracks []latchkey.TrackID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watched = append(h.watched, tracks)
}

func (h *hands) Newest([]byte) error { return nil }

func (h *hands) Doubled(bool) {}

func (h *hands) Farewell([][]byte) {}
func (h *hands) Opening(context.Context, *latchkeyv1.UplinkOpening) (latchkeyv1.OpeningResult, []byte) {
	return latchkeyv1.OpeningResult_OPENING_RESULT_REFUSED, nil
}

func (h *hands) State(s State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states = append(h.states, s)
}

func TestLivePartsAndReceipts(t *testing.T) {
	r := newRig(t, 2)
	r.run()
	r.wait("connection", r.connected)
	e := r.newEpoch()
	r.up.Announce(e.ID)
	for range 20 {
		r.seal(e, 0, 1000)
		r.seal(e, 1, 100)
	}
	r.wait("all parts", func() bool { return r.stored(e, 0) == 20 && r.stored(e, 1) == 20 })
	r.wait("an empty spool", func() bool { return r.spool.Stats().Parts == 0 })
	for _, m := range r.cloud.Messages() {
		if m.Kind == typeBacklog {
			t.Errorf("part %d of a connected hub went as backlog", m.First)
		}
	}
}

// TestWatched: the hub hears every set as a whole, again on a new connection,
// and of none as soon as the connection is gone.
func TestWatched(t *testing.T) {
	r := newRig(t, 2)
	a, b := r.Tracks[0], r.Tracks[1]
	heard := func() [][]latchkey.TrackID {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Clone(r.watched)
	}
	same := func(want ...[]latchkey.TrackID) func() bool {
		return func() bool { return slices.EqualFunc(heard(), want, slices.Equal) }
	}
	r.cloud.Watch(a)
	r.run()
	r.wait("the set on connecting", same([]latchkey.TrackID{a}))
	r.cloud.Watch(a, b)
	r.wait("a larger set", same([]latchkey.TrackID{a}, []latchkey.TrackID{a, b}))
	r.cloud.SetDown(true)
	r.wait("none without a connection", same([]latchkey.TrackID{a}, []latchkey.TrackID{a, b}, nil))
	r.cloud.SetDown(false)
	r.wait("the set on the next connection", same([]latchkey.TrackID{a}, []latchkey.TrackID{a, b}, nil, []latchkey.TrackID{a, b}))
	r.stop()
	if all := heard(); len(all) != 5 || len(all[4]) != 0 {
		t.Errorf("after the end: %v", all)
	}
}

// noServer is a transport without one; it notes when it is asked.
type noServer struct{ at []time.Time }

func (n *noServer) RoundTrip(*http.Request) (*http.Response, error) {
	n.at = append(n.at, time.Now())
	return nil, errors.New("no route")
}

// TestBackOff: in an outage of up to ten minutes the next attempt is never more
// than five seconds away, and the server is not hammered.
func TestBackOff(t *testing.T) {
	r := newRig(t, 1)
	synctest.Test(t, func(t *testing.T) {
		gone := &noServer{}
		client := &http.Client{Transport: gone}
		session, err := NewSession("http://127.0.0.1:1", r.State.Household, r.Hub, client)
		if err != nil {
			t.Fatal(err)
		}
		up := New(Config{Session: session, Spool: r.spool, Epochs: (*book)(r), Handler: (*hands)(r), HTTP: client})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
		defer cancel()
		began := time.Now()
		if err := up.Run(ctx); err != nil {
			t.Fatal(err)
		}
		soon := 0
		for i, at := range gone.at[1:] {
			wait, outage := at.Sub(gone.at[i]), at.Sub(began)
			if outage < 10*time.Minute {
				soon++
			}
			if most := map[bool]time.Duration{true: 5 * time.Second, false: 30 * time.Second}[outage < 10*time.Minute]; wait > most {
				t.Errorf("%v into the outage nobody tried for %v", outage, wait)
			}
		}
		if late := len(gone.at) - soon; soon > 10*60/2 || late > 20*60/10 {
			t.Errorf("%d attempts in the first ten minutes, %d in the next twenty", soon, late)
		}
	})
}

// TestServerGone lets parts pile up while the server is away and looks at the
// order afterwards: the new ones first, the old ones in their order, none twice.
func TestServerGone(t *testing.T) {
	r := newRig(t, 2)
	r.cloud.DurableEvery = 1000
	r.run()
	r.wait("connection", r.connected)
	e := r.newEpoch()
	for range 10 {
		r.seal(e, 0, 2000)
	}
	r.wait("the first parts", func() bool { return r.stored(e, 0) == 10 })
	r.cloud.SetDown(true)
	e2 := r.newEpoch()
	for range 300 {
		r.seal(e, 0, 5000)
		r.seal(e2, 1, 30_000)
	}
	before := len(r.cloud.Messages())
	r.cloud.SetDown(false)
	r.wait("connection", r.connected)
	for range 50 { // the present goes on while the past is sent
		r.seal(e2, 0, 5000)
		time.Sleep(2 * time.Millisecond)
	}
	r.wait("everything", func() bool { return r.stored(e, 0) == 310 && r.stored(e2, 1) == 300 && r.stored(e2, 0) == 50 })
	next := map[uplinktest.Stream]uint32{{Epoch: e.ID, Track: r.Tracks[0]}: 10}
	var interleaved bool
	var backlog int
	for _, m := range r.cloud.Messages()[before:] {
		if m.Kind != typeBacklog {
			interleaved = interleaved || (m.Kind == typeLive && backlog > 0)
			continue
		}
		backlog++
		if m.First != next[m.Stream] {
			t.Errorf("backlog of %v: %d, want %d next", m.Stream.Track, m.First, next[m.Stream])
		}
		next[m.Stream] = m.Last + 1
	}
	if !interleaved {
		t.Error("no live part between the backlog")
	}
	if backlog < 10 {
		t.Errorf("only %d backlog messages", backlog)
	}
}

func TestReconnectSendsNothingTwice(t *testing.T) {
	r := newRig(t, 1)
	r.cloud.DurableEvery = 10_000
	r.run()
	e := r.newEpoch()
	for i := range 200 {
		r.seal(e, 0, 3000)
		if i%40 == 20 {
			r.wait("connection", r.connected)
			r.cloud.Cut()
		}
	}
	r.wait("everything", func() bool { return r.stored(e, 0) == 200 })
	seen := map[uint32]int{} // part → connection
	for _, m := range r.cloud.Messages() {
		if m.Kind != typeLive && m.Kind != typeBacklog {
			continue
		}
		for seq := m.First; seq <= m.Last; seq++ {
			if c, ok := seen[seq]; ok {
				t.Errorf("part %d stored on connection %d came again on %d", seq, c, m.Conn)
			}
			seen[seq] = m.Conn
		}
	}
}

func TestRestartSendsWhatIsLeft(t *testing.T) {
	r := newRig(t, 1)
	e := r.newEpoch()
	for range 100 {
		r.seal(e, 0, 500) // no uplink yet: a hub that was off-line
	}
	r.run()
	r.wait("everything", func() bool { return r.stored(e, 0) == 100 })
	r.wait("an empty spool", func() bool { return r.spool.Stats().Parts == 0 })
}

// TestOneBadPart is refused once as part of a message and once alone; all
// others get through, and it alone is reported lost.
func TestOneBadPart(t *testing.T) {
	r := newRig(t, 1)
	const bad = 37
	r.cloud.Refuse = func(m uplinktest.Message) latchkeyv1.UplinkErrorCode {
		for _, s := range r.cloud.Messages() {
			if s.Kind == typeBacklog && s.Stream == m.Stream && m.First == bad {
				return latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_INVALID
			}
		}
		if m.First == 0 { // the whole first message
			return firstOnly(r)
		}
		if m.First == bad {
			return latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_INVALID
		}
		return 0
	}
	e := r.newEpoch()
	for range 100 {
		r.seal(e, 0, 500)
	}
	r.run()
	r.wait("all but one", func() bool { return r.stored(e, 0) == 99 })
	r.wait("an empty spool", func() bool { return r.spool.Stats().Parts == 0 })
	r.waitLost(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lost) != 1 || r.lost[0].First != bad || r.lost[0].Last != bad {
		t.Errorf("lost %+v, want part %d", r.lost, bad)
	}
}

// TestDamagedOnItsWay: a message that loses a bit on the line is sent again, on
// another connection, and nothing is given up.
func TestDamagedOnItsWay(t *testing.T) {
	r := newRig(t, 1)
	left := 3
	r.cloud.Damage = func(kind byte) bool {
		if kind != typeBacklog || left == 0 {
			return false
		}
		left--
		return true
	}
	e := r.newEpoch()
	for range 100 {
		r.seal(e, 0, 500)
	}
	r.run()
	r.wait("everything", func() bool { return r.stored(e, 0) == 100 })
	r.wait("an empty spool", func() bool { return r.spool.Stats().Parts == 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.lost) != 0 {
		t.Errorf("lost %+v", r.lost)
	}
	if m := r.cloud.Messages(); m[len(m)-1].Conn != 4 {
		t.Errorf("it took %d connections", m[len(m)-1].Conn)
	}
}

// TestSpoiltOnDisk: parts that the hub's own disk has spoilt are given up and
// reported, each alone; their neighbours arrive.
func TestSpoiltOnDisk(t *testing.T) {
	const count, size = 100, part.HeaderSize + 500 + part.SigSize
	for name, c := range map[string]struct {
		seqs []uint32
		at   int // byte in the part
	}{
		"ciphertext":   {[]uint32{37}, 300},
		"signature":    {[]uint32{99}, size - 1},
		"prev":         {[]uint32{37}, 70},
		"seq":          {[]uint32{37}, 11},
		"length":       {[]uint32{37}, 15},
		"magic":        {[]uint32{37}, 0},
		"epoch":        {[]uint32{37}, 20},
		"the first":    {[]uint32{0}, 300},
		"the last":     {[]uint32{count - 1}, 300},
		"several":      {[]uint32{0, 1, 50, 52, 99}, 200},
		"prev, in row": {[]uint32{10, 11, 12}, 64},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1)
			e := r.newEpoch()
			for range count {
				r.seal(e, 0, 500)
			}
			path := filepath.Join(r.dir, "0000000000000001.seg")
			raw, err := os.ReadFile(path)
			if err != nil || len(raw) != count*size {
				t.Fatal(len(raw), err)
			}
			for _, seq := range c.seqs {
				raw[int(seq)*size+c.at] ^= 4
			}
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			r.run()
			r.wait("the others", func() bool { return r.stored(e, 0) == count-len(c.seqs) })
			r.wait("an empty spool", func() bool { return r.spool.Stats().Parts == 0 })
			r.waitLost(len(c.seqs))
			r.mu.Lock()
			defer r.mu.Unlock()
			var lost []uint32
			for _, l := range r.lost {
				lost = append(lost, l.First)
				if l.First != l.Last || !l.Damaged || l.DiskFull {
					t.Errorf("lost %+v", l)
				}
			}
			if !slices.Equal(lost, c.seqs) {
				t.Errorf("lost %v, want %v", lost, c.seqs)
			}
		})
	}
}

// firstOnly refuses the first message and takes it when it comes again.
func firstOnly(r *rig) latchkeyv1.UplinkErrorCode {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.heads) > 0 {
		return 0
	}
	r.heads = append(r.heads, 0)
	return latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_INVALID
}

func TestCloudSaysFullOrForgotItsEpochs(t *testing.T) {
	for _, code := range []latchkeyv1.UplinkErrorCode{
		latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_FULL, latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_UNKNOWN_EPOCH,
	} {
		t.Run(code.String(), func(t *testing.T) {
			r := newRig(t, 1)
			refusals := 0
			r.cloud.Refuse = func(uplinktest.Message) latchkeyv1.UplinkErrorCode {
				if refusals++; refusals <= 5 {
					return code
				}
				return 0
			}
			r.run()
			r.wait("connection", r.connected)
			e := r.newEpoch()
			for range 20 {
				r.seal(e, 0, 500)
				time.Sleep(time.Millisecond)
			}
			r.wait("everything", func() bool { return r.stored(e, 0) == 20 })
			if len(r.lost) != 0 {
				t.Errorf("lost %v", r.lost)
			}
			notes := 0
			for _, m := range r.cloud.Messages() {
				if m.Kind == typeEpoch {
					notes++
				}
			}
			if again := notes > 1; again != (code == latchkeyv1.UplinkErrorCode_UPLINK_ERROR_CODE_UNKNOWN_EPOCH) {
				t.Errorf("%d epoch notes", notes)
			}
		})
	}
}

func TestPartsWithoutEpochNoteAreGivenUp(t *testing.T) {
	r := newRig(t, 1)
	orphan, e := r.Epoch(), r.newEpoch()
	_ = orphan
	r.seal(orphan, 0, 500)
	r.seal(e, 0, 500)
	r.run()
	r.wait("the other part", func() bool { return r.stored(e, 0) == 1 })
	r.wait("an empty spool", func() bool { return r.spool.Stats().Parts == 0 })
	r.waitLost(1)
	if len(r.lost) != 1 || r.lost[0].Epoch != orphan.ID {
		t.Errorf("lost %+v", r.lost)
	}
}

func TestSessionIsRenewed(t *testing.T) {
	r := newRig(t, 1)
	r.run()
	r.wait("connection", r.connected)
	r.cloud.ForgetSessions()
	r.cloud.Cut()
	e := r.newEpoch()
	r.seal(e, 0, 100)
	r.wait("the part", func() bool { return r.stored(e, 0) == 1 })
}

func TestForeignOriginIsNotSigned(t *testing.T) {
	r := newRig(t, 1)
	url := r.cloud.URL
	r.cloud.URL = "https://bank.example" // what it calls itself
	s, err := NewSession(url, r.State.Household, r.Hub, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(t.Context()); !errors.Is(err, latchkey.ErrRefused) {
		t.Errorf("signed in at a server that calls itself another: %v", err)
	}
}

func TestOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://Latchkey.Example/": "https://latchkey.example", "http://127.0.0.1:8440": "http://127.0.0.1:8440",
		"https://user@host": "", "ftp://host": "", "host:80": "", "https://host/path": "", "https://host?q": "", "": "",
	} {
		got, err := Origin(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Origin(%q) = %q, %v", in, got, err)
		}
	}
}

func TestCommands(t *testing.T) {
	r := newRig(t, 1)
	r.run()
	if got := r.cloud.Command([]byte("sealed")); got != latchkeyv1.CommandResult_COMMAND_RESULT_DONE {
		t.Errorf("result %v", got)
	}
	results := make(chan latchkeyv1.CommandResult)
	const n = 12
	for range n {
		go func() { results <- r.cloud.Command([]byte("slow")) }()
	}
	counts := map[latchkeyv1.CommandResult]int{}
	for range n {
		counts[<-results]++
	}
	if counts[latchkeyv1.CommandResult_COMMAND_RESULT_DONE] < maxCommands || counts[latchkeyv1.CommandResult_COMMAND_RESULT_FAILED] == 0 {
		t.Errorf("results of %d at once: %v", n, counts)
	}
}

func TestChainNotice(t *testing.T) {
	r := newRig(t, 1)
	r.run()
	r.wait("connection", r.connected)
	r.cloud.SetChain(r.Notes)
	r.wait("the notice", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Contains(r.heads, r.State.Seq)
	})
}

// TestEndDrains stops right after the last parts: they arrive all the same.
func TestEndDrains(t *testing.T) {
	r := newRig(t, 1)
	r.run()
	r.wait("connection", r.connected)
	e := r.newEpoch()
	for range 200 {
		r.seal(e, 0, 20_000)
	}
	r.stop()
	if n := r.stored(e, 0); n != 200 {
		t.Errorf("%d of 200 parts arrived", n)
	}
}

func TestSlowLineShedsLiveToBacklog(t *testing.T) {
	r := newRig(t, 1)
	r.run()
	r.wait("connection", r.connected)
	e := r.newEpoch()
	slow := true
	r.cloud.Refuse = func(uplinktest.Message) latchkeyv1.UplinkErrorCode {
		if slow {
			time.Sleep(2 * maxAge) // the line stalls once
			slow = false
		}
		return 0
	}
	for range 60 {
		r.seal(e, 0, 400_000)
		time.Sleep(60 * time.Millisecond)
	}
	r.wait("everything", func() bool { return r.stored(e, 0) == 60 })
	kinds := map[byte]int{}
	for _, m := range r.cloud.Messages() {
		kinds[m.Kind]++
	}
	if kinds[typeBacklog] == 0 {
		t.Error("nothing was shed: live parts waited for seconds")
	}
}

func TestFlow(t *testing.T) {
	f := newFlow()
	now := time.Unix(0, 0)
	k := spool.Key{Track: latchkey.TrackID{1}}
	seq := uint32(0)
	send := func() bool {
		n := f.room(now)
		if n > 0 {
			f.add(spool.Range{Key: k, First: seq, Last: seq}, n, now)
			seq++
		}
		return n > 0
	}
	for range 1000 { // a slow line: each receipt takes 3 s
		for send() {
		}
		now = now.Add(3 * time.Second)
		f.receipt(spool.Range{Key: k, First: 0, Last: seq - 1}, now)
	}
	if f.window != minWindow {
		t.Errorf("window %d on a slow line, want %d", f.window, minWindow)
	}
	if f.out != 0 || len(f.sent) != 0 {
		t.Errorf("%d bytes, %d messages are still out", f.out, len(f.sent))
	}
	for range 1000 { // a fast one
		for send() {
		}
		now = now.Add(300 * time.Millisecond)
		f.receipt(spool.Range{Key: k, First: 0, Last: seq - 1}, now)
	}
	if f.window != maxWindow || f.room(now) != maxMessage {
		t.Errorf("window %d, room %d on a fast line", f.window, f.room(now))
	}
	f.suspect(spool.Range{First: 5, Last: 6})
	if f.room(now) != 1 {
		t.Error("suspect parts do not travel alone")
	}
}
