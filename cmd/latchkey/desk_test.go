package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/ledger"
)

// hires makes one more person of staff and returns the folder of his keys.
func (d *demo) hires(t *testing.T, id, role string) string {
	t.Helper()
	rootHome, home := filepath.Join(d.home, demoRoot), filepath.Join(t.TempDir(), id)
	code, words := types(t, rootHome, nil, "staff", "invite", "--role", role, "--server", d.server)
	if code != exitDone {
		t.Fatalf("invite: exit %d\n%s", code, words)
	}
	link := ""
	for _, w := range strings.Fields(words) {
		if strings.Contains(w, "/desk#LKI1.") {
			link = w
		}
	}
	if code, words := types(t, home, nil, "staff", "join", link, "--as", id); code != exitDone || !strings.Contains(words, "Before you work at this desk") {
		t.Fatalf("join: exit %d\n%s", code, words)
	}
	if code, words := types(t, home, nil, "staff", "tickets"); code != exitRefused || !strings.Contains(words, "staff root") {
		t.Errorf("somebody for whom nobody has signed: exit %d\n%s", code, words)
	}
	if code, words := types(t, rootHome, nil, "staff", "sign", id, "--server", d.server); code != exitDone {
		t.Fatalf("sign: exit %d\n%s", code, words)
	}
	eventually(t, id+" is in the public log", func() bool {
		var list struct {
			Staff []struct {
				ID     string
				Logged bool
			}
		}
		types(t, home, &list, "staff", "list", "--json")
		for _, s := range list.Staff {
			if s.ID == id {
				return s.Logged
			}
		}
		return false
	})
	return home
}

type openTicket struct {
	Ticket  uint64
	State   string
	Agent   string
	Letters []struct {
		By, Text string
		Staff    bool
	}
	Openings []struct {
		Camera  string
		Footage []struct{ From, To time.Time }
	}
}

