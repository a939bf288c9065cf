package member

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"

	"latchkey.dev/latchkey"
)

// smallEvidence is a container whose contents mean nothing.
func smallEvidence(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := &evidenceWriter{tar: tar.NewWriter(&b)}
	for _, name := range names {
		if err := w.bytes(name, []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEvidenceOrder(t *testing.T) {
	all := []string{evReadme, evFacts, evPolicy, evChain + "000000", evChain + "000001", evProofs + "000001", evEpochs + "00000000000000000000000000000001", evKeys, evVideo, evAudio, evMovie}
	raw := smallEvidence(t, all...)
	if _, err := openEvidence(bytes.NewReader(raw), int64(len(raw))); err != nil {
		t.Fatal(err)
	}
	for what, names := range map[string][]string{
		"out of order": {evFacts, evReadme}, "a name of its own": {evReadme, "notes"},
		"statements out of order": {evChain + "000001", evChain + "000000"}, "five digits": {evChain + "00000"},
	} {
		raw := smallEvidence(t, names...)
		if _, err := openEvidence(bytes.NewReader(raw), int64(len(raw))); err == nil {
			t.Errorf("%s: it is taken", what)
		}
	}
}

// TestFacts: one form, and no other.
func TestFacts(t *testing.T) {
	f := facts{Household: latchkey.HouseholdID{1}, Video: latchkey.TrackID{2}, From: 5, Until: 9}
	with := f
	with.Audio = latchkey.TrackID{3}
	for _, one := range []facts{f, with} {
		if got, err := parseFacts(one.text()); err != nil || got != one {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for _, bad := range []string{"", f.text() + "x", f.text()[1:], facts{From: 9, Until: 9}.text(), facts{From: -1, Until: 9}.text()} {
		if _, err := parseFacts(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// FuzzEvidenceFile: what is taken for a container is written again as the same
// bytes, and nothing makes the reader panic.
func FuzzEvidenceFile(f *testing.F) {
	f.Add(smallEvidence(f, evReadme, evFacts))
	f.Add(smallEvidence(f, evChain+"000000", evVideo, evMovie))
	f.Add([]byte{})
	f.Add(make([]byte, 1024))
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := openEvidence(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return
		}
		var again bytes.Buffer
		w := &evidenceWriter{tar: tar.NewWriter(&again)}
		for _, name := range file.names {
			if name == evManifest {
				continue
			}
			s := file.at[name]
			if err := w.copy(name, io.NewSectionReader(s, 0, s.Size()), s.Size()); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.end(); err != nil || !bytes.Equal(again.Bytes(), raw) {
			t.Fatalf("it is written as other bytes: %v", err)
		}
		_, _ = VerifyEvidence(t.Context(), bytes.NewReader(raw), int64(len(raw)), "")
	})
}
