package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/home/insider"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/ledger"
)

// Incidents of other companies (docs/threat-model.md) against everything at once:
// a cloud, two households that record, staff, canaries.

// canaries are words of household A that nobody at the server may read.
const (
	canaryCamera = "CANARY-camera-of-A"
	canaryPerson = "CANARY-person-of-A"
	canaryWords  = "CANARY-words-of-A"
)

// whole is household A, its neighbour B, and what an insider has of them.
type whole struct {
	*demo
	b     *demo
	cloud string // the server's folder
	agent string // the folder of the one of staff who has A's ticket
	id    string // his name
	n     string // the ticket
	span  member.Span
}

func newWhole(t *testing.T) *whole {
	t.Helper()
	d := startDemo(t)
	w := &whole{demo: d, b: startNeighbour(t, d), cloud: filepath.Join(d.dir, "cloud"), agent: filepath.Join(d.home, demoAgent)}
	if _, err := d.client.AddCamera(t.Context(), member.NewCamera{Name: canaryCamera, URL: d.cameras[0].URL}); err != nil {
		t.Fatal(err)
	}
	join(t, d.client, d.server, member.NewMember{Name: canaryPerson}, canaryPerson).client.Close()
	var ticket openTicket
	if code, words := types(t, d.home, &ticket, "ticket", "open", canaryWords, "--topic", "codec", "--json"); code != exitDone {
		t.Fatalf("exit %d\n%s", code, words)
	}
	w.n, w.id = fmt.Sprint(ticket.Ticket), ticket.Agent
	w.span = recorded(t, d.client, "porch", 6*time.Second)
	return w
}

