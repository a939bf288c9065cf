// Package catalog is what the server remembers besides sealed footage:
// households' signed chains, sealed vaults, public halves of passkeys, devices
// and sessions as hashes, epochs and grants with their capsules, and one row per
// closed reel. It sees ids, times, sizes and sealed or signed bytes; migrations/
// is the whole list.
//
// SQLite by a pure Go driver, one writer, write-ahead log, fsync at every
// commit: a method that returned nil survives power loss. The statements use
// the subset that Postgres shares ($n, TEXT, BIGINT, BYTEA, milliseconds as
// BIGINT, ON CONFLICT). All methods may be called at once.
package catalog

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"latchkey.dev/latchkey"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is an open catalog. Close it.
type DB struct {
	read  *sql.DB // many connections
	write *sql.DB // one: SQLite has one writer, and waiting in Go beats SQLITE_BUSY
}

const readers = 4

// pageCache bounds the pages that one connection keeps, in KiB. SQLite's own
// bound, 2 MB for each of five, fills up over the first hours and looks like a
// leak; the hot pages are in the kernel's cache as well.
const pageCache = 512

// Open opens the catalog in the file at path, making it (mode 0600) if need
// be, and brings its schema up to date.
func Open(ctx context.Context, path string) (*DB, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, fail("open", err)
	}
	db, err := connect(path, false)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// OpenReadOnly opens an existing catalog of the newest schema for reading. It
// may run beside a server.
func OpenReadOnly(ctx context.Context, path string) (*DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fail("open", err)
	}
	db, err := connect(path, true)
	if err != nil {
		return nil, err
	}
	if _, err := db.Household(ctx, latchkey.HouseholdID{}); err != nil && !errors.Is(err, latchkey.ErrNotFound) {
		return nil, errors.Join(fail("open", err), db.Close())
	}
	return db, nil
}

func connect(path string, readOnly bool) (*DB, error) {
	q := url.Values{"_pragma": {"busy_timeout(10000)", "foreign_keys(1)", "synchronous(FULL)", fmt.Sprintf("cache_size(-%d)", pageCache)}, "_txlock": {"immediate"}}
	if readOnly {
		q.Set("mode", "ro")
	} else {
		q.Add("_pragma", "journal_mode(WAL)")
		q.Add("_pragma", "secure_delete(1)")
	}
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
	read, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, fail("open", err)
	}
	write, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, errors.Join(fail("open", err), read.Close())
	}
	read.SetMaxOpenConns(readers)
	write.SetMaxOpenConns(1)
	return &DB{read: read, write: write}, nil
}

func (db *DB) migrate(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fail("migrate", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db.write, dir)
	if err != nil {
		return fail("migrate", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fail("migrate", err)
	}
	return nil
}

// Close closes the catalog.
func (db *DB) Close() error { return errors.Join(db.read.Close(), db.write.Close()) }

// Ping reports whether the catalog can be read.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return fail("ping", db.read.QueryRowContext(ctx, "SELECT 1").Scan(&one))
}

// Secret returns the server's own random 32 bytes under name, drawing them
// once. It protects nothing of a household: it makes answers about unknown
// names look like those about known ones.
func (db *DB) Secret(ctx context.Context, name string) ([]byte, error) {
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fail("secret", err)
	}
	const q = `INSERT INTO server (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = server.value RETURNING value`
	var value []byte
	err := db.write.QueryRowContext(ctx, q, name, fresh).Scan(&value)
	return value, fail("secret", err)
}

// inTx runs f in one write transaction: all of it, or nothing.
func (db *DB) inTx(ctx context.Context, op string, f func(*sql.Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fail(op, err)
	}
	if err := f(tx); err != nil {
		return fail(op, errors.Join(err, ignoreDone(tx.Rollback())))
	}
	return fail(op, tx.Commit())
}

// ignoreDone: SQLite rolls back by itself on a full disk.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// fail names the operation and maps the driver's errors to the house's kinds.
func fail(op string, err error) error {
	if err == nil {
		return nil
	}
	kind := error(nil)
	var se *sqlite.Error
	switch {
	case errors.Is(err, sql.ErrNoRows):
		kind = latchkey.ErrNotFound
	case errors.As(err, &se):
		kind = kindOf(se.Code())
	}
	if kind == nil || errors.Is(err, kind) {
		return fmt.Errorf("catalog: %s: %w", op, err)
	}
	return fmt.Errorf("catalog: %s: %w: %w", op, kind, err)
}

func kindOf(code int) error {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return latchkey.ErrConflict
	}
	switch code & 0xff {
	case sqlite3.SQLITE_FULL:
		return latchkey.ErrFull
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return latchkey.ErrUnavailable
	}
	return nil
}

// fixed copies a column into an identifier of fixed size.
func fixed(dst, src []byte) error {
	if len(src) != len(dst) {
		return fmt.Errorf("column of %d bytes, want %d", len(src), len(dst))
	}
	copy(dst, src)
	return nil
}
