package camera

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/pmp4"
	"github.com/pion/rtp"

	latchkey "latchkey.dev/latchkey"
)

// simTrack is one track of a file, read completely, ready to loop.
type simTrack struct {
	media   *description.Media
	video   bool
	samples []simSample
	length  int64 // ticks of one pass
	scale   int64 // ticks a second in the file
	rate    int64 // RTP clock
	encode  func(data [][]byte) ([]*rtp.Packet, error)
	prefix  [][]byte // parameter sets to send before key frames
	base    uint32   // first RTP timestamp

	// seam returns when a pass of the picture begins, in ticks of this track.
	seam func(pass int64) int64

	// Where the next sample is: its pass, its index, and when the pass began.
	pass  int64
	next  int
	start int64
}

// simSample is one sample; dts and pts are ticks from the start of a pass.
type simSample struct {
	dts, pts, dur int64
	key           bool
	data          [][]byte // NAL units, or one frame
}

// loadFile reads the tracks of an mp4 that can be served.
func loadFile(cfg SimStream) ([]*simTrack, error) {
	data := cfg.Data
	if data == nil {
		var err error
		if data, err = os.ReadFile(cfg.File); err != nil {
			return nil, fmt.Errorf("camera: simulate: %w", err)
		}
	}
	var p pmp4.Presentation
	if err := p.Unmarshal(bytes.NewReader(data)); err != nil {
		return nil, fmt.Errorf("camera: simulate: %w: read mp4: %v", latchkey.ErrInvalid, err)
	}
	var out []*simTrack
	var haveVideo, haveAudio bool
	for _, t := range p.Tracks {
		if t.Codec.IsVideo() && haveVideo || !t.Codec.IsVideo() && (haveAudio || cfg.NoAudio) {
			continue
		}
		st, err := newSimTrack(t, cfg.InBandParams)
		if err != nil {
			return nil, err
		}
		if st == nil {
			continue
		}
		haveVideo, haveAudio = haveVideo || st.video, haveAudio || !st.video
		out = append(out, st)
	}
	for _, t := range out {
		for _, v := range out {
			if v.video {
				t.seam = func(pass int64) int64 { return scaleTicks(pass*v.length, v.scale, t.scale) }
			}
		}
	}
	if !haveVideo {
		return nil, fmt.Errorf("camera: simulate: %w: the file has no H.264 or H.265 track", latchkey.ErrInvalid)
	}
	return out, nil
}

// newSimTrack returns nil for a track whose codec cannot be served.
func newSimTrack(t *pmp4.Track, inBand bool) (*simTrack, error) {
	st := &simTrack{scale: int64(t.TimeScale), video: t.Codec.IsVideo()}
	if err := st.setCodec(t.Codec, inBand); err != nil || st.media == nil {
		return nil, err
	}
	var at int64
	for i, s := range t.Samples {
		raw, err := s.GetPayload()
		if err != nil {
			return nil, fmt.Errorf("camera: simulate: read sample %d: %w", i, err)
		}
		sample := simSample{dts: at, pts: at + int64(s.PTSOffset), dur: int64(s.Duration), key: !s.IsNonSyncSample}
		sample.data = [][]byte{raw}
		if st.video {
			var au h264.AVCC // H.265 samples have the same form
			if err := au.Unmarshal(raw); err != nil {
				return nil, fmt.Errorf("camera: simulate: %w: sample %d: %v", latchkey.ErrInvalid, i, err)
			}
			sample.data = au
		}
		at += int64(s.Duration)
		st.samples = append(st.samples, sample)
	}
	if len(st.samples) == 0 || at == 0 {
		return nil, fmt.Errorf("camera: simulate: %w: a track is empty", latchkey.ErrInvalid)
	}
	st.length = at
	// Presentation begins with the first picture, as the file's edit list has it.
	first := st.samples[0].pts
	for i := range st.samples {
		st.samples[i].pts -= first
	}
	var seed [4]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, fmt.Errorf("camera: simulate: %w", err)
	}
	st.base = binary.BigEndian.Uint32(seed[:])
	return st, nil
}

