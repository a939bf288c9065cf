package main

import (
	"errors"
	"fmt"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
)

type ticketOpenCmd struct {
	Text   string `arg:"" help:"What is wrong, in your own words. Only the person of support who gets it, and your household, can read it."`
	Topic  string `default:"other" enum:"offline,clock,line,password,codec,footage,other" help:"What it is about: offline, clock, line, password, codec, footage or other. The operator sees this word."`
	Health bool   `default:"true" negatable:"" help:"Let that person see how hubs and cameras are: states, bit rates, errors, clocks. Never names, pictures or events."`
	JSON   bool   `help:"One JSON document."`
}

// Run opens a ticket with the operator's support.
func (c *ticketOpenCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	t, err := client.OpenTicket(a.ctx, member.TicketRequest{Topic: c.Topic, Words: c.Text, Health: c.Health})
	if err != nil {
		return ticketTrouble(err)
	}
	if c.JSON {
		return a.json(ticketJSON(t))
	}
	a.print("%d", t.N)
	a.say("Ticket %d is with %s, who is staff by the public log. Your words are sealed to that person and your household.", t.N, t.Agent)
	if c.Health {
		a.say("Until the ticket is closed, a week at most, your hubs report to that person how they are: no names, no pictures, no events.")
	}
	a.say("To let that person see footage: `latchkey grant CAMERA --to staff:%s --from T --to T`.", t.Agent)
	return nil
}

type ticketHealthCmd struct {
	Ticket uint64 `arg:"" help:"The ticket's number."`
	End    bool   `help:"Reports end instead."`
}

// Run lets whoever has the ticket now see how hubs and cameras are, or ends that.
func (c *ticketHealthCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.TicketHealth(a.ctx, c.Ticket, !c.End); err != nil {
		return ticketTrouble(err)
	}
	if c.End {
		a.say("Your hubs report nothing more for ticket %d.", c.Ticket)
		return nil
	}
	a.say("The hubs that are there report to whoever has ticket %d, for a week at most: no names, no pictures, no events.", c.Ticket)
	return nil
}

func ticketTrouble(err error) error {
	switch {
	case errors.Is(err, member.ErrNoStaff):
		return advise(err, "Try again later. A server without a support desk never has anybody there.")
	case errors.Is(err, latchkey.ErrVerify):
		return advise(err, "Do not write to this person: the server names somebody whom the public log does not prove to be staff. Tell the others of your household.")
	case errors.Is(err, latchkey.ErrTooMany):
		return advise(err, "Close one first: `latchkey ticket list`, `latchkey ticket close N`.")
	case errors.Is(err, latchkey.ErrNotFound):
		return advise(err, "`latchkey ticket list` has the numbers.")
	case errors.Is(err, latchkey.ErrConflict):
		return advise(err, "The ticket is closed; open another one.")
	}
	return err
}

func ticketJSON(t member.Ticket) map[string]any {
	return map[string]any{
		"ticket": t.N, "topic": t.Topic, "state": t.State, "agent": t.Agent, "opened": stamp(t.Opened), "updated": stamp(t.Updated), "messages": t.Messages,
	}
}

func letterJSON(list []member.Letter) []any {
	out := []any{}
	for _, l := range list {
		out = append(out, map[string]any{"by": l.By, "staff": l.Staff, "mine": l.Mine, "at": stamp(l.At), "text": l.Words})
	}
	return out
}

type ticketListCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run lists the household's tickets.
func (c *ticketListCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	all, err := client.Tickets(a.ctx)
	if err != nil {
		return err
	}
	return a.tickets(all, c.JSON)
}

