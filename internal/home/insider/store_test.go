package insider

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/part"
)

const start = 1_790_000_000

// store is a cloud's data folder as a household leaves it, made with the real
// sealer, and everything that was secret about it.
type store struct {
	dir, staff string
	rng        *rand.Rand
	seconds    uint32
	size       int // of the smallest records

	state  chain.State
	notes  [][]byte
	epoch  latchkey.EpochID
	tracks []seal.Track
	roots  map[latchkey.TrackID]key

	edSeed, xSeed, hubSeed, vk, signer key
	code                               keys.Code
	machine                            []byte
}

// newBare makes a folder with nothing in it that a key could be held against.
func newBare(t testing.TB) *store {
	t.Helper()
	return &store{dir: t.TempDir(), staff: t.TempDir(), rng: rand.New(rand.NewPCG(3, 4))}
}

// newStore makes a store with some seconds of footage; small parts keep it quick.
func newStore(t testing.TB, seconds uint32, size int) *store {
	t.Helper()
	s := &store{seconds: seconds, size: size, dir: t.TempDir(), staff: t.TempDir(), rng: rand.New(rand.NewPCG(1, 2)), roots: map[latchkey.TrackID]key{}, code: keys.NewCode()}
	hub, announcement, parts, vault := s.household(t)
	s.write(t, "catalog.db", nil)
	s.catalog(t, announcement, vault)
	for track, raws := range parts {
		for i := 0; i < len(raws); i += 60 {
			name := fmt.Sprintf("blobs/%v/%v/%08d", s.epoch, track, i)
			s.write(t, name, bytes.Join(raws[i:min(len(raws), i+60)], nil))
		}
	}
	s.write(t, "open/reel", s.bytes(0))
	s.write(t, "log/cloud.log", []byte(s.logLines()))
	s.localFiles(t, hub)
	return s
}

func (s *store) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.rng.Uint32())
	}
	return b
}

