package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/ledger"
)

// types runs a command of the home's person and returns its exit code.
func types(t *testing.T, home string, into any, args ...string) (int, string) {
	t.Helper()
	var out, words bytes.Buffer
	code := run(t.Context(), args, stdio{in: strings.NewReader(""), out: &out, err: &words, env: func(key string) string {
		if key == "LATCHKEY_HOME" {
			return home
		}
		return ""
	}})
	if into != nil && code == exitDone {
		if err := json.Unmarshal(out.Bytes(), into); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out.String())
		}
	}
	return code, out.String() + words.String()
}

func TestLedger(t *testing.T) {
	d := startHouse(t)
	bob := join(t, d.client, d.server, member.NewMember{Name: "Bob"}, "Bob")
	bob.client.Close()
	var state struct {
		State      string
		Statements int
		Pending    int
		Complete   time.Time `json:"complete_until"`
		Seq        uint64    `json:"complete_seq"`
		Witnessed  bool
	}
	code, words := types(t, bob.home, &state, "ledger", "verify", "--json")
	if code != exitDone || state.State != "complete" || state.Statements < 2 || state.Seq != uint64(state.Statements-1) || state.Pending != 0 || time.Since(state.Complete) > time.Minute {
		t.Fatalf("exit %d, %+v\n%s", code, state, words)
	}
	if !strings.Contains(words, "Not protected: nobody but the operator watches this log") {
		t.Errorf("a log without witnesses is called verified, and nothing else is said:\n%s", words)
	}
	var house struct {
		Program struct{ Tier int }
		Proof   struct {
			State    string
			Complete time.Time `json:"complete_until"`
			Seq      uint64    `json:"complete_seq"`
		}
	}
	if code, words := types(t, bob.home, &house, "household", "show", "--json"); code != exitDone || house.Program.Tier != 1 || house.Proof.State != "complete" || house.Proof.Seq != state.Seq || time.Since(house.Proof.Complete) > time.Minute {
		t.Errorf("household show: exit %d, %+v\n%s", code, house, words)
	}
	if code, words := types(t, bob.home, nil, "household", "show"); code != exitDone || !strings.Contains(words, "complete and verified up to ") {
		t.Errorf("household show: exit %d: %s", code, words)
	}
	var list struct {
		Statements []struct {
			Seq   uint64
			Words string
			Leaf  *int64
			Proof string
		}
	}
	if code, words := types(t, bob.home, &list, "ledger", "list", "--json"); code != exitDone || len(list.Statements) != state.Statements {
		t.Fatalf("exit %d: %s", code, words)
	}
	for _, s := range list.Statements {
		if _, err := ledger.ParseProof([]byte(s.Proof)); s.Leaf == nil || err != nil {
			t.Errorf("statement %d: leaf %v, %v", s.Seq, s.Leaf, err)
		}
	}
	if code, words := types(t, bob.home, nil, "ledger", "list"); code != exitDone || !strings.Contains(words, "founded the household") || !strings.Contains(words, "Bob is a member") {
		t.Errorf("exit %d: %s", code, words)
	}
	if code, words := types(t, bob.home, nil, "ledger", "verify"); code != exitDone || !strings.Contains(words, "Complete and verified up to ") {
		t.Errorf("exit %d: %s", code, words)
	}
}

