package chain_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// early adds a removal that claims a place lead statements past the head.
func (h *house) early(o chain.Overlay, by person, lead uint64, b body) chain.Overlay {
	h.t.Helper()
	next, err := o.Add(h.s, h.sign(by, lead, b), testNow)
	if err != nil {
		h.t.Fatal(err)
	}
	return next
}

func (h *house) earlyRefused(name string, want error, o chain.Overlay, n chain.Note) {
	h.t.Helper()
	if _, err := o.Add(h.s, n, testNow); !errors.Is(err, want) {
		h.t.Errorf("%s: got %v, want %v", name, err, want)
	}
}

// in reports whether the person is a member under the overlay, and checks that
// recipients agree, and that settling changes nothing of it.
func (h *house) in(o chain.Overlay, p person) bool {
	h.t.Helper()
	under := h.s.Under(o)
	if diff := cmp.Diff(under, h.s.Under(o.Settle(h.s))); diff != "" {
		h.t.Errorf("settling changes who is there:\n%s", diff)
	}
	_, ok := under.Members[p.kid()]
	reads := slices.ContainsFunc(under.Recipients(testNow), func(r chain.Recipient) bool { return r.Kid == chain.KidOf(p.x) })
	if ok != reads {
		h.t.Errorf("member: %v, recipient: %v", ok, reads)
	}
	return ok
}

func wantIn(t *testing.T, when string, h *house, o chain.Overlay, p person, want bool) {
	t.Helper()
	if got := h.in(o, p); got != want {
		t.Errorf("%s: under the overlay he is a member: %v, want %v", when, got, want)
	}
}

func wantHeld(t *testing.T, when string, h *house, o chain.Overlay, want int) {
	t.Helper()
	if got := len(o.Settle(h.s).Notes()); got != want {
		t.Errorf("%s: %d removals are held, want %d", when, got, want)
	}
}

// A server that keeps a removal out by another statement at its place gains nothing.
func TestOverlayOutlastsItsPlace(t *testing.T) {
	h := newHouse(t)
	ann, bob := newPerson("ann"), newPerson("bob")
	h.do(ann, bob.as(chain.RoleMember, false))
	o := h.early(chain.Overlay{}, ann, 1, bob.gone())
	wantIn(t, "at once", h, o, bob, false)
	if h.in(chain.Overlay{}, bob) == false || len(h.s.Members) != 2 {
		t.Error("the verified state changed")
	}
	for i := range 5 {
		h.do(ann, idle)
		wantIn(t, fmt.Sprint("another statement ", i), h, o, bob, false)
		wantHeld(t, "not settled", h, o, 1)
	}
	h.do(ann, bob.gone())
	wantIn(t, "removed by the chain", h, o, bob, false)
	wantHeld(t, "removed by the chain", h, o, 0)
}

func TestOverlaySettlesWithTheSameText(t *testing.T) {
	h := newHouse(t)
	ann, bob := newPerson("ann"), newPerson("bob")
	h.do(ann, bob.as(chain.RoleMember, false))
	n := h.sign(ann, 1, bob.gone())
	o, err := chain.Overlay{}.Add(h.s, n, testNow)
	if err != nil {
		t.Fatal(err)
	}
	h.take(n.Raw)
	wantHeld(t, "the same text", h, o, 0)
	h.do(ann, bob.as(chain.RoleMember, false))
	wantIn(t, "admitted again", h, o, bob, true)
	h.earlyRefused("the old removal again", latchkey.ErrConflict, o, n)
}

