package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"

	"latchkey.dev/latchkey/testkit"
)

type hexBytes = testkit.Hex

// draw makes n bytes from a label: the "random" values of the vectors.
func draw(label string, n int) []byte {
	var out []byte
	for i := 0; len(out) < n; i++ {
		h := sha256.Sum256(fmt.Appendf(nil, "latchkey test vectors %s %d", label, i))
		out = append(out, h[:]...)
	}
	return out[:n]
}

func hash(parts ...[]byte) []byte {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func mac(key []byte, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// kdf is protocol 2.1.
func kdf(key []byte, label string, context ...[]byte) []byte {
	return mac(key, []byte("latchkey/v1 "+label), []byte{0}, cat(context...), []byte{1})
}

// aead is AES-256-GCM with the zero nonce: nonce and key are used once.
func aead(key, aad, plain []byte) []byte {
	block, err := aes.NewCipher(key)
	must(err)
	gcm, err := cipher.NewGCM(block)
	must(err)
	return gcm.Seal(nil, make([]byte, 12), plain, aad)
}

func kid(key []byte) []byte { return hash([]byte("latchkey/v1 key\x00"), key)[:16] }

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func cat(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func u16(n int) []byte    { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// must is for failures that only a mistake in this program can cause.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// edKey is an Ed25519 key made from a seed.
type edKey struct {
	seed []byte
	priv ed25519.PrivateKey
	pub  []byte
}

func newEd(seed []byte) edKey {
	priv := ed25519.NewKeyFromSeed(seed)
	return edKey{seed: seed, priv: priv, pub: priv.Public().(ed25519.PublicKey)}
}

func (k edKey) kid() []byte  { return kid(k.pub) }
func (k edKey) name() string { return "lk." + hex.EncodeToString(k.kid()) }

// keyID is the four bytes before a signature (C2SP signed-note).
func (k edKey) keyID(name string) []byte { return hash([]byte(name+"\n"), []byte{1}, k.pub)[:4] }

func (k edKey) vkey() string {
	return k.name() + "+" + hex.EncodeToString(k.keyID(k.name())) + "+" + b64(cat([]byte{1}, k.pub))
}

// sign returns the signed note of a text.
func (k edKey) sign(text string) string { return text + "\n" + k.sigLine(text) }

func (k edKey) sigLine(text string) string {
	sig := ed25519.Sign(k.priv, []byte(text))
	return "— " + k.name() + " " + b64(cat(k.keyID(k.name()), sig)) + "\n"
}

// neutralSigLine is a signature with the neutral element as R, which whoever
// has the key can make: R = 0, S = H(R ‖ A ‖ text)·a. RFC 8032 verifies it, and
// not every implementation does.
func (k edKey) neutralSigLine(text string) string {
	r := append([]byte{1}, make([]byte, 31)...)
	h := sha512.Sum512(k.seed)
	h[0] &= 248
	h[31] = h[31]&127 | 64
	challenge := sha512.Sum512(cat(r, k.pub, []byte(text)))
	order, ok := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	if !ok {
		panic("the order of Ed25519")
	}
	s := new(big.Int).Mul(littleEndian(challenge[:]), littleEndian(h[:32]))
	s.Mod(s, order)
	sig := append(r, reverse(s.FillBytes(make([]byte, 32)))...)
	if !ed25519.Verify(k.pub, []byte(text), sig) {
		panic("the signature does not hold")
	}
	return "— " + k.name() + " " + b64(cat(k.keyID(k.name()), sig)) + "\n"
}

func littleEndian(b []byte) *big.Int { return new(big.Int).SetBytes(reverse(b)) }

func reverse(b []byte) []byte {
	out := make([]byte, len(b))
	for i, x := range b {
		out[len(b)-1-i] = x
	}
	return out
}

func (k edKey) note(text string) testkit.NoteVector {
	return testkit.NoteVector{Text: text, Note: k.sign(text), Hash: hash([]byte(text)), Signer: k.pub, VKey: k.vkey()}
}

// xKey is an X-Wing key made from a seed.
type xKey struct {
	seed, pub []byte
}

func newX(seed []byte) xKey {
	priv, err := hpke.MLKEM768X25519().NewPrivateKey(seed)
	must(err)
	return xKey{seed: seed, pub: priv.PublicKey().Bytes()}
}

func (k xKey) kid() []byte { return kid(k.pub) }

// seal makes magic ‖ kid ‖ enc ‖ ct.
func (k xKey) seal(magic string, info, plain []byte) ([]byte, error) {
	pub, err := hpke.MLKEM768X25519().NewPublicKey(k.pub)
	if err != nil {
		return nil, err
	}
	ct, err := hpke.Seal(pub, hpke.HKDFSHA256(), hpke.AES256GCM(), info, plain)
	if err != nil {
		return nil, err
	}
	return cat([]byte(magic), k.kid(), ct), nil
}

// open is the inverse of seal; it makes sure that a kept example is still one.
func (k xKey) open(magic string, info, sealed []byte) ([]byte, error) {
	head := cat([]byte(magic), k.kid())
	rest, ok := strings.CutPrefix(string(sealed), string(head))
	if !ok {
		return nil, fmt.Errorf("not sealed to this key")
	}
	priv, err := hpke.MLKEM768X25519().NewPrivateKey(k.seed)
	if err != nil {
		return nil, err
	}
	return hpke.Open(priv, hpke.HKDFSHA256(), hpke.AES256GCM(), info, []byte(rest))
}

// flip returns a copy of b with one bit changed.
func flip(b []byte, at int, bit byte) []byte {
	c := append([]byte(nil), b...)
	c[at] ^= bit
	return c
}
