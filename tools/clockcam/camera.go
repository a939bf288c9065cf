package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
)

// camera serves one H.264 stream to all who ask.
type camera struct {
	server  *gortsplib.Server
	times   times
	reorder int // pictures by which FLV moves the first one, for B-frames
	media   *description.Media
	encoder *rtph264.Encoder

	mu     sync.RWMutex
	stream *gortsplib.ServerStream // set once
}

// send takes FLV, which tells where each access unit ends without waiting for
// the next one, and sends every unit at once, stamped with the time at which
// its picture was drawn.
func (c *camera) send(flv io.Reader, fps int) error {
	r := bufio.NewReaderSize(flv, 1<<20)
	if _, err := r.Discard(13); err != nil { // file header and the first back pointer
		return ended(err)
	}
	for {
		t, err := readTag(r)
		if err != nil {
			return ended(err)
		}
		if t.kind != 9 || len(t.body) < 5 { // video: frame and codec, packet type, composition time, payload
			continue
		}
		switch t.body[1] {
		case 0:
			err = c.open(t.body[5:])
		case 1:
			err = c.write(t, fps)
		}
		if err != nil {
			return err
		}
	}
}

type tag struct {
	kind byte
	ms   int
	body []byte
}

// readTag reads one FLV tag and the back pointer behind it.
func readTag(r io.Reader) (tag, error) {
	var h [11]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return tag{}, err
	}
	t := tag{kind: h[0], ms: int(h[7])<<24 | int(h[4])<<16 | int(h[5])<<8 | int(h[6])}
	body := make([]byte, binary.BigEndian.Uint32(h[:4])&0xffffff+4)
	if _, err := io.ReadFull(r, body); err != nil {
		return tag{}, err
	}
	t.body = body[:len(body)-4]
	return t, nil
}

func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return fmt.Errorf("read ffmpeg's output: %w", err)
}

// open makes the stream from an AVC decoder configuration with one parameter
// set of each kind.
func (c *camera) open(avcC []byte) error {
	if len(avcC) < 8 {
		return errCut
	}
	sps, rest, ok := cut16(avcC[6:])
	if !ok || len(rest) == 0 {
		return errCut
	}
	pps, _, ok := cut16(rest[1:]) // a count stands in between
	if !ok {
		return errCut
	}
	f := &format.H264{PayloadTyp: 96, PacketizationMode: 1, SPS: sps, PPS: pps}
	c.media = &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{f}}
	var err error
	if c.encoder, err = f.CreateEncoder(); err != nil {
		return err
	}
	stream := &gortsplib.ServerStream{Server: c.server, Desc: &description.Session{Medias: []*description.Media{c.media}}}
	if err := stream.Initialize(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream = stream
	return nil
}

var errCut = errors.New("ffmpeg's output is not what was expected")

func cut16(b []byte) (value, rest []byte, ok bool) {
	if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	return b[2:n], b[n:], true
}

// write sends one access unit.
func (c *camera) write(t tag, fps int) error {
	var units [][]byte
	for b := t.body[5:]; len(b) > 0; {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
			return errCut
		}
		n := 4 + binary.BigEndian.Uint32(b)
		units, b = append(units, b[4:n]), b[n:]
	}
	pkts, err := c.encoder.Encode(units)
	if err != nil {
		return err
	}
	shown := t.ms + int(int32(binary.BigEndian.Uint32(t.body[1:5])<<8)>>8)
	at := c.times.of((shown*fps+500)/1000 - c.reorder)
	for _, p := range pkts {
		p.Timestamp = uint32(at.UnixMilli() * 90)
		if err := c.stream.WritePacketRTP(c.media, p); err != nil {
			return err
		}
	}
	return nil
}

// times keeps when each picture was drawn.
type times struct {
	mu    sync.Mutex
	drawn []time.Time
}

func (t *times) add(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drawn = append(t.drawn, at)
}

func (t *times) of(n int) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.drawn[min(max(n, 0), len(t.drawn)-1)]
}

func (c *camera) current() (*base.Response, *gortsplib.ServerStream, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.stream == nil {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

// OnDescribe implements gortsplib.ServerHandlerOnDescribe.
func (c *camera) OnDescribe(*gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return c.current()
}

// OnSetup implements gortsplib.ServerHandlerOnSetup.
func (c *camera) OnSetup(*gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return c.current()
}

// OnPlay implements gortsplib.ServerHandlerOnPlay.
func (c *camera) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}
