package chain

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
)

// GrantKind says what a grantee is.
type GrantKind string

// The kinds of grantees of protocol version 1.
const (
	GrantMember  GrantKind = "member"  // a person of the household: footage of the past
	GrantContact GrantKind = "contact" // a person outside it
	GrantLink    GrantKind = "link"    // whoever holds a link's secret
	GrantStaff   GrantKind = "staff"   // one person of the operator, with a hub's release
	GrantProject GrantKind = "project" // an annotation project
)

func (k GrantKind) valid() bool {
	switch k {
	case GrantMember, GrantContact, GrantLink, GrantStaff, GrantProject:
		return true
	}
	return false
}

// TrackRange is footage of one track in [From, Until), unix seconds.
type TrackRange struct {
	Track       latchkey.TrackID
	From, Until int64
}

// AddGrant gives a key footage (spec/chain, "Grants"). Zero values of the
// optional fields stand for lines that are not there.
type AddGrant struct {
	Head
	Grant    latchkey.GrantID // random, used once
	To       latchkey.Kid     // of the grantee's X-Wing key
	Kind     GrantKind
	Key      []byte        // the grantee's X-Wing key; optional, for keys that are not in the roster
	Purpose  string        // token or token:token, such as history or support:48213
	Terms    latchkey.Hash // H of the consent text shown; demanded for annotate
	Tracks   []TrackRange  // at least one
	Until    int64         // unix seconds: when the operator stops serving it
	Hubs     []string      // vkeys of the hubs to trust, for grantees who have no chain
	Capsule  latchkey.Hash // H of the sealed capsule
	Standing bool          // future epochs are sealed to the grantee, as far as Tracks reach
	Release  latchkey.Kid  // of the hub that has to release each entry; with Mask
	Mask     latchkey.Hash // H of the sealed mask; with Release
}

// Revoke ends a grant.
type Revoke struct {
	Head
	Grant latchkey.GrantID
}

func (AddGrant) Type() string { return TypeGrant }
func (Revoke) Type() string   { return TypeRevoke }

// Grant is a grant as the chain has it.
type Grant struct {
	By      latchkey.Kid // of the issuer's Ed25519 key; follows his rekeys
	To      latchkey.Kid // of the grantee's X-Wing key
	Kind    GrantKind
	Key     []byte       // the grantee's X-Wing key; nil unless the statement has it
	Tracks  []TrackRange // in the order of their lines
	Until   int64        // unix seconds: the end of service
	Capsule latchkey.Hash
	// Standing: hubs seal future epochs to the grantee (Recipients).
	Standing bool
	Release  latchkey.Kid  // of the hub that has to release each entry; zero: none
	Mask     latchkey.Hash // H of the sealed mask; with Release
	Seq      uint64        // of the statement
	Revoked  bool
}

// Overlaps reports whether the grant has footage of the track in [from, until).
func (g Grant) Overlaps(track latchkey.TrackID, from, until int64) bool {
	return slices.ContainsFunc(g.Tracks, func(r TrackRange) bool {
		return r.Track == track && r.From < until && from < r.Until
	})
}

// check calls fail for what no grant may say; parser and encoder share it.
func (s AddGrant) check(fail func(key, why string)) {
	if !s.Kind.valid() {
		fail("to", "unknown kind of grantee")
	}
	if len(s.Key) > 0 && KidOf(s.Key) != s.To {
		fail("key", "another than the one granted to")
	}
	if !isPurpose(s.Purpose) {
		fail("purpose", "not a token, or two with a colon")
	}
	if topic, _, _ := strings.Cut(s.Purpose, ":"); topic == purposeAnnotate && s.Terms == (latchkey.Hash{}) {
		fail("terms", "missing for "+purposeAnnotate)
	}
	if len(s.Tracks) == 0 {
		fail("track", "none granted")
	}
	for _, t := range s.Tracks {
		if t.From >= t.Until {
			fail("track", "until is not after from")
		}
	}
	for _, h := range s.Hubs {
		if _, _, err := ParseVKey(h); err != nil {
			fail("hub", "not a verifier key")
		}
	}
	released, masked := s.Release != (latchkey.Kid{}), s.Mask != (latchkey.Hash{})
	switch capsule := s.Capsule != (latchkey.Hash{}); {
	case !capsule && !s.Standing:
		fail("capsule", "neither a capsule nor standing")
	case released != masked || (masked && !capsule):
		fail("mask", "release, mask and capsule belong together")
	}
}

