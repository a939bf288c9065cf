package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/part"
)

// linkScene is a household that has shared two links, and a server between them
// and whoever opens them.
type linkScene struct {
	d        *demo
	l        *liar
	from     time.Time // of the first link's footage
	until    time.Time
	one, two string // links that lead through the liar
	grant    latchkey.GrantID
	honest   *latchkeyv1.OpenLinkResponse
	other    *latchkeyv1.OpenLinkResponse
	foreign  *latchkeyv1.OpenLinkResponse // of another household on the same server
	file     []byte                       // what the first link gives
}

func newLinkScene(t *testing.T) *linkScene {
	t.Helper()
	s := &linkScene{d: startDemo(t)}
	n := startNeighbour(t, s.d)
	s.l = newLiar(t, s.d.server)
	span := recorded(t, s.d.client, "porch", 9*time.Second)
	s.from = span.To.Add(-7 * time.Second).Truncate(time.Second)
	s.until = s.from.Add(4 * time.Second)
	through := func(link string) string { return strings.Replace(link, s.d.server, s.l.URL, 1) }
	share := func(c *member.Client, camera string, span member.Span) member.Share {
		made, err := c.ShareLink(t.Context(), member.ShareRequest{Camera: camera, Span: span, Note: "hello"}, func(member.GrantStep) {})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	first := share(s.d.client, "porch", member.Span{From: s.from, To: s.until})
	s.one, s.grant = through(first.Link), first.Grant
	s.two = through(share(s.d.client, "driveway", member.Span{From: s.from, To: s.until}).Link)
	theirs := through(share(n.client, "porch", recorded(t, n.client, "porch", 3*time.Second)).Link)
	var last *latchkeyv1.OpenLinkResponse
	s.l.tell(t, lie{answer: one("OpenLink", func(body []byte) proto.Message {
		last = decode(body, &latchkeyv1.OpenLinkResponse{})
		return last
	})})
	for link, keep := range map[string]**latchkeyv1.OpenLinkResponse{s.two: &s.other, theirs: &s.foreign, s.one: &s.honest} {
		code, words, file := opensLink(t, link, nil)
		if code != exitDone {
			t.Fatalf("exit %d\n%s", code, words)
		}
		*keep = proto.CloneOf(last)
		if link == s.one {
			s.file = file
		}
	}
	s.l.tell(t, lie{})
	return s
}

// TestC10LinkServerSwaps: a server that exchanges any one thing that a link's
// holder gets is refused, and no file is left.
func TestC10LinkServerSwaps(t *testing.T) {
	s := newLinkScene(t)
	flip := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
		return b
	}
	swaps := map[string]func(m *latchkeyv1.OpenLinkResponse){
		"another note":            func(m *latchkeyv1.OpenLinkResponse) { m.Note = s.other.Note },
		"note and mac of another": func(m *latchkeyv1.OpenLinkResponse) { m.Note, m.Mac = s.other.Note, s.other.Mac },
		"a changed note": func(m *latchkeyv1.OpenLinkResponse) {
			m.Note = bytes.Replace(m.Note, []byte("until 1"), []byte("until 2"), 1)
		},
		"no note":                  func(m *latchkeyv1.OpenLinkResponse) { m.Note = nil },
		"another mac":              func(m *latchkeyv1.OpenLinkResponse) { m.Mac = s.other.Mac },
		"no mac":                   func(m *latchkeyv1.OpenLinkResponse) { m.Mac = nil },
		"another proof":            func(m *latchkeyv1.OpenLinkResponse) { m.Proof = s.other.Proof },
		"a proof of another house": func(m *latchkeyv1.OpenLinkResponse) { m.Proof = s.foreign.Proof },
		"a changed proof":          func(m *latchkeyv1.OpenLinkResponse) { m.Proof = flip(m.Proof) },
		"no proof":                 func(m *latchkeyv1.OpenLinkResponse) { m.Proof = nil },
		"another capsule":          func(m *latchkeyv1.OpenLinkResponse) { m.Capsule = s.other.Capsule },
		"a changed capsule":        func(m *latchkeyv1.OpenLinkResponse) { m.Capsule = flip(m.Capsule) },
		"no capsule":               func(m *latchkeyv1.OpenLinkResponse) { m.Capsule = nil },
		"other words":              func(m *latchkeyv1.OpenLinkResponse) { m.Words = s.other.Words },
		"changed words":            func(m *latchkeyv1.OpenLinkResponse) { m.Words = flip(m.Words) },
		"no words":                 func(m *latchkeyv1.OpenLinkResponse) { m.Words = nil },
		"another link":             func(m *latchkeyv1.OpenLinkResponse) { proto.Reset(m); proto.Merge(m, s.other) },
		"another house's epochs":   func(m *latchkeyv1.OpenLinkResponse) { m.Epochs = s.foreign.Epochs },
		"a changed epoch":          func(m *latchkeyv1.OpenLinkResponse) { m.Epochs[0].Note = flip(m.Epochs[0].Note) },
		"another house's heads":    func(m *latchkeyv1.OpenLinkResponse) { m.Epochs[0].Heads = s.foreign.Epochs[0].Heads },
		"an epoch signed by another": func(m *latchkeyv1.OpenLinkResponse) {
			text, _, _ := bytes.Cut(m.Epochs[0].Note, []byte("\n\n"))
			_, line, _ := bytes.Cut(s.foreign.Epochs[0].Note, []byte("\n\n"))
			m.Epochs[0].Note = append(append(bytes.Clone(text), "\n\n"...), line...)
		},
	}
	for name, swap := range swaps {
		t.Run(name, func(t *testing.T) {
			s.l.tell(t, lie{answer: one("OpenLink", func([]byte) proto.Message {
				m := proto.CloneOf(s.honest)
				swap(m)
				return m
			})})
			if code, words, _ := opensLink(t, s.one, nil); code != exitVerify {
				t.Errorf("exit %d\n%s", code, words)
			}
		})
	}
	t.Run("another policy", func(t *testing.T) {
		s.l.tell(t, lie{file: map[string]func([]byte) []byte{"policy": func(b []byte) []byte { return append(b, "# new friends\n"...) }}})
		if code, words, _ := opensLink(t, s.one, nil); code != exitVerify || !strings.Contains(words, "other keys or watchers") {
			t.Errorf("exit %d\n%s", code, words)
		}
	})
	t.Run("parts", func(t *testing.T) { linkParts(t, s) })
	t.Run("no lie", func(t *testing.T) {
		if code, words, file := opensLink(t, s.one, nil); code != exitDone || !bytes.Equal(file, s.file) {
			t.Errorf("exit %d\n%s", code, words)
		}
	})
	t.Run("C4", func(t *testing.T) { linkBorders(t, s) })
	t.Run("C18", func(t *testing.T) { linkNames(t, s) })
}

