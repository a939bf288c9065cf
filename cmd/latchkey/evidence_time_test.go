package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/watch"
	"latchkey.dev/latchkey/ledger"
)

// startAnchored is a demo with two witnesses, whose hub ends an epoch every few
// seconds and anchors it.
func startAnchored(t *testing.T) *demo {
	return startAnchoredWith(t, func(d *demo) func(context.Context) error { return d.startCameras })
}

// startAnchoredWith is the same with other cameras.
func startAnchoredWith(t *testing.T, cameras func(d *demo) func(context.Context) error) *demo {
	t.Helper()
	d := newDemo(t, t.TempDir(), t.TempDir())
	t.Cleanup(d.stop)
	d.pace.EpochLife, d.pace.EpochJitter, d.pace.Anchor = 6*time.Second, 0, 4*time.Second
	var follow []*watch.Witness
	for _, name := range []string{"anna", "ben"} {
		w, err := watch.OpenWitness(durable.Disk{}, t.TempDir(), name+".invalid")
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(w)
		t.Cleanup(s.Close)
		d.watchers += fmt.Sprintf("witness %s %s %s\n", name, w.VKey(), s.URL)
		follow = append(follow, w)
	}
	d.watchers += "group both all anna ben\nquorum both\n"
	start := func(steps ...func(context.Context) error) {
		for _, step := range steps {
			if err := step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	start(d.folders, d.startCloud)
	key, err := watch.LogVKey(t.Context(), http.DefaultClient, d.server)
	for _, w := range follow {
		if err == nil {
			err = w.Follow(key)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	start(d.openHousehold, cameras(d), d.startHub, d.addCameras)
	return d
}

// timed is what `verify --json` says of time.
type timed struct {
	OK          bool
	Problems    []string
	From, To    time.Time
	After       *time.Time `json:"recorded_after"`
	Before      *time.Time `json:"recorded_before"`
	AfterRests  string     `json:"recorded_after_rests_on"`
	BeforeRests string     `json:"recorded_before_rests_on"`
}

// clip exports two seconds and returns the file, what was said, and what verify
// makes of it.
func clip(t *testing.T, d *demo, from time.Time) (path, words string, said timed) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "clip.lkx")
	code, words := types(t, d.home, nil, "export", "porch", "--from", stamp(from), "--to", stamp(from.Add(2*time.Second)), "-o", path)
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, words)
	}
	if code, words := types(t, t.TempDir(), &said, "verify", path, "--json"); code != exitDone || !said.OK {
		t.Fatalf("exit %d: %+v %s", code, said, words)
	}
	return path, words, said
}

// newest is where the newest seconds begin.
func newest(t *testing.T, d *demo) time.Time {
	t.Helper()
	return recorded(t, d.client, "porch", time.Second).To.Truncate(time.Second).Add(-3 * time.Second)
}

func apart(t *testing.T, path string) lkx {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return takeApart(t, raw)
}

func (l lkx) clone() lkx {
	return lkx{names: slices.Clone(l.names), files: maps.Clone(l.files)}
}

// below are the files of one kind.
func (l lkx) below(prefix string) []string {
	return slices.DeleteFunc(slices.Clone(l.names), func(n string) bool { return !strings.HasPrefix(n, prefix) })
}

// put adds a file, in its place.
func (l *lkx) put(name string, b []byte, after string) {
	if _, there := l.files[name]; !there {
		i := len(l.names) - slices.IndexFunc(reversed(l.names), func(n string) bool { return strings.HasPrefix(n, after) })
		for i > 0 && strings.HasPrefix(l.names[i-1], name[:strings.Index(name, "/")+1]) && l.names[i-1] > name {
			i--
		}
		l.names = slices.Insert(l.names, i, name)
	}
	l.files[name] = b
}

func reversed(s []string) []string {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}

