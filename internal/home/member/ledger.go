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
	"latchkey.dev/latchkey/internal/home/publiclog"
	"latchkey.dev/latchkey/ledger"
)

// loggedWithin is how long a statement may be on its way into the log.
const loggedWithin = time.Minute

// LedgerReport is what this machine has verified of the public log.
type LedgerReport struct {
	Log         string // origin
	Size        int64  // entries
	Witnesses   int    // that the policy names
	Auditors    int
	Witnessed   bool      // a quorum of witnesses is demanded
	Witness     time.Time // when a quorum had last vouched; zero without witnesses
	Statements  []LoggedStatement
	Complete    time.Time // nothing up to then is missing or was kept back; zero: no proof yet
	CompleteSeq uint64    // the newest statement then
	Proof       []byte    // the file that proves it (docs/spec/log.md, "Completeness"); nil: none yet
}

// LoggedStatement is one statement of the household, and where it stands in the
// public log.
type LoggedStatement struct {
	Seq    uint64
	Time   time.Time
	Signer string // name; empty when it is not known
	Hash   latchkey.Hash
	What   chain.Statement
	Names  func(...latchkey.Kid) string // of people and hubs
	// Camera is the name of the camera that a track is of; empty when it is not known.
	Camera func(latchkey.TrackID) string
	Leaf   int64  // −1: on its way into the log
	Proof  []byte // c2sp.org/tlog-proof of the leaf
}

// Covered reports whether the proof of completeness covers the newest statement.
func (r LedgerReport) Covered() bool {
	return !r.Complete.IsZero() && r.CompleteSeq+1 == uint64(len(r.Statements))
}

// Stale reports whether the proof of completeness is missing or too old at now.
func (r LedgerReport) Stale(now time.Time) bool { return now.Sub(r.Complete) > publiclog.StaleAfter }

// Pending is how many statements are on their way into the log.
func (r LedgerReport) Pending() int {
	n := 0
	for _, s := range r.Statements {
		if s.Leaf < 0 {
			n++
		}
	}
	return n
}

// overdue is the oldest statement that should have come into the log by now.
func (r LedgerReport) overdue(now time.Time) (seq uint64, ok bool) {
	for _, s := range r.Statements {
		if s.Leaf < 0 && now.Sub(s.Time) > loggedWithin {
			return s.Seq, true
		}
	}
	return 0, false
}

