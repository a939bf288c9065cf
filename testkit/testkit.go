// Package testkit holds the golden vectors that every implementation of the
// formats has to agree on, one JSON file a subject, and the way for Go tests
// to load them. TypeScript imports the same files from testkit/vectors.
//
// The vectors are made by testkit/gen, an independent construction from the
// standard library alone; neither it nor this package may import the sealer,
// part or chain. Only tests import testkit.
//
// To make the files again: go generate ./testkit. The HPKE examples are
// randomised and therefore kept from the file at hand; go run ./testkit/gen
// -hpke makes new ones.
package testkit

import (
	"bytes"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

//go:generate go run ./gen

//go:embed vectors/*.json
var files embed.FS

// Load reads vectors/name.json into v, a pointer to the type of that file. A
// field of the file that v does not have fails the test, so that no vector is
// passed over unnoticed.
func Load(tb testing.TB, name string, v any) {
	tb.Helper()
	b, err := files.ReadFile("vectors/" + name + ".json")
	if err != nil {
		tb.Fatalf("testkit: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		tb.Fatalf("testkit: read %s: %v", name, err)
	}
}

// Hex is a byte string that stands in JSON as lower-case hex.
type Hex []byte

// MarshalText writes lower-case hex.
func (h Hex) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText reads hex.
func (h *Hex) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("testkit: %w", err)
	}
	*h = b
	return nil
}

// Shared returns a path in the folder of shared inputs: LATCHKEY_SHARED, or
// ../shared next to the repository. A test that needs it is skipped where the
// folder is missing, except in CI.
func Shared(tb testing.TB, elem ...string) string {
	tb.Helper()
	root := os.Getenv("LATCHKEY_SHARED")
	if root == "" {
		root = filepath.Join(repository(tb), "..", "shared")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("testkit: shared inputs are missing: %v", err)
		}
		tb.Skipf("testkit: shared inputs are missing: %v", err)
	}
	return path
}

// repository is the folder of go.mod, found upwards from the test's folder.
func repository(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		tb.Fatal("testkit: no go.mod above the test")
	}
}