// TestC23EvidenceTime: what bounds the time of an export from both sides, without
// the hub's clock, and what somebody might pass off as a bound (claim C23).
func TestC23EvidenceTime(t *testing.T) {
	d := startAnchored(t)
	recorded(t, d.client, "porch", 14*time.Second)
	var early time.Time
	var path, words string
	var said timed
	eventually(t, "a file of an epoch that runs", func() bool {
		early = newest(t, d)
		path, words, said = clip(t, d, early)
		return said.Before == nil && said.After != nil
	})
	if said.After == nil || said.After.After(said.From) || said.AfterRests == "" || said.Before != nil || !strings.Contains(words, "Make the file again tomorrow") {
		t.Errorf("made at once: %+v\n%s", said, words)
	}
	if code, words := types(t, t.TempDir(), nil, "verify", path); code != exitDone || !strings.Contains(words, "Recorded after ") || !strings.Contains(words, "Not proven: that it was not recorded later") {
		t.Errorf("exit %d: %s", code, words)
	}
	eventually(t, "a bound from above", func() bool {
		path, words, said = clip(t, d, early)
		return said.Before != nil
	})
	if said.After == nil || said.After.After(said.From) || said.Before.Before(said.To) || said.BeforeRests == "" || strings.Contains(words, "tomorrow") {
		t.Errorf("made later: %+v\n%s", said, words)
	}
	if code, words := types(t, t.TempDir(), nil, "verify", path); code != exitDone || !strings.Contains(words, "Recorded between "+stamp(*said.After)+" and "+stamp(*said.Before)) || !strings.Contains(words, "witnesses had vouched") {
		t.Errorf("exit %d: %s", code, words)
	}
	whole := apart(t, path)
	var later lkx
	var from time.Time
	eventually(t, "a bound of later footage", func() bool {
		from = newest(t, d)
		if from.Before(early.Add(15 * time.Second)) {
			return false
		}
		path, _, said = clip(t, d, from)
		later = apart(t, path)
		sets := later.below("sets/")
		// The epoch before is no epoch of the earlier file.
		return said.After != nil && len(sets) == 1 && whole.files["epochs/"+strings.TrimPrefix(sets[0], "sets/")] == nil
	})
	eventually(t, "an anchor of later footage", func() bool {
		path, _, _ = clip(t, d, from)
		later = apart(t, path)
		return len(otherAnchors(t, whole, later)) > 0
	})
	d.stop()
	t.Run("flips", func(t *testing.T) { boundFlips(t, whole) })
	t.Run("forgeries", func(t *testing.T) { boundForgeries(t, whole, later) })
	t.Run("clocks", func(t *testing.T) { boundClocks(t, whole) })
}

// anchorProofs are the proofs of anchors in the file, and the others.
func anchorProofs(t *testing.T, l lkx) (anchors, others []string) {
	t.Helper()
	for _, name := range l.below("proofs/") {
		n, err := chain.ParseNote(l.files["chain/"+strings.TrimPrefix(name, "proofs/")])
		if err != nil {
			t.Fatal(err)
		}
		if n.Type == chain.TypeAnchor {
			anchors = append(anchors, name)
		} else {
			others = append(others, name)
		}
	}
	return anchors, others
}

// boundFlips: no bit of what the bounds rest on can be changed.
func boundFlips(t *testing.T, whole lkx) {
	proofs, _ := anchorProofs(t, whole)
	for _, name := range append(whole.below("sets/"), proofs...) {
		for at := range len(whole.files[name]) {
			c := whole.clone()
			c.files[name] = slices.Clone(whole.files[name])
			c.files[name][at] ^= 1 << (at % 8)
			r, err := inspect(t.Context(), c.together(t), "")
			if err == nil && (r.After == nil || r.Before == nil || !samePassedOver(t, whole, c, name)) {
				t.Fatalf("byte %d of %s is changed, and nothing is found: %+v", at, name, r)
			}
		}
	}
}

