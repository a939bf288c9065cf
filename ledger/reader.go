package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"latchkey.dev/latchkey"
)

// Fetch gets one file of a log by its path below the log's address:
// "checkpoint", "tile/0/x001/067", "tile/entries/000.p/7".
type Fetch func(ctx context.Context, path string) ([]byte, error)

// tileHeight is that of C2SP tlog-tiles: 256 hashes, or entries, a tile.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// A Log reads a log's files. Nothing that it returns rests on the word of
// whoever serves them.
type Log struct {
	policy *Policy
	fetch  Fetch
}

// NewLog reads the log of policy by fetch.
func NewLog(policy *Policy, fetch Fetch) *Log { return &Log{policy, fetch} }

// Checkpoint fetches the newest checkpoint and holds it against the policy.
func (l *Log) Checkpoint(ctx context.Context) (Checkpoint, error) {
	raw, err := l.fetch(ctx, "checkpoint")
	if err != nil {
		return Checkpoint{}, fmt.Errorf("ledger: checkpoint: %w", err)
	}
	return l.policy.Checkpoint(raw)
}

// Prove proves from tiles that entry index stands in the log of c.
func (l *Log) Prove(ctx context.Context, c Checkpoint, index int64) (Proof, error) {
	if index < 0 || index >= c.Size {
		return Proof{}, fmt.Errorf("ledger: prove: %w: entry %d of a log of %d", latchkey.ErrNotFound, index, c.Size)
	}
	hashes, err := tlog.ProveRecord(c.Size, index, l.hashes(ctx, c))
	if err != nil {
		return Proof{}, tileErr("prove", err)
	}
	p := Proof{Index: index, Checkpoint: c.Raw}
	for _, h := range hashes {
		p.Hashes = append(p.Hashes, latchkey.Hash(h))
	}
	return p, nil
}

// Extends checks that the log of c begins with the whole log of before. If it
// does not, whoever serves it has forked or shortened the log: ErrVerify.
func (l *Log) Extends(ctx context.Context, before, c Checkpoint) error {
	switch {
	case c.Size < before.Size:
		return broken("consistency", "the log has shrunk from %d entries to %d", before.Size, c.Size)
	case c.Size == before.Size || before.Size == 0:
		if c.Size == before.Size && c.Root != before.Root {
			return broken("consistency", "two logs of %d entries", c.Size)
		}
		return nil
	}
	proof, err := l.Consistency(ctx, c, before.Size)
	if err != nil {
		return err
	}
	return CheckConsistency(proof, before, c)
}

// Consistency proves from tiles that the log of c begins with its first size
// entries; what they were is for whoever checks the proof.
func (l *Log) Consistency(ctx context.Context, c Checkpoint, size int64) ([]latchkey.Hash, error) {
	if size <= 0 || size >= c.Size {
		return nil, nil
	}
	proof, err := tlog.ProveTree(c.Size, size, l.hashes(ctx, c))
	if err != nil {
		return nil, tileErr("consistency", err)
	}
	out := make([]latchkey.Hash, len(proof))
	for i, h := range proof {
		out[i] = latchkey.Hash(h)
	}
	return out, nil
}

// CheckConsistency checks a proof that the log of c begins with that of before.
func CheckConsistency(proof []latchkey.Hash, before, c Checkpoint) error {
	if before.Size > c.Size {
		return broken("consistency", "the log has shrunk from %d entries to %d", before.Size, c.Size)
	}
	if before.Size == 0 || before.Size == c.Size {
		if len(proof) > 0 || before.Size == c.Size && before.Root != c.Root {
			return broken("consistency", "two logs of %d entries", c.Size)
		}
		return nil
	}
	hashes := make(tlog.TreeProof, len(proof))
	for i, h := range proof {
		hashes[i] = tlog.Hash(h)
	}
	if err := tlog.CheckTree(hashes, c.Size, tlog.Hash(c.Root), before.Size, tlog.Hash(before.Root)); err != nil {
		return broken("consistency", "the log of %d entries does not begin with the one of %d", c.Size, before.Size)
	}
	return nil
}

