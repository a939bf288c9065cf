package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/member"
)

// TestWriteEvidence makes the file that the vectors of evidence are changes of: a
// small picture with sound, of two epochs, with bounds from both sides. It writes
// it to LATCHKEY_EVIDENCE, from where TestWriteEvidenceVectors of
// internal/home/member takes it.
func TestWriteEvidence(t *testing.T) {
	out := os.Getenv("LATCHKEY_EVIDENCE")
	if out == "" {
		t.Skip("LATCHKEY_EVIDENCE names no file to write")
	}
	scene := filepath.Join(t.TempDir(), "scene.mp4")
	if said, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=128x96:rate=8", "-f", "lavfi", "-i", "sine=frequency=300:sample_rate=16000",
		"-t", "20", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "8", "-crf", "40", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "12k", scene).CombinedOutput(); err != nil {
		t.Fatalf("%s, %v", said, err)
	}
	picture, err := os.ReadFile(scene)
	if err != nil {
		t.Fatal(err)
	}
	d := startAnchoredWith(t, func(d *demo) func(context.Context) error {
		return func(context.Context) error {
			sim, err := camera.StartSimulator(camera.SimConfig{Listen: "127.0.0.1:0", Logger: d.log, Streams: []camera.SimStream{{Path: "porch", Data: picture, InBandParams: true}}})
			if err != nil {
				return err
			}
			d.later(sim.Close)
			d.cameras = append(d.cameras, member.NewCamera{Name: "porch", URL: sim.URL("porch"), Audio: true})
			return nil
		}
	})
	recorded(t, d.client, "porch", 14*time.Second)
	eventually(t, "a file of two epochs with both bounds", func() bool {
		path, _, said := clip(t, d, newest(t, d).Add(-10*time.Second))
		l := apart(t, path)
		if said.Before == nil || said.After == nil || len(l.below("epochs/")) != 3 || len(l.files["parts/audio"]) == 0 {
			time.Sleep(time.Second)
			return false
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d bytes, %v", len(raw), l.names)
		return os.WriteFile(out, bytes.Clone(raw), 0o600) == nil
	})
}
