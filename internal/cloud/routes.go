package cloud

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/gorilla/websocket"

	"latchkey.dev/latchkey"
	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
	"latchkey.dev/latchkey/internal/cloud/catalog"
)

// right is who may call a route. Which objects of the household he then sees
// is decided by the handler, from the session; another household's are not
// found.
type right int

const (
	anyone right = iota + 1
	signedIn
	memberOnly
	hubOnly
	staffOnly
)

// cost is what a call is counted as.
type cost int

const (
	free   cost = iota // health, the app's files
	call               // an API call
	socket             // an API call that becomes a WebSocket, with deadlines of its own
	signIn             // an attempt to sign in, to found a household, or to pair
	slow               // an API call that reads much footage
)

// route is one row of the table of everything that the server answers.
type route struct {
	pattern string // of http.ServeMux
	right   right
	cost    cost
	body    int64 // largest request body in bytes
	handler http.Handler
}

// post begins the pattern of an API procedure.
const post = "POST "

const (
	smallBody = 64 << 10
	noteBody  = 72 << 10 // a statement has up to 65,536 bytes
	vaultBody = 256 << 10
	largeBody = 6 << 20 // a capsule or all letters, in JSON too
)

// table lists every route. TestRoutes fails on a procedure without a row.
func (s *Server) table() []route {
	opts := connect.WithHandlerOptions(connect.WithReadMaxBytes(largeBody)) // guard holds each route to its own
	_, account := v1.NewAccountServiceHandler(&accountService{s: s}, opts)
	_, chain := v1.NewChainServiceHandler(&chainService{s: s}, opts)
	_, passkey := v1.NewPasskeyServiceHandler(&passkeyService{s}, opts)
	_, pairing := v1.NewPairingServiceHandler(&pairingService{s}, opts)
	_, hub := v1.NewHubServiceHandler(&hubService{s}, opts)
	_, footage := v1.NewFootageServiceHandler(&footageService{s}, opts)
	_, contact := v1.NewContactServiceHandler(&contactService{s: s}, opts)
	_, link := v1.NewLinkServiceHandler(&linkService{s}, opts)
	_, staff := v1.NewStaffServiceHandler(&staffService{s}, opts)
	_, ticket := v1.NewTicketServiceHandler(&ticketService{s}, opts)
	_, desk := v1.NewDeskServiceHandler(&deskService{s}, opts)
	_, legal := v1.NewLegalServiceHandler(&legalService{s}, opts)
	return []route{
		{post + v1.StaffServiceApplyProcedure, anyone, signIn, smallBody, staff},
		{post + v1.StaffServiceListApplicantsProcedure, anyone, call, smallBody, staff},
		{post + v1.StaffServicePublishStaffProcedure, anyone, signIn, smallBody, staff},
		{post + v1.StaffServiceListStaffProcedure, anyone, call, smallBody, staff},
		{post + v1.TicketServiceOpenTicketProcedure, memberOnly, call, smallBody, ticket},
		{post + v1.TicketServiceListTicketsProcedure, memberOnly, call, smallBody, ticket},
		{post + v1.TicketServiceGetTicketProcedure, memberOnly, call, smallBody, ticket},
		{post + v1.TicketServicePutMessageProcedure, memberOnly, call, largeBody, ticket},
		{post + v1.TicketServiceCloseTicketProcedure, memberOnly, call, smallBody, ticket},
		{post + v1.DeskServiceBeginShiftProcedure, anyone, call, smallBody, desk},
		{post + v1.DeskServiceStartShiftProcedure, anyone, signIn, smallBody, desk},
		{post + v1.DeskServiceEndShiftProcedure, staffOnly, call, smallBody, desk},
		{post + v1.DeskServiceListDeskProcedure, staffOnly, call, smallBody, desk},
		{post + v1.DeskServiceTakeTicketProcedure, staffOnly, call, smallBody, desk},
		{post + v1.DeskServiceReadTicketProcedure, staffOnly, call, smallBody, desk},
		{post + v1.DeskServiceReplyProcedure, staffOnly, call, largeBody, desk},
		{post + v1.DeskServiceListGrantedProcedure, staffOnly, call, smallBody, desk},
		{post + v1.DeskServiceOpenGrantedProcedure, staffOnly, call, smallBody, desk},
		{post + v1.DeskServiceAccessProcedure, staffOnly, call, smallBody, desk},
		{post + v1.DeskServiceReleaseProcedure, staffOnly, call, smallBody, desk},
		{post + v1.DeskServiceExplainProcedure, staffOnly, call, smallBody, desk},
		{post + v1.DeskServiceListMineProcedure, staffOnly, call, smallBody, desk},
		{post + v1.DeskServiceAuditProcedure, staffOnly, call, smallBody, desk},
		{post + v1.DeskServiceReinstateProcedure, staffOnly, call, smallBody, desk},
		{post + v1.LegalServiceAddRequestProcedure, staffOnly, call, smallBody, legal},
		{post + v1.LegalServiceListRequestsProcedure, staffOnly, call, smallBody, legal},
		{post + v1.LegalServiceDecideRequestProcedure, staffOnly, slow, smallBody, legal},
		{post + v1.LegalServiceListDisclosuresProcedure, memberOnly, call, smallBody, legal},
		{"GET /v1/legal/{request}", staffOnly, call, 0, http.HandlerFunc(s.serveDisclosed)},
		{"GET /v1/desk/{ticket}/{grant}/hold", staffOnly, call, 0, http.HandlerFunc(s.serveHold)},
		{"GET /v1/desk/{ticket}/{grant}/{track}", staffOnly, call, 0, http.HandlerFunc(s.serveGranted)},
		{post + v1.ContactServiceSetContactsProcedure, memberOnly, call, smallBody, contact},
		{post + v1.ContactServiceRemoveContactsProcedure, memberOnly, call, smallBody, contact},
		{post + v1.ContactServiceGetContactsProcedure, memberOnly, call, smallBody, contact},
		{post + v1.ContactServiceListEntrustedProcedure, memberOnly, call, smallBody, contact},
		{post + v1.ContactServicePutClaimProcedure, memberOnly, call, smallBody, contact},
		{post + v1.ContactServiceListClaimsProcedure, memberOnly, call, smallBody, contact},
		{post + v1.ContactServiceStopClaimProcedure, memberOnly, call, smallBody, contact},
		{post + v1.ContactServicePutShareProcedure, memberOnly, call, smallBody, contact},
		{post + v1.ContactServicePollClaimProcedure, anyone, signIn, smallBody, contact},
		{post + v1.ContactServiceFinishClaimProcedure, anyone, signIn, vaultBody, contact},
		{post + v1.AccountServiceCreateHouseholdProcedure, anyone, signIn, vaultBody, account},
		{post + v1.AccountServiceChallengeProcedure, anyone, call, smallBody, account},
		{post + v1.AccountServiceLoginProcedure, anyone, signIn, smallBody, account},
		{post + v1.AccountServiceLogoutProcedure, signedIn, call, smallBody, account},
		{post + v1.AccountServiceWhoAmIProcedure, signedIn, call, smallBody, account},
		{post + v1.AccountServiceGetVaultProcedure, memberOnly, call, smallBody, account},
		{post + v1.AccountServicePutVaultProcedure, memberOnly, call, vaultBody, account},
		{post + v1.AccountServiceListDevicesProcedure, memberOnly, call, smallBody, account},
		{post + v1.AccountServiceEndDeviceProcedure, memberOnly, call, smallBody, account},
		{post + v1.AccountServiceEndOtherDevicesProcedure, memberOnly, call, smallBody, account},
		{post + v1.PasskeyServiceBeginPasskeyProcedure, memberOnly, call, smallBody, passkey},
		{post + v1.PasskeyServiceAddPasskeyProcedure, memberOnly, call, smallBody, passkey},
		{post + v1.PasskeyServiceListPasskeysProcedure, memberOnly, call, smallBody, passkey},
		{post + v1.PasskeyServiceRemovePasskeyProcedure, memberOnly, call, smallBody, passkey},
		{post + v1.PasskeyServiceBeginSignInProcedure, anyone, call, smallBody, passkey},
		{post + v1.PasskeyServiceFinishSignInProcedure, anyone, signIn, smallBody, passkey},
		{post + v1.PasskeyServiceBeginStepUpProcedure, memberOnly, call, smallBody, passkey},
		{post + v1.ChainServiceGetChainProcedure, signedIn, call, smallBody, chain},
		{post + v1.ChainServiceGetLogTagKeyProcedure, signedIn, call, smallBody, chain},
		{post + v1.ChainServiceGetLeavesProcedure, signedIn, call, smallBody, chain},
		{post + v1.ChainServiceGetCompletenessProcedure, signedIn, call, smallBody, chain},
		{post + v1.ChainServiceAppendStatementProcedure, signedIn, call, noteBody + vaultBody, chain},
		{post + v1.ChainServicePutCapsuleProcedure, memberOnly, call, largeBody, chain},
		{post + v1.ChainServiceGetCapsuleProcedure, memberOnly, call, smallBody, chain},
		{post + v1.ChainServicePutDirectoryProcedure, memberOnly, call, largeBody, chain},
		{post + v1.ChainServiceGetDirectoryProcedure, memberOnly, call, smallBody, chain},
		{post + v1.PairingServicePutMailProcedure, anyone, signIn, smallBody, pairing},
		{post + v1.PairingServiceGetMailProcedure, anyone, call, smallBody, pairing},
		{post + v1.HubServiceListHubsProcedure, memberOnly, call, smallBody, hub},
		{post + v1.HubServiceSendCommandProcedure, memberOnly, call, smallBody, hub},
		{post + v1.FootageServiceTimelineProcedure, memberOnly, call, smallBody, footage},
		{post + v1.FootageServiceListEpochsProcedure, memberOnly, call, smallBody, footage},
		{post + v1.FootageServiceGetEpochsProcedure, memberOnly, call, smallBody, footage},
		{"GET /v1/footage/{track}", memberOnly, call, 0, http.HandlerFunc(s.serveFootage)},
		{post + v1.LinkServicePutLinkProcedure, memberOnly, call, largeBody, link},
		{post + v1.LinkServiceListLinksProcedure, memberOnly, call, smallBody, link},
		{post + v1.LinkServiceOpenLinkProcedure, anyone, call, smallBody, link},
		{"GET /v1/links/{kid}/{track}", anyone, call, 0, http.HandlerFunc(s.serveLink)},
		{"GET /v1/live", memberOnly, socket, 0, http.HandlerFunc(s.serveLive)},
		{"GET /v1/uplink", hubOnly, socket, 0, http.HandlerFunc(s.serveUplink)},
		{"GET /log/policy", anyone, call, 0, http.HandlerFunc(s.servePolicy)},
		{"GET /log/release/web", anyone, call, 0, http.HandlerFunc(s.serveRelease)},
		{"GET /log/release/web/manifest", anyone, call, 0, http.HandlerFunc(s.serveManifest)},
		{"GET /log/{log}/{file...}", anyone, call, 0, http.HandlerFunc(s.serveLog)},
		{"POST /log/{log}/set/{size}", anyone, call, noteBody, http.HandlerFunc(s.takeSetLine)},
		{"GET /healthz", anyone, free, 0, http.HandlerFunc(s.serveHealth)},
		{"GET /", anyone, free, 0, s.web},
	}
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.table() {
		mux.Handle(r.pattern, s.guard(r))
	}
	return s.headers(s.metrics.count(mux))
}

