package chain_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// The small model of the chain against a server that lies (docs/design/0008):
// every interleaving of a few moves of one honest admin, one colluding admin, a
// hub, a client and a server that withholds, reorders, replays, forks and
// freezes. Statements, Apply, overlay and recipients are the real ones.

// rules are the switches. One of them off has to show a counterexample.
type rules struct {
	addLate     bool // hubs act on an addition once the log has it
	removeEarly bool // hubs act on a removal that they hear of, logged or not
	prefixPin   bool // nobody takes a chain that does not extend his
	place       bool // seq and prev fit (compare-and-swap)
	signer      bool // the signer has the right in the state before
	fresh       bool // no proof of completeness for too long is an alarm
	oneTag      bool // an auditor vouches for one leaf a place
}

// maxAge is the bound on old proofs, in ticks; maxPath bounds a chain that rules
// which are off let grow for ever.
const (
	maxAge  = 2
	maxPath = 5
)

// party is a chain as a hub or client holds it: names of statements after the base.
type party struct{ path string }

// situation is one state of the model. It is comparable: a map finds it again.
type situation struct {
	logged      string // sorted names of what the log has
	hub, client party
	early       bool // the removal lies in the hub's overlay
	heard       bool // the hub was told of the removal, one way or another
	age         int  // ticks since the client's last proof of completeness
	hubAge      int  // and since the hub's: its notes say so to everybody
	hidden      int  // ticks since hub and client went apart behind the client's back
	alarm       bool // somebody was alarmed
	wentBack    bool // somebody took a chain that does not extend his
}

// model holds the statements and what chains of them amount to.
type model struct {
	t        *testing.T
	rules    rules
	base     chain.State
	notes    map[byte]chain.Note
	seqs     map[byte]uint64
	states   map[string]chain.State // by path
	eve, mal latchkey.Kid           // of the sealing keys
	eveEntry chain.Member
	eveKid   latchkey.Kid
}

// The statements: E admitted eve and is in the base; R is ann's removal of her;
// M is eve's admission of mallory at the same place as R; L the same after R.
func newModel(t *testing.T, r rules) *model {
	h := newHouse(t)
	ann, eve, mallory := newPerson("ann"), newPerson("eve"), newPerson("mallory")
	m := &model{t: t, rules: r, notes: map[byte]chain.Note{}, seqs: map[byte]uint64{}, states: map[string]chain.State{}, eve: chain.KidOf(eve.x), mal: chain.KidOf(mallory.x), eveKid: eve.kid()}
	m.notes['E'] = h.sign(ann, 1, eve.as(chain.RoleAdmin, true))
	h.take(m.notes['E'].Raw)
	m.base, m.eveEntry = h.s, h.s.Members[eve.kid()]
	m.states[""] = h.s
	m.notes['R'] = h.sign(ann, 1, eve.gone())
	m.notes['M'] = h.sign(eve, 1, mallory.as(chain.RoleViewer, false))
	h.take(m.notes['R'].Raw)
	m.notes['L'] = h.sign(eve, 1, mallory.as(chain.RoleViewer, false))
	for name, n := range m.notes {
		st, err := chain.ParseStatement(n)
		if err != nil {
			t.Fatal(err)
		}
		m.seqs[name] = st.Common().Seq
	}
	return m
}

// apply is the real Apply, with the rules that are off made blind: the state
// claims the place that the statement names, or has its signer as an admin.
func (m *model) apply(path string, name byte) bool {
	next := path + string(name)
	if len(next) > maxPath {
		return false
	}
	if _, done := m.states[next]; done {
		return true
	}
	s, n := m.states[path], m.notes[name]
	st, err := chain.ParseStatement(n)
	if err != nil {
		m.t.Fatal(err)
	}
	if !m.rules.place {
		s.Seq, s.Hash = st.Common().Seq-1, st.Common().Prev
	}
	_, there := s.Members[m.eveKid]
	blind := !m.rules.signer && !there && st.Common().By == m.eveKid
	if blind {
		s.Members = cloneWith(s.Members, m.eveKid, m.eveEntry)
	}
	s, err = chain.Apply(s, n, testNow)
	if err != nil {
		return false
	}
	if blind {
		delete(s.Members, m.eveKid)
	}
	m.states[next] = s
	return true
}

