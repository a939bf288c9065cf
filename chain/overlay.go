package chain

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"latchkey.dev/latchkey"
)

// Limits of an overlay (spec/chain, "Early removals").
const (
	// maxLead is how far past the verified head a removal may claim its place.
	// Were it unbounded, one signature could shut somebody out for ever.
	maxLead = 1024
	// maxWaiting is how many removals of parties that the chain does not have
	// yet are kept. Of those it has there is at most one each.
	maxWaiting = 64
)

// Overlay holds early removals: signed statements that the chain does not have
// yet, and that count already, so that a server which refuses to carry one
// gains nothing. It only ever takes away. The zero Overlay is empty. It is a
// value like State; its order is that of arrival.
type Overlay struct {
	removals []removal
}

// removal is one unmember, unhub or revoke.
type removal struct {
	raw []byte
	st  Statement
}

// removalTarget is whom or what a removal takes away.
type removalTarget struct {
	noteType string
	id       [latchkey.IDSize]byte
}

func (r removal) seq() uint64 { return r.st.Common().Seq }

func (r removal) target() removalTarget {
	switch st := r.st.(type) {
	case Unmember:
		return removalTarget{TypeUnmember, st.Kid}
	case Unhub:
		return removalTarget{TypeUnhub, st.Kid}
	case Revoke:
		return removalTarget{TypeRevoke, st.Grant}
	}
	return removalTarget{}
}

// readRemoval reads a note that takes away and does nothing else.
func readRemoval(n Note) (removal, error) {
	switch n.Type {
	case TypeUnmember, TypeUnhub, TypeRevoke:
	default:
		return removal{}, invalid("%s is no removal", n.Type)
	}
	st, err := ParseStatement(n)
	if err != nil {
		return removal{}, err
	}
	return removal{raw: bytes.Clone(n.Raw), st: st}, nil
}

// Add takes the removal n on top of the verified state s. Its signer has to
// have the right in s, and not be removed by the overlay at an earlier or the
// same place; its place has to be past s, so that an old removal says nothing
// against somebody who was admitted again. now is the caller's clock in unix
// seconds. A removal that the overlay has already changes nothing.
//
// Errors are those of Apply: latchkey.ErrInvalid, ErrConflict, ErrVerify,
// ErrRefused; and ErrFull when too many wait for parties unknown to s. o is
// never changed.
func (o Overlay) Add(s State, n Note, now int64) (Overlay, error) {
	r, err := readRemoval(n)
	if err == nil {
		err = s.checkRemoval(r, now)
	}
	if err == nil {
		o = o.Settle(s)
		err = o.checkSigner(s, r, n)
	}
	if err != nil {
		return Overlay{}, fmt.Errorf("chain: early %s: %w", n.Type, err)
	}
	next, err := o.with(s, r)
	if err != nil {
		return Overlay{}, fmt.Errorf("chain: early %s: %w", n.Type, err)
	}
	return next, nil
}

// checkRemoval checks household, place and time. prev is not held against s:
// the removal counts even if its signer was shown another chain.
func (s State) checkRemoval(r removal, now int64) error {
	h := r.st.Common()
	switch {
	case !s.founded() || h.Household != s.Household:
		return fmt.Errorf("%w: it belongs to another household", latchkey.ErrConflict)
	case h.Seq <= s.Seq:
		return fmt.Errorf("%w: its place %d is past, the chain is at %d", latchkey.ErrConflict, h.Seq, s.Seq)
	case h.Seq-s.Seq > maxLead:
		return refused("its place %d is too far past %d", h.Seq, s.Seq)
	case h.Time-maxSkew > now:
		return refused("its time is in the future")
	}
	return nil
}

// checkSigner checks the right and the signature.
func (o Overlay) checkSigner(s State, r removal, n Note) error {
	by := r.st.Common().By
	m, ok := s.Members[by]
	right := ok && m.Role == RoleAdmin
	if st, is := r.st.(Revoke); is && ok && !right {
		g, known := s.Grants[st.Grant]
		right = known && g.By == by
	}
	if !right {
		return refused("signed by nobody who has the right")
	}
	if err := n.Verify(m.Ed); err != nil {
		return err
	}
	if _, ok := s.Under(o.upTo(r.seq())).Members[by]; !ok {
		return refused("its signer is removed himself")
	}
	if st, is := r.st.(Unmember); is {
		if who, ok := s.memberNamed(st.Kid); ok && who == by {
			return refused("nobody removes himself")
		}
	}
	return nil
}

// upTo is the overlay without what claims a place after seq.
func (o Overlay) upTo(seq uint64) Overlay {
	return Overlay{slices.DeleteFunc(slices.Clone(o.removals), func(r removal) bool { return r.seq() > seq })}
}

