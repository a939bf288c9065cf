package main

import (
	"context"
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey.dev/latchkey/internal/home/member"
)

// wire records what a member's machine asks, and can take the public log away.
type wire struct {
	mu    sync.Mutex
	asked []string // procedures, and "checkpoint", "policy" of the log
	noLog bool
}

func (w *wire) request(r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, path.Base(r.URL.Path))
	if w.noLog && strings.HasPrefix(r.URL.Path, "/log/") && r.URL.Path != "/log/policy" {
		r.URL.Path = "/log/1999/checkpoint" // where there is none
	}
}

func (w *wire) log(there bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noLog = !there
}

// since returns what was asked after n requests.
func (w *wire) since(n int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked[n:])
}

func (w *wire) count() int { return len(w.since(0)) }

// handedOver are the requests that carry a capsule.
func handedOver(asked []string) (out []int) {
	for i, name := range asked {
		if name == "PutLink" || name == "PutCapsule" {
			out = append(out, i)
		}
	}
	return out
}

// TestC13LogThenRelease: a recording proxy sees a capsule leave only after its
// statement was appended and a checkpoint was read behind it. With the log away
// between the two nothing leaves, not from the next process either; when the log
// is back the grant completes. So it is for links, for grants to members, and
// for the past of somebody who joins.
func TestC13LogThenRelease(t *testing.T) {
	d := startDemo(t)
	span := recorded(t, d.client, "porch", 6*time.Second)
	l, w := newLiar(t, d.server), &wire{}
	all := member.History{All: true}
	bob := join(t, d.client, l.URL, member.NewMember{Name: "Bob", Role: "admin", History: all}, "Bob")
	l.tell(t, lie{request: w.request})
	join(t, d.client, d.server, member.NewMember{Name: "Cem"}, "Cem")
	give := map[string]func(context.Context, *member.Client, func(member.GrantStep)) error{
		"link": func(ctx context.Context, c *member.Client, step func(member.GrantStep)) error {
			_, err := c.ShareLink(ctx, member.ShareRequest{Camera: "porch", Span: span}, step)
			return err
		},
		"member": func(ctx context.Context, c *member.Client, step func(member.GrantStep)) error {
			_, err := c.Give(ctx, member.GiveRequest{Cameras: []string{"porch"}, To: "Cem", Span: span}, step)
			return err
		},
	}
	for what, do := range give {
		t.Run(what, func(t *testing.T) {
			begin := w.count()
			if err := do(t.Context(), bob.client, func(member.GrantStep) {}); err != nil {
				t.Fatal(err)
			}
			checkOrder(t, w.since(begin))

			w.log(false)
			begin = w.count()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := do(ctx, bob.client, func(s member.GrantStep) {
				if s == member.StepLogAway {
					cancel()
				}
			})
			if !errors.Is(err, member.ErrLogWaits) {
				t.Fatalf("with the log away: %v", err)
			}
			next := reopen(t, bob)
			if _, waiting, err := next.ReleaseGrants(t.Context(), 0); err != nil || len(waiting) != 1 {
				t.Fatalf("%d wait, %v", len(waiting), err)
			}
			asked := w.since(begin)
			if n := handedOver(asked); len(n) != 0 || !slices.Contains(asked, "AppendStatement") {
				t.Fatalf("it left without a proof: %v", asked)
			}
			grants, err := next.Grants(t.Context())
			if err != nil || !slices.ContainsFunc(grants, func(g member.GrantInfo) bool { return g.State == member.GrantWaiting }) {
				t.Fatalf("nothing waits: %+v, %v", grants, err)
			}
			w.log(true)
			done, waiting, err := reopen(t, bob).ReleaseGrants(t.Context(), time.Minute)
			if err != nil || len(waiting) != 0 || len(done) == 0 {
				t.Fatalf("%v %v %v", done, waiting, err)
			}
			asked = w.since(begin)
			if n := handedOver(asked); len(n) != 1 {
				t.Errorf("handed over %d times: %v", len(n), asked)
			}
			if n := len(slices.DeleteFunc(asked, func(s string) bool { return s != "AppendStatement" })); n != 1 {
				t.Errorf("%d statements for one grant", n)
			}
		})
	}
	t.Run("the past of a guest", func(t *testing.T) {
		begin := w.count()
		join(t, reopen(t, bob), d.server, member.NewMember{Name: "Eve", History: all}, "Eve")
		asked := w.since(begin)
		checkOrder(t, asked[slices.Index(asked, "PutMail")+1:]) // behind the statement that admits him
	})
	t.Run("the past of a guest, with the log away", func(t *testing.T) { pastWaits(t, d, w, bob) })
	storyFsck(t, d)
}

