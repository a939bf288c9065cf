package catalog

import (
	"context"
	"database/sql"
	"time"

	"latchkey.dev/latchkey"
)

// Change is one accepted statement with all that the server changes along with
// it, in one transaction.
type Change struct {
	Household latchkey.HouseholdID
	Seq       uint64
	Note      []byte
	Text      latchkey.Hash // H of the note's text: its leaf in the log
	At        time.Time

	Gone  []latchkey.Kid // members and hubs that it removes
	New   []latchkey.Kid // members that it adds
	Moved *Move          // a member whose signing key it replaces
	Vault *Vault         // that member's, or the caller's; nil: as it is
	// Expected is the version of the stored vault that Vault replaces.
	Expected uint32
}

// Move takes what the server keeps of a member from one kid to another. Of his
// devices only the one that asked for it stays; without one (a claim of trusted
// contacts) his own new key may enrol the first.
type Move struct {
	From, To latchkey.Kid
	Session  latchkey.Hash
	Device   DeviceID
}

// AppendStatement stores a checked statement and what changes with it. If seq
// is taken it is ErrConflict: somebody else was first.
func (db *DB) AppendStatement(ctx context.Context, c Change) error {
	return db.inTx(ctx, "append statement", func(tx *sql.Tx) error {
		if err := insertStatement(ctx, tx, c.Household, c.Seq, c.Note, c.Text, c.At); err != nil {
			return err
		}
		for _, k := range c.Gone {
			if err := forget(ctx, tx, c.Household, k); err != nil {
				return err
			}
		}
		for _, k := range c.New {
			if err := welcome(ctx, tx, c.Household, k); err != nil {
				return err
			}
		}
		if c.Moved != nil {
			if err := move(ctx, tx, c.Household, *c.Moved, c.At); err != nil {
				return err
			}
		}
		if c.Vault == nil {
			return nil
		}
		return putVault(ctx, tx, *c.Vault, c.Expected)
	})
}

// insertStatement stores a statement, and its leaf on the way into the log.
func insertStatement(ctx context.Context, tx *sql.Tx, h latchkey.HouseholdID, seq uint64, note []byte, text latchkey.Hash, now time.Time) error {
	const q = `INSERT INTO statements (household, seq, note, received_ms) VALUES ($1, $2, $3, $4)`
	if _, err := tx.ExecContext(ctx, q, h[:], int64(seq), note, now.UnixMilli()); err != nil {
		return err
	}
	return queueLeaf(ctx, tx, h, seq, text)
}

// forget deletes what belongs to a member or hub that was removed.
func forget(ctx context.Context, tx *sql.Tx, h latchkey.HouseholdID, k latchkey.Kid) error {
	for _, table := range []string{"sessions", "devices", "newcomers", "letters", "passkeys", "wraps", "vaults"} {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE household = $1 AND kid = $2`, h[:], k[:]); err != nil {
			return err
		}
	}
	return nil
}

// move renames a member. Wraps and passkeys follow the vault by themselves. The
// other devices stay under the old kid, ended, so that they can be told.
func move(ctx context.Context, tx *sql.Tx, h latchkey.HouseholdID, m Move, at time.Time) error {
	for _, q := range []struct {
		text string
		args []any
	}{
		{`UPDATE vaults SET kid = $3 WHERE household = $1 AND kid = $2`, []any{m.To[:]}},
		{`UPDATE letters SET kid = $3 WHERE household = $1 AND kid = $2`, []any{m.To[:]}},
		{`UPDATE sessions SET kid = $3 WHERE household = $1 AND kid = $2 AND token_hash = $4`, []any{m.To[:], m.Session[:]}},
		{`DELETE FROM sessions WHERE household = $1 AND kid = $2 AND device = $3`, []any{m.Device[:]}},
		{`UPDATE devices SET kid = $3, enrolled_by = $5 WHERE household = $1 AND kid = $2 AND device = $4`, []any{m.To[:], m.Device[:], ByRekey}},
		{endDevices, []any{at.UnixMilli()}},
		{`DELETE FROM newcomers WHERE household = $1 AND kid = $2`, nil},
	} {
		if _, err := tx.ExecContext(ctx, q.text, append([]any{h[:], m.From[:]}, q.args...)...); err != nil {
			return err
		}
	}
	if m.Session != (latchkey.Hash{}) {
		return nil
	}
	return welcome(ctx, tx, h, m.To)
}

// welcome lets a member's own key enrol his first device.
func welcome(ctx context.Context, tx *sql.Tx, h latchkey.HouseholdID, k latchkey.Kid) error {
	const q = `INSERT INTO newcomers (household, kid) VALUES ($1, $2) ON CONFLICT (household, kid) DO NOTHING`
	_, err := tx.ExecContext(ctx, q, h[:], k[:])
	return err
}