// isPurpose reports whether s is token or token:token, a token being 1 to 64
// of a–z, 0–9 and -.
func isPurpose(s string) bool {
	words := strings.Split(s, ":")
	for _, w := range words {
		if w == "" || len(w) > maxPurpose || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return len(words) <= 2
}

// Text encodes the statement; Tracks and Hubs may be in any order.
func (s AddGrant) Text() ([]byte, error) {
	w := newWriter(TypeGrant)
	w.head(s.Head)
	s.check(w.fail)
	w.line("grant", latchkey.B64(s.Grant[:]))
	w.line("to", latchkey.B64(s.To[:]), string(s.Kind))
	if len(s.Key) > 0 {
		w.x("key", s.Key)
	}
	w.line("purpose", s.Purpose)
	w.optionalHash("terms", s.Terms)
	tracks := make([]string, len(s.Tracks))
	for i, t := range s.Tracks {
		tracks[i] = latchkey.B64(t.Track[:]) + " " + w.time("track", t.From) + " " + w.time("track", t.Until)
	}
	w.lines("track", tracks)
	w.line("until", w.time("until", s.Until))
	w.lines("hub", slices.Clone(s.Hubs))
	w.optionalHash("capsule", s.Capsule)
	if s.Standing {
		w.line("standing", yes)
	}
	if s.Release != (latchkey.Kid{}) {
		w.line("release", latchkey.B64(s.Release[:]))
	}
	w.optionalHash("mask", s.Mask)
	return w.done(TypeGrant)
}

// Text encodes the statement.
func (s Revoke) Text() ([]byte, error) {
	w := newWriter(TypeRevoke)
	w.head(s.Head)
	w.line("grant", latchkey.B64(s.Grant[:]))
	return w.done(TypeRevoke)
}

func parseGrant(r *reader, h Head) Statement {
	s := AddGrant{Head: h, Grant: r.id("grant", r.next("grant"))}
	to := r.fields("to", 2)
	s.To, s.Kind = r.id("to", to[0]), GrantKind(to[1])
	if r.has("key") {
		s.Key = r.x("key")
	}
	s.Purpose = r.next("purpose")
	s.Terms = r.optionalHash("terms")
	for r.has("track") {
		f := r.fields("track", 3)
		s.Tracks = append(s.Tracks, TrackRange{Track: r.id("track", f[0]), From: r.time("track", f[1]), Until: r.time("track", f[2])})
	}
	s.Until = r.time("until", r.next("until"))
	for r.has("hub") {
		s.Hubs = append(s.Hubs, r.next("hub"))
	}
	s.Capsule = r.optionalHash("capsule")
	if r.has("standing") {
		s.Standing = true
		if r.next("standing") != yes {
			r.fail("standing", "want "+yes+" or no line")
		}
	}
	if r.has("release") {
		if s.Release = r.id("release", r.next("release")); s.Release == (latchkey.Kid{}) {
			r.fail("release", "zero")
		}
	}
	s.Mask = r.optionalHash("mask")
	s.check(r.fail)
	return s
}

func parseRevoke(r *reader, h Head) Statement {
	return Revoke{Head: h, Grant: r.id("grant", r.next("grant"))}
}

// grant applies a grant. A standing one changes who epochs are sealed to.
func (s State) grant(st AddGrant, n Note) (State, error) {
	m, ok := s.Members[st.By]
	if !ok || (m.Role != RoleAdmin && !m.Share) {
		return State{}, refused("signed by nobody who may share")
	}
	if err := n.Verify(m.Ed); err != nil {
		return State{}, err
	}
	if _, used := s.Grants[st.Grant]; used {
		return State{}, refused("grant %v was given before", st.Grant)
	}
	for _, t := range st.Tracks {
		if _, _, ok := s.Track(t.Track); !ok || !m.MaySee(t.Track) {
			return State{}, refused("the issuer cannot see track %v", t.Track)
		}
	}
	if err := s.checkGrantee(st); err != nil {
		return State{}, err
	}
	s.Grants = maps.Clone(s.Grants)
	s.Grants[st.Grant] = Grant{
		By: st.By, To: st.To, Kind: st.Kind, Key: bytes.Clone(st.Key), Tracks: slices.Clone(st.Tracks), Until: st.Until,
		Capsule: st.Capsule, Standing: st.Standing, Release: st.Release, Mask: st.Mask, Seq: st.Seq,
	}
	return s, nil
}

// checkGrantee checks what each kind of grantee demands.
func (s State) checkGrantee(st AddGrant) error {
	if st.Kind == GrantMember {
		party, ok := s.HolderOf(st.To)
		switch {
		case !ok || KidOf(s.Members[party].X) != st.To:
			return refused("%v is the present key of no member", st.To)
		case len(st.Hubs) > 0:
			return refused("a member trusts the hubs of the chain")
		}
	} else if len(st.Hubs) == 0 {
		return refused("a %s has to be told which hubs to trust", st.Kind)
	}
	if st.Standing {
		if err := s.checkStanding(st); err != nil {
			return err
		}
	}
	if st.Release == (latchkey.Kid{}) {
		if st.Kind == GrantStaff {
			return refused("a grant to staff needs a hub's release")
		}
		return nil
	}
	if _, ok := s.Hubs[st.Release]; !ok {
		return refused("%v, which is to release it, is no hub", st.Release)
	}
	return nil
}

func (s State) revoke(st Revoke, n Note) (State, error) {
	m, ok := s.Members[st.By]
	if !ok {
		return State{}, refused("signed by no member")
	}
	if err := n.Verify(m.Ed); err != nil {
		return State{}, err
	}
	g, ok := s.Grants[st.Grant]
	switch {
	case !ok || g.Revoked:
		return State{}, refused("%v is no grant, or ended already", st.Grant)
	case m.Role != RoleAdmin && g.By != st.By:
		return State{}, refused("signed by neither the issuer nor an admin")
	}
	return s.revoked(st.Grant), nil
}

// revoked is s with one grant ended.
func (s State) revoked(id latchkey.GrantID) State {
	g := s.Grants[id]
	g.Revoked = true
	s.Grants = maps.Clone(s.Grants)
	s.Grants[id] = g
	return s
}

// GrantsTo lists the grants in force to a member, under any sealing key he has
// or had, sorted by id. Whether the time of service has passed is for the caller.
func (s State) GrantsTo(m Member) []latchkey.GrantID {
	kids := m.Kids()
	var out []latchkey.GrantID
	for id, g := range s.Grants {
		if g.Kind == GrantMember && !g.Revoked && slices.Contains(kids, g.To) {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, func(a, b latchkey.GrantID) int { return strings.Compare(string(a[:]), string(b[:])) })
	return out
}
