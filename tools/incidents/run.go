package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// What becomes of a test.
const (
	passed  = "passes"
	failed  = "fails"
	skipped = "is skipped"
)

// limit bounds the tests of one package, or of one bite.
const limit = 10 * time.Minute

// runPackage runs tests of one package and tells what became of each. What a
// failed one printed is passed on.
func runPackage(ctx context.Context, pkg string, names []string) map[string]string {
	fmt.Fprintf(os.Stderr, "%s: %d tests\n", pkg, len(names))
	out, _ := command(ctx, "go", "test", "-count=1", "-json", "-timeout", limit.String(), "-run", pattern(names), "./"+pkg).Output() // the events tell
	fates, printed := map[string]string{}, map[string][]string{}
	in := bufio.NewScanner(bytes.NewReader(out))
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Fprintln(os.Stderr, in.Text())
			continue
		}
		top, _, _ := strings.Cut(e.Test, "/")
		switch e.Action {
		case "build-output":
			fmt.Fprint(os.Stderr, e.Output)
		case "output":
			printed[top] = append(printed[top], e.Output)
		case "pass":
			fates[e.Test] = passed
		case "skip":
			fates[e.Test] = skipped
		case "fail":
			fates[e.Test] = failed
			if e.Test == top {
				fmt.Fprint(os.Stderr, strings.Join(printed[top], ""))
			}
		}
	}
	return fates
}

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// biteAll switches one protection off after the other and prints what its test
// makes of that.
func biteAll(ctx context.Context, all []incident) bool {
	good, n := true, 0
	whole := fatesOf(ctx, all, func(one incident) []test { return []test{one.bite.by} })
	for _, one := range all {
		if one.pending != "" {
			continue
		}
		word := "bites"
		if fate := whole[one.bite.by]; fate != passed {
			word, good = "says nothing: with the protection the test "+orMissing(fate), false
		} else if err := one.bite.try(ctx); err != nil {
			word, good = "does not bite: "+err.Error(), false
		}
		fmt.Printf("%s  %s  (%s)\n", one.id, word, one.bite.by.name)
		n++
	}
	fmt.Printf("%d protections were switched off\n", n)
	return good && n > 0
}

// try returns nil if the test fails without the protection.
func (b bite) try(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "latchkey-bite-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	overlay, err := b.overlay(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// In the environment, so that what the test builds itself is without the
	// protection, too.
	env := append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay), "LATCHKEY_BIN=")
	binary := filepath.Join(dir, "tests")
	build := command(ctx, "go", "test", "-c", "-o", binary, "./"+b.by.pkg)
	build.Env = env
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	run := command(ctx, binary, "-test.v", "-test.timeout", limit.String(), "-test.run", exactly(b.by.name))
	run.Env, run.Dir = env, filepath.FromSlash(b.by.pkg)
	out, err := run.CombinedOutput()
	switch {
	case bytes.Contains(out, []byte("--- FAIL: "+b.by.name+" (")):
		return nil
	case err == nil && bytes.Contains(out, []byte("--- PASS: "+b.by.name+" (")):
		return fmt.Errorf("without the protection the test passes")
	}
	return fmt.Errorf("the test has not come to an end: %v\n%s", err, out[max(0, len(out)-2000):])
}

// overlay writes the changed sources and returns the file for -overlay.
func (b bite) overlay(dir string) (string, error) {
	replace, changed := map[string]string{}, map[string]string{}
	for _, p := range b.patches {
		path, err := filepath.Abs(filepath.FromSlash(p.file))
		if err != nil {
			return "", err
		}
		text, again := changed[path]
		if !again {
			raw, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			text = string(raw)
		}
		if n := strings.Count(text, p.old); n != 1 {
			return "", fmt.Errorf("%s has %d times %q: the table is out of date", p.file, n, p.old)
		}
		changed[path] = strings.Replace(text, p.old, p.new, 1)
		replace[path] = ""
	}
	i := 0
	for path := range replace {
		replace[path] = filepath.Join(dir, fmt.Sprintf("%d%s", i, filepath.Ext(path)))
		if err := os.WriteFile(replace[path], []byte(changed[path]), 0o600); err != nil {
			return "", err
		}
		i++
	}
	doc, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, doc, 0o600)
}
