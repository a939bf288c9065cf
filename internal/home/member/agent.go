package member

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/ledger"
)

const (
	staffFile    = "staff"
	staffKeyFile = "staff.key"
	shiftPurpose = "shift"
)

// staffRecord is the file `staff`, sealed under the machine key.
type staffRecord struct {
	Server string `json:"server"`
	ID     string `json:"id"`
	Role   string `json:"role"`
	Policy string `json:"policy"` // of the public log, pinned when he joined
	Shift  string `json:"shift,omitempty"`
}

// Agent is one person of an operator's staff on one machine. His keys never leave
// it; they open what a household has granted to him, together with its hub. Safe
// for concurrent use. Close it.
type Agent struct {
	store *store
	api   *api
	id    keys.Identity

	mu  sync.Mutex
	rec staffRecord
}

// JoinStaff makes the keys of somebody who was invited, and applies at the server.
// He is staff once the staff root has signed for him. trained says that he has
// read the training and confirms it.
func JoinStaff(ctx context.Context, opts Options, link, id string, trained time.Time) (*Agent, error) {
	fail := func(err error) (*Agent, error) { return nil, fmt.Errorf("member: join staff: %w", err) }
	server, invite, role, err := parseStaffLink(link)
	if err != nil {
		return fail(err)
	}
	defer invite.Erase()
	if !ledger.StaffName(id) {
		return fail(fmt.Errorf("%w: %q is no name: 1 to 64 of a–z, 0–9 and -", latchkey.ErrInvalid, id))
	}
	s, err := openStore(opts)
	if err != nil {
		return fail(err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, staffKeyFile)); err == nil {
		return fail(fmt.Errorf("%w: somebody of staff lives in %s already", latchkey.ErrConflict, s.dir))
	}
	a, err := newAPI(server, opts.HTTP)
	if err != nil {
		return fail(err)
	}
	policy, err := a.log().Policy(ctx)
	if err != nil {
		return fail(err)
	}
	if p, err := ledger.ParsePolicy(policy); err != nil || len(p.StaffRoots) == 0 {
		return fail(fmt.Errorf("%w: the policy of this server names no staff root", latchkey.ErrRefused))
	}
	me := keys.NewIdentity()
	sealed, err := s.machine.SealIdentity(me)
	if err != nil {
		return fail(err)
	}
	rec := staffRecord{Server: a.origin, ID: id, Role: role, Policy: policy}
	if err := s.saveSealed(staffFile, rec); err != nil {
		return fail(err)
	}
	if err := durable.WriteFile(s.disk, filepath.Join(s.dir, staffKeyFile), sealed, 0o600); err != nil {
		return fail(err)
	}
	text, err := chain.Applicant{ID: id, Role: role, Ed: me.Signing.Public(), X: me.Sealing.Public(), Trained: trained.Unix(), Time: time.Now().Unix()}.Text()
	if err != nil {
		return fail(err)
	}
	_, err = invoke(ctx, "apply", "", a.staff.Apply, &latchkeyv1.ApplyRequest{Note: chain.SignNote(text, me.Signing), Mac: invite.MAC(chain.TextHash(text))})
	if err != nil {
		return fail(errors.Join(err, s.drop(staffKeyFile), s.drop(staffFile)))
	}
	return &Agent{store: s, api: a, id: me, rec: rec}, nil
}

// parseStaffLink splits an invitation: https://cloud.example/desk#LKI1.<secret>.<role>.
// Errors do not quote it.
func parseStaffLink(link string) (server string, invite *keys.StaffInvite, role string, err error) {
	bad := fmt.Errorf("%w: an invitation looks like https://cloud.example%s#LKI1.…", latchkey.ErrInvalid, deskPath)
	address, rest, ok := strings.Cut(strings.TrimSpace(link), "#")
	u, parseErr := url.Parse(address)
	at := strings.LastIndexByte(rest, '.')
	if !ok || parseErr != nil || u.Host == "" || strings.TrimSuffix(u.Path, "/") != deskPath || at < 0 {
		return "", nil, "", bad
	}
	if invite, err = keys.ParseStaffInvite(rest[:at]); err != nil {
		return "", nil, "", bad
	}
	return strings.ToLower(u.Scheme + "://" + u.Host), invite, rest[at+1:], nil
}

