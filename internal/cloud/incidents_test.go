package cloud_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
)

// Incidents of other companies, by their ids in docs/threat-model.md: each
// test plays what happened there.

// two is a server with two households, of which A has footage.
type two struct {
	*testServer
	a, b  *house
	parts [][]byte
	path  string // of A's footage
	dir   string // the server's data
}

func newTwo(t *testing.T) *two {
	t.Helper()
	w := &two{dir: t.TempDir()}
	w.testServer = startServer(t, cloud.Config{DataDir: w.dir, Reels: cloud.ReelConfig{Slots: 1, Commit: 10 * time.Millisecond}})
	w.a, w.b = found(t, w.URL, 1, 1), found(t, w.URL, 2, 1)
	u := w.a.dial(t)
	e := w.a.epoch(t, time.Now().Add(-time.Minute))
	u.announce(t, e)
	w.parts = film(e, w.a.tracks[0], 0, 10, 5, 5, 500)
	try(t, u.raw(0x01, w.parts...))
	u.wait(t, "receipt", func() bool {
		return u.receipted(w.a.tracks[0], 4, durableLevel) && u.receipted(w.a.tracks[0], 9, storedLevel)
	})
	w.path = "/v1/footage/" + w.a.tracks[0].String() + "?from=0"
	return w
}

// holds reports whether b has anything of A's footage.
func (w *two) holds(b []byte) bool { return bytes.Contains(b, w.parts[0][128:192]) }

// greedyCache answers a GET with what anybody got for that address before,
// whoever asks, unless the answer forbade it.
func greedyCache(t *testing.T, target string) string {
	t.Helper()
	var mu sync.Mutex
	kept := map[string][]byte{}
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		had, ok := kept[r.URL.String()]
		mu.Unlock()
		if ok && r.Method == http.MethodGet {
			_, _ = w.Write(had) // the client has gone
			return
		}
		q, err := http.NewRequestWithContext(r.Context(), r.Method, target+r.URL.String(), r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		q.Header = r.Header
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		if !strings.Contains(res.Header.Get("Cache-Control"), "no-store") {
			mu.Lock()
			kept[r.URL.String()] = body
			mu.Unlock()
		}
		w.WriteHeader(res.StatusCode)
		_, _ = w.Write(body) // the client has gone
	}))
	t.Cleanup(ts.Close)
	return ts.URL
}

// TestIRT21SharedCache: a cache in front of the server that keeps whatever it
// may hands nobody another's footage.
func TestIRT21SharedCache(t *testing.T) {
	w := newTwo(t)
	url := greedyCache(t, w.URL)
	through := func(token string) (int, []byte) {
		res, body := newAPI(url, token).get(t, w.path)
		return res.StatusCode, body
	}
	for range 2 {
		if status, body := through(w.a.admin.token); status != 200 || !w.holds(body) {
			t.Fatalf("the owner got status %d, %d bytes", status, len(body))
		}
		for name, token := range map[string]string{"B": w.b.admin.token, "nobody": ""} {
			if status, body := through(token); status == 200 || w.holds(body) {
				t.Errorf("%s got status %d, %d bytes through the cache", name, status, len(body))
			}
		}
	}
}

