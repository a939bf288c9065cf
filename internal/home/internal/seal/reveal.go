package seal

import (
	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/part"
)

// Revealed names a key that evidence has in clear: whoever holds the file opens
// with it what the node covers of that epoch and track.
type Revealed struct {
	Epoch latchkey.EpochID
	Track latchkey.TrackID
	Node  part.Node
}

func (e *entry) revealed() Revealed { return Revealed{e.epoch, e.track, e.node} }

// Reveal returns, in the form of a capsule's plaintext, the smallest keys for the
// ranges of those nodes that keep says are needed. The caller erases them, or
// gives them away knowingly.
func (o *Opener) Reveal(ranges []chain.TrackRange, keep func(Revealed) bool) ([]byte, error) {
	all := o.within(ranges)
	defer eraseEntries(all)
	var needed []entry
	for i := range all {
		if keep(all[i].revealed()) {
			needed = append(needed, all[i])
		}
	}
	defer eraseEntries(needed)
	return marshalCapsule(needed)
}

// AddRevealed takes keys that Reveal returned, for epochs that were admitted
// before; they have to lie within the ranges, and a root has to be the one that
// its epoch commits to. Every refusal is a *Failure.
func (o *Opener) AddRevealed(plain []byte, ranges []chain.TrackRange) ([]Revealed, error) {
	entries, err := parseCapsule(plain)
	if err != nil {
		return nil, failure(ReasonCapsule, "of evidence: %v", err)
	}
	defer eraseEntries(entries)
	var out []Revealed
	for i := range entries {
		if _, ok := o.held(entries[i].epoch); !ok {
			return nil, failure(ReasonEpoch, "%v, of which there is a key", entries[i].epoch)
		}
		out = append(out, entries[i].revealed())
	}
	if stray := o.takeGrant(entries, ranges); stray > 0 {
		return nil, failure(ReasonCapsule, "of evidence: %d keys lie beyond its range, or are not those of their epochs", stray)
	}
	return out, nil
}
