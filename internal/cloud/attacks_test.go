package cloud_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
)

// forger attacks a server in process, without a network in between.
type forger struct {
	handler http.Handler
	host    string
	h       *house
	rand    *hometest.Rand
	good    []byte // a login note that was used already
	passkey *hometest.Passkey
	used    *v1.FinishSignInRequest // that signed in once
}

// call posts a message and returns status and answer.
func (f *forger) call(procedure, token string, in, out proto.Message) (int, http.Header, error) {
	b, err := proto.Marshal(in)
	if err != nil {
		return 0, nil, err
	}
	r := httptest.NewRequest(http.MethodPost, "http://"+f.host+"/latchkey.v1."+procedure, bytes.NewReader(b))
	r.Header.Set("Content-Type", "application/proto")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, r)
	if out != nil && w.Code == http.StatusOK {
		err = proto.Unmarshal(w.Body.Bytes(), out)
	}
	return w.Code, w.Header(), err
}

// note signs a login note with a key for a challenge that was asked just now.
func (f *forger) note(k hometest.Key, server string) ([]byte, error) {
	id, kid := f.h.ID(), f.h.Admin.Kid()
	c := &v1.ChallengeResponse{}
	if _, _, err := f.call("AccountService/Challenge", "", &v1.ChallengeRequest{Who: &v1.ChallengeRequest_Kid{Kid: kid[:]}, Household: id[:]}, c); err != nil {
		return nil, err
	}
	if server == "" {
		server = c.GetServer()
	}
	return f.h.Login(k, server, c.GetNonce())
}

// attempt makes the i-th forgery and returns its kind, the status and headers.
// One in fifty is of a kind that costs the attacker, too, a question first.
func (f *forger) attempt(i int, r *rand.Rand) (kind string, status int, h http.Header, err error) {
	secret := make([]byte, 32)
	for j := range secret {
		secret[j] = byte(r.Uint32())
	}
	if i%50 == 0 {
		return f.costly(i/50, secret, r)
	}
	note, d := bytes.Clone(f.good), &v1.Device{Id: f.h.Founder.Device.ID[:], Secret: secret}
	switch i % 4 {
	case 0:
		kind = "a note that was used"
	case 1, 2:
		kind = "a changed byte"
		note[r.IntN(len(note))] ^= byte(1 + r.IntN(255))
	case 3:
		kind = "a made-up challenge"
		at := bytes.Index(note, []byte("\nnonce ")) + len("\nnonce ")
		copy(note[at:], latchkey.B64(secret[:16]))
	}
	status, h, err = f.call("AccountService/Login", "", &v1.LoginRequest{Note: note, Device: d, Cookie: i%8 < 4}, nil)
	return kind, status, h, err
}

func (f *forger) costly(i int, secret []byte, r *rand.Rand) (kind string, status int, h http.Header, err error) {
	key, server, d := f.h.Admin, "", &v1.Device{Id: secret[:16]}
	switch i % 11 {
	case 9:
		status, h, err = f.call("AccountService/WhoAmI", base64.RawURLEncoding.EncodeToString(secret), &v1.WhoAmIRequest{}, nil)
		return "a made-up token", status, h, err
	case 0:
		kind, key = "a key of one's own", f.rand.Key()
	case 1:
		kind, server = "a challenge of another server", fmt.Sprintf("https://cloud%d.example", i)
	case 2:
		kind = "a copied vault"
	case 3:
		kind, d = "a copied vault and a known device", &v1.Device{Id: f.h.Founder.Device.ID[:], Secret: secret}
	case 4:
		vault, wrap, recovery := f.h.Vault(1)
		status, h, err = f.call("AccountService/CreateHousehold", "", &v1.CreateHouseholdRequest{
			Genesis: f.h.Chain[0], LogTagKey: f.h.LogTagKey[:], Vault: vault, Wraps: [][]byte{wrap}, RecoveryId: recovery, Device: d,
		}, nil)
		return "a household that is known", status, h, err
	default:
		return f.byPasskey(i%11, i, r)
	case 10:
		kind, d = "a signature that does not hold", device(f.h.Founder.Device)
	}
	note, err := f.note(key, server)
	if err != nil {
		return kind, 0, nil, err
	}
	if i%11 == 10 {
		at := len(note) - 20 // base64 of the signature
		note[at] = map[bool]byte{true: 'B', false: 'A'}[note[at] == 'A']
	}
	status, h, err = f.call("AccountService/Login", "", &v1.LoginRequest{Note: note, Device: d}, nil)
	return kind, status, h, err
}

