package pack

import "math/bits"

// A FLAC encoder for what G.711 decodes to (RFC 9639): 16-bit samples, fixed
// predictors with Rice-coded residuals, verbatim where that is shorter. One
// call makes one frame of a stream with variable block sizes.

// maxRicePartitions is the highest partition order tried: 16 partitions of an
// 800-sample block are about 6 ms each.
const maxRicePartitions = 4

// appendFLAC appends a frame of one block; channels are equally long, 1 to
// 65,535 samples. first is the number of the block's first sample.
func appendFLAC(b []byte, rate int, first uint64, channels [][]int32) []byte {
	begin := len(b)
	n := len(channels[0])
	w := &bitWriter{b: b}
	w.put(0xFFF9, 16) // sync, variable block size
	w.put(7, 4)       // block size: 16 bits at the end of the header
	w.put(flacRate(rate), 4)
	w.put(uint64(len(channels)-1), 4) // independent channels
	w.put(4, 3)                       // 16 bits a sample
	w.put(0, 1)
	w.coded(first)
	w.put(uint64(n-1), 16)
	w.put(uint64(crc8(w.b[begin:])), 8)
	for _, c := range channels {
		w.subframe(c)
	}
	w.align()
	crc := crc16(w.b[begin:])
	return append(w.b, byte(crc>>8), byte(crc))
}

// flacRate returns the header code of a sample rate, 0 for "see STREAMINFO".
func flacRate(rate int) uint64 {
	switch rate {
	case 8000:
		return 4
	case 16000:
		return 5
	case 24000:
		return 7
	case 32000:
		return 8
	case 48000:
		return 10
	}
	return 0
}

// bitWriter appends bits, most significant first.
type bitWriter struct {
	b    []byte
	acc  uint64
	held uint // low bits of acc not yet in b; below 8 between calls
}

// put appends the low n bits of v, n at most 32.
func (w *bitWriter) put(v uint64, n uint) {
	w.acc = w.acc<<n | v&(1<<n-1)
	w.held += n
	for w.held >= 8 {
		w.held -= 8
		w.b = append(w.b, byte(w.acc>>w.held))
	}
}

// unary appends n zero bits and a one.
func (w *bitWriter) unary(n uint64) {
	for ; n >= 31; n -= 31 {
		w.put(0, 31)
	}
	w.put(1, uint(n)+1)
}

func (w *bitWriter) align() {
	if w.held > 0 {
		w.put(0, 8-w.held)
	}
}

// coded appends a number in the extended UTF-8 form of RFC 9639 §9.1.5.
func (w *bitWriter) coded(v uint64) {
	v &= 1<<36 - 1
	if v < 0x80 {
		w.put(v, 8)
		return
	}
	follow := uint(1)
	for v >= 1<<(6*follow+(6-follow)) {
		follow++
	}
	w.put(0xFE<<(6-follow)&0xFF|v>>(6*follow), 8)
	for follow > 0 {
		follow--
		w.put(0x80|v>>(6*follow)&0x3F, 8)
	}
}

// subframe appends one channel.
func (w *bitWriter) subframe(samples []int32) {
	wasted := wastedBits(samples)
	if wasted > 0 {
		shifted := make([]int32, len(samples))
		for i, s := range samples {
			shifted[i] = s >> wasted
		}
		samples = shifted
	}
	depth := 16 - wasted
	plan := planSubframe(samples, depth)
	header := uint64(1) // verbatim
	if plan.order >= 0 {
		header = 8 | uint64(plan.order)
	}
	w.put(0, 1)
	w.put(header, 6)
	if wasted == 0 {
		w.put(0, 1)
	} else {
		w.put(1, 1)
		w.unary(uint64(wasted - 1))
	}
	warmup := samples
	if plan.order >= 0 {
		warmup = samples[:plan.order]
	}
	for _, s := range warmup {
		w.put(uint64(uint32(s))&(1<<depth-1), depth)
	}
	if plan.order >= 0 {
		w.residual(plan)
	}
}

// wastedBits returns how many low bits are zero in all samples.
func wastedBits(samples []int32) uint {
	var all int32
	for _, s := range samples {
		all |= s
	}
	if all == 0 {
		return 0
	}
	return uint(bits.TrailingZeros32(uint32(all)))
}

