package seal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

const (
	// maxBack is how far a clock may step back within an epoch (protocol 2.6).
	maxBack = 2 * time.Second
	// leafKeep is how many slots before the current one Forget leaves alone.
	// Called every second, it erases each leaf at most 5 s after its slot ended.
	leafKeep = 4
)

// ErrOver means that this epoch cannot go on: its clock stepped back, its slots
// are used up, or it is closed. The hub starts a new epoch.
var ErrOver = errors.New("the epoch is over")

// ErrLate means that the slot is behind what the epoch can still seal: its leaf
// is erased already.
var ErrLate = errors.New("too late for its slot")

// Track is one track that an epoch seals.
type Track struct {
	ID   latchkey.TrackID
	Kind latchkey.TrackKind
}

// EpochParams is what the hub decides about a new epoch.
type EpochParams struct {
	Household   latchkey.HouseholdID
	Hub         chain.Signer  // the hub's identity key; in the roster of Chain
	N           uint64        // counter of this hub's epoch notes
	Prev        latchkey.Hash // H(text) of its epoch note before, or zero
	Start       time.Time     // becomes whole seconds, rounded down
	ClockSynced bool
	Chain       chain.State      // recipients are computed from it
	ProofTime   time.Time        // of the last completeness proof; zero: none yet
	Tracks      []Track          // all declared by Chain
	Last        []chain.LastHead // final heads of the previous epoch, as far as known
	Rand        io.Reader        // nil: the operating system's CSPRNG
}

// Sealed is one capsule, for one recipient.
type Sealed struct {
	Kid   latchkey.Kid // of the recipient's X-Wing key
	Bytes []byte       // LKC1
}

// Announcement is what has to be durable before the first part of the epoch is
// sealed: public-key ciphertext and signed text, safe at rest.
type Announcement struct {
	Note     []byte
	Seals    []chain.SealLine
	Capsules []Sealed
}

// Epoch seals parts. Its root keys existed only inside NewEpoch; it holds
// frontiers and a signer, in locked memory as far as possible. Safe for
// concurrent use; tracks do not wait for one another.
type Epoch struct {
	id        latchkey.EpochID
	household latchkey.HouseholdID
	hub       latchkey.Kid
	start     time.Time
	noteHash  latchkey.Hash
	signer    *keys.Signing
	mem       *locked
	sealers   map[latchkey.TrackID]*sealer

	mu     sync.Mutex // guards what follows
	latest time.Time  // newest time Forget was told
	headsN uint64
}

// NewEpoch draws an epoch with a fresh root per track and seals the roots to
// every recipient of p.Chain (protocol 2.6, 2.8). The caller makes the
// announcement durable before it calls Seal. It fails with latchkey.ErrInvalid
// if the hub or a track is not in the chain.
func NewEpoch(p EpochParams) (*Epoch, Announcement, error) {
	if p.Rand == nil {
		p.Rand = rand.Reader
	}
	p.Start = p.Start.Truncate(time.Second)
	if err := p.check(); err != nil {
		return nil, Announcement{}, fmt.Errorf("seal: new epoch: %w", err)
	}
	e := &Epoch{
		household: p.Household, hub: chain.KidOf(p.Hub.Public()), start: p.Start, latest: p.Start,
	}
	if err := e.draw(p); err != nil {
		return nil, Announcement{}, fmt.Errorf("seal: new epoch: %w", err)
	}
	roots, err := e.drawRoots(p)
	if err != nil {
		e.Close()
		return nil, Announcement{}, fmt.Errorf("seal: new epoch: %w", err)
	}
	defer eraseEntries(roots)
	ann, err := e.announce(p, roots)
	if err != nil {
		e.Close()
		return nil, Announcement{}, fmt.Errorf("seal: new epoch: %w", err)
	}
	e.plant(p, roots)
	return e, ann, nil
}

func (p EpochParams) check() error {
	if p.Chain.Household != p.Household {
		return fmt.Errorf("%w: the chain is of household %v", latchkey.ErrInvalid, p.Chain.Household)
	}
	if _, ok := p.Chain.Hubs[chain.KidOf(p.Hub.Public())]; !ok {
		return fmt.Errorf("%w: the hub is not in the household", latchkey.ErrInvalid)
	}
	seen := map[latchkey.TrackID]bool{}
	for _, t := range p.Tracks {
		_, declared, ok := p.Chain.Track(t.ID)
		if !ok || declared.Kind != t.Kind || seen[t.ID] {
			return fmt.Errorf("%w: track %v (%s) is not declared so, or given twice", latchkey.ErrInvalid, t.ID, t.Kind)
		}
		seen[t.ID] = true
	}
	return nil
}

