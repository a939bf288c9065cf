package main

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"latchkey.dev/latchkey"
	latchkeyv1 "latchkey.dev/latchkey/internal/api/latchkey/v1"
	"latchkey.dev/latchkey/internal/home/member"
	"latchkey.dev/latchkey/part"
)

// scene is a household with some footage, and a person who meets the cloud
// only through a liar.
type scene struct {
	demo      *demo
	liar      *liar
	home      string // of the person behind the liar
	span      member.Span
	neighbour [][]byte // parts of another household's camera
	driveway  []part.Part
	earlier   []part.Part // porch, an epoch before span
	porch     []part.Part // porch, in span
}

// newScene records two epochs of two households. It costs half a minute, so
// that all lies share one.
func newScene(t *testing.T) *scene {
	d := startDemo(t)
	n := startNeighbour(t, d)
	s := &scene{demo: d, liar: newLiar(t, d.server), home: filepath.Join(t.TempDir(), "bob")}
	first := recorded(t, d.client, "porch", 3*time.Second)
	cam := member.NewCamera{Name: "spare", URL: "rtsp://127.0.0.1:1/none"}
	if _, err := d.client.AddCamera(t.Context(), cam); err != nil { // a new track is a new epoch
		t.Fatal(err)
	}
	c := s.person(t)
	s.earlier = s.collect(t, c, "porch", first)
	// Epochs are ten seconds apart at least, and one begins where the camera is
	// between two key frames: what is read of the second has to begin in it too.
	eventually(t, "the second epoch", func() bool {
		now := time.Now()
		newest := s.collect(t, c, "porch", member.Span{From: now.Add(-4 * time.Second), To: now})
		return newest[0].Header.Epoch != s.earlier[len(s.earlier)-1].Header.Epoch
	})
	s.span.From = time.Now().Add(time.Second)
	s.span.To = s.span.From.Add(4 * time.Second)
	// A loss in the newest ten seconds may only be late: older footage is judged.
	eventually(t, "footage of the second epoch, past the live edge", func() bool {
		return recorded(t, d.client, "porch", 3*time.Second).To.Sub(s.span.From) > 15*time.Second
	})
	s.porch = s.collect(t, c, "porch", s.span)
	s.driveway = s.collect(t, c, "driveway", s.span)
	if s.earlier[0].Header.Epoch == s.porch[0].Header.Epoch {
		t.Fatal("both spans are of one epoch")
	}
	theirs := recorded(t, n.client, "porch", 2*time.Second)
	other := newLiar(t, d.server)
	nc := recoverAt(t, filepath.Join(t.TempDir(), "eve"), other.URL, n.code)
	for _, p := range collectVia(t, other, nc, "porch", theirs) {
		s.neighbour = append(s.neighbour, p.Raw)
	}
	return s
}