// OpenAgent opens the person of staff who lives in opts.Home; nobody is
// fs.ErrNotExist.
func OpenAgent(opts Options) (*Agent, error) {
	s, err := openStore(opts)
	if err != nil {
		return nil, err
	}
	a := &Agent{store: s}
	there, err := s.loadSealed(staffFile, &a.rec)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(s.dir, staffKeyFile))
	if !there || isMissing(err) {
		return nil, fmt.Errorf("member: open staff %s: %w", opts.Home, errNoStaffHere)
	}
	if err != nil {
		return nil, fmt.Errorf("member: open staff: %w", err)
	}
	if a.id, err = s.machine.OpenIdentity(b); err != nil {
		return nil, fmt.Errorf("member: open staff: %w", err)
	}
	a.api, err = newAPI(a.rec.Server, opts.HTTP)
	return a, err
}

// ID is the name that households are shown.
func (a *Agent) ID() string { return a.rec.ID }

// Server is the origin of the operator's service.
func (a *Agent) Server() string { return a.api.origin }

// Role is the one he was invited for.
func (a *Agent) Role() string { return a.rec.Role }

// Kid names his Ed25519 key.
func (a *Agent) Kid() latchkey.Kid { return a.id.Signing.Kid() }

// Close erases the keys in memory.
func (a *Agent) Close() { a.id.Signing.Erase() }

// token is that of the shift of now; stale: another one than this.
func (a *Agent) token(ctx context.Context, stale string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rec.Shift != "" && a.rec.Shift != stale {
		return a.rec.Shift, nil
	}
	kid := a.Kid()
	c, err := invoke(ctx, "sign in", "", a.api.desk.BeginShift, &latchkeyv1.BeginShiftRequest{Kid: kid[:]})
	if err != nil {
		return "", err
	}
	if c.Server != a.api.origin || len(c.Nonce) != latchkey.IDSize {
		return "", fmt.Errorf("member: sign in: %w: the server at %s calls itself %q; use that address", latchkey.ErrRefused, a.api.origin, c.Server)
	}
	text, err := chain.Desk{By: kid, Server: a.api.origin, Nonce: [16]byte(c.Nonce), Time: time.Now().Unix()}.Text()
	if err != nil {
		return "", err
	}
	res, err := invoke(ctx, "sign in", "", a.api.desk.StartShift, &latchkeyv1.StartShiftRequest{Note: chain.SignNote(text, a.id.Signing)})
	if err != nil {
		return "", err
	}
	a.rec.Shift = res.Token
	return res.Token, a.store.saveSealed(staffFile, a.rec)
}

// deskCall calls f in a shift.
func deskCall[Req, Res any](ctx context.Context, a *Agent, what string, f rpc[Req, Res], req *Req) (*Res, error) {
	return inShift(ctx, a, func(token string) (*Res, error) { return invoke(ctx, what, token, f, req) })
}

// inShift runs ask with the token of the shift, and once more in a new one if that
// was over.
func inShift[Res any](ctx context.Context, a *Agent, ask func(token string) (*Res, error)) (*Res, error) {
	token, err := a.token(ctx, "")
	if err != nil {
		return nil, err
	}
	res, err := ask(token)
	if !errors.Is(err, latchkey.ErrUnauthenticated) {
		return res, err
	}
	if token, err = a.token(ctx, token); err != nil {
		return nil, err
	}
	return ask(token)
}

// Tickets lists the open tickets of the desk, his own first.
func (a *Agent) Tickets(ctx context.Context) ([]Ticket, error) {
	res, err := deskCall(ctx, a, "list tickets", a.api.desk.ListDesk, &latchkeyv1.ListDeskRequest{})
	if err != nil {
		return nil, err
	}
	return ticketsOf(res.Tickets), nil
}

// Take takes a ticket; the household's chain says so.
func (a *Agent) Take(ctx context.Context, n uint64) error {
	_, err := deskCall(ctx, a, "take ticket", a.api.desk.TakeTicket, &latchkeyv1.TakeTicketRequest{Ticket: n})
	return err
}

// HealthReport is what one hub says of itself and its cameras (docs/spec/meta.md,
// "Health").
type HealthReport struct {
	Hub    latchkey.Kid
	At     time.Time // when it was signed, by the hub's clock
	Report json.RawMessage
}

// deskTicket is a ticket as the desk hands it out.
type deskTicket struct {
	Ticket
	household latchkey.HouseholdID
	letters   []Letter
	health    []HealthReport
	readers   []*latchkeyv1.Reader
}

