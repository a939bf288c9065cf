package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/member"
)

// one is a lie about a single procedure.
func one(name string, f func(body []byte) proto.Message) map[string]func([]byte) proto.Message {
	return map[string]func([]byte) proto.Message{name: f}
}

// guestAt starts a guest who meets the cloud through the liar. It returns his
// digits, and where his end comes.
func guestAt(t *testing.T, ctx context.Context, home, server, code string) (digits string, done <-chan error) {
	t.Helper()
	shown, joined := make(chan string, 1), make(chan error, 1)
	go func() {
		c, err := member.Join(ctx, member.Options{Home: home}, member.Joining{
			Server: server, Code: code, Person: "Bob",
			Confirm: func(string) error { return nil }, Digits: func(d string) { shown <- d },
		})
		if err == nil {
			c.Close()
		}
		joined <- err
	}()
	select {
	case digits = <-shown:
	case err := <-joined:
		t.Fatalf("the guest ended at once: %v", err)
	}
	return digits, joined
}

func inviteBob(t *testing.T, d *demo) string {
	t.Helper()
	i, err := d.client.InviteMember(t.Context(), member.NewMember{Name: "Bob"})
	if err != nil {
		t.Fatal(err)
	}
	return i.Code
}

// TestServerSwapsOffers: whatever a server puts in place of a guest's keys, one
// after the other, the admin signs none of it, even if the server has seen the
// code (claim C10).
func TestServerSwapsOffers(t *testing.T) {
	d := startHouse(t)
	l := newLiar(t, d.server)
	flip := func(at int) func([]byte) { return func(b []byte) { b[at] ^= 1 } }
	places := map[string]int{"ed": offerEd + 3, "x": offerX + 700, "recovery": offerRecovery + 5, "nonce": offerNonce, "role": 4}
	for name, at := range places {
		for _, knows := range []bool{false, true} {
			if knows && name == "nonce" || name == "ed" && knows {
				// A nonce of his own gains him nothing; a bit of ed is no key. Both
				// change the digits: see the others.
				continue
			}
			t.Run(name+map[bool]string{true: " by who has the code", false: ""}[knows], func(t *testing.T) {
				code := inviteBob(t, d)
				changed := false
				l.tell(t, lie{ask: one("PutMail", func(body []byte) proto.Message {
					m := decode(body, &latchkeyv1.PutMailRequest{})
					if knows {
						m.Body = forgeOffer(t, code, m.Body, flip(at))
					} else {
						m.Body[at] ^= 1
					}
					changed = true
					return m
				})})
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				digits, done := guestAt(t, ctx, t.TempDir(), l.URL, code)
				_, err := d.client.ConfirmMember(ctx, digits, "", func(string) {})
				if err == nil || !changed {
					t.Errorf("changed: %v; confirmed: %v", changed, err)
				}
				if knows && name != "role" && !errors.Is(err, latchkey.ErrVerify) {
					t.Errorf("other keys with a right MAC: %v", err)
				}
				cancel()
				<-done
				checkRoster(t, d, 1)
				forgetInvitations(t, d)
			})
		}
	}
}

