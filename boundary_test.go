package latchkey_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
)

const module = "latchkey.dev/latchkey"

// source is one Go file of the tree: its package's import path and what it imports.
type source struct {
	file, pkg string
	test      bool
	imports   []string
}

// rule forbids imports: whoever matches `from` may not reach a package that
// matches `to`, unless it matches `except`. With transitive set, indirect
// reach counts too (through packages of this module, test files left out).
type rule struct {
	name       string
	from, to   *regexp.Regexp
	except     *regexp.Regexp
	transitive bool
	tests      bool // test files must keep it as well
}

func re(s string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + s + `)$`) }

// walls are the import rules of docs/architecture.md.
func walls() []rule {
	const m = module
	return []rule{
		{name: "the cloud never reaches home, even indirectly",
			from: re(m + `/internal/cloud(/.*)?|` + m + `/cmd/latchkey-cloud`), to: re(m + `/internal/home(/.*)?`), transitive: true, tests: true},
		{name: "home never reaches the cloud",
			from: re(m + `/internal/home(/.*)?`), to: re(m + `/internal/cloud(/.*)?`), transitive: true},
		{name: "the cloud and who watches it share nothing but formats",
			from: re(m + `/internal/cloud(/.*)?|` + m + `/cmd/latchkey-cloud`), to: re(m + `/internal/watch(/.*)?`), transitive: true},
		{name: "who watches reaches nothing of home or cloud",
			from: re(m + `/internal/watch(/.*)?`), to: re(m + `/internal/(home|cloud)(/.*)?`), transitive: true, tests: true},
		{name: "public packages never reach internal ones",
			from: re(m + `|` + m + `/(part|chain|ledger)(/.*)?`), to: re(m + `/internal(/.*)?`), transitive: true, tests: true},
		{name: "the root package imports the standard library only",
			from: re(m), to: re(`[^/]+\.[^/]+/.*`)},
		{name: "the cloud names no cipher",
			from: re(m + `/internal/cloud(/.*)?`), tests: true,
			to: re(`crypto/(aes|cipher|ecdh|hpke|mlkem|des|rc4)|golang\.org/x/crypto/(chacha20poly1305|nacl|chacha20)(/.*)?`)},
		{name: "only seal, keys, hub, member and the insider drill touch keys and seal",
			from: re(m + `(/.*)?`), to: re(m + `/internal/home/internal/(keys|seal)`),
			except: re(m + `/internal/home/(internal/(keys|seal)|hub|member|insider)`), tests: true},
		{name: "spool, uplink and lan see ciphertext only",
			from: re(m + `/internal/home/(spool|uplink|lan)`), to: re(m + `/internal/home/(internal/.*|camera|pack|sense)`), transitive: true},
		{name: "the public log's reader holds no key and sees no plaintext",
			from: re(m + `/internal/home/publiclog`), to: re(m + `/internal/(home/(internal/.*|camera|pack|hub|member|spool|uplink)|watch)`), transitive: true},
		{name: "world and testkit are for test files only",
			from: re(m + `(/.*)?`), to: re(m + `/(testkit|internal/world)(/.*)?`), except: re(m + `/(testkit|internal/world)(/.*)?`)},
		{name: "the vector generator cannot import the sealer",
			from: re(m + `/testkit(/.*)?`), to: re(m + `/internal(/.*)?`), transitive: true, tests: true},
		{name: "only an AEAD's own rooms name one",
			from: re(m + `(/.*)?`), to: re(`crypto/(aes|cipher|hpke)`),
			except: re(m + `/internal/home/(internal/(keys|seal)|insider)|` + m + `/testkit(/.*)?`)},
	}
}

// sources parses every Go file of the repository.
func sources(root string) ([]source, error) {
	var out []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "node_modules", "testdata", "dist":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return fmt.Errorf("parse %s: %w", path, err)
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		s := source{file: path, pkg: strings.TrimSuffix(module+"/"+filepath.ToSlash(rel), "/."), test: strings.HasSuffix(path, "_test.go")}
		for _, i := range f.Imports {
			s.imports = append(s.imports, strings.Trim(i.Path.Value, `"`))
		}
		out = append(out, s)
		return nil
	})
	return out, err
}

// reach maps each package of the module to all that it imports through
// non-test files, itself left out.
func reach(all []source) map[string]map[string]bool {
	direct := map[string]map[string]bool{}
	for _, s := range all {
		if s.test {
			continue
		}
		if direct[s.pkg] == nil {
			direct[s.pkg] = map[string]bool{}
		}
		for _, i := range s.imports {
			direct[s.pkg][i] = true
		}
	}
	closed := map[string]map[string]bool{}
	var close func(p string) map[string]bool
	close = func(p string) map[string]bool {
		if got, ok := closed[p]; ok {
			return got
		}
		set := map[string]bool{}
		closed[p] = set
		for i := range direct[p] {
			set[i] = true
			for j := range close(i) {
				set[j] = true
			}
		}
		return set
	}
	for p := range direct {
		close(p)
	}
	return closed
}

