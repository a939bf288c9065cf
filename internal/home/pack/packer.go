// Package pack cuts access units into fMP4 fragments on the hub's timeline,
// one slot at most each. It hides ISO 14496-12; hub and member import it. It
// sees plaintext and never a key or the network.
package pack

import (
	"fmt"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/g711"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

	latchkey "latchkey.dev/latchkey"
	"latchkey.dev/latchkey/internal/home/camera"
)

// audioLimit is the longest audio fragment.
const audioLimit = 100 * time.Millisecond

// A gathered video fragment holds this many pictures at most, and none that
// begins GatherLimit or more after its first.
const (
	GatherLimit = 200 * time.Millisecond
	maxPictures = 8
)

// Fragment is what one part carries.
type Fragment struct {
	// Init is the init segment (ftyp ‖ moov): present exactly when RAP is
	// true. It is shared between fragments; do not change it.
	Init []byte
	// Data is one moof ‖ mdat with track id 1 and a 64-bit tfdt on the Unix
	// clock. It is the caller's.
	Data []byte
	// Start is the tfdt as a time: the capture time of the first sample (its
	// decode time, with B-frames). Never before the end of the fragment before.
	Start time.Time
	// Last is Start of the last sample.
	Last time.Time
	// Slot is the second of the epoch that Start falls in; it never decreases.
	Slot uint32
	// RAP: decodable without earlier fragments. Every video fragment with a
	// sync sample, which is its first and has no second; the first audio
	// fragment of each slot and format.
	RAP bool
	// Discontinuity: Start is later than the end of the fragment before (a
	// pause of more than half a second), or this is the first fragment.
	Discontinuity bool
}

// Packer packs one track. It is not safe for concurrent use.
type Packer struct {
	kind  latchkey.TrackKind
	epoch time.Time
	slot  uint32
	seq   uint32
	line  timeline

	format  camera.Format
	init    []byte
	waitKey bool // video: nothing before the next key frame
	reorder bool // video: this format has B-frames

	gather bool // video: several pictures in a fragment
	video  videoRun
	audio  audioRun
}

// videoRun is the video fragment being gathered.
type videoRun struct {
	samples []Sample // without Data
	sizes   []int
	buf     []byte // room for the head, then the samples' bytes
	room    int
	usual   int // bytes of samples in the fragment before
	jump    bool
}

// audioRun is the audio fragment being gathered.
type audioRun struct {
	samples []Sample
	pcm     []byte // G.711 as it came
	ticks   int64  // sum of the true lengths
	start   int64
	length  int64 // sum of the durations given
	jump    bool
	rapSlot int64  // slot of the last RAP, −1 for none
	counted uint64 // FLAC sample number
}

// NewPacker returns a packer for a track of the given kind (KindVideo,
// KindVideoSub, KindAudio) in the epoch that started at epochStart.
func NewPacker(kind latchkey.TrackKind, epochStart time.Time) *Packer {
	return &Packer{kind: kind, epoch: epochStart, audio: audioRun{rapSlot: -1}}
}

// Format sets what the next units are; a source reports it before the first
// unit and at every change. Video then waits for a key frame. It returns the
// sound of the old format that was still being gathered.
func (p *Packer) Format(f camera.Format) ([]Fragment, error) {
	init, err := makeInit(f)
	if err != nil {
		return nil, err
	}
	rest := p.Flush()
	p.format, p.init = f, init
	p.line.setRate(int64(f.ClockRate))
	if p.kind != latchkey.KindAudio {
		p.line.setFPS(f.FPS)
	}
	p.waitKey, p.reorder = true, false
	p.audio.rapSlot = -1
	return rest, nil
}

// Gather says whether video gathers pictures: up to 8 that begin within
// GatherLimit and in one second, a key frame always first. A new packer does
// not. Turning it off returns what was gathered. The caller calls Flush where
// nothing comes any more: only pictures end a fragment here.
func (p *Packer) Gather(on bool) []Fragment {
	p.gather = on
	if on {
		return nil
	}
	return p.flushVideo()
}

// Waiting reports whether pictures are gathered that no fragment has yet.
func (p *Packer) Waiting() bool { return len(p.video.samples) > 0 }

// Push takes one unit and returns the fragments that are complete: for video
// the unit itself, or what was gathered (nothing before the first key frame),
// for audio one fragment about every 100 ms and at slot borders.
func (p *Packer) Push(u camera.Unit) ([]Fragment, error) {
	if p.init == nil {
		return nil, fmt.Errorf("pack: push %s: %w: no format yet", u.Kind, latchkey.ErrInvalid)
	}
	if p.kind == latchkey.KindAudio {
		return p.pushAudio(u)
	}
	if p.waitKey && !u.Key {
		return nil, nil
	}
	p.waitKey = false
	return p.pushPicture(u), nil
}

