package ingest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/blob"
	"latchkey.dev/latchkey/internal/cloud/blob/blobtest"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/hometest"
	"latchkey.dev/latchkey/internal/cloud/ingest"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/durable/durabletest"
	"latchkey.dev/latchkey/part"
)

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ledger is a Sink that remembers what was promised.
type ledger struct {
	mu     sync.Mutex
	levels map[uint32]ingest.Level // by seq
	lost   int
}

func (l *ledger) Receipt(r ingest.Receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n := r.First; n <= r.Last; n++ {
		l.levels[n] = max(l.levels[n], r.Level)
	}
}

func (l *ledger) Lost(error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost++
}

func (l *ledger) promised() map[uint32]ingest.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.levels)
}

// rig is an engine over a catalog that has one epoch.
type rig struct {
	*ingest.Engine
	db     *catalog.DB
	home   *hometest.Home
	epoch  *hometest.Epoch
	hub    ingest.Hub
	track  latchkey.TrackID
	ledger *ledger
	parts  [][]byte
}

type rigConfig struct {
	fsys  durable.FS
	dir   string
	store func(blob.Store) blob.Store
}

func newRig(t *testing.T, c rigConfig) *rig {
	t.Helper()
	home, err := hometest.New(1)
	try(t, err)
	hub, _, err := home.AddHub()
	try(t, err)
	tracks, _, err := home.AddCamera(1)
	try(t, err)
	r := &rig{home: home, hub: ingest.Hub{Household: home.ID(), Kid: hub.Key.Kid()}, track: tracks[0]}
	r.epoch, err = hub.NewEpoch(time.Now(), tracks)
	try(t, err)
	r.freshCatalog(t)
	for i := range 120 {
		var flags part.Flags
		if i%10 == 0 {
			flags = part.RAP
		}
		r.parts = append(r.parts, r.epoch.Part(r.track, uint32(i/4), flags, 400+i))
	}
	try(t, r.open(t, c))
	return r
}

// freshCatalog has the epoch and no reel.
func (r *rig) freshCatalog(t *testing.T) {
	t.Helper()
	db, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "catalog.db"))
	try(t, err)
	t.Cleanup(func() { db.Close() })
	try(t, db.CreateHousehold(t.Context(), catalog.Founding{Genesis: r.home.Chain[0], Vault: catalog.Vault{Household: r.home.ID(), Vault: []byte{1}}}, time.Now()))
	try(t, db.PutEpoch(t.Context(), catalog.Epoch{
		ID: r.epoch.ID, Household: r.home.ID(), Hub: r.hub.Kid, N: 1, Start: r.epoch.Start, Note: r.epoch.Note, Received: time.Now(),
	}, nil))
	r.db = db
}

// open starts an engine, as a server does.
func (r *rig) open(t *testing.T, c rigConfig) error {
	t.Helper()
	files, err := blob.OpenFiles(c.fsys, filepath.Join(c.dir, "blobs"))
	if err != nil {
		return err
	}
	t.Cleanup(func() { files.Close() })
	var store blob.Store = files
	if c.store != nil {
		store = c.store(files)
	}
	r.ledger = &ledger{levels: map[uint32]ingest.Level{}}
	r.Engine, err = ingest.Open(t.Context(), ingest.Config{
		FS: c.fsys, Dir: filepath.Join(c.dir, "open"), Store: store, Catalog: r.db,
		Slots: 5, Bytes: 1 << 20, Idle: time.Minute, Commit: time.Millisecond,
	})
	if err != nil {
		return err
	}
	r.Attach(r.hub, r.ledger)
	return nil
}

// send offers parts [i, j) in one message.
func (r *rig) send(ctx context.Context, i, j int) error {
	run, err := r.check(ctx, summed(r.parts[i:j]...), true)
	if err != nil {
		return err
	}
	return r.Store(ctx, run)
}

// check offers one whole message.
func (r *rig) check(ctx context.Context, raw []byte, backlog bool) (ingest.Run, error) {
	return r.Check(ctx, r.hub, raw, ingest.NewScan(backlog))
}

// summed is a backlog message behind its type.
func summed(parts ...[]byte) []byte {
	raw := bytes.Join(parts, nil)
	return append(binary.BigEndian.AppendUint32(nil, crc32.Checksum(raw, crc32.MakeTable(crc32.Castagnoli))), raw...)
}

