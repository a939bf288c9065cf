package pack_test

import (
	"testing"
	"time"

	latchkey "latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/pack"
)

// BenchmarkPackVideo packs 1080p25 at 4 Mbit/s: 20 kB a picture.
func BenchmarkPackVideo(b *testing.B) {
	start := time.Unix(1_700_000_000, 0)
	p := newVideo(b, start, 25)
	payload := make([]byte, 20_000)
	payload[0] = 0x41
	u := camera.Unit{Kind: latchkey.KindVideo, NALUs: [][]byte{payload}, Wall: start, Key: true}
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Push(u); err != nil {
			b.Fatal(err)
		}
		u.Wall = u.Wall.Add(40 * time.Millisecond)
	}
}

// BenchmarkPackG711 packs one minute of sound an operation.
func BenchmarkPackG711(b *testing.B) {
	start := time.Unix(1_700_000_000, 0)
	p := pack.NewPacker(latchkey.KindAudio, start)
	if _, err := p.Format(camera.Format{Codec: camera.PCMA, ClockRate: 8000, Channels: 1}); err != nil {
		b.Fatal(err)
	}
	frame := make([]byte, 160)
	for i := range frame {
		frame[i] = byte(i * i)
	}
	u := camera.Unit{Kind: latchkey.KindAudio, Frame: frame, Wall: start, Key: true}
	for b.Loop() {
		for range 3000 {
			if _, err := p.Push(u); err != nil {
				b.Fatal(err)
			}
			u.Wall = u.Wall.Add(20 * time.Millisecond)
		}
	}
}

func BenchmarkParseFragment(b *testing.B) {
	p := newVideo(b, time.Unix(1_700_000_000, 0), 25)
	fs, err := p.Push(picture(time.Unix(1_700_000_000, 0), true))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pack.ParseFragment(fs[0].Data); err != nil {
			b.Fatal(err)
		}
	}
}
