package catalog

import (
	"context"
	"database/sql"
	"time"

	"latchkey.dev/latchkey"
)

// LegalRequest is one request of an authority.
type LegalRequest struct {
	N           uint64
	Kind        string // of a closed list
	Country     string
	Household   latchkey.HouseholdID
	From, Until int64         // of footage, unix seconds
	Document    latchkey.Hash // of the paper; zero: none was kept
	GagUntil    int64         // unix seconds; 0: the household is told at once
	State       string
	EnteredBy   string // staff id
	DecidedBy   string // empty: nobody yet
	Entered     time.Time
	Listing     []byte // what was handed over; empty before
	Salt        []byte
	Told        bool // the household was told in clear
}

// AddLegal stores a request under the next number, with its public note.
func (db *DB) AddLegal(ctx context.Context, r LegalRequest, note func(n uint64) ([]byte, error)) (n uint64, err error) {
	err = db.inTx(ctx, "add legal request", func(tx *sql.Tx) error {
		const q = `INSERT INTO legal (request, kind, country, household, from_s, until_s, document, gag_until_s, state, entered_by, decided_by, entered_ms, listing, salt, told)
			SELECT COALESCE(MAX(request), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9, '', $10, $11, $11, $12 FROM legal RETURNING request`
		err := tx.QueryRowContext(ctx, q, r.Kind, r.Country, r.Household[:], r.From, r.Until, r.Document[:], r.GagUntil, r.State, r.EnteredBy, r.Entered.UnixMilli(), []byte{}, false).Scan(&n)
		if err != nil {
			return err
		}
		public, err := note(n)
		if err != nil {
			return err
		}
		return publish(ctx, tx, public)
	})
	return n, err
}

// SettleLegal moves a request from one state to another, with its public note if
// there is one. A request that is in another state by now is latchkey.ErrConflict.
func (db *DB) SettleLegal(ctx context.Context, r LegalRequest, before string, public []byte) error {
	return db.inTx(ctx, "settle legal request", func(tx *sql.Tx) error {
		const q = `UPDATE legal SET state = $3, decided_by = $4, listing = $5, salt = $6, told = $7 WHERE request = $1 AND state = $2`
		if err := one(tx.ExecContext(ctx, q, int64(r.N), before, r.State, r.DecidedBy, orNothing(r.Listing), orNothing(r.Salt), r.Told)); err != nil {
			return err
		}
		if len(public) == 0 {
			return nil
		}
		return publish(ctx, tx, public)
	})
}

func orNothing(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// ToldLegal notes that the household was told in clear.
func (db *DB) ToldLegal(ctx context.Context, n uint64) error {
	_, err := db.write.ExecContext(ctx, `UPDATE legal SET told = $2 WHERE request = $1`, int64(n), true)
	return fail("told legal request", err)
}

// Legal returns requests, the newest first: all, or a household's (not zero).
func (db *DB) Legal(ctx context.Context, h latchkey.HouseholdID) ([]LegalRequest, error) {
	q := `SELECT request, kind, country, household, from_s, until_s, document, gag_until_s, state, entered_by, decided_by, entered_ms, listing, salt, told FROM legal`
	var args []any
	if h != (latchkey.HouseholdID{}) {
		q, args = q+` WHERE household = $1`, []any{h[:]}
	}
	rows, err := db.read.QueryContext(ctx, q+` ORDER BY request DESC`, args...)
	if err != nil {
		return nil, fail("legal requests", err)
	}
	type row struct {
		LegalRequest
		n, ms               int64
		household, document []byte
	}
	all, err := collect(rows, func(r *row) []any {
		return []any{&r.n, &r.Kind, &r.Country, &r.household, &r.From, &r.Until, &r.document, &r.GagUntil, &r.State, &r.EnteredBy, &r.DecidedBy, &r.ms, &r.Listing, &r.Salt, &r.Told}
	})
	if err != nil {
		return nil, fail("legal requests", err)
	}
	out := make([]LegalRequest, len(all))
	for i, r := range all {
		out[i] = r.LegalRequest
		out[i].N, out[i].Entered = uint64(r.n), time.UnixMilli(r.ms)
		for _, f := range []struct{ dst, src []byte }{{out[i].Household[:], r.household}, {out[i].Document[:], r.document}} {
			if err := fixed(f.dst, f.src); err != nil {
				return nil, fail("legal requests", err)
			}
		}
	}
	return out, nil
}
