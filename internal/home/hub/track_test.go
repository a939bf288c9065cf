package hub

import (
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/pack"
)

// TestPreRollGoesWithTheCamera: what waited for an event does not stay in
// memory when the camera is switched off, and is not sealed when it is back
// (claim C2, IRT-64).
func TestPreRollGoesWithTheCamera(t *testing.T) {
	tr := &track{kind: latchkey.KindVideo, ring: []pack.Fragment{{RAP: true, Data: []byte("picture")}}}
	if _, err := tr.setOpen(false); err != nil {
		t.Fatal(err)
	}
	if len(tr.ring) != 0 {
		t.Errorf("%d fragments wait", len(tr.ring))
	}
	s, err := tr.setOpen(true)
	if err != nil || !s.none() || !tr.needRAP {
		t.Errorf("sealed from %v on, %v; waits for a random-access point: %v", s.first, err, tr.needRAP)
	}
}
