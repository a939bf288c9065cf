package member

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"latchkey.dev/latchkey/testkit"
)

// evidenceSteps are the steps of a check by the names that vectors give them.
var evidenceSteps = map[string]string{
	"facts": "what the file says of itself", "chain": "the chain of the household", "log": "the public log",
	"epochs": "the epochs", "keys": "the keys", "footage": "the footage", "time": "the time",
}

// TestEvidenceVectors: every change to a file of evidence is found in the step
// that the vectors name, by this reader as by the page's.
func TestEvidenceVectors(t *testing.T) {
	var v testkit.Evidence
	testkit.Load(t, "evidence", &v)
	for _, c := range v.Cases {
		t.Run(c.Name, func(t *testing.T) {
			raw, err := v.Make(c)
			if err != nil {
				t.Fatal(err)
			}
			r, err := VerifyEvidence(t.Context(), bytes.NewReader(raw), int64(len(raw)), c.Policy)
			if got := evidenceFound(r, err); !sameWant(got, c.Want) {
				t.Errorf("found\n%+v, want\n%+v\n%v, %v", got, c.Want, r.Problems, err)
			}
		})
	}
}

func sameWant(a, b testkit.EvidenceWant) bool {
	same := slices.Equal(a.Failed, b.Failed) && slices.Equal(a.Gaps, b.Gaps)
	a.Failed, b.Failed, a.Gaps, b.Gaps = nil, nil, nil, nil
	return same && a.Invalid == b.Invalid && a.Parts == b.Parts && a.Pictures == b.Pictures && a.Logged == b.Logged && a.After == b.After && a.Before == b.Before
}

// evidenceFound is a report in the form of the vectors.
func evidenceFound(r EvidenceReport, err error) testkit.EvidenceWant {
	if err != nil {
		return testkit.EvidenceWant{Invalid: true}
	}
	w := testkit.EvidenceWant{Parts: r.Parts, Pictures: r.Frames, Logged: len(r.Logged)}
	for _, step := range []string{"facts", "chain", "log", "epochs", "keys", "footage", "time"} {
		if slices.ContainsFunc(r.Problems, func(p string) bool { return strings.HasPrefix(p, evidenceSteps[step]+":") }) {
			w.Failed = append(w.Failed, step)
		}
	}
	if slices.Contains(w.Failed, "footage") { // how far somebody came is his own
		w.Parts, w.Pictures = 0, 0
	}
	for _, g := range r.Gaps {
		w.Gaps = append(w.Gaps, testkit.EvidenceGap{From: g.From.Unix(), To: g.To.Unix(), Why: g.Why})
	}
	if r.After != nil {
		w.After = r.After.At.Unix()
	}
	if r.Before != nil {
		w.Before = r.Before.At.Unix()
	}
	return w
}

