package watch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/signkey"
	"latchkey.dev/latchkey/ledger"
)

// Auditor replays one log and vouches for the sets that it can recompute.
type Auditor struct {
	fs     durable.FS
	dir    string
	server string // origin of the server
	http   *http.Client
	log    *slog.Logger
	key    signkey.Key

	state   auditState
	policy  *ledger.Policy
	files   *ledger.Log
	counter *ledger.Counter // of the public notes read

	entries []element          // household leaves, in the order of the log
	places  map[ledger.Tag]int // where a tag stands among the entries
	next    int64              // the first entry that was not read
	sets    []foundSet
	grown   growing // of the first so many entries
	folded  int     // of entries
}

// auditState is what an auditor keeps: what everything later is held against.
type auditState struct {
	Policy     string `json:"policy"`
	Checkpoint []byte `json:"checkpoint"`
}

type element struct {
	ledger.Element
	index int64
}

type foundSet struct {
	note  []byte
	index int64
}

// OpenAuditor opens the auditor in dir of the log that server (an origin) has.
func OpenAuditor(fsys durable.FS, dir, name, server string, client *http.Client, log *slog.Logger) (*Auditor, error) {
	k, err := openKey(fsys, dir, name)
	if err != nil {
		return nil, err
	}
	a := &Auditor{fs: fsys, dir: dir, server: strings.TrimSuffix(server, "/"), http: client, log: log, key: k, places: map[ledger.Tag]int{}}
	return a, readState(dir, &a.state)
}

// VKey is the verifier key that policies name this auditor by.
func (a *Auditor) VKey() string { return a.key.VKey }

// maxFile bounds one file of a log.
const maxFile = 256*(ledger.MaxEntry+2) + 1

// fetch gets a public file of the server.
func (a *Auditor) fetch(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := a.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", latchkey.ErrUnavailable, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		return io.ReadAll(io.LimitReader(res.Body, maxFile))
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", path, latchkey.ErrNotFound)
	}
	return nil, fmt.Errorf("%s: %w: the server answered %s", path, latchkey.ErrUnavailable, res.Status)
}

// LogVKey asks a server for its log's verifier key: for who has it from nowhere
// better.
func LogVKey(ctx context.Context, client *http.Client, server string) (string, error) {
	a := &Auditor{server: strings.TrimSuffix(server, "/"), http: client}
	if err := a.takePolicy(ctx); err != nil {
		return "", err
	}
	return a.policy.Log.VKey, nil
}

func (a *Auditor) takePolicy(ctx context.Context) error {
	text := a.state.Policy
	if text == "" {
		b, err := a.fetch(ctx, "/log/policy")
		if err != nil {
			return err
		}
		text = string(b)
	}
	p, err := ledger.ParsePolicy(text)
	if err != nil {
		return err
	}
	a.state.Policy, a.policy = text, p
	a.files = ledger.NewLog(p, func(ctx context.Context, path string) ([]byte, error) { return a.fetch(ctx, p.Path()+path) })
	return nil
}

// Misbehaviour is proof that an operator did what he must not. It is
// latchkey.ErrVerify.
type Misbehaviour struct{ Text string }

func (m *Misbehaviour) Error() string        { return m.Text }
func (m *Misbehaviour) Is(target error) bool { return target == latchkey.ErrVerify }

func misbehaviour(format string, args ...any) error {
	return &Misbehaviour{fmt.Sprintf(format, args...)}
}

// Round reads what is new, checks it, and vouches for the newest set. It returns
// how many entries the log has.
func (a *Auditor) Round(ctx context.Context) (int64, error) {
	if a.policy == nil {
		if err := a.takePolicy(ctx); err != nil {
			return 0, fmt.Errorf("watch: audit: policy: %w", err)
		}
	}
	now, err := a.files.Checkpoint(ctx)
	if err != nil {
		return 0, fmt.Errorf("watch: audit: %w", err)
	}
	if a.state.Checkpoint != nil {
		before, err := a.policy.Checkpoint(a.state.Checkpoint)
		if err != nil {
			return 0, fmt.Errorf("watch: audit: %s: %w", stateFile, err)
		}
		if err := a.files.Extends(ctx, before, now); errors.Is(err, latchkey.ErrVerify) {
			return 0, misbehaviour("%v; both checkpoints are signed:\n%s\n%s", err, before.Raw, now.Raw)
		} else if err != nil {
			return 0, fmt.Errorf("watch: audit: %w", err)
		}
	}
	for raw, err := range a.files.Entries(ctx, now, a.next) {
		if err == nil {
			err = a.read(raw)
		}
		if err != nil {
			return 0, fmt.Errorf("watch: audit: entry %d: %w", a.next, err)
		}
		a.next++
	}
	a.state.Checkpoint = now.Raw
	if err := writeState(a.fs, a.dir, a.state); err != nil {
		return 0, err
	}
	return now.Size, a.vouch(ctx)
}

