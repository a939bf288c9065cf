package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"latchkey.dev/latchkey/internal/cloud"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/camera/scenes"
	"latchkey.dev/latchkey/internal/home/hub"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/ledger"
)

type demoCmd struct {
	Listen  string `default:"127.0.0.1:8440" placeholder:"ADDR" help:"host:port of the demo's cloud."`
	Data    string `placeholder:"DIR" help:"Keep everything there; keys go to LATCHKEY_HOME, or to DIR.keys."`
	Verbose bool   `short:"v" help:"Show the logs of cloud and hub."`
}

// codeFile keeps the demo's recovery code beside its keys, so that a second
// start can print the same links. Only the demo does such a thing.
const codeFile = "demo-recovery-code"

// demo is everything that one `latchkey demo` runs. Its parts talk over
// loopback, through the same doors that everybody uses.
type demo struct {
	app     *app
	cmd     *demoCmd
	log     *slog.Logger
	dir     string // cloud/ and hub/ live here
	home    string // keys: never below dir
	server  string
	code    string
	client  *member.Client
	hub     *hub.Hub
	cameras []member.NewCamera
	pace    hub.Pace      // zero: a hub's ordinary times
	limits  cloud.Limits  // zero: a cloud's ordinary limits
	program string        // this program, for what runs as a process of its own; empty: nothing does
	proofs  time.Duration // between checkpoints and sets of the public log; zero: a second
	// watchers are lines of a policy, where there is no program to start any.
	watchers string
	cleanup  []func()
	failed   chan error // a part of the demo ended by itself
}

// Run starts everything, prints the links and stays until it is stopped.
func (c *demoCmd) Run(a *app) error {
	level := slog.LevelError
	if c.Verbose {
		level = slog.LevelInfo
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	d := &demo{app: a, cmd: c, log: a.logger(level), failed: make(chan error, 4), program: program}
	defer d.stop()
	err = d.run(a.ctx)
	if a.ctx.Err() != nil {
		return nil // Ctrl-C is how a demo ends, also while it starts
	}
	return err
}

func (d *demo) run(ctx context.Context) error {
	if err := d.start(ctx); err != nil {
		return err
	}
	d.tell()
	select {
	case <-ctx.Done():
		d.app.say("\nStopping …")
		return nil
	case err := <-d.failed:
		return err
	}
}

// start brings up one part after the other; whatever it brought up, stop ends.
func (d *demo) start(ctx context.Context) error {
	for _, part := range []func(context.Context) error{d.folders, d.startCloud, d.hireAgent, d.openHousehold, d.startCameras, d.startHub, d.addCameras, d.awaitRecording} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop undoes what start did, last first.
func (d *demo) stop() {
	for i := len(d.cleanup) - 1; i >= 0; i-- {
		d.cleanup[i]()
	}
	d.cleanup, d.cameras = nil, nil
}

// later registers what is undone at the end, last first.
func (d *demo) later(undo func()) { d.cleanup = append(d.cleanup, undo) }

// folders decides where data and keys live.
func (d *demo) folders(context.Context) error {
	d.dir, d.home = d.cmd.Data, d.app.env("LATCHKEY_HOME")
	if d.dir == "" {
		tmp, err := os.MkdirTemp("", "latchkey-demo-")
		if err != nil {
			return advise(fmt.Errorf("demo: %w", err), "Set TMPDIR to a folder you can write to, or give --data.")
		}
		d.later(func() { os.RemoveAll(tmp) })
		d.dir = filepath.Join(tmp, "data")
		if d.home == "" {
			d.home = filepath.Join(tmp, "keys")
		} else {
			d.home = filepath.Join(d.home, filepath.Base(tmp))
			d.later(func() { os.RemoveAll(d.home) })
		}
	}
	if d.home == "" {
		d.home = filepath.Clean(d.dir) + ".keys"
	}
	for _, dir := range []*string{&d.dir, &d.home} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		*dir = abs // the printed commands have to work elsewhere too
	}
	for _, dir := range []string{d.dir, d.home} {
		if err := durable.MkdirAll(durable.Disk{}, dir, 0o700); err != nil {
			return advise(fmt.Errorf("demo: %w", err), "Give a --data folder that you can write to.")
		}
	}
	return nil
}

func (d *demo) startCloud(context.Context) error {
	ln, err := net.Listen("tcp", d.cmd.Listen)
	if err != nil {
		return advise(fmt.Errorf("demo: listen on %s: %w", d.cmd.Listen, err), "Choose another address with --listen, or stop the program that uses this one.")
	}
	d.server = "http://" + ln.Addr().String()
	watchers, err := d.startWatchers()
	if err != nil {
		ln.Close()
		return fmt.Errorf("demo: %w", err)
	}
	releasers, release, err := d.release()
	if err != nil {
		ln.Close()
		return fmt.Errorf("demo: %w", err)
	}
	root, err := member.NewStaffRoot(member.Options{Home: filepath.Join(d.home, demoRoot)}, "staff.demo.latchkey.invalid")
	if err != nil {
		ln.Close()
		return fmt.Errorf("demo: %w", err)
	}
	server, err := cloud.New(cloud.Config{
		DataDir: filepath.Join(d.dir, "cloud"), Release: release, Limits: d.limits, Logger: d.log.With("part", "cloud"),
		Log: cloud.LogConfig{Name: "demo.latchkey.invalid", Watchers: watchers + releasers + root.PolicyLine() + "\n", Checkpoint: d.proofs, SetSoon: cmp.Or(d.proofs, time.Second)},
	})
	if err != nil {
		ln.Close()
		return fmt.Errorf("demo: %w", err)
	}
	d.background("cloud", func(ctx context.Context) error {
		return errors.Join(server.Run(ctx, ln), server.Close())
	})
	return nil
}

// The folders of the demo's staff, below the household's keys: in a service of
// its own each is on another machine.
const (
	demoRoot  = "staff-root"
	demoAgent = "agent"
	agentID   = "sam"
)

// hireAgent has somebody of support sign in: invited, trained, signed for.
func (d *demo) hireAgent(ctx context.Context) error {
	root, err := member.OpenStaffRoot(member.Options{Home: filepath.Join(d.home, demoRoot)})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	opts := member.Options{Home: filepath.Join(d.home, demoAgent)}
	agent, err := member.OpenAgent(opts)
	if err == nil {
		agent.Close()
		_, err = root.Renew(ctx, d.server, agentID, 7*24*time.Hour)
		return err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("demo: %w", err)
	}
	link, err := root.Invite(d.server, ledger.RoleSupport)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if agent, err = member.JoinStaff(ctx, opts, link, agentID, time.Now()); err != nil {
		return err
	}
	defer agent.Close()
	waiting, err := root.Applicants(ctx, d.server)
	if err != nil {
		return err
	}
	for _, one := range waiting {
		if _, err := root.Sign(ctx, d.server, one, 7*24*time.Hour, false); err != nil {
			return err
		}
	}
	return nil
}

// background runs f until cleanup, which waits for it: the hub ends before the
// cloud, so that its last parts arrive.
func (d *demo) background(name string, f func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		err := f(ctx)
		if err != nil || ctx.Err() == nil {
			d.failed <- fmt.Errorf("demo: the %s ended: %w", name, errors.Join(err, context.Cause(ctx)))
		}
	}()
	d.later(func() { stop(); <-over })
}