// violations lists every import that breaks a rule, in a stable order.
func violations(all []source, rules []rule) []string {
	closed := reach(all)
	seen := map[string]bool{}
	for _, s := range all {
		for _, r := range rules {
			if (s.test && !r.tests) || !r.from.MatchString(s.pkg) || (r.except != nil && r.except.MatchString(s.pkg)) {
				continue
			}
			for _, i := range s.imports {
				if r.to.MatchString(i) {
					seen[fmt.Sprintf("%s: %s imports %s", r.name, s.pkg, i)] = true
					continue
				}
				if !r.transitive {
					continue
				}
				for j := range closed[i] {
					if r.to.MatchString(j) {
						seen[fmt.Sprintf("%s: %s reaches %s through %s", r.name, s.pkg, j, i)] = true
					}
				}
			}
		}
	}
	out := make([]string, 0, len(seen))
	for v := range seen {
		out = append(out, v)
	}
	sort.Strings(out)
	return out
}

// TestWalls holds the import rules between the two trees.
func TestWalls(t *testing.T) {
	all, err := sources(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d Go files found: the test is not looking at the repository", len(all))
	}
	for _, v := range violations(all, walls()) {
		t.Error(v)
	}
}

// TestWallsBite plants one violation of every rule and expects each to be found.
func TestWallsBite(t *testing.T) {
	plant := map[string]source{
		"the cloud never reaches home, even indirectly":                          {pkg: module + "/internal/cloud/ingest", imports: []string{module + "/internal/shared"}},
		"home never reaches the cloud":                                           {pkg: module + "/internal/home/hub", imports: []string{module + "/internal/cloud"}},
		"public packages never reach internal ones":                              {pkg: module + "/part", imports: []string{module + "/internal/durable"}},
		"the root package imports the standard library only":                     {pkg: module, imports: []string{"github.com/some/thing"}},
		"the cloud names no cipher":                                              {pkg: module + "/internal/cloud/live", imports: []string{"crypto/aes"}},
		"only seal, keys, hub, member and the insider drill touch keys and seal": {pkg: module + "/internal/home/spool", imports: []string{module + "/internal/home/internal/keys"}},
		"spool, uplink and lan see ciphertext only":                              {pkg: module + "/internal/home/uplink", imports: []string{module + "/internal/home/camera"}},
		"world and testkit are for test files only":                              {pkg: module + "/internal/home/member", imports: []string{module + "/testkit"}},
		"the vector generator cannot import the sealer":                          {pkg: module + "/testkit/gen", imports: []string{module + "/internal/home/internal/seal"}},
		"the cloud and who watches it share nothing but formats":                 {pkg: module + "/internal/cloud/sequencer", imports: []string{module + "/internal/watch"}},
		"the public log's reader holds no key and sees no plaintext":             {pkg: module + "/internal/home/publiclog", imports: []string{module + "/internal/home/internal/keys"}},
		"who watches reaches nothing of home or cloud":                           {pkg: module + "/internal/watch", imports: []string{module + "/internal/cloud/sequencer"}},
		"only an AEAD's own rooms name one":                                      {pkg: module + "/internal/home/hub", imports: []string{"crypto/cipher"}},
	}
	helper := source{pkg: module + "/internal/shared", imports: []string{module + "/internal/home/hub"}}
	for _, r := range walls() {
		bad, ok := plant[r.name]
		if !ok {
			t.Errorf("rule %q has no planted violation", r.name)
			continue
		}
		found := false
		for _, v := range violations([]source{helper, bad}, []rule{r}) {
			found = found || strings.HasPrefix(v, r.name+": "+bad.pkg+" ")
		}
		if !found {
			t.Errorf("rule %q did not find its planted violation", r.name)
		}
	}
}

// TestOnlyTheCommandSeesBothTrees: of all packages, cmd/latchkey alone may
// import from both trees.
func TestOnlyTheCommandSeesBothTrees(t *testing.T) {
	all, err := sources(".")
	if err != nil {
		t.Fatal(err)
	}
	both := map[string][2]bool{}
	for _, s := range all {
		b := both[s.pkg]
		for _, i := range s.imports {
			b[0] = b[0] || strings.HasPrefix(i, module+"/internal/home")
			b[1] = b[1] || strings.HasPrefix(i, module+"/internal/cloud")
		}
		both[s.pkg] = b
	}
	if !both[module+"/cmd/latchkey"][0] || !both[module+"/cmd/latchkey"][1] {
		t.Error("cmd/latchkey does not import both trees: is this test looking at the right place?")
	}
	for pkg, b := range both {
		if b[0] && b[1] && pkg != module+"/cmd/latchkey" && pkg != module+"/internal/world" {
			t.Errorf("%s imports from both trees", pkg)
		}
	}
}

// TestCryptoSubtleStaysInItsRoom: in the web tree only src/crypto touches crypto.subtle.
func TestCryptoSubtleStaysInItsRoom(t *testing.T) {
	n := 0
	err := filepath.WalkDir("web/src", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if ext := filepath.Ext(path); (ext != ".ts" && ext != ".svelte") || strings.HasSuffix(path, ".test.ts") {
			return nil
		}
		n++
		if strings.HasPrefix(filepath.ToSlash(path), "web/src/crypto/") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(string(b), "crypto.subtle") || strings.Contains(string(b), "@noble/ciphers") {
			t.Errorf("%s touches a cipher; only web/src/crypto may", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 5 {
		t.Fatalf("only %d web sources found", n)
	}
}
