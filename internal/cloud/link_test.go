package cloud_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
)

// putLink is the request that puts a link whose grant is in the chain.
func (h *house) putLink(t *testing.T, l hometest.Link) *v1.PutLinkRequest {
	t.Helper()
	return &v1.PutLinkRequest{Grant: l.Grant[:], Capsule: l.Capsule, Proof: h.proof(t, l.Grant), Mac: l.MAC, Words: l.Words, Kid: l.Kid[:]}
}

func openLink(t *testing.T, url string, kid latchkey.Kid) (*v1.OpenLinkResponse, error) {
	t.Helper()
	res, err := newAPI(url, "").links.OpenLink(t.Context(), connect.NewRequest(&v1.OpenLinkRequest{Kid: kid[:]}))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

// ofTheLink is the object of rows that ask with the kid of A's link.
const ofTheLink = "A's link"

// linkShows are the secrets of the matrix that whoever has the link may see.
func linkShows() []string { return []string{"A's id", "A's hub", "the porch", "the early epoch"} }

func linkRows() map[string][]row {
	const s = "POST /latchkey.v1.LinkService/"
	footage := func(kid func(m *matrix) latchkey.Kid, track func(m *matrix) latchkey.TrackID) func(*matrix, int) (proto.Message, string) {
		return path(func(m *matrix) string { return fmt.Sprintf("/v1/links/%v/%v?from=0", kid(m), track(m)) })
	}
	own := func(m *matrix) latchkey.Kid { return m.link.Kid }
	porch := func(m *matrix) latchkey.TrackID { return m.porch }
	yard := func(m *matrix) latchkey.TrackID { return m.yard }
	return map[string][]row{
		s + "PutLink":   {{ofTheLink, asking(func(m *matrix, _ int) proto.Message { return m.a.putLink(m.T, m.link) }), "401 403 401 404 403 403 403 200"}},
		s + "ListLinks": {{"", body(&v1.ListLinksRequest{}), toMembers}},
		s + "OpenLink": {
			{ofTheLink, asking(func(m *matrix, _ int) proto.Message { return &v1.OpenLinkRequest{Kid: m.link.Kid[:]} }), toAll},
			{"no link", body(&v1.OpenLinkRequest{Kid: make([]byte, 16)}), toNobody},
			{"nonsense", body(&v1.OpenLinkRequest{Kid: make([]byte, 3)}), malformed},
		},
		"GET /v1/links/{kid}/{track}": {
			{ofTheLink, footage(own, porch), toAll},
			{"another track", footage(own, yard), toNobody},
			{"a member's kid", footage(func(m *matrix) latchkey.Kid { return m.people[member].XKid() }, porch), toNobody},
			{"nonsense", path(func(m *matrix) string { return fmt.Sprintf("/v1/links/%v/%v?from=x", m.link.Kid, m.porch) }), malformed},
		},
	}
}

// linkedHome is a household with two epochs of footage of two tracks.
type linkedHome struct {
	*house
	s             *testServer
	cfg           cloud.Config
	porch, yard   latchkey.TrackID
	one, two      *hometest.Epoch
	filmed, after []filmed // of the porch
}

func newLinkedHome(t *testing.T) *linkedHome {
	t.Helper()
	l := &linkedHome{cfg: cloud.Config{DataDir: t.TempDir(), Reels: cloud.ReelConfig{Slots: 4}}}
	l.s = startServer(t, l.cfg)
	l.house = found(t, l.s.URL, 1, 2)
	l.porch, l.yard = l.tracks[0], l.tracks[1]
	u, start := l.dial(t), time.Now().Add(-time.Hour)
	l.one, l.two = l.epoch(t, start), l.epoch(t, start.Add(10*time.Minute))
	u.announce(t, l.one)
	u.announce(t, l.two)
	l.filmed = l.record(t, u, l.one, l.porch, 20, 3)
	l.record(t, u, l.one, l.yard, 20, 3)
	l.after = l.record(t, u, l.two, l.porch, 5, 3)
	return l
}

// link puts a link of the porch's seconds [from, until) of the first epoch.
func (l *linkedHome) link(t *testing.T, by *hometest.Person, a *api, end, from, until int64) hometest.Link {
	t.Helper()
	link, raw, err := by.Link(l.hub, end, chain.TrackRange{Track: l.porch, From: l.one.Start + from, Until: l.one.Start + until})
	try(t, err)
	_, err = a.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: raw}))
	try(t, err)
	_, err = a.links.PutLink(t.Context(), connect.NewRequest(l.putLink(t, link)))
	try(t, err)
	return link
}

func (l *linkedHome) status(t *testing.T, link hometest.Link, track latchkey.TrackID, query string) (int, []byte) {
	t.Helper()
	res, body := newAPI(l.url, "").get(t, fmt.Sprintf("/v1/links/%v/%v?%s", link.Kid, track, query))
	return res.StatusCode, body
}

