package insider

import (
	"bytes"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/part"
)

// Keys that staff hold are theirs by right: they are no finding, they are used.
// What is sealed to them is opened, and what comes out is held against the footage.

const (
	encSize   = 1120 // of X-Wing
	entryName = 36   // epoch ‖ track ‖ level(1) ‖ index(3)
	entrySize = entryName + keySize
	maxKeys   = 1 << 10 // entries of one capsule that are looked at
	maxSealed = 256     // objects sealed to staff
	// maxMasked bounds the covered keys that every window is tried on as a mask
	// without Deep.
	maxMasked = 4
)

// held are the sealing keys in the folders of staff. Read-only.
type held struct {
	dirs  []string
	boxes map[latchkey.Kid]hpke.PrivateKey
}

// hold reads the folders of staff: machine keys, what they seal there, and the
// seeds in it.
func hold(dirs []string) *held {
	h := &held{dirs: dirs, boxes: map[latchkey.Kid]hpke.PrivateKey{}}
	var sealed, open [][]byte
	for _, dir := range dirs {
		// What cannot be read is reported by the scan itself.
		_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil //nolint:nilerr // as above
			}
			b, err := os.ReadFile(path)
			switch {
			case err != nil || len(b) > maxLocal:
			case bytes.HasPrefix(b, []byte("LKF1")):
				sealed = append(sealed, b)
			default:
				open = append(open, b)
			}
			return nil
		})
	}
	for _, key := range open {
		if len(key) == keySize {
			for _, b := range sealed {
				if plain := openLocal(key, b); plain != nil {
					open = append(open, plain)
				}
			}
		}
	}
	for _, b := range open {
		h.seed(b)
		stretch{data: b, own: len(b), whole: true}.texts(func([]byte) bool { return false }, func(d stretch) { h.seed(d.data) })
	}
	return h
}

// openLocal opens an LKF1 file; nil if the key is another.
func openLocal(machine, b []byte) []byte {
	if len(b) < localSize {
		return nil
	}
	var p prf
	p.set(machine)
	return openUnder(p.kdf("local", b[:localHead], nil), b, localHead)
}

func (h *held) seed(b []byte) {
	if len(b) != keySize {
		return
	}
	if k, err := hpke.MLKEM768X25519().NewPrivateKey(b); err == nil {
		h.boxes[kidOf(k.PublicKey().Bytes())] = k
	}
}

// has reports whether a file is one of staff.
func (h *held) has(path string) bool {
	return slices.ContainsFunc(h.dirs, func(dir string) bool {
		rel, err := filepath.Rel(dir, path)
		return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
	})
}

// sealedTo is an object that is sealed to a key of staff: its bytes, with
// whatever follows them.
type sealedTo struct {
	at    Finding // where
	magic string
	kid   latchkey.Kid
	data  []byte
}

// scope is what an object may be sealed for.
type scope struct {
	household latchkey.HouseholdID
	id        [latchkey.IDSize]byte // a grant's or an epoch's
}

// covered is an entry of an opened capsule: under a mask, if it is as it should be.
type covered struct {
	name [entryName]byte
	key  key
	node part.Node
	leaf *partCommit // a recorded second below it
}

// sealed notes an object and whom it is sealed to.
func (k *known) sealed(s stretch, at int, magic string) {
	b := s.data[at:]
	if len(b) < capsuleHead {
		return
	}
	kid := latchkey.Kid(b[4:capsuleHead])
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kids[kid] = true
	if _, ok := k.held.boxes[kid]; !ok || len(b) < capsuleHead+encSize || len(k.toStaff) >= maxSealed {
		return
	}
	// A copy that a database has cut into pages does not replace a whole one.
	k.toStaff[s.via+string(b[:capsuleHead+encSize])] = sealedTo{
		at: Finding{File: s.file, Offset: s.where(at)}, magic: magic, kid: kid,
		data: bytes.Clone(b[:min(len(b), capsuleHead+encSize+2+maxKeys*entrySize+16)]),
	}
}

// useHeld opens what is sealed to staff. Keys that open footage as they are are
// findings; those that do not are kept, to try masks on.
func (s *scan) useHeld() {
	k, t := s.known, s.targets
	var masks [][]byte
	released := map[[entryName]byte]key{}
	for _, one := range slices.SortedFunc(maps.Values(k.toStaff), func(a, b sealedTo) int { return strings.Compare(string(a.data[:64]), string(b.data[:64])) }) {
		switch one.magic {
		case "LKC1":
			for _, e := range entriesOf(k.open(one, "capsule")) {
				s.entry(one, e)
			}
		case "LKM1":
			if m := k.open(one, "release"); len(m) == keySize {
				masks = append(masks, m)
			}
		case "LKR1":
			for _, e := range entriesOf(k.open(one, "release")) {
				released[e.name] = e.key
			}
		}
	}
	for _, c := range t.masked {
		if part, ok := released[c.name]; ok && t.uncovers(&c, part) {
			s.finding(Finding{Kind: KindMask, File: "what is sealed to staff", What: "a released key opens " + c.words()})
		}
		for _, m := range masks {
			var p prf
			p.set(m)
			if t.uncovers(&c, p.kdf("release", c.name[:], nil)) {
				s.finding(Finding{Kind: KindMask, File: "what is sealed to staff", What: "a mask that is sealed to staff opens " + c.words()})
			}
		}
	}
	if len(t.masked) > maxMasked && !s.Deep {
		slices.SortStableFunc(t.masked, func(a, b covered) int { return int(b.node.Level) - int(a.node.Level) })
		t.masked = t.masked[:maxMasked]
	}
}

