package catalog

import (
	"context"
	"database/sql"

	"latchkey.dev/latchkey"
)

// GrantCapsule is what a grantee fetches: his capsule, and the proof that the
// statement which names it stands in the public log.
type GrantCapsule struct {
	Capsule []byte
	Proof   []byte // tlog-proof; empty: put by a version that did not ask for one
	Mask    []byte // LKM1, of a two-key grant
}

// PutGrantCapsule stores the capsule of a grant, once: who stores it again has
// shown that it is the same, by the hash in the statement. A proof is added to
// a capsule that had none.
func (db *DB) PutGrantCapsule(ctx context.Context, h latchkey.HouseholdID, grant latchkey.GrantID, c GrantCapsule) error {
	return db.inTx(ctx, "put grant capsule", func(tx *sql.Tx) error { return putGrantCapsule(ctx, tx, h, grant, c) })
}

func putGrantCapsule(ctx context.Context, tx *sql.Tx, h latchkey.HouseholdID, grant latchkey.GrantID, c GrantCapsule) error {
	const q = `INSERT INTO grant_capsules (household, grant_id, capsule, proof, mask) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (household, grant_id) DO UPDATE SET proof = COALESCE(grant_capsules.proof, excluded.proof)`
	_, err := tx.ExecContext(ctx, q, h[:], grant[:], c.Capsule, c.Proof, c.Mask)
	return err
}

// GrantCapsule returns the capsule of a grant, or latchkey.ErrNotFound.
func (db *DB) GrantCapsule(ctx context.Context, h latchkey.HouseholdID, grant latchkey.GrantID) (GrantCapsule, error) {
	var c GrantCapsule
	err := db.read.QueryRowContext(ctx, `SELECT capsule, proof, mask FROM grant_capsules WHERE household = $1 AND grant_id = $2`, h[:], grant[:]).Scan(&c.Capsule, &c.Proof, &c.Mask)
	return c, fail("grant capsule", err)
}

// GrantCapsules returns which grants of a household have a capsule, for fsck.
func (db *DB) GrantCapsules(ctx context.Context, h latchkey.HouseholdID) ([]latchkey.GrantID, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT grant_id FROM grant_capsules WHERE household = $1 ORDER BY grant_id`, h[:])
	if err != nil {
		return nil, fail("grant capsules", err)
	}
	raw, err := collect(rows, func(b *[]byte) []any { return []any{b} })
	if err != nil {
		return nil, fail("grant capsules", err)
	}
	out := make([]latchkey.GrantID, len(raw))
	for i, b := range raw {
		if err := fixed(out[i][:], b); err != nil {
			return nil, fail("grant capsules", err)
		}
	}
	return out, nil
}

// Letter is one member's copy of the directory, sealed to him.
type Letter struct {
	Kid  latchkey.Kid // of his Ed25519 key
	Body []byte
}

// PutDirectory replaces all letters of a household if its counter is expected
// (0: there is no directory), else latchkey.ErrConflict.
func (db *DB) PutDirectory(ctx context.Context, h latchkey.HouseholdID, expected, n uint64, letters []Letter) error {
	return db.inTx(ctx, "put directory", func(tx *sql.Tx) error {
		if err := countDirectory(ctx, tx, h, expected, n); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM letters WHERE household = $1`, h[:]); err != nil {
			return err
		}
		for _, l := range letters {
			if _, err := tx.ExecContext(ctx, `INSERT INTO letters (household, kid, letter) VALUES ($1, $2, $3)`, h[:], l.Kid[:], l.Body); err != nil {
				return err
			}
		}
		return nil
	})
}

// countDirectory moves the counter from expected to n.
func countDirectory(ctx context.Context, tx *sql.Tx, h latchkey.HouseholdID, expected, n uint64) error {
	if expected == 0 { // a directory that is there is a conflict
		_, err := tx.ExecContext(ctx, `INSERT INTO directories (household, n) VALUES ($1, $2)`, h[:], int64(n))
		return err
	}
	res, err := tx.ExecContext(ctx, `UPDATE directories SET n = $3 WHERE household = $1 AND n = $2`, h[:], int64(expected), int64(n))
	if err != nil {
		return err
	}
	rows, err := res.RowsAffected()
	if err == nil && rows == 0 {
		err = latchkey.ErrConflict
	}
	return err
}

// Directory returns a member's letter and the directory's counter, or
// latchkey.ErrNotFound.
func (db *DB) Directory(ctx context.Context, h latchkey.HouseholdID, k latchkey.Kid) (n uint64, letter []byte, err error) {
	var count int64
	const q = `SELECT d.n, l.letter FROM directories d JOIN letters l ON l.household = d.household WHERE d.household = $1 AND l.kid = $2`
	err = db.read.QueryRowContext(ctx, q, h[:], k[:]).Scan(&count, &letter)
	return uint64(count), letter, fail("directory", err)
}
