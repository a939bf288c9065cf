package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
)

// opensLink runs `latchkey open` with a home that has no member, and returns the
// exit code, its words and the file.
func opensLink(t *testing.T, link string, into any) (int, string, []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "shared.mp4")
	args := []string{"open", link, "-o", name}
	if into != nil {
		args = append(args, "--json")
	}
	code, words := types(t, filepath.Join(t.TempDir(), "nobody"), into, args...)
	b, err := os.ReadFile(name)
	if (err == nil) != (code == exitDone) {
		t.Fatalf("exit %d, file: %v\n%s", code, err, words)
	}
	return code, words, b
}

type openedLink struct {
	Verified                bool
	SharedBy                string `json:"shared_by"`
	Camera, Note, Log       string
	From, To, Until, Logged time.Time
	Sound                   bool
	Parts, VideoFrames      int
	AudioParts              int `json:"audio_parts"`
	Gaps                    []any
}

// TestShare is a link from one end to the other: made, opened by somebody
// without an account, counted, ended.
func TestShare(t *testing.T) {
	d := startDemo(t)
	span := recorded(t, d.client, "porch", 8*time.Second)
	from := span.To.Add(-6 * time.Second).Truncate(time.Second)
	until := from.Add(4 * time.Second)
	home := d.home
	var made struct {
		Grant, Link     string
		From, To, Until time.Time
	}
	code, words := types(t, home, &made, "share", "porch", "--from", stamp(from), "--to", stamp(until), "--note", "look <here>", "--sound", "--json")
	if code != exitDone || !made.From.Equal(from) || !made.To.Equal(until) || time.Until(made.Until).Round(time.Hour) != 168*time.Hour {
		t.Fatalf("exit %d: %+v\n%s", code, made, words)
	}
	if !strings.HasPrefix(made.Link, d.server+"/s#LK1.") || !strings.Contains(words, "Written into") || !strings.Contains(words, "Proven.") {
		t.Errorf("%s\n%s", made.Link, words)
	}
	var got openedLink
	code, words, file := opensLink(t, made.Link, &got)
	if code != exitDone || !got.Verified || got.Camera != "porch" || got.SharedBy == "" || got.Note != "look <here>" || !got.From.Equal(from) || !got.To.Equal(until) ||
		!got.Sound || got.AudioParts == 0 || got.Parts == 0 || len(got.Gaps) != 0 || got.Log == "" {
		t.Fatalf("exit %d: %+v\n%s", code, got, words)
	}
	movie, err := mp4.DecodeFile(bytes.NewReader(file))
	if err != nil || len(movie.Moov.Traks) != 2 {
		t.Fatalf("the file: %v", err)
	}
	var list struct {
		Grants []struct {
			ID, Kind, State, By string
			Cameras             []string
			Views               int
			LastView            time.Time `json:"last_view"`
		}
	}
	if code, words := types(t, home, &list, "grants", "--json"); code != exitDone || len(list.Grants) != 1 {
		t.Fatalf("exit %d\n%s", code, words)
	}
	if g := list.Grants[0]; g.ID != made.Grant || g.State != "active" || g.Kind != "link" || g.Views != 1 || g.LastView.IsZero() || len(g.Cameras) != 1 || g.Cameras[0] != "porch" {
		t.Errorf("%+v", g)
	}
	if code, words := types(t, home, nil, "grants"); code != exitDone || !strings.Contains(words, "whoever has the link") || !strings.Contains(words, "porch with sound") || !strings.Contains(words, "once, ") {
		t.Errorf("exit %d\n%s", code, words)
	}
	code, words = types(t, home, nil, "revoke", made.Grant[:8])
	if code != exitDone || !strings.Contains(words, "the operator stops serving it, which you cannot verify") {
		t.Errorf("exit %d\n%s", code, words)
	}
	if code, words, _ := opensLink(t, made.Link, nil); code != exitFailed || !strings.Contains(words, "ended") {
		t.Errorf("a revoked link: exit %d\n%s", code, words)
	}
	if code, words := types(t, home, nil, "revoke", made.Grant[:8]); code != exitDone {
		t.Errorf("ended twice: exit %d\n%s", code, words)
	}
	t.Run("usage", func(t *testing.T) { shareUsage(t, home, from, until) })
	t.Run("fsck", func(t *testing.T) { storyFsck(t, d) })
}

func shareUsage(t *testing.T, home string, from, until time.Time) {
	a, b := stamp(from), stamp(until)
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"more than a day":        {[]string{"share", "porch", "--from", "-30h", "--to", b}, exitUsage, "--long"},
		"more than a week":       {[]string{"share", "porch", "--from", a, "--to", b, "--for", "169h"}, exitUsage, "--long"},
		"the future":             {[]string{"share", "porch", "--from", a, "--to", "+1h"}, exitUsage, "in the past"},
		"no camera":              {[]string{"share", "attic", "--from", a, "--to", b}, exitFailed, "camera list"},
		"before anything":        {[]string{"share", "porch", "--from", "-3h", "--to", "-2h"}, exitFailed, "no footage"},
		"no card":                {[]string{"grant", "porch", "--to", "contact:abc", "--from", a, "--to", b}, exitUsage, "latchkey card"},
		"staff":                  {[]string{"grant", "porch", "--to", "staff:s1", "--from", a, "--to", b}, exitRefused, "no open ticket"},
		"nobody":                 {[]string{"grant", "porch", "--from", a, "--to", b}, exitUsage, "to whom"},
		"no end":                 {[]string{"grant", "porch", "--to", "member:Bob", "--from", a}, exitUsage, "end of the footage"},
		"a stranger":             {[]string{"grant", "porch", "--to", "member:Zoe", "--from", a, "--to", b}, exitFailed, "Zoe"},
		"an unknown grant":       {[]string{"revoke", "ffffffff"}, exitFailed, "latchkey grants"},
		"no link":                {[]string{"open", "https://cloud.example/s", "-o", "x.mp4"}, exitUsage, "whole link"},
		"half a link":            {[]string{"open", "https://cloud.example/s#LK1.abc", "-o", "x.mp4"}, exitUsage, "whole link"},
		"another page":           {[]string{"open", "https://cloud.example/t#LK1." + strings.Repeat("A", 43), "-o", "x.mp4"}, exitUsage, "whole link"},
		"a link to another file": {[]string{"open", "https://cloud.example/s#LK1." + strings.Repeat("A", 43), "-o", "x.mkv"}, exitUsage, ".mp4"},
	} {
		code, words := types(t, home, nil, c.args...)
		if code != c.code || !strings.Contains(words, c.says) {
			t.Errorf("%s: exit %d, want %d, with %q\n%s", name, code, c.code, c.says, words)
		}
		if strings.Contains(words, strings.Repeat("A", 43)) {
			t.Errorf("%s: the secret is quoted\n%s", name, words)
		}
	}
}