// drill tries all keys on everything, once: it takes long. Nothing runs any more.
// What is found in a folder is told by found.
func (w *whole) drill(t *testing.T, staff []string, dirs ...string) insider.Report {
	t.Helper()
	r, err := insider.Scan(t.Context(), insider.Config{DataDirs: dirs, StaffKeyDirs: staff, Canaries: []string{canaryCamera, canaryPerson, canaryWords, "Demo house"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Unread) > 0 || r.Known.Parts < 10 || r.Known.EpochNotes < 2 {
		t.Fatalf("unread %v; %+v", r.Unread, r.Known)
	}
	t.Logf("%d bytes in %d files, %s", r.Bytes, r.Files, r.Elapsed)
	return r
}

// found fails for what the drill has found below a path.
func found(t *testing.T, r insider.Report, below string) {
	t.Helper()
	for _, f := range r.Findings {
		if strings.HasPrefix(f.File, below) {
			t.Errorf("%s in %s: %s", f.Kind, f.File, f.What)
		}
	}
}

// TestIRTWholeServer gives everything that a server has to somebody who wants to
// look, in the ways in which it happened: IRT-01, 02, 04, 08, and claim C1 with the
// keys of staff.
func TestIRTWholeServer(t *testing.T) {
	if testing.Short() {
		t.Skip("records, and tries all keys")
	}
	w := newWhole(t)
	t.Run("IRT01Names", func(t *testing.T) { w.bucket(t) })
	t.Run("IRT02Tables", func(t *testing.T) { w.tables(t) })
	t.Run("IRT04Addresses", func(t *testing.T) { w.otherWays(t) })
	t.Run("drill", func(t *testing.T) {
		if raced {
			t.Skip("tries a million keys: `make incidents` does it without the race detector")
		}
		got := t.TempDir() // what came out of a forged session
		w.everySecret(t, got)
		w.looks(t)
		w.b.stop()
		w.stop()
		r := w.drill(t, []string{w.agent, filepath.Join(w.home, demoRoot)}, w.cloud, got)
		t.Run("IRT01", func(t *testing.T) { found(t, r, filepath.Join(w.cloud, "blobs")) })
		t.Run("IRT02", func(t *testing.T) { found(t, r, filepath.Join(w.cloud, "catalog.db")) })
		t.Run("IRT04", func(t *testing.T) { found(t, r, w.cloud) }) // as a backup of it has
		t.Run("IRT08", func(t *testing.T) { found(t, r, got) })
		t.Run("C1StaffKeys", func(t *testing.T) {
			found(t, r, "")
			if r.Known.Held == 0 || r.Known.Opened == 0 || r.Tests["mask"] == 0 {
				t.Errorf("the capsule was not opened: %+v, %d masks", r.Known, r.Tests["mask"])
			}
		})
	})
}

// bucket: the folder of all videos, open to everybody who works there.
func (w *whole) bucket(t *testing.T) {
	h, err := w.client.Household(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	objects := 0
	for _, dir := range []string{"blobs", "open"} {
		err := filepath.WalkDir(filepath.Join(w.cloud, dir), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				objects++
				for _, id := range []string{h.ID.String(), canaryCamera, "porch"} {
					if strings.Contains(path, id) {
						t.Errorf("an object's name tells %q: %s", id, path)
					}
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if objects == 0 {
		t.Fatal("there are no objects")
	}
	for _, args := range [][]string{{"staff", "tickets"}, {"staff", "tickets", "--json"}, {"staff", "list"}, {"staff", "audit"}} {
		if _, words := types(t, w.agent, nil, args...); strings.Contains(words, "CANARY") || strings.Contains(words, "porch") {
			t.Errorf("%v lists %s", args, words)
		}
	}
}

// person names columns that would tell who somebody is.
var person = regexp.MustCompile(`(?i)mail|phone|name|address|street|city|user$|person|^ip|birth`)

// tables: the database that tied videos to customers.
func (w *whole) tables(t *testing.T) {
	db := w.database(t)
	for table, columns := range w.columns(t, db) {
		for _, column := range columns {
			if person.MatchString(column) && table+"."+column != "server.name" && !strings.HasPrefix(table, "goose") && !strings.HasPrefix(table, "sqlite_") {
				t.Errorf("column %s.%s tells of persons", table, column)
			}
		}
	}
	people := map[string]bool{}
	all, err := w.client.People(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		people[string(p.Kid[:])] = true
	}
	objects := 0
	rows, err := db.QueryContext(t.Context(), `SELECT * FROM reels`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		objects++
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		for i := range values {
			b, ok := (*values[i].(*any)).([]byte)
			for kid := range people {
				if ok && bytes.Contains(b, []byte(kid)) {
					t.Errorf("reels.%s ties an object to a person", columns[i])
				}
			}
		}
	}
	if err := rows.Err(); err != nil || objects == 0 || len(people) < 2 {
		t.Fatalf("%d objects, %d people, %v", objects, len(people), err)
	}
}

func (w *whole) database(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.cloud, "catalog.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func (w *whole) columns(t *testing.T, db *sql.DB) map[string][]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT m.name, p.name FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		out[table] = append(out[table], column)
	}
	if err := rows.Err(); err != nil || len(out["reels"]) == 0 {
		t.Fatalf("%v, %v", out, err)
	}
	return out
}

// otherWays: the limit was in the page. Here there is an address that was made
// before, and an older version of the API; a backup is what the drill reads.
func (w *whole) otherWays(t *testing.T) {
	var made struct{ Grant, Link string }
	if code, words := types(t, w.home, &made, "share", "porch", "--from", stamp(w.span.From), "--to", stamp(w.span.From.Add(3*time.Second)), "--json"); code != exitDone {
		t.Fatalf("exit %d\n%s", code, words)
	}
	s, err := member.OpenLink(t.Context(), http.DefaultClient, made.Link)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	address, _, _ := strings.Cut(made.Link, "#")
	kid := regexp.MustCompile(`[0-9a-f]{32}`).FindString(address)
	cams, err := w.client.Cameras(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tracks := regexp.MustCompile(`[0-9a-f]{32}`).FindAllString(fmt.Sprintf("%v", cams), -1)
	for _, version := range []string{"v0", "v2", "api/v1", "old"} {
		for _, track := range tracks {
			if status, body := w.get(t, "", "/"+version+"/footage/"+track+"?from=0"); bytes.Contains(body, []byte("LK1")) {
				t.Errorf("%s serves footage: status %d", version, status)
			}
		}
	}
	if code, words := types(t, w.home, nil, "revoke", made.Grant); code != exitDone {
		t.Fatalf("exit %d\n%s", code, words)
	}
	if s, err := member.OpenLink(t.Context(), http.DefaultClient, made.Link); err == nil {
		s.Close()
		t.Error("a link that was ended opens")
	}
	if _, body := w.get(t, "", "/v1/links/"+kid+"/"+strings.Repeat("0", 32)+"?from=0"); bytes.Contains(body, []byte("LK1")) {
		t.Error("the address of a link that was ended serves footage")
	}
}

func (w *whole) get(t *testing.T, token, path string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body
}

// everySecret: who can be any customer. The session is forged in the database,
// with all of the server's rights, and gets what the customer gets: ciphertext.
func (w *whole) everySecret(t *testing.T, got string) {
	db := w.database(t)
	raw := sha256.Sum256([]byte("forged"))
	token := base64.RawURLEncoding.EncodeToString(raw[:])
	hash := sha256.Sum256([]byte(token))
	_, err := db.ExecContext(t.Context(), `INSERT INTO sessions (token_hash, household, kid, kind, device, seen_ms)
		SELECT $1, household, kid, 'member', device, $2 FROM devices WHERE ended_ms = 0 AND household = (SELECT household FROM reels LIMIT 1) ORDER BY created_ms LIMIT 1`, hash[:], time.Now().UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	var track []byte
	if err := db.QueryRowContext(t.Context(), `SELECT track FROM reels WHERE household = (SELECT household FROM sessions WHERE token_hash = $1) LIMIT 1`, hash[:]).Scan(&track); err != nil {
		t.Fatal(err)
	}
	status, film := w.get(t, token, "/v1/footage/"+hex.EncodeToString(track)+"?from=0")
	if status != http.StatusOK || !bytes.Contains(film, []byte("LK1")) {
		t.Fatalf("the forged session got status %d, %d bytes: it shows nothing", status, len(film))
	}
	if err := os.WriteFile(filepath.Join(got, "film"), film, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, procedure := range []string{"AccountService/GetVault", "ChainService/GetChain", "ChainService/GetDirectory", "AccountService/ListDevices"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server+"/latchkey.v1."+procedure, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d, %v", procedure, res.StatusCode, err)
		}
		if err := os.WriteFile(filepath.Join(got, filepath.Base(procedure)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// looks has the agent granted something, and look at it.
func (w *whole) looks(t *testing.T) {
	a := w.span.From.Add(time.Second).Truncate(time.Second)
	from, to := stamp(a), stamp(a.Add(4*time.Second))
	if code, words := types(t, w.home, nil, "grant", "porch", "--to", "staff:"+w.id, "--from", from, "--to", to); code != exitDone {
		t.Fatalf("grant: exit %d\n%s", code, words)
	}
	if code, words := types(t, w.agent, nil, "staff", "view", w.n, "porch", "--from", from, "--to", to, "-o", filepath.Join(t.TempDir(), "seen.mp4")); code != exitDone {
		t.Errorf("view: exit %d\n%s", code, words)
	}
}

// TestC1StaffKeys is `insider --staff-keys` with the folder that `staff join` makes.
func TestC1StaffKeys(t *testing.T) {
	d := startHouse(t)
	agent := d.hires(t, "sam", ledger.RoleSupport)
	d.stop()
	drill := func() (int, string) {
		return types(t, agent, nil, "insider", "--data", filepath.Join(d.dir, "cloud"), "--staff-keys", agent)
	}
	if code, words := drill(); code != exitDone || !strings.Contains(words, "Nothing opens.") || !strings.Contains(words, "keys of staff") {
		t.Errorf("exit %d\n%s", code, words)
	}
	kept := filepath.Join(agent, "kept.jpg") // it is his own fault
	if err := os.WriteFile(kept, []byte("Demo house"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, words := types(t, agent, nil, "insider", "--data", filepath.Join(d.dir, "cloud"), "--staff-keys", agent, "--canary", "Demo house")
	if code != exitVerify {
		t.Errorf("a household's word lies among the keys of staff: exit %d\n%s", code, words)
	}
}

// TestIRT09NoDebugFlag: `serve` has no flag for its makers, and reads nothing
// from the environment: a new one has to be written down here.
func TestIRT09NoDebugFlag(t *testing.T) {
	known := strings.Fields("Data Listen PublicURL BehindProxy MetricsListen Watchers Release ProofEvery LogFile Database Blobs Bus")
	serve := reflect.TypeFor[serveCmd]()
	for i := range serve.NumField() {
		f := serve.Field(i)
		if !slices.Contains(known, f.Name) {
			t.Errorf("serve has a new flag %s: can it switch off who is asked for what? Then it must not be there", f.Name)
		}
		if f.Tag.Get("env") != "" {
			t.Errorf("serve reads %s from the environment", f.Name)
		}
	}
	for _, flag := range []string{"--debug", "--no-auth", "--insecure", "--dev", "--skip-auth", "--pprof", "--test-mode", "--admin-password=x"} {
		// Cancelled: should it be taken all the same, the server ends at once.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		code := run(ctx, []string{"serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0", flag}, stdio{in: strings.NewReader(""), out: io.Discard, err: io.Discard, env: func(string) string { return "" }})
		if code != exitUsage {
			t.Errorf("serve %s: exit %d", flag, code)
		}
	}
}
