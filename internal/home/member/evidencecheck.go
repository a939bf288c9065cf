package member

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/pack"
	"latchkey.dev/latchkey/internal/home/publiclog"
	"latchkey.dev/latchkey/ledger"
	"latchkey.dev/latchkey/part"
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
	// After is the newest checkpoint that the hub had seen before the first part;
	// its size is 0 where nothing shows one.
	After ledger.Checkpoint
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
// signature of every part and the links between them, the keys, the movie. policy
// is whose signatures of the public log count; empty: the file's own.
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
		{"the epochs", c.addEpochs, false}, {"the keys", c.addKeys, false}, {"the footage", c.footage, false},
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

// log checks the proofs that there are. A file without any is one that was made
// while the log was away: nothing is claimed of it then.
func (c *evidenceCheck) log(context.Context) error {
	own, err := c.file.small(evPolicy)
	if errors.Is(err, latchkey.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	text := c.policyText
	if c.report.OwnPolicy = text == ""; c.report.OwnPolicy {
		text = string(own)
	}
	policy, err := publiclog.Parse(text, c.past.head()) // of the operator and the log that genesis names
	if err != nil {
		return err
	}
	c.report.Log = policy.Origin()
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
func (c *evidenceCheck) ranges() []chain.TrackRange { return c.said.ranges() }

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
	c.keys, err = c.opener.AddRevealed(plain, c.ranges())
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
	c.report.Gaps = c.gaps(m.video)
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

// gaps are the times without a picture. Missing parts are an alarm, unless the
// household ordered or allowed their deletion (claim C29).
func (c *evidenceCheck) gaps(video *reader) []Gap {
	var out []Gap
	missing := append(holesBetween(video.got), cutTails(video.got, video.track)...)
	for _, h := range missing {
		g := Gap{Span: h, Why: whyMissing, Alarm: true}
		if c.deleted(h) {
			g.Why, g.Alarm = whyDeleted, false
		}
		out = append(out, g)
	}
	rest := without([]Span{c.report.Span}, missing...)
	for _, st := range video.got {
		rest = without(rest, Span{st.from().Add(-grid), st.until().Add(grid)})
	}
	for _, r := range rest {
		out = append(out, Gap{Span: r, Why: whyNothingHere})
	}
	slices.SortFunc(out, func(a, b Gap) int { return a.From.Compare(b.From) })
	return joinGaps(out)
}

// deleted reports whether the household's own statements say that all of this
// time may be gone (claim C29).
func (c *evidenceCheck) deleted(s Span) bool {
	return len(without([]Span{s}, deletedSpans(c.past.states, c.said.Video, time.Now())...)) == 0
}

// cutTails are ends of epochs that the next epoch's note knows of and that are
// not there.
func cutTails(list []stretch, track latchkey.TrackID) []Span {
	var out []Span
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		if last, ok := b.epoch.lastOf(track); a.epoch != b.epoch && ok && last.Epoch == a.epoch.note.Epoch && last.Seq > a.last {
			out = append(out, Span{a.until(), b.from()})
		}
	}
	return out
}

// movie makes one mp4 of the parts of evidence: who writes a file and who checks
// it make it in the same way.
type movie struct {
	source *evidenceFile
	said   facts
	opener *seal.Opener
	epochs map[latchkey.EpochID]*epoch
	signed bool // every part's own signature is looked at

	video, audio *reader
}

func (m *movie) make(ctx context.Context, w io.WriteSeeker) (pack.Exported, error) {
	span := Span{time.Unix(m.said.From, 0), time.Unix(m.said.Until, 0)}
	m.video = m.reader(m.said.Video, evVideo)
	var sound iter.Seq2[pack.Piece, error]
	if m.said.Audio != (latchkey.TrackID{}) {
		m.audio = m.reader(m.said.Audio, evAudio)
		sound = m.audio.pieces(ctx, span, nil)
	}
	return pack.Export(w, m.video.pieces(ctx, span, nil), sound, span.From, span.To)
}

func (m *movie) each() []*reader {
	return slices.DeleteFunc([]*reader{m.video, m.audio}, func(r *reader) bool { return r == nil })
}

func (m *movie) parts() (n int) {
	for _, r := range m.each() {
		n += r.parts
	}
	return n
}

func (m *movie) bytes() (n int64) {
	for _, r := range m.each() {
		n += r.bytes
	}
	return n
}

func (m *movie) stretches(track latchkey.TrackID) []stretch {
	for _, r := range m.each() {
		if r.track == track {
			return r.got
		}
	}
	return nil
}

// reader reads the parts of one file in it, as if a server handed them out.
func (m *movie) reader(track latchkey.TrackID, name string) *reader {
	at := int64(0)
	return newReader(source{
		opener: m.opener,
		fetch: func(context.Context, query) ([]part.Part, *place, error) {
			parts, n, err := m.parse(name, at)
			if err != nil || len(parts) == 0 {
				return nil, nil, err
			}
			at += n
			for _, p := range parts {
				if err := m.fits(track, p); err != nil {
					return nil, nil, err
				}
			}
			if at == m.source.at[name].Size() {
				return parts, nil, nil
			}
			return parts, &place{epoch: parts[len(parts)-1].Header.Epoch, seq: parts[len(parts)-1].Header.Seq + 1}, nil
		},
		epoch: func(_ context.Context, id latchkey.EpochID) (*epoch, error) {
			if e := m.epochs[id]; e != nil {
				return e, nil
			}
			return nil, fmt.Errorf("%w: a part of epoch %v, whose note is not there", latchkey.ErrVerify, id)
		},
	}, track)
}

// parse reads the next parts from at on, and how many bytes they are.
func (m *movie) parse(name string, at int64) ([]part.Part, int64, error) {
	s, ok := m.source.at[name]
	if !ok || s.Size() == 0 {
		return nil, 0, fmt.Errorf("%s: %w", name, latchkey.ErrNotFound)
	}
	buf := make([]byte, min(s.Size()-at, footageMax))
	if _, err := io.ReadFull(io.NewSectionReader(s, at, int64(len(buf))), buf); err != nil {
		return nil, 0, err
	}
	var parts []part.Part
	var n int64
	for int(n) < len(buf) && n < footageChunk {
		p, _, err := part.Next(buf[n:])
		if errors.Is(err, io.ErrUnexpectedEOF) && len(parts) > 0 && at+int64(len(buf)) < s.Size() {
			break
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w: no part at byte %d", name, latchkey.ErrVerify, at+n)
		}
		parts, n = append(parts, p), n+int64(len(p.Raw))
	}
	return parts, n, nil
}

// fits: the part is of this track, of a second of the file, and its own signature
// holds.
func (m *movie) fits(track latchkey.TrackID, p part.Part) error {
	e := m.epochs[p.Header.Epoch]
	if e == nil {
		return fmt.Errorf("%w: a part of epoch %v, whose note is not there", latchkey.ErrVerify, p.Header.Epoch)
	}
	at := e.note.Start + int64(p.Header.Slot)
	if p.Header.Track != track || at < m.said.From || at >= m.said.Until {
		return fmt.Errorf("%w: part %v is of another track, or of a second that the file is not of", latchkey.ErrVerify, p.Header)
	}
	if m.signed {
		return p.VerifySig(e.note.Signer)
	}
	return nil
}
