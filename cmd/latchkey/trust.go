package main

import (
	"time"

	"latchkey.dev/latchkey/internal/home/publiclog"
)

// trustWords says what the public log says of a household's chain.
func trustWords(s publiclog.State, now time.Time) string {
	switch {
	case s.Broken != nil:
		return "BROKEN: " + sentence(s.Broken)
	case s.Until.IsZero():
		return "not verified yet"
	case s.Stale(now):
		return "not verified since " + stamp(s.Until)
	}
	return "complete and verified up to " + stamp(s.Until)
}

// trustJSON is the contracted object for the same; away is the error of a log
// that could not be asked.
func trustJSON(s publiclog.State, away error, now time.Time) map[string]any {
	state, until, said := "complete", any(nil), any(nil)
	switch {
	case s.Broken != nil:
		state, said = "broken", sentence(s.Broken)
	case s.Stale(now):
		state = "stale"
	}
	if away != nil {
		said = sentence(away)
	}
	if !s.Until.IsZero() {
		until = stamp(s.Until)
	}
	return map[string]any{"state": state, "complete_until": until, "complete_seq": s.Seq, "error": said}
}
