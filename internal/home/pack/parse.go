package pack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	latchkey "latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
)

// Info is what an init segment says about its track.
type Info struct {
	// MIME is the RFC 6381 codec string: avc1.640028, hvc1.…, mp4a.40.2, opus, flac.
	MIME string
	// Video is true for a picture track.
	Video bool
	// Timescale is in ticks a second: 90,000 for video, the sample rate for audio.
	Timescale uint32
	// Width and Height in pixels (video); Channels (audio).
	Width, Height, Channels int

	entry []byte // the sample entry box: what a decoder needs
	trak  []byte // the trak box
}

// ParseInit reads an init segment of one track.
func ParseInit(init []byte) (Info, error) {
	var in Info
	moov, ok := findBox(init, "moov")
	if !ok {
		return Info{}, badInit("no moov")
	}
	trak, ok := findBox(moov, "trak")
	if !ok {
		return Info{}, badInit("no trak")
	}
	in.trak = boxed(moov, "trak")
	if typ, tkhd, _, ok := nextBox(trak); !ok || typ != "tkhd" || len(tkhd) != 84 || tkhd[0] != 0 {
		return Info{}, badInit("no tkhd of version 0")
	}
	mdhd, ok := findBox(trak, "mdia", "mdhd")
	if !ok || len(mdhd) < 20 || mdhd[0] != 0 {
		return Info{}, badInit("no mdhd of version 0")
	}
	in.Timescale = binary.BigEndian.Uint32(mdhd[12:])
	if in.Timescale == 0 || in.Timescale > 1<<24 {
		return Info{}, badInit("timescale out of range")
	}
	hdlr, ok := findBox(trak, "mdia", "hdlr")
	if !ok || len(hdlr) < 12 {
		return Info{}, badInit("no hdlr")
	}
	in.Video = string(hdlr[8:12]) == "vide"
	stsd, ok := findBox(trak, "mdia", "minf", "stbl", "stsd")
	if !ok || len(stsd) < 16 {
		return Info{}, badInit("no stsd")
	}
	typ, body, rest, ok := nextBox(stsd[8:])
	if !ok || len(rest) > 0 {
		return Info{}, badInit("not one sample entry")
	}
	in.entry = bytes.Clone(stsd[8:])
	return in, in.readEntry(typ, body)
}

func badInit(what string) error {
	return fmt.Errorf("pack: parse init: %w: %s", latchkey.ErrInvalid, what)
}

// readEntry reads the sample entry (ISO 14496-12 §12.1.3, §12.2.3).
func (in *Info) readEntry(typ string, b []byte) error {
	if in.Video {
		if len(b) < 78 {
			return badInit("short sample entry")
		}
		in.Width, in.Height = int(binary.BigEndian.Uint16(b[24:])), int(binary.BigEndian.Uint16(b[26:]))
		return in.videoMIME(typ, b[78:])
	}
	if len(b) < 28 {
		return badInit("short sample entry")
	}
	in.Channels = int(binary.BigEndian.Uint16(b[16:]))
	switch typ {
	case "Opus":
		in.MIME = "opus"
	case "fLaC":
		in.MIME = "flac"
	case "mp4a":
		esds, _ := findBox(b[28:], "esds")
		object, ok := audioObject(esds)
		if !ok {
			return badInit("no AAC config")
		}
		in.MIME = fmt.Sprintf("mp4a.40.%d", object)
	default:
		return badInit("codec " + printable(typ))
	}
	return nil
}

func (in *Info) videoMIME(typ string, b []byte) error {
	switch typ {
	case "avc1":
		c, ok := findBox(b, "avcC")
		if !ok || len(c) < 7 {
			return badInit("no avcC")
		}
		in.MIME = fmt.Sprintf("avc1.%02x%02x%02x", c[1], c[2], c[3])
	case "hvc1":
		c, ok := findBox(b, "hvcC")
		if !ok || len(c) < 23 {
			return badInit("no hvcC")
		}
		in.MIME = camera.MIMEH265([12]byte(c[1:13]))
	default:
		return badInit("codec " + printable(typ))
	}
	return nil
}

