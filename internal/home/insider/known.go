package insider

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/part"
)

const (
	wrapHead, wrapSize   = 53, 101
	vaultHead, vaultSize = 40, 56 // head; smallest object
	localHead, localSize = 32, 48
	capsuleHead          = 20 // magic ‖ kid
	xSize                = 1216
	xHalf                = 1184 // where the X25519 half of an X-Wing key begins
	// maxBlobs bounds how many wraps, vaults and local files each candidate is
	// tried on without Deep; a store with more says so in the report.
	maxBlobs = 64
	maxLocal = 1 << 20
)

// known is everything public that candidates can be held against. It finds its
// material by itself, in whatever files it is shown. Safe for concurrent use
// until freeze.
type known struct {
	mu      sync.Mutex
	signers map[latchkey.EpochID]ed25519.PublicKey
	roots   map[rootCommit]bool
	slots   map[slotOf]*partCommit
	ed      map[string]bool
	x       map[string]bool // X25519 halves of X-Wing keys
	xKids   map[latchkey.Kid]bool
	kids    map[latchkey.Kid]bool // recipients of capsules
	wraps   map[[wrapSize]byte]bool
	vaults  map[[vaultSize]byte]bool // head and first ciphertext block
	local   map[string]bool          // whole files
	parts   int
	held    *held
	grants  map[scope]latchkey.Hash // of their capsules
	epochs  map[scope]bool
	toStaff map[string]sealedTo // by their first bytes
}

func newKnown(h *held) *known {
	return &known{
		held: h, grants: map[scope]latchkey.Hash{}, epochs: map[scope]bool{}, toStaff: map[string]sealedTo{},
		signers: map[latchkey.EpochID]ed25519.PublicKey{}, roots: map[rootCommit]bool{}, slots: map[slotOf]*partCommit{},
		ed: map[string]bool{}, x: map[string]bool{}, xKids: map[latchkey.Kid]bool{}, kids: map[latchkey.Kid]bool{},
		wraps: map[[wrapSize]byte]bool{}, vaults: map[[vaultSize]byte]bool{}, local: map[string]bool{},
	}
}

// collect takes all commitments out of a stretch of bytes.
func (k *known) collect(s stretch) {
	each(s.data, "latchkey/v1 ", func(at int) { k.note(s.data[at:]) })
	each(s.data, "LKW1", func(at int) { k.wrap(s.data[at:]) })
	each(s.data, "LKV1", func(at int) { k.vault(s.data[at:]) })
	for _, magic := range []string{"LKC1", "LKM1", "LKR1"} {
		each(s.data, magic, func(at int) { k.sealed(s, at, magic) })
	}
	if s.whole && !k.held.has(s.file) && bytes.HasPrefix(s.data, []byte("LKF1")) && len(s.data) >= localSize && len(s.data) <= maxLocal {
		k.mu.Lock()
		k.local[string(s.data)] = true
		k.mu.Unlock()
	}
	for _, p := range findParts(s.data) {
		k.part(p.Part)
	}
}

// each calls f at every place where word begins.
func each(data []byte, word string, f func(at int)) {
	for at := 0; ; {
		i := bytes.Index(data[at:], []byte(word))
		if i < 0 {
			return
		}
		f(at + i)
		at += i + 1
	}
}

// note reads a signed note at the beginning of b, if there is one.
func (k *known) note(b []byte) {
	b = b[:min(len(b), chain.MaxNote)]
	end := bytes.Index(b, []byte("\n\n"))
	if end < 0 {
		return
	}
	end += 2
	for bytes.HasPrefix(b[end:], []byte("— ")) {
		nl := bytes.IndexByte(b[end:], '\n')
		if nl < 0 {
			return
		}
		end += nl + 1
	}
	n, err := chain.ParseNote(b[:end])
	if err != nil {
		return
	}
	if n.Type == chain.TypeEpoch {
		k.epoch(n)
		return
	}
	if st, err := chain.ParseStatement(n); err == nil {
		k.statement(st)
	}
}

