package main

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/member"
)

// TestServerLiesAboutThePast: the capsule of a grant, and a removal that only
// the hub at home hears of.
func TestServerLiesAboutThePast(t *testing.T) {
	if testing.Short() {
		t.Skip("records for some seconds")
	}
	d := startDemo(t)
	l := newLiar(t, d.server)
	past := recorded(t, d.client, "porch", 4*time.Second)
	all := member.History{All: true}
	bob := join(t, d.client, l.URL, member.NewMember{Name: "Bob", History: all}, "Bob")
	cem := join(t, d.client, l.URL, member.NewMember{Name: "Cem", History: all}, "Cem")
	if r, err := export(t, reopen(t, bob), "porch", past); err != nil || len(r.Gaps) != 0 {
		t.Fatalf("honest: %v, gaps %v", err, r.Gaps)
	}
	var other []byte
	l.tell(t, lie{answer: one("GetCapsule", func(body []byte) proto.Message {
		m := decode(body, &latchkeyv1.GetCapsuleResponse{})
		other = m.Capsule
		return m
	})})
	if _, err := export(t, reopen(t, cem), "porch", past); err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(*latchkeyv1.GetCapsuleResponse){
		"a bit of the capsule":    func(m *latchkeyv1.GetCapsuleResponse) { m.Capsule[len(m.Capsule)-1] ^= 1 },
		"a bit of its enc":        func(m *latchkeyv1.GetCapsuleResponse) { m.Capsule[100] ^= 1 },
		"somebody else's capsule": func(m *latchkeyv1.GetCapsuleResponse) { m.Capsule = other },
		"an empty one":            func(m *latchkeyv1.GetCapsuleResponse) { m.Capsule = nil },
	}
	for name, change := range tests {
		l.tell(t, lie{answer: one("GetCapsule", func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.GetCapsuleResponse{})
			change(m)
			return m
		})})
		if _, err := export(t, reopen(t, bob), "porch", past); !errors.Is(err, latchkey.ErrVerify) {
			t.Errorf("%s: %v", name, err)
		}
	}
	withheldRemoval(t, d, l, cem)
	removalWithoutServer(t, d)
}

// removalWithoutServer: the server is away altogether, and the machine has just
// been switched on. It goes by what it has seen last.
func removalWithoutServer(t *testing.T, d *demo) {
	home := filepath.Join(t.TempDir(), "ann")
	first := recoverAt(t, home, d.server, d.code)
	if _, err := first.Hubs(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.cleanup[0]() // the cloud ends
	c, err := member.Open(member.Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	report, err := c.RemoveMember(t.Context(), "Bob")
	if err != nil || !errors.Is(report.Server, latchkey.ErrUnavailable) || len(report.Hubs) != 1 || !report.Hubs[0].Heard {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := c.RemoveMember(t.Context(), "Nobody"); !errors.Is(err, latchkey.ErrNotFound) {
		t.Errorf("somebody unknown: %v", err)
	}
}

// withheldRemoval: the server takes a removal and keeps it from everybody. The
// hub hears of it at home, and seals nothing more to who was removed; the
// others go on; the admin is told what the server does (claim C7).
func withheldRemoval(t *testing.T, d *demo, l *liar, cem arrival) {
	home := filepath.Join(t.TempDir(), "ann")
	admin := recoverAt(t, home, l.URL, d.code)
	l.tell(t, lie{})
	eventually(t, "the admin's machine knows where the hub is", func() bool {
		hubs, err := admin.Hubs(t.Context())
		return err == nil && len(hubs) == 1 && len(hubs[0].Report.LAN) > 0
	})
	l.tell(t, lie{swallow: one("AppendStatement", func([]byte) proto.Message { return &latchkeyv1.AppendStatementResponse{} })})
	report, err := admin.RemoveMember(t.Context(), "Cem")
	if err != nil || !errors.Is(report.Server, latchkey.ErrVerify) || len(report.Hubs) != 1 || !report.Hubs[0].Heard {
		t.Fatalf("%+v, %v", report, err)
	}
	removed := time.Now()
	var words bytes.Buffer
	code := run(t.Context(), []string{"member", "remove", "Cem"}, stdio{in: strings.NewReader(""), out: io.Discard, err: &words, env: func(string) string { return home }})
	for _, want := range []string{"does not show the removal of Cem", "Hub hub has heard of it at home", "the server does not carry the removal", "Next: The hubs that have heard"} {
		if code != exitVerify || !strings.Contains(words.String(), want) {
			t.Errorf("exit code %d, without %q:\n%s", code, want, words.String())
		}
	}
	eventually(t, "the hub has begun an epoch without Cem, and Ann sees it", func() bool {
		tl, err := admin.Timeline(t.Context(), "porch", member.Span{From: removed, To: time.Now()})
		if err != nil {
			t.Fatalf("Ann's timeline: %v", err)
		}
		return len(tl.Ranges) > 0 && tl.Ranges[len(tl.Ranges)-1].To.Sub(removed) > 15*time.Second
	})
	// The server still serves Cem, whom its chain has; there is nothing for him.
	tl, err := reopen(t, cem).Timeline(t.Context(), "porch", member.Span{From: removed.Add(11 * time.Second), To: time.Now()})
	if err == nil && len(tl.Ranges) > 0 {
		t.Errorf("Cem sees %v after the hub knew of his removal", tl.Ranges)
	}
	if err != nil && !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("Cem: %v", err)
	}
}
