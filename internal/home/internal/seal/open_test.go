package seal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

// reasonOf returns the reason of a Failure, or an empty one.
func reasonOf(err error) Reason {
	var f *Failure
	if errors.As(err, &f) {
		return f.Reason
	}
	return ""
}

// The shared part opens with the shared leaf, and sealing the same inputs again
// gives the same bytes.
func TestSharedPart(t *testing.T) {
	v := loadShared(t).Part
	p, err := part.Parse(unhex(t, v.Part))
	if err != nil {
		t.Fatal(err)
	}
	leaf := key(unhex(t, v.Leaf))
	aeadKey, commit := partKeys(&leaf, p.Raw[:boundSize])
	if hex.EncodeToString(aeadKey[:]) != v.Key || hex.EncodeToString(commit[:]) != v.Commit {
		t.Error("key or commitment differs")
	}
	set := &nodeSet{}
	set.add(part.Node{Level: part.Depth, Index: p.Header.Slot}, &leaf)
	recs, err := set.open(p)
	if err != nil || len(recs) != 1 || string(recs[0].Data) != "hello, household" {
		t.Fatalf("opens to %v, %v", recs, err)
	}
	seed, err := keys.SecretFrom(unhex(t, v.Seed))
	if err != nil {
		t.Fatal(err)
	}
	signer := keys.SigningFromSeed(seed)
	raw, err := part.AppendRecords(make([]byte, part.HeaderSize, part.HeaderSize+512), 256, recs...)
	if err != nil {
		t.Fatal(err)
	}
	s := &sealer{tree: &tree{leaf: &leaf}, signer: signer}
	header := p.Header
	header.Commit = latchkey.Hash{}
	raw, ph := s.encrypt(header, raw)
	raw = append(raw, signer.Sign(part.SigMessage(ph))...)
	if !bytes.Equal(raw, p.Raw) {
		t.Error("sealing again gives other bytes")
	}
}

func TestSharedCapsulePlaintext(t *testing.T) {
	b := unhex(t, loadShared(t).Capsule.Plaintext)
	entries, err := parseCapsule(b)
	if err != nil || len(entries) != 9 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	cover, err := part.Cover(36000, 39600)
	if err != nil {
		t.Fatal(err)
	}
	byNode := map[part.Node]bool{}
	for _, e := range entries {
		byNode[e.node] = true
	}
	for _, n := range cover {
		if !byNode[n] {
			t.Errorf("node %v is missing", n)
		}
	}
	if again, err := marshalCapsule(entries); err != nil || !bytes.Equal(again, b) {
		t.Errorf("encodes to other bytes: %v", err)
	}
}

func TestRoundTrip(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	o := h.opener(t, ann)
	for _, track := range h.tracks {
		data := [][]byte{[]byte("init"), bytes.Repeat([]byte("frame"), 200)}
		raw, err := e.Seal(track.ID, 7, part.RAP, part.Record{Type: 2, Data: data[0]}, part.Record{Type: 1, Data: data[1]})
		if err != nil {
			t.Fatal(err)
		}
		p, err := part.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte("frame")) || bytes.Contains(raw, []byte("init")) {
			t.Error("plaintext shows")
		}
		opened, err := o.OpenRun([]part.Part{p})
		if err != nil || len(opened) != 1 || opened[0].Hash != p.Hash() {
			t.Fatalf("%v, %v", opened, err)
		}
		for i, r := range opened[0].Records {
			if !bytes.Equal(r.Data, data[i]) {
				t.Errorf("record %d differs", i)
			}
		}
	}
}

