package chain_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/part"
	"latchkey.dev/latchkey/testkit"
)

// peer is one Node process that runs the TypeScript client's chain.
type peer struct {
	in  *json.Encoder
	out *bufio.Scanner
}

type question struct {
	Op   string   `json:"op"`
	Raw  string   `json:"raw,omitempty"`
	Now  int64    `json:"now,omitempty"`
	Kids []string `json:"kids,omitempty"`
	Text string   `json:"text,omitempty"`
}

type reply struct {
	OK  bool
	Out string
	Why string
}

// startPeer needs Node and web/node_modules; without them the test is skipped,
// except in CI.
func startPeer(t *testing.T) *peer {
	t.Helper()
	web, err := filepath.Abs("../web")
	if err != nil {
		t.Fatal(err)
	}
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(web, "node_modules", "vite"))
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the other language is missing: %v", err)
		}
		t.Skipf("the other language is missing: %v", err)
	}
	const run = `import { runnerImport } from 'vite';
const { module } = await runnerImport('./src/crypto/differ.ts', { root: process.cwd(), configFile: false, logLevel: 'error' });
await module.serve();
process.exit(0);`
	cmd := exec.Command(node, "--input-type=module", "-e", run)
	cmd.Dir = web
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &peer{in: json.NewEncoder(stdin), out: bufio.NewScanner(stdout)}
	p.out.Buffer(nil, 64<<20)
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("node: %v\n%s", err, stderr)
		}
	})
	return p
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

func (p *peer) ask(t fataler, q question) reply {
	t.Helper()
	if err := p.in.Encode(q); err != nil {
		t.Fatalf("ask %s: %v", q.Op, err)
	}
	if !p.out.Scan() {
		t.Fatalf("no answer to %+v: %v", q, p.out.Err())
	}
	var r reply
	if err := json.Unmarshal(p.out.Bytes(), &r); err != nil {
		t.Fatalf("answer to %s: %v", q.Op, err)
	}
	return r
}

// agree asks the same of TypeScript and compares: both take it and come to the
// same, or both refuse it.
func (p *peer) agree(t fataler, q question, err error, out string) {
	t.Helper()
	r := p.ask(t, q)
	if r.OK != (err == nil) || err == nil && r.Out != out {
		raw, _ := hex.DecodeString(q.Raw)
		t.Fatalf("%s of %q %s %v:\nGo: %v\n%s\nTypeScript: %v %s\n%s", q.Op, raw, q.Text, q.Kids, err, out, r.OK, r.Why, r.Out)
	}
}

// Go and TypeScript take the same notes, parts and chains, and come to the same
// state. LATCHKEY_DIFF is how many minutes to look for a difference; without it
// a look is short.
func TestDifferential(t *testing.T) {
	p := startPeer(t)
	seeds := differentialSeeds(t)
	until := time.Now()
	if v := os.Getenv("LATCHKEY_DIFF"); v != "" {
		minutes, err := strconv.ParseFloat(v, 64)
		if err != nil {
			t.Fatalf("LATCHKEY_DIFF: %v", err)
		}
		until = until.Add(time.Duration(minutes * float64(time.Minute)))
	}
	t.Run("seeds", func(t *testing.T) {
		for _, raw := range seeds.notes {
			p.compareNote(t, raw)
		}
		for _, raw := range seeds.parts {
			p.compareParts(t, raw)
		}
	})
	first := uint64(time.Now().UnixNano())
	if v := os.Getenv("LATCHKEY_DIFF_SEED"); v != "" {
		var err error
		if first, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("LATCHKEY_DIFF_SEED: %v", err)
		}
	}
	rounds := uint64(0)
	for ; rounds < 30 || time.Now().Before(until); rounds++ {
		d := evenDice{t, rand.New(rand.NewPCG(first+rounds, 0)), first + rounds}
		p.chain(d)
		for range 20 {
			p.bytes(d, seeds)
		}
	}
	t.Logf("%d chains from seed %d on: no difference", rounds, first)
}

// evenDice fail with the seed that they were thrown with.
type evenDice struct {
	t    *testing.T
	r    *rand.Rand
	seed uint64
}

func (d evenDice) roll(n int, _ string) int { return d.r.IntN(n) }
func (d evenDice) Helper()                  { d.t.Helper() }
func (d evenDice) Fatal(args ...any)        { d.Fatalf("%s", fmt.Sprint(args...)) }
func (d evenDice) Fatalf(format string, args ...any) {
	d.t.Helper()
	d.t.Fatalf("LATCHKEY_DIFF_SEED=%d: "+format, append([]any{d.seed}, args...)...)
}

