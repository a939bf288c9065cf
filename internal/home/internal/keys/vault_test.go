package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"testing"

	"latchkey.dev/latchkey"
)

func testVault() *Vault {
	v := NewVault()
	v.Sealing = append(v.Sealing, NewSealing())
	v.KTag, v.Household, v.Seq, v.Hash = NewSecret(), latchkey.HouseholdID{9}, 42, latchkey.Hash{8}
	v.Names["household"] = "Our house"
	v.Used = true
	v.Policy = "quorum none\n"
	return v
}

func TestVaultRoundTrip(t *testing.T) {
	v, vk := testVault(), NewSecret()
	sealed, err := v.Seal(vk, 3)
	if err != nil {
		t.Fatal(err)
	}
	got, info, err := OpenVault(vk, sealed)
	if err != nil {
		t.Fatal(err)
	}
	if info.Version != 3 || info.Member != v.Signing.Kid() {
		t.Errorf("head reads %+v", info)
	}
	if got.Household != v.Household || got.Seq != 42 || got.Hash != v.Hash || !got.KTag.Equal(v.KTag) || !maps.Equal(got.Names, v.Names) || !got.Used || got.Policy != v.Policy {
		t.Error("contents changed")
	}
	if len(got.Sealing) != 2 || got.Sealing[0].Kid() != v.Sealing[0].Kid() || got.Sealing[1].Kid() != v.Sealing[1].Kid() {
		t.Error("sealing keys changed")
	}
	if again, err := v.Seal(vk, 3); err != nil || bytes.Equal(again, sealed) {
		t.Errorf("two seals use the same salt: %v", err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 0x20
		if _, _, err := OpenVault(vk, bad); err == nil {
			t.Fatalf("opens with byte %d changed", i)
		}
	}
	if _, _, err := OpenVault(NewSecret(), sealed); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("another key: %v", err)
	}
	if _, err := (&Vault{}).Seal(vk, 1); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("an empty vault seals: %v", err)
	}
}

// A server that puts one member's vault in place of another's is noticed even
// if both were sealed under one key.
func TestVaultNamesItsMember(t *testing.T) {
	v, vk := testVault(), NewSecret()
	info := VaultInfo{Version: 1, Member: NewSigning().Kid()}
	doc := vaultJSON{V: 1, Household: v.Household.String(), Ed: v.Signing.seed(), X: [][]byte{v.Sealing[0].raw.bytes()[:]}, Hash: v.Hash.String()}
	plain, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenVault(vk, sealUnder(vk, "vault", info.marshal(), plain)); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("got %v", err)
	}
}

func TestVaultContentsAreStrict(t *testing.T) {
	v, vk := testVault(), NewSecret()
	info := VaultInfo{Version: 1, Member: v.Signing.Kid()}
	for _, plain := range []string{
		``, `{}`, `[]`, `{"v":2}`, `{"v":1,"household":"00","ed":"","x":[""],"hash":""}`, `{"v":1,"more":1}`, `{"v":1}{"v":1}`,
	} {
		if _, _, err := OpenVault(vk, sealUnder(vk, "vault", info.marshal(), []byte(plain))); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%q: %v", plain, err)
		}
	}
}

func TestWrap(t *testing.T) {
	code, vk := NewCode(), NewSecret()
	credential := []byte("credential id")
	prf := NewSecret()
	for name, tc := range map[string]struct {
		secret Secret
		cred   []byte
		kind   WrapKind
	}{
		"recovery": {code.RecoverySecret(), nil, WrapRecovery},
		"passkey":  {prf, credential, WrapPasskey},
	} {
		t.Run(name, func(t *testing.T) {
			b := SealWrap(tc.secret, tc.cred, vk)
			w, err := ParseWrap(b)
			if err != nil || w.Kind != tc.kind || len(b) != 101 {
				t.Fatalf("%d bytes, kind %d: %v", len(b), w.Kind, err)
			}
			got, err := OpenWrap(tc.secret, b)
			if err != nil || !got.Equal(vk) {
				t.Fatalf("does not open: %v", err)
			}
			if _, err := OpenWrap(NewSecret(), b); !errors.Is(err, latchkey.ErrVerify) {
				t.Errorf("another secret: %v", err)
			}
			for i := range b {
				bad := bytes.Clone(b)
				bad[i] ^= 3
				if _, err := OpenWrap(tc.secret, bad); err == nil {
					t.Fatalf("opens with byte %d changed", i)
				}
			}
		})
	}
}

func FuzzVaultHead(f *testing.F) {
	sealed, err := testVault().Seal(NewSecret(), 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := ParseVaultHead(b)
		if err == nil && !bytes.Equal(info.marshal(), b[:vaultHead]) {
			t.Fatal("head encodes to other bytes")
		}
	})
}

func FuzzVaultContents(f *testing.F) {
	f.Add([]byte(`{"v":1,"household":"00000000000000000000000000000000","ed":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","x":["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="],"ktag":null,"seq":1,"hash":"0000000000000000000000000000000000000000000000000000000000000000","names":{}}`))
	vk := NewSecret()
	f.Fuzz(func(t *testing.T, plain []byte) {
		v, err := parseVault(plain)
		if err != nil {
			return
		}
		sealed, err := v.Seal(vk, 1)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := OpenVault(vk, sealed)
		if err != nil || again.Signing.Kid() != v.Signing.Kid() || again.Seq != v.Seq || again.Household != v.Household {
			t.Fatalf("does not survive a round trip: %v", err)
		}
	})
}

func FuzzWrap(f *testing.F) {
	f.Add(SealWrap(NewSecret(), nil, NewSecret()))
	f.Add(SealWrap(NewSecret(), []byte("id"), NewSecret()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := ParseWrap(b); err == nil && !bytes.Equal(w.Marshal(), b) {
			t.Fatal("wrap encodes to other bytes")
		}
	})
}