func recoverAt(t *testing.T, home, server, code string) *member.Client {
	t.Helper()
	c, err := member.Recover(t.Context(), member.Options{Home: home}, member.Recovery{Server: server, Code: code, Keep: true})
	if err != nil {
		t.Fatalf("recover: %v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// person opens the client behind the liar, with no memory of earlier tests but
// what lies on its disk.
func (s *scene) person(t *testing.T) *member.Client {
	t.Helper()
	c, err := member.Open(member.Options{Home: s.home})
	if err != nil {
		return recoverAt(t, s.home, s.liar.URL, s.demo.code)
	}
	t.Cleanup(c.Close)
	return c
}

func (s *scene) collect(t *testing.T, c *member.Client, camera string, span member.Span) []part.Part {
	t.Helper()
	return collectVia(t, s.liar, c, camera, span)
}

// collectVia exports honestly and keeps the sealed video parts that passed.
func collectVia(t *testing.T, l *liar, c *member.Client, camera string, span member.Span) []part.Part {
	t.Helper()
	video := videoTrack(t, c, camera)
	var got []part.Part
	l.tell(t, lie{footage: func(track string, parts []part.Part) ([]part.Part, bool) {
		if track == video {
			got = append(got, parts...)
		}
		return parts, true
	}})
	if _, err := export(t, c, camera, span); err != nil {
		t.Fatalf("export %s: %v", camera, err)
	}
	l.tell(t, lie{})
	if len(got) < 10 {
		t.Fatalf("%d parts of %s, want a few seconds", len(got), camera)
	}
	return got
}

func videoTrack(t *testing.T, c *member.Client, camera string) string {
	t.Helper()
	cams, err := c.Cameras(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, cam := range cams {
		if cam.Name == camera {
			v, _ := cam.Track(latchkey.KindVideo)
			return v.ID.String()
		}
	}
	t.Fatalf("no camera %q", camera)
	return ""
}

func export(t *testing.T, c *member.Client, camera string, span member.Span) (member.ExportReport, error) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "clip.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return c.Export(ctx, member.ExportRequest{Camera: camera, Span: span}, f)
}

// TestLyingServer: whatever a server does to footage, notes, capsules, index,
// chain or vault is refused, or shows as a gap with an alarm (claims C8 to C11, C24).
func TestLyingServer(t *testing.T) {
	if testing.Short() {
		t.Skip("records half a minute")
	}
	s := newScene(t)
	if r, err := export(t, s.person(t), "porch", s.span); err != nil || alarms(r.Gaps) != 0 {
		t.Fatalf("honest: %v, gaps %v", err, r.Gaps)
	}
	t.Run("footage", s.footageLies)
	t.Run("bits", s.flippedBits)
	t.Run("notes", s.noteLies)
	t.Run("index", s.indexLies)
	t.Run("past", s.pastLies)
	t.Run("live", s.liveLies)
}

func alarms(gaps []member.Gap) (n int) {
	for _, g := range gaps {
		if g.Alarm {
			n++
		}
	}
	return n
}

// outcome is what a lie has to end in.
type outcome int

const (
	refused outcome = iota // an error of kind verify
	shown                  // a gap with an alarm
	either
	told // a gap; the alarm comes when nothing vouches for 90 s
)

func (s *scene) footageLies(t *testing.T) {
	insert := func(parts []part.Part, raw []byte) []part.Part {
		p, err := part.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Insert(slices.Clone(parts), len(parts)/2, p)
	}
	foreign := s.neighbour[len(s.neighbour)/2]
	tests := []struct {
		name string
		want outcome
		lie  func([]part.Part) ([]part.Part, bool)
	}{
		{"drop one", shown, func(p []part.Part) ([]part.Part, bool) {
			return slices.Delete(slices.Clone(p), len(p)/2, len(p)/2+1), true
		}},
		{"drop many", shown, func(p []part.Part) ([]part.Part, bool) {
			return slices.Delete(slices.Clone(p), len(p)/3, 2*len(p)/3), true
		}},
		{"reorder", refused, func(p []part.Part) ([]part.Part, bool) {
			p = slices.Clone(p)
			p[len(p)/2], p[len(p)/2+1] = p[len(p)/2+1], p[len(p)/2]
			return p, true
		}},
		{"reverse", refused, func(p []part.Part) ([]part.Part, bool) {
			p = slices.Clone(p)
			slices.Reverse(p)
			return p, true
		}},
		{"duplicate", refused, func(p []part.Part) ([]part.Part, bool) { return insert(p, p[len(p)/2].Raw), true }},
		{"replay", refused, func(p []part.Part) ([]part.Part, bool) {
			return slices.Insert(slices.Clone(p), len(p)/2, p[:len(p)/4]...), true
		}},
		{"splice another track", refused, func(p []part.Part) ([]part.Part, bool) {
			return insert(p, s.driveway[len(s.driveway)/2].Raw), true
		}},
		{"splice an earlier epoch", refused, func(p []part.Part) ([]part.Part, bool) {
			return insert(p, s.earlier[len(s.earlier)/2].Raw), true
		}},
		{"splice another household", refused, func(p []part.Part) ([]part.Part, bool) { return insert(p, foreign), true }},
		{"all of another track", refused, func([]part.Part) ([]part.Part, bool) { return s.driveway, false }},
		{"all of an earlier time", shown, func([]part.Part) ([]part.Part, bool) { return s.earlier, false }},
		{"cut the tail", shown, func(p []part.Part) ([]part.Part, bool) { return p[:len(p)/2], false }},
		{"cut the beginning", shown, func(p []part.Part) ([]part.Part, bool) {
			i := len(p) / 2
			for i < len(p)-1 && p[i].Header.Flags&part.RAP == 0 {
				i++
			}
			return p[i:], true
		}},
		{"nothing", either, func([]part.Part) ([]part.Part, bool) { return nil, false }},
	}
	porch := videoTrack(t, s.person(t), "porch")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.liar.tell(t, lie{footage: func(track string, parts []part.Part) ([]part.Part, bool) {
				if track != porch {
					return parts, true
				}
				return tt.lie(parts)
			}})
			report, err := export(t, s.person(t), "porch", s.span)
			judge(t, tt.want, err, report.Gaps)
		})
	}
}

