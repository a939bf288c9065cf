package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey/web"
)

// webFound is what `verify --web --json` says.
type webFound struct {
	OK      bool
	Files   int
	Same    bool `json:"same_as_this_program"`
	Wrong   []string
	Release *struct {
		Version string
		Entry   int64
	}
}

// changing is a server in front of another that changes what stands at path; nil
// is that nothing does.
func changing(t *testing.T, server, path string, change func(body []byte) []byte) string {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	director := proxy.Director
	proxy.Director = func(r *http.Request) {
		director(r)
		r.Header.Set("Accept-Encoding", "identity")
	}
	proxy.ModifyResponse = func(res *http.Response) error {
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		if res.Request.URL.Path == path {
			body = change(body)
		}
		if body == nil {
			res.StatusCode = http.StatusNotFound
		}
		res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		res.Header.Del("Content-Length")
		return nil
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return s.URL
}

func TestVerifyWeb(t *testing.T) {
	d := startHouse(t)
	var got webFound
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		code, words := types(t, t.TempDir(), &got, "verify", "--web", d.server, "--json")
		if code != exitDone {
			t.Fatalf("exit %d: %s", code, words)
		}
		if got.Release != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the release does not come into the log")
		}
	}
	if !got.OK || !got.Same || got.Files < 5 || len(got.Wrong) > 0 || got.Release.Version != buildVersion() {
		t.Fatalf("%+v", got)
	}
	if code, words := types(t, d.home, nil, "verify", "--web", d.server); code != exitDone || strings.Contains(words, "came from the server itself") {
		t.Errorf("with a household that has pinned a policy: exit %d, %s", code, words)
	}
	index, err := os.ReadFile("../../web/dist/index.html")
	if err != nil {
		t.Fatal(err)
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	for _, c := range []struct {
		what, path string
		change     func([]byte) []byte
		says       string
	}{
		{"the first byte of the page", "/index.html", flip(0), "/index.html is another file"},
		{"the last byte of the page", "/index.html", flip(len(index) - 1), "/index.html is another file"},
		{"the page under the name that people type", "/", flip(9), "/ is another file"},
		{"a file is missing", "/sw.js", gone, "/sw.js is not served"},
		{"another list of files", "/log/release/web/manifest", flip(0), "not the one of its release"},
		{"a release whose note was changed", "/log/release/web", changeNote, "does not hold"},
	} {
		code, words := types(t, t.TempDir(), nil, "verify", "--web", changing(t, d.server, c.path, c.change))
		if code != exitVerify || !strings.Contains(words, c.says) || !strings.Contains(words, "Do not sign in on this server's page") {
			t.Errorf("%s: exit %d, %s", c.what, code, words)
		}
	}
	if code, words := types(t, t.TempDir(), nil, "verify", "--web", changing(t, d.server, "/log/release/web", gone)); code != exitDone || !strings.Contains(words, "has logged no release") || !strings.Contains(words, "those of this program, byte for byte") {
		t.Errorf("no release, and the page of this program: exit %d, %s", code, words)
	}
	other := filepath.Join(t.TempDir(), "policy")
	strangers := strings.ReplaceAll(string(httpGet(t, d.server+"/log/policy")), "releaser r", "releaser other-r")
	rhea := signedBy(t, "rhea")
	for _, l := range strings.Split(strangers, "\n") {
		if w := strings.Fields(l); len(w) == 3 && w[1] == "other-rhea" {
			strangers = strings.Replace(strangers, w[2], rhea, 1)
		}
	}
	if err := os.WriteFile(other, []byte(strangers), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, words := types(t, t.TempDir(), nil, "verify", "--web", d.server, "--policy", other); code != exitVerify || !strings.Contains(words, "does not hold") {
		t.Errorf("one of two is unknown to the policy: exit %d, %s", code, words)
	}
}

func gone([]byte) []byte { return nil }

// changeNote changes a letter of the signed note inside the file.
func changeNote(b []byte) []byte {
	at := bytes.Index(b, []byte("note ")) + 40
	if b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	return b
}

// signedBy draws a releaser and returns his key.
func signedBy(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	var got struct{ VKey string }
	if code, words := types(t, dir, &got, "release", "sign", filepath.Join(dir, "note"), "--key", filepath.Join(dir, "key"), "--name", name+".example", "--as", "1", "--json"); code != exitDone {
		t.Fatal(words)
	}
	return got.VKey
}

// TestReleaseSign: two sign what they have built; what one alone signed, or what
// is of another program, no server takes.
func TestReleaseSign(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	var lines strings.Builder
	sign := func(name string, more ...string) (int, string) {
		var got struct{ VKey string }
		args := append([]string{"release", "sign", in("note"), "--key", in(name), "--name", name + ".example", "--json"}, more...)
		code, words := types(t, dir, &got, args...)
		if code == exitDone {
			lines.WriteString("releaser " + name + " " + got.VKey + "\n")
		}
		return code, words
	}
	serve := func() (int, string) {
		if err := os.WriteFile(in("watchers"), []byte("quorum none\n"+lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		// An address that nobody has: who takes the note goes on to listen, and fails there.
		return types(t, dir, nil, "serve", "--data", in("data"), "--listen", "256.0.0.1:0", "--watchers", in("watchers"), "--release", in("note"))
	}
	if code, words := sign("rhea", "--as", "1.2.3", "--source", "0f3a9c"); code != exitDone {
		t.Fatal(words)
	}
	if code, words := serve(); code != exitFailed || !strings.Contains(words, "1 releaser") {
		t.Errorf("a policy with one releaser: exit %d, %s", code, words)
	}
	if code, words := sign("rolf", "--as", "1.2.4"); code != exitVerify || !strings.Contains(words, "another release") {
		t.Errorf("the second signs another version: exit %d, %s", code, words)
	}
	lines.WriteString("releaser rosa " + signedBy(t, "rosa") + "\n")
	if code, words := serve(); code != exitVerify || !strings.Contains(words, "1 of the policy's releasers") {
		t.Errorf("one of two has signed: exit %d, %s", code, words)
	}
	if code, words := sign("rolf"); code != exitDone {
		t.Fatal(words)
	}
	if code, words := serve(); code != exitFailed || !strings.Contains(words, "Choose another address") {
		t.Errorf("signed by two: exit %d, %s", code, words)
	}
	note, err := os.ReadFile(in("note"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("note"), bytes.Replace(note, []byte("hash "), []byte("hash A"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, words := sign("rosa"); code == exitDone {
		t.Errorf("a note of another hash was signed: %s", words)
	}
	var list bytes.Buffer
	if code := run(t.Context(), []string{"release", "manifest"}, stdio{in: strings.NewReader(""), out: &list, err: io.Discard, env: func(string) string { return dir }}); code != exitDone {
		t.Fatal(code)
	}
	if _, err := web.Dist().Open(strings.Fields(list.String())[0]); err != nil {
		t.Error(err)
	}
}