// requestWait bounds reading a request and answering it; footage and sockets
// set their own.
const requestWait = time.Minute

// wait is how long a route's request may take.
func (s *Server) wait(rt route) time.Duration {
	switch {
	case rt.cost == slow:
		return footageWait
	case s.cfg.requestWait != 0:
		return s.cfg.requestWait
	}
	return requestWait
}

// unhurried lifts the deadline of a request that has been read: when it passes,
// net/http takes the caller for gone.
func unhurried(rc *http.ResponseController) { _ = rc.SetReadDeadline(time.Time{}) } // not every writer has deadlines

// guard holds a route's row: limits, origin, session, right.
func (s *Server) guard(rt route) http.Handler {
	errs := connect.NewErrorWriter()
	fail := func(w http.ResponseWriter, r *http.Request, err error) {
		if errs.IsSupported(r) {
			_ = errs.Write(w, r, s.answer(r.Context(), err)) // the caller has gone
			return
		}
		s.refuse(w, r, err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// By the route, not by what the request claims to become: an Upgrade header
		// on any other route would else be a way to hold a connection for ever.
		if rt.cost != socket || !websocket.IsWebSocketUpgrade(r) {
			rc := http.NewResponseController(w)
			// Not every ResponseWriter has deadlines (tests); the real one does.
			_ = rc.SetReadDeadline(time.Now().Add(s.wait(rt)))
			_ = rc.SetWriteDeadline(time.Now().Add(s.wait(rt)))
		}
		// A limited copy: net/http looks at the body of its own request to see
		// whether a rest of it is unread and the connection must end. Were it
		// hidden from it, that rest would be served as the next request.
		r = r.WithContext(context.WithValue(r.Context(), originKey{}, s.originOf(r)))
		r.Body = http.MaxBytesReader(w, r.Body, rt.body)
		if err := s.admit(rt, r); err != nil {
			fail(w, r, err)
			return
		}
		if rt.right == anyone {
			rt.handler.ServeHTTP(w, r)
			return
		}
		if rt.right == staffOnly {
			who, err := s.onShift(r)
			if err != nil {
				fail(w, r, err)
				return
			}
			rt.handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), shiftKey{}, who)))
			return
		}
		session, err := s.authenticate(rt.right, r)
		if err != nil {
			fail(w, r, err)
			return
		}
		rt.handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), sessionKey{}, session)))
	})
}

