package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	start := func(steps ...func(context.Context) error) {
		for _, step := range steps {
			if err := step(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	start(d.folders, d.startCloud)
	key, err := watch.LogVKey(b.Context(), http.DefaultClient, d.server)
	for _, w := range []*watch.Witness{anna, ben} {
		if err == nil {
			err = w.Follow(key)
		}
	}
	if err != nil {
		b.Fatal(err)
	}
	start(d.openHousehold, d.startCameras, d.startHub, d.addCameras)
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
	for _, x := range []struct {
		name string
		took []time.Duration
	}{{"share", share}, {"open", open}} {
		slices.Sort(x.took)
		b.ReportMetric(float64(x.took[len(x.took)/2].Milliseconds()), "ms-"+x.name+"-median")
		b.ReportMetric(float64(x.took[len(x.took)*95/100].Milliseconds()), "ms-"+x.name+"-p95")
	}
}
