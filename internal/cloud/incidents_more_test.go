package cloud_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"

	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
	"latchkey.dev/latchkey/ledger"
	"latchkey.dev/latchkey/part"
)

// TestIRT09NoDebug: there is no setting that makes the server answer without a
// session, and nothing for its makers is served. A new field of the configuration
// has to be written down here, by somebody who has thought of this.
func TestIRT09NoDebug(t *testing.T) {
	var fields []string
	for _, of := range []reflect.Type{reflect.TypeFor[cloud.Config](), reflect.TypeFor[cloud.Limits](), reflect.TypeFor[cloud.LogConfig](), reflect.TypeFor[cloud.ReelConfig](), reflect.TypeFor[cloud.MisuseLimits]()} {
		for i := range of.NumField() {
			fields = append(fields, of.Field(i).Name)
		}
	}
	known := strings.Fields(`DataDir PublicURL BehindProxy MetricsListen LogFile Logger Web Release Limits Misuse Reels ContactWait Log FS
		SignInsPerMinute SignInBurst CallsPerSecond CallBurst LiveSockets Tracks MailBoxes Name Watchers Checkpoint Set SetSoon Slots Bytes Idle Commit Refusals NoTicket Volume Hours Takes Crowd Linked requestWait`)
	for _, f := range fields {
		if !slices.Contains(known, f) {
			t.Errorf("the configuration has a new field %s: can it switch off who is asked for what? Then it must not be there", f)
		}
	}
	s := startServer(t, cloud.Config{})
	_, app := newAPI(s.URL, "").get(t, "/no-such-page")
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/vars", "/debug/requests", "/metrics", "/.env", "/config", "/admin", "/.git/config", "/console", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"} {
		if res, body := newAPI(s.URL, "").get(t, path); res.StatusCode == 200 && !bytes.Equal(body, app) {
			t.Errorf("%s is served: %d bytes", path, len(body))
		}
	}
}

// TestIRT10NoSearch: nothing that the server takes is a face or an attribute of
// one: no such field, no vector, no picture; and staff ask by a ticket's number
// and a grant's id alone.
func TestIRT10NoSearch(t *testing.T) {
	likeness := regexp.MustCompile(`face|person$|people|plate|embed|vector|biometr|likeness|attribute|query|search|similar|gender|image|picture|thumb|label_text`)
	asks, fields := strings.Fields("ticket grant entries note letters role action open assigned granted trained strength since_ms kid staff"), 0
	for _, file := range []protoreflect.FileDescriptor{v1.File_latchkey_v1_latchkey_proto, v1.File_latchkey_v1_contact_proto, v1.File_latchkey_v1_link_proto, v1.File_latchkey_v1_desk_proto} {
		for i := range file.Messages().Len() {
			m := file.Messages().Get(i)
			for j := range m.Fields().Len() {
				f := m.Fields().Get(j)
				fields++
				if likeness.MatchString(string(f.Name())) || f.Kind() == protoreflect.FloatKind || f.Kind() == protoreflect.DoubleKind {
					t.Errorf("%s.%s may be asked about somebody's looks", m.Name(), f.Name())
				}
			}
		}
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				if likeness.MatchString(strings.ToLower(string(method.Name()))) {
					t.Errorf("%s may search", method.FullName())
				}
				if service.Name() != "DeskService" {
					continue
				}
				for k := range method.Input().Fields().Len() {
					if f := method.Input().Fields().Get(k).Name(); !slices.Contains(asks, string(f)) {
						t.Errorf("staff may ask %s with %q", method.Name(), f)
					}
				}
			}
		}
	}
	if fields < 100 {
		t.Fatalf("only %d fields found", fields)
	}
}

