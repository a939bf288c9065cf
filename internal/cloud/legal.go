package cloud

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud/catalog"
	"latchkey.dev/latchkey/internal/cloud/policy"
	"latchkey.dev/latchkey/ledger"
)

// legalService implements latchkey.v1.LegalService: requests of authorities. What
// the operator has, and can hand over, is ciphertext and signed statements.
type legalService struct{ s *Server }

const maxGag = 5 * 365 * 24 * time.Hour

func (l *legalService) AddRequest(ctx context.Context, req *connect.Request[v1.AddRequestRequest]) (*connect.Response[v1.AddRequestResponse], error) {
	n, err := l.add(ctx, req.Msg)
	if err != nil {
		return nil, l.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.AddRequestResponse{Request: n}), nil
}

func (l *legalService) add(ctx context.Context, m *v1.AddRequestRequest) (uint64, error) {
	who, now := shiftOf(ctx), time.Now()
	if err := l.s.decide(ctx, who, policy.LegalAdd, nil, false); err != nil {
		return 0, err
	}
	if n := len(m.GetDocument()); len(m.GetHousehold()) != latchkey.IDSize || n != 0 && n != latchkey.HashSize || !saneRange(m.GetFrom(), m.GetUntil()) || m.GetGagUntil() < 0 || m.GetGagUntil() > now.Add(maxGag).Unix() {
		return 0, fmt.Errorf("cloud: legal: %w: want a household, a range of footage, and perhaps the hash of a paper and the end of a gag", latchkey.ErrInvalid)
	}
	r := catalog.LegalRequest{
		Kind: m.GetKind(), Country: m.GetCountry(), Household: latchkey.HouseholdID(m.GetHousehold()), From: m.GetFrom(), Until: m.GetUntil(),
		GagUntil: m.GetGagUntil(), State: ledger.LegalReceived, EnteredBy: who.ID, Entered: now,
	}
	copy(r.Document[:], m.GetDocument())
	if err := (ledger.Legal{Number: 1, Kind: r.Kind, Country: r.Country, State: r.State, Time: now.Unix()}).Check(); err != nil {
		return 0, err
	}
	if _, err := l.s.homes.state(ctx, r.Household); err != nil {
		return 0, err
	}
	n, err := l.s.catalog.AddLegal(ctx, r, func(n uint64) ([]byte, error) { return l.s.legalNote(n, r) })
	l.s.ledger.Kick()
	return n, err
}

// legalNote is the public note of a request in its state of now.
func (s *Server) legalNote(n uint64, r catalog.LegalRequest) ([]byte, error) {
	return s.ledger.Sign(ledger.Legal{Number: n, Kind: r.Kind, Country: r.Country, State: r.State, Time: time.Now().Unix()}.Text())
}

func (l *legalService) ListRequests(ctx context.Context, _ *connect.Request[v1.ListRequestsRequest]) (*connect.Response[v1.ListRequestsResponse], error) {
	if err := l.s.decide(ctx, shiftOf(ctx), policy.LegalList, nil, false); err != nil {
		return nil, l.s.answer(ctx, err)
	}
	all, err := l.s.catalog.Legal(ctx, latchkey.HouseholdID{})
	if err != nil {
		return nil, l.s.answer(ctx, err)
	}
	res := &v1.ListRequestsResponse{}
	for _, r := range all {
		one := &v1.LegalRequest{Request: r.N, Kind: r.Kind, Country: r.Country, State: r.State, EnteredBy: r.EnteredBy, DecidedBy: r.DecidedBy, EnteredMs: r.Entered.UnixMilli()}
		if shiftOf(ctx).Role == ledger.RoleLegal { // auditors see nothing of a household
			one.Household, one.From, one.Until, one.Document, one.GagUntil = r.Household[:], r.From, r.Until, r.Document[:], r.GagUntil
		}
		res.Requests = append(res.Requests, one)
	}
	return connect.NewResponse(res), nil
}