// forgetInvitations is time passing: fifteen minutes.
func forgetInvitations(t *testing.T, d *demo) {
	t.Helper()
	if err := os.Remove(filepath.Join(d.home, "invitations")); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

// TestServerSwapsAnswers: a guest follows no answer but the admin's, and when
// the server tells the truth again, he goes on with the same link.
func TestServerSwapsAnswers(t *testing.T) {
	d := startHouse(t)
	l := newLiar(t, d.server)
	members := 1
	tests := map[string]func(code string, offer, mail []byte) []byte{
		"household": func(_ string, _, mail []byte) []byte { mail[4] ^= 1; return mail },
		"seq":       func(_ string, _, mail []byte) []byte { mail[27] ^= 1; return mail },
		"hash":      func(_ string, _, mail []byte) []byte { mail[40] ^= 1; return mail },
		"MAC":       func(_ string, _, mail []byte) []byte { mail[70] ^= 1; return mail },
		"hash by who has the code": func(code string, offer, mail []byte) []byte {
			return forgeAnswer(t, code, offer, mail, func(a []byte) { a[40] ^= 1 })
		},
		"an earlier statement by who has the code": func(code string, offer, mail []byte) []byte {
			return forgeAnswer(t, code, offer, mail, earlier)
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			code, home := inviteBob(t, d), t.TempDir()
			var offer []byte
			l.tell(t, lie{
				ask: one("PutMail", func(body []byte) proto.Message {
					m := decode(body, &latchkeyv1.PutMailRequest{})
					offer = m.Body
					return m
				}),
				answer: one("GetMail", func(body []byte) proto.Message {
					m := decode(body, &latchkeyv1.GetMailResponse{})
					m.Body = change(code, offer, m.Body)
					return m
				}),
			})
			digits, done := guestAt(t, t.Context(), home, l.URL, code)
			if _, err := d.client.ConfirmMember(t.Context(), digits, "", func(string) {}); err != nil {
				t.Fatal(err)
			}
			members++
			if err := <-done; !errors.Is(err, latchkey.ErrVerify) {
				t.Errorf("the guest: %v", err)
			}
			if holdsMember(home) {
				t.Error("the guest has become a member all the same")
			}
			checkRoster(t, d, members)
		})
	}
}

// TestServerLiesToAGuest: the chain and the vault of somebody who is joining.
func TestServerLiesToAGuest(t *testing.T) {
	d := startHouse(t)
	stranger := httpGet(t, startHouse(t).server+"/log/policy")
	l := newLiar(t, d.server)
	chain := func(change func(*latchkeyv1.GetChainResponse)) lie {
		return lie{answer: one("GetChain", func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.GetChainResponse{})
			change(m)
			return m
		})}
	}
	swap := func(key string) lie {
		return chain(func(r *latchkeyv1.GetChainResponse) {
			for i, n := range r.Notes {
				r.Notes[i] = swapKey(n, key)
			}
		})
	}
	tagKey := func(key []byte) lie {
		return lie{answer: one("GetLogTagKey", func([]byte) proto.Message { return &latchkeyv1.GetLogTagKeyResponse{Key: key} })}
	}
	tests := map[string]lie{
		"another operator":    {file: map[string]func([]byte) []byte{"policy": func([]byte) []byte { return stranger }}},
		"another log tag key": tagKey(bytes.Repeat([]byte{7}, 32)), "no log tag key": tagKey(nil),
		"ed in the roster": swap("ed"), "x in the roster": swap("x"), "recovery in the roster": swap("recovery"),
		"without his statement": chain(func(r *latchkeyv1.GetChainResponse) { r.Notes = r.Notes[:max(0, len(r.Notes)-1)] }),
		"no chain":              chain(func(r *latchkeyv1.GetChainResponse) { r.Notes = nil }),
	}
	for name, what := range tests {
		t.Run(name, func(t *testing.T) {
			code, home := inviteBob(t, d), t.TempDir()
			l.tell(t, what)
			digits, done := guestAt(t, t.Context(), home, l.URL, code)
			if _, err := d.client.ConfirmMember(t.Context(), digits, "", func(string) {}); err != nil {
				t.Fatal(err)
			}
			if err := <-done; !errors.Is(err, latchkey.ErrVerify) || holdsMember(home) {
				t.Errorf("the guest: %v", err)
			}
			l.tell(t, lie{})
			c, err := member.Join(t.Context(), member.Options{Home: home}, member.Joining{
				Server: l.URL, Code: code, Confirm: func(string) error { return errors.New("shown again") }, Digits: func(string) {},
			})
			if err != nil {
				t.Fatalf("the guest does not go on when the server is honest again: %v", err)
			}
			c.Close()
		})
	}
}

// swapKey exchanges a bit of a key in a statement.
func swapKey(note []byte, key string) []byte {
	i := bytes.Index(note, []byte("\n"+key+" "))
	if i < 0 {
		return note
	}
	out := bytes.Clone(note)
	at := i + len(key) + 10
	out[at] = map[bool]byte{true: 'B', false: 'A'}[out[at] == 'A']
	return out
}

