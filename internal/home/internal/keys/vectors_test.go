package keys

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/testkit"
)

// sharedVectors is the part of the shared vector file that this package owns.
type sharedVectors struct {
	KDF struct{ Key, Label, Ctx, Out string } `json:"kdf"`

	Code struct {
		Raw, Code       string
		RecoverySecret  string `json:"recovery_secret"`
		RecoveryID      string `json:"recovery_id"`
		RecoverySignPub string `json:"recovery_sign_pub"`
		PairingSecret   string `json:"pairing_secret"`
		Rendezvous      string
	} `json:"code"`
	Capsule struct {
		Household, Scope, Kid, Plaintext, Capsule string
		Seed                                      string `json:"xwing_seed"`
		Pub                                       string `json:"xwing_pub"`
		PubHash                                   string `json:"xwing_pub_sha256"`
	} `json:"capsule"`
}

func loadShared(t *testing.T) (v sharedVectors) {
	t.Helper()
	b, err := os.ReadFile(testkit.Shared(t, "vectors", "protocol-v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unb64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func equalHex(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if hex.EncodeToString(got) != want {
		t.Errorf("%s is %x, want %s", what, got, want)
	}
}

func TestSharedKDF(t *testing.T) {
	v := loadShared(t).KDF
	k, err := SecretFrom(unhex(t, v.Key))
	if err != nil {
		t.Fatal(err)
	}
	var out [32]byte
	KDF(&out, k.bytes(), v.Label, unhex(t, v.Ctx))
	equalHex(t, "KDF", out[:], v.Out)
	equalHex(t, "Derive", k.Derive(v.Label, unhex(t, v.Ctx)).bytes()[:], v.Out)
}

// The hand-made HMAC of the hot path agrees with the standard library's.
func TestKDFIsHMAC(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var k, out [32]byte
		label, ctx := make([]byte, rng.IntN(20)), make([]byte, rng.IntN(150))
		for _, b := range [][]byte{k[:], label, ctx} {
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
		}
		cut := rng.IntN(len(ctx) + 1)
		KDF(&out, &k, string(label), ctx[:cut], ctx[cut:])
		m := hmac.New(sha256.New, k[:])
		m.Write([]byte("latchkey/v1 " + string(label) + "\x00"))
		m.Write(append(ctx, 1))
		if !bytes.Equal(m.Sum(nil), out[:]) {
			t.Fatalf("KDF(%x, %q, %x) differs from HMAC", k, label, ctx)
		}
	}
}

func TestKDFDoesNotAllocate(t *testing.T) {
	var k, out [32]byte
	ctx := make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() { KDF(&out, &k, "part commit", ctx) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestKDFRefusesLongContext(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a context past the buffer was cut")
		}
	}()
	var k, out [32]byte
	KDF(&out, &k, "tree", make([]byte, kdfRoom))
}

func TestSharedCode(t *testing.T) {
	v := loadShared(t).Code
	c, err := ParseCode(v.Code)
	if err != nil {
		t.Fatal(err)
	}
	id, rv := c.RecoveryID(), c.Rendezvous()
	equalHex(t, "raw", c.bytes()[:], v.Raw)
	equalHex(t, "recovery secret", c.RecoverySecret().bytes()[:], v.RecoverySecret)
	equalHex(t, "recovery id", id[:], v.RecoveryID)
	equalHex(t, "recovery sign", c.RecoverySign().Public(), v.RecoverySignPub)
	equalHex(t, "pairing secret", c.PairingSecret().bytes()[:], v.PairingSecret)
	equalHex(t, "rendezvous", rv[:], v.Rendezvous)
	if c.Reveal() != v.Code {
		t.Errorf("code is shown as %s", c.Reveal())
	}
}

func TestSharedCapsule(t *testing.T) {
	v := loadShared(t).Capsule
	seed, err := SecretFrom(unhex(t, v.Seed))
	if err != nil {
		t.Fatal(err)
	}
	box, err := SealingFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	kid, h := box.Kid(), hashOf(box.Public())
	equalHex(t, "kid", kid[:], v.Kid)
	equalHex(t, "public key", h[:], v.PubHash)
	if !bytes.Equal(box.Public(), unb64(t, v.Pub)) {
		t.Error("public key differs")
	}
	household, scope := [16]byte(unhex(t, v.Household)), [16]byte(unhex(t, v.Scope))
	plain, err := box.OpenCapsule(household, scope, unb64(t, v.Capsule))
	if err != nil {
		t.Fatal(err)
	}
	equalHex(t, "plaintext", plain, v.Plaintext)
	sealed, err := SealCapsule(household, scope, box.Public(), plain)
	if err != nil {
		t.Fatal(err)
	}
	if len(sealed) != 1158+len(plain)-2 {
		t.Errorf("capsule of %d bytes has %d", len(plain), len(sealed))
	}
	again, err := box.OpenCapsule(household, scope, sealed)
	if err != nil || !bytes.Equal(again, plain) {
		t.Errorf("own capsule does not open to the same: %v", err)
	}
}