// Whoever is admitted or restated after the place of a removal is there again;
// at its place, or before, he is not.
func TestOverlayAndReturn(t *testing.T) {
	ann, bob := newPerson("ann"), newPerson("bob")
	for _, c := range []struct {
		name  string
		lead  uint64 // of the removal
		steps []body
		in    bool
	}{
		{"admitted again after the place, seen from behind", 1, []body{bob.gone(), bob.as(chain.RoleMember, false)}, true},
		{"restated at the place", 1, []body{bob.as(chain.RoleViewer, false)}, false},
		{"restated after the place", 1, []body{idle, bob.as(chain.RoleViewer, false)}, true},
		{"removed and admitted before the place", 4, []body{bob.gone(), bob.as(chain.RoleMember, false)}, false},
		{"and then the place passes", 4, []body{bob.gone(), bob.as(chain.RoleMember, false), idle, idle, idle}, false},
		{"and then he is restated", 4, []body{bob.gone(), bob.as(chain.RoleMember, false), idle, idle, bob.as(chain.RoleMember, false)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			h.do(ann, bob.as(chain.RoleMember, false))
			n := h.sign(ann, c.lead, bob.gone())
			stored, err := chain.Overlay{}.Add(h.s, n, testNow)
			if err != nil {
				t.Fatal(err)
			}
			settled := stored
			for _, b := range c.steps {
				h.do(ann, b)
				settled = settled.Settle(h.s)
				if diff := cmp.Diff(h.s.Under(stored), h.s.Under(settled)); diff != "" {
					t.Fatalf("what was settled on the way counts:\n%s", diff)
				}
			}
			wantIn(t, c.name, h, stored, bob, c.in)
			if c.in {
				wantHeld(t, c.name, h, stored, 0)
				h.earlyRefused("replayed", latchkey.ErrConflict, stored, n)
			}
		})
	}
}

// A removal that comes before the news of whom it removes waits for him.
func TestOverlayWaits(t *testing.T) {
	h := newHouse(t)
	ann, bob := newPerson("ann"), newPerson("bob")
	o := h.early(chain.Overlay{}, ann, 2, bob.gone())
	h.do(ann, bob.as(chain.RoleMember, false))
	wantIn(t, "withheld", h, o, bob, false)
	h.do(ann, idle)
	wantIn(t, "another at its place", h, o, bob, false)
	wantHeld(t, "another at its place", h, o, 1)

	full := chain.Overlay{}
	for i := range 64 {
		full = h.early(full, ann, 1, newPerson(fmt.Sprint("nobody ", i)).gone())
	}
	h.earlyRefused("the 65th that waits", latchkey.ErrFull, full, h.sign(ann, 1, newPerson("nobody").gone()))
	full = h.early(full, ann, 1, bob.gone())
	wantIn(t, "somebody who is there", h, full, bob, false)
	h.do(ann, idle)
	wantHeld(t, "their place is past", h, full, 1)

	full = chain.Overlay{}
	for i := range 64 {
		full = h.early(full, ann, 9, newPerson(fmt.Sprint("nobody ", i)).gone())
	}
	carl := newPerson("carl")
	h.do(ann, carl.as(chain.RoleMember, false))
	full = h.early(full, ann, 3, bob.gone())
	h.do(ann, bob.gone())
	full = h.early(full, ann, 1, carl.gone())
	wantIn(t, "somebody who is there, while 65 wait", h, full, carl, false)
}

func TestOverlayFollowsRekey(t *testing.T) {
	h := newHouse(t)
	ann, bob, thief := newPerson("ann"), newPerson("bob"), newPerson("thief")
	h.do(ann, bob.as(chain.RoleMember, false))
	o := h.early(chain.Overlay{}, ann, 1, bob.gone())
	h.do(bob, bob.rekeyed(thief))
	wantIn(t, "rekeyed at the place of the removal", h, o, thief, false)
	wantHeld(t, "rekeyed", h, o, 1)
	thief.recovery = bob.recovery
	h.do(ann, thief.as(chain.RoleMember, false))
	wantIn(t, "restated", h, o, thief, true)
}

func TestOverlayAdmins(t *testing.T) {
	h := newHouse(t)
	ann, bob, carl := newPerson("ann"), newPerson("bob"), newPerson("carl")
	h.earlyRefused("the last admin", latchkey.ErrRefused, chain.Overlay{}, h.sign(ann, 1, ann.gone()))
	h.do(ann, bob.as(chain.RoleAdmin, false))
	h.do(ann, carl.as(chain.RoleMember, false))
	h.earlyRefused("himself", latchkey.ErrRefused, chain.Overlay{}, h.sign(ann, 1, ann.gone()))
	h.earlyRefused("by a member", latchkey.ErrRefused, chain.Overlay{}, h.sign(carl, 1, bob.gone()))
	o := h.early(chain.Overlay{}, ann, 2, bob.gone())
	h.earlyRefused("by somebody removed", latchkey.ErrRefused, o, h.sign(bob, 2, carl.gone()))
	h.earlyRefused("by somebody removed, of the last admin left", latchkey.ErrRefused, o, h.sign(bob, 1, ann.gone()))
	o = h.early(o, bob, 1, carl.gone())
	wantIn(t, "by an admin, before he was removed", h, o, carl, false)

	// The chain leaves bob the last admin: somebody has to be.
	h.do(bob, ann.gone())
	wantIn(t, "the last admin", h, o, bob, true)
	wantHeld(t, "the last admin", h, o, 2)
	h.do(bob, newPerson("dora").as(chain.RoleAdmin, false))
	wantIn(t, "no longer the last", h, o, bob, false)
}

