package keys

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
)

const (
	localMagic = "LKF1"
	localUse   = 12 // bytes of the zero-padded purpose
	localHead  = 4 + localUse + 16
)

// MachineKey seals files at rest on one machine: a hub's identity and camera
// passwords, a member's vault key. It lives outside the data folder, in a file
// of mode 0600, so that the data folder alone opens nothing (claim C3). The
// format LKF1 never leaves the machine.
type MachineKey struct {
	guard
	k Secret
}

// Identity is a hub's own pair of keys.
type Identity struct {
	guard
	Signing *Signing
	Sealing *Sealing
}

// NewIdentity draws both keys.
func NewIdentity() Identity { return Identity{Signing: NewSigning(), Sealing: NewSealing()} }

// LoadMachineKey reads the 32 raw bytes at path, or draws a key and writes it
// there, fsynced, with mode 0600 and its folder with 0700. Two processes that
// start at once agree on one key. A file of another length is latchkey.ErrInvalid.
func LoadMachineKey(path string) (MachineKey, error) {
	m, err := readMachineKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	if err := makeMachineKey(path); err != nil {
		return MachineKey{}, fmt.Errorf("keys: make machine key: %w", err)
	}
	return readMachineKey(path)
}

func readMachineKey(path string) (MachineKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return MachineKey{}, fmt.Errorf("keys: read machine key: %w", err)
	}
	defer clear(b)
	k, err := SecretFrom(b)
	if err != nil {
		return MachineKey{}, fmt.Errorf("keys: read machine key %s: %w", path, err)
	}
	return MachineKey{k: k}, nil
}

// makeMachineKey writes a fresh key beside path and links it into place: the
// name appears with all its bytes or not at all, and never replaces a key.
func makeMachineKey(path string) error {
	disk := durable.Disk{}
	if err := durable.MkdirAll(disk, filepath.Dir(path), 0o700); err != nil {
		return err
	}
	k := NewSecret()
	defer k.Erase()
	fresh := path + "." + rand.Text() // another name for each of two that start at once
	if err := durable.WriteFile(disk, fresh, k.bytes()[:], 0o600); err != nil {
		return err
	}
	err := durable.Link(disk, fresh, path)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return errors.Join(err, durable.Remove(disk, fresh))
}

// SealLocal seals plain for a purpose of at most 12 bytes ("config", …):
// "LKF1" ‖ purpose(12) ‖ salt(16) ‖ AEAD(KDF(machine key, "local", head), aad = head).
func (m MachineKey) SealLocal(purpose string, plain []byte) ([]byte, error) {
	head, err := localHeader(purpose)
	if err != nil {
		return nil, err
	}
	_, _ = rand.Read(head[4+localUse:])
	return sealUnder(m.k, "local", head[:], plain), nil
}

// OpenLocal opens what SealLocal made on this machine for the same purpose.
// Another machine or purpose, or changed bytes, is latchkey.ErrVerify.
func (m MachineKey) OpenLocal(purpose string, b []byte) ([]byte, error) {
	want, err := localHeader(purpose)
	if err != nil {
		return nil, err
	}
	if len(b) < localHead+aeadTag || string(b[:4]) != localMagic {
		return nil, fmt.Errorf("keys: open local %s: %w: bad magic or length", purpose, latchkey.ErrInvalid)
	}
	if string(b[:4+localUse]) != string(want[:4+localUse]) {
		return nil, fmt.Errorf("keys: open local %s: %w: sealed for another purpose", purpose, latchkey.ErrVerify)
	}
	return openUnder(m.k, "local", localHead, b)
}

func localHeader(purpose string) (head [localHead]byte, err error) {
	if purpose == "" || len(purpose) > localUse {
		return head, fmt.Errorf("keys: local purpose %q: %w", purpose, latchkey.ErrInvalid)
	}
	copy(head[:], localMagic)
	copy(head[4:], purpose)
	return head, nil
}

// SealSecret seals one secret, such as a member's vault key.
func (m MachineKey) SealSecret(purpose string, s Secret) ([]byte, error) {
	return m.SealLocal(purpose, s.bytes()[:])
}

// OpenSecret opens what SealSecret made.
func (m MachineKey) OpenSecret(purpose string, b []byte) (Secret, error) {
	plain, err := m.OpenLocal(purpose, b)
	if err != nil {
		return Secret{}, err
	}
	defer clear(plain)
	return SecretFrom(plain)
}

// identityJSON is the plaintext of a sealed identity.
type identityJSON struct {
	Ed []byte `json:"ed"`
	X  []byte `json:"x"`
}

const identityPurpose = "identity"

// SealIdentity seals a hub's keys for the file hub.key.
func (m MachineKey) SealIdentity(id Identity) ([]byte, error) {
	plain, err := json.Marshal(identityJSON{Ed: id.Signing.seed(), X: id.Sealing.raw.bytes()[:]})
	if err != nil {
		return nil, fmt.Errorf("keys: seal identity: %w", err)
	}
	defer clear(plain)
	return m.SealLocal(identityPurpose, plain)
}

// OpenIdentity opens what SealIdentity made.
func (m MachineKey) OpenIdentity(b []byte) (Identity, error) {
	plain, err := m.OpenLocal(identityPurpose, b)
	if err != nil {
		return Identity{}, err
	}
	defer clear(plain)
	var doc identityJSON
	if err := json.Unmarshal(plain, &doc); err != nil {
		return Identity{}, fmt.Errorf("keys: open identity: %w: not the JSON of an identity", latchkey.ErrInvalid)
	}
	ed, err := SecretFrom(doc.Ed)
	if err != nil {
		return Identity{}, err
	}
	defer ed.Erase()
	x, err := SecretFrom(doc.X)
	if err != nil {
		return Identity{}, err
	}
	box, err := SealingFromSeed(x)
	if err != nil {
		return Identity{}, err
	}
	return Identity{Signing: SigningFromSeed(ed), Sealing: box}, nil
}
