package member

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
	"latchkey.dev/latchkey/internal/home/publiclog"
)

// maxMessage bounds what a server may make this client hold of one API answer.
const maxMessage = 32 << 20

// api is the connection to one server. It knows nothing of households.
type api struct {
	origin  string
	http    *http.Client
	account latchkeyv1connect.AccountServiceClient
	chain   latchkeyv1connect.ChainServiceClient
	pairing latchkeyv1connect.PairingServiceClient
	hubs    latchkeyv1connect.HubServiceClient
	footage latchkeyv1connect.FootageServiceClient
	contact latchkeyv1connect.ContactServiceClient
	link    latchkeyv1connect.LinkServiceClient
	staff   latchkeyv1connect.StaffServiceClient
	ticket  latchkeyv1connect.TicketServiceClient
	desk    latchkeyv1connect.DeskServiceClient
	legal   latchkeyv1connect.LegalServiceClient
}

// newAPI connects to server, an origin such as https://cloud.example; a path
// or a scheme other than http and https is latchkey.ErrInvalid.
func newAPI(server string, client *http.Client) (*api, error) {
	u, err := url.Parse(server)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("member: server %q: %w: an origin looks like https://cloud.example", server, latchkey.ErrInvalid)
	}
	if client == nil {
		client = http.DefaultClient
	}
	origin := strings.ToLower(u.Scheme + "://" + u.Host)
	limit := connect.WithReadMaxBytes(maxMessage)
	return &api{
		origin:  origin,
		http:    client,
		account: latchkeyv1connect.NewAccountServiceClient(client, origin, limit),
		chain:   latchkeyv1connect.NewChainServiceClient(client, origin, limit),
		pairing: latchkeyv1connect.NewPairingServiceClient(client, origin, limit),
		hubs:    latchkeyv1connect.NewHubServiceClient(client, origin, limit),
		footage: latchkeyv1connect.NewFootageServiceClient(client, origin, limit),
		contact: latchkeyv1connect.NewContactServiceClient(client, origin, limit),
		link:    latchkeyv1connect.NewLinkServiceClient(client, origin, limit),
		staff:   latchkeyv1connect.NewStaffServiceClient(client, origin, limit),
		ticket:  latchkeyv1connect.NewTicketServiceClient(client, origin, limit),
		desk:    latchkeyv1connect.NewDeskServiceClient(client, origin, limit),
		legal:   latchkeyv1connect.NewLegalServiceClient(client, origin, limit),
	}, nil
}

// log are the files of the server's public log.
func (a *api) log() publiclog.Server { return publiclog.Server{Origin: a.origin, HTTP: a.http} }

// rpc is one procedure of the generated clients.
type rpc[Req, Res any] func(context.Context, *connect.Request[Req]) (*connect.Response[Res], error)

// invoke calls f with token, if there is one, and maps the error to its kind.
func invoke[Req, Res any](ctx context.Context, what, token string, f rpc[Req, Res], req *Req) (*Res, error) {
	r := connect.NewRequest(req)
	if token != "" {
		r.Header().Set("Authorization", "Bearer "+token)
	}
	res, err := f(ctx, r)
	if err != nil {
		return nil, apiError(ctx, what, err)
	}
	return res.Msg, nil
}

// call is invoke in this member's session: it signs in when there is none, and
// once more when the server no longer knows it.
func call[Req, Res any](ctx context.Context, c *Client, what string, f rpc[Req, Res], req *Req) (*Res, error) {
	token, err := c.session(ctx, "")
	if err != nil {
		return nil, c.obey(err)
	}
	res, err := invoke(ctx, what, token, f, req)
	if !errors.Is(err, latchkey.ErrUnauthenticated) || errors.Is(err, ErrDeviceEnded) {
		return res, c.obey(err)
	}
	if token, err = c.session(ctx, token); err != nil {
		return nil, c.obey(err)
	}
	res, err = invoke(ctx, what, token, f, req)
	return res, c.obey(err)
}