// pastWaits: a guest belongs to the household with a name while the log is away,
// and any later command of his host hands over the past.
func pastWaits(t *testing.T, d *demo, w *wire, bob arrival) {
	w.log(false)
	begin := w.count()
	host, err := member.Open(member.Options{Home: bob.home, LogWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	i, err := host.InviteMember(t.Context(), member.NewMember{Name: "Fay", History: member.History{All: true}})
	if err != nil {
		t.Fatal(err)
	}
	g, joined := &guestRun{digits: make(chan string, 1)}, make(chan error, 1)
	home := newHome(t)
	go func() {
		c, err := g.join(t.Context(), member.Options{Home: home}, d.server, i.Code)
		if err == nil {
			c.Close()
		}
		joined <- err
	}()
	p, err := host.ConfirmMember(t.Context(), <-g.digits, "", func(string) {})
	if !errors.Is(err, member.ErrLogWaits) || p.Name != "Fay" {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	if n := handedOver(w.since(begin)); len(n) != 0 {
		t.Fatal("the past left without a proof")
	}
	if code, words := types(t, bob.home, nil, "member", "list"); code != exitDone || !strings.Contains(words, "One grant waits for the public log") {
		t.Errorf("exit %d\n%s", code, words)
	}
	if n := handedOver(w.since(begin)); len(n) != 0 {
		t.Fatal("the past left without a proof")
	}
	w.log(true)
	eventually(t, "the next command hands it over", func() bool {
		code, words := types(t, bob.home, nil, "member", "list")
		return code == exitDone && strings.Contains(words, "A grant from before was handed over")
	})
	if n := handedOver(w.since(begin)); len(n) != 1 {
		t.Errorf("handed over %d times", len(n))
	}
	eventually(t, "others see the name, once her keys are proven", func() bool {
		if code, words := types(t, bob.home, nil, "member", "list"); code != exitDone {
			t.Fatalf("exit %d\n%s", code, words)
		}
		if code, words := types(t, home, nil, "member", "list"); code != exitDone || !strings.Contains(words, "Ann") {
			return false // she has no directory yet
		}
		people, err := d.client.People(t.Context())
		return err == nil && slices.ContainsFunc(people, func(p member.Person) bool { return p.Name == "Fay" })
	})
}

// checkOrder: statement, then a checkpoint, then the capsule.
func checkOrder(t *testing.T, asked []string) {
	t.Helper()
	handed := handedOver(asked)
	appended := slices.Index(asked, "AppendStatement")
	if len(handed) != 1 || appended < 0 {
		t.Fatalf("asked: %v", asked)
	}
	if seen := slices.Index(asked[appended:], "checkpoint"); seen < 0 || appended+seen > handed[0] {
		t.Errorf("the capsule leaves before the log was read: %v", asked)
	}
}

// TestShareSurvives kills a sharer's process at its calls to server and disk:
// the next one goes on, there is one grant in the chain at most, and its link
// opens.
func TestShareSurvives(t *testing.T) {
	if testing.Short() {
		t.Skip("dies some twenty times")
	}
	d := startDemo(t)
	span := recorded(t, d.client, "porch", 6*time.Second)
	for i, way := range deaths() {
		t.Run(way.name, func(t *testing.T) {
			home := newHome(t)
			bob := joinAt(t, d, home, way.name)
			// A share reads the log until the proof is there: not each of those
			// calls is worth a death.
			for step := 1 + i; ; step += 4 {
				died := false
				if bob, died = shareDying(t, d, bob, way, step, span); !died {
					if step < 12 {
						t.Error("hardly anything was tried")
					}
					return
				}
			}
		})
	}
	storyFsck(t, d)
}

// joinAt makes an admin with the whole past in a home.
func joinAt(t *testing.T, d *demo, home, name string) string {
	t.Helper()
	i, err := d.client.InviteMember(t.Context(), member.NewMember{Name: name, Role: "admin", History: member.History{All: true}})
	if err != nil {
		t.Fatal(err)
	}
	g := &guestRun{digits: make(chan string, 1)}
	confirmed := make(chan error, 1)
	go func() {
		_, err := d.client.ConfirmMember(t.Context(), <-g.digits, "", func(string) {})
		confirmed <- err
	}()
	c, err := g.join(t.Context(), member.Options{Home: home}, d.server, i.Code)
	if err = errors.Join(err, <-confirmed); err != nil {
		t.Fatal(err)
	}
	c.Close()
	return home
}

// shareDying is one share; false: it lived through it all. It returns the home
// that there is afterwards.
func shareDying(t *testing.T, d *demo, home string, way death, step int, span member.Span) (string, bool) {
	t.Helper()
	before := links(t, d.client)
	opts, m := way.life(t, home, step)
	c, err := member.Open(opts)
	if err != nil {
		t.Fatalf("step %d: open: %v", step, err)
	}
	shared, err := c.ShareLink(m.ctx, member.ShareRequest{Camera: "porch", Span: span}, func(member.GrantStep) {})
	died := m.died()
	c.Close()
	if err != nil && !died {
		t.Fatalf("step %d: failed alive: %v", step, err)
	}
	link := shared.Link
	if died {
		home = way.after(t, home)
		next, err := member.Open(member.Options{Home: home})
		if err != nil {
			t.Fatalf("step %d: open again: %v", step, err)
		}
		defer next.Close()
		done, waiting, err := next.ReleaseGrants(t.Context(), time.Minute)
		if err != nil || len(waiting) > 0 || len(done) > 1 {
			t.Fatalf("step %d: did not go on: %v, %v, %v", step, done, waiting, err)
		}
		link = ""
		if len(done) == 1 {
			link = done[0].Link
			if err := next.LinkShown(done[0].Grant); err != nil {
				t.Fatal(err)
			}
		}
	} else if err := c.LinkShown(shared.Grant); err != nil {
		t.Fatal(err)
	}
	made := links(t, d.client) - before
	if want := map[bool]int{true: 1, false: 0}[link != ""]; made != want {
		t.Fatalf("step %d: %d grants in the chain, and the link is %q", step, made, link)
	}
	if link != "" {
		s, err := member.OpenLink(t.Context(), http.DefaultClient, link)
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		s.Close()
	}
	return home, died
}

// links counts the grants to links in the chain.
func links(t *testing.T, c *member.Client) (n int) {
	t.Helper()
	all, err := c.Grants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range all {
		if g.Kind == "link" && g.Seq > 0 {
			n++
		}
	}
	return n
}
