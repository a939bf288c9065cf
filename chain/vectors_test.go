package chain_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/testkit"
)

// seedSigner signs with the key of a vector's seed.
type seedSigner struct{ key ed25519.PrivateKey }

func newSigner(seed []byte) seedSigner { return seedSigner{ed25519.NewKeyFromSeed(seed)} }

func (s seedSigner) Public() ed25519.PublicKey  { return s.key.Public().(ed25519.PublicKey) }
func (s seedSigner) Sign(message []byte) []byte { return ed25519.Sign(s.key, message) }

func mustParse(t testing.TB, raw []byte) chain.Note {
	t.Helper()
	n, err := chain.ParseNote(raw)
	if err != nil {
		t.Fatalf("parse: %v\n%s", err, raw)
	}
	return n
}

// checkNote holds a note vector against parser, verifier and signer, and
// against the reference implementation of signed notes.
func checkNote(t *testing.T, v testkit.NoteVector, seed []byte) chain.Note {
	t.Helper()
	n := mustParse(t, []byte(v.Note))
	if string(n.Text) != v.Text {
		t.Errorf("text is\n%swant\n%s", n.Text, v.Text)
	}
	if got := n.Hash(); !bytes.Equal(got[:], v.Hash) {
		t.Errorf("hash is %v, want %x", got, v.Hash)
	}
	if err := n.Verify([]byte(v.Signer)); err != nil {
		t.Errorf("verify: %v", err)
	}
	if seed != nil {
		if got := chain.SignNote(n.Text, newSigner(seed)); string(got) != v.Note {
			t.Errorf("signing again gives\n%swant\n%s", got, v.Note)
		}
	}
	verifier, err := note.NewVerifier(v.VKey)
	if err != nil {
		t.Fatalf("reference verifier: %v", err)
	}
	if _, err := note.Open([]byte(v.Note), note.VerifierList(verifier)); err != nil {
		t.Errorf("the reference implementation refuses the note: %v", err)
	}
	return n
}

// parseValues runs the parser of the note's type.
func parseValues(n chain.Note) error {
	var err error
	switch n.Type {
	case chain.TypeEpoch:
		_, err = chain.ParseEpochNote(n)
	case chain.TypeHeads:
		_, err = chain.ParseHeads(n)
	case chain.TypeLogin:
		_, err = chain.ParseLogin(n)
	case chain.TypeCommand:
		_, err = chain.ParseCommand(n)
	case chain.TypeDirectory:
		_, err = chain.ParseDirectory(n)
	case chain.TypeOpening:
		_, err = chain.ParseOpening(n)
	case chain.TypeDesk:
		_, err = chain.ParseDesk(n)
	case chain.TypeApplicant:
		_, err = chain.ParseApplicant(n)
	case chain.TypeMessage:
		_, err = chain.ParseMessage(n)
	case chain.TypeHealth:
		_, err = chain.ParseHealth(n)
	default:
		_, err = chain.ParseStatement(n)
	}
	return err
}

// refuses reports an error unless the bytes are refused as invalid.
func refuses(t *testing.T, name string, raw []byte) {
	t.Helper()
	n, err := chain.ParseNote(raw)
	if err == nil {
		err = parseValues(n)
	}
	if !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("%s: got %v, want %v", name, err, latchkey.ErrInvalid)
	}
}

func refusesAll(t *testing.T, notes []testkit.RejectedNote, signer []byte) {
	t.Helper()
	if len(notes) == 0 {
		t.Error("no rejects in the vector file")
	}
	for _, r := range notes {
		refuses(t, r.Name, []byte(r.Note))
	}
}

func TestNoteVectors(t *testing.T) {
	var v testkit.Notes
	testkit.Load(t, "notes", &v)
	checkNote(t, v.Valid, v.Seed)
	extra := mustParse(t, []byte(v.Extra))
	if err := extra.Verify([]byte(v.Valid.Signer)); err != nil {
		t.Errorf("with further signature lines: %v", err)
	}
	for _, f := range v.Forged {
		if err := mustParse(t, []byte(f.Note)).Verify([]byte(v.Valid.Signer)); !errors.Is(err, latchkey.ErrVerify) {
			t.Errorf("%s: got %v, want %v", f.Name, err, latchkey.ErrVerify)
		}
	}
	if len(v.Forged) == 0 || len(v.Rejects) == 0 {
		t.Error("no forged notes or no rejects in the vector file")
	}
	for _, r := range v.Rejects {
		refuses(t, r.Name, r.Bytes)
	}
}

