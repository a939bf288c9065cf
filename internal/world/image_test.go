package world

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestHubImageForgets is claim C2: the memory of a running hub, all of what it
// may write to, opens nothing that was recorded more than five seconds before,
// and holds no packed picture or sound from before. It holds keys of now and
// later, and its own identity; the drill has to find those, or it would not
// have looked.
func TestHubImageForgets(t *testing.T) {
	if os.Getenv("LATCHKEY_SOAK") == "" {
		t.Skip("trying every byte of a process's memory takes minutes: runs with LATCHKEY_SOAK")
	}
	if os.Getuid() != 0 {
		t.Skip("reading another process's memory needs root")
	}
	w := New(t)
	w.record(scene(t, "porch"))
	from := time.Now()
	time.Sleep(12 * time.Second)
	hub := w.hub
	hub.Freeze(t)
	at := time.Now()
	image := filepath.Join(t.TempDir(), "hub.mem")
	dumpMemory(t, hub.Pid(), image)
	hub.Kill() // it never goes on
	if at.Sub(from) < 10*time.Second {
		t.Fatal("too little was recorded to tell old keys from new ones")
	}
	var doc struct {
		Findings []struct {
			Kind, What string
			Offset     int64
		}
		Unread []string
		Known  struct{ Parts int }
	}
	starts := w.epochStarts()
	r := w.Person("insider").RunFor(30*time.Minute, "insider", "--data", w.CloudData(), "--memory", image, "--json")
	if err := json.Unmarshal([]byte(r.Out), &doc); err != nil {
		t.Fatalf("insider: %v in %q %s", err, r.Out, r.Err)
	}
	if len(doc.Unread) > 0 || doc.Known.Parts == 0 {
		t.Fatalf("the insider did not look: %+v", doc)
	}
	nodes := 0
	for _, f := range doc.Findings {
		switch f.Kind {
		case "tree root", "wrap secret", "vault key":
			t.Errorf("the image holds a %s: %s", f.Kind, f.What)
		case "media":
			if taken := takenAt(t, image, f.Offset); !taken.IsZero() && taken.Before(at.Add(-6*time.Second)) {
				t.Errorf("the image holds footage of %v, %v before it was taken: %s", taken, at.Sub(taken), f.What)
			}
		case "tree node":
			nodes++
			if begin := opensFrom(t, f.What, starts); begin.Before(at.Add(-6 * time.Second)) { // slots begin up to a second before their footage
				t.Errorf("the image opens footage of %v, %v before it was taken: %s", begin, at.Sub(begin), f.What)
			}
		}
	}
	if nodes == 0 {
		t.Errorf("not even keys of now were found, so nothing was proven: %+v", doc)
	}
}

// epochStarts is when slot 0 of each epoch of the hub begins, by the epoch's id.
func (w *World) epochStarts() map[string]time.Time {
	w.t.Helper()
	starts := map[string]time.Time{}
	for _, m := range w.epochFiles() {
		note, err := epochNote(m)
		if err != nil {
			w.t.Fatal(err)
		}
		starts[note.Epoch.String()] = time.Unix(note.Start, 0)
	}
	return starts
}

// takenAt is the time of the movie fragment that begins at an offset of the
// image, to the second; zero where none of ours does.
func takenAt(t *testing.T, image string, at int64) time.Time {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := f.ReadAt(head, max(at-4, 0)) // a finding may point at the box's type
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	i := bytes.Index(head[:n], []byte("tfdt\x01"))
	if i < 0 || i+16 > n {
		return time.Time{}
	}
	ticks := binary.BigEndian.Uint64(head[i+8:])
	for _, rate := range []uint64{90_000, 48_000, 44_100, 16_000, 8_000} {
		if s := int64(ticks / rate); s > 1_700_000_000 && s < 2_500_000_000 {
			return time.Unix(s, 0)
		}
	}
	return time.Time{}
}

var opensSlots = regexp.MustCompile(`opens slots (\d+) to (\d+) of track [0-9a-f]+ in epoch ([0-9a-f]+)`)

// opensFrom is when the first second that a node opens begins.
func opensFrom(t *testing.T, what string, starts map[string]time.Time) time.Time {
	t.Helper()
	m := opensSlots.FindStringSubmatch(what)
	if m == nil || starts[m[3]].IsZero() {
		t.Fatalf("a finding of no known epoch: %q", what)
	}
	slot, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return starts[m[3]].Add(time.Duration(slot) * time.Second)
}

// dumpMemory writes every readable and writable stretch of a process's memory
// to a file.
func dumpMemory(t *testing.T, pid int, to string) {
	t.Helper()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	var total int64
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 2 || !strings.HasPrefix(f[1], "rw") {
			continue
		}
		from, until, _ := strings.Cut(f[0], "-")
		begin, berr := strconv.ParseInt(from, 16, 64)
		end, eerr := strconv.ParseInt(until, 16, 64)
		if berr != nil || eerr != nil {
			continue // the vsyscall page, above any file offset
		}
		n, _ := io.Copy(out, pagesOf(mem, begin, end)) // a guard page ends its stretch
		total += n
	}
	if total < 1<<20 {
		t.Fatalf("only %d bytes of memory could be read", total)
	}
}

// pagesOf reads a stretch of memory without its zero pages.
func pagesOf(mem io.ReaderAt, begin, end int64) io.Reader {
	r, w := io.Pipe()
	go func() {
		page, zero := make([]byte, 4096), make([]byte, 4096)
		gap := true
		for at := begin; at < end; at += int64(len(page)) {
			if _, err := mem.ReadAt(page, at); err != nil {
				_ = w.CloseWithError(err) // the reader is told
				return
			}
			if string(page) == string(zero) {
				if !gap {
					_, _ = w.Write(zero) // so that pages that were apart do not touch
				}
				gap = true
				continue
			}
			gap = false
			if _, err := w.Write(page); err != nil {
				return
			}
		}
		_ = w.Close() // never fails
	}()
	return r
}
