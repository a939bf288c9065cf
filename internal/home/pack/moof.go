package pack

import (
	"encoding/binary"
	"fmt"

	latchkey "latchkey.dev/latchkey"
)

// The fragment layout (ISO 14496-12 §8.8). It is fixed, so that reading can be
// strict: moof{mfhd, traf{tfhd, tfdt v1, trun v1}} mdat. A video fragment's
// trun has duration, size, flags and composition offset per sample; an audio
// fragment's has duration and size, and its tfhd says that all are sync.
const (
	flagSync    = 0x02000000 // depends on nothing
	flagNotSync = 0x01010000 // depends on others, not a sync sample

	tfhdVideo = 0x020000 // default-base-is-moof
	tfhdAudio = 0x020020 // and default sample flags
	trunVideo = 0x01000F01
	trunAudio = 0x01000301
)

// Sample is one sample of a fragment.
type Sample struct {
	// Decode is ticks of the timescale since the Unix epoch; Duration and
	// Offset (composition) are ticks.
	Decode   int64
	Duration uint32
	Offset   int32
	Sync     bool
	// Data aliases the fragment it was parsed from.
	Data []byte
}

// moofHead is what a fragment says beside its samples.
type moofHead struct {
	seq    uint32
	track  uint32
	decode int64
	video  bool
}

// moofSize returns the size of the moof box for n samples.
func moofSize(video bool, n int) int {
	if video {
		return 8 + 16 + 8 + 16 + 20 + 20 + 16*n
	}
	return 8 + 16 + 8 + 20 + 20 + 20 + 8*n
}

// appendHead appends the moof box and the header of the mdat box; the caller
// appends the samples' bytes, which have the given sizes.
func appendHead(b []byte, h moofHead, samples []Sample, sizes []int) []byte {
	be := binary.BigEndian
	payload := 0
	for _, n := range sizes {
		payload += n
	}
	size := moofSize(h.video, len(samples))
	box := func(n int, typ string) {
		b = be.AppendUint32(b, uint32(n))
		b = append(b, typ...)
	}
	box(size, "moof")
	box(16, "mfhd")
	b = be.AppendUint32(b, 0)
	b = be.AppendUint32(b, h.seq)
	box(size-24, "traf")
	if h.video {
		box(16, "tfhd")
		b = be.AppendUint32(b, tfhdVideo)
		b = be.AppendUint32(b, h.track)
	} else {
		box(20, "tfhd")
		b = be.AppendUint32(b, tfhdAudio)
		b = be.AppendUint32(b, h.track)
		b = be.AppendUint32(b, flagSync)
	}
	box(20, "tfdt")
	b = be.AppendUint32(b, 1<<24)
	b = be.AppendUint64(b, uint64(h.decode))
	b = appendTrun(b, h.video, samples, sizes, size+8)
	box(8+payload, "mdat")
	return b
}

func appendTrun(b []byte, video bool, samples []Sample, sizes []int, offset int) []byte {
	be := binary.BigEndian
	size, flags := 20+8*len(samples), uint32(trunAudio)
	if video {
		size, flags = 20+16*len(samples), trunVideo
	}
	b = be.AppendUint32(b, uint32(size))
	b = append(b, "trun"...)
	b = be.AppendUint32(b, flags)
	b = be.AppendUint32(b, uint32(len(samples)))
	b = be.AppendUint32(b, uint32(offset))
	for i, s := range samples {
		b = be.AppendUint32(b, s.Duration)
		b = be.AppendUint32(b, uint32(sizes[i]))
		if !video {
			continue
		}
		if s.Sync {
			b = be.AppendUint32(b, flagSync)
		} else {
			b = be.AppendUint32(b, flagNotSync)
		}
		b = be.AppendUint32(b, uint32(s.Offset))
	}
	return b
}

// appendFragment appends a whole fragment.
func appendFragment(b []byte, h moofHead, samples []Sample) []byte {
	sizes := make([]int, len(samples))
	for i, s := range samples {
		sizes[i] = len(s.Data)
	}
	b = appendHead(b, h, samples, sizes)
	for _, s := range samples {
		b = append(b, s.Data...)
	}
	return b
}

// ParseFragment reads one moof ‖ mdat as Packer writes it, strictly: any other
// layout is refused, and what parses encodes to the same bytes again.
func ParseFragment(data []byte) ([]Sample, error) {
	_, s, err := parseFragment(data)
	return s, err
}

