package seal

import (
	"slices"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

// dishonest is a hub that announces what it likes.
type dishonest struct {
	h       *house
	entries []entry // sealed to the founder
	to      func(seals []chain.SealLine) []chain.SealLine
	commits func(*chain.EpochNote)
}

// announce signs an epoch note with the hub's real key.
func (d dishonest) announce(t *testing.T, epoch latchkey.EpochID) EpochMaterial {
	t.Helper()
	plain, err := marshalCapsule(d.entries)
	if err != nil {
		t.Fatal(err)
	}
	capsule, err := keys.SealCapsule(d.h.state.Household, epoch, d.h.x.Public(), plain)
	if err != nil {
		t.Fatal(err)
	}
	seals := []chain.SealLine{{Kid: d.h.x.Kid(), Hash: chain.TextHash(capsule)}}
	if d.to != nil {
		seals = d.to(seals)
	}
	note := chain.EpochNote{
		Household: d.h.state.Household, Hub: d.h.hub.Kid(), Epoch: epoch, Start: start,
		ChainSeq: d.h.state.Seq, ChainHash: d.h.state.Hash, Signer: keys.NewSigning().Public(), Seals: chain.Seals(seals),
	}
	d.commits(&note)
	text, err := note.Text()
	if err != nil {
		t.Fatal(err)
	}
	return EpochMaterial{Note: chain.SignNote(text, d.h.hub), Seals: seals, Capsule: capsule, Chain: d.h.state}
}

// C11 and C21: a hub that gives one member other roots, seals to a stranger,
// leaves a track out, or puts in what is not his, is caught. Whom it leaves out
// altogether is told.
func TestDishonestHub(t *testing.T) {
	h := newHouse(t)
	_, viewer := h.addMember(t, h.tracks[0].ID)
	epoch := latchkey.EpochID{0xee}
	var honest []entry
	for i, tr := range h.tracks {
		honest = append(honest, entry{epoch: epoch, track: tr.ID, key: key{byte(i + 1), 0xaa}})
	}
	commits := func(n *chain.EpochNote) {
		for i := range honest {
			n.Tracks = append(n.Tracks, chain.TrackCommit{Track: honest[i].track, Commit: rootCommit(&honest[i].key, epoch, honest[i].track)})
		}
	}
	both := func(s []chain.SealLine) []chain.SealLine {
		return append(s, chain.SealLine{Kid: viewer.Kid(), Hash: latchkey.Hash{1}})
	}
	changed := func(f func([]entry) []entry) []entry { return f(append([]entry(nil), honest...)) }
	stranger := func(s []chain.SealLine) []chain.SealLine {
		return append(both(s), chain.SealLine{Kid: latchkey.Kid{5}, Hash: latchkey.Hash{2}})
	}
	cases := map[string]struct {
		entries []entry
		to      func([]chain.SealLine) []chain.SealLine
		want    Reason
	}{
		"honest":          {honest, both, ""},
		"other root":      {changed(func(e []entry) []entry { e[1].key[31] ^= 1; return e }), both, ReasonCommitment},
		"roots exchanged": {changed(func(e []entry) []entry { e[0].key, e[1].key = e[1].key, e[0].key; return e }), both, ReasonCommitment},
		"track left out":  {honest[1:], both, ReasonCapsule},
		"not the root":    {changed(func(e []entry) []entry { e[0].node = part.Node{Level: 1}; return e }), both, ReasonCapsule},
		"other epoch": {changed(func(e []entry) []entry {
			for i := range e {
				e[i].epoch = latchkey.EpochID{1}
			}
			return e
		}), both, ReasonCapsule},
		"unsorted":      {changed(func(e []entry) []entry { e[0], e[1] = e[1], e[0]; return e }), both, ReasonCapsule},
		"left out":      {honest, nil, ""},
		"stranger":      {honest, stranger, ReasonRecipients},
		"twice":         {honest, func(s []chain.SealLine) []chain.SealLine { return append(both(s), s[0]) }, ReasonRecipients},
		"stranger only": {honest, func(s []chain.SealLine) []chain.SealLine { return append(s, chain.SealLine{Kid: latchkey.Kid{5}}) }, ReasonRecipients},
	}
	for name, c := range cases {
		m := dishonest{h: h, entries: c.entries, to: c.to, commits: commits}.announce(t, epoch)
		if _, err := NewOpener(h.state.Household).AddEpoch(m, []*keys.Sealing{h.x}); reasonOf(err) != c.want || c.want == "" && err != nil {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	leftOut(t, dishonest{h: h, entries: honest, commits: commits}, viewer)
	strayEntries(t, h, viewer, honest, commits, epoch)
}

// leftOut: a reader who is left out holds the epoch without keys and is told;
// the others open it, and are told too.
func leftOut(t *testing.T, d dishonest, viewer *keys.Sealing) {
	t.Helper()
	m := d.announce(t, latchkey.EpochID{0xee})
	o := NewOpener(d.h.state.Household)
	adm, err := o.AddEpoch(m, []*keys.Sealing{d.h.x})
	if err != nil || !adm.Shared || !slices.Equal(adm.LeftOut, []latchkey.Kid{viewer.Kid()}) {
		t.Errorf("for the founder: %+v, %v", adm, err)
	}
	m.Capsule = nil
	o = NewOpener(d.h.state.Household)
	adm, err = o.AddEpoch(m, []*keys.Sealing{viewer})
	if err != nil || adm.Shared || len(adm.Tracks) != 0 || !slices.Equal(adm.LeftOut, []latchkey.Kid{viewer.Kid()}) {
		t.Errorf("for who is left out: %+v, %v", adm, err)
	}
	if _, known := o.Epoch(latchkey.EpochID{0xee}); !known || o.Covered(latchkey.EpochID{0xee}, d.h.tracks[0].ID) != nil {
		t.Error("the epoch is not held without keys")
	}
	m.Capsule = d.announce(t, latchkey.EpochID{0xee}).Capsule
	if _, err := o.AddEpoch(m, []*keys.Sealing{viewer}); reasonOf(err) != ReasonCapsule {
		t.Errorf("with a capsule that is not his: %v", err)
	}
}

// strayEntries: an entry of another epoch beside the right ones is discarded and counted.
func strayEntries(t *testing.T, h *house, viewer *keys.Sealing, honest []entry, commits func(*chain.EpochNote), epoch latchkey.EpochID) {
	t.Helper()
	last := entry{epoch: latchkey.EpochID{0xff}, track: h.tracks[0].ID, key: key{1}}
	d := dishonest{h: h, entries: append(append([]entry(nil), honest...), last), commits: commits, to: func(s []chain.SealLine) []chain.SealLine {
		return append(s, chain.SealLine{Kid: viewer.Kid(), Hash: latchkey.Hash{1}})
	}}
	o := NewOpener(h.state.Household)
	adm, err := o.AddEpoch(d.announce(t, epoch), []*keys.Sealing{h.x})
	if err != nil || adm.Stray != 1 || len(adm.Tracks) != len(h.tracks) {
		t.Errorf("%+v, %v", adm, err)
	}
	if _, ok := o.Epoch(last.epoch); ok {
		t.Error("a stray entry made an epoch known")
	}
	undeclared := d
	undeclared.commits = func(n *chain.EpochNote) {
		commits(n)
		n.Tracks = append(n.Tracks, chain.TrackCommit{Track: latchkey.TrackID{0xcc}})
	}
	if _, err := NewOpener(h.state.Household).AddEpoch(undeclared.announce(t, epoch), []*keys.Sealing{h.x}); reasonOf(err) != ReasonTrack {
		t.Errorf("undeclared track: %v", err)
	}
	twin := d
	twin.entries = honest
	if _, err := o.AddEpoch(twin.announce(t, epoch), []*keys.Sealing{h.x}); reasonOf(err) != ReasonNote {
		t.Errorf("a second note for the epoch: %v", err)
	}
}
