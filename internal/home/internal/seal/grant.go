package seal

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

// maxGrant is how many entries one capsule may have: the server takes 4 MiB.
const maxGrant = 60_000

// GrantParams say what a new grant gives to whom.
type GrantParams struct {
	ID     latchkey.GrantID
	To     []byte // X-Wing public key
	Ranges []chain.TrackRange
}

// granted is an entry of a grant, with the lines of the grant for its track.
type granted struct {
	entry
	lines []chain.TrackRange
}

// allows reports whether a line of the grant allows all of the node, in an
// epoch that begins at start.
func (g *granted) allows(start int64) bool {
	from, until := g.node.Range()
	return slices.ContainsFunc(g.lines, func(r chain.TrackRange) bool {
		return r.From <= start+int64(from) && start+int64(until) <= r.Until
	})
}

// AddGrant opens the capsule of a grant that stands in the verified chain and
// keeps what it gives: for epochs that are held at once, for others when their
// note comes. stray counts entries outside the grant's lines, and roots that an
// epoch's note does not commit to; they are discarded. Every refusal is a
// *Failure.
func (o *Opener) AddGrant(id latchkey.GrantID, g chain.Grant, capsule []byte, boxes []*keys.Sealing) (stray int, err error) {
	entries, _, err := o.openGrant(id, g, capsule, boxes)
	if err != nil {
		return 0, err
	}
	defer eraseEntries(entries)
	return o.takeGrant(entries, g.Tracks), nil
}

// openGrant opens the capsule of a grant with the key that it is to.
func (o *Opener) openGrant(id latchkey.GrantID, g chain.Grant, capsule []byte, boxes []*keys.Sealing) ([]entry, *keys.Sealing, error) {
	if g.Revoked || !equalHash(chain.TextHash(capsule), g.Capsule) {
		return nil, nil, failure(ReasonCapsule, "given for grant %v is not one that the chain names", id)
	}
	i := slices.IndexFunc(boxes, func(b *keys.Sealing) bool { return b.Kid() == g.To })
	if i < 0 {
		return nil, nil, failure(ReasonCapsule, "of grant %v is for %v, a key that is not here", id, g.To)
	}
	plain, err := boxes[i].OpenCapsule(o.household, id, capsule)
	if err != nil {
		return nil, nil, failure(ReasonCapsule, "of grant %v: %v", id, err)
	}
	defer clear(plain)
	entries, err := parseCapsule(plain)
	if err != nil {
		return nil, nil, failure(ReasonCapsule, "of grant %v: %v", id, err)
	}
	return entries, boxes[i], nil
}

// takeGrant sorts entries by epoch: known ones are judged now.
func (o *Opener) takeGrant(entries []entry, ranges []chain.TrackRange) (stray int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range entries {
		e := &entries[i]
		g := granted{entry: *e, lines: linesOf(ranges, e.track)}
		if held, ok := o.epochs[e.epoch]; ok {
			stray += held.take([]granted{g})
		} else {
			o.waiting[e.epoch] = append(o.waiting[e.epoch], g)
		}
		clear(g.key[:])
	}
	return stray
}

func linesOf(ranges []chain.TrackRange, track latchkey.TrackID) []chain.TrackRange {
	return slices.DeleteFunc(slices.Clone(ranges), func(r chain.TrackRange) bool { return r.Track != track })
}

// take judges entries of grants for this epoch and keeps those that hold. A
// node must lie within the line's footage time; a root must be the one that
// the note commits to. Other nodes have no commitment: what they open is held
// against that of each part.
func (e *heldEpoch) take(list []granted) (stray int) {
	for i := range list {
		g := &list[i]
		set, ok := e.tracks[g.track]
		isRoot := g.node == part.Node{}
		if !ok || g.epoch != e.note.Epoch || !g.allows(e.note.Start) || isRoot && !e.commits(g.track, &g.key) {
			stray++
			continue
		}
		set.add(g.node, &g.key)
	}
	return stray
}

