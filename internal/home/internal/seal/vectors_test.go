package seal

import (
	"bytes"
	"encoding/hex"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
	"latchkey.dev/latchkey/testkit"
)

// parseRun parses parts of a vector; malformed ones fail the test.
func parseRun(t *testing.T, raws []testkit.Hex) []part.Part {
	t.Helper()
	var run []part.Part
	for _, raw := range raws {
		p, err := part.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		run = append(run, p)
	}
	return run
}

// vectorOpener knows the vectors' epoch and the given roots.
func vectorOpener(t *testing.T, v testkit.Run, roots map[latchkey.TrackID]key) *Opener {
	t.Helper()
	note := chain.EpochNote{Epoch: latchkey.EpochID(v.Epoch), Signer: []byte(v.SignerPub)}
	var granted []entry
	for track, root := range roots {
		note.Tracks = append(note.Tracks, chain.TrackCommit{Track: track})
		granted = append(granted, entry{epoch: note.Epoch, track: track, key: root})
	}
	o := NewOpener(latchkey.HouseholdID{})
	if _, err := o.hold(note, latchkey.Hash(v.EpochHash), granted, nil); err != nil {
		t.Fatal(err)
	}
	return o
}

// Sealing the vectors' plaintexts with their random bytes gives the vectors'
// parts, and the opener opens them.
func TestVectorRuns(t *testing.T) {
	var v testkit.Run
	testkit.Load(t, "run", &v)
	if len(v.Tracks) == 0 {
		t.Fatal("no tracks")
	}
	for _, tr := range v.Tracks {
		seed, err := keys.SecretFrom(v.SignerSeed)
		if err != nil {
			t.Fatal(err)
		}
		track, root := latchkey.TrackID(tr.Track), key(tr.Root)
		random := &switchable{}
		s := &sealer{
			epoch: latchkey.EpochID(v.Epoch), track: track, kind: latchkey.TrackKind(tr.Kind), rand: random,
			signer: keys.SigningFromSeed(seed), tree: plantTree(t, root), prev: latchkey.Hash(v.EpochHash),
		}
		var run []part.Part
		for _, pv := range tr.Parts {
			random.Reader = bytes.NewReader(pv.Random)
			raw, err := s.seal(pv.Slot, part.Flags(pv.Flags), records(pv.Records))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(raw, pv.Part) || *s.tree.leaf != key(pv.Leaf) || s.prev != latchkey.Hash(pv.Hash) {
				t.Fatalf("%s part %d differs", tr.Kind, pv.Seq)
			}
			run = append(run, parseRun(t, []testkit.Hex{raw})...)
		}
		opened, err := vectorOpener(t, v, map[latchkey.TrackID]key{track: root}).OpenRun(run)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range opened {
			checkRecords(t, o.Records, tr.Parts[i].Records)
		}
	}
}

func records(vs []testkit.RecordVector) (recs []part.Record) {
	for _, r := range vs {
		recs = append(recs, part.Record{Type: r.Type, Data: r.Data})
	}
	return recs
}

func checkRecords(t *testing.T, got []part.Record, want []testkit.RecordVector) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Type != want[i].Type || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Errorf("record %d differs", i)
		}
	}
}

func TestVectorRefusals(t *testing.T) {
	var v testkit.Run
	testkit.Load(t, "run", &v)
	if len(v.Broken) == 0 || len(v.Unopenable) == 0 {
		t.Fatal("no negative vectors")
	}
	all := map[latchkey.TrackID]key{}
	for _, tr := range v.Tracks {
		all[latchkey.TrackID(tr.Track)] = key(tr.Root)
	}
	for _, b := range v.Broken {
		prev, told := latchkey.Hash(b.Prev), v
		told.EpochHash = b.Prev // what a run that begins with seq 0 has to name
		if _, err := vectorOpener(t, told, all).openRun(parseRun(t, b.Parts), &prev); err == nil {
			t.Errorf("%s: opens", b.Name)
		}
	}
	for _, u := range v.Unopenable {
		prev, told := latchkey.Hash(u.Prev), v
		told.EpochHash = u.Prev
		o := vectorOpener(t, told, map[latchkey.TrackID]key{latchkey.TrackID(u.Track): key(u.Root)})
		_, err := o.openRun(parseRun(t, u.Parts), &prev)
		switch reasonOf(err) {
		case ReasonCommitment, ReasonCiphertext, ReasonRecords, ReasonSlot, ReasonTrack:
		default:
			t.Errorf("%s: %v", u.Name, err)
		}
	}
}

func TestVectorCapsule(t *testing.T) {
	var v testkit.Capsule
	testkit.Load(t, "capsule", &v)
	entries, err := parseCapsule(v.Plaintext)
	if err != nil || len(entries) != len(v.Entries) || len(entries) == 0 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for i, want := range v.Entries {
		e := entries[i]
		if !bytes.Equal(e.epoch[:], want.Epoch) || !bytes.Equal(e.track[:], want.Track) || e.node.Level != want.Level || e.node.Index != want.Index || !bytes.Equal(e.key[:], want.Key) {
			t.Errorf("entry %d differs", i)
		}
	}
	if b, err := marshalCapsule(entries); err != nil || !bytes.Equal(b, v.Plaintext) {
		t.Errorf("encodes to other bytes: %v", err)
	}
	if none, err := parseCapsule(v.Empty); err != nil || len(none) != 0 {
		t.Errorf("the empty capsule: %d entries, %v", len(none), err)
	}
	if len(v.Rejects) == 0 {
		t.Fatal("no negative vectors")
	}
	for _, r := range v.Rejects {
		if _, err := parseCapsule(r.Bytes); err == nil {
			t.Errorf("%s: parses", r.Name)
		}
	}
}

func TestVectorRootCommits(t *testing.T) {
	var v testkit.Epoch
	testkit.Load(t, "epoch", &v)
	if len(v.Roots) == 0 {
		t.Fatal("no roots")
	}
	for _, r := range v.Roots {
		root := key(r.Root)
		if c := rootCommit(&root, latchkey.EpochID(v.Epoch), latchkey.TrackID(r.Track)); !bytes.Equal(c[:], r.Commit) {
			t.Errorf("commitment of track %s is %s", hex.EncodeToString(r.Track), c)
		}
	}
}