func (a *app) tickets(all []member.Ticket, asJSON bool) error {
	if asJSON {
		list := []any{}
		for _, t := range all {
			list = append(list, ticketJSON(t))
		}
		return a.json(map[string]any{"tickets": list})
	}
	if len(all) == 0 {
		a.say("There are no tickets.")
		return nil
	}
	rows := []string{"ticket\ttopic\tstate\twith\topened\tmessages"}
	for _, t := range all {
		with := t.Agent
		if with == "" {
			with = "nobody"
		}
		rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%d", t.N, t.Topic, t.State, with, stamp(t.Opened), t.Messages))
	}
	return a.table(rows...)
}

type ticketShowCmd struct {
	Ticket uint64 `arg:"" help:"The ticket's number."`
	JSON   bool   `help:"One JSON document."`
}

// Run shows a ticket: what was written, what was granted for it, and what was
// opened of that.
func (c *ticketShowCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	t, letters, err := client.Ticket(a.ctx, c.Ticket)
	if err != nil {
		return ticketTrouble(err)
	}
	openings, err := client.Openings(a.ctx)
	if err != nil {
		return err
	}
	grants, err := client.Grants(a.ctx)
	if err != nil {
		return err
	}
	var mine []member.GrantInfo
	for _, g := range grants {
		if g.Purpose == fmt.Sprintf("support:%d", t.N) {
			mine = append(mine, g)
		}
	}
	if c.JSON {
		doc := ticketJSON(t)
		given := []any{}
		for _, g := range mine {
			given = append(given, grantJSON(g, ""))
		}
		doc["letters"], doc["grants"], doc["openings"] = letterJSON(letters), given, openingJSON(openings, mine)
		return a.json(doc)
	}
	if err := a.tickets([]member.Ticket{t}, false); err != nil {
		return err
	}
	a.letters(letters)
	for _, g := range mine {
		a.print("\n%s may see %s, %s – %s, until %s (%s; grant %s).", t.Agent, strings.Join(g.Cameras, ", "), stamp(g.Span.From), stamp(g.Span.To), endWords(g.Until), stateWords(g.State), g.ID.String()[:8])
		for _, o := range openings {
			if o.Grant == g.ID {
				a.print("  opened %s: %s", stamp(o.At), spanWords(o.Spans))
			}
		}
	}
	return nil
}

func (a *app) letters(list []member.Letter) {
	for _, l := range list {
		who := named(l.By)
		if l.Staff {
			who += " (staff)"
		}
		a.print("\n%s, %s:\n  %s", who, stamp(l.At), strings.ReplaceAll(l.Words, "\n", "\n  "))
	}
}

func spanWords(spans []member.Span) string {
	var out []string
	for _, s := range spans {
		out = append(out, stamp(s.From)+" – "+stamp(s.To))
	}
	return strings.Join(out, ", ")
}

func openingJSON(list []member.Opening, of []member.GrantInfo) []any {
	out := []any{}
	for _, o := range list {
		for _, g := range of {
			if g.ID != o.Grant {
				continue
			}
			spans := []any{}
			for _, s := range o.Spans {
				spans = append(spans, map[string]any{"from": stamp(s.From), "to": stamp(s.To)})
			}
			out = append(out, map[string]any{"grant": o.Grant.String(), "statement": o.Seq, "at": stamp(o.At), "camera": o.Camera, "footage": spans})
		}
	}
	return out
}

type ticketReplyCmd struct {
	Ticket uint64 `arg:"" help:"The ticket's number."`
	Text   string `arg:"" help:"What to write."`
}

// Run writes into a ticket.
func (c *ticketReplyCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	return ticketTrouble(client.ReplyTicket(a.ctx, c.Ticket, c.Text))
}

type ticketCloseCmd struct {
	Ticket uint64 `arg:"" help:"The ticket's number."`
}

// Run closes a ticket, and ends all that was let see for it.
func (c *ticketCloseCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.CloseTicket(a.ctx, c.Ticket); err != nil {
		return ticketTrouble(err)
	}
	a.say("Closed. Hubs report nothing for it any more, and grants for it have ended. What was opened before may have been kept.")
	return nil
}
