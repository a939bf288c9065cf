package cloud_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// lastError waits for an error of the code and returns it.
func (u *uplink) lastError(t *testing.T, code v1.UplinkErrorCode) *v1.UplinkError {
	t.Helper()
	var got *v1.UplinkError
	u.wait(t, code.String(), func() bool {
		for _, e := range u.errors {
			if e.GetCode() == code {
				got = e
			}
		}
		return got != nil
	})
	u.mu.Lock()
	defer u.mu.Unlock()
	u.errors = nil
	return got
}

// TestRefusals: what does not verify is refused, named, and ends nothing.
func TestRefusals(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 2)
	u := h.dial(t)
	e := h.epoch(t, time.Now().Add(-time.Minute))
	stranger := h.epoch(t, time.Now())
	p := film(e, h.tracks[0], 0, 12, 5, 5, 300)
	try(t, u.raw(0x01, p[0]))
	u.lastError(t, v1.UplinkErrorCode_UPLINK_ERROR_CODE_UNKNOWN_EPOCH)
	u.announce(t, e)
	u.announce(t, e) // again: receipted again
	flip := func(b []byte, at int) []byte {
		out := bytes.Clone(b)
		out[at] ^= 1
		return out
	}
	cut := p[3][:len(p[3])-1]
	for name, message := range map[string][]byte{
		"flipped ciphertext": flip(p[0], 150),
		"flipped header":     flip(p[0], 60),
		"flipped signature":  flip(p[0], len(p[0])-1),
		"torn":               bytes.Join([][]byte{p[0], cut}, nil),
		"a hole":             bytes.Join([][]byte{p[0], p[2]}, nil),
		"reordered":          bytes.Join([][]byte{p[1], p[0]}, nil),
		"two epochs":         bytes.Join([][]byte{p[0], stranger.Part(h.tracks[0], 0, part.RAP, 300)}, nil),
		"undeclared track":   e.Part(h.Rand.ID(), 0, part.RAP, 300),
		"empty":              {},
	} {
		try(t, u.raw(0x02, message))
		if got := u.lastError(t, v1.UplinkErrorCode_UPLINK_ERROR_CODE_INVALID); got.GetText() == "" {
			t.Errorf("%s: no words", name)
		}
	}
	bad := announcement(stranger)
	bad.Capsules[0].Capsule = flip(bad.Capsules[0].Capsule, 30)
	try(t, u.send(0x03, bad))
	u.lastError(t, v1.UplinkErrorCode_UPLINK_ERROR_CODE_INVALID)
	bad = announcement(stranger)
	bad.Seals, bad.Capsules = nil, nil
	try(t, u.send(0x03, bad))
	u.lastError(t, v1.UplinkErrorCode_UPLINK_ERROR_CODE_INVALID)
	// After all that the connection still takes what is good.
	try(t, u.raw(0x02, p...))
	u.wait(t, "receipt", func() bool { return u.receipted(h.tracks[0], 11, storedLevel) })
}

// TestDamagedMessage: backlog that was damaged on its way is refused without
// naming a part, whatever bit it was; the connection ends, nothing of the
// message is kept, and sent again it arrives.
func TestDamagedMessage(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{Reels: cloud.ReelConfig{Commit: 10 * time.Millisecond}}).URL, 1, 1)
	u := h.dial(t)
	e := h.epoch(t, time.Now().Add(-time.Minute))
	u.announce(t, e)
	p := film(e, h.tracks[0], 0, 12, 5, 5, 600)
	whole := backlog(p...)
	for _, at := range []int{0, 4, 20, 300, len(whole) / 2, len(whole) - 1} {
		bad := bytes.Clone(whole)
		bad[at] ^= 8
		try(t, u.message(0x02, bad))
		got := u.lastError(t, v1.UplinkErrorCode_UPLINK_ERROR_CODE_INVALID)
		if !bytes.Equal(got.GetTrack(), make([]byte, 16)) || got.GetText() == "" {
			t.Errorf("byte %d: %v", at, got)
		}
		u.wait(t, "end", func() bool { return u.closed })
		if len(u.receipts) != 0 {
			t.Fatalf("byte %d: receipts %v", at, u.receipts)
		}
		u = h.dial(t)
	}
	try(t, u.message(0x02, []byte{0, 0, 0}))
	u.wait(t, "end", func() bool { return u.closed })
	u = h.dial(t)
	try(t, u.message(0x02, whole))
	u.wait(t, "receipt", func() bool { return u.receipted(h.tracks[0], 11, storedLevel) })
	if _, body := h.admin.get(t, "/v1/footage/"+h.tracks[0].String()+"?from=0"); !bytes.Equal(body, bytes.Join(p, nil)) {
		t.Fatal("footage differs")
	}
}

