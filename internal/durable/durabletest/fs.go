// Package durabletest is a file system that fails on purpose, for tests only.
// It keeps its live files in a real directory (so readers use package os) and
// beside that a model of what the medium would hold after a power cut.
package durabletest

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"latchkey.dev/latchkey/internal/durable"
)

// ErrCrashed is what every call returns after the crash point.
var ErrCrashed = errors.New("durabletest: the machine is off")

// Kind names a system call of the seam.
type Kind string

// The system calls of the seam. SyncDir is Sync of a directory.
const (
	Create   Kind = "create"
	Write    Kind = "write"
	Sync     Kind = "sync"
	SyncDir  Kind = "sync-dir"
	Truncate Kind = "truncate"
	Mkdir    Kind = "mkdir"
	Rename   Kind = "rename"
	Link     Kind = "link"
	Remove   Kind = "remove"
)

// Op is one call about to happen. Path is the file (of a rename: the new name).
type Op struct {
	N    int // 1, 2, 3… since New
	Kind Kind
	Path string
}

// Outcome is what shall become of a call.
type Outcome int

// The outcomes. A failing call either had no effect (Forgotten; of a Sync:
// the dirty pages are dropped and a later Sync will not bring them back) or
// had its whole effect although it reported an error (Kept).
const (
	Pass Outcome = iota
	FailForgotten
	FailKept
	Full  // ENOSPC; a write stores half of its bytes first
	Crash // this and every later call fail without effect
)

// FS implements durable.FS under a root directory. Safe for concurrent use.
type FS struct {
	root string

	mu      sync.Mutex
	n       int
	hook    func(Op) Outcome
	space   int64 // bytes that may still be written; <0 = unlimited
	crashed bool
	live    map[string]*inode
	disk    map[string]*inode // names as the medium has them
}

var (
	_ durable.FS     = (*FS)(nil)
	_ durable.Linker = (*FS)(nil)
)

// inode is a file or directory: what the medium has of it, and the changes
// since the last sync, in order.
type inode struct {
	dir     bool
	perm    fs.FileMode
	durable []byte
	pending []change
	size    int64
}

type change struct {
	off      int64
	data     []byte
	truncate bool // to off
}

// New takes everything under root (an existing directory) as durable.
func New(root string) (*FS, error) {
	f := &FS{root: root, space: -1, live: map[string]*inode{}, disk: map[string]*inode{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		node := &inode{dir: d.IsDir(), perm: info.Mode().Perm()}
		if !d.IsDir() {
			if node.durable, err = os.ReadFile(path); err != nil {
				return err
			}
			node.size = int64(len(node.durable))
		}
		f.live[path], f.disk[path] = node, node
		return nil
	})
	return f, err
}

