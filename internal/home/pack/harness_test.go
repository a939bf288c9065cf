package pack_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/pmp4"

	latchkey "latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/pack"
)

// footage returns a real file, or skips (fails in CI) where it is not at hand.
func footage(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("LATCHKEY_SHARED")
	if dir == "" {
		dir = "../../../../shared"
	}
	path := filepath.Join(dir, "footage", name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("footage is missing: %v", err)
		}
		t.Skipf("footage is missing: %v", err)
	}
	return path
}

// recording is what came out of the path camera → pack.
type recording struct {
	video, audio *pack.Packer
	many         *pack.Packer // the same pictures, gathered
	gathered     []pack.Fragment
	units        map[latchkey.TrackKind][]camera.Unit
	formats      map[latchkey.TrackKind][]camera.Format
	frags        map[latchkey.TrackKind][]pack.Fragment
	err          error
	enough       func(*recording) bool
	done         context.CancelFunc
}

func (r *recording) packer(k latchkey.TrackKind) *pack.Packer {
	if k == latchkey.KindAudio {
		return r.audio
	}
	return r.video
}

func (r *recording) Format(k latchkey.TrackKind, f camera.Format) {
	r.formats[k] = append(r.formats[k], f)
	frags, err := r.packer(k).Format(f)
	r.add(k, frags, err)
	if k != latchkey.KindAudio {
		r.gather(r.many.Format(f))
	}
}

func (r *recording) gather(frags []pack.Fragment, err error) {
	r.gathered = append(r.gathered, frags...)
	r.err = errors.Join(r.err, err)
}

func (r *recording) Unit(u camera.Unit) {
	r.units[u.Kind] = append(r.units[u.Kind], u)
	frags, err := r.packer(u.Kind).Push(u)
	r.add(u.Kind, frags, err)
	if u.Kind != latchkey.KindAudio {
		r.gather(r.many.Push(u))
	}
	if r.enough(r) {
		r.done()
	}
}

func (r *recording) add(k latchkey.TrackKind, frags []pack.Fragment, err error) {
	r.frags[k] = append(r.frags[k], frags...)
	if err != nil && r.err == nil {
		r.err = err
		r.done()
	}
}

