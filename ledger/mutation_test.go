package ledger_test

import (
	"bytes"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/ledger"
	"latchkey.dev/latchkey/testkit"
)

// Every bit of every set proof of the vectors is changed: what still holds says
// the same. Of the proofs with hundreds of siblings only some bytes.
func TestEveryBitOfSetProofs(t *testing.T) {
	var v testkit.Ledger
	testkit.Load(t, "ledger", &v)
	tried := 0
	for _, s := range v.Sets {
		for _, x := range s.Proofs {
			step := 1 + len(x.Proof)/1000*40
			for at := 0; at < len(x.Proof); at += step {
				for bit := range 8 {
					bad := bytes.Clone(x.Proof)
					bad[at] ^= 1 << bit
					tried++
					p, err := ledger.ParseSetProof(bad)
					if err != nil {
						continue
					}
					value, present, err := p.Check(latchkey.Hash(x.Root), ledger.Tag(x.Tag))
					if err == nil && (present != (len(x.Value) > 0) || present && !bytes.Equal(value[:], x.Value)) {
						t.Fatalf("byte %d, bit %d of the proof of %x: present %v, %v", at, bit, x.Tag, present, value)
					}
				}
			}
		}
	}
	if tried < 1000 {
		t.Fatalf("%d changes tried", tried)
	}
}

// A bit in every few bytes of a completeness file is changed: what still holds
// says the same.
func TestBitsOfCompleteness(t *testing.T) {
	var v testkit.Ledger
	testkit.Load(t, "ledger", &v)
	policy, err := ledger.ParsePolicy(v.Policy)
	if err != nil {
		t.Fatal(err)
	}
	key := [ledger.TagSize]byte(v.KTag)
	for _, x := range v.Completeness {
		if !x.Holds {
			continue
		}
		for at := 0; at < len(x.File); at += 3 {
			bad := []byte(x.File)
			bad[at] ^= 1 << (at % 7)
			c, err := ledger.ParseCompleteness(bad)
			if err != nil {
				continue
			}
			done, err := c.Check(policy, &key)
			if err == nil && (done.Seq != x.Seq || !bytes.Equal(done.Head[:], x.Head) || done.At.Unix() != x.At) {
				t.Fatalf("%s, byte %d: %+v", x.Name, at, done)
			}
		}
	}
}
