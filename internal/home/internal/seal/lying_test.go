package seal

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
)

// mutations is how many random mutations each operator makes (claim C8).
const mutations = 4000

// theatre is what a lying server has to play with: the true stream and parts of
// another epoch, another track and another household.
type theatre struct {
	rng                          *rand.Rand
	video                        latchkey.TrackID
	truth                        [][]byte
	epoch, track, house, earlier [][]byte
	genuine                      map[string]bool // sealed bytes of the track's true parts, of every epoch
}

// operators are the ways to lie. Each changes a copy of the true stream.
func operators() map[string]func(th *theatre, s [][]byte) [][]byte {
	return map[string]func(th *theatre, s [][]byte) [][]byte{
		"drop": func(th *theatre, s [][]byte) [][]byte {
			i := th.rng.IntN(len(s))
			return slices.Delete(s, i, min(len(s), i+1+th.rng.IntN(4)))
		},
		"cut tail": func(th *theatre, s [][]byte) [][]byte { return s[:1+th.rng.IntN(len(s)-1)] },
		"reorder": func(th *theatre, s [][]byte) [][]byte {
			i, j := th.rng.IntN(len(s)), th.rng.IntN(len(s))
			s[i], s[j] = s[j], s[i]
			return s
		},
		"duplicate": func(th *theatre, s [][]byte) [][]byte {
			i := th.rng.IntN(len(s))
			return slices.Insert(s, th.rng.IntN(len(s)+1), s[i])
		},
		"replay": func(th *theatre, s [][]byte) [][]byte {
			i := th.rng.IntN(len(s))
			j := i + 1 + th.rng.IntN(len(s)-i)
			return append(s, slices.Clone(s[i:j])...)
		},
		"splice epoch":     func(th *theatre, s [][]byte) [][]byte { return th.splice(s, th.epoch) },
		"splice old epoch": func(th *theatre, s [][]byte) [][]byte { return th.splice(s, th.earlier) },
		"splice track":     func(th *theatre, s [][]byte) [][]byte { return th.splice(s, th.track) },
		"splice household": func(th *theatre, s [][]byte) [][]byte { return th.splice(s, th.house) },
		"flip bit": func(th *theatre, s [][]byte) [][]byte {
			i := th.rng.IntN(len(s))
			s[i] = flip(s[i], th.rng.IntN(len(s[i])))
			s[i][th.rng.IntN(len(s[i]))] ^= 1 << th.rng.IntN(8)
			return s
		},
		"transplant": func(th *theatre, s [][]byte) [][]byte {
			from := [][][]byte{th.truth, th.epoch, th.track, th.house}[th.rng.IntN(4)]
			i, donor := th.rng.IntN(len(s)), from[th.rng.IntN(len(from))]
			cut := []int{16, 32, 48, 64, 96, 128, len(donor) - part.SigSize}[th.rng.IntN(7)]
			s[i] = append(bytes.Clone(s[i][:min(cut, len(s[i]))]), donor[cut:]...)
			return s
		},
	}
}

// splice puts foreign parts in place of, or between, true ones.
func (th *theatre) splice(s, foreign [][]byte) [][]byte {
	i, j := th.rng.IntN(len(s)), th.rng.IntN(len(foreign))
	n := 1 + th.rng.IntN(min(3, len(foreign)-j))
	if th.rng.IntN(2) == 0 {
		s = slices.Delete(s, i, min(len(s), i+n))
	}
	return slices.Insert(s, min(i, len(s)), foreign[j:j+n]...)
}

// watch plays a stream to a client in runs of random length, as a server would,
// and reports whether the client noticed anything: a refusal, a gap, or more
// parts in the signed heads than arrived.
func (th *theatre) watch(t *testing.T, o *Opener, heads []byte, stream [][]byte) (noticed bool, accepted [][]byte) {
	t.Helper()
	f := o.Follow(th.video)
	for len(stream) > 0 {
		n := min(len(stream), 1+th.rng.IntN(6))
		run, err := part.ParseAll(bytes.Join(stream[:n], nil))
		stream = stream[n:]
		if err != nil {
			return true, accepted
		}
		opened, gaps, err := f.OpenRun(run)
		if err != nil || len(gaps) > 0 {
			return true, accepted
		}
		if len(accepted) == 0 && opened[0].Part.Header.Seq != 0 {
			return true, accepted // the client asked for the beginning
		}
		for _, p := range opened {
			accepted = append(accepted, p.Part.Raw)
		}
	}
	h, err := o.CheckHeads(heads)
	if err != nil {
		t.Fatal(err)
	}
	behind, err := f.Behind(h)
	return behind > 0 || err != nil, accepted
}

