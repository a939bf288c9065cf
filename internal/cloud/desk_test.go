package cloud_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
	"latchkey.dev/latchkey/ledger"
)

// staffRoot says who is staff of a test's server.
type staffRoot struct {
	signer note.Signer
	vkey   string
}

func newStaffRoot(t *testing.T) staffRoot {
	t.Helper()
	private, vkey, err := note.GenerateKey(rand.Reader, "staff.example")
	try(t, err)
	return staffRoot{must[note.Signer](t)(note.NewSigner(private)), vkey}
}

// watchers are the lines of a policy with this root.
func (r staffRoot) watchers() string { return "quorum none\nstaffroot staff " + r.vkey + "\n" }

// clerk is somebody of staff, and his calls.
type clerk struct {
	ledger.Staff
	key   hometest.Key
	note  []byte
	token string
	desk  latchkeyv1connect.DeskServiceClient
}

func (r staffRoot) sign(t *testing.T, s ledger.Staff) []byte {
	t.Helper()
	return must[[]byte](t)(note.Sign(&note.Note{Text: s.Text()}, r.signer))
}

// hire makes somebody staff of a server, until its log has him.
func (r staffRoot) hire(t *testing.T, url, id, role string, from *hometest.Rand) *clerk {
	t.Helper()
	c := &clerk{key: from.Key()}
	c.Staff = ledger.Staff{ID: id, Role: role, Ed: c.key.Public(), X: from.Bytes(chain.XSize), From: time.Now().Add(-time.Minute).Unix(), Until: time.Now().Add(time.Hour).Unix()}
	c.Trained = c.From
	c.note = r.sign(t, c.Staff)
	staff := latchkeyv1connect.NewStaffServiceClient(http.DefaultClient, url)
	_, err := staff.PublishStaff(t.Context(), connect.NewRequest(&v1.PublishStaffRequest{Note: c.note}))
	try(t, err)
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		res := must[*connect.Response[v1.ListStaffResponse]](t)(staff.ListStaff(t.Context(), connect.NewRequest(&v1.ListStaffRequest{Id: id})))
		if slices.ContainsFunc(res.Msg.GetStaff(), func(e *v1.StaffEntry) bool { return bytes.Equal(e.GetNote(), c.note) && len(e.GetProof()) > 0 }) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the log does not take a staff note")
		}
	}
	c.begin(t, url)
	return c
}

// begin begins a shift.
func (c *clerk) begin(t *testing.T, url string) {
	t.Helper()
	anybody := latchkeyv1connect.NewDeskServiceClient(http.DefaultClient, url)
	b := must[*connect.Response[v1.BeginShiftResponse]](t)(anybody.BeginShift(t.Context(), connect.NewRequest(&v1.BeginShiftRequest{}))).Msg
	text := must[[]byte](t)(chain.Desk{By: c.key.Kid(), Server: b.GetServer(), Nonce: [16]byte(b.GetNonce()), Time: time.Now().Unix()}.Text())
	res := must[*connect.Response[v1.StartShiftResponse]](t)(anybody.StartShift(t.Context(), connect.NewRequest(&v1.StartShiftRequest{Note: chain.SignNote(text, c.key)})))
	c.token = res.Msg.GetToken()
	c.desk = latchkeyv1connect.NewDeskServiceClient(http.DefaultClient, url, connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			r.Header().Set("Authorization", "Bearer "+c.token)
			return next(ctx, r)
		}
	})))
}