// Ticket reads a ticket of his: messages that hold, and what hubs report.
func (a *Agent) Ticket(ctx context.Context, n uint64) (Ticket, []Letter, []HealthReport, error) {
	t, err := a.ticket(ctx, n)
	return t.Ticket, t.letters, t.health, err
}

func (a *Agent) ticket(ctx context.Context, n uint64) (deskTicket, error) {
	res, err := deskCall(ctx, a, "read ticket", a.api.desk.ReadTicket, &latchkeyv1.GetTicketRequest{Ticket: n})
	if err != nil {
		return deskTicket{}, err
	}
	if len(res.GetTicket().GetHousehold()) != latchkey.IDSize {
		return deskTicket{}, fmt.Errorf("member: read ticket: %w: no household", latchkey.ErrInvalid)
	}
	t := deskTicket{Ticket: ticketOf(res.Ticket), household: latchkey.HouseholdID(res.Ticket.Household), readers: res.Readers}
	for _, sealed := range res.Letters {
		if l, err := a.openLetter(t, n, sealed); err == nil {
			t.letters = append(t.letters, l)
		}
	}
	for _, sealed := range res.Health {
		if h, err := a.openHealth(t.household, n, sealed); err == nil {
			t.health = append(t.health, h)
		}
	}
	return t, nil
}

func (a *Agent) openLetter(t deskTicket, n uint64, sealed []byte) (Letter, error) {
	raw, err := a.id.Sealing.OpenLetter(t.household, sealed)
	if err != nil {
		return Letter{}, err
	}
	note, m, err := readMessage(raw, t.household, n)
	if err != nil {
		return Letter{}, err
	}
	l := Letter{At: time.Unix(m.Time, 0).UTC(), Words: m.Words, about: aboutOf(m)}
	if m.By == a.Kid() {
		l.By, l.Staff, l.Mine = a.rec.ID, true, true
		return l, note.Verify(a.id.Signing.Public())
	}
	for _, r := range t.readers {
		if chain.KidOf(r.Ed) == m.By {
			return l, note.Verify(ed25519.PublicKey(r.Ed))
		}
	}
	return Letter{}, fmt.Errorf("%w: written by nobody of the household", latchkey.ErrVerify)
}

func (a *Agent) openHealth(h latchkey.HouseholdID, n uint64, sealed []byte) (HealthReport, error) {
	raw, err := a.id.Sealing.OpenLetter(h, sealed)
	if err != nil {
		return HealthReport{}, err
	}
	note, err := chain.ParseNote(raw)
	if err != nil {
		return HealthReport{}, err
	}
	r, err := chain.ParseHealth(note)
	if err == nil && (r.Household != h || r.Ticket != n || r.To != a.id.Sealing.Kid() || !json.Valid(r.Report)) {
		err = fmt.Errorf("%w: the report of another ticket", latchkey.ErrVerify)
	}
	return HealthReport{Hub: r.Hub, At: time.Unix(r.Time, 0).UTC(), Report: r.Report}, err
}

// Reply writes into a ticket: to the household's members, and a copy to himself.
func (a *Agent) Reply(ctx context.Context, n uint64, words string) error {
	return a.write(ctx, n, words, about{})
}

// AskFootage is Reply with a question for footage: the household's app shows it as
// one. The words are the reason.
func (a *Agent) AskFootage(ctx context.Context, n uint64, reason string) error {
	return a.write(ctx, n, reason, about{Ask: "footage"})
}

func (a *Agent) write(ctx context.Context, n uint64, words string, says about) error {
	t, err := a.ticket(ctx, n)
	if err != nil {
		return err
	}
	m := chain.Message{Household: t.household, Ticket: n, By: a.Kid(), Time: time.Now().Unix(), Nonce: newSalt(), Words: words}
	note, err := signMessage(m, says, a.id.Signing)
	if err != nil {
		return err
	}
	readers := [][]byte{a.id.Sealing.Public()}
	for _, r := range t.readers {
		readers = append(readers, r.X)
	}
	letters, err := sealLetters(t.household, note, readers)
	if err != nil {
		return err
	}
	_, err = deskCall(ctx, a, "reply", a.api.desk.Reply, &latchkeyv1.PutMessageRequest{Ticket: n, Letters: letters})
	return err
}

// ViewRequest asks for granted footage.
type ViewRequest struct {
	Ticket uint64
	Camera string // its name, as the household told it in the ticket; a grant's id, or its beginning, does too
	Span   Span
}

