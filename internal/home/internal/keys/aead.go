package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"latchkey.dev/latchkey"
)

const aeadTag = 16

// gcm makes AES-256-GCM with a key that is used for one message (protocol 2.1).
func gcm(key Secret) cipher.AEAD {
	block, err := aes.NewCipher(key.bytes()[:])
	if err != nil { // only for key lengths other than 16, 24, 32
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

// sealUnder returns head ‖ AEAD(KDF(k, label, head), aad = head, plain). head
// holds a fresh salt, so the key is used once.
func sealUnder(k Secret, label string, head, plain []byte) []byte {
	key := k.Derive(label, head)
	defer key.Erase()
	var nonce [12]byte
	return gcm(key).Seal(head[:len(head):len(head)], nonce[:], plain, head)
}

// openUnder is the inverse of sealUnder for a head of headSize bytes.
func openUnder(k Secret, label string, headSize int, b []byte) ([]byte, error) {
	head := b[:headSize]
	key := k.Derive(label, head)
	defer key.Erase()
	var nonce [12]byte
	plain, err := gcm(key).Open(nil, nonce[:], b[headSize:], head)
	if err != nil {
		return nil, fmt.Errorf("keys: open %s: %w: another key, or changed bytes", label, latchkey.ErrVerify)
	}
	return plain, nil
}