// Entries reads the entries of the log of c from index first on, each held
// against the tree. It ends with the first error.
func (l *Log) Entries(ctx context.Context, c Checkpoint, first int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for at := max(first, 0); at < c.Size; {
			bundle, err := l.bundle(ctx, c, at/tileWidth)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, e := range bundle[at%tileWidth:] {
				if !yield(e, nil) {
					return
				}
				at++
			}
		}
	}
}

// bundle reads one bundle of entries and checks them against their hashes in
// the tree.
func (l *Log) bundle(ctx context.Context, c Checkpoint, n int64) ([][]byte, error) {
	width := min(tileWidth, c.Size-n*tileWidth)
	tile := tlog.Tile{H: tileHeight, L: -1, N: n, W: int(width)}
	raw, err := l.fetchTile(ctx, tile)
	if err != nil {
		return nil, fmt.Errorf("ledger: entries: %w", err)
	}
	entries, err := ParseBundle(raw)
	if err != nil {
		return nil, err
	}
	if int64(len(entries)) < width {
		return nil, broken("entries", "a bundle of %d, want %d", len(entries), width)
	}
	entries = entries[:width]
	indexes := make([]int64, width)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, n*tileWidth+int64(i))
	}
	hashes, err := l.hashes(ctx, c).ReadHashes(indexes)
	if err != nil {
		return nil, tileErr("entries", err)
	}
	for i, e := range entries {
		if hashes[i] != tlog.RecordHash(e) {
			return nil, broken("entries", "entry %d is not the one in the log", n*tileWidth+int64(i))
		}
	}
	return entries, nil
}

// ParseBundle splits an entry bundle of C2SP tlog-tiles: up to 256 entries,
// each after its length in two bytes. Entries alias raw.
func ParseBundle(raw []byte) ([][]byte, error) {
	var entries [][]byte
	for len(raw) > 0 {
		if len(entries) == tileWidth || len(raw) < 2 {
			return nil, invalid("bundle", "more than %d entries, or a cut one", tileWidth)
		}
		n := int(binary.BigEndian.Uint16(raw))
		if raw = raw[2:]; len(raw) < n {
			return nil, invalid("bundle", "an entry of %d bytes, %d are left", n, len(raw))
		}
		entries = append(entries, raw[:n:n])
		raw = raw[n:]
	}
	return entries, nil
}

func (l *Log) hashes(ctx context.Context, c Checkpoint) tlog.HashReader {
	return tlog.TileHashReader(c.tree(), &tiles{ctx: ctx, log: l})
}

// fetchTile gets a tile; a part of one that has filled up since may be gone,
// and then the whole one has it.
func (l *Log) fetchTile(ctx context.Context, t tlog.Tile) ([]byte, error) {
	raw, err := l.fetch(ctx, TilePath(t))
	if errors.Is(err, latchkey.ErrNotFound) && t.W < tileWidth {
		t.W = tileWidth
		return l.fetch(ctx, TilePath(t))
	}
	return raw, err
}

// TilePath is the path of a tile of height 8 in C2SP tlog-tiles; level −1 are
// the entries.
func TilePath(t tlog.Tile) string {
	if t.L == -1 {
		t.L = 0
		return "tile/entries/" + strings.TrimPrefix(t.Path(), "tile/8/0/")
	}
	return "tile/" + strings.TrimPrefix(t.Path(), "tile/8/")
}

// tiles is a tlog.TileReader for the length of one call.
type tiles struct {
	ctx context.Context
	log *Log
}

func (t *tiles) Height() int                     { return tileHeight }
func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t *tiles) ReadTiles(want []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range want {
		raw, err := t.log.fetchTile(t.ctx, tile)
		if err != nil {
			return nil, fetchError{err}
		}
		if n := tile.W * latchkey.HashSize; len(raw) >= n {
			raw = raw[:n]
		}
		data = append(data, raw)
	}
	return data, nil
}

// fetchError tells what could not be fetched from what does not hold.
type fetchError struct{ error }

func (e fetchError) Unwrap() error { return e.error }

func tileErr(what string, err error) error {
	if f := (fetchError{}); errors.As(err, &f) {
		return fmt.Errorf("ledger: %s: %w", what, f.error)
	}
	return broken(what, "%v", err)
}
