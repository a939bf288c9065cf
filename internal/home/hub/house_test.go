package hub

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/uplink"
	"latchkey.dev/latchkey/internal/home/uplink/uplinktest"
	"latchkey.dev/latchkey/part"
)

// house is a household as its founder sees it, with a fake cloud and one hub.
type house struct {
	t     *testing.T
	cloud *uplinktest.Cloud
	sign  *keys.Signing // the founder's
	box   *keys.Sealing
	notes [][]byte
	state chain.State
	cfg   Config
	hub   latchkey.Kid
	hubX  []byte
}

func newHouse(t *testing.T) *house {
	t.Helper()
	w := &house{t: t, cloud: uplinktest.New(t), sign: keys.NewSigning(), box: keys.NewSealing()}
	key, log := w.cloud.Log.TagKey(), w.cloud.Log.Policy()
	w.append(chain.Genesis{
		Head: chain.Head{Time: time.Now().Unix(), By: w.sign.Kid(), Salt: random16()},
		Ed:   w.sign.Public(), X: w.box.Public(), Recovery: keys.NewSigning().Public(), KTag: sha256.Sum256(key[:]),
		Operator: log.Operator.VKey, Log: log.Origin(),
	})
	w.cfg = Config{
		DataDir: t.TempDir(), Home: t.TempDir(), Server: w.cloud.URL, Name: "test hub", Version: "test", Pace: fastPace(),
	}
	if os.Getenv("LATCHKEY_TEST_LOG") != "" {
		w.cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return w
}

// fastPace scales the times that tests would wait for.
func fastPace() Pace {
	p := DefaultPace()
	p.EpochSpacing, p.Settle, p.Tick = 300*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	p.Proof, p.Patience = 50*time.Millisecond, 200*time.Millisecond
	p.Heads, p.State, p.Alive = 300*time.Millisecond, 400*time.Millisecond, 100*time.Millisecond
	p.Uplink = uplink.DefaultPace()
	p.Uplink.FirstRetry, p.Uplink.MaxRetry = 20*time.Millisecond, 200*time.Millisecond
	return p
}

func random16() (b [16]byte) {
	rand.Read(b[:])
	return b
}

// head is the head of the next statement.
func (w *house) head() chain.Head {
	return chain.Head{
		Household: w.state.Household, Seq: w.state.Seq + 1, Prev: w.state.Hash, Time: time.Now().Unix(),
		By: w.sign.Kid(), Salt: random16(),
	}
}

// append signs a statement as the founder and publishes it.
func (w *house) append(s chain.Statement) {
	w.t.Helper()
	text, err := s.Text()
	if err != nil {
		w.t.Fatal(err)
	}
	w.notes = append(w.notes, chain.SignNote(text, w.sign))
	if w.state, err = chain.Replay(w.notes, time.Now().Unix()); err != nil {
		w.t.Fatal(err)
	}
	w.cloud.SetChain(w.notes)
}

// pairing plays the admin for a hub that joins with the returned code.
func (w *house) pairing() keys.Code {
	code := keys.NewCode()
	box := code.Rendezvous()
	go func() {
		var mail []byte
		w.cloud.Wait("an offer", func() bool {
			mail = w.cloud.Mailed(box[:], latchkeyv1.MailSlot_MAIL_SLOT_OFFER)
			return mail != nil
		})
		offer, err := code.OpenOffer(mail)
		if err != nil {
			w.t.Error(err)
			return
		}
		w.append(chain.AddHub{Head: w.head(), Ed: offer.Ed, X: offer.X})
		w.hub, w.hubX = chain.KidOf(offer.Ed), offer.X
		answer, err := code.SealAnswer(offer, keys.Answer{Household: w.state.Household, Seq: w.state.Seq, Hash: w.state.Hash})
		if err != nil {
			w.t.Error(err)
			return
		}
		if err := w.cloud.Mail(box[:], latchkeyv1.MailSlot_MAIL_SLOT_ANSWER, answer); err != nil {
			w.t.Error(err)
		}
	}()
	return code
}

// running is a hub at work.
type running struct {
	*Hub
	t    *testing.T
	stop context.CancelFunc
	done chan error
	once sync.Once
	err  error
}

// start runs the hub; the first start pairs it.
func (w *house) start() *running {
	w.t.Helper()
	cfg := w.cfg
	if w.hubX == nil {
		cfg.PairCode = w.pairing().Reveal()
	}
	h, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	r := launch(w.t, h)
	select {
	case <-h.Paired():
	case err := <-r.done:
		w.t.Fatalf("hub ended: %v", err)
	case <-time.After(20 * time.Second):
		w.t.Fatal("not paired")
	}
	return r
}

// launch runs the hub until the end of the test.
func launch(t *testing.T, h *Hub) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Hub: h, t: t, stop: cancel, done: make(chan error, 2)}
	go func() { r.done <- h.Run(ctx) }()
	t.Cleanup(func() { r.end() })
	return r
}

// end stops the hub gracefully and returns what Run returned.
func (r *running) end() error {
	r.once.Do(func() {
		r.stop()
		select {
		case r.err = <-r.done:
		case <-time.After(30 * time.Second):
			r.t.Error("the hub does not end")
		}
	})
	return r.err
}

// cam is a camera as a member declares it.
type cam struct {
	id     latchkey.CameraID
	cfg    cameraCfg
	tracks map[latchkey.TrackKind]latchkey.TrackID
}

