package insider

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/sha3"
	"fmt"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// trier tries one window after the other as a key of every sort. One per
// worker: not safe for concurrent use.
type trier struct {
	*targets
	prf   prf // of the candidate
	down  prf // of the node reached from it
	found func(k Kind, what string)
	hits  int
	tests map[string]int64
	seen  *recent
	staff bool // the window lies in a folder of staff
}

func newTrier(t *targets, seen *recent) *trier {
	return &trier{targets: t, tests: map[string]int64{}, seen: seen}
}

// unlessSeen calls try, unless the same 32 bytes were tried a short while ago
// and opened nothing, as happens with copies of database pages in a write-ahead
// log. What opens something is reported wherever it lies.
func (t *trier) unlessSeen(w []byte, try func(w []byte)) {
	if t.seen.has(w) {
		return
	}
	before := t.hits
	try(w)
	if t.hits == before {
		t.seen.add(w)
	}
}

func (t *trier) hit(k Kind, what string) {
	t.hits++
	t.found(k, what)
}

// sealed tries a window that lies inside parts whose signatures hold. It is
// the output of a cipher, so only what could have got there by a mistake of the
// sealer is tried: the roots of the part's epoch, and nodes that begin at the
// part's own slot.
func (t *trier) sealed(w []byte, own *partCommit) {
	t.prf.set(w)
	roots := t.byEpoch[own.epoch]
	t.tests["root"] += int64(len(roots))
	for i := range roots {
		if t.prf.opensRoot(&roots[i]) {
			t.rootHit(&roots[i])
		}
	}
	t.walk(w, zeros(own.slot), func(width int) { t.node(own, width) })
}

// all tries a window as everything.
func (t *trier) all(w []byte) {
	t.prf.set(w)
	t.tests["root"] += int64(len(t.roots))
	for i := range t.roots {
		if t.prf.opensRoot(&t.roots[i]) {
			t.rootHit(&t.roots[i])
		}
	}
	t.nodes(w)
	t.asymmetric(w)
	t.symmetric()
	t.mask()
}

func (t *trier) rootHit(r *rootCommit) {
	t.hit(KindRoot, fmt.Sprintf("opens all of track %v in epoch %v", r.track, r.epoch))
}

// walk calls f for the candidate and each node down its left edge: f(n) sees in
// t.down the key that is n levels below, for n from 0 to most.
func (t *trier) walk(w []byte, most int, f func(n int)) {
	t.down.set(w)
	for n := 0; ; n++ {
		f(n)
		if n == most {
			return
		}
		next := t.down.child(0)
		t.down.set(next[:])
	}
}

// node tests whether the candidate, width levels above t.down, is the node of
// 2^width slots that begins at c.
func (t *trier) node(c *partCommit, width int) {
	t.tests["node"]++
	if t.down.opensLeaf(c) {
		t.hit(KindNode, fmt.Sprintf("opens slots %d to %d of track %v in epoch %v (level %d)",
			c.slot, c.slot+1<<width-1, c.track, c.epoch, part.Depth-width))
	}
}

func (t *trier) nodes(w []byte) {
	most := 0
	for i := range t.aligned {
		most = max(most, t.aligned[i].max)
	}
	t.walk(w, most, func(n int) {
		for i := range t.aligned {
			if a := &t.aligned[i]; a.min <= n && n <= a.max {
				t.node(a.partCommit, n)
			}
		}
	})
	t.down.set(w)
	for _, c := range t.leaves {
		t.node(c, 0)
	}
}

