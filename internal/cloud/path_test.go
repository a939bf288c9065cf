package cloud_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/gorilla/websocket"

	"latchkey.dev/latchkey"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/part"
)

// TestPath carries parts all the way: uplink, receipts, live, footage from the
// open reel, footage from the store after a restart, timeline, epochs, fsck.
func TestPath(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, cloud.Config{DataDir: dir})
	h := found(t, s.URL, 1, 2)
	u := h.dial(t)
	e := h.epoch(t, time.Now().Add(-10*time.Second))
	u.announce(t, e)
	watcher := h.watch(t, h.tracks[0])
	for says := map[string]any{}; says["op"] != "idle"; { // the server has heard of the wish
		_, says = watcher.next(t)
	}
	parts := film(e, h.tracks[0], 0, 50, 5, 10, 900)
	live := func(i int) {
		t.Helper()
		if got := watcher.part(t); !bytes.Equal(got, parts[i]) {
			t.Fatalf("live part %d differs: part %d came, after %v", i, must[part.Part](t)(part.Parse(got)).Header.Seq, watcher.says)
		}
	}
	// Who waits for a first picture is given the newest one: this has to have
	// reached him before there is a second.
	try(t, u.raw(0x01, parts[0]))
	live(0)
	for _, p := range parts[1:] {
		try(t, u.raw(0x01, p))
	}
	backlog := film(e, h.tracks[1], 0, 40, 4, 8, 1200)
	try(t, u.raw(0x02, backlog...))
	u.wait(t, "stored receipts", func() bool {
		return u.receipted(h.tracks[0], 49, storedLevel) && u.receipted(h.tracks[1], 39, storedLevel)
	})
	for i := range parts[1:] {
		live(i + 1)
	}
	whole := fmt.Sprintf("/v1/footage/%s?epoch=%s&seq=0", h.tracks[0], e.ID)
	if _, body := h.admin.get(t, whole); !bytes.Equal(body, bytes.Join(parts, nil)) {
		t.Fatal("footage of the open reel differs")
	}
	checkTimeline(t, h, true)

	try(t, s.Close())
	u.wait(t, "durable receipts or the end", func() bool { return u.closed })
	report, err := cloud.Fsck(t.Context(), cloud.Config{DataDir: dir})
	try(t, err)
	if len(report.Problems) != 0 || report.Reels != 2 || report.Parts != 90 || report.OpenReels != 0 {
		t.Fatalf("fsck after shutdown: %+v", report)
	}
	again := startServer(t, cloud.Config{DataDir: dir})
	h.url = again.URL
	h.admin = newAPI(again.URL, h.admin.token)
	if _, body := h.admin.get(t, whole); !bytes.Equal(body, bytes.Join(parts, nil)) {
		t.Fatal("footage of the closed reel differs")
	}
	checkTimeline(t, h, false)
	checkFootage(t, h, e.Start, parts)
	checkEpochs(t, h, e.Start, e.Note, e.Capsules[0])
}

func checkTimeline(t *testing.T, h *house, open bool) {
	t.Helper()
	now := time.Now().Unix()
	res := must[*connect.Response[v1.TimelineResponse]](t)(h.admin.footage.Timeline(t.Context(),
		connect.NewRequest(&v1.TimelineRequest{Track: h.tracks[0][:], From: now - 100, To: now + 100})))
	if len(res.Msg.GetSegments()) != 1 {
		t.Fatalf("segments: %v", res.Msg)
	}
	seg := res.Msg.GetSegments()[0]
	if seg.GetFirstSeq() != 0 || seg.GetLastSeq() != 49 || seg.GetLastSlot() != 9 || seg.GetOpen() != open {
		t.Fatalf("segment: %v", seg)
	}
}

func checkEpochs(t *testing.T, h *house, start int64, note, capsule []byte) {
	t.Helper()
	res := must[*connect.Response[v1.ListEpochsResponse]](t)(h.admin.footage.ListEpochs(t.Context(),
		connect.NewRequest(&v1.ListEpochsRequest{From: start - 5, To: start + 5})))
	if len(res.Msg.GetEpochs()) != 1 {
		t.Fatalf("epochs: %v", res.Msg)
	}
	got := res.Msg.GetEpochs()[0]
	if !bytes.Equal(got.GetNote(), note) || !bytes.Equal(got.GetCapsule(), capsule) || len(got.GetSeals()) != 1 {
		t.Fatal("an epoch came back changed")
	}
}

