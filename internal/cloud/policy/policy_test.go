package policy_test

import (
	"errors"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/policy"
	"latchkey.dev/latchkey/ledger"
)

func builtin(t testing.TB) *policy.Policies {
	p, err := policy.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// best is a request with everything that could speak for it.
func best(role string, a policy.Action) policy.Request {
	return policy.Request{
		Staff: "sam-41", Role: role, Action: a, Ticket: 7, Open: true, Assigned: true, Granted: true, Trained: true, Strength: "passkey", Country: "de", Now: 1_790_000_000,
	}
}

// The table of who may do what at best: a role or an action that is missing fails.
func TestRoles(t *testing.T) {
	may := map[string]string{
		ledger.RoleSupport:   "list-tickets take-ticket read-ticket reply see-health list-grants open-grant access release watch explain",
		ledger.RoleAuditor:   "explain audit reinstate legal-list",
		ledger.RoleLegal:     "explain legal-add legal-list legal-decide legal-fetch",
		ledger.RoleAnnotator: "explain", ledger.RoleModerator: "explain", ledger.RoleEngineer: "explain", ledger.RoleAdmin: "explain",
	}
	p := builtin(t)
	for _, role := range ledger.StaffRoles {
		list, ok := may[role]
		if !ok {
			t.Fatalf("no row for the role %q", role)
		}
		for _, a := range policy.Actions {
			want := strings.Contains(" "+list+" ", " "+string(a)+" ")
			if d := p.Decide(best(role, a)); d.Allowed != want {
				t.Errorf("%s, %s: %+v", role, a, d)
			}
		}
	}
	if d := p.Decide(best("owner", policy.Explain)); !d.Allowed {
		t.Errorf("explain is for everybody: %+v", d)
	}
	if d := p.Decide(best(ledger.RoleSupport, "search-faces")); d.Allowed || len(d.Rules) != 0 {
		t.Errorf("an action that is none: %+v", d)
	}
}

// Each situation takes away what it should, by the rule that says so.
func TestSituations(t *testing.T) {
	inside := "read-ticket reply see-health list-grants open-grant access release watch"
	footage := "open-grant access release watch"
	for name, c := range map[string]struct {
		change func(*policy.Request)
		loses  string
		rule   string
	}{
		"not trained":       {func(r *policy.Request) { r.Trained = false }, "list-tickets take-ticket explain " + inside, "training"},
		"suspended":         {func(r *policy.Request) { r.Suspended = true }, "list-tickets take-ticket explain " + inside, "suspended"},
		"single sign-on":    {func(r *policy.Request) { r.Strength = "sso" }, "take-ticket " + inside, "touch"},
		"no sign-in known":  {func(r *policy.Request) { r.Strength = "" }, "take-ticket " + inside, "touch"},
		"a closed ticket":   {func(r *policy.Request) { r.Open = false }, "take-ticket " + inside, "no-ticket-no-look"},
		"another's ticket":  {func(r *policy.Request) { r.Assigned = false }, inside, "own-ticket"},
		"no grant, or over": {func(r *policy.Request) { r.Granted = false }, footage, "granted"},
	} {
		for _, a := range policy.Actions {
			r := best(ledger.RoleSupport, a)
			before := builtin(t).Decide(r).Allowed
			c.change(&r)
			d := builtin(t).Decide(r)
			lost := strings.Contains(" "+c.loses+" ", " "+string(a)+" ")
			if before && d.Allowed == lost {
				t.Errorf("%s, %s: %+v", name, a, d)
			}
			if lost && !strings.Contains(" "+d.Names()+" ", " "+c.rule+" ") {
				t.Errorf("%s, %s is decided by %q, want %q", name, a, d.Names(), c.rule)
			}
		}
	}
}

// No rule makes up for a missing ticket, whatever role and whatever else is true.
func TestNobodyLooksWithoutTicket(t *testing.T) {
	p := builtin(t)
	for _, role := range ledger.StaffRoles {
		for _, a := range []policy.Action{policy.ReadTicket, policy.SeeHealth, policy.OpenGrant, policy.Access, policy.Release, policy.Watch} {
			for _, spoil := range []func(*policy.Request){
				func(r *policy.Request) { r.Open = false }, func(r *policy.Request) { r.Assigned = false },
			} {
				r := best(role, a)
				if spoil(&r); p.Decide(r).Allowed {
					t.Errorf("%s: %s without a ticket of his own", role, a)
				}
			}
		}
	}
}

// Nobody decides alone what is handed over.
func TestTwoPeople(t *testing.T) {
	r := best(ledger.RoleLegal, policy.LegalDecide)
	r.Alone = true
	if d := builtin(t).Decide(r); d.Allowed || d.Names() != "two-people" {
		t.Errorf("%+v", d)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no Cedar":       "everybody may",
		"no name":        `@words("x") permit (principal, action, resource);`,
		"no words":       `@id("x") permit (principal, action, resource);`,
		"one name twice": `@id("x") @words("x") permit (principal, action, resource); @id("x") @words("y") forbid (principal, action, resource);`,
	} {
		if _, err := policy.Parse([]byte(text)); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken, err := policy.Parse([]byte(`@id("all") @words("x") permit (principal, action, resource); @id("odd") @words("x") forbid (principal, action, resource) when { context.nothing };`))
	if err != nil {
		t.Fatal(err)
	}
	if d := broken.Decide(best(ledger.RoleSupport, policy.Explain)); d.Allowed || d.Names() != "odd" {
		t.Errorf("a rule that cannot be asked: %+v", d)
	}
}

func BenchmarkDecide(b *testing.B) {
	p, r := builtin(b), best(ledger.RoleSupport, policy.Watch)
	for b.Loop() {
		if !p.Decide(r).Allowed {
			b.Fatal("refused")
		}
	}
}
