package ledger

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/testkit"
)

// TestProtocolVectors runs the protocol's own example of the set.
func TestProtocolVectors(t *testing.T) {
	raw, err := os.ReadFile("../../shared/vectors/protocol-v1.json")
	if errors.Is(err, os.ErrNotExist) && os.Getenv("CI") == "" {
		t.Skip("../shared is not here: the protocol's own vectors are not run")
	}
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Set struct {
			KTag, Tag0, Tag5, Root5 string
			Absence5                struct {
				Siblings []string
				Terminal string
			}
		}
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	key := [TagSize]byte(unhex(t, v.Set.KTag))
	if got := TagOf(&key, 0).String(); got != v.Set.Tag0 {
		t.Errorf("tag 0 is %s, want %s", got, v.Set.Tag0)
	}
	if got := TagOf(&key, 5).String(); got != v.Set.Tag5 {
		t.Errorf("tag 5 is %s, want %s", got, v.Set.Tag5)
	}
	var p SetProof
	for _, s := range v.Set.Absence5.Siblings {
		p.Siblings = append(p.Siblings, latchkey.Hash(unhex(t, s)))
	}
	if v.Set.Absence5.Terminal != "empty" {
		t.Fatalf("a terminal %q", v.Set.Absence5.Terminal)
	}
	if _, present, err := p.Check(latchkey.Hash(unhex(t, v.Set.Root5)), TagOf(&key, 5)); err != nil || present {
		t.Errorf("tag 5: present %v, %v", present, err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// plainRoot is the set's hash as the protocol words it.
func plainRoot(all []Element, d int) latchkey.Hash {
	switch len(all) {
	case 0:
		return latchkey.Hash{}
	case 1:
		return all[0].hash()
	}
	var sides [2][]Element
	for _, e := range all {
		sides[e.Tag.bit(d)] = append(sides[e.Tag.bit(d)], e)
	}
	return split(plainRoot(sides[0], d+1), plainRoot(sides[1], d+1))
}

// TestSets holds sets and their proofs against the plain wording: tags at
// random, and tags that agree in most of their bits.
func TestSets(t *testing.T) {
	rng := mathrand.New(mathrand.NewPCG(7, 7))
	for _, n := range []int{0, 1, 2, 3, 5, 17, 64, 700} {
		for _, spread := range []int{TagSize, 2, 1} {
			if spread == 1 && n > 64 {
				continue
			}
			all, in := []Element{}, map[Tag]latchkey.Hash{}
			draw := func() (tag Tag) {
				for i := range spread {
					tag[(i*31)%TagSize] = byte(rng.Uint32())
				}
				return tag
			}
			for len(all) < n {
				e := Element{Tag: draw()}
				binary.BigEndian.PutUint64(e.Value[:], rng.Uint64())
				if _, ok := in[e.Tag]; ok {
					continue
				}
				in[e.Tag] = e.Value
				all = append(all, e)
			}
			s, err := NewSet(all)
			if err != nil {
				t.Fatal(err)
			}
			if s.Root() != plainRoot(all, 0) || s.Len() != n {
				t.Fatalf("%d tags, spread %d: another root", n, spread)
			}
			for range 50 {
				tag := draw()
				if n > 0 && rng.IntN(2) == 0 {
					tag = all[rng.IntN(n)].Tag
				}
				p, err := ParseSetProof(s.Prove(tag).Encode())
				if err != nil {
					t.Fatal(err)
				}
				value, present, err := p.Check(s.Root(), tag)
				want, is := in[tag]
				if err != nil || present != is || is && value != want {
					t.Fatalf("%d tags: tag %v: %v %v, want %v; %v", n, tag, present, value, is, err)
				}
				noOtherStory(t, rng, s, p, tag, value, present)
			}
		}
	}
	if _, err := NewSet([]Element{{Tag: Tag{1}}, {Tag: Tag{1}, Value: latchkey.Hash{2}}}); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("one tag twice: %v", err)
	}
}

// noOtherStory flips bits of a proof: it proves the same, or nothing.
func noOtherStory(t *testing.T, rng *mathrand.Rand, s *Set, p SetProof, tag Tag, value latchkey.Hash, present bool) {
	t.Helper()
	raw := p.Encode()
	for range 10 {
		bad := bytes.Clone(raw)
		bad[rng.IntN(len(bad))] ^= 1 << rng.IntN(8)
		q, err := ParseSetProof(bad)
		if err != nil {
			continue
		}
		if v, is, err := q.Check(s.Root(), tag); err == nil && (is != present || v != value) {
			t.Fatalf("a changed proof proves something else")
		}
	}
}

// party is somebody with a signing key.
type person struct {
	note.Signer
	vkey string
}

func newPerson(t testing.TB, name string) person {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return person{s, vkey}
}

func newWitness(t testing.TB, name string) person {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := cosignature.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := cosignature.VKeyToCosignatureV1(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return person{s, v}
}

// testLog is a log in memory, with everybody who signs for it.
type testLog struct {
	t             testing.TB
	log, operator person
	witnesses     []person
	auditor       person
	policy        *Policy
	entries       [][]byte
	hashes        []tlog.Hash
	files         map[string][]byte
	published     Checkpoint
	gone, spoilt  string // paths
	quorumOf      []int
}

const testOrigin = "latchkey.example/log/2026"

func newTestLog(t testing.TB) *testLog {
	t.Helper()
	l := &testLog{t: t, log: newPerson(t, testOrigin), operator: newPerson(t, "latchkey.example"), auditor: newPerson(t, "auditor.example"), files: map[string][]byte{}, quorumOf: []int{0, 1}}
	for _, n := range []string{"w1", "w2", "w3"} {
		l.witnesses = append(l.witnesses, newWitness(t, n+".example"))
	}
	p, err := ParsePolicy(l.text())
	if err != nil {
		t.Fatal(err)
	}
	l.policy = p
	return l
}

func (l *testLog) text() string {
	return fmt.Sprintf("# who is who\nlog %s\noperator %s\nwitness one %s\nwitness two %s\nwitness three %s https://three.example\ngroup some 2 one two three\nquorum some\nauditor anna %s\n",
		l.log.vkey, l.operator.vkey, l.witnesses[0].vkey, l.witnesses[1].vkey, l.witnesses[2].vkey, l.auditor.vkey)
}

func (l *testLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = l.hashes[x]
	}
	return out, nil
}

// add appends an entry; publish writes the tiles.
func (l *testLog) add(entry []byte) {
	l.t.Helper()
	stored, err := tlog.StoredHashes(int64(len(l.entries)), entry, l)
	if err != nil {
		l.t.Fatal(err)
	}
	l.hashes = append(l.hashes, stored...)
	l.entries = append(l.entries, entry)
}

func (l *testLog) publish() Checkpoint {
	l.t.Helper()
	old, size := l.published.Size, int64(len(l.entries))
	for _, tile := range tlog.NewTiles(tileHeight, old, size) {
		data, err := tlog.ReadTileData(tile, l)
		if err != nil {
			l.t.Fatal(err)
		}
		l.files[TilePath(tile)] = data
	}
	for n := old / tileWidth; n*tileWidth < size; n++ {
		var bundle []byte
		for _, e := range l.entries[n*tileWidth : min(size, (n+1)*tileWidth)] {
			bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(e))), e...)
		}
		l.files[TilePath(tlog.Tile{H: tileHeight, L: -1, N: n, W: int(min(tileWidth, size-n*tileWidth))})] = bundle
	}
	root, err := tlog.TreeHash(size, l)
	if err != nil {
		l.t.Fatal(err)
	}
	l.files["checkpoint"] = l.sign(size, latchkey.Hash(root), l.quorumOf...)
	if l.published, err = l.policy.Checkpoint(l.files["checkpoint"]); err != nil {
		l.t.Fatal(err)
	}
	return l.published
}

