// Package blob keeps closed reels and nothing else: named, immutable objects
// of sealed bytes. It never sees what they mean. Files is the store on the
// server's own disk; every store passes the suite in blobtest.
package blob

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"latchkey.dev/latchkey"
)

// Store holds objects. Contract, for all implementations:
//
// Durability: when Put returns nil the object survives power loss, whole. When
// it returns an error or the process dies, the name has its old content, the
// new content, or nothing; never a part of one.
// Concurrency: all methods may be called at once; one writer per name.
// Idempotence: Put of the same bytes twice and Delete of a missing name succeed.
// Errors: latchkey.ErrInvalid for a name that ValidName refuses or a range
// outside the object, ErrNotFound, ErrFull, ErrUnavailable for a store that
// cannot be reached; anything else is damage and names the object.
type Store interface {
	// Put makes name hold exactly the size bytes of r; fewer or more is ErrInvalid and changes nothing.
	Put(ctx context.Context, name string, r io.Reader, size int64) error
	// Get reads n bytes from offset off. The caller closes the reader.
	Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error)
	// Delete removes name for good.
	Delete(ctx context.Context, name string) error
	// List yields every object whose name begins with prefix, sorted segment by segment.
	// It ends after the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
}

// Adopter is a Store that can take over a file of the same file system
// without copying it. The file must have been synced and must not change any
// more; its old name stays and may then be removed. What Put promises holds.
type Adopter interface {
	Adopt(ctx context.Context, name, path string) error
}

// Info describes an object.
type Info struct {
	Name     string
	Size     int64
	Modified time.Time
}

// ValidName reports whether name is one to four segments of 1–64 lower-case
// letters, digits or hyphens, joined by slashes. Nothing else reaches a store.
func ValidName(name string) bool {
	segments, length := 1, 0
	for _, c := range []byte(name) {
		switch {
		case c == '/':
			if length == 0 {
				return false
			}
			segments, length = segments+1, 0
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-':
			length++
		default:
			return false
		}
		if length > 64 || segments > 4 {
			return false
		}
	}
	return length > 0
}

func checkName(op, name string) error {
	if ValidName(name) {
		return nil
	}
	return fmt.Errorf("blob: %s: %w: name %q", op, latchkey.ErrInvalid, name)
}
