package catalog

import (
	"context"
	"database/sql"
	"time"

	"latchkey.dev/latchkey"
)

// Epoch is one epoch of a hub, with what the server needs of its note.
type Epoch struct {
	ID        latchkey.EpochID
	Household latchkey.HouseholdID
	Hub       latchkey.Kid
	N         uint64
	Start     int64 // unix seconds: slot 0
	Until     int64 // unix seconds: end of the newest slot in a closed reel
	Note      []byte
	Heads     []byte // newest heads note; nil when none came
	HeadsN    uint64
	Received  time.Time
}

// Capsule is one seal line and the sealed capsule that it names.
type Capsule struct {
	Kid     latchkey.Kid // of the recipient's X-Wing key
	Hash    latchkey.Hash
	Capsule []byte
}

const epochColumns = `epoch, household, hub, n, start_s, until_s, note, heads, heads_n, received_ms`

type epochRow struct {
	epoch, household, hub []byte
	n, start, until       int64
	note, heads           []byte
	headsN, received      int64
}

func (r *epochRow) into() []any {
	return []any{&r.epoch, &r.household, &r.hub, &r.n, &r.start, &r.until, &r.note, &r.heads, &r.headsN, &r.received}
}

func (r *epochRow) epochOf() (Epoch, error) {
	e := Epoch{
		N: uint64(r.n), Start: r.start, Until: r.until, Note: r.note, Heads: r.heads,
		HeadsN: uint64(r.headsN), Received: time.UnixMilli(r.received),
	}
	if err := fixed(e.ID[:], r.epoch); err != nil {
		return e, err
	}
	if err := fixed(e.Household[:], r.household); err != nil {
		return e, err
	}
	return e, fixed(e.Hub[:], r.hub)
}

// PutEpoch stores an epoch with all its capsules, all or nothing. An epoch id
// that is known is ErrConflict, whatever its note says.
func (db *DB) PutEpoch(ctx context.Context, e Epoch, capsules []Capsule) error {
	return db.inTx(ctx, "put epoch", func(tx *sql.Tx) error {
		const q = `INSERT INTO epochs (` + epochColumns + `) VALUES ($1, $2, $3, $4, $5, $5, $6, NULL, 0, $7)`
		_, err := tx.ExecContext(ctx, q, e.ID[:], e.Household[:], e.Hub[:], int64(e.N), e.Start, e.Note, e.Received.UnixMilli())
		if err != nil {
			return err
		}
		for _, c := range capsules {
			const q = `INSERT INTO capsules (epoch, kid, hash, capsule) VALUES ($1, $2, $3, $4)`
			if _, err := tx.ExecContext(ctx, q, e.ID[:], c.Kid[:], c.Hash[:], c.Capsule); err != nil {
				return err
			}
		}
		return nil
	})
}

// PutHeads keeps a heads note if its counter is above the stored one.
func (db *DB) PutHeads(ctx context.Context, epoch latchkey.EpochID, n uint64, note []byte) error {
	const q = `UPDATE epochs SET heads = $2, heads_n = $3 WHERE epoch = $1 AND (heads IS NULL OR heads_n < $3)`
	_, err := db.write.ExecContext(ctx, q, epoch[:], note, int64(n))
	return fail("put heads", err)
}

// Epoch returns an epoch, of whichever household, or ErrNotFound.
func (db *DB) Epoch(ctx context.Context, id latchkey.EpochID) (Epoch, error) {
	var r epochRow
	err := db.read.QueryRowContext(ctx, `SELECT `+epochColumns+` FROM epochs WHERE epoch = $1`, id[:]).Scan(r.into()...)
	if err != nil {
		return Epoch{}, fail("epoch", err)
	}
	e, err := r.epochOf()
	return e, fail("epoch", err)
}

