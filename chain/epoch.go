package chain

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"

	"latchkey.dev/latchkey"
)

// EpochNote announces an epoch (spec/formats, "Epoch note"). The hub's
// identity key signs it before the first part of the epoch is sealed.
type EpochNote struct {
	Household   latchkey.HouseholdID
	Hub         latchkey.Kid  // of the hub's Ed25519 key
	N           uint64        // counter of this hub's epoch notes
	Prev        latchkey.Hash // H(text) of the hub's epoch note before this one, zero if there is none
	Epoch       latchkey.EpochID
	Start       int64 // unix seconds: slot 0
	ClockSynced bool
	ChainSeq    uint64        // chain position at which the recipients were computed
	ChainHash   latchkey.Hash // H(text) of that statement
	ProofTime   int64         // unix seconds of the last completeness proof; 0: none yet
	Signer      ed25519.PublicKey
	Tracks      []TrackCommit
	Seals       latchkey.Hash // see Seals
	Last        []LastHead    // final heads of the previous epoch, as far as known
}

// TrackCommit commits to the root of one track's tree in one epoch.
type TrackCommit struct {
	Track  latchkey.TrackID
	Commit latchkey.Hash
}

// LastHead is the last part of a track in an earlier epoch.
type LastHead struct {
	Track latchkey.TrackID
	Epoch latchkey.EpochID
	Seq   uint32
	Hash  latchkey.Hash // part hash
}

// HeadOf is the newest part of a track.
type HeadOf struct {
	Track latchkey.TrackID
	Seq   uint32
	Hash  latchkey.Hash // part hash
}

// Text encodes the note; Tracks and Last may be in any order.
func (e EpochNote) Text() ([]byte, error) {
	w := newWriter(TypeEpoch)
	w.line("household", latchkey.B64(e.Household[:]))
	w.line("hub", latchkey.B64(e.Hub[:]))
	w.line("n", w.number("n", e.N))
	w.line("prev", latchkey.B64(e.Prev[:]))
	w.line("epoch", latchkey.B64(e.Epoch[:]))
	w.line("start", w.time("start", e.Start))
	w.line("clock", word(e.ClockSynced, synced, unsynced))
	w.position(e.ChainSeq, e.ChainHash, e.ProofTime)
	w.ed("signer", e.Signer)
	tracks := make([]string, len(e.Tracks))
	for i, t := range e.Tracks {
		tracks[i] = latchkey.B64(t.Track[:]) + " " + latchkey.B64(t.Commit[:])
	}
	w.tracks("track", tracks)
	w.line("seals", latchkey.B64(e.Seals[:]))
	last := make([]string, len(e.Last))
	for i, l := range e.Last {
		last[i] = latchkey.B64(l.Track[:]) + " " + latchkey.B64(l.Epoch[:]) + " " + u32(l.Seq) + " " + latchkey.B64(l.Hash[:])
	}
	w.tracks("last", last)
	return w.done(TypeEpoch)
}

// ParseEpochNote reads the values of an epoch note; Tracks and Last come in
// the order of their lines. It does not verify the signature.
func ParseEpochNote(n Note) (EpochNote, error) {
	r, err := readerFor(n, TypeEpoch)
	if err != nil {
		return EpochNote{}, err
	}
	e := EpochNote{
		Household:   r.id("household", r.next("household")),
		Hub:         r.id("hub", r.next("hub")),
		N:           r.number("n", r.next("n")),
		Prev:        r.hash("prev", r.next("prev")),
		Epoch:       r.id("epoch", r.next("epoch")),
		Start:       r.time("start", r.next("start")),
		ClockSynced: r.choice("clock", synced, unsynced),
	}
	e.ChainSeq, e.ChainHash, e.ProofTime = r.position()
	e.Signer = r.ed("signer")
	seen := map[latchkey.TrackID]bool{}
	for r.has("track") {
		f := r.fields("track", 2)
		e.Tracks = append(e.Tracks, TrackCommit{Track: r.newTrack("track", f[0], seen), Commit: r.hash("track", f[1])})
	}
	e.Seals = r.hash("seals", r.next("seals"))
	seen = map[latchkey.TrackID]bool{}
	for r.has("last") {
		f := r.fields("last", 4)
		e.Last = append(e.Last, LastHead{
			Track: r.newTrack("last", f[0], seen), Epoch: r.id("last", f[1]),
			Seq: r.uint32("last", f[2]), Hash: r.hash("last", f[3]),
		})
	}
	if r.err != nil {
		return EpochNote{}, fmt.Errorf("chain: parse epoch: %w", r.err)
	}
	return e, nil
}

// Heads says how far each track of an epoch has come, so that a cut tail shows
// (spec/formats, "Heads"). The epoch's signer signs it.
type Heads struct {
	Household latchkey.HouseholdID
	Hub       latchkey.Kid
	Epoch     latchkey.EpochID
	N         uint64 // counter in this epoch
	Time      int64  // unix seconds
	ChainSeq  uint64
	ChainHash latchkey.Hash
	ProofTime int64
	LogSize   uint64        // newest witnessed checkpoint seen; 0 with a zero root: none yet
	LogRoot   latchkey.Hash // its root hash
	Heads     []HeadOf
}

