package ledger_test

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/ledger"
	"latchkey.dev/latchkey/testkit"
)

// refused reports whether err is how bytes of others are refused.
func refused(err error) bool {
	return errors.Is(err, latchkey.ErrInvalid) || errors.Is(err, latchkey.ErrVerify)
}

func hashes(in []testkit.Hex) (out []latchkey.Hash) {
	for _, h := range in {
		out = append(out, latchkey.Hash(h))
	}
	return out
}

func TestVectors(t *testing.T) {
	var v testkit.Ledger
	testkit.Load(t, "ledger", &v)
	key := [ledger.TagSize]byte(v.KTag)
	for _, x := range v.Tags {
		if got := ledger.TagOf(&key, x.Seq); !bytes.Equal(got[:], x.Tag) {
			t.Errorf("tag %d is %v", x.Seq, got)
		}
	}
	for i, x := range v.Entries {
		e, err := ledger.ParseEntry(x.Entry)
		if err != nil || !bytes.Equal(e.Encode(), x.Entry) || string(e.Note) != x.Note || x.Note == "" && (!bytes.Equal(e.Tag[:], x.Tag) || !bytes.Equal(e.Value[:], x.Value)) {
			t.Errorf("entry %d: %+v, %v", i, e, err)
		}
	}
	for _, x := range v.BadEntries {
		if _, err := ledger.ParseEntry(x.Bytes); !refused(err) {
			t.Errorf("entry, %s: %v", x.Name, err)
		}
	}
	policy, err := ledger.ParsePolicy(v.Policy)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range v.BadPolicies {
		if _, err := ledger.ParsePolicy(x.Text); !refused(err) {
			t.Errorf("policy, %s: %v", x.Name, err)
		}
	}
	setVectors(t, v)
	for _, x := range v.Checkpoints {
		c, err := policy.Checkpoint([]byte(x.Note))
		if x.Holds && (err != nil || c.Size != x.Size || !bytes.Equal(c.Root[:], x.Root) || c.Witnessed.Unix() != x.Witnessed) || !x.Holds && !refused(err) {
			t.Errorf("checkpoint, %s: %+v, %v", x.Name, c, err)
		}
	}
	for _, x := range v.Consistency {
		before, now := ledger.Checkpoint{Size: x.OldSize, Root: latchkey.Hash(x.OldRoot)}, ledger.Checkpoint{Size: x.Size, Root: latchkey.Hash(x.Root)}
		if err := ledger.CheckConsistency(hashes(x.Hashes), before, now); (err == nil) != x.Holds || err != nil && !refused(err) {
			t.Errorf("consistency, %s: %v", x.Name, err)
		}
	}
	for _, x := range v.Inclusion {
		p, err := ledger.ParseProof([]byte(x.Proof))
		if err == nil {
			_, err = p.Check(policy, x.Entry)
		}
		if (err == nil) != x.Holds || err != nil && !refused(err) {
			t.Errorf("inclusion, %s: %v", x.Name, err)
		}
	}
	for _, x := range v.SetNotes {
		s, err := policy.Set([]byte(x.Note))
		if x.Holds && (err != nil || s.Size != x.Size || s.Count != x.Count || !bytes.Equal(s.Root[:], x.Root) || s.Time.Unix() != x.Time) || !x.Holds && !refused(err) {
			t.Errorf("set note, %s: %+v, %v", x.Name, s, err)
		}
	}
	for _, x := range v.Completeness {
		c, err := ledger.ParseCompleteness([]byte(x.File))
		var done ledger.Complete
		if err == nil {
			if !bytes.Equal(c.Encode(), []byte(x.File)) {
				t.Errorf("completeness, %s: it encodes to another file", x.Name)
			}
			done, err = c.Check(policy, &key)
		}
		if x.Holds && (err != nil || done.Seq != x.Seq || !bytes.Equal(done.Head[:], x.Head) || done.At.Unix() != x.At) {
			t.Errorf("completeness, %s: %+v, %v", x.Name, done, err)
		}
		if !x.Holds && !refused(err) {
			t.Errorf("completeness, %s: %+v, %v", x.Name, done, err)
		}
	}
}

func TestReleaseVectors(t *testing.T) {
	var v testkit.Ledger
	testkit.Load(t, "ledger", &v)
	policy, err := ledger.ParsePolicy(v.Policy)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range v.Releases {
		f, err := ledger.ParseReleased([]byte(x.File))
		var r ledger.Release
		if err == nil {
			if string(f.Encode()) != x.File {
				t.Errorf("release, %s: it encodes to another file", x.Name)
			}
			r, _, err = f.Check(policy)
		}
		want := ledger.Release{Kind: x.Kind, Version: x.Version, Source: x.Source}
		copy(want.Hash[:], x.Hash)
		if x.Holds && (err != nil || r != want || f.Log.Index != x.Index) || !x.Holds && !refused(err) {
			t.Errorf("release, %s: %+v, %v", x.Name, r, err)
		}
	}
	for _, x := range v.Manifests {
		m, err := ledger.ParseManifest([]byte(x.Text))
		if x.Holds && (err != nil || len(m) != x.Files) || !x.Holds && !refused(err) {
			t.Errorf("manifest, %s: %v, %v", x.Name, m, err)
		}
	}
}

