package cloud

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/policy"
)

// IRT-05: each pattern is found one above its limit, and not at it; of the person
// whose it is.
func TestIRT05Patterns(t *testing.T) {
	noon, night := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC), time.Date(2026, 11, 27, 23, 30, 0, 0, time.UTC)
	look := func(who byte, home byte, ticket uint64, at time.Time) catalog.Decision {
		return catalog.Decision{Kid: latchkey.Kid{who}, ID: fmt.Sprint("agent-", who), At: at, Action: string(policy.ReadTicket), Household: latchkey.HouseholdID{home}, Ticket: ticket, Allowed: true}
	}
	refuse := func(rules string) catalog.Decision {
		return catalog.Decision{Kid: latchkey.Kid{1}, ID: "agent-1", At: noon, Action: string(policy.Watch), Rules: rules}
	}
	limits := MisuseLimits{Refusals: 5, NoTicket: 3, Volume: 4, Hours: 6, Takes: 5, Crowd: 2, Linked: 3}
	for kind, c := range map[string]struct {
		limit int
		make  func(i int) catalog.Decision
	}{
		foundRefusals: {5, func(int) catalog.Decision { return refuse("granted") }},
		foundNoTicket: {3, func(int) catalog.Decision { return refuse("no-ticket-no-look") }},
		foundVolume:   {4, func(i int) catalog.Decision { return look(1, byte(i), uint64(i), noon) }},
		foundHours:    {6, func(i int) catalog.Decision { return look(1, 1, uint64(i%2), night.Add(time.Duration(i/2)*time.Hour)) }},
		foundTakes: {5, func(i int) catalog.Decision {
			d := look(1, 1, uint64(i), noon)
			d.Action = string(policy.TakeTicket)
			return d
		}},
		foundCrowd:  {2, func(i int) catalog.Decision { return look(byte(i), 1, 1, noon) }},
		foundLinked: {3, func(i int) catalog.Decision { return look(1, 1, uint64(i), noon) }},
	} {
		var all []catalog.Decision
		for i := range c.limit {
			all = append(all, c.make(i+1))
		}
		if got := limits.findings(all); len(got) != 0 {
			t.Errorf("%s at its limit: %+v", kind, got)
		}
		got := limits.findings(append(all, c.make(c.limit+1)))
		if len(got) == 0 || got[0].kind != kind || got[0].count != c.limit+1 || got[0].limit != c.limit || !strings.HasPrefix(got[0].id, "agent-") {
			t.Errorf("%s above its limit: %+v", kind, got)
		}
		if kind == foundCrowd && len(got) != c.limit+1 {
			t.Errorf("a crowd is of all who were in it: %+v", got)
		}
	}
	// Looking at nothing of a household is no look.
	var lists []catalog.Decision
	for range 100 {
		d := look(1, 0, 0, night)
		d.Action = string(policy.ListTickets)
		lists = append(lists, d)
	}
	if got := limits.findings(lists); len(got) != 0 {
		t.Errorf("lists of tickets: %+v", got)
	}
}
