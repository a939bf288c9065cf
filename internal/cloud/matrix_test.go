package cloud_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
)

// The roles of the matrix, in the order of a row's statuses. The admin comes
// last: what he changes nobody has changed before him.
const (
	nobody   = iota
	hubOfA   // a hub's own session
	removed  // was a member; his token
	stranger // the admin of another household
	porchMan // a viewer of one camera
	viewer   // of all cameras
	member   // all cameras, one granted stretch of the past
	admin
	roles
)

var roleNames = [roles]string{"nobody", "hub", "removed", "stranger", "viewer of the porch", "viewer", "member", "admin"}

// matrix is two households with everything that there can be in one.
type matrix struct {
	*testing.T
	s            *testServer
	a, b         *house
	who          [roles]*api
	people       [roles]*hometest.Person
	porch, yard  latchkey.TrackID
	early, later *hometest.Epoch // early: before anybody but the admin was there
	theirs       *hometest.Epoch // B's
	parts        map[string][]filmed
	grant        latchkey.GrantID
	capsule      []byte
	link         hometest.Link     // seconds 4 and 5 of the early porch
	passkey      *hometest.Passkey // the admin's
	device       hometest.Device   // the admin's second
	letters      [][]byte
	c            *deskHome // whose ticket somebody of staff has
	ticket       uint64    // of A
	spare        uint64    // of A, to be closed
}

func newMatrix(t *testing.T) *matrix {
	m := &matrix{T: t, parts: map[string][]filmed{}}
	root := newStaffRoot(t)
	m.s = startServer(t, cloud.Config{Log: cloud.LogConfig{Watchers: root.watchers()}, Misuse: cloud.MisuseLimits{NoTicket: 1e6, Refusals: 1e6}})
	url := localhost(m.s)
	m.a, m.b = found(t, url, 1, 2), found(t, url, 2, 1)
	m.c = newDeskHome(t, root, url)
	m.porch, m.yard = m.a.tracks[0], m.a.tracks[1]
	u, start := m.a.dial(t), time.Now().Add(-time.Hour)
	m.early = m.a.epoch(t, start)
	u.announce(t, m.early)
	m.parts["early porch"] = m.a.record(t, u, m.early, m.porch, 6, 2)
	m.parts["early yard"] = m.a.record(t, u, m.early, m.yard, 6, 2)
	for role, r := range map[int]hometest.Rights{
		removed: {Role: chain.RoleMember}, viewer: {Role: chain.RoleViewer}, member: {Role: chain.RoleMember},
		porchMan: {Role: chain.RoleViewer, Tracks: []latchkey.TrackID{m.porch}},
	} {
		m.people[role], m.who[role] = m.a.join(t, r)
	}
	m.later = m.a.epoch(t, start.Add(10*time.Minute))
	u.announce(t, m.later)
	m.parts["later porch"] = m.a.record(t, u, m.later, m.porch, 6, 2)
	m.parts["later yard"] = m.a.record(t, u, m.later, m.yard, 6, 2)
	m.people[admin], m.who[admin] = m.a.Founder, m.a.admin
	m.people[stranger], m.who[stranger] = m.b.Founder, m.b.admin
	m.who[nobody], m.who[hubOfA] = newAPI(url, ""), newAPI(url, login(t, url, m.a.Home, m.a.hub.Key))
	m.furnish(u)
	return m
}

