package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/ledger"
)

// staffCmds are for an operator: the root that says who is staff, and staff
// themselves.
type staffCmds struct {
	Root       staffRootCmd       `cmd:"" help:"The key that says who is staff: made here, kept away from the service."`
	Invite     staffInviteCmd     `cmd:"" help:"Invite somebody to the staff, with the staff root."`
	Applicants staffApplicantsCmd `cmd:"" help:"List who waits for the staff root's signature."`
	Sign       staffSignCmd       `cmd:"" help:"Sign, with the staff root, that somebody is staff for up to a week."`
	Join       staffJoinCmd       `cmd:"" help:"Make your keys and apply, with an invitation."`
	List       staffListCmd       `cmd:"" help:"List who is staff now, each as the public log proves it."`
	Tickets    staffTicketsCmd    `cmd:"" help:"List the open tickets, yours first."`
	Take       staffTakeCmd       `cmd:"" help:"Take a ticket; the household's chain says so."`
	Show       staffShowCmd       `cmd:"" help:"Read a ticket of yours."`
	Reply      staffReplyCmd      `cmd:"" help:"Write into a ticket of yours."`
	Health     staffHealthCmd     `cmd:"" help:"Show how the household's hubs and cameras are, and what that points to."`
	View       staffViewCmd       `cmd:"" help:"Open footage that a household has granted you; its chain says so first."`
	Explain    staffExplainCmd    `cmd:"" help:"Ask what the desk's rules would say: could somebody in a role do something?"`
	Audit      staffAuditCmd      `cmd:"" help:"For auditors: what was asked of the desk, and what stands out."`
	Reinstate  staffReinstateCmd  `cmd:"" help:"For auditors: end the suspension of somebody, once you have looked."`
}

// training is what everybody of staff confirms before a role is active.
const training = `Before you work at this desk:
  1. You see of a household what its ticket lets you see, and nothing else. There is no other way in, for anybody.
  2. Ask for health first. Ask for footage only with a reason, for as few minutes as will do.
  3. Every minute that you open stands in the household's own log, with your name, before you see it.
  4. What you see you tell nobody, and keep nowhere.
  5. Every question you put to the desk is kept, with the rule that decided it; auditors read it.
  6. Your keys are yours alone. A lost machine is reported at once: until then its keys count as yours.`

// agent opens this machine's person of staff.
func (a *app) agent() (*member.Agent, error) {
	opts, err := a.memberOptions()
	if err != nil {
		return nil, err
	}
	agent, err := member.OpenAgent(opts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, advise(fmt.Errorf("nobody of staff on this machine (looked in %s)", opts.Home), "Run `latchkey staff join LINK --as ID` with an invitation; set LATCHKEY_HOME if the keys are elsewhere.")
	}
	return agent, err
}

// staffTrouble gives the next step for staff.
func staffTrouble(err error) error {
	switch {
	case errors.Is(err, latchkey.ErrUnauthenticated):
		return advise(err, "You are not staff now: the staff root has not signed for you yet, or the week is over. Ask whoever keeps it for `latchkey staff sign`.")
	case errors.Is(err, latchkey.ErrRefused):
		return advise(err, "The rule that says no stands there. Nobody can make an exception; what a household grants, it grants with `latchkey grant --to staff:ID`.")
	case errors.Is(err, latchkey.ErrNotFound):
		return advise(err, "`latchkey staff tickets` has the numbers; `latchkey staff show TICKET` tells what was granted.")
	}
	return err
}

func (a *app) staffRoot() (*member.StaffRoot, error) {
	opts, err := a.memberOptions()
	if err != nil {
		return nil, err
	}
	root, err := member.OpenStaffRoot(opts)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, advise(fmt.Errorf("no staff root on this machine (looked in %s)", opts.Home), "Run `latchkey staff root --name NAME` once, on a machine apart from the service; set LATCHKEY_HOME if it is elsewhere.")
	}
	return root, err
}

type staffRootCmd struct {
	Name string `default:"staff" placeholder:"NAME" help:"The name of the key, like staff.cloud.example; used when it is drawn."`
}

