package uplinktest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/signkey"
	"latchkey.dev/latchkey/ledger"
)

// PublicLog is the public log of a fake cloud, with one witness. Every statement
// of the chain stands in it at once, and is proven at once, unless it is told
// otherwise.
type PublicLog struct {
	t   testing.TB
	key [ledger.TagSize]byte

	mu       sync.Mutex
	log      note.Signer
	operator note.Signer
	root     note.Signer // says who is staff
	raw      signkey.Key // the operator's
	witness  *witness
	policy   string
	entries  [][]byte
	hashes   []tlog.Hash
	elements []ledger.Element
	set      madeSet
	held     bool
	down     bool
}

// madeSet is a published set.
type madeSet struct {
	note  []byte
	index int64
	tree  *ledger.Set
	seq   uint64
}

const (
	logOrigin = "fake.invalid/log/2026"
	logPath   = "/log/2026/"
)

func newPublicLog(t testing.TB) *PublicLog {
	t.Helper()
	l := &PublicLog{t: t, witness: newWitness()}
	_, _ = rand.Read(l.key[:])
	var logKey, rootKey string
	l.log, logKey = newSigner(t, logOrigin)
	l.root, rootKey = newSigner(t, "staff.invalid")
	var err error
	if l.raw.Private, l.raw.VKey, err = note.GenerateKey(rand.Reader, "fake.invalid"); err != nil {
		t.Fatal(err)
	}
	if l.operator, err = l.raw.Signer(); err != nil {
		t.Fatal(err)
	}
	l.policy = fmt.Sprintf("log %s\noperator %s\nwitness anna %s\nquorum anna\nstaffroot staff %s\n", logKey, l.raw.VKey, l.witness.vkey, rootKey)
	return l
}

func newSigner(t testing.TB, name string) (note.Signer, string) {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return s, public
}

// witness cosigns at a time of the test's choice.
type witness struct {
	private ed25519.PrivateKey
	vkey    string
	hash    uint32
	at      time.Time // zero: now
}

func newWitness() *witness {
	public, private, _ := ed25519.GenerateKey(nil) // never fails
	raw := append([]byte{4}, public...)
	sum := sha256.Sum256([]byte("anna.invalid\n" + string(raw)))
	return &witness{
		private: private, hash: binary.BigEndian.Uint32(sum[:4]),
		vkey: "anna.invalid+" + hex.EncodeToString(sum[:4]) + "+" + latchkey.B64(raw),
	}
}

func (w *witness) Name() string    { return "anna.invalid" }
func (w *witness) KeyHash() uint32 { return w.hash }
func (w *witness) Sign(text []byte) ([]byte, error) {
	at := w.now()
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at.Unix(), text)
	return append(binary.BigEndian.AppendUint64(nil, uint64(at.Unix())), ed25519.Sign(w.private, []byte(signed))...), nil
}

func (w *witness) now() time.Time {
	if w.at.IsZero() {
		return time.Now()
	}
	return w.at
}

// Policy is what /log/policy serves, for genesis.
func (l *PublicLog) Policy() *ledger.Policy {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, err := ledger.ParsePolicy(l.policy)
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// TagKey is K_tag; genesis has its hash.
func (l *PublicLog) TagKey() [ledger.TagSize]byte { return l.key }

// Hold keeps the proof of now, whatever is added; false makes new ones again.
func (l *PublicLog) Hold(held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held = held; held && l.set.tree == nil {
		l.publish()
	}
}

// SetDown makes the log, not the cloud, answer with errors.
func (l *PublicLog) SetDown(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
}

// Freeze makes the witness, and the sets, stand still at this time; the zero time
// lets them go on.
func (l *PublicLog) Freeze(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.witness.at = at
	l.publish()
}

// Fork begins another log in the place of this one, with the same keys and the
// same statements: the witness is in league with it.
func (l *PublicLog) Fork() {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.entries)
	l.entries, l.hashes, l.set = nil, nil, madeSet{}
	for range before + 1 {
		l.add(ledger.Entry{Note: []byte("latchkey/v1 set\nof another world\n\n— x AAAAAAA=\n")})
	}
	for _, e := range l.elements {
		l.add(ledger.Entry{Tag: e.Tag, Value: e.Value})
	}
}