// TestAddEpochRefuses is C10 and C11 for epochs: each thing a server or a hub
// could exchange is refused, and the refusal names it.
func TestAddEpochRefuses(t *testing.T) {
	h, other := newHouse(t), newHouse(t)
	_, viewer := h.addMember(t, h.tracks[0].ID)
	_, ann := h.epoch(t)
	_, second := h.epoch(t)
	_, foreign := other.epoch(t)
	good := h.material(ann)
	older := h.state
	h.addMember(t, h.tracks[1].ID)
	newer := h.state
	h.state = older
	cases := map[string]struct {
		change func(*EpochMaterial)
		want   Reason
	}{
		"foreign note":      {func(m *EpochMaterial) { *m = other.material(foreign) }, ReasonHousehold},
		"foreign chain":     {func(m *EpochMaterial) { m.Chain = other.state }, ReasonHousehold},
		"later state":       {func(m *EpochMaterial) { m.Chain = newer }, ReasonPosition},
		"note changed":      {func(m *EpochMaterial) { m.Note = bytes.Replace(m.Note, []byte("\nn 0\n"), []byte("\nn 1\n"), 1) }, ReasonSignature},
		"note of nothing":   {func(m *EpochMaterial) { m.Note = m.Chain.Hash[:] }, ReasonNote},
		"signed by another": {func(m *EpochMaterial) { m.Note = resign(t, m.Note, keys.NewSigning()) }, ReasonSignature},
		"no signature":      {func(m *EpochMaterial) { m.Note = m.Note[:len(m.Note)-3] }, ReasonNote},
		"removed hub":       {func(m *EpochMaterial) { m.Chain = withoutHubs(m.Chain) }, ReasonHub},
		"lines of another":  {func(m *EpochMaterial) { m.Seals = second.Seals }, ReasonSeals},
		"line dropped":      {func(m *EpochMaterial) { m.Seals = m.Seals[:1] }, ReasonSeals},
		"capsule of second": {func(m *EpochMaterial) { m.Capsule = h.material(second).Capsule }, ReasonCapsule},
		"capsule of viewer": {func(m *EpochMaterial) { m.Capsule = h.materialFor(ann, viewer).Capsule }, ReasonCapsule},
		"capsule bit":       {func(m *EpochMaterial) { m.Capsule = flip(m.Capsule, 700) }, ReasonCapsule},
		"capsule cut":       {func(m *EpochMaterial) { m.Capsule = m.Capsule[:100] }, ReasonCapsule},
		"no capsule":        {func(m *EpochMaterial) { m.Capsule = nil }, ReasonCapsule},
	}
	for name, c := range cases {
		m := good
		c.change(&m)
		o := NewOpener(h.state.Household)
		_, err := o.AddEpoch(m, []*keys.Sealing{h.x})
		if reasonOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if len(o.epochs) != 0 {
			t.Errorf("%s: the epoch was kept", name)
		}
	}
	o := h.opener(t, ann)
	if _, err := o.AddEpoch(good, []*keys.Sealing{h.x}); err != nil {
		t.Errorf("the same epoch again: %v", err)
	}
}

func flip(b []byte, i int) []byte {
	c := bytes.Clone(b)
	c[i] ^= 1
	return c
}

func resign(t *testing.T, raw []byte, s chain.Signer) []byte {
	t.Helper()
	n, err := chain.ParseNote(raw)
	if err != nil {
		t.Fatal(err)
	}
	return chain.SignNote(n.Text, s)
}

func withoutHubs(s chain.State) chain.State {
	s.Hubs = nil
	return s
}

// grantOpener holds the cover of [from, until) of one track and nothing else.
func grantOpener(t *testing.T, h *house, ann Announcement, track latchkey.TrackID, from, until uint32) *Opener {
	t.Helper()
	full := h.opener(t, ann)
	note, err := chain.ParseNote(ann.Note)
	if err != nil {
		t.Fatal(err)
	}
	en, err := chain.ParseEpochNote(note)
	if err != nil {
		t.Fatal(err)
	}
	cover, err := part.Cover(from, until)
	if err != nil {
		t.Fatal(err)
	}
	root := full.epochs[en.Epoch].tracks[track].nodes[0].key
	var granted []entry
	for _, n := range cover {
		granted = append(granted, entry{epoch: en.Epoch, track: track, node: n, key: nodeKey(root, n)})
	}
	o := NewOpener(h.state.Household)
	if _, err := o.hold(en, note.Hash(), granted, nil); err != nil {
		t.Fatal(err)
	}
	return o
}

// nodeKey derives the key of a node from the root, step by step.
func nodeKey(root key, n part.Node) key {
	for l := int(n.Level) - 1; l >= 0; l-- {
		child(&root, &root, n.Index>>l&1)
	}
	return root
}