// Run draws the staff root, or shows it.
func (c *staffRootCmd) Run(a *app) error {
	opts, err := a.memberOptions()
	if err != nil {
		return err
	}
	root, err := member.NewStaffRoot(opts, c.Name)
	if err != nil {
		return err
	}
	a.print("%s", root.PolicyLine())
	a.say("That line goes into the file of `latchkey serve --watchers`, before households are founded: they pin it. The key stays on this machine; keep a copy of its folder in a safe.")
	return nil
}

type staffInviteCmd struct {
	Role   string `required:"" enum:"support,annotator,moderator,auditor,legal,engineer,admin" help:"support, annotator, moderator, auditor, legal, engineer or admin."`
	Server string `required:"" placeholder:"URL" help:"The service, like https://cloud.example."`
}

// Run prints an invitation for one person.
func (c *staffInviteCmd) Run(a *app) error {
	root, err := a.staffRoot()
	if err != nil {
		return err
	}
	link, err := root.Invite(c.Server, c.Role)
	if err != nil {
		return err
	}
	a.print("%s", link)
	a.say("Give this link to that one person, a way that nobody else reads. After `latchkey staff join` you sign with `latchkey staff sign`.")
	return nil
}

type staffApplicantsCmd struct {
	Server string `required:"" placeholder:"URL" help:"The service."`
	JSON   bool   `help:"One JSON document."`
}