func TestOverlayHubsAndGrants(t *testing.T) {
	h := newHouse(t)
	ann, bob, carl, hub := newPerson("ann"), newPerson("bob"), newPerson("carl"), newPerson("hub")
	h.do(ann, bob.as(chain.RoleMember, true))
	h.do(ann, carl.as(chain.RoleMember, false))
	h.do(ann, func(hd chain.Head) chain.Statement { return chain.AddHub{Head: hd, Ed: hub.ed.Public(), X: hub.x} })
	h.do(bob, history("1", carl, h.track))
	h.do(ann, history("2", carl, h.track))
	unhub := func(hd chain.Head) chain.Statement { return chain.Unhub{Head: hd, Kid: hub.kid()} }
	o := h.early(chain.Overlay{}, ann, 1, unhub)
	if len(h.s.Under(o).Hubs) != 0 || len(h.s.Hubs) != 1 {
		t.Error("the hub is there")
	}
	o = h.early(o, bob, 1, revoke("1"))
	h.earlyRefused("another's grant", latchkey.ErrRefused, o, h.sign(bob, 1, revoke("2")))
	h.earlyRefused("an unknown grant, by no admin", latchkey.ErrRefused, o, h.sign(bob, 1, revoke("3")))
	o = h.early(o, ann, 2, revoke("3"))
	if u := h.s.Under(o); !u.Grants[grantOf("1")].Revoked || u.Grants[grantOf("2")].Revoked || h.s.Grants[grantOf("1")].Revoked {
		t.Errorf("grants under the overlay: %+v", u.Grants)
	}
	o = h.early(o, ann, 1, carl.gone())
	if u := h.s.Under(o); !u.Grants[grantOf("2")].Revoked || h.s.Grants[grantOf("2")].Revoked {
		t.Errorf("a grant to somebody removed: %+v", u.Grants)
	}
	h.do(ann, history("3", carl, h.track))
	if u := h.s.Under(o); !u.Grants[grantOf("3")].Revoked {
		t.Error("a grant that was revoked before we heard of it is in force")
	}
	if got := o.Statements(); len(got) != 4 || got[0].Type() != chain.TypeUnhub || got[3].Type() != chain.TypeUnmember {
		t.Errorf("statements are %v", got)
	}
	h.do(ann, unhub)
	h.do(ann, revoke("1"))
	h.do(ann, carl.gone())
	wantHeld(t, "the chain has all", h, o, 0)
}