// C4: a grant of [a,b) opens exactly the parts of [a,b), borders included.
func TestGrantIsExact(t *testing.T) {
	h := newHouse(t)
	rng := rand.New(rand.NewPCG(8, 9))
	video := h.tracks[0].ID
	for range 25 {
		e, ann := h.epoch(t)
		a := rng.Uint32N(part.Slots - 2)
		b := a + 1 + rng.Uint32N(min(part.Slots-a-1, 1<<rng.Uint32N(17)))
		o := grantOpener(t, h, ann, video, a, b)
		var slots []uint32
		for _, s := range []uint32{0, a / 2, a - min(a, 1), a, a + (b-a)/2, b - 1, min(b, part.Slots-1), part.Slots - 1} {
			if len(slots) == 0 || s >= slots[len(slots)-1] {
				slots = append(slots, s)
			}
		}
		for _, slot := range slots {
			p := sealPart(t, e, video, slot, 0, 20)
			_, err := o.OpenRun([]part.Part{p})
			if inside := a <= slot && slot < b; inside != (err == nil) || !inside && reasonOf(err) != ReasonSlot {
				t.Fatalf("grant [%d,%d), slot %d: %v", a, b, slot, err)
			}
			if slot < a || slot >= b {
				forceOutside(t, o, p)
			}
		}
	}
}

// forceOutside: even a client that ignored the ranges and tried every node it
// holds as if it covered the slot meets the commitment.
func forceOutside(t *testing.T, o *Opener, p part.Part) {
	t.Helper()
	for _, held := range o.epochs[p.Header.Epoch].tracks[p.Header.Track].nodes {
		var leaf key
		descend(&leaf, &held.key, held.node, p.Header.Slot)
		set := &nodeSet{}
		set.add(part.Node{Level: part.Depth, Index: p.Header.Slot}, &leaf)
		if _, err := set.open(p); reasonOf(err) != ReasonCommitment {
			t.Fatalf("node %v opens slot %d: %v", held.node, p.Header.Slot, err)
		}
	}
}

// C5: the keys of one track open no part of any other.
func TestTracksAreSeparate(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	o := h.opener(t, ann)
	for _, mine := range h.tracks {
		p := sealPart(t, e, mine.ID, 9, 0, 30)
		for _, other := range h.tracks {
			_, err := o.epochs[e.ID()].tracks[other.ID].open(p)
			if mine == other && err != nil || mine != other && reasonOf(err) != ReasonCommitment {
				t.Errorf("a %s part with the keys of %s: %v", mine.Kind, other.Kind, err)
			}
		}
		g := grantOpener(t, h, ann, h.tracks[0].ID, 0, part.Slots)
		if _, err := g.OpenRun([]part.Part{p}); mine != h.tracks[0] && reasonOf(err) != ReasonSlot {
			t.Errorf("a video grant on %s: %v", mine.Kind, err)
		}
	}
}

// T4: any changed bit of a part is refused; with the signature check off, any
// changed bit of header or ciphertext still is.
func TestEveryBit(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	o := h.opener(t, ann)
	p := sealPart(t, e, h.tracks[0].ID, 3, part.RAP, 60)
	set := o.epochs[e.ID()].tracks[h.tracks[0].ID]
	for bit := range len(p.Raw) * 8 {
		raw := bytes.Clone(p.Raw)
		raw[bit/8] ^= 1 << (bit % 8)
		q, err := part.Parse(raw)
		if err != nil {
			continue
		}
		if _, err := o.OpenRun([]part.Part{q}); reasonOf(err) == "" {
			t.Fatalf("bit %d of byte %d may change: %v", bit%8, bit/8, err)
		}
		if _, err := set.open(q); err == nil && bit/8 < len(raw)-part.SigSize {
			t.Fatalf("without signatures, bit %d of byte %d may change", bit%8, bit/8)
		}
	}
}

