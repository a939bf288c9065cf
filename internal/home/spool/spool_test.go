package spool

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/durable/durabletest"
	"latchkey.dev/latchkey/internal/home/uplink/uplinktest"
	"latchkey.dev/latchkey/part"
)

func open(t testing.TB, cfg Config) *Spool {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s *Spool, raw []byte) []Lost {
	t.Helper()
	lost, err := s.Append(raw)
	if err != nil {
		t.Fatal(err)
	}
	return lost
}

func key(e *uplinktest.ForgedEpoch, track latchkey.TrackID) Key {
	return Key{Epoch: e.ID, Track: track}
}

// drain reads everything that is to be sent and returns it by stream.
func drain(t testing.TB, s *Spool, limit int) (order []Range, parts map[Key][]byte) {
	t.Helper()
	parts = map[Key][]byte{}
	for {
		b, ok, err := s.Next(limit)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return order, parts
		}
		order = append(order, b.Range)
		parts[b.Key] = append(parts[b.Key], b.Bytes...)
	}
}

func TestKeepsOrderAcrossRestart(t *testing.T) {
	f := uplinktest.NewForge(t, 3)
	e := f.Epoch()
	cfg := Config{Dir: t.TempDir()}
	want := map[Key][]byte{}
	for range 3 { // three starts, each adds parts of all tracks
		s := open(t, cfg)
		for range 5 {
			for _, tr := range f.Tracks {
				raw := e.Part(tr, 0, 0, 300)
				put(t, s, raw)
				want[key(e, tr)] = append(want[key(e, tr)], raw...)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, cfg)
	order, got := drain(t, s, 1<<20)
	for k, w := range want {
		if !bytes.Equal(got[k], w) {
			t.Errorf("stream %v: %d bytes, want %d", k.Track, len(got[k]), len(w))
		}
	}
	seen := map[Key]uint32{}
	for _, r := range order {
		if r.First != seen[r.Key] {
			t.Errorf("track %v: %d after %d", r.Track, r.First, seen[r.Key])
		}
		seen[r.Key] = r.Last + 1
	}
	if held := s.Held(); len(held) != 3 || held[0].First != 0 || held[0].Last != 14 {
		t.Errorf("held %v", held)
	}
}

func TestAckRemovesSegments(t *testing.T) {
	f := uplinktest.NewForge(t, 1)
	e := f.Epoch()
	s := open(t, Config{Dir: t.TempDir()})
	var last []byte
	for range 20 {
		last = e.Part(f.Tracks[0], 0, 0, 1<<20)
		put(t, s, last)
	}
	st := s.Stats()
	if st.Parts != 20 || st.Oldest == nil || st.Oldest.First != 0 {
		t.Fatalf("stats %+v", st)
	}
	p, err := part.Parse(last)
	if err != nil {
		t.Fatal(err)
	}
	wrong := latchkey.Hash{1}
	if err := s.Ack(Range{key(e, f.Tracks[0]), 0, 19}, &wrong); !errors.Is(err, latchkey.ErrVerify) {
		t.Fatalf("a receipt for other bytes: %v", err)
	}
	hash := p.Hash()
	if err := s.Ack(Range{key(e, f.Tracks[0]), 0, 19}, &hash); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Parts != 0 || st.Bytes != 0 || st.Disk > SegmentSize {
		t.Errorf("after the receipt: %+v", st)
	}
	if files, _ := filepath.Glob(filepath.Join(s.cfg.Dir, "*.seg")); len(files) != 1 {
		t.Errorf("%d segment files, want the open one", len(files))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(s.cfg.Dir, "*.seg")); len(files) != 0 {
		t.Errorf("%d segment files after the end", len(files))
	}
}

func TestOverflowIsAnEvent(t *testing.T) {
	f := uplinktest.NewForge(t, 2)
	e := f.Epoch()
	s := open(t, Config{Dir: t.TempDir(), Limit: 3 * SegmentSize})
	var lost []Lost
	const n = 40
	for i := range n {
		lost = append(lost, put(t, s, e.Part(f.Tracks[i%2], uint32(i), 0, 1<<20))...)
	}
	if len(lost) == 0 {
		t.Fatal("nothing was dropped")
	}
	gone := map[string]bool{}
	for _, l := range lost {
		if l.DiskFull {
			t.Errorf("%+v: the disk is not full", l)
		}
		for seq := l.First; seq <= l.Last; seq++ {
			gone[fmt.Sprint(l.Key, seq)] = true
		}
		if i := 2*l.First + uint32(trackIndex(f, l.Track)); l.FirstSlot != i {
			t.Errorf("%+v: first slot, want %d", l, i)
		}
	}
	for _, r := range s.Held() {
		for seq := r.First; seq <= r.Last; seq++ {
			if gone[fmt.Sprint(r.Key, seq)] {
				t.Errorf("%v/%d is both lost and held", r.Track, seq)
			}
			gone[fmt.Sprint(r.Key, seq)] = true
		}
	}
	if len(gone) != n {
		t.Errorf("%d of %d parts are accounted for", len(gone), n)
	}
	if st := s.Stats(); st.Disk > st.Limit {
		t.Errorf("%d bytes on disk, limit %d", st.Disk, st.Limit)
	}
}

func trackIndex(f *uplinktest.Forge, id latchkey.TrackID) int {
	for i, t := range f.Tracks {
		if t == id {
			return i
		}
	}
	return -1
}

func TestStoredPartsAreNotLost(t *testing.T) {
	f := uplinktest.NewForge(t, 1)
	e := f.Epoch()
	s := open(t, Config{Dir: t.TempDir(), Limit: SegmentSize})
	put(t, s, e.Part(f.Tracks[0], 0, 0, 7<<20))
	s.Stored(Range{key(e, f.Tracks[0]), 0, 0})
	put(t, s, e.Part(f.Tracks[0], 0, 0, 7<<20))
	if lost := put(t, s, e.Part(f.Tracks[0], 0, 0, 7<<20)); len(lost) != 1 || lost[0].First != 1 {
		t.Errorf("lost %+v, want part 1 only: the cloud has part 0", lost)
	}
}

// TestBacklog: what is still to be sent has two ends, over all segments and
// streams; what goes out live, is stored or was sent is not of it.
func TestBacklog(t *testing.T) {
	f := uplinktest.NewForge(t, 2)
	e := f.Epoch()
	s := open(t, Config{Dir: t.TempDir()})
	want := func(what string, slots ...uint32) {
		t.Helper()
		oldest, newest, ok := s.Backlog()
		if ok != (len(slots) == 2) || ok && (oldest.FirstSlot != slots[0] || newest.LastSlot != slots[1]) {
			t.Errorf("%s: %+v to %+v, %v, want slots %v", what, oldest, newest, ok, slots)
		}
	}
	want("empty")
	for slot := range uint32(20) {
		put(t, s, e.Part(f.Tracks[slot%2], slot, 0, 1<<20)) // three segments
	}
	want("all of it", 0, 19)
	if _, err := s.AppendSent(e.Part(f.Tracks[0], 30, 0, 1<<20)); err != nil {
		t.Fatal(err)
	}
	want("a live part behind it", 0, 19)
	s.Stored(Range{Key: key(e, f.Tracks[1]), First: 9, Last: 9}) // slot 19
	want("the newest is stored", 0, 18)
	if _, ok, err := s.Next(1); !ok || err != nil {
		t.Fatal(ok, err)
	}
	want("the oldest is sent", 1, 18)
	s.Unsent(Range{Key: key(e, f.Tracks[0]), First: 10, Last: 10})
	want("live did not get out", 1, 30)
	drain(t, s, 1<<20)
	want("all sent")
	s.Rewind()
	want("a new connection", 0, 30)
}

func TestTornTailIsCutOff(t *testing.T) {
	f := uplinktest.NewForge(t, 1)
	e := f.Epoch()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	for range 4 {
		put(t, s, e.Part(f.Tracks[0], 0, 0, 500))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "0000000000000001.seg")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := len(whole) / 4
	for cut := range size {
		if err := os.WriteFile(path, whole[:3*size+cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, Config{Dir: dir})
		if st := s.Stats(); st.Parts != 3 || st.Torn != int64(cut) {
			t.Fatalf("cut at %d: %+v", cut, st)
		}
		s.Close()
		if st, err := os.Stat(path); err != nil || st.Size() != int64(3*size) {
			t.Fatalf("cut at %d: the torn tail is still there", cut)
		}
	}
}

func TestWrongBytesInTheNewestSegmentAreFound(t *testing.T) {
	f := uplinktest.NewForge(t, 1)
	e := f.Epoch()
	cfg := Config{Dir: t.TempDir(), Check: func(p part.Part) error { return p.VerifySig(e.Signer()) }}
	s := open(t, cfg)
	for range 3 {
		put(t, s, e.Part(f.Tracks[0], 0, 0, 500))
	}
	s.Close()
	path := filepath.Join(cfg.Dir, "0000000000000001.seg")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[len(b)-200 : len(b)-100]) // pages that never reached the medium
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if st := open(t, cfg).Stats(); st.Parts != 2 {
		t.Errorf("%d parts, want the two sound ones", st.Parts)
	}
}

func TestDiskFullWaitsInRAMAndGoesOn(t *testing.T) {
	f := uplinktest.NewForge(t, 1)
	e := f.Epoch()
	dir := t.TempDir()
	disk, err := durabletest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, Config{Dir: dir, FS: disk})
	var want []byte
	add := func() error {
		raw := e.Part(f.Tracks[0], 0, 0, 10_000)
		want = append(want, raw...)
		lost, err := s.Append(raw)
		if len(lost) > 0 {
			t.Fatalf("lost %v", lost)
		}
		return err
	}
	if err := add(); err != nil {
		t.Fatal(err)
	}
	disk.SetSpace(5_000)
	for range 5 {
		if err := add(); !errors.Is(err, latchkey.ErrFull) {
			t.Fatalf("a full disk: %v", err)
		}
	}
	if st := s.Stats(); st.Parts != 6 || st.RAM == 0 || !errors.Is(st.Err, latchkey.ErrFull) {
		t.Errorf("while full: %+v", st)
	}
	disk.SetSpace(-1)
	deadline := time.Now().Add(10 * time.Second)
	for s.Stats().RAM > 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond) // it goes on by itself
	}
	if st := s.Stats(); st.RAM != 0 || st.Err != nil {
		t.Errorf("after space came back: %+v", st)
	}
	s.Close()
	if _, got := drain(t, open(t, Config{Dir: dir}), 1<<20); !bytes.Equal(got[key(e, f.Tracks[0])], want) {
		t.Errorf("%d bytes after a restart, want %d", len(got[key(e, f.Tracks[0])]), len(want))
	}
}

