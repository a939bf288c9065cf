package catalog

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
)

// DeviceID names a device of one member: 16 random bytes that the client drew.
type DeviceID [16]byte

// Device is what a member signs in from.
type Device struct {
	ID            DeviceID
	Label         []byte        // sealed to its owner; empty until he has named it
	Secret        latchkey.Hash // SHA-256 of the secret that the client holds
	By            string        // how it was enrolled
	Browser       bool          // it has used a cookie
	Created, Seen time.Time     // Seen to about a minute
}

// How devices are enrolled.
const (
	ByFounding = "founding"
	ByRecovery = "recovery"
	ByPasskey  = "passkey"
	ByJoining  = "joining"
	ByRekey    = "rekey"
)

// Bounds of a member's devices. A device that nobody has used for idleDevice
// makes room for a new one.
const (
	MaxDevices   = 50
	idleDevice   = 30 * 24 * time.Hour
	maxEnded     = 100
	endedForGood = 180 * 24 * time.Hour
)

// ErrEnded: the device was ended, by its owner or by a rekey.
var ErrEnded = errors.New("device ended")

// Enrolment is a device that is new, with the session that it begins with.
type Enrolment struct {
	Device  Device
	Session Session
	First   bool // only if the member has joined and has had no device yet
}

// Enrol stores a device and its first session. A device of the member that has
// this id is replaced, and its sessions end. First without the right to it is
// latchkey.ErrNotFound, too many devices latchkey.ErrTooMany.
func (db *DB) Enrol(ctx context.Context, e Enrolment) error {
	return db.inTx(ctx, "enrol device", func(tx *sql.Tx) error { return enrol(ctx, tx, e) })
}

