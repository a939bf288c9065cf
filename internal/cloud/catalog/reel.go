package catalog

import (
	"context"
	"database/sql"
	"fmt"

	"latchkey.dev/latchkey"
)

// Reel is the row of one closed reel: consecutive parts of one epoch and
// track in the object Name(). Wall time of a slot is Start + slot.
type Reel struct {
	Household           latchkey.HouseholdID
	Epoch               latchkey.EpochID
	Track               latchkey.TrackID
	Start               int64  // the epoch's start, unix seconds
	N                   uint64 // the epoch's counter
	FirstSeq, LastSeq   uint32
	FirstSlot, LastSlot uint32
	Bytes               int64
	Digest              latchkey.Hash // H(ph ‖ sig ‖ ph ‖ sig …) over its parts
	FirstPrev, LastHash latchkey.Hash // what links it to its neighbours
	Parts               []byte        // compact index: see Index
}

// Name is the reel's name in the blob store.
func (r Reel) Name() string { return ObjectName(r.Epoch, r.Track, r.FirstSeq) }

// ObjectName is epoch/track/first-seq: hex, hex, at least 8 digits.
func ObjectName(e latchkey.EpochID, t latchkey.TrackID, first uint32) string {
	return fmt.Sprintf("%s/%s/%08d", e, t, first)
}

// Position orders the parts of a track across epochs.
type Position struct {
	Start int64
	N     uint64
	Seq   uint32
}

// Before reports whether p comes before q.
func (p Position) Before(q Position) bool {
	if p.Start != q.Start {
		return p.Start < q.Start
	}
	if p.N != q.N {
		return p.N < q.N
	}
	return p.Seq < q.Seq
}

// First is the position of the reel's first part.
func (r Reel) First() Position { return Position{r.Start, r.N, r.FirstSeq} }

const reelColumns = `household, epoch, track, start_s, n, first_seq, last_seq, first_slot, last_slot, bytes, digest, first_prev, last_hash, parts`

type reelRow struct {
	household, epoch, track                []byte
	start, n                               int64
	firstSeq, lastSeq, firstSlot, lastSlot int64
	bytes                                  int64
	digest, firstPrev, lastHash, parts     []byte
}

func (r *reelRow) into() []any {
	return []any{
		&r.household, &r.epoch, &r.track, &r.start, &r.n, &r.firstSeq, &r.lastSeq, &r.firstSlot, &r.lastSlot,
		&r.bytes, &r.digest, &r.firstPrev, &r.lastHash, &r.parts,
	}
}

func (r *reelRow) reel() (Reel, error) {
	out := Reel{
		Start: r.start, N: uint64(r.n), FirstSeq: uint32(r.firstSeq), LastSeq: uint32(r.lastSeq),
		FirstSlot: uint32(r.firstSlot), LastSlot: uint32(r.lastSlot), Bytes: r.bytes, Parts: r.parts,
	}
	for _, f := range []struct{ dst, src []byte }{
		{out.Household[:], r.household}, {out.Epoch[:], r.epoch}, {out.Track[:], r.track},
		{out.Digest[:], r.digest}, {out.FirstPrev[:], r.firstPrev}, {out.LastHash[:], r.lastHash},
	} {
		if err := fixed(f.dst, f.src); err != nil {
			return out, err
		}
	}
	return out, nil
}

