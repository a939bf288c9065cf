package main

import (
	"crypto/ed25519"
	"encoding/binary"

	"latchkey.dev/latchkey/testkit"
)

// leafOf walks a tree from its root to the leaf of a slot (protocol 2.4).
func leafOf(root []byte, slot uint32) []byte {
	node := root
	for bit := 16; bit >= 0; bit-- {
		node = kdf(node, "tree", []byte{byte(slot >> bit & 1)})
	}
	return node
}

// plan is one part to be sealed; the zero fields of the second half mean: as the protocol says.
type plan struct {
	flags     uint8
	slot, seq uint32
	prev      []byte
	records   []testkit.RecordVector
	padded    int

	inner      []byte // this plaintext instead of the records
	commitLeaf []byte // commitment of another leaf
	keyLeaf    []byte // ciphertext under the key of another leaf
	signer     *edKey // signed by another key
}

// track is what a hub knows of one track of an epoch.
type track struct {
	epoch, id, root []byte
	signer          edKey
}

// seal makes one part (protocol 2.5).
func (t track) seal(p plan) testkit.RunVector {
	inner := p.inner
	if inner == nil {
		inner = innerOf(p.records, p.padded)
	}
	leaf := leafOf(t.root, p.slot)
	random := draw("part random "+string(u32(p.seq))+string(t.id), 16)
	drawn := cat(random, u32(p.slot), u32(p.seq))
	tag := aead(kdf(leaf, "salt key", drawn), inner, nil)
	salt := kdf(leaf, "salt", drawn, tag)[:16]
	head := cat([]byte("LK1"), []byte{p.flags}, u32(p.slot), u32(p.seq), u32(uint32(len(inner)+16)), t.epoch, t.id, salt)
	header := cat(head, p.prev, kdf(or(p.commitLeaf, leaf), "part commit", head))
	ct := aead(kdf(or(p.keyLeaf, leaf), "part key", head), header, inner)
	ph := hash(header, ct)
	signer := t.signer
	if p.signer != nil {
		signer = *p.signer
	}
	sig := ed25519.Sign(signer.priv, cat([]byte("latchkey/v1 part\x00"), ph))
	return testkit.RunVector{Slot: p.slot, Seq: p.seq, Flags: p.flags, Records: p.records, Random: random, Leaf: leaf,
		Inner: hash(inner), Hash: ph, Part: cat(header, ct, sig)}
}

func or(a, b []byte) []byte {
	if a != nil {
		return a
	}
	return b
}

// sealAll seals plans as consecutive parts after the hash prev.
func (t track) sealAll(prev []byte, plans ...plan) []testkit.RunVector {
	var out []testkit.RunVector
	for _, p := range plans {
		if p.prev == nil {
			p.prev = prev
		}
		v := t.seal(p)
		prev = v.Hash
		out = append(out, v)
	}
	return out
}

func innerOf(records []testkit.RecordVector, padded int) []byte {
	var out []byte
	for _, r := range records {
		out = cat(out, []byte{r.Type}, u32(uint32(len(r.Data))), r.Data)
	}
	return append(out, make([]byte, padded-len(out))...)
}

func text(kind uint8, s string) testkit.RecordVector {
	return testkit.RecordVector{Type: kind, Data: []byte(s)}
}

// trackFor finds a track of the epoch note.
func trackFor(e testkit.Epoch, id []byte) track {
	for _, r := range e.Roots {
		if string(r.Track) == string(id) {
			return track{epoch: e.Epoch, id: id, root: r.Root, signer: newEd(e.SignerSeed)}
		}
	}
	panic("the epoch has no such track")
}

