package chain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"latchkey.dev/latchkey"
)

const (
	// ReleasedLevel is the least level of a node of a two-key grant: none is
	// wider than 512 seconds.
	ReleasedLevel = 8
	nodeLevels    = 17 // of a leaf (part.Depth)
	// maxEntries is how many entries one access or opening names.
	maxEntries = 512
	maxAction  = 64
	maxObject  = 128
)

// Entry names one node of a capsule: what a two-key grant is released by.
type Entry struct {
	Epoch latchkey.EpochID
	Track latchkey.TrackID
	Level uint8  // ReleasedLevel to 17
	Index uint32 // below 2^Level
}

func (e Entry) valid() bool {
	return e.Level >= ReleasedLevel && e.Level <= nodeLevels && e.Index < 1<<e.Level
}

func (e Entry) String() string {
	return latchkey.B64(e.Epoch[:]) + " " + latchkey.B64(e.Track[:]) + " " + strconv.Itoa(int(e.Level)) + " " + strconv.FormatUint(uint64(e.Index), 10)
}

// Access says, in the household's chain, that one person of the operator is
// about to open these entries of a two-key grant. The operator signs it; it
// gives nobody anything.
type Access struct {
	Head
	Grant   latchkey.GrantID
	Staff   latchkey.Kid // of the X-Wing key that the grant is to
	Entries []Entry      // at least one
}

// Notice says, in the household's chain, what one person of the operator did with
// its account. The operator signs it; it changes nothing.
type Notice struct {
	Head
	Staff  latchkey.Kid // of that person's X-Wing key
	Action string       // a token, such as ticket-taken
	Object string       // token, or hash in base64; empty: none
}

func (Access) Type() string { return TypeAccess }
func (Notice) Type() string { return TypeNotice }

// Text encodes the statement; Entries may be in any order.
func (s Access) Text() ([]byte, error) {
	w := newWriter(TypeAccess)
	w.head(s.Head)
	w.line("grant", latchkey.B64(s.Grant[:]))
	w.line("staff", latchkey.B64(s.Staff[:]))
	w.entries(s.Entries)
	return w.done(TypeAccess)
}

// Text encodes the statement.
func (s Notice) Text() ([]byte, error) {
	w := newWriter(TypeNotice)
	w.head(s.Head)
	w.line("staff", latchkey.B64(s.Staff[:]))
	if !isAction(s.Action) {
		w.fail("action", "not a token")
	}
	w.line("action", s.Action)
	if s.Object != "" {
		if !isObject(s.Object) {
			w.fail("object", "not a word")
		}
		w.line("object", s.Object)
	}
	return w.done(TypeNotice)
}

func parseAccess(r *reader, h Head) Statement {
	return Access{Head: h, Grant: r.id("grant", r.next("grant")), Staff: r.id("staff", r.next("staff")), Entries: r.entries()}
}

func parseNotice(r *reader, h Head) Statement {
	s := Notice{Head: h, Staff: r.id("staff", r.next("staff")), Action: r.next("action")}
	if !isAction(s.Action) {
		r.fail("action", "not a token")
	}
	if r.has("object") {
		if s.Object = r.next("object"); !isObject(s.Object) {
			r.fail("object", "not a word")
		}
	}
	return s
}

func (w *writer) entries(list []Entry) {
	if len(list) == 0 || len(list) > maxEntries {
		w.fail("entry", fmt.Sprintf("%d of them, want 1 to %d", len(list), maxEntries))
	}
	lines := make([]string, len(list))
	for i, e := range list {
		if !e.valid() {
			w.fail("entry", "no node of a two-key grant")
		}
		lines[i] = e.String()
	}
	w.lines("entry", lines)
}

