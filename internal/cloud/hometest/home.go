// Package hometest plays a household to the server's tests: signed statements,
// epochs and parts that verify, with random bytes where ciphertext would be.
// The server cannot tell the difference, which is the point. Tests only.
package hometest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/part"
)

const xSize = chain.XSize

// Key signs notes.
type Key struct{ private ed25519.PrivateKey }

// Public implements chain.Signer.
func (k Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Sign implements chain.Signer.
func (k Key) Sign(message []byte) []byte { return ed25519.Sign(k.private, message) }

// Kid is the short name of the key.
func (k Key) Kid() latchkey.Kid { return chain.KidOf(k.Public()) }

// Rand is a deterministic source of keys, ids and "ciphertext".
type Rand struct {
	mu sync.Mutex
	c  *rand.ChaCha8
}

// NewRand seeds a source.
func NewRand(seed uint64) *Rand {
	var s [32]byte
	binary.BigEndian.PutUint64(s[:], seed)
	return &Rand{c: rand.NewChaCha8(s)}
}

// Fill fills b.
func (r *Rand) Fill(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = r.c.Read(b) // it never fails
}

// ID draws an identifier.
func (r *Rand) ID() (id [16]byte) {
	r.Fill(id[:])
	return id
}

// Bytes draws n bytes.
func (r *Rand) Bytes(n int) []byte {
	b := make([]byte, n)
	r.Fill(b)
	return b
}

// Key draws a signing key.
func (r *Rand) Key() Key { return Key{ed25519.NewKeyFromSeed(r.Bytes(ed25519.SeedSize))} }

// Home is a household whose members can append statements.
type Home struct {
	Rand    *Rand
	Founder *Person
	// Admin and Recovery are the founder's keys.
	Admin    Key
	Recovery Key
	State    chain.State
	Chain    [][]byte
	// LogTagKey is K_tag, which the operator knows too.
	LogTagKey [32]byte
}

// New founds a household without an operator: a server can write nothing into its chain.
func New(seed uint64) (*Home, error) { return NewUnder(seed, "", "") }

// NewUnder founds a household under an operator, whose statements its chain takes,
// and a log; the server appends those without asking this copy of the chain.
func NewUnder(seed uint64, operator, log string) (*Home, error) {
	h := &Home{Rand: NewRand(seed)}
	h.Founder = h.newPerson()
	h.Admin, h.Recovery = h.Founder.Key, h.Founder.Recovery
	h.LogTagKey = [32]byte(h.Rand.Bytes(32))
	g := chain.Genesis{
		Head: chain.Head{Time: time.Now().Unix(), By: h.Admin.Kid(), Salt: h.Rand.ID()},
		Ed:   h.Admin.Public(), X: h.Founder.X, Recovery: h.Recovery.Public(), KTag: sha256.Sum256(h.LogTagKey[:]),
		Operator: operator, Log: log,
	}
	_, err := h.take(g, h.Admin)
	return h, err
}

// take signs a statement and adds it to the household's own copy of its chain.
func (h *Home) take(s chain.Statement, by Key) ([]byte, error) {
	raw, err := h.note(s, by)
	if err != nil {
		return nil, err
	}
	n, err := chain.ParseNote(raw)
	if err != nil {
		return nil, err
	}
	state, err := chain.Apply(h.State, n, time.Now().Unix())
	if err != nil {
		return nil, err
	}
	h.State, h.Chain = state, append(h.Chain, raw)
	return raw, nil
}

// note signs a statement that the household's own copy of the chain does not get.
func (h *Home) note(s chain.Statement, by Key) ([]byte, error) {
	text, err := s.Text()
	if err != nil {
		return nil, err
	}
	return chain.SignNote(text, by), nil
}

func (h *Home) sign(s chain.Statement) ([]byte, error) { return h.take(s, h.Admin) }

func (h *Home) head() chain.Head { return h.headBy(h.Admin) }

func (h *Home) headBy(k Key) chain.Head {
	return chain.Head{
		Household: h.State.Household, Seq: h.State.Seq + 1, Prev: h.State.Hash, Time: time.Now().Unix(),
		By: k.Kid(), Salt: h.Rand.ID(),
	}
}

// ID is the household's.
func (h *Home) ID() latchkey.HouseholdID { return h.State.Household }

// Vault is Founder.Vault.
func (h *Home) Vault(version uint32) (vault, wrap, recoveryID []byte) {
	return h.Founder.Vault(version)
}

// Hub is a hub of the household.
type Hub struct {
	Home *Home
	Key  Key
	n    uint64
	prev latchkey.Hash
}

// AddHub signs a hub in and returns the statement.
func (h *Home) AddHub() (*Hub, []byte, error) {
	k := h.Rand.Key()
	raw, err := h.sign(chain.AddHub{Head: h.head(), Ed: k.Public(), X: h.Rand.Bytes(xSize)})
	return &Hub{Home: h, Key: k}, raw, err
}

// AddClone signs the keys of another household's hub in: a copy of its disk.
func (h *Home) AddClone(hub *Hub) (*Hub, []byte, error) {
	raw, err := h.sign(chain.AddHub{Head: h.head(), Ed: hub.Key.Public(), X: h.Rand.Bytes(xSize)})
	return &Hub{Home: h, Key: hub.Key}, raw, err
}

// EnrolAgain signs the keys of a hub in a second time, which the rules forbid.
// The household's own copy of the chain stays as it is.
func (h *Home) EnrolAgain(hub *Hub) ([]byte, error) {
	return h.note(chain.AddHub{Head: h.head(), Ed: hub.Key.Public(), X: h.Rand.Bytes(xSize)}, h.Admin)
}

// Anchor signs an anchor of epochs of the hub behind the household's own copy of
// the chain, which does not get it.
func (hub *Hub) Anchor(epochs ...latchkey.Hash) ([]byte, error) {
	return hub.Home.note(chain.Anchor{Head: hub.Home.headBy(hub.Key), Epochs: epochs}, hub.Key)
}

// RemoveHub signs a hub out and returns the statement.
func (h *Home) RemoveHub(hub *Hub) ([]byte, error) {
	return h.sign(chain.Unhub{Head: h.head(), Kid: hub.Key.Kid()})
}

// AddCamera declares n video tracks and returns the statement.
func (h *Home) AddCamera(n int) ([]latchkey.TrackID, []byte, error) {
	var ids []latchkey.TrackID
	var tracks []chain.TrackDecl
	for range n {
		id := latchkey.TrackID(h.Rand.ID())
		ids = append(ids, id)
		tracks = append(tracks, chain.TrackDecl{ID: id, Kind: latchkey.KindVideo})
	}
	raw, err := h.sign(chain.AddCamera{Head: h.head(), Camera: h.Rand.ID(), Tracks: tracks})
	return ids, raw, err
}

// Login answers a challenge with a key.
func (h *Home) Login(k Key, server string, nonce []byte) ([]byte, error) {
	text, err := chain.Login{
		Household: h.ID(), By: k.Kid(), Server: server, Nonce: [16]byte(nonce), Time: time.Now().Unix(),
	}.Text()
	if err != nil {
		return nil, err
	}
	return chain.SignNote(text, k), nil
}

// Epoch is one epoch of a hub: its announcement, and the state of its sealer.
type Epoch struct {
	ID       latchkey.EpochID
	Start    int64
	Note     []byte
	NoteHash latchkey.Hash
	Seals    []chain.SealLine
	Capsules [][]byte // in the order of Seals
	Signer   Key

	rand *Rand
	hub  *Hub

	mu   sync.Mutex
	next map[latchkey.TrackID]uint32
	prev map[latchkey.TrackID]latchkey.Hash
}

// NewEpoch announces an epoch over the tracks.
func (hub *Hub) NewEpoch(start time.Time, tracks []latchkey.TrackID) (*Epoch, error) {
	r := hub.Home.Rand
	e := &Epoch{
		ID: r.ID(), Start: start.Unix(), Signer: r.Key(), rand: r, hub: hub,
		next: map[latchkey.TrackID]uint32{}, prev: map[latchkey.TrackID]latchkey.Hash{},
	}
	for _, to := range hub.Home.State.Recipients(start.Unix()) {
		c := r.sealed("LKC1", to.Kid, 60)
		e.Capsules = append(e.Capsules, c)
		e.Seals = append(e.Seals, chain.SealLine{Kid: to.Kid, Hash: sha256.Sum256(c)})
	}
	hub.n++
	note := chain.EpochNote{
		Household: hub.Home.ID(), Hub: hub.Key.Kid(), N: hub.n, Prev: hub.prev, Epoch: e.ID, Start: e.Start, ClockSynced: true,
		ChainSeq: hub.Home.State.Seq, ChainHash: hub.Home.State.Hash, Signer: e.Signer.Public(), Seals: chain.Seals(e.Seals),
	}
	for _, t := range tracks {
		note.Tracks = append(note.Tracks, chain.TrackCommit{Track: t, Commit: latchkey.Hash(r.Bytes(latchkey.HashSize))})
	}
	text, err := note.Text()
	if err != nil {
		return nil, fmt.Errorf("hometest: epoch: %w", err)
	}
	e.Note, e.NoteHash = chain.SignNote(text, hub.Key), chain.TextHash(text)
	hub.prev = e.NoteHash
	return e, nil
}

// Fork is the epoch as it was before its first part, with the same signer: a
// hub that lies, or was cloned.
func (e *Epoch) Fork() *Epoch {
	return &Epoch{
		ID: e.ID, Start: e.Start, Note: e.Note, NoteHash: e.NoteHash, Seals: e.Seals, Capsules: e.Capsules, Signer: e.Signer,
		rand: e.rand, hub: e.hub, next: map[latchkey.TrackID]uint32{}, prev: map[latchkey.TrackID]latchkey.Hash{},
	}
}

// Part makes the next part of a track: size bytes of ciphertext in slot.
func (e *Epoch) Part(track latchkey.TrackID, slot uint32, flags part.Flags, size int) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	prev, ok := e.prev[track]
	if !ok {
		prev = e.NoteHash
	}
	h := part.Header{
		Flags: flags, Slot: slot, Seq: e.next[track], CTLen: uint32(size), Epoch: e.ID, Track: track,
		Salt: e.rand.ID(), Prev: prev, Commit: latchkey.Hash(e.rand.Bytes(latchkey.HashSize)),
	}
	raw := h.AppendTo(make([]byte, 0, h.Size()))
	raw = raw[:part.HeaderSize+size]
	e.rand.Fill(raw[part.HeaderSize:])
	ph := latchkey.Hash(sha256.Sum256(raw))
	raw = append(raw, e.Signer.Sign(part.SigMessage(ph))...)
	e.next[track], e.prev[track] = h.Seq+1, ph
	return raw
}

// Heads signs a heads note about what was made so far.
func (e *Epoch) Heads(n uint64) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := chain.Heads{
		Household: e.hub.Home.ID(), Hub: e.hub.Key.Kid(), Epoch: e.ID, N: n, Time: time.Now().Unix(),
		ChainSeq: e.hub.Home.State.Seq, ChainHash: e.hub.Home.State.Hash,
	}
	for t, next := range e.next {
		h.Heads = append(h.Heads, chain.HeadOf{Track: t, Seq: next - 1, Hash: e.prev[t]})
	}
	text, err := h.Text()
	if err != nil {
		return nil, err
	}
	return chain.SignNote(text, e.Signer), nil
}
