package cloud

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// Idle life of sessions, and how exactly their last use is remembered.
const (
	memberIdle = 30 * 24 * time.Hour
	hubIdle    = 24 * time.Hour
	touchHub   = time.Hour
	touchOwner = time.Minute
	cookieName = "latchkey"
	tokenSize  = 32
	maxCached  = 100_000
)

func idleLife(k catalog.Kind) time.Duration {
	if k == catalog.Hub {
		return hubIdle
	}
	return memberIdle
}

// touchEvery is how exactly the last use of a session is remembered: a person
// looks at the list of his devices.
func touchEvery(k catalog.Kind) time.Duration {
	if k == catalog.Hub {
		return touchHub
	}
	return touchOwner
}

// sessions signs callers in and out. Tokens exist here only while a request
// carries them; the catalog has their hashes.
type sessions struct {
	db    *catalog.DB
	homes *households

	mu      sync.Mutex
	cache   map[latchkey.Hash]catalog.Session
	ends    uint64 // counts drops: what was read before one is not cached after it
	sockets map[*socketHold]bool
}

// socketHold ties a socket, or a long answer, to the session that asked for it.
type socketHold struct {
	session catalog.Session
	socket  bool
	end     context.CancelFunc
}

func newSessions(db *catalog.DB, homes *households) *sessions {
	return &sessions{db: db, homes: homes, cache: map[latchkey.Hash]catalog.Session{}, sockets: map[*socketHold]bool{}}
}

// newToken draws a token.
func newToken() (string, error) {
	var raw [tokenSize]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return "", fmt.Errorf("cloud: draw token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw[:]), nil
}

// createHub starts a hub's session and returns its token. A member's comes with
// his device: see Server.enter.
func (s *sessions) createHub(ctx context.Context, h latchkey.HouseholdID, kid latchkey.Kid) (string, error) {
	token, err := newToken()
	if err != nil {
		return "", err
	}
	return token, s.db.PutSession(ctx, catalog.Session{TokenHash: hashToken(token), Household: h, Kid: kid, Kind: catalog.Hub, Seen: time.Now()})
}

func hashToken(token string) latchkey.Hash { return sha256.Sum256([]byte(token)) }

// find returns the session of a token; ErrUnauthenticated if there is none, it
// was idle too long, or its owner is not in the household any more.
func (s *sessions) find(ctx context.Context, token string) (catalog.Session, error) {
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenSize) {
		return catalog.Session{}, latchkey.ErrUnauthenticated
	}
	found, err := s.lookup(ctx, hashToken(token), true)
	if err != nil {
		return catalog.Session{}, err
	}
	state, err := s.homes.state(ctx, found.Household)
	if err != nil {
		return catalog.Session{}, err
	}
	if !belongs(state, found) { // or a rekey has given it its new kid just now
		if found, err = s.lookup(ctx, found.TokenHash, false); err != nil {
			return catalog.Session{}, err
		}
	}
	now := time.Now()
	if !belongs(state, found) || now.Sub(found.Seen) > idleLife(found.Kind) {
		return catalog.Session{}, latchkey.ErrUnauthenticated
	}
	if now.Sub(found.Seen) <= touchEvery(found.Kind) {
		return found, nil
	}
	found.Seen = now
	s.touched(found) // first: of many calls at once, one writes
	return found, s.db.TouchSession(ctx, found)
}

// lookup finds a session in memory, if that is good enough, or in the catalog.
func (s *sessions) lookup(ctx context.Context, hash latchkey.Hash, cached bool) (catalog.Session, error) {
	s.mu.Lock()
	found, ok := s.cache[hash]
	ends := s.ends
	s.mu.Unlock()
	if ok && cached {
		return found, nil
	}
	found, err := s.db.Session(ctx, hash)
	if err != nil {
		return found, gone(err)
	}
	s.remember(found, ends)
	return found, nil
}

// gone is what the owner of a session that was not found is told.
func gone(err error) error {
	switch {
	case errors.Is(err, latchkey.ErrNotFound):
		return latchkey.ErrUnauthenticated
	case errors.Is(err, catalog.ErrEnded):
		return because(reasonDeviceEnded, fmt.Errorf("cloud: session: %w: %w", latchkey.ErrUnauthenticated, err))
	}
	return err
}

// belongs is asked at every request: removal ends sessions at once.
func belongs(state chain.State, s catalog.Session) bool {
	if s.Kind == catalog.Hub {
		_, ok := state.Hubs[s.Kid]
		return ok
	}
	_, ok := state.Members[s.Kid]
	return ok
}