func TestOverlayRefuses(t *testing.T) {
	h := newHouse(t)
	ann, bob := newPerson("ann"), newPerson("bob")
	h.do(ann, bob.as(chain.RoleMember, false))
	o := h.early(chain.Overlay{}, ann, 3, bob.gone())
	if again := h.early(o, ann, 3, bob.gone()); len(again.Notes()) != 1 {
		t.Error("the same removal is held twice")
	}
	if lower := h.early(o, ann, 1, bob.gone()); !slices.EqualFunc(lower.Notes(), o.Notes(), bytes.Equal) {
		t.Error("an earlier place replaced a later one")
	}
	if higher := h.early(o, ann, 4, bob.gone()); len(higher.Notes()) != 1 || higher.Statements()[0].Common().Seq != h.s.Seq+4 {
		t.Error("a later place did not replace an earlier one")
	}
	h.earlyRefused("no removal", latchkey.ErrInvalid, o, h.sign(ann, 1, idle))
	h.earlyRefused("too far", latchkey.ErrRefused, o, h.sign(ann, 1025, bob.gone()))
	h.early(o, ann, 1024, bob.gone())
	h.earlyRefused("the place of the head", latchkey.ErrConflict, o, h.sign(ann, 0, bob.gone()))
	if _, err := o.Add(chain.State{}, h.sign(ann, 1, bob.gone()), testNow); !errors.Is(err, latchkey.ErrConflict) {
		t.Errorf("on nothing: %v", err)
	}
	forged := h.sign(ann, 1, bob.gone())
	forged.Text = bytes.Replace(forged.Text, []byte("seq "), []byte("Seq "), 1)
	h.earlyRefused("another text", latchkey.ErrVerify, o, forged)
	future := h.sign(ann, 1, func(hd chain.Head) chain.Statement {
		hd.Time = testNow + 601
		return chain.Unmember{Head: hd, Kid: bob.kid()}
	})
	h.earlyRefused("in the future", latchkey.ErrRefused, o, future)
	foreign := h.sign(ann, 1, func(hd chain.Head) chain.Statement {
		hd.Household[0] ^= 1
		return chain.Unmember{Head: hd, Kid: bob.kid()}
	})
	h.earlyRefused("another household", latchkey.ErrConflict, o, foreign)
	fork := h.sign(ann, 1, func(hd chain.Head) chain.Statement {
		hd.Prev[0] ^= 1
		return chain.Unmember{Head: hd, Kid: bob.kid()}
	})
	if next, err := (chain.Overlay{}).Add(h.s, fork, testNow); err != nil || h.in(next, bob) {
		t.Errorf("signed over another chain: %v", err)
	}
}

func TestParseOverlay(t *testing.T) {
	h := newHouse(t)
	ann, bob, carl := newPerson("ann"), newPerson("bob"), newPerson("carl")
	h.do(ann, bob.as(chain.RoleMember, false))
	o := h.early(h.early(chain.Overlay{}, ann, 2, bob.gone()), ann, 1, carl.gone())
	notes := o.Notes()
	again, err := chain.ParseOverlay(notes)
	if err != nil || !slices.EqualFunc(again.Notes(), notes, bytes.Equal) || h.in(again, bob) {
		t.Errorf("read back: %v", err)
	}
	h.do(ann, bob.gone())
	h.do(ann, idle)
	if again, err := chain.ParseOverlay(notes); err != nil || len(again.Settle(h.s).Notes()) != 0 {
		t.Errorf("read back later: %v", err)
	}
	foreign := h.sign(ann, 1, func(hd chain.Head) chain.Statement {
		hd.Household[0] ^= 1
		return chain.Unmember{Head: hd, Kid: ann.kid()}
	})
	for name, bad := range map[string][][]byte{
		"no note":        {[]byte("x")},
		"no removal":     {h.sign(ann, 1, idle).Raw},
		"one twice":      {notes[0], notes[0]},
		"two households": {notes[0], foreign.Raw},
	} {
		if _, err := chain.ParseOverlay(bad); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRecipientsFit(t *testing.T) {
	h := newHouse(t)
	ann, bob, carl := newPerson("ann"), newPerson("bob"), newPerson("carl")
	h.do(ann, bob.as(chain.RoleMember, false))
	a, b, c := chain.KidOf(ann.x), chain.KidOf(bob.x), chain.KidOf(carl.x)
	for _, got := range [][]latchkey.Kid{{a, b}, {b}, {a}, nil} {
		left, err := chain.RecipientsFit(got, h.s, testNow)
		if err != nil || len(left)+len(got) != 2 || slices.ContainsFunc(got, func(k latchkey.Kid) bool { return slices.Contains(left, k) }) {
			t.Errorf("%v: left out %v, %v", got, left, err)
		}
	}
	for _, got := range [][]latchkey.Kid{{a, b, c}, {c}, {a, a}, {a, bob.kid()}} {
		if left, err := chain.RecipientsFit(got, h.s, testNow); !errors.Is(err, latchkey.ErrVerify) {
			t.Errorf("%v: left out %v, %v", got, left, err)
		}
	}
}

// removal draws a removal on top of s.
func (c cast) removal(d dice, s chain.State) chain.Note {
	key := c.signer(d, s)
	h := chain.Head{Household: s.Household, Seq: max(1, s.Seq+uint64(d.roll(7, "lead"))), Time: testNow, By: chain.KidOf(key.Public())}
	var st chain.Statement
	switch d.roll(6, "removal") {
	case 0:
		st = chain.Unhub{Head: h, Kid: c.target(d, sorted16(s.Hubs))}
	case 1:
		st = chain.Revoke{Head: h, Grant: anyOf(d, "of grant", c.grants)}
	default:
		st = chain.Unmember{Head: h, Kid: c.target(d, others(s, h.By))}
	}
	text, err := st.Text()
	if err != nil {
		d.Fatal(err)
	}
	n, err := chain.ParseNote(chain.SignNote(text, key))
	if err != nil {
		d.Fatal(err)
	}
	return n
}

// T7: an overlay only takes away, and so does adding to it. T6: an admin is
// left. What is settled does not count. It reads back as it was.
func TestOverlayProperties(t *testing.T) {
	c := newCast()
	rapid.Check(t, func(t *rapid.T) {
		s, err := chain.Apply(chain.State{}, c.genesis(t), testNow)
		if err != nil {
			t.Fatal(err)
		}
		s, _ = c.open(rapidDice{t}, s)
		var o chain.Overlay
		for range rapid.IntRange(10, 40).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "early") == 0 {
				if next, err := o.Add(s, c.removal(rapidDice{t}, s), testNow); err == nil {
					checkFewer(t, s.Under(o), s.Under(next))
					o = next
				}
			} else if next, err := chain.Apply(s, c.draw(rapidDice{t}, s), testNow); err == nil {
				checkReturns(t, s, next, o)
				s = next
			}
			if rapid.Bool().Draw(t, "settle") {
				o = o.Settle(s)
			}
			under := s.Under(o)
			checkState(t, under)
			checkFewer(t, s, under)
			if diff := cmp.Diff(dump(under), dump(s.Under(o.Settle(s)))); diff != "" {
				t.Fatalf("what is settled counts:\n%s", diff)
			}
			if again, err := chain.ParseOverlay(o.Notes()); err != nil || dump(under) != dump(s.Under(again)) {
				t.Fatalf("read back: %v", err)
			}
		}
	})
}

