package sequencer

import (
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestNewYear: the log goes on over the end of a year, in one piece: the same
// name, every old tree the beginning of the new one, proofs of completeness for
// statements of both years, also after a start in the new one.
func TestNewYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Files get the time of the machine, which the log's library asks: the test's
		// clock is ahead of that.
		made, err := os.Stat(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		eve := time.Date(made.ModTime().UTC().Year()+1, time.December, 31, 23, 59, 30, 0, time.UTC)
		time.Sleep(time.Until(eve))
		b := newBench(t)
		b.start()
		h := b.found()
		b.say(h, 3)
		old := b.complete(h)
		if old.At.UTC().Year() != eve.Year() {
			t.Fatalf("the clock of the test is at %v", old.At)
		}
		before, name := b.whole(), b.Policy().Origin()

		time.Sleep(time.Minute) // it is the new year
		b.say(h, 2)
		late := b.found()
		b.say(late, 1)
		for _, home := range []*home{h, late} {
			if got := b.complete(home); got.At.UTC().Year() != eve.Year()+1 {
				t.Errorf("a statement of the new year is proven at %v", got.At)
			}
		}
		after := b.whole()
		if b.Policy().Origin() != name || after.Origin != name || after.Size <= before.Size {
			t.Errorf("from %s of %d entries to %s of %d", name, before.Size, after.Origin, after.Size)
		}
		if err := b.files.Extends(t.Context(), before, after); err != nil {
			t.Errorf("the log does not go on from the old year: %v", err)
		}

		b.shut()
		b.start()
		b.say(h, 1)
		if got := b.complete(h); got.Seq != 6 || b.Policy().Origin() != name {
			t.Errorf("started in the new year: up to %d in %s", got.Seq, b.Policy().Origin())
		}
	})
}
