package uplinktest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
)

// accounts is sign-in.
type accounts struct {
	latchkeyv1connect.UnimplementedAccountServiceHandler
	*Cloud
}

func (a accounts) Challenge(_ context.Context, req *connect.Request[latchkeyv1.ChallengeRequest]) (*connect.Response[latchkeyv1.ChallengeResponse], error) {
	nonce := make([]byte, 16)
	rand.Read(nonce)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.nonces[string(nonce)] = true
	return connect.NewResponse(&latchkeyv1.ChallengeResponse{Nonce: nonce, Household: req.Msg.GetHousehold(), Server: a.URL}), nil
}

func (a accounts) Login(_ context.Context, req *connect.Request[latchkeyv1.LoginRequest]) (*connect.Response[latchkeyv1.LoginResponse], error) {
	refuse := func(why string) (*connect.Response[latchkeyv1.LoginResponse], error) {
		return nil, connect.NewError(connect.CodeUnauthenticated, errors.New(why))
	}
	n, err := chain.ParseNote(req.Msg.GetNote())
	if err != nil {
		return refuse(err.Error())
	}
	l, err := chain.ParseLogin(n)
	if err != nil {
		return refuse(err.Error())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key, party, ok := a.state.LoginKey(l.By)
	switch {
	case a.Trust:
		party = l.By
	case !ok && l.Household == a.state.Household:
		return nil, a.farewell(l.By)
	case !ok || l.Household != a.state.Household:
		return refuse("not of this household")
	case n.Verify(key) != nil:
		return refuse("signature")
	case !a.nonces[string(l.Nonce[:])]:
		return refuse("nonce")
	case l.Server != a.URL:
		return refuse("origin")
	}
	delete(a.nonces, string(l.Nonce[:]))
	b := make([]byte, 32)
	rand.Read(b)
	token := hex.EncodeToString(b)
	a.tokens[token] = party
	return connect.NewResponse(&latchkeyv1.LoginResponse{Token: token, Household: l.Household[:], Kid: party[:]}), nil
}

// farewell refuses a key that the household has not, with the statement that
// removed it, if there is one. Callers hold mu.
func (c *Cloud) farewell(by latchkey.Kid) error {
	refusal := connect.NewError(connect.CodeUnauthenticated, errors.New("not of this household"))
	for _, raw := range c.notes {
		n, err := chain.ParseNote(raw)
		if err != nil {
			continue
		}
		st, err := chain.ParseStatement(n)
		if err != nil {
			continue
		}
		if un, ok := st.(chain.Unhub); ok && un.Kid == by {
			if d, err := connect.NewErrorDetail(&latchkeyv1.GetChainResponse{Notes: [][]byte{raw}}); err == nil {
				refusal.AddDetail(d)
			}
		}
	}
	return refusal
}

// ForgetSessions makes every token invalid.
func (c *Cloud) ForgetSessions() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tokens)
}

// chains serves the chain to whoever is signed in.
type chains struct {
	latchkeyv1connect.UnimplementedChainServiceHandler
	*Cloud
}

func (s chains) GetChain(_ context.Context, req *connect.Request[latchkeyv1.GetChainRequest]) (*connect.Response[latchkeyv1.GetChainResponse], error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := req.Header().Get("Authorization")
	if _, ok := s.tokens[token[min(len("Bearer "), len(token)):]]; !ok {
		return nil, connect.NewError(connect.CodeUnauthenticated, errors.New("no session"))
	}
	from := min(req.Msg.GetFromSeq(), uint64(len(s.notes)))
	return connect.NewResponse(&latchkeyv1.GetChainResponse{Notes: s.notes[from:]}), nil
}

// AppendStatement takes an anchor of the hub that is signed in.
func (s chains) AppendStatement(_ context.Context, req *connect.Request[latchkeyv1.AppendStatementRequest]) (*connect.Response[latchkeyv1.AppendStatementResponse], error) {
	token := req.Header().Get("Authorization")
	s.mu.Lock()
	hub, ok := s.tokens[token[min(len("Bearer "), len(token)):]]
	state, notes, answer := s.state, s.notes, s.OnAnchor
	s.mu.Unlock()
	if !ok {
		return nil, connect.NewError(connect.CodeUnauthenticated, errors.New("no session"))
	}
	n, err := chain.ParseNote(req.Msg.GetNote())
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	st, err := chain.ParseStatement(n)
	if err != nil || n.Type != chain.TypeAnchor || st.Common().By != hub {
		return nil, connect.NewError(connect.CodePermissionDenied, fmt.Errorf("a hub appends its anchors (%v)", err))
	}
	lose := false
	if answer != nil {
		if lose, err = answer(); err != nil {
			return nil, err
		}
		s.mu.Lock()
		state, notes = s.state, s.notes
		s.mu.Unlock()
	}
	if _, err := chain.Apply(state, n, time.Now().Unix()); errors.Is(err, latchkey.ErrConflict) {
		return nil, connect.NewError(connect.CodeAborted, err)
	} else if err != nil {
		return nil, connect.NewError(connect.CodePermissionDenied, err)
	}
	s.SetChain(append(notes[:len(notes):len(notes)], req.Msg.GetNote()))
	if lose {
		return nil, connect.NewError(connect.CodeUnavailable, errors.New("the answer is lost"))
	}
	return connect.NewResponse(&latchkeyv1.AppendStatementResponse{Seq: state.Seq + 1}), nil
}

// mailbox carries pairing mail.
type mailbox struct {
	latchkeyv1connect.UnimplementedPairingServiceHandler
	*Cloud
}

func boxName(rendezvous []byte, slot latchkeyv1.MailSlot) string {
	return hex.EncodeToString(rendezvous) + slot.String()
}

// PutMail stores mail; also for tests that play the admin.
func (m mailbox) PutMail(_ context.Context, req *connect.Request[latchkeyv1.PutMailRequest]) (*connect.Response[latchkeyv1.PutMailResponse], error) {
	if err := m.Mail(req.Msg.GetRendezvous(), req.Msg.GetSlot(), req.Msg.GetBody()); err != nil {
		return nil, connect.NewError(connect.CodeAborted, err)
	}
	return connect.NewResponse(&latchkeyv1.PutMailResponse{}), nil
}

func (m mailbox) GetMail(ctx context.Context, req *connect.Request[latchkeyv1.GetMailRequest]) (*connect.Response[latchkeyv1.GetMailResponse], error) {
	end := time.Now().Add(time.Duration(req.Msg.GetWaitSeconds()) * time.Second)
	for time.Now().Before(end) && ctx.Err() == nil {
		if b := m.Mailed(req.Msg.GetRendezvous(), req.Msg.GetSlot()); b != nil {
			return connect.NewResponse(&latchkeyv1.GetMailResponse{Body: b}), nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, connect.NewError(connect.CodeNotFound, errors.New("no mail"))
}

// Mail puts mail into a box; each slot takes one.
func (c *Cloud) Mail(rendezvous []byte, slot latchkeyv1.MailSlot, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := boxName(rendezvous, slot)
	if c.boxes[name] != nil {
		return latchkey.ErrConflict
	}
	c.boxes[name] = body
	return nil
}

// Mailed returns the mail of a box, nil when there is none.
func (c *Cloud) Mailed(rendezvous []byte, slot latchkeyv1.MailSlot) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.boxes[boxName(rendezvous, slot)]
}
