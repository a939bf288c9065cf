package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Append is a file that only grows. Write hands bytes to the kernel, Sync
// makes them durable; concurrent callers of Sync share one fsync. Safe for
// concurrent use; each Write is one contiguous run in the file.
type Append struct {
	path string
	f    File

	mu     sync.Mutex // guards size, err and the order of writes
	size   int64
	err    error // not nil: poisoned, every later call returns it
	closed bool

	syncMu sync.Mutex // held during fsync; taken before mu
	synced int64      // guarded by syncMu
}

// OpenAppend opens path for appending, creating it if need be, and syncs its
// directory: also for a file that exists, because an earlier attempt may have
// made it and failed at just that. Bytes that are in the file already count as
// unsynced until the first Sync: they may be what a crash left in the page cache.
func OpenAppend(fsys FS, path string, perm fs.FileMode) (*Append, error) {
	f, err := fsys.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, perm)
	if err != nil {
		return nil, fail("open", path, err)
	}
	if err := SyncDir(fsys, filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, errors.Join(fail("stat", path, err), f.Close())
	}
	// synced −1: an empty, fresh file too is fsynced by the first Sync.
	return &Append{path: path, f: f, size: st.Size(), synced: -1}, nil
}

// Write appends p, all of it or nothing: on an error (ErrFull for a full
// disk) what arrived of p is cut off again, and the file can be used on.
func (a *Append) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return 0, a.err
	}
	n, err := a.f.Write(p)
	if err == nil {
		a.size += int64(n)
		return n, nil
	}
	err = fail("append", a.path, err)
	if cut := a.f.Truncate(a.size); cut != nil {
		a.err = fmt.Errorf("%w (and its tail could not be cut off: %w)", err, cut)
		return 0, a.err
	}
	return 0, err
}

// Size returns the length of the file in bytes, synced or not.
func (a *Append) Size() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.size
}

// Sync returns nil when every byte written before the call is on the medium.
// After an error the file is poisoned: nothing written since the last good
// Sync may be believed, and every later call fails.
func (a *Append) Sync() error {
	want := a.Size()
	a.syncMu.Lock()
	defer a.syncMu.Unlock()
	if a.synced >= want {
		return nil // a colleague's fsync covered this caller
	}
	a.mu.Lock()
	upTo, err := a.size, a.err
	a.mu.Unlock()
	if err != nil {
		return err
	}
	if err := a.f.Sync(); err != nil {
		err = fail("sync", a.path, err)
		a.mu.Lock()
		a.err = err
		a.mu.Unlock()
		return err
	}
	a.synced = upTo
	return nil
}

// Truncate cuts the file to size bytes (a torn tail found at opening) and
// syncs it.
func (a *Append) Truncate(size int64) error {
	a.syncMu.Lock()
	defer a.syncMu.Unlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	if err := errors.Join(a.f.Truncate(size), a.f.Sync()); err != nil {
		a.err = fail("truncate", a.path, err)
		return a.err
	}
	a.size, a.synced = size, size
	return nil
}

// Close closes the file without syncing it. A second Close does nothing.
func (a *Append) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	a.closed = true
	if a.err == nil {
		a.err = fail("use", a.path, fs.ErrClosed)
	}
	if err := a.f.Close(); err != nil {
		return fail("close", a.path, err)
	}
	return nil
}
