package member

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

const (
	// contactWait is how long a contact's client keeps its share after it first
	// saw a claim, whatever the server says (docs/design/0004).
	contactWait = 7 * 24 * time.Hour
	// claimLife is how long a claim stands.
	claimLife = 30 * 24 * time.Hour
	// nameClaim begins the vault's notes on claims: when this person first saw
	// one, in Unix milliseconds, and the word for stopped.
	nameClaim    = "claim "
	claimStopped = "stopped"
)

// Claim is contacts' word that somebody with new keys is a member who has lost
// his own, as every member sees it.
type Claim struct {
	ID     chain.ClaimID
	Member Person
	By     []Person // who has signed it, verified
	// Digits are over the new keys: what a contact compares with whoever he helps.
	Digits string
	State  string // open, stopped, ended or done; the server's word
	First  time.Time
	Until  time.Time // the wait is over then, says the server
	// StoppedBy is who stopped it; the server's word.
	StoppedBy Person

	// Mine is set when this person keeps a share of the member's.
	Mine bool
	// Signed is set when this person has confirmed it, Released when his share is there.
	Signed, Released bool
	// ReleaseAt is when this client gives the share out; zero unless Mine.
	ReleaseAt time.Time

	note chain.Claim
}

// Claims shows the claims of the last 30 days, newest first. What this person
// keeps a share for is noted in his vault: his own wait begins. An open claim
// with a signature that does not hold is latchkey.ErrVerify.
func (c *Client) Claims(ctx context.Context) ([]Claim, error) {
	res, err := call(ctx, c, "list claims", c.api.contact.ListClaims, &latchkeyv1.ListClaimsRequest{})
	if err != nil {
		return nil, err
	}
	state, err := c.refresh(ctx)
	if err != nil {
		return nil, err
	}
	shares := map[latchkey.Kid]keys.Share{}
	if len(res.Claims) > 0 {
		if shares, err = c.shares(ctx, state); err != nil {
			return nil, err
		}
	}
	var out []Claim
	for _, info := range res.Claims {
		one, err := c.readClaim(state, info)
		if err != nil {
			return nil, fmt.Errorf("member: list claims: %w", err)
		}
		s, mine := shares[one.Member.Kid]
		one.Mine = mine && s.Set == one.note.Set
		out = append(out, one)
	}
	for _, s := range shares {
		s.Erase()
	}
	return out, c.noteClaims(ctx, out)
}

// readClaim believes of a claim what its notes say under valid signatures.
func (c *Client) readClaim(state chain.State, info *latchkeyv1.ClaimInfo) (Claim, error) {
	bad := func(why string) (Claim, error) { return Claim{}, fmt.Errorf("%w: %s", latchkey.ErrVerify, why) }
	if len(info.Notes) == 0 || len(info.Notes) > chain.Shares {
		return bad("a claim that nobody signed")
	}
	out := Claim{
		State: claimState(info.State), First: millis(info.FirstMs), Until: millis(info.UntilMs),
	}
	seen := map[latchkey.Kid]bool{}
	for i, raw := range info.Notes {
		n, err := chain.ParseNote(raw)
		if err != nil {
			return bad("a claim that is no note")
		}
		claim, err := chain.ParseClaim(n)
		if err != nil {
			return bad("a claim that is no claim note")
		}
		id := claim.ID()
		if string(info.Claim) != string(id[:]) || string(info.Member) != string(claim.Member[:]) || seen[claim.By] || claim.Household != state.Household {
			return bad("the notes of a claim differ")
		}
		err = state.CheckClaim(n, claim)
		if errors.Is(err, latchkey.ErrVerify) {
			return Claim{}, err
		}
		if err != nil && out.State == claimState(latchkeyv1.ClaimState_CLAIM_STATE_OPEN) {
			out.State = claimState(latchkeyv1.ClaimState_CLAIM_STATE_ENDED) // a contact or the member has gone since
		}
		seen[claim.By] = true
		out.By = append(out.By, c.person(state, claim.By))
		out.Signed = out.Signed || claim.By == c.kid()
		if i == 0 {
			out.ID, out.note, out.Member = id, claim, c.person(state, claim.Member)
		}
		out.note.Time = min(out.note.Time, claim.Time)
	}
	out.Digits = keys.ClaimDigits(out.note.Ed, out.note.X, out.note.Recovery)
	if len(info.StoppedBy) == latchkey.IDSize {
		out.StoppedBy = c.person(state, latchkey.Kid(info.StoppedBy))
	}
	me := c.kid()
	for _, k := range info.Released {
		out.Released = out.Released || string(k) == string(me[:])
	}
	return out, nil
}

