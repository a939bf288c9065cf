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

	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
)

// reason is the header that tells a client what to do about an error.
func reason(err error) string {
	var ce *connect.Error
	if errors.As(err, &ce) {
		return ce.Meta().Get("Latchkey-Reason")
	}
	return ""
}

func wantReason(t *testing.T, err error, code connect.Code, why string) {
	t.Helper()
	if connect.CodeOf(err) != code || err == nil || reason(err) != why {
		t.Fatalf("got %v with reason %q, want %v with %q", err, reason(err), code, why)
	}
}

// whoAmI asks with a session.
func (a *api) whoAmI(t *testing.T) error {
	t.Helper()
	_, err := a.account.WhoAmI(t.Context(), connect.NewRequest(&v1.WhoAmIRequest{}))
	return err
}

func (a *api) devices(t *testing.T) []*v1.DeviceInfo {
	t.Helper()
	return must[*connect.Response[v1.ListDevicesResponse]](t)(a.account.ListDevices(t.Context(), connect.NewRequest(&v1.ListDevicesRequest{}))).Msg.GetDevices()
}

// join signs a member in and gives him a device, a session and a vault.
func (h *house) join(t *testing.T, r hometest.Rights) (*hometest.Person, *api) {
	t.Helper()
	p, raw, err := h.AddMember(r)
	try(t, err)
	h.append(t, raw)
	a := newAPI(h.url, signIn(t, h.url, p, p.Key))
	try(t, a.putVault(t, p, 1, 0))
	return p, a
}

// putVault stores a member's vault with its wraps if it is the first one.
func (a *api) putVault(t *testing.T, p *hometest.Person, version, expected uint32) error {
	t.Helper()
	vault, wrap, recovery := p.Vault(version)
	m := &v1.PutVaultRequest{Vault: vault, ExpectedVersion: expected}
	if expected == 0 {
		m.Wraps, m.RecoveryId = [][]byte{wrap}, recovery
	}
	_, err := a.account.PutVault(t.Context(), connect.NewRequest(m))
	return err
}

// TestDevices: a copied vault signs nobody in; a device does, until its owner
// ends it, and is told so.
func TestDevices(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	mine := h.Founder.Device
	for name, d := range map[string]*v1.Device{
		"a copied vault":       device(h.Rand.Device()),
		"a known id":           {Id: mine.ID[:]},
		"a guessed secret":     {Id: mine.ID[:], Secret: h.Rand.Bytes(32)},
		"a secret of a new id": device(hometest.Device{ID: h.Rand.ID(), Secret: mine.Secret}),
	} {
		_, err := tryLogin(t, h.url, h.Home, h.Admin, d, false)
		if reason(err) != "device-unknown" || connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("%s: %v, %q", name, err, reason(err))
		}
	}
	for name, d := range map[string]*v1.Device{
		"none": nil, "no id": {}, "half a secret": {Id: mine.ID[:], Secret: mine.Secret[:16]},
		"a label in clear": {Id: mine.ID[:], Secret: mine.Secret, Label: []byte("Ann's phone")},
		"a large label":    {Id: mine.ID[:], Secret: mine.Secret, Label: append(h.Founder.Letter(), make([]byte, 2048)...)},
	} {
		if _, err := tryLogin(t, h.url, h.Home, h.Admin, d, false); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	label := h.Founder.Letter()
	res, err := tryLogin(t, h.url, h.Home, h.Admin, &v1.Device{Id: mine.ID[:], Secret: mine.Secret, Label: label}, false)
	if err != nil || len(res.GetDeviceSecret()) != 0 {
		t.Fatalf("a known device: %v, %d bytes of secret", err, len(res.GetDeviceSecret()))
	}
	// The recovery code brings a second device.
	second := h.Rand.Device()
	res, err = tryLogin(t, h.url, h.Home, h.Recovery, device(second), false)
	try(t, err)
	second.Secret = res.GetDeviceSecret()
	b := newAPI(h.url, res.GetToken())
	list := b.devices(t)
	if len(list) != 2 || !bytes.Equal(list[0].GetId(), second.ID[:]) || !list[0].GetCurrent() || list[0].GetEnrolledBy() != "recovery" ||
		list[1].GetEnrolledBy() != "founding" || !bytes.Equal(list[1].GetLabel(), label) || list[1].GetCurrent() || list[1].GetSeenMs() == 0 {
		t.Fatalf("%v", list)
	}
	ws := h.watchAs(t, b)
	online := func() bool { return h.admin.devices(t)[0].GetOnline() || h.admin.devices(t)[1].GetOnline() }
	if !online() {
		t.Error("a device with an open socket is not online")
	}
	_, err = h.admin.account.EndDevice(t.Context(), connect.NewRequest(&v1.EndDeviceRequest{Id: second.ID[:]}))
	try(t, err)
	ends(t, ws.ws)
	wantReason(t, b.whoAmI(t), connect.CodeUnauthenticated, "device-ended")
	if res, _ := b.get(t, "/v1/footage/"+h.tracks[0].String()+"?from=0"); res.StatusCode != 401 || res.Header.Get("Latchkey-Reason") != "device-ended" {
		t.Errorf("footage: status %d, reason %q", res.StatusCode, res.Header.Get("Latchkey-Reason"))
	}
	_, hs, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(h.url, "http")+"/v1/live", http.Header{"Authorization": {"Bearer " + b.token}})
	if err == nil || hs.Header.Get("Latchkey-Reason") != "device-ended" {
		t.Errorf("live: %v", err)
	}
	_, err = tryLogin(t, h.url, h.Home, h.Admin, device(second), false)
	wantReason(t, err, connect.CodeUnauthenticated, "device-ended")
	_, err = tryLogin(t, h.url, h.Home, h.Admin, &v1.Device{Id: second.ID[:], Secret: h.Rand.Bytes(32)}, false)
	wantReason(t, err, connect.CodeUnauthenticated, "device-unknown")
	_, err = h.admin.account.EndDevice(t.Context(), connect.NewRequest(&v1.EndDeviceRequest{Id: second.ID[:]}))
	wantCode(t, err, connect.CodeNotFound)
	try(t, h.admin.whoAmI(t))
	if list := h.admin.devices(t); len(list) != 1 || list[0].GetOnline() {
		t.Errorf("%v", list)
	}
	// All devices ended: only the recovery code signs in.
	_, err = h.admin.account.EndDevice(t.Context(), connect.NewRequest(&v1.EndDeviceRequest{Id: mine.ID[:]}))
	try(t, err)
	wantReason(t, h.admin.whoAmI(t), connect.CodeUnauthenticated, "device-ended")
	_, err = tryLogin(t, h.url, h.Home, h.Admin, device(h.Rand.Device()), false)
	wantReason(t, err, connect.CodeUnauthenticated, "device-unknown")
	_, err = tryLogin(t, h.url, h.Home, h.Recovery, device(mine), false) // comes back as a new device
	try(t, err)
}

