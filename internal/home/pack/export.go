package pack

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	latchkey "latchkey.dev/latchkey"
)

// Piece is what one opened part of a track carries: the init record (nil
// unless the part is a random-access part) and the fragment record.
type Piece struct {
	Init []byte
	Data []byte
}

// Exported says what Export wrote.
type Exported struct {
	// From and To are the borders shown: those asked for, moved inward to
	// where the picture begins and ends.
	From, To time.Time
	// VideoSamples and AudioSamples count what the file holds.
	VideoSamples, AudioSamples int
	// Gaps are the pauses of more than half a second inside the range.
	Gaps []Gap
}

// Gap is a time without footage.
type Gap struct{ From, To time.Time }

// ErrNoPicture: there is no picture in the range.
var ErrNoPicture = fmt.Errorf("%w: no picture in this range", latchkey.ErrNotFound)

// ErrCodecChanged: one mp4 track cannot hold both codecs; ask for the ranges
// before and after separately.
var ErrCodecChanged = fmt.Errorf("%w: the camera changed its codec inside this range", latchkey.ErrInvalid)

// Pieces adapts a slice to Export's argument.
func Pieces(ps []Piece) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		for _, p := range ps {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// Export writes one ordinary mp4 of [from, to) to w, which it assumes empty.
// video and audio (nil without sound) yield the opened pieces of each track in
// order, video from the random-access part at or before from on; Export stops
// reading at to.
//
// Samples are bit-identical to the parts'. The file begins with the last
// random-access picture at or before from and an edit list trims it to the
// range. A pause inside the range is a long sample: the last picture stands
// still, which every player does right, where edits in mid-track are often
// ignored. New parameter sets become a further sample entry. Where parts are
// missing in the middle, pictures that cannot be decoded for it are left out.
//
// The moov comes before the media where it fits into what was reserved for it
// by the length of the range; else (a stream of tiny samples) it comes last.
func Export(w io.WriteSeeker, video, audio iter.Seq2[Piece, error], from, to time.Time) (Exported, error) {
	if !from.Before(to) {
		return Exported{}, fmt.Errorf("pack: export: %w: the range is empty", latchkey.ErrInvalid)
	}
	e := &exporter{
		to: to, from: from,
		file:  &mp4File{w: w, buf: bufio.NewWriterSize(w, 256<<10)},
		video: &outTrack{id: 1}, audio: &outTrack{id: 2},
	}
	if err := e.file.begin(to.Sub(from)); err != nil {
		return Exported{}, err
	}
	if err := e.copy(video, audio); err != nil {
		return Exported{}, err
	}
	return e.finish()
}

// exporter holds the state of one Export.
type exporter struct {
	from, to     time.Time
	file         *mp4File
	video, audio *outTrack
	gaps         []Gap

	waiting []parsed // video from the last random-access point at or before from
	begun   bool
	lastSeq uint32
	lost    bool // pieces are missing: wait for the next random-access one
	last    *outTrack
}

// chunkSamples bounds a chunk: players read whole chunks.
const chunkSamples = 32

// parsed is a piece that was read.
type parsed struct {
	info    *Info // nil unless random access
	head    moofHead
	within  bool // not the first picture of its piece
	samples []Sample
	scale   uint32
	start   time.Time // decode time of the first sample
	shown   time.Time // its presentation time
}

// end returns when the last sample ends.
func (p *parsed) end() time.Time {
	s := p.samples[len(p.samples)-1]
	return TimeOf(s.Decode+int64(s.Duration), p.scale)
}

// source reads one track: sound piece by piece, video picture by picture.
type source struct {
	next  func() (Piece, error, bool)
	rest  []Sample // pictures of the last piece that were not pulled yet
	info  *Info
	last  []byte // the last init, to parse it only when it changes
	head  parsed
	ok    bool
	ended bool
}

// pull moves on to the next piece or picture; ok is false at the end.
func (s *source) pull() error {
	if len(s.rest) > 0 {
		s.head.info, s.head.within = nil, true
		s.take()
		return nil
	}
	for {
		p, err, ok := s.next()
		if s.ok = ok; !ok {
			s.ended = true
			return nil
		}
		if err != nil {
			return fmt.Errorf("pack: export: read: %w", err)
		}
		s.head = parsed{}
		if p.Init != nil {
			if !bytes.Equal(p.Init, s.last) {
				in, err := ParseInit(p.Init)
				if err != nil {
					return err
				}
				s.info, s.last = &in, p.Init
			}
			s.head.info = s.info
		}
		if s.info == nil {
			continue // nothing can be said about it before the first init
		}
		if s.head.head, s.head.samples, err = parseFragment(p.Data); err != nil {
			return err
		}
		if s.head.head.video != s.info.Video {
			return fmt.Errorf("pack: export: %w: a fragment of another kind of track", latchkey.ErrInvalid)
		}
		s.head.scale = s.info.Timescale
		if s.rest = nil; s.info.Video {
			s.rest = s.head.samples
		}
		s.take()
		return nil
	}
}

// take makes the next of rest, where there is one, the samples of head.
func (s *source) take() {
	if len(s.rest) > 0 {
		s.head.samples, s.rest = s.rest[:1:1], s.rest[1:]
	}
	first := s.head.samples[0]
	s.head.start = TimeOf(first.Decode, s.head.scale)
	s.head.shown = TimeOf(first.Decode+int64(first.Offset), s.head.scale)
}

// copy merges the two tracks by time into the file.
func (e *exporter) copy(video, audio iter.Seq2[Piece, error]) error {
	v, a := &source{}, &source{ended: true}
	var stop func()
	v.next, stop = iter.Pull2(video)
	defer stop()
	if err := v.pull(); err != nil {
		return err
	}
	if audio != nil {
		a.next, stop = iter.Pull2(audio)
		a.ended = false
		defer stop()
		if err := a.pull(); err != nil {
			return err
		}
	}
	for v.ok || a.ok {
		if v.ok && (!a.ok || !a.head.start.Before(v.head.start)) {
			if !v.head.start.Before(e.to) {
				v.ok = false
				continue
			}
			if err := e.picture(v); err != nil {
				return err
			}
			if err := v.pull(); err != nil {
				return err
			}
			continue
		}
		if !a.head.start.Before(e.to) {
			a.ok = false
			continue
		}
		if err := e.sound(a); err != nil {
			return err
		}
		if err := a.pull(); err != nil {
			return err
		}
	}
	return e.release()
}

// picture takes one picture: into the file, or into the queue as long as a
// later random-access one may still be the one to begin with.
func (e *exporter) picture(v *source) error {
	p := v.head
	rap := p.info != nil && p.samples[0].Sync
	// The packer numbers fragments without a hole; a new epoch's packer may
	// begin anew, but with a random-access piece.
	missing := p.head.seq != e.lastSeq+1 && !p.within
	e.lastSeq = p.head.seq
	if rap {
		e.lost = false
	} else if e.lost || missing {
		e.lost = true
		return nil
	}
	if e.begun {
		return e.put(e.video, p)
	}
	if n := len(e.waiting); rap && n > 0 {
		inGap := p.start.After(e.from) && !e.waiting[n-1].end().After(e.from)
		if inGap || !p.shown.After(e.from) {
			e.waiting = e.waiting[:0]
		}
	}
	e.waiting = append(e.waiting, p)
	if p.start.After(e.from) { // no later picture can be the one to begin with
		return e.release()
	}
	return nil
}

// release writes the pictures that waited.
func (e *exporter) release() error {
	for _, p := range e.waiting {
		if err := e.put(e.video, p); err != nil {
			return err
		}
	}
	e.begun = e.begun || len(e.waiting) > 0
	e.waiting = nil
	return nil
}

// sound takes one audio piece, without what ends before the range begins.
func (e *exporter) sound(a *source) error {
	p := a.head
	for len(p.samples) > 0 {
		s := p.samples[0]
		if TimeOf(s.Decode+int64(s.Duration), p.scale).After(e.from) {
			break
		}
		p.samples = p.samples[1:]
	}
	if len(p.samples) == 0 {
		return nil
	}
	if p.info == nil {
		p.info = a.info
	}
	return e.put(e.audio, p)
}

// put writes the samples of a piece to the file.
func (e *exporter) put(t *outTrack, p parsed) error {
	fresh, err := t.use(p.info)
	if err != nil {
		return err
	}
	for i, s := range p.samples {
		at, err := e.join(t, rescale(s.Decode, p.scale, t.info.Timescale))
		if err != nil {
			return err
		}
		if i == 0 && (fresh || e.last != t || t.chunks[len(t.chunks)-1].samples >= chunkSamples) {
			t.chunks = append(t.chunks, chunk{offset: e.file.pos, entry: t.entry})
		}
		e.last = t
		t.chunks[len(t.chunks)-1].samples++
		t.samples = append(t.samples, outSample{
			decode: at, duration: uint32(rescale(int64(s.Duration), p.scale, t.info.Timescale)),
			offset: s.Offset, size: uint32(len(s.Data)), sync: s.Sync,
		})
		if err := e.file.write(s.Data); err != nil {
			return err
		}
	}
	return nil
}

// join makes the last sample end where the next begins, and notes a gap. A sample
// that is not later than the last, by a clock that was set back, comes a tick
// after it. It returns where the sample begins.
func (e *exporter) join(t *outTrack, at int64) (int64, error) {
	if len(t.samples) == 0 {
		return at, nil
	}
	last := &t.samples[len(t.samples)-1]
	at = max(at, last.decode+1)
	if at-last.decode > 1<<32-1 {
		return 0, fmt.Errorf("pack: export: %w: a pause of more than half a day", latchkey.ErrInvalid)
	}
	if end := t.end(); t.info.Video && at-end > int64(t.info.Timescale)/2 {
		e.gaps = append(e.gaps, Gap{TimeOf(end, t.info.Timescale), TimeOf(at, t.info.Timescale)})
	}
	last.duration = uint32(at - last.decode)
	return at, nil
}

// use makes the sample entry of an init the current one. It reports whether
// that is another than before.
func (t *outTrack) use(in *Info) (bool, error) {
	if in == nil {
		return false, nil
	}
	if t.entries == nil {
		t.info = *in
	} else if string(in.entry[4:8]) != string(t.info.entry[4:8]) {
		return false, fmt.Errorf("pack: export: %w", ErrCodecChanged)
	}
	t.width, t.height = max(t.width, in.Width), max(t.height, in.Height)
	for i, entry := range t.entries {
		if bytes.Equal(entry, in.entry) {
			changed := t.entry != uint32(i+1)
			t.entry = uint32(i + 1)
			return changed, nil
		}
	}
	t.entries = append(t.entries, in.entry)
	t.entry = uint32(len(t.entries))
	return true, nil
}

// rescale converts ticks between timescales.
func rescale(v int64, from, to uint32) int64 {
	if from == to {
		return v
	}
	f, t := int64(from), int64(to)
	return v/f*t + (v%f*t+f/2)/f
}

// finish writes the moov and closes the mdat.
func (e *exporter) finish() (Exported, error) {
	if len(e.video.samples) == 0 {
		return Exported{}, fmt.Errorf("pack: export: %w", ErrNoPicture)
	}
	first := e.video.samples[0]
	out := Exported{From: e.from, To: e.to, Gaps: e.gaps}
	if shown := TimeOf(first.decode+int64(first.offset), e.video.info.Timescale); shown.After(out.From) {
		out.From = shown
	}
	if end := TimeOf(e.video.end(), e.video.info.Timescale); end.Before(out.To) {
		out.To = end
	}
	if !out.From.Before(out.To) {
		return Exported{}, fmt.Errorf("pack: export: %w", ErrNoPicture)
	}
	tracks := []*outTrack{e.video}
	if len(e.audio.samples) > 0 {
		tracks = append(tracks, e.audio)
	}
	out.VideoSamples, out.AudioSamples = len(e.video.samples), len(e.audio.samples)
	return out, e.file.end(appendMoov(tracks, out.From, out.To))
}

// mp4File lays out ftyp, room for the moov, mdat.
type mp4File struct {
	w    io.WriteSeeker
	buf  *bufio.Writer
	pos  int64 // in the file
	room int64 // bytes reserved for the moov
	mdat int64 // where the mdat's header is
}

// The room reserved for the moov, per second of footage and in all: a camera
// with sound at 30 fps needs about 1.2 KiB a second.
const (
	moovPerSecond = 2 << 10
	moovFixed     = 4 << 10
	moovMost      = 16 << 20
)

func (f *mp4File) begin(length time.Duration) error {
	f.room = min(moovFixed+int64(length/time.Second+1)*moovPerSecond, moovMost)
	w := &boxes{}
	w.box("ftyp", func() { w.raw([]byte("isom\x00\x00\x02\x00isomiso6mp41")) })
	f.mdat = int64(len(w.b)) + f.room
	w.u32(uint32(f.room))
	w.raw([]byte("free"))
	w.raw(make([]byte, f.room-8))
	w.u32(1) // 64-bit size follows the type
	w.raw([]byte("mdat"))
	w.u64(0)
	return f.write(w.b)
}

func (f *mp4File) write(b []byte) error {
	n, err := f.buf.Write(b)
	f.pos += int64(n)
	if err != nil {
		return fmt.Errorf("pack: export: write: %w", err)
	}
	return nil
}

// end puts the moov into its room, or after the media where it is too large.
func (f *mp4File) end(moov []byte) error {
	size := f.pos - f.mdat
	left := f.room - int64(len(moov))
	fits := left == 0 || left >= 8
	if !fits {
		if err := f.write(moov); err != nil {
			return err
		}
	}
	if err := f.buf.Flush(); err != nil {
		return fmt.Errorf("pack: export: write: %w", err)
	}
	err := f.patch(f.mdat+8, binary.BigEndian.AppendUint64(nil, uint64(size)))
	if fits {
		if left > 0 {
			moov = binary.BigEndian.AppendUint32(moov, uint32(left))
			moov = append(moov, "free"...)
		}
		err = errors.Join(err, f.patch(f.mdat-f.room, moov))
	}
	return err
}

func (f *mp4File) patch(at int64, b []byte) error {
	if _, err := f.w.Seek(at, io.SeekStart); err != nil {
		return fmt.Errorf("pack: export: seek: %w", err)
	}
	if _, err := f.w.Write(b); err != nil {
		return fmt.Errorf("pack: export: write: %w", err)
	}
	if _, err := f.w.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("pack: export: seek: %w", err)
	}
	return nil
}