func cloneWith(members map[latchkey.Kid]chain.Member, kid latchkey.Kid, one chain.Member) map[latchkey.Kid]chain.Member {
	out := map[latchkey.Kid]chain.Member{kid: one}
	for k, v := range members {
		out[k] = v
	}
	return out
}

// now is what the hub goes by: its chain, under what it heard early.
func (m *model) now(s situation) chain.State {
	state := m.states[s.hub.path]
	if !s.early {
		return state
	}
	o, err := chain.Overlay{}.Add(m.base, m.notes['R'], testNow)
	if err != nil {
		m.t.Fatal(err)
	}
	return state.Under(o.Settle(state))
}

// sealedTo are those whom an epoch that the hub makes now is sealed to.
func (m *model) sealedTo(s situation) (eve, mallory bool) {
	for _, r := range m.now(s).Recipients(testNow) {
		eve, mallory = eve || r.Kid == m.eve, mallory || r.Kid == m.mal
	}
	return eve, mallory
}

// broken names the property that does not hold in s; empty: all do.
func (m *model) broken(s situation) string {
	eve, mallory := m.sealedTo(s)
	switch {
	case s.heard && eve:
		return "an epoch is sealed to somebody whose removal the hub has heard of"
	case mallory && !strings.Contains(s.logged, "M"):
		return "an epoch is sealed to somebody whom nobody with the right admitted in the log"
	case s.hidden > maxAge && !s.alarm:
		return "a fork or a hidden grant is not alarmed within the bound"
	case s.wentBack:
		return "somebody goes back behind a chain that he had"
	}
	return ""
}

// step is one move and where it leads.
type step struct {
	say string
	to  situation
}

// steps are all moves that are possible in s.
func (m *model) steps(s situation) []step {
	out := []step{{"time passes", m.tick(s)}}
	for _, name := range []byte{'R', 'M', 'L'} {
		if next, ok := m.log(s, name); ok {
			out = append(out, step{"the server logs " + string(name), next})
		}
	}
	for _, name := range []byte{'E', 'R', 'M', 'L'} {
		out = append(out, m.shows(s, name)...)
	}
	for _, chain := range []string{"", "R", "M"} {
		out = append(out, m.replaces(s, chain)...)
	}
	if !s.heard {
		next := s
		// A hub whose chain has another statement at that place tells the
		// admin, who signs again: it has not heard of this one.
		if _, err := (chain.Overlay{}).Add(m.states[s.hub.path], m.notes['R'], testNow); err == nil {
			next.heard, next.early = true, m.rules.removeEarly
			out = append(out, step{"the hub hears of R over the LAN", next})
		}
	}
	return out
}

// log adds a leaf. Under an auditor a second one for a place is found at once.
func (m *model) log(s situation, name byte) (situation, bool) {
	if strings.IndexByte(s.logged, name) >= 0 {
		return s, false
	}
	for _, other := range []byte(s.logged) {
		if m.rules.oneTag && m.seqs[other] == m.seqs[name] {
			s.alarm = true
		}
	}
	all := append([]byte(s.logged), name)
	slices.Sort(all)
	s.logged = string(all)
	return s, true
}

// shows is the server showing hub or client one more statement.
func (m *model) shows(s situation, name byte) []step {
	var out []step
	proven := name == 'R' || name == 'E' || strings.IndexByte(s.logged, name) >= 0
	if (proven || !m.rules.addLate) && m.apply(s.hub.path, name) {
		next := s
		next.hub.path += string(name)
		next.heard = s.heard || name == 'R'
		out = append(out, step{"the server shows the hub " + string(name), next})
	}
	if m.apply(s.client.path, name) {
		next := s
		next.client.path += string(name)
		out = append(out, step{"the server shows the client " + string(name), next})
	}
	return out
}

// replaces is the server showing another chain than the one that is held.
func (m *model) replaces(s situation, path string) []step {
	if m.rules.prefixPin {
		return nil // Extend starts from what is held: there is no such move
	}
	if path != "" && !m.apply("", path[0]) {
		return nil
	}
	next := s
	next.client.path, next.wentBack = path, s.wentBack || !strings.HasPrefix(path, s.client.path)
	return []step{{fmt.Sprintf("the server shows the client the chain %q from its beginning", "E"+path), next}}
}

