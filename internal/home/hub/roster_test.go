package hub

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/uplink"
)

// zeros yields zero bytes for ever.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// bomb answers every call with a little that unpacks to n bytes.
func bomb(t *testing.T, n int64) string {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.CopyN(z, zeros{}, n); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/proto")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes()) // the hub may have had enough
	}))
	t.Cleanup(ts.Close)
	return ts.URL
}

// TestServersAnswersAreBounded: a server cannot fill a hub's memory with an
// answer, at sign-in or with the chain (IRT-85: recording goes on).
func TestServersAnswersAreBounded(t *testing.T) {
	url := bomb(t, maxPage+1<<20)
	id := keys.NewIdentity()
	session, err := uplink.NewSession(url, latchkey.HouseholdID{1}, id.Signing, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Token(t.Context()); !errors.Is(err, latchkey.ErrTooMany) || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("sign-in: %v", err)
	}
	st := &store{dir: t.TempDir(), fs: durable.Disk{}}
	r, err := openRoster(st, session, http.DefaultClient, latchkey.HouseholdID{1}, anyStatement)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.GetChain(t.Context(), connect.NewRequest(&latchkeyv1.GetChainRequest{})); !errors.Is(uplink.Kind(err), latchkey.ErrTooMany) {
		t.Errorf("chain: %v", err)
	}
}
