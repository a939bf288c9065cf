package cloud

import (
	"bytes"
	"context"
	"crypto/ed25519"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
)

// removedBefore tells a hub that its household has removed why it is refused:
// the signed statement goes with err. Only who holds the key that the statement
// is about is told.
func (s *Server) removedBefore(ctx context.Context, n chain.Note, login chain.Login, err error) error {
	key, removal, ferr := s.removalOf(ctx, login.Household, login.By)
	if ferr != nil {
		s.log.WarnContext(ctx, "a removal was not looked for", "household", login.Household, "err", ferr)
	}
	if removal == nil || n.Verify(key) != nil {
		return err
	}
	detail, derr := connect.NewErrorDetail(&v1.GetChainResponse{Notes: [][]byte{removal}})
	if derr != nil {
		return err
	}
	refusal := connect.NewError(connect.CodeUnauthenticated, err)
	refusal.AddDetail(detail)
	return refusal
}

// removalOf finds the newest statement that removed the hub, and the hub's key;
// nil when there is none.
func (s *Server) removalOf(ctx context.Context, h latchkey.HouseholdID, hub latchkey.Kid) (key ed25519.PublicKey, removal []byte, err error) {
	for from := uint64(0); ; {
		notes, err := s.catalog.Statements(ctx, h, from, maxStatements)
		if err != nil {
			return nil, nil, err
		}
		for _, raw := range notes {
			switch st := aboutHub(raw).(type) {
			case chain.AddHub:
				if chain.KidOf(st.Ed) == hub {
					key, removal = st.Ed, nil
				}
			case chain.Unhub:
				if st.Kid == hub {
					removal = raw
				}
			}
		}
		if from += uint64(len(notes)); len(notes) < maxStatements {
			return key, removal, nil
		}
	}
}

// aboutHub reads a statement that adds or removes a hub; nil for any other.
func aboutHub(raw []byte) chain.Statement {
	if !bytes.HasPrefix(raw, []byte("latchkey/v1 hub\n")) && !bytes.HasPrefix(raw, []byte("latchkey/v1 unhub\n")) {
		return nil
	}
	n, err := chain.ParseNote(raw)
	if err != nil {
		return nil
	}
	st, err := chain.ParseStatement(n)
	if err != nil {
		return nil
	}
	return st
}
