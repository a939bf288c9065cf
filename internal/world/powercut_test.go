package world

import (
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
)

// TestPowerCutOfTheCloud cuts the cloud's power at random moments. What it had
// acknowledged by then must be on the medium, byte for byte, before anything
// is repaired; then the same household goes on with what is left.
func TestPowerCutOfTheCloud(t *testing.T) {
	t.Parallel()
	w := New(t)
	disk := w.NewDisk("cloud-disk", 64)
	w.CloudOn(disk)
	proxy := w.UseProxy()
	from := time.Now()
	ann := w.record(scene(t, "porch"))
	for i := range rounds(t, 3) {
		before := len(proxy.Sent().Hash)
		w.Await("parts since the last cut", 60*time.Second, func() bool { return len(proxy.Sent().Hash) > before+20 })
		pause(300, 4000)
		var promised Stock
		disk.Cut(w.cloud, func() { promised = proxy.Promised() })
		left := w.afterCut()
		left.mustHaveAtLeastOnce(t, promised)
		t.Logf("cut %d: %d parts acknowledged, %d on the medium, %d files torn", i+1, len(promised.Hash), len(left.Hash), left.Torn)
		cut := time.Now()
		w.StartCloud()
		w.mustFsck()
		w.openBefore(ann, cut)
		w.AwaitRecording(ann)
	}
	w.checkHealed(ann, proxy.Sent(), from)
}

func pause(least, most int) {
	time.Sleep(time.Duration(least+rand.IntN(most-least)) * time.Millisecond)
}

// afterCut is what the cloud's medium has, torn tails left out. Only files
// that grew may be torn.
func (w *World) afterCut() Stock {
	w.t.Helper()
	closed := TakeStock(w.t, filepath.Join(w.CloudData(), "blobs"))
	if closed.Torn > 0 {
		w.t.Errorf("%d closed reels are torn", closed.Torn)
	}
	open := TakeStockAfterCut(w.t, filepath.Join(w.CloudData(), "open"))
	closed.Merge(w.t, open)
	closed.Torn = open.Torn
	return closed
}

// mustHaveAtLeastOnce is MustHold without a word on copies: right after a cut
// a reel may be under its old name and its new one.
func (s Stock) mustHaveAtLeastOnce(t *testing.T, want Stock) {
	t.Helper()
	once := NewStock()
	for id, h := range s.Hash {
		once.Hash[id], once.Count[id] = h, 1
	}
	once.MustHold(t, want)
}

func (w *World) mustFsck() {
	w.t.Helper()
	if r := w.Fsck(); r.Code != 0 {
		w.t.Errorf("fsck: exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
}

// openBefore opens footage from before the cut, as a member does.
func (w *World) openBefore(p Person, cut time.Time) {
	w.t.Helper()
	var tl timelineDoc
	p.JSON(&tl, "timeline", "porch", "--from", rfc(cut.Add(-10*time.Minute)), "--to", rfc(cut), "--json")
	if len(tl.Ranges) == 0 {
		w.t.Errorf("nothing on the timeline before the cut")
		return
	}
	r := tl.Ranges[0]
	out := filepath.Join(w.t.TempDir(), "before.mp4")
	p.Do("export", "porch", "--from", rfc(r.From), "--to", rfc(r.From.Add(2*time.Second)), "-o", out)
	plays(w.t, out)
}

// TestPowerCutOfTheHub cuts the hub's power. No part may be on its medium
// without its epoch's note and capsules; the hub goes on from what is left,
// and nothing is ever sealed twice.
func TestPowerCutOfTheHub(t *testing.T) {
	t.Parallel()
	w := New(t)
	disk := w.NewDisk("hub-disk", 64)
	w.HubOn(disk)
	proxy := w.UseProxy()
	from := time.Now()
	ann := w.record(scene(t, "porch"))
	kept := NewStock()
	for i := range rounds(t, 3) {
		w.Await("the hub seals again", 3*time.Minute, func() bool {
			return !kept.Holds(TakeStock(t, filepath.Join(w.HubData(), "spool")))
		})
		if os.Getenv("LATCHKEY_SOAK") != "" && i%2 == 0 {
			time.Sleep(10 * time.Second) // a life that resets the growing distance between epochs
		}
		cloudAway := i%2 == 1
		if cloudAway {
			w.cloud.Stop(t) // what is sealed now is in the spool alone
		}
		pause(300, 4000)
		disk.Cut(w.hub, func() {})
		left := TakeStockAfterCut(t, filepath.Join(w.HubData(), "spool"))
		w.mustHaveEpochs(left)
		kept.Merge(t, left)
		t.Logf("cut %d: %d parts on the medium, %d files torn, cloud away: %v", i+1, len(left.Hash), left.Torn, cloudAway)
		if cloudAway {
			w.StartCloud()
		}
		w.StartHub()
		w.AwaitRecording(ann)
	}
	w.Await("what was on the medium has arrived", 60*time.Second, func() bool { return w.storedNow().Holds(kept) })
	for id, h := range proxy.Sent().Hash {
		if was, ok := kept.Hash[id]; ok && was != h {
			t.Errorf("part %v was sealed twice with different bytes", id)
		}
	}
	if n := proxy.Refusals(v1.UplinkErrorCode_UPLINK_ERROR_CODE_CONFLICT); n > 0 {
		t.Errorf("the cloud reported %d conflicts", n)
	}
	w.checkHealed(ann, kept, from)
}

// epochFiles reads the announcements that the hub keeps, by file.
func (w *World) epochFiles() map[string]*v1.UplinkEpoch {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.HubData(), "epochs", "*.epoch"))
	if err != nil || len(files) == 0 {
		w.t.Fatalf("the hub keeps no epochs: %v", err)
	}
	out := map[string]*v1.UplinkEpoch{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			w.t.Fatal(err)
		}
		out[f] = &v1.UplinkEpoch{}
		if err := proto.Unmarshal(raw, out[f]); err != nil {
			w.t.Errorf("%s: %v", f, err)
			delete(out, f)
		}
	}
	return out
}

// mustHaveEpochs checks that for each part the hub has the epoch note, with
// every capsule that the note covers.
func (w *World) mustHaveEpochs(s Stock) {
	w.t.Helper()
	have := map[latchkey.EpochID]bool{}
	for f, m := range w.epochFiles() {
		note, err := epochNote(m)
		if err != nil {
			w.t.Errorf("%s: %v", f, err)
			continue
		}
		have[note.Epoch] = chain.Seals(sealLines(m)) == note.Seals
	}
	without := map[latchkey.EpochID]int{}
	for id := range s.Hash {
		if !have[id.Epoch] {
			without[id.Epoch]++
		}
	}
	for e, n := range without {
		w.t.Errorf("%d parts of epoch %v are on the medium, its note or a capsule is not", n, e)
	}
}

// sealLines are the lines that the capsules at hand make.
func sealLines(m *v1.UplinkEpoch) []chain.SealLine {
	var lines []chain.SealLine
	for _, c := range m.GetCapsules() {
		lines = append(lines, chain.SealLine{Kid: latchkey.Kid(c.GetKid()), Hash: sha256.Sum256(c.GetCapsule())})
	}
	return lines
}
