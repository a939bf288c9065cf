package seal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

func at(seconds float64) time.Time {
	return time.Unix(start, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func TestNewEpochRefuses(t *testing.T) {
	h := newHouse(t)
	other := newHouse(t)
	for name, change := range map[string]func(*EpochParams){
		"foreign chain": func(p *EpochParams) { p.Chain = other.state },
		"foreign hub":   func(p *EpochParams) { p.Hub = keys.NewSigning() },
		"undeclared track": func(p *EpochParams) {
			p.Tracks = append(p.Tracks, Track{ID: latchkey.TrackID{7}, Kind: latchkey.KindVideo})
		},
		"other kind":  func(p *EpochParams) { p.Tracks = []Track{{ID: p.Tracks[0].ID, Kind: latchkey.KindAudio}} },
		"track twice": func(p *EpochParams) { p.Tracks = []Track{p.Tracks[0], p.Tracks[0]} },
	} {
		p := h.params()
		p.Tracks = append([]Track(nil), p.Tracks...)
		change(&p)
		if _, _, err := NewEpoch(p); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, n := range []int64{0, 10, 20, 60, 100} {
		p := h.params()
		p.Rand = io.LimitReader(rand.Reader, n)
		if _, _, err := NewEpoch(p); err == nil {
			t.Errorf("an epoch was made of %d random bytes", n)
		}
	}
}

// C21: the recipients of an epoch are those of the chain, and each gets the
// tracks he may see and no others.
func TestRecipients(t *testing.T) {
	h := newHouse(t)
	_, viewer := h.addMember(t, h.tracks[0].ID, h.tracks[2].ID)
	_, blind := h.addMember(t)
	_, ann := h.epoch(t)
	if len(ann.Capsules) != 2 {
		t.Fatalf("%d capsules for founder and viewer", len(ann.Capsules))
	}
	for _, c := range ann.Capsules {
		if c.Kid == blind.Kid() {
			t.Error("a member without tracks got a capsule")
		}
	}
	o := NewOpener(h.state.Household)
	adm, err := o.AddEpoch(h.materialFor(ann, viewer), []*keys.Sealing{viewer})
	if err != nil {
		t.Fatal(err)
	}
	if len(adm.Tracks) != 2 || adm.Tracks[0] != h.tracks[0].ID || adm.Tracks[1] != h.tracks[2].ID || adm.Stray != 0 {
		t.Errorf("the viewer may open %v", adm)
	}
}

func TestSlot(t *testing.T) {
	h := newHouse(t)
	e, _ := h.epoch(t, func(p *EpochParams) { p.Start = at(0.7) })
	if !e.Start().Equal(at(0)) {
		t.Errorf("starts at %v", e.Start())
	}
	for seconds, want := range map[float64]uint32{-1.9: 0, 0: 0, 0.999: 0, 1: 1, 3661.5: 3661, 131071.9: 131071} {
		if got, err := e.Slot(at(seconds)); err != nil || got != want {
			t.Errorf("%v s is slot %d, %v", seconds, got, err)
		}
	}
	for _, seconds := range []float64{-2.1, -1e6, 131072, 1e9} {
		if _, err := e.Slot(at(seconds)); !errors.Is(err, ErrOver) {
			t.Errorf("%v s: %v", seconds, err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	h := newHouse(t)
	e, _ := h.epoch(t)
	video, meta := h.tracks[0].ID, h.tracks[3].ID
	rec := part.Record{Type: part.RecordFragment, Data: []byte("x")}
	seal := func(track latchkey.TrackID, slot uint32, flags part.Flags, r part.Record) error {
		_, err := e.Seal(track, slot, flags, r)
		return err
	}
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"unknown track": {seal(latchkey.TrackID{1}, 0, 0, rec), latchkey.ErrInvalid},
		"flag":          {seal(video, 0, 4, rec), latchkey.ErrInvalid},
		"padding type":  {seal(video, 0, 0, part.Record{}), latchkey.ErrInvalid},
		"meta too big":  {seal(meta, 0, 0, part.Record{Type: 4, Data: make([]byte, 256<<10)}), latchkey.ErrInvalid},
		"slot":          {seal(video, part.Slots, 0, rec), ErrOver},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if p := sealPart(t, e, video, 10, 0, 5); p.Header.Seq != 0 {
		t.Errorf("refused parts used up a number: %d", p.Header.Seq)
	}
	if p := sealPart(t, e, video, 8, 0, 5); p.Header.Slot != 10 {
		t.Errorf("slot went back to %d", p.Header.Slot)
	}
	if err := seal(video, 7, 0, rec); !errors.Is(err, ErrLate) {
		t.Errorf("3 slots back: %v", err)
	}
	sealPart(t, e, video, 11, part.END, 5)
	if err := seal(video, 11, 0, rec); !errors.Is(err, ErrOver) {
		t.Errorf("after END: %v", err)
	}
	e.Close()
	if err := seal(meta, 11, 0, rec); !errors.Is(err, ErrOver) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := e.Heads(HeadsParams{Time: at(12), Chain: h.state}); err != nil {
		t.Errorf("the final heads: %v", err)
	}
}

func TestForget(t *testing.T) {
	h := newHouse(t)
	e, _ := h.epoch(t)
	video, audio := h.tracks[0].ID, h.tracks[2].ID
	sealPart(t, e, video, 3, 0, 5)
	if err := e.Forget(at(100)); err != nil {
		t.Fatal(err)
	}
	// At 100 s the leaves of slots up to 95 are gone, used or not.
	for _, track := range []latchkey.TrackID{video, audio} {
		if _, err := e.Seal(track, 95, 0); !errors.Is(err, ErrLate) {
			t.Errorf("slot 95 can still be sealed: %v", err)
		}
		sealPart(t, e, track, 96, 0, 5)
	}
	if err := e.Forget(at(98.1)); err != nil {
		t.Errorf("a small step back: %v", err)
	}
	if err := e.Forget(at(97.9)); !errors.Is(err, ErrOver) {
		t.Errorf("a step back: %v", err)
	}
	if err := e.Forget(at(part.Slots)); !errors.Is(err, ErrOver) {
		t.Errorf("past the last slot: %v", err)
	}
	if _, err := e.Seal(video, part.Slots-1, 0); !errors.Is(err, ErrOver) {
		t.Errorf("keys outlive the epoch: %v", err)
	}
	if !bytes.Equal(e.mem.mem, make([]byte, len(e.mem.mem))) {
		t.Error("keys are left in memory")
	}
}

// A clock that carries a monotonic reading must not hide a step of the wall clock.
func TestForgetSeesWallClock(t *testing.T) {
	h := newHouse(t)
	now := time.Now()
	e, _ := h.epoch(t, func(p *EpochParams) { p.Start = now })
	if err := e.Forget(now); err != nil {
		t.Fatal(err)
	}
	back := now.Round(0).Add(-3 * time.Second)
	if err := e.Forget(back); !errors.Is(err, ErrOver) {
		t.Errorf("got %v", err)
	}
}

// T9: under any clock, slot never decreases and seq counts, and every part
// follows the one before.
func TestMonotone(t *testing.T) {
	h := newHouse(t)
	rng := mrand.New(mrand.NewPCG(5, 6))
	for range 30 {
		e, ann := h.epoch(t)
		o := h.opener(t, ann)
		var run []part.Part
		clock := 0.0
		for range 120 {
			clock += (rng.Float64() - 0.35) * []float64{0.1, 1, 5, 40}[rng.IntN(4)]
			if rng.IntN(10) == 0 {
				_ = e.Forget(at(clock)) // may say that the epoch is over; what is sealed must stay in order
			}
			slot, err := e.Slot(at(clock))
			if err != nil {
				continue
			}
			raw, err := e.Seal(h.tracks[0].ID, slot, 0, part.Record{Type: 1, Data: []byte("frame")})
			if errors.Is(err, ErrLate) || errors.Is(err, ErrOver) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			p, err := part.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(run); p.Header.Seq != uint32(n) || n > 0 && p.Header.Slot < run[n-1].Header.Slot {
				t.Fatalf("part %d has seq %d, slot %d after %v", n, p.Header.Seq, p.Header.Slot, run[max(n-1, 0)].Header.Slot)
			}
			run = append(run, p)
		}
		if len(run) == 0 {
			t.Fatal("nothing was sealed")
		}
		if _, err := o.OpenRun(run); err != nil {
			t.Fatal(err)
		}
	}
}

// C20: a machine restored from a snapshot repeats its randomness. The same
// plaintext then gives the same bytes; different plaintext must get another
// salt, hence another key.
func TestFrozenRandomness(t *testing.T) {
	h := newHouse(t)
	clones := make([]*Epoch, 2)
	for i := range clones {
		clones[i], _ = h.epoch(t, func(p *EpochParams) { p.Rand = frozen(7) })
	}
	video := h.tracks[0].ID
	seal := func(e *Epoch, data string) part.Part {
		raw, err := e.Seal(video, 5, 0, part.Record{Type: 1, Data: []byte(data)})
		if err != nil {
			t.Fatal(err)
		}
		p, err := part.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := seal(clones[0], "same"), seal(clones[1], "same")
	if clones[0].ID() != clones[1].ID() || a.Header.Salt != b.Header.Salt {
		t.Fatal("the clones are not clones: this test would prove nothing")
	}
	salts := map[[16]byte]bool{}
	dead, _ := h.epoch(t, func(p *EpochParams) { p.Rand = zeroes{} })
	for i := range 2000 {
		c, d := seal(clones[0], fmt.Sprint("left ", i)), seal(clones[1], fmt.Sprint("right ", i))
		if c.Header.Salt == d.Header.Salt || c.Header.Commit == d.Header.Commit {
			t.Fatalf("two plaintexts share the key of seq %d", c.Header.Seq)
		}
		z := seal(dead, fmt.Sprint(i%2)) // the same two plaintexts over and over
		for _, p := range []part.Part{c, d, z} {
			if salts[p.Header.Salt] {
				t.Fatalf("salt of seq %d was used before", p.Header.Seq)
			}
			salts[p.Header.Salt] = true
		}
	}
}

// With a dead source of randomness every byte of the plaintext, its length and
// its place still go into the salt.
func TestSaltTakesEveryByte(t *testing.T) {
	s := &sealer{rand: zeroes{}, tree: plantTree(t, key{9})}
	seen := map[[16]byte]string{}
	add := func(name string, h part.Header, inner []byte) {
		if err := s.salt(&h, inner); err != nil {
			t.Fatal(err)
		}
		if before, ok := seen[h.Salt]; ok {
			t.Fatalf("%s and %s have one salt", name, before)
		}
		seen[h.Salt] = name
	}
	inner := make([]byte, 1000)
	add("plain", part.Header{}, inner)
	add("longer by zeroes", part.Header{}, make([]byte, 1016))
	add("next part", part.Header{Seq: 1}, inner)
	add("next slot", part.Header{Slot: 1}, inner)
	for i := range inner {
		inner[i] ^= 1
		add(fmt.Sprint("byte ", i), part.Header{}, inner)
		inner[i] ^= 1
	}
	s.tree.advance(1)
	add("another leaf", part.Header{}, inner)
}

// zeroes is a dead source of randomness.
type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestRandomnessFails(t *testing.T) {
	h := newHouse(t)
	r := &switchable{Reader: rand.Reader}
	e, _ := h.epoch(t, func(p *EpochParams) { p.Rand = r })
	r.Reader = iotest.ErrReader(errors.New("no entropy"))
	if _, err := e.Seal(h.tracks[0].ID, 0, 0); err == nil {
		t.Fatal("sealed without randomness")
	}
	r.Reader = rand.Reader
	if p := sealPart(t, e, h.tracks[0].ID, 0, 0, 9); p.Header.Seq != 0 {
		t.Error("the failed part left a hole")
	}
}

type switchable struct{ io.Reader }

func TestHeads(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	o := h.opener(t, ann)
	empty, err := e.Heads(HeadsParams{Time: at(1), Chain: h.state})
	if err != nil {
		t.Fatal(err)
	}
	if heads, err := o.CheckHeads(empty); err != nil || len(heads.Heads) != 0 || heads.N != 0 {
		t.Errorf("empty heads: %+v, %v", heads, err)
	}
	run := sealParts(t, e, h.tracks[0].ID, 0, 4)
	sealParts(t, e, h.tracks[1].ID, 0, 2)
	raw, err := e.Heads(HeadsParams{Time: at(60), Chain: h.state})
	if err != nil {
		t.Fatal(err)
	}
	heads, err := o.CheckHeads(raw)
	if err != nil || heads.N != 1 || len(heads.Heads) != 2 {
		t.Fatalf("%+v, %v", heads, err)
	}
	if want := (chain.HeadOf{Track: h.tracks[0].ID, Seq: 3, Hash: run[3].Hash()}); heads.Heads[0] != want {
		t.Errorf("head is %+v", heads.Heads[0])
	}
	if last := e.Last(); len(last) != 2 || last[0].Epoch != e.ID() || last[0].Hash != run[3].Hash() {
		t.Errorf("last is %+v", last)
	}
	forged := chain.SignNote([]byte(strings.SplitAfter(string(raw), "\n\n")[0][:len(strings.SplitAfter(string(raw), "\n\n")[0])-1]), h.hub)
	if _, err := o.CheckHeads(forged); reasonOf(err) != ReasonSignature {
		t.Errorf("heads signed by the hub's identity key: %v", err)
	}
	f := o.Follow(h.tracks[0].ID)
	if _, _, err := f.OpenRun(run[:2]); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Behind(heads); err != nil || n != 2 {
		t.Errorf("behind by %d, %v", n, err)
	}
	if _, _, err := f.OpenRun(run[2:]); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Behind(heads); err != nil || n != 0 {
		t.Errorf("behind by %d, %v", n, err)
	}
	heads.Heads[0].Hash[0] ^= 1
	if _, err := f.Behind(heads); reasonOf(err) != ReasonHeads {
		t.Errorf("another head: %v", err)
	}
}

func TestConcurrentTracks(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	o := h.opener(t, ann)
	var wg sync.WaitGroup
	for _, track := range h.tracks {
		wg.Go(func() {
			run := sealParts(t, e, track.ID, 0, 50)
			if _, err := o.OpenRun(run); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 50 {
		if err := e.Forget(at(float64(i) / 50)); err != nil {
			t.Error(err)
		}
		if _, err := e.Heads(HeadsParams{Time: at(1), Chain: h.state}); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func TestEpochDoesNotPrint(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	o := h.opener(t, ann)
	type holder struct {
		e *Epoch
		o *Opener
	}
	leaf := e.sealers[h.tracks[0].ID].tree.leaf
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		for _, v := range []any{e, o, holder{e, o}, &holder{e, o}} {
			text := fmt.Sprintf(verb, v)
			for _, form := range []string{string(leaf[:8]), fmt.Sprintf("%x", leaf[:8]), strings.Trim(fmt.Sprint(leaf[:8]), "[]")} {
				if strings.Contains(text, form) {
					t.Errorf("%s of %T shows a key", verb, v)
				}
			}
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{2_000, 20_000, 200_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			h := newHouse(b)
			e, _ := h.epoch(b)
			rec := part.Record{Type: part.RecordFragment, Data: make([]byte, size)}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := e.Seal(h.tracks[0].ID, min(uint32(i/25), part.Slots-1), 0, rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpenRun(b *testing.B) {
	h := newHouse(b)
	e, ann := h.epoch(b)
	o := h.opener(b, ann)
	run := make([]part.Part, 25)
	n := 0
	for i := range run {
		run[i] = sealPart(b, e, h.tracks[0].ID, 1, 0, 20_000)
		n += len(run[i].Raw)
	}
	b.SetBytes(int64(n))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.OpenRun(run); err != nil {
			b.Fatal(err)
		}
	}
}
