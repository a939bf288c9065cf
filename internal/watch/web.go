package watch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/ledger"
)

// WebReport is what a server's page was found to be.
type WebReport struct {
	Files int // that were fetched and compared
	// Release is what the server has published of its page, Entry where that stands
	// in the public log; nil when it has published nothing.
	Release *ledger.Release
	Entry   int64
	Policy  *ledger.Policy
	// OwnPolicy: the policy came from the server itself. It proves that these keys
	// signed, and not whose they are.
	OwnPolicy bool
	// Same: what the server serves is what Local has, byte for byte.
	Same bool
	// Wrong is a plain sentence for everything that does not fit the published
	// release, or Local where there is none.
	Wrong []string
}

// Web asks a server for every file of its page as a browser does.
type Web struct {
	Server string // origin
	Client *http.Client
	Policy string // empty: the server's own
	Local  fs.FS  // the same page from elsewhere: what this program was built with
}

// Check compares, byte by byte, what the server serves with what it has logged
// as its release, and with Local. An error is that it could not be found out;
// what was found to be wrong is in the report.
func (w *Web) Check(ctx context.Context) (WebReport, error) {
	r := WebReport{OwnPolicy: w.Policy == ""}
	text := w.Policy
	if r.OwnPolicy {
		b, err := w.get(ctx, "/log/policy", ledger.MaxPolicy)
		if err != nil {
			return r, fmt.Errorf("watch: web: policy: %w", err)
		}
		text = string(b)
	}
	var err error
	if r.Policy, err = ledger.ParsePolicy(text); err != nil {
		return r, fmt.Errorf("watch: web: %w", err)
	}
	list, err := ledger.ManifestOf(w.Local)
	if err != nil {
		return r, fmt.Errorf("watch: web: %w", err)
	}
	own, err := list.Encode()
	if err != nil {
		return r, fmt.Errorf("watch: web: %w", err)
	}
	published, err := w.published(ctx, &r)
	if err != nil {
		return r, err
	}
	if published == nil { // nothing was logged, or it does not hold
		published = own
	}
	if list, err = ledger.ParseManifest(published); err != nil {
		r.Wrong = append(r.Wrong, fmt.Sprintf("The list of the page's files is none: %v.", err))
		return r, nil
	}
	if err := w.compare(ctx, list, &r); err != nil {
		return r, err
	}
	r.Same = len(r.Wrong) == 0 && string(published) == string(own)
	return r, nil
}

// published is the manifest of the release that stands in the log; nil if there
// is none that holds.
func (w *Web) published(ctx context.Context, r *WebReport) ([]byte, error) {
	raw, err := w.get(ctx, "/log/release/web", 4*ledger.MaxNote)
	if errors.Is(err, latchkey.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("watch: web: release: %w", err)
	}
	file, err := ledger.ParseReleased(raw)
	var release ledger.Release
	if err == nil {
		release, _, err = file.Check(r.Policy)
	}
	if err != nil {
		r.Wrong = append(r.Wrong, fmt.Sprintf("What the server gives out as its release does not hold: %v.", err))
		return nil, nil
	}
	r.Release, r.Entry = &release, file.Log.Index
	manifest, err := w.get(ctx, "/log/release/web/manifest", ledger.MaxManifest)
	if err != nil {
		return nil, fmt.Errorf("watch: web: manifest: %w", err)
	}
	if release.Kind != "web" || sha256.Sum256(manifest) != release.Hash {
		r.Wrong = append(r.Wrong, "The list of files that the server gives out is not the one of its release.")
		return nil, nil
	}
	return manifest, nil
}

// maxPageFile bounds one file of a page.
const maxPageFile = 32 << 20

// compare fetches every file of the list, and the page's own addresses.
func (w *Web) compare(ctx context.Context, list ledger.Manifest, r *WebReport) error {
	for _, f := range list {
		r.Files++
		addresses := []string{"/" + f.Path}
		if name, ok := strings.CutSuffix(f.Path, ".html"); ok { // how browsers ask for a page
			addresses = append(addresses, "/"+strings.TrimSuffix(name, "index"))
		}
		for _, address := range addresses {
			content, err := w.get(ctx, address, maxPageFile)
			switch {
			case errors.Is(err, latchkey.ErrNotFound):
				r.Wrong = append(r.Wrong, fmt.Sprintf("%s is not served.", address))
			case err != nil:
				return fmt.Errorf("watch: web: %w", err)
			case sha256.Sum256(content) != f.Hash:
				r.Wrong = append(r.Wrong, fmt.Sprintf("%s is another file than the one that was published.", address))
			}
		}
	}
	return nil
}

func (w *Web) get(ctx context.Context, path string, most int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(w.Server, "/")+path, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", latchkey.ErrInvalid, err)
	}
	res, err := w.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", latchkey.ErrUnavailable, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", path, latchkey.ErrNotFound)
	default:
		return nil, fmt.Errorf("%s: %w: the server answered %s", path, latchkey.ErrUnavailable, res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s: %w: more than %d bytes", path, latchkey.ErrInvalid, most)
	}
	return b, err
}
