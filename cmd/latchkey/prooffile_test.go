package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/internal/signkey"
	"latchkey.dev/latchkey/internal/watch"
	"latchkey.dev/latchkey/ledger"
)

// proofFound is what `ledger verify FILE --json` says.
type proofFound struct {
	OK       bool
	Kind     string
	Problems []string
	Seq      uint64
	Words    string
	Entry    *int64
	Complete *string `json:"complete_until"`
	Given    bool    `json:"given_policy"`
}

// saved is a house whose proofs lie in files, and whose server is gone.
type saved struct {
	home, dir     string // of Bob's keys; of the files
	whole, single string // of all statements; of the one about Bob
	policy        string
	key           signkey.Key // the log's own
}

func saveProofs(t *testing.T) saved {
	t.Helper()
	d := startHouse(t)
	bob := join(t, d.client, d.server, member.NewMember{Name: "Bob"}, "Bob")
	bob.client.Close()
	dir := t.TempDir()
	s := saved{home: bob.home, dir: dir, whole: filepath.Join(dir, "completeness.txt"), single: filepath.Join(dir, "bob.txt"), policy: filepath.Join(dir, "policy")}
	var of struct{ Seq uint64 }
	if code, words := types(t, s.home, &of, "ledger", "proof", "-o", s.whole, "--json"); code != exitDone || of.Seq != 1 {
		t.Fatalf("exit %d, %+v: %s", code, of, words)
	}
	if code, words := types(t, s.home, nil, "ledger", "proof", "1", "-o", s.single); code != exitDone || !strings.Contains(words, "statement 1 stands in the public log") {
		t.Fatalf("exit %d: %s", code, words)
	}
	if code, words := types(t, s.home, nil, "ledger", "proof", "9", "-o", filepath.Join(dir, "none")); code != exitFailed || !strings.Contains(words, "there is no statement 9") {
		t.Errorf("a statement that is not there: exit %d: %s", code, words)
	}
	if err := os.WriteFile(s.policy, httpGet(t, d.server+"/log/policy"), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.key, err = signkey.Read(filepath.Join(d.dir, "cloud", "log", "log.key")); err != nil {
		t.Fatal(err)
	}
	d.stop()
	return s
}

func TestSavedProofs(t *testing.T) {
	s := saveProofs(t)
	for _, c := range []struct {
		what string
		args []string
		says []string
	}{
		{"all", []string{s.whole}, []string{"Complete up to ", "statements 0 to 1 are all", "Bob is a member", "nobody but the log's operator vouches", "Not protected"}},
		{"one", []string{s.single}, []string{"Statement 1, of ", "Bob is a member", "at entry "}},
		{"all, under a policy that is named", []string{s.whole, "--policy", s.policy}, []string{"Complete up to "}},
	} {
		code, words := types(t, s.home, nil, append([]string{"ledger", "verify"}, c.args...)...)
		for _, say := range c.says {
			if code != exitDone || !strings.Contains(words, say) {
				t.Errorf("%s: exit %d, want %q: %s", c.what, code, say, words)
			}
		}
	}
	var got proofFound
	if code, words := types(t, s.home, &got, "ledger", "verify", s.whole, "--json"); code != exitDone || !got.OK || got.Kind != "completeness" || got.Seq != 1 || got.Complete == nil || got.Given {
		t.Errorf("exit %d, %+v: %s", code, got, words)
	}
	if code, words := types(t, s.home, &got, "ledger", "verify", s.single, "--policy", s.policy, "--json"); code != exitDone || !got.OK || got.Kind != "statement" || got.Entry == nil || got.Words != "Bob is a member" || !got.Given {
		t.Errorf("exit %d, %+v: %s", code, got, words)
	}
	for what, args := range map[string][]string{
		"a policy and no file":            {"--policy", s.policy},
		"other watchers and a file":       {s.whole, "--accept-policy"},
		"a file that is not there":        {filepath.Join(s.dir, "gone")},
		"a policy file that is not there": {s.whole, "--policy", filepath.Join(s.dir, "gone")},
	} {
		if code, words := types(t, s.home, nil, append([]string{"ledger", "verify"}, args...)...); code != exitUsage {
			t.Errorf("%s: exit %d: %s", what, code, words)
		}
	}
}

// TestForgedProofs: whatever is changed in a saved proof, it proves nothing.
func TestForgedProofs(t *testing.T) {
	s := saveProofs(t)
	path := filepath.Join(s.dir, "forged")
	refused := func(what, says string, file []byte, args ...string) {
		t.Helper()
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		code, words := types(t, s.home, nil, append([]string{"ledger", "verify", path}, args...)...)
		if code != exitVerify || !strings.Contains(words, says) || strings.Contains(words, "Complete up to") {
			t.Errorf("%s: exit %d, want %q: %s", what, code, says, words)
		}
	}
	for _, name := range []string{s.whole, s.single} {
		file := readWhole(t, name)
		for at := 0; at < len(file); at += 7 { // every field, and the words between them
			line := file[bytes.LastIndexByte(file[:at], '\n')+1:]
			if bytes.HasPrefix(line, []byte("— ")) && at+1 < len(file) && file[at+1] == '=' {
				continue // the spare bits of a signature line's last digit are nobody's
			}
			refused(fmt.Sprintf("byte %d of %s", at, filepath.Base(name)), "", flip(file, at))
		}
		refused("cut short", "", file[:len(file)-1])
	}
	refused("nothing", "is no proof of the public log", nil)
	whole, err := ledger.ParseCompleteness(readWhole(t, s.whole))
	if err != nil {
		t.Fatal(err)
	}
	earlier := whole
	earlier.Seq--
	refused("an earlier end", "FAILS: ", earlier.Encode())
	later := whole
	later.Seq++
	refused("a later end than this machine has seen", "this machine has seen statements only up to 1", later.Encode())
	swapped := whole
	swapped.Present, swapped.Absent = whole.Absent, whole.Present
	hidden := whole
	hidden.Seq, hidden.Absent = 0, whole.Present // the newest statement as the one that is not there
	refused("with the newest statement kept back", "statement 1 is in the log as well: it was kept back", hidden.Encode())
	if !bytes.Equal(swapped.Encode(), whole.Encode()) { // in a set so small, one path may show both
		refused("two proofs in each other's place", "FAILS: ", swapped.Encode())
	}

	elsewhere := saveProofs(t)
	refused("of another household, on another server", "FAILS: ", readWhole(t, elsewhere.whole))
	refused("one statement of another household", "FAILS: ", readWhole(t, elsewhere.single))
	refused("under the policy of another server", "another operator or another public log", whole.Encode(), "--policy", elsewhere.policy)
	refused("under a policy with a witness who has not signed", "FAILS: ", whole.Encode(), "--policy", withWitness(t, s))
	refused("of a fork, signed by the log itself", "the log forked", forkedProof(t, s))
}

// forkedProof proves the statement about Bob in a log of the same size, signed
// by the log's own key, that is another one all the same.
func forkedProof(t *testing.T, s saved) []byte {
	t.Helper()
	policy, err := ledger.ParsePolicy(string(readWhole(t, s.policy)))
	if err != nil {
		t.Fatal(err)
	}
	raw := readWhole(t, s.single)
	proof, err := ledger.ParseProof(raw)
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := policy.Checkpoint(proof.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	c, err := member.Open(member.Options{Home: s.home})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.VerifyProof(raw, "")
	if err != nil {
		t.Fatal(err)
	}
	entry := ledger.Entry{Tag: [ledger.TagSize]byte(proof.Extra), Value: r.Statement.Hash}
	var log hashes
	for i := range checkpoint.Size {
		record := []byte(fmt.Sprintf("another entry %d", i))
		if i == proof.Index {
			record = entry.Encode()
		}
		more, err := tlog.StoredHashes(i, record, &log)
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, more...)
	}
	root, err := tlog.TreeHash(checkpoint.Size, &log)
	if err != nil {
		t.Fatal(err)
	}
	path, err := tlog.ProveRecord(checkpoint.Size, proof.Index, &log)
	if err != nil {
		t.Fatal(err)
	}
	proof.Hashes = nil
	for _, h := range path {
		proof.Hashes = append(proof.Hashes, latchkey.Hash(h))
	}
	signer, err := s.key.Signer()
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", checkpoint.Origin, checkpoint.Size, latchkey.B64(root[:]))
	if proof.Checkpoint, err = note.Sign(&note.Note{Text: text}, signer); err != nil {
		t.Fatal(err)
	}
	return proof.Encode()
}

// withWitness is a file of the policy that this log has, watched by one more.
func withWitness(t *testing.T, s saved) string {
	t.Helper()
	w, err := watch.OpenWitness(durable.Disk{}, t.TempDir(), "anna.example")
	if err != nil {
		t.Fatal(err)
	}
	policy := strings.Replace(string(readWhole(t, s.policy)), "quorum none", "witness anna "+w.VKey()+"\nquorum anna", 1)
	path := filepath.Join(s.dir, "watched")
	if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

type hashes []tlog.Hash

func (h *hashes) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, j := range at {
		out[i] = (*h)[j]
	}
	return out, nil
}

func readWhole(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}