func claimState(s latchkeyv1.ClaimState) string {
	switch s {
	case latchkeyv1.ClaimState_CLAIM_STATE_OPEN:
		return "open"
	case latchkeyv1.ClaimState_CLAIM_STATE_STOPPED:
		return claimStopped
	case latchkeyv1.ClaimState_CLAIM_STATE_DONE:
		return "done"
	}
	return "ended"
}

// noteClaims writes into the vault when this person first saw each claim that
// concerns his share, and that it was stopped; and fills in ReleaseAt.
func (c *Client) noteClaims(ctx context.Context, claims []Claim) error {
	now := time.Now()
	news := map[string]string{}
	for i := range claims {
		one := &claims[i]
		if !one.Mine {
			continue
		}
		first, stopped, known := c.seen(one.ID)
		if !known {
			first = now
		}
		if !known || !stopped && one.State == claimStopped {
			news[nameClaim+one.ID.String()] = claimNote(first, stopped || one.State == claimStopped)
		}
		if stopped {
			one.State = claimStopped // a stop is for good, also when the server forgets it
		}
		one.ReleaseAt = first.Add(c.wait())
	}
	if len(news) == 0 {
		return nil
	}
	return c.changeNames(ctx, func(names map[string]string) {
		for key, value := range names {
			if first, _, ok := parseClaimNote(value); ok && strings.HasPrefix(key, nameClaim) && now.Sub(first) > claimLife+24*time.Hour {
				delete(names, key)
			}
		}
		for key, value := range news {
			names[key] = value
		}
	})
}

// wait is how long this client keeps a share after it first saw the claim.
func (c *Client) wait() time.Duration { return cmp.Or(c.contactWait, contactWait) }

// seen is what the vault has noted of a claim.
func (c *Client) seen(id chain.ClaimID) (first time.Time, stopped, known bool) {
	return parseClaimNote(c.name(nameClaim + id.String()))
}

func claimNote(first time.Time, stopped bool) string {
	note := strconv.FormatInt(first.UnixMilli(), 10)
	if stopped {
		note += " " + claimStopped
	}
	return note
}

func parseClaimNote(s string) (first time.Time, stopped, ok bool) {
	ms, rest, _ := strings.Cut(s, " ")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{}, false, false
	}
	return time.UnixMilli(n), rest == claimStopped, true
}

// claim finds one claim by its id in hex, or the beginning of it.
func (c *Client) claim(ctx context.Context, id string) (Claim, error) {
	claims, err := c.Claims(ctx)
	if err != nil {
		return Claim{}, err
	}
	var found []Claim
	for _, one := range claims {
		if id != "" && strings.HasPrefix(one.ID.String(), strings.ToLower(id)) {
			found = append(found, one)
		}
	}
	if len(found) != 1 {
		return Claim{}, fmt.Errorf("member: claim %q: %w", id, latchkey.ErrNotFound)
	}
	return found[0], nil
}

// ConfirmClaim signs a claim after its 24 digits were compared with whoever is
// helped. Other digits than the claim's are latchkey.ErrVerify.
func (c *Client) ConfirmClaim(ctx context.Context, id, digits string) error {
	one, err := c.claim(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case one.State != "open":
		return fmt.Errorf("member: confirm claim: %w: it is %s", latchkey.ErrRefused, one.State)
	case !one.Mine:
		return fmt.Errorf("member: confirm claim: %w: %s has not chosen you as a trusted contact", latchkey.ErrRefused, nameOr(one.Member, "this member"))
	case !sameDigits(digits, one.Digits):
		return fmt.Errorf("member: confirm claim: %w: those are not the digits of this claim", latchkey.ErrVerify)
	}
	return c.signClaim(ctx, one.note)
}

