package cloud_test

import (
	"testing"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
)

// TestHubAnchors: a hub's session appends that hub's anchors, at their place in
// the chain, and nothing else; they get their leaf like every statement.
func TestHubAnchors(t *testing.T) {
	s := startServer(t, cloud.Config{})
	h, other := found(t, s.URL, 1, 1), found(t, s.URL, 2, 1)
	second, raw, err := h.AddHub()
	try(t, err)
	h.append(t, raw)
	hub := newAPI(s.URL, login(t, s.URL, h.Home, h.hub.Key))
	anchor := func(by *hometest.Hub) []byte { return must[[]byte](t)(by.Anchor(latchkey.Hash{1})) }
	put := func(by *api, note []byte) error {
		_, err := by.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: note}))
		return err
	}
	mine := anchor(h.hub)
	removal := must[[]byte](t)(h.EnrolAgain(second))
	for name, c := range map[string]struct {
		by   *api
		note []byte
		code connect.Code
	}{
		"another hub's anchor":         {hub, anchor(second), connect.CodePermissionDenied},
		"another household's anchor":   {hub, anchor(other.hub), connect.CodePermissionDenied},
		"a statement of the admin":     {hub, removal, connect.CodePermissionDenied},
		"an anchor that he has signed": {h.admin, must[[]byte](t)((&hometest.Hub{Home: h.Home, Key: h.Admin}).Anchor(latchkey.Hash{1})), connect.CodePermissionDenied},
		"nobody's session":             {newAPI(s.URL, ""), mine, connect.CodeUnauthenticated},
	} {
		if err := put(c.by, c.note); connect.CodeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	try(t, put(hub, mine))
	if err := put(hub, mine); connect.CodeOf(err) != connect.CodeAborted {
		t.Errorf("once more: %v", err)
	}
	res := must[*connect.Response[v1.GetChainResponse]](t)(hub.chain.GetChain(t.Context(), connect.NewRequest(&v1.GetChainRequest{FromSeq: h.State.Seq + 1})))
	if notes := res.Msg.GetNotes(); len(notes) != 1 || chain.TextHash(notes[0]) != chain.TextHash(mine) {
		t.Errorf("%d statements behind the head", len(notes))
	}
}