// samePassedOver: of a checkpoint's signature lines by unknown keys every reader
// passes over what they hold.
func samePassedOver(t *testing.T, whole, c lkx, name string) bool {
	t.Helper()
	policy, err := ledger.ParsePolicy(string(whole.files["policy"]))
	if err != nil {
		t.Fatal(err)
	}
	var got [2]ledger.Checkpoint
	for i, l := range []lkx{whole, c} {
		p, err := ledger.ParseProof(l.files[name])
		if err == nil {
			got[i], err = policy.Checkpoint(p.Checkpoint)
		}
		if err != nil {
			return false
		}
	}
	return got[0].Size == got[1].Size && got[0].Root == got[1].Root && got[0].Witnessed.Equal(got[1].Witnessed)
}

// boundForgeries: what is of another epoch, of a later time or of another
// statement is no bound, and is found out by name; what is missing is said.
func boundForgeries(t *testing.T, whole, later lkx) {
	anchors, others := anchorProofs(t, whole)
	laterAnchors, _ := anchorProofs(t, later)
	sets, laterSets := whole.below("sets/"), later.below("sets/")
	if len(anchors) == 0 || len(others) != 1 || len(sets) != 1 || len(laterSets) != 1 || sets[0] == laterSets[0] {
		t.Fatalf("%v, %v; later %v, %v", anchors, sets, laterAnchors, laterSets)
	}
	before, laterBefore := strings.TrimPrefix(sets[0], "sets/"), strings.TrimPrefix(laterSets[0], "sets/")
	for name, c := range map[string]struct {
		change   func(l *lkx)
		problem  string // empty: none, and the bound is gone
		noAfter  bool
		noBefore bool
	}{
		"without the set":      {func(l *lkx) { delete(l.files, sets[0]) }, "", true, false},
		"without the anchor":   {func(l *lkx) { delete(l.files, anchors[0]) }, "", false, true},
		"without the heads":    {func(l *lkx) { delete(l.files, "heads/"+before) }, "no epoch before the footage", true, false},
		"without the note":     {func(l *lkx) { delete(l.files, "epochs/"+before) }, "epoch unknown", true, true},
		"without any proof":    {func(l *lkx) { delete(l.files, anchors[0]); delete(l.files, others[0]); delete(l.files, "policy") }, "", true, true},
		"a later log":          {func(l *lkx) { l.files[sets[0]] = later.files[laterSets[0]] }, "another log than the one that is named", true, false},
		"the heads of a later": {func(l *lkx) { l.files["heads/"+before] = later.files["heads/"+laterBefore] }, "epoch unknown", true, true},
		"a log from after the footage": {func(l *lkx) {
			l.put("epochs/"+laterBefore, later.files["epochs/"+laterBefore], "epochs/")
			l.put("heads/"+laterBefore, later.files["heads/"+laterBefore], "heads/")
			l.put("sets/"+laterBefore, later.files[laterSets[0]], "sets/")
		}, "no epoch before the footage", true, false},
		"an epoch too many": {func(l *lkx) { l.put("epochs/"+laterBefore, later.files["epochs/"+laterBefore], "epochs/") }, "which is not the one before", false, false},
		"a swapped proof":   {func(l *lkx) { l.files[anchors[0]] = l.files[others[0]] }, "the entry is not in the log", false, true},
		"the anchor of another epoch": {func(l *lkx) {
			for _, name := range laterChain(l, later) { // the chain that the later file has
				l.put(name, later.files[name], "chain/")
			}
			delete(l.files, anchors[0])
			for _, name := range otherAnchors(t, whole, later) {
				l.put(name, later.files[name], "proofs/")
			}
		}, "nothing that has to do with this footage", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := whole.clone()
			c.change(&l)
			r, err := inspect(t.Context(), l.together(t), "")
			if c.problem == "" && err != nil || c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
				t.Errorf("%v", err)
			}
			if (r.After == nil) != c.noAfter || (r.Before == nil) != c.noBefore {
				t.Errorf("after %v, before %v", r.After, r.Before)
			}
		})
	}
}

// laterChain are the statements that the later file has and this one has not.
func laterChain(l *lkx, later lkx) (out []string) {
	for _, name := range later.below("chain/") {
		if l.files[name] == nil {
			out = append(out, name)
		}
	}
	return out
}

