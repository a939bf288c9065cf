package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

// named is a key that signs C2SP notes under a name of its own.
type named struct {
	edKey
	name string
	alg  byte // 1 plain, 4 cosignature
}

func newNamed(name string, alg byte) named { return named{newEd(draw("seed "+name, 32)), name, alg} }

func (n named) id() []byte { return hash([]byte(n.name+"\n"), []byte{n.alg}, n.pub)[:4] }

func (n named) vkey() string {
	return n.name + "+" + hex.EncodeToString(n.id()) + "+" + b64(cat([]byte{n.alg}, n.pub))
}

// line is a signature line; at counts in cosignatures only.
func (n named) line(text string, at int64) string {
	sig := ed25519.Sign(n.priv, []byte(text))
	if n.alg == 4 {
		sig = cat(u64(uint64(at)), ed25519.Sign(n.priv, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text)))
	}
	return "— " + n.name + " " + b64(cat(n.id(), sig)) + "\n"
}

// treeRoot is RFC 9162's tree hash of entries.
func treeRoot(entries [][]byte) []byte {
	switch n := len(entries); n {
	case 0:
		return hash()
	case 1:
		return hash([]byte{0}, entries[0])
	default:
		k := below(n)
		return hash([]byte{1}, treeRoot(entries[:k]), treeRoot(entries[k:]))
	}
}

// below is the largest power of two smaller than n.
func below(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

func treePath(m int, entries [][]byte) [][]byte {
	if len(entries) == 1 {
		return nil
	}
	if k := below(len(entries)); m < k {
		return append(treePath(m, entries[:k]), treeRoot(entries[k:]))
	} else {
		return append(treePath(m-k, entries[k:]), treeRoot(entries[:k]))
	}
}

func treeGrowth(m int, entries [][]byte, whole bool) [][]byte {
	n := len(entries)
	if m == n {
		if whole {
			return nil
		}
		return [][]byte{treeRoot(entries)}
	}
	if k := below(n); m <= k {
		return append(treeGrowth(m, entries[:k], whole), treeRoot(entries[k:]))
	} else {
		return append(treeGrowth(m-k, entries[k:], false), treeRoot(entries[:k]))
	}
}

func bitOf(tag []byte, d int) byte { return tag[d/8] >> (7 - d%8) & 1 }

// setHash is the protocol's hash of a set.
func setHash(all []testkit.LogElement, d int) []byte {
	switch len(all) {
	case 0:
		return make([]byte, 32)
	case 1:
		return hash([]byte{2}, all[0].Tag, all[0].Value)
	}
	var side [2][]testkit.LogElement
	for _, e := range all {
		side[bitOf(e.Tag, d)] = append(side[bitOf(e.Tag, d)], e)
	}
	return hash([]byte{3}, setHash(side[0], d+1), setHash(side[1], d+1))
}

func setProof(all []testkit.LogElement, tag []byte) []byte {
	var siblings []byte
	n := 0
	for d := 0; len(all) > 1; d++ {
		var side [2][]testkit.LogElement
		for _, e := range all {
			side[bitOf(e.Tag, d)] = append(side[bitOf(e.Tag, d)], e)
		}
		siblings = append(siblings, setHash(side[1-bitOf(tag, d)], d+1)...)
		all = side[bitOf(tag, d)]
		n++
	}
	if len(all) == 0 {
		return cat(u16(n), siblings, []byte{0})
	}
	return cat(u16(n), siblings, []byte{1}, all[0].Tag, all[0].Value)
}

// watched is the log of the vectors and everybody who signs for it.
type watched struct {
	log, operator, stranger           named
	anna, ben, cleo, dora, emil, fred named // witnesses
	carla, carl                       named // auditors
	rhea, rolf, rosa                  named // releasers
	root                              named // says who is staff
	entries                           [][]byte
}

const vectorOrigin = "latchkey.example/log/2026"

func newWatched() watched {
	return watched{
		log: newNamed(vectorOrigin, 1), operator: newNamed("latchkey.example", 1),
		anna: newNamed("anna.example", 4), ben: newNamed("ben.example", 4), cleo: newNamed("cleo.example", 4),
		dora: newNamed("dora.example", 4), emil: newNamed("emil.example", 4), fred: newNamed("fred.example", 4),
		carla: newNamed("carla.example", 1), carl: newNamed("carl.example", 1),
		rhea: newNamed("rhea.example", 1), rolf: newNamed("rolf.example", 1), rosa: newNamed("rosa.example", 1), stranger: newNamed("stranger.example", 1),
		root: newNamed("staff.latchkey.example", 1),
	}
}

func (w watched) policy() string {
	return "# the vectors' own\nlog " + w.log.vkey() + " https://latchkey.example/log/2026\noperator " + w.operator.vkey() +
		"\nwitness anna " + w.anna.vkey() + "\nwitness ben " + w.ben.vkey() + " https://ben.example\nwitness cleo " + w.cleo.vkey() +
		"\n  witness dora\t" + w.dora.vkey() + "\nwitness emil " + w.emil.vkey() + "\n\nwitness fred " + w.fred.vkey() +
		"\ngroup pair all anna ben\ngroup most 2 dora emil fred\ngroup either any pair cleo most\nquorum either\nauditor carla " + w.carla.vkey() +
		"\nauditor carl " + w.carl.vkey() + " https://carl.example\nreleaser rhea " + w.rhea.vkey() + "\nreleaser rolf " + w.rolf.vkey() +
		"\nreleaser rosa " + w.rosa.vkey() + " https://rosa.example\nstaffroot people " + w.root.vkey() + "\n"
}

func checkpointText(origin string, size int, root []byte) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, size, b64(root))
}

