package member

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/publiclog"
	"latchkey.dev/latchkey/ledger"
)

// GrantStep is how far a grant is on its way (log, then release).
type GrantStep string

// The steps, in their order. A log that is away is told once.
const (
	StepWritten   GrantStep = "written"     // the statement stands in the household's chain
	StepLogAway   GrantStep = "log away"    // the public log cannot be read now
	StepInLog     GrantStep = "in the log"  // the log has its leaf
	StepWitnessed GrantStep = "witnessed"   // its proof holds under the pinned policy
	StepReleased  GrantStep = "handed over" // the capsule is at the server
)

const (
	proofPause    = 250 * time.Millisecond // between two looks
	proofPatience = time.Minute            // what one call waits; normal are seconds
)

// ErrLogWaits is a grant whose statement is written and cannot be proven yet.
// Nothing of it has left this machine; it goes on by itself with a later command.
var ErrLogWaits = fmt.Errorf("%w: the grant is written and waits for the public log", latchkey.ErrUnavailable)

// awaitProof waits until statement seq of the chain can be proven to stand in
// the public log under the pinned policy, and returns the tlog-proof, checked on
// this machine. The log must have grown only since this machine last looked.
// After patience it is ErrLogWaits: nothing is wrong, but nothing may be
// released. A log that forks, or is watched by others, is latchkey.ErrVerify.
func (c *Client) awaitProof(ctx context.Context, seq uint64, patience time.Duration, step func(GrantStep)) ([]byte, error) {
	said := map[GrantStep]bool{}
	say := func(s GrantStep) {
		if !said[s] {
			said[s] = true
			step(s)
		}
	}
	for until := time.Now().Add(patience); ; {
		proof, err := c.proofOf(ctx, seq, say)
		switch {
		case err == nil:
			say(StepWitnessed)
			return proof, nil
		case ctx.Err() != nil:
			return nil, errors.Join(ErrLogWaits, ctx.Err())
		case errors.Is(err, ledger.ErrNotWitnessed), errors.Is(err, errNotLogged):
		case errors.Is(err, latchkey.ErrVerify), errors.Is(err, latchkey.ErrRefused), errors.Is(err, latchkey.ErrUnauthenticated):
			return nil, fmt.Errorf("member: prove the grant: %w", err)
		default:
			c.log.Info("the public log cannot be read", "err", err)
			say(StepLogAway)
		}
		if time.Now().After(until) {
			return nil, fmt.Errorf("member: prove the grant: %w", ErrLogWaits)
		}
		if err := pause(ctx, proofPause); err != nil {
			return nil, errors.Join(ErrLogWaits, err)
		}
	}
}

// errNotLogged is a statement that no checkpoint has yet.
var errNotLogged = errors.New("not in the log yet")

// proofOf proves statement seq now.
func (c *Client) proofOf(ctx context.Context, seq uint64, say func(GrantStep)) ([]byte, error) {
	l, err := c.ledgerCheck(ctx)
	if err != nil {
		return nil, err
	}
	res, err := call(ctx, c, "get leaves", c.api.chain.GetLeaves, &latchkeyv1.GetLeavesRequest{FromSeq: seq})
	if err != nil {
		return nil, err
	}
	if len(res.Leaves) == 0 {
		return nil, errNotLogged
	}
	if res.Log != l.policy.Origin() || res.Leaves[0] > 1<<62 {
		return nil, fmt.Errorf("%w: the statement is said to be in the log %q at %d", latchkey.ErrVerify, res.Log, res.Leaves[0])
	}
	say(StepInLog)
	checkpoint, err := l.checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	leaf := int64(res.Leaves[0])
	if leaf >= checkpoint.Size {
		return nil, errNotLogged
	}
	entry, err := c.entryOf(seq)
	if err != nil {
		return nil, err
	}
	proof, err := l.log.Prove(ctx, checkpoint, leaf)
	if err != nil {
		return nil, err
	}
	proof.Extra = entry.Tag[:]
	if _, err := proof.Check(l.policy, entry.Encode()); err != nil {
		return nil, err
	}
	return proof.Encode(), nil
}

// entryOf is the leaf of statement seq of the verified chain.
func (c *Client) entryOf(seq uint64) (ledger.Entry, error) {
	notes := c.past().notes
	if seq >= uint64(len(notes)) {
		return ledger.Entry{}, fmt.Errorf("%w: statement %d of a chain of %d", latchkey.ErrNotFound, seq, len(notes))
	}
	n, err := chain.ParseNote(notes[seq])
	if err != nil {
		return ledger.Entry{}, err
	}
	key := [ledger.TagSize]byte(c.logTagKey())
	return ledger.Entry{Tag: ledger.TagOf(&key, seq), Value: n.Hash()}, nil
}

// checkProof holds the proof that came with a grant's capsule against the
// pinned policy; the capsule stays shut unless it holds. A proof from before
// the policy has changed, and none at all, are made good by this machine's own
// look at the log.
func (c *Client) checkProof(ctx context.Context, seq uint64, raw []byte) error {
	err := c.proven(ctx, seq, raw)
	if err == nil || !errors.Is(err, latchkey.ErrVerify) && !errors.Is(err, latchkey.ErrInvalid) {
		return err
	}
	if _, own := c.proofOf(ctx, seq, func(GrantStep) {}); own != nil {
		return fmt.Errorf("%w (and this machine cannot prove it either: %v)", err, own)
	}
	return nil
}

func (c *Client) proven(ctx context.Context, seq uint64, raw []byte) error {
	policy, err := c.pinnedPolicy(ctx)
	if err != nil {
		return err
	}
	entry, err := c.entryOf(seq)
	if err != nil {
		return err
	}
	proof, err := ledger.ParseProof(raw)
	if err != nil {
		return err
	}
	if !bytes.Equal(proof.Extra, entry.Tag[:]) {
		return fmt.Errorf("%w: the proof is of another statement", latchkey.ErrVerify)
	}
	_, err = proof.Check(policy, entry.Encode())
	return err
}

// pinnedPolicy is the policy that was pinned, whatever the server says now; who
// has none pins what he is told.
func (c *Client) pinnedPolicy(ctx context.Context) (*ledger.Policy, error) {
	if pinned := c.vaultPolicy(); pinned != "" {
		return publiclog.Parse(pinned, c.past().head())
	}
	policy, _, err := c.policyOf(ctx, false)
	return policy, err
}