// TestSpoiltMiddle: a part in the middle of a backlog message that is not what
// was sealed, at home or on the cloud's disk, is what fsck finds.
func TestSpoiltMiddle(t *testing.T) {
	for name, atHome := range map[string]bool{"by the hub": true, "on the cloud's disk": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := startServer(t, cloud.Config{DataDir: dir})
			h := found(t, s.URL, 1, 1)
			u := h.dial(t)
			e := h.epoch(t, time.Now().Add(-time.Minute))
			u.announce(t, e)
			p := film(e, h.tracks[0], 0, 12, 5, 5, 600)
			if atHome {
				p[6][300] ^= 1
			}
			try(t, u.raw(0x02, p...))
			u.wait(t, "receipt", func() bool { return u.receipted(h.tracks[0], 11, storedLevel) })
			try(t, s.Close())
			if !atHome {
				object := filepath.Join(dir, "blobs", e.ID.String(), h.tracks[0].String(), "00000000")
				raw := must[[]byte](t)(os.ReadFile(object))
				raw[len(bytes.Join(p[:6], nil))+300] ^= 1
				try(t, os.Chmod(object, 0o600))
				try(t, os.WriteFile(object, raw, 0o600))
			}
			report := must[cloud.Report](t)(cloud.Fsck(t.Context(), cloud.Config{DataDir: dir}))
			if len(report.Problems) != 1 || report.Problems[0].Kind != "damaged-object" || !strings.Contains(report.Problems[0].Text, "/7") {
				t.Fatalf("%+v", report)
			}
		})
	}
}

// TestAnyOrder: live first, backlog after, overlaps and repeats; every part is
// stored once and the timeline is one piece.
func TestAnyOrder(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, cloud.Config{DataDir: dir, Reels: cloud.ReelConfig{Slots: 5, Commit: 10 * time.Millisecond}})
	h := found(t, s.URL, 1, 1)
	u := h.dial(t)
	e := h.epoch(t, time.Now().Add(-100*time.Second))
	u.announce(t, e)
	p := film(e, h.tracks[0], 0, 200, 5, 10, 700)
	for _, r := range [][2]int{{150, 160}, {0, 20}, {160, 200}, {10, 30}, {100, 120}, {20, 140}, {30, 60}, {140, 155}, {0, 200}} {
		try(t, u.raw(0x02, p[r[0]:r[1]]...))
	}
	u.wait(t, "receipts", func() bool {
		have := map[uint32]bool{}
		for _, r := range u.receipts {
			for n := r.GetFirstSeq(); n <= r.GetLastSeq(); n++ {
				have[n] = true
			}
		}
		return len(have) == 200
	})
	if _, body := h.admin.get(t, "/v1/footage/"+h.tracks[0].String()+"?from=0"); !bytes.Equal(body, bytes.Join(p, nil)) {
		t.Fatal("footage differs")
	}
	res := must[*connect.Response[v1.TimelineResponse]](t)(h.admin.footage.Timeline(t.Context(),
		connect.NewRequest(&v1.TimelineRequest{Track: h.tracks[0][:], From: 0, To: 1 << 31})))
	if seg := res.Msg.GetSegments(); len(seg) != 1 || seg[0].GetFirstSeq() != 0 || seg[0].GetLastSeq() != 199 {
		t.Fatalf("segments %v", seg)
	}
	id := h.tracks[0]
	again := h.redial(t, u, &v1.SpoolRange{Epoch: e.ID[:], Track: id[:], FirstSeq: 50, LastSeq: 5000}, &v1.SpoolRange{Epoch: id[:], Track: id[:], LastSeq: 5})
	again.wait(t, "have", func() bool { return again.have != nil })
	have := map[uint32]bool{}
	for _, r := range again.have.GetHave() {
		for n := r.GetFirstSeq(); n <= r.GetLastSeq(); n++ {
			have[n] = true
		}
	}
	if len(have) != 150 || !have[50] || !have[199] {
		t.Errorf("the cloud says it has %d parts", len(have))
	}
	try(t, s.Close())
	report := must[cloud.Report](t)(cloud.Fsck(t.Context(), cloud.Config{DataDir: dir}))
	if len(report.Problems) != 0 || report.Parts != 200 {
		t.Fatalf("%+v", report)
	}
}

