package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/part"
)

type givenCamera struct {
	Name    string
	Granted []struct{ From, To time.Time }
}

func camerasOf(t *testing.T, home string) []givenCamera {
	t.Helper()
	var list struct{ Cameras []givenCamera }
	if code, words := types(t, home, &list, "camera", "list", "--json"); code != exitDone {
		t.Fatalf("exit %d\n%s", code, words)
	}
	return list.Cameras
}

type madeGrant struct {
	ID, State, Grantee string
	Standing           bool
	From, To, Until    time.Time
	Cameras            []string
}

// TestStanding: a guest who may see one camera is given a stretch of another that
// begins before he has it and ends in the future; then one without end in sight,
// which is ended.
func TestStanding(t *testing.T) {
	if testing.Short() {
		t.Skip("records for a minute")
	}
	d := startDemo(t)
	past := recorded(t, d.client, "porch", 6*time.Second)
	between := newLiar(t, d.server)
	cem := join(t, d.client, between.URL, member.NewMember{Name: "Cem", Role: "viewer", Rights: member.RightsByName{Cameras: []string{"driveway"}}}, "Cem")
	knows(t, cem.client, "driveway") // the epoch that his joining begins runs
	a := past.To.Add(-3 * time.Second).Truncate(time.Second)
	b := time.Now().Add(25 * time.Second).Truncate(time.Second)
	var made madeGrant
	code, words := types(t, d.home, &made, "grant", "porch", "--to", "member:Cem", "--from", stamp(a), "--to", stamp(b), "--sound", "--json")
	if code != exitDone || !made.Standing || made.State != "active" || !made.From.Equal(a) || !made.To.Equal(b) || !made.Until.Equal(b.Add(30*24*time.Hour)) {
		t.Fatalf("exit %d: %+v\n%s", code, made, words)
	}
	if code, words := types(t, d.home, nil, "grants"); code != exitDone || !strings.Contains(words, "as it is recorded") || !strings.Contains(words, "porch with sound") {
		t.Errorf("exit %d\n%s", code, words)
	}
	eventually(t, "Cem has both cameras in his list", func() bool { return slices.Equal(cameraNames(t, cem.client), []string{"driveway", "porch"}) })
	cem.client.Close()
	cams := camerasOf(t, cem.home)
	i := slices.IndexFunc(cams, func(c givenCamera) bool { return c.Name == "porch" })
	if len(cams) != 2 || i < 0 || len(cams[i].Granted) != 1 || !cams[i].Granted[0].From.Equal(a) || !cams[i].Granted[0].To.Equal(b) || len(cams[1-i].Granted) != 0 {
		t.Fatalf("Cem's cameras: %+v", cams)
	}
	if code, words := types(t, cem.home, nil, "camera", "list"); code != exitDone || !strings.Contains(words, "porch was given to you: "+stamp(a)+" – "+stamp(b)) {
		t.Errorf("exit %d\n%s", code, words)
	}
	guest, err := member.Open(member.Options{Home: cem.home})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guest.Close)
	t.Run("live", func(t *testing.T) { seesLive(t, guest, "porch") })
	t.Run("borders", func(t *testing.T) { standingBorders(t, d, guest, member.Span{From: a, To: b}) })
	t.Run("lies", func(t *testing.T) { standingLies(t, between, guest, cem.home, member.Span{From: a, To: b}) })
	t.Run("revoke", func(t *testing.T) { standingRevoked(t, d, guest) })
	t.Run("refused", func(t *testing.T) { standingRefused(t, d, made) })
	t.Run("fsck", func(t *testing.T) { storyFsck(t, d) })
}

