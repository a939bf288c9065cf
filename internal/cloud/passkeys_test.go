package cloud_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
)

// localhost is the server under the one name that has passkeys without TLS.
func localhost(s *testServer) string { return strings.Replace(s.URL, "127.0.0.1", "localhost", 1) }

// browser is an api whose session is a cookie.
func browser(url, token string) *api {
	a := newAPI(url, "")
	o := connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			r.Header().Set("Cookie", "latchkey="+token)
			r.Header().Set("Origin", url)
			return next(ctx, r)
		}
	}))
	c := http.DefaultClient
	a.token = token
	a.account = latchkeyv1connect.NewAccountServiceClient(c, url, o)
	a.chain = latchkeyv1connect.NewChainServiceClient(c, url, o)
	a.passkeys = latchkeyv1connect.NewPasskeyServiceClient(c, url, o)
	return a
}

// page signs a person in from a new browser by his recovery key.
func (h *house) page(t *testing.T, p *hometest.Person) (*api, hometest.Device) {
	t.Helper()
	d := h.Rand.Device()
	res, err := tryLogin(t, h.url, h.Home, p.Recovery, device(d), true)
	try(t, err)
	d.Secret = res.GetDeviceSecret()
	return browser(h.url, res.GetToken()), d
}

// touch brings a fresh assertion for a purpose.
func (a *api) touch(t *testing.T, key *hometest.Passkey, purpose latchkey.Hash) *v1.StepUp {
	t.Helper()
	res := must[*connect.Response[v1.BeginStepUpResponse]](t)(a.passkeys.BeginStepUp(t.Context(), connect.NewRequest(&v1.BeginStepUpRequest{Purpose: purpose[:]})))
	if len(res.Msg.GetTicket()) == 0 {
		t.Fatal("no step-up is asked for")
	}
	return &v1.StepUp{Ticket: res.Msg.GetTicket(), AssertionJson: must[string](t)(key.Get(res.Msg.GetOptionsJson()))}
}

// addPasskey registers a passkey; change edits the request.
func (a *api) addPasskey(t *testing.T, p *hometest.Person, key *hometest.Passkey, change func(*v1.AddPasskeyRequest)) error {
	t.Helper()
	res := must[*connect.Response[v1.BeginPasskeyResponse]](t)(a.passkeys.BeginPasskey(t.Context(), connect.NewRequest(&v1.BeginPasskeyRequest{})))
	m := &v1.AddPasskeyRequest{
		Ticket: res.Msg.GetTicket(), CredentialJson: must[string](t)(key.Create(res.Msg.GetOptionsJson())),
		Wrap: p.Home.Rand.PasskeyWrap(key.ID), Label: p.Letter(),
	}
	if change != nil {
		change(m)
	}
	_, err := a.passkeys.AddPasskey(t.Context(), connect.NewRequest(m))
	return err
}

func (a *api) listPasskeys(t *testing.T) []*v1.Passkey {
	t.Helper()
	return must[*connect.Response[v1.ListPasskeysResponse]](t)(a.passkeys.ListPasskeys(t.Context(), connect.NewRequest(&v1.ListPasskeysRequest{}))).Msg.GetPasskeys()
}

func (a *api) wraps(t *testing.T) int {
	t.Helper()
	return len(must[*connect.Response[v1.GetVaultResponse]](t)(a.account.GetVault(t.Context(), connect.NewRequest(&v1.GetVaultRequest{}))).Msg.GetWraps())
}

// finish signs in by a passkey; change edits the request.
func finish(t *testing.T, url string, key *hometest.Passkey, d hometest.Device, change func(*v1.FinishSignInRequest)) (*v1.FinishSignInResponse, error) {
	t.Helper()
	a := newAPI(url, "")
	res := must[*connect.Response[v1.BeginSignInResponse]](t)(a.passkeys.BeginSignIn(t.Context(), connect.NewRequest(&v1.BeginSignInRequest{})))
	m := &v1.FinishSignInRequest{Ticket: res.Msg.GetTicket(), AssertionJson: must[string](t)(key.Get(res.Msg.GetOptionsJson())), Device: device(d)}
	if change != nil {
		change(m)
	}
	in, err := a.passkeys.FinishSignIn(t.Context(), connect.NewRequest(m))
	if err != nil {
		return nil, err
	}
	return in.Msg, nil
}