// ViewStep is how far an opening is.
type ViewStep string

// The steps of an opening, in their order.
const (
	ViewWritten  ViewStep = "written"  // the household's chain says who opens what
	ViewProven   ViewStep = "proven"   // the public log has it
	ViewReleased ViewStep = "released" // the hub has given the second key
)

// View opens granted footage: first the household's chain says so, then the hub
// gives the second key, then footage is served. The entries that are opened can be
// wider than the span, up to eight and a half minutes; the grant's lines bound all.
func (a *Agent) View(ctx context.Context, req ViewRequest, step func(ViewStep)) (*Shared, error) {
	fail := func(err error) (*Shared, error) { return nil, fmt.Errorf("member: view: %w", err) }
	t, err := a.ticket(ctx, req.Ticket)
	if err != nil {
		return fail(err)
	}
	g, err := a.find(ctx, t, req)
	if err != nil {
		return fail(err)
	}
	v, err := a.open(ctx, t, g)
	if err != nil {
		return fail(err)
	}
	if err := v.release(ctx, a, t, req.Span, step); err != nil {
		v.Close()
		return fail(err)
	}
	v.Span = common(v.Span, req.Span)
	return v.Shared, nil
}

// common is what two spans have in common.
func common(a, b Span) Span { return Span{notBefore(a.From, b.From), notAfter(a.To, b.To)} }

// find is the grant of a ticket that a name, or an id, means.
func (a *Agent) find(ctx context.Context, t deskTicket, req ViewRequest) (chain.AddGrant, error) {
	res, err := deskCall(ctx, a, "list grants", a.api.desk.ListGranted, &latchkeyv1.ListGrantedRequest{Ticket: req.Ticket})
	if err != nil {
		return chain.AddGrant{}, err
	}
	names := map[string]string{}
	for _, l := range t.letters {
		if !l.Staff && l.about.Grant != "" {
			names[l.about.Grant] = l.about.Camera
		}
	}
	var found []chain.AddGrant
	for _, raw := range res.Notes {
		n, err := chain.ParseNote(raw)
		if err != nil {
			return chain.AddGrant{}, err
		}
		st, err := chain.ParseStatement(n)
		if err != nil {
			return chain.AddGrant{}, err
		}
		g, ok := st.(chain.AddGrant)
		id := g.Grant.String()
		if !ok || !strings.EqualFold(names[id], req.Camera) && !(len(req.Camera) >= 4 && strings.HasPrefix(id, strings.ToLower(req.Camera))) {
			continue
		}
		if s := common(linesSpan(g.Tracks), req.Span); s.From.Before(s.To) {
			found = append(found, g)
		}
	}
	if len(found) == 0 {
		return chain.AddGrant{}, fmt.Errorf("%w: the household has granted nothing of %q at that time for ticket %d", latchkey.ErrNotFound, req.Camera, req.Ticket)
	}
	return found[len(found)-1], nil
}

// viewed is a two-key grant that was opened as far as one key goes.
type viewed struct {
	*Shared
	grant    chain.AddGrant
	masked   *seal.Masked
	policy   *ledger.Policy
	operator ed25519.PublicKey
}

func (a *Agent) open(ctx context.Context, t deskTicket, g chain.AddGrant) (*viewed, error) {
	id := g.Grant
	res, err := deskCall(ctx, a, "open grant", a.api.desk.OpenGranted, &latchkeyv1.OpenGrantedRequest{Ticket: t.N, Grant: id[:]})
	if err != nil {
		return nil, err
	}
	policy, err := ledger.ParsePolicy(a.rec.Policy)
	if err != nil {
		return nil, err
	}
	o := &linkOpening{api: a.api, res: &latchkeyv1.OpenLinkResponse{Epochs: res.Epochs}, policy: policy, grant: g}
	if o.note, err = chain.ParseNote(res.Note); err != nil {
		return nil, err
	}
	s := &Shared{epochs: map[latchkey.EpochID]*epoch{}, opener: seal.NewOpener(t.household), Until: time.Unix(g.Until, 0).UTC()}
	o.res.Proof = res.Proof
	if err := o.checkProof(ctx, s); err != nil {
		return nil, fmt.Errorf("the proof that the grant stands in the public log: %w", err)
	}
	v := &viewed{Shared: s, grant: g, policy: policy}
	if _, v.operator, err = chain.ParseVKey(res.Operator); err != nil {
		return nil, err
	}
	if v.masked, err = s.opener.OpenMasked(id, chain.Grant{To: g.To, Kind: g.Kind, Tracks: g.Tracks, Until: g.Until, Capsule: g.Capsule}, res.Capsule, []*keys.Sealing{a.id.Sealing}); err != nil {
		return nil, err
	}
	if err := o.addEpochs(ctx, s); err != nil {
		return nil, err
	}
	s.base = fmt.Sprintf("%s/v1/desk/%d/%s", a.api.origin, t.N, id)
	s.get = func(ctx context.Context, target string) (*http.Response, error) { return a.get(ctx, target) }
	return v, nil
}

