package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/publiclog"
)

const (
	commandAge  = 60 * time.Second // |now − time| (protocol 2.13)
	maxNonces   = 100_000          // within twice commandAge; more are refused
	maxCameras  = 64
	maxEventLen = time.Hour
)

const (
	done    = latchkeyv1.CommandResult_COMMAND_RESULT_DONE
	refused = latchkeyv1.CommandResult_COMMAND_RESULT_REFUSED
	failed  = latchkeyv1.CommandResult_COMMAND_RESULT_FAILED
)

// guard decides whether a command may be carried out. Nonces live longer than
// their notes; commands from before this run are refused by their time, so that nothing
// has to be remembered across a restart.
type guard struct {
	household latchkey.HouseholdID
	hub       latchkey.Kid
	since     int64 // commands older than this are of an earlier run

	mu     sync.Mutex
	nonces map[[16]byte]int64 // and when their notes were made
}

// newGuard starts a run at now. A hub that ran before may have carried out a
// command in this very second, so the second does not count for it.
func newGuard(household latchkey.HouseholdID, hub latchkey.Kid, now time.Time, ranBefore bool) *guard {
	g := &guard{household: household, hub: hub, since: now.Unix(), nonces: map[[16]byte]int64{}}
	if ranBefore {
		g.since++
	}
	return g
}

// admit checks a command note against the roster: container, addressee,
// signature, role, time, nonce. Every failure wraps latchkey.ErrRefused.
func (g *guard) admit(raw []byte, state chain.State, now time.Time) (chain.Command, error) {
	refuse := func(why string, err error) (chain.Command, error) {
		if err != nil {
			why += ": " + err.Error()
		}
		return chain.Command{}, fmt.Errorf("hub: command: %w: %s", latchkey.ErrRefused, why)
	}
	note, err := chain.ParseNote(raw)
	if err != nil {
		return refuse("unreadable", err)
	}
	c, err := chain.ParseCommand(note)
	if err != nil {
		return refuse("unreadable", err)
	}
	if c.Household != g.household || c.Hub != g.hub {
		return refuse("meant for another hub", nil)
	}
	m, ok := state.Members[c.By]
	if !ok {
		return refuse("signer is no member", nil)
	}
	if err := note.Verify(m.Ed); err != nil {
		return refuse("signature", err)
	}
	if !allowed(c.Op, m.Role) {
		return refuse(fmt.Sprintf("%q is not for a %s", c.Op, m.Role), nil)
	}
	if err := g.fresh(c.Nonce, c.Time, now); err != nil {
		return refuse(err.Error(), nil)
	}
	return c, nil
}

// fresh uses up a nonce of a note of this time. It fails for one that was used, or
// that is from another time than now, or from before this run.
func (g *guard) fresh(nonce [16]byte, at int64, now time.Time) error {
	if age := now.Unix() - at; age > int64(commandAge/time.Second) || age < -int64(commandAge/time.Second) {
		return fmt.Errorf("its clock is %d s away from the hub's", age)
	}
	if at < g.since {
		return errors.New("it is from before this hub started")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.nonces) >= maxNonces { // those that are too old are refused by their time
		maps.DeleteFunc(g.nonces, func(_ [16]byte, at int64) bool { return now.Unix()-at > 2*int64(commandAge/time.Second) })
	}
	if _, used := g.nonces[nonce]; used || len(g.nonces) >= maxNonces {
		return errors.New("it was carried out already")
	}
	g.nonces[nonce] = at
	return nil
}

// allowed is the table of operations and roles. An unknown operation is
// nobody's.
func allowed(op string, role chain.Role) bool {
	switch op {
	case "camera", "camera-remove", "epoch", "policy":
		return role == chain.RoleAdmin
	case "event-start", "health", "health-end":
		return role == chain.RoleAdmin || role == chain.RoleMember
	}
	return false
}

// Command implements uplink.Handler.
func (a *agent) Command(ctx context.Context, sealed []byte) latchkeyv1.CommandResult {
	err := a.command(ctx, sealed)
	switch {
	case err == nil:
		return done
	case errors.Is(err, latchkey.ErrRefused):
		a.log.Warn("command refused", "err", err)
		return refused
	}
	a.log.Error("command failed", "err", err)
	a.setTrouble("command", "The last command could not be carried out: "+err.Error())
	return failed
}

func (a *agent) command(ctx context.Context, sealed []byte) error {
	raw, err := a.identity.Sealing.OpenCommand(a.roster.household, sealed)
	if err != nil {
		return fmt.Errorf("hub: command: %w: unreadable: %w", latchkey.ErrRefused, err)
	}
	// A removed member must not command on the strength of an old roster, and a
	// new one not be refused. Without the server the roster at hand decides:
	// a command that reached us came through it.
	if grew, err := a.roster.refresh(ctx); grew {
		signal(a.prove)
	} else if err != nil {
		a.log.Warn("chain not refreshed before command", "err", err)
	}
	a.wake()
	state := a.roster.state()
	c, err := a.guard.admit(raw, state, time.Now())
	if err != nil {
		return err
	}
	a.log.Info("command", "op", c.Op, "by", c.By)
	switch c.Op {
	case "camera":
		return a.opCamera(c.Args)
	case "camera-remove":
		return a.opRemove(c.Args)
	case "event-start":
		return a.opEvent(state.Members[c.By], c.Args)
	case "health":
		return a.opHealth(c.Args, time.Now())
	case "health-end":
		return a.opHealthEnd(c.Args)
	case "policy":
		return a.opPolicy(c.Args)
	}
	if err := decode(c.Args, &struct{}{}); err != nil {
		return err
	}
	a.demand("command")
	return nil
}

