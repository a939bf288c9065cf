package main

import (
	"fmt"
	"time"

	"latchkey.dev/latchkey/internal/home/member"
)

type timelineCmd struct {
	Camera string `arg:"" help:"The camera's name."`
	From   string `placeholder:"T" help:"RFC 3339 or like -5m; an hour before --to when absent."`
	To     string `placeholder:"T" help:"RFC 3339 or like -5m; now when absent."`
	JSON   bool   `help:"One JSON document."`
}

// Run shows what is recorded; nothing in it rests on the cloud's word alone.
func (c *timelineCmd) Run(a *app) error {
	span, err := parseRange(c.From, c.To, time.Hour)
	if err != nil {
		return err
	}
	client, err := a.goOn()
	if err != nil {
		return err
	}
	defer client.Close()
	tl, err := client.Timeline(a.ctx, c.Camera, span)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.json(timelineJSON(tl))
	}
	return a.printTimeline(tl)
}

func (a *app) printTimeline(tl member.Timeline) error {
	rows := []string{"FROM\tTO\tWHAT"}
	for _, r := range tl.Ranges {
		rows = append(rows, fmt.Sprintf("%s\t%s\trecorded", stamp(r.From), stamp(r.To)))
	}
	for _, g := range tl.Gaps {
		what := "gap: " + gapWords(g.Why)
		if g.Alarm {
			what = "MISSING: " + gapWords(g.Why)
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s", stamp(g.From), stamp(g.To), what))
	}
	for _, e := range tl.Events {
		rows = append(rows, fmt.Sprintf("%s\t%s\tevent: %s", stamp(e.From), stamp(e.To), e.Label))
	}
	if err := a.table(rows...); err != nil {
		return err
	}
	if tl.CompleteUntil.IsZero() {
		a.say("Nothing vouches for completeness yet: no verified heads note.")
		return nil
	}
	a.say("Complete and verified up to %s.", stamp(tl.CompleteUntil))
	return nil
}

// timelineJSON is the contracted document of `timeline --json`.
func timelineJSON(tl member.Timeline) map[string]any {
	ranges, gaps, events := []any{}, []any{}, []any{}
	for _, r := range tl.Ranges {
		ranges = append(ranges, map[string]any{"from": stamp(r.From), "to": stamp(r.To)})
	}
	for _, g := range tl.Gaps {
		gaps = append(gaps, map[string]any{"from": stamp(g.From), "to": stamp(g.To), "why": g.Why, "alarm": g.Alarm})
	}
	for _, e := range tl.Events {
		events = append(events, eventJSON(e))
	}
	return map[string]any{
		"camera": tl.Camera.ID.String(), "name": tl.Camera.Name,
		"ranges": ranges, "gaps": gaps, "events": events, "complete_until": stamp(tl.CompleteUntil),
	}
}

// gapWords says a gap's reason in plain words.
func gapWords(why string) string {
	words := map[string]string{
		"camera-offline": "the camera could not be reached",
		"wrong-password": "the camera refused the password",
		"camera-changed": "the camera was added, or its settings changed",
		"hub-off":        "the hub was off",
		"disk-full":      "the hub's disk was full",
		"disk-error":     "the hub's disk spoilt it",
		"spool-full":     "the line was down longer than the hub could keep",
		"clock-step":     "the hub's clock was set",
		"not-recording":  "nothing to record (events mode)",
		"switched-off":   "the camera was switched off",
		"not-shared":     "from before you joined, or outside what you may see",
		"backlog":        "still at the hub, on its way",
		"missing":        "sealed by the hub, and not in the cloud",
		"unverified":     "what the cloud has does not verify",
		"not-complete":   "nothing vouches for this time yet",
		"unexplained":    "no reason known",
		"no-footage":     "no footage",
		"deleted":        "deleted by order of the household",
	}
	if w, ok := words[why]; ok {
		return w
	}
	return why
}

type eventsCmd struct {
	Camera string `placeholder:"NAME" help:"Only this camera."`
	From   string `placeholder:"T" help:"RFC 3339 or like -5m; a day before --to when absent."`
	To     string `placeholder:"T" help:"RFC 3339 or like -5m; now when absent."`
	Label  string `help:"Only this label."`
	JSON   bool   `help:"One JSON document."`
}

// Run lists events of one camera or of all.
func (c *eventsCmd) Run(a *app) error {
	span, err := parseRange(c.From, c.To, 24*time.Hour)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	defer client.Close()
	events, err := client.Events(a.ctx, member.EventFilter{Camera: c.Camera, Label: c.Label, Span: span})
	if err != nil {
		return err
	}
	if c.JSON {
		list := []any{}
		for _, e := range events {
			list = append(list, eventJSON(e))
		}
		return a.json(map[string]any{"events": list})
	}
	if len(events) == 0 {
		a.say("No events from %s to %s.", stamp(span.From), stamp(span.To))
		return nil
	}
	rows := []string{"FROM\tTO\tCAMERA\tWHAT"}
	for _, e := range events {
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s", stamp(e.From), stamp(e.To), named(e.Name), e.Label))
	}
	return a.table(rows...)
}

// eventJSON is the contracted object for an event; "to" is empty while it lasts.
func eventJSON(e member.Event) map[string]any {
	return map[string]any{
		"id": e.ID, "camera": e.Camera.String(), "name": e.Name,
		"from": stamp(e.From), "to": stamp(e.To), "label": e.Label, "source": e.Source,
	}
}
