package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"sort"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

func commandVectors(old keeper, h household) (testkit.Command, error) {
	v := testkit.Command{
		Doc: testkit.Doc{
			About: "The command note and its sealing to a hub (LKX1): the sealed form and the args are additions of this project to the protocol.",
			Fields: map[string]string{
				"seed":             "Ed25519 seed of the member who signs",
				"household … args": "the values of the note's lines; hub and by are kids of Ed25519 keys; args is the JSON that stands in the line as base64",
				"note":             "the signed note: the plaintext of sealed",
				"hub_x_seed":       "X-Wing seed of the hub",
				"info":             "HPKE info",
				"sealed":           "LKX1 ‖ kid(16) ‖ enc(1120) ‖ ct; randomised: must open to note.note",
				"must_not_open":    "must be refused by the hub",
				"reject":           "signed; the parser of the note must refuse the text",
			},
		},
		Seed: h.founder.seed, Household: h.id, Hub: h.hub.kid(), By: h.founder.kid(), Time: now, Nonce: draw("command nonce", 16),
		Op: "event-start", Args: `{"camera":"` + hex.EncodeToString(h.camera) + `","label":"manual","seconds":30}`,
		HubXSeed: h.hubX.seed, HubXPub: h.hubX.pub, HubXKid: h.hubX.kid(),
	}
	lines := []string{"household " + b64(v.Household), "hub " + b64(v.Hub), "by " + b64(v.By), fmt.Sprintf("time %d", v.Time),
		"nonce " + b64(v.Nonce), "op " + v.Op, "args " + b64([]byte(v.Args))}
	v.Note = h.founder.note(textOf("command", lines...))
	v.Info = cat([]byte("latchkey/v1 command\x00"), h.id, h.hubX.kid())
	kept, err := old.sealed("command")
	if err != nil {
		return v, err
	}
	sealed, err := sealedExample(kept, h.hubX, "LKX1", v.Info, []byte(v.Note.Note))
	if err != nil {
		return v, err
	}
	v.Sealed, v.Unsealed = sealed, brokenSealed(sealed, h.hub2X.kid())
	e := func(key, with string) string { return edited("command", lines, key, with) }
	v.Rejects = badNotes(h.founder, map[string]string{
		"op in upper case":     e("op", "op Epoch"),
		"op with two words":    e("op", "op event start"),
		"op of 33 characters":  e("op", "op "+strings.Repeat("a", 33)),
		"args missing":         e("args", ""),
		"args not base64":      e("args", "args {}"),
		"args of 16385 bytes":  e("args", "args "+b64(make([]byte, 16385))),
		"args not UTF-8":       e("args", "args "+b64([]byte("{\"a\":\"\xff\"}"))),
		"hub of an X-Wing key": e("hub", "hub "+b64(h.hubX.pub)),
	})
	return v, nil
}

// sealedExample keeps the example at hand if it still opens, or makes one.
func sealedExample(kept []byte, x xKey, magic string, info, plain []byte) ([]byte, error) {
	if kept == nil {
		return x.seal(magic, info, plain)
	}
	got, err := x.open(magic, info, kept)
	if err != nil || string(got) != string(plain) {
		return nil, fmt.Errorf("the kept %s example does not open to its plaintext any more; run with -hpke", magic)
	}
	return kept, nil
}

// brokenSealed are changes to a sealed object that its recipient must refuse.
func brokenSealed(sealed, otherKid []byte) []testkit.Reject {
	otherMagic := append([]byte("LKM1"), sealed[4:]...)
	return []testkit.Reject{
		{Name: "another magic", Bytes: otherMagic},
		{Name: "another kid", Bytes: cat(sealed[:4], otherKid, sealed[20:])},
		{Name: "a bit of enc", Bytes: flip(sealed, 20+100, 1)},
		{Name: "a bit of the X25519 half of enc", Bytes: flip(sealed, 20+1119, 1)},
		{Name: "a bit of the ciphertext", Bytes: flip(sealed, 20+1120, 1)},
		{Name: "a bit of the tag", Bytes: flip(sealed, len(sealed)-1, 0x80)},
		{Name: "last byte missing", Bytes: sealed[:len(sealed)-1]},
		{Name: "a trailing byte", Bytes: cat(sealed, []byte{0})},
		{Name: "cut inside enc", Bytes: sealed[:1000]},
		{Name: "empty", Bytes: nil},
	}
}

