package camera

import (
	"errors"
	"fmt"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph265"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/pion/rtp"

	latchkey "latchkey.dev/latchkey"
)

// KindAudio is the kind of every audio unit.
const KindAudio = latchkey.KindAudio

// errNever is the depacketizer error that does not occur.
var errNever = errors.New("never")

func (s *rtspSource) setupVideo(c *gortsplib.Client, r *receiver, desc *description.Session, t *track) error {
	v := &videoTrack{r: r, kind: s.cfg.Video, clock: rtpClock{rate: 90000}, ntp: ntpOf(c, t.media)}
	switch f := t.forma.(type) {
	case *format.H264:
		dec, err := f.CreateDecoder()
		if err != nil {
			return fmt.Errorf("camera: H.264 depacketizer: %w", err)
		}
		v.decode, v.errMore, v.errFrag = dec.Decode, rtph264.ErrMorePacketsNeeded, rtph264.ErrNonStartingPacketAndNoPrevious
		v.params.codec = H264
		v.params.set(nil, f.SPS, f.PPS)
	case *format.H265:
		dec, err := f.CreateDecoder()
		if err != nil {
			return fmt.Errorf("camera: H.265 depacketizer: %w", err)
		}
		v.decode, v.errMore, v.errFrag = dec.Decode, rtph265.ErrMorePacketsNeeded, rtph265.ErrNonStartingPacketAndNoPrevious
		v.params.codec = H265
		v.params.set(f.VPS, f.SPS, f.PPS)
	}
	if _, err := c.Setup(desc.BaseURL, t.media, 0, 0); err != nil {
		return classify("setup video", err)
	}
	c.OnPacketRTP(t.media, t.forma, v.packet)
	return nil
}

// audioRank orders the sound formats by what they keep; 0 is not ours.
func audioRank(f format.Format) int {
	switch f := f.(type) {
	case *format.MPEG4Audio:
		return 3
	case *format.Opus:
		return 2
	case *format.G711:
		if f.ChannelCount <= 2 {
			return 1
		}
	}
	return 0
}

func (s *rtspSource) setupAudio(c *gortsplib.Client, r *receiver, desc *description.Session, t *track) error {
	a, err := newAudioTrack(t.forma)
	if err != nil {
		return err
	}
	a.r, a.ntp = r, ntpOf(c, t.media)
	a.clock.rate = int64(t.forma.ClockRate())
	if _, err := c.Setup(desc.BaseURL, t.media, 0, 0); err != nil {
		return classify("setup audio", err)
	}
	c.OnPacketRTP(t.media, t.forma, a.packet)
	return nil
}

func newAudioTrack(f format.Format) (*audioTrack, error) {
	switch f := f.(type) {
	case *format.MPEG4Audio:
		return newAAC(f)
	case *format.Opus:
		dec, err := f.CreateDecoder()
		if err != nil {
			return nil, fmt.Errorf("camera: Opus depacketizer: %w", err)
		}
		return &audioTrack{
			form:       Format{Codec: Opus, MIME: "opus", ClockRate: 48000, Channels: f.ChannelCount},
			decode:     one(dec.Decode),
			errMore:    errNever,
			frameTicks: opus.PacketDuration2,
		}, nil
	case *format.G711:
		return newG711(f)
	}
	return nil, fmt.Errorf("camera: %w: sound format %T", latchkey.ErrInvalid, f)
}

func newAAC(f *format.MPEG4Audio) (*audioTrack, error) {
	dec, err := f.CreateDecoder()
	if err != nil {
		return nil, fmt.Errorf("camera: AAC depacketizer: %w", err)
	}
	conf, err := f.Config.Marshal()
	if err != nil {
		return nil, fmt.Errorf("camera: AAC config: %w", err)
	}
	object := f.Config.Type
	if f.Config.ExtensionType != 0 {
		object = f.Config.ExtensionType
	}
	channels := int(f.Config.ChannelConfig)
	if channels == 7 {
		channels = 8
	}
	ticks := int64(mpeg4audio.SamplesPerAccessUnit)
	return &audioTrack{
		form: Format{
			Codec: AAC, MIME: fmt.Sprintf("mp4a.40.%d", object), AAC: conf,
			ClockRate: f.Config.SampleRate, Channels: max(channels, 1),
		},
		decode:     dec.Decode,
		errMore:    rtpmpeg4audio.ErrMorePacketsNeeded,
		frameTicks: func([]byte) int64 { return ticks },
	}, nil
}

func newG711(f *format.G711) (*audioTrack, error) {
	dec, err := f.CreateDecoder()
	if err != nil {
		return nil, fmt.Errorf("camera: G.711 depacketizer: %w", err)
	}
	codec := PCMA
	if f.MULaw {
		codec = PCMU
	}
	channels := int64(f.ChannelCount)
	return &audioTrack{
		form:       Format{Codec: codec, MIME: "flac", ClockRate: f.SampleRate, Channels: f.ChannelCount},
		decode:     one(dec.Decode),
		errMore:    errNever,
		frameTicks: func(b []byte) int64 { return int64(len(b)) / channels },
	}, nil
}

// one adapts a depacketizer that returns a single frame.
func one(decode func(*rtp.Packet) ([]byte, error)) func(*rtp.Packet) ([][]byte, error) {
	return func(p *rtp.Packet) ([][]byte, error) {
		f, err := decode(p)
		if err != nil {
			return nil, err
		}
		return [][]byte{f}, nil
	}
}

func ntpOf(c *gortsplib.Client, m *description.Media) func(*rtp.Packet) (time.Time, bool) {
	return func(p *rtp.Packet) (time.Time, bool) { return c.PacketNTP(m, p) }
}
