package main

import (
	"fmt"
	"sort"

	"latchkey.dev/latchkey/testkit"
)

// scene plays one case: a chain that grows, and early removals beside it. What
// holds after each step is written down by hand.
type scene struct {
	h     household
	texts []string
	steps []testkit.OverlayStep
}

// signed makes a statement lead places after the head of the scene's chain.
func (s *scene) signed(lead int, noteType string, by edKey, own ...string) (text, note string) {
	prev := hash([]byte(s.texts[len(s.texts)-1]))
	text = textOf(noteType, append(s.h.head(len(s.texts)-1+lead, prev, now-100+int64(len(s.texts)), by), own...)...)
	return text, by.sign(text)
}

func (s *scene) apply(noteType string, by edKey, own ...string) *scene {
	text, note := s.signed(1, noteType, by, own...)
	return s.take(text, note)
}

func (s *scene) take(text, note string) *scene {
	s.texts = append(s.texts, text)
	s.steps = append(s.steps, testkit.OverlayStep{Apply: note})
	return s
}

func (s *scene) early(lead int, noteType string, by edKey, own ...string) *scene {
	_, note := s.signed(lead, noteType, by, own...)
	s.steps = append(s.steps, testkit.OverlayStep{Early: note})
	return s
}

// fails says that the last step is refused.
func (s *scene) fails(kind string) *scene {
	s.steps[len(s.steps)-1].Error = kind
	return s
}

// then says who is there after the last step, which grants are revoked, and how
// many removals are not settled.
func (s *scene) then(members []edKey, hubs []edKey, revoked []string, held int) *scene {
	last := &s.steps[len(s.steps)-1]
	last.Members, last.Hubs, last.Revoked, last.Held = kidsOf(members), kidsOf(hubs), []hexBytes{}, held
	for _, name := range revoked {
		last.Revoked = append(last.Revoked, grantID(name))
	}
	sort.Slice(last.Revoked, func(i, j int) bool { return string(last.Revoked[i]) < string(last.Revoked[j]) })
	return s
}

func kidsOf(keys []edKey) []hexBytes {
	out := []hexBytes{}
	for _, k := range keys {
		out = append(out, k.kid())
	}
	sort.Slice(out, func(i, j int) bool { return string(out[i]) < string(out[j]) })
	return out
}

// house is the chain before every case: two admins, a viewer who may share, two
// hubs, a camera, one grant to the viewer and one by him.
func houseScene(h household) scene {
	s := scene{h: h, texts: []string{h.genesis}, steps: []testkit.OverlayStep{{Apply: h.founder.sign(h.genesis)}}}
	s.apply("hub", h.founder, "ed "+b64(h.hub.pub), "x "+b64(h.hubX.pub))
	s.apply("hub", h.founder, "ed "+b64(h.hub2.pub), "x "+b64(h.hub2X.pub))
	s.apply("camera", h.founder, append([]string{"camera " + b64(h.camera)}, h.declare("porch video", "porch meta")...)...)
	s.apply("member", h.founder, memberLines(h.second, h.secondX, h.secondRec, "admin", "yes", "track *")...)
	s.apply("member", h.founder, memberLines(h.viewer, h.viewerX, h.viewerRec, "viewer", "yes", "track *")...)
	s.apply("grant", h.founder, h.given("to the viewer", h.viewerX, "member", "history", []string{"porch video"})...)
	s.apply("grant", h.viewer, h.given("by the viewer", h.secondX, "member", "history", []string{"porch video"})...)
	return s
}

func overlayVectors(h household) testkit.Overlay {
	base := houseScene(h)
	v := testkit.Overlay{
		Doc: testkit.Doc{
			About: "Early removals: what they take away before, while and after the chain has them.",
			Fields: map[string]string{
				"now":                          "the reader's clock, unix seconds",
				"chain":                        "notes from genesis on, which every case begins with; an empty overlay",
				"cases":                        "steps in order. apply: the statement extends the chain. early: the removal is added to the overlay at the state reached, and fails with error if there is one (kinds as in statements.json)",
				"members, hubs, revoked, held": "after the step, of the state under the overlay: kids of the members' and hubs' Ed25519 keys, ids of revoked grants; how many removals the state leaves unsettled",
				"fits":                         "seal lines' kids (got) held against the state after chain: whether they may be accepted, and whom they leave out",
			},
		},
		Now: now,
	}
	for _, s := range base.steps {
		v.Chain = append(v.Chain, s.Apply)
	}
	cases := []func(household, *scene) string{
		overlayWithheld, overlayLogged, overlayReturn, overlayBehind, overlaySamePlace, overlayTwice, overlayRekey, overlayWaits,
		overlayAdmins, overlayLastAdmin, overlayHubs, overlayGrants, overlayLatest, overlayBad,
	}
	for _, play := range cases {
		s := scene{h: h, texts: append([]string{}, base.texts...)}
		name := play(h, &s)
		v.Cases = append(v.Cases, testkit.OverlayCase{Name: name, Steps: s.steps})
	}
	v.Fits = fits(h)
	return v
}