// legalRequest finds one request.
func (s *Server) legalRequest(ctx context.Context, n uint64) (catalog.LegalRequest, error) {
	all, err := s.catalog.Legal(ctx, latchkey.HouseholdID{})
	if err != nil {
		return catalog.LegalRequest{}, err
	}
	i := slices.IndexFunc(all, func(r catalog.LegalRequest) bool { return r.N == n })
	if i < 0 {
		return catalog.LegalRequest{}, fmt.Errorf("cloud: legal: request: %w", latchkey.ErrNotFound)
	}
	return all[i], nil
}

func (l *legalService) DecideRequest(ctx context.Context, req *connect.Request[v1.DecideRequestRequest]) (*connect.Response[v1.DecideRequestResponse], error) {
	if err := l.settle(ctx, req.Msg.GetRequest(), req.Msg.GetDisclose()); err != nil {
		return nil, l.s.answer(ctx, err)
	}
	return connect.NewResponse(&v1.DecideRequestResponse{}), nil
}

// legalDisclosing is the state of a request while its household is told.
const legalDisclosing = "disclosing"

// settle refuses a request, or hands over: the household's chain says so before
// anything can be fetched, in clear or, while the operator may not say it, as a
// commitment. One that was cut short goes on with what was listed first.
func (l *legalService) settle(ctx context.Context, n uint64, disclose bool) error {
	l.s.settling.Lock()
	defer l.s.settling.Unlock()
	who := shiftOf(ctx)
	r, err := l.s.legalRequest(ctx, n)
	if missing := errors.Is(err, latchkey.ErrNotFound); err == nil || missing { // whether there is one is not for everybody
		if refused := l.s.decideAs(ctx, who, policy.LegalDecide, nil, false, !missing && r.EnteredBy == who.ID); refused != nil {
			return refused
		}
	}
	if err != nil {
		return err
	}
	before := r.State
	if before != ledger.LegalReceived && !(disclose && before == legalDisclosing) {
		return fmt.Errorf("cloud: legal: %w: request %d was decided already", latchkey.ErrConflict, n)
	}
	if r.State = ledger.LegalRefused; disclose {
		if err := l.s.handOver(ctx, who, &r); err != nil {
			return err
		}
		before, r.State = legalDisclosing, ledger.LegalDisclosed
	} else {
		r.DecidedBy = who.ID
	}
	public, err := l.s.legalNote(n, r)
	if err != nil {
		return err
	}
	err = l.s.catalog.SettleLegal(ctx, r, before, public)
	l.s.ledger.Kick()
	return err
}

// handOver lists what is handed over, once, and tells the household, once.
func (s *Server) handOver(ctx context.Context, who shift, r *catalog.LegalRequest) error {
	if len(r.Listing) == 0 {
		state, err := s.homes.state(ctx, r.Household)
		if err != nil {
			return err
		}
		if state.Operator != s.ledger.Policy().Operator.VKey {
			return fmt.Errorf("cloud: legal: %w: this household knows no operator, or another: it cannot be told", latchkey.ErrRefused)
		}
		if r.Listing, err = s.listing(ctx, *r, state.Seq); err != nil {
			return err
		}
		salt := newSalt()
		r.Salt, r.Told, r.DecidedBy, r.State = salt[:], r.GagUntil <= time.Now().Unix(), who.ID, legalDisclosing
		if err := s.catalog.SettleLegal(ctx, *r, ledger.LegalReceived, nil); err != nil {
			return err
		}
	}
	if r.Told {
		return s.tellOnce(ctx, *r, who.XKid, "disclosed", r.Listing)
	}
	return s.tellOnce(ctx, *r, who.XKid, "sealed", slices.Concat(r.Salt, r.Listing))
}

// tellOnce tells a household of what was handed over, unless its chain has it.
func (s *Server) tellOnce(ctx context.Context, r catalog.LegalRequest, staff latchkey.Kid, action string, what []byte) error {
	told, err := s.noticed(ctx, r, what)
	if err != nil || told {
		return err
	}
	object := latchkey.Hash(sha256.Sum256(what))
	return s.tell(ctx, r.Household, staff, action, latchkey.B64(object[:]))
}

