package main

import (
	"errors"
	"fmt"
	"os"

	"latchkey.dev/latchkey/internal/home/member"
)

// deviceName is what this machine calls itself in its owner's list of devices.
func deviceName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "command line"
	}
	return "command line on " + host
}

type deviceListCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run lists one's own devices.
func (c *deviceListCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	devices, err := client.Devices(a.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		list := []any{}
		for _, d := range devices {
			list = append(list, deviceJSON(d))
		}
		return a.json(map[string]any{"devices": list})
	}
	rows := []string{"ID\tLABEL\tENROLLED\tBY\tLAST USE"}
	for _, d := range devices {
		use := stamp(d.Seen)
		switch {
		case d.Current:
			use = "this device"
		case d.Online:
			use = "now"
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s", d.ID, named(d.Label), stamp(d.Created), d.How, use))
	}
	return a.table(rows...)
}

// deviceJSON is the contracted object for a device.
func deviceJSON(d member.Device) map[string]any {
	return map[string]any{
		"id": d.ID, "label": d.Label, "created": stamp(d.Created), "last_use": stamp(d.Seen),
		"how": d.How, "current": d.Current, "online": d.Online,
	}
}

type deviceRemoveCmd struct {
	ID     string `arg:"" optional:"" help:"The device's id, the beginning of it, or its label."`
	Others bool   `help:"All devices but this one."`
	JSON   bool   `help:"One JSON document."`
}

// Run signs devices out. It is the server that holds them to it: for a device
// in wrong hands there is `household keys`.
func (c *deviceRemoveCmd) Run(a *app) error {
	if (c.ID == "") == !c.Others {
		return usage("which device?", "Give one id from `latchkey device list`, or --others.")
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	n, what := 1, ""
	if c.Others {
		n, err = client.EndOtherDevices(a.ctx)
		what = fmt.Sprintf("%d other devices are", n)
	} else {
		var d member.Device
		d, err = client.EndDevice(a.ctx, c.ID)
		what = named(d.Label) + " is"
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return a.json(map[string]any{"ended": n})
	}
	a.say("%s signed out. For a device in wrong hands run `latchkey household keys` as well: its copy of the keys stays a copy.", what)
	return nil
}

// afterEnd is the advice for somebody whose device was signed out.
func afterEnd(err error) error {
	if !errors.Is(err, member.ErrDeviceEnded) {
		return err
	}
	return advise(err, "`latchkey recover --server URL` brings you back here, with your recovery code.")
}
