package seal

import (
	"crypto/ed25519"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// C4 and C6: whoever has no chain opens exactly the granted seconds, of epochs
// that a hub of the grant has signed; a−1, a, b−1 and b are always tried.
func TestGrantedEpochOpensItsRange(t *testing.T) {
	h := newHouse(t)
	video := h.tracks[0].ID
	e, ann := h.epoch(t)
	next, later := h.epoch(t, func(p *EpochParams) { p.N, p.Start = 1, at(500) })
	parts, after := sealParts(t, e, video, 0, 30), sealParts(t, next, video, 0, 3)
	g := guest{keys.NewSealing(), NewOpener(h.state.Household)}
	const a, b = 7, 19
	m, _ := g.grant(t, h.opener(t, ann, later), chain.TrackRange{Track: video, From: start + a, Until: start + b})
	if _, err := g.add(m); err != nil {
		t.Fatal(err)
	}
	hubs := []ed25519.PublicKey{keys.NewSigning().Public(), h.hub.Public()}
	for _, one := range []Announcement{ann, later} {
		if _, stray, err := g.o.AddGrantedEpoch(one.Note, hubs); err != nil || stray != 0 {
			t.Fatalf("%d stray, %v", stray, err)
		}
	}
	for slot, p := range parts {
		if got, want := g.opens(p), a <= slot && slot < b; got != want {
			t.Errorf("slot %d opens: %v", slot, got)
		}
	}
	for _, p := range after {
		if g.opens(p) {
			t.Errorf("slot %d of another epoch opens", p.Header.Slot)
		}
	}
	if _, _, err := g.o.AddGrantedEpoch(ann.Note, hubs); err != nil {
		t.Errorf("again: %v", err)
	}
}

// C10: an epoch note that no hub of the grant has signed is refused, and so is
// one of another household; keys beyond the grant's lines are discarded and told.
func TestGrantedEpochRefuses(t *testing.T) {
	h, other := newHouse(t), newHouse(t)
	_, ann := h.epoch(t)
	_, foreign := other.epoch(t)
	h.apply(t, chain.AddHub{Head: h.head(), Ed: other.hub.Public(), X: keys.NewSealing().Public()})
	_, byOther := h.epoch(t, func(p *EpochParams) { p.Hub = other.hub })
	o := NewOpener(h.state.Household)
	hub := []ed25519.PublicKey{h.hub.Public()}
	changed := append([]byte(nil), ann.Note...)
	changed[len(changed)-3] ^= 1
	for name, c := range map[string]struct {
		note   []byte
		hubs   []ed25519.PublicKey
		reason Reason
	}{
		"no hub":            {ann.Note, nil, ReasonHub},
		"another hub":       {byOther.Note, hub, ReasonHub},
		"another household": {foreign.Note, []ed25519.PublicKey{other.hub.Public()}, ReasonHousehold},
		"nonsense":          {[]byte("latchkey/v1 epoch\n"), hub, ReasonNote},
		"no epoch":          {chain.SignNote([]byte("latchkey/v1 heads\n"), h.hub), hub, ReasonNote},
	} {
		if _, _, err := o.AddGrantedEpoch(c.note, c.hubs); reasonOf(err) != c.reason {
			t.Errorf("%s: %v, want %s", name, err, c.reason)
		}
	}
	if _, _, err := o.AddGrantedEpoch(changed, hub); reasonOf(err) != ReasonSignature && reasonOf(err) != ReasonNote {
		t.Errorf("a changed signature: %v", err)
	}
	_, ann = h.epoch(t) // at the household's new state
	owner := h.opener(t, ann)
	g := guest{keys.NewSealing(), NewOpener(h.state.Household)}
	video := h.tracks[0].ID
	m, n := g.grant(t, owner, chain.TrackRange{Track: video, From: start, Until: start + 64})
	m.grant.Tracks = []chain.TrackRange{{Track: video, From: start, Until: start + 32}, {Track: latchkey.TrackID{1}, From: start, Until: start + 64}}
	if _, err := g.add(m); err != nil {
		t.Fatal(err)
	}
	if _, stray, err := g.o.AddGrantedEpoch(ann.Note, hub); err != nil || stray != n {
		t.Errorf("%d of %d discarded, %v", stray, n, err)
	}
}
