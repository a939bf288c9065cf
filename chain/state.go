package chain

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"fmt"
	"slices"

	"latchkey.dev/latchkey"
)

// State is what a household's statements up to Seq amount to. It is a value:
// Apply returns a new one and never changes the maps of the old one, so that a
// State may be kept and read without locks. Treat its maps as read-only.
type State struct {
	Household latchkey.HouseholdID
	Seq       uint64        // of the last accepted statement
	Hash      latchkey.Hash // H(text) of it
	Time      int64         // its time, unix seconds
	KTag      latchkey.Hash
	Operator  string // vkey; empty: none
	Log       string // origin; empty: none

	Members map[latchkey.Kid]Member // by kid of the Ed25519 key
	Hubs    map[latchkey.Kid]Hub    // by kid of the Ed25519 key
	Cameras map[latchkey.CameraID]Camera
	Retain  map[latchkey.TrackID]uint64 // seconds, where a track has its own policy
	// RetainAll is the policy of all other tracks in seconds; 0: none set, keep.
	RetainAll uint64
	Erased    []Erasure // ordered deletions, oldest first
	// Grants are all that were ever given, revoked ones too: an id is used once.
	Grants map[latchkey.GrantID]Grant
}

// Member is a person of the household.
type Member struct {
	Ed        ed25519.PublicKey
	X         []byte // X-Wing public key: what epochs are sealed to
	Recovery  ed25519.PublicKey
	Role      Role
	Share     bool
	AllTracks bool
	Tracks    []latchkey.TrackID // sorted; empty with AllTracks
	// Past are the kids of his former X-Wing keys, oldest first: capsules of
	// earlier epochs are sealed to them.
	Past []latchkey.Kid
	// PastEd are the kids of his former Ed25519 keys, oldest first: a removal
	// that was signed before a rekey still finds him.
	PastEd []latchkey.Kid
	Seq    uint64 // of the statement that admitted him, or last restated him
}

// Kids are the kids of all his X-Wing keys, the present one first.
func (m Member) Kids() []latchkey.Kid {
	return append([]latchkey.Kid{KidOf(m.X)}, m.Past...)
}

// MaySee reports whether the member's rights include the track.
func (m Member) MaySee(track latchkey.TrackID) bool {
	return m.AllTracks || slices.Contains(m.Tracks, track)
}

// Hub is a writer of footage.
type Hub struct {
	Ed  ed25519.PublicKey
	X   []byte // X-Wing public key: what commands are sealed to
	Seq uint64 // of the statement that admitted it
}

// Camera is a declared camera.
type Camera struct {
	Tracks []TrackDecl // sorted by id
}

// Erasure is footage of one track that was ordered to be deleted.
type Erasure struct {
	Track       latchkey.TrackID
	From, Until int64 // unix seconds
}

// Tracks returns all declared tracks, sorted by id.
func (s State) Tracks() []TrackDecl {
	var out []TrackDecl
	for _, c := range s.Cameras {
		out = append(out, c.Tracks...)
	}
	sortTracks(out)
	return out
}

// Track finds a declared track and its camera.
func (s State) Track(id latchkey.TrackID) (latchkey.CameraID, TrackDecl, bool) {
	for camera, c := range s.Cameras {
		for _, t := range c.Tracks {
			if t.ID == id {
				return camera, t, true
			}
		}
	}
	return latchkey.CameraID{}, TrackDecl{}, false
}

// LoginKey finds the key that may sign a login note in the name of kid: a
// member's, a hub's, or a member's recovery key. party is the kid of the
// member or hub it stands for.
func (s State) LoginKey(kid latchkey.Kid) (key ed25519.PublicKey, party latchkey.Kid, ok bool) {
	if m, found := s.Members[kid]; found {
		return m.Ed, kid, true
	}
	if h, found := s.Hubs[kid]; found {
		return h.Ed, kid, true
	}
	for party, m := range s.Members {
		if KidOf(m.Recovery) == kid {
			return m.Recovery, party, true
		}
	}
	return nil, latchkey.Kid{}, false
}

// HolderOf finds the member whose X-Wing key has, or once had, this kid: the
// person that a capsule is for. party is the kid of his Ed25519 key.
func (s State) HolderOf(kid latchkey.Kid) (party latchkey.Kid, ok bool) {
	for party, m := range s.Members {
		if slices.Contains(m.Kids(), kid) {
			return party, true
		}
	}
	return latchkey.Kid{}, false
}

// RecipientsFit holds the kids an epoch that begins at start is sealed to against
// those that its chain position s prescribes. Fewer are accepted, because a hub that knows of a
// removal seals to fewer than the chain yet says; leftOut names the missing,
// sorted. A kid that s does not prescribe, or one twice, is latchkey.ErrVerify.
func RecipientsFit(got []latchkey.Kid, s State, start int64) (leftOut []latchkey.Kid, err error) {
	var want []latchkey.Kid
	for _, r := range s.Recipients(start) {
		want = append(want, r.Kid)
	}
	seen := map[latchkey.Kid]bool{}
	for _, k := range got {
		if seen[k] || !slices.Contains(want, k) {
			return nil, fmt.Errorf("chain: recipients: %w: sealed to %v, whom statement %d does not prescribe, or to him twice", latchkey.ErrVerify, k, s.Seq)
		}
		seen[k] = true
	}
	return slices.DeleteFunc(want, func(k latchkey.Kid) bool { return seen[k] }), nil
}

func (s State) admins() int {
	n := 0
	for _, m := range s.Members {
		if m.Role == RoleAdmin {
			n++
		}
	}
	return n
}

// keyInUse reports whether the key is in the roster, or that of somebody outside
// it whom epochs are sealed to. A key stands for one party and one purpose.
func (s State) keyInUse(key []byte) bool { return s.rosterKey(key) || s.standsFor(KidOf(key)) }

// rosterKey reports whether any member or hub has this public key in any
// place, or a member had it before a rekey.
func (s State) rosterKey(key []byte) bool {
	kid := KidOf(key)
	for _, m := range s.Members {
		if bytes.Equal(m.Ed, key) || bytes.Equal(m.X, key) || bytes.Equal(m.Recovery, key) {
			return true
		}
		if slices.Contains(m.Past, kid) || slices.Contains(m.PastEd, kid) {
			return true
		}
	}
	for _, h := range s.Hubs {
		if bytes.Equal(h.Ed, key) || bytes.Equal(h.X, key) {
			return true
		}
	}
	return false
}

func sortTracks(tracks []TrackDecl) {
	slices.SortFunc(tracks, func(a, b TrackDecl) int {
		return cmp.Or(bytes.Compare(a.ID[:], b.ID[:]), cmp.Compare(a.Kind, b.Kind))
	})
}