// otherAnchors are proofs that the later file has of anchors of its own epochs
// alone.
func otherAnchors(t *testing.T, whole, later lkx) (out []string) {
	t.Helper()
	anchors, _ := anchorProofs(t, later)
	for _, name := range anchors {
		if whole.files[name] == nil {
			out = append(out, name)
		}
	}
	return out
}

// watcher of the test's own: it vouches for a checkpoint at any time.
type liarWitness struct {
	key  ed25519.PrivateKey
	hash []byte
	vkey string
}

func newLiarWitness() liarWitness {
	public, private, _ := ed25519.GenerateKey(nil) // never fails
	raw := append([]byte{4}, public...)
	sum := sha256.Sum256([]byte("mallory.invalid\n" + string(raw)))
	return liarWitness{private, sum[:4], "mallory.invalid+" + hex.EncodeToString(sum[:4]) + "+" + latchkey.B64(raw)}
}

// cosigns adds a line to the checkpoint of a proof.
func (w liarWitness) cosigns(proof []byte, at time.Time) []byte {
	_, checkpoint, _ := bytes.Cut(proof, []byte("\n\n"))
	text, _, _ := bytes.Cut(checkpoint, []byte("\n\n"))
	signed := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s\n", at.Unix(), text)
	sig := append(slices.Clone(w.hash), binary.BigEndian.AppendUint64(nil, uint64(at.Unix()))...)
	return fmt.Appendf(slices.Clone(proof), "— mallory.invalid %s\n", latchkey.B64(append(sig, ed25519.Sign(w.key, signed)...)))
}

// boundClocks holds the hub's times against witnesses of all clocks: a hub whose
// clock is off is found out from either side.
func boundClocks(t *testing.T, whole lkx) {
	w := newLiarWitness()
	var policy strings.Builder
	for line := range strings.Lines(string(whole.files["policy"])) {
		if word, _, _ := strings.Cut(line, " "); word == "log" || word == "operator" {
			policy.WriteString(line)
		}
	}
	fmt.Fprintf(&policy, "witness mallory %s\nquorum mallory\n", w.vkey)
	r, err := inspect(t.Context(), whole.together(t), "")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		at      time.Time
		problem string
	}{
		"right":                    {r.Before.At, ""},
		"a little behind":          {r.Span.To.Add(-5 * time.Minute), ""},
		"the hub's is a day ahead": {r.Span.To.Add(-24 * time.Hour), "the hub's clock says"},
		"the hub's is 11 minutes":  {r.Span.To.Add(-11 * time.Minute), "and it was recorded before"},
		"a year later":             {r.Span.To.AddDate(1, 0, 0), ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := whole.clone()
			for _, p := range whole.below("proofs/") {
				l.files[p] = w.cosigns(whole.files[p], c.at)
			}
			r, err := inspect(t.Context(), l.together(t), policy.String())
			if c.problem == "" {
				if err != nil || r.Before == nil || r.Before.At.Unix() != c.at.Unix() || r.After == nil {
					t.Errorf("%v, %+v", err, r.Before)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.problem) || r.Before != nil || r.After != nil {
				t.Errorf("%v, %+v, %+v", err, r.After, r.Before)
			}
			path := filepath.Join(t.TempDir(), "clip.lkx")
			rules := filepath.Join(t.TempDir(), "policy")
			if err := os.WriteFile(path, l.together(t), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(rules, []byte(policy.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			if code, words := types(t, t.TempDir(), nil, "verify", path, "--policy", rules); code != exitVerify || !strings.Contains(words, "FAILS: the time: ") {
				t.Errorf("exit %d: %s", code, words)
			}
		})
	}
	l := whole.clone() // an hour of nothing, claimed to be of before: the set is later
	l.files["evidence"] = bytes.Replace(l.files["evidence"], fmt.Appendf(nil, "from %d\n", r.Span.From.Unix()), fmt.Appendf(nil, "from %d\n", r.Span.From.Unix()-3600), 1)
	if _, err := inspect(t.Context(), l.together(t), ""); err == nil || !strings.Contains(err.Error(), "and it was recorded after") {
		t.Errorf("an hour earlier: %v", err)
	}
}
