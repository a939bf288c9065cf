package cloud_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
	"latchkey.dev/latchkey/part"
)

// filmed is one part as it was sent, with what its header says.
type filmed struct {
	raw   []byte
	h     part.Header
	epoch *hometest.Epoch
}

func (f filmed) at() int64 { return f.epoch.Start + int64(f.h.Slot) }

// record announces an epoch and sends slots seconds of a track, two parts a
// second, a random-access part every gop.
func (h *house) record(t *testing.T, u *uplink, e *hometest.Epoch, track latchkey.TrackID, slots, gop int) []filmed {
	t.Helper()
	raws := film(e, track, 0, 2*slots, 2, gop, 300)
	try(t, u.raw(0x02, raws...))
	u.wait(t, "receipt", func() bool {
		for _, r := range u.receipts {
			if bytes.Equal(r.GetEpoch(), e.ID[:]) && bytes.Equal(r.GetTrack(), track[:]) && int(r.GetLastSeq()) == len(raws)-1 {
				return true
			}
		}
		return false
	})
	out := make([]filmed, len(raws))
	for i, raw := range raws {
		p := must[part.Part](t)(part.Parse(raw))
		out[i] = filmed{raw, p.Header, e}
	}
	return out
}

func joined(parts []filmed) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p.raw...)
	}
	return b
}

