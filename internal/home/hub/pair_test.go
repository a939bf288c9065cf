package hub

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/durable"
	"latchkey.dev/latchkey/internal/durable/durabletest"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/lan"
)

// listener serves handler on loopback as an admin's machine would.
func listener(t *testing.T, handler lan.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		err := lan.Serve(ctx, lan.Config{
			Listener: ln, Path: lan.PairPath, MaxBody: int64(keys.OfferMail), Wait: 5 * time.Second, Handler: handler,
			Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return ln.Addr().String()
}

// admin signs a hub that comes over the home network. Each hub is signed once.
func (w *house) admin(code keys.Code, origin string) lan.Handler {
	var mu sync.Mutex
	return func(_ context.Context, body []byte) (int, []byte) {
		mu.Lock()
		defer mu.Unlock()
		offer, err := code.OpenOffer(body)
		if err != nil {
			return http.StatusForbidden, nil
		}
		a := w.take(offer)
		mail, err := code.SealAnswer(offer, a)
		if err != nil {
			w.t.Error(err)
		}
		place, err := code.SealPlace(offer, origin)
		if err != nil {
			w.t.Error(err)
		}
		return http.StatusOK, append(mail, place...)
	}
}

// take signs the offer into the chain, unless it stands there, and returns
// where.
func (w *house) take(offer keys.Offer) keys.Answer {
	kid := chain.KidOf(offer.Ed)
	if _, there := w.state.Hubs[kid]; !there {
		w.append(chain.AddHub{Head: w.head(), Ed: offer.Ed, X: offer.X})
		w.hub, w.hubX = kid, offer.X
	}
	s, err := chain.Replay(w.notes[:w.state.Hubs[kid].Seq+1], time.Now().Unix())
	if err != nil {
		w.t.Error(err)
	}
	return keys.Answer{Household: s.Household, Seq: s.Seq, Hash: s.Hash}
}

// finds returns a Browse that finds these addresses under the rendezvous of
// code, again and again.
func finds(code keys.Code, addrs ...string) func(context.Context, string, func(string, string)) {
	box := code.Rendezvous()
	return func(ctx context.Context, service string, found func(instance, addr string)) {
		for {
			if service == lan.PairService {
				for _, a := range addrs {
					found("another", a)
					found(hex.EncodeToString(box[:]), a)
				}
			}
			if !pause(ctx, 20*time.Millisecond) {
				return
			}
		}
	}
}

// await waits until the hub is paired.
func (r *running) await() {
	r.t.Helper()
	select {
	case <-r.Paired():
	case err := <-r.done:
		r.done <- err
		r.t.Fatalf("the hub ended: %v", err)
	case <-time.After(20 * time.Second):
		r.t.Fatal("not paired")
	}
}

func TestPairingOnTheHomeNetwork(t *testing.T) {
	for _, tc := range []struct {
		name   string
		server func(w *house) string // what the hub is told
	}{
		{"without a server", func(*house) string { return "" }},
		{"with a server whose mailbox has nobody", func(w *house) string { return w.cloud.URL }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newHouse(t)
			code := keys.NewCode()
			w.cfg.LAN, w.cfg.PairCode, w.cfg.Browse = "127.0.0.1:0", code.Reveal(), finds(code, listener(t, w.admin(code, w.cloud.URL)))
			w.cfg.Server = tc.server(w)
			r := w.launchOf(w.cfg)
			r.await()
			c := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff)
			w.add(c)
			w.wait("an epoch", func() bool { return len(w.cloud.Epochs()) == 1 })
			if err := r.end(); err != nil {
				t.Fatal(err)
			}
			w.cfg.Server, w.cfg.PairCode = "", "" // it knows both
			again := w.launchOf(w.cfg)
			w.wait("an epoch after the restart", func() bool { return len(w.cloud.Epochs()) == 2 })
			if err := again.end(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestImpostorsOnTheHomeNetwork: whoever else announces the rendezvous, and
// whatever it answers, the hub finds the admin all the same.
func TestImpostorsOnTheHomeNetwork(t *testing.T) {
	w := newHouse(t)
	code, other := keys.NewCode(), keys.NewCode()
	admin := w.admin(code, w.cloud.URL)
	var asked atomic.Int32
	late := func(ctx context.Context, body []byte) (int, []byte) {
		if asked.Add(1) <= 2 {
			return http.StatusAccepted, nil // a person has to look at it first
		}
		return admin(ctx, body)
	}
	answers := func(change func(offer keys.Offer, good []byte) []byte) lan.Handler {
		return func(_ context.Context, body []byte) (int, []byte) {
			offer, err := code.OpenOffer(body)
			if err != nil {
				t.Error(err)
			}
			a := keys.Answer{Household: w.state.Household, Seq: 1}
			mail, err := code.SealAnswer(offer, a)
			if err != nil {
				t.Error(err)
			}
			place, err := code.SealPlace(offer, "https://elsewhere.example")
			if err != nil {
				t.Error(err)
			}
			return http.StatusOK, change(offer, append(mail, place...))
		}
	}
	impostors := []lan.Handler{
		func(context.Context, []byte) (int, []byte) { return http.StatusForbidden, nil },
		func(context.Context, []byte) (int, []byte) { return http.StatusOK, nil },
		answers(func(_ keys.Offer, good []byte) []byte { return good[:len(good)-1] }),
		answers(func(_ keys.Offer, good []byte) []byte { return append(good, 0) }),
		answers(func(_ keys.Offer, good []byte) []byte { good[40] ^= 1; return good }),
		answers(func(o keys.Offer, good []byte) []byte { // a server of his own
			place, err := other.SealPlace(o, "https://elsewhere.example")
			if err != nil {
				t.Error(err)
			}
			return append(good[:keys.AnswerMail:keys.AnswerMail], place...)
		}),
	}
	addrs := []string{"127.0.0.1:1"}
	for _, h := range impostors {
		addrs = append(addrs, listener(t, h))
	}
	w.cfg.LAN, w.cfg.Server, w.cfg.PairCode = "127.0.0.1:0", "", code.Reveal()
	w.cfg.Browse = finds(code, append(addrs, listener(t, late))...)
	r := w.launchOf(w.cfg)
	r.await()
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
}

// cutter ends the hub at its n-th request: before it is sent, or when its
// answer has come and nobody has read it.
type cutter struct {
	n     atomic.Int32
	at    int32
	after bool
	kill  context.CancelFunc
}

func (c *cutter) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.n.Add(1) != c.at {
		return http.DefaultTransport.RoundTrip(r)
	}
	if c.after {
		res, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	}
	c.kill()
	return nil, errors.New("killed")
}

// TestPairingIsResumed ends the hub at every request of its pairing and at
// every call to its disk. Started again with the same code, and where an answer
// was taken without one, it is paired: with the keys that the chain has, once.
func TestPairingIsResumed(t *testing.T) {
	w := newHouse(t)
	w.cfg.PairCode = ""
	check := func(t *testing.T, where string, cfg Config, answered bool) {
		t.Helper()
		if answered {
			cfg.PairCode = ""
		}
		h, err := New(cfg)
		if err != nil {
			t.Fatalf("%s: the next start: %v", where, err)
		}
		r := launch(t, h)
		r.await()
		me, there := w.state.Hubs[h.Kid()]
		if !there || string(me.X) != string(h.identity.Sealing.Public()) {
			t.Fatalf("%s: paired with keys that the chain does not have", where)
		}
		if err := r.end(); err != nil {
			t.Fatalf("%s: %v", where, err)
		}
	}
	hubs := 0
	for n := 1; n <= 12; n++ {
		for _, after := range []bool{false, true} {
			cfg := w.cfg
			cfg.DataDir = t.TempDir()
			cfg.PairCode = w.pairing().Reveal()
			ctx, kill := context.WithCancel(t.Context())
			cut := &cutter{at: int32(n), after: after, kill: kill}
			cfg.HTTP = &http.Client{Transport: cut, Timeout: 30 * time.Second}
			h, err := New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			go func() { // a pairing that is not ended has to be: the hub would run on
				select {
				case <-h.Paired():
					kill()
				case <-ctx.Done():
				}
			}()
			if err := h.Run(ctx); err != nil {
				t.Fatalf("request %d: %v", n, err)
			}
			kill()
			answered := !h.NeedsCode()
			cfg.HTTP = nil
			check(t, fmt.Sprintf("request %d, after %v", n, after), cfg, answered)
			if hubs++; len(w.state.Hubs) != hubs {
				t.Fatalf("request %d: %d hubs in the chain, want %d", n, len(w.state.Hubs), hubs)
			}
		}
	}
	met := 0
	for n := 1; n <= 60; n++ {
		cfg := w.cfg
		cfg.DataDir = filepath.Join(t.TempDir(), "hub")
		if err := durable.MkdirAll(durable.Disk{}, cfg.DataDir, 0o700); err != nil {
			t.Fatal(err)
		}
		disk, err := durabletest.New(cfg.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		disk.CrashAt(n)
		cfg.FS = disk
		code := keys.NewCode()
		stop := w.mailAdmin(code)
		cfg.PairCode = code.Reveal()
		if h, err := New(cfg); err == nil {
			ctx, kill := context.WithTimeout(t.Context(), 10*time.Second)
			go func() {
				select {
				case <-h.Paired():
					kill()
				case <-ctx.Done():
				}
			}()
			_ = h.run(ctx) // the disk has ended it, or it is paired
			kill()
		}
		crashed := disk.Ops() >= n
		if crashed {
			met++
		}
		cfg.DataDir, cfg.FS = imageOf(t, disk, uint64(n)), nil
		check(t, fmt.Sprintf("disk call %d", n), cfg, false)
		stop()
		if !crashed {
			break
		}
	}
	if met < 10 || met == 60 {
		t.Fatalf("%d crash points were met", met)
	}
}

// mailAdmin signs whatever hub offers its keys in the mailbox, each once.
func (w *house) mailAdmin(code keys.Code) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	box := code.Rendezvous()
	var busy sync.WaitGroup
	busy.Go(func() {
		for pause(ctx, 5*time.Millisecond) {
			mail := w.cloud.Mailed(box[:], 1)
			if mail == nil {
				continue
			}
			offer, err := code.OpenOffer(mail)
			if err != nil {
				w.t.Error(err)
				return
			}
			answer, err := code.SealAnswer(offer, w.take(offer))
			if err != nil {
				w.t.Error(err)
				return
			}
			if err := w.cloud.Mail(box[:], 2, answer); err != nil {
				w.t.Error(err)
			}
			return
		}
	})
	return func() { cancel(); busy.Wait() }
}

// TestAnotherCodeLater: with a new code after a pairing that was cut off, the
// hub offers the keys that the chain has already.
func TestAnotherCodeLater(t *testing.T) {
	w := newHouse(t)
	first, second := keys.NewCode(), keys.NewCode()
	w.cfg.PairCode = first.Reveal()
	r := w.launchOf(w.cfg)
	box := first.Rendezvous()
	var mail []byte
	w.wait("an offer", func() bool { mail = w.cloud.Mailed(box[:], 1); return mail != nil })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	offer, err := first.OpenOffer(mail)
	if err != nil {
		t.Fatal(err)
	}
	w.take(offer) // the admin's machine dies before it answers
	stop := w.mailAdmin(second)
	defer stop()
	w.cfg.PairCode = second.Reveal()
	r = w.launchOf(w.cfg)
	r.await()
	if len(w.state.Hubs) != 1 {
		t.Errorf("%d hubs", len(w.state.Hubs))
	}
}

// TestCodeOfAnotherHousehold: a hub that belongs somewhere, or has been removed,
// or holds what is left of it, joins nobody else until it is reset.
func TestCodeOfAnotherHousehold(t *testing.T) {
	w := newHouse(t)
	code := w.pairing()
	own := w.cfg
	own.PairCode = code.Reveal()
	r := w.launchOf(own)
	r.await()
	w.add(w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff))
	w.wait("an epoch", func() bool { return len(w.cloud.Epochs()) == 1 })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	again := w.launchOf(own)
	w.wait("the code of its own pairing is no new one", func() bool { return len(w.cloud.Epochs()) == 2 })
	if err := again.end(); err != nil {
		t.Fatal(err)
	}
	refused := func(name string) {
		t.Helper()
		other := own
		other.PairCode = keys.NewCode().Reveal()
		if err := w.launchOf(other).ends(); !errors.Is(err, ErrOccupied) || !errors.Is(err, latchkey.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("paired")
	w.append(chain.Unhub{Head: w.head(), Kid: w.hub})
	if err := w.launchOf(w.cfg).ends(); !errors.Is(err, ErrRemoved) {
		t.Errorf("removed: %v", err)
	}
	refused("removed")
	if err := durable.Remove(durable.Disk{}, filepath.Join(own.DataDir, "config")); err != nil {
		t.Fatal(err)
	}
	refused("without its config")
}
