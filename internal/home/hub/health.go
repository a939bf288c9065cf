package hub

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/camera"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/uplink"
)

const (
	// maxHealthTime bounds how long reports go to somebody.
	maxHealthTime = 7 * 24 * time.Hour
	maxHealth     = 8 // tickets at once
)

// healthCfg is a consent: a member lets somebody of staff see how devices are,
// for one ticket.
type healthCfg struct {
	Ticket uint64 `json:"ticket"`
	To     string `json:"to"`    // X-Wing key in base64
	Until  int64  `json:"until"` // unix seconds
}

// healthReport is the whole list of what staff see of a household without a grant
// (docs/spec/meta.md, "Health"): no name, no address, no password, no picture, no
// event. Its members are not to grow without that page.
type healthReport struct {
	V           int            `json:"v"`
	At          int64          `json:"at"` // unix milliseconds, by the hub's clock
	Version     string         `json:"version"`
	Started     int64          `json:"started"`   // unix seconds
	Clock       string         `json:"clock"`     // synced, unsynced
	ClockOff    *int64         `json:"clock_off"` // seconds that the hub's clock is ahead of the server's; null: not known
	Uplink      string         `json:"uplink"`    // connected, waiting
	SpoolParts  int            `json:"spool_parts"`
	SpoolBytes  int64          `json:"spool_bytes"`
	SpoolLimit  int64          `json:"spool_limit"`
	BacklogFrom int64          `json:"backlog_from"` // unix seconds; 0: none
	BacklogTo   int64          `json:"backlog_to"`
	LogUntil    int64          `json:"log_until"` // unix seconds; 0: no proof yet
	Trouble     []string       `json:"trouble"`   // of a closed list: what the hub is in trouble with
	Cameras     []healthCamera `json:"cameras"`
}

type healthCamera struct {
	Camera string        `json:"camera"` // id, which the server has anyway
	Mode   string        `json:"mode"`
	Status string        `json:"status"`
	Error  string        `json:"error"` // of a closed list, or empty
	Since  int64         `json:"since"` // unix seconds: of the status
	Sub    string        `json:"sub"`   // error of the sub stream
	Lost   uint64        `json:"lost"`  // packets, since the camera was set up or the hub started
	Tracks []healthTrack `json:"tracks"`
}

type healthTrack struct {
	Kind   string  `json:"kind"`
	Codec  string  `json:"codec"`
	Width  int     `json:"width"`
	Height int     `json:"height"`
	FPS    float64 `json:"fps"`
	Kbps   int     `json:"kbps"`
}

// opHealth lets somebody of staff see reports until a time.
func (a *agent) opHealth(args []byte, now time.Time) error {
	var c healthCfg
	if err := decode(args, &c); err != nil {
		return err
	}
	x, err := base64.StdEncoding.DecodeString(c.To)
	if err != nil || len(x) != keys.SealPublicSize || c.Ticket == 0 || c.Until <= now.Unix() || c.Until > now.Add(maxHealthTime).Unix() {
		return fmt.Errorf("hub: health: %w: want a ticket, a key, and a time within seven days", latchkey.ErrRefused)
	}
	conf := a.store.cfg()
	other := slices.DeleteFunc(slices.Clone(conf.Health), func(h healthCfg) bool { return h.Ticket == c.Ticket || h.Until <= now.Unix() })
	if len(other) >= maxHealth {
		return fmt.Errorf("hub: health: %w: reports go out for %d tickets already", latchkey.ErrTooMany, maxHealth)
	}
	if err := a.store.change(func(s *settings) { s.Health = append(other, c) }); err != nil {
		return err
	}
	signal(a.asked)
	return nil
}

func (a *agent) opHealthEnd(args []byte) error {
	var c struct {
		Ticket uint64 `json:"ticket"`
	}
	if err := decode(args, &c); err != nil {
		return err
	}
	return a.store.change(func(s *settings) {
		s.Health = slices.DeleteFunc(s.Health, func(h healthCfg) bool { return h.Ticket == c.Ticket })
	})
}