func (l *testLog) sign(size int64, root latchkey.Hash, witnesses ...int) []byte {
	l.t.Helper()
	signers := []note.Signer{l.log}
	for _, w := range witnesses {
		signers = append(signers, l.witnesses[w])
	}
	raw, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", testOrigin, size, latchkey.B64(root[:]))}, signers...)
	if err != nil {
		l.t.Fatal(err)
	}
	return raw
}

func (l *testLog) fetch(_ context.Context, path string) ([]byte, error) {
	b, ok := l.files[path]
	if !ok || path == l.gone {
		return nil, latchkey.ErrNotFound
	}
	if path == l.spoilt {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
	}
	return b, nil
}

func (l *testLog) fill(n int) {
	for range n {
		e := Entry{}
		rand.Read(e.Tag[:])
		rand.Read(e.Value[:])
		l.add(e.Encode())
	}
}

func TestLogFiles(t *testing.T) {
	l := newTestLog(t)
	log := NewLog(l.policy, l.fetch)
	l.fill(7)
	first := l.publish()
	l.fill(600)
	second := l.publish()
	got, err := log.Checkpoint(t.Context())
	if err != nil || got.Root != second.Root || got.Witnessed.IsZero() {
		t.Fatalf("checkpoint %v: %v", got, err)
	}
	for _, i := range []int64{0, 6, 7, 255, 256, 511, 512, 606} {
		p, err := log.Prove(t.Context(), second, i)
		if err != nil {
			t.Fatal(err)
		}
		if p, err = ParseProof(p.Encode()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Check(l.policy, l.entries[i]); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
		if _, err := p.Check(l.policy, l.entries[(i+1)%607]); !errors.Is(err, latchkey.ErrVerify) {
			t.Errorf("another entry at %d: %v", i, err)
		}
		// A reader of the field's own tools says the same.
		if proof, err := tlog.ProveRecord(second.Size, i, l); err != nil || len(proof) != len(p.Hashes) || tlog.CheckRecord(proof, second.Size, tlog.Hash(second.Root), i, tlog.RecordHash(l.entries[i])) != nil {
			t.Errorf("the other reader on entry %d: %v", i, err)
		}
	}
	if _, err := log.Prove(t.Context(), second, second.Size); !errors.Is(err, latchkey.ErrNotFound) {
		t.Errorf("an entry that is not there: %v", err)
	}
	if err := log.Extends(t.Context(), first, second); err != nil {
		t.Errorf("it grew: %v", err)
	}
	at := 0
	for e, err := range log.Entries(t.Context(), second, 3) {
		if err != nil || !bytes.Equal(e, l.entries[3+at]) {
			t.Fatalf("entry %d: %v", 3+at, err)
		}
		at++
	}
	if at != 604 {
		t.Errorf("%d entries, want 604", at)
	}
	// A part of a tile that has filled up may be gone.
	l.gone = TilePath(tlog.Tile{H: tileHeight, L: 0, N: 0, W: 7})
	if err := log.Extends(t.Context(), first, second); err != nil {
		t.Errorf("without the part of a tile: %v", err)
	}
}

func TestLogLies(t *testing.T) {
	l := newTestLog(t)
	log := NewLog(l.policy, l.fetch)
	l.fill(300)
	before := l.publish()
	other := newTestLog(t)
	other.log, other.operator, other.witnesses, other.policy = l.log, l.operator, l.witnesses, l.policy
	other.fill(310)
	forked := other.publish()
	for _, c := range []struct {
		what     string
		from, to Checkpoint
		log      *testLog
	}{
		{"a fork that grew", before, forked, other},
		{"a log that shrank", forked, before, l},
		{"two logs of one size", before, Checkpoint{Size: before.Size, Root: forked.Root}, l},
	} {
		if err := NewLog(l.policy, c.log.fetch).Extends(t.Context(), c.from, c.to); !errors.Is(err, latchkey.ErrVerify) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	for path := range l.files {
		if !strings.HasPrefix(path, "tile/") {
			continue
		}
		l.spoilt = path
		var failed error
		for _, err := range log.Entries(t.Context(), before, 0) {
			if err != nil {
				failed = err
			}
		}
		if failed == nil || errors.Is(failed, latchkey.ErrNotFound) {
			t.Errorf("%s was changed: %v", path, failed)
		}
		l.spoilt, l.gone = "", path
		failed = nil
		for _, err := range log.Entries(t.Context(), before, 0) {
			failed = errors.Join(failed, err)
		}
		if !errors.Is(failed, latchkey.ErrNotFound) {
			t.Errorf("%s is gone: %v", path, failed)
		}
		l.gone = ""
	}
}

func TestCheckpointPolicy(t *testing.T) {
	l := newTestLog(t)
	root := latchkey.Hash{1}
	for _, c := range []struct {
		what string
		raw  []byte
		ok   bool
	}{
		{"two of three", l.sign(5, root, 0, 2), true},
		{"all", l.sign(5, root, 0, 1, 2), true},
		{"one of three", l.sign(5, root, 1), false},
		{"nobody", l.sign(5, root), false},
		{"one witness twice", append(l.sign(5, root, 1), strings.SplitAfter(string(l.sign(5, root, 1)), "\n\n")[1]...), false},
		{"another log's name", l.other("evil.example/log/2026", 5), false},
		{"a changed size", bytes.Replace(l.sign(5, root, 0, 1), []byte("\n5\n"), []byte("\n6\n"), 1), false},
		{"garbage", []byte("garbage"), false},
	} {
		cp, err := l.policy.Checkpoint(c.raw)
		if c.ok && (err != nil || cp.Size != 5 || time.Since(cp.Witnessed) > time.Hour) {
			t.Errorf("%s: %+v, %v", c.what, cp, err)
		}
		if !c.ok && !errors.Is(err, latchkey.ErrVerify) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// other is a checkpoint of another name, signed by the same keys.
func (l *testLog) other(origin string, size int) []byte {
	raw, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, size, latchkey.B64(make([]byte, 32)))}, l.log, l.witnesses[0], l.witnesses[1])
	if err != nil {
		l.t.Fatal(err)
	}
	return raw
}

func TestPolicies(t *testing.T) {
	l := newTestLog(t)
	good := l.text()
	for what, text := range map[string]string{
		"no log":                    strings.Replace(good, "log ", "# log ", 1),
		"no operator":               strings.Replace(good, "operator ", "# ", 1),
		"no quorum":                 strings.Replace(good, "quorum some", "", 1),
		"two quorums":               good + "quorum none\n",
		"a quorum of nobody known":  strings.Replace(good, "quorum some", "quorum all", 1),
		"a group of too few":        strings.Replace(good, "some 2 one two three", "some 4 one two three", 1),
		"a group of none":           strings.Replace(good, "some 2 one two three", "some 0 one two three", 1),
		"a member twice":            strings.Replace(good, "some 2 one two three", "some 2 one one three", 1),
		"a member not defined":      strings.Replace(good, "some 2 one two three", "some 2 one two four", 1),
		"a name twice":              strings.Replace(good, "witness two", "witness one", 1),
		"one key under two names":   strings.Replace(good, l.witnesses[1].vkey, l.witnesses[0].vkey, 1),
		"a witness's key for a log": strings.Replace(good, l.log.vkey, l.witnesses[0].vkey, 1),
		"no key":                    strings.Replace(good, l.auditor.vkey, "anna+12345678+AAAA", 1),
		"an unknown word":           good + "friend x\n",
		"too large":                 good + strings.Repeat("#", MaxPolicy),
	} {
		if _, err := ParsePolicy(text); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// household is one household's part of a log.
type household struct {
	key   [TagSize]byte
	texts []latchkey.Hash
}

// proofOf makes a log with a set of it, and the household's proof.
func proofOf(t testing.TB, l *testLog, h *household, others int, signers ...note.Signer) Completeness {
	t.Helper()
	rand.Read(h.key[:])
	var all []Element
	for seq, text := range h.texts {
		all = append(all, Element{TagOf(&h.key, uint64(seq)), text})
	}
	for range others {
		e := Element{}
		rand.Read(e.Tag[:])
		rand.Read(e.Value[:])
		all = append(all, e)
	}
	for _, e := range all {
		l.add(Entry{Tag: e.Tag, Value: e.Value}.Encode())
	}
	set, err := NewSet(all)
	if err != nil {
		t.Fatal(err)
	}
	said := SetNote{Origin: testOrigin, Size: int64(len(l.entries)), Count: int64(set.Len()), Root: set.Root(), Time: time.Now().Add(-time.Minute).Truncate(time.Second)}
	raw, err := note.Sign(&note.Note{Text: said.Text()}, l.operator)
	if err != nil {
		t.Fatal(err)
	}
	l.add(Entry{Note: raw}.Encode())
	c := l.publish()
	n, err := note.Open(raw, note.VerifierList(l.policy.Operator.verifier))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(n, signers...)
	if err != nil {
		t.Fatal(err)
	}
	log, err := NewLog(l.policy, l.fetch).Prove(t.Context(), c, c.Size-1)
	if err != nil {
		t.Fatal(err)
	}
	seq := uint64(len(h.texts) - 1)
	return Completeness{Seq: seq, Set: signed, Log: log, Present: set.Prove(TagOf(&h.key, seq)), Absent: set.Prove(TagOf(&h.key, seq+1))}
}

func TestCompleteness(t *testing.T) {
	l := newTestLog(t)
	h := &household{texts: []latchkey.Hash{{1}, {2}, {3}}}
	proof := proofOf(t, l, h, 90, l.auditor)
	raw := proof.Encode()
	parsed, err := ParseCompleteness(raw)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parsed.Check(l.policy, &h.key)
	if err != nil || got.Seq != 2 || got.Head != h.texts[2] {
		t.Fatalf("%+v, %v", got, err)
	}
	if got.At != got.Set.Time {
		t.Errorf("complete up to %v, the set is of %v", got.At, got.Set.Time)
	}
	t.Logf("a completeness proof over %d tags has %d bytes", got.Set.Count, len(raw))

	refused := func(what string, change func(c *Completeness)) {
		t.Helper()
		c := proof
		change(&c)
		if _, err := c.Check(l.policy, &h.key); !errors.Is(err, latchkey.ErrVerify) && !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("an older head", func(c *Completeness) { c.Seq = 1 })
	refused("a later head", func(c *Completeness) { c.Seq = 3 })
	refused("the next one proven by the proof of the last", func(c *Completeness) { c.Absent = c.Present })
	refused("the last one proven by the proof of the next", func(c *Completeness) { c.Present = c.Absent })
	refused("another place in the log", func(c *Completeness) { c.Log.Index-- })
	refused("no quorum", func(c *Completeness) { c.Log.Checkpoint = l.sign(l.published.Size, l.published.Root, 0) })
	refused("no auditor", func(c *Completeness) { c.Set = l.entries[len(l.entries)-1][1:] })
	other := [TagSize]byte{9}
	if _, err := proof.Check(l.policy, &other); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("another household's key: %v", err)
	}
	merged, err := l.policy.MergeSet(l.entries[len(l.entries)-1][1:], proof.Set)
	if err != nil || !bytes.Equal(merged, proof.Set) {
		t.Errorf("merging the auditor's line: %v", err)
	}
}

// vectors are the seeds of the fuzz targets, good and bad.
func vectors(f *testing.F) (v testkit.Ledger) {
	testkit.Load(f, "ledger", &v)
	return v
}

func FuzzEntry(f *testing.F) {
	v := vectors(f)
	for _, x := range v.Entries {
		f.Add([]byte(x.Entry))
	}
	for _, x := range v.BadEntries {
		f.Add([]byte(x.Bytes))
	}
	f.Add(Entry{Tag: Tag{1}}.Encode())
	f.Add(Entry{Note: []byte("latchkey/v1 set\n\n— x y\n")}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := ParseEntry(b); err == nil && !bytes.Equal(e.Encode(), b) {
			t.Fatal("it encodes to other bytes")
		}
	})
}

func FuzzSetProof(f *testing.F) {
	v := vectors(f)
	for _, x := range append(v.Sets[len(v.Sets)-1].Proofs, v.BrokenProofs...) {
		f.Add([]byte(x.Proof))
	}
	f.Add(SetProof{Siblings: make([]latchkey.Hash, 2), Leaf: &Element{}}.Encode())
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseSetProof(b)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Encode(), b) {
			t.Fatal("it encodes to other bytes")
		}
		_, _, _ = p.Check(latchkey.Hash{}, Tag{})
	})
}