// TestIRT20Reconnects: while many sign in and out at once, every answer goes to
// whom it belongs.
func TestIRT20Reconnects(t *testing.T) {
	w := newTwo(t)
	var all sync.WaitGroup
	for i := range 24 {
		h := []*house{w.a, w.b}[i%2]
		key := []hometest.Key{h.Admin, h.hub.Key}[i/2%2]
		all.Go(func() {
			for range 8 {
				a := newAPI(w.URL, login(t, w.URL, h.Home, key))
				who, err := a.account.WhoAmI(t.Context(), connect.NewRequest(&v1.WhoAmIRequest{}))
				kid, id := key.Kid(), h.ID()
				if err != nil || !bytes.Equal(who.Msg.GetHousehold(), id[:]) || !bytes.Equal(who.Msg.GetKid(), kid[:]) {
					t.Errorf("asked as %v of %v, got %v, %v", kid, id, who, err)
					return
				}
				if res, body := a.get(t, w.path); w.holds(body) != (h == w.a && key.Kid() == h.Admin.Kid()) {
					t.Errorf("%v of %v got status %d and %d bytes of A", kid, id, res.StatusCode, len(body))
				}
				if _, err := a.account.Logout(t.Context(), connect.NewRequest(&v1.LogoutRequest{})); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

// TestIRT23Update: a session belongs to the same household before and after the
// server is replaced by another process on the same data.
func TestIRT23Update(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, cloud.Config{DataDir: dir})
	houses := []*house{found(t, s.URL, 1, 1), found(t, s.URL, 2, 1), found(t, s.URL, 3, 1)}
	for range 2 {
		try(t, s.Close())
		s = startServer(t, cloud.Config{DataDir: dir})
		for _, h := range houses {
			a := newAPI(s.URL, h.admin.token)
			who := must[*connect.Response[v1.WhoAmIResponse]](t)(a.account.WhoAmI(t.Context(), connect.NewRequest(&v1.WhoAmIRequest{})))
			if id := h.ID(); !bytes.Equal(who.Msg.GetHousehold(), id[:]) {
				t.Errorf("the session of %v is %x's now", id, who.Msg.GetHousehold())
			}
			if res, _ := a.get(t, "/v1/footage/"+h.tracks[0].String()+"?from=0"); res.StatusCode != 200 {
				t.Errorf("the owner's track: status %d", res.StatusCode)
			}
		}
	}
}

// TestIRT27Guessing (and IRT-44): who knows how objects and streams are called
// gets nothing by their addresses.
func TestIRT27Guessing(t *testing.T) {
	w := newTwo(t)
	var names []string
	try(t, filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, relErr := filepath.Rel(w.dir, path)
			names = append(names, name)
			return relErr
		}
		return err
	}))
	if len(names) < 3 {
		t.Fatalf("only %d files in the data folder: nothing to guess", len(names))
	}
	id := w.a.tracks[0].String()
	for _, name := range names {
		names = append(names, "v1/footage/../../"+name, "assets/../"+name, "%2e%2e/"+name)
	}
	names = append(names, "v1/footage/"+id, "v1/live?track="+id, "live/"+id, "v1/footage/"+id+"?from=0&token="+w.b.admin.token)
	for _, name := range names {
		for who, a := range map[string]*api{"nobody": newAPI(w.URL, ""), "B": w.b.admin} {
			if res, body := a.get(t, "/"+name); w.holds(body) || bytes.Contains(body, []byte("SQLite format")) {
				t.Errorf("%s got %s: status %d, %d bytes", who, name, res.StatusCode, len(body))
			}
		}
	}
}

// TestIRT66AddressesEnd: an address of footage is worth nothing by itself and
// ends with the session that used it.
func TestIRT66AddressesEnd(t *testing.T) {
	w := newTwo(t)
	if res, body := w.a.admin.get(t, w.path); res.StatusCode != 200 || !w.holds(body) {
		t.Fatalf("the owner got status %d", res.StatusCode)
	}
	_, err := w.a.admin.account.Logout(t.Context(), connect.NewRequest(&v1.LogoutRequest{}))
	try(t, err)
	for who, a := range map[string]*api{"who signed out": w.a.admin, "who copied it": newAPI(w.URL, "")} {
		if res, body := a.get(t, w.path); res.StatusCode != http.StatusUnauthorized || w.holds(body) {
			t.Errorf("%s got status %d, %d bytes", who, res.StatusCode, len(body))
		}
	}
}

// TestIRT25OneHubTwice: the same hub cannot be enrolled a second time.
func TestIRT25OneHubTwice(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	again := must[[]byte](t)(h.EnrolAgain(h.hub))
	_, err := h.admin.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: again}))
	wantCode(t, err, connect.CodePermissionDenied)
	list := must[*connect.Response[v1.ListHubsResponse]](t)(h.admin.hubs.ListHubs(t.Context(), connect.NewRequest(&v1.ListHubsRequest{})))
	if len(list.Msg.GetHubs()) != 1 {
		t.Errorf("%d hubs", len(list.Msg.GetHubs()))
	}
}
