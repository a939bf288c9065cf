package hub

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/internal/home/internal/seal"
	"latchkey.dev/latchkey/internal/home/uplink/uplinktest"
	"latchkey.dev/latchkey/ledger"
)

const (
	wasReleased = latchkeyv1.OpeningResult_OPENING_RESULT_RELEASED
	wasRefused  = latchkeyv1.OpeningResult_OPENING_RESULT_REFUSED
)

// clerk is somebody of the operator's staff.
type clerk struct {
	keys.Identity
	staff       ledger.Staff
	note, proof []byte
}

func (w *house) clerk(id string) *clerk {
	c := &clerk{Identity: keys.NewIdentity()}
	now := time.Now().Unix()
	c.staff = ledger.Staff{ID: id, Role: ledger.RoleSupport, Ed: c.Signing.Public(), X: c.Sealing.Public(), Trained: now - 100, From: now - 100, Until: now + 3600}
	c.note, c.proof = w.cloud.Log.Staff(c.staff)
	return c
}

// desk is a household that lets somebody of staff see a stretch of its porch.
type desk struct {
	*house
	porch   cam
	epoch   uplinktest.Epoch
	agent   *clerk
	grant   chain.AddGrant
	capsule []byte
	mask    []byte
	masked  *seal.Masked
	opener  *seal.Opener
	entries []chain.Entry
	access  uint64 // the statement that names them
}

// grantTo lets somebody see the meta track, which a camera that is off has too.
func (d *desk) grantTo(c *clerk, change func(*chain.AddGrant)) (chain.AddGrant, []byte, []byte) {
	d.t.Helper()
	track, start := d.porch.tracks[latchkey.KindMeta], d.epoch.Note.Start
	g := chain.AddGrant{
		Head: d.head(), Grant: latchkey.GrantID(random16()), To: chain.KidOf(c.staff.X), Key: c.staff.X, Kind: chain.GrantStaff, Purpose: "support:7",
		Tracks: []chain.TrackRange{{Track: track, From: start, Until: start + 1000}}, Until: time.Now().Add(time.Hour).Unix(),
		Hubs: []string{chain.VKey("lk."+d.hub.String(), d.state.Hubs[d.hub].Ed)}, Release: d.hub,
	}
	mask := keys.NewMask()
	capsule, _, err := d.house.opener(d.epoch).SealMasked(seal.GrantParams{ID: g.Grant, To: c.staff.X, Ranges: g.Tracks}, mask)
	if err != nil {
		d.t.Fatal(err)
	}
	sealed, err := mask.Seal(d.state.Household, g.Grant, d.hubX)
	if err != nil {
		d.t.Fatal(err)
	}
	g.Capsule, g.Mask = chain.TextHash(capsule), chain.TextHash(sealed)
	change(&g)
	d.append(g)
	return g, capsule, sealed
}

// say writes an access statement, as the operator.
func (d *desk) say(g chain.AddGrant, entries ...chain.Entry) uint64 {
	d.t.Helper()
	h, op := d.head(), d.cloud.Log.Operator()
	h.By = chain.KidOf(op.Public())
	d.publish(d.signed(chain.Access{Head: h, Grant: g.Grant, Staff: g.To, Entries: entries}, op))
	return d.state.Seq
}

