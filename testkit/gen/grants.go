package main

import (
	"fmt"

	"latchkey.dev/latchkey/testkit"
)

// rights restates members: their keys stay, what they may changes.
func (b *builder) rights() {
	h, second := b.h, second2()
	porch := hexBytes(h.tracks["porch video"])
	seq := uint64(len(b.links))
	b.change(second, func(m *testkit.MemberVector) {
		m.Role, m.Share, m.All, m.Tracks, m.Seq = "member", true, false, []hexBytes{porch}, seq
	})
	b.add("member restated: an admin becomes a member of one track who may share", "member", h.founder,
		memberLines(second, h.secondX, h.secondRec, "member", "yes", "track "+b64(porch))...)
	b.change(h.founder, func(m *testkit.MemberVector) { m.Share, m.Seq = false, seq+1 })
	b.add("member restated: the last admin stays admin", "member", h.founder,
		memberLines(h.founder, h.founderX, h.founderRec, "admin", "no", "track *")...)
	b.admit(h.viewer, h.viewerX, "viewer", false, true)
	b.add("member, admitted again with the keys of before", "member", h.founder,
		memberLines(h.viewer, h.viewerX, h.viewerRec, "viewer", "no", "track *")...)
}

func grantID(name string) []byte { return draw("grant "+name, 16) }

// given makes the lines of a grant of one hour of some tracks, which end in tail.
func (h household) given(name string, to xKey, kind, purpose string, tracks []string, tail ...string) []string {
	lines := []string{"grant " + b64(grantID(name)), "to " + b64(to.kid()) + " " + kind}
	if kind == "staff" {
		lines = append(lines, "key "+b64(to.pub))
	}
	lines = append(lines, "purpose "+purpose)
	if kind == "project" {
		lines = append(lines, "terms "+b64(hash([]byte("the terms"))))
	}
	var ranges []string
	for _, t := range tracks {
		ranges = append(ranges, fmt.Sprintf("track %s %d %d", b64(h.tracks[t]), now-7200, now-3600))
	}
	lines = append(append(lines, sorted(ranges...)...), fmt.Sprintf("until %d", now+86400))
	if kind != "member" {
		lines = append(lines, "hub "+h.hub.vkey())
	}
	return append(append(lines, "capsule "+b64(hash([]byte("capsule of "+name)))), tail...)
}

// give records what the chain has of such a grant.
func (b *builder) give(name string, by edKey, to xKey, kind string, tracks []string) {
	g := testkit.GrantVector{
		Grant: grantID(name), By: by.kid(), To: to.kid(), Kind: kind, Until: now + 86400, Capsule: hash([]byte("capsule of " + name)), Seq: uint64(len(b.links)),
	}
	if kind == "staff" {
		g.Release, g.Mask = b.h.hub.kid(), hash([]byte("sealed mask"))
	}
	for _, line := range sorted(tracks...) {
		g.Tracks = append(g.Tracks, testkit.RangeVector{Track: b.h.tracks[line], From: now - 7200, Until: now - 3600})
	}
	if len(tracks) == 2 && b64(g.Tracks[0].Track) > b64(g.Tracks[1].Track) {
		g.Tracks[0], g.Tracks[1] = g.Tracks[1], g.Tracks[0]
	}
	b.grants = append(b.grants, g)
}

// end marks grants as revoked in the states to come.
func (b *builder) end(names ...string) {
	grants := append([]testkit.GrantVector{}, b.grants...)
	for i := range grants {
		for _, n := range names {
			grants[i].Revoked = grants[i].Revoked || string(grants[i].Grant) == string(grantID(n))
		}
	}
	b.grants = grants
}

// release is the end of a grant that a hub has to release.
func (h household) release() []string {
	return []string{"release " + b64(h.hub.kid()), "mask " + b64(hash([]byte("sealed mask")))}
}

// giving grants and revokes.
func (b *builder) giving() {
	h, second := b.h, second2()
	stranger := newX(draw("seed stranger x", 32))
	one, two := []string{"porch video"}, []string{"porch video", "drive video"}
	b.give("history", h.founder, h.viewerX, "member", two)
	b.add("grant of history by an admin", "grant", h.founder, h.given("history", h.viewerX, "member", "history", two)...)
	b.give("shared", second, h.viewerX, "member", one)
	b.add("grant by a member who may share", "grant", second, h.given("shared", h.viewerX, "member", "history", one)...)
	b.give("contact", second, stranger, "contact", one)
	b.add("grant to a contact", "grant", second, h.given("contact", stranger, "contact", "neighbour", one)...)
	b.give("link", h.founder, stranger, "link", one)
	b.add("grant to a link", "grant", h.founder, h.given("link", stranger, "link", "police:case-7", one)...)
	b.give("project", h.founder, stranger, "project", two)
	b.add("grant to a project, with its terms", "grant", h.founder, h.given("project", stranger, "project", "annotate:proj-7", two)...)
	b.give("staff", h.founder, stranger, "staff", one)
	b.add("grant to staff, released by a hub", "grant", h.founder, h.given("staff", stranger, "staff", "support:48213", one, h.release()...)...)
	viewerX3 := newX(draw("seed viewer x 3", 32))
	b.rekeyed(h.viewer, viewerX3)
	b.add("rekey of a grantee", "rekey", h.viewer, "kid "+b64(h.viewer.kid()), "x "+b64(viewerX3.pub))
	b.end("contact")
	b.add("revoke by the issuer", "revoke", second, "grant "+b64(grantID("contact")))
	b.end("shared")
	b.add("revoke by an admin", "revoke", h.founder, "grant "+b64(grantID("shared")))
	second3 := newEd(draw("seed second 3", 32))
	b.x[string(second3.kid())] = h.secondX.pub
	b.change(second, func(m *testkit.MemberVector) {
		m.Kid, m.PastEd = second3.kid(), append(orEmpty(m.PastEd), second.kid())
	})
	for i := range b.grants {
		if string(b.grants[i].By) == string(second.kid()) {
			b.grants[i].By = second3.kid()
		}
	}
	b.add("rekey of an issuer", "rekey", second, "kid "+b64(second.kid()), "ed "+b64(second3.pub))
	b.dismiss(h.viewer)
	b.end("history")
	b.add("unmember ends grants to him", "unmember", h.founder, "kid "+b64(h.viewer.kid()))
}