// TestServerLiesToMembers: directory, device list, wraps, and two histories.
func TestServerLiesToMembers(t *testing.T) {
	d := startHouse(t)
	l := newLiar(t, d.server)
	bob := join(t, d.client, l.URL, member.NewMember{Name: "Bob"}, "Bob")
	cem := join(t, d.client, l.URL, member.NewMember{Name: "Cem"}, "Cem")
	t.Run("directory", func(t *testing.T) { directoryLies(t, d, l, bob, cem) })
	t.Run("devices", func(t *testing.T) { deviceLies(t, l, bob) })
	t.Run("code", func(t *testing.T) { codeLies(t, l, bob) })
	t.Run("fork", func(t *testing.T) { forkLies(t, d, l, bob) })
	t.Run("removal", func(t *testing.T) { removalLies(t, d, l) })
}

func reopen(t *testing.T, a arrival) *member.Client {
	t.Helper()
	c, err := member.Open(member.Options{Home: a.home})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func directoryLies(t *testing.T, d *demo, l *liar, bob, cem arrival) {
	var old, others *latchkeyv1.GetDirectoryResponse
	keep := func(to **latchkeyv1.GetDirectoryResponse) lie {
		return lie{answer: one("GetDirectory", func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.GetDirectoryResponse{})
			*to = proto.Clone(m).(*latchkeyv1.GetDirectoryResponse)
			return m
		})}
	}
	see := func(c *member.Client, what lie) error {
		l.tell(t, what)
		_, err := c.Household(t.Context())
		return err
	}
	if err := errors.Join(see(reopen(t, bob), keep(&old)), see(reopen(t, cem), keep(&others))); err != nil {
		t.Fatal(err)
	}
	if err := d.client.RenameMember(t.Context(), "Cem", "Cemal"); err != nil {
		t.Fatal(err)
	}
	if err := see(reopen(t, bob), lie{}); err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(*latchkeyv1.GetDirectoryResponse){
		"an older one":      func(m *latchkeyv1.GetDirectoryResponse) { m.N, m.Letter = old.N, old.Letter },
		"an older one, new": func(m *latchkeyv1.GetDirectoryResponse) { m.Letter = old.Letter },
		"somebody else's":   func(m *latchkeyv1.GetDirectoryResponse) { m.Letter = others.Letter },
		"a bit of it":       func(m *latchkeyv1.GetDirectoryResponse) { m.Letter[len(m.Letter)-1] ^= 1 },
		"a higher number":   func(m *latchkeyv1.GetDirectoryResponse) { m.N++ },
		"nothing in it":     func(m *latchkeyv1.GetDirectoryResponse) { m.Letter = nil },
	}
	for name, change := range tests {
		err := see(reopen(t, bob), lie{answer: one("GetDirectory", func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.GetDirectoryResponse{})
			change(m)
			return m
		})})
		if !errors.Is(err, latchkey.ErrVerify) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if h, err := reopen(t, bob).Household(t.Context()); err != nil && !errors.Is(err, latchkey.ErrVerify) || err == nil && !slices.Contains(names(h), "Cemal member") {
		t.Errorf("afterwards: %v, %v", names(h), err)
	}
}