// audioObject finds the audio object type in an esds box (ISO 14496-1 §7.2.6):
// the first five bits of the decoder specific info, descriptor tag 5.
func audioObject(esds []byte) (byte, bool) {
	b := esds
	skip := 4 // version and flags
	for {
		if len(b) < skip+2 {
			return 0, false
		}
		b = b[skip:]
		tag := b[0]
		b = b[1:]
		for len(b) > 0 && b[0]&0x80 != 0 {
			b = b[1:]
		}
		if len(b) < 2 {
			return 0, false
		}
		b = b[1:]
		switch tag {
		case 3:
			skip = 3 // ES_ID, flags
		case 4:
			skip = 13 // type, buffer size, bit rates
		case 5:
			return b[0] >> 3, true
		default:
			return 0, false
		}
	}
}

func printable(typ string) string { return fmt.Sprintf("%q", typ) }

// nextBox splits the first box off b. Sizes of 0 and 1 (to the end, 64-bit)
// do not occur in what is read here.
func nextBox(b []byte) (typ string, body, rest []byte, ok bool) {
	if len(b) < 8 {
		return "", nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if n < 8 || uint64(n) > uint64(len(b)) {
		return "", nil, nil, false
	}
	return string(b[4:8]), b[8:n], b[n:], true
}

// findBox returns the body of the first box at a path.
func findBox(b []byte, path ...string) ([]byte, bool) {
	for _, want := range path {
		found := false
		for !found {
			typ, body, rest, ok := nextBox(b)
			if !ok {
				return nil, false
			}
			if b = rest; typ == want {
				b, found = body, true
			}
		}
	}
	return b, true
}

// boxed returns the first box of a type with its header.
func boxed(b []byte, want string) []byte {
	for {
		typ, body, rest, ok := nextBox(b)
		if !ok {
			return nil
		}
		if typ == want {
			return b[:len(body)+8]
		}
		b = rest
	}
}

// Codec returns the codec string of an init segment, as MediaSource wants it.
func Codec(init []byte) (string, error) {
	i, err := ParseInit(init)
	return i.MIME, err
}

// TimeOf returns the time of a tick count since the Unix epoch, to the
// nanosecond nearest to it.
func TimeOf(ticks int64, timescale uint32) time.Time {
	ts := int64(timescale)
	return time.Unix(ticks/ts, (ticks%ts*int64(time.Second)+ts/2)/ts).UTC()
}

// paramSets returns the parameter sets of a video entry in the form of a
// sample: each with its length in front (avcC: ISO 14496-15 §5.3.3.1, hvcC:
// §8.3.3.1). Nil where the entry holds none.
func (in *Info) paramSets() []byte {
	if c, ok := findBox(in.entry[8+78:], "avcC"); ok {
		sps, rest := paramArray(c[6:], int(c[5]&0x1F))
		if len(rest) == 0 {
			return sps
		}
		pps, _ := paramArray(rest[1:], int(rest[0]))
		return append(sps, pps...)
	}
	c, ok := findBox(in.entry[8+78:], "hvcC")
	if !ok {
		return nil
	}
	var out []byte
	rest := c[23:]
	for range c[22] {
		if len(rest) < 3 {
			break
		}
		n := int(rest[1])<<8 | int(rest[2])
		var sets []byte
		sets, rest = paramArray(rest[3:], n)
		out = append(out, sets...)
	}
	return out
}

// paramArray reads n sets with 16-bit lengths.
func paramArray(b []byte, n int) (sets, rest []byte) {
	for range n {
		if len(b) < 2 {
			return sets, nil
		}
		l := int(b[0])<<8 | int(b[1])
		if len(b) < 2+l {
			return sets, nil
		}
		sets = append(sets, 0, 0, b[0], b[1])
		sets = append(sets, b[2:2+l]...)
		b = b[2+l:]
	}
	return sets, b
}
