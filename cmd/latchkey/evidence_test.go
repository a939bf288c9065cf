package main

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/testkit"
)

// lkx is a file of evidence taken apart.
type lkx struct {
	names []string
	files map[string][]byte
}

func takeApart(t *testing.T, raw []byte) lkx {
	t.Helper()
	names, files, err := testkit.EvidenceFiles(raw)
	if err != nil {
		t.Fatal(err)
	}
	return lkx{names, files}
}

// together writes the files as a forger would: with a list that fits.
func (l lkx) together(t *testing.T) []byte {
	t.Helper()
	raw, err := testkit.PackEvidence(l.names, l.files)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// inspect is what the program finds: an error, or problems.
func inspect(ctx context.Context, raw []byte, policy string) (member.EvidenceReport, error) {
	r, err := member.VerifyEvidence(ctx, bytes.NewReader(raw), int64(len(raw)), policy)
	if err == nil && len(r.Problems) > 0 {
		err = errors.New(strings.Join(r.Problems, "; "))
	}
	return r, err
}

// TestC23Evidence: an export verifies offline, and any change fails, also by
// somebody who makes the rest of the file fit.
func TestC23Evidence(t *testing.T) {
	d := startDemo(t)
	span := recorded(t, d.client, "porch", 5*time.Second)
	from := span.From.Truncate(time.Second).Add(2 * time.Second)
	path := filepath.Join(t.TempDir(), "clip.lkx")
	if code, words := types(t, d.home, nil, "export", "porch", "--from", stamp(from), "--to", stamp(from.Add(2*time.Second)), "-o", path); code != exitDone || !strings.Contains(words, "Whoever has this file can watch it") {
		t.Fatalf("exit %d: %s", code, words)
	}
	policy := string(httpGet(t, d.server+"/log/policy"))
	d.stop() // offline, and without an account
	var said struct {
		OK       bool
		Hubs     []string
		From, To time.Time
		Parts    int
		Gaps     []struct{ Alarm bool }
		Logged   []any
		OwnPol   bool `json:"own_policy"`
	}
	if code, words := types(t, t.TempDir(), &said, "verify", path, "--json"); code != exitDone {
		t.Fatalf("exit %d: %s", code, words)
	}
	if !said.OK || len(said.Hubs) != 1 || len(said.Logged) != 1 || !said.OwnPol || said.Parts < 10 || said.From.After(from) || said.To.Before(from.Add(2*time.Second)) || len(said.Gaps) > 0 {
		t.Errorf("%+v", said)
	}
	if code, words := types(t, t.TempDir(), nil, "verify", path); code != exitDone || !strings.Contains(words, "Verified: every part was signed") || !strings.Contains(words, "Not proven: that it was not recorded later") {
		t.Errorf("exit %d: %s", code, words)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := inspect(t.Context(), raw, policy); err != nil || r.OwnPolicy {
		t.Errorf("under the policy of the reader: %v", err)
	}
	whole := takeApart(t, raw)
	if !bytes.Equal(whole.together(t), raw) {
		t.Fatal("taken apart and put together it is another file: the forgeries below would prove nothing")
	}
	t.Run("flips", func(t *testing.T) { evidenceFlips(t, raw) })
	t.Run("forgeries", func(t *testing.T) { evidenceForgeries(t, whole) })
	t.Run("plays", func(t *testing.T) { evidencePlays(t, whole) })
	changed := slices.Clone(raw)
	changed[len(changed)/2] ^= 1
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, words := types(t, t.TempDir(), nil, "verify", path); code != exitVerify || !strings.Contains(words, "was changed") {
		t.Errorf("exit %d: %s", code, words)
	}
}

// evidenceFlips changes single bits: all over the file at random, and each byte
// of every head and end.
func evidenceFlips(t *testing.T, raw []byte) {
	rng := rand.New(rand.NewPCG(23, 23))
	for range 400 {
		bad := slices.Clone(raw)
		at, bit := rng.IntN(len(bad)), byte(1)<<rng.IntN(8)
		bad[at] ^= bit
		if _, err := inspect(t.Context(), bad, ""); err == nil {
			t.Errorf("bit %x of byte %d of %d: nothing is found", bit, at, len(raw))
		}
	}
	for at := range 512 {
		for _, place := range []int{at, len(raw) - 1 - at, len(raw) - 1024 - 1 - at} {
			bad := slices.Clone(raw)
			bad[place] ^= 1
			if _, err := inspect(t.Context(), bad, ""); err == nil {
				t.Errorf("byte %d: nothing is found", place)
			}
		}
	}
	for _, cut := range []int{0, 1, 511, 512, len(raw) / 2, len(raw) - 1024, len(raw) - 512, len(raw) - 1} {
		if _, err := inspect(t.Context(), raw[:cut], ""); err == nil {
			t.Errorf("cut at %d: nothing is found", cut)
		}
	}
	for _, more := range [][]byte{{0}, make([]byte, 512), []byte("x"), raw[:512]} {
		if _, err := inspect(t.Context(), append(slices.Clone(raw), more...), ""); err == nil {
			t.Errorf("%d bytes more: nothing is found", len(more))
		}
	}
}

// evidenceForgeries removes each file, swaps pairs, and changes contents, with a
// list that fits.
func evidenceForgeries(t *testing.T, whole lkx) {
	clone := func() lkx {
		c := lkx{names: slices.Clone(whole.names), files: map[string][]byte{}}
		for name, b := range whole.files {
			c.files[name] = slices.Clone(b)
		}
		return c
	}
	for _, name := range whole.names {
		if name == "manifest" {
			continue
		}
		c := clone()
		delete(c.files, name)
		r, err := inspect(t.Context(), c.together(t), "")
		switch {
		case strings.HasPrefix(name, "proofs/"), name == "policy": // as while the log is away: less is proven, and that is said
			if len(r.Logged) != 0 {
				t.Errorf("without %s: %+v, %v", name, r, err)
			}
		case strings.HasPrefix(name, "heads/"), strings.HasPrefix(name, "sets/"): // a help against cut ends; a bound of time
		case err == nil:
			t.Errorf("without %s nothing is found", name)
		}
	}
	for _, pair := range [][2]string{{"chain/000000", "chain/000001"}, {"parts/video", "parts/audio"}, {"video.mp4", "parts/video"}, {"keys", "policy"}} {
		c := clone()
		if c.files[pair[0]] == nil || c.files[pair[1]] == nil {
			continue
		}
		c.files[pair[0]], c.files[pair[1]] = c.files[pair[1]], c.files[pair[0]]
		if _, err := inspect(t.Context(), c.together(t), ""); err == nil {
			t.Errorf("%v swapped: nothing is found", pair)
		}
	}
	rng := rand.New(rand.NewPCG(7, 7))
	for _, name := range whole.names {
		if name == "manifest" || name == "policy" { // nobody has signed a file's own policy: see below
			continue
		}
		for range 12 {
			c := clone()
			b := c.files[name]
			b[rng.IntN(len(b))] ^= byte(1) << rng.IntN(8)
			if r, err := inspect(t.Context(), c.together(t), ""); err == nil && !sameClaims(r, name) {
				t.Errorf("a bit of %s, with a list that fits: nothing is found", name)
			}
		}
	}
	c := clone()
	c.files["evidence"] = bytes.Replace(c.files["evidence"], []byte("household "), []byte("household 0"), 1)
	if _, err := inspect(t.Context(), c.together(t), ""); err == nil {
		t.Error("another household: nothing is found")
	}
	if _, err := inspect(t.Context(), whole.together(t), strings.Replace(string(whole.files["policy"]), "quorum none", "quorum nobody", 1)); err == nil {
		t.Error("under a policy that is none: nothing is found")
	}
}

// sameClaims reports whether a change that was not found is of something that
// nothing rests on: a span that was widened shows as a gap.
func sameClaims(r member.EvidenceReport, name string) bool {
	return name == "evidence" && len(r.Gaps) > 0
}

// evidencePlays: the movie inside is an ordinary one.
func evidencePlays(t *testing.T, whole lkx) {
	path := filepath.Join(t.TempDir(), "video.mp4")
	if err := os.WriteFile(path, whole.files["video.mp4"], 0o600); err != nil {
		t.Fatal(err)
	}
	ffprobe, err := exec.LookPath("ffprobe")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("ffprobe is missing")
		}
		t.Skip("no ffprobe here: the movie is not played")
	}
	out, err := exec.CommandContext(t.Context(), ffprobe, "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "video") {
		t.Errorf("%s, %v", out, err)
	}
}
