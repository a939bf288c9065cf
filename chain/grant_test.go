package chain_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/testkit"
)

func TestRightsChangeByMember(t *testing.T) {
	h := newHouse(t)
	ann, bob, carl := newPerson("ann"), newPerson("bob"), newPerson("carl")
	h.do(ann, bob.as(chain.RoleMember, false, h.track))
	admitted := h.s.Members[bob.kid()].Seq
	h.do(ann, bob.as(chain.RoleViewer, true, h.other))
	m := h.s.Members[bob.kid()]
	if m.Role != chain.RoleViewer || !m.Share || m.MaySee(h.track) || !m.MaySee(h.other) || m.Seq != admitted+1 || len(h.s.Members) != 2 {
		t.Errorf("restated: %+v", m)
	}
	mixed := bob
	mixed.x = carl.x
	h.refuses("one key of three is another", latchkey.ErrRefused, ann, mixed.as(chain.RoleMember, false))
	mixed = bob
	mixed.recovery = carl.recovery
	h.refuses("another recovery key", latchkey.ErrRefused, ann, mixed.as(chain.RoleMember, false))
	mixed = carl
	mixed.x = bob.x
	h.refuses("another's sealing key", latchkey.ErrRefused, ann, mixed.as(chain.RoleMember, false))
	h.refuses("an undeclared track", latchkey.ErrRefused, ann, bob.as(chain.RoleMember, false, latchkey.TrackID{1}))
	h.refuses("by himself", latchkey.ErrRefused, bob, bob.as(chain.RoleAdmin, true))
	h.refuses("the last admin", latchkey.ErrRefused, ann, ann.as(chain.RoleMember, true))
	h.do(ann, ann.as(chain.RoleAdmin, false))
	h.do(ann, bob.as(chain.RoleAdmin, false))
	h.do(ann, ann.as(chain.RoleViewer, false, h.track))
	if got := h.s.Members[ann.kid()]; got.Role != chain.RoleViewer || got.AllTracks {
		t.Errorf("an admin who is not the last steps down: %+v", got)
	}
}

func TestPastKeys(t *testing.T) {
	h := newHouse(t)
	ann, bob, carl := newPerson("ann"), newPerson("bob"), newPerson("carl")
	bob2, bob3 := bob.withX("bob 2"), bob.withX("bob 3")
	bob3.ed = newPerson("bob 3").ed
	h.do(ann, bob.as(chain.RoleMember, false))
	h.do(bob, func(hd chain.Head) chain.Statement { return chain.Rekey{Head: hd, Kid: bob.kid(), X: bob2.x} })
	h.do(bob, bob.rekeyed(bob3))
	m := h.s.Members[bob3.kid()]
	past := []latchkey.Kid{chain.KidOf(bob.x), chain.KidOf(bob2.x)}
	if !slices.Equal(m.Past, past) || !slices.Equal(m.PastEd, []latchkey.Kid{bob.kid()}) || m.Kids()[0] != chain.KidOf(bob3.x) || !slices.Equal(m.Kids()[1:], past) {
		t.Errorf("past keys are %v and %v", m.Past, m.PastEd)
	}
	for _, kid := range m.Kids() {
		if who, ok := h.s.HolderOf(kid); !ok || who != bob3.kid() {
			t.Errorf("holder of %v is %v %v", kid, who, ok)
		}
	}
	if who, ok := h.s.HolderOf(chain.KidOf(carl.x)); ok {
		t.Errorf("holder of a stranger's key is %v", who)
	}
	h.do(ann, bob3.as(chain.RoleViewer, false, h.track))
	if m := h.s.Members[bob3.kid()]; len(m.Past) != 2 || len(m.PastEd) != 1 {
		t.Errorf("restating forgets past keys: %+v", m)
	}
	taken := carl
	taken.x = bob.x
	h.refuses("a sealing key of somebody's past", latchkey.ErrRefused, ann, taken.as(chain.RoleMember, false))
	taken = carl
	taken.ed = bob.ed
	h.refuses("a signing key of somebody's past", latchkey.ErrRefused, ann, taken.as(chain.RoleMember, false))
	h.refuses("back to a key that was replaced", latchkey.ErrRefused, bob3, func(hd chain.Head) chain.Statement {
		return chain.Rekey{Head: hd, Kid: bob3.kid(), X: bob.x}
	})
	h.do(ann, bob3.gone())
	h.do(ann, bob.as(chain.RoleMember, false))
	if m := h.s.Members[bob.kid()]; len(m.Past)+len(m.PastEd) != 0 {
		t.Errorf("admitted again with a past: %+v", m)
	}
}

