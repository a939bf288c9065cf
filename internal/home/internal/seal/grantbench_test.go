package seal

import (
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// BenchmarkGrantOfAnHour is what it takes a member to give one hour of one track
// out of 30 days of footage, and how large its capsule is.
func BenchmarkGrantOfAnHour(b *testing.B) {
	h := newHouse(b)
	var anns []Announcement
	for day := range 30 {
		_, ann := h.epoch(b, func(p *EpochParams) { p.Start = time.Unix(start+int64(day)*86400, 0) })
		anns = append(anns, ann)
	}
	owner, to := h.opener(b, anns...), keys.NewSealing()
	from := int64(start + 17*86400 + 34567)
	size := 0
	for b.Loop() {
		capsule, _, err := owner.SealGrant(GrantParams{ID: latchkey.GrantID{1}, To: to.Public(), Ranges: []chain.TrackRange{{Track: h.tracks[0].ID, From: from, Until: from + 3600}}})
		if err != nil {
			b.Fatal(err)
		}
		size = len(capsule)
	}
	b.ReportMetric(float64(size), "bytes")
}
