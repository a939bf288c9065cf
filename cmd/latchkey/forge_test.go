package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"strings"
	"testing"
)

// What somebody can forge who has seen an invitation's code, made straight from
// the specification (spec/keys, "Pairing"): the code is all that the MACs take.

// Places in an offer, LKO1 ‖ role ‖ ed ‖ x ‖ recovery ‖ nonce.
const (
	offerEd       = 5
	offerX        = offerEd + 32
	offerRecovery = offerX + 1216
	offerNonce    = offerRecovery + 32
	offerEnd      = offerNonce + 16
)

// pairingSecret reads a code's random bytes and derives S.
func pairingSecret(t *testing.T, code string) []byte {
	t.Helper()
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	n := new(big.Int)
	for _, c := range strings.ReplaceAll(code, "-", "") {
		n.Lsh(n, 5).Or(n, big.NewInt(int64(strings.IndexRune(alphabet, c))))
	}
	return mac([]byte("latchkey/v1 pairing"), n.FillBytes(make([]byte, 20))[:18])
}

func mac(key []byte, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

func kdf(key []byte, label string, context ...[]byte) []byte {
	parts := append([][]byte{[]byte("latchkey/v1 " + label + "\x00")}, context...)
	return mac(key, append(parts, []byte{1})...)
}

// forgeOffer changes an offer and gives it the MAC that belongs to it.
func forgeOffer(t *testing.T, code string, mail []byte, change func(offer []byte)) []byte {
	t.Helper()
	offer := append([]byte(nil), mail[:offerEnd]...)
	change(offer)
	return append(offer, kdf(pairingSecret(t, code), "pair offer", offer)...)
}

// forgeAnswer changes an answer to an offer and gives it the MAC.
func forgeAnswer(t *testing.T, code string, offer, mail []byte, change func(answer []byte)) []byte {
	t.Helper()
	answer := append([]byte(nil), mail[:60]...)
	change(answer)
	ho, ha := sha256.Sum256(offer[:offerEnd]), sha256.Sum256(answer)
	return append(answer, kdf(pairingSecret(t, code), "pair answer", ho[:], ha[:])...)
}

// earlier sets an answer's seq one lower.
func earlier(answer []byte) {
	seq := binary.BigEndian.Uint64(answer[20:])
	binary.BigEndian.PutUint64(answer[20:], seq-1)
}
