package camera

import (
	"log/slog"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/pion/rtp"

	latchkey "latchkey.dev/latchkey"
)

// The parameter sets of two H.264 streams, 320×240 and 160×120, made by x264.
var (
	spsLarge = []byte{0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0xfa, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x42, 0xa4, 0x80}
	spsSmall = []byte{0x67, 0x42, 0xc0, 0x0b, 0xda, 0x0a, 0x11, 0xf9, 0x70, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x8f, 0x14, 0x2a, 0xa0}
	pps      = []byte{0x68, 0xcb, 0x8c, 0xb2}
	idr      = []byte{0x65, 0x88, 0x84}
	slice    = []byte{0x41, 0x9a, 0x20}
	sei      = []byte{0x06, 0x05, 0x01, 0x80}
)

// heard collects what a sink gets, in order.
type heard struct {
	formats []Format
	units   []Unit
}

func (h *heard) Format(_ MediaKind, f Format) { h.formats = append(h.formats, f) }
func (h *heard) Unit(u Unit)                  { h.units = append(h.units, u) }

// h264Track is a video track that has settled, and its sink.
func h264Track(t *testing.T) (*videoTrack, *heard) {
	t.Helper()
	h := &heard{}
	r := newReceiver(h, slog.New(slog.DiscardHandler), time.Now())
	r.settled = true
	dec := &rtph264.Decoder{PacketizationMode: 1}
	if err := dec.Init(); err != nil {
		t.Fatal(err)
	}
	return &videoTrack{
		r: r, kind: latchkey.KindVideo, clock: rtpClock{rate: 90000}, params: videoParams{codec: H264},
		decode: dec.Decode, errMore: rtph264.ErrMorePacketsNeeded, errFrag: rtph264.ErrNonStartingPacketAndNoPrevious,
		ntp: func(*rtp.Packet) (time.Time, bool) { return time.Time{}, false },
	}, h
}

// sender makes one packet per NAL unit.
type sender struct {
	v   *videoTrack
	seq uint16
	ts  uint32
}

func (s *sender) send(marker bool, nalus ...[]byte) {
	for i, n := range nalus {
		s.seq++
		s.v.packet(&rtp.Packet{Header: rtp.Header{
			Version: 2, PayloadType: 96, SequenceNumber: s.seq, Timestamp: s.ts, Marker: marker && i == len(nalus)-1,
		}, Payload: n})
	}
}

func TestParametersOnlyInBand(t *testing.T) {
	v, h := h264Track(t)
	s := &sender{v: v}
	s.send(true, slice) // nothing can be decoded yet
	s.ts += 3600
	s.send(true, idr) // a key frame without parameters
	s.ts += 3600
	s.send(true, spsLarge, pps, sei, idr)
	s.ts += 3600
	s.send(true, slice)
	if len(h.formats) != 1 || h.formats[0].Width != 320 || h.formats[0].Height != 240 || h.formats[0].MIME != "avc1.42c00d" {
		t.Fatalf("formats %+v", h.formats)
	}
	if len(h.units) != 2 || !h.units[0].Key || len(h.units[0].NALUs) != 4 || h.units[1].Key {
		t.Fatalf("units %+v", h.units)
	}
	if d := h.units[1].PTS - h.units[0].PTS; d != 40*time.Millisecond {
		t.Fatalf("pictures are %v apart", d)
	}
}

func TestParameterChangeIsANewFormat(t *testing.T) {
	v, h := h264Track(t)
	v.params.set(nil, spsLarge, pps) // from the SDP
	s := &sender{v: v}
	for _, au := range [][][]byte{{idr}, {slice}, {spsSmall, pps, idr}, {slice}, {spsSmall, pps, idr}, {spsLarge, pps, idr}} {
		s.ts += 3600
		s.send(true, au...)
	}
	var widths []int
	for _, f := range h.formats {
		widths = append(widths, f.Width)
	}
	if len(widths) != 3 || widths[0] != 320 || widths[1] != 160 || widths[2] != 320 {
		t.Fatalf("widths %v", widths)
	}
	if len(h.units) != 6 {
		t.Fatalf("%d units of 6", len(h.units))
	}
}

// TestParametersAsAUnitOfTheirOwn: some cameras set the marker after the
// parameter sets; no unit may come out that has no picture.
func TestParametersAsAUnitOfTheirOwn(t *testing.T) {
	v, h := h264Track(t)
	s := &sender{v: v}
	s.send(true, spsLarge, pps)
	s.send(true, idr)
	if len(h.units) != 1 || len(h.units[0].NALUs) != 3 || len(h.formats) != 1 {
		t.Fatalf("units %+v, formats %d", h.units, len(h.formats))
	}
}

// TestNoMarkers: a camera that never sets the marker; units end at a new
// timestamp and keep their own.
func TestNoMarkers(t *testing.T) {
	v, h := h264Track(t)
	s := &sender{v: v}
	s.send(false, spsLarge, pps, idr)
	for range 3 {
		s.ts += 3600
		s.send(false, slice)
	}
	if len(h.units) != 3 || len(h.units[0].NALUs) != 3 {
		t.Fatalf("units %+v", h.units)
	}
	for i, u := range h.units {
		if want := time.Duration(i) * 40 * time.Millisecond; u.PTS != want {
			t.Fatalf("picture %d is at %v, want %v", i, u.PTS, want)
		}
	}
}

func TestBrokenParametersAreIgnored(t *testing.T) {
	v, h := h264Track(t)
	s := &sender{v: v}
	s.send(true, spsLarge, pps, idr)
	s.ts += 3600
	s.send(true, []byte{0x67, 0xff}, pps, idr)
	if len(h.formats) != 1 || len(h.units) != 2 {
		t.Fatalf("%d formats, %d units", len(h.formats), len(h.units))
	}
}

func FuzzParams(f *testing.F) {
	f.Add(spsLarge, pps)
	f.Add(spsSmall, pps)
	f.Fuzz(func(t *testing.T, sps, pps []byte) {
		for _, c := range []Codec{H264, H265} {
			p := videoParams{codec: c}
			if p.set(sps, sps, pps) && (p.parsed.MIME == "" || !p.ok) {
				t.Fatalf("accepted as %+v", p.parsed)
			}
		}
	})
}
