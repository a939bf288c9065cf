package catalog

import (
	"context"
	"database/sql"
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/ledger"
)

// Waiting is an entry that is not in the log yet.
type Waiting struct {
	N     int64 // place in the outbox
	Entry []byte

	household []byte // nil in a public entry
	seq       sql.NullInt64
}

// Batch says that entries from First on may have been added to a log that had
// Size entries before.
type Batch struct{ First, Size int64 }

// Leaf is where a statement stands in a log.
type Leaf struct {
	Seq   uint64
	Index int64
}

// nextInOutbox: the outbox has one writer at a time, and what left it is named
// by its place in the log.
const nextInOutbox = `INSERT INTO outbox (n, household, seq, entry) SELECT COALESCE(MAX(n), 0) + 1, $1, $2, $3 FROM outbox`

// queueLeaf puts a statement's leaf into the outbox, in the transaction that
// stores the statement.
func queueLeaf(ctx context.Context, tx *sql.Tx, h latchkey.HouseholdID, seq uint64, text latchkey.Hash) error {
	var key []byte
	if err := tx.QueryRowContext(ctx, `SELECT log_tag_key FROM households WHERE household = $1`, h[:]).Scan(&key); err != nil {
		return err
	}
	var k [ledger.TagSize]byte
	if err := fixed(k[:], key); err != nil {
		return err
	}
	entry := ledger.Entry{Tag: ledger.TagOf(&k, seq), Value: text}.Encode()
	_, err := tx.ExecContext(ctx, nextInOutbox, h[:], int64(seq), entry)
	return err
}

// publish puts a public note into the outbox.
func publish(ctx context.Context, tx *sql.Tx, note []byte) error {
	_, err := tx.ExecContext(ctx, nextInOutbox, nil, nil, ledger.Entry{Note: note}.Encode())
	return err
}

// Outbox returns up to limit entries that wait for the log, the oldest first.
func (db *DB) Outbox(ctx context.Context, limit int) ([]Waiting, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT n, household, seq, entry FROM outbox ORDER BY n LIMIT $1`, limit)
	if err != nil {
		return nil, fail("outbox", err)
	}
	out, err := collect(rows, func(w *Waiting) []any { return []any{&w.N, &w.household, &w.seq, &w.Entry} })
	return out, fail("outbox", err)
}

// BeginBatch notes, before the first entry is added, what a crash may leave half
// done.
func (db *DB) BeginBatch(ctx context.Context, log string, b Batch) error {
	const q = `INSERT INTO log_batch (log, first_n, size) VALUES ($1, $2, $3)
		ON CONFLICT (log) DO UPDATE SET first_n = excluded.first_n, size = excluded.size`
	_, err := db.write.ExecContext(ctx, q, log, b.First, b.Size)
	return fail("begin batch", err)
}

// OpenBatch returns the batch that was begun and not ended, or ErrNotFound.
func (db *DB) OpenBatch(ctx context.Context, log string) (Batch, error) {
	var b Batch
	err := db.read.QueryRowContext(ctx, `SELECT first_n, size FROM log_batch WHERE log = $1`, log).Scan(&b.First, &b.Size)
	return b, fail("open batch", err)
}

// EndBatch moves entries from the outbox to where they stand in the log now:
// the first at index, the others after it. The batch is over.
func (db *DB) EndBatch(ctx context.Context, log string, index int64, moved []Waiting) error {
	return db.inTx(ctx, "end batch", func(tx *sql.Tx) error {
		for i, w := range moved {
			const q = `INSERT INTO leaves (log, leaf, household, seq, entry) VALUES ($1, $2, $3, $4, $5)`
			if _, err := tx.ExecContext(ctx, q, log, index+int64(i), w.household, w.seq, w.Entry); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `DELETE FROM outbox WHERE n = $1`, w.N); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM log_batch WHERE log = $1`, log)
		return err
	})
}

// LogSize is how many entries of the log the catalog knows: they stand at 0 to
// LogSize−1.
func (db *DB) LogSize(ctx context.Context, log string) (int64, error) {
	var count, next int64
	err := db.read.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MAX(leaf), -1) + 1 FROM leaves WHERE log = $1`, log).Scan(&count, &next)
	if err == nil && count != next {
		err = fmt.Errorf("%d entries, the last at %d", count, next-1)
	}
	return next, fail("log size", err)
}

// EachEntry calls f with the entries of the log from index on, in order.
func (db *DB) EachEntry(ctx context.Context, log string, from, until int64, f func(entry []byte) error) error {
	rows, err := db.read.QueryContext(ctx, `SELECT entry FROM leaves WHERE log = $1 AND leaf >= $2 AND leaf < $3 ORDER BY leaf`, log, from, until)
	if err != nil {
		return fail("each entry", err)
	}
	defer rows.Close()
	for rows.Next() {
		var entry []byte
		if err := rows.Scan(&entry); err != nil {
			return fail("each entry", err)
		}
		if err := f(entry); err != nil {
			return err
		}
	}
	return fail("each entry", rows.Err())
}

// LeafOf returns where an entry stands in the log, or ErrNotFound.
func (db *DB) LeafOf(ctx context.Context, log string, entry []byte, from int64) (int64, error) {
	var index int64
	err := db.read.QueryRowContext(ctx, `SELECT leaf FROM leaves WHERE log = $1 AND leaf >= $2 AND entry = $3 ORDER BY leaf LIMIT 1`, log, from, entry).Scan(&index)
	return index, fail("leaf of", err)
}

// Leaves returns up to limit of a household's leaves from seq on, in order; what
// is not in the log yet is not among them.
func (db *DB) Leaves(ctx context.Context, h latchkey.HouseholdID, from uint64, limit int) ([]Leaf, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT seq, leaf FROM leaves WHERE household = $1 AND seq >= $2 ORDER BY seq LIMIT $3`, h[:], int64(from), limit)
	if err != nil {
		return nil, fail("leaves", err)
	}
	out, err := collect(rows, func(l *Leaf) []any { return []any{&l.Seq, &l.Index} })
	return out, fail("leaves", err)
}

