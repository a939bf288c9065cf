// Package camera turns a camera into access units with hub time. It hides
// RTSP, RTP and the camera's own clocks; the hub and the tests import it. It
// sees plaintext and never a key, a slot or a file.
package camera

import (
	"context"
	"time"

	latchkey "latchkey.dev/latchkey"
)

// MediaKind says which track a unit belongs to: latchkey.KindVideo,
// latchkey.KindVideoSub or latchkey.KindAudio.
type MediaKind = latchkey.TrackKind

// Unit is one video access unit or one audio frame, in decode order.
//
// The receiver owns the slices: a source never touches them again.
type Unit struct {
	Kind MediaKind
	// NALUs are the NAL units of a video access unit as the camera sent
	// them, without start codes, parameter sets included where they came in
	// band. Nil for audio.
	NALUs [][]byte
	// Frame is one raw AAC access unit, one Opus packet, or a packet of G.711
	// samples (one byte a sample and channel). Nil for video.
	Frame []byte
	// PTS and DTS are on the camera's clock, from an arbitrary zero that
	// stays for one run. DTS never decreases within a run; it equals PTS
	// where there are no B-frames and always for audio.
	PTS, DTS time.Duration
	// Wall is the hub's time of DTS, without a monotonic reading; the picture
	// was captured at Wall + PTS − DTS. It never goes back within a run.
	Wall time.Time
	// Key is true for a video unit that can be decoded without earlier ones
	// (IDR, CRA, BLA) and for every audio frame.
	Key bool
}

// Codec names what a track carries.
type Codec string

// The codecs of version 1.
const (
	H264 Codec = "h264"
	H265 Codec = "h265"
	AAC  Codec = "aac"
	Opus Codec = "opus"
	PCMA Codec = "pcma" // G.711 A-law
	PCMU Codec = "pcmu" // G.711 µ-law
)

// Format describes a track from the next unit on. A source reports it before
// the first unit of a track and again whenever it changes mid-stream.
type Format struct {
	Codec Codec
	// MIME is the RFC 6381 string of the track as pack carries it:
	// avc1.640028, hvc1.1.6.L93.B0, mp4a.40.2, opus, flac.
	MIME string
	// VPS (H.265 only), SPS and PPS are the parameter sets without start codes.
	VPS, SPS, PPS []byte
	// Width and Height are the picture's size in pixels after cropping; 0 for audio.
	Width, Height int
	// FPS is the frame rate the stream states about itself; 0 when it does not.
	FPS float64
	// AAC is the AudioSpecificConfig (ISO 14496-3 1.6.2.1); nil for other codecs.
	AAC []byte
	// ClockRate is the RTP clock in Hz: 90,000 for video, the sample rate for audio.
	ClockRate int
	// Channels is the number of audio channels; 0 for video.
	Channels int
}

// Sink takes what a source delivers. Calls come from one goroutine at a time,
// in decode order per kind; Format precedes the first Unit of its kind. A sink
// must not block for long: the camera's packets wait behind it.
type Sink interface {
	Format(kind MediaKind, f Format)
	Unit(u Unit)
}

// Source is one camera (one stream of it). Run makes one connection, delivers
// to the sink until it ends, and returns why: ErrWrongPassword,
// ErrUnreachable, ErrNoMedia, ErrTimeout, ErrClockStep (all by errors.Is), or
// the context's error when it was cancelled. It may be run again.
type Source interface {
	Run(ctx context.Context, sink Sink) error
}