// words reads big-endian fields and remembers the first thing that is wrong.
type words struct {
	b   []byte
	err error
}

func (w *words) u32() uint32 {
	if len(w.b) < 4 {
		w.fail("it ends early")
		return 0
	}
	v := binary.BigEndian.Uint32(w.b)
	w.b = w.b[4:]
	return v
}

// want reads one field that has only one right value.
func (w *words) want(v uint32, what string) {
	if got := w.u32(); w.err == nil && got != v {
		w.fail(what)
	}
}

// box reads a box header of known size and type.
func (w *words) box(size uint32, typ string) {
	w.want(size, "size of "+typ)
	w.want(binary.BigEndian.Uint32([]byte(typ)), "no "+typ)
}

func (w *words) fail(what string) {
	if w.err == nil {
		w.err = fmt.Errorf("pack: parse fragment: %w: %s", latchkey.ErrInvalid, what)
	}
	w.b = nil
}

func parseFragment(data []byte) (moofHead, []Sample, error) {
	w := &words{b: data}
	var h moofHead
	size := w.u32()
	w.want(binary.BigEndian.Uint32([]byte("moof")), "no moof")
	w.box(16, "mfhd")
	w.want(0, "mfhd flags")
	h.seq = w.u32()
	w.box(size-24, "traf")
	switch w.u32() {
	case 16:
		h.video = true
	case 20:
	default:
		w.fail("size of tfhd")
	}
	w.want(binary.BigEndian.Uint32([]byte("tfhd")), "no tfhd")
	if h.video {
		w.want(tfhdVideo, "tfhd flags")
		h.track = w.u32()
	} else {
		w.want(tfhdAudio, "tfhd flags")
		h.track = w.u32()
		w.want(flagSync, "default sample flags")
	}
	w.box(20, "tfdt")
	w.want(1<<24, "tfdt version")
	h.decode = int64(w.u32())<<32 | int64(w.u32())
	samples, err := parseTrun(w, &h, size)
	return h, samples, err
}

// maxDecode keeps decode times and their sums far from overflow: the year
// 3900 at 192 kHz.
const maxDecode = 1 << 53

func parseTrun(w *words, h *moofHead, moof uint32) ([]Sample, error) {
	trunSize := w.u32()
	w.want(binary.BigEndian.Uint32([]byte("trun")), "no trun")
	flags := uint32(trunAudio)
	if h.video {
		flags = trunVideo
	}
	w.want(flags, "trun flags")
	n := int(w.u32())
	w.want(moof+8, "data offset")
	if w.err == nil && (n < 1 || n > 1<<16 || h.track == 0 || h.decode < 0 || h.decode > maxDecode) {
		w.fail("sample count, track or time out of range")
	}
	if w.err == nil && (int(moof) != moofSize(h.video, n) || int(trunSize) != int(moof)-(moofSize(h.video, 0)-20)) {
		w.fail("sizes")
	}
	if w.err != nil {
		return nil, w.err
	}
	samples, sizes, total := parseSamples(w, h, n)
	w.box(uint32(total+8), "mdat")
	if w.err == nil && int64(len(w.b)) != total {
		w.fail("length of mdat")
	}
	if w.err != nil {
		return nil, w.err
	}
	for i, size := range sizes {
		samples[i].Data, w.b = w.b[:size:size], w.b[size:]
	}
	return samples, nil
}

func parseSamples(w *words, h *moofHead, n int) (samples []Sample, sizes []uint32, total int64) {
	if len(w.b) < 8*n {
		w.fail("it ends early")
		return nil, nil, 0
	}
	samples, sizes = make([]Sample, n), make([]uint32, n)
	at := h.decode
	for i := range samples {
		s := &samples[i]
		s.Decode, s.Duration, s.Sync = at, w.u32(), true
		sizes[i] = w.u32()
		if h.video {
			switch w.u32() {
			case flagSync:
			case flagNotSync:
				s.Sync = false
			default:
				w.fail("sample flags")
			}
			s.Offset = int32(w.u32())
		}
		at += int64(s.Duration)
		total += int64(sizes[i])
	}
	if total > 1<<30 {
		w.fail("it is too long")
		total = 0
	}
	return samples, sizes, total
}