// get sends one GET in a shift; it signs in again once.
func (a *Agent) get(ctx context.Context, target string) (*http.Response, error) {
	return inShift(ctx, a, func(token string) (*http.Response, error) { return a.api.get(ctx, target, token) })
}

const (
	accessPause    = 250 * time.Millisecond
	accessPatience = time.Minute
	maxAsked       = 64 // entries of one access
)

// release has what the span needs written into the household's chain, and released.
func (v *viewed) release(ctx context.Context, a *Agent, t deskTicket, span Span, step func(ViewStep)) error {
	var entries []chain.Entry
	for _, track := range v.tracks {
		entries = append(entries, v.masked.Within(v.opener, track, span.From.Unix(), ceil(span.To))...)
	}
	if len(entries) == 0 {
		return fmt.Errorf("%w: nothing was granted of that time", latchkey.ErrNotFound)
	}
	slices.SortFunc(entries, func(x, y chain.Entry) int {
		p, q := entryName(x), entryName(y)
		return strings.Compare(string(p[:]), string(q[:]))
	})
	for chunk := range slices.Chunk(entries, maxAsked) {
		if err := v.releaseSome(ctx, a, t, chunk, step); err != nil {
			return err
		}
	}
	return nil
}

func (v *viewed) releaseSome(ctx context.Context, a *Agent, t deskTicket, entries []chain.Entry, step func(ViewStep)) error {
	access, err := v.access(ctx, a, t, entries, step)
	if err != nil {
		return err
	}
	text, err := chain.Opening{
		Household: t.household, Grant: v.grant.Grant, By: a.Kid(), Time: time.Now().Unix(), Nonce: newSalt(), Access: access, Entries: entries,
	}.Text()
	if err != nil {
		return err
	}
	id := v.grant.Grant
	res, err := deskCall(ctx, a, "release", a.api.desk.Release, &latchkeyv1.ReleaseRequest{Ticket: t.N, Grant: id[:], Note: chain.SignNote(text, a.id.Signing)})
	if err != nil {
		return err
	}
	stray, err := v.masked.Unmask(v.opener, res.Released)
	v.Stray += stray
	if err == nil {
		step(ViewReleased)
	}
	return err
}

// access waits until the public log has a statement of the household's chain that
// names the entries, and returns its hash.
func (v *viewed) access(ctx context.Context, a *Agent, t deskTicket, entries []chain.Entry, step func(ViewStep)) (latchkey.Hash, error) {
	id := v.grant.Grant
	req := &latchkeyv1.AccessRequest{Ticket: t.N, Grant: id[:]}
	for _, e := range entries {
		name := entryName(e)
		req.Entries = append(req.Entries, name[:])
	}
	for until := time.Now().Add(accessPatience); ; {
		res, err := deskCall(ctx, a, "access", a.api.desk.Access, req)
		if err != nil {
			return latchkey.Hash{}, err
		}
		n, err := chain.ParseNote(res.Note)
		if err == nil {
			err = n.Verify(v.operator)
		}
		if err == nil {
			err = names(n, id, a.id.Sealing.Kid(), entries)
		}
		if err != nil {
			return latchkey.Hash{}, err
		}
		step(ViewWritten)
		if len(res.Proof) > 0 {
			if err := v.proven(n, res.Proof); err != nil {
				return latchkey.Hash{}, err
			}
			step(ViewProven)
			return n.Hash(), nil
		}
		if time.Now().After(until) {
			return latchkey.Hash{}, fmt.Errorf("%w: the public log does not have it yet; nothing was opened", latchkey.ErrUnavailable)
		}
		if err := pause(ctx, accessPause); err != nil {
			return latchkey.Hash{}, err
		}
	}
}