// Only who the staff root has signed for, now, with his own key, comes in.
func TestShift(t *testing.T) {
	root, other, rnd := newStaffRoot(t), newStaffRoot(t), hometest.NewRand(7)
	s := startServer(t, cloud.Config{Log: cloud.LogConfig{Watchers: root.watchers()}})
	url := localhost(s)
	sam := root.hire(t, url, "sam", ledger.RoleSupport, rnd)
	staff := latchkeyv1connect.NewStaffServiceClient(http.DefaultClient, url)
	publish := func(n []byte) error {
		_, err := staff.PublishStaff(t.Context(), connect.NewRequest(&v1.PublishStaffRequest{Note: n}))
		return err
	}
	edit := func(change func(*ledger.Staff)) []byte {
		one := sam.Staff
		change(&one)
		return root.sign(t, one)
	}
	for name, n := range map[string][]byte{
		"another root": other.sign(t, sam.Staff),
		"over":         edit(func(s *ledger.Staff) { s.From, s.Until, s.Trained = s.From-7200, s.From-3600, s.From-7200 }),
		"tomorrow":     edit(func(s *ledger.Staff) { s.From, s.Until = s.Until+86400, s.Until+90000 }),
		"nothing":      nil,
	} {
		if err := publish(n); err == nil {
			t.Errorf("a staff note is taken: %s", name)
		}
	}
	try(t, publish(sam.note)) // again: no news
	anybody := latchkeyv1connect.NewDeskServiceClient(http.DefaultClient, url)
	start := func(change func(*chain.Desk), key hometest.Key) error {
		b := must[*connect.Response[v1.BeginShiftResponse]](t)(anybody.BeginShift(t.Context(), connect.NewRequest(&v1.BeginShiftRequest{}))).Msg
		d := chain.Desk{By: sam.key.Kid(), Server: b.GetServer(), Nonce: [16]byte(b.GetNonce()), Time: time.Now().Unix()}
		change(&d)
		_, err := anybody.StartShift(t.Context(), connect.NewRequest(&v1.StartShiftRequest{Note: chain.SignNote(must[[]byte](t)(d.Text()), key)}))
		return err
	}
	thief := rnd.Key()
	for name, err := range map[string]error{
		"another's signature": start(func(*chain.Desk) {}, thief),
		"somebody unknown":    start(func(d *chain.Desk) { d.By = thief.Kid() }, thief),
		"another server":      start(func(d *chain.Desk) { d.Server = "https://latchkey.example" }, sam.key),
		"another nonce":       start(func(d *chain.Desk) { d.Nonce[0] ^= 1 }, sam.key),
		"an old clock":        start(func(d *chain.Desk) { d.Time -= 3600 }, sam.key),
	} {
		if connect.CodeOf(err) != connect.CodeUnauthenticated {
			t.Errorf("a shift begins with %s: %v", name, err)
		}
	}
	if _, err := sam.desk.EndShift(t.Context(), connect.NewRequest(&v1.EndShiftRequest{})); err != nil {
		t.Error(err)
	}
	if _, err := sam.desk.ListDesk(t.Context(), connect.NewRequest(&v1.ListDeskRequest{})); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("after the end of a shift: %v", err)
	}
}

