package ingest

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/part"
)

// Epoch is what ingest needs of a stored epoch note.
type Epoch struct {
	ID       latchkey.EpochID
	Hub      Hub
	N        uint64
	Start    int64 // unix seconds
	Signer   ed25519.PublicKey
	NoteHash latchkey.Hash // what the first part of every track has as Prev
	Tracks   map[latchkey.TrackID]bool
}

// EpochOf reads the stored form of an epoch.
func EpochOf(row catalog.Epoch) (*Epoch, error) {
	n, err := chain.ParseNote(row.Note)
	if err != nil {
		return nil, err
	}
	note, err := chain.ParseEpochNote(n)
	if err != nil {
		return nil, err
	}
	e := &Epoch{
		ID: row.ID, Hub: Hub{row.Household, row.Hub}, N: row.N, Start: row.Start,
		Signer: note.Signer, NoteHash: n.Hash(), Tracks: make(map[latchkey.TrackID]bool, len(note.Tracks)),
	}
	for _, t := range note.Tracks {
		e.Tracks[t.Track] = true
	}
	return e, nil
}

// maxEpochs bounds the cache of parsed notes.
const maxEpochs = 4096

// Epoch returns a stored epoch, from memory if it can; ErrNotFound otherwise.
func (e *Engine) Epoch(ctx context.Context, id latchkey.EpochID) (*Epoch, error) {
	e.mu.Lock()
	ep := e.epochs[id]
	e.mu.Unlock()
	if ep != nil {
		return ep, nil
	}
	row, err := e.cfg.Catalog.Epoch(ctx, id)
	if err != nil {
		return nil, err
	}
	if ep, err = EpochOf(row); err != nil {
		return nil, fmt.Errorf("ingest: epoch %v: %w", id, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.epochs) >= maxEpochs {
		clear(e.epochs)
	}
	e.epochs[id] = ep
	return ep, nil
}

// Run is a checked message: consecutive parts of one track. It aliases the
// message and is valid as long as that is not overwritten.
type Run struct {
	Epoch  *Epoch
	Track  latchkey.TrackID
	Parts  []part.Part
	Hashes []latchkey.Hash // of each part: computed, or as the next header has it
	raw    []byte          // the parts
	starts []int           // of each part in raw
}

// ErrDamaged is a backlog message that is not what the hub sent: its checksum
// is wrong. No part can be named then, and nothing else on that connection can
// be trusted to have come through either.
var ErrDamaged = fmt.Errorf("%w: the message was damaged on its way", latchkey.ErrInvalid)

// sumSize is the length of the checksum before the parts of a backlog message.
const sumSize = 4

// Scan takes in a message of parts while it arrives, so that each byte is
// looked at while it is still in the processor's cache. It is for one message.
//
// Live parts are hashed, every byte of them. A backlog message begins with the
// CRC-32C of the parts (spec/wire, "Uplink"), and only its last part is hashed:
// the hash of each other one stands in the header after it, and is believed.
type Scan struct {
	backlog bool
	sum     uint32 // CRC-32C of the parts dealt with
	summed  int    // bytes in sum
	at      int    // bytes of whole parts found
	parts   []placed
	err     error // the bytes at at are no part
}

// placed is where a part was found, and its hash if it is live.
type placed struct {
	at   int
	hash latchkey.Hash
}

// NewScan is ready for one message.
func NewScan(backlog bool) *Scan { return &Scan{backlog: backlog} }

// Feed takes all of the message that has arrived, from behind its type. raw may
// have moved since the last call, but not changed.
func (s *Scan) Feed(raw []byte) {
	if s.backlog {
		if len(raw) < sumSize {
			return
		}
		raw = raw[sumSize:]
		s.sum = crc32.Update(s.sum, crc32.MakeTable(crc32.Castagnoli), raw[s.summed:])
		s.summed = len(raw)
	}
	for s.err == nil {
		p, _, err := part.Next(raw[s.at:])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return // more is to come, or Check finds the end torn
		}
		if err != nil {
			s.err = err
			return
		}
		one := placed{at: s.at}
		if !s.backlog {
			one.hash = p.Hash()
		}
		s.parts = append(s.parts, one)
		s.at += len(p.Raw)
	}
}

