package cloud

import (
	"context"
	"errors"
	"net/http"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
)

// kind is the one place where error kinds become answers: the Connect code,
// the HTTP status, and the words for people. Internal errors show none of
// their own.
type kind struct {
	err    error
	code   connect.Code
	status int
	words  string
}

func kinds() []kind {
	return []kind{
		{latchkey.ErrUnauthenticated, connect.CodeUnauthenticated, http.StatusUnauthorized, "Sign in and try again."},
		{latchkey.ErrTooMany, connect.CodeResourceExhausted, http.StatusTooManyRequests, "Too many requests. Wait a minute and try again."},
		{latchkey.ErrFull, connect.CodeResourceExhausted, http.StatusInsufficientStorage, "The server's disk is full. Try again later."},
		{latchkey.ErrNotFound, connect.CodeNotFound, http.StatusNotFound, "There is no such thing here."},
		{latchkey.ErrRefused, connect.CodePermissionDenied, http.StatusForbidden, "This is not allowed."},
		{latchkey.ErrConflict, connect.CodeAborted, http.StatusConflict, "Somebody else was first. Fetch again and retry."},
		{latchkey.ErrVerify, connect.CodeInvalidArgument, http.StatusBadRequest, "A signature or hash does not hold."},
		{latchkey.ErrInvalid, connect.CodeInvalidArgument, http.StatusBadRequest, "The request is malformed."},
		{latchkey.ErrUnavailable, connect.CodeUnavailable, http.StatusServiceUnavailable, "Not reachable now. Try again."},
	}
}

// kindOf finds how err is answered; shown says whether its text may be.
func kindOf(err error) (k kind, shown bool) {
	for _, k := range kinds() {
		if errors.Is(err, k.err) {
			return k, !errors.Is(k.err, latchkey.ErrNotFound) && !errors.Is(k.err, latchkey.ErrFull)
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return kind{err, connect.CodeCanceled, http.StatusServiceUnavailable, "The request took too long."}, false
	}
	return kind{err, connect.CodeInternal, http.StatusInternalServerError, "The server made a mistake. It is in its log."}, false
}

// Reasons tell clients apart what they have to do about an answer, in the
// header Latchkey-Reason (spec/wire, "Reasons").
const (
	reasonHeader        = "Latchkey-Reason"
	reasonDeviceEnded   = "device-ended"
	reasonDeviceUnknown = "device-unknown"
	reasonStepUp        = "step-up"
	reasonNoPasskeys    = "no-passkeys"
	reasonClock         = "clock"
)

// reasoned is an error with a reason.
type reasoned struct {
	error
	reason string
}

func (r *reasoned) Unwrap() error { return r.error }

func because(reason string, err error) error { return &reasoned{err, reason} }

// reasonOf is the reason of err; empty: it has none.
func reasonOf(err error) string {
	var r *reasoned
	if errors.As(err, &r) {
		return r.reason
	}
	return ""
}

// answer turns err into the Connect error for the caller, and logs it if it
// is the server's own fault.
func (s *Server) answer(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var already *connect.Error
	if errors.As(err, &already) {
		return already
	}
	k, shown := kindOf(err)
	if k.code == connect.CodeInternal {
		s.log.ErrorContext(ctx, "request failed", "err", err)
	}
	text := err
	if !shown {
		text = errors.New(k.words)
	}
	res := connect.NewError(k.code, text)
	if why := reasonOf(err); why != "" {
		res.Meta().Set(reasonHeader, why)
	}
	return res
}

// refuse answers a plain HTTP request with err.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	k, _ := kindOf(err)
	if k.status == http.StatusInternalServerError {
		s.log.ErrorContext(r.Context(), "request failed", "err", err)
	}
	if k.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if why := reasonOf(err); why != "" {
		w.Header().Set(reasonHeader, why)
	}
	http.Error(w, k.words, k.status)
}
