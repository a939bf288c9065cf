package catalog

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey.dev/latchkey"
)

// Passkey is the public half of a WebAuthn credential of one member.
type Passkey struct {
	ID            []byte // credential id
	PublicKey     []byte // COSE
	SignCount     uint32
	Synced        bool   // the flag "backup eligible"
	Label         []byte // sealed to its owner
	Created, Used time.Time
}

// Bounds of a member's passkeys and wraps.
const (
	MaxPasskeys = 20
	MaxWraps    = 32
)

// UserHandle returns a member's WebAuthn user handle, drawing it once. A member
// without a vault is latchkey.ErrNotFound.
func (db *DB) UserHandle(ctx context.Context, h latchkey.HouseholdID, k latchkey.Kid) ([]byte, error) {
	var handle []byte
	err := db.read.QueryRowContext(ctx, `SELECT user_handle FROM vaults WHERE household = $1 AND kid = $2`, h[:], k[:]).Scan(&handle)
	if err != nil || handle != nil {
		return handle, fail("user handle", err)
	}
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fail("user handle", err)
	}
	const q = `UPDATE vaults SET user_handle = COALESCE(user_handle, $3) WHERE household = $1 AND kid = $2 RETURNING user_handle`
	err = db.write.QueryRowContext(ctx, q, h[:], k[:], fresh).Scan(&handle)
	return handle, fail("user handle", err)
}

// MemberOfHandle finds whose user handle it is, or latchkey.ErrNotFound.
func (db *DB) MemberOfHandle(ctx context.Context, handle []byte) (h latchkey.HouseholdID, k latchkey.Kid, err error) {
	var hb, kb []byte
	err = db.read.QueryRowContext(ctx, `SELECT household, kid FROM vaults WHERE user_handle = $1`, handle).Scan(&hb, &kb)
	if err == nil {
		err = errors.Join(fixed(h[:], hb), fixed(k[:], kb))
	}
	return h, k, fail("member of handle", err)
}

// Passkeys returns a member's passkeys, the oldest first.
func (db *DB) Passkeys(ctx context.Context, h latchkey.HouseholdID, k latchkey.Kid) ([]Passkey, error) {
	const q = `SELECT credential, public_key, sign_count, synced, label, created_ms, used_ms FROM passkeys
		WHERE household = $1 AND kid = $2 ORDER BY created_ms, credential`
	rows, err := db.read.QueryContext(ctx, q, h[:], k[:])
	if err != nil {
		return nil, fail("passkeys", err)
	}
	type row struct {
		p                    Passkey
		count, created, used int64
	}
	all, err := collect(rows, func(r *row) []any {
		return []any{&r.p.ID, &r.p.PublicKey, &r.count, &r.p.Synced, &r.p.Label, &r.created, &r.used}
	})
	out := make([]Passkey, len(all))
	for i, r := range all {
		out[i] = r.p
		out[i].SignCount, out[i].Created, out[i].Used = uint32(r.count), time.UnixMilli(r.created), time.UnixMilli(r.used)
	}
	return out, fail("passkeys", err)
}

// AddPasskey stores a passkey and the wrap that it opens, both or neither. A
// known credential is latchkey.ErrConflict, a member without a vault
// latchkey.ErrNotFound.
func (db *DB) AddPasskey(ctx context.Context, h latchkey.HouseholdID, k latchkey.Kid, p Passkey, wrap []byte) error {
	return db.inTx(ctx, "add passkey", func(tx *sql.Tx) error {
		var vaults, keys, wraps, next int
		const count = `SELECT (SELECT COUNT(*) FROM vaults WHERE household = $1 AND kid = $2),
			(SELECT COUNT(*) FROM passkeys WHERE household = $1 AND kid = $2), COUNT(*), COALESCE(MAX(n), 0) + 1 FROM wraps WHERE household = $1 AND kid = $2`
		if err := tx.QueryRowContext(ctx, count, h[:], k[:]).Scan(&vaults, &keys, &wraps, &next); err != nil {
			return err
		}
		if vaults == 0 {
			return latchkey.ErrNotFound
		}
		if keys >= MaxPasskeys || wraps >= MaxWraps {
			return fmt.Errorf("%w passkeys: %d", latchkey.ErrTooMany, keys)
		}
		const q = `INSERT INTO passkeys (credential, household, kid, public_key, sign_count, synced, label, created_ms, used_ms)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
		if _, err := tx.ExecContext(ctx, q, p.ID, h[:], k[:], p.PublicKey, int64(p.SignCount), p.Synced, notNull(p.Label), p.Created.UnixMilli(), p.Used.UnixMilli()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO wraps (household, kid, n, wrap) VALUES ($1, $2, $3, $4)`, h[:], k[:], next, wrap)
		return err
	})
}