func TestGrant(t *testing.T) {
	h := newHouse(t)
	ann, bob, carl := newPerson("ann"), newPerson("bob"), newPerson("carl")
	h.do(ann, bob.as(chain.RoleMember, true, h.track))
	h.do(ann, carl.as(chain.RoleViewer, false))
	before := h.s.Recipients(testNow)
	h.do(bob, history("by bob", carl, h.track))
	h.do(ann, history("by ann", carl, h.track, h.other))
	if after := h.s.Recipients(testNow); len(after) != len(before) {
		t.Errorf("a grant of the past made %d recipients of %d", len(after), len(before))
	}
	g := h.s.Grants[grantOf("by ann")]
	if g.By != ann.kid() || g.To != chain.KidOf(carl.x) || g.Kind != chain.GrantMember || len(g.Tracks) != 2 || g.Until != testNow+1000 || g.Seq != h.s.Seq || g.Revoked ||
		g.Capsule != chain.TextHash([]byte("by ann")) {
		t.Errorf("grant is %+v", g)
	}
	if !g.Overlaps(h.other, testNow-1, testNow+5) || g.Overlaps(h.other, testNow, testNow+5) || g.Overlaps(latchkey.TrackID{}, 0, testNow) {
		t.Error("Overlaps")
	}
	if got := h.s.GrantsTo(h.s.Members[carl.kid()]); len(got) != 2 || got[0].String() > got[1].String() {
		t.Errorf("grants to carl: %v", got)
	}
	refused := map[string]struct {
		by person
		b  body
	}{
		"by somebody who may not share":         {carl, history("x", bob, h.track)},
		"by a stranger":                         {newPerson("dora"), history("x", bob, h.track)},
		"of a track the issuer cannot see":      {bob, history("x", carl, h.other)},
		"of a track that is not declared":       {ann, history("x", carl, latchkey.TrackID{1})},
		"id used before":                        {ann, history("by bob", carl, h.track)},
		"to a key of no member":                 {ann, history("x", newPerson("dora"), h.track)},
		"to a contact without hubs":             {ann, edit(h, carl, func(g *chain.AddGrant) { g.Kind = chain.GrantContact })},
		"to a member with hubs":                 {ann, edit(h, carl, func(g *chain.AddGrant) { g.Hubs = []string{vkeyOf(ann)} })},
		"to staff without release":              {ann, edit(h, carl, func(g *chain.AddGrant) { g.Kind, g.Hubs = chain.GrantStaff, []string{vkeyOf(ann)} })},
		"released by somebody who is not a hub": {ann, edit(h, carl, func(g *chain.AddGrant) { g.Release, g.Mask = ann.kid(), g.Capsule })},
	}
	for name, c := range refused {
		h.refuses(name, latchkey.ErrRefused, c.by, c.b)
	}
	hub := newPerson("hub")
	h.do(ann, func(hd chain.Head) chain.Statement { return chain.AddHub{Head: hd, Ed: hub.ed.Public(), X: hub.x} })
	h.do(ann, edit(h, newPerson("dora"), func(g *chain.AddGrant) {
		g.Kind, g.Hubs, g.Release, g.Mask, g.Key = chain.GrantStaff, []string{vkeyOf(hub)}, hub.kid(), latchkey.Hash{1}, newPerson("dora").x
	}))
}

func vkeyOf(p person) string { return chain.VKey("lk."+p.kid().String(), p.ed.Public()) }

// edit is a history grant with something changed.
func edit(h *house, to person, change func(*chain.AddGrant)) body {
	return func(hd chain.Head) chain.Statement {
		g := historyGrant(hd, "edited", to, h.track)
		change(&g)
		return g
	}
}

func TestRevoke(t *testing.T) {
	h := newHouse(t)
	ann, bob, carl := newPerson("ann"), newPerson("bob"), newPerson("carl")
	h.do(ann, bob.as(chain.RoleMember, true))
	h.do(ann, carl.as(chain.RoleMember, true))
	for _, name := range []string{"1", "2", "3"} {
		h.do(bob, history(name, carl, h.track))
	}
	h.refuses("by neither issuer nor admin", latchkey.ErrRefused, carl, revoke("1"))
	h.refuses("of no grant", latchkey.ErrRefused, ann, revoke("4"))
	h.do(ann, revoke("1"))
	h.refuses("twice", latchkey.ErrRefused, ann, revoke("1"))
	h.do(ann, bob.as(chain.RoleViewer, false))
	bob2 := newPerson("bob 2")
	bob2.recovery = bob.recovery
	h.do(bob, bob.rekeyed(bob2))
	h.do(bob2, revoke("2"))
	if g := h.s.Grants[grantOf("3")]; g.Revoked || g.By != bob2.kid() {
		t.Errorf("the third grant is %+v", g)
	}
	carl2 := carl.withX("carl 2")
	h.do(carl, func(hd chain.Head) chain.Statement { return chain.Rekey{Head: hd, Kid: carl.kid(), X: carl2.x} })
	if got := h.s.GrantsTo(h.s.Members[carl.kid()]); !slices.Equal(got, []latchkey.GrantID{grantOf("3")}) {
		t.Errorf("grants to carl after his rekey: %v", got)
	}
	h.refuses("to a key that was replaced", latchkey.ErrRefused, ann, history("5", carl, h.track))
	h.refuses("an id that is revoked", latchkey.ErrRefused, ann, history("1", carl2, h.track))
	h.do(ann, carl.gone())
	if !h.s.Grants[grantOf("3")].Revoked {
		t.Error("a grant to somebody who was removed is in force")
	}
	h.do(ann, carl.as(chain.RoleMember, false))
	if !h.s.Grants[grantOf("3")].Revoked {
		t.Error("he came back, and his old grant with him")
	}
}