// asymmetric tries a window as the seed of an Ed25519 or X-Wing key. Of X-Wing
// only the X25519 half is made; the kid of a capsule whose public key is not
// known needs the whole.
func (t *trier) asymmetric(w []byte) {
	if len(t.ed) > 0 {
		t.tests["ed25519"]++
		pub := ed25519.NewKeyFromSeed(w)[ed25519.SeedSize:]
		if t.ed[key(pub)] {
			t.hit(KindSigningKey, fmt.Sprintf("signs as %v", kidOf(pub)))
		}
	}
	if len(t.x)+len(t.kids) == 0 {
		return
	}
	t.tests["x-wing"]++
	var seed [mlkem.SeedSize + keySize]byte
	h := sha3.NewSHAKE256()
	_, _ = h.Write(w)
	_, _ = h.Read(seed[:])
	priv, err := ecdh.X25519().NewPrivateKey(seed[mlkem.SeedSize:])
	if err != nil {
		return
	}
	half := priv.PublicKey().Bytes()
	if t.x[key(half)] {
		t.hit(KindSealingKey, fmt.Sprintf("opens everything sealed to X-Wing key %v", t.wholeKid(seed[:mlkem.SeedSize], half)))
		return
	}
	if len(t.kids) == 0 {
		return
	}
	kid := t.wholeKid(seed[:mlkem.SeedSize], half)
	if _, own := t.held.boxes[kid]; t.kids[kid] && !(own && t.staff) {
		t.hit(KindSealingKey, fmt.Sprintf("opens capsules sealed to X-Wing key %v", kid))
	}
}

func (t *trier) wholeKid(seed, half []byte) latchkey.Kid {
	k, err := mlkem.NewDecapsulationKey768(seed)
	if err != nil { // the length is right
		panic(err)
	}
	return kidOf(append(k.EncapsulationKey().Bytes(), half...))
}

// symmetric tries the candidate in t.prf as the secret of wraps, vaults and
// local files.
func (t *trier) symmetric() {
	for i := range t.wraps {
		b := t.wraps[i][:]
		t.tests["wrap"]++
		if opens(t.prf.kdf("wrap", b[:wrapHead], nil), b, wrapHead) {
			t.hit(KindWrapSecret, fmt.Sprintf("opens a wrap of kind %d", b[4]))
		}
	}
	for i := range t.vaults {
		b := t.vaults[i][:]
		t.tests["vault"]++
		if beginsVault(t.prf.kdf("vault", b[:vaultHead], nil), b) {
			t.hit(KindVaultKey, fmt.Sprintf("opens the vault of member %x", b[8:24]))
		}
	}
	for _, b := range t.local {
		t.tests["local"]++
		if opens(t.prf.kdf("local", []byte(b[:localHead]), nil), []byte(b), localHead) {
			t.hit(KindMachineKey, fmt.Sprintf("opens the local file sealed for %q", trimZeros(b[4:16])))
		}
	}
}

func trimZeros(s string) string {
	for len(s) > 0 && s[len(s)-1] == 0 {
		s = s[:len(s)-1]
	}
	return s
}

func blockOf(k key) cipher.Block {
	b, err := aes.NewCipher(k[:])
	if err != nil { // the length is right
		panic(err)
	}
	return b
}

// opens reports whether k opens head ‖ AEAD(k, aad = head).
func opens(k key, b []byte, head int) bool { return openUnder(k, b, head) != nil }

// openUnder is the plaintext, or nil.
func openUnder(k key, b []byte, head int) []byte {
	gcm, err := cipher.NewGCM(blockOf(k))
	if err != nil {
		panic(err)
	}
	var nonce [12]byte
	plain, err := gcm.Open([]byte{}, nonce[:], b[head:], b[:head])
	if err != nil {
		return nil
	}
	return plain
}

// beginsVault decrypts the first block of a vault, whose end is not marked in a
// database page: GCM's first block of key stream is that of counter 2. The
// plaintext of a vault is a JSON object.
func beginsVault(k key, b []byte) bool {
	counter, stream := [16]byte{15: 2}, [16]byte{}
	blockOf(k).Encrypt(stream[:], counter[:])
	const begin = `{"v":1,`
	for i := range begin {
		if stream[i]^b[vaultHead+i] != begin[i] {
			return false
		}
	}
	return true
}