func capsuleVectors(old keeper) (testkit.Capsule, error) {
	x := newX(draw("seed capsule x", 32))
	v := testkit.Capsule{
		Doc: testkit.Doc{
			About: "The capsule: its plaintext, strictly parsed, and one sealed to an X-Wing key.",
			Fields: map[string]string{
				"entries":       "in the order of the plaintext: ascending in epoch ‖ track ‖ level ‖ index",
				"plaintext":     "n(2) ‖ n × (epoch(16) ‖ track(16) ‖ level(1) ‖ index(3) ‖ key(32))",
				"empty":         "the plaintext without entries, which is valid",
				"x_seed":        "X-Wing seed of the recipient; kid is of its public key",
				"scope":         "the epoch id of a hub-made capsule, the grant id of a member-made one",
				"info":          "HPKE info: label ‖ 0x00 ‖ household ‖ scope ‖ kid",
				"sealed":        "LKC1 ‖ kid(16) ‖ enc(1120) ‖ ct; randomised: must open to plaintext under household and scope, and under no other",
				"hash":          "H(sealed), as seal lines have it",
				"must_not_open": "must be refused with this key, household and scope",
				"reject":        "plaintexts that no parser may accept",
			},
		},
		XSeed: x.seed, XPub: x.pub, Kid: x.kid(), Household: draw("capsule household", 16), Scope: draw("capsule scope", 16), Empty: []byte{0, 0},
	}
	v.Entries = capsuleEntries(v.Scope)
	v.Plaintext = capsulePlain(v.Entries)
	v.Info = cat([]byte("latchkey/v1 capsule\x00"), v.Household, v.Scope, v.Kid)
	kept, err := old.sealed("capsule")
	if err != nil {
		return v, err
	}
	sealed, err := sealedExample(kept, x, "LKC1", v.Info, v.Plaintext)
	if err != nil {
		return v, err
	}
	v.Sealed, v.Hash, v.Unsealed = sealed, hash(sealed), brokenSealed(sealed, draw("other kid", 16))
	v.Rejects = badCapsules(v.Entries)
	return v, nil
}

func letterVectors(old keeper, h household) (testkit.Letter, error) {
	v := testkit.Letter{
		Doc: testkit.Doc{
			About: "The letter (LKS1): something sealed to one member, such as the label of a device or the household's directory.",
			Fields: map[string]string{
				"x_seed":        "X-Wing seed of the recipient; kid is of its public key",
				"text":          "the plaintext, UTF-8",
				"info":          "HPKE info: label ‖ 0x00 ‖ household ‖ kid",
				"sealed":        "LKS1 ‖ kid(16) ‖ enc(1120) ‖ ct; randomised: must open to text under household, and under no other",
				"must_not_open": "must be refused with this key and household",
			},
		},
		XSeed: h.secondX.seed, XPub: h.secondX.pub, Kid: h.secondX.kid(), Household: h.id, Text: "Küche, Tablet",
	}
	v.Info = cat([]byte("latchkey/v1 letter\x00"), h.id, v.Kid)
	kept, err := old.sealed("letter")
	if err != nil {
		return v, err
	}
	sealed, err := sealedExample(kept, h.secondX, "LKS1", v.Info, []byte(v.Text))
	if err != nil {
		return v, err
	}
	v.Sealed, v.Unsealed = sealed, brokenSealed(sealed, h.viewerX.kid())
	return v, nil
}

// capsuleEntries are two roots, a leaf at the far end and a node in the middle.
func capsuleEntries(epoch []byte) []testkit.EntryVector {
	entry := func(track string, level uint8, index uint32) testkit.EntryVector {
		return testkit.EntryVector{Epoch: epoch, Track: draw("capsule track "+track, 16), Level: level, Index: index,
			Key: draw(fmt.Sprint("capsule key ", track, level, index), 32)}
	}
	entries := []testkit.EntryVector{entry("a", 0, 0), entry("b", 0, 0), entry("c", 6, 18), entry("c", 17, 131071)}
	sort.Slice(entries, func(i, j int) bool { return string(entryBytes(entries[i])) < string(entryBytes(entries[j])) })
	return entries
}

func entryBytes(e testkit.EntryVector) []byte {
	return cat(e.Epoch, e.Track, []byte{e.Level}, u32(e.Index)[1:], e.Key)
}

