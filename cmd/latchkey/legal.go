package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/ledger"
)

type legalAddCmd struct {
	Kind      string `required:"" enum:"court-order,warrant,subpoena,emergency,other" help:"court-order, warrant, subpoena, emergency or other."`
	Country   string `default:"zz" placeholder:"CC" help:"The authority's country, two letters; zz when it is not told."`
	Household string `required:"" placeholder:"ID" help:"The household's id, 32 hex digits."`
	From      string `required:"" placeholder:"T" help:"Of footage: RFC 3339 or like -24h."`
	To        string `required:"" placeholder:"T" help:"RFC 3339, like -1h, or now."`
	Document  string `type:"existingfile" placeholder:"FILE" help:"The paper: its hash is kept, not the paper."`
	GagUntil  string `placeholder:"T" help:"Until when the household may not be told, by law; its chain gets a sealed, dated commitment. RFC 3339 or like +720h."`
	JSON      bool   `help:"One JSON document."`
}

// Run enters a request; the public log says that there is one.
func (c *legalAddCmd) Run(a *app) error {
	span, err := parseRange(c.From, c.To, 0)
	if err != nil {
		return err
	}
	e := member.LegalEntry{Kind: c.Kind, Country: c.Country, Span: span}
	if e.Household, err = latchkey.ParseHouseholdID(c.Household); err != nil {
		return asUsage(err, "The id has 32 hex digits.")
	}
	if c.GagUntil != "" {
		if e.GagUntil, err = parseTime(c.GagUntil, time.Now()); err != nil {
			return err
		}
	}
	if c.Document != "" {
		b, err := os.ReadFile(c.Document)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		e.Document = sum[:]
	}
	agent, err := a.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	n, err := agent.AddLegal(a.ctx, e)
	if err != nil {
		return staffTrouble(err)
	}
	if c.JSON {
		return a.json(map[string]any{"request": n})
	}
	a.print("%d", n)
	a.say("The public log says that a request of this kind has come in. Another person decides: `latchkey legal disclose %d` or `latchkey legal refuse %d`.", n, n)
	return nil
}

type legalListCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run lists the requests.
func (c *legalListCmd) Run(a *app) error {
	agent, err := a.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	all, err := agent.Legal(a.ctx)
	if err != nil {
		return staffTrouble(err)
	}
	if c.JSON {
		list := []any{}
		for _, r := range all {
			one := map[string]any{
				"request": r.N, "kind": r.Kind, "country": r.Country, "state": r.State, "entered_by": r.EnteredBy, "decided_by": r.DecidedBy, "entered": stamp(r.Entered),
			}
			if r.Household != (latchkey.HouseholdID{}) { // auditors are told nothing of a household
				one["household"], one["from"], one["to"], one["gag_until"] = r.Household.String(), stamp(r.Span.From), stamp(r.Span.To), orNull(r.GagUntil)
			}
			list = append(list, one)
		}
		return a.json(map[string]any{"requests": list})
	}
	if len(all) == 0 {
		a.say("There was no request.")
		return nil
	}
	rows := []string{"request\tkind\tcountry\tstate\tentered by\tdecided by\tentered"}
	for _, r := range all {
		rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s", r.N, r.Kind, r.Country, r.State, r.EnteredBy, r.DecidedBy, stamp(r.Entered)))
	}
	return a.table(rows...)
}

type legalDiscloseCmd struct {
	Request uint64 `arg:"" help:"The request's number."`
}

// Run decides to hand over; the household's chain says so first.
func (c *legalDiscloseCmd) Run(a *app) error {
	if err := a.decideLegal(c.Request, true); err != nil {
		return err
	}
	a.say("The household's chain says so, and the public log counts it. `latchkey legal fetch %d -o FILE` saves what there is: ciphertext and signed statements. Nobody here can open them.", c.Request)
	return nil
}

type legalRefuseCmd struct {
	Request uint64 `arg:"" help:"The request's number."`
}

// Run refuses a request.
func (c *legalRefuseCmd) Run(a *app) error { return a.decideLegal(c.Request, false) }

