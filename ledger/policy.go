package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	cosignature "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
)

// MaxPolicy is the largest policy in bytes.
const MaxPolicy = 64 << 10

// Party is somebody whose signatures a policy knows.
type Party struct {
	Name string // in this policy; of log and operator the name of the key
	VKey string // C2SP verifier key
	URL  string // where he is asked, or where the log's files are; may be empty

	verifier note.Verifier
	key      []byte // raw public key
}

// A Policy says whose signatures count: which log, who vouches for it, who
// publishes its sets and who recomputes them. It comes with the client or is
// pinned when a household is founded, never from whom it checks.
//
// The file is a c2sp.org/tlog-policy with four more keywords, operator,
// auditor, releaser and staffroot:
//
//	log <vkey> [<url>]
//	witness <name> <vkey> [<url>]
//	group <name> <any|all|k> <member>…
//	quorum <name|none>
//	operator <vkey>
//	auditor <name> <vkey> [<url>]
//	releaser <name> <vkey> [<url>]
//	staffroot <name> <vkey>
type Policy struct {
	Log       Party
	Operator  Party
	Witnesses []Party
	Auditors  []Party // any one of them vouches for a set; none: nobody does
	Releasers []Party // two of them sign a release; none: there are no releases
	// StaffRoots say, any one of them, who is staff of the operator; none: it has
	// no staff that a household could let look at anything.
	StaffRoots []Party

	text   string
	groups []group
	quorum string // empty: none
}

type group struct {
	name    string
	k       int
	members []string
}