// TestC12ServerLiesAboutTheLog: each lie alone is found out, and exits with 4.
func TestC12ServerLiesAboutTheLog(t *testing.T) {
	d, elsewhere := startHouse(t), startHouse(t)
	l := newLiar(t, d.server)
	bob := join(t, d.client, l.URL, member.NewMember{Name: "Bob"}, "Bob")
	look := func(what lie) error {
		l.tell(t, what)
		_, err := reopen(t, bob).Ledger(t.Context(), 2*time.Second, false)
		return err
	}
	for end := time.Now().Add(time.Minute); ; {
		l.tell(t, lie{})
		r, err := reopen(t, bob).Ledger(t.Context(), 20*time.Second, false)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Complete.IsZero() && r.Pending() == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no proof")
		}
	}
	name := logName(t, d)
	other := logFile(t, elsewhere, "checkpoint")
	var old []byte
	keep := func(b []byte) []byte { old = b; return b }
	if err := look(lie{file: map[string]func([]byte) []byte{name + "/checkpoint": keep}}); err != nil {
		t.Fatal(err)
	}
	var oldProof *latchkeyv1.GetCompletenessResponse
	if err := look(lie{answer: one("GetCompleteness", func(body []byte) proto.Message {
		oldProof = decode(body, &latchkeyv1.GetCompletenessResponse{})
		return oldProof
	})}); err != nil {
		t.Fatal(err)
	}
	grown := lie{}
	l.tell(t, grown)
	if err := d.client.RenameMember(t.Context(), "Bob", "Robert"); err != nil { // no statement: the chain stays
		t.Fatal(err)
	}
	cem := join(t, d.client, d.server, member.NewMember{Name: "Cem"}, "Cem")
	cem.client.Close()
	eventually(t, "the log has grown", func() bool {
		r, err := reopen(t, cem).Ledger(t.Context(), 0, false)
		return err == nil && r.Pending() == 0 && r.CompleteSeq+1 == uint64(len(r.Statements))
	})
	if err := look(lie{}); err != nil {
		t.Fatal(err)
	}
	for what, lie := range map[string]lie{
		"another log":        {file: map[string]func([]byte) []byte{name + "/checkpoint": func([]byte) []byte { return other }}},
		"a log that shrank":  {file: map[string]func([]byte) []byte{name + "/checkpoint": func([]byte) []byte { return old }}},
		"another policy":     {file: map[string]func([]byte) []byte{"policy": func(b []byte) []byte { return append(b, "# new friends\n"...) }}},
		"changed tiles":      {file: map[string]func([]byte) []byte{name + "/tile/0/000.p/" + sizeOf(t, d): flipFirst}},
		"another place":      {answer: one("GetLeaves", func(b []byte) proto.Message { m := decode(b, &latchkeyv1.GetLeavesResponse{}); m.Leaves[0]++; return m })},
		"another log's name": {answer: one("GetLeaves", func(b []byte) proto.Message { m := decode(b, &latchkeyv1.GetLeavesResponse{}); m.Log = "x"; return m })},
		"a proof that is none": {answer: one("GetCompleteness", func(b []byte) proto.Message {
			m := decode(b, &latchkeyv1.GetCompletenessResponse{})
			m.Proof[len(m.Proof)/2] ^= 1
			return m
		})},
	} {
		if err := look(lie); !errors.Is(err, latchkey.ErrVerify) && !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Another policy is taken when somebody says so, and then the old one is another.
	l.tell(t, lie{file: map[string]func([]byte) []byte{"policy": func(b []byte) []byte { return append(b, "# new friends\n"...) }}})
	if code, words := types(t, bob.home, nil, "ledger", "verify"); code != exitVerify || !strings.Contains(words, "--accept-policy") {
		t.Errorf("another policy: exit %d: %s", code, words)
	}
	if code, words := types(t, bob.home, nil, "ledger", "verify", "--accept-policy"); code != exitDone {
		t.Errorf("another policy, accepted: exit %d: %s", code, words)
	}
	if err := look(lie{}); !errors.Is(err, member.ErrOtherPolicy) {
		t.Errorf("back to the old policy: %v", err)
	}
	if _, err := reopen(t, bob).Ledger(t.Context(), 0, true); err != nil {
		t.Error(err)
	}
	// An older proof proves less, and is no lie.
	if err := look(lie{answer: one("GetCompleteness", func([]byte) proto.Message { return oldProof })}); err != nil {
		t.Errorf("an older proof: %v", err)
	}
}