// checkpoint is one of the first size entries, signed by the log and these.
func (w watched) checkpoint(size int, lines ...func(text string) string) string {
	text := checkpointText(vectorOrigin, size, treeRoot(w.entries[:size]))
	note := text + "\n" + w.log.line(text, 0)
	for _, l := range lines {
		note += l(text)
	}
	return note
}

func by(n named, at int64) func(string) string {
	return func(text string) string { return n.line(text, at) }
}

const vectorTime = 1_790_000_000

func (w watched) proof(size, index int, extra []byte, checkpoint string) string {
	p := "c2sp.org/tlog-proof@v1\n"
	if extra != nil {
		p += "extra " + b64(extra) + "\n"
	}
	p += fmt.Sprintf("index %d\n", index)
	for _, h := range treePath(index, w.entries[:size]) {
		p += b64(h) + "\n"
	}
	return p + "\n" + checkpoint
}

func setText(origin string, size, count int, root []byte, at int64) string {
	return fmt.Sprintf("latchkey/v1 set\norigin %s\nsize %d\ncount %d\nroot %s\ntime %d\n", origin, size, count, b64(root), at)
}

func ledgerVectors() testkit.Ledger {
	w := newWatched()
	v := testkit.Ledger{
		Doc: testkit.Doc{
			About: "The public log: tags, entries, the set and its proofs, policy, checkpoints, proofs from the tree, set notes, completeness.",
			Fields: map[string]string{
				"ktag":          "log tag key of the household whose statements 0 to 4 are in the log",
				"tags":          "KDF(ktag, 'log tag', seq(8))",
				"entries":       "bytes of an entry, and what is in it",
				"sets":          "elements in any order, the set's hash, and proofs; value is empty where the tag is absent",
				"broken_proofs": "each is refused when it is read, or does not hold for root and tag",
				"policy":        "the policy under which all that follows holds or does not",
				"checkpoints":   "witnessed: unix seconds since which a quorum has vouched",
				"inclusion":     "tlog-proof of an entry",
				"completeness":  "files for ktag; at: up to when the chain is complete",
				"releases":      "release notes with their place in the log; index is that",
				"staff":         "staff notes with the proof that they stand in the log; holds: under policy at now",
				"notices":       "what the operator says of itself",
				"legals":        "requests of authorities",
				"reports":       "what is counted from entries in their order; requests and staff have what is not zero; holds: the notes are signed as they must be, and do not contradict each other",
				"manifests":     "every file of a release, and its hash; text is the one form or none",
			},
		},
		KTag: draw("log ktag", 32), Policy: w.policy(),
	}
	var mine []testkit.LogElement
	for seq := range uint64(6) {
		tag := kdf(v.KTag, "log tag", u64(seq))
		v.Tags = append(v.Tags, testkit.TagVector{Seq: seq, Tag: tag})
		mine = append(mine, testkit.LogElement{Tag: tag, Value: draw(fmt.Sprint("log text ", seq), 32)})
	}
	v.Tags = append(v.Tags, testkit.TagVector{Seq: 1 << 40, Tag: kdf(v.KTag, "log tag", u64(1<<40))})
	var others []testkit.LogElement
	for i := range 40 {
		others = append(others, testkit.LogElement{Tag: draw(fmt.Sprint("log tag ", i), 32), Value: draw(fmt.Sprint("log value ", i), 32)})
	}
	near := testkit.LogElement{Tag: flip(others[0].Tag, 31, 1), Value: draw("log value near", 32)} // agrees in 255 bits
	for _, all := range [][]testkit.LogElement{nil, others[:1], others[:2], others[:3], {others[0], near}, others} {
		v.Sets = append(v.Sets, setVector(all, others[0].Tag, others[39].Tag, near.Tag, mine[5].Tag))
	}
	v.BrokenProofs = brokenSetProofs(others, mine[5].Tag)

	all := append(slices.Clone(others[:30]), mine[:5]...)
	for _, e := range all {
		w.entries = append(w.entries, cat([]byte{0}, e.Tag, e.Value))
	}
	said := setText(vectorOrigin, len(all), len(all), setHash(all, 0), vectorTime)
	set := said + "\n" + w.operator.line(said, 0)
	w.entries = append(w.entries, cat([]byte{1}, []byte(set)))
	for _, e := range others[30:] {
		w.entries = append(w.entries, cat([]byte{0}, e.Tag, e.Value))
	}
	v.Entries = []testkit.LogEntryVector{
		{Entry: w.entries[0], Tag: all[0].Tag, Value: all[0].Value}, {Entry: w.entries[len(all)], Note: set},
	}
	v.BadEntries = badEntries(w.entries[0], set)
	v.BadPolicies = badPolicies(w)
	v.Checkpoints = checkpointVectors(w)
	v.Consistency = consistencyVectors(w)
	v.Inclusion = inclusionVectors(w)
	v.SetNotes = setNoteVectors(w, said, set, all)
	v.Completeness = completenessVectors(w, said, set, all, mine)
	v.Releases, v.Manifests, v.Staff = releaseVectors(w), manifestVectors(), staffVectors(w)
	v.Notices, v.Legals, v.Reports = noticeVectors(w), legalVectors(w), reportVectors(w)
	return v
}

