package seal

import (
	"fmt"

	"latchkey.dev/latchkey"
)

// Reason says in a word or two which check failed. Clients show it.
type Reason string

// Every reason for which an Opener refuses something.
const (
	ReasonEpoch      Reason = "epoch unknown"    // no valid epoch note for it
	ReasonNote       Reason = "epoch note"       // malformed, or two notes for one epoch
	ReasonHousehold  Reason = "household"        // of another household
	ReasonHub        Reason = "hub"              // not in the roster at that position
	ReasonPosition   Reason = "chain position"   // the note speaks of another state
	ReasonSignature  Reason = "signature"        // by another key, or changed bytes
	ReasonRecipients Reason = "recipients"       // sealed to others than the chain prescribes
	ReasonSeals      Reason = "seals"            // seal lines do not match the note
	ReasonCapsule    Reason = "capsule"          // not listed, not for me, malformed, lacking a track
	ReasonCommitment Reason = "commitment"       // another key than the one committed to
	ReasonTrack      Reason = "track"            // not of this epoch, or not declared
	ReasonLink       Reason = "link"             // the hash chain of parts is broken
	ReasonReplay     Reason = "replay"           // the track was further already
	ReasonSlot       Reason = "slot not granted" // no key for that second
	ReasonCiphertext Reason = "ciphertext"       // AEAD refuses
	ReasonRecords    Reason = "records"          // opened, but the plaintext is malformed
	ReasonHeads      Reason = "heads"            // malformed, or against what was seen
)

// Failure is what an Opener returns for bytes it refuses: errors.As finds it,
// errors.Is finds latchkey.ErrVerify, or latchkey.ErrNotFound for ReasonEpoch
// and ReasonSlot, which mean that a key or a note is lacking.
type Failure struct {
	Reason Reason
	Detail string // names the object, never a secret
}

// Error reads "seal: <reason>: <detail>".
func (f *Failure) Error() string { return fmt.Sprintf("seal: %s: %s", f.Reason, f.Detail) }

// Unwrap returns the error kind.
func (f *Failure) Unwrap() error {
	if f.Reason == ReasonEpoch || f.Reason == ReasonSlot {
		return latchkey.ErrNotFound
	}
	return latchkey.ErrVerify
}

func failure(r Reason, format string, args ...any) error {
	return &Failure{Reason: r, Detail: fmt.Sprintf(format, args...)}
}
