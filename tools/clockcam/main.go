// Command clockcam is an RTSP camera for latency tests: its picture carries
// the time at which it was drawn, as black and white squares that a page can
// read off the frame it shows. The system's ffmpeg encodes; loopback only.
//
//	clockcam -size 1280x720 -fps 25 -kbps 4000 -gop 50
//
// prints the RTSP address on the first line and runs until interrupted.
//
//	clockcam -clip minute.h264 -seconds 60 -clock 60000
//
// writes such a picture to a file instead, as fast as it can, with a clock
// that begins at the given Unix milliseconds: footage of a past time.
//
// The squares: bits of a 56-bit word, most significant first, 28 a row, two
// rows from the top left; each square is width/32 pixels wide. The word is
// Unix milliseconds (48 bits) followed by the sum of its six bytes (8 bits).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/bluenviron/gortsplib/v5"
)

type picture struct {
	w, h, fps, kbps, gop, bframes int
}

func main() {
	var p picture
	size := flag.String("size", "1280x720", "width x height")
	flag.IntVar(&p.fps, "fps", 25, "frames a second")
	flag.IntVar(&p.kbps, "kbps", 4000, "bit rate, kbit/s")
	flag.IntVar(&p.gop, "gop", 50, "frames from one random-access point to the next")
	flag.IntVar(&p.bframes, "bframes", 0, "B-frames in a row")
	listen := flag.String("listen", "127.0.0.1:0", "RTSP address, loopback")
	file := flag.String("clip", "", "write an H.264 byte stream there instead of serving a camera")
	seconds := flag.Int("seconds", 60, "length of the clip")
	clock := flag.Int64("clock", 60_000, "Unix milliseconds of the clip's first picture")
	flag.Parse()
	if _, err := fmt.Sscanf(*size, "%dx%d", &p.w, &p.h); err != nil {
		fmt.Fprintf(os.Stderr, "clockcam: size %q: want 1280x720\n", *size)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := error(nil)
	if *file != "" {
		err = clip(ctx, p, *file, *seconds, time.UnixMilli(*clock))
	} else {
		err = serve(ctx, p, *listen)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "clockcam:", err)
		os.Exit(1)
	}
}

// clip draws so many seconds into a file, each picture with an access unit
// delimiter before it.
func clip(ctx context.Context, p picture, file string, seconds int, from time.Time) error {
	n, every := 0, time.Second/time.Duration(p.fps)
	err := encode(ctx, p, nil, []string{"-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "-y", file}, func() (time.Time, bool) {
		at := from.Add(time.Duration(n) * every)
		n++
		return at, n <= seconds*p.fps
	})
	if err == nil {
		fmt.Println("wrote", file)
	}
	return err
}

// serve is the camera: one picture per tick of the wall clock.
func serve(ctx context.Context, p picture, listen string) error {
	addr, err := freeAddr(listen)
	if err != nil {
		return err
	}
	c := &camera{reorder: min(p.bframes, 2)} // x264's pyramid needs two pictures, however many B-frames
	c.server = &gortsplib.Server{Handler: c, RTSPAddress: addr, WriteQueueSize: 4096}
	if err := c.server.Start(); err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	defer c.server.Close()
	fmt.Println("rtsp://" + addr + "/clock")
	tick := time.NewTicker(time.Second / time.Duration(p.fps))
	defer tick.Stop()
	encoded, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer encoded.Close()
	sent := make(chan error, 1)
	go func() { sent <- c.send(encoded, p.fps) }()
	// Not ffmpeg's own RTSP: over TCP every third picture waits 40 ms in it for an acknowledgement.
	err = encode(ctx, p, w, []string{"-flush_packets", "1", "-flvflags", "no_duration_filesize", "-f", "flv", "pipe:1"}, func() (time.Time, bool) {
		select {
		case <-ctx.Done():
			return time.Time{}, false
		case <-tick.C:
			now := time.Now()
			c.times.add(now)
			return now, true
		}
	})
	w.Close()
	return errors.Join(err, <-sent)
}

// encode draws a picture for each time that next gives, until it gives no
// more, and lets ffmpeg write them to where output says,
// be it its standard output.
func encode(ctx context.Context, p picture, stdout *os.File, output []string, next func() (time.Time, bool)) error {
	args := []string{"-nostdin", "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", fmt.Sprintf("%dx%d", p.w, p.h),
		"-r", fmt.Sprint(p.fps), "-i", "pipe:0", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency",
		"-bf", fmt.Sprint(p.bframes), "-g", fmt.Sprint(p.gop), "-keyint_min", fmt.Sprint(p.gop), "-sc_threshold", "0", "-threads", "1",
		"-b:v", fmt.Sprintf("%dk", p.kbps), "-maxrate", fmt.Sprintf("%dk", p.kbps), "-bufsize", fmt.Sprintf("%dk", p.kbps/2)}
	cmd := exec.CommandContext(ctx, "ffmpeg", append(args, output...)...)
	cmd.Stdout, cmd.Stderr = stdout, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start ffmpeg (it encodes the picture): %w", err)
	}
	drawErr := draw(p, in, next)
	in.Close()
	return errors.Join(drawErr, cmd.Wait())
}

// draw writes grey frames: a field of noise tiles that keeps the encoder at its
// bit rate, and the clock on top.
func draw(p picture, out io.Writer, next func() (time.Time, bool)) error {
	tiles := make([][]byte, 16)
	for i := range tiles {
		tiles[i] = noiseFrame(p, uint64(i))
	}
	frame := make([]byte, p.w*p.h)
	for n := 0; ; n++ {
		at, more := next()
		if !more {
			return nil
		}
		copy(frame, tiles[n%len(tiles)])
		burn(frame, p, at.UnixMilli())
		if _, err := out.Write(frame); err != nil {
			return fmt.Errorf("write frame: %w", err)
		}
	}
}

func noiseFrame(p picture, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	f := make([]byte, p.w*p.h)
	for y := 0; y < p.h; y += 8 {
		for x := 0; x < p.w; x += 8 {
			v := byte(112 + r.IntN(32))
			for j := y; j < min(y+8, p.h); j++ {
				for i := x; i < min(x+8, p.w); i++ {
					f[j*p.w+i] = v
				}
			}
		}
	}
	return f
}

// burn draws the clock word as squares.
func burn(f []byte, p picture, ms int64) {
	word := uint64(ms)<<8 | sum(ms)
	side := p.w / 32
	for bit := range 56 {
		v := byte(20)
		if word>>(55-bit)&1 == 1 {
			v = 235
		}
		x0, y0 := (bit%28)*side, (bit/28)*side
		for y := y0; y < y0+side; y++ {
			row := f[y*p.w+x0 : y*p.w+x0+side]
			for x := range row {
				row[x] = v
			}
		}
	}
}

func sum(ms int64) uint64 {
	var s uint64
	for i := range 6 {
		s += uint64(byte(ms >> (8 * i)))
	}
	return s & 0xff
}

// freeAddr picks the port when the caller asked for port 0: gortsplib wants a number.
func freeAddr(listen string) (string, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
