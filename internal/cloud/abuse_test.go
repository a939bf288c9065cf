package cloud

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/hometest"
)

// TestChallengesShutNobodyOut: a stranger who asks for challenges all day does
// not keep others from signing in, and takes a bounded amount of memory.
func TestChallengesShutNobodyOut(t *testing.T) {
	l := newLogins(nil, nil)
	for range maxChallenges + 100 {
		if _, err := l.challenge(latchkey.HouseholdID{}, ""); err != nil {
			t.Fatal(err)
		}
	}
	home := latchkey.HouseholdID{1}
	nonce, err := l.challenge(home, "https://cloud.example")
	if err != nil {
		t.Fatal(err)
	}
	if len(l.open) > maxChallenges {
		t.Errorf("%d challenges in memory", len(l.open))
	}
	now := time.Now()
	if err := l.take(chain.Login{Household: home, Server: "https://cloud.example", Nonce: nonce, Time: now.Unix()}, now); err != nil {
		t.Errorf("the newest challenge is lost: %v", err)
	}
}

// deadlines records the deadlines that a handler sets.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write bool
}

func (d *deadlines) SetReadDeadline(time.Time) error  { d.read = true; return nil }
func (d *deadlines) SetWriteDeadline(time.Time) error { d.write = true; return nil }

// TestUpgradeHeaderHoldsNothing: who writes Upgrade on a route that is no
// socket gets no connection without deadlines.
func TestUpgradeHeaderHoldsNothing(t *testing.T) {
	s := newTestServer(t)
	for _, r := range s.table() {
		method, path, _ := strings.Cut(r.pattern, " ")
		q := httptest.NewRequest(method, "http://127.0.0.1"+strings.Replace(path, "{track}", strings.Repeat("0", 32), 1), strings.NewReader("{}"))
		q.Header.Set("Content-Type", "application/json")
		q.Header.Set("Connection", "Upgrade")
		q.Header.Set("Upgrade", "websocket")
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		s.Handler().ServeHTTP(w, q)
		if socket := strings.HasSuffix(path, "/live") || strings.HasSuffix(path, "/uplink"); socket == (w.read && w.write) {
			t.Errorf("%s: deadlines of reading %v, writing %v", r.pattern, w.read, w.write)
		}
	}
}

// TestRestOfABodyIsNoRequest: what follows the largest body that a route takes
// is never answered as a request of its own, which a proxy that shares its
// connections among callers would hand to somebody else.
func TestRestOfABodyIsNoRequest(t *testing.T) {
	s := newTestServer(t)
	ts := httptest.NewServer(s.Handler())
	t.Cleanup(ts.Close)
	const inside = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	rest := strings.Repeat(inside, 400<<10/len(inside))
	for _, r := range s.table() {
		path, ok := strings.CutPrefix(r.pattern, post)
		if !ok {
			continue
		}
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", ts.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // a hang fails below
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			// Refused before its end, most often.
			_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/proto\r\nContent-Length: %d\r\n\r\n", path, int(r.body)+len(rest))
			_, _ = io.WriteString(conn, strings.Repeat("x", int(r.body))+rest)
		}()
		answers, err := io.ReadAll(conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the connection stays", path)
		}
		if n := strings.Count(string(answers), "HTTP/1.1 "); n > 1 || n == 0 && err == nil {
			t.Errorf("%s: %d answers to one request: %.300q", path, n, answers)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		<-sent
	}
}

