package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"latchkey.dev/latchkey/internal/home/member"
)

// TestLostRacesAreSignedAgain: two machines of an admin change one household at
// the same time. Whoever is second for a place in the chain, a number of the
// directory or a version of the vault signs again, and nothing gets lost.
func TestLostRacesAreSignedAgain(t *testing.T) {
	d := startHouse(t)
	var people []arrival
	for i := range 2 {
		people = append(people, join(t, d.client, d.server, member.NewMember{Name: fmt.Sprint("guest ", i)}, fmt.Sprint("guest ", i)))
	}
	machines := []*member.Client{d.client, recoverAt(t, filepath.Join(t.TempDir(), "second"), d.server, d.code)}
	const rounds = 5
	var both sync.WaitGroup
	errs := make([]error, len(machines))
	for i, c := range machines {
		both.Go(func() {
			kid := people[i].person.Kid.String()
			for n := range rounds {
				_, err := c.ChangeMember(t.Context(), kid, member.MemberChange{Role: ptr([]string{"viewer", "admin"}[n%2])})
				errs[i] = errors.Join(errs[i], err, c.RenameMember(t.Context(), kid, fmt.Sprintf("guest %d, %d", i, n)))
			}
		})
	}
	both.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	h, err := d.client.Household(t.Context())
	if err != nil || h.ChainSeq != 2+2*rounds {
		t.Fatalf("statement %d, want %d: %v", h.ChainSeq, 2+2*rounds, err)
	}
	for _, p := range h.Members {
		if !p.Me && (p.Role != "viewer" || p.Name != "guest 0, 4" && p.Name != "guest 1, 4") {
			t.Errorf("%+v", p)
		}
	}
}