func judge(t *testing.T, want outcome, err error, gaps []member.Gap) {
	t.Helper()
	isRefused := errors.Is(err, latchkey.ErrVerify)
	isShown := err == nil && alarms(gaps) > 0
	ok := want == refused && isRefused || want == shown && (isShown || isRefused) || want == either && (err != nil || isShown) || want == told && err == nil && len(gaps) > 0
	if !ok {
		t.Errorf("passed: err = %v, gaps = %v", err, gaps)
	}
}

// flippedBits flips single bits anywhere in what the server sends of footage.
func (s *scene) flippedBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	c := s.person(t)
	for range 60 {
		flipped := false
		s.liar.tell(t, lie{raw: func(b []byte) []byte {
			if len(b) == 0 {
				return b
			}
			b = bytes.Clone(b)
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			flipped = true
			return b
		}})
		report, err := export(t, c, "porch", s.span)
		if !flipped {
			t.Fatal("nothing was flipped")
		}
		// A flipped length or type can make the answer unparsable: refused too.
		if err == nil || !errors.Is(err, latchkey.ErrVerify) && !errors.Is(err, latchkey.ErrInvalid) {
			t.Fatalf("a flipped bit passed: err = %v, gaps = %v", err, report.Gaps)
		}
	}
}

// noteLies swap capsules, seal lines, notes and heads.
func (s *scene) noteLies(t *testing.T) {
	epochs := func(change func([]*latchkeyv1.EpochInfo)) map[string]func([]byte) proto.Message {
		f := func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.ListEpochsResponse{})
			change(m.Epochs)
			return m
		}
		return map[string]func([]byte) proto.Message{"ListEpochs": f, "GetEpochs": f}
	}
	var other *latchkeyv1.EpochInfo // an earlier epoch of the same hub
	s.liar.tell(t, lie{answer: epochs(func(list []*latchkeyv1.EpochInfo) {
		if len(list) > 1 {
			other = list[0]
		}
	})})
	if _, err := export(t, s.person(t), "porch", s.span); err != nil {
		t.Fatal(err)
	}
	if other == nil {
		t.Fatal("the server never listed two epochs")
	}
	tests := map[string]func(*latchkeyv1.EpochInfo){
		"capsule of another epoch":   func(e *latchkeyv1.EpochInfo) { e.Capsule = other.Capsule },
		"no capsule":                 func(e *latchkeyv1.EpochInfo) { e.Capsule = nil },
		"bit flipped in the capsule": func(e *latchkeyv1.EpochInfo) { e.Capsule[len(e.Capsule)/2] ^= 1 },
		"bit flipped in the note":    func(e *latchkeyv1.EpochInfo) { e.Note[len(e.Note)/2] ^= 1 },
		"a seal line less":           func(e *latchkeyv1.EpochInfo) { e.Seals = e.Seals[1:] },
		"a seal line more": func(e *latchkeyv1.EpochInfo) {
			e.Seals = append(e.Seals, &latchkeyv1.SealLine{Kid: make([]byte, 16), Hash: make([]byte, 32)})
		},
		"seal lines of another epoch": func(e *latchkeyv1.EpochInfo) { e.Seals = other.Seals },
		"heads of another epoch":      func(e *latchkeyv1.EpochInfo) { e.Heads = other.Heads },
		"bit flipped in the heads":    func(e *latchkeyv1.EpochInfo) { e.Heads[len(e.Heads)/2] ^= 1 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			changed := false
			s.liar.tell(t, lie{answer: epochs(func(list []*latchkeyv1.EpochInfo) {
				for _, e := range list {
					if !bytes.Equal(e.Note, other.Note) && len(e.Heads) > 0 && len(e.Seals) > 0 && len(e.Capsule) > 0 {
						change(e)
						changed = true
					}
				}
			})})
			report, err := export(t, s.person(t), "porch", s.span)
			if !changed {
				t.Fatal("nothing was changed")
			}
			judge(t, refused, err, report.Gaps)
		})
	}
}

