package cloud

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// Step-up (spec/wire): a browser's session changes who may see, or what opens
// the vault, only after a touch for exactly that. It keeps a stolen cookie from
// doing so; the chain itself is protected by keys.

// needsTouch returns the member when his session needs a touch, else nil:
// the command line has nothing to touch, nor has who has no passkey.
func (s *Server) needsTouch(ctx context.Context, session catalog.Session) (*owner, error) {
	if !session.Browser {
		return nil, nil
	}
	passkeys, err := s.catalog.Passkeys(ctx, session.Household, session.Kid)
	if err != nil || len(passkeys) == 0 {
		return nil, err
	}
	return s.ownerOf(ctx, session.Household, session.Kid)
}

func (p *passkeyService) BeginStepUp(ctx context.Context, req *connect.Request[v1.BeginStepUpRequest]) (*connect.Response[v1.BeginStepUpResponse], error) {
	session, purpose := sessionOf(ctx), req.Msg.GetPurpose()
	if len(purpose) != latchkey.HashSize {
		return nil, p.s.answer(ctx, fmt.Errorf("cloud: step up: %w: a purpose of %d bytes", latchkey.ErrInvalid, len(purpose)))
	}
	who, err := p.s.needsTouch(ctx, session)
	if err != nil {
		return nil, p.s.answer(ctx, err)
	}
	if who == nil {
		return connect.NewResponse(&v1.BeginStepUpResponse{}), nil
	}
	t := ticket{use: useStepUp, session: session.TokenHash, purpose: latchkey.Hash(purpose), origin: originFrom(ctx)}
	party, err := partyOf(t.origin)
	if err != nil {
		return nil, p.s.answer(ctx, err)
	}
	options, data, err := party.BeginLogin(who)
	if err != nil {
		return nil, p.s.answer(ctx, fmt.Errorf("cloud: step up: %w", err))
	}
	id, text, err := p.s.issue(t, options.Response, data)
	if err != nil {
		return nil, p.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.BeginStepUpResponse{Ticket: id, OptionsJson: text}), nil
}

// stepUp is nil if the session needs no touch for purpose or has brought one.
// Whatever it brought is used up.
func (s *Server) stepUp(ctx context.Context, session catalog.Session, purpose latchkey.Hash, touch *v1.StepUp) error {
	who, err := s.needsTouch(ctx, session)
	if err != nil || who == nil {
		return err
	}
	t, ok := s.tickets.take(touch.GetTicket(), useStepUp, session.TokenHash)
	if !ok || t.purpose != purpose {
		return because(reasonStepUp, fmt.Errorf("cloud: step up: %w: this needs a touch of your passkey, just now and for this alone", latchkey.ErrRefused))
	}
	_, err = s.assert(ctx, t, touch.GetAssertionJson(), func([]byte) (*owner, error) { return who, nil })
	if errors.Is(err, latchkey.ErrVerify) {
		return because(reasonStepUp, fmt.Errorf("cloud: step up: %w: the passkey's answer does not hold", latchkey.ErrRefused))
	}
	return err
}