// TestPasskey: registered with its wrap, it signs in without a name from a new
// device and gets the vault.
func TestPasskey(t *testing.T) {
	s := startServer(t, cloud.Config{})
	h := found(t, localhost(s), 1, 1)
	a, _ := h.page(t, h.Founder)
	key := must[*hometest.Passkey](t)(h.Rand.NewPasskey(h.url))
	begun := must[*connect.Response[v1.BeginPasskeyResponse]](t)(a.passkeys.BeginPasskey(t.Context(), connect.NewRequest(&v1.BeginPasskeyRequest{})))
	var o struct {
		User      struct{ ID, Name, DisplayName string }
		RP        struct{ ID string }
		Selection struct{ ResidentKey, UserVerification string } `json:"authenticatorSelection"`
	}
	try(t, json.Unmarshal([]byte(begun.Msg.GetOptionsJson()), &o))
	if o.User.Name != "" || o.User.DisplayName != "" || len(o.User.ID) != 43 || o.RP.ID != "localhost" || o.Selection.ResidentKey != "required" || o.Selection.UserVerification != "required" {
		t.Errorf("options %s", begun.Msg.GetOptionsJson())
	}
	try(t, a.addPasskey(t, h.Founder, key, nil))
	if list := a.listPasskeys(t); len(list) != 1 || !bytes.Equal(list[0].GetCredentialId(), key.ID) || list[0].GetCreatedMs() == 0 || len(list[0].GetLabel()) == 0 || a.wraps(t) != 2 {
		t.Fatalf("%v, %d wraps", list, a.wraps(t))
	}
	fresh := h.Rand.Device()
	in, err := finish(t, h.url, key, fresh, nil)
	try(t, err)
	kid, id := h.Founder.Kid(), h.ID()
	if !bytes.Equal(in.GetKid(), kid[:]) || !bytes.Equal(in.GetHousehold(), id[:]) || len(in.GetVault()) == 0 || len(in.GetWraps()) != 2 || in.GetVersion() != 1 || len(in.GetDeviceSecret()) != 32 {
		t.Fatalf("%v", in)
	}
	b := newAPI(h.url, in.GetToken())
	if list := b.devices(t); len(list) != 3 || list[0].GetEnrolledBy() != "passkey" || !list[0].GetCurrent() || len(list[0].GetLabel()) != 0 {
		t.Errorf("%v", list)
	}
	// Now that it has the keys, the device names itself.
	fresh.Secret = in.GetDeviceSecret()
	_, err = tryLogin(t, h.url, h.Home, h.Admin, &v1.Device{Id: fresh.ID[:], Secret: fresh.Secret, Label: h.Founder.Letter()}, false)
	try(t, err)
	if list := b.devices(t); len(list) != 3 || len(list[0].GetLabel()) == 0 {
		t.Errorf("%v", list)
	}
	if in, err = finish(t, h.url, key, fresh, nil); err != nil || len(in.GetDeviceSecret()) != 0 || len(b.devices(t)) != 3 {
		t.Errorf("the same device again: %v", err)
	}
}

