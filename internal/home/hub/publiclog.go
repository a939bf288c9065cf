package hub

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/publiclog"
	"latchkey.dev/latchkey/internal/home/uplink"
	"latchkey.dev/latchkey/ledger"
)

const (
	logFile    = "log"
	troubleLog = "public log"
	// proofPause bounds how far apart looks for a missing proof are.
	proofPause = time.Minute
)

// logFacts is the file `log`: JSON sealed under the machine key.
type logFacts struct {
	Pin     publiclog.Pin `json:"pin"`
	Key     []byte        `json:"key,omitempty"` // of the log's tags; its hash is in genesis
	Covered uint64        `json:"covered"`       // the newest statement whose additions count
	Until   int64         `json:"until"`         // unix seconds: of the proof that covers it; 0: none yet
}

// logBook is what the hub knows of the public log. What counts is on disk first.
type logBook struct {
	store *store

	mu         sync.Mutex
	facts      logFacts
	state      publiclog.State
	checkpoint ledger.Checkpoint // newest accepted; zero: none in this run
}

// loadLog reads the file; there is none in a folder that was never paired, or
// that an earlier version has written.
func (s *store) loadLog() (f logFacts, there bool, err error) {
	b, err := os.ReadFile(s.path(logFile))
	if errors.Is(err, fs.ErrNotExist) {
		return f, false, nil
	}
	if err != nil {
		return f, false, err
	}
	plain, err := s.machine.OpenLocal(logFile, b)
	if err != nil {
		return f, false, fmt.Errorf("open %s: %w", logFile, err)
	}
	if err := json.Unmarshal(plain, &f); err != nil {
		return f, false, fmt.Errorf("open %s: %w: not what this version writes", logFile, latchkey.ErrInvalid)
	}
	return f, true, nil
}

func (s *store) saveLog(f logFacts) error {
	plain, err := json.Marshal(f)
	if err != nil {
		return err
	}
	sealed, err := s.machine.SealLocal(logFile, plain)
	if err != nil {
		return fmt.Errorf("hub: save %s: %w", logFile, err)
	}
	if err := durable.WriteFile(s.fs, s.path(logFile), sealed, 0o600); err != nil {
		return fmt.Errorf("hub: save %s: %w", logFile, err)
	}
	return nil
}

// openChain opens the chain and what the public log says of it. Of a folder from
// before there was a log everything counts that did.
func (h *Hub) openChain(session *uplink.Session, household latchkey.HouseholdID) (*roster, *logBook, error) {
	facts, there, err := h.store.loadLog()
	if err != nil {
		return nil, nil, err
	}
	if !there {
		facts.Covered = anyStatement
	}
	r, err := openRoster(h.store, session, h.cfg.HTTP, household, facts.Covered)
	if err != nil {
		return nil, nil, err
	}
	if !there {
		r.covered, facts.Covered = r.now.Seq, r.now.Seq
		if err := h.store.saveLog(facts); err != nil {
			return nil, nil, err
		}
	}
	b := &logBook{store: h.store, facts: facts}
	if facts.Until != 0 {
		b.state = publiclog.State{Until: time.Unix(facts.Until, 0).UTC(), Seq: facts.Covered}
	}
	return r, b, nil
}

// pinLog is the log's part of pairing: policy and tag key are held against the
// genesis that the admin's answer leads to, and what that answer names counts as
// proven, for the admin has vouched for it.
func (h *Hub) pinLog(ctx context.Context, r *roster, vouched uint64) error {
	b := &logBook{store: h.store, facts: logFacts{Covered: vouched}}
	return h.insist(ctx, func() error { return b.pin(ctx, h.logServer(r), r) })
}

func (h *Hub) logServer(r *roster) publiclog.Server {
	return publiclog.Server{Origin: r.session.Server(), HTTP: h.cfg.HTTP}
}

// pin takes policy and tag key, if they are not here yet.
func (b *logBook) pin(ctx context.Context, server publiclog.Server, r *roster) error {
	facts, genesis := b.now(), r.verified()
	if facts.Pin.Policy == "" {
		text, err := server.Policy(ctx)
		if err != nil {
			return err
		}
		if _, err := publiclog.Parse(text, genesis); err != nil {
			return err
		}
		facts.Pin.Policy = text
	}
	if facts.Key == nil {
		key, err := r.logTagKey(ctx)
		if err != nil {
			return err
		}
		if len(key) != ledger.TagSize || latchkey.Hash(sha256.Sum256(key)) != genesis.KTag {
			return fmt.Errorf("%w: the server hands out another log tag key than the household's", latchkey.ErrVerify)
		}
		facts.Key = key
	}
	return b.change(func(f *logFacts) { f.Pin.Policy, f.Key = facts.Pin.Policy, facts.Key })
}

// keep takes a pin that a look at the log has made, unless another policy was taken
// meanwhile.
func (b *logBook) keep(p publiclog.Pin) error {
	return b.change(func(f *logFacts) {
		if f.Pin.Policy == p.Policy {
			f.Pin = p
		}
	})
}

func (b *logBook) now() logFacts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.facts
}

// change makes new facts durable, then current.
func (b *logBook) change(edit func(*logFacts)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.facts
	edit(&next)
	if err := b.store.saveLog(next); err != nil {
		return err
	}
	b.facts = next
	return nil
}

// known is what the hub says of the chain.
func (b *logBook) known() publiclog.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// seen is the newest checkpoint of this run.
func (b *logBook) seen() ledger.Checkpoint {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.checkpoint
}

