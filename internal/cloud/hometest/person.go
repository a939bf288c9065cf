package hometest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
)

// Person is a member: his keys, and the device that he signs in from.
type Person struct {
	Home          *Home
	Key, Recovery Key
	X             []byte
	Device        Device
}

// Device is what a client keeps of itself.
type Device struct {
	ID     [16]byte
	Secret []byte // empty until a server has given one
}

func (h *Home) newPerson() *Person {
	r := h.Rand
	return &Person{Home: h, Key: r.Key(), Recovery: r.Key(), X: r.Bytes(xSize), Device: r.Device()}
}

// Device draws a device that is not enrolled.
func (r *Rand) Device() Device { return Device{ID: r.ID()} }

// Kid names the member.
func (p *Person) Kid() latchkey.Kid { return p.Key.Kid() }

// XKid names his sealing key.
func (p *Person) XKid() latchkey.Kid { return chain.KidOf(p.X) }

// sealed has the form of an object sealed to a key: n random bytes for the
// ciphertext.
func (r *Rand) sealed(magic string, to latchkey.Kid, n int) []byte {
	b := append([]byte(magic), to[:]...)
	return append(b, r.Bytes(1120+16+n)...)
}

// Letter has the form of a letter to him.
func (p *Person) Letter() []byte { return p.Home.Rand.sealed("LKS1", p.XKid(), 20) }

// Capsule has the form of a capsule for him.
func (p *Person) Capsule() []byte { return p.Home.Rand.sealed("LKC1", p.XKid(), 70) }

// Vault returns objects that have the form of his sealed vault of the given
// version, a recovery wrap, and a recovery id.
func (p *Person) Vault(version uint32) (vault, wrap, recoveryID []byte) {
	r := p.Home.Rand
	vault = binary.BigEndian.AppendUint32([]byte("LKV1"), version)
	kid := p.Kid()
	vault = append(append(vault, kid[:]...), r.Bytes(16+100)...)
	return vault, r.wrap(2, [32]byte{}), r.Bytes(16)
}

func (r *Rand) wrap(kind byte, credential [32]byte) []byte {
	w := append([]byte("LKW1"), kind)
	return append(append(w, credential[:]...), r.Bytes(16+48)...)
}

// PasskeyWrap has the form of a wrap by the passkey of this credential id.
func (r *Rand) PasskeyWrap(credential []byte) []byte { return r.wrap(1, sha256.Sum256(credential)) }

// Rights are what a member statement gives. No tracks: all of them.
type Rights struct {
	Role   chain.Role
	Share  bool
	Tracks []latchkey.TrackID
	None   bool // no track at all
}

func (p *Person) statement(head chain.Head, r Rights) chain.AddMember {
	return chain.AddMember{
		Head: head, Ed: p.Key.Public(), X: p.X, Recovery: p.Recovery.Public(), Role: r.Role, Share: r.Share,
		AllTracks: len(r.Tracks) == 0 && !r.None, Tracks: slices.Clone(r.Tracks),
	}
}

// AddMember signs a person in and returns the statement.
func (h *Home) AddMember(r Rights) (*Person, []byte, error) {
	p := h.newPerson()
	raw, err := h.sign(p.statement(h.head(), r))
	return p, raw, err
}

// Restate signs other rights for a member.
func (h *Home) Restate(p *Person, r Rights) ([]byte, error) {
	return h.sign(p.statement(h.head(), r))
}

// AddSelf is a member statement that a stranger, or a member without the
// right, signs for a key of his own. The chain refuses it.
func (h *Home) AddSelf(by Key) ([]byte, error) {
	return h.note(h.newPerson().statement(h.headBy(by), Rights{Role: chain.RoleAdmin, Share: true}), by)
}

// RemoveMember signs a person out and returns the statement.
func (h *Home) RemoveMember(p *Person) ([]byte, error) {
	return h.sign(chain.Unmember{Head: h.head(), Kid: p.Kid()})
}

// Rekey says which keys of a person are replaced.
type Rekey struct{ Ed, X, Recovery, ByRecovery bool }

// Rekey replaces keys of a person, whose fields are then the new ones.
func (p *Person) Rekey(r Rekey) ([]byte, error) {
	h, by := p.Home, p.Key
	if r.ByRecovery {
		by = p.Recovery
	}
	fresh := h.newPerson()
	st := chain.Rekey{Head: h.headBy(by), Kid: p.Kid()}
	if r.Ed {
		st.Ed, p.Key = fresh.Key.Public(), fresh.Key
	}
	if r.X {
		st.X, p.X = fresh.X, fresh.X
	}
	if r.Recovery {
		st.Recovery, p.Recovery = fresh.Recovery.Public(), fresh.Recovery
	}
	raw, err := h.take(st, by)
	if p == h.Founder {
		h.Admin, h.Recovery = p.Key, p.Recovery
	}
	return raw, err
}

