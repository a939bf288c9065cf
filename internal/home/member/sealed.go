package member

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"latchkey.dev/latchkey/internal/durable"
)

// What is under way (a joining, invitations, new keys) lies in files of its own
// under the machine key, so that a crash at any step loses nothing: each is
// written before what it is about leaves this machine, and goes when that is
// done.

// saveSealed replaces a file by v as JSON under the machine key. The file's
// name is its purpose too.
func (s *store) saveSealed(file string, v any) error { return s.saveSealedAs(file, file, v) }

// saveSealedAs is saveSealed for one of many files of a purpose.
func (s *store) saveSealedAs(purpose, file string, v any) error {
	plain, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("member: write %s: %w", file, err)
	}
	defer clear(plain)
	sealed, err := s.machine.SealLocal(purpose, plain)
	if err != nil {
		return fmt.Errorf("member: write %s: %w", file, err)
	}
	if err := durable.WriteFile(s.disk, filepath.Join(s.dir, file), sealed, 0o600); err != nil {
		return fmt.Errorf("member: write %s: %w", file, err)
	}
	return nil
}

// loadSealed reads what saveSealed wrote into v; false: there is no such file.
func (s *store) loadSealed(file string, v any) (bool, error) { return s.loadSealedAs(file, file, v) }

func (s *store) loadSealedAs(purpose, file string, v any) (bool, error) {
	sealed, err := os.ReadFile(filepath.Join(s.dir, file))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("member: read %s: %w", file, err)
	}
	plain, err := s.machine.OpenLocal(purpose, sealed)
	if err != nil {
		return false, fmt.Errorf("member: read %s: it does not belong to this folder's machine.key: %w", file, err)
	}
	defer clear(plain)
	if err := json.Unmarshal(plain, v); err != nil {
		// The decoder's own words could quote the plaintext.
		return false, fmt.Errorf("member: read %s: it is not of this version", file)
	}
	return true, nil
}

// drop removes a file, if it is there.
func (s *store) drop(file string) error {
	if err := durable.Remove(s.disk, filepath.Join(s.dir, file)); err != nil {
		return fmt.Errorf("member: remove %s: %w", file, err)
	}
	return nil
}