func (k *known) epoch(n chain.Note) {
	e, err := chain.ParseEpochNote(n)
	if err != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.signers[e.Epoch] = e.Signer
	k.epochs[scope{e.Household, e.Epoch}] = true
	k.ed[string(e.Signer)] = true
	for _, t := range e.Tracks {
		k.roots[rootCommit{epoch: e.Epoch, track: t.Track, commit: t.Commit}] = true
	}
}

func (k *known) statement(st chain.Statement) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch st := st.(type) {
	case chain.Genesis:
		// Not the operator's: his key has to be at the server, and opens nothing.
		k.keys(st.X, st.Ed, st.Recovery)
	case chain.AddMember:
		k.keys(st.X, st.Ed, st.Recovery)
	case chain.Rekey:
		k.keys(st.X, st.Ed, st.Recovery)
	case chain.AddHub:
		k.keys(st.X, st.Ed)
	case chain.AddGrant:
		k.grant(st)
	}
}

// keys remembers public keys; empty ones are passed over.
func (k *known) keys(x []byte, eds ...[]byte) {
	if len(x) == xSize {
		k.x[string(x[xHalf:])] = true
		k.xKids[chain.KidOf(x)] = true
	}
	for _, ed := range eds {
		if len(ed) == ed25519.PublicKeySize {
			k.ed[string(ed)] = true
		}
	}
}

// isPublic reports whether b is a known X-Wing public key: 1216 bytes that look
// random, stand in every statement, and are nobody's secret.
func (k *known) isPublic(b []byte) bool { return len(b) == xSize && k.xKids[kidOf(b)] }

func (k *known) wrap(b []byte) {
	if len(b) >= wrapSize && (b[4] == 1 || b[4] == 2) {
		k.mu.Lock()
		k.wraps[[wrapSize]byte(b)] = true
		k.mu.Unlock()
	}
}

func (k *known) vault(b []byte) {
	if len(b) >= vaultSize {
		k.mu.Lock()
		k.vaults[[vaultSize]byte(b)] = true
		k.mu.Unlock()
	}
}

func (k *known) part(p part.Part) {
	c := commitOf(p)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.parts++
	if k.slots[c.slotOf] == nil {
		k.slots[c.slotOf] = &c
	}
}

// placedPart is a part and where it begins in its stretch.
type placedPart struct {
	part.Part
	at int
}

// findParts returns every part in data that parses, also such as other bytes
// precede or follow. Parts do not overlap.
func findParts(data []byte) []placedPart {
	var parts []placedPart
	for at := 0; at < len(data); {
		i := bytes.Index(data[at:], []byte("LK1"))
		if i < 0 {
			break
		}
		at += i
		p, rest, err := part.Next(data[at:])
		if err != nil {
			at++
			continue
		}
		parts = append(parts, placedPart{Part: p, at: at})
		at = len(data) - len(rest)
	}
	return parts
}

// targets is known, put in order for trying candidates. It is read-only.
type targets struct {
	signers map[latchkey.EpochID]ed25519.PublicKey
	roots   []rootCommit
	byEpoch map[latchkey.EpochID][]rootCommit
	slots   map[slotOf]*partCommit
	aligned []alignedSlot
	leaves  []*partCommit
	ed      map[key]bool
	x       map[key]bool
	kids    map[latchkey.Kid]bool // of X-Wing keys whose public key is not known
	wraps   [][wrapSize]byte
	vaults  [][vaultSize]byte
	local   []string
	held    *held
	masked  []covered // of capsules that staff can open
	span    uint32    // aligned holds every node of at least this many recorded slots
}

// alignedSlot is a recorded slot that is the first of nodes of several levels:
// those of 2^min … 2^max slots.
type alignedSlot struct {
	*partCommit
	min, max int
}