func (t *simTrack) setCodec(c codecs.Codec, inBand bool) error {
	var f format.Format
	var err error
	typ := description.MediaTypeAudio
	switch c := c.(type) {
	case *codecs.H264:
		typ = description.MediaTypeVideo
		h := &format.H264{PayloadTyp: 96, PacketizationMode: 1, SPS: c.SPS, PPS: c.PPS}
		f, t.prefix = h, [][]byte{c.SPS, c.PPS}
		t.encode, err = encoderOf(h.CreateEncoder())
	case *codecs.H265:
		typ = description.MediaTypeVideo
		h := &format.H265{PayloadTyp: 96, VPS: c.VPS, SPS: c.SPS, PPS: c.PPS}
		f, t.prefix = h, [][]byte{c.VPS, c.SPS, c.PPS}
		t.encode, err = encoderOf(h.CreateEncoder())
	case *codecs.MPEG4Audio:
		a := &format.MPEG4Audio{PayloadTyp: 97, Config: &c.Config, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3}
		f = a
		t.encode, err = encoderOf(a.CreateEncoder())
	case *codecs.Opus:
		o := &format.Opus{PayloadTyp: 97, ChannelCount: c.ChannelCount}
		f = o
		enc, e := o.CreateEncoder()
		err = e
		t.encode = func(data [][]byte) ([]*rtp.Packet, error) {
			p, err := enc.Encode(data[0])
			return []*rtp.Packet{p}, err
		}
	default:
		return nil
	}
	if err != nil {
		return fmt.Errorf("camera: simulate: packetizer: %w", err)
	}
	if !inBand {
		t.prefix = nil
	}
	t.rate = int64(f.ClockRate())
	t.media = &description.Media{Type: typ, Formats: []format.Format{f}}
	return nil
}

func encoderOf(e interface {
	Encode([][]byte) ([]*rtp.Packet, error)
}, err error) (func([][]byte) ([]*rtp.Packet, error), error) {
	if err != nil {
		return nil, err
	}
	return e.Encode, nil
}

// due returns when the next sample is to be sent, from the start of the loop.
func (t *simTrack) due() time.Duration {
	return ticksToDuration(t.start+t.samples[t.next].dts, t.scale)
}

// packets returns the next sample as RTP packets and its presentation time
// from the start of the loop, and moves on.
func (t *simTrack) packets() ([]*rtp.Packet, time.Duration, error) {
	s := t.samples[t.next]
	data := s.data
	if s.key && t.prefix != nil {
		data = append(append([][]byte{}, t.prefix...), data...)
	}
	pkts, err := t.encode(data)
	if err != nil {
		return nil, 0, fmt.Errorf("camera: simulate: packetize: %w", err)
	}
	pts := t.start + s.pts
	stamp := t.base + uint32(scaleTicks(pts, t.scale, t.rate))
	for _, p := range pkts {
		p.Timestamp = stamp
	}
	t.advance()
	return pkts, ticksToDuration(pts, t.scale), nil
}

// advance moves to the next sample, over the seam where the pass ends. Sound
// is cut where the next pass of the picture begins, at the nearest frame; its
// frames stay back to back, so the seam cannot be heard as a hole.
func (t *simTrack) advance() {
	s := t.samples[t.next]
	end := t.start + s.dts + s.dur
	t.next++
	if t.next < len(t.samples) && end+s.dur/2 < t.seam(t.pass+1) {
		return
	}
	t.pass++
	t.next = 0
	t.start = t.seam(t.pass)
	if off := end - t.start; off >= -s.dur && off <= s.dur {
		t.start = end
	}
}

// skipTo moves to the first sample that is due at or after the given time.
func (t *simTrack) skipTo(at time.Duration) {
	whole := ticksToDuration(t.seam(1), t.scale)
	t.pass = int64(at / whole)
	t.start = t.seam(t.pass)
	for t.due() < at {
		t.advance()
	}
}

// scaleTicks converts between timescales, to the nearest, without overflow.
func scaleTicks(v, from, to int64) int64 {
	return v/from*to + (v%from*to+from/2)/from
}
