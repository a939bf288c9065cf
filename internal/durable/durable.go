// Package durable is the only package that fsyncs. It hides the order of
// system calls after which bytes survive a power cut: whole files appear
// complete or not at all, append files grow in groups under one fsync, names
// are durable once the directory is. Every room that stores bytes may import
// it; it never sees what the bytes mean.
//
// Errors of a full disk or quota wrap latchkey.ErrFull. An append file whose
// fsync failed is poisoned: what the kernel then holds of it is unknown
// (pages may have been dropped and marked clean), so it must be reopened and
// read back before anything is believed of it.
package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"latchkey.dev/latchkey"
)

// File is what durable needs of an open file. A directory is opened as a File
// too, for Sync only.
type File interface {
	io.WriteCloser
	// Sync returns nil only when everything written is on the medium.
	Sync() error
	// Truncate cuts the file to size bytes.
	Truncate(size int64) error
}

// FS is the seam for faults: Disk in production, durabletest.FS in tests.
// Names are ordinary paths; reading goes straight to the os package, because
// a fault-injecting FS keeps its live files in a real directory as well.
type FS interface {
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	Mkdir(name string, perm fs.FileMode) error
	Rename(from, to string) error
	Remove(name string) error
}

// Disk is the real file system.
type Disk struct{}

// OpenFile is os.OpenFile.
func (Disk) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Mkdir is os.Mkdir.
func (Disk) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }

// Rename is os.Rename.
func (Disk) Rename(from, to string) error { return os.Rename(from, to) }

// Remove is os.Remove.
func (Disk) Remove(name string) error { return os.Remove(name) }

// TmpSuffix ends the name of a file that is being written. A crash can leave
// one behind; the next WriteFile to the same path replaces it.
const TmpSuffix = ".tmp"

// WriteFile puts data at path: tmp, fsync, rename, fsync of the directory. At
// return of nil the file has exactly these bytes after a power cut; on an
// error or a crash in between, path has either its old content or the new,
// never a mixture. One writer per path at a time.
func WriteFile(fsys FS, path string, data []byte, perm fs.FileMode) error {
	_, err := WriteFrom(fsys, path, bytes.NewReader(data), perm)
	return err
}

// WriteFrom is WriteFile for a stream. It returns the number of bytes written.
func WriteFrom(fsys FS, path string, r io.Reader, perm fs.FileMode) (int64, error) {
	tmp := path + TmpSuffix
	n, err := writeSynced(fsys, tmp, r, perm)
	if err != nil {
		return n, fail("write", path, errors.Join(err, ignoreMissing(fsys.Remove(tmp))))
	}
	// Crash here: path is unchanged and tmp is garbage.
	if err := Rename(fsys, tmp, path); err != nil {
		return n, err
	}
	return n, nil
}

func writeSynced(fsys FS, path string, r io.Reader, perm fs.FileMode) (int64, error) {
	f, err := fsys.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, perm)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(onlyWriter{f}, r)
	if err == nil {
		err = f.Sync()
	}
	return n, errors.Join(err, f.Close())
}

// onlyWriter hides os.File's ReadFrom, so that every write passes the seam.
type onlyWriter struct{ io.Writer }

// Rename moves from to to, replacing it, and fsyncs the directories: at
// return of nil the new name is durable. The content must have been synced.
func Rename(fsys FS, from, to string) error {
	if err := fsys.Rename(from, to); err != nil {
		return fail("rename", from, err)
	}
	if err := SyncDir(fsys, filepath.Dir(to)); err != nil {
		return err
	}
	if filepath.Dir(from) == filepath.Dir(to) {
		return nil
	}
	return SyncDir(fsys, filepath.Dir(from))
}

// Remove deletes path and fsyncs its directory. A path that is gone already
// is no error: removal is asked for again after a crash.
func Remove(fsys FS, path string) error {
	if err := ignoreMissing(fsys.Remove(path)); err != nil {
		return fail("remove", path, err)
	}
	return SyncDir(fsys, filepath.Dir(path))
}

// MkdirAll makes dir and its missing parents (mode perm) and fsyncs each
// parent that got a new entry.
func MkdirAll(fsys FS, dir string, perm fs.FileMode) error {
	if st, err := os.Stat(dir); err == nil {
		if !st.IsDir() {
			return fail("make directory", dir, fmt.Errorf("%w: a file is in the way", latchkey.ErrInvalid))
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MkdirAll(fsys, parent, perm); err != nil {
			return err
		}
	}
	if err := fsys.Mkdir(dir, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return fail("make directory", dir, err)
	}
	return SyncDir(fsys, parent)
}

// SyncDir makes the names in dir durable: files created, renamed, removed.
func SyncDir(fsys FS, dir string) error {
	d, err := fsys.OpenFile(dir, os.O_RDONLY, 0)
	if err != nil {
		return fail("open directory", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fail("sync directory", dir, err)
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// fail names the operation and maps a full disk to the house's error kind.
func fail(op, path string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("durable: %s %s: %w: %w", op, filepath.Base(path), latchkey.ErrFull, err)
	}
	return fmt.Errorf("durable: %s %s: %w", op, filepath.Base(path), err)
}

// Linker is an FS that can give a file a second name. Disk is one.
type Linker interface {
	Link(from, to string) error
}

// Link is os.Link.
func (Disk) Link(from, to string) error { return os.Link(from, to) }

// Link gives the file from the further name to and fsyncs to's directory: at
// return of nil the new name is durable. The content must have been synced.
// An existing to is an error that wraps fs.ErrExist; an FS without Linker is
// errors.ErrUnsupported.
func Link(fsys FS, from, to string) error {
	l, ok := fsys.(Linker)
	if !ok {
		return fail("link", from, errors.ErrUnsupported)
	}
	if err := l.Link(from, to); err != nil {
		return fail("link", from, err)
	}
	return SyncDir(fsys, filepath.Dir(to))
}