func (f *forger) byPasskey(which, i int, r *rand.Rand) (kind string, status int, h http.Header, err error) {
	begun := &v1.BeginSignInResponse{}
	if _, _, err := f.call("PasskeyService/BeginSignIn", "", &v1.BeginSignInRequest{}, begun); err != nil {
		return "", 0, nil, err
	}
	m := proto.CloneOf(f.used)
	switch which {
	case 5:
		kind = "a passkey's answer again"
	case 6:
		kind, m.Ticket = "a passkey's answer under a fresh ticket", begun.GetTicket()
	case 7:
		kind, m.Ticket = "another authenticator that claims to be it", begun.GetTicket()
		other := *f.passkey
		var fresh *hometest.Passkey
		if fresh, err = f.rand.NewPasskey(f.passkey.Origin); err != nil {
			return kind, 0, nil, err
		}
		fresh.ID, fresh.Count = other.ID, other.Count+uint32(i)
		if m.AssertionJson, err = fresh.GetAs(begun.GetOptionsJson(), &other); err != nil {
			return kind, 0, nil, err
		}
	case 8:
		b := []byte(m.GetAssertionJson())
		b[r.IntN(len(b))] = byte(' ' + r.IntN(90))
		kind, m.Ticket, m.AssertionJson = "a changed character", begun.GetTicket(), string(b)
	}
	status, h, err = f.call("PasskeyService/FinishSignIn", "", m, nil)
	return kind, status, h, err
}

// TestIRT60ForgedSignIns: there is no password to reuse (TestAPIFields), and no
// number of forged attempts gives a session or a device.
func TestIRT60ForgedSignIns(t *testing.T) {
	s := startServer(t, cloud.Config{})
	h := found(t, localhost(s), 1, 1)
	f := &forger{handler: s.Handler(), host: strings.TrimPrefix(h.url, "http://"), h: h, rand: h.Rand}
	f.passkey = must[*hometest.Passkey](t)(h.Rand.NewPasskey(h.url))
	f.passkey.Count = 1
	try(t, h.admin.addPasskey(t, h.Founder, f.passkey, nil))
	mine := h.Rand.Device()
	_, err := finish(t, h.url, f.passkey, mine, func(m *v1.FinishSignInRequest) { f.used = m })
	try(t, err)
	c := h.challenge(t, h.Admin)
	f.good = must[[]byte](t)(h.Login(h.Admin, c.GetServer(), c.GetNonce()))
	try(t, h.answer(t, f.good))

	attempts := 100_000
	if testing.Short() {
		attempts = 5000
	}
	var next, refused atomic.Int64
	var kinds sync.Map
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 60))
			for i := int(next.Add(1)); i <= attempts; i = int(next.Add(1)) {
				kind, status, header, err := f.attempt(i, r)
				if err != nil {
					t.Error(err)
					return
				}
				if status == http.StatusOK || header.Get("Set-Cookie") != "" {
					t.Errorf("attempt %d, %s, signs in", i, kind)
					return
				}
				refused.Add(1)
				kinds.Store(kind, true)
			}
		})
	}
	all.Wait()
	if int(refused.Load()) != attempts {
		t.Errorf("%d of %d attempts were refused", refused.Load(), attempts)
	}
	seen := 0
	kinds.Range(func(any, any) bool { seen++; return true })
	if seen != 14 {
		t.Errorf("%d kinds of attempts, want 14", seen)
	}
	if list := h.admin.devices(t); len(list) != 2 {
		t.Errorf("%d devices", len(list))
	}
	try(t, h.admin.whoAmI(t))
}

