// Command incidents replays what happened to other camera companies, by the
// table in table.go: which tests show that it cannot happen here. It prints id →
// held, broken or pending, and exits 1 when anything is broken; a test that is
// skipped or does not exist holds nothing.
//
// With -bite it switches off, for one incident after the other, the protection
// that the table names, in an overlay of the sources, and demands that the test
// fails: a test that passes then shows nothing. Arguments choose ids.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
)

func main() {
	bite := flag.Bool("bite", false, "switch each protection off and see its test fail")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	todo, err := choose(table(), flag.Args())
	if err == nil {
		err = check(todo)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "incidents:", err)
		os.Exit(2)
	}
	run := replay
	if *bite {
		run = biteAll
	}
	if !run(ctx, todo) {
		os.Exit(1)
	}
}

// choose returns the incidents with these ids; all without any.
func choose(all []incident, ids []string) ([]incident, error) {
	if len(ids) == 0 {
		return all, nil
	}
	var out []incident
	for _, id := range ids {
		i := slices.IndexFunc(all, func(one incident) bool { return one.id == id })
		if i < 0 {
			return nil, fmt.Errorf("there is no %q in the table", id)
		}
		out = append(out, all[i])
	}
	return out, nil
}

// check finds mistakes in the table itself.
func check(all []incident) error {
	seen := map[string]bool{}
	for _, one := range all {
		switch {
		case seen[one.id]:
			return fmt.Errorf("%s is there twice", one.id)
		case one.pending != "" && len(one.tests)+len(one.bite.patches) > 0:
			return fmt.Errorf("%s has tests and is pending", one.id)
		case one.pending == "" && (len(one.tests) == 0 || len(one.bite.patches) == 0):
			return fmt.Errorf("%s has no test, or no protection that can be switched off", one.id)
		case one.pending == "" && !slices.Contains(one.tests, one.bite.by):
			return fmt.Errorf("%s is bitten by a test that is not among its tests", one.id)
		}
		seen[one.id] = true
	}
	return nil
}

// replay runs all tests, package by package, and prints the table.
func replay(ctx context.Context, all []incident) bool {
	fates := fatesOf(ctx, all, func(one incident) []test { return one.tests })
	good := true
	held, pending := 0, 0
	for _, one := range all {
		word, why := "held", ""
		if one.pending != "" {
			word, why = "pending", ": there is no "+one.pending+" yet"
			pending++
		}
		for _, t := range one.tests {
			if fate := fates[t]; fate != passed {
				word, good = "broken", false
				why += fmt.Sprintf("; %s in %s %s", t.name, t.pkg, orMissing(fate))
			}
		}
		if word == "held" {
			held++
		}
		fmt.Printf("%s  %-7s  %s%s\n", one.id, word, one.what, why)
	}
	fmt.Printf("%d held, %d pending, %d broken\n", held, pending, len(all)-held-pending)
	return good
}

func orMissing(fate string) string { return cmp.Or(fate, "does not exist") }

// fatesOf runs some tests of each incident, package by package.
func fatesOf(ctx context.Context, all []incident, of func(incident) []test) map[test]string {
	var pkgs []string
	names := map[string][]string{}
	for _, one := range all {
		if one.pending != "" {
			continue
		}
		for _, t := range of(one) {
			if names[t.pkg] == nil {
				pkgs = append(pkgs, t.pkg)
			}
			names[t.pkg] = append(names[t.pkg], t.name)
		}
	}
	fates := map[test]string{}
	for _, pkg := range pkgs {
		for name, fate := range runPackage(ctx, pkg, names[pkg]) {
			fates[test{pkg, name}] = fate
		}
	}
	return fates
}

// pattern is the -run of these tests. Of TestA/b it names TestA.
func pattern(names []string) string {
	var tops []string
	for _, name := range names {
		top, _, _ := strings.Cut(name, "/")
		if !slices.Contains(tops, top) {
			tops = append(tops, top)
		}
	}
	return "^(" + strings.Join(tops, "|") + ")$"
}

// exactly is the -run of one test.
func exactly(name string) string { return "^" + strings.ReplaceAll(name, "/", "$/^") + "$" }