// furnish adds a grant, a passkey, a second device and a directory to A, footage
// to B, and removes somebody.
func (m *matrix) furnish(u *uplink) {
	ub := m.b.dial(m.T)
	m.theirs = m.b.epoch(m.T, time.Now().Add(-time.Hour))
	ub.announce(m.T, m.theirs)
	m.parts["theirs"] = m.b.record(m.T, ub, m.theirs, m.b.tracks[0], 3, 2)
	ub.ws.Close()
	var raw []byte
	var err error
	m.grant, raw, m.capsule, err = m.a.Founder.Grant(m.people[member], time.Now().Add(time.Hour).Unix(),
		chain.TrackRange{Track: m.porch, From: m.early.Start + 2, Until: m.early.Start + 4})
	try(m.T, err)
	m.a.append(m.T, raw)
	_, err = m.a.admin.chain.PutCapsule(m.Context(), connect.NewRequest(&v1.PutCapsuleRequest{Grant: m.grant[:], Capsule: m.capsule, Proof: m.a.proof(m.T, m.grant)}))
	try(m.T, err)
	m.link, raw, err = m.a.Founder.Link(m.a.hub, time.Now().Add(time.Hour).Unix(),
		chain.TrackRange{Track: m.porch, From: m.early.Start + 4, Until: m.early.Start + 6})
	try(m.T, err)
	m.a.append(m.T, raw)
	_, err = m.a.admin.links.PutLink(m.Context(), connect.NewRequest(m.a.putLink(m.T, m.link)))
	try(m.T, err)
	m.passkey = must[*hometest.Passkey](m.T)(m.a.Rand.NewPasskey(m.a.url))
	try(m.T, m.a.admin.addPasskey(m.T, m.a.Founder, m.passkey, nil))
	m.device = m.a.Rand.Device()
	_, err = tryLogin(m.T, m.a.url, m.a.Home, m.a.Recovery, device(m.device), false)
	try(m.T, err)
	m.a.append(m.T, must[[]byte](m.T)(m.a.RemoveMember(m.people[removed])))
	put := m.directory()
	for _, l := range put.GetLetters() {
		m.letters = append(m.letters, l.GetBody())
	}
	_, err = m.a.admin.chain.PutDirectory(m.Context(), connect.NewRequest(put))
	try(m.T, err)
	for _, n := range []*uint64{&m.ticket, &m.spare} {
		*n = must[*connect.Response[v1.OpenTicketResponse]](m.T)(m.a.admin.tickets().OpenTicket(m.Context(), connect.NewRequest(&v1.OpenTicketRequest{Topic: "other"}))).Msg.GetTicket()
	}
	u.ws.Close()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // commands find no hub
		list := must[*connect.Response[v1.ListHubsResponse]](m.T)(m.a.admin.hubs.ListHubs(m.Context(), connect.NewRequest(&v1.ListHubsRequest{})))
		if !list.Msg.GetHubs()[0].GetOnline() || time.Now().After(end) {
			return
		}
	}
}

// directory is a new directory of A.
func (m *matrix) directory() *v1.PutDirectoryRequest {
	put := &v1.PutDirectoryRequest{N: 1}
	for _, role := range []int{porchMan, viewer, member, admin} {
		kid := m.people[role].Kid()
		put.Letters = append(put.Letters, &v1.Letter{Kid: kid[:], Body: m.people[role].Letter()})
	}
	return put
}

// row is one object of a route and the status that each role gets.
type row struct {
	object string
	ask    func(m *matrix, role int) (proto.Message, string) // the body of a call, or the path of a GET
	want   string
}

func body(m proto.Message) func(*matrix, int) (proto.Message, string) {
	return func(*matrix, int) (proto.Message, string) { return m, "" }
}

func asking(f func(m *matrix, role int) proto.Message) func(*matrix, int) (proto.Message, string) {
	return func(m *matrix, role int) (proto.Message, string) { return f(m, role), "" }
}

func path(f func(m *matrix) string) func(*matrix, int) (proto.Message, string) {
	return func(m *matrix, _ int) (proto.Message, string) { return nil, f(m) }
}

// The statuses of what most routes answer, in the order of the roles.
const (
	toAll     = "200 200 200 200 200 200 200 200"
	toNobody  = "404 404 404 404 404 404 404 404"
	toMembers = "401 403 401 200 200 200 200 200" // each about himself
	signedIns = "401 200 401 200 200 200 200 200"
	malformed = "400 400 400 400 400 400 400 400"
	inA       = "401 403 401 404 200 200 200 200" // objects of A for all of its members
	onlyYard  = "401 403 401 404 404 200 200 200"
	onlyB     = "401 403 401 200 404 404 404 404"
)

