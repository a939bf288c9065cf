package main

import (
	"errors"
	"fmt"
	"os"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/internal/home/publiclog"
)

type ledgerProofCmd struct {
	Statement *uint64 `arg:"" optional:"" placeholder:"STATEMENT" help:"The number of a statement, as in ledger list. Without it: the proof that none is missing."`
	Output    string  `short:"o" required:"" placeholder:"FILE" help:"Where to write it."`
	JSON      bool    `help:"One JSON document about what was written."`
}

// Run checks the household against the log first: what is saved has just held.
func (c *ledgerProofCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	r, err := client.Ledger(a.ctx, proofWait, false)
	if err != nil {
		return ledgerTrouble(err)
	}
	raw, err := r.SaveProof(c.Statement)
	if err != nil {
		return advise(err, "`latchkey ledger list` has the numbers. A statement that is on its way is in the log within seconds: try again.")
	}
	if err := durable.WriteFile(durable.Disk{}, c.Output, raw, 0o644); err != nil {
		return err
	}
	if c.JSON {
		doc := map[string]any{"file": c.Output, "bytes": len(raw), "seq": r.CompleteSeq, "complete_until": stamp(r.Complete)}
		if c.Statement != nil {
			doc["seq"], doc["complete_until"] = *c.Statement, nil
		}
		return a.json(doc)
	}
	if c.Statement != nil {
		a.say("%s proves that statement %d stands in the public log.", c.Output, *c.Statement)
	} else {
		a.say("%s proves that up to %s there was nothing but statements 0 to %d.", c.Output, stamp(r.Complete), r.CompleteSeq)
	}
	a.say("Check it, without the server, with `latchkey ledger verify %s`. It tells nobody outside your household what was decided.", c.Output)
	return nil
}

// verifyProofFile says what a saved proof proves, and everything that fails.
func verifyProofFile(a *app, path, policyFile string, asJSON bool) error {
	raw, policy, err := readProof(path, policyFile)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	r, err := client.VerifyProof(raw, policy)
	switch {
	case errors.Is(err, publiclog.ErrOtherLog):
		return advise(err, "That policy is of another server than your household's. Without --policy the one that your household has pinned counts.")
	case errors.Is(err, latchkey.ErrNotFound):
		return advise(err, "Run `latchkey ledger verify` once while the server is reachable; it brings both.")
	case errors.Is(err, latchkey.ErrInvalid):
		return advise(fmt.Errorf("%w: %s is no proof of the public log: %w", latchkey.ErrVerify, path, err),
			"It is neither a proof of completeness nor one of a statement, or was changed after it was saved. Save it again with `latchkey ledger proof -o FILE`.")
	case err != nil:
		return err
	}
	if asJSON {
		err = a.json(proofJSON(path, policy != "", r))
	} else {
		sayProof(a, client.Name(), r)
	}
	if err == nil && len(r.Problems) > 0 {
		err = advise(fmt.Errorf("%w: the file does not prove what it says", latchkey.ErrVerify),
			"Take nothing in it for granted; keep it, and compare with `latchkey ledger verify`, which asks the server.")
	}
	return err
}

// readProof reads a proof, and a policy if one is named.
func readProof(path, policyFile string) (raw []byte, policy string, err error) {
	if raw, err = os.ReadFile(path); err != nil || policyFile == "" {
		return raw, "", err
	}
	b, err := os.ReadFile(policyFile)
	if err == nil && len(b) == 0 {
		err = advise(fmt.Errorf("%w: %s is empty", latchkey.ErrInvalid, policyFile), "Give --policy a file as /log/policy of a server has it.")
	}
	return raw, string(b), err
}

func proofJSON(path string, ownPolicy bool, r member.ProofReport) map[string]any {
	kind, until, witness, entry, words := "statement", any(nil), any(nil), any(nil), any(nil)
	if r.Whole {
		kind = "completeness"
	}
	if !r.Until.IsZero() {
		until = stamp(r.Until)
	}
	if !r.Witness.IsZero() {
		witness = stamp(r.Witness)
	}
	if s := r.Statement; s != nil {
		words = statementWords(*s)
		if s.Leaf >= 0 {
			entry = s.Leaf
		}
	}
	return map[string]any{
		"file": path, "kind": kind, "ok": len(r.Problems) == 0, "problems": append([]string{}, r.Problems...),
		"household": r.Household.String(), "seq": r.Seq, "words": words, "entry": entry, "complete_until": until,
		"log": r.Log, "size": r.Size, "witnessed_at": witness, "witnessed": r.Witnessed, "auditors": r.Auditors, "given_policy": ownPolicy,
	}
}

func sayProof(a *app, household string, r member.ProofReport) {
	for _, p := range r.Problems {
		a.print("FAILS: %s", p)
	}
	if len(r.Problems) > 0 {
		return
	}
	s := r.Statement
	a.print("Household %s (%s).", named(household), r.Household)
	if r.Whole {
		a.print("Complete up to %s: statements 0 to %d are all that its public log then had of it.", stamp(r.Until), r.Seq)
		a.print("The newest of them, of %s by %s: %s.", stamp(s.Time), named(s.Signer), statementWords(*s))
	} else {
		a.print("Statement %d, of %s by %s: %s.", r.Seq, stamp(s.Time), named(s.Signer), statementWords(*s))
		a.print("It stands in the public log, at entry %d.", s.Leaf)
	}
	when := "nobody but the log's operator vouches for that"
	if !r.Witness.IsZero() {
		when = "witnesses had vouched for that at " + stamp(r.Witness)
	}
	a.print("The log %s had %d entries; %s.", r.Log, r.Size, when)
	if r.Whole {
		sayUnwatched(a, r.Witnessed, r.Auditors)
		a.say("What was decided later is not in this file: `latchkey ledger verify` asks the server.")
	} else {
		a.say("Whether anything was decided later, or this was taken back, is not in this file: `latchkey ledger verify` asks the server.")
	}
}
