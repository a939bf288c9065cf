package member

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/ledger"
)

// The files of evidence (spec/evidence), in the order in which they stand.
const (
	evReadme   = "README.txt"
	evFacts    = "evidence"
	evPolicy   = "policy"
	evChain    = "chain/"  // six digits: the statements from genesis on
	evProofs   = "proofs/" // six digits: tlog-proofs of statements
	evEpochs   = "epochs/" // 32 hex digits
	evHeads    = "heads/"  // 32 hex digits
	evSets     = "sets/"   // 32 hex digits: of an epoch
	evKeys     = "keys"
	evVideo    = "parts/video"
	evAudio    = "parts/audio"
	evMovie    = "video.mp4"
	evManifest = "manifest"
)

// evidenceReadme stands in every file, word for word.
const evidenceReadme = `This is evidence made by Latchkey: recorded footage with what is needed to check it.

video.mp4 plays anywhere. Everything else is for checking that it is what a certain hub recorded, unchanged and in
this order: "latchkey verify FILE.lkx", or the page /verify of a Latchkey server, which needs no account and sends nothing.

The file "keys" holds the keys of exactly this footage in clear: whoever has this file can watch it, and show others
that it is genuine. It does not prove that what stood before the camera was real.
`

var evidenceName = regexp.MustCompile(`^(?:README\.txt|evidence|policy|(?:chain|proofs)/[0-9]{6}|(?:epochs|heads|sets)/[0-9a-f]{32}|keys|parts/(?:video|audio)|video\.mp4|manifest)$`)

// evidenceRank orders the files by what they are.
func evidenceRank(name string) int {
	for i, prefix := range []string{evReadme, evFacts, evPolicy, evChain, evProofs, evEpochs, evHeads, evSets, evKeys, evVideo, evAudio, evMovie, evManifest} {
		if name == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(name, prefix) {
			return i
		}
	}
	return -1
}

// maxSmall bounds what is read whole of evidence, in bytes.
const maxSmall = 8 << 20

// facts are what the file says of itself; all of it is checked.
type facts struct {
	Household    latchkey.HouseholdID
	Video, Audio latchkey.TrackID // no sound: zero
	From, Until  int64            // unix seconds
}

const factsType = "latchkey/v1 evidence\n"

func (f facts) text() string {
	audio := "none"
	if f.Audio != (latchkey.TrackID{}) {
		audio = f.Audio.String()
	}
	return fmt.Sprintf("%shousehold %s\nvideo %s\naudio %s\nfrom %d\nuntil %d\n", factsType, f.Household, f.Video, audio, f.From, f.Until)
}

// parseFacts reads the form of text strictly.
func parseFacts(s string) (facts, error) {
	bad := fmt.Errorf("%w: the file %q is not in its one form", latchkey.ErrInvalid, evFacts)
	lines := strings.Split(strings.TrimPrefix(s, factsType), "\n")
	if len(lines) != 6 {
		return facts{}, bad
	}
	var values [5]string
	for i, key := range []string{"household ", "video ", "audio ", "from ", "until "} {
		values[i] = strings.TrimPrefix(lines[i], key)
	}
	var f facts
	var errs [5]error
	f.Household, errs[0] = latchkey.ParseHouseholdID(values[0])
	f.Video, errs[1] = latchkey.ParseTrackID(values[1])
	if values[2] != "none" {
		f.Audio, errs[2] = latchkey.ParseTrackID(values[2])
	}
	f.From, errs[3] = strconv.ParseInt(values[3], 10, 64)
	f.Until, errs[4] = strconv.ParseInt(values[4], 10, 64)
	if errors.Join(errs[:]...) != nil || f.text() != s || f.From < 0 || f.From >= f.Until || f.Until > 1<<40 {
		return facts{}, bad
	}
	return f, nil
}

// evidenceWriter writes the files in their order and lists them at the end.
type evidenceWriter struct {
	tar  *tar.Writer
	list ledger.Manifest
}

func evidenceHeader(name string, size int64) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
}

func (w *evidenceWriter) bytes(name string, b []byte) error {
	return w.copy(name, bytes.NewReader(b), int64(len(b)))
}

