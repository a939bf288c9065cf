package seal

import (
	"math/rand/v2"
	"slices"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

// guest is somebody whom an epoch is not sealed to, and who gets a grant.
type guest struct {
	x *keys.Sealing
	o *Opener
}

func newGuest(t *testing.T, h *house, anns ...Announcement) guest {
	t.Helper()
	g := guest{keys.NewSealing(), NewOpener(h.state.Household)}
	for _, ann := range anns {
		if adm, err := g.o.AddEpoch(EpochMaterial{Note: ann.Note, Seals: ann.Seals, Chain: h.state}, []*keys.Sealing{g.x}); err != nil || adm.Shared {
			t.Fatalf("%+v, %v", adm, err)
		}
	}
	return g
}

// grant makes a grant for the guest from what o holds.
func (g guest) grant(t *testing.T, o *Opener, ranges ...chain.TrackRange) (handed, int) {
	t.Helper()
	id := latchkey.GrantID{0x99}
	capsule, n, err := o.SealGrant(GrantParams{ID: id, To: g.x.Public(), Ranges: ranges})
	if err != nil {
		t.Fatal(err)
	}
	return handed{id, chain.Grant{To: g.x.Kid(), Kind: chain.GrantMember, Capsule: chain.TextHash(capsule), Tracks: ranges}, capsule}, n
}

// handed is a grant of the chain with the capsule that a server hands out.
type handed struct {
	id      latchkey.GrantID
	grant   chain.Grant
	capsule []byte
}

func (g guest) add(m handed) (int, error) {
	return g.o.AddGrant(m.id, m.grant, m.capsule, []*keys.Sealing{g.x})
}

// opens reports whether the guest can open a part of the slot.
func (g guest) opens(p part.Part) bool {
	_, err := g.o.OpenRun([]part.Part{p})
	return err == nil
}

// C4 and C5: a grant opens exactly the seconds and tracks that it names.
func TestGrantOpensItsRange(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	const last = 40
	video, audio := sealParts(t, e, h.tracks[0].ID, 0, last), sealParts(t, e, h.tracks[2].ID, 0, last)
	owner := h.opener(t, ann)
	for range 200 {
		from, until := rand.Int64N(last+4)-2, rand.Int64N(last+4)-2
		if from >= until {
			continue
		}
		g := newGuest(t, h, ann)
		m, _ := g.grant(t, owner, chain.TrackRange{Track: h.tracks[0].ID, From: start + from, Until: start + until})
		if stray, err := g.add(m); stray != 0 || err != nil {
			t.Fatalf("%d stray, %v", stray, err)
		}
		for i, p := range video {
			if slot := int64(i); g.opens(p) != (from <= slot && slot < until) {
				t.Fatalf("grant [%d,%d): slot %d opens: %v", from, until, slot, g.opens(p))
			}
		}
		if slices.ContainsFunc(audio, g.opens) {
			t.Fatalf("a grant of the picture opens sound")
		}
		g.o.Close()
	}
}

// A whole epoch is granted by its root; a grant may come before the notes of
// its epochs; of what is not held nothing is granted.
func TestGrantOfHistory(t *testing.T) {
	h := newHouse(t)
	video := h.tracks[0].ID
	var anns []Announcement
	var parts []part.Part
	for n := range uint64(3) {
		e, ann := h.epoch(t, func(p *EpochParams) { p.N, p.Start = n, at(float64(n)*1000) })
		anns, parts = append(anns, ann), append(parts, sealParts(t, e, video, 500, 1)...)
	}
	owner := h.opener(t, anns[1:]...)
	g := newGuest(t, h)
	m, n := g.grant(t, owner, chain.TrackRange{Track: video, From: start, Until: start + 1_000_000})
	if n != 2 {
		t.Errorf("%d entries for two whole epochs of one track", n)
	}
	if stray, err := g.add(m); stray != 0 || err != nil {
		t.Fatalf("%d stray, %v", stray, err)
	}
	for i, ann := range anns {
		if _, err := g.o.AddEpoch(EpochMaterial{Note: ann.Note, Seals: ann.Seals, Chain: h.state}, []*keys.Sealing{g.x}); err != nil {
			t.Fatal(err)
		}
		if got, want := g.opens(parts[i]), i > 0; got != want {
			t.Errorf("epoch %d opens: %v", i, got)
		}
		covered := g.o.Covered(parts[i].Header.Epoch, video)
		if want := []Slots{{0, part.Slots}}; i > 0 && !slices.Equal(covered, want) || i == 0 && covered != nil {
			t.Errorf("epoch %d is covered at %v", i, covered)
		}
	}
	// What the guest got he can pass on; the middle of it too.
	again := newGuest(t, h, anns[1])
	m, n = again.grant(t, g.o, chain.TrackRange{Track: video, From: start + 1400, Until: start + 1600})
	if n == 0 {
		t.Fatal("nothing granted")
	}
	if _, err := again.add(m); err != nil {
		t.Fatal(err)
	}
	if !again.opens(parts[1]) {
		t.Error("a grant out of a grant does not open")
	}
	if got := again.o.Covered(parts[1].Header.Epoch, video); !slices.Equal(got, []Slots{{400, 600}}) {
		t.Errorf("covered: %v", got)
	}
	if _, n := again.grant(t, again.o, chain.TrackRange{Track: video, From: start + 1590, Until: start + 2000}); n == 0 || n > 4 {
		t.Errorf("%d entries for ten seconds out of a cover", n)
	}
}

// A grant's capsule is opened only if it is the one that the chain names, and
// only what the chain's lines allow is kept.
func TestGrantIsHeldAgainstTheChain(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	video, audio := h.tracks[0].ID, h.tracks[2].ID
	parts := sealParts(t, e, video, 0, 10)
	owner := h.opener(t, ann)
	good, _ := newGuest(t, h).grant(t, owner, chain.TrackRange{Track: video, From: start, Until: start + 10})
	refuse := func(name string, g guest, m handed) {
		t.Helper()
		if _, err := g.add(m); reasonOf(err) != ReasonCapsule || slices.ContainsFunc(parts, g.opens) {
			t.Errorf("%s: %v", name, err)
		}
	}
	g := newGuest(t, h, ann)
	refuse("sealed to another", g, good)
	m, _ := g.grant(t, owner, chain.TrackRange{Track: video, From: start, Until: start + 10})
	other := m
	other.grant.Capsule = good.grant.Capsule
	refuse("another hash in the chain", g, other)
	other = m
	other.id = latchkey.GrantID{1}
	refuse("another grant", g, other)
	other = m
	other.capsule = flip(m.capsule, 900)
	refuse("a bit changed", g, other)
	other.grant.Capsule = chain.TextHash(other.capsule)
	refuse("a bit changed, and named so", g, other)
	other = m
	other.grant.Revoked = true
	refuse("revoked", g, other)

	narrow := m
	narrow.grant.Tracks = []chain.TrackRange{{Track: video, From: start, Until: start + 9}}
	if stray, err := g.add(narrow); stray == 0 || err != nil || g.opens(parts[9]) || !g.opens(parts[3]) {
		t.Errorf("a capsule with more than the lines: %d stray, %v", stray, err)
	}
	elsewhere := newGuest(t, h, ann)
	m, _ = elsewhere.grant(t, owner, chain.TrackRange{Track: video, From: start, Until: start + 10})
	m.grant.Tracks = []chain.TrackRange{{Track: audio, From: start, Until: start + 10}}
	if stray, err := elsewhere.add(m); stray == 0 || err != nil || slices.ContainsFunc(parts, elsewhere.opens) {
		t.Errorf("a capsule of another track than the line: %d stray, %v", stray, err)
	}
}

// A root that the note does not commit to is discarded, whether the note comes
// first or later.
func TestGrantOfAFalseRoot(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	video := h.tracks[0].ID
	p := sealParts(t, e, video, 0, 1)[0]
	for name, anns := range map[string][]Announcement{"note first": {ann}, "grant first": nil} {
		g := newGuest(t, h, anns...)
		plain, err := marshalCapsule([]entry{{epoch: e.ID(), track: video, key: key{1}}})
		if err != nil {
			t.Fatal(err)
		}
		id := latchkey.GrantID{7}
		capsule, err := keys.SealCapsule(h.state.Household, id, g.x.Public(), plain)
		if err != nil {
			t.Fatal(err)
		}
		m := handed{id, chain.Grant{To: g.x.Kid(), Capsule: chain.TextHash(capsule), Tracks: []chain.TrackRange{{Track: video, From: start, Until: start + part.Slots}}}, capsule}
		stray, err := g.add(m)
		if err != nil {
			t.Fatal(err)
		}
		adm, err := g.o.AddEpoch(EpochMaterial{Note: ann.Note, Seals: ann.Seals, Chain: h.state}, []*keys.Sealing{g.x})
		if err != nil || stray+adm.Stray != 1 || g.opens(p) {
			t.Errorf("%s: %d and %d stray, %v", name, stray, adm.Stray, err)
		}
		// An inner node has no commitment: what it should open is refused.
		if covered := g.o.Covered(e.ID(), video); covered != nil {
			t.Errorf("%s: covered %v", name, covered)
		}
	}
}
