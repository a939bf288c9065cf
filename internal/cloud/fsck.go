package cloud

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/cloud/blob"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/ingest"
	"latchkey.dev/latchkey/internal/cloud/sequencer"
	"latchkey.dev/latchkey/ledger"
	"latchkey.dev/latchkey/part"
)

// Report is what Fsck found. Problems is empty when every invariant holds.
type Report struct {
	Households, Epochs, Reels, Parts int
	Bytes                            int64
	OpenReels                        int // files that a server has open, or will take over at its next start
	Problems                         []Problem
}

// Problem is one broken invariant: Kind is a fixed word such as
// "missing-object", Object what it is about, Text a plain sentence.
type Problem struct{ Kind, Object, Text string }

// The kinds of problems.
const (
	problemChain    = "broken-chain"
	problemEpoch    = "broken-epoch"
	problemCapsule  = "wrong-capsule"
	problemProof    = "wrong-proof"
	problemLink     = "wrong-link"
	problemMissing  = "missing-object"
	problemObject   = "damaged-object"
	problemOverlap  = "duplicate-parts"
	problemOrphan   = "orphan-object"
	problemOpenFile = "open-file"
	problemLog      = "broken-log"
)

const (
	// orphanGrace is how young an object may be without a row: a server may
	// be between the two.
	orphanGrace = 15 * time.Minute
	fsckPage    = 200
)

// Fsck checks every invariant of the stores under cfg.DataDir without changing
// anything: chains replay; every statement is in the public log or on its way there, and the log's files verify; grants have the capsules that they name, with proofs that hold, and links their grants; epoch notes
// are signed, with exactly the capsules that their seals name; every reel row has its object with that size and
// digest, whose parts link and whose last one is signed; no two rows hold the
// same part; every object older than a quarter of an hour has a row. It may
// run beside a server. The error says why checking was impossible.
func Fsck(ctx context.Context, cfg Config) (Report, error) {
	cfg = cfg.withDefaults()
	if _, err := os.Stat(filepath.Join(cfg.DataDir, catalogFile)); err != nil {
		return Report{}, fmt.Errorf("cloud: fsck: %w: no %s in %s: name the server's data directory", latchkey.ErrNotFound, catalogFile, cfg.DataDir)
	}
	db, err := catalog.OpenReadOnly(ctx, filepath.Join(cfg.DataDir, catalogFile))
	if err != nil {
		return Report{}, fmt.Errorf("cloud: fsck: %w", err)
	}
	store, err := blob.OpenFiles(cfg.FS, filepath.Join(cfg.DataDir, blobsDir))
	if err != nil {
		return Report{}, fmt.Errorf("cloud: fsck: %w", errors.Join(err, db.Close()))
	}
	f := &fsck{db: db, store: store, open: filepath.Join(cfg.DataDir, openDir), dir: filepath.Join(cfg.DataDir, logDir)}
	for _, step := range []func(context.Context) error{f.chains, f.log, f.grants, f.epochs, f.reels, f.objects, f.openFiles} {
		if err = step(ctx); err != nil {
			err = fmt.Errorf("cloud: fsck: %w", err)
			break
		}
	}
	return f.report, errors.Join(err, store.Close(), db.Close())
}

type fsck struct {
	db     *catalog.DB
	store  blob.Store
	open   string
	dir    string // the public log's
	report Report
	states map[latchkey.HouseholdID]chain.State
}

func (f *fsck) problem(kind, object, format string, args ...any) {
	f.report.Problems = append(f.report.Problems, Problem{kind, object, fmt.Sprintf(format, args...)})
}

// chains replays every household's chain.
func (f *fsck) chains(ctx context.Context) error {
	f.states = map[latchkey.HouseholdID]chain.State{}
	after := latchkey.HouseholdID{}
	for {
		page, err := f.db.EveryHousehold(ctx, after, fsckPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, h := range page {
			f.report.Households++
			state, err := (&household{}).load(ctx, f.db, h)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				f.problem(problemChain, h.String(), "The stored chain does not replay: %v.", err)
				continue
			}
			f.states[h] = state
		}
		after = page[len(page)-1]
	}
}

// log checks that every statement is in the public log, or on its way there,
// and that the log's files say the same as the catalog.
func (f *fsck) log(ctx context.Context) error {
	lost, err := f.db.Unlogged(ctx, fsckPage)
	if err != nil {
		return err
	}
	for _, l := range lost {
		f.problem(problemLog, l.Household.String(), "Statement %d is neither in the public log nor on its way there.", l.Seq)
	}
	wrong, err := sequencer.Check(ctx, f.dir, f.db)
	for _, text := range wrong {
		f.problem(problemLog, "log", "%s", text)
	}
	return err
}