// grantTrials are grants and revocations that must be refused.
func grantTrials(b *builder) []trial {
	h, n := b.h, b.given
	gave := n - 6 // after "grant to a project"
	second, stranger := second2(), newX(draw("seed stranger x", 32))
	one := []string{"porch video"}
	by := func(name, errKind string, after int, signer edKey, own ...string) trial {
		return trial{name: name, err: errKind, after: after, text: b.next(after, "grant", signer, own...), signer: signer}
	}
	fresh := func(kind string, to xKey, tail ...string) []string {
		return h.given("fresh", to, kind, "history", one, tail...)
	}
	undeclared := swap(fresh("member", h.viewerX), "track ", "track "+b64(draw("no track", 16))+" 1 2")
	out := []trial{
		by("grant signed by a viewer", "refused", gave, h.viewer, fresh("member", h.secondX)...),
		by("grant signed by a hub", "refused", gave, h.hub, fresh("member", h.secondX)...),
		by("grant of a track that the issuer cannot see", "refused", gave, second, h.given("fresh", h.viewerX, "member", "history", []string{"drive video"})...),
		by("grant of an undeclared track", "refused", gave, h.founder, undeclared...),
		by("grant id used before", "refused", gave, h.founder, h.given("history", h.viewerX, "member", "history", one)...),
		by("grant id used before and revoked", "refused", n, h.founder, h.given("contact", stranger, "contact", "neighbour", one)...),
		by("grant to a member by a key of nobody", "refused", gave, h.founder, fresh("member", stranger)...),
		by("grant to a member by his former key", "refused", n-1, h.founder, fresh("member", h.viewerX)...),
		by("grant to a member with hubs", "refused", gave, h.founder, swap(fresh("member", h.viewerX), "capsule ", "hub "+h.hub.vkey(), "capsule "+b64(hash(nil)))...),
		by("grant to a contact without hubs", "refused", gave, h.founder, swap(fresh("contact", stranger), "hub ")...),
		by("grant to staff without release", "refused", gave, h.founder, fresh("staff", stranger)...),
		by("grant released by a removed hub", "refused", gave, h.founder, fresh("staff", stranger, "release "+b64(h.hub2.kid()), "mask "+b64(hash(nil)))...),
		{name: "access of a household without an operator", err: "refused", after: n, signer: h.stranger, text: b.next(n, "access", h.stranger,
			"grant "+b64(grantID("staff")), "staff "+b64(stranger.kid()), "entry "+b64(draw("desk epoch", 16))+" "+b64(h.tracks["porch video"])+" 8 70")},
		by("revoke as a grant", "invalid", gave, h.founder, "grant "+b64(grantID("history"))),
	}
	out = append(append(out, badGrants(b, gave)...), revokeTrials(b, gave)...)
	return append(out, standingTrials(b)...)
}

func revokeTrials(b *builder, gave int) []trial {
	h, n := b.h, b.given
	by := func(name, errKind string, after int, signer edKey, own ...string) trial {
		return trial{name: name, err: errKind, after: after, text: b.next(after, "revoke", signer, own...), signer: signer}
	}
	return []trial{
		by("revoke by neither issuer nor admin", "refused", gave, second2(), "grant "+b64(grantID("history"))),
		by("revoke by the grantee", "refused", gave, h.viewer, "grant "+b64(grantID("history"))),
		by("revoke by a hub", "refused", gave, h.hub, "grant "+b64(grantID("history"))),
		by("revoke of no grant", "refused", gave, h.founder, "grant "+b64(grantID("none"))),
		by("revoke twice", "refused", n, h.founder, "grant "+b64(grantID("shared"))),
		by("revoke by a key that was replaced", "refused", n, second2(), "grant "+b64(grantID("history"))),
		by("revoke of two grants", "invalid", gave, h.founder, sorted("grant "+b64(grantID("history")), "grant "+b64(grantID("shared")))...),
		by("revoke of a short id", "invalid", gave, h.founder, "grant "+b64(draw("short", 15))),
	}
}

