package member

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/pack"
	"latchkey.dev/latchkey/part"
)

// movie makes one mp4 of the parts of evidence: who writes a file and who checks
// it make it in the same way.
type movie struct {
	source *evidenceFile
	said   facts
	opener *seal.Opener
	epochs map[latchkey.EpochID]*epoch
	signed bool // every part's own signature is looked at

	video, audio *reader
}

func (m *movie) make(ctx context.Context, w io.WriteSeeker) (pack.Exported, error) {
	span := Span{time.Unix(m.said.From, 0), time.Unix(m.said.Until, 0)}
	m.video = m.reader(m.said.Video, evVideo)
	var sound iter.Seq2[pack.Piece, error]
	if m.said.Audio != (latchkey.TrackID{}) {
		m.audio = m.reader(m.said.Audio, evAudio)
		sound = m.audio.pieces(ctx, span, nil)
	}
	return pack.Export(w, m.video.pieces(ctx, span, nil), sound, span.From, span.To)
}

func (m *movie) each() []*reader {
	return slices.DeleteFunc([]*reader{m.video, m.audio}, func(r *reader) bool { return r == nil })
}

func (m *movie) parts() (n int) {
	for _, r := range m.each() {
		n += r.parts
	}
	return n
}

func (m *movie) bytes() (n int64) {
	for _, r := range m.each() {
		n += r.bytes
	}
	return n
}

func (m *movie) stretches(track latchkey.TrackID) []stretch {
	for _, r := range m.each() {
		if r.track == track {
			return r.got
		}
	}
	return nil
}

// reader reads the parts of one file in it, as if a server handed them out.
func (m *movie) reader(track latchkey.TrackID, name string) *reader {
	at := int64(0)
	return newReader(source{
		opener: m.opener,
		fetch: func(context.Context, query) ([]part.Part, *place, error) {
			parts, n, err := m.parse(name, at)
			if err != nil || len(parts) == 0 {
				return nil, nil, err
			}
			at += n
			for _, p := range parts {
				if err := m.fits(track, p); err != nil {
					return nil, nil, err
				}
			}
			if at == m.source.at[name].Size() {
				return parts, nil, nil
			}
			return parts, &place{epoch: parts[len(parts)-1].Header.Epoch, seq: parts[len(parts)-1].Header.Seq + 1}, nil
		},
		epoch: func(_ context.Context, id latchkey.EpochID) (*epoch, error) {
			if e := m.epochs[id]; e != nil {
				return e, nil
			}
			return nil, fmt.Errorf("%w: a part of epoch %v, whose note is not there", latchkey.ErrVerify, id)
		},
	}, track)
}

// parse reads the next parts from at on, and how many bytes they are.
func (m *movie) parse(name string, at int64) ([]part.Part, int64, error) {
	s, ok := m.source.at[name]
	if !ok || s.Size() == 0 {
		return nil, 0, fmt.Errorf("%s: %w", name, latchkey.ErrNotFound)
	}
	buf := make([]byte, min(s.Size()-at, footageMax))
	if _, err := io.ReadFull(io.NewSectionReader(s, at, int64(len(buf))), buf); err != nil {
		return nil, 0, err
	}
	var parts []part.Part
	var n int64
	for int(n) < len(buf) && n < footageChunk {
		p, _, err := part.Next(buf[n:])
		if errors.Is(err, io.ErrUnexpectedEOF) && len(parts) > 0 && at+int64(len(buf)) < s.Size() {
			break
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w: no part at byte %d", name, latchkey.ErrVerify, at+n)
		}
		parts, n = append(parts, p), n+int64(len(p.Raw))
	}
	return parts, n, nil
}

// fits: the part is of this track, of a second of the file, and its own signature
// holds.
func (m *movie) fits(track latchkey.TrackID, p part.Part) error {
	e := m.epochs[p.Header.Epoch]
	if e == nil {
		return fmt.Errorf("%w: a part of epoch %v, whose note is not there", latchkey.ErrVerify, p.Header.Epoch)
	}
	at := e.note.Start + int64(p.Header.Slot)
	if p.Header.Track != track || at < m.said.From || at >= m.said.Until {
		return fmt.Errorf("%w: part %v is of another track, or of a second that the file is not of", latchkey.ErrVerify, p.Header)
	}
	if m.signed {
		return p.VerifySig(e.note.Signer)
	}
	return nil
}