// grants checks the capsules of grants, their proofs, and links against the chains.
func (f *fsck) grants(ctx context.Context) error {
	policy, err := sequencer.OwnPolicy(f.dir)
	if err != nil {
		return err
	}
	for h, state := range f.states {
		ids, err := f.db.GrantCapsules(ctx, h)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := f.grant(ctx, policy, h, state, id); err != nil {
				return err
			}
		}
		links, err := f.db.Links(ctx, h)
		if err != nil {
			return err
		}
		for _, l := range links {
			if g := state.Grants[l.Grant]; g.Kind != chain.GrantContact && (g.Kind != chain.GrantLink || g.To != l.Kid) {
				f.problem(problemLink, l.Kid.String(), "The chain of %v has no grant to this link.", h)
			}
		}
	}
	return nil
}

// grant checks one stored capsule and its proof. One without a proof is from a
// version that did not ask for it.
func (f *fsck) grant(ctx context.Context, policy *ledger.Policy, h latchkey.HouseholdID, state chain.State, id latchkey.GrantID) error {
	c, err := f.db.GrantCapsule(ctx, h, id)
	if err != nil {
		return err
	}
	g, ok := state.Grants[id]
	if !ok || chain.TextHash(c.Capsule) != g.Capsule {
		f.problem(problemCapsule, id.String(), "The capsule of the grant is not the one that the chain of %v names.", h)
	}
	if !ok || policy == nil || len(c.Proof) == 0 {
		return nil
	}
	row, err := f.db.Household(ctx, h)
	if err != nil {
		return err
	}
	notes, err := f.db.Statements(ctx, h, g.Seq, 1)
	if err != nil || len(notes) == 0 {
		return err
	}
	if err := proves(policy, row, g.Seq, notes[0], c.Proof); err != nil {
		f.problem(problemProof, id.String(), "The proof of the grant does not hold: %v.", err)
	}
	return nil
}