// linkParts: changed, exchanged and repeated parts end it; left out ones are told.
func linkParts(t *testing.T, s *linkScene) {
	driveway := map[string][]part.Part{}
	s.l.tell(t, lie{footage: func(track string, parts []part.Part) ([]part.Part, bool) {
		driveway[track] = parts
		return parts, true
	}})
	if code, words, _ := opensLink(t, s.two, nil); code != exitDone {
		t.Fatalf("exit %d\n%s", code, words)
	}
	var foreign []part.Part
	for _, parts := range driveway {
		foreign = parts
	}
	for name, change := range map[string]func([]part.Part) []part.Part{
		"another camera's": func([]part.Part) []part.Part { return foreign },
		"twice":            func(p []part.Part) []part.Part { return append(p, p...) },
		"backwards": func(p []part.Part) []part.Part {
			return append(append([]part.Part(nil), p[len(p)/2:]...), p[:len(p)/2]...)
		},
		"a changed byte": func(p []part.Part) []part.Part {
			raw := bytes.Clone(p[0].Raw)
			raw[part.HeaderSize+3] ^= 1
			broken, err := part.Parse(raw)
			if err != nil {
				panic(err)
			}
			return append([]part.Part{broken}, p[1:]...)
		},
	} {
		s.l.tell(t, lie{footage: func(_ string, parts []part.Part) ([]part.Part, bool) { return change(parts), true }})
		if code, words, _ := opensLink(t, s.one, nil); code != exitVerify {
			t.Errorf("%s: exit %d\n%s", name, code, words)
		}
	}
	s.l.tell(t, lie{footage: func(_ string, parts []part.Part) ([]part.Part, bool) {
		n := len(parts)
		return append(append([]part.Part(nil), parts[:n/3]...), parts[2*n/3:]...), true
	}})
	if code, words, _ := opensLink(t, s.one, nil); code != exitDone || !strings.Contains(words, "MISSING") {
		t.Errorf("left out: exit %d\n%s", code, words)
	}
}

