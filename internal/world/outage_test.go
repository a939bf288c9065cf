package world

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestServerGone takes the cloud away while the hub records: twelve seconds,
// or ten minutes with LATCHKEY_SOAK. Live comes first when it returns, what
// waited comes oldest first, and nothing is missing or there twice.
func TestServerGone(t *testing.T) {
	t.Parallel()
	away := 12 * time.Second
	if os.Getenv("LATCHKEY_SOAK") != "" {
		away = 10 * time.Minute
	}
	w := New(t)
	proxy := w.UseProxy()
	from := time.Now()
	ann := w.record(scene(t, "porch"))
	conns := proxy.Conns()
	w.cloud.Stop(t)
	gone := time.Now()
	time.Sleep(away)
	back := time.Now()
	w.StartCloud()
	w.Await("the hub is back", 90*time.Second, func() bool {
		return proxy.Conns() > conns && slices.ContainsFunc(proxy.Messages(), func(m Message) bool { return m.Type == MsgLive })
	})
	kept := TakeStock(t, filepath.Join(w.HubData(), "spool"))
	w.Await("what was recorded meanwhile has arrived", 120*time.Second, func() bool { return w.storedNow().Holds(kept) })
	time.Sleep(2 * time.Second) // of live
	checkOrder(t, proxy.Messages())
	tl := w.noAlarm(ann, from, time.Now())
	covered := false
	for _, r := range tl.Ranges {
		covered = covered || (r.From.Before(gone) && r.To.After(back))
	}
	if !covered {
		t.Errorf("the outage %s – %s is not covered without a hole: %+v", rfc(gone), rfc(back), tl)
	}
	w.checkHealed(ann, kept, from)
}

// ahead is how much backlog may be on its way before the first live part: the
// window of a new connection and one message more.
const ahead = 512<<10 + 1<<20

// checkOrder looks at one connection: hello, then live parts as they come with
// the backlog in between, oldest first.
func checkOrder(t *testing.T, messages []Message) {
	t.Helper()
	if len(messages) == 0 || messages[0].Type != MsgHello {
		t.Fatalf("a connection that does not begin with hello: %+v", messages)
	}
	live, backlog, before := 0, 0, 0
	var newest int64
	for _, m := range messages {
		switch m.Type {
		case MsgLive:
			live++
		case MsgBacklog:
			backlog++
			if live == 0 {
				before += m.Size
			}
			if m.At < newest-1 { // slots are seconds
				t.Errorf("backlog of second %d was sent after that of %d", m.At, newest)
			}
			newest = max(newest, m.At)
		}
	}
	t.Logf("%d messages live, %d of backlog, %d bytes of it before the first live part", live, backlog, before)
	if live == 0 || backlog == 0 {
		t.Errorf("%d live and %d backlog messages: want both", live, backlog)
	}
	if before > ahead {
		t.Errorf("%d bytes of backlog went before the first live part", before)
	}
}
