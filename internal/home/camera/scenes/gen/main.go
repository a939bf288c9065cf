// Command gen draws the demo's scenes and encodes them with the system's
// ffmpeg (libx264, aac). Run by `go generate`; the product itself needs
// neither this program nor ffmpeg.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

const (
	seconds = 24
	fps     = 25
)

type scene struct {
	name    string
	draw    func(c *canvas, t float64)
	sound   func() func(t float64, noise func() float64) float64
	bframes int
}

func main() {
	dir := flag.String("o", ".", "folder to write the mp4 files to")
	still := flag.String("still", "", "write raw RGBA frame of scene:second to standard output instead, for a look")
	flag.Parse()
	scenes := []scene{
		{"porch", porchScene, porchSound, 0},
		{"driveway", drivewayScene, drivewaySound, 2},
	}
	if *still != "" {
		writeStill(scenes, *still)
		return
	}
	for _, s := range scenes {
		for _, out := range []struct {
			suffix string
			w, h   int
			crf    int
			sound  bool
		}{{"", 1280, 720, 27, true}, {"-sub", 640, 360, 29, false}} {
			path := filepath.Join(*dir, s.name+out.suffix+".mp4")
			if err := encode(s, path, out.w, out.h, out.crf, out.sound); err != nil {
				fmt.Fprintf(os.Stderr, "gen: %s: %v\n", path, err)
				os.Exit(1)
			}
		}
	}
}

func encode(s scene, path string, w, h, crf int, sound bool) error {
	args := []string{"-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgba", "-s", fmt.Sprintf("%dx%d", w, h), "-r", strconv.Itoa(fps), "-i", "pipe:0"}
	if sound {
		wav, err := os.CreateTemp("", "scene-*.s16")
		if err != nil {
			return err
		}
		defer os.Remove(wav.Name())
		if _, err := wav.Write(pcm(seconds, s.sound())); err != nil {
			return err
		}
		if err := wav.Close(); err != nil {
			return err
		}
		args = append(args, "-f", "s16le", "-ar", strconv.Itoa(sampleRate), "-ac", "1", "-i", wav.Name(), "-c:a", "aac", "-b:a", "48k")
	}
	args = append(args, "-c:v", "libx264", "-preset", "slow", "-crf", strconv.Itoa(crf), "-pix_fmt", "yuv420p",
		"-g", "50", "-keyint_min", "50", "-sc_threshold", "0", "-bf", strconv.Itoa(s.bframes), "-threads", "1",
		"-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", "-movflags", "+faststart", path)
	cmd := exec.Command("ffmpeg", args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start ffmpeg (needed to make the scenes): %w", err)
	}
	buf := bufio.NewWriterSize(in, 1<<20)
	c := newCanvas(w, h)
	for i := range seconds * fps {
		s.draw(c, float64(i)/fps)
		if _, err := buf.Write(c.img.Pix); err != nil {
			return err
		}
	}
	if err := buf.Flush(); err != nil {
		return err
	}
	if err := in.Close(); err != nil {
		return err
	}
	return cmd.Wait()
}

func writeStill(scenes []scene, what string) {
	var name string
	var at float64
	for _, s := range scenes {
		if n, err := fmt.Sscanf(what, s.name+":%f", &at); err == nil && n == 1 {
			name = s.name
			c := newCanvas(sceneW, sceneH)
			s.draw(c, at)
			os.Stdout.Write(c.img.Pix)
		}
	}
	if name == "" {
		fmt.Fprintf(os.Stderr, "gen: no scene %q: want porch:SECOND or driveway:SECOND\n", what)
		os.Exit(2)
	}
}
