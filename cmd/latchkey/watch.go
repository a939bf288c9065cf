package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/watch"
)

// watchWait bounds one request of a witness or auditor.
const watchWait = time.Minute

type witnessCmd struct {
	Dir        string   `required:"" placeholder:"DIR" help:"Where the witness keeps its key and what it has signed for."`
	Name       string   `placeholder:"NAME" help:"The name of its key, like witness.example; used at the first start."`
	Log        []string `placeholder:"VKEY|URL" help:"A log to witness: its verifier key, or a server that is asked for it once."`
	Listen     string   `default:"127.0.0.1:8450" placeholder:"ADDR" help:"host:port to listen on; logs post their checkpoints there."`
	WithParent bool     `hidden:"" help:"End when the standard input ends."`
	JSON       bool     `help:"Print key and address as one JSON document."`
}

// Run witnesses until it is stopped.
func (c *witnessCmd) Run(a *app) error {
	w, err := watch.OpenWitness(durable.Disk{}, c.Dir, c.Name)
	if err != nil {
		return advise(err, "Give --dir a folder that you can write to, and --name at the first start.")
	}
	ctx, stop := context.WithCancel(a.ctx)
	defer stop()
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return advise(fmt.Errorf("listen on %s: %w", c.Listen, err), "Choose another address with --listen, or stop the program that uses this one.")
	}
	address := "http://" + ln.Addr().String()
	if c.JSON {
		err = a.jsonLine(map[string]string{"vkey": w.VKey(), "address": address})
	} else {
		a.print("witness NAME %s %s", w.VKey(), address)
		a.say("That line goes into the policy of whose log it witnesses.")
	}
	if err != nil {
		return err
	}
	log := a.logger(slog.LevelInfo)
	for _, l := range c.Log {
		if strings.Contains(l, "://") {
			go follow(ctx, w, l, log)
		} else if err := w.Follow(l); err != nil {
			return advise(err, "--log takes the verifier key of a log, as its policy has it, or the address of a server.")
		}
	}
	server := &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: watchWait, WriteTimeout: watchWait, MaxHeaderBytes: 16 << 10}
	go func() {
		if c.WithParent {
			_, _ = io.Copy(io.Discard, a.in) // its end is what is waited for
			stop()
		}
	}()
	go func() {
		<-ctx.Done()
		_ = server.Close() // Serve says so
	}()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// follow asks a server for its log's key until it answers.
func follow(ctx context.Context, w *watch.Witness, server string, log *slog.Logger) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		vkey, err := watch.LogVKey(ctx, &http.Client{Timeout: watchWait}, server)
		if err == nil {
			err = w.Follow(vkey)
		}
		if err == nil {
			return
		}
		if !errors.Is(err, latchkey.ErrUnavailable) {
			log.Warn("the server's log is not witnessed", "server", server, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

type auditCmd struct {
	Server     string        `arg:"" placeholder:"URL" help:"The server whose log is audited."`
	Dir        string        `required:"" placeholder:"DIR" help:"Where the auditor keeps its key and what it has seen."`
	Name       string        `placeholder:"NAME" help:"The name of its key, like auditor.example; used at the first start."`
	Every      time.Duration `default:"10s" help:"How often it looks."`
	Once       bool          `help:"Look once and end."`
	WithParent bool          `hidden:"" help:"End when the standard input ends."`
	JSON       bool          `help:"Print the key as one JSON document."`
}

// Run replays the log and vouches for its sets; exit 4 with proof of
// misbehaviour.
func (c *auditCmd) Run(a *app) error {
	if err := checkServer(c.Server); err != nil {
		return err
	}
	auditor, err := watch.OpenAuditor(durable.Disk{}, c.Dir, c.Name, c.Server, &http.Client{Timeout: watchWait}, a.logger(slog.LevelInfo))
	if err != nil {
		return advise(err, "Give --dir a folder that you can write to, and --name at the first start.")
	}
	if c.JSON {
		err = a.jsonLine(map[string]string{"vkey": auditor.VKey()})
	} else {
		a.say("auditor NAME %s\nThat line goes into the policy of whose log it audits.", auditor.VKey())
	}
	if err != nil {
		return err
	}
	if c.Once {
		size, err := auditor.Round(a.ctx)
		if err != nil {
			return caught(err)
		}
		a.print("%d entries, all in order.", size)
		return nil
	}
	ctx, stop := context.WithCancel(a.ctx)
	defer stop()
	if c.WithParent {
		go func() {
			_, _ = io.Copy(io.Discard, a.in) // its end is what is waited for
			stop()
		}()
	}
	return caught(auditor.Run(ctx, c.Every))
}

func caught(err error) error {
	if m := (*watch.Misbehaviour)(nil); errors.As(err, &m) {
		return advise(err, "Publish the lines above: they prove it to everybody. Keep this folder.")
	}
	return err
}