func setVector(all []testkit.LogElement, tags ...testkit.Hex) testkit.SetVector {
	v := testkit.SetVector{Elements: append([]testkit.LogElement{}, all...), Root: setHash(all, 0)}
	for _, tag := range tags {
		p := testkit.SetProofVector{Root: v.Root, Tag: tag, Proof: setProof(all, tag)}
		for _, e := range all {
			if bytes.Equal(e.Tag, tag) {
				p.Value = e.Value
			}
		}
		v.Proofs = append(v.Proofs, p)
	}
	return v
}

func brokenSetProofs(all []testkit.LogElement, absent []byte) []testkit.SetProofVector {
	root, present := setHash(all, 0), all[7].Tag
	good, none := setProof(all, present), setProof(all, absent)
	bad := func(name string, tag, proof []byte) testkit.SetProofVector {
		return testkit.SetProofVector{Name: name, Root: root, Tag: tag, Proof: proof}
	}
	empty := cat(good[:len(good)-65], []byte{0})
	return []testkit.SetProofVector{
		bad("a sibling is changed", present, flip(good, 5, 1)), bad("the value is changed", present, flip(good, len(good)-1, 1)),
		bad("the tag at its end is changed", present, flip(good, len(good)-33, 1)), bad("it ends in nothing", present, empty),
		bad("the proof of another tag", present, none), bad("present where it is absent", absent, good), bad("a byte is missing", present, good[:len(good)-1]),
		bad("a byte too many", present, cat(good, []byte{0})), bad("another kind of end", present, cat(good[:len(good)-65], []byte{2}, good[len(good)-64:])),
		bad("257 siblings", present, cat(u16(257), make([]byte, 257*32), []byte{0})), bad("no bytes", present, nil), bad("more siblings than bytes", present, []byte{0, 9, 0}),
	}
}

func badEntries(leaf []byte, set string) []testkit.Reject {
	return []testkit.Reject{
		{Name: "nothing"}, {Name: "a leaf of 64 bytes", Bytes: leaf[:64]}, {Name: "a leaf of 66 bytes", Bytes: cat(leaf, []byte{0})},
		{Name: "another kind", Bytes: cat([]byte{2}, leaf[1:])}, {Name: "a note without a signature", Bytes: []byte("\x01latchkey/v1 set\n")},
		{Name: "a note of another domain", Bytes: []byte("\x01other/v1 set\n\n— x AAAA\n")},
		{Name: "a note without its last newline", Bytes: []byte("\x01" + strings.TrimSuffix(set, "\n"))},
	}
}

