package main

import (
	"encoding/hex"
	"fmt"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

func directoryVectors(h household) testkit.Directory {
	people := []string{hex.EncodeToString(h.founder.kid()), hex.EncodeToString(h.second.kid())}
	sorted(people...)
	hub := hex.EncodeToString(h.hub.kid())
	names := testkit.NamesVector{
		Household: `Haus "Am Bach" \ 9`, Hubs: map[string]string{hub: ""},
		People: map[string]string{people[0]: "Ann 🦊", people[1]: "Bob <&> \u2028 é"},
	}
	js := fmt.Sprintf(`{"household":"Haus \"Am Bach\" \\ 9","people":{"%s":"Ann 🦊","%s":"Bob <&> %s é"},"hubs":{"%s":""}}`, people[0], people[1], "\u2028", hub)
	lines := func(js string) []string {
		return []string{"household " + b64(h.id), "by " + b64(h.founder.kid()), "n 7", "time 1790000000", "names " + b64([]byte(js))}
	}
	good := lines(js)
	return testkit.Directory{
		Doc: testkit.Doc{
			About: "The directory: what people and hubs are called, for the members' eyes.",
			Fields: map[string]string{
				"seed":           "Ed25519 seed of the signing admin, the founder of statements.json",
				"household … n":  "the values of the note's lines",
				"names, json":    "what the names line says, and the only JSON that says it",
				"refused":        "parses, and fails against the last state of statements.json: signer or household",
				"reject":         "signed; the parser must refuse the text",
				"note, its text": "the note; its text is what the values encode to",
			},
		},
		Seed: h.founder.seed, Household: h.id, By: h.founder.kid(), N: 7, Time: 1_790_000_000, Names: names, JSON: js,
		Note:    h.founder.note(textOf("directory", good...)),
		Refused: refusedDirectories(h, good),
		Rejects: badNotes(h.founder, badDirectories(h, good, js, people[0])),
	}
}

func refusedDirectories(h household, good []string) []testkit.RejectedNote {
	member := newEd(draw("seed second 3", 32))
	by := func(k edKey) string { return edited("directory", good, "by", "by "+b64(k.kid())) }
	foreign := edited("directory", good, "household", "household "+b64(draw("another household", 16)))
	return []testkit.RejectedNote{
		{Name: "signed by a member who is no admin", Note: member.sign(by(member))},
		{Name: "signed by a hub", Note: h.hub.sign(by(h.hub))},
		{Name: "signed by a stranger", Note: h.stranger.sign(by(h.stranger))},
		{Name: "signature of another", Note: h.stranger.sign(textOf("directory", good...))},
		{Name: "another household", Note: h.founder.sign(foreign)},
	}
}

// badDirectories are texts that no parser may accept.
func badDirectories(h household, good []string, js, kid string) map[string]string {
	names := func(js string) string { return edited("directory", good, "names", "names "+b64([]byte(js))) }
	empty := `{"household":"","people":{},"hubs":{}}`
	out := map[string]string{
		"two names lines":         textOf("directory", append(append([]string{}, good...), good[4])...),
		"no names":                edited("directory", good, "names", ""),
		"time before n":           textOf("directory", good[0], good[1], good[3], good[2], good[4]),
		"n with a leading zero":   edited("directory", good, "n", "n 07"),
		"by of 15 bytes":          edited("directory", good, "by", "by "+b64(draw("short", 15))),
		"names not base64":        edited("directory", good, "names", "names "+empty),
		"names without padding":   edited("directory", good, "names", "names "+strings.TrimRight(b64([]byte(empty+" ")), "=")),
		"text of 201 bytes":       names(strings.Replace(empty, `""`, `"`+strings.Repeat("x", 201)+`"`, 1)),
		"text of 202 bytes UTF-8": names(strings.Replace(empty, `""`, `"`+strings.Repeat("é", 101)+`"`, 1)),
	}
	for name, js := range map[string]string{
		"no JSON":                 `Haus`,
		"empty":                   ` `,
		"an array":                `[]`,
		"null":                    `null`,
		"a number":                `1e999`,
		"deep":                    strings.Repeat("[", 30_000),
		"trailing space":          empty + " ",
		"leading space":           " " + empty,
		"space inside":            strings.Replace(empty, ":", ": ", 1),
		"two values":              empty + empty,
		"byte order mark":         "\ufeff" + empty,
		"hubs before people":      `{"household":"","hubs":{},"people":{}}`,
		"no hubs":                 `{"household":"","people":{}}`,
		"a key more":              `{"household":"","people":{},"hubs":{},"pets":{}}`,
		"a key twice":             `{"household":"","household":"","people":{},"hubs":{}}`,
		"key in upper case":       `{"Household":"","people":{},"hubs":{}}`,
		"household null":          `{"household":null,"people":{},"hubs":{}}`,
		"people null":             `{"household":"","people":null,"hubs":{}}`,
		"people a list":           `{"household":"","people":[],"hubs":{}}`,
		"name a number":           `{"household":"","people":{"` + kid + `":7},"hubs":{}}`,
		"name null":               `{"household":"","people":{"` + kid + `":null},"hubs":{}}`,
		"kid in upper case":       `{"household":"","people":{"` + strings.ToUpper(kid) + `":""},"hubs":{}}`,
		"kid of 15 bytes":         `{"household":"","people":{"` + kid[2:] + `":""},"hubs":{}}`,
		"kid in base64":           `{"household":"","people":{"` + b64(h.founder.kid()) + `":""},"hubs":{}}`,
		"kid that is __proto__":   `{"household":"","people":{"__proto__":""},"hubs":{}}`,
		"kids not sorted":         `{"household":"","people":{"` + strings.Repeat("f", 32) + `":"","` + kid[:31] + `0":""},"hubs":{}}`,
		"kid twice":               `{"household":"","people":{"` + kid + `":"","` + kid + `":""},"hubs":{}}`,
		"escape that is not due":  `{"household":"\u0041","people":{},"hubs":{}}`,
		"escaped slash":           `{"household":"\/","people":{},"hubs":{}}`,
		"escaped newline":         `{"household":"a\nb","people":{},"hubs":{}}`,
		"newline":                 "{\"household\":\"a\nb\",\"people\":{},\"hubs\":{}}",
		"DEL":                     "{\"household\":\"a\x7fb\",\"people\":{},\"hubs\":{}}",
		"C1 control character":    "{\"household\":\"a\u0085b\",\"people\":{},\"hubs\":{}}",
		"lone surrogate":          `{"household":"\ud83e","people":{},"hubs":{}}`,
		"invalid UTF-8":           "{\"household\":\"\xff\",\"people\":{},\"hubs\":{}}",
		"surrogate in UTF-8":      "{\"household\":\"\xed\xa0\x80\",\"people\":{},\"hubs\":{}}",
		"more than 32 KiB":        manyNames(150),
		"comment":                 `{"household":"",/**/"people":{},"hubs":{}}`,
		"single quotes":           `{'household':'','people':{},'hubs':{}}`,
		"comma at the end":        `{"household":"","people":{},"hubs":{},}`,
		"cut off":                 js[:len(js)-1],
		"escape of a replacement": `{"household":"\ufffd","people":{},"hubs":{}}`,
	} {
		out["names: "+name] = names(js)
	}
	return out
}

// manyNames is well formed and long.
func manyNames(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"%032x":"%s"`, i, strings.Repeat("x", 200)))
	}
	return `{"household":"","people":{` + strings.Join(list, ",") + `},"hubs":{}}`
}
