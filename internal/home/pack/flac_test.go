package pack

import (
	"math/rand/v2"
	"testing"
)

// bitReader is the test's own reading side.
type bitReader struct {
	b   []byte
	pos int
}

func (r *bitReader) get(n uint) (v uint64) {
	for range n {
		v = v<<1 | uint64(r.b[r.pos/8]>>(7-r.pos%8)&1)
		r.pos++
	}
	return v
}

func (r *bitReader) signed(n uint) int32 {
	return int32(uint32(r.get(n))<<(32-n)) >> (32 - n)
}

func (r *bitReader) unary() (n uint64) {
	for r.get(1) == 0 {
		n++
	}
	return n
}

// decodeFLAC reads a frame as RFC 9639 describes it.
func decodeFLAC(t *testing.T, b []byte) (first uint64, channels [][]int32) {
	t.Helper()
	if crc16(b) != 0 {
		t.Fatal("the frame's CRC-16 is wrong")
	}
	r := &bitReader{b: b}
	if r.get(16) != 0xFFF9 || r.get(4) != 7 {
		t.Fatal("frame header")
	}
	r.get(4)
	channels = make([][]int32, r.get(4)+1)
	if r.get(4) != 8 {
		t.Fatal("sample size")
	}
	first = r.get(8)
	if first >= 0x80 {
		follow := 0
		for m := byte(0x40); byte(first)&m != 0; m >>= 1 {
			follow++
		}
		first &= 0x3F >> follow
		for range follow {
			first = first<<6 | r.get(8)&0x3F
		}
	}
	n := int(r.get(16)) + 1
	head := r.pos / 8
	if crc8(b[:head+1]) != 0 {
		t.Fatal("the header's CRC-8 is wrong")
	}
	r.get(8)
	for c := range channels {
		channels[c] = decodeSubframe(t, r, n)
	}
	return first, channels
}

func decodeSubframe(t *testing.T, r *bitReader, n int) []int32 {
	t.Helper()
	r.get(1)
	typ, wasted := r.get(6), uint(0)
	if r.get(1) == 1 {
		wasted = uint(r.unary()) + 1
	}
	depth := 16 - wasted
	out := make([]int32, n)
	order := n
	if typ >= 8 {
		order = int(typ & 7)
	} else if typ != 1 {
		t.Fatalf("subframe type %d", typ)
	}
	for i := range order {
		out[i] = r.signed(depth)
	}
	if typ >= 8 {
		if r.get(2) != 0 {
			t.Fatal("residual coding")
		}
		parts := 1 << r.get(4)
		at := order
		for p := range parts {
			k := uint(r.get(4))
			for end := (p + 1) * n / parts; at < end; at++ {
				z := r.unary()<<k | r.get(k)
				out[at] = predict(out[:at], at, order) + (int32(z>>1) ^ -int32(z&1))
			}
		}
	}
	for i := range out {
		out[i] <<= wasted
	}
	return out
}

func predict(s []int32, i, order int) int32 {
	switch order {
	case 1:
		return s[i-1]
	case 2:
		return 2*s[i-1] - s[i-2]
	case 3:
		return 3*s[i-1] - 3*s[i-2] + s[i-3]
	case 4:
		return 4*s[i-1] - 6*s[i-2] + 4*s[i-3] - s[i-4]
	}
	return 0
}

func TestFLACRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	signals := map[string]func(i int) int32{
		"silence": func(int) int32 { return 0 },
		"dc":      func(int) int32 { return -8 },
		"ramp":    func(i int) int32 { return int32(i%1000)*16 - 8000 },
		"noise":   func(int) int32 { return rng.Int32N(65536) - 32768 },
		"quiet":   func(int) int32 { return rng.Int32N(5) - 2 },
		"a-law":   func(int) int32 { return (rng.Int32N(8192) - 4096) * 8 },
		"extremes": func(i int) int32 {
			if i%2 == 0 {
				return -32768
			}
			return 32767
		},
	}
	for name, f := range signals {
		for _, n := range []int{1, 2, 5, 15, 16, 160, 799, 800, 4096} {
			for channels := 1; channels <= 2; channels++ {
				in := make([][]int32, channels)
				for c := range in {
					for i := range n {
						in[c] = append(in[c], f(i))
					}
				}
				first := rng.Uint64N(1<<36) >> rng.UintN(36)
				at, out := decodeFLAC(t, appendFLAC(nil, 8000, first, in))
				if at != first || len(out) != channels {
					t.Fatalf("%s: number %d read as %d, %d channels", name, first, at, len(out))
				}
				for c := range in {
					for i := range in[c] {
						if in[c][i] != out[c][i] {
							t.Fatalf("%s, %d samples: sample %d is %d, was %d", name, n, i, out[c][i], in[c][i])
						}
					}
				}
			}
		}
	}
}
