package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"latchkey.dev/latchkey"
)

const (
	vaultMagic = "LKV1"
	vaultHead  = 4 + 4 + latchkey.IDSize + 16
)

// Vault is what a member owns: his keys and what he last saw. Sealed under the
// vault key VK it lies on the server (protocol 2.10).
type Vault struct {
	guard
	Signing   *Signing
	Sealing   []*Sealing // the current key first, then retained older ones
	KTag      Secret     // the household's log-tag key; may be zero
	Household latchkey.HouseholdID
	Seq       uint64            // newest statement seen
	Hash      latchkey.Hash     // H(text) of that statement
	Names     map[string]string // display names: "household", "me", or hex id → name
	// Used is set when the recovery code has opened this vault and no new code
	// was made yet: every device of the person says so.
	Used bool
	// Policy of the public log, pinned at founding; empty: not pinned yet.
	Policy string
}

// VaultInfo is the public head of a sealed vault.
type VaultInfo struct {
	Version uint32       // rises with every change
	Member  latchkey.Kid // of the member's Ed25519 key
	Salt    [16]byte
}

// vaultJSON is the plaintext. The web client reads and writes the same fields.
type vaultJSON struct {
	V         int               `json:"v"`              // 1
	Household string            `json:"household"`      // hex
	Ed        []byte            `json:"ed"`             // Ed25519 seed
	X         [][]byte          `json:"x"`              // X-Wing seeds, current first
	KTag      []byte            `json:"ktag,omitempty"` // 32 bytes or absent
	Seq       uint64            `json:"seq"`
	Hash      string            `json:"hash"` // hex
	Names     map[string]string `json:"names"`
	Used      bool              `json:"used,omitempty"`
	Policy    string            `json:"policy,omitempty"`
}

// NewVault makes a vault with fresh keys, for a founder or a joiner.
func NewVault() *Vault {
	return &Vault{Signing: NewSigning(), Sealing: []*Sealing{NewSealing()}, Names: map[string]string{}}
}

// LogTagKey returns the bytes of KTag for the operator: of a household's keys,
// this is the one that he knows (protocol 2.11). It opens nothing.
func (v *Vault) LogTagKey() []byte { return slices.Clone(v.KTag.bytes()[:]) }

// ParseVaultHead reads the public head of an LKV1 object (latchkey.ErrInvalid).
func ParseVaultHead(b []byte) (VaultInfo, error) {
	if len(b) < vaultHead+aeadTag || string(b[:4]) != vaultMagic {
		return VaultInfo{}, fmt.Errorf("keys: parse vault: %w: bad magic or length", latchkey.ErrInvalid)
	}
	info := VaultInfo{Version: binary.BigEndian.Uint32(b[4:])}
	copy(info.Member[:], b[8:])
	copy(info.Salt[:], b[24:])
	return info, nil
}

func (i VaultInfo) marshal() []byte {
	b := binary.BigEndian.AppendUint32([]byte(vaultMagic), i.Version)
	return append(append(b, i.Member[:]...), i.Salt[:]...)
}

// Seal returns the LKV1 object with the given version, which the caller makes
// one higher than the last.
func (v *Vault) Seal(vk Secret, version uint32) ([]byte, error) {
	if v.Signing == nil || len(v.Sealing) == 0 {
		return nil, fmt.Errorf("keys: seal vault: %w: it holds no keys", latchkey.ErrInvalid)
	}
	doc := vaultJSON{
		V: 1, Household: v.Household.String(), Ed: v.Signing.seed(),
		Seq: v.Seq, Hash: v.Hash.String(), Names: v.Names, Used: v.Used, Policy: v.Policy,
	}
	for _, s := range v.Sealing {
		doc.X = append(doc.X, s.raw.bytes()[:])
	}
	if !v.KTag.IsZero() {
		doc.KTag = v.KTag.bytes()[:]
	}
	plain, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("keys: seal vault: %w", err)
	}
	defer clear(plain)
	info := VaultInfo{Version: version, Member: v.Signing.Kid()}
	_, _ = rand.Read(info.Salt[:])
	return sealUnder(vk, "vault", info.marshal(), plain), nil
}

// OpenVault opens an LKV1 object. Another key, or changed bytes, is
// latchkey.ErrVerify. The caller compares Version with what it saw before: an
// older one is a rollback.
func OpenVault(vk Secret, b []byte) (*Vault, VaultInfo, error) {
	info, err := ParseVaultHead(b)
	if err != nil {
		return nil, info, err
	}
	plain, err := openUnder(vk, "vault", vaultHead, b)
	if err != nil {
		return nil, info, err
	}
	defer clear(plain)
	v, err := parseVault(plain)
	if err != nil {
		return nil, info, fmt.Errorf("keys: open vault: %w", err)
	}
	if v.Signing.Kid() != info.Member {
		return nil, info, fmt.Errorf("keys: open vault: %w: it names member %v and holds keys of %v", latchkey.ErrVerify, info.Member, v.Signing.Kid())
	}
	return v, info, nil
}

func parseVault(plain []byte) (*Vault, error) {
	var doc vaultJSON
	dec := json.NewDecoder(bytes.NewReader(plain))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		// The decoder's own words could quote the plaintext.
		return nil, fmt.Errorf("%w: not the JSON of a vault", latchkey.ErrInvalid)
	}
	if _, err := dec.Token(); err != io.EOF || doc.V != 1 || len(doc.X) == 0 {
		return nil, fmt.Errorf("%w: not a version 1 vault", latchkey.ErrInvalid)
	}
	return doc.vault()
}

func (doc vaultJSON) vault() (*Vault, error) {
	v := &Vault{Seq: doc.Seq, Names: doc.Names, Used: doc.Used, Policy: doc.Policy}
	if v.Names == nil {
		v.Names = map[string]string{}
	}
	var err error
	if v.Household, err = latchkey.ParseHouseholdID(doc.Household); err != nil {
		return nil, err
	}
	if v.Hash, err = parseHash(doc.Hash); err != nil {
		return nil, err
	}
	if doc.KTag != nil {
		if v.KTag, err = SecretFrom(doc.KTag); err != nil {
			return nil, err
		}
	}
	seed, err := SecretFrom(doc.Ed)
	if err != nil {
		return nil, err
	}
	v.Signing = SigningFromSeed(seed)
	seed.Erase()
	for _, x := range doc.X {
		s, err := SecretFrom(x)
		if err != nil {
			return nil, err
		}
		box, err := SealingFromSeed(s)
		if err != nil {
			return nil, err
		}
		v.Sealing = append(v.Sealing, box)
	}
	return v, nil
}

func parseHash(s string) (h latchkey.Hash, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, fmt.Errorf("%w: a hash has 64 hex digits", latchkey.ErrInvalid)
	}
	copy(h[:], b)
	return h, nil
}
