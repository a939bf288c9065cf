package member

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/lan"
)

const (
	memberFile  = "member.json"
	machineFile = "machine.key"
	chainFile   = "chain"
	joiningFile = "joining"
	invitesFile = "invitations"
	newKeysFile = "newkeys"

	vaultKeyPurpose = "vault key"
	sessionPurpose  = "session"
	devicePurpose   = "device"
)

// record is member.json. Nothing in it opens without machine.key, which stays
// in the same folder and never in a data directory.
type record struct {
	V         int    `json:"v"` // 1
	Server    string `json:"server"`
	Household string `json:"household"` // hex
	Kid       string `json:"kid"`       // hex, the member's
	// Generation rises when the keys are replaced: a process that still has the
	// old ones must not write them back.
	Generation int `json:"generation,omitempty"`
	// Vault is the newest sealed vault this machine saw (LKV1); its version
	// must never go back.
	Vault []byte `json:"vault"`
	// VaultKey is VK under machine.key (LKF1).
	VaultKey []byte `json:"vault_key"`
	// Seq and Hash pin the chain: a chain that does not extend them is refused.
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
	// Covered is the newest statement whose additions count here (addlate.go).
	Covered uint64 `json:"covered,omitempty"`
	// Directory is the newest directory that verified; its number must never go back.
	Directory directoryRecord `json:"directory,omitzero"`
	// Removals are signed removals that were sent and that the server's chain
	// did not have yet.
	Removals [][]byte `json:"removals,omitempty"`
	// Ended are ids of devices that this one has signed out, in hex.
	Ended []string `json:"ended,omitempty"`
	// Lan says where hubs were last reachable at home, under machine.key.
	Lan []byte `json:"lan,omitempty"`
	// Device is what this machine signs in as, under machine.key.
	Device []byte `json:"device,omitempty"`
	// Session is the bearer token under machine.key; absent when signed out.
	Session []byte `json:"session,omitempty"`
}

// directoryRecord pins a directory.
type directoryRecord struct {
	N      uint64 `json:"n"`
	Hash   string `json:"hash"`   // H(text) of the note
	Letter []byte `json:"letter"` // LKS1
}

// store is this machine's folder of one member.
type store struct {
	dir     string
	disk    durable.FS
	machine keys.MachineKey
}

// openStore loads or makes the machine key in the home of opts.
func openStore(opts Options) (*store, error) {
	machine, err := keys.LoadMachineKey(filepath.Join(opts.Home, machineFile))
	if err != nil {
		return nil, fmt.Errorf("member: open store: %w", err)
	}
	s := &store{dir: opts.Home, disk: opts.Disk, machine: machine}
	if s.disk == nil {
		s.disk = durable.Disk{}
	}
	return s, nil
}

func (s *store) path() string { return filepath.Join(s.dir, memberFile) }

// exists reports whether a member lives in dir, without making anything.
func exists(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, memberFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// load reads member.json. A missing file is fs.ErrNotExist.
func (s *store) load() (record, error) {
	b, err := os.ReadFile(s.path())
	if err != nil {
		return record{}, fmt.Errorf("member: read store: %w", err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil || r.V != 1 {
		return record{}, fmt.Errorf("member: read store %s: %w: not a version 1 member file", s.path(), latchkey.ErrInvalid)
	}
	return r, nil
}

// save replaces member.json, mode 0600. When another process of this person
// has seen more of the chain or a newer vault in the meantime, that is kept:
// what this machine has seen never goes back.
func (s *store) save(r record) error {
	if old, err := s.load(); err == nil && old.Household == r.Household {
		if old.Generation > r.Generation {
			return fmt.Errorf("member: write store: %w: this person's keys were replaced by another process", latchkey.ErrRefused)
		}
		if old.Generation == r.Generation {
			r = r.merge(old)
		}
	}
	r.V = 1
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("member: write store: %w", err)
	}
	if err := durable.WriteFile(s.disk, s.path(), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("member: write store: %w", err)
	}
	return nil
}

// merge keeps the newer of both pins, vaults and directories, and all ended
// devices.
func (r record) merge(old record) record {
	if old.Seq > r.Seq {
		r.Seq, r.Hash = old.Seq, old.Hash
	}
	r.Covered = max(r.Covered, old.Covered)
	was, oldErr := keys.ParseVaultHead(old.Vault)
	is, err := keys.ParseVaultHead(r.Vault)
	if err == nil && oldErr == nil && was.Version > is.Version {
		r.Vault = old.Vault
	}
	if old.Directory.N > r.Directory.N {
		r.Directory = old.Directory
	}
	for _, id := range old.Ended {
		if !slices.Contains(r.Ended, id) {
			r.Ended = append(r.Ended, id)
		}
	}
	return r
}

// forget removes everything of the member but the machine key.
func (s *store) forget() error {
	grants, err := s.pending()
	errs := []error{err}
	for _, name := range append([]string{memberFile, chainFile, joiningFile, invitesFile, newKeysFile, ledgerFile}, grants...) {
		errs = append(errs, s.drop(name))
	}
	return errors.Join(errs...)
}

// saveChain replaces the file of the household's statements: each after its
// length, as lan writes notes. They are signed; a start checks them again.
func (s *store) saveChain(notes [][]byte) error {
	if err := durable.WriteFile(s.disk, filepath.Join(s.dir, chainFile), lan.PackNotes(notes), 0o600); err != nil {
		return fmt.Errorf("member: write chain: %w", err)
	}
	return nil
}

// loadChain reads what saveChain wrote and verifies it from genesis on. The
// clock is not asked: what was accepted once stays accepted. A file that does
// not verify counts as none; the server has the chain too.
func (s *store) loadChain(household latchkey.HouseholdID) history {
	b, err := os.ReadFile(filepath.Join(s.dir, chainFile))
	if err != nil {
		return history{}
	}
	notes, err := lan.ParseNotes(b, math.MaxInt)
	if err != nil {
		return history{}
	}
	h, err := history{}.extend(notes, math.MaxInt64/2)
	if err != nil || h.head().Household != household {
		return history{}
	}
	return h
}
