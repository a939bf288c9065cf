package world

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestInsiderFindsNothing gives everything that lies on the disks of hub and
// cloud to somebody who wants to look. The hub was killed while it recorded.
func TestInsiderFindsNothing(t *testing.T) {
	t.Parallel()
	w, ann := recording(t)
	time.Sleep(4 * time.Second)
	w.hub.Kill()
	if n := len(TakeStock(t, filepath.Join(w.HubData(), "spool")).Hash); n == 0 {
		t.Fatal("nothing is in the hub's spool: nothing to look at")
	}
	for _, dir := range []string{w.HubData(), w.CloudData()} {
		r := w.Person("insider").Run("insider", "--data", dir, "--json")
		var doc struct {
			Findings []any
			Files    int
			Known    struct{ Parts int }
		}
		if err := json.Unmarshal([]byte(r.Out), &doc); err != nil {
			t.Fatalf("insider: %v in %q %s", err, r.Out, r.Err)
		}
		if r.Code != 0 || len(doc.Findings) > 0 {
			t.Errorf("the insider opens %s: exit %d, %v", dir, r.Code, doc.Findings)
		}
		if doc.Files == 0 || doc.Known.Parts == 0 {
			t.Errorf("the insider did not look at %s: %+v", dir, doc)
		}
	}
	w.plantPicture(ann)
	if r := w.Person("insider").Run("insider", "--data", w.CloudData()); r.Code != 4 {
		t.Errorf("a picture lay open in the cloud's data: exit %d, want 4\n%s%s", r.Code, r.Out, r.Err)
	}
}

// plantPicture puts opened footage between the cloud's files.
func (w *World) plantPicture(p Person) {
	w.t.Helper()
	var tl timelineDoc
	p.JSON(&tl, "timeline", "porch", "--json")
	if len(tl.Ranges) == 0 {
		w.t.Fatal("nothing is recorded")
	}
	out := filepath.Join(w.t.TempDir(), "clip.mp4")
	p.Do("export", "porch", "--from", rfc(tl.Ranges[0].From), "--to", rfc(tl.Ranges[0].From.Add(2*time.Second)), "-o", out)
	clip, err := os.ReadFile(out)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.CloudData(), "blobs", "cache"), clip, 0o600); err != nil {
		w.t.Fatal(err)
	}
}