// draw sets the epoch's id and signer.
func (e *Epoch) draw(p EpochParams) error {
	if _, err := io.ReadFull(p.Rand, e.id[:]); err != nil {
		return fmt.Errorf("draw id: %w", err)
	}
	var seed key
	defer clear(seed[:])
	if _, err := io.ReadFull(p.Rand, seed[:]); err != nil {
		return fmt.Errorf("draw signer: %w", err)
	}
	secret, err := keys.SecretFrom(seed[:])
	if err != nil {
		return err
	}
	defer secret.Erase()
	e.signer = keys.SigningFromSeed(secret)
	e.mem, err = newLocked(len(p.Tracks) * treeKeys)
	return err
}

// drawRoots draws one root per track, in the order of capsule entries.
func (e *Epoch) drawRoots(p EpochParams) ([]entry, error) {
	roots := make([]entry, len(p.Tracks))
	for i, t := range p.Tracks {
		roots[i] = entry{epoch: e.id, track: t.ID}
		if _, err := io.ReadFull(p.Rand, roots[i].key[:]); err != nil {
			eraseEntries(roots)
			return nil, fmt.Errorf("draw root: %w", err)
		}
	}
	slices.SortFunc(roots, func(a, b entry) int { return bytes.Compare(a.track[:], b.track[:]) })
	return roots, nil
}

func eraseEntries(entries []entry) {
	for i := range entries {
		clear(entries[i].key[:])
	}
}

// announce seals the roots to the recipients and signs the epoch note.
func (e *Epoch) announce(p EpochParams, roots []entry) (Announcement, error) {
	var ann Announcement
	for _, r := range p.Chain.Recipients(e.start.Unix()) {
		capsule, err := e.sealCapsule(r, roots)
		if err != nil {
			return Announcement{}, err
		}
		ann.Capsules = append(ann.Capsules, Sealed{Kid: r.Kid, Bytes: capsule})
		ann.Seals = append(ann.Seals, chain.SealLine{Kid: r.Kid, Hash: chain.TextHash(capsule)})
	}
	note := chain.EpochNote{
		Household: e.household, Hub: e.hub, N: p.N, Prev: p.Prev, Epoch: e.id, Start: e.start.Unix(),
		ClockSynced: p.ClockSynced, ChainSeq: p.Chain.Seq, ChainHash: p.Chain.Hash, ProofTime: seconds(p.ProofTime),
		Signer: e.signer.Public(), Seals: chain.Seals(ann.Seals), Last: p.Last,
	}
	for i := range roots {
		note.Tracks = append(note.Tracks, chain.TrackCommit{
			Track: roots[i].track, Commit: rootCommit(&roots[i].key, e.id, roots[i].track),
		})
	}
	text, err := note.Text()
	if err != nil {
		return Announcement{}, err
	}
	e.noteHash = chain.TextHash(text)
	ann.Note = chain.SignNote(text, p.Hub)
	return ann, nil
}

// sealCapsule makes the capsule of one recipient: the roots of the tracks he may
// see, and the nodes of the stretches that standing grants give him. A recipient
// who sees none of these tracks gets an empty capsule, because the set of
// recipients follows from the chain alone.
func (e *Epoch) sealCapsule(r chain.Recipient, roots []entry) ([]byte, error) {
	granted := make([]entry, 0, len(roots))
	defer func() { eraseEntries(granted) }()
	for i := range roots {
		if slices.Contains(r.Tracks, roots[i].track) {
			granted = append(granted, roots[i])
			continue
		}
		for _, w := range linesOf(r.Windows, roots[i].track) {
			nodes, err := e.stretch(&roots[i], w)
			if err != nil {
				return nil, err
			}
			granted = append(granted, nodes...)
			eraseEntries(nodes)
		}
	}
	slices.SortFunc(granted, func(a, b entry) int {
		x, y := a.name(), b.name()
		return bytes.Compare(x[:], y[:])
	})
	plain, err := marshalCapsule(granted)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return keys.SealCapsule(e.household, e.id, r.X, plain)
}

// stretch is the cover of one window: the fewest nodes below root that have
// exactly its slots. The caller erases them.
func (e *Epoch) stretch(root *entry, w chain.TrackRange) ([]entry, error) {
	start := e.start.Unix()
	cover, err := part.Cover(uint32(w.From-start), uint32(w.Until-start))
	if err != nil {
		return nil, fmt.Errorf("stretch of track %v: %w", w.Track, err)
	}
	out := make([]entry, len(cover))
	for i, n := range cover {
		out[i] = entry{epoch: e.id, track: root.track, node: n}
		descendTo(&out[i].key, &root.key, part.Node{}, n)
	}
	return out, nil
}

// plant turns each root into the frontier of slot 0.
func (e *Epoch) plant(p EpochParams, roots []entry) {
	kinds := map[latchkey.TrackID]latchkey.TrackKind{}
	for _, t := range p.Tracks {
		kinds[t.ID] = t.Kind
	}
	e.sealers = make(map[latchkey.TrackID]*sealer, len(roots))
	for i := range roots {
		e.sealers[roots[i].track] = &sealer{
			epoch: e.id, track: roots[i].track, kind: kinds[roots[i].track], rand: p.Rand,
			signer: e.signer, tree: newTree(e.mem, i*treeKeys, &roots[i].key), prev: e.noteHash,
		}
	}
}

