package cloud

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/ledger"
)

// staffService implements latchkey.v1.StaffService: who works here is public.
type staffService struct{ s *Server }

const (
	maxApplicants = 200
	applicantLife = 7 * 24 * time.Hour
	maxAhead      = time.Hour // how far before its beginning a staff note is taken
)

func (a *staffService) Apply(ctx context.Context, req *connect.Request[v1.ApplyRequest]) (*connect.Response[v1.ApplyResponse], error) {
	if err := a.apply(ctx, req.Msg); err != nil {
		return nil, a.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.ApplyResponse{}), nil
}

func (a *staffService) apply(ctx context.Context, m *v1.ApplyRequest) error {
	if len(a.s.ledger.Policy().StaffRoots) == 0 {
		return fmt.Errorf("cloud: apply: %w: the policy of this server names no staff root, so it has no staff", latchkey.ErrRefused)
	}
	n, err := chain.ParseNote(m.GetNote())
	if err != nil {
		return err
	}
	who, err := chain.ParseApplicant(n)
	if err != nil {
		return err
	}
	now := time.Now()
	switch age := now.Sub(time.Unix(who.Time, 0)).Abs(); {
	case !ledger.StaffName(who.ID) || len(m.GetMac()) != macSize:
		return fmt.Errorf("cloud: apply: %w: the name, or the MAC", latchkey.ErrInvalid)
	case age > challengeLife:
		return because(reasonClock, fmt.Errorf("cloud: apply: %w: the clocks are %s apart", latchkey.ErrRefused, age.Round(time.Second)))
	}
	if err := a.s.catalog.DropApplicants(ctx, now.Add(-applicantLife)); err != nil {
		return err
	}
	return a.s.catalog.PutApplicant(ctx, chain.KidOf(who.Ed), catalog.Applicant{Note: n.Raw, MAC: m.GetMac(), Received: now}, maxApplicants)
}

func (a *staffService) ListApplicants(ctx context.Context, _ *connect.Request[v1.ListApplicantsRequest]) (*connect.Response[v1.ListApplicantsResponse], error) {
	all, err := a.s.catalog.Applicants(ctx)
	if err != nil {
		return nil, a.s.answer(ctx, err)
	}
	res := &v1.ListApplicantsResponse{}
	for _, one := range all {
		res.Applicants = append(res.Applicants, &v1.Application{Note: one.Note, Mac: one.MAC, ReceivedMs: one.Received.UnixMilli()})
	}
	return connect.NewResponse(res), nil
}

// PublishStaff takes what the staff root has signed: whoever brings it.
func (a *staffService) PublishStaff(ctx context.Context, req *connect.Request[v1.PublishStaffRequest]) (*connect.Response[v1.PublishStaffResponse], error) {
	raw := req.Msg.GetNote()
	who, err := a.s.ledger.Policy().Staff(raw)
	now := time.Now()
	if err == nil && (who.Until <= now.Unix() || who.From > now.Add(maxAhead).Unix()) {
		err = fmt.Errorf("cloud: publish staff: %w: the note holds at another time than now", latchkey.ErrRefused)
	}
	if err == nil {
		err = a.s.catalog.PutStaff(ctx, a.s.ledger.Policy().Origin(), catalog.Staff{
			Hash: sha256.Sum256(raw), Kid: chain.KidOf(who.Ed), XKid: chain.KidOf(who.X), ID: who.ID, Role: who.Role, From: who.From, Until: who.Until, Note: raw,
		})
	}
	if err != nil {
		return nil, a.s.answer(ctx, err)
	}
	a.s.ledger.Kick()
	a.s.log.InfoContext(ctx, "staff note published", "id", who.ID, "role", who.Role)
	return connect.NewResponse(&v1.PublishStaffResponse{}), nil
}

func (a *staffService) ListStaff(ctx context.Context, req *connect.Request[v1.ListStaffRequest]) (*connect.Response[v1.ListStaffResponse], error) {
	all, err := a.s.catalog.StaffNow(ctx, time.Now())
	if err != nil {
		return nil, a.s.answer(ctx, err)
	}
	res := &v1.ListStaffResponse{}
	for _, one := range all {
		if id := req.Msg.GetId(); id != "" && id != one.ID {
			continue
		}
		entry, err := a.s.staffEntry(ctx, one)
		if err != nil {
			return nil, a.s.answer(ctx, err)
		}
		res.Staff = append(res.Staff, entry)
	}
	return connect.NewResponse(res), nil
}

// staffEntry is a staff note with the proof of its place in the log, if it has
// one already.
func (s *Server) staffEntry(ctx context.Context, one catalog.Staff) (*v1.StaffEntry, error) {
	entry := &v1.StaffEntry{Note: one.Note}
	proof, err := s.ledger.Announced(ctx, one.Note)
	switch {
	case err == nil:
		entry.Proof = proof.Encode()
	case !errors.Is(err, latchkey.ErrNotFound):
		return nil, err
	}
	return entry, nil
}
