// Package watch is what independent people run to keep an operator honest: a
// witness, which vouches that a log only grows (c2sp.org/tlog-witness), and an
// auditor, who replays a log and vouches for its sets (docs/spec/log). Neither
// needs an account, and neither sees more than the public log. The cloud never
// imports it.
package watch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/signkey"
)

const (
	keyFile   = "signing.key"
	stateFile = "state.json"
)

// openKey reads the signing key in dir, or draws it under this name.
func openKey(fsys durable.FS, dir, name string) (signkey.Key, error) {
	if err := durable.MkdirAll(fsys, dir, 0o700); err != nil {
		return signkey.Key{}, err
	}
	return signkey.Open(fsys, filepath.Join(dir, keyFile), name)
}

// readState reads the JSON that writeState wrote; without a file it leaves v.
func readState(dir string, v any) error {
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		return fmt.Errorf("watch: %s: %w", stateFile, err)
	}
	return nil
}

func writeState(fsys durable.FS, dir string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return durable.WriteFile(fsys, filepath.Join(dir, stateFile), b, 0o600)
}