// NewestEpoch returns the epoch of a hub with the highest counter, or
// ErrNotFound.
func (db *DB) NewestEpoch(ctx context.Context, h latchkey.HouseholdID, hub latchkey.Kid) (Epoch, error) {
	var r epochRow
	const q = `SELECT ` + epochColumns + ` FROM epochs WHERE household = $1 AND hub = $2 ORDER BY n DESC LIMIT 1`
	if err := db.read.QueryRowContext(ctx, q, h[:], hub[:]).Scan(r.into()...); err != nil {
		return Epoch{}, fail("newest epoch", err)
	}
	e, err := r.epochOf()
	return e, fail("newest epoch", err)
}

// EpochQuery selects epochs of a household that overlap [From, To), in unix
// seconds, in order of start, counter and id; a zero Hub means all hubs, a zero
// After the first.
type EpochQuery struct {
	Household latchkey.HouseholdID
	From, To  int64
	Hub       latchkey.Kid
	After     Epoch // only those behind it in that order
	Limit     int
}

// openSlack is how long footage of an epoch may lie in an open reel, which
// Until does not count yet, in seconds.
const openSlack = 300

// Epochs runs q.
func (db *DB) Epochs(ctx context.Context, q EpochQuery) ([]Epoch, error) {
	var anyHub, first int64
	if q.Hub == (latchkey.Kid{}) {
		anyHub = 1
	}
	if q.After.ID == (latchkey.EpochID{}) {
		first = 1
	}
	const query = `SELECT ` + epochColumns + ` FROM epochs
		WHERE household = $1 AND start_s < $2 AND until_s + $3 > $4 AND ($5 = 1 OR hub = $6)
			AND ($8 = 1 OR (start_s, n, epoch) > ($9, $10, $11))
		ORDER BY start_s, n, epoch LIMIT $7`
	rows, err := db.read.QueryContext(ctx, query, q.Household[:], q.To, openSlack, q.From, anyHub, q.Hub[:], q.Limit,
		first, q.After.Start, int64(q.After.N), q.After.ID[:])
	if err != nil {
		return nil, fail("epochs", err)
	}
	return epochsOf(rows)
}

// EveryEpoch returns up to limit epochs of all households after the id, for fsck.
func (db *DB) EveryEpoch(ctx context.Context, after latchkey.EpochID, limit int) ([]Epoch, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT `+epochColumns+` FROM epochs WHERE epoch > $1 ORDER BY epoch LIMIT $2`, after[:], limit)
	if err != nil {
		return nil, fail("every epoch", err)
	}
	return epochsOf(rows)
}

func epochsOf(rows *sql.Rows) ([]Epoch, error) {
	all, err := collect(rows, (*epochRow).into)
	if err != nil {
		return nil, fail("epochs", err)
	}
	out := make([]Epoch, 0, len(all))
	for i := range all {
		e, err := all[i].epochOf()
		if err != nil {
			return nil, fail("epochs", err)
		}
		out = append(out, e)
	}
	return out, nil
}

// SealLines returns the seal lines of an epoch, sorted by kid.
func (db *DB) SealLines(ctx context.Context, epoch latchkey.EpochID) ([]Capsule, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT kid, hash FROM capsules WHERE epoch = $1 ORDER BY kid`, epoch[:])
	if err != nil {
		return nil, fail("seal lines", err)
	}
	type row struct{ kid, hash []byte }
	all, err := collect(rows, func(r *row) []any { return []any{&r.kid, &r.hash} })
	if err != nil {
		return nil, fail("seal lines", err)
	}
	lines := make([]Capsule, len(all))
	for i, r := range all {
		if err := fixed(lines[i].Kid[:], r.kid); err != nil {
			return nil, fail("seal lines", err)
		}
		if err := fixed(lines[i].Hash[:], r.hash); err != nil {
			return nil, fail("seal lines", err)
		}
	}
	return lines, nil
}

// Capsule returns the capsule of one recipient, or ErrNotFound.
func (db *DB) Capsule(ctx context.Context, epoch latchkey.EpochID, kid latchkey.Kid) ([]byte, error) {
	var c []byte
	err := db.read.QueryRowContext(ctx, `SELECT capsule FROM capsules WHERE epoch = $1 AND kid = $2`, epoch[:], kid[:]).Scan(&c)
	return c, fail("capsule", err)
}
