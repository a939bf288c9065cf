package hub

import (
	"slices"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/camera/scenes"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/pack"
	"latchkey.dev/latchkey/part"
)

// simulate serves the drawn porch as a camera with a sub stream.
func simulate(t *testing.T) *camera.Simulator {
	t.Helper()
	sim, err := camera.StartSimulator(camera.SimConfig{Listen: "127.0.0.1:0", Streams: []camera.SimStream{
		{Path: "porch", Data: scenes.Porch()}, {Path: "porch/sub", Data: scenes.PorchSub()},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	return sim
}

func TestRecordsACamera(t *testing.T) {
	w := newHouse(t)
	sim := simulate(t)
	h := w.start()
	c := w.camera("Porch", sim.URL("porch"), sim.URL("porch/sub"), modeContinuous)
	w.add(c)
	w.wait("some seconds", func() bool { return w.count(c.tracks[latchkey.KindVideo]) >= 12 })
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	epochs := w.cloud.Epochs()
	if len(epochs) != 1 {
		t.Fatalf("%d epochs, want 1", len(epochs))
	}
	for kind, id := range c.tracks {
		parts := w.open(id)
		if len(parts) < 2 {
			t.Fatalf("%s: %d parts", kind, len(parts))
		}
		if last := parts[len(parts)-1].Part.Header; last.Flags&part.END == 0 {
			t.Errorf("%s: the last part %v has no END", kind, last)
		}
		if kind != latchkey.KindMeta {
			checkMedia(t, kind, parts)
		}
	}
	heads, ok := w.cloud.Heads(epochs[0].Note.Epoch)
	if !ok || len(heads.Heads) != len(c.tracks) {
		t.Fatalf("heads %+v", heads)
	}
	for _, hd := range heads.Heads {
		if n := w.count(hd.Track); int(hd.Seq)+1 != n {
			t.Errorf("last heads name part %d of %d", hd.Seq, n)
		}
	}
	states, gaps, _ := w.docs(c)
	if gaps = afterBirth(gaps); len(gaps) != 0 {
		t.Errorf("gaps of a new camera: %+v", gaps)
	}
	last := states[len(states)-1]
	if last.Name != "Porch" || last.Status != statusRecording || last.Hub.Uplink != "connected" || len(last.Tracks) != 3 {
		t.Errorf("state %+v", last)
	}
	if v := last.Tracks[0]; v.Width != 1280 || v.Codec == "" || v.Kind != "video" {
		t.Errorf("video in state: %+v", v)
	}
}

// afterBirth leaves out the gap from adding a camera to its first picture.
func afterBirth(gaps []gapRecord) []gapRecord {
	return slices.DeleteFunc(gaps, func(g gapRecord) bool { return g.Why == whyChanged })
}

// checkMedia checks what a player relies on: the first part and every
// random-access part begin with init, and the timeline has no hole.
func checkMedia(t *testing.T, kind latchkey.TrackKind, parts []seal.Opened) {
	t.Helper()
	if parts[0].Part.Header.Flags&part.RAP == 0 {
		t.Errorf("%s: the very first part is not random-access", kind)
	}
	var raps int
	for _, o := range parts {
		h := o.Part.Header
		if h.Flags&part.END != 0 && len(o.Records) == 0 {
			continue
		}
		rap := h.Flags&part.RAP != 0
		if rap {
			raps++
			if o.Records[0].Type != part.RecordInit {
				t.Errorf("%s: %v: random-access part without init", kind, h)
			} else if _, err := pack.ParseInit(o.Records[0].Data); err != nil {
				t.Errorf("%s: %v: %v", kind, h, err)
			}
		}
		if o.Records[len(o.Records)-1].Type != part.RecordFragment {
			t.Errorf("%s: %v: no fragment", kind, h)
		}
	}
	if raps == 0 {
		t.Errorf("%s: no random-access part", kind)
	}
}
