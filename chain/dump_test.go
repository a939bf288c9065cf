package chain_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// dump writes all of a state as text, the same as dump.ts does: what the two
// languages compare, and the quickest way to compare two states here.
func dump(s chain.State) string {
	if s.Members == nil {
		return "nothing\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "household %v\nat %d %v %d\nktag %v\noperator %q\nlog %q\n", s.Household, s.Seq, s.Hash, s.Time, s.KTag, s.Operator, s.Log)
	for _, kid := range sorted16(s.Members) {
		m := s.Members[kid]
		fmt.Fprintf(&b, "member %v %x %v %x %s share=%t all=%t seq=%d tracks=%v past=%v pasted=%v\n",
			kid, []byte(m.Ed), chain.KidOf(m.X), []byte(m.Recovery), m.Role, m.Share, m.AllTracks, m.Seq, hexes(m.Tracks), hexes(m.Past), hexes(m.PastEd))
	}
	for _, kid := range sorted16(s.Hubs) {
		h := s.Hubs[kid]
		fmt.Fprintf(&b, "hub %v %x %v seq=%d\n", kid, []byte(h.Ed), chain.KidOf(h.X), h.Seq)
	}
	for _, id := range sorted16(s.Cameras) {
		fmt.Fprintf(&b, "camera %v", id)
		for _, t := range s.Cameras[id].Tracks {
			fmt.Fprintf(&b, " %v:%s", t.ID, t.Kind)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "retain * %d\n", s.RetainAll)
	for _, id := range sorted16(s.Retain) {
		fmt.Fprintf(&b, "retain %v %d\n", id, s.Retain[id])
	}
	for _, e := range s.Erased {
		fmt.Fprintf(&b, "erased %v %d %d\n", e.Track, e.From, e.Until)
	}
	for _, id := range sorted16(s.Grants) {
		g := s.Grants[id]
		fmt.Fprintf(&b, "grant %v by=%v to=%v %s until=%d capsule=%v standing=%t release=%v mask=%v seq=%d revoked=%t", id, g.By, g.To, g.Kind, g.Until, g.Capsule, g.Standing, g.Release, g.Mask, g.Seq, g.Revoked)
		for _, r := range g.Tracks {
			fmt.Fprintf(&b, " %v:%d:%d", r.Track, r.From, r.Until)
		}
		b.WriteByte('\n')
	}
	for _, r := range s.Recipients(s.Time) {
		fmt.Fprintf(&b, "recipient %v tracks=%v", r.Kid, hexes(r.Tracks))
		for _, w := range r.Windows {
			fmt.Fprintf(&b, " %v:%d:%d", w.Track, w.From, w.Until)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func sorted16[K ~[latchkey.IDSize]byte, V any](m map[K]V) []K {
	return slices.SortedFunc(maps.Keys(m), func(a, b K) int { return bytes.Compare(a[:], b[:]) })
}

func hexes[K ~[latchkey.IDSize]byte](ids []K) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = fmt.Sprintf("%x", id[:])
	}
	return strings.Join(words, ",")
}
