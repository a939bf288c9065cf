package member

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/seal"
)

// ExportEvidence writes an .lkx file (spec/evidence): the footage of the span as
// it was sealed, what is needed to check it without a server, the keys of exactly
// these seconds in clear, and the movie. It begins with the second of the last
// picture before the span that can be shown by itself.
//
// While the public log is away the file has no proofs, and says so when it is
// checked; nor is anything waited for: until an anchor covers the footage, which
// takes a day, nothing in the file says when it was recorded at the latest. A span without footage is latchkey.ErrNotFound.
func (c *Client) ExportEvidence(ctx context.Context, req ExportRequest, w io.Writer) (ExportReport, error) {
	fail := func(err error) (ExportReport, error) { return ExportReport{}, fmt.Errorf("member: evidence: %w", err) }
	cam, err := c.find(ctx, req.Camera)
	if err != nil {
		return ExportReport{}, err
	}
	dir, err := os.MkdirTemp("", "latchkey-evidence-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(dir) // a leftover only wastes space
	e := &evidenceExport{c: c, req: req, file: &evidenceFile{at: map[string]*io.SectionReader{}}, dir: dir, heads: map[latchkey.EpochID]chain.Heads{}}
	defer e.close()
	if err := e.gather(ctx, cam); err != nil {
		return fail(err)
	}
	if err := e.write(ctx, w); err != nil {
		return fail(err)
	}
	report := e.report
	report.Gaps, err = c.gapsOf(ctx, &cam, e.video, report.Span)
	return report, err
}

// evidenceExport is one file on its way.
type evidenceExport struct {
	c      *Client
	req    ExportRequest
	dir    string
	file   *evidenceFile // the parts, before they are in the container
	opened []*os.File

	said         facts
	video, audio *reader
	epochs       []*latchkeyv1.EpochInfo
	heads        map[latchkey.EpochID]chain.Heads
	earlier      []*epoch // of each hub the one before its first, by their ids
	report       ExportReport
}

func (e *evidenceExport) close() {
	for _, f := range e.opened {
		f.Close()
	}
}

// temp makes a file that goes with the rest.
func (e *evidenceExport) temp(name string) (*os.File, error) {
	f, err := os.CreateTemp(e.dir, filepath.Base(name)+"-*")
	if err == nil {
		e.opened = append(e.opened, f)
	}
	return f, err
}

// gather fetches and verifies everything.
func (e *evidenceExport) gather(ctx context.Context, cam Camera) error {
	if _, err := e.c.sync(ctx); err != nil { // an anchor may be new
		return err
	}
	track, ok := cam.Track(latchkey.KindVideo)
	if !ok {
		return fmt.Errorf("camera %q has no picture: %w", e.req.Camera, latchkey.ErrNotFound)
	}
	e.said = facts{Household: e.c.ID(), Video: track.ID, From: e.req.Span.From.Unix(), Until: e.req.Span.To.Unix()}
	if e.req.Span.To.Nanosecond() > 0 {
		e.said.Until++
	}
	e.video = e.c.newReader(track.ID)
	if err := e.parts(ctx, e.video, evVideo, e.req.Progress); err != nil {
		return err
	}
	if len(e.video.got) == 0 {
		return fmt.Errorf("nothing is there of this time: %w", latchkey.ErrNotFound)
	}
	e.said.From = e.video.got[0].from().Unix()
	if t, ok := cam.Track(latchkey.KindAudio); ok {
		e.audio = e.c.newReader(t.ID)
		if err := e.parts(ctx, e.audio, evAudio, nil); err != nil {
			return err
		}
		if len(e.audio.got) > 0 {
			e.said.Audio = t.ID
		} else {
			e.audio = nil
		}
	}
	return e.notes(ctx)
}

// parts keeps the parts of a track, as they were sealed. The sound begins where
// the picture does.
func (e *evidenceExport) parts(ctx context.Context, r *reader, name string, progress func(int64)) error {
	f, err := e.temp(name)
	if err != nil {
		return err
	}
	var size int64
	from := time.Unix(e.said.From, 0)
	kept := newReader(r.source, r.track) // counts what is kept
	err = r.read(ctx, query{from: e.req.Span.From, to: time.Unix(e.said.Until, 0)}, func(o opened) error {
		if name == evAudio && o.at().Before(from) {
			return nil
		}
		if progress != nil {
			progress(int64(o.at().Sub(e.req.Span.From) / time.Second))
		}
		n, err := f.Write(o.raw)
		size += int64(n)
		if err == nil {
			kept.note(o)
		}
		return err
	})
	if err != nil {
		return err
	}
	r.got = kept.got
	if size > 0 {
		e.file.at[name] = io.NewSectionReader(f, 0, size)
	}
	return nil
}

// readers are those that there are.
func (e *evidenceExport) readers() []*reader {
	return slices.DeleteFunc([]*reader{e.video, e.audio}, func(r *reader) bool { return r == nil })
}

// notes fetches the notes of the epochs once more, as they were signed: the
// verified ones are known by their hashes.
func (e *evidenceExport) notes(ctx context.Context) error {
	used := e.used()
	var err error
	if e.earlier, err = e.before(ctx, used); err != nil {
		return err
	}
	sortEpochs(e.earlier)
	used = append(used, e.earlier...)
	sortEpochs(used)
	for _, u := range used {
		res, err := call(ctx, e.c, "get epoch", e.c.api.footage.GetEpochs, &latchkeyv1.GetEpochsRequest{Epochs: [][]byte{u.note.Epoch[:]}})
		if err != nil {
			return err
		}
		if len(res.Epochs) != 1 {
			return fmt.Errorf("%w: the server has no note of epoch %v any more", latchkey.ErrVerify, u.note.Epoch)
		}
		n, err := chain.ParseNote(res.Epochs[0].Note)
		if err != nil || n.Hash() != u.hash {
			return fmt.Errorf("%w: the server has another note of epoch %v than before", latchkey.ErrVerify, u.note.Epoch)
		}
		if h := res.Epochs[0].Heads; len(h) > 0 {
			heads, err := e.c.book.opener.CheckHeads(h)
			if err != nil {
				return err
			}
			e.heads[heads.Epoch] = heads
		}
		e.epochs = append(e.epochs, res.Epochs[0])
	}
	return nil
}

// write makes the movie and writes the container.
func (e *evidenceExport) write(ctx context.Context, w io.Writer) error {
	made, err := e.temp(evMovie)
	if err != nil {
		return err
	}
	epochs := map[latchkey.EpochID]*epoch{}
	for _, r := range e.readers() {
		for _, s := range r.got {
			epochs[s.epoch.note.Epoch] = s.epoch
		}
	}
	m := &movie{source: e.file, said: e.said, opener: e.c.book.opener, epochs: epochs}
	done, err := m.make(ctx, made)
	if err != nil {
		return err
	}
	e.report = ExportReport{Span: Span{time.Unix(e.said.From, 0).UTC(), time.Unix(e.said.Until, 0).UTC()}, Parts: m.parts(), Bytes: m.bytes(), VideoFrames: done.VideoSamples}
	if m.audio != nil {
		e.report.AudioParts = m.audio.parts
	}
	out := &evidenceWriter{tar: tar.NewWriter(w)}
	for _, step := range []func(context.Context, *evidenceWriter) error{e.writeFacts, e.writeNotes, e.writeSets, e.writeKeys} {
		if err := step(ctx, out); err != nil {
			return err
		}
	}
	for _, name := range []string{evVideo, evAudio} {
		if s := e.file.at[name]; s != nil {
			if err := out.copy(name, io.NewSectionReader(s, 0, s.Size()), s.Size()); err != nil {
				return err
			}
		}
	}
	size, err := made.Seek(0, io.SeekEnd)
	if err == nil {
		err = out.copy(evMovie, io.NewSectionReader(made, 0, size), size)
	}
	if err != nil {
		return err
	}
	return out.end()
}

// writeFacts writes what the file says of itself, the policy, the chain, and the
// proofs that can be had.
func (e *evidenceExport) writeFacts(ctx context.Context, w *evidenceWriter) error {
	if err := errors.Join(w.bytes(evReadme, []byte(evidenceReadme)), w.bytes(evFacts, []byte(e.said.text()))); err != nil {
		return err
	}
	proofs, err := e.proofs(ctx)
	if err != nil {
		return err
	}
	if pinned := e.c.vaultPolicy(); pinned != "" {
		if err := w.bytes(evPolicy, []byte(pinned)); err != nil {
			return err
		}
	}
	for seq, raw := range e.c.past().notes {
		if err := w.bytes(fmt.Sprintf("%s%06d", evChain, seq), raw); err != nil {
			return err
		}
	}
	for _, p := range proofs {
		if err := w.bytes(fmt.Sprintf("%s%06d", evProofs, p.seq), p.raw); err != nil {
			return err
		}
	}
	return nil
}

func (e *evidenceExport) writeNotes(_ context.Context, w *evidenceWriter) error {
	for _, prefix := range []string{evEpochs, evHeads} {
		for _, info := range e.epochs {
			n, err := chain.ParseNote(info.Note)
			if err != nil {
				return err
			}
			note, err := chain.ParseEpochNote(n)
			if err != nil {
				return err
			}
			raw := info.Note
			if prefix == evHeads {
				raw = info.Heads
			}
			if len(raw) == 0 {
				continue
			}
			if err := w.bytes(prefix+note.Epoch.String(), raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeKeys gives the keys of these seconds away.
func (e *evidenceExport) writeKeys(_ context.Context, w *evidenceWriter) error {
	plain, err := e.c.book.opener.Reveal(e.said.ranges(), func(k seal.Revealed) bool {
		from, until := k.Node.Range()
		for _, r := range e.readers() {
			if r.track == k.Track && slices.ContainsFunc(r.got, func(s stretch) bool {
				return s.epoch.note.Epoch == k.Epoch && s.firstSlot < until && from <= s.lastSlot
			}) {
				return true
			}
		}
		return false
	})
	if err != nil {
		return err
	}
	defer clear(plain)
	return w.bytes(evKeys, plain)
}
