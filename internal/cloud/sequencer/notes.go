package sequencer

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/ledger"
)

// Announce puts a public note on its way into the log, once.
func (s *Sequencer) Announce(ctx context.Context, raw []byte) error {
	if err := s.cfg.Catalog.PublishOnce(ctx, s.policy.Origin(), raw); err != nil {
		return fmt.Errorf("sequencer: announce: %w", err)
	}
	s.Kick()
	return nil
}

// Announced proves that a public note stands in the log, or is
// latchkey.ErrNotFound while no checkpoint has it.
func (s *Sequencer) Announced(ctx context.Context, raw []byte) (ledger.Proof, error) {
	at, err := s.cfg.Catalog.PublicLeafOf(ctx, s.policy.Origin(), raw)
	if err != nil {
		return ledger.Proof{}, fmt.Errorf("sequencer: announced: %w", err)
	}
	checkpoint, err := s.files.Checkpoint(ctx)
	if err != nil {
		return ledger.Proof{}, fmt.Errorf("sequencer: announced: %w", err)
	}
	if at >= checkpoint.Size {
		return ledger.Proof{}, fmt.Errorf("sequencer: announced: %w: on its way into the log", latchkey.ErrNotFound)
	}
	return s.files.Prove(ctx, checkpoint, at)
}

// Prove proves that a statement of a household stands in the log, or is
// latchkey.ErrNotFound while no checkpoint has it.
func (s *Sequencer) Prove(ctx context.Context, h latchkey.HouseholdID, key *[ledger.TagSize]byte, seq uint64) (ledger.Proof, error) {
	missing := fmt.Errorf("sequencer: prove: %w: statement %d is on its way into the log", latchkey.ErrNotFound, seq)
	leaves, err := s.cfg.Catalog.Leaves(ctx, h, seq, 1)
	if err != nil {
		return ledger.Proof{}, fmt.Errorf("sequencer: prove: %w", err)
	}
	if len(leaves) == 0 || leaves[0].Seq != seq {
		return ledger.Proof{}, missing
	}
	checkpoint, err := s.files.Checkpoint(ctx)
	if err != nil {
		return ledger.Proof{}, fmt.Errorf("sequencer: prove: %w", err)
	}
	if leaves[0].Index >= checkpoint.Size {
		return ledger.Proof{}, missing
	}
	proof, err := s.files.Prove(ctx, checkpoint, leaves[0].Index)
	tag := ledger.TagOf(key, seq)
	proof.Extra = tag[:]
	return proof, err
}

// Operator is the operator's own signing key: what it writes into households'
// chains is signed with it.
func (s *Sequencer) Operator() (chain.Signer, error) { return s.keys.operator.Ed25519() }

// AnnounceNotice signs a notice of the operator and puts it on its way into the
// log, once.
func (s *Sequencer) AnnounceNotice(ctx context.Context, n ledger.Notice) error {
	signer, err := s.keys.operator.Signer()
	if err != nil {
		return fmt.Errorf("sequencer: notice: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: n.Text()}, signer)
	if err != nil {
		return fmt.Errorf("sequencer: notice: %w", err)
	}
	return s.Announce(ctx, signed)
}

// Sign signs a text as the operator.
func (s *Sequencer) Sign(text string) ([]byte, error) {
	signer, err := s.keys.operator.Signer()
	if err != nil {
		return nil, fmt.Errorf("sequencer: sign: %w", err)
	}
	return note.Sign(&note.Note{Text: text}, signer)
}