// standingBorders: he has every second of the stretch, of the past, the running
// epoch and those after it, and none before and behind.
func standingBorders(t *testing.T, d *demo, guest *member.Client, span member.Span) {
	around := member.Span{From: span.From.Add(-4 * time.Second), To: span.To.Add(4 * time.Second)}
	eventually(t, "the time after the stretch is recorded", func() bool {
		tl, err := d.client.Timeline(t.Context(), "porch", around)
		if err != nil {
			t.Fatal(err)
		}
		return len(tl.Ranges) > 0 && !tl.Ranges[len(tl.Ranges)-1].To.Before(around.To) && tl.CompleteUntil.After(around.To)
	})
	tl, err := guest.Timeline(t.Context(), "porch", around)
	if err != nil {
		t.Fatal(err)
	}
	if alarms(tl.Gaps) != 0 || len(tl.Ranges) == 0 || !tl.Ranges[0].From.Equal(span.From) || !tl.Ranges[len(tl.Ranges)-1].To.Equal(span.To) {
		t.Errorf("given %v: ranges %v, gaps %+v", span, tl.Ranges, tl.Gaps)
	}
	report, err := export(t, guest, "porch", span)
	// An epoch that begins between a grant and its proof is not his: docs/sharing.md, "Limits".
	between := func(g member.Gap) bool { return g.Why == "not-shared" && !g.Alarm && g.To.Sub(g.From) <= 3*time.Second }
	if err != nil || slices.ContainsFunc(report.Gaps, func(g member.Gap) bool { return !between(g) }) || report.AudioParts == 0 {
		t.Errorf("all of it: %v, gaps %+v, %d parts of sound", err, report.Gaps, report.AudioParts)
	}
	for name, c := range map[string]struct {
		from time.Time
		ok   bool
	}{
		"a-1": {span.From.Add(-time.Second), false}, "a": {span.From, true},
		"b-1": {span.To.Add(-time.Second), true}, "b": {span.To, false},
	} {
		tl, err := guest.Timeline(t.Context(), "porch", member.Span{From: c.from, To: c.from.Add(time.Second)})
		if err != nil || (len(tl.Ranges) > 0) != c.ok {
			t.Errorf("%s: %v, %v", name, tl.Ranges, err)
		}
	}
	if _, err := export(t, guest, "porch", member.Span{From: around.From, To: span.From}); !errors.Is(err, latchkey.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	// What is exported begins with a whole picture, which may lie before; the last
	// frame of the second before b may be seen a little longer.
	report, err = export(t, guest, "porch", member.Span{From: span.To, To: around.To})
	if err == nil && report.To.Sub(span.To) > 200*time.Millisecond {
		t.Errorf("behind: %s – %s", report.From, report.To)
	}
}

// standingLies: of the time that was given a server keeps nothing back unseen.
func standingLies(t *testing.T, l *liar, guest *member.Client, home string, given member.Span) {
	video := videoTrack(t, guest, "porch")
	inside := member.Span{From: given.From.Add(6 * time.Second), To: given.To.Add(-6 * time.Second)}
	epochs := func(change func(*latchkeyv1.EpochInfo) bool) map[string]func([]byte) proto.Message {
		filter := func(list []*latchkeyv1.EpochInfo) []*latchkeyv1.EpochInfo {
			return slices.DeleteFunc(list, func(e *latchkeyv1.EpochInfo) bool { return !change(e) })
		}
		return map[string]func([]byte) proto.Message{
			"ListEpochs": func(body []byte) proto.Message {
				m := decode(body, &latchkeyv1.ListEpochsResponse{})
				m.Epochs = filter(m.Epochs)
				return m
			},
			"GetEpochs": func(body []byte) proto.Message {
				m := decode(body, &latchkeyv1.ListEpochsResponse{})
				m.Epochs = filter(m.Epochs)
				return m
			},
		}
	}
	parts := func(change func([]part.Part) []part.Part) func(string, []part.Part) ([]part.Part, bool) {
		return func(track string, list []part.Part) ([]part.Part, bool) {
			if track != video {
				return list, true
			}
			return change(list), true
		}
	}
	for name, what := range map[string]lie{
		"all of it": {footage: func(track string, list []part.Part) ([]part.Part, bool) {
			return slices.DeleteFunc(list, func(part.Part) bool { return track == video }), track != video
		}},
		"a part in the middle":   {footage: parts(func(list []part.Part) []part.Part { return slices.Delete(list, len(list)/2, len(list)/2+1) })},
		"a bit of the last part": {footage: parts(func(list []part.Part) []part.Part { list[len(list)-1].Raw[200] ^= 1; return list })},
		"his capsules":           {answer: epochs(func(e *latchkeyv1.EpochInfo) bool { e.Capsule = nil; return true })},
		"the epochs":             {answer: epochs(func(*latchkeyv1.EpochInfo) bool { return false })},
		"seals of the others":    {answer: epochs(func(e *latchkeyv1.EpochInfo) bool { e.Seals = e.Seals[:1]; return true })},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := member.Open(member.Options{Home: home})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if r, err := export(t, c, "porch", inside); err != nil || alarms(r.Gaps) != 0 {
				t.Fatalf("honest: %v, %+v", err, r.Gaps)
			}
			again, err := member.Open(member.Options{Home: home})
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			l.tell(t, what)
			r, err := export(t, again, "porch", inside)
			if !errors.Is(err, latchkey.ErrVerify) && alarms(r.Gaps) == 0 {
				t.Errorf("nothing is found: %v, %+v", err, r.Gaps)
			}
		})
	}
}