func enrol(ctx context.Context, tx *sql.Tx, e Enrolment) error {
	h, k, d := e.Session.Household, e.Session.Kid, e.Device
	was, err := tx.ExecContext(ctx, `DELETE FROM newcomers WHERE household = $1 AND kid = $2`, h[:], k[:])
	if err != nil {
		return err
	}
	if n, err := was.RowsAffected(); err != nil || e.First && n == 0 {
		return errors.Join(err, latchkey.ErrNotFound)
	}
	if err := makeRoom(ctx, tx, h, k, d); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE household = $1 AND kid = $2 AND device = $3`, h[:], k[:], d.ID[:]); err != nil {
		return err
	}
	const q = `INSERT INTO devices (household, kid, device, label, secret_hash, enrolled_by, browser, created_ms, seen_ms, ended_ms)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, 0)
		ON CONFLICT (household, kid, device) DO UPDATE SET label = excluded.label, secret_hash = excluded.secret_hash,
		enrolled_by = excluded.enrolled_by, browser = excluded.browser, created_ms = excluded.created_ms, seen_ms = excluded.seen_ms, ended_ms = 0`
	if _, err := tx.ExecContext(ctx, q, h[:], k[:], d.ID[:], notNull(d.Label), d.Secret[:], d.By, d.Browser, d.Created.UnixMilli()); err != nil {
		return err
	}
	return insertSession(ctx, tx, e.Session)
}

// notNull keeps an empty column from becoming NULL.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// makeRoom ends the device that was unused longest, if there are too many and
// it was unused long enough.
func makeRoom(ctx context.Context, tx *sql.Tx, h latchkey.HouseholdID, k latchkey.Kid, d Device) error {
	const q = `SELECT device, seen_ms FROM devices WHERE household = $1 AND kid = $2 AND ended_ms = 0 AND device <> $3 ORDER BY seen_ms`
	rows, err := tx.QueryContext(ctx, q, h[:], k[:], d.ID[:])
	if err != nil {
		return err
	}
	type row struct {
		id   []byte
		seen int64
	}
	all, err := collect(rows, func(r *row) []any { return []any{&r.id, &r.seen} })
	if err != nil || len(all) < MaxDevices {
		return err
	}
	if d.Created.Sub(time.UnixMilli(all[0].seen)) < idleDevice {
		return fmt.Errorf("%w devices: %d; end one first", latchkey.ErrTooMany, len(all))
	}
	_, err = tx.ExecContext(ctx, endDevices+` AND device = $4`, h[:], k[:], d.Created.UnixMilli(), all[0].id)
	return err
}

const endDevices = `UPDATE devices SET ended_ms = $3, label = '' WHERE household = $1 AND kid = $2 AND ended_ms = 0`

// SignIn starts a session of an enrolled device that has shown a secret of this
// hash. A label that is not empty replaces the stored one. An unknown device or
// a wrong secret is latchkey.ErrNotFound, an ended one ErrEnded.
func (db *DB) SignIn(ctx context.Context, s Session, secret latchkey.Hash, label []byte) error {
	return db.inTx(ctx, "sign in", func(tx *sql.Tx) error {
		if err := checkDevice(ctx, tx, s.Household, s.Kid, s.Device, secret); err != nil {
			return err
		}
		const q = `UPDATE devices SET seen_ms = $4, browser = browser OR $5 WHERE household = $1 AND kid = $2 AND device = $3`
		if _, err := tx.ExecContext(ctx, q, s.Household[:], s.Kid[:], s.Device[:], s.Seen.UnixMilli(), s.Browser); err != nil {
			return err
		}
		if len(label) > 0 {
			const q = `UPDATE devices SET label = $4 WHERE household = $1 AND kid = $2 AND device = $3`
			if _, err := tx.ExecContext(ctx, q, s.Household[:], s.Kid[:], s.Device[:], label); err != nil {
				return err
			}
		}
		return insertSession(ctx, tx, s)
	})
}

// queryer is a connection or a transaction.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// checkDevice compares in constant time.
func checkDevice(ctx context.Context, tx queryer, h latchkey.HouseholdID, k latchkey.Kid, id DeviceID, secret latchkey.Hash) error {
	var stored []byte
	var ended int64
	const q = `SELECT secret_hash, ended_ms FROM devices WHERE household = $1 AND kid = $2 AND device = $3`
	err := tx.QueryRowContext(ctx, q, h[:], k[:], id[:]).Scan(&stored, &ended)
	switch {
	case err != nil:
		return err
	case subtle.ConstantTimeCompare(stored, secret[:]) != 1:
		return latchkey.ErrNotFound
	case ended != 0:
		return ErrEnded
	}
	return nil
}

// CheckDevice reports whether the member's device has a secret of this hash:
// nil, ErrEnded if it was ended, or latchkey.ErrNotFound.
func (db *DB) CheckDevice(ctx context.Context, h latchkey.HouseholdID, k latchkey.Kid, id DeviceID, secret latchkey.Hash) error {
	return fail("check device", checkDevice(ctx, db.read, h, k, id, secret))
}

// Devices returns a member's devices that have not ended, newest use first.
func (db *DB) Devices(ctx context.Context, h latchkey.HouseholdID, k latchkey.Kid) ([]Device, error) {
	const q = `SELECT device, label, secret_hash, enrolled_by, browser, created_ms, seen_ms FROM devices
		WHERE household = $1 AND kid = $2 AND ended_ms = 0 ORDER BY seen_ms DESC, device`
	rows, err := db.read.QueryContext(ctx, q, h[:], k[:])
	if err != nil {
		return nil, fail("devices", err)
	}
	type row struct {
		id, label, secret []byte
		by                string
		browser           bool
		created, seen     int64
	}
	all, err := collect(rows, func(r *row) []any {
		return []any{&r.id, &r.label, &r.secret, &r.by, &r.browser, &r.created, &r.seen}
	})
	if err != nil {
		return nil, fail("devices", err)
	}
	out := make([]Device, len(all))
	for i, r := range all {
		out[i] = Device{Label: r.label, By: r.by, Browser: r.browser, Created: time.UnixMilli(r.created), Seen: time.UnixMilli(r.seen)}
		if err := errors.Join(fixed(out[i].ID[:], r.id), fixed(out[i].Secret[:], r.secret)); err != nil {
			return nil, fail("devices", err)
		}
	}
	return out, nil
}

// EndDevice takes a device its right to sign in. Its sessions stay as hashes of
// tokens, so that who comes with one can be told. An unknown or ended device is
// latchkey.ErrNotFound.
func (db *DB) EndDevice(ctx context.Context, h latchkey.HouseholdID, k latchkey.Kid, id DeviceID, at time.Time) error {
	return db.inTx(ctx, "end device", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, endDevices+` AND device = $4`, h[:], k[:], at.UnixMilli(), id[:])
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, latchkey.ErrNotFound)
		}
		return forgetEnded(ctx, tx, h, k)
	})
}

// EndOtherDevices ends all of a member's devices but one, and says how many.
func (db *DB) EndOtherDevices(ctx context.Context, h latchkey.HouseholdID, k latchkey.Kid, keep DeviceID, at time.Time) (int, error) {
	ended := 0
	err := db.inTx(ctx, "end other devices", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, endDevices+` AND device <> $4`, h[:], k[:], at.UnixMilli(), keep[:])
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		ended = int(n)
		return forgetEnded(ctx, tx, h, k)
	})
	return ended, err
}

// forgetEnded keeps the newest ended devices of a member only.
func forgetEnded(ctx context.Context, tx *sql.Tx, h latchkey.HouseholdID, k latchkey.Kid) error {
	const q = `DELETE FROM devices WHERE household = $1 AND kid = $2 AND ended_ms > 0 AND device NOT IN
		(SELECT device FROM devices WHERE household = $1 AND kid = $2 AND ended_ms > 0 ORDER BY ended_ms DESC LIMIT $3)`
	_, err := tx.ExecContext(ctx, q, h[:], k[:], maxEnded)
	return err
}

// ForgetEndedDevices drops what is left of devices that ended long before now.
func (db *DB) ForgetEndedDevices(ctx context.Context, now time.Time) error {
	_, err := db.write.ExecContext(ctx, `DELETE FROM devices WHERE ended_ms > 0 AND ended_ms < $1`, now.Add(-endedForGood).UnixMilli())
	return fail("forget ended devices", err)
}