// matrixRows has every route. A route without a row fails TestIRT28Matrix.
func matrixRows() map[string][]row {
	rows := map[string][]row{
		"GET /healthz":                  {{"", path(func(*matrix) string { return "/healthz" }), toAll}},
		"GET /log/policy":               {{"", path(func(*matrix) string { return "/log/policy" }), toAll}},
		"GET /log/release/web":          {{"none was published", path(func(*matrix) string { return "/log/release/web" }), toNobody}},
		"GET /log/release/web/manifest": {{"", path(func(*matrix) string { return "/log/release/web/manifest" }), toAll}},
		"GET /log/{log}/{file...}": {
			{"checkpoint", path(func(m *matrix) string { return m.s.LogPath() + "checkpoint" }), toAll},
			{"no file of a log", path(func(m *matrix) string { return m.s.LogPath() + "log.key" }), toNobody},
			{"another year", path(func(*matrix) string { return "/log/1999/checkpoint" }), toNobody},
		},
		"POST /log/{log}/set/{size}": {{"a note of nobody", path(func(m *matrix) string { return m.s.LogPath() + "set/1" }), malformed}},
		"GET /":                      {{"", path(func(*matrix) string { return "/cameras" }), toAll}},
		"GET /v1/uplink": {
			{"no WebSocket", path(func(*matrix) string { return "/v1/uplink" }), "401 400 401 403 403 403 403 403"},
		},
		"GET /v1/live": {
			{"no WebSocket", path(func(*matrix) string { return "/v1/live" }), "401 403 401 400 400 400 400 400"},
			{"porch", watched(func(m *matrix) latchkey.TrackID { return m.porch }), inA},
			{"yard", watched(func(m *matrix) latchkey.TrackID { return m.yard }), onlyYard},
			{"B's camera", watched(func(m *matrix) latchkey.TrackID { return m.b.tracks[0] }), onlyB},
			{"no camera", watched(func(*matrix) latchkey.TrackID { return latchkey.TrackID{9} }), "401 403 401 404 404 404 404 404"},
		},
	}
	for _, part := range []map[string][]row{accountRows(), passkeyRows(), chainRows(), footageRows(), contactRows(), linkRows(), deskRows()} {
		for pattern, r := range part {
			rows[pattern] = r
		}
	}
	return rows
}

func accountRows() map[string][]row {
	const s = "POST /latchkey.v1.AccountService/"
	return map[string][]row{
		s + "CreateHousehold": {
			{"nothing", body(&v1.CreateHouseholdRequest{}), malformed},
			{"A's genesis", asking(func(m *matrix, _ int) proto.Message {
				vault, wrap, recovery := m.a.Vault(1)
				return &v1.CreateHouseholdRequest{Genesis: m.a.Chain[0], LogTagKey: m.a.LogTagKey[:], Vault: vault, Wraps: [][]byte{wrap}, RecoveryId: recovery, Device: device(m.a.Rand.Device())}
			}), "409 409 409 409 409 409 409 409"},
		},
		s + "Challenge": {{"A's admin", asking(func(m *matrix, _ int) proto.Message {
			id, kid := m.a.ID(), m.a.Admin.Kid()
			return &v1.ChallengeRequest{Who: &v1.ChallengeRequest_Kid{Kid: kid[:]}, Household: id[:]}
		}), toAll}},
		s + "Login": {
			{"nothing", body(&v1.LoginRequest{}), malformed},
			{"A, with B's key", asking(func(m *matrix, _ int) proto.Message {
				c := m.a.challenge(m.T, m.a.Admin)
				return &v1.LoginRequest{Note: must[[]byte](m.T)(m.a.Login(m.b.Admin, c.GetServer(), c.GetNonce())), Device: device(m.b.Founder.Device)}
			}), "401 401 401 401 401 401 401 401"},
		},
		s + "Logout":          {{"", body(&v1.LogoutRequest{}), signedIns}},
		s + "WhoAmI":          {{"", body(&v1.WhoAmIRequest{}), signedIns}},
		s + "GetVault":        {{"", body(&v1.GetVaultRequest{}), toMembers}},
		s + "ListDevices":     {{"", body(&v1.ListDevicesRequest{}), toMembers}},
		s + "EndOtherDevices": {{"", body(&v1.EndOtherDevicesRequest{}), toMembers}},
		s + "PutVault": {{"the admin's", asking(func(m *matrix, _ int) proto.Message {
			vault, _, _ := m.a.Vault(8)
			return &v1.PutVaultRequest{Vault: vault, ExpectedVersion: 7}
		}), "401 403 401 400 400 400 400 409"}},
		s + "EndDevice": {{"the admin's", asking(func(m *matrix, _ int) proto.Message {
			return &v1.EndDeviceRequest{Id: m.device.ID[:]}
		}), "401 403 401 404 404 404 404 200"}},
	}
}

