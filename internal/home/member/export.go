package member

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/pack"
)

// ExportRequest says what to save.
type ExportRequest struct {
	Camera string
	Span   Span
	Sub    bool // the small stream
	// Progress is told how many seconds of the span have been read. May be nil.
	Progress func(seconds int64)
}

// ExportReport says what is in the file.
type ExportReport struct {
	Span            // shown by the file, after clipping to what was there
	Parts       int // opened and verified
	Bytes       int64
	VideoFrames int
	AudioParts  int
	Gaps        []Gap
	// Early: of evidence, that made again later it would have a bound of its time
	// from above: its epochs have not all ended and been anchored yet.
	Early bool
}

// Export writes one plain mp4 of the span: the camera's own samples, every one
// from a verified part. What does not verify ends it with latchkey.ErrVerify;
// what is missing is reported. A span without footage is latchkey.ErrNotFound.
func (c *Client) Export(ctx context.Context, req ExportRequest, w io.WriteSeeker) (ExportReport, error) {
	cam, err := c.find(ctx, req.Camera)
	if err != nil {
		return ExportReport{}, err
	}
	kind := latchkey.KindVideo
	if req.Sub {
		kind = latchkey.KindVideoSub
	}
	track, ok := cam.Track(kind)
	if !ok {
		return ExportReport{}, fmt.Errorf("member: export: camera %q has no such stream: %w", req.Camera, latchkey.ErrNotFound)
	}
	video := c.newReader(track.ID)
	var sound iter.Seq2[pack.Piece, error]
	var audio *reader
	if t, ok := cam.Track(latchkey.KindAudio); ok && !req.Sub {
		audio = c.newReader(t.ID)
		sound = audio.pieces(ctx, req.Span, nil)
	}
	done, exportErr := pack.Export(w, video.pieces(ctx, req.Span, req.Progress), sound, req.Span.From, req.Span.To)
	if exportErr != nil && !errors.Is(exportErr, latchkey.ErrNotFound) {
		return ExportReport{}, fmt.Errorf("member: export: %w", exportErr)
	}
	report := ExportReport{
		Span: Span{done.From, done.To}, Parts: video.parts, Bytes: video.bytes, VideoFrames: done.VideoSamples,
	}
	if audio != nil {
		report.Parts, report.Bytes, report.AudioParts = report.Parts+audio.parts, report.Bytes+audio.bytes, audio.parts
	}
	if report.Gaps, err = c.gapsOf(ctx, &cam, video, req.Span); err != nil {
		return report, err
	}
	return report, nothingThere(exportErr, report.Gaps)
}

// nothingThere tells a span in which nothing was recorded from one whose
// footage is withheld: the hub's notes know that there was some.
func nothingThere(err error, gaps []Gap) error {
	if err == nil {
		return nil
	}
	for _, g := range gaps {
		if g.Why == whyNotShared {
			err = fmt.Errorf("%w; some of this time is not shared with you", err)
			break
		}
	}
	for _, g := range gaps {
		if g.Why == whyMissing {
			return fmt.Errorf("member: export: %w: the hub sealed footage of this time, and the cloud does not hand it out", latchkey.ErrVerify)
		}
	}
	return fmt.Errorf("member: export: %w", err)
}

// pieces yields the media of a span as it is read and verified. An error ends it.
func (r *reader) pieces(ctx context.Context, span Span, progress func(int64)) iter.Seq2[pack.Piece, error] {
	return func(yield func(pack.Piece, error) bool) {
		stop := fmt.Errorf("stopped")
		err := r.read(ctx, query{from: span.From, to: span.To}, func(o opened) error {
			init, fragment := o.media()
			if fragment == nil {
				return nil // the end of an epoch: a part without a picture
			}
			if progress != nil {
				progress(int64(o.at().Sub(span.From) / time.Second))
			}
			if !yield(pack.Piece{Init: init, Data: fragment}, nil) {
				return stop
			}
			return nil
		})
		if err != nil && !errors.Is(err, stop) {
			yield(pack.Piece{}, err)
		}
	}
}

// gapsOf finds what was missing in footage that was read: the same judgement
// as Timeline, on verified parts instead of an index.
func (c *Client) gapsOf(ctx context.Context, cam *Camera, r *reader, span Span) ([]Gap, error) {
	s, err := c.survey(ctx, r.track, span)
	if err != nil {
		return nil, err
	}
	s.stretches = r.got
	if err := s.checkEnds(); err != nil {
		return nil, fmt.Errorf("member: export: %w", err)
	}
	m, err := c.explanations(ctx, cam, s)
	if err != nil {
		return nil, err
	}
	return s.gaps(m), nil
}

// checkEnds compares the parts read with the very parts that the hub's notes
// name.
func (s *survey) checkEnds() error {
	for i, e := range s.epochs {
		for _, st := range s.stretches {
			end := s.ends[i]
			if st.epoch == e && end.known && st.last == end.seq && st.hash != end.hash {
				return fmt.Errorf("%w: part %d of epoch %v is another than the hub noted", latchkey.ErrVerify, st.last, e.note.Epoch)
			}
		}
	}
	return nil
}