// SetHook makes hook decide about each later call; nil lets all pass. It is
// called with the lock held and must not call back.
func (f *FS) SetHook(hook func(Op) Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

// SetSpace lets n more bytes be written before ENOSPC; negative: no limit.
func (f *FS) SetSpace(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.space = n
}

// CrashAt makes call number n (counted from New) and all later ones fail
// without effect.
func (f *FS) CrashAt(n int) {
	f.SetHook(func(op Op) Outcome {
		if op.N >= n {
			return Crash
		}
		return Pass
	})
}

// Ops returns how many calls were made.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// decide counts a call and returns its outcome. Callers hold mu.
func (f *FS) decide(kind Kind, path string) Outcome {
	f.n++
	if f.crashed {
		return Crash
	}
	if f.hook == nil {
		return Pass
	}
	out := f.hook(Op{N: f.n, Kind: kind, Path: path})
	f.crashed = f.crashed || out == Crash
	return out
}

// simple runs a call whose effect is all or nothing. Callers hold mu.
func (f *FS) simple(kind Kind, path string, effect func() error) error {
	switch f.decide(kind, path) {
	case Crash:
		return ErrCrashed
	case Full:
		return &fs.PathError{Op: string(kind), Path: path, Err: syscall.ENOSPC}
	case FailForgotten:
		return &fs.PathError{Op: string(kind), Path: path, Err: syscall.EIO}
	case FailKept:
		if err := effect(); err != nil {
			return err
		}
		return &fs.PathError{Op: string(kind), Path: path, Err: syscall.EIO}
	}
	return effect()
}

// OpenFile opens, and with O_CREATE makes, a file; a directory for Sync.
func (f *FS) OpenFile(name string, flag int, perm fs.FileMode) (durable.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = filepath.Clean(name)
	node := f.live[name]
	if node != nil && node.dir {
		return &file{fs: f, path: name, node: node}, nil
	}
	var real *os.File
	open := func() (err error) {
		real, err = os.OpenFile(name, flag, perm)
		return err
	}
	if node != nil && flag&os.O_TRUNC == 0 {
		if f.crashed {
			return nil, ErrCrashed
		}
		if err := open(); err != nil {
			return nil, err
		}
		return &file{fs: f, path: name, node: node, real: real, app: flag&os.O_APPEND != 0}, nil
	}
	if err := f.simple(Create, name, open); err != nil {
		if real != nil {
			err = errors.Join(err, real.Close())
			f.created(name, node, perm)
		}
		return nil, err
	}
	return &file{fs: f, path: name, node: f.created(name, node, perm), real: real, app: flag&os.O_APPEND != 0}, nil
}

// created records a new or emptied file. Callers hold mu.
func (f *FS) created(name string, node *inode, perm fs.FileMode) *inode {
	if node == nil {
		node = &inode{perm: perm}
		f.live[name] = node
	}
	if node.size > 0 {
		node.pending = append(node.pending, change{truncate: true})
		node.size = 0
	}
	return node
}

// Mkdir makes a directory.
func (f *FS) Mkdir(name string, perm fs.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = filepath.Clean(name)
	return f.simple(Mkdir, name, func() error {
		if err := os.Mkdir(name, perm); err != nil {
			return err
		}
		f.live[name] = &inode{dir: true, perm: perm}
		return nil
	})
}

// Rename moves a file.
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, to = filepath.Clean(from), filepath.Clean(to)
	return f.simple(Rename, to, func() error {
		if err := os.Rename(from, to); err != nil {
			return err
		}
		f.live[to] = f.live[from]
		delete(f.live, from)
		return nil
	})
}

// Link gives a file a second name.
func (f *FS) Link(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, to = filepath.Clean(from), filepath.Clean(to)
	return f.simple(Link, to, func() error {
		if err := os.Link(from, to); err != nil {
			return err
		}
		f.live[to] = f.live[from]
		return nil
	})
}

// Remove deletes a file or an empty directory.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = filepath.Clean(name)
	return f.simple(Remove, name, func() error {
		if err := os.Remove(name); err != nil {
			return err
		}
		delete(f.live, name)
		return nil
	})
}

// Image writes into the empty directory dst what a power cut now would leave:
// names as of the last directory syncs, contents as of the last syncs, plus a
// random prefix of the unsynced changes, the last of them torn.
func (f *FS) Image(dst string, rng *rand.Rand) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for path, node := range f.disk {
		rel, err := filepath.Rel(f.root, path)
		if err != nil || !f.reachable(path) {
			continue
		}
		to := filepath.Join(dst, rel)
		if node.dir {
			if err := os.MkdirAll(to, 0o700); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, node.afterCut(rng), node.perm|0o600); err != nil {
			return err
		}
	}
	return nil
}

// reachable reports whether every directory above path is durable too.
func (f *FS) reachable(path string) bool {
	for dir := filepath.Dir(path); strings.HasPrefix(dir, f.root) && dir != f.root; dir = filepath.Dir(dir) {
		if f.disk[dir] == nil {
			return false
		}
	}
	return true
}

// afterCut is the content the medium might have after a power cut.
func (n *inode) afterCut(rng *rand.Rand) []byte {
	out := append([]byte(nil), n.durable...)
	if len(n.pending) == 0 {
		return out
	}
	whole := rng.IntN(len(n.pending) + 1)
	for _, c := range n.pending[:whole] {
		out = c.apply(out)
	}
	if whole < len(n.pending) && !n.pending[whole].truncate {
		torn := n.pending[whole]
		torn.data = torn.data[:rng.IntN(len(torn.data)+1)]
		out = torn.apply(out)
	}
	return out
}

func (c change) apply(b []byte) []byte {
	if c.truncate {
		if c.off < int64(len(b)) {
			b = b[:c.off]
		}
		return b
	}
	if end := c.off + int64(len(c.data)); end > int64(len(b)) {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[c.off:], c.data)
	return b
}
