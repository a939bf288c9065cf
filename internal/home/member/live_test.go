package member

import (
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/seal"
)

// TestStaleIsToldOnce: a server that keeps the line open and lets nothing
// through any more does not look live for more than 90 s (claim C9).
func TestStaleIsToldOnce(t *testing.T) {
	var told []string
	w := &watch{req: LiveRequest{Notice: func(n Notice) { told = append(told, n.Kind) }}, oldest: at(0)}
	for _, s := range []int{1, 60, 89, 90} {
		w.judge(at(s))
	}
	if len(told) != 0 {
		t.Fatalf("told %v within 90 s", told)
	}
	w.judge(at(91))
	w.judge(at(120))
	w.oldest = at(119)
	w.judge(at(121))
	if want := []string{"stale", "fresh"}; len(told) != 2 || told[0] != want[0] || told[1] != want[1] {
		t.Errorf("told %v, want %v", told, want)
	}
}

// TestHeadsVouchOnlyForWhatCame: a heads note that speaks of more than arrived
// makes nothing fresh.
func TestHeadsVouchOnlyForWhatCame(t *testing.T) {
	e := testEpoch(0, 0)
	e.heads = &chain.Heads{Time: at(60).Unix(), Heads: []chain.HeadOf{{Track: testTrack, Seq: 1000}}}
	c := &Client{book: &book{}}
	lt := &liveTrack{watch: &watch{client: c}, id: testTrack, epoch: e, seq: 999, since: at(10)}
	if got := lt.vouched(); !got.Equal(at(10)) {
		t.Errorf("vouched until %v with a part missing", got)
	}
	lt.seq = 1000
	if got := lt.vouched(); !got.Equal(at(60)) {
		t.Errorf("vouched until %v, want %v", got, at(60))
	}
}

// TestSkipsAreNotLosses: parts that the server says it leaves out are a skip,
// others are missing, and what a broken line swallowed is neither.
func TestSkipsAreNotLosses(t *testing.T) {
	var told []string
	w := &watch{req: LiveRequest{Notice: func(n Notice) { told = append(told, n.Kind) }}}
	id := latchkey.EpochID{1}
	lt := &liveTrack{watch: w, id: testTrack, kind: latchkey.KindVideo, epoch: testEpoch(0, 0), fresh: true}
	lt.skipped(liveOp{Op: "skip", Epoch: id.String(), From: 10, To: 20})
	lt.missed(seal.Gap{Epoch: id, From: 10, To: 20})
	if len(told) != 1 || told[0] != "skipped" || !lt.wantRAP {
		t.Errorf("told %v of a skip, waiting for a random-access part: %v", told, lt.wantRAP)
	}
	lt.missed(seal.Gap{Epoch: id, From: 19, To: 25})
	if told[len(told)-1] != "missing" {
		t.Errorf("told %v of a gap beyond the skip", told)
	}
	told, lt.fresh = nil, false
	lt.missed(seal.Gap{Epoch: id, From: 30, To: 90})
	if len(told) != 0 {
		t.Errorf("told %v of a broken line", told)
	}
}

func TestFetchURLs(t *testing.T) {
	q := query{track: testTrack, from: time.UnixMilli(1_790_000_000_250), to: time.UnixMilli(1_790_000_004_000)}
	want := "http://h/v1/footage/07000000000000000000000000000000?from=1790000000.250&max=4194304&to=1790000004.000"
	if got := q.url("http://h/v1/footage"); got != want {
		t.Errorf("url %s, want %s", got, want)
	}
	for _, bad := range []string{"x", "00:1", "07000000000000000000000000000000:-1", "07000000000000000000000000000000:4294967296", "07000000000000000000000000000000"} {
		if p, err := parsePlace(bad); err == nil {
			t.Errorf("place %q parses as %v", bad, p)
		}
	}
}