func TestRAMIsBounded(t *testing.T) {
	f := uplinktest.NewForge(t, 1)
	e := f.Epoch()
	dir := t.TempDir()
	disk, err := durabletest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, Config{Dir: dir, FS: disk, RAM: 100_000})
	disk.SetSpace(0)
	var lost []Lost
	for range 50 {
		l, err := s.Append(e.Part(f.Tracks[0], 7, 0, 10_000))
		if !errors.Is(err, latchkey.ErrFull) {
			t.Fatal(err)
		}
		lost = append(lost, l...)
	}
	dropped := 0
	for _, l := range lost {
		dropped += int(l.Last-l.First) + 1
		if !l.DiskFull || l.FirstSlot != 7 || l.LastSlot != 7 {
			t.Errorf("%+v does not say that the disk is full, or when", l)
		}
	}
	st := s.Stats()
	if st.RAM > 100_000 || dropped+st.Parts != 50 {
		t.Errorf("%d dropped, %+v", dropped, st)
	}
	if s.ram.size > 300_000 {
		t.Errorf("%d bytes of RAM", s.ram.size)
	}
}

// TestPowerCuts appends, fails and acknowledges at random on a disk that fails
// in both ways, cuts the power, and looks at what a new start finds: what was
// synced and not acknowledged is there, nothing is there twice or damaged.
// TestRecordsOutliveFootage: what is given up last survives a spool that was
// too small for what came in, many times over.
func TestRecordsOutliveFootage(t *testing.T) {
	for name, cfg := range map[string]Config{
		"disk": {Limit: 2 * SegmentSize},
		"RAM":  {RAM: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			f := uplinktest.NewForge(t, 2)
			e := f.Epoch()
			dir := t.TempDir()
			disk, err := durabletest.New(dir)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Dir, cfg.FS = dir, disk
			cfg.Last = func(id latchkey.TrackID) bool { return id == f.Tracks[1] }
			s := open(t, cfg)
			if cfg.RAM > 0 {
				disk.SetSpace(0)
			}
			var want []byte
			var lost []Lost
			for i := range 60 {
				record := e.Part(f.Tracks[1], uint32(i), 0, 500)
				want = append(want, record...)
				for _, raw := range [][]byte{record, e.Part(f.Tracks[0], uint32(i), 0, 1<<20)} {
					l, err := s.Append(raw)
					if err != nil && !errors.Is(err, latchkey.ErrFull) {
						t.Fatal(err)
					}
					lost = append(lost, l...)
				}
			}
			if len(lost) == 0 {
				t.Fatal("nothing had to go")
			}
			for _, l := range lost {
				if l.Track == f.Tracks[1] {
					t.Errorf("records were given up: %+v", l)
				}
			}
			disk.SetSpace(-1)
			s.Close()
			again := open(t, Config{Dir: dir})
			if all := (Range{key(e, f.Tracks[1]), 0, 59}); !slices.Contains(again.Held(), all) {
				t.Errorf("of the records %+v only these are left: %+v", all, again.Held())
			}
			if _, got := drain(t, again, 1<<20); len(got[key(e, f.Tracks[1])]) != len(want) {
				t.Errorf("%d bytes of records are left of %d", len(got[key(e, f.Tracks[1])]), len(want))
			}
		})
	}
}