// timeline asks for everything of a track.
func (a *api) timeline(t *testing.T, track latchkey.TrackID) (*v1.TimelineResponse, error) {
	t.Helper()
	res, err := a.footage.Timeline(t.Context(), connect.NewRequest(&v1.TimelineRequest{Track: track[:], From: 0, To: 1 << 31}))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

func (a *api) epochs(t *testing.T) *v1.ListEpochsResponse {
	t.Helper()
	return must[*connect.Response[v1.ListEpochsResponse]](t)(a.footage.ListEpochs(t.Context(), connect.NewRequest(&v1.ListEpochsRequest{To: 1 << 31}))).Msg
}

func (a *api) getEpochs(t *testing.T, epochs ...*hometest.Epoch) (*v1.ListEpochsResponse, error) {
	t.Helper()
	m := &v1.GetEpochsRequest{}
	for _, e := range epochs {
		m.Epochs = append(m.Epochs, e.ID[:])
	}
	res, err := a.footage.GetEpochs(t.Context(), connect.NewRequest(m))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

// checkSees holds everything that a member can ask about a track against the
// parts that he may see, in order.
func checkSees(t *testing.T, a *api, track latchkey.TrackID, want []filmed) {
	t.Helper()
	base := "/v1/footage/" + track.String()
	if res, body := a.get(t, base+"?from=0"); res.StatusCode != 200 || !bytes.Equal(body, joined(want)) || res.Header.Get("Latchkey-Next") != "" {
		got, _ := part.ParseAll(body)
		t.Fatalf("footage: status %d, %d parts, want %d; next %q", res.StatusCode, len(got), len(want), res.Header.Get("Latchkey-Next"))
	}
	line, err := a.timeline(t, track)
	try(t, err)
	if line.GetMore() {
		t.Error("the timeline hints at more")
	}
	var total uint64
	i := 0
	for _, s := range line.GetSegments() {
		for seq := s.GetFirstSeq(); seq <= s.GetLastSeq(); seq++ {
			if i >= len(want) || !bytes.Equal(s.GetEpoch(), want[i].epoch.ID[:]) || want[i].h.Seq != seq || want[i].h.Slot < s.GetFirstSlot() || want[i].h.Slot > s.GetLastSlot() || s.GetStart() != want[i].epoch.Start {
				t.Fatalf("the timeline has part %d of %x", seq, s.GetEpoch())
			}
			i++
		}
		total += s.GetBytes()
	}
	if i != len(want) || total != uint64(len(joined(want))) {
		t.Fatalf("the timeline has %d parts and %d bytes, want %d and %d", i, total, len(want), len(joined(want)))
	}
}

// checkUnseen: by its number too, a part that is not to be seen is like one
// that does not exist.
func checkUnseen(t *testing.T, a *api, track latchkey.TrackID, parts []filmed) {
	t.Helper()
	missing, words := a.get(t, fmt.Sprintf("/v1/footage/%s?epoch=%s&seq=0", track, latchkey.EpochID{1}))
	for _, p := range parts {
		res, body := a.get(t, fmt.Sprintf("/v1/footage/%s?epoch=%s&seq=%d", track, p.h.Epoch, p.h.Seq))
		if res.StatusCode != missing.StatusCode || res.StatusCode != 404 || !bytes.Equal(body, words) {
			t.Fatalf("part %d of %v: status %d, %q", p.h.Seq, p.h.Epoch, res.StatusCode, body)
		}
	}
}

// TestRightsByTrackAndEpoch is decision 6: tracks by the chain, epochs by
// capsules; the rest is not there.
func TestRightsByTrackAndEpoch(t *testing.T) {
	dir := t.TempDir()
	cfg := cloud.Config{DataDir: dir, Reels: cloud.ReelConfig{Slots: 4}}
	s := startServer(t, cfg)
	h := found(t, s.URL, 1, 2)
	porch, yard := h.tracks[0], h.tracks[1]
	u := h.dial(t)
	start := time.Now().Add(-time.Hour)
	before := h.epoch(t, start)
	u.announce(t, before)
	oldPorch, oldYard := h.record(t, u, before, porch, 10, 6), h.record(t, u, before, yard, 10, 6)
	p, a := h.join(t, hometest.Rights{Role: chain.RoleMember, Tracks: []latchkey.TrackID{porch}})

	checkSees(t, a, porch, nil)
	checkUnseen(t, a, porch, oldPorch)
	if got := a.epochs(t); len(got.GetEpochs()) != 0 || got.GetMore() {
		t.Errorf("epochs from before: %v", got)
	}
	_, err := a.getEpochs(t, before)
	wantCode(t, err, connect.CodeNotFound)

	now := h.epoch(t, start.Add(20*time.Minute))
	u.announce(t, now)
	newPorch, newYard := h.record(t, u, now, porch, 10, 6), h.record(t, u, now, yard, 10, 6)
	check := func() {
		t.Helper()
		checkSees(t, h.admin, porch, append(slices.Clone(oldPorch), newPorch...))
		checkSees(t, h.admin, yard, append(slices.Clone(oldYard), newYard...))
		checkSees(t, a, porch, newPorch)
		checkUnseen(t, a, porch, oldPorch)
		_, err := a.timeline(t, yard)
		wantCode(t, err, connect.CodeNotFound)
		if res, _ := a.get(t, "/v1/footage/"+yard.String()+"?from=0"); res.StatusCode != 404 {
			t.Errorf("another camera: status %d", res.StatusCode)
		}
		checkUnseen(t, a, yard, newYard[:1])
		checkUnseen(t, a, porch, newYard[:0])
		list := a.epochs(t)
		if len(list.GetEpochs()) != 1 || !bytes.Equal(list.GetEpochs()[0].GetNote(), now.Note) || list.GetMore() || len(list.GetEpochs()[0].GetSeals()) != 2 {
			t.Fatalf("epochs: %v", list)
		}
		at := slices.IndexFunc(now.Seals, func(l chain.SealLine) bool { return l.Kid == p.XKid() })
		if at < 0 || !bytes.Equal(list.GetEpochs()[0].GetCapsule(), now.Capsules[at]) {
			t.Error("another capsule")
		}
		_, err = a.getEpochs(t, now, before)
		wantCode(t, err, connect.CodeNotFound)
	}
	check()
	try(t, s.Close()) // the same from closed reels
	s = startServer(t, cfg)
	h.url, h.admin, a = s.URL, newAPI(s.URL, h.admin.token), newAPI(s.URL, a.token)
	check()
	// His new sealing key does not take away what was sealed to the old one.
	was := *p
	raw := must[[]byte](t)(p.Rekey(hometest.Rekey{X: true}))
	_, err = a.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: raw}))
	try(t, err)
	fresh := *p
	*p = was
	check()
	*p = fresh
	// Narrower rights: the track is gone; wider ones: it is there again.
	h.append(t, must[[]byte](t)(h.Restate(p, hometest.Rights{Role: chain.RoleMember, Tracks: []latchkey.TrackID{yard}})))
	_, err = a.timeline(t, porch)
	wantCode(t, err, connect.CodeNotFound)
	checkSees(t, a, yard, newYard)
	h.append(t, must[[]byte](t)(h.Restate(p, hometest.Rights{Role: chain.RoleViewer, None: true})))
	for _, track := range h.tracks {
		_, err = a.timeline(t, track)
		wantCode(t, err, connect.CodeNotFound)
	}
}

