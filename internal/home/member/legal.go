package member

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/publiclog"
	"latchkey.dev/latchkey/ledger"
)

// LegalEntry is what staff enter of a request.
type LegalEntry struct {
	Kind, Country string
	Household     latchkey.HouseholdID
	Span          Span
	Document      []byte    // H of the paper; nil: none
	GagUntil      time.Time // zero: the household is told at once
}

// LegalRequest is one request of an authority, as staff see it.
type LegalRequest struct {
	LegalEntry
	N                    uint64
	State                string
	EnteredBy, DecidedBy string
	Entered              time.Time
}

// AddLegal enters a request.
func (a *Agent) AddLegal(ctx context.Context, e LegalEntry) (uint64, error) {
	req := &latchkeyv1.AddRequestRequest{Kind: e.Kind, Country: e.Country, Household: e.Household[:], From: e.Span.From.Unix(), Until: ceil(e.Span.To), Document: e.Document}
	if !e.GagUntil.IsZero() {
		req.GagUntil = e.GagUntil.Unix()
	}
	res, err := deskCall(ctx, a, "enter request", a.api.legal.AddRequest, req)
	if err != nil {
		return 0, err
	}
	return res.Request, nil
}

// Legal lists the requests, the newest first.
func (a *Agent) Legal(ctx context.Context) ([]LegalRequest, error) {
	res, err := deskCall(ctx, a, "list requests", a.api.legal.ListRequests, &latchkeyv1.ListRequestsRequest{})
	if err != nil {
		return nil, err
	}
	var out []LegalRequest
	for _, r := range res.Requests {
		one := LegalRequest{
			N: r.Request, State: r.State, EnteredBy: r.EnteredBy, DecidedBy: r.DecidedBy, Entered: time.UnixMilli(r.EnteredMs).UTC(),
			LegalEntry: LegalEntry{Kind: r.Kind, Country: r.Country, Span: Span{time.Unix(r.From, 0).UTC(), time.Unix(r.Until, 0).UTC()}, Document: r.Document},
		}
		copy(one.Household[:], r.Household) // not told to auditors
		if r.GagUntil > 0 {
			one.GagUntil = time.Unix(r.GagUntil, 0).UTC()
		}
		out = append(out, one)
	}
	return out, nil
}

// DecideLegal refuses a request, or has it handed over what the operator has.
func (a *Agent) DecideLegal(ctx context.Context, n uint64, disclose bool) error {
	_, err := deskCall(ctx, a, "decide request", a.api.legal.DecideRequest, &latchkeyv1.DecideRequestRequest{Request: n, Disclose: disclose})
	return err
}

// FetchLegal writes what was decided to be handed over: a tar of signed statements
// and sealed parts. If those are not what the household is told of any more, it is
// latchkey.ErrRefused.
func (a *Agent) FetchLegal(ctx context.Context, n uint64, w io.Writer) (int64, error) {
	res, err := a.get(ctx, fmt.Sprintf("%s/v1/legal/%d", a.api.origin, n))
	if errors.Is(err, latchkey.ErrConflict) {
		err = fmt.Errorf("%w: footage of these minutes came in or was deleted since it was decided; enter it anew", latchkey.ErrRefused)
	}
	if err != nil {
		return 0, fmt.Errorf("member: fetch request %d: %w", n, err)
	}
	defer res.Body.Close()
	return io.Copy(w, res.Body)
}

// Disclosure is what the operator says that it has handed over of a household.
type Disclosure struct {
	Request       uint64
	Kind, Country string
	Listing       string // ids, times and hashes
	Statement     uint64 // of the household's chain, which has its hash
	At            time.Time
}

// Disclosures lists what was handed over of this household. Each is held against
// the household's chain: one that the chain does not have, or a statement of it
// that nothing belongs to, is latchkey.ErrVerify. sealed is how many statements say
// something that the operator may not say yet.
func (c *Client) Disclosures(ctx context.Context) (list []Disclosure, sealed int, err error) {
	if _, err := c.refresh(ctx); err != nil {
		return nil, 0, err
	}
	res, err := call(ctx, c, "list disclosures", c.api.legal.ListDisclosures, &latchkeyv1.ListDisclosuresRequest{})
	if err != nil {
		return nil, 0, err
	}
	said := map[string]chain.Notice{}
	for _, raw := range c.past().notes {
		n, err := chain.ParseNote(raw)
		if err != nil {
			return nil, 0, err
		}
		if n.Type != chain.TypeNotice {
			continue
		}
		st, err := chain.ParseStatement(n)
		if err != nil {
			return nil, 0, err
		}
		if one, ok := st.(chain.Notice); ok && (one.Action == "disclosed" || one.Action == "sealed") {
			said[one.Action+one.Object] = one
		}
	}
	for _, d := range res.Disclosures {
		open, closed := sha256.Sum256([]byte(d.Listing)), sha256.Sum256(append(bytes.Clone(d.Salt), d.Listing...))
		one, ok := said["disclosed"+latchkey.B64(open[:])]
		if !ok {
			return nil, 0, fmt.Errorf("member: disclosures: %w: the operator lists request %d, and the household's chain does not have it so", latchkey.ErrVerify, d.Request)
		}
		delete(said, "disclosed"+latchkey.B64(open[:]))
		delete(said, "sealed"+latchkey.B64(closed[:]))
		list = append(list, Disclosure{Request: d.Request, Kind: d.Kind, Country: d.Country, Listing: d.Listing, Statement: one.Seq, At: time.Unix(one.Time, 0).UTC()})
	}
	for key := range said {
		if strings.HasPrefix(key, "disclosed") {
			return nil, 0, fmt.Errorf("member: disclosures: %w: the household's chain says that something was handed over, and the operator does not say what", latchkey.ErrVerify)
		}
		sealed++
	}
	return list, sealed, nil
}

// Report counts what the public log of a server says of its operator. pinned is the
// policy to hold it against; empty: the one that the server names.
func Report(ctx context.Context, opts Options, server, pinned string) (ledger.Transparency, *ledger.Policy, error) {
	fail := func(err error) (ledger.Transparency, *ledger.Policy, error) {
		return ledger.Transparency{}, nil, fmt.Errorf("member: report: %w", err)
	}
	a, err := newAPI(server, opts.HTTP)
	if err != nil {
		return fail(err)
	}
	if pinned == "" {
		if pinned, err = a.log().Policy(ctx); err != nil {
			return fail(err)
		}
	}
	policy, err := ledger.ParsePolicy(pinned)
	if err != nil {
		return fail(err)
	}
	log := publiclog.Open(a.log(), policy, publiclog.Pin{Policy: pinned}, [ledger.TagSize]byte{}, func(publiclog.Pin) error { return nil })
	checkpoint, err := log.Checkpoint(ctx)
	if err != nil {
		return fail(err)
	}
	count := ledger.NewCounter(policy)
	for raw, err := range log.Reader().Entries(ctx, checkpoint, 0) {
		if err != nil {
			return fail(err)
		}
		if err := count.Read(raw); err != nil {
			if !errors.Is(err, latchkey.ErrVerify) {
				err = fmt.Errorf("%w: %w", latchkey.ErrVerify, err)
			}
			return fail(err)
		}
	}
	return count.Report(), policy, nil
}
