package uplink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
)

// Session signs the hub in with its identity key and keeps the bearer token
// in memory. Safe for concurrent use.
type Session struct {
	server    string
	household latchkey.HouseholdID
	signer    chain.Signer
	http      connect.HTTPClient

	mu    sync.Mutex
	token string
}

// NewSession makes a session with the cloud at server, an origin such as
// https://latchkey.example. It does no I/O.
func NewSession(server string, household latchkey.HouseholdID, signer chain.Signer, client connect.HTTPClient) (*Session, error) {
	origin, err := Origin(server)
	if err != nil {
		return nil, err
	}
	return &Session{server: origin, household: household, signer: signer, http: client}, nil
}

// Origin checks and normalises a server address: scheme, host, port, nothing
// else; lower case.
func Origin(server string) (string, error) {
	u, err := url.Parse(strings.TrimRight(server, "/"))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") ||
		u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("uplink: server address: %w: want an origin such as https://latchkey.example", latchkey.ErrInvalid)
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

// Server returns the origin.
func (s *Session) Server() string { return s.server }

// Do calls fn with a token, and once more with a fresh one if the cloud no
// longer knows the first.
func (s *Session) Do(ctx context.Context, fn func(token string) error) error {
	token, err := s.Token(ctx)
	if err != nil {
		return err
	}
	if err = fn(token); !errors.Is(err, latchkey.ErrUnauthenticated) {
		return err
	}
	s.Forget(token)
	if token, err = s.Token(ctx); err != nil {
		return err
	}
	return fn(token)
}

// Token returns the token of the session of now, signing in if there is none.
func (s *Session) Token(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != "" {
		return s.token, nil
	}
	token, err := s.signIn(ctx)
	if err != nil {
		return "", fmt.Errorf("uplink: sign in: %w", err)
	}
	s.token = token
	return token, nil
}

// Forget drops a token that the cloud refused.
func (s *Session) Forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token = ""
	}
}

// maxAnswer bounds what a server may make the hub hold of an answer to a
// sign-in, in bytes after decompression: a hostile one must not end recording.
const maxAnswer = 64 << 10

func (s *Session) signIn(ctx context.Context) (string, error) {
	client := latchkeyv1connect.NewAccountServiceClient(s.http, s.server, connect.WithReadMaxBytes(maxAnswer))
	kid := chain.KidOf(s.signer.Public())
	ch, err := client.Challenge(ctx, connect.NewRequest(&latchkeyv1.ChallengeRequest{
		Who: &latchkeyv1.ChallengeRequest_Kid{Kid: kid[:]}, Household: s.household[:],
	}))
	if err != nil {
		return "", Kind(err)
	}
	note, err := s.loginNote(kid, ch.Msg)
	if err != nil {
		return "", err
	}
	res, err := client.Login(ctx, connect.NewRequest(&latchkeyv1.LoginRequest{Note: note}))
	if err != nil {
		return "", farewell(err)
	}
	return res.Msg.GetToken(), nil
}

// Farewell is a sign-in that was refused with the signed statements that say
// why: the household has removed the hub. Whether that is so, the statements
// prove and not the server. It wraps latchkey.ErrUnauthenticated.
type Farewell struct {
	Notes [][]byte
	err   error
}

func (f *Farewell) Error() string { return f.err.Error() }

// Unwrap returns the refusal itself.
func (f *Farewell) Unwrap() error { return f.err }

// farewell is Kind for the answer to a login.
func farewell(err error) error {
	kind := Kind(err)
	var answer *connect.Error
	if !errors.Is(kind, latchkey.ErrUnauthenticated) || !errors.As(err, &answer) {
		return kind
	}
	for _, d := range answer.Details() {
		if v, err := d.Value(); err == nil {
			if m, ok := v.(*latchkeyv1.GetChainResponse); ok && len(m.GetNotes()) > 0 {
				return &Farewell{Notes: m.GetNotes(), err: kind}
			}
		}
	}
	return kind
}

// loginNote signs the challenge for the server that was dialled and no other:
// a server that passes on another's challenge gets nothing usable there.
func (s *Session) loginNote(kid latchkey.Kid, ch *latchkeyv1.ChallengeResponse) ([]byte, error) {
	if ch.GetServer() != s.server {
		return nil, fmt.Errorf("%w: the server calls itself %q, but was reached as %q; give its own address", latchkey.ErrRefused, ch.GetServer(), s.server)
	}
	l := chain.Login{Household: s.household, By: kid, Server: s.server, Time: time.Now().Unix()}
	if copy(l.Nonce[:], ch.GetNonce()) != len(l.Nonce) || len(ch.GetNonce()) != len(l.Nonce) {
		return nil, fmt.Errorf("%w: the challenge is not 16 bytes", latchkey.ErrInvalid)
	}
	text, err := l.Text()
	if err != nil {
		return nil, err
	}
	return chain.SignNote(text, s.signer), nil
}

// Kind maps an error of an API call to the house's kinds.
func Kind(err error) error {
	if err == nil {
		return nil
	}
	var kind error
	switch connect.CodeOf(err) {
	case connect.CodeUnauthenticated:
		kind = latchkey.ErrUnauthenticated
	case connect.CodePermissionDenied:
		kind = latchkey.ErrRefused
	case connect.CodeNotFound:
		kind = latchkey.ErrNotFound
	case connect.CodeInvalidArgument:
		kind = latchkey.ErrInvalid
	case connect.CodeAborted, connect.CodeAlreadyExists:
		kind = latchkey.ErrConflict
	case connect.CodeResourceExhausted:
		kind = latchkey.ErrTooMany
	default:
		kind = latchkey.ErrUnavailable
	}
	return fmt.Errorf("%w: %w", kind, err)
}

// kindOfStatus does the same for the answer to a socket upgrade.
func kindOfStatus(code int) error {
	switch code {
	case http.StatusUnauthorized:
		return latchkey.ErrUnauthenticated
	case http.StatusForbidden:
		return latchkey.ErrRefused
	case http.StatusConflict:
		return latchkey.ErrConflict
	case http.StatusTooManyRequests:
		return latchkey.ErrTooMany
	}
	return latchkey.ErrUnavailable
}
