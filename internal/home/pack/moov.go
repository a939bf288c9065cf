package pack

import (
	"encoding/binary"
	"time"
)

// movieScale is the timescale of mvhd and of edit lists: that of video, so
// that the borders of a range are exact to a frame's tick.
const movieScale = 90000

// outSample is one sample of the file being written.
type outSample struct {
	decode   int64 // ticks of the track since the Unix epoch
	duration uint32
	offset   int32
	size     uint32
	sync     bool
}

// chunk is a run of samples that lie together in the file and share a sample
// entry.
type chunk struct {
	offset  int64
	samples uint32
	entry   uint32 // 1-based
}

// outTrack is one track of the file being written.
type outTrack struct {
	id      uint32
	info    Info // of the first init
	entries [][]byte
	entry   uint32 // in use, 1-based
	samples []outSample
	chunks  []chunk
	// width and height are the largest of all entries.
	width, height int
}

// end returns the tick at which the last sample ends.
func (t *outTrack) end() int64 {
	s := t.samples[len(t.samples)-1]
	return s.decode + int64(s.duration)
}

// length is the track's length in its own ticks.
func (t *outTrack) length() int64 { return t.end() - t.samples[0].decode }

// movieTicks converts a duration to movieScale.
func movieTicks(d time.Duration) uint64 {
	sec, rest := d/time.Second, d%time.Second
	return uint64(sec)*movieScale + uint64((rest*movieScale+time.Second/2)/time.Second)
}

// appendMoov writes the moov box of a movie that shows [from, to).
func appendMoov(tracks []*outTrack, from, to time.Time) []byte {
	w := &boxes{}
	w.box("moov", func() {
		w.mvhd(movieTicks(to.Sub(from)), uint32(len(tracks)))
		for _, t := range tracks {
			w.box("trak", func() { t.write(w, from, to) })
		}
	})
	return w.b
}

func (t *outTrack) write(w *boxes, from, to time.Time) {
	w.full("tkhd", 1, 3, func() {
		w.u64(0, 0)
		w.u32(t.id, 0)
		w.u64(movieTicks(to.Sub(from)))
		w.u32(0, 0)
		volume, group := uint16(0), uint16(0)
		if !t.info.Video {
			volume, group = 0x100, 1
		}
		w.u16(0, group, volume, 0)
		w.matrix()
		w.u32(uint32(t.width)<<16, uint32(t.height)<<16)
	})
	w.box("edts", func() { t.edits(w, from, to) })
	w.box("mdia", func() {
		w.full("mdhd", 1, 0, func() {
			w.u64(0, 0)
			w.u32(t.info.Timescale)
			w.u64(uint64(t.length()))
			w.u16(0x55C4, 0) // "und"
		})
		handler, name := "soun", "sound\x00"
		if t.info.Video {
			handler, name = "vide", "video\x00"
		}
		w.full("hdlr", 0, 0, func() {
			w.u32(0)
			w.raw([]byte(handler))
			w.u32(0, 0, 0)
			w.raw([]byte(name))
		})
		w.box("minf", func() { t.media(w) })
	})
}

// edits writes the edit list: nothing until the track begins (sound may begin
// later than the picture), then from the asked time on.
func (t *outTrack) edits(w *boxes, from, to time.Time) {
	scale := int64(t.info.Timescale)
	zero := t.samples[0].decode
	first := TimeOf(zero+int64(t.samples[0].offset), t.info.Timescale)
	until := TimeOf(t.end(), t.info.Timescale)
	if until.After(to) {
		until = to
	}
	begin, media := from, max(ticks(from, scale)-zero, 0)
	var wait uint64
	if first.After(from) {
		begin, media = first, int64(t.samples[0].offset)
		wait = movieTicks(first.Sub(from))
	}
	w.full("elst", 1, 0, func() {
		if wait > 0 {
			w.u32(2)
			w.u64(wait, 1<<64-1)
			w.u16(1, 0)
		} else {
			w.u32(1)
		}
		w.u64(movieTicks(max(until.Sub(begin), 0)), uint64(media))
		w.u16(1, 0)
	})
}

func (t *outTrack) media(w *boxes) {
	if t.info.Video {
		w.full("vmhd", 0, 1, func() { w.u16(0, 0, 0, 0) })
	} else {
		w.full("smhd", 0, 0, func() { w.u32(0) })
	}
	w.box("dinf", func() {
		w.full("dref", 0, 0, func() {
			w.u32(1)
			w.full("url ", 0, 1, func() {})
		})
	})
	w.box("stbl", func() {
		w.full("stsd", 0, 0, func() {
			w.u32(uint32(len(t.entries)))
			for _, e := range t.entries {
				w.raw(e)
			}
		})
		t.times(w)
		t.syncs(w)
		t.places(w)
	})
}

// times writes the run-length coded durations and composition offsets.
func (t *outTrack) times(w *boxes) {
	runs(w, "stts", 0, t.samples, func(s outSample) uint32 { return s.duration })
	for _, s := range t.samples {
		if s.offset != 0 {
			runs(w, "ctts", 1, t.samples, func(s outSample) uint32 { return uint32(s.offset) })
			return
		}
	}
}

func runs(w *boxes, typ string, version byte, samples []outSample, value func(outSample) uint32) {
	w.full(typ, version, 0, func() {
		at := len(w.b)
		w.u32(0)
		n := uint32(0)
		for i := 0; i < len(samples); {
			v, j := value(samples[i]), i+1
			for j < len(samples) && value(samples[j]) == v {
				j++
			}
			w.u32(uint32(j-i), v)
			i = j
			n++
		}
		binary.BigEndian.PutUint32(w.b[at:], n)
	})
}

// syncs writes stss, which is left out where every sample is a sync sample.
func (t *outTrack) syncs(w *boxes) {
	var at []uint32
	for i, s := range t.samples {
		if s.sync {
			at = append(at, uint32(i+1))
		}
	}
	if len(at) == len(t.samples) {
		return
	}
	w.full("stss", 0, 0, func() {
		w.u32(uint32(len(at)))
		w.u32(at...)
	})
}

// places writes where the samples are: stsc, stsz and stco or co64.
func (t *outTrack) places(w *boxes) {
	w.full("stsc", 0, 0, func() {
		at := len(w.b)
		w.u32(0)
		n := uint32(0)
		var last chunk
		for i, c := range t.chunks {
			if c.samples != last.samples || c.entry != last.entry {
				w.u32(uint32(i+1), c.samples, c.entry)
				n++
			}
			last = c
		}
		binary.BigEndian.PutUint32(w.b[at:], n)
	})
	w.full("stsz", 0, 0, func() {
		w.u32(0, uint32(len(t.samples)))
		for _, s := range t.samples {
			w.u32(s.size)
		}
	})
	if t.chunks[len(t.chunks)-1].offset < 1<<32 {
		w.full("stco", 0, 0, func() {
			w.u32(uint32(len(t.chunks)))
			for _, c := range t.chunks {
				w.u32(uint32(c.offset))
			}
		})
		return
	}
	w.full("co64", 0, 0, func() {
		w.u32(uint32(len(t.chunks)))
		for _, c := range t.chunks {
			w.u64(uint64(c.offset))
		}
	})
}
