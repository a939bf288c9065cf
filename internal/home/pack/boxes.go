package pack

import "encoding/binary"

// boxes builds ISO 14496-12 boxes by appending.
type boxes struct{ b []byte }

// box appends a box whose content body writes.
func (w *boxes) box(typ string, body func()) {
	at := len(w.b)
	w.b = append(w.b, 0, 0, 0, 0)
	w.b = append(w.b, typ...)
	body()
	binary.BigEndian.PutUint32(w.b[at:], uint32(len(w.b)-at))
}

// full appends a full box (version and flags before the content).
func (w *boxes) full(typ string, version byte, flags uint32, body func()) {
	w.box(typ, func() {
		w.u32(uint32(version)<<24 | flags)
		body()
	})
}

func (w *boxes) u16(v ...uint16) {
	for _, x := range v {
		w.b = binary.BigEndian.AppendUint16(w.b, x)
	}
}

func (w *boxes) u32(v ...uint32) {
	for _, x := range v {
		w.b = binary.BigEndian.AppendUint32(w.b, x)
	}
}

func (w *boxes) u64(v ...uint64) {
	for _, x := range v {
		w.b = binary.BigEndian.AppendUint64(w.b, x)
	}
}

func (w *boxes) raw(b []byte) { w.b = append(w.b, b...) }

// matrix appends the unity matrix of mvhd and tkhd.
func (w *boxes) matrix() { w.u32(0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000) }

// mvhd appends the movie header; duration is in movieScale ticks.
func (w *boxes) mvhd(duration uint64, tracks uint32) {
	w.full("mvhd", 1, 0, func() {
		w.u64(0, 0)
		w.u32(movieScale)
		w.u64(duration)
		w.u32(0x10000) // rate 1
		w.u16(0x100, 0)
		w.u32(0, 0)
		w.matrix()
		w.u32(0, 0, 0, 0, 0, 0)
		w.u32(tracks + 1)
	})
}