// TestPasskeyRefusals: what registers nothing.
func TestPasskeyRefusals(t *testing.T) {
	s := startServer(t, cloud.Config{})
	h := found(t, localhost(s), 1, 1)
	p, other := h.join(t, hometest.Rights{Role: chain.RoleMember})
	a := h.admin
	key := must[*hometest.Passkey](t)(h.Rand.NewPasskey(h.url))
	elsewhere := must[*hometest.Passkey](t)(h.Rand.NewPasskey("https://evil.example"))
	unverified := must[*hometest.Passkey](t)(h.Rand.NewPasskey(h.url))
	unverified.Unverified = true
	for name, c := range map[string]struct {
		key    *hometest.Passkey
		change func(*v1.AddPasskeyRequest)
	}{
		"another origin":       {elsewhere, nil},
		"the user not checked": {unverified, nil},
		"another's wrap":       {key, func(m *v1.AddPasskeyRequest) { m.Wrap = h.Rand.PasskeyWrap([]byte("other")) }},
		"a recovery wrap":      {key, func(m *v1.AddPasskeyRequest) { _, m.Wrap, _ = h.Vault(1) }},
		"no wrap":              {key, func(m *v1.AddPasskeyRequest) { m.Wrap = nil }},
		"no label":             {key, func(m *v1.AddPasskeyRequest) { m.Label = nil }},
		"another's label":      {key, func(m *v1.AddPasskeyRequest) { m.Label = p.Letter() }},
		"not JSON":             {key, func(m *v1.AddPasskeyRequest) { m.CredentialJson = "x" }},
		"two objects":          {key, func(m *v1.AddPasskeyRequest) { m.CredentialJson += "{}" }},
		"a changed byte": {key, func(m *v1.AddPasskeyRequest) {
			m.CredentialJson = strings.Replace(m.CredentialJson, `"none`, `"nono`, 1)[1:]
		}},
	} {
		if err := a.addPasskey(t, h.Founder, c.key, c.change); err == nil {
			t.Errorf("%s: added", name)
		}
	}
	begun := must[*connect.Response[v1.BeginPasskeyResponse]](t)(a.passkeys.BeginPasskey(t.Context(), connect.NewRequest(&v1.BeginPasskeyRequest{})))
	credential := must[string](t)(key.Create(begun.Msg.GetOptionsJson()))
	foreign := &v1.AddPasskeyRequest{Ticket: begun.Msg.GetTicket(), CredentialJson: credential, Wrap: h.Rand.PasskeyWrap(key.ID), Label: p.Letter()}
	_, err := other.passkeys.AddPasskey(t.Context(), connect.NewRequest(foreign))
	wantCode(t, err, connect.CodePermissionDenied) // a ticket of another session
	foreign.Label = h.Founder.Letter()
	_, err = a.passkeys.AddPasskey(t.Context(), connect.NewRequest(foreign))
	wantCode(t, err, connect.CodePermissionDenied) // which is used up by that
	if list := a.listPasskeys(t); len(list) != 0 || a.wraps(t) != 1 {
		t.Errorf("%v, %d wraps", list, a.wraps(t))
	}
	// An address has no passkeys, and says so.
	ip := newAPI(s.URL, h.admin.token)
	_, err = ip.passkeys.BeginPasskey(t.Context(), connect.NewRequest(&v1.BeginPasskeyRequest{}))
	wantReason(t, err, connect.CodePermissionDenied, "no-passkeys")
	_, err = ip.passkeys.BeginSignIn(t.Context(), connect.NewRequest(&v1.BeginSignInRequest{}))
	wantReason(t, err, connect.CodePermissionDenied, "no-passkeys")
	if !strings.Contains(err.Error(), "need a name") {
		t.Error(err)
	}
}

