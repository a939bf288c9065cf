package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"latchkey.dev/latchkey/internal/home/member"
)

// app is what every command gets: the process's streams, its lifetime and
// where keys live.
type app struct {
	stdio
	ctx   context.Context
	model *kong.Application
}

// home returns the folder of this person's or hub's keys.
func (a *app) home() (string, error) {
	if dir := a.env("LATCHKEY_HOME"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", advise(fmt.Errorf("cannot tell where keys live: %w", err), "Set LATCHKEY_HOME to a folder of yours.")
	}
	return filepath.Join(dir, "latchkey"), nil
}

// memberOptions says where this person's keys are and how to reach a server.
func (a *app) memberOptions() (member.Options, error) {
	home, err := a.home()
	if err != nil {
		return member.Options{}, err
	}
	return member.Options{Home: home, HTTP: http.DefaultClient, Log: a.logger(slog.LevelWarn), Device: deviceName(), Waits: a.waits}, nil
}

// waits tells what a command waits for: without it, some seconds without a word.
func (a *app) waits(what string) {
	a.say("Waiting until the public log has proven %s …", what)
}

// client opens this machine's member.
func (a *app) client() (*member.Client, error) {
	opts, err := a.memberOptions()
	if err != nil {
		return nil, err
	}
	c, err := member.Open(opts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, advise(fmt.Errorf("no household on this machine (looked in %s)", opts.Home),
			"Run `latchkey household create`, `latchkey member join` with an invitation, or `latchkey recover` with a recovery code; set LATCHKEY_HOME if the keys are elsewhere.")
	}
	return c, err
}

// goOn opens this machine's member and goes on with the grants that an earlier
// command has left waiting, if the log is there now.
func (a *app) goOn() (*member.Client, error) {
	client, err := a.client()
	if err != nil {
		return nil, err
	}
	done, waiting, err := client.ReleaseGrants(a.ctx, 0)
	for _, d := range done {
		if d.Link != "" {
			a.say("A link from before is ready: `latchkey grants` shows it.")
		} else {
			a.say("A grant from before was handed over: %s.", d.Grant.String()[:8])
		}
	}
	if len(waiting) > 0 {
		a.say("%s for the public log; nothing of what waits was handed over.", waits(len(waiting)))
	}
	if err != nil {
		a.say("A grant from before could not be handed over: %s", sentence(err))
	}
	return client, nil
}

// logger writes structured logs for people to stderr, from level on.
func (a *app) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
}

// say writes one line for people.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.err, format+"\n", args...)
}

// print writes one line of data.
func (a *app) print(format string, args ...any) {
	fmt.Fprintf(a.out, format+"\n", args...)
}

// json writes one JSON document.
func (a *app) json(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// jsonLine writes one JSON object on one line, for streams.
func (a *app) jsonLine(v any) error {
	return json.NewEncoder(a.out).Encode(v)
}

// table writes rows of tab-separated cells as aligned columns.
func (a *app) table(rows ...string) error {
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, row)
	}
	return w.Flush()
}

// readLine reads one line from stdin without its end.
func (a *app) readLine() (string, error) {
	line, err := bufio.NewReader(a.in).ReadString('\n')
	line = strings.TrimSpace(line)
	if line == "" && err != nil {
		if errors.Is(err, io.EOF) {
			return "", usage("nothing was typed", "Type the value, or pipe it in.")
		}
		return "", fmt.Errorf("read stdin: %w", err)
	}
	return line, nil
}

// parseTime reads RFC 3339, "now", or a duration relative to now such as -5m.
func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "now" {
		return now, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
		if d, err := time.ParseDuration(s); err == nil {
			return now.Add(d), nil
		}
	}
	return time.Time{}, usage(fmt.Sprintf("%q is not a time", s),
		"Write it like 2026-01-31T18:05:00Z, or relative to now like -5m or -1h30m.")
}

// parseRange reads --from and --to; an empty from is span before to, an empty
// to is now. from must be before to.
func parseRange(from, to string, span time.Duration) (member.Span, error) {
	now := time.Now()
	end := now
	var err error
	if to != "" {
		if end, err = parseTime(to, now); err != nil {
			return member.Span{}, err
		}
	}
	begin := end.Add(-span)
	if from != "" {
		if begin, err = parseTime(from, now); err != nil {
			return member.Span{}, err
		}
	}
	if !begin.Before(end) {
		return member.Span{}, usage(fmt.Sprintf("the range is empty: it begins at %s and ends at %s", stamp(begin), stamp(end)),
			"Give a --from that is earlier than --to.")
	}
	return member.Span{From: begin, To: end}, nil
}

// stamp is how times are written: RFC 3339 in UTC, milliseconds when there are
// any; empty for no time.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Truncate(time.Millisecond).Format("2006-01-02T15:04:05.999Z07:00")
}
