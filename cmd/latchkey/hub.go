package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/mdp/qrterminal/v3"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/hub"
	"latchkey.dev/latchkey/internal/home/lan"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/internal/home/publiclog"
)

type hubInviteCmd struct {
	Name string `default:"hub" help:"What to call the hub."`
	LAN  string `default:"0.0.0.0:0" placeholder:"ADDR" help:"Where to wait for a hub on the home network too; off: nowhere."`
	JSON bool   `help:"One JSON object a line: first the code, then the hub."`
}

// Run prints a pairing code and stays until a hub used it, because it is this
// machine's key that signs the hub into the household.
func (c *hubInviteCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	invitation, err := client.InviteHub(a.ctx, c.Name)
	if err != nil {
		return err
	}
	joined, err := a.awaitHub(client, invitation, c.LAN, c.JSON)
	if err != nil {
		return err
	}
	if !c.JSON {
		a.say("Hub %q belongs to the household. Next: latchkey camera add NAME rtsp://…", joined.Name)
	}
	return nil
}

// awaitHub shows a pairing code and waits until a hub has used it, in the
// server's mailbox or at listen on the home network.
func (a *app) awaitHub(client *member.Client, invitation *member.Invitation, listen string, asJSON bool) (member.HubName, error) {
	if listen != lan.Off {
		if _, err := invitation.Listen(listen, nil); err != nil {
			return member.HubName{}, advise(err, "Give another --lan address of this machine, or --lan off.")
		}
	}
	if asJSON {
		if err := a.jsonLine(map[string]string{"code": invitation.Code()}); err != nil {
			return member.HubName{}, err
		}
	} else {
		a.print("%s", invitation.Code())
		qrterminal.GenerateHalfBlock(invitation.QR(), qrterminal.M, a.err)
		a.say("On the hub: latchkey hub run --data DIR --server %s --pair %s", client.Server(), invitation.Code())
		if listen != lan.Off {
			a.say("On this network it finds the server by itself: --server can be left out.")
		}
		a.say("Waiting for it, at most 15 minutes …")
	}
	joined, err := invitation.Wait(a.ctx, func(step string) { a.say("%s", step) })
	if err == nil && asJSON {
		err = a.jsonLine(map[string]string{"hub": joined.Kid.String(), "name": joined.Name})
	}
	return joined, err
}

type hubRunCmd struct {
	Data   string `required:"" placeholder:"DIR" help:"The hub's data directory."`
	Server string `placeholder:"URL" help:"The cloud; remembered after pairing."`
	Pair   string `placeholder:"CODE" help:"The code of latchkey hub invite; on first start only."`
	Name   string `help:"Shown to members; the host name when empty."`
	Spool  int64  `default:"0" placeholder:"BYTES" help:"How much to keep while the cloud is away; 0 is 20 GiB."`
	LAN    string `default:"0.0.0.0:0" placeholder:"ADDR" help:"Where to take removals on the home network; off: nowhere."`
}

// Run is the home agent until it is stopped.
func (c *hubRunCmd) Run(a *app) error {
	if c.Server != "" {
		if err := checkServer(c.Server); err != nil {
			return err
		}
	}
	home, err := a.home()
	if err != nil {
		return err
	}
	h, err := hub.New(hub.Config{
		DataDir: c.Data, Home: home, Server: c.Server, PairCode: c.Pair, Name: c.Name, LAN: c.LAN,
		Version: buildVersion(), SpoolLimit: c.Spool, Log: a.logger(slog.LevelInfo),
	})
	if errors.Is(err, latchkey.ErrVerify) {
		return advise(fmt.Errorf("the keys in %s do not open %s: %w", home, c.Data, err),
			"Set LATCHKEY_HOME as on the hub's first start, or begin anew with an empty --data.")
	}
	if err != nil {
		return err
	}
	if err := c.canStart(h); err != nil {
		return err
	}
	return c.explain(h.Run(a.ctx))
}

// explain adds the next step to what a hub ends with.
func (c *hubRunCmd) explain(err error) error {
	reset := "`latchkey hub reset --data " + c.Data + "`"
	switch {
	case errors.Is(err, hub.ErrDoubled):
		return advise(err, "Run one of the two only. On the machine whose hub shall end: "+reset+
			". If this one shall stay, and was brought back from an old copy: reset it, and pair it anew.")
	case errors.Is(err, hub.ErrRemoved):
		return advise(err, reset+" destroys what it still has; then it can be paired anew.")
	case errors.Is(err, hub.ErrOccupied):
		return advise(err, "If this hub shall leave its household: "+reset+", then start it with the new code. Else start it without --pair.")
	case errors.Is(err, latchkey.ErrInvalid) && c.Pair != "":
		return asUsage(err, "Copy the code again from `latchkey hub invite` or the page; it works once, for 15 minutes.")
	case errors.Is(err, latchkey.ErrConflict):
		return advise(err, "Stop the other hub, or give this one its own --data.")
	}
	return err
}