func gone(k edKey) string { return "kid " + b64(k.kid()) }

func idle() []string { return []string{"track *", "seconds 60"} }

func overlayWithheld(h household, s *scene) string {
	all, hubs := []edKey{h.founder, h.second, h.viewer}, []edKey{h.hub, h.hub2}
	s.apply("retain", h.founder, idle()...).then(all, hubs, nil, 0)
	s.early(1, "unmember", h.second, gone(h.viewer)).then(all[:2], hubs, []string{"to the viewer"}, 1)
	s.apply("retain", h.founder, idle()...).then(all[:2], hubs, []string{"to the viewer"}, 1)
	s.apply("retain", h.founder, idle()...).then(all[:2], hubs, []string{"to the viewer"}, 1)
	s.apply("unmember", h.founder, gone(h.viewer)).then(all[:2], hubs, []string{"to the viewer"}, 0)
	return "another statement is logged at the place of a removal, and settles nothing"
}

func overlayLogged(h household, s *scene) string {
	rest, hubs, ended := []edKey{h.founder, h.second}, []edKey{h.hub, h.hub2}, []string{"to the viewer"}
	text, note := s.signed(1, "unmember", h.founder, gone(h.viewer))
	s.steps = append(s.steps, testkit.OverlayStep{Early: note})
	s.then(rest, hubs, ended, 1)
	s.take(text, note).then(rest, hubs, ended, 0)
	s.apply("member", h.founder, memberLines(h.viewer, h.viewerX, h.viewerRec, "viewer", "no", "track *")...).then(append(rest, h.viewer), hubs, ended, 0)
	s.steps = append(s.steps, testkit.OverlayStep{Early: note})
	s.fails("conflict").then(append(rest, h.viewer), hubs, ended, 0)
	return "the same text is logged; replayed against whoever was admitted again, it fails"
}

func overlayReturn(h household, s *scene) string {
	rest, hubs, ended := []edKey{h.founder, h.second}, []edKey{h.hub, h.hub2}, []string{"to the viewer"}
	s.early(1, "unmember", h.founder, gone(h.viewer)).then(rest, hubs, ended, 1)
	s.apply("retain", h.founder, idle()...).then(rest, hubs, ended, 1)
	s.apply("member", h.second, memberLines(h.viewer, h.viewerX, h.viewerRec, "viewer", "no", "track *")...).then(append(rest, h.viewer), hubs, nil, 0)
	return "restated after the place of a removal, a member is there again"
}

func overlayBehind(h household, s *scene) string {
	rest, hubs, ended := []edKey{h.founder, h.second}, []edKey{h.hub, h.hub2}, []string{"to the viewer"}
	s.early(2, "unmember", h.founder, gone(h.viewer)).then(rest, hubs, ended, 1)
	s.apply("unmember", h.founder, gone(h.viewer)).then(rest, hubs, ended, 1)
	s.apply("retain", h.founder, idle()...).then(rest, hubs, ended, 0)
	s.apply("member", h.founder, memberLines(h.viewer, h.viewerX, h.viewerRec, "viewer", "no", "track *")...).then(append(rest, h.viewer), hubs, ended, 0)
	return "gone before the place of the removal, admitted after it"
}

func overlaySamePlace(h household, s *scene) string {
	rest, hubs, ended := []edKey{h.founder, h.second}, []edKey{h.hub, h.hub2}, []string{"to the viewer"}
	s.early(1, "unmember", h.founder, gone(h.viewer)).then(rest, hubs, ended, 1)
	s.apply("member", h.second, memberLines(h.viewer, h.viewerX, h.viewerRec, "viewer", "no", "track *")...).then(rest, hubs, ended, 1)
	return "restated at the place of a removal, a member stays removed"
}

func overlayTwice(h household, s *scene) string {
	rest, hubs, ended := []edKey{h.founder, h.second}, []edKey{h.hub, h.hub2}, []string{"to the viewer"}
	s.early(3, "unmember", h.founder, gone(h.viewer)).then(rest, hubs, ended, 1)
	s.apply("unmember", h.founder, gone(h.viewer)).then(rest, hubs, ended, 1)
	s.apply("member", h.founder, memberLines(h.viewer, h.viewerX, h.viewerRec, "viewer", "no", "track *")...).then(rest, hubs, ended, 1)
	s.apply("retain", h.founder, idle()...).then(rest, hubs, ended, 1)
	s.apply("retain", h.founder, idle()...).then(rest, hubs, ended, 1)
	return "removed and admitted again before the place of a removal, a member stays removed"
}

