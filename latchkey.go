// Package latchkey holds the nouns that every room of Latchkey shares: typed
// identifiers, track kinds and the closed list of error kinds. It hides
// nothing, imports the standard library only, and never sees a key or a
// plaintext. Anything may import it.
package latchkey

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// Sizes of the fixed identifiers, in bytes (spec/formats, "Identifiers").
const (
	IDSize   = 16
	HashSize = 32
)

// HouseholdID is H(genesis text)[0:16]: whoever pins it pins the founder's keys.
type HouseholdID [IDSize]byte

// CameraID names a camera; 16 random bytes drawn by the member who adds it.
type CameraID [IDSize]byte

// TrackID names one track of one camera; 16 random bytes.
type TrackID [IDSize]byte

// EpochID names one epoch of one hub; 16 random bytes drawn by the hub.
type EpochID [IDSize]byte

// GrantID names one grant; 16 random bytes drawn by the member who gives it, used once.
type GrantID [IDSize]byte

// Kid is the short name of a raw public key: H("latchkey/v1 key" ‖ 0x00 ‖ key)[0:16].
type Kid [IDSize]byte

// Hash is a SHA-256 value.
type Hash [HashSize]byte

// String returns the identifier as 32 lower-case hex digits, its form in URLs, paths and logs.
func (id HouseholdID) String() string { return hex.EncodeToString(id[:]) }

// String returns the identifier as 32 lower-case hex digits.
func (id CameraID) String() string { return hex.EncodeToString(id[:]) }

// String returns the identifier as 32 lower-case hex digits.
func (id TrackID) String() string { return hex.EncodeToString(id[:]) }

// String returns the identifier as 32 lower-case hex digits.
func (id EpochID) String() string { return hex.EncodeToString(id[:]) }

// String returns the identifier as 32 lower-case hex digits.
func (id GrantID) String() string { return hex.EncodeToString(id[:]) }

// String returns the kid as 32 lower-case hex digits.
func (k Kid) String() string { return hex.EncodeToString(k[:]) }

// String returns the hash as 64 lower-case hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// B64 returns canonical padded base64 (RFC 4648 §4), the form used inside statements.
func B64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// ParseHouseholdID reads the hex form made by HouseholdID.String.
func ParseHouseholdID(s string) (id HouseholdID, err error) {
	err = parseHex(id[:], s)
	return id, err
}

// ParseCameraID reads the hex form made by CameraID.String.
func ParseCameraID(s string) (id CameraID, err error) {
	err = parseHex(id[:], s)
	return id, err
}

// ParseTrackID reads the hex form made by TrackID.String.
func ParseTrackID(s string) (id TrackID, err error) {
	err = parseHex(id[:], s)
	return id, err
}

// ParseEpochID reads the hex form made by EpochID.String.
func ParseEpochID(s string) (id EpochID, err error) {
	err = parseHex(id[:], s)
	return id, err
}

// ParseGrantID reads the hex form made by GrantID.String.
func ParseGrantID(s string) (id GrantID, err error) {
	err = parseHex(id[:], s)
	return id, err
}

// ParseKid reads the hex form made by Kid.String.
func ParseKid(s string) (k Kid, err error) {
	err = parseHex(k[:], s)
	return k, err
}

func parseHex(dst []byte, s string) error {
	if len(s) != 2*len(dst) {
		return fmt.Errorf("%w: want %d hex digits, got %d", ErrInvalid, 2*len(dst), len(s))
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		return fmt.Errorf("%w: not hex: %v", ErrInvalid, err)
	}
	if hex.EncodeToString(dst) != s {
		return fmt.Errorf("%w: identifiers are written in lower case", ErrInvalid)
	}
	return nil
}

// TrackKind says what a track carries; each kind has its own tree of keys, so
// a right to one opens none of the others.
type TrackKind string

// The track kinds of protocol version 1.
const (
	KindVideo    TrackKind = "video"
	KindVideoSub TrackKind = "video-sub"
	KindAudio    TrackKind = "audio"
	KindMeta     TrackKind = "meta"
	KindBio      TrackKind = "bio"
)

// Valid reports whether k is one of the five kinds.
func (k TrackKind) Valid() bool {
	switch k {
	case KindVideo, KindVideoSub, KindAudio, KindMeta, KindBio:
		return true
	}
	return false
}