// entry holds one key of an opened capsule against the footage.
func (s *scan) entry(from sealedTo, e covered) {
	s.opened++
	c := e
	if c.leaf = s.targets.below(&e); c.leaf == nil {
		return
	}
	if s.targets.uncovers(&c, key{}) {
		f := from.at
		f.Kind, f.What = KindNode, "with a key of staff alone, opens "+c.words()
		s.finding(f)
		return
	}
	s.targets.masked = append(s.targets.masked, c)
}

func (c *covered) words() string {
	return fmt.Sprintf("track %x in epoch %x (level %d)", c.name[16:32], c.name[:16], c.node.Level)
}

// open opens an object for whatever it may be sealed for; nil if nothing fits.
func (k *known) open(o sealedTo, label string) []byte {
	box := k.held.boxes[o.kid]
	try := func(sc scope, size int) []byte {
		info := slices.Concat([]byte("latchkey/v1 "+label+"\x00"), sc.household[:], sc.id[:], o.kid[:])
		plain, err := hpke.Open(box, hpke.HKDFSHA256(), hpke.AES256GCM(), info, o.data[capsuleHead:size])
		if err != nil {
			return nil
		}
		return plain
	}
	for sc, hash := range k.grants {
		for _, size := range o.sizes(hash) {
			if plain := try(sc, size); plain != nil {
				return plain
			}
		}
	}
	for sc := range k.epochs {
		for _, size := range o.sizes(latchkey.Hash{}) {
			if plain := try(sc, size); plain != nil {
				return plain
			}
		}
	}
	return nil
}

// fewKeys is how long an object may be whose length nothing tells.
const fewKeys = 16

// sizes are the lengths that an object may have: what follows it in a file does
// not belong to it. A capsule has that of its hash.
func (o sealedTo) sizes(hash latchkey.Hash) (out []int) {
	const least = capsuleHead + encSize + 16
	if o.magic == "LKM1" {
		if len(o.data) >= least+keySize {
			out = append(out, least+keySize)
		}
		return out
	}
	h, done := sha256.New(), 0
	for n := 1; least+2+n*entrySize <= len(o.data); n++ {
		size := least + 2 + n*entrySize
		_, _ = h.Write(o.data[done:size]) // never fails
		done = size
		if latchkey.Hash(h.Sum(nil)) == hash {
			return []int{size}
		}
		if n <= fewKeys && (o.magic == "LKR1" || hash == latchkey.Hash{}) {
			out = append(out, size)
		}
	}
	return out
}

// entriesOf reads the plaintext of a capsule.
func entriesOf(plain []byte) (out []covered) {
	if len(plain) < 2 || len(plain) != 2+int(binary.BigEndian.Uint16(plain))*entrySize {
		return nil
	}
	for b := plain[2:]; len(b) > 0; b = b[entrySize:] {
		place := be32(b[32:])
		out = append(out, covered{
			name: [entryName]byte(b), key: key(b[entryName:entrySize]), node: part.Node{Level: uint8(place >> 24), Index: place & 0xffffff},
		})
	}
	return out
}

// below finds a recorded second below an entry's node; nil if there is none.
func (t *targets) below(e *covered) *partCommit {
	if !e.node.Valid() {
		return nil
	}
	from, until := e.node.Range()
	for at, c := range t.slots {
		if at.epoch == latchkey.EpochID(e.name[:16]) && at.track == latchkey.TrackID(e.name[16:32]) && from <= at.slot && at.slot < until {
			return c
		}
	}
	return nil
}

// uncovers reports whether an entry's key, with a mask's part taken off it, opens.
func (t *targets) uncovers(c *covered, mask key) bool {
	k := c.key
	for i := range k {
		k[i] ^= mask[i]
	}
	var p prf
	for level := int(c.node.Level); level < part.Depth; level++ {
		p.set(k[:])
		k = p.child(byte(c.leaf.slot >> (part.Depth - level - 1) & 1))
	}
	p.set(k[:])
	return p.opensLeaf(c.leaf)
}

// mask tries the candidate in t.prf as the mask of a two-key grant.
func (t *trier) mask() {
	for i := range t.masked {
		c := &t.masked[i]
		t.tests["mask"]++
		if t.uncovers(c, t.prf.kdf("release", c.name[:], nil)) {
			t.hit(KindMask, "with a capsule that staff can open, opens "+c.words())
		}
	}
}

func (k *known) grant(g chain.AddGrant) {
	k.grants[scope{g.Household, g.Grant}] = g.Capsule
}
