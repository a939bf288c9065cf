package pack_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	latchkey "latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/pack"
)

// makeMP4 makes a test pattern with ffmpeg.
func makeMP4(t testing.TB, name string, args ...string) string {
	t.Helper()
	needTool(t, "ffmpeg")
	path := filepath.Join(t.TempDir(), name)
	args = append([]string{"-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=4"}, args...)
	if out, err := exec.Command("ffmpeg", append(args, path)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	return path
}

func pictures(n int) func(*recording) bool {
	return func(r *recording) bool { return len(r.units[latchkey.KindVideo]) >= n }
}

func TestPublishedByFFmpeg(t *testing.T) {
	t.Parallel()
	path := footage(t, "car-detection.mp4")
	rel := startRelay(t)
	rel.publish(t, "-re", "-stream_loop", "-1", "-i", path, "-c", "copy")
	r := record(t, camera.Config{URL: rel.url(), Audio: true}, func(r *recording) bool {
		return len(r.units[latchkey.KindVideo]) >= 50 && len(r.units[latchkey.KindAudio]) > 190
	})
	video, audio := r.frags[latchkey.KindVideo], r.frags[latchkey.KindAudio]
	checkFragments(t, video, true)
	checkFragments(t, audio, false)
	refVideo, refAudio := reference(t, path)
	file, _ := export(t, video, audio, video[0].Start, video[0].Start.Add(4*time.Second))
	plays(t, file)
	outVideo, outAudio := mp4Samples(t, file)
	sameRun(t, "exported audio", refAudio, outAudio)
	sameRun(t, "exported video", withoutParams(t, refVideo), withoutParams(t, outVideo))
}

// withoutParams drops parameter sets, which ffmpeg repeats where it likes.
func withoutParams(t testing.TB, samples [][]byte) (out [][]byte) {
	t.Helper()
	for _, s := range samples {
		var au h264.AVCC
		if err := au.Unmarshal(s); err != nil {
			t.Fatal(err)
		}
		var kept [][]byte
		for _, n := range au {
			if typ := h264.NALUType(n[0] & 0x1F); typ != h264.NALUTypeSPS && typ != h264.NALUTypePPS {
				kept = append(kept, n)
			}
		}
		out = append(out, avcc(t, kept))
	}
	return out
}

func TestCodecs(t *testing.T) {
	t.Parallel()
	tone := []string{"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=4"}
	for _, c := range []struct {
		name         string
		args         []string
		video, audio string // prefixes of the codec strings
		bFrames      bool
	}{
		{"h264 with B-frames and aac", append(tone, "-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "25", "-c:a", "aac"), "avc1.64", "mp4a.40.2", true},
		{"h264 without B-frames and opus", append(tone, "-c:v", "libx264", "-tune", "zerolatency", "-preset", "ultrafast", "-g", "12", "-c:a", "libopus"), "avc1.42", "opus", false},
		{"h265 with B-frames", []string{"-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "log-level=error:keyint=25:bframes=3"}, "hvc1.1.6.L", "", true},
		{"h265 without B-frames", []string{"-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "log-level=error:keyint=12:bframes=0"}, "hvc1.1.6.L", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := makeMP4(t, "in.mp4", c.args...)
			s := simulate(t, camera.SimConfig{Streams: []camera.SimStream{{Path: "cam", File: path}}})
			r := record(t, camera.Config{URL: s.URL("cam"), Audio: true}, pictures(120)) // over a seam
			video, audio := r.frags[latchkey.KindVideo], r.frags[latchkey.KindAudio]
			checkFragments(t, video, true)
			checkFragments(t, audio, false)
			refVideo, refAudio := reference(t, path)
			sameRun(t, "received video", refVideo, nalus(r.units[latchkey.KindVideo], t))
			checkMIME(t, r, video[0].Init, c.video)
			if c.audio != "" {
				sameRun(t, "received audio", refAudio, nalus(r.units[latchkey.KindAudio], t))
				checkMIME(t, r, audio[0].Init, c.audio)
			}
			for i, u := range r.units[latchkey.KindVideo] {
				if !c.bFrames && u.PTS != u.DTS || u.DTS > u.PTS {
					t.Fatalf("picture %d: PTS %v, DTS %v", i, u.PTS, u.DTS)
				}
			}
			file, _ := export(t, video, audio, video[10].Start, video[90].Start)
			plays(t, file)
			out, _ := mp4Samples(t, file)
			sameRun(t, "exported video", refVideo, out)
		})
	}
}

func checkMIME(t testing.TB, r *recording, init []byte, prefix string) {
	t.Helper()
	got, err := pack.Codec(init)
	if err != nil || len(got) < len(prefix) || got[:len(prefix)] != prefix {
		t.Fatalf("codec string %q (%v), want %s…", got, err, prefix)
	}
	for _, fs := range r.formats {
		if fs[0].MIME == got {
			return
		}
	}
	t.Fatalf("the init says %q, the camera said something else", got)
}

// TestG711 compares what FLAC carries with ffmpeg's decoding of the same bytes.
func TestG711(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"alaw", "mulaw"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			rel := startRelay(t)
			rel.publish(t, "-re", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=10", "-f", "lavfi", "-i", "aevalsrc=sin(440*2*PI*t)*sin(t)+0.1*random(0):s=8000",
				"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "5", "-c:a", "pcm_"+codec)
			r := record(t, camera.Config{URL: rel.url(), Audio: true}, func(r *recording) bool {
				return len(r.units[latchkey.KindVideo]) >= 30 && len(r.units[latchkey.KindAudio]) > 30
			})
			audio := r.frags[latchkey.KindAudio]
			checkFragments(t, audio, false)
			var sent []byte
			for _, u := range r.units[latchkey.KindAudio] {
				sent = append(sent, u.Frame...)
			}
			raw := filepath.Join(t.TempDir(), "sent")
			if err := os.WriteFile(raw, sent, 0o600); err != nil {
				t.Fatal(err)
			}
			want := tool(t, "ffmpeg", "-v", "error", "-f", codec, "-ar", "8000", "-ac", "1", "-i", raw, "-f", "s16le", "-")
			var file bytes.Buffer
			file.Write(audio[0].Init)
			for _, f := range audio {
				file.Write(f.Data)
			}
			fmp4 := filepath.Join(t.TempDir(), "flac.mp4")
			if err := os.WriteFile(fmp4, file.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			got := tool(t, "ffmpeg", "-i", fmp4, "-f", "s16le", "-c:a", "pcm_s16le", "-")
			if got != want {
				t.Fatalf("FLAC holds %d samples, the camera sent %d, or they differ", len(got)/2, len(want)/2)
			}
			if file.Len() > len(want)*9/10 {
				t.Errorf("FLAC of %d bytes for %d of PCM: prediction does not work", file.Len(), len(want))
			}
		})
	}
}

// TestParameterChange switches the picture size in mid-stream: two mp4s with
// the same codec, whose pictures are sent one after the other as one camera.
func TestParameterChange(t *testing.T) {
	t.Parallel()
	small := makeMP4(t, "small.mp4", "-vf", "scale=160:120", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "10", "-t", "1")
	large := makeMP4(t, "large.mp4", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "10", "-t", "1")
	start := time.Unix(1_700_000_000, 0)
	p := pack.NewPacker(latchkey.KindVideo, start)
	at := start
	var fs []pack.Fragment
	var sent [][]byte
	for _, path := range []string{small, large, small} {
		rec := recordFile(t, path)
		if _, err := p.Format(rec.formats[latchkey.KindVideo][0]); err != nil {
			t.Fatal(err)
		}
		for _, u := range rec.units[latchkey.KindVideo] {
			u.Wall, u.PTS, u.DTS = at, at.Sub(start), at.Sub(start)
			at = at.Add(40 * time.Millisecond)
			out, err := p.Push(u)
			if err != nil {
				t.Fatal(err)
			}
			fs = append(fs, out...)
			sent = append(sent, avcc(t, u.NALUs))
		}
	}
	checkFragments(t, fs, true)
	file, _ := export(t, fs, nil, start, at)
	plays(t, file)
	got, _ := mp4Samples(t, file)
	if len(got) != len(sent) {
		t.Fatalf("exported %d pictures of %d", len(got), len(sent))
	}
	for i := range got {
		if !bytes.Equal(got[i], sent[i]) {
			t.Fatalf("picture %d differs", i)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	entries := bytes.Index(b, []byte("stsd"))
	if n := binary.BigEndian.Uint32(b[entries+8:]); n != 2 {
		t.Fatalf("%d sample entries, want 2 (the third run uses the first's)", n)
	}
	sizes := tool(t, "ffprobe", "-show_entries", "frame=width", "-of", "csv=p=0", file)
	if n := bytes.Count([]byte(sizes), []byte("320")); n != 25 {
		t.Fatalf("%d large pictures decoded, want 25", n)
	}
	streamOf(t, fs)
}

// recordFile returns one pass of a file as a camera sends it.
func recordFile(t testing.TB, path string) *recording {
	t.Helper()
	s := simulate(t, camera.SimConfig{Streams: []camera.SimStream{{Path: "cam", File: path}}})
	r := record(t, camera.Config{URL: s.URL("cam")}, pictures(25))
	r.units[latchkey.KindVideo] = r.units[latchkey.KindVideo][:25]
	return r
}

// streamOf writes fragments as one fMP4 stream and has ffmpeg play it.
func streamOf(t testing.TB, fs []pack.Fragment) {
	t.Helper()
	var b bytes.Buffer
	s := pack.NewStream(&b, false)
	for _, f := range fs {
		if err := s.Video(pack.Piece{Init: f.Init, Data: f.Data}); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "stream.mp4")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	frames := tool(t, "ffprobe", "-show_entries", "frame=width", "-of", "csv=p=0", path)
	if n := len(strings.Fields(frames)); n != len(fs) {
		t.Fatalf("%d of %d pictures of the stream decoded: %q", n, len(fs), frames)
	}
}
