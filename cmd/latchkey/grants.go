package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/member"
)

// resumeWait is how long a command that has something else to do waits for the
// log on behalf of grants from before.
const resumeWait = 5 * time.Second

type grantCmd struct {
	Cameras []string      `arg:"" name:"camera" help:"The names of one or more cameras."`
	From    string        `required:"" placeholder:"T" help:"RFC 3339, like -5m or +1h, or now."`
	To      []string      `required:"" sep:"none" placeholder:"WHO|T" help:"Twice: to whom, member:NAME, contact:CARD (contact:@FILE) or staff:ID; and the end of the footage, RFC 3339, like -4m or +72h, or now."`
	For     time.Duration `placeholder:"24h" help:"How long it is served; when absent without end, or for 30 days after the last second of what is still to be recorded; for a contact 7 days, for staff 2 hours."`
	Purpose string        `placeholder:"support:N" help:"For staff: the ticket; the one that is open with that person when absent."`
	Sound   bool          `help:"With the sound."`
	Note    string        `placeholder:"TEXT" help:"A line for a contact; only the link can read it."`
	Long    bool          `help:"Really, for a contact: more than 24 hours of footage, or for more than 7 days."`
	JSON    bool          `help:"One JSON document."`
}

// Run gives footage to a member of the household, recorded or still to come, or
// what is recorded to a contact.
func (c *grantCmd) Run(a *app) error {
	kind, who, end, err := c.split()
	if err != nil {
		return err
	}
	span, err := parseRange(c.From, end, 0)
	if err != nil {
		return err
	}
	if kind == chain.GrantContact {
		card, err := readCard(who)
		if err != nil {
			return err
		}
		return c.toContact(a, card, span)
	}
	if kind == chain.GrantStaff {
		return c.toStaff(a, who, span)
	}
	if c.Purpose != "" {
		return usage("--purpose is for staff", "Leave it out.")
	}
	client, err := a.goOn()
	if err != nil {
		return err
	}
	defer client.Close()
	g, err := client.Give(a.ctx, member.GiveRequest{Cameras: c.Cameras, To: who, Span: span, For: c.For, Sound: c.Sound}, a.grantSteps())
	if err != nil {
		return giveTrouble(err)
	}
	if c.JSON {
		return a.json(grantJSON(g, ""))
	}
	a.say("%s has %s, %s – %s. `latchkey revoke %s` ends it.", named(g.To), strings.Join(g.Cameras, ", "), stamp(g.Span.From), stamp(g.Span.To), g.ID.String()[:8])
	if g.Standing {
		a.say("What is still to be recorded is sealed to %s as it comes, once the hub has seen the grant in the public log: normally within seconds. All of it is served until %s.", named(g.To), endWords(g.Until))
	}
	return nil
}

// toStaff lets one person of the operator's staff see footage, with two keys.
func (c *grantCmd) toStaff(a *app, who string, span member.Span) error {
	var ticket uint64
	if c.Purpose != "" {
		number, ok := strings.CutPrefix(c.Purpose, "support:")
		n, err := strconv.ParseUint(number, 10, 53)
		if !ok || err != nil || n == 0 {
			return usage("the purpose of a grant to staff is a ticket", "Write --purpose support:N; `latchkey ticket list` has the numbers.")
		}
		ticket = n
	}
	client, err := a.goOn()
	if err != nil {
		return err
	}
	defer client.Close()
	a.say("Footage granted to staff is disclosed to the operator, too: it serves the desk. It takes two keys: theirs, and for every eight and a half minutes your hub's, which gives it only once your household's own log says so.")
	g, err := client.GiveStaff(a.ctx, member.StaffRequest{Cameras: c.Cameras, Staff: who, Ticket: ticket, Span: span, For: c.For, Sound: c.Sound}, a.grantSteps())
	if err != nil {
		if errors.Is(err, member.ErrNoStaff) || errors.Is(err, latchkey.ErrRefused) {
			return advise(err, "Open a ticket first: `latchkey ticket open TEXT`; `latchkey ticket list` tells who has it.")
		}
		return giveTrouble(err)
	}
	if c.JSON {
		return a.json(grantJSON(g, ""))
	}
	a.say("%s may see %s, %s – %s, until %s. `latchkey ticket show N` tells what was opened; `latchkey revoke %s` ends it.", who, strings.Join(g.Cameras, ", "), stamp(g.Span.From), stamp(g.Span.To), endWords(g.Until), g.ID.String()[:8])
	return nil
}

// giveTrouble is shareTrouble for what members are given.
func giveTrouble(err error) error {
	switch {
	case errors.Is(err, latchkey.ErrTooMany):
		return advise(err, "Give fewer cameras, or a shorter time.")
	case errors.Is(err, latchkey.ErrInvalid):
		return asUsage(err, "See `latchkey grant --help`.")
	}
	return shareTrouble(err)
}

// split tells the two meanings of --to apart.
func (c *grantCmd) split() (kind chain.GrantKind, who, end string, err error) {
	const next = "Write `latchkey grant CAMERA --to member:NAME --from T --to T`."
	for _, v := range c.To {
		before, name, _ := strings.Cut(v, ":")
		switch k := chain.GrantKind(before); k {
		case chain.GrantMember, chain.GrantContact, chain.GrantStaff:
			kind, who = k, name
		case chain.GrantProject:
			return "", "", "", usage("footage for projects comes with a later version", "`latchkey share` makes a link, if that is what you want.")
		default:
			end = v
		}
	}
	switch {
	case len(c.To) > 2:
		return "", "", "", usage("--to is there more than twice", next)
	case who == "":
		return "", "", "", usage("it is missing to whom: --to member:NAME", next)
	case end == "":
		return "", "", "", usage("the end of the footage is missing: --to T", next)
	}
	return kind, who, end, nil
}

type grantsCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run lists what was given to whom; it goes on with what waits for the log.
func (c *grantsCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	done, waiting, err := client.ReleaseGrants(a.ctx, resumeWait)
	if err != nil {
		a.say("A grant from before could not be handed over: %s", sentence(err))
	}
	if len(waiting) > 0 {
		a.say("%s for the public log; nothing of what waits was handed over.", waits(len(waiting)))
	}
	links := map[latchkey.GrantID]string{}
	for _, d := range done {
		links[d.Grant] = d.Link
	}
	all, err := client.Grants(a.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		list := []any{}
		for _, g := range all {
			list = append(list, grantJSON(g, links[g.ID]))
		}
		err = a.json(map[string]any{"grants": list})
	} else {
		err = a.grantTable(all, links)
	}
	for id, link := range links {
		if link != "" && err == nil {
			err = client.LinkShown(id)
		}
	}
	return err
}

func waits(n int) string {
	if n == 1 {
		return "One grant waits"
	}
	return fmt.Sprintf("%d grants wait", n)
}

func (a *app) grantTable(all []member.GrantInfo, links map[latchkey.GrantID]string) error {
	if len(all) == 0 {
		a.say("Nothing was given to anybody. `latchkey share CAMERA --from T --to T` makes a link.")
		return nil
	}
	rows := []string{"grant\tto\tby\tcameras\tfootage\tuntil\tstate\topened"}
	for _, g := range all {
		rows = append(rows, strings.Join([]string{
			g.ID.String()[:8], grantee(g), named(g.By), cameraWords(g), footageWords(g), endWords(g.Until), stateWords(g.State), viewWords(g),
		}, "\t"))
	}
	if err := a.table(rows...); err != nil {
		return err
	}
	for _, g := range all {
		if link := links[g.ID]; link != "" {
			a.say("The link of %s is ready; it is shown this once:", g.ID.String()[:8])
			a.print("%s", link)
		}
	}
	return nil
}

func grantee(g member.GrantInfo) string {
	switch g.Kind {
	case chain.GrantMember:
		return named(g.To)
	case chain.GrantLink:
		return "whoever has the link"
	case chain.GrantContact:
		return "a person with a card"
	case chain.GrantStaff:
		return "staff, " + g.Purpose
	}
	return article(string(g.Kind))
}

// linked reports whether a grant is opened with a link.
func linked(g member.GrantInfo) bool {
	return g.Kind == chain.GrantLink || g.Kind == chain.GrantContact
}

func cameraWords(g member.GrantInfo) string {
	words := strings.Join(g.Cameras, ", ")
	if g.Sound {
		words += " with sound"
	}
	return words
}

// footageWords says of when a grant is, and whether more of it is to come.
func footageWords(g member.GrantInfo) string {
	words := stamp(g.Span.From) + " – " + stamp(g.Span.To)
	if g.Standing && g.State == member.GrantActive && time.Now().Before(g.Span.To) {
		words += ", as it is recorded"
	}
	return words
}

func endWords(t time.Time) string {
	if t.IsZero() {
		return "no end"
	}
	return stamp(t)
}

func stateWords(s member.GrantState) string {
	if s == member.GrantWaiting {
		return "waiting for the log"
	}
	return string(s)
}

// viewWords is the server's count, and called so in docs/sharing.md.
func viewWords(g member.GrantInfo) string {
	switch {
	case !linked(g) || g.State != member.GrantActive:
		return ""
	case g.Views == 0:
		return "never"
	case g.Views == 1:
		return "once, " + stamp(g.LastView)
	}
	return fmt.Sprintf("%d times, last %s", g.Views, stamp(g.LastView))
}

// orNull is a time in JSON; null for none.
func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t)
}

// grantJSON has the link only where it is shown for the first time.
func grantJSON(g member.GrantInfo, link string) map[string]any {
	doc := map[string]any{
		"id": g.ID.String(), "kind": string(g.Kind), "state": string(g.State), "purpose": g.Purpose, "by": g.By, "mine": g.Mine, "grantee": g.To,
		"cameras": append([]string{}, g.Cameras...), "sound": g.Sound, "standing": g.Standing, "from": stamp(g.Span.From), "to": stamp(g.Span.To),
		"given": orNull(g.Given), "until": orNull(g.Until),
	}
	if linked(g) {
		doc["views"], doc["last_view"] = g.Views, orNull(g.LastView)
	}
	if link != "" {
		doc["link"] = link
	}
	return doc
}

type revokeCmd struct {
	Grant string `arg:"" help:"The grant's id, or its beginning, as latchkey grants shows it."`
	JSON  bool   `help:"One JSON document."`
}

// Run ends a grant.
func (c *revokeCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	g, err := client.RevokeGrant(a.ctx, c.Grant)
	switch {
	case errors.Is(err, latchkey.ErrNotFound):
		return advise(err, "`latchkey grants` lists them.")
	case errors.Is(err, latchkey.ErrInvalid):
		return asUsage(err, "`latchkey grants` lists them.")
	case err != nil:
		return err
	}
	if c.JSON {
		return a.json(grantJSON(g, ""))
	}
	a.say("Ended: access to anything recorded from now on, cryptographically. Anything already recorded inside the grant may have been downloaded; the operator stops serving it, which you cannot verify.")
	return nil
}
