package hub

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/uplink/uplinktest"
)

// TestCommandTable is claim C25: the hub carries out no stale, replayed, forged
// or under-privileged command.
func TestCommandTable(t *testing.T) {
	w := newHouse(t)
	identity := keys.NewIdentity()
	w.append(chain.AddHub{Head: w.head(), Ed: identity.Signing.Public(), X: identity.Sealing.Public()})
	people := map[chain.Role]*keys.Signing{chain.RoleAdmin: w.sign}
	for _, role := range []chain.Role{chain.RoleMember, chain.RoleViewer} {
		k := keys.NewSigning()
		people[role] = k
		w.append(chain.AddMember{
			Head: w.head(), Ed: k.Public(), X: keys.NewSealing().Public(), Recovery: keys.NewSigning().Public(), Role: role, AllTracks: true,
		})
	}
	gone := keys.NewSigning()
	w.append(chain.AddMember{
		Head: w.head(), Ed: gone.Public(), X: keys.NewSealing().Public(), Recovery: keys.NewSigning().Public(), Role: chain.RoleAdmin, AllTracks: true,
	})
	w.append(chain.Unmember{Head: w.head(), Kid: gone.Kid()})
	hub, now := identity.Signing.Kid(), time.Unix(time.Now().Unix(), 0)
	boot := now.Add(-time.Hour)
	valid := chain.Command{
		Household: w.state.Household, Hub: hub, By: w.sign.Kid(), Time: now.Unix(), Op: "epoch", Args: []byte("{}"),
	}
	type change func(*chain.Command)
	at := func(d time.Duration) change { return func(c *chain.Command) { c.Time = now.Add(d).Unix() } }
	as := func(role chain.Role, op string) change {
		return func(c *chain.Command) { c.By, c.Op = people[role].Kid(), op }
	}
	stranger := keys.NewSigning()
	for _, tc := range []struct {
		name   string
		change change
		sign   chain.Signer // nil: whom the command names
		ok     bool
	}{
		{name: "an admin's", ok: true},
		{name: "59 s old", change: at(-59 * time.Second), ok: true},
		{name: "60 s old", change: at(-60 * time.Second), ok: true},
		{name: "61 s old", change: at(-61 * time.Second)},
		{name: "60 s ahead", change: at(60 * time.Second), ok: true},
		{name: "61 s ahead", change: at(61 * time.Second)},
		{name: "of another household", change: func(c *chain.Command) { c.Household[0] ^= 1 }},
		{name: "for another hub", change: func(c *chain.Command) { c.Hub[0] ^= 1 }},
		{name: "by a stranger", change: func(c *chain.Command) { c.By = stranger.Kid() }, sign: stranger},
		{name: "by the hub itself", change: func(c *chain.Command) { c.By = hub }, sign: identity.Signing},
		{name: "in an admin's name, signed by a viewer", sign: people[chain.RoleViewer]},
		{name: "unknown operation", change: func(c *chain.Command) { c.Op = "open-door" }},
		{name: "member adds a camera", change: as(chain.RoleMember, "camera")},
		{name: "member removes a camera", change: as(chain.RoleMember, "camera-remove")},
		{name: "member asks for an epoch", change: as(chain.RoleMember, "epoch")},
		{name: "member starts an event", change: as(chain.RoleMember, "event-start"), ok: true},
		{name: "member brings a policy", change: as(chain.RoleMember, "policy")},
		{name: "viewer starts an event", change: as(chain.RoleViewer, "event-start")},
		{name: "viewer adds a camera", change: as(chain.RoleViewer, "camera")},
		{name: "viewer removes a camera", change: as(chain.RoleViewer, "camera-remove")},
		{name: "viewer asks for an epoch", change: as(chain.RoleViewer, "epoch")},
		{name: "a removed admin's", change: func(c *chain.Command) { c.By = gone.Kid() }, sign: gone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGuard(w.state.Household, hub, boot, true)
			c := valid
			c.Nonce = random16()
			if tc.change != nil {
				tc.change(&c)
			}
			signer := tc.sign
			for _, p := range people {
				if signer == nil && p.Kid() == c.By {
					signer = p
				}
			}
			text, err := c.Text()
			if err != nil {
				t.Fatal(err)
			}
			note := chain.SignNote(text, signer)
			_, err = g.admit(note, w.state, now)
			if ok := err == nil; ok != tc.ok {
				t.Fatalf("admitted %v: %v", ok, err)
			}
			if err != nil && !errors.Is(err, latchkey.ErrRefused) {
				t.Errorf("not a refusal: %v", err)
			}
			if _, err := g.admit(note, w.state, now); err == nil {
				t.Error("the same command was taken twice")
			}
		})
	}
}