// InsertReels adds rows, all or none, and moves the Until of their epochs. A
// row that exists is ErrConflict.
func (db *DB) InsertReels(ctx context.Context, reels []Reel) error {
	return db.inTx(ctx, "insert reels", func(tx *sql.Tx) error {
		for _, r := range reels {
			const q = `INSERT INTO reels (` + reelColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`
			_, err := tx.ExecContext(ctx, q, r.Household[:], r.Epoch[:], r.Track[:], r.Start, int64(r.N),
				r.FirstSeq, r.LastSeq, r.FirstSlot, r.LastSlot, r.Bytes, r.Digest[:], r.FirstPrev[:], r.LastHash[:], r.Parts)
			if err != nil {
				return fmt.Errorf("%s: %w", r.Name(), err)
			}
			const u = `UPDATE epochs SET until_s = $2 WHERE epoch = $1 AND until_s < $2`
			if _, err := tx.ExecContext(ctx, u, r.Epoch[:], r.Start+int64(r.LastSlot)+1); err != nil {
				return err
			}
		}
		return nil
	})
}

// Span is the range of parts that one reel holds, with its links.
type Span struct {
	First, Last         uint32
	FirstPrev, LastHash latchkey.Hash
}

// Spans returns the spans of a track in an epoch, in order.
func (db *DB) Spans(ctx context.Context, e latchkey.EpochID, t latchkey.TrackID) ([]Span, error) {
	const q = `SELECT first_seq, last_seq, first_prev, last_hash FROM reels WHERE epoch = $1 AND track = $2 ORDER BY first_seq`
	rows, err := db.read.QueryContext(ctx, q, e[:], t[:])
	if err != nil {
		return nil, fail("spans", err)
	}
	type row struct {
		first, last int64
		prev, hash  []byte
	}
	all, err := collect(rows, func(r *row) []any { return []any{&r.first, &r.last, &r.prev, &r.hash} })
	if err != nil {
		return nil, fail("spans", err)
	}
	spans := make([]Span, len(all))
	for i, r := range all {
		spans[i] = Span{First: uint32(r.first), Last: uint32(r.last)}
		if err := fixed(spans[i].FirstPrev[:], r.prev); err != nil {
			return nil, fail("spans", err)
		}
		if err := fixed(spans[i].LastHash[:], r.hash); err != nil {
			return nil, fail("spans", err)
		}
	}
	return spans, nil
}

// ReelAt returns the reel that holds the part seq, or ErrNotFound.
func (db *DB) ReelAt(ctx context.Context, e latchkey.EpochID, t latchkey.TrackID, seq uint32) (Reel, error) {
	const q = `SELECT ` + reelColumns + ` FROM reels WHERE epoch = $1 AND track = $2 AND first_seq <= $3 ORDER BY first_seq DESC LIMIT 1`
	var row reelRow
	if err := db.read.QueryRowContext(ctx, q, e[:], t[:], seq).Scan(row.into()...); err != nil {
		return Reel{}, fail("reel at", err)
	}
	r, err := row.reel()
	if err == nil && r.LastSeq < seq {
		err = latchkey.ErrNotFound
	}
	return r, fail("reel at", err)
}

// ReelsAfter returns up to limit reels of a track in order, from the first
// whose FirstSeq position is at or after from.
func (db *DB) ReelsAfter(ctx context.Context, h latchkey.HouseholdID, t latchkey.TrackID, from Position, limit int) ([]Reel, error) {
	const q = `SELECT ` + reelColumns + ` FROM reels WHERE household = $1 AND track = $2
		AND (start_s, n, first_seq) >= ($3, $4, $5) ORDER BY start_s, n, first_seq LIMIT $6`
	rows, err := db.read.QueryContext(ctx, q, h[:], t[:], from.Start, int64(from.N), from.Seq, limit)
	if err != nil {
		return nil, fail("reels after", err)
	}
	return reelsOf(rows)
}

// ReelsBefore is ReelsAfter backwards: reels before from, the newest first.
func (db *DB) ReelsBefore(ctx context.Context, h latchkey.HouseholdID, t latchkey.TrackID, from Position, limit int) ([]Reel, error) {
	const q = `SELECT ` + reelColumns + ` FROM reels WHERE household = $1 AND track = $2
		AND (start_s, n, first_seq) < ($3, $4, $5) ORDER BY start_s DESC, n DESC, first_seq DESC LIMIT $6`
	rows, err := db.read.QueryContext(ctx, q, h[:], t[:], from.Start, int64(from.N), from.Seq, limit)
	if err != nil {
		return nil, fail("reels before", err)
	}
	return reelsOf(rows)
}

// LastReelBegun returns the newest reel, in track order, whose first slot
// begins at or before the unix second at, or ErrNotFound.
func (db *DB) LastReelBegun(ctx context.Context, h latchkey.HouseholdID, t latchkey.TrackID, at int64) (Reel, error) {
	const q = `SELECT ` + reelColumns + ` FROM reels WHERE household = $1 AND track = $2
		AND start_s <= $3 AND start_s + first_slot <= $3 ORDER BY start_s DESC, n DESC, first_seq DESC LIMIT 1`
	var row reelRow
	if err := db.read.QueryRowContext(ctx, q, h[:], t[:], at).Scan(row.into()...); err != nil {
		return Reel{}, fail("last reel begun", err)
	}
	r, err := row.reel()
	return r, fail("last reel begun", err)
}

// ReelsBetween returns up to limit reels that overlap [from, to) in unix
// seconds, in track order from the position at on, without their index.
func (db *DB) ReelsBetween(ctx context.Context, h latchkey.HouseholdID, t latchkey.TrackID, from, to int64, at Position, limit int) ([]Reel, error) {
	const q = `SELECT household, epoch, track, start_s, n, first_seq, last_seq, first_slot, last_slot, bytes, digest, first_prev, last_hash, NULL
		FROM reels WHERE household = $1 AND track = $2 AND start_s < $4 AND start_s > $3 - 131072
		AND start_s + first_slot < $4 AND start_s + last_slot >= $3
		AND (start_s, n, first_seq) >= ($6, $7, $8) ORDER BY start_s, n, first_seq LIMIT $5`
	rows, err := db.read.QueryContext(ctx, q, h[:], t[:], from, to, limit, at.Start, int64(at.N), at.Seq)
	if err != nil {
		return nil, fail("reels between", err)
	}
	return reelsOf(rows)
}

// EveryReel returns up to limit reels of all households after the given key,
// in the order of their object names, for fsck.
func (db *DB) EveryReel(ctx context.Context, after Reel, limit int) ([]Reel, error) {
	const q = `SELECT ` + reelColumns + ` FROM reels WHERE (epoch, track, first_seq) > ($1, $2, $3) ORDER BY epoch, track, first_seq LIMIT $4`
	first := int64(after.FirstSeq)
	if after.Epoch == (latchkey.EpochID{}) {
		first = -1
	}
	rows, err := db.read.QueryContext(ctx, q, after.Epoch[:], after.Track[:], first, limit)
	if err != nil {
		return nil, fail("every reel", err)
	}
	return reelsOf(rows)
}

// HasTrack reports whether any reel of the household holds the track.
func (db *DB) HasTrack(ctx context.Context, h latchkey.HouseholdID, t latchkey.TrackID) (bool, error) {
	var one int
	err := db.read.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM reels WHERE household = $1 AND track = $2 LIMIT 1)`, h[:], t[:]).Scan(&one)
	return one == 1, fail("has track", err)
}

func reelsOf(rows *sql.Rows) ([]Reel, error) {
	all, err := collect(rows, (*reelRow).into)
	if err != nil {
		return nil, fail("reels", err)
	}
	out := make([]Reel, len(all))
	for i := range all {
		if out[i], err = all[i].reel(); err != nil {
			return nil, fail("reels", err)
		}
	}
	return out, nil
}