func FuzzProof(f *testing.F) {
	for _, x := range vectors(f).Inclusion {
		f.Add([]byte(x.Proof))
	}
	f.Add(Proof{Index: 3, Hashes: make([]latchkey.Hash, 2), Checkpoint: []byte("a\n1\nb\n"), Extra: []byte{1}}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ParseProof(b); err == nil && !bytes.Equal(p.Encode(), b) {
			t.Fatal("it encodes to other bytes")
		}
	})
}

func FuzzCompleteness(f *testing.F) {
	for _, x := range vectors(f).Completeness {
		f.Add([]byte(x.File))
	}
	f.Add(Completeness{Seq: 3, Set: []byte("x"), Log: Proof{Checkpoint: []byte("y")}}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseCompleteness(b); err == nil && !bytes.Equal(c.Encode(), b) {
			t.Fatal("it encodes to other bytes")
		}
	})
}

func FuzzSetNote(f *testing.F) {
	for _, x := range vectors(f).SetNotes {
		if text, _, ok := strings.Cut(x.Note, "\n\n"); ok {
			f.Add(text + "\n")
		}
	}
	f.Add(SetNote{Origin: "x", Time: time.Unix(5, 0)}.Text())
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseSetNote(s); err == nil && n.Text() != s {
			t.Fatal("it encodes to other bytes")
		}
	})
}