// NewRoot has another key say who is staff from now on, and returns the policy that
// names it.
func (l *PublicLog) NewRoot() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	signer, key := newSigner(l.t, "staff2.invalid")
	rest, _, _ := strings.Cut(l.policy, "staffroot ")
	l.root, l.policy = signer, rest+"staffroot staff "+key+"\n"
	return l.policy
}

// Rename gives the server another operator than genesis names.
func (l *PublicLog) Rename() {
	l.mu.Lock()
	defer l.mu.Unlock()
	signer, key := newSigner(l.t, "other.invalid")
	_, rest, _ := strings.Cut(l.policy, "\noperator ")
	_, rest, _ = strings.Cut(rest, "\n")
	log, _, _ := strings.Cut(l.policy, "\n")
	l.operator, l.policy = signer, log+"\noperator "+key+"\n"+rest
}

// Slip adds a statement of the household that no chain shows.
func (l *PublicLog) Slip() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(latchkey.Hash(sha256.Sum256([]byte("kept back"))))
}

// take adds the statements that are new.
func (l *PublicLog) take(notes [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, raw := range notes[min(len(l.elements), len(notes)):] {
		n, err := chain.ParseNote(raw)
		if err != nil {
			l.t.Errorf("fake cloud: log: %v", err)
			return
		}
		l.append(n.Hash())
	}
}

func (l *PublicLog) append(value latchkey.Hash) {
	e := ledger.Element{Tag: ledger.TagOf(&l.key, uint64(len(l.elements))), Value: value}
	l.elements = append(l.elements, e)
	l.add(ledger.Entry{Tag: e.Tag, Value: e.Value})
}

func (l *PublicLog) add(e ledger.Entry) {
	raw := e.Encode()
	stored, err := tlog.StoredHashes(int64(len(l.entries)), raw, l)
	if err != nil {
		l.t.Errorf("fake cloud: log: %v", err)
		return
	}
	l.hashes, l.entries = append(l.hashes, stored...), append(l.entries, raw)
}

// ReadHashes implements tlog.HashReader; callers hold mu.
func (l *PublicLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(l.hashes)) {
			return nil, latchkey.ErrNotFound
		}
		out[i] = l.hashes[x]
	}
	return out, nil
}

// publish makes the set of all statements.
func (l *PublicLog) publish() {
	if len(l.elements) == 0 {
		return
	}
	tree, err := ledger.NewSet(l.elements)
	if err != nil {
		l.t.Errorf("fake cloud: set: %v", err)
		return
	}
	said := ledger.SetNote{Origin: logOrigin, Size: int64(len(l.entries)), Count: int64(len(l.elements)), Root: tree.Root(), Time: l.witness.now()}
	raw, err := note.Sign(&note.Note{Text: said.Text()}, l.operator)
	if err != nil {
		l.t.Errorf("fake cloud: set: %v", err)
		return
	}
	l.set = madeSet{note: raw, index: int64(len(l.entries)), tree: tree, seq: uint64(len(l.elements) - 1)}
	l.add(ledger.Entry{Note: raw})
}

func (l *PublicLog) checkpoint() ([]byte, error) {
	size := int64(len(l.entries))
	root, err := tlog.TreeHash(size, l)
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", logOrigin, size, latchkey.B64(root[:]))}, l.log, l.witness)
}