func badPolicies(w watched) []testkit.NamedText {
	good := w.policy()
	swap := func(name, old, new string) testkit.NamedText {
		if !strings.Contains(good, old) {
			panic(old)
		}
		return testkit.NamedText{Name: name, Text: strings.Replace(good, old, new, 1)}
	}
	ofType := func(n named, alg byte) string { n.alg = alg; return n.vkey() }
	called := func(n named, name string) string { n.name = name; return n.vkey() }
	return []testkit.NamedText{
		swap("a member of two groups, who would count twice", "most 2 dora emil fred", "most 2 dora emil anna"),
		swap("a group in two groups", "quorum either", "group again any pair\nquorum again"),
		swap("one witness's key under two names", w.ben.vkey(), called(w.anna, "beth.example")),
		swap("one auditor's key under two names", w.carl.vkey(), called(w.carla, "charles.example")),
		swap("the operator as auditor under another name", w.carl.vkey(), called(w.operator, "carl.example")),
		swap("the operator as auditor", w.carl.vkey(), w.operator.vkey()),
		swap("the operator as staff root", w.root.vkey(), w.operator.vkey()), swap("the log as staff root", w.root.vkey(), w.log.vkey()),
		swap("a witness as staff root", w.root.vkey(), w.anna.vkey()), swap("a releaser named as staff root", "staffroot people", "staffroot"),
		swap("a witness with a key of type 01", w.ben.vkey(), ofType(w.ben, 1)), swap("an auditor with a key of type 04", w.carl.vkey(), ofType(w.carl, 4)),
		swap("a witness's key with another hash", hex.EncodeToString(w.ben.id()), "00000000"),
		swap("a hash in upper case", hex.EncodeToString(w.ben.id()), strings.ToUpper(hex.EncodeToString(w.ben.id()))),
		swap("a key of 31 bytes", w.ben.vkey(), called(named{edKey: edKey{pub: w.ben.pub[:31]}, alg: 4}, "ben.example")),
		swap("a witness called none", "witness ben", "witness none"), swap("a group called none", "quorum either", "group none any pair\nquorum none"),
		swap("a group with the name of a witness", "group most", "group cleo"), swap("a group before its members", "witness anna", "group some any anna\nwitness anna"),
		swap("a member called none", "emil fred\n", "emil none\n"), swap("a group without members", "pair all anna ben", "pair all"),
		swap("a word after the address", " https://ben.example", " https://ben.example now"), swap("a log without a key", " "+w.log.vkey()+" https://latchkey.example/log/2026", ""),
		{Name: "two logs", Text: good + "log " + w.stranger.vkey() + "\n"}, {Name: "two operators", Text: good + "operator " + w.stranger.vkey() + "\n"},
		{Name: "carriage returns", Text: strings.ReplaceAll(good, "\n", "\r\n")}, swap("a control character in a comment", "# the", "# \x1bthe"), swap("a DEL in a comment", "# the", "# \x7fthe"),
		swap("a space that is none of ASCII", "quorum either", "quorum\u00a0either"), swap("a word in upper case", "quorum", "Quorum"),
		{Name: "nothing"}, swap("no log", "\nlog ", "\n# "), swap("no operator", "\noperator ", "\n# "), swap("no quorum", "quorum either\n", ""),
		{Name: "two quorums", Text: good + "quorum none\n"}, swap("a quorum that is not defined", "quorum either", "quorum neither"),
		swap("a group of too many", "pair all", "pair 3"), swap("a group of none", "pair all", "pair 0"), swap("a number with a zero before it", "pair all", "pair 02"),
		swap("a member twice", "anna ben\n", "anna anna\n"), swap("a member that is not defined", "anna ben\n", "anna nora\n"),
		swap("a name twice", "witness ben", "witness anna"), swap("a key twice", w.ben.vkey(), w.anna.vkey()), swap("a cosigner's key for the log", w.log.vkey(), w.anna.vkey()),
		swap("a releaser alone", "\nreleaser rolf "+w.rolf.vkey()+"\nreleaser rosa "+w.rosa.vkey()+" https://rosa.example", ""),
		swap("one releaser's key under two names", w.rosa.vkey(), called(w.rolf, "rob.example")),
		swap("a changed key", w.carla.vkey(), w.carla.name+"+00000000+"+b64(cat([]byte{1}, w.carla.pub))), {Name: "an unknown word", Text: good + "friend x\n"},
	}
}

