package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mdp/qrterminal/v3"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/member"
)

// contactCmds are trusted contacts: whom a person has chosen, and what these do
// for him.
type contactCmds struct {
	Set     contactSetCmd     `cmd:"" help:"Choose three people; two of them together can bring you back."`
	List    contactListCmd    `cmd:"" help:"List your trusted contacts, and who trusts you."`
	Remove  contactRemoveCmd  `cmd:"" help:"Do without trusted contacts."`
	Help    contactHelpCmd    `cmd:"" help:"Help somebody back who has lost everything: print a link, compare, confirm."`
	Claims  contactClaimsCmd  `cmd:"" help:"List who is being helped back: who says so, since when, until when."`
	Confirm contactConfirmCmd `cmd:"" help:"Confirm a claim, as the second contact, with the digits that are read to you."`
	Stop    contactStopCmd    `cmd:"" help:"Stop a claim for good."`
	Release contactReleaseCmd `cmd:"" help:"Give your share for a claim, after the wait."`
}

type contactSetCmd struct {
	Name []string `arg:"" help:"Three other members."`
}

// Run chooses, after saying what it means.
func (c *contactSetCmd) Run(a *app) error {
	if len(c.Name) != chain.Shares {
		return usage(fmt.Sprintf("%d names, want three", len(c.Name)), "Write it like `latchkey contact set BEN CARL DORA`.")
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	people, err := client.Find(a.ctx, c.Name...)
	if err != nil {
		return advise(err, "`latchkey member list` shows who is there.")
	}
	if err := client.SetContacts(a.ctx, [chain.Shares]latchkey.Kid{people[0].Kid, people[1].Kid, people[2].Kid}); err != nil {
		return advise(err, "Choose three different people other than yourself; `latchkey member list` shows who is there.")
	}
	a.say("Any two of %s can help you back now, after seven days in which everybody sees it and you can stop it.", namesOf(people))
	a.say("Two of them together could also do this against your will, and with a changed program without waiting: trust people who would not.")
	return nil
}

// namesOf joins names of people.
func namesOf(people []member.Person) string {
	var out []string
	for _, p := range people {
		out = append(out, named(p.Name))
	}
	return strings.Join(out, ", ")
}

type contactListCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run shows both sides of trust.
func (c *contactListCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	mine, err := client.Contacts(a.ctx)
	if err != nil {
		return err
	}
	trusting, err := client.Entrusted(a.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.json(map[string]any{
			"contacts": refsJSON(mine.People), "since": stamp(mine.Since), "broken": mine.Broken, "trusted_by": refsJSON(trusting),
		})
	}
	rows := []string{"WHO\tNAME\tKID"}
	for _, p := range mine.People {
		rows = append(rows, fmt.Sprintf("you trust\t%s\t%s", named(p.Name), p.Kid))
	}
	for _, p := range trusting {
		rows = append(rows, fmt.Sprintf("trusts you\t%s\t%s", named(p.Name), p.Kid))
	}
	if mine.Broken != "" {
		a.say("Your trusted contacts cannot help any more: %s Choose again with `latchkey contact set`.", mine.Broken)
	}
	return a.table(rows...)
}

func refsJSON(people []member.Person) []any {
	out := []any{}
	for _, p := range people {
		out = append(out, map[string]string{"kid": p.Kid.String(), "name": p.Name})
	}
	return out
}

type contactRemoveCmd struct{}

// Run gives trusted contacts up.
func (c *contactRemoveCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.RemoveContacts(a.ctx); err != nil {
		return err
	}
	a.say("Nobody holds a share of yours any more. Your recovery code stays your way back.")
	return nil
}

type contactHelpCmd struct {
	Name string `arg:"" help:"Who has lost everything."`
	JSON bool   `help:"One JSON object a line: link and code, then the claim."`
}

// Run makes a link, waits until it was used, and confirms with the digits that
// the other reads out: they are typed, so that they are compared.
func (c *contactHelpCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	people, err := client.Find(a.ctx, c.Name)
	if err != nil {
		return err
	}
	help, err := client.HelpBack(a.ctx, people[0].Kid)
	if errors.Is(err, latchkey.ErrRefused) {
		return advise(err, "`latchkey contact list` shows who has chosen you.")
	}
	if err != nil {
		return err
	}
	name := named(people[0].Name)
	if err := c.show(a, help, name); err != nil {
		return err
	}
	if _, err := help.Wait(a.ctx); err != nil {
		return err
	}
	a.say("Somebody has used it. Let %s read 24 digits to you, in person or by phone, and type them here:", name)
	digits, err := a.readLine()
	if err != nil {
		return err
	}
	id, err := help.Confirm(a.ctx, digits)
	if errors.Is(err, latchkey.ErrVerify) {
		return advise(err, "Compare once more by voice. If they stay different, somebody else has the link: nothing was signed; make a new one.")
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return a.jsonLine(map[string]string{"claim": id.String()})
	}
	a.say("Confirmed. Everybody in the household sees it now. A second contact of %s has to do: latchkey contact confirm %s 'DIGITS'", name, id)
	a.say("After seven days: latchkey contact release %s", id)
	return nil
}

func (c *contactHelpCmd) show(a *app, help *member.Help, name string) error {
	if c.JSON {
		return a.jsonLine(map[string]string{"link": help.Link(), "code": help.Code()})
	}
	a.print("%s", help.Link())
	qrterminal.GenerateHalfBlock(help.Link(), qrterminal.M, a.err)
	a.say("Only go on if you are with %s, or know the voice on the phone. A message is not enough.", name)
	a.say("%s opens the link, or runs: latchkey recover --help-link '%s'", name, help.Link())
	a.say("Waiting for that, at most 15 minutes …")
	return nil
}

type contactClaimsCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run lists claims. That this person has seen them is noted: his own wait begins.
func (c *contactClaimsCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	claims, err := client.Claims(a.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		out := []any{}
		for _, one := range claims {
			out = append(out, claimJSON(one))
		}
		return a.json(map[string]any{"claims": out})
	}
	rows := []string{"CLAIM\tWHO\tSTATE\tCONFIRMED BY\tSINCE\tNOT BEFORE"}
	for _, one := range claims {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s", one.ID, named(one.Member.Name), one.State, namesOf(one.By), stamp(one.First), stamp(one.Until)))
	}
	if err := a.table(rows...); err != nil {
		return err
	}
	for _, one := range claims {
		if one.State == "open" && one.Member.Me {
			a.say("Somebody says they are you, without your keys. If you did not ask for this: latchkey contact stop %s", one.ID)
		}
		if one.State == "open" && one.Mine && !one.Signed {
			a.say("You can confirm %s with the digits that %s reads to you: latchkey contact confirm %s 'DIGITS'", one.ID, named(one.Member.Name), one.ID)
		}
	}
	return nil
}

func claimJSON(one member.Claim) map[string]any {
	return map[string]any{
		"claim": one.ID.String(), "member": map[string]string{"kid": one.Member.Kid.String(), "name": one.Member.Name}, "me": one.Member.Me,
		"by": refsJSON(one.By), "state": one.State, "first": stamp(one.First), "until": stamp(one.Until), "stopped_by": one.StoppedBy.Name,
		"mine": one.Mine, "signed": one.Signed, "released": one.Released, "release_at": stamp(one.ReleaseAt),
	}
}

type contactConfirmCmd struct {
	Claim  string `arg:"" help:"The claim, or the beginning of its id."`
	Digits string `arg:"" help:"The 24 digits that are read to you; spaces do not matter."`
}

// Run signs as another contact.
func (c *contactConfirmCmd) Run(a *app) error {
	return a.onClaim(func(client *member.Client) error {
		err := client.ConfirmClaim(a.ctx, c.Claim, c.Digits)
		if errors.Is(err, latchkey.ErrVerify) {
			return advise(err, "Compare once more by voice. If they stay different, it is somebody else: `latchkey contact stop` ends it.")
		}
		if err == nil {
			a.say("Confirmed. After seven days: latchkey contact release %s", c.Claim)
		}
		return err
	})
}

type contactStopCmd struct {
	Claim string `arg:"" help:"The claim, or the beginning of its id."`
}

// Run stops a claim.
func (c *contactStopCmd) Run(a *app) error {
	return a.onClaim(func(client *member.Client) error {
		err := client.StopClaim(a.ctx, c.Claim)
		if err == nil {
			a.say("Stopped for good. Whoever it was has to begin anew.")
		}
		return err
	})
}

type contactReleaseCmd struct {
	Claim string `arg:"" help:"The claim, or the beginning of its id."`
}

// Run gives a share.
func (c *contactReleaseCmd) Run(a *app) error {
	return a.onClaim(func(client *member.Client) error {
		err := client.ReleaseShare(a.ctx, c.Claim)
		if errors.Is(err, latchkey.ErrRefused) {
			return advise(err, "`latchkey contact claims` shows from when on it can be given.")
		}
		if err == nil {
			a.say("Your share is given.")
		}
		return err
	})
}

// onClaim runs f with this machine's member.
func (a *app) onClaim(f func(*member.Client) error) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	err = f(client)
	if errors.Is(err, latchkey.ErrNotFound) {
		return advise(err, "`latchkey contact claims` lists them.")
	}
	return err
}