// Completeness is the newest proof.
func (l *PublicLog) Completeness() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("the log is down"))
	}
	if !l.held && (l.set.tree == nil || l.set.seq+1 != uint64(len(l.elements))) {
		l.publish()
	}
	if l.set.tree == nil {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no set yet"))
	}
	c, err := l.checkpoint()
	if err != nil {
		return nil, err
	}
	hashes, err := tlog.ProveRecord(int64(len(l.entries)), l.set.index, l)
	if err != nil {
		return nil, err
	}
	p := ledger.Proof{Index: l.set.index, Checkpoint: c}
	for _, h := range hashes {
		p.Hashes = append(p.Hashes, latchkey.Hash(h))
	}
	return ledger.Completeness{
		Seq: l.set.seq, Set: l.set.note, Log: p,
		Present: l.set.tree.Prove(ledger.TagOf(&l.key, l.set.seq)), Absent: l.set.tree.Prove(ledger.TagOf(&l.key, l.set.seq+1)),
	}.Encode(), nil
}

// ServeHTTP serves the log's files.
func (l *PublicLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, err := l.file(r.URL.Path)
	switch {
	case l.down:
		http.Error(w, "the log is down", http.StatusServiceUnavailable)
	case err != nil:
		http.NotFound(w, r)
	default:
		_, _ = w.Write(b) // the hub has gone
	}
}

func (l *PublicLog) file(path string) ([]byte, error) {
	switch path {
	case "/log/policy":
		return []byte(l.policy), nil
	case logPath + "checkpoint":
		return l.checkpoint()
	}
	tile, err := tlog.ParseTilePath("tile/8/" + strings.TrimPrefix(path, logPath+"tile/"))
	if err != nil {
		return nil, err
	}
	return tlog.ReadTileData(tile, l)
}

// GetLogTagKey hands out K_tag.
func (s chains) GetLogTagKey(context.Context, *connect.Request[latchkeyv1.GetLogTagKeyRequest]) (*connect.Response[latchkeyv1.GetLogTagKeyResponse], error) {
	return connect.NewResponse(&latchkeyv1.GetLogTagKeyResponse{Key: s.Log.key[:]}), nil
}

// GetCompleteness proves the chain.
func (s chains) GetCompleteness(context.Context, *connect.Request[latchkeyv1.GetCompletenessRequest]) (*connect.Response[latchkeyv1.GetCompletenessResponse], error) {
	proof, err := s.Log.Completeness()
	if err != nil {
		return nil, err
	}
	return connect.NewResponse(&latchkeyv1.GetCompletenessResponse{Proof: proof}), nil
}

// Operator signs what the operator writes into chains.
func (l *PublicLog) Operator() chain.Signer {
	raw, err := l.raw.Ed25519()
	if err != nil {
		l.t.Fatal(err)
	}
	return raw
}

// Staff signs, as the staff root, that somebody is staff, puts it into the log,
// and proves that.
func (l *PublicLog) Staff(s ledger.Staff) (signed, proof []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.logged(s.Text(), l.root)
}

// Impostor is Staff by the operator's own key.
func (l *PublicLog) Impostor(s ledger.Staff) (signed, proof []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.logged(s.Text(), l.operator)
}

func (l *PublicLog) logged(text string, by note.Signer) (signed, proof []byte) {
	signed, err := note.Sign(&note.Note{Text: text}, by)
	if err != nil {
		l.t.Fatal(err)
	}
	l.add(ledger.Entry{Note: signed})
	return signed, l.prove(int64(len(l.entries)-1), nil)
}

// Prove proves statement seq of the chain.
func (l *PublicLog) Prove(seq uint64) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.elements[seq]
	want := string(ledger.Entry{Tag: e.Tag, Value: e.Value}.Encode())
	for i, raw := range l.entries {
		if string(raw) == want {
			return l.prove(int64(i), e.Tag[:])
		}
	}
	l.t.Fatalf("statement %d is not in the log", seq)
	return nil
}

func (l *PublicLog) prove(index int64, extra []byte) []byte {
	c, err := l.checkpoint()
	if err != nil {
		l.t.Fatal(err)
	}
	hashes, err := tlog.ProveRecord(int64(len(l.entries)), index, l)
	if err != nil {
		l.t.Fatal(err)
	}
	p := ledger.Proof{Extra: extra, Index: index, Checkpoint: c}
	for _, h := range hashes {
		p.Hashes = append(p.Hashes, latchkey.Hash(h))
	}
	return p.Encode()
}
