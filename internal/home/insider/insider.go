// Package insider plays somebody who holds the whole server: its database,
// blobs, logs, staff keys and memory images. It looks for anything readable and
// for any 32 bytes that open something. It hides how candidates are tried; it
// imports neither keys nor seal, so that a mistake there cannot make it blind.
// The command `latchkey insider` and tests may import it.
//
// What it falsifies: claims C1 to C3 of the threat model.
package insider

import (
	"context"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
)

// Config says what the insider holds.
type Config struct {
	DataDirs     []string // every regular file below them is read
	StaffKeyDirs []string // likewise; the keys that staff hold are used to open what is sealed to them
	MemoryImages []string // single files, such as core dumps
	Canaries     []string // words that must not be readable anywhere; each at least 6 bytes
	Workers      int      // 0: one per CPU
	Deep         bool     // also what takes hours, or days for much footage: see Report.LeftToDeep
	// Progress, if not nil, is told now and then how many of all bytes were
	// scanned. It is called from one goroutine at a time.
	Progress func(done, total int64)
}

// Kind says what sort of thing was found.
type Kind string

// The kinds of findings.
const (
	KindCanary     Kind = "canary"      // a word that must not be readable
	KindMedia      Kind = "media"       // plaintext picture, sound or video
	KindRoot       Kind = "tree root"   // opens a whole track of an epoch
	KindNode       Kind = "tree node"   // opens a stretch of a track
	KindSealingKey Kind = "sealing key" // X-Wing seed
	KindSigningKey Kind = "signing key" // Ed25519 seed
	KindWrapSecret Kind = "wrap secret" // opens a wrapped vault key
	KindVaultKey   Kind = "vault key"   // opens a vault
	KindMachineKey Kind = "machine key" // opens a hub's or member's files at rest
	KindMask       Kind = "mask"        // opens, together with a capsule that staff can open
	KindCode       Kind = "code"        // a typed code, for recovery or pairing
)

// Finding is one thing that should not have been there.
type Finding struct {
	Kind   Kind
	File   string // with "!" and a member name inside an archive
	Offset int64  // in the file, or in the decoded stretch that What names
	What   string // in words; never the secret itself
}

// Report is what a scan did and found. Anything in Findings means that the
// claim is broken.
type Report struct {
	Findings []Finding
	More     int // findings beyond the first 10,000

	Files      int
	Unread     []string // files that could not be read, with why; a drill that skipped something is no proof
	Bytes      int64    // scanned, decoded stretches included
	Decoded    int64    // bytes that came out of hex, base64, gzip and zip
	Windows    int64    // 32-byte windows tried as a key
	Skipped    int64    // windows that cannot be a uniform 32-byte secret
	Tests      map[string]int64
	Known      Known
	Elapsed    time.Duration
	LeftToDeep []string // what was not tried, in words; empty with Deep
}

// Known counts the public commitments that candidates were held against.
type Known struct {
	EpochNotes  int // distinct epoch notes
	Roots       int // root commitments in them
	Parts       int // sealed parts, each counted once per file it lies in
	Slots       int // distinct (epoch, track, slot) with a part
	PathSlots   int // of those, the ones that windows were tried against
	SealingKeys int // X-Wing public keys
	SigningKeys int // Ed25519 public keys
	Wraps       int // LKW1
	Vaults      int // LKV1
	Local       int // LKF1
	Held        int // sealing keys in the folders of staff; may count others that are 32 bytes
	Opened      int // entries of capsules that those open
}

// Scan reads everything twice: once for the public commitments (notes, parts,
// capsules, wraps), once trying every window against them. It returns an error
// only if it could not do its work; a broken claim is in the report.
func Scan(ctx context.Context, c Config) (Report, error) {
	if err := c.check(); err != nil {
		return Report{}, fmt.Errorf("insider: %w", err)
	}
	s := newScan(c)
	if err := s.run(ctx); err != nil {
		return Report{}, fmt.Errorf("insider: scan: %w", err)
	}
	return s.report(), nil
}

func (c Config) check() error {
	if len(c.DataDirs)+len(c.StaffKeyDirs)+len(c.MemoryImages) == 0 {
		return fmt.Errorf("%w: nothing to scan", latchkey.ErrInvalid)
	}
	for _, word := range c.Canaries {
		if len(word) < minCanary {
			return fmt.Errorf("%w: canary of %d bytes, at least %d are needed", latchkey.ErrInvalid, len(word), minCanary)
		}
	}
	return nil
}
