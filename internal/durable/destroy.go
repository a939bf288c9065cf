package durable

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
)

// Destroy overwrites the file at path with random bytes, syncs it, removes it
// and fsyncs its directory: at return of nil the name is gone after a power cut,
// and the file's own blocks hold nothing of it where the file system writes in
// place. What keeps old blocks (snapshots, flash, copy on write) keeps old
// bytes. A path that is gone already is no error.
func Destroy(fsys FS, path string) error {
	st, err := os.Stat(path)
	if err == nil {
		err = overwrite(fsys, path, st.Size())
	}
	if err = ignoreMissing(err); err != nil {
		// It goes all the same: a disk that cannot be written to any more must not
		// keep its names as well.
		return errors.Join(fail("overwrite", path, err), Remove(fsys, path))
	}
	return Remove(fsys, path)
}

func overwrite(fsys FS, path string, size int64) error {
	f, err := fsys.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = io.CopyN(onlyWriter{f}, rand.Reader, size)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
