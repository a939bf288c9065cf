package catalog

import (
	"context"
	"database/sql"
	"time"

	"latchkey.dev/latchkey"
)

// Applicant is somebody who waits for the staff root's signature.
type Applicant struct {
	Note, MAC []byte
	Received  time.Time
}

// PutApplicant stores an applicant's note under the kid of his key, in place of
// one that he sent before. At most limit wait: the oldest makes way, so that nobody
// can keep others from applying.
func (db *DB) PutApplicant(ctx context.Context, kid latchkey.Kid, a Applicant, limit int) error {
	return db.inTx(ctx, "put applicant", func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM applicants WHERE kid <> $1`, kid[:]).Scan(&n); err != nil {
			return err
		}
		if n >= limit {
			const oldest = `DELETE FROM applicants WHERE kid IN (SELECT kid FROM applicants WHERE kid <> $1 ORDER BY received_ms, kid LIMIT $2)`
			if _, err := tx.ExecContext(ctx, oldest, kid[:], n-limit+1); err != nil {
				return err
			}
		}
		const q = `INSERT INTO applicants (kid, note, mac, received_ms) VALUES ($1, $2, $3, $4)
			ON CONFLICT (kid) DO UPDATE SET note = excluded.note, mac = excluded.mac, received_ms = excluded.received_ms`
		_, err := tx.ExecContext(ctx, q, kid[:], a.Note, a.MAC, a.Received.UnixMilli())
		return err
	})
}

// Applicants returns who waits, the longest first.
func (db *DB) Applicants(ctx context.Context) ([]Applicant, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT note, mac, received_ms FROM applicants ORDER BY received_ms, kid`)
	if err != nil {
		return nil, fail("applicants", err)
	}
	type row struct {
		Applicant
		ms int64
	}
	all, err := collect(rows, func(r *row) []any { return []any{&r.Note, &r.MAC, &r.ms} })
	out := make([]Applicant, len(all))
	for i, r := range all {
		out[i] = r.Applicant
		out[i].Received = time.UnixMilli(r.ms)
	}
	return out, fail("applicants", err)
}

// DropApplicants forgets who has waited since before.
func (db *DB) DropApplicants(ctx context.Context, before time.Time) error {
	_, err := db.write.ExecContext(ctx, `DELETE FROM applicants WHERE received_ms < $1`, before.UnixMilli())
	return fail("drop applicants", err)
}

// Staff is one staff note.
type Staff struct {
	Hash        latchkey.Hash // of the signed note
	Kid, XKid   latchkey.Kid  // of the Ed25519 and the X-Wing key
	ID, Role    string
	From, Until int64 // unix seconds, half open
	Note        []byte
}

