package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/durable/durabletest"
	"latchkey.dev/latchkey/internal/home/member"
)

// startHouse is a cloud with one household, and neither hub nor cameras.
func startHouse(t *testing.T) *demo {
	t.Helper()
	dir := t.TempDir()
	d := newDemo(t, filepath.Join(dir, "data"), filepath.Join(dir, "keys"))
	t.Cleanup(d.stop)
	for _, step := range []func(context.Context) error{d.folders, d.startCloud, d.openHousehold} {
		if err := step(t.Context()); err != nil {
			t.Fatalf("start house: %v", err)
		}
	}
	return d
}

// errKilled is what a process that is dead gets from its network.
var errKilled = errors.New("killed")

// mortal is a process that dies at a given call to the server, or to the disk:
// before the call, or after it and before its answer. From then on nothing
// works for it.
type mortal struct {
	ctx  context.Context
	kill context.CancelFunc
	at   int  // the call that it dies at; 0: never
	lost bool // the call is made, its answer lost

	mu   sync.Mutex
	n    int
	dead bool
}

func newMortal(t *testing.T, at int, lost bool) *mortal {
	m := &mortal{at: at, lost: lost}
	m.ctx, m.kill = context.WithCancel(t.Context())
	t.Cleanup(m.kill)
	return m
}

