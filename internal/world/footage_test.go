package world

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// footage returns a real file, or skips (fails in CI) where it is not at hand.
func footage(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("LATCHKEY_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	path, err := filepath.Abs(filepath.Join(dir, "footage", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("footage is missing: %v", err)
		}
		t.Skipf("footage is missing: %v", err)
	}
	return path
}

// TestRealFootage sends real footage all the way, camera to exported file, and
// compares what comes out with what went in, bit by bit.
func TestRealFootage(t *testing.T) {
	t.Parallel()
	people, cars := footage(t, "one-by-one-person-detection.mp4"), footage(t, "car-detection.mp4")
	w := New(t)
	ann := w.settle()
	for name, url := range map[string]string{
		"people":    w.StartCamera("people", people),
		"cars":      w.StartCamera("cars", cars),
		"published": Publish(t, cars),
	} {
		w.AddCamera(ann, name, url, "--audio")
	}
	w.AwaitRecording(ann)
	for _, name := range []string{"people", "cars", "published"} {
		w.Await("enough of "+name+" is recorded", 60*time.Second, func() bool {
			var tl timelineDoc
			ann.JSON(&tl, "timeline", name, "--json")
			return len(tl.Ranges) > 0 && tl.Ranges[len(tl.Ranges)-1].To.Sub(tl.Ranges[len(tl.Ranges)-1].From) > 10*time.Second
		})
	}
	for name, source := range map[string]string{"people": people, "cars": cars, "published": cars} {
		t.Run(name, func(t *testing.T) { w.checkExport(t, ann, name, source) })
	}
}

// checkExport exports four and a half seconds that begin anywhere between two
// random-access points.
func (w *World) checkExport(t *testing.T, p Person, camera, source string) {
	var tl timelineDoc
	p.JSON(&tl, "timeline", camera, "--json")
	if len(tl.Ranges) == 0 {
		t.Fatal("nothing is recorded")
	}
	last := tl.Ranges[len(tl.Ranges)-1]
	const asked = 4500 * time.Millisecond
	to := last.To.Add(-3 * time.Second)
	from := to.Add(-asked)
	if from.Before(last.From) {
		t.Fatalf("only %s – %s is recorded", rfc(last.From), rfc(last.To))
	}
	out := filepath.Join(t.TempDir(), camera+".mp4")
	p.Do("export", camera, "--from", rfc(from), "--to", rfc(to), "-o", out)
	plays(t, out)
	sameRun(t, "video", nalUnits(t, source), nalUnits(t, out))
	sound := len(probe(t, source).Streams) > 1
	if sound {
		sameRun(t, "sound", aacFrames(t, source), aacFrames(t, out))
	}
	w.checkEdit(t, source, out, asked, sound)
}

// checkEdit looks at what a player shows of the file: the asked range to the
// frame, from a file that begins with a random-access point.
func (w *World) checkEdit(t *testing.T, source, out string, asked time.Duration, sound bool) {
	all := probe(t, out, "-ignore_editlist", "1", "-show_packets", "-select_streams", "v:0")
	if len(all.Packets) == 0 || all.Packets[0].Flags[0] != 'K' {
		t.Fatalf("the file does not begin with a random-access point: %+v", all.Packets)
	}
	shown := probe(t, out, "-count_frames")
	if n := len(shown.Streams); n != 1 && !sound || n != 2 && sound {
		t.Errorf("%d tracks", n)
	}
	frame := frameTime(t, source)
	for _, s := range shown.Streams {
		seconds, err := strconv.ParseFloat(s.Duration, 64)
		if err != nil || math.Abs(seconds-asked.Seconds()) > frame {
			t.Errorf("%s: %s s are shown, %v were asked for", s.Kind, s.Duration, asked)
		}
		frames, err := strconv.Atoi(s.Frames)
		// While the hub finds out how late the first packets were, pictures may be two percent closer.
		if want := asked.Seconds() / frame; s.Kind == "video" && (err != nil || math.Abs(float64(frames)-want) > 1.5+want/50) {
			t.Errorf("%s frames are shown, want about %.1f", s.Frames, want)
		}
	}
}

// frameTime is the distance of pictures in seconds.
func frameTime(t *testing.T, file string) float64 {
	t.Helper()
	p := probe(t, file, "-count_packets", "-select_streams", "v:0")
	seconds, err := strconv.ParseFloat(p.Streams[0].Duration, 64)
	n, nerr := strconv.Atoi(p.Streams[0].PacketCount)
	if err != nil || nerr != nil || n == 0 {
		t.Fatalf("%s: %q s, %q packets", file, p.Streams[0].Duration, p.Streams[0].PacketCount)
	}
	return seconds / float64(n)
}
