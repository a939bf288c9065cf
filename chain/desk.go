package chain

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"unicode/utf8"

	"latchkey.dev/latchkey"
)

// MaxWords is the longest text of a message, and of a health report, in bytes.
const MaxWords = 16 << 10

// Desk answers the challenge of an operator's desk, as Login does that of a
// household's door (spec/wire, "The desk").
type Desk struct {
	By     latchkey.Kid // of the Ed25519 key of a staff note
	Server string       // origin
	Nonce  [16]byte     // from the server
	Time   int64        // unix seconds
}

// Text encodes the note.
func (d Desk) Text() ([]byte, error) {
	w := newWriter(TypeDesk)
	w.line("by", latchkey.B64(d.By[:]))
	if !isOrigin(d.Server) {
		w.fail("server", "not an origin")
	}
	w.line("server", d.Server)
	w.line("nonce", latchkey.B64(d.Nonce[:]))
	w.line("time", w.time("time", d.Time))
	return w.done(TypeDesk)
}

// ParseDesk reads the values of a desk note. It does not verify the signature.
func ParseDesk(n Note) (Desk, error) {
	r, err := readerFor(n, TypeDesk)
	if err != nil {
		return Desk{}, err
	}
	d := Desk{
		By:     r.id("by", r.next("by")),
		Server: r.next("server"),
		Nonce:  r.id("nonce", r.next("nonce")),
		Time:   r.time("time", r.next("time")),
	}
	if !isOrigin(d.Server) {
		r.fail("server", "not an origin")
	}
	return d, r.done(TypeDesk)
}

// Applicant is what somebody who is to work for the operator says of himself,
// signed with his own new key: what the staff root signs a staff note from.
type Applicant struct {
	ID      string // 1 to 64 of a–z, 0–9 and -
	Role    string // a token; which roles there are, package ledger knows
	Ed      ed25519.PublicKey
	X       []byte
	Trained int64 // unix seconds: when he confirmed the training
	Time    int64 // unix seconds
}

// Text encodes the note.
func (a Applicant) Text() ([]byte, error) {
	w := newWriter(TypeApplicant)
	if !isAction(a.ID) || !isAction(a.Role) {
		w.fail("id", "it, or the role, is not a token")
	}
	w.line("id", a.ID)
	w.line("role", a.Role)
	w.ed("ed", a.Ed)
	w.x("x", a.X)
	w.line("trained", w.time("trained", a.Trained))
	w.line("time", w.time("time", a.Time))
	return w.done(TypeApplicant)
}

// ParseApplicant reads an applicant's note and verifies that he has signed it
// with the key that it names.
func ParseApplicant(n Note) (Applicant, error) {
	r, err := readerFor(n, TypeApplicant)
	if err != nil {
		return Applicant{}, err
	}
	a := Applicant{ID: r.next("id"), Role: r.next("role"), Ed: r.ed("ed"), X: r.x("x"), Trained: r.time("trained", r.next("trained")), Time: r.time("time", r.next("time"))}
	if !isAction(a.ID) || !isAction(a.Role) {
		r.fail("id", "it, or the role, is not a token")
	}
	if err := r.done(TypeApplicant); err != nil {
		return Applicant{}, err
	}
	return a, n.Verify(a.Ed)
}

// Message is one message of a ticket. It travels in letters, one to each who may
// read it (spec/keys, "Tickets").
type Message struct {
	Household latchkey.HouseholdID
	Ticket    uint64
	By        latchkey.Kid // of the writer's Ed25519 key: a member's, or of staff
	Time      int64        // unix seconds
	Nonce     [16]byte     // random: tells two equal ones apart
	Words     string       // UTF-8, 1 to MaxWords bytes
	About     []byte       // UTF-8 JSON for programs, 1 to MaxWords bytes; nil: none
}

// Text encodes the note.
func (m Message) Text() ([]byte, error) {
	w := newWriter(TypeMessage)
	w.line("household", latchkey.B64(m.Household[:]))
	w.line("ticket", w.number("ticket", m.Ticket))
	w.line("by", latchkey.B64(m.By[:]))
	w.line("time", w.time("time", m.Time))
	w.line("nonce", latchkey.B64(m.Nonce[:]))
	if !isWords([]byte(m.Words)) {
		w.fail("text", "not 1 to 16,384 bytes of UTF-8")
	}
	w.line("text", latchkey.B64([]byte(m.Words)))
	if m.About != nil {
		if !isWords(m.About) {
			w.fail("about", "not 1 to 16,384 bytes of UTF-8")
		}
		w.line("about", latchkey.B64(m.About))
	}
	return w.done(TypeMessage)
}

// ParseMessage reads the values of a message. It does not verify the signature.
func ParseMessage(n Note) (Message, error) {
	r, err := readerFor(n, TypeMessage)
	if err != nil {
		return Message{}, err
	}
	m := Message{
		Household: r.id("household", r.next("household")),
		Ticket:    r.number("ticket", r.next("ticket")),
		By:        r.id("by", r.next("by")),
		Time:      r.time("time", r.next("time")),
		Nonce:     r.id("nonce", r.next("nonce")),
		Words:     string(r.words("text")),
	}
	if r.has("about") {
		m.About = r.words("about")
	}
	return m, r.done(TypeMessage)
}

// Health is what a hub says of its own state to the person of the operator who
// has the household's ticket (spec/meta, "Health"). It travels in a letter.
type Health struct {
	Household latchkey.HouseholdID
	Hub       latchkey.Kid // of the hub's Ed25519 key, which signs
	Ticket    uint64
	To        latchkey.Kid // of the X-Wing key that the letter is to
	Time      int64        // unix seconds
	Report    []byte       // UTF-8 JSON, 1 to MaxWords bytes
}

// Text encodes the note.
func (h Health) Text() ([]byte, error) {
	w := newWriter(TypeHealth)
	w.line("household", latchkey.B64(h.Household[:]))
	w.line("hub", latchkey.B64(h.Hub[:]))
	w.line("ticket", w.number("ticket", h.Ticket))
	w.line("to", latchkey.B64(h.To[:]))
	w.line("time", w.time("time", h.Time))
	if !isWords(h.Report) {
		w.fail("report", "not 1 to 16,384 bytes of UTF-8")
	}
	w.line("report", latchkey.B64(h.Report))
	return w.done(TypeHealth)
}

// ParseHealth reads the values of a health note. It does not verify the signature.
func ParseHealth(n Note) (Health, error) {
	r, err := readerFor(n, TypeHealth)
	if err != nil {
		return Health{}, err
	}
	h := Health{
		Household: r.id("household", r.next("household")),
		Hub:       r.id("hub", r.next("hub")),
		Ticket:    r.number("ticket", r.next("ticket")),
		To:        r.id("to", r.next("to")),
		Time:      r.time("time", r.next("time")),
		Report:    r.words("report"),
	}
	return h, r.done(TypeHealth)
}

// words reads a line of text in base64.
func (r *reader) words(key string) []byte {
	b, err := decodeB64(r.next(key))
	if err != nil || !isWords(b) {
		r.fail(key, "not 1 to 16,384 bytes of UTF-8 in canonical base64")
	}
	return b
}

// done is what was wrong with the note, in words.
func (r *reader) done(noteType string) error {
	if r.err != nil {
		return fmt.Errorf("chain: parse %s: %w", noteType, r.err)
	}
	return nil
}

func isWords(b []byte) bool {
	return len(b) > 0 && len(b) <= MaxWords && utf8.Valid(b) && strings.TrimSpace(string(b)) != ""
}
