package member

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/part"
)

var testTrack = latchkey.TrackID{7}

// clock starts all test epochs: a full minute, so that the tables read well.
var clock = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(s int) time.Time     { return clock.Add(time.Duration(s) * time.Second) }
func span(from, to int) Span { return Span{at(from), at(to)} }
func ms(s int) int64         { return at(s).UnixMilli() }
func gapRecord(why string, from, to int) metaRecord {
	return metaRecord{V: 1, Type: "gap", From: ms(from), To: ms(to), Why: why}
}

func testEpoch(n uint64, start int) *epoch {
	return &epoch{note: chain.EpochNote{Epoch: latchkey.EpochID{byte(n + 1)}, N: n, Start: at(start).Unix()}}
}

// run is a stretch of 25 parts a second from slot a to slot b inclusive.
func run(e *epoch, a, b int) stretch {
	return stretch{epoch: e, first: uint32(25 * a), last: uint32(25*b + 24), firstSlot: uint32(a), lastSlot: uint32(b)}
}

func TestGaps(t *testing.T) {
	one := testEpoch(0, 0)
	two := testEpoch(1, 600)
	long := 3600
	tests := []struct {
		name   string
		survey survey
		meta   meta
		now    int
		want   []Gap
	}{{
		name: "whole",
		survey: survey{
			span: span(10, 100), epochs: []*epoch{one}, ends: []ending{{known: true, seq: 25*299 + 24, when: at(300)}},
			stretches: []stretch{run(one, 0, 299)},
		},
		now: long,
	}, {
		name: "dropped in the middle",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{known: true, seq: 25*299 + 24, when: at(300)}},
			stretches: []stretch{run(one, 0, 99), run(one, 150, 299)},
		},
		now:  long,
		want: []Gap{{Span: span(100, 150), Why: "missing", Alarm: true}},
	}, {
		name: "one frame dropped leaves no time uncovered and still shows",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{known: true, seq: 25*299 + 24, when: at(300)}},
			stretches: []stretch{
				{epoch: one, first: 0, last: 25 * 100, firstSlot: 0, lastSlot: 100},
				{epoch: one, first: 25*100 + 2, last: 25*299 + 24, firstSlot: 100, lastSlot: 299},
			},
		},
		now:  long,
		want: []Gap{{Span: span(100, 101), Why: "missing", Alarm: true}},
	}, {
		name: "tail cut at the end of an epoch, known from the next one's note",
		survey: survey{
			span: span(0, 700), epochs: []*epoch{one, two},
			ends: []ending{
				{known: true, seq: 25*599 + 24, when: at(600), next: at(600)},
				{known: true, seq: 25*199 + 24, when: at(800)},
			},
			stretches: []stretch{run(one, 0, 499), run(two, 0, 199)},
		},
		now:  long,
		want: []Gap{{Span: span(500, 600), Why: "missing", Alarm: true}},
	}, {
		name: "camera was away: no part is missing, and the hub said why",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{known: true, seq: 25*199 + 24, when: at(300)}},
			stretches: []stretch{
				run(one, 0, 99),
				{epoch: one, first: 2500, last: 25*199 + 24, firstSlot: 200, lastSlot: 299},
			},
		},
		meta: meta{gaps: []metaRecord{gapRecord("camera-offline", 100, 200)}},
		now:  long,
		want: []Gap{{Span: span(100, 200), Why: "camera-offline"}},
	}, {
		name: "a record explains only its own time",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{known: true, seq: 25*199 + 24, when: at(300)}},
			stretches: []stretch{
				run(one, 0, 99),
				{epoch: one, first: 2500, last: 25*199 + 24, firstSlot: 200, lastSlot: 299},
			},
		},
		meta: meta{gaps: []metaRecord{gapRecord("hub-off", 100, 150)}},
		now:  long,
		want: []Gap{{Span: span(100, 152), Why: "hub-off"}, {Span: span(152, 200), Why: "unexplained", Alarm: true}},
	}, {
		name: "the live edge is not a gap",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{}},
			stretches: []stretch{run(one, 0, 294)},
		},
		now: 300,
	}, {
		name: "nothing new for a minute is said, without alarm",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{}},
			stretches: []stretch{run(one, 0, 239)},
		},
		now:  300,
		want: []Gap{{Span: span(240, 300), Why: "not-complete"}},
	}, {
		name: "nothing new for longer is an alarm",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{}},
			stretches: []stretch{run(one, 0, 199)},
		},
		now:  300,
		want: []Gap{{Span: span(200, 300), Why: "not-complete", Alarm: true}},
	}, {
		name: "what the hub still holds is on its way",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{known: true, seq: 25*299 + 24, when: at(300)}},
			stretches: []stretch{run(one, 0, 99), run(one, 200, 299)},
		},
		meta: meta{state: metaRecord{Type: "state", At: ms(299), Hub: HubReport{SpoolOldest: at(100).Unix()}}},
		now:  300,
		want: []Gap{{Span: span(100, 200), Why: "backlog"}},
	}, {
		name: "what the hub says it has yet to send is on its way, however young",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{known: true, seq: 25*299 + 24, when: at(300)}},
			stretches: []stretch{run(one, 0, 199), run(one, 210, 259), run(one, 270, 299)},
		},
		meta: meta{state: metaRecord{Type: "state", At: ms(290), Hub: HubReport{
			SpoolOldest: at(230).Unix(), BacklogFrom: at(260).Unix(), BacklogTo: at(270).Unix(),
		}}},
		now:  300,
		want: []Gap{{Span: span(200, 210), Why: "missing", Alarm: true}, {Span: span(260, 270), Why: "backlog"}},
	}, {
		name: "what the hub said two minutes ago excuses nothing",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{known: true, seq: 25*299 + 24, when: at(300)}},
			stretches: []stretch{run(one, 0, 259), run(one, 270, 299)},
		},
		meta: meta{state: metaRecord{Type: "state", At: ms(280), Hub: HubReport{BacklogFrom: at(260).Unix(), BacklogTo: at(270).Unix()}}},
		now:  401,
		want: []Gap{{Span: span(260, 270), Why: "missing", Alarm: true}},
	}, {
		name: "records that are on their way are not lost",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{}},
			stretches: []stretch{run(one, 0, 299)},
			lost:      []Gap{{Span: span(100, 110), Why: "records-missing", Alarm: true}, {Span: span(262, 268), Why: "records-missing", Alarm: true}},
		},
		meta: meta{state: metaRecord{Type: "state", At: ms(290), Hub: HubReport{BacklogFrom: at(260).Unix(), BacklogTo: at(270).Unix()}}},
		now:  300,
		want: []Gap{{Span: span(100, 110), Why: "records-missing", Alarm: true}, {Span: span(262, 268), Why: "backlog"}},
	}, {
		name: "the minute that a hub always holds excuses nothing",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{known: true, seq: 25*299 + 24, when: at(300)}},
			stretches: []stretch{run(one, 0, 259), run(one, 270, 299)},
		},
		meta: meta{state: metaRecord{Type: "state", At: ms(299), Hub: HubReport{SpoolOldest: at(230).Unix()}}},
		now:  300,
		want: []Gap{{Span: span(260, 270), Why: "missing", Alarm: true}},
	}, {
		name: "an epoch that the next one's counter gives away",
		survey: survey{
			span: span(0, 700), epochs: []*epoch{one, two},
			ends:      []ending{{known: true, seq: 25*99 + 24, when: at(100)}, {known: true, seq: 25*99 + 24, when: at(700)}},
			stretches: []stretch{run(one, 0, 99), run(two, 0, 99)},
			missed:    []time.Time{at(600)},
		},
		now:  long,
		want: []Gap{{Span: span(100, 600), Why: "missing", Alarm: true}},
	}, {
		name: "before this member came, and what the index says of it",
		survey: survey{
			span: span(0, 900), epochs: []*epoch{one, two},
			ends:      []ending{{known: true, seq: 25*599 + 24, when: at(600), next: at(600)}, {known: true, seq: 25*299 + 24, when: at(900)}},
			stretches: []stretch{run(one, 0, 599), run(two, 0, 299)},
			private:   []Gap{{Span: span(-100, 600), Why: "not-shared"}},
		},
		now:  long,
		want: []Gap{{Span: span(0, 600), Why: "not-shared"}},
	}, {
		name: "a loss beside what is not shared",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{known: true, seq: 25*299 + 24, when: at(300)}},
			stretches: []stretch{run(one, 100, 199), run(one, 250, 299)},
			private:   []Gap{{Span: span(0, 220), Why: "not-shared"}},
		},
		now:  long,
		want: []Gap{{Span: span(0, 220), Why: "not-shared"}, {Span: span(220, 250), Why: "missing", Alarm: true}},
	}, {
		name: "left out by the hub, against the chain",
		survey: survey{
			span: span(0, 300), epochs: []*epoch{one}, ends: []ending{{known: true, seq: 25*299 + 24, when: at(300)}},
			private: []Gap{{Span: span(0, 300), Why: "not-shared", Alarm: true}},
		},
		now:  long,
		want: []Gap{{Span: span(0, 300), Why: "not-shared", Alarm: true}},
	}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.survey
			s.track, s.now = testTrack, at(tt.now)
			if diff := cmp.Diff(tt.want, s.gaps(tt.meta)); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRangesJoinOverTheGridAndNotOverALoss(t *testing.T) {
	one, two := testEpoch(0, 0), testEpoch(1, 101)
	s := survey{span: span(5, 200), now: at(3600), stretches: []stretch{run(one, 0, 99), run(two, 0, 98)}, epochs: []*epoch{one, two}, ends: []ending{{}, {}}}
	if diff := cmp.Diff([]Span{span(5, 200)}, s.ranges()); diff != "" {
		t.Errorf("an epoch change splits the range:\n%s", diff)
	}
	s.ends[0] = ending{known: true, seq: 25 * 100, when: at(101)}
	if diff := cmp.Diff([]Span{span(5, 100), span(101, 200)}, s.ranges()); diff != "" {
		t.Errorf("a lost part does not split the range:\n%s", diff)
	}
}

