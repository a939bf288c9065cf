package seal

import (
	"math/rand/v2"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

// masked makes a two-key grant for the guest from what o holds.
func (g guest) masked(t *testing.T, o *Opener, mask *keys.Mask, ranges ...chain.TrackRange) handed {
	t.Helper()
	id := latchkey.GrantID{0x77}
	capsule, _, err := o.SealMasked(GrantParams{ID: id, To: g.x.Public(), Ranges: ranges}, mask)
	if err != nil {
		t.Fatal(err)
	}
	return handed{id, chain.Grant{To: g.x.Kid(), Kind: chain.GrantStaff, Capsule: chain.TextHash(capsule), Tracks: ranges}, capsule}
}

// C31, its mathematics: the capsule alone opens nothing, and what is released
// opens exactly the entries that were named.
func TestC31TwoKeys(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	const last = 1500
	track := h.tracks[0].ID
	parts := map[int64]part.Part{}
	for _, slot := range []int64{0, 1, 511, 512, 513, 700, 1023, 1024, 1400, last} {
		parts[slot] = sealParts(t, e, track, uint32(slot), 1)[0]
	}
	owner := h.opener(t, ann)
	for range 20 {
		g, mask := newGuest(t, h, ann), keys.NewMask()
		from := rand.Int64N(600)
		until := from + 1 + rand.Int64N(900)
		m := g.masked(t, owner, mask, chain.TrackRange{Track: track, From: start + from, Until: start + until})
		boxes := []*keys.Sealing{g.x}
		masked, err := g.o.OpenMasked(m.id, m.grant, m.capsule, boxes)
		if err != nil {
			t.Fatal(err)
		}
		// As if it had one key: what the capsule holds are keys of nothing.
		if _, err := g.o.AddGrant(m.id, m.grant, m.capsule, boxes); err != nil {
			t.Fatal(err)
		}
		for slot, p := range parts {
			if g.opens(p) {
				t.Fatalf("[%d,%d): slot %d opens without a release", from, until, slot)
			}
		}
		g = guest{g.x, newGuest(t, h, ann).o}
		asked := rand.Int64N(until-from) + from
		names := masked.Within(g.o, track, start+asked, start+asked+1)
		if len(names) != 1 {
			t.Fatalf("second %d of [%d,%d) is in %d entries", asked, from, until, len(names))
		}
		released, err := Release(h.state.Household, m.id, mask, names, g.x.Public())
		if err != nil {
			t.Fatal(err)
		}
		if stray, err := masked.Unmask(g.o, released); stray != 0 || err != nil {
			t.Fatalf("%d stray, %v", stray, err)
		}
		a, b := part.Node{Level: names[0].Level, Index: names[0].Index}.Range()
		if b-a > 512 {
			t.Fatalf("one release of %d seconds", b-a)
		}
		for slot, p := range parts {
			if want := int64(a) <= slot && slot < int64(b); g.opens(p) != want {
				t.Fatalf("[%d,%d), released [%d,%d): slot %d opens: %v", from, until, a, b, slot, g.opens(p))
			}
		}
	}
}

// What is released for another grant, another person or other entries is of no use.
func TestUnmaskRefuses(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	track := h.tracks[0].ID
	p := sealParts(t, e, track, 3, 3)[0]
	g, mask := newGuest(t, h, ann), keys.NewMask()
	m := g.masked(t, h.opener(t, ann), mask, chain.TrackRange{Track: track, From: start, Until: start + 10})
	masked, err := g.o.OpenMasked(m.id, m.grant, m.capsule, []*keys.Sealing{g.x})
	if err != nil {
		t.Fatal(err)
	}
	names := masked.Within(g.o, track, start, start+10)
	try := func(what string, grant latchkey.GrantID, mask *keys.Mask, names []chain.Entry, to []byte, wantErr bool, wantStray int) {
		released, err := Release(h.state.Household, grant, mask, names, to)
		if err != nil {
			t.Fatal(err)
		}
		stray, err := masked.Unmask(g.o, released)
		if (err != nil) != wantErr || stray != wantStray {
			t.Errorf("%s: %d stray, %v", what, stray, err)
		}
		if g.opens(p) {
			t.Errorf("%s opens a part", what)
		}
	}
	try("another grant", latchkey.GrantID{1}, mask, names, g.x.Public(), true, 0)
	try("another person", m.id, mask, names, keys.NewSealing().Public(), true, 0)
	try("entries that were not granted", m.id, mask, []chain.Entry{{Epoch: names[0].Epoch, Track: h.tracks[2].ID, Level: 8}}, g.x.Public(), false, 1)
	if _, err := masked.Unmask(g.o, m.capsule); err == nil {
		t.Error("a capsule is taken for a release")
	}
	try("another mask", m.id, keys.NewMask(), names, g.x.Public(), false, 0)
	wide, _ := newGuest(t, h, ann).grant(t, h.opener(t, ann), chain.TrackRange{Track: track, From: start, Until: start + part.Slots})
	if _, err := g.o.OpenMasked(wide.id, wide.grant, wide.capsule, []*keys.Sealing{g.x}); err == nil {
		t.Error("a capsule with wide nodes is taken for one with two keys")
	}
}