func (a *app) decideLegal(n uint64, disclose bool) error {
	agent, err := a.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	return staffTrouble(agent.DecideLegal(a.ctx, n, disclose))
}

type legalFetchCmd struct {
	Request uint64 `arg:"" help:"The request's number."`
	Output  string `short:"o" required:"" placeholder:"FILE" help:"A .tar file."`
}

// Run saves what was decided to be handed over.
func (c *legalFetchCmd) Run(a *app) error {
	agent, err := a.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	err = writeWhole(c.Output, func(f *os.File) error {
		_, err := agent.FetchLegal(a.ctx, c.Request, f)
		return err
	})
	return staffTrouble(err)
}

type legalMineCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run shows a household what was handed over of it.
func (c *legalMineCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	all, sealed, err := client.Disclosures(a.ctx)
	if err != nil {
		if errors.Is(err, latchkey.ErrVerify) {
			return advise(err, "Ask the operator what was handed over, and keep this machine's folder: it has the proof that it was said otherwise.")
		}
		return err
	}
	if c.JSON {
		list := []any{}
		for _, d := range all {
			list = append(list, map[string]any{"request": d.Request, "kind": d.Kind, "country": d.Country, "listing": d.Listing, "statement": d.Statement, "at": stamp(d.At)})
		}
		return a.json(map[string]any{"disclosures": list, "sealed": sealed})
	}
	for _, d := range all {
		a.print("Request %d (%s, %s), in your chain as statement %d of %s. Handed over, all of it sealed:\n%s", d.Request, d.Kind, d.Country, d.Statement, stamp(d.At), d.Listing)
	}
	if len(all) == 0 {
		a.print("Nothing was handed over that the operator may speak of.")
	}
	if sealed > 0 {
		a.print("%s in your chain of what it may not speak of yet.", many(uint64(sealed), "sealed statement"))
	}
	return nil
}

type legalReportCmd struct {
	Server string `placeholder:"URL" help:"The service; that of this machine's household, or staff, when absent."`
	JSON   bool   `help:"One JSON document."`
}

// Run counts the public log.
func (c *legalReportCmd) Run(a *app) error {
	server, pinned := c.Server, ""
	if server == "" {
		if client, err := a.client(); err == nil {
			server, pinned = client.Server(), client.LogPolicy()
			client.Close()
		} else if agent, err := a.agent(); err == nil {
			server = agent.Server()
			agent.Close()
		} else {
			return usage("it is missing whose report", "Write --server URL.")
		}
	}
	opts, err := a.memberOptions()
	if err != nil {
		return err
	}
	r, policy, err := member.Report(a.ctx, opts, server, pinned)
	if err != nil {
		return ledgerTrouble(err)
	}
	if c.JSON {
		rules := []string{}
		for _, h := range r.Rules {
			rules = append(rules, h.String())
		}
		return a.json(map[string]any{
			"log": policy.Origin(), "entries": r.Entries, "witnessed": policy.Witnessed(), "requests": r.Requests, "countries": r.Countries,
			"staff": r.Staff, "releases": r.Releases, "desk_rules": rules,
		})
	}
	a.print("Counted from %d entries of the public log %s.\n", r.Entries, policy.Origin())
	rows := []string{"requests of authorities\treceived\trefused\tdisclosed (sealed)"}
	for _, k := range ledger.LegalKinds {
		rows = append(rows, fmt.Sprintf("%s\t%d\t%d\t%d", k, r.Requests[k][ledger.LegalReceived], r.Requests[k][ledger.LegalRefused], r.Requests[k][ledger.LegalDisclosed]))
	}
	rows = append(rows, "\t\t\t", "people who were ever staff\t\t\t")
	for _, role := range ledger.StaffRoles {
		rows = append(rows, fmt.Sprintf("%s\t%d\t\t", role, r.Staff[role]))
	}
	rows = append(rows, "\t\t\t", fmt.Sprintf("versions of the desk's rules\t%d\t\t", len(r.Rules)), fmt.Sprintf("releases\t%d\t\t", r.Releases))
	return a.table(rows...)
}