// close ends the engine, giving it d to finish.
func (r *rig) close(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return r.Close(ctx)
}

// stored reads every part of the track back, through rows and blobs, and fails
// on one that is there twice or differs.
func (r *rig) stored(t *testing.T, dir string) map[uint32]bool {
	t.Helper()
	files, err := blob.OpenFiles(durable.Disk{}, filepath.Join(dir, "blobs"))
	try(t, err)
	defer files.Close()
	rows, err := r.db.EveryReel(t.Context(), catalog.Reel{}, 1000)
	try(t, err)
	have := map[uint32]bool{}
	for _, row := range rows {
		object, err := files.Get(t.Context(), row.Name(), 0, row.Bytes)
		try(t, err)
		raw, err := io.ReadAll(object)
		try(t, err)
		try(t, object.Close())
		parts, err := part.ParseAll(raw)
		try(t, err)
		index, err := catalog.ParseIndex(row.Parts)
		try(t, err)
		if len(index) != len(parts) || row.FirstSeq != parts[0].Header.Seq || row.LastSeq != parts[len(parts)-1].Header.Seq {
			t.Fatalf("row %d…%d holds %d parts", row.FirstSeq, row.LastSeq, len(parts))
		}
		for _, p := range parts {
			n := p.Header.Seq
			if have[n] || !bytes.Equal(p.Raw, r.parts[n]) {
				t.Fatalf("part %d is stored twice or differs", n)
			}
			have[n] = true
		}
	}
	return have
}

func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
}

// TestOrders: runs in random order with overlaps are each stored once.
func TestOrders(t *testing.T) {
	for seed := range uint64(12) {
		dir := t.TempDir()
		r := newRig(t, rigConfig{fsys: durable.Disk{}, dir: dir})
		rng := rand.New(rand.NewPCG(seed, 7))
		for range 40 {
			i := rng.IntN(len(r.parts))
			try(t, r.send(t.Context(), i, i+1+rng.IntN(len(r.parts)-i)))
		}
		try(t, r.send(t.Context(), 0, len(r.parts)))
		try(t, r.close(20*time.Second))
		if have := r.stored(t, dir); len(have) != len(r.parts) {
			t.Fatalf("seed %d: %d parts are stored", seed, len(have))
		}
		promised := r.ledger.promised()
		for n := range r.parts {
			if promised[uint32(n)] != ingest.Durable {
				t.Fatalf("seed %d: part %d has level %d", seed, n, promised[uint32(n)])
			}
		}
		if files, err := os.ReadDir(filepath.Join(dir, "open")); err != nil || len(files) != 0 {
			t.Fatalf("%d open files stay, %v", len(files), err)
		}
	}
}

// TestPowerCut cuts the power at every system call while parts come, and
// starts from what the medium has. What was promised STORED is there, what is
// there is right, and sending everything again heals.
func TestPowerCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	crashed := 0
	for n := 8; ; n += 1 + rng.IntN(6) {
		dir, image := t.TempDir(), t.TempDir()
		fsys, err := durabletest.New(dir)
		try(t, err)
		r := newRig(t, rigConfig{fsys: fsys, dir: dir})
		fsys.CrashAt(n)
		for i := 0; i < len(r.parts); i += 6 {
			_ = r.send(t.Context(), i, i+6) // fails once the power is off
			time.Sleep(500 * time.Microsecond)
		}
		err = r.close(200 * time.Millisecond)
		promised := r.ledger.promised()
		try(t, fsys.Image(image, rng))
		again := rigConfig{fsys: durable.Disk{}, dir: image}
		try(t, r.open(t, again))
		try(t, r.close(20*time.Second))
		have := r.stored(t, image)
		for seq := range promised {
			if !have[seq] {
				t.Fatalf("crash at call %d: part %d was promised and is gone", n, seq)
			}
		}
		try(t, r.open(t, again))
		try(t, r.send(t.Context(), 0, len(r.parts)))
		try(t, r.close(20*time.Second))
		if have := r.stored(t, image); len(have) != len(r.parts) {
			t.Fatalf("crash at call %d: %d parts after healing", n, len(have))
		}
		if err == nil {
			break // the power was never cut
		}
		crashed++
	}
	if crashed < 5 {
		t.Fatalf("only %d crashes", crashed)
	}
	t.Logf("%d power cuts", crashed)
}