// TestGrantedHistory: of an epoch that is only granted, the granted seconds are
// there; its capsule goes to the grantee and to nobody else.
func TestGrantedHistory(t *testing.T) {
	dir := t.TempDir()
	cfg := cloud.Config{DataDir: dir, Reels: cloud.ReelConfig{Slots: 4}}
	s := startServer(t, cfg)
	h := found(t, s.URL, 1, 2)
	porch, yard := h.tracks[0], h.tracks[1]
	u := h.dial(t)
	start := time.Now().Add(-time.Hour)
	before, never := h.epoch(t, start), h.epoch(t, start.Add(10*time.Minute))
	u.announce(t, before)
	u.announce(t, never)
	oldPorch := h.record(t, u, before, porch, 20, 3)
	h.record(t, u, before, yard, 20, 3)
	otherPorch := h.record(t, u, never, porch, 5, 3)
	p, a := h.join(t, hometest.Rights{Role: chain.RoleMember, Tracks: []latchkey.TrackID{porch}})
	_, other := h.join(t, hometest.Rights{Role: chain.RoleMember, Tracks: []latchkey.TrackID{porch}})
	within := func(from, until int64) []filmed {
		return slices.DeleteFunc(slices.Clone(oldPorch), func(f filmed) bool {
			return int64(f.h.Slot) < from || int64(f.h.Slot) >= until
		})
	}
	later := time.Now().Add(time.Hour).Unix()
	id, raw, capsule, err := h.Founder.Grant(p, later,
		chain.TrackRange{Track: porch, From: before.Start + 3, Until: before.Start + 7}, chain.TrackRange{Track: yard, From: before.Start, Until: before.Start + 7})
	try(t, err)
	var proof []byte
	put := func(by *api, capsule []byte) error {
		_, err := by.chain.PutCapsule(t.Context(), connect.NewRequest(&v1.PutCapsuleRequest{Grant: id[:], Capsule: capsule, Proof: proof}))
		return err
	}
	get := func(by *api) ([]byte, error) {
		res, err := by.chain.GetCapsule(t.Context(), connect.NewRequest(&v1.GetCapsuleRequest{Grant: id[:]}))
		if err != nil {
			return nil, err
		}
		return res.Msg.GetCapsule(), nil
	}
	wantCode(t, put(h.admin, capsule), connect.CodeNotFound) // log, then release
	h.append(t, raw)
	_, err = get(a)
	wantCode(t, err, connect.CodeNotFound)
	proof = h.proof(t, id)
	wantCode(t, put(a, capsule), connect.CodePermissionDenied)
	wantCode(t, put(h.admin, p.Capsule()), connect.CodeInvalidArgument)
	wantCode(t, put(h.admin, nil), connect.CodeInvalidArgument)
	try(t, put(h.admin, capsule))
	try(t, put(h.admin, capsule))
	for name, by := range map[string]*api{"grantee": a, "issuer": h.admin} {
		if got, err := get(by); err != nil || !bytes.Equal(got, capsule) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = get(other)
	wantCode(t, err, connect.CodeNotFound)
	check := func() {
		t.Helper()
		checkSees(t, a, porch, within(3, 7))
		checkUnseen(t, a, porch, append(append(within(0, 3), within(7, 20)...), otherPorch...))
		list := a.epochs(t)
		if len(list.GetEpochs()) != 1 || !bytes.Equal(list.GetEpochs()[0].GetNote(), before.Note) || len(list.GetEpochs()[0].GetCapsule()) != 0 {
			t.Fatalf("epochs: %v", list)
		}
		_, err := a.timeline(t, yard) // granted, but not his to see
		wantCode(t, err, connect.CodeNotFound)
		checkSees(t, other, porch, nil)
		// The lead-in does not reach behind the grant.
		res, body := a.get(t, fmt.Sprintf("/v1/footage/%s?from=%d&max=1", porch, before.Start+3))
		first := within(3, 7)[0]
		if res.StatusCode != 200 || !bytes.Equal(body, first.raw) {
			t.Errorf("the lead-in: status %d, %d bytes", res.StatusCode, len(body))
		}
		if res, _ := a.get(t, fmt.Sprintf("/v1/footage/%s?from=%d&max=1", porch, before.Start+6)); res.Header.Get("Latchkey-Next") == "" {
			t.Error("no next part")
		}
	}
	check()
	try(t, s.Close())
	s = startServer(t, cfg)
	h.url, h.admin, a, other = s.URL, newAPI(s.URL, h.admin.token), newAPI(s.URL, a.token), newAPI(s.URL, other.token)
	check()
	raw = must[[]byte](t)(p.Rekey(hometest.Rekey{X: true})) // a grant to the old key is his still
	_, err = a.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: raw}))
	try(t, err)
	check()
	if _, err := get(a); err != nil {
		t.Error(err)
	}
	second, raw, _, err := h.Founder.Grant(p, later, chain.TrackRange{Track: porch, From: before.Start + 6, Until: before.Start + 9})
	try(t, err)
	h.append(t, raw)
	checkSees(t, a, porch, within(3, 9))
	for _, one := range []latchkey.GrantID{id, second} {
		h.append(t, must[[]byte](t)(h.Founder.Revoke(one)))
	}
	checkSees(t, a, porch, nil)
	_, err = get(a)
	wantCode(t, err, connect.CodeNotFound)
	wantCode(t, put(h.admin, capsule), connect.CodePermissionDenied)
	if len(a.epochs(t).GetEpochs()) != 0 {
		t.Error("the epoch of a revoked grant is there")
	}
	// A grant whose time of service is over serves nothing.
	_, raw, _, err = h.Founder.Grant(p, time.Now().Add(-time.Minute).Unix(), chain.TrackRange{Track: porch, From: before.Start, Until: before.Start + 9})
	try(t, err)
	h.append(t, raw)
	checkSees(t, a, porch, nil)
}

