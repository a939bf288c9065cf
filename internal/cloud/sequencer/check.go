package sequencer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/ledger"
)

// Check holds the log in dir against the catalog, without changing anything:
// the published checkpoint is signed, and its entries are those that the catalog
// has. A plain sentence for everything that is wrong. It may run beside a server.
func Check(ctx context.Context, dir string, db *catalog.DB) ([]string, error) {
	policy, err := OwnPolicy(dir)
	if err != nil || policy == nil {
		return nil, err
	}
	s := &Sequencer{policy: policy, dir: filepath.Join(dir, filepath.Base(policy.Path()))}
	log := ledger.NewLog(policy, s.read)
	checkpoint, err := log.Checkpoint(ctx)
	if err != nil {
		return []string{fmt.Sprintf("The log's checkpoint does not hold: %v.", err)}, nil
	}
	known, err := db.LogSize(ctx, policy.Origin())
	if err != nil {
		return nil, err
	}
	var stored [][]byte
	if err := db.EachEntry(ctx, policy.Origin(), 0, min(known, checkpoint.Size), func(e []byte) error {
		stored = append(stored, e)
		return nil
	}); err != nil {
		return nil, err
	}
	at := 0
	for entry, err := range log.Entries(ctx, checkpoint, 0) {
		if err != nil {
			return []string{fmt.Sprintf("Entry %d of the log cannot be read: %v.", at, err)}, nil
		}
		if at == len(stored) {
			break // a server is between the two
		}
		if !bytes.Equal(entry, stored[at]) {
			return []string{fmt.Sprintf("Entry %d of the log is not the one that the catalog has.", at)}, nil
		}
		at++
	}
	return nil, nil
}

// OwnPolicy is the policy of the log in dir without its watchers: whom the log
// itself signs for. It makes no key; nil of a server that never ran.
func OwnPolicy(dir string) (*ledger.Policy, error) {
	if _, err := os.Stat(filepath.Join(dir, logKey)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	k, err := readKeys(dir)
	if err != nil {
		return nil, err
	}
	return k.policy("")
}