// standingRevoked: what is ended opens nothing of the time after the hub's next
// epoch, and the camera leaves his list.
func standingRevoked(t *testing.T, d *demo, guest *member.Client) {
	now := time.Now()
	g, err := d.client.Give(t.Context(), member.GiveRequest{Cameras: []string{"driveway"}, To: "Cem", Span: member.Span{From: now, To: now.Add(time.Hour)}}, func(member.GrantStep) {})
	if !errors.Is(err, latchkey.ErrInvalid) || !strings.Contains(err.Error(), "anyway") {
		t.Fatalf("what is his by right: %+v, %v", g, err)
	}
	g, err = d.client.Give(t.Context(), member.GiveRequest{Cameras: []string{"porch"}, To: "Cem", Span: member.Span{From: now, To: now.Add(72 * time.Hour)}, For: 73 * time.Hour}, func(member.GrantStep) {})
	if err != nil || !g.Standing || g.Until.Sub(now).Round(time.Hour) != 73*time.Hour {
		t.Fatalf("%+v, %v", g, err)
	}
	seesLive(t, guest, "porch")
	if code, words := types(t, d.home, nil, "revoke", g.ID.String()[:8]); code != exitDone {
		t.Fatalf("exit %d\n%s", code, words)
	}
	end := time.Now()
	first, err := d.client.RevokeGrant(t.Context(), d.standingOf(t, g.ID).String())
	if err != nil || first.State != member.GrantRevoked {
		t.Fatalf("%+v, %v", first, err)
	}
	if got := cameraNames(t, guest); !slices.Equal(got, []string{"driveway"}) {
		t.Errorf("after the end he sees %v", got)
	}
	if _, err := guest.Timeline(t.Context(), "porch", member.Span{From: now, To: end}); !errors.Is(err, latchkey.ErrNotFound) {
		t.Errorf("the timeline after the end: %v", err)
	}
}

// standingOf is the other standing grant of the household that is in force.
func (d *demo) standingOf(t *testing.T, but latchkey.GrantID) latchkey.GrantID {
	t.Helper()
	all, err := d.client.Grants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(g member.GrantInfo) bool { return g.Standing && g.ID != but && g.State == member.GrantActive })
	if i < 0 {
		t.Fatalf("no other standing grant: %+v", all)
	}
	return all[i].ID
}

func standingRefused(t *testing.T, d *demo, made madeGrant) {
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"the past of what is not his":  {[]string{"--from", stamp(made.From), "--to", "now"}, exitRefused, "may not see this camera"},
		"served shorter than it films": {[]string{"--from", "now", "--to", "+3h", "--for", "2h"}, exitUsage, "goes on until"},
		"no length":                    {[]string{"--from", "+2h", "--to", "+1h"}, exitUsage, "empty"},
	} {
		code, words := types(t, d.home, nil, append([]string{"grant", "porch", "--to", "member:Cem"}, c.args...)...)
		if code != c.code || !strings.Contains(words, c.says) {
			t.Errorf("%s: exit %d, want %d, with %q\n%s", name, code, c.code, c.says, words)
		}
	}
}

// seesLive waits until a member sees a camera live.
func seesLive(t *testing.T, c *member.Client, camera string) {
	t.Helper()
	eventually(t, camera+" is there", func() bool { return slices.Contains(cameraNames(t, c), camera) })
	frames, enough := 0, errors.New("enough")
	err := c.Live(t.Context(), member.LiveRequest{Camera: camera}, func(member.Media) error {
		if frames++; frames == 20 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("%d frames of %s, then %v", frames, camera, err)
	}
}
