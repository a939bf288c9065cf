package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// boundSize is how much of a part's header the key and the commitment are bound
// to; the AEAD binds the whole header.
const boundSize = 64

// partKeys derives from a leaf the AEAD key of the part whose header begins
// with bound, and the commitment to it.
func partKeys(leaf *key, bound []byte) (aeadKey key, commit latchkey.Hash) {
	keys.KDF(&aeadKey, leaf, "part key", bound)
	keys.KDF((*key)(&commit), leaf, "part commit", bound)
	return aeadKey, commit
}

// aeadOf makes AES-256-GCM for the one message of this key.
func aeadOf(k *key) cipher.AEAD {
	block, err := aes.NewCipher(k[:])
	if err != nil { // only for key lengths other than 16, 24, 32
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return aead
}

func equalHash(a, b latchkey.Hash) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
