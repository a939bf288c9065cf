package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
)

// The roles of staff. None of them opens anything: what somebody may look at, a
// household says.
const (
	RoleSupport   = "support"
	RoleAnnotator = "annotator"
	RoleModerator = "moderator"
	RoleAuditor   = "auditor"
	RoleLegal     = "legal"
	RoleEngineer  = "engineer"
	RoleAdmin     = "admin"
)

// StaffRoles are all roles, in the order in which they are shown.
var StaffRoles = [...]string{RoleSupport, RoleAnnotator, RoleModerator, RoleAuditor, RoleLegal, RoleEngineer, RoleAdmin}

// Staff is the public statement of who works for the operator, in which role and
// with which keys (protocol 2.12). The policy's staff root signs it, offline. It
// holds for at most a week: whoever is not named anew is gone.
type Staff struct {
	ID          string            // name, 1 to 64 of a–z, 0–9 and -, not first or last a -
	Role        string            // one of StaffRoles
	Ed          ed25519.PublicKey // signs sign-ins and openings
	X           []byte            // X-Wing key: grants are to it
	Trained     int64             // unix seconds: when the person confirmed the training
	From, Until int64             // unix seconds, half open
}

const (
	staffType   = notePrefix + "staff\n"
	staffXSize  = 1216
	maxStaffID  = 64
	staffRootID = "staff note"
	// StaffLife is the longest that a staff note may hold, in seconds.
	StaffLife = 7 * 24 * 3600
)

// Text returns what is signed.
func (s Staff) Text() string {
	return fmt.Sprintf("%sid %s\nrole %s\ned %s\nx %s\ntrained %d\nfrom %d\nuntil %d\n", staffType, s.ID, s.Role,
		latchkey.B64(s.Ed), latchkey.B64(s.X), s.Trained, s.From, s.Until)
}

// Check reports what keeps the statement from being written down; nil if nothing does.
func (s Staff) Check() error {
	switch {
	case !StaffName(s.ID):
		return invalid(staffRootID, "%q is no name: 1 to %d of a–z, 0–9 and -", s.ID, maxStaffID)
	case !slices.Contains(StaffRoles[:], s.Role):
		return invalid(staffRootID, "role %q, want one of %s", s.Role, strings.Join(StaffRoles[:], ", "))
	case len(s.Ed) != ed25519.PublicKeySize || len(s.X) != staffXSize:
		return invalid(staffRootID, "keys of %d and %d bytes", len(s.Ed), len(s.X))
	case s.Trained < 0 || s.Trained > s.From:
		return invalid(staffRootID, "the training lies after the beginning")
	case s.From >= s.Until || s.Until > maxNumber || s.Until-s.From > StaffLife:
		return invalid(staffRootID, "from %d until %d: at most seven days", s.From, s.Until)
	}
	return nil
}

// StaffName reports whether s can name a person of the staff.
func StaffName(s string) bool {
	return s != "" && len(s) <= maxStaffID && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && strings.Trim(s, "-") == s
}

// At reports whether the statement holds at a time.
func (s Staff) At(now time.Time) bool { return s.From <= now.Unix() && now.Unix() < s.Until }

// ParseStaff reads the text of a staff note strictly: it is what Text returns.
func ParseStaff(text string) (Staff, error) {
	rest, ok := strings.CutPrefix(text, staffType)
	lines := strings.Split(rest, "\n")
	if !ok || len(lines) != 8 {
		return Staff{}, invalid(staffRootID, "want its type and seven lines")
	}
	var values [7]string
	for i, key := range []string{"id ", "role ", "ed ", "x ", "trained ", "from ", "until "} {
		if values[i], ok = strings.CutPrefix(lines[i], key); !ok {
			return Staff{}, invalid(staffRootID, "line %d, want %q", i+2, key)
		}
	}
	s := Staff{ID: values[0], Role: values[1]}
	s.Ed, _ = base64.StdEncoding.DecodeString(values[2])
	s.X, _ = base64.StdEncoding.DecodeString(values[3])
	var fine [3]bool
	s.Trained, fine[0] = number(values[4])
	s.From, fine[1] = number(values[5])
	s.Until, fine[2] = number(values[6])
	if slices.Contains(fine[:], false) || s.Check() != nil || s.Text() != text {
		return Staff{}, invalid(staffRootID, "a value is not in its one form, or none that it may have")
	}
	return s, nil
}

// Staff reads a signed staff note and holds it against the policy: its staff
// root has signed it. Whether it holds now, At tells.
func (p *Policy) Staff(raw []byte) (Staff, error) {
	if len(p.StaffRoots) == 0 {
		return Staff{}, broken(staffRootID, "the policy names nobody who may say who is staff")
	}
	verifiers := make([]note.Verifier, len(p.StaffRoots))
	for i, r := range p.StaffRoots {
		verifiers[i] = r.verifier
	}
	n, err := openNote(staffRootID, raw, verifiers)
	if err != nil {
		return Staff{}, err
	}
	s, err := ParseStaff(n.Text)
	if err != nil {
		return Staff{}, err
	}
	if !slices.ContainsFunc(verifiers, func(v note.Verifier) bool { return signedBy(n, v) }) {
		return Staff{}, broken(staffRootID, "the policy's staff root has not signed it")
	}
	return s, nil
}

// ProvenStaff is Staff for a note whose place in the log is proven, and which
// holds at now: what a client asks before it gives that person anything.
func (p *Policy) ProvenStaff(raw []byte, proof Proof, now time.Time) (Staff, error) {
	s, err := p.Staff(raw)
	if err != nil {
		return Staff{}, err
	}
	if _, err := proof.Check(p, Entry{Note: raw}.Encode()); err != nil {
		return Staff{}, err
	}
	if !s.At(now) {
		return Staff{}, broken(staffRootID, "%s is staff from %s to %s, and not now", s.ID,
			time.Unix(s.From, 0).UTC().Format(time.RFC3339), time.Unix(s.Until, 0).UTC().Format(time.RFC3339))
	}
	return s, nil
}