// TestEndOtherDevices leaves the caller's, whatever sessions it has.
func TestEndOtherDevices(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	again := newAPI(h.url, login(t, h.url, h.Home, h.Admin)) // the same device, another session
	var others []*api
	for range 3 {
		res, err := tryLogin(t, h.url, h.Home, h.Recovery, device(h.Rand.Device()), false)
		try(t, err)
		others = append(others, newAPI(h.url, res.GetToken()))
		try(t, others[len(others)-1].whoAmI(t))
	}
	res := must[*connect.Response[v1.EndOtherDevicesResponse]](t)(h.admin.account.EndOtherDevices(t.Context(), connect.NewRequest(&v1.EndOtherDevicesRequest{})))
	if res.Msg.GetEnded() != 3 {
		t.Errorf("%d ended", res.Msg.GetEnded())
	}
	for _, o := range others {
		wantReason(t, o.whoAmI(t), connect.CodeUnauthenticated, "device-ended")
	}
	try(t, h.admin.whoAmI(t))
	try(t, again.whoAmI(t))
}

// TestFirstDevice: who has joined enrols one device by his own key, and no
// second one; his vault begins at version 0.
func TestFirstDevice(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	p, raw, err := h.AddMember(hometest.Rights{Role: chain.RoleMember})
	try(t, err)
	_, err = trySignIn(t, h.url, p, p.Key)
	wantCode(t, err, connect.CodeUnauthenticated) // not yet
	h.append(t, raw)
	a := newAPI(h.url, signIn(t, h.url, p, p.Key))
	if list := a.devices(t); len(list) != 1 || list[0].GetEnrolledBy() != "joining" {
		t.Errorf("%v", list)
	}
	_, err = tryLogin(t, h.url, h.Home, p.Key, device(h.Rand.Device()), false)
	wantReason(t, err, connect.CodeUnauthenticated, "device-unknown")
	_, err = a.account.GetVault(t.Context(), connect.NewRequest(&v1.GetVaultRequest{}))
	wantCode(t, err, connect.CodeNotFound)
	vault, wrap, recovery := p.Vault(1)
	for name, m := range map[string]*v1.PutVaultRequest{
		"no wraps":       {Vault: vault, RecoveryId: recovery},
		"no recovery id": {Vault: vault, Wraps: [][]byte{wrap}},
		"another's":      {Vault: must3(h.Vault(1)), Wraps: [][]byte{wrap}, RecoveryId: recovery},
	} {
		if _, err := a.account.PutVault(t.Context(), connect.NewRequest(m)); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantCode(t, a.putVault(t, p, 4, 3), connect.CodeNotFound)
	try(t, a.putVault(t, p, 1, 0))
	wantCode(t, a.putVault(t, p, 1, 0), connect.CodeAborted)
	try(t, a.putVault(t, p, 2, 1))
	_, err = a.account.PutVault(t.Context(), connect.NewRequest(&v1.PutVaultRequest{Vault: must3(p.Vault(3)), ExpectedVersion: 2, RecoveryId: h.Rand.Bytes(16)}))
	wantCode(t, err, connect.CodePermissionDenied) // the id of a code whose key is not in the chain
}

// TestIRT61RemovedMember: removal ends sessions and sockets at once, whatever
// the removed holds, and leaves nothing of his behind.
func TestIRT61RemovedMember(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	p, a := h.join(t, hometest.Rights{Role: chain.RoleAdmin})
	_, other := h.join(t, hometest.Rights{Role: chain.RoleMember})
	res, err := tryLogin(t, h.url, h.Home, p.Recovery, device(h.Rand.Device()), false)
	try(t, err)
	b := newAPI(h.url, res.GetToken())
	sockets := []*watcher{h.watchAs(t, a, h.tracks[0]), h.watchAs(t, b)}
	raw := must[[]byte](t)(h.RemoveMember(p))
	began := time.Now()
	h.append(t, raw)
	for _, w := range sockets {
		ends(t, w.ws)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("the sockets lived %s", d)
	}
	for _, one := range []*api{a, b} {
		wantCode(t, one.whoAmI(t), connect.CodeUnauthenticated)
		if res, _ := one.get(t, "/v1/footage/"+h.tracks[0].String()+"?from=0"); res.StatusCode != 401 {
			t.Errorf("footage: status %d", res.StatusCode)
		}
	}
	for _, k := range []hometest.Key{p.Key, p.Recovery} {
		_, err := trySignIn(t, h.url, p, k)
		wantCode(t, err, connect.CodeUnauthenticated)
	}
	try(t, other.whoAmI(t))
}

// watchAs opens a live socket with a session.
func (h *house) watchAs(t *testing.T, a *api, tracks ...interface{ String() string }) *watcher {
	t.Helper()
	ws, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(a.url, "http")+"/v1/live", http.Header{"Authorization": {"Bearer " + a.token}})
	try(t, err)
	t.Cleanup(func() { ws.Close() })
	w := &watcher{ws: ws}
	w.next(t) // whether a hub is there: the server knows the socket
	for _, id := range tracks {
		try(t, ws.WriteJSON(map[string]any{"op": "watch", "track": id.String()}))
	}
	return w
}