func FuzzPolicy(f *testing.F) {
	v := vectors(f)
	f.Add(v.Policy)
	for _, x := range v.BadPolicies {
		f.Add(x.Text)
	}
	f.Add(newTestLog(f).text())
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParsePolicy(s); err == nil && p.String() != s {
			t.Fatal("it is another text")
		}
	})
}

func FuzzReleased(f *testing.F) {
	for _, x := range vectors(f).Releases {
		f.Add([]byte(x.File))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReleased(b)
		if err == nil && !bytes.Equal(r.Encode(), b) {
			t.Fatal("it encodes to other bytes")
		}
	})
}

func FuzzRelease(f *testing.F) {
	f.Add(Release{Kind: "web", Version: "1", Source: "0f"}.Text())
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseRelease(s); err == nil && r.Text() != s {
			t.Fatal("it encodes to other bytes")
		}
	})
}

func FuzzStaff(f *testing.F) {
	for _, x := range vectors(f).Staff {
		f.Add(textOfNote(x.Note))
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseStaff(s); err == nil && n.Text() != s {
			t.Fatal("it encodes to other bytes")
		}
	})
}

func FuzzLegal(f *testing.F) {
	v := vectors(f)
	for _, x := range v.Legals {
		f.Add(textOfNote(x.Note))
	}
	for _, x := range v.Notices {
		f.Add(textOfNote(x.Note))
	}
	f.Fuzz(func(t *testing.T, s string) {
		if l, err := ParseLegal(s); err == nil && l.Text() != s {
			t.Fatal("a legal note encodes to other bytes")
		}
		if n, err := ParseNotice(s); err == nil && n.Text() != s {
			t.Fatal("a notice encodes to other bytes")
		}
	})
}