func newDesk(t *testing.T) *desk {
	d := &desk{house: newHouse(t)}
	d.start()
	d.porch = d.camera("Porch", "rtsp://127.0.0.1:1/none", "", modeOff)
	d.add(d.porch)
	d.wait("an epoch", func() bool { return len(d.cloud.Epochs()) > 0 })
	for _, d.epoch = range d.cloud.Epochs() { // the newest is the last
	}
	d.agent = d.clerk("sam")
	d.grant, d.capsule, d.mask = d.grantTo(d.agent, func(*chain.AddGrant) {})
	d.opener = seal.NewOpener(d.state.Household)
	t.Cleanup(d.opener.Close)
	var err error
	d.masked, err = d.opener.OpenMasked(d.grant.Grant, chain.Grant{To: d.grant.To, Kind: d.grant.Kind, Tracks: d.grant.Tracks, Capsule: d.grant.Capsule}, d.capsule, []*keys.Sealing{d.agent.Sealing})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.opener.AddGrantedEpoch(d.epoch.Raw.GetNote(), []ed25519.PublicKey{d.state.Hubs[d.hub].Ed}); err != nil {
		t.Fatal(err)
	}
	d.entries = d.masked.Within(d.opener, d.porch.tracks[latchkey.KindMeta], d.epoch.Note.Start, d.epoch.Note.Start+600)
	if len(d.entries) != 2 {
		t.Fatalf("%d entries for ten minutes", len(d.entries))
	}
	d.access = d.say(d.grant, d.entries[0])
	return d
}

// ask is a good request for the first entry.
func (d *desk) ask(change func(*chain.Opening)) *latchkeyv1.UplinkOpening {
	d.t.Helper()
	return d.askAs(d.agent, change)
}

func (d *desk) askAs(c *clerk, change func(*chain.Opening)) *latchkeyv1.UplinkOpening {
	d.t.Helper()
	n, err := chain.ParseNote(d.notes[d.access])
	if err != nil {
		d.t.Fatal(err)
	}
	o := chain.Opening{
		Household: d.state.Household, Grant: d.grant.Grant, By: c.Signing.Kid(), Time: time.Now().Unix(), Nonce: random16(), Access: n.Hash(), Entries: d.entries[:1],
	}
	change(&o)
	text, err := o.Text()
	if err != nil {
		d.t.Fatal(err)
	}
	return &latchkeyv1.UplinkOpening{
		Note: chain.SignNote(text, c.Signing), Staff: c.note, StaffProof: c.proof, Mask: d.mask, Seq: d.access, Proof: d.cloud.Log.Prove(d.access),
	}
}

