package keys

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"latchkey.dev/latchkey"
)

func TestMachineKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "home", "machine.key")
	m, err := LoadMachineKey(path)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 || st.Size() != 32 {
		t.Fatalf("file is %v, %v", st, err)
	}
	sealed, err := m.SealLocal("config", []byte("camera password"))
	if err != nil || bytes.Contains(sealed, []byte("password")) {
		t.Fatalf("sealed to %q, %v", sealed, err)
	}
	again, err := LoadMachineKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := again.OpenLocal("config", sealed); err != nil || string(plain) != "camera password" {
		t.Errorf("opens to %q, %v", plain, err)
	}
	if _, err := again.OpenLocal("other", sealed); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("opens for another purpose: %v", err)
	}
	other, err := LoadMachineKey(filepath.Join(t.TempDir(), "machine.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.OpenLocal("config", sealed); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("opens on another machine: %v", err)
	}
	for _, purpose := range []string{"", "longer than twelve"} {
		if _, err := m.SealLocal(purpose, nil); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("purpose %q: %v", purpose, err)
		}
	}
}

func TestMachineKeyRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machine.key")
	var wg sync.WaitGroup
	got := make([]MachineKey, 8)
	for i := range got {
		wg.Go(func() {
			m, err := LoadMachineKey(path)
			if err != nil {
				t.Error(err)
			}
			got[i] = m
		})
	}
	wg.Wait()
	for _, m := range got {
		if !m.k.Equal(got[0].k) {
			t.Fatal("two callers got different keys")
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestMachineKeyDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "machine.key")
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadMachineKey(path); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestIdentity(t *testing.T) {
	m := MachineKey{k: NewSecret()}
	id := NewIdentity()
	b, err := m.SealIdentity(id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.OpenIdentity(b)
	if err != nil || got.Signing.Kid() != id.Signing.Kid() || got.Sealing.Kid() != id.Sealing.Kid() {
		t.Fatalf("identity changed: %v", err)
	}
	secret := NewSecret()
	b, err = m.SealSecret("vk", secret)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := m.OpenSecret("vk", b); err != nil || !back.Equal(secret) {
		t.Errorf("secret changed: %v", err)
	}
}