// TestRightsProperty: whatever is sealed and granted to a member, every way of
// asking for a track gives what a list of its parts gives, cut to his rights.
func TestRightsProperty(t *testing.T) {
	cfg := cloud.Config{DataDir: t.TempDir(), Reels: cloud.ReelConfig{Slots: 5}}
	s := startServer(t, cfg)
	h := found(t, s.URL, 1, 1)
	track := h.tracks[0]
	u := h.dial(t)
	r := rand.New(rand.NewPCG(1, 2))
	start := time.Now().Add(-2 * time.Hour)
	p, a := h.join(t, hometest.Rights{Role: chain.RoleMember, None: true})
	var all []filmed
	sealed := map[latchkey.EpochID]bool{}
	for i := range 8 {
		sees := r.IntN(2) == 0
		h.append(t, must[[]byte](t)(h.Restate(p, hometest.Rights{Role: chain.RoleMember, None: !sees, Tracks: h.tracks[:map[bool]int{true: 1, false: 0}[sees]]})))
		e := h.epoch(t, start.Add(time.Duration(i)*time.Minute))
		sealed[e.ID] = sees
		u.announce(t, e)
		all = append(all, h.record(t, u, e, track, 12+r.IntN(20), 1+r.IntN(9))...)
	}
	h.append(t, must[[]byte](t)(h.Restate(p, hometest.Rights{Role: chain.RoleMember, Tracks: h.tracks})))
	var granted []chain.TrackRange
	for range 6 {
		from := start.Unix() + int64(r.IntN(480))
		granted = append(granted, chain.TrackRange{Track: track, From: from, Until: from + 1 + int64(r.IntN(30))})
	}
	_, raw, _, err := h.Founder.Grant(p, time.Now().Add(time.Hour).Unix(), granted...)
	try(t, err)
	h.append(t, raw)
	want := slices.DeleteFunc(slices.Clone(all), func(f filmed) bool {
		return !sealed[f.h.Epoch] && !slices.ContainsFunc(granted, func(g chain.TrackRange) bool { return g.From <= f.at() && f.at() < g.Until })
	})
	hidden := slices.DeleteFunc(slices.Clone(all), func(f filmed) bool {
		return slices.ContainsFunc(want, func(w filmed) bool { return w.h.Epoch == f.h.Epoch && w.h.Seq == f.h.Seq })
	})
	if len(want) < 20 || len(hidden) < 20 {
		t.Fatalf("%d parts to be seen, %d not: this tests nothing", len(want), len(hidden))
	}
	for round := range 2 {
		checkSees(t, a, track, want)
		checkSees(t, h.admin, track, all)
		checkUnseen(t, a, track, hidden)
		for range 120 {
			from, to := start.Unix()+int64(r.IntN(520))-20, start.Unix()+int64(r.IntN(520))
			rap := r.IntN(3) == 0
			checkRange(t, a, track, want, from, to, rap)
		}
		if round == 0 {
			try(t, s.Close())
			s = startServer(t, cfg)
			h.url, h.admin, a = s.URL, newAPI(s.URL, h.admin.token), newAPI(s.URL, a.token)
		}
	}
}