func deviceLies(t *testing.T, l *liar, bob arrival) {
	c := reopen(t, bob)
	second := recoverAt(t, filepath.Join(t.TempDir(), "second"), l.URL, bob.code)
	var old *latchkeyv1.ListDevicesResponse
	l.tell(t, lie{answer: one("ListDevices", func(body []byte) proto.Message {
		old = decode(body, &latchkeyv1.ListDevicesResponse{})
		return proto.Clone(old)
	})})
	list, err := c.Devices(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	l.tell(t, lie{})
	if _, err := c.EndOtherDevices(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Household(t.Context()); !errors.Is(err, member.ErrDeviceEnded) {
		t.Errorf("the second device: %v", err)
	}
	tests := map[string]func(*latchkeyv1.ListDevicesResponse){
		"an older list":       func(m *latchkeyv1.ListDevicesResponse) { m.Devices = old.Devices },
		"without this device": func(m *latchkeyv1.ListDevicesResponse) { m.Devices = nil },
		"another is this one": func(m *latchkeyv1.ListDevicesResponse) {
			m.Devices[0].Current = false
			m.Devices = append(m.Devices, &latchkeyv1.DeviceInfo{Id: make([]byte, 16), Current: true})
		},
	}
	for name, change := range tests {
		l.tell(t, lie{answer: one("ListDevices", func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.ListDevicesResponse{})
			change(m)
			return m
		})})
		// A new process: what was ended is remembered on disk.
		if _, err := reopen(t, bob).Devices(t.Context()); !errors.Is(err, latchkey.ErrVerify) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// codeLies: a server that takes a new code and keeps the old wrap is found out
// while the old device still has everything.
func codeLies(t *testing.T, l *liar, bob arrival) {
	c := reopen(t, bob)
	var before [][]byte
	l.tell(t, lie{answer: one("GetVault", func(body []byte) proto.Message {
		m := decode(body, &latchkeyv1.GetVaultResponse{})
		if before == nil {
			before = m.Wraps
		}
		m.Wraps = before
		return m
	})})
	if err := c.NewCode(t.Context(), func(string) error { return nil }); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("the old wrap after a new code: %v", err)
	}
	l.tell(t, lie{})
	if err := c.NewCode(t.Context(), func(string) error { return nil }); err != nil {
		t.Errorf("when the server is honest again: %v", err)
	}
}

// forkLies shows one member two histories that an admin has signed.
func forkLies(t *testing.T, d *demo, l *liar, bob arrival) {
	twin := t.TempDir()
	if err := os.CopyFS(twin, os.DirFS(d.home)); err != nil {
		t.Fatal(err)
	}
	seen := reopen(t, bob)
	l.tell(t, lie{})
	if _, err := seen.Household(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.client.ChangeMember(t.Context(), "Bob", member.MemberChange{Role: ptr("viewer")}); err != nil {
		t.Fatal(err)
	}
	if _, err := seen.Household(t.Context()); err != nil {
		t.Fatal(err)
	}
	fork := signElsewhere(t, twin, l)
	l.tell(t, lie{answer: one("GetChain", func(body []byte) proto.Message {
		m := decode(body, &latchkeyv1.GetChainResponse{})
		m.Notes[len(m.Notes)-1] = fork
		return m
	})})
	if _, err := reopen(t, bob).Household(t.Context()); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("another history: %v", err)
	}
}

func ptr[T any](v T) *T { return &v }

// signElsewhere has a copy of the admin's keys, which is shown an older chain,
// sign another statement at the same place, and catches it.
func signElsewhere(t *testing.T, home string, l *liar) []byte {
	t.Helper()
	path := filepath.Join(home, "member.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), `"server": "`+l.cloud.String(), `"server": "`+l.URL, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := member.Open(member.Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var caught []byte
	l.tell(t, lie{
		answer: one("GetChain", func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.GetChainResponse{})
			m.Notes = m.Notes[:1] // what it knows
			return m
		}),
		swallow: one("AppendStatement", func(body []byte) proto.Message {
			caught = decode(body, &latchkeyv1.AppendStatementRequest{}).Note
			return &latchkeyv1.AppendStatementResponse{}
		}),
	})
	if _, err := a.ChangeMember(t.Context(), "Bob", member.MemberChange{Role: ptr("admin")}); !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("a statement that was swallowed: %v", err)
	}
	if caught == nil {
		t.Fatal("nothing was signed")
	}
	return caught
}

// removalLies: a server that takes a removal and does not carry it is named.
func removalLies(t *testing.T, d *demo, l *liar) {
	admin := recoverAt(t, filepath.Join(t.TempDir(), "ann"), l.URL, d.code)
	l.tell(t, lie{swallow: one("AppendStatement", func([]byte) proto.Message { return &latchkeyv1.AppendStatementResponse{} })})
	report, err := admin.RemoveMember(t.Context(), "Cemal")
	if !errors.Is(err, latchkey.ErrVerify) || report.Server == nil || report.Heard() {
		t.Errorf("%+v, %v", report, err)
	}
	people, err := admin.People(t.Context())
	if err != nil || !slices.ContainsFunc(people, func(p member.Person) bool { return p.Name == "Cemal" && p.Leaving }) {
		t.Errorf("the admin sees %+v, %v", people, err)
	}
	l.tell(t, lie{})
	if report, err = admin.RemoveMember(t.Context(), "Cemal"); err != nil || report.Server != nil {
		t.Errorf("when the server is honest again: %+v, %v", report, err)
	}
}
