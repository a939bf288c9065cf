package main

import (
	"errors"
	"fmt"
	"os"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
)

// verifyEvidence says what a file of evidence proves, and everything that fails.
func verifyEvidence(a *app, path, policy string, asJSON bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	r, err := member.VerifyEvidence(a.ctx, f, info.Size(), policy)
	if errors.Is(err, latchkey.ErrInvalid) {
		err = fmt.Errorf("%w: %w", latchkey.ErrVerify, err)
	}
	if err != nil {
		return advise(err, "It is no whole file of evidence, or was changed after it was made. Ask for it again from whoever made it.")
	}
	if asJSON {
		err = a.json(evidenceJSON(path, r))
	} else {
		sayEvidence(a, r)
	}
	if err == nil && len(r.Problems) > 0 {
		err = advise(fmt.Errorf("%w: the file does not hold what it says", latchkey.ErrVerify), "Take nothing in it for granted. What holds and what does not is listed above.")
	}
	return err
}

func evidenceJSON(path string, r member.EvidenceReport) map[string]any {
	hubs, logged := []string{}, []any{}
	for _, h := range r.Hubs {
		hubs = append(hubs, h.String())
	}
	for _, l := range r.Logged {
		logged = append(logged, map[string]any{"hub": l.Hub.String(), "entry": l.Entry, "witnessed": stamp(l.Witness)})
	}
	out := map[string]any{
		"file": path, "ok": len(r.Problems) == 0, "problems": append([]string{}, r.Problems...), "household": r.Household.String(), "statements": r.Statements,
		"hubs": hubs, "from": stamp(r.Span.From), "to": stamp(r.Span.To), "parts": r.Parts, "bytes": r.Bytes, "video_frames": r.Frames, "gaps": gapsJSON(r.Gaps),
		"log": r.Log, "own_policy": r.OwnPolicy, "logged": logged,
		"recorded_after": nil, "recorded_after_rests_on": nil, "recorded_before": nil, "recorded_before_rests_on": nil,
	}
	if r.After != nil {
		out["recorded_after"], out["recorded_after_rests_on"] = stamp(r.After.At), restsAfter(r)
	}
	if r.Before != nil {
		out["recorded_before"], out["recorded_before_rests_on"] = stamp(r.Before.At), restsBefore(r)
	}
	return out
}

func restsAfter(r member.EvidenceReport) string {
	return fmt.Sprintf("before this footage the hub had seen the public log %s with %d entries; entry %d is of that time by the clock of the log's operator", r.Log, r.After.Size, r.After.Entry)
}

func restsBefore(r member.EvidenceReport) string {
	return fmt.Sprintf("by then the log's witnesses had vouched for entry %d, in which the hub says that it had ended (statement %d)", r.Before.Entry, r.Before.Statement)
}

func sayEvidence(a *app, r member.EvidenceReport) {
	a.print("Household %s, %d statements.", r.Household, r.Statements)
	for _, h := range r.Hubs {
		a.print("Recorded by the hub %s.", h)
	}
	a.print("%s – %s by the hub's own clock: %d parts, %d pictures.", stamp(r.Span.From), stamp(r.Span.To), r.Parts, r.Frames)
	sayBounds(a, r)
	for _, line := range gapLines(r.Gaps) {
		a.print("%s", line)
	}
	for _, l := range r.Logged {
		when := "nobody but the log's operator vouches for that"
		if !l.Witness.IsZero() {
			when = "vouched for at " + stamp(l.Witness)
		}
		a.print("The hub %s stands in the public log %s, entry %d; %s.", l.Hub, r.Log, l.Entry, when)
	}
	for _, p := range r.Problems {
		a.print("FAILS: %s", p)
	}
	switch {
	case r.Log == "" || len(r.Logged) == 0:
		a.say("Not proven: that the hub was in the public log. The file was made while the log was away, or without it.")
	case r.OwnPolicy:
		a.say("Whose signatures count came from the file itself. With --policy you say it.")
	}
	if len(r.Problems) == 0 {
		a.print("Verified: every part was signed by that hub, in this order, unchanged; the movie is made of these parts.")
	}
	a.say("Evidence shows what a hub recorded, not that what stood before the camera was real.")
}

// sayBounds says between which times it was recorded, and what each rests on.
func sayBounds(a *app, r member.EvidenceReport) {
	switch {
	case r.After != nil && r.Before != nil:
		a.print("Recorded between %s and %s, whatever the hub's clock said.", stamp(r.After.At), stamp(r.Before.At))
	case r.After != nil:
		a.print("Recorded after %s, whatever the hub's clock said.", stamp(r.After.At))
	case r.Before != nil:
		a.print("Recorded before %s, whatever the hub's clock said.", stamp(r.Before.At))
	}
	if r.After != nil {
		a.print("  not before: %s.", restsAfter(r))
	} else {
		a.say("Not proven: that it was not recorded earlier. Nothing in the file bounds that; the times are the hub's own.")
	}
	if r.Before != nil {
		a.print("  not after: %s.", restsBefore(r))
	} else {
		a.say("Not proven: that it was not recorded later. The file was made before the hub had put this day into the public log, or nobody watches that log. Made again a day later it may prove it.")
	}
}
