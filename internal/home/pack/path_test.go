package pack_test

import (
	"bytes"
	"testing"
	"time"

	latchkey "latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
)

func TestFootageOverTCPAndUDP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file      string
		transport camera.Transport
		inBand    bool
		audio     bool
	}{
		{"car-detection.mp4", camera.TransportTCP, false, true},
		{"car-detection.mp4", camera.TransportUDP, true, true},
		{"one-by-one-person-detection.mp4", camera.TransportTCP, true, false},
		{"face-demographics-walking.mp4", camera.TransportTCP, false, false}, // B-frames, many seams
	} {
		t.Run(c.file+" "+string(c.transport), func(t *testing.T) {
			t.Parallel()
			path := footage(t, c.file)
			s := simulate(t, camera.SimConfig{Streams: []camera.SimStream{{Path: "cam", File: path, InBandParams: c.inBand}}})
			cfg := camera.Config{URL: s.URL("cam"), Transport: c.transport, Audio: c.audio}
			r := record(t, cfg, func(r *recording) bool {
				return len(r.units[latchkey.KindVideo]) >= 60 && (!c.audio || len(r.units[latchkey.KindAudio]) > 200)
			})
			video, audio := r.frags[latchkey.KindVideo], r.frags[latchkey.KindAudio]
			checkFragments(t, video, true)
			checkFragments(t, audio, false)
			refVideo, refAudio := reference(t, path)
			got := r.units[latchkey.KindVideo]
			if c.inBand {
				// What the simulator added in front of key frames is not in the file.
				for i := range got {
					if got[i].Key {
						got[i].NALUs = got[i].NALUs[2:]
					}
				}
			}
			sameRun(t, "received video", refVideo, nalus(got, t))

			from := video[0].Start.Add(time.Second)
			to := from.Add(2 * time.Second)
			file, done := export(t, video, audio, from, to)
			plays(t, file)
			outVideo, outAudio := mp4Samples(t, file)
			if !c.inBand {
				sameRun(t, "exported video", refVideo, outVideo)
			}
			if c.audio {
				sameRun(t, "received audio", refAudio, nalus(r.units[latchkey.KindAudio], t))
				sameRun(t, "exported audio", refAudio, outAudio)
			}
			checkFragments(t, r.gathered, true)
			if len(r.gathered) >= len(video) {
				t.Fatalf("%d pictures gathered into %d fragments", len(video), len(r.gathered))
			}
			other, _ := export(t, r.gathered, audio, from, to)
			if !bytes.Equal(content(t, file), content(t, other)) {
				t.Fatal("gathered pictures make another file")
			}
			if !done.From.Equal(from) || done.To.After(to) || len(done.Gaps) != 0 {
				t.Fatalf("exported %+v, asked for %v to %v", done, from, to)
			}
		})
	}
}
