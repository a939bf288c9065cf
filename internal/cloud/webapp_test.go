package cloud

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func testApp(t *testing.T) *webApp {
	t.Helper()
	app, err := newWebApp(fstest.MapFS{
		"index.html":           {Data: []byte("<!doctype html>" + strings.Repeat("<p>page</p>", 50))},
		"assets/app-abc123.js": {Data: []byte(strings.Repeat("let a = 1;", 100))},
		"s.html":               {Data: []byte("<!doctype html><p>shared</p>")},
		"icon.png":             {Data: []byte{0x89, 'P', 'N', 'G', 1, 7, 3, 200}},
		"manifest.webmanifest": {Data: []byte(`{"name":"Latchkey"}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func TestWebAppSendsTheSameBytesCompressedOrNot(t *testing.T) {
	app := testApp(t)
	for name, file := range app.files {
		for _, accept := range []string{"", "gzip, br"} {
			req := httptest.NewRequest("GET", "/"+name, nil)
			req.Header.Set("Accept-Encoding", accept)
			rec := httptest.NewRecorder()
			app.ServeHTTP(rec, req)
			var body io.Reader = rec.Body
			if rec.Header().Get("Content-Encoding") == "gzip" {
				if accept == "" {
					t.Fatalf("%s: gzip, though not accepted", name)
				}
				zr, err := gzip.NewReader(rec.Body)
				if err != nil {
					t.Fatal(err)
				}
				body = zr
			} else if accept != "" && file.gz != nil {
				t.Fatalf("%s: not compressed", name)
			}
			got, err := io.ReadAll(body)
			if err != nil || !bytes.Equal(got, file.plain) {
				t.Fatalf("%s (accepting %q): got %d bytes, %v; want %d", name, accept, len(got), err, len(file.plain))
			}
		}
	}
	if app.files["assets/app-abc123.js"].gz == nil || app.files["icon.png"].gz != nil {
		t.Fatal("text is compressed, a picture is not")
	}
}

func TestWebAppRoutes(t *testing.T) {
	app := testApp(t)
	for _, c := range []struct {
		path   string
		status int
		kind   string
		cache  string
	}{
		{"/", 200, "text/html; charset=utf-8", "no-cache"},
		{"/camera", 200, "text/html; charset=utf-8", "no-cache"},
		{"/assets/app-abc123.js", 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/manifest.webmanifest", 200, "application/manifest+json", "no-cache"},
		{"/s", 200, "text/html; charset=utf-8", "no-cache"},
		{"/desk", 200, "text/html; charset=utf-8", "no-cache"},
		{"/verify", 200, "text/html; charset=utf-8", "no-cache"},
		{"/assets/gone-000.js", 404, "", ""},
		{"/v1/nothing", 404, "", ""},
		{"/latchkey.v1.Nothing/Get", 404, "", ""},
	} {
		rec := httptest.NewRecorder()
		app.ServeHTTP(rec, httptest.NewRequest("GET", c.path, nil))
		if rec.Code != c.status {
			t.Errorf("%s: status %d, want %d", c.path, rec.Code, c.status)
		}
		if c.status == 200 && (rec.Header().Get("Content-Type") != c.kind || rec.Header().Get("Cache-Control") != c.cache) {
			t.Errorf("%s: %q %q, want %q %q", c.path, rec.Header().Get("Content-Type"), rec.Header().Get("Cache-Control"), c.kind, c.cache)
		}
	}
}

// TestDoorsOfTheirOwn: a page that is no part of the app is served under its
// name; a name without a page is the app's.
func TestDoorsOfTheirOwn(t *testing.T) {
	app := testApp(t)
	for path, want := range map[string]string{"/s": "shared", "/s/": "shared", "/s.html": "shared", "/verify": "page", "/s/more": "page", "/": "page"} {
		rec := httptest.NewRecorder()
		app.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %q", path, rec.Body.String())
		}
	}
}

func TestWebAppNeedsItsPage(t *testing.T) {
	if _, err := newWebApp(fstest.MapFS{"assets/a.js": {Data: []byte("x")}}); err == nil {
		t.Fatal("an app without index.html was taken")
	}
}
