package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/watch"
	"latchkey.dev/latchkey/web"
)

type verifyCmd struct {
	File   string `arg:"" optional:"" type:"existingfile" placeholder:"FILE.lkx" help:"A file of evidence."`
	Web    string `placeholder:"URL" help:"A server: compare every file of the page that it serves with its logged release."`
	Policy string `type:"existingfile" placeholder:"FILE" help:"Whose signatures count. Without it: what a household on this machine has pinned, or else what the server or the file says itself."`
	JSON   bool   `help:"One JSON document."`
}

// Run checks what it was given; anything that does not hold is exit 4.
func (c *verifyCmd) Run(a *app) error {
	policy := ""
	if c.Policy != "" {
		b, err := os.ReadFile(c.Policy)
		if err != nil {
			return err
		}
		policy = string(b)
	}
	switch {
	case (c.File == "") == (c.Web == ""):
		return usage("verify takes a file of evidence, or --web with a server", "Write it like `latchkey verify clip.lkx` or `latchkey verify --web https://cloud.example`.")
	case c.Web != "":
		if policy == "" {
			policy = pinnedFor(a, c.Web)
		}
		return verifyWeb(a, c.Web, policy, c.JSON)
	}
	return verifyEvidence(a, c.File, policy, c.JSON)
}

// pinnedFor is the policy that a household on this machine has pinned for the
// server; empty: there is none.
func pinnedFor(a *app, server string) string {
	client, err := a.client()
	if err != nil {
		return ""
	}
	defer client.Close()
	if client.Server() != strings.TrimSuffix(server, "/") {
		return ""
	}
	return client.LogPolicy()
}

// webWait bounds the fetching of one file of a page.
const webWait = time.Minute

// verifyWeb compares what a server serves with what it has logged, and with
// this program's own copy.
func verifyWeb(a *app, server, policy string, asJSON bool) error {
	w := watch.Web{Server: server, Client: &http.Client{Timeout: webWait}, Policy: policy, Local: web.Dist()}
	r, err := w.Check(a.ctx)
	if err != nil {
		return advise(err, "Check the address, like https://cloud.example, and that the server is reachable.")
	}
	if asJSON {
		err = a.json(webJSON(r))
	} else {
		sayWeb(a, r)
	}
	switch {
	case err != nil:
		return err
	case len(r.Wrong) > 0:
		return advise(fmt.Errorf("%w: the page is not what was published", latchkey.ErrVerify),
			"Do not sign in on this server's page. Use this program, or the page of a hub at home, and ask the operator what he changed.")
	case r.Release == nil && !r.Same:
		return advise(fmt.Errorf("%w: the server has logged no release, and its page is not this program's", latchkey.ErrVerify),
			"Ask the operator for a release that two people have signed, or build the version that he runs and check with that.")
	}
	return nil
}

func webJSON(r watch.WebReport) map[string]any {
	out := map[string]any{
		"ok": len(r.Wrong) == 0 && (r.Release != nil || r.Same), "files": r.Files, "log": r.Policy.Origin(), "own_policy": r.OwnPolicy,
		"same_as_this_program": r.Same, "wrong": append([]string{}, r.Wrong...), "release": nil,
	}
	if r.Release != nil {
		out["release"] = map[string]any{"version": r.Release.Version, "source": r.Release.Source, "manifest": r.Release.Hash.String(), "entry": r.Entry}
	}
	return out
}

func sayWeb(a *app, r watch.WebReport) {
	if r.Release != nil {
		a.print("Released: version %s of commit %s, entry %d of the public log %s.", r.Release.Version, r.Release.Source, r.Entry, r.Policy.Origin())
	} else {
		a.print("The server has logged no release of its page.")
	}
	for _, wrong := range r.Wrong {
		a.print("Wrong: %s", wrong)
	}
	switch {
	case len(r.Wrong) > 0:
	case r.Release != nil:
		a.print("All %d files that it serves now are those of the release, byte for byte.", r.Files)
	case r.Same:
		a.print("All %d files that it serves now are those of this program, byte for byte.", r.Files)
	}
	if r.Release != nil && r.Same {
		a.print("This program has the same page.")
	}
	if r.Release != nil && r.OwnPolicy {
		names := make([]string, len(r.Policy.Releasers))
		for i, p := range r.Policy.Releasers {
			names[i] = p.Name
		}
		a.say("Whose signatures count came from the server itself (%s). With --policy you say it.", strings.Join(names, ", "))
	}
	a.say("This is what it served just now, to this machine. It could serve somebody else another page.")
}