// checkRange asks for a range and computes the answer from the list.
func checkRange(t *testing.T, a *api, track latchkey.TrackID, all []filmed, from, to int64, rap bool) {
	t.Helper()
	first := -1
	for i, f := range all {
		if f.h.Flags&part.RAP != 0 && f.at() < from {
			first = i
		}
	}
	if first < 0 {
		first = slices.IndexFunc(all, func(f filmed) bool { return f.at() >= from })
	}
	var want []filmed
	if first >= 0 {
		for _, f := range all[first:] {
			if f.at() >= to {
				break
			}
			if !rap || f.h.Flags&part.RAP != 0 {
				want = append(want, f)
			}
		}
	}
	path := fmt.Sprintf("/v1/footage/%s?from=%d&to=%d", track, from, to)
	if rap {
		path += "&rap=1"
	}
	res, body := a.get(t, path)
	if res.StatusCode != http.StatusOK || !bytes.Equal(body, joined(want)) {
		got, _ := part.ParseAll(body)
		t.Fatalf("%s: status %d, %d parts, want %d", path, res.StatusCode, len(got), len(want))
	}
}

// TestLiveRights: live parts of an epoch that is not sealed to the viewer are
// not there; a narrower right ends a track, at once; a grant opens its seconds.
func TestLiveRights(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 2)
	porch, yard := h.tracks[0], h.tracks[1]
	u := h.dial(t)
	before := h.epoch(t, time.Now().Add(-10*time.Second))
	u.announce(t, before)
	p, a := h.join(t, hometest.Rights{Role: chain.RoleViewer, Tracks: []latchkey.TrackID{porch}})
	w := h.watchAs(t, a, porch, yard)
	says := w.says1(t, "error")
	if says["track"] != yard.String() {
		t.Fatalf("%v", says)
	}
	owner := h.watchAs(t, h.admin, porch)
	send := func(e *hometest.Epoch, track latchkey.TrackID, slot uint32, flags part.Flags) []byte {
		raw := e.Part(track, slot, flags, 300)
		try(t, u.raw(0x01, raw))
		return raw
	}
	send(before, porch, 0, part.RAP)
	owner.part(t) // it went out
	send(before, porch, 1, 0)
	try(t, u.raw(0x04, must[[]byte](t)(before.Heads(1))))
	owner.part(t)
	now := h.epoch(t, time.Now())
	u.announce(t, now)
	first := send(now, porch, 0, part.RAP)
	if got := w.part(t); !bytes.Equal(got, first) {
		t.Fatal("another part came first")
	}
	for _, m := range w.says {
		if m["op"] == "skip" || m["epoch"] == before.ID.String() {
			t.Errorf("the viewer is told of an epoch from before: %v", m)
		}
	}
	// Narrower rights end the track, and only that.
	h.append(t, must[[]byte](t)(h.Restate(p, hometest.Rights{Role: chain.RoleViewer, Tracks: []latchkey.TrackID{yard}})))
	began := time.Now()
	if says := w.says1(t, "error"); says["track"] != porch.String() || time.Since(began) > 5*time.Second {
		t.Fatalf("after %s: %v", time.Since(began), says)
	}
	try(t, w.ws.WriteJSON(map[string]any{"op": "watch", "track": yard.String()}))
	try(t, w.ws.WriteJSON(map[string]any{"op": "watch", "track": porch.String()}))
	w.says1(t, "error") // the porch; the yard is watched by now
	send(now, porch, 1, part.RAP)
	want := send(now, yard, 0, part.RAP)
	if got := w.part(t); !bytes.Equal(got, want) {
		t.Fatal("a part of a lost track came")
	}
	h.append(t, must[[]byte](t)(h.RemoveMember(p)))
	ends(t, w.ws)
}

