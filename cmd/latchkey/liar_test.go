package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey/part"
)

// liar is a server that lies: it stands between a member and an honest cloud
// and changes answers on their way. Zero fields pass everything on.
type liar struct {
	*httptest.Server
	cloud *url.URL

	mu  sync.Mutex
	lie lie
}

// lie is one way to cheat.
type lie struct {
	// request changes what the cloud is asked.
	request func(*http.Request)
	// footage changes the parts of one answer; keep says whether the answer
	// still tells that there is more.
	footage func(track string, parts []part.Part) (changed []part.Part, keep bool)
	// raw changes the bytes of one footage answer.
	raw func([]byte) []byte
	// answer changes an API answer; the key is the procedure's name.
	answer map[string]func(body []byte) proto.Message
	// ask changes what an API call asks.
	ask map[string]func(body []byte) proto.Message
	// swallow answers an API call without asking the cloud; nil lets it pass.
	swallow map[string]func(body []byte) proto.Message
	// file changes a file of the public log, by its path below /log/.
	file map[string]func(body []byte) []byte
	// live changes the n-th binary message of a live socket into any number.
	live func(n int, msg []byte) [][]byte
}

func newLiar(t *testing.T, cloud string) *liar {
	t.Helper()
	u, err := url.Parse(cloud)
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{cloud: u}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.Out.Host = r.In.Host // the cloud answers under the name it is called by
			r.Out.Header.Del("Accept-Encoding")
			if f := l.now().request; f != nil {
				f(r.Out)
			}
		},
		ModifyResponse: l.change,
	}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/live" && l.now().live != nil {
			l.relay(w, r)
			return
		}
		if !l.listen(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(l.Close)
	return l
}

// listen changes what is asked, or answers itself: then it returns true.
func (l *liar) listen(w http.ResponseWriter, r *http.Request) bool {
	now, procedure := l.now(), path.Base(r.URL.Path)
	ask, swallow := now.ask[procedure], now.swallow[procedure]
	if ask == nil && swallow == nil {
		return false
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return false // the caller has gone
	}
	if swallow != nil {
		if m := swallow(body); m != nil {
			b, err := proto.Marshal(m)
			if err != nil {
				panic(err) // a lie that cannot be told is a broken test
			}
			w.Header().Set("Content-Type", "application/proto")
			_, _ = w.Write(b)
			return true
		}
	}
	if ask != nil {
		if body, err = proto.Marshal(ask(body)); err != nil {
			panic(err)
		}
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return false
}

func (l *liar) now() lie {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lie
}

// tell starts a lie that ends with the test.
func (l *liar) tell(t *testing.T, what lie) {
	set := func(v lie) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lie = v
	}
	set(what)
	t.Cleanup(func() { set(lie{}) })
}

func (l *liar) change(res *http.Response) error {
	now := l.now()
	answer := now.answer[path.Base(res.Request.URL.Path)]
	if name, ok := strings.CutPrefix(res.Request.URL.Path, "/log/"); ok && now.file[name] != nil && res.StatusCode == http.StatusOK {
		body, err := io.ReadAll(res.Body)
		body = now.file[name](body)
		res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		res.Header.Set("Content-Length", strconv.Itoa(len(body)))
		return err
	}
	track, footage := strings.CutPrefix(res.Request.URL.Path, "/v1/footage/")
	if rest, ok := strings.CutPrefix(res.Request.URL.Path, "/v1/links/"); ok {
		track, footage = path.Base(rest), true
	}
	if res.StatusCode != http.StatusOK || answer == nil && (!footage || now.footage == nil && now.raw == nil) {
		return nil
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	switch {
	case answer != nil:
		if body, err = proto.Marshal(answer(body)); err != nil {
			return err
		}
	case now.raw != nil:
		body = now.raw(body)
	default:
		parts, keep := now.footage(track, splitParts(body))
		body = joinParts(parts)
		if !keep {
			res.Header.Del("Latchkey-Next")
		}
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	res.ContentLength = int64(len(body))
	res.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}

// relay is a live socket whose binary messages go through the lie.
func (l *liar) relay(w http.ResponseWriter, r *http.Request) {
	back, _, err := websocket.DefaultDialer.DialContext(r.Context(), "ws://"+l.cloud.Host+r.URL.Path,
		http.Header{"Authorization": r.Header["Authorization"]})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer back.Close()
	up := websocket.Upgrader{}
	front, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer front.Close()
	go func() {
		defer back.Close()
		for {
			kind, msg, err := front.ReadMessage()
			if err != nil || back.WriteMessage(kind, msg) != nil {
				return
			}
		}
	}()
	for n := 0; ; {
		kind, msg, err := back.ReadMessage()
		if err != nil {
			return
		}
		out := [][]byte{msg}
		if kind == websocket.BinaryMessage {
			out = l.now().live(n, msg)
			n++
		}
		for _, m := range out {
			if front.WriteMessage(kind, m) != nil {
				return
			}
		}
	}
}

// decode reads an API answer; a lie that cannot read it is a broken test.
func decode[M proto.Message](body []byte, m M) M {
	if err := proto.Unmarshal(body, m); err != nil {
		panic(err)
	}
	return m
}

func splitParts(b []byte) []part.Part {
	var parts []part.Part
	for len(b) > 0 {
		p, rest, err := part.Next(b)
		if err != nil {
			panic(err) // the honest cloud sends whole parts
		}
		parts, b = append(parts, p), rest
	}
	return parts
}

func joinParts(parts []part.Part) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p.Raw...)
	}
	return b
}
