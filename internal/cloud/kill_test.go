package cloud_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/cloud/hometest"
)

// TestKill kills the server at random moments while a hub sends, starts it on
// the same folder, and lets the hub offer its spool. fsck finds nothing wrong
// with what each kill leaves; what was promised is kept; in the end every part
// is stored once.
func TestKill(t *testing.T) {
	kills := 8
	if n, err := strconv.Atoi(os.Getenv("LATCHKEY_TEST_KILLS")); err == nil {
		kills = n // the long run
	}
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(11, 12))
	c := startChild(t, "small", dir)
	h := found(t, "http://"+c.addr, 1, 2)
	e := h.epoch(t, time.Now().Add(-time.Hour))
	hub := &resender{h: h, e: e, live: film(e, h.tracks[0], 0, 3000, 5, 10, 300), back: film(e, h.tracks[1], 0, 3000, 5, 10, 300)}
	for range kills {
		hub.play(t, rng, time.Duration(20+rng.IntN(250))*time.Millisecond)
		try(t, c.cmd.Process.Kill())
		_ = c.cmd.Wait() // it says that it was killed
		hub.u.ws.Close()
		report := must[cloud.Report](t)(cloud.Fsck(t.Context(), cloud.Config{DataDir: dir}))
		if len(report.Problems) != 0 {
			t.Fatalf("after a kill: %+v", report)
		}
		c = startChild(t, "small", dir)
		h.url = "http://" + c.addr
		h.admin = newAPI(h.url, h.admin.token)
		hub.checkPromises(t)
	}
	hub.finish(t)
	c.begin(t)
	c.end(t)
	report := must[cloud.Report](t)(cloud.Fsck(t.Context(), cloud.Config{DataDir: dir}))
	if len(report.Problems) != 0 || report.Parts != len(hub.live)+len(hub.back) || report.OpenReels != 0 {
		t.Fatalf("in the end: %+v", report)
	}
}

// resender is a hub with a spool: it sends what the cloud does not have.
type resender struct {
	h          *house
	e          *hometest.Epoch
	live, back [][]byte
	sent       int // of live
	u          *uplink
	promised   [2]map[uint32]bool
}

// connect says hello with everything held, and returns what the cloud has.
func (r *resender) connect(t *testing.T) (have [2]map[uint32]bool) {
	t.Helper()
	var held []*v1.SpoolRange
	for i := range r.h.tracks {
		held = append(held, &v1.SpoolRange{Epoch: r.e.ID[:], Track: r.h.tracks[i][:], LastSeq: uint32(len(r.live) - 1)})
		have[i] = map[uint32]bool{}
	}
	r.u = r.h.dial(t, held...)
	r.u.wait(t, "have", func() bool { return r.u.have != nil })
	for _, a := range r.u.have.GetHave() {
		for i := range r.h.tracks {
			if bytes.Equal(a.GetTrack(), r.h.tracks[i][:]) {
				for n := a.GetFirstSeq(); n <= a.GetLastSeq(); n++ {
					have[i][n] = true
				}
			}
		}
	}
	r.u.announce(t, r.e)
	return have
}

// play sends live parts and backlog until d has passed.
func (r *resender) play(t *testing.T, rng *rand.Rand, d time.Duration) {
	t.Helper()
	have := r.connect(t)
	begin := time.Now()
	for at := 0; time.Since(begin) < d; at++ {
		if r.sent < len(r.live) {
			if r.u.raw(0x01, r.live[r.sent]) != nil {
				return
			}
			r.sent++
		}
		if n := rng.IntN(len(r.back) - 20); !have[1][uint32(n)] {
			if r.u.raw(0x02, r.back[n:n+1+rng.IntN(20)]...) != nil {
				return
			}
		}
		time.Sleep(time.Millisecond)
	}
	r.note()
}

// note remembers every receipt as a promise.
func (r *resender) note() {
	r.u.mu.Lock()
	defer r.u.mu.Unlock()
	for _, a := range r.u.receipts {
		for i := range r.h.tracks {
			if !bytes.Equal(a.GetTrack(), r.h.tracks[i][:]) {
				continue
			}
			if r.promised[i] == nil {
				r.promised[i] = map[uint32]bool{}
			}
			for n := a.GetFirstSeq(); n <= a.GetLastSeq(); n++ {
				r.promised[i][n] = true
			}
		}
	}
}

// checkPromises asks the restarted server for everything that was receipted.
func (r *resender) checkPromises(t *testing.T) {
	t.Helper()
	have := r.connect(t)
	// Recovered reels are reported once they are closed.
	deadline := time.Now().Add(10 * time.Second)
	for !covers(have, r.promised) {
		if time.Now().After(deadline) {
			t.Fatal("parts with a receipt are gone")
		}
		r.u.ws.Close()
		time.Sleep(20 * time.Millisecond)
		have = r.connect(t)
	}
	r.u.ws.Close()
}

func covers(have, promised [2]map[uint32]bool) bool {
	for i := range promised {
		for n := range promised[i] {
			if !have[i][n] {
				return false
			}
		}
	}
	return true
}

// finish sends everything and waits until it is all promised.
func (r *resender) finish(t *testing.T) {
	t.Helper()
	r.connect(t)
	for i, parts := range [][][]byte{r.live, r.back} {
		for n := 0; n < len(parts); n += 100 {
			try(t, r.u.raw(0x02, parts[n:n+100]...))
		}
		last := uint32(len(parts) - 1)
		r.u.wait(t, "last receipt", func() bool { return r.u.receipted(r.h.tracks[i], last, storedLevel) })
	}
	r.u.ws.Close()
}
