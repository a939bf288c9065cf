package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/home/member"
)

// shortWait stands for the seven days, in server and clients of these tests.
const shortWait = 1500 * time.Millisecond

// circle is a household of five: ann trusts ben, carl and dora; eve is there too.
type circle struct {
	t      *testing.T
	dir    string
	server *httptest.Server
	lie    *tamper
	people map[string]*member.Client
}

// tamper changes answers of the server on their way; nil: it is honest.
type tamper struct {
	next   http.Handler
	change func(path string, body []byte) []byte
}

func (l *tamper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.change == nil {
		l.next.ServeHTTP(w, r)
		return
	}
	r.Header.Del("Accept-Encoding")
	rec := httptest.NewRecorder()
	l.next.ServeHTTP(rec, r)
	body := rec.Body.Bytes()
	if rec.Code == http.StatusOK {
		body = l.change(r.URL.Path, body)
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.Header().Del("Content-Length")
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body) // the client has gone
}

func newCircle(t *testing.T, serverWait time.Duration) *circle {
	t.Helper()
	many := cloud.Limits{SignInsPerMinute: 1e6, SignInBurst: 1e6, CallsPerSecond: 1e6, CallBurst: 1e6}
	s, err := cloud.New(cloud.Config{DataDir: filepath.Join(t.TempDir(), "cloud"), Limits: many, ContactWait: serverWait})
	if err != nil {
		t.Fatal(err)
	}
	c := &circle{t: t, dir: t.TempDir(), lie: &tamper{next: s.Handler()}, people: map[string]*member.Client{}}
	c.server = httptest.NewServer(c.lie)
	t.Cleanup(func() {
		for _, p := range c.people {
			p.Close()
		}
		c.server.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	dora, err := member.Create(t.Context(), c.options("dora"), member.NewHousehold{
		Server: c.server.URL, Name: "Elm Street 4", Person: "Dora", Confirm: func(string) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.people["dora"] = dora
	for _, name := range []string{"ann", "ben", "carl", "eve"} {
		c.join(name)
	}
	return c
}

func (c *circle) options(name string) member.Options {
	return member.Options{Home: filepath.Join(c.dir, name), ContactWait: shortWait}
}

// join brings somebody in by an invitation of dora.
func (c *circle) join(name string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	inv, err := c.people["dora"].InviteMember(ctx, member.NewMember{Name: name, Role: "member"})
	if err != nil {
		c.t.Fatal(err)
	}
	digits := make(chan string, 1)
	joined := make(chan error, 1)
	go func() {
		client, err := member.Join(ctx, c.options(name), member.Joining{
			Server: c.server.URL, Code: inv.Code, Person: name, Confirm: func(string) error { return nil }, Digits: func(d string) { digits <- d },
		})
		c.people[name] = client
		joined <- err
	}()
	if _, err := c.people["dora"].ConfirmMember(ctx, <-digits, "", func(string) {}); err != nil {
		c.t.Fatalf("confirm %s: %v", name, err)
	}
	if err := <-joined; err != nil {
		c.t.Fatalf("join %s: %v", name, err)
	}
}

func (c *circle) kid(name string) latchkey.Kid {
	c.t.Helper()
	people, err := c.people["dora"].People(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	for _, p := range people {
		if strings.EqualFold(p.Name, name) {
			return p.Kid
		}
	}
	c.t.Fatalf("nobody is called %s", name)
	return latchkey.Kid{}
}

// trust has ann choose ben, carl and dora.
func (c *circle) trust() {
	c.t.Helper()
	if err := c.people["ann"].SetContacts(c.t.Context(), [3]latchkey.Kid{c.kid("ben"), c.kid("carl"), c.kid("dora")}); err != nil {
		c.t.Fatal(err)
	}
}

// help is the first contact's whole part: link, digits, claim. It returns ann's
// comeback in a fresh folder, and the claim's id.
func (c *circle) help(by, folder string) (*member.Comeback, string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	h, err := c.people[by].HelpBack(ctx, c.kid("ann"))
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := member.BeginComeback(c.options(folder), h.Link(), func(string) error { return nil })
	if err != nil {
		c.t.Fatal(err)
	}
	met := make(chan error, 1)
	go func() { met <- b.Meet(ctx) }()
	digits, err := h.Wait(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := <-met; err != nil {
		c.t.Fatal(err)
	}
	if digits != b.Digits() {
		c.t.Fatalf("%s sees %s, ann sees %s", by, digits, b.Digits())
	}
	if _, err := h.Confirm(ctx, "0"+digits[1:]); err == nil && digits[0] != '0' {
		c.t.Fatal("wrong digits are confirmed")
	}
	id, err := h.Confirm(ctx, digits[:12]+" "+digits[12:])
	if err != nil {
		c.t.Fatal(err)
	}
	return b, id.String()
}

func (c *circle) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, latchkey.ErrRefused) {
		t.Errorf("%s: %v", what, err)
	}
}

func wantVerify(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("%s: %v", what, err)
	}
}

// TestTrustedContacts: everything is lost; two of three, the wait, and ann is
// back with what she had.
func TestTrustedContacts(t *testing.T) {
	c := newCircle(t, shortWait)
	ctx := t.Context()
	c.trust()
	mine, err := c.people["ann"].Contacts(ctx)
	if err != nil || len(mine.People) != 3 || mine.Broken != "" {
		t.Fatalf("%+v %v", mine, err)
	}
	trusting, err := c.people["ben"].Entrusted(ctx)
	if err != nil || len(trusting) != 1 || trusting[0].Name != "ann" {
		t.Fatalf("%+v %v", trusting, err)
	}
	if none, err := c.people["eve"].Entrusted(ctx); err != nil || len(none) != 0 {
		t.Fatalf("%+v %v", none, err)
	}
	if _, err := c.people["eve"].HelpBack(ctx, c.kid("ann")); !errors.Is(err, latchkey.ErrRefused) {
		t.Errorf("eve helps: %v", err)
	}
	oldKid := c.kid("ann")
	old := c.people["ann"]
	c.must(os.RemoveAll(c.options("ann").Home))

	b, id := c.help("ben", "ann-2")
	// The tab is closed, the machine restarted: it goes on.
	b.Close()
	if b, err = member.BeginComeback(c.options("ann-2"), "", func(string) error { return errors.New("asked twice") }); err != nil {
		t.Fatal(err)
	}
	state := func() member.ComebackState {
		t.Helper()
		s, err := b.State(ctx)
		c.must(err)
		return s
	}
	if s := state(); s.Step != "second" || s.Confirmed != 1 {
		t.Errorf("%+v", s)
	}
	wantRefused(t, "ben releases at once", c.people["ben"].ReleaseShare(ctx, id))
	if _, err := b.Finish(ctx); !errors.Is(err, latchkey.ErrUnavailable) {
		t.Errorf("finish at once: %v", err)
	}
	everybodySees(t, c, id, "open", 1)
	wantRefused(t, "eve confirms", c.people["eve"].ConfirmClaim(ctx, id, b.Digits()))
	wantVerify(t, "carl confirms other digits", c.people["carl"].ConfirmClaim(ctx, id, strings.Repeat("1", 24)))
	c.must(c.people["carl"].ConfirmClaim(ctx, id, b.Digits()))
	if s := state(); s.Step != "waiting" || s.Confirmed != 2 {
		t.Errorf("%+v", s)
	}
	time.Sleep(shortWait)
	wantRefused(t, "dora, who has not confirmed, releases", c.people["dora"].ReleaseShare(ctx, id))
	eventually(t, "ben gives his share", func() bool {
		n, err := c.people["ben"].ReleaseDue(ctx)
		c.must(err)
		return n == 1
	})
	if _, err := b.Finish(ctx); !errors.Is(err, latchkey.ErrUnavailable) {
		t.Errorf("with one share: %v", err)
	}
	c.must(c.people["carl"].ReleaseShare(ctx, id))
	if s := state(); s.Step != "ready" {
		t.Errorf("%+v", s)
	}
	ann, err := b.Finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c.people["ann"] = ann
	defer old.Close()
	h, err := ann.Household(ctx)
	if err != nil || h.Me.Kid == oldKid || h.Name != "Elm Street 4" || !strings.EqualFold(h.Me.Name, "ann") {
		t.Fatalf("%+v %v", h.Me, err)
	}
	everybodySees(t, c, id, "done", 2)
	if _, err := member.BeginComeback(c.options("ann-2"), "", nil); !errors.Is(err, latchkey.ErrConflict) {
		t.Errorf("after the return: %v", err)
	}
	// The old keys are out; the set was under the old vault key.
	if _, err := old.Household(ctx); err == nil {
		t.Error("the lost device still reads")
	}
	if mine, err = ann.Contacts(ctx); err != nil || mine.Broken == "" || len(mine.People) != 3 {
		t.Errorf("%+v %v", mine, err)
	}
	c.trust()
	if mine, err = ann.Contacts(ctx); err != nil || mine.Broken != "" {
		t.Errorf("%+v %v", mine, err)
	}
	// A machine that is opened again signs in from the device it has.
	ann.Close()
	if ann, err = member.Open(c.options("ann-2")); err != nil {
		t.Fatal(err)
	}
	c.people["ann"] = ann
	if _, err := ann.People(ctx); err != nil {
		t.Error(err)
	}
}

func everybodySees(t *testing.T, c *circle, id, state string, by int) {
	t.Helper()
	for _, name := range []string{"ben", "carl", "dora", "eve"} {
		claims, err := c.people[name].Claims(t.Context())
		if err != nil || len(claims) != 1 || claims[0].ID.String() != id || claims[0].State != state || len(claims[0].By) != by {
			t.Errorf("%s sees %+v, %v", name, claims, err)
		}
	}
}

// TestComebackCode: the new recovery code opens everything afterwards, and the
// claimant's folder alone, copied, does not sign in twice.
func TestComebackCode(t *testing.T) {
	c := newCircle(t, shortWait)
	ctx := t.Context()
	c.trust()
	h, err := c.people["ben"].HelpBack(ctx, c.kid("ann"))
	c.must(err)
	var code string
	b, err := member.BeginComeback(c.options("ann-2"), h.Link(), func(shown string) error { code = shown; return nil })
	c.must(err)
	met := make(chan error, 1)
	go func() { met <- b.Meet(ctx) }()
	digits, err := h.Wait(ctx)
	c.must(err)
	c.must(<-met)
	id, err := h.Confirm(ctx, digits)
	c.must(err)
	c.must(c.people["dora"].ConfirmClaim(ctx, id.String(), digits))
	time.Sleep(shortWait + 100*time.Millisecond)
	for _, name := range []string{"ben", "dora"} {
		c.must(c.people[name].ReleaseShare(ctx, id.String()))
	}
	ann, err := b.Finish(ctx)
	c.must(err)
	ann.Close()
	again, err := member.Recover(ctx, c.options("ann-3"), member.Recovery{Server: c.server.URL, Code: code})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

// TestContactsStopped: ann, who has lost nothing, stops it with one step;
// nothing is released then, not by server nor by clients.
func TestContactsStopped(t *testing.T) {
	c := newCircle(t, time.Millisecond)
	ctx := t.Context()
	c.trust()
	b, id := c.help("ben", "thief")
	c.must(c.people["carl"].ConfirmClaim(ctx, id, b.Digits()))
	wantRefused(t, "eve stops", c.people["eve"].StopClaim(ctx, id))
	time.Sleep(shortWait + 100*time.Millisecond)
	c.must(c.people["ben"].ReleaseShare(ctx, id))
	c.must(c.people["ann"].StopClaim(ctx, id))
	wantRefused(t, "carl releases", c.people["carl"].ReleaseShare(ctx, id))
	wantRefused(t, "carl confirms again", c.people["carl"].ConfirmClaim(ctx, id, b.Digits()))
	if _, err := b.Finish(ctx); !errors.Is(err, latchkey.ErrRefused) {
		t.Errorf("a stopped claim returns: %v", err)
	}
	if s, err := b.State(ctx); err != nil || s.Step != "stopped" {
		t.Errorf("%+v %v", s, err)
	}
	// A server that forgets the stop does not move a client that has seen it.
	c.lie.change = func(path string, body []byte) []byte {
		return editClaims(t, path, body, func(info *v1.ClaimInfo) { info.State = v1.ClaimState_CLAIM_STATE_OPEN })
	}
	wantRefused(t, "carl releases after the server forgot", c.people["carl"].ReleaseShare(ctx, id))
}

// editClaims changes every claim of an answer to ListClaims.
func editClaims(t *testing.T, path string, body []byte, edit func(*v1.ClaimInfo)) []byte {
	if !strings.HasSuffix(path, "ContactService/ListClaims") {
		return body
	}
	res := &v1.ListClaimsResponse{}
	if err := proto.Unmarshal(body, res); err != nil {
		t.Errorf("an answer that is no protobuf: %v", err)
		return body
	}
	for _, info := range res.Claims {
		edit(info)
	}
	out, err := proto.Marshal(res)
	if err != nil {
		t.Error(err)
	}
	return out
}

// TestContactWaitIsTheClients: a server without any wait gets no share before
// the contact's own client has waited.
func TestContactWaitIsTheClients(t *testing.T) {
	c := newCircle(t, time.Nanosecond)
	ctx := t.Context()
	c.trust()
	b, id := c.help("ben", "ann-2")
	c.must(c.people["carl"].ConfirmClaim(ctx, id, b.Digits()))
	began := time.Now()
	c.lie.change = func(path string, body []byte) []byte {
		return editClaims(t, path, body, func(info *v1.ClaimInfo) { info.FirstMs, info.UntilMs = 1, 2 })
	}
	wantRefused(t, "ben releases for a server in a hurry", c.people["ben"].ReleaseShare(ctx, id))
	if n, err := c.people["carl"].ReleaseDue(ctx); n != 0 || err != nil {
		t.Errorf("carl gives %d shares, %v", n, err)
	}
	if wait := time.Since(began); wait > shortWait {
		t.Skipf("this machine took %s: too slow to tell", wait)
	}
}

// TestContactsLyingServer: other keys in a claim, other letters, another set.
func TestContactsLyingServer(t *testing.T) {
	c := newCircle(t, time.Millisecond)
	ctx := t.Context()
	c.trust()
	b, id := c.help("ben", "ann-2")
	_, thief := c.help("ben", "thief") // ben was talked into helping somebody else too
	claims, err := c.people["carl"].Claims(ctx)
	if err != nil || len(claims) != 2 {
		t.Fatalf("%+v %v", claims, err)
	}
	// The server shows the thief's note under ann's id.
	c.lie.change = func(path string, body []byte) []byte {
		var other [][]byte
		editClaims(t, path, body, func(info *v1.ClaimInfo) {
			if len(other) == 0 {
				other = info.Notes
			}
		})
		return editClaims(t, path, body, func(info *v1.ClaimInfo) { info.Notes = other })
	}
	wantVerify(t, "carl confirms a swapped note", c.people["carl"].ConfirmClaim(ctx, id, b.Digits()))
	// It shows the thief's claim with its own id: the digits differ.
	c.lie.change = nil
	wantVerify(t, "carl confirms the thief", c.people["carl"].ConfirmClaim(ctx, thief, b.Digits()))
	// It changes a key inside the signed note.
	c.lie.change = func(path string, body []byte) []byte {
		return editClaims(t, path, body, func(info *v1.ClaimInfo) {
			for i, n := range info.Notes {
				info.Notes[i] = bytes.Replace(n, []byte("\ntime 1"), []byte("\ntime 2"), 1)
			}
		})
	}
	_, err = c.people["carl"].Claims(ctx)
	wantVerify(t, "a changed note", err)
	// It shows a claim without a signature of a member.
	c.lie.change = func(path string, body []byte) []byte {
		return editClaims(t, path, body, func(info *v1.ClaimInfo) { info.Notes = nil })
	}
	_, err = c.people["carl"].Claims(ctx)
	wantVerify(t, "a claim that nobody signed", err)
	// It shows ann other contacts than she chose.
	c.lie.change = func(path string, body []byte) []byte {
		if !strings.HasSuffix(path, "ContactService/GetContacts") {
			return body
		}
		res := &v1.GetContactsResponse{}
		c.must(proto.Unmarshal(body, res))
		eve := c.eve()
		res.Contacts[0] = eve[:]
		out, err := proto.Marshal(res)
		c.must(err)
		return out
	}
	if mine, err := c.people["ann"].Contacts(ctx); err != nil || mine.Broken == "" {
		t.Errorf("%+v %v", mine, err)
	}
}

func (c *circle) eve() latchkey.Kid {
	people, err := c.people["eve"].People(c.t.Context())
	c.must(err)
	return people[0].Kid
}

// TestContactsChange: a contact who is removed has nothing left; a claim
// against a set that was replaced is over.
func TestContactsChange(t *testing.T) {
	c := newCircle(t, time.Millisecond)
	ctx := t.Context()
	c.trust()
	b, id := c.help("ben", "ann-2")
	c.must(c.people["carl"].ConfirmClaim(ctx, id, b.Digits()))
	time.Sleep(shortWait + 100*time.Millisecond)
	c.must(c.people["ben"].ReleaseShare(ctx, id))
	c.must(c.people["ann"].SetContacts(ctx, [3]latchkey.Kid{c.kid("eve"), c.kid("carl"), c.kid("dora")}))
	wantRefused(t, "carl releases for the old set", c.people["carl"].ReleaseShare(ctx, id))
	if s, err := b.State(ctx); err != nil || s.Step != "ended" {
		t.Errorf("%+v %v", s, err)
	}
	if trusting, err := c.people["ben"].Entrusted(ctx); err != nil || len(trusting) != 0 {
		t.Errorf("ben keeps %+v, %v", trusting, err)
	}
	if _, err := c.people["dora"].RemoveMember(ctx, "eve"); err != nil {
		t.Fatal(err)
	}
	if mine, err := c.people["ann"].Contacts(ctx); err != nil || mine.Broken == "" {
		t.Errorf("%+v %v", mine, err)
	}
	if trusting, err := c.people["carl"].Entrusted(ctx); err != nil || len(trusting) != 0 {
		t.Errorf("carl keeps %+v, %v", trusting, err)
	}
	if _, err := c.people["carl"].HelpBack(ctx, c.kid("ann")); !errors.Is(err, latchkey.ErrRefused) {
		t.Errorf("carl helps with a dead share: %v", err)
	}
}
