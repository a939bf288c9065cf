package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/member"
)

// arrival is a guest's way in: what he was shown, and where his keys are.
type arrival struct {
	client *member.Client
	person member.Person
	code   string // his recovery code
	home   string
}

// join brings a guest into the household, over the liar when there is one.
func join(t *testing.T, admin *member.Client, server string, n member.NewMember, person string) arrival {
	t.Helper()
	i, err := admin.InviteMember(t.Context(), n)
	if err != nil {
		t.Fatalf("invite %s: %v", person, err)
	}
	a := arrival{home: filepath.Join(t.TempDir(), person)}
	digits, joined := make(chan string, 1), make(chan error, 1)
	go func() {
		var err error
		a.client, err = member.Join(t.Context(), member.Options{Home: a.home, Device: person + "'s"}, member.Joining{
			Server: server, Code: i.Code, Person: person,
			Confirm: func(code string) error { a.code = code; return nil },
			Digits:  func(d string) { digits <- d },
		})
		joined <- err
	}()
	select {
	case d := <-digits:
		if a.person, err = admin.ConfirmMember(t.Context(), d, "", func(string) {}); err != nil {
			t.Fatalf("confirm %s: %v", person, err)
		}
		err = <-joined
	case err = <-joined:
	}
	if err != nil {
		t.Fatalf("%s joins: %v", person, err)
	}
	t.Cleanup(a.client.Close)
	return a
}

// TestPeople: three people, their rights, what they see of the past, and what
// they see no more.
func TestPeople(t *testing.T) {
	if testing.Short() {
		t.Skip("records for half a minute")
	}
	d := startDemo(t)
	past := recorded(t, d.client, "porch", 4*time.Second)
	bob := join(t, d.client, d.server, member.NewMember{Name: "Bob", History: member.History{All: true}}, "Bob")
	cem := join(t, d.client, d.server, member.NewMember{
		Name: "Cem", Role: "viewer", Rights: member.RightsByName{Cameras: []string{"porch"}, NoSound: true},
	}, "Cem")

	t.Run("names", func(t *testing.T) { storyNames(t, d, bob, cem) })
	t.Run("rights", func(t *testing.T) { storyRights(t, bob, cem) })
	t.Run("history", func(t *testing.T) { storyHistory(t, bob, cem, past) })
	t.Run("change", func(t *testing.T) { storyChange(t, d, cem) })
	t.Run("rotate", func(t *testing.T) { storyRotate(t, d, &bob) })
	t.Run("keys", func(t *testing.T) { storyKeys(t, d, &bob, past) })
	t.Run("devices", func(t *testing.T) { storyDevices(t, d, bob) })
	t.Run("remove", func(t *testing.T) { storyRemove(t, d, cem) })
	t.Run("fsck", func(t *testing.T) { storyFsck(t, d) })
}

func names(h member.Household) []string {
	var out []string
	for _, p := range h.Members {
		out = append(out, p.Name+" "+p.Role)
	}
	slices.Sort(out)
	return out
}

func storyNames(t *testing.T, d *demo, bob, cem arrival) {
	want := []string{"Ann admin", "Bob member", "Cem viewer"}
	for who, c := range map[string]*member.Client{"Ann": d.client, "Bob": bob.client, "Cem": cem.client} {
		h, err := c.Household(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", who, err)
		}
		if got := names(h); !slices.Equal(got, want) || h.Name != "Demo house" || h.Me.Name != who || h.Hubs[0].Name != "hub" {
			t.Errorf("%s sees %v in %q, hub %q, and is %q", who, got, h.Name, h.Hubs[0].Name, h.Me.Name)
		}
	}
	if _, err := cem.client.InviteMember(t.Context(), member.NewMember{}); !errors.Is(err, latchkey.ErrRefused) {
		t.Errorf("a viewer invites: %v", err)
	}
}

