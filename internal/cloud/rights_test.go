package cloud

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
)

// rights is the matrix of IRT-28: who may call what. A new route fails
// TestRoutes until it stands here.
func rights() map[string]right {
	return map[string]right{
		"POST /latchkey.v1.AccountService/CreateHousehold": anyone,
		"POST /latchkey.v1.AccountService/Challenge":       anyone,
		"POST /latchkey.v1.AccountService/Login":           anyone,
		"POST /latchkey.v1.AccountService/Logout":          signedIn,
		"POST /latchkey.v1.AccountService/WhoAmI":          signedIn,
		"POST /latchkey.v1.AccountService/GetVault":        memberOnly,
		"POST /latchkey.v1.AccountService/PutVault":        memberOnly,
		"POST /latchkey.v1.AccountService/ListDevices":     memberOnly,
		"POST /latchkey.v1.AccountService/EndDevice":       memberOnly,
		"POST /latchkey.v1.AccountService/EndOtherDevices": memberOnly,
		"POST /latchkey.v1.PasskeyService/BeginPasskey":    memberOnly,
		"POST /latchkey.v1.PasskeyService/AddPasskey":      memberOnly,
		"POST /latchkey.v1.PasskeyService/ListPasskeys":    memberOnly,
		"POST /latchkey.v1.PasskeyService/RemovePasskey":   memberOnly,
		"POST /latchkey.v1.PasskeyService/BeginSignIn":     anyone,
		"POST /latchkey.v1.PasskeyService/FinishSignIn":    anyone,
		"POST /latchkey.v1.PasskeyService/BeginStepUp":     memberOnly,
		"POST /latchkey.v1.ChainService/GetChain":          signedIn,
		"POST /latchkey.v1.ChainService/GetLogTagKey":      signedIn,
		"POST /latchkey.v1.ChainService/GetLeaves":         signedIn,
		"POST /latchkey.v1.ChainService/GetCompleteness":   signedIn,
		"POST /latchkey.v1.ChainService/AppendStatement":   signedIn,
		"POST /latchkey.v1.ChainService/PutCapsule":        memberOnly,
		"POST /latchkey.v1.ChainService/GetCapsule":        memberOnly,
		"POST /latchkey.v1.ChainService/PutDirectory":      memberOnly,
		"POST /latchkey.v1.ChainService/GetDirectory":      memberOnly,
		"POST /latchkey.v1.PairingService/PutMail":         anyone,
		"POST /latchkey.v1.PairingService/GetMail":         anyone,
		"POST /latchkey.v1.HubService/ListHubs":            memberOnly,
		"POST /latchkey.v1.HubService/SendCommand":         memberOnly,
		"POST /latchkey.v1.FootageService/Timeline":        memberOnly,
		"POST /latchkey.v1.FootageService/ListEpochs":      memberOnly,
		"POST /latchkey.v1.FootageService/GetEpochs":       memberOnly,
		"POST /latchkey.v1.ContactService/SetContacts":     memberOnly,
		"POST /latchkey.v1.ContactService/RemoveContacts":  memberOnly,
		"POST /latchkey.v1.ContactService/GetContacts":     memberOnly,
		"POST /latchkey.v1.ContactService/ListEntrusted":   memberOnly,
		"POST /latchkey.v1.ContactService/PutClaim":        memberOnly,
		"POST /latchkey.v1.ContactService/ListClaims":      memberOnly,
		"POST /latchkey.v1.ContactService/StopClaim":       memberOnly,
		"POST /latchkey.v1.ContactService/PutShare":        memberOnly,
		"POST /latchkey.v1.ContactService/PollClaim":       anyone,
		"POST /latchkey.v1.ContactService/FinishClaim":     anyone,
		"GET /v1/footage/{track}":                          memberOnly,
		"POST /latchkey.v1.LinkService/PutLink":            memberOnly,
		"POST /latchkey.v1.LinkService/ListLinks":          memberOnly,
		"POST /latchkey.v1.LinkService/OpenLink":           anyone,
		"POST /latchkey.v1.StaffService/Apply":             anyone,
		"POST /latchkey.v1.StaffService/ListApplicants":    anyone,
		"POST /latchkey.v1.StaffService/PublishStaff":      anyone,
		"POST /latchkey.v1.StaffService/ListStaff":         anyone,
		"POST /latchkey.v1.TicketService/OpenTicket":       memberOnly,
		"POST /latchkey.v1.TicketService/ListTickets":      memberOnly,
		"POST /latchkey.v1.TicketService/GetTicket":        memberOnly,
		"POST /latchkey.v1.TicketService/PutMessage":       memberOnly,
		"POST /latchkey.v1.TicketService/CloseTicket":      memberOnly,
		"POST /latchkey.v1.DeskService/BeginShift":         anyone,
		"POST /latchkey.v1.DeskService/StartShift":         anyone,
		"POST /latchkey.v1.DeskService/EndShift":           staffOnly,
		"POST /latchkey.v1.DeskService/ListDesk":           staffOnly,
		"POST /latchkey.v1.DeskService/TakeTicket":         staffOnly,
		"POST /latchkey.v1.DeskService/ReadTicket":         staffOnly,
		"POST /latchkey.v1.DeskService/Reply":              staffOnly,
		"POST /latchkey.v1.DeskService/ListGranted":        staffOnly,
		"POST /latchkey.v1.DeskService/OpenGranted":        staffOnly,
		"POST /latchkey.v1.DeskService/Access":             staffOnly,
		"POST /latchkey.v1.DeskService/Release":            staffOnly,
		"POST /latchkey.v1.DeskService/Explain":            staffOnly,
		"POST /latchkey.v1.DeskService/ListMine":           staffOnly,
		"POST /latchkey.v1.DeskService/Audit":              staffOnly,
		"POST /latchkey.v1.DeskService/Reinstate":          staffOnly,
		"POST /latchkey.v1.LegalService/AddRequest":        staffOnly,
		"POST /latchkey.v1.LegalService/ListRequests":      staffOnly,
		"POST /latchkey.v1.LegalService/DecideRequest":     staffOnly,
		"POST /latchkey.v1.LegalService/ListDisclosures":   memberOnly,
		"GET /v1/legal/{request}":                          staffOnly,
		"GET /v1/desk/{ticket}/{grant}/hold":               staffOnly,
		"GET /v1/desk/{ticket}/{grant}/{track}":            staffOnly,
		"GET /v1/links/{kid}/{track}":                      anyone,
		"GET /v1/live":                                     memberOnly,
		"GET /v1/uplink":                                   hubOnly,
		"GET /log/policy":                                  anyone,
		"GET /log/release/web":                             anyone,
		"GET /log/release/web/manifest":                    anyone,
		"GET /log/{log}/{file...}":                         anyone,
		"POST /log/{log}/set/{size}":                       anyone,
		"GET /healthz":                                     anyone,
		"GET /":                                            anyone,
	}
}

