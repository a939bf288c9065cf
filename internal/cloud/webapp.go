package cloud

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// webApp serves the built app. Names under assets/ carry a hash of their
// content and may be kept for ever; everything else is asked for each time.
// A path without a file is a page: the one of its name, such as s.html for /s,
// else the app's own. Text is compressed once, at the
// start: the files are few and never change while the server runs.
type webApp struct {
	files map[string]webFile
}

// webFile is one file as it is sent; gz is nil where compressing gains nothing.
type webFile struct {
	plain, gz []byte
}

const indexFile = "index.html"

func newWebApp(files fs.FS) (*webApp, error) {
	a := &webApp{files: map[string]webFile{}}
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		plain, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		a.files[name] = webFile{plain: plain, gz: compressed(plain)}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cloud: web app: %w", err)
	}
	if _, ok := a.files[indexFile]; !ok {
		return nil, fmt.Errorf("cloud: web app: %s: %w", indexFile, fs.ErrNotExist)
	}
	return a, nil
}

// compressed returns b in gzip, or nil when that is not clearly smaller.
func compressed(b []byte) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil // only for an unknown level
	}
	_, _ = w.Write(b) // into memory: cannot fail
	w.Close()
	if out.Len() > len(b)*9/10 {
		return nil
	}
	return out.Bytes()
}

func (a *webApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	if strings.HasPrefix(name, "v1/") || strings.HasPrefix(name, "latchkey.v1.") {
		http.NotFound(w, r) // an unknown API route is not the app
		return
	}
	file, ok := a.files[name]
	if !ok && path.Ext(name) != "" {
		http.NotFound(w, r)
		return
	}
	if !ok {
		name, file = a.page(name)
	}
	a.serve(w, r, name, file)
}

// page is the page that a path without a file stands for.
func (a *webApp) page(name string) (string, webFile) {
	if own, ok := a.files[name+".html"]; ok {
		return name + ".html", own
	}
	return indexFile, a.files[indexFile]
}

func (a *webApp) serve(w http.ResponseWriter, r *http.Request, name string, file webFile) {
	cache := "no-cache"
	if strings.HasPrefix(name, "assets/") {
		cache = "public, max-age=31536000, immutable"
	}
	h := w.Header()
	h.Set("Cache-Control", cache)
	h.Set("Vary", "Accept-Encoding")
	if path.Ext(name) == ".webmanifest" {
		h.Set("Content-Type", "application/manifest+json")
	}
	body := file.plain
	if file.gz != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = file.gz
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
}
