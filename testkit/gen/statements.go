package main

import (
	"sort"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

// link is one statement of the chain under construction.
type link struct {
	name, text string
	signer     edKey
	state      testkit.StateVector
}

// builder grows a chain and what it should amount to.
type builder struct {
	h       household
	links   []link
	members []testkit.MemberVector
	hubs    []hexBytes
	cameras []testkit.CameraVector
	grants  []testkit.GrantVector
	windows []window // what standing grants give at now
	given   int      // statements before the first standing grant
	erased  []testkit.RangeVector
	retain  []testkit.RetainVector
	all     uint64            // seconds that every other track is kept
	x       map[string][]byte // X-Wing key by member kid
}

func (b *builder) prev() []byte { return hash([]byte(b.links[len(b.links)-1].text)) }

// add appends a statement with the next seq and records the state after it.
func (b *builder) add(name, noteType string, by edKey, own ...string) {
	b.push(name, textOf(noteType, append(b.h.head(len(b.links), b.prev(), b.at(), by), own...)...), by)
}

func (b *builder) at() int64 { return now - 1000 + int64(len(b.links)) }

func (b *builder) push(name, text string, by edKey) {
	s := testkit.StateVector{
		Seq: uint64(len(b.links)), Hash: hash([]byte(text)),
		Members: append([]testkit.MemberVector{}, b.members...), Hubs: append([]hexBytes{}, b.hubs...),
		Cameras: append([]testkit.CameraVector{}, b.cameras...), Recipients: b.recipients(),
		RetainAll: b.all, Retain: append([]testkit.RetainVector{}, b.retain...), Erased: append([]testkit.RangeVector{}, b.erased...),
		Grants: append([]testkit.GrantVector{}, b.grants...),
	}
	sort.Slice(s.Grants, func(i, j int) bool { return string(s.Grants[i].Grant) < string(s.Grants[j].Grant) })
	sort.Slice(s.Members, func(i, j int) bool { return string(s.Members[i].Kid) < string(s.Members[j].Kid) })
	sort.Slice(s.Hubs, func(i, j int) bool { return string(s.Hubs[i]) < string(s.Hubs[j]) })
	sort.Slice(s.Cameras, func(i, j int) bool { return string(s.Cameras[i].Camera) < string(s.Cameras[j].Camera) })
	b.links = append(b.links, link{name: name, text: text, signer: by, state: s})
}

// recipients is protocol 2.8 for an epoch that begins now: members by their
// rights, and the grantees of standing grants.
func (b *builder) recipients() []testkit.RecipientVector {
	out := []testkit.RecipientVector{}
	for _, m := range b.members {
		if !m.All && len(m.Tracks) == 0 {
			continue
		}
		tracks := []hexBytes{}
		for _, c := range b.cameras {
			for _, t := range c.Tracks {
				if m.All || contains(m.Tracks, t.Track) {
					tracks = append(tracks, t.Track)
				}
			}
		}
		sort.Slice(tracks, func(i, j int) bool { return string(tracks[i]) < string(tracks[j]) })
		out = append(out, testkit.RecipientVector{Kid: kid(b.x[string(m.Kid)]), Tracks: tracks, Windows: []testkit.RangeVector{}})
	}
	out = b.standing(out)
	sort.Slice(out, func(i, j int) bool { return string(out[i].Kid) < string(out[j].Kid) })
	return out
}

func contains(list []hexBytes, b []byte) bool {
	for _, one := range list {
		if string(one) == string(b) {
			return true
		}
	}
	return false
}

func (b *builder) admit(ed edKey, x xKey, role string, share, all bool, tracks ...hexBytes) {
	b.x[string(ed.kid())] = x.pub
	b.members = append(b.members, testkit.MemberVector{
		Kid: ed.kid(), Role: role, Share: share, All: all, Tracks: orEmpty(tracks), Past: []hexBytes{}, PastEd: []hexBytes{}, Seq: uint64(len(b.links)),
	})
}

func orEmpty(list []hexBytes) []hexBytes { return append([]hexBytes{}, list...) }

// change replaces a member by a changed copy: states before keep theirs.
func (b *builder) change(ed edKey, change func(*testkit.MemberVector)) {
	kept := append([]testkit.MemberVector{}, b.members...)
	for i := range kept {
		if string(kept[i].Kid) == string(ed.kid()) {
			change(&kept[i])
		}
	}
	b.members = kept
}

// rekeyed gives a member another X-Wing key.
func (b *builder) rekeyed(ed edKey, x xKey) {
	past := kid(b.x[string(ed.kid())])
	b.change(ed, func(m *testkit.MemberVector) { m.Past = append(orEmpty(m.Past), past) })
	b.x[string(ed.kid())] = x.pub
}

func (b *builder) dismiss(ed edKey) {
	kept := []testkit.MemberVector{}
	for _, m := range b.members {
		if string(m.Kid) != string(ed.kid()) {
			kept = append(kept, m)
		}
	}
	b.members = kept
}

// chainOf makes the valid chain: every statement type that Apply knows.
func chainOf(h household) *builder {
	b := &builder{h: h, x: map[string][]byte{}}
	b.admit(h.founder, h.founderX, "admin", true, true)
	b.push("genesis", h.genesis, h.founder)
	b.hubs = []hexBytes{h.hub.kid()}
	b.add("hub", "hub", h.founder, "ed "+b64(h.hub.pub), "x "+b64(h.hubX.pub))
	porch := []string{"porch video", "porch video-sub", "porch meta"}
	b.cameras = []testkit.CameraVector{{Camera: h.camera, Tracks: h.trackVectors(porch...)}}
	b.add("camera", "camera", h.founder, append([]string{"camera " + b64(h.camera)}, h.declare(porch...)...)...)
	porch = append(porch, "porch audio")
	b.cameras = []testkit.CameraVector{{Camera: h.camera, Tracks: h.trackVectors(porch...)}}
	b.add("the same camera, one track more", "camera", h.founder, append([]string{"camera " + b64(h.camera)}, h.declare(porch...)...)...)
	drive := []string{"drive video", "drive meta"}
	b.cameras = append(b.cameras, testkit.CameraVector{Camera: h.camera2, Tracks: h.trackVectors(drive...)})
	b.add("second camera", "camera", h.founder, append([]string{"camera " + b64(h.camera2)}, h.declare(drive...)...)...)
	b.hubs = append(b.hubs, h.hub2.kid())
	b.add("second hub", "hub", h.founder, "ed "+b64(h.hub2.pub), "x "+b64(h.hub2X.pub))
	b.hubs = []hexBytes{h.hub.kid()}
	b.add("unhub", "unhub", h.founder, "kid "+b64(h.hub2.kid()))
	b.people()
	b.upkeep()
	b.rights()
	b.giving()
	b.future()
	return b
}

// second2 is the second admin's key after his rekey.
func second2() edKey { return newEd(draw("seed second 2", 32)) }

// people admits, re-keys and removes members.
func (b *builder) people() {
	h := b.h
	b.admit(h.second, h.secondX, "admin", true, true)
	b.add("member, an admin", "member", h.founder, memberLines(h.second, h.secondX, h.secondRec, "admin", "yes", "track *")...)
	b.admit(h.viewer, h.viewerX, "viewer", false, false, h.tracks["porch video"])
	b.add("member, a viewer of one track", "member", h.second,
		memberLines(h.viewer, h.viewerX, h.viewerRec, "viewer", "no", "track "+b64(h.tracks["porch video"]))...)
	newX := newX(draw("seed viewer x 2", 32))
	b.rekeyed(h.viewer, newX)
	b.add("rekey by the member's own key", "rekey", h.viewer, "kid "+b64(h.viewer.kid()), "x "+b64(newX.pub))
	newEd := second2()
	b.x[string(newEd.kid())] = h.secondX.pub
	b.change(h.second, func(m *testkit.MemberVector) { m.Kid, m.PastEd = newEd.kid(), []hexBytes{h.second.kid()} })
	b.add("rekey by the recovery key", "rekey", h.secondRec, "kid "+b64(h.second.kid()), "ed "+b64(newEd.pub))
	b.dismiss(h.viewer)
	b.add("unmember", "unmember", newEd, "kid "+b64(h.viewer.kid()))
}

func memberLines(ed edKey, x xKey, rec edKey, role, share string, tracks ...string) []string {
	return append([]string{"ed " + b64(ed.pub), "x " + b64(x.pub), "recovery " + b64(rec.pub), "role " + role, "share " + share}, tracks...)
}

// upkeep is what changes no right.
func (b *builder) upkeep() {
	h := b.h
	b.all = 2592000
	b.add("retain all", "retain", h.founder, "track *", "seconds 2592000")
	b.retain = append(b.retain, testkit.RetainVector{Track: h.tracks["porch audio"], Seconds: 86400})
	b.add("retain one", "retain", h.founder, "track "+b64(h.tracks["porch audio"]), "seconds 86400")
	b.erased = append(b.erased, testkit.RangeVector{Track: h.tracks["porch video"], From: 1789000000, Until: 1789000060})
	b.add("erase", "erase", h.founder, "track "+b64(h.tracks["porch video"]), "from 1789000000", "until 1789000060")
	b.add("anchor", "anchor", h.hub, "epoch "+b64(hash([]byte("an epoch note"))),
		"head "+b64(h.tracks["porch video"])+" 41 "+b64(hash([]byte("a part"))))
}

func statementVectors(h household) testkit.Statements {
	b := chainOf(h)
	v := testkit.Statements{
		Doc: testkit.Doc{
			About: "A household's chain and what it amounts to after each statement; notes that Apply must refuse.",
			Fields: map[string]string{
				"now":       "the reader's clock, unix seconds",
				"household": "H(genesis text)[0:16]",
				"seeds":     "Ed25519 and X-Wing seeds of the cast ('… x' is X-Wing); the notes are signed with them",
				"chain":     "statements in order, each accepted at now; hash is H(text); state is what Apply returns: members by kid of their Ed25519 key, with the kids of their former X-Wing (past) and Ed25519 keys (past_ed) and the seq that admitted or restated them; recipients of an epoch that begins at now, by kid of their X-Wing key, with the tracks whose roots they get and the stretches (windows) of others whose nodes they get",
				"reject":    "apply note to the state after the first `after` statements of the chain at this now: it must fail with error (invalid: ParseNote or ParseStatement or the form of it; conflict: place in the chain; verify: signature; refused: no right, or a forbidden effect)",
				"grant":     "the example of protocol section 4: it parses and verifies; Apply refuses a grant to staff without release and mask",
			},
		},
		Now: now, Household: h.id, Seeds: h.seeds, Reject: rejects(b), Grant: grantVector(),
	}
	for _, l := range b.links {
		noteType, _, _ := strings.Cut(strings.TrimPrefix(l.text, "latchkey/v1 "), "\n")
		v.Chain = append(v.Chain, testkit.StatementVector{
			Name: l.name, Type: noteType, Note: l.signer.sign(l.text), Hash: hash([]byte(l.text)), State: l.state,
		})
	}
	return v
}

// grantVector is the statement of protocol section 4, word for word.
func grantVector() testkit.NoteVector {
	seed := make([]byte, 32)
	for i := range seed {
		seed[i] = byte(0x40 + i)
	}
	return newEd(seed).note(textOf("grant",
		"household AQIDBAUGBwgJCgsMDQ4PEA==", "seq 17", "prev 0NHS09TV1tfY2drb3N3e3+Dh4uPk5ebn6Onq6+zt7u8=", "time 1790000000",
		"by h496LbjF4sK2XYElfOSenw==", "salt wMHCw8TFxsfIycrLzM3Ozw==", "grant YGFiY2RlZmdoaWprbG1ubw==",
		"to L1KXffhEBu/eftKU6LIWcA== staff", "purpose support:48213", "track sLGys7S1tre4ubq7vL2+vw== 1789990000 1789993600",
		"until 1790086400", "capsule kJGSk5SVlpeYmZqbnJ2en6ChoqOkpaanqKmqq6ytrq8="))
}
