// Command testsum reads the JSON stream of `go test -json` on standard input,
// prints one line a package and the whole output of what failed, and appends
// "passed failed skipped" to the file named by -count. It exits 1 when
// anything failed or nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
	ImportPath                    string
}

type tally struct {
	passed, failed, skipped int
	output                  map[string][]string // by package and test, kept until its fate is known
	skips                   []string
}

func main() {
	count := flag.String("count", "", "file to append the counts to")
	flag.Parse()
	t := tally{output: map[string][]string{}}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 64<<20)
	for in.Scan() {
		var e event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			fmt.Println(in.Text()) // a build error before the stream starts
			continue
		}
		t.take(e)
	}
	for _, s := range t.skips {
		fmt.Println("skipped:", s)
	}
	fmt.Printf("go: %d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	if *count != "" {
		if err := appendLine(*count, fmt.Sprintf("%d %d %d\n", t.passed, t.failed, t.skipped)); err != nil {
			fmt.Fprintln(os.Stderr, "testsum:", err)
			os.Exit(1)
		}
	}
	if t.failed > 0 || t.passed == 0 {
		os.Exit(1)
	}
}

func (t *tally) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Print(e.Output)
	case "output":
		t.output[key] = append(t.output[key], e.Output)
	case "pass":
		t.finish(e, key, "ok  ", &t.passed)
	case "skip":
		if e.Test != "" {
			t.skips = append(t.skips, key+": "+reason(t.output[key]))
		}
		t.finish(e, key, "skip", &t.skipped)
	case "fail":
		for _, line := range t.output[key] {
			fmt.Print(line)
		}
		if e.Test == "" {
			t.failed++ // a package that does not build, or a panic outside tests
		}
		t.finish(e, key, "FAIL", &t.failed)
	}
}

func (t *tally) finish(e event, key, word string, n *int) {
	delete(t.output, key)
	if e.Test != "" {
		*n++
		return
	}
	fmt.Printf("%s %s (%.1fs)\n", word, e.Package, e.Elapsed)
}

func reason(lines []string) string {
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "===") && !strings.HasPrefix(l, "---") {
			return l
		}
	}
	return "no reason given"
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
