package pack

import (
	"bytes"
	"testing"
	"time"

	latchkey "latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
)

// aFragment packs one unit of a kind.
func aFragment(tb testing.TB, video bool) Fragment {
	tb.Helper()
	kind, f := latchkey.KindAudio, camera.Format{Codec: camera.PCMU, ClockRate: 8000, Channels: 1}
	u := camera.Unit{Frame: bytes.Repeat([]byte{1, 2, 3, 4}, 250), Wall: time.Unix(1_700_000_000, 0), Key: true}
	if video {
		kind, f = latchkey.KindVideo, camera.Format{
			Codec: camera.H264, ClockRate: 90000,
			SPS: []byte{0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0xfa, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x42, 0xa4, 0x80},
			PPS: []byte{0x68, 0xcb, 0x8c, 0xb2},
		}
		u.NALUs = [][]byte{{0x65, 1, 2}, {0x65, 3}}
	}
	p := NewPacker(kind, u.Wall)
	if _, err := p.Format(f); err != nil {
		tb.Fatal(err)
	}
	out, err := p.Push(u)
	if err != nil || len(out) == 0 {
		tb.Fatalf("%d fragments, %v", len(out), err)
	}
	return out[0]
}

func FuzzParseFragment(f *testing.F) {
	whole := aFragment(f, true).Data
	h, one, err := parseFragment(whole)
	if err != nil {
		f.Fatal(err)
	}
	next := one[0]
	next.Sync, next.Data = false, []byte{0, 0, 0, 1, 0x41}
	f.Add(whole)
	f.Add(appendFragment(nil, h, []Sample{one[0], next, next})) // gathered
	f.Add(aFragment(f, false).Data)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, samples, err := parseFragment(b)
		if err != nil {
			return
		}
		if again := appendFragment(nil, h, samples); !bytes.Equal(again, b) {
			t.Fatalf("what parsed is written differently\n%x\n%x", b, again)
		}
	})
}

func FuzzParseInit(f *testing.F) {
	f.Add(aFragment(f, true).Init)
	f.Add(aFragment(f, false).Init)
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := ParseInit(b)
		if err != nil {
			return
		}
		if in.MIME == "" || in.Timescale == 0 || len(in.entry) < 16 {
			t.Fatalf("parsed to %+v", in)
		}
		if in.Video {
			in.paramSets()
		}
	})
}

// TestParseFragmentIsStrict flips every byte of the boxes: each is refused or
// means something else, and nothing is ignored.
func TestParseFragmentIsStrict(t *testing.T) {
	for _, video := range []bool{true, false} {
		data := aFragment(t, video).Data
		for i := range moofSize(video, 1) + 8 {
			b := bytes.Clone(data)
			b[i] ^= 0x04
			if h, s, err := parseFragment(b); err == nil && !bytes.Equal(appendFragment(nil, h, s), b) {
				t.Errorf("byte %d is ignored", i)
			}
		}
		if _, err := ParseFragment(append(bytes.Clone(data), 0)); err == nil {
			t.Error("a trailing byte is accepted")
		}
		for n := range data {
			if _, err := ParseFragment(data[:n]); err == nil {
				t.Errorf("the first %d bytes are accepted", n)
			}
		}
	}
}
