package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
)

// appendTries bounds the rounds of compare-and-swap against other writers.
const appendTries = 6

// history is a verified chain: what each statement made of the household.
// It only ever grows.
type history struct {
	notes  [][]byte      // as they were signed
	states []chain.State // states[i] is after statement i
}

// head is the newest state.
func (h history) head() chain.State {
	if len(h.states) == 0 {
		return chain.State{}
	}
	return h.states[len(h.states)-1]
}

// at is the state after statement seq with that hash: a signed note names its
// place in the chain, and a place that this chain does not have means that two
// histories exist.
func (h history) at(seq uint64, hash latchkey.Hash) (chain.State, error) {
	if seq >= uint64(len(h.states)) {
		return chain.State{}, fmt.Errorf("%w: the note rests on statement %d, the chain shown to us ends at %d", latchkey.ErrVerify, seq, h.head().Seq)
	}
	if s := h.states[seq]; s.Hash == hash {
		return s, nil
	}
	return chain.State{}, fmt.Errorf("%w: the note rests on another statement %d than ours", latchkey.ErrVerify, seq)
}

// removalSlack is how long after its removal a hub's clock may still begin an
// epoch: the clocks of hub and admin differ, and word takes a moment.
const removalSlack = 10 * 60 // seconds

// admits reports whether the hub of an epoch note had not yet been removed when
// the epoch began. A note names the place in the chain that it rests on, and a
// removed hub could for ever name one from before its removal.
func (h history) admits(note chain.EpochNote) error {
	for _, s := range h.states[min(note.ChainSeq, uint64(len(h.states))):] {
		if _, in := s.Hubs[note.Hub]; !in && note.Start > s.Time+removalSlack {
			return fmt.Errorf("%w: epoch %v begins after the household has removed its hub", latchkey.ErrVerify, note.Epoch)
		}
	}
	return nil
}

// extend applies raw notes in order; h is not changed.
func (h history) extend(raw [][]byte, now int64) (history, error) {
	next := history{notes: slices.Clip(h.notes), states: slices.Clip(h.states)}
	state := h.head()
	for _, r := range raw {
		n, err := chain.ParseNote(r)
		if err != nil {
			return h, fmt.Errorf("%w: the server's chain: %w", latchkey.ErrVerify, err)
		}
		if state, err = chain.Apply(state, n, now); err != nil {
			return h, fmt.Errorf("%w: the server's chain: %w", latchkey.ErrVerify, err)
		}
		next.notes, next.states = append(next.notes, r), append(next.states, state)
	}
	return next, nil
}

// sync fetches what is new of the chain, verifies it and returns the newest
// state. A chain that is shorter than, or differs from, what this machine saw
// before is latchkey.ErrVerify.
func (c *Client) sync(ctx context.Context) (chain.State, error) {
	h, err := c.fetchChain(ctx)
	if err == nil {
		err = c.adopt(h)
	}
	if errors.Is(err, errOtherKey) {
		// Another device of this person may have changed the key: then the
		// vault on the server has it.
		if _, pullErr := c.pullVault(ctx); pullErr != nil {
			return chain.State{}, errors.Join(err, pullErr)
		}
		err = c.adopt(h)
	}
	if err != nil {
		return chain.State{}, fmt.Errorf("member: sync chain: %w", err)
	}
	return h.head(), nil
}

// fetchChain asks for the statements after those that are known, and for the
// last of these again: a server that has gone back, or to another chain, shows
// itself by it.
func (c *Client) fetchChain(ctx context.Context) (history, error) {
	h := c.past()
	for first := true; ; first = false {
		known := len(h.states)
		again := first && known > 0
		from := uint64(known)
		if again {
			from--
		}
		res, err := call(ctx, c, "get chain", c.api.chain.GetChain, &latchkeyv1.GetChainRequest{FromSeq: from})
		if err != nil {
			return h, err
		}
		notes := res.Notes
		if again {
			if len(notes) == 0 {
				return h, fmt.Errorf("%w: the server's chain ends before statement %d, which was seen before", latchkey.ErrVerify, from)
			}
			if err := h.sameLast(notes[0]); err != nil {
				return h, err
			}
			notes = notes[1:]
		}
		if len(notes) == 0 {
			return h, nil
		}
		if h, err = h.extend(notes, time.Now().Unix()); err != nil {
			return h, err
		}
	}
}

// sameLast checks that raw is the newest statement of h.
func (h history) sameLast(raw []byte) error {
	n, err := chain.ParseNote(raw)
	if err != nil {
		return fmt.Errorf("%w: the server's chain: %w", latchkey.ErrVerify, err)
	}
	if n.Hash() != h.head().Hash {
		return fmt.Errorf("%w: the server shows another statement %d than before: its chain has forked", latchkey.ErrVerify, h.head().Seq)
	}
	return nil
}

// errOtherKey is a roster with another sealing key for this member than the
// vault has.
var errOtherKey = fmt.Errorf("%w: the roster has another sealing key for this member than the vault", latchkey.ErrVerify)

