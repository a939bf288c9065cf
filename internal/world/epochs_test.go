package world

import (
	"path/filepath"
	"testing"
	"time"
)

// TestKillAfterEpochChange: one segment of the spool holds parts of an epoch
// that is over and safe in the cloud, and parts of the next one that are
// nowhere else when the hub is killed.
func TestKillAfterEpochChange(t *testing.T) {
	t.Parallel()
	w := New(t)
	proxy := w.UseProxy()
	from := time.Now()
	ann := w.record(scene(t, "porch"))
	w.Await("the first epoch records", 30*time.Second, func() bool { return len(proxy.Sent().Hash) > 50 })
	w.AddCamera(ann, "driveway", w.StartCamera("driveway", scene(t, "driveway")))
	w.AwaitRecording(ann)
	first := proxy.Sent()
	w.cloud.Stop(t) // closes every reel: the old epoch is durable
	w.StartCloud()
	w.Await("the hub is back", 40*time.Second, func() bool { return len(proxy.Sent().Hash) > len(first.Hash)+20 })
	w.cloud.Stop(t)
	time.Sleep(2 * time.Second) // of footage that only the spool has
	w.hub.Kill()
	kept := TakeStock(t, filepath.Join(w.HubData(), "spool"))
	w.mustHaveEpochs(kept)
	w.StartCloud()
	w.StartHub()
	w.AwaitRecording(ann)
	w.checkHealed(ann, kept, from)
}
