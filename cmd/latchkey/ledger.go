package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/internal/home/publiclog"
	"latchkey.dev/latchkey/ledger"
)

// proofWait is how long a command waits for the newest statement to be proven: a
// set is published ten seconds after the last one.
const proofWait = 20 * time.Second

type ledgerListCmd struct {
	JSON bool `help:"One JSON document."`
}

// Run shows the household's statements, each with where it stands in the public
// log.
func (c *ledgerListCmd) Run(a *app) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	r, err := client.Ledger(a.ctx, 0, false)
	if err != nil {
		return ledgerTrouble(err)
	}
	if c.JSON {
		list := []any{}
		for _, s := range r.Statements {
			item := map[string]any{
				"seq": s.Seq, "time": stamp(s.Time), "type": s.What.Type(), "by": s.Signer, "words": statementWords(s),
				"hash": s.Hash.String(), "leaf": nil, "proof": nil,
			}
			if s.Leaf >= 0 {
				item["leaf"], item["proof"] = s.Leaf, string(s.Proof)
			}
			list = append(list, item)
		}
		return a.json(map[string]any{"log": r.Log, "size": r.Size, "statements": list})
	}
	rows := []string{"statement\twhen\twho\twhat\tin the log"}
	for _, s := range r.Statements {
		where := "on its way"
		if s.Leaf >= 0 {
			where = fmt.Sprintf("entry %d", s.Leaf)
		}
		rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s\t%s", s.Seq, stamp(s.Time), named(s.Signer), statementWords(s), where))
	}
	return a.table(rows...)
}

type ledgerVerifyCmd struct {
	File         string `arg:"" optional:"" type:"existingfile" placeholder:"FILE" help:"A saved proof, of completeness or of one statement: checked without asking the server."`
	Policy       string `type:"existingfile" placeholder:"FILE" help:"With a file: whose signatures count, in place of those that your household has pinned."`
	AcceptPolicy bool   `help:"Take the watchers that the server names now in place of those your household has pinned. Ask the operator why they changed first."`
	JSON         bool   `help:"One JSON document."`
}

