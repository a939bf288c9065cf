package main

import (
	"fmt"
	"sort"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

// desk is a household with an operator, one of whose staff is let look at an
// hour of the porch with two keys.
type desk struct {
	*builder
	operator, agent edKey
	agentX          xKey
	epoch, m        []byte
}

func newDesk() desk {
	h := newHousehold()
	d := desk{operator: newEd(draw("seed operator", 32)), agent: newEd(draw("seed agent", 32)), agentX: newX(draw("seed agent x", 32)), epoch: draw("desk epoch", 16), m: draw("mask", 32)}
	h.seeds["operator"], h.seeds["agent"], h.seeds["agent x"] = d.operator.seed, d.agent.seed, d.agentX.seed
	h.genesis = h.genesisText(d.operator.vkey(), "latchkey.example/log/1")
	h.id = hash([]byte(h.genesis))[:16]
	b := &builder{h: h, x: map[string][]byte{}}
	d.builder = b
	b.admit(h.founder, h.founderX, "admin", true, true)
	b.push("genesis with an operator", h.genesis, h.founder)
	b.hubs = []hexBytes{h.hub.kid()}
	b.add("hub", "hub", h.founder, "ed "+b64(h.hub.pub), "x "+b64(h.hubX.pub))
	b.cameras = []testkit.CameraVector{{Camera: h.camera, Tracks: h.trackVectors("porch video", "porch audio")}}
	b.add("camera", "camera", h.founder, append([]string{"camera " + b64(h.camera)}, h.declare("porch video", "porch audio")...)...)
	one := []string{"porch video"}
	b.give("desk", h.founder, d.agentX, "staff", one)
	b.add("grant to staff", "grant", h.founder, h.given("desk", d.agentX, "staff", "support:7", one, h.release()...)...)
	b.give("other", h.founder, d.agentX, "staff", one)
	b.add("another grant to staff", "grant", h.founder, h.given("other", d.agentX, "staff", "support:7", one, h.release()...)...)
	b.give("contact", h.founder, d.agentX, "contact", one)
	b.add("grant with one key", "grant", h.founder, h.given("contact", d.agentX, "contact", "share", one)...)
	b.add("access of two entries", "access", d.operator, d.access("desk")...)
	b.add("access of the same, again", "access", d.operator, d.access("desk")...)
	b.add("notice with an object", "notice", d.operator, "staff "+b64(d.agentX.kid()), "action disclosed", "object "+b64(hash([]byte("a sealed commitment"))))
	b.add("notice without one", "notice", d.operator, "staff "+b64(d.agentX.kid()), "action account-read")
	b.end("other")
	b.add("revoke", "revoke", h.founder, "grant "+b64(grantID("other")))
	b.add("access of one that still runs", "access", d.operator, d.access("desk")...)
	return d
}

func (d desk) entry(track string, level, index int) string {
	return fmt.Sprintf("entry %s %s %d %d", b64(d.epoch), b64(d.h.tracks[track]), level, index)
}

func (d desk) access(grant string, entries ...string) []string {
	if entries == nil {
		entries = sorted(d.entry("porch video", 8, 70), d.entry("porch video", 17, 36863))
	}
	return append([]string{"grant " + b64(grantID(grant)), "staff " + b64(d.agentX.kid())}, entries...)
}

// trials are accesses and notices that must be refused.
func (d desk) trials() []testkit.ChainReject {
	n := len(d.links)
	of := func(name, errKind, noteType string, by edKey, own ...string) trial {
		return trial{name: noteType + ": " + name, err: errKind, after: n, text: d.next(n, noteType, by, own...), signer: by}
	}
	staff := "staff " + b64(d.agentX.kid())
	e := func(lines ...string) []string { return d.access("desk", lines...) }
	var many []string
	for i := range 513 {
		many = append(many, d.entry("porch video", 17, i))
	}
	sort.Strings(many)
	forged := of("signed by a stranger under the operator's name", "verify", "access", d.operator, d.access("desk")...)
	forged.signer = d.h.founder
	late := of("after the end of service", "refused", "access", d.operator, d.access("desk")...)
	late.text = strings.Replace(late.text, fmt.Sprintf("time %d", now-1000+int64(n)), fmt.Sprintf("time %d", now+86400), 1)
	late.now = now + 86400
	list := []trial{
		forged, late,
		of("signed by an admin", "refused", "access", d.h.founder, d.access("desk")...),
		of("signed by the agent", "refused", "access", d.agent, d.access("desk")...),
		of("signed by a hub", "refused", "access", d.h.hub, d.access("desk")...),
		of("of a revoked grant", "refused", "access", d.operator, d.access("other")...),
		of("of a grant that no hub releases", "refused", "access", d.operator, d.access("contact")...),
		of("of no grant", "refused", "access", d.operator, d.access("none")...),
		of("by another agent", "refused", "access", d.operator, swap(d.access("desk"), "staff ", "staff "+b64(d.h.viewerX.kid()))...),
		of("of a track that was not granted", "refused", "access", d.operator, e(d.entry("porch audio", 8, 70))...),
		of("of one granted track and one not", "refused", "access", d.operator, e(sorted(d.entry("porch audio", 8, 70), d.entry("porch video", 8, 70))...)...),
		of("of a node that is too wide", "invalid", "access", d.operator, e(d.entry("porch video", 7, 1))...),
		of("below a leaf", "invalid", "access", d.operator, e(d.entry("porch video", 18, 1))...),
		of("of an index past its level", "invalid", "access", d.operator, e(d.entry("porch video", 8, 256))...),
		of("of an entry twice", "invalid", "access", d.operator, e(d.entry("porch video", 8, 1), d.entry("porch video", 8, 1))...),
		of("not sorted", "invalid", "access", d.operator, e(d.entry("porch video", 9, 1), d.entry("porch video", 8, 1))...),
		of("of nothing", "invalid", "access", d.operator, e([]string{}...)...),
		of("of 513 entries", "invalid", "access", d.operator, e(many...)...),
		of("with a level that begins with zero", "invalid", "access", d.operator, e(strings.Replace(d.entry("porch video", 8, 1), " 8 1", " 08 1", 1))...),
		of("of an entry of three words", "invalid", "access", d.operator, e(strings.TrimSuffix(d.entry("porch video", 8, 1), " 1"))...),
		of("signed by an admin", "refused", "notice", d.h.founder, staff, "action account-read"),
		of("without an action", "invalid", "notice", d.operator, staff),
		of("with an action in upper case", "invalid", "notice", d.operator, staff, "action Read"),
		of("with an action of 65 characters", "invalid", "notice", d.operator, staff, "action "+string(repeat('a', 65))),
		of("with an object of two words", "invalid", "notice", d.operator, staff, "action account-read", "object a b"),
		of("with an object of 129 characters", "invalid", "notice", d.operator, staff, "action account-read", "object "+string(repeat('a', 129))),
		of("with an object that is not ASCII", "invalid", "notice", d.operator, staff, "action account-read", "object \u00e4"),
	}
	out := make([]testkit.ChainReject, len(list))
	for i, t := range list {
		if t.now == 0 {
			t.now = now
		}
		out[i] = testkit.ChainReject{Name: t.name, After: t.after, Now: t.now, Error: t.err, Note: t.signer.sign(t.text)}
	}
	return out
}

func deskVectors(old keeper) (testkit.Desk, error) {
	d := newDesk()
	v := testkit.Desk{
		Doc: testkit.Doc{
			About: "The desk: what the operator writes into a household's chain, and two-key grants.",
			Fields: map[string]string{
				"now … reject":       "as in statements.json",
				"opening":            "the note that asks a hub to release entries, signed with the seed 'agent'; its values stand beside it",
				"desk":               "the sign-in of staff, signed with the same",
				"applicant … health": "notes of staff and of a hub: applicant and message are signed with the seed 'agent', health with 'hub'; of reject_letters every one must be refused by the parser of its type",
				"m":                  "the mask of a two-key grant",
				"entries":            "name is epoch(16) ‖ track(16) ‖ level(1) ‖ index(3); mask is KDF(m, 'release', name); key XOR mask is masked, which stands in the capsule",
				"sealed_mask":        "LKM1 ‖ kid(16) ‖ enc(1120) ‖ ct: m sealed to the hub under mask_info",
				"released":           "LKR1 ‖ kid(16) ‖ enc(1120) ‖ ct: n(2) ‖ n × (name ‖ mask), the form of a capsule, sealed to the agent under released_info",
				"grant":              "the grant that both are bound to",
				"must_not_open":      "of the sealed mask, and of released",
			},
		},
		Now: now, Household: d.h.id, Seeds: d.h.seeds, Reject: d.trials(), Grant: grantID("desk"), Epoch: d.epoch, M: d.m, HubX: d.h.hubX.pub, AgentX: d.agentX.pub,
	}
	for _, l := range d.links {
		noteType, _, _ := strings.Cut(strings.TrimPrefix(l.text, "latchkey/v1 "), "\n")
		v.Chain = append(v.Chain, testkit.StatementVector{Name: l.name, Type: noteType, Note: l.signer.sign(l.text), Hash: hash([]byte(l.text)), State: l.state})
	}
	d.notes(&v)
	d.letters(&v)
	return v, d.masks(old, &v)
}

// notes are the two that no chain has.
func (d desk) notes(v *testkit.Desk) {
	opening := append([]string{"household " + b64(d.h.id), "grant " + b64(grantID("desk")), "by " + b64(d.agent.kid()), fmt.Sprintf("time %d", now),
		"nonce " + b64(draw("opening nonce", 16)), "access " + b64(hash([]byte(d.links[6].text)))}, d.access("desk")[2:]...)
	v.Opening = d.agent.note(textOf("opening", opening...))
	e := func(key, with string) string { return edited("opening", opening, key, with) }
	v.RejectOpening = badNotes(d.agent, map[string]string{
		"no entry":             textOf("opening", opening[:6]...),
		"entry that is wide":   e("entry", d.entry("porch video", 7, 1)),
		"access missing":       e("access", ""),
		"nonce of 15 bytes":    e("nonce", "nonce "+b64(draw("short", 15))),
		"time in milliseconds": e("time", "time 1790000000.5"),
		"by a long key":        e("by", "by "+b64(d.agent.pub)),
	})
	desk := []string{"by " + b64(d.agent.kid()), "server https://latchkey.example", "nonce " + b64(draw("desk nonce", 16)), fmt.Sprintf("time %d", now)}
	v.Desk = d.agent.note(textOf("desk", desk...))
	e = func(key, with string) string { return edited("desk", desk, key, with) }
	v.RejectDesk = badNotes(d.agent, map[string]string{
		"server with a path":       e("server", "server https://latchkey.example/desk"),
		"server missing":           e("server", ""),
		"with a household":         textOf("desk", append([]string{"household " + b64(d.h.id)}, desk...)...),
		"nonce of 17 bytes":        e("nonce", "nonce "+b64(draw("long", 17))),
		"by missing":               e("by", ""),
		"with a line of a command": textOf("desk", append(append([]string(nil), desk...), "op epoch")...),
	})
}

// letters are the notes that travel in letters, and what an applicant signs.
func (d desk) letters(v *testkit.Desk) {
	applicant := []string{"id sam-41", "role support", "ed " + b64(d.agent.pub), "x " + b64(d.agentX.pub), fmt.Sprintf("trained %d", now-60), fmt.Sprintf("time %d", now)}
	v.Applicant = d.agent.note(textOf("applicant", applicant...))
	message := []string{"household " + b64(d.h.id), "ticket 7", "by " + b64(d.agent.kid()), fmt.Sprintf("time %d", now), "nonce " + b64(draw("message nonce", 16)),
		"text " + b64([]byte("Küche: läuft sie wieder?\n")), "about " + b64([]byte(`{"v":1}`))}
	v.Message = d.agent.note(textOf("message", message...))
	health := []string{"household " + b64(d.h.id), "hub " + b64(d.h.hub.kid()), "ticket 7", "to " + b64(d.agentX.kid()), fmt.Sprintf("time %d", now),
		"report " + b64([]byte(`{"v":1}`))}
	v.Health = d.h.hub.note(textOf("health", health...))
	a := func(key, with string) string { return edited("applicant", applicant, key, with) }
	m := func(key, with string) string { return edited("message", message, key, with) }
	h := func(key, with string) string { return edited("health", health, key, with) }
	v.RejectLetters = badNotes(d.agent, map[string]string{
		"applicant with a name of two words":     a("id", "id sam smith"),
		"applicant without a role":               a("role", ""),
		"applicant with a role in upper case":    a("role", "role Support"),
		"applicant with a short key":             a("x", "x "+b64(d.agentX.pub[1:])),
		"message of nothing":                     m("text", "text "),
		"message of spaces":                      m("text", "text "+b64([]byte(" \n"))),
		"message of 16385 bytes":                 m("text", "text "+b64(repeat('a', 16385))),
		"message that is not UTF-8":              m("text", "text "+b64([]byte("\xff"))),
		"message in clear":                       m("text", "text Hello"),
		"message with a ticket of zero in front": m("ticket", "ticket 07"),
		"message about nothing":                  m("about", "about "+b64([]byte(" "))),
		"message without a household":            m("household", ""),
		"health of no hub":                       h("hub", ""),
		"health without a report":                h("report", ""),
		"health to a long key":                   h("to", "to "+b64(d.agentX.pub)),
		"health of 16385 bytes":                  h("report", "report "+b64(repeat('1', 16385))),
	})
}

// masks are the second key.
func (d desk) masks(old keeper, v *testkit.Desk) error {
	plain := u16(2)
	for _, place := range [][4]byte{{8, 0, 0, 70}, {17, 0, 0x8f, 0xff}} {
		name := cat(d.epoch, d.h.tracks["porch video"], place[:])
		mask, key := kdf(d.m, "release", name), draw(fmt.Sprint("node ", place), 32)
		masked := make([]byte, 32)
		for i := range masked {
			masked[i] = key[i] ^ mask[i]
		}
		v.Entries = append(v.Entries, testkit.MaskVector{Name: name, Mask: mask, Key: key, Masked: masked})
		plain = cat(plain, name, mask)
	}
	v.MaskInfo = cat([]byte("latchkey/v1 release\x00"), d.h.id, grantID("desk"), d.h.hubX.kid())
	v.ReleasedInfo = cat([]byte("latchkey/v1 release\x00"), d.h.id, grantID("desk"), d.agentX.kid())
	var kept struct {
		SealedMask hexBytes `json:"sealed_mask"`
		Released   hexBytes `json:"released"`
	}
	if err := old.read("desk", &kept); err != nil {
		return err
	}
	var err error
	if v.SealedMask, err = sealedExample(kept.SealedMask, d.h.hubX, "LKM1", v.MaskInfo, d.m); err != nil {
		return err
	}
	if v.Released, err = sealedExample(kept.Released, d.agentX, "LKR1", v.ReleasedInfo, plain); err != nil {
		return err
	}
	v.BadMask, v.BadReleased = brokenSealed(v.SealedMask, d.agentX.kid())[1:], brokenSealed(v.Released, d.h.hubX.kid())
	return nil
}