// sameDigits compares typed digits, spaces aside.
func sameDigits(typed, digits string) bool {
	typed = strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, typed)
	return subtle.ConstantTimeCompare([]byte(typed), []byte(digits)) == 1
}

func nameOr(p Person, otherwise string) string { return cmp.Or(p.Name, otherwise) }

// signClaim signs a claim in this person's name and hands it in.
func (c *Client) signClaim(ctx context.Context, claim chain.Claim) error {
	claim.By, claim.Time = c.kid(), time.Now().Unix()
	text, err := claim.Text()
	if err != nil {
		return fmt.Errorf("member: sign claim: %w", err)
	}
	_, err = call(ctx, c, "put claim", c.api.contact.PutClaim, &latchkeyv1.PutClaimRequest{Note: chain.SignNote(text, c.vault.Signing)})
	return err
}

// StopClaim ends a claim for good. Admins can, and the member it is about.
func (c *Client) StopClaim(ctx context.Context, id string) error {
	one, err := c.claim(ctx, id)
	if err != nil {
		return err
	}
	if _, err = call(ctx, c, "stop claim", c.api.contact.StopClaim, &latchkeyv1.StopClaimRequest{Claim: one.ID[:]}); err != nil {
		return err
	}
	_, err = c.Claims(ctx) // notes the stop
	return err
}

// ReleaseShare gives this person's share to whoever is helped, sealed to the
// key in the claim. Before this client's own wait is over, and without this
// person's signature on the claim, it is latchkey.ErrRefused.
func (c *Client) ReleaseShare(ctx context.Context, id string) error {
	one, err := c.claim(ctx, id)
	if err != nil {
		return err
	}
	if err := c.mayRelease(one, time.Now()); err != nil {
		return fmt.Errorf("member: release share: %w", err)
	}
	shares, err := c.shares(ctx, c.past().head())
	if err != nil {
		return err
	}
	share, ok := shares[one.Member.Kid]
	if !ok || share.Set != one.note.Set {
		return fmt.Errorf("member: release share: %w: the contacts have been chosen anew", latchkey.ErrRefused)
	}
	letter, err := share.SealTo(one.note.X)
	for _, s := range shares {
		s.Erase()
	}
	if err != nil {
		return fmt.Errorf("member: release share: %w", err)
	}
	_, err = call(ctx, c, "put share", c.api.contact.PutShare, &latchkeyv1.PutShareRequest{Claim: one.ID[:], Letter: letter})
	return err
}

// mayRelease is the wait that does not rest on the server.
func (c *Client) mayRelease(one Claim, now time.Time) error {
	first, stopped, known := c.seen(one.ID)
	switch {
	case stopped || one.State != "open":
		return fmt.Errorf("%w: the claim is %s", latchkey.ErrRefused, one.State)
	case !one.Mine || !one.Signed:
		return fmt.Errorf("%w: this person has not confirmed the claim", latchkey.ErrRefused)
	case now.Sub(time.Unix(one.note.Time, 0)) > claimLife:
		return fmt.Errorf("%w: the claim is older than 30 days", latchkey.ErrRefused)
	case !known || now.Before(first.Add(c.wait())):
		return fmt.Errorf("%w: not before %s", latchkey.ErrRefused, first.Add(c.wait()).UTC().Format(time.RFC3339))
	}
	return nil
}

// ReleaseDue gives out every share whose wait is over; what clients call when
// they are opened. It returns how many.
func (c *Client) ReleaseDue(ctx context.Context) (int, error) {
	claims, err := c.Claims(ctx)
	if err != nil {
		return 0, err
	}
	given := 0
	var errs []error
	for _, one := range claims {
		if one.Released || c.mayRelease(one, time.Now()) != nil || time.Now().Before(one.Until) {
			continue
		}
		if err := c.ReleaseShare(ctx, one.ID.String()); err != nil {
			errs = append(errs, err)
			continue
		}
		given++
	}
	return given, errors.Join(errs...)
}

func sortedPeople(people []Person) []Person {
	slices.SortFunc(people, func(a, b Person) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kid.String(), b.Kid.String()))
	})
	return people
}
