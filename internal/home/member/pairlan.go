package member

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/lan"
)

const (
	// lanHold is how long a hub on the home network is kept waiting before it has
	// to ask again.
	lanHold = 20 * time.Second
	// lanFetch is how long a hub has to fetch its answer.
	lanFetch = 30 * time.Second
)

// doorstep is where a hub on the home network brings its offer to
// (docs/spec/keys.md, "Pairing on the home network").
type doorstep struct {
	ln       net.Listener
	announce func(ctx context.Context, service, instance string, port uint16)
	code     keys.Code
	offers   chan keys.Offer // the first with a right MAC
	ready    chan struct{}   // closed once answer is set
	fetched  chan struct{}   // closed once somebody has had it
	fetch    func()
	closed   func() // ends the listener

	mu     sync.Mutex
	taken  []byte // the offer that is being signed
	answer []byte
	wrong  int
}

// Listen makes Wait take the hub on the home network too, at addr, such as
// 0.0.0.0:0. announce lets hubs find it; nil is mDNS. It returns the address.
func (i *Invitation) Listen(addr string, announce func(ctx context.Context, service, instance string, port uint16)) (net.Addr, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("member: invite hub: listen on the home network: %w: %w", latchkey.ErrUnavailable, err)
	}
	if announce == nil && lan.Reachable(ln.Addr()) {
		announce = func(ctx context.Context, service, instance string, port uint16) {
			lan.Announce(ctx, service, instance, port, i.client.log)
		}
	}
	d := &doorstep{
		ln: ln, announce: announce, code: i.code, offers: make(chan keys.Offer, 1),
		ready: make(chan struct{}), fetched: make(chan struct{}),
	}
	d.fetch = sync.OnceFunc(func() { close(d.fetched) })
	i.door = d
	return ln.Addr(), nil
}

// open serves until stop is called. A nil doorstep does nothing.
func (d *doorstep) open(ctx context.Context, i *Invitation) (stop func()) {
	if d == nil {
		return func() {}
	}
	ctx, d.closed = context.WithCancel(ctx)
	var open sync.WaitGroup
	open.Go(func() {
		err := lan.Serve(ctx, lan.Config{
			Listener: d.ln, Path: lan.PairPath, MaxBody: int64(keys.OfferMail), Wait: lanHold, Handler: d.take, Log: i.client.log,
		})
		if err != nil {
			i.client.log.Warn("hubs on the home network cannot reach this machine", "err", err)
		}
	})
	if d.announce != nil {
		box := d.code.Rendezvous()
		open.Go(func() { d.announce(ctx, lan.PairService, hex.EncodeToString(box[:]), lan.Port(d.ln.Addr())) })
	}
	return func() { d.closed(); open.Wait() }
}

// take answers one POST.
func (d *doorstep) take(ctx context.Context, body []byte) (int, []byte) {
	offer, err := d.code.OpenOffer(body)
	if errors.Is(err, latchkey.ErrVerify) {
		d.count()
		return http.StatusForbidden, nil
	}
	if err != nil {
		return http.StatusBadRequest, nil
	}
	if !d.mine(body) {
		return http.StatusForbidden, nil
	}
	select {
	case d.offers <- offer:
	default: // known already
	}
	select {
	case <-d.ready:
		d.fetch()
		return http.StatusOK, d.answer
	case <-ctx.Done():
		return http.StatusAccepted, nil
	}
}

// count ends the listener, not the code, after ten wrong MACs: who is on the
// home network must not be able to end a pairing through the mailbox.
func (d *doorstep) count() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wrong++; d.wrong >= wrongOffers {
		d.closed()
	}
}

// mine makes the offer in mail the one that is signed, and reports whether it
// is.
func (d *doorstep) mine(mail []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.taken == nil {
		d.taken = bytes.Clone(mail)
	}
	return bytes.Equal(d.taken, mail)
}

// chosen tells hubs on the home network which offer is signed.
func (d *doorstep) chosen(offer keys.Offer) error {
	if d == nil {
		return nil
	}
	mail, err := d.code.SealOffer(offer)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken = mail
	return nil
}

// hand makes the answer, with the server's origin, ready to be fetched.
func (d *doorstep) hand(offer keys.Offer, answer []byte, server string) error {
	if d == nil {
		return nil
	}
	place, err := d.code.SealPlace(offer, server)
	if err != nil {
		return err
	}
	d.answer = append(bytes.Clone(answer), place...)
	close(d.ready)
	return nil
}

// linger waits until the answer was fetched by a hub that came this way.
func (d *doorstep) linger(ctx context.Context) {
	if d == nil {
		return
	}
	select {
	case <-d.fetched:
	case <-time.After(lanFetch):
	case <-ctx.Done():
	}
}

// first returns the first offer that was made with the code, from the mailbox or
// from the home network; home says which.
func (i *Invitation) first(ctx context.Context, step func(string)) (offer keys.Offer, home bool, err error) {
	if i.door == nil {
		offer, err = i.offer(ctx, step)
		return offer, false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	type outcome struct {
		offer keys.Offer
		err   error
	}
	mailed := make(chan outcome, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		o, err := i.offer(ctx, step)
		mailed <- outcome{o, err}
	})
	defer reading.Wait()
	defer cancel()
	select {
	case o := <-mailed:
		return o.offer, false, o.err
	case o := <-i.door.offers:
		return o, true, nil
	}
}
