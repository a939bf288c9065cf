package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// TestLongProgressWithoutATerminal: a line every ten seconds, and none for what
// is over before that.
func TestLongProgressWithoutATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var err bytes.Buffer
		a := &app{stdio: stdio{err: &err}}
		tick := a.longProgress("insider (KiB)", 400)
		for done := range int64(26) {
			tick(done * 10)
			time.Sleep(time.Second)
		}
		const want = "insider (KiB): 100 of 400, 25 %, about 30s left\ninsider (KiB): 200 of 400, 50 %, about 20s left\n"
		if err.String() != want {
			t.Errorf("said\n%swant\n%s", err.String(), want)
		}
	})
}