// T5: a capsule opens for its household, scope and key only.
func TestCapsuleIsBound(t *testing.T) {
	box, other := NewSealing(), NewSealing()
	household, scope := latchkey.HouseholdID{1}, [16]byte{2}
	sealed, err := SealCapsule(household, scope, box.Public(), []byte("entries"))
	if err != nil {
		t.Fatal(err)
	}
	open := func(b *Sealing, h latchkey.HouseholdID, s [16]byte, c []byte) error {
		_, err := b.OpenCapsule(h, s, c)
		return err
	}
	if err := open(box, household, scope, sealed); err != nil {
		t.Fatal(err)
	}
	relabelled := append([]byte(nil), sealed...)
	kid := other.Kid()
	copy(relabelled[4:], kid[:])
	for name, err := range map[string]error{
		"household": open(box, latchkey.HouseholdID{3}, scope, sealed),
		"scope":     open(box, household, [16]byte{4}, sealed),
		"key":       open(other, household, scope, sealed),
		"relabel":   open(other, household, scope, relabelled),
		"command":   func() error { _, err := box.OpenCommand(household, append([]byte("LKX1"), sealed[4:]...)); return err }(),
	} {
		if err == nil {
			t.Errorf("opens under another %s", name)
		}
	}
	for i := 0; i < len(sealed); i += 7 {
		bad := append([]byte(nil), sealed...)
		bad[i] ^= 1 << (i % 8)
		if open(box, household, scope, bad) == nil {
			t.Fatalf("opens with a bit of byte %d flipped", i)
		}
	}
}

func secret(t *testing.T, b []byte) Secret {
	t.Helper()
	s, err := SecretFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealing(t *testing.T, seed []byte) *Sealing {
	t.Helper()
	box, err := SealingFromSeed(secret(t, seed))
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s is %x, want %x", what, got, want)
	}
}

func TestVectorCodes(t *testing.T) {
	var v testkit.Codes
	testkit.Load(t, "code", &v)
	if len(v.Codes) == 0 || len(v.Rejects) == 0 {
		t.Fatal("no vectors")
	}
	for _, cv := range v.Codes {
		for _, typed := range append(cv.Typed, cv.Code) {
			c, err := ParseCode(typed)
			if err != nil {
				t.Fatalf("%q: %v", typed, err)
			}
			id, rv, check := c.RecoveryID(), c.Rendezvous(), c.check()
			same(t, "raw", c.bytes()[:], cv.Raw)
			same(t, "check", check[:], cv.Check)
			same(t, "pairing secret", c.PairingSecret().bytes()[:], cv.PairingSecret)
			same(t, "rendezvous", rv[:], cv.Rendezvous)
			same(t, "recovery secret", c.RecoverySecret().bytes()[:], cv.RecoverySecret)
			same(t, "recovery id", id[:], cv.RecoveryID)
			same(t, "recovery sign", c.RecoverySign().Public(), cv.RecoverySignPub)
			if c.Reveal() != cv.Code {
				t.Errorf("shown as %s", c.Reveal())
			}
		}
	}
	for _, r := range v.Rejects {
		if _, err := ParseCode(r.Code); err == nil {
			t.Errorf("%s: %q parses", r.Name, r.Code)
		}
	}
}

func TestVectorVault(t *testing.T) {
	var v testkit.Vault
	testkit.Load(t, "vault", &v)
	vk := secret(t, v.VK)
	vault, info, err := OpenVault(vk, v.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "member", info.Member[:], v.Member)
	same(t, "salt", info.Salt[:], v.Salt)
	same(t, "household", vault.Household[:], v.Household)
	same(t, "hash", vault.Hash[:], v.Hash)
	same(t, "signing seed", vault.Signing.seed(), v.EdSeed)
	same(t, "ktag", vault.KTag.bytes()[:], v.KTag)
	if info.Version != v.Version || vault.Seq != v.Seq || len(vault.Sealing) != len(v.XSeeds) {
		t.Errorf("version %d, seq %d, %d sealing keys", info.Version, vault.Seq, len(vault.Sealing))
	}
	for i, x := range v.XSeeds {
		same(t, "sealing seed", vault.Sealing[i].raw.bytes()[:], x)
	}
	used, info, err := OpenVault(vk, v.Used)
	if err != nil || vault.Used || vault.Policy != "" || !used.Used || used.Policy != v.Policy || info.Version != v.Version+1 {
		t.Errorf("the vault whose code was used: version %d, %v", info.Version, err)
	}
	for _, r := range v.Unsealed {
		if _, _, err := OpenVault(vk, r.Bytes); err == nil {
			t.Errorf("%s: opens", r.Name)
		}
	}
	vectorWraps(t, v, vk)
}

