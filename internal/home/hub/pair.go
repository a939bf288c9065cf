package hub

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/uplink"
)

// pairWait is how long a code lives (protocol 2.10).
const pairWait = 15 * time.Minute

// ErrOccupied is what a hub ends with that is asked to join a household while
// another one's data is here: its keys, cameras and footage would come along.
// It wraps latchkey.ErrConflict.
var ErrOccupied = fmt.Errorf("hub: %w: this hub holds the data of another household", latchkey.ErrConflict)

// joining is an answer of an admin that was taken and not yet held against the
// chain. It is on disk before the chain is asked for: the code is spent with it.
type joining struct {
	Server    string `json:"server"`
	Household string `json:"household"` // hex
	Seq       uint64 `json:"seq"`
	Hash      []byte `json:"hash"`
}

func (j joining) answer() (keys.Answer, error) {
	id, err := latchkey.ParseHouseholdID(j.Household)
	a := keys.Answer{Household: id, Seq: j.Seq}
	if err != nil || copy(a.Hash[:], j.Hash) != len(a.Hash) {
		return a, fmt.Errorf("hub: read answer: %w: not what this version writes", latchkey.ErrInvalid)
	}
	return a, nil
}

// NeedsCode reports whether the hub can only start with a pairing code: it
// belongs to nobody, and no admin has answered it yet.
func (h *Hub) NeedsCode() bool {
	conf := h.store.cfg()
	return !conf.paired() && conf.Joining == nil
}

// mayPair refuses a code that is not the one this hub was paired with. A
// service that keeps the old one on its command line goes on with it.
func (h *Hub) mayPair() error {
	conf := h.store.cfg()
	if h.NeedsCode() {
		if there, err := h.store.used(); err != nil || there {
			return errors.Join(err, ErrOccupied)
		}
		return nil
	}
	if h.cfg.PairCode == "" {
		return nil
	}
	code, err := keys.ParseCode(h.cfg.PairCode)
	if err != nil {
		return err
	}
	defer code.Erase()
	if box := code.Rendezvous(); hex.EncodeToString(box[:]) != conf.Code {
		return ErrOccupied
	}
	return nil
}

// pair is the joiner's side of pairing: our keys go to whom the code names, the
// admin's answer says where the chain has them. Every step that is done stays
// done: a start after a crash goes on behind it.
func (h *Hub) pair(ctx context.Context) error {
	if h.store.cfg().Joining == nil {
		if err := h.agree(ctx); err != nil {
			return err
		}
	}
	return h.join(ctx)
}

// agree exchanges offer and answer, and writes the answer down.
func (h *Hub) agree(ctx context.Context) error {
	if h.cfg.PairCode == "" {
		return fmt.Errorf("%w: this hub belongs to no household yet; make a code with `latchkey hub invite` and start with --pair CODE", latchkey.ErrInvalid)
	}
	code, err := keys.ParseCode(h.cfg.PairCode)
	if err != nil {
		return err
	}
	defer code.Erase()
	server := h.cfg.Server
	if server != "" || h.cfg.LAN == "" {
		if server, err = uplink.Origin(server); err != nil {
			return err
		}
	}
	offer, err := h.offer()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, pairWait, fmt.Errorf("%w: nobody answered; ask for a new code", latchkey.ErrUnavailable))
	defer cancel()
	got, err := h.exchange(ctx, server, code, offer)
	if err != nil {
		return err
	}
	box := code.Rendezvous()
	return h.store.change(func(s *settings) {
		s.Code = hex.EncodeToString(box[:])
		s.Joining = &joining{
			Server: got.server, Household: got.answer.Household.String(), Seq: got.answer.Seq, Hash: got.answer.Hash[:],
		}
	})
}

// offer returns the offer of an earlier, interrupted start, or a new one: the
// mailbox may have it already, and an admin may have signed it.
func (h *Hub) offer() (keys.Offer, error) {
	if b := h.store.cfg().Offer; b != nil {
		return keys.ParseOffer(b)
	}
	o := keys.NewOffer(keys.RoleHub, h.identity.Signing, h.identity.Sealing, nil)
	b, err := o.Marshal()
	if err != nil {
		return keys.Offer{}, err
	}
	return o, h.store.change(func(s *settings) { s.Offer = b })
}

// join pins the household of the answer, fetches its chain and checks that it
// has our keys where the admin says. Only then the hub belongs to it. A chain
// that contradicts the answer is forgotten with it; anything else that stands
// in the way may pass: a server that is away is waited for, and the next start
// tries again without a code.
func (h *Hub) join(ctx context.Context) error {
	j := *h.store.cfg().Joining
	if h.cfg.Server != "" {
		j.Server = h.cfg.Server
	}
	answer, err := j.answer()
	if err != nil {
		return err
	}
	err = h.checkChain(ctx, j.Server, answer)
	if errors.Is(err, latchkey.ErrVerify) {
		return errors.Join(err, h.store.forgetChain(), h.store.change(func(s *settings) { s.Joining, s.Code = nil, "" }))
	}
	if err != nil {
		return err
	}
	h.cfg.Log.Info("paired", "household", answer.Household, "hub", h.Kid(), "server", j.Server)
	return h.store.change(func(s *settings) {
		s.Server, s.Household, s.Offer, s.Joining = j.Server, j.Household, nil, nil
	})
}

func (h *Hub) checkChain(ctx context.Context, server string, a keys.Answer) error {
	session, err := uplink.NewSession(server, a.Household, h.identity.Signing, h.cfg.HTTP)
	if err != nil {
		return err
	}
	r, err := openRoster(h.store, session, h.cfg.HTTP, a.Household, anyStatement)
	if err != nil {
		return err
	}
	if err := h.insist(ctx, func() error { _, err := r.refresh(ctx); return err }); err != nil {
		return err
	}
	if err := r.reaches(a.Seq, a.Hash); err != nil {
		return err
	}
	me, ok := r.verified().Hubs[h.Kid()]
	if !ok || !bytes.Equal(me.X, h.identity.Sealing.Public()) {
		return fmt.Errorf("%w: the household's chain does not have this hub's keys", latchkey.ErrVerify)
	}
	return h.pinLog(ctx, r, a.Seq)
}

// insist repeats fn while the other side is unavailable.
func (h *Hub) insist(ctx context.Context, fn func() error) error {
	for wait := 500 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := fn()
		if !errors.Is(err, latchkey.ErrUnavailable) && !errors.Is(err, latchkey.ErrTooMany) {
			return err
		}
		if ctx.Err() == nil {
			h.cfg.Log.Info("pairing waits", "err", err)
		}
		if !pause(ctx, wait) {
			return context.Cause(ctx)
		}
	}
}