// noticed reports whether the household's chain, since the listing of r, has a
// notice with the hash of this.
func (s *Server) noticed(ctx context.Context, r catalog.LegalRequest, what []byte) (found bool, err error) {
	from, err := listed(r.Listing)
	if err != nil {
		return false, err
	}
	object := latchkey.Hash(sha256.Sum256(what))
	err = s.eachOf(ctx, r.Household, from+1, chain.TypeNotice, func(_ chain.Note, st chain.Statement) {
		n, ok := st.(chain.Notice)
		found = found || ok && n.Object == latchkey.B64(object[:])
	})
	return found, err
}

// listing names all that is handed over: the household's statements up to seq, and
// of each track the sealed bytes, by their hash.
func (s *Server) listing(ctx context.Context, r catalog.LegalRequest, seq uint64) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "request %d\nkind %s\ncountry %s\nhousehold %s\nfrom %d\nuntil %d\n"+listedStatements, r.N, r.Kind, r.Country, r.Household, r.From, r.Until, seq)
	err := s.sealedOf(ctx, r, func(t latchkey.TrackID, c *cut) error {
		sum := sha256.New()
		if _, err := s.send(ctx, sum, c); err != nil {
			return err
		}
		b.WriteString(sealedLine(t, c.bytes, sum))
		return nil
	})
	return []byte(b.String()), err
}

// sealedLine is the line of a listing about the sealed bytes of a track.
func sealedLine(t latchkey.TrackID, n int64, sum hash.Hash) string {
	return fmt.Sprintf("sealed %s %d %x\n", t, n, sum.Sum(nil))
}

const listedStatements = "statements 0 to %d\n"

// listed returns the number of the last statement of a listing.
func listed(listing []byte) (seq uint64, err error) {
	_, err = fmt.Sscanf(string(listing[max(0, bytes.Index(listing, []byte("statements "))):]), listedStatements, &seq)
	return seq, err
}

