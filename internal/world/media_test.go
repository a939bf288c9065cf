package world

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// tool runs a program of the system that must neither fail nor warn, and
// returns its output.
func tool(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(needTool(t, name), args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil || errOut.Len() > 0 {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errOut.String())
	}
	return out.Bytes()
}

// needTool finds a program of the system.
func needTool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is needed: %v", name, err)
	}
	return path
}

// plays decodes every frame; a player that warns fails the test.
func plays(t *testing.T, file string) {
	t.Helper()
	// With the file's own times: a null output counts in whole frames otherwise.
	tool(t, "ffmpeg", "-nostdin", "-v", "warning", "-i", file, "-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-")
}

// probed is what ffprobe says of a file.
type probed struct {
	Streams []struct {
		Kind        string `json:"codec_type"`
		Codec       string `json:"codec_name"`
		Width       int    `json:"width"`
		Duration    string `json:"duration"`
		Frames      string `json:"nb_read_frames"`
		PacketCount string `json:"nb_read_packets"`
	}
	Packets []struct {
		Stream int    `json:"stream_index"`
		Flags  string `json:"flags"`
	}
	Format struct {
		Duration string `json:"duration"`
	}
}

func probe(t *testing.T, file string, args ...string) probed {
	t.Helper()
	args = append([]string{"-v", "warning", "-of", "json", "-show_streams", "-show_format"}, append(args, file)...)
	var p probed
	if err := json.Unmarshal(tool(t, "ffprobe", args...), &p); err != nil || len(p.Streams) == 0 {
		t.Fatalf("ffprobe %s: %v", file, err)
	}
	return p
}

// nalUnits returns the H.264 NAL units of a file in decode order, edit lists
// aside, without parameter sets and delimiters: those a muxer may repeat. Times
// are left out too, since this muxer counts in whole frames.
func nalUnits(t *testing.T, file string) [][]byte {
	t.Helper()
	raw := tool(t, "ffmpeg", "-nostdin", "-v", "warning", "-ignore_editlist", "1", "-i", file, "-map", "0:v:0", "-c", "copy", "-bsf:v", "h264_mp4toannexb,setts=ts=N", "-f", "h264", "-")
	var out [][]byte
	for _, n := range bytes.Split(raw, []byte{0, 0, 1}) {
		n = bytes.TrimRight(n, "\x00") // of the next start code
		if len(n) == 0 || (n[0]&0x1f >= 7 && n[0]&0x1f <= 9) {
			continue
		}
		out = append(out, n)
	}
	return out
}

// aacFrames returns the raw AAC frames of a file, edit lists aside.
func aacFrames(t *testing.T, file string) [][]byte {
	t.Helper()
	raw := tool(t, "ffmpeg", "-nostdin", "-v", "warning", "-ignore_editlist", "1", "-i", file, "-map", "0:a:0", "-c", "copy", "-f", "adts", "-")
	var out [][]byte
	for len(raw) >= 7 {
		n := int(raw[3]&3)<<11 | int(raw[4])<<3 | int(raw[5])>>5
		if n < 7 || n > len(raw) {
			t.Fatalf("%s: an ADTS frame of %d bytes", file, n)
		}
		out = append(out, raw[7:n])
		raw = raw[n:]
	}
	return out
}

// atSeam is how many units at its end a looping publisher may leave out.
const atSeam = 4

// sameRun checks that got is a contiguous run of source, which plays in a loop.
func sameRun(t *testing.T, what string, source, got [][]byte) {
	t.Helper()
	if len(got) < 20 || len(got) > len(source) {
		t.Fatalf("%s: %d units of a source of %d", what, len(got), len(source))
	}
	best := 0
	for at := range source {
		if best = max(best, runFrom(source, got, at)); best == len(got) {
			return
		}
	}
	t.Errorf("%s: its %d units are no run of the source; at most %d in a row are", what, len(got), best)
}

// runFrom is how many of got are the source from unit at on.
func runFrom(source, got [][]byte, at int) int {
	for n, g := range got {
		if at >= len(source)-atSeam && (at == len(source) || !bytes.Equal(source[at], g)) {
			at = 0
		}
		if !bytes.Equal(source[at], g) {
			return n
		}
		at++
	}
	return len(got)
}
