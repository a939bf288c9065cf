package camera

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// videoParams follows the parameter sets of a video stream, from the SDP and in
// band.
type videoParams struct {
	codec         Codec
	vps, sps, pps []byte
	// parsed is what they say; valid while ok.
	parsed  Format
	reorder int
	ok      bool
}

// absorb takes the parameter sets out of an access unit (the first of each
// type) and reports whether the stream's description changed by them.
func (p *videoParams) absorb(au [][]byte) bool {
	var vps, sps, pps []byte
	for _, n := range au {
		switch paramType(p.codec, n) {
		case 'v':
			vps = first(vps, n)
		case 's':
			sps = first(sps, n)
		case 'p':
			pps = first(pps, n)
		}
	}
	return p.set(vps, sps, pps)
}

func first(have, n []byte) []byte {
	if have == nil {
		return n
	}
	return have
}

// paramType returns 'v', 's' or 'p' for a parameter set, else 0.
func paramType(c Codec, n []byte) byte {
	if c == H264 {
		switch h264.NALUType(n[0] & 0x1F) {
		case h264.NALUTypeSPS:
			return 's'
		case h264.NALUTypePPS:
			return 'p'
		}
		return 0
	}
	switch h265.NALUType(n[0] >> 1 & 0x3F) {
	case h265.NALUType_VPS_NUT:
		return 'v'
	case h265.NALUType_SPS_NUT:
		return 's'
	case h265.NALUType_PPS_NUT:
		return 'p'
	}
	return 0
}

// set replaces the sets that are not nil. Sets that cannot be parsed are
// ignored: a broken packet must not replace a description that works.
func (p *videoParams) set(vps, sps, pps []byte) bool {
	next := *p
	next.vps, next.sps, next.pps = replace(p.vps, vps), replace(p.sps, sps), replace(p.pps, pps)
	if bytes.Equal(next.vps, p.vps) && bytes.Equal(next.sps, p.sps) && bytes.Equal(next.pps, p.pps) {
		return false
	}
	if next.sps == nil || next.pps == nil || p.codec == H265 && next.vps == nil {
		p.vps, p.sps, p.pps = next.vps, next.sps, next.pps
		return false
	}
	if err := next.parse(); err != nil {
		return false
	}
	*p = next
	return true
}

func replace(old, n []byte) []byte {
	if len(n) == 0 {
		return old
	}
	return bytes.Clone(n)
}

func (p *videoParams) parse() error {
	p.parsed = Format{Codec: p.codec, VPS: p.vps, SPS: p.sps, PPS: p.pps, ClockRate: 90000}
	var err error
	if p.codec == H264 {
		err = p.parseH264()
	} else {
		err = p.parseH265()
	}
	p.ok = err == nil
	return err
}

func (p *videoParams) parseH264() error {
	var sps h264.SPS
	if err := sps.Unmarshal(p.sps); err != nil || len(p.sps) < 4 {
		return fmt.Errorf("camera: parse H.264 SPS: %v", err)
	}
	f := &p.parsed
	f.Width, f.Height, f.FPS = sps.Width(), sps.Height(), saneFPS(sps.FPS())
	f.MIME = fmt.Sprintf("avc1.%02x%02x%02x", p.sps[1], p.sps[2], p.sps[3])
	p.reorder = 0
	if sps.VUI != nil && sps.VUI.BitstreamRestriction != nil && sps.PicOrderCntType != 2 {
		p.reorder = int(sps.VUI.BitstreamRestriction.MaxNumReorderFrames)
	}
	return nil
}

func (p *videoParams) parseH265() error {
	var sps h265.SPS
	if err := sps.Unmarshal(p.sps); err != nil {
		return fmt.Errorf("camera: parse H.265 SPS: %w", err)
	}
	f := &p.parsed
	f.Width, f.Height, f.FPS = sps.Width(), sps.Height(), saneFPS(sps.FPS())
	rbsp := h264.EmulationPreventionRemove(p.sps)
	if len(rbsp) < 15 {
		return fmt.Errorf("camera: parse H.265 SPS: too short")
	}
	f.MIME = MIMEH265([12]byte(rbsp[3:15]))
	p.reorder = 0
	if n := len(sps.MaxNumReorderPics); n > 0 {
		p.reorder = int(sps.MaxNumReorderPics[n-1]) // the highest sub-layer is the whole stream
	}
	return nil
}

// saneFPS drops rates that only a broken SPS states.
func saneFPS(fps float64) float64 {
	if fps >= 0.1 && fps <= 300 {
		return fps
	}
	return 0
}

// MIMEH265 writes the codec string of ISO 14496-15 annex E.3 from the 12 bytes
// of a general profile_tier_level, as an SPS and an hvcC box have them.
func MIMEH265(ptl [12]byte) string {
	var b strings.Builder
	b.WriteString("hvc1.")
	if space := ptl[0] >> 6; space > 0 {
		b.WriteByte('A' + space - 1)
	}
	tier := byte('L')
	if ptl[0]&0x20 != 0 {
		tier = 'H'
	}
	compat := bits.Reverse32(binary.BigEndian.Uint32(ptl[1:]))
	fmt.Fprintf(&b, "%d.%X.%c%d", ptl[0]&0x1F, compat, tier, ptl[11])
	for _, c := range bytes.TrimRight(ptl[5:11], "\x00") {
		fmt.Fprintf(&b, ".%X", c)
	}
	return b.String()
}

// isPicture reports whether a NAL unit carries a slice of a picture.
func isPicture(c Codec, n []byte) bool {
	if c == H264 {
		t := n[0] & 0x1F
		return t >= 1 && t <= 5
	}
	return n[0]>>1&0x3F < 32
}

// isKey reports whether a picture's NAL unit starts a decodable run: IDR in
// H.264; any IRAP picture in H.265.
func isKey(c Codec, n []byte) bool {
	if c == H264 {
		return h264.NALUType(n[0]&0x1F) == h264.NALUTypeIDR
	}
	t := n[0] >> 1 & 0x3F
	return t >= 16 && t <= 21
}
