package world

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
)

// storm makes a loop of noise: a picture that fills disks. 320x180 is about a
// megabyte a second, 640x360 four times that.
func storm(t *testing.T, size string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "storm.mp4")
	err := command(needTool(t, "ffmpeg"), "-nostdin", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "-r", "25", "-t", "4",
		"-i", "/dev/urandom", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "24", "-g", "25", "-bf", "0", "-threads", "1", out)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// spoolRAM is what the hub may keep in memory while its disk takes nothing,
// in KiB; maxRSS leaves room for one copy of it and for the hub itself.
const (
	spoolRAM = 64 << 10
	maxRSS   = 3*spoolRAM + 64<<10
)

// TestDiskFullOfTheHub fills the hub's disk while the cloud is away, beyond
// what the hub keeps in memory. It says so, gives the oldest up and notes it,
// and goes on by itself.
func TestDiskFullOfTheHub(t *testing.T) {
	t.Parallel()
	w := New(t)
	disk := w.NewDisk("hub-disk", 256) // room for all that waited, without the ballast
	w.HubOn(disk)
	proxy := w.UseProxy()
	from := time.Now()
	ann := w.record(storm(t, "640x360"))
	w.cloud.Stop(t)
	disk.Ballast(2 << 20)
	w.Await("the hub says that its disk is full, and what to do", 60*time.Second, func() bool {
		return strings.Contains(w.hub.Log(), "The hub's disk is full. Free space on it")
	})
	top := 0
	w.Await("the hub gives up what neither disk nor memory holds", 120*time.Second, func() bool {
		top = max(top, rss(t, w.hub, "VmRSS"))
		return strings.Contains(w.hub.Log(), "disk_full=true")
	})
	for range 30 { // the bound holds while it goes on
		top = max(top, rss(t, w.hub, "VmRSS"))
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("hub at most %d KiB with a full disk", top)
	if top > maxRSS {
		t.Errorf("the hub took %d KiB while its disk was full, more than %d", top, maxRSS)
	}
	disk.Ballast(0)
	w.StartCloud()
	w.Await("a member reads it in the hub's status", 60*time.Second, func() bool {
		r := ann.Run("hub", "status")
		return r.Code == 0 && strings.Contains(r.Out, "The hub's disk is full. Free space on it")
	})
	disk.Ballast(1 << 40)
	w.Await("the hub's trouble is over", 180*time.Second, func() bool {
		cams := w.cameras(ann)
		return len(cams) == 1 && cams[0].Error == "" && cams[0].Status == "recording"
	})
	sent := proxy.Sent()
	w.Await("what was sent is stored", 60*time.Second, func() bool { return w.storedNow().Holds(sent) })
	// While the backlog is on its way, what was lost in the middle of it looks the same.
	w.Await("a gap says that the disk was full", 180*time.Second, func() bool {
		tl := w.noAlarm(ann, from, time.Now().Add(-5*time.Second))
		return tl.has("disk-full") && !tl.has("backlog")
	})
	w.checkStored(sent)
}

// has reports whether a gap has this reason.
func (tl timelineDoc) has(why string) bool {
	for _, g := range tl.Gaps {
		if g.Why == why {
			return true
		}
	}
	return false
}

// TestHubStartsOnAFullDisk kills the hub on a full disk. It cannot record then
// (an epoch's note must be on disk first), or not keep what it records, says so,
// and does when there is space.
func TestHubStartsOnAFullDisk(t *testing.T) {
	t.Parallel()
	w := New(t)
	disk := w.NewDisk("hub-disk", 24)
	w.HubOn(disk)
	proxy := w.UseProxy()
	from := time.Now()
	ann := w.record(scene(t, "porch"))
	disk.Ballast(0)
	w.Await("the hub says that its disk is full", 60*time.Second, func() bool { return strings.Contains(w.hub.Log(), "The hub's disk is full") })
	w.hub.Kill()
	kept := TakeStock(t, filepath.Join(w.HubData(), "spool"))
	w.mustHaveEpochs(kept)
	w.cloud.Stop(t)
	disk.Ballast(0) // what the cloud had made durable left room again
	w.StartHub()
	w.Await("the hub says why it does not record, or cannot keep what it does", 120*time.Second, func() bool {
		disk.Fill() // also what the start gave up
		// Whether that was enough for an epoch before Fill had it is chance.
		return strings.Contains(w.hub.Log(), "The hub cannot start recording: The hub's disk is full") ||
			strings.Contains(w.hub.Log(), "The hub's disk is full. Free space on it")
	})
	disk.Ballast(1 << 40)
	w.StartCloud()
	w.AwaitRecording(ann)
	before := len(proxy.Sent().Hash)
	w.Await("it goes on", 60*time.Second, func() bool { return len(proxy.Sent().Hash) > before+20 })
	w.Await("all has arrived", 60*time.Second, func() bool { return w.storedNow().Holds(kept) })
	w.noAlarm(ann, from, time.Now().Add(-5*time.Second))
	w.checkStored(kept)
}

// TestDiskFullOfTheCloud fills the cloud's disk. It refuses with FULL, the hub
// keeps everything, and all of it arrives when there is space.
func TestDiskFullOfTheCloud(t *testing.T) {
	t.Parallel()
	w := New(t)
	disk := w.NewDisk("cloud-disk", 256)
	w.CloudOn(disk)
	proxy := w.UseProxy()
	from := time.Now()
	ann := w.record(storm(t, "320x180"))
	disk.Ballast(4 << 20)
	full := v1.UplinkErrorCode_UPLINK_ERROR_CODE_FULL
	w.Await("the cloud says that it is full", 60*time.Second, func() bool { return proxy.Refusals(full) > 0 })
	w.Await("the cloud's log says it too", 10*time.Second, func() bool { return strings.Contains(w.cloud.Log(), "the disk is full") })
	refused := proxy.Refusals(full)
	w.Await("the hub tries again", 60*time.Second, func() bool { return proxy.Refusals(full) > refused })
	kept := TakeStock(t, filepath.Join(w.HubData(), "spool"))
	disk.Ballast(1 << 40)
	w.Await("all that waited has arrived", 120*time.Second, func() bool { return w.storedNow().Holds(kept) })
	w.AwaitRecording(ann)
	for _, code := range []v1.UplinkErrorCode{v1.UplinkErrorCode_UPLINK_ERROR_CODE_CONFLICT, v1.UplinkErrorCode_UPLINK_ERROR_CODE_INVALID} {
		if n := proxy.Refusals(code); n > 0 {
			t.Errorf("the cloud reported %v %d times", code, n)
		}
	}
	w.checkHealed(ann, kept, from)
}