// opPolicy takes another policy of the public log, that an admin has accepted. Its
// operator and its log stay those of genesis.
func (a *agent) opPolicy(args []byte) error {
	var p struct {
		Policy string `json:"policy"`
	}
	if err := decode(args, &p); err != nil {
		return err
	}
	if _, err := publiclog.Parse(p.Policy, a.roster.verified()); err != nil {
		return fmt.Errorf("hub: policy: %w: %w", latchkey.ErrRefused, err)
	}
	err := a.public.change(func(f *logFacts) { f.Pin = f.Pin.Under(p.Policy) })
	signal(a.prove)
	return err
}

func (a *agent) opCamera(args []byte) error {
	var c cameraCfg
	if err := decode(args, &c); err != nil {
		return err
	}
	id, err := c.check()
	if err != nil {
		return err
	}
	if err := a.declared(id, c); err != nil {
		return err
	}
	conf := a.store.cfg()
	at := slices.IndexFunc(conf.Cameras, func(o cameraCfg) bool { return o.Camera == c.Camera })
	if at < 0 && len(conf.Cameras) >= maxCameras {
		return fmt.Errorf("hub: add camera: %w: this hub has %d cameras already", latchkey.ErrTooMany, maxCameras)
	}
	err = a.store.change(func(s *settings) {
		if at < 0 {
			s.Cameras = append(s.Cameras, c)
		} else {
			s.Cameras[at] = c
		}
	})
	if err != nil {
		return err
	}
	a.setTrouble("command", "")
	a.place(id, c)
	return nil
}

func (a *agent) opRemove(args []byte) error {
	var c struct {
		Camera string `json:"camera"`
	}
	if err := decode(args, &c); err != nil {
		return err
	}
	id, err := latchkey.ParseCameraID(c.Camera)
	if err != nil {
		return fmt.Errorf("hub: remove camera: %w: %w", latchkey.ErrRefused, err)
	}
	err = a.store.change(func(s *settings) {
		s.Cameras = slices.DeleteFunc(s.Cameras, func(o cameraCfg) bool { return o.Camera == c.Camera })
	})
	if err != nil {
		return err
	}
	a.remove(id)
	return nil
}

// opEvent begins an event of a camera whose picture the member may see: it makes
// the hub record, in events mode, what he could not look at.
func (a *agent) opEvent(by chain.Member, args []byte) error {
	var c struct {
		Camera  string `json:"camera"`
		Label   string `json:"label"`
		Seconds int    `json:"seconds"`
	}
	if err := decode(args, &c); err != nil {
		return err
	}
	id, err := latchkey.ParseCameraID(c.Camera)
	d := time.Duration(c.Seconds) * time.Second
	if err != nil || d <= 0 || d > maxEventLen || c.Label == "" || len(c.Label) > 64 || !utf8.ValidString(c.Label) {
		return fmt.Errorf("hub: start event: %w: want a camera, a label and 1 to 3600 seconds", latchkey.ErrRefused)
	}
	r := a.recorder(id)
	if r == nil {
		return fmt.Errorf("hub: start event: camera %v: %w", id, latchkey.ErrNotFound)
	}
	if video, err := latchkey.ParseTrackID(r.cfg.Tracks[latchkey.KindVideo]); err != nil || !by.MaySee(video) {
		return fmt.Errorf("hub: start event: %w: he may not see camera %v", latchkey.ErrRefused, id)
	}
	return r.begin(c.Label, "command", d)
}

// decode reads exactly one JSON object without unknown members.
func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("hub: command arguments: %w: not what the operation takes", latchkey.ErrRefused)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("hub: command arguments: %w: more than one object", latchkey.ErrRefused)
	}
	return nil
}

// check reads the identifiers and refuses what no client sends.
func (c cameraCfg) check() (latchkey.CameraID, error) {
	refuse := func(why string) (latchkey.CameraID, error) {
		return latchkey.CameraID{}, fmt.Errorf("hub: add camera: %w: %s", latchkey.ErrRefused, why)
	}
	id, err := latchkey.ParseCameraID(c.Camera)
	if err != nil {
		return refuse("the camera id is malformed")
	}
	if c.Mode != modeContinuous && c.Mode != modeEvents && c.Mode != modeOff {
		return refuse("the mode is continuous, events or off")
	}
	if c.Name == "" || len(c.Name) > 200 || !utf8.ValidString(c.Name) {
		return refuse("the name is empty or too long")
	}
	if !rtspURL(c.URL) || (c.SubURL != "" && !rtspURL(c.SubURL)) {
		return refuse("the address is not an rtsp:// or rtsps:// one")
	}
	if c.Tracks[latchkey.KindMeta] == "" || c.Tracks[latchkey.KindVideo] == "" {
		return refuse("a camera needs a video and a meta track")
	}
	return id, nil
}

func rtspURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "rtsp" || u.Scheme == "rtsps") && u.Host != "" && len(s) <= 2048
}

// declared checks that the chain declares each track of c, so and for this camera.
// What no proof covers yet is taken, and recorded once one does.
func (a *agent) declared(id latchkey.CameraID, c cameraCfg) error {
	state := a.roster.verified()
	for kind, s := range c.Tracks {
		t, err := latchkey.ParseTrackID(s)
		if err != nil {
			return fmt.Errorf("hub: add camera: %w: track %s: %w", latchkey.ErrRefused, kind, err)
		}
		cam, decl, ok := state.Track(t)
		if !ok || cam != id || decl.Kind != kind {
			return fmt.Errorf("hub: add camera: %w: the household's chain does not declare its %s track", latchkey.ErrNotFound, kind)
		}
	}
	return nil
}
