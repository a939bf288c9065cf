package sequencer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"latchkey.dev/latchkey"
)

// filePath is what of the log's folder is public: C2SP tlog-tiles.
var filePath = regexp.MustCompile(`^(?:checkpoint|tile/(?:entries|[0-5]?[0-9]|6[0-3])/(?:x[0-9]{3}/)*[0-9]{3}(?:\.p/[0-9]{1,3})?)$`)

// read is a ledger.Fetch of the log's own files.
func (s *Sequencer) read(_ context.Context, path string) ([]byte, error) {
	if !filePath.MatchString(path) {
		return nil, fmt.Errorf("sequencer: read: %w: %q is no file of a log", latchkey.ErrNotFound, path)
	}
	b, err := os.ReadFile(filepath.Join(s.dir, filepath.FromSlash(path)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("sequencer: read: %w: %s", latchkey.ErrNotFound, path)
	}
	return b, err
}

// ServeFile serves one file of the log. Whatever has been written once stays as
// it is, but for the checkpoint.
func (s *Sequencer) ServeFile(w http.ResponseWriter, r *http.Request) error {
	path := strings.TrimPrefix(r.URL.Path, s.policy.Path())
	b, err := s.read(r.Context(), path)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	if path == "checkpoint" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Cache-Control", "no-cache")
	}
	h.Set("Access-Control-Allow-Origin", "*") // anybody may watch, from any page
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	return nil
}

// awaitPublished waits until the checkpoint that was signed last is in its file,
// or nobody has signed for it in time: then nothing writes any more.
func (s *Sequencer) awaitPublished() {
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		b, err := s.read(context.Background(), "checkpoint")
		if last := s.signer.lastSigned(); err != nil || last == nil || bytes.HasPrefix(b, last) {
			return
		}
		if s.policy.Witnessed() {
			// Waiting for witnesses ended with the context.
			time.Sleep(50 * time.Millisecond)
			return
		}
	}
}
