package part

import (
	"crypto/ed25519"
	"fmt"
	"math"

	"latchkey.dev/latchkey"
)

// VerifyRun checks that run is an unbroken piece of one track as its hub
// sealed it: one epoch and track, consecutive seq, prev links, slots that never
// decrease, END on the last part only, and the signature of the last part,
// which through the links covers every byte before it but the other
// signatures. If prev is not nil the first part must follow it. It returns the
// hash of the last part, to be passed as prev for the next run.
//
// A broken run is latchkey.ErrVerify and names the first part that is wrong;
// nothing of the run may be used then.
func VerifyRun(signer ed25519.PublicKey, prev *latchkey.Hash, run []Part) (latchkey.Hash, error) {
	hashes, err := VerifyRunHashes(signer, prev, run)
	if err != nil {
		return latchkey.Hash{}, err
	}
	return hashes[len(hashes)-1], nil
}

// VerifyRunHashes is VerifyRun for callers that need the hash of every part:
// it returns them in order, so that no byte is hashed twice.
func VerifyRunHashes(signer ed25519.PublicKey, prev *latchkey.Hash, run []Part) ([]latchkey.Hash, error) {
	if len(run) == 0 {
		return nil, fmt.Errorf("part: verify run: %w: it is empty", latchkey.ErrInvalid)
	}
	if prev != nil && run[0].Header.Prev != *prev {
		return nil, fmt.Errorf("part: verify run: %w: %v does not follow the part before it", latchkey.ErrVerify, run[0].Header)
	}
	hashes := make([]latchkey.Hash, len(run))
	for i, p := range run {
		hashes[i] = p.Hash()
	}
	if err := VerifyRunWith(signer, hashes, run); err != nil {
		return nil, err
	}
	return hashes, nil
}

// VerifyRunWith is VerifyRunHashes for callers that have the hashes: hashes[i]
// is taken for run[i].Hash(). A caller that takes it from run[i+1].Header.Prev
// learns that the parts are in order and the last one is signed, and nothing
// about the bytes of the others.
func VerifyRunWith(signer ed25519.PublicKey, hashes []latchkey.Hash, run []Part) error {
	for i := 1; i < len(run); i++ {
		if err := run[i].Header.follows(run[i-1].Header, hashes[i-1]); err != nil {
			return err
		}
	}
	last := len(run) - 1
	return run[last].verifySig(signer, hashes[last])
}

// follows reports why h cannot come right after the part with header before
// and hash ph; nil if it can.
func (h Header) follows(before Header, ph latchkey.Hash) error {
	var why string
	switch {
	case h.Epoch != before.Epoch || h.Track != before.Track:
		why = "it belongs to another epoch or track"
	case before.Seq == math.MaxUint32 || h.Seq != before.Seq+1:
		why = fmt.Sprintf("seq after %d", before.Seq)
	case h.Prev != ph:
		why = "prev is not the hash of the part before"
	case h.Slot < before.Slot:
		why = fmt.Sprintf("slot went back from %d to %d", before.Slot, h.Slot)
	case before.Flags&END != 0:
		why = "the track had ended"
	default:
		return nil
	}
	return fmt.Errorf("part: verify run: %w: %v: %s", latchkey.ErrVerify, h, why)
}
