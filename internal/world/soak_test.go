package world

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// household is a world that records the demo's two cameras, each with sound
// and a small stream.
func household(t *testing.T) (*World, Person) {
	t.Helper()
	w := New(t)
	ann := w.settle()
	for _, name := range []string{"porch", "driveway"} {
		url, sub := w.StartCamera(name, scene(t, name)), w.StartCamera(name+"-sub", scene(t, name+"-sub"))
		w.AddCamera(ann, name, url, "--sub", sub, "--audio")
	}
	w.AwaitRecording(ann)
	return w, ann
}

// TestMemoryFlat watches what hub and cloud keep in memory while they record
// for LATCHKEY_SOAK minutes. The last quarter may not be far above the first.
func TestMemoryFlat(t *testing.T) {
	s := os.Getenv("LATCHKEY_SOAK")
	if s == "" {
		t.Skip("long: runs with LATCHKEY_SOAK=minutes")
	}
	minutes, err := strconv.Atoi(s)
	if err != nil || minutes < 1 {
		t.Fatalf("LATCHKEY_SOAK=%q: want minutes", s)
	}
	w, ann := household(t)
	const cameras = 2
	samples, live, other := map[*Process][]int{}, []int{}, []int{}
	for end := time.Now().Add(time.Duration(minutes) * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Second) {
		for _, p := range []*Process{w.hub, w.cloud} {
			samples[p] = append(samples[p], rss(t, p, "VmRSS"))
		}
		m := w.cloudMetrics()
		live = append(live, int(m["go_gc_heap_live_bytes"])>>10)
		heap := heapRSS(t, w.cloud)
		other = append(other, rss(t, w.cloud, "RssAnon")-heap)
		if n := len(live); n%30 == 1 {
			t.Logf("%s: hub %d KiB, cloud %d KiB: Go's heap %d (%d live objects), files %d, others %d", time.Now().Format(time.TimeOnly),
				samples[w.hub][n-1], samples[w.cloud][n-1], heap, live[n-1], rss(t, w.cloud, "RssFile"), other[n-1])
		}
	}
	q := max(len(live)/4, 1)
	for what, all := range map[string][]int{"live Go objects": live, "memory beside Go's heap (SQLite, stacks)": other} {
		t.Logf("cloud: %s, median of the first quarter %d KiB, of the last %d KiB", what, median(all[:q]), median(all[len(all)-q:]))
	}
	for _, p := range []*Process{w.hub, w.cloud} {
		all := samples[p]
		q := max(len(all)/4, 1)
		first, last := median(all[:q]), median(all[len(all)-q:])
		t.Logf("%s: median of the first quarter %d KiB, of the last %d KiB (%+.1f %%), most %d KiB, %d KiB a camera, %d samples",
			p.name, first, last, 100*float64(last-first)/float64(first), slices.Max(all), last/cameras, len(all))
		if float64(last) > 1.3*float64(first) {
			t.Errorf("%s grows: %d KiB, then %d KiB", p.name, first, last)
		}
	}
	w.AwaitRecording(ann)
}

// arena is what Go's heap grows by, and is aligned to.
const arena = 4 << 20

// heapRSS is the resident part of Go's heap, in KiB: of the anonymous mappings
// those that consist of arenas.
func heapRSS(t *testing.T, p *Process) (sum int) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps", p.Pid()))
	if err != nil {
		t.Fatalf("%s is gone: %v", p.name, err)
	}
	defer f.Close()
	isHeap := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		var from, to uint64
		var perm, offset, dev string
		var inode, kib int
		if n, _ := fmt.Sscanf(line, "%x-%x %s %s %s %d", &from, &to, &perm, &offset, &dev, &inode); n == 6 {
			isHeap = inode == 0 && from%arena == 0 && to%arena == 0
		} else if n, _ := fmt.Sscanf(line, "Rss: %d kB", &kib); n == 1 && isHeap {
			sum += kib
		}
	}
	return sum
}

// cloudMetrics reads the cloud's metrics that have no label.
func (w *World) cloudMetrics() map[string]float64 {
	w.t.Helper()
	resp, err := http.Get("http://" + w.metrics + "/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	out := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				out[name] = v
			}
		}
	}
	if out["go_gc_heap_live_bytes"] == 0 {
		w.t.Fatal("the cloud does not say what its heap holds")
	}
	return out
}

func median(of []int) int {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// rss returns a resident size in KiB: VmRSS, or a part of it.
func rss(t *testing.T, p *Process, what string) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		t.Fatalf("%s is gone: %v\n%s", p.name, err, tail(p.Log()))
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), what+":"); ok {
			n, err := strconv.Atoi(strings.Fields(v)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("%s has no %s: it has ended\n%s", p.name, what, tail(p.Log()))
	return 0
}
