package sequencer

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/watch"
	"latchkey.dev/latchkey/ledger"
)

// bench is a catalog with households, and the log beside it.
type bench struct {
	t   *testing.T
	dir string
	db  *catalog.DB
	*Sequencer
	homes map[latchkey.HouseholdID]*home
}

type home struct {
	id   latchkey.HouseholdID
	key  [32]byte
	text []latchkey.Hash
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	db, err := catalog.Open(t.Context(), filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b := &bench{t: t, dir: filepath.Join(dir, "log"), db: db, homes: map[latchkey.HouseholdID]*home{}}
	t.Cleanup(b.shut)
	return b
}

func (b *bench) config() Config {
	return Config{
		FS: durable.Disk{}, Dir: b.dir, Name: "latchkey.example", Catalog: b.db, Logger: slog.New(slog.DiscardHandler),
		Checkpoint: 100 * time.Millisecond, Set: time.Hour, SetSoon: 50 * time.Millisecond,
	}
}

func (b *bench) start() {
	b.t.Helper()
	s, err := Open(b.t.Context(), b.config())
	if err != nil {
		b.t.Fatal(err)
	}
	b.Sequencer = s
}

func (b *bench) shut() {
	if b.Sequencer != nil {
		b.Close()
		b.Sequencer = nil
	}
}

func (b *bench) found() *home {
	b.t.Helper()
	h := &home{}
	rand.Read(h.id[:])
	rand.Read(h.key[:])
	h.text = append(h.text, randomHash())
	v := catalog.Vault{Household: h.id, Vault: []byte{1}, RecoveryID: [16]byte(h.id)}
	if err := b.db.CreateHousehold(b.t.Context(), catalog.Founding{Genesis: []byte("g"), Text: h.text[0], LogTagKey: h.key, Vault: v}, time.Now()); err != nil {
		b.t.Fatal(err)
	}
	b.homes[h.id] = h
	return h
}

func (b *bench) say(h *home, n int) {
	b.t.Helper()
	for range n {
		text := randomHash()
		c := catalog.Change{Household: h.id, Seq: uint64(len(h.text)), Note: []byte("s"), Text: text, At: time.Now()}
		if err := b.db.AppendStatement(b.t.Context(), c); err != nil {
			b.t.Fatal(err)
		}
		h.text = append(h.text, text)
	}
}

func randomHash() (h latchkey.Hash) {
	rand.Read(h[:])
	return h
}

// complete waits until the home's newest statement is proven, and checks the
// proof as a household does.
func (b *bench) complete(h *home) ledger.Complete {
	b.t.Helper()
	b.Kick()
	var last error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		raw, err := b.Completeness(b.t.Context(), h.id, &h.key)
		if last = err; err != nil {
			continue
		}
		c, err := ledger.ParseCompleteness(raw)
		if err != nil {
			b.t.Fatal(err)
		}
		got, err := c.Check(b.Policy(), &h.key)
		if err != nil {
			b.t.Fatal(err)
		}
		if want := uint64(len(h.text) - 1); got.Seq == want {
			if got.Head != h.text[want] {
				b.t.Fatalf("statement %d has another hash in the log", want)
			}
			return got
		}
		last = fmt.Errorf("it goes up to %d of %d", got.Seq, len(h.text)-1)
	}
	b.t.Fatalf("no proof of completeness: %v", last)
	return ledger.Complete{}
}

