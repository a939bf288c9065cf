package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"latchkey.dev/latchkey/internal/home/camera"
)

type cameraSimulateCmd struct {
	File   string `arg:"" type:"existingfile" help:"An mp4 with H.264 or H.265."`
	Listen string `default:"rtsp://127.0.0.1:8554/camera" placeholder:"URL" help:"Where to serve it, like rtsp://127.0.0.1:8554/NAME; with user:password@ it asks for them."`
}

// Run plays the file until it is stopped.
func (c *cameraSimulateCmd) Run(a *app) error {
	u, err := url.Parse(c.Listen)
	if err != nil || u.Scheme != "rtsp" || u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return usage("--listen is not an rtsp:// address with a name", "Write it like rtsp://127.0.0.1:8554/porch.")
	}
	path := strings.Trim(u.Path, "/")
	cfg := camera.SimConfig{
		Listen:  u.Host,
		Streams: []camera.SimStream{{Path: path, File: c.File}},
		Logger:  a.logger(slog.LevelWarn),
	}
	if u.User != nil {
		password, _ := u.User.Password()
		cfg.User, cfg.Password = u.User.Username(), camera.Password(password)
	}
	sim, err := camera.StartSimulator(cfg)
	if err != nil {
		return advise(fmt.Errorf("camera simulate: %w", err), "Choose another port in --listen, and check that ffprobe can read the file.")
	}
	defer sim.Close()
	context.AfterFunc(a.ctx, sim.Close)
	a.say("Playing %s in a loop at %s", c.File, sim.URL(path))
	if err := sim.Wait(); err != nil && !errors.Is(err, context.Canceled) && a.ctx.Err() == nil {
		return err
	}
	return nil
}