// RoundTrip implements http.RoundTripper. Waiting for mail is no step: how often
// it is asked for is a matter of time.
func (m *mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	if filepath.Base(r.URL.Path) != "GetMail" {
		m.n++
	}
	die := m.n == m.at
	dead := m.dead
	m.dead = dead || die
	m.mu.Unlock()
	if dead || die && !m.lost {
		m.kill()
		return nil, errKilled
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if die && err == nil {
		res.Body.Close()
		m.kill()
		return nil, errKilled
	}
	return res, err
}

func (m *mortal) died() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// death is one way and moment to die; step counts from 1.
type death struct {
	name string
	life func(t *testing.T, home string, step int) (member.Options, *mortal)
	// after is the home that the next process finds.
	after func(t *testing.T, home string) string
	// stride: a file is written by five calls to the disk, and what counts is
	// whether the third has happened.
	stride int
}

func deaths() []death {
	stay := func(_ *testing.T, home string) string { return home }
	net := func(lost bool) func(*testing.T, string, int) (member.Options, *mortal) {
		return func(t *testing.T, home string, step int) (member.Options, *mortal) {
			m := newMortal(t, step, lost)
			return member.Options{Home: home, HTTP: &http.Client{Transport: m}}, m
		}
	}
	var disk *durabletest.FS
	return []death{
		{"before a call", net(false), stay, 1},
		{"before an answer", net(true), stay, 1},
		{"in a power cut", func(t *testing.T, home string, step int) (member.Options, *mortal) {
			m := newMortal(t, 0, false)
			var err error
			if disk, err = durabletest.New(home); err != nil {
				t.Fatal(err)
			}
			disk.SetHook(func(op durabletest.Op) durabletest.Outcome {
				if op.N < step {
					return durabletest.Pass
				}
				m.mu.Lock()
				m.dead = true
				m.mu.Unlock()
				m.kill()
				return durabletest.Crash
			})
			return member.Options{Home: home, HTTP: &http.Client{Transport: m}, Disk: disk}, m
		}, func(t *testing.T, _ string) string {
			image := t.TempDir()
			if err := disk.Image(image, mathrand.New(mathrand.NewPCG(1, 2))); err != nil {
				t.Fatal(err)
			}
			return image
		}, 2},
	}
}

// newHome is a folder that has its machine key already, as the disk of a later
// power cut has to know it.
func newHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	if err := os.WriteFile(filepath.Join(home, "machine.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	return home
}

// guestRun is a guest over the lives of his processes.
type guestRun struct {
	mu     sync.Mutex
	codes  []string // as shown, in order
	digits chan string
}

func (g *guestRun) join(ctx context.Context, opts member.Options, server, code string) (*member.Client, error) {
	return member.Join(ctx, opts, member.Joining{
		Server: server, Code: code, Person: "Bob",
		Confirm: func(code string) error {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.codes = append(g.codes, code)
			return nil
		},
		Digits: func(d string) {
			select {
			case g.digits <- d:
			default: // shown again
			}
		},
	})
}

// TestJoinSurvives kills a guest's process at every call to server and disk,
// and has him go on with the same link: he becomes a whole member, the code
// that he saw last opens everything, and nobody is left in the household twice.
func TestJoinSurvives(t *testing.T) {
	if testing.Short() {
		t.Skip("dies some twenty times")
	}
	t.Parallel() // it waits more than it computes
	d := startHouse(t)
	members := 1
	for _, way := range deaths() {
		t.Run(way.name, func(t *testing.T) {
			for step := 1; ; step += way.stride {
				if !joinDying(t, d, way, step) {
					t.Logf("%d steps", step-1)
					if step < 4 {
						t.Error("hardly anything was tried")
					}
					return
				}
				members++
				checkRoster(t, d, members)
			}
		})
		if t.Failed() {
			return
		}
		members++ // the one who did not die
	}
}

// joinDying is one guest; false: he lived through it all.
func joinDying(t *testing.T, d *demo, way death, step int) bool {
	t.Helper()
	i, err := d.client.InviteMember(t.Context(), member.NewMember{Name: fmt.Sprintf("%s %d", way.name, step)})
	if err != nil {
		t.Fatal(err)
	}
	g := &guestRun{digits: make(chan string, 1)}
	confirmed := make(chan error, 1)
	go func() {
		_, err := d.client.ConfirmMember(t.Context(), <-g.digits, "", func(string) {})
		confirmed <- err
	}()
	home := newHome(t)
	opts, m := way.life(t, home, step)
	c, err := g.join(m.ctx, opts, d.server, i.Code)
	died := m.died()
	if err == nil {
		c.Close()
	} else if !died {
		t.Fatalf("step %d: failed alive: %v", step, err)
	}
	if died {
		home = way.after(t, home)
		c, err = g.join(t.Context(), member.Options{Home: home}, d.server, i.Code)
		if err != nil && !holdsMember(home) {
			t.Fatalf("step %d: did not go on: %v", step, err)
		}
		if err == nil {
			c.Close()
		}
	}
	if err := <-confirmed; err != nil {
		t.Fatalf("step %d: confirm: %v", step, err)
	}
	checkMember(t, d, home, step, g)
	return died
}

func holdsMember(home string) bool {
	_, err := os.Stat(filepath.Join(home, "member.json"))
	return err == nil
}

// checkMember: the keys here, and the code that was shown last, are a member's,
// whose kid it returns.
func checkMember(t *testing.T, d *demo, home string, step int, g *guestRun) string {
	t.Helper()
	c, err := member.Open(member.Options{Home: home})
	if err != nil {
		t.Fatalf("step %d: open: %v", step, err)
	}
	defer c.Close()
	h, err := c.Household(t.Context())
	if err != nil || h.Name != "Demo house" || h.Me.Role != "member" || len(h.Me.Name) < 5 {
		t.Fatalf("step %d: household %q, me %+v: %v", step, h.Name, h.Me, err)
	}
	if _, err := os.Stat(filepath.Join(home, "joining")); err == nil {
		t.Errorf("step %d: what was under way is still there", step)
	}
	g.mu.Lock()
	codes := slices.Clone(g.codes)
	g.mu.Unlock()
	r, err := member.Recover(t.Context(), member.Options{Home: t.TempDir()}, member.Recovery{Server: d.server, Code: codes[len(codes)-1], Keep: true})
	if err != nil {
		t.Fatalf("step %d: the code that was shown last (of %d) opens nothing: %v", step, len(codes), err)
	}
	defer r.Close()
	if again, err := r.Household(t.Context()); err != nil || again.Me.Kid != h.Me.Kid {
		t.Errorf("step %d: the code opens %v, not %v: %v", step, again.Me.Kid, h.Me.Kid, err)
	}
	return h.Me.Kid.String()
}

func checkRoster(t *testing.T, d *demo, want int) {
	t.Helper()
	people, err := d.client.People(t.Context())
	if err != nil || len(people) != want {
		t.Fatalf("%d members, want %d: %v", len(people), want, err)
	}
	for _, p := range people {
		if p.Name == "" {
			t.Errorf("%v has no name", p.Kid)
		}
	}
}

// TestConfirmSurvives kills the admin's process at every call while it signs
// somebody in, and has another one go on with the same digits.
func TestConfirmSurvives(t *testing.T) {
	if testing.Short() {
		t.Skip("dies some forty times")
	}
	t.Parallel() // it waits more than it computes
	d := startHouse(t)
	members := 1
	for _, way := range deaths() {
		t.Run(way.name, func(t *testing.T) {
			home := newHome(t)
			invited(t, d, home)
			members++
			for step := 1; ; step += way.stride {
				var died bool
				if died, home = confirmDying(t, d, way, home, step, members); !died {
					t.Logf("%d steps", step-1)
					if step < 4 {
						t.Error("hardly anything was tried")
					}
					return
				}
			}
		})
		if t.Failed() {
			return
		}
	}
}

// invited makes another admin, whose keys are in home.
func invited(t *testing.T, d *demo, home string) {
	t.Helper()
	i, err := d.client.InviteMember(t.Context(), member.NewMember{Name: "admin of " + t.Name(), Role: "admin"})
	if err != nil {
		t.Fatal(err)
	}
	g := &guestRun{digits: make(chan string, 1)}
	joined := make(chan error, 1)
	go func() {
		c, err := g.join(t.Context(), member.Options{Home: home}, d.server, i.Code)
		if err == nil {
			c.Close()
		}
		joined <- err
	}()
	if _, err := d.client.ConfirmMember(t.Context(), <-g.digits, "", func(string) {}); err != nil {
		t.Fatal(err)
	}
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
}

// confirmDying is one confirmation; the admin's home afterwards may be another
// folder, as a power cut left it.
func confirmDying(t *testing.T, d *demo, way death, home string, step, members int) (died bool, after string) {
	t.Helper()
	a, err := member.Open(member.Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	i, err := a.InviteMember(t.Context(), member.NewMember{Name: fmt.Sprintf("%s: %d", way.name, step)})
	a.Close()
	if err != nil {
		t.Fatal(err)
	}
	g := &guestRun{digits: make(chan string, 1)}
	joined := make(chan error, 1)
	guest := newHome(t)
	go func() {
		c, err := g.join(t.Context(), member.Options{Home: guest}, d.server, i.Code)
		if err == nil {
			c.Close()
		}
		joined <- err
	}()
	digits := <-g.digits
	opts, m := way.life(t, home, step)
	if a, err = member.Open(opts); err == nil {
		_, err = a.ConfirmMember(m.ctx, digits, "", func(string) {})
		a.Close()
	}
	died = m.died()
	if err != nil && !died {
		t.Fatalf("step %d: failed alive: %v", step, err)
	}
	if died {
		home = way.after(t, home)
		again(t, home, digits, step)
	}
	if err := <-joined; err != nil {
		t.Fatalf("step %d: the guest: %v", step, err)
	}
	kid := checkMember(t, d, guest, step, g)
	checkRoster(t, d, members+1)
	if _, err := d.client.RemoveMember(t.Context(), kid); err != nil { // a directory has room for 64
		t.Fatal(err)
	}
	return died, home
}

// again confirms in a new process, whatever the one before had done.
func again(t *testing.T, home, digits string, step int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	a, err := member.Open(member.Options{Home: home})
	if err != nil {
		t.Fatalf("step %d: open: %v", step, err)
	}
	defer a.Close()
	if _, err := a.ConfirmMember(ctx, digits, "", func(string) {}); err != nil {
		t.Fatalf("step %d: did not go on: %v", step, err)
	}
}

// TestAnswerOnceMore: the guest's machine dies before it has the answer, and the
// box of the code is gone when it is back. The same digits and the same link
// bring both together again.
func TestAnswerOnceMore(t *testing.T) {
	d := startHouse(t)
	code, home := inviteBob(t, d), newHome(t)
	ctx, die := context.WithCancel(t.Context())
	l := newLiar(t, d.server)
	l.tell(t, lie{answer: one("GetMail", func([]byte) proto.Message {
		die()
		return &latchkeyv1.GetMailResponse{}
	})})
	digits, done := guestAt(t, ctx, home, l.URL, code)
	if _, err := d.client.ConfirmMember(t.Context(), digits, "", func(string) {}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Fatal("the guest did not die")
	}
	l.tell(t, lie{})
	d.restartCloud(t)
	again := make(chan error, 1)
	digits2, done := guestAt(t, t.Context(), home, l.URL, code)
	if digits2 != digits {
		t.Errorf("digits %s, then %s", digits, digits2)
	}
	go func() {
		_, err := d.client.ConfirmMember(t.Context(), digits, "", func(string) {})
		again <- err
	}()
	if err := errors.Join(<-again, <-done); err != nil {
		t.Fatal(err)
	}
	checkRoster(t, d, 2)
}

// restartCloud loses what the cloud has in memory only: the boxes.
func (d *demo) restartCloud(t *testing.T) {
	t.Helper()
	d.cmd.Listen = strings.TrimPrefix(d.server, "http://")
	d.cleanup[0]()
	d.cleanup = d.cleanup[1:]
	if err := d.startCloud(t.Context()); err != nil {
		t.Fatal(err)
	}
}
