// Package sequencer is the writing side of the public log (docs/design/0005):
// it takes entries from the catalog's outbox into a log of static files, has
// witnesses vouch for it, and publishes the set of all tags. It is the log's
// only writer.
//
// It sees hashes under tags and public notes. What it writes is checked by
// package ledger alone, which knows nothing of this one's word.
package sequencer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/ledger"
)

// Config says where the log is and who watches it.
type Config struct {
	FS  durable.FS // below the keys; the log's files are the library's own
	Dir string     // made if it is missing
	// Name begins the log's origin, <name>/log/1; used at the first start only.
	Name string
	// Watchers are the lines of a policy that name witnesses, groups, quorum and
	// auditors. Empty: nobody but the operator vouches for the log.
	Watchers string
	Catalog  *catalog.DB
	Logger   *slog.Logger
	HTTP     *http.Client // for witnesses

	// Checkpoint is the time between two checkpoints while the log grows.
	Checkpoint time.Duration
	// Set is the time between two sets while nothing happens, SetSoon while leaves
	// come in.
	Set, SetSoon time.Duration
}

// batchSize is how many entries go into the log at once; one bundle of tiles.
const batchSize = 256

// queueWait is how long the library gathers entries: all of a batch are there
// at once.
const queueWait = 5 * time.Millisecond

// Sequencer writes one log. Close it.
type Sequencer struct {
	cfg    Config
	log    *slog.Logger
	keys   keys
	policy *ledger.Policy
	dir    string // the log's files
	reader tessera.LogReader
	add    tessera.AddFn
	signer *checkpointSigner
	files  *ledger.Log

	sets sets

	stop func()
	kick chan struct{}
	done chan struct{}
}

// Open opens the log in cfg.Dir, making it at the first start, and finishes what
// a crash left half done. Files that do not fit the catalog (one of the two was
// restored from an older backup) are latchkey.ErrVerify: going on would fork the
// log.
func Open(ctx context.Context, cfg Config) (*Sequencer, error) {
	quietLibrary(cfg.Logger)
	s := &Sequencer{cfg: cfg, log: cfg.Logger, kick: make(chan struct{}, 1), done: make(chan struct{})}
	if err := s.open(ctx); err != nil {
		if s.stop != nil {
			s.stop()
		}
		return nil, fmt.Errorf("sequencer: open: %w", err)
	}
	go s.run()
	return s, nil
}

func (s *Sequencer) open(ctx context.Context) error {
	if err := durable.MkdirAll(s.cfg.FS, s.cfg.Dir, 0o700); err != nil {
		return err
	}
	var err error
	if s.keys, err = openKeys(s.cfg.FS, s.cfg.Dir, s.cfg.Name); err != nil {
		return err
	}
	if s.policy, err = s.keys.policy(s.cfg.Watchers); err != nil {
		return err
	}
	s.dir = filepath.Join(s.cfg.Dir, filepath.Base(s.policy.Path()))
	s.files = ledger.NewLog(s.policy, s.read)
	if err := s.openTree(); err != nil {
		return err
	}
	if err := s.recover(ctx); err != nil {
		return err
	}
	return s.loadSets(ctx)
}