// checkFewer checks that less is more with something taken away.
func checkFewer(t fataler, more, less chain.State) {
	if less.Seq != more.Seq || less.Hash != more.Hash || less.Time != more.Time || len(less.Grants) != len(more.Grants) {
		t.Fatalf("the overlay moved the chain from %v to %v", more, less)
	}
	for kid, m := range less.Members {
		if !reflect.DeepEqual(more.Members[kid], m) {
			t.Fatalf("the overlay changed %v from %+v to %+v", kid, more.Members[kid], m)
		}
	}
	for kid := range less.Hubs {
		if _, ok := more.Hubs[kid]; !ok {
			t.Fatalf("the overlay added hub %v", kid)
		}
	}
	for id, g := range more.Grants {
		if g.Revoked && !less.Grants[id].Revoked {
			t.Fatalf("the overlay renewed grant %v", id)
		}
	}
	var kids []latchkey.Kid
	for _, r := range less.Recipients(testNow) {
		kids = append(kids, r.Kid)
	}
	left, err := chain.RecipientsFit(kids, more, testNow)
	if err != nil || len(left) != len(more.Recipients(testNow))-len(kids) {
		t.Fatalf("recipients under the overlay: %v, left out %v, %v", kids, left, err)
	}
}

// checkReturns: nobody comes back from under an overlay by a statement that
// does not name him, unless he is the last admin now.
func checkReturns(t fataler, s, next chain.State, o chain.Overlay) {
	before, after := s.Under(o), next.Under(o)
	for kid, m := range s.Members {
		if _, hidden := before.Members[kid]; hidden {
			continue
		}
		now, there := after.Members[kid]
		if there && now.Seq != next.Seq && len(adminsOf(after)) > 1 {
			t.Fatalf("%v came back at %d: %+v, was %+v", kid, next.Seq, now, m)
		}
	}
}

func adminsOf(s chain.State) []latchkey.Kid {
	return slices.DeleteFunc(slices.Collect(maps.Keys(s.Members)), func(k latchkey.Kid) bool { return s.Members[k].Role != chain.RoleAdmin })
}