// comeBack is `recover --help-link`: it does what can be done today, and goes on
// where it was when it is run again.
func (c *recoverCmd) comeBack(a *app) error {
	opts, err := a.memberOptions()
	if err != nil {
		return err
	}
	b, err := member.BeginComeback(opts, c.HelpLink, func(code string) error { return c.keep(a, code) })
	switch {
	case errors.Is(err, latchkey.ErrInvalid):
		return asUsage(err, "Copy the link again; it works once, for 15 minutes.")
	case err != nil:
		return elsewhere(err)
	}
	defer b.Close()
	if c.JSON {
		if err := a.jsonLine(map[string]string{"digits": b.Digits()}); err != nil {
			return err
		}
	} else {
		a.say("Read these digits to two of your contacts, in person or by phone:\n\n  %s\n", inGroups(b.Digits(), 4))
	}
	if !b.Answered() {
		a.say("Waiting for your contact, at most 15 minutes …")
	}
	if err := b.Meet(a.ctx); err != nil {
		return err
	}
	return c.goOn(a, b)
}

// keep shows the new code; a person at a terminal types it back.
func (c *recoverCmd) keep(a *app, code string) error {
	if c.JSON {
		return a.jsonLine(map[string]string{"recovery_code": code})
	}
	a.sayCode(code)
	if !isTerminal(a.in) {
		return nil
	}
	a.say("It opens everything once you are back. Type it back:")
	typed, err := a.readLine()
	if err != nil {
		return err
	}
	if !member.SameCode(typed, code) {
		return asUsage(errors.New("that is not the code that was shown"), "Run the same command again; it shows the same code.")
	}
	return nil
}