func TestReasons(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	e2, ann2 := h.epoch(t)
	o := h.opener(t, ann)
	run := sealParts(t, e, h.tracks[0].ID, 0, 4)
	change := func(i int, f func(raw []byte)) []part.Part {
		out := append([]part.Part(nil), run...)
		raw := bytes.Clone(run[i].Raw)
		f(raw)
		p, err := part.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = p
		return out
	}
	hubSigned := func(raw []byte) {
		p, err := part.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		copy(raw[len(raw)-part.SigSize:], h.hub.Sign(part.SigMessage(p.Hash())))
	}
	fromSecond := sealParts(t, e2, h.tracks[0].ID, 0, 1)
	for name, c := range map[string]struct {
		run  []part.Part
		want Reason
	}{
		"signature":    {change(3, func(b []byte) { b[len(b)-1] ^= 1 }), ReasonSignature},
		"identity key": {change(3, hubSigned), ReasonSignature},
		"ciphertext":   {change(1, func(b []byte) { b[130] ^= 1 }), ReasonLink},
		"order":        {[]part.Part{run[1], run[0]}, ReasonLink},
		"hole":         {[]part.Part{run[0], run[2]}, ReasonLink},
		"epoch":        {fromSecond, ReasonEpoch},
		"whole":        {run, ""},
	} {
		if _, err := o.OpenRun(c.run); reasonOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := o.OpenRun(nil); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("empty run: %v", err)
	}
	if _, err := o.OpenRun(fromSecond); !errors.Is(err, latchkey.ErrNotFound) {
		t.Errorf("unknown epoch is %v", err)
	}
	o2 := h.opener(t, ann2)
	o2.Drop(e2.ID())
	if _, err := o2.OpenRun(fromSecond); reasonOf(err) != ReasonEpoch {
		t.Errorf("dropped epoch: %v", err)
	}
	o.Close()
	if _, err := o.OpenRun(run); reasonOf(err) != ReasonEpoch {
		t.Errorf("closed: %v", err)
	}
	if _, ok := o.Epoch(e.ID()); ok {
		t.Error("closed, and knows an epoch")
	}
}

// A hub that signs with its epoch key what does not open is told apart from a
// server that changes bytes.
func TestSignedNonsense(t *testing.T) {
	h := newHouse(t)
	e, ann := h.epoch(t)
	o := h.opener(t, ann)
	for name, c := range map[string]struct {
		change func(raw []byte)
		want   Reason
	}{
		"commitment": {func(b []byte) { b[100] ^= 1 }, ReasonCommitment},
		"salt":       {func(b []byte) { b[50] ^= 1 }, ReasonCommitment},
		"ciphertext": {func(b []byte) { b[200] ^= 1 }, ReasonCiphertext},
		"prev":       {func(b []byte) { b[70] ^= 1 }, ReasonLink},
	} {
		e, ann := h.epoch(t)
		if _, err := o.AddEpoch(h.material(ann), []*keys.Sealing{h.x}); err != nil {
			t.Fatal(err)
		}
		raw := bytes.Clone(sealPart(t, e, h.tracks[0].ID, 0, 0, 9).Raw)
		c.change(raw)
		p, err := part.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		copy(raw[len(raw)-part.SigSize:], e.signer.Sign(part.SigMessage(p.Hash())))
		if _, err := o.OpenRun([]part.Part{p}); reasonOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	leaf := e.sealers[h.tracks[0].ID].tree.leaf
	malformed := sealInner(t, e, h.tracks[0].ID, leaf, []byte{1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0})
	if _, err := o.OpenRun([]part.Part{malformed}); reasonOf(err) != ReasonRecords {
		t.Errorf("malformed records: %v", err)
	}
}

// sealInner seals any plaintext as seq 0 of a track.
func sealInner(t *testing.T, e *Epoch, track latchkey.TrackID, leaf *key, inner []byte) part.Part {
	t.Helper()
	s := &sealer{tree: &tree{leaf: leaf}}
	h := part.Header{CTLen: uint32(len(inner) + part.TagSize), Epoch: e.ID(), Track: track, Prev: e.NoteHash()}
	raw, ph := s.encrypt(h, append(make([]byte, part.HeaderSize, part.HeaderSize+len(inner)+part.TagSize+ed25519.SignatureSize), inner...))
	p, err := part.Parse(append(raw, e.signer.Sign(part.SigMessage(ph))...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func FuzzCapsule(f *testing.F) {
	two := []entry{{track: latchkey.TrackID{1}}, {track: latchkey.TrackID{1}, node: part.Node{Level: 17, Index: 131071}}}
	b, err := marshalCapsule(two)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseCapsule(b)
		if err != nil {
			return
		}
		if again, err := marshalCapsule(entries); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("encodes to other bytes: %v", err)
		}
	})
}