// C8: a server that drops, cuts, reorders, repeats, replays, splices, flips
// bits or recombines is noticed, every time, and no byte that the hub did not
// seal at that place is ever handed on.
func TestLyingServer(t *testing.T) {
	th, o, heads := newTheatre(t)
	if noticed, got := th.watch(t, o, heads, th.truth); noticed || len(got) != len(th.truth) {
		t.Fatal("the truth is not believed: this test would prove nothing")
	}
	for name, lie := range operators() {
		t.Run(name, func(t *testing.T) {
			for done := 0; done < mutations; {
				told := lie(th, slices.Clone(th.truth))
				if slices.EqualFunc(told, th.truth, sameSealed) {
					continue // not a lie
				}
				done++
				noticed, accepted := th.watch(t, o, heads, told)
				if !noticed {
					t.Fatalf("lie %d was believed", done)
				}
				for i, raw := range accepted {
					if !th.genuine[sealedBytes(raw)] {
						t.Fatalf("lie %d: part %d was handed on and is not the hub's", done, i)
					}
				}
			}
		})
	}
}

// sealedBytes is what a run verifies of a part: header and ciphertext. The
// signature of a part that is not the last of its run is not looked at.
func sealedBytes(raw []byte) string { return string(raw[:max(0, len(raw)-part.SigSize)]) }

func sameSealed(a, b []byte) bool { return sealedBytes(a) == sealedBytes(b) }

// newTheatre seals the streams. The client knows all of the household's epochs.
func newTheatre(t *testing.T) (*theatre, *Opener, []byte) {
	t.Helper()
	h, other := newHouse(t), newHouse(t)
	video, audio := h.tracks[0].ID, h.tracks[2].ID
	after := func(n uint64, e *Epoch) func(*EpochParams) {
		return func(p *EpochParams) {
			if p.N = n; e != nil {
				p.Prev, p.Last = e.NoteHash(), e.Last()
			}
		}
	}
	raw := func(parts []part.Part) (out [][]byte) {
		for _, p := range parts {
			out = append(out, p.Raw)
		}
		return out
	}
	th := &theatre{video: video, rng: rand.New(rand.NewPCG(10, 11))}
	old, annOld := h.epoch(t, after(1, nil))
	th.earlier = raw(sealParts(t, old, video, 0, 6))
	e, ann := h.epoch(t, after(2, old))
	th.truth = raw(sealParts(t, e, video, 0, 6))
	th.track = raw(sealParts(t, e, audio, 0, 6))
	next, annNext := h.epoch(t, after(3, e))
	th.epoch = raw(sealParts(t, next, video, 0, 6))
	foreign, _ := other.epoch(t)
	th.house = raw(sealParts(t, foreign, other.tracks[0].ID, 0, 6))
	th.genuine = map[string]bool{}
	for _, p := range slices.Concat(th.truth, th.earlier, th.epoch) {
		th.genuine[sealedBytes(p)] = true
	}
	heads, err := e.Heads(HeadsParams{Time: at(60), Chain: h.state})
	if err != nil {
		t.Fatal(err)
	}
	return th, h.opener(t, annOld, ann, annNext), heads
}

// Following across epochs: what is missing at the end of one and the beginning
// of the next is told, and a follower that has seen the later one refuses the
// earlier.
func TestFollowAcrossEpochs(t *testing.T) {
	h := newHouse(t)
	video := h.tracks[0].ID
	var anns []Announcement
	var runs [][]part.Part
	var before *Epoch
	for n := range uint64(4) {
		e, ann := h.epoch(t, func(p *EpochParams) {
			if p.N = n; before != nil {
				p.Prev, p.Last = before.NoteHash(), before.Last()
			}
		})
		anns, runs, before = append(anns, ann), append(runs, sealParts(t, e, video, 0, 5)), e
	}
	o := h.opener(t, anns...)
	f := o.Follow(video)
	step := func(what string, run []part.Part, want ...Gap) {
		t.Helper()
		if _, gaps, err := f.OpenRun(run); err != nil || !slices.Equal(gaps, want) {
			t.Errorf("%s: %+v, %v", what, gaps, err)
		}
	}
	id := func(n int) latchkey.EpochID { return runs[n][0].Header.Epoch }
	step("starting in the middle", runs[0][2:4])
	step("the next epoch from its middle", runs[1][3:], Gap{id(0), 4, 5}, Gap{id(1), 0, 3})
	if _, _, err := f.OpenRun(runs[0][4:]); reasonOf(err) != ReasonReplay {
		t.Errorf("back to the first epoch: %v", err)
	}
	f = o.Follow(video)
	step("the first epoch", runs[0])
	step("the second", runs[1])
	step("leaving out the third", runs[3], Gap{id(1), 5, 0})
	if _, _, err := f.OpenRun(runs[3][:1]); reasonOf(err) != ReasonReplay {
		t.Errorf("a repeat: %v", err)
	}
	if _, _, err := f.OpenRun(nil); err == nil {
		t.Error("an empty run is taken")
	}
}