func TestEpochVectors(t *testing.T) {
	var v testkit.Epoch
	testkit.Load(t, "epoch", &v)
	n := checkNote(t, v.Note, v.HubSeed)
	e, err := chain.ParseEpochNote(n)
	if err != nil {
		t.Fatal(err)
	}
	want := chain.EpochNote{
		Household: latchkey.HouseholdID(v.Household), Hub: latchkey.Kid(v.Hub), N: v.N, Prev: latchkey.Hash(v.Prev),
		Epoch: latchkey.EpochID(v.Epoch), Start: v.Start, ClockSynced: v.ClockSynced, ChainSeq: v.ChainSeq,
		ChainHash: latchkey.Hash(v.ChainHash), ProofTime: v.ProofTime, Signer: ed25519.PublicKey(v.SignerPub), Seals: latchkey.Hash(v.Seals),
	}
	for _, r := range v.Roots {
		want.Tracks = append(want.Tracks, chain.TrackCommit{Track: latchkey.TrackID(r.Track), Commit: latchkey.Hash(r.Commit)})
	}
	for _, l := range v.Last {
		want.Last = append(want.Last, chain.LastHead{Track: latchkey.TrackID(l.Track), Epoch: latchkey.EpochID(l.Epoch), Seq: l.Seq, Hash: latchkey.Hash(l.Hash)})
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("epoch note (-want +got):\n%s", diff)
	}
	slices.Reverse(e.Tracks)
	slices.Reverse(e.Last)
	if text, err := e.Text(); err != nil || string(text) != v.Note.Text {
		t.Errorf("encoded again: %v\n%s", err, text)
	}
	checkNote(t, v.First, v.HubSeed)
	refusesAll(t, v.Rejects, v.HubSeed)
}

func TestSealsVectors(t *testing.T) {
	var v testkit.Epoch
	testkit.Load(t, "epoch", &v)
	var lines []chain.SealLine
	for _, s := range v.SealLines {
		lines = append(lines, chain.SealLine{Kid: latchkey.Kid(s.Kid), Hash: latchkey.Hash(s.Hash)})
	}
	if len(lines) < 2 {
		t.Fatal("too few seal lines to test their order")
	}
	for range 2 {
		if got := chain.Seals(lines); !bytes.Equal(got[:], v.Seals) {
			t.Errorf("seals are %v, want %x", got, v.Seals)
		}
		slices.Reverse(lines)
	}
	lines[0].Hash[0] ^= 1
	if got := chain.Seals(lines); bytes.Equal(got[:], v.Seals) {
		t.Error("seals do not cover a capsule's hash")
	}
	if got := chain.Seals(nil); got != chain.TextHash(nil) {
		t.Errorf("seals of nobody are %v", got)
	}
}

func TestHeadsVectors(t *testing.T) {
	var v testkit.Heads
	testkit.Load(t, "heads", &v)
	h, err := chain.ParseHeads(checkNote(t, v.Note, v.SignerSeed))
	if err != nil {
		t.Fatal(err)
	}
	want := chain.Heads{
		Household: latchkey.HouseholdID(v.Household), Hub: latchkey.Kid(v.Hub), Epoch: latchkey.EpochID(v.Epoch), N: v.N, Time: v.Time,
		ChainSeq: v.ChainSeq, ChainHash: latchkey.Hash(v.ChainHash), ProofTime: v.ProofTime, LogSize: v.LogSize, LogRoot: latchkey.Hash(v.LogRoot),
	}
	for _, x := range v.Heads {
		want.Heads = append(want.Heads, chain.HeadOf{Track: latchkey.TrackID(x.Track), Seq: x.Seq, Hash: latchkey.Hash(x.Hash)})
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("heads (-want +got):\n%s", diff)
	}
	slices.Reverse(h.Heads)
	if text, err := h.Text(); err != nil || string(text) != v.Note.Text {
		t.Errorf("encoded again: %v\n%s", err, text)
	}
	refusesAll(t, v.Rejects, v.SignerSeed)
}

