package ledger

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
)

// Legal is the public statement that an authority has asked the operator for
// something, or what became of it: without who was asked about, and by whom.
type Legal struct {
	Number  uint64 // counts the operator's requests from 1
	Kind    string // one of LegalKinds
	Country string // two letters of the authority's, lower case; zz: not told
	State   string // one of LegalStates
	Time    int64  // unix seconds
}

// LegalKinds are the kinds of requests, in the order of reports.
var LegalKinds = [...]string{"court-order", "warrant", "subpoena", "emergency", "other"}

// The states of a request, in the order in which it can come into them.
const (
	LegalReceived  = "received"
	LegalRefused   = "refused"
	LegalDisclosed = "disclosed" // ciphertext and metadata were handed over: the operator has nothing else
)

// LegalStates are all states.
var LegalStates = [...]string{LegalReceived, LegalRefused, LegalDisclosed}

const legalType = notePrefix + "legal\n"

// Text returns what is signed.
func (l Legal) Text() string {
	return fmt.Sprintf("%snumber %d\nkind %s\ncountry %s\nstate %s\ntime %d\n", legalType, l.Number, l.Kind, l.Country, l.State, l.Time)
}

// Check reports what keeps the statement from being written down; nil if nothing does.
func (l Legal) Check() error {
	if l.Number < 1 || l.Number > maxNumber || l.Time < 0 || l.Time > maxNumber || !slices.Contains(LegalKinds[:], l.Kind) || !slices.Contains(LegalStates[:], l.State) ||
		len(l.Country) != 2 || strings.Trim(l.Country, "abcdefghijklmnopqrstuvwxyz") != "" {
		return invalid("legal note", "want a number, a kind of %s, a country of two letters, a state and a time", strings.Join(LegalKinds[:], ", "))
	}
	return nil
}

// ParseLegal reads the text of a legal note strictly: it is what Text returns.
func ParseLegal(text string) (Legal, error) {
	rest, ok := strings.CutPrefix(text, legalType)
	lines := strings.Split(rest, "\n")
	if !ok || len(lines) != 6 {
		return Legal{}, invalid("legal note", "want its type and five lines")
	}
	var values [5]string
	for i, key := range []string{"number ", "kind ", "country ", "state ", "time "} {
		if values[i], ok = strings.CutPrefix(lines[i], key); !ok {
			return Legal{}, invalid("legal note", "line %q, want %q", lines[i], key)
		}
	}
	l := Legal{Kind: values[1], Country: values[2], State: values[3]}
	l.Number, _ = strconv.ParseUint(values[0], 10, 64)
	l.Time, _ = strconv.ParseInt(values[4], 10, 64)
	if err := l.Check(); err != nil || l.Text() != text {
		return Legal{}, invalid("legal note", "a value is not in its one form")
	}
	return l, nil
}

// Legal reads a signed legal note and holds it against the policy: its operator
// has signed it.
func (p *Policy) Legal(raw []byte) (Legal, error) {
	n, err := openNote("legal note", raw, []note.Verifier{p.Operator.verifier})
	if err != nil {
		return Legal{}, err
	}
	if !signedBy(n, p.Operator.verifier) {
		return Legal{}, broken("legal note", "the operator has not signed it")
	}
	return ParseLegal(n.Text)
}

// Transparency is what a public log says of its operator: counted by whoever
// reads it, zero included.
type Transparency struct {
	Entries   int64                     // of the log, read
	Requests  map[string]map[string]int // by kind and state; every kind and every state is there
	Countries map[string]int            // requests received by country
	Staff     map[string]int            // people who were ever staff, by role; every role is there
	Releases  int
	Rules     []latchkey.Hash // of the desk's rules, in the order in which they came into force
}

// A Counter reads the public entries of a log in their order and counts.
type Counter struct {
	policy *Policy
	t      Transparency
	last   map[uint64]Legal // what was said last of a request
	people map[string]bool
}

// NewCounter returns a counter that has read nothing.
func NewCounter(p *Policy) *Counter {
	c := &Counter{policy: p, last: map[uint64]Legal{}, people: map[string]bool{}}
	c.t = Transparency{Requests: map[string]map[string]int{}, Countries: map[string]int{}, Staff: map[string]int{}}
	for _, k := range LegalKinds {
		c.t.Requests[k] = map[string]int{}
		for _, s := range LegalStates {
			c.t.Requests[k][s] = 0
		}
	}
	for _, r := range StaffRoles {
		c.t.Staff[r] = 0
	}
	return c
}

// Read counts one entry. A note that its signer did not sign, or a request that
// goes back, changes or was never received, is latchkey.ErrVerify: the operator's report
// contradicts itself.
func (c *Counter) Read(raw []byte) error {
	c.t.Entries++
	e, err := ParseEntry(raw)
	if err != nil {
		return err
	}
	switch {
	case strings.HasPrefix(string(e.Note), legalType):
		return c.legal(e.Note)
	case strings.HasPrefix(string(e.Note), staffType):
		s, err := c.policy.Staff(e.Note)
		if err != nil {
			return err
		}
		if who := s.Role + " " + string(s.Ed); !c.people[who] {
			c.people[who] = true
			c.t.Staff[s.Role]++
		}
	case strings.HasPrefix(string(e.Note), noticeType):
		n, err := c.policy.Notice(e.Note)
		if err != nil {
			return err
		}
		if n.What == "desk-policy" {
			c.t.Rules = append(c.t.Rules, n.Hash)
		}
	case strings.HasPrefix(string(e.Note), releaseType):
		c.t.Releases++
	}
	return nil
}

func (c *Counter) legal(raw []byte) error {
	l, err := c.policy.Legal(raw)
	if err != nil {
		return err
	}
	before := c.last[l.Number]
	switch {
	case l.State == LegalReceived && before.State != "", l.State != LegalReceived && before.State != LegalReceived:
		return broken("legal note", "request %d is %s after it was %q", l.Number, l.State, before.State)
	case l.State == LegalReceived:
		c.t.Countries[l.Country]++
	case l.Kind != before.Kind || l.Country != before.Country:
		return broken("legal note", "request %d is another when it is decided", l.Number)
	}
	c.last[l.Number] = l
	c.t.Requests[l.Kind][l.State]++
	return nil
}

// Report is what was counted so far.
func (c *Counter) Report() Transparency { return c.t }
