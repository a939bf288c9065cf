// Package member is a person's client: it makes, finds and recovers a
// household, keeps the person's keys sealed on this machine, and turns what an
// untrusted cloud hands out back into verified footage.
//
// It hides sign-in, the vault, the statement chain and every check between a
// byte from the server and a picture. The command line and tests use it; the
// browser has the same room in TypeScript. It never trusts an index, a name
// or a status that it could not verify: what a server leaves out shows as a
// gap, what it changes is an error of kind latchkey.ErrVerify.
package member

import (
	"time"

	"latchkey.dev/latchkey"
)

// Household is what a member sees of the household: all of it comes from the
// verified chain, names from the directory that an admin signed.
type Household struct {
	ID       latchkey.HouseholdID
	Name     string
	Server   string
	Me       Person
	Members  []Person
	Hubs     []HubName
	Cameras  []Camera
	ChainSeq uint64
	// ChainHash identifies the newest statement; whoever compares it with
	// another member's has compared the whole history.
	ChainHash latchkey.Hash
	// CodeUsed: the recovery code was used, and no new one was made since.
	CodeUsed bool
}

// Person is one member of the roster.
type Person struct {
	Kid    latchkey.Kid // of the Ed25519 key
	Name   string       // from the directory; empty when unknown
	Role   string       // admin, member or viewer
	Rights Rights
	Me     bool
	// Leaving: this admin has removed him, and the server's chain does not show it yet.
	Leaving   bool
	Removable bool // not oneself, and not the last admin
	NewKeys   NewKeys
}

// HubName is one hub of the roster.
type HubName struct {
	Kid  latchkey.Kid
	Name string
}

// Track is one declared track of a camera.
type Track struct {
	ID   latchkey.TrackID
	Kind latchkey.TrackKind
	// Codec, Width, Height, FPS and Kbps come from the newest verified state
	// record of the hub; zero before the camera was first seen.
	Codec         string
	Width, Height int
	FPS           float64
	Kbps          int
}

// Camera is one camera that the chain declares.
type Camera struct {
	ID     latchkey.CameraID
	Name   string
	Mode   string // continuous or events
	Status string // recording, waiting, connecting, offline, refused, off, error; unknown before the first record
	Error  string // plain sentence from the hub, may be empty
	Tracks []Track
	// Granted are the stretches of it that this member sees by standing grants,
	// where nothing of it is his by right; then there is nothing else of it.
	Granted []Span
	// Seen is the capture time of the state record these values come from;
	// zero when there is none.
	Seen time.Time
	Hub  HubReport

	hub latchkey.Kid // that records it; zero before it was first seen
}

// Track returns the camera's track of the given kind.
func (c Camera) Track(kind latchkey.TrackKind) (Track, bool) {
	for _, t := range c.Tracks {
		if t.Kind == kind {
			return t, true
		}
	}
	return Track{}, false
}

// HubReport is what a hub says about itself inside a sealed state record.
type HubReport struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Started     int64  `json:"started"`      // unix seconds
	SpoolParts  int64  `json:"spool_parts"`  // sealed, not yet durable in the cloud
	SpoolBytes  int64  `json:"spool_bytes"`  // the same in bytes
	SpoolLimit  int64  `json:"spool_limit"`  // bytes
	SpoolOldest int64  `json:"spool_oldest"` // unix seconds; 0 when empty
	BacklogFrom int64  `json:"backlog_from"` // still to be sent: unix seconds; 0 for nothing
	BacklogTo   int64  `json:"backlog_to"`   // exclusive
	Uplink      string `json:"uplink"`       // connected, waiting or off
	Clock       string `json:"clock"`        // synced or unsynced
	LogUntil    int64  `json:"log_until"`    // the public log proves the chain up to then; unix seconds; 0: no proof yet
	// LAN are addresses at which the hub takes removals at home, host:port.
	LAN []string `json:"lan"`
}

// HubStatus is one hub as a member sees it.
type HubStatus struct {
	Kid      latchkey.Kid
	Name     string
	Online   bool      // the cloud's word: not verified
	LastSeen time.Time // the cloud's word: not verified
	// Doubled is when a second machine last came with this hub's identity, by the
	// cloud's word: not verified. Zero: never.
	Doubled time.Time
	// Heads is the time of the newest verified heads note: up to then the hub
	// itself vouches for what was sealed. Zero when there is none.
	Heads   time.Time
	Report  HubReport // newest verified state record
	Cameras []Camera
}

// Span is a stretch of footage time, half open.
type Span struct {
	From, To time.Time
}

// Gap is a stretch without footage.
type Gap struct {
	Span
	// Why is the hub's own reason from a sealed record (camera-offline,
	// hub-off, …), or one of: missing (parts that the hub sealed are not
	// there), records-missing (the same of the hub's own records), backlog
	// (still on the hub, on its way), deleted (the chain orders it: retain or
	// erase), not-complete (nothing vouches for this
	// time yet), not-shared (nobody gave this member its keys), unexplained.
	Why string
	// Alarm is set when no sealed record of the hub explains the gap; with
	// not-shared, when the chain prescribes that it should be shared.
	Alarm bool
}

// Event is something a hub noted on a camera's sealed meta track.
type Event struct {
	ID     string
	Camera latchkey.CameraID
	Name   string // the camera's
	Span          // To is zero while it lasts
	Label  string
	Source string
}

// Timeline is what is there of one camera between two times.
type Timeline struct {
	Camera Camera
	Ranges []Span
	Gaps   []Gap
	Events []Event
	// CompleteUntil is the time up to which a verified heads note vouches that
	// nothing is missing; zero when there is none.
	CompleteUntil time.Time
}
