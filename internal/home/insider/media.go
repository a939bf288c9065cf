package insider

import (
	"bytes"
	"slices"

	"latchkey.dev/latchkey/part"
)

// findMedia calls f for every place where plaintext picture, sound or video
// seems to begin. Each test asks for structure, not for a magic number alone: in
// 100 MB of ciphertext every four-byte magic has a chance to turn up.
func findMedia(data []byte, f func(at int, what string)) {
	data = withoutHeaders(data)
	findBoxes(data, f)
	findPictures(data, f)
	findAnnexB(data, f)
	findADTS(data, f)
	each(data, "OggS\x00\x02", func(at int) {
		if bytes.Contains(data[at:min(len(data), at+64)], []byte("OpusHead")) {
			f(at, "Ogg Opus sound")
		}
	})
	each(data, "\x1a\x45\xdf\xa3", func(at int) {
		head := data[at:min(len(data), at+80)]
		if bytes.Contains(head, []byte("matroska")) || bytes.Contains(head, []byte("webm")) {
			f(at, "Matroska file")
		}
	})
}

// withoutHeaders blanks the headers of sealed parts, whose slot and number look
// like start codes at times. Where there are none it returns data itself.
func withoutHeaders(data []byte) []byte {
	parts := findParts(data)
	if len(parts) == 0 {
		return data
	}
	data = bytes.Clone(data)
	for _, p := range parts {
		clear(data[p.at : p.at+part.HeaderSize])
	}
	return data
}

// findBoxes looks for ISO base media: file type boxes with a plausible brand
// (MP4, AVIF, HEIF), and boxes followed by the child that begins them.
func findBoxes(data []byte, f func(at int, what string)) {
	each(data, "ftyp", func(at int) {
		if at < 4 || len(data) < at+12 {
			return
		}
		size, brand := be32(data[at-4:]), data[at+4:at+8]
		if size < 16 || size > 256 || size%4 != 0 || !printable(brand) {
			return
		}
		f(at-4, "MP4 or AVIF file ("+string(brand)+")")
	})
	for parent, child := range map[string]string{"moov": "mvhd", "moof": "mfhd", "traf": "tfhd", "stbl": "stsd"} {
		each(data, parent, func(at int) {
			if at >= 4 && len(data) >= at+12 && string(data[at+8:at+12]) == child {
				f(at-4, "MP4 "+parent+" box")
			}
		})
	}
}

func printable(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c < 0x20 || c > 0x7e })
}

func findPictures(data []byte, f func(at int, what string)) {
	each(data, "\xff\xd8\xff", func(at int) {
		if isJPEG(data[at:]) {
			f(at, "JPEG picture")
		}
	})
	each(data, "\x89PNG\r\n\x1a\n", func(at int) {
		if len(data) >= at+16 && string(data[at+12:at+16]) == "IHDR" {
			f(at, "PNG picture")
		}
	})
	each(data, "RIFF", func(at int) {
		if len(data) >= at+16 && string(data[at+8:at+15]) == "WEBPVP8" {
			f(at, "WebP picture")
		}
	})
}

// isJPEG walks the segments after the start marker: tables and a frame header
// have to come before the scan begins.
func isJPEG(b []byte) bool {
	at, frame := 2, false
	for range 64 {
		if at+4 > len(b) || b[at] != 0xff {
			return false
		}
		marker, n := b[at+1], int(b[at+2])<<8|int(b[at+3])
		switch {
		case marker == 0xda:
			return frame
		case n < 2 || marker < 0xc0 || marker == 0xff:
			return false
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc:
			frame = true
		}
		at += 2 + n
	}
	return false
}

const (
	maxSet   = 512 // bytes a parameter set may have
	minSlice = 256 // bytes a coded slice has at least
	maxGap   = 1 << 20
	sliceRun = 6 // slices in a row that count as video without parameter sets
)

// findAnnexB looks for H.264 and H.265 with start codes: parameter sets one
// right after the other, or a run of slices.
func findAnnexB(data []byte, f func(at int, what string)) {
	last, run := -1, 0
	each(data, "\x00\x00\x01", func(at int) {
		nal := data[at+3:]
		if len(nal) < 16 {
			return
		}
		switch {
		case nal[0]&0x9f == 7 && isProfile(nal[1]) && followed(nal, func(h byte) bool { return h&0x9f == 8 }):
			f(at, "H.264 parameter sets")
		case nal[0] == 0x40 && nal[1] == 1 && followed(nal, func(h byte) bool { return h == 0x42 }),
			nal[0] == 0x42 && nal[1] == 1 && followed(nal, func(h byte) bool { return h == 0x44 }):
			f(at, "H.265 parameter sets")
		}
		if !isSlice(nal) || last >= 0 && at-last < minSlice {
			return
		}
		if last < 0 || at-last > maxGap {
			run = 0
		}
		if last, run = at, run+1; run == sliceRun {
			f(at, "run of H.264 or H.265 slices")
		}
	})
}

func isProfile(b byte) bool {
	return bytes.IndexByte([]byte{66, 77, 88, 100, 110, 122, 244}, b) >= 0
}

// followed reports whether the next start code comes soon and its NAL unit
// begins with a header that ok accepts.
func followed(nal []byte, ok func(byte) bool) bool {
	i := bytes.Index(nal[:min(len(nal), maxSet)], []byte("\x00\x00\x01"))
	return i > 2 && i+3 < len(nal) && ok(nal[i+3])
}

// isSlice accepts the header of a coded slice that begins a picture, with data
// that looks compressed: rows of numbers in a database have start codes too.
func isSlice(nal []byte) bool {
	if len(nal) < minSlice {
		return false
	}
	first := nal[1]
	switch nal[0] {
	case 0x65, 0x45, 0x25, 0x61, 0x41, 0x21: // H.264: IDR and other slices that are referred to
	case 0x26, 0x28, 0x02: // H.265: IDR_W_RADL, IDR_N_LP, TRAIL_R
		if nal[1] != 1 {
			return false
		}
		first = nal[2]
	default:
		return false
	}
	return first&0x80 != 0 && distinct(nal[:minSlice]) >= 120
}

func distinct(b []byte) int {
	var seen [256]bool
	n := 0
	for _, c := range b {
		if !seen[c] {
			seen[c] = true
			n++
		}
	}
	return n
}

const adtsRun = 6 // frames in a row

// findADTS looks for AAC frames that lead from one to the next.
func findADTS(data []byte, f func(at int, what string)) {
	until := 0
	for _, magic := range []string{"\xff\xf1", "\xff\xf9"} {
		until = 0
		each(data, magic, func(at int) {
			if at < until {
				return
			}
			if frames, end := adtsFrames(data, at); frames >= adtsRun {
				until = end
				f(at, "AAC sound (ADTS)")
			}
		})
	}
}

// adtsFrames counts frames that follow one another and agree in their fixed header.
func adtsFrames(data []byte, at int) (frames, end int) {
	first := data[at:]
	for at+7 <= len(data) {
		h := data[at:]
		size := int(h[3]&3)<<11 | int(h[4])<<3 | int(h[5])>>5
		if h[0] != 0xff || h[1] != first[1] || h[2] != first[2] || h[3]&0xf0 != first[3]&0xf0 || size < 8 || h[2]>>2&15 > 12 {
			break
		}
		frames++
		at += size
	}
	return frames, at
}
