package keys

import (
	"bytes"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/testkit"
)

// The second key: masks, their sealing to a hub, and what a hub releases.
func TestMaskVectors(t *testing.T) {
	var v testkit.Desk
	testkit.Load(t, "desk", &v)
	household, grant := latchkey.HouseholdID(v.Household), latchkey.GrantID(v.Grant)
	box := func(name string) *Sealing {
		seed, err := SecretFrom(v.Seeds[name])
		if err != nil {
			t.Fatal(err)
		}
		s, err := SealingFromSeed(seed)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	hub, agent := box("hub x"), box("agent x")
	m, err := hub.OpenMask(household, grant, v.SealedMask)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := agent.OpenReleased(household, grant, v.Released)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Entries) == 0 {
		t.Fatal("no entries in the vector file")
	}
	for i, e := range v.Entries {
		key := [SecretSize]byte(e.Key)
		if m.Cover(&key, e.Name); !bytes.Equal(key[:], e.Masked) {
			t.Errorf("entry %d is masked as %x, want %x", i, key, e.Masked)
		}
		if at := 2 + i*(len(e.Name)+SecretSize); !bytes.Equal(plain[at:at+len(e.Name)+SecretSize], append(bytes.Clone(e.Name), e.Mask...)) {
			t.Errorf("entry %d is released as another", i)
		}
	}
	if again, err := m.Seal(household, grant, v.HubX); err != nil {
		t.Error(err)
	} else if _, err := hub.OpenMask(household, grant, again); err != nil {
		t.Error(err)
	}
	for _, r := range v.BadMask {
		if _, err := hub.OpenMask(household, grant, r.Bytes); err == nil {
			t.Errorf("mask: %s opens", r.Name)
		}
	}
	for _, r := range v.BadReleased {
		if _, err := agent.OpenReleased(household, grant, r.Bytes); err == nil {
			t.Errorf("released: %s opens", r.Name)
		}
	}
	other := latchkey.GrantID{1}
	if _, err := hub.OpenMask(household, other, v.SealedMask); err == nil {
		t.Error("the mask opens for another grant")
	}
	if _, err := agent.OpenReleased(latchkey.HouseholdID{1}, grant, v.Released); err == nil {
		t.Error("what was released opens in another household")
	}
	if _, err := agent.OpenMask(household, grant, v.SealedMask); err == nil {
		t.Error("the mask opens for the agent")
	}
}
