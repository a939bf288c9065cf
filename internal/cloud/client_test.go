package cloud_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
	"latchkey.dev/latchkey/ledger"
	"latchkey.dev/latchkey/part"
)

// plenty lets a test sign in as often as it likes.
var plenty = cloud.Limits{SignInsPerMinute: 1e6, SignInBurst: 1e6, CallsPerSecond: 1e6, CallBurst: 1e6}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testServer is a server behind a real listener.
type testServer struct {
	*cloud.Server
	URL string
	ts  *httptest.Server
}

func startServer(t *testing.T, cfg cloud.Config) *testServer {
	t.Helper()
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	if cfg.Limits == (cloud.Limits{}) {
		cfg.Limits = plenty
	}
	s := must[*cloud.Server](t)(cloud.New(cfg))
	ts := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		ts.CloseClientConnections()
		ts.Close()
	})
	return &testServer{Server: s, URL: ts.URL, ts: ts}
}

// api is a caller with or without a session.
type api struct {
	url, token string
	account    latchkeyv1connect.AccountServiceClient
	passkeys   latchkeyv1connect.PasskeyServiceClient
	chain      latchkeyv1connect.ChainServiceClient
	pairing    latchkeyv1connect.PairingServiceClient
	hubs       latchkeyv1connect.HubServiceClient
	footage    latchkeyv1connect.FootageServiceClient
	links      latchkeyv1connect.LinkServiceClient
}

func newAPI(url, token string) *api {
	bearer := connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			if token != "" {
				r.Header().Set("Authorization", "Bearer "+token)
			}
			return next(ctx, r)
		}
	})
	o := connect.WithInterceptors(bearer)
	c := http.DefaultClient
	return &api{
		url: url, token: token,
		account:  latchkeyv1connect.NewAccountServiceClient(c, url, o),
		chain:    latchkeyv1connect.NewChainServiceClient(c, url, o),
		passkeys: latchkeyv1connect.NewPasskeyServiceClient(c, url, o),
		pairing:  latchkeyv1connect.NewPairingServiceClient(c, url, o),
		hubs:     latchkeyv1connect.NewHubServiceClient(c, url, o),
		footage:  latchkeyv1connect.NewFootageServiceClient(c, url, o),
		links:    latchkeyv1connect.NewLinkServiceClient(c, url, o),
	}
}

// http is a client that sends the caller's token.
func (a *api) http() *http.Client { return &http.Client{Transport: bearer{a.token}} }

type bearer struct{ token string }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}

// tickets are the calls about the caller's tickets.
func (a *api) tickets() latchkeyv1connect.TicketServiceClient {
	return latchkeyv1connect.NewTicketServiceClient(a.http(), a.url)
}

// get is a GET with the caller's token.
func (a *api) get(t *testing.T, path string) (*http.Response, []byte) {
	t.Helper()
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, a.url+path, nil))
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	res := must[*http.Response](t)(http.DefaultClient.Do(req))
	defer res.Body.Close()
	return res, must[[]byte](t)(io.ReadAll(res.Body))
}

// login signs a key of a hub or of the founder in and returns its token.
func login(t *testing.T, url string, h *hometest.Home, k hometest.Key) string {
	t.Helper()
	if kid := k.Kid(); kid == h.Admin.Kid() || kid == h.Recovery.Kid() {
		return signIn(t, url, h.Founder, k)
	}
	res, err := tryLogin(t, url, h, k, nil, false)
	try(t, err)
	return res.GetToken()
}

// signIn signs a person in from his device, with one of his keys.
func signIn(t *testing.T, url string, p *hometest.Person, k hometest.Key) string {
	t.Helper()
	res, err := trySignIn(t, url, p, k)
	try(t, err)
	return res.GetToken()
}

func trySignIn(t *testing.T, url string, p *hometest.Person, k hometest.Key) (*v1.LoginResponse, error) {
	t.Helper()
	res, err := tryLogin(t, url, p.Home, k, device(p.Device), false)
	if err == nil && len(res.GetDeviceSecret()) > 0 {
		p.Device.Secret = res.GetDeviceSecret()
	}
	return res, err
}

func device(d hometest.Device) *v1.Device { return &v1.Device{Id: d.ID[:], Secret: d.Secret} }

