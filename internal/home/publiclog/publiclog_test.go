package publiclog

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/uplink/uplinktest"
	"latchkey.dev/latchkey/ledger"
)

// desk is a household at a server whose answers a test can exchange.
type desk struct {
	t     *testing.T
	cloud *uplinktest.Cloud
	notes [][]byte
	pin   Pin
	url   string
	lies  map[string][]byte // by path
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, cloud: uplinktest.New(t), notes: uplinktest.NewForge(t, 1).Notes, lies: map[string][]byte{}}
	d.cloud.SetChain(d.notes)
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lie, ok := d.lies[r.URL.Path]; ok {
			_, _ = w.Write(lie)
			return
		}
		d.cloud.Log.ServeHTTP(w, r)
	}))
	t.Cleanup(between.Close)
	d.url = between.URL
	return d
}

func (d *desk) server() Server { return Server{Origin: d.url, HTTP: http.DefaultClient} }

func (d *desk) open() *Log {
	return Open(d.server(), d.cloud.Log.Policy(), d.pin, d.cloud.Log.TagKey(), func(p Pin) error { d.pin = p; return nil })
}

// look takes checkpoint and proof, as hub and member do.
func (d *desk) look() (*ledger.Complete, error) {
	l := d.open()
	if _, err := l.Checkpoint(d.t.Context()); err != nil {
		return nil, err
	}
	return l.Take(d.t.Context(), d.proof(), d.notes)
}

func (d *desk) proof() []byte {
	d.t.Helper()
	raw, err := d.cloud.Log.Completeness()
	if err != nil {
		d.t.Fatal(err)
	}
	return raw
}

func TestLook(t *testing.T) {
	d := newDesk(t)
	done, err := d.look()
	if err != nil || done.Seq != 2 || time.Since(done.At) > time.Minute {
		t.Fatalf("%+v, %v", done, err)
	}
	if again, err := d.open().Proven(d.notes); err != nil || again.Seq != 2 {
		t.Errorf("the proof on disk: %+v, %v", again, err)
	}
	first := d.pin
	older := d.proof()
	d.cloud.Log.Freeze(time.Time{}) // another set
	if _, err := d.look(); err != nil {
		t.Fatal(err)
	}
	// An older proof is no lie and changes nothing.
	if done, err := d.open().Take(t.Context(), older, d.notes); err != nil || done.Seq != 2 || string(d.pin.Proof) == string(older) {
		t.Errorf("an older proof: %+v, %v", done, err)
	}
	// An older checkpoint is one.
	d.lies["/log/2026/checkpoint"] = first.Checkpoint
	if _, err := d.open().Checkpoint(t.Context()); !errors.Is(err, latchkey.ErrVerify) || !strings.Contains(err.Error(), "shrunk") {
		t.Errorf("an older checkpoint: %v", err)
	}
}

func TestLies(t *testing.T) {
	for name, tc := range map[string]struct {
		tell func(d *desk)
		want error
	}{
		"another log under the same keys": {func(d *desk) { d.cloud.Log.Fork() }, latchkey.ErrVerify},
		"a statement kept back":           {func(d *desk) { d.cloud.Log.Slip() }, ErrKeptBack},
		"another chain":                   {func(d *desk) { d.notes = uplinktest.NewForge(d.t, 1).Notes }, latchkey.ErrVerify},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			if _, err := d.look(); err != nil {
				t.Fatal(err)
			}
			before := d.pin
			tc.tell(d)
			if _, err := d.look(); !errors.Is(err, tc.want) || !Broken(err) {
				t.Errorf("%v", err)
			}
			if string(d.pin.Proof) != string(before.Proof) {
				t.Error("a lie was pinned")
			}
		})
	}
}

// TestProofFromAFork: the checkpoint that is served is honest, the proof comes
// from another log under the same keys, with the same witness.
func TestProofFromAFork(t *testing.T) {
	d := newDesk(t)
	if _, err := d.look(); err != nil {
		t.Fatal(err)
	}
	d.lies["/log/2026/checkpoint"] = d.pin.Checkpoint
	d.cloud.Log.Fork()
	if _, err := d.look(); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("%v", err)
	}
}

