package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/blob"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/part"
)

// reel is one open reel. Its track's mutex guards everything but path.
type reel struct {
	t      *track
	path   string
	f      *durable.Append // nil once closed, or while damaged
	first  uint32
	prev   latchkey.Hash // Prev of the first part
	parts  []catalog.PartAt
	hashes []latchkey.Hash
	size   int64
	digest hash.Hash // running, over ph ‖ sig of each part

	synced  int // parts known to be on the medium
	told    int // parts with a STORED receipt
	last    time.Time
	sealed  bool // takes no more parts; queued to be closed
	damaged bool // its fsync failed: only parts[:synced] may be believed
}

const openSuffix = ".reel"

// openName is the file of an open reel: epoch-track-first.reel.
func openName(e latchkey.EpochID, t latchkey.TrackID, first uint32) string {
	return fmt.Sprintf("%s-%s-%08d%s", e, t, first, openSuffix)
}

// parseOpenName is the strict inverse of openName.
func parseOpenName(name string) (e latchkey.EpochID, t latchkey.TrackID, first uint32, err error) {
	f := strings.Split(strings.TrimSuffix(name, openSuffix), "-")
	if len(f) != 3 {
		return e, t, 0, fmt.Errorf("%w: file name %q", latchkey.ErrInvalid, name)
	}
	e, errE := latchkey.ParseEpochID(f[0])
	t, errT := latchkey.ParseTrackID(f[1])
	n, errN := strconv.ParseUint(f[2], 10, 32)
	if err := errors.Join(errE, errT, errN); err != nil || openName(e, t, uint32(n)) != name {
		return e, t, 0, fmt.Errorf("%w: file name %q", latchkey.ErrInvalid, name)
	}
	return e, t, uint32(n), nil
}

// newReel creates the file for a reel that begins with p. At return its name
// is durable.
func (t *track) newReel(p part.Part) (*reel, error) {
	h := p.Header
	r := &reel{
		t: t, path: filepath.Join(t.e.cfg.Dir, openName(h.Epoch, h.Track, h.Seq)),
		first: h.Seq, prev: h.Prev, digest: sha256.New(), last: time.Now(),
	}
	f, err := durable.OpenAppend(t.e.cfg.FS, r.path, 0o600)
	if err != nil {
		return nil, err
	}
	if f.Size() > 0 {
		// Left by a creation that failed after its file was made.
		if err := f.Truncate(0); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	r.f = f
	t.e.stats.OpenReels.Add(1)
	return r, nil
}

// discard takes back a reel that got no part.
func (r *reel) discard() {
	r.t.e.stats.OpenReels.Add(-1)
	// An empty file that stays behind is removed at the next start.
	if err := errors.Join(r.f.Close(), r.t.e.cfg.FS.Remove(r.path)); err != nil {
		r.t.e.cfg.Logger.Warn("an empty reel stays behind", "err", err)
	}
}

func (r *reel) lastSeq() uint32 { return r.first + uint32(len(r.parts)) - 1 }

// MaxPause is how many slots may lie between two parts of one reel. A longer
// pause begins a new one, so that rows alone tell when there was no footage.
const MaxPause = 3

// room returns the end of the longest piece of parts [i, j) that r may take.
func (r *reel) room(run Run, i, j int) int {
	base, before := run.Parts[i].Header.Slot, run.Parts[i].Header.Slot
	if n := len(r.parts); n > 0 {
		base, before = r.parts[0].Slot, r.parts[n-1].Slot
	}
	size, k := r.size, i
	for ; k < j; k++ {
		h := run.Parts[k].Header
		if h.Slot-base >= r.t.e.cfg.Slots || h.Slot-before > MaxPause || size > 0 && size+int64(h.Size()) > r.t.e.cfg.Bytes {
			break
		}
		size, before = size+int64(h.Size()), h.Slot
	}
	return k
}

// append writes parts [i, j) in one call; nothing of them on an error.
func (r *reel) append(run Run, i, j int) error {
	if _, err := r.f.Write(run.bytes(i, j)); err != nil {
		return err
	}
	for k := i; k < j; k++ {
		r.add(run.Parts[k], run.Hashes[k])
	}
	r.last = time.Now()
	return nil
}

// add accounts for a part that is in the file.
func (r *reel) add(p part.Part, ph latchkey.Hash) {
	r.parts = append(r.parts, catalog.PartAt{Offset: r.size, Size: len(p.Raw), Slot: p.Header.Slot, Flags: p.Header.Flags})
	r.hashes = append(r.hashes, ph)
	r.size += int64(len(p.Raw))
	r.digest.Write(ph[:])
	r.digest.Write(p.Sig())
}

// ended reports whether r must be closed: END, or full.
func (r *reel) ended() bool {
	return len(r.parts) > 0 && r.parts[len(r.parts)-1].Flags&part.END != 0 || r.size >= r.t.e.cfg.Bytes
}

// row is the catalog row of r as it is now.
func (r *reel) row() catalog.Reel {
	n := len(r.parts)
	return catalog.Reel{
		Household: r.t.epoch.Hub.Household, Epoch: r.t.epoch.ID, Track: r.t.id, Start: r.t.epoch.Start, N: r.t.epoch.N,
		FirstSeq: r.first, LastSeq: r.lastSeq(), FirstSlot: r.parts[0].Slot, LastSlot: r.parts[n-1].Slot,
		Bytes: r.size, Digest: latchkey.Hash(r.digest.Sum(nil)), FirstPrev: r.prev, LastHash: r.hashes[n-1],
		Parts: catalog.AppendIndex(nil, r.parts),
	}
}

// put brings the closed file into the store, without a copy where that can be.
func (e *Engine) put(ctx context.Context, name, path string, size int64) error {
	if a, ok := e.cfg.Store.(blob.Adopter); ok {
		return a.Adopt(ctx, name, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("ingest: put %s: %w", name, err)
	}
	return errors.Join(e.cfg.Store.Put(ctx, name, io.LimitReader(f, size), size), f.Close())
}