func capsulePlain(entries []testkit.EntryVector) []byte {
	out := u16(len(entries))
	for _, e := range entries {
		out = append(out, entryBytes(e)...)
	}
	return out
}

func badCapsules(good []testkit.EntryVector) []testkit.Reject {
	with := func(change func(e []testkit.EntryVector) []testkit.EntryVector) []byte {
		return capsulePlain(change(append([]testkit.EntryVector(nil), good...)))
	}
	plain := capsulePlain(good)
	at := func(level uint8, index uint32) []byte {
		e := good[0]
		e.Level, e.Index = level, index
		return capsulePlain([]testkit.EntryVector{e})
	}
	return []testkit.Reject{
		{Name: "empty", Bytes: nil},
		{Name: "one byte", Bytes: []byte{0}},
		{Name: "count larger than the entries", Bytes: cat(u16(len(good)+1), plain[2:])},
		{Name: "count smaller than the entries", Bytes: cat(u16(len(good)-1), plain[2:])},
		{Name: "a trailing byte", Bytes: cat(plain, []byte{0})},
		{Name: "last byte missing", Bytes: plain[:len(plain)-1]},
		{Name: "two equal entries", Bytes: with(func(e []testkit.EntryVector) []testkit.EntryVector { e[1] = e[0]; return e })},
		{Name: "one node with two keys", Bytes: with(func(e []testkit.EntryVector) []testkit.EntryVector {
			key := e[1].Key
			e[1] = e[0]
			e[1].Key = key
			return e
		})},
		{Name: "unsorted entries", Bytes: with(func(e []testkit.EntryVector) []testkit.EntryVector { e[0], e[1] = e[1], e[0]; return e })},
		{Name: "level 18", Bytes: at(18, 0)},
		{Name: "level 255", Bytes: at(255, 0)},
		{Name: "index 1 at level 0", Bytes: at(0, 1)},
		{Name: "index 2^level", Bytes: at(6, 64)},
		{Name: "index 2^17 at level 17", Bytes: at(17, 1<<17)},
	}
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// codeOf writes 20 bytes as 8 groups of 4 Crockford characters.
func codeOf(b []byte) string {
	n := new(big.Int).SetBytes(b)
	var out []byte
	for i := range 32 {
		if i > 0 && i%4 == 0 {
			out = append(out, '-')
		}
		digit := new(big.Int).Rsh(n, uint(5*(31-i)))
		out = append(out, crockford[digit.Uint64()&31])
	}
	return string(out)
}

func checkOf(raw []byte) []byte { return hash([]byte("latchkey/v1 code\x00"), raw)[:2] }

func secretOf(raw []byte, use string) []byte { return mac([]byte("latchkey/v1 "+use), raw) }

func codeVector(raw []byte) testkit.CodeVector {
	v := testkit.CodeVector{Raw: raw, Check: checkOf(raw), Code: codeOf(cat(raw, checkOf(raw)))}
	v.PairingSecret, v.RecoverySecret = secretOf(raw, "pairing"), secretOf(raw, "recovery")
	v.Rendezvous = kdf(v.PairingSecret, "rendezvous")[:16]
	v.RecoveryID = kdf(v.RecoverySecret, "recovery id")[:16]
	v.RecoverySignPub = []byte(ed25519.NewKeyFromSeed(kdf(v.RecoverySecret, "recovery sign")).Public().(ed25519.PublicKey))
	bare := strings.ReplaceAll(v.Code, "-", "")
	v.Typed = []string{v.Code, bare, strings.ToLower(v.Code), strings.ReplaceAll(v.Code, "-", " "), " " + bare + " ",
		strings.NewReplacer("0", "O", "1", "I").Replace(v.Code), strings.NewReplacer("0", "o", "1", "l").Replace(strings.ToLower(bare))}
	return v
}

func codeVectors() testkit.Codes {
	v := testkit.Codes{Doc: testkit.Doc{
		About: "Codes for pairing and recovery: 144 bits and a check, typed by people.",
		Fields: map[string]string{
			"raw":                 "18 random bytes",
			"check":               "H('latchkey/v1 code' ‖ 0x00 ‖ raw)[0:2]",
			"code":                "Crockford base32 of raw ‖ check in 8 groups of 4: the one form that is shown",
			"typed":               "what people may type for it",
			"pairing_secret etc.": "HMAC-SHA-256('latchkey/v1 pairing' or 'latchkey/v1 recovery', raw) and what is derived from it; recovery_sign_pub is the public half of the Ed25519 key",
			"reject":              "what is no code",
		},
	}}
	for _, raw := range [][]byte{make([]byte, 18), draw("code one", 18), draw("code two", 18), []byte(strings.Repeat("\xff", 18))} {
		v.Codes = append(v.Codes, codeVector(raw))
	}
	v.Rejects = badCodes(v.Codes[1].Code)
	return v
}

// badCodes spoil a right code. A transposition passes the check once in 65,536
// times; this one does not.
func badCodes(code string) []testkit.CodeReject {
	c := []byte(code)
	swap := append([]byte(nil), c...)
	for i := 0; i+1 < len(c); i++ {
		if c[i] != c[i+1] && c[i] != '-' && c[i+1] != '-' {
			swap[i], swap[i+1] = c[i+1], c[i]
			break
		}
	}
	wrong := append([]byte(nil), c...)
	wrong[0] = crockford[(strings.IndexByte(crockford, c[0])+1)%32]
	return []testkit.CodeReject{
		{Name: "empty", Code: ""},
		{Name: "transposed characters", Code: string(swap)},
		{Name: "one wrong character", Code: string(wrong)},
		{Name: "one character short", Code: code[:len(code)-1]},
		{Name: "one character more", Code: code + "0"},
		{Name: "a character that is none", Code: strings.Replace(code, code[:1], "U", 1)},
		{Name: "a letter beyond ASCII", Code: "É" + code[1:]},
		{Name: "another separator", Code: strings.ReplaceAll(code, "-", "_")},
		{Name: "with the prefix of the picture code", Code: "LK2:" + code},
	}
}

// vaultJSON has the fields of a vault in their order; bytes are base64.
type vaultJSON struct {
	V         int               `json:"v"`
	Household string            `json:"household"`
	Ed        []byte            `json:"ed"`
	X         [][]byte          `json:"x"`
	KTag      []byte            `json:"ktag"`
	Seq       uint64            `json:"seq"`
	Hash      string            `json:"hash"`
	Names     map[string]string `json:"names"`
	Used      bool              `json:"used,omitempty"`
	Policy    string            `json:"policy,omitempty"`
}

func vaultVectors(h household) testkit.Vault {
	v := testkit.Vault{
		Doc: testkit.Doc{
			About: "A member's vault (LKV1) and the wraps of its key (LKW1).",
			Fields: map[string]string{
				"vk":             "the vault key",
				"salt, key":      "salt in the head, and the AEAD key KDF(vk, 'vault', first 40 bytes)",
				"json":           "the plaintext; nobody hashes it, so other spacing and order are fine",
				"ed_seed … hash": "what a reader must find in it",
				"sealed":         "LKV1 ‖ version(4) ‖ member(16) ‖ salt(16) ‖ ciphertext; must open to json",
				"used_json …":    "another vault under the same vk, one version later: its recovery code has been used, and it pins policy",
				"must_not_open":  "must be refused with vk",
				"wraps":          "vk wrapped under secret: kind 1 passkey (credential is the credential id, whose hash stands in the wrap), 2 recovery (secret is the recovery secret of code)",
				"reject_wrap":    "changes of the recovery wrap that must be refused with its secret",
			},
		},
		VK: draw("vk", 32), Version: 3, Member: h.founder.kid(), Salt: draw("vault salt", 16), EdSeed: h.founder.seed,
		XSeeds: []hexBytes{draw("seed founder x 2", 32), h.founderX.seed}, KTag: draw("ktag", 32), Household: h.id, Seq: 4, Hash: draw("chain head", 32),
	}
	doc := vaultJSON{V: 1, Household: hex.EncodeToString(v.Household), Ed: v.EdSeed, X: [][]byte{v.XSeeds[0], v.XSeeds[1]}, KTag: v.KTag,
		Seq: v.Seq, Hash: hex.EncodeToString(v.Hash), Names: map[string]string{"household": "Home", hex.EncodeToString(h.camera): "Porch"}}
	plain, err := json.Marshal(doc)
	must(err)
	v.JSON = string(plain)
	head := cat([]byte("LKV1"), u32(v.Version), v.Member, v.Salt)
	v.Key = kdf(v.VK, "vault", head)
	v.Sealed = cat(head, aead(v.Key, head, plain))
	v.Policy = "log example.invalid/log/2026+00000000+key\noperator example.invalid+00000000+key\nquorum none\n" // any text: a vault does not read it
	doc.Used, doc.Policy = true, v.Policy
	plain, err = json.Marshal(doc)
	must(err)
	v.UsedJSON = string(plain)
	head = cat([]byte("LKV1"), u32(v.Version+1), v.Member, draw("vault salt of the used code", 16))
	v.Used = cat(head, aead(kdf(v.VK, "vault", head), head, plain))
	v.Unsealed = []testkit.Reject{
		{Name: "a lower version in the head", Bytes: flip(v.Sealed, 7, 1)},
		{Name: "another member", Bytes: flip(v.Sealed, 8, 1)},
		{Name: "another salt", Bytes: flip(v.Sealed, 24, 1)},
		{Name: "a bit of the ciphertext", Bytes: flip(v.Sealed, 40, 1)},
		{Name: "a bit of the tag", Bytes: flip(v.Sealed, len(v.Sealed)-1, 1)},
		{Name: "another magic", Bytes: flip(v.Sealed, 3, 3)},
		{Name: "head only", Bytes: v.Sealed[:40]},
		{Name: "last byte missing", Bytes: v.Sealed[:len(v.Sealed)-1]},
	}
	raw := draw("code one", 18)
	recovery := wrapVector(2, nil, secretOf(raw, "recovery"), v.VK)
	recovery.Code = codeOf(cat(raw, checkOf(raw)))
	v.Wraps = []testkit.WrapVector{recovery, wrapVector(1, draw("credential id", 48), draw("prf output", 32), v.VK)}
	v.WrapBad = badWraps(recovery.Sealed)
	return v
}

func wrapVector(kind uint8, credential, secret, vk []byte) testkit.WrapVector {
	v := testkit.WrapVector{Kind: kind, Credential: credential, Secret: secret, Salt: draw(fmt.Sprint("wrap salt ", kind), 16)}
	name := make([]byte, 32)
	if credential != nil {
		name = hash(credential)
	}
	head := cat([]byte("LKW1"), []byte{kind}, name, v.Salt)
	v.Key = kdf(secret, "wrap", head)
	v.Sealed = cat(head, aead(v.Key, head, vk))
	return v
}

func badWraps(w []byte) []testkit.Reject {
	return []testkit.Reject{
		{Name: "kind 0", Bytes: flip(w, 4, 2)},
		{Name: "kind 3", Bytes: flip(w, 4, 1)},
		{Name: "a passkey without credential", Bytes: flip(w, 4, 3)},
		{Name: "recovery with a credential", Bytes: flip(w, 5, 1)},
		{Name: "another salt", Bytes: flip(w, 37, 1)},
		{Name: "a bit of the ciphertext", Bytes: flip(w, 53, 1)},
		{Name: "a bit of the tag", Bytes: flip(w, 100, 1)},
		{Name: "100 bytes", Bytes: w[:100]},
		{Name: "102 bytes", Bytes: cat(w, []byte{0})},
		{Name: "another magic", Bytes: flip(w, 0, 1)},
	}
}

func pairingVectors(h household) testkit.Pairing {
	raw := draw("code two", 18)
	v := testkit.Pairing{
		Doc: testkit.Doc{
			About: "Pairing by code: the joiner's offer, the admin's answer, their MACs, and the safety code.",
			Fields: map[string]string{
				"code":                    "both sides have it; pairing_secret is derived from it",
				"offer":                   "LKO1 ‖ role(1: 1 hub, 2 member) ‖ ed(32) ‖ x(1216) ‖ recovery(32, zero for a hub) ‖ nonce(16)",
				"offer_mac":               "KDF(pairing secret, 'pair offer', offer)",
				"offer_mail, answer_mail": "what lies in the mailbox: object ‖ MAC",
				"answer":                  "LKA1 ‖ household(16) ‖ seq(8) ‖ hash(32): where the chain has the joiner's keys",
				"answer_mac":              "KDF(pairing secret, 'pair answer', H(offer) ‖ H(answer))",
				"safety_code":             "24 digits over household, ed and x",
				"digits":                  "24 digits over the whole offer, which two people compare before one signs the other in: H('latchkey/v1 offer' ‖ 0x00 ‖ offer)[0:10] mod 10^24",
				"reject":                  "mails that must be refused with this code; kind offer or answer; answers are held against the first offer",
			},
		},
		Code: codeOf(cat(raw, checkOf(raw))), Secret: secretOf(raw, "pairing"), Household: h.id,
	}
	v.Offers = []testkit.OfferVector{
		offerVector(v, 1, h.hub, h.hubX, nil),
		offerVector(v, 2, h.second, h.secondX, h.secondRec.pub),
	}
	v.Rejects = badMails(v)
	return v
}

func offerVector(v testkit.Pairing, role uint8, ed edKey, x xKey, recovery []byte) testkit.OfferVector {
	o := testkit.OfferVector{Role: role, Ed: ed.pub, X: x.pub, Recovery: recovery, Nonce: draw(fmt.Sprint("offer nonce ", role), 16),
		Seq: uint64(role), Hash: draw(fmt.Sprint("offer statement ", role), 32)}
	if recovery == nil {
		o.Recovery = make([]byte, 32)
	}
	o.Offer = cat([]byte("LKO1"), []byte{role}, o.Ed, o.X, o.Recovery, o.Nonce)
	o.OfferMAC = kdf(v.Secret, "pair offer", o.Offer)
	o.OfferMail = cat(o.Offer, o.OfferMAC)
	o.Answer = cat([]byte("LKA1"), v.Household, u64(o.Seq), o.Hash)
	o.AnswerMAC = kdf(v.Secret, "pair answer", hash(o.Offer), hash(o.Answer))
	o.AnswerMail = cat(o.Answer, o.AnswerMAC)
	o.SafetyCode = digitsOf(hash([]byte("latchkey/v1 safety\x00"), v.Household, o.Ed, o.X))
	o.Digits = digitsOf(hash([]byte("latchkey/v1 offer\x00"), o.Offer))
	return o
}

// digitsOf writes the first ten bytes of a hash as 24 decimal digits.
func digitsOf(h []byte) string {
	n := new(big.Int).SetBytes(h[:10])
	return fmt.Sprintf("%024d", n.Mod(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(24), nil)))
}