// PutStaff stores a staff note, puts it on its way into the log, and forgets
// that its owner waited for it. The same note again changes nothing.
func (db *DB) PutStaff(ctx context.Context, log string, s Staff) error {
	return db.inTx(ctx, "put staff", func(tx *sql.Tx) error {
		const q = `INSERT INTO staff (note_hash, kid, x_kid, staff_id, role, from_s, until_s, note) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (note_hash) DO NOTHING`
		if _, err := tx.ExecContext(ctx, q, s.Hash[:], s.Kid[:], s.XKid[:], s.ID, s.Role, s.From, s.Until, s.Note); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM applicants WHERE kid = $1`, s.Kid[:]); err != nil {
			return err
		}
		return publishOnce(ctx, tx, log, s.Note)
	})
}

const staffColumns = `note_hash, kid, x_kid, staff_id, role, from_s, until_s, note`

type staffRow struct {
	hash, kid, x []byte
	Staff
}

func (r *staffRow) into() []any {
	return []any{&r.hash, &r.kid, &r.x, &r.ID, &r.Role, &r.From, &r.Until, &r.Note}
}

func (r *staffRow) staff() (Staff, error) {
	for _, f := range []struct{ dst, src []byte }{{r.Hash[:], r.hash}, {r.Kid[:], r.kid}, {r.XKid[:], r.x}} {
		if err := fixed(f.dst, f.src); err != nil {
			return Staff{}, err
		}
	}
	return r.Staff, nil
}

// StaffNow returns the staff notes that hold at a time, by id and kid; of one key
// the one that holds longest.
func (db *DB) StaffNow(ctx context.Context, now time.Time) ([]Staff, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT `+staffColumns+` FROM staff WHERE from_s <= $1 AND until_s > $1 ORDER BY staff_id, kid, until_s DESC`, now.Unix())
	if err != nil {
		return nil, fail("staff", err)
	}
	all, err := collect(rows, (*staffRow).into)
	if err != nil {
		return nil, fail("staff", err)
	}
	var out []Staff
	for i := range all {
		s, err := all[i].staff()
		if err != nil {
			return nil, fail("staff", err)
		}
		if n := len(out); n == 0 || out[n-1].Kid != s.Kid {
			out = append(out, s)
		}
	}
	return out, nil
}

// StaffOf returns the staff note of a key that holds at a time, or
// latchkey.ErrNotFound.
func (db *DB) StaffOf(ctx context.Context, kid latchkey.Kid, now time.Time) (Staff, error) {
	var r staffRow
	const q = `SELECT ` + staffColumns + ` FROM staff WHERE kid = $1 AND from_s <= $2 AND until_s > $2 ORDER BY until_s DESC LIMIT 1`
	if err := db.read.QueryRowContext(ctx, q, kid[:], now.Unix()).Scan(r.into()...); err != nil {
		return Staff{}, fail("staff of", err)
	}
	s, err := r.staff()
	return s, fail("staff of", err)
}

// Shift is a session of staff at the desk. The token itself is never stored.
type Shift struct {
	TokenHash   latchkey.Hash
	Kid         latchkey.Kid // of the Ed25519 key
	Began, Seen time.Time
}

// PutShift stores a session of the desk, and ends those that were idle since.
func (db *DB) PutShift(ctx context.Context, s Shift, idle time.Time) error {
	return db.inTx(ctx, "put shift", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM shifts WHERE seen_ms < $1`, idle.UnixMilli()); err != nil {
			return err
		}
		const q = `INSERT INTO shifts (token_hash, kid, began_ms, seen_ms) VALUES ($1, $2, $3, $4)`
		_, err := tx.ExecContext(ctx, q, s.TokenHash[:], s.Kid[:], s.Began.UnixMilli(), s.Seen.UnixMilli())
		return err
	})
}

// Shift finds a session of the desk, or latchkey.ErrNotFound.
func (db *DB) Shift(ctx context.Context, hash latchkey.Hash) (Shift, error) {
	s := Shift{TokenHash: hash}
	var kid []byte
	var began, seen int64
	err := db.read.QueryRowContext(ctx, `SELECT kid, began_ms, seen_ms FROM shifts WHERE token_hash = $1`, hash[:]).Scan(&kid, &began, &seen)
	if err == nil {
		err = fixed(s.Kid[:], kid)
	}
	s.Began, s.Seen = time.UnixMilli(began), time.UnixMilli(seen)
	return s, fail("shift", err)
}

// TouchShift moves Seen.
func (db *DB) TouchShift(ctx context.Context, hash latchkey.Hash, seen time.Time) error {
	_, err := db.write.ExecContext(ctx, `UPDATE shifts SET seen_ms = $2 WHERE token_hash = $1`, hash[:], seen.UnixMilli())
	return fail("touch shift", err)
}

// EndShift ends a session of the desk; one that is gone is no error.
func (db *DB) EndShift(ctx context.Context, hash latchkey.Hash) error {
	_, err := db.write.ExecContext(ctx, `DELETE FROM shifts WHERE token_hash = $1`, hash[:])
	return fail("end shift", err)
}

// Decision is what was asked of the desk, and which rules decided it.
type Decision struct {
	At        time.Time
	ID        string // of staff
	Kid       latchkey.Kid
	Role      string
	Action    string
	Household latchkey.HouseholdID // zero: none
	Ticket    uint64               // 0: none
	Allowed   bool
	Rules     string // names, with spaces between
}

// PutDecision keeps a decision.
func (db *DB) PutDecision(ctx context.Context, d Decision) error {
	const q = `INSERT INTO decisions (n, at_ms, staff_id, kid, role, action, household, ticket, allowed, rules)
		SELECT COALESCE(MAX(n), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9 FROM decisions`
	_, err := db.write.ExecContext(ctx, q, d.At.UnixMilli(), d.ID, d.Kid[:], d.Role, d.Action, d.Household[:], int64(d.Ticket), d.Allowed, d.Rules)
	return fail("put decision", err)
}

// Decisions returns up to limit decisions since a time, the newest first.
func (db *DB) Decisions(ctx context.Context, since time.Time, limit int) ([]Decision, error) {
	return db.decisions(ctx, `at_ms >= $1 ORDER BY n DESC LIMIT $2`, since.UnixMilli(), limit)
}

// DecisionsOf is Decisions of one person.
func (db *DB) DecisionsOf(ctx context.Context, kid latchkey.Kid, since time.Time, limit int) ([]Decision, error) {
	return db.decisions(ctx, `at_ms >= $1 AND kid = $2 ORDER BY n DESC LIMIT $3`, since.UnixMilli(), kid[:], limit)
}

func (db *DB) decisions(ctx context.Context, where string, args ...any) ([]Decision, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT at_ms, staff_id, kid, role, action, household, ticket, allowed, rules FROM decisions WHERE `+where, args...)
	if err != nil {
		return nil, fail("decisions", err)
	}
	type row struct {
		Decision
		ms, ticket     int64
		kid, household []byte
	}
	all, err := collect(rows, func(r *row) []any {
		return []any{&r.ms, &r.ID, &r.kid, &r.Role, &r.Action, &r.household, &r.ticket, &r.Allowed, &r.Rules}
	})
	if err != nil {
		return nil, fail("decisions", err)
	}
	out := make([]Decision, len(all))
	for i, r := range all {
		out[i] = r.Decision
		out[i].At, out[i].Ticket = time.UnixMilli(r.ms), uint64(r.ticket)
		for _, f := range []struct{ dst, src []byte }{{out[i].Kid[:], r.kid}, {out[i].Household[:], r.household}} {
			if err := fixed(f.dst, f.src); err != nil {
				return nil, fail("decisions", err)
			}
		}
	}
	return out, nil
}

// Suspension keeps somebody of staff from everything.
type Suspension struct {
	Kid  latchkey.Kid // of the Ed25519 key
	ID   string
	Kind string // of a closed list: what was found
	At   time.Time
	// Lifted is when an auditor has ended it; zero: it holds.
	Lifted time.Time
}

// Holds reports whether it keeps somebody out. New keys do not help him.
func (s Suspension) Holds(kid latchkey.Kid, id string) bool {
	return s.Lifted.IsZero() && (s.Kid == kid || s.ID == id)
}

// Suspend suspends somebody of staff; one who is suspended stays so since before.
func (db *DB) Suspend(ctx context.Context, s Suspension) error {
	const q = `INSERT INTO suspended (kid, staff_id, kind, at_ms, lifted_ms) VALUES ($1, $2, $3, $4, 0)
		ON CONFLICT (kid) DO UPDATE SET staff_id = excluded.staff_id, kind = excluded.kind, at_ms = excluded.at_ms, lifted_ms = 0 WHERE suspended.lifted_ms <> 0`
	_, err := db.write.ExecContext(ctx, q, s.Kid[:], s.ID, s.Kind, s.At.UnixMilli())
	return fail("suspend", err)
}

// Reinstate ends the suspensions of somebody of staff, or latchkey.ErrNotFound.
func (db *DB) Reinstate(ctx context.Context, id string, at time.Time) error {
	res, err := db.write.ExecContext(ctx, `UPDATE suspended SET lifted_ms = $2 WHERE staff_id = $1 AND lifted_ms = 0`, id, at.UnixMilli())
	if err == nil {
		var n int64
		if n, err = res.RowsAffected(); err == nil && n == 0 {
			err = latchkey.ErrNotFound
		}
	}
	return fail("reinstate", err)
}

// Suspensions returns who is and was suspended, the latest first.
func (db *DB) Suspensions(ctx context.Context) ([]Suspension, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT kid, staff_id, kind, at_ms, lifted_ms FROM suspended ORDER BY at_ms DESC, kid`)
	if err != nil {
		return nil, fail("suspensions", err)
	}
	type row struct {
		Suspension
		kid        []byte
		ms, lifted int64
	}
	all, err := collect(rows, func(r *row) []any { return []any{&r.kid, &r.ID, &r.Kind, &r.ms, &r.lifted} })
	if err != nil {
		return nil, fail("suspensions", err)
	}
	out := make([]Suspension, len(all))
	for i, r := range all {
		out[i] = r.Suspension
		out[i].At = time.UnixMilli(r.ms)
		if r.lifted != 0 {
			out[i].Lifted = time.UnixMilli(r.lifted)
		}
		if err := fixed(out[i].Kid[:], r.kid); err != nil {
			return nil, fail("suspensions", err)
		}
	}
	return out, nil
}