// Text encodes the note; Heads may be in any order.
func (h Heads) Text() ([]byte, error) {
	w := newWriter(TypeHeads)
	w.line("household", latchkey.B64(h.Household[:]))
	w.line("hub", latchkey.B64(h.Hub[:]))
	w.line("epoch", latchkey.B64(h.Epoch[:]))
	w.line("n", w.number("n", h.N))
	w.line("time", w.time("time", h.Time))
	w.position(h.ChainSeq, h.ChainHash, h.ProofTime)
	w.line("log", w.number("log", h.LogSize), latchkey.B64(h.LogRoot[:]))
	w.heads(h.Heads)
	return w.done(TypeHeads)
}

// ParseHeads reads the values of a heads note. It does not verify the signature.
func ParseHeads(n Note) (Heads, error) {
	r, err := readerFor(n, TypeHeads)
	if err != nil {
		return Heads{}, err
	}
	h := Heads{
		Household: r.id("household", r.next("household")),
		Hub:       r.id("hub", r.next("hub")),
		Epoch:     r.id("epoch", r.next("epoch")),
		N:         r.number("n", r.next("n")),
		Time:      r.time("time", r.next("time")),
	}
	h.ChainSeq, h.ChainHash, h.ProofTime = r.position()
	f := r.fields("log", 2)
	h.LogSize, h.LogRoot = r.number("log", f[0]), r.hash("log", f[1])
	h.Heads = r.heads()
	if r.err != nil {
		return Heads{}, fmt.Errorf("chain: parse heads: %w", r.err)
	}
	return h, nil
}

// SealLine names one capsule of an epoch: the recipient's X-Wing key and the
// hash of the sealed capsule.
type SealLine struct {
	Kid  latchkey.Kid
	Hash latchkey.Hash
}

// lineHash is H(b64(kid) SP b64(hash) LF): what a recipient who may not know the
// others learns of their seal lines.
func (l SealLine) lineHash() latchkey.Hash {
	return sha256.Sum256([]byte(latchkey.B64(l.Kid[:]) + " " + latchkey.B64(l.Hash[:]) + "\n"))
}

// Seals is the value of an epoch note's seals line: the hash over the sorted
// hashes of its seal lines, in whatever order they are given.
func Seals(lines []SealLine) latchkey.Hash {
	hashes := make([]latchkey.Hash, len(lines))
	for i, l := range lines {
		hashes[i] = l.lineHash()
	}
	slices.SortFunc(hashes, func(a, b latchkey.Hash) int { return bytes.Compare(a[:], b[:]) })
	h := sha256.New()
	for _, one := range hashes {
		h.Write(one[:])
	}
	return latchkey.Hash(h.Sum(nil))
}

// readerFor starts reading the lines of a note of the wanted type.
func readerFor(n Note, want string) (*reader, error) {
	if n.Type != want {
		return nil, fmt.Errorf("chain: parse %s: %w", want, invalid("the note is of type %q", n.Type))
	}
	return &reader{lines: n.lines}, nil
}

// position reads the line: chain <seq> <hash> <proof time>.
func (r *reader) position() (seq uint64, hash latchkey.Hash, proof int64) {
	f := r.fields("chain", 3)
	return r.number("chain", f[0]), r.hash("chain", f[1]), r.time("chain", f[2])
}

func (w *writer) position(seq uint64, hash latchkey.Hash, proof int64) {
	w.line("chain", w.number("chain", seq), latchkey.B64(hash[:]), w.time("chain", proof))
}

// newTrack reads a track id that no line before had.
func (r *reader) newTrack(key, value string, seen map[latchkey.TrackID]bool) latchkey.TrackID {
	id := latchkey.TrackID(r.id(key, value))
	if seen[id] {
		r.fail(key, "the same track twice")
	}
	seen[id] = true
	return id
}

// heads reads the lines: head <track> <seq> <part hash>.
func (r *reader) heads() []HeadOf {
	var heads []HeadOf
	seen := map[latchkey.TrackID]bool{}
	for r.has("head") {
		f := r.fields("head", 3)
		heads = append(heads, HeadOf{Track: r.newTrack("head", f[0], seen), Seq: r.uint32("head", f[1]), Hash: r.hash("head", f[2])})
	}
	return heads
}

func (w *writer) heads(heads []HeadOf) {
	values := make([]string, len(heads))
	for i, h := range heads {
		values[i] = latchkey.B64(h.Track[:]) + " " + u32(h.Seq) + " " + latchkey.B64(h.Hash[:])
	}
	w.tracks("head", values)
}

// tracks writes lines whose first word is a track id that may stand only once.
func (w *writer) tracks(key string, values []string) {
	slices.Sort(values)
	for i := 1; i < len(values); i++ {
		if values[i][:trackWord] == values[i-1][:trackWord] {
			w.fail(key, "the same track twice")
		}
	}
	w.lines(key, values)
}
