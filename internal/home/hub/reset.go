package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
)

// machineFile is the key of the machine in Config.Home. It opens identity and
// camera passwords, also what a disk still has of earlier versions of them.
const machineFile = "machine.key"

// Remains is what a hub has on this machine.
type Remains struct {
	Paths []string // files and folders of the hub, in the order in which they go
	Bytes int64
	// MachineKey is the machine key, which goes too; empty when it is not this
	// hub's alone: somebody's vault opens with it.
	MachineKey string
	// Strange are files in the hub's folder that are not the hub's. They stay.
	Strange []string
}

// Find lists what a reset of the hub in dataDir would destroy; home is the
// folder of its machine key. A folder without a hub is latchkey.ErrNotFound.
func Find(dataDir, home string) (Remains, error) {
	var r Remains
	// Config first: without it nothing runs on what is left, and a reset that was
	// interrupted is asked for again (ErrOccupied).
	for _, name := range []string{"config", "hub.key", "alive", earlyFile, logFile} {
		r.add(filepath.Join(dataDir, name))
	}
	for _, dir := range []string{"epochs", "spool"} {
		if err := r.addFolder(filepath.Join(dataDir, dir)); err != nil {
			return r, fmt.Errorf("hub: reset: %w", err)
		}
	}
	r.add(filepath.Join(dataDir, "chain"))
	if len(r.Paths) == 0 {
		return r, fmt.Errorf("hub: reset: %w: there is no hub in %s", latchkey.ErrNotFound, dataDir)
	}
	r.add(filepath.Join(dataDir, durable.LockFile))
	all, err := os.ReadDir(dataDir)
	if err != nil {
		return r, fmt.Errorf("hub: reset: %w", err)
	}
	for _, f := range all {
		if path := filepath.Join(dataDir, f.Name()); !slices.Contains(r.Paths, path) && f.Name() != durable.LockFile {
			r.Strange = append(r.Strange, path)
		}
	}
	r.MachineKey, err = ownKey(home)
	return r, err
}

// add takes a file, and what a crash may have left of writing it.
func (r *Remains) add(path string) {
	for _, p := range []string{path, path + durable.TmpSuffix} {
		if st, err := os.Lstat(p); err == nil && st.Mode().IsRegular() {
			r.Paths, r.Bytes = append(r.Paths, p), r.Bytes+st.Size()
		}
	}
}

// addFolder takes a folder with all its files; a link, or a folder in it, is
// nothing that the hub has made.
func (r *Remains) addFolder(dir string) error {
	st, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if !f.Type().IsRegular() {
			r.Strange = append(r.Strange, path)
			continue
		}
		if !slices.Contains(r.Paths, path) {
			r.add(path)
		}
	}
	r.Paths = append(r.Paths, dir)
	return nil
}

// ownKey returns the machine key if nothing else lives with it.
func ownKey(home string) (string, error) {
	files, err := os.ReadDir(home)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("hub: reset: %w", err)
	}
	found := ""
	for _, f := range files {
		switch {
		case f.Name() == machineFile:
			found = filepath.Join(home, machineFile)
		case !strings.HasPrefix(f.Name(), machineFile+"."): // what a crash left of making one
			return "", nil
		}
	}
	return found, nil
}

// Reset destroys the hub in dataDir: it ends its identity, and leaves nothing of
// its household. Every file is overwritten, as far as disks do what they are
// told, and removed. A hub that runs is latchkey.ErrConflict. What was done stays
// done after a crash, and can be done again.
func Reset(fsys durable.FS, dataDir, home string) (Remains, error) {
	r, err := Find(dataDir, home)
	if err != nil {
		return r, err
	}
	held, err := durable.Lock(dataDir)
	if err != nil {
		return r, fmt.Errorf("hub: reset: %w", err)
	}
	defer held.Close() // its file goes as well
	// Again, now that nobody else writes.
	if r, err = Find(dataDir, home); err != nil {
		return r, err
	}
	paths := r.Paths
	if r.MachineKey != "" {
		paths = slices.Insert(slices.Clone(paths), min(2, len(paths)), r.MachineKey)
	}
	var errs []error
	for _, path := range paths {
		if st, err := os.Lstat(path); err == nil && st.IsDir() {
			errs = append(errs, durable.Remove(fsys, path))
			continue
		}
		errs = append(errs, durable.Destroy(fsys, path))
	}
	if err := errors.Join(errs...); err != nil {
		return r, fmt.Errorf("hub: reset: %w", err)
	}
	return r, nil
}