// C31, C14: a hub gives the second key for what a logged statement of the chain
// names, to whom it was granted, while it is; and for nothing else. What it
// refuses it tells members.
func TestC31Release(t *testing.T) {
	d := newDesk(t)
	same := func(*chain.Opening) {}
	stream := uplinktest.Stream{Epoch: d.epoch.Note.Epoch, Track: d.porch.tracks[latchkey.KindMeta]}
	d.wait("a part", func() bool { return len(d.cloud.Run(stream)) > 0 })
	meta := d.cloud.Run(stream)
	if _, err := d.opener.OpenRun(meta[:1]); err == nil {
		t.Fatal("the capsule alone opens a part")
	}
	eve := d.clerk("eve")
	expired := d.clerk("old")
	expired.staff.From, expired.staff.Until, expired.staff.Trained = expired.staff.From-7200, expired.staff.From-60, 0
	expired.note, expired.proof = d.cloud.Log.Staff(expired.staff)
	impostor := d.clerk("sam")
	impostor.Identity, impostor.staff.Ed, impostor.staff.X = d.agent.Identity, d.agent.staff.Ed, d.agent.staff.X
	impostor.note, impostor.proof = d.cloud.Log.Impostor(d.agent.staff)
	over, _, overMask := d.grantTo(d.agent, func(g *chain.AddGrant) { g.Until = time.Now().Unix() + 1 })
	toEve, _, eveMask := d.grantTo(eve, func(*chain.AddGrant) {})
	saidOver := d.say(over, d.entries[0])
	saidEve := d.say(toEve, d.entries[0])
	time.Sleep(1100 * time.Millisecond)
	about := func(m *latchkeyv1.UplinkOpening, seq uint64, g chain.AddGrant, mask []byte, c *clerk) *latchkeyv1.UplinkOpening {
		n, err := chain.ParseNote(d.notes[seq])
		if err != nil {
			t.Fatal(err)
		}
		o := d.askAs(c, func(o *chain.Opening) { o.Grant, o.Access = g.Grant, n.Hash() })
		m.Note, m.Seq, m.Proof, m.Mask = o.Note, seq, d.cloud.Log.Prove(seq), mask
		return m
	}
	cases := map[string]*latchkeyv1.UplinkOpening{
		"signed by another": func() *latchkeyv1.UplinkOpening {
			m := d.askAs(eve, same)
			m.Staff, m.StaffProof = d.agent.note, d.agent.proof
			return m
		}(),
		"by staff it was not granted to":     d.askAs(eve, same),
		"by somebody whose week is over":     d.askAs(expired, same),
		"by staff that the operator signed":  d.askAs(impostor, same),
		"by staff without a proof":           func() *latchkeyv1.UplinkOpening { m := d.ask(same); m.StaffProof = nil; return m }(),
		"with the proof of another of staff": func() *latchkeyv1.UplinkOpening { m := d.ask(same); m.StaffProof = eve.proof; return m }(),
		"of another household":               d.ask(func(o *chain.Opening) { o.Household[0] ^= 1 }),
		"of no grant":                        d.ask(func(o *chain.Opening) { o.Grant[0] ^= 1 }),
		"of more than the chain says":        d.ask(func(o *chain.Opening) { o.Entries = d.entries }),
		"of something else than it says":     d.ask(func(o *chain.Opening) { o.Entries = d.entries[1:] }),
		"without a statement":                d.ask(func(o *chain.Opening) { o.Access[0] ^= 1 }),
		"with another statement of the chain": func() *latchkeyv1.UplinkOpening {
			n, err := chain.ParseNote(d.notes[d.grantSeq()])
			if err != nil {
				t.Fatal(err)
			}
			m := d.ask(func(o *chain.Opening) { o.Access = n.Hash() })
			m.Seq, m.Proof = d.grantSeq(), d.cloud.Log.Prove(d.grantSeq())
			return m
		}(),
		"with a statement that is not logged": func() *latchkeyv1.UplinkOpening { m := d.ask(same); m.Proof = nil; return m }(),
		"with the proof of another statement": func() *latchkeyv1.UplinkOpening { m := d.ask(same); m.Proof = d.cloud.Log.Prove(1); return m }(),
		"with a mask of nothing":              func() *latchkeyv1.UplinkOpening { m := d.ask(same); m.Mask = []byte("LKM1"); return m }(),
		"with another grant's mask":           func() *latchkeyv1.UplinkOpening { m := d.ask(same); m.Mask = eveMask; return m }(),
		"from an hour ago":                    d.ask(func(o *chain.Opening) { o.Time -= 3600 }),
		"from an hour ahead":                  d.ask(func(o *chain.Opening) { o.Time += 3600 }),
		"of a grant that is over":             about(&latchkeyv1.UplinkOpening{Staff: d.agent.note, StaffProof: d.agent.proof}, saidOver, over, overMask, d.agent),
		"of a grant to another":               about(&latchkeyv1.UplinkOpening{Staff: d.agent.note, StaffProof: d.agent.proof}, saidEve, toEve, eveMask, d.agent),
		"of nothing":                          {Staff: d.agent.note, StaffProof: d.agent.proof},
		"that is garbage":                     {Note: []byte("release it"), Staff: []byte{0}, StaffProof: []byte{1}, Mask: []byte{2}, Proof: []byte{3}, Seq: 1 << 60},
	}
	for name, m := range cases {
		if r := d.cloud.Opening(m); r.GetResult() != wasRefused || len(r.GetReleased()) > 0 {
			t.Errorf("a request %s: %v", name, r.GetResult())
		}
	}
	d.wait("members are told of what was refused", func() bool { return d.tells(d.porch, "Somebody asked to open footage and was refused") })

	good := d.ask(same)
	r := d.cloud.Opening(proto.Clone(good).(*latchkeyv1.UplinkOpening))
	if r.GetResult() != wasReleased {
		t.Fatalf("a good request: %v", r.GetResult())
	}
	if r := d.cloud.Opening(good); r.GetResult() != wasRefused {
		t.Errorf("the same request again: %v", r.GetResult())
	}
	if stray, err := d.masked.Unmask(d.opener, r.GetReleased()); stray != 0 || err != nil {
		t.Fatalf("%d stray, %v", stray, err)
	}
	if _, err := d.opener.OpenRun(meta); err != nil {
		t.Errorf("what was released does not open: %v", err)
	}

	before := len(d.cloud.Epochs())
	d.append(chain.Revoke{Head: d.head(), Grant: d.grant.Grant})
	if r := d.cloud.Opening(d.ask(same)); r.GetResult() != wasRefused {
		t.Errorf("after it was revoked: %v", r.GetResult())
	}
	// What was released reaches a little into the future: a new epoch ends that.
	d.wait("an epoch after the revocation", func() bool { return len(d.cloud.Epochs()) > before })
}

