package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/publiclog"
	"latchkey.dev/latchkey/ledger"
	"latchkey.dev/latchkey/part"
)

// troubleRelease is what members are told of refused requests to open footage.
const troubleRelease = "release"

// refusalShown is how long they are told.
const refusalShown = time.Hour

// Opening implements uplink.Handler: the second key of a two-key grant (protocol
// 2.8). The server carries the request and is believed in nothing: everything is
// held against the hub's own chain and the policy that it has pinned.
func (a *agent) Opening(ctx context.Context, m *latchkeyv1.UplinkOpening) (latchkeyv1.OpeningResult, []byte) {
	released, err := a.release(ctx, m)
	switch {
	case err == nil:
		return latchkeyv1.OpeningResult_OPENING_RESULT_RELEASED, released
	case errors.Is(err, latchkey.ErrUnavailable):
		a.log.Warn("footage not released", "err", err)
		return latchkeyv1.OpeningResult_OPENING_RESULT_FAILED, nil
	}
	a.log.Warn("a request to open footage was refused", "err", err)
	a.setTrouble(troubleRelease, "Somebody asked to open footage and was refused: "+refusalWords(err)+" If you did not expect this, tell whoever runs the server.")
	a.mu.Lock()
	a.refusals++
	nth := a.refusals
	a.mu.Unlock()
	time.AfterFunc(refusalShown, func() {
		a.mu.Lock()
		latest := nth == a.refusals
		a.mu.Unlock()
		if latest {
			a.setTrouble(troubleRelease, "")
		}
	})
	return latchkeyv1.OpeningResult_OPENING_RESULT_REFUSED, nil
}

// refusal is a request that this hub does not answer, with words for members.
type refusal struct{ words string }

func (r *refusal) Error() string { return r.words }
func (r *refusal) Unwrap() error { return latchkey.ErrRefused }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

func refusalWords(err error) string {
	var r *refusal
	if errors.As(err, &r) {
		return r.words + "."
	}
	return "the request was malformed."
}

// opened is an opening on its way through the checks.
type opened struct {
	note  chain.Note
	asked chain.Opening
	staff ledger.Staff
	grant chain.Grant
}

