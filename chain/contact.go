package chain

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"

	"latchkey.dev/latchkey"
)

// Shares is into how many a contact secret is split (spec/keys, "Trusted
// contacts"); two of them bring it back.
const Shares = 3

// Share is one contact's share of the secret that wraps somebody's vault key.
// It travels sealed to its contact, and later sealed to whom he helps; the
// owner's signature stays on it. It does not print.
type Share struct {
	Household latchkey.HouseholdID
	By        latchkey.Kid // the owner's Ed25519 key, which signs
	To        latchkey.Kid // the contact's Ed25519 key
	Set       [latchkey.IDSize]byte
	X         byte // 1 to Shares
	Share     [32]byte
	Time      int64 // unix seconds
}

// Format prints a fixed word for every verb: a share is half of a secret.
func (Share) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[share]") }

// Text encodes the note.
func (s Share) Text() ([]byte, error) {
	w := newWriter(TypeShare)
	w.line("household", latchkey.B64(s.Household[:]))
	w.line("by", latchkey.B64(s.By[:]))
	w.line("to", latchkey.B64(s.To[:]))
	w.line("set", latchkey.B64(s.Set[:]))
	if s.X < 1 || s.X > Shares {
		w.fail("x", "not 1 to 3")
	}
	w.line("x", strconv.Itoa(int(s.X)))
	w.line("share", latchkey.B64(s.Share[:]))
	w.line("time", w.time("time", s.Time))
	return w.done(TypeShare)
}

// ParseShare reads the values of a share note. It does not verify the signature.
func ParseShare(n Note) (Share, error) {
	r, err := readerFor(n, TypeShare)
	if err != nil {
		return Share{}, err
	}
	s := Share{
		Household: r.id("household", r.next("household")),
		By:        r.id("by", r.next("by")),
		To:        r.id("to", r.next("to")),
		Set:       r.id("set", r.next("set")),
	}
	x := r.number("x", r.next("x"))
	if x < 1 || x > Shares {
		r.fail("x", "not 1 to 3")
	}
	s.X = byte(x)
	s.Share = r.hash("share", r.next("share"))
	s.Time = r.time("time", r.next("time"))
	if r.err != nil {
		return Share{}, fmt.Errorf("chain: parse share: %w", r.err)
	}
	return s, nil
}

// Claim is one contact's word that whoever has these keys is the member who
// lost his own. Two of them, by two contacts, bring a member back.
type Claim struct {
	Household latchkey.HouseholdID
	By        latchkey.Kid // the contact's Ed25519 key, which signs
	Member    latchkey.Kid // the lost Ed25519 key of who is helped
	Set       [latchkey.IDSize]byte
	Ed        []byte // his new keys
	X         []byte
	Recovery  []byte
	Time      int64 // unix seconds
}

// ClaimID names a claim by everything in it but who says so and when: the
// claims of two contacts for the same keys have one id, other keys another.
type ClaimID [latchkey.IDSize]byte

// String is the id in lower-case hex.
func (i ClaimID) String() string { return latchkey.Kid(i).String() }

// ID is H("latchkey/v1 claim" ‖ 00 ‖ household ‖ member ‖ set ‖ ed ‖ x ‖ recovery)[0:16].
func (c Claim) ID() ClaimID {
	h := sha256.New()
	h.Write([]byte("latchkey/v1 claim\x00"))
	for _, b := range [][]byte{c.Household[:], c.Member[:], c.Set[:], c.Ed, c.X, c.Recovery} {
		h.Write(b)
	}
	return ClaimID(h.Sum(nil)[:latchkey.IDSize])
}

// Text encodes the note.
func (c Claim) Text() ([]byte, error) {
	w := newWriter(TypeClaim)
	w.line("household", latchkey.B64(c.Household[:]))
	w.line("by", latchkey.B64(c.By[:]))
	w.line("member", latchkey.B64(c.Member[:]))
	if c.By == c.Member {
		w.fail("member", "nobody vouches for himself")
	}
	w.line("set", latchkey.B64(c.Set[:]))
	w.ed("ed", c.Ed)
	w.x("x", c.X)
	w.ed("recovery", c.Recovery)
	if string(c.Ed) == string(c.Recovery) {
		w.fail("recovery", "the recovery key is the signing key")
	}
	w.line("time", w.time("time", c.Time))
	return w.done(TypeClaim)
}

// ParseClaim reads the values of a claim note. It does not verify the signature.
func ParseClaim(n Note) (Claim, error) {
	r, err := readerFor(n, TypeClaim)
	if err != nil {
		return Claim{}, err
	}
	c := Claim{
		Household: r.id("household", r.next("household")),
		By:        r.id("by", r.next("by")),
		Member:    r.id("member", r.next("member")),
		Set:       r.id("set", r.next("set")),
		Ed:        r.ed("ed"),
		X:         r.x("x"),
		Recovery:  r.ed("recovery"),
		Time:      r.time("time", r.next("time")),
	}
	if r.err == nil && c.By == c.Member {
		r.fail("member", "nobody vouches for himself")
	}
	if r.err == nil && string(c.Ed) == string(c.Recovery) {
		r.fail("recovery", "the recovery key is the signing key")
	}
	if r.err != nil {
		return Claim{}, fmt.Errorf("chain: parse claim: %w", r.err)
	}
	return c, nil
}

// CheckClaim holds a claim against a state: household, that the member and the
// contact are in it, that the keys are new, and the contact's signature. It
// cannot tell who is whose contact. What does not fit is latchkey.ErrRefused,
// a wrong signature latchkey.ErrVerify.
func (s State) CheckClaim(n Note, c Claim) error {
	by, ok := s.Members[c.By]
	_, there := s.Members[c.Member]
	switch {
	case c.Household != s.Household:
		return fmt.Errorf("chain: claim: %w", refused("of another household"))
	case !ok || !there:
		return fmt.Errorf("chain: claim: %w", refused("by or for somebody who is no member"))
	}
	for _, key := range [][]byte{c.Ed, c.X, c.Recovery} {
		if s.keyInUse(key) {
			return fmt.Errorf("chain: claim: %w", refused("a key is in use already"))
		}
	}
	return n.Verify(ed25519.PublicKey(by.Ed))
}