// grantSeq is the statement of the desk's grant.
func (d *desk) grantSeq() uint64 { return d.state.Grants[d.grant.Grant].Seq }

// C31: a grant by somebody whose admission no proof covers yet is not released;
// one that was ended on the home network is not, without the server.
// Another staff root counts once an admin has accepted the policy that names it: a
// server cannot bring one, and nobody can bring another operator.
func TestPolicyOfAnAdmin(t *testing.T) {
	d := newDesk(t)
	first := d.agent
	text := d.cloud.Log.NewRoot()
	second := *d.agent
	second.note, second.proof = d.cloud.Log.Staff(second.staff)
	ask := func(c *clerk) latchkeyv1.OpeningResult {
		return d.cloud.Opening(d.askAs(c, func(*chain.Opening) {})).GetResult()
	}
	if r := ask(&second); r != wasRefused {
		t.Errorf("staff of a root that only the server names: %v", r)
	}
	_, other, _ := strings.Cut(text, "\noperator ")
	_, stranger, err := note.GenerateKey(nil, "other.invalid")
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]string{
		"nothing": "", "another operator": strings.Replace(text, strings.Split(other, "\n")[0], stranger, 1),
	} {
		if r := d.command("policy", map[string]any{"policy": p}); r != refused {
			t.Errorf("a policy of %s: %v", name, r)
		}
	}
	if r := ask(&second); r != wasRefused {
		t.Errorf("staff of another root, after refused policies: %v", r)
	}
	if r := d.command("policy", map[string]any{"policy": text}); r != done {
		t.Fatalf("another policy: %v", r)
	}
	if r := ask(&second); r != wasReleased {
		t.Errorf("staff of the new root: %v", r)
	}
	if r := ask(first); r != wasRefused {
		t.Errorf("staff of the old root: %v", r)
	}
}

func TestC31ReleaseAddLate(t *testing.T) {
	d := newDesk(t)
	d.cloud.Log.Hold(true)
	mallory := newPerson()
	d.admit(mallory, chain.RoleAdmin)
	track, start := d.porch.tracks[latchkey.KindMeta], d.epoch.Note.Start
	mask := keys.NewMask()
	g := chain.AddGrant{
		Head: d.head(), Grant: latchkey.GrantID(random16()), To: chain.KidOf(d.agent.staff.X), Key: d.agent.staff.X, Kind: chain.GrantStaff, Purpose: "support:7",
		Tracks: []chain.TrackRange{{Track: track, From: start, Until: start + 1000}}, Until: time.Now().Add(time.Hour).Unix(),
		Hubs: []string{chain.VKey("lk."+d.hub.String(), d.state.Hubs[d.hub].Ed)}, Release: d.hub, Capsule: latchkey.Hash{1},
	}
	sealed, err := mask.Seal(d.state.Household, g.Grant, d.hubX)
	if err != nil {
		t.Fatal(err)
	}
	g.Mask, g.By = chain.TextHash(sealed), mallory.sign.Kid()
	d.publish(d.signed(g, mallory.sign))
	seq := d.say(g, d.entries[0])
	ask := func() latchkeyv1.OpeningResult {
		n, err := chain.ParseNote(d.notes[seq])
		if err != nil {
			t.Fatal(err)
		}
		m := d.ask(func(o *chain.Opening) { o.Grant, o.Access = g.Grant, n.Hash() })
		m.Seq, m.Proof, m.Mask = seq, d.cloud.Log.Prove(seq), sealed
		return d.cloud.Opening(m).GetResult()
	}
	if r := ask(); r != wasRefused {
		t.Errorf("a grant by an admin whom nothing proves: %v", r)
	}
	d.cloud.Log.Hold(false)
	d.wait("the admin counts", func() bool { return ask() == wasReleased })
}

