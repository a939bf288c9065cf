package chain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
)

// Limits of a directory, in bytes.
const (
	maxNames = 32 << 10 // the JSON
	maxName  = 200      // one name
)

// Directory tells the members what people and hubs are called (spec/chain,
// "Directory"). It is no statement: it travels sealed to every member, and the
// server sees its counter only.
type Directory struct {
	Household latchkey.HouseholdID
	By        latchkey.Kid // of the signing admin's Ed25519 key
	N         uint64       // counter; a higher one replaces a lower one
	Time      int64        // unix seconds
	Names     Names
}

// Names are texts of at most 200 bytes of UTF-8 without control characters.
type Names struct {
	Household string
	People    map[latchkey.Kid]string // by kid of the Ed25519 key
	Hubs      map[latchkey.Kid]string // by kid of the Ed25519 key
}

// Text encodes the note.
func (d Directory) Text() ([]byte, error) {
	w := newWriter(TypeDirectory)
	w.line("household", latchkey.B64(d.Household[:]))
	w.line("by", latchkey.B64(d.By[:]))
	w.line("n", w.number("n", d.N))
	w.line("time", w.time("time", d.Time))
	names := d.Names.encode()
	if why := d.Names.fault(names); why != "" {
		w.fail("names", why)
	}
	w.line("names", latchkey.B64(names))
	return w.done(TypeDirectory)
}

// ParseDirectory reads the values of a directory note. It does not verify the
// signature.
func ParseDirectory(n Note) (Directory, error) {
	r, err := readerFor(n, TypeDirectory)
	if err != nil {
		return Directory{}, err
	}
	d := Directory{
		Household: r.id("household", r.next("household")),
		By:        r.id("by", r.next("by")),
		N:         r.number("n", r.next("n")),
		Time:      r.time("time", r.next("time")),
	}
	d.Names = r.names(r.next("names"))
	if r.err != nil {
		return Directory{}, fmt.Errorf("chain: parse directory: %w", r.err)
	}
	return d, nil
}

// OpenDirectory reads a directory note and checks it against s: of this
// household, signed by an admin. It fails as Apply does.
func OpenDirectory(n Note, s State) (Directory, error) {
	d, err := ParseDirectory(n)
	if err != nil {
		return Directory{}, err
	}
	if d.Household != s.Household {
		return Directory{}, fmt.Errorf("chain: open directory: %w: it belongs to another household", latchkey.ErrConflict)
	}
	if err := s.verifyAdmin(d.By, n); err != nil {
		return Directory{}, fmt.Errorf("chain: open directory: %w", err)
	}
	return d, nil
}

// names reads the JSON of a directory. It has one form: what does not encode to
// the same bytes again (spaces, other keys, another order, escapes) is refused.
func (r *reader) names(value string) Names {
	b, err := decodeB64(value)
	if err != nil {
		r.fail("names", "not canonical base64")
		return Names{}
	}
	var v struct {
		Household string            `json:"household"`
		People    map[string]string `json:"people"`
		Hubs      map[string]string `json:"hubs"`
	}
	if len(b) > maxNames || json.Unmarshal(b, &v) != nil {
		r.fail("names", "not 32 KiB of JSON")
		return Names{}
	}
	n := Names{Household: v.Household, People: r.nameMap(v.People), Hubs: r.nameMap(v.Hubs)}
	if !bytes.Equal(n.encode(), b) {
		r.fail("names", "not the one form of its JSON")
	}
	if why := n.fault(b); why != "" {
		r.fail("names", why)
	}
	return n
}

func (r *reader) nameMap(m map[string]string) map[latchkey.Kid]string {
	out := map[latchkey.Kid]string{}
	for k, name := range m {
		kid, err := latchkey.ParseKid(k)
		if err != nil {
			r.fail("names", "a key that is no kid")
		}
		out[kid] = name
	}
	return out
}

// fault says what is wrong with names that encode to b; empty: nothing.
func (n Names) fault(b []byte) string {
	texts := slices.Concat([]string{n.Household}, slices.Collect(maps.Values(n.People)), slices.Collect(maps.Values(n.Hubs)))
	for _, t := range texts {
		if len(t) > maxName || !isText(t) {
			return "a name that is not at most 200 bytes of UTF-8 without control characters"
		}
	}
	if len(b) > maxNames {
		return "more than 32 KiB"
	}
	return ""
}

// encode writes the JSON: three keys in this order, kids sorted, no spaces,
// and no escapes but those of quote and backslash, since names have no control
// characters.
func (n Names) encode() []byte {
	var b bytes.Buffer
	b.WriteString(`{"household":` + quote(n.Household) + `,"people":`)
	writeNames(&b, n.People)
	b.WriteString(`,"hubs":`)
	writeNames(&b, n.Hubs)
	b.WriteString(`}`)
	return b.Bytes()
}

func writeNames(b *bytes.Buffer, names map[latchkey.Kid]string) {
	kids := slices.SortedFunc(maps.Keys(names), func(a, b latchkey.Kid) int { return bytes.Compare(a[:], b[:]) })
	b.WriteByte('{')
	for i, kid := range kids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + kid.String() + `":` + quote(names[kid]))
	}
	b.WriteByte('}')
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
