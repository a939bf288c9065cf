package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"latchkey.dev/latchkey/internal/home/member"
)

type cardCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run prints the card of this machine's member.
func (c *cardCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	card := client.Card()
	if c.JSON {
		return a.json(map[string]string{"card": card.String(), "digits": card.Digits()})
	}
	a.print("%s", card)
	a.say("Give it to the household that wants to share with you; it is no secret. Read these digits out to them, by voice, so that nobody puts his own card in place of yours:\n\n  %s\n\nAfter new keys (`latchkey household keys`) you have another card.",
		inGroups(card.Digits(), 4))
	return nil
}

// maxCardFile is more than any card has, in bytes.
const maxCardFile = 4 << 10

// readCard reads a card as somebody typed it, or @FILE.
func readCard(arg string) (member.Card, error) {
	text := arg
	if name, ok := strings.CutPrefix(arg, "@"); ok {
		f, err := os.Open(name)
		if err != nil {
			return member.Card{}, advise(fmt.Errorf("read the card: %w", err), "Write --to contact:@FILE with a file that you can read.")
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxCardFile))
		if err != nil {
			return member.Card{}, fmt.Errorf("read the card: %w", err)
		}
		text = string(b)
	}
	card, err := member.ParseCard(strings.TrimSpace(text))
	if err != nil {
		return card, usage("that is no card", "Ask for what `latchkey card` prints, whole, and write --to contact:CARD or --to contact:@FILE.")
	}
	return card, nil
}

// toContact gives a stretch to a person outside the household: a link that only
// his keys open.
func (c *grantCmd) toContact(a *app, card member.Card, span member.Span) error {
	if len(c.Cameras) != 1 {
		return usage("one camera at a time for a person outside the household", "Run it once for each camera.")
	}
	client, err := a.goOn()
	if err != nil {
		return err
	}
	defer client.Close()
	served := c.For
	if served == 0 {
		served = member.LinkServed
	}
	s, err := client.ShareLink(a.ctx, member.ShareRequest{
		Camera: c.Cameras[0], Span: span, For: served, Sound: c.Sound, Note: c.Note, Zone: a.zone(), Long: c.Long, To: &card,
	}, a.grantSteps())
	if err != nil {
		return shareTrouble(err)
	}
	if c.JSON {
		err = a.json(map[string]any{
			"grant": s.Grant.String(), "link": s.Link, "digits": card.Digits(), "from": stamp(s.Span.From), "to": stamp(s.Span.To), "until": stamp(s.Until), "sound": c.Sound,
		})
	} else {
		a.print("%s", s.Link)
		a.say("Only the keys with the digits %s open this: ask the person to read theirs to you (`latchkey card`). They see %s, %s – %s, until %s. `latchkey revoke %s` ends it.",
			inGroups(card.Digits(), 4), c.Cameras[0], stamp(s.Span.From), stamp(s.Span.To), s.Until.UTC().Format(time.RFC3339), s.Grant.String()[:8])
	}
	if err != nil {
		return err
	}
	return client.LinkShown(s.Grant)
}
