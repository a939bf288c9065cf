package seal

import (
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

// stand gives a member stretches of what is still to be filmed.
func (h *house) stand(tb testing.TB, to *keys.Sealing, ranges ...chain.TrackRange) latchkey.GrantID {
	tb.Helper()
	id := latchkey.GrantID{0x77, byte(h.state.Seq)}
	h.apply(tb, chain.AddGrant{
		Head: h.head(), Grant: id, To: to.Kid(), Kind: chain.GrantMember, Purpose: "neighbour", Tracks: ranges, Until: start + 1<<20, Standing: true,
	})
	return id
}

// openerOf is a member's, knowing the announced epochs; adm is of the last.
func (h *house) openerOf(tb testing.TB, x *keys.Sealing, anns ...Announcement) (o *Opener, adm Admission) {
	tb.Helper()
	o = NewOpener(h.state.Household)
	for _, ann := range anns {
		var err error
		if adm, err = o.AddEpoch(h.materialFor(ann, x), []*keys.Sealing{x}); err != nil {
			tb.Fatal(err)
		}
	}
	return o, adm
}

// C4 and C21: of an epoch a standing grantee opens the overlap of his window
// with it, of the granted track, to the second; what the chain prescribes is
// what the hub seals, and nothing is left out or stray.
func TestC4StandingGrantOpensItsWindow(t *testing.T) {
	const a, b = 5, 12
	h := newHouse(t)
	_, x := h.addMember(t)
	h.stand(t, x, chain.TrackRange{Track: h.tracks[0].ID, From: start + a, Until: start + b})
	e, ann := h.epoch(t)
	o, adm := h.openerOf(t, x, ann)
	if !adm.Shared || adm.Stray != 0 || len(adm.LeftOut) != 0 || len(adm.Tracks) != 0 {
		t.Fatalf("admission: %+v", adm)
	}
	for i, track := range h.tracks {
		for slot, p := range sealParts(t, e, track.ID, 0, b+4) {
			_, err := o.OpenRun([]part.Part{p})
			if want := i == 0 && a <= slot && slot < b; (err == nil) != want {
				t.Errorf("%s, slot %d: opens %v, want %v (%v)", track.Kind, slot, err == nil, want, err)
			}
		}
	}
	if got := o.Covered(e.ID(), h.tracks[0].ID); len(got) != 1 || got[0] != (Slots{a, b}) {
		t.Errorf("covered %v", got)
	}
	// The others check the same list and get all.
	if owner, adm := h.openerOf(t, h.x, ann); len(adm.LeftOut) != 0 || len(adm.Tracks) != len(h.tracks) || owner == nil {
		t.Errorf("the owner's admission: %+v", adm)
	}
}

// C5: a standing grant of one kind of track opens no other: all pairs.
func TestC5StandingGrantOpensNoOtherTrack(t *testing.T) {
	for given := range 5 {
		h := newHouse(t)
		_, x := h.addMember(t)
		h.stand(t, x, chain.TrackRange{Track: h.tracks[given].ID, From: start, Until: start + 1<<17})
		e, ann := h.epoch(t)
		o, _ := h.openerOf(t, x, ann)
		for i, track := range h.tracks {
			p := sealPart(t, e, track.ID, 3, 0, 100)
			if _, err := o.OpenRun([]part.Part{p}); (err == nil) != (i == given) {
				t.Errorf("granted %s: %s opens %v", h.tracks[given].Kind, track.Kind, err == nil)
			}
		}
	}
}

// C6: a grant is bound to its epochs. Whoever steps the hub's clock back a day
// brings about a new epoch with new keys: of it a grant of that time opens nothing.
func TestC6GrantIsBoundToItsEpochs(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	sealParts(t, e, h.tracks[0].ID, 0, 20)
	g := newGuest(t, h, ann)
	m, _ := g.grant(t, h.opener(t, ann), chain.TrackRange{Track: h.tracks[0].ID, From: start, Until: start + 20})
	if stray, err := g.add(m); stray != 0 || err != nil {
		t.Fatalf("%d stray, %v", stray, err)
	}
	if err := e.Forget(time.Unix(start+86400, 0)); err != nil {
		t.Fatal(err)
	}
	if err := e.Forget(time.Unix(start, 0)); err == nil {
		t.Fatal("the epoch goes on after the clock stepped back a day")
	}
	again, ann2 := h.epoch(t, func(p *EpochParams) { p.N, p.Prev = 1, e.NoteHash() })
	if _, err := g.o.AddEpoch(EpochMaterial{Note: ann2.Note, Seals: ann2.Seals, Chain: h.state}, []*keys.Sealing{g.x}); err != nil {
		t.Fatal(err)
	}
	opened := 0
	for _, p := range sealParts(t, again, h.tracks[0].ID, 0, 20) {
		if g.opens(p) {
			opened++
		}
	}
	if opened != 0 {
		t.Errorf("the grant of a day before opens %d parts of the new epoch", opened)
	}
}

// C21: a revocation that the hub heard of and the chain does not have yet
// leaves its grantee out, and everybody else accepts that.
func TestC21EarlyRevokeOfAStandingGrant(t *testing.T) {
	h := newHouse(t)
	_, x := h.addMember(t)
	id := h.stand(t, x, chain.TrackRange{Track: h.tracks[0].ID, From: start, Until: start + 50})
	text, err := chain.Revoke{Head: h.head(), Grant: id}.Text()
	if err != nil {
		t.Fatal(err)
	}
	note, err := chain.ParseNote(chain.SignNote(text, h.ed))
	if err != nil {
		t.Fatal(err)
	}
	early, err := chain.Overlay{}.Add(h.state, note, start)
	if err != nil {
		t.Fatal(err)
	}
	_, ann := h.epoch(t, func(p *EpochParams) { p.Chain = h.state.Under(early) })
	if _, adm := h.openerOf(t, x, ann); adm.Shared || len(adm.LeftOut) != 1 || adm.LeftOut[0] != x.Kid() {
		t.Errorf("the grantee's admission: %+v", adm)
	}
	if _, adm := h.openerOf(t, h.x, ann); !adm.Shared || len(adm.LeftOut) != 1 {
		t.Errorf("the owner's admission: %+v", adm)
	}
}

// Of a hub that gives a standing grantee more than his window, the rest is
// stray: discarded and counted.
func TestStandingGrantOfTooMuch(t *testing.T) {
	h := newHouse(t)
	_, x := h.addMember(t)
	h.stand(t, x, chain.TrackRange{Track: h.tracks[0].ID, From: start, Until: start + 500})
	honest := h.state
	h2 := *h
	h2.stand(t, x, chain.TrackRange{Track: h.tracks[1].ID, From: start, Until: start + 8})
	_, wide := h2.epoch(t)
	m := h.materialFor(wide, x)
	n, err := chain.ParseNote(wide.Note)
	if err != nil {
		t.Fatal(err)
	}
	note, err := chain.ParseEpochNote(n)
	if err != nil {
		t.Fatal(err)
	}
	note.ChainSeq, note.ChainHash = honest.Seq, honest.Hash
	text, err := note.Text()
	if err != nil {
		t.Fatal(err)
	}
	m.Note, m.Chain = chain.SignNote(text, h.hub), honest
	adm, err := NewOpener(honest.Household).AddEpoch(m, []*keys.Sealing{x})
	if err != nil || adm.Stray != 1 {
		t.Errorf("%+v, %v", adm, err)
	}
}
