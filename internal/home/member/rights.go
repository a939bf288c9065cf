package member

import (
	"bytes"
	"fmt"
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// Rights say what a person may see.
type Rights struct {
	All     bool          // every camera with sound, later ones too; Cameras is empty then
	Cameras []CameraRight // sorted by id
}

// CameraRight is the right to one camera: pictures, events, and sound if it says so.
type CameraRight struct {
	Camera latchkey.CameraID
	Sound  bool
}

// rightsOf reads a member's rights out of his tracks. A camera without sound
// counts as one whose sound he may hear.
func rightsOf(m chain.Member, state chain.State) Rights {
	r := Rights{All: m.AllTracks}
	if r.All {
		return r
	}
	for id, cam := range state.Cameras {
		right, some := CameraRight{Camera: id, Sound: true}, false
		for _, t := range cam.Tracks {
			sees := m.MaySee(t.ID)
			some = some || sees
			if t.Kind == latchkey.KindAudio {
				right.Sound = sees
			}
		}
		if some {
			r.Cameras = append(r.Cameras, right)
		}
	}
	slices.SortFunc(r.Cameras, func(a, b CameraRight) int { return bytes.Compare(a.Camera[:], b.Camera[:]) })
	return r
}

// tracks are what a `member` statement lists for these rights. What tells faces
// (KindBio) is in no right to a camera: only who may see all has it.
func (r Rights) tracks(state chain.State) ([]latchkey.TrackID, error) {
	if r.All {
		return nil, nil
	}
	var out []latchkey.TrackID
	for _, right := range r.Cameras {
		cam, ok := state.Cameras[right.Camera]
		if !ok {
			return nil, fmt.Errorf("camera %v: %w", right.Camera, latchkey.ErrNotFound)
		}
		for _, t := range cam.Tracks {
			if t.Kind != latchkey.KindBio && (t.Kind != latchkey.KindAudio || right.Sound) {
				out = append(out, t.ID)
			}
		}
	}
	return out, nil
}

// mayShare says who may give footage on: a viewer may only look.
func mayShare(role chain.Role) bool { return role != chain.RoleViewer }

// parseRole reads a role; empty is member.
func parseRole(s string) (chain.Role, error) {
	switch role := chain.Role(s); role {
	case "":
		return chain.RoleMember, nil
	case chain.RoleAdmin, chain.RoleMember, chain.RoleViewer:
		return role, nil
	}
	return "", fmt.Errorf("%w: %q is no role: admin, member or viewer", latchkey.ErrInvalid, s)
}