// TestMessagesGrowLittle: a message of empty fields does not become a hundred
// times its size in memory.
func TestMessagesGrowLittle(t *testing.T) {
	empty := func(n int) []byte { return bytes.Repeat([]byte{0x12, 0x00}, n) }
	if err := decode(empty(maxHeld), &v1.UplinkHello{}); err != nil {
		t.Errorf("a full hello: %v", err)
	}
	if err := decode(empty(maxControl/2), &v1.UplinkHello{}); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("a hello of %d empty ranges: %v", maxControl/2, err)
	}
	for _, bad := range []string{"\x12\x05x", "\xff", "\x07", "\x0a"} {
		if err := decode([]byte(bad), &v1.UplinkHello{}); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestNoStateFromBeforeARemoval: a table that is cleared while a statement is
// being stored leaves nobody with the state from before it. A removed hub
// would else keep its session.
func TestNoStateFromBeforeARemoval(t *testing.T) {
	s := newTestServer(t)
	home, err := hometest.New(1)
	if err != nil {
		t.Fatal(err)
	}
	note, err := chain.ParseNote(home.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	state, err := chain.Apply(chain.State{}, note, time.Now().Unix())
	if err != nil {
		t.Fatal(err)
	}
	id := state.Household
	stale := &household{state: state} // loaded by somebody after the table was cleared
	busy := &household{state: state}  // whose statement is being stored
	s.homes.all[id] = stale
	s.homes.settle(id, busy)
	if s.homes.entry(id) == stale {
		t.Error("the state from before the statement stays")
	}
	s.homes.all[id] = busy
	s.homes.settle(id, busy)
	if s.homes.entry(id) != busy {
		t.Error("an entry that is up to date is thrown away")
	}
}

// TestPairingBoxesAreRationed: one address cannot fill the table of boxes,
// which would keep everybody else from pairing.
func TestPairingBoxesAreRationed(t *testing.T) {
	s := newTestServer(t) // sign-ins limited as in production, calls not
	taken := 0
	for i := range 200 {
		at := sha256.Sum256([]byte{byte(i)})
		body := `{"rendezvous":"` + latchkey.B64(at[:16]) + `","slot":"MAIL_SLOT_OFFER","body":"AAAA"}`
		q := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/latchkey.v1.PairingService/PutMail", strings.NewReader(body))
		q.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, q)
		if w.Code == http.StatusOK {
			taken++
		}
	}
	if most := (Limits{}).withDefaults().SignInBurst; taken == 0 || taken > most+5 {
		t.Errorf("one address filled %d boxes", taken)
	}
}

// TestProxiedCallers: behind a proxy each caller has his own allowance, and
// cannot take another one by what he writes into the header; without a proxy
// the header is nothing.
func TestProxiedCallers(t *testing.T) {
	from := func(proxied bool, forwarded ...string) string {
		q := httptest.NewRequest(http.MethodGet, "/", nil)
		q.RemoteAddr = "127.0.0.1:5000"
		q.Header["X-Forwarded-For"] = forwarded
		return addressOf(q, proxied).String()
	}
	for _, tt := range []struct {
		proxied   bool
		forwarded []string
		want      string
	}{
		{true, []string{"198.51.100.7"}, "198.51.100.7/32"},
		{true, []string{"10.0.0.1, 198.51.100.7"}, "198.51.100.7/32"},
		{true, []string{"10.0.0.1", "10.0.0.2,2001:db8::1"}, "2001:db8::/64"},
		{true, nil, "127.0.0.1/32"},
		{true, []string{"no address"}, "invalid Prefix"}, // all of those share one allowance
		{false, []string{"198.51.100.7"}, "127.0.0.1/32"},
	} {
		if got := from(tt.proxied, tt.forwarded...); got != tt.want {
			t.Errorf("%v, proxied %v: %s, want %s", tt.forwarded, tt.proxied, got, tt.want)
		}
	}
}

// TestBoxesAreBounded: full boxes give their memory back, and take no more of
// it in all than the limit says.
func TestBoxesAreBounded(t *testing.T) {
	m, now := newMailboxes(4), time.Now()
	stored := 0
	for i := range 4 {
		for j := range maxOffers {
			if err := m.put([16]byte{byte(i)}, 0, append(make([]byte, maxMail-1), byte(j)), now); err == nil {
				stored++
			} else if !errors.Is(err, latchkey.ErrTooMany) {
				t.Fatal(err)
			}
		}
	}
	if stored != 4*maxBoxSize/maxMail || m.size != stored*maxMail {
		t.Errorf("%d offers, %d bytes", stored, m.size)
	}
	m.tidy(now.Add(boxLife + time.Second))
	if len(m.all) != 0 || m.size != 0 {
		t.Errorf("%d boxes, %d bytes are left", len(m.all), m.size)
	}
}

// TestTicketsEnd: a ceremony is good once, for what it was begun for, for five
// minutes; and who begins them all day fills no memory.
func TestTicketsEnd(t *testing.T) {
	tickets, session := newTickets(), latchkey.Hash{1}
	put := func() []byte {
		id, err := tickets.put(ticket{use: useStepUp, session: session})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	if _, ok := tickets.take(put(), useSignIn, session); ok {
		t.Error("a step-up signs in")
	}
	if _, ok := tickets.take(put(), useStepUp, latchkey.Hash{2}); ok {
		t.Error("another session takes it")
	}
	id := put()
	if _, ok := tickets.take(id, useStepUp, session); !ok {
		t.Error("it is not there")
	}
	if _, ok := tickets.take(id, useStepUp, session); ok {
		t.Error("it is good twice")
	}
	id = put()
	old := tickets.all[[16]byte(id)]
	old.expires = time.Now().Add(-time.Second)
	tickets.all[[16]byte(id)] = old
	if _, ok := tickets.take(id, useStepUp, session); ok {
		t.Error("it outlives its time")
	}
	for range maxTickets + 50 {
		put()
	}
	if len(tickets.all) > maxTickets {
		t.Errorf("%d tickets in memory", len(tickets.all))
	}
	tickets.tidy(time.Now().Add(ticketLife + time.Second))
	if len(tickets.all) != 0 {
		t.Errorf("%d tickets are left", len(tickets.all))
	}
}
