package cloud_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/ledger"
)

// proof waits until the statement of a grant can be proven to stand in the
// server's log, as its issuer does before he releases the capsule.
func (h *house) proof(t *testing.T, id latchkey.GrantID) []byte {
	t.Helper()
	g, ok := h.State.Grants[id]
	if !ok {
		t.Fatalf("no grant %v", id)
	}
	return h.proofOf(t, g.Seq)
}

// log is the server's public log, and the policy that it says of itself.
func (h *house) log(t *testing.T) (*ledger.Policy, *ledger.Log) {
	t.Helper()
	anybody := newAPI(h.url, "")
	_, text := anybody.get(t, "/log/policy")
	policy := must[*ledger.Policy](t)(ledger.ParsePolicy(string(text)))
	return policy, ledger.NewLog(policy, func(_ context.Context, path string) ([]byte, error) {
		res, body := anybody.get(t, policy.Path()+path)
		if res.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %w", path, latchkey.ErrUnavailable)
		}
		return body, nil
	})
}

func (h *house) proofOf(t *testing.T, seq uint64) []byte {
	t.Helper()
	policy, log := h.log(t)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		res := must[*connect.Response[v1.GetLeavesResponse]](t)(h.admin.chain.GetLeaves(t.Context(), connect.NewRequest(&v1.GetLeavesRequest{FromSeq: seq})))
		if len(res.Msg.GetLeaves()) == 0 {
			continue
		}
		c, err := log.Checkpoint(t.Context())
		leaf := int64(res.Msg.GetLeaves()[0])
		if err != nil || leaf >= c.Size {
			continue
		}
		p := must[ledger.Proof](t)(log.Prove(t.Context(), c, leaf))
		n := must[chain.Note](t)(chain.ParseNote(h.Chain[seq]))
		entry := ledger.Entry{Tag: ledger.TagOf(&h.LogTagKey, seq), Value: n.Hash()}
		p.Extra = entry.Tag[:]
		_, err = p.Check(policy, entry.Encode())
		try(t, err)
		return p.Encode()
	}
	t.Fatalf("statement %d did not come into the log", seq)
	return nil
}