// C14: only staff whom the root has signed for, this week, and in the log.
func TestStaffVectors(t *testing.T) {
	var v testkit.Ledger
	testkit.Load(t, "ledger", &v)
	policy, err := ledger.ParsePolicy(v.Policy)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range v.Staff {
		proof, err := ledger.ParseProof([]byte(x.Proof))
		if err != nil {
			t.Fatalf("staff, %s: %v", x.Name, err)
		}
		s, err := policy.ProvenStaff([]byte(x.Note), proof, time.Unix(x.Now, 0))
		if !x.Holds {
			if !refused(err) {
				t.Errorf("staff, %s: %+v, %v", x.Name, s, err)
			}
			continue
		}
		want := ledger.Staff{ID: x.ID, Role: x.Role, Ed: []byte(x.Ed), X: x.X, Trained: x.Trained, From: x.From, Until: x.Until}
		if diff := cmp.Diff(want, s); err != nil || diff != "" {
			t.Errorf("staff, %s: %v (-want +got):\n%s", x.Name, err, diff)
		}
		if text, _, _ := strings.Cut(x.Note, "\n\n"); text+"\n" != s.Text() {
			t.Errorf("staff, %s: it encodes to another text", x.Name)
		}
	}
	if none, err := ledger.ParsePolicy(strings.Replace(v.Policy, "staffroot ", "releaser ", 1)); err != nil {
		t.Error(err)
	} else if _, err := none.Staff([]byte(v.Staff[0].Note)); !refused(err) {
		t.Errorf("a policy without a staff root takes staff: %v", err)
	}
}

func TestReportVectors(t *testing.T) {
	var v testkit.Ledger
	testkit.Load(t, "ledger", &v)
	policy, err := ledger.ParsePolicy(v.Policy)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range v.Notices {
		n, err := policy.Notice([]byte(x.Note))
		if want := (ledger.Notice{What: x.What, Hash: hashOf(x.Hash)}); x.Holds && (err != nil || n != want) || !x.Holds && !refused(err) {
			t.Errorf("notice, %s: %+v, %v", x.Name, n, err)
		}
	}
	for _, x := range v.Legals {
		l, err := policy.Legal([]byte(x.Note))
		want := ledger.Legal{Number: x.Number, Kind: x.Kind, Country: x.Country, State: x.State, Time: x.Time}
		if x.Holds && (err != nil || l != want) || !x.Holds && !refused(err) {
			t.Errorf("legal, %s: %+v, %v", x.Name, l, err)
		}
	}
	for _, x := range v.Reports {
		c, err := ledger.NewCounter(policy), error(nil)
		for _, e := range x.Entries {
			err = errors.Join(err, c.Read(e))
		}
		if !x.Holds {
			if !refused(err) {
				t.Errorf("report, %s: %+v, %v", x.Name, c.Report(), err)
			}
			continue
		}
		want := ledger.NewCounter(policy).Report()
		want.Entries, want.Countries, want.Releases = int64(len(x.Entries)), x.Countries, x.Releases
		for kind, states := range x.Requests {
			maps.Copy(want.Requests[kind], states)
		}
		maps.Copy(want.Staff, x.Staff)
		for _, h := range x.Rules {
			want.Rules = append(want.Rules, hashOf(h))
		}
		if diff := cmp.Diff(want, c.Report()); err != nil || diff != "" {
			t.Errorf("report, %s: %v (-want +got):\n%s", x.Name, err, diff)
		}
	}
}

func hashOf(b []byte) (h latchkey.Hash) {
	copy(h[:], b)
	return h
}

func setVectors(t *testing.T, v testkit.Ledger) {
	t.Helper()
	for i, x := range v.Sets {
		var all []ledger.Element
		for _, e := range x.Elements {
			all = append(all, ledger.Element{Tag: ledger.Tag(e.Tag), Value: latchkey.Hash(e.Value)})
		}
		s, err := ledger.NewSet(all)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Root(); !bytes.Equal(got[:], x.Root) {
			t.Errorf("set %d: root %v", i, got)
		}
		for _, p := range x.Proofs {
			if got := s.Prove(ledger.Tag(p.Tag)).Encode(); !bytes.Equal(got, p.Proof) {
				t.Errorf("set %d: another proof of %x", i, p.Tag)
			}
			proof, err := ledger.ParseSetProof(p.Proof)
			if err != nil {
				t.Fatal(err)
			}
			value, present, err := proof.Check(latchkey.Hash(p.Root), ledger.Tag(p.Tag))
			if err != nil || present != (len(p.Value) > 0) || present && !bytes.Equal(value[:], p.Value) {
				t.Errorf("set %d: tag %x: %v, %v", i, p.Tag, present, err)
			}
		}
	}
	for _, x := range v.BrokenProofs {
		proof, err := ledger.ParseSetProof(x.Proof)
		if err == nil {
			_, _, err = proof.Check(latchkey.Hash(x.Root), ledger.Tag(x.Tag))
		}
		if !refused(err) {
			t.Errorf("set proof, %s: %v", x.Name, err)
		}
	}
}