// pushPicture adds one access unit to the fragment being gathered and returns
// what ends before or with it.
func (p *Packer) pushPicture(u camera.Unit) (out []Fragment) {
	at := ticks(u.Wall, p.line.rate)
	start, duration, jump := p.line.video(at)
	if u.Key || jump || p.Waiting() && !p.joins(start) {
		out = p.flushVideo()
	}
	s := Sample{Decode: start, Duration: duration, Sync: u.Key}
	p.reorder = p.reorder || u.PTS != u.DTS
	if p.reorder {
		// Presentation keeps the camera's own times while only decoding is
		// smoothed; where the timeline is further off, both move alike, so
		// that the order of presentation holds.
		behind := min(max(at-start, -p.line.nominal/4), p.line.nominal/4)
		shown := int64((u.PTS-u.DTS)*time.Duration(p.line.rate)/time.Second) + behind
		s.Offset = int32(min(max(shown, 0), 10*p.line.rate))
	}
	if !p.Waiting() {
		p.video.jump = jump
	}
	p.addPicture(s, u.NALUs)
	if !p.gather || len(p.video.samples) == maxPictures || !p.joins(p.line.next) {
		out = append(out, p.flushVideo()...)
	}
	return out
}

// joins reports whether a picture that begins at tick may go into the fragment
// being gathered.
func (p *Packer) joins(tick int64) bool {
	first := p.video.samples[0].Decode
	return tick-first < p.line.rate*int64(GatherLimit)/int64(time.Second) && p.secondOf(tick) == p.secondOf(first)
}

// addPicture copies the picture's bytes behind those gathered.
func (p *Packer) addPicture(s Sample, nalus [][]byte) {
	v := &p.video
	size := 0
	for _, n := range nalus {
		size += 4 + len(n)
	}
	if len(v.samples) == 0 {
		most, usual := 1, size
		if p.gather {
			most, usual = maxPictures, max(size, v.usual)
		}
		v.room = moofSize(true, most) + 8
		v.buf = make([]byte, v.room, v.room+usual)
	}
	v.samples, v.sizes = append(v.samples, s), append(v.sizes, size)
	for _, n := range nalus {
		v.buf = append(v.buf, byte(len(n)>>24), byte(len(n)>>16), byte(len(n)>>8), byte(len(n)))
		v.buf = append(v.buf, n...)
	}
}

// flushVideo returns what was gathered as one fragment. Its head goes right in
// front of the samples, so that they are copied once.
func (p *Packer) flushVideo() []Fragment {
	v := &p.video
	n := len(v.samples)
	if n == 0 {
		return nil
	}
	begin := v.room - (moofSize(true, n) + 8)
	appendHead(v.buf[begin:begin:v.room], p.head(v.samples[0].Decode, true), v.samples, v.sizes)
	f := p.fragment(v.buf[begin:], v.samples, v.samples[0].Sync, v.jump)
	*v = videoRun{samples: v.samples[:0], sizes: v.sizes[:0], usual: len(v.buf) - v.room}
	return []Fragment{f}
}

// head counts a fragment.
func (p *Packer) head(start int64, video bool) moofHead {
	p.seq++
	return moofHead{seq: p.seq, track: 1, decode: start, video: video}
}

func (p *Packer) fragment(data []byte, samples []Sample, rap, jump bool) Fragment {
	start, last := samples[0].Decode, samples[len(samples)-1].Decode
	rate := uint32(p.line.rate)
	f := Fragment{Data: data, Start: TimeOf(start, rate), Last: TimeOf(last, rate), RAP: rap, Discontinuity: jump}
	f.Slot = p.slotOf(start)
	p.slot = f.Slot
	if rap {
		f.Init = p.init
	}
	return f
}

// slotOf is protocol 2.6: max(last slot, floor(t − start)).
func (p *Packer) slotOf(start int64) uint32 {
	return max(p.slot, uint32(max(p.secondOf(start), 0)))
}

// secondOf is the second of the epoch that a tick falls in. Sound captured just
// before the epoch began and sent after it is in second −1: it is sealed under
// slot 0, and still not in one fragment with sound of second 0.
func (p *Packer) secondOf(tick int64) int64 {
	since := TimeOf(tick, uint32(p.line.rate)).Sub(p.epoch)
	second := int64(since / time.Second)
	if since < 0 && since%time.Second != 0 {
		second--
	}
	return second
}

// pushAudio adds one frame to the fragment being gathered. G.711 packets are
// cut where a fragment is full or a slot ends; other frames stay whole.
func (p *Packer) pushAudio(u camera.Unit) ([]Fragment, error) {
	n := p.frameTicks(u.Frame)
	if n <= 0 {
		return nil, fmt.Errorf("pack: push audio: %w: a frame of no length", latchkey.ErrInvalid)
	}
	at := ticks(u.Wall, p.line.rate)
	var out []Fragment
	for frame := u.Frame; n > 0; {
		take, part := n, frame
		if p.isG711() {
			take = min(n, p.audioRoom())
			part, frame = frame[:take*int64(p.format.Channels)], frame[take*int64(p.format.Channels):]
		}
		out = append(out, p.addAudio(part, at, take)...)
		at += take
		n -= take
	}
	return out, nil
}