// Ledger checks the household's statements against the public log: every one of
// them stands in it, the log has only grown since this machine last looked, and
// nothing newer exists than was shown. A log that forks, shrinks, hides a
// statement, or is watched by others than before is latchkey.ErrVerify.
//
// wait is how long it waits for the newest statement to be proven. acceptPolicy
// takes the watchers that the server names now in place of the pinned ones.
func (c *Client) Ledger(ctx context.Context, wait time.Duration, acceptPolicy bool) (LedgerReport, error) {
	fail := func(err error) (LedgerReport, error) {
		return LedgerReport{}, fmt.Errorf("member: ledger: %w", err)
	}
	if _, err := c.refresh(ctx); err != nil {
		return fail(err)
	}
	l, err := c.lookAtLog(ctx, acceptPolicy)
	if err != nil {
		return fail(err)
	}
	for until := time.Now().Add(wait); ; {
		r, err := l.look(ctx)
		if errors.Is(err, ledger.ErrNotWitnessed) && time.Now().Before(until) {
			err = nil // a log that is new
		}
		if err != nil {
			return fail(err)
		}
		if r.Covered() || wait == 0 {
			return r, nil
		}
		if time.Now().After(until) {
			if seq, ok := r.overdue(time.Now()); ok {
				return fail(fmt.Errorf("%w: statement %d is not in the public log", latchkey.ErrVerify, seq))
			}
			return r, nil
		}
		select {
		case <-ctx.Done():
			return fail(ctx.Err())
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// ledgerCheck begins a look at the log under the pinned policy.
func (c *Client) ledgerCheck(ctx context.Context) (*ledgerCheck, error) {
	return c.lookAtLog(ctx, false)
}

func (c *Client) lookAtLog(ctx context.Context, acceptPolicy bool) (*ledgerCheck, error) {
	policy, pin, err := c.policyOf(ctx, acceptPolicy)
	if err == nil && acceptPolicy {
		err = c.tellPolicy(ctx, policy)
	}
	if err != nil {
		return nil, err
	}
	key := [ledger.TagSize]byte(c.logTagKey())
	pinned := publiclog.Open(c.api.log(), policy, pin, key, c.savePin)
	return &ledgerCheck{c: c, policy: policy, pinned: pinned, log: pinned.Reader(), key: key, h: c.past()}, nil
}

// ledgerCheck is one look at the log.
type ledgerCheck struct {
	c      *Client
	policy *ledger.Policy
	pinned *publiclog.Log
	log    *ledger.Log
	key    [ledger.TagSize]byte
	h      history
}

func (l *ledgerCheck) look(ctx context.Context) (LedgerReport, error) {
	checkpoint, err := l.checkpoint(ctx)
	if err != nil {
		return LedgerReport{}, err
	}
	if err := publiclog.Frozen(l.policy, checkpoint, time.Now()); err != nil {
		return LedgerReport{}, err
	}
	r := LedgerReport{
		Log: l.policy.Origin(), Size: checkpoint.Size, Witnesses: len(l.policy.Witnesses), Auditors: len(l.policy.Auditors),
		Witnessed: l.policy.Witnessed(), Witness: checkpoint.Witnessed,
	}
	if r.Statements, err = l.statements(ctx, checkpoint); err != nil {
		return r, err
	}
	done, err := l.completeness(ctx)
	if err != nil {
		return r, err
	}
	if err := l.c.cover(done); err != nil {
		return r, err
	}
	if done != nil {
		r.Complete, r.CompleteSeq, r.Proof = done.At, done.Seq, l.pinned.Proof()
	}
	return r, nil
}

// checkpoint takes the newest checkpoint, if the log has only grown since the
// one that was taken before.
func (l *ledgerCheck) checkpoint(ctx context.Context) (ledger.Checkpoint, error) {
	return l.pinned.Checkpoint(ctx)
}

// statements finds and proves every statement of the chain.
func (l *ledgerCheck) statements(ctx context.Context, checkpoint ledger.Checkpoint) ([]LoggedStatement, error) {
	leaves, err := l.leaves(ctx)
	if err != nil {
		return nil, err
	}
	cameras, err := l.c.Cameras(ctx)
	if err != nil {
		return nil, err
	}
	camera := func(t latchkey.TrackID) string {
		for _, c := range cameras {
			if slices.ContainsFunc(c.Tracks, func(o Track) bool { return o.ID == t }) {
				return c.Name
			}
		}
		return ""
	}
	var out []LoggedStatement
	for seq, raw := range l.h.notes {
		n, err := chain.ParseNote(raw)
		if err != nil {
			return nil, err
		}
		st, err := chain.ParseStatement(n)
		if err != nil {
			return nil, err
		}
		head := st.Common()
		s := LoggedStatement{
			Seq: uint64(seq), Time: time.Unix(head.Time, 0), Signer: l.c.signerName(head.By), Hash: n.Hash(), What: st, Names: l.names, Camera: camera, Leaf: -1,
		}
		if seq < len(leaves) && leaves[seq] < checkpoint.Size {
			s.Leaf = leaves[seq]
			proof, err := l.log.Prove(ctx, checkpoint, s.Leaf)
			if err != nil {
				return nil, err
			}
			entry := ledger.Entry{Tag: ledger.TagOf(&l.key, s.Seq), Value: s.Hash}
			proof.Extra = entry.Tag[:]
			if _, err := proof.Check(l.policy, entry.Encode()); err != nil {
				return nil, fmt.Errorf("statement %d: %w", seq, err)
			}
			s.Proof = proof.Encode()
		}
		out = append(out, s)
	}
	return out, nil
}

// names is the name of a person or hub, by whichever of the keys.
func (l *ledgerCheck) names(kids ...latchkey.Kid) string {
	if name := l.c.nameOf(kids...); name != "" {
		return name
	}
	for _, k := range kids {
		if party, ok := l.h.head().HolderOf(k); ok {
			return l.c.nameOf(party)
		}
	}
	return ""
}

// leaves asks where the statements stand: the server's word, proven after.
func (l *ledgerCheck) leaves(ctx context.Context) ([]int64, error) {
	var out []int64
	for len(out) < len(l.h.notes) {
		res, err := call(ctx, l.c, "get leaves", l.c.api.chain.GetLeaves, &latchkeyv1.GetLeavesRequest{FromSeq: uint64(len(out))})
		if err != nil {
			return nil, err
		}
		if res.Log != l.policy.Origin() && len(res.Leaves) > 0 {
			return nil, fmt.Errorf("%w: the statements are in the log %q, not in %q", latchkey.ErrVerify, res.Log, l.policy.Origin())
		}
		for _, leaf := range res.Leaves {
			if leaf > 1<<62 {
				return nil, fmt.Errorf("%w: a place of %d in the log", latchkey.ErrVerify, leaf)
			}
			out = append(out, int64(leaf))
		}
		if len(res.Leaves) == 0 {
			break
		}
	}
	return out, nil
}

// completeness takes the newest proof of how far the chain goes; nil while there
// is none. A proof of another chain, or beyond the chain that the server shows
// even now, is latchkey.ErrVerify.
func (l *ledgerCheck) completeness(ctx context.Context) (*ledger.Complete, error) {
	res, err := call(ctx, l.c, "get completeness", l.c.api.chain.GetCompleteness, &latchkeyv1.GetCompletenessRequest{})
	if errors.Is(err, latchkey.ErrNotFound) {
		return l.pinned.Proven(l.h.notes)
	}
	if err != nil {
		return nil, err
	}
	done, err := l.pinned.Take(ctx, res.Proof, l.h.notes)
	if !errors.Is(err, publiclog.ErrKeptBack) {
		return done, err
	}
	// It may have been added since the chain was asked for.
	if _, err := l.c.sync(ctx); err != nil {
		return nil, err
	}
	l.h = l.c.past()
	return l.pinned.Take(ctx, res.Proof, l.h.notes)
}

// signerName is the name of whoever has signed a statement: a person, a hub, or
// the operator.
func (c *Client) signerName(by latchkey.Kid) string {
	if _, pub, err := chain.ParseVKey(c.past().head().Operator); err == nil && chain.KidOf(pub) == by {
		return "the operator"
	}
	return c.nameOf(by)
}
