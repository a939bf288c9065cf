package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/part"
)

// recover takes over the files that the last process left open.
func (e *Engine) recover(ctx context.Context) error {
	entries, err := os.ReadDir(e.cfg.Dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), openSuffix) {
			continue
		}
		if err := e.recoverFile(ctx, entry.Name()); err != nil {
			return fmt.Errorf("%s: %w", entry.Name(), err)
		}
	}
	return nil
}

// recoverFile queues one open file to be closed: what it holds up to the first
// byte that does not verify. A file without a whole part goes, and so does one
// whose reel is in the catalog already.
func (e *Engine) recoverFile(ctx context.Context, name string) error {
	path := filepath.Join(e.cfg.Dir, name)
	epochID, trackID, first, err := parseOpenName(name)
	if err != nil {
		return err
	}
	ep, err := e.Epoch(ctx, epochID)
	if errors.Is(err, latchkey.ErrNotFound) {
		// Cannot happen while the catalog is whole; nothing is thrown away.
		e.cfg.Logger.Error("an open reel of an unknown epoch is left alone", "file", name)
		return nil
	}
	if err != nil {
		return err
	}
	recorded, err := e.isRecorded(ctx, epochID, trackID, first)
	if err != nil {
		return err
	}
	got, err := scan(path, ep, trackID, first)
	if err != nil {
		return err
	}
	if recorded || len(got.parts) == 0 {
		return e.cfg.FS.Remove(path)
	}
	return e.resume(ctx, ep, trackID, path, first, got)
}

func (e *Engine) isRecorded(ctx context.Context, ep latchkey.EpochID, id latchkey.TrackID, first uint32) (bool, error) {
	r, err := e.cfg.Catalog.ReelAt(ctx, ep, id, first)
	if errors.Is(err, latchkey.ErrNotFound) {
		return false, nil
	}
	return err == nil && r.FirstSeq == first, err
}

// resume makes an open reel of a scanned file and seals it: its bytes may
// already be linked into the store, so it must not grow any more.
func (e *Engine) resume(ctx context.Context, ep *Epoch, id latchkey.TrackID, path string, first uint32, got scanned) error {
	f, err := durable.OpenAppend(e.cfg.FS, path, 0o600)
	if err != nil {
		return err
	}
	if f.Size() > got.size {
		e.cfg.Logger.Info("a torn tail is dropped", "file", filepath.Base(path), "bytes", f.Size()-got.size)
		if err := f.Truncate(got.size); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	t, err := e.trackOf(ctx, ep, id)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	defer t.mu.Unlock()
	r := &reel{
		t: t, path: path, f: f, first: first, prev: got.prev, parts: got.parts, hashes: got.hashes,
		size: got.size, digest: got.digest, last: time.Now(),
	}
	at, found := t.find(first)
	if found {
		return errors.Join(fmt.Errorf("%w: another reel holds part %d", latchkey.ErrConflict, first), f.Close())
	}
	s := &span{first: first, last: r.lastSeq(), prev: r.prev, hash: r.hashes[len(r.hashes)-1], reel: r}
	t.spans = append(t.spans[:at], append([]*span{s}, t.spans[at:]...)...)
	e.stats.OpenReels.Add(1)
	t.seal(r)
	return nil
}

// scanned is what an open file holds.
type scanned struct {
	parts  []catalog.PartAt
	hashes []latchkey.Hash
	prev   latchkey.Hash
	size   int64
	digest hash.Hash
}

// scan reads an open file up to the first part that is torn, malformed, out
// of order or does not verify. Links cover all parts but the last, whose
// signature decides; a last part that fails is dropped and the one before it
// is tried.
func scan(path string, ep *Epoch, id latchkey.TrackID, first uint32) (scanned, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return scanned{}, err
	}
	run, hashes := chained(raw, ep, id, first)
	for len(run) > 0 && run[len(run)-1].VerifySig(ep.Signer) != nil {
		run, hashes = run[:len(run)-1], hashes[:len(run)-1]
	}
	out := scanned{hashes: hashes, digest: sha256.New()}
	for i, p := range run {
		if i == 0 {
			out.prev = p.Header.Prev
		}
		out.parts = append(out.parts, catalog.PartAt{Offset: out.size, Size: len(p.Raw), Slot: p.Header.Slot, Flags: p.Header.Flags})
		out.size += int64(len(p.Raw))
		out.digest.Write(hashes[i][:])
		out.digest.Write(p.Sig())
	}
	return out, nil
}

// chained returns the parts at the start of raw that follow each other.
func chained(raw []byte, ep *Epoch, id latchkey.TrackID, first uint32) ([]part.Part, []latchkey.Hash) {
	var run []part.Part
	var hashes []latchkey.Hash
	for {
		p, rest, err := part.Next(raw)
		if err != nil {
			return run, hashes
		}
		h, n := p.Header, len(run)
		if h.Epoch != ep.ID || h.Track != id || h.Seq != first+uint32(n) {
			return run, hashes
		}
		if n > 0 && (h.Prev != hashes[n-1] || h.Slot < run[n-1].Header.Slot) {
			return run, hashes
		}
		run, hashes, raw = append(run, p), append(hashes, p.Hash()), rest
	}
}

// CheckOpen looks at the files of open reels in dir without touching them. It
// returns how many there are and what is wrong with those that recovery could
// not take over.
func CheckOpen(ctx context.Context, dir string, db *catalog.DB) (found int, problems map[string]string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, nil, fmt.Errorf("ingest: check open: %w", err)
	}
	problems = map[string]string{}
	for _, entry := range entries {
		name := entry.Name()
		epoch, track, first, err := parseOpenName(name)
		if err != nil {
			problems[name] = "This file is not an open reel."
			continue
		}
		found++
		row, err := db.Epoch(ctx, epoch)
		if errors.Is(err, latchkey.ErrNotFound) {
			problems[name] = "Its epoch is unknown."
			continue
		}
		if err != nil {
			return found, problems, err
		}
		r, err := db.ReelAt(ctx, epoch, track, first)
		if err == nil && r.FirstSeq != first {
			problems[name] = "It repeats parts of the closed reel " + r.Name() + "."
		}
		if err != nil && !errors.Is(err, latchkey.ErrNotFound) {
			return found, problems, err
		}
		if _, err := EpochOf(row); err != nil {
			problems[name] = "The note of its epoch does not parse."
		}
	}
	return found, problems, nil
}
