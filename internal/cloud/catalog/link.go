package catalog

import (
	"context"
	"database/sql"
	"time"

	"latchkey.dev/latchkey"
)

// Link is what the server keeps of a link besides the capsule of its grant.
type Link struct {
	Kid       latchkey.Kid // of the link's key
	Household latchkey.HouseholdID
	Grant     latchkey.GrantID
	MAC       []byte
	Words     []byte // sealed
	Views     uint32
	LastView  time.Time // zero: never
}

// PutLink stores a link with the capsule of its grant. The same link again
// changes nothing; a kid, or a grant, that another link has is
// latchkey.ErrConflict.
func (db *DB) PutLink(ctx context.Context, l Link, c GrantCapsule) error {
	return db.inTx(ctx, "put link", func(tx *sql.Tx) error {
		if err := putGrantCapsule(ctx, tx, l.Household, l.Grant, c); err != nil {
			return err
		}
		const q = `INSERT INTO links (kid, household, grant_id, mac, words) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (kid) DO UPDATE SET views = links.views WHERE links.household = excluded.household AND links.grant_id = excluded.grant_id`
		res, err := tx.ExecContext(ctx, q, l.Kid[:], l.Household[:], l.Grant[:], l.MAC, l.Words)
		if err != nil {
			return err
		}
		rows, err := res.RowsAffected()
		if err == nil && rows == 0 {
			err = latchkey.ErrConflict
		}
		return err
	})
}

const linkColumns = `kid, household, grant_id, mac, words, views, last_view_ms`

type linkRow struct {
	kid, household, grant, mac, words []byte
	views, last                       int64
}

func (r *linkRow) into() []any {
	return []any{&r.kid, &r.household, &r.grant, &r.mac, &r.words, &r.views, &r.last}
}

func (r *linkRow) link() (Link, error) {
	l := Link{MAC: r.mac, Words: r.words, Views: uint32(min(r.views, 1<<32-1))}
	if r.last > 0 {
		l.LastView = time.UnixMilli(r.last)
	}
	for _, f := range []struct{ dst, src []byte }{{l.Kid[:], r.kid}, {l.Household[:], r.household}, {l.Grant[:], r.grant}} {
		if err := fixed(f.dst, f.src); err != nil {
			return Link{}, err
		}
	}
	return l, nil
}

// Link returns the link of a kid, or latchkey.ErrNotFound.
func (db *DB) Link(ctx context.Context, kid latchkey.Kid) (Link, error) {
	var r linkRow
	err := db.read.QueryRowContext(ctx, `SELECT `+linkColumns+` FROM links WHERE kid = $1`, kid[:]).Scan(r.into()...)
	if err != nil {
		return Link{}, fail("link", err)
	}
	l, err := r.link()
	return l, fail("link", err)
}

// Links returns all links of a household, by kid.
func (db *DB) Links(ctx context.Context, h latchkey.HouseholdID) ([]Link, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT `+linkColumns+` FROM links WHERE household = $1 ORDER BY kid`, h[:])
	if err != nil {
		return nil, fail("links", err)
	}
	all, err := collect(rows, (*linkRow).into)
	if err != nil {
		return nil, fail("links", err)
	}
	out := make([]Link, len(all))
	for i := range all {
		if out[i], err = all[i].link(); err != nil {
			return nil, fail("links", err)
		}
	}
	return out, nil
}

// CountView counts that a link was opened.
func (db *DB) CountView(ctx context.Context, kid latchkey.Kid, at time.Time) error {
	_, err := db.write.ExecContext(ctx, `UPDATE links SET views = views + 1, last_view_ms = $2 WHERE kid = $1`, kid[:], at.UnixMilli())
	return fail("count view", err)
}
