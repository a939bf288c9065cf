package main

import (
	"errors"
	"fmt"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/hub"
)

type hubResetCmd struct {
	Data string `required:"" placeholder:"DIR" help:"The hub's data directory."`
	Yes  bool   `help:"Do not ask."`
}

// resetWord is what a person types who means it.
const resetWord = "reset"

// Run ends a hub that changes hands, or that was removed.
func (c *hubResetCmd) Run(a *app) error {
	home, err := a.home()
	if err != nil {
		return err
	}
	r, err := hub.Find(c.Data, home)
	if errors.Is(err, latchkey.ErrNotFound) {
		return advise(err, "Give the --data that the hub was run with.")
	}
	if err != nil {
		return err
	}
	if !c.Yes {
		if err := a.askReset(c.Data, r); err != nil {
			return err
		}
	}
	r, err = hub.Reset(durable.Disk{}, c.Data, home)
	for _, path := range r.Strange {
		a.say("Left alone, it is not the hub's: %s", path)
	}
	if errors.Is(err, latchkey.ErrConflict) {
		return advise(err, "Stop the hub first.")
	}
	if err != nil {
		return advise(err, "Run it again; what is destroyed stays destroyed. If it stays so, destroy the disk.")
	}
	a.say("The hub in %s is no more (%s destroyed). It can be paired anew.", c.Data, size(r.Bytes))
	if r.MachineKey == "" {
		a.say("The machine key in %s stays: other keys live there too.", home)
	}
	a.say("If its household has not removed it yet: a member does that on the page.")
	return nil
}

// askReset says what goes and has a person type a word.
func (a *app) askReset(dir string, r hub.Remains) error {
	a.say("This destroys the hub in %s: its identity, its cameras' addresses and passwords, and %s that no cloud may have yet.", dir, size(r.Bytes))
	if r.MachineKey != "" {
		a.say("It destroys %s as well. Any other hub on this machine that uses it is lost too.", r.MachineKey)
	}
	a.say("Type %q to go on:", resetWord)
	word, err := a.readLine()
	if err != nil {
		return err
	}
	if strings.TrimSpace(word) != resetWord {
		return advise(fmt.Errorf("nothing was destroyed: %w", latchkey.ErrRefused), "Type the word as it stands there, or give --yes.")
	}
	return nil
}