// commits reports whether the note commits to this root.
func (e *heldEpoch) commits(track latchkey.TrackID, root *key) bool {
	i := slices.IndexFunc(e.note.Tracks, func(c chain.TrackCommit) bool { return c.Track == track })
	return i >= 0 && equalHash(rootCommit(root, e.note.Epoch, track), e.note.Tracks[i].Commit)
}

func eraseGranted(list []granted) {
	for i := range list {
		clear(list[i].key[:])
	}
}

// SealGrant makes the capsule of a new grant out of what this opener holds: of
// each epoch and track the smallest set of nodes for the asked time, a root
// where all of the tree is asked for. n is the number of its entries; a grant of
// footage that is not held has none. More than fit one capsule is
// latchkey.ErrTooMany.
func (o *Opener) SealGrant(p GrantParams) (capsule []byte, n int, err error) {
	entries := o.within(p.Ranges)
	defer eraseEntries(entries)
	if len(entries) > maxGrant {
		return nil, 0, fmt.Errorf("seal: grant: %w epochs and tracks for one grant: %d keys", latchkey.ErrTooMany, len(entries))
	}
	plain, err := marshalCapsule(entries)
	if err != nil {
		return nil, 0, err
	}
	defer clear(plain)
	capsule, err = keys.SealCapsule(o.household, p.ID, p.To, plain)
	return capsule, len(entries), err
}

// within gathers the nodes of all held epochs for the ranges, in the order of
// a capsule.
func (o *Opener) within(ranges []chain.TrackRange) []entry {
	o.mu.RLock()
	defer o.mu.RUnlock()
	var entries []entry
	for id, e := range o.epochs {
		for _, r := range ranges {
			set, ok := e.tracks[r.Track]
			from, until := max(r.From-e.note.Start, 0), min(r.Until-e.note.Start, part.Slots)
			if !ok || from >= until {
				continue
			}
			for _, n := range set.within(uint32(from), uint32(until)) {
				entries = append(entries, entry{epoch: id, track: r.Track, node: n.node, key: n.key})
			}
		}
	}
	slices.SortFunc(entries, byName)
	return slices.CompactFunc(entries, func(a, b entry) bool { return a.name() == b.name() })
}

// byName is the order of a capsule.
func byName(a, b entry) int {
	x, y := a.name(), b.name()
	return bytes.Compare(x[:], y[:])
}

// widest returns the held nodes that no other held node contains, by slots.
// The caller holds mu.
func (s *nodeSet) widest() []heldNode {
	list := slices.Clone(s.nodes)
	slices.SortFunc(list, func(a, b heldNode) int {
		af, _ := a.node.Range()
		bf, _ := b.node.Range()
		return cmp.Or(cmp.Compare(af, bf), cmp.Compare(a.node.Level, b.node.Level))
	})
	var out []heldNode
	end := uint32(0)
	for _, n := range list {
		if from, until := n.node.Range(); from >= end {
			out, end = append(out, n), until
		}
	}
	return out
}

// within returns the smallest set of nodes for slots [from, until) that the
// held ones allow.
func (s *nodeSet) within(from, until uint32) []heldNode {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []heldNode
	for _, held := range s.widest() {
		a, b := held.node.Range()
		cover, err := part.Cover(max(a, from), min(b, until))
		if err != nil {
			continue // nothing of this node is asked for
		}
		for _, n := range cover {
			below := heldNode{node: n}
			descendTo(&below.key, &held.key, held.node, n)
			out = append(out, below)
		}
	}
	return out
}

// Slots is a stretch of an epoch's slots, half open.
type Slots struct{ From, Until uint32 }

// Covered tells for which slots of a track keys are held, joined and in order.
func (o *Opener) Covered(epoch latchkey.EpochID, track latchkey.TrackID) []Slots {
	e, ok := o.held(epoch)
	if !ok || e.tracks[track] == nil {
		return nil
	}
	s := e.tracks[track]
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Slots
	for _, n := range s.widest() {
		from, until := n.node.Range()
		if last := len(out) - 1; last >= 0 && out[last].Until == from {
			out[last].Until = until
			continue
		}
		out = append(out, Slots{from, until})
	}
	return out
}