// TestTornTail: whatever bytes a crash leaves at the end of an open file, the
// parts before them stay.
func TestTornTail(t *testing.T) {
	for name, tear := range map[string]func([]byte) []byte{
		"cut in a part":     func(b []byte) []byte { return b[:len(b)-100] },
		"cut in a header":   func(b []byte) []byte { return b[:len(b)-400] },
		"zeros":             func(b []byte) []byte { return append(b[:len(b)-300], make([]byte, 300)...) },
		"one bit":           func(b []byte) []byte { b[len(b)-200] ^= 4; return b },
		"bit in signature":  func(b []byte) []byte { b[len(b)-1] ^= 4; return b },
		"garbage behind it": func(b []byte) []byte { return append(b, bytes.Repeat([]byte("LK1 garbage"), 50)...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, next := t.TempDir(), t.TempDir()
			r := newRig(t, rigConfig{fsys: durable.Disk{}, dir: dir})
			try(t, r.send(t.Context(), 0, 12))
			files, err := os.ReadDir(filepath.Join(dir, "open"))
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			raw, err := os.ReadFile(filepath.Join(dir, "open", files[0].Name()))
			try(t, err)
			try(t, r.close(10*time.Second))
			// The same file, torn, in a world where the close never happened.
			try(t, os.MkdirAll(filepath.Join(next, "open"), 0o700))
			try(t, os.WriteFile(filepath.Join(next, "open", files[0].Name()), tear(bytes.Clone(raw)), 0o600))
			r.freshCatalog(t)
			try(t, r.open(t, rigConfig{fsys: durable.Disk{}, dir: next}))
			try(t, r.close(10*time.Second))
			have := r.stored(t, next)
			least := 11
			if name == "garbage behind it" {
				least = 12
			}
			if len(have) < least {
				t.Fatalf("%d parts stay", len(have))
			}
			for n := range least {
				if !have[uint32(n)] {
					t.Fatalf("part %d is gone", n)
				}
			}
		})
	}
}

// TestFaultyStore: Puts that fail, with and without effect, are repeated until
// the reel is durable; nothing is stored twice.
func TestFaultyStore(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(5, 6))
	failed := 0
	r := newRig(t, rigConfig{fsys: durable.Disk{}, dir: dir, store: func(s blob.Store) blob.Store {
		return blobtest.NewFaulty(s, func(string) blobtest.Outcome {
			out := blobtest.Outcome(rng.IntN(3))
			if out != blobtest.Pass {
				failed++
			}
			return out
		})
	}})
	for i := 0; i < len(r.parts); i += 4 {
		try(t, r.send(t.Context(), i, i+4))
	}
	try(t, r.close(30*time.Second))
	if have := r.stored(t, dir); len(have) != len(r.parts) || failed == 0 {
		t.Fatalf("%d parts, %d failures", len(have), failed)
	}
}

// TestFull: a full disk is told, spoils nothing, and heals.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	fsys, err := durabletest.New(dir)
	try(t, err)
	r := newRig(t, rigConfig{fsys: fsys, dir: dir})
	try(t, r.send(t.Context(), 0, 10))
	fsys.SetSpace(1500)
	err = r.send(t.Context(), 10, 30)
	wantKind(t, err, latchkey.ErrFull)
	var refusal *ingest.Refusal
	if !errors.As(err, &refusal) || refusal.Seq < 10 || refusal.Track != r.track {
		t.Fatalf("%+v", refusal)
	}
	wantKind(t, r.send(t.Context(), 40, 60), latchkey.ErrFull)
	fsys.SetSpace(-1)
	try(t, r.send(t.Context(), 10, len(r.parts)))
	try(t, r.close(20*time.Second))
	if have := r.stored(t, dir); len(have) != len(r.parts) {
		t.Fatalf("%d parts", len(have))
	}
}

