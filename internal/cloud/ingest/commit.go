package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/durable"
)

// How often the close loop looks for idle reels, and how long it waits after
// a failure.
const (
	tidyEvery  = 5 * time.Second
	retryAfter = 2 * time.Second
)

func (e *Engine) markDirty(r *reel) {
	e.workMu.Lock()
	e.dirty[r] = true
	e.workMu.Unlock()
	wake(e.wakeCommit)
}

func (e *Engine) queueClose(r *reel) {
	e.workMu.Lock()
	e.sealed = append(e.sealed, r)
	e.workMu.Unlock()
	wake(e.wakeClose)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// commitLoop is the group commit: the first dirty reel starts a wait of
// cfg.Commit, then every dirty reel is fsynced once.
func (e *Engine) commitLoop() {
	for {
		select {
		case <-e.stop:
			return
		case <-e.wakeCommit:
		}
		select {
		case <-e.stop:
			return // Close syncs what is left
		case <-time.After(e.cfg.Commit):
		}
		e.workMu.Lock()
		dirty := e.dirty
		e.dirty = make(map[*reel]bool, len(dirty))
		e.workMu.Unlock()
		e.stats.Commits.Add(1)
		for r := range dirty {
			if err := e.sync(r); err != nil {
				e.cfg.Logger.Error("fsync of an open reel failed", "track", r.t.id, "err", err)
			}
		}
	}
}

// sync makes what r has now durable on this node and sends STORED receipts.
func (e *Engine) sync(r *reel) error {
	t := r.t
	t.mu.Lock()
	f, n := r.f, len(r.parts)
	if r.damaged || f == nil || n == r.synced {
		t.mu.Unlock()
		return nil // the close loop has it, or had it
	}
	t.mu.Unlock()
	err := f.Sync()
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.damaged || r.f == nil {
		return nil
	}
	if err != nil {
		t.damage(r, err)
		return err
	}
	r.synced = max(r.synced, n)
	if r.told < r.synced {
		e.sinkOf(t.epoch.Hub).Receipt(Receipt{
			Epoch: t.epoch.ID, Track: t.id, First: r.first + uint32(r.told), Last: r.first + uint32(r.synced) - 1,
			Hash: r.hashes[r.synced-1], Level: Stored,
		})
		r.told = r.synced
	}
	return nil
}

// damage handles a failed fsync: nothing after the last good one may be
// believed, so those parts are forgotten and the hub is asked to offer them
// again. The close loop cuts the file.
func (t *track) damage(r *reel, err error) {
	r.damaged = true
	at, _ := t.find(r.first)
	if r.synced == 0 {
		t.spans = slices.Delete(t.spans, at, at+1)
		t.doom(r.first)
	} else {
		r.parts, r.hashes = r.parts[:r.synced], r.hashes[:r.synced]
		t.spans[at].last, t.spans[at].hash = r.lastSeq(), r.hashes[r.synced-1]
	}
	t.seal(r)
	t.e.sinkOf(t.epoch.Hub).Lost(err)
}

// closeLoop closes sealed reels, retries after failures, and seals idle ones.
func (e *Engine) closeLoop() {
	tidy := time.NewTicker(tidyEvery)
	defer tidy.Stop()
	var retry <-chan time.Time
	for {
		select {
		case <-e.stop:
			return // Close drains
		case <-e.wakeClose:
		case <-retry:
		case now := <-tidy.C:
			e.sealIdle(now)
			continue
		}
		retry = nil
		if err := e.closeSealed(context.Background()); err != nil {
			e.stats.CloseFailures.Add(1)
			e.cfg.Logger.Error("closing reels failed; trying again", "err", err)
			retry = time.After(retryAfter)
		}
	}
}

func (e *Engine) sealIdle(now time.Time) {
	for _, t := range e.allTracks() {
		t.sealIf(func(r *reel) bool { return now.Sub(r.last) > e.cfg.Idle })
	}
	e.evict(now)
}

// closeSealed closes every queued reel: fsync, store, one transaction of rows
// for all, receipts, and only then the open files go. A crash between any two
// of these is what recover repairs. Reels that fail stay queued.
func (e *Engine) closeSealed(ctx context.Context) error {
	e.workMu.Lock()
	queue := e.sealed
	e.sealed = nil
	e.workMu.Unlock()
	var errs []error
	var ready []*reel
	var rows []catalog.Reel
	for _, r := range queue {
		row, err := e.store(ctx, r)
		switch {
		case err != nil:
			errs = append(errs, err)
			e.requeue(r)
		case row == nil: // nothing left of it
		default:
			ready, rows = append(ready, r), append(rows, *row)
		}
	}
	if err := e.record(ctx, rows); err != nil {
		errs = append(errs, err)
		for _, r := range ready {
			e.requeue(r)
		}
		ready = nil
	}
	for _, r := range ready {
		e.finish(r)
	}
	return errors.Join(errs...)
}

func (e *Engine) requeue(r *reel) {
	e.workMu.Lock()
	defer e.workMu.Unlock()
	e.sealed = append(e.sealed, r)
}

// store makes the bytes of a sealed reel durable in the blob store. It
// returns the row to be recorded; nil when no part of the reel survived.
func (e *Engine) store(ctx context.Context, r *reel) (*catalog.Reel, error) {
	if err := e.repair(r); err != nil {
		return nil, err
	}
	if err := e.sync(r); err != nil {
		return nil, err
	}
	r.t.mu.Lock()
	if r.damaged {
		r.t.mu.Unlock()
		return nil, fmt.Errorf("ingest: close %s: damaged meanwhile", r.path)
	}
	if len(r.parts) == 0 {
		r.t.mu.Unlock()
		return nil, e.remove(r)
	}
	row, f := r.row(), r.f
	r.f = nil
	r.t.mu.Unlock()
	if f != nil {
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("ingest: close %s: %w", row.Name(), err)
		}
	}
	// Crash here: the open file is complete and durable; recover closes it.
	if err := e.put(ctx, row.Name(), r.path, row.Bytes); err != nil {
		return nil, err
	}
	return &row, nil
}

