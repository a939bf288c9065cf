package chain

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"latchkey.dev/latchkey"
)

// Login answers a server's challenge; it is signed by the key By and proves
// nothing to any other server. An addition to the protocol: spec/wire, "Sign-in".
type Login struct {
	Household latchkey.HouseholdID
	By        latchkey.Kid // of a member's, hub's or recovery Ed25519 key
	Server    string       // origin, such as https://latchkey.example
	Nonce     [16]byte     // from the server
	Time      int64        // unix seconds
}

// Text encodes the note.
func (l Login) Text() ([]byte, error) {
	w := newWriter(TypeLogin)
	w.line("household", latchkey.B64(l.Household[:]))
	w.line("by", latchkey.B64(l.By[:]))
	if !isOrigin(l.Server) {
		w.fail("server", "not an origin")
	}
	w.line("server", l.Server)
	w.line("nonce", latchkey.B64(l.Nonce[:]))
	w.line("time", w.time("time", l.Time))
	return w.done(TypeLogin)
}

// ParseLogin reads the values of a login note. It does not verify the signature.
func ParseLogin(n Note) (Login, error) {
	r, err := readerFor(n, TypeLogin)
	if err != nil {
		return Login{}, err
	}
	l := Login{
		Household: r.id("household", r.next("household")),
		By:        r.id("by", r.next("by")),
		Server:    r.next("server"),
		Nonce:     r.id("nonce", r.next("nonce")),
		Time:      r.time("time", r.next("time")),
	}
	if !isOrigin(l.Server) {
		r.fail("server", "not an origin")
	}
	if r.err != nil {
		return Login{}, fmt.Errorf("chain: parse login: %w", r.err)
	}
	return l, nil
}

// Command asks a hub to do something; it travels sealed to the hub
// (spec/keys, "Commands").
type Command struct {
	Household latchkey.HouseholdID
	Hub       latchkey.Kid // of the hub's Ed25519 key
	By        latchkey.Kid // of the member's Ed25519 key, which signs
	Time      int64        // unix seconds
	Nonce     [16]byte
	Op        string // 1 to 32 of a–z and -
	Args      []byte // UTF-8 JSON, 1 to 16,384 bytes
}

// Text encodes the note.
func (c Command) Text() ([]byte, error) {
	w := newWriter(TypeCommand)
	w.line("household", latchkey.B64(c.Household[:]))
	w.line("hub", latchkey.B64(c.Hub[:]))
	w.line("by", latchkey.B64(c.By[:]))
	w.line("time", w.time("time", c.Time))
	w.line("nonce", latchkey.B64(c.Nonce[:]))
	if !isOp(c.Op) {
		w.fail("op", "not an operation")
	}
	w.line("op", c.Op)
	if !isArgs(c.Args) {
		w.fail("args", "not 1 to 16,384 bytes of UTF-8")
	}
	w.line("args", latchkey.B64(c.Args))
	return w.done(TypeCommand)
}

// ParseCommand reads the values of a command note. It verifies neither the
// signature nor that Args is JSON.
func ParseCommand(n Note) (Command, error) {
	r, err := readerFor(n, TypeCommand)
	if err != nil {
		return Command{}, err
	}
	c := Command{
		Household: r.id("household", r.next("household")),
		Hub:       r.id("hub", r.next("hub")),
		By:        r.id("by", r.next("by")),
		Time:      r.time("time", r.next("time")),
		Nonce:     r.id("nonce", r.next("nonce")),
		Op:        r.next("op"),
	}
	if !isOp(c.Op) {
		r.fail("op", "not an operation")
	}
	args, err := decodeB64(r.next("args"))
	if err != nil || !isArgs(args) {
		r.fail("args", "not 1 to 16,384 bytes of UTF-8 in canonical base64")
	}
	if r.err != nil {
		return Command{}, fmt.Errorf("chain: parse command: %w", r.err)
	}
	c.Args = args
	return c, nil
}

// isOrigin reports whether s is scheme://host[:port] with nothing after it, in
// the one form that a browser writes: ASCII, lower case.
func isOrigin(s string) bool {
	host, ok := strings.CutPrefix(s, "https://")
	if !ok {
		host, ok = strings.CutPrefix(s, "http://")
	}
	if !ok || host == "" || len(s) > 255 {
		return false
	}
	for _, c := range []byte(host) {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.-:[]", rune(c)) {
			return false
		}
	}
	return true
}

func isOp(s string) bool {
	return s != "" && len(s) <= maxOp && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") == ""
}

func isArgs(b []byte) bool { return len(b) > 0 && len(b) <= maxArgs && utf8.Valid(b) }
