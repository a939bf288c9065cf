package hub

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/spool"
	"latchkey.dev/latchkey/part"
)

// epochBook keeps the epoch notes with their capsules on disk, one file each:
// epochs/<n, 16 digits>-<epoch>.epoch, an UplinkEpoch message. A file is there
// before the first part of its epoch is sealed, and stays until the cloud has
// note and parts, the spool's files have none of its parts any more (a start
// takes what it cannot check for a torn tail), and an anchor names it. The newest always stays: the next
// note names it. It holds no secret. It implements uplink.Epochs.
type epochBook struct {
	dir  string
	fs   durable.FS
	hub  ed25519.PublicKey
	held func() []spool.Range             // what the spool still has to send
	kept func() map[latchkey.EpochID]bool // of whose parts it has the bytes
	// anchored reports which notes the chain has an anchor of; nil: of all.
	anchored func() func(latchkey.Hash) bool

	mu      sync.Mutex
	entries []*epochEntry // oldest first
}

type epochEntry struct {
	path    string
	note    chain.EpochNote
	hash    latchkey.Hash
	durable bool // in the cloud
	over    bool // nothing can be sealed in it any more
}

// openEpochs reads and checks the notes on disk. A file that does not verify
// is an error: nobody but this hub writes there.
func openEpochs(st *store, hub ed25519.PublicKey) (*epochBook, error) {
	b := &epochBook{dir: st.path("epochs"), fs: st.fs, hub: hub}
	if err := durable.MkdirAll(st.fs, b.dir, 0o700); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(b.dir) // sorted by name, hence by n
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".epoch") {
			continue
		}
		e := &epochEntry{path: filepath.Join(b.dir, f.Name()), over: true} // its keys are gone
		m, err := e.read()
		if err == nil {
			err = e.parse(m, hub)
		}
		if err != nil {
			return nil, fmt.Errorf("epoch file %s: %w", f.Name(), err)
		}
		b.entries = append(b.entries, e)
	}
	return b, nil
}

func (e *epochEntry) read() (*latchkeyv1.UplinkEpoch, error) {
	raw, err := os.ReadFile(e.path)
	if err != nil {
		return nil, err
	}
	m := &latchkeyv1.UplinkEpoch{}
	if err := proto.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("%w: %w", latchkey.ErrInvalid, err)
	}
	return m, nil
}

// parse verifies the note and that each capsule is the one it lists.
func (e *epochEntry) parse(m *latchkeyv1.UplinkEpoch, hub ed25519.PublicKey) error {
	n, err := chain.ParseNote(m.GetNote())
	if err != nil {
		return err
	}
	if err := n.Verify(hub); err != nil {
		return err
	}
	if e.note, err = chain.ParseEpochNote(n); err != nil {
		return err
	}
	e.hash = n.Hash()
	if len(m.GetSeals()) != len(m.GetCapsules()) {
		return fmt.Errorf("%w: %d seal lines for %d capsules", latchkey.ErrInvalid, len(m.GetSeals()), len(m.GetCapsules()))
	}
	lines := make([]chain.SealLine, len(m.GetSeals()))
	for i, s := range m.GetSeals() {
		copy(lines[i].Kid[:], s.GetKid())
		lines[i].Hash = sha256.Sum256(m.GetCapsules()[i].GetCapsule())
	}
	if chain.Seals(lines) != e.note.Seals {
		return fmt.Errorf("%w: the capsules are not those of the note", latchkey.ErrVerify)
	}
	return nil
}

// next returns counter and prev for the next epoch note.
func (b *epochBook) next() (n uint64, prev latchkey.Hash) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.entries) == 0 {
		return 0, latchkey.Hash{}
	}
	last := b.entries[len(b.entries)-1]
	return last.note.N + 1, last.hash
}

// made reports whether this hub has made the note. Of notes that are forgotten
// it only knows that there were some.
func (b *epochBook) made(n uint64, hash latchkey.Hash) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.entries) == 0 || n > b.entries[len(b.entries)-1].note.N {
		return false
	}
	for _, e := range b.entries {
		if e.note.N == n {
			return e.hash == hash
		}
	}
	return true
}

// newest returns the note of the newest epoch, if there was one.
func (b *epochBook) newest() (chain.EpochNote, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.entries) == 0 {
		return chain.EpochNote{}, false
	}
	return b.entries[len(b.entries)-1].note, true
}