// compareNote runs container, layout and values of a note.
func (p *peer) compareNote(t fataler, raw []byte) {
	t.Helper()
	n, err := chain.ParseNote(raw)
	if err == nil {
		err = parseValues(n)
	}
	p.agree(t, question{Op: "note", Raw: hex.EncodeToString(raw)}, err, hex.EncodeToString(n.Text))
}

func (p *peer) compareParts(t fataler, raw []byte) {
	t.Helper()
	parts, err := part.ParseAll(raw)
	var headers []string
	for _, one := range parts {
		headers = append(headers, hex.EncodeToString(one.Header.AppendTo(nil)))
	}
	p.agree(t, question{Op: "parts", Raw: hex.EncodeToString(raw)}, err, strings.Join(headers, "\n"))
}

func (p *peer) compareVerify(t fataler, raw, key []byte) {
	t.Helper()
	n, err := chain.ParseNote(raw)
	if err == nil {
		err = parseValues(n)
	}
	if err == nil {
		err = n.Verify(key)
	}
	p.agree(t, question{Op: "verify", Raw: hex.EncodeToString(raw), Text: hex.EncodeToString(key)}, err, "")
}

func (p *peer) compareVKey(t fataler, text string) {
	t.Helper()
	name, key, err := chain.ParseVKey(text)
	again := ""
	if name == "lk."+chain.KidOf(key).String() {
		again = chain.VKey(name, key)
	}
	p.agree(t, question{Op: "vkey", Text: text}, err, fmt.Sprintf("%s %x %s", name, []byte(key), again))
}

// chain walks both languages along one random chain with an overlay beside it.
func (p *peer) chain(t evenDice) {
	p.ask(t, question{Op: "reset"})
	c := newCast()
	d := differ{t: t, p: p, c: c}
	d.apply(c.genesis(t))
	_, opening := c.open(t, d.s)
	for _, n := range opening {
		d.apply(n)
	}
	for range 10 + t.roll(50, "steps") {
		switch t.roll(10, "step") {
		case 0, 1:
			d.early(c.removal(t, d.s))
		case 2:
			d.settle()
		case 3:
			d.fit()
		case 4:
			d.directory()
		case 5:
			d.damaged(c.draw(t, d.s))
		default:
			d.apply(c.draw(t, d.s))
		}
		checkState(t, d.s.Under(d.o))
		checkFewer(t, d.s, d.s.Under(d.o))
	}
}

// differ is one walk.
type differ struct {
	t evenDice
	p *peer
	c cast
	s chain.State
	o chain.Overlay
}

func (d *differ) apply(n chain.Note) {
	next, err := chain.Apply(d.s, n, testNow)
	out := ""
	if err == nil {
		checkReturns(d.t, d.s, next, d.o)
		d.s = next
		out = dump(d.s) + dump(d.s.Under(d.o))
	}
	d.p.agree(d.t, question{Op: "apply", Raw: hex.EncodeToString(n.Raw), Now: testNow}, err, out)
}

func (d *differ) overlay() string {
	var b strings.Builder
	for _, n := range d.o.Notes() {
		fmt.Fprintf(&b, "%x\n", n)
	}
	return b.String() + dump(d.s.Under(d.o))
}

func (d *differ) early(n chain.Note) {
	next, err := d.o.Add(d.s, n, testNow)
	if err == nil {
		d.o = next
	}
	d.p.agree(d.t, question{Op: "early", Raw: hex.EncodeToString(n.Raw), Now: testNow}, err, d.overlay())
}

func (d *differ) settle() {
	o, err := chain.ParseOverlay(d.o.Settle(d.s).Notes())
	if err != nil {
		d.t.Fatal(err)
	}
	d.o = o
	d.p.agree(d.t, question{Op: "settle"}, nil, d.overlay())
}

func (d *differ) fit() {
	var kids []latchkey.Kid
	var words []string
	for range d.t.roll(5, "seal lines") {
		kid := chain.KidOf(anyOf(d.t, "sealed to", d.c.people).x)
		kids, words = append(kids, kid), append(words, kid.String())
	}
	left, err := chain.RecipientsFit(kids, d.s, d.s.Time)
	d.p.agree(d.t, question{Op: "fit", Kids: words}, err, hexes(left))
}

