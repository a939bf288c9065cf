package part_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"math"
	"testing"

	"pgregory.net/rapid"

	"latchkey.dev/latchkey"
	"latchkey.dev/latchkey/part"
	"latchkey.dev/latchkey/testkit"
)

// checkCover is T1: disjoint, ordered, exact, minimal and bounded.
func checkCover(t interface {
	Helper()
	Fatalf(string, ...any)
}, from, until uint32) {
	t.Helper()
	nodes, err := part.Cover(from, until)
	if err != nil {
		t.Fatalf("cover [%d,%d): %v", from, until, err)
	}
	if len(nodes) > 2*(part.Depth-1) {
		t.Fatalf("cover [%d,%d) has %d nodes", from, until, len(nodes))
	}
	at := from
	for i, n := range nodes {
		a, b := n.Range()
		if !n.Valid() || a != at || b <= a {
			t.Fatalf("cover [%d,%d): node %v covers [%d,%d) after %d", from, until, n, a, b, at)
		}
		at = b
		if i > 0 && nodes[i-1].Level == n.Level && nodes[i-1].Index^1 == n.Index && n.Index&1 == 1 {
			t.Fatalf("cover [%d,%d): siblings %v and %v", from, until, nodes[i-1], n)
		}
	}
	if at != until {
		t.Fatalf("cover [%d,%d) ends at %d", from, until, at)
	}
}

func TestCoverExhaustive(t *testing.T) {
	const small, scale = 1 << 8, part.Slots >> 8
	for a := uint32(0); a < small; a++ {
		for b := a + 1; b <= small; b++ {
			checkCover(t, a*scale, b*scale)                       // the top eight levels
			checkCover(t, a, b)                                   // the first leaves
			checkCover(t, part.Slots-small+a, part.Slots-small+b) // the last leaves
		}
	}
}

func TestCoverProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.Uint32Range(0, part.Slots-1).Draw(t, "from")
		until := rapid.Uint32Range(from+1, part.Slots).Draw(t, "until")
		checkCover(t, from, until)
		slot := rapid.Uint32Range(0, part.Slots-1).Draw(t, "slot")
		nodes, _ := part.Cover(from, until)
		holds := 0
		for _, n := range nodes {
			if n.Contains(slot) {
				holds++
			}
		}
		if inside := from <= slot && slot < until; holds > 1 || (holds == 1) != inside {
			t.Fatalf("slot %d of [%d,%d) lies under %d nodes", slot, from, until, holds)
		}
	})
}

func TestCoverRefuses(t *testing.T) {
	for _, r := range [][2]uint32{{0, 0}, {5, 5}, {6, 5}, {0, part.Slots + 1}, {part.Slots, part.Slots + 1}, {1, 0}} {
		if nodes, err := part.Cover(r[0], r[1]); !errors.Is(err, latchkey.ErrInvalid) {
			t.Errorf("cover [%d,%d): %v %v", r[0], r[1], nodes, err)
		}
	}
}

func TestNodeValid(t *testing.T) {
	for _, n := range []part.Node{{Level: 18}, {Level: 0, Index: 1}, {Level: 17, Index: 1 << 17}, {Level: 255}} {
		if n.Valid() {
			t.Errorf("%v is valid", n)
		}
	}
	for _, n := range []part.Node{{}, {Level: 17, Index: 1<<17 - 1}, {Level: 6, Index: 63}} {
		if !n.Valid() {
			t.Errorf("%v is not valid", n)
		}
	}
}

func TestPadme(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, part.MaxCT).Draw(t, "n")
		p := part.Padme(n)
		if p < n || (n > 0 && float64(p-n) > 0.12*float64(n)) || part.Padme(p) != p {
			t.Fatalf("Padmé(%d) is %d, then %d", n, p, part.Padme(p))
		}
	})
}

// T3 for headers.
func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes16 := rapid.SliceOfN(rapid.Byte(), 16, 16)
		bytes32 := rapid.SliceOfN(rapid.Byte(), 32, 32)
		h := part.Header{
			Flags: part.Flags(rapid.Uint8Range(0, 3).Draw(t, "flags")), Slot: rapid.Uint32Range(0, part.Slots-1).Draw(t, "slot"),
			Seq: rapid.Uint32().Draw(t, "seq"), CTLen: rapid.Uint32Range(part.MinCT, part.MaxCT).Draw(t, "ctlen"),
			Epoch: latchkey.EpochID(bytes16.Draw(t, "epoch")), Track: latchkey.TrackID(bytes16.Draw(t, "track")), Salt: [16]byte(bytes16.Draw(t, "salt")),
			Prev: latchkey.Hash(bytes32.Draw(t, "prev")), Commit: latchkey.Hash(bytes32.Draw(t, "commit")),
		}
		if got, err := part.ParseHeader(h.AppendTo(nil)); err != nil || got != h {
			t.Fatalf("%+v comes back as %+v, %v", h, got, err)
		}
	})
}