func passkeyRows() map[string][]row {
	const s = "POST /latchkey.v1.PasskeyService/"
	return map[string][]row{
		s + "BeginPasskey": {{"", body(&v1.BeginPasskeyRequest{}), toMembers}},
		s + "BeginSignIn":  {{"", body(&v1.BeginSignInRequest{}), toAll}},
		s + "ListPasskeys": {{"", body(&v1.ListPasskeysRequest{}), toMembers}},
		s + "BeginStepUp":  {{"", body(&v1.BeginStepUpRequest{Purpose: make([]byte, 32)}), toMembers}},
		s + "FinishSignIn": {
			{"nothing", body(&v1.FinishSignInRequest{}), malformed},
			{"a made-up ticket", body(&v1.FinishSignInRequest{Ticket: make([]byte, 16)}), "401 401 401 401 401 401 401 401"},
		},
		s + "AddPasskey": {{"the admin's ticket", asking(func(m *matrix, _ int) proto.Message {
			key := must[*hometest.Passkey](m.T)(m.a.Rand.NewPasskey(m.a.url))
			begun := must[*connect.Response[v1.BeginPasskeyResponse]](m.T)(m.a.admin.passkeys.BeginPasskey(m.Context(), connect.NewRequest(&v1.BeginPasskeyRequest{}))).Msg
			return &v1.AddPasskeyRequest{
				Ticket: begun.GetTicket(), CredentialJson: must[string](m.T)(key.Create(begun.GetOptionsJson())),
				Wrap: m.a.Rand.PasskeyWrap(key.ID), Label: m.a.Founder.Letter(),
			}
		}), "401 403 401 403 403 403 403 200"}},
		s + "RemovePasskey": {{"the admin's", asking(func(m *matrix, _ int) proto.Message {
			return &v1.RemovePasskeyRequest{CredentialId: m.passkey.ID}
		}), "401 403 401 404 404 404 404 200"}},
	}
}

func chainRows() map[string][]row {
	const s, hub, pairing = "POST /latchkey.v1.ChainService/", "POST /latchkey.v1.HubService/", "POST /latchkey.v1.PairingService/"
	return map[string][]row{
		s + "GetChain":     {{"", body(&v1.GetChainRequest{}), signedIns}},
		s + "GetLogTagKey": {{"", body(&v1.GetLogTagKeyRequest{}), signedIns}},
		s + "GetLeaves":    {{"", body(&v1.GetLeavesRequest{}), signedIns}},
		s + "GetCompleteness": {{"", asking(func(m *matrix, _ int) proto.Message {
			for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				_, a := m.a.admin.chain.GetCompleteness(m.Context(), connect.NewRequest(&v1.GetCompletenessRequest{}))
				_, b := m.b.admin.chain.GetCompleteness(m.Context(), connect.NewRequest(&v1.GetCompletenessRequest{}))
				if a == nil && b == nil {
					break
				}
			}
			return &v1.GetCompletenessRequest{}
		}), signedIns}},
		s + "AppendStatement": {{"oneself as admin of A", asking(func(m *matrix, role int) proto.Message {
			key := m.a.hub.Key
			if p := m.people[role]; p != nil {
				key = p.Key
			}
			if role == admin { // a friend: this is how it is done
				_, raw, err := m.a.AddMember(hometest.Rights{Role: chain.RoleViewer})
				try(m.T, err)
				return &v1.AppendStatementRequest{Note: raw}
			}
			return &v1.AppendStatementRequest{Note: must[[]byte](m.T)(m.a.AddSelf(key))}
		}), "401 403 401 409 403 403 403 200"}}, // 409: it does not continue B's chain
		s + "PutCapsule": {{"of A's grant", asking(func(m *matrix, _ int) proto.Message {
			return &v1.PutCapsuleRequest{Grant: m.grant[:], Capsule: m.capsule, Proof: m.a.proof(m.T, m.grant)}
		}), "401 403 401 404 403 403 403 200"}},
		s + "GetCapsule": {
			{"of A's grant", asking(func(m *matrix, _ int) proto.Message { return &v1.GetCapsuleRequest{Grant: m.grant[:]} }), "401 403 401 404 404 404 200 200"},
			{"of no grant", body(&v1.GetCapsuleRequest{Grant: make([]byte, 16)}), "401 403 401 404 404 404 404 404"},
		},
		s + "PutDirectory": {{"A's", asking(func(m *matrix, _ int) proto.Message {
			q := m.directory()
			q.ExpectedN, q.N = 1, 2
			return q
		}), "401 403 401 400 403 403 403 200"}}, // 400: B has no such members
		s + "GetDirectory": {{"", body(&v1.GetDirectoryRequest{}), inA}},
		hub + "ListHubs":   {{"", body(&v1.ListHubsRequest{}), toMembers}},
		hub + "SendCommand": {{"A's hub", asking(func(m *matrix, _ int) proto.Message {
			kid := m.a.hub.Key.Kid()
			return &v1.SendCommandRequest{Hub: kid[:], Sealed: []byte("sealed")}
		}), "401 403 401 404 503 503 503 503"}},
		pairing + "PutMail": {{"nothing", body(&v1.PutMailRequest{}), malformed}},
		pairing + "GetMail": {{"no box", body(&v1.GetMailRequest{Rendezvous: make([]byte, 16), Slot: v1.MailSlot_MAIL_SLOT_OFFER}), "404 404 404 404 404 404 404 404"}},
	}
}

