package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/mp4"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/home/camera/scenes"
	"latchkey.dev/latchkey/internal/home/member"
)

// TestStory walks the main path once: cameras, hub, cloud, and a person who
// watches, looks back and saves a clip.
func TestStory(t *testing.T) {
	d := startDemo(t)
	span := recorded(t, d.client, "porch", 6*time.Second)
	span.From = span.To.Add(-5 * time.Second).Add(300 * time.Millisecond) // between two frames

	t.Run("cameras", func(t *testing.T) { storyCameras(t, d) })
	t.Run("live", func(t *testing.T) { storyLive(t, d) })
	t.Run("timeline", func(t *testing.T) { storyTimeline(t, d, span) })
	t.Run("export porch", func(t *testing.T) { storyExport(t, d, "porch", scenes.Porch(), span) })
	t.Run("export driveway", func(t *testing.T) { storyExport(t, d, "driveway", scenes.Driveway(), span) })
	t.Run("event", func(t *testing.T) { storyEvent(t, d) })
	t.Run("hub", func(t *testing.T) { storyHub(t, d) })
	t.Run("recover", func(t *testing.T) { storyRecover(t, d, span) })
	t.Run("fsck", func(t *testing.T) { storyFsck(t, d) })
}

func storyCameras(t *testing.T, d *demo) {
	eventually(t, "both cameras record", func() bool {
		cams, err := d.client.Cameras(t.Context())
		if err != nil || len(cams) != 2 {
			t.Fatalf("%d cameras, %v", len(cams), err)
		}
		for _, cam := range cams {
			v, _ := cam.Track(latchkey.KindVideo)
			if cam.Status != "recording" || !strings.HasPrefix(v.Codec, "avc1.") || v.Width != 1280 || v.Height != 720 {
				return false
			}
		}
		return true
	})
}

func storyLive(t *testing.T, d *demo) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var frames, sounds int
	var newest time.Time
	err := d.client.Live(ctx, member.LiveRequest{Camera: "porch", Audio: true, Notice: func(n member.Notice) {
		t.Errorf("told: %s", n.Text)
	}}, func(m member.Media) error {
		if frames == 0 && m.Kind == latchkey.KindVideo && m.Init == nil {
			t.Error("the first picture cannot be decoded")
		}
		if m.At.Before(newest) && m.Kind == latchkey.KindVideo {
			t.Error("time goes back")
		}
		if m.Kind == latchkey.KindVideo {
			frames, newest = frames+1, m.At
		} else {
			sounds++
		}
		if frames > 60 && sounds > 10 {
			cancel()
		}
		return nil
	})
	if frames <= 60 || sounds <= 10 {
		t.Errorf("%d frames and %d pieces of sound, then %v", frames, sounds, err)
	}
	if age := time.Since(newest); age > 5*time.Second {
		t.Errorf("the live picture is %v old", age)
	}
}

func storyTimeline(t *testing.T, d *demo, span member.Span) {
	tl, err := d.client.Timeline(t.Context(), "porch", span)
	if err != nil {
		t.Fatal(err)
	}
	if len(tl.Ranges) != 1 || len(tl.Gaps) != 0 {
		t.Errorf("ranges %v, gaps %v; want one range and no gap", tl.Ranges, tl.Gaps)
	}
	if tl.CompleteUntil.Before(span.To) {
		t.Errorf("complete until %v, want %v at least", tl.CompleteUntil, span.To)
	}
}

// storyExport compares what was saved with what the camera played, sample by
// sample.
func storyExport(t *testing.T, d *demo, camera string, scene []byte, span member.Span) {
	name := filepath.Join(t.TempDir(), "clip.mp4")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	report, err := d.client.Export(t.Context(), member.ExportRequest{Camera: camera, Span: span}, f)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if len(report.Gaps) != 0 {
		t.Errorf("gaps: %v", report.Gaps)
	}
	saved, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"vide", "soun"} {
		got, played := samplesOf(t, saved, kind), samplesOf(t, scene, kind)
		if len(got) < 50 {
			t.Errorf("%d samples of %s, want some seconds", len(got), kind)
		}
		if !inLoop(got, played) {
			t.Errorf("the %d samples of %s are not what the camera played, in its order", len(got), kind)
		}
	}
	probe(t, name)
}

// samplesOf returns the samples of a track; of pictures only the slices,
// because a camera may repeat its parameter sets in band.
func samplesOf(t *testing.T, file []byte, handler string) []string {
	t.Helper()
	rs := bytes.NewReader(file)
	f, err := mp4.DecodeFile(rs)
	if err != nil {
		t.Fatal(err)
	}
	for _, trak := range f.Moov.Traks {
		if trak.Mdia.Hdlr.HandlerType != handler {
			continue
		}
		n := trak.Mdia.Minf.Stbl.Stsz.GetNrSamples()
		var data bytes.Buffer
		if err := f.CopySampleData(&data, rs, trak, 1, n, nil); err != nil {
			t.Fatal(err)
		}
		var out []string
		for i := 1; i <= int(n); i++ {
			sample := data.Next(int(trak.Mdia.Minf.Stbl.Stsz.GetSampleSize(i)))
			if handler == "vide" {
				sample = pictures(t, sample)
			}
			out = append(out, string(sample))
		}
		return out
	}
	t.Fatalf("no %s track", handler)
	return nil
}

