package testkit_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/part"
)

// Every vector file says what it is for.
func TestVectorsAreDocumented(t *testing.T) {
	names, err := filepath.Glob("vectors/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no vector files: %v", err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			About  string
			Fields map[string]string
		}
		if err := json.Unmarshal(b, &doc); err != nil || doc.About == "" || len(doc.Fields) == 0 {
			t.Errorf("%s has no about or fields: %v", name, err)
		}
	}
}

// Today's code reads what every release wrote.
func TestReleases(t *testing.T) {
	releases, err := filepath.Glob("releases/v*")
	if err != nil || len(releases) == 0 {
		t.Fatalf("no releases: %v", err)
	}
	for _, dir := range releases {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			state := checkChain(t, dir)
			hub := ed25519.PublicKey(read(t, dir, "hub.pub"))
			if _, ok := state.Hubs[chain.KidOf(hub)]; !ok {
				t.Error("the hub is not in the chain")
			}
			epoch := checkEpoch(t, dir, hub)
			checkParts(t, dir, epoch)
			checkRequests(t, dir, state)
			checkMagic(t, dir)
		})
	}
}

func read(t *testing.T, elem ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readNote(t *testing.T, elem ...string) chain.Note {
	t.Helper()
	raw := read(t, elem...)
	n, err := chain.ParseNote(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(n.Encode(), raw) {
		t.Errorf("%v encodes otherwise", elem)
	}
	return n
}

func checkChain(t *testing.T, dir string) chain.State {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "chain", "*.note"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no chain: %v", err)
	}
	var notes [][]byte
	for _, name := range names {
		notes = append(notes, read(t, name))
	}
	const afterAll = 1 << 40 // releases are in the past of every reader
	state, err := chain.Replay(notes, afterAll)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func checkEpoch(t *testing.T, dir string, hub ed25519.PublicKey) chain.Note {
	t.Helper()
	n := readNote(t, dir, "epoch.note")
	if err := n.Verify(hub); err != nil {
		t.Error(err)
	}
	e, err := chain.ParseEpochNote(n)
	if err != nil {
		t.Fatal(err)
	}
	heads := readNote(t, dir, "heads.note")
	if err := heads.Verify(e.Signer); err != nil {
		t.Error(err)
	}
	if h, err := chain.ParseHeads(heads); err != nil || h.Epoch != e.Epoch {
		t.Errorf("heads: %+v %v", h, err)
	}
	return n
}

func checkParts(t *testing.T, dir string, epoch chain.Note) {
	t.Helper()
	e, err := chain.ParseEpochNote(epoch)
	if err != nil {
		t.Fatal(err)
	}
	start := epoch.Hash()
	for _, name := range []string{"video.parts", "meta.parts"} {
		run, err := part.ParseAll(read(t, dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.VerifyRun(e.Signer, &start, run); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func checkRequests(t *testing.T, dir string, state chain.State) {
	t.Helper()
	n := readNote(t, dir, "login.note")
	login, err := chain.ParseLogin(n)
	if err != nil {
		t.Fatal(err)
	}
	key, _, ok := state.LoginKey(login.By)
	if !ok {
		t.Fatal("the login's key is not in the chain")
	}
	if err := n.Verify(key); err != nil {
		t.Error(err)
	}
	command := readNote(t, dir, "command.note")
	if c, err := chain.ParseCommand(command); err != nil || command.Verify(state.Members[c.By].Ed) != nil {
		t.Errorf("command: %+v %v", c, err)
	}
}

// The sealed objects are opened by the tests of keys and seal; here only their
// outside is checked.
func checkMagic(t *testing.T, dir string) {
	t.Helper()
	for name, magic := range map[string]string{
		"command.lkx": "LKX1", "capsule.lkc": "LKC1", "vault.lkv": "LKV1", "recovery.lkw": "LKW1", "offer.lko": "LKO1", "answer.lka": "LKA1",
	} {
		if b := read(t, dir, name); !bytes.HasPrefix(b, []byte(magic)) {
			t.Errorf("%s does not begin with %s", name, magic)
		}
	}
	if sig := read(t, dir, "signer.pub"); len(sig) != ed25519.PublicKeySize || bytes.Equal(sig, make([]byte, len(sig))) {
		t.Errorf("signer.pub is %x", sig)
	}
}