func vectorWraps(t *testing.T, v testkit.Vault, vk Secret) {
	t.Helper()
	if len(v.Wraps) == 0 || len(v.WrapBad) == 0 || len(v.Unsealed) == 0 {
		t.Fatal("no vectors")
	}
	for _, w := range v.Wraps {
		got, err := OpenWrap(secret(t, w.Secret), w.Sealed)
		if err != nil || !got.Equal(vk) {
			t.Errorf("wrap of kind %d: %v", w.Kind, err)
		}
		if w.Code != "" {
			c, err := ParseCode(w.Code)
			if err != nil || !c.RecoverySecret().Equal(secret(t, w.Secret)) {
				t.Errorf("the code of the wrap: %v", err)
			}
		}
	}
	for _, r := range v.WrapBad {
		for _, w := range v.Wraps {
			if _, err := OpenWrap(secret(t, w.Secret), r.Bytes); err == nil {
				t.Errorf("%s: opens", r.Name)
			}
		}
	}
}

func TestVectorPairing(t *testing.T) {
	var v testkit.Pairing
	testkit.Load(t, "pairing", &v)
	code, err := ParseCode(v.Code)
	if err != nil || len(v.Offers) == 0 || len(v.Rejects) == 0 {
		t.Fatalf("%d offers, %v", len(v.Offers), err)
	}
	var first Offer
	for i, ov := range v.Offers {
		o, err := code.OpenOffer(ov.OfferMail)
		if err != nil || o.Role != Role(ov.Role) {
			t.Fatalf("role %d: %v", o.Role, err)
		}
		if i == 0 {
			first = o
		}
		b, err := o.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		same(t, "offer", b, ov.Offer)
		a, err := code.OpenAnswer(o, ov.AnswerMail)
		if err != nil || a.Seq != ov.Seq {
			t.Fatalf("answer %+v: %v", a, err)
		}
		same(t, "answer", a.Marshal(), ov.Answer)
		same(t, "household", a.Household[:], v.Household)
		mail, err := code.SealAnswer(o, a)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "answer mail", mail, ov.AnswerMail)
		if got := SafetyCode(a.Household, o.Ed, o.X); got != ov.SafetyCode {
			t.Errorf("safety code is %s, want %s", got, ov.SafetyCode)
		}
		if got, err := o.Digits(); err != nil || got != ov.Digits {
			t.Errorf("digits are %s (%v), want %s", got, err, ov.Digits)
		}
	}
	for _, r := range v.Rejects {
		_, offerErr := code.OpenOffer(r.Mail)
		_, answerErr := code.OpenAnswer(first, r.Mail)
		if offerErr == nil || answerErr == nil {
			t.Errorf("%s: %s mail opens", r.Name, r.Kind)
		}
	}
}

func TestVectorSealed(t *testing.T) {
	var cmd testkit.Command
	testkit.Load(t, "command", &cmd)
	hub := sealing(t, cmd.HubXSeed)
	note, err := hub.OpenCommand(latchkey.HouseholdID(cmd.Household), cmd.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "command", note, []byte(cmd.Note.Note))
	for _, r := range cmd.Unsealed {
		if _, err := hub.OpenCommand(latchkey.HouseholdID(cmd.Household), r.Bytes); err == nil {
			t.Errorf("command %s: opens", r.Name)
		}
	}
	var c testkit.Capsule
	testkit.Load(t, "capsule", &c)
	box := sealing(t, c.XSeed)
	same(t, "public key", box.Public(), c.XPub)
	plain, err := box.OpenCapsule(latchkey.HouseholdID(c.Household), [16]byte(c.Scope), c.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "capsule", plain, c.Plaintext)
	for _, r := range c.Unsealed {
		if _, err := box.OpenCapsule(latchkey.HouseholdID(c.Household), [16]byte(c.Scope), r.Bytes); err == nil {
			t.Errorf("capsule %s: opens", r.Name)
		}
	}
	if len(cmd.Unsealed) == 0 || len(c.Unsealed) == 0 {
		t.Fatal("no negative vectors")
	}
}
