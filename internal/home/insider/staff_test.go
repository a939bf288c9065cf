package insider

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
)

// joined puts somebody of staff into the store's folder of staff, as `staff join`
// does: a machine key, and both keys sealed under it.
func (s *store) joined(t *testing.T) keys.Identity {
	t.Helper()
	m, err := keys.LoadMachineKey(filepath.Join(s.staff, "machine.key"))
	if err != nil {
		t.Fatal(err)
	}
	me := keys.NewIdentity()
	b, err := m.SealIdentity(me)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.staff, "staff.key"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return me
}

// twoKeys is a grant to somebody of staff for seconds 512 to 599 of the video,
// with the mask that covers its one key.
type twoKeys struct {
	grant   latchkey.GrantID
	mask    key
	name    [entryName]byte
	capsule []byte // masked, as it has to be
	open    []byte // the same without the mask
}

func (s *store) twoKeys(t *testing.T, to keys.Identity) twoKeys {
	t.Helper()
	video := s.tracks[0].ID
	g := twoKeys{grant: latchkey.GrantID(s.bytes(16)), mask: key(s.bytes(32))}
	copy(g.name[:], s.epoch[:])
	copy(g.name[16:], video[:])
	binary.BigEndian.PutUint32(g.name[32:], 8<<24|1)
	node := s.node(video, 8, 512)
	var p prf
	p.set(g.mask[:])
	cover, covered := p.kdf("release", g.name[:], nil), node
	for i := range covered {
		covered[i] ^= cover[i]
	}
	seal := func(k key) []byte {
		b, err := keys.SealCapsule(s.state.Household, g.grant, to.Sealing.Public(), slices.Concat([]byte{0, 1}, g.name[:], k[:]))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	g.capsule, g.open = seal(covered), seal(node)
	return g
}

// publish writes the statement of the grant, with the hash of one of its capsules.
func (s *store) publish(t *testing.T, g twoKeys, to keys.Identity, capsule []byte) {
	t.Helper()
	founder := keys.SigningFromSeed(fromSeed(t, s.edSeed))
	hub := latchkey.Kid{}
	for kid := range s.state.Hubs {
		hub = kid
	}
	s.apply(t, founder, chain.AddGrant{
		Head:  chain.Head{Household: s.state.Household, Seq: s.state.Seq + 1, Prev: s.state.Hash, Time: start, By: founder.Kid()},
		Grant: g.grant, To: to.Sealing.Kid(), Key: to.Sealing.Public(), Kind: chain.GrantStaff, Purpose: "support:7",
		Tracks: []chain.TrackRange{{Track: s.tracks[0].ID, From: start + 512, Until: start + 600}}, Until: start + 3600,
		Hubs: []string{chain.VKey("lk."+hub.String(), s.state.Hubs[hub].Ed)}, Release: hub, Capsule: chain.TextHash(capsule), Mask: latchkey.Hash{1},
	})
	s.write(t, "grants/statement", s.notes[len(s.notes)-1])
}

// C1, C14: who has all of the server and the keys of staff opens nothing, without
// a grant and with one; with the hub's mask, or a capsule that forgot it, he does.
func TestC14StaffKeys(t *testing.T) {
	s := newStore(t, 600, 300)
	me := s.joined(t)
	r := s.scan(t)
	if len(r.Findings) > 0 || r.Known.Held < 1 || r.Known.Opened > 0 {
		t.Fatalf("without a grant: %+v, found %+v", r.Known, r.Findings)
	}
	g := s.twoKeys(t, me)
	s.publish(t, g, me, g.capsule)
	s.write(t, "grants/capsules", slices.Concat(s.bytes(99), g.capsule, s.bytes(500)))
	r = s.scan(t)
	if len(r.Findings) > 0 || r.Known.Opened != 1 || r.Tests["mask"] == 0 {
		t.Fatalf("with a grant: %+v, %d masks tried, found %+v", r.Known, r.Tests["mask"], r.Findings)
	}
	if s.staff = t.TempDir(); len(s.scan(t).Findings) > 0 {
		t.Error("without the keys of staff the capsule opens")
	}
}

func TestC14StaffKeysBites(t *testing.T) {
	sealedMask := func(t *testing.T, s *store, g twoKeys, to *keys.Sealing) []byte {
		kid := to.Kid()
		b, err := keys.SealHPKE(to.Public(), slices.Concat([]byte("latchkey/v1 release\x00"), s.state.Household[:], g.grant[:], kid[:]), g.mask[:])
		if err != nil {
			t.Fatal(err)
		}
		return slices.Concat([]byte("LKM1"), kid[:], b)
	}
	for name, c := range map[string]struct {
		kind  Kind
		plant func(t *testing.T, s *store, g twoKeys, me keys.Identity)
	}{
		"a mask in a log": {KindMask, func(t *testing.T, s *store, g twoKeys, _ keys.Identity) {
			s.write(t, "log/more", slices.Concat(s.bytes(50), g.mask[:], s.bytes(50)))
		}},
		"a mask that is sealed to staff": {KindMask, func(t *testing.T, s *store, g twoKeys, me keys.Identity) {
			s.write(t, "grants/masks", sealedMask(t, s, g, me.Sealing))
		}},
		"a release that was kept": {KindMask, func(t *testing.T, s *store, g twoKeys, me keys.Identity) {
			var p prf
			p.set(g.mask[:])
			part := p.kdf("release", g.name[:], nil)
			b, err := keys.SealReleased(s.state.Household, g.grant, me.Sealing.Public(), slices.Concat([]byte{0, 1}, g.name[:], part[:]))
			if err != nil {
				t.Fatal(err)
			}
			s.write(t, "grants/released", append(b, s.bytes(70)...))
		}},
		"a capsule without a mask": {KindNode, func(t *testing.T, s *store, g twoKeys, _ keys.Identity) {
			s.write(t, "grants/capsules", g.open)
		}},
		"a household's key among those of staff": {KindSealingKey, func(t *testing.T, s *store, _ twoKeys, _ keys.Identity) {
			if err := os.WriteFile(filepath.Join(s.staff, "agent.key"), s.xSeed[:], 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		"a key of staff at the server": {KindSealingKey, func(t *testing.T, s *store, g twoKeys, me keys.Identity) {
			m, err := keys.LoadMachineKey(filepath.Join(s.staff, "machine.key"))
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(filepath.Join(s.staff, "staff.key"))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := m.OpenLocal("identity", b)
			if err != nil {
				t.Fatal(err)
			}
			s.write(t, "log/more", plain)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, 600, 60)
			me := s.joined(t)
			g := s.twoKeys(t, me)
			capsule := g.capsule
			if c.kind == KindNode {
				capsule = g.open
			}
			s.publish(t, g, me, capsule)
			s.write(t, "grants/capsules", g.capsule)
			c.plant(t, s, g, me)
			r := s.scan(t)
			if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Kind == c.kind }) {
				t.Errorf("not found: %+v, %+v", r.Known, r.Findings)
			}
		})
	}
}