// record runs a source until enough returns true.
func record(t testing.TB, cfg camera.Config, enough func(*recording) bool) *recording {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	start := time.Now().Truncate(time.Second)
	r := &recording{
		video:   pack.NewPacker(latchkey.KindVideo, start),
		audio:   pack.NewPacker(latchkey.KindAudio, start),
		many:    pack.NewPacker(latchkey.KindVideo, start),
		units:   map[latchkey.TrackKind][]camera.Unit{},
		formats: map[latchkey.TrackKind][]camera.Format{},
		frags:   map[latchkey.TrackKind][]pack.Fragment{},
		enough:  enough,
		done:    cancel,
	}
	r.many.Gather(true)
	err := camera.RTSP(cfg).Run(ctx, r)
	if !enough(r) {
		t.Fatalf("the camera ended early with %d pictures: %v", len(r.units[latchkey.KindVideo]), err)
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	r.frags[latchkey.KindAudio] = append(r.frags[latchkey.KindAudio], r.audio.Flush()...)
	r.gather(r.many.Flush(), nil)
	return r
}

func simulate(t testing.TB, cfg camera.SimConfig) *camera.Simulator {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	s, err := camera.StartSimulator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// reference reads the samples of a file with another reader than ours.
func reference(t testing.TB, path string) (video, audio [][]byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var p pmp4.Presentation
	if err := p.Unmarshal(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	for _, tr := range p.Tracks {
		var list [][]byte
		for _, s := range tr.Samples {
			raw, err := s.GetPayload()
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, raw)
		}
		if tr.Codec.IsVideo() {
			video = list
		} else {
			audio = list
		}
	}
	return video, audio
}

// sameRun checks that got are consecutive samples of the looped reference,
// beginning anywhere. Sound may leave out a few frames at the seam.
func sameRun(t testing.TB, what string, reference, got [][]byte) {
	t.Helper()
	if len(got) == 0 {
		t.Fatalf("%s: nothing arrived", what)
	}
	best := 0
	for start, r := range reference {
		if bytes.Equal(r, got[0]) {
			if best = max(best, runLength(reference, got, start)); best == len(got) {
				return
			}
		}
	}
	t.Fatalf("%s: sample %d of %d differs from what the camera sent", what, best, len(got))
}

// runLength returns how many of got equal the looped reference from start on.
func runLength(reference, got [][]byte, start int) int {
	at := start
	for i, g := range got {
		if at >= len(reference)-4 && !bytes.Equal(g, reference[at%len(reference)]) && bytes.Equal(g, reference[0]) {
			at = 0
		}
		if !bytes.Equal(g, reference[at%len(reference)]) {
			return i
		}
		at++
	}
	return len(got)
}

func avcc(t testing.TB, nalus [][]byte) []byte {
	t.Helper()
	b, err := h264.AVCC(nalus).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pieces(fs []pack.Fragment) iter.Seq2[pack.Piece, error] {
	var ps []pack.Piece
	for _, f := range fs {
		ps = append(ps, pack.Piece{Init: f.Init, Data: f.Data})
	}
	return pack.Pieces(ps)
}

// export writes a recording to a file and returns its path.
func export(t testing.TB, video, audio []pack.Fragment, from, to time.Time) (string, pack.Exported) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "export.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var sound iter.Seq2[pack.Piece, error]
	if audio != nil {
		sound = pieces(audio)
	}
	got, err := pack.Export(f, pieces(video), sound, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return f.Name(), got
}

func content(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mp4Samples re-reads a file with mp4ff.
func mp4Samples(t testing.TB, path string) (video, audio [][]byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := mp4.DecodeFile(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, trak := range m.Moov.Traks {
		var list [][]byte
		n := trak.GetNrSamples()
		for i := uint32(1); i <= n; i++ {
			ranges, err := trak.GetRangesForSampleInterval(i, i)
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, ranges[0].Size)
			if _, err := f.ReadAt(b, int64(ranges[0].Offset)); err != nil {
				t.Fatal(err)
			}
			list = append(list, b)
		}
		if trak.Mdia.Hdlr.HandlerType == "vide" {
			video = list
		} else {
			audio = list
		}
	}
	return video, audio
}

// tool runs ffmpeg or ffprobe and fails on any warning it prints.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	needTool(t, name)
	cmd := exec.CommandContext(t.Context(), name, append([]string{"-v", "warning"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

func needTool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("%s is not on this machine, and the other program's reading is not compared: %v", name, err)
	}
}

// plays checks that ffprobe and ffmpeg read a file without a warning.
func plays(t testing.TB, path string) {
	t.Helper()
	tool(t, "ffprobe", "-show_packets", path)
	tool(t, "ffmpeg", "-xerror", "-i", path, "-f", "null", "-")
}

func nalus(us []camera.Unit, t testing.TB) (out [][]byte) {
	for _, u := range us {
		if u.Frame != nil {
			out = append(out, u.Frame)
		} else {
			out = append(out, avcc(t, u.NALUs))
		}
	}
	return out
}

// checkFragments holds every rule a run of fragments must obey.
func checkFragments(t testing.TB, fs []pack.Fragment, video bool) {
	t.Helper()
	var end int64
	var slot uint32
	var scale uint32
	lastRAP := int64(-1)
	for i, f := range fs {
		samples, err := pack.ParseFragment(f.Data)
		if err != nil {
			t.Fatal(err)
		}
		if (f.Init != nil) != f.RAP {
			t.Fatalf("fragment %d: RAP %v, init %v", i, f.RAP, f.Init != nil)
		}
		if f.RAP {
			in, err := pack.ParseInit(f.Init)
			if err != nil {
				t.Fatal(err)
			}
			scale = in.Timescale
		}
		s := samples[0]
		switch {
		case f.Discontinuity && s.Decode < end, !f.Discontinuity && s.Decode != end:
			t.Fatalf("fragment %d begins at %d, the last ended at %d (discontinuity %v)", i, s.Decode, end, f.Discontinuity)
		case f.Slot < slot:
			t.Fatalf("fragment %d: slot %d after %d", i, f.Slot, slot)
		case !f.Start.Equal(pack.TimeOf(s.Decode, scale)):
			t.Fatalf("fragment %d: start is not tfdt", i)
		case !f.Last.Equal(pack.TimeOf(samples[len(samples)-1].Decode, scale)):
			t.Fatalf("fragment %d: last is not its last sample", i)
		case video && (len(samples) > 8 || f.Last.Sub(f.Start) >= pack.GatherLimit || s.Sync != f.RAP):
			t.Fatalf("fragment %d: %d samples in %v, sync %v, RAP %v", i, len(samples), f.Last.Sub(f.Start), s.Sync, f.RAP)
		case video && slices.ContainsFunc(samples[1:], func(s pack.Sample) bool { return s.Sync }):
			t.Fatalf("fragment %d: a random-access picture is not its first", i)
		case !video && (lastRAP != int64(f.Slot)) != f.RAP:
			t.Fatalf("audio fragment %d of slot %d: RAP %v", i, f.Slot, f.RAP)
		}
		if f.RAP {
			lastRAP = int64(f.Slot)
		}
		last := samples[len(samples)-1]
		end, slot = last.Decode+int64(last.Duration), f.Slot
		if length := pack.TimeOf(end, scale).Sub(f.Start); !video && length > 110*time.Millisecond {
			t.Fatalf("audio fragment %d lasts %v", i, length)
		}
		if first, until := pack.TimeOf(s.Decode, scale), pack.TimeOf(last.Decode, scale); first.Unix() != until.Unix() {
			t.Fatalf("fragment %d crosses a slot border", i)
		}
	}
}
