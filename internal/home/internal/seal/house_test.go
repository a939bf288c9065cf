package seal

import (
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/chain"
	"latchkey.dev/latchkey/internal/home/internal/keys"
	"latchkey.dev/latchkey/part"
)

// start is when test households begin.
const start = 1_790_000_000

// house is a household with one founder, one hub and one camera of all kinds.
type house struct {
	ed, hub *keys.Signing
	x       *keys.Sealing
	state   chain.State
	tracks  []Track
}

func newHouse(tb testing.TB) *house {
	tb.Helper()
	h := &house{ed: keys.NewSigning(), hub: keys.NewSigning(), x: keys.NewSealing()}
	h.apply(tb, chain.Genesis{
		Head: chain.Head{Time: start, By: h.ed.Kid()}, Ed: h.ed.Public(), X: h.x.Public(), Recovery: keys.NewSigning().Public(),
	})
	h.apply(tb, chain.AddHub{Head: h.head(), Ed: h.hub.Public(), X: keys.NewSealing().Public()})
	h.addCamera(tb, latchkey.KindVideo, latchkey.KindVideoSub, latchkey.KindAudio, latchkey.KindMeta, latchkey.KindBio)
	return h
}

func (h *house) head() chain.Head {
	return chain.Head{Household: h.state.Household, Seq: h.state.Seq + 1, Prev: h.state.Hash, Time: start, By: h.ed.Kid()}
}

func (h *house) apply(tb testing.TB, s chain.Statement) {
	tb.Helper()
	text, err := s.Text()
	if err != nil {
		tb.Fatal(err)
	}
	note, err := chain.ParseNote(chain.SignNote(text, h.ed))
	if err != nil {
		tb.Fatal(err)
	}
	if h.state, err = chain.Apply(h.state, note, start); err != nil {
		tb.Fatal(err)
	}
}

// addCamera declares a camera with one track of each kind.
func (h *house) addCamera(tb testing.TB, kinds ...latchkey.TrackKind) {
	tb.Helper()
	cam := chain.AddCamera{Head: h.head(), Camera: latchkey.CameraID{byte(len(h.tracks) + 1)}}
	for _, k := range kinds {
		t := Track{ID: latchkey.TrackID{0xb0, byte(len(h.tracks))}, Kind: k}
		h.tracks = append(h.tracks, t)
		cam.Tracks = append(cam.Tracks, chain.TrackDecl{ID: t.ID, Kind: t.Kind})
	}
	h.apply(tb, cam)
}

// addMember admits somebody who sees only the given tracks.
func (h *house) addMember(tb testing.TB, tracks ...latchkey.TrackID) (*keys.Signing, *keys.Sealing) {
	tb.Helper()
	ed, x := keys.NewSigning(), keys.NewSealing()
	h.apply(tb, chain.AddMember{
		Head: h.head(), Ed: ed.Public(), X: x.Public(), Recovery: keys.NewSigning().Public(),
		Role: chain.RoleViewer, Tracks: tracks,
	})
	return ed, x
}

func (h *house) params() EpochParams {
	return EpochParams{
		Household: h.state.Household, Hub: h.hub, Start: time.Unix(start, 0), ClockSynced: true, Chain: h.state, Tracks: h.tracks,
	}
}

// epoch starts an epoch with the parameters as change leaves them.
func (h *house) epoch(tb testing.TB, change ...func(*EpochParams)) (*Epoch, Announcement) {
	tb.Helper()
	p := h.params()
	for _, c := range change {
		c(&p)
	}
	e, ann, err := NewEpoch(p)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(e.Close)
	return e, ann
}

// material is what the server would hand the founder.
func (h *house) material(ann Announcement) EpochMaterial {
	return h.materialFor(ann, h.x)
}

func (h *house) materialFor(ann Announcement, x *keys.Sealing) EpochMaterial {
	m := EpochMaterial{Note: ann.Note, Seals: ann.Seals, Chain: h.state}
	for _, c := range ann.Capsules {
		if c.Kid == x.Kid() {
			m.Capsule = c.Bytes
		}
	}
	return m
}

// opener is the founder's, knowing the announced epochs.
func (h *house) opener(tb testing.TB, anns ...Announcement) *Opener {
	tb.Helper()
	o := NewOpener(h.state.Household)
	for _, ann := range anns {
		if _, err := o.AddEpoch(h.material(ann), []*keys.Sealing{h.x}); err != nil {
			tb.Fatal(err)
		}
	}
	return o
}

// seal seals n parts, one a slot from first, with random contents.
func sealParts(tb testing.TB, e *Epoch, track latchkey.TrackID, first uint32, n int) []part.Part {
	tb.Helper()
	parts := make([]part.Part, n)
	for i := range parts {
		parts[i] = sealPart(tb, e, track, first+uint32(i), 0, rand.N(900))
	}
	return parts
}

func sealPart(tb testing.TB, e *Epoch, track latchkey.TrackID, slot uint32, flags part.Flags, size int) part.Part {
	tb.Helper()
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	raw, err := e.Seal(track, slot, flags, part.Record{Type: part.RecordFragment, Data: data})
	if err != nil {
		tb.Fatal(err)
	}
	p, err := part.Parse(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// frozen is a source of randomness that a cloned machine would share: the same
// bytes from the start for each reader made from one seed.
func frozen(seed uint64) io.Reader {
	var s [32]byte
	s[0] = byte(seed)
	return rand.NewChaCha8(s)
}
