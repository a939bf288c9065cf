package cloud_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
	"latchkey.dev/latchkey/ledger"
	"latchkey.dev/latchkey/part"
)

// seenBy is a household with footage and a ticket, and two of staff: agent has
// the ticket, and eve knows everything about the household that is no secret.
type seenBy struct {
	*house
	agent, eve *clerk
	ticket     uint64
	e          *hometest.Epoch
	film       []filmed // of tracks[0]: slots 0 to 9
}

func newSeenBy(t *testing.T) *seenBy {
	t.Helper()
	root, rnd := newStaffRoot(t), hometest.NewRand(11)
	s := startServer(t, cloud.Config{Log: cloud.LogConfig{Watchers: root.watchers(), Checkpoint: 50 * time.Millisecond, SetSoon: 50 * time.Millisecond}})
	w := &seenBy{agent: root.hire(t, localhost(s), "sam", ledger.RoleSupport, rnd), house: foundUnder(t, localhost(s), 1, 2)}
	w.ticket = must[*connect.Response[v1.OpenTicketResponse]](t)(w.admin.tickets().OpenTicket(t.Context(), connect.NewRequest(&v1.OpenTicketRequest{Topic: "other"}))).Msg.GetTicket()
	w.eve = root.hire(t, localhost(s), "eve", ledger.RoleSupport, rnd)
	u := w.dial(t)
	w.e = w.epoch(t, time.Now().Add(-time.Hour))
	u.announce(t, w.e)
	w.film = w.record(t, u, w.e, w.tracks[0], 10, 1)
	w.record(t, u, w.e, w.tracks[1], 10, 1)
	return w
}

// grantTo lets an agent see slots of a track until some time.
func (w *seenBy) grantTo(t *testing.T, c *clerk, from, until int64, end time.Time) latchkey.GrantID {
	t.Helper()
	id, raw, capsule, mask, err := w.Founder.StaffGrant(w.hub, c.X, w.ticket, end.Unix(), chain.TrackRange{Track: w.tracks[0], From: w.e.Start + from, Until: w.e.Start + until})
	try(t, err)
	w.append(t, raw)
	_, err = w.admin.chain.PutCapsule(t.Context(), connect.NewRequest(&v1.PutCapsuleRequest{Grant: id[:], Capsule: capsule, Proof: w.proof(t, id), Mask: mask}))
	try(t, err)
	return id
}

// says writes that an agent opens slots of a track.
func (w *seenBy) says(t *testing.T, c *clerk, id latchkey.GrantID, track latchkey.TrackID, slots ...uint32) (*v1.AccessResponse, error) {
	t.Helper()
	m := &v1.AccessRequest{Ticket: w.ticket, Grant: id[:]}
	for _, slot := range slots {
		name := append(slices.Clone(w.e.ID[:]), track[:]...)
		m.Entries = append(m.Entries, binary.BigEndian.AppendUint32(name, uint32(part.Depth)<<24|slot))
	}
	res, err := c.desk.Access(t.Context(), connect.NewRequest(m))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

// gets asks for footage as somebody of staff.
func (w *seenBy) gets(t *testing.T, c *clerk, path string) (int, []byte) {
	t.Helper()
	res, body := newAPI(w.url, c.token).get(t, path)
	return res.StatusCode, body
}

// holds tells which slots there is anything of.
func (w *seenBy) holds(body []byte) (slots []uint32) {
	for _, p := range w.film {
		if bytes.Contains(body, p.raw[128:192]) {
			slots = append(slots, p.h.Slot)
		}
	}
	return slices.Compact(slots)
}

// notices are what the household's chain says of staff: action and object.
func (w *seenBy) notices(t *testing.T) (out []string) {
	t.Helper()
	for _, raw := range must[*connect.Response[v1.GetChainResponse]](t)(w.admin.chain.GetChain(t.Context(), connect.NewRequest(&v1.GetChainRequest{}))).Msg.GetNotes() {
		st := must[chain.Statement](t)(chain.ParseStatement(must[chain.Note](t)(chain.ParseNote(raw))))
		if n, ok := st.(chain.Notice); ok {
			out = append(out, fmt.Sprint(n.Staff == w.eve.kid(), " ", n.Action, " ", n.Object))
		}
	}
	return out
}

func (c *clerk) kid() latchkey.Kid { return chain.KidOf(c.X) }

// TestIRT03NeedToKnow: who of staff knows a household, its ticket, its cameras
// and even its grant, and is not the one who has the ticket, is refused, and the
// household reads of it. Who was granted something sees that camera and those
// seconds, once he has said so in the chain, and nothing a second after its end.
func TestIRT03NeedToKnow(t *testing.T) {
	w := newSeenBy(t)
	end := time.Now().Add(8 * time.Second)
	grant := w.grantTo(t, w.agent, 2, 6, end)
	id, track := w.ID(), w.tracks[0]
	desk := deskPath(w.ticket, grant, track)
	for _, path := range []string{desk, "/v1/footage/" + track.String() + "?from=0", deskPath(w.ticket, latchkey.GrantID(id), track)} {
		if status, body := w.gets(t, w.eve, path); status != http.StatusForbidden && status != http.StatusUnauthorized || len(w.holds(body)) > 0 {
			t.Errorf("eve got status %d for %s", status, path)
		}
	}
	for name, err := range map[string]error{
		"read":   second(w.eve.desk.ReadTicket(t.Context(), connect.NewRequest(&v1.GetTicketRequest{Ticket: w.ticket}))),
		"list":   second(w.eve.desk.ListGranted(t.Context(), connect.NewRequest(&v1.ListGrantedRequest{Ticket: w.ticket}))),
		"open":   second(w.eve.desk.OpenGranted(t.Context(), connect.NewRequest(&v1.OpenGrantedRequest{Ticket: w.ticket, Grant: grant[:]}))),
		"access": second(w.says(t, w.eve, grant, track, 3)),
	} {
		if connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Errorf("eve may %s: %v", name, err)
		}
	}
	if said := w.notices(t); !slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, "true refused ") }) {
		t.Errorf("the household's chain does not tell of eve: %q", said)
	}
	if status, _ := w.gets(t, w.agent, desk); status != http.StatusNotFound {
		t.Errorf("before it stands in the chain: status %d", status)
	}
	for name, err := range map[string]error{
		"seconds before": second(w.says(t, w.agent, grant, track, 1)),
		"seconds after":  second(w.says(t, w.agent, grant, track, 6)),
		"another camera": second(w.says(t, w.agent, grant, w.tracks[1], 3)),
	} {
		if connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Errorf("the agent opens %s: %v", name, err)
		}
	}
	for {
		res, err := w.says(t, w.agent, grant, track, 3, 4)
		try(t, err)
		if len(res.GetProof()) > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if status, body := w.gets(t, w.agent, desk); status != 200 || !slices.Equal(w.holds(body), []uint32{3, 4}) {
		t.Fatalf("the agent got status %d and the seconds %v, want 3 and 4", status, w.holds(body))
	}
	if status, _ := w.gets(t, w.agent, deskPath(w.ticket, grant, w.tracks[1])); status != http.StatusNotFound {
		t.Errorf("another camera: status %d", status)
	}
	time.Sleep(time.Until(time.Unix(end.Unix(), 0).Add(time.Second)))
	if status, body := w.gets(t, w.agent, desk); status != http.StatusForbidden || len(w.holds(body)) > 0 {
		t.Errorf("a second after its end: status %d", status)
	}
	if _, err := w.says(t, w.agent, grant, track, 5); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("a second after its end: %v", err)
	}
}

