package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"latchkey.dev/latchkey/internal/cloud"
)

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
	Database      string        `placeholder:"URL" help:"SQLite under DIR when absent; others come later."`
	Blobs         string        `placeholder:"URL" help:"Files under DIR when absent; others come later."`
	Bus           string        `placeholder:"URL" help:"In this process when absent; others come later."`
}

// Run is the cloud until it is stopped; it holds no key that opens anything.
func (c *serveCmd) Run(a *app) error {
	if err := onlyEmbedded(c.Database, c.Blobs, c.Bus); err != nil {
		return err
	}
	if c.PublicURL != "" {
		if u, err := url.Parse(c.PublicURL); err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" {
			return usage(fmt.Sprintf("--public-url %q is not an origin", c.PublicURL), "Write it like https://cloud.example.")
		}
	}
	if c.ProofEvery <= 0 {
		return usage("--proof-every is not a time above zero", "Write it like 10s.")
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
		DataDir: c.Data, PublicURL: strings.TrimSuffix(c.PublicURL, "/"), BehindProxy: c.BehindProxy, MetricsListen: c.MetricsListen,
		LogFile: c.LogFile, Logger: a.logger(slog.LevelInfo), Log: cloud.LogConfig{Watchers: string(watchers), SetSoon: c.ProofEvery}, Release: release,
	})
	if err != nil {
		return advise(err, "Check that --data is a folder you can write to and that no other server uses it, and what the files of --watchers and --release say.")
	}
	defer server.Close()
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return advise(fmt.Errorf("listen on %s: %w", c.Listen, err), "Choose another address with --listen, or stop the program that uses this one.")
	}
	a.say("The cloud listens on http://%s", ln.Addr())
	return server.Run(a.ctx, ln)
}

// readOptional reads the file of a flag, if there is one.
func readOptional(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	return os.ReadFile(path)
}

// onlyEmbedded refuses stores that this version does not have.
func onlyEmbedded(urls ...string) error {
	for _, u := range urls {
		if u != "" {
			return usage(fmt.Sprintf("%q: this version has only its own embedded stores", u), "Leave the flag out.")
		}
	}
	return nil
}
