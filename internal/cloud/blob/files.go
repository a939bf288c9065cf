package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
)

// Files is a Store in a directory: one file per object, its name the path.
// Reading goes through an os.Root, so no name and no planted link leads out.
type Files struct {
	fsys durable.FS
	dir  string
	root *os.Root

	mu   sync.Mutex
	made map[string]bool // directories known to exist and to be durable
}

var (
	_ Store   = (*Files)(nil)
	_ Adopter = (*Files)(nil)
)

// OpenFiles makes dir if need be. Close the result.
func OpenFiles(fsys durable.FS, dir string) (*Files, error) {
	if err := durable.MkdirAll(fsys, dir, 0o700); err != nil {
		return nil, fmt.Errorf("blob: open %s: %w", filepath.Base(dir), err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("blob: open %s: %w", filepath.Base(dir), err)
	}
	return &Files{fsys: fsys, dir: dir, root: root, made: map[string]bool{}}, nil
}

// Close releases the directory. Readers from Get stay usable.
func (s *Files) Close() error { return s.root.Close() }

// Put implements Store: tmp, fsync, rename, fsync of the directory.
func (s *Files) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if err := errors.Join(checkName("put", name), ctx.Err()); err != nil {
		return err
	}
	full, err := s.prepare(name)
	if err != nil {
		return err
	}
	if _, err := durable.WriteFrom(s.fsys, full, &exact{r: r, left: size}, 0o600); err != nil {
		return fmt.Errorf("blob: put %s: %w", name, err)
	}
	return nil
}

// Adopt implements Adopter by a hard link.
func (s *Files) Adopt(ctx context.Context, name, from string) error {
	if err := errors.Join(checkName("adopt", name), ctx.Err()); err != nil {
		return err
	}
	full, err := s.prepare(name)
	if err != nil {
		return err
	}
	err = durable.Link(s.fsys, from, full)
	if errors.Is(err, fs.ErrExist) {
		err = s.relink(from, full)
	}
	if err != nil {
		return fmt.Errorf("blob: adopt %s: %w", name, err)
	}
	return nil
}

// relink finishes an Adopt that a crash interrupted, or replaces other content.
func (s *Files) relink(from, full string) error {
	a, errA := os.Stat(from)
	b, errB := os.Stat(full)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if os.SameFile(a, b) {
		return durable.SyncDir(s.fsys, filepath.Dir(full))
	}
	// Crash after this line: the name is gone, which Put's contract allows.
	if err := durable.Remove(s.fsys, full); err != nil {
		return err
	}
	return durable.Link(s.fsys, from, full)
}

// prepare makes the directories of name durable and returns the file's path.
func (s *Files) prepare(name string) (string, error) {
	full := filepath.Join(s.dir, filepath.FromSlash(name))
	dir := filepath.Dir(full)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made[dir] {
		return full, nil
	}
	if err := durable.MkdirAll(s.fsys, dir, 0o700); err != nil {
		return "", fmt.Errorf("blob: prepare %s: %w", name, err)
	}
	// A crash may have left the directory made but not synced.
	for d := dir; d != s.dir; d = filepath.Dir(d) {
		if err := durable.SyncDir(s.fsys, filepath.Dir(d)); err != nil {
			return "", fmt.Errorf("blob: prepare %s: %w", name, err)
		}
	}
	if len(s.made) > 4096 {
		clear(s.made)
	}
	s.made[dir] = true
	return full, nil
}

// Get implements Store.
func (s *Files) Get(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if err := errors.Join(checkName("get", name), ctx.Err()); err != nil {
		return nil, err
	}
	f, err := s.root.Open(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob: get %s: %w", name, latchkey.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("blob: get %s: %w", name, err)
	}
	r, err := Range(f, off, n)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("blob: get %s: %w", name, err), f.Close())
	}
	return r, nil
}

// Delete implements Store.
func (s *Files) Delete(ctx context.Context, name string) error {
	if err := errors.Join(checkName("delete", name), ctx.Err()); err != nil {
		return err
	}
	full := filepath.Join(s.dir, filepath.FromSlash(name))
	if _, err := os.Stat(filepath.Dir(full)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := durable.Remove(s.fsys, full); err != nil {
		return fmt.Errorf("blob: delete %s: %w", name, err)
	}
	return nil
}

// List implements Store. Files that are being written are not objects yet.
func (s *Files) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		s.walk(ctx, ".", prefix, yield)
	}
}

// walk yields the objects under dir; false when the caller has had enough.
func (s *Files) walk(ctx context.Context, dir, prefix string, yield func(Info, error) bool) bool {
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err := errors.Join(err, ctx.Err()); err != nil {
		yield(Info{}, fmt.Errorf("blob: list %s: %w", dir, err))
		return false
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() {
			// Descend only where a name with the prefix can be.
			if !strings.HasPrefix(name+"/", prefix) && !strings.HasPrefix(prefix, name+"/") {
				continue
			}
			if !s.walk(ctx, name, prefix, yield) {
				return false
			}
			continue
		}
		if !strings.HasPrefix(name, prefix) || !ValidName(name) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			yield(Info{}, fmt.Errorf("blob: list %s: %w", name, err))
			return false
		}
		if !yield(Info{Name: name, Size: info.Size(), Modified: info.ModTime()}, nil) {
			return false
		}
	}
	return true
}

// Range returns a reader of the n bytes of f from off, which owns f. A range
// outside the file is latchkey.ErrInvalid, and then f is still the caller's.
func Range(f *os.File, off, n int64) (io.ReadCloser, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if off < 0 || n < 0 || off > st.Size() || n > st.Size()-off {
		return nil, fmt.Errorf("%w: range %d+%d of %d bytes", latchkey.ErrInvalid, off, n, st.Size())
	}
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		return nil, err
	}
	return &ranged{LimitedReader: io.LimitedReader{R: f, N: n}, f: f}, nil
}

type ranged struct {
	io.LimitedReader
	f *os.File
}

// WriteTo lets the kernel move the bytes (sendfile) where the writer can.
func (r *ranged) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, &r.LimitedReader) }

func (r *ranged) Close() error { return r.f.Close() }

// exact reads exactly left bytes of r, or fails.
type exact struct {
	r    io.Reader
	left int64
}

func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		var one [1]byte
		if n, err := io.ReadFull(e.r, one[:]); n != 0 || err != io.EOF {
			return 0, fmt.Errorf("%w: more bytes than announced (%v)", latchkey.ErrInvalid, err)
		}
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		return n, fmt.Errorf("%w: %d bytes fewer than announced", latchkey.ErrInvalid, e.left)
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}