// NewestLeaf returns the household's newest statement among the first size
// entries of the log, or ErrNotFound.
func (db *DB) NewestLeaf(ctx context.Context, h latchkey.HouseholdID, log string, size int64) (Leaf, error) {
	var l Leaf
	const q = `SELECT seq, leaf FROM leaves WHERE household = $1 AND log = $2 AND leaf < $3 ORDER BY seq DESC LIMIT 1`
	err := db.read.QueryRowContext(ctx, q, h[:], log, size).Scan(&l.Seq, &l.Index)
	return l, fail("newest leaf", err)
}

// PublishSet stores a set note and puts it into the outbox.
func (db *DB) PublishSet(ctx context.Context, log string, size int64, note []byte) error {
	return db.inTx(ctx, "publish set", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO log_sets (log, size, note) VALUES ($1, $2, $3)`, log, size, note); err != nil {
			return err
		}
		return publish(ctx, tx, note)
	})
}

// PublishOnce puts a public note into the outbox, unless it is there or in the
// log already.
func (db *DB) PublishOnce(ctx context.Context, log string, note []byte) error {
	return db.inTx(ctx, "publish", func(tx *sql.Tx) error { return publishOnce(ctx, tx, log, note) })
}

func publishOnce(ctx context.Context, tx *sql.Tx, log string, note []byte) error {
	const q = `SELECT (SELECT COUNT(*) FROM leaves WHERE log = $1 AND household IS NULL AND entry = $2)
			+ (SELECT COUNT(*) FROM outbox WHERE household IS NULL AND entry = $2)`
	var there int
	if err := tx.QueryRowContext(ctx, q, log, ledger.Entry{Note: note}.Encode()).Scan(&there); err != nil || there > 0 {
		return err
	}
	return publish(ctx, tx, note)
}

// PublicLeafOf returns where a public note stands in the log, or ErrNotFound.
func (db *DB) PublicLeafOf(ctx context.Context, log string, note []byte) (int64, error) {
	var index int64
	const q = `SELECT leaf FROM leaves WHERE log = $1 AND household IS NULL AND entry = $2 ORDER BY leaf LIMIT 1`
	err := db.read.QueryRowContext(ctx, q, log, ledger.Entry{Note: note}.Encode()).Scan(&index)
	return index, fail("public leaf of", err)
}

// Set is a stored set note.
type Set struct {
	Size int64
	Note []byte
}

// Sets returns the newest stored sets, the newest first.
func (db *DB) Sets(ctx context.Context, log string, limit int) ([]Set, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT size, note FROM log_sets WHERE log = $1 ORDER BY size DESC LIMIT $2`, log, limit)
	if err != nil {
		return nil, fail("sets", err)
	}
	out, err := collect(rows, func(s *Set) []any { return []any{&s.Size, &s.Note} })
	return out, fail("sets", err)
}

// ReplaceSet stores a set note that an auditor has signed as well, in place of
// the note before. Another note in its place is ErrConflict.
func (db *DB) ReplaceSet(ctx context.Context, log string, size int64, before, note []byte) error {
	r, err := db.write.ExecContext(ctx, `UPDATE log_sets SET note = $4 WHERE log = $1 AND size = $2 AND note = $3`, log, size, before, note)
	if err != nil {
		return fail("replace set", err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return fail("replace set", fmt.Errorf("%w: %v", latchkey.ErrConflict, err))
	}
	return nil
}

// Unlogged is a statement that no log has.
type Unlogged struct {
	Household latchkey.HouseholdID
	Seq       uint64
}

// Unlogged returns up to limit statements that are neither in a log nor in the
// outbox: there should be none.
func (db *DB) Unlogged(ctx context.Context, limit int) ([]Unlogged, error) {
	const q = `SELECT s.household, s.seq FROM statements s
		WHERE NOT EXISTS (SELECT 1 FROM leaves l WHERE l.household = s.household AND l.seq = s.seq)
		AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.household = s.household AND o.seq = s.seq) LIMIT $1`
	rows, err := db.read.QueryContext(ctx, q, limit)
	if err != nil {
		return nil, fail("unlogged", err)
	}
	defer rows.Close()
	var out []Unlogged
	for rows.Next() {
		var u Unlogged
		var h []byte
		err := rows.Scan(&h, &u.Seq)
		if err == nil {
			err = fixed(u.Household[:], h)
		}
		if err != nil {
			return nil, fail("unlogged", err)
		}
		out = append(out, u)
	}
	return out, fail("unlogged", rows.Err())
}
