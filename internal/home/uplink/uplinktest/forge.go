package uplinktest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/part"
)

// Key is an Ed25519 key for tests of rooms that may not touch the real ones.
type Key ed25519.PrivateKey

// NewKey draws a key.
func NewKey() Key {
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // the operating system has no randomness
	}
	return Key(priv)
}

// Public implements chain.Signer.
func (k Key) Public() ed25519.PublicKey { return ed25519.PrivateKey(k).Public().(ed25519.PublicKey) }

// Sign implements chain.Signer.
func (k Key) Sign(m []byte) []byte { return ed25519.Sign(ed25519.PrivateKey(k), m) }

// Forge makes a household with one hub, and parts that verify like real ones,
// though nothing is in them: their ciphertext is random.
type Forge struct {
	t      testing.TB
	Hub    Key
	State  chain.State
	Notes  [][]byte
	Tracks []latchkey.TrackID
	n      uint64
	prev   latchkey.Hash
}

// NewForge makes a household whose hub records that many tracks.
func NewForge(t testing.TB, tracks int) *Forge {
	t.Helper()
	f := &Forge{t: t, Hub: NewKey()}
	founder, now := NewKey(), time.Now().Unix()
	head := func() chain.Head {
		h := chain.Head{Household: f.State.Household, Prev: f.State.Hash, Time: now, By: chain.KidOf(founder.Public())}
		if len(f.Notes) > 0 {
			h.Seq = f.State.Seq + 1
		}
		rand.Read(h.Salt[:])
		return h
	}
	add := func(s chain.Statement) {
		text, err := s.Text()
		if err != nil {
			t.Fatal(err)
		}
		f.Notes = append(f.Notes, chain.SignNote(text, founder))
		if f.State, err = chain.Replay(f.Notes, now); err != nil {
			t.Fatal(err)
		}
	}
	add(chain.Genesis{Head: head(), Ed: founder.Public(), X: random(chain.XSize), Recovery: NewKey().Public()})
	add(chain.AddHub{Head: head(), Ed: f.Hub.Public(), X: random(chain.XSize)})
	cam := chain.AddCamera{Head: head(), Camera: latchkey.CameraID(random(16))}
	for range tracks {
		id := latchkey.TrackID(random(16))
		f.Tracks = append(f.Tracks, id)
		cam.Tracks = append(cam.Tracks, chain.TrackDecl{ID: id, Kind: latchkey.KindVideo})
	}
	add(cam)
	return f
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// ForgedEpoch makes the parts of one epoch.
type ForgedEpoch struct {
	f       *Forge
	ID      latchkey.EpochID
	Message *latchkeyv1.UplinkEpoch
	signer  Key
	hash    latchkey.Hash
	next    map[latchkey.TrackID]uint32
	prev    map[latchkey.TrackID]latchkey.Hash
}

// Epoch makes the hub's next epoch.
func (f *Forge) Epoch() *ForgedEpoch {
	f.t.Helper()
	e := &ForgedEpoch{
		f: f, ID: latchkey.EpochID(random(16)), signer: NewKey(),
		next: map[latchkey.TrackID]uint32{}, prev: map[latchkey.TrackID]latchkey.Hash{},
	}
	capsule := random(1226)
	line := chain.SealLine{Kid: f.State.Recipients(0)[0].Kid, Hash: sha256.Sum256(capsule)}
	note := chain.EpochNote{
		Household: f.State.Household, Hub: chain.KidOf(f.Hub.Public()), N: f.n, Prev: f.prev, Epoch: e.ID,
		Start: time.Now().Unix(), ChainSeq: f.State.Seq, ChainHash: f.State.Hash, Signer: e.signer.Public(),
		Seals: chain.Seals([]chain.SealLine{line}),
	}
	for _, t := range f.Tracks {
		note.Tracks = append(note.Tracks, chain.TrackCommit{Track: t, Commit: latchkey.Hash(random(32))})
	}
	text, err := note.Text()
	if err != nil {
		f.t.Fatal(err)
	}
	e.hash = chain.TextHash(text)
	f.n, f.prev = f.n+1, e.hash
	e.Message = &latchkeyv1.UplinkEpoch{
		Note:     chain.SignNote(text, f.Hub),
		Seals:    []*latchkeyv1.SealLine{{Kid: line.Kid[:], Hash: line.Hash[:]}},
		Capsules: []*latchkeyv1.SealedCapsule{{Kid: line.Kid[:], Capsule: capsule}},
	}
	return e
}

// Signer is the key that verifies the epoch's parts.
func (e *ForgedEpoch) Signer() ed25519.PublicKey { return e.signer.Public() }

// Part makes the next part of a track with that many bytes of ciphertext.
func (e *ForgedEpoch) Part(track latchkey.TrackID, slot uint32, flags part.Flags, size int) []byte {
	h := part.Header{
		Flags: flags, Slot: slot, Seq: e.next[track], CTLen: uint32(max(size, part.MinCT)), Epoch: e.ID, Track: track,
		Salt: [16]byte(random(16)), Prev: e.hash, Commit: latchkey.Hash(random(32)),
	}
	if p, ok := e.prev[track]; ok {
		h.Prev = p
	}
	raw := h.AppendTo(nil)
	raw = append(raw, random(int(h.CTLen))...)
	ph := latchkey.Hash(sha256.Sum256(raw))
	raw = append(raw, e.signer.Sign(part.SigMessage(ph))...)
	e.next[track]++
	e.prev[track] = ph
	return raw
}
