package world

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/home/camera"
)

// TestWrongPassword: the camera's owner reads what is wrong in one sentence,
// and the camera is not locked by a hub that keeps trying.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	w := New(t)
	from := time.Now()
	ann := w.settle()
	addr := FreeAddr(t)
	w.ServeCamera("rtsp://viewer:right@"+addr+"/porch", scene(t, "porch"))
	tap := NewTap(t, addr)
	w.AddCamera(ann, "porch", "rtsp://viewer:wrong@"+tap.Addr+"/porch")
	const sentence = "The camera does not accept this user name and password."
	w.Await("the camera's list says it", 40*time.Second, func() bool {
		cams := w.cameras(ann)
		return len(cams) == 1 && cams[0].Status == "refused" && strings.HasPrefix(cams[0].Error, sentence)
	})
	if out := ann.Do("hub", "status"); !strings.Contains(out, sentence) {
		t.Errorf("the hub's status does not say it:\n%s", out)
	}
	time.Sleep(6 * time.Second)
	// One attempt is two connections at most: with TCP, and where that is refused with UDP.
	if n := tap.Conns(); n < 1 || n > 2 {
		t.Errorf("%d connections to a camera that refuses the password", n)
	}
	w.AddCamera(ann, "porch", "rtsp://viewer:right@"+tap.Addr+"/porch")
	w.AwaitRecording(ann)
	if tl := w.noAlarm(ann, from, time.Now()); !tl.has("wrong-password") {
		t.Errorf("no gap says that the password was wrong: %+v", tl.Gaps)
	}
	for _, log := range []string{w.hub.Log(), w.cloud.Log()} {
		if strings.Contains(log, "viewer:") {
			t.Errorf("a log has the camera's password")
		}
	}
}

// TestCameraVanishes: a camera that loses its power is gone from the picture,
// with a reason, and comes back by itself.
func TestCameraVanishes(t *testing.T) {
	t.Parallel()
	w := New(t)
	from := time.Now()
	ann := w.settle()
	url := "rtsp://" + FreeAddr(t) + "/porch"
	cam := w.ServeCamera(url, scene(t, "porch"))
	w.AddCamera(ann, "porch", url, "--audio")
	w.AwaitRecording(ann)
	time.Sleep(2 * time.Second)
	cam.Kill()
	w.Await("the camera is offline", 40*time.Second, func() bool {
		cams := w.cameras(ann)
		return len(cams) == 1 && cams[0].Status == "offline" && strings.HasPrefix(cams[0].Error, "The camera cannot be reached.")
	})
	time.Sleep(3 * time.Second)
	w.ServeCamera(url, scene(t, "porch"))
	w.AwaitRecording(ann)
	time.Sleep(2 * time.Second)
	tl := w.noAlarm(ann, from, time.Now())
	if !tl.has("camera-offline") {
		t.Errorf("no gap says that the camera was offline: %+v", tl.Gaps)
	}
	if len(tl.Ranges) != 2 {
		t.Errorf("want footage before and after: %+v", tl.Ranges)
	}
}

// TestCameraOverUDP records a camera that refuses RTP over TCP.
func TestCameraOverUDP(t *testing.T) {
	t.Parallel()
	w := New(t)
	from := time.Now()
	ann := w.settle()
	sim, err := camera.StartSimulator(camera.SimConfig{
		Listen: "127.0.0.1:0", UDPOnly: true, Streams: []camera.SimStream{{Path: "porch", File: scene(t, "porch")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	w.AddCamera(ann, "porch", sim.URL("porch"), "--audio")
	w.AwaitRecording(ann)
	time.Sleep(4 * time.Second)
	tl := w.noAlarm(ann, from, time.Now())
	w.exportPlays(ann, tl.Ranges[0].From, tl.Ranges[0].From.Add(3*time.Second))
}

// TestCameraChangesItsPicture: the same camera comes back with another size.
func TestCameraChangesItsPicture(t *testing.T) {
	t.Parallel()
	w := New(t)
	from := time.Now()
	ann := w.settle()
	url := "rtsp://" + FreeAddr(t) + "/porch"
	cam := w.ServeCamera(url, scene(t, "porch"))
	w.AddCamera(ann, "porch", url)
	w.AwaitRecording(ann)
	time.Sleep(3 * time.Second)
	cam.Kill()
	w.ServeCamera(url, scene(t, "porch-sub"))
	w.Await("the list shows the new picture", 60*time.Second, func() bool {
		return strings.Contains(ann.Do("camera", "list"), "640x360")
	})
	w.AwaitRecording(ann)
	time.Sleep(3 * time.Second)
	tl := w.noAlarm(ann, from, time.Now())
	first, last := tl.Ranges[0].From, tl.Ranges[len(tl.Ranges)-1].To
	for began, want := range map[time.Time]int{first: 1280, last.Add(-2 * time.Second): 640} {
		file := w.exportPlays(ann, began, began.Add(2*time.Second))
		if width := probe(t, file).Streams[0].Width; width != want {
			t.Errorf("at %s the picture is %d pixels wide, want %d", rfc(began), width, want)
		}
	}
	w.exportPlays(ann, first, last) // one file with both sizes
}

// exportPlays exports a range and plays it.
func (w *World) exportPlays(p Person, from, to time.Time) string {
	w.t.Helper()
	out := filepath.Join(w.t.TempDir(), "export.mp4")
	p.Do("export", "porch", "--from", rfc(from), "--to", rfc(to), "-o", out)
	plays(w.t, out)
	return out
}

// TestEventsMode records around events only, with what came just before each.
func TestEventsMode(t *testing.T) {
	t.Parallel()
	w := New(t)
	from := time.Now()
	ann := w.settle()
	w.AddCamera(ann, "porch", w.StartCamera("porch", scene(t, "porch")), "--mode", "events")
	w.awaitStatus(ann, "waiting")
	var began [2]time.Time
	for i, rest := range []time.Duration{3 * time.Second, 12 * time.Second} {
		time.Sleep(rest)
		began[i] = time.Now()
		ann.Do("camera", "event", "porch", "--for", "3s")
		w.awaitStatus(ann, "recording")
		w.awaitStatus(ann, "waiting")
	}
	tl := w.noAlarm(ann, from, time.Now())
	if len(tl.Ranges) != 2 || !tl.has("not-recording") {
		t.Fatalf("want two ranges and a gap that says why: %+v", tl)
	}
	for i, r := range tl.Ranges {
		if !r.From.Before(began[i]) || r.To.Before(began[i].Add(2*time.Second)) || r.To.After(time.Now()) {
			t.Errorf("event %d began at %s, its footage is %s – %s", i, rfc(began[i]), rfc(r.From), rfc(r.To))
		}
		w.exportPlays(ann, r.From, r.To)
	}
	var doc struct {
		Events []struct{ Label, From, To string }
	}
	ann.JSON(&doc, "events", "--json")
	for _, e := range doc.Events {
		if e.Label != "manual" || e.To == "" {
			t.Errorf("want an event that has ended: %+v", e)
		}
	}
	if len(doc.Events) != 2 {
		t.Errorf("want two events: %+v", doc.Events)
	}
}

func (w *World) awaitStatus(p Person, status string) {
	w.t.Helper()
	w.Await("the camera is "+status, 40*time.Second, func() bool {
		cams := w.cameras(p)
		return len(cams) == 1 && cams[0].Status == status
	})
}