// subframePlan is how a channel will be coded.
type subframePlan struct {
	order     int // of the fixed predictor; −1 is verbatim
	residual  []int32
	partition uint
	params    []uint
}

// planSubframe takes the predictor with the smallest residual, and for it the
// partitions that code shortest.
func planSubframe(samples []int32, depth uint) subframePlan {
	best := subframePlan{order: -1}
	order, residual := 0, samples
	for least, next, o := magnitude(samples), samples, 1; o <= 4 && o < len(samples); o++ {
		next = differences(next)
		if m := magnitude(next); m < least {
			least, order, residual = m, o, next
		}
	}
	least := len(samples) * int(depth)
	for p := uint(0); p <= maxRicePartitions; p++ {
		if len(samples)>>p<<p != len(samples) || len(samples)>>p <= order {
			break
		}
		params, cost := riceParams(residual, len(samples), order, p)
		if cost += order*int(depth) + 6; cost < least {
			least = cost
			best = subframePlan{order, residual, p, params}
		}
	}
	return best
}

// magnitude is the sum of the absolute values.
func magnitude(r []int32) (sum uint64) {
	for _, v := range r {
		sum += uint64(max(v, -v))
	}
	return sum
}

// differences returns the next higher order's residual.
func differences(r []int32) []int32 {
	d := make([]int32, len(r)-1)
	for i := range d {
		d[i] = r[i+1] - r[i]
	}
	return d
}

// riceParams returns the parameter of each partition and the size in bits.
func riceParams(residual []int32, n, order int, p uint) ([]uint, int) {
	params := make([]uint, 1<<p)
	cost := 0
	for i := range params {
		length := n >> p
		if i == 0 {
			length -= order // the warm-up samples count in the first partition
		}
		k, c := riceParam(residual[:length])
		params[i] = k
		cost += 4 + c
		residual = residual[length:]
	}
	return params, cost
}

func riceParam(r []int32) (uint, int) {
	var sum uint64
	for _, v := range r {
		sum += uint64(zigzag(v))
	}
	guess := uint(0)
	for guess < 14 && uint64(len(r))<<(guess+1) < sum {
		guess++
	}
	best, least := guess, riceCost(r, guess)
	for _, k := range []uint{guess + 1, guess - 1} {
		if k <= 14 { // guess − 1 wraps around at 0
			if c := riceCost(r, k); c < least {
				best, least = k, c
			}
		}
	}
	return best, least
}

func riceCost(r []int32, k uint) int {
	cost := len(r) * int(k+1)
	for _, v := range r {
		cost += int(zigzag(v) >> k)
	}
	return cost
}

func zigzag(v int32) uint32 { return uint32(v<<1) ^ uint32(v>>31) }

// residual appends the Rice-coded residual (RFC 9639 §9.2.7).
func (w *bitWriter) residual(p subframePlan) {
	w.put(0, 2) // 4-bit parameters
	w.put(uint64(p.partition), 4)
	n := len(p.residual) + p.order
	r := p.residual
	for i, k := range p.params {
		length := n >> p.partition
		if i == 0 {
			length -= p.order
		}
		w.put(uint64(k), 4)
		for _, v := range r[:length] {
			z := zigzag(v)
			w.unary(uint64(z >> k))
			w.put(uint64(z), k)
		}
		r = r[length:]
	}
}

func crc8(b []byte) byte {
	var c byte
	for _, v := range b {
		c ^= v
		for range 8 {
			if c&0x80 != 0 {
				c = c<<1 ^ 0x07
			} else {
				c <<= 1
			}
		}
	}
	return c
}

// crc16 works on half bytes: a table of 16 entries, polynomial 0x8005.
func crc16(b []byte) uint16 {
	table := [16]uint16{
		0x0000, 0x8005, 0x800F, 0x000A, 0x801B, 0x001E, 0x0014, 0x8011,
		0x8033, 0x0036, 0x003C, 0x8039, 0x0028, 0x802D, 0x8027, 0x0022,
	}
	var c uint16
	for _, v := range b {
		c = c<<4 ^ table[c>>12^uint16(v>>4)]
		c = c<<4 ^ table[c>>12^uint16(v&0xF)]
	}
	return c
}