// followHealth reports to whom the household lets see, while it does.
func (a *agent) followHealth(ctx context.Context) {
	tick := time.NewTicker(a.cfg.Pace.Health)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.asked:
		case <-tick.C:
		}
		now := time.Now()
		list := slices.DeleteFunc(slices.Clone(a.store.cfg().Health), func(h healthCfg) bool { return h.Until <= now.Unix() })
		if len(list) == 0 || a.linked.Load().(uplink.State) != uplink.Connected {
			continue
		}
		report, err := json.Marshal(a.health(ctx))
		if err != nil {
			a.log.Error("health not reported", "err", err)
			continue
		}
		for _, to := range list {
			if err := a.report(to, report, now); err != nil {
				a.log.Error("health not reported", "ticket", to.Ticket, "err", err)
			}
		}
	}
}

// report seals one report.
func (a *agent) report(to healthCfg, report []byte, now time.Time) error {
	x, err := base64.StdEncoding.DecodeString(to.To)
	if err != nil {
		return err
	}
	text, err := chain.Health{
		Household: a.roster.household, Hub: a.Kid(), Ticket: to.Ticket, To: chain.KidOf(x), Time: now.Unix(), Report: report,
	}.Text()
	if err != nil {
		return err
	}
	letter, err := keys.SealLetter(a.roster.household, x, chain.SignNote(text, a.identity.Signing))
	if err != nil {
		return err
	}
	a.up.Health(to.Ticket, letter)
	return nil
}

func (a *agent) health(ctx context.Context) healthReport {
	st := a.status()
	r := healthReport{
		V: 1, At: ms(a.clock.now()), Version: st.Version, Started: st.Started, Clock: st.Clock, ClockOff: a.clockOff(ctx), Uplink: st.Uplink,
		SpoolParts: st.SpoolParts, SpoolBytes: st.SpoolBytes, SpoolLimit: st.SpoolLimit, BacklogFrom: st.BacklogFrom, BacklogTo: st.BacklogTo,
		LogUntil: st.LogUntil, Trouble: a.troubles(), Cameras: []healthCamera{},
	}
	for _, one := range a.recorders() {
		r.Cameras = append(r.Cameras, one.health())
	}
	return r
}

// troubles are the sources of trouble of now, of a closed list.
func (a *agent) troubles() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := []string{}
	for source, text := range a.trouble {
		if text != "" {
			out = append(out, source)
		}
	}
	slices.Sort(out)
	return out
}

// clockOff compares the hub's clock with the server's, to about a second; nil
// when the server does not say.
func (a *agent) clockOff(ctx context.Context) *int64 {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.roster.session.Server()+"/healthz", nil)
	if err != nil {
		return nil
	}
	res, err := a.cfg.HTTP.Do(req)
	if err != nil {
		return nil
	}
	res.Body.Close()
	there, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return nil
	}
	off := a.clock.now().Unix() - there.Unix()
	return &off
}

func (r *recorder) health() healthCamera {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.a.clock.now()
	h := healthCamera{
		Camera: r.id.String(), Mode: r.cfg.Mode, Status: quiet(r.status()), Error: errorWord(r.main.Err), Sub: errorWord(r.sub.Err), Lost: r.lost.Load(), Tracks: []healthTrack{},
	}
	if !r.main.Since.IsZero() {
		h.Since = r.main.Since.Unix()
	}
	for _, kind := range []latchkey.TrackKind{latchkey.KindVideo, latchkey.KindVideoSub, latchkey.KindAudio} {
		t := r.media[kind]
		if t == nil {
			continue
		}
		kbps, f := t.mean(now)
		if r.cfg.Mode == modeEvents {
			kbps = 0 // it would tell when there is an event
		}
		if f.Codec != "" {
			h.Tracks = append(h.Tracks, healthTrack{Kind: string(kind), Codec: f.MIME, Width: f.Width, Height: f.Height, FPS: f.FPS, Kbps: kbps})
		}
	}
	return h
}

// quiet is a camera's status without whether anything happens in front of it.
func quiet(status string) string {
	if status == statusWaiting {
		return string(camera.StateStreaming)
	}
	return status
}

// errorWord is what is wrong with a stream, of a closed list.
func errorWord(err error) string {
	for _, w := range []struct {
		err  error
		word string
	}{
		{camera.ErrWrongPassword, "wrong-password"}, {camera.ErrUnreachable, "unreachable"}, {camera.ErrNoMedia, "no-media"},
		{camera.ErrTimeout, "no-picture"}, {camera.ErrClockStep, "clock-step"},
	} {
		if errors.Is(err, w.err) {
			return w.word
		}
	}
	if err != nil {
		return "other"
	}
	return ""
}