func footageRows() map[string][]row {
	const s = "POST /latchkey.v1.FootageService/"
	timeline := func(of func(*matrix) latchkey.TrackID) func(*matrix, int) (proto.Message, string) {
		return asking(func(m *matrix, _ int) proto.Message {
			id := of(m)
			return &v1.TimelineRequest{Track: id[:], To: 1 << 31}
		})
	}
	epochs := func(of func(*matrix) []*hometest.Epoch) func(*matrix, int) (proto.Message, string) {
		return asking(func(m *matrix, _ int) proto.Message {
			q := &v1.GetEpochsRequest{}
			for _, e := range of(m) {
				q.Epochs = append(q.Epochs, e.ID[:])
			}
			return q
		})
	}
	part := func(name string, n int) func(*matrix, int) (proto.Message, string) {
		return path(func(m *matrix) string {
			p := m.parts[name][n]
			return fmt.Sprintf("/v1/footage/%s?epoch=%s&seq=%d", p.h.Track, p.h.Epoch, p.h.Seq)
		})
	}
	porch := func(m *matrix) latchkey.TrackID { return m.porch }
	yard := func(m *matrix) latchkey.TrackID { return m.yard }
	theirs := func(m *matrix) latchkey.TrackID { return m.b.tracks[0] }
	const onlyAdmin = "401 403 401 404 404 404 404 200"
	return map[string][]row{
		s + "Timeline":   {{"porch", timeline(porch), inA}, {"yard", timeline(yard), onlyYard}, {"B's camera", timeline(theirs), onlyB}},
		s + "ListEpochs": {{"", body(&v1.ListEpochsRequest{To: 1 << 31}), toMembers}},
		s + "GetEpochs": {
			{"later", epochs(func(m *matrix) []*hometest.Epoch { return []*hometest.Epoch{m.later} }), inA},
			{"early", epochs(func(m *matrix) []*hometest.Epoch { return []*hometest.Epoch{m.early} }), "401 403 401 404 404 404 200 200"},
			{"one of B among A's", epochs(func(m *matrix) []*hometest.Epoch { return []*hometest.Epoch{m.later, m.theirs} }), "401 403 401 404 404 404 404 404"},
			{"B's", epochs(func(m *matrix) []*hometest.Epoch { return []*hometest.Epoch{m.theirs} }), onlyB},
		},
		"GET /v1/footage/{track}": {
			{"porch", path(func(m *matrix) string { return "/v1/footage/" + m.porch.String() + "?from=0" }), inA},
			{"yard", path(func(m *matrix) string { return "/v1/footage/" + m.yard.String() + "?from=0" }), onlyYard},
			{"B's camera", path(func(m *matrix) string { return "/v1/footage/" + m.b.tracks[0].String() + "?from=0" }), onlyB},
			{"a part of the porch", part("later porch", 3), inA},
			{"a part of the yard", part("later yard", 3), onlyYard},
			{"an early part", part("early porch", 1), onlyAdmin},
			{"a granted part", part("early porch", 5), "401 403 401 404 404 404 200 200"},
			{"an early part of the yard", part("early yard", 5), onlyAdmin},
			{"a part of B", part("theirs", 1), onlyB},
			{"a part of B under the porch", path(func(m *matrix) string {
				return fmt.Sprintf("/v1/footage/%s?epoch=%s&seq=0", m.porch, m.theirs.ID)
			}), "401 403 401 404 404 404 404 404"},
			{"nonsense", path(func(m *matrix) string { return "/v1/footage/" + m.porch.String() + "?from=x" }), "401 403 401 400 400 400 400 400"},
		},
	}
}