// IRT-05, misuse: who asks for tickets that are not his is refused, found and
// suspended; a suspended account does nothing, and an auditor sees it.
func TestIRT05Misuse(t *testing.T) {
	root, rnd := newStaffRoot(t), hometest.NewRand(8)
	s := startServer(t, cloud.Config{Log: cloud.LogConfig{Watchers: root.watchers()}, Misuse: cloud.MisuseLimits{NoTicket: 3, Refusals: 100}})
	url := localhost(s)
	sam, eve, olga := root.hire(t, url, "sam", ledger.RoleSupport, rnd), root.hire(t, url, "eve", ledger.RoleAuditor, rnd), root.hire(t, url, "olga", ledger.RoleAuditor, rnd)
	h := found(t, url, 3, 1)
	tickets := h.admin.tickets()
	ticket := must[*connect.Response[v1.OpenTicketResponse]](t)(tickets.OpenTicket(t.Context(), connect.NewRequest(&v1.OpenTicketRequest{Topic: "other"}))).Msg.GetTicket()
	if _, err := sam.desk.ReadTicket(t.Context(), connect.NewRequest(&v1.GetTicketRequest{Ticket: ticket})); err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint64{ticket, ticket, ticket + 1, 1 << 60} { // a guess is answered, and counted, like a ticket of another's
		_, err := eve.desk.ReadTicket(t.Context(), connect.NewRequest(&v1.GetTicketRequest{Ticket: n}))
		if connect.CodeOf(err) != connect.CodePermissionDenied || !strings.Contains(err.Error(), "for the one who has it") {
			t.Fatalf("a ticket of another's, %d: %v", n, err)
		}
	}
	_, err := eve.desk.Explain(t.Context(), connect.NewRequest(&v1.ExplainRequest{Role: "support", Action: "watch"}))
	if connect.CodeOf(err) != connect.CodePermissionDenied || !strings.Contains(err.Error(), "suspended") {
		t.Errorf("a suspended account: %v", err)
	}
	res := must[*connect.Response[v1.AuditResponse]](t)(olga.desk.Audit(t.Context(), connect.NewRequest(&v1.AuditRequest{}))).Msg
	if len(res.GetSuspended()) != 1 || res.GetSuspended()[0] != "eve" || len(res.GetFindings()) != 1 || res.GetFindings()[0].GetKind() != "no-ticket" {
		t.Errorf("the auditor sees %v", res)
	}
	mine := must[*connect.Response[v1.ListMineResponse]](t)(sam.desk.ListMine(t.Context(), connect.NewRequest(&v1.ListMineRequest{}))).Msg
	for _, d := range mine.GetDecisions() {
		if d.GetStaff() != "sam" || !slices.ContainsFunc(mine.GetRules(), func(r *v1.Rule) bool { return r.GetName() == d.GetRules() && r.GetWords() != "" }) {
			t.Errorf("among what sam has asked: %v", d)
		}
	}
	if len(mine.GetDecisions()) != 3 { // two for the ticket, and this one
		t.Errorf("sam has asked %d times", len(mine.GetDecisions()))
	}
	renamed := root.hire(t, url, "eve", ledger.RoleAuditor, rnd)
	reinstate := func(by *clerk, id string) error {
		_, err := by.desk.Reinstate(t.Context(), connect.NewRequest(&v1.ReinstateRequest{Staff: id}))
		return err
	}
	for name, err := range map[string]error{"new keys": reinstate(renamed, "eve"), "herself": reinstate(eve, "eve"), "support": reinstate(sam, "eve")} {
		if connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Errorf("a suspension is ended by %s: %v", name, err)
		}
	}
	if err := reinstate(olga, "sam"); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("somebody is reinstated who is not suspended: %v", err)
	}
	try(t, reinstate(olga, "eve"))
	for range 2 { // what she did before has been looked at
		if _, err := eve.desk.Explain(t.Context(), connect.NewRequest(&v1.ExplainRequest{Role: "support", Action: "watch"})); err != nil {
			t.Errorf("after she was reinstated: %v", err)
		}
	}
	if _, err := sam.desk.Audit(t.Context(), connect.NewRequest(&v1.AuditRequest{})); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("support sees what auditors see: %v", err)
	}
}

// deskHome is a household with a ticket, for the rows of the matrix about the desk.
type deskHome struct {
	*house
	agent, rival, auditor *clerk
	ticket, spare         uint64
	grant                 latchkey.GrantID
}

func newDeskHome(t *testing.T, root staffRoot, url string) *deskHome {
	rnd := hometest.NewRand(9)
	d := &deskHome{agent: root.hire(t, url, "sam", ledger.RoleSupport, rnd), house: found(t, url, 5, 1)}
	tickets := d.admin.tickets()
	open := func() uint64 {
		return must[*connect.Response[v1.OpenTicketResponse]](t)(tickets.OpenTicket(t.Context(), connect.NewRequest(&v1.OpenTicketRequest{Topic: "other"}))).Msg.GetTicket()
	}
	d.ticket, d.spare = open(), open()
	var raw, capsule, mask []byte
	var err error
	d.grant, raw, capsule, mask, err = d.Founder.StaffGrant(d.hub, d.agent.X, d.ticket, time.Now().Add(time.Hour).Unix(), chain.TrackRange{Track: d.tracks[0], From: 1, Until: 100})
	try(t, err)
	d.append(t, raw)
	_, err = d.admin.chain.PutCapsule(t.Context(), connect.NewRequest(&v1.PutCapsuleRequest{Grant: d.grant[:], Capsule: capsule, Proof: d.proof(t, d.grant), Mask: mask}))
	try(t, err)
	d.rival, d.auditor = root.hire(t, url, "tim", ledger.RoleSupport, rnd), root.hire(t, url, "olga", ledger.RoleAuditor, rnd)
	return d
}

// noHousehold is what sessions of households get at the desk.
const noHousehold = "401 401 401 401 401 401 401 401"

