package member

import (
	"maps"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// NewKeys says that somebody's keys are not those he came with.
type NewKeys struct {
	At     time.Time // of the last time, by the clock of who did it; zero: never
	ByCode bool      // with the recovery code; else with the keys of before
}

// newKeys finds them by the member's kid of now. Counted is what somebody else
// could have done who has a device or a code: a new signing key, and anything
// the recovery key signed. A member's own new code, or his own new sealing key,
// is his routine.
func (h history) newKeys() map[latchkey.Kid]NewKeys {
	found := map[latchkey.Kid]NewKeys{}
	for _, raw := range h.notes {
		n, err := chain.ParseNote(raw)
		if err != nil || n.Type != chain.TypeRekey {
			continue // all of it was verified: none fails to parse
		}
		st, err := chain.ParseStatement(n)
		rekey, ok := st.(chain.Rekey)
		if err != nil || !ok {
			continue
		}
		now := found[rekey.Kid]
		if byCode := rekey.By != rekey.Kid; byCode || rekey.Ed != nil {
			now = NewKeys{At: time.Unix(rekey.Time, 0), ByCode: byCode}
		}
		delete(found, rekey.Kid)
		kid := rekey.Kid
		if rekey.Ed != nil {
			kid = chain.KidOf(rekey.Ed)
		}
		found[kid] = now
	}
	maps.DeleteFunc(found, func(_ latchkey.Kid, k NewKeys) bool { return k.At.IsZero() })
	return found
}