// TestIRT07Technician: whoever is signed in, in whatever role or household,
// cannot add himself; nor does an old statement work twice.
func TestIRT07Technician(t *testing.T) {
	s := startServer(t, cloud.Config{})
	h, other := found(t, s.URL, 1, 1), found(t, s.URL, 2, 1)
	p, a := h.join(t, hometest.Rights{Role: chain.RoleMember, Share: true})
	v, b := h.join(t, hometest.Rights{Role: chain.RoleViewer})
	gone, left := h.join(t, hometest.Rights{Role: chain.RoleAdmin})
	admitted := h.Chain[len(h.Chain)-1]
	hub := newAPI(s.URL, login(t, s.URL, h.Home, h.hub.Key))
	put := func(by *api, note []byte) error {
		_, err := by.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: note}))
		return err
	}
	self := func(k hometest.Key) []byte { return must[[]byte](t)(h.AddSelf(k)) }
	head := h.State.Seq
	for name, c := range map[string]struct {
		by   *api
		note []byte
		code connect.Code
	}{
		"a member":                      {a, self(p.Key), connect.CodePermissionDenied},
		"a viewer":                      {b, self(v.Key), connect.CodePermissionDenied},
		"a hub":                         {hub, self(h.hub.Key), connect.CodePermissionDenied},
		"a stranger's key":              {a, self(h.Rand.Key()), connect.CodePermissionDenied},
		"another household's admin":     {other.admin, self(other.Admin), connect.CodeAborted},
		"another admin, in his session": {a, self(other.Admin), connect.CodePermissionDenied},
		"nobody":                        {newAPI(s.URL, ""), self(h.Admin), connect.CodeUnauthenticated},
		"a statement with other keys":   {a, swapKeys(t, self(h.Admin), admitted), connect.CodePermissionDenied},
	} {
		if err := put(c.by, c.note); connect.CodeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.append(t, must[[]byte](t)(h.RemoveMember(gone)))
	wantCode(t, put(left, self(gone.Key)), connect.CodeUnauthenticated)
	wantCode(t, put(a, admitted), connect.CodeAborted) // what admitted him once
	wantCode(t, put(a, self(gone.Key)), connect.CodePermissionDenied)
	notes := must[*connect.Response[v1.GetChainResponse]](t)(h.admin.chain.GetChain(t.Context(), connect.NewRequest(&v1.GetChainRequest{FromSeq: head + 1}))).Msg.GetNotes()
	if len(notes) != 1 {
		t.Errorf("%d statements were taken", len(notes))
	}
}

// swapKeys puts the key of another statement into an admin's: its signature
// stands and does not hold.
func swapKeys(t *testing.T, note, other []byte) []byte {
	t.Helper()
	line := func(b []byte) []byte {
		i := bytes.Index(b, []byte("\ned "))
		return b[i : i+bytes.IndexByte(b[i+1:], '\n')+1]
	}
	return bytes.Replace(note, line(note), line(other), 1)
}

// TestIRT61Everywhere: a removal ends every way in at once: tokens, sockets,
// downloads, device secrets, passkeys, the recovery code, and what waits.
func TestIRT61Everywhere(t *testing.T) {
	s := startServer(t, cloud.Config{})
	h := found(t, localhost(s), 1, 1)
	track := h.tracks[0]
	u := h.dial(t)
	e := h.epoch(t, time.Now().Add(-time.Hour))
	p, a := h.join(t, hometest.Rights{Role: chain.RoleMember})
	later := h.epoch(t, time.Now().Add(-time.Minute))
	u.announce(t, e)
	u.announce(t, later)
	h.record(t, u, later, track, 4, 2)
	page, pageDevice := h.page(t, p)
	key := must[*hometest.Passkey](t)(h.Rand.NewPasskey(h.url))
	try(t, a.addPasskey(t, p, key, nil))
	id, raw, capsule, err := h.Founder.Grant(p, time.Now().Add(time.Hour).Unix(), chain.TrackRange{Track: track, From: e.Start, Until: e.Start + 10})
	try(t, err)
	h.append(t, raw)
	_, err = h.admin.chain.PutCapsule(t.Context(), connect.NewRequest(&v1.PutCapsuleRequest{Grant: id[:], Capsule: capsule, Proof: h.proof(t, id)}))
	try(t, err)
	sockets := []*watcher{h.watchAs(t, a, track), h.watchAs(t, newAPI(h.url, page.token), track)}
	h.append(t, must[[]byte](t)(h.RemoveMember(p)))
	for _, w := range sockets {
		ends(t, w.ws)
	}
	for name, err := range map[string]error{
		"token":    a.whoAmI(t),
		"cookie":   page.whoAmI(t),
		"timeline": second(a.timeline(t, track)),
		"capsule":  second(a.chain.GetCapsule(t.Context(), connect.NewRequest(&v1.GetCapsuleRequest{Grant: id[:]}))),
		"passkey":  second(finish(t, h.url, key, h.Rand.Device(), nil)),
		"key":      second(tryLogin(t, h.url, h.Home, p.Key, device(p.Device), false)),
		"code":     second(tryLogin(t, h.url, h.Home, p.Recovery, device(pageDevice), true)),
	} {
		if connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	if res, _ := a.get(t, "/v1/footage/"+track.String()+"?from=0"); res.StatusCode != 401 {
		t.Errorf("footage: status %d", res.StatusCode)
	}
}

func second[T any](_ T, err error) error { return err }
