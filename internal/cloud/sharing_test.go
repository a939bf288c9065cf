package cloud_test

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
	"latchkey.dev/latchkey/ledger"
)

// TestDirectory: an admin's, compare-and-swap, one letter to a member, each
// reads his own.
func TestDirectory(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	p, a := h.join(t, hometest.Rights{Role: chain.RoleMember})
	v, b := h.join(t, hometest.Rights{Role: chain.RoleViewer})
	letter := func(p *hometest.Person) *v1.Letter {
		kid := p.Kid()
		return &v1.Letter{Kid: kid[:], Body: p.Letter()}
	}
	put := func(by *api, expected, n uint64, letters ...*v1.Letter) error {
		_, err := by.chain.PutDirectory(t.Context(), connect.NewRequest(&v1.PutDirectoryRequest{ExpectedN: expected, N: n, Letters: letters}))
		return err
	}
	get := func(by *api) (*v1.GetDirectoryResponse, error) {
		res, err := by.chain.GetDirectory(t.Context(), connect.NewRequest(&v1.GetDirectoryRequest{}))
		if err != nil {
			return nil, err
		}
		return res.Msg, nil
	}
	_, err := get(a)
	wantCode(t, err, connect.CodeNotFound)
	first := []*v1.Letter{letter(h.Founder), letter(p), letter(v)}
	for _, by := range []*api{a, b} {
		wantCode(t, put(by, 0, 1, first...), connect.CodePermissionDenied)
	}
	wantCode(t, put(h.admin, 4, 5, first...), connect.CodeAborted)
	try(t, put(h.admin, 0, 1, first...))
	wantCode(t, put(h.admin, 0, 1, first...), connect.CodeAborted)
	if got, err := get(a); err != nil || got.GetN() != 1 || !bytes.Equal(got.GetLetter(), first[1].GetBody()) {
		t.Errorf("%v %v", got, err)
	}
	large := letter(p)
	large.Body = append(large.GetBody(), make([]byte, 64<<10)...)
	kid := h.hub.Key.Kid()
	for name, letters := range map[string][]*v1.Letter{
		"in clear":       {{Kid: letter(p).GetKid(), Body: []byte(`{"household":"The Smiths"}`)}},
		"for another":    {{Kid: letter(p).GetKid(), Body: v.Letter()}},
		"twice":          {letter(p), letter(p)},
		"to a hub":       {{Kid: kid[:], Body: p.Letter()}},
		"half a kid":     {{Kid: kid[:8], Body: p.Letter()}},
		"too large":      {large},
		"a larger crowd": bigCrowd(letter(p)),
	} {
		if err := put(h.admin, 1, 2, letters...); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantCode(t, put(h.admin, 1, 1, first...), connect.CodeInvalidArgument)
	try(t, put(h.admin, 1, 7, letter(p))) // who is left out has none
	_, err = get(b)
	wantCode(t, err, connect.CodeNotFound)
	if got, err := get(a); err != nil || got.GetN() != 7 {
		t.Errorf("%v %v", got, err)
	}
	h.append(t, must[[]byte](t)(h.RemoveMember(p)))
	_, err = get(a)
	wantCode(t, err, connect.CodeUnauthenticated)
}

func bigCrowd(l *v1.Letter) []*v1.Letter {
	var out []*v1.Letter
	for range 65 {
		out = append(out, l)
	}
	return out
}

// TestCapsulesOfGrants: issuer or admin, never a viewer, what the chain names,
// up to 4 MiB; and fsck holds them against the chain.
func TestCapsulesOfGrants(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, cloud.Config{DataDir: dir})
	h := found(t, s.URL, 1, 1)
	sharer, a := h.join(t, hometest.Rights{Role: chain.RoleMember, Share: true})
	viewer, b := h.join(t, hometest.Rights{Role: chain.RoleViewer, Share: true})
	p, c := h.join(t, hometest.Rights{Role: chain.RoleMember})
	put := func(by *api, id, capsule []byte) error {
		var proof []byte
		if len(id) == latchkey.IDSize {
			proof = h.proof(t, latchkey.GrantID(id))
		}
		_, err := by.chain.PutCapsule(t.Context(), connect.NewRequest(&v1.PutCapsuleRequest{Grant: id, Capsule: capsule, Proof: proof}))
		return err
	}
	hour := chain.TrackRange{Track: h.tracks[0], From: 100, Until: 3700}
	later := time.Now().Add(time.Hour).Unix()
	one, raw, capsule, err := sharer.Grant(p, later, hour)
	try(t, err)
	_, err = a.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: raw}))
	try(t, err)
	for _, by := range []*api{b, c} {
		wantCode(t, put(by, one[:], capsule), connect.CodePermissionDenied)
	}
	try(t, put(a, one[:], capsule))
	two, raw, second, err := viewer.Grant(p, later, hour)
	try(t, err)
	_, err = b.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: raw}))
	try(t, err)
	wantCode(t, put(b, two[:], second), connect.CodePermissionDenied)
	try(t, put(h.admin, two[:], second))
	wantCode(t, put(h.admin, two[:8], second), connect.CodeInvalidArgument)
	for size, code := range map[int]connect.Code{4 << 20: 0, 4<<20 + 1: connect.CodeInvalidArgument, 7 << 20: connect.CodeResourceExhausted} {
		large := append(p.Capsule(), make([]byte, size)...)[:size]
		id, raw, err := h.Founder.GrantCapsule(p, later, large, hour)
		try(t, err)
		h.append(t, raw)
		if err := put(h.admin, id[:], large); (err == nil) != (code == 0) || err != nil && connect.CodeOf(err) != code {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	try(t, s.Close())
	report := must[cloud.Report](t)(cloud.Fsck(t.Context(), cloud.Config{DataDir: dir}))
	if len(report.Problems) != 0 {
		t.Errorf("%v", report.Problems)
	}
	db := must[*sql.DB](t)(sql.Open("sqlite", filepath.Join(dir, "catalog.db")))
	_, err = db.ExecContext(t.Context(), `UPDATE grant_capsules SET capsule = 'x' WHERE grant_id = $1`, one[:])
	try(t, err)
	try(t, db.Close())
	report = must[cloud.Report](t)(cloud.Fsck(t.Context(), cloud.Config{DataDir: dir}))
	if len(report.Problems) != 1 || report.Problems[0].Kind != "wrong-capsule" {
		t.Errorf("%v", report.Problems)
	}
}

// TestC13ServerWantsTheProof: a capsule is taken with the proof of its own
// grant, of this server's log, and with no other; the grantee gets it along.
func TestC13ServerWantsTheProof(t *testing.T) {
	dir := t.TempDir()
	s, other := startServer(t, cloud.Config{DataDir: dir}), startServer(t, cloud.Config{})
	h, elsewhere := found(t, s.URL, 1, 1), found(t, other.URL, 2, 1)
	p, a := h.join(t, hometest.Rights{Role: chain.RoleMember})
	id, raw, capsule, err := h.Founder.Grant(p, time.Now().Add(time.Hour).Unix(), chain.TrackRange{Track: h.tracks[0], From: 100, Until: 3700})
	try(t, err)
	h.append(t, raw)
	put := func(proof []byte) error {
		_, err := h.admin.chain.PutCapsule(t.Context(), connect.NewRequest(&v1.PutCapsuleRequest{Grant: id[:], Capsule: capsule, Proof: proof}))
		return err
	}
	proof := h.proof(t, id)
	parsed := must[ledger.Proof](t)(ledger.ParseProof(proof))
	parsed.Extra = nil
	for name, bad := range map[string][]byte{
		"none": nil, "of the statement before": h.proofOf(t, h.State.Seq-1), "of another log": elsewhere.proofOf(t, 0),
		"without its tag": parsed.Encode(), "cut": proof[:len(proof)-1], "of two": append(bytes.Clone(proof), proof...),
	} {
		if err := put(bad); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = a.chain.GetCapsule(t.Context(), connect.NewRequest(&v1.GetCapsuleRequest{Grant: id[:]}))
	wantCode(t, err, connect.CodeNotFound)
	try(t, put(proof))
	res := must[*connect.Response[v1.GetCapsuleResponse]](t)(a.chain.GetCapsule(t.Context(), connect.NewRequest(&v1.GetCapsuleRequest{Grant: id[:]})))
	if !bytes.Equal(res.Msg.GetProof(), proof) {
		t.Error("another proof comes back")
	}
	try(t, s.Close())
	db := must[*sql.DB](t)(sql.Open("sqlite", filepath.Join(dir, "catalog.db")))
	_, err = db.ExecContext(t.Context(), `UPDATE grant_capsules SET proof = $1 WHERE grant_id = $2`, parsed.Encode(), id[:])
	try(t, err)
	try(t, db.Close())
	report := must[cloud.Report](t)(cloud.Fsck(t.Context(), cloud.Config{DataDir: dir}))
	if len(report.Problems) != 1 || report.Problems[0].Kind != "wrong-proof" {
		t.Errorf("%v", report.Problems)
	}
}