func checkpointVectors(w watched) []testkit.CheckpointVector {
	return append(goodCheckpoints(w), badCheckpoints(w)...)
}

// sevenText is the text of the checkpoint of seven entries.
func (w watched) sevenText() string { return checkpointText(vectorOrigin, 7, treeRoot(w.entries[:7])) }

// as is a checkpoint that is signed under another text.
func (w watched) as(text string) string {
	return text + "\n" + w.log.line(text, 0) + w.cleo.line(text, vectorTime)
}

func goodCheckpoints(w watched) []testkit.CheckpointVector {
	holds := func(name, note string, size int, at int64) testkit.CheckpointVector {
		return testkit.CheckpointVector{Name: name, Note: note, Holds: true, Size: int64(size), Root: treeRoot(w.entries[:size]), Witnessed: at}
	}
	return []testkit.CheckpointVector{
		holds("the pair: the older of two", w.checkpoint(7, by(w.anna, vectorTime), by(w.ben, vectorTime+5)), 7, vectorTime),
		holds("one alone", w.checkpoint(36, by(w.cleo, vectorTime+9)), 36, vectorTime+9),
		holds("either: the newer of two", w.checkpoint(7, by(w.anna, vectorTime+1), by(w.ben, vectorTime+2), by(w.cleo, vectorTime-50)), 7, vectorTime+1),
		holds("with a line of somebody unknown", w.checkpoint(7, by(w.cleo, vectorTime), by(w.stranger, 0)), 7, vectorTime),
		holds("of nothing", w.checkpoint(0, by(w.cleo, vectorTime)), 0, vectorTime),
		holds("with a line more in its text", w.as(w.sevenText()+"extension\n"), 7, vectorTime),
		holds("two of three: the older of two", w.checkpoint(7, by(w.fred, vectorTime+3), by(w.dora, vectorTime+4)), 7, vectorTime+3),
		holds("three of three: the one in the middle", w.checkpoint(7, by(w.fred, vectorTime+3), by(w.dora, vectorTime+4), by(w.emil, vectorTime+8)), 7, vectorTime+4),
		holds("the first of two lines of one witness counts", w.checkpoint(7, by(w.cleo, vectorTime), by(w.cleo, vectorTime+9)), 7, vectorTime),
		holds("witnessed when time began", w.checkpoint(7, by(w.cleo, 0)), 7, 0),
		holds("the last second that a reader must know", w.checkpoint(7, by(w.cleo, 1<<53-1)), 7, 1<<53-1),
		holds("somebody unknown sets spare bits", w.checkpoint(7, by(w.cleo, vectorTime), func(string) string { return "— stranger.example AAAAAAC=\n" }), 7, vectorTime),
		holds("a known name with an unknown key", w.checkpoint(7, by(w.cleo, vectorTime), func(string) string { return "— anna.example AAAAAAA=\n" }), 7, vectorTime),
		holds("a known key under an unknown name", w.checkpoint(7, by(w.cleo, vectorTime), func(text string) string { return strings.Replace(w.anna.line(text, 0), "anna", "anne", 1) }), 7, vectorTime),
		holds("a character that is no space in a name", w.checkpoint(7, by(w.cleo, vectorTime), func(string) string { return "— strange\ufeffr.example AAAAAAA=\n" }), 7, vectorTime),
		holds("100 lines", w.checkpoint(7, by(w.cleo, vectorTime), func(string) string { return strings.Repeat("— stranger.example AAAAAAA=\n", 98) }), 7, vectorTime),
	}
}