func runVectors(h household, e testkit.Epoch) testkit.Run {
	video, meta := trackFor(e, h.tracks["porch video"]), trackFor(e, h.tracks["porch meta"])
	start := []byte(e.Note.Hash)
	v := testkit.Run{
		Doc: testkit.Doc{
			About: "Two whole tracks of the epoch of epoch.json, runs that must not verify, and runs that verify and must not open.",
			Fields: map[string]string{
				"signer_seed":     "Ed25519 seed of the epoch's signer",
				"epoch_note_hash": "prev of every part with seq 0",
				"tracks":          "per track its root and all its parts, the last with END",
				"random":          "the sealer's random value in the salt",
				"leaf":            "tree leaf of the part's slot",
				"inner_sha256":    "of the padded plaintext",
				"hash":            "part hash H(header ‖ ct)",
				"broken":          "each part parses; the run must not verify with signer_pub and prev as the hash before its first part",
				"must_not_open":   "the run verifies with signer_pub and prev; a reader with root as the root of track must refuse it",
			},
		},
		SignerSeed: e.SignerSeed, SignerPub: e.SignerPub, EpochHash: start, Epoch: e.Epoch,
	}
	parts := video.sealAll(start, videoPlans()...)
	state := `{"v":1,"type":"state"}`
	metaParts := meta.sealAll(start,
		plan{flags: 1, slot: 0, seq: 0, records: []testkit.RecordVector{text(4, state)}, padded: 1024},
		plan{flags: 1, slot: 60, seq: 1, records: []testkit.RecordVector{{Type: 4, Data: draw("long event", 1100)}}, padded: 4096},
		plan{flags: 3, slot: 131071, seq: 2, records: []testkit.RecordVector{text(4, state)}, padded: 1024})
	v.Tracks = []testkit.TrackRun{
		{Track: video.id, Kind: "video", Root: video.root, Parts: parts},
		{Track: meta.id, Kind: "meta", Root: meta.root, Parts: metaParts},
	}
	v.Broken = brokenRuns(h, video, start, parts, metaParts)
	v.Unopenable = unopenableRuns(video, meta, start)
	return v
}

// videoPlans are seven parts: random access at both ends of slot 1, an unknown
// record, one part above the smallest padding, and END.
func videoPlans() []plan {
	init := text(2, "an init segment")
	return []plan{
		{flags: 1, slot: 0, seq: 0, records: []testkit.RecordVector{init, text(1, "key frame 0")}, padded: 256},
		{slot: 0, seq: 1, records: []testkit.RecordVector{text(1, "frame 1")}, padded: 256},
		{slot: 0, seq: 2, records: []testkit.RecordVector{{Type: 1, Data: draw("frame 2", 995)}}, padded: 1024},
		{flags: 1, slot: 1, seq: 3, records: []testkit.RecordVector{init, text(1, "key frame 3")}, padded: 256},
		{slot: 1, seq: 4, records: []testkit.RecordVector{text(200, "a type of tomorrow"), text(1, "frame 4"), {Type: 1}}, padded: 256},
		{slot: 3, seq: 5, records: []testkit.RecordVector{text(1, "frame 5")}, padded: 256},
		{flags: 2, slot: 3, seq: 6, records: nil, padded: 256},
	}
}

// bytesOf lists the parts of a run.
func bytesOf(parts ...testkit.RunVector) []hexBytes {
	var out []hexBytes
	for _, p := range parts {
		out = append(out, p.Part)
	}
	return out
}