func cameraNames(t *testing.T, c *member.Client) []string {
	t.Helper()
	cams, err := c.Cameras(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, cam := range cams {
		out = append(out, cam.Name)
	}
	slices.Sort(out)
	return out
}

func storyRights(t *testing.T, bob, cem arrival) {
	eventually(t, "Bob sees both cameras, Cem one", func() bool {
		return slices.Equal(cameraNames(t, bob.client), []string{"driveway", "porch"}) && slices.Equal(cameraNames(t, cem.client), []string{"porch"})
	})
	cams, err := cem.client.Cameras(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, sound := cams[0].Track(latchkey.KindAudio); sound {
		t.Error("Cem may hear the porch")
	}
	now := time.Now()
	if _, err := cem.client.Timeline(t.Context(), "driveway", member.Span{From: now.Add(-time.Minute), To: now}); !errors.Is(err, latchkey.ErrNotFound) {
		t.Errorf("Cem asks for the driveway: %v", err)
	}
	for who, c := range map[string]*member.Client{"Bob": bob.client, "Cem": cem.client} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		frames := 0
		err := c.Live(ctx, member.LiveRequest{Camera: "porch"}, func(member.Media) error {
			if frames++; frames == 30 {
				cancel()
			}
			return nil
		})
		if frames < 30 {
			t.Errorf("%s sees %d frames live, then %v", who, frames, err)
		}
		cancel()
	}
}

func storyHistory(t *testing.T, bob, cem arrival, past member.Span) {
	report, err := export(t, bob.client, "porch", past)
	if err != nil || len(report.Gaps) != 0 || report.AudioParts == 0 {
		t.Errorf("Bob was given the past: %v, gaps %v, %d parts of sound", err, report.Gaps, report.AudioParts)
	}
	own := recorded(t, cem.client, "porch", 5*time.Second) // an epoch may begin between two key frames
	tl, err := cem.client.Timeline(t.Context(), "porch", member.Span{From: past.From, To: own.To})
	if err != nil {
		t.Fatal(err)
	}
	if alarms(tl.Gaps) != 0 || len(tl.Ranges) == 0 || len(tl.Gaps) == 0 || tl.Gaps[0].Why != "not-shared" || tl.Gaps[0].From.After(past.From) {
		t.Errorf("Cem's timeline: ranges %v, gaps %v", tl.Ranges, tl.Gaps)
	}
	if _, err := export(t, cem.client, "porch", past); !errors.Is(err, latchkey.ErrNotFound) {
		t.Errorf("Cem exports the past: %v", err)
	}
	report, err = export(t, cem.client, "porch", own)
	if err != nil || alarms(report.Gaps) != 0 || report.AudioParts != 0 {
		t.Errorf("Cem exports his own time: %v, gaps %v, %d parts of sound", err, report.Gaps, report.AudioParts)
	}
}

func storyChange(t *testing.T, d *demo, cem arrival) {
	both := member.RightsByName{Cameras: []string{"porch", "driveway"}}
	role := "member"
	if _, err := cem.client.ChangeMember(t.Context(), "Cem", member.MemberChange{Role: &role}); !errors.Is(err, latchkey.ErrRefused) {
		t.Errorf("Cem promotes himself: %v", err)
	}
	p, err := d.client.ChangeMember(t.Context(), "cem", member.MemberChange{Role: &role, Rights: &both})
	if err != nil || p.Role != "member" || len(p.Rights.Cameras) != 2 || !p.Rights.Cameras[0].Sound {
		t.Fatalf("%+v, %v", p, err)
	}
	eventually(t, "Cem sees the driveway too", func() bool {
		return slices.Equal(cameraNames(t, cem.client), []string{"driveway", "porch"})
	})
	span := recorded(t, cem.client, "driveway", 5*time.Second)
	if report, err := export(t, cem.client, "driveway", span); err != nil || alarms(report.Gaps) != 0 {
		t.Errorf("export: %v, gaps %v", err, report.Gaps)
	}
	viewer := "viewer"
	if _, err := d.client.ChangeMember(t.Context(), "Ann", member.MemberChange{Role: &viewer}); !errors.Is(err, latchkey.ErrRefused) {
		t.Errorf("the last admin steps down: %v", err)
	}
	if err := d.client.RenameMember(t.Context(), "Cem", "Uncle Cem"); err != nil {
		t.Fatal(err)
	}
	if h, err := cem.client.Household(t.Context()); err != nil || h.Me.Name != "Uncle Cem" {
		t.Errorf("Cem is called %q: %v", h.Me.Name, err)
	}
}

// storyRotate: a code that was used makes way for a new one.
func storyRotate(t *testing.T, d *demo, bob *arrival) {
	phone, err := member.Recover(t.Context(), member.Options{Home: filepath.Join(t.TempDir(), "phone"), Device: "Bob's phone"},
		member.Recovery{Server: d.server, Code: bob.code})
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	for who, c := range map[string]*member.Client{"phone": phone, "first": bob.client} {
		if h, err := c.Household(t.Context()); err != nil || !h.CodeUsed {
			t.Errorf("%s does not say that the code was used: %v", who, err)
		}
	}
	old := bob.code
	if err := phone.NewCode(t.Context(), func(string) error { return errors.New("no pen") }); err == nil {
		t.Error("a code that nobody saw was taken")
	}
	if err := phone.NewCode(t.Context(), func(code string) error { bob.code = code; return nil }); err != nil {
		t.Fatal(err)
	}
	if h, err := bob.client.Household(t.Context()); err != nil || h.CodeUsed {
		t.Errorf("the new code is not known on the other device: %v", err)
	}
	opts := member.Options{Home: filepath.Join(t.TempDir(), "old")}
	if _, err := member.Recover(t.Context(), opts, member.Recovery{Server: d.server, Code: old}); err == nil {
		t.Error("the old code still opens")
	}
	third := recoverAt(t, filepath.Join(t.TempDir(), "third"), d.server, bob.code)
	if h, err := third.Household(t.Context()); err != nil || h.CodeUsed {
		t.Errorf("a code that was kept counts as used: %v", err)
	}
}

// storyKeys: a lost device has keys that open nothing new; old footage stays.
func storyKeys(t *testing.T, d *demo, bob *arrival, past member.Span) {
	lost := recoverAt(t, filepath.Join(t.TempDir(), "lost"), d.server, bob.code)
	if _, err := lost.Household(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := bob.code
	next, err := bob.client.NewKeys(t.Context(), func(code string) error { bob.code = code; return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(next.Close)
	bob.client = next
	h, err := next.Household(t.Context())
	if err != nil || h.Me.Kid == bob.person.Kid || h.Me.Name != "Bob" || h.Me.Role != "member" {
		t.Fatalf("after new keys: %+v, %v", h.Me, err)
	}
	if _, err := lost.Household(t.Context()); !errors.Is(err, latchkey.ErrRefused) && !errors.Is(err, latchkey.ErrUnauthenticated) {
		t.Errorf("the lost device is served: %v", err)
	}
	if _, err := member.Recover(t.Context(), member.Options{Home: t.TempDir()}, member.Recovery{Server: d.server, Code: old}); err == nil {
		t.Error("the old code still opens")
	}
	if report, err := export(t, next, "porch", past); err != nil || len(report.Gaps) != 0 {
		t.Errorf("the past under the old keys: %v, gaps %v", err, report.Gaps)
	}
	begin := time.Now()
	eventually(t, "footage under the new keys", func() bool {
		tl, err := next.Timeline(t.Context(), "porch", member.Span{From: begin, To: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		return len(tl.Ranges) > 0 && tl.Ranges[len(tl.Ranges)-1].To.Sub(begin) > 3*time.Second
	})
	again := recoverAt(t, filepath.Join(t.TempDir(), "again"), d.server, bob.code)
	if report, err := export(t, again, "porch", past); err != nil || len(report.Gaps) != 0 {
		t.Errorf("the past from the new code: %v, gaps %v", err, report.Gaps)
	}
	if hh, err := d.client.Household(t.Context()); err != nil || !slices.Contains(names(hh), "Bob member") {
		t.Errorf("Ann sees %v: %v", names(hh), err)
	}
}

func storyDevices(t *testing.T, d *demo, bob arrival) {
	tablet, err := member.Recover(t.Context(), member.Options{Home: filepath.Join(t.TempDir(), "tablet"), Device: "tablet\x1b[2J"},
		member.Recovery{Server: d.server, Code: bob.code, Keep: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tablet.Close()
	list, err := bob.client.Devices(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(d member.Device) bool { return d.Label == "tablet[2J" })
	if i < 0 || list[i].Current || list[i].How != "recovery" {
		t.Fatalf("devices: %+v", list)
	}
	if _, err := bob.client.EndDevice(t.Context(), list[i].ID[:8]); err != nil {
		t.Fatal(err)
	}
	if _, err := tablet.Household(t.Context()); !errors.Is(err, member.ErrDeviceEnded) {
		t.Errorf("the tablet is told %v", err)
	}
	if n, err := bob.client.EndOtherDevices(t.Context()); err != nil || n != len(list)-2 {
		t.Errorf("%d others ended of %d: %v", n, len(list)-2, err)
	}
	if list, err = bob.client.Devices(t.Context()); err != nil || len(list) != 1 || !list[0].Current {
		t.Errorf("devices: %+v, %v", list, err)
	}
}

func storyRemove(t *testing.T, d *demo, cem arrival) {
	last := recorded(t, cem.client, "porch", 2*time.Second)
	report, err := d.client.RemoveMember(t.Context(), "Uncle Cem")
	if err != nil || report.Server != nil || report.Name != "Uncle Cem" || len(report.Hubs) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	if _, err := cem.client.Household(t.Context()); !errors.Is(err, latchkey.ErrUnauthenticated) && !errors.Is(err, latchkey.ErrRefused) {
		t.Errorf("Cem is served: %v", err)
	}
	if _, err := export(t, cem.client, "porch", last); err == nil {
		t.Error("Cem exports")
	}
	h, err := d.client.Household(t.Context())
	if err != nil || !slices.Equal(names(h), []string{"Ann admin", "Bob member"}) {
		t.Errorf("members: %v, %v", names(h), err)
	}
	if _, err := d.client.RemoveMember(t.Context(), "Ann"); !errors.Is(err, latchkey.ErrRefused) {
		t.Errorf("Ann removes herself: %v", err)
	}
	if _, err := d.client.RemoveMember(t.Context(), "Cem"); !errors.Is(err, latchkey.ErrNotFound) {
		t.Errorf("Cem is removed again: %v", err)
	}
}
