// Package publiclog is what a machine of a household holds the public log
// against (protocol 2.11): the policy that was pinned at founding, the newest
// checkpoint that it has accepted, the newest proof that its chain is complete.
// It fetches files and proofs and believes none of them. Hub and member use it.
//
// It holds no key but that of the household's tags, which the operator has too.
package publiclog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/ledger"
)

// StaleAfter is how old a proof, or the word of the witnesses, may be.
const StaleAfter = 24 * time.Hour

// maxFile bounds one file of a log: a bundle of the largest entries.
const maxFile = 256*(ledger.MaxEntry+2) + 1

var (
	// ErrOtherLog is a server whose log, or whose operator, is another one than
	// genesis names. It is latchkey.ErrVerify.
	ErrOtherLog = fmt.Errorf("%w: the server names another operator or another public log than this household was founded with", latchkey.ErrVerify)
	// ErrKeptBack is a proof of a statement that the chain at hand does not have:
	// it was just added, or the server keeps it back. It is latchkey.ErrVerify.
	ErrKeptBack = fmt.Errorf("%w: it keeps statements back", latchkey.ErrVerify)
	// ErrFrozen is a server that answers and shows a log for which no quorum of
	// witnesses has vouched for a day. It is latchkey.ErrVerify.
	ErrFrozen = fmt.Errorf("%w: the public log stands still", latchkey.ErrVerify)
)

// A Server serves the files of a log.
type Server struct {
	Origin string // such as https://latchkey.example
	HTTP   *http.Client
}

// Policy asks which policy the server names. It is whom the policy checks: its
// answer is pinned once, or compared.
func (s Server) Policy(ctx context.Context) (string, error) {
	b, err := s.file(ctx, "/log/policy", ledger.MaxPolicy)
	return string(b), err
}