// linkBorders is C4 for links: a server that hands out everything, with the
// rights of a member, still gives no second beyond [from, until).
func linkBorders(t *testing.T, s *linkScene) {
	var token string
	s.l.tell(t, lie{request: func(r *http.Request) { token = r.Header.Get("Authorization") }})
	bob := join(t, s.d.client, s.l.URL, member.NewMember{Name: "Bob", Role: "admin", History: member.History{All: true}}, "Bob")
	if _, err := bob.client.Timeline(t.Context(), "porch", member.Span{From: s.from, To: s.until}); err != nil || token == "" {
		t.Fatal(err)
	}
	var mu sync.Mutex
	slots := map[int64]bool{}
	shared := epochOf(t, s.honest.Epochs[0].Note)
	s.l.tell(t, lie{
		request: func(r *http.Request) {
			rest, ok := strings.CutPrefix(r.URL.Path, "/v1/links/")
			if !ok {
				return
			}
			_, track, _ := strings.Cut(rest, "/")
			q := r.URL.Query()
			if q.Has("from") {
				q.Set("from", "0")
			}
			q.Del("to")
			r.URL.Path, r.URL.RawQuery = "/v1/footage/"+track, q.Encode()
			r.Header.Set("Authorization", token)
		},
		footage: func(_ string, parts []part.Part) ([]part.Part, bool) {
			mu.Lock()
			defer mu.Unlock()
			var out []part.Part // of other epochs he has no note: they end it
			for _, p := range parts {
				if p.Header.Epoch == shared.Epoch {
					out, slots[shared.Start+int64(p.Header.Slot)] = append(out, p), true
				}
			}
			return out, true
		},
	})
	code, words, file := opensLink(t, s.one, nil)
	if code != exitDone || !bytes.Equal(file, s.file) {
		t.Errorf("exit %d, %d bytes instead of %d\n%s", code, len(file), len(s.file), words)
	}
	a, b := s.from.Unix(), s.until.Unix()
	for _, at := range []int64{a - 1, a, b - 1, b} {
		if !slots[at] {
			t.Errorf("second %d of [%d, %d) was not handed out: nothing is proven", at, a, b)
		}
	}
}

func epochOf(t *testing.T, raw []byte) chain.EpochNote {
	t.Helper()
	n, err := chain.ParseNote(raw)
	if err != nil {
		t.Fatal(err)
	}
	note, err := chain.ParseEpochNote(n)
	if err != nil {
		t.Fatal(err)
	}
	return note
}

// linkNames is C18: nothing of what a server has and gives for a link names a
// person, a camera or a key of a member but the one who signed, and the secret
// is nowhere in it.
func linkNames(t *testing.T, s *linkScene) {
	var all []byte
	s.l.tell(t, lie{answer: one("OpenLink", func(body []byte) proto.Message {
		m := decode(body, &latchkeyv1.OpenLinkResponse{})
		for _, b := range [][]byte{m.Note, m.Proof, m.Capsule, m.Mac, m.Words} {
			all = append(all, b...)
		}
		for _, e := range m.Epochs {
			all = append(append(all, e.Note...), e.Heads...)
		}
		return m
	})})
	if code, words, _ := opensLink(t, s.one, nil); code != exitDone || len(all) == 0 {
		t.Fatalf("exit %d\n%s", code, words)
	}
	h, err := s.d.client.Household(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(s.one)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(u.Fragment, "LK1."))
	if err != nil {
		t.Fatal(err)
	}
	hidden := map[string][]byte{"the camera's name": []byte("porch"), "the words": []byte("hello"), "the secret": secret, "the household's name": []byte(h.Name)}
	var me latchkey.Kid
	for _, p := range h.Members {
		if p.Me {
			me = p.Kid
		} else {
			hidden["the kid of "+p.Name] = p.Kid[:]
		}
		hidden["the name "+p.Name] = []byte(p.Name)
	}
	for _, kid := range sealedTo(t, s) {
		hidden["a sealing key "+kid.String()] = kid[:]
	}
	if len(h.Members) < 2 || !bytes.Contains(all, []byte(latchkey.B64(me[:]))) {
		t.Fatal("nothing is proven: the signer's kid is not found")
	}
	for what, b := range hidden {
		for _, form := range []string{string(b), hex.EncodeToString(b), latchkey.B64(b), base64.RawURLEncoding.EncodeToString(b)} {
			if len(form) > 2 && bytes.Contains(all, []byte(form)) {
				t.Errorf("%s is in it", what)
			}
		}
	}
}

