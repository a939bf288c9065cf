package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
)

type exportCmd struct {
	Camera string `arg:"" help:"The camera's name."`
	From   string `required:"" placeholder:"T" help:"RFC 3339 or like -5m."`
	To     string `required:"" placeholder:"T" help:"RFC 3339, like -4m, or now."`
	Output string `short:"o" required:"" placeholder:"FILE" help:"An .mp4 file, or an .lkx file with what proves it; that one has the keys of these seconds in it."`
	Sub    bool   `help:"The small stream."`
	JSON   bool   `help:"One JSON document about what was written."`
}

// Run writes the range to a temporary file first: a file under the asked name
// is always whole and verified.
func (c *exportCmd) Run(a *app) error {
	ext := filepath.Ext(c.Output)
	if ext != ".mp4" && ext != ".lkx" || ext == ".lkx" && c.Sub {
		return usage(fmt.Sprintf("%q is neither an .mp4 nor an .lkx file, or evidence of the small stream", c.Output), "Give -o a name that ends in .mp4, or in .lkx without --sub.")
	}
	span, err := parseRange(c.From, c.To, 0)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	progress := a.progress("export", int64(span.To.Sub(span.From).Seconds()))
	var report member.ExportReport
	err = writeWhole(c.Output, func(f *os.File) error {
		req := member.ExportRequest{Camera: c.Camera, Span: span, Sub: c.Sub, Progress: progress}
		if ext == ".lkx" {
			report, err = client.ExportEvidence(a.ctx, req, f)
		} else {
			report, err = client.Export(a.ctx, req, f)
		}
		return err
	})
	if errors.Is(err, latchkey.ErrNotFound) {
		return advise(err, "`latchkey camera list` has the names, `latchkey timeline CAMERA --from T --to T` tells what is recorded.")
	}
	if err != nil {
		return err
	}
	return c.tell(a, report)
}

// tell says what is in the file, and every gap.
func (c *exportCmd) tell(a *app, r member.ExportReport) error {
	gaps := a.tellGaps(r.Gaps)
	if c.JSON {
		return a.json(map[string]any{
			"file": c.Output, "from": stamp(r.From), "to": stamp(r.To), "parts": r.Parts, "bytes": r.Bytes,
			"video_frames": r.VideoFrames, "audio_parts": r.AudioParts, "gaps": gaps,
		})
	}
	a.say("%s: %s – %s, %d parts opened and verified.", c.Output, stamp(r.From), stamp(r.To), r.Parts)
	if filepath.Ext(c.Output) == ".lkx" {
		a.say("Whoever has this file can watch it and prove that it is genuine. Check it with `latchkey verify %s`.", c.Output)
		if r.Early {
			a.say("It does not prove yet that it was not recorded later: the hub puts a day into the public log when it has ended. Make the file again tomorrow, and it does.")
		}
	}
	return nil
}

// tellGaps says every gap, and returns them for JSON.
func (a *app) tellGaps(list []member.Gap) []any {
	for _, line := range gapLines(list) {
		a.say("%s", line)
	}
	return gapsJSON(list)
}

func gapLines(list []member.Gap) []string {
	var out []string
	for _, g := range list {
		word := "gap"
		if g.Alarm {
			word = "MISSING"
		}
		out = append(out, fmt.Sprintf("%s %s – %s: %s", word, stamp(g.From), stamp(g.To), gapWords(g.Why)))
	}
	return out
}

func gapsJSON(list []member.Gap) []any {
	out := []any{}
	for _, g := range list {
		out = append(out, map[string]any{"from": stamp(g.From), "to": stamp(g.To), "why": g.Why, "alarm": g.Alarm})
	}
	return out
}

// lineEvery is how often a long job says how far it is where a bar cannot move.
const lineEvery = 10 * time.Second

// longProgress is progress for jobs that may take hours: where there is no
// terminal it prints a plain line now and then.
func (a *app) longProgress(what string, total int64) func(done int64) {
	if isTerminalWriter(a.err) {
		return a.progress(what, total)
	}
	began := time.Now()
	next := began.Add(lineEvery)
	return func(done int64) {
		now := time.Now()
		if now.Before(next) || done <= 0 {
			return
		}
		next = now.Add(lineEvery)
		spent := now.Sub(began)
		left := time.Duration(float64(spent) * (float64(total)/float64(done) - 1))
		a.say("%s: %d of %d, %.0f %%, about %s left", what, done, total, 100*float64(done)/float64(max(total, 1)), max(left, 0).Round(time.Second))
	}
}

// progress returns a function that shows how far a long job is, in seconds of
// footage, on a terminal; elsewhere it shows nothing until the end.
func (a *app) progress(what string, total int64) func(done int64) {
	if !isTerminalWriter(a.err) {
		return func(int64) {}
	}
	bar := progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(a.err), progressbar.OptionSetDescription(what),
		progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(200e6),
	)
	return func(done int64) { _ = bar.Set64(min(done, total)) } // a progress bar that cannot draw stops nothing
}
