package main

import (
	"fmt"
	"slices"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

func releaseText(kind, version string, hash []byte, source string) string {
	return fmt.Sprintf("latchkey/v1 release\nkind %s\nversion %s\nhash %s\nsource %s\n", kind, version, b64(hash), source)
}

// released is a file with a note at the end of the log, under a checkpoint that
// cleo has cosigned.
func (w watched) released(note string) string {
	w.entries = append(slices.Clone(w.entries), cat([]byte{1}, []byte(note)))
	n := len(w.entries)
	proof := w.proof(n, n-1, nil, w.checkpoint(n, by(w.cleo, vectorTime)))
	return "latchkey/v1 released\nnote " + b64([]byte(note)) + "\nlog " + b64([]byte(proof)) + "\n"
}

func releaseVectors(w watched) []testkit.ReleaseVector {
	sum := draw("manifest", 32)
	text := releaseText("web", "1.4.0", sum, "0f3a9c")
	signed := func(text string, by ...named) string {
		note := text + "\n"
		for _, n := range by {
			note += n.line(text, 0)
		}
		return note
	}
	good := signed(text, w.rhea, w.rolf)
	holds := func(name, kind, note string) testkit.ReleaseVector {
		return testkit.ReleaseVector{
			Name: name, File: w.released(note), Holds: true, Kind: kind, Version: "1.4.0", Hash: sum, Source: "0f3a9c", Index: int64(len(w.entries)),
		}
	}
	fails := func(name, note string) testkit.ReleaseVector {
		return testkit.ReleaseVector{Name: name, File: w.released(note)}
	}
	file := w.released(good)
	return []testkit.ReleaseVector{
		holds("two of three", "web", good), holds("three", "web", signed(text, w.rosa, w.rhea, w.rolf)),
		holds("with a line of somebody unknown", "web", signed(text, w.rosa, w.stranger, w.rolf)),
		holds("of a hub's program", "hub", signed(releaseText("hub", "1.4.0", sum, "0f3a9c"), w.rhea, w.rosa)),
		fails("one alone", signed(text, w.rhea)), fails("one alone, twice", signed(text, w.rhea, w.rhea)),
		fails("one and an auditor", signed(text, w.rhea, w.carla)), fails("the operator and the log", signed(text, w.operator, w.log)),
		fails("another version than was signed", strings.Replace(good, "1.4.0", "1.4.1", 1)),
		fails("a kind that is none", signed(releaseText("site", "1", sum, "x"), w.rhea, w.rolf)),
		fails("no version", signed(releaseText("web", "", sum, "x"), w.rhea, w.rolf)),
		fails("a version of two words", signed(releaseText("web", "1 beta", sum, "x"), w.rhea, w.rolf)),
		fails("a version that is not ASCII", signed(releaseText("web", "1\u00e4", sum, "x"), w.rhea, w.rolf)),
		fails("a commit of 129 letters", signed(releaseText("web", "1", sum, strings.Repeat("a", 129)), w.rhea, w.rolf)),
		fails("a hash of 31 bytes", signed(releaseText("web", "1", sum[:31], "x"), w.rhea, w.rolf)),
		fails("a line more", signed(text+"more x\n", w.rhea, w.rolf)), fails("another type", signed(strings.Replace(text, "release", "set", 1), w.rhea, w.rolf)),
		{Name: "another note than the log has", File: strings.Replace(file, "note "+b64([]byte(good)), "note "+b64([]byte(signed(text, w.rolf, w.rhea))), 1)},
		{Name: "a line missing", File: file[:strings.Index(file, "log ")]}, {Name: "a line more in the file", File: file + "x\n"}, {Name: "nothing"},
	}
}

func manifestVectors() []testkit.ManifestVector {
	line := func(path string) string { return path + " " + b64(draw("file "+path, 32)) + "\n" }
	holds := func(name string, paths ...string) testkit.ManifestVector {
		v := testkit.ManifestVector{Name: name, Holds: true, Files: len(paths)}
		for _, p := range paths {
			v.Text += line(p)
		}
		return v
	}
	fails := func(name, text string) testkit.ManifestVector { return testkit.ManifestVector{Name: name, Text: text} }
	return []testkit.ManifestVector{
		holds("some", "assets/index-1.js", "index.html", "s.html"), holds("nothing"), holds("by bytes, not by folder", "a-b", "a/b", "a0"),
		fails("not sorted", line("b")+line("a")), fails("twice", line("a")+line("a")), fails("from the root", line("/a")), fails("outside", line("../a")),
		fails("with a step back", line("a/../b")), fails("a folder", line("a/")), fails("no name", line("")), fails("a dot", line(".")), fails("two slashes", line("a//b")),
		fails("a name with a space", line("a b")), fails("a name that is not ASCII", line("\u00e4")), fails("no last newline", strings.TrimSuffix(line("a"), "\n")),
		fails("a hash of 31 bytes", "a "+b64(make([]byte, 31))+"\n"), fails("no hash", "a\n"), fails("an empty line", line("a")+"\n"),
	}
}

// staffVectors are staff notes with the proof that they stand in the log.
func staffVectors(w watched) []testkit.StaffVector {
	ed, x := newEd(draw("seed agent", 32)), newX(draw("seed agent x", 32))
	const from, until = vectorTime, vectorTime + 7*24*3600
	text := func(id, role string, trained, from, until int64) string {
		return fmt.Sprintf("latchkey/v1 staff\nid %s\nrole %s\ned %s\nx %s\ntrained %d\nfrom %d\nuntil %d\n", id, role, b64(ed.pub), b64(x.pub), trained, from, until)
	}
	good := text("sam-41", "support", vectorTime-3600, from, until)
	signed := func(text string, by ...named) string {
		note := text + "\n"
		for _, n := range by {
			note += n.line(text, 0)
		}
		return note
	}
	proven := func(note string) string {
		w := w
		w.entries = append(slices.Clone(w.entries), cat([]byte{1}, []byte(note)))
		n := len(w.entries)
		return w.proof(n, n-1, nil, w.checkpoint(n, by(w.cleo, vectorTime)))
	}
	holds := func(name, role, note string) testkit.StaffVector {
		return testkit.StaffVector{Name: name, Note: note, Proof: proven(note), Now: from, Holds: true, ID: "sam-41", Role: role, Ed: ed.pub, X: x.pub, Trained: vectorTime - 3600, From: from, Until: until}
	}
	at := func(name string, now int64, holds_ bool) testkit.StaffVector {
		v := holds(name, "support", signed(good, w.root))
		v.Now, v.Holds = now, holds_
		return v
	}
	fails := func(name, text string) testkit.StaffVector {
		note := signed(text, w.root)
		return testkit.StaffVector{Name: name, Note: note, Proof: proven(note), Now: from}
	}
	edit := func(name, old, with string) testkit.StaffVector {
		return fails(name, strings.Replace(good, old, with, 1))
	}
	unproven := holds("another note than the log has", "support", signed(good, w.root))
	unproven.Note, unproven.Holds = signed(strings.Replace(good, "sam-41", "sam-42", 1), w.root), false
	byOther := func(name string, by ...named) testkit.StaffVector {
		note := signed(good, by...)
		return testkit.StaffVector{Name: name, Note: note, Proof: proven(note), Now: from}
	}
	list := []testkit.StaffVector{
		holds("by the root", "support", signed(good, w.root)), holds("with a line of somebody unknown", "support", signed(good, w.stranger, w.root)),
		at("in its last second", until-1, true), at("before it", from-1, false), at("when it is over", until, false), unproven,
		byOther("by another root", w.stranger), byOther("by the operator", w.operator), byOther("by two releasers", w.rhea, w.rolf),
		edit("a second more than a week", fmt.Sprintf("until %d", until), fmt.Sprintf("until %d", until+1)),
		edit("over when it begins", fmt.Sprintf("until %d", until), fmt.Sprintf("until %d", from)),
		edit("trained after it begins", fmt.Sprintf("trained %d", vectorTime-3600), fmt.Sprintf("trained %d", from+1)),
		edit("not trained", fmt.Sprintf("trained %d\n", vectorTime-3600), ""), edit("a role that is none", "role support", "role viewer"),
		edit("a name in upper case", "sam-41", "Sam-41"), edit("a name that ends in a dash", "sam-41", "sam-"), edit("a name of an e-mail address", "sam-41", "sam@x.example"),
		edit("no name", "sam-41", ""), edit("a name of 65 letters", "sam-41", strings.Repeat("a", 65)), edit("a short key", b64(ed.pub), b64(ed.pub[:31])),
		edit("a short sealing key", b64(x.pub), b64(x.pub[:1215])), edit("a time with a leading zero", "from 1", "from 01"), edit("keys in another order", "ed ", "x "),
		fails("a line more", good+"more x\n"), edit("another type", "v1 staff", "v1 notice"),
	}
	for _, role := range []string{"annotator", "moderator", "auditor", "legal", "engineer", "admin"} {
		list = append(list, holds("in the role "+role, role, signed(strings.Replace(good, "role support", "role "+role, 1), w.root)))
	}
	return list
}
