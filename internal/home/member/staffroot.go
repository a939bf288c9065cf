package member

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/signkey"
	"latchkey.dev/latchkey/ledger"
)

const (
	staffRootFile = "staff-root.key"
	staffInvites  = "invited"
	staffSigned   = "signed"
	deskPath      = "/desk"
	// staffClock is how far before now a staff note begins: clocks differ.
	staffClock = 5 * time.Minute
)

// StaffRoot is the key that says who is staff. It belongs on a machine of its own,
// away from the service: it is asked once a week.
type StaffRoot struct {
	store *store
	key   signkey.Key
	http  *http.Client
}

// NewStaffRoot opens the staff root in opts.Home, or draws one under this name.
func NewStaffRoot(opts Options, name string) (*StaffRoot, error) {
	s, err := openStore(opts)
	if err != nil {
		return nil, err
	}
	key, err := signkey.Open(s.disk, filepath.Join(s.dir, staffRootFile), name)
	if err != nil {
		return nil, fmt.Errorf("member: staff root: %w", err)
	}
	return &StaffRoot{store: s, key: key, http: opts.HTTP}, nil
}

// OpenStaffRoot opens the staff root in opts.Home; none is fs.ErrNotExist.
func OpenStaffRoot(opts Options) (*StaffRoot, error) {
	s, err := openStore(opts)
	if err != nil {
		return nil, err
	}
	key, err := signkey.Read(filepath.Join(s.dir, staffRootFile))
	if err != nil {
		return nil, fmt.Errorf("member: staff root: %w", err)
	}
	return &StaffRoot{store: s, key: key, http: opts.HTTP}, nil
}

// PolicyLine is what a server's policy names this root by.
func (r *StaffRoot) PolicyLine() string { return "staffroot staff " + r.key.VKey }

// invited is one invitation, as the root keeps it.
type invited struct {
	Role   string `json:"role"`
	Secret string `json:"secret"`
	Made   int64  `json:"made"` // unix seconds
}

// inviteLife is how long an invitation is good for.
const inviteLife = 7 * 24 * time.Hour

func (r *StaffRoot) invites() ([]invited, error) {
	var list []invited
	if _, err := r.store.loadSealed(staffInvites, &list); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(i invited) bool { return time.Since(time.Unix(i.Made, 0)) > inviteLife }), nil
}

// Invite makes an invitation to work at a server in a role: a link for one person.
func (r *StaffRoot) Invite(server, role string) (string, error) {
	if !slices.Contains(ledger.StaffRoles[:], role) {
		return "", fmt.Errorf("member: invite staff: %w: the roles are %s", latchkey.ErrInvalid, strings.Join(ledger.StaffRoles[:], ", "))
	}
	a, err := newAPI(server, r.http)
	if err != nil {
		return "", err
	}
	list, err := r.invites()
	if err != nil {
		return "", err
	}
	i := keys.NewStaffInvite()
	defer i.Erase()
	if err := r.store.saveSealed(staffInvites, append(list, invited{Role: role, Secret: i.Reveal(), Made: time.Now().Unix()})); err != nil {
		return "", err
	}
	return a.origin + deskPath + "#" + i.Reveal() + "." + role, nil
}

// Applicant is somebody who waits for the root's signature.
type Applicant struct {
	ID, Role string
	Kid      latchkey.Kid
	Trained  time.Time
	Received time.Time
	Invited  bool // with an invitation of this root, for this role
	note     chain.Applicant
	secret   string // of the invitation
}

// Applicants lists who waits at a server. Notes that do not hold are left out.
func (r *StaffRoot) Applicants(ctx context.Context, server string) ([]Applicant, error) {
	a, err := newAPI(server, r.http)
	if err != nil {
		return nil, err
	}
	res, err := invoke(ctx, "list applicants", "", a.staff.ListApplicants, &latchkeyv1.ListApplicantsRequest{})
	if err != nil {
		return nil, err
	}
	list, err := r.invites()
	if err != nil {
		return nil, err
	}
	var out []Applicant
	for _, one := range res.Applicants {
		n, err := chain.ParseNote(one.Note)
		if err != nil {
			continue
		}
		who, err := chain.ParseApplicant(n)
		if err != nil {
			continue
		}
		secret := inviteOf(list, n.Hash(), one.Mac, who.Role)
		out = append(out, Applicant{
			ID: who.ID, Role: who.Role, Kid: chain.KidOf(who.Ed), Trained: time.Unix(who.Trained, 0).UTC(), Received: time.UnixMilli(one.ReceivedMs).UTC(),
			Invited: secret != "", note: who, secret: secret,
		})
	}
	return out, nil
}

// inviteOf is the secret of the invitation that an application came with; empty: of
// none.
func inviteOf(list []invited, text latchkey.Hash, mac []byte, role string) string {
	at := slices.IndexFunc(list, func(i invited) bool {
		s, err := keys.ParseStaffInvite(i.Secret)
		if err != nil {
			return false
		}
		defer s.Erase()
		return i.Role == role && s.CheckMAC(text, mac) == nil
	})
	if at < 0 {
		return ""
	}
	return list[at].Secret
}

