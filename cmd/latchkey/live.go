package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/internal/home/pack"
)

type liveCmd struct {
	Camera string        `arg:"" help:"The camera's name."`
	Output string        `short:"o" placeholder:"FILE" default:"-" help:"Where to write fMP4; - is stdout, as in: latchkey live porch | ffplay -"`
	For    time.Duration `placeholder:"10s" help:"Stop after this long."`
	Sub    bool          `help:"The small stream."`
	Audio  bool          `help:"With sound."`
}

// Run writes the opened live picture as one fMP4 stream.
func (c *liveCmd) Run(a *app) error {
	if c.For < 0 {
		return usage("--for is negative", "Give a duration like 10s.")
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	out, closeOut, err := a.output(c.Output)
	if err != nil {
		return err
	}
	ctx, cancel := a.ctx, context.CancelFunc(func() {})
	if c.For > 0 {
		ctx, cancel = context.WithTimeout(a.ctx, c.For)
	}
	defer cancel()
	w := &mediaWriter{stream: pack.NewStream(out, c.Audio)}
	kind := latchkey.KindVideo
	if c.Sub {
		kind = latchkey.KindVideoSub
	}
	err = client.Live(ctx, member.LiveRequest{
		Camera: c.Camera, Kind: kind, Audio: c.Audio,
		Notice: func(n member.Notice) { a.say("live: %s", n.Text) },
	}, w.write)
	err = errors.Join(ignoreEnd(ctx, err), closeOut())
	if w.frames == 0 {
		removeEmpty(c.Output)
	}
	if err != nil {
		return err
	}
	if w.frames == 0 {
		return advise(fmt.Errorf("live %s: no picture came: %w", c.Camera, latchkey.ErrUnavailable),
			"`latchkey hub status` tells whether hub and camera are well.")
	}
	a.say("live: %d frames opened and verified, %s.", w.frames, size(w.bytes))
	return nil
}

// ignoreEnd drops the error that only says ctx is over: --for ran out or
// Ctrl-C, both of which are the normal end here.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return nil
	}
	return err
}

// mediaWriter puts live parts into one stream that players take as it comes.
type mediaWriter struct {
	stream *pack.Stream
	frames int
	bytes  int64
}

func (m *mediaWriter) write(f member.Media) error {
	piece := pack.Piece{Init: f.Init, Data: f.Fragment}
	m.bytes += int64(len(f.Fragment))
	add := m.stream.Video
	if f.Kind == latchkey.KindAudio {
		add = m.stream.Audio
	} else {
		m.frames++
	}
	if err := add(piece); err != nil {
		return advise(fmt.Errorf("write the picture: %w", err), "Check the disk, or the program that reads the pipe.")
	}
	return nil
}

// output opens a file for writing, or stdout for "-".
func (a *app) output(name string) (io.Writer, func() error, error) {
	if name == "-" {
		if isTerminalWriter(a.out) {
			return nil, nil, usage("a picture cannot be written to a terminal", "Give -o FILE, or pipe it into a player.")
		}
		return a.out, func() error { return nil }, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, nil, advise(fmt.Errorf("create output: %w", err), "Give a file in a folder that you can write to.")
	}
	return f, f.Close, nil
}

// removeEmpty takes away an output file that nothing came for. Pipes, devices
// and files with anything in them stay.
func removeEmpty(name string) {
	if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		_ = os.Remove(name) // an empty file left behind harms nobody
	}
}

func isTerminalWriter(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && info.Mode()&os.ModeDevice != 0 && f.Name() != os.DevNull
}