func overlayRekey(h household, s *scene) string {
	rest, hubs, ended := []edKey{h.founder, h.second}, []edKey{h.hub, h.hub2}, []string{"to the viewer"}
	other := newEd(draw("seed viewer 2", 32))
	s.early(1, "unmember", h.founder, gone(h.viewer)).then(rest, hubs, ended, 1)
	s.apply("rekey", h.viewer, gone(h.viewer), "ed "+b64(other.pub)).then(rest, hubs, ended, 1)
	s.apply("member", h.founder, memberLines(other, h.viewerX, h.viewerRec, "viewer", "no", "track *")...).then(append(rest, other), hubs, nil, 0)
	return "nobody escapes a removal by a rekey"
}

func overlayWaits(h household, s *scene) string {
	all, hubs := []edKey{h.founder, h.second, h.viewer}, []edKey{h.hub, h.hub2}
	x := newX(draw("seed stranger x", 32))
	rec := newEd(draw("seed stranger recovery", 32))
	s.early(2, "unmember", h.founder, gone(h.stranger)).then(all, hubs, nil, 1)
	s.apply("member", h.founder, memberLines(h.stranger, x, rec, "member", "no", "track *")...).then(all, hubs, nil, 1)
	s.apply("retain", h.founder, idle()...).then(all, hubs, nil, 1)
	s.apply("unmember", h.founder, gone(h.stranger)).then(all, hubs, nil, 0)
	return "a removal waits for a member whom the chain does not have yet"
}

func overlayAdmins(h household, s *scene) string {
	all, hubs := []edKey{h.founder, h.second, h.viewer}, []edKey{h.hub, h.hub2}
	s.early(1, "unmember", h.viewer, gone(h.second)).fails("refused").then(all, hubs, nil, 0)
	s.early(1, "unmember", h.stranger, gone(h.viewer)).fails("refused").then(all, hubs, nil, 0)
	s.early(1, "unmember", h.founder, gone(h.founder)).fails("refused").then(all, hubs, nil, 0)
	s.early(2, "unmember", h.founder, gone(h.second)).then([]edKey{h.founder, h.viewer}, hubs, []string{"by the viewer"}, 1)
	s.early(2, "unmember", h.second, gone(h.viewer)).fails("refused").then([]edKey{h.founder, h.viewer}, hubs, []string{"by the viewer"}, 1)
	s.early(1, "unmember", h.second, gone(h.founder)).fails("refused").then([]edKey{h.founder, h.viewer}, hubs, []string{"by the viewer"}, 1)
	s.early(1, "unmember", h.second, gone(h.viewer)).then([]edKey{h.founder}, hubs, []string{"to the viewer", "by the viewer"}, 2)
	return "who may remove, and that an admin who is removed may not, from his place on"
}

func overlayLastAdmin(h household, s *scene) string {
	hubs := []edKey{h.hub, h.hub2}
	x, rec := newX(draw("seed stranger x", 32)), newEd(draw("seed stranger recovery", 32))
	s.early(1, "unmember", h.founder, gone(h.second)).then([]edKey{h.founder, h.viewer}, hubs, []string{"by the viewer"}, 1)
	s.apply("unmember", h.second, gone(h.founder)).then([]edKey{h.second, h.viewer}, hubs, nil, 1)
	s.apply("member", h.second, memberLines(h.stranger, x, rec, "admin", "no", "track *")...).then([]edKey{h.viewer, h.stranger}, hubs, []string{"by the viewer"}, 1)
	return "the last admin of the chain stays, and goes when there is another"
}

func overlayHubs(h household, s *scene) string {
	all := []edKey{h.founder, h.second, h.viewer}
	s.early(1, "unhub", h.second, gone(h.hub2)).then(all, []edKey{h.hub}, nil, 1)
	s.apply("retain", h.founder, idle()...).then(all, []edKey{h.hub}, nil, 1)
	s.early(1, "unhub", h.hub, gone(h.hub2)).fails("refused").then(all, []edKey{h.hub}, nil, 1)
	s.apply("unhub", h.founder, gone(h.hub2)).then(all, []edKey{h.hub}, nil, 0)
	s.apply("hub", h.founder, "ed "+b64(h.hub2.pub), "x "+b64(h.hub2X.pub)).then(all, []edKey{h.hub, h.hub2}, nil, 0)
	return "hubs"
}