// repair cuts a file whose fsync failed to what is known to be on the medium,
// through a fresh file handle.
func (e *Engine) repair(r *reel) error {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	if !r.damaged {
		return nil
	}
	if r.f != nil {
		// The handle is poisoned; its error says nothing new.
		_ = r.f.Close()
		r.f = nil
	}
	var size int64
	if n := len(r.parts); n > 0 && r.synced > 0 {
		size = r.parts[r.synced-1].Offset + int64(r.parts[r.synced-1].Size)
	}
	f, err := durable.OpenAppend(e.cfg.FS, r.path, 0o600)
	if err != nil {
		return fmt.Errorf("ingest: repair: %w", err)
	}
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("ingest: repair: %w", errors.Join(err, f.Close()))
	}
	got, err := scan(r.path, r.t.epoch, r.t.id, r.first)
	if err == nil && got.size < size {
		err = f.Truncate(got.size)
	}
	if err != nil {
		return fmt.Errorf("ingest: repair: %w", errors.Join(err, f.Close()))
	}
	r.f, r.parts, r.hashes, r.size, r.digest = f, got.parts, got.hashes, got.size, got.digest
	r.synced, r.told, r.damaged = len(r.parts), min(r.told, len(r.parts)), false
	if got.size < size {
		r.t.giveUp(r, fmt.Errorf("ingest: repair: %w: of %d bytes that were fsynced %d verify", latchkey.ErrVerify, size, got.size))
	}
	return nil
}

// giveUp forgets the parts that a repair found not to verify, though they were
// fsynced: the disk has changed them, or their hub never sent a chain (of
// backlog its word counts until somebody looks). They would not verify later
// either, and a crash would have dropped them; the hub is asked once more.
func (t *track) giveUp(r *reel, why error) {
	if at, found := t.find(r.first); found && t.spans[at].reel == r {
		if len(r.parts) == 0 {
			t.spans = slices.Delete(t.spans, at, at+1)
			t.doom(r.first)
		} else {
			t.spans[at].last, t.spans[at].hash = r.lastSeq(), r.hashes[len(r.hashes)-1]
		}
	}
	t.e.sinkOf(t.epoch.Hub).Lost(why)
}

// doom keeps the name of a reel taken until its file is gone.
func (t *track) doom(first uint32) {
	if t.doomed == nil {
		t.doomed = map[uint32]bool{}
	}
	t.doomed[first] = true
}

// record inserts the rows. Where one exists already, a crash or an error came
// after an earlier insert: it must be the same row then.
func (e *Engine) record(ctx context.Context, rows []catalog.Reel) error {
	if len(rows) == 0 {
		return nil
	}
	err := e.cfg.Catalog.InsertReels(ctx, rows)
	if !errors.Is(err, latchkey.ErrConflict) {
		return err
	}
	for _, row := range rows {
		err := e.cfg.Catalog.InsertReels(ctx, []catalog.Reel{row})
		if errors.Is(err, latchkey.ErrConflict) {
			err = e.sameRow(ctx, row)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *Engine) sameRow(ctx context.Context, want catalog.Reel) error {
	got, err := e.cfg.Catalog.ReelAt(ctx, want.Epoch, want.Track, want.FirstSeq)
	if err != nil {
		return err
	}
	if got.FirstSeq != want.FirstSeq || got.Digest != want.Digest || got.Bytes != want.Bytes {
		return fmt.Errorf("ingest: record %s: %w: the catalog has another reel there", want.Name(), latchkey.ErrConflict)
	}
	return nil
}

// finish tells the hub and forgets the open file: the reel is durable.
func (e *Engine) finish(r *reel) {
	t := r.t
	t.mu.Lock()
	if at, found := t.find(r.first); found && t.spans[at].reel == r {
		t.spans[at].reel = nil
	}
	rec := Receipt{Epoch: t.epoch.ID, Track: t.id, First: r.first, Last: r.lastSeq(), Hash: r.hashes[len(r.hashes)-1], Level: Durable}
	t.merge()
	t.mu.Unlock()
	e.stats.Reels.Add(1)
	e.sinkOf(t.epoch.Hub).Receipt(rec)
	if err := e.remove(r); err != nil {
		e.cfg.Logger.Warn("an open file stays behind until the next start", "err", err)
	}
}

// remove deletes the open file. Its directory is not fsynced: a name that
// comes back after a power cut is found in the catalog and removed again.
func (e *Engine) remove(r *reel) error {
	r.t.mu.Lock()
	f := r.f
	r.f = nil
	r.t.mu.Unlock()
	e.stats.OpenReels.Add(-1)
	if f != nil {
		if err := f.Close(); err != nil {
			return err
		}
	}
	if err := e.cfg.FS.Remove(r.path); err != nil {
		return err
	}
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	delete(r.t.doomed, r.first)
	return nil
}
