package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"latchkey.dev/latchkey"
)

// Kind of a session's owner.
type Kind string

// Who signs in.
const (
	Member Kind = "member"
	Hub    Kind = "hub"
)

// Session is one signed-in client. The token itself is never stored.
type Session struct {
	TokenHash latchkey.Hash
	Household latchkey.HouseholdID
	Kid       latchkey.Kid
	Kind      Kind
	Device    DeviceID  // of a member; hubs have none
	Browser   bool      // the device has used a cookie
	Seen      time.Time // last use: to about a minute, of a hub to about an hour
}

// PutSession stores a hub's session. A member's comes with its device: Enrol,
// SignIn.
func (db *DB) PutSession(ctx context.Context, s Session) error {
	return fail("put session", insertSession(ctx, db.write, s))
}

// execer is a connection or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func insertSession(ctx context.Context, tx execer, s Session) error {
	var device []byte
	if s.Kind == Member {
		device = s.Device[:]
	}
	const q = `INSERT INTO sessions (token_hash, household, kid, kind, device, seen_ms) VALUES ($1, $2, $3, $4, $5, $6)`
	_, err := tx.ExecContext(ctx, q, s.TokenHash[:], s.Household[:], s.Kid[:], string(s.Kind), device, s.Seen.UnixMilli())
	return err
}

// TouchSession moves Seen of a session that still exists, and of its device.
func (db *DB) TouchSession(ctx context.Context, s Session) error {
	return db.inTx(ctx, "touch session", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE sessions SET seen_ms = $2 WHERE token_hash = $1`, s.TokenHash[:], s.Seen.UnixMilli())
		if err != nil || s.Kind != Member {
			return err
		}
		const q = `UPDATE devices SET seen_ms = $4 WHERE household = $1 AND kid = $2 AND device = $3 AND ended_ms = 0`
		_, err = tx.ExecContext(ctx, q, s.Household[:], s.Kid[:], s.Device[:], s.Seen.UnixMilli())
		return err
	})
}

// Session finds a session by the hash of its token. One that does not exist is
// ErrNotFound, one whose device was ended ErrEnded.
func (db *DB) Session(ctx context.Context, hash latchkey.Hash) (Session, error) {
	s := Session{TokenHash: hash}
	var h, k, device []byte
	var kind string
	var seen int64
	var browser sql.NullBool
	var ended sql.NullInt64
	const q = `SELECT s.household, s.kid, s.kind, s.device, s.seen_ms, d.browser, d.ended_ms FROM sessions s
		LEFT JOIN devices d ON d.household = s.household AND d.kid = s.kid AND d.device = s.device WHERE s.token_hash = $1`
	err := db.read.QueryRowContext(ctx, q, hash[:]).Scan(&h, &k, &kind, &device, &seen, &browser, &ended)
	if err == nil {
		err = errors.Join(fixed(s.Household[:], h), fixed(s.Kid[:], k))
	}
	s.Kind, s.Seen, s.Browser = Kind(kind), time.UnixMilli(seen), browser.Bool
	if err != nil || s.Kind != Member {
		return s, fail("session", err)
	}
	switch err = fixed(s.Device[:], device); {
	case err == nil && !ended.Valid:
		err = latchkey.ErrNotFound // nothing is left of the device
	case err == nil && ended.Int64 != 0:
		err = ErrEnded
	}
	return s, fail("session", err)
}

// DeleteSession ends a session; one that is gone is no error.
func (db *DB) DeleteSession(ctx context.Context, hash latchkey.Hash) error {
	_, err := db.write.ExecContext(ctx, `DELETE FROM sessions WHERE token_hash = $1`, hash[:])
	return fail("delete session", err)
}

// DeleteIdleSessions ends the sessions of kind that nobody has used since.
func (db *DB) DeleteIdleSessions(ctx context.Context, kind Kind, since time.Time) error {
	_, err := db.write.ExecContext(ctx, `DELETE FROM sessions WHERE kind = $1 AND seen_ms < $2`, string(kind), since.UnixMilli())
	return fail("delete idle sessions", err)
}

// SawHub remembers when a hub was connected.
func (db *DB) SawHub(ctx context.Context, h latchkey.HouseholdID, hub latchkey.Kid, at time.Time) error {
	const q = `INSERT INTO presence (household, hub, seen_ms, doubled_ms) VALUES ($1, $2, $3, 0)
		ON CONFLICT (household, hub) DO UPDATE SET seen_ms = excluded.seen_ms`
	_, err := db.write.ExecContext(ctx, q, h[:], hub[:], at.UnixMilli())
	return fail("saw hub", err)
}

// SawHubTwice remembers when a second machine came with a hub's identity.
func (db *DB) SawHubTwice(ctx context.Context, h latchkey.HouseholdID, hub latchkey.Kid, at time.Time) error {
	const q = `INSERT INTO presence (household, hub, seen_ms, doubled_ms) VALUES ($1, $2, 0, $3)
		ON CONFLICT (household, hub) DO UPDATE SET doubled_ms = excluded.doubled_ms`
	_, err := db.write.ExecContext(ctx, q, h[:], hub[:], at.UnixMilli())
	return fail("saw hub twice", err)
}

// Presence is when a hub was last connected, and when a second machine last
// came with its identity; in Unix milliseconds, 0: never.
type Presence struct{ Seen, Doubled int64 }

// HubsSeen returns what is remembered of a household's hubs.
func (db *DB) HubsSeen(ctx context.Context, h latchkey.HouseholdID) (map[latchkey.Kid]Presence, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT hub, seen_ms, doubled_ms FROM presence WHERE household = $1`, h[:])
	if err != nil {
		return nil, fail("hubs seen", err)
	}
	type row struct {
		hub []byte
		Presence
	}
	all, err := collect(rows, func(r *row) []any { return []any{&r.hub, &r.Seen, &r.Doubled} })
	if err != nil {
		return nil, fail("hubs seen", err)
	}
	seen := make(map[latchkey.Kid]Presence, len(all))
	for _, r := range all {
		var k latchkey.Kid
		if err := fixed(k[:], r.hub); err != nil {
			return nil, fail("hubs seen", err)
		}
		seen[k] = r.Presence
	}
	return seen, nil
}
