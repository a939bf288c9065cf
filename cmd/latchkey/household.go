package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/internal/home/publiclog"
)

type householdCreateCmd struct {
	Server string `required:"" placeholder:"URL" help:"The cloud, like https://cloud.example or http://127.0.0.1:8440."`
	Name   string `required:"" help:"The household's name; only your own people can read it."`
	As     string `required:"" placeholder:"PERSON" help:"Your name."`
	JSON   bool   `help:"One JSON document."`
}

// Run asks the server for its public log's policy, makes the keys and prints the
// recovery code before anything of them leaves this machine, then creates the
// household.
func (c *householdCreateCmd) Run(a *app) error {
	if err := checkServer(c.Server); err != nil {
		return err
	}
	opts, err := a.memberOptions()
	if err != nil {
		return err
	}
	var code string
	client, err := member.Create(a.ctx, opts, member.NewHousehold{
		Server: c.Server, Name: c.Name, Person: c.As,
		Confirm: func(revealed string) error {
			code = revealed
			if c.JSON {
				return nil // it goes into the document
			}
			a.sayCode(code)
			return nil
		},
	})
	if err != nil {
		switch {
		case code == "":
		case errors.Is(err, latchkey.ErrUnavailable):
			a.say("If the household was made all the same, that code opens it with `latchkey recover`; else throw it away.")
		default:
			a.say("There is no household: throw that code away.")
		}
		return elsewhere(err)
	}
	defer client.Close()
	if c.JSON {
		return a.json(map[string]string{"household": client.ID().String(), "name": c.Name, "recovery_code": code})
	}
	a.say("Household %q is there. Next: `latchkey hub invite`.", c.Name)
	return nil
}

type householdShowCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run shows the verified roster, and what the public log says of it; exit 4 when
// that cannot be.
func (c *householdShowCmd) Run(a *app) error {
	client, err := a.goOn()
	if err != nil {
		return err
	}
	defer client.Close()
	h, err := client.Household(a.ctx)
	if err != nil {
		return err
	}
	trust, away := client.LogState(a.ctx)
	broken := error(nil)
	if trust.Broken != nil {
		broken = ledgerTrouble(trust.Broken)
	}
	if c.JSON {
		doc := householdJSON(h)
		doc["proof"] = trustJSON(trust, away, time.Now())
		return errors.Join(a.json(doc), broken)
	}
	if err := a.table(householdRows(h, trust)...); err != nil {
		return err
	}
	a.sayNewKeys(h.Members)
	if h.CodeUsed {
		a.say("Your recovery code was used. Make a new one: `latchkey household code`.")
	}
	if away != nil {
		a.say("The public log could not be asked: %s.", sentence(away))
	}
	return broken
}

// sessionTier says how far a session of this program is to be trusted (protocol
// 2.16): it did not come from the server.
const sessionTier = 1

