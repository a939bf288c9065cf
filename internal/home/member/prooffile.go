package member

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/publiclog"
	"latchkey.dev/latchkey/ledger"
)

// ProofReport is what a saved proof shows of this household.
type ProofReport struct {
	Household latchkey.HouseholdID
	// Whole: it is a proof of completeness, of all statements up to Seq; else of
	// statement Seq alone.
	Whole     bool
	Seq       uint64
	Statement *LoggedStatement // as this machine has it; nil: this machine does not have it
	Log       string           // origin
	Size      int64            // entries of the log that the proof rests on
	Until     time.Time        // nothing up to then is missing or was kept back; zero for one statement
	Witness   time.Time        // when a quorum had vouched for the log; zero without witnesses
	// Witnessed and Auditors say who is demanded by the policy.
	Witnessed bool
	Auditors  int
	// Problems has a plain sentence for everything that does not hold. Without any
	// the file proves what stands above.
	Problems []string
}

// VerifyProof checks a saved proof offline: one of completeness, or the
// tlog-proof of a statement, against the household's chain as this machine has
// verified it. policy is whose signatures count; empty: those that the household
// has pinned. A policy of another operator or another log than genesis names is
// latchkey.ErrVerify. What does not hold is in the report's Problems; an error
// of kind latchkey.ErrInvalid is that the file is neither.
func (c *Client) VerifyProof(raw []byte, policy string) (ProofReport, error) {
	fail := func(err error) (ProofReport, error) {
		return ProofReport{}, fmt.Errorf("member: verify proof: %w", err)
	}
	h := c.past()
	if len(h.notes) == 0 {
		return fail(fmt.Errorf("%w: this machine has not seen the household's statements yet", latchkey.ErrNotFound))
	}
	if policy == "" {
		policy = c.vaultPolicy()
	}
	if policy == "" {
		return fail(fmt.Errorf("%w: the household has pinned no policy of the public log yet", latchkey.ErrNotFound))
	}
	parsed, err := publiclog.Parse(policy, h.head())
	if err != nil {
		return fail(err)
	}
	pin, err := c.loadPin()
	if err != nil {
		return fail(err)
	}
	p := &proofFile{
		c: c, h: h, policy: parsed, pin: pin, key: [ledger.TagSize]byte(c.logTagKey()),
		report: ProofReport{Household: c.ID(), Log: parsed.Origin(), Witnessed: parsed.Witnessed(), Auditors: len(parsed.Auditors)},
	}
	if bytes.HasPrefix(raw, []byte("c2sp.org/")) {
		err = p.statement(raw)
	} else {
		err = p.completeness(raw)
	}
	if err != nil {
		return fail(err)
	}
	return p.report, nil
}

// proofFile is one file on its way through the checks.
type proofFile struct {
	c      *Client
	h      history
	policy *ledger.Policy
	pin    publiclog.Pin
	key    [ledger.TagSize]byte
	report ProofReport
}

func (p *proofFile) problem(format string, args ...any) {
	p.report.Problems = append(p.report.Problems, fmt.Sprintf(format, args...))
}

func (p *proofFile) completeness(raw []byte) error {
	proof, err := ledger.ParseCompleteness(raw)
	if err != nil {
		return err
	}
	done, failures := proof.Inspect(p.policy, &p.key)
	for _, f := range failures {
		p.problem("%v", f)
	}
	p.report.Whole, p.report.Seq = true, proof.Seq
	if len(failures) == 0 {
		p.report.Until = done.At
	}
	p.rests(done.Checkpoint)
	if err := p.lookUp(proof.Seq); err != nil {
		return err
	}
	switch s := p.report.Statement; {
	case s == nil:
		p.problem("it goes up to statement %d, and this machine has seen statements only up to %d: the file is newer, or statements were kept back from this machine", proof.Seq, len(p.h.notes)-1)
	case len(failures) == 0 && s.Hash != done.Head:
		p.problem("the log has another statement %d than this machine: there are two chains", proof.Seq)
	}
	return nil
}

func (p *proofFile) statement(raw []byte) error {
	proof, err := ledger.ParseProof(raw)
	if err != nil {
		return err
	}
	if c, err := p.policy.Checkpoint(proof.Checkpoint); err != nil {
		p.problem("%v", err)
	} else {
		p.rests(c)
	}
	seq, found := p.tagged(proof.Extra)
	if !found {
		p.problem("it is of no statement of this household that this machine has seen (it has %d)", len(p.h.notes))
		return nil
	}
	p.report.Seq = seq
	if err := p.lookUp(seq); err != nil {
		return err
	}
	s := p.report.Statement
	s.Leaf, s.Proof = proof.Index, raw
	entry := ledger.Entry{Tag: ledger.TagOf(&p.key, seq), Value: s.Hash}
	if _, err := proof.Check(p.policy, entry.Encode()); err != nil && len(p.report.Problems) == 0 {
		p.problem("%v", err)
	}
	return nil
}

// tagged finds the statement that a proof is of by its tag.
func (p *proofFile) tagged(tag []byte) (seq uint64, found bool) {
	for seq := range uint64(len(p.h.notes)) {
		if t := ledger.TagOf(&p.key, seq); bytes.Equal(t[:], tag) {
			return seq, true
		}
	}
	return 0, false
}

// rests takes the checkpoint that the proof leads to, and holds it against the
// one that this machine has accepted. Of one size they are one; of two sizes
// only the log's own files can tell.
func (p *proofFile) rests(c ledger.Checkpoint) {
	if c.Raw == nil {
		return
	}
	p.report.Size, p.report.Witness = c.Size, c.Witnessed
	if p.pin.Checkpoint == nil {
		return
	}
	if had, err := p.policy.Checkpoint(p.pin.Checkpoint); err == nil && had.Size == c.Size && had.Root != c.Root {
		p.problem("its log of %d entries is another one than this machine has seen: the log forked", c.Size)
	}
}

// lookUp finds statement seq in the chain; the report has none if this machine
// has not seen it.
func (p *proofFile) lookUp(seq uint64) error {
	if seq >= uint64(len(p.h.notes)) {
		return nil
	}
	n, err := chain.ParseNote(p.h.notes[seq])
	if err != nil {
		return err
	}
	st, err := chain.ParseStatement(n)
	if err != nil {
		return err
	}
	head := st.Common()
	l := &ledgerCheck{c: p.c, h: p.h}
	p.report.Statement = &LoggedStatement{
		Seq: seq, Time: time.Unix(head.Time, 0), Signer: p.c.nameOf(head.By), Hash: n.Hash(), What: st, Names: l.names,
		Camera: func(latchkey.TrackID) string { return "" }, Leaf: -1,
	}
	return nil
}

// SaveProof returns what VerifyProof takes, checked just now: the newest proof of
// completeness or, with seq, that of one statement. One that is not there yet is
// latchkey.ErrNotFound.
func (r LedgerReport) SaveProof(seq *uint64) ([]byte, error) {
	var raw []byte
	switch {
	case seq == nil:
		raw = r.Proof
	case *seq < uint64(len(r.Statements)):
		raw = r.Statements[*seq].Proof
	default:
		return nil, fmt.Errorf("member: save proof: %w: there is no statement %d, the newest is %d", latchkey.ErrNotFound, *seq, len(r.Statements)-1)
	}
	if raw == nil {
		return nil, fmt.Errorf("member: save proof: %w", errors.Join(latchkey.ErrNotFound, errNotLogged))
	}
	return raw, nil
}
