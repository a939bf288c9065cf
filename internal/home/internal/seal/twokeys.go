package seal

import (
	"fmt"
	"slices"
	"sync"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

// SealMasked is SealGrant for a two-key grant: no node is wider than 512
// seconds, and every key is covered by the mask.
func (o *Opener) SealMasked(p GrantParams, mask *keys.Mask) (capsule []byte, n int, err error) {
	wide := o.within(p.Ranges)
	defer eraseEntries(wide)
	var entries []entry
	defer func() { eraseEntries(entries) }()
	for i := range wide {
		if entries = append(entries, wide[i].split()...); len(entries) > maxGrant {
			return nil, 0, fmt.Errorf("seal: grant: %w minutes for one grant: %d keys", latchkey.ErrTooMany, len(entries))
		}
	}
	slices.SortFunc(entries, byName)
	for i := range entries {
		name := entries[i].name()
		mask.Cover(&entries[i].key, name[:])
	}
	plain, err := marshalCapsule(entries)
	if err != nil {
		return nil, 0, err
	}
	defer clear(plain)
	capsule, err = keys.SealCapsule(o.household, p.ID, p.To, plain)
	return capsule, len(entries), err
}

// split is the entry, or, of a wide one, the nodes of 512 seconds below it.
func (e *entry) split() []entry {
	if e.node.Level >= chain.ReleasedLevel {
		return []entry{*e}
	}
	from, until := e.node.Range()
	var out []entry
	for slot := from; slot < until; slot += part.Slots >> chain.ReleasedLevel {
		below := entry{epoch: e.epoch, track: e.track, node: part.Node{Level: chain.ReleasedLevel, Index: slot / (part.Slots >> chain.ReleasedLevel)}}
		descendTo(&below.key, &e.key, e.node, below.node)
		out = append(out, below)
	}
	return out
}

// Release makes what a hub answers an opening with: the parts of the mask for
// those entries, sealed to the grantee.
func Release(household latchkey.HouseholdID, grant latchkey.GrantID, mask *keys.Mask, names []chain.Entry, to []byte) ([]byte, error) {
	entries := make([]entry, len(names))
	defer eraseEntries(entries)
	for i, n := range names {
		entries[i] = entry{epoch: n.Epoch, track: n.Track, node: part.Node{Level: n.Level, Index: n.Index}}
		name := entries[i].name()
		mask.Cover(&entries[i].key, name[:]) // of zeros: the part itself
	}
	slices.SortFunc(entries, byName)
	plain, err := marshalCapsule(entries)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return keys.SealReleased(household, grant, to, plain)
}

// Masked is the opened capsule of a two-key grant: keys that open nothing until
// a hub has released them. Safe for concurrent use.
type Masked struct {
	grant     latchkey.GrantID
	household latchkey.HouseholdID
	lines     []chain.TrackRange
	box       *keys.Sealing

	mu      sync.Mutex
	entries []entry
}

// OpenMasked opens the capsule of a two-key grant. Every refusal is a *Failure.
func (o *Opener) OpenMasked(id latchkey.GrantID, g chain.Grant, capsule []byte, boxes []*keys.Sealing) (*Masked, error) {
	entries, box, err := o.openGrant(id, g, capsule, boxes)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(entries, func(e entry) bool { return e.node.Level < chain.ReleasedLevel }) {
		eraseEntries(entries)
		return nil, failure(ReasonCapsule, "of grant %v has a node that is too wide for two keys", id)
	}
	return &Masked{grant: id, household: o.household, lines: slices.Clone(g.Tracks), box: box, entries: entries}, nil
}

// Within lists the entries that meet [from, until), unix seconds, of epochs that
// were admitted, in the order of the capsule: what has to be released to see it.
func (m *Masked) Within(o *Opener, track latchkey.TrackID, from, until int64) []chain.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []chain.Entry
	for i := range m.entries {
		e := &m.entries[i]
		held, ok := o.held(e.epoch)
		if !ok || e.track != track {
			continue
		}
		a, b := e.node.Range()
		if held.note.Start+int64(a) < until && from < held.note.Start+int64(b) {
			out = append(out, chain.Entry{Epoch: e.epoch, Track: e.track, Level: e.node.Level, Index: e.node.Index})
		}
	}
	return out
}

// Unmask takes what a hub has released and keeps the keys that it uncovers. stray
// counts what is not of the grant; it is discarded. Every refusal is a *Failure.
func (m *Masked) Unmask(o *Opener, released []byte) (stray int, err error) {
	plain, err := m.box.OpenReleased(m.household, m.grant, released)
	if err != nil {
		return 0, failure(ReasonCapsule, "released for grant %v: %v", m.grant, err)
	}
	defer clear(plain)
	masks, err := parseCapsule(plain)
	if err != nil {
		return 0, failure(ReasonCapsule, "released for grant %v: %v", m.grant, err)
	}
	defer eraseEntries(masks)
	m.mu.Lock()
	defer m.mu.Unlock()
	var open []entry
	defer func() { eraseEntries(open) }()
	for i := range masks {
		at := slices.IndexFunc(m.entries, func(e entry) bool { return e.name() == masks[i].name() })
		if at < 0 {
			stray++
			continue
		}
		e := m.entries[at]
		for j := range e.key {
			e.key[j] ^= masks[i].key[j]
		}
		open = append(open, e)
	}
	return stray + o.takeGrant(open, m.lines), nil
}

// Close erases what is left.
func (m *Masked) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	eraseEntries(m.entries)
	m.entries = nil
}