func newTestServer(t *testing.T) *Server {
	t.Helper()
	s, err := New(Config{DataDir: t.TempDir(), Limits: Limits{CallsPerSecond: 1e6, CallBurst: 1e6}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestRoutes holds the table against the matrix, and the matrix against the
// generated API: every procedure of the .proto files has a row.
func TestRoutes(t *testing.T) {
	s, want := newTestServer(t), rights()
	for _, r := range s.table() {
		if want[r.pattern] != r.right {
			t.Errorf("%s: right %d, the matrix says %d", r.pattern, r.right, want[r.pattern])
		}
		delete(want, r.pattern)
	}
	for pattern := range want {
		t.Errorf("%s is in the matrix and not served", pattern)
	}
	procedures, want := 0, rights()
	for _, file := range []protoreflect.FileDescriptor{v1.File_latchkey_v1_latchkey_proto, v1.File_latchkey_v1_contact_proto, v1.File_latchkey_v1_link_proto, v1.File_latchkey_v1_desk_proto} {
		services := file.Services()
		for i := range services.Len() {
			methods := services.Get(i).Methods()
			for j := range methods.Len() {
				procedures++
				pattern := "POST /" + string(services.Get(i).FullName()) + "/" + string(methods.Get(j).Name())
				if want[pattern] == 0 {
					t.Errorf("%s is in the API and has no row", pattern)
				}
			}
		}
	}
	if procedures == 0 {
		t.Fatal("no procedures found")
	}
}

// The metrics listener, which asks for none, has one page.
func TestIRT30MetricsListener(t *testing.T) {
	s := newTestServer(t)
	for path, want := range map[string]int{"/metrics": 200, "/": 404, "/debug/pprof/": 404, "/healthz": 404, "/v1/live": 404, "/log/policy": 404} {
		w := httptest.NewRecorder()
		s.metrics.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil))
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
}

// TestIRT30Crawl: without credentials, and with made-up ones, every route
// refuses but those for anyone; no answer may be shared by a cache (IRT-21).
func TestIRT30Crawl(t *testing.T) {
	s := newTestServer(t)
	for _, r := range s.table() {
		for name, credential := range map[string]func(*http.Request){
			"none":   func(*http.Request) {},
			"bearer": func(q *http.Request) { q.Header.Set("Authorization", "Bearer "+strings.Repeat("A", 43)) },
			"cookie": func(q *http.Request) {
				q.AddCookie(&http.Cookie{Name: cookieName, Value: strings.Repeat("A", 43)})
				q.Header.Set("Origin", "http://127.0.0.1")
			},
			"basic": func(q *http.Request) { q.SetBasicAuth("admin", "admin") },
			"empty": func(q *http.Request) { q.Header.Set("Authorization", "Bearer ") },
		} {
			method, path, _ := strings.Cut(r.pattern, " ")
			q := httptest.NewRequest(method, "http://127.0.0.1"+strings.Replace(path, "{track}", strings.Repeat("0", 32), 1), strings.NewReader("{}"))
			q.Header.Set("Content-Type", "application/json")
			credential(q)
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, q)
			if r.right == anyone {
				if w.Code == http.StatusUnauthorized {
					t.Errorf("%s, %s: refused", r.pattern, name)
				}
				continue
			}
			if w.Code != http.StatusUnauthorized {
				t.Errorf("%s, %s: status %d", r.pattern, name, w.Code)
			}
			if c := w.Header().Get("Cache-Control"); c != "private, no-store" {
				t.Errorf("%s: cache control %q", r.pattern, c)
			}
		}
	}
}

// TestHeaders: every answer carries the policy, also errors.
func TestHeaders(t *testing.T) {
	s := newTestServer(t)
	for _, path := range []string{"/", "/healthz", "/v1/live", "/no/such/page", "/none.js", "/v1/nothing"} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil))
		for _, name := range []string{"Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options", "Cross-Origin-Resource-Policy"} {
			if w.Header().Get(name) == "" {
				t.Errorf("%s: no %s", path, name)
			}
		}
	}
	for path, status := range map[string]int{"/cameras/porch": 200, "/none.js": 404, "/v1/nothing": 404, "/../../etc/passwd": 200, "/latchkey.v1.AccountService/Login": 404} {
		q := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/", nil)
		q.URL.Path = path
		w := httptest.NewRecorder()
		s.web.ServeHTTP(w, q)
		if w.Code != status {
			t.Errorf("%s: status %d, want %d", path, w.Code, status)
		}
		if strings.Contains(w.Body.String(), "root:") {
			t.Errorf("%s leads out of the app", path)
		}
	}
}

