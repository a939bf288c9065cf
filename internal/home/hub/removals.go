package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/lan"
)

// earlyFile keeps the early removals, as they were signed. A removal counts
// once it is there: whoever handed it in is told so only then.
const earlyFile = "removals"

// anyTime replays what was accepted once: it stays so, whatever time it is at
// boot.
const anyTime = math.MaxInt64 / 2

// openEarly reads the removals of earlier runs. A crash may have left some that
// the chain on disk has settled.
func (r *roster) openEarly() error {
	notes, err := r.store.readNotes(earlyFile)
	if err != nil {
		return err
	}
	early, err := chain.ParseOverlay(notes)
	if err != nil {
		return fmt.Errorf("removals on disk: %w", err)
	}
	r.early = early.Settle(r.now)
	r.under = r.effective(r.early)
	return nil
}

// settle makes state what the chain says, and forgets the removals that it has
// come to. Callers hold sync; the chain is on disk already.
func (r *roster) settle(all [][]byte, state chain.State) error {
	r.mu.Lock()
	before := r.early
	r.raw, r.now, r.early = all, state, before.Settle(state)
	err := r.prove()
	r.under = r.effective(r.early)
	left := r.early.Notes()
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if len(left) == len(before.Notes()) {
		return nil
	}
	if err := r.store.writeNotes(earlyFile, left); err != nil {
		return fmt.Errorf("save removals: %w", err) // the old file settles to the same
	}
	return nil
}

// remove takes one early removal, and makes it durable before it counts. One
// that the chain has, or that was taken before, is taken again. What is not
// believed wraps latchkey.ErrRefused, what is no removal latchkey.ErrInvalid.
//
// The hub's clock is not asked: were it behind, it would hold a removal for one
// from the future, and a signature of today is all that has to be believed.
func (r *roster) remove(raw []byte) error {
	n, at, err := parseRemoval(raw)
	if err != nil {
		return err
	}
	r.sync.Lock()
	defer r.sync.Unlock()
	if r.reaches(at, n.Hash()) == nil {
		return nil
	}
	r.mu.Lock()
	state, proven, before := r.now, r.proven, r.early
	r.mu.Unlock()
	early, err := before.Add(state, n, anyTime)
	if errors.Is(err, latchkey.ErrFull) {
		return fmt.Errorf("hub: take removal: %w", err)
	}
	if err == nil && proven.Seq < state.Seq {
		_, err = chain.Overlay{}.Add(proven, n, anyTime) // nor does an admin count whom no proof covers
	}
	if err != nil {
		return fmt.Errorf("hub: take removal: %w: %w", latchkey.ErrRefused, err)
	}
	notes := early.Notes()
	if slices.EqualFunc(notes, before.Notes(), bytes.Equal) {
		return nil
	}
	if err := r.store.writeNotes(earlyFile, notes); err != nil {
		return fmt.Errorf("hub: take removal: %w", err)
	}
	r.mu.Lock()
	r.early, r.under = early, r.effective(early)
	r.mu.Unlock()
	return nil
}

// parseRemoval reads a note that takes away, and the place it claims.
func parseRemoval(raw []byte) (chain.Note, uint64, error) {
	n, err := chain.ParseNote(raw)
	if err != nil {
		return n, 0, fmt.Errorf("hub: read removal: %w", err)
	}
	st, err := chain.ParseStatement(n)
	if err != nil {
		return n, 0, fmt.Errorf("hub: read removal: %w", err)
	}
	switch n.Type {
	case chain.TypeUnmember, chain.TypeUnhub, chain.TypeRevoke:
		return n, st.Common().Seq, nil
	}
	return n, 0, fmt.Errorf("hub: read removal: %w: a %s statement takes nothing away", latchkey.ErrInvalid, n.Type)
}