func badMails(v testkit.Pairing) []testkit.PairingReject {
	hub, member := v.Offers[0], v.Offers[1]
	mac := func(offer []byte) []byte { return cat(offer, kdf(v.Secret, "pair offer", offer)) }
	var out []testkit.PairingReject
	offer := func(name string, mail []byte) {
		out = append(out, testkit.PairingReject{Name: name, Kind: "offer", Mail: mail})
	}
	answer := func(name string, mail []byte) {
		out = append(out, testkit.PairingReject{Name: name, Kind: "answer", Mail: mail})
	}
	offer("a bit of the key", flip(hub.OfferMail, 5, 1))
	offer("a bit of the MAC", flip(hub.OfferMail, len(hub.OfferMail)-1, 1))
	offer("without MAC", hub.Offer)
	offer("MAC under another secret", cat(hub.Offer, kdf(draw("another pairing secret", 32), "pair offer", hub.Offer)))
	offer("MAC of an answer", cat(hub.Offer, kdf(v.Secret, "pair answer", hub.Offer)))
	offer("role 0", mac(flip(hub.Offer, 4, 1)))
	offer("role 3", mac(flip(hub.Offer, 4, 2)))
	offer("a hub with a recovery key", mac(flip(member.Offer, 4, 3)))
	offer("a member without a recovery key", mac(flip(hub.Offer, 4, 3)))
	offer("another magic", mac(flip(hub.Offer, 3, 3)))
	offer("a trailing byte", mac(cat(hub.Offer, []byte{0})))
	offer("last byte missing", mac(hub.Offer[:len(hub.Offer)-1]))
	answer("the answer to another offer", member.AnswerMail)
	answer("a bit of the household", flip(hub.AnswerMail, 4, 1))
	answer("a bit of the MAC", flip(hub.AnswerMail, len(hub.AnswerMail)-1, 1))
	answer("without MAC", hub.Answer)
	answer("another magic", flip(hub.AnswerMail, 0, 1))
	answer("a trailing byte", cat(hub.AnswerMail, []byte{0}))
	return out
}