// indexLies change what the index says is there.
func (s *scene) indexLies(t *testing.T) {
	timeline := func(change func(*latchkeyv1.TimelineResponse)) map[string]func([]byte) proto.Message {
		return map[string]func([]byte) proto.Message{"Timeline": func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.TimelineResponse{})
			if len(m.Segments) > 0 {
				change(m)
			}
			return m
		}}
	}
	tests := map[string]map[string]func([]byte) proto.Message{
		"nothing there": timeline(func(r *latchkeyv1.TimelineResponse) { r.Segments = nil }),
		"tail cut": timeline(func(r *latchkeyv1.TimelineResponse) {
			for _, seg := range r.Segments {
				if n := seg.LastSeq - seg.FirstSeq; n > 100 {
					seg.LastSeq, seg.LastSlot = seg.FirstSeq+n/4, seg.FirstSlot+(seg.LastSlot-seg.FirstSlot)/4
				}
			}
		}),
		"one part left out": timeline(func(r *latchkeyv1.TimelineResponse) {
			last := r.Segments[len(r.Segments)-1]
			second := proto.Clone(last).(*latchkeyv1.Segment)
			middle := last.FirstSeq + (last.LastSeq-last.FirstSeq)/4
			slot := last.FirstSlot + (last.LastSlot-last.FirstSlot)/4
			last.LastSeq, last.LastSlot, second.FirstSeq, second.FirstSlot = middle, slot, middle+2, slot
			r.Segments = append(r.Segments, second)
		}),
		"an epoch hidden": {"ListEpochs": func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.ListEpochsResponse{})
			m.Epochs = m.Epochs[:1]
			return m
		}, "Timeline": timeline(func(r *latchkeyv1.TimelineResponse) { r.Segments = r.Segments[:1] })["Timeline"]},
	}
	for name, answers := range tests {
		t.Run(name, func(t *testing.T) {
			s.liar.tell(t, lie{answer: answers})
			tl, err := s.person(t).Timeline(t.Context(), "porch", member.Span{From: s.span.From.Add(-2 * time.Second), To: time.Now()})
			want := shown
			if name == "an epoch hidden" {
				want = told
			}
			judge(t, want, err, tl.Gaps)
			for _, g := range tl.Gaps {
				if tl.CompleteUntil.After(g.From) {
					t.Errorf("complete until %v in spite of the loss at %v", tl.CompleteUntil, g.From)
				}
			}
		})
	}
}