func (w *evidenceWriter) copy(name string, r io.Reader, size int64) error {
	if err := w.tar.WriteHeader(evidenceHeader(name, size)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	sum := sha256.New()
	if n, err := io.Copy(io.MultiWriter(w.tar, sum), r); err != nil || n != size {
		return fmt.Errorf("write %s: %d of %d bytes: %w", name, n, size, err)
	}
	w.list = append(w.list, ledger.ManifestFile{Path: name, Hash: latchkey.Hash(sum.Sum(nil))})
	return nil
}

func (w *evidenceWriter) end() error {
	b, err := w.list.Encode()
	if err != nil {
		return err
	}
	if err := w.bytes(evManifest, b); err != nil {
		return err
	}
	return w.tar.Close()
}

// evidenceFile is an .lkx file whose container was read: every file in it by
// name, none of them believed.
type evidenceFile struct {
	names []string
	at    map[string]*io.SectionReader
}

// openEvidence reads the container strictly: the files that there are, in their
// order, each header in its one form, nothing between, behind or beside them,
// and all of it as the list at its end says. Anything else is latchkey.ErrInvalid.
func openEvidence(r io.ReaderAt, size int64) (*evidenceFile, error) {
	f := &evidenceFile{at: map[string]*io.SectionReader{}}
	const block = 512
	for at, last := int64(0), ""; ; {
		head := make([]byte, block)
		if _, err := r.ReadAt(head, at); err != nil {
			return nil, fmt.Errorf("%w: it breaks off at byte %d", latchkey.ErrInvalid, at)
		}
		if allZero(head) {
			return f, f.checkEnd(r, at, size)
		}
		name, length, err := evidenceEntry(head)
		if err != nil {
			return nil, err
		}
		if was, is := evidenceRank(last), evidenceRank(name); last != "" && (is < was || is == was && name <= last) {
			return nil, fmt.Errorf("%w: the file %s stands in the wrong place, or twice", latchkey.ErrInvalid, name)
		}
		end := at + block + (length+block-1)/block*block
		if length > size || end > size {
			return nil, fmt.Errorf("%w: the file %s breaks off", latchkey.ErrInvalid, name)
		}
		pad := make([]byte, end-at-block-length)
		if _, err := r.ReadAt(pad, at+block+length); len(pad) > 0 && (err != nil || !allZero(pad)) {
			return nil, fmt.Errorf("%w: something stands behind the file %s", latchkey.ErrInvalid, name)
		}
		f.names, f.at[name] = append(f.names, name), io.NewSectionReader(r, at+block, length)
		at, last = end, name
	}
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// evidenceEntry reads one header, which has one form.
func evidenceEntry(head []byte) (name string, length int64, err error) {
	h, err := tar.NewReader(bytes.NewReader(head)).Next()
	if err != nil {
		return "", 0, fmt.Errorf("%w: a file in it has a damaged head: %v", latchkey.ErrInvalid, err)
	}
	var again bytes.Buffer
	err = tar.NewWriter(&again).WriteHeader(evidenceHeader(h.Name, h.Size))
	if err != nil || !bytes.Equal(again.Bytes(), head) || !evidenceName.MatchString(h.Name) {
		return "", 0, fmt.Errorf("%w: the head of the file %q is not in its one form", latchkey.ErrInvalid, h.Name)
	}
	return h.Name, h.Size, nil
}

// checkEnd wants two empty blocks and the end of the file, and the list to be of
// all that is there.
func (f *evidenceFile) checkEnd(r io.ReaderAt, at, size int64) error {
	tail := make([]byte, 1024)
	if n, _ := r.ReadAt(tail, at); at+int64(n) != size || n != len(tail) || !allZero(tail) {
		return fmt.Errorf("%w: it does not end where it should", latchkey.ErrInvalid)
	}
	raw, err := f.small(evManifest)
	if err != nil {
		return err
	}
	list, err := ledger.ParseManifest(raw)
	if err != nil {
		return err
	}
	if len(list) != len(f.names)-1 {
		return fmt.Errorf("%w: its list names %d files, and %d are there", latchkey.ErrInvalid, len(list), len(f.names)-1)
	}
	for _, one := range list {
		s, ok := f.at[one.Path]
		if !ok {
			return fmt.Errorf("%w: the file %s is missing", latchkey.ErrInvalid, one.Path)
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, io.NewSectionReader(s, 0, s.Size())); err != nil {
			return err
		}
		if latchkey.Hash(sum.Sum(nil)) != one.Hash {
			return fmt.Errorf("%w: the file %s was changed", latchkey.ErrVerify, one.Path)
		}
	}
	return nil
}

// small reads one file whole; a missing one is latchkey.ErrNotFound.
func (f *evidenceFile) small(name string) ([]byte, error) {
	s, ok := f.at[name]
	if !ok {
		return nil, fmt.Errorf("the file %s: %w", name, latchkey.ErrNotFound)
	}
	if s.Size() > maxSmall {
		return nil, fmt.Errorf("the file %s: %w: %d bytes", name, latchkey.ErrInvalid, s.Size())
	}
	b := make([]byte, s.Size())
	_, err := io.ReadFull(io.NewSectionReader(s, 0, s.Size()), b)
	return b, err
}

// each calls do with every small file below prefix, in order.
func (f *evidenceFile) each(prefix string, do func(name string, b []byte) error) error {
	for _, name := range f.names {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		b, err := f.small(name)
		if err == nil {
			err = do(rest, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