// openHousehold takes the household of an earlier start, or founds one.
func (d *demo) openHousehold(ctx context.Context) error {
	opts := member.Options{Home: d.home, Log: d.log.With("part", "member")}
	var err error
	if d.client, err = member.Open(opts); err == nil {
		code, readErr := os.ReadFile(filepath.Join(d.home, codeFile))
		d.code = string(code)
		if err := errors.Join(readErr, d.sameServer()); err != nil {
			return fmt.Errorf("demo: %s holds a household that is not this demo's: %w", d.home, err)
		}
		d.later(d.client.Close)
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.client, err = member.Create(ctx, opts, member.NewHousehold{
		Server: d.server, Name: "Demo house", Person: "Ann",
		Confirm: func(code string) error {
			d.code = code
			return durable.WriteFile(durable.Disk{}, filepath.Join(d.home, codeFile), []byte(code), 0o600)
		},
	})
	if err != nil {
		return err
	}
	d.later(d.client.Close)
	return nil
}

func (d *demo) sameServer() error {
	if d.client.Server() == d.server {
		return nil
	}
	return usage(fmt.Sprintf("its server is %s", d.client.Server()), "Start with the same --listen as before, or with another --data and LATCHKEY_HOME.")
}

// startHub runs the home agent; on the first start it pairs with a code, as
// everybody's does.
func (d *demo) startHub(ctx context.Context) error {
	cfg := hub.Config{
		DataDir: filepath.Join(d.dir, "hub"), Home: d.home, Server: d.server, LAN: "127.0.0.1:0",
		Name: "hub", Version: buildVersion(), Pace: d.pace, Log: d.log.With("part", "hub"),
	}
	h, err := d.client.Household(ctx)
	if err != nil {
		return err
	}
	var invitation *member.Invitation
	if len(h.Hubs) == 0 {
		if invitation, err = d.client.InviteHub(ctx, "hub"); err != nil {
			return err
		}
		cfg.PairCode = invitation.Code()
	}
	if d.hub, err = hub.New(cfg); err != nil {
		return err
	}
	d.background("hub", d.hub.Run)
	var paired member.HubName
	if invitation != nil {
		if paired, err = invitation.Wait(ctx, func(string) {}); err != nil {
			return err
		}
	} else {
		paired = h.Hubs[0]
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return d.client.AwaitOnline(ctx, paired.Kid)
}

// startCameras plays the two scenes as RTSP cameras. They start before the
// hub, so that they end after it.
func (d *demo) startCameras(context.Context) error {
	for _, s := range []struct {
		name           string
		picture, small []byte
	}{{"porch", scenes.Porch(), scenes.PorchSub()}, {"driveway", scenes.Driveway(), scenes.DrivewaySub()}} {
		sim, err := camera.StartSimulator(camera.SimConfig{
			Listen: "127.0.0.1:0", Logger: d.log.With("part", "camera"),
			Streams: []camera.SimStream{
				{Path: s.name, Data: s.picture, InBandParams: true},
				{Path: s.name + "/sub", Data: s.small, InBandParams: true},
			},
		})
		if err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		d.later(sim.Close)
		d.cameras = append(d.cameras, member.NewCamera{
			Name: s.name, URL: sim.URL(s.name), SubURL: sim.URL(s.name + "/sub"), Audio: true,
		})
	}
	return nil
}

// addCameras adds them, one right after the other, so that the hub needs one
// epoch only; on a later start this tells the hub their new addresses.
func (d *demo) addCameras(ctx context.Context) error {
	for _, add := range d.cameras {
		if _, err := d.client.AddCamera(ctx, add); err != nil {
			return err
		}
	}
	return nil
}

// recordingWait bounds how long the demo waits for its first pictures.
const recordingWait = time.Minute

// awaitRecording waits until the cameras record: the hub takes them once the
// public log proves that they were added. A demo that somebody watches too slowly
// begins all the same.
func (d *demo) awaitRecording(ctx context.Context) error {
	for until := time.Now().Add(recordingWait); time.Now().Before(until); {
		cams, err := d.client.Cameras(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(cams, func(c member.Camera) bool { return c.Seen.IsZero() }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	d.app.say("The cameras do not record yet: the public log does not prove them. `latchkey hub status` tells.")
	return nil
}

// tell prints the links and what to try.
func (d *demo) tell() {
	a := d.app
	a.print("A house with two cameras is recorded, sealed at home, and kept by a cloud that cannot look.\n")
	a.print("  Open it, signed in:  %s/#recover=%s\n", d.server, d.code)
	a.print("On the command line, in another terminal:\n")
	a.print("  export LATCHKEY_HOME=%s", d.home)
	for _, line := range []string{
		"live porch -o porch.mp4 --for 10s", "timeline porch", "export porch --from -30s --to -10s -o clip.mp4", "export porch --from -30s --to -10s -o clip.lkx", "verify clip.lkx", "share porch --from -30s --to -10s",
		"hub status", "ledger verify", "verify --web " + d.server, "member invite --name Bob --history all", "insider --data " + filepath.Join(d.dir, "cloud"), "ticket open 'The porch is dark'", "grant porch --to staff:" + agentID + " --from -2m --to -1m",
	} {
		a.print("  latchkey %s", line)
	}
	a.print("\nAs %s of the operator's support, who sees nothing else:\n", agentID)
	a.print("  export LATCHKEY_HOME=%s", filepath.Join(d.home, demoAgent))
	for _, line := range []string{"staff tickets", "staff health 1", "staff view 1 porch --from -2m --to -1m -o seen.mp4"} {
		a.print("  latchkey %s", line)
	}
	a.print("In a browser, as somebody else of support: open the link that the first prints, then sign for the name you chose there:")
	for _, line := range []string{"staff invite --role support --server " + d.server, "staff sign --server " + d.server} {
		a.print("  LATCHKEY_HOME=%s latchkey %s", filepath.Join(d.home, demoRoot), line)
	}
	a.print("\nclip.lkx proves where it is from; who has no account checks it at %s/verify", d.server)
	if d.cmd.Data == "" {
		a.print("\nCtrl-C ends it and removes everything; --data DIR keeps it.")
	} else {
		a.print("\nCtrl-C ends it; the same command goes on where it stopped. Data: %s", d.dir)
	}
}