// TestWriteEvidenceVectors makes vectors/evidence.json of the file LATCHKEY_EVIDENCE.
// Which step finds a change is said here by hand, and held against what happens.
func TestWriteEvidenceVectors(t *testing.T) {
	path := os.Getenv("LATCHKEY_EVIDENCE")
	if path == "" {
		t.Skip("LATCHKEY_EVIDENCE names no file")
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := openEvidence(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	v := testkit.Evidence{
		Doc: testkit.Doc{
			About: "A file of evidence (spec/evidence), changes to it, and in which steps of the check they are found.",
			Fields: map[string]string{
				"file":  "base64 of the whole file: two epochs of one hub with sound, a bound of time from both sides",
				"cases": "changes to it: drop, flip, swap, text and part change one file in it, and the list at its end is made to fit; cut, bit and more change the whole. policy is the reader's. want: failed steps (facts, chain, log, epochs, keys, footage, time), counts (0 where the footage fails), gaps, bounds in unix seconds; invalid: it is no whole file of evidence",
			},
		},
		File: base64.StdEncoding.EncodeToString(raw),
	}
	for _, c := range evidenceCases(t, f) {
		bad, err := v.Make(c)
		if err != nil {
			t.Fatal(err)
		}
		r, err := VerifyEvidence(t.Context(), bytes.NewReader(bad), int64(len(bad)), c.Policy)
		got := evidenceFound(r, err)
		if got.Invalid != c.Want.Invalid || !slices.Equal(got.Failed, c.Want.Failed) {
			t.Errorf("%s: invalid %v, found in %v, want %v, %v: %v, %v", c.Name, got.Invalid, got.Failed, c.Want.Invalid, c.Want.Failed, r.Problems, err)
		}
		c.Want = got
		v.Cases = append(v.Cases, c)
	}
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		return
	}
	if err := os.WriteFile("../../../testkit/vectors/evidence.json", append(out, '\n'), 0o644); err != nil { //nolint:gosec // no secret
		t.Fatal(err)
	}
}

// evidenceCases are the changes.
func evidenceCases(t *testing.T, f *evidenceFile) []testkit.EvidenceCase {
	below := func(prefix string) (out []string) {
		for _, name := range f.names {
			if strings.HasPrefix(name, prefix) {
				out = append(out, name)
			}
		}
		return out
	}
	epochs, proofs, sets := below(evEpochs), below(evProofs), below(evSets)
	raw, err := f.small(evFacts)
	if err != nil || len(proofs) != 3 || len(epochs) != 3 || len(sets) != 1 {
		t.Fatal(err, f.names)
	}
	said := strings.Split(string(raw), "\n")
	policy, err := f.small(evPolicy)
	if err != nil {
		t.Fatal(err)
	}
	before := evEpochs + strings.TrimPrefix(sets[0], evSets)
	one := func(name string, c testkit.EvidenceChange, failed ...string) testkit.EvidenceCase {
		return testkit.EvidenceCase{Name: name, Changes: []testkit.EvidenceChange{c}, Want: testkit.EvidenceWant{Failed: failed}}
	}
	whole := func(name string, c testkit.EvidenceChange) testkit.EvidenceCase {
		return testkit.EvidenceCase{Name: name, Changes: []testkit.EvidenceChange{c}, Want: testkit.EvidenceWant{Invalid: true}}
	}
	type ch = testkit.EvidenceChange
	list := []testkit.EvidenceCase{
		{Name: "as it is"},
		{Name: "under the reader's policy", Policy: string(policy)},
		{Name: "under the reader's policy, without the file's", Policy: string(policy), Changes: []ch{{Op: "drop", File: evPolicy}}},
		{Name: "under a policy of another log", Policy: strings.Replace(string(policy), "witness anna", "witness nobody", 1), Want: testkit.EvidenceWant{Failed: []string{"log"}}},
		one("another README", ch{Op: "text", File: evReadme, Old: "evidence", New: "a film"}, "facts"),
		one("without facts", ch{Op: "drop", File: evFacts}, "facts"),
		one("another household", ch{Op: "text", File: evFacts, Old: said[1], New: "household " + strings.Repeat("ab", 16)}, "chain"),
		one("another track", ch{Op: "text", File: evFacts, Old: said[2], New: "video " + strings.Repeat("cd", 16)}, "chain"),
		one("a leading zero", ch{Op: "text", File: evFacts, Old: "from ", New: "from 0"}, "facts"),
		one("more seconds than there are", ch{Op: "text", File: evFacts, Old: said[5], New: "until " + addOne(t, said[5])}, "footage"),
		one("fewer seconds than there are keys for", ch{Op: "text", File: evFacts, Old: said[4], New: "from " + addOne(t, said[4])}, "keys"),
		one("without genesis", ch{Op: "drop", File: evChain + "000000"}, "chain"),
		one("a statement less", ch{Op: "drop", File: evChain + "000003"}, "chain"),
		one("a statement changed", ch{Op: "flip", File: evChain + "000001", At: 900}, "chain"),
		one("two statements swapped", ch{Op: "swap", File: evChain + "000001", With: evChain + "000002"}, "chain"),
		one("without policy", ch{Op: "drop", File: evPolicy}),
		one("a witness's key changed", ch{Op: "flip", File: evPolicy, At: -60}, "log"),
		one("the proof of the hub swapped with an anchor's", ch{Op: "swap", File: proofs[0], With: proofs[1]}, "log"),
		one("without the hub's proof", ch{Op: "drop", File: proofs[0]}),
		one("without an anchor's proof", ch{Op: "drop", File: proofs[1]}),
		one("a proof changed", ch{Op: "flip", File: proofs[2], At: 120}, "log"),
		one("an epoch note changed", ch{Op: "flip", File: epochs[0], At: 200}, "epochs"),
		one("the note of another epoch", ch{Op: "swap", File: epochs[0], With: epochs[1]}, "epochs"),
		one("without the epoch before", ch{Op: "drop", File: before}, "epochs"),
		one("heads changed", ch{Op: "flip", File: evHeads + strings.TrimPrefix(epochs[1], evEpochs), At: -10}, "epochs"),
		one("without the heads of the epoch before", ch{Op: "drop", File: evHeads + strings.TrimPrefix(sets[0], evSets)}, "time"),
		one("without the set", ch{Op: "drop", File: sets[0]}),
		one("a set changed", ch{Op: "flip", File: sets[0], At: 100}, "time"),
		one("a key changed", ch{Op: "flip", File: evKeys, At: -1}, "footage"),
		one("a key cut", ch{Op: "text", File: evKeys, Old: "\x00", New: ""}, "keys"),
		one("a picture changed", ch{Op: "flip", File: evVideo, At: 400}, "footage"),
		one("a signature changed", ch{Op: "flip", File: evVideo, At: -1}, "footage"),
		one("the first part left out", ch{Op: "part", File: evVideo, At: 0}, "footage"),
		one("a part in the middle left out", ch{Op: "part", File: evVideo, At: 3}, "footage"),
		one("a part of the sound left out", ch{Op: "part", File: evAudio, At: 2}, "footage"),
		one("sound for picture", ch{Op: "swap", File: evVideo, With: evAudio}, "footage"),
		one("without sound", ch{Op: "drop", File: evAudio}, "footage"),
		one("the movie changed", ch{Op: "flip", File: evMovie, At: -100}, "footage"),
		one("without the movie", ch{Op: "drop", File: evMovie}, "footage"),
		whole("cut", ch{Op: "cut", At: -513}), whole("half of it", ch{Op: "cut", At: 40000}), whole("nothing", ch{Op: "cut", At: 0}),
		whole("a bit of a head", ch{Op: "bit", At: 130}), whole("a bit of a part", ch{Op: "bit", At: 60000}), whole("more behind it", ch{Op: "more", New: "x"}),
	}
	return list
}

// addOne is the number of a line of facts, and one.
func addOne(t *testing.T, line string) string {
	t.Helper()
	_, digits, _ := strings.Cut(line, " ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatInt(n+1, 10)
}