// TestC4LinkServesItsSecondsOnly: at both borders, by time and by number, and of
// no other track and epoch; a revocation ends it at once, and so does its time.
func TestC4LinkServesItsSecondsOnly(t *testing.T) {
	l := newLinkedHome(t)
	later := time.Now().Add(time.Hour).Unix()
	const a, b = 5, 11
	link := l.link(t, l.Founder, l.admin, later, a, b)
	var want []byte
	for _, f := range l.filmed {
		in := int64(f.h.Slot) >= a && int64(f.h.Slot) < b
		if in {
			want = append(want, f.raw...)
		}
		status, _ := l.status(t, link, l.porch, fmt.Sprintf("epoch=%v&seq=%d&max=1", l.one.ID, f.h.Seq))
		if (status == 200) != in || !in && status != 404 {
			t.Errorf("slot %d, part %d: status %d", f.h.Slot, f.h.Seq, status)
		}
	}
	for _, from := range []int64{0, l.one.Start, l.one.Start + a - 1, l.one.Start + a} {
		if status, got := l.status(t, link, l.porch, fmt.Sprintf("from=%d", from)); status != 200 || !bytes.Equal(got, want) {
			t.Errorf("from %d: status %d, %d bytes of %d", from, status, len(got), len(want))
		}
	}
	for _, from := range []int64{l.one.Start + b, l.two.Start} { // nothing after, but the lead-in within
		if _, got := l.status(t, link, l.porch, fmt.Sprintf("from=%d", from)); !bytes.HasSuffix(want, got) {
			t.Errorf("from %d: %d bytes", from, len(got))
		}
	}
	if status, _ := l.status(t, link, l.porch, fmt.Sprintf("epoch=%v&seq=0", l.two.ID)); status != 404 {
		t.Errorf("another epoch: status %d", status)
	}
	if status, _ := l.status(t, link, l.yard, "from=0"); status != 404 {
		t.Errorf("another track: status %d", status)
	}
	past := l.link(t, l.Founder, l.admin, time.Now().Add(3*time.Second).Unix(), a, b)
	l.append(t, must[[]byte](t)(l.Founder.Revoke(link.Grant)))
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) { // until its time is over
		if _, err := openLink(t, l.url, past.Kid); connect.CodeOf(err) == connect.CodeNotFound || time.Now().After(end) {
			break
		}
	}
	for name, gone := range map[string]hometest.Link{"revoked": link, "over": past, "never put": {Kid: latchkey.Kid{7}}} {
		if status, _ := l.status(t, gone, l.porch, "from=0"); status != 404 {
			t.Errorf("%s: footage: status %d", name, status)
		}
		if _, err := openLink(t, l.url, gone.Kid); connect.CodeOf(err) != connect.CodeNotFound {
			t.Errorf("%s: open: %v", name, err)
		}
	}
	if res := must[*connect.Response[v1.ListLinksResponse]](t)(l.admin.links.ListLinks(t.Context(), connect.NewRequest(&v1.ListLinksRequest{}))); len(res.Msg.GetLinks()) != 0 {
		t.Errorf("still listed: %v", res.Msg.GetLinks())
	}
}

// TestC18ShareObjectNamesNobody: whoever opens a link gets what its sharer put,
// the statement, and the epochs that its lines meet; in all of it no kid of a
// person but the one who signed.
func TestC18ShareObjectNamesNobody(t *testing.T) {
	l := newLinkedHome(t)
	other, a := l.join(t, hometest.Rights{Role: chain.RoleMember, Share: true})
	link := l.link(t, l.Founder, l.admin, time.Now().Add(time.Hour).Unix(), 5, 11)
	res, err := openLink(t, l.url, link.Kid)
	try(t, err)
	note := l.Chain[l.State.Grants[link.Grant].Seq]
	if !bytes.Equal(res.GetNote(), note) || !bytes.Equal(res.GetCapsule(), link.Capsule) || !bytes.Equal(res.GetMac(), link.MAC) ||
		!bytes.Equal(res.GetWords(), link.Words) || len(res.GetProof()) == 0 {
		t.Error("not what was put")
	}
	if len(res.GetEpochs()) != 1 || !bytes.Equal(res.GetEpochs()[0].GetNote(), l.one.Note) {
		t.Fatalf("%d epochs", len(res.GetEpochs()))
	}
	all := slices.Concat([]byte(protojson.Format(res)), res.GetNote(), res.GetEpochs()[0].GetNote(), res.GetEpochs()[0].GetHeads())
	for _, kid := range []latchkey.Kid{l.Founder.XKid(), other.XKid(), other.Kid()} {
		for _, form := range []string{string(kid[:]), kid.String(), latchkey.B64(kid[:])} {
			if strings.Contains(string(all), form) {
				t.Errorf("a member's kid %v is in it", kid)
			}
		}
	}
	own := l.link(t, other, a, time.Now().Add(time.Hour).Unix(), 5, 6)
	for range 2 {
		_, err = openLink(t, l.url, own.Kid)
		try(t, err)
	}
	views := func(by *api) map[latchkey.GrantID]uint32 {
		res := must[*connect.Response[v1.ListLinksResponse]](t)(by.links.ListLinks(t.Context(), connect.NewRequest(&v1.ListLinksRequest{})))
		out := map[latchkey.GrantID]uint32{}
		for _, v := range res.Msg.GetLinks() {
			if (v.GetViews() > 0) != (v.GetLastViewMs() > 0) {
				t.Errorf("%v", v)
			}
			out[latchkey.GrantID(v.GetGrant())] = v.GetViews()
		}
		return out
	}
	if got := views(l.admin); len(got) != 2 || got[own.Grant] != 2 || got[link.Grant] != 1 {
		t.Errorf("an admin sees %v", got)
	}
	if got := views(a); len(got) != 1 || got[own.Grant] != 2 {
		t.Errorf("a sharer sees %v", got)
	}
}