// TestFailedSync: an fsync that fails takes back what it covered, says so, and
// sending again heals.
func TestFailedSync(t *testing.T) {
	for _, out := range []durabletest.Outcome{durabletest.FailForgotten, durabletest.FailKept} {
		for fail := 1; fail <= 6; fail++ {
			t.Run(fmt.Sprint(out, "/", fail), func(t *testing.T) { failedSync(t, out, fail) })
		}
	}
}

func failedSync(t *testing.T, out durabletest.Outcome, fail int) {
	dir := t.TempDir()
	fsys, err := durabletest.New(dir)
	try(t, err)
	r := newRig(t, rigConfig{fsys: fsys, dir: dir})
	syncs := 0
	fsys.SetHook(func(op durabletest.Op) durabletest.Outcome {
		if op.Kind != durabletest.Sync || !strings.HasSuffix(op.Path, ".reel") {
			return durabletest.Pass
		}
		if syncs++; syncs == fail {
			return out
		}
		return durabletest.Pass
	})
	for round := 0; ; round++ {
		var errs error
		for i := 0; i < len(r.parts); i += 6 {
			errs = errors.Join(errs, r.send(t.Context(), i, i+6))
			time.Sleep(300 * time.Microsecond)
		}
		if errs == nil && r.everythingPromised() {
			break
		}
		if round > 400 {
			t.Fatalf("no healing: %v", errs)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if fail <= 3 && r.ledger.lost != 1 {
		t.Errorf("the hub was told %d times", r.ledger.lost)
	}
	try(t, r.close(20*time.Second))
	if have := r.stored(t, dir); len(have) != len(r.parts) {
		t.Fatalf("%d parts", len(have))
	}
}

// TestRepairOfALie: backlog whose middle never verified was taken on its hub's
// word. When an fsync then fails, the repair looks, keeps what is true, and asks
// for the rest once: it does not try for ever.
func TestRepairOfALie(t *testing.T) {
	for _, spoilt := range []int{0, 4} {
		t.Run(fmt.Sprint("part ", spoilt), func(t *testing.T) { repairOfALie(t, spoilt) })
	}
}

func repairOfALie(t *testing.T, spoilt int) {
	dir := t.TempDir()
	fsys, err := durabletest.New(dir)
	try(t, err)
	r := newRig(t, rigConfig{fsys: fsys, dir: dir})
	honest := r.parts[spoilt]
	r.parts[spoilt] = bytes.Clone(honest)
	r.parts[spoilt][part.HeaderSize+9] ^= 1
	try(t, r.send(t.Context(), 0, 12))
	for end := time.Now().Add(20 * time.Second); len(r.ledger.promised()) < 12; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no receipts")
		}
	}
	failed := false
	fsys.SetHook(func(op durabletest.Op) durabletest.Outcome {
		if failed || op.Kind != durabletest.Sync || !strings.HasSuffix(op.Path, ".reel") {
			return durabletest.Pass
		}
		failed = true
		return durabletest.FailForgotten
	})
	try(t, r.send(t.Context(), 12, 18))
	lost := func() int {
		r.ledger.mu.Lock()
		defer r.ledger.mu.Unlock()
		return r.ledger.lost
	}
	// Told of the fsync that failed, and of what did not verify.
	for end := time.Now().Add(20 * time.Second); lost() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the hub was told %d times; closing failed %d times", lost(), r.Stats().CloseFailures.Load())
		}
	}
	r.parts[spoilt] = honest
	var errs error
	for round := range 400 { // the name of the emptied reel is taken until its file has gone
		errs = nil
		for i := 0; i < len(r.parts); i += 6 {
			errs = errors.Join(errs, r.send(t.Context(), i, i+6))
		}
		if errs == nil && round > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	try(t, errs)
	if lost() != 2 {
		t.Errorf("the hub was told %d times", lost())
	}
	try(t, r.close(20*time.Second))
	if have := r.stored(t, dir); len(have) != len(r.parts) {
		t.Fatalf("%d parts", len(have))
	}
}

func (r *rig) everythingPromised() bool { return len(r.ledger.promised()) == len(r.parts) }

