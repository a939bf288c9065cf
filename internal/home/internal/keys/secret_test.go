package keys

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"
)

// secretsOf returns every secret type of the package, made from known bytes, as
// value and as pointer, also inside structs with exported and unexported fields.
func secretsOf(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	s, err := SecretFrom(raw)
	if err != nil {
		t.Fatal(err)
	}
	box, err := SealingFromSeed(s)
	if err != nil {
		t.Fatal(err)
	}
	sign := SigningFromSeed(s)
	code := codeOf([codeRandom]byte(raw))
	vault := &Vault{Signing: sign, Sealing: []*Sealing{box}, KTag: s}
	type outer struct {
		Exported Secret
		hidden   Secret
		code     Code
		sign     *Signing
		signVal  Signing
		box      Sealing
		vault    Vault
		machine  MachineKey
	}
	o := outer{s, s, code, sign, *sign, *box, *vault, MachineKey{k: s}}
	return map[string]any{
		"Secret": s, "*Secret": &s, "[]Secret": []Secret{s}, "map": map[string]Secret{"k": s},
		"Signing": *sign, "*Signing": sign, "Sealing": *box, "*Sealing": box,
		"StaffInvite": StaffInvite{secret: s}, "*StaffInvite": &StaffInvite{secret: s}, "Mask": Mask{secret: s}, "*Mask": &Mask{secret: s}, "Link": *linkOf(s, false), "*Link": linkOf(s, false), "Code": code, "*Code": &code, "Vault": *vault, "*Vault": vault,
		"MachineKey": MachineKey{k: s}, "Identity": Identity{Signing: sign, Sealing: box},
		"outer": o, "*outer": &o, "any": any(o),
	}
}

// prints returns everything that Go's ways to print and marshal make of v.
func prints(v any) map[string]string {
	out := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%t", "%p", "%T"} {
		out[verb] = fmt.Sprintf(verb, v)
	}
	out["Sprint"] = fmt.Sprint(v)
	out["Errorf"] = fmt.Errorf("failed: %v", v).Error()
	var b bytes.Buffer
	log.New(&b, "", 0).Print(v)
	slog.New(slog.NewTextHandler(&b, nil)).Info("text", "key", v, slog.Any("any", v))
	slog.New(slog.NewJSONHandler(&b, nil)).Info("json", "key", v, slog.Group("g", "in", v))
	out["log"] = b.String()
	j, _ := json.Marshal(v)
	out["json"] = string(j)
	x, _ := xml.Marshal(v)
	out["xml"] = string(x)
	var g bytes.Buffer
	_ = gob.NewEncoder(&g).Encode(v)
	out["gob"] = g.String()
	return out
}

// forms returns the ways in which secret bytes could show in text.
func forms(raw []byte) []string {
	list := func(format string) string {
		s := fmt.Sprintf(format, raw)
		return strings.Trim(s, "[]")
	}
	return []string{
		string(raw), hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), list("%v"), list("%b"), list("%o"),
		base64.StdEncoding.EncodeToString(raw)[:20], base64.URLEncoding.EncodeToString(raw)[:20],
		strings.ReplaceAll(list("%v"), " ", ","), strings.Trim(fmt.Sprintf("%#v", raw)[7:], "{}"),
		strings.ReplaceAll(strings.ReplaceAll(codeOf([codeRandom]byte(raw)).Reveal(), "-", ""), " ", ""),
		codeOf([codeRandom]byte(raw)).Reveal(),
	}
}

// T10: nothing prints, logs or marshals a secret.
func TestSecretsDoNotPrint(t *testing.T) {
	raw := []byte("\x91\xa2\xb3\xc4\xd5\xe6\xf7\x18\x29\x3a\x4b\x5c\x6d\x7e\x8f\x90\xa1\xb2\xc3\xd4\xe5\xf6\x07\x18\x29\x3a\x4b\x5c\x6d\x7e\x8f\x9f")
	for name, v := range secretsOf(t, raw) {
		for how, text := range prints(v) {
			for _, form := range forms(raw) {
				if strings.Contains(text, form) || strings.Contains(text, form[:len(form)/2]) {
					t.Errorf("%s printed with %s shows the secret: %.200q", name, how, text)
				}
			}
		}
	}
}

// The test above must be able to fail: the same bytes without protection show.
func TestPrintSearchBites(t *testing.T) {
	raw := bytes.Repeat([]byte{0x91, 0xa2, 0xb3, 0xc4}, 8)
	type naked struct{ b [32]byte }
	n := naked{[32]byte(raw)}
	for _, verb := range []string{"%v", "%x", "%#v"} {
		found := false
		for _, form := range forms(raw) {
			found = found || strings.Contains(prints(n)[verb], form[:len(form)/2])
		}
		if !found {
			t.Errorf("an unprotected array printed with %s was not noticed: %s", verb, prints(n)[verb])
		}
	}
}

func TestMarshalRefuses(t *testing.T) {
	s := NewSecret()
	for _, v := range []any{s, NewCode(), NewSigning(), NewSealing(), NewVault(), NewLink(), NewMask(), NewStaffInvite(), MachineKey{k: s}} {
		if b, err := json.Marshal(v); err == nil {
			t.Errorf("%T marshals to %s", v, b)
		}
		if b, err := json.Marshal(map[string]any{"a": []any{v}}); err == nil {
			t.Errorf("%T inside a map marshals to %s", v, b)
		}
	}
}

func TestSecretErase(t *testing.T) {
	s := NewSecret()
	c := s
	if !s.Equal(c) || s.Equal(NewSecret()) || (Secret{}).Equal(Secret{}) {
		t.Fatal("Equal is wrong")
	}
	s.Erase()
	if *c.bytes() != [32]byte{} {
		t.Fatal("a copy keeps the bytes")
	}
	k := NewSigning()
	k.Erase()
	if !bytes.Equal(**k.priv, make([]byte, ed25519.PrivateKeySize)) {
		t.Fatal("the signing key keeps its bytes")
	}
}

func TestSecretFromLength(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33, 64} {
		if _, err := SecretFrom(make([]byte, n)); err == nil {
			t.Errorf("%d bytes became a secret", n)
		}
	}
}
