package uplink

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gorilla/websocket"

	"latchkey.dev/latchkey"
)

// TestDialBesideHTTP2: the hub's ordinary calls and its socket share settings;
// a server that speaks HTTP/2 gets the one over it, and the other not.
func TestDialBesideHTTP2(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !websocket.IsWebSocketUpgrade(r) {
			return
		}
		ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err == nil {
			ws.Close()
		}
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	client := srv.Client()
	res, err := client.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.ProtoMajor != 2 {
		t.Fatalf("the call went over %s: this test needs HTTP/2", res.Proto)
	}
	session, err := NewSession(srv.URL, latchkey.HouseholdID{}, nil, client)
	if err != nil {
		t.Fatal(err)
	}
	ws, err := New(Config{Session: session, HTTP: client}).dial(t.Context(), "token")
	if err != nil {
		t.Fatal(err)
	}
	ws.Close()
}