// redial replaces a connection, as after a lost network.
func (h *house) redial(t *testing.T, old *uplink, held ...*v1.SpoolRange) *uplink {
	t.Helper()
	old.ws.Close()
	return h.dial(t, held...)
}

// TestConflict: the same number with other bytes is kept out, wherever the
// first ones are.
func TestConflict(t *testing.T) {
	s := startServer(t, cloud.Config{Reels: cloud.ReelConfig{Commit: 10 * time.Millisecond, Bytes: 4000}})
	h := found(t, s.URL, 1, 1)
	u := h.dial(t)
	e := h.epoch(t, time.Now().Add(-time.Minute))
	u.announce(t, e)
	p := film(e, h.tracks[0], 0, 12, 5, 5, 600)
	try(t, u.raw(0x02, p...))
	u.wait(t, "durable", func() bool { return u.receipted(h.tracks[0], 4, durableLevel) })
	fork := e.Fork()
	q := film(fork, h.tracks[0], 0, 12, 5, 5, 600)
	for _, n := range []int{0, 11} {
		try(t, u.raw(0x02, q[n]))
		if got := u.lastError(t, v1.UplinkErrorCode_UPLINK_ERROR_CODE_CONFLICT); got.GetSeq() != uint32(n) {
			t.Errorf("conflict at %d, want %d", got.GetSeq(), n)
		}
	}
	next := fork.Part(h.tracks[0], 9, 0, 300) // 12 is free, but does not follow 11
	try(t, u.raw(0x02, next))
	u.lastError(t, v1.UplinkErrorCode_UPLINK_ERROR_CODE_CONFLICT)
	if _, body := h.admin.get(t, "/v1/footage/"+h.tracks[0].String()+"?from=0"); !bytes.Equal(body, bytes.Join(p, nil)) {
		t.Error("footage changed")
	}
}

// TestDuplicateHub is IRT-25: the second of two live connections is refused; a
// dead first one gives way.
func TestDuplicateHub(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	u := h.dial(t)
	u.wait(t, "have", func() bool { return u.have != nil })
	second := h.dial(t)
	second.lastError(t, v1.UplinkErrorCode_UPLINK_ERROR_CODE_DUPLICATE_HUB)
	second.wait(t, "end", func() bool { return second.closed })
	e := h.epoch(t, time.Now())
	u.announce(t, e) // the first goes on
	h.redial(t, u).announce(t, h.epoch(t, time.Now()))
}

// doubled is when the server last saw a second machine with the hub's identity.
func (h *house) doubled(t *testing.T, a *api) int64 {
	t.Helper()
	hubs := must[*connect.Response[v1.ListHubsResponse]](t)(a.hubs.ListHubs(t.Context(), connect.NewRequest(&v1.ListHubsRequest{}))).Msg.GetHubs()
	if len(hubs) != 1 || !hubs[0].GetOnline() {
		t.Fatalf("%v", hubs)
	}
	return hubs[0].GetDoubledMs()
}

