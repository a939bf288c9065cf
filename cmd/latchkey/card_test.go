package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/home/member"
)

// opensOwn runs `latchkey open` with the keys of a home.
func opensOwn(t *testing.T, home, link string, into any) (int, string) {
	t.Helper()
	args := []string{"open", link, "-o", filepath.Join(t.TempDir(), "own.mp4")}
	if into != nil {
		args = append(args, "--json")
	}
	return types(t, home, into, args...)
}

// TestShareWithAPerson: footage for one person of another household, at another
// server. His keys open it; the link without them, and other keys, do not.
func TestShareWithAPerson(t *testing.T) {
	d := startDemo(t)
	cleo := startHouse(t)
	bob := join(t, d.client, d.server, member.NewMember{Name: "Bob"}, "Bob")
	bob.client.Close()
	cleo.client.Close()
	span := recorded(t, d.client, "porch", 8*time.Second)
	from := span.To.Add(-6 * time.Second).Truncate(time.Second)
	until := from.Add(4 * time.Second)

	var card struct{ Card, Digits string }
	if code, words := types(t, cleo.home, &card, "card", "--json"); code != exitDone || len(card.Digits) != 24 {
		t.Fatalf("exit %d: %s", code, words)
	}
	file := filepath.Join(t.TempDir(), "cleo.card")
	if err := os.WriteFile(file, []byte(card.Card+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var made struct {
		Grant, Link, Digits string
		From, To, Until     time.Time
	}
	code, words := types(t, d.home, &made, "grant", "porch", "--to", "contact:@"+file, "--from", stamp(from), "--to", stamp(until), "--note", "yours?", "--json")
	if code != exitDone || made.Digits != card.Digits || !strings.HasPrefix(made.Link, d.server+"/s#LKP1.") || time.Until(made.Until).Round(time.Hour) != 168*time.Hour {
		t.Fatalf("exit %d: %+v\n%s", code, made, words)
	}
	var got openedLink
	if code, words := opensOwn(t, cleo.home, made.Link, &got); code != exitDone || !got.Verified || got.Note != "yours?" || !got.From.Equal(from) || !got.To.Equal(until) || got.Parts == 0 || got.Sound {
		t.Fatalf("exit %d: %+v\n%s", code, got, words)
	}
	if code, words := opensOwn(t, cleo.home, made.Link, nil); code != exitDone || !strings.Contains(words, "with you alone") {
		t.Errorf("exit %d\n%s", code, words)
	}
	asLink := strings.Replace(made.Link, "#LKP1.", "#LK1.", 1)
	for name, c := range map[string]struct {
		home, link string
		code       int
		says       string
	}{
		"nobody's keys":                  {filepath.Join(t.TempDir(), "nobody"), made.Link, exitRefused, "keys are not on this machine"},
		"another member's keys":          {bob.home, made.Link, exitRefused, "somebody else's key"},
		"the sharer's keys":              {d.home, made.Link, exitRefused, "somebody else's key"},
		"the secret as a link of all":    {filepath.Join(t.TempDir(), "nobody"), asLink, exitVerify, "not to this link"},
		"the secret, with the right key": {cleo.home, asLink, exitVerify, "not to this link"},
		"half a link":                    {cleo.home, made.Link[:len(made.Link)-3], exitUsage, "whole link"},
	} {
		if code, words := opensOwn(t, c.home, c.link, nil); code != c.code || !strings.Contains(words, c.says) {
			t.Errorf("%s: exit %d, want %d and %q\n%s", name, code, c.code, c.says, words)
		}
	}
	var list struct {
		Grants []struct {
			ID, Kind, State string
			Views           int
		}
	}
	if code, words := types(t, d.home, &list, "grants", "--json"); code != exitDone || len(list.Grants) != 1 || list.Grants[0].Kind != "contact" || list.Grants[0].Views < 2 {
		t.Fatalf("exit %d: %+v\n%s", code, list, words)
	}
	if code, words := types(t, d.home, nil, "grants"); code != exitDone || !strings.Contains(words, "a person with a card") {
		t.Errorf("exit %d\n%s", code, words)
	}
	storyFsck(t, d)
	if code, words := types(t, d.home, nil, "revoke", made.Grant[:8]); code != exitDone {
		t.Fatalf("exit %d\n%s", code, words)
	}
	if code, words := opensOwn(t, cleo.home, made.Link, nil); code != exitFailed || !strings.Contains(words, "ended") {
		t.Errorf("after its end: exit %d\n%s", code, words)
	}
}

// TestShareWithAPersonUsage: what is no card, and more than one camera.
func TestShareWithAPersonUsage(t *testing.T) {
	d := startHouse(t)
	d.client.Close()
	var card struct{ Card string }
	if code, words := types(t, d.home, &card, "card", "--json"); code != exitDone {
		t.Fatalf("exit %d: %s", code, words)
	}
	flipped := card.Card[:20] + "!" + card.Card[21:]
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a damaged card": {[]string{"contact:" + flipped, "porch"}, exitUsage, "no card"},
		"a cut card":     {[]string{"contact:" + card.Card[:1000], "porch"}, exitUsage, "no card"},
		"no such file":   {[]string{"contact:@/nowhere/card", "porch"}, exitFailed, "@FILE"},
		"two cameras":    {[]string{"contact:" + card.Card, "porch", "drive"}, exitUsage, "one camera at a time"},
		"no camera":      {[]string{"contact:" + card.Card, "porch"}, exitFailed, "camera list"},
	} {
		args := append([]string{"grant"}, c.args[1:]...)
		args = append(args, "--to", c.args[0], "--from", "-3m", "--to", "-2m")
		if code, words := types(t, d.home, nil, args...); code != c.code || !strings.Contains(words, c.says) {
			t.Errorf("%s: exit %d, want %d and %q\n%s", name, code, c.code, c.says, words)
		}
	}
}
