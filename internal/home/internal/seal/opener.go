package seal

import (
	"fmt"
	"sync"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/part"
)

// Opener verifies and opens parts of one household. It holds tree nodes: roots
// from a member's capsules, roots and inner nodes from grants. Safe for
// concurrent use; tracks do not wait for one another.
type Opener struct {
	household latchkey.HouseholdID

	mu     sync.RWMutex // guards all below
	epochs map[latchkey.EpochID]*heldEpoch
	// waiting are entries of grants for epochs whose note is not here yet.
	waiting map[latchkey.EpochID][]granted
}

// heldEpoch is an epoch whose note was verified. Its fields do not change, but
// for the node sets, which have locks of their own.
type heldEpoch struct {
	note     chain.EpochNote
	noteHash latchkey.Hash
	tracks   map[latchkey.TrackID]*nodeSet // of every track in the note
}

// nodeSet holds nodes of one tree and the leaf used last.
type nodeSet struct {
	mu    sync.Mutex
	nodes []heldNode
	slot  uint32
	leaf  key
	have  bool // leaf is that of slot
}

type heldNode struct {
	node part.Node
	key  key
}

// Opened is one verified and opened part. Its records alias one fresh buffer.
type Opened struct {
	Part    part.Part
	Hash    latchkey.Hash
	Records []part.Record
}

// NewOpener returns an opener that knows no epoch yet.
func NewOpener(household latchkey.HouseholdID) *Opener {
	return &Opener{household: household, epochs: map[latchkey.EpochID]*heldEpoch{}, waiting: map[latchkey.EpochID][]granted{}}
}

// Epoch returns the verified note of an epoch that was added.
func (o *Opener) Epoch(id latchkey.EpochID) (chain.EpochNote, bool) {
	e, ok := o.held(id)
	if !ok {
		return chain.EpochNote{}, false
	}
	return e.note, true
}

func (o *Opener) held(id latchkey.EpochID) (*heldEpoch, bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	e, ok := o.epochs[id]
	return e, ok
}

// Drop erases the keys of an epoch and forgets it.
func (o *Opener) Drop(id latchkey.EpochID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if e, ok := o.epochs[id]; ok {
		e.erase()
		delete(o.epochs, id)
	}
}

// Close erases all keys and forgets all epochs.
func (o *Opener) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.epochs {
		e.erase()
	}
	clear(o.epochs)
	for _, list := range o.waiting {
		eraseGranted(list)
	}
	clear(o.waiting)
}

func (e *heldEpoch) erase() {
	for _, s := range e.tracks {
		s.erase()
	}
}

// hold keeps nodes of an epoch whose note was verified: roots, the stretches of
// standing grants, and what other grants brought before. stray counts what of
// the last two was discarded.
func (o *Opener) hold(note chain.EpochNote, hash latchkey.Hash, roots []entry, stretches []granted) (stray int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	e, ok := o.epochs[note.Epoch]
	if ok && e.noteHash != hash {
		return 0, failure(ReasonNote, "epoch %v has two different notes", note.Epoch)
	}
	if !ok {
		e = &heldEpoch{note: note, noteHash: hash, tracks: map[latchkey.TrackID]*nodeSet{}}
		for _, t := range note.Tracks {
			e.tracks[t.Track] = &nodeSet{}
		}
		o.epochs[note.Epoch] = e
	}
	for i := range roots {
		e.tracks[roots[i].track].add(roots[i].node, &roots[i].key)
	}
	list := o.waiting[note.Epoch]
	delete(o.waiting, note.Epoch)
	defer eraseGranted(list)
	return e.take(stretches) + e.take(list), nil
}

func (s *nodeSet) add(n part.Node, k *key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, held := range s.nodes {
		if held.node == n {
			return
		}
	}
	s.nodes = append(s.nodes, heldNode{node: n, key: *k})
}

// leafOf sets out to the leaf of slot and reports whether a held node covers it.
func (s *nodeSet) leafOf(out *key, slot uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.have || s.slot != slot {
		s.have = false
		for i := range s.nodes {
			if s.nodes[i].node.Contains(slot) {
				descend(&s.leaf, &s.nodes[i].key, s.nodes[i].node, slot)
				s.slot, s.have = slot, true
				break
			}
		}
	}
	*out = s.leaf
	return s.have
}

func (s *nodeSet) erase() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.nodes {
		clear(s.nodes[i].key[:])
	}
	clear(s.leaf[:])
	s.nodes, s.have = nil, false
}

// OpenRun verifies and opens consecutive parts of one epoch and track, in the
// order of protocol 2.5: epoch known, signature of the last part and links
// backward, then for each part slot held, commitment, AEAD, records. Either
// every part opens or none is returned. Every refusal is a *Failure.
//
// A run that begins with seq 0 is checked against the epoch note. What came
// before any other run it cannot know: see Follow. One signature holds a whole
// run, so the signature bytes of parts before the last are not looked at.
func (o *Opener) OpenRun(run []part.Part) ([]Opened, error) {
	if len(run) == 0 {
		return nil, fmt.Errorf("seal: open run: %w: it is empty", latchkey.ErrInvalid)
	}
	return o.openRun(run, nil)
}

func (o *Opener) openRun(run []part.Part, prev *latchkey.Hash) ([]Opened, error) {
	first := run[0].Header
	e, ok := o.held(first.Epoch)
	if !ok {
		return nil, failure(ReasonEpoch, "%v", first.Epoch)
	}
	set, ok := e.tracks[first.Track]
	if !ok {
		return nil, failure(ReasonTrack, "%v is not of epoch %v", first.Track, first.Epoch)
	}
	if first.Seq == 0 {
		prev = &e.noteHash
	}
	hashes, err := part.VerifyRunHashes(e.note.Signer, prev, run)
	if err != nil {
		return nil, whyNot(run, e, err)
	}
	opened := make([]Opened, len(run))
	for i, p := range run {
		recs, err := set.open(p)
		if err != nil {
			return nil, err
		}
		opened[i] = Opened{Part: p, Hash: hashes[i], Records: recs}
	}
	return opened, nil
}

// whyNot tells a bad signature from a broken chain of hashes.
func whyNot(run []part.Part, e *heldEpoch, err error) error {
	last := run[len(run)-1]
	if last.VerifySig(e.note.Signer) != nil {
		return failure(ReasonSignature, "of part %v", last.Header)
	}
	return failure(ReasonLink, "%v", err)
}

// open opens one part whose place in the chain of hashes is verified.
func (s *nodeSet) open(p part.Part) ([]part.Record, error) {
	var leaf key
	defer clear(leaf[:])
	if !s.leafOf(&leaf, p.Header.Slot) {
		return nil, failure(ReasonSlot, "slot %d of part %v", p.Header.Slot, p.Header)
	}
	aeadKey, commit := partKeys(&leaf, p.Raw[:boundSize])
	defer clear(aeadKey[:])
	if !equalHash(commit, p.Header.Commit) {
		return nil, failure(ReasonCommitment, "of part %v", p.Header)
	}
	var nonce [12]byte
	inner, err := aeadOf(&aeadKey).Open(nil, nonce[:], p.CT(), p.Raw[:part.HeaderSize])
	if err != nil {
		return nil, failure(ReasonCiphertext, "of part %v", p.Header)
	}
	recs, err := part.ParseRecords(inner)
	if err != nil {
		return nil, failure(ReasonRecords, "of part %v: %v", p.Header, err)
	}
	return recs, nil
}
