package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/mdp/qrterminal/v3"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
)

type memberInviteCmd struct {
	Name    string   `help:"What everybody in the household will call this person."`
	Role    string   `default:"member" enum:"admin,member,viewer" help:"admin, member or viewer (${enum})."`
	Camera  []string `placeholder:"NAME" help:"A camera this person may see; may be repeated. All, later ones too, when absent."`
	NoSound bool     `help:"Pictures and events only."`
	History string   `default:"none" placeholder:"none|all|DAYS" help:"How far back this person may look."`
	JSON    bool     `help:"One JSON document."`
}

// Run prints link and code. The invitation stays on this machine, sealed, for
// `member confirm`.
func (c *memberInviteCmd) Run(a *app) error {
	history, err := parseHistory(c.History)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	i, err := client.InviteMember(a.ctx, member.NewMember{
		Name: c.Name, Role: c.Role, Rights: member.RightsByName{Cameras: c.Camera, NoSound: c.NoSound}, History: history,
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return a.json(map[string]string{"link": i.Link, "code": i.Code, "ends": stamp(i.Ends)})
	}
	a.print("%s", i.Link)
	a.print("%s", i.Code)
	qrterminal.GenerateHalfBlock(i.Link, qrterminal.M, a.err)
	if len(c.Camera) > 0 || c.NoSound {
		a.say("Cameras that are added later are not among these rights; `latchkey member change` adds them.")
	}
	a.say("Hand over the link (or the code and the address %s) within 15 minutes.", client.Server())
	a.say("The guest opens it, or runs: latchkey member join '%s' --as NAME", i.Link)
	a.say("Then let the guest read 24 digits out to you, by voice, and run: latchkey member confirm 'DIGITS'")
	return nil
}

// parseHistory reads none, all or a number of days.
func parseHistory(s string) (member.History, error) {
	switch s {
	case "none":
		return member.History{}, nil
	case "all":
		return member.History{All: true}, nil
	}
	days, err := strconv.Atoi(s)
	if err != nil || days < 1 || days > 36500 {
		return member.History{}, usage(fmt.Sprintf("--history %q is neither none, nor all, nor a number of days", s), "Write it like --history 7.")
	}
	return member.History{Days: days}, nil
}

type memberConfirmCmd struct {
	Code string `arg:"" help:"The 24 digits that the guest reads out; spaces do not matter."`
	Name string `help:"What everybody in the household will call this person."`
	JSON bool   `help:"One JSON document."`
}

// Run waits for the guest's keys, compares, and signs.
func (c *memberConfirmCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	p, err := client.ConfirmMember(a.ctx, c.Code, c.Name, func(step string) { a.say("%s", step) })
	switch {
	case errors.Is(err, latchkey.ErrInvalid):
		return asUsage(err, "Ask the guest to read the digits out again: 24 of them, in six groups of four.")
	case errors.Is(err, latchkey.ErrVerify) && p.Kid == (latchkey.Kid{}):
		return advise(err, "Compare once more by voice. If they stay different, somebody else has the link: nothing was signed; make a new invitation and hand it over another way.")
	case errors.Is(err, latchkey.ErrNotFound):
		return advise(err, "`latchkey member invite` makes an invitation; confirm it on the same machine.")
	case errors.Is(err, latchkey.ErrTooMany) && p.Kid != (latchkey.Kid{}):
		return advise(fmt.Errorf("%s belongs to the household, and the past could not be shared: %w", named(p.Name), err),
			"Invite with a shorter --history the next time; footage from now on is shared.")
	case errors.Is(err, member.ErrLogWaits) && p.Kid != (latchkey.Kid{}):
		a.say("The past is not shared yet: it waits for the public log. `latchkey grants` goes on when that is back.")
	case err != nil:
		return err
	}
	if c.JSON {
		return a.json(personJSON(p, nil))
	}
	a.say("%s belongs to the household.", named(p.Name))
	return nil
}

type memberJoinCmd struct {
	Link   string `arg:"" help:"The link of the invitation, or its code."`
	As     string `required:"" placeholder:"PERSON" help:"Your name."`
	Server string `placeholder:"URL" help:"The cloud; needed with a bare code."`
	JSON   bool   `help:"One JSON object a line: the recovery code, the digits, the household."`
}

// Run makes this machine the first device of somebody who was invited.
func (c *memberJoinCmd) Run(a *app) error {
	server, code := member.ParseInvitation(c.Link)
	if c.Server != "" {
		server = c.Server
	}
	if server == "" {
		return usage("a bare code does not say which server it is for", "Give --server URL too, or the whole link.")
	}
	if err := checkServer(server); err != nil {
		return err
	}
	opts, err := a.memberOptions()
	if err != nil {
		return err
	}
	client, err := member.Join(a.ctx, opts, member.Joining{
		Server: server, Code: code, Person: c.As, Confirm: c.showCode(a), Digits: c.showDigits(a),
	})
	switch {
	case errors.Is(err, latchkey.ErrInvalid):
		return asUsage(err, "Copy the link or the code again; it works once, for 15 minutes.")
	case errors.Is(err, latchkey.ErrVerify):
		return advise(err, "Do not go on with this invitation; tell who invited you, and ask for a new one.")
	case errors.Is(err, latchkey.ErrConflict):
		return elsewhere(err)
	case errors.Is(err, latchkey.ErrUnavailable):
		return advise(err, "The same command goes on where it was; the recovery code and the digits stay the same.")
	case err != nil:
		return err
	}
	defer client.Close()
	if c.JSON {
		return a.jsonLine(map[string]string{"household": client.ID().String(), "name": client.Name()})
	}
	a.say("You belong to the household now. Next: `latchkey household show`.")
	return nil
}

// showCode prints the recovery code, before anything leaves this machine.
func (c *memberJoinCmd) showCode(a *app) func(string) error {
	return func(code string) error {
		if c.JSON {
			return a.jsonLine(map[string]string{"recovery_code": code})
		}
		a.sayCode(code)
		return nil
	}
}

// showDigits prints what the guest reads out.
func (c *memberJoinCmd) showDigits(a *app) func(string) {
	return func(digits string) {
		if c.JSON {
			_ = a.jsonLine(map[string]string{"digits": digits}) // a reader that has gone learns nothing
			return
		}
		a.say("Read these digits out to who invited you, by voice; they are how both know that nobody is in between:\n")
		a.say("  %s\n", inGroups(digits, 4))
		a.say("Waiting for the other side to confirm, at most 15 minutes …")
	}
}

// inGroups writes s in groups of n characters.
func inGroups(s string, n int) string {
	var groups []string
	for len(s) > n {
		groups, s = append(groups, s[:n]), s[n:]
	}
	return strings.Join(append(groups, s), " ")
}

// sayCode prints a recovery code: the code is data, the words are not.
func (a *app) sayCode(code string) {
	a.say("The recovery code. Write it down now, it is shown once:\n")
	a.print("%s", code)
	a.say("\nWhoever has it can see everything that you can; without it and without this machine nobody can, not even the operator.")
}

type memberListCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run lists the people of the household.
func (c *memberListCmd) Run(a *app) error {
	client, err := a.goOn()
	if err != nil {
		return err
	}
	defer client.Close()
	h, err := client.Household(a.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.json(map[string]any{"members": peopleJSON(h)})
	}
	rows := []string{"NAME\tROLE\tSEES\tKID"}
	for _, p := range h.Members {
		rows = append(rows, personRow(p, h.Cameras))
	}
	if err := a.table(rows...); err != nil {
		return err
	}
	a.sayNewKeys(h.Members)
	return nil
}

// sayNewKeys tells of keys that were replaced: a recovery code that somebody
// found must not go unnoticed.
func (a *app) sayNewKeys(people []member.Person) {
	for _, p := range people {
		if p.Me || p.NewKeys.At.IsZero() {
			continue
		}
		how := "with the keys of before"
		if p.NewKeys.ByCode {
			how = "with the recovery code"
		}
		a.say("%s has new keys since %s, made %s. Ask whether that is right; if it is not, an admin removes this person: `latchkey member remove %s`.",
			named(p.Name), stamp(p.NewKeys.At), how, p.Kid)
	}
}

// personRow is one line of a table of people.
func personRow(p member.Person, cams []member.Camera) string {
	who := named(p.Name)
	if p.Me {
		who += " (you)"
	}
	if p.Leaving {
		who += " (removed; not in the server's chain yet)"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s", who, p.Role, rightsWords(p.Rights, cams), p.Kid)
}

// rightsWords says what somebody may see.
func rightsWords(r member.Rights, cams []member.Camera) string {
	if r.All {
		return "all cameras"
	}
	if len(r.Cameras) == 0 {
		return "nothing"
	}
	var words []string
	for _, right := range r.Cameras {
		w := cameraName(right.Camera, cams)
		if !right.Sound {
			w += " without sound"
		}
		words = append(words, w)
	}
	return strings.Join(words, ", ")
}

// cameraName is a camera's name, where it is known here.
func cameraName(id latchkey.CameraID, cams []member.Camera) string {
	for _, cam := range cams {
		if cam.ID == id && cam.Name != "" {
			return cam.Name
		}
	}
	return id.String()
}

// peopleJSON is the contracted list of people.
func peopleJSON(h member.Household) []any {
	out := []any{}
	for _, p := range h.Members {
		out = append(out, personJSON(p, h.Cameras))
	}
	return out
}

// personJSON is the contracted object for a person; "cameras" is null for
// somebody who may see all.
func personJSON(p member.Person, cams []member.Camera) map[string]any {
	doc := map[string]any{
		"kid": p.Kid.String(), "name": p.Name, "role": p.Role, "me": p.Me, "all": p.Rights.All, "cameras": nil, "leaving": p.Leaving,
	}
	if !p.NewKeys.At.IsZero() {
		doc["new_keys"] = map[string]any{"at": stamp(p.NewKeys.At), "by_code": p.NewKeys.ByCode}
	}
	if !p.Rights.All {
		list := []any{}
		for _, r := range p.Rights.Cameras {
			list = append(list, map[string]any{"camera": r.Camera.String(), "name": cameraName(r.Camera, cams), "sound": r.Sound})
		}
		doc["cameras"] = list
	}
	return doc
}

type memberChangeCmd struct {
	Name       string   `arg:"" help:"The person's name or kid."`
	Role       string   `placeholder:"ROLE" help:"admin, member or viewer."`
	Camera     []string `placeholder:"NAME" help:"A camera this person may see; may be repeated."`
	AllCameras bool     `help:"All cameras, later ones too."`
	NoSound    bool     `help:"Pictures and events only."`
	Rename     string   `placeholder:"NAME" help:"What everybody will call this person."`
	JSON       bool     `help:"One JSON document."`
}

// Run changes a person's role, rights or name. It counts from the next epoch on.
func (c *memberChangeCmd) Run(a *app) error {
	change, err := c.change()
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	name := c.Name
	if change.Role != nil || change.Rights != nil {
		p, err := client.ChangeMember(a.ctx, name, change)
		if err != nil {
			return err
		}
		name = p.Kid.String()
	}
	if c.Rename != "" {
		if err := client.RenameMember(a.ctx, name, c.Rename); err != nil {
			return err
		}
		if name == c.Name {
			name = c.Rename
		}
	}
	return a.tellPerson(client, name, c.JSON)
}

func (c *memberChangeCmd) change() (member.MemberChange, error) {
	var change member.MemberChange
	if c.Role != "" {
		change.Role = &c.Role
	}
	switch rights := len(c.Camera) > 0 || c.NoSound || c.AllCameras; {
	case c.AllCameras && len(c.Camera) > 0:
		return change, usage("--all-cameras and --camera exclude each other", "Give one of them.")
	case rights:
		change.Rights = &member.RightsByName{Cameras: c.Camera, NoSound: c.NoSound}
	case c.Role == "" && c.Rename == "":
		return change, usage("nothing to change", "Give --role, --camera, --all-cameras, --no-sound or --rename.")
	}
	return change, nil
}

// tellPerson prints what a person is now.
func (a *app) tellPerson(client *member.Client, name string, asJSON bool) error {
	h, err := client.Household(a.ctx)
	if err != nil {
		return err
	}
	for _, p := range h.Members {
		if p.Kid.String() != name && !strings.EqualFold(p.Name, name) {
			continue
		}
		if asJSON {
			return a.json(personJSON(p, h.Cameras))
		}
		a.say("%s: %s, sees %s. It counts from the hubs' next epoch on, in a few seconds where they are connected.",
			named(p.Name), p.Role, rightsWords(p.Rights, h.Cameras))
		return nil
	}
	return nil
}

type memberRemoveCmd struct {
	Name string `arg:"" help:"The person's name or kid."`
	JSON bool   `help:"One JSON document."`
}

// Run removes a person and says who has heard of it.
func (c *memberRemoveCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	report, err := client.RemoveMember(a.ctx, c.Name)
	return a.tellRemoval(report, err, c.JSON)
}

// tellRemoval says who has heard of a removal. That the server does not carry
// it is an error, however many hubs have it.
func (a *app) tellRemoval(r member.RemovalReport, err error, asJSON bool) error {
	if err != nil && r.Hubs == nil && r.Server == nil {
		return err // nothing was sent
	}
	if asJSON {
		if jsonErr := a.json(removalJSON(r)); jsonErr != nil {
			return jsonErr
		}
	} else {
		a.sayRemoval(r)
	}
	switch {
	case err != nil:
		return err
	case r.Server != nil && r.Heard():
		return advise(fmt.Errorf("the server does not carry the removal: %w", r.Server),
			"The hubs that have heard seal no more footage to "+r.Name+". Run the same command again to try the server; if it goes on, ask its operator why.")
	}
	return nil
}

func (a *app) sayRemoval(r member.RemovalReport) {
	if r.Server == nil {
		a.say("%s is removed; the server's chain shows it.", r.Name)
	} else {
		a.say("The server's chain does not show the removal of %s.", r.Name)
	}
	for _, h := range r.Hubs {
		if h.Heard {
			a.say("Hub %s has heard of it at home.", named(h.Name))
		} else {
			a.say("Hub %s has not heard of it at home: %s.", named(h.Name), h.Why)
		}
	}
	a.say("What was recorded before may have been kept; from the hubs' next epoch on nothing is sealed to %s.", r.Name)
}

// removalJSON is the contracted document of a removal.
func removalJSON(r member.RemovalReport) map[string]any {
	doc := map[string]any{"name": r.Name, "server": "done", "why": nil}
	if r.Server != nil {
		doc["server"], doc["why"] = "failed", sentence(r.Server)
	}
	hubs := []any{}
	for _, h := range r.Hubs {
		hubs = append(hubs, map[string]any{"kid": h.Kid.String(), "name": h.Name, "heard": h.Heard})
	}
	doc["hubs"] = hubs
	return doc
}