func badCheckpoints(w watched) []testkit.CheckpointVector {
	fails := func(name, note string) testkit.CheckpointVector {
		return testkit.CheckpointVector{Name: name, Note: note}
	}
	text, other := w.sevenText(), checkpointText("evil.example/log/2026", 7, treeRoot(w.entries[:7]))
	both := w.checkpoint(7, by(w.anna, vectorTime), by(w.ben, vectorTime+5))
	return []testkit.CheckpointVector{
		fails("a second too late to be exact", w.checkpoint(7, by(w.cleo, 1<<53))),
		fails("a time that is negative in 64 bits", w.checkpoint(7, func(text string) string {
			sig := ed25519.Sign(w.cleo.priv, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", uint64(1<<64-1), text))
			return "— cleo.example " + b64(cat(w.cleo.id(), u64(1<<64-1), sig)) + "\n"
		})),
		fails("one of three", w.checkpoint(7, by(w.dora, vectorTime))),
		fails("one of three, twice", w.checkpoint(7, by(w.dora, vectorTime), by(w.dora, vectorTime+1))),
		fails("one of each group", w.checkpoint(7, by(w.dora, vectorTime), by(w.anna, vectorTime))),
		fails("a cosignature without its time", w.checkpoint(7, func(text string) string {
			return "— cleo.example " + b64(cat(w.cleo.id(), ed25519.Sign(w.cleo.priv, []byte(text)))) + "\n"
		})),
		fails("another time than was signed", w.checkpoint(7, func(text string) string {
			sig := ed25519.Sign(w.cleo.priv, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", vectorTime, text))
			return "— cleo.example " + b64(cat(w.cleo.id(), u64(vectorTime+1), sig)) + "\n"
		})),
		fails("a signature line that is no base64", w.checkpoint(7, by(w.cleo, vectorTime), func(string) string { return "— stranger.example AAAA*AA=\n" })),
		fails("a space that is none of ASCII in a name", w.checkpoint(7, by(w.cleo, vectorTime), func(string) string { return "— strange\u0085r.example AAAAAAA=\n" })),
		fails("101 lines", w.checkpoint(7, by(w.cleo, vectorTime), func(string) string { return strings.Repeat("— stranger.example AAAAAAA=\n", 99) })),
		fails("a size too large to be exact", w.as(strings.Replace(text, "\n7\n", "\n9007199254740992\n", 1))),
		fails("half of the pair", w.checkpoint(7, by(w.anna, vectorTime))),
		fails("nobody", w.checkpoint(7)),
		fails("not signed by the log", text+"\n"+w.cleo.line(text, vectorTime)),
		fails("another log", w.as(other)),
		fails("a known key's signature that does not hold", w.checkpoint(7, by(w.cleo, vectorTime), func(string) string { return w.anna.line(other, vectorTime) })),
		fails("a changed size", strings.Replace(both, "\n7\n", "\n8\n", 1)),
		fails("no signatures", text),
		fails("no bytes", ""),
		fails("a size with a zero before it", w.as(strings.Replace(text, "\n7\n", "\n07\n", 1))),
	}
}

func consistencyVectors(w watched) []testkit.ConsistencyVector {
	var out []testkit.ConsistencyVector
	for _, c := range [][2]int{{0, 5}, {1, 2}, {2, 3}, {3, 7}, {4, 8}, {6, 8}, {7, 36}, {32, 46}, {45, 46}, {46, 46}} {
		v := testkit.ConsistencyVector{
			Name: fmt.Sprintf("%d to %d", c[0], c[1]), OldSize: int64(c[0]), OldRoot: treeRoot(w.entries[:c[0]]),
			Size: int64(c[1]), Root: treeRoot(w.entries[:c[1]]), Hashes: []testkit.Hex{}, Holds: true,
		}
		if c[0] > 0 {
			for _, h := range treeGrowth(c[0], w.entries[:c[1]], true) {
				v.Hashes = append(v.Hashes, h)
			}
		}
		out = append(out, v)
		bad := v
		bad.Holds, bad.Name = false, v.Name+", from another tree"
		bad.OldRoot = flip(v.OldRoot, 3, 1)
		if c[0] > 0 {
			out = append(out, bad)
		}
		bad = v
		bad.Holds, bad.Name = false, v.Name+", a hash too many"
		bad.Hashes = append(slices.Clone(v.Hashes), draw("a hash", 32))
		out = append(out, bad)
		if len(v.Hashes) > 0 {
			bad = v
			bad.Holds, bad.Name = false, v.Name+", a hash too few"
			bad.Hashes = v.Hashes[:len(v.Hashes)-1]
			out = append(out, bad)
		}
	}
	shrunk := out[0]
	shrunk.Name, shrunk.Holds, shrunk.OldSize, shrunk.Size, shrunk.OldRoot, shrunk.Root = "5 to 3", false, 5, 3, treeRoot(w.entries[:5]), treeRoot(w.entries[:3])
	return append(out, shrunk)
}

func inclusionVectors(w watched) []testkit.InclusionVector {
	var out []testkit.InclusionVector
	at := by(w.cleo, vectorTime)
	for _, c := range [][2]int{{0, 1}, {0, 7}, {6, 7}, {3, 36}, {35, 46}, {45, 46}} {
		index, size := c[0], c[1]
		proof := w.proof(size, index, draw("extra", 32), w.checkpoint(size, at))
		entry := w.entries[index]
		out = append(out, testkit.InclusionVector{Name: fmt.Sprintf("%d of %d", index, size), Entry: entry, Proof: proof, Holds: true},
			testkit.InclusionVector{Name: fmt.Sprintf("%d of %d, another entry", index, size), Entry: flip(entry, 9, 1), Proof: proof},
			testkit.InclusionVector{Name: fmt.Sprintf("%d of %d, no quorum", index, size), Entry: entry, Proof: w.proof(size, index, nil, w.checkpoint(size))})
	}
	good := w.proof(7, 3, nil, w.checkpoint(7, at))
	for name, bad := range map[string]string{
		"another head": strings.Replace(good, "@v1", "@v2", 1), "an index with a zero before it": strings.Replace(good, "index 3", "index 03", 1),
		"an index beyond the log": strings.Replace(good, "index 3", "index 9", 1), "a neighbour's index": strings.Replace(good, "index 3", "index 2", 1), "no bytes": "",
		"64 hashes": strings.Replace(good, "index 3\n", "index 3\n"+strings.Repeat(b64(draw("a hash", 32))+"\n", 61), 1), "an index too large to be exact": strings.Replace(good, "index 3", "index 9007199254740992", 1),
		"a hash of 31 bytes": strings.Replace(good, "index 3\n", "index 3\n"+b64(draw("a hash", 31))+"\n", 1), "hashes in another order": swapLines(good, 2, 3), "an extra of 4097 bytes": strings.Replace(good, "index 3", "extra "+b64(make([]byte, 4097))+"\nindex 3", 1),
		"no empty line": strings.Replace(good, "\n\n", "\n", 1), "an empty extra": strings.Replace(good, "index 3", "extra \nindex 3", 1),
	} {
		out = append(out, testkit.InclusionVector{Name: name, Entry: w.entries[3], Proof: bad})
	}
	slices.SortStableFunc(out, func(a, b testkit.InclusionVector) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// swapLines changes the places of two lines.
func swapLines(s string, i, j int) string {
	lines := strings.Split(s, "\n")
	lines[i], lines[j] = lines[j], lines[i]
	return strings.Join(lines, "\n")
}

func setNoteVectors(w watched, said, set string, all []testkit.LogElement) []testkit.SetNoteVector {
	fails := func(name, text string, lines ...string) testkit.SetNoteVector {
		return testkit.SetNoteVector{Name: name, Note: text + "\n" + strings.Join(lines, "")}
	}
	other := setText("evil.example/log/2026", 35, 35, setHash(all, 0), vectorTime)
	sign := func(text string) []string { return []string{w.operator.line(text, 0), w.carla.line(text, 0)} }
	change := func(name, old, new string) testkit.SetNoteVector {
		text := strings.Replace(said, old, new, 1)
		return fails(name, text, sign(text)...)
	}
	return []testkit.SetNoteVector{
		{Name: "operator and auditor", Note: set + w.carla.line(said, 0), Holds: true, Size: int64(len(all)), Count: int64(len(all)), Root: setHash(all, 0), Time: vectorTime},
		{Name: "operator and the other auditor", Note: set + w.carl.line(said, 0), Holds: true, Size: int64(len(all)), Count: int64(len(all)), Root: setHash(all, 0), Time: vectorTime},
		{Name: "operator and both auditors", Note: set + w.carl.line(said, 0) + w.carla.line(said, 0), Holds: true, Size: int64(len(all)), Count: int64(len(all)), Root: setHash(all, 0), Time: vectorTime},
		fails("operator twice", said, w.operator.line(said, 0), w.operator.line(said, 0)), fails("a witness is no auditor", said, w.operator.line(said, 0), w.anna.line(said, vectorTime)),
		change("a time too late to be exact", "time 1790000000", "time 9007199254740992"), change("spare bits in the root", b64(setHash(all, 0)), spareBits(b64(setHash(all, 0)))),
		{Name: "no auditor", Note: set}, fails("not the operator", said, w.carla.line(said, 0)), fails("another log", other, sign(other)...),
		fails("an auditor's line that does not hold", said, w.operator.line(said, 0), w.carla.line(other, 0)),
		change("a size with a zero before it", "size 35", "size 035"), change("a negative count", "count 35", "count -35"),
		change("another order", "size 35\ncount 35", "count 35\nsize 35"), change("a line more", "time ", "more x\ntime "), change("a short root", "root ", "root AAAA"),
	}
}

// spareBits sets an unused bit of base64 that is padded.
func spareBits(s string) string {
	digits := strings.TrimRight(s, "=")
	if digits == s {
		panic("no unused bits")
	}
	return digits[:len(digits)-1] + nextB64(digits[len(digits)-1]) + s[len(digits):]
}

func completenessVectors(w watched, said, set string, all, mine []testkit.LogElement) []testkit.CompletenessVector {
	signed := set + w.carla.line(said, 0)
	index := len(all)
	log := func(size int, lines ...func(string) string) string {
		return w.proof(size, index, nil, w.checkpoint(size, lines...))
	}
	file := func(seq int, set, log string, present, absent []byte) string {
		return fmt.Sprintf("latchkey/v1 completeness\nseq %d\nset %s\nlog %s\npresent %s\nabsent %s\n", seq, b64([]byte(set)), b64([]byte(log)), b64(present), b64(absent))
	}
	p, a := setProof(all, mine[4].Tag), setProof(all, mine[5].Tag)
	good := log(46, by(w.cleo, vectorTime+60))
	early := log(46, by(w.cleo, vectorTime-60))
	holds := func(name, f string, at int64) testkit.CompletenessVector {
		return testkit.CompletenessVector{Name: name, File: f, Holds: true, Seq: 4, Head: mine[4].Value, At: at}
	}
	fails := func(name, f string) testkit.CompletenessVector {
		return testkit.CompletenessVector{Name: name, File: f}
	}
	more := append(slices.Clone(all), mine[5]) // a set that has the next one too
	moreText := setText(vectorOrigin, len(all), len(more), setHash(more, 0), vectorTime)
	moreNote := moreText + "\n" + w.operator.line(moreText, 0)
	hidden := w
	hidden.entries = slices.Clone(w.entries)
	hidden.entries[index] = cat([]byte{1}, []byte(moreNote))
	ahead := setText(vectorOrigin, 46, len(all), setHash(all, 0), vectorTime)
	aheadNote := ahead + "\n" + w.operator.line(ahead, 0)
	beyond := w
	beyond.entries = slices.Clone(w.entries)
	beyond.entries[index] = cat([]byte{1}, []byte(aheadNote))
	text := file(4, signed, good, p, a)
	return []testkit.CompletenessVector{
		holds("the other auditor, two of three", file(4, set+w.carl.line(said, 0), log(46, by(w.emil, vectorTime+7), by(w.fred, vectorTime+9)), p, a), vectorTime),
		fails("a number too large to be exact", strings.Replace(text, "seq 4", "seq 9007199254740992", 1)), fails("another household's tag of the next", file(4, signed, good, p, setProof(all, all[3].Tag))),
		fails("a changed set note", file(4, strings.Replace(signed, "count 35", "count 36", 1), good, p, a)), fails("a changed checkpoint", file(4, signed, strings.Replace(good, "\n46\n", "\n45\n", 1), p, a)),
		fails("a hash fewer in the proof of the log", file(4, signed, strings.Replace(good, strings.Split(good, "\n")[2]+"\n", "", 1), p, a)), fails("spare bits", strings.Replace(text, b64(p), spareBits(b64(p)), 1)),
		holds("up to the set", text, vectorTime), holds("up to the witnesses", file(4, signed, early, p, a), vectorTime-60),
		fails("an older head", file(3, signed, good, setProof(all, mine[3].Tag), setProof(all, mine[4].Tag))),
		fails("a later head", file(5, signed, good, p, a)), fails("present in place of absent", file(4, signed, good, p, p)), fails("absent in place of present", file(4, signed, good, a, a)),
		fails("the next one is in the set", file(4, moreNote+w.carla.line(moreText, 0), hidden.proof(46, index, nil, hidden.checkpoint(46, by(w.cleo, vectorTime))), setProof(more, mine[4].Tag), setProof(more, mine[5].Tag))),
		fails("a set of more than was there", file(4, aheadNote+w.carla.line(ahead, 0), beyond.proof(46, index, nil, beyond.checkpoint(46, by(w.cleo, vectorTime))), p, a)),
		fails("the set is not in the log", file(4, moreNote+w.carla.line(moreText, 0), good, p, a)), fails("no auditor", file(4, set, good, p, a)), fails("no quorum", file(4, signed, log(46), p, a)),
		fails("no bytes", ""), fails("a line more", text+"x\n"), fails("a number with a zero before it", strings.Replace(text, "seq 4", "seq 04", 1)), fails("another type", strings.Replace(text, "completeness", "complete", 1)),
		fails("a changed set proof", file(4, signed, good, flip(p, 7, 1), a)),
	}
}
