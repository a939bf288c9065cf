package watch

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/ledger"
)

const origin = "latchkey.example/log/2026"

// operator is a log of up to 256 entries that does what a test says.
type operator struct {
	t             *testing.T
	log, signer   note.Signer
	logV, signerV string
	auditor       string
	releasers     []note.Signer
	releaserLines string

	mu      sync.Mutex
	entries [][]byte
	lines   [][]byte // set notes that were handed in
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	o := &operator{t: t}
	o.log, o.logV = signer(t, origin)
	o.signer, o.signerV = signer(t, "latchkey.example")
	for _, name := range []string{"rhea", "rolf"} {
		s, vkey := signer(t, name+".example")
		o.releasers = append(o.releasers, s)
		o.releaserLines += "releaser " + name + " " + vkey + "\n"
	}
	return o
}

func signer(t *testing.T, name string) (note.Signer, string) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return s, vkey
}

func (o *operator) policy() string {
	p := "log " + o.logV + "\noperator " + o.signerV + "\nquorum none\n" + o.releaserLines
	if o.auditor != "" {
		p += "auditor carla " + o.auditor + "\n"
	}
	return p
}

func (o *operator) add(entries ...[]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.entries = append(o.entries, entries...)
}

// hashes are all stored hashes of the entries.
type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h[x]
	}
	return out, nil
}

func (o *operator) tree() hashes {
	var h hashes
	for i, e := range o.entries {
		more, err := tlog.StoredHashes(int64(i), e, h)
		if err != nil {
			o.t.Fatal(err)
		}
		h = append(h, more...)
	}
	return h
}

func (o *operator) checkpoint() []byte {
	root, err := tlog.TreeHash(int64(len(o.entries)), o.tree())
	if err != nil {
		o.t.Fatal(err)
	}
	raw, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", origin, len(o.entries), latchkey.B64(root[:]))}, o.log)
	if err != nil {
		o.t.Fatal(err)
	}
	return raw
}

func (o *operator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.entries)
	switch path := r.URL.Path; {
	case path == "/log/policy":
		io.WriteString(w, o.policy())
	case path == "/log/2026/checkpoint":
		w.Write(o.checkpoint())
	case path == fmt.Sprintf("/log/2026/tile/0/000.p/%d", n):
		for _, e := range o.entries {
			h := tlog.RecordHash(e)
			w.Write(h[:])
		}
	case path == fmt.Sprintf("/log/2026/tile/entries/000.p/%d", n):
		for _, e := range o.entries {
			w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(e))), e...))
		}
	case strings.HasPrefix(path, "/log/2026/set/") && r.Method == http.MethodPost:
		b, _ := io.ReadAll(r.Body)
		o.lines = append(o.lines, b)
		w.WriteHeader(http.StatusNoContent)
	default:
		http.NotFound(w, r)
	}
}

func leaf(n byte) ledger.Element {
	return ledger.Element{Tag: ledger.Tag{n, 7}, Value: latchkey.Hash{n}}
}

func entry(e ledger.Element) []byte { return ledger.Entry{Tag: e.Tag, Value: e.Value}.Encode() }

// set is a set note over what the operator says.
func (o *operator) set(size int64, elements ...ledger.Element) []byte {
	o.t.Helper()
	s, err := ledger.NewSet(elements)
	if err != nil {
		o.t.Fatal(err)
	}
	said := ledger.SetNote{Origin: origin, Size: size, Count: int64(s.Len()), Root: s.Root(), Time: time.Unix(1_800_000_000, 0)}
	raw, err := note.Sign(&note.Note{Text: said.Text()}, o.signer)
	if err != nil {
		o.t.Fatal(err)
	}
	return raw
}

// release is a release note that these have signed.
func (o *operator) release(by ...note.Signer) []byte {
	o.t.Helper()
	raw, err := note.Sign(&note.Note{Text: ledger.Release{Kind: "web", Version: "1", Source: "0f"}.Text()}, by...)
	if err != nil {
		o.t.Fatal(err)
	}
	return ledger.Entry{Note: raw}.Encode()
}

