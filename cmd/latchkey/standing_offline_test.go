package main

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/home/member"
)

// line is a TCP line to a server that can be cut and mended.
type line struct {
	net.Listener
	to string

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func newLine(t *testing.T, server string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := &line{Listener: l, to: strings.TrimPrefix(server, "http://")}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { ln.carry(c) })
		}
	})
	t.Cleanup(func() { l.Close(); ln.set(true); running.Wait() })
	return ln
}

// carry copies both ways until either end closes.
func (l *line) carry(c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer up.Close()
	l.mu.Lock()
	dead := l.cut
	l.conns = append(l.conns, c, up)
	l.mu.Unlock()
	if dead {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(up, c) // it ends with either connection
		up.Close()
	}()
	_, _ = io.Copy(c, up) // the same
	c.Close()
	<-done
}

// set cuts the line, with what runs over it, or mends it.
func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if cut {
		for _, c := range l.conns {
			c.Close()
		}
		l.conns = nil
	}
}

// TestStandingWhileHubIsAway: a grant that is made while the hub cannot be reached
// is complete once it is back: the epoch that ran was handed over, later ones
// are sealed to the guest.
func TestStandingWhileHubIsAway(t *testing.T) {
	if testing.Short() {
		t.Skip("records for half a minute")
	}
	dir := t.TempDir()
	d := newDemo(t, filepath.Join(dir, "data"), filepath.Join(dir, "keys"))
	t.Cleanup(d.stop)
	var hubs *line
	overLine := func(ctx context.Context) error {
		hubs = newLine(t, d.server)
		direct := d.server
		d.server = "http://" + hubs.Addr().String()
		defer func() { d.server = direct }()
		return d.startHub(ctx)
	}
	for _, step := range []func(context.Context) error{d.folders, d.startCloud, d.openHousehold, d.startCameras, overLine, d.addCameras} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	cem := join(t, d.client, d.server, member.NewMember{Name: "Cem", Role: "viewer", Rights: member.RightsByName{Cameras: []string{"driveway"}}}, "Cem")
	knows(t, cem.client, "driveway")
	past := recorded(t, d.client, "porch", 5*time.Second)
	hubs.set(true)
	away := func(online bool) func() bool {
		return func() bool {
			list, err := d.client.Hubs(t.Context())
			return err == nil && list[0].Online == online
		}
	}
	eventually(t, "the hub is away", away(false))
	from := past.To.Add(-2 * time.Second).Truncate(time.Second)
	g, err := d.client.Give(t.Context(), member.GiveRequest{Cameras: []string{"porch"}, To: "Cem", Span: member.Span{From: from, To: from.Add(time.Hour)}}, func(member.GrantStep) {})
	if err != nil || !g.Standing || g.State != member.GrantActive {
		t.Fatalf("%+v, %v", g, err)
	}
	given := time.Now()
	eventually(t, "some seconds without the hub", func() bool { return time.Since(given) > 4*time.Second })
	hubs.set(false)
	eventually(t, "the hub is back", away(true))
	back := time.Now()
	knows(t, cem.client, "porch") // its name is in the hub's records of this time
	var tl member.Timeline
	eventually(t, "Cem has all of it", func() bool {
		if tl, err = cem.client.Timeline(t.Context(), "porch", member.Span{From: from, To: time.Now()}); err != nil {
			t.Fatal(err)
		}
		return tl.CompleteUntil.After(back.Add(5*time.Second)) && len(tl.Ranges) == 1 && tl.Ranges[0].To.After(back.Add(5*time.Second))
	})
	if !tl.Ranges[0].From.Equal(from) || alarms(tl.Gaps) != 0 {
		t.Errorf("from %s on: %v, %+v", from, tl.Ranges, tl.Gaps)
	}
	if report, err := export(t, cem.client, "porch", member.Span{From: from, To: back.Add(4 * time.Second)}); err != nil || len(report.Gaps) != 0 {
		t.Errorf("the whole of it: %v, %+v", err, report.Gaps)
	}
}
