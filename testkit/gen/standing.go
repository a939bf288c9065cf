package main

import (
	"fmt"
	"sort"

	"latchkey.dev/latchkey/testkit"
)

// window is a stretch that an epoch beginning at now gives to a key by standing
// grants: what is expected, written out and not computed.
type window struct {
	kid         hexBytes
	track       string
	from, until int64
}

// standing adds the expected windows to the members' rights.
func (b *builder) standing(members []testkit.RecipientVector) []testkit.RecipientVector {
	for _, w := range b.windows {
		i := 0
		for i < len(members) && string(members[i].Kid) != string(w.kid) {
			i++
		}
		if i == len(members) {
			members = append(members, testkit.RecipientVector{Kid: w.kid, Tracks: []hexBytes{}, Windows: []testkit.RangeVector{}})
		}
		members[i].Windows = append(members[i].Windows, testkit.RangeVector{Track: b.h.tracks[w.track], From: w.from, Until: w.until})
		sort.Slice(members[i].Windows, func(x, y int) bool {
			return string(members[i].Windows[x].Track) < string(members[i].Windows[y].Track)
		})
	}
	return members
}

// ahead makes the lines of a standing grant of one stretch of each track.
func (h household) ahead(name string, to xKey, kind string, until int64, stretches map[string][2]int64, tail ...string) []string {
	lines := []string{"grant " + b64(grantID(name)), "to " + b64(to.kid()) + " " + kind}
	if kind != "member" {
		lines = append(lines, "key "+b64(to.pub))
	}
	lines = append(lines, "purpose neighbour")
	var ranges []string
	for t, s := range stretches {
		ranges = append(ranges, fmt.Sprintf("track %s %d %d", b64(h.tracks[t]), s[0], s[1]))
	}
	lines = append(append(lines, sorted(ranges...)...), fmt.Sprintf("until %d", until))
	if kind != "member" {
		lines = append(lines, "hub "+h.hub.vkey())
	}
	return append(append(lines, "standing yes"), tail...)
}

// stand appends a standing grant; windows are those of the state after it.
func (b *builder) stand(say, name string, by edKey, to xKey, kind string, until int64, stretches map[string][2]int64, windows []window) {
	g := testkit.GrantVector{
		Grant: grantID(name), By: by.kid(), To: to.kid(), Kind: kind, Until: until, Capsule: hexBytes{}, Standing: true, Seq: uint64(len(b.links)),
	}
	for t, s := range stretches {
		g.Tracks = append(g.Tracks, testkit.RangeVector{Track: b.h.tracks[t], From: s[0], Until: s[1]})
	}
	sort.Slice(g.Tracks, func(x, y int) bool { return b64(g.Tracks[x].Track) < b64(g.Tracks[y].Track) })
	b.grants, b.windows = append(b.grants, g), windows
	b.add(say, "grant", by, b.h.ahead(name, to, kind, until, stretches)...)
}

type stretch = map[string][2]int64

