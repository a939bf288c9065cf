package sequencer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/ledger"
)

// sets are the sets that proofs are made from, and what the next one begins with.
type sets struct {
	mu  sync.Mutex
	all []*set // newest first; the last is the newest that the policy takes, if any is

	// Only run uses what follows.
	elements []ledger.Element
	folded   int64         // entries of the log that elements are of
	cost     time.Duration // what the last set took
}

// set is one published set.
type set struct {
	note  []byte // with the auditors' lines
	said  ledger.SetNote
	index int64 // of its note in the log; −1 until it is there
	tree  *ledger.Set
}

// costShare is how much more time passes between two sets than one takes.
const costShare = 20

// unvouched is how long, in times of SetSoon, the next set waits for an auditor
// to vouch for this one.
const unvouched = 20

// loadSets reads the published sets back: from the newest to the newest that the
// policy takes.
func (s *Sequencer) loadSets(ctx context.Context) error {
	stored, err := s.cfg.Catalog.Sets(ctx, s.policy.Origin(), 4)
	if err != nil {
		return err
	}
	for _, st := range stored {
		said, err := s.parseSet(st.Note)
		if err != nil {
			return fmt.Errorf("set of %d entries: %w", st.Size, err)
		}
		n := &set{note: st.Note, said: said, index: -1}
		s.sets.all = append(s.sets.all, n)
		if s.vouched(n) {
			break
		}
	}
	for _, n := range slices.Backward(s.sets.all) {
		if err := s.fold(ctx, n.said.Size); err != nil {
			return err
		}
		if n.tree, err = ledger.NewSet(s.sets.elements); err != nil {
			return err
		}
		if n.tree.Root() != n.said.Root {
			return fmt.Errorf("%w: the set of %d entries is another one in the catalog", latchkey.ErrVerify, n.said.Size)
		}
	}
	return s.place(ctx)
}

// parseSet reads one of our own set notes, vouched for or not.
func (s *Sequencer) parseSet(raw []byte) (ledger.SetNote, error) {
	v, err := note.NewVerifier(s.keys.operator.VKey)
	if err != nil {
		return ledger.SetNote{}, err
	}
	n, err := note.Open(raw, note.VerifierList(v))
	if err != nil {
		return ledger.SetNote{}, fmt.Errorf("%w: %v", latchkey.ErrVerify, err)
	}
	return ledger.ParseSetNote(n.Text)
}

func (s *Sequencer) vouched(n *set) bool {
	_, err := s.policy.Set(n.note)
	return err == nil
}

// fold takes the household leaves of the log up to size into elements.
func (s *Sequencer) fold(ctx context.Context, size int64) error {
	err := s.cfg.Catalog.EachEntry(ctx, s.policy.Origin(), s.sets.folded, size, func(raw []byte) error {
		e, err := ledger.ParseEntry(raw)
		if err == nil && e.Note == nil {
			s.sets.elements = append(s.sets.elements, ledger.Element{Tag: e.Tag, Value: e.Value})
		}
		return err
	})
	if err == nil {
		s.sets.folded = size
	}
	return err
}

// foldWhenDue publishes the next set: soon when there are new leaves, after a
// while in any case, so that nobody can be shown an old log as the newest.
func (s *Sequencer) foldWhenDue(ctx context.Context, now time.Time) error {
	last, count, vouched := s.newest()
	soon := max(s.cfg.SetSoon, costShare*s.sets.cost)
	if !vouched {
		soon = max(soon, unvouched*s.cfg.SetSoon)
	}
	age := now.Sub(last)
	if age >= 0 && age < min(soon, s.cfg.Set) {
		return nil
	}
	size, err := s.size(ctx)
	if err != nil {
		return err
	}
	if err := s.fold(ctx, size); err != nil {
		return err
	}
	if int64(len(s.sets.elements)) == count && age >= 0 && age < s.cfg.Set {
		return nil
	}
	return s.publish(ctx, size, now)
}

// newest says when the newest set was made, how many tags it has, and whether it
// is vouched for; −1 tags if there is none.
func (s *Sequencer) newest() (last time.Time, count int64, vouched bool) {
	s.sets.mu.Lock()
	defer s.sets.mu.Unlock()
	if len(s.sets.all) == 0 {
		return time.Time{}, -1, true
	}
	n := s.sets.all[0]
	return n.said.Time, n.said.Count, s.vouched(n)
}