// TestIRT25TwoMachines: whoever comes second under one identity, from wherever,
// is refused, and the owners on both sides are told; also after a restart.
func TestIRT25TwoMachines(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, cloud.Config{DataDir: dir})
	h, other := found(t, s.URL, 1, 1), found(t, s.URL, 2, 1)
	_, v := h.join(t, hometest.Rights{Role: chain.RoleViewer})
	u := h.dial(t)
	u.wait(t, "have", func() bool { return u.have != nil })
	if at := h.doubled(t, h.admin); at != 0 {
		t.Fatalf("doubled at %d", at)
	}
	own := other.hub
	for _, boot := range [][]byte{h.Rand.Bytes(16), nil} {
		began := time.Now().UnixMilli()
		second := must[*uplink](t)(h.tryDialQuiet(t.Context(), login(t, h.url, h.Home, h.hub.Key)))
		try(t, second.send(0x05, &v1.UplinkHello{Boot: boot}))
		second.lastError(t, v1.UplinkErrorCode_UPLINK_ERROR_CODE_DUPLICATE_HUB)
		second.wait(t, "end", func() bool { return second.closed })
		if at := h.doubled(t, h.admin); at < began {
			t.Errorf("doubled at %d", at)
		}
	}
	clone, raw, err := other.AddClone(h.hub)
	try(t, err)
	other.append(t, raw)
	other.append(t, must[[]byte](t)(other.RemoveHub(own)))
	other.hub = clone
	before := h.doubled(t, h.admin)
	time.Sleep(2 * time.Millisecond)
	c := other.dial(t)
	c.lastError(t, v1.UplinkErrorCode_UPLINK_ERROR_CODE_DUPLICATE_HUB)
	if at := h.doubled(t, h.admin); at <= before {
		t.Error("the owner of the first hub is not told of its clone in another household")
	}
	theirs := must[*connect.Response[v1.ListHubsResponse]](t)(other.admin.hubs.ListHubs(t.Context(), connect.NewRequest(&v1.ListHubsRequest{}))).Msg.GetHubs()
	if len(theirs) != 1 || theirs[0].GetOnline() || theirs[0].GetDoubledMs() == 0 {
		t.Errorf("the owner of the clone sees %v", theirs)
	}
	seen := must[*connect.Response[v1.ListHubsResponse]](t)(v.hubs.ListHubs(t.Context(), connect.NewRequest(&v1.ListHubsRequest{}))).Msg.GetHubs()
	if len(seen) != 1 || !seen[0].GetOnline() || seen[0].GetDoubledMs() != 0 || seen[0].GetLastSeenMs() != 0 {
		t.Errorf("a viewer sees %v", seen)
	}
	last := h.doubled(t, h.admin)
	try(t, s.Close())
	s = startServer(t, cloud.Config{DataDir: dir})
	again := newAPI(s.URL, h.admin.token)
	hubs := must[*connect.Response[v1.ListHubsResponse]](t)(again.hubs.ListHubs(t.Context(), connect.NewRequest(&v1.ListHubsRequest{}))).Msg.GetHubs()
	if len(hubs) != 1 || hubs[0].GetDoubledMs() != last {
		t.Errorf("after a restart: %v", hubs)
	}
}

func TestCommands(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	kid := h.hub.Key.Kid()
	req := &v1.SendCommandRequest{Hub: kid[:], Sealed: []byte("sealed")}
	_, err := h.admin.hubs.SendCommand(t.Context(), connect.NewRequest(req))
	wantCode(t, err, connect.CodeUnavailable)
	u := h.dial(t)
	u.wait(t, "have", func() bool { return u.have != nil })
	go func() {
		u.wait(t, "command", func() bool { return len(u.commands) > 0 })
		_ = u.send(0x06, &v1.UplinkCommandResult{Id: 999, Result: v1.CommandResult_COMMAND_RESULT_FAILED}) // of nobody
		_ = u.send(0x06, &v1.UplinkCommandResult{Id: u.commands[0].GetId(), Result: v1.CommandResult_COMMAND_RESULT_DONE})
	}()
	res := must[*connect.Response[v1.SendCommandResponse]](t)(h.admin.hubs.SendCommand(t.Context(), connect.NewRequest(req)))
	if res.Msg.GetResult() != v1.CommandResult_COMMAND_RESULT_DONE || string(u.commands[0].GetSealed()) != "sealed" {
		t.Errorf("%v", res.Msg)
	}
	_, raw, err := h.AddCamera(1)
	try(t, err)
	h.append(t, raw)
	u.wait(t, "chain notice", func() bool { return len(u.notices) == 1 && u.notices[0].GetHeadSeq() == h.State.Seq })
	list := must[*connect.Response[v1.ListHubsResponse]](t)(h.admin.hubs.ListHubs(t.Context(), connect.NewRequest(&v1.ListHubsRequest{})))
	if hubs := list.Msg.GetHubs(); len(hubs) != 1 || !hubs[0].GetOnline() || hubs[0].GetLastSeenMs() == 0 {
		t.Errorf("%v", hubs)
	}
}