// logTagKey asks for the key of the log's tags.
func (r *roster) logTagKey(ctx context.Context) (key []byte, err error) {
	err = r.session.Do(ctx, func(token string) error {
		req := connect.NewRequest(&latchkeyv1.GetLogTagKeyRequest{})
		req.Header().Set("Authorization", "Bearer "+token)
		res, err := r.client.GetLogTagKey(ctx, req)
		if err != nil {
			return uplink.Kind(err)
		}
		key = res.Msg.GetKey()
		return nil
	})
	return key, err
}

// completeness asks for a proof of how far the chain goes.
func (r *roster) completeness(ctx context.Context) (proof []byte, err error) {
	err = r.session.Do(ctx, func(token string) error {
		req := connect.NewRequest(&latchkeyv1.GetCompletenessRequest{})
		req.Header().Set("Authorization", "Bearer "+token)
		res, err := r.client.GetCompleteness(ctx, req)
		if err != nil {
			return uplink.Kind(err)
		}
		proof = res.Msg.GetProof()
		return nil
	})
	return proof, err
}

// followLog asks the public log for a proof whenever the chain has grown, again
// and again until there is one, and every Pace.Poll.
func (a *agent) followLog(ctx context.Context) {
	var since time.Time // an addition waits, or something is wrong, since then
	wait := a.cfg.Pace.Proof
	for {
		err := a.lookAtLog(ctx, time.Now())
		if ctx.Err() != nil {
			return
		}
		pause := a.cfg.Pace.Poll
		if err != nil || a.roster.waiting() > 0 {
			if since.IsZero() {
				since = time.Now()
			}
			pause, wait = wait, min(2*wait, proofPause)
		} else {
			since, wait = time.Time{}, a.cfg.Pace.Proof
		}
		a.tellLog(err, since, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-a.prove:
			wait = a.cfg.Pace.Proof
		case <-time.After(pause):
		}
	}
}

// lookAtLog takes the newest checkpoint and the newest proof, and lets count what
// the proof covers.
func (a *agent) lookAtLog(ctx context.Context, now time.Time) error {
	b := a.public
	if err := b.pin(ctx, a.logServer(a.roster), a.roster); err != nil {
		return err
	}
	facts := b.now()
	policy, err := publiclog.Parse(facts.Pin.Policy, a.roster.verified())
	if err != nil {
		return err
	}
	log := publiclog.Open(a.logServer(a.roster), policy, facts.Pin, [ledger.TagSize]byte(facts.Key), b.keep)
	checkpoint, err := log.Checkpoint(ctx)
	if err != nil {
		return err
	}
	if err := publiclog.Frozen(policy, checkpoint, now); err != nil {
		return err
	}
	b.mu.Lock()
	b.checkpoint = checkpoint
	b.mu.Unlock()
	done, err := a.takeProof(ctx, log)
	if err != nil {
		return err
	}
	return a.accept(*done, now)
}

// takeProof takes the newest proof. One of a statement that we do not have is
// held against a chain that is asked for again, before it is an alarm.
func (a *agent) takeProof(ctx context.Context, log *publiclog.Log) (*ledger.Complete, error) {
	proof, err := a.roster.completeness(ctx)
	if err != nil {
		return nil, err
	}
	done, err := log.Take(ctx, proof, a.roster.notes())
	if !errors.Is(err, publiclog.ErrKeptBack) {
		return done, err
	}
	if _, err := a.roster.refresh(ctx); err != nil {
		return nil, err
	}
	a.wake()
	return log.Take(ctx, proof, a.roster.notes())
}

// accept lets count what a proof covers, if it is not too old for that: on disk
// first.
func (a *agent) accept(done ledger.Complete, now time.Time) error {
	if now.Sub(done.At) > publiclog.StaleAfter {
		return fmt.Errorf("hub: public log: %w: its newest proof is of %s", latchkey.ErrUnavailable, done.At.UTC().Format(time.RFC3339))
	}
	b := a.public
	if facts := b.now(); done.Seq > facts.Covered || done.At.Unix() > facts.Until {
		err := b.change(func(f *logFacts) {
			f.Covered, f.Until = max(f.Covered, done.Seq), max(f.Until, done.At.Unix())
		})
		if err != nil {
			return err
		}
	}
	b.mu.Lock()
	b.state = publiclog.State{Until: time.Unix(b.facts.Until, 0).UTC(), Seq: b.facts.Covered}
	b.mu.Unlock()
	news, err := a.roster.cover(done.Seq)
	if news {
		a.log.Info("the public log proves the chain", "statement", done.Seq, "until", done.At.UTC())
		a.wake()
	}
	return err
}

// tellLog tells members what is wrong with the log, and what waits for it.
func (a *agent) tellLog(err error, since, now time.Time) {
	b := a.public
	b.mu.Lock()
	b.state.Broken = nil
	if publiclog.Broken(err) {
		b.state.Broken = err
	}
	state := b.state
	b.mu.Unlock()
	if err != nil {
		a.log.Info("the public log does not prove the chain", "err", err, "waiting", a.roster.waiting())
	}
	a.setTrouble(troubleLog, logTrouble(state, a.roster.waiting(), !since.IsZero() && now.Sub(since) >= a.cfg.Pace.Patience, now))
}

// logTrouble is a sentence for members; empty when all is well. missing says that
// a proof should be here.
func logTrouble(s publiclog.State, waiting uint64, missing bool, now time.Time) string {
	const waits = " Recording goes on for whom it was; new people, keys, hubs and cameras wait."
	switch {
	case s.Broken != nil:
		return "The server's public log cannot be right: " + s.Broken.Error() + "." + waits + " Tell the others of your household, and ask the operator another way."
	case missing && waiting > 0:
		return "The public log does not prove the household's newest statements yet." + waits
	case missing && s.Until.IsZero():
		return "The household was not verified against the public log yet." + waits
	case missing && s.Stale(now):
		return "The household is not verified against the public log since " + s.Until.Format(time.RFC3339) + "." + waits
	}
	return ""
}