// checkFootage asks in every way. Parts: five a slot, a random-access part
// every ten, fifty in all.
func checkFootage(t *testing.T, h *house, start int64, parts [][]byte) {
	t.Helper()
	size := len(parts[0])
	for _, c := range []struct {
		name, query  string
		first, until int // of parts; until < 0: random-access parts only
		next         int // -1: none
	}{
		{"from the start", fmt.Sprintf("from=%d", start), 0, 50, -1},
		{"before the start", fmt.Sprintf("from=%d", start-1000), 0, 50, -1},
		{"integer second takes the one before", fmt.Sprintf("from=%d", start+4), 10, 50, -1},
		{"fraction", fmt.Sprintf("from=%d.9", start+4), 20, 50, -1},
		{"long after", fmt.Sprintf("from=%d", start+5000), 40, 50, -1},
		{"until", fmt.Sprintf("from=%d.5&to=%d", start+2, start+4), 10, 20, -1},
		{"at least one", fmt.Sprintf("from=%d.5&max=1", start+2), 10, 11, 11},
		{"max", fmt.Sprintf("from=%d.5&max=%d", start+2, 3*size+100), 10, 13, 13},
		{"random access", fmt.Sprintf("from=%d.5&rap=1&to=%d", start+2, start+7), 10, -1, -1},
		{"one preview", fmt.Sprintf("from=%d.5&rap=1&max=1", start+2), 10, 11, 20},
	} {
		res, body := h.admin.get(t, "/v1/footage/"+h.tracks[0].String()+"?"+c.query)
		var want []byte
		if c.until < 0 {
			want = bytes.Join([][]byte{parts[10], parts[20], parts[30]}, nil)
		} else {
			want = bytes.Join(parts[c.first:c.until], nil)
		}
		if res.StatusCode != http.StatusOK || !bytes.Equal(body, want) {
			got, _ := part.ParseAll(body)
			t.Errorf("%s: status %d, %d parts from %v", c.name, res.StatusCode, len(got), firstSeq(got))
		}
		next := ""
		if c.next >= 0 {
			p, _ := part.Parse(parts[c.next])
			next = fmt.Sprintf("%s:%d", p.Header.Epoch, p.Header.Seq)
		}
		if got := res.Header.Get("Latchkey-Next"); got != next {
			t.Errorf("%s: next %q, want %q", c.name, got, next)
		}
		if got := res.Header.Get("Cache-Control"); got != "private, no-store" {
			t.Errorf("%s: cache control %q", c.name, got)
		}
	}
}

func firstSeq(parts []part.Part) any {
	if len(parts) == 0 {
		return "nowhere"
	}
	return parts[0].Header.Seq
}

// watcher is a live socket.
type watcher struct {
	ws   *websocket.Conn
	says []map[string]any
}

func (h *house) watch(t *testing.T, tracks ...latchkey.TrackID) *watcher {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(h.url, "http")+"/v1/live",
		http.Header{"Authorization": {"Bearer " + h.admin.token}})
	try(t, err)
	t.Cleanup(func() { ws.Close() })
	w := &watcher{ws: ws}
	for _, id := range tracks {
		try(t, ws.WriteJSON(map[string]any{"op": "watch", "track": id.String()}))
	}
	return w
}

// next reads one message: a part, or what the server says.
func (w *watcher) next(t *testing.T) (raw []byte, says map[string]any) {
	t.Helper()
	try(t, w.ws.SetReadDeadline(time.Now().Add(20*time.Second)))
	kind, b, err := w.ws.ReadMessage()
	try(t, err)
	if kind == websocket.BinaryMessage {
		return b, nil
	}
	try(t, json.Unmarshal(b, &says))
	return nil, says
}

// part reads up to the next part and acknowledges it.
func (w *watcher) part(t *testing.T) []byte {
	t.Helper()
	for {
		raw, says := w.next(t)
		if raw == nil {
			w.says = append(w.says, says)
			continue
		}
		p := must[part.Part](t)(part.Parse(raw))
		try(t, w.ws.WriteJSON(map[string]any{"op": "ack", "track": p.Header.Track.String(), "epoch": p.Header.Epoch.String(), "seq": p.Header.Seq}))
		return raw
	}
}