// adopt checks h against what this machine has pinned and pins its head.
func (c *Client) adopt(h history) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	head := h.head()
	if len(h.states) == 0 || head.Household != c.vault.Household {
		return fmt.Errorf("%w: the server shows the chain of another household", latchkey.ErrVerify)
	}
	if len(h.states) < len(c.history.states) {
		return nil // a slower concurrent sync
	}
	if err := c.fits(h); err != nil {
		return err
	}
	grown := len(h.states) > len(c.history.states)
	c.history = h
	if grown {
		if err := c.store.saveChain(h.notes); err != nil {
			return err
		}
	}
	if head.Seq == c.rec.Seq {
		return nil
	}
	c.rec.Seq, c.rec.Hash = head.Seq, head.Hash.String()
	return c.store.save(c.rec)
}

// check is adopt without keeping anything.
func (c *Client) check(h history) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(h.states) == 0 || h.head().Household != c.vault.Household {
		return fmt.Errorf("%w: the server shows the chain of another household", latchkey.ErrVerify)
	}
	return c.fits(h)
}

// fits checks that h has what is pinned, and this member with his keys; the
// caller holds mu.
func (c *Client) fits(h history) error {
	if err := c.pinned(h); err != nil {
		return err
	}
	head := h.head()
	me, ok := head.Members[c.kid()]
	if !ok {
		return c.notThere(head)
	}
	if string(me.X) != string(c.vault.Sealing[0].Public()) {
		return errOtherKey
	}
	return nil
}

// pinned checks that h has the statements that this machine and the vault have
// noted; the caller holds mu.
func (c *Client) pinned(h history) error {
	hash, err := parseHash(c.rec.Hash)
	if err != nil {
		return fmt.Errorf("%s: %w", memberFile, err)
	}
	if _, err := h.at(c.rec.Seq, hash); err != nil {
		return fmt.Errorf("the server's chain does not extend the one seen before (statement %d): %w", c.rec.Seq, err)
	}
	if _, err := h.at(c.vault.Seq, c.vault.Hash); err != nil {
		return fmt.Errorf("the server's chain does not extend the one noted in the vault: %w", err)
	}
	return nil
}

// notThere tells a member who was removed from one whose keys another of his
// devices has replaced.
func (c *Client) notThere(head chain.State) error {
	for _, m := range head.Members {
		if slices.Contains(m.PastEd, c.kid()) {
			if there, _ := c.store.loadSealed(newKeysFile, &newKeys{}); there {
				return fmt.Errorf("%w: %w", latchkey.ErrRefused, ErrKeysUnderWay)
			}
			return fmt.Errorf("%w: this person has new keys, made on another device; these are out of use", latchkey.ErrRefused)
		}
	}
	return fmt.Errorf("%w: the household has removed this member", latchkey.ErrRefused)
}

// append signs the statement that build makes for the next place in the chain
// and has the server sequence it. It re-signs when somebody else was first.
func (c *Client) append(ctx context.Context, what string, build func(chain.Head, chain.State) (chain.Statement, error)) (chain.State, error) {
	for range appendTries {
		state, err := c.sync(ctx)
		if err != nil {
			return chain.State{}, err
		}
		raw, next, err := c.sign(state, build)
		if err != nil {
			return chain.State{}, fmt.Errorf("member: %s: %w", what, err)
		}
		_, sendErr := call(ctx, c, what, c.api.chain.AppendStatement, &latchkeyv1.AppendStatementRequest{Note: raw})
		if sendErr != nil && !errors.Is(sendErr, latchkey.ErrConflict) && !errors.Is(sendErr, latchkey.ErrUnavailable) {
			return chain.State{}, sendErr
		}
		// Whether it was sequenced, the chain itself tells: an answer can get
		// lost, and a server's yes is no proof.
		if _, err := c.sync(ctx); err != nil {
			return chain.State{}, errors.Join(sendErr, err)
		}
		if c.holds(next) {
			return next, nil
		}
		if sendErr == nil {
			return chain.State{}, fmt.Errorf("member: %s: %w: the server took the statement and does not show it", what, latchkey.ErrVerify)
		}
	}
	return chain.State{}, fmt.Errorf("member: %s: %w: others kept changing the household", what, latchkey.ErrConflict)
}

// sign builds, signs and locally applies the next statement, so that what the
// chain's rules refuse is refused before it is sent.
func (c *Client) sign(state chain.State, build func(chain.Head, chain.State) (chain.Statement, error)) ([]byte, chain.State, error) {
	now := time.Now().Unix()
	head := chain.Head{
		Household: state.Household, Seq: state.Seq + 1, Prev: state.Hash,
		Time: now, By: c.kid(), Salt: newSalt(),
	}
	statement, err := build(head, state)
	if err != nil {
		return nil, state, err
	}
	text, err := statement.Text()
	if err != nil {
		return nil, state, err
	}
	raw := chain.SignNote(text, c.vault.Signing)
	n, err := chain.ParseNote(raw)
	if err != nil {
		return nil, state, err
	}
	next, err := chain.Apply(state, n, now)
	return raw, next, err
}

// holds reports whether the verified chain contains exactly this state.
func (c *Client) holds(s chain.State) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.history.at(s.Seq, s.Hash)
	return err == nil
}

// past returns the verified chain as it is now.
func (c *Client) past() history {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.history
}
