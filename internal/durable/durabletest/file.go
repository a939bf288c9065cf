package durabletest

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// file is an open file of FS; node is shared by all who have it open.
type file struct {
	fs   *FS
	path string
	node *inode
	real *os.File // nil for a directory
	app  bool
	pos  int64
}

// Write passes through the space limit and the hook.
func (f *file) Write(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	out := f.fs.decide(Write, f.path)
	keep, err := p, error(nil)
	switch out {
	case Crash:
		return 0, ErrCrashed
	case FailForgotten:
		keep, err = nil, syscall.EIO
	case FailKept:
		err = syscall.EIO
	case Full:
		keep, err = p[:len(p)/2], syscall.ENOSPC
	}
	if s := f.fs.space; s >= 0 && int64(len(keep)) > s {
		keep, err = keep[:s], syscall.ENOSPC
	}
	if f.fs.space >= 0 {
		f.fs.space -= int64(len(keep))
	}
	if n, werr := f.write(keep); werr != nil {
		return n, werr
	}
	if err != nil {
		return len(keep), &fs.PathError{Op: "write", Path: f.path, Err: err}
	}
	return len(p), nil
}

func (f *file) write(p []byte) (int, error) {
	n, err := f.real.Write(p)
	if f.app {
		f.pos = f.node.size
	}
	f.node.pending = append(f.node.pending, change{off: f.pos, data: append([]byte(nil), p[:n]...)})
	f.pos += int64(n)
	f.node.size = max(f.node.size, f.pos)
	return n, err
}

// Truncate cuts the live file; the medium follows at the next Sync.
func (f *file) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.fs.simple(Truncate, f.path, func() error {
		if err := f.real.Truncate(size); err != nil {
			return err
		}
		f.node.pending = append(f.node.pending, change{off: size, truncate: true})
		f.node.size = size
		return nil
	})
}

// Sync makes the file's bytes, or the directory's names, durable.
func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.node.dir {
		return f.fs.simple(SyncDir, f.path, func() error { f.fs.syncNames(f.path); return nil })
	}
	switch f.fs.decide(Sync, f.path) {
	case Crash:
		return ErrCrashed
	case Full:
		return &fs.PathError{Op: "sync", Path: f.path, Err: syscall.ENOSPC}
	case FailForgotten:
		// The kernel drops the pages and marks them clean: a later Sync
		// reports success over a hole.
		for i := range f.node.pending {
			clear(f.node.pending[i].data)
		}
		return &fs.PathError{Op: "sync", Path: f.path, Err: syscall.EIO}
	case FailKept:
		f.node.settle()
		return &fs.PathError{Op: "sync", Path: f.path, Err: syscall.EIO}
	}
	f.node.settle()
	return nil
}

func (n *inode) settle() {
	for _, c := range n.pending {
		n.durable = c.apply(n.durable)
	}
	n.pending = nil
}

// syncNames makes the medium's entries of dir those of the live tree.
func (f *FS) syncNames(dir string) {
	for path := range f.disk {
		if filepath.Dir(path) == dir && path != dir && f.live[path] == nil {
			delete(f.disk, path)
		}
	}
	for path, node := range f.live {
		if filepath.Dir(path) == dir && path != dir {
			f.disk[path] = node
		}
	}
}

// Close closes the live file.
func (f *file) Close() error {
	if f.real == nil {
		return nil
	}
	return f.real.Close()
}
