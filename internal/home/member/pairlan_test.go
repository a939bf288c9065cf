package member

import (
	"context"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// TestDoorstep: what a hub on the home network brings is taken if it was made
// with the code, and one only; ten that were not end the listener.
func TestDoorstep(t *testing.T) {
	code := keys.NewCode()
	shut := false
	d := &doorstep{
		code: code, offers: make(chan keys.Offer, 1), ready: make(chan struct{}), fetched: make(chan struct{}),
		fetch: func() {}, closed: func() { shut = true },
	}
	mailOf := func(code keys.Code, o keys.Offer) []byte {
		t.Helper()
		b, err := code.SealOffer(o)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	post := func(body []byte) (int, []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return d.take(ctx, body)
	}
	hub := keys.NewOffer(keys.RoleHub, keys.NewSigning(), keys.NewSealing(), nil)
	other := keys.NewOffer(keys.RoleHub, keys.NewSigning(), keys.NewSealing(), nil)
	mail := mailOf(code, hub)
	for _, tc := range []struct {
		name string
		body []byte
		want int
	}{
		{"nothing", nil, 400},
		{"too short", mail[:len(mail)-1], 400},
		{"made with another code", mailOf(keys.NewCode(), hub), 403},
		{"the hub", mail, 202},
		{"the hub again", mail, 202},
		{"another hub that knows the code", mailOf(code, other), 403},
	} {
		if status, body := post(tc.body); status != tc.want || body != nil {
			t.Errorf("%s: %d %q, want %d", tc.name, status, body, tc.want)
		}
	}
	if len(d.offers) != 1 || (<-d.offers).Nonce != hub.Nonce {
		t.Fatal("the hub's offer is not the one that was taken")
	}
	sealed, err := code.SealAnswer(hub, keys.Answer{Household: latchkey.HouseholdID{1}, Seq: 7})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.hand(hub, sealed, "https://latchkey.example"); err != nil {
		t.Fatal(err)
	}
	status, body := post(mail)
	if status != 200 || len(body) < keys.AnswerMail {
		t.Fatalf("%d, %d bytes", status, len(body))
	}
	answer, err := code.OpenAnswer(hub, body[:keys.AnswerMail])
	server, serr := code.OpenPlace(hub, body[keys.AnswerMail:])
	if err != nil || serr != nil || answer.Seq != 7 || server != "https://latchkey.example" {
		t.Errorf("%+v, %v; %q, %v", answer, err, server, serr)
	}
	if status, _ := post(mailOf(code, other)); status != 403 {
		t.Errorf("the answer went to another hub: %d", status)
	}
	for range wrongOffers - 1 { // one was made above
		if shut {
			t.Error("shut too early")
		}
		post(mailOf(keys.NewCode(), hub))
	}
	if !shut {
		t.Error("guesses go on")
	}
}
