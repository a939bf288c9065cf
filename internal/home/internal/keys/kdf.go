package keys

import (
	"crypto/hmac"
	"crypto/sha256"

	"latchkey.dev/latchkey"
)

const (
	domain    = "latchkey/v1 "
	hmacBlock = 64
	// kdfRoom is how much of a KDF message fits on the stack: every label of the
	// sealer's hot path (at most 12+11+1+64+1 bytes) does.
	kdfRoom = 192
)

// KDF sets out to HMAC-SHA-256(key, "latchkey/v1 " ‖ label ‖ 00 ‖ context ‖ 01)
// (protocol 2.1). out may alias key. It serves the sealer's hot path: it
// allocates nothing, leaves no copy of the key on the heap (as crypto/hmac
// would), and panics if the message is longer than 192 bytes.
func KDF(out, key *[SecretSize]byte, label string, context ...[]byte) {
	var buf [hmacBlock + kdfRoom]byte
	if kdfMessage(label, context) > kdfRoom {
		panic("keys: KDF context is too long")
	}
	msg := append(buf[:hmacBlock], domain...)
	msg = append(append(msg, label...), 0)
	for _, c := range context {
		msg = append(msg, c...)
	}
	msg = append(msg, 1)
	pad(buf[:hmacBlock], key, 0x36)
	inner := sha256.Sum256(msg)
	pad(buf[:hmacBlock], key, 0x5c)
	copy(buf[hmacBlock:], inner[:])
	*out = sha256.Sum256(buf[:hmacBlock+sha256.Size])
	clear(buf[:])
	clear(inner[:])
}

// kdfMessage is the length of the message that KDF authenticates.
func kdfMessage(label string, context [][]byte) int {
	n := len(domain) + len(label) + 2
	for _, c := range context {
		n += len(c)
	}
	return n
}

// pad fills one HMAC block: the key, zero-extended, exclusive-or b.
func pad(block []byte, key *[SecretSize]byte, b byte) {
	for i := range block {
		block[i] = b
	}
	for i, k := range key {
		block[i] ^= k
	}
}

// kdfLong is KDF for messages of any length, such as a pairing offer.
func kdfLong(out, key *[SecretSize]byte, label string, context [][]byte) {
	m := hmac.New(sha256.New, key[:])
	m.Write([]byte(domain + label + "\x00"))
	for _, c := range context {
		m.Write(c)
	}
	m.Write([]byte{1})
	m.Sum(out[:0])
}

func hashOf(b []byte) latchkey.Hash { return sha256.Sum256(b) }