// TestPasskeySignInRefusals: what signs nobody in.
func TestPasskeySignInRefusals(t *testing.T) {
	s := startServer(t, cloud.Config{})
	h := found(t, localhost(s), 1, 1)
	p, a := h.join(t, hometest.Rights{Role: chain.RoleMember})
	key := must[*hometest.Passkey](t)(h.Rand.NewPasskey(h.url))
	key.Count = 10 // a security key that counts
	try(t, a.addPasskey(t, p, key, nil))
	d := h.Rand.Device()
	refused := func(name string, key *hometest.Passkey, code connect.Code, change func(*v1.FinishSignInRequest)) {
		t.Helper()
		if _, err := finish(t, h.url, key, d, change); connect.CodeOf(err) != code {
			t.Errorf("%s: %v", name, err)
		}
	}
	stranger := must[*hometest.Passkey](t)(h.Rand.NewPasskey(h.url))
	_, err := stranger.Create(must[*connect.Response[v1.BeginPasskeyResponse]](t)(a.passkeys.BeginPasskey(t.Context(), connect.NewRequest(&v1.BeginPasskeyRequest{}))).Msg.GetOptionsJson())
	try(t, err)
	refused("never registered", stranger, connect.CodeUnauthenticated, nil)
	stranger.ID = key.ID
	refused("another key under its id", stranger, connect.CodeUnauthenticated, nil)
	for name, change := range map[string]func(*v1.FinishSignInRequest){
		"no ticket":        func(m *v1.FinishSignInRequest) { m.Ticket = nil },
		"no device":        func(m *v1.FinishSignInRequest) { m.Device = nil },
		"a label in clear": func(m *v1.FinishSignInRequest) { m.Device.Label = []byte("x") },
	} {
		refused(name, key, connect.CodeInvalidArgument, change)
	}
	refused("a made-up ticket", key, connect.CodeUnauthenticated, func(m *v1.FinishSignInRequest) { m.Ticket = h.Rand.Bytes(16) })
	refused("a registration's answer", key, connect.CodeUnauthenticated, func(m *v1.FinishSignInRequest) {
		m.AssertionJson = strings.Replace(m.AssertionJson, "webauthn.get", "webauthn.create", 1) + " "
		m.Ticket = must[*connect.Response[v1.BeginPasskeyResponse]](t)(a.passkeys.BeginPasskey(t.Context(), connect.NewRequest(&v1.BeginPasskeyRequest{}))).Msg.GetTicket()
	})
	var used *v1.FinishSignInRequest
	if _, err := finish(t, h.url, key, d, func(m *v1.FinishSignInRequest) { used = m }); err != nil {
		t.Fatal(err)
	}
	_, err = newAPI(h.url, "").passkeys.FinishSignIn(t.Context(), connect.NewRequest(used))
	wantCode(t, err, connect.CodeUnauthenticated) // a replay
	// A copy counts on its own: whichever comes second is found.
	clone := key.Copy()
	if _, err := finish(t, h.url, key, d, nil); err != nil {
		t.Fatal(err)
	}
	refused("a clone", clone, connect.CodePermissionDenied, nil)
	key.Unverified = true
	refused("the user not checked", key, connect.CodeUnauthenticated, nil)
	key.Unverified = false
	key.Origin = "https://evil.example"
	refused("at another origin", key, connect.CodeUnauthenticated, nil)
	key.Origin = h.url
	h.append(t, must[[]byte](t)(h.RemoveMember(p)))
	refused("of a removed member", key, connect.CodeUnauthenticated, nil)
}

// TestRemovePasskey: with its wrap; and a new set of wraps drops the passkeys
// that it leaves out.
func TestRemovePasskey(t *testing.T) {
	s := startServer(t, cloud.Config{})
	h := found(t, localhost(s), 1, 1)
	_, other := h.join(t, hometest.Rights{Role: chain.RoleMember})
	a := h.admin
	var keys []*hometest.Passkey
	for range 3 {
		key := must[*hometest.Passkey](t)(h.Rand.NewPasskey(h.url))
		try(t, a.addPasskey(t, h.Founder, key, nil))
		keys = append(keys, key)
	}
	remove := func(by *api, id []byte) error {
		_, err := by.passkeys.RemovePasskey(t.Context(), connect.NewRequest(&v1.RemovePasskeyRequest{CredentialId: id}))
		return err
	}
	wantCode(t, remove(other, keys[0].ID), connect.CodeNotFound)
	wantCode(t, remove(a, []byte("none")), connect.CodeNotFound)
	try(t, remove(a, keys[0].ID))
	if len(a.listPasskeys(t)) != 2 || a.wraps(t) != 3 {
		t.Errorf("%d passkeys, %d wraps", len(a.listPasskeys(t)), a.wraps(t))
	}
	_, err := finish(t, h.url, keys[0], h.Rand.Device(), nil)
	wantCode(t, err, connect.CodeUnauthenticated)
	vault, wrap, _ := h.Vault(2)
	_, err = a.account.PutVault(t.Context(), connect.NewRequest(&v1.PutVaultRequest{Vault: vault, ExpectedVersion: 1, Wraps: [][]byte{wrap, h.Rand.PasskeyWrap(keys[0].ID)}}))
	wantCode(t, err, connect.CodeInvalidArgument)
	_, err = a.account.PutVault(t.Context(), connect.NewRequest(&v1.PutVaultRequest{Vault: vault, ExpectedVersion: 1, Wraps: [][]byte{wrap, h.Rand.PasskeyWrap(keys[2].ID)}}))
	try(t, err)
	if list := a.listPasskeys(t); len(list) != 1 || !bytes.Equal(list[0].GetCredentialId(), keys[2].ID) || a.wraps(t) != 2 {
		t.Errorf("%v, %d wraps", list, a.wraps(t))
	}
	// A rekey takes passkeys along whose wraps it brings.
	raw := must[[]byte](t)(h.Founder.Rekey(hometest.Rekey{Ed: true}))
	vault, wrap, _ = h.Vault(3)
	_, err = a.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{
		Note: raw, Vault: &v1.PutVaultRequest{Vault: vault, ExpectedVersion: 2, Wraps: [][]byte{wrap, h.Rand.PasskeyWrap(keys[2].ID)}},
	}))
	try(t, err)
	in, err := finish(t, h.url, keys[2], h.Rand.Device(), nil)
	if kid := h.Founder.Kid(); err != nil || !bytes.Equal(in.GetKid(), kid[:]) {
		t.Fatalf("%v %v", in, err)
	}
}