// epochs checks notes, seals and capsules.
func (f *fsck) epochs(ctx context.Context) error {
	after := latchkey.EpochID{}
	for {
		page, err := f.db.EveryEpoch(ctx, after, fsckPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, e := range page {
			f.report.Epochs++
			if err := f.epoch(ctx, e); err != nil {
				return err
			}
		}
		after = page[len(page)-1].ID
	}
}

func (f *fsck) epoch(ctx context.Context, e catalog.Epoch) error {
	n, err := chain.ParseNote(e.Note)
	if err != nil {
		f.problem(problemEpoch, e.ID.String(), "The note does not parse: %v.", err)
		return nil
	}
	note, err := chain.ParseEpochNote(n)
	if err != nil || note.Epoch != e.ID || note.Household != e.Household || note.Hub != e.Hub || note.Start != e.Start || note.N != e.N {
		f.problem(problemEpoch, e.ID.String(), "The row does not say what its note says.")
		return nil //nolint:nilerr // a problem found is the check done
	}
	// A hub that was removed since is not in the state any more: nothing to hold its old notes against.
	if hub, ok := f.states[e.Household].Hubs[e.Hub]; ok && n.Verify(hub.Ed) != nil {
		f.problem(problemEpoch, e.ID.String(), "The note is not signed by its hub.")
	}
	lines, err := f.db.SealLines(ctx, e.ID)
	if err != nil {
		return err
	}
	var seals []chain.SealLine
	for _, l := range lines {
		seals = append(seals, chain.SealLine{Kid: l.Kid, Hash: l.Hash})
		capsule, err := f.db.Capsule(ctx, e.ID, l.Kid)
		if err != nil {
			return err
		}
		if chain.TextHash(capsule) != l.Hash {
			f.problem(problemCapsule, e.ID.String(), "The capsule for %v is not the one that was sealed.", l.Kid)
		}
	}
	if chain.Seals(seals) != note.Seals {
		f.problem(problemCapsule, e.ID.String(), "The seal lines are not those that the note covers.")
	}
	return nil
}

// reels checks every row against its object, and neighbours for overlap.
func (f *fsck) reels(ctx context.Context) error {
	var before catalog.Reel
	for {
		page, err := f.db.EveryReel(ctx, before, fsckPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			if r.Epoch == before.Epoch && r.Track == before.Track && r.FirstSeq <= before.LastSeq {
				f.problem(problemOverlap, r.Name(), "It repeats parts of %s.", before.Name())
			}
			f.report.Reels++
			f.report.Parts += int(r.LastSeq-r.FirstSeq) + 1
			f.report.Bytes += r.Bytes
			if err := f.reel(ctx, r); err != nil {
				return err
			}
			before = r
		}
	}
}

func (f *fsck) reel(ctx context.Context, r catalog.Reel) error {
	row, err := f.db.Epoch(ctx, r.Epoch)
	if err != nil {
		return err
	}
	ep, err := ingest.EpochOf(row)
	if err != nil {
		return nil //nolint:nilerr // reported with its epoch
	}
	object, err := f.store.Get(ctx, r.Name(), 0, r.Bytes)
	switch {
	case errors.Is(err, latchkey.ErrNotFound):
		f.problem(problemMissing, r.Name(), "The object of this reel is gone.")
		return nil
	case errors.Is(err, latchkey.ErrInvalid):
		f.problem(problemObject, r.Name(), "The object is shorter than its row says.")
		return nil
	case err != nil:
		return err
	}
	raw, err := io.ReadAll(object)
	if err = errors.Join(err, object.Close()); err != nil {
		return err
	}
	if why := checkReel(r, ep, raw); why != "" {
		f.problem(problemObject, r.Name(), "%s", why)
	}
	return nil
}

// checkReel holds a reel's bytes against its row; it returns what is wrong.
func checkReel(r catalog.Reel, ep *ingest.Epoch, raw []byte) string {
	parts, err := part.ParseAll(raw)
	if err != nil {
		return fmt.Sprintf("The parts do not parse: %v.", err)
	}
	hashes, err := part.VerifyRunHashes(ep.Signer, &r.FirstPrev, parts)
	if err != nil {
		return fmt.Sprintf("The parts do not verify: %v.", err)
	}
	digest := sha256.New()
	index := make([]catalog.PartAt, len(parts))
	var offset int64
	for i, p := range parts {
		digest.Write(hashes[i][:])
		digest.Write(p.Sig())
		index[i] = catalog.PartAt{Offset: offset, Size: len(p.Raw), Slot: p.Header.Slot, Flags: p.Header.Flags}
		offset += int64(len(p.Raw))
	}
	first, last := parts[0].Header, parts[len(parts)-1].Header
	switch {
	case latchkey.Hash(digest.Sum(nil)) != r.Digest:
		return "The digest is not the one of the row."
	case string(catalog.AppendIndex(nil, index)) != string(r.Parts):
		return "The index is not the one of the parts."
	case first.Epoch != r.Epoch, first.Track != r.Track, first.Seq != r.FirstSeq, last.Seq != r.LastSeq,
		first.Slot != r.FirstSlot, last.Slot != r.LastSlot, hashes[len(hashes)-1] != r.LastHash,
		ep.Hub.Household != r.Household, ep.Start != r.Start, ep.N != r.N:
		return "The row does not say what the parts say."
	}
	return ""
}

// objects looks for objects that no row names.
func (f *fsck) objects(ctx context.Context) error {
	for info, err := range f.store.List(ctx, "") {
		if err != nil {
			return err
		}
		named, err := f.named(ctx, info)
		if err != nil {
			return err
		}
		if !named && time.Since(info.Modified) > orphanGrace {
			f.problem(problemOrphan, info.Name, "No row names this object.")
		}
	}
	return nil
}

// named reports whether a row has exactly this object.
func (f *fsck) named(ctx context.Context, info blob.Info) (bool, error) {
	s := strings.Split(info.Name, "/")
	if len(s) != 3 {
		return false, nil
	}
	epoch, errE := latchkey.ParseEpochID(s[0])
	track, errT := latchkey.ParseTrackID(s[1])
	first, errN := strconv.ParseUint(s[2], 10, 32)
	if errE != nil || errT != nil || errN != nil {
		return false, nil //nolint:nilerr // no reel has such a name
	}
	r, err := f.db.ReelAt(ctx, epoch, track, uint32(first))
	if errors.Is(err, latchkey.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if r.FirstSeq == uint32(first) && r.Bytes != info.Size {
		f.problem(problemObject, info.Name, "The object has %d bytes, its row says %d.", info.Size, r.Bytes)
	}
	return r.Name() == info.Name, nil
}

// openFiles checks that the files of open reels can be taken over.
func (f *fsck) openFiles(ctx context.Context) error {
	found, problems, err := ingest.CheckOpen(ctx, f.open, f.db)
	f.report.OpenReels = found
	for name, why := range problems {
		f.problem(problemOpenFile, name, "%s", why)
	}
	return err
}