// tryLogin answers a challenge.
func tryLogin(t *testing.T, url string, h *hometest.Home, k hometest.Key, d *v1.Device, cookie bool) (*v1.LoginResponse, error) {
	t.Helper()
	a, id, kid := newAPI(url, ""), h.ID(), k.Kid()
	c := must[*connect.Response[v1.ChallengeResponse]](t)(a.account.Challenge(t.Context(),
		connect.NewRequest(&v1.ChallengeRequest{Who: &v1.ChallengeRequest_Kid{Kid: kid[:]}, Household: id[:]})))
	note := must[[]byte](t)(h.Login(k, c.Msg.GetServer(), c.Msg.GetNonce()))
	res, err := a.account.Login(t.Context(), connect.NewRequest(&v1.LoginRequest{Note: note, Device: d, Cookie: cookie}))
	if err != nil {
		return nil, err
	}
	if cookie {
		res.Msg.Token = must[*http.Cookie](t)(http.ParseSetCookie(res.Header().Get("Set-Cookie"))).Value
	}
	return res.Msg, nil
}

// house is a household on a server, with one hub and a camera.
type house struct {
	*hometest.Home
	url    string
	admin  *api
	hub    *hometest.Hub
	tracks []latchkey.TrackID
}

// found makes a household with one hub and tracks video tracks.
func found(t *testing.T, url string, seed uint64, tracks int) *house {
	t.Helper()
	return furnished(t, url, must[*hometest.Home](t)(hometest.New(seed)), tracks)
}

// foundUnder is found, with the server's operator in the household's genesis.
func foundUnder(t *testing.T, url string, seed uint64, tracks int) *house {
	t.Helper()
	_, text := newAPI(url, "").get(t, "/log/policy")
	p := must[*ledger.Policy](t)(ledger.ParsePolicy(string(text)))
	return furnished(t, url, must[*hometest.Home](t)(hometest.NewUnder(seed, p.Operator.VKey, p.Origin())), tracks)
}

func furnished(t *testing.T, url string, home *hometest.Home, tracks int) *house {
	t.Helper()
	h := &house{Home: home, url: url}
	h.found(t)
	hub, raw, err := h.AddHub()
	try(t, err)
	h.hub = hub
	h.append(t, raw)
	h.tracks, raw, err = h.AddCamera(tracks)
	try(t, err)
	h.append(t, raw)
	return h
}

// found creates the household on its server and signs the admin in.
func (h *house) found(t *testing.T) {
	t.Helper()
	vault, wrap, recovery := h.Vault(1)
	res := must[*connect.Response[v1.CreateHouseholdResponse]](t)(newAPI(h.url, "").account.CreateHousehold(t.Context(),
		connect.NewRequest(&v1.CreateHouseholdRequest{
			Genesis: h.Chain[0], LogTagKey: h.LogTagKey[:], Vault: vault, Wraps: [][]byte{wrap}, RecoveryId: recovery, Device: device(h.Founder.Device),
		})))
	h.Founder.Device.Secret = res.Msg.GetDeviceSecret()
	h.admin = newAPI(h.url, res.Msg.GetToken())
}

func (h *house) append(t *testing.T, note []byte) {
	t.Helper()
	_, err := h.admin.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: note}))
	try(t, err)
}

func (h *house) epoch(t *testing.T, start time.Time) *hometest.Epoch {
	t.Helper()
	return must[*hometest.Epoch](t)(h.hub.NewEpoch(start, h.tracks))
}

// uplink is a hub's connection that collects what the cloud says.
type uplink struct {
	ws *websocket.Conn

	mu       sync.Mutex
	receipts []*v1.Receipt
	errors   []*v1.UplinkError
	epochs   int
	have     *v1.UplinkHave
	commands []*v1.UplinkCommand
	notices  []*v1.ChainNotice
	watched  []*v1.UplinkWatched
	changed  chan struct{}
	closed   bool
}

// dial opens an uplink and says hello with what is held.
func (h *house) dial(t *testing.T, held ...*v1.SpoolRange) *uplink {
	t.Helper()
	u, err := h.tryDial(t.Context(), login(t, h.url, h.Home, h.hub.Key), held...)
	try(t, err)
	t.Cleanup(func() { u.ws.Close() })
	return u
}

func (h *house) tryDial(ctx context.Context, token string, held ...*v1.SpoolRange) (*uplink, error) {
	u, err := h.tryDialQuiet(ctx, token)
	if err != nil {
		return nil, err
	}
	return u, u.send(0x05, &v1.UplinkHello{Version: "test", Held: held})
}