// future is grants that stand: whom epochs are sealed to, besides members.
func (b *builder) future() {
	h, second3 := b.h, newEd(draw("seed second 3", 32))
	viewer, stranger, friend := hexBytes(h.viewerX.kid()), newX(draw("seed stranger x", 32)), newX(draw("seed friend x", 32))
	const day, longest = 86400, 131072
	b.given = len(b.links)
	b.admit(h.viewer, h.viewerX, "viewer", false, false)
	b.add("member, a viewer of no track", "member", h.founder, memberLines(h.viewer, h.viewerX, h.viewerRec, "viewer", "no")...)
	b.stand("standing grant to a member", "ahead", h.founder, h.viewerX, "member", now+day, stretch{"porch video": {now - 7200, now + 3600}},
		[]window{{viewer, "porch video", now, now + 3600}})
	b.stand("another, which goes on where the first ends, past the longest epoch", "further", h.founder, h.viewerX, "member", now+1,
		stretch{"porch video": {now + 3600, now + 2*day}, "drive video": {now + 100, now + 200}},
		[]window{{viewer, "porch video", now, now + longest}, {viewer, "drive video", now + 100, now + 200}})
	both := b.windows
	b.stand("standing grant to a contact", "neighbour", second3, stranger, "contact", now+day, stretch{"porch video": {now + 100, now + day}},
		append(both[:2:2], window{hexBytes(stranger.kid()), "porch video", now + 100, now + day}))
	b.stand("one that begins when every epoch of now is over", "later", h.founder, friend, "project", now+9*day, stretch{"porch video": {now + longest, now + 3*day}}, b.windows)
	b.stand("one whose service is over", "over", h.founder, friend, "contact", now, stretch{"porch video": {now, now + day}}, b.windows)
	b.stand("one whose footage is over", "past", h.founder, friend, "contact", now+day, stretch{"porch video": {now - day, now}}, b.windows)
	newX := newX(draw("seed viewer x 4", 32))
	b.rekeyed(h.viewer, newX)
	b.windows = append([]window{}, b.windows...)
	b.windows[0].kid, b.windows[1].kid = newX.kid(), newX.kid()
	b.add("rekey of a standing grantee", "rekey", h.viewer, "kid "+b64(h.viewer.kid()), "x "+b64(newX.pub))
	b.end("neighbour")
	b.windows = b.windows[:2]
	b.add("revoke of a standing grant", "revoke", second3, "grant "+b64(grantID("neighbour")))
	seq := uint64(len(b.links))
	b.change(h.viewer, func(m *testkit.MemberVector) { m.Tracks, m.Seq = []hexBytes{h.tracks["porch video"]}, seq })
	b.windows = b.windows[1:]
	b.add("rights to a track that was given", "member", h.founder, memberLines(h.viewer, newX, h.viewerRec, "viewer", "no", "track "+b64(h.tracks["porch video"]))...)
	b.dismiss(h.viewer)
	b.end("ahead", "further")
	b.windows = nil
	b.add("unmember of a standing grantee", "unmember", h.founder, "kid "+b64(h.viewer.kid()))
}

// standingTrials are standing grants that must be refused, and what may not be
// done with the key of somebody who has one.
func standingTrials(b *builder) []trial {
	h, after := b.h, b.given+4 // after "standing grant to a contact"
	stranger, friend := newX(draw("seed stranger x", 32)), newX(draw("seed friend x", 32))
	hour := stretch{"porch video": {now, now + 3600}}
	by := func(name string, noteType string, own ...string) trial {
		return trial{name: name, err: "refused", after: after, text: b.next(after, noteType, h.founder, own...), signer: h.founder}
	}
	grant := func(kind string, to xKey, tail ...string) []string {
		return h.ahead("fresh", to, kind, now+86400, hour, tail...)
	}
	release := func(lines []string) []string {
		return append(swap(lines, "standing ", "capsule "+b64(hash(nil)), "standing yes"), h.release()...)
	}
	var many []string
	for i := range 17 {
		many = append(many, fmt.Sprintf("track %s %d %d", b64(h.tracks["porch video"]), now+int64(2*i), now+int64(2*i+1)))
	}
	return []trial{
		by("standing grant to a link", "grant", grant("link", friend)...),
		by("standing grant to staff", "grant", release(grant("staff", friend))...),
		by("standing grant with a release", "grant", release(grant("project", friend))...),
		by("standing grant to a contact without his key", "grant", swap(grant("contact", friend), "key ")...),
		by("standing grant to a contact by a member's key", "grant", grant("contact", h.founderX)...),
		by("standing grant of 17 stretches", "grant", swap(grant("contact", friend), "track ", sorted(many...)...)...),
		by("member with the key of a standing grantee", "member", memberLines(h.stranger, stranger, h.hub2, "member", "no", "track *")...),
	}
}