// camera declares a camera in the chain and returns its command arguments.
func (w *house) camera(name, url, sub string, mode string) cam {
	w.t.Helper()
	c := cam{id: latchkey.CameraID(random16()), tracks: map[latchkey.TrackKind]latchkey.TrackID{}}
	c.cfg = cameraCfg{
		Camera: c.id.String(), Name: name, URL: url, SubURL: sub, Mode: mode, Audio: true, Tracks: map[latchkey.TrackKind]string{},
	}
	s := chain.AddCamera{Head: w.head(), Camera: c.id}
	for _, kind := range []latchkey.TrackKind{latchkey.KindVideo, latchkey.KindVideoSub, latchkey.KindAudio, latchkey.KindMeta} {
		id := latchkey.TrackID(random16())
		c.tracks[kind], c.cfg.Tracks[kind] = id, id.String()
		s.Tracks = append(s.Tracks, chain.TrackDecl{ID: id, Kind: kind})
	}
	w.append(s)
	return c
}

// command sends one as the founder.
func (w *house) command(op string, args any) latchkeyv1.CommandResult {
	w.t.Helper()
	b, err := json.Marshal(args)
	if err != nil {
		w.t.Fatal(err)
	}
	w.wait("a connected hub", w.cloud.Connected) // a command from before its start is refused
	return w.cloud.Command(w.sealed(chain.Command{
		Household: w.state.Household, Hub: w.hub, By: w.sign.Kid(), Time: time.Now().Unix(), Nonce: random16(), Op: op, Args: b,
	}, w.sign))
}

func (w *house) sealed(c chain.Command, by chain.Signer) []byte {
	w.t.Helper()
	text, err := c.Text()
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := keys.SealCommand(w.state.Household, w.hubX, chain.SignNote(text, by))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *house) add(c cam) {
	w.t.Helper()
	if r := w.command("camera", c.cfg); r != done {
		w.t.Fatalf("add camera: %v", r)
	}
}

// open opens everything the cloud has of a track, epoch by epoch, as a member
// does: every note, capsule, signature, link and commitment is checked.
func (w *house) open(track latchkey.TrackID) []seal.Opened {
	w.t.Helper()
	var all []seal.Opened
	for _, e := range w.cloud.Epochs() {
		s := uplinktest.Stream{Epoch: e.Note.Epoch, Track: track}
		if len(w.cloud.Parts(s)) == 0 {
			continue
		}
		opened, err := w.opener(e).OpenRun(w.cloud.Run(s))
		if err != nil {
			w.t.Fatalf("epoch %d: %v", e.Note.N, err)
		}
		all = append(all, opened...)
	}
	return all
}

func (w *house) opener(e uplinktest.Epoch) *seal.Opener {
	w.t.Helper()
	return w.openerOf(e.Raw, e.Note)
}

// openerOf opens an epoch with the founder's capsule.
func (w *house) openerOf(e *latchkeyv1.UplinkEpoch, note chain.EpochNote) *seal.Opener {
	w.t.Helper()
	at, err := chain.Replay(w.notes[:note.ChainSeq+1], time.Now().Unix())
	if err != nil {
		w.t.Fatal(err)
	}
	m := seal.EpochMaterial{Note: e.GetNote(), Chain: at}
	for i, s := range e.GetSeals() {
		var l chain.SealLine
		copy(l.Kid[:], s.GetKid())
		copy(l.Hash[:], s.GetHash())
		m.Seals = append(m.Seals, l)
		if l.Kid == w.box.Kid() {
			m.Capsule = e.GetCapsules()[i].GetCapsule()
		}
	}
	o := seal.NewOpener(w.state.Household)
	w.t.Cleanup(o.Close)
	if _, err := o.AddEpoch(m, []*keys.Sealing{w.box}); err != nil {
		w.t.Fatalf("epoch %d: %v", note.N, err)
	}
	return o
}

// docs are the records of a camera's meta track.
func (w *house) docs(c cam) (states []stateRecord, gaps []gapRecord, events []eventRecord) {
	w.t.Helper()
	for _, o := range w.open(c.tracks[latchkey.KindMeta]) {
		if o.Part.Header.Flags&part.RAP == 0 {
			w.t.Errorf("meta part %v without RAP", o.Part.Header)
		}
		for _, r := range o.Records {
			var kind struct{ Type string }
			if err := json.Unmarshal(r.Data, &kind); err != nil {
				w.t.Fatal(err)
			}
			switch kind.Type {
			case "state":
				states = append(states, decodeAs[stateRecord](w.t, r.Data))
			case "gap":
				gaps = append(gaps, decodeAs[gapRecord](w.t, r.Data))
			case "event":
				events = append(events, decodeAs[eventRecord](w.t, r.Data))
			default:
				w.t.Errorf("record type %q", kind.Type)
			}
		}
	}
	return states, gaps, events
}

func decodeAs[T any](t *testing.T, b []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// count returns how many parts the cloud has of a track, over all epochs.
func (w *house) count(track latchkey.TrackID) int {
	n := 0
	for _, s := range w.cloud.Streams() {
		if s.Track == track {
			n += len(w.cloud.Parts(s))
		}
	}
	return n
}

// whole reports whether the parts of a track have come without a hole.
func (w *house) whole(track latchkey.TrackID) bool {
	for _, s := range w.cloud.Streams() {
		if s.Track != track {
			continue
		}
		parts := w.cloud.Parts(s)
		for seq := range parts {
			if seq > 0 && parts[seq-1] == nil {
				return false
			}
		}
	}
	return true
}

func (w *house) wait(what string, ok func() bool) {
	w.t.Helper()
	w.cloud.Wait(what, ok)
}

func containsString(b []byte, s string) bool { return bytes.Contains(b, []byte(s)) }

func stream(e latchkey.EpochID, t latchkey.TrackID) uplinktest.Stream {
	return uplinktest.Stream{Epoch: e, Track: t}
}
