package chain_test

import (
	"errors"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// house is a household for tests that tell a story: ann founds it.
type house struct {
	t     testing.TB
	s     chain.State
	notes [][]byte
	track latchkey.TrackID // the one camera has this track, and one ann alone knows of
	other latchkey.TrackID
}

// Statements that a test signs; the head is filled in.
type body func(chain.Head) chain.Statement

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, track: latchkey.TrackID(seedOf("track")[:16]), other: latchkey.TrackID(seedOf("other track")[:16])}
	ann := newPerson("ann")
	g := chain.Genesis{Head: chain.Head{Time: testNow, By: ann.kid()}, Ed: ann.ed.Public(), X: ann.x, Recovery: ann.recovery.Public()}
	text, err := g.Text()
	if err != nil {
		t.Fatal(err)
	}
	h.take(chain.SignNote(text, ann.ed))
	h.do(ann, func(hd chain.Head) chain.Statement {
		return chain.AddCamera{Head: hd, Camera: latchkey.CameraID(seedOf("camera")[:16]), Tracks: []chain.TrackDecl{
			{ID: h.track, Kind: latchkey.KindVideo}, {ID: h.other, Kind: latchkey.KindMeta}}}
	})
	return h
}

func (h *house) take(raw []byte) {
	h.t.Helper()
	next, err := chain.Apply(h.s, mustParse(h.t, raw), testNow)
	if err != nil {
		h.t.Fatal(err)
	}
	h.s, h.notes = next, append(h.notes, raw)
}

// sign makes a statement lead places after the head of the chain.
func (h *house) sign(by person, lead uint64, b body) chain.Note {
	h.t.Helper()
	hd := chain.Head{Household: h.s.Household, Seq: h.s.Seq + lead, Prev: h.s.Hash, Time: testNow, By: by.kid(), Salt: [16]byte(seedOf("salt")[:16])}
	text, err := b(hd).Text()
	if err != nil {
		h.t.Fatal(err)
	}
	return mustParse(h.t, chain.SignNote(text, by.ed))
}

func (h *house) do(by person, b body) {
	h.t.Helper()
	h.take(h.sign(by, 1, b).Raw)
}

// refuses checks that Apply refuses a statement in the right place.
func (h *house) refuses(name string, want error, by person, b body) {
	h.t.Helper()
	if _, err := chain.Apply(h.s, h.sign(by, 1, b), testNow); !errors.Is(err, want) {
		h.t.Errorf("%s: got %v, want %v", name, err, want)
	}
}

func (p person) as(role chain.Role, share bool, tracks ...latchkey.TrackID) body {
	return func(h chain.Head) chain.Statement {
		return chain.AddMember{Head: h, Ed: p.ed.Public(), X: p.x, Recovery: p.recovery.Public(), Role: role, Share: share, AllTracks: len(tracks) == 0, Tracks: tracks}
	}
}

func (p person) gone() body {
	return func(h chain.Head) chain.Statement { return chain.Unmember{Head: h, Kid: p.kid()} }
}

// rekeyed is p with the signing and sealing keys of another name.
func (p person) rekeyed(to person) body {
	return func(h chain.Head) chain.Statement {
		return chain.Rekey{Head: h, Kid: p.kid(), Ed: to.ed.Public(), X: to.x}
	}
}

func idle(h chain.Head) chain.Statement { return chain.Retain{Head: h, AllTracks: true, Seconds: 60} }

func grantOf(name string) latchkey.GrantID { return latchkey.GrantID(seedOf("grant " + name)[:16]) }

// history is a grant of footage of the past to a member.
func history(name string, to person, tracks ...latchkey.TrackID) body {
	return func(h chain.Head) chain.Statement { return historyGrant(h, name, to, tracks...) }
}

func historyGrant(h chain.Head, name string, to person, tracks ...latchkey.TrackID) chain.AddGrant {
	g := chain.AddGrant{Head: h, Grant: grantOf(name), To: chain.KidOf(to.x), Kind: chain.GrantMember, Purpose: "history", Until: testNow + 1000, Capsule: chain.TextHash([]byte(name))}
	for _, t := range tracks {
		g.Tracks = append(g.Tracks, chain.TrackRange{Track: t, From: testNow - 1000, Until: testNow})
	}
	return g
}

func revoke(name string) body {
	return func(h chain.Head) chain.Statement { return chain.Revoke{Head: h, Grant: grantOf(name)} }
}

// withX is p with another sealing key, as after a rekey of that key alone.
func (p person) withX(name string) person {
	p.x = newPerson(name).x
	return p
}