func TestLoginVectors(t *testing.T) {
	var v testkit.Login
	testkit.Load(t, "login", &v)
	l, err := chain.ParseLogin(checkNote(t, v.Note, v.Seed))
	if err != nil {
		t.Fatal(err)
	}
	want := chain.Login{Household: latchkey.HouseholdID(v.Household), By: latchkey.Kid(v.By), Server: v.Server, Nonce: [16]byte(v.Nonce), Time: v.Time}
	if l != want {
		t.Errorf("login is %+v, want %+v", l, want)
	}
	if text, err := l.Text(); err != nil || string(text) != v.Note.Text {
		t.Errorf("encoded again: %v\n%s", err, text)
	}
	refusesAll(t, v.Rejects, v.Seed)
}

func TestCommandVectors(t *testing.T) {
	var v testkit.Command
	testkit.Load(t, "command", &v)
	c, err := chain.ParseCommand(checkNote(t, v.Note, v.Seed))
	if err != nil {
		t.Fatal(err)
	}
	want := chain.Command{
		Household: latchkey.HouseholdID(v.Household), Hub: latchkey.Kid(v.Hub), By: latchkey.Kid(v.By),
		Time: v.Time, Nonce: [16]byte(v.Nonce), Op: v.Op, Args: []byte(v.Args),
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("command (-want +got):\n%s", diff)
	}
	if text, err := c.Text(); err != nil || string(text) != v.Note.Text {
		t.Errorf("encoded again: %v\n%s", err, text)
	}
	refusesAll(t, v.Rejects, v.Seed)
}

func TestStatementVectors(t *testing.T) {
	var v testkit.Statements
	testkit.Load(t, "statements", &v)
	applyAll(t, v.Chain, v.Now, v.Household)
}

// applyAll applies a chain and holds the state after each statement against it.
func applyAll(t *testing.T, list []testkit.StatementVector, now int64, household testkit.Hex) []chain.State {
	t.Helper()
	if len(list) == 0 {
		t.Fatal("no statements in the vector file")
	}
	var s chain.State
	states := []chain.State{s}
	for i, sv := range list {
		n := mustParse(t, []byte(sv.Note))
		if got := n.Hash(); n.Type != sv.Type || !bytes.Equal(got[:], sv.Hash) {
			t.Errorf("%s: type %s, hash %v", sv.Name, n.Type, got)
		}
		st, err := chain.ParseStatement(n)
		if err != nil {
			t.Fatalf("%s: %v", sv.Name, err)
		}
		if text, err := st.Text(); err != nil || !bytes.Equal(text, n.Text) {
			t.Errorf("%s: encoded again: %v\n%s", sv.Name, err, text)
		}
		if s, err = chain.Apply(s, n, now); err != nil {
			t.Fatalf("statement %d, %s: %v", i, sv.Name, err)
		}
		if diff := cmp.Diff(sv.State, stateVector(s, now)); diff != "" {
			t.Errorf("state after %s (-want +got):\n%s", sv.Name, diff)
		}
		states = append(states, s)
	}
	if !bytes.Equal(s.Household[:], household) {
		t.Errorf("household is %v, want %x", s.Household, household)
	}
	return states
}

// What the operator writes into a chain, and the two notes of the desk.
func TestDeskVectors(t *testing.T) {
	var v testkit.Desk
	testkit.Load(t, "desk", &v)
	states := applyAll(t, v.Chain, v.Now, v.Household)
	rejectAll(t, v.Reject, states)
	agent := v.Seeds["agent"]
	o, err := chain.ParseOpening(checkNote(t, v.Opening, agent))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := o.Text(); err != nil || string(text) != v.Opening.Text || len(o.Entries) != len(v.Entries) {
		t.Errorf("opening, encoded again: %v\n%s", err, text)
	}
	refusesAll(t, v.RejectOpening, agent)
	d, err := chain.ParseDesk(checkNote(t, v.Desk, agent))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := d.Text(); err != nil || string(text) != v.Desk.Text {
		t.Errorf("desk, encoded again: %v\n%s", err, text)
	}
	refusesAll(t, v.RejectDesk, agent)
	a, err := chain.ParseApplicant(checkNote(t, v.Applicant, agent))
	again(t, v.Applicant, a, err)
	m, err := chain.ParseMessage(checkNote(t, v.Message, agent))
	again(t, v.Message, m, err)
	h, err := chain.ParseHealth(checkNote(t, v.Health, v.Seeds["hub"]))
	again(t, v.Health, h, err)
	refusesAll(t, v.RejectLetters, agent)
}