// badGrants have a form that no grant may have.
func badGrants(b *builder, after int) []trial {
	h := b.h
	stranger := newX(draw("seed stranger x", 32))
	good := h.given("fresh", stranger, "staff", "support:48213", []string{"porch video", "drive video"}, h.release()...)
	project := h.given("fresh", stranger, "project", "annotate:proj-7", []string{"porch video"})
	zero := b64(make([]byte, 32))
	video := b64(h.tracks["porch video"])
	texts := map[string][]string{
		"no such kind":                      swap(good, "to ", "to "+b64(stranger.kid())+" friend"),
		"no kind":                           swap(good, "to ", "to "+b64(stranger.kid())),
		"kind in upper case":                swap(good, "to ", "to "+b64(stranger.kid())+" Staff"),
		"two words too many":                swap(good, "to ", "to "+b64(stranger.kid())+" staff staff"),
		"key of another":                    swap(good, "key ", "key "+b64(h.secondX.pub)),
		"short key":                         swap(good, "key ", "key "+b64(stranger.pub[1:])),
		"no purpose":                        swap(good, "purpose "),
		"purpose in upper case":             swap(good, "purpose ", "purpose Police"),
		"purpose of three":                  swap(good, "purpose ", "purpose a:b:c"),
		"purpose without an end":            swap(good, "purpose ", "purpose support:"),
		"purpose with a space":              swap(good, "purpose ", "purpose support 7"),
		"purpose of 65 characters":          swap(good, "purpose ", "purpose "+string(repeat('a', 65))),
		"annotate without terms":            swap(project, "terms "),
		"terms of zeros":                    swap(project, "terms ", "terms "+zero),
		"no tracks":                         swap(swap(good, "track "), "track "),
		"tracks not sorted":                 swap(good, "track ", "track "+video+" 5 6", "track "+video+" 10 11", "track "+video+" 1 2"),
		"equal tracks":                      swap(project, "track ", "track "+video+" 5 6", "track "+video+" 5 6"),
		"range that is empty":               swap(project, "track ", "track "+video+" 5 5"),
		"range that runs backward":          swap(project, "track ", "track "+video+" 6 5"),
		"range with a leading zero":         swap(project, "track ", "track "+video+" 05 6"),
		"range of one number":               swap(project, "track ", "track "+video+" 5"),
		"no until":                          swap(good, "until "),
		"until with a sign":                 swap(good, "until ", "until +5"),
		"hub that is no vkey":               swap(good, "hub ", "hub "+b64(h.hub.pub)),
		"hub with another's hash":           swap(good, "hub ", "hub "+h.hub.name()+h.hub2.vkey()[len(h.hub2.name()):]),
		"hubs twice":                        swap(good, "hub ", "hub "+h.hub.vkey(), "hub "+h.hub.vkey()),
		"neither capsule nor standing":      swap(project, "capsule "),
		"capsule of zeros":                  swap(project, "capsule ", "capsule "+zero),
		"standing no":                       append(append([]string{}, project...), "standing no"),
		"release without mask":              swap(good, "mask "),
		"mask without release":              swap(good, "release "),
		"release of zeros":                  swap(good, "release ", "release "+b64(make([]byte, 16))),
		"mask of zeros":                     swap(good, "mask ", "mask "+zero),
		"release and mask without capsule":  swap(good, "capsule ", "standing yes"),
		"standing before capsule":           swap(project, "capsule ", "standing yes", "capsule "+b64(hash(nil))),
		"mask before release":               swap(swap(good, "mask "), "release ", "mask "+b64(hash(nil)), "release "+b64(h.hub.kid())),
		"until before the tracks":           swap(swap(project, "until "), "purpose ", "purpose annotate:proj-7", "until 5"),
		"a line that no grant has":          append(append([]string{}, good...), "zone 7"),
		"grant twice":                       swap(good, "grant ", "grant "+b64(grantID("fresh")), "grant "+b64(grantID("fresh"))),
		"capsule with unused bits that say": swap(project, "capsule ", "capsule "+respelt(b64(hash(nil)))),
	}
	var names []string
	for name := range texts {
		names = append(names, name)
	}
	var out []trial
	for _, name := range sorted(names...) {
		out = append(out, trial{name: "grant: " + name, err: "invalid", after: after, text: b.next(after, "grant", h.founder, texts[name]...), signer: h.founder})
	}
	return out
}

func repeat(c byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = c
	}
	return out
}

// respelt is a second spelling of base64 with one pad.
func respelt(s string) string {
	at := len(s) - 2
	return s[:at] + nextB64(s[at]) + "="
}

// swap returns lines with the first one that begins with prefix replaced.
func swap(lines []string, prefix string, with ...string) []string {
	var out []string
	done := false
	for _, l := range lines {
		if !done && len(l) >= len(prefix) && l[:len(prefix)] == prefix {
			done = true
			out = append(out, with...)
			continue
		}
		out = append(out, l)
	}
	if !done {
		panic("no line begins with " + prefix)
	}
	return out
}
