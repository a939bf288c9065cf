package member

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

const comebackFile = "comeback"

// Comeback is the side of a member who has lost everything and whom trusted
// contacts help: fresh keys and a fresh recovery code, sealed in this machine's
// folder until the member is back, so that any step can be taken up again.
type Comeback struct {
	opts Options
	s    *store
	api  *api
	doc  comeback

	vault    *keys.Vault // the new keys only
	vk       keys.Secret // of the vault to come
	recovery keys.Code
	offer    keys.Offer
}

// comeback is the file of a comeback that is under way, under the machine key.
type comeback struct {
	Server    string `json:"server"`
	Link      string `json:"link"`      // the code of the link
	Recovery  string `json:"recovery"`  // the new recovery code
	Confirmed bool   `json:"confirmed"` // its owner has seen it
	Keys      []byte `json:"keys"`      // LKV1 of no household yet, under VaultKey
	VaultKey  []byte `json:"vault_key"` // VK under the machine key
	Offer     []byte `json:"offer"`     // LKO1
	Device    []byte `json:"device"`    // under the machine key
	Answer    []byte `json:"answer,omitempty"`
}

// parseHelpLink reads <origin>/#help=<code>.
func parseHelpLink(link string) (origin string, code keys.Code, err error) {
	u, err := url.Parse(strings.TrimSpace(link))
	if err != nil || u.Host == "" || !strings.HasPrefix("#"+u.Fragment, helpFragment) {
		return "", code, fmt.Errorf("member: help link: %w: it looks like https://cloud.example/%s…", latchkey.ErrInvalid, helpFragment)
	}
	code, err = keys.ParseCode(strings.TrimPrefix("#"+u.Fragment, helpFragment))
	return u.Scheme + "://" + u.Host, code, err
}

// BeginComeback takes up what was begun in opts.Home, or makes new keys and a
// new recovery code there. Nothing leaves this machine before confirm, which
// shows the code to its owner, has returned nil. link is the one that a contact
// has made; empty, or one that comes after a contact has answered, only takes
// up: without anything there that is latchkey.ErrNotFound. A folder that holds a
// member is latchkey.ErrConflict.
func BeginComeback(opts Options, link string, confirm func(code string) error) (*Comeback, error) {
	if there, err := exists(opts.Home); err != nil || there {
		return nil, errors.Join(err, fmt.Errorf("member: come back: %s holds a member already: %w", opts.Home, latchkey.ErrConflict))
	}
	s, err := openStore(opts)
	if err != nil {
		return nil, err
	}
	b := &Comeback{opts: opts, s: s}
	there, err := s.loadSealed(comebackFile, &b.doc)
	switch {
	case err != nil:
		return nil, err
	case there:
		err = b.open(link)
	case link == "":
		err = fmt.Errorf("nothing was begun here: %w", latchkey.ErrNotFound)
	default:
		err = b.draw(link)
	}
	if err != nil {
		return nil, fmt.Errorf("member: come back: %w", err)
	}
	if b.api, err = newAPI(b.doc.Server, opts.HTTP); err != nil {
		return nil, err
	}
	return b, b.confirm(confirm)
}

// draw makes keys, recovery code and offer.
func (b *Comeback) draw(link string) error {
	origin, code, err := parseHelpLink(link)
	if err != nil {
		return err
	}
	defer code.Erase()
	b.vault, b.vk, b.recovery = keys.NewVault(), keys.NewSecret(), keys.NewCode()
	b.offer = keys.NewOffer(keys.RoleMember, b.vault.Signing, b.vault.Sealing[0], b.recovery.RecoverySign().Public())
	b.doc = comeback{Server: origin, Link: code.Reveal(), Recovery: b.recovery.Reveal()}
	var errs [4]error
	b.doc.VaultKey, errs[0] = b.s.machine.SealSecret(vaultKeyPurpose, b.vk)
	b.doc.Keys, errs[1] = b.vault.Seal(b.vk, 0)
	b.doc.Offer, errs[2] = b.offer.Marshal()
	b.doc.Device, errs[3] = newDevice().seal(b.s.machine)
	return errors.Join(errors.Join(errs[:]...), b.save())
}

// open reads what draw wrote. Another link counts while no contact has answered.
func (b *Comeback) open(link string) (err error) {
	if b.vk, err = b.s.machine.OpenSecret(vaultKeyPurpose, b.doc.VaultKey); err != nil {
		return err
	}
	if b.vault, _, err = keys.OpenVault(b.vk, b.doc.Keys); err != nil {
		return err
	}
	if b.offer, err = keys.ParseOffer(b.doc.Offer); err != nil {
		return err
	}
	if b.recovery, err = keys.ParseCode(b.doc.Recovery); err != nil {
		return err
	}
	if link == "" || b.Answered() {
		return nil
	}
	origin, code, err := parseHelpLink(link)
	if err != nil {
		return err
	}
	defer code.Erase()
	if origin != b.doc.Server {
		return fmt.Errorf("%w: this link is of another server than the first", latchkey.ErrRefused)
	}
	b.doc.Link = code.Reveal()
	return b.save()
}