func overlayGrants(h household, s *scene) string {
	all, hubs := []edKey{h.founder, h.second, h.viewer}, []edKey{h.hub, h.hub2}
	to, by, late := "grant "+b64(grantID("to the viewer")), "grant "+b64(grantID("by the viewer")), "grant "+b64(grantID("late"))
	s.early(1, "revoke", h.viewer, to).fails("refused").then(all, hubs, nil, 0)
	s.early(1, "revoke", h.viewer, late).fails("refused").then(all, hubs, nil, 0)
	s.early(1, "revoke", h.viewer, by).then(all, hubs, []string{"by the viewer"}, 1)
	s.early(2, "revoke", h.second, late).then(all, hubs, []string{"by the viewer"}, 2)
	s.apply("grant", h.founder, h.given("late", h.viewerX, "member", "history", []string{"porch meta"})...).then(all, hubs, []string{"by the viewer", "late"}, 2)
	s.apply("retain", h.founder, idle()...).then(all, hubs, []string{"by the viewer", "late"}, 2)
	s.apply("revoke", h.founder, by).then(all, hubs, []string{"by the viewer", "late"}, 1)
	s.apply("revoke", h.founder, late).then(all, hubs, []string{"by the viewer", "late"}, 0)
	return "grants: by issuer or admin, and of a grant that the chain does not have yet by an admin only"
}

func overlayLatest(h household, s *scene) string {
	rest, hubs, ended := []edKey{h.founder, h.second}, []edKey{h.hub, h.hub2}, []string{"to the viewer"}
	s.early(1, "unmember", h.founder, gone(h.viewer)).then(rest, hubs, ended, 1)
	s.early(1, "unmember", h.founder, gone(h.viewer)).then(rest, hubs, ended, 1)
	s.early(3, "unmember", h.second, gone(h.viewer)).then(rest, hubs, ended, 1)
	s.early(2, "unmember", h.founder, gone(h.viewer)).then(rest, hubs, ended, 1)
	s.apply("retain", h.founder, idle()...).then(rest, hubs, ended, 1)
	s.apply("member", h.second, memberLines(h.viewer, h.viewerX, h.viewerRec, "viewer", "no", "track *")...).then(rest, hubs, ended, 1)
	return "of two removals of one member that of the later place is kept"
}

func overlayBad(h household, s *scene) string {
	all, hubs := []edKey{h.founder, h.second, h.viewer}, []edKey{h.hub, h.hub2}
	n := len(s.texts) - 1
	raw := func(note string) *scene {
		s.steps = append(s.steps, testkit.OverlayStep{Early: note})
		return s
	}
	s.early(1, "retain", h.founder, idle()...).fails("invalid").then(all, hubs, nil, 0)
	s.early(0, "unmember", h.founder, gone(h.viewer)).fails("conflict").then(all, hubs, nil, 0)
	s.early(1025, "unmember", h.founder, gone(h.viewer)).fails("refused").then(all, hubs, nil, 0)
	text := textOf("unmember", append(h.head(n+1, draw("no prev", 32), now+601, h.founder), gone(h.viewer))...)
	raw(h.founder.sign(text)).fails("refused").then(all, hubs, nil, 0)
	text, note := s.signed(1, "unmember", h.founder, gone(h.viewer))
	raw(h.second.sign(text)).fails("verify").then(all, hubs, nil, 0)
	raw(note[:len(text)-4]+"\n"+note[len(text):]).fails("invalid").then(all, hubs, nil, 0)
	other := h
	other.id = draw("another household", 16)
	text = textOf("unmember", append(other.head(n+1, draw("no prev", 32), now, h.founder), gone(h.viewer))...)
	raw(h.founder.sign(text)).fails("conflict").then(all, hubs, nil, 0)
	text = textOf("unmember", append(h.head(n+1, draw("no prev", 32), now-1_000_000, h.founder), gone(h.viewer))...)
	raw(h.founder.sign(text)).then(all[:2], hubs, []string{"to the viewer"}, 1)
	return "what is no removal, or in the wrong place; another chain before it does not matter"
}

func fits(h household) []testkit.FitVector {
	f, s, v, hub := hexBytes(h.founderX.kid()), hexBytes(h.secondX.kid()), hexBytes(h.viewerX.kid()), hexBytes(h.hubX.kid())
	order := func(kids ...hexBytes) []hexBytes {
		out := append([]hexBytes{}, kids...)
		sort.Slice(out, func(i, j int) bool { return string(out[i]) < string(out[j]) })
		return out
	}
	var out []testkit.FitVector
	for i, c := range []struct {
		got, left []hexBytes
		ok        bool
	}{
		{[]hexBytes{v, f, s}, nil, true},
		{[]hexBytes{f}, []hexBytes{s, v}, true},
		{[]hexBytes{s, v}, []hexBytes{f}, true},
		{nil, []hexBytes{f, s, v}, true},
		{[]hexBytes{f, s, v, hub}, nil, false},
		{[]hexBytes{hub}, nil, false},
		{[]hexBytes{f, f, s, v}, nil, false},
		{[]hexBytes{h.founder.kid(), s, v}, nil, false},
	} {
		out = append(out, testkit.FitVector{Name: fmt.Sprintf("list %d", i), Got: append([]hexBytes{}, c.got...), OK: c.ok, LeftOut: order(c.left...)})
	}
	return out
}