// brokenRuns are what a lying server could send, and what a hub must not write.
func brokenRuns(h household, video track, start []byte, p, meta []testkit.RunVector) []testkit.BrokenRun {
	var out []testkit.BrokenRun
	run := func(name string, prev []byte, parts ...hexBytes) {
		out = append(out, testkit.BrokenRun{Name: name, Prev: prev, Parts: parts})
	}
	edit := func(i int, part []byte) []hexBytes {
		parts := bytesOf(p...)
		parts[i] = part
		return parts
	}
	n := len(p)
	last := len(p[n-1].Part)
	run("a part is dropped", start, append(bytesOf(p[:2]...), bytesOf(p[3:]...)...)...)
	run("two parts change places", start, bytesOf(p[0], p[2], p[1], p[3])...)
	run("a part comes twice", start, bytesOf(p[0], p[1], p[1], p[2])...)
	run("the run starts again", start, append(bytesOf(p...), bytesOf(p...)...)...)
	run("the first part is missing", start, bytesOf(p[1:]...)...)
	run("it follows another part", p[0].Hash, bytesOf(p...)...)
	run("a part of another track", start, edit(1, meta[1].Part)...)
	run("flipped bit of a slot", start, edit(1, flip(p[1].Part, 7, 1))...)
	run("flipped bit of a salt", start, edit(1, flip(p[1].Part, 48, 1))...)
	run("flipped bit of a commitment", start, edit(1, flip(p[1].Part, 96, 0x80))...)
	run("flipped bit of a ciphertext", start, edit(1, flip(p[1].Part, 128, 1))...)
	run("flipped bit of a tag", start, edit(1, flip(p[1].Part, len(p[1].Part)-65, 1))...)
	run("flipped bit of the last ciphertext", start, edit(n-1, flip(p[n-1].Part, 200, 1))...)
	run("flipped bit of the last signature", start, edit(n-1, flip(p[n-1].Part, last-1, 1))...)
	run("signature of another part", start, edit(n-1, cat(p[n-1].Part[:last-64], p[0].Part[len(p[0].Part)-64:]))...)
	run("ciphertext of one part under the header of another", start, edit(1, cat(p[1].Part[:128], p[0].Part[128:]))...)
	run("END flag cleared", start, edit(n-1, flip(p[n-1].Part, 3, 2))...)
	run("END flag set in the middle", start, edit(2, flip(p[2].Part, 3, 2))...)
	frame := []testkit.RecordVector{text(1, "frame")}
	wrong := func(name string, plans ...plan) {
		for i := range plans {
			plans[i].records, plans[i].padded = frame, 256
		}
		run(name, start, bytesOf(video.sealAll(start, plans...)...)...)
	}
	hub := h.hub
	wrong("signed by the hub's identity key", plan{flags: 1}, plan{seq: 1, signer: &hub})
	wrong("sealed with a slot that goes back", plan{flags: 1, slot: 5}, plan{slot: 4, seq: 1})
	wrong("sealed with a gap in seq", plan{flags: 1}, plan{seq: 2})
	wrong("sealed with equal seq", plan{flags: 1}, plan{seq: 0})
	wrong("sealed after END", plan{flags: 3}, plan{seq: 1})
	wrong("sealed with another prev", plan{flags: 1}, plan{seq: 1, prev: draw("another prev", 32)})
	otherEpoch := video
	otherEpoch.epoch = draw("another epoch", 16)
	first := video.seal(plan{flags: 1, prev: start, records: frame, padded: 256})
	run("continued from another epoch", start, bytesOf(first, otherEpoch.seal(plan{seq: 1, prev: first.Hash, records: frame, padded: 256}))...)
	otherTrack := video
	otherTrack.id = draw("another track", 16)
	run("continued on another track", start, bytesOf(first, otherTrack.seal(plan{seq: 1, prev: first.Hash, records: frame, padded: 256}))...)
	return out
}

// unopenableRuns are rightly signed and wrongly sealed.
func unopenableRuns(video, meta track, start []byte) []testkit.UnopenableRun {
	frame := []testkit.RecordVector{text(1, "frame")}
	one := func(name string, t track, p plan) testkit.UnopenableRun {
		if p.padded == 0 {
			p.padded = 256
		}
		p.flags, p.prev = 1, start
		return testkit.UnopenableRun{Name: name, Track: video.id, Root: video.root, Prev: start, Parts: bytesOf(t.seal(p))}
	}
	dirty := innerOf(frame, 256)
	dirty[255] = 1
	long := innerOf(frame, 256)
	binary.BigEndian.PutUint32(long[1:], 252)
	gap := cat([]byte{0}, innerOf(frame, 255))
	otherRoot := video
	otherRoot.root = meta.root
	return []testkit.UnopenableRun{
		one("sealed under another root", otherRoot, plan{slot: 3, records: frame}),
		one("commitment of another leaf", video, plan{slot: 3, records: frame, commitLeaf: leafOf(video.root, 4)}),
		one("ciphertext under another leaf", video, plan{slot: 3, records: frame, keyLeaf: leafOf(video.root, 4)}),
		one("padding that is not zero", video, plan{slot: 3, inner: dirty}),
		one("record length beyond the plaintext", video, plan{slot: 3, inner: long}),
		one("a record after padding", video, plan{slot: 3, inner: gap}),
	}
}

