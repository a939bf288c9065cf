package main

import (
	"slices"
	"testing"

	"latchkey.dev/latchkey/internal/home/member"
)

// opens reports whether a recovery code opens the household.
func opens(t *testing.T, d *demo, code string) bool {
	t.Helper()
	c, err := member.Recover(t.Context(), member.Options{Home: t.TempDir()}, member.Recovery{Server: d.server, Code: code, Keep: true})
	if err != nil {
		return false
	}
	defer c.Close()
	_, err = c.Household(t.Context())
	return err == nil
}

// TestNewCodeSurvives kills a process at every call while it makes a new
// recovery code: a code that its owner has seen opens everything at every
// moment, and the next try makes another one.
func TestNewCodeSurvives(t *testing.T) {
	if testing.Short() {
		t.Skip("dies some twenty times")
	}
	t.Parallel() // it waits more than it computes
	d := startHouse(t)
	code := d.code
	for _, way := range deaths() {
		t.Run(way.name, func(t *testing.T) {
			for step := 1; ; step += way.stride {
				home := newHome(t)
				first := recoverAt(t, home, d.server, code)
				if _, err := first.EndOtherDevices(t.Context()); err != nil { // a person has 50 at most
					t.Fatal(err)
				}
				first.Close()
				opts, m := way.life(t, home, step)
				seen := []string{code}
				see := func(code string) error { seen = append(seen, code); return nil }
				c, err := member.Open(opts)
				if err == nil {
					err = c.NewCode(m.ctx, see)
					c.Close()
				}
				if err != nil && !m.died() {
					t.Fatalf("step %d: failed alive: %v", step, err)
				}
				slices.Reverse(seen)
				works := func() int { return slices.IndexFunc(seen, func(s string) bool { return opens(t, d, s) }) }
				i := works()
				if i < 0 { // what was on its way when the process died may have arrived while we looked
					i = works()
				}
				if i < 0 {
					t.Fatalf("step %d: no code of %d opens anything", step, len(seen))
				}
				code = seen[i]
				if !m.died() {
					return
				}
			}
		})
	}
}

// TestNewKeysSurvive kills a process at every call while it replaces all keys,
// and has another one go on: the new code opens everything, the keys are whole,
// and the name stays with them.
func TestNewKeysSurvive(t *testing.T) {
	if testing.Short() {
		t.Skip("dies some thirty times")
	}
	t.Parallel() // it waits more than it computes
	d := startHouse(t)
	code := d.code
	for _, way := range deaths() {
		t.Run(way.name, func(t *testing.T) {
			for step := 1; ; step += way.stride {
				var died bool
				if died, code = keysDying(t, d, way, code, step); !died {
					return
				}
			}
		})
		if t.Failed() {
			return
		}
	}
}

func keysDying(t *testing.T, d *demo, way death, code string, step int) (died bool, now string) {
	t.Helper()
	home := newHome(t)
	recoverAt(t, home, d.server, code).Close()
	before := code
	see := func(shown string) error { code = shown; return nil }
	opts, m := way.life(t, home, step)
	c, err := member.Open(opts)
	if err == nil {
		var next *member.Client
		if next, err = c.NewKeys(m.ctx, see); next != nil {
			next.Close()
		}
	}
	if died = m.died(); err != nil && !died {
		t.Fatalf("step %d: failed alive: %v", step, err)
	}
	if died {
		home = way.after(t, home)
		if c, err = member.Open(member.Options{Home: home}); err != nil {
			t.Fatalf("step %d: open: %v", step, err)
		}
		next, err := c.NewKeys(t.Context(), see)
		if err != nil {
			t.Fatalf("step %d: did not go on: %v", step, err)
		}
		next.Close()
	}
	c, err = member.Open(member.Options{Home: home})
	if err != nil {
		t.Fatalf("step %d: open: %v", step, err)
	}
	defer c.Close()
	if h, err := c.Household(t.Context()); err != nil || h.Me.Name != "Ann" || h.Me.Role != "admin" || len(h.Members) != 1 {
		t.Errorf("step %d: %+v, %v", step, h.Members, err)
	}
	if !opens(t, d, code) || opens(t, d, before) {
		t.Errorf("step %d: the new code opens: %v, the old one: %v", step, opens(t, d, code), opens(t, d, before))
	}
	return died, code
}
