package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
)

type shareCmd struct {
	Camera string        `arg:"" help:"The camera's name."`
	From   string        `required:"" placeholder:"T" help:"RFC 3339 or like -5m."`
	To     string        `required:"" placeholder:"T" help:"RFC 3339, like -4m, or now."`
	For    time.Duration `default:"168h" placeholder:"168h" help:"How long the link works; 7 days at most without --long."`
	Sound  bool          `help:"With the sound. Without it the link shows the picture only."`
	Note   string        `placeholder:"TEXT" help:"A line for whoever opens the link; only the link can read it."`
	Long   bool          `help:"Really: more than 24 hours of footage, or for more than 7 days."`
	JSON   bool          `help:"One JSON document."`
}

// Run prints a link once what it opens is handed over, which is after its grant
// was proven to stand in the public log.
func (c *shareCmd) Run(a *app) error {
	span, err := parseRange(c.From, c.To, 0)
	if err != nil {
		return err
	}
	if c.For <= 0 {
		return usage("--for has to be longer than nothing", "Write it like 24h; 7 days when absent.")
	}
	client, err := a.goOn()
	if err != nil {
		return err
	}
	defer client.Close()
	s, err := client.ShareLink(a.ctx, member.ShareRequest{
		Camera: c.Camera, Span: span, For: c.For, Sound: c.Sound, Note: c.Note, Zone: a.zone(), Long: c.Long,
	}, a.grantSteps())
	if err != nil {
		return shareTrouble(err)
	}
	if c.JSON {
		err = a.json(map[string]any{
			"grant": s.Grant.String(), "link": s.Link, "from": stamp(s.Span.From), "to": stamp(s.Span.To), "until": stamp(s.Until), "sound": c.Sound,
		})
	} else {
		a.print("%s", s.Link)
		a.say("Whoever has this link sees %s, %s – %s, until %s. `latchkey revoke %s` ends it.",
			c.Camera, stamp(s.Span.From), stamp(s.Span.To), stamp(s.Until), s.Grant.String()[:8])
	}
	return errors.Join(err, client.LinkShown(s.Grant))
}

// grantSteps says how far a grant is.
func (a *app) grantSteps() func(member.GrantStep) {
	return func(s member.GrantStep) {
		switch s {
		case member.StepWritten:
			a.say("Written into the household's chain; nothing is handed over before the public log has it …")
		case member.StepLogAway:
			a.say("The public log cannot be read now; waiting for it …")
		case member.StepInLog:
			a.say("In the public log; waiting until its witnesses vouch for it …")
		case member.StepWitnessed:
			a.say("Proven.")
		}
	}
}

func shareTrouble(err error) error {
	switch {
	case errors.Is(err, member.ErrLogWaits):
		return advise(err, "Nothing was handed over. `latchkey grants` goes on when the log is back, also after a restart; `latchkey revoke GRANT` drops it.")
	case errors.Is(err, latchkey.ErrNotFound):
		return advise(err, "`latchkey camera list` has the names, `latchkey timeline CAMERA --from T --to T` tells what is recorded.")
	case errors.Is(err, latchkey.ErrTooMany):
		return advise(err, "Give a shorter time.")
	case errors.Is(err, latchkey.ErrInvalid):
		return asUsage(err, "See `latchkey share --help`; --long asks for more than 24 hours of footage or 7 days.")
	}
	return ledgerTrouble(err)
}

// zone is this machine's time zone by its IANA name; empty when it has none.
func (a *app) zone() string {
	if name := strings.TrimPrefix(a.env("TZ"), ":"); name != "" {
		if _, err := time.LoadLocation(name); err == nil {
			return name
		}
		return ""
	}
	target, err := filepath.EvalSymlinks("/etc/localtime")
	if err != nil {
		return ""
	}
	_, name, _ := strings.Cut(target, "zoneinfo/")
	if _, err := time.LoadLocation(name); err != nil {
		return ""
	}
	return name
}

type openCmd struct {
	Link   string `arg:"" help:"The link, as you got it."`
	Output string `short:"o" required:"" placeholder:"FILE" help:"An .mp4 file."`
	JSON   bool   `help:"One JSON document about what was written."`
}