// A hub reports how it is to whom a member lets see it, until that is over: a
// closed list, sealed, and no name in it.
func TestHealth(t *testing.T) {
	w := newHouse(t)
	w.cfg.Pace.Health = 50 * time.Millisecond
	w.start()
	const secret = "rtsp://camera.lan.invalid:1/hidden"
	porch := w.camera("CANARY-porch", secret, "", modeContinuous)
	w.add(porch)
	agent := w.clerk("sam")
	x := base64.StdEncoding.EncodeToString(agent.staff.X)
	for name, args := range map[string]map[string]any{
		"no ticket":     {"ticket": 0, "to": x, "until": time.Now().Add(time.Hour).Unix()},
		"no key":        {"ticket": 7, "to": "AAAA", "until": time.Now().Add(time.Hour).Unix()},
		"over":          {"ticket": 7, "to": x, "until": time.Now().Unix() - 1},
		"for a month":   {"ticket": 7, "to": x, "until": time.Now().Add(30 * 24 * time.Hour).Unix()},
		"more than one": {"ticket": 7, "to": x, "until": time.Now().Add(time.Hour).Unix(), "names": true},
	} {
		if r := w.command("health", args); r != refused {
			t.Errorf("consent %s: %v", name, r)
		}
	}
	if r := w.command("health", map[string]any{"ticket": 7, "to": x, "until": time.Now().Add(time.Hour).Unix()}); r != done {
		t.Fatalf("consent: %v", r)
	}
	var last healthReport
	w.wait("a report with the camera's error", func() bool {
		all := w.cloud.Health()
		if len(all) == 0 {
			return false
		}
		newest := all[len(all)-1]
		raw, err := agent.Sealing.OpenLetter(w.state.Household, newest.GetLetter())
		if err != nil || newest.GetTicket() != 7 {
			t.Fatal(newest.GetTicket(), err)
		}
		n, err := chain.ParseNote(raw)
		if err != nil {
			t.Fatal(err)
		}
		h, err := chain.ParseHealth(n)
		if err != nil || n.Verify(w.state.Hubs[w.hub].Ed) != nil || h.Ticket != 7 || h.To != agent.Sealing.Kid() {
			t.Fatalf("%+v, %v", h, err)
		}
		for _, word := range []string{"CANARY", "camera.lan", "hidden", "rtsp", w.cfg.Name} {
			if strings.Contains(string(h.Report), word) {
				t.Fatalf("a report says %q: %s", word, h.Report)
			}
		}
		last = decodeAs[healthReport](t, h.Report)
		return len(last.Cameras) == 1 && last.Cameras[0].Error == "unreachable"
	})
	if last.Cameras[0].Camera != porch.id.String() || last.Version != "test" || last.Uplink != "connected" || last.ClockOff == nil || *last.ClockOff > 2 || *last.ClockOff < -2 {
		t.Errorf("%+v", last)
	}
	if r := w.command("health-end", map[string]any{"ticket": 7}); r != done {
		t.Fatalf("end: %v", r)
	}
	time.Sleep(200 * time.Millisecond) // one may be on its way
	n := len(w.cloud.Health())
	time.Sleep(300 * time.Millisecond)
	if more := len(w.cloud.Health()); more > n {
		t.Errorf("%d reports after the end", more-n)
	}
}
