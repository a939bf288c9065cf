package world

import (
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait more than they compute.
	if err := flag.Set("test.parallel", strconv.Itoa(max(3, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	code := m.Run()
	RemoveBinary()
	os.Exit(code)
}

// scene returns one of the project's own loops, so that these tests need no footage from outside.
func scene(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "home", "camera", "scenes", name+".mp4"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// recording is a world with a household, a hub and one camera that records.
func recording(t *testing.T, hubArgs ...string) (*World, Person) {
	t.Helper()
	w := New(t)
	return w, w.record(scene(t, "porch"), hubArgs...)
}

// record starts everything and adds the file as the camera "porch".
func (w *World) record(file string, hubArgs ...string) Person {
	w.t.Helper()
	ann := w.settle(hubArgs...)
	w.AddCamera(ann, "porch", w.StartCamera("porch", file), "--audio")
	w.AwaitRecording(ann)
	// Its state comes with the epoch, its picture with the next key frame.
	w.Await("the first footage", 30*time.Second, func() bool {
		var tl timelineDoc
		ann.JSON(&tl, "timeline", "porch", "--json")
		return len(tl.Ranges) > 0
	})
	return ann
}

// settle starts cloud and hub for a new household.
func (w *World) settle(hubArgs ...string) Person {
	w.t.Helper()
	w.StartCloud()
	ann := w.Person("ann")
	ann.Found()
	w.PairHub(ann, hubArgs...)
	return ann
}

// AddCamera adds a camera as soon as the hub takes commands.
func (w *World) AddCamera(p Person, name, url string, args ...string) {
	w.t.Helper()
	w.Await("the hub takes the camera "+name, 30*time.Second, func() bool {
		return p.Run(append([]string{"camera", "add", name, url}, args...)...).Code == 0
	})
}

// AwaitRecording waits until the person sees the camera recording.
func (w *World) AwaitRecording(p Person) {
	w.t.Helper()
	w.Await("the camera records", 40*time.Second, func() bool {
		cams := w.cameras(p)
		return len(cams) > 0 && !slices.ContainsFunc(cams, func(c cameraDoc) bool { return c.Status != "recording" })
	})
}

type cameraDoc struct{ Name, Status, Error string }

// cameras is what `camera list` says; nil when it cannot say it now.
func (w *World) cameras(p Person) []cameraDoc {
	w.t.Helper()
	var doc struct{ Cameras []cameraDoc }
	r := p.Run("camera", "list", "--json")
	if r.Code != 0 || json.Unmarshal([]byte(r.Out), &doc) != nil {
		return nil
	}
	return doc.Cameras
}

type timelineDoc struct {
	Ranges []struct{ From, To time.Time }
	Gaps   []gapDoc
}

type gapDoc struct {
	From, To time.Time
	Why      string
	Alarm    bool
}

func rounds(t *testing.T, short int) int {
	t.Helper()
	if s := os.Getenv("LATCHKEY_SOAK"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("LATCHKEY_SOAK=%q: want a number of rounds", s)
		}
		return n
	}
	return short
}

// TestKillAtRandomPoints kills hub and cloud in turn, or both, with SIGKILL
// while they record, looks at the spool between death and restart, and expects
// every part that was ever in it to be stored exactly once after healing. Of
// every life the hub records a part at least; in the soak every other life is
// long enough to reset the growing distance between epochs.
func TestKillAtRandomPoints(t *testing.T) {
	t.Parallel()
	w, ann := recording(t)
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	sealed := NewStock()
	from := time.Now()
	soak := os.Getenv("LATCHKEY_SOAK") != ""
	for i := range rounds(t, 6) {
		w.Await("the hub seals again", 3*time.Minute, func() bool {
			return !sealed.Holds(TakeStock(t, filepath.Join(w.HubData(), "spool")))
		})
		life := time.Duration(r.IntN(3000)) * time.Millisecond
		if soak && i%2 == 0 {
			life += 10 * time.Second
		}
		time.Sleep(life)
		switch r.IntN(3) {
		case 0:
			w.hub.Kill()
		case 1:
			w.cloud.Kill()
		case 2:
			w.cloud.Kill()
			time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
			w.hub.Kill()
		}
		sealed.Merge(t, TakeStock(t, filepath.Join(w.HubData(), "spool")))
		if !w.cloud.Alive() {
			w.StartCloud()
		}
		if !w.hub.Alive() {
			w.StartHub()
		}
		t.Logf("round %d: %d parts seen in the spool so far", i+1, len(sealed.Hash))
	}
	time.Sleep(3 * time.Second)
	w.AwaitRecording(ann)
	sealed.Merge(t, TakeStock(t, filepath.Join(w.HubData(), "spool")))
	w.checkHealed(ann, sealed, from)
}

// noAlarm looks for gaps before to that nobody explains. What explains them may
// be on its way yet, so it looks again for a while.
func (w *World) noAlarm(p Person, from, to time.Time) timelineDoc {
	w.t.Helper()
	var tl timelineDoc
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		tl = timelineDoc{}
		p.JSON(&tl, "timeline", "porch", "--from", rfc(from), "--json")
		alarms := slices.DeleteFunc(slices.Clone(tl.Gaps), func(g gapDoc) bool { return !g.Alarm || !g.To.Before(to) })
		if len(tl.Ranges) > 0 && len(alarms) == 0 {
			return tl
		}
		if time.Now().After(end) {
			w.t.Fatalf("since %s there are %d ranges and these unexplained gaps: %+v", rfc(from), len(tl.Ranges), alarms)
		}
	}
}

func rfc(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// storedNow is what the cloud has on disk, open reels included.
func (w *World) storedNow() Stock {
	s := TakeStock(w.t, filepath.Join(w.CloudData(), "blobs"))
	s.Merge(w.t, TakeStock(w.t, filepath.Join(w.CloudData(), "open")))
	return s
}

// checkHealed stops hub and cloud gracefully and looks at what is stored.
func (w *World) checkHealed(p Person, sealed Stock, from time.Time) {
	w.t.Helper()
	w.Await("all that is and was in the spool has arrived", 120*time.Second, func() bool {
		now := TakeStock(w.t, filepath.Join(w.HubData(), "spool"))
		now.Merge(w.t, sealed)
		return w.storedNow().Holds(now)
	})
	w.noAlarm(p, from, time.Now().Add(-20*time.Second))
	w.checkStored(sealed).Whole(w.t)
}

// checkStored stops hub and cloud gracefully and checks that the cloud has
// want and nothing twice. It returns all that is stored.
func (w *World) checkStored(want Stock) Stock {
	w.t.Helper()
	w.hub.Stop(w.t)
	w.cloud.Stop(w.t)
	stored := w.storedNow()
	stored.MustHold(w.t, want)
	if stored.Torn > 0 {
		w.t.Errorf("%d stored objects end in the middle of a part", stored.Torn)
	}
	w.mustFsck()
	return stored
}