// TestDesk is the story of a ticket on the command line: asked for help, diagnosed
// without video, let look for some seconds with two keys, ended; and everybody else
// of staff is refused, and the household sees it (IRT-03, IRT-05, IRT-06, C31).
func TestDesk(t *testing.T) {
	if testing.Short() {
		t.Skip("records for half a minute")
	}
	d := startDemo(t)
	agent, rival, auditor := filepath.Join(d.home, demoAgent), d.hires(t, "tim", ledger.RoleSupport), d.hires(t, "olga", ledger.RoleAuditor)
	span := recorded(t, d.client, "porch", 8*time.Second)
	a := span.From.Add(2 * time.Second).Truncate(time.Second)
	b := a.Add(4 * time.Second)

	var ticket openTicket
	code, words := types(t, d.home, &ticket, "ticket", "open", "CANARY the porch is dark", "--topic", "codec", "--json")
	if code != exitDone || ticket.State != "open" || ticket.Agent == "" {
		t.Fatalf("exit %d: %+v\n%s", code, ticket, words)
	}
	n := fmt.Sprint(ticket.Ticket)
	if ticket.Agent != agentID { // either of support may have got it
		agent, rival = rival, agent
	}
	id := ticket.Agent
	t.Run("words", func(t *testing.T) {
		var got openTicket
		if code, words := types(t, agent, &got, "staff", "show", n, "--json"); code != exitDone || len(got.Letters) != 1 || got.Letters[0].Text != "CANARY the porch is dark" || got.Letters[0].Staff {
			t.Errorf("exit %d: %+v\n%s", code, got, words)
		}
		if code, words := types(t, agent, nil, "staff", "reply", n, "Which minute?"); code != exitDone {
			t.Errorf("reply: exit %d\n%s", code, words)
		}
		if code, words := types(t, d.home, &got, "ticket", "show", n, "--json"); code != exitDone || len(got.Letters) != 2 || got.Letters[1].By != id || !got.Letters[1].Staff {
			t.Errorf("exit %d: %+v\n%s", code, got, words)
		}
	})
	t.Run("health", func(t *testing.T) { deskHealth(t, d.home, agent, n) })
	refusals := func(t *testing.T, home, why string) {
		t.Helper()
		for _, args := range [][]string{{"staff", "show", n}, {"staff", "health", n}, {"staff", "reply", n, "hello"}, {"staff", "view", n, "porch", "--from", stamp(a), "--to", stamp(b), "-o", filepath.Join(t.TempDir(), "x.mp4")}} {
			if code, words := types(t, home, nil, args...); code != exitRefused || !strings.Contains(words, why) {
				t.Errorf("%v: exit %d\n%s", args, code, words)
			}
		}
	}
	t.Run("nobody else", func(t *testing.T) {
		refusals(t, rival, "for the one who has it")
		refusals(t, auditor, "for the one who has it")
	})
	out := filepath.Join(t.TempDir(), "seen.mp4")
	view := func(from, to time.Time) (int, string) {
		return types(t, agent, nil, "staff", "view", n, "porch", "--from", stamp(from), "--to", stamp(to), "-o", out)
	}
	if code, words := view(a, b); code != exitFailed || !strings.Contains(words, "granted nothing") {
		t.Errorf("before anything was granted: exit %d\n%s", code, words)
	}
	if code, words := types(t, d.home, nil, "grant", "porch", "--to", "staff:nobody", "--from", stamp(a), "--to", stamp(b)); code != exitRefused {
		t.Errorf("to somebody without a ticket: exit %d\n%s", code, words)
	}
	var made madeGrant
	if code, words := types(t, d.home, &made, "grant", "porch", "--to", "staff:"+id, "--from", stamp(a), "--to", stamp(b), "--json"); code != exitDone {
		t.Fatalf("grant: exit %d\n%s", code, words)
	}
	if code, words := view(a, b); code != exitDone {
		t.Fatalf("view: exit %d\n%s", code, words)
	}
	if st, err := os.Stat(out); err != nil || st.Size() < 10_000 {
		t.Errorf("the file: %v, %v", st, err)
	}
	t.Run("said", func(t *testing.T) {
		var got openTicket
		if code, words := types(t, d.home, &got, "ticket", "show", n, "--json"); code != exitDone || len(got.Openings) != 1 || got.Openings[0].Camera != "porch" ||
			len(got.Openings[0].Footage) != 1 || !got.Openings[0].Footage[0].From.Equal(a) || !got.Openings[0].Footage[0].To.Equal(b) {
			t.Errorf("exit %d: %+v\n%s", code, got, words)
		}
		if code, words := types(t, d.home, nil, "ledger", "list"); code != exitDone || !strings.Contains(words, "the operator") || !strings.Contains(words, "was refused: read-ticket") {
			t.Errorf("exit %d\n%s", code, words)
		}
		if code, words := types(t, d.home, nil, "ledger", "verify"); code != exitDone {
			t.Errorf("ledger: exit %d\n%s", code, words)
		}
	})
	t.Run("beyond", func(t *testing.T) {
		if code, words := view(a.Add(-2*time.Second), a); code != exitFailed {
			t.Errorf("the seconds before: exit %d\n%s", code, words)
		}
		if code, words := types(t, agent, nil, "staff", "view", n, "driveway", "--from", stamp(a), "--to", stamp(b), "-o", out); code != exitFailed {
			t.Errorf("another camera: exit %d\n%s", code, words)
		}
		refusals(t, rival, "for the one who has it")
	})
	t.Run("audit", func(t *testing.T) { deskAudit(t, auditor, rival) })
	t.Run("suspended", func(t *testing.T) { deskSuspended(t, auditor, rival) })
	t.Run("live", func(t *testing.T) { deskLive(t, d, agent, n, id) })
	if code, words := types(t, d.home, nil, "revoke", made.ID); code != exitDone {
		t.Fatalf("revoke: exit %d\n%s", code, words)
	}
	if code, words := view(a, b); code != exitFailed {
		t.Errorf("after it was ended: exit %d\n%s", code, words)
	}
	if code, words := types(t, d.home, nil, "ticket", "close", n); code != exitDone {
		t.Fatalf("close: exit %d\n%s", code, words)
	}
	if code, words := types(t, agent, nil, "staff", "show", n); code != exitRefused || !strings.Contains(words, "without a ticket") {
		t.Errorf("a closed ticket: exit %d\n%s", code, words)
	}
}

func deskHealth(t *testing.T, home, agent, n string) {
	var got struct {
		Hubs []struct {
			Report    json.RawMessage
			Diagnoses []struct{ Kind, Camera string }
		}
	}
	eventually(t, "a hub reports", func() bool {
		code, words := types(t, agent, &got, "staff", "health", n, "--json")
		if code != exitDone {
			t.Fatalf("exit %d\n%s", code, words)
		}
		return len(got.Hubs) == 1
	})
	if s := string(got.Hubs[0].Report); strings.Contains(s, "porch") || strings.Contains(s, "127.0.0.1") || !strings.Contains(s, "avc1.") {
		t.Errorf("the report says %s", s)
	}
	if code, words := types(t, home, nil, "ticket", "health", n, "--end"); code != exitDone || !strings.Contains(words, "nothing more") {
		t.Errorf("end: exit %d\n%s", code, words)
	}
	if code, words := types(t, home, nil, "ticket", "health", n); code != exitDone || !strings.Contains(words, "report to whoever") {
		t.Errorf("again: exit %d\n%s", code, words)
	}
	if len(got.Hubs[0].Diagnoses) != 0 {
		t.Errorf("a healthy home is diagnosed: %+v", got.Hubs[0].Diagnoses)
	}
}