// takeRemovals is the handler of the listener on the home network.
func (a *agent) takeRemovals(_ context.Context, body []byte) (int, []byte) {
	notes, err := lan.ParseNotes(body, lan.MaxRemovals)
	if err != nil {
		return http.StatusBadRequest, nil
	}
	for _, raw := range notes {
		if _, _, err := parseRemoval(raw); err != nil {
			return http.StatusBadRequest, nil
		}
	}
	defer a.wake()
	for _, raw := range notes {
		err := a.roster.remove(raw)
		switch {
		case errors.Is(err, latchkey.ErrRefused):
			a.log.Warn("removal from the home network refused", "err", err)
			return http.StatusForbidden, nil
		case err != nil:
			a.log.Error("removal from the home network not taken", "err", err)
			return http.StatusServiceUnavailable, nil
		}
	}
	a.log.Info("removals from the home network", "notes", len(notes))
	receipt, err := a.receipt(body)
	if err != nil {
		a.log.Error("removals taken, and no receipt given", "err", err)
		return http.StatusServiceUnavailable, nil
	}
	return http.StatusOK, receipt
}

// receipt says under our key that we have what body holds.
func (a *agent) receipt(body []byte) ([]byte, error) {
	text, err := chain.Heard{
		Household: a.roster.household, By: a.identity.Signing.Kid(), Removals: sha256.Sum256(body), Time: time.Now().Unix(),
	}.Text()
	if err != nil {
		return nil, fmt.Errorf("hub: receipt: %w", err)
	}
	return chain.SignNote(text, a.identity.Signing), nil
}

// Farewell implements uplink.Handler: the server has refused to sign us in and
// shows why. It is believed as little as on the home network.
func (a *agent) Farewell(notes [][]byte) {
	for _, raw := range notes {
		if err := a.roster.remove(raw); err != nil {
			a.log.Warn("the server shows a removal that is not believed", "err", err)
		}
	}
	a.wake()
}

// openLAN listens where the configuration says. Of a port that was left open to
// us it takes the one of before: members know that one, also when no server
// tells them of another.
func (a *agent) openLAN() (net.Listener, error) {
	if a.cfg.LAN == "" {
		return nil, nil
	}
	host, port, err := net.SplitHostPort(a.cfg.LAN)
	if err != nil {
		return nil, fmt.Errorf("hub: listen on the home network: %w: %w", latchkey.ErrInvalid, err)
	}
	before := a.store.cfg().Port
	if port == "0" && before != 0 {
		if ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(int(before)))); err == nil {
			return ln, nil
		}
	}
	ln, err := net.Listen("tcp", a.cfg.LAN)
	if err != nil {
		return nil, fmt.Errorf("hub: listen on the home network: %w: %w", latchkey.ErrUnavailable, err)
	}
	if now := lan.Port(ln.Addr()); now != before {
		if err := a.store.change(func(s *settings) { s.Port = now }); err != nil {
			a.log.Warn("the port is not remembered", "err", err)
		}
	}
	return ln, nil
}

// listen serves removals at ln until ctx ends, and lets itself be found.
func (a *agent) listen(ctx context.Context, ln net.Listener) {
	ctx, cancel := context.WithCancel(ctx)
	var found sync.WaitGroup
	defer found.Wait()
	defer cancel()
	announce := a.cfg.Announce
	if announce == nil && lan.Reachable(ln.Addr()) {
		announce = func(ctx context.Context, service, instance string, port uint16) {
			lan.Announce(ctx, service, instance, port, a.log)
		}
	}
	if announce != nil {
		found.Go(func() { announce(ctx, lan.RemovalService, lan.RandomName(), lan.Port(ln.Addr())) })
	}
	err := lan.Serve(ctx, lan.Config{
		Listener: ln, Path: lan.RemovalPath, MaxBody: lan.MaxRemovalBytes, Wait: removalWait, Handler: a.takeRemovals, Log: a.log,
	})
	if err != nil {
		a.setTrouble(troubleLAN, "Nobody on the home network can tell this hub of a removal: "+err.Error())
	}
}

const troubleLAN = "home network"

// removalWait bounds how long a slow disk may keep a caller.
const removalWait = 20 * time.Second