// audioMost is the longest audio fragment in ticks.
func (p *Packer) audioMost() int64 { return p.line.rate * int64(audioLimit) / int64(time.Second) }

// audioRoom is how many ticks go into the fragment being gathered, at least 1:
// up to 100 ms and up to the end of the slot.
func (p *Packer) audioRoom() int64 {
	begin := p.line.next
	if p.audio.ticks > 0 {
		begin = p.audio.start
	}
	border := p.epoch.Add(time.Duration(p.secondOf(begin)+1) * time.Second)
	return max(min(p.audioMost()-p.audio.ticks, ticks(border, p.line.rate)-p.line.next), 1)
}

// addAudio adds a frame of n ticks captured at tick at.
func (p *Packer) addAudio(frame []byte, at, n int64) (out []Fragment) {
	start, duration, jump := p.line.audio(at, n)
	a := &p.audio
	if a.ticks > 0 && (jump || p.secondOf(start) != p.secondOf(a.start)) {
		out = p.flush()
	}
	if a.ticks == 0 {
		a.start, a.jump = start, jump
	}
	if p.isG711() {
		a.pcm = append(a.pcm, frame...)
	} else {
		a.samples = append(a.samples, Sample{Decode: start, Duration: duration, Sync: true, Data: frame})
	}
	a.ticks += n
	a.length += int64(duration)
	// Whole frames go out as soon as another one of the same length would not fit.
	if a.ticks >= p.audioMost() || !p.isG711() && a.ticks+n > p.audioMost() {
		out = append(out, p.flush()...)
	}
	return out
}

func (p *Packer) isG711() bool {
	return p.format.Codec == camera.PCMA || p.format.Codec == camera.PCMU
}

// frameTicks is the true length of a frame in ticks of the sample rate.
func (p *Packer) frameTicks(frame []byte) int64 {
	switch p.format.Codec {
	case camera.AAC:
		return mpeg4audio.SamplesPerAccessUnit
	case camera.Opus:
		return opus.PacketDuration2(frame)
	case camera.PCMA, camera.PCMU:
		return int64(len(frame) / p.format.Channels)
	}
	return 0
}

// Flush returns what is still being gathered: the sound that waits for its
// 100 ms, the pictures that wait for others.
func (p *Packer) Flush() []Fragment {
	if p.kind != latchkey.KindAudio {
		return p.flushVideo()
	}
	return p.flush()
}

func (p *Packer) flush() []Fragment {
	a := &p.audio
	if a.ticks == 0 {
		return nil
	}
	if p.isG711() {
		a.samples = []Sample{{Decode: a.start, Duration: uint32(a.length), Sync: true, Data: p.losslessFrame()}}
	}
	slot := int64(p.slotOf(a.start))
	rap := slot != a.rapSlot
	data := appendFragment(nil, p.head(a.start, false), a.samples)
	f := p.fragment(data, a.samples, rap, a.jump)
	p.audio = audioRun{rapSlot: slot, counted: a.counted, samples: a.samples[:0], pcm: a.pcm[:0]}
	return []Fragment{f}
}

// losslessFrame is the gathered G.711 as one FLAC frame: browsers have no type
// for G.711, and FLAC keeps every sample.
func (p *Packer) losslessFrame() []byte {
	a := &p.audio
	var linear []byte // 16-bit, big-endian
	if p.format.Codec == camera.PCMA {
		var d g711.Alaw
		d.Unmarshal(a.pcm)
		linear = d
	} else {
		var d g711.Mulaw
		d.Unmarshal(a.pcm)
		linear = d
	}
	n := p.format.Channels
	channels := make([][]int32, n)
	for i := 0; i+2*n <= len(linear); i += 2 * n {
		for c := range channels {
			channels[c] = append(channels[c], int32(int16(uint16(linear[i+2*c])<<8|uint16(linear[i+2*c+1]))))
		}
	}
	first := a.counted
	a.counted += uint64(len(channels[0]))
	return appendFLAC(nil, p.format.ClockRate, first, channels)
}

// NextEpoch changes to the epoch that starts at the given time; the timeline
// goes on without a break, and the first audio fragment has RAP. It returns
// what Flush does, for the old epoch.
func (p *Packer) NextEpoch(epochStart time.Time) []Fragment {
	rest := p.Flush()
	p.epoch, p.slot = epochStart, 0
	p.audio.rapSlot = -1
	return rest
}