// householdRows is what `household show` prints.
func householdRows(h member.Household, trust publiclog.State) []string {
	rows := []string{
		fmt.Sprintf("household\t%s\t%s", h.Name, h.ID),
		fmt.Sprintf("server\t%s\t", h.Server),
		fmt.Sprintf("chain\tstatement %d\t%s", h.ChainSeq, h.ChainHash),
		"proof\t" + trustWords(trust, time.Now()) + "\t",
		fmt.Sprintf("program\ttier %d: it lies on this machine; the server did not send it and cannot change it\t%s", sessionTier, buildVersion()),
	}
	for _, p := range h.Members {
		who := named(p.Name) + ", sees " + rightsWords(p.Rights, h.Cameras)
		if p.Leaving {
			who += "; removed, and not in the server's chain yet"
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s", p.Role, who, p.Kid))
	}
	for _, hub := range h.Hubs {
		rows = append(rows, fmt.Sprintf("hub\t%s\t%s", named(hub.Name), hub.Kid))
	}
	for _, cam := range h.Cameras {
		rows = append(rows, fmt.Sprintf("camera\t%s\t%s", named(cam.Name), cam.ID))
	}
	return rows
}

// householdJSON is the contracted document of `household show --json`.
func householdJSON(h member.Household) map[string]any {
	hubs, cameras := []any{}, []any{}
	for _, hub := range h.Hubs {
		hubs = append(hubs, map[string]any{"kid": hub.Kid.String(), "name": hub.Name})
	}
	for _, cam := range h.Cameras {
		cameras = append(cameras, cameraJSON(cam))
	}
	return map[string]any{
		"household": h.ID.String(), "name": h.Name, "server": h.Server,
		"members": peopleJSON(h), "hubs": hubs, "cameras": cameras,
		"chain":   map[string]any{"seq": h.ChainSeq, "hash": h.ChainHash.String()},
		"program": map[string]any{"tier": sessionTier, "version": buildVersion()},
		"proof":   nil, "code_used": h.CodeUsed,
	}
}

type recoverCmd struct {
	Server   string `xor:"how" required:"" placeholder:"URL" help:"The cloud that keeps the household."`
	HelpLink string `xor:"how" required:"" placeholder:"LINK" help:"Without any code: the link of a trusted contact. Run it again to go on."`
	Code     string `help:"The recovery code; asked for, or read from stdin, when absent."`
	KeepCode bool   `help:"Leave the code as it is, for scripts and the demo: whoever has seen it can use it again."`
	JSON     bool   `help:"One JSON document."`
}

// Run brings a household back on this machine, and prints the code that takes
// the place of the one that was used.
func (c *recoverCmd) Run(a *app) error {
	if c.HelpLink != "" {
		return c.comeBack(a)
	}
	if err := checkServer(c.Server); err != nil {
		return err
	}
	opts, err := a.memberOptions()
	if err != nil {
		return err
	}
	code := c.Code
	if code == "" {
		if isTerminal(a.in) {
			fmt.Fprint(a.err, "Recovery code: ")
		}
		if code, err = a.readLine(); err != nil {
			a.say("")
			return err
		}
	}
	client, err := member.Recover(a.ctx, opts, member.Recovery{Server: c.Server, Code: code, Keep: c.KeepCode})
	if errors.Is(err, latchkey.ErrInvalid) {
		return asUsage(err, "Compare it with the paper; spaces, dashes and capitals do not matter.")
	}
	if errors.Is(err, latchkey.ErrUnauthenticated) || errors.Is(err, latchkey.ErrNotFound) {
		return advise(err, "A code belongs to one household on one server: check both the code and --server.")
	}
	if errors.Is(err, member.ErrVaultLost) {
		return advise(err, "Whoever runs the server may have a backup with it. A machine or browser of yours that is signed in goes on working. Else an admin of the household removes you and invites you again, with history.")
	}
	if err != nil {
		return elsewhere(err)
	}
	defer client.Close()
	doc := map[string]string{"household": client.ID().String(), "name": client.Name()}
	if c.KeepCode {
		a.say("Household %q is back on this machine.", client.Name())
		return a.tellIf(c.JSON, doc)
	}
	a.say("Household %q is back on this machine. The code that was used makes way for a new one.", client.Name())
	if err := a.newCode(client.NewCode, doc, c.JSON); err != nil {
		return advise(err, "The household is back all the same, and the old code still opens it; `latchkey household code` makes a new one.")
	}
	return a.tellIf(c.JSON, doc)
}

// tellIf prints doc as JSON, if that was asked for.
func (a *app) tellIf(asJSON bool, doc any) error {
	if !asJSON {
		return nil
	}
	return a.json(doc)
}

// newCode has a new recovery code made and prints it before it counts; as JSON
// it goes into doc.
func (a *app) newCode(make func(ctx context.Context, confirm func(string) error) error, doc map[string]string, asJSON bool) error {
	err := make(a.ctx, func(code string) error {
		doc["recovery_code"] = code
		if !asJSON {
			a.sayCode(code)
		}
		return nil
	})
	if err != nil && doc["recovery_code"] != "" && !errors.Is(err, latchkey.ErrUnavailable) {
		a.say("The new code does not count: throw it away.")
	}
	return err
}

type householdCodeCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run makes a new recovery code; the old one dies when the new one was printed.
func (c *householdCodeCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	doc := map[string]string{"household": client.ID().String()}
	if err := a.newCode(client.NewCode, doc, c.JSON); err != nil {
		return err
	}
	a.say("The old code opens nothing any more.")
	return a.tellIf(c.JSON, doc)
}

type householdKeysCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run replaces one's keys, because a device with the old ones is in wrong hands.
func (c *householdKeysCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	doc := map[string]string{"household": client.ID().String()}
	replace := func(ctx context.Context, confirm func(string) error) error {
		next, err := client.NewKeys(ctx, confirm)
		if next != nil {
			defer next.Close()
		}
		return err
	}
	err = a.newCode(replace, doc, c.JSON)
	if errors.Is(err, latchkey.ErrUnavailable) {
		return advise(err, "The same command goes on where it was, with the same code.")
	}
	if err != nil {
		return err
	}
	a.say("Your keys are new. Your other devices and passkeys are signed out; what the lost device has seen it may have kept.")
	return a.tellIf(c.JSON, doc)
}

// underWay is the advice for somebody who broke off `household keys`.
func underWay(err error) error {
	if !errors.Is(err, member.ErrKeysUnderWay) {
		return err
	}
	return advise(err, "Run `latchkey household keys` again: it goes on where it was.")
}

// elsewhere tells somebody whose keys are here already where others can live.
func elsewhere(err error) error {
	if !errors.Is(err, latchkey.ErrConflict) {
		return err
	}
	return advise(err, "`latchkey household show` tells whose keys these are; set LATCHKEY_HOME to another folder for a second person or household.")
}

// checkServer refuses a --server that is no origin, so that the mistake is
// named before any key is made.
func checkServer(s string) error {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return usage(fmt.Sprintf("--server %q is not a server's address", s), "Write it like https://cloud.example or http://127.0.0.1:8440.")
	}
	return nil
}

// named is a name for people: things that have none say so.
func named(s string) string {
	if s == "" {
		return "(no name here)"
	}
	return s
}

// isTerminal reports whether r is a person's terminal.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