// TestStepUp: a browser of a member with a passkey changes who may see, and
// what opens his vault, with a touch for exactly that.
func TestStepUp(t *testing.T) {
	s := startServer(t, cloud.Config{})
	h := found(t, localhost(s), 1, 1)
	p, _ := h.join(t, hometest.Rights{Role: chain.RoleMember})
	a, mine := h.page(t, h.Founder)
	b, _ := h.page(t, h.Founder)
	none := must[*connect.Response[v1.BeginStepUpResponse]](t)(a.passkeys.BeginStepUp(t.Context(), connect.NewRequest(&v1.BeginStepUpRequest{Purpose: make([]byte, 32)})))
	if len(none.Msg.GetTicket()) != 0 {
		t.Error("who has no passkey is asked for a touch")
	}
	key := must[*hometest.Passkey](t)(h.Rand.NewPasskey(h.url))
	try(t, a.addPasskey(t, h.Founder, key, nil)) // the first one needs none
	none = must[*connect.Response[v1.BeginStepUpResponse]](t)(h.admin.passkeys.BeginStepUp(t.Context(), connect.NewRequest(&v1.BeginStepUpRequest{Purpose: make([]byte, 32)})))
	if len(none.Msg.GetTicket()) != 0 {
		t.Error("the command line is asked for a touch")
	}
	note := must[[]byte](t)(h.Restate(p, hometest.Rights{Role: chain.RoleViewer}))
	hash := must[chain.Note](t)(chain.ParseNote(note)).Hash()
	put := func(by *api, touch *v1.StepUp) error {
		_, err := by.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: note, StepUp: touch}))
		return err
	}
	stale := a.touch(t, key, hash)
	for name, touch := range map[string]*v1.StepUp{
		"none":                {},
		"for another purpose": a.touch(t, key, latchkey.Hash{1}),
		"of another session":  b.touch(t, key, hash),
		"without an answer":   {Ticket: a.touch(t, key, hash).GetTicket()},
		"a made-up ticket":    {Ticket: h.Rand.Bytes(16), AssertionJson: stale.GetAssertionJson()},
		"another's answer":    {Ticket: a.touch(t, key, hash).GetTicket(), AssertionJson: stale.GetAssertionJson()},
	} {
		if err := put(a, touch); connect.CodeOf(err) != connect.CodePermissionDenied && connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantReason(t, put(a, nil), connect.CodePermissionDenied, "step-up")
	// A browser does not get around it by asking for a token.
	token := must[*v1.LoginResponse](t)(tryLogin(t, h.url, h.Home, h.Admin, device(mine), false)).GetToken()
	wantReason(t, put(newAPI(h.url, token), nil), connect.CodePermissionDenied, "step-up")
	try(t, put(a, stale))
	wantCode(t, put(a, stale), connect.CodePermissionDenied) // once

	_, raw, err := h.AddCamera(1)
	try(t, err)
	_, err = a.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: raw})) // shows nobody more
	try(t, err)

	second := must[*hometest.Passkey](t)(h.Rand.NewPasskey(h.url))
	wantReason(t, a.addPasskey(t, h.Founder, second, nil), connect.CodePermissionDenied, "step-up")
	try(t, a.addPasskey(t, h.Founder, second, func(m *v1.AddPasskeyRequest) { m.StepUp = a.touch(t, key, word("wraps")) }))
	vault, wrap, _ := h.Vault(2)
	m := &v1.PutVaultRequest{Vault: vault, ExpectedVersion: 1, Wraps: [][]byte{wrap, h.Rand.PasskeyWrap(key.ID), h.Rand.PasskeyWrap(second.ID)}}
	_, err = a.account.PutVault(t.Context(), connect.NewRequest(m))
	wantReason(t, err, connect.CodePermissionDenied, "step-up")
	m.StepUp = a.touch(t, second, word("wraps"))
	_, err = a.account.PutVault(t.Context(), connect.NewRequest(m))
	try(t, err)
	vault, _, _ = h.Vault(3)
	_, err = a.account.PutVault(t.Context(), connect.NewRequest(&v1.PutVaultRequest{Vault: vault, ExpectedVersion: 2})) // names only
	try(t, err)
	gone := &v1.RemovePasskeyRequest{CredentialId: key.ID, StepUp: a.touch(t, second, word("passkey"+string(second.ID)))}
	_, err = a.passkeys.RemovePasskey(t.Context(), connect.NewRequest(gone))
	wantReason(t, err, connect.CodePermissionDenied, "step-up")
	gone.StepUp = a.touch(t, second, word("passkey"+string(key.ID)))
	_, err = a.passkeys.RemovePasskey(t.Context(), connect.NewRequest(gone))
	try(t, err)
}

