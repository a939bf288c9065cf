package latchkey

import "errors"

// The closed list of error kinds. Every error that crosses a room wraps one of
// them (or none: then it is internal). They map once to HTTP status
// (internal/cloud) and once to exit code (cmd/latchkey).
var (
	// ErrInvalid: the bytes or arguments are malformed; retrying the same is useless.
	ErrInvalid = errors.New("invalid")
	// ErrNotFound: no such thing, or no right to see it. The two are never told apart.
	ErrNotFound = errors.New("not found")
	// ErrRefused: the caller is known and may not do this.
	ErrRefused = errors.New("refused")
	// ErrUnauthenticated: no valid session; sign in and try again.
	ErrUnauthenticated = errors.New("not signed in")
	// ErrConflict: somebody else was first, or the same id has other bytes.
	ErrConflict = errors.New("conflict")
	// ErrVerify: a signature, hash, commitment or proof does not hold.
	ErrVerify = errors.New("verification failed")
	// ErrUnavailable: the other side cannot be reached now; try again later.
	ErrUnavailable = errors.New("unavailable")
	// ErrFull: a disk, queue or quota is full; it goes on when space returns.
	ErrFull = errors.New("full")
	// ErrTooMany: a limit on rate, size or connections was met.
	ErrTooMany = errors.New("too many")
)
