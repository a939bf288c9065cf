package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"latchkey.dev/latchkey/internal/home/member"
)

type staffHealthCmd struct {
	Ticket uint64 `arg:"" help:"The ticket's number."`
	JSON   bool   `help:"One JSON document."`
}

// hubHealth is the report of docs/spec/meta.md, "Health", as far as it is read here.
type hubHealth struct {
	At          int64          `json:"at"`
	Version     string         `json:"version"`
	Started     int64          `json:"started"`
	Clock       string         `json:"clock"`
	ClockOff    *int64         `json:"clock_off"`
	Uplink      string         `json:"uplink"`
	SpoolParts  int            `json:"spool_parts"`
	SpoolBytes  int64          `json:"spool_bytes"`
	SpoolLimit  int64          `json:"spool_limit"`
	BacklogFrom int64          `json:"backlog_from"`
	BacklogTo   int64          `json:"backlog_to"`
	Trouble     []string       `json:"trouble"`
	Cameras     []cameraHealth `json:"cameras"`
}

type cameraHealth struct {
	Camera string `json:"camera"`
	Mode   string `json:"mode"`
	Status string `json:"status"`
	Error  string `json:"error"`
	Since  int64  `json:"since"`
	Sub    string `json:"sub"`
	Lost   uint64 `json:"lost"`
	Tracks []struct {
		Kind   string  `json:"kind"`
		Codec  string  `json:"codec"`
		Width  int     `json:"width"`
		Height int     `json:"height"`
		FPS    float64 `json:"fps"`
		Kbps   int     `json:"kbps"`
	} `json:"tracks"`
}

// diagnosis is what a report points to, and what to tell the household.
type diagnosis struct {
	Kind   string // offline, password, clock, line, codec, picture, loss, disk, silent
	Camera string // id; empty: the hub
	Words  string
	Next   string
}

const (
	staleHealth = 2 * time.Minute  // a hub reports every 15 s
	clockLimit  = 10               // seconds
	thinLine    = 90 * time.Second // of footage that waits
	lossLimit   = 100              // packets
	fullSpool   = 0.8
)

// diagnose reads one report. at is when the report was signed.
func diagnose(h hubHealth, at, now time.Time) []diagnosis {
	var out []diagnosis
	add := func(kind, camera, words, next string) { out = append(out, diagnosis{kind, camera, words, next}) }
	if age := now.Sub(at); age > staleHealth {
		add("silent", "", fmt.Sprintf("The hub has not reported for %s: it is off, or cut off from the internet.", age.Round(time.Second)),
			"Ask whether the hub has power and its lamp for the network is on. What it records while it is cut off is sent later.")
	}
	if off := h.ClockOff; off != nil && (*off > clockLimit || *off < -clockLimit) {
		add("clock", "", fmt.Sprintf("The hub's clock is %d seconds off.", *off), "Ask to set the time of that machine to automatic. Footage before keeps the old times.")
	}
	if behind := time.Duration(h.BacklogTo-h.BacklogFrom) * time.Second; h.BacklogFrom > 0 && behind > thinLine {
		add("line", "", fmt.Sprintf("%s of footage wait to be sent: the line out of the home is too thin, or was down.", behind.Round(time.Second)),
			"If it grows, ask to lower the cameras' bit rate, or to set one to record on events.")
	}
	if h.SpoolLimit > 0 && float64(h.SpoolBytes) > fullSpool*float64(h.SpoolLimit) {
		add("disk", "", "The hub's store for footage that waits is nearly full.", "When it is full, the oldest is lost: the line has to be mended before.")
	}
	for _, c := range h.Cameras {
		out = append(out, c.diagnose()...)
	}
	return out
}

func (c cameraHealth) diagnose() []diagnosis {
	var out []diagnosis
	add := func(kind, words, next string) { out = append(out, diagnosis{kind, c.Camera, words, next}) }
	switch c.Error {
	case "unreachable":
		add("offline", "The hub does not reach this camera.", "Ask whether the camera has power, and whether its address in the home is still the same.")
	case "wrong-password":
		add("password", "The camera refuses the user name and password.", "Ask to enter the right ones in the app. Nobody has to tell them to you.")
	case "no-media":
		add("codec", "The camera offers no H.264 or H.265 picture at this address.", "Ask to choose H.264 in the camera's own settings, or the address of another stream.")
	case "no-picture":
		add("picture", "The camera is connected and sends no picture.", "Ask to restart the camera.")
	}
	if c.Lost > lossLimit {
		add("loss", fmt.Sprintf("%d packets from this camera were lost.", c.Lost), "Ask whether it is on wireless: a nearer access point, or a cable, ends that.")
	}
	for _, t := range c.Tracks {
		if strings.HasPrefix(t.Codec, "hvc1") || strings.HasPrefix(t.Codec, "hev1") {
			add("codec", "The picture is H.265, which some browsers do not play.", "If it does not play there, ask to choose H.264 in the camera's own settings.")
			break
		}
	}
	return out
}

// Run shows what hubs report for a ticket.
func (c *staffHealthCmd) Run(a *app) error {
	agent, err := a.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	_, _, reports, err := agent.Ticket(a.ctx, c.Ticket)
	if err != nil {
		return staffTrouble(err)
	}
	if c.JSON {
		hubs := []any{}
		for _, r := range reports {
			h, found, err := readHealth(r)
			if err != nil {
				return err
			}
			list := []any{}
			for _, d := range found {
				list = append(list, map[string]any{"kind": d.Kind, "camera": d.Camera, "words": d.Words, "next": d.Next})
			}
			_ = h
			hubs = append(hubs, map[string]any{"hub": r.Hub.String(), "at": stamp(r.At), "report": r.Report, "diagnoses": list})
		}
		return a.json(map[string]any{"ticket": c.Ticket, "hubs": hubs})
	}
	if len(reports) == 0 {
		a.say("No hub has reported for this ticket: the household has not let you see it, or its hubs are off.")
		return nil
	}
	for _, r := range reports {
		h, found, err := readHealth(r)
		if err != nil {
			return err
		}
		a.healthOf(r, h, found)
	}
	return nil
}

func readHealth(r member.HealthReport) (hubHealth, []diagnosis, error) {
	var h hubHealth
	if err := json.Unmarshal(r.Report, &h); err != nil {
		return h, nil, fmt.Errorf("the hub's report is not of this version: %w", err)
	}
	return h, diagnose(h, r.At, time.Now()), nil
}

func (a *app) healthOf(r member.HealthReport, h hubHealth, found []diagnosis) {
	a.print("hub %s, version %s, up since %s, %s, reported %s", r.Hub.String()[:8], h.Version, stamp(time.Unix(h.Started, 0)), h.Uplink, stamp(r.At))
	for i, c := range h.Cameras {
		line := fmt.Sprintf("  camera %d (%s): %s", i+1, c.Camera[:min(8, len(c.Camera))], c.Status)
		for _, t := range c.Tracks {
			line += fmt.Sprintf("; %s %s", t.Kind, t.Codec)
			if t.Height > 0 {
				line += fmt.Sprintf(" %d×%d %.0f/s", t.Width, t.Height, t.FPS)
			}
			line += fmt.Sprintf(" %d kbit/s", t.Kbps)
		}
		a.print("%s", line)
	}
	for _, d := range found {
		a.print("! %s\n  %s", d.Words, d.Next)
	}
	if len(found) == 0 {
		a.print("Nothing stands out.")
	}
}