// names checks that a statement is about this grant, this person and these entries.
func names(n chain.Note, grant latchkey.GrantID, staff latchkey.Kid, entries []chain.Entry) error {
	st, err := chain.ParseStatement(n)
	if err != nil {
		return err
	}
	said, ok := st.(chain.Access)
	same := ok && said.Grant == grant && said.Staff == staff && len(said.Entries) == len(entries)
	for _, e := range entries {
		same = same && slices.Contains(said.Entries, e)
	}
	if !same {
		return fmt.Errorf("%w: the server wrote another opening into the household's chain", latchkey.ErrVerify)
	}
	return nil
}

func (v *viewed) proven(n chain.Note, raw []byte) error {
	proof, err := ledger.ParseProof(raw)
	if err != nil {
		return err
	}
	if len(proof.Extra) != ledger.TagSize {
		return fmt.Errorf("%w: the proof names no tag", latchkey.ErrVerify)
	}
	_, err = proof.Check(v.policy, ledger.Entry{Tag: ledger.Tag(proof.Extra), Value: n.Hash()}.Encode())
	return err
}

func entryName(e chain.Entry) (b [36]byte) {
	copy(b[:], e.Epoch[:])
	copy(b[16:], e.Track[:])
	binary.BigEndian.PutUint32(b[32:], uint32(e.Level)<<24|e.Index)
	return b
}

// ExplainRequest asks what the rules of the desk would say of somebody who has
// confirmed the training and signs in with a key of his own.
type ExplainRequest struct {
	Role, Action            string
	Open, Assigned, Granted bool
}

// Explanation is what the rules say.
type Explanation struct {
	Allowed bool
	Rules   []struct{ Name, Words string } // that decided; none: nothing permits it
	Version string                         // hash of the rules in force, in hex
}

// Explain asks what the rules would say; nothing happens.
func (a *Agent) Explain(ctx context.Context, req ExplainRequest) (Explanation, error) {
	res, err := deskCall(ctx, a, "explain", a.api.desk.Explain, &latchkeyv1.ExplainRequest{
		Role: req.Role, Action: req.Action, Open: req.Open, Assigned: req.Assigned, Granted: req.Granted, Trained: true, Strength: "key",
	})
	if err != nil {
		return Explanation{}, err
	}
	e := Explanation{Allowed: res.Allowed, Version: res.Version}
	for _, r := range res.Rules {
		e.Rules = append(e.Rules, struct{ Name, Words string }{r.Name, r.Words})
	}
	return e, nil
}

// DeskReport is what an auditor sees: what staff asked, and nothing of a household.
type DeskReport struct {
	Decisions []DeskDecision // newest first
	Findings  []DeskFinding
	Suspended []string // ids
}

// DeskDecision is one question to the desk and its answer.
type DeskDecision struct {
	At                  time.Time
	Staff, Role, Action string
	Ticket              uint64 // 0: none
	Allowed             bool
	Rules               string // names, with spaces between
}

// DeskFinding is a pattern that stands out within a day.
type DeskFinding struct {
	Staff, Kind  string
	Count, Limit int
}

// Reinstate ends a suspension of somebody of staff; for auditors.
func (a *Agent) Reinstate(ctx context.Context, staff string) error {
	_, err := deskCall(ctx, a, "reinstate", a.api.desk.Reinstate, &latchkeyv1.ReinstateRequest{Staff: staff})
	return err
}

// Audit returns what was asked of the desk since a time; for auditors.
func (a *Agent) Audit(ctx context.Context, since time.Time) (DeskReport, error) {
	res, err := deskCall(ctx, a, "audit", a.api.desk.Audit, &latchkeyv1.AuditRequest{SinceMs: since.UnixMilli()})
	if err != nil {
		return DeskReport{}, err
	}
	r := DeskReport{Suspended: res.Suspended}
	for _, d := range res.Decisions {
		r.Decisions = append(r.Decisions, DeskDecision{
			At: time.UnixMilli(d.AtMs).UTC(), Staff: d.Staff, Role: d.Role, Action: d.Action, Ticket: d.Ticket, Allowed: d.Allowed, Rules: d.Rules,
		})
	}
	for _, f := range res.Findings {
		r.Findings = append(r.Findings, DeskFinding{Staff: f.Staff, Kind: f.Kind, Count: int(f.Count), Limit: int(f.Limit)})
	}
	return r, nil
}
