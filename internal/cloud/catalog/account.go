package catalog

import (
	"context"
	"database/sql"
	"time"

	"latchkey.dev/latchkey"
)

// Household is one household.
type Household struct {
	ID        latchkey.HouseholdID
	Created   time.Time
	LogTagKey [32]byte // K_tag of protocol 2.11: its hash is in genesis
}

// Founding is what a household begins with.
type Founding struct {
	Genesis   []byte
	Text      latchkey.Hash // H of genesis' text
	LogTagKey [32]byte
	Vault     Vault      // the founder's; it names the household
	First     *Enrolment // the founder's first device, if there is one
}

// Vault is a member's sealed vault with its wraps (protocol 2.10).
type Vault struct {
	Household  latchkey.HouseholdID
	Kid        latchkey.Kid // the member
	Version    uint32
	Vault      []byte
	RecoveryID [16]byte
	Wraps      [][]byte
}

// CreateHousehold stores all of a founding or nothing. A household or recovery
// id that exists is ErrConflict.
func (db *DB) CreateHousehold(ctx context.Context, f Founding, now time.Time) error {
	return db.inTx(ctx, "create household", func(tx *sql.Tx) error {
		const q = `INSERT INTO households (household, created_ms, log_tag_key) VALUES ($1, $2, $3)`
		id := f.Vault.Household
		if _, err := tx.ExecContext(ctx, q, id[:], now.UnixMilli(), f.LogTagKey[:]); err != nil {
			return err
		}
		if err := insertStatement(ctx, tx, id, 0, f.Genesis, f.Text, now); err != nil {
			return err
		}
		if err := putVault(ctx, tx, f.Vault, 0); err != nil || f.First == nil {
			return err
		}
		return enrol(ctx, tx, *f.First)
	})
}

// Household returns a household, or ErrNotFound.
func (db *DB) Household(ctx context.Context, id latchkey.HouseholdID) (Household, error) {
	var ms int64
	var key []byte
	h := Household{ID: id}
	err := db.read.QueryRowContext(ctx, `SELECT created_ms, log_tag_key FROM households WHERE household = $1`, id[:]).Scan(&ms, &key)
	if err == nil {
		err = fixed(h.LogTagKey[:], key)
	}
	h.Created = time.UnixMilli(ms)
	return h, fail("household", err)
}

// HouseholdOfRecovery finds whose recovery id it is, or ErrNotFound.
func (db *DB) HouseholdOfRecovery(ctx context.Context, recovery [16]byte) (latchkey.HouseholdID, latchkey.Kid, error) {
	var h latchkey.HouseholdID
	var k latchkey.Kid
	var hb, kb []byte
	err := db.read.QueryRowContext(ctx, `SELECT household, kid FROM vaults WHERE recovery_id = $1`, recovery[:]).Scan(&hb, &kb)
	if err == nil {
		err = fixed(h[:], hb)
	}
	if err == nil {
		err = fixed(k[:], kb)
	}
	return h, k, fail("household of recovery", err)
}

// GetVault returns a member's vault, or ErrNotFound.
func (db *DB) GetVault(ctx context.Context, household latchkey.HouseholdID, kid latchkey.Kid) (Vault, error) {
	v := Vault{Household: household, Kid: kid}
	var recovery []byte
	const q = `SELECT version, vault, recovery_id FROM vaults WHERE household = $1 AND kid = $2`
	err := db.read.QueryRowContext(ctx, q, household[:], kid[:]).Scan(&v.Version, &v.Vault, &recovery)
	if err == nil {
		err = fixed(v.RecoveryID[:], recovery)
	}
	if err != nil {
		return Vault{}, fail("get vault", err)
	}
	rows, err := db.read.QueryContext(ctx, `SELECT wrap FROM wraps WHERE household = $1 AND kid = $2 ORDER BY n`, household[:], kid[:])
	if err != nil {
		return Vault{}, fail("get wraps", err)
	}
	v.Wraps, err = collect(rows, func(w *[]byte) []any { return []any{w} })
	return v, fail("get wraps", err)
}

// PutVault replaces the vault whose version is expected by v of v.Version.
// No wraps and a zero RecoveryID keep the stored ones. 0 stores a member's
// first vault. Another version is ErrConflict, no vault ErrNotFound, a wrap by
// an unknown passkey ErrInvalid.
func (db *DB) PutVault(ctx context.Context, v Vault, expected uint32) error {
	return db.inTx(ctx, "put vault", func(tx *sql.Tx) error { return putVault(ctx, tx, v, expected) })
}

func putVault(ctx context.Context, tx *sql.Tx, v Vault, expected uint32) error {
	if expected == 0 {
		const q = `INSERT INTO vaults (household, kid, version, vault, recovery_id) VALUES ($1, $2, $3, $4, $5)`
		if _, err := tx.ExecContext(ctx, q, v.Household[:], v.Kid[:], v.Version, v.Vault, v.RecoveryID[:]); err != nil {
			return err // one that is there is a conflict
		}
		return replaceWraps(ctx, tx, v)
	}
	var version uint32
	err := tx.QueryRowContext(ctx, `SELECT version FROM vaults WHERE household = $1 AND kid = $2`, v.Household[:], v.Kid[:]).Scan(&version)
	if err != nil {
		return err
	}
	if version != expected {
		return latchkey.ErrConflict
	}
	const q = `UPDATE vaults SET vault = $3, version = $4 WHERE household = $1 AND kid = $2`
	if _, err := tx.ExecContext(ctx, q, v.Household[:], v.Kid[:], v.Vault, v.Version); err != nil {
		return err
	}
	if v.RecoveryID != ([16]byte{}) {
		const q = `UPDATE vaults SET recovery_id = $3 WHERE household = $1 AND kid = $2`
		if _, err := tx.ExecContext(ctx, q, v.Household[:], v.Kid[:], v.RecoveryID[:]); err != nil {
			return err
		}
	}
	if len(v.Wraps) == 0 {
		return nil
	}
	return replaceWraps(ctx, tx, v)
}

// Statements returns up to limit notes of the chain from seq on, in order.
func (db *DB) Statements(ctx context.Context, h latchkey.HouseholdID, from uint64, limit int) ([][]byte, error) {
	const q = `SELECT note FROM statements WHERE household = $1 AND seq >= $2 ORDER BY seq LIMIT $3`
	rows, err := db.read.QueryContext(ctx, q, h[:], int64(from), limit)
	if err != nil {
		return nil, fail("statements", err)
	}
	notes, err := collect(rows, func(n *[]byte) []any { return []any{n} })
	return notes, fail("statements", err)
}

// collect scans every row into a T.
func collect[T any](rows *sql.Rows, into func(*T) []any) ([]T, error) {
	defer func() { _ = rows.Close() }() // rows.Err below says what went wrong
	var out []T
	for rows.Next() {
		var one T
		if err := rows.Scan(into(&one)...); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, rows.Err()
}

// EveryHousehold returns up to limit households after the id, for fsck.
func (db *DB) EveryHousehold(ctx context.Context, after latchkey.HouseholdID, limit int) ([]latchkey.HouseholdID, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT household FROM households WHERE household > $1 ORDER BY household LIMIT $2`, after[:], limit)
	if err != nil {
		return nil, fail("every household", err)
	}
	raw, err := collect(rows, func(b *[]byte) []any { return []any{b} })
	if err != nil {
		return nil, fail("every household", err)
	}
	out := make([]latchkey.HouseholdID, len(raw))
	for i, b := range raw {
		if err := fixed(out[i][:], b); err != nil {
			return nil, fail("every household", err)
		}
	}
	return out, nil
}
