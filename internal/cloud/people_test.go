package cloud_test

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/gorilla/websocket"

	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
)

func wantCode(t *testing.T, err error, code connect.Code) {
	t.Helper()
	if connect.CodeOf(err) != code || err == nil {
		t.Fatalf("got %v, want %v", err, code)
	}
}

func (h *house) challenge(t *testing.T, k hometest.Key) *v1.ChallengeResponse {
	t.Helper()
	id, kid := h.ID(), k.Kid()
	return must[*connect.Response[v1.ChallengeResponse]](t)(newAPI(h.url, "").account.Challenge(t.Context(),
		connect.NewRequest(&v1.ChallengeRequest{Who: &v1.ChallengeRequest_Kid{Kid: kid[:]}, Household: id[:]}))).Msg
}

func (h *house) answer(t *testing.T, note []byte) error {
	t.Helper()
	_, err := newAPI(h.url, "").account.Login(t.Context(), connect.NewRequest(&v1.LoginRequest{Note: note, Device: device(h.Founder.Device)}))
	return err
}

// TestLogin: the right key, once, here, now; and nothing else.
func TestLogin(t *testing.T) {
	s := startServer(t, cloud.Config{})
	h, other := found(t, s.URL, 1, 1), found(t, s.URL, 2, 1)
	c := h.challenge(t, h.Admin)
	if c.GetServer() != s.URL {
		t.Errorf("server %q, want %q", c.GetServer(), s.URL)
	}
	good := must[[]byte](t)(h.Login(h.Admin, c.GetServer(), c.GetNonce()))
	try(t, h.answer(t, good))
	wantCode(t, h.answer(t, good), connect.CodeUnauthenticated) // replay
	for name, note := range map[string][]byte{
		"another server": must[[]byte](t)(h.Login(h.Admin, "https://evil.example", h.challenge(t, h.Admin).GetNonce())),
		"made-up nonce":  must[[]byte](t)(h.Login(h.Admin, s.URL, make([]byte, 16))),
		"stranger's key": must[[]byte](t)(h.Login(h.Rand.Key(), s.URL, h.challenge(t, h.Admin).GetNonce())),
		"other house":    must[[]byte](t)(other.Login(h.Admin, s.URL, other.challenge(t, h.Admin).GetNonce())),
		"crossed":        must[[]byte](t)(h.Login(h.Admin, s.URL, other.challenge(t, other.Admin).GetNonce())),
	} {
		if err := h.answer(t, note); connect.CodeOf(err) != connect.CodeUnauthenticated || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	tampered := bytes.Replace(must[[]byte](t)(h.Login(h.Admin, s.URL, h.challenge(t, h.Admin).GetNonce())), []byte("time "), []byte("time 1"), 1)
	if h.answer(t, tampered) == nil {
		t.Error("a tampered note signs in")
	}
	recovered := login(t, s.URL, h.Home, h.Recovery)
	who := must[*connect.Response[v1.WhoAmIResponse]](t)(newAPI(s.URL, recovered).account.WhoAmI(t.Context(), connect.NewRequest(&v1.WhoAmIRequest{})))
	if kid := h.Admin.Kid(); !bytes.Equal(who.Msg.GetKid(), kid[:]) || who.Msg.GetKind() != "member" {
		t.Errorf("the recovery code signs in %v", who.Msg)
	}
}

// TestUnknownRecovery: a made-up recovery id gets an answer like a real one,
// always the same.
func TestUnknownRecovery(t *testing.T) {
	s := startServer(t, cloud.Config{})
	ask := func(b byte) *v1.ChallengeResponse {
		return must[*connect.Response[v1.ChallengeResponse]](t)(newAPI(s.URL, "").account.Challenge(t.Context(),
			connect.NewRequest(&v1.ChallengeRequest{Who: &v1.ChallengeRequest_RecoveryId{RecoveryId: bytes.Repeat([]byte{b}, 16)}}))).Msg
	}
	a, again, b := ask(1), ask(1), ask(2)
	if len(a.GetHousehold()) != 16 || !bytes.Equal(a.GetHousehold(), again.GetHousehold()) || bytes.Equal(a.GetHousehold(), b.GetHousehold()) {
		t.Error("unknown recovery ids can be told from known ones")
	}
}

func TestCreateHousehold(t *testing.T) {
	s := startServer(t, cloud.Config{})
	h := found(t, s.URL, 1, 1)
	fresh := must[*hometest.Home](t)(hometest.New(50))
	vault, wrap, recovery := fresh.Vault(1)
	from := device(fresh.Founder.Device)
	passkeys := append(bytes.Clone(wrap[:4]), append([]byte{1, 7}, wrap[6:]...)...)
	for name, m := range map[string]*v1.CreateHouseholdRequest{
		"known genesis":      {Genesis: h.Chain[0], LogTagKey: h.LogTagKey[:], Vault: must3(h.Vault(1)), Wraps: [][]byte{wrap}, RecoveryId: bytes.Repeat([]byte{1}, 16), Device: from},
		"no recovery wrap":   {Genesis: fresh.Chain[0], LogTagKey: fresh.LogTagKey[:], Vault: vault, Wraps: [][]byte{passkeys}, RecoveryId: recovery, Device: from},
		"an unknown passkey": {Genesis: fresh.Chain[0], LogTagKey: fresh.LogTagKey[:], Vault: vault, Wraps: [][]byte{wrap, passkeys}, RecoveryId: recovery, Device: from},
		"another's vault":    {Genesis: fresh.Chain[0], LogTagKey: fresh.LogTagKey[:], Vault: must3(h.Vault(1)), Wraps: [][]byte{wrap}, RecoveryId: recovery, Device: from},
		"not a genesis":      {Genesis: h.Chain[1], Vault: vault, Wraps: [][]byte{wrap}, RecoveryId: recovery, Device: from},
		"no recovery id":     {Genesis: fresh.Chain[0], LogTagKey: fresh.LogTagKey[:], Vault: vault, Wraps: [][]byte{wrap}, Device: from},
		"no device":          {Genesis: fresh.Chain[0], LogTagKey: fresh.LogTagKey[:], Vault: vault, Wraps: [][]byte{wrap}, RecoveryId: recovery},
		"another's label":    {Genesis: fresh.Chain[0], LogTagKey: fresh.LogTagKey[:], Vault: vault, Wraps: [][]byte{wrap}, RecoveryId: recovery, Device: &v1.Device{Id: from.GetId(), Label: h.Founder.Letter()}},
		"no log tag key":     {Genesis: fresh.Chain[0], Vault: vault, Wraps: [][]byte{wrap}, RecoveryId: recovery, Device: from},
		"another tag key":    {Genesis: fresh.Chain[0], LogTagKey: h.LogTagKey[:], Vault: vault, Wraps: [][]byte{wrap}, RecoveryId: recovery, Device: from},
		"nothing":            {},
	} {
		if res, err := newAPI(s.URL, "").account.CreateHousehold(t.Context(), connect.NewRequest(m)); err == nil {
			t.Errorf("%s: token %q", name, res.Msg.GetToken())
		}
	}
}

// TestLogTagKey: the household's members and hubs have it, and only theirs.
func TestLogTagKey(t *testing.T) {
	s := startServer(t, cloud.Config{})
	a, b := found(t, s.URL, 1, 1), found(t, s.URL, 2, 1)
	for _, h := range []*house{a, b} {
		got := must[*connect.Response[v1.GetLogTagKeyResponse]](t)(h.admin.chain.GetLogTagKey(t.Context(), connect.NewRequest(&v1.GetLogTagKeyRequest{})))
		if !bytes.Equal(got.Msg.GetKey(), h.LogTagKey[:]) {
			t.Errorf("got %x", got.Msg.GetKey())
		}
	}
}

func must3(vault, _, _ []byte) []byte { return vault }

func TestVault(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	get := func() *v1.GetVaultResponse {
		return must[*connect.Response[v1.GetVaultResponse]](t)(h.admin.account.GetVault(t.Context(), connect.NewRequest(&v1.GetVaultRequest{}))).Msg
	}
	if v := get(); v.GetVersion() != 1 || len(v.GetWraps()) != 1 {
		t.Fatalf("%v", v)
	}
	v2, _, _ := h.Vault(2)
	_, err := h.admin.account.PutVault(t.Context(), connect.NewRequest(&v1.PutVaultRequest{Vault: v2, ExpectedVersion: 1}))
	try(t, err)
	_, err = h.admin.account.PutVault(t.Context(), connect.NewRequest(&v1.PutVaultRequest{Vault: v2, ExpectedVersion: 1}))
	wantCode(t, err, connect.CodeAborted)
	old, _, _ := h.Vault(1)
	_, err = h.admin.account.PutVault(t.Context(), connect.NewRequest(&v1.PutVaultRequest{Vault: old, ExpectedVersion: 2}))
	wantCode(t, err, connect.CodeInvalidArgument)
	if v := get(); v.GetVersion() != 2 || !bytes.Equal(v.GetVault(), v2) || len(v.GetWraps()) != 1 {
		t.Fatalf("%v", v)
	}
}

// TestCookies: a cookie cannot be read by script, and moves nothing without
// our own Origin.
func TestCookies(t *testing.T) {
	s := startServer(t, cloud.Config{})
	h := found(t, s.URL, 1, 1)
	c := h.challenge(t, h.Admin)
	note := must[[]byte](t)(h.Login(h.Admin, c.GetServer(), c.GetNonce()))
	res := must[*connect.Response[v1.LoginResponse]](t)(newAPI(s.URL, "").account.Login(t.Context(), connect.NewRequest(&v1.LoginRequest{Note: note, Cookie: true, Device: device(h.Founder.Device)})))
	cookie := must[*http.Cookie](t)(http.ParseSetCookie(res.Header().Get("Set-Cookie")))
	if res.Msg.GetToken() != "" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Secure {
		t.Fatalf("token %q, cookie %v", res.Msg.GetToken(), cookie)
	}
	call := func(origin string) int {
		req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/latchkey.v1.AccountService/WhoAmI", strings.NewReader("{}")))
		req.Header.Set("Content-Type", "application/json")
		req.AddCookie(cookie)
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		res := must[*http.Response](t)(http.DefaultClient.Do(req))
		res.Body.Close()
		return res.StatusCode
	}
	for origin, want := range map[string]int{s.URL: 200, "": 403, "https://evil.example": 403, "null": 403, s.URL + ".evil.example": 403} {
		if got := call(origin); got != want {
			t.Errorf("origin %q: status %d, want %d", origin, got, want)
		}
	}
	for origin, want := range map[string]int{s.URL: 101, "": 403, "https://evil.example": 403} {
		hdr := http.Header{"Cookie": {cookie.Name + "=" + cookie.Value}}
		if origin != "" {
			hdr.Set("Origin", origin)
		}
		ws, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http")+"/v1/live", hdr)
		if err == nil {
			ws.Close()
		}
		if res.StatusCode != want {
			t.Errorf("socket with origin %q: status %d, want %d", origin, res.StatusCode, want)
		}
	}
}

// ends waits until a socket is closed by the server.
func ends(t *testing.T, ws *websocket.Conn) {
	t.Helper()
	try(t, ws.SetReadDeadline(time.Now().Add(20*time.Second)))
	for {
		if _, _, err := ws.ReadMessage(); err != nil {
			if strings.Contains(err.Error(), "timeout") {
				t.Fatal("the socket stays open")
			}
			return
		}
	}
}

// TestLogout ends the session at once, its sockets included.
func TestLogout(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	w := h.watch(t, h.tracks[0])
	w.next(t)
	_, err := h.admin.account.Logout(t.Context(), connect.NewRequest(&v1.LogoutRequest{}))
	try(t, err)
	ends(t, w.ws)
	_, err = h.admin.account.WhoAmI(t.Context(), connect.NewRequest(&v1.WhoAmIRequest{}))
	wantCode(t, err, connect.CodeUnauthenticated)
}

// TestRemovedHub is IRT-61 for hubs: removal ends its socket and its session.
func TestRemovedHub(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	token := login(t, h.url, h.Home, h.hub.Key)
	u := must[*uplink](t)(h.tryDial(t.Context(), token))
	u.wait(t, "have", func() bool { return u.have != nil })
	h.append(t, must[[]byte](t)(h.RemoveHub(h.hub)))
	u.wait(t, "end", func() bool { return u.closed })
	if _, err := h.tryDial(t.Context(), token); err == nil {
		t.Error("a removed hub connects")
	}
	c := h.challenge(t, h.hub.Key)
	if h.answer(t, must[[]byte](t)(h.Login(h.hub.Key, c.GetServer(), c.GetNonce()))) == nil {
		t.Error("a removed hub signs in")
	}
}

// TestHouseholds is the matrix of IRT-28 with real objects: whatever belongs to
// A is not found with B's session, and a hub's session reads nothing.
func TestHouseholds(t *testing.T) {
	s := startServer(t, cloud.Config{})
	a, b := found(t, s.URL, 1, 1), found(t, s.URL, 2, 1)
	u := a.dial(t)
	e := a.epoch(t, time.Now().Add(-time.Minute))
	u.announce(t, e)
	parts := film(e, a.tracks[0], 0, 10, 5, 5, 500)
	try(t, u.raw(0x01, parts...))
	u.wait(t, "receipt", func() bool { return u.receipted(a.tracks[0], 9, storedLevel) })
	track, id := a.tracks[0], e.ID
	for _, query := range []string{"from=0", "epoch=" + id.String() + "&seq=0"} {
		path := "/v1/footage/" + track.String() + "?" + query
		if res, body := a.admin.get(t, path); res.StatusCode != 200 || !bytes.Equal(body, bytes.Join(parts, nil)) {
			t.Errorf("%s: the owner got status %d, %d bytes", query, res.StatusCode, len(body))
		}
		if res, _ := b.admin.get(t, path); res.StatusCode != 404 {
			t.Errorf("%s: B got status %d", query, res.StatusCode)
		}
		own := "/v1/footage/" + b.tracks[0].String() + "?" + query
		if res, body := b.admin.get(t, own); len(body) > 0 && bytes.Contains(body, parts[0][:64]) {
			t.Errorf("%s: through his own track B got status %d, %d bytes", query, res.StatusCode, len(body))
		}
	}
	_, err := b.admin.footage.Timeline(t.Context(), connect.NewRequest(&v1.TimelineRequest{Track: track[:], From: 0, To: 1 << 31}))
	wantCode(t, err, connect.CodeNotFound)
	_, err = b.admin.footage.GetEpochs(t.Context(), connect.NewRequest(&v1.GetEpochsRequest{Epochs: [][]byte{id[:]}}))
	wantCode(t, err, connect.CodeNotFound)
	kid := a.hub.Key.Kid()
	_, err = b.admin.hubs.SendCommand(t.Context(), connect.NewRequest(&v1.SendCommandRequest{Hub: kid[:], Sealed: []byte("x")}))
	wantCode(t, err, connect.CodeNotFound)
	list := must[*connect.Response[v1.ListEpochsResponse]](t)(b.admin.footage.ListEpochs(t.Context(), connect.NewRequest(&v1.ListEpochsRequest{To: 1 << 31})))
	if len(list.Msg.GetEpochs()) != 0 {
		t.Error("B sees epochs of A")
	}
	w := b.watch(t, track)
	for says := map[string]any{}; says["op"] != "error"; {
		if _, says = w.next(t); says == nil {
			t.Fatal("B watches A")
		}
	}
	// IRT-40: a hub writes its own parts and reads nothing.
	hub := newAPI(s.URL, login(t, s.URL, a.Home, a.hub.Key))
	_, err = hub.footage.Timeline(t.Context(), connect.NewRequest(&v1.TimelineRequest{Track: track[:], From: 0, To: 1 << 31}))
	wantCode(t, err, connect.CodePermissionDenied)
	if res, _ := hub.get(t, "/v1/footage/"+track.String()+"?from=0"); res.StatusCode != 403 {
		t.Errorf("a hub reads footage: status %d", res.StatusCode)
	}
	if _, err := a.tryDial(t.Context(), a.admin.token); err == nil {
		t.Error("a member opens an uplink")
	}
}

func TestMail(t *testing.T) {
	a := newAPI(startServer(t, cloud.Config{Limits: cloud.Limits{CallsPerSecond: 1e6, CallBurst: 1e6, MailBoxes: 3}}).URL, "")
	at := func(b byte) []byte { return bytes.Repeat([]byte{b}, 16) }
	put := func(b byte, slot v1.MailSlot, body string) error {
		_, err := a.pairing.PutMail(t.Context(), connect.NewRequest(&v1.PutMailRequest{Rendezvous: at(b), Slot: slot, Body: []byte(body)}))
		return err
	}
	get := func(b byte, slot v1.MailSlot, wait uint32) (string, error) {
		res, err := a.pairing.GetMail(t.Context(), connect.NewRequest(&v1.GetMailRequest{Rendezvous: at(b), Slot: slot, WaitSeconds: wait}))
		if err != nil {
			return "", err
		}
		return string(res.Msg.GetBody()), nil
	}
	offer, answer := v1.MailSlot_MAIL_SLOT_OFFER, v1.MailSlot_MAIL_SLOT_ANSWER
	_, err := get(1, offer, 0)
	wantCode(t, err, connect.CodeNotFound)
	try(t, put(1, offer, "hello"))
	try(t, put(1, offer, "hello")) // the same again: its sender heard no answer
	if body, err := get(1, offer, 0); err != nil || body != "hello" {
		t.Fatal(body, err)
	}
	waited := make(chan string)
	go func() {
		body, err := get(1, answer, 20)
		waited <- body + errText(err)
	}()
	try(t, put(1, answer, "welcome"))
	if got := <-waited; got != "welcome" {
		t.Fatal(got)
	}
	try(t, put(1, answer, "welcome"))
	wantCode(t, put(1, answer, "another"), connect.CodeAborted)
	_, err = a.pairing.GetMail(t.Context(), connect.NewRequest(&v1.GetMailRequest{Rendezvous: at(1), Slot: answer, Index: 1}))
	wantCode(t, err, connect.CodeInvalidArgument)
	wantCode(t, put(2, offer, strings.Repeat("x", 4097)), connect.CodeInvalidArgument)
	try(t, put(2, offer, "x"))
	try(t, put(3, offer, "x"))
	wantCode(t, put(4, offer, "x"), connect.CodeResourceExhausted)
}

// TestTenOffers: a box takes ten different offers, so that who knows the
// rendezvous and not the code does not keep the right one out; no more.
func TestTenOffers(t *testing.T) {
	a := newAPI(startServer(t, cloud.Config{}).URL, "")
	box := bytes.Repeat([]byte{9}, 16)
	put := func(body string) error {
		_, err := a.pairing.PutMail(t.Context(), connect.NewRequest(&v1.PutMailRequest{Rendezvous: box, Slot: v1.MailSlot_MAIL_SLOT_OFFER, Body: []byte(body)}))
		return err
	}
	get := func(index, wait uint32) (string, error) {
		res, err := a.pairing.GetMail(t.Context(), connect.NewRequest(&v1.GetMailRequest{Rendezvous: box, Slot: v1.MailSlot_MAIL_SLOT_OFFER, Index: index, WaitSeconds: wait}))
		if err != nil {
			return "", err
		}
		return string(res.Msg.GetBody()), nil
	}
	waited := make(chan string)
	go func() {
		body, err := get(9, 20)
		waited <- body + errText(err)
	}()
	for i := range 10 {
		try(t, put(strings.Repeat("x", i+1)))
		try(t, put("x"))
	}
	if got := <-waited; got != strings.Repeat("x", 10) {
		t.Error(got)
	}
	wantCode(t, put("the eleventh"), connect.CodeAborted)
	for i := range uint32(10) {
		if body, err := get(i, 0); err != nil || len(body) != int(i)+1 {
			t.Errorf("offer %d: %q, %v", i, body, err)
		}
	}
	_, err := get(10, 0)
	wantCode(t, err, connect.CodeInvalidArgument)
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestRates: sign-ins are few, calls many, and an address is told to wait.
func TestRates(t *testing.T) {
	a := newAPI(startServer(t, cloud.Config{Limits: cloud.Limits{SignInsPerMinute: 1, SignInBurst: 5, CallsPerSecond: 1, CallBurst: 40}}).URL, "")
	tries := 0
	for ; tries < 100; tries++ {
		_, err := a.account.Login(t.Context(), connect.NewRequest(&v1.LoginRequest{Note: []byte("x")}))
		if connect.CodeOf(err) == connect.CodeResourceExhausted {
			break
		}
	}
	if tries < 5 || tries > 8 {
		t.Errorf("%d sign-ins passed", tries)
	}
	var limited error
	for range 100 {
		_, err := a.account.WhoAmI(t.Context(), connect.NewRequest(&v1.WhoAmIRequest{}))
		if connect.CodeOf(err) == connect.CodeResourceExhausted {
			limited = errors.Join(limited, err)
		}
	}
	if limited == nil {
		t.Error("calls are not limited")
	}
	if res, _ := a.get(t, "/healthz"); res.StatusCode != 200 {
		t.Errorf("health is limited: %d", res.StatusCode)
	}
}