func pictures(t *testing.T, sample []byte) []byte {
	t.Helper()
	nalus, err := avc.GetNalusFromSample(sample)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, n := range nalus {
		if kind := avc.GetNaluType(n[0]); kind == avc.NALU_NON_IDR || kind == avc.NALU_IDR {
			out = append(out, n...)
		}
	}
	return out
}

// inLoop reports whether got runs through loop in order, from any place, round
// and round.
func inLoop(got, loop []string) bool {
	for start := range loop {
		ok := true
		for i := range got {
			if got[i] != loop[(start+i)%len(loop)] {
				ok = false
				break
			}
		}
		if ok {
			return true
		}
	}
	return false
}

// probe plays the file with ffmpeg, where there is one, and wants no complaint.
func probe(t *testing.T, name string) {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Log("no ffmpeg here: the file was not played")
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, ffmpeg, "-v", "warning", "-i", name, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg: %v\n%s", err, out)
	}
}

func storyEvent(t *testing.T, d *demo) {
	begin := time.Now().Add(-time.Second)
	if err := d.client.StartEvent(t.Context(), "porch", time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the event is over and on the timeline", func() bool {
		list, err := d.client.Events(t.Context(), member.EventFilter{Camera: "porch", Label: "manual", Span: member.Span{From: begin, To: time.Now()}})
		if err != nil {
			t.Fatal(err)
		}
		return len(list) == 1 && !list[0].To.IsZero() && list[0].Name == "porch"
	})
}

func storyHub(t *testing.T, d *demo) {
	hubs, err := d.client.Hubs(t.Context())
	if err != nil || len(hubs) != 1 {
		t.Fatalf("%d hubs, %v", len(hubs), err)
	}
	h := hubs[0]
	if !h.Online || h.Heads.IsZero() || len(h.Cameras) != 2 || h.Report.Uplink != "connected" || h.Name != "hub" {
		t.Errorf("hub status %+v", h)
	}
}

// storyRecover opens old footage on a machine that knows nothing but the code.
func storyRecover(t *testing.T, d *demo, span member.Span) {
	c := recoverAt(t, filepath.Join(t.TempDir(), "phone"), d.server, d.code)
	h, err := c.Household(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if h.Name != "Demo house" || h.Me.Name != "Ann" || h.Me.Role != "admin" || len(h.Cameras) != 2 || len(h.Hubs) != 1 {
		t.Errorf("household %+v", h)
	}
	if r, err := export(t, c, "porch", span); err != nil || len(r.Gaps) != 0 {
		t.Errorf("export: %v, gaps %v", err, r.Gaps)
	}
	if _, err := member.Recover(t.Context(), member.Options{Home: t.TempDir()}, member.Recovery{Server: d.server, Code: "0000-0000-0000-0000-0000-0000-0000-0001"}); err == nil {
		t.Error("a mistyped code was taken")
	}
	doc, err := json.Marshal(householdJSON(h))
	if err != nil || bytes.Contains(doc, []byte(d.code)) {
		t.Errorf("household document: %s, %v", doc, err)
	}
}

func storyFsck(t *testing.T, d *demo) {
	r, err := cloud.Fsck(t.Context(), cloud.Config{DataDir: filepath.Join(d.dir, "cloud")})
	if err != nil || len(r.Problems) != 0 || r.Reels+r.OpenReels == 0 {
		t.Errorf("fsck: %+v, %v", r, err)
	}
}

// TestDemoGoesOn starts a demo again on the same data: same household, footage
// of before, and the pause explained by the hub.
func TestDemoGoesOn(t *testing.T) {
	dir := t.TempDir()
	d := newDemo(t, filepath.Join(dir, "data"), filepath.Join(dir, "keys"))
	t.Cleanup(d.stop)
	if err := d.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := recorded(t, d.client, "porch", 3*time.Second)
	code, id := d.code, d.client.ID()
	d.cmd.Listen = strings.TrimPrefix(d.server, "http://")
	d.stop()
	select {
	case err := <-d.failed:
		t.Fatalf("the demo did not end well: %v", err)
	default:
	}
	time.Sleep(4 * time.Second) // the pause itself, longer than the grid of slots
	if err := d.start(t.Context()); err != nil {
		t.Fatalf("second start: %v", err)
	}
	if d.code != code || d.client.ID() != id {
		t.Error("another household after the restart")
	}
	var tl member.Timeline
	t.Cleanup(func() { t.Logf("ranges %v, gaps %v", tl.Ranges, tl.Gaps) })
	eventually(t, "the pause stands on the timeline as hub-off", func() bool {
		var err error
		if tl, err = d.client.Timeline(t.Context(), "porch", member.Span{From: before.From, To: time.Now()}); err != nil {
			t.Fatal(err)
		}
		return len(tl.Ranges) >= 2 && len(tl.Gaps) > 0 && tl.Gaps[0].Why == "hub-off" && alarms(tl.Gaps) == 0
	})
}
