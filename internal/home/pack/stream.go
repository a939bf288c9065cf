package pack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	latchkey "latchkey.dev/latchkey"
)

// Stream writes opened pieces as one fMP4 stream that players take as it
// comes: init once, fragments re-based so that time begins at zero. It is not
// safe for concurrent use.
type Stream struct {
	w         io.Writer
	wantAudio bool

	video, audio streamTrack
	begun        bool
	zero         int64 // movieScale ticks of the first picture
	seq          uint32
	held         []parsed // video that waits for the first sound
	pictures     int      // in held
}

// streamTrack is one track of a Stream.
type streamTrack struct {
	id   uint32
	info *Info
	init []byte
}

// maxHeld, in pictures, bounds how long the stream waits for sound before it begins without.
const maxHeld = 50

// NewStream returns a stream on w with a video track, and an audio track when
// audio is true. Where the sound does not come within the first 50 pictures,
// the stream has none.
func NewStream(w io.Writer, audio bool) *Stream {
	return &Stream{w: w, wantAudio: audio, video: streamTrack{id: 1}, audio: streamTrack{id: 2}}
}

// Video adds the next video piece; pieces before the first random-access one
// are dropped. New parameter sets travel inside the stream: they are put in
// front of the random-access picture where the camera did not do so itself,
// the only bytes this package ever adds to a sample. A change of codec ends
// the stream with ErrCodecChanged.
func (s *Stream) Video(p Piece) error {
	changed, err := s.video.use(p.Init)
	if err != nil || s.video.info == nil {
		return err
	}
	head, samples, err := parseFragment(p.Data)
	if err != nil {
		return err
	}
	if changed && s.begun {
		samples[0].Data = s.video.withParams(samples[0].Data)
	}
	s.held = append(s.held, parsed{head: head, samples: samples, info: s.video.info})
	s.pictures += len(samples)
	if s.wantAudio && s.audio.info == nil && s.pictures < maxHeld && !s.begun {
		return nil
	}
	return s.release()
}

// Audio adds the next audio piece; what was captured before the first picture
// is dropped.
func (s *Stream) Audio(p Piece) error {
	if s.begun && !s.wantAudio {
		return nil
	}
	changed, err := s.audio.use(p.Init)
	if err != nil || s.audio.info == nil {
		return err
	}
	if changed && s.begun {
		return fmt.Errorf("pack: stream: %w", ErrCodecChanged)
	}
	if s.video.info == nil {
		return nil
	}
	if err := s.release(); err != nil {
		return err
	}
	head, samples, err := parseFragment(p.Data)
	if err != nil {
		return err
	}
	return s.fragment(&s.audio, head, samples)
}

// use takes an init and reports whether it differs from the last.
func (t *streamTrack) use(init []byte) (bool, error) {
	if init == nil || bytes.Equal(init, t.init) {
		return false, nil
	}
	in, err := ParseInit(init)
	if err != nil {
		return false, err
	}
	if t.info != nil && string(t.info.entry[4:8]) != string(in.entry[4:8]) {
		return false, fmt.Errorf("pack: stream: %w", ErrCodecChanged)
	}
	t.info, t.init = &in, init
	return true, nil
}

// release writes the init, if it is not out, and the pictures that waited.
func (s *Stream) release() error {
	if !s.begun && len(s.held) > 0 {
		if err := s.begin(); err != nil {
			return err
		}
	}
	for _, p := range s.held {
		if err := s.fragment(&s.video, p.head, p.samples); err != nil {
			return err
		}
	}
	s.held = s.held[:0]
	return nil
}

// begin writes one init for all tracks.
func (s *Stream) begin() error {
	first := s.held[0]
	s.begun, s.zero = true, rescale(first.head.decode, first.info.Timescale, movieScale)
	s.wantAudio = s.wantAudio && s.audio.info != nil
	tracks := []*streamTrack{&s.video}
	if s.wantAudio {
		tracks = append(tracks, &s.audio)
	}
	w := &boxes{}
	w.box("ftyp", func() { w.raw([]byte("iso6\x00\x00\x02\x00iso6mp41")) })
	w.box("moov", func() {
		w.mvhd(0, uint32(len(tracks)))
		for _, t := range tracks {
			w.raw(t.trak())
		}
		w.box("mvex", func() {
			for _, t := range tracks {
				w.full("trex", 0, 0, func() { w.u32(t.id, 1, 0, 0, 0) })
			}
		})
	})
	return s.write(w.b)
}

// trak returns the track's box with its id in this stream.
func (t *streamTrack) trak() []byte {
	b := bytes.Clone(t.info.trak)
	// trak header, tkhd header, version and flags, two times (version 0).
	const idAt = 8 + 8 + 4 + 8
	binary.BigEndian.PutUint32(b[idAt:], t.id)
	return b
}

// fragment writes one fragment on the stream's own time.
func (s *Stream) fragment(t *streamTrack, h moofHead, samples []Sample) error {
	if h.video != t.info.Video {
		return fmt.Errorf("pack: stream: %w: a fragment of another kind of track", latchkey.ErrInvalid)
	}
	h.decode -= rescale(s.zero, movieScale, t.info.Timescale)
	if h.decode < 0 {
		return nil
	}
	s.seq++
	h.seq, h.track = s.seq, t.id
	return s.write(appendFragment(nil, h, samples))
}

func (s *Stream) write(b []byte) error {
	if _, err := s.w.Write(b); err != nil {
		return fmt.Errorf("pack: stream: write: %w", err)
	}
	return nil
}

// withParams puts the parameter sets of the sample entry in front of a sample.
func (t *streamTrack) withParams(sample []byte) []byte {
	sets := t.info.paramSets()
	if bytes.Contains(sample, sets) {
		return sample
	}
	return append(sets, sample...)
}