// word is the purpose of a touch for a word.
func word(s string) latchkey.Hash { return sha256.Sum256([]byte(s)) }

// filesOf reads every file below dir.
func filesOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	try(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		out[path], err = os.ReadFile(path)
		return err
	}))
	if len(out) == 0 {
		t.Fatal("no files to look at")
	}
	return out
}

// capture keeps everything that is logged.
type capture struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(p)
}

// TestPRFIsRefused (claim C17): an answer that brings along what a passkey
// derives the vault's key from is refused, quoted nowhere, and kept nowhere.
func TestPRFIsRefused(t *testing.T) {
	logs, dir := &capture{}, t.TempDir()
	s := startServer(t, cloud.Config{DataDir: dir, Logger: slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	h := found(t, localhost(s), 1, 1)
	key := must[*hometest.Passkey](t)(h.Rand.NewPasskey(h.url))
	key.Prf = map[string]any{"enabled": true}
	try(t, h.admin.addPasskey(t, h.Founder, key, nil)) // that it has one is no secret
	secret := hex.EncodeToString(h.Rand.Bytes(32))
	results := map[string]any{"first": secret}
	for name, prf := range map[string]any{
		"results":     map[string]any{"results": results},
		"null":        map[string]any{"enabled": true, "results": nil},
		"capitals":    map[string]any{"Results": results},
		"long s":      map[string]any{"reſults": results},
		"nested":      map[string]any{"x": []any{map[string]any{"results": results}}},
		"other cased": json.RawMessage(`{"enabled":true},"PRF":{"results":{"first":"` + secret + `"}}`),
	} {
		bad := key.Copy()
		bad.Prf = prf
		change := func(answer *string) {
			if raw, ok := prf.(json.RawMessage); ok {
				*answer = strings.Replace(*answer, `{"enabled":true}`, string(raw), 1)
			}
		}
		if _, ok := prf.(json.RawMessage); ok {
			bad.Prf = map[string]any{"enabled": true}
		}
		_, err := finish(t, h.url, bad, h.Rand.Device(), func(m *v1.FinishSignInRequest) { change(&m.AssertionJson) })
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "prf") || strings.Contains(err.Error(), secret) {
			t.Errorf("assertion, %s: %v", name, err)
		}
		bad.ID = h.Rand.Bytes(32)
		err = h.admin.addPasskey(t, h.Founder, bad, func(m *v1.AddPasskeyRequest) { change(&m.CredentialJson) })
		if connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "prf") || strings.Contains(err.Error(), secret) {
			t.Errorf("registration, %s: %v", name, err)
		}
	}
	if logs.b.Len() == 0 {
		t.Fatal("nothing is logged: this test looks at nothing")
	}
	if strings.Contains(logs.b.String(), secret) {
		t.Error("the secret is in the log")
	}
	for name, b := range filesOf(t, dir) {
		if bytes.Contains(b, []byte(secret)) || bytes.Contains(b, must[[]byte](t)(hex.DecodeString(secret))) {
			t.Errorf("the secret is in %s", name)
		}
	}
}
