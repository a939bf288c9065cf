// Package policy decides what staff of the operator are answered (docs/design/0009):
// Cedar rules that lie beside this file, and nothing else. It knows no database,
// no network and no key: a decision depends on the request alone, so that anybody
// can ask it what it would say.
//
// Only internal/cloud imports it. It never decides what can be opened: that is
// for keys.
package policy

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"latchkey.dev/latchkey"
)

//go:embed desk.cedar
var source []byte

// Action is something that staff ask for.
type Action string

// All actions.
const (
	ListTickets Action = "list-tickets"
	TakeTicket  Action = "take-ticket"
	ReadTicket  Action = "read-ticket"
	Reply       Action = "reply"
	SeeHealth   Action = "see-health"
	ListGrants  Action = "list-grants"
	OpenGrant   Action = "open-grant"
	Access      Action = "access"
	Release     Action = "release"
	Watch       Action = "watch"
	Explain     Action = "explain"
	Audit       Action = "audit"
	Reinstate   Action = "reinstate"
	LegalAdd    Action = "legal-add"
	LegalList   Action = "legal-list"
	LegalDecide Action = "legal-decide"
	LegalFetch  Action = "legal-fetch"
)

// Actions are all actions, in the order in which they are shown.
var Actions = [...]Action{ListTickets, TakeTicket, ReadTicket, Reply, SeeHealth, ListGrants, OpenGrant, Access, Release, Watch, Explain, Audit, Reinstate, LegalAdd, LegalList, LegalDecide, LegalFetch}

// groups says what an action is part of; the rules speak of these.
func (a Action) groups() []string {
	switch a {
	case ListTickets:
		return []string{"support"}
	case TakeTicket:
		return []string{"support", "household"}
	case ReadTicket, Reply, SeeHealth, ListGrants:
		return []string{"support", "household", "inside"}
	case OpenGrant, Access, Release, Watch:
		return []string{"support", "household", "inside", "footage"}
	case LegalAdd, LegalList, LegalDecide, LegalFetch:
		return []string{"legal"}
	}
	return nil
}

// Request is everything that a decision depends on.
type Request struct {
	Staff     string // id
	Role      string
	Action    Action
	Ticket    uint64 // 0: none
	Open      bool   // the ticket is open
	Assigned  bool   // the ticket is this person's
	Granted   bool   // the grant is to this person, for this ticket, and in force
	Trained   bool   // the training was confirmed within a year
	Suspended bool
	Alone     bool   // it was this person who entered what is to be decided
	Strength  string // of the sign-in: key, passkey, sso
	Country   string // two letters, or empty where nobody says
	Now       int64  // unix seconds
}

// Decision is an answer and the rules that made it. None made it: nothing
// permits it.
type Decision struct {
	Allowed bool
	Rules   []Rule
}

// Rule is one rule by its name, with what it says.
type Rule struct{ Name, Words string }

// Names are the names of the rules, with spaces between.
func (d Decision) Names() string {
	names := make([]string, len(d.Rules))
	for i, r := range d.Rules {
		names[i] = r.Name
	}
	return strings.Join(names, " ")
}

// Policies are rules in force. Safe for concurrent use.
type Policies struct {
	set  *cedar.PolicySet
	hash latchkey.Hash
}

// Builtin returns the rules of this program.
func Builtin() (*Policies, error) { return Parse(source) }

// Parse reads rules. Every one needs a name of its own and words.
func Parse(text []byte) (*Policies, error) {
	list, err := cedar.NewPolicyListFromBytes("desk.cedar", text)
	if err != nil {
		return nil, fmt.Errorf("policy: %w: %v", latchkey.ErrInvalid, err)
	}
	set := cedar.NewPolicySet()
	for i, p := range list {
		a := p.Annotations()
		if a["id"] == "" || a["words"] == "" || set.Get(cedar.PolicyID(a["id"])) != nil {
			return nil, fmt.Errorf("policy: %w: rule %d has no name of its own, or no words", latchkey.ErrInvalid, i+1)
		}
		set.Add(cedar.PolicyID(a["id"]), p)
	}
	return &Policies{set: set, hash: sha256.Sum256(text)}, nil
}

// Hash names the rules.
func (p *Policies) Hash() latchkey.Hash { return p.hash }

// Decide answers a request.
func (p *Policies) Decide(r Request) Decision {
	actor := types.NewEntityUID("Staff", types.String(r.Staff))
	action := types.NewEntityUID("Action", types.String(r.Action))
	entities := types.EntityMap{
		actor:  {UID: actor, Attributes: types.NewRecord(types.RecordMap{"role": types.String(r.Role)})},
		action: {UID: action, Parents: parents(r.Action)},
	}
	allowed, why := cedar.Authorize(p.set, entities, cedar.Request{
		Principal: actor, Action: action, Resource: types.NewEntityUID("Ticket", types.String(fmt.Sprint(r.Ticket))),
		Context: types.NewRecord(types.RecordMap{
			"ticket":  types.NewRecord(types.RecordMap{"open": types.Boolean(r.Open), "assigned": types.Boolean(r.Assigned)}),
			"granted": types.Boolean(r.Granted), "trained": types.Boolean(r.Trained), "suspended": types.Boolean(r.Suspended), "alone": types.Boolean(r.Alone),
			"strength": types.String(r.Strength), "country": types.String(r.Country), "now": types.Long(r.Now),
		}),
	})
	d := Decision{Allowed: allowed == cedar.Allow && len(why.Errors) == 0}
	if len(why.Errors) > 0 { // a rule that cannot be asked forbids
		for _, e := range why.Errors {
			d.Rules = append(d.Rules, p.rule(e.PolicyID))
		}
	} else {
		for _, reason := range why.Reasons {
			d.Rules = append(d.Rules, p.rule(reason.PolicyID))
		}
	}
	slices.SortFunc(d.Rules, func(a, b Rule) int { return strings.Compare(a.Name, b.Name) })
	return d
}

func parents(a Action) types.EntityUIDSet {
	var all []types.EntityUID
	for _, g := range a.groups() {
		all = append(all, types.NewEntityUID("Action", types.String(g)))
	}
	return types.NewEntityUIDSet(all...)
}

// Rules are all rules, by name.
func (p *Policies) Rules() []Rule {
	var all []Rule
	for id := range p.set.All() {
		all = append(all, p.rule(id))
	}
	slices.SortFunc(all, func(a, b Rule) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (p *Policies) rule(id cedar.PolicyID) Rule {
	r := Rule{Name: string(id)}
	if found := p.set.Get(id); found != nil {
		r.Words = string(found.Annotations()["words"])
	}
	return r
}