// watched makes a row of a live socket: 200 when the track is watched.
func watched(of func(*matrix) latchkey.TrackID) func(*matrix, int) (proto.Message, string) {
	return path(func(m *matrix) string { return "watch " + of(m).String() })
}

// tries plays one role with one object and returns the status and all bytes
// that came back.
func (m *matrix) tries(pattern string, r row, role int) (int, []byte) {
	msg, target := r.ask(m, role)
	token := m.who[role].token
	if strings.HasSuffix(pattern, "/Logout") && role != nobody && role != removed { // not the one that is used later
		if token = login(m.T, m.a.url, m.a.Home, m.a.hub.Key); m.people[role] != nil {
			token = signIn(m.T, m.a.url, m.people[role], m.people[role].Key)
		}
	}
	if id, ok := strings.CutPrefix(target, "watch "); ok {
		return m.watches(id, token)
	}
	return m.request(pattern, msg, target, token)
}

// asStaff plays somebody of staff.
func (m *matrix) asStaff(pattern string, r row, who *clerk) (int, []byte) {
	msg, target := r.ask(m, nobody)
	if strings.HasSuffix(pattern, "/EndShift") {
		who.begin(m.T, m.a.url)
		defer who.begin(m.T, m.a.url)
	}
	if id, ok := strings.CutPrefix(target, "watch "); ok {
		return m.watches(id, who.token)
	}
	return m.request(pattern, msg, target, who.token)
}

func (m *matrix) request(pattern string, msg proto.Message, target, token string) (int, []byte) {
	method, url := http.MethodGet, m.a.url+target
	if strings.HasPrefix(pattern, "POST ") {
		method = http.MethodPost
	}
	var in []byte
	if msg != nil {
		method, url = http.MethodPost, m.a.url+strings.TrimPrefix(pattern, "POST ")
		in = must[[]byte](m.T)(protojson.Marshal(msg))
	}
	req := must[*http.Request](m.T)(http.NewRequestWithContext(m.Context(), method, url, bytes.NewReader(in)))
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res := must[*http.Response](m.T)(http.DefaultClient.Do(req))
	defer res.Body.Close()
	out := must[[]byte](m.T)(io.ReadAll(res.Body))
	return res.StatusCode, append(out, fmt.Sprint(res.Header)...)
}

// watches asks a live socket for a track: what comes first about it decides.
func (m *matrix) watches(track, token string) (int, []byte) {
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	ws, res, err := websocket.DefaultDialer.DialContext(m.Context(), "ws"+strings.TrimPrefix(m.a.url, "http")+"/v1/live", header)
	if err != nil {
		return res.StatusCode, nil
	}
	defer ws.Close()
	try(m.T, ws.WriteJSON(map[string]any{"op": "watch", "track": track}))
	try(m.T, ws.SetReadDeadline(time.Now().Add(20*time.Second)))
	var all []byte
	for {
		_, b, err := ws.ReadMessage()
		try(m.T, err)
		all = append(all, b...)
		var says struct{ Op, Track string }
		try(m.T, json.Unmarshal(b, &says))
		switch says.Op {
		case "error":
			return http.StatusNotFound, all
		case "idle":
			return http.StatusOK, all
		}
	}
}