// Run checks the chain against the public log; exit 4 on a gap, a fork or a view
// that is too old. With a file it checks that, offline.
func (c *ledgerVerifyCmd) Run(a *app) error {
	switch {
	case c.File == "" && c.Policy != "":
		return usage("--policy goes with a file", "Without a file the policy that your household has pinned counts; write it like `latchkey ledger verify completeness.txt --policy FILE`.")
	case c.File != "" && c.AcceptPolicy:
		return usage("--accept-policy does not go with a file", "Give --policy FILE to say whose signatures count.")
	case c.File != "":
		return verifyProofFile(a, c.File, c.Policy, c.JSON)
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	r, err := client.Ledger(a.ctx, 0, c.AcceptPolicy)
	if errors.Is(err, ledger.ErrNotWitnessed) || err == nil && !r.Covered() {
		a.say("Waiting for the proof of the newest statement; a server makes one within seconds …")
		r, err = client.Ledger(a.ctx, proofWait, false)
	}
	if err != nil {
		return ledgerTrouble(err)
	}
	state := "complete"
	if r.Stale(time.Now()) {
		state = "stale"
	}
	if c.JSON {
		doc := map[string]any{
			"state": state, "complete_until": nil, "complete_seq": r.CompleteSeq, "statements": len(r.Statements), "pending": r.Pending(),
			"log": r.Log, "size": r.Size, "witnesses": r.Witnesses, "witnessed": r.Witnessed, "auditors": r.Auditors,
		}
		if !r.Complete.IsZero() {
			doc["complete_until"] = stamp(r.Complete)
		}
		if err := a.json(doc); err != nil {
			return err
		}
	} else if state == "complete" {
		a.print("Complete and verified up to %s: %s.", stamp(r.Complete), many(r.CompleteSeq+1, "statement"))
		if n := uint64(len(r.Statements)) - r.CompleteSeq - 1; n > 0 {
			a.print("%s since then; the next proof covers it.", many(n, "statement"))
		}
	}
	sayUnwatched(a, r.Witnessed, r.Auditors)
	if state == "complete" {
		return nil
	}
	since := "there is no proof yet"
	if !r.Complete.IsZero() {
		since = "the newest proof is of " + stamp(r.Complete)
	}
	return advise(fmt.Errorf("%w: not verified: %s", latchkey.ErrVerify, since),
		"If the server was only just started, wait a minute. Else ask its operator why the log stands still; until then take no addition for granted.")
}

// sayUnwatched says what is not proven for want of people who watch the log.
func sayUnwatched(a *app, witnessed bool, auditors int) {
	switch {
	case !witnessed && auditors == 0:
		a.say("Not protected: nobody but the operator watches this log. It could show you another log than others.")
	case !witnessed:
		a.say("Not protected: no witness vouches for this log. It could show you another log than others.")
	case auditors == 0:
		a.say("Not protected: no auditor recomputes what this log proves. The operator could leave your newest statement out of it.")
	}
}

func many(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func ledgerTrouble(err error) error {
	switch {
	case exitCode(err) != exitVerify:
		return err
	case errors.Is(err, member.ErrOtherPolicy):
		return advise(err, "Ask the operator what changed and why, and the others of your household whether they see the same. If it is right: `latchkey ledger verify --accept-policy`.")
	case errors.Is(err, publiclog.ErrOtherLog):
		return advise(err, "Use the address of the server that the household was founded on. If it is that one, it was taken over or has lost its keys: tell the others of your household, and ask its operator another way.")
	case errors.Is(err, publiclog.ErrFrozen):
		return advise(err, "Its witnesses are away, or it hides its log from them: ask its operator. Until then take no addition for granted.")
	case errors.Is(err, ledger.ErrNotWitnessed):
		return advise(err, "If the server was only just started, wait a minute. Else its witnesses are away, or it hides its log from them: ask its operator.")
	}
	return advise(err, "Do not trust what this server shows. Keep this machine's folder as it is, tell the others of your household and the operator, and compare what `latchkey ledger list` says on their machines.")
}

// statementWords says in plain words what a statement does.
func statementWords(s member.LoggedStatement) string {
	switch st := s.What.(type) {
	case chain.Genesis:
		return "founded the household"
	case chain.AddMember:
		return fmt.Sprintf("%s is %s", named(s.Names(chain.KidOf(st.Ed))), article(string(st.Role)))
	case chain.Unmember:
		return "removed " + named(s.Names(st.Kid))
	case chain.Rekey:
		return "new keys for " + named(s.Names(st.Kid))
	case chain.AddHub:
		return "added the hub " + named(s.Names(chain.KidOf(st.Ed)))
	case chain.Unhub:
		return "removed the hub " + named(s.Names(st.Kid))
	case chain.AddCamera:
		return "added a camera with " + many(uint64(len(st.Tracks)), "track")
	case chain.Retain:
		return "footage is kept for " + (time.Duration(st.Seconds) * time.Second).String()
	case chain.Erase:
		return fmt.Sprintf("erased footage of %s – %s", stamp(time.Unix(st.From, 0)), stamp(time.Unix(st.Until, 0)))
	case chain.Anchor:
		return "a hub vouched for what it recorded"
	case chain.AddGrant:
		return grantWords(s, st)
	case chain.Revoke:
		return "ended the grant " + st.Grant.String()
	case chain.Access:
		return fmt.Sprintf("staff %s opens %s of the grant %s; `latchkey ticket show` tells which minutes", st.Staff.String()[:8], many(uint64(len(st.Entries)), "key"), st.Grant)
	case chain.Notice:
		return noticeWords(st)
	}
	return s.What.Type()
}

// noticeWords says what staff did.
func noticeWords(st chain.Notice) string {
	who := "staff " + st.Staff.String()[:8]
	switch st.Action {
	case "ticket-taken":
		return who + " took the ticket " + st.Object
	case "refused":
		return who + " was refused: " + st.Object
	case "disclosed":
		return "the operator has handed something over to an authority: `latchkey legal mine`"
	case "sealed":
		return "the operator has written something down that it may not say yet"
	}
	return strings.TrimSpace(who + ": " + st.Action + " " + st.Object)
}

// grantWords says who was given what, and until when.
func grantWords(s member.LoggedStatement, st chain.AddGrant) string {
	whom := article(string(st.Kind))
	switch st.Kind {
	case chain.GrantMember:
		whom = named(s.Names(st.To))
	case chain.GrantStaff:
		whom = "staff " + st.To.String()[:8]
	}
	var cameras []string
	from, until := st.Tracks[0].From, st.Tracks[0].Until
	for _, t := range st.Tracks {
		from, until = min(from, t.From), max(until, t.Until)
		if name := named(s.Camera(t.Track)); !slices.Contains(cameras, name) {
			cameras = append(cameras, name)
		}
	}
	return fmt.Sprintf("gave %s %s – %s of %s, served until %s (%s; grant %s)", whom, stamp(time.Unix(from, 0)), stamp(time.Unix(until, 0)),
		strings.Join(cameras, ", "), stamp(time.Unix(st.Until, 0)), st.Purpose, st.Grant)
}

func article(word string) string {
	if word == "admin" {
		return "an admin"
	}
	return "a " + word
}
