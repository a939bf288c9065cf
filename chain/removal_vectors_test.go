package chain_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/testkit"
)

func errorKind(name string) error {
	return map[string]error{
		"invalid": latchkey.ErrInvalid, "conflict": latchkey.ErrConflict, "verify": latchkey.ErrVerify, "refused": latchkey.ErrRefused,
	}[name]
}

func replayStrings(t testing.TB, notes []string, now int64) chain.State {
	t.Helper()
	var raw [][]byte
	for _, n := range notes {
		raw = append(raw, []byte(n))
	}
	s, err := chain.Replay(raw, now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOverlayVectors(t *testing.T) {
	var v testkit.Overlay
	testkit.Load(t, "overlay", &v)
	base := replayStrings(t, v.Chain, v.Now)
	if len(v.Cases) == 0 {
		t.Fatal("no cases in the vector file")
	}
	for _, c := range v.Cases {
		t.Run(c.Name, func(t *testing.T) {
			s, o := base, chain.Overlay{}
			for i, step := range c.Steps {
				var err error
				if s, o, err = play(s, o, step, v.Now); step.Error == "" && err != nil || step.Error != "" && !errors.Is(err, errorKind(step.Error)) {
					t.Fatalf("step %d: got %v, want %q", i, err, step.Error)
				}
				if diff := cmp.Diff(step, stepVector(s, o, step), cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("after step %d (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// play does one step; on an error state and overlay stay.
func play(s chain.State, o chain.Overlay, step testkit.OverlayStep, now int64) (chain.State, chain.Overlay, error) {
	n, err := chain.ParseNote([]byte(step.Apply + step.Early))
	if err != nil {
		return s, o, err
	}
	if step.Apply != "" {
		next, err := chain.Apply(s, n, now)
		if err != nil {
			return s, o, err
		}
		return next, o, nil
	}
	next, err := o.Add(s, n, now)
	if err != nil {
		return s, o, err
	}
	return s, next, nil
}

func stepVector(s chain.State, o chain.Overlay, step testkit.OverlayStep) testkit.OverlayStep {
	u := s.Under(o)
	got := testkit.OverlayStep{Apply: step.Apply, Early: step.Early, Error: step.Error, Held: len(o.Settle(s).Notes())}
	got.Members, got.Hubs = hexOf(sorted16(u.Members)), hexOf(sorted16(u.Hubs))
	for _, id := range sorted16(u.Grants) {
		if u.Grants[id].Revoked {
			got.Revoked = append(got.Revoked, id[:])
		}
	}
	return got
}

func TestFitVectors(t *testing.T) {
	var v testkit.Overlay
	testkit.Load(t, "overlay", &v)
	s := replayStrings(t, v.Chain, v.Now)
	for _, f := range v.Fits {
		var got []latchkey.Kid
		for _, k := range f.Got {
			got = append(got, latchkey.Kid(k))
		}
		left, err := chain.RecipientsFit(got, s, v.Now)
		if f.OK != (err == nil) || !cmp.Equal(f.LeftOut, hexOf(left), cmpopts.EquateEmpty()) {
			t.Errorf("%s: left out %v, %v", f.Name, left, err)
		}
	}
	if len(v.Fits) == 0 {
		t.Error("no lists in the vector file")
	}
}

func TestDirectoryVectors(t *testing.T) {
	var v testkit.Directory
	testkit.Load(t, "directory", &v)
	var statements testkit.Statements
	testkit.Load(t, "statements", &statements)
	s := statesOf(t, statements)[len(statements.Chain)]
	n := checkNote(t, v.Note, v.Seed)
	d, err := chain.OpenDirectory(n, s)
	if err != nil {
		t.Fatal(err)
	}
	want := chain.Directory{Household: latchkey.HouseholdID(v.Household), By: latchkey.Kid(v.By), N: v.N, Time: v.Time,
		Names: chain.Names{Household: v.Names.Household, People: byKid(t, v.Names.People), Hubs: byKid(t, v.Names.Hubs)}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("directory (-want +got):\n%s", diff)
	}
	if text, err := d.Text(); err != nil || string(text) != v.Note.Text {
		t.Errorf("encoded again: %v\n%s", err, text)
	}
	if !bytes.Contains(n.Text, []byte("names "+latchkey.B64([]byte(v.JSON))+"\n")) {
		t.Error("the JSON is not that of the note")
	}
	for _, r := range v.Refused {
		n := mustParse(t, []byte(r.Note))
		if _, err := chain.ParseDirectory(n); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
		if _, err := chain.OpenDirectory(n, s); err == nil {
			t.Errorf("%s: taken", r.Name)
		}
	}
	refusesAll(t, v.Rejects, v.Seed)
}

func byKid(t *testing.T, names map[string]string) map[latchkey.Kid]string {
	t.Helper()
	out := map[latchkey.Kid]string{}
	for k, name := range names {
		b, err := hex.DecodeString(k)
		if err != nil {
			t.Fatal(err)
		}
		out[latchkey.Kid(b)] = name
	}
	return out
}