// admit counts the call and checks where it comes from.
func (s *Server) admit(rt route, r *http.Request) error {
	if rt.cost != free {
		a := s.limits.of(r)
		if !a.calls.Allow() || rt.cost == signIn && !a.signIns.Allow() {
			s.metrics.limited.Inc()
			return fmt.Errorf("cloud: %w from this address", latchkey.ErrTooMany)
		}
		if o := r.Header.Get("Origin"); o != "" && o != s.originOf(r) {
			return fmt.Errorf("cloud: %w: the request comes from another site", latchkey.ErrRefused)
		}
	}
	return nil
}

type (
	sessionKey struct{}
	originKey  struct{}
)

// originFrom is originOf the request that ctx belongs to.
func originFrom(ctx context.Context) string {
	o, _ := ctx.Value(originKey{}).(string)
	return o
}

// secureFrom reports whether browsers reach this server over TLS.
func secureFrom(ctx context.Context) bool { return strings.HasPrefix(originFrom(ctx), "https://") }

// sessionOf is the session that guard has checked.
func sessionOf(ctx context.Context) catalog.Session {
	s, ok := ctx.Value(sessionKey{}).(catalog.Session)
	if !ok {
		panic("cloud: a handler asks for a session on a route for anyone")
	}
	return s
}

// authenticate finds the caller's session and holds it against the right. A
// cookie alone may not change anything or open a socket: the browser must also
// say that our own page asked.
func (s *Server) authenticate(need right, r *http.Request) (catalog.Session, error) {
	token, cookie := tokenOf(r)
	if token == "" {
		return catalog.Session{}, latchkey.ErrUnauthenticated
	}
	if cookie && (r.Method != http.MethodGet || websocket.IsWebSocketUpgrade(r)) {
		if o := s.originOf(r); o == "" || r.Header.Get("Origin") != o {
			return catalog.Session{}, fmt.Errorf("cloud: %w: the request does not come from this server's page", latchkey.ErrRefused)
		}
	}
	session, err := s.sessions.find(r.Context(), token)
	if err != nil {
		return catalog.Session{}, err
	}
	switch {
	case need == memberOnly && session.Kind != catalog.Member,
		need == hubOnly && session.Kind != catalog.Hub:
		return catalog.Session{}, fmt.Errorf("cloud: %w: not with a %s's session", latchkey.ErrRefused, session.Kind)
	}
	return session, nil
}

