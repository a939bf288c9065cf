package cloud

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/ledger"
)

// kindWeb is the kind of a release of the web app.
const kindWeb = "web"

// openRelease holds the release note against what this server serves, and puts
// it on its way into the log. Another note than that of the app would say what
// everybody can refute.
func (s *Server) openRelease(ctx context.Context) error {
	list, err := ledger.ManifestOf(s.cfg.Web)
	if err != nil {
		return fmt.Errorf("cloud: release: %w", err)
	}
	if s.manifest, err = list.Encode(); err != nil {
		return fmt.Errorf("cloud: release: %w", err)
	}
	if s.cfg.Release == nil {
		return nil
	}
	r, err := s.ledger.Policy().Release(s.cfg.Release)
	if err != nil {
		return fmt.Errorf("cloud: release: %w", err)
	}
	if r.Kind != kindWeb || r.Hash != sha256.Sum256(s.manifest) {
		return fmt.Errorf("cloud: release: %w: the note is of another web app than this program has", latchkey.ErrInvalid)
	}
	return s.ledger.Announce(ctx, s.cfg.Release)
}

// serveRelease serves the release note with its place in the log.
func (s *Server) serveRelease(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Release == nil {
		s.refuse(w, r, fmt.Errorf("cloud: release: %w: none was published", latchkey.ErrNotFound))
		return
	}
	proof, err := s.ledger.Announced(r.Context(), s.cfg.Release)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(ledger.Released{Note: s.cfg.Release, Log: proof}.Encode()) // the caller has gone
}

// serveManifest serves the list of the files of the web app.
func (s *Server) serveManifest(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(s.manifest) // the caller has gone
}