// again holds the values of a note against its text.
func again(t *testing.T, v testkit.NoteVector, parsed interface{ Text() ([]byte, error) }, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := parsed.Text(); err != nil || string(text) != v.Text {
		t.Errorf("encoded again: %v\n%s", err, text)
	}
}

// stateVector writes a state as the vectors have it.
func stateVector(s chain.State, now int64) testkit.StateVector {
	v := testkit.StateVector{Seq: s.Seq, Hash: s.Hash[:], Members: []testkit.MemberVector{}, Hubs: []testkit.Hex{}, Cameras: []testkit.CameraVector{}, Recipients: []testkit.RecipientVector{},
		RetainAll: s.RetainAll, Retain: []testkit.RetainVector{}, Erased: []testkit.RangeVector{}, Grants: []testkit.GrantVector{}}
	for kid, m := range s.Members {
		v.Members = append(v.Members, testkit.MemberVector{Kid: kid[:], Role: string(m.Role), Share: m.Share, All: m.AllTracks, Tracks: hexOf(m.Tracks), Past: hexOf(m.Past), PastEd: hexOf(m.PastEd), Seq: m.Seq})
	}
	for _, id := range sorted16(s.Retain) {
		v.Retain = append(v.Retain, testkit.RetainVector{Track: id[:], Seconds: s.Retain[id]})
	}
	for _, e := range s.Erased {
		v.Erased = append(v.Erased, testkit.RangeVector{Track: e.Track[:], From: e.From, Until: e.Until})
	}
	for _, id := range sorted16(s.Grants) {
		g := s.Grants[id]
		gv := testkit.GrantVector{Grant: id[:], By: g.By[:], To: g.To[:], Kind: string(g.Kind), Until: g.Until, Capsule: testkit.Hex{}, Standing: g.Standing, Seq: g.Seq, Revoked: g.Revoked}
		if g.Capsule != (latchkey.Hash{}) {
			gv.Capsule = g.Capsule[:]
		}
		gv.Release, gv.Mask = testkit.Hex{}, testkit.Hex{}
		if g.Release != (latchkey.Kid{}) {
			gv.Release, gv.Mask = g.Release[:], g.Mask[:]
		}
		for _, t := range g.Tracks {
			gv.Tracks = append(gv.Tracks, testkit.RangeVector{Track: t.Track[:], From: t.From, Until: t.Until})
		}
		v.Grants = append(v.Grants, gv)
	}
	for kid := range s.Hubs {
		v.Hubs = append(v.Hubs, kid[:])
	}
	for id, c := range s.Cameras {
		cv := testkit.CameraVector{Camera: id[:]}
		for _, t := range c.Tracks {
			cv.Tracks = append(cv.Tracks, testkit.TrackVector{Track: t.ID[:], Kind: string(t.Kind)})
		}
		v.Cameras = append(v.Cameras, cv)
	}
	for _, r := range s.Recipients(now) {
		rv := testkit.RecipientVector{Kid: r.Kid[:], Tracks: hexOf(r.Tracks), Windows: []testkit.RangeVector{}}
		for _, w := range r.Windows {
			rv.Windows = append(rv.Windows, testkit.RangeVector{Track: w.Track[:], From: w.From, Until: w.Until})
		}
		v.Recipients = append(v.Recipients, rv)
	}
	slices.SortFunc(v.Members, func(a, b testkit.MemberVector) int { return bytes.Compare(a.Kid, b.Kid) })
	slices.SortFunc(v.Hubs, func(a, b testkit.Hex) int { return bytes.Compare(a, b) })
	slices.SortFunc(v.Cameras, func(a, b testkit.CameraVector) int { return bytes.Compare(a.Camera, b.Camera) })
	return v
}

