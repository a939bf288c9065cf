package uplink

import (
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/spool"
)

// TestLiveMessageIsRefusedAsOne: the cloud names the first part that it did not
// take; those behind it in the message have to be sent again as well.
func TestLiveMessageIsRefusedAsOne(t *testing.T) {
	key := spool.Key{Epoch: latchkey.EpochID{1}, Track: latchkey.TrackID{2}}
	f := newFlow()
	room := f.room(time.Now())
	f.live(spool.Range{Key: key, First: 3, Last: 7})
	f.live(spool.Range{Key: key, First: 8, Last: 9})
	f.receipt(spool.Range{Key: key, First: 3, Last: 4}, time.Now())
	got, known := f.refuse(key, 5)
	if want := (spool.Range{Key: key, First: 5, Last: 7}); !known || got != want {
		t.Errorf("refused %+v (known: %v), want %+v", got, known, want)
	}
	if _, known := f.refuse(key, 6); known {
		t.Error("refused twice")
	}
	f.receipt(spool.Range{Key: key, First: 8, Last: 9}, time.Now())
	if len(f.sent) != 0 || f.room(time.Now()) != room {
		t.Errorf("live parts count as backlog: %+v, room %d, before %d", f.sent, f.room(time.Now()), room)
	}
}