// Run opens a link; it needs no account and leaves nothing but the file.
func (c *openCmd) Run(a *app) error {
	if filepath.Ext(c.Output) != ".mp4" {
		return usage(fmt.Sprintf("%q is no .mp4 file", c.Output), "Give -o a name that ends in .mp4.")
	}
	s, err := c.open(a)
	if err != nil {
		return openTrouble(err)
	}
	defer s.Close()
	c.introduce(a, s)
	report, err := a.exportShared(s, c.Output)
	if err != nil {
		return openTrouble(err)
	}
	gaps := a.tellGaps(report.Gaps)
	if c.JSON {
		return a.json(map[string]any{
			"file": c.Output, "verified": true, "shared_by": s.From, "camera": s.Camera, "note": s.Note, "zone": s.Zone,
			"from": stamp(s.Span.From), "to": stamp(s.Span.To), "until": stamp(s.Until), "sound": s.Sound,
			"log": s.Log, "witnesses": s.Witnesses, "logged": orNull(s.Logged), "discarded": s.Stray,
			"parts": report.Parts, "bytes": report.Bytes, "video_frames": report.VideoFrames, "audio_parts": report.AudioParts, "gaps": gaps,
		})
	}
	a.say("%s: %s – %s, %d parts opened and verified.", c.Output, stamp(report.From), stamp(report.To), report.Parts)
	return nil
}

// exportShared writes what was opened into a file.
func (a *app) exportShared(s *member.Shared, output string) (report member.ExportReport, err error) {
	err = writeWhole(output, func(f *os.File) error {
		report, err = s.Export(a.ctx, f, a.progress("open", int64(s.Span.To.Sub(s.Span.From).Seconds())))
		return err
	})
	return report, err
}

// open opens a link: with the keys of this machine's member, if there is one and
// the link is to a person.
func (c *openCmd) open(a *app) (*member.Shared, error) {
	s, err := member.OpenLink(a.ctx, http.DefaultClient, c.Link)
	if !errors.Is(err, latchkey.ErrRefused) {
		return s, err
	}
	client, noKeys := a.client()
	if noKeys != nil {
		return nil, err
	}
	defer client.Close()
	return client.OpenOwnLink(a.ctx, http.DefaultClient, c.Link)
}

// introduce says who shared what, and what is proven of it.
func (c *openCmd) introduce(a *app, s *member.Shared) {
	whom := "whoever has this link"
	if s.Own {
		whom = "you alone"
	}
	a.say("%s shared footage of %s with %s.", orSomebody(s.From), orSomething(s.Camera), whom)
	if s.Note != "" {
		a.say("They write: %s", s.Note)
	}
	a.say("Footage: %s – %s. The link works until %s.", stamp(s.Span.From), stamp(s.Span.To), stamp(s.Until))
	vouch := "no witness watches that log"
	if s.Witnesses > 0 {
		vouch = fmt.Sprintf("%s watch that log", many(uint64(s.Witnesses), "witness"))
		if s.Witnesses > 1 {
			vouch = fmt.Sprintf("%d witnesses watch that log", s.Witnesses)
		}
	}
	a.say("Verified: the grant stands in the public log %s (%s); the footage is signed by the hub that the grant names. Names and words are those of who made the link.", s.Log, vouch)
	if s.Stray > 0 {
		a.say("The link held %s beyond what was shared; they were discarded.", many(uint64(s.Stray), "key"))
	}
}

func orSomebody(name string) string {
	if name == "" {
		return "Somebody without a name"
	}
	return name
}

func orSomething(name string) string {
	if name == "" {
		return "a camera"
	}
	return name
}

func openTrouble(err error) error {
	switch {
	case errors.Is(err, latchkey.ErrInvalid) && !errors.Is(err, latchkey.ErrVerify):
		return asUsage(err, "Copy the whole link, with what comes after the #, and put it in quotes.")
	case errors.Is(err, latchkey.ErrNotFound):
		return advise(err, "The link was ended, its time is over, or nothing was recorded then. Ask who shared it.")
	case errors.Is(err, latchkey.ErrRefused):
		return advise(err, "Open it on the machine that has the keys of your card, or set LATCHKEY_HOME to where they are. If it is not yours, give whoever shared it what `latchkey card` prints, and ask for a new one.")
	case errors.Is(err, latchkey.ErrVerify):
		return advise(err, "Nothing was opened. Ask who shared it for a new link, and whether theirs opens for them.")
	}
	return err
}

// writeWhole writes a temporary file first: a file under the asked name is
// always whole.
func writeWhole(name string, write func(*os.File) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".latchkey-export-*")
	if err != nil {
		return advise(fmt.Errorf("create output: %w", err), "Give a file in a folder that you can write to.")
	}
	defer os.Remove(tmp.Name()) // after the rename there is nothing left to remove
	if err := errors.Join(write(tmp), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return fmt.Errorf("name the file: %w", err)
	}
	return nil
}