func hexOf[K ~[latchkey.IDSize]byte](ids []K) []testkit.Hex {
	out := []testkit.Hex{}
	for _, id := range ids {
		out = append(out, id[:])
	}
	return out
}

func TestChainRejects(t *testing.T) {
	var v testkit.Statements
	testkit.Load(t, "statements", &v)
	rejectAll(t, v.Reject, statesOf(t, v))
}

func rejectAll(t *testing.T, list []testkit.ChainReject, states []chain.State) {
	t.Helper()
	if len(list) == 0 {
		t.Fatal("no rejects in the vector file")
	}
	kinds := map[string]error{
		"invalid": latchkey.ErrInvalid, "conflict": latchkey.ErrConflict, "verify": latchkey.ErrVerify, "refused": latchkey.ErrRefused,
	}
	for _, r := range list {
		s := states[r.After]
		before := stateVector(s, r.Now)
		n, err := chain.ParseNote([]byte(r.Note))
		if err == nil {
			_, err = chain.Apply(s, n, r.Now)
		}
		if want := kinds[r.Error]; want == nil || !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %s", r.Name, err, r.Error)
		}
		if diff := cmp.Diff(before, stateVector(s, r.Now)); diff != "" {
			t.Errorf("%s: changed the state before:\n%s", r.Name, diff)
		}
	}
}

// statesOf returns the states before and after each statement of the vectors.
func statesOf(t testing.TB, v testkit.Statements) []chain.State {
	t.Helper()
	states := []chain.State{{}}
	for _, sv := range v.Chain {
		next, err := chain.Extend(states[len(states)-1], [][]byte{[]byte(sv.Note)}, v.Now)
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, next)
	}
	return states
}

// The statement printed in section 4 of the protocol.
func TestGrantOfTheProtocol(t *testing.T) {
	var v testkit.Statements
	testkit.Load(t, "statements", &v)
	n := checkNote(t, v.Grant, nil)
	const hash = "12f6810385d9d921308c38952297d0a833fc9352cb64e8fe8bcebbc0627a3b3f"
	const vkey = "lk.878f7a2db8c5e2c2b65d81257ce49e9f+f33dffb0+ASVDuS/xCVURR2rcg2nbbdyTNmWhGXjdoUBO4QZsqVWd"
	const line = "— lk.878f7a2db8c5e2c2b65d81257ce49e9f 8z3/sOydCvUqc0b7ZxgTiPpCpTZgvWtg7LER0CKBz3nhB7gbeHiDe1e9RQLmEwYwg5PS1/7GtN6H1bJWAjG2joeUgQ4=\n"
	if got := n.Hash().String(); got != hash {
		t.Errorf("hash is %s, want %s", got, hash)
	}
	if !bytes.HasSuffix(n.Raw, []byte("\n\n"+line)) {
		t.Errorf("signature line is not that of the protocol:\n%s", n.Raw)
	}
	st, err := chain.ParseStatement(n)
	if err != nil {
		t.Fatal(err)
	}
	g, ok := st.(chain.AddGrant)
	if !ok || g.Kind != chain.GrantStaff || g.Purpose != "support:48213" || len(g.Tracks) != 1 || g.Tracks[0].Until-g.Tracks[0].From != 3600 || g.Until != 1790086400 || g.Standing || len(g.Hubs) > 0 {
		t.Errorf("grant is %+v", st)
	}
	if text, err := st.Text(); err != nil || !bytes.Equal(text, n.Text) {
		t.Errorf("encoded again: %v\n%s", err, text)
	}
	if got := chain.VKey("lk.878f7a2db8c5e2c2b65d81257ce49e9f", []byte(v.Grant.Signer)); got != vkey {
		t.Errorf("vkey is %s, want %s", got, vkey)
	}
	if name, pub, err := chain.ParseVKey(vkey); err != nil || name != "lk.878f7a2db8c5e2c2b65d81257ce49e9f" || !bytes.Equal(pub, v.Grant.Signer) {
		t.Errorf("parsed vkey: %s %x %v", name, pub, err)
	}
}
