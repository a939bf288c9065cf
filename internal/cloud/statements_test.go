package cloud_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/watch"
	"latchkey.dev/latchkey/ledger"
)

// TestStatementsAtOnce has many households say much at once: every statement
// comes into the log under a checkpoint that the witnesses have signed. With
// LATCHKEY_BENCH=1 it says how many a second (docs/performance.md); a rate is
// never asserted.
func TestStatementsAtOnce(t *testing.T) {
	homes, each := 4, 3
	if os.Getenv("LATCHKEY_BENCH") != "" {
		homes, each = 32, 100
	}
	rates := map[int]float64{}
	for _, witnesses := range []int{0, 2} {
		t.Run(fmt.Sprintf("%d witnesses", witnesses), func(t *testing.T) {
			houses, log := crowd(t, homes, witnesses)
			began := time.Now()
			speak(t, houses, each)
			taken := time.Since(began)
			awaitLogged(t, houses, log)
			all := time.Since(began)
			n := float64(homes * each)
			rates[witnesses] = n / all.Seconds()
			t.Logf("statements, %d witnesses: %.0f a second into the chains, %.0f a second into the log (%d of %d households)", witnesses, n/taken.Seconds(), n/all.Seconds(), homes*each, homes)
		})
	}
	t.Logf("statements: with two witnesses / with none %.2f", rates[2]/rates[0])
}

// crowd is a server with so many households and witnesses, and its log under
// their policy.
func crowd(t *testing.T, homes, witnesses int) ([]*house, *ledger.Log) {
	t.Helper()
	var watchers string
	var all []*watch.Witness
	for i := range witnesses {
		w := must[*watch.Witness](t)(watch.OpenWitness(durable.Disk{}, t.TempDir(), fmt.Sprintf("w%d.invalid", i)))
		at := httptest.NewServer(w)
		t.Cleanup(at.Close)
		all, watchers = append(all, w), watchers+fmt.Sprintf("witness w%d %s %s\n", i, w.VKey(), at.URL)
	}
	switch witnesses {
	case 0:
		watchers = "quorum none\n"
	default:
		watchers += "group both all"
		for i := range witnesses {
			watchers += fmt.Sprintf(" w%d", i)
		}
		watchers += "\nquorum both\n"
	}
	s := startServer(t, cloud.Config{Log: cloud.LogConfig{Watchers: watchers}})
	key := must[string](t)(watch.LogVKey(t.Context(), http.DefaultClient, s.URL))
	for _, w := range all {
		try(t, w.Follow(key))
	}
	var houses []*house
	for i := range homes {
		houses = append(houses, found(t, s.URL, uint64(i+1), 1))
	}
	_, text := newAPI(s.URL, "").get(t, "/log/policy")
	policy := must[*ledger.Policy](t)(ledger.ParsePolicy(string(text)))
	return houses, ledger.NewLog(policy, func(_ context.Context, path string) ([]byte, error) {
		res, body := newAPI(s.URL, "").get(t, policy.Path()+path)
		if res.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %s", path, res.Status)
		}
		return body, nil
	})
}

// speak has every household make so many statements, all households at once.
func speak(t *testing.T, houses []*house, each int) {
	t.Helper()
	var wait sync.WaitGroup
	failed := make(chan error, len(houses))
	for _, h := range houses {
		wait.Go(func() {
			for range each {
				_, raw, err := h.AddCamera(1)
				if err == nil {
					_, err = h.admin.chain.AppendStatement(t.Context(), connect.NewRequest(&v1.AppendStatementRequest{Note: raw}))
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wait.Wait()
	close(failed)
	for err := range failed {
		t.Fatal(err)
	}
}

// awaitLogged waits until a checkpoint that the policy takes has every statement.
func awaitLogged(t *testing.T, houses []*house, log *ledger.Log) {
	t.Helper()
	for _, h := range houses {
		for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			last := uint64(len(h.Chain) - 1)
			res := must[*connect.Response[v1.GetLeavesResponse]](t)(h.admin.chain.GetLeaves(t.Context(), connect.NewRequest(&v1.GetLeavesRequest{FromSeq: last})))
			if leaves := res.Msg.GetLeaves(); len(leaves) == 1 {
				if c, err := log.Checkpoint(t.Context()); err == nil && int64(leaves[0]) < c.Size {
					break
				}
			}
			if time.Now().After(end) {
				t.Fatalf("statement %d is not in the log", last)
			}
		}
	}
}
