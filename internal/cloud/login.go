package cloud

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// Challenges live this long, and so far may a login's clock be off.
const (
	challengeLife = 5 * time.Minute
	maxChallenges = 100_000
)

// logins hands out challenges and takes signed answers. A challenge is only in
// memory: a restart costs a client one more round.
type logins struct {
	db     *catalog.DB
	secret []byte // answers about unknown recovery ids

	mu   sync.Mutex
	open map[[16]byte]challenge
}

type challenge struct {
	household latchkey.HouseholdID
	server    string
	expires   time.Time
}

func newLogins(db *catalog.DB, secret []byte) *logins {
	return &logins{db: db, secret: secret, open: map[[16]byte]challenge{}}
}

// challenge draws a nonce for a sign-in to household at this server's origin.
func (l *logins) challenge(h latchkey.HouseholdID, server string) ([16]byte, error) {
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nonce, fmt.Errorf("cloud: challenge: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Challenges cost a stranger nothing. When they fill the table one of them
	// goes, so that they shut nobody out; whoever loses his asks again.
	for n := range l.open {
		if len(l.open) < maxChallenges {
			break
		}
		delete(l.open, n)
	}
	l.open[nonce] = challenge{household: h, server: server, expires: time.Now().Add(challengeLife)}
	return nonce, nil
}

// householdOf finds the household of a recovery id; for an unknown one it
// makes one up, always the same, so that a caller learns nothing.
func (l *logins) householdOf(ctx context.Context, recovery [16]byte) (latchkey.HouseholdID, error) {
	h, _, err := l.db.HouseholdOfRecovery(ctx, recovery)
	if err == nil {
		return h, nil
	}
	if k, _ := kindOf(err); !errors.Is(k.err, latchkey.ErrNotFound) {
		return h, err
	}
	mac := hmac.New(sha256.New, l.secret)
	mac.Write(recovery[:])
	return latchkey.HouseholdID(mac.Sum(nil)[:latchkey.IDSize]), nil
}

// take uses up a nonce and checks that the note answers it.
func (l *logins) take(note chain.Login, now time.Time) error {
	l.mu.Lock()
	c, ok := l.open[note.Nonce]
	delete(l.open, note.Nonce)
	l.mu.Unlock()
	skew := now.Sub(time.Unix(note.Time, 0)).Abs()
	switch {
	case !ok || now.After(c.expires):
		return fmt.Errorf("cloud: login: %w: the challenge is unknown, used or too old", latchkey.ErrUnauthenticated)
	case note.Household != c.household || note.Server != c.server:
		return fmt.Errorf("cloud: login: %w: the note answers another challenge", latchkey.ErrUnauthenticated)
	case skew > challengeLife:
		return because(reasonClock, fmt.Errorf("cloud: login: %w: the clocks are %s apart", latchkey.ErrUnauthenticated, skew.Round(time.Second)))
	}
	return nil
}

// signer is who a login note signs in.
type signer struct {
	household latchkey.HouseholdID
	kid       latchkey.Kid // the member or hub
	kind      catalog.Kind
	member    chain.Member // with kind Member
	recovery  bool         // signed with the recovery key
}

// verify checks who signed. Unknown household, unknown key and wrong signature
// look alike.
func (l *logins) verify(ctx context.Context, homes *households, n chain.Note, login chain.Login) (signer, error) {
	who := signer{household: login.Household, kind: catalog.Member}
	wrong := fmt.Errorf("cloud: login: %w: no such key in this household, or a wrong signature", latchkey.ErrUnauthenticated)
	state, err := homes.state(ctx, login.Household)
	if err != nil {
		if k, _ := kindOf(err); errors.Is(k.err, latchkey.ErrNotFound) {
			return who, wrong
		}
		return who, err
	}
	key, party, ok := state.LoginKey(login.By)
	if !ok || n.Verify(key) != nil {
		return who, wrong
	}
	who.kid, who.recovery = party, party != login.By
	if _, hub := state.Hubs[party]; hub {
		who.kind = catalog.Hub
		return who, nil
	}
	who.member = state.Members[party]
	return who, nil
}

func (l *logins) tidy(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, c := range l.open {
		if now.After(c.expires) {
			delete(l.open, n)
		}
	}
}