// provable reports whether the server can prove a chain to be complete: its
// newest statement is in the log, and nothing for the place after it.
func (m *model) provable(s situation, path string) bool {
	if last := strings.TrimRight(path, "E"); last != "" && !strings.Contains(s.logged, last[len(last)-1:]) {
		return false
	}
	return !slices.ContainsFunc([]byte(s.logged), func(name byte) bool { return m.seqs[name] == m.states[path].Seq+1 })
}

// older is the age of a proof a tick later; the server gives every one it can.
func (m *model) older(s situation, path string, age int) int {
	if m.provable(s, path) {
		return 0
	}
	return min(age+1, maxAge+1)
}

// tick lets time pass.
func (m *model) tick(s situation) situation {
	s.age, s.hubAge = m.older(s, s.client.path, s.age), m.older(s, s.hub.path, s.hubAge)
	s.alarm = s.alarm || m.rules.fresh && max(s.age, s.hubAge) > maxAge
	ahead := strings.HasPrefix(s.hub.path, s.client.path) && strings.ContainsAny(s.hub.path[len(s.client.path):], "ML")
	apart := !strings.HasPrefix(s.hub.path, s.client.path) && !strings.HasPrefix(s.client.path, s.hub.path)
	if s.hidden++; !ahead && !apart {
		s.hidden = 0
	}
	s.hidden = min(s.hidden, maxAge+1)
	return s
}

// explore visits every situation and returns the shortest way to one in which a
// property does not hold; nil when there is none.
func (m *model) explore() (trace []string, property string, seen int) {
	type from struct {
		before situation
		say    string
	}
	first := situation{}
	ways := map[situation]from{first: {}}
	queue := []situation{first}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		if property = m.broken(s); property != "" {
			for at := s; at != first; at = ways[at].before {
				trace = append([]string{ways[at].say}, trace...)
			}
			return trace, property, len(ways)
		}
		for _, n := range m.steps(s) {
			if _, ok := ways[n.to]; !ok {
				ways[n.to] = from{s, n.say}
				queue = append(queue, n.to)
			}
		}
	}
	return nil, "", len(ways)
}

// all rules.
func honest() rules {
	return rules{addLate: true, removeEarly: true, prefixPin: true, place: true, signer: true, fresh: true, oneTag: true}
}

// C7, C12: with every rule no move of the server brings about what must not be.
func TestModelHolds(t *testing.T) {
	trace, property, seen := newModel(t, honest()).explore()
	if property != "" {
		t.Fatalf("%s:\n  %s", property, strings.Join(trace, "\n  "))
	}
	if seen < 200 {
		t.Errorf("only %d situations: the model does not move", seen)
	}
	t.Logf("%d situations, all well", seen)
}

// Every rule is needed: without it there is a way, and it breaks what the rule
// is for. What does not break is no test of it.
func TestModelNeedsEveryRule(t *testing.T) {
	for name, c := range map[string]struct {
		off    func(*rules)
		breaks string
	}{
		"add late":           {func(r *rules) { r.addLate = false }, "admitted in the log"},
		"remove early":       {func(r *rules) { r.removeEarly = false }, "removal the hub has heard of"},
		"prefix pin":         {func(r *rules) { r.prefixPin = false }, "goes back"},
		"place":              {func(r *rules) { r.place = false }, "admitted in the log"},
		"right of a signer":  {func(r *rules) { r.signer = false }, "admitted in the log"},
		"age of a proof":     {func(r *rules) { r.fresh = false }, "not alarmed"},
		"one leaf per place": {func(r *rules) { r.oneTag = false }, "not alarmed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := honest()
			c.off(&r)
			trace, property, seen := newModel(t, r).explore()
			if !strings.Contains(property, c.breaks) {
				t.Fatalf("without the rule, of %d situations: %q, want one in which %q", seen, property, c.breaks)
			}
			t.Logf("%s:\n  %s", property, strings.Join(trace, "\n  "))
		})
	}
}
