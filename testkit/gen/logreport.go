package main

import (
	"fmt"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

func said(text string, by ...named) string {
	note := text + "\n"
	for _, n := range by {
		note += n.line(text, 0)
	}
	return note
}

func noticeText(what string, hash []byte) string {
	return fmt.Sprintf("latchkey/v1 notice\nwhat %s\nhash %s\n", what, b64(hash))
}

func legalText(number int, kind, country, state string, at int64) string {
	return fmt.Sprintf("latchkey/v1 legal\nnumber %d\nkind %s\ncountry %s\nstate %s\ntime %d\n", number, kind, country, state, at)
}

func noticeVectors(w watched) []testkit.NoticeVector {
	rules := draw("desk rules", 32)
	good := noticeText("desk-policy", rules)
	holds := func(name, note string) testkit.NoticeVector {
		return testkit.NoticeVector{Name: name, Note: note, Holds: true, What: "desk-policy", Hash: rules}
	}
	fails := func(name, text string, by ...named) testkit.NoticeVector {
		return testkit.NoticeVector{Name: name, Note: said(text, by...)}
	}
	edit := func(name, old, with string) testkit.NoticeVector {
		return fails(name, strings.Replace(good, old, with, 1), w.operator)
	}
	return []testkit.NoticeVector{
		holds("of the desk's rules", said(good, w.operator)), holds("with a line of somebody unknown", said(good, w.stranger, w.operator)),
		fails("by the staff root", good, w.root), fails("by the log", good, w.log), fails("by somebody unknown", good, w.stranger),
		edit("of something in upper case", "desk-policy", "Desk"), edit("of nothing", "desk-policy", ""), edit("of 65 letters", "desk-policy", strings.Repeat("a", 65)),
		edit("a hash of 31 bytes", b64(rules), b64(rules[:31])), edit("no hash", "hash "+b64(rules)+"\n", ""), edit("lines in another order", "what ", "hash "),
		fails("a line more", good+"more x\n", w.operator), edit("another type", "v1 notice", "v1 staff"),
	}
}

func legalVectors(w watched) []testkit.LegalVector {
	holds := func(name string, number int, kind, country, state string, by ...named) testkit.LegalVector {
		return testkit.LegalVector{
			Name: name, Note: said(legalText(number, kind, country, state, vectorTime), by...), Holds: true,
			Number: uint64(number), Kind: kind, Country: country, State: state, Time: vectorTime,
		}
	}
	good := legalText(7, "warrant", "de", "received", vectorTime)
	fails := func(name, text string, by ...named) testkit.LegalVector {
		return testkit.LegalVector{Name: name, Note: said(text, by...)}
	}
	edit := func(name, old, with string) testkit.LegalVector {
		return fails(name, strings.Replace(good, old, with, 1), w.operator)
	}
	list := []testkit.LegalVector{
		holds("with a line of somebody unknown", 7, "warrant", "de", "received", w.stranger, w.operator),
		fails("by the staff root", good, w.root), fails("by somebody unknown", good, w.stranger),
		edit("number 0", "number 7", "number 0"), edit("a number with a leading zero", "number 7", "number 07"), edit("a kind that is none", "warrant", "letter"),
		edit("a country in upper case", "country de", "country DE"), edit("a country of three letters", "country de", "country deu"),
		edit("a state that is none", "received", "granted"), edit("a time before 1970", "time ", "time -"), edit("without a time", fmt.Sprintf("time %d\n", vectorTime), ""),
		edit("lines in another order", "kind warrant\ncountry de", "country de\nkind warrant"), fails("a line more", good+"more x\n", w.operator), edit("another type", "v1 legal", "v1 notice"),
	}
	for _, kind := range []string{"court-order", "warrant", "subpoena", "emergency", "other"} {
		list = append(list, holds("of the kind "+kind, 1, kind, "zz", "received", w.operator))
	}
	for _, state := range []string{"refused", "disclosed"} {
		list = append(list, holds(state, 7, "warrant", "de", state, w.operator))
	}
	return list
}

func reportVectors(w watched) []testkit.ReportVector {
	public := func(text string, by ...named) testkit.Hex { return cat([]byte{1}, []byte(said(text, by...))) }
	legal := func(number int, kind, country, state string) testkit.Hex {
		return public(legalText(number, kind, country, state, vectorTime), w.operator)
	}
	rules, later := draw("desk rules", 32), draw("desk rules later", 32)
	staff := testkit.Hex(cat([]byte{1}, []byte(staffVectors(w)[0].Note)))
	nobody, again := map[string]int{}, legal(1, "warrant", "de", "received")
	fails := func(name string, entries ...testkit.Hex) testkit.ReportVector {
		return testkit.ReportVector{Name: name, Entries: entries, Requests: map[string]map[string]int{}, Countries: nobody, Staff: nobody, Rules: []testkit.Hex{}}
	}
	all := fails("a desk at work", w.entries[0], staff, public(noticeText("desk-policy", rules), w.operator), legal(1, "warrant", "de", "received"),
		legal(2, "emergency", "fr", "received"), staff, legal(2, "emergency", "fr", "refused"), public(noticeText("desk-policy", later), w.operator),
		legal(3, "warrant", "de", "received"), legal(1, "warrant", "de", "disclosed"), public(noticeText("something-else", rules), w.operator))
	all.Holds, all.Requests = true, map[string]map[string]int{"warrant": {"received": 2, "disclosed": 1}, "emergency": {"received": 1, "refused": 1}}
	all.Countries, all.Staff, all.Rules = map[string]int{"de": 2, "fr": 1}, map[string]int{"support": 1}, []testkit.Hex{rules, later}
	quiet := fails("nothing but households", w.entries[0], w.entries[1])
	quiet.Holds = true
	return []testkit.ReportVector{
		all, quiet,
		fails("received twice", again, again), fails("refused, and never received", legal(1, "warrant", "de", "refused")),
		fails("disclosed after it was refused", again, legal(1, "warrant", "de", "refused"), legal(1, "warrant", "de", "disclosed")),
		fails("another kind when it is decided", again, legal(1, "emergency", "de", "disclosed")),
		fails("another country when it is decided", again, legal(1, "warrant", "fr", "disclosed")),
		fails("a request that somebody else signed", public(legalText(1, "warrant", "de", "received", vectorTime), w.stranger)),
		fails("a notice that the staff root signed", public(noticeText("desk-policy", rules), w.root)), fails("no entry", testkit.Hex{7}),
	}
}
