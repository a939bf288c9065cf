package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"latchkey.dev/latchkey/internal/cloud"
)

// Exit codes, as those of latchkey.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

type grammar struct {
	Serve serveCmd `cmd:"" help:"Run the cloud."`
	Fsck  fsckCmd  `cmd:"" help:"Check every invariant of the stores."`
}

// app is what a command gets of its process.
type app struct {
	ctx      context.Context
	out, err io.Writer
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	var g grammar
	helped := false
	parser, err := kong.New(&g, kong.Name("latchkey-cloud"),
		kong.Description("The Latchkey cloud: keeps and relays sealed footage, and cannot open it."),
		kong.Writers(out, errs), kong.Exit(func(int) { helped = true }), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return fail(errs, err, exitFailed, "Report the line above.")
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	switch {
	case helped:
		return exitDone
	case err != nil:
		return fail(errs, err, exitUsage, "See `latchkey-cloud --help`.")
	}
	if err := parsed.Run(&app{ctx: ctx, out: out, err: errs}); err != nil {
		return fail(errs, err, exitFailed, "Check the folder, the address and the disk named above, and start again.")
	}
	return exitDone
}

func fail(errs io.Writer, err error, code int, next string) int {
	fmt.Fprintf(errs, "latchkey-cloud: %v\nNext: %s\n", err, next)
	return code
}

type serveCmd struct {
	Data          string        `required:"" placeholder:"DIR" help:"Where the cloud keeps its data."`
	Listen        string        `default:"127.0.0.1:8440" placeholder:"ADDR" help:"host:port to listen on."`
	PublicURL     string        `name:"public-url" placeholder:"URL" help:"The origin that browsers and hubs use, like https://cloud.example."`
	BehindProxy   bool          `help:"Callers' addresses are what the proxy in front puts last into X-Forwarded-For."`
	MetricsListen string        `placeholder:"ADDR" help:"host:port for Prometheus metrics; never the public one."`
	Watchers      string        `type:"existingfile" placeholder:"FILE" help:"Who watches the public log: witnesses, quorum and auditors, as lines of a policy."`
	Release       string        `type:"existingfile" placeholder:"FILE" help:"The signed release note of the web app; it comes into the public log."`
	ProofEvery    time.Duration `default:"10s" placeholder:"DURATION" help:"How soon after one another the public log proves new statements: additions to a household wait for that."`
	LogFile       string        `placeholder:"FILE" help:"Write logs there too, as JSON lines."`
}

// Run serves until the process is told to stop.
func (c *serveCmd) Run(a *app) error {
	if c.ProofEvery <= 0 {
		return fmt.Errorf("--proof-every is not a time above zero")
	}
	watchers, err := readOptional(c.Watchers)
	if err != nil {
		return err
	}
	release, err := readOptional(c.Release)
	if err != nil {
		return err
	}
	server, err := cloud.New(cloud.Config{
		DataDir: c.Data, PublicURL: c.PublicURL, BehindProxy: c.BehindProxy, MetricsListen: c.MetricsListen, LogFile: c.LogFile,
		Logger: slog.New(slog.NewTextHandler(a.err, nil)), Log: cloud.LogConfig{Watchers: string(watchers), SetSoon: c.ProofEvery}, Release: release,
	})
	if err != nil {
		return err
	}
	defer server.Close()
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	fmt.Fprintf(a.err, "The cloud listens on http://%s\n", ln.Addr())
	return server.Run(a.ctx, ln)
}

// readOptional reads the file of a flag, if there is one.
func readOptional(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	return os.ReadFile(path)
}

type fsckCmd struct {
	Data string `required:"" placeholder:"DIR" type:"existingdir" help:"The cloud's data directory."`
	JSON bool   `help:"One JSON document."`
}

// Run checks the stores and changes nothing.
func (c *fsckCmd) Run(a *app) error {
	r, err := cloud.Fsck(a.ctx, cloud.Config{DataDir: c.Data})
	if err != nil {
		return err
	}
	if err := c.print(a.out, r); err != nil {
		return err
	}
	if len(r.Problems) > 0 {
		return fmt.Errorf("fsck: %d problems", len(r.Problems))
	}
	return nil
}

// print writes the report; the JSON is the same as that of `latchkey fsck`.
func (c *fsckCmd) print(out io.Writer, r cloud.Report) error {
	if !c.JSON {
		for _, p := range r.Problems {
			fmt.Fprintf(out, "%s %s: %s\n", p.Kind, p.Object, p.Text)
		}
		_, err := fmt.Fprintf(out, "%d epochs, %d reels and %d open ones, %d parts, %d bytes; %d problems\n",
			r.Epochs, r.Reels, r.OpenReels, r.Parts, r.Bytes, len(r.Problems))
		return err
	}
	problems := []any{}
	for _, p := range r.Problems {
		problems = append(problems, map[string]string{"kind": p.Kind, "object": p.Object, "text": p.Text})
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{
		"epochs": r.Epochs, "reels": r.Reels, "parts": r.Parts, "bytes": r.Bytes, "open_reels": r.OpenReels, "problems": problems,
	})
}
