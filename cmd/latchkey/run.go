package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
)

// Exit codes, a contract with scripts.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
	exitVerify  = 4
)

// stdio is everything a command may touch of its process: data goes to out,
// words for people to err.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string
}

// grammar is the whole command line; each command has its own file.
type grammar struct {
	Demo  demoCmd  `cmd:"" help:"Everything on one machine: cloud, hub, two simulated cameras, one household."`
	Serve serveCmd `cmd:"" help:"Run the cloud."`

	Household struct {
		Create householdCreateCmd `cmd:"" help:"Make a household; prints the recovery code once."`
		Show   householdShowCmd   `cmd:"" help:"Show people, hubs and cameras."`
		Code   householdCodeCmd   `cmd:"" help:"Make a new recovery code; the old one dies."`
		Keys   householdKeysCmd   `cmd:"" help:"Replace all keys of yours, for a lost device; prints a new recovery code."`
	} `cmd:"" help:"The household."`
	Recover recoverCmd `cmd:"" help:"Get a household back from its recovery code alone; prints a new code."`

	Member struct {
		Invite  memberInviteCmd  `cmd:"" help:"Print a link and a code for a person to join with."`
		Join    memberJoinCmd    `cmd:"" help:"Join a household by a link or a code; prints the recovery code once."`
		Confirm memberConfirmCmd `cmd:"" help:"Compare the digits that a guest reads out, and sign the guest in."`
		List    memberListCmd    `cmd:"" help:"List people, roles and rights."`
		Change  memberChangeCmd  `cmd:"" help:"Change a person's role, cameras or name."`
		Remove  memberRemoveCmd  `cmd:"" help:"Remove a person: told to the server and to hubs at home."`
	} `cmd:"" help:"People."`

	Contact contactCmds `cmd:"" help:"Trusted contacts: people who can help you back, and whom you help."`

	Device struct {
		List   deviceListCmd   `cmd:"" help:"List your own devices."`
		Remove deviceRemoveCmd `cmd:"" help:"Sign a device of yours out."`
	} `cmd:"" help:"Your own devices."`

	Hub struct {
		Invite  hubInviteCmd  `cmd:"" help:"Print a pairing code for a new hub and wait for it."`
		Run     hubRunCmd     `cmd:"" help:"Run the home agent; pairs on first start, then records."`
		Status  hubStatusCmd  `cmd:"" help:"Show hubs, cameras, bit rates and what waits to be sent."`
		List    hubListCmd    `cmd:"" help:"List the hubs."`
		Remove  hubRemoveCmd  `cmd:"" help:"Remove a hub; its footage stays."`
		Replace hubReplaceCmd `cmd:"" help:"Pair a new hub in place of an old one."`
		Reset   hubResetCmd   `cmd:"" help:"Destroy the hub on this machine: identity, cameras, footage not sent yet."`
	} `cmd:"" help:"The home agent."`

	Camera struct {
		Add      cameraAddCmd      `cmd:"" help:"Add a camera to a hub."`
		List     cameraListCmd     `cmd:"" help:"List the cameras."`
		Remove   cameraRemoveCmd   `cmd:"" help:"Stop recording a camera."`
		Event    cameraEventCmd    `cmd:"" help:"Start an event now: what follows is kept and stands on the timeline."`
		Simulate cameraSimulateCmd `cmd:"" help:"An RTSP camera that plays a file in a loop."`
	} `cmd:"" help:"Cameras."`

	Live     liveCmd     `cmd:"" help:"Watch a camera: opened fMP4."`
	Timeline timelineCmd `cmd:"" help:"Show what is recorded, the gaps and the events."`
	Events   eventsCmd   `cmd:"" help:"List events."`
	Export   exportCmd   `cmd:"" help:"Save a range as a plain mp4 with bit-exact samples."`

	Share  shareCmd  `cmd:"" help:"Make a link to a stretch of footage, for whoever you send it to."`
	Open   openCmd   `cmd:"" help:"Open a link: verified, as a plain mp4, without an account."`
	Card   cardCmd   `cmd:"" help:"Print your card: with it other households can share with you alone."`
	Grant  grantCmd  `cmd:"" help:"Give a stretch of the past to a member of the household, or to a person with a card."`
	Grants grantsCmd `cmd:"" help:"List what was given to whom, and how often links were opened."`
	Revoke revokeCmd `cmd:"" help:"End a grant or a link."`

	Ledger struct {
		Verify ledgerVerifyCmd `cmd:"" help:"Check that nothing is missing, forked or kept back, or what a saved proof proves; exit 4 if anything fails."`
		List   ledgerListCmd   `cmd:"" help:"Show the household's statements, each with where it stands in the public log."`
		Proof  ledgerProofCmd  `cmd:"" help:"Save the proof that nothing is missing, or the one of a statement, to a file."`
	} `cmd:"" help:"The public log, and what your household has in it."`

	Ticket struct {
		Open   ticketOpenCmd   `cmd:"" help:"Open a ticket with the operator's support."`
		List   ticketListCmd   `cmd:"" help:"List your household's tickets."`
		Show   ticketShowCmd   `cmd:"" help:"Read a ticket, what was granted for it, and what was opened of that."`
		Reply  ticketReplyCmd  `cmd:"" help:"Write into a ticket."`
		Health ticketHealthCmd `cmd:"" help:"Let the person who has a ticket see how hubs and cameras are, or end that."`
		Close  ticketCloseCmd  `cmd:"" help:"Close a ticket, and end all that was let see for it."`
	} `cmd:"" help:"Help from the operator's support, which sees nothing that you do not let it see."`
	Legal struct {
		Add      legalAddCmd      `cmd:"" help:"Enter a request of an authority; for staff of the role legal."`
		List     legalListCmd     `cmd:"" help:"List the requests; for staff of the roles legal and auditor."`
		Disclose legalDiscloseCmd `cmd:"" help:"Decide that what the operator has is handed over: ciphertext and signed statements. Another person than the one who entered it."`
		Refuse   legalRefuseCmd   `cmd:"" help:"Decide that it is refused. Another person than the one who entered it."`
		Fetch    legalFetchCmd    `cmd:"" help:"Save what was decided to be handed over."`
		Mine     legalMineCmd     `cmd:"" help:"What was handed over of your own household, held against its chain."`
		Report   legalReportCmd   `cmd:"" help:"The operator's transparency report, counted from the public log by this machine."`
	} `cmd:"" help:"Requests of authorities."`
	Staff staffCmds `cmd:"" help:"For an operator: who is staff, and what staff work with."`

	Witness    witnessCmd    `cmd:"" help:"Vouch for public logs of servers: that they only grow."`
	Audit      auditCmd      `cmd:"" help:"Replay a server's public log and vouch for its sets; exit 4 with proof of misbehaviour."`
	Verify     verifyCmd     `cmd:"" help:"Check a file of evidence, or a server's page against its logged release; exit 4 if anything fails."`
	Release    releaseCmds   `cmd:"" help:"For those who release: what a page is made of, signed by two."`
	Insider    insiderCmd    `cmd:"" help:"Try to open everything with what an insider holds; exit 4 if anything opens."`
	Fsck       fsckCmd       `cmd:"" help:"Check every invariant of the cloud's stores."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
	Completion completionCmd `cmd:"" help:"Print a completion script for a shell."`
}

// run is the whole program but for the process around it. It returns the exit
// code and prints every error with its next step.
func run(ctx context.Context, args []string, io stdio) int {
	a := &app{stdio: io, ctx: ctx}
	var g grammar
	helped := false
	parser, err := kong.New(&g,
		kong.Name("latchkey"),
		kong.Description("Cameras at home, footage in a cloud that cannot look."),
		kong.Writers(io.out, io.err),
		kong.Exit(func(int) { helped = true }),
		kong.WithHyphenPrefixedParameters(true), // --from -5m
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		return a.fail(err)
	}
	a.model = parser.Model
	if len(args) == 0 {
		return a.bare(parser)
	}
	parsed, err := parser.Parse(joinTimes(args))
	switch {
	case helped:
		return exitDone
	case err != nil:
		command := commandWords(parser.Model.Node, args)
		return a.fail(usage(mistake(err.Error(), command), "See `latchkey "+command+"--help`."))
	}
	if err := parsed.Run(a); err != nil {
		return a.fail(underWay(afterEnd(err)))
	}
	return exitDone
}

// joinTimes writes "--to -5m" as "--to=-5m": the parser takes a time before now
// for a short flag where an option can be there more than once.
func joinTimes(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		if arg := args[i]; strings.HasPrefix(arg, "--") && len(arg) > 2 && !strings.Contains(arg, "=") && i+1 < len(args) && isBeforeNow(args[i+1]) {
			out = append(out, arg+"="+args[i+1])
			i++
			continue
		}
		out = append(out, args[i])
	}
	return out
}

// isBeforeNow reports whether arg looks like -5m.
func isBeforeNow(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && '0' <= arg[1] && arg[1] <= '9'
}

// bare answers a command line without a command: the list of them, as words
// for people, since nothing was done.
func (a *app) bare(parser *kong.Kong) int {
	parser.Stdout = a.err
	_, _ = parser.Parse([]string{"--help"}) // once it has printed them, it misses the command too
	return exitUsage
}

// commandWords returns the leading words of args that name a command, each
// followed by a space: the command whose help fits.
func commandWords(n *kong.Node, args []string) string {
	for _, child := range n.Children {
		if len(args) > 0 && child.Name == args[0] {
			return child.Name + " " + commandWords(child, args[1:])
		}
	}
	return ""
}

// adviceError is an error that knows its exit code and the reader's next step.
type adviceError struct {
	err  error
	next string
	code int // 0: from the kind of err
}

func (e *adviceError) Error() string { return e.err.Error() }
func (e *adviceError) Unwrap() error { return e.err }

// usage is an error of exit code 2.
func usage(what, next string) error {
	return &adviceError{err: errors.New(what), next: next, code: exitUsage}
}

// asUsage makes err, a value that a person mistyped, one of exit code 2.
func asUsage(err error, next string) error {
	return &adviceError{err: err, next: next, code: exitUsage}
}

// advise adds the next step to err.
func advise(err error, next string) error {
	return &adviceError{err: err, next: next}
}

// fail prints err with its next step and returns the exit code.
func (a *app) fail(err error) int {
	fmt.Fprintf(a.err, "latchkey: %s\n", sentence(err))
	next := nextStep(err)
	var advice *adviceError
	if errors.As(err, &advice) && advice.next != "" {
		next = advice.next
	}
	fmt.Fprintf(a.err, "Next: %s\n", next)
	return exitCode(err)
}

// exitCode maps an error's kind to the exit code.
func exitCode(err error) int {
	var advice *adviceError
	switch {
	case errors.As(err, &advice) && advice.code != 0:
		return advice.code
	case errors.Is(err, latchkey.ErrVerify):
		return exitVerify
	case errors.Is(err, latchkey.ErrRefused), errors.Is(err, latchkey.ErrUnauthenticated):
		return exitRefused
	}
	return exitFailed
}

// nextStep is the advice for errors that bring none of their own.
func nextStep(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "It was interrupted; run it again when you like."
	case errors.Is(err, context.DeadlineExceeded):
		return "The other side took too long; check the network and try again."
	case errors.Is(err, latchkey.ErrVerify):
		return "Do not rely on this footage. Compare with `latchkey timeline`, and ask the operator of the cloud what happened to it."
	case errors.Is(err, latchkey.ErrUnauthenticated):
		return "The cloud does not know this machine's keys (any more); `latchkey recover` signs in again with the recovery code."
	case errors.Is(err, latchkey.ErrRefused):
		return "An admin of the household can do this; see `latchkey household show`."
	case errors.Is(err, member.ErrNotProven):
		return "That takes seconds: try again. If it stays, `latchkey ledger verify` tells how the public log stands; recording goes on."
	case errors.Is(err, latchkey.ErrUnavailable):
		return "Check that the server and the hub run and are reachable, then try again."
	case errors.Is(err, latchkey.ErrNotFound):
		return "Check the name: `latchkey camera list` and `latchkey household show` tell what there is."
	case errors.Is(err, latchkey.ErrConflict):
		return "Somebody else changed the same thing at the same time; look again and repeat it if it is still wanted."
	case errors.Is(err, latchkey.ErrFull):
		return "Make space; it goes on by itself then."
	case errors.Is(err, latchkey.ErrTooMany):
		return "Wait a minute and try again."
	case errors.Is(err, latchkey.ErrInvalid):
		return "Correct the value and try again; `latchkey COMMAND --help` shows the form."
	}
	return "Try again; if it stays, report the line above."
}