// ID names the epoch.
func (e *Epoch) ID() latchkey.EpochID { return e.id }

// Start is the time of slot 0, in whole seconds.
func (e *Epoch) Start() time.Time { return e.start }

// NoteHash is H(text) of the epoch note: `prev` of the hub's next epoch note.
func (e *Epoch) NoteHash() latchkey.Hash { return e.noteHash }

// Signer is the public key that signs parts and heads of this epoch.
func (e *Epoch) Signer() ed25519.PublicKey { return e.signer.Public() }

// Slot returns the slot of a capture time. It fails with ErrOver when the
// epoch has no such slot. A capture time shortly before the start counts as
// slot 0; more than 2 s before it, the clock was set back.
func (e *Epoch) Slot(at time.Time) (uint32, error) {
	since := at.Sub(e.start)
	if since < -maxBack {
		return 0, fmt.Errorf("seal: slot: %w: %v before its start", ErrOver, -since)
	}
	slot := max(since, 0) / time.Second
	if slot >= part.Slots {
		return 0, fmt.Errorf("seal: slot: %w: its %d slots are used up", ErrOver, part.Slots)
	}
	return uint32(slot), nil
}

// Seal seals records of one track into a part captured within slot, and returns
// its bytes. If the track is already up to 2 slots further, it takes that
// slot: slots never go back. It fails with ErrLate when the slot is further
// back, with ErrOver after END or Close, and with latchkey.ErrInvalid for
// unknown tracks, bad flags or too much data.
func (e *Epoch) Seal(track latchkey.TrackID, slot uint32, flags part.Flags, recs ...part.Record) ([]byte, error) {
	s, ok := e.sealers[track]
	if !ok {
		return nil, fmt.Errorf("seal: seal part: %w: track %v is not of this epoch", latchkey.ErrInvalid, track)
	}
	return s.seal(slot, flags, recs)
}

// Forget erases the leaves of slots that ended before now − 4 s and every node
// that covers only those. The hub calls it every second with its clock, also
// when nothing is recorded; then no leaf outlives its slot by more than 5 s. It
// fails with ErrOver when that clock has stepped back more than 2 s since the
// newest call, or when the slots are used up.
func (e *Epoch) Forget(now time.Time) error {
	now = now.Round(0) // without the monotonic reading, which would hide a step
	e.mu.Lock()
	back := e.latest.Sub(now)
	if now.After(e.latest) {
		e.latest = now
	}
	latest := e.latest
	e.mu.Unlock()
	slot, err := e.Slot(latest)
	if err != nil {
		slot = part.Slots
	}
	for _, s := range e.sealers {
		s.forget(max(int64(slot)-leafKeep, 0))
	}
	if back > maxBack {
		return fmt.Errorf("seal: forget: %w: the clock stepped back %v", ErrOver, back)
	}
	return err
}

// HeadsParams is what a heads note says besides the heads.
type HeadsParams struct {
	Time      time.Time
	Chain     chain.State   // newest position that counts for the hub
	ProofTime time.Time     // of the last completeness proof; zero: none yet
	LogSize   uint64        // newest witnessed checkpoint; 0 with a zero root: none
	LogRoot   latchkey.Hash // its root hash
}

// seconds is 0 for no time.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// Heads returns a signed heads note: how far each track has come. Tracks
// without a part are not in it.
func (e *Epoch) Heads(p HeadsParams) ([]byte, error) {
	e.mu.Lock()
	n := e.headsN
	e.headsN++
	e.mu.Unlock()
	text, err := chain.Heads{
		Household: e.household, Hub: e.hub, Epoch: e.id, N: n, Time: p.Time.Unix(),
		ChainSeq: p.Chain.Seq, ChainHash: p.Chain.Hash, ProofTime: seconds(p.ProofTime), LogSize: p.LogSize, LogRoot: p.LogRoot, Heads: e.heads(),
	}.Text()
	if err != nil {
		return nil, fmt.Errorf("seal: heads: %w", err)
	}
	return chain.SignNote(text, e.signer), nil
}

// Last returns the heads in the form in which the next epoch note names them.
func (e *Epoch) Last() []chain.LastHead {
	heads := e.heads()
	last := make([]chain.LastHead, len(heads))
	for i, h := range heads {
		last[i] = chain.LastHead{Track: h.Track, Epoch: e.id, Seq: h.Seq, Hash: h.Hash}
	}
	return last
}

func (e *Epoch) heads() []chain.HeadOf {
	var heads []chain.HeadOf
	for _, s := range e.sealers {
		if h, ok := s.head(); ok {
			heads = append(heads, h)
		}
	}
	slices.SortFunc(heads, func(a, b chain.HeadOf) int { return bytes.Compare(a.Track[:], b.Track[:]) })
	return heads
}

// Close erases every key of the epoch but the signer, which may still sign the
// final heads; nothing can be sealed any more. It may be called again.
func (e *Epoch) Close() {
	for _, s := range e.sealers {
		s.close()
	}
	e.mem.close()
}
