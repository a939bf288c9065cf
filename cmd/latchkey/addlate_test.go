package main

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/hub"
	"latchkey.dev/latchkey/internal/home/member"
)

// TestAddLate: what the household has added counts on a machine once the public
// log has proven it there. With the log away nothing is sealed to new keys, no hub
// is told or believed that was not vouched for before, and removals work; with the
// log back all of it goes on (protocol 2.7, 2.11).
func TestAddLate(t *testing.T) {
	d := startDemo(t)
	l, w := newLiar(t, d.server), &wire{}
	l.tell(t, lie{request: w.request})
	w.log(false)
	home := filepath.Join(t.TempDir(), "ann")
	late, err := member.Recover(t.Context(), member.Options{Home: home, LogWait: time.Millisecond}, member.Recovery{Server: l.URL, Code: d.code, Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	startBarn(t, d)
	span := recorded(t, d.client, "garden", 3*time.Second)
	var kids [chain.Shares]latchkey.Kid
	for i, name := range []string{"Bob", "Cem", "Dee"} {
		kids[i] = join(t, d.client, d.server, member.NewMember{Name: name}, name).person.Kid
	}
	fay := join(t, d.client, d.server, member.NewMember{Name: "Fay"}, "Fay")
	begin := w.count()
	shed := member.NewCamera{Name: "shed", URL: "rtsp://127.0.0.1:1/none", Hub: "barn"}
	for what, do := range map[string]func(c *member.Client) error{
		"footage of the hub":   func(c *member.Client) error { _, err := export(t, c, "garden", span); return err },
		"a command to the hub": func(c *member.Client) error { _, err := c.AddCamera(t.Context(), shed); return err },
		"names for all":        func(c *member.Client) error { return c.RenameMember(t.Context(), kids[0].String(), "Rob") },
		"trusted contacts":     func(c *member.Client) error { return c.SetContacts(t.Context(), kids) },
	} {
		if err := do(late); !errors.Is(err, member.ErrNotProven) {
			t.Errorf("%s, with the log away: %v", what, err)
		}
	}
	for _, asked := range w.since(begin) {
		if slices.Contains([]string{"SendCommand", "PutDirectory", "SetContacts"}, asked) {
			t.Errorf("with the log away it asks the server for %s", asked)
		}
	}
	if _, err := late.RemoveMember(t.Context(), fay.person.Kid.String()); err != nil {
		t.Errorf("a removal, with the log away: %v", err)
	}
	late.Close()
	w.log(true)
	now, err := member.Open(member.Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	defer now.Close()
	if _, err := export(t, now, "garden", span); err != nil {
		t.Errorf("footage: %v", err)
	}
	if _, err := now.AddCamera(t.Context(), shed); err != nil {
		t.Errorf("a command: %v", err)
	}
	if err := now.RenameMember(t.Context(), kids[0].String(), "Rob"); err != nil {
		t.Errorf("names: %v", err)
	}
	if err := now.SetContacts(t.Context(), kids); err != nil {
		t.Errorf("contacts: %v", err)
	}
}

// startBarn adds a second hub, with a camera.
func startBarn(t *testing.T, d *demo) {
	t.Helper()
	invitation, err := d.client.InviteHub(t.Context(), "barn")
	if err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(hub.Config{
		DataDir: filepath.Join(t.TempDir(), "barn"), Home: d.home, Server: d.server, LAN: "127.0.0.1:0",
		Name: "barn", Version: buildVersion(), Pace: d.pace, Log: d.log, PairCode: invitation.Code(),
	})
	if err != nil {
		t.Fatal(err)
	}
	d.background("barn", h.Run)
	paired, err := invitation.Wait(t.Context(), func(string) {})
	if err == nil {
		err = d.client.AwaitOnline(t.Context(), paired.Kid)
	}
	if err == nil {
		garden := d.cameras[0]
		garden.Name, garden.Hub = "garden", "barn"
		_, err = d.client.AddCamera(t.Context(), garden)
	}
	if err != nil {
		t.Fatal(err)
	}
}
