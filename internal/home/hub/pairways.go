package hub

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/api/latchkey/v1/latchkeyv1connect"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/lan"
	"latchkey.dev/latchkey/internal/home/uplink"
)

// maxMailAnswer bounds an answer of the mailbox, in bytes.
const maxMailAnswer = 64 << 10

// Of the machines on the home network that say to be the admin's, so many are
// asked at once, each for so long before it is asked again.
const (
	maxAsked = 8
	askWait  = 40 * time.Second
)

// reply is an answer whose MAC was right, and where the household's server is.
type reply struct {
	answer keys.Answer
	server string
}

// exchange offers our keys in the mailbox of server, if there is one, and on
// the home network, at once; the first answer counts. The mailbox can fail for
// good: a wrong MAC there means that the code is spent. On the home network
// anybody can say anything, so nothing that is said there ends the wait.
func (h *Hub) exchange(ctx context.Context, server string, code keys.Code, offer keys.Offer) (reply, error) {
	mail, err := code.SealOffer(offer)
	if err != nil {
		return reply{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var ways sync.WaitGroup
	defer ways.Wait()
	defer cancel()
	type outcome struct {
		reply
		err error
	}
	first := make(chan outcome, 2)
	if server != "" {
		ways.Go(func() {
			a, err := h.byMail(ctx, server, code, offer, mail)
			first <- outcome{reply{a, server}, err}
		})
	}
	if h.cfg.LAN != "" {
		ways.Go(func() {
			r, err := h.byLAN(ctx, code, offer, mail)
			if server != "" && r.server != server {
				h.cfg.Log.Warn("the admin's machine names another server than --server; that one counts", "named", r.server, "server", server)
				r.server = server
			}
			first <- outcome{r, err}
		})
	}
	got := <-first
	return got.reply, got.err
}

// byMail puts the offer into the mailbox and waits for the answer, through
// outages of the server.
func (h *Hub) byMail(ctx context.Context, server string, code keys.Code, offer keys.Offer, mail []byte) (keys.Answer, error) {
	client := latchkeyv1connect.NewPairingServiceClient(h.cfg.HTTP, server, connect.WithReadMaxBytes(maxMailAnswer))
	box := code.Rendezvous()
	err := h.insist(ctx, func() error {
		_, err := client.PutMail(ctx, connect.NewRequest(&latchkeyv1.PutMailRequest{
			Rendezvous: box[:], Slot: latchkeyv1.MailSlot_MAIL_SLOT_OFFER, Body: mail,
		}))
		if err = uplink.Kind(err); errors.Is(err, latchkey.ErrConflict) {
			return nil // our own, from before an interruption; another's fails at the answer's MAC
		}
		return err
	})
	if err != nil {
		return keys.Answer{}, err
	}
	var answer keys.Answer
	err = h.insist(ctx, func() error {
		res, err := client.GetMail(ctx, connect.NewRequest(&latchkeyv1.GetMailRequest{
			Rendezvous: box[:], Slot: latchkeyv1.MailSlot_MAIL_SLOT_ANSWER, WaitSeconds: 20,
		}))
		if err = uplink.Kind(err); errors.Is(err, latchkey.ErrNotFound) {
			return fmt.Errorf("%w: no answer yet", latchkey.ErrUnavailable)
		}
		if err != nil {
			return err
		}
		answer, err = code.OpenAnswer(offer, res.Msg.GetBody())
		return err
	})
	return answer, err
}

// byLAN looks for the admin's machine on the home network and asks it. It
// returns when one has answered with the right MACs, or with ctx.
func (h *Hub) byLAN(ctx context.Context, code keys.Code, offer keys.Offer, mail []byte) (reply, error) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	box := code.Rendezvous()
	got := make(chan reply, 1)
	var mu sync.Mutex
	asked := map[string]bool{}
	ask := func(addr string) {
		r, err := h.ask(ctx, addr, code, offer, mail)
		if err == nil {
			select {
			case got <- r:
			default: // another was first
			}
			return
		}
		if ctx.Err() == nil {
			h.cfg.Log.Info("pairing on the home network", "with", addr, "err", err)
			pause(ctx, time.Second)
		}
		mu.Lock()
		defer mu.Unlock()
		delete(asked, addr)
	}
	asking.Go(func() {
		h.cfg.Browse(ctx, lan.PairService, func(instance, addr string) {
			mu.Lock()
			defer mu.Unlock()
			if instance != hex.EncodeToString(box[:]) || asked[addr] || len(asked) >= maxAsked || ctx.Err() != nil {
				return
			}
			asked[addr] = true
			asking.Go(func() { ask(addr) })
		})
	})
	select {
	case r := <-got:
		return r, nil
	case <-ctx.Done():
		return reply{}, context.Cause(ctx)
	}
}

// ask hands the offer to one machine until it has been signed.
func (h *Hub) ask(ctx context.Context, addr string, code keys.Code, offer keys.Offer, mail []byte) (reply, error) {
	for {
		once, cancel := context.WithTimeout(ctx, askWait)
		status, body, err := lan.Post(once, addr, lan.PairPath, mail, int64(keys.AnswerMail+keys.MaxPlace))
		cancel()
		switch {
		case err != nil:
			return reply{}, err
		case status == http.StatusAccepted:
			if !pause(ctx, 200*time.Millisecond) {
				return reply{}, context.Cause(ctx)
			}
			continue
		case status != http.StatusOK:
			return reply{}, fmt.Errorf("hub: pair: %w: status %d", latchkey.ErrRefused, status)
		}
		return openReply(code, offer, body)
	}
}

// openReply reads what an admin's machine answers on the home network: answer
// and place, each with its MAC.
func openReply(code keys.Code, offer keys.Offer, body []byte) (reply, error) {
	if len(body) < keys.AnswerMail {
		return reply{}, fmt.Errorf("hub: pair: %w: an answer of %d bytes", latchkey.ErrInvalid, len(body))
	}
	answer, err := code.OpenAnswer(offer, body[:keys.AnswerMail])
	if err != nil {
		return reply{}, err
	}
	place, err := code.OpenPlace(offer, body[keys.AnswerMail:])
	if err != nil {
		return reply{}, err
	}
	server, err := uplink.Origin(place)
	if err != nil {
		return reply{}, err
	}
	if server != place {
		return reply{}, fmt.Errorf("hub: pair: %w: %q is not how an origin is written", latchkey.ErrInvalid, place)
	}
	return reply{answer, server}, nil
}

// pause waits for d; false when ctx ended before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