// TestCommandsOfAnEarlierRun restarts inside the 60 s window.
func TestCommandsOfAnEarlierRun(t *testing.T) {
	w := newHouse(t)
	identity := keys.NewIdentity()
	w.append(chain.AddHub{Head: w.head(), Ed: identity.Signing.Public(), X: identity.Sealing.Public()})
	now := time.Unix(time.Now().Unix(), 500_000_000)
	note := func(at time.Time) []byte {
		text, err := chain.Command{
			Household: w.state.Household, Hub: identity.Signing.Kid(), By: w.sign.Kid(), Time: at.Unix(), Nonce: random16(), Op: "epoch", Args: []byte("{}"),
		}.Text()
		if err != nil {
			t.Fatal(err)
		}
		return chain.SignNote(text, w.sign)
	}
	for _, tc := range []struct {
		name      string
		at        time.Time
		ranBefore bool
		ok        bool
	}{
		{"from before the restart", now.Add(-10 * time.Second), true, false},
		{"from the second of the restart", now, true, false},
		{"from the second after it", now.Add(time.Second), true, true},
		{"from the second of the very first start", now, false, true},
		{"from before the very first start", now.Add(-10 * time.Second), false, false},
	} {
		g := newGuard(w.state.Household, identity.Signing.Kid(), now, tc.ranBefore)
		if _, err := g.admit(note(tc.at), w.state, now.Add(2*time.Second)); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestCommandsOverTheWire(t *testing.T) {
	w := newHouse(t)
	sim := simulate(t)
	w.start()
	c := w.camera("Porch", sim.URL("porch"), "", modeContinuous)
	bad := func(change func(*cameraCfg)) cameraCfg {
		b := c.cfg
		b.Tracks = map[latchkey.TrackKind]string{}
		for k, v := range c.cfg.Tracks {
			b.Tracks[k] = v
		}
		change(&b)
		return b
	}
	undeclared := latchkey.TrackID(random16()).String()
	for _, tc := range []struct {
		name string
		op   string
		args any
		want latchkeyv1.CommandResult
	}{
		{"no such member of the object", "epoch", map[string]int{"x": 1}, refused},
		{"not an object", "camera", 7, refused},
		{"not a camera's address", "camera", bad(func(c *cameraCfg) { c.URL = "file:///etc/passwd" }), refused},
		{"no such mode", "camera", bad(func(c *cameraCfg) { c.Mode = "sometimes" }), refused},
		{"no meta track", "camera", bad(func(c *cameraCfg) { delete(c.Tracks, latchkey.KindMeta) }), refused},
		{"a track that the chain does not declare", "camera", bad(func(c *cameraCfg) { c.Tracks[latchkey.KindAudio] = undeclared }), failed},
		{"a track of another kind", "camera", bad(func(c *cameraCfg) {
			c.Tracks[latchkey.KindAudio], c.Tracks[latchkey.KindVideoSub] = c.Tracks[latchkey.KindVideoSub], c.Tracks[latchkey.KindAudio]
		}), failed},
		{"an event of no camera", "event-start", map[string]any{"camera": c.id.String(), "label": "manual", "seconds": 3}, failed},
		{"a camera", "camera", c.cfg, done},
		{"the same camera", "camera", c.cfg, done},
		{"an event", "event-start", map[string]any{"camera": c.id.String(), "label": "manual", "seconds": 3}, done},
		{"an endless event", "event-start", map[string]any{"camera": c.id.String(), "label": "manual", "seconds": 1 << 30}, refused},
		{"its removal", "camera-remove", map[string]any{"camera": c.id.String()}, done},
		{"its removal again", "camera-remove", map[string]any{"camera": c.id.String()}, done},
	} {
		if got := w.command(tc.op, tc.args); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
	args, err := json.Marshal(map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := chain.Command{
		Household: w.state.Household, Hub: w.hub, By: w.sign.Kid(), Time: time.Now().Unix(), Nonce: random16(), Op: "epoch", Args: args,
	}
	sealed := w.sealed(cmd, w.sign)
	for i, want := range []latchkeyv1.CommandResult{done, refused} {
		if got := w.cloud.Command(sealed); got != want {
			t.Errorf("sent the %d. time: %v, want %v", i+1, got, want)
		}
	}
	sealed[len(sealed)-1] ^= 1
	if got := w.cloud.Command(sealed); got != refused {
		t.Errorf("changed on the way: %v", got)
	}
}

// TestRightsByTrack: whoever may not see a camera's picture starts no event of
// it, whatever else of it he may see. Each change of what he may see begins an
// epoch that is sealed accordingly.
func TestRightsByTrack(t *testing.T) {
	w := newHouse(t)
	bob, eve := newPerson(), newPerson()
	w.admit(eve, chain.RoleViewer)
	w.start()
	porch := w.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff)
	garage := w.camera("Garage", "rtsp://127.0.0.1:1/none", "", modeOff)
	w.add(porch)
	w.add(garage)
	pv, pm, gv, ga := porch.tracks[latchkey.KindVideo], porch.tracks[latchkey.KindMeta], garage.tracks[latchkey.KindVideo], garage.tracks[latchkey.KindAudio]
	for _, tc := range []struct {
		name          string
		role          chain.Role
		tracks        []latchkey.TrackID // nil: all
		porch, garage latchkeyv1.CommandResult
	}{
		{"the porch's picture and records", chain.RoleMember, []latchkey.TrackID{pv, pm}, done, refused},
		{"of the garage the sound only", chain.RoleMember, []latchkey.TrackID{pv, pm, ga}, done, refused},
		{"both pictures", chain.RoleMember, []latchkey.TrackID{pv, gv}, done, done},
		{"the garage only", chain.RoleMember, []latchkey.TrackID{gv}, refused, done},
		{"everything", chain.RoleMember, nil, done, done},
		{"everything, to look at", chain.RoleViewer, nil, refused, refused},
		{"nothing", chain.RoleMember, []latchkey.TrackID{}, refused, refused},
		{"nothing, as an admin", chain.RoleAdmin, []latchkey.TrackID{}, refused, refused},
	} {
		roleOnly := tc.role != chain.RoleMember
		w.admit(bob, tc.role, tc.tracks...)
		var e uplinktest.Epoch
		w.wait(tc.name+": an epoch", func() bool {
			for _, e = range w.cloud.Epochs() { // the newest is the last
			}
			heads, _ := w.cloud.Heads(e.Note.Epoch)
			return e.Note.ChainSeq == w.state.Seq || roleOnly && heads.ChainSeq == w.state.Seq
		})
		if got := w.tracksOf(e, bob.box); !roleOnly && !sameTracks(got, tc.tracks, e.Note) {
			t.Errorf("%s: the epoch is sealed to him for %v", tc.name, got)
		}
		for c, want := range map[*cam]latchkeyv1.CommandResult{&porch: tc.porch, &garage: tc.garage} {
			if got := w.bobCommands(bob, *c); got != want {
				t.Errorf("%s: an event of %s: %v, want %v", tc.name, c.cfg.Name, got, want)
			}
		}
		if got := w.bobCommands(eve, porch); got != refused {
			t.Errorf("%s: and an event by a viewer: %v", tc.name, got)
		}
	}
}

// tracksOf opens a person's capsule and returns what it is for; nil for none.
func (w *house) tracksOf(e uplinktest.Epoch, box *keys.Sealing) []latchkey.TrackID {
	w.t.Helper()
	at, err := chain.Replay(w.notes[:e.Note.ChainSeq+1], time.Now().Unix())
	if err != nil {
		w.t.Fatal(err)
	}
	m := seal.EpochMaterial{Note: e.Raw.GetNote(), Chain: at}
	for i, s := range e.Raw.GetSeals() {
		l := chain.SealLine{Kid: latchkey.Kid(s.GetKid()), Hash: latchkey.Hash(s.GetHash())}
		m.Seals = append(m.Seals, l)
		if l.Kid == box.Kid() {
			m.Capsule = e.Raw.GetCapsules()[i].GetCapsule()
		}
	}
	if m.Capsule == nil {
		return nil
	}
	o := seal.NewOpener(w.state.Household)
	defer o.Close()
	got, err := o.AddEpoch(m, []*keys.Sealing{box})
	if err != nil || got.Stray > 0 {
		w.t.Fatalf("epoch %d: %d stray entries, %v", e.Note.N, got.Stray, err)
	}
	return got.Tracks
}

// sameTracks compares what a capsule is for with what it should be; nil is all.
func sameTracks(got, want []latchkey.TrackID, note chain.EpochNote) bool {
	if want == nil {
		return len(got) == len(note.Tracks)
	}
	for _, t := range want {
		if !slices.Contains(got, t) {
			return false
		}
	}
	return len(got) == len(want)
}