// apiError turns what a server or the network answered into one of our kinds.
// The server's words are quoted: they are for people and decide nothing.
func apiError(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("member: %s: %w", what, ctx.Err())
	}
	kind := kindOf(connect.CodeOf(err))
	text := err.Error()
	var ce *connect.Error
	if errors.As(err, &ce) {
		if known := reasoned(ce.Meta().Get(reasonHeader)); known != nil {
			return fmt.Errorf("member: %s: %w", what, known)
		}
		if ce.Message() != "" {
			text = ce.Message()
		}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		text = "the server cannot be reached (" + op.Error() + ")"
	}
	if kind == nil {
		return fmt.Errorf("member: %s: the server says: %s", what, text)
	}
	return fmt.Errorf("member: %s: %w: %s", what, kind, text)
}

func kindOf(code connect.Code) error {
	switch code {
	case connect.CodeNotFound:
		return latchkey.ErrNotFound
	case connect.CodePermissionDenied:
		return latchkey.ErrRefused
	case connect.CodeUnauthenticated:
		return latchkey.ErrUnauthenticated
	case connect.CodeAborted, connect.CodeAlreadyExists:
		return latchkey.ErrConflict
	case connect.CodeInvalidArgument, connect.CodeFailedPrecondition, connect.CodeOutOfRange:
		return latchkey.ErrInvalid
	case connect.CodeUnavailable, connect.CodeDeadlineExceeded:
		return latchkey.ErrUnavailable
	case connect.CodeResourceExhausted:
		return latchkey.ErrTooMany
	}
	return nil
}

// httpError is apiError for the plain HTTP endpoints.
func httpError(what string, res *http.Response) error {
	if known := reasoned(res.Header.Get(reasonHeader)); known != nil {
		return fmt.Errorf("member: %s: %w", what, known)
	}
	kinds := map[int]error{
		http.StatusBadRequest: latchkey.ErrInvalid, http.StatusUnauthorized: latchkey.ErrUnauthenticated,
		http.StatusForbidden: latchkey.ErrRefused, http.StatusNotFound: latchkey.ErrNotFound,
		http.StatusConflict: latchkey.ErrConflict, http.StatusTooManyRequests: latchkey.ErrTooMany,
		http.StatusBadGateway: latchkey.ErrUnavailable, http.StatusServiceUnavailable: latchkey.ErrUnavailable,
		http.StatusGatewayTimeout: latchkey.ErrUnavailable, http.StatusInsufficientStorage: latchkey.ErrFull,
	}
	if kind, ok := kinds[res.StatusCode]; ok {
		return fmt.Errorf("member: %s: %w: the server answered %s", what, kind, res.Status)
	}
	return fmt.Errorf("member: %s: the server answered %s", what, res.Status)
}

// get sends one GET, with a token unless that is empty. The answer is 200; the
// caller closes its body.
func (a *api) get(ctx context.Context, target, token string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := a.http.Do(req)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("%w: %v", latchkey.ErrUnavailable, err)
	case res.StatusCode == http.StatusOK:
		return res, nil
	}
	res.Body.Close()
	return nil, httpError("get "+req.URL.Path, res)
}

// getPlain is get without a session.
func (a *api) getPlain(ctx context.Context, target string) (*http.Response, error) {
	return a.get(ctx, target, "")
}

// loginRequest and its answer in one place, so that session and Recover sign in
// the same way.
func (a *api) challenge(ctx context.Context, req *latchkeyv1.ChallengeRequest) (*latchkeyv1.ChallengeResponse, error) {
	res, err := invoke(ctx, "sign in", "", a.account.Challenge, req)
	if err != nil {
		return nil, err
	}
	if len(res.Nonce) != latchkey.IDSize {
		return nil, fmt.Errorf("member: sign in: %w: the server's nonce has %d bytes", latchkey.ErrInvalid, len(res.Nonce))
	}
	// Signing for another origin would let this server sign in there as us.
	if res.Server != a.origin {
		return nil, fmt.Errorf("member: sign in: %w: the server at %s calls itself %q; use that address", latchkey.ErrRefused, a.origin, res.Server)
	}
	return res, nil
}
