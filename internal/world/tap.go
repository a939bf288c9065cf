package world

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Tap is a door in front of a TCP server that counts who comes in.
type Tap struct {
	Addr  string
	conns atomic.Int64
}

// NewTap opens a tap before addr.
func NewTap(t *testing.T, addr string) *Tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tap := &Tap{Addr: l.Addr().String()}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			tap.conns.Add(1)
			open.Go(func() { pipe(in, addr) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return tap
}

// Conns is how many connections were made so far.
func (p *Tap) Conns() int { return int(p.conns.Load()) }

// pipe carries bytes both ways until one side ends.
func pipe(in net.Conn, addr string) {
	defer in.Close()
	out, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer out.Close()
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() {
			_, _ = io.Copy(way[0], way[1]) // either end may go at any time
			done <- struct{}{}
		}()
	}
	<-done
}