func partVectors(e testkit.Epoch, h household) testkit.PartBytes {
	t := trackFor(e, h.tracks["porch video"])
	good := t.seal(plan{flags: 1, slot: 3661, seq: 7, prev: draw("prev", 32), records: []testkit.RecordVector{text(1, "frame")}, padded: 256}).Part
	with := func(at int, b ...byte) []byte {
		c := append([]byte(nil), good...)
		copy(c[at:], b)
		return c
	}
	short := cat(with(12, u32(20)...)[:128+20], good[len(good)-64:])
	return testkit.PartBytes{
		Doc: testkit.Doc{
			About: "Single parts that the strict parser must refuse, whatever their signature.",
			Fields: map[string]string{
				"valid":  "a part that parses, from which the others are made",
				"reject": "bytes that are not exactly one part",
			},
		},
		Valid: good,
		Rejects: []testkit.Reject{
			{Name: "empty", Bytes: nil},
			{Name: "header flag 0x04", Bytes: with(3, 0x05)},
			{Name: "header flag 0x80", Bytes: with(3, 0x80)},
			{Name: "slot 131072", Bytes: with(4, u32(131072)...)},
			{Name: "slot 2^32-1", Bytes: with(4, u32(1<<32-1)...)},
			{Name: "ctlen 20", Bytes: short},
			{Name: "ctlen 0", Bytes: with(12, u32(0)...)},
			{Name: "ctlen 16 MiB + 1", Bytes: with(12, u32(16<<20+1)...)},
			{Name: "ctlen one more than the bytes", Bytes: with(12, u32(273)...)},
			{Name: "ctlen one less than the bytes", Bytes: with(12, u32(271)...)},
			{Name: "magic of another version", Bytes: with(2, '2')},
			{Name: "trailing byte", Bytes: cat(good, []byte{0})},
			{Name: "last byte missing", Bytes: good[:len(good)-1]},
			{Name: "header only", Bytes: good[:128]},
			{Name: "half a header", Bytes: good[:64]},
			{Name: "two parts", Bytes: cat(good, good)},
		},
	}
}

func recordVectors() testkit.Records {
	inner := func(padded int, records ...testkit.RecordVector) testkit.InnerVector {
		if records == nil {
			records = []testkit.RecordVector{}
		}
		return testkit.InnerVector{Inner: innerOf(records, padded), Records: records}
	}
	long := innerOf([]testkit.RecordVector{text(1, "frame")}, 64)
	binary.BigEndian.PutUint32(long[1:], 60)
	huge := flip(long, 1, 0xff)
	dirty := flip(innerOf([]testkit.RecordVector{text(1, "frame")}, 64), 63, 1)
	return testkit.Records{
		Doc: testkit.Doc{
			About: "The plaintext of a part: records and padding.",
			Fields: map[string]string{
				"valid":  "plaintexts and their records, those of unknown type too",
				"padded": "n bytes of records are padded to padded on a track of kind; padded -1: too large",
				"reject": "plaintexts that no parser may accept",
			},
		},
		Valid: []testkit.InnerVector{
			inner(256), inner(256, text(1, "hello, household")), inner(64, text(2, "init"), text(1, "fragment"), text(3, "")),
			inner(9, text(4, "abcd")), inner(10, text(4, "abcd")), inner(5, text(255, "")), inner(32, text(77, "unknown"), text(5, "vector")),
		},
		Padding: paddings(),
		Rejects: []testkit.Reject{
			{Name: "record length beyond inner", Bytes: long},
			{Name: "record length of nearly 4 GiB", Bytes: huge},
			{Name: "padding that is not zero", Bytes: dirty},
			{Name: "record after padding", Bytes: cat([]byte{0}, innerOf([]testkit.RecordVector{text(1, "frame")}, 63))},
			{Name: "cut record head", Bytes: []byte{1, 0, 0, 0}},
			{Name: "type only", Bytes: []byte{1}},
			{Name: "length one past the end", Bytes: []byte{1, 0, 0, 0, 1}},
		},
	}
}

// paddings are worked out by hand from the definition: all but the top bits of
// the length that floor(log2(floor(log2 n)))+1 leaves are rounded up.
func paddings() []testkit.PaddedVector {
	var out []testkit.PaddedVector
	add := func(kind string, n, padded int) {
		out = append(out, testkit.PaddedVector{Kind: kind, Len: n, Padded: padded})
	}
	for _, kind := range []string{"video", "video-sub", "audio", "bio"} {
		add(kind, 0, 256)
		add(kind, 256, 256)
		add(kind, 257, 272)
		add(kind, 1000, 1024)
		add(kind, 30000, 30720)
		add(kind, 250000, 253952)
		add(kind, 1048577, 1081344)
		add(kind, 16515072, 16515072)
		add(kind, 16515073, -1)
	}
	for _, p := range [][2]int{{0, 1024}, {1024, 1024}, {1025, 4096}, {4097, 16384}, {16385, 65536}, {65537, 262144}, {262144, 262144}, {262145, -1}} {
		add("meta", p[0], p[1])
	}
	return out
}
