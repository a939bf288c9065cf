package cloud_test

import (
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
)

// TestStandingGrant: a standing grantee sees the stretch of a track that is not
// his by right, in an epoch that is sealed to him for another track as a whole,
// and nothing of it before, behind, or once the grant is revoked.
func TestStandingGrant(t *testing.T) {
	s := startServer(t, cloud.Config{DataDir: t.TempDir(), Reels: cloud.ReelConfig{Slots: 4}})
	h := found(t, s.URL, 1, 2)
	porch, yard := h.tracks[0], h.tracks[1]
	start := time.Now().Add(-time.Hour).Truncate(time.Second)
	p, a := h.join(t, hometest.Rights{Role: chain.RoleViewer, Tracks: []latchkey.TrackID{yard}})
	_, err := a.timeline(t, porch)
	wantCode(t, err, connect.CodeNotFound)
	id, raw, err := h.Founder.GrantStanding(p, time.Now().Add(time.Hour).Unix(), chain.TrackRange{Track: porch, From: start.Unix() + 3, Until: start.Unix() + 7})
	try(t, err)
	h.append(t, raw)
	u := h.dial(t)
	e := h.epoch(t, start)
	u.announce(t, e)
	film := h.record(t, u, e, porch, 20, 3)
	his := h.record(t, u, e, yard, 20, 3)
	inside := func(f filmed) bool { return 3 <= f.h.Slot && f.h.Slot < 7 }
	checkSees(t, a, porch, slices.DeleteFunc(slices.Clone(film), func(f filmed) bool { return !inside(f) }))
	checkUnseen(t, a, porch, slices.DeleteFunc(slices.Clone(film), inside))
	if list := a.epochs(t).GetEpochs(); len(list) != 1 || len(list[0].GetCapsule()) == 0 {
		t.Errorf("the epoch does not come with his capsule: %v", list)
	}
	checkSees(t, a, yard, his)
	raw, err = h.Founder.Revoke(id)
	try(t, err)
	h.append(t, raw)
	_, err = a.timeline(t, porch)
	wantCode(t, err, connect.CodeNotFound)
}