// freeze sorts everything out. budget bounds how many node tests one window
// costs; 0 means no bound.
func (k *known) freeze(budget int) *targets {
	t := &targets{
		signers: k.signers, roots: slices.Collect(maps.Keys(k.roots)), byEpoch: map[latchkey.EpochID][]rootCommit{},
		slots: k.slots, ed: map[key]bool{}, x: map[key]bool{}, kids: map[latchkey.Kid]bool{},
		wraps: slices.Collect(maps.Keys(k.wraps)), vaults: slices.Collect(maps.Keys(k.vaults)), local: slices.Sorted(maps.Keys(k.local)), held: k.held,
	}
	for _, r := range t.roots {
		t.byEpoch[r.epoch] = append(t.byEpoch[r.epoch], r)
	}
	for ed := range k.ed {
		t.ed[key([]byte(ed))] = true
	}
	for x := range k.x {
		t.x[key([]byte(x))] = true
	}
	for kid := range k.kids {
		if !k.xKids[kid] {
			t.kids[kid] = true
		}
	}
	if budget > 0 {
		t.wraps, t.vaults, t.local = t.wraps[:min(len(t.wraps), maxBlobs)], t.vaults[:min(len(t.vaults), maxBlobs)], t.local[:min(len(t.local), maxBlobs)]
	}
	t.chooseSlots(budget)
	return t
}

// tried is how many slots windows are held against.
func (t *targets) tried() int {
	slots := map[*partCommit]bool{}
	for _, a := range t.aligned {
		slots[a.partCommit] = true
	}
	for _, c := range t.leaves {
		slots[c] = true
	}
	return len(slots)
}

// chooseSlots decides against which recorded slots every window is tried as a
// node. Walking down the left edge from a candidate reaches the first slot of
// whatever node it is, so one walk of 17 steps serves all nodes that begin at a
// recorded slot; each (slot, level) costs one test more. The finest span that
// keeps within budget is taken: frontier nodes, which a leak would hold, are
// found down to that span.
func (t *targets) chooseSlots(budget int) {
	all := slices.Collect(maps.Values(t.slots))
	slices.SortFunc(all, func(a, b *partCommit) int {
		return cmp.Or(bytes.Compare(a.epoch[:], b.epoch[:]), bytes.Compare(a.track[:], b.track[:]), cmp.Compare(a.slot, b.slot))
	})
	for level := range part.Depth + 1 {
		t.aligned, t.span = nil, 1<<level
		cost := 0
		for _, c := range all {
			if width := zeros(c.slot); width >= level {
				t.aligned = append(t.aligned, alignedSlot{partCommit: c, min: level, max: width})
				cost += width - level + 1
			}
		}
		if budget == 0 || cost <= budget {
			break
		}
	}
	t.chooseLeaves(all, budget)
}

// chooseLeaves adds, where not every slot is tried, the smaller nodes that begin
// at the first and at the most aligned later slot of each track, so that some
// path is tried at every level, and the leaves of its first, last and some slot
// in between.
func (t *targets) chooseLeaves(all []*partCommit, budget int) {
	for len(all) > 0 && t.span > 1 {
		n := 1
		for n < len(all) && all[n].epoch == all[0].epoch && all[n].track == all[0].track {
			n++
		}
		track := all[:n]
		all = all[n:]
		paths := track[:1]
		if n > 1 {
			later := slices.MaxFunc(track[1:], func(a, b *partCommit) int { return cmp.Compare(zeros(a.slot), zeros(b.slot)) })
			paths = []*partCommit{track[0], later}
		}
		if len(t.leaves) >= budget {
			return
		}
		t.leaves = append(t.leaves, track[n/3], track[n-1])
		for _, c := range paths {
			if small := min(zeros(c.slot), zeros(t.span)-1); small >= 0 {
				t.aligned = append(t.aligned, alignedSlot{partCommit: c, min: 0, max: small})
			}
		}
	}
}

// zeros is how far a slot is aligned: it is the first of a node of 2^zeros slots.
func zeros(slot uint32) int {
	n := 0
	for n < part.Depth && slot>>n&1 == 0 {
		n++
	}
	return n
}

func kidOf(pub []byte) latchkey.Kid {
	h := sha256.Sum256(append([]byte("latchkey/v1 key\x00"), pub...))
	return latchkey.Kid(h[:latchkey.IDSize])
}
