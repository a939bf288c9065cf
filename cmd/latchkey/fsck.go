package main

import (
	"fmt"

	"latchkey.dev/latchkey/internal/cloud"
)

type fsckCmd struct {
	Data     string `required:"" placeholder:"DIR" type:"existingdir" help:"The cloud's data directory."`
	Database string `placeholder:"URL" help:"SQLite under DIR when absent; others come later."`
	Blobs    string `placeholder:"URL" help:"Files under DIR when absent; others come later."`
	JSON     bool   `help:"One JSON document."`
}

// Run checks the stores and changes nothing.
func (c *fsckCmd) Run(a *app) error {
	if err := onlyEmbedded(c.Database, c.Blobs); err != nil {
		return err
	}
	report, err := cloud.Fsck(a.ctx, cloud.Config{DataDir: c.Data})
	if err != nil {
		return err
	}
	problems := []any{}
	for _, p := range report.Problems {
		problems = append(problems, map[string]string{"kind": p.Kind, "object": p.Object, "text": p.Text})
	}
	if c.JSON {
		err = a.json(map[string]any{
			"epochs": report.Epochs, "reels": report.Reels, "parts": report.Parts, "bytes": report.Bytes,
			"open_reels": report.OpenReels, "problems": problems,
		})
	} else {
		for _, p := range report.Problems {
			a.print("%s %s: %s", p.Kind, p.Object, p.Text)
		}
		a.say("%d epochs, %d reels and %d open ones, %d parts, %s; %d problems.",
			report.Epochs, report.Reels, report.OpenReels, report.Parts, size(report.Bytes), len(problems))
	}
	if err == nil && len(problems) > 0 {
		err = &adviceError{
			err: fmt.Errorf("fsck: %d problems", len(problems)), code: exitFailed,
			next: "Keep a copy of the data directory, then look at the objects named above.",
		}
	}
	return err
}
