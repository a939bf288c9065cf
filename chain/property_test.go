package chain_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

const testNow = 1_790_000_000

// seedOf makes a fixed 32-byte value from a name.
func seedOf(name string) []byte {
	h := sha256.Sum256([]byte("chain test " + name))
	return h[:]
}

// person holds the public keys of a cast member; X-Wing keys are opaque to chain.
type person struct {
	ed, recovery seedSigner
	x            []byte
}

func newPerson(name string) person {
	return person{ed: newSigner(seedOf(name)), recovery: newSigner(seedOf(name + " recovery")), x: bytes.Repeat(seedOf(name+" x"), chain.XSize/32)}
}

func (p person) kid() latchkey.Kid { return chain.KidOf(p.ed.Public()) }

// cast is a small world in which random statements collide often.
type cast struct {
	people  []person
	tracks  []latchkey.TrackID
	cameras []latchkey.CameraID
	grants  []latchkey.GrantID
}

func newCast() cast {
	var c cast
	for i := range 5 {
		c.people = append(c.people, newPerson(fmt.Sprint("person ", i)))
	}
	for i := range 4 {
		c.tracks = append(c.tracks, latchkey.TrackID(seedOf(fmt.Sprint("track ", i))[:16]))
	}
	for i := range 3 {
		c.grants = append(c.grants, grantOf(fmt.Sprint(i)))
	}
	for i := range 2 {
		c.cameras = append(c.cameras, latchkey.CameraID(seedOf(fmt.Sprint("camera ", i))[:16]))
	}
	return c
}

