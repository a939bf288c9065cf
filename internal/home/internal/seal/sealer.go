package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"sync"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

// backSlots is how far behind its track a part may come and still be sealed,
// into the track's slot: the clock may have been corrected by that much.
const backSlots = 2

// sealer seals the parts of one track of one epoch (protocol 2.5).
type sealer struct {
	epoch  latchkey.EpochID
	track  latchkey.TrackID
	kind   latchkey.TrackKind
	rand   io.Reader
	signer *keys.Signing

	mu    sync.Mutex // guards what follows
	tree  *tree      // nil: closed, or past its last slot
	began bool
	ended bool
	slot  uint32 // of the newest part
	seq   uint32 // of the next part
	prev  latchkey.Hash
}

func (s *sealer) seal(slot uint32, flags part.Flags, recs []part.Record) ([]byte, error) {
	if flags&^(part.RAP|part.END) != 0 {
		return nil, fmt.Errorf("seal: seal part: %w: unknown flags %#x", latchkey.ErrInvalid, flags)
	}
	padded, err := part.PaddedLen(s.kind, part.RecordsLen(recs...))
	if err != nil {
		return nil, fmt.Errorf("seal: seal part: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot, err = s.enter(slot); err != nil {
		return nil, fmt.Errorf("seal: seal part %d of track %v: %w", s.seq, s.track, err)
	}
	raw, err := part.AppendRecords(make([]byte, part.HeaderSize, part.HeaderSize+padded+part.TagSize+part.SigSize), padded, recs...)
	if err != nil {
		return nil, fmt.Errorf("seal: seal part: %w", err)
	}
	h := part.Header{
		Flags: flags, Slot: slot, Seq: s.seq, CTLen: uint32(padded + part.TagSize),
		Epoch: s.epoch, Track: s.track, Prev: s.prev,
	}
	if err := s.salt(&h, raw[part.HeaderSize:]); err != nil {
		return nil, fmt.Errorf("seal: seal part: %w", err)
	}
	raw, ph := s.encrypt(h, raw)
	raw = append(raw, s.signer.Sign(part.SigMessage(ph))...)
	s.began, s.ended = true, flags&part.END != 0
	s.slot, s.prev = slot, ph
	s.seq++
	return raw, nil
}

// enter moves the tree to the slot of the next part and returns that slot.
func (s *sealer) enter(slot uint32) (uint32, error) {
	switch {
	case s.ended || s.tree == nil || s.seq == math.MaxUint32:
		return 0, ErrOver
	case slot >= part.Slots:
		return 0, fmt.Errorf("%w: slot %d", ErrOver, slot)
	case s.began && slot < s.slot && slot+backSlots >= s.slot:
		slot = s.slot
	}
	if slot < s.tree.slot {
		return 0, fmt.Errorf("%w: slot %d, the track is at %d", ErrLate, slot, s.tree.slot)
	}
	s.tree.advance(slot)
	return slot, nil
}

// salt sets h.Salt from fresh randomness and the plaintext. Were the source of
// randomness dead or cloned, different plaintext would still get a different
// key (spec/formats, rule 3): the tag is GHASH under a key that nobody outside
// knows, at a fraction of what a second hash of the whole part would cost.
func (s *sealer) salt(h *part.Header, inner []byte) error {
	var c [16 + 4 + 4 + part.TagSize]byte
	if _, err := io.ReadFull(s.rand, c[:16]); err != nil {
		return fmt.Errorf("draw salt: %w", err)
	}
	binary.BigEndian.PutUint32(c[16:], h.Slot)
	binary.BigEndian.PutUint32(c[20:], h.Seq)
	var out key
	keys.KDF(&out, s.tree.leaf, "salt key", c[:24])
	var nonce [12]byte
	aeadOf(&out).Seal(c[:24], nonce[:], nil, inner) // no message: the tag alone, behind its context
	keys.KDF(&out, s.tree.leaf, "salt", c[:])
	copy(h.Salt[:], out[:])
	clear(out[:])
	clear(c[:])
	return nil
}

// encrypt completes the header in front of the plaintext in raw and encrypts in
// place. It returns header ‖ ct and the part hash.
func (s *sealer) encrypt(h part.Header, raw []byte) ([]byte, latchkey.Hash) {
	h.AppendTo(raw[:0])
	aeadKey, commit := partKeys(s.tree.leaf, raw[:boundSize])
	defer clear(aeadKey[:])
	copy(raw[part.HeaderSize-len(commit):], commit[:])
	var nonce [12]byte
	raw = aeadOf(&aeadKey).Seal(raw[:part.HeaderSize], nonce[:], raw[part.HeaderSize:], raw[:part.HeaderSize])
	return raw, sha256.Sum256(raw)
}

// forget erases what covers only slots before until.
func (s *sealer) forget(until int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.tree == nil:
	case until >= part.Slots-leafKeep:
		s.tree.erase()
		s.tree = nil
	default:
		s.tree.advance(uint32(until))
	}
}

func (s *sealer) head() (chain.HeadOf, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return chain.HeadOf{Track: s.track, Seq: s.seq - 1, Hash: s.prev}, s.began
}

func (s *sealer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tree != nil {
		s.tree.erase()
		s.tree = nil
	}
}
