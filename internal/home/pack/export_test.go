package pack_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/pack"

	latchkey "latchkey.dev/latchkey"
)

// pattern is 100 pictures of a test pattern as a camera sent them, recorded
// once for all tests.
var pattern struct {
	once   sync.Once
	format camera.Format
	units  []camera.Unit
}

// patternRun packs the pattern at 25 fps with a GOP of 25, at exact times from
// start on; pause is inserted before picture 50.
func patternRun(t testing.TB, start time.Time, pause time.Duration) []pack.Fragment {
	t.Helper()
	needTool(t, "ffmpeg")
	pattern.once.Do(func() {
		path := makeMP4(t, "in.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25")
		s := simulate(t, camera.SimConfig{Streams: []camera.SimStream{{Path: "cam", File: path}}})
		r := record(t, camera.Config{URL: s.URL("cam")}, pictures(100))
		pattern.format, pattern.units = r.formats[latchkey.KindVideo][0], r.units[latchkey.KindVideo][:100]
	})
	p := pack.NewPacker(latchkey.KindVideo, start)
	if _, err := p.Format(pattern.format); err != nil {
		t.Fatal(err)
	}
	var fs []pack.Fragment
	at := start
	for i, u := range pattern.units {
		if i == 50 {
			at = at.Add(pause)
		}
		u.Wall, u.PTS, u.DTS = at, 0, 0
		out, err := p.Push(u)
		if err != nil {
			t.Fatal(err)
		}
		fs = append(fs, out...)
		at = at.Add(40 * time.Millisecond)
	}
	return fs
}

// shown returns the presentation times of the frames that a player shows.
func shown(t testing.TB, path string) (first, last float64, n int) {
	t.Helper()
	var out struct {
		Frames []struct {
			PTS string `json:"pts_time"`
		} `json:"frames"`
	}
	if err := json.Unmarshal([]byte(tool(t, "ffprobe", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "json", path)), &out); err != nil {
		t.Fatal(err)
	}
	var times []float64
	for _, f := range out.Frames {
		var v float64
		if err := json.Unmarshal([]byte(f.PTS), &v); err != nil {
			t.Fatal(err)
		}
		times = append(times, v)
	}
	return times[0], times[len(times)-1], len(times)
}

func TestExportTrims(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0).UTC()
	fs := patternRun(t, start, 0)
	from, to := start.Add(1400*time.Millisecond), start.Add(3*time.Second)
	file, got := export(t, fs, nil, from, to)
	plays(t, file)
	// From the random-access picture at 1 s on, 40 ms each, up to 3 s.
	if !got.From.Equal(from) || !got.To.Equal(to) || got.VideoSamples != 50 {
		t.Fatalf("exported %+v", got)
	}
	first, last, n := shown(t, file)
	if first != 0 || n != 40 || last < 1.559 || last > 1.561 {
		t.Fatalf("a player shows %d pictures from %v to %v, want 40 from 0 to 1.56", n, first, last)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Index(b, []byte("moov")) > bytes.Index(b, []byte("mdat")) {
		t.Error("the moov comes after the media")
	}
}

func TestExportOverAPause(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0).UTC()
	fs := patternRun(t, start, 10*time.Second)
	file, got := export(t, fs, nil, start, start.Add(time.Minute))
	plays(t, file)
	if len(got.Gaps) != 1 || got.Gaps[0].To.Sub(got.Gaps[0].From).Round(time.Millisecond) != 10*time.Second {
		t.Fatalf("gaps %+v", got.Gaps)
	}
	if _, last, n := shown(t, file); n != 100 || last < 13.95 || last > 13.97 {
		t.Fatalf("%d pictures up to %v, want 100 up to 13.96", n, last)
	}
	// A range that begins in the pause begins with what comes after it.
	file, got = export(t, fs, nil, start.Add(5*time.Second), start.Add(time.Minute))
	plays(t, file)
	if !got.From.Equal(start.Add(12*time.Second)) || got.VideoSamples != 50 {
		t.Fatalf("from within the pause: %+v", got)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "none.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = pack.Export(f, pieces(fs), nil, start.Add(time.Hour), start.Add(2*time.Hour))
	if !errors.Is(err, pack.ErrNoPicture) || !errors.Is(err, latchkey.ErrNotFound) {
		t.Fatalf("a range without footage: %v", err)
	}
}

func TestExportLeavesOutWhatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0).UTC()
	fs := patternRun(t, start, 0)
	lost := append(append([]pack.Fragment{}, fs[:30]...), fs[31:]...) // a picture in the second GOP
	file, got := export(t, lost, nil, start, start.Add(4*time.Second))
	plays(t, file)
	if got.VideoSamples != 80 || len(got.Gaps) != 1 { // 30 before it, 50 from the third GOP on
		t.Fatalf("exported %+v", got)
	}
}

// TestExportAfterTheClockWasSetBack: pictures stay in the order in which they were
// recorded, each at least a tick after the one before.
func TestExportAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0).UTC()
	before := patternRun(t, start, 0)
	again := patternRun(t, start.Add(2*time.Second), 0)
	file, got := export(t, append(before, again...), nil, start, start.Add(8*time.Second))
	if samples, _ := mp4Samples(t, file); len(samples) != got.VideoSamples {
		t.Fatalf("%d samples in the file, %d exported", len(samples), got.VideoSamples)
	}
	if got.VideoSamples != len(before)+len(again) || got.To.Before(start.Add(5*time.Second)) {
		t.Fatalf("of %d and %d pictures: %+v", len(before), len(again), got)
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0).UTC()
	fs := patternRun(t, start, 0)
	broken := append([]pack.Fragment{}, fs...)
	broken[10].Data = broken[10].Data[:len(broken[10].Data)-1]
	hevc := append([]pack.Fragment{}, fs...)
	in := bytes.Replace(fs[25].Init, []byte("avc1"), []byte("hvc1"), 1)
	in = bytes.Replace(in, []byte("avcC"), []byte("hvcC"), 1)
	hevc[25].Init = in
	for name, c := range map[string]struct {
		run      []pack.Fragment
		from, to time.Duration
	}{
		"cut fragment": {broken, 0, 4 * time.Second},
		"other codec":  {hevc, 0, 4 * time.Second},
		"empty range":  {fs, time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(t.TempDir(), "x.mp4"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := pack.Export(f, pieces(c.run), nil, start.Add(c.from), start.Add(c.to)); !errors.Is(err, latchkey.ErrInvalid) {
				t.Fatalf("%v, want invalid", err)
			}
		})
	}
}

func TestStreamWithSound(t *testing.T) {
	t.Parallel()
	path := footage(t, "car-detection.mp4")
	s := simulate(t, camera.SimConfig{Streams: []camera.SimStream{{Path: "cam", File: path}}})
	r := record(t, camera.Config{URL: s.URL("cam"), Audio: true}, pictures(60))
	var b bytes.Buffer
	st := pack.NewStream(&b, true)
	video, audio := r.frags[latchkey.KindVideo], r.frags[latchkey.KindAudio]
	for len(video)+len(audio) > 0 {
		var err error
		if len(audio) == 0 || len(video) > 0 && video[0].Start.Before(audio[0].Start) {
			err = st.Video(pack.Piece{Init: video[0].Init, Data: video[0].Data})
			video = video[1:]
		} else {
			err = st.Audio(pack.Piece{Init: audio[0].Init, Data: audio[0].Data})
			audio = audio[1:]
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "live.mp4")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	plays(t, file)
	if first, _, n := shown(t, file); first != 0 || n != 60 {
		t.Fatalf("%d pictures from %v, want 60 from 0", n, first)
	}
	if streams := tool(t, "ffprobe", "-show_entries", "stream=codec_name", "-of", "csv=p=0", file); streams != "h264\naac\n" {
		t.Fatalf("streams %q", streams)
	}
}