// openTree opens the library's log. Its first start publishes an empty
// checkpoint, for which no witness need be there.
func (s *Sequencer) openTree() error {
	witnesses, err := tessera.NewWitnessGroupFromPolicy([]byte(witnessLines(s.policy, s.cfg.Watchers)))
	if err != nil {
		return fmt.Errorf("%w: the witnesses' policy: %v", latchkey.ErrInvalid, err)
	}
	driver, err := posix.New(context.Background(), posix.Config{Path: s.dir, HTTPClient: s.cfg.HTTP})
	if err != nil {
		return err
	}
	signer, err := s.keys.log.Signer()
	if err != nil {
		return err
	}
	s.signer = &checkpointSigner{Signer: signer, end: make(chan struct{})}
	options := func() *tessera.AppendOptions {
		return tessera.NewAppendOptions().WithCheckpointSigner(s.signer).
			WithBatching(batchSize, queueWait).WithPushback(2 * batchSize).
			WithCheckpointInterval(max(s.cfg.Checkpoint, 100*time.Millisecond))
	}
	if _, err := s.read(context.Background(), "checkpoint"); errors.Is(err, latchkey.ErrNotFound) {
		first, end := context.WithCancel(context.Background())
		_, _, _, err := tessera.NewAppender(first, driver, options())
		end()
		if err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	appender, _, reader, err := tessera.NewAppender(ctx, driver, options().
		WithWitnesses(witnesses, &tessera.WitnessOptions{Timeout: witnessWait}).WithGarbageCollectionInterval(time.Minute))
	if err != nil {
		stop()
		return err
	}
	s.stop, s.add, s.reader = stop, appender.Add, reader
	return nil
}

// witnessWait bounds the wait for a quorum; after it the next checkpoint is tried.
const witnessWait = 5 * time.Second

// recover brings the catalog up to what the log holds.
func (s *Sequencer) recover(ctx context.Context) error {
	known, err := s.cfg.Catalog.LogSize(ctx, s.policy.Origin())
	if err != nil {
		return err
	}
	size, err := s.size(ctx)
	if err != nil {
		return err
	}
	batch, err := s.cfg.Catalog.OpenBatch(ctx, s.policy.Origin())
	switch {
	case errors.Is(err, latchkey.ErrNotFound):
		if known != size {
			return fmt.Errorf("%w: the log has %d entries, the catalog knows of %d: restore both from one backup", latchkey.ErrVerify, size, known)
		}
		return nil
	case err != nil:
		return err
	case batch.Size != known || size < known:
		return fmt.Errorf("%w: the log has %d entries, the catalog knows of %d (and a batch from %d): restore both from one backup", latchkey.ErrVerify, size, known, batch.Size)
	}
	added, err := s.entries(ctx, known, size)
	if err != nil {
		return err
	}
	waiting, err := s.cfg.Catalog.Outbox(ctx, len(added))
	if err != nil {
		return err
	}
	if len(waiting) < len(added) || len(added) > 0 && waiting[0].N != batch.First {
		return fmt.Errorf("%w: the log has %d entries that the catalog did not send", latchkey.ErrVerify, len(added)-len(waiting))
	}
	for i, e := range added {
		if !bytes.Equal(e, waiting[i].Entry) {
			return fmt.Errorf("%w: entry %d of the log is not what the catalog sent", latchkey.ErrVerify, known+int64(i))
		}
	}
	if len(added) > 0 {
		s.log.Info("log: entries of a batch that was cut off are in it", "entries", len(added))
	}
	return s.cfg.Catalog.EndBatch(ctx, s.policy.Origin(), known, waiting)
}

// size is that of the tree, published or not.
func (s *Sequencer) size(ctx context.Context) (int64, error) {
	n, err := s.reader.IntegratedSize(ctx)
	return int64(n), err
}

// entries reads the log's own entries [from, to), which need not be published.
func (s *Sequencer) entries(ctx context.Context, from, to int64) ([][]byte, error) {
	var out [][]byte
	for at := from; at < to; {
		n := at / batchSize
		partial := uint8(0)
		if to < (n+1)*batchSize {
			partial = uint8(to % batchSize)
		}
		raw, err := s.reader.ReadEntryBundle(ctx, uint64(n), partial)
		if err != nil {
			return nil, err
		}
		bundle, err := ledger.ParseBundle(raw)
		if err != nil {
			return nil, err
		}
		end := min(to-n*batchSize, batchSize)
		if int64(len(bundle)) < end {
			return nil, fmt.Errorf("%w: bundle %d has %d entries, want %d", latchkey.ErrVerify, n, len(bundle), end)
		}
		for _, e := range bundle[at%batchSize : end] {
			out = append(out, e)
			at++
		}
	}
	return out, nil
}

// Kick says that something has been put into the outbox.
func (s *Sequencer) Kick() {
	select {
	case s.kick <- struct{}{}:
	default: // it looks anyway
	}
}

// Policy is what clients pin: the log's and the operator's keys, witnesses and
// auditors.
func (s *Sequencer) Policy() *ledger.Policy { return s.policy }

const (
	idle     = time.Second      // between looks at the outbox when nobody says anything
	troubled = 2 * time.Second  // after a failure
	shutdown = 10 * time.Second // for the batch at hand
)

func (s *Sequencer) run() {
	defer close(s.done)
	ctx, end := context.WithCancel(context.Background())
	defer end()
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-s.signer.end:
			return
		case <-s.kick:
		case <-wait.C:
		}
		next := idle
		if err := s.round(ctx); err != nil {
			s.log.Warn("the log does not take entries; they wait", "err", err)
			next = troubled
		}
		wait.Reset(next)
	}
}

// round moves all that waits into the log, and publishes a set when it is time.
func (s *Sequencer) round(ctx context.Context) error {
	for {
		n, err := s.batch(ctx)
		if err != nil {
			return errors.Join(err, s.recover(ctx))
		}
		if n < batchSize {
			break
		}
	}
	return s.foldWhenDue(ctx, time.Now())
}

// batch moves up to batchSize entries.
func (s *Sequencer) batch(ctx context.Context) (int, error) {
	origin := s.policy.Origin()
	waiting, err := s.cfg.Catalog.Outbox(ctx, batchSize)
	if err != nil || len(waiting) == 0 {
		return 0, err
	}
	size, err := s.size(ctx)
	if err != nil {
		return 0, err
	}
	if err := s.cfg.Catalog.BeginBatch(ctx, origin, catalog.Batch{First: waiting[0].N, Size: size}); err != nil {
		return 0, err
	}
	futures := make([]tessera.IndexFuture, len(waiting))
	for i, w := range waiting {
		futures[i] = s.add(ctx, tessera.NewEntry(w.Entry))
	}
	for i, f := range futures {
		at, ferr := f()
		if ferr == nil && int64(at.Index) != size+int64(i) {
			ferr = fmt.Errorf("%w: entry %d went to %d: does another writer have this log open?", latchkey.ErrVerify, size+int64(i), at.Index)
		}
		err = errors.Join(err, ferr)
	}
	if err != nil {
		return 0, err
	}
	return len(waiting), s.cfg.Catalog.EndBatch(ctx, origin, size, waiting)
}

// Close ends the batch at hand and stops. What waits is taken at the next start.
func (s *Sequencer) Close() error {
	s.signer.close()
	select {
	case <-s.done:
	case <-time.After(shutdown):
	}
	s.stop()
	s.awaitPublished()
	return nil
}