// TestMutations: every bit of a live message counts, but for signatures that
// another one covers. Of backlog every bit counts on the way; once the checksum
// agrees, every bit of the last part, and what places the others.
func TestMutations(t *testing.T) {
	r := newRig(t, rigConfig{fsys: durable.Disk{}, dir: t.TempDir()})
	e := r.epoch.Fork()
	message := bytes.Join([][]byte{e.Part(r.track, 0, part.RAP, 40), e.Part(r.track, 1, 0, 40), e.Part(r.track, 2, part.END, 40)}, nil)
	size := len(message) / 3
	for bit := range 8 * len(message) {
		bad := bytes.Clone(message)
		bad[bit/8] ^= 1 << (bit % 8)
		at, last := bit/8%size, bit/8 >= 2*size
		signature := at >= size-part.SigSize
		if _, err := r.check(t.Context(), bad, false); (err == nil) != (signature && !last) {
			t.Fatalf("bit %d, live: %v", bit, err)
		}
		if _, err := r.check(t.Context(), append(summed(message)[:4], bad...), true); !errors.Is(err, ingest.ErrDamaged) {
			t.Fatalf("bit %d, damaged on the way: %v", bit, err)
		}
		places := at < 3 || at >= 8 && at < 48 // magic, seq, length, epoch, track
		if _, err := r.check(t.Context(), summed(bad), true); err == nil && (last || places) {
			t.Fatalf("bit %d, spoilt at home: believed", bit)
		}
	}
	for bit := range 32 {
		bad := summed(message)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := r.check(t.Context(), bad, true); !errors.Is(err, ingest.ErrDamaged) {
			t.Fatalf("bit %d of the checksum: %v", bit, err)
		}
	}
}

