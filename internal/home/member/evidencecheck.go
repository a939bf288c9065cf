package member

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/publiclog"
	"latchkey.dev/latchkey/ledger"
)

// EvidenceReport is what was found out about a file of evidence.
type EvidenceReport struct {
	Household  latchkey.HouseholdID
	Statements uint64         // of its chain, from genesis on
	Hubs       []latchkey.Kid // that recorded it
	Video      latchkey.TrackID
	Audio      latchkey.TrackID // zero: no sound
	Span       Span
	Parts      int
	Bytes      int64
	Frames     int
	Gaps       []Gap
	// Hub statements that stand in the public log Log, under a policy of the
	// reader's or, with OwnPolicy, of the file's.
	Log       string
	OwnPolicy bool
	Logged    []LoggedHub
	// After and Before bound the time of every part, without the hub's clock; nil
	// where nothing in the file does.
	After, Before *TimeBound
	// Problems has a plain sentence for everything that does not hold. Without any
	// the file is what it says.
	Problems []string
}

// LoggedHub is a hub whose enrolment stands in the public log.
type LoggedHub struct {
	Hub     latchkey.Kid
	Entry   int64
	Witness time.Time // when a quorum had vouched for it; zero without witnesses
}

// VerifyEvidence checks a file of evidence, offline: the container, the chain
// from genesis, the hubs' epoch notes at their places in it, the log proofs, the
// signature of every part and the links between them, the keys, the movie, and
// what bounds its time. policy is whose signatures of the public log count;
// empty: the file's own.
//
// What does not hold is in the report's Problems; an error is that the file could
// not be read at all, latchkey.ErrInvalid that it is none, latchkey.ErrVerify
// that it was changed.
func VerifyEvidence(ctx context.Context, file io.ReaderAt, size int64, policy string) (EvidenceReport, error) {
	f, err := openEvidence(file, size)
	if err != nil {
		return EvidenceReport{}, fmt.Errorf("member: verify evidence: %w", err)
	}
	c := &evidenceCheck{file: f, policyText: policy, epochs: map[latchkey.EpochID]*epoch{}}
	for _, step := range []struct {
		what     string
		do       func(context.Context) error
		optional bool // what follows does not need it
	}{
		{"what the file says of itself", c.facts, false}, {"the chain of the household", c.chain, false}, {"the public log", c.log, true},
		{"the epochs", c.addEpochs, false}, {"the keys", c.addKeys, false}, {"the footage", c.footage, true},
		{"the time", c.bounds, true},
	} {
		if err := step.do(ctx); err != nil {
			if ctx.Err() != nil {
				return c.report, ctx.Err()
			}
			c.report.Problems = append(c.report.Problems, fmt.Sprintf("%s: %v", step.what, err))
			if !step.optional {
				break
			}
		}
	}
	if c.opener != nil {
		c.opener.Close()
	}
	return c.report, nil
}

// evidenceCheck is one file on its way through the checks.
type evidenceCheck struct {
	file       *evidenceFile
	policyText string
	said       facts
	past       history
	opener     *seal.Opener
	epochs     map[latchkey.EpochID]*epoch
	keys       []seal.Revealed
	policy     *ledger.Policy // nil: none that holds
	proofs     map[uint64]provenStatement
	parts      []*reader // picture and sound, read to the end
	report     EvidenceReport
}

func (c *evidenceCheck) facts(context.Context) error {
	readme, err := c.file.small(evReadme)
	if err == nil && string(readme) != evidenceReadme {
		err = fmt.Errorf("%w: the file %s is another one", latchkey.ErrInvalid, evReadme)
	}
	if err != nil {
		return err
	}
	raw, err := c.file.small(evFacts)
	if err != nil {
		return err
	}
	if c.said, err = parseFacts(string(raw)); err != nil {
		return err
	}
	c.report.Household, c.report.Video, c.report.Audio = c.said.Household, c.said.Video, c.said.Audio
	c.report.Span = Span{time.Unix(c.said.From, 0).UTC(), time.Unix(c.said.Until, 0).UTC()}
	return nil
}

