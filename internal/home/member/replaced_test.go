package member

import (
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// TestNewKeys: what a thief of a code or a device could have done is told, by
// the person's kid of now; a person's own new code is not.
func TestNewKeys(t *testing.T) {
	ann, bob, code := keys.NewSigning(), keys.NewSigning(), keys.NewCode()
	next := keys.NewSigning()
	var h history
	add := func(by *keys.Signing, at int64, st func(chain.Head) chain.Statement) {
		t.Helper()
		text, err := st(chain.Head{Household: latchkey.HouseholdID{1}, Seq: uint64(len(h.notes) + 1), Time: at, By: by.Kid(), Salt: newSalt()}).Text()
		if err != nil {
			t.Fatal(err)
		}
		h.notes = append(h.notes, chain.SignNote(text, by))
	}
	rekey := func(kid latchkey.Kid, ed, recovery []byte) func(chain.Head) chain.Statement {
		return func(head chain.Head) chain.Statement {
			return chain.Rekey{Head: head, Kid: kid, Ed: ed, Recovery: recovery}
		}
	}
	add(ann, 100, rekey(ann.Kid(), nil, keys.NewSigning().Public()))
	if got := h.newKeys(); len(got) != 0 {
		t.Errorf("a new code of one's own is told: %v", got)
	}
	add(bob, 200, rekey(bob.Kid(), next.Public(), keys.NewSigning().Public()))
	add(ann, 250, func(head chain.Head) chain.Statement { return chain.Unmember{Head: head, Kid: latchkey.Kid{7}} })
	if got := h.newKeys(); len(got) != 1 || got[next.Kid()] != (NewKeys{At: time.Unix(200, 0)}) {
		t.Errorf("%v", got)
	}
	add(next, 300, rekey(next.Kid(), nil, keys.NewSigning().Public()))
	if got := h.newKeys()[next.Kid()]; got != (NewKeys{At: time.Unix(200, 0)}) {
		t.Errorf("a new code hides new keys: %v", got)
	}
	add(code.RecoverySign(), 400, rekey(ann.Kid(), nil, keys.NewSigning().Public()))
	if got := h.newKeys()[ann.Kid()]; got != (NewKeys{At: time.Unix(400, 0), ByCode: true}) {
		t.Errorf("%v", got)
	}
}