// TestIRT26Wildcards: whatever a socket subscribes to, patterns and other
// households' tracks among it, only tracks of its own household come.
func TestIRT26Wildcards(t *testing.T) {
	s := startServer(t, cloud.Config{})
	a, b := found(t, s.URL, 1, 1), found(t, s.URL, 2, 1)
	ua, ub := a.dial(t), b.dial(t)
	ea, eb := a.epoch(t, time.Now().Add(-time.Minute)), b.epoch(t, time.Now().Add(-time.Minute))
	ua.announce(t, ea)
	ub.announce(t, eb)
	theirs, mine := a.tracks[0], b.tracks[0]
	var watchers []*watcher
	for _, subject := range []any{
		"#", "*", "+", ">", "", "%", ".*", "$SYS/#", theirs.String(), strings.ToUpper(theirs.String()), theirs.String()[:8] + "*", a.ID().String(), a.ID().String() + "/#",
		mine.String() + "," + theirs.String(), "../" + theirs.String(), []string{mine.String(), theirs.String()}, map[string]string{"track": theirs.String()}, nil, 0,
	} {
		w := b.watchAs(t, b.admin)
		try(t, w.ws.WriteJSON(map[string]any{"op": "watch", "track": subject}))
		_ = w.ws.WriteJSON(map[string]any{"op": "watch", "track": mine.String()}) // the server may have ended it: so be it
		watchers = append(watchers, w)
	}
	own := a.watchAs(t, a.admin, theirs)
	own.says1(t, "idle")
	time.Sleep(100 * time.Millisecond) // for the subscriptions of B to arrive
	for slot := range uint32(4) {
		try(t, ua.raw(0x01, ea.Part(theirs, slot, part.RAP, 300)))
		own.part(t) // it went out
	}
	try(t, ub.raw(0x01, eb.Part(mine, 0, part.RAP, 300)))
	heard, ended := 0, 0
	for i, w := range watchers {
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			try(t, w.ws.SetReadDeadline(end))
			_, raw, err := w.ws.ReadMessage()
			if err != nil { // the server has ended it
				ended++
				break
			}
			if i != 8 && bytes.Contains(raw, []byte(theirs.String())) && !strings.Contains(string(raw), `"error"`) || bytes.Contains(raw, theirs[:]) || bytes.Contains(raw, ea.ID[:]) || strings.Contains(string(raw), ea.ID.String()) {
				t.Errorf("subscription %d hears of A: %d bytes", i, len(raw))
			}
			if bytes.HasPrefix(raw, []byte("LK1")) {
				heard++
				break
			}
		}
	}
	if heard < 2 || heard+ended != len(watchers) {
		t.Errorf("%d of %d sockets heard their own camera, %d were ended: this test is deaf", heard, len(watchers), ended)
	}
}

// TestIRT40HubCredential: a hub's session writes the hub's own parts. It reads
// nothing, and another's epoch, track or id takes nothing from it.
func TestIRT40HubCredential(t *testing.T) {
	w := newTwo(t)
	token := login(t, w.URL, w.b.Home, w.b.hub.Key)
	for _, one := range []*house{w.a, w.b} {
		for _, token := range []string{token, login(t, w.URL, w.a.Home, w.a.hub.Key)} {
			hub := newAPI(w.URL, token)
			if res, body := hub.get(t, "/v1/footage/"+one.tracks[0].String()+"?from=0"); res.StatusCode != http.StatusForbidden || w.holds(body) {
				t.Errorf("a hub reads footage: status %d", res.StatusCode)
			}
			if res, _ := hub.get(t, "/v1/live"); res.StatusCode != http.StatusForbidden {
				t.Errorf("a hub watches: status %d", res.StatusCode)
			}
			_, err := hub.footage.ListEpochs(t.Context(), connect.NewRequest(&v1.ListEpochsRequest{To: 1 << 31}))
			wantCode(t, err, connect.CodePermissionDenied)
			_, err = hub.hubs.ListHubs(t.Context(), connect.NewRequest(&v1.ListHubsRequest{}))
			wantCode(t, err, connect.CodePermissionDenied)
		}
	}
	before := tree(t, w.dir)
	u := w.b.dial(t)
	ea := must[*hometest.Epoch](t)(w.a.hub.NewEpoch(time.Now().Add(-time.Minute), w.a.tracks)) // of A's hub, never announced
	eb := w.b.epoch(t, time.Now().Add(-time.Minute))
	refused := func(what string, send func() error) {
		t.Helper()
		u.mu.Lock()
		n := len(u.errors)
		u.mu.Unlock()
		try(t, send())
		u.wait(t, what+" is refused", func() bool { return len(u.errors) > n })
	}
	refused("A's epoch", func() error { return u.send(0x03, announcement(ea)) })
	u.announce(t, eb)
	refused("a part of A's epoch", func() error { return u.raw(0x01, w.parts[0]) })
	refused("a part of A's track", func() error { return u.raw(0x01, eb.Part(w.a.tracks[0], 0, part.RAP, 300)) })
	refused("a part of another signer", func() error { return u.raw(0x01, ea.Part(w.b.tracks[0], 0, part.RAP, 300)) })
	for name, b := range before {
		if after, err := os.ReadFile(filepath.Join(w.dir, name)); strings.Contains(name, "blobs") && (err != nil || !bytes.Equal(after, b)) {
			t.Errorf("what A has stored is another now: %s, %v", name, err)
		}
	}
	if _, body := w.a.admin.get(t, w.path); !w.holds(body) {
		t.Error("A's footage is gone")
	}
}