// chain replays the statements: a household is what its genesis says it is.
func (c *evidenceCheck) chain(context.Context) error {
	var notes [][]byte
	err := c.file.each(evChain, func(name string, b []byte) error {
		if name != fmt.Sprintf("%06d", len(notes)) {
			return fmt.Errorf("%w: statement %d is missing", latchkey.ErrVerify, len(notes))
		}
		notes = append(notes, b)
		return nil
	})
	if err != nil {
		return err
	}
	if c.past, err = (history{}).extend(notes, math.MaxInt64/2); err != nil {
		return err
	}
	if len(notes) == 0 || c.past.head().Household != c.said.Household {
		return fmt.Errorf("%w: it is not that of household %v", latchkey.ErrVerify, c.said.Household)
	}
	c.report.Statements = c.past.head().Seq + 1
	for _, t := range []latchkey.TrackID{c.said.Video, c.said.Audio} {
		if _, _, declared := c.past.head().Track(t); !declared && t != (latchkey.TrackID{}) {
			return fmt.Errorf("%w: the household has no track %v", latchkey.ErrVerify, t)
		}
	}
	return nil
}

// log checks the proofs that there are, under the reader's policy or else the
// file's own. A file without any is one that was made while the log was away:
// nothing is claimed of it then.
func (c *evidenceCheck) log(context.Context) error {
	own, err := c.file.small(evPolicy)
	if err != nil && !errors.Is(err, latchkey.ErrNotFound) {
		return err
	}
	text := c.policyText
	if text == "" {
		text, c.report.OwnPolicy = string(own), len(own) > 0
	}
	if text == "" {
		return nil
	}
	policy, err := publiclog.Parse(text, c.past.head()) // of the operator and the log that genesis names
	if err != nil {
		return err
	}
	c.report.Log, c.policy, c.proofs = policy.Origin(), policy, map[uint64]provenStatement{}
	return c.file.each(evProofs, func(name string, b []byte) error {
		seq, err := strconv.ParseUint(name, 10, 64)
		if err != nil || seq >= uint64(len(c.past.notes)) {
			return fmt.Errorf("%w: a proof of statement %s, which is not there", latchkey.ErrVerify, name)
		}
		return c.proof(policy, seq, b)
	})
}

func (c *evidenceCheck) proof(policy *ledger.Policy, seq uint64, raw []byte) error {
	n, err := chain.ParseNote(c.past.notes[seq])
	if err != nil {
		return err
	}
	proof, err := ledger.ParseProof(raw)
	if err != nil {
		return err
	}
	if len(proof.Extra) != ledger.TagSize {
		return fmt.Errorf("%w: the proof of statement %d names no tag", latchkey.ErrVerify, seq)
	}
	checkpoint, err := proof.Check(policy, ledger.Entry{Tag: ledger.Tag(proof.Extra), Value: n.Hash()}.Encode())
	if err != nil {
		return fmt.Errorf("statement %d: %w", seq, err)
	}
	st, err := chain.ParseStatement(n)
	if err != nil {
		return err
	}
	c.proofs[seq] = provenStatement{what: st, entry: proof.Index, witnessed: checkpoint.Witnessed}
	if hub, ok := st.(chain.AddHub); ok {
		c.report.Logged = append(c.report.Logged, LoggedHub{chain.KidOf(hub.Ed), proof.Index, checkpoint.Witnessed})
	}
	return nil
}

