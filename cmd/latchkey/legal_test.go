package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey/ledger"
	"latchkey.dev/latchkey/part"
)

// TestIRT82Legal: a request of an authority takes two people, yields ciphertext and
// signed statements, stands in the household's chain (sealed and dated while it may
// not be said), and counts in the report, which anybody makes from the log.
func TestIRT82Legal(t *testing.T) {
	if testing.Short() {
		t.Skip("records for some seconds")
	}
	d := startDemo(t)
	lena, lars := d.hires(t, "lena", ledger.RoleLegal), d.hires(t, "lars", ledger.RoleLegal)
	agent := filepath.Join(d.home, demoAgent)
	span := recorded(t, d.client, "porch", 6*time.Second)
	span.To = span.To.Add(-3 * time.Second) // of the other camera, too, nothing comes in any more
	household := d.client.ID().String()
	var empty transparency
	if code, words := types(t, d.home, &empty, "legal", "report", "--json"); code != exitDone || len(empty.Requests) != len(ledger.LegalKinds) || empty.Requests["emergency"]["disclosed"] != 0 || empty.Staff["legal"] != 2 || empty.Staff["support"] != 1 || len(empty.Rules) != 1 {
		t.Fatalf("a report without requests: exit %d: %+v\n%s", code, empty, words)
	}
	add := func(home string, more ...string) (int, string) {
		return types(t, home, nil, append([]string{"legal", "add", "--kind", "emergency", "--country", "de", "--household", household, "--from", stamp(span.From), "--to", stamp(span.To)}, more...)...)
	}
	if code, words := add(agent); code != exitRefused {
		t.Errorf("support enters a request: exit %d\n%s", code, words)
	}
	if code, words := add(lena); code != exitDone {
		t.Fatalf("add: exit %d\n%s", code, words)
	}
	if code, words := types(t, lena, nil, "legal", "disclose", "1"); code != exitRefused || !strings.Contains(words, "by another person") {
		t.Errorf("one person alone: exit %d\n%s", code, words)
	}
	out := filepath.Join(t.TempDir(), "x.tar")
	if code, words := types(t, lena, nil, "legal", "fetch", "1", "-o", out); code != exitRefused {
		t.Errorf("before it was decided: exit %d\n%s", code, words)
	}
	if code, words := types(t, lars, nil, "legal", "disclose", "1"); code != exitDone {
		t.Fatalf("disclose: exit %d\n%s", code, words)
	}
	if code, words := types(t, lars, nil, "legal", "refuse", "1"); code == exitDone {
		t.Errorf("decided twice: exit %d\n%s", code, words)
	}
	if code, words := types(t, lars, nil, "legal", "fetch", "1", "-o", out); code != exitDone {
		t.Fatalf("fetch: exit %d\n%s", code, words)
	}
	sealedOnly(t, out)
	var mine struct {
		Disclosures []struct {
			Request   uint64
			Statement uint64
			Listing   string
		}
		Sealed int
	}
	if code, words := types(t, d.home, &mine, "legal", "mine", "--json"); code != exitDone || len(mine.Disclosures) != 1 || mine.Disclosures[0].Statement == 0 || mine.Sealed != 0 || !strings.Contains(mine.Disclosures[0].Listing, "sealed ") {
		t.Errorf("the household: exit %d: %+v\n%s", code, mine, words)
	}
	if code, words := add(lars, "--gag-until", "+1h"); code != exitDone {
		t.Fatalf("a gagged one: exit %d\n%s", code, words)
	}
	if code, words := types(t, lena, nil, "legal", "disclose", "2"); code != exitDone {
		t.Fatalf("disclose: exit %d\n%s", code, words)
	}
	if code, words := types(t, d.home, &mine, "legal", "mine", "--json"); code != exitDone || len(mine.Disclosures) != 1 || mine.Sealed != 1 {
		t.Errorf("a gagged one: exit %d: %+v\n%s", code, mine, words)
	}
	if code, words := add(lena); code != exitDone {
		t.Fatalf("a third: exit %d\n%s", code, words)
	}
	if code, words := types(t, lars, nil, "legal", "refuse", "3"); code != exitDone {
		t.Fatalf("refuse: exit %d\n%s", code, words)
	}
	growing := []string{"legal", "add", "--kind", "warrant", "--country", "fr", "--household", household, "--from", stamp(span.From), "--to", stamp(span.To.Add(time.Hour))}
	if code, words := types(t, lena, nil, growing...); code != exitDone {
		t.Fatalf("a fourth: exit %d\n%s", code, words)
	}
	if code, words := types(t, lars, nil, "legal", "disclose", "4"); code != exitDone {
		t.Fatalf("disclose: exit %d\n%s", code, words)
	}
	later := time.Now().Add(2 * time.Second)
	eventually(t, "more of these minutes", func() bool { return recorded(t, d.client, "porch", time.Second).To.After(later) })
	if code, words := types(t, lena, nil, "legal", "fetch", "4", "-o", out+"4"); code == exitDone || !strings.Contains(words, "enter it anew") {
		t.Errorf("more than the household was told of: exit %d\n%s", code, words)
	}
	var report transparency
	eventually(t, "the report counts all three", func() bool {
		if code, words := types(t, d.home, &report, "legal", "report", "--json"); code != exitDone {
			t.Fatalf("exit %d\n%s", code, words)
		}
		return report.Requests["emergency"]["disclosed"] == 2 && report.Requests["emergency"]["refused"] == 1
	})
	if report.Requests["emergency"]["received"] != 3 || report.Countries["de"] != 3 || report.Requests["warrant"]["received"] != 1 || report.Requests["subpoena"]["received"] != 0 {
		t.Errorf("%+v", report)
	}
	if code, words := types(t, d.home, nil, "ledger", "verify"); code != exitDone {
		t.Errorf("the household's ledger: exit %d\n%s", code, words)
	}
}

type transparency struct {
	Requests  map[string]map[string]int
	Countries map[string]int
	Staff     map[string]int
	Rules     []string `json:"desk_rules"`
}

// sealedOnly checks that a tar has signed statements and sealed parts, and nothing
// else: every byte of footage is inside a part.
func sealedOnly(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range []string{"porch", "Demo house", "mum@example", "ftyp", "moof", "avc1"} {
		if bytes.Contains(b, []byte(canary)) {
			t.Errorf("what is handed over says %q", canary)
		}
	}
	r, parts := tar.NewReader(bytes.NewReader(b)), 0
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case h.Name == "listing.txt", strings.HasPrefix(h.Name, "chain/"):
		case strings.HasPrefix(h.Name, "sealed/"):
			list, err := part.ParseAll(body)
			if err != nil {
				t.Errorf("%s: %v", h.Name, err)
			}
			parts += len(list)
		default:
			t.Errorf("%s is handed over", h.Name)
		}
	}
	if parts == 0 {
		t.Error("nothing sealed is handed over: there was footage")
	}
}