func newAuditor(t *testing.T, dir, server string) *Auditor {
	t.Helper()
	a, err := OpenAuditor(durable.Disk{}, dir, "carla.example", server, http.DefaultClient, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAuditor(t *testing.T) {
	o := newOperator(t)
	server := httptest.NewServer(o)
	defer server.Close()
	dir := t.TempDir()
	a := newAuditor(t, dir, server.URL)
	o.auditor = a.VKey()
	o.add(entry(leaf(1)), entry(leaf(2)))
	o.add(ledger.Entry{Note: o.set(2, leaf(1), leaf(2))}.Encode(), o.release(o.releasers...), entry(leaf(3)))
	if n, err := a.Round(t.Context()); n != 5 || err != nil {
		t.Fatalf("%d entries, %v", n, err)
	}
	p, err := ledger.ParsePolicy(o.policy())
	if err != nil || len(o.lines) != 1 {
		t.Fatalf("%d set notes handed in, %v", len(o.lines), err)
	}
	if s, err := p.Set(o.lines[0]); err != nil || s.Count != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	// It goes on after a restart, from what it kept.
	a = newAuditor(t, dir, server.URL)
	o.add(ledger.Entry{Note: o.set(5, leaf(1), leaf(2), leaf(3))}.Encode())
	if n, err := a.Round(t.Context()); n != 6 || err != nil || len(o.lines) != 2 {
		t.Fatalf("%d entries, %d lines, %v", n, len(o.lines), err)
	}
}

// TestGrowingSet: it has the root of the set that is made at once, after every
// element, also of tags that agree in all bits but the last.
func TestGrowingSet(t *testing.T) {
	var g growing
	var all []ledger.Element
	near := leaf(1)
	near.Tag[31] ^= 1
	for i := range 300 {
		e := leaf(1)
		switch i {
		case 0:
		case 1:
			e = near
		default:
			rand.Read(e.Tag[:])
		}
		all = append(all, e)
		g.add(e)
		s, err := ledger.NewSet(all)
		if err != nil {
			t.Fatal(err)
		}
		if i%7 < 2 && g.sum() != s.Root() || g.n != s.Len() {
			t.Fatalf("another root at %d", i)
		}
	}
	if (&growing{}).sum() != (latchkey.Hash{}) {
		t.Error("of nothing")
	}
}

// TestC15AuditorCatches is claim C15, and what else an operator must not do.
func TestC15AuditorCatches(t *testing.T) {
	for what, c := range map[string]struct {
		lie  func(o *operator)
		says []string
	}{
		"two leaves with one tag": {func(o *operator) {
			twice := leaf(1)
			twice.Value = latchkey.Hash{99}
			o.add(entry(twice))
		}, []string{"entries 0 and 2 have one tag", fmt.Sprintf("%x", entry(leaf(1)))}},
		"one leaf twice":             {func(o *operator) { o.add(entry(leaf(1))) }, []string{"entries 0 and 2 have one tag"}},
		"a leaf left out of the set": {func(o *operator) { o.add(ledger.Entry{Note: o.set(2, leaf(1))}.Encode()) }, []string{"is said to be 1 tags"}},
		"a leaf made up":             {func(o *operator) { o.add(ledger.Entry{Note: o.set(2, leaf(1), leaf(2), leaf(9))}.Encode()) }, []string{"is said to be 3 tags"}},
		"another value": {func(o *operator) {
			e := leaf(2)
			e.Value = latchkey.Hash{5}
			o.add(ledger.Entry{Note: o.set(2, leaf(1), e)}.Encode())
		}, []string{"is said to be 2 tags"}},
		"a set of more than there was": {func(o *operator) { o.add(ledger.Entry{Note: o.set(3, leaf(1), leaf(2))}.Encode()) }, []string{"is none of this log"}},
		"no entry at all":              {func(o *operator) { o.add([]byte("x")) }, []string{"it is no entry"}},
		"a set that somebody else signed": {func(o *operator) {
			o.signer, _ = signer(o.t, "evil.example")
			o.add(ledger.Entry{Note: o.set(2, leaf(1), leaf(2))}.Encode())
		}, []string{"is not signed by the operator"}},
		"a release that one alone signed":    {func(o *operator) { o.add(o.release(o.releasers[0])) }, []string{"the release at entry 2 does not hold", "version 1"}},
		"a release that the operator signed": {func(o *operator) { o.add(o.release(o.signer)) }, []string{"the release at entry 2 does not hold"}},
		"a set of fewer entries than the one before": {func(o *operator) {
			o.add(ledger.Entry{Note: o.set(2, leaf(1), leaf(2))}.Encode(), ledger.Entry{Note: o.set(1, leaf(2))}.Encode())
		}, []string{"the set at entry 3 is said to be 1 tags"}},
		"a log that shrinks": {func(o *operator) { o.entries = o.entries[:1] }, []string{"shrunk", "both checkpoints are signed"}},
		"a fork":             {func(o *operator) { o.entries = [][]byte{entry(leaf(1)), entry(leaf(8)), entry(leaf(2))} }, []string{"does not begin with"}},
	} {
		t.Run(what, func(t *testing.T) {
			o := newOperator(t)
			server := httptest.NewServer(o)
			defer server.Close()
			a := newAuditor(t, t.TempDir(), server.URL)
			o.add(entry(leaf(1)), entry(leaf(2)))
			if _, err := a.Round(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.lie(o)
			_, err := a.Round(t.Context())
			var m *Misbehaviour
			if !errors.As(err, &m) || !errors.Is(err, latchkey.ErrVerify) {
				t.Fatalf("%v", err)
			}
			for _, words := range c.says {
				if !strings.Contains(m.Text, words) {
					t.Errorf("%q is not in: %s", words, m.Text)
				}
			}
			if len(o.lines) > 0 {
				t.Error("it vouched all the same")
			}
		})
	}
}

// ask posts a checkpoint as a log does.
func ask(t *testing.T, w *Witness, old int64, proof []tlog.Hash, checkpoint []byte) (int, string) {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, "old %d\n", old)
	for _, h := range proof {
		b.WriteString(latchkey.B64(h[:]) + "\n")
	}
	b.WriteByte('\n')
	b.Write(checkpoint)
	return post(w, b.String())
}

func post(w *Witness, body string) (int, string) {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/add-checkpoint", strings.NewReader(body)))
	return rec.Code, rec.Body.String()
}

func TestWitness(t *testing.T) {
	o := newOperator(t)
	dir := t.TempDir()
	open := func() *Witness {
		w, err := OpenWitness(durable.Disk{}, dir, "anna.example")
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := open()
	o.add(entry(leaf(1)), entry(leaf(2)))
	two := o.checkpoint()
	expect := func(what string, want int, got int, body string) string {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d %q, want %d", what, got, body, want)
		}
		return body
	}
	try := func(what string, want int, old int64, proof []tlog.Hash, checkpoint []byte) string {
		t.Helper()
		code, body := ask(t, w, old, proof, checkpoint)
		return expect(what, want, code, body)
	}
	try("a log that nobody named", 404, 0, nil, two)
	if err := w.Follow(o.logV); err != nil {
		t.Fatal(err)
	}
	line := try("the first", 200, 0, nil, two)
	p, err := ledger.ParsePolicy("log " + o.logV + "\noperator " + o.signerV + "\nwitness anna " + w.VKey() + "\nquorum anna\n")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := p.Checkpoint(append(bytes.Clone(two), line...)); err != nil || time.Since(c.Witnessed) > time.Minute {
		t.Errorf("its line: %+v, %v", c, err)
	}
	try("the same again", 200, 2, nil, two)
	o.add(entry(leaf(3)))
	three := o.checkpoint()
	proof, err := tlog.ProveTree(3, 2, o.tree())
	if err != nil {
		t.Fatal(err)
	}
	if body := try("an old size that is not ours", 409, 0, nil, three); body != "2\n" {
		t.Errorf("it says %q", body)
	}
	try("no proof", 422, 2, nil, three)
	try("another's proof", 422, 2, []tlog.Hash{{1}}, three)
	try("the proof", 200, 2, proof, three)
	w = open() // after a restart it knows how far it went
	if err := w.Follow(o.logV); err != nil {
		t.Fatal(err)
	}
	try("back to before", 400, 3, nil, two)
	fork := newOperator(t)
	fork.log, fork.logV = o.log, o.logV
	fork.add(entry(leaf(7)), entry(leaf(8)), entry(leaf(9)))
	try("another log of the same size", 409, 3, nil, fork.checkpoint())
	other := newOperator(t)
	other.add(entry(leaf(1)))
	try("another key of the same name", 403, 3, nil, other.checkpoint())
	if err := w.Follow(other.logV); !errors.Is(err, latchkey.ErrConflict) {
		t.Errorf("following it: %v", err)
	}
	for _, body := range []string{"", "old", "old -1\n\nx", "old 03\n\nx", "old 3\nzz\n\nx", "new 3\n\nx", "old 3\n"} {
		code, answer := post(w, body)
		expect(fmt.Sprintf("%q", body), 400, code, answer)
	}
}

// TestWitnessStoresFirst: what it cannot store, it does not sign.
func TestWitnessStoresFirst(t *testing.T) {
	o := newOperator(t)
	dir := t.TempDir()
	w, err := OpenWitness(durable.Disk{}, dir, "anna.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Follow(o.logV); err != nil {
		t.Fatal(err)
	}
	w.dir = dir + "/gone"
	o.add(entry(leaf(1)))
	if code, body := ask(t, w, 0, nil, o.checkpoint()); code != 500 || strings.Contains(body, "anna") {
		t.Errorf("%d %q", code, body)
	}
	w.dir = dir
	if code, _ := ask(t, w, 0, nil, o.checkpoint()); code != 200 {
		t.Errorf("with its folder back: %d", code)
	}
}

func FuzzWitness(f *testing.F) {
	f.Add("old 0\n\nx\n1\nAAAA\n\n— x y\n")
	w, err := OpenWitness(durable.Disk{}, f.TempDir(), "anna.example")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if code, _ := post(w, body); code == 200 || code == 500 {
			t.Fatalf("%d", code)
		}
	})
}