func deskAudit(t *testing.T, auditor, rival string) {
	var got struct {
		Decisions []struct {
			Staff, Action string
			Allowed       bool
			Rules         []string
		}
	}
	if code, words := types(t, auditor, &got, "staff", "audit", "--json"); code != exitDone {
		t.Fatalf("exit %d\n%s", code, words)
	}
	saw := map[string]bool{}
	for _, one := range got.Decisions {
		saw[fmt.Sprint(one.Action, one.Allowed)] = true
		if !one.Allowed && len(one.Rules) == 0 && one.Action != "audit" {
			t.Errorf("a no without a rule: %+v", one)
		}
	}
	for _, want := range []string{"watchtrue", "releasetrue", "accesstrue", "read-ticketfalse", "read-tickettrue"} {
		if !saw[want] {
			t.Errorf("the auditor does not see %s among %v", want, saw)
		}
	}
	if code, _ := types(t, rival, nil, "staff", "audit"); code != exitRefused {
		t.Errorf("support reads what auditors read: exit %d", code)
	}
	var why struct {
		Allowed bool
		Rules   []struct{ Name string }
	}
	if code, words := types(t, auditor, &why, "staff", "explain", "support", "watch", "--json"); code != exitDone || why.Allowed || len(why.Rules) != 1 || why.Rules[0].Name != "granted" {
		t.Errorf("exit %d: %+v\n%s", code, why, words)
	}
}

// deskSuspended: who guesses tickets is suspended, an auditor who watches is told,
// and ends it.
func deskSuspended(t *testing.T, auditor, rival string) {
	for n := range 12 {
		if code, words := types(t, rival, nil, "staff", "show", fmt.Sprint(9000+n)); code != exitRefused {
			t.Fatalf("a guess: exit %d\n%s", code, words)
		}
	}
	if code, words := types(t, rival, nil, "staff", "tickets"); code != exitRefused || !strings.Contains(words, "suspended") {
		t.Errorf("exit %d\n%s", code, words)
	}
	who, err := member.OpenAgent(member.Options{Home: rival})
	if err != nil {
		t.Fatal(err)
	}
	who.Close()
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	var out, words bytes.Buffer
	code := run(ctx, []string{"staff", "audit", "--follow", "--every", "100ms"}, stdio{in: strings.NewReader(""), out: &out, err: &words, env: func(key string) string {
		if key == "LATCHKEY_HOME" {
			return auditor
		}
		return ""
	}})
	for _, line := range []string{who.ID() + ": no-ticket, more than 10 within a day\n", who.ID() + " is suspended\n"} {
		if code != exitDone || strings.Count(out.String(), line) != 1 {
			t.Errorf("want %q once: exit %d\n%s%s", line, code, out.String(), words.String())
		}
	}
	if code, words := types(t, auditor, nil, "staff", "reinstate", who.ID()); code != exitDone {
		t.Errorf("reinstate: exit %d\n%s", code, words)
	}
	if code, words := types(t, rival, nil, "staff", "tickets"); code != exitDone {
		t.Errorf("reinstated: exit %d\n%s", code, words)
	}
}

// deskLive lets staff look at what is being recorded, for a few minutes ahead.
func deskLive(t *testing.T, d *demo, agent, n, id string) {
	now := time.Now().Truncate(time.Second)
	if code, words := types(t, d.home, nil, "grant", "porch", "--to", "staff:"+id, "--from", stamp(now), "--to", stamp(now.Add(16*time.Minute))); code != exitUsage {
		t.Errorf("for longer than a quarter of an hour ahead: exit %d\n%s", code, words)
	}
	if code, words := types(t, d.home, nil, "grant", "porch", "--to", "staff:"+id, "--from", stamp(now), "--to", stamp(now.Add(5*time.Minute))); code != exitDone {
		t.Fatalf("exit %d\n%s", code, words)
	}
	who, err := member.OpenAgent(member.Options{Home: agent})
	if err != nil {
		t.Fatal(err)
	}
	defer who.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var ticket uint64
	fmt.Sscan(n, &ticket)
	s, err := who.View(ctx, member.ViewRequest{Ticket: ticket, Camera: "porch", Span: member.Span{From: now, To: now.Add(3 * time.Minute)}}, func(member.ViewStep) {})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	seen := func() uint64 {
		f, err := os.CreateTemp(t.TempDir(), "*.mp4")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r, err := s.Export(ctx, f, nil)
		if err != nil {
			return 0
		}
		return uint64(r.VideoFrames)
	}
	first := uint64(0)
	eventually(t, "what is recorded now is seen", func() bool { first = seen(); return first > 0 })
	eventually(t, "and what comes after", func() bool { return seen() > first })
}
