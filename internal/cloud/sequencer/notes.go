package sequencer

import (
	"context"
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/ledger"
)

// Announce puts a public note on its way into the log, once.
func (s *Sequencer) Announce(ctx context.Context, note []byte) error {
	if err := s.cfg.Catalog.PublishOnce(ctx, s.policy.Origin(), note); err != nil {
		return fmt.Errorf("sequencer: announce: %w", err)
	}
	s.Kick()
	return nil
}

// Announced proves that a public note stands in the log, or is
// latchkey.ErrNotFound while no checkpoint has it.
func (s *Sequencer) Announced(ctx context.Context, note []byte) (ledger.Proof, error) {
	at, err := s.cfg.Catalog.PublicLeafOf(ctx, s.policy.Origin(), note)
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