// T3 for plaintexts.
func TestRecordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5).Draw(t, "records")
		var recs []part.Record
		for range n {
			recs = append(recs, part.Record{Type: rapid.Uint8Range(1, 255).Draw(t, "type"), Data: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data")})
		}
		padded, err := part.PaddedLen(latchkey.KindVideo, part.RecordsLen(recs...))
		if err != nil {
			t.Fatal(err)
		}
		inner, err := part.AppendRecords([]byte("before"), padded, recs...)
		if err != nil || len(inner) != 6+padded {
			t.Fatalf("%d bytes, %v", len(inner), err)
		}
		got, err := part.ParseRecords(inner[6:])
		if err != nil || len(got) != len(recs) {
			t.Fatalf("%d records come back as %d, %v", len(recs), len(got), err)
		}
		for i := range got {
			if got[i].Type != recs[i].Type || !bytes.Equal(got[i].Data, recs[i].Data) {
				t.Fatalf("record %d comes back as %v", i, got[i])
			}
		}
	})
}

func TestAppendRecordsRefuses(t *testing.T) {
	five := part.Record{Type: part.RecordLabel, Data: make([]byte, 5)}
	for name, try := range map[string]func() ([]byte, error){
		"too little room": func() ([]byte, error) { return part.AppendRecords([]byte("x"), 9, five) },
		"padding":         func() ([]byte, error) { return part.AppendRecords([]byte("x"), 64, five, part.Record{}) },
		"beyond a part":   func() ([]byte, error) { return part.AppendRecords([]byte("x"), part.MaxCT) },
	} {
		if b, err := try(); !errors.Is(err, latchkey.ErrInvalid) || string(b) != "x" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := part.PaddedLen("smell", 1); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("a track of an unknown kind: %v", err)
	}
	if _, err := part.PaddedLen(latchkey.KindVideo, -1); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("a negative length: %v", err)
	}
}

// T4 as far as it needs no key: every single-bit change of a part is refused
// when the signature is checked.
func TestEveryBitIsSigned(t *testing.T) {
	var v testkit.Run
	testkit.Load(t, "run", &v)
	raw := v.Tracks[0].Parts[0].Part
	for bit := range 8 * len(raw) {
		changed := bytes.Clone(raw)
		changed[bit/8] ^= 1 << (bit % 8)
		p, err := part.Parse(changed)
		if err == nil {
			err = p.VerifySig([]byte(v.SignerPub))
		}
		if !errors.Is(err, latchkey.ErrInvalid) && !errors.Is(err, latchkey.ErrVerify) {
			t.Fatalf("bit %d of byte %d: %v", bit%8, bit/8, err)
		}
	}
}

func TestNextTellsTornFromDamaged(t *testing.T) {
	var v testkit.Run
	testkit.Load(t, "run", &v)
	two := append(bytes.Clone(v.Tracks[0].Parts[0].Part), v.Tracks[0].Parts[1].Part...)
	first := len(v.Tracks[0].Parts[0].Part)
	for n := range two {
		_, rest, err := part.Next(two[:n])
		switch {
		case n == 0 && err != io.EOF, n > 0 && n < first && err != io.ErrUnexpectedEOF, n >= first && (err != nil || len(rest) != n-first):
			t.Fatalf("the first %d bytes: rest %d, %v", n, len(rest), err)
		}
	}
	two[3] = 0x04
	if _, _, err := part.Next(two); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("damaged: %v", err)
	}
	if _, err := part.ParseAll(two[first : len(two)-1]); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("torn: %v", err)
	}
}

// The counter of 32 bits does not wrap: after its last value nothing follows.
func TestSeqDoesNotWrap(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	make1 := func(seq uint32, prev latchkey.Hash) part.Part {
		raw := part.Header{Seq: seq, CTLen: part.MinCT, Prev: prev}.AppendTo(nil)
		raw = append(raw, make([]byte, part.MinCT+part.SigSize)...)
		p, err := part.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		copy(p.Sig(), ed25519.Sign(key, part.SigMessage(p.Hash())))
		return p
	}
	for _, seqs := range [][2]uint32{{math.MaxUint32 - 1, math.MaxUint32}, {math.MaxUint32, 0}} {
		first := make1(seqs[0], latchkey.Hash{})
		_, err := part.VerifyRun(key.Public().(ed25519.PublicKey), nil, []part.Part{first, make1(seqs[1], first.Hash())})
		if wraps := seqs[1] == 0; wraps != errors.Is(err, latchkey.ErrVerify) || !wraps && err != nil {
			t.Errorf("seq %d after %d: %v", seqs[1], seqs[0], err)
		}
	}
}

func TestVerifyRunRefusesMisuse(t *testing.T) {
	var v testkit.Run
	testkit.Load(t, "run", &v)
	p, err := part.Parse(v.Tracks[0].Parts[0].Part)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.VerifyRun([]byte(v.SignerPub), nil, nil); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("no parts: %v", err)
	}
	if _, err := part.VerifyRun(ed25519.PublicKey{1, 2}, nil, []part.Part{p}); !errors.Is(err, latchkey.ErrInvalid) {
		t.Errorf("a short key: %v", err)
	}
}