func TestOrigin(t *testing.T) {
	s := newTestServer(t)
	for host, want := range map[string]string{
		"127.0.0.1:8440": "http://127.0.0.1:8440", "localhost:1": "http://localhost:1", "[::1]:8440": "http://[::1]:8440",
		"LOCALHOST": "http://localhost", "evil.example": "", "evil.example:80": "", "": "", "127.0.0.1.evil.example": "",
	} {
		q := httptest.NewRequest(http.MethodGet, "/", nil)
		q.Host = host
		if got := s.originOf(q); got != want {
			t.Errorf("host %q: origin %q, want %q", host, got, want)
		}
	}
	for url, want := range map[string]string{"https://Cloud.Example/": "https://cloud.example", "http://127.0.0.1:1": "http://127.0.0.1:1"} {
		if got, err := parseOrigin(url); err != nil || got != want {
			t.Errorf("%q: %q, %v", url, got, err)
		}
	}
	for _, bad := range []string{"cloud.example", "ftp://x", "https://x/path", "https://u@x", "https://", "https://x?q", "https://x#f"} {
		if _, err := parseOrigin(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestOneServerPerFolder(t *testing.T) {
	dir := t.TempDir()
	s, err := New(Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{DataDir: dir}); err == nil {
		t.Fatal("two servers share a data directory")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = New(Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func FuzzFootageQuery(f *testing.F) {
	track := strings.Repeat("0a", 16)
	f.Add(track, "from=1790000000.25&to=1790000100&max=1&rap=1")
	f.Add(track, "epoch="+track+"&seq=7")
	f.Fuzz(func(t *testing.T, track, query string) {
		q, err := parseFootage(track, query)
		if err != nil {
			return
		}
		if q.track.String() != track || q.max < 1 || q.max > highestMax || q.from < 0 || q.to < 0 || q.to > maxUnix+1 {
			t.Fatalf("%q %q: %+v", track, query, q)
		}
	})
}

func TestFootageQuery(t *testing.T) {
	track := strings.Repeat("0a", 16)
	for _, bad := range []string{"", "to=1", "from=1&epoch=" + track + "&seq=1", "epoch=" + track, "seq=1", "from=1&from=2", "from=-1", "from=1e9",
		"from=nan", "from=1&max=0", "from=1&max=16777217", "from=1&rap=0", "from=1&x=1", "epoch=" + track + "&seq=-1", "epoch=" + track + "&seq=4294967296", "from=1.2.3", "%zz"} {
		if _, err := parseFootage(track, bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
	if _, err := parseFootage("0A"+track[2:], "from=1"); err == nil {
		t.Error("a track in upper case passes")
	}
	q, err := parseFootage(track, "from=10.5&to=20.25&max=7&rap=1")
	if err != nil || q.from != 10.5 || q.to != 21 || q.max != 7 || !q.rap || !q.byTime {
		t.Errorf("%+v %v", q, err)
	}
}
