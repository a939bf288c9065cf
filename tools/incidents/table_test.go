package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The table is in order: every test that it names is there, and every protection
// that it switches off stands where it says. Whether they bite, `make
// incidents-bite` tells.
func TestTable(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	all := table()
	if err := check(all); err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for _, one := range all {
		for _, it := range one.tests {
			if sources[it.pkg] == "" {
				sources[it.pkg] = testsOf(t, it.pkg)
			}
			top, _, _ := strings.Cut(it.name, "/")
			if !strings.Contains(sources[it.pkg], "\nfunc "+top+"(t *testing.T) {") {
				t.Errorf("%s: there is no %s in %s", one.id, it.name, it.pkg)
			}
		}
		if one.pending != "" {
			continue
		}
		if _, err := one.bite.overlay(t.TempDir()); err != nil {
			t.Errorf("%s: %v", one.id, err)
		}
	}
	if len(all) < 30 {
		t.Errorf("only %d incidents", len(all))
	}
}

func testsOf(t *testing.T, pkg string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(pkg), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}

func TestChoose(t *testing.T) {
	if some, err := choose(table(), []string{"IRT-03"}); err != nil || len(some) != 1 || some[0].id != "IRT-03" {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := choose(table(), []string{"IRT-99"}); err == nil {
		t.Error("an incident that is not there is chosen")
	}
}
