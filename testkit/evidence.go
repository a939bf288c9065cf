package testkit

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Evidence is vectors/evidence.json: one file of evidence, changes to it, and
// what a verifier finds. File is made by a hub (cmd/latchkey, TestWriteEvidence);
// its keys are random, so that it is kept as it is.
type Evidence struct {
	Doc
	File  string         `json:"file"` // base64
	Cases []EvidenceCase `json:"cases"`
}

// EvidenceCase is the file with changes.
type EvidenceCase struct {
	Name    string           `json:"name"`
	Changes []EvidenceChange `json:"changes"`
	Policy  string           `json:"policy,omitempty"` // the reader's own; empty: none
	Want    EvidenceWant     `json:"want"`
}

// EvidenceChange is one change. By Op: drop a file; flip the lowest bit of byte At
// of it; swap it with With; text: replace the first Old in it by New; part: leave
// out its sealed part number At. Then the list is made anew, as a forger would.
// cut, bit and more change the file as a whole, at the very end: its length to At,
// the lowest bit of byte At, New behind it. At < 0 counts from the end.
type EvidenceChange struct {
	Op   string `json:"op"`
	File string `json:"file,omitempty"`
	With string `json:"with,omitempty"`
	At   int    `json:"at,omitempty"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// EvidenceWant is what is found. Invalid: it is no whole file of evidence; the
// rest is then empty. Times are unix seconds, 0: none.
type EvidenceWant struct {
	Invalid  bool          `json:"invalid,omitempty"`
	Failed   []string      `json:"failed"` // steps that name a problem, each once
	Parts    int           `json:"parts"`
	Pictures int           `json:"pictures"`
	Gaps     []EvidenceGap `json:"gaps"`
	Logged   int           `json:"logged"`
	After    int64         `json:"after"`
	Before   int64         `json:"before"`
}

// EvidenceGap is a time without pictures, [From, To).
type EvidenceGap struct {
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Why  string `json:"why"`
}

// Make is the file with the changes of a case.
func (v Evidence) Make(c EvidenceCase) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(v.File)
	if err != nil {
		return nil, err
	}
	names, files, err := EvidenceFiles(raw)
	if err != nil {
		return nil, err
	}
	relist := false
	for _, change := range c.Changes {
		inside, err := change.inside(files)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		relist = relist || inside
	}
	if relist {
		if raw, err = PackEvidence(names, files); err != nil {
			return nil, err
		}
	}
	for _, change := range c.Changes {
		raw = change.outside(raw)
	}
	return raw, nil
}

// inside changes the files; false: it is a change of the whole.
func (c EvidenceChange) inside(files map[string][]byte) (bool, error) {
	if c.Op == "cut" || c.Op == "bit" || c.Op == "more" {
		return false, nil
	}
	b, ok := files[c.File]
	if !ok {
		return false, fmt.Errorf("no file %s", c.File)
	}
	switch c.Op {
	case "drop":
		delete(files, c.File)
	case "flip":
		b = slices.Clone(b)
		b[(c.At+len(b))%len(b)] ^= 1
		files[c.File] = b
	case "swap":
		files[c.File], files[c.With] = files[c.With], b
	case "part":
		files[c.File] = withoutPart(b, c.At)
	case "text":
		if !bytes.Contains(b, []byte(c.Old)) {
			return false, fmt.Errorf("%s does not have %q", c.File, c.Old)
		}
		files[c.File] = []byte(strings.Replace(string(b), c.Old, c.New, 1))
	default:
		return false, fmt.Errorf("unknown change %q", c.Op)
	}
	return true, nil
}

// withoutPart leaves out part number n of a concatenation.
func withoutPart(b []byte, n int) []byte {
	at := 0
	for {
		size := 128 + int(binary.BigEndian.Uint32(b[at+12:])) + 64
		if n == 0 {
			return append(slices.Clone(b[:at]), b[at+size:]...)
		}
		at, n = at+size, n-1
	}
}

func (c EvidenceChange) outside(raw []byte) []byte {
	at := c.At
	if at < 0 {
		at += len(raw)
	}
	switch c.Op {
	case "cut":
		return raw[:at]
	case "bit":
		raw = slices.Clone(raw)
		raw[at] ^= 1
	case "more":
		raw = append(slices.Clone(raw), c.New...)
	}
	return raw
}

// EvidenceFiles takes a file of evidence apart, without checking anything.
func EvidenceFiles(raw []byte) (names []string, files map[string][]byte, err error) {
	files = map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, files, nil
		}
		if err != nil {
			return nil, nil, err
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return nil, nil, err
		}
		names, files[h.Name] = append(names, h.Name), b
	}
}

// PackEvidence writes those of the names that there are, in their order, as a
// forger would: with a list that fits.
func PackEvidence(names []string, files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	put := func(name string, b []byte) error {
		err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(b)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR})
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	}
	var list []string
	for _, name := range names {
		b, ok := files[name]
		if !ok || name == "manifest" {
			continue
		}
		sum := sha256.Sum256(b)
		list = append(list, name+" "+base64.StdEncoding.EncodeToString(sum[:])+"\n")
		if err := put(name, b); err != nil {
			return nil, err
		}
	}
	slices.Sort(list)
	err := errors.Join(put("manifest", []byte(strings.Join(list, ""))), w.Close())
	return out.Bytes(), err
}