func TestAway(t *testing.T) {
	d := newDesk(t)
	d.cloud.Log.SetDown(true)
	if _, err := d.open().Checkpoint(t.Context()); !errors.Is(err, latchkey.ErrUnavailable) || Broken(err) {
		t.Errorf("a log that is down: %v", err)
	}
	if _, err := d.server().Policy(t.Context()); !errors.Is(err, latchkey.ErrUnavailable) {
		t.Errorf("its policy: %v", err)
	}
	d.cloud.Log.SetDown(false)
	d.lies["/log/policy"] = make([]byte, ledger.MaxPolicy+1)
	if _, err := d.server().Policy(t.Context()); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("a policy without an end: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.server().Policy(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who has gone: %v", err)
	}
}

// TestPinIsDurableFirst: what cannot be written down is not taken.
func TestPinIsDurableFirst(t *testing.T) {
	d := newDesk(t)
	full := errors.New("disk full")
	l := Open(d.server(), d.cloud.Log.Policy(), d.pin, d.cloud.Log.TagKey(), func(Pin) error { return full })
	if _, err := l.Checkpoint(t.Context()); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	if l.pinned().Checkpoint != nil {
		t.Error("it counts, and is nowhere")
	}
}

func TestParse(t *testing.T) {
	p := newDesk(t).cloud.Log.Policy()
	other := newDesk(t).cloud.Log.Policy()
	for name, tc := range map[string]struct {
		genesis chain.State
		want    error
	}{
		"as genesis names them":      {chain.State{Operator: p.Operator.VKey, Log: p.Origin()}, nil},
		"a household from before":    {chain.State{}, nil},
		"another operator":           {chain.State{Operator: other.Operator.VKey, Log: p.Origin()}, ErrOtherLog},
		"another log":                {chain.State{Operator: p.Operator.VKey, Log: "fake.invalid/log/2027"}, ErrOtherLog},
		"another operator, no log":   {chain.State{Operator: other.Operator.VKey}, ErrOtherLog},
		"the operator's, and no log": {chain.State{Operator: p.Operator.VKey}, nil},
	} {
		if _, err := Parse(p.String(), tc.genesis); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Parse("quorum none\n", chain.State{}); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("no policy: %v", err)
	}
}

// TestUnder: other watchers do not let the log begin anew.
func TestUnder(t *testing.T) {
	d := newDesk(t)
	if _, err := d.look(); err != nil {
		t.Fatal(err)
	}
	changed, err := ledger.ParsePolicy(d.cloud.Log.Policy().String() + "# new friends\n")
	if err != nil {
		t.Fatal(err)
	}
	d.cloud.Log.Fork()
	l := Open(d.server(), changed, d.pin, d.cloud.Log.TagKey(), func(Pin) error { return nil })
	if l.pinned().Policy != changed.String() || l.pinned().Proof != nil {
		t.Errorf("the pin: %+v", l.pinned())
	}
	if _, err := l.Checkpoint(t.Context()); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("another log under other watchers: %v", err)
	}
}

func TestFrozen(t *testing.T) {
	d := newDesk(t)
	c, err := d.open().Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	policy := d.cloud.Log.Policy()
	if err := Frozen(policy, c, c.Witnessed.Add(StaleAfter)); err != nil {
		t.Errorf("a day: %v", err)
	}
	if err := Frozen(policy, c, c.Witnessed.Add(StaleAfter+time.Second)); !errors.Is(err, ErrFrozen) || !Broken(err) {
		t.Errorf("more than a day: %v", err)
	}
	alone, err := ledger.ParsePolicy(strings.Split(policy.String(), "\nwitness")[0] + "\nquorum none\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := Frozen(alone, ledger.Checkpoint{}, time.Now()); err != nil {
		t.Errorf("nobody witnesses: %v", err)
	}
}
