package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	v1connect "latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// chainService implements latchkey.v1.ChainService.
type chainService struct {
	v1connect.UnimplementedChainServiceHandler
	s *Server
}

func (c *chainService) GetChain(ctx context.Context, req *connect.Request[v1.GetChainRequest]) (*connect.Response[v1.GetChainResponse], error) {
	from := req.Msg.GetFromSeq()
	if from > 1<<62 {
		return nil, c.s.answer(ctx, fmt.Errorf("cloud: get chain: %w: seq %d", latchkey.ErrInvalid, from))
	}
	notes, err := c.s.catalog.Statements(ctx, sessionOf(ctx).Household, from, maxStatements)
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.GetChainResponse{Notes: notes}), nil
}

func (c *chainService) GetLogTagKey(ctx context.Context, _ *connect.Request[v1.GetLogTagKeyRequest]) (*connect.Response[v1.GetLogTagKeyResponse], error) {
	h, err := c.s.catalog.Household(ctx, sessionOf(ctx).Household)
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.GetLogTagKeyResponse{Key: h.LogTagKey[:]}), nil
}

func (c *chainService) AppendStatement(ctx context.Context, req *connect.Request[v1.AppendStatementRequest]) (*connect.Response[v1.AppendStatementResponse], error) {
	session := sessionOf(ctx)
	note, err := chain.ParseNote(req.Msg.GetNote())
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	if err := mayAppend(session, note); err != nil {
		return nil, c.s.answer(ctx, err)
	}
	change, err := changeOf(session, note, req.Msg.GetVault())
	if err == nil && touches(note.Type) {
		err = c.s.stepUp(ctx, session, note.Hash(), req.Msg.GetStepUp())
	}
	if err != nil {
		return nil, c.s.answer(ctx, err)
	}
	before, after, err := c.s.homes.append(ctx, session.Household, note, change)
	if err != nil {
		if errors.Is(err, latchkey.ErrVerify) {
			err = fmt.Errorf("%w: %w", latchkey.ErrRefused, err)
		}
		return nil, c.s.answer(ctx, err)
	}
	c.s.ledger.Kick()
	c.s.sessions.endOf(session.Household, removed(before, after))
	if touches(note.Type) {
		c.s.relay.Review(context.WithoutCancel(ctx), session.Household)
	}
	c.s.hubs.notify(session.Household, after.Seq)
	c.s.deskHolds.review(session.Household, func(id latchkey.GrantID) bool { return inForce(after.Grants[id], time.Now()) })
	c.s.settleContacts(ctx, session.Household, note.Type)
	c.s.log.InfoContext(ctx, "statement accepted", "household", session.Household, "seq", after.Seq, "type", note.Type)
	return connect.NewResponse(&v1.AppendStatementResponse{Seq: after.Seq}), nil
}

// mayAppend holds a hub to its own anchors; whether a member may, chain.Apply
// says.
func mayAppend(session catalog.Session, note chain.Note) error {
	if session.Kind != catalog.Hub {
		return nil
	}
	if note.Type != chain.TypeAnchor {
		return fmt.Errorf("cloud: append statement: %w: a hub appends anchors, and nothing else", latchkey.ErrRefused)
	}
	st, err := chain.ParseStatement(note)
	if err == nil && st.Common().By != session.Kid {
		err = fmt.Errorf("cloud: append statement: %w: the anchor is another hub's", latchkey.ErrRefused)
	}
	return err
}

// touches reports whether a browser has to ask for a touch first: these change
// who may see.
func touches(noteType string) bool {
	switch noteType {
	case chain.TypeMember, chain.TypeUnmember, chain.TypeUnhub, chain.TypeRekey, chain.TypeGrant, chain.TypeRevoke:
		return true
	}
	return false
}

// changeOf is what the server stores along with a statement. Only a rekey
// changes more than the chain. The statement itself is judged by chain.Apply.
func changeOf(session catalog.Session, note chain.Note, put *v1.PutVaultRequest) (catalog.Change, error) {
	c := catalog.Change{Household: session.Household, Note: note.Raw}
	if note.Type != chain.TypeRekey {
		if put != nil {
			return c, fmt.Errorf("cloud: append statement: %w: only a rekey brings a vault", latchkey.ErrInvalid)
		}
		return c, nil
	}
	st, err := chain.ParseStatement(note)
	if err != nil {
		return c, err
	}
	rekey, ok := st.(chain.Rekey)
	if !ok || rekey.Kid != session.Kid {
		return c, fmt.Errorf("cloud: append statement: %w: a member's rekey comes from his own session", latchkey.ErrRefused)
	}
	kid := rekey.Kid
	if rekey.Ed != nil {
		kid = chain.KidOf(rekey.Ed)
		c.Moved = &catalog.Move{From: rekey.Kid, To: kid, Session: session.TokenHash, Device: session.Device}
	}
	if put == nil {
		if rekey.Ed != nil || rekey.Recovery != nil {
			return c, fmt.Errorf("cloud: append statement: %w: a rekey of ed or recovery comes with the new vault", latchkey.ErrInvalid)
		}
		return c, nil
	}
	v, err := parsePut(put, session.Household, kid)
	if err != nil {
		return c, err
	}
	if newID := v.RecoveryID != [16]byte{}; newID && rekey.Recovery == nil && put.GetExpectedVersion() != 0 ||
		rekey.Recovery != nil && (!newID || len(v.Wraps) == 0) {
		return c, fmt.Errorf("cloud: append statement: %w: a new recovery key, its wrap and its id come together", latchkey.ErrInvalid)
	}
	c.Vault, c.Expected = &v, put.GetExpectedVersion()
	return c, nil
}
