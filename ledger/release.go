package ledger

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
)

// A Release is the public statement of what a page, an app or a hub's program
// is made of. Two of the policy's releasers sign it.
type Release struct {
	Kind    string // web, app or hub
	Version string
	Hash    latchkey.Hash // H of the manifest
	Source  string        // commit
}

const (
	releaseType = notePrefix + "release\n"
	// releaseSigners have to sign: nobody releases alone.
	releaseSigners = 2
	maxReleaseWord = 128
)

// Text returns what is signed.
func (r Release) Text() string {
	return fmt.Sprintf("%skind %s\nversion %s\nhash %s\nsource %s\n", releaseType, r.Kind, r.Version, latchkey.B64(r.Hash[:]), r.Source)
}

// ParseRelease reads the text of a release note strictly: it is what Text returns.
func ParseRelease(text string) (Release, error) {
	rest, ok := strings.CutPrefix(text, releaseType)
	lines := strings.Split(rest, "\n")
	if !ok || len(lines) != 5 {
		return Release{}, invalid("release", "want its type and four lines")
	}
	var values [4]string
	for i, key := range []string{"kind ", "version ", "hash ", "source "} {
		if values[i], ok = strings.CutPrefix(lines[i], key); !ok {
			return Release{}, invalid("release", "line %q, want %q", lines[i], key)
		}
	}
	r := Release{Kind: values[0], Version: values[1], Source: values[3]}
	hash, _ := base64.StdEncoding.DecodeString(values[2])
	copy(r.Hash[:], hash)
	if err := r.Check(); err != nil || r.Text() != text {
		return Release{}, invalid("release", "a value is not in its one form")
	}
	return r, nil
}

// Check reports what keeps the release from being written down; nil if nothing does.
func (r Release) Check() error {
	if !slices.Contains([]string{"web", "app", "hub"}, r.Kind) {
		return invalid("release", "kind %q, want web, app or hub", r.Kind)
	}
	for _, word := range []string{r.Version, r.Source} {
		if !plainWord(word) {
			return invalid("release", "%q is no version or commit: printable ASCII without spaces, at most %d", word, maxReleaseWord)
		}
	}
	return nil
}

func plainWord(s string) bool {
	return s != "" && len(s) <= maxReleaseWord && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}

// Release reads a signed release note and holds it against the policy: two of
// its releasers have signed it.
func (p *Policy) Release(raw []byte) (Release, error) {
	if len(p.Releasers) == 0 {
		return Release{}, broken("release", "the policy names nobody who may release")
	}
	verifiers := make([]note.Verifier, len(p.Releasers))
	for i, r := range p.Releasers {
		verifiers[i] = r.verifier
	}
	n, err := openNote("release", raw, verifiers)
	if err != nil {
		return Release{}, err
	}
	r, err := ParseRelease(n.Text)
	if err != nil {
		return Release{}, err
	}
	signed := 0
	for _, v := range verifiers {
		if signedBy(n, v) {
			signed++
		}
	}
	if signed < releaseSigners {
		return Release{}, broken("release", "%d of the policy's releasers have signed it, want %d", signed, releaseSigners)
	}
	return r, nil
}

// Released is a release note with the proof that it stands in the log.
type Released struct {
	Note []byte
	Log  Proof
}

const releasedType = notePrefix + "released\n"

// Encode returns the file: its type and one line a field, bytes in base64.
func (r Released) Encode() []byte {
	return []byte(releasedType + "note " + latchkey.B64(r.Note) + "\nlog " + latchkey.B64(r.Log.Encode()) + "\n")
}

// ParseReleased reads the form of Encode strictly. What it holds is checked by
// Check.
func ParseReleased(b []byte) (Released, error) {
	rest, ok := strings.CutPrefix(string(b), releasedType)
	lines := strings.Split(rest, "\n")
	if !ok || len(lines) != 3 || lines[2] != "" || len(b) > 4*MaxNote {
		return Released{}, invalid("released", "want its type and two lines")
	}
	var fields [2][]byte
	var err error
	for i, key := range []string{"note ", "log "} {
		value, ok := strings.CutPrefix(lines[i], key)
		if fields[i], err = base64.StdEncoding.Strict().DecodeString(value); !ok || err != nil || latchkey.B64(fields[i]) != value {
			return Released{}, invalid("released", "line %d, want %q and base64", i+2, key)
		}
	}
	proof, err := ParseProof(fields[1])
	return Released{Note: fields[0], Log: proof}, err
}

// Check holds the release and its place in the log against the policy.
func (r Released) Check(policy *Policy) (Release, Checkpoint, error) {
	release, err := policy.Release(r.Note)
	if err != nil {
		return Release{}, Checkpoint{}, err
	}
	c, err := r.Log.Check(policy, Entry{Note: r.Note}.Encode())
	return release, c, err
}

// MaxManifest is the largest manifest in bytes.
const MaxManifest = 1 << 20

// A Manifest names every file of a release with its hash: sorted by path, each
// once. A path is relative, with slashes, and without spaces.
type Manifest []ManifestFile

// ManifestFile is one file of a release.
type ManifestFile struct {
	Path string
	Hash latchkey.Hash // of its content
}

// Encode returns one line a file, sorted; its hash is that of the release. A
// path that none may have is ErrInvalid.
func (m Manifest) Encode() ([]byte, error) {
	sorted := slices.SortedFunc(slices.Values(m), func(a, b ManifestFile) int { return strings.Compare(a.Path, b.Path) })
	var b strings.Builder
	for i, f := range sorted {
		if !plainPath(f.Path) || i > 0 && sorted[i-1].Path == f.Path {
			return nil, invalid("manifest", "%q is no path, or stands there twice", f.Path)
		}
		b.WriteString(f.Path + " " + latchkey.B64(f.Hash[:]) + "\n")
	}
	return []byte(b.String()), nil
}

func plainPath(s string) bool {
	return plainWord(s) && s == path.Clean(s) && s != "." && s[0] != '/' && s != ".." && !strings.HasPrefix(s, "../")
}

// ManifestOf lists every file of a folder.
func ManifestOf(files fs.FS) (Manifest, error) {
	var m Manifest
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, name)
		m = append(m, ManifestFile{name, sha256.Sum256(content)})
		return err
	})
	return m, err
}

// ParseManifest reads the form of Encode strictly.
func ParseManifest(b []byte) (Manifest, error) {
	if len(b) > MaxManifest {
		return nil, invalid("manifest", "%d bytes, at most %d", len(b), MaxManifest)
	}
	var m Manifest
	for l := range strings.Lines(string(b)) {
		name, hash, _ := strings.Cut(strings.TrimSuffix(l, "\n"), " ")
		h, _ := base64.StdEncoding.DecodeString(hash)
		if len(h) != latchkey.HashSize {
			return nil, invalid("manifest", "line %q, want a path and a hash", l)
		}
		m = append(m, ManifestFile{name, latchkey.Hash(h)})
	}
	if again, err := m.Encode(); err != nil || string(again) != string(b) {
		return nil, invalid("manifest", "it is not in its one form")
	}
	return m, nil
}