// ParsePolicy reads a policy file. Names are defined before they are used, and
// are members of one group at most, so that nobody counts twice; log, operator
// and quorum stand exactly once; nobody vouches under two names.
func ParsePolicy(text string) (*Policy, error) {
	if len(text) > MaxPolicy {
		return nil, invalid("policy", "%d bytes, at most %d", len(text), MaxPolicy)
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' || r == 0x7f }) {
		return nil, invalid("policy", "not UTF-8, or a control character")
	}
	p := &Policy{text: text}
	r := policyReader{Policy: p, kinds: map[string]int{}, names: map[string]bool{}, members: map[string]bool{}}
	for i, l := range strings.Split(text, "\n") {
		words := strings.FieldsFunc(l, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := r.line(words[0], words[1:]); err != nil {
			return nil, invalid("policy", "line %d: %v", i+1, err)
		}
	}
	for _, kind := range []string{"log", "operator", "quorum"} {
		if r.kinds[kind] != 1 {
			return nil, invalid("policy", "%d lines %q, want one", r.kinds[kind], kind)
		}
	}
	for _, a := range p.Auditors {
		if bytes.Equal(a.key, p.Operator.key) {
			return nil, invalid("policy", "the auditor %q is the operator himself", a.Name)
		}
	}
	for _, root := range p.StaffRoots {
		if bytes.Equal(root.key, p.Operator.key) || bytes.Equal(root.key, p.Log.key) {
			return nil, invalid("policy", "the staff root %q is a key of the running service, and has to be kept apart from it", root.Name)
		}
	}
	if n := len(p.Releasers); n > 0 && n < releaseSigners {
		return nil, invalid("policy", "%d releaser, and %d sign a release", n, releaseSigners)
	}
	return p, nil
}

// policyReader reads a policy line by line.
type policyReader struct {
	*Policy
	kinds   map[string]int
	names   map[string]bool // of witnesses and groups
	members map[string]bool // those of them that stand in a group
}

func (r *policyReader) line(kind string, words []string) (err error) {
	r.kinds[kind]++
	switch kind {
	case "log":
		r.Log, err = party(words, signs)
	case "operator":
		r.Operator, err = party(words, signs)
	case "auditor":
		return r.named(&r.Auditors, words, signs)
	case "releaser":
		return r.named(&r.Releasers, words, signs)
	case "staffroot":
		return r.named(&r.StaffRoots, words, signs)
	case "witness":
		if err := r.named(&r.Witnesses, words, cosigns); err != nil {
			return err
		}
		return r.define(words[0])
	case "group":
		return r.group(words)
	case "quorum":
		if len(words) != 1 || words[0] != "none" && !r.names[words[0]] {
			return fmt.Errorf("quorum is none or one name that was defined")
		}
		if words[0] != "none" {
			r.quorum = words[0]
		}
	default:
		return fmt.Errorf("unknown keyword %q", kind)
	}
	return err
}

func (r *policyReader) named(list *[]Party, words []string, kind byte) error {
	if len(words) < 2 {
		return fmt.Errorf("want a name and a key")
	}
	p, err := party(words[1:], kind)
	if err != nil {
		return err
	}
	p.Name = words[0]
	for _, other := range *list {
		if other.Name == p.Name || bytes.Equal(other.key, p.key) {
			return fmt.Errorf("%q and %q have one name or one key", other.Name, p.Name)
		}
	}
	*list = append(*list, p)
	return nil
}

func (r *policyReader) define(name string) error {
	if name == "none" || r.names[name] {
		return fmt.Errorf("the name %q is taken", name)
	}
	r.names[name] = true
	return nil
}

func (r *policyReader) group(words []string) error {
	if len(words) < 3 {
		return fmt.Errorf("want a name, how many, and members")
	}
	g := group{name: words[0], members: words[2:]}
	switch words[1] {
	case "any":
		g.k = 1
	case "all":
		g.k = len(g.members)
	default:
		k, err := strconv.Atoi(words[1])
		if err != nil || k < 1 || k > len(g.members) || strconv.Itoa(k) != words[1] {
			return fmt.Errorf("%q of %d members", words[1], len(g.members))
		}
		g.k = k
	}
	for _, m := range g.members {
		if !r.names[m] || r.members[m] {
			return fmt.Errorf("member %q is not defined, or stands in a group already", m)
		}
		r.members[m] = true
	}
	r.groups = append(r.groups, g)
	return r.define(g.name)
}

// The types of a verifier key, its first byte.
const (
	signs   = 1 // a text
	cosigns = 4 // a checkpoint at a time
)

func party(words []string, kind byte) (Party, error) {
	if len(words) < 1 || len(words) > 2 {
		return Party{}, fmt.Errorf("want a key, and perhaps a URL")
	}
	read := note.NewVerifier
	if kind == cosigns {
		read = cosignature.NewVerifierForCosignatureV1 // it does not look at the hash in the key
	}
	v, err := read(words[0])
	key, ok := rawKey(words[0], kind)
	if err != nil || !ok {
		return Party{}, fmt.Errorf("%q is no verifier key of this kind", words[0])
	}
	p := Party{Name: v.Name(), VKey: words[0], verifier: v, key: key}
	if len(words) == 2 {
		p.URL = words[1]
	}
	return p, nil
}

// rawKey is the public key in a verifier key of this kind that stands in its one
// form: name+hash+base64, the hash that of name and key as they are written.
func rawKey(vkey string, kind byte) ([]byte, bool) {
	name, rest, _ := strings.Cut(vkey, "+")
	hash, key64, _ := strings.Cut(rest, "+")
	key, err := base64.StdEncoding.Strict().DecodeString(key64)
	if err != nil || len(key) == 0 || key[0] != kind {
		return nil, false
	}
	sum := sha256.Sum256([]byte(name + "\n" + string(key)))
	return key[1:], vkey == name+"+"+hash+"+"+latchkey.B64(key) && hash == hex.EncodeToString(sum[:4])
}

// Origin is the name of the log, the first line of its checkpoints.
func (p *Policy) Origin() string { return p.Log.verifier.Name() }

// Path is where a server has the log's files: "/log/1/".
func (p *Policy) Path() string {
	origin := p.Origin()
	return "/log/" + origin[strings.LastIndexByte(origin, '/')+1:] + "/"
}

// String returns the text that the policy was read from.
func (p *Policy) String() string { return p.text }

// Witnessed reports whether anybody but the operator must vouch for a
// checkpoint. Without it a server that shows everybody another log is not
// found out by a household alone.
func (p *Policy) Witnessed() bool { return p.quorum != "" }

// witnessedAt is the newest time since which a whole quorum has vouched, given
// when each witness (by index) did; the zero time if none has.
func (p *Policy) witnessedAt(signed map[int]time.Time) (at time.Time, ok bool) {
	if p.quorum == "" {
		return time.Time{}, true
	}
	times := map[string]time.Time{}
	for i, w := range p.Witnesses {
		times[w.Name] = signed[i]
	}
	for _, g := range p.groups {
		var all []time.Time
		for _, m := range g.members {
			all = append(all, times[m])
		}
		slices.SortFunc(all, func(a, b time.Time) int { return b.Compare(a) })
		times[g.name] = all[g.k-1]
	}
	at = times[p.quorum]
	return at, !at.IsZero()
}