// file reads one public file. Errors wrap latchkey.ErrUnavailable, ErrNotFound,
// ErrTooMany or, of one that is too large, ErrInvalid.
func (s Server) file(ctx context.Context, path string, most int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Origin+path, nil)
	if err != nil {
		return nil, fmt.Errorf("publiclog: get %s: %w", path, err)
	}
	res, err := s.HTTP.Do(req)
	var op *net.OpError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("publiclog: get %s: %w", path, ctx.Err())
	case errors.As(err, &op):
		return nil, fmt.Errorf("publiclog: get %s: %w: the server cannot be reached (%w)", path, latchkey.ErrUnavailable, op)
	case err != nil:
		return nil, fmt.Errorf("publiclog: get %s: %w: %w", path, latchkey.ErrUnavailable, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		kind := latchkey.ErrUnavailable
		switch res.StatusCode {
		case http.StatusNotFound:
			kind = latchkey.ErrNotFound
		case http.StatusTooManyRequests:
			kind = latchkey.ErrTooMany
		}
		return nil, fmt.Errorf("publiclog: get %s: %w: the server answered %s", path, kind, res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err != nil {
		return nil, fmt.Errorf("publiclog: get %s: %w: %w", path, latchkey.ErrUnavailable, err)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("publiclog: get %s: %w: more than %d bytes", path, latchkey.ErrInvalid, most)
	}
	return b, nil
}

// Parse reads a policy and holds it against genesis, in state: its operator and
// its log are those that the founder has signed, if he has signed any.
// ErrOtherLog.
func Parse(text string, state chain.State) (*ledger.Policy, error) {
	p, err := ledger.ParsePolicy(text)
	if err != nil {
		return nil, err
	}
	if state.Operator != "" && state.Operator != p.Operator.VKey || state.Log != "" && state.Log != p.Origin() {
		return nil, ErrOtherLog
	}
	return p, nil
}

// Pin is what the log's next answers are held against, as it lies on disk.
type Pin struct {
	Policy     string `json:"policy"`
	Checkpoint []byte `json:"checkpoint,omitempty"` // the newest that was accepted
	Proof      []byte `json:"proof,omitempty"`      // the newest proof of completeness
}

// Under is the pin under another policy that somebody has decided to take. The
// log must go on from where it was; proofs are judged anew.
func (p Pin) Under(policy string) Pin {
	if p.Policy == policy {
		return p
	}
	return Pin{Policy: policy, Checkpoint: p.Checkpoint}
}

// A Log is one look at the log: what it has fetched it keeps until it is dropped.
type Log struct {
	server Server
	policy *ledger.Policy
	reader *ledger.Log
	key    [ledger.TagSize]byte
	keep   func(Pin) error

	mu    sync.Mutex
	pin   Pin
	files map[string][]byte // what never changes
}

// Open looks at the log of pin.Policy. keep makes a new pin durable; what it
// refuses does not count. key is that of the household's tags.
func Open(server Server, policy *ledger.Policy, pin Pin, key [ledger.TagSize]byte, keep func(Pin) error) *Log {
	l := &Log{server: server, policy: policy, pin: pin.Under(policy.String()), key: key, keep: keep, files: map[string][]byte{}}
	l.reader = ledger.NewLog(policy, l.fetch)
	return l
}

// Policy is the pinned one.
func (l *Log) Policy() *ledger.Policy { return l.policy }

// Reader reads the log's files.
func (l *Log) Reader() *ledger.Log { return l.reader }

func (l *Log) fetch(ctx context.Context, path string) ([]byte, error) {
	l.mu.Lock()
	known := l.files[path]
	l.mu.Unlock()
	if known != nil {
		return known, nil
	}
	b, err := l.server.file(ctx, l.policy.Path()+path, maxFile)
	if err == nil && path != "checkpoint" {
		l.mu.Lock()
		l.files[path] = b
		l.mu.Unlock()
	}
	return b, err
}

func (l *Log) pinned() Pin {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pin
}

func (l *Log) change(edit func(*Pin)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.pin
	edit(&next)
	if err := l.keep(next); err != nil {
		return err
	}
	l.pin = next
	return nil
}

// Checkpoint takes the newest checkpoint, if the log has only grown since the
// one that was taken before: else latchkey.ErrVerify.
func (l *Log) Checkpoint(ctx context.Context) (ledger.Checkpoint, error) {
	now, err := l.reader.Checkpoint(ctx)
	if err != nil {
		return now, err
	}
	before, there, err := l.before()
	if err != nil {
		return now, err
	}
	if there {
		if err := l.reader.Extends(ctx, before, now); err != nil {
			return now, err
		}
	}
	return now, l.change(func(p *Pin) { p.Checkpoint = now.Raw })
}

// before is the checkpoint on disk. It was accepted once: its signatures are not
// asked again, so that it counts under other watchers too.
func (l *Log) before() (c ledger.Checkpoint, there bool, err error) {
	raw := l.pinned().Checkpoint
	if raw == nil {
		return c, false, nil
	}
	text, _, ok := strings.Cut(string(raw), "\n\n")
	if !ok {
		return c, false, fmt.Errorf("publiclog: checkpoint on disk: %w: no signed note", latchkey.ErrInvalid)
	}
	c, err = ledger.ParseCheckpoint(text + "\n")
	return c, err == nil, err
}

// Proof is the newest proof of completeness that was taken, as a file; nil while
// there is none.
func (l *Log) Proof() []byte { return bytes.Clone(l.pinned().Proof) }

// Proven checks the newest proof that was taken before against the chain; nil
// while there is none.
func (l *Log) Proven(notes [][]byte) (*ledger.Complete, error) {
	raw := l.pinned().Proof
	if raw == nil {
		return nil, nil
	}
	return l.check(raw, notes)
}

// Take takes a proof of completeness and returns the newest one that holds. An
// older one than before proves less, and nothing wrong. A proof that goes beyond
// the chain is ErrKeptBack, one of another chain or another log
// latchkey.ErrVerify.
func (l *Log) Take(ctx context.Context, raw []byte, notes [][]byte) (*ledger.Complete, error) {
	before, err := l.Proven(notes)
	if err != nil {
		return nil, err
	}
	done, err := l.check(raw, notes)
	if err != nil {
		return nil, err
	}
	if err := l.oneLog(ctx, done.Checkpoint); err != nil {
		return nil, err
	}
	if before != nil && done.Set.Size < before.Set.Size {
		return before, nil
	}
	return done, l.change(func(p *Pin) { p.Proof = raw })
}

// Same checks that a checkpoint is of the log that was taken: latchkey.ErrVerify.
func (l *Log) Same(ctx context.Context, c ledger.Checkpoint) error { return l.oneLog(ctx, c) }

// oneLog checks that the checkpoint of a proof is of the log that was taken: a
// proof from a fork would say whatever it was made for.
func (l *Log) oneLog(ctx context.Context, c ledger.Checkpoint) error {
	before, there, err := l.before()
	if err != nil || !there {
		return err
	}
	if c.Size <= before.Size {
		return l.reader.Extends(ctx, c, before)
	}
	if err := l.reader.Extends(ctx, before, c); err != nil {
		return err
	}
	return l.change(func(p *Pin) { p.Checkpoint = c.Raw })
}

func (l *Log) check(raw []byte, notes [][]byte) (*ledger.Complete, error) {
	proof, err := ledger.ParseCompleteness(raw)
	if err != nil {
		return nil, err
	}
	done, err := proof.Check(l.policy, &l.key)
	if err != nil {
		return nil, err
	}
	if done.Seq >= uint64(len(notes)) {
		return nil, fmt.Errorf("%w: the public log has statement %d of this household, and the server shows only up to %d", ErrKeptBack, done.Seq, len(notes)-1)
	}
	if n, err := chain.ParseNote(notes[done.Seq]); err != nil || n.Hash() != done.Head {
		return nil, fmt.Errorf("%w: the public log has another statement %d than the server shows: there are two chains", latchkey.ErrVerify, done.Seq)
	}
	return &done, nil
}

// Frozen is ErrFrozen if the witnesses of the policy have not vouched for a
// newer checkpoint than this one for a day.
func Frozen(policy *ledger.Policy, c ledger.Checkpoint, now time.Time) error {
	if !policy.Witnessed() || now.Sub(c.Witnessed) <= StaleAfter {
		return nil
	}
	return fmt.Errorf("%w: its witnesses have seen nothing newer than of %s", ErrFrozen, c.Witnessed.UTC().Format(time.RFC3339))
}

// A State is what a machine says of its household's chain.
type State struct {
	Until  time.Time // nothing up to then is missing or was kept back; zero: no proof yet
	Seq    uint64    // the newest statement then
	Broken error     // what the server shows cannot be: latchkey.ErrVerify; nil: nothing wrong
}

// Stale reports whether the proof is missing or too old at now.
func (s State) Stale(now time.Time) bool { return now.Sub(s.Until) > StaleAfter }

// Broken reports whether err means that a server lies, or was taken over: it
// answered, and what it answered cannot be. A log that is away, new, or not
// witnessed yet is none of that.
func Broken(err error) bool {
	return (errors.Is(err, latchkey.ErrVerify) || errors.Is(err, latchkey.ErrInvalid)) && !errors.Is(err, ledger.ErrNotWitnessed)
}