// goOn says how far it is, and finishes when it can.
func (c *recoverCmd) goOn(a *app, b *member.Comeback) error {
	state, err := b.State(a.ctx)
	if err != nil {
		return err
	}
	if state.Step != "ready" && state.Step != "done" {
		return c.tellState(a, b, state)
	}
	client, err := b.Finish(a.ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if c.JSON {
		return a.jsonLine(map[string]string{"household": client.ID().String(), "name": client.Name()})
	}
	a.say("Household %q is back on this machine, with everything you had. Your new recovery code counts from now on.", client.Name())
	a.say("Choose trusted contacts again: `latchkey contact set`.")
	return nil
}

func (c *recoverCmd) tellState(a *app, b *member.Comeback, state member.ComebackState) error {
	if state.Step == "stopped" || state.Step == "ended" {
		if err := b.Abandon(); err != nil {
			return err
		}
		return advise(fmt.Errorf("this is %s: %w", state.Step, latchkey.ErrRefused), "Ask a contact for a new link; everything begins anew, with a new code.")
	}
	if c.JSON {
		return a.jsonLine(map[string]any{"state": state.Step, "until": stamp(state.Until), "confirmed": state.Confirmed, "shares": state.Shares})
	}
	switch state.Step {
	case "digits":
		a.say("No contact has confirmed yet.")
	case "second":
		a.say("One contact has confirmed. A second one has to.")
	default:
		a.say("Two contacts have confirmed; %d of 2 shares are here.", state.Shares)
	}
	if !state.Until.IsZero() {
		a.say("You are back at the earliest on %s.", state.Until.Local().Format(time.RFC1123))
	}
	a.say("Run the same command again on any day; it goes on.")
	return nil
}