// Grant signs footage of the past over to a member and returns its id, the
// statement, and what has the form of its capsule.
func (p *Person) Grant(to *Person, until int64, ranges ...chain.TrackRange) (id latchkey.GrantID, raw, capsule []byte, err error) {
	capsule = to.Capsule()
	id, raw, err = p.GrantCapsule(to, until, capsule, ranges...)
	return id, raw, capsule, err
}

// GrantCapsule is Grant with a capsule of the caller's.
func (p *Person) GrantCapsule(to *Person, until int64, capsule []byte, ranges ...chain.TrackRange) (id latchkey.GrantID, raw []byte, err error) {
	h := p.Home
	id = h.Rand.ID()
	raw, err = h.take(chain.AddGrant{
		Head: h.headBy(p.Key), Grant: id, To: to.XKid(), Kind: chain.GrantMember, Purpose: "history",
		Tracks: ranges, Until: until, Capsule: sha256.Sum256(capsule),
	}, p.Key)
	return id, raw, err
}

// Link is a grant to whoever holds a link, and what has the form of what the
// server keeps for him.
type Link struct {
	Grant               latchkey.GrantID
	Kid                 latchkey.Kid // of the link's key
	Capsule, MAC, Words []byte
}

// Link signs footage of the past, which this hub filmed, over to whoever holds a
// link, and returns the statement too.
func (p *Person) Link(hub *Hub, until int64, ranges ...chain.TrackRange) (Link, []byte, error) {
	h := p.Home
	x := h.Rand.Bytes(xSize)
	l := Link{Grant: h.Rand.ID(), Kid: chain.KidOf(x), MAC: h.Rand.Bytes(32), Words: append([]byte("LKT1"), h.Rand.Bytes(16+16+60)...)}
	l.Capsule = h.Rand.sealed("LKC1", l.Kid, 70)
	raw, err := h.take(chain.AddGrant{
		Head: h.headBy(p.Key), Grant: l.Grant, To: l.Kid, Key: x, Kind: chain.GrantLink, Purpose: "link",
		Tracks: ranges, Until: until, Hubs: []string{chain.VKey("lk."+hub.Key.Kid().String(), hub.Key.Public())}, Capsule: sha256.Sum256(l.Capsule),
	}, p.Key)
	return l, raw, err
}

// GrantStanding gives a member stretches of what is still to be filmed.
func (p *Person) GrantStanding(to *Person, until int64, ranges ...chain.TrackRange) (id latchkey.GrantID, raw []byte, err error) {
	h := p.Home
	id = h.Rand.ID()
	raw, err = h.take(chain.AddGrant{
		Head: h.headBy(p.Key), Grant: id, To: to.XKid(), Kind: chain.GrantMember, Purpose: "neighbour", Tracks: ranges, Until: until, Standing: true,
	}, p.Key)
	return id, raw, err
}

// Revoke ends a grant.
func (p *Person) Revoke(id latchkey.GrantID) ([]byte, error) {
	return p.Home.take(chain.Revoke{Head: p.Home.headBy(p.Key), Grant: id}, p.Key)
}

// StaffGrant lets somebody of staff see footage, with the release of a hub, for a
// ticket; mask has the form of what is sealed to the hub.
func (p *Person) StaffGrant(hub *Hub, x []byte, ticket uint64, until int64, ranges ...chain.TrackRange) (id latchkey.GrantID, raw, capsule, mask []byte, err error) {
	h := p.Home
	id = h.Rand.ID()
	capsule, mask = h.Rand.sealed("LKC1", chain.KidOf(x), 70), h.Rand.sealed("LKM1", chain.KidOf(h.State.Hubs[hub.Key.Kid()].X), 32)
	raw, err = h.take(chain.AddGrant{
		Head: h.headBy(p.Key), Grant: id, To: chain.KidOf(x), Key: x, Kind: chain.GrantStaff, Purpose: fmt.Sprintf("support:%d", ticket),
		Tracks: ranges, Until: until, Hubs: []string{chain.VKey("lk."+hub.Key.Kid().String(), hub.Key.Public())}, Capsule: sha256.Sum256(capsule),
		Release: hub.Key.Kid(), Mask: sha256.Sum256(mask),
	}, p.Key)
	return id, raw, capsule, mask, err
}