// TestOrderOfBacklog: seq, slot and END are held against each other without the
// hashes too.
func TestOrderOfBacklog(t *testing.T) {
	r := newRig(t, rigConfig{fsys: durable.Disk{}, dir: t.TempDir()})
	two := func(slot uint32, flags part.Flags, next uint32) [][]byte {
		e := r.epoch.Fork()
		return [][]byte{e.Part(r.track, slot, flags, 300), e.Part(r.track, next, 0, 300)}
	}
	_, err := r.check(t.Context(), summed(two(5, 0, 5)...), true)
	try(t, err)
	for name, parts := range map[string][][]byte{
		"a hole":         {r.parts[0], r.parts[2]},
		"reordered":      {r.parts[1], r.parts[0]},
		"repeated":       {r.parts[0], r.parts[0]},
		"after END":      two(5, part.END, 5),
		"slot goes back": two(5, 0, 4),
	} {
		if _, err := r.check(t.Context(), summed(parts...), true); !errors.Is(err, latchkey.ErrVerify) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOtherBytesUnderOneHash: a part of backlog that says it has the hash of a
// stored one, and has not its bytes, is a conflict, whether that is open or
// durable; those after it are not, once it is left out.
func TestOtherBytesUnderOneHash(t *testing.T) {
	for _, durably := range []bool{false, true} {
		r := newRig(t, rigConfig{fsys: durable.Disk{}, dir: t.TempDir()})
		n := 12
		if durably {
			n = len(r.parts)
		}
		try(t, r.send(t.Context(), 0, n))
		for durably && r.ledger.promised()[7] != ingest.Durable {
			time.Sleep(time.Millisecond)
		}
		good := r.parts[6]
		r.parts[6] = bytes.Clone(good)
		r.parts[6][200] ^= 1
		err := r.send(t.Context(), 4, 9)
		wantKind(t, err, latchkey.ErrConflict)
		var refusal *ingest.Refusal
		if !errors.As(err, &refusal) || refusal.Seq != 6 {
			t.Fatalf("%+v", refusal)
		}
		try(t, r.send(t.Context(), 7, 9))
		r.parts[6] = good
		try(t, r.send(t.Context(), 4, 9))
		try(t, r.close(10*time.Second))
	}
}

// TestHave answers hello.
func TestHave(t *testing.T) {
	r := newRig(t, rigConfig{fsys: durable.Disk{}, dir: t.TempDir()})
	try(t, r.send(t.Context(), 20, 24))
	try(t, r.send(t.Context(), 60, 62))
	for len(r.ledger.promised()) < 6 {
		time.Sleep(time.Millisecond)
	}
	held, err := r.Have(t.Context(), r.hub, r.epoch.ID, r.track, 22, 1000)
	want := []ingest.Held{{First: 22, Last: 23, Level: ingest.Stored}, {First: 60, Last: 61, Level: ingest.Stored}}
	if err != nil || !slices.Equal(held, want) {
		t.Fatalf("%v %v", held, err)
	}
	other := r.hub
	other.Household[0] ^= 1
	if held, err := r.Have(t.Context(), other, r.epoch.ID, r.track, 0, 1000); err != nil || len(held) != 0 {
		t.Fatalf("another hub is told %v %v", held, err)
	}
	try(t, r.close(10*time.Second))
	wantKind(t, r.send(t.Context(), 0, 1), latchkey.ErrUnavailable)
}

// FuzzCheck: whatever arrives, in whatever pieces, Check neither panics nor
// believes it, unless it is what the hub sealed: all of a live message but the
// signatures of its other parts, which nothing covers (part.VerifyRun), and the
// last part of a backlog message.
func FuzzCheck(f *testing.F) {
	home, err := hometest.New(1)
	if err != nil {
		f.Fatal(err)
	}
	hub, _, err := home.AddHub()
	if err != nil {
		f.Fatal(err)
	}
	tracks, _, err := home.AddCamera(1)
	if err != nil {
		f.Fatal(err)
	}
	e, err := hub.NewEpoch(time.Now(), tracks)
	if err != nil {
		f.Fatal(err)
	}
	db, err := catalog.Open(context.Background(), filepath.Join(f.TempDir(), "catalog.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	id := ingest.Hub{Household: home.ID(), Kid: hub.Key.Kid()}
	err = errors.Join(
		db.CreateHousehold(context.Background(), catalog.Founding{Genesis: home.Chain[0], Vault: catalog.Vault{Household: home.ID(), Vault: []byte{1}}}, time.Now()),
		db.PutEpoch(context.Background(), catalog.Epoch{ID: e.ID, Household: home.ID(), Hub: id.Kid, N: 1, Start: e.Start, Note: e.Note, Received: time.Now()}, nil))
	if err != nil {
		f.Fatal(err)
	}
	files, err := blob.OpenFiles(durable.Disk{}, filepath.Join(f.TempDir(), "blobs"))
	if err != nil {
		f.Fatal(err)
	}
	engine, err := ingest.Open(context.Background(), ingest.Config{FS: durable.Disk{}, Dir: filepath.Join(f.TempDir(), "open"),
		Store: files, Catalog: db, Slots: 60, Bytes: 1 << 20, Idle: time.Minute, Commit: time.Second})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { engine.Close(context.Background()) })
	// The same parts in every process that fuzzes: not linked to the note, which
	// has the time in it. So the first of them is no part of this epoch.
	same := e.Fork()
	same.NoteHash = latchkey.Hash{}
	first := same.Part(tracks[0], 0, part.RAP, 100)
	parts := [][]byte{same.Part(tracks[0], 0, part.RAP, 100), same.Part(tracks[0], 0, 0, 50), same.Part(tracks[0], 1, part.END, 30)}
	good := bytes.Join(parts, nil)
	f.Add(first, 100, false)
	signature := bytes.Clone(good)
	signature[len(parts[0])-1] ^= 1
	f.Add(signature, 100, false)
	for _, backlog := range []bool{false, true} {
		f.Add(good, 100, backlog)
		f.Add(good[:500], 1, backlog)
	}
	f.Fuzz(func(t *testing.T, raw []byte, piece int, backlog bool) {
		if backlog {
			raw = summed(raw)
		}
		scan := ingest.NewScan(backlog)
		for n := piece; n > 0 && n < len(raw); n += piece {
			scan.Feed(raw[:n])
			if n > 1<<40 {
				break
			}
		}
		run, err := engine.Check(t.Context(), id, raw, scan)
		var refusal *ingest.Refusal
		if err != nil && !errors.As(err, &refusal) {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		for i, p := range run.Parts {
			last := i == len(run.Parts)-1
			if backlog && !last {
				continue // only the order of these is believed
			}
			got := p.Raw
			if !last {
				got = got[:len(got)-part.SigSize]
			}
			if !slices.ContainsFunc(parts, func(sealed []byte) bool { return bytes.HasPrefix(sealed, got) }) {
				t.Fatalf("part %d of %d was believed and nobody sealed it", i, len(run.Parts))
			}
		}
	})
}
