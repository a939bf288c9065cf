package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The files at hand are what the generator makes.
func TestVectorsAreUpToDate(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../vectors")); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, false, filepath.Join(dir, "release")); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("../vectors/*.json")
	if err != nil || len(names) == 0 {
		t.Fatalf("no vector files: %v", err)
	}
	for _, name := range names {
		want, err := os.ReadFile(filepath.Join(dir, filepath.Base(name)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator makes (%v): go generate ./testkit", name, err)
		}
	}
}

// A release cannot be written over.
func TestReleaseIsWrittenOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../vectors")); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, false, dir); err == nil {
		t.Error("an existing folder was taken for a new release")
	}
}

// The generator shares no code with what its vectors test.
func TestIndependence(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	for _, name := range append(names, "../testkit.go", "../types.go") {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(path, ".") && path != "latchkey.dev/latchkey/testkit" {
				t.Errorf("%s imports %s: only the standard library is independent", name, path)
			}
		}
	}
}
