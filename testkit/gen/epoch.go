package main

import (
	"bytes"
	"fmt"
	"sort"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

// chainAt is the position in the chain of statements.json at which the epoch
// is made: founder, second admin and a viewer of one track are members.
const chainAt = 8

func epochVectors(old keeper, h household) (testkit.Epoch, error) {
	signer := newEd(draw("seed epoch signer", 32))
	position := chainOf(h).links[chainAt]
	v := testkit.Epoch{
		Doc: testkit.Doc{
			About: "The epoch note: who may read an epoch and which tree roots it commits to.",
			Fields: map[string]string{
				"hub_seed":     "Ed25519 seed of the hub's identity key, which signs the note",
				"signer_seed":  "Ed25519 seed of the epoch's signer, whose public half the note names",
				"hub … last":   "the values of the note's lines; hub is the kid of the hub's Ed25519 key",
				"roots":        "per track its root (secret) and commitment KDF(root, 'root commit', epoch ‖ track); sorted as in the note",
				"seal_lines":   "one per recipient, in any order; line is the text that is hashed",
				"capsules":     "one per recipient at that position of the chain, with his X-Wing seed; randomised; opens under household and scope = epoch to entries",
				"seals":        "H over the sorted H(line)",
				"note":         "the signed note",
				"first":        "the first note of a hub: n 0, prev zero, clock unsynced, no tracks, no seal lines, no last",
				"reject":       "signed by the hub; the parser must refuse the text",
				"chain_*":      "position in the chain of statements.json at which the recipients were computed",
				"proof_time":   "unix time of the last completeness proof; 0 means none yet",
				"clock_synced": "line clock: synced or unsynced",
			},
		},
		HubSeed: h.hub.seed, SignerSeed: signer.seed, Household: h.id, Hub: h.hub.kid(), N: 7, Prev: draw("previous epoch note", 32),
		Epoch: draw("epoch", 16), Start: 1_790_000_100, ClockSynced: true, ChainSeq: chainAt, ChainHash: hash([]byte(position.text)), SignerPub: signer.pub,
	}
	for _, t := range []string{"porch video", "porch video-sub", "porch audio", "porch meta"} {
		root := draw("root "+t, 32)
		v.Roots = append(v.Roots, testkit.RootVector{Track: h.tracks[t], Root: root, Commit: kdf(root, "root commit", v.Epoch, h.tracks[t])})
	}
	sort.Slice(v.Roots, func(i, j int) bool { return b64(v.Roots[i].Track) < b64(v.Roots[j].Track) })
	if err := sealTo(&v, old, h); err != nil {
		return v, err
	}
	v.Seals = sealsOf(v.SealLines)
	for _, t := range []string{"porch video", "porch meta"} {
		v.Last = append(v.Last, testkit.LastVector{Track: h.tracks[t], Epoch: draw("earlier epoch", 16), Seq: 4_294_967_295, Hash: draw("last "+t, 32)})
	}
	sort.Slice(v.Last, func(i, j int) bool { return b64(v.Last[i].Track) < b64(v.Last[j].Track) })
	lines := epochLines(v)
	v.Note = h.hub.note(textOf("epoch", lines...))
	first := v
	first.N, first.Prev, first.ClockSynced, first.Roots, first.Last, first.Seals = 0, make([]byte, 32), false, nil, nil, hash(nil)
	v.First = h.hub.note(textOf("epoch", epochLines(first)...))
	v.Rejects = badNotes(h.hub, badEpochs(lines))
	return v, nil
}

// sealTo makes the capsules of the three members and their seal lines.
func sealTo(v *testkit.Epoch, old keeper, h household) error {
	kept, err := old.capsules()
	if err != nil {
		return err
	}
	for _, x := range []xKey{h.founderX, h.secondX, h.viewerX} {
		c := testkit.EpochCapsule{Kid: x.kid(), XSeed: x.seed}
		for _, r := range v.Roots {
			if string(x.seed) != string(h.viewerX.seed) || string(r.Track) == string(h.tracks["porch video"]) {
				c.Entries = append(c.Entries, testkit.EntryVector{Epoch: v.Epoch, Track: r.Track, Key: r.Root})
			}
		}
		sort.Slice(c.Entries, func(i, j int) bool { return string(c.Entries[i].Track) < string(c.Entries[j].Track) })
		info := cat([]byte("latchkey/v1 capsule\x00"), v.Household, v.Epoch, x.kid())
		if c.Capsule, err = sealedExample(kept[string(x.kid())], x, "LKC1", info, capsulePlain(c.Entries)); err != nil {
			return err
		}
		v.Capsules = append(v.Capsules, c)
		s := testkit.SealVector{Kid: x.kid(), Hash: hash(c.Capsule)}
		s.Line = b64(s.Kid) + " " + b64(s.Hash) + "\n"
		v.SealLines = append(v.SealLines, s)
	}
	return nil
}

func sealsOf(lines []testkit.SealVector) []byte {
	var hashes [][]byte
	for _, l := range lines {
		hashes = append(hashes, hash([]byte(l.Line)))
	}
	sort.Slice(hashes, func(i, j int) bool { return bytes.Compare(hashes[i], hashes[j]) < 0 })
	return hash(hashes...)
}

func epochLines(v testkit.Epoch) []string {
	clock := "unsynced"
	if v.ClockSynced {
		clock = "synced"
	}
	lines := []string{
		"household " + b64(v.Household), "hub " + b64(v.Hub), fmt.Sprintf("n %d", v.N), "prev " + b64(v.Prev),
		"epoch " + b64(v.Epoch), fmt.Sprintf("start %d", v.Start), "clock " + clock,
		fmt.Sprintf("chain %d %s %d", v.ChainSeq, b64(v.ChainHash), v.ProofTime), "signer " + b64(v.SignerPub),
	}
	var tracks, last []string
	for _, r := range v.Roots {
		tracks = append(tracks, "track "+b64(r.Track)+" "+b64(r.Commit))
	}
	for _, l := range v.Last {
		last = append(last, fmt.Sprintf("last %s %s %d %s", b64(l.Track), b64(l.Epoch), l.Seq, b64(l.Hash)))
	}
	lines = append(lines, sorted(tracks...)...)
	lines = append(lines, "seals "+b64(v.Seals))
	return append(lines, sorted(last...)...)
}

// edited returns the text with the first line of that key replaced.
func edited(noteType string, lines []string, key, with string) string {
	var out []string
	done := false
	for _, l := range lines {
		if !done && strings.HasPrefix(l, key+" ") {
			done = true
			if with != "" {
				out = append(out, with)
			}
			continue
		}
		out = append(out, l)
	}
	return textOf(noteType, out...)
}

// lineOf returns the i-th line of a key.
func lineOf(lines []string, key string, i int) string {
	for _, l := range lines {
		if strings.HasPrefix(l, key+" ") {
			if i == 0 {
				return l
			}
			i--
		}
	}
	panic("no " + key + " line")
}

func badEpochs(lines []string) map[string]string {
	e := func(key, with string) string { return edited("epoch", lines, key, with) }
	first := lineOf(lines, "track", 0)
	track := strings.Fields(first)[1]
	lastWords := strings.Fields(lineOf(lines, "last", 0))
	last := func(i int, w string) string {
		c := append([]string(nil), lastWords...)
		c[i] = w
		return strings.Join(c, " ")
	}
	return map[string]string{
		"clock of another word":         e("clock", "clock unknown"),
		"chain without proof time":      e("chain", "chain 8 "+b64(draw("chain head", 32))),
		"chain with four words":         e("chain", "chain 8 "+b64(draw("chain head", 32))+" 0 0"),
		"signer of 31 bytes":            e("signer", "signer "+b64(draw("s", 31))),
		"seals missing":                 e("seals", ""),
		"seals after last":              e("seals", "") + "seals " + b64(draw("s", 32)) + "\n",
		"start with leading zero":       e("start", "start 01790000100"),
		"track without commitment":      e("track", "track "+track),
		"equal track lines":             e("track", first+"\n"+first),
		"one track with two roots":      e("track", "track "+track+" "+b64(make([]byte, 32))+"\n"+first),
		"tracks not sorted":             e("track", "track zzzzzzzzzzzzzzzzzzzzzA== "+b64(draw("commit", 32))),
		"track commitment of 31 bytes":  e("track", "track "+track+" "+b64(draw("commit", 31))),
		"last with seq past 32 bits":    e("last", last(3, "4294967296")),
		"last with seq of leading zero": e("last", last(3, "01")),
		"last without hash":             e("last", strings.Join(lastWords[:4], " ")),
		"epoch twice":                   e("epoch", lineOf(lines, "epoch", 0)+"\n"+lineOf(lines, "epoch", 0)),
	}
}

func headsVectors(h household) testkit.Heads {
	signer := newEd(draw("seed epoch signer", 32))
	v := testkit.Heads{
		Doc: testkit.Doc{
			About: "The heads note: how far each track of an epoch has come.",
			Fields: map[string]string{
				"signer_seed":     "Ed25519 seed of the epoch's signer, which signs the note",
				"household … log": "the values of the note's lines",
				"heads":           "head lines, sorted as in the note; hash is the part hash of seq",
				"note":            "the signed note",
				"reject":          "signed by the epoch's signer; the parser must refuse the text",
			},
		},
		SignerSeed: signer.seed, Household: h.id, Hub: h.hub.kid(), Epoch: draw("epoch", 16), N: 3, Time: 1_790_000_280,
		ChainSeq: chainAt, ChainHash: hash([]byte(chainOf(h).links[chainAt].text)), LogSize: 0, LogRoot: make([]byte, 32),
	}
	for i, t := range []string{"porch video", "porch video-sub", "porch meta"} {
		v.Heads = append(v.Heads, testkit.HeadVector{Track: h.tracks[t], Seq: uint32(i * 4500), Hash: draw("head "+t, 32)})
	}
	sort.Slice(v.Heads, func(i, j int) bool { return b64(v.Heads[i].Track) < b64(v.Heads[j].Track) })
	lines := []string{
		"household " + b64(v.Household), "hub " + b64(v.Hub), "epoch " + b64(v.Epoch), fmt.Sprintf("n %d", v.N),
		fmt.Sprintf("time %d", v.Time), fmt.Sprintf("chain %d %s %d", v.ChainSeq, b64(v.ChainHash), v.ProofTime),
		fmt.Sprintf("log %d %s", v.LogSize, b64(v.LogRoot)),
	}
	for _, x := range v.Heads {
		lines = append(lines, fmt.Sprintf("head %s %d %s", b64(x.Track), x.Seq, b64(x.Hash)))
	}
	v.Note = signer.note(textOf("heads", lines...))
	first := lineOf(lines, "head", 0)
	track := strings.Fields(first)[1]
	e := func(key, with string) string { return edited("heads", lines, key, with) }
	v.Rejects = badNotes(signer, map[string]string{
		"one track with two heads": e("head", "head "+track+" 0 "+b64(make([]byte, 32))+"\n"+first),
		"heads not sorted":         e("head", "head zzzzzzzzzzzzzzzzzzzzzA== 1 "+b64(draw("h", 32))),
		"head with four words":     e("head", first+" 1"),
		"log without root":         e("log", "log 0"),
		"log missing":              e("log", ""),
		"n negative":               e("n", "n -1"),
	})
	return v
}

func loginVectors(h household) testkit.Login {
	v := testkit.Login{
		Doc: testkit.Doc{
			About: "The login note: an addition of this project to the protocol.",
			Fields: map[string]string{
				"seed":             "Ed25519 seed of the signer, here a member's",
				"household … time": "the values of the note's lines; by is the kid of the signing key",
				"note":             "the signed note",
				"reject":           "signed; the parser must refuse the text",
			},
		},
		Seed: h.founder.seed, Household: h.id, By: h.founder.kid(), Server: "http://127.0.0.1:8440", Nonce: draw("login nonce", 16), Time: now,
	}
	lines := []string{"household " + b64(v.Household), "by " + b64(v.By), "server " + v.Server, "nonce " + b64(v.Nonce), fmt.Sprintf("time %d", v.Time)}
	v.Note = h.founder.note(textOf("login", lines...))
	e := func(key, with string) string { return edited("login", lines, key, with) }
	v.Rejects = badNotes(h.founder, map[string]string{
		"server without scheme":    e("server", "server 127.0.0.1:8440"),
		"server with a slash":      e("server", "server http://127.0.0.1:8440/"),
		"server with user":         e("server", "server http://a@127.0.0.1:8440"),
		"server without host":      e("server", "server https://"),
		"server of 256 bytes":      e("server", "server https://"+strings.Repeat("a", 248)),
		"nonce of 15 bytes":        e("nonce", "nonce "+b64(draw("login nonce", 15))),
		"household missing":        e("household", ""),
		"with a line of a command": textOf("login", append(append([]string(nil), lines...), "op epoch")...),
	})
	return v
}