func TestCompleteUntilStopsAtTheFirstLoss(t *testing.T) {
	s := survey{vouched: at(500)}
	if got := s.completeUntil([]Gap{{Span: span(100, 200), Why: "camera-offline"}}); !got.Equal(at(500)) {
		t.Errorf("an explained gap ends completeness at %v", got)
	}
	gaps := []Gap{{Span: span(100, 200), Why: "camera-offline"}, {Span: span(300, 310), Why: "missing", Alarm: true}}
	if got := s.completeUntil(gaps); !got.Equal(at(300)) {
		t.Errorf("complete until %v, want the loss at %v", got, at(300))
	}
}

func TestMetaRecordsOfAnotherCameraAreRefused(t *testing.T) {
	mine, other := latchkey.CameraID{1}, latchkey.CameraID{2}
	record := func(id latchkey.CameraID) []part.Record {
		return []part.Record{{Type: recordEvent, Data: []byte(`{"v":1,"type":"state","camera":"` + id.String() + `","at":5}`)}}
	}
	if got, err := metaRecords(mine, record(mine)); err != nil || len(got) != 1 || got[0].At != 5 {
		t.Errorf("own record: %v, %v", got, err)
	}
	if _, err := metaRecords(mine, record(other)); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("another camera's record: %v, want %v", err, latchkey.ErrVerify)
	}
}

func TestTheNewestRecordCounts(t *testing.T) {
	var m meta
	m.add([]metaRecord{
		{V: 1, Type: "event", ID: "a", From: ms(1)},
		{V: 1, Type: "event", ID: "a", From: ms(1), To: ms(9)},
		{V: 1, Type: "event", ID: "a", From: ms(1)}, // an older word that came late
		{V: 1, Type: "state", At: ms(5), Name: "new"},
		{V: 1, Type: "state", At: ms(4), Name: "old"},
	})
	if got := m.events["a"].To; got != ms(9) {
		t.Errorf("event ends at %d, want %d", got, ms(9))
	}
	if m.state.Name != "new" {
		t.Errorf("state is %q", m.state.Name)
	}
}