func (c cast) genesis(t interface{ Fatal(...any) }) chain.Note {
	p := c.people[0]
	g := chain.Genesis{Head: chain.Head{Time: testNow, By: p.kid()}, Ed: p.ed.Public(), X: p.x, Recovery: p.recovery.Public(), Operator: vkeyOf(c.people[4])}
	text, err := g.Text()
	if err != nil {
		t.Fatal(err)
	}
	n, err := chain.ParseNote(chain.SignNote(text, p.ed))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// dice draws the choices of a random household: by rapid, which shrinks what
// fails, or evenly (differential_test.go), which goes further.
type dice interface {
	// roll is one of 0 … n−1; what says of what, for a failure.
	roll(n int, what string) int
	Fatal(...any)
}

type rapidDice struct{ *rapid.T }

func (d rapidDice) roll(n int, what string) int { return rapid.IntRange(0, n-1).Draw(d.T, what) }

func anyOf[V any](d dice, what string, list []V) V { return list[d.roll(len(list), what)] }

// draw makes a random statement on top of s, mostly by somebody with the right
// and in the right place.
func (c cast) draw(d dice, s chain.State) chain.Note {
	key := c.signer(d, s)
	h := chain.Head{Household: s.Household, Seq: s.Seq + 1, Prev: s.Hash, By: chain.KidOf(key.Public())}
	h.Time = testNow
	if d.roll(30, "at another time") == 1 {
		h.Time += anyOf(d, "later", []int64{600, 601, -600, -601, -1200, -1201})
	}
	switch d.roll(30, "misplaced") {
	case 0:
		h.Seq += 1 + uint64(d.roll(2, "skip"))
	case 1:
		h.Prev[0] ^= 1
	}
	text, err := c.statement(d, s, h).Text()
	if err != nil {
		d.Fatal(err)
	}
	n, err := chain.ParseNote(chain.SignNote(text, key))
	if err != nil {
		d.Fatal(err)
	}
	return n
}

// opening are statements of the founder after genesis that make a household in
// which more is possible: a camera, a second admin, a member who may share, a hub.
func (c cast) opening() []body {
	var tracks []chain.TrackDecl
	for i, id := range c.tracks[:3] {
		tracks = append(tracks, chain.TrackDecl{ID: id, Kind: []latchkey.TrackKind{latchkey.KindVideo, latchkey.KindMeta, latchkey.KindAudio}[i]})
	}
	hub := c.people[3]
	return []body{
		func(h chain.Head) chain.Statement {
			return chain.AddCamera{Head: h, Camera: c.cameras[0], Tracks: tracks}
		},
		c.people[1].as(chain.RoleAdmin, false),
		c.people[2].as(chain.RoleMember, true, c.tracks[0], c.tracks[1]),
		func(h chain.Head) chain.Statement { return chain.AddHub{Head: h, Ed: hub.ed.Public(), X: hub.x} },
	}
}

// founder signs b in its place after s.
func (c cast) founder(d dice, s chain.State, b body) chain.Note {
	key := c.people[0].ed
	text, err := b(chain.Head{Household: s.Household, Seq: s.Seq + 1, Prev: s.Hash, Time: testNow, By: chain.KidOf(key.Public())}).Text()
	if err != nil {
		d.Fatal(err)
	}
	n, err := chain.ParseNote(chain.SignNote(text, key))
	if err != nil {
		d.Fatal(err)
	}
	return n
}

// open plays the opening, three times of four.
func (c cast) open(d dice, s chain.State) (chain.State, []chain.Note) {
	var notes []chain.Note
	if d.roll(4, "bare") == 3 {
		return s, nil
	}
	for _, b := range c.opening() {
		n := c.founder(d, s, b)
		next, err := chain.Apply(s, n, testNow)
		if err != nil {
			d.Fatal(err)
		}
		s, notes = next, append(notes, n)
	}
	return s, notes
}

// signer draws a key: mostly an admin's of s, else a member's, a hub's, the
// operator's, anybody's, a recovery key.
func (c cast) signer(d dice, s chain.State) seedSigner {
	who := d.roll(26, "right")
	keys := c.keysOf(func(kid latchkey.Kid) bool {
		_, hub := s.Hubs[kid]
		m, member := s.Members[kid]
		if who == 23 {
			return kid == c.people[4].kid()
		}
		return who < 20 && m.Role == chain.RoleAdmin || who >= 20 && who < 22 && member || who == 22 && hub
	})
	if len(keys) == 0 {
		p := anyOf(d, "signer", c.people)
		keys = []seedSigner{p.ed, p.recovery}
	}
	return anyOf(d, "key", keys)
}

func (c cast) keysOf(want func(latchkey.Kid) bool) []seedSigner {
	var keys []seedSigner
	for _, p := range c.people {
		if want(p.kid()) {
			keys = append(keys, p.ed)
		}
	}
	return keys
}

// others are the members but one.
func others(s chain.State, but latchkey.Kid) []latchkey.Kid {
	return slices.DeleteFunc(sorted16(s.Members), func(k latchkey.Kid) bool { return k == but })
}

// target draws whom a statement names: mostly somebody who is there.
func (c cast) target(d dice, there []latchkey.Kid) latchkey.Kid {
	if len(there) > 0 && d.roll(4, "there") > 0 {
		return anyOf(d, "target", there)
	}
	return anyOf(d, "whom", c.people).kid()
}

func (c cast) statement(d dice, s chain.State, h chain.Head) chain.Statement {
	p := anyOf(d, "person", c.people)
	track := anyOf(d, "track", c.tracks)
	if h.By == c.people[4].kid() && d.roll(3, "operator") > 0 || d.roll(40, "by another") == 0 {
		return c.operators(d, s, h, track)
	}
	switch d.roll(16, "kind") {
	case 0, 1, 2, 3:
		return c.member(d, s, h, p, track)
	case 4:
		return chain.Unmember{Head: h, Kid: c.target(d, others(s, h.By))}
	case 5, 6:
		return c.rekey(d, s, h, p)
	case 7:
		return chain.AddHub{Head: h, Ed: p.ed.Public(), X: p.x}
	case 8:
		return chain.Unhub{Head: h, Kid: c.target(d, sorted16(s.Hubs))}
	case 9:
		if d.roll(2, "all") == 0 {
			return chain.Retain{Head: h, AllTracks: true, Seconds: 5}
		}
		return chain.Retain{Head: h, Track: track, Seconds: 60}
	case 10:
		return chain.Erase{Head: h, Track: track, From: 1, Until: 2}
	case 11, 12:
		return c.grant(d, s, h, p, track)
	case 13:
		return chain.Revoke{Head: h, Grant: anyOf(d, "grant", c.grants)}
	case 14:
		return chain.Anchor{Head: h, Epochs: []latchkey.Hash{{1}}, Heads: []chain.HeadOf{{Track: track, Seq: 3}}}
	default:
		kind := anyOf(d, "track kind", []latchkey.TrackKind{latchkey.KindVideo, latchkey.KindMeta})
		camera := anyOf(d, "camera", c.cameras)
		decl := chain.TrackDecl{ID: track, Kind: kind}
		tracks := slices.DeleteFunc(slices.Clone(s.Cameras[camera].Tracks), func(d chain.TrackDecl) bool { return d.ID == track })
		if d.roll(5, "leave out") == 0 {
			tracks = nil
		}
		return chain.AddCamera{Head: h, Camera: camera, Tracks: append(tracks, decl)}
	}
}

// operators are what the operator writes.
func (c cast) operators(d dice, s chain.State, h chain.Head, track latchkey.TrackID) chain.Statement {
	if d.roll(4, "notice") == 0 {
		return chain.Notice{Head: h, Staff: c.people[3].kid(), Action: "account-read"}
	}
	a := chain.Access{Head: h, Grant: anyOf(d, "grant", c.grants), Staff: c.people[3].kid(), Entries: []chain.Entry{{Track: track, Level: 8, Index: uint32(d.roll(3, "index"))}}}
	if g, ok := s.Grants[a.Grant]; ok && d.roll(4, "the grantee") > 0 {
		a.Staff, a.Entries[0].Track = g.To, g.Tracks[0].Track
	}
	return a
}

// member admits somebody or, half of the time, restates a member, now and then
// with one key of another.
func (c cast) member(d dice, s chain.State, h chain.Head, p person, track latchkey.TrackID) chain.Statement {
	m := chain.AddMember{Head: h, Ed: p.ed.Public(), X: p.x, Recovery: p.recovery.Public(), Share: (d.roll(2, "share") == 0)}
	if there := sorted16(s.Members); len(there) > 0 && (d.roll(2, "restate") == 0) {
		old := s.Members[anyOf(d, "restated", there)]
		m.Ed, m.X, m.Recovery = old.Ed, old.X, old.Recovery
		if d.roll(6, "another key") == 0 {
			m.X = p.x
		}
	}
	m.Role = anyOf(d, "role", []chain.Role{chain.RoleAdmin, chain.RoleAdmin, chain.RoleMember, chain.RoleViewer})
	if m.AllTracks = (d.roll(2, "all tracks") == 0); !m.AllTracks && (d.roll(2, "a track") == 0) {
		m.Tracks = []latchkey.TrackID{track}
	}
	return m
}

// rekey replaces some keys of a member by those of p, signed by anybody: the
// head says who; half of the time that is the member.
func (c cast) rekey(d dice, s chain.State, h chain.Head, p person) chain.Statement {
	r := chain.Rekey{Head: h, Kid: h.By}
	if d.roll(2, "of another") == 0 {
		r.Kid = c.target(d, sorted16(s.Members))
	}
	if d.roll(2, "x") == 0 {
		r.X = p.x
	}
	if d.roll(2, "recovery") == 0 {
		r.Recovery = p.recovery.Public()
	}
	if (d.roll(2, "ed") == 0) || len(r.X)+len(r.Recovery) == 0 {
		r.Ed = p.ed.Public()
	}
	return r
}

func (c cast) grant(d dice, s chain.State, h chain.Head, p person, track latchkey.TrackID) chain.Statement {
	g := historyGrant(h, "", p, track)
	g.Grant = anyOf(d, "grant", c.grants)
	if there := sorted16(s.Members); len(there) > 0 && d.roll(4, "to a member") > 0 {
		g.To = chain.KidOf(s.Members[anyOf(d, "grantee", there)].X)
	}
	if d.roll(3, "outside") == 0 {
		g.Kind = anyOf(d, "kind of grantee", []chain.GrantKind{chain.GrantContact, chain.GrantLink, chain.GrantStaff, chain.GrantProject})
		g.Hubs = []string{vkeyOf(p)}
	}
	if d.roll(4, "released") == 0 {
		g.Release, g.Mask = c.target(d, sorted16(s.Hubs)), latchkey.Hash{2}
	}
	if d.roll(8, "hubs") == 0 {
		g.Hubs = nil
	}
	if d.roll(8, "with a key") == 0 {
		g.Key, g.To = p.x, chain.KidOf(p.x)
	}
	if d.roll(4, "standing") == 0 {
		g.Standing = true
		if d.roll(2, "only standing") == 0 {
			g.Capsule, g.Release, g.Mask = latchkey.Hash{}, latchkey.Kid{}, latchkey.Hash{}
		}
		for i := range g.Tracks {
			g.Tracks[i].Until += int64(d.roll(1<<18, "into the future"))
		}
		if g.Kind != chain.GrantMember && d.roll(4, "names the key") > 0 {
			g.Key, g.To = p.x, chain.KidOf(p.x)
		}
	}
	return g
}

// T6: never zero admins; the state depends only on the accepted prefix;
// refused statements do not change it. T7: nobody who was removed is a recipient.
func TestApplyProperties(t *testing.T) {
	c := newCast()
	rapid.Check(t, func(t *rapid.T) {
		genesis := c.genesis(t)
		s, err := chain.Apply(chain.State{}, genesis, testNow)
		if err != nil {
			t.Fatal(err)
		}
		accepted := [][]byte{genesis.Raw}
		s, opening := c.open(rapidDice{t}, s)
		for _, n := range opening {
			accepted = append(accepted, n.Raw)
		}
		for range rapid.IntRange(10, 40).Draw(t, "statements") {
			n := c.draw(rapidDice{t}, s)
			before := dump(s)
			next, err := chain.Apply(s, n, testNow)
			if diff := cmp.Diff(before, dump(s)); diff != "" {
				t.Fatalf("Apply changed its argument:\n%s", diff)
			}
			if err != nil {
				continue
			}
			s, accepted = next, append(accepted, n.Raw)
			checkState(t, s)
		}
		again, err := chain.Replay(accepted, testNow)
		if err != nil {
			t.Fatalf("the accepted statements do not replay: %v", err)
		}
		if diff := cmp.Diff(dump(s), dump(again)); diff != "" {
			t.Fatalf("replayed (-first +again):\n%s", diff)
		}
	})
}

func checkState(t fataler, s chain.State) {
	admins := 0
	var recipients []latchkey.Kid
	for kid, m := range s.Members {
		if kid != chain.KidOf(m.Ed) {
			t.Fatalf("member %v is filed under %v", chain.KidOf(m.Ed), kid)
		}
		if m.Role == chain.RoleAdmin {
			admins++
		}
		recipients = append(recipients, chain.KidOf(m.X))
	}
	if admins == 0 {
		t.Fatalf("no admin is left")
	}
	for _, g := range s.Grants {
		if g.Standing && g.Kind != chain.GrantMember && !g.Revoked {
			recipients = append(recipients, g.To)
		}
	}
	for _, r := range s.Recipients(s.Time) {
		if !slices.Contains(recipients, r.Kid) {
			t.Fatalf("recipient %v is neither a member nor an outsider with a standing grant", r.Kid)
		}
	}
	if kinds := s.Tracks(); len(slices.CompactFunc(kinds, func(a, b chain.TrackDecl) bool { return a.ID == b.ID })) != len(s.Tracks()) {
		t.Fatalf("a track is declared twice")
	}
}

// The state is a value: two futures of one state do not see each other.
func TestStateForks(t *testing.T) {
	c := newCast()
	s, err := chain.Apply(chain.State{}, c.genesis(t), testNow)
	if err != nil {
		t.Fatal(err)
	}
	h := chain.Head{Household: s.Household, Seq: 1, Prev: s.Hash, Time: testNow, By: c.people[0].kid()}
	apply := func(s chain.State, st chain.Statement) chain.State {
		t.Helper()
		text, err := st.Text()
		if err != nil {
			t.Fatal(err)
		}
		n := mustParse(t, chain.SignNote(text, c.people[0].ed))
		next, err := chain.Apply(s, n, testNow)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	left := apply(s, chain.AddHub{Head: h, Ed: c.people[1].ed.Public(), X: c.people[1].x})
	right := apply(s, chain.AddCamera{Head: h, Camera: c.cameras[0], Tracks: []chain.TrackDecl{{ID: c.tracks[0], Kind: latchkey.KindVideo}}})
	if len(s.Hubs)+len(s.Cameras)+len(left.Cameras)+len(right.Hubs) != 0 || len(left.Hubs) != 1 || len(right.Cameras) != 1 {
		t.Errorf("states share: %v %v %v", s, left, right)
	}
	if _, _, ok := right.Track(c.tracks[0]); !ok {
		t.Error("a declared track is not found")
	}
}

func TestLoginKey(t *testing.T) {
	c := newCast()
	s, err := chain.Apply(chain.State{}, c.genesis(t), testNow)
	if err != nil {
		t.Fatal(err)
	}
	p := c.people[0]
	for _, k := range []seedSigner{p.ed, p.recovery} {
		key, party, ok := s.LoginKey(chain.KidOf(k.Public()))
		if !ok || party != p.kid() || !bytes.Equal(key, k.Public()) {
			t.Errorf("key %x: %x %v %v", k.Public(), key, party, ok)
		}
	}
	for _, k := range [][]byte{c.people[1].ed.Public(), p.x} {
		if _, _, ok := s.LoginKey(chain.KidOf(k)); ok {
			t.Errorf("key %x… may sign in", k[:4])
		}
	}
}

func TestTextRefuses(t *testing.T) {
	head := chain.Head{Seq: 1}
	ed, x := []byte(newCast().people[0].ed.Public()), make([]byte, chain.XSize)
	zero := make([]byte, 32)
	decl := chain.TrackDecl{Kind: latchkey.KindVideo}
	cases := map[string]interface{ Text() ([]byte, error) }{
		"short key":              chain.Genesis{Ed: ed[:31], X: x, Recovery: ed},
		"key of small order":     chain.Genesis{Ed: zero, X: x, Recovery: ed},
		"operator":               chain.Genesis{Ed: ed, X: x, Recovery: ed, Operator: "somebody"},
		"log":                    chain.Genesis{Ed: ed, X: x, Recovery: ed, Log: "a b"},
		"log that means nothing": chain.Genesis{Ed: ed, X: x, Recovery: ed, Log: "none"},
		"seq 0":                  chain.AddHub{Ed: ed, X: x},
		"seq past 2^53":          chain.AddHub{Head: chain.Head{Seq: 1 << 53}, Ed: ed, X: x},
		"negative time":          chain.AddHub{Head: chain.Head{Seq: 1, Time: -1}, Ed: ed, X: x},
		"role":                   chain.AddMember{Head: head, Ed: ed, X: x, Recovery: ed, Role: "owner"},
		"all tracks and one":     chain.AddMember{Head: head, Ed: ed, X: x, Recovery: ed, Role: chain.RoleViewer, AllTracks: true, Tracks: make([]latchkey.TrackID, 1)},
		"one track twice":        chain.AddMember{Head: head, Ed: ed, X: x, Recovery: ed, Role: chain.RoleViewer, Tracks: make([]latchkey.TrackID, 2)},
		"no new key":             chain.Rekey{Head: head},
		"no tracks":              chain.AddCamera{Head: head},
		"one track declared twice": chain.AddCamera{Head: head, Tracks: []chain.TrackDecl{
			decl, {ID: decl.ID, Kind: latchkey.KindAudio}}},
		"unknown kind":       chain.AddCamera{Head: head, Tracks: []chain.TrackDecl{{Kind: "smell"}}},
		"no time":            chain.Retain{Head: head},
		"empty range":        chain.Erase{Head: head, From: 3, Until: 3},
		"nothing anchored":   chain.Anchor{Head: head},
		"two heads":          chain.Anchor{Head: head, Heads: []chain.HeadOf{{Seq: 1}, {Seq: 2}}},
		"epoch with 2 roots": chain.EpochNote{Signer: ed, Tracks: []chain.TrackCommit{{Commit: latchkey.Hash{1}}, {}}},
		"epoch signer":       chain.EpochNote{},
		"server":             chain.Login{Server: "latchkey.example"},
		"op":                 chain.Command{Op: "", Args: []byte("{}")},
		"args":               chain.Command{Op: "epoch"},
		"args not UTF-8":     chain.Command{Op: "epoch", Args: []byte{0xff}},
		"text too long":      chain.Anchor{Head: head, Heads: manyHeads(2000)},
	}
	for name, c := range cases {
		if text, err := c.Text(); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

func manyHeads(n int) []chain.HeadOf {
	heads := make([]chain.HeadOf, n)
	for i := range heads {
		heads[i].Track = latchkey.TrackID(seedOf(fmt.Sprint("head ", i))[:16])
	}
	return heads
}

// T3: every statement that can be encoded comes back as it was.
func TestStatementRoundTrip(t *testing.T) {
	c := newCast()
	rapid.Check(t, func(t *rapid.T) {
		h := chain.Head{
			Household: latchkey.HouseholdID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "household")), Seq: rapid.Uint64Range(1, 1<<53-1).Draw(t, "seq"),
			Prev: latchkey.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "prev")), Time: rapid.Int64Range(0, 1<<53-1).Draw(t, "time"),
			By: c.people[0].kid(), Salt: [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "salt")),
		}
		st := c.statement(rapidDice{t}, chain.State{}, h)
		text, err := st.Text()
		if err != nil {
			t.Fatal(err)
		}
		n, err := chain.ParseNote(chain.SignNote(text, c.people[0].ed))
		if err != nil {
			t.Fatal(err)
		}
		got, err := chain.ParseStatement(n)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fmt.Sprintf("%#v", st.Common()), fmt.Sprintf("%#v", got.Common())); diff != "" || got.Type() != st.Type() {
			t.Fatalf("%s comes back as %s:\n%s", st.Type(), got.Type(), diff)
		}
		if again, err := got.Text(); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("encodes again to %s, %v, want %s", again, err, text)
		}
	})
}