// read takes one entry.
func (a *Auditor) read(raw []byte) error {
	e, err := ledger.ParseEntry(raw)
	if err != nil {
		return misbehaviour("it is no entry: %x", raw)
	}
	if e.Note != nil {
		if bytes.HasPrefix(e.Note, []byte("latchkey/v1 set\n")) {
			a.sets = append(a.sets, foundSet{e.Note, a.next})
		}
		if err := a.count(raw); err != nil {
			return err
		}
		return a.readRelease(e.Note)
	}
	if first, twice := a.places[e.Tag]; twice {
		was := a.entries[first]
		return misbehaviour("entries %d and %d have one tag:\n%d: %x\n%d: %x", was.index, a.next, was.index, ledger.Entry{Tag: e.Tag, Value: was.Value}.Encode(), a.next, raw)
	}
	a.places[e.Tag] = len(a.entries)
	a.entries = append(a.entries, element{ledger.Element{Tag: e.Tag, Value: e.Value}, a.next})
	return nil
}

// readRelease says what was released. A release that those who may have not
// signed is proof of misbehaviour.
func (a *Auditor) readRelease(raw []byte) error {
	if len(a.policy.Releasers) == 0 || !bytes.HasPrefix(raw, []byte("latchkey/v1 release\n")) {
		return nil
	}
	r, err := a.policy.Release(raw)
	if err != nil {
		return misbehaviour("the release at entry %d does not hold: %v:\n%s", a.next, err, raw)
	}
	a.log.Info("released", "kind", r.Kind, "version", r.Version, "source", r.Source, "manifest", r.Hash, "entry", a.next)
	return nil
}

// count takes a public note into the report that anybody can make of the log. One
// that contradicts itself, that its signer has not signed, or a staff note that the
// staff root has not, is proof of misbehaviour.
func (a *Auditor) count(raw []byte) error {
	if a.counter == nil {
		a.counter = ledger.NewCounter(a.policy)
	}
	if err := a.counter.Read(raw); err != nil {
		return misbehaviour("the public note at entry %d does not hold: %v:\n%s", a.next, err, raw)
	}
	return nil
}

// vouch recomputes the sets that are new and signs the newest.
func (a *Auditor) vouch(ctx context.Context) error {
	for i, s := range a.sets {
		said, err := a.recompute(s)
		if err != nil {
			return fmt.Errorf("watch: audit: %w", err)
		}
		if i < len(a.sets)-1 {
			continue
		}
		if err := a.send(ctx, s, said); err != nil {
			a.sets = a.sets[i:]
			return err
		}
	}
	a.sets = nil
	return nil
}

func (a *Auditor) recompute(s foundSet) (ledger.SetNote, error) {
	n, err := a.operators(s.note)
	if err != nil {
		return ledger.SetNote{}, misbehaviour("the set at entry %d is not signed by the operator", s.index)
	}
	said, err := ledger.ParseSetNote(n.Text)
	if err != nil || said.Origin != a.policy.Origin() || said.Size > s.index {
		return ledger.SetNote{}, misbehaviour("the set at entry %d is none of this log: %v", s.index, err)
	}
	set := a.setOf(said.Size)
	if root := set.sum(); root != said.Root || int64(set.n) != said.Count {
		return ledger.SetNote{}, misbehaviour("the set at entry %d is said to be %d tags, %v; the log's first %d entries have %d tags, %v",
			s.index, said.Count, said.Root, said.Size, set.n, root)
	}
	return said, nil
}

// setOf is the set of the log's first size entries. Sets come in the order of
// their sizes, so each goes on where the last one ended; from an operator who
// goes back it is made anew.
func (a *Auditor) setOf(size int64) *growing {
	if a.folded > 0 && a.entries[a.folded-1].index >= size {
		a.grown, a.folded = growing{}, 0
	}
	for ; a.folded < len(a.entries) && a.entries[a.folded].index < size; a.folded++ {
		a.grown.add(a.entries[a.folded].Element)
	}
	return &a.grown
}

// operators opens a note that the operator has signed.
func (a *Auditor) operators(raw []byte) (*note.Note, error) {
	v, err := note.NewVerifier(a.policy.Operator.VKey)
	if err != nil {
		return nil, err
	}
	return note.Open(raw, note.VerifierList(v))
}

// send signs a set note and hands it in.
func (a *Auditor) send(ctx context.Context, s foundSet, said ledger.SetNote) error {
	n, err := a.operators(s.note)
	if err != nil {
		return err
	}
	signer, err := a.key.Signer()
	if err != nil {
		return err
	}
	signed, err := note.Sign(n, signer)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s%sset/%d", a.server, a.policy.Path(), said.Size), bytes.NewReader(signed))
	if err != nil {
		return err
	}
	res, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("watch: audit: %w: %v", latchkey.ErrUnavailable, err)
	}
	defer res.Body.Close()
	switch res.StatusCode {
	case http.StatusNoContent:
		a.log.Info("vouched for a set", "entries", said.Size, "tags", said.Count)
	case http.StatusNotFound: // a newer one is there
	case http.StatusBadRequest:
		a.log.Info("the set is right; the server's policy does not name this auditor", "entries", said.Size, "tags", said.Count)
	default:
		return fmt.Errorf("watch: audit: %w: the server does not take the signature: %s", latchkey.ErrUnavailable, res.Status)
	}
	return nil
}

// Run audits every so often until ctx ends, or until it has proof of
// misbehaviour.
func (a *Auditor) Run(ctx context.Context, every time.Duration) error {
	for {
		_, err := a.Round(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // ended by its owner
		case errors.As(err, new(*Misbehaviour)):
			return err
		case err != nil:
			a.log.Warn("the log cannot be audited now; it is tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}