func (r *reader) entries() []Entry {
	var out []Entry
	for r.has("entry") {
		f := r.fields("entry", 4)
		e := Entry{Epoch: r.id("entry", f[0]), Track: r.id("entry", f[1])}
		level, index := r.number("entry", f[2]), r.number("entry", f[3])
		if level < ReleasedLevel || level > nodeLevels || index >= 1<<level {
			r.fail("entry", "no node of a two-key grant")
			return nil
		}
		e.Level, e.Index = uint8(level), uint32(index)
		out = append(out, e)
	}
	if len(out) > maxEntries {
		r.fail("entry", "too many")
	}
	return out
}

// isAction reports whether s is 1 to 64 of a–z, 0–9 and -.
func isAction(s string) bool {
	return s != "" && len(s) <= maxAction && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// isObject reports whether s is 1 to 128 visible ASCII characters.
func isObject(s string) bool { return isToken(s) && len(s) <= maxObject }

// verifyOperator checks that by is the operator of genesis and signed n.
func (s State) verifyOperator(by latchkey.Kid, n Note) error {
	if s.Operator == "" {
		return refused("the household has no operator")
	}
	_, pub, err := ParseVKey(s.Operator)
	if err != nil {
		return err
	}
	if KidOf(pub) != by {
		return refused("signed by another than the operator")
	}
	return n.Verify(pub)
}

// access applies an access: it has to be of a two-key grant that runs, to whom
// the grant is, and of its tracks. Whether the entries lie within the lines only
// those can tell who have the epochs.
func (s State) access(st Access, n Note) (State, error) {
	if err := s.verifyOperator(st.By, n); err != nil {
		return State{}, err
	}
	g, ok := s.Grants[st.Grant]
	switch {
	case !ok || g.Revoked:
		return State{}, refused("%v is no grant, or was revoked", st.Grant)
	case g.Release == (latchkey.Kid{}):
		return State{}, refused("grant %v is released by no hub", st.Grant)
	case g.To != st.Staff:
		return State{}, refused("grant %v is to another", st.Grant)
	case st.Time >= g.Until:
		return State{}, refused("the time of grant %v is over", st.Grant)
	}
	for _, e := range st.Entries {
		if !slices.ContainsFunc(g.Tracks, func(r TrackRange) bool { return r.Track == e.Track }) {
			return State{}, refused("track %v is not in grant %v", e.Track, st.Grant)
		}
	}
	return s, nil
}

// Opening asks a hub to release entries of a two-key grant (spec/keys, "Two
// keys"). It is signed with the Ed25519 key of the grantee's staff note.
type Opening struct {
	Household latchkey.HouseholdID
	Grant     latchkey.GrantID
	By        latchkey.Kid // of the signing Ed25519 key
	Time      int64        // unix seconds
	Nonce     [16]byte
	Access    latchkey.Hash // H(text) of the access statement that names the entries
	Entries   []Entry       // at least one
}

// Text encodes the note; Entries may be in any order.
func (o Opening) Text() ([]byte, error) {
	w := newWriter(TypeOpening)
	w.line("household", latchkey.B64(o.Household[:]))
	w.line("grant", latchkey.B64(o.Grant[:]))
	w.line("by", latchkey.B64(o.By[:]))
	w.line("time", w.time("time", o.Time))
	w.line("nonce", latchkey.B64(o.Nonce[:]))
	w.line("access", latchkey.B64(o.Access[:]))
	w.entries(o.Entries)
	return w.done(TypeOpening)
}

// ParseOpening reads the values of an opening. It does not verify the signature.
func ParseOpening(n Note) (Opening, error) {
	r, err := readerFor(n, TypeOpening)
	if err != nil {
		return Opening{}, err
	}
	o := Opening{
		Household: r.id("household", r.next("household")),
		Grant:     r.id("grant", r.next("grant")),
		By:        r.id("by", r.next("by")),
		Time:      r.time("time", r.next("time")),
		Nonce:     r.id("nonce", r.next("nonce")),
		Access:    r.hash("access", r.next("access")),
		Entries:   r.entries(),
	}
	return o, r.done(TypeOpening)
}
