package pack

import (
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/flac"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	latchkey "latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
)

// makeInit returns the init segment of a format, with track id 1.
func makeInit(f camera.Format) ([]byte, error) {
	codec, err := mp4Codec(f)
	if err != nil {
		return nil, err
	}
	var buf seekablebuffer.Buffer
	init := fmp4.Init{Tracks: []*fmp4.InitTrack{{ID: 1, TimeScale: uint32(f.ClockRate), Codec: codec}}}
	if err := init.Marshal(&buf); err != nil {
		return nil, fmt.Errorf("pack: init of %s: %w", f.MIME, err)
	}
	b := buf.Bytes()
	if f.Codec == camera.H265 {
		fixProfile(b, f.SPS)
	}
	return b, nil
}

// fixProfile writes the profile_tier_level into the hvcC box. The library
// copies it out of the SPS without removing the emulation prevention bytes,
// which nearly every H.265 SPS has there.
func fixProfile(init, sps []byte) {
	rbsp := h264.EmulationPreventionRemove(sps)
	stsd, ok := findBox(init, "moov", "trak", "mdia", "minf", "stbl", "stsd")
	if !ok || len(stsd) < 8+8+78 || len(rbsp) < 15 {
		return
	}
	if c, ok := findBox(stsd[8+8+78:], "hvcC"); ok && len(c) >= 13 {
		copy(c[1:13], rbsp[3:15])
	}
}

func mp4Codec(f camera.Format) (codecs.Codec, error) {
	switch f.Codec {
	case camera.H264:
		return &codecs.H264{SPS: f.SPS, PPS: f.PPS}, nil
	case camera.H265:
		return &codecs.H265{VPS: f.VPS, SPS: f.SPS, PPS: f.PPS}, nil
	case camera.AAC:
		c := &codecs.MPEG4Audio{}
		if err := (*mpeg4audio.AudioSpecificConfig)(&c.Config).Unmarshal(f.AAC); err != nil {
			return nil, fmt.Errorf("pack: %w: AAC config: %v", latchkey.ErrInvalid, err)
		}
		return c, nil
	case camera.Opus:
		return &codecs.Opus{ChannelCount: f.Channels}, nil
	case camera.PCMA, camera.PCMU:
		return &codecs.FLAC{StreamInfo: &flac.StreamInfo{
			MinBlockSize: 16, MaxBlockSize: 65535,
			SampleRate: uint32(f.ClockRate), ChannelCount: uint8(f.Channels), BitDepth: 16,
		}}, nil
	}
	return nil, fmt.Errorf("pack: %w: codec %q", latchkey.ErrInvalid, f.Codec)
}