// canStart refuses a first start that says not to whom the hub shall belong.
func (c *hubRunCmd) canStart(h *hub.Hub) error {
	if !h.NeedsCode() || c.Pair != "" && (c.Server != "" || c.LAN != lan.Off) {
		return nil
	}
	return usage("this hub belongs to no household yet",
		"Make a code with `latchkey hub invite` or on the page, and start with --pair CODE, and --server URL unless `latchkey hub invite` waits on this network.")
}

type hubStatusCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run shows the hubs as a member sees them: from sealed records, not from the
// hub's own screen.
func (c *hubStatusCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	hubs, err := client.Hubs(a.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		list := []any{}
		for _, h := range hubs {
			list = append(list, hubJSON(h))
		}
		return a.json(map[string]any{"hubs": list})
	}
	rows := []string{}
	for _, h := range hubs {
		rows = append(rows, hubRows(h)...)
	}
	if len(rows) == 0 {
		a.say("No hub yet. `latchkey hub invite` adds one.")
		return nil
	}
	if err := a.table(rows...); err != nil {
		return err
	}
	if slices.ContainsFunc(hubs, func(h member.HubStatus) bool { return !h.Doubled.IsZero() }) {
		a.say("If you copied or restored the hub's folder, stop one of the two and delete its folder. If you did not, somebody has a copy of its keys: `latchkey hub replace`.")
	}
	return nil
}

// hubRows is what `hub status` prints of one hub.
func hubRows(h member.HubStatus) []string {
	presence := "offline since " + stamp(h.LastSeen)
	if h.Online {
		presence = "online"
	}
	heads := "none yet"
	if !h.Heads.IsZero() {
		heads = fmt.Sprintf("%s (%d s ago)", stamp(h.Heads), int(time.Since(h.Heads).Seconds()))
	}
	var log publiclog.State
	if h.Report.LogUntil > 0 {
		log.Until = time.Unix(h.Report.LogUntil, 0)
	}
	rows := []string{
		fmt.Sprintf("hub\t%s\t%s", named(h.Name), presence),
		fmt.Sprintf("version\t%s\t%s", h.Report.Version, clockWords(h.Report.Clock)),
		fmt.Sprintf("heads\t%s\t", heads),
		fmt.Sprintf("chain\t%s\t", trustWords(log, time.Now())),
		fmt.Sprintf("spool\t%d parts, %s of %s\tuplink %s", h.Report.SpoolParts, size(h.Report.SpoolBytes), size(h.Report.SpoolLimit), h.Report.Uplink),
	}
	if !h.Doubled.IsZero() {
		rows = append(rows, fmt.Sprintf("TROUBLE\ttwo machines use this hub's keys\tthe second one came last at %s", stamp(h.Doubled)))
	}
	for _, cam := range h.Cameras {
		rows = append(rows, "camera\t"+cameraRow(cam))
	}
	return rows
}

// clockWords says what the hub knows of its clock: that something keeps it, or
// only that nothing told the system so. Such a clock can still be right.
func clockWords(clock string) string {
	switch clock {
	case "synced":
		return "clock kept by NTP or PTP"
	case "unsynced":
		return "clock not known to be kept by NTP"
	}
	return "clock not told yet"
}

// hubJSON is the contracted object for a hub.
func hubJSON(h member.HubStatus) map[string]any {
	cameras := []any{}
	for _, cam := range h.Cameras {
		cameras = append(cameras, cameraJSON(cam))
	}
	doc := map[string]any{
		"kid": h.Kid.String(), "name": h.Name, "online": h.Online, "last_seen": stamp(h.LastSeen), "doubled": stamp(h.Doubled),
		"heads": stamp(h.Heads), "version": h.Report.Version, "uplink": h.Report.Uplink, "clock": h.Report.Clock,
		"spool": map[string]any{
			"parts": h.Report.SpoolParts, "bytes": h.Report.SpoolBytes,
			"limit": h.Report.SpoolLimit, "oldest": h.Report.SpoolOldest,
		},
		"cameras": cameras, "heads_age": nil, "log_until": nil,
	}
	if h.Report.LogUntil > 0 {
		doc["log_until"] = stamp(time.Unix(h.Report.LogUntil, 0))
	}
	if !h.Heads.IsZero() {
		doc["heads_age"] = int(time.Since(h.Heads).Seconds())
	}
	return doc
}

// size writes bytes for people.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, u := float64(n), 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[u])
}