// pastLies show older versions, or other histories, of chain and vault.
func (s *scene) pastLies(t *testing.T) {
	chain := func(change func(*latchkeyv1.GetChainResponse)) lie {
		return lie{answer: map[string]func([]byte) proto.Message{"GetChain": func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.GetChainResponse{})
			change(m)
			return m
		}}}
	}
	var old []byte
	s.liar.tell(t, lie{answer: map[string]func([]byte) proto.Message{"GetVault": func(body []byte) proto.Message {
		m := decode(body, &latchkeyv1.GetVaultResponse{})
		old = m.Vault
		return m
	}}})
	ann := s.person(t)
	if _, err := ann.Household(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.demo.client.AddCamera(t.Context(), member.NewCamera{Name: "attic", URL: "rtsp://127.0.0.1:1/none"}); err != nil {
		t.Fatal(err)
	}
	s.liar.tell(t, lie{})
	if _, err := ann.Household(t.Context()); err != nil {
		t.Fatal(err)
	}
	tests := map[string]lie{
		"chain rolled back": chain(func(r *latchkeyv1.GetChainResponse) {
			r.Notes = r.Notes[:max(0, len(r.Notes)-1)]
		}),
		"statement changed": chain(func(r *latchkeyv1.GetChainResponse) {
			if len(r.Notes) > 0 {
				r.Notes[len(r.Notes)-1][40] ^= 1
			}
		}),
		"no chain": chain(func(r *latchkeyv1.GetChainResponse) { r.Notes = nil }),
		"older vault": {answer: map[string]func([]byte) proto.Message{"GetVault": func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.GetVaultResponse{})
			m.Vault = old
			return m
		}}},
		"vault changed": {answer: map[string]func([]byte) proto.Message{"GetVault": func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.GetVaultResponse{})
			m.Vault[len(m.Vault)-1] ^= 1
			return m
		}}},
	}
	for name, what := range tests {
		t.Run(name, func(t *testing.T) {
			s.liar.tell(t, what)
			if _, err := s.person(t).Household(t.Context()); !errors.Is(err, latchkey.ErrVerify) {
				t.Errorf("err = %v, want %v", err, latchkey.ErrVerify)
			}
		})
	}
	// Whoever has seen nothing yet is told by the statements themselves.
	s.liar.tell(t, chain(func(r *latchkeyv1.GetChainResponse) { r.Notes = slices.Delete(r.Notes, 2, 3) }))
	_, err := member.Recover(t.Context(), member.Options{Home: t.TempDir()}, member.Recovery{Server: s.liar.URL, Code: s.demo.code, Keep: true})
	if !errors.Is(err, latchkey.ErrVerify) {
		t.Errorf("a statement left out: err = %v, want %v", err, latchkey.ErrVerify)
	}
	// A right code whose vault is gone is not called a wrong one, and signs nothing.
	before := s.person(t)
	for name, lose := range map[string]func(m *latchkeyv1.GetVaultResponse){
		"no vault":       func(m *latchkeyv1.GetVaultResponse) { m.Vault = nil },
		"damaged vault":  func(m *latchkeyv1.GetVaultResponse) { m.Vault[len(m.Vault)-1] ^= 1 },
		"no wrap":        func(m *latchkeyv1.GetVaultResponse) { m.Wraps = nil },
		"another's wrap": func(m *latchkeyv1.GetVaultResponse) { m.Wraps[0][len(m.Wraps[0])-1] ^= 1 },
	} {
		s.liar.tell(t, lie{answer: map[string]func([]byte) proto.Message{"GetVault": func(body []byte) proto.Message {
			m := decode(body, &latchkeyv1.GetVaultResponse{})
			lose(m)
			return m
		}}})
		_, err := member.Recover(t.Context(), member.Options{Home: t.TempDir()}, member.Recovery{Server: s.liar.URL, Code: s.demo.code, Keep: true})
		if !errors.Is(err, member.ErrVaultLost) {
			t.Errorf("%s: err = %v, want %v", name, err, member.ErrVaultLost)
		}
	}
	s.liar.tell(t, lie{})
	h, err := before.Household(t.Context())
	if err != nil || !h.Me.NewKeys.At.IsZero() {
		t.Errorf("keys were replaced for a vault that was lost: %+v, %v", h.Me, err)
	}
}
