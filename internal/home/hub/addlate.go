package hub

import (
	"fmt"
	"math"

	"latchkey.dev/latchkey/chain"
)

// anyStatement covers a chain however far it goes: while a hub pairs, what it
// sees is what the admin's answer is held against.
const anyStatement = math.MaxUint64

// cover lets the additions up to statement seq count; what counted once goes on
// to count. It reports whether that is news. The caller has made seq durable.
func (r *roster) cover(seq uint64) (bool, error) {
	r.sync.Lock()
	defer r.sync.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq <= r.covered {
		return false, nil
	}
	r.covered = seq
	if err := r.prove(); err != nil {
		return false, err
	}
	r.under = r.effective(r.early)
	return true, nil
}

// prove brings proven to covered. Callers hold mu.
func (r *roster) prove() error {
	switch {
	case r.covered >= r.now.Seq:
		r.proven = r.now
		return nil
	case r.proven.Household == r.household && r.proven.Seq == r.covered:
		return nil
	}
	proven, err := chain.Replay(r.raw[:r.covered+1], anyTime)
	if err != nil {
		return fmt.Errorf("hub: chain up to statement %d: %w", r.covered, err)
	}
	r.proven = proven
	return nil
}

// lastRemoval is where the proven chain last removes a member; 0: nowhere. An
// epoch that names a place behind it tells those of it from whom a server keeps
// the removal back.
func (r *roster) lastRemoval() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for seq := r.proven.Seq; seq > r.searched; seq-- {
		if n, err := chain.ParseNote(r.raw[seq]); err == nil && n.Type == chain.TypeUnmember {
			r.removal = seq
			break
		}
	}
	r.searched = r.proven.Seq
	return r.removal
}

// waiting is how many statements the proof does not cover yet.
func (r *roster) waiting() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now.Seq - r.proven.Seq
}

// effective is the proven state without what removals take away: early ones, and
// those of the chain that no proof covers yet. One whose signer is himself an
// addition without a proof waits with him. Callers hold mu.
func (r *roster) effective(early chain.Overlay) chain.State {
	if r.proven.Seq == r.now.Seq {
		return r.now.Under(early)
	}
	var removals chain.Overlay
	for _, raw := range append(early.Notes(), r.raw[r.proven.Seq+1:]...) {
		n, _, err := parseRemoval(raw)
		if err != nil {
			continue // takes nothing away
		}
		if next, err := removals.Add(r.proven, n, anyTime); err == nil {
			removals = next
		}
	}
	return r.proven.Under(removals)
}

// notes are the statements of the verified chain.
func (r *roster) notes() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.raw
}
