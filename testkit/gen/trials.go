package main

import (
	"fmt"
	"slices"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

// inhabited is the length of the chain before rights and grants: the second
// admin and the founder are its members.
const inhabited = 16

// trial is a statement that must be refused after the first `after` statements.
type trial struct {
	name, err string
	after     int
	now       int64
	text      string
	signer    edKey
}

func rejects(b *builder) []testkit.ChainReject {
	var out []testkit.ChainReject
	for _, t := range slices.Concat(placeTrials(b), rightTrials(b), effectTrials(b), restateTrials(b), formTrials(b), grantTrials(b)) {
		if t.now == 0 {
			t.now = now
		}
		out = append(out, testkit.ChainReject{Name: t.name, After: t.after, Now: t.now, Error: t.err, Note: t.signer.sign(t.text)})
	}
	return append(out, forgedTrials(b)...)
}

// next makes a statement in the right place after the first n statements.
func (b *builder) next(n int, noteType string, by edKey, own ...string) string {
	prev := hash([]byte(b.links[n-1].text))
	return textOf(noteType, append(b.h.head(n, prev, now-1000+int64(n), by), own...)...)
}

// placeTrials stand in a wrong place or time.
func placeTrials(b *builder) []trial {
	h := b.h
	hubLines := []string{"ed " + b64(h.hub2.pub), "x " + b64(h.hub2X.pub)}
	at := func(seq int, prev []byte, time int64) string {
		return textOf("hub", append(h.head(seq, prev, time, h.founder), hubLines...)...)
	}
	prev1 := hash([]byte(b.links[1].text))
	other := newHousehold()
	other.id = draw("another household", 16)
	foreign := textOf("hub", append(other.head(2, prev1, now, h.founder), hubLines...)...)
	return []trial{
		{name: "equal seq", err: "conflict", after: 2, text: at(1, hash([]byte(b.links[0].text)), now), signer: h.founder},
		{name: "seq skips one", err: "conflict", after: 2, text: at(3, prev1, now), signer: h.founder},
		{name: "wrong prev", err: "conflict", after: 2, text: at(2, draw("wrong prev", 32), now), signer: h.founder},
		{name: "another household", err: "conflict", after: 2, text: foreign, signer: h.founder},
		{name: "second genesis", err: "conflict", after: 2, text: h.genesis, signer: h.founder},
		{name: "chain does not begin with genesis", err: "conflict", after: 0, text: b.links[1].text, signer: h.founder},
		{name: "601 s in the future", err: "refused", after: 2, text: at(2, prev1, now+601), signer: h.founder},
		{name: "genesis 601 s in the future", err: "refused", after: 0, now: now - 1000 - 601, text: h.genesis, signer: h.founder},
		{name: "601 s before the statement before", err: "refused", after: 2, text: at(2, prev1, now-999-601), signer: h.founder},
		{name: "seq 0 outside genesis", err: "invalid", after: 2, text: at(0, prev1, now), signer: h.founder},
		{name: "grant of another household", err: "conflict", after: 2, text: grantVector().Text, signer: h.founder},
	}
}

// rightTrials are signed by somebody without the right.
func rightTrials(b *builder) []trial {
	h := b.h
	hubLines := []string{"ed " + b64(h.hub2.pub), "x " + b64(h.hub2X.pub)}
	genesisByOther := strings.Replace(h.genesis, "by "+b64(h.founder.kid()), "by "+b64(h.stranger.kid()), 1)
	n := inhabited
	return []trial{
		{name: "genesis signed by another", err: "refused", after: 0, text: genesisByOther, signer: h.stranger},
		{name: "hub signed by a stranger", err: "refused", after: 2, text: b.next(2, "hub", h.stranger, hubLines...), signer: h.stranger},
		{name: "hub signed by a hub", err: "refused", after: 2, text: b.next(2, "hub", h.hub, hubLines...), signer: h.hub},
		{name: "camera signed by the recovery key", err: "refused", after: 2, signer: h.founderRec,
			text: b.next(2, "camera", h.founderRec, "camera "+b64(h.camera), "track "+b64(h.tracks["porch video"])+" video")},
		{name: "hub signed by a viewer", err: "refused", after: 9, text: b.next(9, "hub", h.viewer, hubLines...), signer: h.viewer},
		{name: "signed by a key that was replaced", err: "refused", after: n, text: b.next(n, "hub", h.second, hubLines...), signer: h.second},
		{name: "signed by a member who was removed", err: "refused", after: n, text: b.next(n, "rekey", h.viewer, "kid "+b64(h.viewer.kid()), "x "+b64(h.hub2X.pub)), signer: h.viewer},
		{name: "rekey of another member", err: "refused", after: 9, signer: h.viewer,
			text: b.next(9, "rekey", h.viewer, "kid "+b64(h.second.kid()), "x "+b64(h.hub2X.pub))},
		{name: "anchor signed by an admin", err: "refused", after: 2, text: b.next(2, "anchor", h.founder, "epoch "+b64(draw("e", 32))), signer: h.founder},
		{name: "anchor signed by a removed hub", err: "refused", after: n, text: b.next(n, "anchor", h.hub2, "epoch "+b64(draw("e", 32))), signer: h.hub2},
	}
}

// effectTrials are signed by an admin and forbidden.
func effectTrials(b *builder) []trial {
	h := b.h
	n := inhabited
	by := func(name, errKind string, after int, noteType string, own ...string) trial {
		return trial{name: name, err: errKind, after: after, text: b.next(after, noteType, h.founder, own...), signer: h.founder}
	}
	video := "track " + b64(h.tracks["porch video"])
	return []trial{
		by("the last admin removed", "refused", 2, "unmember", "kid "+b64(h.founder.kid())),
		by("signer removed in the same statement", "refused", 8, "unmember", "kid "+b64(h.founder.kid())),
		by("nobody removed", "refused", 2, "unmember", "kid "+b64(h.stranger.kid())),
		by("hub admitted twice", "refused", 2, "hub", "ed "+b64(h.hub.pub), "x "+b64(h.hub2X.pub)),
		by("hub with the founder's X-Wing key", "refused", 2, "hub", "ed "+b64(h.hub2.pub), "x "+b64(h.founderX.pub)),
		by("member with a hub's key as recovery key", "refused", 2, "member", memberLines(h.second, h.secondX, h.hub, "member", "no", "track *")...),
		by("member with one key for signing and recovery", "refused", 2, "member", memberLines(h.second, h.secondX, h.second, "member", "no", "track *")...),
		by("member with a right to an undeclared track", "refused", 2, "member", memberLines(h.second, h.secondX, h.secondRec, "member", "no", video)...),
		by("unhub of no hub", "refused", 2, "unhub", "kid "+b64(h.hub2.kid())),
		by("unhub of a member", "refused", 2, "unhub", "kid "+b64(h.founder.kid())),
		by("camera drops a track", "refused", n, "camera", append([]string{"camera " + b64(h.camera)}, h.declare("porch video", "porch meta")...)...),
		by("track moves to another camera", "refused", n, "camera", append([]string{"camera " + b64(draw("third camera", 16))}, h.declare("porch video")...)...),
		by("track changes its kind", "refused", 3, "camera", append([]string{"camera " + b64(h.camera)},
			sorted(video+" audio", "track "+b64(h.tracks["porch video-sub"])+" video-sub", "track "+b64(h.tracks["porch meta"])+" meta")...)...),
		by("retain of an undeclared track", "refused", 2, "retain", video, "seconds 60"),
		by("erase of an undeclared track", "refused", 2, "erase", video, "from 1", "until 2"),
		by("camera without tracks", "invalid", 2, "camera", "camera "+b64(h.camera)),
		by("camera with an unknown kind", "invalid", 2, "camera", "camera "+b64(h.camera), video+" smell"),
		by("camera with one track under two kinds", "invalid", 2, "camera", "camera "+b64(h.camera), video+" audio", video+" video"),
		by("tracks not sorted", "invalid", 2, "camera", append([]string{"camera " + b64(h.camera)}, reversed(h.declare("porch video", "porch meta"))...)...),
		by("equal track lines", "invalid", 2, "camera", "camera "+b64(h.camera), video+" video", video+" video"),
		by("two spaces between words", "invalid", 2, "camera", "camera "+b64(h.camera), video+"  video"),
		by("member with all tracks and one", "invalid", 3, "member", memberLines(h.second, h.secondX, h.secondRec, "member", "no", "track *", video)...),
		by("member with an unknown role", "invalid", 2, "member", memberLines(h.second, h.secondX, h.secondRec, "owner", "no", "track *")...),
		by("member with share maybe", "invalid", 2, "member", memberLines(h.second, h.secondX, h.secondRec, "member", "maybe", "track *")...),
		by("rekey without a key", "invalid", 2, "rekey", "kid "+b64(h.founder.kid())),
		by("hub with a short key", "invalid", 2, "hub", "ed "+b64(h.hub2.pub[:31]), "x "+b64(h.hub2X.pub)),
		by("hub with a short X-Wing key", "invalid", 2, "hub", "ed "+b64(h.hub2.pub), "x "+b64(h.hub2X.pub[:1215])),
		by("hub with a line of another type", "invalid", 2, "hub", "ed "+b64(h.hub2.pub), "x "+b64(h.hub2X.pub), "kid "+b64(h.hub2.kid())),
		by("retain for no time", "invalid", n, "retain", "track *", "seconds 0"),
		by("retain past 2^53-1", "invalid", n, "retain", "track *", "seconds 9007199254740992"),
		by("erase of an empty range", "invalid", n, "erase", video, "from 7", "until 7"),
		by("member with equal track lines", "invalid", 3, "member", memberLines(h.second, h.secondX, h.secondRec, "member", "no", video, video)...),
		by("anchor with equal epoch lines", "invalid", n, "anchor", "epoch "+b64(draw("e", 32)), "epoch "+b64(draw("e", 32))),
		by("anchor of nothing", "invalid", n, "anchor"),
	}
}

// restateTrials are about keys that are or were in use.
func restateTrials(b *builder) []trial {
	h, n, second := b.h, inhabited, second2()
	by := func(name, errKind string, after int, noteType string, own ...string) trial {
		return trial{name: name, err: errKind, after: after, text: b.next(after, noteType, h.founder, own...), signer: h.founder}
	}
	zero, one := make([]byte, 32), append([]byte{1}, make([]byte, 31)...)
	hub := []string{"ed " + b64(h.hub2.pub), "x " + b64(h.hub2X.pub)}
	return []trial{
		by("member restated with another sealing key", "refused", n, "member", memberLines(second, h.viewerX, h.secondRec, "member", "no", "track *")...),
		by("member restated with another recovery key", "refused", n, "member", memberLines(second, h.secondX, h.viewerRec, "member", "no", "track *")...),
		by("member restated with another signing key", "refused", n, "member", memberLines(h.viewer, h.secondX, h.secondRec, "member", "no", "track *")...),
		by("member restated with his signing and recovery keys swapped", "refused", n, "member", memberLines(h.secondRec, h.secondX, second, "member", "no", "track *")...),
		by("member restated with a right to an undeclared track", "refused", n, "member", memberLines(second, h.secondX, h.secondRec, "member", "no", "track "+b64(draw("no track", 16)))...),
		by("the last admin restated as a member", "refused", 2, "member", memberLines(h.founder, h.founderX, h.founderRec, "member", "no", "track *")...),
		{name: "restated by himself, who is no admin", err: "refused", after: 9, signer: h.viewer,
			text: b.next(9, "member", h.viewer, memberLines(h.viewer, h.viewerX, h.viewerRec, "admin", "yes", "track *")...)},
		by("member with the former sealing key of another", "refused", 10, "member", memberLines(h.stranger, h.viewerX, h.hub2, "member", "no", "track *")...),
		by("member with the former signing key of another", "refused", n, "member", memberLines(h.second, h.viewerX, h.hub2, "member", "no", "track *")...),
		{name: "rekey back to a former sealing key", err: "refused", after: 10, signer: h.viewer,
			text: b.next(10, "rekey", h.viewer, "kid "+b64(h.viewer.kid()), "x "+b64(h.viewerX.pub))},
		{name: "rekey to the key he has", err: "refused", after: 9, signer: h.viewer,
			text: b.next(9, "rekey", h.viewer, "kid "+b64(h.viewer.kid()), "x "+b64(h.viewerX.pub))},
		by("hub with a key of small order", "invalid", 2, "hub", swap(hub, "ed ", "ed "+b64(zero))...),
		by("hub with the neutral element as key", "invalid", 2, "hub", swap(hub, "ed ", "ed "+b64(one))...),
		by("member with a recovery key of small order", "invalid", 2, "member", swap(memberLines(h.second, h.secondX, h.secondRec, "member", "no", "track *"), "recovery ", "recovery "+b64(flip(one, 31, 0x80)))...),
	}
}

// formTrials are a right statement in a form that is not the one: every rule of
// the text once more, under a chain.
func formTrials(b *builder) []trial {
	h := b.h
	good := b.next(2, "hub", h.founder, "ed "+b64(h.hub2.pub), "x "+b64(h.hub2X.pub))
	line := func(key string) string { return lineOf(strings.Split(good, "\n"), key, 0) + "\n" }
	edit := func(key, with string) string { return strings.Replace(good, line(key), with, 1) }
	prev := strings.TrimSuffix(line("prev"), "\n")
	var out []trial
	for _, c := range [][2]string{
		{"CR at the end of a line", edit("seq", "seq 2\r\n")},
		{"trailing space", edit("seq", "seq 2 \n")},
		{"leading zero in seq", edit("seq", "seq 02\n")},
		{"leading zero in time", edit("time", "time 0"+strings.TrimPrefix(line("time"), "time "))},
		{"seq in hex", edit("seq", "seq 0x2\n")},
		{"seq with an exponent", edit("seq", "seq 2e0\n")},
		{"seq past 2^53-1", edit("seq", "seq 9007199254740994\n")},
		{"missing final newline", strings.TrimSuffix(good, "\n")},
		{"empty line inside", edit("by", line("by")+"\n")},
		{"household twice", edit("household", line("household")+line("household"))},
		{"seq twice", edit("seq", line("seq")+line("seq"))},
		{"seq and household swapped", strings.Replace(edit("seq", ""), line("household"), line("seq")+line("household"), 1)},
		{"x before ed", strings.Replace(edit("x", ""), line("ed"), line("x")+line("ed"), 1)},
		{"no salt", edit("salt", "")},
		{"no prev", edit("prev", "")},
		{"prev without padding", edit("prev", strings.TrimSuffix(prev, "=")+"\n")},
		{"prev with unused bits set", edit("prev", "prev "+respelt(strings.TrimPrefix(prev, "prev "))+"\n")},
		{"salt in base64url", edit("salt", "salt "+strings.NewReplacer("+", "-", "/", "_").Replace(b64([]byte("\xfb\xff\xfe0123456789abc")))+"\n")},
		{"prev in hex", edit("prev", fmt.Sprintf("prev %x\n", hash([]byte(b.links[1].text))))},
		{"prev of 31 bytes", edit("prev", "prev "+b64(draw("short", 31))+"\n")},
		{"salt of 17 bytes", edit("salt", "salt "+b64(draw("long", 17))+"\n")},
		{"unknown key at the end", good + "zone 7\n"},
		{"unknown type", strings.Replace(good, "/v1 hub\n", "/v1 hubs\n", 1)},
		{"a hub under the type of a notice", strings.Replace(good, "/v1 hub\n", "/v1 notice\n", 1)},
		{"another version", strings.Replace(good, "/v1 hub\n", "/v2 hub\n", 1)},
		{"tab between key and value", edit("seq", "seq\t2\n")},
	} {
		if c[1] == good {
			panic(c[0] + " changes nothing")
		}
		out = append(out, trial{name: "form: " + c[0], err: "invalid", after: 2, text: c[1], signer: h.founder})
	}
	return out
}

func reversed(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[len(lines)-1-i] = l
	}
	return out
}

// forgedTrials have a right text and a wrong signature block.
func forgedTrials(b *builder) []testkit.ChainReject {
	h := b.h
	text := b.next(2, "hub", h.founder, "ed "+b64(h.hub2.pub), "x "+b64(h.hub2X.pub))
	good := h.founder.sign(text)
	changed := strings.Replace(good, b64(h.hub2.kid()), b64(h.hub.kid()), 1)
	if changed == good {
		changed = strings.Replace(good, fmt.Sprintf("time %d", now-998), fmt.Sprintf("time %d", now-997), 1)
	}
	return []testkit.ChainReject{
		{Name: "signature line of another key only", After: 2, Now: now, Error: "verify", Note: h.stranger.sign(text)},
		{Name: "text changed after signing", After: 2, Now: now, Error: "verify", Note: changed},
		{Name: "signature of another text", After: 2, Now: now, Error: "verify", Note: text + "\n" + h.founder.sigLine(b.links[1].text)},
		{Name: "genesis text changed after signing", After: 0, Now: now, Error: "verify",
			Note: strings.Replace(h.founder.sign(h.genesis), "log none", "log nowhere", 1)},
	}
}