// addEpochs admits the epoch notes: each at its place in the chain, signed by a
// hub that was in the household there.
func (c *evidenceCheck) addEpochs(context.Context) error {
	c.opener = seal.NewOpener(c.said.Household)
	err := c.file.each(evEpochs, func(name string, b []byte) error {
		n, err := chain.ParseNote(b)
		if err != nil {
			return err
		}
		note, err := chain.ParseEpochNote(n)
		if err != nil {
			return err
		}
		state, err := c.past.at(note.ChainSeq, note.ChainHash)
		if err != nil {
			return err
		}
		if err := c.past.admits(note); err != nil {
			return err
		}
		if _, _, err := c.opener.AddGrantedEpoch(b, []ed25519.PublicKey{state.Hubs[note.Hub].Ed}); err != nil {
			return err
		}
		if note.Epoch.String() != name {
			return fmt.Errorf("%w: the note of epoch %v is called %s", latchkey.ErrVerify, note.Epoch, name)
		}
		c.epochs[note.Epoch] = &epoch{note: note, hash: n.Hash()}
		if !slices.Contains(c.report.Hubs, note.Hub) {
			c.report.Hubs = append(c.report.Hubs, note.Hub)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.file.each(evHeads, func(name string, b []byte) error {
		h, err := c.opener.CheckHeads(b)
		if err != nil {
			return err
		}
		e := c.epochs[h.Epoch]
		if e == nil || h.Epoch.String() != name {
			return fmt.Errorf("%w: heads of epoch %v, which is not there", latchkey.ErrVerify, h.Epoch)
		}
		e.heads = &h
		return nil
	})
}

// ranges are what the keys may be of: the tracks and seconds of the file.
func (f facts) ranges() []chain.TrackRange {
	out := []chain.TrackRange{{Track: f.Video, From: f.From, Until: f.Until}}
	if f.Audio != (latchkey.TrackID{}) {
		out = append(out, chain.TrackRange{Track: f.Audio, From: f.From, Until: f.Until})
	}
	return out
}

func (c *evidenceCheck) addKeys(context.Context) error {
	plain, err := c.file.small(evKeys)
	if err != nil {
		return err
	}
	defer clear(plain)
	c.keys, err = c.opener.AddRevealed(plain, c.said.ranges())
	return err
}

// footage opens every part, and makes the movie anew to hold it against the one
// in the file.
func (c *evidenceCheck) footage(ctx context.Context) error {
	tmp, err := os.CreateTemp("", "latchkey-verify-*.mp4")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // a leftover only wastes space
	defer tmp.Close()
	m := &movie{source: c.file, said: c.said, opener: c.opener, epochs: c.epochs, signed: true}
	done, err := m.make(ctx, tmp)
	c.report.Parts, c.report.Bytes, c.report.Frames = m.parts(), m.bytes(), done.VideoSamples
	if err != nil {
		return err
	}
	c.parts = m.each()
	c.report.Gaps = gapsOfParts(c.report.Span, m.video, c.deleted)
	for _, g := range c.report.Gaps {
		if g.Alarm {
			c.report.Problems = append(c.report.Problems, fmt.Sprintf("the footage: parts that the hub sealed are missing from %s to %s", g.From.Format(time.RFC3339), g.To.Format(time.RFC3339)))
		}
	}
	if err := c.usedKeys(m); err != nil {
		return err
	}
	return c.sameMovie(tmp)
}

// usedKeys: a key that opens nothing here has no business in the file.
func (c *evidenceCheck) usedKeys(m *movie) error {
	for _, k := range c.keys {
		from, until := k.Node.Range()
		if !slices.ContainsFunc(m.stretches(k.Track), func(s stretch) bool {
			return s.epoch.note.Epoch == k.Epoch && s.firstSlot < until && from <= s.lastSlot
		}) {
			return fmt.Errorf("%w: it holds a key of epoch %v for seconds of which it has no footage", latchkey.ErrVerify, k.Epoch)
		}
	}
	return nil
}

func (c *evidenceCheck) sameMovie(made *os.File) error {
	there, ok := c.file.at[evMovie]
	if !ok {
		return fmt.Errorf("%s: %w", evMovie, latchkey.ErrNotFound)
	}
	if _, err := made.Seek(0, io.SeekStart); err != nil {
		return err
	}
	const chunk = 1 << 20
	a, b := make([]byte, chunk), make([]byte, chunk)
	for movie := io.NewSectionReader(there, 0, there.Size()); ; {
		n, err := io.ReadFull(made, a)
		k, _ := io.ReadFull(movie, b)
		if !bytes.Equal(a[:n], b[:k]) {
			return fmt.Errorf("%w: %s is not what the recorded parts give", latchkey.ErrVerify, evMovie)
		}
		if err != nil {
			return nil //nolint:nilerr // the end of both
		}
	}
}

// deleted reports whether admins have ordered that all of this time be deleted
// (claim C29). How long footage is kept says nothing of a hole: what is too old
// goes from the front.
func (c *evidenceCheck) deleted(s Span) bool {
	return len(without([]Span{s}, erasedSpans(c.past.head(), c.said.Video)...)) == 0
}