func (s *store) write(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func fromSeed(t testing.TB, k key) keys.Secret {
	t.Helper()
	sec, err := keys.SecretFrom(k[:])
	if err != nil {
		t.Fatal(err)
	}
	return sec
}

func (s *store) apply(t testing.TB, signer chain.Signer, st chain.Statement) {
	t.Helper()
	text, err := st.Text()
	if err != nil {
		t.Fatal(err)
	}
	raw := chain.SignNote(text, signer)
	n, err := chain.ParseNote(raw)
	if err != nil {
		t.Fatal(err)
	}
	if s.state, err = chain.Apply(s.state, n, start); err != nil {
		t.Fatal(err)
	}
	s.notes = append(s.notes, raw)
}

// household founds, announces an epoch with known roots, and seals footage.
func (s *store) household(t testing.TB) (*keys.Signing, seal.Announcement, map[latchkey.TrackID][][]byte, *keys.Vault) {
	t.Helper()
	s.edSeed, s.xSeed, s.hubSeed, s.vk = key(s.bytes(32)), key(s.bytes(32)), key(s.bytes(32)), key(s.bytes(32))
	founder, hub := keys.SigningFromSeed(fromSeed(t, s.edSeed)), keys.SigningFromSeed(fromSeed(t, s.hubSeed))
	box, err := keys.SealingFromSeed(fromSeed(t, s.xSeed))
	if err != nil {
		t.Fatal(err)
	}
	head := func() chain.Head {
		return chain.Head{Household: s.state.Household, Seq: s.state.Seq + 1, Prev: s.state.Hash, Time: start, By: founder.Kid()}
	}
	s.apply(t, founder, chain.Genesis{
		Head: chain.Head{Time: start, By: founder.Kid()}, Ed: founder.Public(), X: box.Public(), Recovery: s.code.RecoverySign().Public(),
	})
	s.apply(t, founder, chain.AddHub{Head: head(), Ed: hub.Public(), X: keys.NewSealing().Public()})
	cam := chain.AddCamera{Head: head(), Camera: latchkey.CameraID{1}}
	for i, kind := range []latchkey.TrackKind{latchkey.KindVideo, latchkey.KindAudio, latchkey.KindMeta} {
		tr := seal.Track{ID: latchkey.TrackID{0xb0, byte(i)}, Kind: kind}
		s.tracks = append(s.tracks, tr)
		cam.Tracks = append(cam.Tracks, chain.TrackDecl{ID: tr.ID, Kind: tr.Kind})
	}
	s.apply(t, founder, cam)
	e, ann := s.announce(t, hub)
	vault := &keys.Vault{Signing: founder, Sealing: []*keys.Sealing{box}, Household: s.state.Household, Seq: 2}
	return hub, ann, s.footage(t, e), vault
}

// announce starts an epoch and keeps what the sealer drew: the epoch id, the
// signer's seed and one root after the other.
func (s *store) announce(t testing.TB, hub chain.Signer) (*seal.Epoch, seal.Announcement) {
	t.Helper()
	var drawn bytes.Buffer
	source := rand.NewChaCha8([32]byte(s.bytes(32)))
	e, ann, err := seal.NewEpoch(seal.EpochParams{
		Household: s.state.Household, Hub: hub, Start: time.Unix(start, 0), Chain: s.state, Tracks: s.tracks,
		Rand: io.TeeReader(source, &drawn),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	s.epoch = e.ID()
	s.signer = key(drawn.Bytes()[16:48])
	b := drawn.Bytes()[48:]
	for i, tr := range s.tracks {
		s.roots[tr.ID] = key(b[32*i : 32*i+32])
	}
	return e, ann
}

func (s *store) footage(t testing.TB, e *seal.Epoch) map[latchkey.TrackID][][]byte {
	t.Helper()
	out := map[latchkey.TrackID][][]byte{}
	for slot := range s.seconds {
		for i, tr := range s.tracks {
			if i == 2 && slot%60 > 0 {
				continue
			}
			raw, err := e.Seal(tr.ID, slot, part.RAP, part.Record{Type: part.RecordFragment, Data: s.bytes(s.size * (2 - i))})
			if err != nil {
				t.Fatal(err)
			}
			out[tr.ID] = append(out[tr.ID], raw)
		}
	}
	return out
}

// catalog writes a real SQLite database, part of it still in the log.
func (s *store) catalog(t testing.TB, ann seal.Announcement, vault *keys.Vault) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(q string, args ...any) {
		if _, err := db.Exec(q, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`PRAGMA journal_mode=WAL`)
	exec(`CREATE TABLE thing (id INTEGER PRIMARY KEY, kind TEXT, a BLOB, b BLOB)`)
	sealed, err := vault.Seal(fromSeed(t, s.vk), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range s.notes {
		exec(`INSERT INTO thing (kind, a) VALUES ('statement', ?)`, n)
	}
	// The note goes last into a value of several pages, so that it is cut.
	exec(`INSERT INTO thing (kind, a, b) VALUES ('epoch', ?, ?)`, bytes.Repeat([]byte{0}, 3700), ann.Note)
	exec(`INSERT INTO thing (kind, a, b) VALUES ('vault', ?, ?)`, sealed, keys.SealWrap(s.code.RecoverySecret(), nil, fromSeed(t, s.vk)))
	for _, c := range ann.Capsules {
		exec(`INSERT INTO thing (kind, a) VALUES ('capsule', ?)`, c.Bytes)
	}
	for range 20 {
		exec(`INSERT INTO thing (kind, a) VALUES ('digest', ?)`, s.bytes(32))
	}
}

func (s *store) logLines() string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for i := range 200 {
		id := latchkey.TrackID(s.bytes(16))
		_ = enc.Encode(map[string]any{"time": start + i, "msg": "stored", "track": id.String(), "household": s.state.Household.String()})
	}
	return b.String()
}

// localFiles writes a hub's sealed identity; the machine key stays outside.
func (s *store) localFiles(t testing.TB, hub *keys.Signing) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "machine.key")
	m, err := keys.LoadMachineKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if s.machine, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	b, err := m.SealIdentity(keys.Identity{Signing: hub, Sealing: keys.NewSealing()})
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "hub/hub.key", b)
}

// node returns the key of a tree node of a track.
func (s *store) node(track latchkey.TrackID, level int, slot uint32) key {
	k := s.roots[track]
	for l := 1; l <= level; l++ {
		var p prf
		p.set(k[:])
		k = p.child(byte(slot >> (part.Depth - l) & 1))
	}
	return k
}

// canaries are the household's words that the server must never see.
func canaries() []string { return []string{"CANARY-porch-7431", "Nana's back door"} }

func (s *store) scan(t testing.TB, change ...func(*Config)) Report {
	t.Helper()
	c := Config{DataDirs: []string{s.dir}, StaffKeyDirs: []string{s.staff}, Canaries: canaries()}
	for _, f := range change {
		f(&c)
	}
	r, err := Scan(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Unread) > 0 {
		t.Fatalf("unread: %v", r.Unread)
	}
	return r
}