// sealedTo are the kids that the household's epochs are sealed to.
func sealedTo(t *testing.T, s *linkScene) []latchkey.Kid {
	t.Helper()
	var out []latchkey.Kid
	l := newLiar(t, s.d.server)
	l.tell(t, lie{answer: one("ListEpochs", func(body []byte) proto.Message {
		m := decode(body, &latchkeyv1.ListEpochsResponse{})
		for _, e := range m.Epochs {
			for _, line := range e.Seals {
				out = append(out, latchkey.Kid(line.Kid))
			}
		}
		return m
	})})
	cem := join(t, s.d.client, l.URL, member.NewMember{Name: "Cem", History: member.History{All: true}}, "Cem")
	if _, err := cem.client.Timeline(t.Context(), "porch", member.Span{From: s.from, To: s.until}); err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("no seal lines")
	}
	return out
}

// TestGrantToMember: a member is given what was filmed before he came, of two
// cameras and over two epochs, and no second more; ended, a machine that has
// not opened it gets nothing.
func TestGrantToMember(t *testing.T) {
	d := startDemo(t)
	first := recorded(t, d.client, "porch", 3*time.Second)
	cam := member.NewCamera{Name: "spare", URL: "rtsp://127.0.0.1:1/none"}
	if _, err := d.client.AddCamera(t.Context(), cam); err != nil { // a new track is a new epoch
		t.Fatal(err)
	}
	now := time.Now()
	eventually(t, "the second epoch, past the live edge", func() bool {
		return recorded(t, d.client, "porch", 3*time.Second).To.Sub(now) > 8*time.Second
	})
	bob := join(t, d.client, d.server, member.NewMember{Name: "Bob"}, "Bob")
	knows(t, bob.client, "porch", "driveway")
	from, until := first.From.Add(time.Second).Truncate(time.Second), now.Add(5*time.Second).Truncate(time.Second)
	dir := t.TempDir()
	export := func(home, camera string, from, until time.Time) (int, string) {
		return types(t, home, nil, "export", camera, "--from", stamp(from), "--to", stamp(until), "-o", filepath.Join(dir, "x.mp4"))
	}
	if code, words := export(bob.home, "porch", from, until); code != exitFailed {
		t.Fatalf("before the grant: exit %d\n%s", code, words)
	}
	var made struct {
		ID, Grantee, State string
		Cameras            []string
	}
	code, words := types(t, d.home, &made, "grant", "porch", "driveway", "--to", "member:Bob", "--from", stamp(from), "--to", stamp(until), "--json")
	if code != exitDone || made.State != "active" || made.Grantee != "Bob" || len(made.Cameras) != 2 {
		t.Fatalf("exit %d: %+v\n%s", code, made, words)
	}
	for _, camera := range []string{"porch", "driveway"} {
		if code, words := export(bob.home, camera, from, until); code != exitDone {
			t.Errorf("%s: exit %d\n%s", camera, code, words)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "x.mp4")); err != nil || len(b) == 0 {
			t.Errorf("%s: %v", camera, err)
		}
	}
	tl, err := reopen(t, bob).Timeline(t.Context(), "porch", member.Span{From: from.Add(-time.Minute), To: until.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range tl.Ranges {
		if r.From.Before(from) || r.From.Before(until) && r.To.After(until) {
			t.Errorf("beyond the grant of %v – %v: %v", from, until, r)
		}
	}
	if code, words := types(t, bob.home, nil, "revoke", made.ID); code != exitRefused && code != exitVerify {
		t.Errorf("the grantee ends it: exit %d\n%s", code, words)
	}
	if code, words := types(t, d.home, nil, "revoke", made.ID); code != exitDone {
		t.Fatalf("exit %d\n%s", code, words)
	}
	if code, words := export(bob.home, "porch", from, until); code != exitFailed {
		t.Errorf("after the end: exit %d\n%s", code, words)
	}
	storyFsck(t, d)
}
