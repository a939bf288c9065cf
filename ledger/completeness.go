package ledger

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"latchkey.dev/latchkey"
)

// Completeness proves to whoever knows a household's log tag key that its
// chain ended with statement Seq when the set was made: that one is in the set
// and the next is not. With the hash chain this covers every statement.
type Completeness struct {
	Seq     uint64
	Set     []byte   // set note, with the auditors' lines
	Log     Proof    // that the set note stands in the log
	Present SetProof // of the tag of Seq
	Absent  SetProof // of the tag of Seq+1
}

const completenessType = notePrefix + "completeness\n"

// Encode returns the file: its type and one line a field, bytes in base64.
func (c Completeness) Encode() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%sseq %d\n", completenessType, c.Seq)
	for i, field := range [][]byte{c.Set, c.Log.Encode(), c.Present.Encode(), c.Absent.Encode()} {
		b.WriteString(completenessKeys[i] + latchkey.B64(field) + "\n")
	}
	return []byte(b.String())
}

var completenessKeys = [...]string{"set ", "log ", "present ", "absent "}

// ParseCompleteness reads the form of Encode strictly. What it holds is checked
// by Check.
func ParseCompleteness(b []byte) (Completeness, error) {
	rest, ok := strings.CutPrefix(string(b), completenessType)
	lines := strings.Split(rest, "\n")
	if !ok || len(lines) != 6 || lines[5] != "" {
		return Completeness{}, invalid("completeness", "want its type and five lines")
	}
	var c Completeness
	seq, ok := strings.CutPrefix(lines[0], "seq ")
	n, decimal := number(seq)
	if !ok || !decimal {
		return Completeness{}, invalid("completeness", "line %q, want seq", lines[0])
	}
	c.Seq = uint64(n)
	var fields [4][]byte
	var err error
	for i, key := range completenessKeys {
		value, ok := strings.CutPrefix(lines[i+1], key)
		if fields[i], err = base64.StdEncoding.Strict().DecodeString(value); !ok || err != nil || latchkey.B64(fields[i]) != value {
			return Completeness{}, invalid("completeness", "line %d, want %q and base64", i+3, key)
		}
	}
	c.Set = fields[0]
	if c.Log, err = ParseProof(fields[1]); err != nil {
		return Completeness{}, err
	}
	if c.Present, err = ParseSetProof(fields[2]); err != nil {
		return Completeness{}, err
	}
	c.Absent, err = ParseSetProof(fields[3])
	return c, err
}

// Complete is what a completeness proof shows.
type Complete struct {
	Seq        uint64
	Head       latchkey.Hash // H of the text of statement Seq
	Set        SetNote
	Checkpoint Checkpoint // has the set note in it
	// At is the time up to which the chain is complete: that of the set, or of the
	// witnesses where that is earlier.
	At time.Time
}

// Check holds the proof against the policy. The caller holds Head against his
// chain, and judges At by his clock. The error is the first of Inspect.
func (c Completeness) Check(policy *Policy, key *[TagSize]byte) (Complete, error) {
	done, failures := c.Inspect(policy, key)
	if len(failures) > 0 {
		return Complete{}, failures[0]
	}
	return done, nil
}

// Inspect is Check with everything that fails, for whoever has to say what is
// wrong with a file. What is Complete counts only without failures; until then
// it holds what could be read.
func (c Completeness) Inspect(policy *Policy, key *[TagSize]byte) (Complete, []error) {
	done := Complete{Seq: c.Seq}
	var failures []error
	fail := func(err error) { failures = append(failures, err) }
	set, setErr := policy.Set(c.Set)
	if setErr != nil {
		fail(setErr)
	}
	var logErr error
	if entry, err := policy.SetEntry(c.Set); err == nil {
		if done.Checkpoint, logErr = c.Log.Check(policy, entry); logErr != nil {
			fail(logErr)
		}
	} else if setErr == nil {
		fail(err)
	}
	if setErr != nil { // what is shown under a set that does not hold shows nothing
		return done, failures
	}
	done.Set, done.At = set, set.Time
	if w := done.Checkpoint.Witnessed; logErr == nil && policy.Witnessed() && w.Before(done.At) {
		done.At = w
	}
	if set.Size > c.Log.Index {
		fail(broken("completeness", "the set is of more of the log than was there before it"))
	}
	head, present, err := c.Present.Check(set.Root, TagOf(key, c.Seq))
	if err != nil {
		fail(err)
	} else if !present {
		fail(broken("completeness", "statement %d is not in the log", c.Seq))
	}
	done.Head = head
	_, more, err := c.Absent.Check(set.Root, TagOf(key, c.Seq+1))
	if err != nil {
		fail(err)
	} else if more {
		fail(broken("completeness", "statement %d is in the log as well: it was kept back", c.Seq+1))
	}
	return done, failures
}