// remember caches a session that was read when ends were counted. If any
// session has ended since, it may be this one: it is read again next time.
func (s *sessions) remember(found catalog.Session, ends uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ends != ends {
		return
	}
	if len(s.cache) >= maxCached {
		clear(s.cache)
	}
	s.cache[found.TokenHash] = found
}

// touched moves Seen of a session that is still in memory.
func (s *sessions) touched(found catalog.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if had, ok := s.cache[found.TokenHash]; ok {
		had.Seen = found.Seen
		s.cache[found.TokenHash] = had
	}
}

// end ends a session and its sockets.
func (s *sessions) end(ctx context.Context, one catalog.Session) error {
	if err := s.db.DeleteSession(ctx, one.TokenHash); err != nil {
		return err
	}
	s.drop(func(o catalog.Session) bool { return o.TokenHash == one.TokenHash })
	return nil
}

// endOf ends the sockets of removed members and hubs; the catalog has deleted
// their sessions with the statement.
func (s *sessions) endOf(h latchkey.HouseholdID, kids []latchkey.Kid) {
	for _, k := range kids {
		s.drop(func(o catalog.Session) bool { return o.Household == h && o.Kid == k })
	}
}

// endDevices ends the sessions and sockets of a member's devices that gone
// names; the catalog has ended the devices.
func (s *sessions) endDevices(h latchkey.HouseholdID, kid latchkey.Kid, gone func(catalog.DeviceID) bool) {
	s.drop(func(o catalog.Session) bool {
		return o.Kind == catalog.Member && o.Household == h && o.Kid == kid && gone(o.Device)
	})
}

// online returns which devices of a member have an open socket.
func (s *sessions) online(h latchkey.HouseholdID, kid latchkey.Kid) map[catalog.DeviceID]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[catalog.DeviceID]bool{}
	for hold := range s.sockets {
		if o := hold.session; hold.socket && o.Kind == catalog.Member && o.Household == h && o.Kid == kid {
			out[o.Device] = true
		}
	}
	return out
}

func (s *sessions) drop(gone func(catalog.Session) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends++
	for hash, o := range s.cache {
		if gone(o) {
			delete(s.cache, hash)
		}
	}
	for hold := range s.sockets {
		if gone(hold.session) {
			hold.end()
		}
	}
}

// hold returns a context that ends with the session, for a socket or for an
// answer that takes long. Call release. A session that ended just now is
// ErrUnauthenticated.
func (s *sessions) hold(ctx context.Context, one catalog.Session, socket bool) (held context.Context, release func(), err error) {
	held, cancel := context.WithCancel(ctx)
	h := &socketHold{session: one, socket: socket, end: cancel}
	s.mu.Lock()
	s.sockets[h] = true
	s.mu.Unlock()
	release = func() {
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sockets, h)
	}
	// An end before the line above has changed the row; one after it finds h.
	now, err := s.db.Session(ctx, one.TokenHash)
	if err == nil && now.Kid != one.Kid {
		err = latchkey.ErrNotFound
	}
	if err != nil {
		release()
		return nil, nil, gone(err)
	}
	return held, release, nil
}

// saw notes that a session is in use: one with a socket may not call anything
// for days.
func (s *sessions) saw(ctx context.Context, one catalog.Session) error {
	one.Seen = time.Now()
	s.touched(one)
	return s.db.TouchSession(context.WithoutCancel(ctx), one)
}

// tidy deletes idle sessions.
func (s *sessions) tidy(ctx context.Context, now time.Time) error {
	return errors.Join(
		s.db.DeleteIdleSessions(ctx, catalog.Member, now.Add(-memberIdle)),
		s.db.DeleteIdleSessions(ctx, catalog.Hub, now.Add(-hubIdle)),
		s.db.ForgetEndedDevices(ctx, now),
	)
}

// tokenOf returns the request's token, and whether a cookie carried it.
func tokenOf(r *http.Request) (token string, cookie bool) {
	if a := r.Header.Get("Authorization"); a != "" {
		scheme, token, _ := strings.Cut(a, " ")
		if strings.EqualFold(scheme, "Bearer") {
			return token, false
		}
		return "", false
	}
	if c, err := r.Cookie(cookieName); err == nil {
		return c.Value, true
	}
	return "", false
}

// cookieOf is the Set-Cookie of a token; an empty one deletes it.
func cookieOf(token string, secure bool) *http.Cookie {
	c := &http.Cookie{
		Name: cookieName, Value: token, Path: "/", HttpOnly: true, Secure: secure,
		SameSite: http.SameSiteStrictMode, MaxAge: int(memberIdle / time.Second),
	}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}