// UsedPasskey notes a use of a passkey whose counter was before and is after
// now. If it is not before any more it is latchkey.ErrConflict: somebody used
// the same count at the same time.
func (db *DB) UsedPasskey(ctx context.Context, id []byte, before, after uint32, at time.Time) error {
	const q = `UPDATE passkeys SET sign_count = $3, used_ms = $4 WHERE credential = $1 AND sign_count = $2`
	res, err := db.write.ExecContext(ctx, q, id, int64(before), int64(after), at.UnixMilli())
	if err == nil {
		var n int64
		if n, err = res.RowsAffected(); err == nil && n == 0 {
			err = latchkey.ErrConflict
		}
	}
	return fail("use passkey", err)
}

// RemovePasskey removes a passkey and its wrap, or is latchkey.ErrNotFound.
func (db *DB) RemovePasskey(ctx context.Context, h latchkey.HouseholdID, k latchkey.Kid, id []byte) error {
	return db.inTx(ctx, "remove passkey", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM passkeys WHERE credential = $3 AND household = $1 AND kid = $2`, h[:], k[:], id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, latchkey.ErrNotFound)
		}
		wraps, err := wrapsOf(ctx, tx, h, k)
		if err != nil {
			return err
		}
		hash := sha256.Sum256(id)
		kept := slices.DeleteFunc(wraps, func(w []byte) bool { c, ok := PasskeyOfWrap(w); return ok && c == hash })
		return insertWraps(ctx, tx, h, k, kept)
	})
}

func wrapsOf(ctx context.Context, tx *sql.Tx, h latchkey.HouseholdID, k latchkey.Kid) ([][]byte, error) {
	rows, err := tx.QueryContext(ctx, `SELECT wrap FROM wraps WHERE household = $1 AND kid = $2 ORDER BY n`, h[:], k[:])
	if err != nil {
		return nil, err
	}
	return collect(rows, func(w *[]byte) []any { return []any{w} })
}

// Places in an LKW1 object (spec/keys, "Vault").
const (
	wrapKindAt    = 4
	wrapHashAt    = 5
	wrapByPasskey = 1
)

// PasskeyOfWrap returns the hash of the credential that opens a wrap; not ok:
// it is not a passkey's.
func PasskeyOfWrap(wrap []byte) (hash latchkey.Hash, ok bool) {
	if len(wrap) < wrapHashAt+latchkey.HashSize || wrap[wrapKindAt] != wrapByPasskey {
		return hash, false
	}
	return latchkey.Hash(wrap[wrapHashAt : wrapHashAt+latchkey.HashSize]), true
}

// replaceWraps stores a full set of wraps. A wrap by a passkey that is not
// registered is latchkey.ErrInvalid; a passkey that has no wrap any more goes.
func replaceWraps(ctx context.Context, tx *sql.Tx, v Vault) error {
	rows, err := tx.QueryContext(ctx, `SELECT credential FROM passkeys WHERE household = $1 AND kid = $2`, v.Household[:], v.Kid[:])
	if err != nil {
		return err
	}
	ids, err := collect(rows, func(id *[]byte) []any { return []any{id} })
	if err != nil {
		return err
	}
	registered := map[latchkey.Hash][]byte{}
	for _, id := range ids {
		registered[sha256.Sum256(id)] = id
	}
	for _, w := range v.Wraps {
		hash, ok := PasskeyOfWrap(w)
		if !ok {
			continue
		}
		if registered[hash] == nil {
			return fmt.Errorf("%w: a wrap by a passkey that is not registered, or two by one", latchkey.ErrInvalid)
		}
		delete(registered, hash)
	}
	for _, id := range registered {
		if _, err := tx.ExecContext(ctx, `DELETE FROM passkeys WHERE credential = $1`, id); err != nil {
			return err
		}
	}
	return insertWraps(ctx, tx, v.Household, v.Kid, v.Wraps)
}

// insertWraps makes wraps the member's only ones.
func insertWraps(ctx context.Context, tx *sql.Tx, h latchkey.HouseholdID, k latchkey.Kid, wraps [][]byte) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM wraps WHERE household = $1 AND kid = $2`, h[:], k[:]); err != nil {
		return err
	}
	for i, w := range wraps {
		if _, err := tx.ExecContext(ctx, `INSERT INTO wraps (household, kid, n, wrap) VALUES ($1, $2, $3, $4)`, h[:], k[:], i, w); err != nil {
			return err
		}
	}
	return nil
}