func textOfNote(note string) string {
	text, _, _ := strings.Cut(note, "\n\n")
	return text + "\n"
}

func FuzzManifest(f *testing.F) {
	for _, x := range vectors(f).Manifests {
		f.Add([]byte(x.Text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			return
		}
		if again, err := m.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("it encodes to other bytes: %v", err)
		}
	})
}

func FuzzBundle(f *testing.F) {
	f.Add([]byte{0, 1, 7, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := ParseBundle(b)
		if err != nil {
			return
		}
		var again []byte
		for _, e := range entries {
			again = append(binary.BigEndian.AppendUint16(again, uint16(len(e))), e...)
		}
		if !bytes.Equal(again, b) {
			t.Fatal("it encodes to other bytes")
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	for _, x := range vectors(f).Checkpoints {
		if text, _, ok := strings.Cut(x.Note, "\n\n"); ok {
			f.Add(text + "\n")
		}
	}
	f.Add("a\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCheckpoint(s)
		if err == nil && !strings.HasPrefix(s, fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, latchkey.B64(c.Root[:]))) {
			t.Fatal("it encodes to other bytes")
		}
	})
}

// BenchmarkSet measures a set of so many tags: making it, proving from it, and
// the bytes of a proof.
func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		all := make([]Element, n)
		for i := range all {
			rand.Read(all[i].Tag[:])
		}
		b.Run(fmt.Sprintf("make/%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, err := NewSet(all); err != nil {
					b.Fatal(err)
				}
			}
		})
		s, err := NewSet(all)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("prove/%d", n), func(b *testing.B) {
			size, i := 0, 0
			for b.Loop() {
				size += len(s.Prove(all[i%n].Tag).Encode())
				i++
			}
			b.ReportMetric(float64(size)/float64(i), "bytes/proof")
		})
	}
}