// tryDialQuiet connects and says nothing.
func (h *house) tryDialQuiet(ctx context.Context, token string) (*uplink, error) {
	d := websocket.Dialer{WriteBufferSize: 64 << 10} // as a hub's
	ws, _, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(h.url, "http")+"/v1/uplink",
		http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		return nil, err
	}
	u := &uplink{ws: ws, changed: make(chan struct{})}
	go u.read()
	return u, nil
}

func (u *uplink) send(kind byte, m proto.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return u.raw(kind, b)
}

// raw sends a message; backlog gets its checksum.
func (u *uplink) raw(kind byte, body ...[]byte) error {
	if kind == 0x02 {
		return u.message(kind, backlog(body...))
	}
	return u.message(kind, bytes.Join(body, nil))
}

func (u *uplink) message(kind byte, body []byte) error {
	return u.ws.WriteMessage(websocket.BinaryMessage, append([]byte{kind}, body...))
}

// backlog is the body of a backlog message.
func backlog(parts ...[]byte) []byte {
	raw := bytes.Join(parts, nil)
	return append(binary.BigEndian.AppendUint32(nil, crc32.Checksum(raw, crc32.MakeTable(crc32.Castagnoli))), raw...)
}

// announce sends an epoch and waits for its receipt.
func (u *uplink) announce(t *testing.T, e *hometest.Epoch) {
	t.Helper()
	u.mu.Lock()
	n := u.epochs
	u.mu.Unlock()
	try(t, u.send(0x03, announcement(e)))
	u.wait(t, "epoch receipt", func() bool { return u.epochs > n })
}

func announcement(e *hometest.Epoch) *v1.UplinkEpoch {
	m := &v1.UplinkEpoch{Note: e.Note}
	for i, l := range e.Seals {
		m.Seals = append(m.Seals, &v1.SealLine{Kid: l.Kid[:], Hash: l.Hash[:]})
		m.Capsules = append(m.Capsules, &v1.SealedCapsule{Kid: l.Kid[:], Capsule: e.Capsules[i]})
	}
	return m
}

func (u *uplink) read() {
	for {
		_, b, err := u.ws.ReadMessage()
		u.mu.Lock()
		if err == nil {
			err = u.take(b[0], b[1:])
		}
		u.closed = u.closed || err != nil
		close(u.changed)
		u.changed = make(chan struct{})
		u.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (u *uplink) take(kind byte, body []byte) error {
	switch kind {
	case 0x81:
		m := &v1.Receipt{}
		u.receipts = append(u.receipts, m)
		return proto.Unmarshal(body, m)
	case 0x82:
		u.have = &v1.UplinkHave{}
		return proto.Unmarshal(body, u.have)
	case 0x83:
		u.epochs++
		return nil
	case 0x84:
		m := &v1.UplinkCommand{}
		u.commands = append(u.commands, m)
		return proto.Unmarshal(body, m)
	case 0x85:
		m := &v1.ChainNotice{}
		u.notices = append(u.notices, m)
		return proto.Unmarshal(body, m)
	case 0x87:
		m := &v1.UplinkWatched{}
		u.watched = append(u.watched, m)
		return proto.Unmarshal(body, m)
	case 0x86:
		m := &v1.UplinkError{}
		u.errors = append(u.errors, m)
		return proto.Unmarshal(body, m)
	}
	return fmt.Errorf("message %#02x", kind)
}

// wait waits until ok, which is called with the lock held.
func (u *uplink) wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		u.mu.Lock()
		done, changed := ok(), u.changed
		u.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no %s came; errors %v", what, u.errors)
		}
	}
}

// receipted reports whether parts up to last have a receipt of the level.
// Callers hold mu.
func (u *uplink) receipted(track latchkey.TrackID, last uint32, level v1.ReceiptLevel) bool {
	for _, r := range u.receipts {
		if bytes.Equal(r.GetTrack(), track[:]) && r.GetLastSeq() >= last && r.GetLevel() >= level {
			return true
		}
	}
	return false
}

// film makes n parts of size bytes, perSlot to a slot, a random-access part
// every gop.
func film(e *hometest.Epoch, track latchkey.TrackID, firstSlot uint32, n, perSlot, gop, size int) [][]byte {
	var out [][]byte
	for i := range n {
		var flags part.Flags
		if i%gop == 0 {
			flags = part.RAP
		}
		out = append(out, e.Part(track, firstSlot+uint32(i/perSlot), flags, size+i%7))
	}
	return out
}

const (
	storedLevel  = v1.ReceiptLevel_RECEIPT_LEVEL_STORED
	durableLevel = v1.ReceiptLevel_RECEIPT_LEVEL_DURABLE
)