// ErrIDTaken is an applicant with the id of somebody else for whom the root has
// signed, or the same person with other keys.
var ErrIDTaken = fmt.Errorf("%w: this root has signed for other keys under that id", latchkey.ErrRefused)

// Sign signs for an applicant, and publishes that he is staff for so long, at most
// a week; his invitation is used up. One who was not invited is latchkey.ErrRefused,
// one whose id has other keys is ErrIDTaken unless he replaces them.
func (r *StaffRoot) Sign(ctx context.Context, server string, who Applicant, life time.Duration, replace bool) (ledger.Staff, error) {
	fail := func(err error) (ledger.Staff, error) {
		return ledger.Staff{}, fmt.Errorf("member: sign staff: %w", err)
	}
	if !who.Invited {
		return fail(fmt.Errorf("%w: %s was not invited with a link of this root", latchkey.ErrRefused, who.ID))
	}
	known, err := r.signed()
	if err != nil {
		return fail(err)
	}
	if !replace && slices.ContainsFunc(known, func(s ledger.Staff) bool { return s.ID == who.ID && !s.Ed.Equal(who.note.Ed) }) {
		return fail(fmt.Errorf("%w: %s", ErrIDTaken, who.ID))
	}
	list, err := r.invites()
	if err != nil {
		return fail(err)
	}
	// Before he is staff: an invitation that is good twice is good for a stranger.
	if err := r.store.saveSealed(staffInvites, slices.DeleteFunc(list, func(i invited) bool { return i.Secret == who.secret })); err != nil {
		return fail(err)
	}
	return r.sign(ctx, server, ledger.Staff{ID: who.ID, Role: who.Role, Ed: who.note.Ed, X: who.note.X, Trained: who.note.Trained}, life)
}

// Renew signs anew for somebody for whom this root has signed before: what it
// signed it keeps, and asks nobody else.
func (r *StaffRoot) Renew(ctx context.Context, server, id string, life time.Duration) (ledger.Staff, error) {
	list, err := r.signed()
	if err != nil {
		return ledger.Staff{}, err
	}
	i := slices.IndexFunc(list, func(s ledger.Staff) bool { return s.ID == id })
	if i < 0 {
		return ledger.Staff{}, fmt.Errorf("member: renew staff: this root has signed for no %q: %w", id, latchkey.ErrNotFound)
	}
	return r.sign(ctx, server, list[i], life)
}

func (r *StaffRoot) signed() (list []ledger.Staff, err error) {
	_, err = r.store.loadSealed(staffSigned, &list)
	return list, err
}

func (r *StaffRoot) sign(ctx context.Context, server string, s ledger.Staff, life time.Duration) (ledger.Staff, error) {
	now := time.Now()
	s.From, s.Until = now.Add(-staffClock).Unix(), now.Add(life).Unix()
	s.Trained = min(s.Trained, s.From)
	if s.Until-s.From > ledger.StaffLife {
		s.Until = s.From + ledger.StaffLife
	}
	if err := s.Check(); err != nil {
		return s, err
	}
	signer, err := r.key.Signer()
	if err != nil {
		return s, err
	}
	raw, err := note.Sign(&note.Note{Text: s.Text()}, signer)
	if err != nil {
		return s, err
	}
	a, err := newAPI(server, r.http)
	if err != nil {
		return s, err
	}
	list, err := r.signed()
	if err != nil {
		return s, err
	}
	list = append(slices.DeleteFunc(list, func(o ledger.Staff) bool { return o.ID == s.ID }), s)
	if err := r.store.saveSealed(staffSigned, list); err != nil {
		return s, err
	}
	_, err = invoke(ctx, "publish staff", "", a.staff.PublishStaff, &latchkeyv1.PublishStaffRequest{Note: raw})
	return s, err
}

// errNoStaffHere is a folder in which nobody of staff lives.
var errNoStaffHere = fmt.Errorf("nobody of staff lives here: %w", fs.ErrNotExist)

// isMissing reports a file that is not there.
func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// StaffEntry is somebody of staff, as a server lists him now.
type StaffEntry struct {
	ID, Role    string
	Kid         latchkey.Kid
	From, Until time.Time
	Logged      bool // the public log has it, under the policy that the server names
}

// StaffNow lists who is staff of a server now. Notes that the staff root of its
// policy has not signed are left out.
func StaffNow(ctx context.Context, opts Options, server string) ([]StaffEntry, error) {
	a, err := newAPI(server, opts.HTTP)
	if err != nil {
		return nil, err
	}
	text, err := a.log().Policy(ctx)
	if err != nil {
		return nil, err
	}
	policy, err := ledger.ParsePolicy(text)
	if err != nil {
		return nil, err
	}
	res, err := invoke(ctx, "list staff", "", a.staff.ListStaff, &latchkeyv1.ListStaffRequest{})
	if err != nil {
		return nil, err
	}
	var out []StaffEntry
	for _, e := range res.Staff {
		s, err := policy.Staff(e.Note)
		if err != nil {
			continue
		}
		_, proven := provenStaff(policy, e)
		out = append(out, StaffEntry{
			ID: s.ID, Role: s.Role, Kid: chain.KidOf(s.Ed), From: time.Unix(s.From, 0).UTC(), Until: time.Unix(s.Until, 0).UTC(), Logged: proven == nil,
		})
	}
	return out, nil
}