// run is what the scan of the whole message raw found.
func (s *Scan) run(raw []byte) (Run, error) {
	if s.backlog {
		if len(raw) < sumSize || binary.BigEndian.Uint32(raw) != s.sum {
			return Run{}, ErrDamaged
		}
		raw = raw[sumSize:]
	}
	r := Run{raw: raw}
	for i, one := range s.parts {
		p, _, err := part.Next(raw[one.at:])
		if err != nil {
			return r, err
		}
		if s.backlog && i > 0 {
			r.Hashes[i-1] = p.Header.Prev
		}
		r.Parts, r.Hashes, r.starts = append(r.Parts, p), append(r.Hashes, one.hash), append(r.starts, one.at)
	}
	switch n := len(r.Parts); {
	case s.err != nil:
		return r, s.err
	case s.at != len(raw):
		return r, fmt.Errorf("%w: the message ends inside a part", latchkey.ErrInvalid)
	case n == 0:
		return r, fmt.Errorf("%w: no part in the message", latchkey.ErrInvalid)
	case s.backlog:
		r.Hashes[n-1] = r.Parts[n-1].Hash()
	}
	return r, nil
}

// Check verifies a scanned message of parts from hub: the checksum if it is
// backlog, strict headers, one epoch and track that are the hub's, seq, slot
// and END from part to part, links if it is live, the signature of the last
// part. raw is the message behind its type. Check touches no disk once the
// epoch is in memory. The error is a *Refusal, or internal.
func (e *Engine) Check(ctx context.Context, hub Hub, raw []byte, scan *Scan) (Run, error) {
	scan.Feed(raw)
	run, err := scan.run(raw)
	if err != nil {
		err = run.refuse(len(run.Parts), err)
	} else {
		run, err = e.check(ctx, hub, run)
	}
	e.stats.count(err)
	return run, err
}

func (e *Engine) check(ctx context.Context, hub Hub, run Run) (Run, error) {
	h := run.Parts[0].Header
	ep, err := e.Epoch(ctx, h.Epoch)
	if err != nil {
		return Run{}, run.refuse(0, err)
	}
	if ep.Hub != hub {
		// Another's epoch is as good as none: nothing is told about it.
		return Run{}, run.refuse(0, fmt.Errorf("%w: epoch", latchkey.ErrNotFound))
	}
	if !ep.Tracks[h.Track] {
		return Run{}, run.refuse(0, fmt.Errorf("%w: the epoch note does not name this track", latchkey.ErrInvalid))
	}
	if h.Seq == 0 && h.Prev != ep.NoteHash {
		return Run{}, run.refuse(0, fmt.Errorf("%w: the first part does not link to the epoch note", latchkey.ErrVerify))
	}
	run.Epoch, run.Track = ep, h.Track
	if err := part.VerifyRunWith(ep.Signer, run.Hashes, run.Parts); err != nil {
		return Run{}, run.refuse(0, err)
	}
	return run, nil
}

// refuse names part i, or the first one where i does not parse.
func (r Run) refuse(i int, err error) error {
	if len(r.Parts) == 0 {
		return &Refusal{Err: err}
	}
	h := r.Parts[min(i, len(r.Parts)-1)].Header
	return &Refusal{Epoch: h.Epoch, Track: h.Track, Seq: h.Seq, Err: err}
}

// bytes of parts [i, j), contiguous as they came.
func (r Run) bytes(i, j int) []byte {
	end := len(r.raw)
	if j < len(r.Parts) {
		end = r.starts[j]
	}
	return r.raw[r.starts[i]:end]
}

func (r Run) seq(i int) uint32 { return r.Parts[i].Header.Seq }

// receipt covers parts [i, j).
func (r Run) receipt(i, j int, level Level) Receipt {
	return Receipt{Epoch: r.Epoch.ID, Track: r.Track, First: r.seq(i), Last: r.seq(j - 1), Hash: r.Hashes[j-1], Level: level}
}