// add makes the announcement durable. Only after that may a part be sealed
// (protocol 2.6 (3)).
func (b *epochBook) add(a seal.Announcement) error {
	m := &latchkeyv1.UplinkEpoch{Note: a.Note}
	for _, s := range a.Seals {
		m.Seals = append(m.Seals, &latchkeyv1.SealLine{Kid: s.Kid[:], Hash: s.Hash[:]})
	}
	for _, c := range a.Capsules {
		m.Capsules = append(m.Capsules, &latchkeyv1.SealedCapsule{Kid: c.Kid[:], Capsule: c.Bytes})
	}
	e := &epochEntry{}
	if err := e.parse(m, b.hub); err != nil {
		return fmt.Errorf("hub: save epoch: %w", err)
	}
	raw, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("hub: save epoch: %w", err)
	}
	e.path = filepath.Join(b.dir, fmt.Sprintf("%016d-%s.epoch", e.note.N, e.note.Epoch))
	if err := durable.WriteFile(b.fs, e.path, raw, 0o600); err != nil {
		// The file may be there all the same (its directory's fsync failed).
		// Its number must not be used by two notes.
		return errors.Join(fmt.Errorf("hub: save epoch: %w", err), b.fs.Remove(e.path))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries = append(b.entries, e)
	return nil
}

func (b *epochBook) find(id latchkey.EpochID) *epochEntry {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.entries) - 1; i >= 0; i-- {
		if b.entries[i].note.Epoch == id {
			return b.entries[i]
		}
	}
	return nil
}

// start returns when an epoch began, in unix seconds.
func (b *epochBook) start(id latchkey.EpochID) (int64, bool) {
	if e := b.find(id); e != nil {
		return e.note.Start, true
	}
	return 0, false
}

// check verifies one part by the signer of its epoch; for spool.Config.Check.
func (b *epochBook) check(p part.Part) error {
	e := b.find(p.Header.Epoch)
	if e == nil {
		return fmt.Errorf("hub: check part %v: %w: no such epoch", p.Header, latchkey.ErrNotFound)
	}
	return p.VerifySig(e.note.Signer)
}

// Pending implements uplink.Epochs. It also forgets what is not needed any more.
func (b *epochBook) Pending() []latchkey.EpochID {
	needed := map[latchkey.EpochID]bool{}
	for _, r := range b.held() {
		needed[r.Epoch] = true
	}
	kept := b.kept()
	anchored := func(latchkey.Hash) bool { return true }
	if b.anchored != nil {
		anchored = b.anchored()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []latchkey.EpochID
	keep := b.entries[:0]
	for i, e := range b.entries {
		if e.durable && !kept[e.note.Epoch] && anchored(e.hash) && i < len(b.entries)-1 {
			if err := b.fs.Remove(e.path); err == nil || errors.Is(err, fs.ErrNotExist) {
				continue
			}
		}
		keep = append(keep, e)
		if !e.durable || needed[e.note.Epoch] {
			out = append(out, e.note.Epoch)
		}
	}
	clear(b.entries[len(keep):])
	b.entries = keep
	return out
}

// end notes that an epoch is over.
func (b *epochBook) end(id latchkey.EpochID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.note.Epoch == id {
			e.over = true
		}
	}
}

// over lists the notes of epochs in which nothing can be sealed any more, by
// their hashes, the oldest first.
func (b *epochBook) over() []latchkey.Hash {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []latchkey.Hash
	for _, e := range b.entries {
		if e.over {
			out = append(out, e.hash)
		}
	}
	return out
}

// Load implements uplink.Epochs.
func (b *epochBook) Load(id latchkey.EpochID) (*latchkeyv1.UplinkEpoch, error) {
	e := b.find(id)
	if e == nil {
		return nil, fmt.Errorf("hub: load epoch %v: %w", id, latchkey.ErrNotFound)
	}
	m, err := e.read()
	if err != nil {
		return nil, fmt.Errorf("hub: load epoch %v: %w", id, err)
	}
	return m, nil
}

// Durable implements uplink.Epochs.
func (b *epochBook) Durable(id latchkey.EpochID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.note.Epoch == id {
			e.durable = true
		}
	}
}