// TestIRT06AlteredGrant: a grant with another camera, time, grantee or end than
// its household has signed is no grant, whoever brings it.
func TestIRT06AlteredGrant(t *testing.T) {
	w := newSeenBy(t)
	before := w.State
	_, raw, _, _, err := w.Founder.StaffGrant(w.hub, w.agent.X, w.ticket, time.Now().Add(time.Hour).Unix(), chain.TrackRange{Track: w.tracks[0], From: w.e.Start, Until: w.e.Start + 4})
	try(t, err)
	g, ok := must[chain.Statement](t)(chain.ParseStatement(must[chain.Note](t)(chain.ParseNote(raw)))).(chain.AddGrant)
	if !ok {
		t.Fatal("no grant")
	}
	_, signature, _ := bytes.Cut(raw, []byte("\n\n"))
	put := func(note []byte) error {
		return second(w.admin.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: note})))
	}
	for name, change := range map[string]func(g *chain.AddGrant){
		"camera":  func(g *chain.AddGrant) { g.Tracks[0].Track = w.tracks[1] },
		"from":    func(g *chain.AddGrant) { g.Tracks[0].From -= 600 },
		"until":   func(g *chain.AddGrant) { g.Tracks[0].Until += 600 },
		"grantee": func(g *chain.AddGrant) { g.To, g.Key = w.eve.kid(), w.eve.X },
		"end":     func(g *chain.AddGrant) { g.Until += 86400 },
		"ticket":  func(g *chain.AddGrant) { g.Purpose = "support:999" },
		"kind": func(g *chain.AddGrant) {
			g.Kind, g.Purpose, g.Release, g.Mask = chain.GrantLink, "", latchkey.Kid{}, latchkey.Hash{}
		},
	} {
		altered := g
		altered.Tracks = slices.Clone(g.Tracks)
		change(&altered)
		text, err := altered.Text()
		if err != nil {
			continue // such a grant cannot even be written
		}
		if connect.CodeOf(put(append(append(text, '\n'), signature...))) != connect.CodePermissionDenied {
			t.Errorf("a grant with another %s is taken", name)
		}
		if connect.CodeOf(put(chain.SignNote(text, w.agent.key))) != connect.CodePermissionDenied {
			t.Errorf("a grant with another %s is taken when an agent has signed it", name)
		}
	}
	n := len(must[*connect.Response[v1.GetChainResponse]](t)(w.admin.chain.GetChain(t.Context(), connect.NewRequest(&v1.GetChainRequest{FromSeq: before.Seq + 1}))).Msg.GetNotes())
	if n != 0 {
		t.Errorf("%d statements were taken", n)
	}
	try(t, put(raw)) // as it was signed it is one
}
