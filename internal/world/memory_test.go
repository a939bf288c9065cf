package world

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// TestMemoryPerCamera prints what hub and cloud have in memory with no, two and
// eight cameras, each with sound and a small stream, and what one more camera
// adds. It asserts nothing: TestMemoryFlat tells whether it grows.
//
//	LATCHKEY_BENCH=1 go test ./internal/world -run MemoryPerCamera -v
func TestMemoryPerCamera(t *testing.T) {
	if os.Getenv("LATCHKEY_BENCH") == "" {
		t.Skip("a measurement of a minute and a half: set LATCHKEY_BENCH=1")
	}
	w := New(t)
	w.StartCloud()
	ann := w.Person("ann")
	ann.Found()
	w.PairHub(ann)
	with := map[int]map[*Process]int{}
	added := 0
	for _, cameras := range []int{0, 2, 8} {
		for ; added < cameras; added++ {
			w.addScene(ann, fmt.Sprintf("camera%d", added))
		}
		if cameras > 0 && !w.allRecord(ann, cameras) {
			t.Fatalf("after five minutes not all of %d cameras record: nothing is measured", cameras)
		}
		with[cameras] = w.settledMemory(t, 25*time.Second)
	}
	for _, p := range []*Process{w.hub, w.cloud} {
		none, few, many := with[0][p], with[2][p], with[8][p]
		t.Logf("%s: %d MiB without a camera, %d with two, %d with eight: %.1f MiB a camera",
			p.name, none>>10, few>>10, many>>10, float64(many-none)/8/1024)
	}
}

// allRecord waits until that many cameras record. Eight with sound, small stream
// and their players share this machine with the hub: that may take minutes.
func (w *World) allRecord(by Person, cameras int) bool {
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		all := w.cameras(by)
		if len(all) == cameras && !slices.ContainsFunc(all, func(c cameraDoc) bool { return c.Status != "recording" }) {
			return true
		}
	}
	return false
}

// addScene adds a camera that plays the porch.
func (w *World) addScene(by Person, name string) {
	w.t.Helper()
	url, sub := w.StartCamera(name, scene(w.t, "porch")), w.StartCamera(name+"-sub", scene(w.t, "porch-sub"))
	w.Await("the hub takes "+name, 2*time.Minute, func() bool {
		return by.Run("camera", "add", name, url, "--sub", sub, "--audio").Code == 0
	})
}

// settledMemory is the median resident size of hub and cloud over the last
// half of d, in KiB.
func (w *World) settledMemory(t *testing.T, d time.Duration) map[*Process]int {
	t.Helper()
	samples := map[*Process][]int{}
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		for _, p := range []*Process{w.hub, w.cloud} {
			samples[p] = append(samples[p], rss(t, p, "VmRSS"))
		}
	}
	out := map[*Process]int{}
	for p, all := range samples {
		late := slices.Sorted(slices.Values(all[len(all)/2:]))
		out[p] = late[len(late)/2]
	}
	return out
}