func deskRows() map[string][]row {
	const staff, ticket, desk = "POST /latchkey.v1.StaffService/", "POST /latchkey.v1.TicketService/", "POST /latchkey.v1.DeskService/"
	of := func(make func(m *matrix) proto.Message) func(*matrix, int) (proto.Message, string) {
		return asking(func(m *matrix, _ int) proto.Message { return make(m) })
	}
	mine := of(func(m *matrix) proto.Message { return &v1.GetTicketRequest{Ticket: m.ticket} })
	return map[string][]row{
		staff + "Apply":                                  {{"nothing", body(&v1.ApplyRequest{}), malformed}},
		staff + "ListApplicants":                         {{"", body(&v1.ListApplicantsRequest{}), toAll}},
		staff + "PublishStaff":                           {{"nothing", body(&v1.PublishStaffRequest{}), malformed}},
		staff + "ListStaff":                              {{"", body(&v1.ListStaffRequest{}), toAll}},
		ticket + "OpenTicket":                            {{"about nothing", body(&v1.OpenTicketRequest{}), "401 403 401 400 400 400 400 400"}, {"", body(&v1.OpenTicketRequest{Topic: "clock"}), toMembers}},
		ticket + "ListTickets":                           {{"", body(&v1.ListTicketsRequest{}), toMembers}},
		ticket + "GetTicket":                             {{"A's", mine, inA}, {"none", body(&v1.GetTicketRequest{Ticket: 1 << 50}), "401 403 401 404 404 404 404 404"}},
		ticket + "PutMessage":                            {{"to nobody", of(func(m *matrix) proto.Message { return &v1.PutMessageRequest{Ticket: m.ticket} }), "401 403 401 404 400 400 400 400"}},
		ticket + "CloseTicket":                           {{"A's", of(func(m *matrix) proto.Message { return &v1.CloseTicketRequest{Ticket: m.spare} }), inA}},
		desk + "BeginShift":                              {{"", body(&v1.BeginShiftRequest{}), toAll}},
		desk + "StartShift":                              {{"nothing", body(&v1.StartShiftRequest{}), malformed}},
		desk + "EndShift":                                {{"", body(&v1.EndShiftRequest{}), noHousehold + " 200 200 200"}},
		desk + "ListDesk":                                {{"", body(&v1.ListDeskRequest{}), noHousehold + " 200 200 403"}},
		desk + "Explain":                                 {{"", body(&v1.ExplainRequest{}), noHousehold + " 200 200 200"}},
		desk + "ListMine":                                {{"", body(&v1.ListMineRequest{}), noHousehold + " 200 200 200"}},
		desk + "Audit":                                   {{"", body(&v1.AuditRequest{}), noHousehold + " 403 403 200"}},
		desk + "Reinstate":                               {{"nobody", body(&v1.ReinstateRequest{}), noHousehold + " 403 403 404"}},
		desk + "TakeTicket":                              {{"his own", of(func(m *matrix) proto.Message { return &v1.TakeTicketRequest{Ticket: m.c.ticket} }), noHousehold + " 200 403 403"}},
		desk + "ReadTicket":                              {{"C's", of(func(m *matrix) proto.Message { return &v1.GetTicketRequest{Ticket: m.c.ticket} }), noHousehold + " 200 403 403"}, {"none", body(&v1.GetTicketRequest{Ticket: 1 << 50}), noHousehold + " 403 403 403"}},
		desk + "Reply":                                   {{"to nobody", of(func(m *matrix) proto.Message { return &v1.PutMessageRequest{Ticket: m.c.ticket} }), noHousehold + " 400 403 403"}},
		desk + "ListGranted":                             {{"C's", of(func(m *matrix) proto.Message { return &v1.ListGrantedRequest{Ticket: m.c.ticket} }), noHousehold + " 200 403 403"}},
		desk + "OpenGranted":                             {{"C's", of(func(m *matrix) proto.Message { return &v1.OpenGrantedRequest{Ticket: m.c.ticket, Grant: m.c.grant[:]} }), noHousehold + " 200 403 403"}, {"of another ticket", of(func(m *matrix) proto.Message { return &v1.OpenGrantedRequest{Ticket: m.c.spare, Grant: m.c.grant[:]} }), noHousehold + " 403 403 403"}, {"A's grant", of(func(m *matrix) proto.Message { return &v1.OpenGrantedRequest{Ticket: m.c.ticket, Grant: m.grant[:]} }), noHousehold + " 403 403 403"}},
		desk + "Access":                                  {{"no entry", of(func(m *matrix) proto.Message { return &v1.AccessRequest{Ticket: m.c.ticket, Grant: m.c.grant[:]} }), noHousehold + " 400 403 403"}},
		desk + "Release":                                 {{"nothing", of(func(m *matrix) proto.Message { return &v1.ReleaseRequest{Ticket: m.c.ticket, Grant: m.c.grant[:]} }), noHousehold + " 400 403 403"}},
		"POST /latchkey.v1.LegalService/AddRequest":      {{"nothing", body(&v1.AddRequestRequest{}), noHousehold + " 403 403 403"}},
		"POST /latchkey.v1.LegalService/ListRequests":    {{"", body(&v1.ListRequestsRequest{}), noHousehold + " 403 403 200"}},
		"POST /latchkey.v1.LegalService/DecideRequest":   {{"none", body(&v1.DecideRequestRequest{Request: 9}), noHousehold + " 403 403 403"}},
		"POST /latchkey.v1.LegalService/ListDisclosures": {{"", body(&v1.ListDisclosuresRequest{}), toMembers}},
		"GET /v1/legal/{request}":                        {{"none", path(func(*matrix) string { return "/v1/legal/9" }), noHousehold + " 403 403 403"}},
		"GET /v1/desk/{ticket}/{grant}/hold": { // in force it lasts: TestHold
			{"C's, by another ticket", path(func(m *matrix) string { return holdPath(m.c.spare, m.c.grant) }), noHousehold + " 403 403 403"},
			{"A's", path(func(m *matrix) string { return holdPath(m.c.ticket, m.grant) }), noHousehold + " 403 403 403"},
		},
		"GET /v1/desk/{ticket}/{grant}/{track}": {
			{"C's, not said", path(func(m *matrix) string { return deskPath(m.c.ticket, m.c.grant, m.c.tracks[0]) }), noHousehold + " 404 403 403"},
			{"A's porch", path(func(m *matrix) string { return deskPath(m.c.ticket, m.grant, m.porch) }), noHousehold + " 403 403 403"},
		},
	}
}