// originOf is this server's origin for the caller: PublicURL, or without one
// what the caller addressed, provided that no foreign DNS name can stand for
// it (a page of another site could otherwise make itself our origin).
func (s *Server) originOf(r *http.Request) string {
	if s.origin != "" {
		return s.origin
	}
	host := strings.ToLower(r.Host)
	name := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name = host[:i]
	}
	if name != "localhost" {
		if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err != nil {
			return ""
		}
	}
	if r.TLS != nil {
		return "https://" + host
	}
	return "http://" + host
}

// contentPolicy: everything from here, nothing from elsewhere, no inline code.
const contentPolicy = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; " +
	"media-src 'self' blob:; img-src 'self' blob: data:; style-src 'self'; font-src 'self'; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// headers sets what every answer carries; handlers may set a narrower
// Cache-Control.
func (s *Server) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Embedder-Policy", "require-corp")
		h.Set("Permissions-Policy", "geolocation=(), camera=(), microphone=()")
		h.Set("Cache-Control", "private, no-store")
		if strings.HasPrefix(s.originOf(r), "https://") {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// serveHealth answers ok when the catalog can be read.
func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) {
	if err := s.catalog.Ping(r.Context()); err != nil {
		s.refuse(w, r, fmt.Errorf("%w: %v", latchkey.ErrUnavailable, err))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // the caller has gone
}
