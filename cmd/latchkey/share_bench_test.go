package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/internal/watch"
)

// BenchmarkShare measures the way from "share" to a link that opens: signing,
// the public log with two witnesses, handing over; and the opening itself.
func BenchmarkShare(b *testing.B) {
	d := witnessedDemo(b)
	span := recorded(b, d.client, "porch", 6*time.Second)
	from := span.From.Truncate(time.Second).Add(2 * time.Second)
	stretch := member.Span{From: from, To: from.Add(3 * time.Second)}
	var share, open []time.Duration
	for b.Loop() {
		began := time.Now()
		s, err := d.client.ShareLink(b.Context(), member.ShareRequest{Camera: "porch", Span: stretch, For: time.Hour}, func(member.GrantStep) {})
		if err != nil {
			b.Fatal(err)
		}
		shared := time.Now()
		link, err := member.OpenLink(b.Context(), http.DefaultClient, s.Link)
		if err != nil {
			b.Fatal(err)
		}
		link.Close()
		share, open = append(share, shared.Sub(began)), append(open, time.Since(shared))
	}
	reportTook(b, "share", share)
	reportTook(b, "open", open)
}

// BenchmarkDesk measures two keys: from "grant" to footage that staff have opened.
// Granting and looking each wait for the public log with two witnesses.
func BenchmarkDesk(b *testing.B) {
	d := witnessedDemo(b, (*demo).hireAgent)
	ticket, err := d.client.OpenTicket(b.Context(), member.TicketRequest{Topic: "other", Words: "a ticket"})
	if err != nil {
		b.Fatal(err)
	}
	agent, err := member.OpenAgent(member.Options{Home: filepath.Join(d.home, demoAgent), HTTP: http.DefaultClient})
	if err != nil {
		b.Fatal(err)
	}
	defer agent.Close()
	span := recorded(b, d.client, "porch", 6*time.Second)
	from := span.From.Truncate(time.Second).Add(2 * time.Second)
	stretch := member.Span{From: from, To: from.Add(3 * time.Second)}
	var give, look, release []time.Duration
	for b.Loop() {
		began := time.Now()
		g, err := d.client.GiveStaff(b.Context(), member.StaffRequest{Cameras: []string{"porch"}, Staff: agentID, Ticket: ticket.N, Span: stretch}, func(member.GrantStep) {})
		if err != nil {
			b.Fatal(err)
		}
		given := time.Now()
		proven := given
		s, err := agent.View(b.Context(), member.ViewRequest{Ticket: ticket.N, Camera: g.ID.String(), Span: stretch}, func(step member.ViewStep) {
			switch step {
			case member.ViewProven:
				proven = time.Now()
			case member.ViewReleased:
				release = append(release, time.Since(proven))
			}
		})
		if err != nil {
			b.Fatal(err)
		}
		f, err := os.Create(filepath.Join(b.TempDir(), "seen.mp4"))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Export(b.Context(), f, nil); err != nil {
			b.Fatal(err)
		}
		s.Close()
		_ = f.Close()
		give, look = append(give, given.Sub(began)), append(look, time.Since(given))
	}
	reportTook(b, "give", give)
	reportTook(b, "look", look)
	reportTook(b, "release", release)
}

func reportTook(b *testing.B, name string, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-"+name+"-median")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "ms-"+name+"-p95")
}

// witnessedDemo is the demo with a public log that takes two witnesses. With more:
// after the server has begun.
func witnessedDemo(b *testing.B, more ...func(*demo, context.Context) error) *demo {
	d := newDemo(b, b.TempDir(), b.TempDir())
	b.Cleanup(d.stop)
	witness := func(name string) (*watch.Witness, string) {
		w, err := watch.OpenWitness(durable.Disk{}, b.TempDir(), name+".invalid")
		if err != nil {
			b.Fatal(err)
		}
		s := httptest.NewServer(w)
		b.Cleanup(s.Close)
		return w, fmt.Sprintf("witness %s %s %s\n", name, w.VKey(), s.URL)
	}
	anna, one := witness("anna")
	ben, two := witness("ben")
	d.watchers = one + two + "group both all anna ben\nquorum both\n"
	start := func(steps ...func(*demo, context.Context) error) {
		for _, step := range steps {
			if err := step(d, b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	start((*demo).folders, (*demo).startCloud)
	key, err := watch.LogVKey(b.Context(), http.DefaultClient, d.server)
	for _, w := range []*watch.Witness{anna, ben} {
		if err == nil {
			err = w.Follow(key)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	start(more...)
	start((*demo).openHousehold, (*demo).startCameras, (*demo).startHub, (*demo).addCameras)
	return d
}