func (a *agent) release(ctx context.Context, m *latchkeyv1.UplinkOpening) ([]byte, error) {
	o, err := a.readOpening(m)
	if err != nil {
		return nil, err
	}
	// A revocation that the server has just taken must count.
	grew, err := a.roster.refresh(ctx)
	if grew {
		signal(a.prove)
		a.wake()
	}
	if err != nil {
		return nil, fmt.Errorf("hub: release: %w", err)
	}
	if a.public.known().Broken != nil {
		return nil, refuse("the public log cannot be right, so a revocation may have been kept back")
	}
	policy, log, err := a.logNow(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if err := o.checkStaff(policy, m, now); err != nil {
		return nil, err
	}
	if err := a.checkGrant(&o, now); err != nil {
		return nil, err
	}
	if err := a.checkAccess(ctx, policy, log, &o, m); err != nil {
		return nil, err
	}
	if chain.TextHash(m.GetMask()) != o.grant.Mask {
		return nil, refuse("the key to it is another than the grant names")
	}
	mask, err := a.identity.Sealing.OpenMask(a.roster.household, o.asked.Grant, m.GetMask())
	if err != nil {
		return nil, refuse("the key to it is not for this hub")
	}
	defer mask.Erase()
	// Last: what is refused uses nothing up.
	if err := a.guard.fresh(o.asked.Nonce, o.asked.Time, now); err != nil {
		return nil, refuse("the request is old, or was made before")
	}
	a.noteReach(o.asked, now)
	a.log.Info("footage released", "grant", o.asked.Grant, "to", o.staff.ID, "entries", len(o.asked.Entries), "statement", m.GetSeq())
	return seal.Release(a.roster.household, o.asked.Grant, mask, o.asked.Entries, o.staff.X)
}

// noteReach remembers a grant of which a key reaches into the future, before it is
// given away.
func (a *agent) noteReach(asked chain.Opening, now time.Time) {
	for _, e := range asked.Entries {
		start, ok := a.book.start(e.Epoch)
		_, until := part.Node{Level: e.Level, Index: e.Index}.Range()
		if ok && start+int64(until) > now.Unix() {
			a.mu.Lock()
			a.reaching[asked.Grant] = true
			a.mu.Unlock()
			return
		}
	}
}

// endedReaches lists the grants that reached into the future and were revoked, sorted.
func (a *agent) endedReaches() []latchkey.GrantID {
	latest := a.roster.latest()
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []latchkey.GrantID
	for id := range a.reaching {
		if latest.Grants[id].Revoked {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, func(x, y latchkey.GrantID) int { return slices.Compare(x[:], y[:]) })
	return out
}

func (a *agent) readOpening(m *latchkeyv1.UplinkOpening) (opened, error) {
	n, err := chain.ParseNote(m.GetNote())
	if err != nil {
		return opened{}, err
	}
	asked, err := chain.ParseOpening(n)
	if err != nil {
		return opened{}, err
	}
	if asked.Household != a.roster.household {
		return opened{}, refuse("it is about another household")
	}
	return opened{note: n, asked: asked}, nil
}

// logNow is the pinned policy and the log under it.
func (a *agent) logNow(ctx context.Context) (*ledger.Policy, *publiclog.Log, error) {
	if err := a.public.pin(ctx, a.logServer(a.roster), a.roster); err != nil {
		return nil, nil, err
	}
	facts := a.public.now()
	policy, err := publiclog.Parse(facts.Pin.Policy, a.roster.verified())
	if err != nil {
		return nil, nil, err
	}
	log := publiclog.Open(a.logServer(a.roster), policy, facts.Pin, [ledger.TagSize]byte(facts.Key), a.public.keep)
	return policy, log, nil
}

// checkStaff checks who asks: staff of now, in the log, with his own signature.
func (o *opened) checkStaff(policy *ledger.Policy, m *latchkeyv1.UplinkOpening, now time.Time) error {
	proof, err := ledger.ParseProof(m.GetStaffProof())
	if err != nil {
		return refuse("there is no proof that who asks is staff")
	}
	if o.staff, err = policy.ProvenStaff(m.GetStaff(), proof, now); err != nil {
		return refuse("who asks is not proven to be staff now")
	}
	if chain.KidOf(o.staff.Ed) != o.asked.By || o.note.Verify(o.staff.Ed) != nil {
		return refuse("%s has not signed it", o.staff.ID)
	}
	return nil
}

// checkGrant checks that the grant is to who asks, runs, and is for this hub to
// release. The one who gave it has to count already: somebody whose admission no
// proof covers gives nothing.
func (a *agent) checkGrant(o *opened, now time.Time) error {
	state, counts := a.roster.latest(), a.roster.state()
	g, ok := state.Grants[o.asked.Grant]
	giver, member := counts.Members[g.By]
	switch {
	case !ok:
		return refuse("no such footage was granted")
	case g.Revoked || counts.Grants[o.asked.Grant].Revoked:
		return refuse("the grant was ended")
	case now.Unix() >= g.Until:
		return refuse("the time of the grant is over")
	case g.Release != a.Kid():
		return refuse("it is for another hub to release")
	case g.To != chain.KidOf(o.staff.X):
		return refuse("it was granted to another than %s", o.staff.ID)
	case !member || giver.Role != chain.RoleAdmin && !giver.Share:
		return refuse("whoever granted it may not, or is not proven to be of the household yet")
	}
	o.grant = g
	return nil
}

// checkAccess checks that a statement of the household's chain, which the public
// log has, says who opens what: nothing is released that it does not name.
func (a *agent) checkAccess(ctx context.Context, policy *ledger.Policy, log *publiclog.Log, o *opened, m *latchkeyv1.UplinkOpening) error {
	if err := a.roster.reaches(m.GetSeq(), o.asked.Access); err != nil {
		return refuse("the household's chain does not say that it is opened")
	}
	n, err := chain.ParseNote(a.roster.notes()[m.GetSeq()])
	if err != nil {
		return err
	}
	st, err := chain.ParseStatement(n)
	if err != nil {
		return err
	}
	access, ok := st.(chain.Access)
	if !ok || access.Grant != o.asked.Grant || access.Staff != o.grant.To {
		return refuse("the household's chain does not say that it is opened")
	}
	for _, e := range o.asked.Entries {
		if !slices.Contains(access.Entries, e) {
			return refuse("more is asked for than the household's chain says")
		}
	}
	proof, err := ledger.ParseProof(m.GetProof())
	if err != nil {
		return refuse("there is no proof that the public log says so")
	}
	key := [ledger.TagSize]byte(a.public.now().Key)
	leaf := ledger.Entry{Tag: ledger.TagOf(&key, m.GetSeq()), Value: n.Hash()}
	checkpoint, err := proof.Check(policy, leaf.Encode())
	if err != nil {
		return refuse("the public log does not say that it is opened")
	}
	if err := log.Same(ctx, checkpoint); errors.Is(err, latchkey.ErrVerify) {
		return refuse("the public log that says so is another than before")
	} else if err != nil {
		return err
	}
	return nil
}