// TestPolicyIsPinnedAtFounding: genesis names operator and log, the vault carries
// the whole policy; nobody is led to another one, not even who says yes to it.
func TestPolicyIsPinnedAtFounding(t *testing.T) {
	d, elsewhere := startHouse(t), startHouse(t)
	stranger := func([]byte) []byte { return httpGet(t, elsewhere.server+"/log/policy") }
	l := newLiar(t, d.server)
	bob := join(t, d.client, l.URL, member.NewMember{Name: "Bob"}, "Bob")
	if _, err := reopen(t, bob).Ledger(t.Context(), 0, false); err != nil {
		t.Fatal(err)
	}
	l.tell(t, lie{file: map[string]func([]byte) []byte{"policy": stranger}})
	if code, words := types(t, bob.home, nil, "ledger", "verify", "--accept-policy"); code != exitVerify || !strings.Contains(words, "another operator or another public log") {
		t.Errorf("another operator is accepted: exit %d: %s", code, words)
	}
	// Who comes back with the code on a new machine has the policy from the vault.
	l.tell(t, lie{file: map[string]func([]byte) []byte{"policy": func(b []byte) []byte { return append(b, "# new friends\n"...) }}})
	again, err := member.Recover(t.Context(), member.Options{Home: t.TempDir()}, member.Recovery{Server: l.URL, Code: bob.code, Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.Ledger(t.Context(), 0, false); !errors.Is(err, member.ErrOtherPolicy) {
		t.Errorf("a new machine, other watchers: %v", err)
	}
}

// TestC12ServerKeepsAStatementBack: the log has it, and the server hides it from a
// member (claim C12).
func TestC12ServerKeepsAStatementBack(t *testing.T) {
	d := startHouse(t)
	l := newLiar(t, d.server)
	bob := join(t, d.client, l.URL, member.NewMember{Name: "Bob"}, "Bob")
	bob.client.Close()
	var frozen uint64
	l.tell(t, lie{})
	r, err := reopen(t, bob).Ledger(t.Context(), 20*time.Second, false)
	if err != nil {
		t.Fatal(err)
	}
	frozen = uint64(len(r.Statements))
	join(t, d.client, d.server, member.NewMember{Name: "Cem"}, "Cem").client.Close()
	l.tell(t, lie{answer: one("GetChain", func(b []byte) proto.Message {
		m := decode(b, &latchkeyv1.GetChainResponse{})
		if n := len(m.Notes); n > 1 { // the last one known is asked for again
			m.Notes = m.Notes[:1]
		}
		return m
	})})
	eventually(t, "the kept-back statement is found out", func() bool {
		r, err := reopen(t, bob).Ledger(t.Context(), 0, false)
		if err == nil && uint64(len(r.Statements)) != frozen {
			t.Fatal("it was not kept back")
		}
		return errors.Is(err, latchkey.ErrVerify) && strings.Contains(err.Error(), "keeps statements back")
	})
	if code, words := types(t, bob.home, nil, "ledger", "verify"); code != exitVerify || !strings.Contains(words, "Do not trust what this server shows") {
		t.Errorf("exit %d: %s", code, words)
	}
	if code, words := types(t, bob.home, nil, "household", "show"); code != exitVerify || !strings.Contains(words, "BROKEN: ") {
		t.Errorf("household show: exit %d: %s", code, words)
	}
}

// TestWatchersNeedAName: a key without a name could not be read again.
func TestWatchersNeedAName(t *testing.T) {
	for _, args := range [][]string{
		{"witness", "--listen", "127.0.0.1:0"}, {"audit", "http://127.0.0.1:1", "--once"}, {"witness", "--listen", "127.0.0.1:0", "--name", "two words"},
	} {
		dir := t.TempDir()
		code, words := types(t, t.TempDir(), nil, append(args, "--dir", dir)...)
		if left, err := os.ReadDir(dir); code != exitFailed || !strings.Contains(words, "--name at the first start") || err != nil || len(left) > 0 {
			t.Errorf("%v: exit %d, %d files, %s", args, code, len(left), words)
		}
	}
}

func flipFirst(b []byte) []byte {
	b = bytes.Clone(b)
	b[0] ^= 1
	return b
}

func logName(t *testing.T, d *demo) string {
	t.Helper()
	p, err := ledger.ParsePolicy(string(httpGet(t, d.server+"/log/policy")))
	if err != nil {
		t.Fatal(err)
	}
	return p.Origin()[strings.LastIndexByte(p.Origin(), '/')+1:]
}

func logFile(t *testing.T, d *demo, name string) []byte {
	t.Helper()
	return httpGet(t, d.server+"/log/"+logName(t, d)+"/"+name)
}

// sizeOf is the size of the log, as a checkpoint writes it.
func sizeOf(t *testing.T, d *demo) string {
	t.Helper()
	return strings.Split(string(logFile(t, d, "checkpoint")), "\n")[1]
}

func httpGet(t *testing.T, url string) []byte {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%s: %s, %v", url, res.Status, err)
	}
	return b
}