// TestHubHearsWhatIsWatched: after have, and at every change; on a new
// connection again; never before have, and never of another household.
func TestHubHearsWhatIsWatched(t *testing.T) {
	s := startServer(t, cloud.Config{})
	h, other := found(t, s.URL, 1, 2), found(t, s.URL, 2, 1)
	sets := func(u *uplink, want ...[]latchkey.TrackID) func() bool {
		return func() bool {
			return slices.EqualFunc(u.watched, want, func(m *v1.UplinkWatched, ids []latchkey.TrackID) bool {
				return slices.EqualFunc(m.GetTracks(), ids, func(b []byte, id latchkey.TrackID) bool { return bytes.Equal(b, id[:]) })
			})
		}
	}
	quiet := must[*uplink](t)(h.tryDialQuiet(t.Context(), login(t, h.url, h.Home, h.hub.Key)))
	stranger := other.dial(t)
	stranger.wait(t, "the empty set", sets(stranger, nil))
	h.watch(t, h.tracks[0])
	try(t, quiet.send(0x05, &v1.UplinkHello{Version: "test"}))
	quiet.wait(t, "the set after have", func() bool { return quiet.have != nil && len(quiet.watched) > 0 })
	both := []latchkey.TrackID{h.tracks[0], h.tracks[1]}
	slices.SortFunc(both, func(a, b latchkey.TrackID) int { return bytes.Compare(a[:], b[:]) })
	h.watch(t, h.tracks[1], other.tracks[0]) // the last is not his to see
	last := func() bool {
		n := len(quiet.watched)
		return n > 0 && sets(&uplink{watched: quiet.watched[n-1:]}, both)()
	}
	quiet.wait(t, "both tracks", last)
	quiet.ws.Close()
	var again *uplink
	for end := time.Now().Add(20 * time.Second); ; { // the server may not have seen the end yet
		again = h.dial(t)
		again.wait(t, "have or a refusal", func() bool { return again.have != nil || again.closed })
		if again.have != nil || time.Now().After(end) {
			break
		}
	}
	again.wait(t, "the set on the next connection", sets(again, both))
	if !sets(stranger, nil)() {
		t.Errorf("another household's hub heard %v", stranger.watched)
	}
}

// TestHeads reach the viewer and the epoch.
func TestHeads(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	u := h.dial(t)
	e := h.epoch(t, time.Now())
	u.announce(t, e)
	w := h.watch(t, h.tracks[0])
	try(t, u.raw(0x01, e.Part(h.tracks[0], 0, part.RAP, 300)))
	w.part(t)
	note := must[[]byte](t)(e.Heads(1))
	try(t, u.raw(0x04, note))
	for says := map[string]any{}; says["op"] != "heads"; {
		_, says = w.next(t)
	}
	res := must[*connect.Response[v1.ListEpochsResponse]](t)(h.admin.footage.GetEpochs(t.Context(), connect.NewRequest(&v1.GetEpochsRequest{Epochs: [][]byte{e.ID[:]}})))
	deadline := time.Now().Add(10 * time.Second)
	for !bytes.Equal(res.Msg.GetEpochs()[0].GetHeads(), note) {
		if time.Now().After(deadline) {
			t.Fatal("the heads note is not stored")
		}
		res = must[*connect.Response[v1.ListEpochsResponse]](t)(h.admin.footage.GetEpochs(t.Context(), connect.NewRequest(&v1.GetEpochsRequest{Epochs: [][]byte{e.ID[:]}})))
	}
	try(t, u.raw(0x04, bytes.Replace(note, []byte("time "), []byte("time 1"), 1)))
	u.lastError(t, v1.UplinkErrorCode_UPLINK_ERROR_CODE_INVALID)
}

// TestHelloFirst: anything else first ends the connection.
func TestHelloFirst(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	for _, raw := range []string{"\x01", "\x03", "\x99", "\x05\xff", "\x81"} {
		u := must[*uplink](t)(h.tryDialQuiet(t.Context(), login(t, h.url, h.Home, h.hub.Key)))
		try(t, u.raw(raw[0], []byte(raw[1:])))
		u.wait(t, "end", func() bool { return u.closed })
	}
}
