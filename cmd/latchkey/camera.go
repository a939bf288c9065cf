package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
)

type cameraAddCmd struct {
	Name          string `arg:"" help:"The camera's name, like porch."`
	URL           string `arg:"" help:"Its main stream, like rtsp://user:password@192.168.1.20/stream1."`
	Sub           string `placeholder:"URL" help:"Its small stream, for previews and slow lines."`
	Mode          string `enum:"continuous,events" default:"continuous" help:"Record always, or around events (${enum})."`
	Audio         bool   `help:"Record sound too."`
	Hub           string `placeholder:"NAME" help:"The hub to add it to, when there are several."`
	User          string `help:"The camera's user, when it is not in the URL."`
	PasswordStdin bool   `help:"Read the camera's password from stdin, so that it stands in no process list."`
	JSON          bool   `help:"One JSON document."`
}

// Run declares the camera in the household's chain and tells the hub.
func (c *cameraAddCmd) Run(a *app) error {
	for _, u := range []string{c.URL, c.Sub} {
		if u != "" && !strings.HasPrefix(u, "rtsp://") && !strings.HasPrefix(u, "rtsps://") {
			return usage("a camera's address begins with rtsp://", "Write it like rtsp://192.168.1.20/stream1; the camera's manual names the path.")
		}
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	add := member.NewCamera{Name: c.Name, URL: c.URL, SubURL: c.Sub, Mode: c.Mode, Audio: c.Audio, Hub: c.Hub, User: c.User}
	if c.PasswordStdin {
		if add.Password, err = a.readLine(); err != nil {
			return err
		}
	}
	cam, err := client.AddCamera(a.ctx, add)
	switch {
	case errors.Is(err, latchkey.ErrInvalid):
		return asUsage(err, "See `latchkey camera add --help`; `latchkey household show` lists the hubs for --hub.")
	case errors.Is(err, latchkey.ErrNotFound):
		return advise(err, "`latchkey hub invite` adds a hub; `latchkey household show` lists those there are.")
	case err != nil:
		return err
	}
	if c.JSON {
		return a.json(cameraJSON(cam))
	}
	a.say("The hub has camera %q, and records it as soon as the public log proves it: within seconds. `latchkey camera list` tells how it does, `latchkey live %s` shows it.", cam.Name, cam.Name)
	return nil
}

type cameraListCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run lists the cameras with the newest state their hub sealed.
func (c *cameraListCmd) Run(a *app) error {
	client, err := a.goOn()
	if err != nil {
		return err
	}
	defer client.Close()
	cams, err := client.Cameras(a.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		list := []any{}
		for _, cam := range cams {
			list = append(list, cameraJSON(cam))
		}
		return a.json(map[string]any{"cameras": list})
	}
	if len(cams) == 0 {
		a.say("No camera yet. `latchkey camera add NAME rtsp://…` adds one.")
		return nil
	}
	rows := []string{"NAME\tSTATUS\tMODE\tPICTURE\tKBIT/S\tSEEN\tTROUBLE"}
	for _, cam := range cams {
		rows = append(rows, cameraRow(cam))
	}
	if err := a.table(rows...); err != nil {
		return err
	}
	for _, cam := range cams {
		for _, s := range cam.Granted {
			a.say("%s was given to you: %s – %s, and no more of it.", calledCamera(cam), stamp(s.From), stamp(s.To))
		}
	}
	return nil
}

// calledCamera is what a camera is called; one that was given for later has its
// name from the first record of its hub that is for this member.
func calledCamera(cam member.Camera) string {
	if cam.Name == "" {
		return "Camera " + cam.ID.String()[:8]
	}
	return cam.Name
}

type cameraRemoveCmd struct {
	Name string `arg:"" help:"The camera's name."`
}

// Run tells the hub to stop; footage that is recorded stays.
func (c *cameraRemoveCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.RemoveCamera(a.ctx, c.Name); err != nil {
		return err
	}
	a.say("Camera %q is no longer recorded. What was recorded stays.", c.Name)
	return nil
}

type cameraEventCmd struct {
	Name string        `arg:"" help:"The camera's name."`
	For  time.Duration `default:"30s" help:"How long it lasts."`
}

// Run marks the next seconds as an event; a camera in events mode records them.
func (c *cameraEventCmd) Run(a *app) error {
	if c.For < time.Second || c.For > time.Hour {
		return usage("an event lasts from a second to an hour", "Give --for a duration like 30s.")
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.StartEvent(a.ctx, c.Name, c.For); err != nil {
		return err
	}
	a.say("An event of %s has begun on %q.", c.For, c.Name)
	return nil
}

// cameraRow is one line of `camera list`.
func cameraRow(cam member.Camera) string {
	picture, kbps := "-", "-"
	if v, ok := cam.Track("video"); ok && v.Width > 0 {
		picture = fmt.Sprintf("%dx%d@%.3g %s", v.Width, v.Height, v.FPS, v.Codec)
		kbps = fmt.Sprint(v.Kbps)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s", calledCamera(cam), cam.Status, cam.Mode, picture, kbps, stamp(cam.Seen), cam.Error)
}

// cameraJSON is the contracted object for a camera.
func cameraJSON(cam member.Camera) map[string]any {
	tracks := []any{}
	for _, t := range cam.Tracks {
		tracks = append(tracks, map[string]any{
			"track": t.ID.String(), "kind": string(t.Kind), "codec": t.Codec,
			"width": t.Width, "height": t.Height, "fps": t.FPS, "kbps": t.Kbps,
		})
	}
	granted := []any{}
	for _, s := range cam.Granted {
		granted = append(granted, map[string]any{"from": stamp(s.From), "to": stamp(s.To)})
	}
	return map[string]any{
		"camera": cam.ID.String(), "name": cam.Name, "mode": cam.Mode,
		"status": cam.Status, "error": cam.Error, "tracks": tracks, "seen": stamp(cam.Seen), "granted": granted,
	}
}