// What Text refuses, and the parser as well.
func TestGrantTextRefuses(t *testing.T) {
	h := newHouse(t)
	ann := newPerson("ann")
	for name, change := range map[string]func(*chain.AddGrant){
		"kind":                     func(g *chain.AddGrant) { g.Kind = "friend" },
		"no purpose":               func(g *chain.AddGrant) { g.Purpose = "" },
		"purpose of three":         func(g *chain.AddGrant) { g.Purpose = "a:b:c" },
		"purpose in upper case":    func(g *chain.AddGrant) { g.Purpose = "Police" },
		"annotate without terms":   func(g *chain.AddGrant) { g.Purpose = "annotate:proj-7" },
		"no tracks":                func(g *chain.AddGrant) { g.Tracks = nil },
		"empty range":              func(g *chain.AddGrant) { g.Tracks[0].Until = g.Tracks[0].From },
		"one range twice":          func(g *chain.AddGrant) { g.Tracks = append(g.Tracks, g.Tracks[0]) },
		"neither capsule nor more": func(g *chain.AddGrant) { g.Capsule = latchkey.Hash{} },
		"another key":              func(g *chain.AddGrant) { g.Key = newPerson("bob").x },
		"short key":                func(g *chain.AddGrant) { g.Key = ann.x[1:]; g.To = chain.KidOf(g.Key) },
		"hub":                      func(g *chain.AddGrant) { g.Hubs = []string{"somebody"} },
		"release without mask":     func(g *chain.AddGrant) { g.Release = ann.kid() },
		"mask without release":     func(g *chain.AddGrant) { g.Mask = g.Capsule },
		"mask without capsule": func(g *chain.AddGrant) {
			g.Release, g.Mask, g.Capsule, g.Standing = ann.kid(), g.Capsule, latchkey.Hash{}, true
		},
	} {
		g := historyGrant(chain.Head{Seq: 1}, "x", ann, h.track)
		change(&g)
		if text, err := g.Text(); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	g := historyGrant(chain.Head{Seq: 1}, "x", ann, h.track)
	g.Tracks = append(g.Tracks, chain.TrackRange{Track: h.track, From: 5, Until: 7})
	g.Purpose, g.Terms, g.Standing, g.Key = "annotate:proj-7", latchkey.Hash{1}, true, ann.x
	text, err := g.Text()
	if err != nil {
		t.Fatal(err)
	}
	got, err := chain.ParseStatement(mustParse(t, chain.SignNote(text, ann.ed)))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := got.Text(); err != nil || !bytes.Equal(again, text) {
		t.Errorf("two ranges of one track encode again to %s, %v", again, err)
	}
}

// Anybody can sign for a key of small order, and implementations differ in
// whether they take it: ours takes none.
func TestSmallOrder(t *testing.T) {
	var v testkit.Notes
	testkit.Load(t, "notes", &v)
	good := mustParse(t, []byte(v.Valid.Note))
	points := 0
	for _, y := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000", "0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		for _, sign := range []byte{0, 0x80} {
			key, err := hex.DecodeString(y)
			if err != nil {
				t.Fatal(err)
			}
			key[31] |= sign
			// R the neutral element, S zero: holds whenever the hash is a multiple
			// of the key's order.
			sig := append([]byte{1}, make([]byte, 63)...)
			for i := range 200 {
				if ed25519.Verify(key, fmt.Append(nil, i), sig) {
					points++
					break
				}
			}
			name := "lk." + chain.KidOf(key).String()
			_, vkey, _ := strings.Cut(chain.VKey(name, key), "+")
			id, err := hex.DecodeString(vkey[:8])
			if err != nil {
				t.Fatal(err)
			}
			for i := range 64 {
				text := bytes.Replace(good.Text, []byte("time 1790000000"), fmt.Appendf(nil, "time %d", 1790000000+i), 1)
				raw := fmt.Appendf(bytes.Clone(text), "\n— %s %s\n", name, latchkey.B64(append(bytes.Clone(id), sig...)))
				if err := mustParse(t, raw).Verify(key); !errors.Is(err, latchkey.ErrVerify) {
					t.Fatalf("key %x: %v", key, err)
				}
			}
			if text, err := (chain.AddHub{Head: chain.Head{Seq: 1}, Ed: key, X: make([]byte, chain.XSize)}).Text(); !errors.Is(err, latchkey.ErrInvalid) {
				t.Errorf("a hub with key %x: %v\n%s", key, err, text)
			}
		}
	}
	if points < 8 {
		t.Errorf("only %d of the 14 encodings are keys that anybody can sign for", points)
	}
}