// with adds a checked removal. Of one target it keeps the latest place: that
// one counts wherever an earlier one would.
func (o Overlay) with(s State, r removal) (Overlay, error) {
	next := Overlay{slices.Clone(o.removals)}
	i := slices.IndexFunc(next.removals, func(other removal) bool { return other.target() == r.target() })
	switch {
	case i < 0:
		next.removals = append(next.removals, r)
	case next.removals[i].seq() >= r.seq():
		return o, nil
	default:
		next.removals[i] = r
	}
	if st, is := r.st.(Unmember); is {
		if who, ok := s.memberNamed(st.Kid); ok {
			if _, stays := s.Under(next).Members[who]; stays {
				return Overlay{}, refused("%v is the last admin", who)
			}
		}
	}
	// Whoever is there can be removed, however many wait.
	if !r.counts(s) && next.waiting(s) > maxWaiting {
		return Overlay{}, fmt.Errorf("%w: %d removals wait for parties that the chain does not have", latchkey.ErrFull, maxWaiting)
	}
	return next, nil
}

// waiting is how many removals take nothing away from s yet.
func (o Overlay) waiting(s State) int {
	n := 0
	for _, r := range o.removals {
		if !r.counts(s) {
			n++
		}
	}
	return n
}

// memberNamed finds a member by the kid of his Ed25519 key, a former one too:
// nobody escapes a removal by a rekey.
func (s State) memberNamed(kid latchkey.Kid) (latchkey.Kid, bool) {
	if _, ok := s.Members[kid]; ok {
		return kid, true
	}
	for who, m := range s.Members {
		if slices.Contains(m.PastEd, kid) {
			return who, true
		}
	}
	return latchkey.Kid{}, false
}

// counts reports whether the removal takes something away from s: its target
// is there, and has not been admitted or restated at a later place.
func (r removal) counts(s State) bool {
	if r.st.Common().Household != s.Household {
		return false
	}
	switch st := r.st.(type) {
	case Unmember:
		who, ok := s.memberNamed(st.Kid)
		return ok && s.Members[who].Seq <= r.seq()
	case Unhub:
		h, ok := s.Hubs[st.Kid]
		return ok && h.Seq <= r.seq()
	case Revoke:
		g, ok := s.Grants[st.Grant]
		return ok && !g.Revoked && g.Seq <= r.seq()
	}
	return false
}

// Settle drops the removals that s has settled: the chain has come to their
// place, and their target is gone, or was admitted or restated after it. That
// another statement stands at their place settles nothing: a server could have
// put it there to keep the removal out.
func (o Overlay) Settle(s State) Overlay {
	var kept []removal
	for _, r := range o.removals {
		if r.st.Common().Household == s.Household && (s.Seq < r.seq() || r.counts(s)) {
			kept = append(kept, r)
		}
	}
	return Overlay{kept}
}

// Under is s as the removals leave it: the same place in the chain, fewer
// members and hubs, grants that ended. The last admin stays, whoever the chain
// makes that. Epoch notes name the chain, so an epoch made under an overlay has
// fewer recipients than its chain position prescribes: RecipientsFit.
func (s State) Under(o Overlay) State {
	for _, r := range o.removals {
		if !r.counts(s) {
			continue
		}
		switch st := r.st.(type) {
		case Unmember:
			who, _ := s.memberNamed(st.Kid)
			if s.Members[who].Role != RoleAdmin || s.admins() > 1 {
				s = s.without(who)
			}
		case Unhub:
			s.Hubs = maps.Clone(s.Hubs)
			delete(s.Hubs, st.Kid)
		case Revoke:
			s = s.revoked(st.Grant)
		}
	}
	return s
}

// Statements are the removals: Unmember, Unhub and Revoke, in order of arrival.
func (o Overlay) Statements() []Statement {
	var out []Statement
	for _, r := range o.removals {
		out = append(out, r.st)
	}
	return out
}

// Notes are the signed notes of the removals, to be kept across a restart.
func (o Overlay) Notes() [][]byte {
	var out [][]byte
	for _, r := range o.removals {
		out = append(out, bytes.Clone(r.raw))
	}
	return out
}

// ParseOverlay reads back what Notes gave, strictly. It verifies no signature:
// whoever signed may be gone from the chain since. Keep the notes where nobody
// else writes; what comes from elsewhere goes through Add.
func ParseOverlay(notes [][]byte) (Overlay, error) {
	var o Overlay
	seen := map[removalTarget]bool{}
	for _, raw := range notes {
		n, err := ParseNote(raw)
		if err != nil {
			return Overlay{}, err
		}
		r, err := readRemoval(n)
		if err != nil {
			return Overlay{}, fmt.Errorf("chain: parse overlay: %w", err)
		}
		if seen[r.target()] {
			return Overlay{}, fmt.Errorf("chain: parse overlay: %w", invalid("two removals of one %s", n.Type))
		}
		if len(o.removals) > 0 && r.st.Common().Household != o.removals[0].st.Common().Household {
			return Overlay{}, fmt.Errorf("chain: parse overlay: %w", invalid("removals of two households"))
		}
		seen[r.target()] = true
		o.removals = append(o.removals, r)
	}
	return o, nil
}