// TestPutLink: who may, and in which form; the same link again changes nothing.
func TestPutLink(t *testing.T) {
	l := newLinkedHome(t)
	p, a := l.join(t, hometest.Rights{Role: chain.RoleMember, Share: true})
	link, raw, err := l.Founder.Link(l.hub, time.Now().Add(time.Hour).Unix(), chain.TrackRange{Track: l.porch, From: l.one.Start, Until: l.one.Start + 2})
	try(t, err)
	l.append(t, raw)
	toMember, raw, capsule, err := l.Founder.Grant(p, time.Now().Add(time.Hour).Unix(), chain.TrackRange{Track: l.porch, From: 1, Until: 2})
	try(t, err)
	l.append(t, raw)
	good := l.putLink(t, link)
	put := func(by *api, change func(*v1.PutLinkRequest)) error {
		q := proto.CloneOf(good)
		change(q)
		_, err := by.links.PutLink(t.Context(), connect.NewRequest(q))
		return err
	}
	same := func(*v1.PutLinkRequest) {}
	wantCode(t, put(a, same), connect.CodePermissionDenied)
	for name, change := range map[string]func(*v1.PutLinkRequest){
		"no proof":        func(q *v1.PutLinkRequest) { q.Proof = nil },
		"another's proof": func(q *v1.PutLinkRequest) { q.Proof = l.proof(t, toMember) },
		"another capsule": func(q *v1.PutLinkRequest) { q.Capsule = append(q.GetCapsule(), 0) },
		"a short mac":     func(q *v1.PutLinkRequest) { q.Mac = q.GetMac()[1:] },
		"words in clear": func(q *v1.PutLinkRequest) {
			q.Words = []byte(`{"from":"Ann","camera":"porch","note":""}` + strings.Repeat(" ", 40))
		},
		"no words":       func(q *v1.PutLinkRequest) { q.Words = nil },
		"another kid":    func(q *v1.PutLinkRequest) { q.Kid = make([]byte, 16) },
		"half a kid":     func(q *v1.PutLinkRequest) { q.Kid = q.GetKid()[:8] },
		"too many words": func(q *v1.PutLinkRequest) { q.Words = append(q.GetWords(), make([]byte, 4<<10)...) },
		"to a member": func(q *v1.PutLinkRequest) {
			q.Grant, q.Capsule, q.Proof = toMember[:], capsule, l.proof(t, toMember)
		},
	} {
		if err := put(l.admin, change); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := openLink(t, l.url, link.Kid); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("refused, and open: %v", err)
	}
	try(t, put(l.admin, same))
	_, err = openLink(t, l.url, link.Kid)
	try(t, err)
	try(t, put(l.admin, func(q *v1.PutLinkRequest) { q.Mac = make([]byte, 32) })) // what is there stays
	res, err := openLink(t, l.url, link.Kid)
	if err != nil || !bytes.Equal(res.GetMac(), link.MAC) {
		t.Errorf("it was replaced: %v", err)
	}
	try(t, l.s.Close())
	report := must[cloud.Report](t)(cloud.Fsck(t.Context(), l.cfg))
	if len(report.Problems) != 0 {
		t.Errorf("%v", report.Problems)
	}
	db := must[*sql.DB](t)(sql.Open("sqlite", filepath.Join(l.cfg.DataDir, "catalog.db")))
	_, err = db.ExecContext(t.Context(), `UPDATE links SET kid = $1`, make([]byte, 16))
	try(t, err)
	try(t, db.Close())
	report = must[cloud.Report](t)(cloud.Fsck(t.Context(), l.cfg))
	if len(report.Problems) != 1 || report.Problems[0].Kind != "wrong-link" {
		t.Errorf("%v", report.Problems)
	}
}