func (b *Comeback) confirm(show func(code string) error) error {
	if b.doc.Confirmed {
		return nil
	}
	if err := show(b.doc.Recovery); err != nil {
		return fmt.Errorf("member: come back: the recovery code was not confirmed: %w", err)
	}
	b.doc.Confirmed = true
	return b.save()
}

func (b *Comeback) save() error { return b.s.saveSealed(comebackFile, b.doc) }

// SameCode reports whether typed is the code that was shown, however it was typed.
func SameCode(typed, shown string) bool {
	a, errA := keys.ParseCode(typed)
	b, errB := keys.ParseCode(shown)
	return errA == nil && errB == nil && a.Equal(b)
}

// Close forgets the keys in memory; what is on disk stays.
func (b *Comeback) Close() {
	b.vk.Erase()
	b.vault.Signing.Erase()
	b.recovery.Erase()
}

// Abandon forgets the new keys for good. The link, and what contacts have
// signed, is of no use then.
func (b *Comeback) Abandon() error { return b.s.drop(comebackFile) }

// Digits are what the member reads to each contact.
func (b *Comeback) Digits() string {
	return keys.ClaimDigits(b.offer.Ed, b.offer.X, b.offer.Recovery)
}

// Answered reports whether a contact has answered the link.
func (b *Comeback) Answered() bool { return b.doc.Answer != nil }

// Meet leaves the offer in the mailbox of the link and waits for the contact's
// answer, which names the household and pins its chain.
func (b *Comeback) Meet(ctx context.Context) error {
	if b.Answered() {
		return nil
	}
	link, err := keys.ParseCode(b.doc.Link)
	if err != nil {
		return fmt.Errorf("member: come back: %w", err)
	}
	defer link.Erase()
	ctx, cancel := context.WithTimeoutCause(ctx, pairingLife, errNoHelper)
	defer cancel()
	// Leaving an offer and waiting for the answer is what a guest does too.
	g := &guest{store: b.s, api: b.api, code: link, offer: b.offer}
	if err := g.leaveOffer(ctx); err != nil {
		return err
	}
	answer, err := g.awaitAnswer(ctx)
	if err != nil {
		return err
	}
	b.doc.Answer = answer.Marshal()
	return b.save()
}

// errNoHelper is a link that nobody answered in time.
var errNoHelper = fmt.Errorf("%w: nobody answered within 15 minutes; ask for a new link", latchkey.ErrUnavailable)

// answer is what the contact has said; it was authenticated when it came.
func (b *Comeback) answer() (keys.Answer, error) { return keys.ParseAnswer(b.doc.Answer) }

// ComebackState is how far a comeback is.
type ComebackState struct {
	// Step is link (nobody has answered), digits (no contact has confirmed yet),
	// second (one has), waiting (two have), ready, stopped, ended, or done (only
	// the sign-in is missing).
	Step  string
	Until time.Time // the wait is over then; zero before a contact has confirmed
	// Confirmed and Shares count contacts.
	Confirmed, Shares int
}

// State asks the server how far it is.
func (b *Comeback) State(ctx context.Context) (ComebackState, error) {
	if !b.Answered() {
		return ComebackState{Step: "link"}, nil
	}
	res, err := b.poll(ctx, 0)
	if errors.Is(err, latchkey.ErrUnauthenticated) {
		return ComebackState{Step: "digits"}, nil
	}
	if err != nil {
		return ComebackState{}, err
	}
	return b.stateOf(res), nil
}

func (b *Comeback) stateOf(res *latchkeyv1.PollClaimResponse) ComebackState {
	info := res.GetClaim()
	st := ComebackState{Until: millis(info.GetUntilMs()), Confirmed: len(info.GetNotes()), Shares: len(info.GetReleased())}
	switch state := claimState(info.GetState()); {
	case state != "open":
		st.Step = state
	case len(res.Shares) >= 2:
		st.Step = "ready"
	case st.Confirmed < 2:
		st.Step = "second"
	default:
		st.Step = "waiting"
	}
	return st
}

// poll asks with a signature of the new key.
func (b *Comeback) poll(ctx context.Context, from uint64) (*latchkeyv1.PollClaimResponse, error) {
	login, err := b.login(ctx)
	if err != nil {
		return nil, err
	}
	return invoke(ctx, "ask how far it is", "", b.api.contact.PollClaim, &latchkeyv1.PollClaimRequest{Login: login, FromSeq: from})
}

// login answers a fresh challenge with the new key.
func (b *Comeback) login(ctx context.Context) ([]byte, error) {
	answer, err := b.answer()
	if err != nil {
		return nil, fmt.Errorf("member: come back: %w", err)
	}
	kid, household := b.vault.Signing.Kid(), answer.Household
	ch, err := b.api.challenge(ctx, &latchkeyv1.ChallengeRequest{Who: &latchkeyv1.ChallengeRequest_Kid{Kid: kid[:]}, Household: household[:]})
	if err != nil {
		return nil, err
	}
	text, err := chain.Login{Household: household, By: kid, Server: b.api.origin, Nonce: [16]byte(ch.Nonce), Time: time.Now().Unix()}.Text()
	if err != nil {
		return nil, fmt.Errorf("member: come back: %w", err)
	}
	return chain.SignNote(text, b.vault.Signing), nil
}