// whole checks that the log holds every statement exactly once, and nothing else
// but public notes.
func (b *bench) whole() ledger.Checkpoint {
	b.t.Helper()
	log := ledger.NewLog(b.Policy(), b.read)
	c, err := log.Checkpoint(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	want := map[ledger.Tag]latchkey.Hash{}
	for _, h := range b.homes {
		for seq, text := range h.text {
			want[ledger.TagOf(&h.key, uint64(seq))] = text
		}
	}
	for raw, err := range log.Entries(b.t.Context(), c, 0) {
		if err != nil {
			b.t.Fatal(err)
		}
		e, err := ledger.ParseEntry(raw)
		if err != nil {
			b.t.Fatal(err)
		}
		if e.Note != nil {
			continue
		}
		if want[e.Tag] != e.Value {
			b.t.Fatalf("an entry of the log is unknown, or stands there twice: %v", e.Tag)
		}
		delete(want, e.Tag)
	}
	if len(want) > 0 {
		b.t.Fatalf("%d statements are not in the log of %d entries", len(want), c.Size)
	}
	return c
}

func TestStatementsComeIntoTheLog(t *testing.T) {
	b := newBench(t)
	b.start()
	one, two := b.found(), b.found()
	b.say(one, 300)
	b.say(two, 5)
	first := b.complete(one)
	b.complete(two)
	before := b.whole()
	if first.Set.Count < 301 {
		t.Errorf("a set of %d tags", first.Set.Count)
	}
	b.shut()
	b.say(one, 3)
	b.start()
	b.complete(one)
	after := b.whole()
	if err := b.files.Extends(t.Context(), before, after); err != nil {
		t.Error(err)
	}
}

// TestCutOffBatches ends the writer at every step of a batch. Every statement is
// in the log once.
func TestCutOffBatches(t *testing.T) {
	b := newBench(t)
	h := b.found()
	for _, step := range []string{"noted", "partly added", "added"} {
		t.Run(step, func(t *testing.T) {
			b.t = t
			b.say(h, 7)
			b.start()
			b.signer.close() // this writer does nothing by itself any more
			<-b.done
			waiting, err := b.db.Outbox(t.Context(), 100)
			if err != nil {
				t.Fatal(err)
			}
			if len(waiting) == 0 { // it was quicker
				b.say(h, 7)
				waiting, _ = b.db.Outbox(t.Context(), 100)
			}
			size, err := b.size(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := b.db.BeginBatch(t.Context(), b.policy.Origin(), catalog.Batch{First: waiting[0].N, Size: size}); err != nil {
				t.Fatal(err)
			}
			n := map[string]int{"noted": 0, "partly added": 3, "added": len(waiting)}[step]
			for _, w := range waiting[:n] {
				if _, err := b.add(t.Context(), newEntry(w))(); err != nil {
					t.Fatal(err)
				}
			}
			b.stop()
			b.Sequencer = nil
			b.say(h, 2)
			b.start()
			b.complete(h)
			b.whole()
			b.shut()
		})
	}
}

// TestOlderCopy: the log and the catalog come from one moment, or nothing is
// written: another way would make two logs.
func TestOlderCopy(t *testing.T) {
	b := newBench(t)
	h := b.found()
	b.start()
	b.say(h, 3)
	b.complete(h)
	b.shut()
	b.dir = filepath.Join(t.TempDir(), "log") // an empty one
	if _, err := Open(t.Context(), b.config()); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("a log that was lost: %v", err)
	}
}

// TestCheck: what fsck says of the log's files, and that it changes nothing.
func TestCheck(t *testing.T) {
	b := newBench(t)
	h := b.found()
	if wrong, err := Check(t.Context(), b.dir, b.db); err != nil || len(wrong) > 0 {
		t.Errorf("a server that never ran: %q, %v", wrong, err)
	}
	b.start()
	b.say(h, 20)
	b.complete(h)
	size := b.whole().Size
	log := b.Sequencer.dir
	b.shut()
	expect := func(what, want string) {
		t.Helper()
		wrong, err := Check(t.Context(), b.dir, b.db)
		if err != nil || (want == "") != (len(wrong) == 0) || want != "" && !strings.Contains(wrong[0], want) {
			t.Errorf("%s: %q, %v", what, wrong, err)
		}
	}
	expect("as it was left", "")
	entries := filepath.Join(log, "tile", "entries", fmt.Sprintf("000.p/%d", size))
	was, err := os.ReadFile(entries)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(was)
	bad[40] ^= 1
	for _, c := range []struct {
		what, path, want string
		bytes            []byte
	}{
		{"an entry that was changed", entries, "cannot be read", bad},
		{"entries that are cut off", entries, "cannot be read", was[:len(was)/2]},
		{"a checkpoint that is none", filepath.Join(log, "checkpoint"), "does not hold", []byte("x")},
	} {
		before, err := os.ReadFile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		write := func(raw []byte) {
			if err := os.WriteFile(c.path, raw, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		write(c.bytes)
		expect(c.what, c.want)
		write(before)
	}
	expect("as it was left", "")
	if err := os.Remove(filepath.Join(b.dir, operatorKey)); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(t.Context(), b.dir, b.db); err == nil {
		t.Error("a key that is gone is not missed")
	}
	if _, err := os.Stat(filepath.Join(b.dir, operatorKey)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("checking made a key")
	}
}

// TestWatchersAway: without its witness the log publishes nothing new, without
// its auditor nothing is proven; statements go on, and all of it is made up for.
func TestWatchersAway(t *testing.T) {
	b := newBench(t)
	witness, err := watch.OpenWitness(durable.Disk{}, t.TempDir(), "anna.example")
	if err != nil {
		t.Fatal(err)
	}
	var away atomic.Bool
	at := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		witness.ServeHTTP(w, r)
	}))
	defer at.Close()
	public := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch size, isSet := strings.CutPrefix(r.URL.Path, b.policy.Path()+"set/"); {
		case r.URL.Path == "/log/policy":
			io.WriteString(w, b.policy.String())
		case isSet:
			raw, _ := io.ReadAll(r.Body)
			n, _ := strconv.ParseInt(size, 10, 64)
			if b.AddLine(r.Context(), n, raw) == nil {
				w.WriteHeader(http.StatusNoContent)
			} else {
				w.WriteHeader(http.StatusBadRequest)
			}
		default:
			if b.ServeFile(w, r) != nil {
				http.NotFound(w, r)
			}
		}
	}))
	defer public.Close()
	auditor, err := watch.OpenAuditor(durable.Disk{}, t.TempDir(), "carla.example", public.URL, http.DefaultClient, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	cfg := b.config()
	cfg.HTTP = http.DefaultClient
	cfg.Watchers = "witness anna " + witness.VKey() + " " + at.URL + "\nquorum anna\nauditor carla " + auditor.VKey() + "\n"
	if b.Sequencer, err = Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := witness.Follow(b.policy.Log.VKey); err != nil {
		t.Fatal(err)
	}
	h := b.found()
	// rounds audits until the newest statement is proven or nothing comes of it.
	rounds := func(d time.Duration) (proven uint64, ok bool) {
		b.Kick()
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if _, err := auditor.Round(t.Context()); errors.As(err, new(*watch.Misbehaviour)) {
				t.Fatal(err)
			}
			raw, err := b.Completeness(t.Context(), h.id, &h.key)
			if err != nil {
				continue
			}
			c, err := ledger.ParseCompleteness(raw)
			if err != nil {
				t.Fatal(err)
			}
			done, err := c.Check(b.policy, &h.key)
			if err != nil {
				t.Fatal(err)
			}
			if proven, ok = done.Seq, true; proven == uint64(len(h.text)-1) {
				return proven, true
			}
		}
		return proven, ok
	}
	if _, ok := rounds(30 * time.Second); !ok {
		t.Fatal("nothing is proven with everybody there")
	}
	before := b.whole().Size
	away.Store(true)
	b.say(h, 3)
	if proven, _ := rounds(700 * time.Millisecond); proven != 0 {
		t.Errorf("statement %d is proven without a witness", proven)
	}
	if raw, err := b.read(t.Context(), "checkpoint"); err != nil || !bytes.Contains(raw, fmt.Appendf(nil, "\n%d\n", before)) {
		// A checkpoint that was on its way may still have come.
		if c, err := b.policy.Checkpoint(raw); err != nil || c.Size > before+2 {
			t.Errorf("without a witness the checkpoint went on: %s, %v", raw, err)
		}
	}
	away.Store(false)
	if proven, ok := rounds(30 * time.Second); !ok || proven != 3 {
		t.Errorf("with the witness back statement %d is proven, want 3", proven)
	}
	b.whole()
	// Without the auditor's line there is no proof of what is new.
	b.say(h, 1)
	b.Kick()
	for range 30 {
		raw, err := b.Completeness(t.Context(), h.id, &h.key)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := ledger.ParseCompleteness(raw); err != nil || c.Seq != 3 {
			t.Fatalf("statement %d is proven without an auditor, %v", c.Seq, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestFilesServed(t *testing.T) {
	b := newBench(t)
	b.start()
	for _, path := range []string{"../log.key", "log.key", ".state/treeState", "tile/0/000/../../../log.key", "tile/64/000", ""} {
		if _, err := b.read(context.Background(), path); !errors.Is(err, latchkey.ErrNotFound) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func newEntry(w catalog.Waiting) *tessera.Entry { return tessera.NewEntry(w.Entry) }