func deskPath(ticket uint64, grant latchkey.GrantID, track latchkey.TrackID) string {
	return fmt.Sprintf("/v1/desk/%d/%v/%v?from=0", ticket, grant, track)
}

func holdPath(ticket uint64, grant latchkey.GrantID) string {
	return fmt.Sprintf("/v1/desk/%d/%v/hold", ticket, grant)
}

// What ends a grant, its ticket or a shift ends whoever looks: at once, or with
// the next sign.
func TestHold(t *testing.T) {
	for what, end := range map[string]func(*testing.T, *deskHome){
		"the grant": func(t *testing.T, d *deskHome) { d.append(t, must[[]byte](t)(d.Founder.Revoke(d.grant))) },
		"the ticket": func(t *testing.T, d *deskHome) {
			_, err := d.admin.tickets().CloseTicket(t.Context(), connect.NewRequest(&v1.CloseTicketRequest{Ticket: d.ticket}))
			try(t, err)
		},
		"the shift": func(t *testing.T, d *deskHome) {
			_, err := d.agent.desk.EndShift(t.Context(), connect.NewRequest(&v1.EndShiftRequest{}))
			try(t, err)
		},
	} {
		t.Run(what, func(t *testing.T) {
			root := newStaffRoot(t)
			url := localhost(startServer(t, cloud.Config{Log: cloud.LogConfig{Watchers: root.watchers()}}.Hurried(1200*time.Millisecond)))
			d := newDeskHome(t, root, url)
			req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), "GET", url+holdPath(d.ticket, d.grant), nil))
			req.Header.Set("Authorization", "Bearer "+d.agent.token)
			res := must[*http.Response](t)(http.DefaultClient.Do(req))
			defer res.Body.Close()
			// For longer than a request may take to be read.
			if _, err := io.ReadFull(res.Body, make([]byte, 5)); res.StatusCode != http.StatusOK || err != nil {
				t.Fatalf("in force: %s, %v", res.Status, err)
			}
			end(t, d)
			_ = must[int64](t)(io.Copy(io.Discard, res.Body))
			if again := must[*http.Response](t)(http.DefaultClient.Do(req)); again.StatusCode == http.StatusOK {
				t.Errorf("and again: %s", again.Status)
			}
		})
	}
}
