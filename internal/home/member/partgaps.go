package member

import (
	"slices"

	"latchkey.dev/latchkey"
)

// gapsOfParts are the times of the span for which a reader of parts, and of
// nothing else, has no footage. Parts that the hub sealed and that are not there,
// between others or at the end of an epoch, are an alarm, unless deleted says that
// the household ordered or allowed their deletion (claim C29); nil: nobody knows.
// Why there is none else, the parts do not tell.
func gapsOfParts(span Span, video *reader, deleted func(Span) bool) []Gap {
	var out []Gap
	missing := append(holesBetween(video.got), cutTails(video.got, video.track)...)
	for _, h := range missing {
		g := Gap{Span: h, Why: whyMissing, Alarm: true}
		if deleted != nil && deleted(h) {
			g.Why, g.Alarm = whyDeleted, false
		}
		out = append(out, g)
	}
	rest := without([]Span{span}, missing...)
	for _, st := range video.got {
		rest = without(rest, Span{st.from().Add(-grid), st.until().Add(grid)})
	}
	for _, r := range rest {
		out = append(out, Gap{Span: r, Why: whyNothingHere})
	}
	slices.SortFunc(out, func(a, b Gap) int { return a.From.Compare(b.From) })
	return joinGaps(out)
}

// whyNothingHere is a time of a link, or of evidence, without footage.
const whyNothingHere = "no-footage"

// cutTails are ends of epochs that the next epoch's note knows of and that are
// not there.
func cutTails(list []stretch, track latchkey.TrackID) []Span {
	var out []Span
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		last, ok := b.epoch.lastOf(track)
		if a.epoch == b.epoch || !ok || last.Epoch != a.epoch.note.Epoch || last.Seq <= a.last {
			continue
		}
		tail := Span{a.until(), b.from()}
		if !tail.From.Before(tail.To) { // within one second
			tail = Span{a.epoch.at(a.lastSlot), a.until()}
		}
		out = append(out, tail)
	}
	return out
}
