package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"latchkey.dev/latchkey"
)

// LockFile is the name of the empty file that Lock holds.
const LockFile = "lock"

// Lock makes the caller the only user of dir until the returned Closer is
// closed or the process ends, however it ends: the lock is the kernel's, the
// file that stays behind means nothing. A directory that is in use, by this
// process or another one, is latchkey.ErrConflict.
func Lock(dir string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(dir, LockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("durable: lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("%w: another process uses %s", latchkey.ErrConflict, dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("durable: lock: %w", err), f.Close())
	}
	return f, nil
}