// tree reads all files below a folder.
func tree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	try(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		out[name] = b
		return err
	}))
	return out
}

// TestIRT63History: when the server is replaced by another on the same data, what
// it says of the past is what it said before: the chain is the beginning of the
// chain, and the log of the log. One altered time, and nobody takes it.
func TestIRT63History(t *testing.T) {
	dir := t.TempDir()
	cfg := cloud.Config{DataDir: dir, Log: cloud.LogConfig{Checkpoint: 50 * time.Millisecond, SetSoon: 50 * time.Millisecond}}
	s := startServer(t, cfg)
	h := foundUnder(t, s.URL, 1, 2)
	h.proofOf(t, h.State.Seq) // all of it is in the log
	history := func() ([][]byte, *ledger.Log, ledger.Checkpoint) {
		_, log := h.log(t)
		notes := must[*connect.Response[v1.GetChainResponse]](t)(h.admin.chain.GetChain(t.Context(), connect.NewRequest(&v1.GetChainRequest{}))).Msg.GetNotes()
		return notes, log, must[ledger.Checkpoint](t)(log.Checkpoint(t.Context()))
	}
	notes, _, before := history()
	try(t, s.Close())
	s = startServer(t, cfg)
	h.url, h.admin = s.URL, newAPI(s.URL, h.admin.token)
	for range 2 {
		_, raw, err := h.AddMember(hometest.Rights{Role: "viewer"})
		try(t, err)
		h.append(t, raw)
	}
	h.proofOf(t, h.State.Seq)
	later, log, after := history()
	if len(later) != len(notes)+2 || !slices.EqualFunc(notes, later[:len(notes)], bytes.Equal) {
		t.Errorf("the chain had %d statements, and they are not the first of %d", len(notes), len(later))
	}
	if after.Size <= before.Size {
		t.Error("the log has not grown")
	}
	try(t, log.Extends(t.Context(), before, after))
	replay := func(notes [][]byte) error { return second(chain.Replay(notes, time.Now().Unix())) }
	try(t, replay(later))
	for _, at := range []int{1, len(later) - 1} {
		altered := slices.Clone(later)
		st := must[chain.Statement](t)(chain.ParseStatement(must[chain.Note](t)(chain.ParseNote(later[at])))).Common()
		altered[at] = bytes.Replace(later[at], fmt.Appendf(nil, "\ntime %d\n", st.Time), fmt.Appendf(nil, "\ntime %d\n", st.Time+1), 1)
		if bytes.Equal(altered[at], later[at]) {
			t.Fatal("nothing was altered")
		}
		if err := replay(altered); err == nil {
			t.Errorf("a chain with another time in statement %d verifies", at)
		}
	}
}

// TestIRT27NoFleetSecret: two servers out of one program have no secret in common.
func TestIRT27NoFleetSecret(t *testing.T) {
	secrets := func() (out []string) {
		dir := t.TempDir()
		s := startServer(t, cloud.Config{DataDir: dir})
		found(t, s.URL, 1, 1) // the same household at both
		try(t, s.Close())
		db := must[*sql.DB](t)(sql.Open("sqlite", filepath.Join(dir, "catalog.db")))
		defer db.Close()
		rows := must[*sql.Rows](t)(db.QueryContext(t.Context(), `SELECT value FROM server UNION ALL SELECT token_hash FROM sessions UNION ALL SELECT secret_hash FROM devices`))
		defer rows.Close()
		for rows.Next() {
			var b []byte
			try(t, rows.Scan(&b))
			if len(b) >= 16 {
				out = append(out, string(b))
			}
		}
		try(t, rows.Err())
		for name, b := range tree(t, dir) {
			if strings.Contains(filepath.Base(name), "key") {
				out = append(out, string(b))
			}
		}
		return out
	}
	a, b := secrets(), secrets()
	if len(a) < 4 {
		t.Fatalf("only %d secrets found", len(a))
	}
	for _, one := range a {
		if slices.Contains(b, one) {
			t.Errorf("two servers have a secret of %d bytes in common", len(one))
		}
	}
}