// says1 reads up to the next message of this kind.
func (w *watcher) says1(t *testing.T, op string) map[string]any {
	t.Helper()
	for {
		raw, says := w.next(t)
		if raw != nil {
			t.Fatalf("a part came before %q", op)
		}
		if says["op"] == op {
			return says
		}
	}
}

// TestLiveGrant: live parts of an epoch that began before somebody joined are
// there for the seconds that were granted to him.
func TestLiveGrant(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	track := h.tracks[0]
	u := h.dial(t)
	e := h.epoch(t, time.Now().Add(-10*time.Second))
	u.announce(t, e)
	p, a := h.join(t, hometest.Rights{Role: chain.RoleMember, Tracks: h.tracks})
	w := h.watchAs(t, a, track)
	w.says1(t, "idle")
	owner := h.watchAs(t, h.admin, track)
	send := func(slot uint32) []byte {
		raw := e.Part(track, slot, part.RAP, 300)
		try(t, u.raw(0x01, raw))
		owner.part(t)
		return raw
	}
	send(4)
	_, raw, _, err := h.Founder.Grant(p, time.Now().Add(time.Hour).Unix(), chain.TrackRange{Track: track, From: e.Start + 6, Until: e.Start + 8})
	try(t, err)
	h.append(t, raw)
	send(5)
	want := [][]byte{send(6), send(7)}
	send(8)
	next := h.epoch(t, time.Now())
	u.announce(t, next)
	e = next
	want = append(want, send(0))
	for i, one := range want {
		if got := w.part(t); !bytes.Equal(got, one) {
			t.Fatalf("part %d is another", i)
		}
	}
}