// TestRekey: statement, vault, wraps, recovery id and devices change together.
func TestRekey(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	p, a := h.join(t, hometest.Rights{Role: chain.RoleMember})
	lost := h.Rand.Device()
	res, err := tryLogin(t, h.url, h.Home, p.Recovery, device(lost), false)
	try(t, err)
	lost.Secret = res.GetDeviceSecret()
	phone := newAPI(h.url, res.GetToken())
	try(t, phone.whoAmI(t))
	was := *p
	statement := must[[]byte](t)(p.Rekey(hometest.Rekey{Ed: true, X: true, Recovery: true}))
	vault, wrap, recovery := p.Vault(2)
	old, _, _ := was.Vault(2)
	good := &v1.PutVaultRequest{Vault: vault, ExpectedVersion: 1, Wraps: [][]byte{wrap}, RecoveryId: recovery}
	put := func(by *api, v *v1.PutVaultRequest) error {
		_, err := by.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: statement, Vault: v}))
		return err
	}
	for name, v := range map[string]*v1.PutVaultRequest{
		"no vault":            nil,
		"no recovery wrap":    {Vault: vault, ExpectedVersion: 1, RecoveryId: recovery},
		"no recovery id":      {Vault: vault, ExpectedVersion: 1, Wraps: [][]byte{wrap}},
		"of the old key":      {Vault: old, ExpectedVersion: 1, Wraps: [][]byte{wrap}, RecoveryId: recovery},
		"an older version":    {Vault: vault, ExpectedVersion: 2, Wraps: [][]byte{wrap}, RecoveryId: recovery},
		"an unknown passkey":  {Vault: vault, ExpectedVersion: 1, Wraps: [][]byte{wrap, h.Rand.PasskeyWrap([]byte("x"))}, RecoveryId: recovery},
		"only a passkey wrap": {Vault: vault, ExpectedVersion: 1, Wraps: [][]byte{h.Rand.PasskeyWrap([]byte("x"))}, RecoveryId: recovery},
	} {
		if code := connect.CodeOf(put(a, v)); code != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, code)
		}
	}
	wantCode(t, put(h.admin, good), connect.CodePermissionDenied) // another member's session
	wantCode(t, put(a, &v1.PutVaultRequest{Vault: must3(p.Vault(9)), ExpectedVersion: 8, Wraps: [][]byte{wrap}, RecoveryId: recovery}), connect.CodeAborted)
	try(t, put(a, good))
	// The session goes on under the new key; the lost phone's does not.
	who := must[*connect.Response[v1.WhoAmIResponse]](t)(a.account.WhoAmI(t.Context(), connect.NewRequest(&v1.WhoAmIRequest{})))
	if kid := p.Kid(); !bytes.Equal(who.Msg.GetKid(), kid[:]) {
		t.Errorf("signed in as %x", who.Msg.GetKid())
	}
	got := must[*connect.Response[v1.GetVaultResponse]](t)(a.account.GetVault(t.Context(), connect.NewRequest(&v1.GetVaultRequest{})))
	if got.Msg.GetVersion() != 2 || !bytes.Equal(got.Msg.GetVault(), vault) || len(got.Msg.GetWraps()) != 1 {
		t.Errorf("%v", got.Msg)
	}
	wantReason(t, phone.whoAmI(t), connect.CodeUnauthenticated, "device-ended")
	_, err = tryLogin(t, h.url, h.Home, was.Key, device(lost), false)
	wantReason(t, err, connect.CodeUnauthenticated, "device-ended")
	for name, k := range map[string]hometest.Key{"old key": was.Key, "old code": was.Recovery} {
		if _, err := tryLogin(t, h.url, h.Home, k, device(was.Device), false); connect.CodeOf(err) != connect.CodeUnauthenticated || reason(err) != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := trySignIn(t, h.url, p, p.Key); err != nil { // the device knows its secret
		t.Errorf("the device that asked: %v", err)
	}
	if list := a.devices(t); len(list) != 1 || list[0].GetEnrolledBy() != "rekey" || !list[0].GetCurrent() {
		t.Errorf("%v", list)
	}
	challenge := must[*connect.Response[v1.ChallengeResponse]](t)(newAPI(h.url, "").account.Challenge(t.Context(),
		connect.NewRequest(&v1.ChallengeRequest{Who: &v1.ChallengeRequest_RecoveryId{RecoveryId: recovery}})))
	if id := h.ID(); !bytes.Equal(challenge.Msg.GetHousehold(), id[:]) {
		t.Error("the new recovery id finds nothing")
	}
	// A sealing key alone needs no vault; other statements bring none.
	raw := must[[]byte](t)(p.Rekey(hometest.Rekey{X: true}))
	_, err = a.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: raw}))
	try(t, err)
	_, raw, err = h.AddCamera(1)
	try(t, err)
	_, err = h.admin.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: raw, Vault: good}))
	wantCode(t, err, connect.CodeInvalidArgument)
}

// TestRekeyByRecovery: keys and vault lost, the code alone starts over.
func TestRekeyByRecovery(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	p, raw, err := h.AddMember(hometest.Rights{Role: chain.RoleMember})
	try(t, err)
	h.append(t, raw)
	a := newAPI(h.url, signIn(t, h.url, p, p.Recovery)) // he never stored a vault
	statement := must[[]byte](t)(p.Rekey(hometest.Rekey{Ed: true, X: true, Recovery: true, ByRecovery: true}))
	vault, wrap, recovery := p.Vault(1)
	_, err = a.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{
		Note: statement, Vault: &v1.PutVaultRequest{Vault: vault, Wraps: [][]byte{wrap}, RecoveryId: recovery},
	}))
	try(t, err)
	got := must[*connect.Response[v1.GetVaultResponse]](t)(a.account.GetVault(t.Context(), connect.NewRequest(&v1.GetVaultRequest{})))
	if !bytes.Equal(got.Msg.GetVault(), vault) {
		t.Error("another vault")
	}
}
