package main

import (
	"fmt"

	"latchkey.dev/latchkey/internal/home/insider"
)

type insiderCmd struct {
	Data      []string `required:"" placeholder:"DIR" type:"existingdir" help:"A data directory of the cloud; may be repeated."`
	Database  string   `placeholder:"URL" help:"SQLite under DIR when absent; others come later."`
	Blobs     string   `placeholder:"URL" help:"Files under DIR when absent; others come later."`
	StaffKeys []string `placeholder:"DIR" type:"existingdir" help:"Keys that staff hold; may be repeated."`
	Memory    []string `placeholder:"FILE" type:"existingfile" help:"A memory image of the server; may be repeated."`
	Canary    []string `placeholder:"WORD" help:"A word that must not be readable anywhere; may be repeated."`
	Deep      bool     `help:"Also what takes hours."`
	JSON      bool     `help:"One JSON document."`
}

// minCanary is what the drill demands of a canary, in bytes.
const minCanary = 6

// Run plays the insider. Anything that opens is exit code 4.
func (c *insiderCmd) Run(a *app) error {
	if err := onlyEmbedded(c.Database, c.Blobs); err != nil {
		return err
	}
	for _, word := range c.Canary {
		if len(word) < minCanary {
			return usage(fmt.Sprintf("--canary %q is too short: such a word is found by chance", word), fmt.Sprintf("Give words of at least %d bytes.", minCanary))
		}
	}
	const kib = 1024 // the bar counts KiB, so that its numbers stay readable
	var tick func(int64)
	report, err := insider.Scan(a.ctx, insider.Config{
		DataDirs: c.Data, StaffKeyDirs: c.StaffKeys, MemoryImages: c.Memory, Canaries: c.Canary, Deep: c.Deep,
		Progress: func(done, total int64) {
			if tick == nil {
				tick = a.longProgress("insider (KiB)", total/kib)
			}
			tick(done / kib)
		},
	})
	if err != nil {
		return err
	}
	if c.JSON {
		if err := a.json(insiderJSON(report)); err != nil {
			return err
		}
	} else {
		a.printInsider(report)
	}
	switch {
	case len(report.Findings) > 0:
		return &adviceError{
			err: fmt.Errorf("insider: %d things open that must not", len(report.Findings)), code: exitVerify,
			next: "Treat the footage concerned as disclosed, and report the finding as SECURITY.md says.",
		}
	case len(report.Unread) > 0:
		return advise(fmt.Errorf("insider: %d files could not be read, so this proves nothing", len(report.Unread)),
			"Run it as a user who may read everything under --data.")
	}
	return nil
}

func (a *app) printInsider(r insider.Report) {
	for _, f := range r.Findings {
		a.print("OPENED %s: %s at %d: %s", f.Kind, f.File, f.Offset, f.What)
	}
	for _, u := range r.Unread {
		a.print("unread: %s", u)
	}
	a.say("%d files, %s (%s of it decoded), %d windows tried as keys against %d roots, %d parts, %d vaults and %d wraps in %s.",
		r.Files, size(r.Bytes), size(r.Decoded), r.Windows, r.Known.Roots, r.Known.Parts, r.Known.Vaults, r.Known.Wraps, r.Elapsed.Round(1e8))
	if r.Known.Held > 0 {
		a.say("With %d keys of staff, %d keys of capsules were opened and held against the footage.", r.Known.Held, r.Known.Opened)
	}
	for _, l := range r.LeftToDeep {
		a.say("Not tried without --deep: %s", l)
	}
	if len(r.Findings) == 0 {
		a.say("Nothing opens.")
	}
}

// insiderJSON is the document of `insider --json`.
func insiderJSON(r insider.Report) map[string]any {
	findings := []any{}
	for _, f := range r.Findings {
		findings = append(findings, map[string]any{"kind": string(f.Kind), "file": f.File, "offset": f.Offset, "what": f.What})
	}
	return map[string]any{
		"findings": findings, "files": r.Files, "unread": append([]string{}, r.Unread...), "bytes": r.Bytes, "decoded": r.Decoded,
		"windows": r.Windows, "skipped": r.Skipped, "tests": r.Tests, "left_to_deep": append([]string{}, r.LeftToDeep...),
		"known": map[string]int{
			"epoch_notes": r.Known.EpochNotes, "roots": r.Known.Roots, "parts": r.Known.Parts, "slots": r.Known.Slots,
			"path_slots": r.Known.PathSlots, "sealing_keys": r.Known.SealingKeys, "signing_keys": r.Known.SigningKeys,
			"wraps": r.Known.Wraps, "vaults": r.Known.Vaults, "staff_keys": r.Known.Held, "staff_entries": r.Known.Opened,
		},
		"seconds": r.Elapsed.Seconds(),
	}
}
