package main

import (
	"fmt"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
)

type hubListCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run lists the hubs of the verified roster, with the cloud's word on which of
// them is connected.
func (c *hubListCmd) Run(a *app) error {
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
			list = append(list, map[string]any{"kid": h.Kid.String(), "name": h.Name, "online": h.Online, "last_seen": stamp(h.LastSeen)})
		}
		return a.json(map[string]any{"hubs": list})
	}
	rows := []string{"NAME\tSTATE\tCAMERAS\tKID"}
	for _, h := range hubs {
		state := "offline since " + stamp(h.LastSeen)
		if h.Online {
			state = "online"
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%d\t%s", named(h.Name), state, len(h.Cameras), h.Kid))
	}
	return a.table(rows...)
}

type hubRemoveCmd struct {
	Name string `arg:"" help:"The hub's name or kid."`
	JSON bool   `help:"One JSON document."`
}

// Run removes a hub. What it recorded stays; what it would record is nobody's.
func (c *hubRemoveCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	report, err := client.RemoveHub(a.ctx, c.Name)
	if err := a.tellRemoval(report, err, c.JSON); err != nil {
		return err
	}
	a.say("On that machine, `latchkey hub reset` removes its keys and its cameras' passwords.")
	return nil
}

type hubReplaceCmd struct {
	Old  string `arg:"" help:"The name or kid of the hub that goes."`
	Name string `help:"What to call the new hub; the old one's name when absent."`
	LAN  string `default:"0.0.0.0:0" placeholder:"ADDR" help:"Where to wait for the hub on the home network too; off: nowhere."`
	JSON bool   `help:"One JSON object a line: the code, the new hub, the removal of the old one."`
}

// Run pairs a new hub and removes the old one. The cameras stay declared with
// all their footage; their addresses and passwords only the old hub knew.
func (c *hubReplaceCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	hubs, err := client.Hubs(a.ctx)
	if err != nil {
		return err
	}
	old, err := pickHubStatus(hubs, c.Old)
	if err != nil {
		return err
	}
	name := c.Name
	if name == "" {
		name = old.Name
	}
	invitation, err := client.InviteHub(a.ctx, name)
	if err != nil {
		return err
	}
	joined, err := a.awaitHub(client, invitation, c.LAN, c.JSON)
	if err != nil {
		return err
	}
	report, err := client.RemoveHub(a.ctx, old.Kid.String())
	if err := a.tellRemoval(report, err, c.JSON); err != nil {
		return err
	}
	a.say("The cameras keep their names and footage. Their addresses and passwords only the old hub knew; tell the new one:")
	for _, cam := range old.Cameras {
		a.say("  latchkey camera add '%s' rtsp://… --hub %s", cam.Name, joined.Kid)
	}
	return nil
}

// pickHubStatus finds a hub by its kid or a name that only one has.
func pickHubStatus(hubs []member.HubStatus, name string) (member.HubStatus, error) {
	var found []member.HubStatus
	for _, h := range hubs {
		if h.Kid.String() == name || strings.EqualFold(h.Name, name) {
			found = append(found, h)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return member.HubStatus{}, advise(fmt.Errorf("no hub is called %q: %w", name, latchkey.ErrNotFound), "`latchkey hub list` tells what there is.")
	}
	return member.HubStatus{}, usage(fmt.Sprintf("%d hubs are called %q", len(found), name), "Give the kid of one: `latchkey hub list`.")
}