// TestSyncAsksTheDisk: a hub that ends right after its disk got space again has
// nothing to complain of.
func TestSyncAsksTheDisk(t *testing.T) {
	f := uplinktest.NewForge(t, 1)
	e := f.Epoch()
	dir := t.TempDir()
	disk, err := durabletest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, Config{Dir: filepath.Join(dir, "spool"), FS: disk})
	full := true
	disk.SetHook(func(durabletest.Op) durabletest.Outcome {
		if full {
			return durabletest.Full
		}
		return durabletest.Pass
	})
	if _, err := s.Append(e.Part(f.Tracks[0], 0, 0, 1000)); !errors.Is(err, latchkey.ErrFull) {
		t.Fatalf("append on a full disk: %v", err)
	}
	if err := s.Sync(); !errors.Is(err, latchkey.ErrFull) {
		t.Fatalf("sync on a full disk: %v", err)
	}
	full = false
	if err := s.Sync(); err != nil || s.Stats().RAM != 0 {
		t.Fatalf("sync with space: %v, %d bytes in memory", err, s.Stats().RAM)
	}
}

func TestPowerCuts(t *testing.T) {
	for seed := range uint64(80) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { powerCut(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func powerCut(t *testing.T, rng *rand.Rand) {
	f := uplinktest.NewForge(t, 2)
	e := f.Epoch()
	dir := t.TempDir()
	disk, err := durabletest.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, Config{Dir: filepath.Join(dir, "spool"), FS: disk})
	all, synced, acked := map[Key][][]byte{}, map[Key]int{}, map[Key]int{}
	disk.SetHook(func(op durabletest.Op) durabletest.Outcome {
		switch rng.IntN(12) {
		case 0:
			return durabletest.FailForgotten
		case 1:
			return durabletest.FailKept
		case 2:
			return durabletest.Full
		}
		return durabletest.Pass
	})
	for range 60 {
		tr := f.Tracks[rng.IntN(2)]
		k := key(e, tr)
		switch rng.IntN(6) {
		case 0:
			if s.Sync() == nil && s.Stats().RAM == 0 {
				for k, parts := range all {
					synced[k] = len(parts)
				}
			}
		case 1:
			if n := acked[k]; n < len(all[k]) {
				if err := s.Ack(Range{k, uint32(n), uint32(n)}, nil); err != nil {
					t.Fatal(err)
				}
				acked[k]++
			}
		default:
			raw := e.Part(tr, 0, 0, 100+rng.IntN(5000))
			all[k] = append(all[k], raw)
			if _, err := s.Append(raw); err != nil && s.Stats().Err == nil {
				t.Fatalf("an error that Stats does not know: %v", err)
			}
		}
	}
	image := t.TempDir()
	if err := disk.Image(image, rng); err != nil {
		t.Fatal(err)
	}
	checkImage(t, e, filepath.Join(image, "spool"), all, synced, acked)
}

func checkImage(t *testing.T, e *uplinktest.ForgedEpoch, dir string, all map[Key][][]byte, synced, acked map[Key]int) {
	t.Helper()
	s, err := Open(Config{Dir: dir, Check: func(p part.Part) error { return p.VerifySig(e.Signer()) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := map[string]bool{}
	_, parts := drain(t, s, 1<<20)
	for k, b := range parts {
		for len(b) > 0 {
			p, rest, err := part.Next(b)
			if err != nil {
				t.Fatal(err)
			}
			id := fmt.Sprint(k, p.Header.Seq)
			if got[id] {
				t.Errorf("part %v is there twice", p.Header)
			}
			got[id] = true
			if !bytes.Equal(p.Raw, all[k][p.Header.Seq]) {
				t.Errorf("part %v has changed", p.Header)
			}
			b = rest
		}
	}
	for k, n := range synced {
		for seq := acked[k]; seq < n; seq++ {
			if !got[fmt.Sprint(k, seq)] {
				t.Errorf("track %v: part %d was synced, not acknowledged, and is lost", k.Track, seq)
			}
		}
	}
}

// TestSpoiltPartsAreGivenUp: with the slots they were in as far as the parts
// around them tell, and with what follows offered again.
func TestSpoiltPartsAreGivenUp(t *testing.T) {
	f := uplinktest.NewForge(t, 1)
	e := f.Epoch()
	cfg := Config{Dir: t.TempDir(), Check: func(p part.Part) error { return p.VerifySig(e.Signer()) }}
	s := open(t, cfg)
	const size = part.HeaderSize + 300 + part.SigSize
	for i := range uint32(10) {
		put(t, s, e.Part(f.Tracks[0], 2*i, 0, 300))
	}
	path := filepath.Join(cfg.Dir, "0000000000000001.seg")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[4*size+200] ^= 1 // ciphertext: the header's slot is plausible
	raw[7*size+5] ^= 1   // slot
	raw = raw[:9*size+9] // and the last is not there
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	var got []Lost
	sent := uint32(0)
	for {
		b, ok, err := s.Next(5 * size)
		if !ok {
			break
		}
		var d *Damage
		if errors.As(err, &d) {
			got = append(got, d.Lost)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Bytes) != size*int(b.Last-b.First+1) {
			t.Fatalf("%d bytes for %v", len(b.Bytes), b.Range)
		}
		sent += b.Last - b.First + 1
	}
	k := key(e, f.Tracks[0])
	want := []Lost{
		{Range: Range{k, 4, 4}, FirstSlot: 8, LastSlot: 8, Damaged: true},
		{Range: Range{k, 7, 7}, FirstSlot: 12, LastSlot: 16, Damaged: true},
		{Range: Range{k, 9, 9}, FirstSlot: 16, LastSlot: 16, Damaged: true},
	}
	if !slices.Equal(got, want) || sent != 7 {
		t.Errorf("%d parts were offered; given up %+v", sent, got)
	}
	if st := s.Stats(); st.Parts != 7 {
		t.Errorf("%d parts are held", st.Parts)
	}
}

// TestWithoutCheck: a part that the next one does not link to ends a run, so
// that its signature is the one the cloud looks at.
func TestWithoutCheck(t *testing.T) {
	f := uplinktest.NewForge(t, 1)
	e := f.Epoch()
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	const size = part.HeaderSize + 300 + part.SigSize
	for range 10 {
		put(t, s, e.Part(f.Tracks[0], 0, 0, 300))
	}
	path := filepath.Join(cfg.Dir, "0000000000000001.seg")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[4*size+200] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	order, _ := drain(t, s, 1<<20)
	if len(order) != 2 || order[0].Last != 4 || order[1].First != 5 || order[1].Last != 9 {
		t.Errorf("runs %v", order)
	}
}

// TestVanishedSegment is given up at once, not part by part.
func TestVanishedSegment(t *testing.T) {
	f := uplinktest.NewForge(t, 1)
	e := f.Epoch()
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	for range 10 {
		put(t, s, e.Part(f.Tracks[0], 0, 0, 300))
	}
	if err := os.Remove(filepath.Join(cfg.Dir, "0000000000000001.seg")); err != nil {
		t.Fatal(err)
	}
	_, ok, err := s.Next(1 << 20)
	var d *Damage
	if !ok || !errors.As(err, &d) || d.First != 0 || d.Last != 9 {
		t.Fatalf("%v %v", ok, err)
	}
	if _, ok, err := s.Next(1 << 20); ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
}

// FuzzOpen opens a segment file of any content: what the parser takes is held
// and reads back as it lies in the file; the rest is cut off.
func FuzzOpen(f *testing.F) {
	fg := uplinktest.NewForge(f, 1)
	e := fg.Epoch()
	two := append(e.Part(fg.Tracks[0], 0, 0, 50), e.Part(fg.Tracks[0], 1, 1, 60)...)
	f.Add(two)
	f.Add(two[:len(two)-1])
	f.Add(append(two[:len(two):len(two)], two...))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		path := filepath.Join(dir, "0000000000000001.seg")
		if err := durable.WriteFile(durable.Disk{}, path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		st := s.Stats()
		if st.Disk+st.Torn != int64(len(b)) {
			t.Fatalf("%d bytes kept, %d cut, of %d", st.Disk, st.Torn, len(b))
		}
		for {
			batch, ok, err := s.Next(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return
			}
			for rest := batch.Bytes; len(rest) > 0; {
				if _, rest, err = part.Next(rest); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