// sealedOf runs use for each track that has footage of the request.
func (s *Server) sealedOf(ctx context.Context, r catalog.LegalRequest, use func(latchkey.TrackID, *cut) error) error {
	state, err := s.homes.state(ctx, r.Household)
	if err != nil {
		return err
	}
	for _, t := range state.Tracks() {
		g := &sight{s: s, household: r.Household, track: t.ID, granted: []span{{r.From, r.Until}}}
		c, err := s.cut(ctx, g, footageQuery{track: t.ID, byTime: true, from: float64(r.From), to: r.Until, max: 1 << 60})
		if err == nil && c.bytes > 0 {
			err = use(t.ID, c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tellGagged tells households what the operator may say by now.
func (s *Server) tellGagged(ctx context.Context, now time.Time) error {
	all, err := s.catalog.Legal(ctx, latchkey.HouseholdID{})
	for _, r := range all {
		if r.State == ledger.LegalDisclosed && !r.Told && r.GagUntil <= now.Unix() {
			err = errors.Join(err, s.tellLater(ctx, r)) // one household does not keep the others waiting
		}
	}
	return err
}

func (s *Server) tellLater(ctx context.Context, r catalog.LegalRequest) error {
	if err := s.tellOnce(ctx, r, latchkey.Kid{}, "disclosed", r.Listing); err != nil {
		return err
	}
	return s.catalog.ToldLegal(ctx, r.N)
}

func (l *legalService) ListDisclosures(ctx context.Context, _ *connect.Request[v1.ListDisclosuresRequest]) (*connect.Response[v1.ListDisclosuresResponse], error) {
	all, err := l.s.catalog.Legal(ctx, sessionOf(ctx).Household)
	if err != nil {
		return nil, l.s.answer(ctx, err)
	}
	res := &v1.ListDisclosuresResponse{}
	for _, r := range all {
		if len(r.Listing) == 0 {
			continue
		}
		// What the chain says in clear may be asked, whatever the row says by now.
		said, err := l.s.noticed(ctx, r, r.Listing)
		if err != nil {
			return nil, l.s.answer(ctx, err)
		}
		if said {
			res.Disclosures = append(res.Disclosures, &v1.Disclosure{Request: r.N, Kind: r.Kind, Country: r.Country, Listing: string(r.Listing), Salt: r.Salt})
		}
	}
	return connect.NewResponse(res), nil
}

// serveDisclosed runs GET /v1/legal/{request}: a tar of what was decided to be
// handed over. There is nothing in it that the operator could open.
func (s *Server) serveDisclosed(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	n, err := strconv.ParseUint(r.PathValue("request"), 10, 63)
	if err != nil {
		s.refuse(w, r, fmt.Errorf("cloud: legal: %w: no number", latchkey.ErrInvalid))
		return
	}
	if err := s.decide(ctx, shiftOf(ctx), policy.LegalFetch, nil, false); err != nil {
		s.refuse(w, r, err)
		return
	}
	q, err := s.legalRequest(ctx, n)
	if err == nil && q.State != ledger.LegalDisclosed {
		err = fmt.Errorf("cloud: legal: %w: request %d is %s", latchkey.ErrRefused, n, q.State)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	rc := http.NewResponseController(w)
	unhurried(rc)
	seq, err := listed(q.Listing)
	if err == nil {
		err = s.asListed(ctx, q, seq)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-tar")
	_ = rc.SetWriteDeadline(time.Now().Add(footageWait)) // not every writer has deadlines
	if err := s.bundle(ctx, tar.NewWriter(w), q, seq); err != nil {
		s.log.ErrorContext(ctx, "handing over failed", "request", n, "err", err)
		panic(http.ErrAbortHandler) // an answer that is cut short is no tar
	}
}

// asListed refuses to hand over anything but what the household is told of.
func (s *Server) asListed(ctx context.Context, q catalog.LegalRequest, seq uint64) error {
	now, err := s.listing(ctx, q, seq)
	if err == nil && !bytes.Equal(now, q.Listing) {
		err = fmt.Errorf("cloud: legal: %w: footage of these minutes came in or was deleted since request %d was decided; enter it anew", latchkey.ErrConflict, q.N)
	}
	return err
}

func (s *Server) bundle(ctx context.Context, out *tar.Writer, q catalog.LegalRequest, seq uint64) error {
	put := func(name string, b []byte) error {
		err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(b)), Format: tar.FormatUSTAR})
		if err == nil {
			_, err = out.Write(b)
		}
		return err
	}
	if err := put("listing.txt", q.Listing); err != nil {
		return err
	}
	for from := uint64(0); from <= seq; {
		notes, err := s.catalog.Statements(ctx, q.Household, from, maxStatements)
		if err != nil {
			return err
		}
		if len(notes) == 0 {
			return fmt.Errorf("cloud: legal: %w: statement %d", latchkey.ErrNotFound, from)
		}
		for _, raw := range notes[:min(uint64(len(notes)), seq+1-from)] {
			if err := put(fmt.Sprintf("chain/%06d.note", from), raw); err != nil {
				return err
			}
			from++
		}
	}
	err := s.sealedOf(ctx, q, func(t latchkey.TrackID, c *cut) error {
		if err := out.WriteHeader(&tar.Header{Name: "sealed/" + t.String() + ".parts", Mode: 0o600, Size: c.bytes, Format: tar.FormatPAX}); err != nil {
			return err
		}
		sum := sha256.New()
		_, err := s.send(ctx, io.MultiWriter(out, sum), c)
		if err == nil && !bytes.Contains(q.Listing, []byte(sealedLine(t, c.bytes, sum))) {
			err = fmt.Errorf("cloud: legal: %w: footage changed on its way", latchkey.ErrConflict)
		}
		return err
	})
	if err != nil {
		return err
	}
	return out.Close()
}