// secrets are what must not reach a role, whatever it asks.
func (m *matrix) secrets(role int) map[string][]byte {
	out := map[string][]byte{}
	id, kid := m.a.ID(), m.a.hub.Key.Kid()
	switch role {
	case nobody, removed, stranger:
		out["A's id"], out["A's hub"], out["the porch"], out["the yard"] = id[:], kid[:], m.porch[:], m.yard[:]
		out["A's epoch"], out["A's note"], out["A's passkey"] = m.later.ID[:], m.later.Note, m.passkey.ID
		fallthrough
	case hubOfA:
		out["the porch's footage"], out["a letter"] = m.parts["later porch"][0].raw[128:192], m.letters[0]
		out["a capsule"] = m.later.Capsules[0]
		fallthrough
	case porchMan:
		out["the yard's footage"], out["early footage of the yard"] = m.parts["later yard"][0].raw[128:192], m.parts["early yard"][0].raw[128:192]
		fallthrough
	case viewer:
		out["the early epoch"], out["the granted footage"], out["the grant's capsule"] = m.early.ID[:], m.parts["early porch"][5].raw[128:192], m.capsule
		fallthrough
	case member:
		out["early footage"], out["the admin's device"], out["the admin's letter"] = m.parts["early porch"][0].raw[128:192], m.device.ID[:], m.letters[len(m.letters)-1]
	}
	if role != stranger {
		out["B's footage"], out["B's epoch"] = m.parts["theirs"][0].raw[128:192], m.theirs.ID[:]
	}
	return out
}

// TestIRT28Matrix asks every route of the router as everybody about everything.
func TestIRT28Matrix(t *testing.T) {
	m, rows := newMatrix(t), matrixRows()
	answers := 0
	for _, pattern := range m.s.Patterns() {
		if len(rows[pattern]) == 0 {
			t.Errorf("%s has no row: say who may ask it about what", pattern)
		}
		for _, r := range rows[pattern] {
			want := strings.Fields(r.want)
			if len(want) == roles { // for a session of the desk a household's door is as shut as for nobody
				want = append(want, want[nobody], want[nobody], want[nobody])
			}
			if len(want) != roles+3 {
				t.Fatalf("%s, %s: %d roles, want %d", pattern, r.object, len(want), roles)
			}
			for i, who := range []*clerk{m.c.agent, m.c.rival, m.c.auditor} {
				status, out := m.asStaff(pattern, r, who)
				answers++
				if fmt.Sprint(status) != want[roles+i] {
					t.Errorf("%s of %q as %s of staff: status %d, want %s", pattern, r.object, who.ID, status, want[roles+i])
				}
				m.leaks(pattern, r, nobody, out)
			}
			for role := range roles {
				status, out := m.tries(pattern, r, role)
				answers++
				if fmt.Sprint(status) != want[role] {
					t.Errorf("%s of %q as %s: status %d, want %s", pattern, r.object, roleNames[role], status, want[role])
				}
				m.leaks(pattern, r, role, out)
			}
		}
		delete(rows, pattern)
	}
	for pattern := range rows {
		t.Errorf("%s is in the matrix and not served", pattern)
	}
	if answers < 300 {
		t.Fatalf("only %d answers", answers)
	}
}

func (m *matrix) leaks(pattern string, r row, role int, out []byte) {
	m.Helper()
	target := ""
	if !strings.HasPrefix(pattern, "POST ") {
		_, target = r.ask(m, role)
	}
	for name, secret := range m.secrets(role) {
		if r.object == ofTheLink && slices.Contains(linkShows(), name) {
			continue
		}
		if strings.HasSuffix(pattern, "/Challenge") || strings.Contains(target, hex.EncodeToString(secret)) {
			continue // it repeats what it was asked about
		}
		for _, form := range []string{string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret), base64.RawURLEncoding.EncodeToString(secret)} {
			if strings.Contains(string(out), form) {
				m.Errorf("%s of %q shows %s %s", pattern, r.object, roleNames[role], name)
				break
			}
		}
	}
}
