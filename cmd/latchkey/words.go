package main

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"latchkey.dev/latchkey"
)

// rooms are the package names that lead our errors: they help whoever reads a
// log, not whoever typed a command.
var rooms = map[string]bool{
	"latchkey": true, "part": true, "chain": true, "durable": true, "camera": true, "pack": true,
	"spool": true, "uplink": true, "lan": true, "hub": true, "member": true, "insider": true, "keys": true, "seal": true,
	"cloud": true, "blob": true, "catalog": true, "ingest": true, "live": true, "signkey": true, "sequencer": true, "ledger": true, "publiclog": true, "watch": true, "audit": true, "witness": true,
}

// plainKinds are the kinds whose name adds nothing to the words around it: the
// exit code and the next step tell them apart.
var plainKinds = map[string]bool{
	latchkey.ErrNotFound.Error(): true, latchkey.ErrInvalid.Error(): true,
	latchkey.ErrConflict.Error(): true, latchkey.ErrUnavailable.Error(): true,
}

// sentence is what a person reads of err: its words without the names of
// rooms and kinds, and nothing twice in a row. An error of nothing else is
// said as it is.
func sentence(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	var lines []string
	for _, line := range strings.Split(err.Error(), "\n") { // joined errors
		var words []string
		for _, w := range strings.Split(line, ": ") {
			said := len(words) > 0 && words[len(words)-1] == w
			if !rooms[w] && !plainKinds[w] && !said {
				words = append(words, w)
			}
		}
		if len(words) == 0 {
			words = []string{line}
		}
		lines = append(lines, strings.Join(words, ": "))
	}
	return strings.Join(lines, "\n")
}

// What the parser says of a command line, by its shape.
var (
	missingWord  = regexp.MustCompile(`^expected "<(\S+)>.*"$`)
	missingVerb  = regexp.MustCompile(`^expected one of (.*)$`)
	unknownWord  = regexp.MustCompile(`^unexpected argument (\S+?)(, did you mean .*)?$`)
	missingFlags = regexp.MustCompile(`^missing flags: (.*)$`)
)

// mistake says in plain words what is wrong with the command line; command is
// the part of it that was understood, such as "camera add ".
func mistake(text, command string) string {
	if m := missingWord.FindStringSubmatch(text); m != nil {
		return "`latchkey " + command + strings.ToUpper(m[1]) + "`: the " + strings.ToUpper(m[1]) + " is missing"
	}
	if m := missingVerb.FindStringSubmatch(text); m != nil {
		return "`latchkey " + strings.TrimSpace(command) + "` needs to know what to do: " + strings.ReplaceAll(m[1], `"`, "")
	}
	if m := unknownWord.FindStringSubmatch(text); m != nil {
		return "`latchkey " + command + m[1] + "`: nothing is called " + m[1] + " here" + m[2]
	}
	if m := missingFlags.FindStringSubmatch(text); m != nil {
		return "missing: " + m[1]
	}
	return text
}
