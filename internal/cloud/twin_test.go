package cloud_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"connectrpc.com/connect"

	v1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/cloud"
)

// TestNewestNote: a hub is shown the newest epoch note in its name, also the
// second machine that is sent away; the first one is told of it and goes on.
func TestNewestNote(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	newest := func(u *uplink) []byte {
		t.Helper()
		u.wait(t, "have", func() bool { return u.have != nil })
		return u.have.GetNewest()
	}
	u := h.dial(t)
	if got := newest(u); got != nil {
		t.Errorf("of a hub without epochs: %q", got)
	}
	first, second := h.epoch(t, time.Now().Add(time.Hour)), h.epoch(t, time.Now()) // the counter says which is newer, not the clock
	u.announce(t, first)
	u.announce(t, second)
	twin := h.dial(t)
	e := twin.lastError(t, v1.UplinkErrorCode_UPLINK_ERROR_CODE_DUPLICATE_HUB)
	if !bytes.Equal(e.GetNewest(), second.Note) {
		t.Errorf("the second machine is shown %q", e.GetNewest())
	}
	if e := u.lastError(t, v1.UplinkErrorCode_UPLINK_ERROR_CODE_DUPLICATE_HUB); e.GetNewest() != nil {
		t.Errorf("the first machine is shown %q", e.GetNewest())
	}
	u.announce(t, h.epoch(t, time.Now()))
	third := h.epoch(t, time.Now())
	u.announce(t, third)
	if got := newest(h.redial(t, u)); !bytes.Equal(got, third.Note) {
		t.Errorf("after coming back: %q", got)
	}
}

// TestFarewell: a hub that was removed is shown the statement that removed it,
// and nobody else is.
func TestFarewell(t *testing.T) {
	h := found(t, startServer(t, cloud.Config{}).URL, 1, 1)
	key := h.hub.Key
	shown := func(note []byte) [][]byte {
		t.Helper()
		err := h.answer(t, note)
		wantCode(t, err, connect.CodeUnauthenticated)
		var notes [][]byte
		var refusal *connect.Error
		if errors.As(err, &refusal) {
			for _, d := range refusal.Details() {
				v, err := d.Value()
				try(t, err)
				notes = append(notes, v.(*v1.GetChainResponse).GetNotes()...)
			}
		}
		return notes
	}
	removal := must[[]byte](t)(h.RemoveHub(h.hub))
	h.append(t, removal)
	c := h.challenge(t, key)
	if got := shown(must[[]byte](t)(h.Login(key, c.GetServer(), c.GetNonce()))); len(got) != 1 || !bytes.Equal(got[0], removal) {
		t.Errorf("the removed hub is shown %q", got)
	}
	stranger := h.Rand.Key()
	c = h.challenge(t, stranger)
	if got := shown(must[[]byte](t)(h.Login(stranger, c.GetServer(), c.GetNonce()))); len(got) != 0 {
		t.Errorf("a stranger is shown %q", got)
	}
	var halves [2][][]byte
	for i := range halves {
		c = h.challenge(t, key)
		halves[i] = bytes.SplitAfter(must[[]byte](t)(h.Login(key, c.GetServer(), c.GetNonce())), []byte("\n\n"))
	}
	forged := append(bytes.Clone(halves[0][0]), halves[1][1]...) // signed, but not this
	if got := shown(forged); len(got) != 0 {
		t.Errorf("who only names the hub is shown %q", got)
	}
}
