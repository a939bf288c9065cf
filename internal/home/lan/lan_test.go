package lan_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/lan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger {
	if os.Getenv("LATCHKEY_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

// serve runs a listener on loopback until the end of the test.
func serve(t *testing.T, h lan.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		err := lan.Serve(ctx, lan.Config{
			Listener: ln, Path: lan.RemovalPath, MaxBody: 1000, Wait: time.Second, Handler: h, Log: quiet(),
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return ln.Addr().String()
}

func TestListener(t *testing.T) {
	addr := serve(t, func(_ context.Context, body []byte) (int, []byte) {
		if string(body) == "secret" {
			return http.StatusOK, []byte("answer")
		}
		return http.StatusForbidden, nil
	})
	for _, tc := range []struct {
		name, method, path, body string
		status                   int
		answer                   string
	}{
		{"the one thing", "POST", lan.RemovalPath, "secret", 200, "answer"},
		{"refused", "POST", lan.RemovalPath, "guess", 403, ""},
		{"too long", "POST", lan.RemovalPath, strings.Repeat("x", 1001), 400, ""},
		{"another method", "GET", lan.RemovalPath, "", 405, ""},
		{"another path", "POST", "/v1/pair", "secret", 404, ""},
		{"the root", "GET", "/", "", 404, ""},
		{"a path beside it", "POST", lan.RemovalPath + "/", "secret", 404, ""},
	} {
		req, err := http.NewRequest(tc.method, "http://"+addr+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != tc.status || string(body) != tc.answer {
			t.Errorf("%s: %d %q, want %d %q", tc.name, res.StatusCode, body, tc.status, tc.answer)
		}
		for key := range res.Header {
			if !slices.Contains([]string{"Content-Length", "Content-Type", "Connection"}, key) {
				t.Errorf("%s: header %s tells something", tc.name, key)
			}
		}
	}
}

// TestListenerIsBounded: a machine that asks without end is told 429, and one
// that holds connections and says nothing is let go.
func TestListenerIsBounded(t *testing.T) {
	var calls atomic.Int32
	addr := serve(t, func(context.Context, []byte) (int, []byte) { calls.Add(1); return http.StatusNoContent, nil })
	refused := 0
	for range 40 {
		status, _, err := lan.Post(t.Context(), addr, lan.RemovalPath, []byte("x"), 0)
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused < 20 || calls.Load() > 20 {
		t.Errorf("%d of 40 refused, %d carried out", refused, calls.Load())
	}
	var held []net.Conn
	for range 4 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	if _, _, err := lan.Post(t.Context(), addr, lan.RemovalPath, []byte("x"), 0); !errors.Is(err, latchkey.ErrUnavailable) {
		t.Errorf("a fifth connection of one address: %v", err)
	}
	for _, c := range held { // silent: the deadline for headers ends them
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := lan.Post(t.Context(), addr, lan.RemovalPath, []byte("x"), 0); err != nil {
		t.Errorf("after they were let go: %v", err)
	}
}

func TestPost(t *testing.T) {
	addr := serve(t, func(context.Context, []byte) (int, []byte) { return http.StatusOK, make([]byte, 100) })
	if _, _, err := lan.Post(t.Context(), addr, lan.RemovalPath, nil, 99); !errors.Is(err, latchkey.ErrTooMany) {
		t.Errorf("too long an answer: %v", err)
	}
	if _, b, err := lan.Post(t.Context(), addr, lan.RemovalPath, nil, 100); err != nil || len(b) != 100 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	for _, addr := range []string{"", "example.com:80", "127.0.0.1", "127.0.0.1:1/../x", "user@127.0.0.1:80"} {
		if _, _, err := lan.Post(t.Context(), addr, lan.RemovalPath, nil, 100); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%q: %v", addr, err)
		}
	}
	if _, err := lan.Remove(t.Context(), "127.0.0.1:1", []byte("x")); !errors.Is(err, latchkey.ErrUnavailable) {
		t.Errorf("nobody there: %v", err)
	}
}

func TestRemove(t *testing.T) {
	status := http.StatusOK
	var got [][]byte
	addr := serve(t, func(_ context.Context, body []byte) (int, []byte) {
		var err error
		if got, err = lan.ParseNotes(body, lan.MaxRemovals); err != nil {
			return http.StatusBadRequest, nil
		}
		return status, []byte("receipt")
	})
	receipt, err := lan.Remove(t.Context(), addr, []byte("one"), []byte("two"))
	if err != nil || fmt.Sprintf("%s", got) != "[one two]" || string(receipt) != "receipt" {
		t.Errorf("%s, %q, %v", got, receipt, err)
	}
	for code, kind := range map[int]error{
		403: latchkey.ErrRefused, 400: latchkey.ErrInvalid, 429: latchkey.ErrTooMany, 503: latchkey.ErrUnavailable, 204: latchkey.ErrUnavailable,
	} {
		status = code
		if _, err := lan.Remove(t.Context(), addr, []byte("one")); !errors.Is(err, kind) {
			t.Errorf("status %d: %v", code, err)
		}
	}
}

func TestAddresses(t *testing.T) {
	addr := func(s string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if got := lan.Addresses(addr("192.168.1.5:40123")); !slices.Equal(got, []string{"192.168.1.5:40123"}) {
		t.Errorf("%v", got)
	}
	for _, s := range []string{"0.0.0.0:7", "[::]:7"} {
		list := lan.Addresses(addr(s))
		for _, got := range list {
			a := addr(got).(*net.TCPAddr)
			if a.Port != 7 || a.IP.IsLoopback() || a.IP.IsLinkLocalUnicast() || (s[0] == '0' && a.IP.To4() == nil) {
				t.Errorf("%s: %s", s, got)
			}
		}
		if len(list) > 8 {
			t.Errorf("%d addresses", len(list))
		}
	}
	if lan.Reachable(addr("127.0.0.1:7")) || lan.Reachable(addr("[::1]:7")) || !lan.Reachable(addr("0.0.0.0:7")) {
		t.Error("who can be reached")
	}
}

func FuzzParseNotes(f *testing.F) {
	f.Add(lan.PackNotes([][]byte{[]byte("a note"), []byte("b")}))
	f.Add(binary.BigEndian.AppendUint32(nil, 1<<31))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		notes, err := lan.ParseNotes(b, lan.MaxRemovals)
		if err != nil {
			if !errors.Is(err, latchkey.ErrInvalid) {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		if len(notes) == 0 || len(notes) > lan.MaxRemovals || !bytes.Equal(lan.PackNotes(notes), b) {
			t.Fatalf("%d notes do not encode to what they were read from", len(notes))
		}
	})
}

// TestFindsOneAnother announces and browses on this machine's network.
func TestFindsOneAnother(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	name := lan.RandomName()
	found := make(chan string, 16)
	var both sync.WaitGroup
	both.Go(func() { lan.Announce(ctx, lan.PairService, name, 4321, quiet()) })
	both.Go(func() {
		lan.Browse(ctx, lan.PairService, func(instance, addr string) {
			if instance == name {
				select {
				case found <- addr:
				default:
				}
			}
		}, quiet())
	})
	var addr string
	select {
	case addr = <-found:
	case <-ctx.Done():
	}
	cancel()
	both.Wait()
	if addr == "" {
		t.Skip("skipped: multicast does not reach this machine itself")
	}
	if !strings.HasSuffix(addr, ":4321") {
		t.Errorf("found at %s", addr)
	}
}