// Run lists who waits.
func (c *staffApplicantsCmd) Run(a *app) error {
	root, err := a.staffRoot()
	if err != nil {
		return err
	}
	all, err := root.Applicants(a.ctx, c.Server)
	if err != nil {
		return err
	}
	if c.JSON {
		list := []any{}
		for _, one := range all {
			list = append(list, map[string]any{"id": one.ID, "role": one.Role, "kid": one.Kid.String(), "trained": stamp(one.Trained), "received": stamp(one.Received), "invited": one.Invited})
		}
		return a.json(map[string]any{"applicants": list})
	}
	if len(all) == 0 {
		a.say("Nobody waits.")
		return nil
	}
	rows := []string{"id\trole\tkey\ttrained\tinvited"}
	for _, one := range all {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%s", one.ID, one.Role, one.Kid, stamp(one.Trained), yesNo(one.Invited)))
	}
	return a.table(rows...)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

type staffSignCmd struct {
	ID      []string      `arg:"" optional:"" help:"Whom; everybody who was invited and waits when absent."`
	Server  string        `required:"" placeholder:"URL" help:"The service."`
	For     time.Duration `default:"168h" help:"How long; a week at most."`
	Replace bool          `help:"Take the new keys of somebody for whom you have signed before."`
	Renew   bool          `help:"Sign anew for people who are staff now: without that they are gone when their week is over."`
}

// Run signs, and publishes what was signed.
func (c *staffSignCmd) Run(a *app) error {
	root, err := a.staffRoot()
	if err != nil {
		return err
	}
	if c.Renew {
		if len(c.ID) == 0 {
			return usage("--renew wants names", "Write `latchkey staff sign --renew ID... --server URL`; `latchkey staff list` has them.")
		}
		for _, id := range c.ID {
			s, err := root.Renew(a.ctx, c.Server, id, c.For)
			if err != nil {
				return err
			}
			a.signed(s)
		}
		return nil
	}
	all, err := root.Applicants(a.ctx, c.Server)
	if err != nil {
		return err
	}
	n := 0
	for _, one := range all {
		named := slices.Contains(c.ID, one.ID)
		if len(c.ID) > 0 && !named || len(c.ID) == 0 && !one.Invited {
			continue
		}
		s, err := root.Sign(a.ctx, c.Server, one, c.For, c.Replace && named)
		if errors.Is(err, member.ErrIDTaken) {
			return advise(err, "Ask that person, another way than this server. If the keys are new: `latchkey staff sign "+one.ID+" --replace --server URL`.")
		}
		if err != nil {
			return advise(err, "Sign only for whom you have invited: `latchkey staff invite`.")
		}
		a.signed(s)
		n++
	}
	if n == 0 {
		return advise(fmt.Errorf("nobody to sign for: %w", latchkey.ErrNotFound), "`latchkey staff applicants` tells who waits.")
	}
	return nil
}

func (a *app) signed(s ledger.Staff) {
	a.print("%s\t%s\tuntil %s", s.ID, s.Role, stamp(time.Unix(s.Until, 0)))
}

type staffJoinCmd struct {
	Link string `arg:"" help:"The invitation."`
	As   string `required:"" placeholder:"ID" help:"The name that households are shown: a–z, 0–9 and -."`
}

// Run makes keys and applies. Who joins confirms the training.
func (c *staffJoinCmd) Run(a *app) error {
	opts, err := a.memberOptions()
	if err != nil {
		return err
	}
	a.say("%s\n", training)
	agent, err := member.JoinStaff(a.ctx, opts, c.Link, c.As, time.Now())
	switch {
	case errors.Is(err, latchkey.ErrInvalid):
		return asUsage(err, "Write `latchkey staff join LINK --as ID` with the whole link.")
	case errors.Is(err, latchkey.ErrConflict):
		return advise(err, "One folder is one person: set LATCHKEY_HOME to another.")
	case err != nil:
		return err
	}
	defer agent.Close()
	a.say("Your keys are made and stay on this machine. By joining you confirm the above. You are staff as %q once the staff root has signed (`latchkey staff sign`).", agent.ID())
	return nil
}

type staffListCmd struct {
	Server string `placeholder:"URL" help:"The service; that of this machine's household, or staff, when absent."`
	JSON   bool   `help:"One JSON document."`
}

// Run lists who is staff now.
func (c *staffListCmd) Run(a *app) error {
	server := c.Server
	if server == "" {
		if agent, err := a.agent(); err == nil {
			server = agent.Server()
			agent.Close()
		} else if client, err := a.client(); err == nil {
			server = client.Server()
			client.Close()
		} else {
			return usage("it is missing whose staff", "Write --server URL.")
		}
	}
	opts, err := a.memberOptions()
	if err != nil {
		return err
	}
	all, err := member.StaffNow(a.ctx, opts, server)
	if err != nil {
		return err
	}
	if c.JSON {
		list := []any{}
		for _, s := range all {
			list = append(list, map[string]any{"id": s.ID, "role": s.Role, "kid": s.Kid.String(), "from": stamp(s.From), "until": stamp(s.Until), "logged": s.Logged})
		}
		return a.json(map[string]any{"staff": list})
	}
	rows := []string{"id\trole\tuntil\tin the public log"}
	for _, s := range all {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s", s.ID, s.Role, stamp(s.Until), yesNo(s.Logged)))
	}
	return a.table(rows...)
}

type staffTicketsCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run lists the desk's open tickets.
func (c *staffTicketsCmd) Run(a *app) error {
	agent, err := a.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	all, err := agent.Tickets(a.ctx)
	if err != nil {
		return staffTrouble(err)
	}
	return a.tickets(all, c.JSON)
}

type staffTakeCmd struct {
	Ticket uint64 `arg:"" help:"The ticket's number."`
}

// Run takes a ticket.
func (c *staffTakeCmd) Run(a *app) error {
	agent, err := a.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	if err := agent.Take(a.ctx, c.Ticket); err != nil {
		return staffTrouble(err)
	}
	a.say("Ticket %d is yours, and its household's chain says so. What was written before is sealed to whoever had it; ask the household to write to you.", c.Ticket)
	return nil
}

type staffShowCmd struct {
	Ticket uint64 `arg:"" help:"The ticket's number."`
	JSON   bool   `help:"One JSON document."`
}

// Run shows a ticket.
func (c *staffShowCmd) Run(a *app) error {
	agent, err := a.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	t, letters, _, err := agent.Ticket(a.ctx, c.Ticket)
	if err != nil {
		return staffTrouble(err)
	}
	if c.JSON {
		doc := ticketJSON(t)
		doc["letters"] = letterJSON(letters)
		return a.json(doc)
	}
	if err := a.tickets([]member.Ticket{t}, false); err != nil {
		return err
	}
	a.letters(letters)
	return nil
}

type staffReplyCmd struct {
	Ticket  uint64 `arg:"" help:"The ticket's number."`
	Text    string `arg:"" help:"What to write."`
	Footage bool   `help:"Ask for footage; the text is the reason. The household sees a question that it can answer or refuse."`
}

// Run writes into a ticket.
func (c *staffReplyCmd) Run(a *app) error {
	agent, err := a.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	if c.Footage {
		return staffTrouble(agent.AskFootage(a.ctx, c.Ticket, c.Text))
	}
	return staffTrouble(agent.Reply(a.ctx, c.Ticket, c.Text))
}

type staffViewCmd struct {
	Ticket uint64 `arg:"" help:"The ticket's number."`
	Camera string `arg:"" help:"The camera's name, as the household told it in the ticket, or the grant's id."`
	From   string `required:"" placeholder:"T" help:"RFC 3339 or like -5m."`
	To     string `required:"" placeholder:"T" help:"RFC 3339, like -4m, or now."`
	Output string `short:"o" required:"" placeholder:"FILE" help:"An .mp4 file."`
	JSON   bool   `help:"One JSON document about what was opened."`
}

// Run opens granted footage.
func (c *staffViewCmd) Run(a *app) error {
	if filepath.Ext(c.Output) != ".mp4" {
		return usage(fmt.Sprintf("%q is no .mp4 file", c.Output), "Give -o a name that ends in .mp4.")
	}
	span, err := parseRange(c.From, c.To, 0)
	if err != nil {
		return err
	}
	agent, err := a.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	began := time.Now()
	said := map[member.ViewStep]time.Duration{}
	s, err := agent.View(a.ctx, member.ViewRequest{Ticket: c.Ticket, Camera: c.Camera, Span: span}, func(step member.ViewStep) {
		if _, again := said[step]; again {
			return
		}
		said[step] = time.Since(began)
		switch step {
		case member.ViewWritten:
			a.say("The household's chain says that you open it; waiting for the public log …")
		case member.ViewProven:
			a.say("Proven; asking the household's hub for the second key …")
		case member.ViewReleased:
			a.say("Released.")
		}
	})
	if err != nil {
		return staffTrouble(err)
	}
	defer s.Close()
	report, err := a.exportShared(s, c.Output)
	if err != nil {
		return staffTrouble(err)
	}
	if c.JSON {
		return a.json(map[string]any{
			"file": c.Output, "ticket": c.Ticket, "verified": true, "from": stamp(report.From), "to": stamp(report.To), "until": stamp(s.Until), "discarded": s.Stray,
			"parts": report.Parts, "bytes": report.Bytes, "video_frames": report.VideoFrames, "audio_parts": report.AudioParts, "gaps": gapsJSON(report.Gaps),
			"proven_ms": said[member.ViewProven].Milliseconds(), "released_ms": said[member.ViewReleased].Milliseconds(),
		})
	}
	a.say("Opened, of ticket %d: %s – %s. The file is in your hands: keep it nowhere, and delete it when you are done.", c.Ticket, stamp(report.From), stamp(report.To))
	return nil
}

type staffExplainCmd struct {
	Role     string `arg:"" help:"A role, such as support."`
	Action   string `arg:"" help:"An action, such as watch."`
	Closed   bool   `help:"As if the ticket were closed, or there were none."`
	Anothers bool   `help:"As if the ticket were another's."`
	Granted  bool   `help:"As if the household had granted it to this person."`
	JSON     bool   `help:"One JSON document."`
}

// Run asks what the rules in force would say.
func (c *staffExplainCmd) Run(a *app) error {
	agent, err := a.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	e, err := agent.Explain(a.ctx, member.ExplainRequest{Role: c.Role, Action: c.Action, Open: !c.Closed, Assigned: !c.Anothers && !c.Closed, Granted: c.Granted})
	if err != nil {
		return staffTrouble(err)
	}
	if c.JSON {
		rules := []any{}
		for _, r := range e.Rules {
			rules = append(rules, map[string]string{"name": r.Name, "words": r.Words})
		}
		return a.json(map[string]any{"allowed": e.Allowed, "rules": rules, "version": e.Version})
	}
	answer := "No."
	if e.Allowed {
		answer = "Yes."
	}
	a.print("%s", answer)
	for _, r := range e.Rules {
		a.print("  %s: %s", r.Name, r.Words)
	}
	if len(e.Rules) == 0 {
		a.print("  Nothing permits it.")
	}
	a.say("By the rules %s, whose hash stands in the public log.", e.Version[:16])
	return nil
}

type staffReinstateCmd struct {
	ID string `arg:"" help:"The staff id, as staff audit lists it."`
}

// Run ends a suspension.
func (c *staffReinstateCmd) Run(a *app) error {
	agent, err := a.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	if err := agent.Reinstate(a.ctx, c.ID); err != nil {
		return staffTrouble(err)
	}
	a.say("%s works again. What was counted before does not count again.", c.ID)
	return nil
}

type staffAuditCmd struct {
	Since  string        `default:"-24h" placeholder:"T" help:"RFC 3339 or like -24h."`
	JSON   bool          `help:"One JSON document."`
	Follow bool          `help:"Print what stands out, a line each as it comes, until it is ended; for an alarm of your own."`
	Every  time.Duration `default:"30s" help:"How often to look, with --follow."`
}

// follow prints each finding and each suspension once.
func (c *staffAuditCmd) follow(a *app, agent *member.Agent) error {
	seen := map[string]bool{}
	say := func(line string) {
		if !seen[line] {
			a.print("%s %s", stamp(time.Now()), line)
		}
		seen[line] = true
	}
	for {
		r, err := agent.Audit(a.ctx, time.Now())
		switch {
		case a.ctx.Err() != nil:
			return nil
		case errors.Is(err, latchkey.ErrUnavailable):
			say("the server cannot be reached")
		case err != nil:
			return staffTrouble(err)
		default:
			delete(seen, "the server cannot be reached")
		}
		for _, f := range r.Findings {
			say(fmt.Sprintf("%s: %s, more than %d within a day", f.Staff, f.Kind, f.Limit))
		}
		for _, id := range r.Suspended {
			say(id + " is suspended")
		}
		select {
		case <-a.ctx.Done():
			return nil
		case <-time.After(c.Every):
		}
	}
}

// Run shows what was asked of the desk.
func (c *staffAuditCmd) Run(a *app) error {
	since, err := parseTime(c.Since, time.Now())
	if err != nil {
		return err
	}
	agent, err := a.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	if c.Follow {
		return c.follow(a, agent)
	}
	r, err := agent.Audit(a.ctx, since)
	if err != nil {
		return staffTrouble(err)
	}
	if c.JSON {
		decisions, findings := []any{}, []any{}
		for _, d := range r.Decisions {
			decisions = append(decisions, map[string]any{"at": stamp(d.At), "staff": d.Staff, "role": d.Role, "action": d.Action, "ticket": d.Ticket, "allowed": d.Allowed, "rules": strings.Fields(d.Rules)})
		}
		for _, f := range r.Findings {
			findings = append(findings, map[string]any{"staff": f.Staff, "kind": f.Kind, "count": f.Count, "limit": f.Limit})
		}
		return a.json(map[string]any{"decisions": decisions, "findings": findings, "suspended": append([]string{}, r.Suspended...)})
	}
	rows := []string{"when\twho\trole\tasked\tticket\tanswer\tby the rules"}
	for _, d := range r.Decisions {
		answer := "no"
		if d.Allowed {
			answer = "yes"
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%s\t%s", stamp(d.At), d.Staff, d.Role, d.Action, d.Ticket, answer, d.Rules))
	}
	if err := a.table(rows...); err != nil {
		return err
	}
	for _, f := range r.Findings {
		a.print("! %s: %s, %d within a day, at most %d", f.Staff, f.Kind, f.Count, f.Limit)
	}
	if len(r.Suspended) > 0 {
		a.print("Suspended: %s", strings.Join(r.Suspended, ", "))
	}
	return nil
}