func (s *Sequencer) publish(ctx context.Context, size int64, now time.Time) error {
	began := time.Now()
	tree, err := ledger.NewSet(s.sets.elements)
	if err != nil {
		return err
	}
	s.sets.cost = time.Since(began)
	said := ledger.SetNote{Origin: s.policy.Origin(), Size: size, Count: int64(tree.Len()), Root: tree.Root(), Time: now.Truncate(time.Second)}
	signer, err := s.keys.operator.Signer()
	if err != nil {
		return err
	}
	raw, err := note.Sign(&note.Note{Text: said.Text()}, signer)
	if err != nil {
		return err
	}
	if err := s.cfg.Catalog.PublishSet(ctx, s.policy.Origin(), size, raw); err != nil {
		return err
	}
	n := &set{note: raw, said: said, index: -1, tree: tree}
	s.sets.mu.Lock()
	s.sets.all = append([]*set{n}, s.sets.all...)
	s.sets.mu.Unlock()
	if _, err := s.batch(ctx); err != nil {
		return err
	}
	return s.place(ctx)
}

// place finds where the notes of the sets stand in the log, and drops the sets
// that are not needed any more.
func (s *Sequencer) place(ctx context.Context) error {
	s.sets.mu.Lock()
	defer s.sets.mu.Unlock()
	for _, n := range s.sets.all {
		if n.index >= 0 {
			continue
		}
		entry, err := s.policy.SetEntry(n.note)
		if err != nil {
			return err
		}
		index, err := s.cfg.Catalog.LeafOf(ctx, s.policy.Origin(), entry, n.said.Size)
		if err == nil {
			n.index = index
		} else if !errors.Is(err, latchkey.ErrNotFound) {
			return err
		}
	}
	s.trim()
	return nil
}

// keptUnvouched bounds the sets in memory that nobody has vouched for.
const keptUnvouched = 2

// trim keeps the newest set that proofs can be made from, and the newest ones
// that may become it. Callers hold sets.mu.
func (s *Sequencer) trim() {
	var kept []*set
	for i, n := range s.sets.all {
		usable := n.index >= 0 && s.vouched(n)
		if usable || i < keptUnvouched {
			kept = append(kept, n)
		}
		if usable {
			break
		}
	}
	s.sets.all = kept
}

// AddLine takes a set note that an auditor has signed. A note that is not ours,
// or without a line that the policy knows, is latchkey.ErrVerify; a set that is
// not waited for any more latchkey.ErrNotFound.
func (s *Sequencer) AddLine(ctx context.Context, size int64, raw []byte) error {
	if _, err := s.policy.Set(raw); err != nil {
		return err
	}
	s.sets.mu.Lock()
	defer s.sets.mu.Unlock()
	for _, n := range s.sets.all {
		if n.said.Size != size {
			continue
		}
		merged, err := s.policy.MergeSet(n.note, raw)
		if err != nil {
			return err
		}
		if err := s.cfg.Catalog.ReplaceSet(ctx, s.policy.Origin(), size, n.note, merged); err != nil {
			return err
		}
		n.note = merged
		s.trim()
		return nil
	}
	return fmt.Errorf("sequencer: set of %d entries: %w", size, latchkey.ErrNotFound)
}

// Completeness proves to a household, whose log tag key is key, how far its
// chain goes (a file of ledger.Completeness). latchkey.ErrNotFound: there is no
// set with a statement of it yet, or nobody has vouched for one.
func (s *Sequencer) Completeness(ctx context.Context, h latchkey.HouseholdID, key *[ledger.TagSize]byte) ([]byte, error) {
	checkpoint, err := s.files.Checkpoint(ctx)
	if err != nil {
		return nil, fmt.Errorf("sequencer: completeness: %w: no checkpoint that the policy takes: %v", latchkey.ErrNotFound, err)
	}
	n, err := s.provable(checkpoint)
	if err != nil {
		return nil, err
	}
	leaf, err := s.cfg.Catalog.NewestLeaf(ctx, h, s.policy.Origin(), n.said.Size)
	if err != nil {
		return nil, err
	}
	proof, err := s.files.Prove(ctx, checkpoint, n.index)
	if err != nil {
		return nil, err
	}
	return ledger.Completeness{
		Seq: leaf.Seq, Set: n.note, Log: proof,
		Present: n.tree.Prove(ledger.TagOf(key, leaf.Seq)), Absent: n.tree.Prove(ledger.TagOf(key, leaf.Seq+1)),
	}.Encode(), nil
}

// provable is the newest set that is vouched for and stands in the log of c.
func (s *Sequencer) provable(c ledger.Checkpoint) (set, error) {
	s.sets.mu.Lock()
	defer s.sets.mu.Unlock()
	for _, n := range s.sets.all {
		if n.index >= 0 && n.index < c.Size && s.vouched(n) {
			return *n, nil
		}
	}
	return set{}, fmt.Errorf("sequencer: completeness: %w: no set that the policy takes yet", latchkey.ErrNotFound)
}