func (d *differ) directory() {
	by, signer := anyOf(d.t, "names them", d.c.people), d.c.signer(d.t, d.s)
	if d.t.roll(2, "signs himself") == 0 {
		by.ed = signer
	}
	text, err := chain.Directory{Household: d.s.Household, By: by.kid(), N: 1, Names: chain.Names{Household: anyOf(d.t, "name", words())}}.Text()
	if err != nil {
		return
	}
	raw := chain.SignNote(text, signer)
	n, err := chain.ParseNote(raw)
	out := ""
	if err == nil {
		var got chain.Directory
		got, err = chain.OpenDirectory(n, d.s)
		out = got.By.String()
	}
	d.p.agree(d.t, question{Op: "directory", Raw: hex.EncodeToString(raw)}, err, out)
}

// damaged applies a statement with one thing wrong, signed again or not.
func (d *differ) damaged(n chain.Note) {
	text := mutated(d.t, n.Text)
	raw := mutated(d.t, n.Raw)
	if d.t.roll(2, "signed again") == 0 {
		raw = n.Raw
		for _, one := range d.c.people {
			for _, key := range []seedSigner{one.ed, one.recovery} {
				if bytes.Contains(n.Raw, []byte("lk."+chain.KidOf(key.Public()).String())) {
					raw = chain.SignNote(text, key)
				}
			}
		}
	}
	d.p.compareNote(d.t, raw)
	if again, err := chain.ParseNote(raw); err == nil {
		d.apply(again)
	}
}

// seeds are the notes and parts that mutations begin with.
type seeds struct {
	notes, parts [][]byte
	signer       seedSigner
}

// bytes compares one mutated note, part or key.
func (p *peer) bytes(t evenDice, s seeds) {
	switch t.roll(6, "kind") {
	case 0:
		p.compareParts(t, mutated(t, anyOf(t, "part", s.parts)))
	case 1:
		raw := anyOf(t, "note", s.notes)
		p.compareVerify(t, mutated(t, raw), s.signer.Public())
	case 2:
		key := s.signer.Public()
		vkey := chain.VKey("lk."+chain.KidOf(key).String(), key)
		if text := string(mutated(t, []byte(vkey))); !strings.ContainsRune(text, '\uFFFD') {
			p.compareVKey(t, strings.ToValidUTF8(text, ""))
		}
	case 3:
		p.compareNote(t, mutated(t, anyOf(t, "note", s.notes)))
	default:
		raw := anyOf(t, "note", s.notes)
		at := bytes.LastIndex(raw, []byte("\n\n"))
		if at < 0 {
			at = len(raw) - 1
		}
		signed := chain.SignNote(mutated(t, raw[:at+1]), s.signer)
		p.compareNote(t, signed)
		p.compareVerify(t, signed, s.signer.Public())
	}
}

// differentialSeeds are the notes and parts of all vectors, good and bad.
func differentialSeeds(t *testing.T) seeds {
	t.Helper()
	s := seeds{signer: newSigner(seedOf("differential"))}
	note := func(raw string) { s.notes = append(s.notes, []byte(raw)) }
	var statements testkit.Statements
	testkit.Load(t, "statements", &statements)
	for _, v := range statements.Chain {
		note(v.Note)
	}
	for _, v := range statements.Reject {
		note(v.Note)
	}
	note(statements.Grant.Note)
	var notes testkit.Notes
	testkit.Load(t, "notes", &notes)
	note(notes.Valid.Note)
	note(notes.Extra)
	for _, v := range notes.Forged {
		note(v.Note)
	}
	for _, v := range notes.Rejects {
		note(string(v.Bytes))
	}
	var epoch testkit.Epoch
	testkit.Load(t, "epoch", &epoch)
	var heads testkit.Heads
	testkit.Load(t, "heads", &heads)
	var login testkit.Login
	testkit.Load(t, "login", &login)
	var command testkit.Command
	testkit.Load(t, "command", &command)
	var directory testkit.Directory
	testkit.Load(t, "directory", &directory)
	for _, v := range []testkit.NoteVector{epoch.Note, epoch.First, heads.Note, login.Note, command.Note, directory.Note} {
		note(v.Note)
	}
	for _, list := range [][]testkit.RejectedNote{epoch.Rejects, heads.Rejects, login.Rejects, command.Rejects, directory.Rejects, directory.Refused} {
		for _, v := range list {
			note(v.Note)
		}
	}
	var run testkit.Run
	testkit.Load(t, "run", &run)
	for _, track := range run.Tracks {
		var all []byte
		for _, one := range track.Parts {
			s.parts, all = append(s.parts, one.Part), append(all, one.Part...)
		}
		s.parts = append(s.parts, all)
	}
	var parts testkit.PartBytes
	testkit.Load(t, "part", &parts)
	s.parts = append(s.parts, parts.Valid)
	for _, v := range parts.Rejects {
		s.parts = append(s.parts, v.Bytes)
	}
	return s
}
