package chain_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/testkit"
)

func TestContactVectors(t *testing.T) {
	var v testkit.Contact
	testkit.Load(t, "contact", &v)
	if len(v.ShareNotes) != chain.Shares || len(v.Rejects) == 0 {
		t.Fatal("no vectors")
	}
	for i, sv := range v.ShareNotes {
		s, err := chain.ParseShare(checkNote(t, sv, v.Seed))
		if err != nil {
			t.Fatal(err)
		}
		if s.X != v.Points[i].X || !bytes.Equal(s.Share[:], v.Points[i].Y) || !bytes.Equal(s.Set[:], v.Set) || s.By != latchkey.Kid(v.Member) {
			t.Errorf("share %d differs", i)
		}
		if text, err := s.Text(); err != nil || string(text) != sv.Text {
			t.Errorf("share text is %q, %v", text, err)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s"} {
			if out := fmt.Sprintf(verb, s); strings.Contains(out, fmt.Sprintf("%x", v.Points[i].Y[:4])) || out != "[share]" {
				t.Errorf("%s prints %q", verb, out)
			}
		}
	}
	c, err := chain.ParseClaim(checkNote(t, v.ClaimNote, nil))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := c.Text(); err != nil || string(text) != v.ClaimNote.Text {
		t.Errorf("claim text is %q, %v", text, err)
	}
	if id := c.ID(); !bytes.Equal(id[:], v.ClaimID) {
		t.Errorf("claim id is %v, want %x", id, v.ClaimID)
	}
	for _, r := range v.Rejects {
		n, err := chain.ParseNote([]byte(r.Note))
		if err == nil {
			_, shareErr := chain.ParseShare(n)
			_, claimErr := chain.ParseClaim(n)
			if shareErr == nil || claimErr == nil {
				t.Errorf("%s: parses", r.Name)
			}
		}
	}
}

// TestClaimID: whatever of a claim is about the person changes the id; who says
// so and when does not.
func TestClaimID(t *testing.T) {
	var v testkit.Contact
	testkit.Load(t, "contact", &v)
	c, err := chain.ParseClaim(mustParse(t, []byte(v.ClaimNote.Note)))
	if err != nil {
		t.Fatal(err)
	}
	same, id := c, c.ID()
	same.By, same.Time = latchkey.Kid{9}, 7
	if same.ID() != id {
		t.Error("two contacts' claims for the same keys differ")
	}
	for name, change := range map[string]func(*chain.Claim){
		"household": func(c *chain.Claim) { c.Household[0] ^= 1 },
		"member":    func(c *chain.Claim) { c.Member[0] ^= 1 },
		"set":       func(c *chain.Claim) { c.Set[0] ^= 1 },
		"ed":        func(c *chain.Claim) { c.Ed = flipped(c.Ed) },
		"x":         func(c *chain.Claim) { c.X = flipped(c.X) },
		"recovery":  func(c *chain.Claim) { c.Recovery = flipped(c.Recovery) },
	} {
		other := c
		change(&other)
		if other.ID() == id {
			t.Errorf("another %s has the same id", name)
		}
	}
}

func flipped(b []byte) []byte {
	out := bytes.Clone(b)
	out[0] ^= 1
	return out
}

// TestCheckClaim holds the vector's claim, by the founder for the second
// admin, against the chain of the statement vectors.
func TestCheckClaim(t *testing.T) {
	var v testkit.Contact
	testkit.Load(t, "contact", &v)
	var sv testkit.Statements
	testkit.Load(t, "statements", &sv)
	n := mustParse(t, []byte(v.ClaimNote.Note))
	c, err := chain.ParseClaim(n)
	if err != nil {
		t.Fatal(err)
	}
	var there, nobody chain.State
	var notes []string
	for _, st := range sv.Chain {
		notes = append(notes, st.Note)
		s := replayStrings(t, notes, sv.Now)
		if _, ok := s.Members[c.Member]; ok {
			there = s
		} else {
			nobody = s
		}
	}
	if err := there.CheckClaim(n, c); err != nil {
		t.Errorf("a right claim: %v", err)
	}
	if err := nobody.CheckClaim(n, c); !errors.Is(err, latchkey.ErrRefused) {
		t.Errorf("for somebody who is no member: %v", err)
	}
	for name, tc := range map[string]struct {
		change func(*chain.Claim)
		want   error
	}{
		"household":       {func(c *chain.Claim) { c.Household[0] ^= 1 }, latchkey.ErrRefused},
		"by a stranger":   {func(c *chain.Claim) { c.By[0] ^= 1 }, latchkey.ErrRefused},
		"by another":      {func(c *chain.Claim) { c.By, c.Member = c.Member, c.By }, latchkey.ErrVerify},
		"with a used key": {func(c *chain.Claim) { c.X = there.Members[c.By].X }, latchkey.ErrRefused},
	} {
		other := c
		tc.change(&other)
		if err := there.CheckClaim(n, other); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
